/* SPDX-License-Identifier: MIT */
/*
 * server.h - the service's side of a channel: read frames, dispatch, answer.
 *
 * One struct rpc_conn a guest.  The service's event loop calls rpc_conn_pump()
 * when the channel's descriptor is readable; each complete frame is copied,
 * checked, decoded into an arena and handed to the protobuf-c service.  A
 * handler answers at once, or keeps the struct rpc_req and answers later from
 * any thread.  A broken frame or ring closes that channel alone: on_broken().
 *
 * Layer:     rpc.  Includes protobuf-c, vchan.
 * Ownership: see each function.
 * Locking:   rpc_conn_pump() and rpc_event_credit() on the loop's thread, as is
 *            rpc_event() where that was asked; rpc_reply*() and rpc_event() on any.
 * Memory:    one allocation a connection; requests come from a pool of n_slots.
 */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include "rpc/frame.h"
#include "rpc/journal.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <sys/uio.h>

struct rpc_conn;
struct vchan_end;

/* A call or a post being served.  For a post, rpc_reply() does nothing. */
struct rpc_req {
	struct rpc_conn *conn;
	struct frame hdr;          /* checked */
	const uint8_t *payload;    /* hdr.payload_len bytes, private copy; until the answer */
	const ProtobufCMessage *msg; /* decoded; valid until the answer */
	bool answered;
	uint64_t taken;            /* CLOCK_MONOTONIC ns when read; 0 when not traced */
};

struct rpc_server_ops {
	ProtobufCService *service; /* generated; closure_data of each method is struct rpc_req * */
	uint8_t service_id;        /* RPC_SERVICE_FILE or RPC_SERVICE_NET */
	/* A handler that is done calls the generated closure or rpc_reply(). */
	void (*on_hello)(struct rpc_conn *, void *ctx); /* session is up; may send events */
	/* The guest asks to cancel @ticket: 1 cancelled, 0 it was done before with *err. */
	int (*on_cancel)(struct rpc_conn *, uint64_t ticket, uint32_t *err);
	/* The peer broke a rule (@why names it) or left; called once, from the pump.
	 * All calls kept by handlers must still be answered (answers are dropped). */
	void (*on_broken)(struct rpc_conn *, const char *why);
	/* May be NULL.  True: a new instance waits for its guests to recover; this call
	 * stays in the ring until rpc_conn_pump() is called again.  Not asked for the
	 * session's own methods, and for calls that the instance before had begun: they
	 * come before all others. */
	bool (*hold)(struct rpc_conn *, const struct frame *);
	/* May be NULL.  The guest of a resumed connection has all back (Recovered). */
	void (*on_recovered)(struct rpc_conn *, void *ctx);
	/* May be NULL.  True: the instance before handed over this session's state. */
	bool (*moved)(struct rpc_conn *, void *ctx);
	uint64_t features;         /* RPC_FEATURE_* of this service alone */
	uint32_t n_slots;          /* granted at most */
	uint32_t post_room;        /* HelloRep.post_room */
	uint32_t epoch;
	uint64_t write_verifier;
};

/* Make a connection on an established vchan end; takes @end (closes it at the end).
 * @client_id: 16 bytes that hello must present.  NULL with errno on failure. */
struct rpc_conn *rpc_conn_new(struct vchan_end *end, const struct rpc_server_ops *ops,
                              const uint8_t client_id[16], uint32_t domid, void *ctx)
	__attribute__((warn_unused_result));

/* Free it.  No rpc_req may be outstanding (rpc_conn_busy() == 0). */
void rpc_conn_free(struct rpc_conn *c);
void *rpc_conn_ctx(const struct rpc_conn *c);
uint32_t rpc_conn_domid(const struct rpc_conn *c);
unsigned rpc_conn_busy(const struct rpc_conn *c); /* calls not yet answered */
bool rpc_conn_broken(const struct rpc_conn *c);
int rpc_conn_fd(const struct rpc_conn *c);        /* poll for reading */

/* rpc_conn_fd() was ready: take that back, so that the next event is seen. */
void rpc_conn_ack(struct rpc_conn *c);

/* Serve up to @max frames.  Returns the number served; 0: nothing left and the
 * wake-up is armed (looked again after arming): wait on rpc_conn_fd(). */
