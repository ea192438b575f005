/* SPDX-License-Identifier: MIT */
/* statfs, the sync family, advice, copy_file_range on files.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <sys/statfs.h>

static void statfs_tells(void)
{
	struct statfs a, b;
	int fd, p[2];

	put_file("f", "x");
	fd = open("f", O_RDONLY);
	EXPECT(statfs("f", &a) == 0);
	EXPECT(fstatfs(fd, &b) == 0);
	EXPECT_EQ(a.f_type, b.f_type);
	EXPECT(a.f_type != 0);
	EXPECT(a.f_bsize > 0);
	EXPECT(a.f_namelen >= 143);
	EXPECT(statfs("/", &a) == 0);
	EXPECT_ERR(statfs("missing", &a), ENOENT);
	EXPECT_ERR(syscall(SYS_statfs, "f", BAD_PTR), EFAULT);
	EXPECT_ERR(fstatfs(-1, &a), EBADF);
	EXPECT(pipe(p) == 0);
	EXPECT(fstatfs(p[0], &a) == 0);
	EXPECT_EQ(a.f_type, 0x50495045);
	EXPECT(statfs("/proc", &a) == 0);
	EXPECT_EQ(a.f_type, 0x9fa0);
	close(p[0]);
	close(p[1]);
	close(fd);
}

static void syncs(void)
{
	int fd = open("f", O_RDWR), d = open(".", O_RDONLY | O_DIRECTORY), p[2];
	int o = open("f", O_PATH);

	EXPECT(pipe(p) == 0);
	EXPECT_EQ(write(fd, "y", 1), 1);
	EXPECT(fsync(fd) == 0);
	EXPECT(fdatasync(fd) == 0);
	EXPECT(fsync(d) == 0);
	EXPECT(syncfs(fd) == 0);
	sync();
	EXPECT_ERR(fsync(p[0]), EINVAL);
	EXPECT_ERR(fsync(-1), EBADF);
	EXPECT_ERR(fsync(o), EBADF);
	EXPECT_ERR(syncfs(-1), EBADF);
	EXPECT(sync_file_range(fd, 0, 0, 7) == 0);
	EXPECT_ERR(sync_file_range(fd, 0, 0, 8), EINVAL);
	EXPECT_ERR(sync_file_range(fd, -1, 0, 2), EINVAL);
	EXPECT_ERR(sync_file_range(p[1], 0, 0, 2), ESPIPE);
	close(fd);
	close(d);
	close(o);
	close(p[0]);
	close(p[1]);
	fd = open("f", O_RDWR | O_SYNC);
	EXPECT_EQ(write(fd, "sync", 4), 4);
	close(fd);
	fd = open("f", O_RDWR | O_DSYNC | O_APPEND);
	EXPECT_EQ(write(fd, "dsync", 5), 5);
	close(fd);
	EXPECT(file_is("f", "syncdsync"));
}

static void advice(void)
{
	int fd = open("f", O_RDONLY), w = open("f", O_WRONLY), p[2];

	EXPECT(pipe(p) == 0);
	EXPECT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
	EXPECT_EQ(posix_fadvise(fd, 0, 4, POSIX_FADV_WILLNEED), 0);
	EXPECT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	EXPECT_EQ(posix_fadvise(fd, 0, 0, 99), EINVAL);
	EXPECT_EQ(posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL), EINVAL);
	EXPECT_EQ(posix_fadvise(p[0], 0, 0, POSIX_FADV_NORMAL), ESPIPE);
	EXPECT_EQ(posix_fadvise(-1, 0, 0, POSIX_FADV_NORMAL), EBADF);
	EXPECT(readahead(fd, 0, 100) == 0);
	EXPECT_ERR(readahead(w, 0, 100), EBADF);
	EXPECT_ERR(readahead(p[0], 0, 100), EINVAL);
	close(fd);
	close(w);
	close(p[0]);
	close(p[1]);
}

static void copy_ranges(void)
{
	loff_t in = 2, out = 1;
	int a, b, ro, dir = open(".", O_RDONLY | O_DIRECTORY);

	put_file("a", "0123456789");
	put_file("b", "abc");
	a = open("a", O_RDWR);
	b = open("b", O_RDWR);
	ro = open("b", O_RDONLY);
	EXPECT_EQ(copy_file_range(a, &in, b, &out, 4, 0), 4);
	EXPECT_EQ(in, 6);
	EXPECT_EQ(out, 5);
	EXPECT(file_is("b", "a2345"));
	EXPECT_EQ(lseek(a, 0, SEEK_CUR), 0);
	EXPECT_EQ(copy_file_range(a, NULL, b, NULL, 100, 0), 10);
	EXPECT_EQ(lseek(a, 0, SEEK_CUR), 10);
	EXPECT_EQ(lseek(b, 0, SEEK_CUR), 10);
	EXPECT(file_is("b", "0123456789"));
	EXPECT_EQ(copy_file_range(a, NULL, b, NULL, 100, 0), 0);
	in = 0;
	out = 2;
	EXPECT_ERR(copy_file_range(a, &in, a, &out, 4, 0), EINVAL);
	out = 20;
	EXPECT_EQ(copy_file_range(a, &in, a, &out, 4, 0), 4);
	EXPECT_ERR(copy_file_range(a, &in, ro, NULL, 4, 0), EBADF);
	EXPECT_ERR(copy_file_range(a, &in, b, NULL, 4, 1), EINVAL);
	EXPECT_ERR(copy_file_range(-1, NULL, b, NULL, 4, 0), EBADF);
	in = out = 24; /* of itself, but behind its end: nothing of it */
	EXPECT_EQ(copy_file_range(a, &in, a, &out, 4, 0), 0);
	EXPECT_ERR(copy_file_range(ro, NULL, dir, NULL, 4, 0), EISDIR);
	EXPECT_ERR(copy_file_range(a, BAD_PTR, b, NULL, 4, 0), EFAULT);
	EXPECT(fcntl(b, F_SETFL, O_APPEND) == 0);
	EXPECT_ERR(copy_file_range(a, NULL, b, NULL, 4, 0), EBADF);
	close(a);
	close(b);
	close(ro);
	close(dir);
}

static void copies_a_lot(void)
{
	char *buf = malloc(1 << 20), *back = malloc(1 << 20);
	int a = open("la", O_CREAT | O_RDWR | O_TRUNC, 0600);
	int b = open("lb", O_CREAT | O_RDWR | O_TRUNC, 0600);
	long total = 0, n;

	for (int i = 0; i < 1 << 20; i++)
		buf[i] = (char)((unsigned)i * 7919u >> 5);
	EXPECT_EQ(pwrite(a, buf, 1 << 20, 0), 1 << 20);
	while ((n = copy_file_range(a, NULL, b, NULL, 1 << 20, 0)) > 0)
		total += n;
	EXPECT_EQ(total, 1 << 20);
	EXPECT_EQ(pread(b, back, 1 << 20, 0), 1 << 20);
	EXPECT(memcmp(buf, back, 1 << 20) == 0);
	close(a);
	close(b);
	free(buf);
	free(back);
}

int main(void)
{
	CASE(statfs_tells);
	CASE(syncs);
	CASE(advice);
	CASE(copy_ranges);
	CASE(copies_a_lot);
	return g_failed;
}
