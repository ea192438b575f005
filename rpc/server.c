/* SPDX-License-Identifier: MIT */
/*
 * The receiving half of a service's channel: frames in, calls dispatched.
 *
 * What a hostile guest can do here: send any bytes, lie about any length, move
 * its index anywhere, never read.  Each frame is copied once, checked, and only
 * then looked at; whatever breaks a rule closes this channel alone.
 */
#include "rpc/server.h"

#include "rpc/fault.h"
#include "rpc/server_priv.h"
#include "session.pb-c.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SPIN_TURNS 600 /* about 2 us of looking at one word */

uint64_t mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct rpc_conn *rpc_conn_new(struct vchan_end *end, const struct rpc_server_ops *ops,
                              const uint8_t client_id[16], uint32_t domid, void *ctx)
{
	struct rpc_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		errno = ENOMEM;
		return NULL;
	}
	c->v = end;
	c->ops = ops;
	c->ctx = ctx;
	c->domid = domid;
	memcpy(c->client_id, client_id, sizeof(c->client_id));
	c->n_slots = 1; /* for hello */
	pthread_mutex_init(&c->tx, NULL);
	pthread_mutex_init(&c->pool_lock, NULL);
	return c;
}

void rpc_conn_free(struct rpc_conn *c)
{
	struct req_buf *b, *next;

	if (!c)
		return;
	free(c->spare);
	for (b = c->free_reqs; b; b = next) {
		next = b->next;
		free(b);
	}
	vchan_close(c->v);
	pthread_mutex_destroy(&c->tx);
	pthread_mutex_destroy(&c->pool_lock);
	free(c);
}

void *rpc_conn_ctx(const struct rpc_conn *c)
{
	return c->ctx;
}

uint32_t rpc_conn_domid(const struct rpc_conn *c)
{
	return c->domid;
}

unsigned rpc_conn_busy(const struct rpc_conn *c)
{
	return atomic_load(&c->busy);
}

bool rpc_conn_broken(const struct rpc_conn *c)
{
	return atomic_load(&c->broken) != NULL;
}

int rpc_conn_fd(const struct rpc_conn *c)
{
	return vchan_fd(c->v);
}

void rpc_conn_ack(struct rpc_conn *c)
{
	vchan_ack(c->v);
}

uint32_t rpc_event_credit(const struct rpc_conn *c)
{
	return c->credit;
}

void rpc_conn_on_credit(struct rpc_conn *c, void (*fn)(struct rpc_conn *, void *ctx))
{
	c->on_credit = fn;
}

void conn_break(struct rpc_conn *c, const char *why)
{
	const char *none = NULL;

	atomic_compare_exchange_strong(&c->broken, &none, why);
}

/* ---- request memory ---- */

static struct req_buf *req_take(struct rpc_conn *c)
{
	struct req_buf *b = c->spare;

	c->spare = NULL;
	if (b)
		return b;
	pthread_mutex_lock(&c->pool_lock);
	b = c->free_reqs;
	if (b)
		c->free_reqs = b->next;
	pthread_mutex_unlock(&c->pool_lock);
	if (!b)
		b = aligned_alloc(64, (sizeof(*b) + 63) & ~63ul);
	return b;
}

void req_free(struct rpc_conn *c, struct req_buf *b)
{
	if (pthread_equal(pthread_self(), atomic_load_explicit(&c->loop, memory_order_relaxed)) && !c->spare) {
		c->spare = b;
		return;
	}
	pthread_mutex_lock(&c->pool_lock);
	b->next = c->free_reqs;
	c->free_reqs = b;
	pthread_mutex_unlock(&c->pool_lock);
}

/* ---- the session's own methods ---- */

static const char *hello_refused(struct rpc_conn *c, const Session__HelloReq *h,
                                 const struct frame *f)
{
	if (h->client_id.len != RPC_CLIENT_ID_LEN ||
	    memcmp(h->client_id.data, c->client_id, RPC_CLIENT_ID_LEN) != 0)
		return "hello: not the client that was announced";
	if (h->service != c->ops->service_id)
		return "hello: wants another service";
	if (h->version_min > h->version_max)
		return "hello: version range is empty";
	if (h->epoch_seen && h->epoch_seen >= c->ops->epoch)
		return "hello: has seen an epoch that has not come yet";
	if (h->epoch_seen == 0 && (f->slot != 0 || f->seq != 1))
		return "hello: a first session begins with slot 0, seq 1";
	return NULL;
}

