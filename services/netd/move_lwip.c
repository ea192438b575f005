/* SPDX-License-Identifier: MIT */
/*
 * move_lwip.c - the lwip stack's part of a move (see move.h).
 *
 * Written are: every socket, listeners first and then what waits in their queues in
 * order; connections that no listener has seen finished; TIME_WAIT; what is known
 * of neighbours, so that nobody has to be asked before the next segment.
 *
 * Fragments that wait to be put together again, packets that wait for a neighbour's
 * answer and an ICMP error on its way are not moved: to the peer they are lost, as
 * packets are.
 */
#include "services/netd/clock.h"
#include "services/netd/info.h"
#include "services/netd/link.h"
#include "services/netd/lwip_priv.h"
#include "services/netd/move.h"
#include "services/netd/stack.h"
#include "services/netd/tw.h"

#include "lwip/etharp.h"
#include "lwip/mld6.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/prot/etharp.h"
#include "lwip/prot/iana.h"

#include <errno.h>
#include <stdlib.h>

#define SEAL_TURNS 1000
#define TICK_MS (2u * TCP_TMR_INTERVAL)
#define TW_A_RECORD 128
#define SAME_CLOCK_MS 3600000u
#define RX_PIECE 32768u
#define SEND_MAX (2u * SNDBUF_MAX)

#define FLAG(ID) NETSTATE__SOCK_FLAG__SOCK_##ID

/* ---- the head ---- */

static uint8_t g_key[16];

/* What is on its way between device and stack, and from us to us, arrives. */
void lwip_seal(void)
{
	for (int i = 0; i < SEAL_TURNS; i++) {
		link_test_run(UINT64_MAX);
		if (!g_stack_lwip.flush() && link_test_deadline() == UINT64_MAX)
			return;
	}
}

void lwip_head(Netstate__Head *h)
{
	const Control__NetConfig *cfg = info_config();
	static char name[] = "lwip";

	h->stack = (ProtobufCBinaryData){4, (uint8_t *)name};
	h->clock_ms = clock_ms();
	h->timestamp = (uint32_t)h->clock_ms + lwip_clock_ahead(NULL);
	h->tick_ms = TICK_MS;
	if (lwip_eth() && cfg) {
		h->mac = cfg->mac;
		h->ip4 = cfg->ip4;
		h->ip6 = cfg->ip6;
	}
	tw_isn_key(g_key, false);
	h->isn_key = (ProtobufCBinaryData){sizeof(g_key), g_key};
	h->port_at = ports_at(NULL);
}

