/* SPDX-License-Identifier: MIT */
/*
 * unixq.c - the receive queue of an AF_UNIX socket.
 *
 * 1. head - tail bytes are in the ring; when it runs empty both go back to 0, so a
 *    conversation of small messages stays in the same few lines of the cache.
 * 2. Stream data is added to the newest record as long as sender and (absent)
 *    descriptors agree: a record per write would cost a head each.
 * 3. Senders are woken only after one found no room, and then when half of its limit
 *    is free again (or the queue is empty).
 */
#include "libos/unixq.h"

#include "libos/pool.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define QUEUES_MAX 65536u
#define RINGS_MAX 32768u
#define FDS_MAX 4096u
#define HEAD ((uint32_t)sizeof(struct uq_head))
#define MASK (UQ_RING - 1)

struct ring {
	uint8_t data[UQ_RING];
};

static struct pool g_queues = POOL_INIT(struct unix_queue, QUEUES_MAX);
static struct pool g_rings = POOL_INIT(struct ring, RINGS_MAX);
static struct pool g_fds = POOL_INIT(struct uq_fds, FDS_MAX);

/* ---- life ---- */

struct unix_queue *uq_new(struct ofd *reader)
{
	struct unix_queue *q = pool_get(&g_queues);

	if (!q)
		return NULL;
	q->refs = 1;
	q->reader = reader;
	return q;
}

struct unix_queue *uq_ref(struct unix_queue *q)
{
	lock_take(&q->lock);
	q->refs++;
	lock_drop(&q->lock);
	return q;
}

void uq_unref(struct unix_queue *q)
{
	bool last;

	lock_take(&q->lock);
	last = --q->refs == 0;
	lock_drop(&q->lock);
	if (!last)
		return;
	if (q->ring)
		pool_put(&g_rings, q->ring);
	pool_put(&g_queues, q);
}

struct uq_fds *uq_fds_new(void)
{
	return pool_get(&g_fds);
}

void uq_fds_free(struct uq_fds *f)
{
	static struct lock lock = LOCK_INIT;
	static struct uq_fds *waiting;
	static bool busy;

	lock_take(&lock);
	f->next = waiting;
	waiting = f;
	if (busy) { /* who is at it (perhaps we, further up the stack) goes on */
		lock_drop(&lock);
		return;
	}
	busy = true;
	while ((f = waiting) != NULL) {
		waiting = f->next;
		lock_drop(&lock);
		for (uint32_t i = 0; i < f->n; i++)
			ofd_put(f->at[i]);
		pool_put(&g_fds, f);
		lock_take(&lock);
	}
	busy = false;
	lock_drop(&lock);
}

/* ---- the ring; under q->lock ---- */

static uint32_t used_locked(const struct unix_queue *q)
{
	return (uint32_t)(q->head - q->tail);
}

static void ring_write_locked(struct unix_queue *q, uint64_t at, const void *from,
                              size_t n)
{
	size_t off = at & MASK, first = n < UQ_RING - off ? n : UQ_RING - off;

	memcpy(q->ring + off, from, first);
	memcpy(q->ring, (const uint8_t *)from + first, n - first);
}

static void ring_read_locked(const struct unix_queue *q, uint64_t at, void *to,
                             size_t n)
{
	size_t off = at & MASK, first = n < UQ_RING - off ? n : UQ_RING - off;

	memcpy(to, q->ring + off, first);
	memcpy((uint8_t *)to + first, q->ring, n - first);
}

static size_t ring_in_locked(struct unix_queue *q, uint64_t at, struct uio *u, size_t n)
{
	size_t off = at & MASK, first = n < UQ_RING - off ? n : UQ_RING - off;
	size_t moved = uio_in(u, q->ring + off, first);

	if (moved == first && n > first)
		moved += uio_in(u, q->ring, n - first);
	return moved;
}

static size_t ring_out_locked(struct unix_queue *q, uint64_t at, struct uio *u,
                              size_t n)
{
	size_t off = at & MASK, first = n < UQ_RING - off ? n : UQ_RING - off;
	size_t moved = uio_out(u, q->ring + off, first);

	if (moved == first && n > first)
		moved += uio_out(u, q->ring, n - first);
	return moved;
}

