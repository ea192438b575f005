/* SPDX-License-Identifier: MIT */
/*
 * lwip_tcp.c - TCP connections of the lwip stack.
 *
 * Rules that hold between netd and lwIP:
 * 1. The receive callback never refuses data: lwIP would drop what follows.  It
 *    is queued (lwip_rx.c).
 * 2. A pcb may vanish in any call into lwIP; the demultiplexer then calls
 *    conn_gone(), so l->pcb is never stale.  Callbacks are taken off a pcb before
 *    netd aborts it: an error callback always means the network or a timer.
 * 3. tcp_close() sends RST instead of FIN if the window is not wide open; the
 *    window is set wide before, because netd itself decides (unread data).
 */
#include "services/netd/clock.h"
#include "services/netd/errmap.h"
#include "services/netd/lwip_priv.h"
#include "services/netd/tw.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#define ORPHAN_MS 120000u

static void detach(struct lsock *l)
{
	struct demux_ent *e = demux_entry(l->pcb);

	if (e)
		e->owner = NULL;
	tcp_arg(l->pcb, NULL);
	tcp_recv(l->pcb, NULL);
	tcp_sent(l->pcb, NULL);
	tcp_err(l->pcb, NULL);
	l->pcb = NULL;
}

/* RST if the peer knows of the connection; the pcb is freed. */
static void abort_pcb(struct lsock *l)
{
	struct tcp_pcb *pcb = l->pcb;

	if (!pcb)
		return;
	detach(l);
	if (pcb->state == SYN_SENT)
		(void)tcp_close(pcb); /* frees at once, sends nothing */
	else
		tcp_abort(pcb);
}

void tcp_fail(struct lsock *l, int err)
{
	const bool connecting = l->s.connecting;

	abort_pcb(l);
	if (l->orphan) {
		lsock_del(l);
		sock_free(&l->s);
	} else if (connecting) {
		sock_connected(&l->s, err);
	} else {
		sock_error(&l->s, err, true);
	}
}

/* ---- lwIP's callbacks ---- */

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct lsock *l = arg;

	(void)pcb;
	(void)err;
	if (!p) {
		l->s.eof = true;
		if (l->deferred_by)
			tcp_defer_end(l);
		sock_ready(&l->s, PEND_EOF);
		return ERR_OK;
	}
	l->s.rx_got += p->tot_len;
	if (l->rx)
		l->rx_tail->next = p;
	else
		l->rx = p;
	while (p->next)
		p = p->next;
	l->rx_tail = p;
	if (l->deferred_by)
		tcp_defer_end(l);
	sock_ready(&l->s, PEND_DATA);
	return ERR_OK;
}

/* Closed by the guest, but not all is sent: what arrives now is lost, so RST. */
static err_t on_recv_orphan(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	(void)arg;
	(void)err;
	if (!p)
		return ERR_OK;
	pbuf_free(p);
	tcp_abort(pcb); /* conn_gone() frees the rest */
	return ERR_ABRT;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct lsock *l = arg;

	(void)pcb;
	l->progress_ms = clock_ms();
	sock_acked(&l->s, len);
	if (l->tx)
		tx_dirty(l); /* drained after input, when tcp_close() is allowed too */
	return ERR_OK;
}

static void on_err(void *arg, err_t err)
{
	struct lsock *l = arg;
	int e = errmap_lwip(err);

	l->pcb = NULL;
	if (err == ERR_CLSD) { /* both sides had closed: a normal end */
		l->s.gone = true;
		return;
	}
	if (err == ERR_ABRT)
		e = ETIMEDOUT;
	if (l->s.connecting)
		sock_connected(&l->s, err == ERR_RST ? ECONNREFUSED : e);
	else
		sock_error(&l->s, e, true);
}

static void set_callbacks(struct lsock *l)
{
	tcp_arg(l->pcb, l);
	tcp_recv(l->pcb, on_recv);
	tcp_sent(l->pcb, on_sent);
	tcp_err(l->pcb, on_err);
}

/* ---- options ---- */