static bool same(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static int head_import(struct move_in *in)
{
	const Netstate__Head *h = move_unpack(in, &netstate__head__descriptor);
	Netstate__Head ours = NETSTATE__HEAD__INIT;
	uint32_t ahead;
	const uint64_t now = clock_ms();

	if (!h)
		return move_refuse(in, "its head is malformed");
	lwip_head(&ours);
	if (!same(&h->stack, &ours.stack))
		return move_refuse(in, "it is of another kind of stack");
	if (!same(&h->mac, &ours.mac) || !same(&h->ip4, &ours.ip4) || !same(&h->ip6, &ours.ip6))
		return move_refuse(in, "it is of an interface with other addresses");
	if (h->tick_ms == 0 || h->tick_ms > 10000)
		return move_refuse(in, "its unit of time makes no sense");
	in->tick_ms = h->tick_ms;
	if (h->isn_key.len == sizeof(g_key)) {
		memcpy(g_key, h->isn_key.data, sizeof(g_key));
		tw_isn_key(g_key, true);
	}
	(void)ports_at(&h->port_at);
	/* Timestamps go on.  On the same machine the clock is the same one. */
	ahead = now >= h->clock_ms && now - h->clock_ms < SAME_CLOCK_MS
	                ? h->timestamp - (uint32_t)h->clock_ms
	                : h->timestamp - (uint32_t)now;
	(void)lwip_clock_ahead(&ahead);
	demux_clock(now);
	return 0;
}

/* ---- sockets ---- */

static struct {
	Netstate__Sock m;
	struct sock_room sock;
	Netstate__Tcp tcp;
	struct tcp_room segs;
	Netstate__Dgram *dgrams, **dgram_list;
	Netstate__Addr *addrs;
	size_t dgrams_cap;
} g_room;

static bool ended(const struct lsock *l)
{
	return !l->pcb || l->pcb->state == TIME_WAIT;
}

static uint32_t flags_of(const struct lsock *l)
{
	const struct {
		bool is;
		uint32_t bit;
	} own[] = {
		{l->s.type == SOCK_STREAM && !ended(l), FLAG(OPEN)},
		{l->port.prev != NULL, FLAG(ON_PORT)},
		{l->port_chosen, FLAG(PORT_CHOSEN)},
		{l->port_asked, FLAG(PORT_ASKED)},
		{l->port.by_connect, FLAG(BY_CONNECT)},
		{l->fin_wanted, FLAG(FIN_WANTED)},
		{l->orphan, FLAG(ORPHAN)},
		{l->deferred_by != NULL, FLAG(DEFERRED)},
	};
	uint32_t flags = 0;

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		flags |= own[i].is ? own[i].bit : 0;
	return flags;
}

static int dgrams_fill(const struct lsock *l, Netstate__Sock *m, uint64_t *bytes)
{
	size_t n = 0;

	for (const struct rx_dgram *d = l->dq; d; d = d->next)
		n++;
	if (n > g_room.dgrams_cap) {
		free(g_room.dgrams);
		free(g_room.dgram_list);
		free(g_room.addrs);
		g_room.dgrams = calloc(n, sizeof(*g_room.dgrams));
		g_room.dgram_list = calloc(n, sizeof(*g_room.dgram_list));
		g_room.addrs = calloc(2 * n, sizeof(*g_room.addrs));
		g_room.dgrams_cap = n;
		if (!g_room.dgrams || !g_room.dgram_list || !g_room.addrs) {
			g_room.dgrams_cap = 0;
			return -ENOMEM;
		}
	}
	m->dgrams = g_room.dgram_list;
	for (const struct rx_dgram *d = l->dq; d; d = d->next) {
		Netstate__Dgram *to = &g_room.dgrams[m->n_dgrams];
		Netstate__Addr *a = &g_room.addrs[2 * m->n_dgrams];

		netstate__dgram__init(to);
		move_addr(&d->peer, &a[0]);
		move_addr(&d->local, &a[1]);
		to->peer = &a[0];
		to->local = &a[1];
		to->ttl = d->ttl;
		to->tos = d->tos;
		to->ifindex = d->ifindex;
		to->len = d->p->tot_len;
		*bytes += to->len;
		m->dgrams[m->n_dgrams++] = to;
	}
	return 0;
}

static void queues_payload(struct move_out *o, const struct lsock *l)
{
	uint32_t off = l->rx_off;

	for (const struct pbuf *p = l->rx; p; p = p->next) {
		move_payload(o, (const uint8_t *)p->payload + off, p->len - off);
		off = 0;
	}
	for (const struct tx_chunk *c = l->tx; c; c = c->next)
		move_payload(o, c->data + c->off, c->len - c->off);
	for (const struct rx_dgram *d = l->dq; d; d = d->next) {
		for (const struct pbuf *p = d->p; p; p = p->next)
			move_payload(o, p->payload, p->len);
	}
}

static void times_fill(struct lsock *l, Netstate__Sock *m)
{
	const uint64_t now = clock_ms();

	m->window = l->window;
	m->progress_ms = now - l->progress_ms;
	if (l->wait_prev)
		m->wait = 1 + (uint32_t)(l->wait_until > now ? l->wait_until - now : 0);
	if (l->s.linger || l->s.lingered_by)
		m->linger_ms = (uint32_t)(l->s.linger_until > now ? l->s.linger_until - now : 0);
	if (l->deferred_by)
		m->listener = l->deferred_by->s.move_id;
}

static void sock_export(struct move_out *o, struct lsock *l)
{
	const bool conn = l->s.type == SOCK_STREAM && !l->s.listening && !ended(l) &&
	                  l->pcb->state != CLOSED;
	Netstate__Sock *m = &g_room.m;
	uint64_t seg_bytes = 0, dgram_bytes = 0;

	(void)move_number(o, &l->s);
	move_sock_fill(&l->s, m, &g_room.sock);
	m->flags |= flags_of(l);
	move_addr(&l->port.addr, &g_room.sock.port);
	m->port_addr = &g_room.sock.port;
	times_fill(l, m);
	for (const struct pbuf *p = l->rx; p; p = p->next)
		m->rx_len += p->len;
	m->rx_len -= l->rx ? l->rx_off : 0;
	m->tx_len = l->tx_bytes;
	if (conn && move_tcp_fill(l->pcb, demux_entry(l->pcb)->reuse, &g_room.tcp, &g_room.segs,
	                          &seg_bytes) < 0)
		o->err = -ENOMEM;
	if (dgrams_fill(l, m, &dgram_bytes) < 0)
		o->err = -ENOMEM;
	m->tcp = conn ? &g_room.tcp : NULL;
	o->n_conns += conn;
	move_put(o, NETSTATE__KIND__KIND_SOCK, &m->base,
	         m->rx_len + m->tx_len + seg_bytes + dgram_bytes);
	if (o->err)
		return;
	queues_payload(o, l);
	if (conn)
		move_tcp_payload(o, l->pcb);
}

static void halves_export(struct move_out *o, const struct lsock *listener)
{
	Netstate__Half m = NETSTATE__HALF__INIT;
	uint64_t bytes;

	m.listener = listener->s.move_id;
	m.tcp = &g_room.tcp;
	for (const struct demux_ent *e = listener->half; e && !o->err; e = e->half_next) {
		if (move_tcp_fill(e->pcb, e->reuse, &g_room.tcp, &g_room.segs, &bytes) < 0) {
			o->err = -ENOMEM;
			return;
		}
		move_put(o, NETSTATE__KIND__KIND_HALF, &m.base, bytes);
		move_tcp_payload(o, e->pcb);
		o->n_halves++;
		o->n_conns++;
	}
}

static void socks_export(struct move_out *o)
{
	for (struct lsock *l = g_lsocks; l && !o->err; l = l->next) {
		if (l->s.listening)
			sock_export(o, l);
	}
	for (struct lsock *l = g_lsocks; l && !o->err; l = l->next) {
		for (struct sock *q = l->s.queue; q && !o->err; q = q->queue_next)
			sock_export(o, lsock_of(q));
	}
	for (struct lsock *l = g_lsocks; l && !o->err; l = l->next) {
		if (!l->s.listening && !l->s.listener)
			sock_export(o, l);
	}
	for (struct lsock *l = g_lsocks; l && !o->err; l = l->next) {
		if (l->s.listening)
			halves_export(o, l);
	}
}

/* ---- TIME_WAIT ---- */

static void tuple_ends(const struct tuple *t, struct naddr *local, struct naddr *remote)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	const bool v4 = memcmp(t->lip, mapped, 12) == 0 && memcmp(t->rip, mapped, 12) == 0;

	*local = (struct naddr){.len = v4 ? 4 : 16, .port = t->lport};
	*remote = (struct naddr){.len = v4 ? 4 : 16, .port = t->rport};
	memcpy(local->ip, t->lip + (v4 ? 12 : 0), local->len);
	memcpy(remote->ip, t->rip + (v4 ? 12 : 0), remote->len);
}