static uint32_t room_locked(const struct unix_queue *q, uint32_t limit)
{
	uint32_t used = used_locked(q);

	if (limit > UQ_RING)
		limit = UQ_RING;
	return used < limit ? limit - used : 0;
}

static bool half_free_locked(const struct unix_queue *q, uint32_t limit)
{
	return used_locked(q) == 0 || room_locked(q, limit) >= limit / 2;
}

/* ---- waking ---- */

/* No reference is taken to who is woken: it would outlast the last close.  The reader
 * and the senders leave the queue, under its lock, before they end. */
static void wake_reader_locked(struct unix_queue *q, uint32_t events,
                               struct wake_list *l)
{
	if (q->reader)
		waitq_collect(&q->reader->wait, events, l);
}

static void wake_senders_locked(struct unix_queue *q, uint32_t events,
                                struct wake_list *l)
{
	q->want_space = false;
	for (struct uq_sender *s = q->senders; s; s = s->next)
		waitq_collect(&s->ofd->wait, events, l);
}

void uq_add_sender(struct unix_queue *q, struct uq_sender *s)
{
	lock_take(&q->lock);
	s->next = q->senders;
	s->pprev = &q->senders;
	if (s->next)
		s->next->pprev = &s->next;
	q->senders = s;
	lock_drop(&q->lock);
}

void uq_remove_sender(struct unix_queue *q, struct uq_sender *s)
{
	lock_take(&q->lock);
	if (s->pprev) {
		*s->pprev = s->next;
		if (s->next)
			s->next->pprev = s->pprev;
		s->pprev = NULL;
	}
	lock_drop(&q->lock);
}

/* ---- putting ---- */

static bool ring_make_locked(struct unix_queue *q)
{
	if (!q->ring)
		q->ring = pool_get_dirty(&g_rings);
	return q->ring != NULL;
}

/* May stream data be added to the newest record? */
static bool same_record_locked(const struct unix_queue *q, const struct uq_put *put)
{
	struct uq_head h;

	if (!put->stream || !q->has_last || put->fds)
		return false;
	ring_read_locked(q, q->last, &h, sizeof(h));
	return !h.fds && h.uid == put->uid && h.gid == put->gid;
}

static long append_locked(struct unix_queue *q, struct uio *u, size_t n)
{
	size_t moved = ring_in_locked(q, q->head, u, n);
	struct uq_head h;

	if (moved == 0)
		return -EFAULT;
	ring_read_locked(q, q->last, &h, sizeof(h));
	h.len += (uint32_t)moved;
	ring_write_locked(q, q->last, &h, sizeof(h));
	q->head += moved;
	return (long)moved;
}

static long record_locked(struct unix_queue *q, struct uio *u, size_t n,
                          struct uq_put *put)
{
	struct uq_head h = {.uid = put->uid, .gid = put->gid, .fds = put->fds};
	uint64_t at = q->head + HEAD;
	size_t moved;

	if (put->name && !put->stream)
		h.name_len = put->name->len;
	if (h.name_len > 0)
		ring_write_locked(q, at, put->name->data, h.name_len);
	at += h.name_len;
	moved = ring_in_locked(q, at, u, n);
	if (moved < n && (moved == 0 || !put->stream))
		return -EFAULT;
	h.len = (uint32_t)moved;
	ring_write_locked(q, q->head, &h, sizeof(h));
	q->last = q->head;
	q->has_last = true;
	q->head = at + moved;
	q->n_records++;
	put->fds = NULL;
	return (long)moved;
}

static long put_locked(struct unix_queue *q, struct uio *u, struct uq_put *put)
{
	size_t n = uio_left(u), extra = HEAD;
	uint32_t room = room_locked(q, put->limit);
	bool append = same_record_locked(q, put);

	if (append)
		extra = 0;
	else if (put->name && !put->stream)
		extra += put->name->len;
	if (put->stream ? room <= extra : room < n + extra) {
		if (!put->stream && n + extra > put->limit)
			return -EMSGSIZE;
		q->want_space = true;
		return -EAGAIN;
	}
	if (!ring_make_locked(q))
		return -ENOBUFS;
	if (n > room - extra)
		n = room - extra;
	return append ? append_locked(q, u, n) : record_locked(q, u, n, put);
}

