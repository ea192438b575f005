/* SPDX-License-Identifier: MIT */
/* test_sys_net_again.c - a TCP socket that is given up and used again: connect() with
 * AF_UNSPEC, shutdown() of a listener and of an attempt; TCP_DEFER_ACCEPT. */
#include "tests/sys/net_test.h"

static const struct sockaddr g_none = {.sa_family = AF_UNSPEC};

static int give_up(int fd)
{
	return connect(fd, &g_none, sizeof(g_none));
}

static int port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	CHECK_EQ(getsockname(fd, SA(&a), &len), 0);
	return ntohs(a.sin_port);
}

static uint32_t host_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	CHECK_EQ(getsockname(fd, SA(&a), &len), 0);
	return ntohl(a.sin_addr.s_addr);
}

/* Bound to a port by its number: such a port stays when the socket is given up. */
static int numbered(struct sockaddr_in *a)
{
	int fd;

	close(bound4(SOCK_STREAM, a));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CHECK_EQ(bind(fd, SA(a), sizeof(*a)), 0);
	return fd;
}

static int numbered_listener(struct sockaddr_in *a)
{
	int fd = numbered(a);

	CHECK_EQ(listen(fd, 5), 0);
	return fd;
}

static void giving_up_a_connection_resets_the_peer(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int sv[2];
	char c;

	tcp_pair(sv);
	CHECK_EQ(give_up(sv[0]), 0);
	CHECK_ERR(recv(sv[1], &c, 1, 0), ECONNRESET);
	CHECK_ERR(getpeername(sv[0], SA(&a), &len), ENOTCONN);
	CHECK_EQ(host_of(sv[0]), 0);
	CHECK_EQ(ready_now(sv[0], POLLIN | POLLOUT), POLLOUT | POLLERR | POLLHUP);
	CHECK_EQ(get_int(sv[0], SOL_SOCKET, SO_ERROR), ECONNRESET);
	CHECK_EQ(get_int(sv[0], SOL_SOCKET, SO_ERROR), 0);
	CHECK_ERR(recv(sv[0], &c, 1, 0), ENOTCONN);
	CHECK_ERR(send(sv[0], &c, 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(ready_now(sv[0], POLLIN | POLLOUT), POLLOUT | POLLHUP);
	close(sv[0]);
	close(sv[1]);
}

static void it_connects_again_and_old_bytes_are_gone(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0), s;
	char b[8];

	for (int i = 0; i < 5; i++) {
		CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
		s = accept(l, NULL, NULL);
		CHECK_EQ(send(s, "gone", 4, 0), 4);
		CHECK_EQ(send(c, "hello", 5, 0), 5);
		CHECK_EQ(recv(s, b, 5, MSG_WAITALL), 5);
		CHECK_EQ(memcmp(b, "hello", 5), 0);
		CHECK_EQ(becomes(c, POLLIN), POLLIN | POLLOUT);
		CHECK_EQ(give_up(c), 0);
		close(s);
	}
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	s = accept(l, NULL, NULL);
	CHECK_ERR(recv(c, b, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(send(s, "new", 3, 0), 3);
	CHECK_EQ(recv(c, b, sizeof(b), 0), 3);
	CHECK_EQ(memcmp(b, "new", 3), 0);
	CHECK_EQ(get_int(c, SOL_SOCKET, SO_ERROR), 0);
	close(s);
	CHECK_EQ(recv(c, b, 1, 0), 0);
	close(c);
	close(l);
}

static void much_passes_after_it(void)
{
	enum { ALL = 3 << 20 };
	struct sockaddr_in a;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0), s;
	static char b[65536];
	long got = 0;

	for (int i = 0; i < 2; i++) {
		long sent = 0;

		CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
		s = accept(l, NULL, NULL);
		CHECK_EQ(nonblock(s), 0);
		for (got = 0; got < ALL;) {
			long n = send(s, b, sizeof(b), 0);

			if (n > 0)
				sent += n;
			else
				CHECK(n == -1 && errno == EAGAIN);
			while (got < ALL && (n = recv(c, b, sizeof(b), MSG_DONTWAIT)) > 0)
				got += n;
		}
		CHECK(sent >= ALL);
		CHECK_EQ(give_up(c), 0);
		close(s);
	}
	close(c);
	close(l);
}

static void a_port_bound_by_number_stays_a_chosen_one_goes(void)
{
	struct sockaddr_in a, b;
	int l = listener4(&a, 5), c = numbered(&b), s;

	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	s = accept(l, NULL, NULL);
	CHECK_EQ(give_up(c), 0);
	CHECK_EQ(port_of(c), ntohs(b.sin_port));
	CHECK_EQ(host_of(c), INADDR_LOOPBACK);
	CHECK_ERR(bind(c, SA(&b), sizeof(b)), EINVAL);
	close(s);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	s = accept(l, NULL, NULL);
	CHECK_EQ(port_of(c), ntohs(b.sin_port));
	close(s);
	close(c);
	for (int bound = 0; bound < 2; bound++) {
		c = bound ? bound4(SOCK_STREAM, &b) : socket(AF_INET, SOCK_STREAM, 0);
		CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
		s = accept(l, NULL, NULL);
		CHECK_EQ(give_up(c), 0);
		CHECK_EQ(host_of(c), bound ? INADDR_LOOPBACK : 0);
		b = loop4(0);
		CHECK_EQ(bind(c, SA(&b), sizeof(b)), 0);
		CHECK(port_of(c) != 0);
		close(s);
		close(c);
	}
	close(l);
}

static void it_can_listen_after_it(void)
{
	struct sockaddr_in a, b;
	int l = listener4(&a, 5), x = numbered(&b), s, c;

	CHECK_EQ(connect(x, SA(&a), sizeof(a)), 0);
	s = accept(l, NULL, NULL);
	CHECK_ERR(listen(x, 5), EINVAL);
	CHECK_EQ(give_up(x), 0);
	close(s);
	CHECK_EQ(listen(x, 5), 0);
	c = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect(c, SA(&b), sizeof(b)), 0);
	s = accept(x, NULL, NULL);
	CHECK_EQ(send(s, "x", 1, 0), 1);
	close(s);
	close(c);
	close(x);
	close(l);
}

static void the_error_of_the_old_connection_is_not_told_by_accept(void)
{
	struct sockaddr_in a, b;
	int l = listener4(&a, 5), x = numbered(&b), s;

	CHECK_EQ(connect(x, SA(&a), sizeof(a)), 0);
	s = accept(l, NULL, NULL);
	CHECK_EQ(give_up(x), 0);
	close(s);
	CHECK_EQ(listen(x, 5), 0);
	CHECK_EQ(nonblock(x), 0);
	CHECK_ERR(accept(x, NULL, NULL), EAGAIN);
	CHECK_EQ(ready_now(x, POLLIN | POLLOUT), 0);
	CHECK_EQ(get_int(x, SOL_SOCKET, SO_ERROR), ECONNRESET);
	close(x);
	close(l);
}

static void after_shut_rd_too(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0), s;
	static char b[100000];

	for (int i = 0; i < 3; i++) {
		CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
		s = accept(l, NULL, NULL);
		CHECK_EQ(shutdown(c, SHUT_RD), 0);
		CHECK_EQ(send(s, b, sizeof(b), MSG_NOSIGNAL), sizeof(b));
		CHECK_EQ(recv(c, b, 0, 0), 0);
		sleep_ms(20);
		CHECK_EQ(give_up(c), 0);
		close(s);
		CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
		s = accept(l, NULL, NULL);
		CHECK_EQ(send(s, "abc", 3, 0), 3);
		CHECK_EQ(recv(c, b, 8, 0), 3);
		CHECK_EQ(memcmp(b, "abc", 3), 0);
		memset(b, 0, 3);
		CHECK_EQ(give_up(c), 0);
		close(s);
	}
	close(c);
	close(l);
}

