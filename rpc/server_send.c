/* SPDX-License-Identifier: MIT */
/*
 * The sending half of a service's channel: replies, events.
 *
 * Room was promised: a guest reserves room for a call's largest reply before it
 * sends the call, and events spend credit.  So nothing here waits; a guest that
 * promised what it does not have breaks its own channel.
 */
#include "rpc/fault.h"
#include "rpc/server_priv.h"

#include "session.pb-c.h"

#include <errno.h>
#include <string.h>

static struct req_buf *buf_of(struct rpc_req *req)
{
	return (struct req_buf *)req;
}

static uint32_t total_len(const struct iovec *io, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += io[i].iov_len;
	return (uint32_t)len;
}

static bool has_room(struct rpc_conn *c, uint32_t len)
{
	const int64_t room = vchan_room(c->v);

	if (room < 0)
		conn_break(c, "ring: the guest's read index is out of range");
	else if (room < (int64_t)frame_ring_len(len))
		conn_break(c, "ring: no room for what was promised");
	return !rpc_conn_broken(c);
}

static void trace_put(struct rpc_conn *c, const struct frame *f, const void *msg,
                      const struct iovec *payload, int n)
{
	const struct trace_where w = {1, c->ops->service_id, c->domid, mono_ns()};

	trace_frame(&w, f, msg, payload, n);
}

/* Write one frame; under tx. */
static void put_frame_locked(struct rpc_conn *c, struct frame *f,
                             const ProtobufCMessage *msg, const struct iovec *payload,
                             int n_payload)
{
	static const uint8_t zero[8];
	uint8_t packed[RPC_REPLY_MSG_MAX];
	uint32_t off = FRAME_HDR_LEN;

	f->payload_len = total_len(payload, n_payload);
	f->msg_len = 0;
	if (msg) {
		const size_t n = reply_pack(msg, packed);

		if (n > sizeof(packed)) { /* our own bug: say so instead of overrunning */
			f->err = EOVERFLOW;
			f->payload_len = 0;
			n_payload = 0;
		} else {
			f->msg_len = (uint16_t)n;
		}
	}
	f->len = FRAME_HDR_LEN + f->msg_len + f->payload_len;
	if (!has_room(c, f->len))
		return;
	if (c->stamps)
		f->stamp = mono_ns();
	vchan_put(c->v, 0, f, FRAME_HDR_LEN);
	vchan_put(c->v, off, packed, f->msg_len);
	off += f->msg_len;
	for (int i = 0; i < n_payload; i++) {
		vchan_put(c->v, off, payload[i].iov_base, (uint32_t)payload[i].iov_len);
		off += (uint32_t)payload[i].iov_len;
	}
	vchan_put(c->v, off, zero, frame_ring_len(f->len) - f->len);
	if (g_trace_on)
		trace_put(c, f, packed, payload, n_payload);
	vchan_publish(c->v, frame_ring_len(f->len));
}

bool rpc_conn_flush(struct rpc_conn *c)
{
	const bool asleep = vchan_wants_notify(c->v);

	vchan_notify(c->v);
	return asleep;
}

/* The pump's own thread notifies once, at the pump's end. */
static void notify_unless_pumping(struct rpc_conn *c)
{
	if (atomic_load(&c->in_pump) && pthread_equal(pthread_self(), c->loop))
		return;
	(void)rpc_conn_flush(c);
}

static void finish(struct rpc_req *req)
{
	struct rpc_conn *c = req->conn;

	if (req->hdr.kind == FRAME_CALL)
		notify_unless_pumping(c);
	rpc_fault(FAULT_AFTER, c);
	req_free(c, buf_of(req));
	atomic_fetch_sub(&c->busy, 1); /* last: the connection may be freed then */
}

static struct frame reply_frame(const struct rpc_req *req, int err)
{
	return (struct frame){.kind = FRAME_REPLY,
	                      .method = req->hdr.method,
	                      .slot = req->hdr.slot,
	                      .seq = req->hdr.seq,
	                      .err = (uint32_t)err};
}

