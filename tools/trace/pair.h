/* SPDX-License-Identifier: MIT */
/*
 * pair.h - calls and their replies brought together.
 *
 * A session is a guest and a channel (domid, service).  A reply belongs to the call
 * in its slot with its sequence number.  How long the guest took to pick a reply up
 * is told by the next call in the slot, so a call is reported twice: answered() when
 * its reply came, settled() when all that the trace tells about it is known.
 *
 *     enqueue (guest)      dequeue            reply put          taken (guest)
 *     call.stamp           call.pre.mono      reply.pre.mono     next call.wake
 *        |---- queue ---------|---- service -----|---- wake ---------|
 *        |---- total (as far as it is known) ------------------------|
 *
 * Layer:     tools.
 * Ownership: what a callback is given lives until it returns.
 */
#ifndef TOOLS_TRACE_PAIR_H
#define TOOLS_TRACE_PAIR_H

#include "tools/trace/paths.h"
#include "tools/trace/record.h"

#include <stdbool.h>

#define PAIR_UNKNOWN UINT64_MAX /* a time that the trace does not tell */
#define PAIR_PAYLOAD_KEPT 4096u /* of a call's payload, for who prints it */
#define PAIR_WAITING_MAX 4096u  /* queued calls of a session, not done yet */

struct pair_session {
	uint32_t domid;
	uint8_t service;
	unsigned index; /* counts from 0, in order of appearance */
	unsigned in_flight, most_in_flight;
};

struct pair_call {
	const struct pair_session *session;
	const struct record *call;
	const struct record *reply;           /* NULL: not in the trace */
	const ProtobufCMessage *args;         /* NULL: does not decode */
	const char *about[N_ABOUT];           /* paths or addresses */
	uint64_t queue, service, wake, total; /* ns, or PAIR_UNKNOWN */
};

/* A post, an event, or a reply whose call is not in the trace. */
struct pair_lone {
	const struct pair_session *session;
	const struct record *r;
	const ProtobufCMessage *args;
	const char *about[N_ABOUT];
	uint64_t queue; /* of a post: ns, or PAIR_UNKNOWN */
	/* An event that completes a queued call: that call. */
	bool done;
	uint16_t done_method;
	uint64_t done_waited; /* ns from the call's arrival at the service */
	const char *done_about;
};

struct pair_ops {
	void (*answered)(void *ctx, const struct pair_call *c); /* wake not known yet */
	void (*settled)(void *ctx, const struct pair_call *c);
	void (*lone)(void *ctx, const struct pair_lone *l);
};

struct pair {
	const struct pair_ops *ops; /* each may be NULL */
	void *ctx;
	void *sessions;       /* tsearch tree */
	void *last;           /* session of the frame before */
	void *first, *newest; /* sessions in order of appearance */
	unsigned n_sessions;
};

void pair_init(struct pair *p, const struct pair_ops *ops, void *ctx);
/* Feed one record, in the file's order.  NULL, or what is wrong with it. */
const char *pair_feed(struct pair *p, const struct record *r)
        __attribute__((warn_unused_result));
/* The trace is over: settle what is open. */
void pair_end(struct pair *p);
void pair_fini(struct pair *p);

#endif /* TOOLS_TRACE_PAIR_H */