static void tw_fill(const struct tw *w, uint64_t now, Netstate__TimeWait *m)
{
	m->snd_nxt = w->snd_nxt;
	m->rcv_nxt = w->rcv_nxt;
	m->ts_recent = w->ts_recent;
	m->wnd = w->wnd;
	m->left_ms = (uint32_t)(w->expires > now ? w->expires - now : 0);
	m->flags = (w->flags & TW_F_TS ? NETSTATE__TCP_FLAG__TCPF_TIMESTAMP : 0u) |
	           (w->flags & TW_F_REUSE ? NETSTATE__TCP_FLAG__TCPF_REUSE : 0u);
	m->ttl = w->ttl;
	m->tos = w->tos;
	m->rcv_scale = w->rcv_scale;
}

static void tw_export(struct move_out *o)
{
	static Netstate__TimeWait list[TW_A_RECORD], *ptr[TW_A_RECORD];
	static Netstate__Addr addr[2 * TW_A_RECORD];
	static struct naddr ends[2 * TW_A_RECORD];
	Netstate__TimeWaits m = NETSTATE__TIME_WAITS__INIT;
	const uint64_t now = clock_ms();
	const struct tw *w;

	/* Those whose last ACK is still owed: the record answers when the peer asks. */
	for (struct tcp_pcb *p = tcp_tw_pcbs; p; p = p->next)
		tw_add(p, demux_entry(p) && demux_entry(p)->reuse, now);
	w = tw_next(NULL);
	m.list = ptr;
	while (w && !o->err) {
		const size_t n = m.n_list;

		netstate__time_wait__init(&list[n]);
		tuple_ends(&w->t, &ends[2 * n], &ends[2 * n + 1]);
		for (size_t k = 0; k < 2; k++)
			move_addr(&ends[2 * n + k], &addr[2 * n + k]);
		list[n].local = &addr[2 * n];
		list[n].remote = &addr[2 * n + 1];
		tw_fill(w, now, &list[n]);
		ptr[m.n_list++] = &list[n];
		o->n_tw++;
		w = tw_next(w);
		if (m.n_list == TW_A_RECORD || !w) {
			move_put(o, NETSTATE__KIND__KIND_TIME_WAIT, &m.base, 0);
			m.n_list = 0;
		}
	}
}

