/* SPDX-License-Identifier: MIT */
/*
 * Calls: a slot, a promise of reply room, a frame, a wait.
 *
 * A slot is taken before the frame is written and given back when the caller has
 * its answer.  `room` is the part of the right ring not yet promised to replies;
 * event credit was set aside at hello.  So the service always has room to answer.
 */
#include "rpc/guest.h"

#include "rpc/guest_priv.h"
#include "session.pb-c.h"

#include <errno.h>
#include <string.h>

/* Absent where nobody nudges. */
#pragma weak rpc_watched
/* Absent where no service comes back. */
#pragma weak rpc_recover_start
#pragma weak plat_channel_reopen
#pragma weak plat_channel_renew
#pragma weak rpc_note

#define HUNG_NS 5000000000ull   /* no heartbeat for so long: say so */
#define SILENT_NS 3000000000ull /* and for so long: a fatal signal is not kept waiting */
#define CHECK_NS 1000000000ull
#define DONE_ROOM 128u         /* ring bytes of one Done event */

struct rpc_chan g_file_chan, g_net_chan;
static struct rpc_chan *const g_chans[] = {&g_file_chan, &g_net_chan};
#define N_CHANS 2u

static const char *chan_name(const struct rpc_chan *ch)
{
	return ch == &g_file_chan ? "fsd" : "netd";
}

bool rpc_up(const struct rpc_chan *ch)
{
	const uint32_t s = atomic_load_explicit(&ch->state, memory_order_acquire);

	return s == CHAN_UP || s >= CHAN_AWAY;
}

uint32_t rpc_post_room(const struct rpc_chan *ch)
{
	return ch->post_room;
}

ProtobufCService *rpc_service(struct rpc_chan *ch)
{
	return &ch->service;
}

void rpc_reply_taken(const ProtobufCMessage *reply, void *data)
{
	struct rpc_call *call = data;

	call->reply = reply;
}

void rpc_call_init(struct rpc_call *c)
{
	memset(c, 0, offsetof(struct rpc_call, msg));
	arena_init(&c->arena, c->arena_buf, sizeof(c->arena_buf));
}

/* ---- waiting ---- */

/* A service beats at least once a second while calls are open.  Its count tells, not
 * its clock: on Xen every domain has a clock of its own. */
static void note_beat(const struct rpc_chan *ch, struct patience *p, uint64_t now)
{
	const uint32_t beat = atomic_load_explicit(&wire_strait(ch->ctl)->srv_beat,
	                                           memory_order_relaxed);

	if (p->since && beat == p->beat)
		return;
	p->beat = beat;
	p->beat_at = now;
}

/* Has the service stopped to breathe?  Loud once a silence. */
static void look_for_life(struct rpc_chan *ch, struct patience *p, uint64_t now)
{
	if (now - p->beat_at < SILENT_NS)
		return;
	rpc_silent(chan_name(ch));
	if (!chan_live(ch))
		return; /* known to be away */
	if (p->said || now - p->beat_at < HUNG_NS)
		return;
	p->said = true;
	rpc_log(chan_name(ch), "does not answer and shows no heartbeat: it hangs");
}

void wait_turn(struct rpc_chan *ch, struct patience *p, uint64_t ns)
{
	const uint64_t now = plat_mono_ns();

	note_beat(ch, p, now);
	if (!p->since)
		p->since = now;
	else
		look_for_life(ch, p, now);
	/* A deadline is a kernel timer set and cancelled: not where somebody nudges. */
	rpc_wait(ns >= CHECK_NS && rpc_watched && rpc_watched() ? PLAT_NO_DEADLINE : now + ns);
}

void calls_wake(struct rpc_chan *ch)
{
	lock_take(&ch->slots_lock);
	for (unsigned k = 0; k < RPC_SLOTS_MAX; k++)
		if (ch->calls[k])
			rpc_wake(ch->calls[k]->waiter);
	lock_drop(&ch->slots_lock);
}

