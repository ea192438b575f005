/* SPDX-License-Identifier: MIT */
/*
 * The option table alone, over a stack that only takes notes.
 */
#include "services/netd/netd.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>

static int g_refuse, g_changes, g_joins;

static int changed(struct sock *s, int level, int name)
{
	(void)s;
	(void)level;
	(void)name;
	g_changes++;
	return g_refuse;
}

static int opt_get(struct sock *s, int level, int name, void *val, uint32_t *len)
{
	(void)s;
	(void)level;
	(void)name;
	(void)val;
	(void)len;
	return -ENOPROTOOPT;
}

static int group(struct sock *s, const struct naddr *g, uint32_t ifindex, bool join)
{
	(void)s;
	(void)g;
	(void)ifindex;
	g_joins += join ? 1 : -1;
	return g_refuse;
}

static const struct stack_ops g_ops = {.sock_size = sizeof(struct sock),
                                       .opt_changed = changed,
                                       .opt_get = opt_get,
                                       .group = group};

static int set(struct sock *s, int level, int name, int v)
{
	return opts_set(s, level, name, &v, sizeof(v));
}

static int get(struct sock *s, int level, int name)
{
	int v = 0;
	uint32_t len = sizeof(v);
	const int r = opts_get(s, level, name, &v, &len);

	return r < 0 ? r : v;
}

static void each_int_option_keeps_its_range(void)
{
	static const struct {
		int domain, type, level, name, good, want, bad;
	} rows[] = {
		{AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR, 5, 1, 0},
		{AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEPORT, 1, 1, 0},
		{AF_INET, SOCK_STREAM, SOL_SOCKET, SO_KEEPALIVE, 1, 1, 0},
		{AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_BROADCAST, 1, 1, 0},
		{AF_INET, SOCK_STREAM, SOL_SOCKET, SO_RCVBUF, 10000, 20000, 0},
		{AF_INET, SOCK_STREAM, SOL_SOCKET, SO_RCVBUF, 1, 2304, 0},
		{AF_INET, SOCK_STREAM, SOL_SOCKET, SO_SNDBUF, INT32_MAX, (int)SNDBUF_MAX, 0},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_NODELAY, 2, 1, 0},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_CORK, 1, 1, 0},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_QUICKACK, 0, 0, 0},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_MAXSEG, 1000, 1000, 40000},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPIDLE, 60, 60, 40000},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPINTVL, 5, 5, -1},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPCNT, 3, 3, 128},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_DEFER_ACCEPT, 2, 2, 0},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_USER_TIMEOUT, 3000, 3000, -1},
		{AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL, 7, 7, 256},
		{AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL, -1, 64, 0},
		{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_TOS, 16, 16, 256},
		{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_TTL, 4, 4, 300},
		{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1, 64, 256},
		{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_TCLASS, 9, 9, 256},
		{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_V6ONLY, 1, 1, 0},
		{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 3, 3, 256},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sock *s = sock_new(&g_ops, rows[i].domain, rows[i].type,
		                          rows[i].type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);

		CU_ASSERT_EQUAL(set(s, rows[i].level, rows[i].name, rows[i].good), 0);
		CU_ASSERT_EQUAL(get(s, rows[i].level, rows[i].name), rows[i].want);
		if (rows[i].bad) {
			CU_ASSERT_EQUAL(set(s, rows[i].level, rows[i].name, rows[i].bad), -EINVAL);
			CU_ASSERT_EQUAL(get(s, rows[i].level, rows[i].name), rows[i].want);
		}
		CU_ASSERT_EQUAL(opts_set(s, rows[i].level, rows[i].name, "", 0), -EINVAL);
		sock_free(s);
	}
}