static int tw_import_one(struct move_in *in, const Netstate__TimeWait *m, uint64_t now)
{
	struct naddr local, remote;
	ip_addr_t lip, rip;
	struct tw w;

	if (!move_naddr(m->local, &local) || !move_naddr(m->remote, &remote) ||
	    local.len == 0 || local.len != remote.len || local.port == 0 || remote.port == 0)
		return move_refuse(in, "a connection in TIME_WAIT: address");
	if (m->ttl > 255 || m->tos > 255 || m->rcv_scale > 14 || m->wnd > TCP_WND ||
	    m->left_ms > TW_MS)
		return move_refuse(in, "a connection in TIME_WAIT: value");
	naddr_to_lwip(&local, &lip);
	naddr_to_lwip(&remote, &rip);
	memset(&w, 0, sizeof(w));
	tuple_make(&w.t, &lip, local.port, &rip, remote.port);
	w.snd_nxt = m->snd_nxt;
	w.rcv_nxt = m->rcv_nxt;
	w.ts_recent = m->ts_recent;
	w.wnd = m->wnd;
	w.expires = now + m->left_ms;
	w.flags = (uint8_t)((m->flags & NETSTATE__TCP_FLAG__TCPF_TIMESTAMP ? TW_F_TS : 0) |
	                    (m->flags & NETSTATE__TCP_FLAG__TCPF_REUSE ? TW_F_REUSE : 0));
	w.ttl = (uint8_t)m->ttl;
	w.tos = (uint8_t)m->tos;
	w.rcv_scale = (uint8_t)m->rcv_scale;
	in->n_tw++;
	return tw_restore(&w) < 0 ? move_refuse(in, "no memory for TIME_WAIT") : 0;
}

static int tw_import(struct move_in *in)
{
	const Netstate__TimeWaits *m = move_unpack(in, &netstate__time_waits__descriptor);
	const uint64_t now = clock_ms();
	int r = 0;

	if (!m)
		return move_refuse(in, "a record of TIME_WAIT is malformed");
	for (size_t i = 0; i < m->n_list && r == 0; i++)
		r = tw_import_one(in, m->list[i], now);
	return r;
}

/* ---- neighbours ---- */

static void neighbour_put(struct move_out *o, const void *ip, size_t len, const uint8_t mac[6])
{
	Netstate__Neighbour m = NETSTATE__NEIGHBOUR__INIT;
	uint8_t a[16], b[6];

	memcpy(a, ip, len);
	memcpy(b, mac, 6);
	m.ip = (ProtobufCBinaryData){len, a};
	m.mac = (ProtobufCBinaryData){6, b};
	move_put(o, NETSTATE__KIND__KIND_NEIGHBOUR, &m.base, 0);
}

static void neighbours_export(struct move_out *o)
{
	for (size_t i = 0; i < ARP_TABLE_SIZE; i++) {
		ip4_addr_t *ip;
		struct netif *netif;
		struct eth_addr *mac;

		if (etharp_get_entry(i, &ip, &netif, &mac))
			neighbour_put(o, &ip->addr, 4, mac->addr);
	}
	for (size_t i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
		const struct nd6_neighbor_cache_entry *e = &neighbor_cache[i];

		if (e->state >= ND6_REACHABLE && e->netif == lwip_eth())
			neighbour_put(o, e->next_hop_address.addr, 16, e->lladdr);
	}
}

