/* SPDX-License-Identifier: MIT */
/*
 * net_test.h - what the conformance programs about AF_INET sockets share: addresses of
 * the loopback, pairs of connected sockets, waiting for readiness.
 *
 * Data on a loopback arrives at once on Linux and soon on Strait: a case that looks
 * without waiting first waits for what must come (becomes()).
 */
#ifndef TESTS_SYS_NET_TEST_H
#define TESTS_SYS_NET_TEST_H

#include "tests/sys/check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#define SA(a) ((struct sockaddr *)(a))
#define UNUSED __attribute__((unused))

static UNUSED struct sockaddr_in loop4(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	                        .sin_port = htons((uint16_t)port)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static UNUSED struct sockaddr_in6 loop6(int port)
{
	return (struct sockaddr_in6){.sin6_family = AF_INET6,
	                             .sin6_port = htons((uint16_t)port),
	                             .sin6_addr = IN6ADDR_LOOPBACK_INIT};
}

/* A socket of @type bound to a free port of 127.0.0.1, which @a tells. */
static UNUSED int bound4(int type, struct sockaddr_in *a)
{
	socklen_t len = sizeof(*a);
	int fd = socket(AF_INET, type, 0);

	*a = loop4(0);
	CHECK_EQ(bind(fd, SA(a), sizeof(*a)), 0);
	CHECK_EQ(getsockname(fd, SA(a), &len), 0);
	return fd;
}

static UNUSED int listener4(struct sockaddr_in *a, int backlog)
{
	int fd = bound4(SOCK_STREAM, a);

	CHECK_EQ(listen(fd, backlog), 0);
	return fd;
}

/* sv[0] connected, sv[1] accepted. */
static UNUSED void tcp_pair(int sv[2])
{
	struct sockaddr_in a;
	int l = listener4(&a, 1);

	sv[0] = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect(sv[0], SA(&a), sizeof(a)), 0);
	sv[1] = accept(l, NULL, NULL);
	CHECK(sv[1] >= 0);
	close(l);
}

static UNUSED int nonblock(int fd)
{
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* What poll says of @events at once. */
static UNUSED int ready_now(int fd, int events)
{
	struct pollfd p = {.fd = fd, .events = (short)events};

	CHECK(poll(&p, 1, 0) >= 0);
	return p.revents;
}

/* What poll says once it shows all of @want; after five seconds, whatever it shows. */
static UNUSED int becomes(int fd, int want)
{
	const int all = POLLIN | POLLOUT | POLLRDHUP | POLLPRI;
	int got = 0;

	for (int i = 0; i < 2500; i++) {
		got = ready_now(fd, all);
		if ((got & want) == want)
			break;
		sleep_ms(2);
	}
	return got;
}

static UNUSED int get_int(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	CHECK_EQ(getsockopt(fd, level, name, &v, &len), 0);
	return v;
}

static UNUSED int set_int(int fd, int level, int name, int v)
{
	return setsockopt(fd, level, name, &v, sizeof(v));
}

/* Close so that the peer is told by RST. */
static UNUSED void reset(int fd)
{
	struct linger l = {.l_onoff = 1};

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	close(fd);
}

#endif /* TESTS_SYS_NET_TEST_H */
