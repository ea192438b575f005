/* SPDX-License-Identifier: MIT */
/*
 * fault.h - points at which tests make a service die, hang or dawdle.
 *
 * Built in only with STRAIT_FAULTS defined, which the services of tests/faults alone
 * have; elsewhere nothing is left of it.  The environment says what is to happen:
 *
 *     STRAIT_FAULT=SERVICE:POINT:N[:ACTION][:each],...
 *
 * SERVICE is file or net; POINT is one of enum fault_point's words; N counts from 1
 * the times that this process comes by it, N+M is the Nth time and each Mth after it.
 * ACTION is kill (end at once, nothing is cleaned up; the default), hang (this thread
 * goes no further), delay (10 ms), cut (the guest's channel is closed, as if it had
 * broken a rule) or dead (the ring is marked dead, and the service does not know).  It
 * strikes in the first instance (epoch 1), with "each" in every one.
 *
 * Layer:   rpc, private to the service's half.
 * Locking: thread-safe.
 */
#ifndef RPC_FAULT_H
#define RPC_FAULT_H

#include "rpc/server.h"

enum fault_point {
	FAULT_BEFORE, /* "before": a frame was taken, not yet served */
	FAULT_REPLY,  /* "reply": it was served, its reply not yet written */
	FAULT_AFTER,  /* "after": its reply can be read */
	FAULT_INTENT, /* "intent": the journal says that a change is about to be made */
	FAULT_DONE,   /* "done": the change was made, the journal does not say so yet */
	N_FAULT_POINTS
};

#ifdef STRAIT_FAULTS
void rpc_fault(enum fault_point p, struct rpc_conn *c);
#else
static inline void rpc_fault(enum fault_point p, struct rpc_conn *c)
{
	(void)p;
	(void)c;
}
#endif

#endif /* RPC_FAULT_H */
