/* SPDX-License-Identifier: MIT */
/*
 * opts.c - socket options by Linux's numbers, the same for every stack.
 *
 * One row an option.  Most are an int in struct sockopts with a range; the stack
 * is told of a change and may refuse it.  What is a struct, or belongs to a
 * connection (TCP_INFO), has functions.  SO_ERROR, time-outs and what recvmsg()
 * reports are kept by the guest and never come here.
 */
#include "services/netd/netd.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>

#define TCP_ONLY 1u
#define DGRAM_ONLY 2u
#define SIX_ONLY 4u /* AF_INET6 sockets */
#define READ_ONLY 8u
#define AS_BOOL 16u /* any nonzero is 1 */
#define CLAMP 32u   /* out of range becomes the limit, not EINVAL */
#define BYTE_OK 64u /* one byte is enough (level IPPROTO_IP) */
#define DOUBLE 128u /* stored twice as large, as Linux does with buffers */

struct opt_row {
	int level, name;
	uint32_t flags;
	size_t field; /* of struct sockopts */
	int min, max;
	int (*set)(struct sock *s, const void *val, uint32_t len);
	int (*get)(struct sock *s, void *val, uint32_t *len);
};

#define F(x) offsetof(struct sockopts, x)

static int take_int(const void *val, uint32_t len, bool byte_ok, int *out)
{
	if (len >= sizeof(int)) {
		memcpy(out, val, sizeof(int));
		return 0;
	}
	if (!byte_ok || len == 0)
		return -EINVAL;
	*out = *(const uint8_t *)val;
	return 0;
}

static int give(void *to, uint32_t *len, const void *from, uint32_t n)
{
	if (*len > n)
		*len = n;
	memcpy(to, from, *len);
	return 0;
}

static int linger_set(struct sock *s, const void *val, uint32_t len)
{
	struct linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, val, sizeof(l));
	s->opt.linger_on = l.l_onoff != 0;
	s->opt.linger_s = l.l_linger;
	return 0;
}

static int linger_get(struct sock *s, void *val, uint32_t *len)
{
	const struct linger l = {s->opt.linger_on, s->opt.linger_s};

	return give(val, len, &l, sizeof(l));
}

static int give_int(void *val, uint32_t *len, int v)
{
	return give(val, len, &v, sizeof(v));
}

static int type_get(struct sock *s, void *val, uint32_t *len)
{
	return give_int(val, len, s->type);
}

static int domain_get(struct sock *s, void *val, uint32_t *len)
{
	return give_int(val, len, s->domain);
}

static int protocol_get(struct sock *s, void *val, uint32_t *len)
{
	return give_int(val, len, s->proto);
}

static int accepting_get(struct sock *s, void *val, uint32_t *len)
{
	return give_int(val, len, s->listening);
}

static int congestion_set(struct sock *s, const void *val, uint32_t len)
{
	(void)s;
	if (len == 0)
		return -EINVAL;
	if (len < 4 || memcmp(val, "reno", 4) != 0 ||
	    (len > 4 && ((const char *)val)[4]))
		return -ENOENT;
	return 0;
}

static int congestion_get(struct sock *s, void *val, uint32_t *len)
{
	static const char name[16] = "reno";

	(void)s;
	return give(val, len, name, sizeof(name));
}

static int mc_if4_set(struct sock *s, const void *val, uint32_t len)
{
	struct ip_mreqn m = {0};

	if (len >= sizeof(m))
		memcpy(&m, val, sizeof(m));
	else if (len >= sizeof(struct ip_mreq))
		memcpy(&m.imr_address, (const char *)val + 4, 4);
	else if (len >= 4)
		memcpy(&m.imr_address, val, 4);
	else
		return -EINVAL;
	memcpy(s->opt.mc_if4, &m.imr_address, 4);
	s->opt.mc_if4_index = m.imr_ifindex;
	return 0;
}

static int mc_if4_get(struct sock *s, void *val, uint32_t *len)
{
	return give(val, len, s->opt.mc_if4, 4);
}