static void take_features(struct rpc_conn *c, const Session__HelloReq *h)
{
	uint8_t *page = vchan_page(c->v);

	c->stamps = (h->features & RPC_FEATURE_STAMPS) != 0;
	c->resumed = h->epoch_seen != 0;
	if ((h->features & RPC_FEATURE_RECOVER) && vchan_order(c->v) <= JOURNAL_ORDER_MAX)
		c->journal = (struct journal_entry *)(void *)(page + JOURNAL_OFFSET);
}

static void serve_hello(struct rpc_conn *c, struct rpc_req *req, const Session__HelloReq *h)
{
	Session__HelloRep rep = SESSION__HELLO_REP__INIT;
	const char *why = c->up ? "hello: said twice" : hello_refused(c, h, &req->hdr);

	if (why) {
		conn_break(c, why);
		rpc_reply(req, EPERM, NULL, NULL, 0);
		return;
	}
	if (h->version_max < RPC_VERSION_MIN || h->version_min > RPC_VERSION_MAX) {
		rpc_reply(req, EPROTONOSUPPORT, NULL, NULL, 0);
		return;
	}
	c->n_slots = c->ops->n_slots < RPC_SLOTS_MAX ? c->ops->n_slots : RPC_SLOTS_MAX;
	if (h->n_slots > 0 && h->n_slots < c->n_slots)
		c->n_slots = h->n_slots;
	const int64_t room = vchan_room(c->v);
	c->credit_max = h->event_credit;
	if (room >= 0 && c->credit_max > (uint64_t)room)
		c->credit_max = (uint32_t)room;
	c->credit = c->credit_max;
	take_features(c, h);
	c->up = true;
	rep.version = h->version_max < RPC_VERSION_MAX ? h->version_max : RPC_VERSION_MAX;
	rep.features = h->features & RPC_FEATURE_STAMPS;
	rep.features |= c->journal ? RPC_FEATURE_RECOVER : 0;
	rep.features |= h->features & c->ops->features;
	rep.moved = c->resumed && c->ops->moved && c->ops->moved(c, c->ctx);
	rep.n_slots = c->n_slots;
	rep.epoch = c->ops->epoch;
	rep.write_verifier = c->ops->write_verifier;
	rep.post_room = c->ops->post_room;
	rpc_reply(req, 0, &rep.base, NULL, 0);
	if (c->ops->on_hello)
		c->ops->on_hello(c, c->ctx);
}

static void serve_cancel(struct rpc_conn *c, struct rpc_req *req,
                         const Session__CancelReq *q)
{
	Session__CancelRep rep = SESSION__CANCEL_REP__INIT;
	uint32_t err = 0;

	rep.cancelled = c->ops->on_cancel && c->ops->on_cancel(c, q->ticket, &err) == 1;
	rep.err = err;
	rpc_reply(req, 0, &rep.base, NULL, 0);
}

static void serve_session(struct rpc_conn *c, struct rpc_req *req)
{
	switch (FRAME_INDEX(req->hdr.method)) {
	case 0:
		serve_hello(c, req, (const Session__HelloReq *)req->msg);
		break;
	case 1:
		rpc_reply(req, 0, NULL, NULL, 0);
		break;
	case 2:
		serve_cancel(c, req, (const Session__CancelReq *)req->msg);
		break;
	case 4:
		rpc_reply(req, 0, NULL, NULL, 0);
		if (c->resumed && c->ops->on_recovered)
			c->ops->on_recovered(c, c->ctx);
		break;
	default:
		rpc_reply(req, ENOSYS, NULL, NULL, 0);
	}
}

/* ---- dispatch ---- */

static void closure(const ProtobufCMessage *reply, void *data)
{
	struct rpc_req *req = data;

	rpc_reply(req, reply ? 0 : EIO, reply, NULL, 0);
}

/* The generated service struct is its base followed by one pointer a method. */
static bool has_handler(const ProtobufCService *s, unsigned index)
{
	void (*const *handlers)(void) = (void (*const *)(void))(const void *)(s + 1);

	return handlers[index] != NULL;
}