static void send_reply(struct rpc_req *req, struct frame *f, const ProtobufCMessage *msg,
                       const struct iovec *payload, int n_payload)
{
	struct rpc_conn *c = req->conn;

	if (req->hdr.kind == FRAME_CALL) {
		rpc_fault(FAULT_REPLY, c);
		pthread_mutex_lock(&c->tx);
		/* before the reply is visible: the guest may use the slot at once */
		atomic_store_explicit(&c->slots[req->hdr.slot].busy, false,
		                      memory_order_release);
		if (!rpc_conn_broken(c))
			put_frame_locked(c, f, msg, payload, n_payload);
		pthread_mutex_unlock(&c->tx);
	}
	finish(req);
}

void rpc_reply(struct rpc_req *req, int err, const ProtobufCMessage *msg,
               const struct iovec *payload, int n_payload)
{
	struct frame f = reply_frame(req, err);

	send_reply(req, &f, err ? NULL : msg, payload, err ? 0 : n_payload);
}

void rpc_reply_queued(struct rpc_req *req, const ProtobufCMessage *msg)
{
	struct frame f = reply_frame(req, 0);

	f.flags = FRAME_F_QUEUED;
	send_reply(req, &f, msg, NULL, 0);
}

int rpc_reply_room(struct rpc_req *req, uint32_t cap, struct iovec out[2])
{
	struct rpc_conn *c = req->conn;

	pthread_mutex_lock(&c->tx);
	if (rpc_conn_broken(c) || !has_room(c, FRAME_HDR_LEN + cap)) {
		pthread_mutex_unlock(&c->tx);
		return -EPIPE;
	}
	return vchan_put_iov(c->v, FRAME_HDR_LEN, cap, out);
}

void rpc_reply_commit(struct rpc_req *req, int err, uint32_t len)
{
	static const uint8_t zero[8];
	struct rpc_conn *c = req->conn;
	struct frame f = reply_frame(req, err);

	f.payload_len = err ? 0 : len;
	f.len = FRAME_HDR_LEN + f.payload_len;
	if (c->stamps)
		f.stamp = mono_ns();
	atomic_store_explicit(&c->slots[req->hdr.slot].busy, false, memory_order_release);
	vchan_put(c->v, 0, &f, FRAME_HDR_LEN);
	vchan_put(c->v, f.len, zero, frame_ring_len(f.len) - f.len);
	if (g_trace_on) {
		struct iovec io[2];
		const int n = vchan_put_iov(c->v, FRAME_HDR_LEN, f.payload_len, io);

		trace_put(c, &f, zero, io, n);
	}
	rpc_fault(FAULT_REPLY, c);
	vchan_publish(c->v, frame_ring_len(f.len));
	pthread_mutex_unlock(&c->tx);
	finish(req);
}

void rpc_reply_abort(struct rpc_req *req)
{
	pthread_mutex_unlock(&req->conn->tx);
}

/* @cost: of credit. */
static int put_event(struct rpc_conn *c, uint16_t method, const ProtobufCMessage *msg,
                     const struct iovec *payload, int n_payload, uint32_t cost)
{
	struct frame f = {.kind = FRAME_EVENT, .method = method};

	pthread_mutex_lock(&c->tx);
	if (cost > c->credit) {
		pthread_mutex_unlock(&c->tx);
		return -EAGAIN;
	}
	c->credit -= cost;
	if (!rpc_conn_broken(c)) {
		f.seq = ++c->event_seq;
		put_frame_locked(c, &f, msg, payload, n_payload);
	}
	pthread_mutex_unlock(&c->tx);
	return rpc_conn_broken(c) ? -EPIPE : 0;
}

void rpc_done(struct rpc_conn *c, uint64_t ticket, int err)
{
	Session__DoneEvt ev = SESSION__DONE_EVT__INIT;

	ev.ticket = ticket;
	ev.err = (uint32_t)err;
	/* broken: told by the pump; its room was the call's */
	(void)put_event(c, FRAME_METHOD(0, 3), &ev.base, NULL, 0, 0);
	notify_unless_pumping(c);
}

uint32_t rpc_event_cost(uint32_t msg_len, uint32_t payload_len)
{
	return frame_ring_len(FRAME_HDR_LEN + msg_len + payload_len);
}

int rpc_event(struct rpc_conn *c, unsigned index, const ProtobufCMessage *msg,
              const struct iovec *payload, int n_payload)
{
	const uint32_t msg_len = (uint32_t)protobuf_c_message_get_packed_size(msg);
	const uint32_t cost = rpc_event_cost(msg_len, total_len(payload, n_payload));

	return put_event(c, FRAME_METHOD(c->ops->service_id, index), msg, payload, n_payload,
	                 cost);
}
