/* SPDX-License-Identifier: MIT */
/* test_sys_net_accept.c - bind, listen, accept: ports, backlog, what is inherited. */
#include "tests/sys/net_test.h"

#define N_MANY 200

static void an_accepted_socket_inherits_no_flags(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5), c, s;

	CHECK_EQ(nonblock(l), 0);
	CHECK_EQ(fcntl(l, F_SETFD, FD_CLOEXEC), 0);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	c = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	CHECK_EQ(becomes(l, POLLIN), POLLIN);
	s = accept(l, NULL, NULL);
	CHECK_EQ(fcntl(s, F_GETFL), O_RDWR);
	CHECK_EQ(fcntl(s, F_GETFD), 0);
	close(s);
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	CHECK_EQ(becomes(l, POLLIN), POLLIN);
	s = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	CHECK_EQ(fcntl(s, F_GETFL), O_RDWR | O_NONBLOCK);
	CHECK_EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(syscall(SYS_accept4, l, NULL, NULL, 1), EINVAL);
	close(s);
	close(c);
	close(l);
}

static void options_of_a_listener_are_inherited(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0), s;

	CHECK_EQ(set_int(l, IPPROTO_TCP, TCP_NODELAY, 1), 0);
	CHECK_EQ(set_int(l, SOL_SOCKET, SO_KEEPALIVE, 1), 0);
	CHECK_EQ(set_int(l, IPPROTO_TCP, TCP_KEEPIDLE, 77), 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	s = accept(l, NULL, NULL);
	CHECK_EQ(get_int(s, IPPROTO_TCP, TCP_NODELAY), 1);
	CHECK_EQ(get_int(s, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQ(get_int(s, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	CHECK_EQ(get_int(s, SOL_SOCKET, SO_ACCEPTCONN), 0);
	CHECK_EQ(get_int(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
	close(s);
	close(c);
	close(l);
}

static void the_connected_wait_in_order(void)
{
	struct sockaddr_in a, from, name;
	socklen_t len;
	int l = listener4(&a, 64), c[20], s;

	for (int i = 0; i < 20; i++) {
		c[i] = socket(AF_INET, SOCK_STREAM, 0);
		CHECK_EQ(connect(c[i], SA(&a), sizeof(a)), 0);
		CHECK_EQ(send(c[i], &i, sizeof(i), 0), sizeof(i));
	}
	for (int i = 0; i < 20; i++) {
		int v = -1;

		len = sizeof(from);
		s = accept(l, SA(&from), &len);
		CHECK_EQ(recv(s, &v, sizeof(v), MSG_WAITALL), sizeof(v));
		CHECK_EQ(v, i);
		len = sizeof(name);
		CHECK_EQ(getsockname(c[i], SA(&name), &len), 0);
		CHECK_EQ(name.sin_port, from.sin_port);
		close(s);
		close(c[i]);
	}
	close(l);
}

static void many_come_and_go(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5);

	for (int i = 0; i < N_MANY; i++) {
		int c = socket(AF_INET, SOCK_STREAM, 0), s, v = -1;

		CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
		CHECK_EQ(send(c, &i, sizeof(i), 0), sizeof(i));
		s = accept(l, NULL, NULL);
		CHECK_EQ(recv(s, &v, sizeof(v), MSG_WAITALL), sizeof(v));
		CHECK_EQ(v, i);
		close(i & 1 ? s : c);
		close(i & 1 ? c : s);
	}
	close(l);
}

static void closing_a_listener_resets_who_waits(void)
{
	struct sockaddr_in a;
	char b;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	CHECK_EQ(becomes(l, POLLIN), POLLIN);
	close(l);
	CHECK(becomes(c, POLLHUP) & POLLHUP);
	CHECK_ERR(recv(c, &b, 1, 0), ECONNRESET);
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_ERR(connect(c, SA(&a), sizeof(a)), ECONNREFUSED);
	close(c);
}

static void a_connection_that_reset_can_still_be_accepted(void)
{
	struct sockaddr_in a;
	char b;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0), s;

	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	CHECK_EQ(becomes(l, POLLIN), POLLIN);
	reset(c);
	sleep_ms(20);
	s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	CHECK_ERR(recv(s, &b, 1, 0), ECONNRESET);
	close(s);
	close(l);
}

static void bind_refuses_what_is_not_ours(void)
{
	struct sockaddr_in a = loop4(0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(0xc6336463); /* 198.51.100.99 */
	CHECK_ERR(bind(fd, SA(&a), sizeof(a)), EADDRNOTAVAIL);
	CHECK_ERR(bind(fd, SA(&a), 8), EINVAL);
	a.sin_family = AF_INET6;
	CHECK_ERR(bind(fd, SA(&a), sizeof(a)), EAFNOSUPPORT);
	CHECK_ERR(bind(fd, BAD_PTR, sizeof(a)), EFAULT);
	a = loop4(0);
	CHECK_EQ(bind(fd, SA(&a), sizeof(a)), 0);
	CHECK_ERR(bind(fd, SA(&a), sizeof(a)), EINVAL);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	a = loop4(0);
	a.sin_family = AF_UNSPEC; /* with the wildcard address alone */
	CHECK_ERR(bind(fd, SA(&a), sizeof(a)), EAFNOSUPPORT);
	a.sin_addr.s_addr = 0;
	CHECK_EQ(bind(fd, SA(&a), sizeof(a)), 0);
	close(fd);
}

static void a_port_in_use_gives_eaddrinuse(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5), fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_ERR(bind(fd, SA(&a), sizeof(a)), EADDRINUSE);
	CHECK_EQ(set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CHECK_ERR(bind(fd, SA(&a), sizeof(a)), EADDRINUSE); /* it listens */
	a.sin_addr.s_addr = 0;
	CHECK_ERR(bind(fd, SA(&a), sizeof(a)), EADDRINUSE);
	close(fd);
	close(l);
}

static void with_reuseaddr_two_may_bind_and_one_listen(void)
{
	struct sockaddr_in a = loop4(0);
	socklen_t len = sizeof(a);
	int x = socket(AF_INET, SOCK_STREAM, 0), y = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_EQ(set_int(x, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CHECK_EQ(set_int(y, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CHECK_EQ(bind(x, SA(&a), sizeof(a)), 0);
	CHECK_EQ(getsockname(x, SA(&a), &len), 0);
	CHECK_EQ(bind(y, SA(&a), sizeof(a)), 0);
	CHECK_EQ(listen(x, 1), 0);
	CHECK_ERR(listen(y, 1), EADDRINUSE);
	close(x);
	CHECK_EQ(listen(y, 1), 0);
	close(y);
}

static void a_server_starts_again_at_once_with_reuseaddr(void)
{
	struct sockaddr_in a;
	char b;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0), s, n;

	CHECK_EQ(set_int(l, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	s = accept(l, NULL, NULL);
	close(s); /* first: TIME_WAIT is the server's */
	CHECK_EQ(recv(c, &b, 1, 0), 0);
	close(c);
	close(l);
	sleep_ms(20);
	n = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_ERR(bind(n, SA(&a), sizeof(a)), EADDRINUSE);
	CHECK_EQ(set_int(n, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CHECK_EQ(bind(n, SA(&a), sizeof(a)), 0);
	CHECK_EQ(listen(n, 5), 0);
	c = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	close(c);
	close(n);
}

static void reuseport_shares_a_listening_port(void)
{
	struct sockaddr_in a = loop4(0);
	socklen_t len = sizeof(a);
	int x = socket(AF_INET, SOCK_STREAM, 0), y = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_EQ(set_int(x, SOL_SOCKET, SO_REUSEPORT, 1), 0);
	CHECK_EQ(set_int(y, SOL_SOCKET, SO_REUSEPORT, 1), 0);
	CHECK_EQ(bind(x, SA(&a), sizeof(a)), 0);
	CHECK_EQ(getsockname(x, SA(&a), &len), 0);
	CHECK_EQ(listen(x, 1), 0);
	CHECK_EQ(bind(y, SA(&a), sizeof(a)), 0);
	CHECK_EQ(listen(y, 1), 0);
	close(x);
	close(y);
}

static void listen_without_bind_takes_a_port(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_EQ(listen(l, 0), 0);
	CHECK_EQ(getsockname(l, SA(&a), &len), 0);
	CHECK(a.sin_port != 0);
	CHECK_EQ(a.sin_addr.s_addr, 0);
	a = loop4(ntohs(a.sin_port));
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	CHECK_EQ(listen(l, -1), 0);
	CHECK_EQ(listen(l, 100), 0);
	close(c);
	close(l);
}

static void a_listener_moves_no_data(void)
{
	struct sockaddr_in a;
	char b = 0;
	int l = listener4(&a, 5), u = bound4(SOCK_DGRAM, &a);

	CHECK_ERR(recv(l, &b, 1, 0), ENOTCONN);
	CHECK_ERR(send(l, &b, 1, MSG_NOSIGNAL), EPIPE);
	CHECK_ERR(listen(u, 1), EOPNOTSUPP);
	CHECK_ERR(accept(u, NULL, NULL), EOPNOTSUPP);
	CHECK_EQ(shutdown(l, SHUT_WR), 0);
	CHECK_EQ(shutdown(l, SHUT_RD), 0);
	CHECK_ERR(accept(l, NULL, NULL), EINVAL);
	close(l);
	close(u);
}

static void a_bad_peer_pointer_gives_efault(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0), s;

	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	CHECK_EQ(becomes(l, POLLIN), POLLIN);
	CHECK_ERR(accept(l, BAD_PTR, &len), EFAULT);
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	len = 4;
	s = accept(l, SA(&a), &len);
	CHECK(s >= 0);
	CHECK_EQ(len, sizeof(a));
	close(s);
	close(c);
	close(l);
}

int main(void)
{
	watchdog(40);
	CASE(an_accepted_socket_inherits_no_flags);
	CASE(options_of_a_listener_are_inherited);
	CASE(the_connected_wait_in_order);
	CASE(many_come_and_go);
	CASE(closing_a_listener_resets_who_waits);
	CASE(a_connection_that_reset_can_still_be_accepted);
	CASE(bind_refuses_what_is_not_ours);
	CASE(a_port_in_use_gives_eaddrinuse);
	CASE(with_reuseaddr_two_may_bind_and_one_listen);
	CASE(a_server_starts_again_at_once_with_reuseaddr);
	CASE(reuseport_shares_a_listening_port);
	CASE(listen_without_bind_takes_a_port);
	CASE(a_listener_moves_no_data);
	CASE(a_bad_peer_pointer_gives_efault);
	return g_failed;
}
