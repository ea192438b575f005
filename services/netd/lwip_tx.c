/* SPDX-License-Identifier: MIT */
/*
 * lwip_tx.c - from a guest's posts to lwIP's send queue.
 *
 * Bytes go straight into tcp_write() (which copies) while nothing waits before
 * them; what lwIP does not take, or what a cork holds back, waits in tx.  The
 * guest never posts beyond tx_acked + SO_SNDBUF, so tx is bounded by that.
 * tcp_output() is called once for each touched connection before the loop
 * sleeps, so that many small posts leave as few segments.
 */
#include "services/netd/clock.h"
#include "services/netd/lwip_priv.h"

#include <errno.h>
#include <stdlib.h>

static struct lsock *g_dirty, *g_waiting;

void tx_dirty(struct lsock *l)
{
	if (l->dirty_prev)
		return;
	l->dirty_next = g_dirty;
	l->dirty_prev = &g_dirty;
	if (g_dirty)
		g_dirty->dirty_prev = &l->dirty_next;
	g_dirty = l;
}

void tx_clean(struct lsock *l)
{
	if (!l->dirty_prev)
		return;
	*l->dirty_prev = l->dirty_next;
	if (l->dirty_next)
		l->dirty_next->dirty_prev = l->dirty_prev;
	l->dirty_prev = NULL;
}

bool tx_flush(void)
{
	const bool any = g_dirty != NULL;

	while (g_dirty) {
		struct lsock *l = g_dirty;

		tx_clean(l);
		if (l->tx && !tx_drain(l))
			continue;
		if (l->pcb && !l->s.listening) {
			(void)tcp_output(l->pcb); /* an error is retried by lwIP's timer */
			demux_touch(l->pcb);
		}
	}
	return any;
}

/* Let lwIP copy @len bytes; returns how many it took. */
static uint32_t write_some(struct lsock *l, const uint8_t *data, uint32_t len, bool more)
{
	struct tcp_pcb *pcb = l->pcb;
	uint32_t done = 0;

	if (!pcb->unacked && !pcb->unsent)
		l->progress_ms = clock_ms();
	while (done < len) {
		uint32_t n = len - done;
		u8_t flags = TCP_WRITE_FLAG_COPY;
		err_t err;

		if (n > 0xffff)
			n = 0xffff;
		if (n > tcp_sndbuf(pcb))
			n = tcp_sndbuf(pcb);
		if (n == 0)
			break;
		if (more || done + n < len)
			flags |= TCP_WRITE_FLAG_MORE;
		err = tcp_write(pcb, data + done, (u16_t)n, flags);
		if (err != ERR_OK && n > 2u * pcb->mss) { /* the queue, not the bytes */
			n = 2u * pcb->mss;
			err = tcp_write(pcb, data + done, (u16_t)n, flags);
		}
		if (err != ERR_OK)
			break;
		done += n;
	}
	if (done)
		tx_dirty(l);
	return done;
}

static bool held_back(const struct lsock *l)
{
	return (l->s.opt.cork || l->s.corked) && !l->fin_wanted && !l->orphan;
}

int tx_append(struct lsock *l, const void *data, uint32_t len)
{
	struct tx_chunk *c = malloc(sizeof(*c) + len);

	if (!c)
		return -ENOMEM;
	c->next = NULL;
	c->len = len;
	c->off = 0;
	memcpy(c->data, data, len);
	if (l->tx_tail)
		l->tx_tail->next = c;
	else
		l->tx = c;
	l->tx_tail = c;
	l->tx_bytes += len;
	return 0;
}

static void chunk_append(struct lsock *l, const void *data, uint32_t len)
{
	if (tx_append(l, data, len) < 0) /* the bytes were promised room: */
		tcp_fail(l, ENOMEM);     /* the connection cannot go on */
}

static void chunk_take(struct lsock *l, uint32_t n)
{
	struct tx_chunk *c = l->tx;

	c->off += n;
	l->tx_bytes -= n;
	if (c->off < c->len)
		return;
	l->tx = c->next;
	if (!l->tx)
		l->tx_tail = NULL;
	free(c);
}

static bool send_fin(struct lsock *l)
{
	struct tcp_pcb *pcb = l->pcb;

	l->fin_wanted = false;
	if (l->orphan) {
		tcp_do_close(l, false);
		return false;
	}
	(void)tcp_shutdown(pcb, 0, 1); /* ERR_CONN: the FIN is out already */
	demux_touch(pcb);
	return true;
}

bool tx_drain(struct lsock *l)
{
	uint32_t may = l->tx_bytes;

	if (!l->pcb || l->s.connecting)
		return true;
	if (held_back(l))
		may -= may % l->pcb->mss;
	while (l->tx && may > 0) {
		struct tx_chunk *c = l->tx;
		uint32_t n = c->len - c->off, took;

		if (n > may)
			n = may;
		took = write_some(l, c->data + c->off, n, may > n || held_back(l));
		if (took == 0)
			break;
		may -= took;
		chunk_take(l, took);
	}
	return l->tx || !l->fin_wanted || send_fin(l);
}

void tx_send(struct sock *s, const void *data, uint32_t len, bool more)
{
	struct lsock *l = lsock_of(s);
	uint32_t n = 0;

	s->corked = more;
	if (!l->pcb)
		return;
	if (!l->tx && !held_back(l))
		n = write_some(l, data, len, false);
	if (n < len)
		chunk_append(l, (const uint8_t *)data + n, len - n);
	if (!l->pcb)
		return;
	if (l->tx && tx_drain(l) && l->tx && held_back(l) && !l->wait_prev)
		wait_add(l, clock_ms() + CORK_MS);
}

void tx_fin(struct lsock *l)
{
	if (!l->pcb)
		return;
	l->fin_wanted = true;
	(void)tx_drain(l); /* not an orphan: it stays */
}

void tx_free(struct lsock *l)
{
	while (l->tx)
		chunk_take(l, l->tx->len - l->tx->off);
}

/* ---- connections that wait for a moment: a cork's end, data of a deferred accept ---- */

void wait_add(struct lsock *l, uint64_t until_ms)
{
	wait_del(l);
	l->wait_until = until_ms;
	l->wait_next = g_waiting;
	l->wait_prev = &g_waiting;
	if (g_waiting)
		g_waiting->wait_prev = &l->wait_next;
	g_waiting = l;
}

void wait_del(struct lsock *l)
{
	if (!l->wait_prev)
		return;
	*l->wait_prev = l->wait_next;
	if (l->wait_next)
		l->wait_next->wait_prev = l->wait_prev;
	l->wait_prev = NULL;
}

uint64_t wait_deadline(void)
{
	uint64_t d = UINT64_MAX;

	for (const struct lsock *l = g_waiting; l; l = l->wait_next)
		d = l->wait_until < d ? l->wait_until : d;
	return d;
}

void wait_run(uint64_t now_ms)
{
	struct lsock *l = g_waiting, *next;

	for (; l; l = next) {
		next = l->wait_next;
		if (l->wait_until > now_ms)
			continue;
		wait_del(l);
		if (l->deferred_by) {
			tcp_defer_end(l);
			continue;
		}
		/* As Linux: a cork holds for 200 ms, then what is there goes. */
		while (l->pcb && l->tx) {
			const uint32_t took = write_some(l, l->tx->data + l->tx->off,
			                                 l->tx->len - l->tx->off, false);

			if (took == 0)
				break;
			chunk_take(l, took);
		}
	}
}
