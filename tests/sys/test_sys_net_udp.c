/* SPDX-License-Identifier: MIT */
/* test_sys_net_udp.c - datagrams: names, sizes, connecting, errors. */
#include "tests/sys/net_test.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

static char g_big[70000], g_in[70000];

static void wait_in(int fd)
{
	CHECK(becomes(fd, POLLIN) & POLLIN);
}

static void a_datagram_names_its_sender(void)
{
	struct sockaddr_in a, b, from;
	socklen_t len = sizeof(from);
	int x = bound4(SOCK_DGRAM, &a), y = bound4(SOCK_DGRAM, &b);
	char buf[16];

	CHECK_EQ(sendto(y, "hello", 5, 0, SA(&a), sizeof(a)), 5);
	CHECK_EQ(recvfrom(x, buf, sizeof(buf), 0, SA(&from), &len), 5);
	CHECK_EQ(len, sizeof(from));
	CHECK_EQ(from.sin_port, b.sin_port);
	CHECK_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(sendto(x, buf, 5, 0, SA(&from), len), 5);
	len = 4;
	CHECK_EQ(recvfrom(y, buf, sizeof(buf), 0, SA(&from), &len), 5);
	CHECK_EQ(len, sizeof(from));
	CHECK_ERR(recv(x, buf, 1, MSG_DONTWAIT), EAGAIN);
	close(x);
	close(y);
}

static void sending_binds(void)
{
	struct sockaddr_in a, name;
	socklen_t len = sizeof(name);
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(getsockname(y, SA(&name), &len), 0);
	CHECK_EQ(name.sin_port, 0);
	CHECK_EQ(sendto(y, "x", 1, 0, SA(&a), sizeof(a)), 1);
	CHECK_EQ(getsockname(y, SA(&name), &len), 0);
	CHECK(name.sin_port != 0);
	CHECK_EQ(name.sin_addr.s_addr, 0);
	CHECK_ERR(getpeername(y, SA(&name), &len), ENOTCONN);
	close(x);
	close(y);
}

static void a_long_datagram_is_cut_and_told(void)
{
	struct sockaddr_in a;
	struct iovec io = {g_in, 3};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET, SOCK_DGRAM, 0);

	for (int i = 0; i < 4; i++)
		CHECK_EQ(sendto(y, "hello", 5, 0, SA(&a), sizeof(a)), 5);
	wait_in(x);
	CHECK_EQ(recv(x, g_in, 3, 0), 3);
	wait_in(x);
	CHECK_EQ(recv(x, g_in, 3, MSG_TRUNC), 5);
	wait_in(x);
	CHECK_EQ(recvmsg(x, &m, MSG_PEEK | MSG_TRUNC), 5);
	CHECK_EQ(m.msg_flags, MSG_TRUNC);
	CHECK_EQ(recvmsg(x, &m, 0), 3);
	CHECK_EQ(m.msg_flags, MSG_TRUNC);
	wait_in(x);
	io.iov_len = 5;
	CHECK_EQ(recvmsg(x, &m, 0), 5);
	CHECK_EQ(m.msg_flags, 0);
	close(x);
	close(y);
}

static void an_empty_datagram_is_one(void)
{
	struct sockaddr_in a, from;
	socklen_t len = sizeof(from);
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(sendto(y, NULL, 0, 0, SA(&a), sizeof(a)), 0);
	wait_in(x);
	CHECK_EQ(recvfrom(x, g_in, 8, 0, SA(&from), &len), 0);
	CHECK_EQ(len, sizeof(from));
	CHECK_ERR(recv(x, g_in, 8, MSG_DONTWAIT), EAGAIN);
	/* write() of nothing sends nothing but an empty datagram */
	CHECK_EQ(connect(y, SA(&a), sizeof(a)), 0);
	CHECK_EQ(write(y, "", 0), 0);
	wait_in(x);
	CHECK_EQ(recv(x, g_in, 8, MSG_DONTWAIT), 0);
	close(x);
	close(y);
}

