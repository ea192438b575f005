/* SPDX-License-Identifier: MIT */
/*
 * guest.c - guests, the table of handles, and the life of a socket.
 *
 * A socket is freed by its stack (ops->close), which may keep it while data
 * leaves.  sock_forget() takes it out of everything of the guest's, so that
 * nothing the guest sends can reach it afterwards.
 */
#include "services/netd/clock.h"
#include "services/netd/netd.h"

#include <errno.h>
#include <stdlib.h>

static struct sock *g_linger;
static struct sock *g_linger_again; /* their close() calls come once more: we were swapped */

struct guest *guest_new(struct rpc_conn *conn, uint32_t domid, const char *name)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->n_buckets = 64;
	g->table = calloc(g->n_buckets, sizeof(*g->table));
	if (!g->table) {
		free(g);
		return NULL;
	}
	g->conn = conn;
	g->domid = domid;
	g->ready_end = &g->ready;
	(void)snprintf(g->name, sizeof(g->name), "%s", name);
	return g;
}

static void linger_forget(const struct guest *g);

/* What the guest would have read is unread data: RST then, else FIN. */
static void close_at_exit(struct sock *s)
{
	sock_close(s, s->type == SOCK_STREAM && s->opt.linger_on && s->opt.linger_s == 0);
}

void guest_free(struct guest *g)
{
	/* Listeners first: their queues are closed with them. */
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < g->n_buckets; i++) {
			struct sock *s = g->table[i], *next;

			for (; s; s = next) {
				next = s->hash_next;
				if (pass == 1 || s->listening)
					close_at_exit(s);
			}
		}
	}
	linger_forget(g);
	free(g->table);
	free(g);
}

void guest_break(struct guest *g, const char *why)
{
	if (g->broken)
		return;
	g->broken = true;
	fprintf(stderr, "netd: guest %u (%s): %s: its channel is closed\n", g->domid, g->name,
	        why);
}

static struct sock **slot_of(const struct guest *g, uint32_t handle)
{
	return &g->table[(handle * 2654435769u >> 8) & (g->n_buckets - 1)];
}

struct sock *guest_sock(const struct guest *g, uint32_t handle)
{
	struct sock *s = *slot_of(g, handle);

	while (s && s->handle != handle)
		s = s->hash_next;
	return s;
}

static void table_grow(struct guest *g)
{
	struct sock **old = g->table;
	const uint32_t n = g->n_buckets;

	g->table = calloc(n * 2ul, sizeof(*g->table));
	if (!g->table) { /* longer chains, no error */
		g->table = old;
		return;
	}
	g->n_buckets = n * 2;
	for (uint32_t i = 0; i < n; i++) {
		struct sock *s = old[i], *next;

		for (; s; s = next) {
			struct sock **slot = slot_of(g, s->handle);

			next = s->hash_next;
			s->hash_next = *slot;
			*slot = s;
		}
	}
	free(old);
}

int guest_name_sock(struct guest *g, struct sock *s, uint32_t handle)
{
	struct sock **slot;

	if (g->n_socks >= SOCKS_MAX)
		return -ENFILE;
	if (guest_sock(g, handle))
		return -EEXIST;
	if (g->n_socks >= g->n_buckets)
		table_grow(g);
	s->guest = g;
	s->handle = handle;
	s->named = true;
	slot = slot_of(g, handle);
	s->hash_next = *slot;
	*slot = s;
	g->n_socks++;
	if (s->pend)
		sock_ready(s, 0);
	return 0;
}

struct sock *sock_new(const struct stack_ops *ops, int domain, int type, int proto)
{
	struct sock *s = calloc(1, ops->sock_size);

	if (!s)
		return NULL;
	s->ops = ops;
	s->domain = (uint8_t)domain;
	s->type = (uint8_t)type;
	s->proto = (uint8_t)proto;
	s->queue_end = &s->queue;
	opts_init(&s->opt);
	return s;
}

static void unready(struct sock *s)
{
	struct sock **p = &s->guest->ready;

	while (*p != s)
		p = &(*p)->ready_next;
	*p = s->ready_next;
	if (s->guest->ready_end == &s->ready_next)
		s->guest->ready_end = p;
	s->ready = false;
}

static void unqueue(struct sock *s)
{
	struct sock *l = s->listener, **p = &l->queue;

	while (*p && *p != s)
		p = &(*p)->queue_next;
	if (*p == s) {
		*p = s->queue_next;
		if (l->queue_end == &s->queue_next)
			l->queue_end = p;
		l->n_queue--;
	}
	s->listener = NULL;
}

void sock_forget(struct sock *s)
{
	if (s->listener)
		unqueue(s);
	if (s->ready)
		unready(s);
	if (s->named) {
		struct sock **p = slot_of(s->guest, s->handle);

		while (*p != s)
			p = &(*p)->hash_next;
		*p = s->hash_next;
		s->guest->n_socks--;
		s->named = false;
	}
	s->guest = NULL;
	s->pend = 0;
}

void sock_free(struct sock *s)
{
	sock_forget(s);
	sock_closed(s);
	free(s->more_ranges);
	free(s);
}

void sock_close(struct sock *s, bool abort)
{
	while (s->queue) /* never accepted: reset, as Linux does */
		sock_close(s->queue, true);
	sock_forget(s);
	s->ops->close(s, abort);
}

