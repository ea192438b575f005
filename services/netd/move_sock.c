/* SPDX-License-Identifier: MIT */
/*
 * move_sock.c - struct sock as a message and back, for every stack (see move.h).
 */
#include "services/netd/move.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#define LIMIT_MAX (1ull << 62)

static ProtobufCBinaryData bytes_of(const void *p, size_t n)
{
	union {
		const void *from;
		uint8_t *to;
	} u = {.from = p}; /* protobuf-c has no const */

	return (ProtobufCBinaryData){n, u.to};
}

void move_addr(const struct naddr *a, Netstate__Addr *m)
{
	netstate__addr__init(m);
	m->ip = bytes_of(a->ip, a->len);
	m->port = a->port;
	m->scope = a->scope;
}

bool move_naddr(const Netstate__Addr *m, struct naddr *a)
{
	memset(a, 0, sizeof(*a));
	if (!m)
		return true;
	if (m->port > 65535 || (m->ip.len != 0 && m->ip.len != 4 && m->ip.len != 16))
		return false;
	a->len = (uint8_t)m->ip.len;
	if (a->len)
		memcpy(a->ip, m->ip.data, a->len);
	a->port = (uint16_t)m->port;
	a->scope = m->scope;
	return true;
}

/* ---- options ---- */

#define O(ID, field) {NETSTATE__OPT__OPT_##ID, offsetof(struct sockopts, field)}

static const struct {
	uint32_t id;
	size_t field;
} g_opts[] = {
	O(REUSEADDR, reuseaddr), O(REUSEPORT, reuseport), O(KEEPALIVE, keepalive),
	O(BROADCAST, broadcast), O(DONTROUTE, dontroute), O(LINGER_ON, linger_on),
	O(LINGER_S, linger_s), O(RCVBUF, rcvbuf), O(SNDBUF, sndbuf), O(NODELAY, nodelay),
	O(CORK, cork), O(QUICKACK, quickack), O(MAXSEG, maxseg), O(KEEPIDLE, keepidle),
	O(KEEPINTVL, keepintvl), O(KEEPCNT, keepcnt), O(DEFER_ACCEPT, defer_accept),
	O(USER_TIMEOUT_MS, user_timeout_ms), O(SYNCNT, syncnt), O(LINGER2, linger2),
	O(V6ONLY, v6only), O(TTL, ttl), O(TOS, tos), O(HOPS, hops), O(TCLASS, tclass),
	O(MTU_DISCOVER, mtu_discover), O(MTU_DISCOVER6, mtu_discover6), O(MC_TTL, mc_ttl),
	O(MC_LOOP, mc_loop), O(MC_HOPS6, mc_hops6), O(MC_LOOP6, mc_loop6), O(MC_IF6, mc_if6),
	O(MC_IF4_INDEX, mc_if4_index),
};
#define N_OPTS (sizeof(g_opts) / sizeof(g_opts[0]))
_Static_assert(sizeof(struct sockopts) == N_OPTS * sizeof(int) + 4, "an option is not moved");

static int *opt_at(struct sockopts *o, size_t field)
{
	return (int *)(void *)((char *)o + field);
}

static void opts_fill(struct sockopts *o, Netstate__Sock *m, struct sock_room *room)
{
	struct sockopts plain;

	opts_init(&plain);
	m->opt_id = room->opt_id;
	m->opt_value = room->opt_value;
	for (size_t i = 0; i < N_OPTS; i++) {
		const int v = *opt_at(o, g_opts[i].field);

		if (v == *opt_at(&plain, g_opts[i].field))
			continue;
		m->opt_id[m->n_opt_id++] = g_opts[i].id;
		m->opt_value[m->n_opt_value++] = v;
	}
	m->mc_if4 = bytes_of(o->mc_if4, sizeof(o->mc_if4));
}

