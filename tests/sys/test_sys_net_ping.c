/* SPDX-License-Identifier: MIT */
/*
 * test_sys_net_ping.c - ping sockets: SOCK_DGRAM of IPPROTO_ICMP and IPPROTO_ICMPV6.
 *
 * native: no, a machine grants them by net.ipv4.ping_group_range, mostly to nobody
 */
#include "tests/sys/net_test.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

/* Exit 77 where the host does not grant ping sockets to its --net host guests. */
static void need_ping_sockets(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);

	if (fd == -1 && errno == EACCES) {
		fprintf(stderr, "ping sockets are not granted here\n");
		exit(77);
	}
	close(fd);
}

static void an_echo_over_ipv4_is_answered(void)
{
	struct {
		struct icmphdr h;
		char data[8];
	} p = {.h.type = ICMP_ECHO, .data = "echodat"};
	struct sockaddr_in a = loop4(0), from;
	socklen_t len = sizeof(from);
	uint16_t id = 0;
	int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);

	CHECK(fd >= 0);
	for (uint16_t seq = 1; seq <= 3; seq++) {
		p.h.type = ICMP_ECHO;
		p.h.un.echo.sequence = htons(seq);
		CHECK_EQ(sendto(fd, &p, sizeof(p), 0, SA(&a), sizeof(a)), sizeof(p));
		memset(&p, 0, sizeof(p));
		CHECK_EQ(recvfrom(fd, &p, sizeof(p), 0, SA(&from), &len), sizeof(p));
		CHECK_EQ(p.h.type, ICMP_ECHOREPLY);
		CHECK_EQ(p.h.un.echo.sequence, htons(seq));
		CHECK(strcmp(p.data, "echodat") == 0);
		CHECK_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
		if (seq > 1)
			CHECK_EQ(p.h.un.echo.id, id);
		id = p.h.un.echo.id;
	}
	len = sizeof(a); /* the socket's "port" is the id */
	CHECK_EQ(getsockname(fd, SA(&a), &len), 0);
	CHECK_EQ(a.sin_port, id);
	close(fd);
}

static void an_echo_over_ipv6_is_answered(void)
{
	struct {
		struct icmp6_hdr h;
		char data[8];
	} p = {.h.icmp6_type = ICMP6_ECHO_REQUEST, .data = "echodat"};
	struct sockaddr_in6 a = loop6(0);
	int fd = socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);

	CHECK(fd >= 0);
	CHECK_EQ(sendto(fd, &p, sizeof(p), 0, SA(&a), sizeof(a)), sizeof(p));
	CHECK_EQ(recv(fd, &p, sizeof(p), 0), sizeof(p));
	CHECK_EQ(p.h.icmp6_type, ICMP6_ECHO_REPLY);
	close(fd);
}

static void only_echo_may_be_sent(void)
{
	struct icmphdr h = {.type = ICMP_DEST_UNREACH};
	struct sockaddr_in a = loop4(0);
	int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);

	CHECK_ERR(sendto(fd, &h, sizeof(h), 0, SA(&a), sizeof(a)), EINVAL);
	h.type = ICMP_ECHO;
	CHECK_ERR(sendto(fd, &h, 4, 0, SA(&a), sizeof(a)), EINVAL);
	CHECK_EQ(get_int(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_ICMP);
	close(fd);
}

static void raw_sockets_are_refused(void)
{
	CHECK_ERR(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
	CHECK_ERR(socket(AF_INET6, SOCK_RAW, IPPROTO_TCP), EPERM);
}

int main(void)
{
	need_ping_sockets();
	watchdog(40);
	CASE(an_echo_over_ipv4_is_answered);
	CASE(an_echo_over_ipv6_is_answered);
	CASE(only_echo_may_be_sent);
	CASE(raw_sockets_are_refused);
	return g_failed;
}
