/* SPDX-License-Identifier: MIT */
/*
 * cat.c - copy standard input to standard output, waiting for it in one of several
 * ways: read, poll, epoll, select, nonblock.  "flags" says what the streams look like.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <unistd.h>

static int wait_for_input(const char *how)
{
	struct pollfd p = {.fd = 0, .events = POLLIN};
	struct epoll_event ev = {.events = EPOLLIN};
	static int ep = -1;
	fd_set in;

	if (strcmp(how, "read") == 0)
		return 1;
	if (strcmp(how, "select") == 0) {
		FD_ZERO(&in);
		FD_SET(0, &in);
		return select(1, &in, NULL, NULL, NULL);
	}
	if (strcmp(how, "epoll") == 0) {
		if (ep < 0) {
			ep = epoll_create1(0);
			if (epoll_ctl(ep, EPOLL_CTL_ADD, 0, &ev) != 0)
				return -1;
		}
		return epoll_wait(ep, &ev, 1, -1);
	}
	return poll(&p, 1, -1);
}

static int write_all(const char *buf, ssize_t n)
{
	for (ssize_t at = 0; at < n;) {
		ssize_t w = write(1, buf + at, (size_t)(n - at));

		if (w < 0)
			return -1;
		at += w;
	}
	return 0;
}

static int flags(void)
{
	struct winsize ws;
	struct stat st;

	for (int fd = 0; fd < 3; fd++) {
		if (fstat(fd, &st) != 0)
			return 1;
		printf("%d mode %d tty %d winsize %d seek %d\n", fd,
		       (int)(fcntl(fd, F_GETFL) & O_ACCMODE), isatty(fd),
		       ioctl(fd, TIOCGWINSZ, &ws), (int)lseek(fd, 0, SEEK_CUR));
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "read";
	static char buf[65536];
	ssize_t n;

	if (strcmp(how, "flags") == 0)
		return flags();
	if (strcmp(how, "nonblock") == 0 && fcntl(0, F_SETFL, O_NONBLOCK) != 0)
		return 1;
	for (;;) {
		n = read(0, buf, strcmp(how, "read") == 0 ? sizeof(buf) : 1000);
		if (n == 0)
			return 0;
		if (n > 0 && write_all(buf, n) != 0)
			return 2;
		if (n < 0 && errno != EAGAIN)
			return 3;
		if (wait_for_input(how) != 1)
			return 4;
	}
}