int rpc_conn_pump(struct rpc_conn *c, int max);

/* True if the last rpc_conn_pump() served all there was, armed the wake-up and
 * looked again: another pump before rpc_conn_fd() is ready would find nothing. */
bool rpc_conn_idle(const struct rpc_conn *c);

/* Breathe: guests tell a hung service from a slow one by it.  Call it for each
 * connection at least once a second while rpc_conn_busy(). */
void rpc_conn_beat(struct rpc_conn *c);

/* Spend a bounded while looking for more, when the guest runs on another CPU.
 * Returns true if a frame is there. */
bool rpc_conn_spin(struct rpc_conn *c);

/* Let others run on this CPU, foremost the guest that was just woken on it, with the
 * wake-up disarmed.  Returns true if a frame is there; else it is armed again. */
bool rpc_conn_lend(struct rpc_conn *c);

/* The guest had a session with an instance before this one. */
bool rpc_conn_resumed(const struct rpc_conn *c);
/* This call was in flight then: it may have been done, in part or whole.  One of which
 * the journal knows nothing was not begun. */
bool rpc_req_replay(const struct rpc_req *req);

/* The journal: see rpc/journal.h.  For calls only; no-ops where the session has none.
 * Intent, before the change: @kind and @a to @c are the service's own, kept as they
 * are by done. */
void rpc_journal_intent(const struct rpc_req *req, uint32_t kind, uint64_t a, uint64_t b,
                        uint64_t c);
/* The change was made, or failed for good (@err): before the answer. */
void rpc_journal_done(const struct rpc_req *req, int err, uint64_t d);
/* What the instance before noted of a call that is sent again: a private copy; the
 * guest's claim.  False: nothing; the call was not begun. */
bool rpc_journal_get(const struct rpc_req *req, struct journal_entry *out);

/* Answer @req with @err (0 or errno), @msg (may be NULL: empty) and payload.
 * Thread-safe.  @req is invalid afterwards. */
void rpc_reply(struct rpc_req *req, int err, const ProtobufCMessage *msg,
               const struct iovec *payload, int n_payload);

/* As rpc_reply() with payload written by the caller straight into the ring:
 * rpc_reply_room() lends room for @cap bytes in one or two pieces (returns their
 * number, holding the connection's send lock: be short, never block), then
 * rpc_reply_commit() answers with @len <= @cap of them (or err and 0). */
int rpc_reply_room(struct rpc_req *req, uint32_t cap, struct iovec out[2]);
void rpc_reply_commit(struct rpc_req *req, int err, uint32_t len);
/* Give the room back: @req is not answered yet. */
void rpc_reply_abort(struct rpc_req *req);

/* Answer "queued": the call completes by rpc_done(ticket). */
void rpc_reply_queued(struct rpc_req *req, const ProtobufCMessage *msg);
/* Complete a queued call.  Credit for it was reserved by the queued reply. */
void rpc_done(struct rpc_conn *c, uint64_t ticket, int err);

/* Bytes of event credit left: an event of msg and payload needs
 * rpc_event_cost(msg_len, payload_len) of it. */
uint32_t rpc_event_credit(const struct rpc_conn *c);
uint32_t rpc_event_cost(uint32_t msg_len, uint32_t payload_len);

/* Send an event (method index of this service).  Returns 0, or -EAGAIN when
 * credit is short: send it again after on_credit. Payload is copied. */
int rpc_event(struct rpc_conn *c, unsigned index, const ProtobufCMessage *msg,
              const struct iovec *payload, int n_payload)
	__attribute__((warn_unused_result));

/* Called from the pump whenever credit came back. */
void rpc_conn_on_credit(struct rpc_conn *c, void (*fn)(struct rpc_conn *, void *ctx));

/* Publish what was written and wake the guest if it sleeps.  rpc_reply() from
 * inside the pump and rpc_event() only mark: the pump flushes at its end; others
 * call this. */
bool rpc_conn_flush(struct rpc_conn *c); /* true: it slept */

/* Trace every frame of every connection of this process to @fd (pcapng, O_APPEND).
 * @clock_ahead: ns from CLOCK_MONOTONIC here to the guests' clock. */
void rpc_trace_start(int fd, bool with_payload, int64_t clock_ahead);

#endif /* RPC_SERVER_H */