/* An ARP reply for us makes the entry, and sends nothing. */
static void arp_learn(struct netif *n, const uint8_t ip[4], const uint8_t mac[6])
{
	struct pbuf *p = pbuf_alloc(PBUF_RAW, SIZEOF_ETHARP_HDR, PBUF_RAM);
	struct etharp_hdr *h;

	if (!p)
		return; /* it will be asked for */
	h = p->payload;
	memset(h, 0, SIZEOF_ETHARP_HDR);
	h->hwtype = PP_HTONS(LWIP_IANA_HWTYPE_ETHERNET);
	h->proto = PP_HTONS(ETHTYPE_IP);
	h->hwlen = ETH_HWADDR_LEN;
	h->protolen = sizeof(ip4_addr_t);
	h->opcode = PP_HTONS(ARP_REPLY);
	memcpy(h->shwaddr.addr, mac, 6);
	memcpy(&h->sipaddr, ip, 4);
	memcpy(h->dhwaddr.addr, n->hwaddr, 6);
	memcpy(&h->dipaddr, &netif_ip4_addr(n)->addr, 4);
	etharp_input(p, n);
}

/* Stale: used at once, and asked about soon. */
static void nd6_learn(struct netif *n, const uint8_t ip[16], const uint8_t mac[6])
{
	for (size_t i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
		struct nd6_neighbor_cache_entry *e = &neighbor_cache[i];

		if (e->state != ND6_NO_ENTRY)
			continue;
		memset(e, 0, sizeof(*e));
		memcpy(e->next_hop_address.addr, ip, 16);
		ip6_addr_assign_zone(&e->next_hop_address, IP6_UNICAST, n);
		memcpy(e->lladdr, mac, 6);
		e->netif = n;
		e->state = ND6_STALE;
		return;
	}
}

static int neighbour_import(struct move_in *in)
{
	const Netstate__Neighbour *m = move_unpack(in, &netstate__neighbour__descriptor);
	struct netif *n = lwip_eth();

	if (!m || (m->ip.len != 4 && m->ip.len != 16) || m->mac.len != 6)
		return move_refuse(in, "a neighbour is malformed");
	if (n && m->ip.len == 4)
		arp_learn(n, m->ip.data, m->mac.data);
	else if (n)
		nd6_learn(n, m->ip.data, m->mac.data);
	return 0;
}

/* ---- reading sockets ---- */

/* What flags and parts belong together. */
static const char *bad_shape(const Netstate__Sock *m)
{
	const uint32_t f = m->flags;
	const bool stream = m->type == SOCK_STREAM, waits = m->listener != 0;

	if (!stream && ((f & (FLAG(LISTENING) | FLAG(CONNECTING) | FLAG(OPEN) | FLAG(ORPHAN))) ||
	                m->tcp || waits || m->rx_len || m->tx_len))
		return "a datagram socket is no stream";
	if (stream && m->n_dgrams)
		return "a stream has no datagrams";
	if (m->tcp ? !(f & FLAG(OPEN)) || (f & FLAG(LISTENING)) : m->tx_len != 0)
		return "its connection is over, or it never had one";
	if ((f & FLAG(LISTENING)) && (waits || !(f & FLAG(ON_PORT)) || !(f & FLAG(OPEN))))
		return "a listener without a port, or in a queue, or over";
	if ((f & FLAG(ORPHAN)) && (!m->tcp || waits || (f & FLAG(NAMED))))
		return "it is closed, but not alone";
	if (!!(f & FLAG(NAMED)) + !!(f & FLAG(ORPHAN)) + waits != 1)
		return "it is nobody's, or two own it";
	if ((f & FLAG(DEFERRED)) && (!waits || !m->tcp))
		return "it waits for nobody";
	if (waits && !(f & FLAG(CONNECTED)))
		return "it waits to be accepted, but is not connected";
	return NULL;
}

static const char *bad_state(const Netstate__Sock *m)
{
	const uint32_t f = m->flags, state = m->tcp ? m->tcp->state : 0;

	if (!m->tcp && (f & FLAG(OPEN)) && (f & (FLAG(CONNECTING) | FLAG(CONNECTED))))
		return "it has no connection";
	if (!m->tcp)
		return (f & FLAG(CONNECTING)) ? "it connects without a connection" : NULL;
	if (state == NETSTATE__TCP_STATE__TCP_SYN_RCVD)
		return "it is half open";
	if ((state == NETSTATE__TCP_STATE__TCP_SYN_SENT) != !!(f & FLAG(CONNECTING)))
		return "it connects, or it does not";
	if (!(f & (FLAG(CONNECTING) | FLAG(CONNECTED))))
		return "it is not connected";
	return NULL;
}

