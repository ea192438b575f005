/* SPDX-License-Identifier: MIT */
/* test_sys_net_names.c - names of hosts and services; multicast on the loopback. */
#include "tests/sys/net_test.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>

static void numbers_need_no_resolver(void)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST,
	                         .ai_socktype = SOCK_STREAM},
	                *r;
	char host[64], serv[16];

	CHECK_EQ(getaddrinfo("192.0.2.7", "80", &hints, &r), 0);
	CHECK_EQ(r->ai_family, AF_INET);
	CHECK_EQ(((struct sockaddr_in *)r->ai_addr)->sin_port, htons(80));
	CHECK_EQ(getnameinfo(r->ai_addr, r->ai_addrlen, host, sizeof(host), serv,
	                     sizeof(serv), NI_NUMERICHOST | NI_NUMERICSERV),
	         0);
	CHECK(strcmp(host, "192.0.2.7") == 0 && strcmp(serv, "80") == 0);
	freeaddrinfo(r);
	CHECK_EQ(getaddrinfo("2001:db8::1", NULL, &hints, &r), 0);
	CHECK_EQ(r->ai_family, AF_INET6);
	freeaddrinfo(r);
	CHECK_EQ(getaddrinfo("no-number", NULL, &hints, &r), EAI_NONAME);
}

static void localhost_is_known(void)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *r;
	struct sockaddr_in a;
	int l = listener4(&a, 1), c;
	char port[16];

	snprintf(port, sizeof(port), "%d", ntohs(a.sin_port));
	CHECK_EQ(getaddrinfo("localhost", port, &hints, &r), 0);
	CHECK_EQ(((struct sockaddr_in *)r->ai_addr)->sin_addr.s_addr,
	         htonl(INADDR_LOOPBACK));
	c = socket(r->ai_family, r->ai_socktype, r->ai_protocol);
	CHECK_EQ(connect(c, r->ai_addr, r->ai_addrlen), 0);
	freeaddrinfo(r);
	close(c);
	close(l);
}

static void passive_is_the_wildcard(void)
{
	struct addrinfo hints = {.ai_family = AF_INET6,
	                         .ai_flags = AI_PASSIVE,
	                         .ai_socktype = SOCK_STREAM},
	                *r;

	CHECK_EQ(getaddrinfo(NULL, "0", &hints, &r), 0);
	CHECK(IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)r->ai_addr)->sin6_addr));
	freeaddrinfo(r);
}

static void the_loopback_is_an_interface(void)
{
	struct ifaddrs *list, *i;
	struct if_nameindex *names = if_nameindex();
	char name[IF_NAMESIZE];
	int v4 = 0, v6 = 0, named = 0;

	CHECK_EQ(getifaddrs(&list), 0);
	for (i = list; i; i = i->ifa_next) {
		if (strcmp(i->ifa_name, "lo") != 0 || !i->ifa_addr)
			continue;
		CHECK(i->ifa_flags & IFF_LOOPBACK);
		CHECK(i->ifa_flags & IFF_UP);
		v4 += i->ifa_addr->sa_family == AF_INET;
		v6 += i->ifa_addr->sa_family == AF_INET6;
	}
	CHECK_EQ(v4, 1);
	CHECK_EQ(v6, 1);
	freeifaddrs(list);
	for (int k = 0; names && names[k].if_index; k++)
		named += strcmp(names[k].if_name, "lo") == 0;
	CHECK_EQ(named, 1);
	if_freenameindex(names);
	CHECK(if_indextoname(if_nametoindex("lo"), name) != NULL);
	CHECK(strcmp(name, "lo") == 0);
	CHECK_EQ(if_nametoindex("none-such"), 0);
}

/* To the group on the loopback, where the group was joined. */
static void a_group_that_was_joined_is_heard(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	struct ip_mreqn mr = {.imr_multiaddr.s_addr =
	                              htonl(0xefff0307), /* 239.255.3.7 */
	                      .imr_ifindex = (int)if_nametoindex("lo")};
	socklen_t len = sizeof(a);
	char buf[8];
	int x = socket(AF_INET, SOCK_DGRAM, 0), y = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(bind(x, SA(&a), sizeof(a)), 0);
	CHECK_EQ(getsockname(x, SA(&a), &len), 0);
	a.sin_addr = mr.imr_multiaddr;
	CHECK_EQ(setsockopt(x, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof(mr)), 0);
	CHECK_ERR(setsockopt(x, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof(mr)),
	          EADDRINUSE);
	CHECK_EQ(setsockopt(y, IPPROTO_IP, IP_MULTICAST_IF, &mr, sizeof(mr)), 0);
	CHECK_EQ(sendto(y, "group", 5, 0, SA(&a), sizeof(a)), 5);
	CHECK(becomes(x, POLLIN) & POLLIN);
	CHECK_EQ(recv(x, buf, 8, MSG_DONTWAIT), 5);
	CHECK_EQ(setsockopt(x, IPPROTO_IP, IP_DROP_MEMBERSHIP, &mr, sizeof(mr)), 0);
	CHECK_ERR(setsockopt(x, IPPROTO_IP, IP_DROP_MEMBERSHIP, &mr, sizeof(mr)),
	          EADDRNOTAVAIL);
	close(x);
	close(y);
}

int main(void)
{
	watchdog(40);
	CASE(numbers_need_no_resolver);
	CASE(localhost_is_known);
	CASE(passive_is_the_wildcard);
	CASE(the_loopback_is_an_interface);
	CASE(a_group_that_was_joined_is_heard);
	return g_failed;
}