static void what_is_not_there_is_enoprotoopt(void)
{
	struct sock *t = sock_new(&g_ops, AF_INET, SOCK_STREAM, IPPROTO_TCP);
	struct sock *u = sock_new(&g_ops, AF_INET, SOCK_DGRAM, IPPROTO_UDP);

	CU_ASSERT_EQUAL(set(u, IPPROTO_TCP, TCP_NODELAY, 1), -ENOPROTOOPT);
	CU_ASSERT_EQUAL(get(u, IPPROTO_TCP, TCP_NODELAY), -ENOPROTOOPT);
	CU_ASSERT_EQUAL(set(t, IPPROTO_IPV6, IPV6_V6ONLY, 1), -ENOPROTOOPT);
	CU_ASSERT_EQUAL(set(t, IPPROTO_TCP, TCP_FASTOPEN, 1), -ENOPROTOOPT);
	CU_ASSERT_EQUAL(set(t, SOL_SOCKET, SO_TYPE, 1), -ENOPROTOOPT);
	CU_ASSERT_EQUAL(get(t, SOL_SOCKET, SO_ACCEPTCONN), 0);
	CU_ASSERT_EQUAL(get(t, 77, 1), -ENOPROTOOPT);
	CU_ASSERT_EQUAL(opts_set(t, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
	CU_ASSERT_EQUAL(opts_set(t, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5), -ENOENT);
	sock_free(t);
	sock_free(u);
}

static void a_refused_change_is_undone(void)
{
	struct sock *s = sock_new(&g_ops, AF_INET, SOCK_STREAM, IPPROTO_TCP);

	g_refuse = -EPERM;
	CU_ASSERT_EQUAL(set(s, IPPROTO_TCP, TCP_NODELAY, 1), -EPERM);
	g_refuse = 0;
	CU_ASSERT_EQUAL(get(s, IPPROTO_TCP, TCP_NODELAY), 0);
	sock_free(s);
}

static void v6only_is_fixed_by_bind(void)
{
	struct sock *s = sock_new(&g_ops, AF_INET6, SOCK_STREAM, IPPROTO_TCP);

	s->bound = true;
	CU_ASSERT_EQUAL(set(s, IPPROTO_IPV6, IPV6_V6ONLY, 1), -EINVAL);
	sock_free(s);
}

static void one_byte_is_enough_at_level_ip(void)
{
	struct sock *s = sock_new(&g_ops, AF_INET, SOCK_DGRAM, IPPROTO_UDP);
	uint8_t b = 33;
	uint32_t len = 1;

	CU_ASSERT_EQUAL(opts_set(s, IPPROTO_IP, IP_TTL, &b, 1), 0);
	b = 0;
	CU_ASSERT_EQUAL(opts_get(s, IPPROTO_IP, IP_TTL, &b, &len), 0);
	CU_ASSERT_EQUAL(b, 33);
	CU_ASSERT_EQUAL(len, 1);
	CU_ASSERT_EQUAL(opts_set(s, SOL_SOCKET, SO_BROADCAST, &b, 1), -EINVAL);
	sock_free(s);
}

static void groups_are_counted_and_limited(void)
{
	struct sock *s = sock_new(&g_ops, AF_INET, SOCK_DGRAM, IPPROTO_UDP);
	struct ip_mreqn m = {0};

	m.imr_multiaddr.s_addr = htonl(0x0a000001);
	CU_ASSERT_EQUAL(opts_set(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), -EINVAL);
	for (uint32_t i = 0; i < GROUPS_MAX; i++) {
		m.imr_multiaddr.s_addr = htonl(0xe0000100 + i);
		CU_ASSERT_EQUAL(opts_set(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), 0);
	}
	CU_ASSERT_EQUAL(opts_set(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), -EADDRINUSE);
	m.imr_multiaddr.s_addr = htonl(0xe0000200);
	CU_ASSERT_EQUAL(opts_set(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), -ENOBUFS);
	CU_ASSERT_EQUAL(opts_set(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)),
	                -EADDRNOTAVAIL);
	m.imr_multiaddr.s_addr = htonl(0xe0000100);
	CU_ASSERT_EQUAL(opts_set(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)), 0);
	CU_ASSERT_EQUAL(g_joins, GROUPS_MAX - 1);
	sock_free(s);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(each_int_option_keeps_its_range),
		TEST(what_is_not_there_is_enoprotoopt),
		TEST(a_refused_change_is_undone),
		TEST(v6only_is_fixed_by_bind),
		TEST(one_byte_is_enough_at_level_ip),
		TEST(groups_are_counted_and_limited),
		CU_TEST_INFO_NULL,
	};

	return suite_run("opts", NULL, NULL, tests);
}