void sock_reset(struct sock *s)
{
	while (s->queue) /* of a listener: never accepted */
		sock_close(s->queue, true);
	s->listening = s->connecting = s->connected = s->eof = s->gone = false;
	s->rx_shut = s->tx_shut = s->corked = s->err_fatal = false;
	s->pend = 0;
	s->err = s->connect_err = 0;
	memset(&s->peer, 0, sizeof(s->peer));
	s->rx_pushed -= s->rx_skipped;
	s->rx_skipped = 0;
	s->rx_limit = s->rx_limit_told;
	s->rx_got = s->rx_pushed;
	s->tx_acked = s->tx_limit = s->tx_got;
	s->n_ranges = 0;
	free(s->more_ranges);
	s->more_ranges = NULL;
}

void sock_ready(struct sock *s, uint32_t pend)
{
	s->pend |= pend;
	if (s->ready || !s->named || !s->pend)
		return;
	s->ready = true;
	s->ready_next = NULL;
	*s->guest->ready_end = s;
	s->guest->ready_end = &s->ready_next;
}

void sock_error(struct sock *s, int err, bool fatal)
{
	if (fatal)
		s->gone = true;
	if (!s->err || (fatal && !s->err_fatal)) {
		s->err = err;
		s->err_fatal = fatal;
	}
	sock_ready(s, PEND_ERROR);
}

void sock_connected(struct sock *s, int err)
{
	s->connecting = false;
	s->connected = err == 0;
	s->gone = err != 0;
	s->connect_err = err;
	s->tx_limit = s->tx_got + (err ? 0 : (uint64_t)s->opt.sndbuf);
	sock_ready(s, PEND_CONNECTED);
}

/* Tell the guest of room only when that helps: it knows of less than half a
 * buffer and a quarter came free.  All acknowledged always satisfies both. */
void sock_acked(struct sock *s, uint64_t n)
{
	const uint64_t buf = (uint64_t)s->opt.sndbuf;
	uint64_t known;

	s->tx_acked += n;
	known = s->tx_limit - s->tx_got;
	if (known < buf / 2 && s->tx_acked + buf >= s->tx_limit + buf / 4)
		sock_ready(s, PEND_SPACE);
}

void sock_queue_accept(struct sock *listener, struct sock *s)
{
	s->listener = listener;
	s->connected = true;
	s->queue_next = NULL;
	s->tx_limit = (uint64_t)s->opt.sndbuf;
	*listener->queue_end = s;
	listener->queue_end = &s->queue_next;
	listener->n_queue++;
	sock_ready(listener, PEND_IDS);
}

/* ---- SO_LINGER: close calls that wait ---- */

static void linger_del(struct sock *s)
{
	*s->linger_prev = s->linger_next;
	if (s->linger_next)
		s->linger_next->linger_prev = s->linger_prev;
	s->linger_prev = NULL;
}

static void linger_put(struct sock *s, struct sock **list)
{
	s->linger_next = *list;
	s->linger_prev = list;
	if (*list)
		(*list)->linger_prev = &s->linger_next;
	*list = s;
}

void sock_closed(struct sock *s)
{
	struct rpc_req *req = s->linger;

	if (!req && s->lingered_by)
		linger_del(s);
	s->lingered_by = NULL;
	if (!req)
		return;
	s->linger = NULL;
	linger_del(s);
	rpc_reply(req, 0, NULL, NULL, 0);
}

void linger_add(struct sock *s, struct rpc_req *req, uint32_t ms)
{
	s->linger = req;
	s->linger_until = clock_ms() + ms;
	linger_put(s, &g_linger);
}

void linger_expect(struct sock *s, struct guest *g, uint32_t handle, uint32_t ms)
{
	s->lingered_by = g;
	s->handle = handle;
	s->linger_until = clock_ms() + ms;
	linger_put(s, &g_linger_again);
}

bool linger_again(const struct guest *g, uint32_t handle, struct rpc_req *req)
{
	struct sock *s = g_linger_again;

	while (s && (s->lingered_by != g || s->handle != handle))
		s = s->linger_next;
	if (!s)
		return false;
	linger_del(s);
	s->lingered_by = NULL;
	s->linger = req;
	linger_put(s, &g_linger);
	return true;
}

static void linger_forget(const struct guest *g)
{
	struct sock *s = g_linger_again, *next;

	for (; s; s = next) {
		next = s->linger_next;
		if (s->lingered_by != g)
			continue;
		linger_del(s);
		s->lingered_by = NULL;
	}
}

uint64_t linger_deadline(void)
{
	uint64_t d = UINT64_MAX;

	for (const struct sock *s = g_linger; s; s = s->linger_next)
		d = s->linger_until < d ? s->linger_until : d;
	return d;
}

void linger_run(uint64_t now_ms)
{
	struct sock *s = g_linger, *next;

	for (; s; s = next) {
		struct rpc_req *req = s->linger;

		next = s->linger_next;
		if (s->linger_until > now_ms)
			continue;
		s->linger = NULL;
		linger_del(s);
		rpc_reply(req, EWOULDBLOCK, NULL, NULL, 0);
	}
}

/* A guest goes: its waiting calls must be answered before its channel is freed. */
void linger_drop(const struct rpc_conn *conn)
{
	struct sock *s = g_linger, *next;

	for (; s; s = next) {
		struct rpc_req *req = s->linger;

		next = s->linger_next;
		if (req->conn != conn)
			continue;
		s->linger = NULL;
		linger_del(s);
		rpc_reply(req, EIO, NULL, NULL, 0);
	}
}