static const ProtobufCMessageDescriptor *input_of(const struct rpc_conn *c, uint16_t method)
{
	const ProtobufCServiceDescriptor *d;

	if (FRAME_SERVICE(method) == RPC_SERVICE_SESSION)
		d = &session__session__descriptor;
	else if (FRAME_SERVICE(method) == c->ops->service_id)
		d = c->ops->service->descriptor;
	else
		return NULL;
	if (FRAME_INDEX(method) >= d->n_methods)
		return NULL;
	return d->methods[FRAME_INDEX(method)].input;
}

/* A slot's numbers go on over instances: of a resumed session the first is taken as it
 * comes, and may be of a call that was in flight.  (Hello says which it is: its own is
 * looked at there.) */
static const char *check_seq(struct rpc_conn *c, const struct frame *f)
{
	struct slot *s = &c->slots[f->slot];
	const bool first = (c->resumed || !c->up) && !s->used;

	if ((f->flags & FRAME_F_REPLAY) && !(first && c->up))
		return "flags: this call cannot have been in flight";
	if (first ? f->seq == 0 : f->seq != s->seq + 1)
		return "seq: not the slot's next";
	s->seq = f->seq;
	s->used = true;
	return NULL;
}

/* Slot and sequence rules of a checked header: NULL or the rule broken. */
static const char *check_order(struct rpc_conn *c, const struct frame *f)
{
	if (f->kind == FRAME_CREDIT)
		return NULL;
	if (!c->up && (f->kind != FRAME_CALL || f->method != FRAME_METHOD(0, 0)))
		return "hello must come first";
	if (f->kind == FRAME_POST) {
		if (f->seq != c->post_seq + 1)
			return "seq: posts must count up";
		c->post_seq = f->seq;
		return NULL;
	}
	if (f->slot >= (c->up ? c->n_slots : RPC_SLOTS_MAX))
		return "slot: out of range";
	if (atomic_load(&c->slots[f->slot].busy))
		return "slot: still in use";
	return check_seq(c, f);
}

static const char *take_credit(struct rpc_conn *c, const struct frame *f)
{
	bool fits;

	if (f->credit == 0)
		return NULL;
	pthread_mutex_lock(&c->tx);
	fits = f->credit <= c->credit_max - c->credit;
	if (fits)
		c->credit += f->credit;
	pthread_mutex_unlock(&c->tx);
	if (!fits)
		return "credit: more than was spent";
	if (c->on_credit)
		c->on_credit(c, c->ctx);
	return NULL;
}

static void dispatch(struct rpc_conn *c, struct req_buf *b)
{
	struct rpc_req *req = &b->req;
	const ProtobufCMessageDescriptor *in = input_of(c, req->hdr.method);
	const unsigned index = FRAME_INDEX(req->hdr.method);

	arena_init(&b->arena, b->arena_buf, sizeof(b->arena_buf));
	req->msg = in ? protobuf_c_message_unpack(in, &b->arena.pb, req->hdr.msg_len, b->msg)
	              : NULL;
	if (in && !req->msg) {
		conn_break(c, "message: does not decode");
		rpc_reply(req, EBADMSG, NULL, NULL, 0);
	} else if (in && FRAME_SERVICE(req->hdr.method) == RPC_SERVICE_SESSION) {
		serve_session(c, req);
	} else if (!in || !has_handler(c->ops->service, index)) {
		rpc_reply(req, ENOSYS, NULL, NULL, 0);
	} else {
		c->ops->service->invoke(c->ops->service, index, req->msg, closure, req);
	}
}

static void trace_taken(struct rpc_conn *c, struct req_buf *b)
{
	const struct iovec io = {b->payload, b->req.hdr.payload_len};
	const struct trace_where w = {0, c->ops->service_id, c->domid, b->mono};

	trace_frame(&w, &b->req.hdr, b->msg, &io, 1);
}

/* Take the frame whose checked header is @f: @ready bytes of it are there. */
static const char *take_frame(struct rpc_conn *c, const struct frame *f)
{
	struct req_buf *b = req_take(c);

	if (!b)
		return "out of memory for a request";
	b->req = (struct rpc_req){.conn = c, .hdr = *f, .payload = b->payload};
	vchan_peek(c->v, FRAME_HDR_LEN, b->msg, f->msg_len);
	vchan_peek(c->v, FRAME_HDR_LEN + f->msg_len, b->payload, f->payload_len);
	vchan_consume(c->v, frame_ring_len(f->len));
	if (g_trace_on) {
		b->mono = b->req.taken = mono_ns();
		trace_taken(c, b);
	}
	atomic_fetch_add(&c->busy, 1);
	if (f->kind == FRAME_CALL)
		atomic_store_explicit(&c->slots[f->slot].busy, true, memory_order_release);
	rpc_fault(FAULT_BEFORE, c);
	dispatch(c, b);
	return NULL;
}