void rpc_guest_nudge(void)
{
	for (unsigned i = 0; i < N_CHANS; i++) {
		if (atomic_load(&g_chans[i]->state) == CHAN_OFF)
			continue;
		calls_wake(g_chans[i]);
		slots_wake(g_chans[i]);
	}
}

/* ---- slots ---- */

static uint64_t slots_for(const struct rpc_chan *ch, const struct rpc_call *call)
{
	const uint64_t reserved = ch->n_slots > 2 * RPC_SLOTS_RESERVED
	                                  ? (1ull << RPC_SLOTS_RESERVED) - 1
	                                  : 0;

	return call->urgent ? ch->free_slots : ch->free_slots & ~reserved;
}

static bool slot_try_locked(struct rpc_chan *ch, struct rpc_call *call)
{
	const uint64_t can = slots_for(ch, call);

	if (ch->restorer && ch->restorer == rpc_current()) {
		if (ch->calls[ch->own_slot])
			return false; /* one at a time */
		call->slot = ch->own_slot;
		call->reserved = 0;
		return true;
	}
	if (can == 0 || ch->room < call->reserved)
		return false;
	call->slot = (uint16_t)__builtin_ctzll(can);
	ch->free_slots &= ~(1ull << call->slot);
	ch->room -= call->reserved;
	return true;
}

static void waiter_unlink_locked(struct rpc_chan *ch, struct slot_waiter *w)
{
	struct slot_waiter **p;

	for (p = &ch->waiters; *p; p = &(*p)->next) {
		if (*p == w) {
			*p = w->next;
			return;
		}
	}
}

/* Among those who wait for a slot: they are woken by whatever changes. */
void wait_news(struct rpc_chan *ch, struct patience *p)
{
	struct slot_waiter w = {NULL, rpc_current()};

	lock_take(&ch->slots_lock);
	w.next = ch->waiters;
	ch->waiters = &w;
	lock_drop(&ch->slots_lock);
	if (!chan_open(ch, 0) && atomic_load(&ch->state) != CHAN_LOST)
		wait_turn(ch, p, CHECK_NS);
	lock_take(&ch->slots_lock);
	waiter_unlink_locked(ch, &w);
	lock_drop(&ch->slots_lock);
}

static int slot_take(struct rpc_chan *ch, struct rpc_call *call)
{
	struct slot_waiter w = {NULL, rpc_current()};
	struct patience p = {0};
	bool got;

	if (ch->restorer == w.thread && call->reserved > RESTORE_ROOM)
		return -EMSGSIZE; /* the recovery thread has only this */
	for (;;) {
		lock_take(&ch->slots_lock);
		waiter_unlink_locked(ch, &w);
		got = slot_try_locked(ch, call);
		if (!got) {
			w.next = ch->waiters;
			ch->waiters = &w;
		}
		lock_drop(&ch->slots_lock);
		if (got)
			return 0;
		if (atomic_load(&ch->state) == CHAN_LOST) {
			lock_take(&ch->slots_lock);
			waiter_unlink_locked(ch, &w);
			lock_drop(&ch->slots_lock);
			return -EIO;
		}
		wait_turn(ch, &p, CHECK_NS);
	}
}

void slots_wake(struct rpc_chan *ch)
{
	struct slot_waiter *w;

	lock_take(&ch->slots_lock);
	for (w = ch->waiters; w; w = w->next)
		rpc_wake(w->thread);
	lock_drop(&ch->slots_lock);
}

static void slot_give(struct rpc_chan *ch, struct rpc_call *call)
{
	bool waiters;

	lock_take(&ch->slots_lock);
	ch->calls[call->slot] = NULL;
	if (!ch->recovers || call->slot != ch->own_slot)
		ch->free_slots |= 1ull << call->slot;
	ch->room += call->reserved;
	waiters = ch->waiters != NULL;
	lock_drop(&ch->slots_lock);
	if (waiters)
		slots_wake(ch);
}