static int group_change(struct sock *s, const struct naddr *g, bool join)
{
	unsigned i = 0;
	int r;

	if (!naddr_multicast(g))
		return -EINVAL;
	while (i < s->n_groups &&
	       !(naddr_same_ip(&s->groups[i], g) && s->groups[i].scope == g->scope))
		i++;
	if (join == (i < s->n_groups))
		return join ? -EADDRINUSE : -EADDRNOTAVAIL;
	if (join && s->n_groups == GROUPS_MAX)
		return -ENOBUFS;
	r = s->ops->group(s, g, g->scope, join);
	if (r < 0)
		return r;
	if (join)
		s->groups[s->n_groups++] = *g;
	else
		s->groups[i] = s->groups[--s->n_groups];
	return 0;
}

static int group4_parse(const void *val, uint32_t len, struct naddr *g)
{
	struct ip_mreqn m = {0};

	if (len < sizeof(struct ip_mreq))
		return -EINVAL;
	memcpy(&m, val, len < sizeof(m) ? len : sizeof(m));
	*g = (struct naddr){.len = 4, .scope = (uint32_t)m.imr_ifindex};
	memcpy(g->ip, &m.imr_multiaddr, 4);
	return 0;
}

static int join4(struct sock *s, const void *val, uint32_t len)
{
	struct naddr g;
	int r = group4_parse(val, len, &g);

	return r < 0 ? r : group_change(s, &g, true);
}

static int leave4(struct sock *s, const void *val, uint32_t len)
{
	struct naddr g;
	int r = group4_parse(val, len, &g);

	return r < 0 ? r : group_change(s, &g, false);
}

static int group6(struct sock *s, const void *val, uint32_t len, bool join)
{
	struct naddr g = {.len = 16};
	struct ipv6_mreq m;

	if (len < sizeof(m))
		return -EINVAL;
	memcpy(&m, val, sizeof(m));
	memcpy(g.ip, &m.ipv6mr_multiaddr, 16);
	g.scope = m.ipv6mr_interface;
	return group_change(s, &g, join);
}

static int join6(struct sock *s, const void *val, uint32_t len)
{
	return group6(s, val, len, true);
}

static int leave6(struct sock *s, const void *val, uint32_t len)
{
	return group6(s, val, len, false);
}

static int v6only_set(struct sock *s, const void *val, uint32_t len)
{
	int v, r = take_int(val, len, false, &v);

	if (r < 0 || s->bound)
		return -EINVAL;
	s->opt.v6only = v != 0;
	return 0;
}

static int v6only_get(struct sock *s, void *val, uint32_t *len)
{
	return give_int(val, len, s->opt.v6only);
}

static int outq_get(struct sock *s, void *val, uint32_t *len)
{
	const uint64_t n = s->tx_got - s->tx_acked;

	return give_int(val, len, n < INT32_MAX ? (int)n : INT32_MAX);
}

