/* SPDX-License-Identifier: MIT */
/* test_sys_readwrite_misc.c - the read and write family, sendfile, copy_file_range and
 * their like, on descriptors that need no file system. */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

static int file_with(const char *text)
{
	int fd = memfd_create("f", 0);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void positions_move(void)
{
	int fd = file_with("0123456789"), copy = dup(fd);
	char buf[16];

	CHECK_EQ(read(fd, buf, 4), 4);
	CHECK_EQ(lseek(copy, 0, SEEK_CUR), 4);
	CHECK_EQ(read(copy, buf, 100), 6);
	CHECK_EQ(read(fd, buf, 1), 0);
	CHECK_EQ(lseek(fd, -3, SEEK_END), 7);
	CHECK_EQ(write(fd, "ABCDE", 5), 5);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 12);
	CHECK_ERR(lseek(fd, -13, SEEK_END), EINVAL);
	CHECK_ERR(lseek(fd, 0, 99), EINVAL);
	CHECK_ERR(lseek(9999, 0, SEEK_SET), EBADF);
	close(copy);
	close(fd);
}

static void positioned_calls_leave_it(void)
{
	int fd = file_with("0123456789");
	char buf[16] = "";

	CHECK_EQ(pread(fd, buf, 4, 3), 4);
	CHECK(memcmp(buf, "3456", 4) == 0);
	CHECK_EQ(pwrite(fd, "xy", 2, 8), 2);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_EQ(read(fd, buf, 10), 10);
	CHECK(memcmp(buf, "01234567xy", 10) == 0);
	CHECK_ERR(pread(fd, buf, 1, -1), EINVAL);
	CHECK_EQ(pread(fd, buf, 1, 100), 0);
	CHECK_ERR(pread(9999, buf, 1, 0), EBADF);
	close(fd);
}

static void vectors_at_positions(void)
{
	int fd = file_with("0123456789");
	char a[3], b[5];
	struct iovec v[2] = {{a, 3}, {b, 5}};

	CHECK_EQ(preadv(fd, v, 2, 1), 8);
	CHECK(memcmp(a, "123", 3) == 0 && memcmp(b, "45678", 5) == 0);
	CHECK_EQ(pwritev(fd, v, 2, 2), 8);
	CHECK_EQ(pread(fd, b, 4, 1), 4);
	CHECK(memcmp(b, "1123", 4) == 0);
	CHECK_ERR(preadv(fd, v, 2, -1), EINVAL);
	CHECK_EQ(syscall(SYS_preadv2, fd, v, 2, -1L, 0L, 0), 8); /* at the position */
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 8);
	CHECK_ERR(syscall(SYS_preadv2, fd, v, 2, 0, 0, 0x8000), EOPNOTSUPP);
	CHECK_EQ(syscall(SYS_pwritev2, fd, v, 2, 0, 0, 2), 8);
	close(fd);
}

/* RWF_APPEND: at the end, wherever the call points. */
static void a_write_that_appends(void)
{
	int fds[] = {file_with("0123"), memfd_create("v", 0)};
	struct iovec v[2] = {{"ab", 2}, {"cde", 3}};
	char b[16];

	CHECK_EQ(pwrite(fds[1], "0123", 4, 0), 4);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(lseek(fds[i], 1, SEEK_SET), 1);
		CHECK_EQ(syscall(SYS_pwritev2, fds[i], v, 2, 0, 0, 0x10), 5);
		CHECK_EQ(lseek(fds[i], 0, SEEK_CUR), 1);
		CHECK_EQ(syscall(SYS_pwritev2, fds[i], v, 1, -1L, 0L, 0x12), 2);
		CHECK_EQ(lseek(fds[i], 0, SEEK_CUR), 11);
		CHECK_EQ(pread(fds[i], b, sizeof(b), 0), 11);
		CHECK(memcmp(b, "0123abcdeab", 11) == 0);
		CHECK_EQ(pwrite(fds[i], "X", 1, 0), 1); /* that call alone */
		CHECK_EQ(pread(fds[i], b, 2, 0), 2);
		CHECK(memcmp(b, "X1", 2) == 0);
		close(fds[i]);
	}
}

static void a_long_vector(void)
{
	int fd = memfd_create("v", 0);
	struct iovec v[1024];
	char bytes[1024], back[1024];

	for (int i = 0; i < 1024; i++) {
		bytes[i] = (char)i;
		v[i] = (struct iovec){&bytes[i], 1};
	}
	CHECK_EQ(writev(fd, v, 1024), 1024);
	CHECK_EQ(pread(fd, back, 1024, 0), 1024);
	CHECK(memcmp(back, bytes, 1024) == 0);
	CHECK_ERR(syscall(SYS_writev, fd, v, 1025), EINVAL);
	v[0].iov_len = (size_t)-1;
	CHECK_ERR(writev(fd, v, 2), EINVAL);
	close(fd);
}

static void bad_buffers(void)
{
	int fd = file_with("0123456789012345678901234567890123456789"
	                   "0123456789012345678901234567890123456789");
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_ERR(read(fd, BAD_PTR, 1), EFAULT);
	CHECK_ERR(write(fd, BAD_PTR, 1), EFAULT);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	/* What can be moved is moved. */
	CHECK(munmap(page + 4096, 4096) == 0);
	CHECK_EQ(read(fd, page + 4096 - 40, 80), 40);
	CHECK(memcmp(page + 4056, "0123", 4) == 0);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 40);
	munmap(page, 4096);
	close(fd);
}

