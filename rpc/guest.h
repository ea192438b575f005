/* SPDX-License-Identifier: MIT */
/*
 * guest.h - the guest's side of a channel: calls, posts, events.
 *
 * Many calls in flight; replies in any order.  Whichever thread leads reads the
 * rings for all (rpc_guest_poll(), from thread_park()).  A call is made through
 * the generated protobuf-c stubs:
 *
 *     struct rpc_call call;
 *     File__PathReq req = FILE__PATH_REQ__INIT;
 *     rpc_call_init(&call);
 *     file__file__stat(rpc_service(&g_file_chan), &req, rpc_reply_taken, &call);
 *     if (call.err) return call.err;                  // negative errno
 *     const File__AttrRep *rep = (const File__AttrRep *)call.reply;
 *
 * Layer:     rpc (freestanding).  Includes protobuf-c, platform.h, vchan.
 * Ownership: a struct rpc_call lives on its caller's stack until the call ends.
 * Locking:   thread-safe.  No lock may be held by the caller, but a position lock.
 * Memory:    no malloc; replies are decoded in the call's own arena.
 */
#ifndef RPC_GUEST_H
#define RPC_GUEST_H

#include "platform/platform.h"
#include "rpc/arena.h"
#include "rpc/frame.h"

#include <protobuf-c/protobuf-c.h>

struct rpc_chan;

/* Move payload between ring memory and wherever it belongs (program memory
 * through user.h, socket buffers).  Called once or twice in a row, front to back.
 * A source is also called with @ring NULL: @n bytes that it gave are wanted again.
 * Returns 0, or -EFAULT: the call then fails so. */
typedef int rpc_move_fn(void *arg, void *ring, size_t n);

struct rpc_call {
	/* set by the caller after rpc_call_init() */
	rpc_move_fn *source;   /* writes @n payload bytes into ring memory */
	void *source_arg;
	uint32_t source_len;   /* <= RPC_PAYLOAD_MAX */
	rpc_move_fn *sink;     /* takes @n reply payload bytes out of ring memory */
	void *sink_arg;
	uint32_t sink_cap;     /* room promised for the reply's payload */
	bool urgent;           /* may use the reserved slots: unlock, close, cancel */
	/* NULL, or told of the service's answer (err, queued and payload_len are set) on
	 * the leading thread, as events, in the order in which the service answered. */
	void (*answered)(struct rpc_call *call);
	void *answered_arg;
	/* results */
	int err;               /* 0 or negative errno: service's, -EFAULT, -EIO (channel) */
	const ProtobufCMessage *reply; /* decoded, in the call's arena; NULL on error */
	uint32_t payload_len;  /* bytes given to sink */
	bool queued;           /* completes by event Done */
	uint32_t epoch;        /* of the instance that answered */
	/* private */
	_Atomic uint32_t done;
	_Atomic uint32_t again; /* CALL_*: to be sent when the service is back */
	void *waiter;
	const ProtobufCMessage *input;
	uint32_t reserved;     /* ring bytes promised for the reply */
	uint16_t method, slot, msg_len;
	bool sent;             /* its source has moved: to be taken back */
	bool begun;            /* it was in a ring: REPLAY from then on */
	bool counted;          /* in the channel's `resend` */
	uint8_t msg[RPC_REPLY_MSG_MAX];
	struct arena arena;
	_Alignas(16) uint8_t arena_buf[2048];
};

void rpc_call_init(struct rpc_call *c);

/* The stub's object for a channel; its invoke() sends, waits and decodes.  The
 * closure data must be a struct rpc_call. */
ProtobufCService *rpc_service(struct rpc_chan *ch);
/* The closure to give to every stub. */
void rpc_reply_taken(const ProtobufCMessage *reply, void *data);

/* The two halves of a call, for one thread with several in flight.  Start takes a
 * slot and sends: 0; -EAGAIN when no slot or reply room is free (finish one first:
 * start never waits for another of the caller's own); -EIO, -EFAULT, -EMSGSIZE.
 * Every started call must be finished, in any order, by the same thread; until then
 * @msg stays: it may have to be sent again.
 * @index: of the method in the service. */
int rpc_call_start(struct rpc_chan *ch, unsigned index, const ProtobufCMessage *msg,
                   struct rpc_call *call) __attribute__((warn_unused_result));
/* Wait for the answer; then call->err, reply and payload_len are set. */
void rpc_call_finish(struct rpc_chan *ch, unsigned index, struct rpc_call *call);
/* The null call: 0 or negative errno. */
int rpc_ping(struct rpc_chan *ch);

/* Send without a reply, waiting for ring room if need be: 0 or -EIO (channel gone),
 * -EFAULT (source).  @index: of the method in the service. */
