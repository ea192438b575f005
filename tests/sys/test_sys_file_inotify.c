/* SPDX-License-Identifier: MIT */
/* inotify: descriptors and refusals.  Where no events are to be had, a watch is
 * refused with ENOSPC and programs look for themselves.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static void descriptors(void)
{
	struct pollfd p = {.events = POLLIN};
	char buf[4096];
	int n = -1;

	p.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	EXPECT(p.fd >= 0);
	EXPECT_EQ(fcntl(p.fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_ERR(read(p.fd, buf, sizeof(buf)), EAGAIN);
	EXPECT(ioctl(p.fd, FIONREAD, &n) == 0);
	EXPECT_EQ(n, 0);
	EXPECT_ERR(write(p.fd, buf, 1), EBADF);
	EXPECT_EQ(lseek(p.fd, 10, SEEK_SET), 0);
	EXPECT(close(p.fd) == 0);
	EXPECT_ERR(inotify_init1(0x40), EINVAL);
	p.fd = (int)syscall(SYS_inotify_init);
	EXPECT(p.fd >= 0);
	EXPECT_EQ(fcntl(p.fd, F_GETFD), 0);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_EQ(fcntl(p.fd, F_GETFL), O_RDONLY);
	EXPECT(close(p.fd) == 0);
}

static void watches(void)
{
	int fd = inotify_init1(IN_NONBLOCK), file, wd;

	put_file("f", "x");
	file = open("f", O_RDONLY);
	wd = inotify_add_watch(fd, "f", IN_MODIFY);
	EXPECT(wd >= 1 || errno == ENOSPC);
	EXPECT_ERR(inotify_add_watch(fd, "missing", IN_MODIFY), ENOENT);
	EXPECT_ERR(inotify_add_watch(fd, "f", IN_MODIFY | IN_ONLYDIR), ENOTDIR);
	EXPECT_ERR(inotify_add_watch(fd, "f", 0), EINVAL);
	EXPECT_ERR(inotify_add_watch(file, "f", IN_MODIFY), EINVAL);
	EXPECT_ERR(inotify_add_watch(99, "f", IN_MODIFY), EBADF);
	EXPECT_ERR(syscall(SYS_inotify_add_watch, fd, BAD_PTR, IN_MODIFY), EFAULT);
	EXPECT_ERR(inotify_rm_watch(fd, 77), EINVAL);
	EXPECT_ERR(inotify_rm_watch(file, 1), EINVAL);
	EXPECT_ERR(inotify_rm_watch(99, 1), EBADF);
	close(file);
	close(fd);
}

int main(void)
{
	CASE(descriptors);
	CASE(watches);
	return g_failed;
}