/* ---- calls ---- */

static struct tx_frame call_frame(struct rpc_call *call)
{
	return (struct tx_frame){
	        .hdr = {.kind = FRAME_CALL, .method = call->method, .slot = call->slot},
	        .msg = call->input,
	        .source = call->source,
	        .source_arg = call->source_arg,
	        .source_len = call->source_len,
	        .call = call};
}

/* The same call to the service's next instance: same slot, same number. */
static int call_resend(struct rpc_chan *ch, struct rpc_call *call)
{
	struct tx_frame t = call_frame(call);
	int r = 0;

	t.resend = true;
	t.hdr.flags = call->begun ? FRAME_F_REPLAY : 0;
	t.hdr.seq = ch->seq[call->slot];
	if (call->sent && call->source && call->source_len)
		r = call->source(call->source_arg, NULL, call->source_len);
	call->sent = false; /* what was moved is back */
	return r < 0 ? r : tx_send(ch, &t);
}

void call_counted(struct rpc_chan *ch, struct rpc_call *call)
{
	if (!call->counted)
		return;
	call->counted = false;
	if (atomic_fetch_sub(&ch->resend, 1) == 1 && ch->restorer)
		rpc_wake(ch->restorer);
}

/* Who takes a call out of the table ends it.  False: another thread just does. */
static bool call_unlist(struct rpc_chan *ch, const struct rpc_call *call)
{
	bool ours;

	lock_take(&ch->slots_lock);
	ours = ch->calls[call->slot] == call;
	if (ours)
		ch->calls[call->slot] = NULL;
	lock_drop(&ch->slots_lock);
	return ours;
}

/* It cannot be sent again: it ends here. */
static void call_fail(struct rpc_chan *ch, struct rpc_call *call, int err)
{
	if (!call_unlist(ch, call))
		return;
	call_counted(ch, call);
	call->err = err;
	atomic_store_explicit(&call->done, 1, memory_order_release);
}

static void wait_done(struct rpc_chan *ch, struct rpc_call *call)
{
	struct patience p = {0};

	while (!atomic_load_explicit(&call->done, memory_order_acquire)) {
		const uint32_t again = atomic_load(&call->again);

		if (again && chan_open(ch, again)) {
			const int r = call_resend(ch, call);

			if (r < 0)
				call_fail(ch, call, r);
			else if (!atomic_load(&call->again))
				continue;
		}
		wait_turn(ch, &p, CHECK_NS);
	}
}

static int call_send(struct rpc_chan *ch, struct rpc_call *call)
{
	struct tx_frame t = call_frame(call);
	int r;

	/* The slot is ours: nobody else touches its sequence or wake time. */
	lock_take(&ch->slots_lock);
	t.hdr.seq = ch->seq[call->slot] + 1;
	t.hdr.wake = ch->stamps ? ch->wake[call->slot] : 0;
	ch->seq[call->slot] = t.hdr.seq;
	ch->calls[call->slot] = call;
	lock_drop(&ch->slots_lock);
	r = tx_send(ch, &t);
	if (r < 0) { /* nothing was sent: the number is free again */
		lock_take(&ch->slots_lock);
		ch->seq[call->slot] = t.hdr.seq - 1;
		lock_drop(&ch->slots_lock);
	}
	return r;
}

static void call_prepare(struct rpc_call *call)
{
	call->waiter = rpc_current();
	call->again = 0;
	call->sent = call->begun = call->counted = false;
	call->reserved = frame_ring_len(FRAME_HDR_LEN + RPC_REPLY_MSG_MAX + call->sink_cap) +
	                 DONE_ROOM;
}

/* The slot is taken: send; on failure the slot is given back. */
static int call_begin(struct rpc_chan *ch, uint16_t method, const ProtobufCMessage *msg,
                      struct rpc_call *call)
{
	int r;

