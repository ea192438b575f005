/* SPDX-License-Identifier: MIT */
/*
 * guest_priv.h - the guest's channel: shared by guest.c (calls), guest_ring.c
 * (the ring) and guest_read.c (replies, events).
 *
 * Layer:  rpc, private, freestanding.
 */
#ifndef RPC_GUEST_PRIV_H
#define RPC_GUEST_PRIV_H

#include "platform/lock.h"
#include "rpc/guest.h"
#include "rpc/journal.h"
#include "vchan/wire.h"

#include <stdatomic.h>

/* A thread that waits for a slot, reply room or ring room. */
struct slot_waiter {
	struct slot_waiter *next;
	void *thread;
};

/* A thread that waits for room in the left ring. */
struct tx_waiter {
	struct tx_waiter *next;
	void *thread;
	uint32_t at; /* the service's index at which there is room */
};

/*
 * Locking: tx guards tx_*; slots_lock guards the slot fields and waiters; rx_*
 * belong to the leading thread.  Order: none is held while another is taken, but
 * for recovery, which holds the lead, then tx, then slots_lock.
 */
struct rpc_chan {
	ProtobufCService service; /* first: stubs get it */
	const struct rpc_chan_ops *ops;
	struct vchan_wire *ctl;
	uint8_t *left, *right;
	uint32_t size;            /* of each ring */
	unsigned id;
	_Atomic uint32_t state;   /* CHAN_* */
	uint32_t n_slots, post_room, event_credit;
	_Atomic bool stamps;
	bool recovers;            /* the session may go on with another instance */
	uint16_t own_slot;        /* of the recovery thread, nobody else's */
	_Atomic uint32_t epoch;   /* of the instance that answered hello last */
	uint64_t verifier;
	void *_Atomic restorer;   /* the recovery thread while it works */
	struct kept *kept;        /* its memory (guest_recover.c) */
	_Atomic uint32_t resend;  /* calls of CALL_BEGUN that are not answered yet */

	struct lock tx;
	uint32_t tx_prod;         /* our index; never read back */
	uint32_t tx_post_seq;
	_Atomic uint32_t credit_due; /* event bytes read, not yet returned */

	struct lock slots_lock;
	uint64_t free_slots;
	uint32_t room;            /* reply bytes not yet promised */
	uint32_t seq[RPC_SLOTS_MAX];
	uint64_t wake[RPC_SLOTS_MAX];
	struct rpc_call *calls[RPC_SLOTS_MAX];
	struct slot_waiter *waiters;
	_Atomic(struct tx_waiter *) full; /* written under slots_lock */

	uint32_t srv_cpu;         /* CPU + 1 where the service was last seen; the leader's */
	uint32_t rx_cons;
	uint32_t rx_event_seq;
	uint32_t rx_payload_off, rx_payload_left; /* of the event being handled */
};

#define CHAN_OFF 0u
#define CHAN_HELLO 1u /* only hello may be sent */
#define CHAN_UP 2u
#define CHAN_LOST 3u
/* Another instance is to come (guest_recover.c):
 *     UP -> AWAY -> RESTORE -> RESEND -> UP;  back to AWAY when that one leaves, too */
#define CHAN_AWAY 4u
#define CHAN_RESTORE 5u /* only the recovery thread may send */
#define CHAN_RESEND 6u  /* and calls of CALL_BEGUN */

/* rpc_call.again */
#define CALL_BEGUN 1u /* the old instance noted it in its journal: before all new ones */
#define CALL_LATER 2u /* not noted, or not sent: as good as new */

#define RESTORE_ROOM 4096u /* reply room of the recovery thread's one call */

/* ---- guest_ring.c ---- */

/* What to send; the header's len, msg_len and payload_len are computed. */
struct tx_frame {
	struct frame hdr;
	const ProtobufCMessage *msg;
	rpc_move_fn *source;
	void *source_arg;
	uint32_t source_len;
	struct rpc_call *call; /* of a CALL */
	bool resend;           /* its thread does what call->again asks for */
	const uint8_t *packed; /* instead of msg: n_packed bytes */
	uint32_t n_packed;
};
/* Send one frame, waiting for ring room: 0, -EIO (lost), -EFAULT, -EMSGSIZE.  A call
 * is left for later when the service is away (0; call->again), a post waits. */
int tx_send(struct rpc_chan *ch, struct tx_frame *t);
/* Return event credit by a frame of its own if much is due and there is room. */
void tx_credit(struct rpc_chan *ch);
/* Wake those who wait for ring room that is there now, or all of them. */
void tx_wake(struct rpc_chan *ch, bool all);

/* ---- guest.c ---- */
/* How long somebody waits for a service; starts as zeroes. */
struct patience {
	uint64_t since;
	uint64_t beat_at; /* when the service's heartbeat was seen to move */
	uint32_t beat;    /* its count then */
	bool said; /* that the service hangs */
};
/* Sleep once in a wait for the service, @ns at most; may return early.  Looks for
 * the service's heartbeat from the second turn on.  Does not return when a signal
 * ends the guest and the service is silent. */
void wait_turn(struct rpc_chan *ch, struct patience *p, uint64_t ns);
void slots_wake(struct rpc_chan *ch); /* somebody may find a slot or room now */
/* Wait until something about the channel changes, or a while. */
void wait_news(struct rpc_chan *ch, struct patience *p);
int say_hello(struct rpc_chan *ch, struct rpc_restore *r); /* @r may be NULL */
/* A call of the session's own. */
int session_call(struct rpc_chan *ch, unsigned index, const ProtobufCMessage *msg,
                 struct rpc_call *call);
/* A call of CALL_BEGUN has its answer; before it is told. */
void call_counted(struct rpc_chan *ch, struct rpc_call *call);
/* Wake all who wait for a reply. */
void calls_wake(struct rpc_chan *ch);
/* The channel is unusable: say why once, end all calls with -EIO. */
void chan_lose(struct rpc_chan *ch, const char *why);

/* The service is gone: wait for its next instance if there may be one, else lose the
 * channel.  Under the lead. */
void chan_gone(struct rpc_chan *ch);

/* ---- guest_read.c ---- */
int chan_poll(struct rpc_chan *ch);
/* What is left in the right ring of a service that is gone.  Under the lead. */
void chan_drain(struct rpc_chan *ch);

/* Frames cross now. */
static inline bool chan_live(const struct rpc_chan *ch)
{
	const uint32_t s = atomic_load_explicit(&ch->state, memory_order_acquire);

	return s == CHAN_HELLO || s == CHAN_UP || s == CHAN_RESTORE || s == CHAN_RESEND;
}

/* The calling thread may send; @again: CALL_* of its call. */
static inline bool chan_open(const struct rpc_chan *ch, uint32_t again)
{
	const uint32_t s = atomic_load_explicit(&ch->state, memory_order_acquire);

	if (s == CHAN_UP || s == CHAN_HELLO)
		return true;
	if (s == CHAN_RESEND && again == CALL_BEGUN)
		return true;
	return (s == CHAN_RESTORE || s == CHAN_RESEND) && ch->restorer == rpc_current();
}

static inline struct rpc_chan *chan_of(ProtobufCService *s)
{
	return (struct rpc_chan *)(void *)s;
}

#endif /* RPC_GUEST_PRIV_H */
