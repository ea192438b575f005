/* SPDX-License-Identifier: MIT */
/*
 * TCP in the guest: pushed data, posted sends, accepted connections.
 *
 * Receiving: the leader appends to `tail` and then counts rx_recv up; the reader
 * takes from `head` what rx_recv - rx_read says is there.  A block is given back
 * by the reader once it is empty and has a successor.  The window that netd may
 * fill is rx_limit; it moves on as the program reads and grows while the program
 * keeps up.
 *
 * Sending: posts carry absolute offsets and stay within tx_limit; the position
 * lock keeps two senders of one socket in order.
 */
#include "libos/net.h"

#include "libos/deadline.h"
#include "libos/pump.h"
#include "libos/syscall.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* Bytes that all windows promise beyond the first ones, limited so that the pool of
 * blocks is never overdrawn by growth. */
static _Atomic int64_t g_promised;
#define PROMISE_MAX ((int64_t)NET_BLOCKS_MAX * NET_BLOCK_SIZE / 2)

static uint32_t flags_of(const struct nsock *ns)
{
	return atomic_load_explicit(&ns->flags, memory_order_acquire);
}

uint64_t stream_readable(const struct nsock *ns)
{
	return atomic_load_explicit(&ns->rx_recv, memory_order_acquire) -
	       atomic_load_explicit(&ns->rx_read, memory_order_relaxed);
}

/* A third of the send window is free. */
static bool writable(const struct nsock *ns)
{
	const uint64_t limit = atomic_load(&ns->tx_limit);
	const uint64_t room = limit - ns->tx_off;

	return room > 0 && room * 3 >= limit - atomic_load(&ns->tx_acked);
}

uint32_t stream_poll(struct nsock *ns)
{
	const uint32_t f = flags_of(ns);
	const uint32_t state = atomic_load(&ns->state);
	uint32_t ev = 0;

	if (state == NS_LISTEN)
		return (ns->aq_head ? EPOLLIN | EPOLLRDNORM : 0) |
		       (f & NSF_LOST ? EPOLLIN | EPOLLERR : 0);
	if (atomic_load(&ns->err))
		ev |= EPOLLERR | EPOLLOUT;
	if (state == NS_CONNECTING)
		return ev;
	if (state == NS_NEW || state == NS_CLOSED || (f & NSF_FATAL))
		ev |= EPOLLHUP | EPOLLOUT | EPOLLWRNORM;
	if (state == NS_CLOSED || (f & NSF_FATAL))
		ev |= EPOLLIN | EPOLLRDHUP;
	if (stream_readable(ns))
		ev |= EPOLLIN | EPOLLRDNORM;
	if (f & (NSF_EOF | NSF_SHUT_RD | NSF_FAILED))
		ev |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if ((f & (NSF_EOF | NSF_SHUT_RD)) && (f & NSF_SHUT_WR))
		ev |= EPOLLHUP;
	if (state == NS_CONNECTED && ((f & NSF_SHUT_WR) || writable(ns)))
		ev |= EPOLLOUT | EPOLLWRNORM;
	return ev;
}

/* ---- receiving: the leader's side ---- */

static struct block *tail_with_room(struct nsock *ns)
{
	struct block *b = ns->tail;

	if (b && atomic_load_explicit(&b->fill, memory_order_relaxed) < sizeof(b->data))
		return b;
	b = pool_get_dirty(&g_net_blocks);
	if (!b)
		return NULL;
	b->off = 0;
	atomic_store_explicit(&b->fill, 0, memory_order_relaxed);
	atomic_store_explicit(&b->next, NULL, memory_order_relaxed);
	if (ns->tail)
		atomic_store_explicit(&ns->tail->next, b, memory_order_release);
	else
		ns->head = b; /* the reader looks only once rx_recv says so */
	ns->tail = b;
	return b;
}

void stream_event_data(struct nsock *ns, const Net__DataMsg *m, struct rpc_event *ev)
{
	uint32_t left = ev->payload_len;

	if (m->offset != atomic_load(&ns->rx_recv)) {
		rpc_log("netd", "stream data at a wrong offset: connection ended");
		nsock_fail(ns, ECONNRESET, true);
		return;
	}
	if (flags_of(ns) & NSF_SHUT_RD) {
		/* Linux takes and forgets it; close then need not reset */
		atomic_fetch_add(&ns->rx_recv, left);
		atomic_fetch_add(&ns->rx_read, left);
		return;
	}
	while (left) {
		struct block *b = tail_with_room(ns);
		uint32_t fill, n;

		if (!b) {
			nsock_fail(ns, ENOBUFS, true);
			return;
		}
		fill = atomic_load_explicit(&b->fill, memory_order_relaxed);
		n = (uint32_t)sizeof(b->data) - fill;
		if (n > left)
			n = left;
		rpc_event_take(ev, b->data + fill, n);
		atomic_store_explicit(&b->fill, fill + n, memory_order_release);
		left -= n;
	}
	atomic_fetch_add_explicit(&ns->rx_recv, ev->payload_len, memory_order_release);
	waitq_wake(&ns->s.ofd.wait, EPOLLIN | EPOLLRDNORM);
}

