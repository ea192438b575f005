/* SPDX-License-Identifier: MIT */
/*
 * push.c - what a guest did not ask for: data, accepts, readiness, errors.
 *
 * What is owed is state (sock.pend, queues of the stack), never a queue of
 * messages, so a guest that returns no credit costs nothing more.  Sockets with
 * something owed take turns; each turn pushes at most PIECE bytes while others
 * wait.  Order within a socket: accepted, connected, room, data, end, error.
 * An error does not wait for a guest that gives no window.
 */
#include "services/netd/netd.h"

#include <errno.h>
#include <stdlib.h>

#define PIECE RPC_BULK_PIECE
#define DATA_COST 96u /* header and message of a Data event */
#define WORTH 2048u   /* do not cut data into smaller pieces for want of credit */

enum pushed { PUSH_DONE, PUSH_MORE, PUSH_STOP };

bool wire_to_naddr(const Net__Addr *w, const struct sock *s, struct naddr *a)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	memset(a, 0, sizeof(*a));
	if (!w)
		return true;
	if (w->port > 65535 || (w->ip.len != 0 && w->ip.len != 4 && w->ip.len != 16))
		return false;
	a->port = (uint16_t)w->port;
	a->scope = w->scope;
	a->len = (uint8_t)w->ip.len;
	if (a->len)
		memcpy(a->ip, w->ip.data, a->len);
	if (a->len == 16 && memcmp(a->ip, mapped, 12) == 0) {
		memmove(a->ip, a->ip + 12, 4);
		memset(a->ip + 4, 0, 12);
		a->len = 4;
	}
	if (a->len == 16 && s && s->domain == AF_INET)
		return false;
	return true;
}

void naddr_to_wire(const struct naddr *a, const struct sock *s, Net__Addr *w, uint8_t buf[16])
{
	net__addr__init(w);
	w->port = a->port;
	w->scope = a->scope;
	w->ip.data = buf;
	if (s->domain == AF_INET6 && a->len == 4) {
		memset(buf, 0, 10);
		buf[10] = buf[11] = 0xff;
		memcpy(buf + 12, a->ip, 4);
		w->ip.len = 16;
	} else {
		memcpy(buf, a->ip, 16);
		w->ip.len = a->len;
	}
}

struct addr_pair {
	Net__Addr local, peer;
	uint8_t lbuf[16], pbuf[16];
};

static void pair_make(struct addr_pair *p, const struct sock *s)
{
	naddr_to_wire(&s->local, s, &p->local, p->lbuf);
	naddr_to_wire(&s->peer, s, &p->peer, p->pbuf);
}

static int push_accepted(struct sock *s)
{
	Net__AcceptedEvt ev = NET__ACCEPTED_EVT__INIT;
	struct addr_pair a;

	pair_make(&a, s);
	ev.listener = s->accepted_by;
	ev.handle = s->handle;
	ev.local = &a.local;
	ev.peer = &a.peer;
	ev.tx_limit = s->tx_limit;
	return rpc_event(s->guest->conn, EV_ACCEPTED, &ev.base, NULL, 0);
}

static int push_connected(struct sock *s)
{
	Net__ConnectedEvt ev = NET__CONNECTED_EVT__INIT;
	struct addr_pair a;

	pair_make(&a, s);
	ev.handle = s->handle;
	ev.err = (uint32_t)s->connect_err;
	ev.local = &a.local;
	ev.peer = &a.peer;
	ev.tx_limit = s->tx_limit;
	return rpc_event(s->guest->conn, EV_CONNECTED, &ev.base, NULL, 0);
}

static int push_space(struct sock *s)
{
	Net__SpaceEvt ev = NET__SPACE_EVT__INIT;
	const uint64_t limit = s->tx_acked + (uint64_t)s->opt.sndbuf;
	int r;

	ev.handle = s->handle;
	ev.tx_limit = limit > s->tx_limit ? limit : s->tx_limit;
	ev.acked = s->tx_acked;
	r = rpc_event(s->guest->conn, EV_SPACE, &ev.base, NULL, 0);
	if (r == 0)
		s->tx_limit = ev.tx_limit;
	return r;
}

static int push_eof(struct sock *s)
{
	Net__EofEvt ev = NET__EOF_EVT__INIT;

	ev.handle = s->handle;
	ev.offset = s->rx_got;
	return rpc_event(s->guest->conn, EV_EOF, &ev.base, NULL, 0);
}

static int push_error(struct sock *s)
{
	Net__ErrorEvt ev = NET__ERROR_EVT__INIT;
	int r;

	ev.handle = s->handle;
	ev.err = (uint32_t)s->err;
	ev.fatal = s->err_fatal;
	r = rpc_event(s->guest->conn, EV_ERROR, &ev.base, NULL, 0);
	if (r == 0)
		s->err = 0;
	return r;
}

/* After SHUT_RD data is taken and forgotten, as on Linux; also beyond what the guest has
 * allowed, or the peer of one that had received all it allowed would wait for ever. */
static enum pushed discard_stream(struct sock *s)
{
	struct iovec io[RX_IOV_MAX];
	int n_io = 0;
	const uint32_t n = s->ops->rx_peek(s, RPC_PAYLOAD_MAX, io, &n_io);

	s->rx_skipped += n;
	s->rx_pushed += n;
	if (s->rx_limit < s->rx_pushed + RPC_PAYLOAD_MAX)
		s->rx_limit = s->rx_pushed + RPC_PAYLOAD_MAX;
	s->ops->rx_take(s, n);
	s->ops->rx_window(s);
	if (n > 0)
		return PUSH_MORE;
	s->pend &= ~PEND_DATA;
	return PUSH_DONE;
}