static void both_ends_closed_leaves_no_error(void)
{
	int sv[2];
	char c;

	tcp_pair(sv);
	CHECK_EQ(shutdown(sv[1], SHUT_WR), 0);
	CHECK_EQ(recv(sv[0], &c, 1, 0), 0);
	CHECK_EQ(shutdown(sv[0], SHUT_WR), 0);
	CHECK_EQ(recv(sv[1], &c, 1, 0), 0);
	sleep_ms(30);
	CHECK_EQ(give_up(sv[0]), 0);
	CHECK_EQ(get_int(sv[0], SOL_SOCKET, SO_ERROR), 0);
	close(sv[0]);
	close(sv[1]);
}

static void a_new_socket_has_nothing_to_give_up(void)
{
	struct sockaddr_in b;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_EQ(give_up(fd), 0);
	CHECK_EQ(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
	CHECK_ERR(connect(fd, &g_none, 1), EINVAL);
	close(fd);
	fd = bound4(SOCK_STREAM, &b);
	CHECK_EQ(give_up(fd), 0);
	CHECK_EQ(port_of(fd), ntohs(b.sin_port));
	close(fd);
}

static void ipv6_too(void)
{
	struct sockaddr_in6 a = loop6(0);
	socklen_t len = sizeof(a);
	int l = socket(AF_INET6, SOCK_STREAM, 0), c = socket(AF_INET6, SOCK_STREAM, 0), s;
	char b;

	CHECK_EQ(bind(l, SA(&a), sizeof(a)), 0);
	CHECK_EQ(listen(l, 5), 0);
	CHECK_EQ(getsockname(l, SA(&a), &len), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
		s = accept(l, NULL, NULL);
		CHECK_EQ(give_up(c), 0);
		CHECK_ERR(recv(s, &b, 1, 0), ECONNRESET);
		close(s);
	}
	close(c);
	close(l);
}

/* ---- listeners ---- */

static void a_listener_that_gives_up_refuses_and_resets(void)
{
	struct sockaddr_in a;
	int l = numbered_listener(&a), c = socket(AF_INET, SOCK_STREAM, 0), d;
	char b;

	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	CHECK_EQ(becomes(l, POLLIN), POLLIN);
	CHECK_EQ(give_up(l), 0);
	CHECK_ERR(recv(c, &b, 1, 0), ECONNRESET);
	CHECK_ERR(accept(l, NULL, NULL), EINVAL);
	CHECK_EQ(get_int(l, SOL_SOCKET, SO_ACCEPTCONN), 0);
	d = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_ERR(connect(d, SA(&a), sizeof(a)), ECONNREFUSED);
	CHECK_EQ(port_of(l), ntohs(a.sin_port));
	CHECK_EQ(listen(l, 5), 0);
	CHECK_EQ(connect(d, SA(&a), sizeof(a)), 0);
	close(accept(l, NULL, NULL));
	close(c);
	close(d);
	close(l);
}

static void a_listener_listens_again_after_shutdown(void)
{
	struct sockaddr_in a;
	int l = numbered_listener(&a), c, s;

	for (int i = 0; i < 3; i++) {
		c = socket(AF_INET, SOCK_STREAM, 0);
		CHECK_EQ(shutdown(l, SHUT_WR), 0); /* changes nothing */
		CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
		s = accept(l, NULL, NULL);
		CHECK(s >= 0);
		close(s);
		close(c);
		CHECK_EQ(shutdown(l, i == 1 ? SHUT_RDWR : SHUT_RD), 0);
		CHECK_ERR(accept(l, NULL, NULL), EINVAL);
		CHECK_EQ(ready_now(l, POLLIN | POLLOUT), POLLOUT | POLLHUP);
		c = socket(AF_INET, SOCK_STREAM, 0);
		CHECK_ERR(connect(c, SA(&a), sizeof(a)), ECONNREFUSED);
		close(c);
		CHECK_EQ(listen(l, 5), 0);
	}
	close(l);
}

static void who_waits_is_reset_by_shutdown_of_the_listener(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0);
	char b;

	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	CHECK_EQ(becomes(l, POLLIN), POLLIN);
	CHECK_EQ(shutdown(l, SHUT_RD), 0);
	CHECK_ERR(recv(c, &b, 1, 0), ECONNRESET);
	CHECK_EQ(listen(l, 5), 0);
	sleep_ms(30);
	CHECK_EQ(ready_now(l, POLLIN), 0);
	close(c);
	close(l);
}