static int rx_import(struct move_in *in, struct lsock *l, uint64_t len)
{
	if (len != l->s.rx_got - l->s.rx_pushed)
		return move_refuse(in, "what a socket received does not add up");
	while (len > 0) {
		const uint32_t n = len < RX_PIECE ? (uint32_t)len : RX_PIECE;
		const uint8_t *data = move_take(in, n);
		struct pbuf *p = data ? pbuf_alloc(PBUF_RAW, (u16_t)n, PBUF_RAM) : NULL;

		if (!p)
			return move_refuse(in, "received data is missing");
		memcpy(p->payload, data, n);
		if (l->rx)
			l->rx_tail->next = p;
		else
			l->rx = p;
		l->rx_tail = p;
		len -= n;
	}
	return 0;
}

static int tx_import(struct move_in *in, struct lsock *l, uint64_t len)
{
	const uint8_t *data = len <= SEND_MAX ? move_take(in, len) : NULL;

	if (!data || (len > 0 && tx_append(l, data, (uint32_t)len) < 0))
		return move_refuse(in, "posted data is missing");
	return 0;
}

static int dgram_import(struct move_in *in, struct lsock *l, const Netstate__Dgram *m)
{
	const uint8_t *data = m->len <= 65535 ? move_take(in, m->len) : NULL;
	struct rx_dgram *d = calloc(1, sizeof(*d));

	if (!data || !d || !move_naddr(m->peer, &d->peer) || !move_naddr(m->local, &d->local)) {
		free(d);
		return move_refuse(in, "a datagram is malformed");
	}
	d->ttl = (uint8_t)m->ttl;
	d->tos = (uint8_t)m->tos;
	d->ifindex = (uint8_t)m->ifindex;
	d->p = pbuf_alloc(PBUF_RAW, (u16_t)m->len, PBUF_RAM);
	if (!d->p) {
		free(d);
		return move_refuse(in, "no memory for a datagram");
	}
	memcpy(d->p->payload, data, m->len);
	dgram_append(l, d);
	return 0;
}

static int port_import(struct move_in *in, const Netstate__Sock *m, struct lsock *l)
{
	struct naddr a;

	if (!move_naddr(m->port_addr, &a) ||
	    ((m->flags & FLAG(ON_PORT)) && (a.len == 0 || a.port == 0)))
		return move_refuse(in, "a socket's port is malformed");
	lwip_bind_fill(l);
	l->port.addr = a;
	l->port_chosen = (m->flags & FLAG(PORT_CHOSEN)) != 0;
	l->port_asked = (m->flags & FLAG(PORT_ASKED)) != 0;
	l->port.by_connect = (m->flags & FLAG(BY_CONNECT)) != 0;
	l->port.listening = l->s.listening;
	if (m->flags & FLAG(ON_PORT))
		ports_add(&l->port);
	return 0;
}

static int tcp_import(struct move_in *in, const Netstate__Sock *m, struct lsock *l)
{
	struct tcp_pcb *pcb = move_tcp_make(in, m->tcp);

	if (!pcb)
		return -EPROTO;
	if (tcp_restore(l, pcb, false, (m->tcp->flags & NETSTATE__TCP_FLAG__TCPF_REUSE) != 0) < 0) {
		move_tcp_free(pcb);
		return move_refuse(in, "no memory for a connection");
	}
	in->n_conns++;
	return 0;
}

/* Everything below the socket, in the order of its payload. */
static int below_import(struct move_in *in, const Netstate__Sock *m, struct lsock *l)
{
	int r = port_import(in, m, l);

	if (r == 0 && l->s.type == SOCK_DGRAM)
		r = dgram_open(l);
	if (r == 0 && l->s.type == SOCK_STREAM)
		r = rx_import(in, l, m->rx_len);
	if (r == 0)
		r = tx_import(in, l, m->tx_len);
	for (size_t i = 0; i < m->n_dgrams && r == 0; i++)
		r = dgram_import(in, l, m->dgrams[i]);
	if (r == 0 && m->tcp)
		r = tcp_import(in, m, l);
	else if (r == 0 && (m->flags & FLAG(OPEN)))
		r = tcp_open(l);
	if (r == 0 && l->s.listening)
		r = l->s.local.len ? tcp_listen_start(l) : -EINVAL;
	return r < 0 ? move_refuse(in, "socket %u cannot be made", m->id) : 0;
}