int rpc_post(struct rpc_chan *ch, unsigned index, const ProtobufCMessage *msg,
             rpc_move_fn *source, void *arg, uint32_t len);

/* Cancel a queued call: 1 cancelled, 0 done before (*err negative errno or 0). */
int rpc_cancel(struct rpc_chan *ch, uint64_t ticket, int *err);

/* An event of the service: @move takes payload front to back, at most
 * hdr->payload_len bytes in all; what is not taken is dropped.  Runs on the
 * leading thread: must not block, park, or call. */
struct rpc_event {
	unsigned index;             /* method index */
	const uint8_t *msg;         /* private copy, hdr msg_len bytes */
	uint32_t msg_len;
	uint32_t payload_len;
	struct rpc_chan *chan;
	const char *bad; /* set it to the rule that the service broke: the channel is lost */
};
/* Take the next @n payload bytes of the event being handled. */
void rpc_event_take(struct rpc_event *ev, void *to, uint32_t n);

struct rpc_restore {
	uint32_t epoch;        /* of the new instance */
	uint64_t verifier;     /* HelloRep.write_verifier */
	bool verifier_changed; /* what was not synced may be lost */
	bool moved;            /* the old instance handed all state over: handles are good */
	uint64_t features;     /* RPC_FEATURE_* that both sides have */
};

struct rpc_chan_ops {
	uint8_t service_id;
	const ProtobufCServiceDescriptor *service;
	void (*on_event)(struct rpc_event *ev);
	void (*on_done)(uint64_t ticket, int err);  /* event Session.Done; negative errno */
	void (*on_lost)(void);                       /* the channel broke or the service left */
	/* What follows may be NULL; without on_restore a service that leaves is lost. */
	/* The service left and may come back.  On the leading thread, as events. */
	void (*on_away)(void);
	/* A new instance answered hello: make there again what this guest has open.  On
	 * the recovery thread; it may call and post, nobody else can meanwhile.  Threads
	 * that wait in calls keep what locks they hold: take none that is held across a
	 * call.  0, or a negative errno: the channel is lost. */
	int (*on_restore)(const struct rpc_restore *);
};

/* The two channels of a guest. */
extern struct rpc_chan g_file_chan, g_net_chan;

/* Attach: say hello.  0, -EPROTO (no common version), -EIO. */
int rpc_attach(struct rpc_chan *ch, const struct plat_channel *pc,
               const struct rpc_chan_ops *ops);
/* Calls may be made; they wait while the service is away. */
bool rpc_up(const struct rpc_chan *ch);
uint32_t rpc_post_room(const struct rpc_chan *ch);
/* Tell the service that no more will come (guest exit). */
void rpc_detach(struct rpc_chan *ch);

/* Read every complete frame of all channels; the caller leads.  Returns the
 * number of frames; 0: nothing there. */
int rpc_guest_poll(void);
/* Ask both services for wake-ups / withdraw that.  After arming poll again. */
void rpc_guest_arm(void);
void rpc_guest_disarm(void);
/* True if some service that is attached runs on another CPU, or ran there when it was
 * last seen (worth spinning).  The caller leads. */
bool rpc_guest_peer_runs(void);

/* Wake every thread that waits for a reply: each looks whether its service hangs. */
void rpc_guest_nudge(void);

/* The body of the recovery thread, once rpc_recover_start() was called for a channel:
 * waits for the service's next instance, restores the session.  Returns when the
 * channel is up or lost. */
void rpc_recover(struct rpc_chan *ch);
/* Get the memory for that, of an attached channel; else it is asked for then. */
int rpc_recover_prepare(struct rpc_chan *ch);

/* ---- libos provides ---- */
/* The service left: let another thread call rpc_recover().  Called by the leader:
 * does not block.  0 or a negative errno.  May be absent: such a channel is lost. */
int rpc_recover_start(struct rpc_chan *ch);
/* Keep everybody else from the rings for a moment. */
void rpc_lead_take(void);
void rpc_lead_drop(void);
/* What a user who asked for it (log=channel) wants to know. */
void rpc_note(const char *channel, const char *what);
void *rpc_current(void);      /* the calling thread */
void rpc_wait(uint64_t deadline); /* sleep until rpc_wake() or the deadline (plat_mono_ns);
                                     may return early; leads the rings; not interruptible */
void rpc_wake(void *thread);
/* True: another thread calls rpc_guest_nudge() about once a second, from now on.
 * May be absent. */
bool rpc_watched(void);
void rpc_log(const char *channel, const char *why); /* a channel broke: loud */
/* The calling thread waits for a service that shows no sign of life for seconds.
 * Called again and again meanwhile; does not return when a signal ends the guest.
 * The thread may hold the position lock of an ofd or the lock of the mapped files. */
void rpc_silent(const char *channel);

#endif /* RPC_GUEST_H */