/* An option that a newer netd has and this one does not is as it is here. */
static bool opts_take(const Netstate__Sock *m, struct sockopts *o)
{
	if (m->n_opt_id != m->n_opt_value || (m->mc_if4.len != 0 && m->mc_if4.len != 4))
		return false;
	for (size_t k = 0; k < m->n_opt_id; k++) {
		for (size_t i = 0; i < N_OPTS; i++) {
			if (g_opts[i].id == m->opt_id[k])
				*opt_at(o, g_opts[i].field) = m->opt_value[k];
		}
	}
	if (m->mc_if4.len)
		memcpy(o->mc_if4, m->mc_if4.data, 4);
	return o->sndbuf >= 0 && o->sndbuf <= (int)SNDBUF_MAX && o->rcvbuf >= 0 &&
	       o->rcvbuf <= (int)RCVBUF_MAX && o->defer_accept >= 0 &&
	       o->defer_accept <= 3600 && o->user_timeout_ms >= 0;
}

/* ---- flags ---- */

#define F(ID, field) {NETSTATE__SOCK_FLAG__SOCK_##ID, offsetof(struct sock, field)}

static const struct {
	uint32_t bit;
	size_t field;
} g_flags[] = {
	F(BOUND, bound), F(LISTENING, listening), F(CONNECTING, connecting),
	F(CONNECTED, connected), F(RX_SHUT, rx_shut), F(TX_SHUT, tx_shut), F(EOF, eof),
	F(GONE, gone), F(CORKED, corked), F(ERR_FATAL, err_fatal),
};
#define N_FLAGS (sizeof(g_flags) / sizeof(g_flags[0]))

static bool *flag_at(struct sock *s, size_t field)
{
	return (bool *)(void *)((char *)s + field);
}

_Static_assert(NETSTATE__PEND__PEND_ACCEPTED == PEND_ACCEPTED &&
                       NETSTATE__PEND__PEND_CONNECTED == PEND_CONNECTED &&
                       NETSTATE__PEND__PEND_SPACE == PEND_SPACE &&
                       NETSTATE__PEND__PEND_DATA == PEND_DATA &&
                       NETSTATE__PEND__PEND_EOF == PEND_EOF &&
                       NETSTATE__PEND__PEND_ERROR == PEND_ERROR &&
                       NETSTATE__PEND__PEND_IDS == PEND_IDS,
               "what is owed has one numbering");
#define PEND_ALL (2 * PEND_IDS - 1)

/* ---- writing ---- */

uint32_t move_number(struct move_out *o, struct sock *s)
{
	s->move_id = ++o->n_socks;
	return s->move_id;
}

static void ranges_fill(const struct sock *s, Netstate__Sock *m, struct sock_room *room)
{
	const struct id_range *r = s->more_ranges ? s->more_ranges : s->ranges;

	m->ranges = room->ranges;
	for (unsigned i = 0; i < s->n_ranges; i++) {
		m->ranges[m->n_ranges++] = r[i].first;
		m->ranges[m->n_ranges++] = r[i].n;
	}
}

static void groups_fill(const struct sock *s, Netstate__Sock *m, struct sock_room *room)
{
	m->groups = room->group_list;
	for (unsigned i = 0; i < s->n_groups; i++) {
		move_addr(&s->groups[i], &room->groups[i]);
		m->groups[m->n_groups++] = &room->groups[i];
	}
}

