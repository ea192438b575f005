/* SPDX-License-Identifier: MIT */
/* test_sys_net_connect.c - connect without waiting, refused, again, interrupted. */
#include "tests/sys/net_test.h"

#include <sys/epoll.h>

/* A port of 127.0.0.1 that nobody listens on. */
static struct sockaddr_in closed_port(void)
{
	struct sockaddr_in a;

	close(bound4(SOCK_STREAM, &a));
	return a;
}

static void nonblocking_connect_ends_writable(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
	    s;

	CHECK_EQ(ready_now(fd, POLLIN | POLLOUT), POLLOUT | POLLHUP);
	CHECK_ERR(connect(fd, SA(&a), sizeof(a)), EINPROGRESS);
	CHECK_EQ(becomes(fd, POLLOUT), POLLOUT);
	CHECK_EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
	CHECK_EQ(connect(fd, SA(&a), sizeof(a)), 0); /* once, for the attempt */
	CHECK_ERR(connect(fd, SA(&a), sizeof(a)), EISCONN);
	s = accept(l, NULL, NULL);
	CHECK_EQ(send(fd, "x", 1, 0), 1);
	close(s);
	close(fd);
	close(l);
}

static void refused_gives_econnrefused(void)
{
	struct sockaddr_in a = closed_port();
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in b;
	int l;

	CHECK_ERR(connect(fd, SA(&a), sizeof(a)), ECONNREFUSED);
	CHECK_EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
	CHECK_EQ(ready_now(fd, POLLIN | POLLOUT) & POLLHUP, POLLHUP);
	CHECK_ERR(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	/* the socket can be used for another attempt */
	l = listener4(&b, 5);
	CHECK_EQ(connect(fd, SA(&b), sizeof(b)), 0);
	close(l);
	close(fd);
}

static void nonblocking_refused_is_told_by_so_error(void)
{
	struct sockaddr_in a = closed_port();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	CHECK_ERR(connect(fd, SA(&a), sizeof(a)), EINPROGRESS);
	CHECK_EQ(becomes(fd, POLLOUT | POLLERR),
	         POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
	CHECK_EQ(get_int(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	CHECK_EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
	CHECK_EQ(ready_now(fd, POLLIN | POLLOUT), POLLIN | POLLOUT | POLLHUP);
	close(fd);
}

static void nonblocking_refused_is_told_by_the_next_connect(void)
{
	struct sockaddr_in a = closed_port();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	CHECK_ERR(connect(fd, SA(&a), sizeof(a)), EINPROGRESS);
	CHECK(becomes(fd, POLLERR) & POLLERR);
	CHECK_ERR(connect(fd, SA(&a), sizeof(a)), ECONNREFUSED);
	CHECK_EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
	close(fd);
}

static void nonblocking_refused_is_told_by_a_read(void)
{
	struct sockaddr_in a = closed_port();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char c;

	CHECK_ERR(connect(fd, SA(&a), sizeof(a)), EINPROGRESS);
	CHECK(becomes(fd, POLLERR) & POLLERR);
	CHECK_ERR(recv(fd, &c, 1, 0), ECONNREFUSED);
	CHECK_EQ(recv(fd, &c, 1, 0), 0);
	close(fd);
}

static void edge_of_a_nonblocking_connect_comes(void)
{
	struct sockaddr_in a;
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	int l = listener4(&a, 5), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int ep = epoll_create1(0);

	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), 0);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 1);
	CHECK_EQ(e.events, EPOLLOUT | EPOLLHUP);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	CHECK_ERR(connect(fd, SA(&a), sizeof(a)), EINPROGRESS);
	CHECK_EQ(epoll_wait(ep, &e, 1, 5000), 1);
	CHECK_EQ(e.events, EPOLLOUT);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	close(ep);
	close(fd);
	close(l);
}

static void bad_addresses_are_refused(void)
{
	struct sockaddr_in a = loop4(9);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_ERR(connect(fd, SA(&a), 1), EINVAL);
	CHECK_ERR(connect(fd, SA(&a), 8), EINVAL);
	a.sin_family = AF_INET6;
	CHECK_ERR(connect(fd, SA(&a), sizeof(a)), EAFNOSUPPORT);
	a.sin_family = 99;
	CHECK_ERR(connect(fd, SA(&a), sizeof(a)), EAFNOSUPPORT);
	CHECK_ERR(connect(fd, BAD_PTR, sizeof(a)), EFAULT);
	CHECK_ERR(connect(fd, SA(&a), (socklen_t)-1), EINVAL);
	CHECK_ERR(connect(fd, SA(&a), 4096), EINVAL);
	a = loop4(9);
	a.sin_addr.s_addr = htonl(0xe0000001); /* 224.0.0.1 */
	CHECK_ERR(connect(fd, SA(&a), sizeof(a)), ENETUNREACH);
	close(fd);
}

static void the_wildcard_is_this_host(void)
{
	struct sockaddr_in a, name;
	socklen_t len = sizeof(name);
	int l = listener4(&a, 5), fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = 0;
	CHECK_EQ(connect(fd, SA(&a), sizeof(a)), 0);
	CHECK_EQ(getpeername(fd, SA(&name), &len), 0);
	CHECK_EQ(name.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	close(fd);
	close(l);
}

static void a_listener_does_not_connect(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5);

	CHECK_ERR(connect(l, SA(&a), sizeof(a)), EISCONN);
	close(l);
}

static void bound_source_is_kept(void)
{
	struct sockaddr_in a, b, name;
	socklen_t len = sizeof(name);
	int l = listener4(&a, 5), fd = bound4(SOCK_STREAM, &b), s;

	CHECK_EQ(connect(fd, SA(&a), sizeof(a)), 0);
	s = accept(l, SA(&name), &len);
	CHECK_EQ(name.sin_port, b.sin_port);
	close(s);
	close(fd);
	close(l);
}

int main(void)
{
	watchdog(40);
	CASE(nonblocking_connect_ends_writable);
	CASE(refused_gives_econnrefused);
	CASE(nonblocking_refused_is_told_by_so_error);
	CASE(nonblocking_refused_is_told_by_the_next_connect);
	CASE(nonblocking_refused_is_told_by_a_read);
	CASE(edge_of_a_nonblocking_connect_comes);
	CASE(bad_addresses_are_refused);
	CASE(the_wildcard_is_this_host);
	CASE(a_listener_does_not_connect);
	CASE(bound_source_is_kept);
	return g_failed;
}