static void access_modes(void)
{
	int null = open("/dev/null", O_RDONLY), out = open("/dev/null", O_WRONLY);
	char c = 0;

	CHECK_ERR(write(null, &c, 1), EBADF);
	CHECK_ERR(read(out, &c, 1), EBADF);
	CHECK_ERR(pwrite(null, &c, 1, 0), EBADF);
	CHECK_ERR(read(9999, &c, 1), EBADF);
	close(null);
	close(out);
}

static void o_append(void)
{
	int fd = file_with("abc");
	char buf[16];

	CHECK(fcntl(fd, F_SETFL, O_APPEND) == 0);
	CHECK_EQ(write(fd, "def", 3), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 6);
	CHECK_EQ(pread(fd, buf, 16, 0), 6);
	CHECK(memcmp(buf, "abcdef", 6) == 0);
	close(fd);
}

static void sendfile_to_a_socket(void)
{
	int fd = file_with("0123456789"), s[2];
	off_t off = 3;
	char buf[16];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	CHECK_EQ(sendfile(s[0], fd, &off, 4), 4);
	CHECK_EQ(off, 7);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_EQ(read(s[1], buf, 16), 4);
	CHECK(memcmp(buf, "3456", 4) == 0);
	CHECK_EQ(sendfile(s[0], fd, NULL, 100), 10);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_EQ(sendfile(s[0], fd, NULL, 100), 0);
	CHECK_ERR(sendfile(fd, s[0], NULL, 1), EINVAL);
	off = -1;
	CHECK_ERR(sendfile(s[0], fd, &off, 1), EINVAL);
	CHECK_ERR(sendfile(s[0], 9999, NULL, 1), EBADF);
	close(s[0]);
	close(s[1]);
	close(fd);
}

static void sendfile_stops_when_full(void)
{
	int fd = memfd_create("big", 0), s[2];
	size_t sent = 0, got = 0;
	static char buf[65536];
	ssize_t n;

	CHECK(ftruncate(fd, 4 << 20) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
	while (sent < 4u << 20) {
		n = sendfile(s[0], fd, NULL, (4u << 20) - sent);
		if (n > 0)
			sent += (size_t)n;
		else
			CHECK_EQ(errno, EAGAIN);
		CHECK_EQ(lseek(fd, 0, SEEK_CUR), sent);
		while ((n = read(s[1], buf, sizeof(buf))) > 0)
			got += (size_t)n;
	}
	CHECK_EQ(got, sent);
	close(s[0]);
	close(s[1]);
	close(fd);
}

static void copy_file_range_copies(void)
{
	int a = file_with("0123456789"), b = file_with("abcdefghij");
	off_t in = 2, out = 5;
	char buf[16];

	CHECK_EQ(syscall(SYS_copy_file_range, a, &in, b, &out, 4, 0), 4);
	CHECK_EQ(in, 6);
	CHECK_EQ(out, 9);
	CHECK_EQ(pread(b, buf, 16, 0), 10);
	CHECK(memcmp(buf, "abcde2345j", 10) == 0);
	CHECK_EQ(syscall(SYS_copy_file_range, a, NULL, b, NULL, 100, 0), 10);
	CHECK_EQ(lseek(a, 0, SEEK_CUR), 10);
	CHECK_EQ(lseek(b, 0, SEEK_CUR), 10);
	CHECK_ERR(syscall(SYS_copy_file_range, a, NULL, b, NULL, 1, 1), EINVAL);
	in = 0;
	out = 1;
	CHECK_ERR(syscall(SYS_copy_file_range, a, &in, a, &out, 5, 0), EINVAL);
	close(a);
	close(b);
}

static void file_size_limit(void)
{
	struct rlimit old, rl;
	int fd = memfd_create("l", 0);
	char buf[100];

	CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
	rl = old;
	rl.rlim_cur = 50;
	signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &rl) == 0);
	CHECK_EQ(write(fd, buf, 100), 50);
	CHECK_ERR(write(fd, buf, 1), EFBIG);
	CHECK_ERR(ftruncate(fd, 51), EFBIG);
	CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
	CHECK_EQ(write(fd, buf, 1), 1);
	close(fd);
}

#define WRITERS 3
#define LINES 3000

static int g_log;

static void *append_lines(void *arg)
{
	char line[8];

	for (int i = 0; i < LINES; i++) {
		memset(line, 'a' + (int)(intptr_t)arg, 7);
		line[7] = '\n';
		CHECK(write(g_log, line, 8) == 8);
	}
	return NULL;
}

/* Without O_APPEND: the position is shared and must not be used twice. */
static void writers_share_one_position(void)
{
	pthread_t t[WRITERS];
	int bad = 0;
	char line[8];

	g_log = shm_open("/strait-log", O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(shm_unlink("/strait-log") == 0);
	for (intptr_t i = 0; i < WRITERS; i++)
		CHECK(pthread_create(&t[i], NULL, append_lines, (void *)i) == 0);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(lseek(g_log, 0, SEEK_END), 8 * WRITERS * LINES);
	for (int i = 0; i < WRITERS * LINES; i++) {
		CHECK(pread(g_log, line, 8, i * 8) == 8);
		bad |= line[7] != '\n' || line[0] != line[6];
	}
	CHECK_EQ(bad, 0);
	close(g_log);
}

int main(void)
{
	watchdog(40);
	CASE(positions_move);
	CASE(positioned_calls_leave_it);
	CASE(vectors_at_positions);
	CASE(a_write_that_appends);
	CASE(a_long_vector);
	CASE(bad_buffers);
	CASE(access_modes);
	CASE(o_append);
	CASE(sendfile_to_a_socket);
	CASE(sendfile_stops_when_full);
	CASE(copy_file_range_copies);
	CASE(file_size_limit);
	CASE(writers_share_one_position);
	return g_failed;
}
