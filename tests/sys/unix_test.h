/* SPDX-License-Identifier: MIT */
/*
 * unix_test.h - what the conformance programs about AF_UNIX share.
 *
 * Layer:  tests/sys.
 */
#ifndef TESTS_SYS_UNIX_TEST_H
#define TESTS_SYS_UNIX_TEST_H

#include "tests/sys/check.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define UNUSED __attribute__((unused))

static UNUSED short events_of(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	CHECK(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static UNUSED void pair(int type, int s[2])
{
	CHECK(socketpair(AF_UNIX, type, 0, s) == 0);
}

static UNUSED void close_both(int s[2])
{
	close(s[0]);
	close(s[1]);
}

static UNUSED socklen_t abstract(struct sockaddr_un *a, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	a->sun_path[0] = '\0';
	strcpy(a->sun_path + 1, name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static UNUSED int int_option(int fd, int name)
{
	socklen_t n = sizeof(int);
	int v = -1;

	CHECK(getsockopt(fd, SOL_SOCKET, name, &v, &n) == 0);
	CHECK_EQ(n, sizeof(int));
	return v;
}

#endif /* TESTS_SYS_UNIX_TEST_H */