static void a_stopped_listener_connects(void)
{
	struct sockaddr_in a, b;
	int l = listener4(&a, 5), x = numbered_listener(&b), s;
	char c = 'x';

	CHECK_EQ(shutdown(x, SHUT_RD), 0);
	CHECK_EQ(connect(x, SA(&a), sizeof(a)), 0);
	s = accept(l, NULL, NULL);
	CHECK_EQ(send(x, &c, 1, 0), 1);
	CHECK_EQ(recv(s, &c, 1, 0), 1);
	CHECK_EQ(port_of(x), ntohs(b.sin_port));
	close(s);
	close(x);
	close(l);
}

/* ---- TCP_DEFER_ACCEPT ---- */

static void a_deferred_connection_waits_for_its_first_byte(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0), s;
	char b;

	CHECK_EQ(set_int(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 30), 0);
	CHECK_EQ(nonblock(l), 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	sleep_ms(100);
	CHECK_EQ(ready_now(l, POLLIN), 0);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	CHECK_EQ(send(c, "x", 1, 0), 1);
	CHECK_EQ(becomes(l, POLLIN), POLLIN);
	s = accept(l, NULL, NULL);
	CHECK_EQ(recv(s, &b, 1, MSG_DONTWAIT), 1);
	CHECK_EQ(b, 'x');
	close(s);
	close(c);
	close(l);
}

