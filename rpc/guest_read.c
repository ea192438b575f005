/* SPDX-License-Identifier: MIT */
/*
 * The guest's receiving half, run by whichever thread leads: replies to their
 * callers, events to the clients.
 *
 * What a hostile service can do here: send any bytes, lie about lengths, answer
 * twice or calls nobody made.  Each frame's header and message are copied once
 * and checked before use; a broken rule loses this channel alone, loudly.
 */
#include "rpc/guest_priv.h"

#include "session.pb-c.h"

#include <errno.h>
#include <string.h>

static void ring_get(const struct rpc_chan *ch, uint32_t off, void *to, uint32_t n)
{
	const uint32_t at = (ch->rx_cons + off) & (ch->size - 1);
	const uint32_t first = n < ch->size - at ? n : ch->size - at;

	memcpy(to, ch->right + at, first);
	if (first < n)
		memcpy((uint8_t *)to + first, ch->right, n - first);
}

static void consume(struct rpc_chan *ch, uint32_t n)
{
	_Atomic uint8_t *bits = &ch->ctl->cli_notify;

	ch->rx_cons += n;
	atomic_store_explicit(&ch->ctl->right_cons, ch->rx_cons, memory_order_release);
	if ((atomic_load_explicit(bits, memory_order_relaxed) & WIRE_NOTIFY_READ) &&
	    (atomic_fetch_and(bits, (uint8_t)~WIRE_NOTIFY_READ) & WIRE_NOTIFY_READ))
		plat_channel_notify(ch->id);
}

/* Give the payload at @off to the call's sink in one or two pieces. */
static int sink_payload(struct rpc_chan *ch, struct rpc_call *call, uint32_t off, uint32_t n)
{
	const uint32_t at = (ch->rx_cons + off) & (ch->size - 1);
	const uint32_t first = n < ch->size - at ? n : ch->size - at;

	if (call->sink(call->sink_arg, ch->right + at, first) < 0)
		return -EFAULT;
	if (first < n && call->sink(call->sink_arg, ch->right, n - first) < 0)
		return -EFAULT;
	return 0;
}

/* The call that a reply answers, still in the slot table; NULL with *why. */
static struct rpc_call *call_of(struct rpc_chan *ch, const struct frame *f, const char **why)
{
	struct rpc_call *call = NULL;

	*why = NULL;
	lock_take(&ch->slots_lock);
	if (f->slot >= ch->n_slots)
		*why = "slot: out of range";
	else if (!(call = ch->calls[f->slot]))
		*why = "slot: nobody waits there";
	else if (f->seq != ch->seq[f->slot])
		*why = "seq: not of this call";
	else if (f->payload_len > call->sink_cap)
		*why = "payload: longer than was asked for";
	else
		ch->calls[f->slot] = NULL; /* answered: no second reply */
	lock_drop(&ch->slots_lock);
	return *why ? NULL : call;
}

static const char *take_reply(struct rpc_chan *ch, const struct frame *f,
                              struct rpc_call **answered)
{
	const char *why;
	struct rpc_call *call = call_of(ch, f, &why);

	if (!call)
		return why;
	*answered = call;
	call->err = -frame_errno(f->err);
	call->msg_len = f->msg_len;
	call->queued = (f->flags & FRAME_F_QUEUED) != 0;
	ring_get(ch, FRAME_HDR_LEN, call->msg, f->msg_len);
	if (f->payload_len && call->err == 0) {
		call->payload_len = f->payload_len;
		if (sink_payload(ch, call, FRAME_HDR_LEN + f->msg_len, f->payload_len) < 0)
			call->err = -EFAULT;
	}
	return NULL;
}

/* Only after the frame was consumed: the caller gives the reply's room to the next
 * call, and the service must find it free when it answers that one. */