	call->method = method;
	call->input = msg;
	r = call_send(ch, call);
	if (r == 0)
		return 0;
	if (!call_unlist(ch, call))
		wait_done(ch, call); /* who ends it writes to it yet */
	call->err = r;
	slot_give(ch, call);
	return r;
}

static void call_end(struct rpc_chan *ch, struct rpc_call *call)
{
	wait_done(ch, call);
	if (ch->stamps)
		ch->wake[call->slot] = plat_mono_ns();
	slot_give(ch, call);
}

static void call_do(struct rpc_chan *ch, uint16_t method, const ProtobufCMessage *msg,
                    struct rpc_call *call)
{
	int r;

	call_prepare(call);
	r = slot_take(ch, call);
	if (r < 0)
		call->err = r;
	else if (call_begin(ch, method, msg, call) == 0)
		call_end(ch, call);
}

static void call_decode(struct rpc_chan *ch, struct rpc_call *call,
                        const ProtobufCMessageDescriptor *out)
{
	if (call->err)
		return;
	call->reply = protobuf_c_message_unpack(out, &call->arena.pb, call->msg_len, call->msg);
	if (!call->reply) {
		chan_lose(ch, "reply: does not decode");
		call->err = -EIO;
	}
}

int rpc_call_start(struct rpc_chan *ch, unsigned index, const ProtobufCMessage *msg,
                   struct rpc_call *call)
{
	bool got;

	if (!rpc_up(ch))
		return call->err = -EIO;
	call_prepare(call);
	lock_take(&ch->slots_lock);
	got = slot_try_locked(ch, call);
	lock_drop(&ch->slots_lock);
	if (!got)
		return -EAGAIN;
	return call_begin(ch, FRAME_METHOD(ch->ops->service_id, index), msg, call);
}

void rpc_call_finish(struct rpc_chan *ch, unsigned index, struct rpc_call *call)
{
	call_end(ch, call);
	call_decode(ch, call, ch->ops->service->methods[index].output);
}

static void invoke(ProtobufCService *s, unsigned index, const ProtobufCMessage *input,
                   ProtobufCClosure closure, void *data)
{
	struct rpc_chan *ch = chan_of(s);
	struct rpc_call *call = data;

	if (!rpc_up(ch)) {
		call->err = -EIO;
	} else {
		call_do(ch, FRAME_METHOD(ch->ops->service_id, index), input, call);
		call_decode(ch, call, s->descriptor->methods[index].output);
	}
	closure(call->err ? NULL : call->reply, call);
}

int rpc_post(struct rpc_chan *ch, unsigned index, const ProtobufCMessage *msg,
             rpc_move_fn *source, void *arg, uint32_t len)
{
	struct tx_frame t = {.hdr = {.kind = FRAME_POST,
	                             .method = FRAME_METHOD(ch->ops->service_id, index)},
	                     .msg = msg,
	                     .source = source,
	                     .source_arg = arg,
	                     .source_len = len};

	return rpc_up(ch) ? tx_send(ch, &t) : -EIO;
}

/* ---- the session ---- */

int session_call(struct rpc_chan *ch, unsigned index, const ProtobufCMessage *msg,
                 struct rpc_call *call)
{
	call->urgent = true;
	call_do(ch, FRAME_METHOD(RPC_SERVICE_SESSION, index), msg, call);
	call_decode(ch, call, session__session__descriptor.methods[index].output);
	return call->err;
}

int rpc_cancel(struct rpc_chan *ch, uint64_t ticket, int *err)
{
	struct rpc_call call;
	Session__CancelReq req = SESSION__CANCEL_REQ__INIT;
	const Session__CancelRep *rep;

	rpc_call_init(&call);
	req.ticket = ticket;
	if (session_call(ch, 2, &req.base, &call) < 0) {
		*err = call.err;
		return 0;
	}
	rep = (const Session__CancelRep *)call.reply;
	*err = -frame_errno(rep->err);
	return rep->cancelled ? 1 : 0;
}