void move_sock_fill(struct sock *s, Netstate__Sock *m, struct sock_room *room)
{
	netstate__sock__init(m);
	m->id = s->move_id;
	m->guest = s->guest ? s->guest->move_index : 0;
	m->handle = s->handle;
	m->domain = s->domain;
	m->type = s->type;
	m->protocol = s->proto;
	m->flags = s->named ? NETSTATE__SOCK_FLAG__SOCK_NAMED : 0u;
	for (size_t i = 0; i < N_FLAGS; i++) {
		if (*flag_at(s, g_flags[i].field))
			m->flags |= g_flags[i].bit;
	}
	m->pend = s->pend;
	m->err = (uint32_t)s->err;
	m->connect_err = (uint32_t)s->connect_err;
	move_addr(&s->local, &room->local);
	move_addr(&s->peer, &room->peer);
	m->local = &room->local;
	m->peer = &room->peer;
	m->rx_got = s->rx_got;
	m->rx_pushed = s->rx_pushed;
	m->rx_limit = s->rx_limit;
	m->rx_skipped = s->rx_skipped;
	m->rx_limit_told = s->rx_limit_told;
	m->tx_got = s->tx_got;
	m->tx_acked = s->tx_acked;
	m->tx_limit = s->tx_limit;
	m->backlog = s->backlog;
	m->accept_limit = s->accept_limit;
	m->listener = s->listener ? s->listener->move_id : 0;
	m->accepted_by = s->accepted_by;
	ranges_fill(s, m, room);
	groups_fill(s, m, room);
	opts_fill(&s->opt, m, room);
	if (s->linger) {
		const struct guest *g = rpc_conn_ctx(s->linger->conn);

		m->linger_guest = g->move_index;
	} else if (s->lingered_by) {
		m->linger_guest = s->lingered_by->move_index;
	}
}

/* ---- reading ---- */

static const char *bad_kind(const Netstate__Sock *m)
{
	const uint32_t ping = m->domain == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	if (m->domain != AF_INET && m->domain != AF_INET6)
		return "family";
	if (m->type == SOCK_STREAM ? m->protocol != IPPROTO_TCP
	                           : m->type != SOCK_DGRAM || (m->protocol != IPPROTO_UDP &&
	                                                       m->protocol != ping))
		return "protocol";
	return NULL;
}

static const char *bad_offsets(const Netstate__Sock *m)
{
	if (m->rx_limit > LIMIT_MAX || m->rx_limit_told > LIMIT_MAX || m->rx_got > LIMIT_MAX ||
	    m->tx_limit > LIMIT_MAX || m->accept_limit > LIMIT_MAX)
		return "limit";
	if (m->type == SOCK_STREAM && (m->rx_pushed > m->rx_got || m->rx_skipped > m->rx_pushed))
		return "offset received";
	if (m->rx_pushed > LIMIT_MAX || (m->type == SOCK_STREAM && m->rx_pushed > m->rx_limit))
		return "offset pushed";
	if (m->tx_acked > m->tx_got || m->tx_got > m->tx_limit ||
	    m->tx_limit - m->tx_got > 2ull * SNDBUF_MAX)
		return "offset sent";
	return NULL;
}

static bool ranges_take(const Netstate__Sock *m, struct sock *s)
{
	struct id_range *r = s->ranges;

	if (m->n_ranges % 2 || m->n_ranges / 2 > RANGES_MAX)
		return false;
	if (m->n_ranges / 2 > sizeof(s->ranges) / sizeof(s->ranges[0])) {
		s->more_ranges = calloc(RANGES_MAX, sizeof(*s->more_ranges));
		r = s->more_ranges;
		if (!r)
			return false;
	}
	for (size_t i = 0; i + 1 < m->n_ranges; i += 2) {
		const uint32_t first = m->ranges[i], n = m->ranges[i + 1];

		if (n == 0 || first + n - 1 < first)
			return false;
		r[s->n_ranges++] = (struct id_range){first, n};
	}
	return true;
}

static bool groups_take(const Netstate__Sock *m, struct sock *s)
{
	if (m->n_groups > GROUPS_MAX)
		return false;
	for (size_t i = 0; i < m->n_groups; i++) {
		struct naddr *g = &s->groups[s->n_groups++];

		if (!move_naddr(m->groups[i], g) || !naddr_multicast(g))
			return false;
	}
	return true;
}