/* ---- receiving: the reader's side ---- */

/* Move up to what is there into @u (NULL: discard @max); rlock is held.  Returns
 * bytes moved; short of both only at a bad address. */
static size_t take_locked(struct nsock *ns, struct uio *u, size_t max, bool peek)
{
	const uint64_t have = stream_readable(ns);
	size_t left = have < max ? (size_t)have : max, moved = 0;
	struct block *b = ns->head;
	uint32_t off = b ? b->off : 0;

	while (left && b) {
		const uint32_t fill =
		        atomic_load_explicit(&b->fill, memory_order_acquire);
		size_t n = fill - off, got;

		if (n == 0) {
			struct block *next =
			        atomic_load_explicit(&b->next, memory_order_acquire);

			if (!next)
				break;
			if (!peek) {
				ns->head = next;
				pool_put(&g_net_blocks, b);
			}
			b = next;
			off = b->off;
			continue;
		}
		if (n > left)
			n = left;
		got = u ? uio_out(u, b->data + off, n) : n;
		off += (uint32_t)got;
		if (!peek)
			b->off = off;
		moved += got;
		left -= got;
		if (got < n)
			break;
	}
	if (!peek)
		atomic_fetch_add_explicit(&ns->rx_read, moved, memory_order_relaxed);
	return moved;
}

/* The next window to post, or 0 when the present one will do; rlock is held. */
static uint64_t next_window_locked(struct nsock *ns)
{
	const uint64_t read = atomic_load(&ns->rx_read);

	if (read + ns->rx_wnd - ns->rx_limit < ns->rx_wnd / 4)
		return 0;
	if (ns->rx_wnd < NET_WND_MAX && stream_readable(ns) < ns->rx_wnd / 2 &&
	    read >= 2ull * ns->rx_wnd && atomic_load(&g_promised) < PROMISE_MAX) {
		atomic_fetch_add(&g_promised, ns->rx_wnd);
		ns->rx_wnd *= 2;
	}
	ns->rx_limit = read + ns->rx_wnd;
	return ns->rx_limit;
}

void stream_release(struct nsock *ns)
{
	atomic_fetch_sub(&g_promised, (int64_t)ns->rx_wnd - NET_WND_FIRST);
}

int64_t stream_promised(void)
{
	return atomic_load(&g_promised);
}

static void post_window(struct nsock *ns, uint64_t limit)
{
	Net__WindowPost m = NET__WINDOW_POST__INIT;

	m.handle = ns->handle;
	m.rx_limit = limit;
	(void)rpc_post(&g_net_chan, 11, &m.base, NULL, NULL,
	               0); /* netd gone: told by event */
}

static size_t take(struct nsock *ns, struct sock_msg *m)
{
	const bool peek = (m->flags & MSG_PEEK) != 0;
	const size_t want = uio_left(m->u);
	uint64_t limit = 0;
	size_t n;

	lock_take(&ns->rlock);
	if ((m->flags & MSG_TRUNC) && !peek) {
		n = take_locked(ns, NULL, want, false);
		uio_skip(m->u, n);
	} else {
		n = take_locked(ns, m->u, want, peek);
	}
	if (!peek)
		limit = next_window_locked(ns);
	lock_drop(&ns->rlock);
	if (limit && !(flags_of(ns) & (NSF_EOF | NSF_FATAL)))
		post_window(ns, limit);
	return n;
}

/* Nothing more will come. */
static bool rx_ended(const struct nsock *ns)
{
	return atomic_load(&ns->err) ||
	       (flags_of(ns) & (NSF_EOF | NSF_SHUT_RD | NSF_FATAL)) ||
	       atomic_load(&ns->state) == NS_NEW;
}

void stream_discard(struct nsock *ns)
{
	uint64_t limit;

	lock_take(&ns->rlock);
	(void)take_locked(ns, NULL, SIZE_MAX, false);
	limit = next_window_locked(ns);
	lock_drop(&ns->rlock);
	if (limit)
		post_window(ns, limit);
}

struct rx_wait {
	struct nsock *ns;
	uint64_t need; /* bytes that must be there */
};

static long rx_ready(void *arg)
{
	const struct rx_wait *w = arg;
	const uint64_t have = stream_readable(w->ns);

	return have >= w->need || rx_ended(w->ns);
}

/* What a call waits for: MSG_PEEK takes nothing, so MSG_WAITALL must see all at once;
 * more than the window can never be there. */
