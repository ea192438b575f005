/* SPDX-License-Identifier: MIT */
/* read, write and their relatives on files: offsets, appends, vectors, sizes.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <sys/mman.h>
#include <sys/uio.h>

static void offset_moves(void)
{
	int fd = open("f", O_CREAT | O_RDWR | O_TRUNC, 0600);
	char buf[16] = "";

	EXPECT_EQ(write(fd, "abcdef", 6), 6);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 6);
	EXPECT_EQ(read(fd, buf, 1), 0);
	EXPECT_EQ(lseek(fd, 1, SEEK_SET), 1);
	EXPECT_EQ(read(fd, buf, 3), 3);
	EXPECT(memcmp(buf, "bcd", 3) == 0);
	EXPECT_EQ(lseek(fd, -2, SEEK_END), 4);
	EXPECT_EQ(read(fd, buf, 16), 2);
	EXPECT_EQ(lseek(fd, 10, SEEK_CUR), 16);
	EXPECT_EQ(read(fd, buf, 16), 0);
	EXPECT_ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	EXPECT_ERR(lseek(fd, -100, SEEK_CUR), EINVAL);
	EXPECT_ERR(lseek(fd, 0, 77), EINVAL);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 16);
	EXPECT_EQ(read(fd, buf, 0), 0);
	EXPECT_EQ(write(fd, buf, 0), 0);
	close(fd);
}

static void positioned_io_leaves_the_offset(void)
{
	int fd = open("f", O_RDWR);
	char buf[8] = "";

	EXPECT_EQ(pwrite(fd, "XY", 2, 2), 2);
	EXPECT_EQ(pread(fd, buf, 6, 0), 6);
	EXPECT(memcmp(buf, "abXYef", 6) == 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
	EXPECT_EQ(pread(fd, buf, 4, 100), 0);
	EXPECT_ERR(pread(fd, buf, 1, -1), EINVAL);
	EXPECT_ERR(pwrite(fd, buf, 1, -1), EINVAL);
	close(fd);
}

static void dup_shares_the_offset(void)
{
	int fd = open("f", O_RDONLY), other = dup(fd), own = open("f", O_RDONLY);
	char buf[4];

	EXPECT_EQ(read(fd, buf, 3), 3);
	EXPECT_EQ(lseek(other, 0, SEEK_CUR), 3);
	EXPECT_EQ(lseek(own, 0, SEEK_CUR), 0);
	close(fd);
	EXPECT_EQ(read(other, buf, 1), 1);
	EXPECT_EQ(buf[0], 'Y');
	close(other);
	close(own);
}

static void append_goes_to_the_end(void)
{
	int a = open("app", O_CREAT | O_WRONLY | O_APPEND | O_TRUNC, 0600);
	int b = open("app", O_WRONLY | O_APPEND);

	EXPECT_EQ(write(a, "1", 1), 1);
	EXPECT_EQ(write(b, "22", 2), 2);
	EXPECT_EQ(lseek(b, 0, SEEK_CUR), 3);
	EXPECT_EQ(write(a, "3", 1), 1);
	EXPECT_EQ(lseek(a, 0, SEEK_CUR), 4);
	EXPECT_EQ(lseek(a, 0, SEEK_SET), 0);
	EXPECT_EQ(write(a, "4", 1), 1);
	/* Linux: pwrite() on such a description appends, too. */
	EXPECT_EQ(pwrite(b, "5", 1, 0), 1);
	EXPECT(file_is("app", "122345"));
	EXPECT(fcntl(a, F_SETFL, 0) == 0);
	EXPECT_EQ(lseek(a, 0, SEEK_SET), 0);
	EXPECT_EQ(write(a, "0", 1), 1);
	EXPECT(file_is("app", "022345"));
	close(a);
	close(b);
}

static void vectors(void)
{
	struct iovec w[3] = {{"ab", 2}, {NULL, 0}, {"cde", 3}}, r[2];
	int fd = open("v", O_CREAT | O_RDWR | O_TRUNC, 0600);
	char x[2], y[8] = "";

	EXPECT_EQ(writev(fd, w, 3), 5);
	EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
	r[0] = (struct iovec){x, 2};
	r[1] = (struct iovec){y, 8};
	EXPECT_EQ(readv(fd, r, 2), 5);
	EXPECT(memcmp(x, "ab", 2) == 0 && memcmp(y, "cde", 3) == 0);
	EXPECT_EQ(preadv(fd, r, 2, 1), 4);
	EXPECT(memcmp(x, "bc", 2) == 0 && memcmp(y, "de", 2) == 0);
	EXPECT_EQ(pwritev(fd, w, 1, 3), 2);
	EXPECT(file_is("v", "abcab"));
	EXPECT_ERR(readv(fd, r, -1), EINVAL);
	EXPECT_ERR(readv(fd, r, 1025), EINVAL);
	EXPECT_EQ(readv(fd, r, 0), 0);
	close(fd);
}

