/* SPDX-License-Identifier: MIT */
/* truncate, sparse files, SEEK_DATA and SEEK_HOLE, fallocate.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <sys/resource.h>

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

static void truncate_cuts_and_grows(void)
{
	char buf[8];
	int fd;

	put_file("a", "0123456789");
	EXPECT(truncate("a", 4) == 0);
	EXPECT(file_is("a", "0123"));
	EXPECT(truncate("a", 8) == 0);
	EXPECT_EQ(size_of("a"), 8);
	fd = open("a", O_RDWR);
	EXPECT_EQ(read(fd, buf, 8), 8);
	EXPECT(memcmp(buf, "0123\0\0\0\0", 8) == 0);
	EXPECT(ftruncate(fd, 2) == 0);
	EXPECT_EQ(size_of("a"), 2);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 8);
	EXPECT_EQ(write(fd, "z", 1), 1);
	EXPECT_EQ(size_of("a"), 9);
	close(fd);
}

static void truncate_errors(void)
{
	int fd = open("a", O_RDONLY);

	EXPECT_ERR(truncate("a", -1), EINVAL);
	EXPECT_ERR(ftruncate(fd, -1), EINVAL);
	EXPECT_ERR(ftruncate(fd, 0), EINVAL);
	EXPECT_ERR(truncate("missing", 0), ENOENT);
	EXPECT_ERR(truncate(".", 0), EISDIR);
	EXPECT_ERR(truncate("a/b", 0), ENOTDIR);
	EXPECT_ERR(truncate(BAD_PTR, 0), EFAULT);
	close(fd);
}

static void holes(void)
{
	char buf[65536];
	off_t mb = 1024 * 1024;
	struct stat st;
	int fd = open("sparse", O_CREAT | O_RDWR | O_TRUNC, 0600);

	EXPECT_EQ(pwrite(fd, "data", 4, 4 * mb), 4);
	EXPECT(ftruncate(fd, 16 * mb) == 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_size, 16 * mb);
	EXPECT(st.st_blocks * 512 < 2 * mb);
	EXPECT_EQ(lseek(fd, 0, SEEK_DATA), 4 * mb);
	EXPECT_EQ(lseek(fd, 0, SEEK_HOLE), 0);
	EXPECT(lseek(fd, 4 * mb, SEEK_HOLE) > 4 * mb);
	EXPECT_EQ(lseek(fd, 4 * mb + 2, SEEK_DATA), 4 * mb + 2);
	EXPECT_ERR(lseek(fd, 17 * mb, SEEK_DATA), ENXIO);
	EXPECT_ERR(lseek(fd, 16 * mb, SEEK_HOLE), ENXIO);
	EXPECT_ERR(lseek(fd, -1, SEEK_DATA), ENXIO);
	EXPECT_EQ(pread(fd, buf, sizeof(buf), mb), sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		EXPECT(buf[i] == 0);
	close(fd);
}

static void allocate(void)
{
	struct stat st;
	int fd = open("alloc", O_CREAT | O_RDWR | O_TRUNC, 0600), ro;

	EXPECT(fallocate(fd, 0, 0, 100000) == 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_size, 100000);
	EXPECT(st.st_blocks * 512 >= 100000);
	EXPECT(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 200000) == 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_size, 100000);
	EXPECT_EQ(posix_fallocate(fd, 0, 300000), 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_size, 300000);
	EXPECT_ERR(fallocate(fd, 0, 0, 0), EINVAL);
	EXPECT_ERR(fallocate(fd, 0, -1, 1), EINVAL);
	EXPECT_ERR(fallocate(-1, 0, 0, 1), EBADF);
	ro = open("alloc", O_RDONLY);
	EXPECT_ERR(fallocate(ro, 0, 0, 1), EBADF);
	close(ro);
	close(fd);
}

static void punch_a_hole(void)
{
	int fd = open("punch", O_CREAT | O_RDWR | O_TRUNC, 0600);
	char buf[3 * 4096];

	memset(buf, 'x', sizeof(buf));
	EXPECT_EQ(write(fd, buf, sizeof(buf)), sizeof(buf));
	EXPECT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096) == 0);
	EXPECT_EQ(pread(fd, buf, sizeof(buf), 0), sizeof(buf));
	EXPECT(buf[4095] == 'x' && buf[4096] == 0 && buf[8191] == 0 && buf[8192] == 'x');
	EXPECT_EQ(size_of("punch"), sizeof(buf));
	EXPECT_ERR(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
	close(fd);
}

static volatile sig_atomic_t g_xfsz;

static void on_xfsz(int sig)
{
	(void)sig;
	g_xfsz++;
}

static void size_limit(void)
{
	struct rlimit old, now;
	int fd = open("limit", O_CREAT | O_RDWR | O_TRUNC, 0600);
	char buf[100] = "";

	signal(SIGXFSZ, on_xfsz);
	EXPECT(getrlimit(RLIMIT_FSIZE, &old) == 0);
	now = old;
	now.rlim_cur = 150;
	EXPECT(setrlimit(RLIMIT_FSIZE, &now) == 0);
	EXPECT_EQ(write(fd, buf, 100), 100);
	EXPECT_EQ(write(fd, buf, 100), 50);
	EXPECT_EQ(g_xfsz, 0);
	EXPECT_ERR(write(fd, buf, 100), EFBIG);
	EXPECT_EQ(g_xfsz, 1);
	EXPECT_ERR(ftruncate(fd, 151), EFBIG);
	EXPECT_EQ(g_xfsz, 2);
	EXPECT(ftruncate(fd, 150) == 0);
	EXPECT(setrlimit(RLIMIT_FSIZE, &old) == 0);
	EXPECT_EQ(write(fd, buf, 100), 100);
	close(fd);
}

int main(void)
{
	CASE(truncate_cuts_and_grows);
	CASE(truncate_errors);
	CASE(holes);
	CASE(allocate);
	CASE(punch_a_hole);
	CASE(size_limit);
	return g_failed;
}