static void a_deferred_one_that_closes_is_accepted(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0), s;
	char b;

	CHECK_EQ(set_int(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 30), 0);
	CHECK_EQ(nonblock(l), 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	sleep_ms(20);
	close(c);
	CHECK_EQ(becomes(l, POLLIN), POLLIN);
	s = accept(l, NULL, NULL);
	CHECK_EQ(recv(s, &b, 1, 0), 0);
	close(s);
	close(l);
}

static void a_silent_one_is_accepted_in_the_end(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0), s;

	CHECK_EQ(set_int(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1), 0);
	CHECK_EQ(nonblock(l), 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	sleep_ms(100);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	CHECK_EQ(becomes(l, POLLIN), POLLIN); /* after a second, of five that it waits */
	s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	close(s);
	close(c);
	close(l);
}

static void a_deferred_one_ends_with_its_listener(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0);
	char b;

	CHECK_EQ(set_int(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 30), 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	sleep_ms(20);
	CHECK_EQ(set_int(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0), 0);
	close(l);
	sleep_ms(20);
	(void)send(c, "x", 1, MSG_NOSIGNAL);
	CHECK(becomes(c, POLLHUP) & POLLHUP);
	(void)recv(c, &b, 1, MSG_DONTWAIT);
	CHECK_ERR(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
	close(c);
}

int main(void)
{
	watchdog(50);
	CASE(giving_up_a_connection_resets_the_peer);
	CASE(it_connects_again_and_old_bytes_are_gone);
	CASE(much_passes_after_it);
	CASE(a_port_bound_by_number_stays_a_chosen_one_goes);
	CASE(it_can_listen_after_it);
	CASE(the_error_of_the_old_connection_is_not_told_by_accept);
	CASE(after_shut_rd_too);
	CASE(both_ends_closed_leaves_no_error);
	CASE(a_new_socket_has_nothing_to_give_up);
	CASE(ipv6_too);
	CASE(a_listener_that_gives_up_refuses_and_resets);
	CASE(a_listener_listens_again_after_shutdown);
	CASE(who_waits_is_reset_by_shutdown_of_the_listener);
	CASE(a_stopped_listener_connects);
	CASE(a_deferred_connection_waits_for_its_first_byte);
	CASE(a_deferred_one_that_closes_is_accepted);
	CASE(a_silent_one_is_accepted_in_the_end);
	CASE(a_deferred_one_ends_with_its_listener);
	return g_failed;
}