#define BIG (3 * 1024 * 1024 + 12345)

static void large_transfers(void)
{
	unsigned char *a = malloc(BIG), *b = malloc(BIG);
	int fd = open("big", O_CREAT | O_RDWR | O_TRUNC, 0600);
	struct stat st;

	for (size_t i = 0; i < BIG; i++)
		a[i] = (unsigned char)(i * 2654435761u >> 13);
	EXPECT_EQ(write(fd, a, BIG), BIG);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_size, BIG);
	EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
	EXPECT_EQ(read(fd, b, BIG), BIG);
	EXPECT(memcmp(a, b, BIG) == 0);
	EXPECT_EQ(pread(fd, b, BIG, 1000), BIG - 1000);
	EXPECT(memcmp(a + 1000, b, BIG - 1000) == 0);
	close(fd);
	fd = open("big", O_WRONLY | O_APPEND);
	EXPECT_EQ(write(fd, a, 200000), 200000);
	close(fd);
	fd = open("big", O_RDONLY);
	EXPECT_EQ(pread(fd, b, 300000, BIG), 200000);
	EXPECT(memcmp(a, b, 200000) == 0);
	close(fd);
	free(a);
	free(b);
}

static void bad_pointers(void)
{
	struct iovec v[2] = {{"ok", 2}, {BAD_PTR, 10}};
	int fd = open("f", O_RDWR);

	EXPECT_ERR(read(fd, BAD_PTR, 4), EFAULT);
	EXPECT_ERR(write(fd, BAD_PTR, 4), EFAULT);
	EXPECT_ERR(pread(fd, BAD_PTR, 4, 0), EFAULT);
	EXPECT_ERR(readv(fd, BAD_PTR, 1), EFAULT);
	EXPECT_ERR(readv(fd, v + 1, 1), EFAULT);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
	EXPECT_ERR(read(-1, v, 1), EBADF);
	EXPECT_ERR(read(1000, v, 1), EBADF);
	close(fd);
}

static void good_part_before_a_bad_address_counts(void)
{
	char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("part", O_CREAT | O_RDWR | O_TRUNC, 0600);
	struct iovec v[2] = {{"ok", 2}, {BAD_PTR, 10}};

	memset(m, 'p', 4096);
	EXPECT(munmap(m + 4096, 4096) == 0);
	EXPECT_EQ(write(fd, m + 4000, 200), 96);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 96);
	EXPECT_EQ(writev(fd, v, 2), 2);
	EXPECT_EQ(lseek(fd, 0, SEEK_END), 98);
	EXPECT_EQ(pread(fd, m + 4090, 50, 0), 6);
	EXPECT_EQ(m[4095], 'p');
	close(fd);
	EXPECT(munmap(m, 4096) == 0);
}

static void large_offsets(void)
{
	int fd = open("far", O_CREAT | O_RDWR | O_TRUNC, 0600);
	off_t far = 5ll << 30;
	struct stat st;
	char buf[4];

	EXPECT_EQ(pwrite(fd, "end", 3, far), 3);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_size, far + 3);
	EXPECT(st.st_blocks < 1000);
	EXPECT_EQ(pread(fd, buf, 4, far - 1), 4);
	EXPECT(memcmp(buf, "\0end", 4) == 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_END), far + 3);
	close(fd);
	unlink("far");
}

static void an_append_begins_at_the_new_end(void)
{
	static char big[200000];
	struct stat st;
	int a, b;

	put_file("cut", "");
	a = open("cut", O_WRONLY | O_APPEND);
	b = open("cut", O_WRONLY | O_APPEND);
	EXPECT_EQ(write(a, big, sizeof(big)), sizeof(big));
	EXPECT(truncate("cut", 0) == 0);
	EXPECT_EQ(write(b, "end", 3), 3);
	EXPECT(fstat(a, &st) == 0);
	EXPECT_EQ(st.st_size, 3);
	close(a);
	close(b);
	unlink("cut");
}

int main(void)
{
	CASE(offset_moves);
	CASE(positioned_io_leaves_the_offset);
	CASE(dup_shares_the_offset);
	CASE(append_goes_to_the_end);
	CASE(an_append_begins_at_the_new_end);
	CASE(vectors);
	CASE(large_transfers);
	CASE(bad_pointers);
	CASE(good_part_before_a_bad_address_counts);
	CASE(large_offsets);
	return g_failed;
}
