/* SPDX-License-Identifier: MIT */
/*
 * The guest's sending half: frames into the left ring.
 *
 * A message is packed straight into the ring when its room does not wrap, else
 * by way of the stack.  Nothing is visible to the service before the index
 * moves, once a frame, so a failed source (bad program pointer) leaves no trace.
 * Only a guest waits for ring room, and it keeps reading meanwhile: the service's
 * notification of reading wakes the thread that leads, which wakes whoever waits.
 */
#include "rpc/guest_priv.h"

#include <errno.h>
#include <string.h>

#define LOOK_AGAIN_NS 10000000ull /* no wake-up is known to get lost */

/* Room in the left ring, or -1 when the service's index is out of range. */
static int64_t tx_room(struct rpc_chan *ch)
{
	const uint32_t cons = atomic_load_explicit(&ch->ctl->left_cons, memory_order_acquire);
	const uint32_t used = ch->tx_prod - cons;

	return used > ch->size ? -1 : (int64_t)(ch->size - used);
}

/* What was written and counted before is seen by whoever finds the lock free; the
 * service's bits and the credit that is due are looked at after it. */
static void tx_drop(struct rpc_chan *ch)
{
	lock_drop(&ch->tx);
	atomic_thread_fence(memory_order_seq_cst);
}

/* After tx_drop(). */
static void notify_written(struct rpc_chan *ch)
{
	_Atomic uint8_t *bits = &ch->ctl->cli_notify;

	if (!(atomic_load_explicit(bits, memory_order_relaxed) & WIRE_NOTIFY_WRITE))
		return;
	if (atomic_fetch_and(bits, (uint8_t)~WIRE_NOTIFY_WRITE) & WIRE_NOTIFY_WRITE)
		plat_channel_notify(ch->id);
}

static void ring_put(struct rpc_chan *ch, uint32_t off, const void *from, uint32_t n)
{
	const uint32_t at = (ch->tx_prod + off) & (ch->size - 1);
	const uint32_t first = n < ch->size - at ? n : ch->size - at;

	memcpy(ch->left + at, from, first);
	if (first < n)
		memcpy(ch->left, (const uint8_t *)from + first, n - first);
}

static int put_payload(struct rpc_chan *ch, uint32_t off, const struct tx_frame *t)
{
	const uint32_t at = (ch->tx_prod + off) & (ch->size - 1);
	const uint32_t n = t->source_len;
	const uint32_t first = n < ch->size - at ? n : ch->size - at;

	if (n == 0)
		return 0;
	if (t->source(t->source_arg, ch->left + at, first) < 0)
		return -EFAULT;
	if (first < n && t->source(t->source_arg, ch->left, n - first) < 0)
		return -EFAULT;
	return 0;
}

static void __attribute__((noinline)) pack_wrapped(struct rpc_chan *ch, const struct tx_frame *t)
{
	uint8_t packed[RPC_MSG_MAX];
	const size_t n = protobuf_c_message_pack(t->msg, packed);

	ring_put(ch, FRAME_HDR_LEN, packed, (uint32_t)n);
}

static void put_message(struct rpc_chan *ch, const struct tx_frame *t)
{
	const uint32_t at = (ch->tx_prod + FRAME_HDR_LEN) & (ch->size - 1);

	if (t->packed) {
		ring_put(ch, FRAME_HDR_LEN, t->packed, t->n_packed);
		return;
	}
	if (t->hdr.msg_len == 0)
		return;
	if (ch->size - at >= t->hdr.msg_len)
		(void)protobuf_c_message_pack(t->msg, ch->left + at);
	else
		pack_wrapped(ch, t);
}

/* The lock is held and the room is there. */
static int put_frame_locked(struct rpc_chan *ch, struct tx_frame *t)
{
	static const uint8_t zero[8];
	const uint32_t ring_len = frame_ring_len(t->hdr.len);
	int r;

	if (ch->stamps)
		t->hdr.stamp = plat_mono_ns();
	r = put_payload(ch, FRAME_HDR_LEN + t->hdr.msg_len, t);
	if (r < 0)
		return r;
	put_message(ch, t);
	t->hdr.credit = atomic_exchange_explicit(&ch->credit_due, 0, memory_order_relaxed);
	if (t->hdr.kind == FRAME_POST)
		t->hdr.seq = ++ch->tx_post_seq;
	ring_put(ch, 0, &t->hdr, FRAME_HDR_LEN);
	ring_put(ch, t->hdr.len, zero, ring_len - t->hdr.len);
	ch->tx_prod += ring_len;
	atomic_store_explicit(&ch->ctl->left_prod, ch->tx_prod, memory_order_release);
	return 0;
}

/* ---- a full ring ---- */

static void waiter_link(struct rpc_chan *ch, struct tx_waiter *w)
{
	lock_take(&ch->slots_lock);
	w->next = ch->full;
	ch->full = w;
	lock_drop(&ch->slots_lock);
}

static void waiter_unlink(struct rpc_chan *ch, struct tx_waiter *w)
{
	struct tx_waiter *x;

	lock_take(&ch->slots_lock);
	x = ch->full;
	if (x == w) {
		ch->full = w->next;
	} else {
		while (x->next != w)
			x = x->next;
		x->next = w->next;
	}
	lock_drop(&ch->slots_lock);
}