static int waiting_import(struct move_in *in, const Netstate__Sock *m, struct lsock *l)
{
	const uint64_t now = clock_ms();

	l->progress_ms = now - (m->progress_ms < now ? m->progress_ms : now);
	if (m->flags & FLAG(DEFERRED)) {
		struct sock *listener = move_listener(in, m->listener);

		if (!listener)
			return -EPROTO;
		l->deferred_by = lsock_of(listener);
		l->deferred_by->n_deferred++;
		wait_add(l, now + (m->wait ? m->wait - 1 : 0));
	} else if (m->wait && l->pcb && !l->s.listening) {
		wait_add(l, now + m->wait - 1);
	}
	return 0;
}

static int sock_import(struct move_in *in)
{
	const Netstate__Sock *m = move_unpack(in, &netstate__sock__descriptor);
	const char *bad = m ? bad_shape(m) : "malformed";
	struct lsock *l;
	struct sock *s;
	int r;

	if (!bad)
		bad = bad_state(m);
	if (bad)
		return move_refuse(in, "socket %u: %s", m ? m->id : in->n_socks + 1, bad);
	s = move_sock_make(in, m, g_stack_lwip.ops);
	if (!s)
		return -EPROTO;
	l = lsock_of(s);
	lsock_add(l);
	l->window = m->window < TCP_WND ? m->window : TCP_WND;
	l->fin_wanted = (m->flags & FLAG(FIN_WANTED)) != 0;
	l->orphan = (m->flags & FLAG(ORPHAN)) != 0;
	r = below_import(in, m, l);
	if (r == 0)
		r = waiting_import(in, m, l);
	return r == 0 ? move_sock_place(in, m, s) : r;
}

static int half_import(struct move_in *in)
{
	const Netstate__Half *m = move_unpack(in, &netstate__half__descriptor);
	struct sock *listener;
	struct tcp_pcb *pcb;

	if (!m || !m->tcp || m->tcp->state != NETSTATE__TCP_STATE__TCP_SYN_RCVD)
		return move_refuse(in, "a half-open connection is malformed");
	listener = move_listener(in, m->listener);
	pcb = listener && lsock_of(listener)->pcb ? move_tcp_make(in, m->tcp) : NULL;
	if (!pcb)
		return move_refuse(in, "a half-open connection has no listener");
	if (tcp_restore(lsock_of(listener), pcb, true,
	                (m->tcp->flags & NETSTATE__TCP_FLAG__TCPF_REUSE) != 0) < 0) {
		move_tcp_free(pcb);
		return move_refuse(in, "no memory for a connection");
	}
	in->n_halves++;
	in->n_conns++;
	return 0;
}

/* ---- the stack's operations ---- */

void lwip_export(struct move_out *o)
{
	socks_export(o);
	tw_export(o);
	neighbours_export(o);
	(void)move_flush(o); /* kept in o->err */
	tcp_room_free(&g_room.segs);
}

int lwip_import(struct move_in *in)
{
	switch (in->kind) {
	case NETSTATE__KIND__KIND_HEAD:
		return head_import(in);
	case NETSTATE__KIND__KIND_SOCK:
		return sock_import(in);
	case NETSTATE__KIND__KIND_HALF:
		return half_import(in);
	case NETSTATE__KIND__KIND_TIME_WAIT:
		return tw_import(in);
	case NETSTATE__KIND__KIND_NEIGHBOUR:
		return neighbour_import(in);
	default:
		return 0; /* of a newer netd: what it says can be missed */
	}
}

/* Whoever learns from frames where an address is reached hears of us; groups are
 * joined again. */
void lwip_go(void)
{
	struct netif *n = lwip_eth();

	link_go();
	for (struct lsock *l = g_lsocks; l; l = l->next) {
		for (unsigned i = 0; i < l->s.n_groups; i++)
			(void)dgram_group(&l->s, &l->s.groups[i], l->s.groups[i].scope, true);
	}
	if (n && !ip4_addr_isany(netif_ip4_addr(n)))
		(void)etharp_gratuitous(n);
	else if (n)
		mld6_report_groups(n);
}
