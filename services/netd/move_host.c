/* SPDX-License-Identifier: MIT */
/*
 * move_host.c - the host stack's part of a move (see move.h).
 *
 * The connections are the kernel's: their descriptors travel beside the records, and
 * both netds hold them until the old one ends.  Only what the kernel has not taken
 * yet, and a datagram that waits for a guest's window, move as bytes.
 */
#include "services/netd/host.h"
#include "services/netd/move.h"
#include "services/netd/stack.h"

#include "services/netd/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLAG(ID) NETSTATE__SOCK_FLAG__SOCK_##ID
#define SEND_MAX (2u * SNDBUF_MAX)

/* ---- writing ---- */

void host_head(Netstate__Head *h)
{
	static char name[] = "host";

	h->stack = (ProtobufCBinaryData){4, (uint8_t *)name};
	h->clock_ms = clock_ms();
}

static uint32_t flags_of(const struct hsock *h)
{
	return FLAG(OPEN) | (h->port_asked ? FLAG(PORT_ASKED) : 0u) |
	       (h->fin_wanted ? FLAG(FIN_WANTED) : 0u) | (h->orphan ? FLAG(ORPHAN) : 0u) |
	       (h->readable ? FLAG(READABLE) : 0u);
}

static void stash_fill(const struct host_dgram *d, Netstate__Dgram *m, Netstate__Addr a[2])
{
	netstate__dgram__init(m);
	move_addr(&d->peer, &a[0]);
	move_addr(&d->local, &a[1]);
	m->peer = &a[0];
	m->local = &a[1];
	m->ttl = d->ttl;
	m->tos = d->tos;
	m->ifindex = d->ifindex;
	m->len = d->len;
}

static void sock_export(struct move_out *o, struct hsock *h)
{
	static struct sock_room room;
	Netstate__Sock m;
	Netstate__Dgram d, *list[1] = {&d};
	Netstate__Addr addr[2];
	const uint64_t now = clock_ms();
	uint64_t len = 0;

	(void)move_number(o, &h->s);
	move_sock_fill(&h->s, &m, &room);
	m.flags |= flags_of(h);
	m.has_fd = 1;
	if (h->s.linger || h->s.lingered_by)
		m.linger_ms = (uint32_t)(h->s.linger_until > now ? h->s.linger_until - now : 0);
	for (const struct host_chunk *c = h->tx; c; c = c->next)
		len += c->len - c->off;
	m.tx_len = len;
	if (h->stash) {
		stash_fill(h->stash, &d, addr);
		m.dgrams = list;
		m.n_dgrams = 1;
		len += h->stash->len;
	}
	o->n_conns += h->s.type == SOCK_STREAM && (h->s.connected || h->s.connecting);
	move_fd(o, h->fd);
	move_put(o, NETSTATE__KIND__KIND_SOCK, &m.base, len);
	if (o->err)
		return;
	for (const struct host_chunk *c = h->tx; c; c = c->next)
		move_payload(o, c->data + c->off, c->len - c->off);
	if (h->stash)
		move_payload(o, h->stash->data, h->stash->len);
}

void host_export(struct move_out *o)
{
	for (struct hsock *h = g_hsocks; h && !o->err; h = h->next) {
		if (h->s.listening)
			sock_export(o, h);
	}
	for (struct hsock *h = g_hsocks; h && !o->err; h = h->next) {
		for (struct sock *q = h->s.queue; q && !o->err; q = q->queue_next)
			sock_export(o, hsock_of(q));
	}
	for (struct hsock *h = g_hsocks; h && !o->err; h = h->next) {
		if (!h->s.listening && !h->s.listener)
			sock_export(o, h);
	}
}

/* ---- reading ---- */

static int head_import(struct move_in *in)
{
	const Netstate__Head *h = move_unpack(in, &netstate__head__descriptor);

	if (!h || h->stack.len != 4 || memcmp(h->stack.data, "host", 4) != 0)
		return move_refuse(in, "it is of another kind of stack");
	return 0;
}