static const char *sock_take(const Netstate__Sock *m, struct sock *s)
{
	for (size_t i = 0; i < N_FLAGS; i++)
		*flag_at(s, g_flags[i].field) = (m->flags & g_flags[i].bit) != 0;
	s->pend = m->pend & PEND_ALL;
	s->err = (int)m->err;
	s->connect_err = (int)m->connect_err;
	s->rx_got = m->rx_got;
	s->rx_pushed = m->rx_pushed;
	s->rx_limit = m->rx_limit;
	s->rx_skipped = m->rx_skipped;
	s->rx_limit_told = m->rx_limit_told ? m->rx_limit_told : m->rx_limit; /* older builds: 0 */
	s->tx_got = m->tx_got;
	s->tx_acked = m->tx_acked;
	s->tx_limit = m->tx_limit;
	s->backlog = m->backlog < BACKLOG_MAX ? m->backlog : BACKLOG_MAX;
	s->accept_limit = m->accept_limit;
	s->accepted_by = m->accepted_by;
	if (m->err > 4095 || m->connect_err > 4095)
		return "error number";
	if (!move_naddr(m->local, &s->local) || !move_naddr(m->peer, &s->peer))
		return "address";
	if (!ranges_take(m, s))
		return "range of ids";
	if (!groups_take(m, s))
		return "multicast group";
	return opts_take(m, &s->opt) ? NULL : "option";
}

static int sock_keep(struct move_in *in, struct sock *s)
{
	if (in->n_socks == in->socks_cap) {
		const uint32_t cap = in->socks_cap ? in->socks_cap * 2 : 256;
		struct sock **more = realloc(in->socks, cap * sizeof(*more));

		if (!more)
			return move_refuse(in, "no memory for %u sockets", cap);
		in->socks = more;
		in->socks_cap = cap;
	}
	in->socks[in->n_socks++] = s;
	return 0;
}

struct sock *move_sock_make(struct move_in *in, const Netstate__Sock *m,
                            const struct stack_ops *ops)
{
	const char *bad = bad_kind(m);
	struct sock *s;

	if (!bad)
		bad = bad_offsets(m);
	if (!bad && m->id != in->n_socks + 1)
		bad = "number";
	s = bad ? NULL : sock_new(ops, (int)m->domain, (int)m->type, (int)m->protocol);
	if (s)
		bad = sock_take(m, s);
	if (s && !bad && sock_keep(in, s) == 0)
		return s;
	if (s)
		sock_free(s);
	(void)move_refuse(in, "socket %u: %s", m->id, bad ? bad : "no memory");
	return NULL;
}

static struct guest *guest_at(struct move_in *in, uint32_t index)
{
	return index > 0 && index <= in->n_guests ? in->guests[index - 1] : NULL;
}

struct sock *move_listener(struct move_in *in, uint32_t id)
{
	struct sock *l = id > 0 && id <= in->n_socks ? in->socks[id - 1] : NULL;

	if (l && l->listening)
		return l;
	(void)move_refuse(in, "socket %u is no listener, but something waits for it", id);
	return NULL;
}

int move_sock_place(struct move_in *in, const Netstate__Sock *m, struct sock *s)
{
	struct guest *g = guest_at(in, m->guest);
	struct sock *l;

	if (m->linger_guest && !(m->flags & NETSTATE__SOCK_FLAG__SOCK_ORPHAN))
		return move_refuse(in, "socket %u: its close() waits, but it is open", m->id);
	if (m->linger_guest && guest_at(in, m->linger_guest))
		linger_expect(s, guest_at(in, m->linger_guest), m->handle, m->linger_ms);
	if (m->flags & NETSTATE__SOCK_FLAG__SOCK_NAMED) {
		if (!g || guest_name_sock(g, s, m->handle) < 0)
			return move_refuse(in, "socket %u: %s", m->id,
			                   g ? "its handle is in use" : "it has no guest");
		return 0;
	}
	if (m->listener == 0 || (m->flags & NETSTATE__SOCK_FLAG__SOCK_DEFERRED))
		return 0;
	l = move_listener(in, m->listener);
	if (!l)
		return -EPROTO;
	sock_queue_accept(l, s);
	return 0;
}
