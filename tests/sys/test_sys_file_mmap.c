/* SPDX-License-Identifier: MIT */
/* Files in memory: private and shared mappings, together with read and write.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#define PG 4096

static int make(const char *path, size_t size)
{
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
	char buf[PG];

	for (size_t at = 0; at < size; at += PG) {
		memset(buf, 'a' + (int)(at / PG % 26), PG);
		EXPECT(pwrite(fd, buf, size - at < PG ? size - at : PG, (off_t)at) > 0);
	}
	return fd;
}

static void private_is_a_copy(void)
{
	int fd = make("p", 3 * PG + 100);
	char *m = mmap(NULL, 4 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), c;

	EXPECT(m != MAP_FAILED);
	close(fd);
	EXPECT(m[0] == 'a' && m[PG] == 'b' && m[3 * PG + 99] == 'd');
	EXPECT(m[3 * PG + 100] == 0 && m[4 * PG - 1] == 0);
	m[0] = 'X';
	fd = open("p", O_RDONLY);
	EXPECT_EQ(read(fd, &c, 1), 1);
	EXPECT_EQ(c, 'a');
	close(fd);
	EXPECT(munmap(m, 4 * PG) == 0);
}

static void offsets(void)
{
	int fd = make("o", 40 * PG);
	char *m = mmap(NULL, 2 * PG, PROT_READ, MAP_PRIVATE, fd, 30 * PG);

	EXPECT(m != MAP_FAILED);
	EXPECT(m[0] == 'a' + 30 % 26 && m[PG] == 'a' + 31 % 26);
	EXPECT(munmap(m, 2 * PG) == 0);
	m = mmap(NULL, 2 * PG, PROT_READ, MAP_SHARED, fd, 30 * PG);
	EXPECT(m != MAP_FAILED);
	EXPECT(m[0] == 'a' + 30 % 26 && m[PG] == 'a' + 31 % 26);
	EXPECT(munmap(m, 2 * PG) == 0);
	EXPECT(mmap(NULL, PG, PROT_READ, MAP_SHARED, fd, 100) == MAP_FAILED && errno == EINVAL);
	EXPECT(mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EINVAL);
	close(fd);
}

static void permissions(void)
{
	int r = open("o", O_RDONLY), w = open("o", O_WRONLY), d = open(".", O_RDONLY);

	EXPECT(mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0) == MAP_FAILED);
	EXPECT_EQ(errno, EACCES);
	EXPECT(mmap(NULL, PG, PROT_READ, MAP_PRIVATE, w, 0) == MAP_FAILED);
	EXPECT_EQ(errno, EACCES);
	EXPECT(mmap(NULL, PG, PROT_READ, MAP_PRIVATE, d, 0) == MAP_FAILED);
	EXPECT_EQ(errno, ENODEV);
	EXPECT(mmap(NULL, PG, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED);
	EXPECT_EQ(errno, EBADF);
	close(r);
	close(w);
	close(d);
}

static void protection_can_not_be_widened(void)
{
	int fd = open("o", O_RDONLY);
	void *m = mmap(NULL, PG, PROT_READ, MAP_SHARED, fd, 0);

	EXPECT(m != MAP_FAILED);
	EXPECT_ERR(mprotect(m, PG, PROT_READ | PROT_WRITE), EACCES);
	EXPECT(munmap(m, PG) == 0);
	m = mmap(NULL, PG, PROT_READ, MAP_PRIVATE, fd, 0);
	EXPECT(mprotect(m, PG, PROT_READ | PROT_WRITE) == 0);
	*(char *)m = 'w';
	EXPECT(munmap(m, PG) == 0);
	close(fd);
}

static void shared_stores_reach_the_file(void)
{
	int fd = make("s", 2 * PG);
	char *m = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), c;

	EXPECT(m != MAP_FAILED);
	m[10] = 'S';
	EXPECT_EQ(pread(fd, &c, 1, 10), 1);
	EXPECT_EQ(c, 'S');
	m[PG + 1] = 'T';
	EXPECT(msync(m, 2 * PG, MS_SYNC) == 0);
	m[PG + 2] = 'U';
	close(fd);
	m[PG + 3] = 'V';
	EXPECT(munmap(m, 2 * PG) == 0);
	fd = open("s", O_RDONLY);
	EXPECT_EQ(pread(fd, &c, 1, PG + 1), 1);
	EXPECT_EQ(c, 'T');
	EXPECT_EQ(pread(fd, &c, 1, PG + 2), 1);
	EXPECT_EQ(c, 'U');
	EXPECT_EQ(pread(fd, &c, 1, PG + 3), 1);
	EXPECT_EQ(c, 'V');
	close(fd);
}

static void writes_reach_the_memory(void)
{
	int fd = make("w", 2 * PG), other = open("w", O_RDWR);
	char *m = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	EXPECT(m != MAP_FAILED);
	m[1] = 'm';
	EXPECT_EQ(pwrite(other, "W", 1, 0), 1);
	EXPECT(m[0] == 'W' && m[1] == 'm' && m[2] == 'a');
	EXPECT_EQ(pwrite(other, "ZZ", 2, PG - 1), 2);
	EXPECT(m[PG - 1] == 'Z' && m[PG] == 'Z');
	EXPECT(munmap(m, 2 * PG) == 0);
	close(other);
	close(fd);
}

static void two_mappings_are_one_memory(void)
{
	int fd = make("t", 2 * PG), again = open("t", O_RDWR);
	char *a = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *b = mmap(NULL, PG, PROT_READ, MAP_SHARED, again, PG);

	EXPECT(a != MAP_FAILED && b != MAP_FAILED);
	a[PG + 5] = '5';
	EXPECT_EQ(b[5], '5');
	EXPECT(munmap(a, 2 * PG) == 0);
	EXPECT_EQ(b[5], '5');
	EXPECT(munmap(b, PG) == 0);
	close(fd);
	close(again);
}

/* As SQLite does with its -shm file: grow, then map the next region. */
static void growing_files(void)
{
	int fd = open("g", O_CREAT | O_RDWR | O_TRUNC, 0600);
	char *a, *b, c;

	EXPECT(ftruncate(fd, 32768) == 0);
	a = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(a != MAP_FAILED);
	a[0] = '1';
	EXPECT(ftruncate(fd, 65536) == 0);
	b = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 32768);
	EXPECT(b != MAP_FAILED);
	EXPECT(b[0] == 0 && b[32767] == 0);
	b[32767] = '2';
	EXPECT_EQ(pwrite(fd, "3", 1, 100000), 1);
	EXPECT_EQ(a[0], '1');
	EXPECT_EQ(pread(fd, &c, 1, 65535), 1);
	EXPECT_EQ(c, '2');
	EXPECT(munmap(a, 32768) == 0);
	EXPECT(munmap(b, 32768) == 0);
	EXPECT_EQ(pread(fd, &c, 1, 0), 1);
	EXPECT_EQ(c, '1');
	EXPECT_EQ(pread(fd, &c, 1, 100000), 1);
	EXPECT_EQ(c, '3');
	close(fd);
}