static int sock_number(int fd, int name)
{
	socklen_t len;
	int v = -1;

	len = sizeof(v);
	return getsockopt(fd, SOL_SOCKET, name, &v, &len) < 0 ? -1 : v;
}

static const char *bad_shape(const Netstate__Sock *m, int fd)
{
	const uint32_t f = m->flags;
	const bool waits = m->listener != 0;

	if (sock_number(fd, SO_DOMAIN) != (int)m->domain ||
	    sock_number(fd, SO_TYPE) != (int)m->type ||
	    sock_number(fd, SO_PROTOCOL) != (int)m->protocol)
		return "its descriptor is of another kind";
	if (m->tcp || m->rx_len || m->rx_got != (m->type == SOCK_STREAM ? m->rx_pushed : m->rx_got))
		return "the kernel has what it received";
	if (m->tx_len > SEND_MAX || m->n_dgrams > 1 || (m->n_dgrams && m->type == SOCK_STREAM))
		return "more waits than there can be";
	if (!!(f & FLAG(NAMED)) + !!(f & FLAG(ORPHAN)) + waits != 1)
		return "it is nobody's, or two own it";
	if (m->type != SOCK_STREAM && (f & (FLAG(LISTENING) | FLAG(CONNECTING) | FLAG(ORPHAN))))
		return "a datagram socket is no stream";
	return NULL;
}

static int queues_import(struct move_in *in, const Netstate__Sock *m, struct hsock *h)
{
	const uint8_t *data = move_take(in, m->tx_len);
	const Netstate__Dgram *d = m->n_dgrams ? m->dgrams[0] : NULL;

	if (!data || (m->tx_len && host_tx_append(h, data, (uint32_t)m->tx_len) < 0))
		return move_refuse(in, "posted data is missing");
	if (!d)
		return 0;
	data = d->len <= 65535 ? move_take(in, d->len) : NULL;
	h->stash = data ? calloc(1, sizeof(*h->stash) + d->len) : NULL;
	if (!h->stash || !move_naddr(d->peer, &h->stash->peer) ||
	    !move_naddr(d->local, &h->stash->local))
		return move_refuse(in, "a datagram is malformed");
	h->stash->ttl = d->ttl;
	h->stash->tos = d->tos;
	h->stash->ifindex = d->ifindex;
	h->stash->len = d->len;
	memcpy(h->stash->data, data, d->len);
	return 0;
}

static int sock_import(struct move_in *in)
{
	const Netstate__Sock *m = move_unpack(in, &netstate__sock__descriptor);
	const int fd = m && m->has_fd ? move_take_fd(in) : -1;
	const char *bad = !m ? "malformed" : fd < 0 ? "its descriptor is missing" : bad_shape(m, fd);
	struct hsock *h;
	struct sock *s;
	int r;

	s = bad ? NULL : move_sock_make(in, m, g_stack_host.ops);
	if (!s) {
		if (fd >= 0)
			close(fd);
		return move_refuse(in, "socket %u: %s", m ? m->id : 0, bad ? bad : "no memory");
	}
	h = hsock_of(s);
	host_add(h, fd);
	h->port_asked = (m->flags & FLAG(PORT_ASKED)) != 0;
	h->fin_wanted = (m->flags & FLAG(FIN_WANTED)) != 0;
	h->orphan = (m->flags & FLAG(ORPHAN)) != 0;
	h->readable = (m->flags & FLAG(READABLE)) != 0;
	in->n_conns += s->type == SOCK_STREAM && (s->connected || s->connecting);
	r = queues_import(in, m, h);
	return r == 0 ? move_sock_place(in, m, s) : r;
}

int host_import(struct move_in *in)
{
	switch (in->kind) {
	case NETSTATE__KIND__KIND_HEAD:
		return head_import(in);
	case NETSTATE__KIND__KIND_SOCK:
		return sock_import(in);
	default:
		return 0; /* of a newer netd: what it says can be missed */
	}
}