void tcp_apply(struct lsock *l)
{
	const struct sockopts *o = &l->s.opt;
	struct tcp_pcb *pcb = l->pcb;
	struct demux_ent *e;

	lwip_bind_fill(l);
	if (!pcb || l->s.listening)
		return;
	if (o->keepalive)
		ip_set_option(pcb, SOF_KEEPALIVE);
	else
		ip_reset_option(pcb, SOF_KEEPALIVE);
	pcb->keep_idle = (u32_t)o->keepidle * 1000;
	pcb->keep_intvl = (u32_t)o->keepintvl * 1000;
	pcb->keep_cnt = (u32_t)o->keepcnt;
	if (o->nodelay)
		tcp_nagle_disable(pcb);
	else
		tcp_nagle_enable(pcb);
	if (l->s.peer.len == 16) {
		pcb->ttl = (u8_t)(o->hops < 0 ? 64 : o->hops);
		pcb->tos = (u8_t)(o->tclass < 0 ? 0 : o->tclass);
	} else {
		pcb->ttl = (u8_t)o->ttl;
		pcb->tos = (u8_t)o->tos;
	}
	if (o->maxseg && l->s.connected && pcb->mss > o->maxseg)
		pcb->mss = (u16_t)o->maxseg;
	e = demux_entry(pcb);
	if (e) {
		e->reuse = o->reuseaddr != 0;
		demux_touch(pcb);
	}
	if (!o->cork && l->tx)
		(void)tx_drain(l); /* not an orphan: it stays */
}

int tcp_open(struct lsock *l)
{
	l->pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
	if (!l->pcb)
		return -ENOMEM;
	set_callbacks(l);
	tcp_apply(l);
	return 0;
}

/* ---- listening ---- */

static int on_syn(void *listener, struct demux_ent *e)
{
	struct lsock *l = listener;

	if (l->s.n_queue > l->s.backlog || l->n_half >= HALF_MAX)
		return -1; /* the peer's SYN comes again */
	e->owner = l;
	l->n_half++;
	demux_half_add(e, &l->half);
	return 0;
}

static struct lsock *accepted_new(struct lsock *listener, struct tcp_pcb *pcb)
{
	struct sock *s = sock_new(listener->s.ops, listener->s.domain, SOCK_STREAM, IPPROTO_TCP);
	struct lsock *l = s ? lsock_of(s) : NULL;
	struct demux_ent *e = demux_entry(pcb);

	if (!l)
		return NULL;
	l->pcb = pcb;
	l->s.opt = listener->s.opt;
	l->s.bound = true;
	l->s.rx_limit = l->s.rx_limit_told = listener->s.accept_limit;
	naddr_from_lwip(&pcb->local_ip, pcb->local_port, &l->s.local);
	naddr_from_lwip(&pcb->remote_ip, pcb->remote_port, &l->s.peer);
	l->port.owner = l;
	l->port.proto = IPPROTO_TCP;
	l->port.addr = l->s.local;
	lsock_add(l);
	ports_add(&l->port);
	demux_half_del(e);
	listener->n_half--;
	e->half = false;
	e->owner = l;
	pcb->listener = NULL; /* the listener may go before us */
	return l;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct lsock *listener = arg, *l;

	if (err != ERR_OK || !pcb || !listener)
		return ERR_VAL;
	l = accepted_new(listener, pcb);
	if (!l)
		return ERR_MEM;
	set_callbacks(l);
	l->s.connected = true;
	tcp_apply(l);
	rx_first_window(l);
	if (listener->s.opt.defer_accept) {
		l->deferred_by = listener;
		listener->n_deferred++;
		wait_add(l, clock_ms() + (uint64_t)listener->s.opt.defer_accept * 1000);
	} else {
		sock_queue_accept(&listener->s, &l->s);
	}
	return ERR_OK;
}

void tcp_defer_end(struct lsock *l)
{
	struct lsock *listener = l->deferred_by;

	l->deferred_by = NULL;
	listener->n_deferred--;
	wait_del(l);
	if (l->s.gone)
		tcp_do_close(l, true); /* reset while it waited: nobody will know */
	else
		sock_queue_accept(&listener->s, &l->s);
}

/* The address that bind() named stays when the port does not. */
static bool own_address(const struct lsock *l)
{
	return l->s.local.len && !naddr_any(&l->s.local);
}

/* The fresh pcb of @l becomes a listener. */
int tcp_listen_start(struct lsock *l)
{
	struct tcp_pcb *pcb = l->pcb, *lpcb;
	ip_addr_t any = IPADDR_ANY_TYPE_INIT;

	naddr_to_lwip(&l->s.local, &pcb->local_ip);
	if (l->s.local.len == 16 && naddr_any(&l->s.local) && !l->s.opt.v6only)
		pcb->local_ip = any;
	pcb->local_port = l->s.local.port;
	lpcb = tcp_listen_with_backlog(pcb, TCP_DEFAULT_LISTEN_BACKLOG);
	if (!lpcb)
		return -ENOMEM;
	l->pcb = lpcb; /* the first is freed */
	tcp_arg(lpcb, l);
	tcp_accept(lpcb, on_accept);
	demux_listener(lpcb);
	return 0;
}