static void mapped_before_it_grows(void)
{
	int fd = make("early", PG);
	char *m = mmap(NULL, 40 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), c;

	EXPECT(m != MAP_FAILED);
	EXPECT_EQ(pwrite(fd, "x", 1, 39 * PG), 1);
	EXPECT_EQ(m[39 * PG], 'x');
	EXPECT_EQ(m[20 * PG], 0);
	m[20 * PG] = 'y';
	EXPECT_EQ(pread(fd, &c, 1, 20 * PG), 1);
	EXPECT_EQ(c, 'y');
	EXPECT(munmap(m, 40 * PG) == 0);
	close(fd);
}

static void truncated_part_reads_zero(void)
{
	int fd = make("z", 3 * PG);
	char *m = mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	EXPECT(m != MAP_FAILED);
	m[PG + 1] = 'Q';
	EXPECT(ftruncate(fd, 100) == 0);
	EXPECT(m[99] == 'a' && m[100] == 0 && m[PG - 1] == 0);
	EXPECT(ftruncate(fd, 3 * PG) == 0);
	EXPECT(m[PG + 1] == 0 && m[2 * PG] == 0);
	EXPECT(munmap(m, 3 * PG) == 0);
	close(fd);
}

static void tail_behind_the_end_is_not_written(void)
{
	struct stat st;
	int fd = make("tail", 100);
	char *m = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	EXPECT(m != MAP_FAILED);
	m[99] = '9';
	m[200] = 'n';
	EXPECT(msync(m, PG, MS_SYNC) == 0);
	EXPECT(munmap(m, PG) == 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_size, 100);
	close(fd);
}

