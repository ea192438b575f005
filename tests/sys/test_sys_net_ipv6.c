/* SPDX-License-Identifier: MIT */
/* test_sys_net_ipv6.c - IPv6, and IPv4 seen through AF_INET6 sockets. */
#include "tests/sys/net_test.h"

static int bound6(int type, struct sockaddr_in6 *a, int v6only)
{
	socklen_t len = sizeof(*a);
	int fd = socket(AF_INET6, type, 0);

	CHECK_EQ(set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only), 0);
	CHECK_EQ(bind(fd, SA(a), sizeof(*a)), 0);
	CHECK_EQ(getsockname(fd, SA(a), &len), 0);
	CHECK_EQ(len, sizeof(*a));
	return fd;
}

static void a_stream_over_ipv6(void)
{
	struct sockaddr_in6 a = loop6(0), from;
	socklen_t len = sizeof(from);
	int l = bound6(SOCK_STREAM, &a, 1), c = socket(AF_INET6, SOCK_STREAM, 0), s;
	char buf[8];

	CHECK_EQ(listen(l, 5), 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	s = accept(l, SA(&from), &len);
	CHECK_EQ(len, sizeof(from));
	CHECK(IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
	CHECK_EQ(send(c, "six", 3, 0), 3);
	CHECK_EQ(recv(s, buf, 3, MSG_WAITALL), 3);
	close(c);
	CHECK_EQ(recv(s, buf, 3, 0), 0);
	close(s);
	close(l);
	c = socket(AF_INET6, SOCK_STREAM, 0);
	CHECK_ERR(connect(c, SA(&a), sizeof(a)), ECONNREFUSED);
	close(c);
}

static void an_ipv4_client_is_seen_mapped(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6}, from, name;
	struct sockaddr_in a4;
	socklen_t len = sizeof(from);
	int l = bound6(SOCK_STREAM, &a, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;

	CHECK_EQ(listen(l, 5), 0);
	a4 = loop4(ntohs(a.sin6_port));
	CHECK_EQ(connect(c, SA(&a4), sizeof(a4)), 0);
	s = accept(l, SA(&from), &len);
	CHECK_EQ(len, sizeof(from));
	CHECK_EQ(from.sin6_family, AF_INET6);
	CHECK(IN6_IS_ADDR_V4MAPPED(&from.sin6_addr));
	CHECK_EQ(from.sin6_addr.s6_addr[12], 127);
	CHECK_EQ(getsockname(s, SA(&name), &len), 0);
	CHECK(IN6_IS_ADDR_V4MAPPED(&name.sin6_addr));
	CHECK_EQ(get_int(s, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	close(c);
	close(s);
	/* the same listener takes IPv6 */
	a = loop6(ntohs(a.sin6_port));
	c = socket(AF_INET6, SOCK_STREAM, 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	s = accept(l, SA(&from), &len);
	CHECK(IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
	close(c);
	close(s);
	close(l);
}

static void v6only_keeps_ipv4_out_and_the_port_free(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	struct sockaddr_in a4;
	int l = bound6(SOCK_STREAM, &a, 1), c = socket(AF_INET, SOCK_STREAM, 0), l4;

	CHECK_EQ(get_int(l, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	CHECK_ERR(set_int(l, IPPROTO_IPV6, IPV6_V6ONLY, 0), EINVAL); /* bound */
	CHECK_EQ(listen(l, 5), 0);
	a4 = loop4(ntohs(a.sin6_port));
	CHECK_ERR(connect(c, SA(&a4), sizeof(a4)), ECONNREFUSED);
	close(c);
	l4 = socket(AF_INET, SOCK_STREAM, 0);
	a4.sin_addr.s_addr = 0;
	CHECK_EQ(bind(l4, SA(&a4), sizeof(a4)), 0);
	CHECK_EQ(listen(l4, 5), 0);
	close(l4);
	close(l);
}

static void a_dual_stack_wildcard_takes_both_ports(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	struct sockaddr_in a4;
	int l = bound6(SOCK_STREAM, &a, 0), l4 = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_EQ(listen(l, 5), 0);
	a4 = loop4(ntohs(a.sin6_port));
	CHECK_ERR(bind(l4, SA(&a4), sizeof(a4)), EADDRINUSE);
	close(l4);
	close(l);
}

static void mapped_addresses_are_ipv4(void)
{
	struct sockaddr_in6 m = {.sin6_family = AF_INET6}, name;
	struct sockaddr_in a;
	socklen_t len = sizeof(name);
	int l = listener4(&a, 5), c = socket(AF_INET6, SOCK_STREAM, 0), s;

	CHECK_EQ(inet_pton(AF_INET6, "::ffff:127.0.0.1", &m.sin6_addr), 1);
	m.sin6_port = a.sin_port;
	CHECK_EQ(connect(c, SA(&m), sizeof(m)), 0);
	CHECK_EQ(getsockname(c, SA(&name), &len), 0);
	CHECK(IN6_IS_ADDR_V4MAPPED(&name.sin6_addr));
	CHECK_EQ(getpeername(c, SA(&name), &len), 0);
	CHECK(memcmp(&name.sin6_addr, &m.sin6_addr, 16) == 0);
	s = accept(l, NULL, NULL);
	close(s);
	close(c);
	c = socket(AF_INET6, SOCK_STREAM, 0);
	CHECK_EQ(set_int(c, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
	CHECK_ERR(connect(c, SA(&m), sizeof(m)), ENETUNREACH);
	close(c);
	close(l);
}

static void datagrams_between_the_families(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6}, from;
	struct sockaddr_in a4, b;
	socklen_t len = sizeof(from);
	int x = bound6(SOCK_DGRAM, &a, 0), y = bound4(SOCK_DGRAM, &b);
	char buf[8];

	a4 = loop4(ntohs(a.sin6_port));
	CHECK_EQ(sendto(y, "four", 4, 0, SA(&a4), sizeof(a4)), 4);
	CHECK_EQ(recvfrom(x, buf, 8, 0, SA(&from), &len), 4);
	CHECK_EQ(len, sizeof(from));
	CHECK(IN6_IS_ADDR_V4MAPPED(&from.sin6_addr));
	CHECK_EQ(from.sin6_port, b.sin_port);
	CHECK_EQ(sendto(x, "back", 4, 0, SA(&from), len), 4);
	CHECK_EQ(recv(y, buf, 8, 0), 4);
	a = loop6(ntohs(a.sin6_port));
	CHECK_EQ(sendto(x, "six", 3, 0, SA(&a), sizeof(a)), 3);
	CHECK_EQ(recvfrom(x, buf, 8, 0, SA(&from), &len), 3);
	CHECK(IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
	close(x);
	close(y);
}

static void nobody_there_gives_econnrefused(void)
{
	struct sockaddr_in6 a = loop6(0);
	int x = bound6(SOCK_DGRAM, &a, 1), y = socket(AF_INET6, SOCK_DGRAM, 0);
	char b;

	close(x);
	CHECK_EQ(connect(y, SA(&a), sizeof(a)), 0);
	CHECK_EQ(send(y, "x", 1, 0), 1);
	CHECK(becomes(y, POLLERR) & POLLERR);
	CHECK_ERR(recv(y, &b, 1, 0), ECONNREFUSED);
	close(y);
}

static void bad_addresses_are_refused(void)
{
	struct sockaddr_in6 a = loop6(0);
	struct sockaddr_in a4 = loop4(0);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	CHECK_ERR(bind(fd, SA(&a), 20), EINVAL);
	CHECK_ERR(bind(fd, SA(&a4), sizeof(a4)), EINVAL);
	a.sin6_family = AF_INET;
	CHECK_ERR(bind(fd, SA(&a), sizeof(a)), EAFNOSUPPORT);
	a = loop6(0);
	CHECK_EQ(inet_pton(AF_INET6, "2001:db8::1", &a.sin6_addr), 1);
	CHECK_ERR(bind(fd, SA(&a), sizeof(a)), EADDRNOTAVAIL);
	CHECK_EQ(inet_pton(AF_INET6, "fe80::1", &a.sin6_addr), 1);
	CHECK_ERR(bind(fd, SA(&a), sizeof(a)), EINVAL); /* no scope */
	CHECK_EQ(set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
	CHECK_EQ(inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.sin6_addr), 1);
	CHECK_ERR(bind(fd, SA(&a), sizeof(a)), EINVAL);
	a = loop6(0);
	CHECK_EQ(bind(fd, SA(&a), 24), 0); /* without the scope */
	close(fd);
}

/* struct sockaddr_in for an AF_INET6 socket: Linux takes it for datagrams. */
static void datagrams_go_to_plain_ipv4_addresses(void)
{
	struct sockaddr_in a, from;
	struct sockaddr_in6 name;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	socklen_t len = sizeof(name);
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET6, SOCK_DGRAM, 0);
	char b[8];

	CHECK_EQ(sendto(y, "one", 3, 0, SA(&a), sizeof(a)), 3);
	len = sizeof(from);
	CHECK_EQ(recvfrom(x, b, sizeof(b), 0, SA(&from), &len), 3);
	CHECK_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_ERR(sendto(y, "x", 1, 0, SA(&a), 8), EINVAL);
	CHECK_ERR(sendto(y, "x", 1, 0, &none, sizeof(none)), EDESTADDRREQ);
	none.sa_family = 99;
	CHECK_ERR(sendto(y, "x", 1, 0, &none, sizeof(none)), EINVAL);
	CHECK_ERR(connect(y, SA(&a), 8), EINVAL);
	CHECK_EQ(connect(y, SA(&a), sizeof(a)), 0);
	len = sizeof(name);
	CHECK_EQ(getpeername(y, SA(&name), &len), 0);
	CHECK_EQ(len, sizeof(name));
	CHECK_EQ(name.sin6_family, AF_INET6);
	CHECK(IN6_IS_ADDR_V4MAPPED(&name.sin6_addr));
	CHECK_EQ(name.sin6_port, a.sin_port);
	CHECK_EQ(send(y, "two", 3, 0), 3);
	CHECK_EQ(recv(x, b, sizeof(b), 0), 3);
	close(y);
	y = socket(AF_INET6, SOCK_DGRAM, 0);
	CHECK_EQ(set_int(y, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
	CHECK_ERR(connect(y, SA(&a), sizeof(a)), EAFNOSUPPORT);
	close(y);
	y = socket(AF_INET6, SOCK_STREAM, 0); /* not so a stream */
	CHECK_ERR(connect(y, SA(&a), sizeof(a)), EINVAL);
	close(y);
	close(x);
}

int main(void)
{
	watchdog(40);
	CASE(a_stream_over_ipv6);
	CASE(an_ipv4_client_is_seen_mapped);
	CASE(v6only_keeps_ipv4_out_and_the_port_free);
	CASE(a_dual_stack_wildcard_takes_both_ports);
	CASE(mapped_addresses_are_ipv4);
	CASE(datagrams_between_the_families);
	CASE(nobody_there_gives_econnrefused);
	CASE(bad_addresses_are_refused);
	CASE(datagrams_go_to_plain_ipv4_addresses);
	return g_failed;
}