int tcp_do_listen(struct lsock *l)
{
	int r;

	if (!l->pcb)
		return -EINVAL;
	if (!l->s.bound) {
		struct naddr a = l->s.local;

		a.port = 0;
		r = lwip_bind(l, own_address(l) ? &a : NULL);
		if (r < 0)
			return r;
	}
	l->port.listening = true;
	r = ports_check(&l->port, l->port.addr.port);
	if (r == 0)
		r = tcp_listen_start(l);
	if (r < 0)
		l->port.listening = false;
	return r;
}

static void listener_close(struct lsock *l)
{
	struct lsock *o, *next;
	struct tcp_pcb *lpcb = l->pcb;

	while (l->half) {
		struct demux_ent *e = l->half;

		demux_half_del(e);
		e->owner = NULL;
		e->pcb->listener = NULL;
		tcp_abort(e->pcb);
	}
	l->n_half = 0;
	for (o = g_lsocks; o && l->n_deferred > 0; o = next) {
		next = o->next;
		if (o->deferred_by == l) { /* whatever the option says now */
			o->deferred_by = NULL;
			l->n_deferred--;
			tcp_do_close(o, true);
		}
	}
	l->pcb = NULL;
	if (lpcb)
		(void)tcp_close(lpcb); /* cannot fail for a listener */
}

/* ---- connecting ---- */

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct lsock *l = arg;

	(void)err; /* always ERR_OK */
	naddr_from_lwip(&pcb->local_ip, pcb->local_port, &l->s.local);
	rx_first_window(l);
	sock_connected(&l->s, 0);
	tcp_apply(l);
	return ERR_OK;
}

/* A port for connect(): its 4-tuple is what must be free. */
static int pick_tuple(struct lsock *l, const ip_addr_t *src, const ip_addr_t *dst,
                      uint16_t dport)
{
	for (unsigned i = 0; i <= PORT_EPHEMERAL_MAX - PORT_EPHEMERAL_MIN; i++) {
		const uint16_t p = ports_candidate();

		if (!ports_shareable(IPPROTO_TCP, p) || demux_used(src, p, dst, dport))
			continue;
		naddr_from_lwip(src, p, &l->s.local);
		l->port.addr = l->s.local;
		l->port.by_connect = true;
		l->port_chosen = true;
		l->s.bound = true;
		ports_add(&l->port);
		return 0;
	}
	return -EADDRNOTAVAIL;
}

static int local_end(struct lsock *l, const ip_addr_t *src, const ip_addr_t *dst,
                     uint16_t dport)
{
	if (!l->s.bound)
		return pick_tuple(l, src, dst, dport);
	if (demux_used(src, l->s.local.port, dst, dport))
		return -EADDRNOTAVAIL;
	naddr_from_lwip(src, l->s.local.port, &l->s.local);
	return 0;
}

int tcp_do_connect(struct lsock *l, const struct naddr *a)
{
	struct demux_ent *e;
	struct netif *netif;
	ip_addr_t src, dst;
	err_t err;
	int r;

	if (!l->pcb || l->s.gone) { /* a failed attempt: Linux lets the program try again */
		if (l->s.connected || l->s.eof)
			return -EISCONN;
		r = tcp_open(l);
		if (r < 0)
			return r;
		l->s.gone = false;
	}
	r = lwip_route(a, l->s.bound || own_address(l) ? &l->s.local : NULL, &netif, &src);
	if (r < 0)
		return r;
	naddr_to_lwip(a, &dst);
	r = local_end(l, &src, &dst, a->port);
	if (r < 0)
		return r;
	l->s.peer = *a;
	tcp_apply(l);
	l->pcb->local_ip = src;
	l->pcb->local_port = l->s.local.port;
	err = tcp_connect(l->pcb, &dst, a->port, on_connected);
	if (err != ERR_OK)
		return -errmap_lwip(err);
	l->s.connecting = true;
	demux_adopt();
	e = demux_entry(l->pcb);
	if (!e) {
		l->s.connecting = false;
		return -ENOMEM;
	}
	e->owner = l;
	e->reuse = l->s.opt.reuseaddr != 0;
	return -EINPROGRESS;
}

void tcp_lost(const struct naddr *local, const struct naddr *peer)
{
	ip_addr_t lip, rip;
	struct tuple t;

	naddr_to_lwip(local, &lip);
	naddr_to_lwip(peer, &rip);
	if (!lwip_is_local(local) || lwip_is_local(peer) ||
	    demux_used(&lip, local->port, &rip, peer->port))
		return;
	tuple_make(&t, &lip, local->port, &rip, peer->port);
	tw_probe(&t);
}