static const struct opt_row g_rows[] = {
        {SOL_SOCKET, SO_REUSEADDR, AS_BOOL, F(reuseaddr), 0, 1, NULL, NULL},
        {SOL_SOCKET, SO_REUSEPORT, AS_BOOL, F(reuseport), 0, 1, NULL, NULL},
        {SOL_SOCKET, SO_KEEPALIVE, AS_BOOL, F(keepalive), 0, 1, NULL, NULL},
        {SOL_SOCKET, SO_BROADCAST, AS_BOOL, F(broadcast), 0, 1, NULL, NULL},
        {SOL_SOCKET, SO_DONTROUTE, AS_BOOL, F(dontroute), 0, 1, NULL, NULL},
        {SOL_SOCKET, SO_RCVBUF, CLAMP | DOUBLE, F(rcvbuf), 2304, RCVBUF_MAX, NULL,
         NULL},
        {SOL_SOCKET, SO_SNDBUF, CLAMP | DOUBLE, F(sndbuf), SNDBUF_MIN, SNDBUF_MAX, NULL,
         NULL},
        {SOL_SOCKET, SO_LINGER, 0, 0, 0, 0, linger_set, linger_get},
        {SOL_SOCKET, SO_TYPE, READ_ONLY, 0, 0, 0, NULL, type_get},
        {SOL_SOCKET, SO_DOMAIN, READ_ONLY, 0, 0, 0, NULL, domain_get},
        {SOL_SOCKET, SO_PROTOCOL, READ_ONLY, 0, 0, 0, NULL, protocol_get},
        {SOL_SOCKET, SO_ACCEPTCONN, READ_ONLY, 0, 0, 0, NULL, accepting_get},
        {IPPROTO_TCP, TCP_NODELAY, TCP_ONLY | AS_BOOL, F(nodelay), 0, 1, NULL, NULL},
        {IPPROTO_TCP, TCP_CORK, TCP_ONLY | AS_BOOL, F(cork), 0, 1, NULL, NULL},
        {IPPROTO_TCP, TCP_QUICKACK, TCP_ONLY | AS_BOOL, F(quickack), 0, 1, NULL, NULL},
        {IPPROTO_TCP, TCP_MAXSEG, TCP_ONLY, F(maxseg), 88, 32767, NULL, NULL},
        {IPPROTO_TCP, TCP_KEEPIDLE, TCP_ONLY, F(keepidle), 1, 32767, NULL, NULL},
        {IPPROTO_TCP, TCP_KEEPINTVL, TCP_ONLY, F(keepintvl), 1, 32767, NULL, NULL},
        {IPPROTO_TCP, TCP_KEEPCNT, TCP_ONLY, F(keepcnt), 1, 127, NULL, NULL},
        {IPPROTO_TCP, TCP_SYNCNT, TCP_ONLY, F(syncnt), 1, 127, NULL, NULL},
        {IPPROTO_TCP, TCP_LINGER2, TCP_ONLY | CLAMP, F(linger2), -1, 120, NULL, NULL},
        {IPPROTO_TCP, TCP_DEFER_ACCEPT, TCP_ONLY | CLAMP, F(defer_accept), 0, 63, NULL,
         NULL},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, TCP_ONLY, F(user_timeout_ms), 0, INT32_MAX,
         NULL, NULL},
        {IPPROTO_TCP, TCP_CONGESTION, TCP_ONLY, 0, 0, 0, congestion_set,
         congestion_get},
        {IPPROTO_IP, IP_TTL, BYTE_OK, F(ttl), 1, 255, NULL, NULL},
        {IPPROTO_IP, IP_TOS, BYTE_OK, F(tos), 0, 255, NULL, NULL},
        {IPPROTO_IP, IP_MTU_DISCOVER, BYTE_OK, F(mtu_discover), 0, 5, NULL, NULL},
        {IPPROTO_IP, IP_MULTICAST_TTL, BYTE_OK, F(mc_ttl), 0, 255, NULL, NULL},
        {IPPROTO_IP, IP_MULTICAST_LOOP, BYTE_OK | AS_BOOL, F(mc_loop), 0, 1, NULL,
         NULL},
        {IPPROTO_IP, IP_MULTICAST_IF, 0, 0, 0, 0, mc_if4_set, mc_if4_get},
        {IPPROTO_IP, IP_ADD_MEMBERSHIP, DGRAM_ONLY, 0, 0, 0, join4, NULL},
        {IPPROTO_IP, IP_DROP_MEMBERSHIP, DGRAM_ONLY, 0, 0, 0, leave4, NULL},
        {NET__OWN__OWN_LEVEL, NET__OWN__OWN_OUTQ, READ_ONLY, 0, 0, 0, NULL, outq_get},
        {IPPROTO_IPV6, IPV6_V6ONLY, SIX_ONLY, 0, 0, 1, v6only_set, v6only_get},
        {IPPROTO_IPV6, IPV6_UNICAST_HOPS, SIX_ONLY, F(hops), -1, 255, NULL, NULL},
        {IPPROTO_IPV6, IPV6_TCLASS, SIX_ONLY, F(tclass), -1, 255, NULL, NULL},
        {IPPROTO_IPV6, IPV6_MTU_DISCOVER, SIX_ONLY, F(mtu_discover6), 0, 5, NULL, NULL},
        {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, SIX_ONLY, F(mc_hops6), -1, 255, NULL, NULL},
        {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, SIX_ONLY, F(mc_loop6), 0, 1, NULL, NULL},
        {IPPROTO_IPV6, IPV6_MULTICAST_IF, SIX_ONLY, F(mc_if6), 0, INT32_MAX, NULL,
         NULL},
        {IPPROTO_IPV6, IPV6_JOIN_GROUP, SIX_ONLY | DGRAM_ONLY, 0, 0, 0, join6, NULL},
        {IPPROTO_IPV6, IPV6_LEAVE_GROUP, SIX_ONLY | DGRAM_ONLY, 0, 0, 0, leave6, NULL},
};