static enum pushed push_stream(struct sock *s, uint32_t max)
{
	Net__DataMsg ev = NET__DATA_MSG__INIT;
	struct iovec io[RX_IOV_MAX];
	uint32_t credit = rpc_event_credit(s->guest->conn), n;
	const uint64_t window = s->rx_limit - s->rx_pushed;
	int n_io = 0;

	if (s->rx_shut)
		return discard_stream(s);
	if (window == 0) {
		s->pend &= ~PEND_DATA;
		return PUSH_DONE;
	}
	if (credit < DATA_COST + WORTH)
		return PUSH_STOP;
	credit -= DATA_COST;
	max = max < credit ? max : credit;
	max = max < window ? max : (uint32_t)window;
	n = s->ops->rx_peek(s, max, io, &n_io);
	if (n == 0) {
		s->pend &= ~PEND_DATA;
		return PUSH_DONE;
	}
	ev.handle = s->handle;
	ev.offset = s->rx_pushed;
	if (rpc_event(s->guest->conn, EV_DATA, &ev.base, io, n_io) < 0)
		return PUSH_STOP;
	s->rx_pushed += n;
	s->ops->rx_take(s, n);
	return PUSH_MORE;
}

static enum pushed push_dgram(struct sock *s)
{
	Net__DgramMsg ev = NET__DGRAM_MSG__INIT;
	Net__Addr peer, local;
	uint8_t pbuf[16], lbuf[16];
	struct dgram d = {0};
	uint64_t charge;

	if (!s->ops->dgram_peek(s, &d)) {
		s->pend &= ~PEND_DATA;
		return PUSH_DONE;
	}
	charge = d.len + DGRAM_CHARGE;
	if (s->rx_pushed + charge > s->rx_limit) {
		s->pend &= ~PEND_DATA;
		return PUSH_DONE;
	}
	naddr_to_wire(&d.peer, s, &peer, pbuf);
	naddr_to_wire(&d.local, s, &local, lbuf);
	ev.handle = s->handle;
	ev.peer = &peer;
	ev.local = &local;
	ev.ttl = d.ttl;
	ev.tos = d.tos;
	ev.ifindex = d.ifindex;
	ev.credit = charge;
	if (rpc_event(s->guest->conn, EV_DGRAM, &ev.base, d.io, d.n_io) < 0)
		return PUSH_STOP;
	s->rx_pushed += charge;
	s->ops->dgram_take(s);
	return PUSH_MORE;
}

/* Control events of @s: false when credit ran out. */
static bool push_control(struct sock *s)
{
	static const struct {
		uint32_t bit;
		int (*push)(struct sock *s);
	} order[] = {{PEND_ACCEPTED, push_accepted},
	             {PEND_CONNECTED, push_connected},
	             {PEND_SPACE, push_space}};

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (!(s->pend & order[i].bit))
			continue;
		if (order[i].push(s) < 0)
			return false;
		s->pend &= ~order[i].bit;
	}
	return true;
}

static enum pushed push_sock(struct sock *s, uint32_t max)
{
	enum pushed r = PUSH_DONE;

	if (s->pend & PEND_IDS) {
		s->pend &= ~PEND_IDS;
		push_accepts(s);
	}
	if (!push_control(s))
		return PUSH_STOP;
	if (s->pend & PEND_DATA)
		r = s->type == SOCK_STREAM ? push_stream(s, max) : push_dgram(s);
	if (r != PUSH_DONE)
		return r;
	if ((s->pend & PEND_EOF) && s->rx_pushed == s->rx_got) {
		if (push_eof(s) < 0)
			return PUSH_STOP;
		s->pend &= ~PEND_EOF;
	}
	if (s->pend & PEND_ERROR) {
		if (push_error(s) < 0)
			return PUSH_STOP;
		s->pend &= ~PEND_ERROR;
	}
	return PUSH_DONE;
}

void push_guest(struct guest *g)
{
	while (g->ready && !g->broken) {
		struct sock *s = g->ready;
		const bool alone = !s->ready_next;
		const enum pushed r = push_sock(s, alone ? RPC_PAYLOAD_MAX : PIECE);

		if (r == PUSH_STOP)
			return; /* credit comes back: push_guest() again */
		g->ready = s->ready_next;
		if (!g->ready)
			g->ready_end = &g->ready;
		s->ready = false;
		if (r == PUSH_MORE)
			sock_ready(s, 0);
	}
}

/* The next granted id of @l, or false. */
static bool take_id(struct sock *l, uint32_t *id)
{
	struct id_range *r = l->more_ranges ? l->more_ranges : l->ranges;

	if (l->n_ranges == 0)
		return false;
	*id = r->first++;
	if (--r->n == 0) {
		l->n_ranges--;
		memmove(r, r + 1, l->n_ranges * sizeof(*r));
	}
	return true;
}

void push_accepts(struct sock *l)
{
	uint32_t id;

	if (l->n_ranges > 0 && l->ops->accept_more)
		l->ops->accept_more(l);
	while (l->guest && l->queue && take_id(l, &id)) {
		struct sock *s = l->queue;

		l->queue = s->queue_next;
		if (!l->queue)
			l->queue_end = &l->queue;
		l->n_queue--;
		s->listener = NULL;
		s->accepted_by = l->handle;
		s->pend |= PEND_ACCEPTED;
		if (guest_name_sock(l->guest, s, id) < 0) {
			guest_break(l->guest, "granted an id that is in use");
			sock_close(s, true);
			return;
		}
	}
}