static bool held(struct rpc_conn *c, const struct frame *f)
{
	return c->ops->hold && f->kind == FRAME_CALL &&
	       FRAME_SERVICE(f->method) != RPC_SERVICE_SESSION &&
	       !journal_begun(c, f) && c->ops->hold(c, f);
}

/* 1: a frame was served; 0: none complete, or held; the channel may be broken after. */
static int pump_one(struct rpc_conn *c)
{
	const int64_t ready = vchan_readable(c->v);
	struct frame f;
	const char *why;

	if (ready < 0) {
		conn_break(c, "ring: the guest's index is out of range");
		return 0;
	}
	c->part = ready; /* if it is not a whole frame, wait for more than this */
	if (ready < (int64_t)FRAME_HDR_LEN)
		return 0;
	vchan_peek(c->v, 0, &f, FRAME_HDR_LEN);
	why = frame_check(&f, FRAME_AT_SERVICE);
	if (!why && ready < (int64_t)frame_ring_len(f.len))
		return 0;
	if (!why && c->up && held(c, &f))
		return 0;
	if (!why)
		why = check_order(c, &f);
	if (!why)
		why = take_credit(c, &f);
	if (!why && f.kind == FRAME_CREDIT)
		vchan_consume(c->v, frame_ring_len(f.len));
	else if (!why)
		why = take_frame(c, &f);
	if (why) {
		conn_break(c, why);
		return 0;
	}
	return 1;
}

static void tell_broken(struct rpc_conn *c)
{
	if (c->told_broken)
		return;
	c->told_broken = true;
	trace_flush();
	vchan_hang_up(c->v); /* the guest's calls end now, not when we have cleaned up */
	c->ops->on_broken(c, atomic_load(&c->broken));
}

int rpc_conn_pump(struct rpc_conn *c, int max)
{
	int served = 0;

	if (c->told_broken)
		return 0;
	c->idle = false;
	atomic_store_explicit(&c->loop, pthread_self(), memory_order_relaxed);
	atomic_store_explicit(&c->in_pump, true, memory_order_relaxed);
	vchan_disarm(c->v);
	while (served < max && !rpc_conn_broken(c) && pump_one(c))
		served++;
	atomic_store_explicit(&c->in_pump, false, memory_order_relaxed);
	(void)rpc_conn_flush(c);
	if (served < max && !rpc_conn_broken(c)) {
		vchan_arm(c->v);
		if (vchan_readable(c->v) != c->part) {
			/* written between the last look and the arming */
			vchan_disarm(c->v);
			return served ? served : 1;
		}
		c->idle = true;
		if (!vchan_peer_open(c->v))
			conn_break(c, "the guest left");
		else if (g_trace_on)
			trace_flush();
	}
	if (rpc_conn_broken(c)) {
		tell_broken(c);
		return 0;
	}
	return served;
}

bool rpc_conn_idle(const struct rpc_conn *c)
{
	return c->idle;
}

/* Once or twice a sleep: some milliseconds behind is as good. */
void rpc_conn_beat(struct rpc_conn *c)
{
	struct vchan_strait *s = vchan_strait(c->v);
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	atomic_store_explicit(&s->srv_beat, s->srv_beat + 1, memory_order_relaxed);
	atomic_store_explicit(&s->srv_beat_ns,
	                      (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec,
	                      memory_order_relaxed);
}

bool rpc_conn_spin(struct rpc_conn *c)
{
	const uint32_t guest = atomic_load(&vchan_strait(c->v)->cli_running);
	const int cpu = sched_getcpu();

	if (guest == 0 || (int)guest - 1 == cpu)
		return false; /* asleep, or waiting for this very CPU */
	for (int i = 0; i < SPIN_TURNS; i++) {
		if (vchan_readable(c->v) != c->part) /* more than an incomplete or held frame */
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

bool rpc_conn_lend(struct rpc_conn *c)
{
	vchan_disarm(c->v);
	sched_yield();
	if (vchan_readable(c->v) != c->part)
		return true;
	vchan_arm(c->v);
	if (vchan_readable(c->v) == c->part)
		return false;
	vchan_disarm(c->v);
	return true;
}