static void call_answer(struct rpc_chan *ch, struct rpc_call *call)
{
	void *waiter = call->waiter;

	call_counted(ch, call);
	call->epoch = ch->epoch;
	if (call->answered)
		call->answered(call);
	atomic_store_explicit(&call->done, 1, memory_order_release);
	/* the call's memory may be gone now */
	rpc_wake(waiter);
}

static const char *take_done(struct rpc_chan *ch, const uint8_t *msg, uint32_t len)
{
	_Alignas(16) uint8_t mem[256];
	struct arena a;
	const Session__DoneEvt *ev;

	arena_init(&a, mem, sizeof(mem));
	ev = session__done_evt__unpack(&a.pb, len, msg);
	if (!ev)
		return "event Done: does not decode";
	if (ch->ops->on_done)
		ch->ops->on_done(ev->ticket, -frame_errno(ev->err));
	return NULL;
}

static const char *take_event(struct rpc_chan *ch, const struct frame *f)
{
	uint8_t msg[RPC_REPLY_MSG_MAX];
	struct rpc_event ev = {
	        FRAME_INDEX(f->method), msg, f->msg_len, f->payload_len, ch, NULL};

	if (f->seq != ch->rx_event_seq + 1)
		return "seq: events must count up";
	ch->rx_event_seq = f->seq;
	ring_get(ch, FRAME_HDR_LEN, msg, f->msg_len);
	if (f->method == FRAME_METHOD(RPC_SERVICE_SESSION, 3))
		return take_done(ch, msg, f->msg_len);
	if (FRAME_SERVICE(f->method) != ch->ops->service_id || !ch->ops->on_event)
		return "method: not an event of this service";
	ch->rx_payload_off = FRAME_HDR_LEN + f->msg_len;
	ch->rx_payload_left = f->payload_len;
	ch->ops->on_event(&ev);
	atomic_fetch_add_explicit(&ch->credit_due, frame_ring_len(f->len),
	                          memory_order_relaxed);
	return ev.bad;
}

void rpc_event_take(struct rpc_event *ev, void *to, uint32_t n)
{
	struct rpc_chan *ch = ev->chan;

	if (n > ch->rx_payload_left)
		n = ch->rx_payload_left;
	ring_get(ch, ch->rx_payload_off, to, n);
	ch->rx_payload_off += n;
	ch->rx_payload_left -= n;
}

/* 1: a frame was taken; 0: none complete, or the channel was lost. */
static int take_one(struct rpc_chan *ch)
{
	const uint32_t prod = atomic_load_explicit(&ch->ctl->right_prod, memory_order_acquire);
	const uint32_t ready = prod - ch->rx_cons;
	struct rpc_call *answered = NULL;
	const char *why = NULL;
	struct frame f;

	if (ready < FRAME_HDR_LEN)
		return 0;
	if (ready > ch->size) {
		chan_lose(ch, "ring: the service's index is out of range");
		return 0;
	}
	ring_get(ch, 0, &f, FRAME_HDR_LEN);
	why = frame_check(&f, FRAME_AT_GUEST);
	if (!why && ready < frame_ring_len(f.len))
		return 0;
	if (!why)
		why = f.kind == FRAME_REPLY ? take_reply(ch, &f, &answered) : take_event(ch, &f);
	if (why) {
		chan_lose(ch, why);
		return 0;
	}
	consume(ch, frame_ring_len(f.len));
	if (answered)
		call_answer(ch, answered);
	return 1;
}

int chan_poll(struct rpc_chan *ch)
{
	int n = 0;
	bool gone;

	if (!chan_live(ch))
		return 0;
	/* First: what it answered before it left is all there then. */
	gone = atomic_load_explicit(&ch->ctl->srv_live, memory_order_acquire) == 0;
	while (n < 256 && take_one(ch))
		n++;
	tx_wake(ch, false);
	tx_credit(ch);
	if (n == 0 && gone && atomic_load(&ch->state) != CHAN_LOST)
		chan_gone(ch);
	return n;
}

void chan_drain(struct rpc_chan *ch)
{
	while (take_one(ch))
		;
}
