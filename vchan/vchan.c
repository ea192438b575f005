/* SPDX-License-Identifier: MIT */
/*
 * The service's end of a vchan.  Invariants:
 *  1. Our indices (rd_cons, wr_prod) live in private memory; the shared words are
 *     only written by us, never read back.
 *  2. The peer's index is read once a look and checked against the ring's size.
 *  3. vchan_notify() after the last publish of a thread is that thread's duty; one
 *     look at the guest's bit is enough for all that was published before it.
 *  4. After arming, the caller looks again (a guest that wrote before it saw our
 *     bit does not notify).
 */
#include "vchan/vchan.h"

#include "vchan/link.h"

#include <errno.h>
#include <libxenvchan.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct vchan_end {
	struct libxenvchan *ctrl;
	struct vchan_strait *strait;
	uint32_t rd_size, wr_size; /* bytes, powers of two */
	uint32_t rd_cons, wr_prod; /* ours */
	atomic_bool unsaid;        /* published, and nobody looked whether to notify */
	struct link_address at;
};

struct vchan_end *vchan_server_open(int domid, const char *xs_path, unsigned order)
{
	struct vchan_end *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->ctrl = vchan_link_open(domid, xs_path, order, &v->at);
	if (!v->ctrl) {
		free(v);
		return NULL;
	}
	v->rd_size = 1u << v->ctrl->read.order;
	v->wr_size = 1u << v->ctrl->write.order;
	v->rd_cons = v->ctrl->read.shr->cons;
	v->wr_prod = v->ctrl->write.shr->prod;
	v->strait = (void *)((uint8_t *)v->ctrl->ring + VCHAN_STRAIT_OFFSET);
	return v;
}

void vchan_close(struct vchan_end *v)
{
	if (!v)
		return;
	atomic_store(&v->strait->srv_running, 0);
	libxenvchan_close(v->ctrl);
	free(v);
}

int vchan_fd(const struct vchan_end *v)
{
	return libxenvchan_fd_for_select(v->ctrl);
}

void vchan_ack(struct vchan_end *v)
{
	vchan_link_ack(v->ctrl);
}

void vchan_address(const struct vchan_end *v, uint32_t *ring_ref, uint32_t *port)
{
	*ring_ref = v->at.ring_ref;
	*port = v->at.port;
}

void vchan_hang_up(struct vchan_end *v)
{
	__atomic_store_n(&v->ctrl->ring->srv_live, 0, __ATOMIC_SEQ_CST);
	xenevtchn_notify(v->ctrl->event, v->ctrl->event_port);
}

bool vchan_peer_open(const struct vchan_end *v)
{
	return __atomic_load_n(&v->ctrl->ring->cli_live, __ATOMIC_ACQUIRE) != 0;
}

struct vchan_strait *vchan_strait(struct vchan_end *v)
{
	return v->strait;
}

void *vchan_page(struct vchan_end *v)
{
	return v->ctrl->ring;
}

unsigned vchan_order(const struct vchan_end *v)
{
	const unsigned left = (unsigned)v->ctrl->read.order, right = (unsigned)v->ctrl->write.order;

	return left > right ? left : right;
}

int64_t vchan_readable(struct vchan_end *v)
{
	const uint32_t prod = __atomic_load_n(&v->ctrl->read.shr->prod, __ATOMIC_ACQUIRE);
	const uint32_t n = prod - v->rd_cons;

	return n > v->rd_size ? -EPROTO : (int64_t)n;
}

void vchan_peek(const struct vchan_end *v, uint32_t off, void *to, uint32_t n)
{
	const uint32_t at = (v->rd_cons + off) & (v->rd_size - 1);
	const uint32_t first = n < v->rd_size - at ? n : v->rd_size - at;
	const uint8_t *buf = v->ctrl->read.buffer;

	memcpy(to, buf + at, first);
	if (first < n)
		memcpy((uint8_t *)to + first, buf, n - first);
}

static uint8_t *guest_bits(struct vchan_end *v) /* what the guest asked us for */
{
	return &v->ctrl->ring->srv_notify;
}