static uint64_t rx_need(const struct sock_msg *m)
{
	const uint32_t both = MSG_PEEK | MSG_WAITALL;
	const size_t want = uio_left(m->u);

	if ((m->flags & both) != both || (m->flags & MSG_DONTWAIT) || want == 0)
		return 1;
	return want < 2 * NET_WND_MIN ? want : 2 * NET_WND_MIN;
}

static long rx_no_data(struct nsock *ns)
{
	const long err = nsock_take_err(ns);

	return err < 0 ? err : flags_of(ns) & NSF_FAILED ? 0 : -ENOTCONN;
}

static long recv_loop(struct nsock *ns, struct sock_msg *m, uint64_t deadline)
{
	const bool all = (m->flags & MSG_WAITALL) && !(m->flags & MSG_PEEK);
	struct rx_wait w = {ns, rx_need(m)};
	size_t total = 0;

	for (;;) {
		long r;

		if (stream_readable(ns) && rx_ready(&w)) {
			const size_t n = take(ns, m);

			total += n;
			if (n == 0 && uio_left(m->u) && stream_readable(ns))
				return total ? (long)total : -EFAULT;
			if (uio_left(m->u) == 0)
				return (long)total;
		}
		if (total && (uio_left(m->u) == 0 || !all))
			return (long)total;
		if (stream_readable(ns) && rx_ready(&w))
			continue;
		if (total && rx_ended(ns))
			return (long)total;
		if (atomic_load(&ns->err))
			return nsock_take_err(ns);
		if (rx_ended(ns))
			return 0;
		if (sock_nonblock(&ns->s, m->flags)) {
			if (rings_poll_once() > 0 && rx_ready(&w))
				continue;
			return total ? (long)total : -EAGAIN;
		}
		r = wait_until(&ns->s.ofd.wait,
		               EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP, rx_ready, &w,
		               deadline, PARK_INTR | PARK_RINGS);
		if (r < 0 && w.need > 1 && stream_readable(ns))
			w.need = 1; /* peeking: what there is */
		else if (r < 0)
			return total ? (long)total : r;
	}
}