/* ---- the end ---- */

int tcp_do_shutdown(struct lsock *l, int how)
{
	if (l->s.listening) {
		if (how == SHUT_WR)
			return -ENOTCONN;
		while (l->s.queue)
			sock_close(l->s.queue, true);
		listener_close(l);
		l->s.listening = false;
		l->s.gone = true;
		return 0;
	}
	if (how != SHUT_WR)
		l->s.rx_shut = true;
	if (how != SHUT_RD && !l->s.tx_shut) {
		l->s.tx_shut = true;
		tx_fin(l);
	}
	return 0;
}

/* A port that nobody asked for by number goes, as on Linux, where getsockname()
 * still shows it; an address that bind() named stays. */
static void keep_name(struct lsock *l)
{
	const uint16_t port = l->s.local.port;

	l->s.local = l->port.addr;
	if (l->port_asked)
		return;
	ports_del(&l->port);
	if (l->port_chosen || l->port.addr.len == 0) {
		memset(&l->s.local, 0, sizeof(l->s.local));
		l->s.local.len = l->s.domain == AF_INET ? 4 : 16;
	}
	l->s.local.port = port;
	l->port.addr = l->s.local;
	l->s.bound = l->port_chosen = l->port.by_connect = false;
}

int tcp_do_disconnect(struct lsock *l)
{
	if (l->s.listening) {
		listener_close(l);
		l->port.listening = false;
	} else if (l->pcb && l->s.eof && l->s.tx_shut && !l->tx) {
		struct tcp_pcb *pcb = l->pcb; /* the peer thinks it over as well */

		detach(l);
		tcp_abandon(pcb, 0);
	} else {
		abort_pcb(l);
	}
	tx_clean(l);
	wait_del(l);
	tx_free(l);
	tcp_rx_free(l);
	l->rx_off = 0;
	l->fin_wanted = false;
	keep_name(l);
	sock_reset(&l->s);
	return tcp_open(l);
}

static bool unread(const struct lsock *l)
{
	return l->rx != NULL;
}

/* All is with lwIP, which sends FIN and ends the connection; conn_gone() then frees
 * the rest. */
static void let_go(struct lsock *l)
{
	struct tcp_pcb *pcb = l->pcb;

	l->orphan = true;
	l->progress_ms = clock_ms();
	tcp_recv(pcb, NULL);
	tcp_err(pcb, NULL); /* on_sent() stays: it sees progress */
	pcb->rcv_wnd = TCP_WND_MAX(pcb); /* rule 3 */
	(void)tcp_close(pcb); /* out of memory for the FIN: lwIP's timer sends it */
	demux_touch(pcb);
}

void tcp_do_close(struct lsock *l, bool abort)
{
	if (l->s.listening) {
		listener_close(l);
	} else if (l->pcb && (abort || (unread(l) && !l->orphan) || l->s.connecting)) {
		abort_pcb(l);
	} else if (l->pcb && l->tx) {
		l->orphan = true;
		l->progress_ms = clock_ms();
		l->fin_wanted = true;
		tcp_recv(l->pcb, on_recv_orphan);
		tcp_err(l->pcb, NULL);
		(void)tx_drain(l);
		return;
	} else if (l->pcb && l->s.connected) {
		let_go(l);
		return;
	} else {
		abort_pcb(l);
	}
	lsock_del(l);
	sock_free(&l->s);
}

uint32_t tcp_reset_orphans(void)
{
	uint32_t n = 0;

	for (struct lsock *l = g_lsocks, *next; l; l = next) {
		next = l->next;
		if (!l->orphan)
			continue;
		n++;
		tcp_do_close(l, true);
	}
	return n;
}

/* ---- the demultiplexer's reports ---- */

static void conn_gone(void *owner, bool half)
{
	struct lsock *l = owner;

	if (half) {
		l->n_half--;
		return;
	}
	l->pcb = NULL;
	if (l->orphan) {
		lsock_del(l);
		sock_free(&l->s);
	}
}

/* The peer acknowledges nothing for longer than the program allows, or, when the
 * program is gone, than anybody should hold our memory. */
static bool stuck(const struct lsock *l)
{
	const uint64_t limit = l->orphan ? ORPHAN_MS : (uint64_t)l->s.opt.user_timeout_ms;

	return limit && l->s.connected && (l->pcb->unacked || l->pcb->unsent) &&
	       clock_ms() - l->progress_ms > limit;
}