void vchan_consume(struct vchan_end *v, uint32_t n)
{
	v->rd_cons += n;
	__atomic_store_n(&v->ctrl->read.shr->cons, v->rd_cons, __ATOMIC_RELEASE);
	atomic_thread_fence(memory_order_seq_cst); /* index before the bit is looked at */
	if ((__atomic_load_n(guest_bits(v), __ATOMIC_RELAXED) & VCHAN_NOTIFY_READ) &&
	    (__atomic_fetch_and(guest_bits(v), (uint8_t)~VCHAN_NOTIFY_READ,
	                        __ATOMIC_SEQ_CST) &
	     VCHAN_NOTIFY_READ))
		xenevtchn_notify(v->ctrl->event, v->ctrl->event_port);
}

int64_t vchan_room(struct vchan_end *v)
{
	const uint32_t cons = __atomic_load_n(&v->ctrl->write.shr->cons, __ATOMIC_ACQUIRE);
	const uint32_t used = v->wr_prod - cons;

	return used > v->wr_size ? -EPROTO : (int64_t)(v->wr_size - used);
}

int vchan_put_iov(struct vchan_end *v, uint32_t off, uint32_t n, struct iovec out[2])
{
	const uint32_t at = (v->wr_prod + off) & (v->wr_size - 1);
	const uint32_t first = n < v->wr_size - at ? n : v->wr_size - at;
	uint8_t *buf = v->ctrl->write.buffer;

	out[0] = (struct iovec){buf + at, first};
	if (first == n)
		return 1;
	out[1] = (struct iovec){buf, n - first};
	return 2;
}

void vchan_put(struct vchan_end *v, uint32_t off, const void *from, uint32_t n)
{
	struct iovec io[2];
	const int k = vchan_put_iov(v, off, n, io);

	memcpy(io[0].iov_base, from, io[0].iov_len);
	if (k == 2)
		memcpy(io[1].iov_base, (const uint8_t *)from + io[0].iov_len,
		       io[1].iov_len);
}

void vchan_publish(struct vchan_end *v, uint32_t n)
{
	v->wr_prod += n;
	__atomic_store_n(&v->ctrl->write.shr->prod, v->wr_prod, __ATOMIC_RELEASE);
	atomic_store_explicit(&v->unsaid, true, memory_order_release);
}

void vchan_arm(struct vchan_end *v)
{
	atomic_store_explicit(&v->strait->srv_running, 0, memory_order_relaxed);
	__atomic_or_fetch(&v->ctrl->ring->cli_notify, VCHAN_NOTIFY_WRITE, __ATOMIC_SEQ_CST);
}

void vchan_disarm(struct vchan_end *v)
{
	const int cpu = sched_getcpu();

	atomic_store_explicit(&v->strait->srv_running, (uint32_t)(cpu < 0 ? 0 : cpu) + 1,
	                      memory_order_relaxed);
	if (__atomic_load_n(&v->ctrl->ring->cli_notify, __ATOMIC_RELAXED) &
	    VCHAN_NOTIFY_WRITE)
		__atomic_and_fetch(&v->ctrl->ring->cli_notify,
		                   (uint8_t)~VCHAN_NOTIFY_WRITE, __ATOMIC_RELAXED);
}

bool vchan_wants_notify(const struct vchan_end *v)
{
	return __atomic_load_n(&v->ctrl->ring->srv_notify, __ATOMIC_RELAXED) &
	       VCHAN_NOTIFY_WRITE;
}

void vchan_notify(struct vchan_end *v)
{
	/* A guest that sleeps for other news is left alone.  Who takes the flag
	 * notifies for every publisher before it. */
	if (!atomic_load_explicit(&v->unsaid, memory_order_relaxed) ||
	    !atomic_exchange(&v->unsaid, false))
		return;
	atomic_thread_fence(memory_order_seq_cst); /* index before the bit is looked at */
	if (!vchan_wants_notify(v))
		return;
	if (__atomic_fetch_and(guest_bits(v), (uint8_t)~VCHAN_NOTIFY_WRITE,
	                       __ATOMIC_SEQ_CST) &
	    VCHAN_NOTIFY_WRITE)
		xenevtchn_notify(v->ctrl->event, v->ctrl->event_port);
}