static bool has_read(const struct rpc_chan *ch, uint32_t at)
{
	const uint32_t cons = atomic_load_explicit(&ch->ctl->left_cons, memory_order_acquire);

	return (int32_t)(cons - at) >= 0;
}

/* Ask to hear of reading.  The caller looks at the index again. */
static void ask_for_reading(struct rpc_chan *ch)
{
	atomic_fetch_or(&ch->ctl->srv_notify, WIRE_NOTIFY_READ);
}

void tx_wake(struct rpc_chan *ch, bool all)
{
	const struct tx_waiter *w;
	bool more, asked = false;

	while (atomic_load_explicit(&ch->full, memory_order_relaxed)) {
		more = false;
		lock_take(&ch->slots_lock);
		for (w = ch->full; w; w = w->next) {
			if (all || has_read(ch, w->at))
				rpc_wake(w->thread);
			else
				more = true;
		}
		lock_drop(&ch->slots_lock);
		if (!more || asked)
			return;
		ask_for_reading(ch); /* a notification is spent once it came */
		asked = true;
	}
}

/* Wait until the service has read up to @at, or a while. */
static void wait_room(struct rpc_chan *ch, uint32_t at, struct patience *p)
{
	struct tx_waiter w = {NULL, rpc_current(), at};

	waiter_link(ch, &w);
	ask_for_reading(ch);
	if (!has_read(ch, at) && chan_live(ch))
		wait_turn(ch, p, LOOK_AGAIN_NS);
	waiter_unlink(ch, &w);
}

/* Under tx: 1: go on; 0: not now; -EIO: never. */
static int may_send_locked(struct rpc_chan *ch, const struct tx_frame *t)
{
	const uint32_t again = t->call ? atomic_load(&t->call->again) : 0;
	const uint32_t s = atomic_load(&ch->state);

	if (s == CHAN_LOST || s == CHAN_OFF)
		return -EIO;
	/* Recovery saw the call in flight before it was: its thread sends it again. */
	if (again && !t->resend)
		return 0;
	if (chan_open(ch, again))
		return 1;
	if (ch->restorer == rpc_current())
		return -EIO; /* the new instance left, too */
	if (t->call && again == 0)
		atomic_store(&t->call->again, CALL_LATER);
	return 0;
}

int tx_send(struct rpc_chan *ch, struct tx_frame *t)
{
	const size_t msg_len = t->packed ? t->n_packed
	                       : t->msg  ? protobuf_c_message_get_packed_size(t->msg)
	                                 : 0;
	struct patience p = {0};
	uint32_t at;
	int64_t room;
	int r;

	if (msg_len > RPC_MSG_MAX || t->source_len > RPC_PAYLOAD_MAX)
		return -EMSGSIZE;
	t->hdr.msg_len = (uint16_t)msg_len;
	t->hdr.payload_len = t->source_len;
	t->hdr.len = FRAME_HDR_LEN + t->hdr.msg_len + t->source_len;
	for (;;) {
		lock_take(&ch->tx);
		r = may_send_locked(ch, t);
		if (r <= 0) {
			tx_drop(ch);
			tx_credit(ch);
			if (r < 0 || t->call)
				return r;
			wait_news(ch, &p);
			continue;
		}
		room = tx_room(ch);
		if (room >= (int64_t)frame_ring_len(t->hdr.len))
			break;
		at = ch->tx_prod + frame_ring_len(t->hdr.len) - ch->size;
		tx_drop(ch);
		if (room < 0) {
			chan_lose(ch, "ring: the service's read index is out of range");
			return -EIO;
		}
		tx_credit(ch);
		wait_room(ch, at, &p);
	}
	r = put_frame_locked(ch, t);
	if (r == 0 && t->call) {
		t->call->sent = t->call->begun = true;
		atomic_store(&t->call->again, 0);
	}
	tx_drop(ch);
	if (r == 0)
		notify_written(ch);
	tx_credit(ch);
	return r;
}

static bool much_credit_is_due(const struct rpc_chan *ch)
{
	return atomic_load_explicit(&ch->credit_due, memory_order_relaxed) >=
	       ch->event_credit / 4;
}

/* A service without credit says nothing more, so what is due must not stay here.  Who
 * finds tx held leaves it to the holder, which looks here when it has let go; where
 * there is no room, the service's reading makes the leader look again. */
void tx_credit(struct rpc_chan *ch)
{
	bool asked = false;

	while (much_credit_is_due(ch) && chan_live(ch) && lock_try(&ch->tx)) {
		struct tx_frame t = {.hdr = {.kind = FRAME_CREDIT, .len = FRAME_HDR_LEN}};
		const bool sent = chan_live(ch) && tx_room(ch) >= (int64_t)FRAME_HDR_LEN &&
		                  put_frame_locked(ch, &t) == 0;

		tx_drop(ch);
		if (sent)
			notify_written(ch);
		else if (asked)
			return;
		else
			ask_for_reading(ch);
		asked = !sent;
	}
}