static long stream_recvmsg(struct sock *s, struct sock_msg *m)
{
	struct nsock *ns = nsock_of(s);

	if (m->flags & MSG_OOB)
		return -EINVAL;
	if (m->flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (atomic_load(&ns->state) == NS_NEW || atomic_load(&ns->state) == NS_LISTEN)
		return rx_no_data(ns);
	return recv_loop(ns, m, sock_rcv_deadline(s));
}

/* ---- sending ---- */

static long tx_ready(void *arg)
{
	struct nsock *ns = arg;

	return writable(ns) || atomic_load(&ns->err) || (flags_of(ns) & NSF_SHUT_WR) ||
	       atomic_load(&ns->state) != NS_CONNECTED;
}

static int from_uio(void *arg, void *ring, size_t n)
{
	if (!ring) { /* sent again */
		uio_back(arg, n);
		return 0;
	}
	return uio_in(arg, ring, n) == n ? 0 : -EFAULT;
}

/* Post one piece within the limit; the position lock is held.  Bytes or error. */
static long post_piece(struct nsock *ns, struct sock_msg *m, uint64_t room)
{
	Net__DataMsg msg = NET__DATA_MSG__INIT;
	const size_t left = uio_left(m->u);
	const size_t was = m->u->done;
	size_t n = left < room ? left : (size_t)room;
	int r;

	if (n > NET_PIECE)
		n = NET_PIECE;
	msg.handle = ns->handle;
	msg.offset = ns->tx_off;
	msg.push = n == left && !(m->flags & MSG_MORE);
	r = rpc_post(&g_net_chan, 9, &msg.base, from_uio, m->u, (uint32_t)n);
	if (r < 0) {
		uio_back(m->u, m->u->done - was);
		return r == -EIO ? -ECONNRESET : r;
	}
	ns->tx_off += n;
	return (long)n;
}

static long send_error(struct nsock *ns)
{
	if (atomic_load(&ns->err))
		return nsock_take_err(ns);
	return -EPIPE;
}

static long send_locked(struct nsock *ns, struct sock_msg *m, uint64_t deadline)
{
	size_t total = 0;
	long r = 0;

	while (uio_left(m->u)) {
		uint64_t room;

		if (atomic_load(&ns->err) ||
		    (flags_of(ns) & (NSF_SHUT_WR | NSF_FATAL)) ||
		    atomic_load(&ns->state) != NS_CONNECTED) {
			r = send_error(ns);
			break;
		}
		room = atomic_load(&ns->tx_limit) - ns->tx_off;
		if (room > 0) {
			r = post_piece(ns, m, room);
			if (r < 0)
				break;
			total += (size_t)r;
			continue;
		}
		if (sock_nonblock(&ns->s, m->flags)) {
			if (rings_poll_once() > 0 && tx_ready(ns))
				continue;
			r = -EAGAIN;
			break;
		}
		r = wait_until(&ns->s.ofd.wait, EPOLLOUT | EPOLLERR | EPOLLHUP,
		               tx_ready, ns, deadline, PARK_INTR | PARK_RINGS);
		if (r < 0)
			break;
	}
	return total ? (long)total : r;
}

static long conn_ready(void *arg)
{
	struct nsock *ns = arg;

	return atomic_load(&ns->state) != NS_CONNECTING;
}

static long stream_sendmsg(struct sock *s, struct sock_msg *m)
{
	struct nsock *ns = nsock_of(s);
	const uint64_t deadline = sock_snd_deadline(s);
	long r;

	if (m->flags & (MSG_OOB | MSG_FASTOPEN))
		return -EOPNOTSUPP;
	if (atomic_load(&ns->state) == NS_CONNECTING) {
		if (sock_nonblock(s, m->flags))
			return -EAGAIN;
		r = wait_until(&s->ofd.wait, EPOLLOUT | EPOLLERR | EPOLLHUP, conn_ready,
		               ns, deadline, PARK_INTR | PARK_RINGS);
		if (r < 0)
			return r;
	}
	r = ofd_pos_lock(&s->ofd);
	if (r < 0)
		return r;
	r = uio_left(m->u) ? send_locked(ns, m, deadline)
	    : (flags_of(ns) & NSF_SHUT_WR) || atomic_load(&ns->state) != NS_CONNECTED
	            ? send_error(ns)
	            : 0;
	ofd_pos_unlock(&s->ofd);
	return r;
}

/* ---- accepting ---- */

/* An error is no answer of accept(): it is of a connection that the socket had before
 * it listened, and SO_ERROR's. */
static long aq_ready(void *arg)
{
	struct nsock *l = arg;

	return l->aq_head != NULL || (flags_of(l) & NSF_LOST) ||
	       atomic_load(&l->state) != NS_LISTEN;
}

static void grant_ids(struct nsock *l, uint32_t n)
{
	Net__GrantPost m = NET__GRANT_POST__INIT;

	m.handle = l->handle;
	m.first_id = net_handles(n);
	m.n_ids = n;
	(void)rpc_post(&g_net_chan, 12, &m.base, NULL, NULL,
	               0); /* netd gone: told by event */
}

static struct nsock *aq_pop(struct nsock *l, uint32_t *grant)
{
	struct nsock *ns;

	lock_take(&l->lock);
	ns = l->aq_head;
	if (ns) {
		l->aq_head = ns->aq_next;
		if (!l->aq_head)
			l->aq_tail = NULL;
		ns->aq_next = NULL;
		l->aq_len--;
		l->ids_used++;
		/* in bunches: a grant costs a frame */
		if (l->ids_used * 4 >= l->backlog || l->ids_used >= 64) {
			*grant = l->ids_used;
			l->ids_used = 0;
		}
	}
	lock_drop(&l->lock);
	return ns;
}

long net_stream_accept(struct sock *s, struct sock **out, struct sock_name *peer)
{
	struct nsock *l = nsock_of(s), *ns;
	const uint64_t deadline = sock_rcv_deadline(s);
	uint32_t grant = 0;

	if (s->type != SOCK_STREAM)
		return -EOPNOTSUPP;
	for (;;) {
		long r;

		if (atomic_load(&l->state) != NS_LISTEN)
			return -EINVAL;
		ns = aq_pop(l, &grant);
		if (ns)
			break;
		if (flags_of(l) & NSF_LOST)
			return -ENETDOWN;
		if (sock_nonblock(s, 0)) {
			if (rings_poll_once() > 0 && aq_ready(l))
				continue;
			return -EAGAIN;
		}
		r = wait_until(&s->ofd.wait, EPOLLIN | EPOLLERR | EPOLLHUP, aq_ready, l,
		               deadline, PARK_INTR | PARK_RINGS);
		if (r < 0)
			return r;
	}
	if (grant)
		grant_ids(l, grant);
	net_close_strays();
	net_addr_out(ns, &ns->peer, peer);
	*out = &ns->s;
	return 0;
}

const struct sock_ops g_net_stream_ops = {
        .bind = net_bind,
        .listen = net_listen,
        .accept = net_stream_accept,
        .connect = net_connect,
        .getsockname = net_getsockname,
        .getpeername = net_getpeername,
        .setsockopt = net_setsockopt,
        .getsockopt = net_getsockopt,
        .shutdown = net_shutdown,
        .sendmsg = stream_sendmsg,
        .recvmsg = stream_recvmsg,
};