static void fixed_replaces(void)
{
	int fd = make("x", 2 * PG);
	char buf[2];
	char *m = mmap(NULL, 4 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *f = mmap(m + PG, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);

	m[0] = 'k';
	EXPECT(f == m + PG);
	EXPECT(f[0] == 'a' && f[PG] == 'b' && m[0] == 'k' && m[3 * PG] == 0);
	f[1] = 'F';
	EXPECT(mmap(m + PG, PG, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == f);
	EXPECT_EQ(f[1], 0);
	EXPECT_EQ(f[PG], 'b');
	EXPECT(munmap(m, 4 * PG) == 0);
	EXPECT_EQ(pread(fd, buf, 2, 0), 2);
	EXPECT_EQ(buf[1], 'F');
	close(fd);
}

static void remap_grows(void)
{
	int fd = make("r", 8 * PG);
	char *m = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *n, c;

	EXPECT(m != MAP_FAILED);
	m[3] = 'R';
	n = mremap(m, 2 * PG, 8 * PG, MREMAP_MAYMOVE);
	EXPECT(n != MAP_FAILED);
	EXPECT(n[3] == 'R' && n[7 * PG] == 'h');
	n[7 * PG] = 'H';
	EXPECT_EQ(pread(fd, &c, 1, 7 * PG), 1);
	EXPECT_EQ(c, 'H');
	EXPECT(mremap(n, 8 * PG, PG, 0) == n);
	n[4] = 'r';
	EXPECT(munmap(n, PG) == 0);
	EXPECT_EQ(pread(fd, &c, 1, 4), 1);
	EXPECT_EQ(c, 'r');
	close(fd);
}

static long remap(char *at, size_t len, int prot, size_t page)
{
	return syscall(SYS_remap_file_pages, at, len, prot, page, 0);
}

static void pages_in_another_order(void)
{
	int fd = make("rp", 6 * PG);
	char *m = mmap(NULL, 4 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), c;
	char *p = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	EXPECT(m != MAP_FAILED && p != MAP_FAILED);
	m[1] = 'A';
	EXPECT_EQ(remap(m, PG, 0, 3), 0);
	EXPECT_EQ(remap(m + PG, 2 * PG, 0, 4), 0);
	EXPECT(m[0] == 'd' && m[PG] == 'e' && m[2 * PG] == 'f' && m[3 * PG] == 'd');
	m[0] = 'D';
	EXPECT_EQ(m[3 * PG], 'D');
	EXPECT_EQ(pread(fd, &c, 1, 3 * PG), 1);
	EXPECT_EQ(c, 'D');
	EXPECT_EQ(pread(fd, &c, 1, 1), 1);
	EXPECT_EQ(c, 'A');
	/* All of it, which three mappings are now; what was stored first is there. */
	EXPECT_EQ(remap(m, 4 * PG, 0, 0), 0);
	EXPECT(m[1] == 'A' && m[PG] == 'b' && m[3 * PG] == 'D');
	EXPECT(remap(m, PG, PROT_READ, 3) == -1 && errno == EINVAL);
	EXPECT(remap(m, 0, 0, 3) == -1 && errno == EINVAL);
	EXPECT(remap(m, (size_t)1 << 50, 0, 3) == -1 && errno == EINVAL);
	EXPECT(remap(p, PG, 0, 3) == -1 && errno == EINVAL);
	EXPECT(munmap(m, PG) == 0);
	EXPECT(remap(m, 2 * PG, 0, 3) == -1 && errno == EINVAL);
	EXPECT(munmap(m, 4 * PG) == 0 && munmap(p, PG) == 0);
	close(fd);
}

static void a_refused_mapping_leaves_the_old_one(void)
{
	int fd = make("rf", PG), fds[2];
	char *m = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), c;
	int fixed = MAP_SHARED | MAP_FIXED;

	EXPECT(m != MAP_FAILED && pipe(fds) == 0);
	EXPECT(mmap(m, PG, PROT_READ, fixed, fds[0], 0) == MAP_FAILED && errno == ENODEV);
	EXPECT(mmap(m, PG, PROT_READ, fixed, 999, 0) == MAP_FAILED && errno == EBADF);
	m[0] = 'S';
	EXPECT_EQ(pread(fd, &c, 1, 0), 1);
	EXPECT_EQ(c, 'S');
	/* Linux may have unmapped @m by then: here only the errno is looked at. */
	EXPECT(mremap((void *)((size_t)1 << 40), PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED, m) ==
	               MAP_FAILED &&
	       errno == EFAULT);
	EXPECT(munmap(m, PG) == 0);
	EXPECT(close(fd) == 0 && close(fds[0]) == 0 && close(fds[1]) == 0);
}

static void a_part_can_be_emptied(void)
{
	int fd = make("re", 3 * PG);
	char *m = mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), buf[2];

	EXPECT(m != MAP_FAILED);
	EXPECT(madvise(m + PG, PG, MADV_REMOVE) == 0);
	EXPECT(m[0] == 'a' && m[PG] == 0 && m[2 * PG - 1] == 0 && m[2 * PG] == 'c');
	EXPECT_EQ(pread(fd, buf, 2, 2 * PG - 1), 2);
	EXPECT(buf[0] == 0 && buf[1] == 'c');
	EXPECT(munmap(m, 3 * PG) == 0);
	EXPECT_EQ(pread(fd, buf, 2, PG - 1), 2);
	EXPECT(buf[0] == 'a' && buf[1] == 0);
	close(fd);
}

static void unlinked_file_stays_mapped(void)
{
	int fd = make("u", PG);
	char *m = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	EXPECT(unlink("u") == 0);
	close(fd);
	EXPECT_EQ(m[0], 'a');
	m[0] = 'b';
	EXPECT(msync(m, PG, MS_SYNC) == 0);
	EXPECT(munmap(m, PG) == 0);
}

int main(void)
{
	CASE(private_is_a_copy);
	CASE(offsets);
	CASE(permissions);
	CASE(protection_can_not_be_widened);
	CASE(shared_stores_reach_the_file);
	CASE(writes_reach_the_memory);
	CASE(two_mappings_are_one_memory);
	CASE(growing_files);
	CASE(mapped_before_it_grows);
	CASE(truncated_part_reads_zero);
	CASE(tail_behind_the_end_is_not_written);
	CASE(fixed_replaces);
	CASE(remap_grows);
	CASE(pages_in_another_order);
	CASE(a_refused_mapping_leaves_the_old_one);
	CASE(a_part_can_be_emptied);
	CASE(unlinked_file_stays_mapped);
	return g_failed;
}