long uq_put(struct unix_queue *q, struct uio *u, struct uq_put *put)
{
	struct wake_list wakes = {.n = 0};
	long r;

	lock_take(&q->lock);
	r = q->closed || q->eof ? -EPIPE : put_locked(q, u, put);
	if (r >= 0)
		wake_reader_locked(q, EPOLLIN, &wakes);
	lock_drop(&q->lock);
	wake_list_unpark(&wakes);
	return r;
}

/* ---- taking ---- */

static void drop_record_locked(struct unix_queue *q, const struct uq_head *h)
{
	if (q->has_last && q->last == q->tail)
		q->has_last = false;
	q->tail += HEAD + h->name_len + h->len;
	q->n_records--;
	if (q->tail == q->head)
		q->tail = q->head = 0;
}

/* Take @n bytes from the front of the first record of a stream. */
static void shorten_record_locked(struct unix_queue *q, struct uq_head *h, uint32_t n)
{
	/* The head moves up over the bytes taken; a stream's records have no name. */
	h->len -= n;
	h->fds = NULL;
	if (q->has_last && q->last == q->tail)
		q->last += n;
	q->tail += n;
	ring_write_locked(q, q->tail, h, sizeof(*h));
}

static void tell(struct uq_take *t, const struct uq_head *h)
{
	t->uid = h->uid;
	t->gid = h->gid;
	t->fds = h->fds;
}

static long take_message_locked(struct unix_queue *q, struct uio *u, struct uq_take *t)
{
	struct uq_head h;
	size_t n, moved;

	ring_read_locked(q, q->tail, &h, sizeof(h));
	n = h.len < uio_left(u) ? h.len : uio_left(u);
	moved = ring_out_locked(q, q->tail + HEAD + h.name_len, u, n);
	if (moved < n)
		return -EFAULT;
	if (t->name && h.name_len > 0) {
		ring_read_locked(q, q->tail + HEAD, t->name->data, h.name_len);
		t->name->len = h.name_len;
	}
	tell(t, &h);
	t->real = h.len;
	if (!t->peek)
		drop_record_locked(q, &h);
	return (long)moved;
}

static long take_stream_locked(struct unix_queue *q, struct uio *u, struct uq_take *t)
{
	uint64_t at = q->tail; /* peeking walks without taking */
	size_t done = 0;

	while (at != q->head && uio_left(u) > 0) {
		struct uq_head h;
		size_t n, moved;
		bool has_fds;

		ring_read_locked(q, at, &h, sizeof(h));
		has_fds = h.fds != NULL;
		if (done > 0 && (h.uid != t->uid || h.gid != t->gid))
			break; /* belongs to the next call */
		n = h.len < uio_left(u) ? h.len : uio_left(u);
		moved = ring_out_locked(q, at + HEAD, u, n);
		if (moved == 0)
			return done > 0 ? (long)done : -EFAULT;
		if (done == 0 || has_fds)
			tell(t, &h);
		done += moved;
		if (t->peek) {
			at += HEAD + h.len;
		} else if (moved == h.len) {
			drop_record_locked(q, &h);
			at = q->tail;
		} else {
			shorten_record_locked(q, &h, (uint32_t)moved);
			break;
		}
		if (has_fds || moved < n)
			break;
	}
	t->real = done;
	return (long)done;
}

/* Peeked descriptors are counted once more: the queue keeps its own. */
static void copy_fds(struct uq_take *t)
{
	struct uq_fds *copy = uq_fds_new();

	if (copy) {
		copy->n = t->fds->n;
		for (uint32_t i = 0; i < copy->n; i++)
			copy->at[i] = ofd_ref(t->fds->at[i]);
	}
	t->fds = copy;
}