void opts_init(struct sockopts *o)
{
	*o = (struct sockopts){.rcvbuf = 131072,
	                       .sndbuf = SNDBUF_DEFAULT,
	                       .quickack = 1,
	                       .keepidle = 7200,
	                       .keepintvl = 75,
	                       .keepcnt = 9,
	                       .syncnt = 6,
	                       .linger2 = 60,
	                       .ttl = 64,
	                       .hops = -1,
	                       .tclass = 0,
	                       .mtu_discover = 1,
	                       .mtu_discover6 = 1,
	                       .mc_ttl = 1,
	                       .mc_loop = 1,
	                       .mc_hops6 = 1,
	                       .mc_loop6 = 1};
}

static const struct opt_row *row_of(const struct sock *s, int level, int name)
{
	for (size_t i = 0; i < sizeof(g_rows) / sizeof(g_rows[0]); i++) {
		const struct opt_row *r = &g_rows[i];

		if (r->level != level || r->name != name)
			continue;
		if (((r->flags & TCP_ONLY) && s->proto != IPPROTO_TCP) ||
		    ((r->flags & SIX_ONLY) && s->domain != AF_INET6))
			return NULL;
		return r;
	}
	return NULL;
}

static int set_int(struct sock *s, const struct opt_row *r, const void *val,
                   uint32_t len)
{
	int *field = (int *)(void *)((char *)&s->opt + r->field);
	int v, err = take_int(val, len, (r->flags & BYTE_OK) != 0, &v);

	if (err < 0)
		return err;
	if (r->flags & DOUBLE)
		v = v > r->max / 2 ? r->max : v * 2;
	if (r->flags & AS_BOOL)
		v = v != 0;
	if (v == -1 && r->field == F(ttl))
		v = 64;
	if (r->flags & CLAMP)
		v = v < r->min ? r->min : v > r->max ? r->max : v;
	if (v < r->min || v > r->max)
		return -EINVAL;
	*field = v;
	return 0;
}

int opts_set(struct sock *s, int level, int name, const void *val, uint32_t len)
{
	const struct opt_row *r = row_of(s, level, name);
	const struct sockopts before = s->opt;
	int err;

	if (!r)
		return -ENOPROTOOPT;
	if (r->flags & READ_ONLY)
		return -ENOPROTOOPT;
	if ((r->flags & DGRAM_ONLY) && s->type != SOCK_DGRAM)
		return -EPROTO;
	err = s->ops->kernel_opts ? s->ops->opt_set(s, level, name, val, len) : 0;
	if (err < 0)
		return err;
	err = r->set ? r->set(s, val, len) : set_int(s, r, val, len);
	if (err < 0)
		return err;
	err = s->ops->opt_changed(s, level, name);
	if (err < 0)
		s->opt = before;
	return err;
}

int opts_get(struct sock *s, int level, int name, void *val, uint32_t *len)
{
	const struct opt_row *r = row_of(s, level, name);
	int v, err;

	/* A connection knows its segment size better than the option does. */
	err = s->ops->opt_get(s, level, name, val, len);
	if (err != -ENOPROTOOPT)
		return err;
	if (!r || (!r->get && r->set))
		return -ENOPROTOOPT;
	if (r->get)
		return r->get(s, val, len);
	memcpy(&v, (const char *)&s->opt + r->field, sizeof(v));
	if (name == IPV6_UNICAST_HOPS && level == IPPROTO_IPV6 && v == -1)
		v = 64;
	if ((r->flags & BYTE_OK) && *len > 0 && *len < sizeof(v) && v >= 0 &&
	    v <= 255) {
		*(uint8_t *)val = (uint8_t)v;
		*len = 1;
		return 0;
	}
	return give_int(val, len, v);
}