static void the_largest_goes_through(void)
{
	struct sockaddr_in a;
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET, SOCK_DGRAM, 0);

	for (int i = 0; i < 65507; i++)
		g_big[i] = (char)(i * 7 + i / 256);
	CHECK_EQ(sendto(y, g_big, 65507, 0, SA(&a), sizeof(a)), 65507);
	CHECK_EQ(recv(x, g_in, sizeof(g_in), 0), 65507);
	CHECK(memcmp(g_in, g_big, 65507) == 0);
	CHECK_ERR(sendto(y, g_big, 65508, 0, SA(&a), sizeof(a)), EMSGSIZE);
	CHECK_ERR(sendto(y, g_big, 70000, 0, SA(&a), sizeof(a)), EMSGSIZE);
	for (int n = 1400; n < 4000; n += 537) {
		CHECK_EQ(sendto(y, g_big, (size_t)n, 0, SA(&a), sizeof(a)), n);
		CHECK_EQ(recv(x, g_in, sizeof(g_in), 0), n);
		CHECK(memcmp(g_in, g_big, (size_t)n) == 0);
	}
	close(x);
	close(y);
}

static void connected_takes_from_its_peer_alone(void)
{
	struct sockaddr un = {.sa_family = AF_UNSPEC};
	struct sockaddr_in a, b, c, name;
	socklen_t len = sizeof(name);
	int x = bound4(SOCK_DGRAM, &a), y = bound4(SOCK_DGRAM, &b);
	int z = bound4(SOCK_DGRAM, &c);

	close(x); /* a port that was asked for by number outlives the disconnecting */
	x = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK_EQ(bind(x, SA(&a), sizeof(a)), 0);
	CHECK_EQ(connect(x, SA(&b), sizeof(b)), 0);
	CHECK_EQ(getpeername(x, SA(&name), &len), 0);
	CHECK_EQ(name.sin_port, b.sin_port);
	CHECK_EQ(sendto(z, "no", 2, 0, SA(&a), sizeof(a)), 2);
	CHECK_EQ(sendto(y, "yes", 3, 0, SA(&a), sizeof(a)), 3);
	CHECK_EQ(recv(x, g_in, 8, 0), 3);
	CHECK_EQ(send(x, "back", 4, 0), 4);
	CHECK_EQ(recv(y, g_in, 8, 0), 4);
	/* another peer by connect, another destination by sendto */
	CHECK_EQ(connect(x, SA(&c), sizeof(c)), 0);
	CHECK_EQ(send(x, "z", 1, 0), 1);
	CHECK_EQ(recv(z, g_in, 8, 0), 1);
	CHECK_EQ(sendto(x, "yy", 2, 0, SA(&b), sizeof(b)), 2);
	CHECK_EQ(recv(y, g_in, 8, 0), 2);
	CHECK_EQ(connect(x, &un, sizeof(un)), 0);
	CHECK_ERR(getpeername(x, SA(&name), &len), ENOTCONN);
	CHECK_ERR(send(x, "z", 1, 0), EDESTADDRREQ);
	CHECK_EQ(getsockname(x, SA(&name), &len), 0);
	CHECK_EQ(name.sin_port, a.sin_port);
	CHECK_EQ(sendto(z, "any", 3, 0, SA(&a), sizeof(a)), 3);
	CHECK_EQ(recv(x, g_in, 8, 0), 3);
	close(x);
	close(y);
	close(z);
}