long uq_take(struct unix_queue *q, struct uio *u, struct uq_take *t, bool *end)
{
	struct wake_list wakes = {.n = 0};
	long r = -EAGAIN;

	*end = false;
	lock_take(&q->lock);
	if (q->n_records > 0) {
		r = t->stream ? take_stream_locked(q, u, t)
		              : take_message_locked(q, u, t);
		if (r >= 0 && t->peek && t->fds)
			copy_fds(t);
		if (q->want_space && half_free_locked(q, UQ_LIMIT_DEFAULT))
			wake_senders_locked(q, EPOLLOUT, &wakes);
	} else if (q->err) {
		r = -q->err;
		q->err = 0;
	} else if (q->eof || q->closed) {
		r = 0;
		*end = true;
	}
	lock_drop(&q->lock);
	wake_list_unpark(&wakes);
	return r;
}

/* ---- looking ---- */

bool uq_can_put(struct unix_queue *q, size_t len, uint32_t limit)
{
	bool can;

	lock_take(&q->lock);
	can = q->closed || q->eof ||
	      (len ? room_locked(q, limit) >= len : half_free_locked(q, limit));
	if (!can)
		q->want_space = true;
	lock_drop(&q->lock);
	return can;
}

bool uq_can_take(struct unix_queue *q)
{
	bool can;

	lock_take(&q->lock);
	can = q->n_records > 0 || q->err || q->eof || q->closed;
	lock_drop(&q->lock);
	return can;
}

uint32_t uq_poll_reader(struct unix_queue *q)
{
	uint32_t ev = 0;

	lock_take(&q->lock);
	if (q->n_records > 0)
		ev |= EPOLLIN;
	if (q->err)
		ev |= EPOLLERR | EPOLLIN;
	if (q->eof || q->closed)
		ev |= EPOLLIN | EPOLLRDHUP;
	lock_drop(&q->lock);
	return ev;
}

uint32_t uq_poll_sender(struct unix_queue *q, uint32_t limit)
{
	uint32_t ev = 0;

	lock_take(&q->lock);
	if (q->closed || q->eof)
		ev |= EPOLLHUP; /* of this direction: the caller joins both */
	if (half_free_locked(q, limit))
		ev |= EPOLLOUT;
	else
		q->want_space = true;
	lock_drop(&q->lock);
	return ev;
}

uint32_t uq_waiting(struct unix_queue *q, bool stream)
{
	uint32_t n = 0;
	struct uq_head h;

	lock_take(&q->lock);
	for (uint64_t at = q->tail; at != q->head; at += HEAD + h.name_len + h.len) {
		ring_read_locked(q, at, &h, sizeof(h));
		n += h.len;
		if (!stream)
			break;
	}
	lock_drop(&q->lock);
	return n;
}

/* ---- ends ---- */

void uq_end(struct unix_queue *q, int err)
{
	struct wake_list wakes = {.n = 0};

	lock_take(&q->lock);
	q->eof = true;
	if (err)
		q->err = err;
	wake_reader_locked(q, EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR, &wakes);
	wake_senders_locked(q, EPOLLOUT | EPOLLHUP, &wakes);
	lock_drop(&q->lock);
	wake_list_unpark(&wakes);
}

/* Take every record out; the descriptors in them as a list. */
static struct uq_fds *drop_all_locked(struct unix_queue *q)
{
	struct uq_fds *list = NULL;
	struct uq_head h;

	while (q->n_records > 0) {
		ring_read_locked(q, q->tail, &h, sizeof(h));
		if (h.fds) {
			h.fds->next = list;
			list = h.fds;
		}
		drop_record_locked(q, &h);
	}
	return list;
}

void uq_close(struct unix_queue *q, bool reader_gone)
{
	struct uq_fds *list = NULL, *next;
	struct wake_list wakes = {.n = 0};

	lock_take(&q->lock);
	q->closed = true;
	if (reader_gone) {
		q->reader = NULL;
		list = drop_all_locked(q);
	} else {
		wake_reader_locked(q, EPOLLIN | EPOLLRDHUP, &wakes);
	}
	wake_senders_locked(q, EPOLLOUT | EPOLLIN | EPOLLHUP | EPOLLERR, &wakes);
	lock_drop(&q->lock);
	wake_list_unpark(&wakes);
	for (; list; list = next) {
		next = list->next;
		uq_fds_free(list);
	}
}