int rpc_ping(struct rpc_chan *ch)
{
	struct rpc_call call;
	Session__Empty req = SESSION__EMPTY__INIT;

	if (!rpc_up(ch))
		return -EIO;
	rpc_call_init(&call);
	return session_call(ch, 1, &req.base, &call);
}

static uint64_t features(const struct rpc_chan *ch)
{
	uint64_t f = g_config.stamps ? RPC_FEATURE_STAMPS : 0;

	if (ch->ops->service_id == RPC_SERVICE_FILE)
		f |= RPC_FEATURE_WATCH;
	if (g_config.recover_ns && ch->ops->on_restore && rpc_recover_start &&
	    ch->size <= 1u << JOURNAL_ORDER_MAX)
		f |= RPC_FEATURE_RECOVER;
	return f;
}

static const char *hello_wrong(const struct rpc_chan *ch, const Session__HelloRep *rep)
{
	if (rep->version < RPC_VERSION_MIN || rep->version > RPC_VERSION_MAX)
		return "hello: answered with a version not offered";
	if (rep->n_slots == 0 || rep->n_slots > RPC_SLOTS_MAX)
		return "hello: answered with slots not offered";
	if (ch->recovers && rep->n_slots != ch->n_slots)
		return "hello: the next instance grants other slots";
	if (ch->recovers && !(rep->features & RPC_FEATURE_RECOVER))
		return "hello: the next instance cannot take a session over";
	return NULL;
}

/* The first hello: what the session has for good. */
static void take_grant(struct rpc_chan *ch, const Session__HelloRep *rep)
{
	lock_take(&ch->slots_lock);
	ch->n_slots = rep->n_slots;
	ch->free_slots = rep->n_slots == 64 ? ~0ull : (1ull << rep->n_slots) - 1;
	if ((rep->features & RPC_FEATURE_RECOVER) && (features(ch) & RPC_FEATURE_RECOVER) &&
	    rep->n_slots > 2 * RPC_SLOTS_RESERVED) {
		ch->own_slot = (uint16_t)(rep->n_slots - 1);
		ch->free_slots &= ~(1ull << ch->own_slot);
		ch->room -= RESTORE_ROOM;
		ch->recovers = true;
	}
	lock_drop(&ch->slots_lock);
}

int say_hello(struct rpc_chan *ch, struct rpc_restore *r)
{
	struct rpc_call call;
	Session__HelloReq req = SESSION__HELLO_REQ__INIT;
	const Session__HelloRep *rep;
	const char *why;

	rpc_call_init(&call);
	req.version_min = RPC_VERSION_MIN;
	req.version_max = RPC_VERSION_MAX;
	req.features = features(ch);
	req.client_id = (ProtobufCBinaryData){RPC_CLIENT_ID_LEN, g_config.client_id};
	req.n_slots = r ? ch->n_slots : RPC_SLOTS_MAX;
	req.event_credit = ch->event_credit;
	req.service = ch->ops->service_id;
	req.epoch_seen = r ? ch->epoch : 0;
	if (session_call(ch, 0, &req.base, &call) < 0)
		return call.err;
	rep = (const Session__HelloRep *)call.reply;
	why = hello_wrong(ch, rep);
	if (why) {
		chan_lose(ch, why);
		return -EPROTO;
	}
	if (r)
		*r = (struct rpc_restore){.epoch = rep->epoch,
		                          .verifier = rep->write_verifier,
		                          .verifier_changed = rep->write_verifier != ch->verifier,
		                          .moved = rep->moved != 0,
		                          .features = rep->features & features(ch)};
	else
		take_grant(ch, rep);
	ch->epoch = rep->epoch;
	ch->verifier = rep->write_verifier;
	ch->post_room = rep->post_room;
	ch->stamps = g_config.stamps && (rep->features & RPC_FEATURE_STAMPS);
	return 0;
}