static void conn_after(void *owner)
{
	struct lsock *l = owner;

	if (l->orphan && (l->s.linger || l->s.lingered_by) && l->pcb && !l->tx &&
	    (l->pcb->state == FIN_WAIT_2 || l->pcb->state == TIME_WAIT))
		sock_closed(&l->s);
	if (l->pcb && stuck(l)) {
		tcp_fail(l, ETIMEDOUT);
		return;
	}
	if (l->pcb && l->s.connected && !l->s.eof && !l->orphan)
		rx_announce(l);
	if (l->pcb && (l->tx || (l->pcb->flags & TF_ACK_NOW)))
		tx_dirty(l);
}

/* A pcb from another netd for @l, a connection, or, while @half, a listener. */
int tcp_restore(struct lsock *l, struct tcp_pcb *pcb, bool half, bool reuse)
{
	struct demux_ent *e = demux_restore(pcb);

	if (!e)
		return -ENOMEM;
	e->owner = l;
	e->half = half;
	e->reuse = reuse;
	if (half) {
		l->n_half++;
		demux_half_add(e, &l->half);
		pcb->callback_arg = l;
		pcb->listener = (struct tcp_pcb_listen *)(void *)l->pcb;
		return 0;
	}
	l->pcb = pcb;
	set_callbacks(l);
	if (l->s.connecting)
		pcb->connected = on_connected;
	if (l->orphan) {
		tcp_recv(pcb, l->tx || l->fin_wanted ? on_recv_orphan : NULL);
		tcp_err(pcb, NULL);
	}
	if (l->tx || pcb->unsent || (pcb->flags & TF_ACK_NOW))
		tx_dirty(l);
	return 0;
}

void lwip_tcp_init(void)
{
	static const struct demux_ops ops = {on_syn, conn_gone, conn_after};

	demux_init(&ops);
}

int tcp_info_get(struct lsock *l, void *val, uint32_t *len)
{
	static const uint8_t state[] = {TCP_CLOSE, TCP_LISTEN, TCP_SYN_SENT, TCP_SYN_RECV,
	                                TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2,
	                                TCP_CLOSE_WAIT, TCP_CLOSING, TCP_LAST_ACK,
	                                TCP_TIME_WAIT};
	const struct tcp_pcb *pcb = l->s.listening ? NULL : l->pcb;
	struct tcp_info i = {.tcpi_state = l->s.listening ? TCP_LISTEN : TCP_CLOSE};

	if (l->s.listening) {
		i.tcpi_unacked = l->s.n_queue;
		i.tcpi_sacked = l->s.backlog;
	}
	if (pcb && pcb->state < sizeof(state)) {
		i.tcpi_state = state[pcb->state];
		i.tcpi_retransmits = pcb->nrtx;
		i.tcpi_probes = pcb->persist_probe;
		i.tcpi_backoff = pcb->nrtx;
		if (pcb->flags & TF_TIMESTAMP)
			i.tcpi_options |= TCPI_OPT_TIMESTAMPS;
		if (pcb->flags & TF_SACK)
			i.tcpi_options |= TCPI_OPT_SACK;
		if (pcb->flags & TF_WND_SCALE)
			i.tcpi_options |= TCPI_OPT_WSCALE;
		i.tcpi_snd_wscale = pcb->snd_scale & 0xfu;
		i.tcpi_rcv_wscale = pcb->rcv_scale & 0xfu;
		i.tcpi_rto = (uint32_t)pcb->rto * 2 * TCP_TMR_INTERVAL * 1000;
		i.tcpi_rtt = (uint32_t)(pcb->sa >> 3) * 2 * TCP_TMR_INTERVAL * 1000;
		i.tcpi_rttvar = (uint32_t)(pcb->sv >> 2) * 2 * TCP_TMR_INTERVAL * 1000;
		i.tcpi_snd_mss = pcb->mss;
		i.tcpi_rcv_mss = pcb->mss;
		i.tcpi_advmss = pcb->mss;
		i.tcpi_pmtu = pcb->mss + 40u;
		i.tcpi_unacked = pcb->snd_queuelen;
		i.tcpi_snd_ssthresh = pcb->ssthresh / pcb->mss;
		i.tcpi_snd_cwnd = pcb->cwnd / pcb->mss;
		i.tcpi_rcv_space = pcb->rcv_wnd;
	}
	if (*len > sizeof(i))
		*len = sizeof(i);
	memcpy(val, &i, *len);
	return 0;
}