static void connecting_picks_the_source_address(void)
{
	struct sockaddr_in a = loop4(9), name;
	struct sockaddr un = {.sa_family = AF_UNSPEC};
	socklen_t len = sizeof(name);
	int x = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(connect(x, SA(&a), sizeof(a)), 0);
	CHECK_EQ(getsockname(x, SA(&name), &len), 0);
	CHECK_EQ(name.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK(name.sin_port != 0);
	CHECK_EQ(connect(x, &un, sizeof(un)), 0);
	CHECK_EQ(getsockname(x, SA(&name), &len), 0);
	CHECK_EQ(name.sin_addr.s_addr, 0);
	CHECK_EQ(name.sin_port, 0);
	close(x);
}

static void nobody_there_gives_econnrefused_to_the_connected(void)
{
	struct sockaddr_in a;
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET, SOCK_DGRAM, 0);

	close(x);
	CHECK_EQ(sendto(y, "x", 1, 0, SA(&a), sizeof(a)), 1);
	sleep_ms(20);
	CHECK_ERR(recv(y, g_in, 8, MSG_DONTWAIT), EAGAIN); /* not connected: not told */
	CHECK_EQ(connect(y, SA(&a), sizeof(a)), 0);
	CHECK_EQ(send(y, "x", 1, 0), 1);
	CHECK_EQ(becomes(y, POLLERR), POLLOUT | POLLERR);
	CHECK_ERR(recv(y, g_in, 8, 0), ECONNREFUSED);
	CHECK_ERR(recv(y, g_in, 8, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(ready_now(y, POLLIN | POLLOUT), POLLOUT);
	CHECK_EQ(send(y, "x", 1, 0), 1);
	CHECK(becomes(y, POLLERR) & POLLERR);
	CHECK_ERR(send(y, "x", 1, 0), ECONNREFUSED);
	CHECK_EQ(send(y, "x", 1, 0), 1);
	CHECK(becomes(y, POLLERR) & POLLERR);
	CHECK_EQ(get_int(y, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	CHECK_EQ(get_int(y, SOL_SOCKET, SO_ERROR), 0);
	close(y);
}

static void destinations_are_checked(void)
{
	struct sockaddr_in a = loop4(0);
	int y = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_ERR(send(y, "x", 1, 0), EDESTADDRREQ);
	CHECK_ERR(write(y, "x", 1), EDESTADDRREQ);
	CHECK_ERR(sendto(y, "x", 1, 0, SA(&a), sizeof(a)), EINVAL); /* port 0 */
	a = loop4(9);
	CHECK_ERR(sendto(y, "x", 1, 0, SA(&a), 8), EINVAL);
	a.sin_family = AF_INET6;
	CHECK_ERR(sendto(y, "x", 1, 0, SA(&a), sizeof(a)), EAFNOSUPPORT);
	a = loop4(9);
	CHECK_ERR(sendto(y, "x", 1, MSG_OOB, SA(&a), sizeof(a)), EOPNOTSUPP);
	CHECK_ERR(recv(y, g_in, 1, MSG_OOB | MSG_DONTWAIT), EAGAIN);
	CHECK_ERR(shutdown(y, SHUT_WR), ENOTCONN);
	close(y);
}

static void broadcast_needs_leave(void)
{
	struct sockaddr_in a = loop4(9);
	int y = socket(AF_INET, SOCK_DGRAM, 0);

	a.sin_addr.s_addr = INADDR_BROADCAST;
	CHECK_EQ(get_int(y, SOL_SOCKET, SO_BROADCAST), 0);
	errno = 0;
	CHECK_EQ(sendto(y, "x", 1, 0, SA(&a), sizeof(a)), -1);
	/* a machine without a route says so first */
	CHECK(errno == EACCES || errno == ENETUNREACH);
	CHECK_EQ(set_int(y, SOL_SOCKET, SO_BROADCAST, 1), 0);
	CHECK_EQ(get_int(y, SOL_SOCKET, SO_BROADCAST), 1);
	close(y);
}

static void two_may_share_a_port_only_with_leave(void)
{
	struct sockaddr_in a;
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_ERR(bind(y, SA(&a), sizeof(a)), EADDRINUSE);
	CHECK_EQ(set_int(y, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CHECK_ERR(bind(y, SA(&a), sizeof(a)), EADDRINUSE);
	CHECK_EQ(set_int(x, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CHECK_EQ(bind(y, SA(&a), sizeof(a)), 0);
	CHECK_ERR(bind(y, SA(&a), sizeof(a)), EINVAL);
	close(x);
	close(y);
}

static void fionread_tells_the_next_datagram(void)
{
	struct sockaddr_in a;
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET, SOCK_DGRAM, 0), n = -1;

	CHECK_EQ(ioctl(x, FIONREAD, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_EQ(sendto(y, "hello", 5, 0, SA(&a), sizeof(a)), 5);
	CHECK_EQ(sendto(y, "hello", 5, 0, SA(&a), sizeof(a)), 5);
	wait_in(x);
	CHECK_EQ(ioctl(x, FIONREAD, &n), 0);
	CHECK_EQ(n, 5);
	n = -1;
	CHECK_EQ(ioctl(y, SIOCOUTQ, &n), 0);
	CHECK_EQ(n, 0);
	close(x);
	close(y);
}

static void shutdown_of_a_connected_datagram_socket(void)
{
	struct sockaddr_in a, b;
	int x = bound4(SOCK_DGRAM, &a), y = bound4(SOCK_DGRAM, &b);

	CHECK_EQ(connect(x, SA(&b), sizeof(b)), 0);
	CHECK_EQ(shutdown(x, SHUT_WR), 0);
	CHECK_ERR(send(x, "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(shutdown(x, SHUT_RD), 0);
	CHECK_EQ(recv(x, g_in, 8, 0), 0);
	CHECK(ready_now(x, POLLIN | POLLRDHUP) & POLLRDHUP);
	close(x);
	close(y);
}

static void peeking_takes_nothing(void)
{
	struct sockaddr_in a;
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(sendto(y, "one", 3, 0, SA(&a), sizeof(a)), 3);
	CHECK_EQ(sendto(y, "three", 5, 0, SA(&a), sizeof(a)), 5);
	CHECK_EQ(recv(x, g_in, 8, MSG_PEEK), 3);
	CHECK_EQ(recv(x, g_in, 8, MSG_PEEK), 3);
	CHECK_EQ(recv(x, g_in, 8, 0), 3);
	CHECK_EQ(recv(x, g_in, 8, MSG_WAITALL), 5);
	close(x);
	close(y);
}

static void what_the_network_says_is_told_at_once(void)
{
	struct sockaddr_in a = loop4(9);
	struct sockaddr_in6 m = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	int y = socket(AF_INET, SOCK_DGRAM, 0), z = socket(AF_INET6, SOCK_DGRAM, 0);

	a.sin_addr.s_addr = htonl(0x7fffffff); /* 127.255.255.255: all of the loopback */
	CHECK_ERR(sendto(y, "x", 1, 0, SA(&a), sizeof(a)), EACCES);
	CHECK_EQ(get_int(y, SOL_SOCKET, SO_ERROR), 0);
	CHECK_EQ(set_int(y, SOL_SOCKET, SO_BROADCAST, 1), 0);
	CHECK_EQ(sendto(y, "x", 1, 0, SA(&a), sizeof(a)), 1);
	CHECK_EQ(inet_pton(AF_INET6, "::ffff:127.0.0.1", &m.sin6_addr), 1);
	CHECK_EQ(set_int(z, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
	CHECK_ERR(sendto(z, "x", 1, 0, SA(&m), sizeof(m)), ENETUNREACH);
	CHECK_ERR(sendto(z, "x", 1, 0, SA(&m), sizeof(m)), ENETUNREACH);
	CHECK_EQ(get_int(z, SOL_SOCKET, SO_ERROR), 0);
	close(y);
	close(z);
}

static void replies_to_many_come_through(void)
{
	struct sockaddr_in a, from;
	int x = bound4(SOCK_DGRAM, &a), y[20];

	for (int i = 0; i < 20; i++) {
		y[i] = socket(AF_INET, SOCK_DGRAM, 0);
		CHECK_EQ(sendto(y[i], &i, sizeof(i), 0, SA(&a), sizeof(a)), sizeof(i));
	}
	for (int i = 0; i < 20; i++) {
		socklen_t len = sizeof(from);
		int v = -1;

		CHECK_EQ(recvfrom(x, &v, sizeof(v), 0, SA(&from), &len), sizeof(v));
		CHECK_EQ(sendto(x, &v, sizeof(v), 0, SA(&from), len), sizeof(v));
	}
	for (int i = 0; i < 20; i++) {
		int v = -1;

		CHECK_EQ(recv(y[i], &v, sizeof(v), 0), sizeof(v));
		CHECK_EQ(v, i);
		close(y[i]);
	}
	close(x);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	watchdog(40);
	CASE(a_datagram_names_its_sender);
	CASE(sending_binds);
	CASE(a_long_datagram_is_cut_and_told);
	CASE(an_empty_datagram_is_one);
	CASE(the_largest_goes_through);
	CASE(connected_takes_from_its_peer_alone);
	CASE(connecting_picks_the_source_address);
	CASE(nobody_there_gives_econnrefused_to_the_connected);
	CASE(destinations_are_checked);
	CASE(broadcast_needs_leave);
	CASE(two_may_share_a_port_only_with_leave);
	CASE(fionread_tells_the_next_datagram);
	CASE(shutdown_of_a_connected_datagram_socket);
	CASE(peeking_takes_nothing);
	CASE(what_the_network_says_is_told_at_once);
	CASE(replies_to_many_come_through);
	return g_failed;
}