static int attach_once(struct rpc_chan *ch, const struct plat_channel *pc,
                       const struct rpc_chan_ops *ops)
{
	uint32_t from = CHAN_HELLO;
	int r;

	memset(ch, 0, sizeof(*ch));
	ch->service = (ProtobufCService){ops->service, invoke, NULL};
	ch->ops = ops;
	ch->ctl = pc->ctl;
	ch->left = pc->left;
	ch->right = pc->right;
	ch->size = 1u << pc->order;
	ch->id = pc->id;
	ch->n_slots = 1;
	ch->free_slots = 1;
	/* half of the right ring for events where the service sends many */
	ch->event_credit = ops->service_id == RPC_SERVICE_NET ? ch->size / 2 : ch->size / 16;
	ch->room = ch->size - ch->event_credit;
	ch->tx_prod = atomic_load(&ch->ctl->left_prod);
	ch->rx_cons = atomic_load(&ch->ctl->right_cons);
	ch->restorer = rpc_current();
	atomic_store(&ch->ctl->cli_live, 1);
	atomic_store(&ch->state, CHAN_HELLO);
	r = say_hello(ch, NULL);
	ch->restorer = NULL;
	if (r == 0 && !atomic_compare_exchange_strong(&ch->state, &from, CHAN_UP))
		r = -EIO;
	return r;
}

int rpc_attach(struct rpc_chan *ch, const struct plat_channel *pc,
               const struct rpc_chan_ops *ops)
{
	const uint64_t deadline = plat_mono_ns() + g_config.recover_ns;
	uint32_t epoch;
	int r;

	if (!pc->ctl)
		return -ENODEV;
	r = attach_once(ch, pc, ops);
	/* It left before there was a session: begin again with the next one. */
	while (r < 0 && atomic_load(&ch->state) == CHAN_AWAY &&
	       plat_channel_reopen(ch->id, deadline, &epoch) == 0 &&
	       plat_channel_renew(ch->id) == 0)
		r = attach_once(ch, pc, ops);
	if (r < 0 && atomic_load(&ch->state) != CHAN_LOST)
		chan_lose(ch, atomic_load(&ch->state) == CHAN_AWAY ? "the service is gone"
		              : r == -EPROTONOSUPPORT
		                      ? "speaks no protocol version that this program speaks"
		                      : "hello was refused");
	return r == -EPROTONOSUPPORT ? -EPROTO : r;
}

void rpc_detach(struct rpc_chan *ch)
{
	const uint32_t was = atomic_exchange(&ch->state, CHAN_OFF);

	if (was == CHAN_OFF || !ch->ctl)
		return;
	atomic_store(&ch->ctl->cli_live, 0);
	plat_channel_notify(ch->id);
}

void chan_lose(struct rpc_chan *ch, const char *why)
{
	struct rpc_call *calls[RPC_SLOTS_MAX];

	if (atomic_exchange(&ch->state, CHAN_LOST) == CHAN_LOST)
		return;
	rpc_log(chan_name(ch), why);
	lock_take(&ch->slots_lock);
	memcpy(calls, ch->calls, sizeof(calls));
	memset(ch->calls, 0, sizeof(ch->calls));
	lock_drop(&ch->slots_lock);
	for (unsigned i = 0; i < RPC_SLOTS_MAX; i++) {
		if (calls[i]) {
			void *waiter = calls[i]->waiter;

			calls[i]->err = -EIO;
			atomic_store_explicit(&calls[i]->done, 1, memory_order_release);
			rpc_wake(waiter);
		}
	}
	slots_wake(ch);
	tx_wake(ch, true);
	atomic_store(&ch->ctl->cli_live, 0);
	plat_channel_notify(ch->id);
	if (ch->ops->on_lost)
		ch->ops->on_lost();
}

/* End the recovery thread's own call: it looks at the state then. */
static void end_own_call(struct rpc_chan *ch)
{
	struct rpc_call *call;

	lock_take(&ch->slots_lock);
	call = ch->calls[ch->own_slot];
	ch->calls[ch->own_slot] = NULL;
	lock_drop(&ch->slots_lock);
	if (call) {
		void *waiter = call->waiter;

		call->err = -EIO;
		atomic_store_explicit(&call->done, 1, memory_order_release);
		rpc_wake(waiter);
	}
}

void chan_gone(struct rpc_chan *ch)
{
	uint32_t was = atomic_load(&ch->state);

	if (was == CHAN_LOST || was == CHAN_OFF)
		return;
	if (was == CHAN_HELLO ? !(features(ch) & RPC_FEATURE_RECOVER) : !ch->recovers) {
		chan_lose(ch, "the service is gone");
		return;
	}
	if (!atomic_compare_exchange_strong(&ch->state, &was, CHAN_AWAY))
		return; /* the guest ends, or the recovery thread was faster: look again */
	/* An instance that lives and hung up on this guest alone lets go of it then, and the
	 * platform says that no other comes.  One that has handed over reads no more. */
	atomic_store(&ch->ctl->cli_live, 0);
	plat_channel_notify(ch->id);
	if (was != CHAN_UP) {
		end_own_call(ch);
	} else {
		rpc_note(chan_name(ch), "the service left: calls wait for its next instance");
		if (ch->ops->on_away)
			ch->ops->on_away();
		if (rpc_recover_start(ch) < 0) {
			chan_lose(ch, "the service is gone, and no thread can be made to wait "
			              "for its next instance");
			return;
		}
	}
	slots_wake(ch);
	tx_wake(ch, true);
}

/* ---- what the leader does ---- */

int rpc_guest_poll(void)
{
	int n = 0;

	for (unsigned i = 0; i < N_CHANS; i++)
		n += chan_poll(g_chans[i]);
	return n;
}

void rpc_guest_arm(void)
{
	for (unsigned i = 0; i < N_CHANS; i++) {
		if (!chan_live(g_chans[i]))
			continue;
		atomic_store_explicit(&wire_strait(g_chans[i]->ctl)->cli_running, 0,
		                      memory_order_relaxed);
		atomic_fetch_or(&g_chans[i]->ctl->srv_notify, WIRE_NOTIFY_WRITE);
	}
}

void rpc_guest_disarm(void)
{
	const uint32_t cpu = plat_cpu() + 1;

	for (unsigned i = 0; i < N_CHANS; i++) {
		struct rpc_chan *ch = g_chans[i];

		if (!chan_live(ch))
			continue;
		atomic_store_explicit(&wire_strait(ch->ctl)->cli_running, cpu,
		                      memory_order_relaxed);
		if (atomic_load_explicit(&ch->ctl->srv_notify, memory_order_relaxed) &
		    WIRE_NOTIFY_WRITE)
			atomic_fetch_and(&ch->ctl->srv_notify, (uint8_t)~WIRE_NOTIFY_WRITE);
	}
}

/* A service that sleeps counts, too: it wakes where it ran last, and its answer to
 * what woke it comes sooner than a sleep and a wake-up here would be over. */
bool rpc_guest_peer_runs(void)
{
	const uint32_t cpu = plat_cpu() + 1;

	for (unsigned i = 0; i < N_CHANS; i++) {
		if (!chan_live(g_chans[i]))
			continue;
		const uint32_t at = atomic_load_explicit(
		        &wire_strait(g_chans[i]->ctl)->srv_running, memory_order_relaxed);
		if (at != 0)
			g_chans[i]->srv_cpu = at;
		if (g_chans[i]->srv_cpu != 0 && g_chans[i]->srv_cpu != cpu)
			return true;
	}
	return false;
}
