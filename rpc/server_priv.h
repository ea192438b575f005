/* SPDX-License-Identifier: MIT */
/*
 * server_priv.h - what server.c (receive) and server_send.c share.
 *
 * Layer:  rpc, private.
 */
#ifndef RPC_SERVER_PRIV_H
#define RPC_SERVER_PRIV_H

#include "rpc/arena.h"
#include "rpc/server.h"
#include "rpc/trace_write.h"
#include "vchan/vchan.h"

#include <pthread.h>
#include <stdatomic.h>

#define REQ_ARENA_SIZE 32768u

/* A request with all its memory; from the connection's free list. */
struct req_buf {
	struct rpc_req req; /* first: rpc_reply() finds its req_buf by it */
	struct req_buf *next;
	uint64_t mono;      /* when taken, for the trace */
	struct arena arena;
	_Alignas(16) uint8_t arena_buf[REQ_ARENA_SIZE];
	_Alignas(16) uint8_t msg[RPC_MSG_MAX];
	_Alignas(64) uint8_t payload[RPC_PAYLOAD_MAX];
};

struct slot {
	uint32_t seq;           /* last used; loop thread */
	bool used;              /* a call came in it on this connection; loop thread */
	_Atomic bool busy;      /* a call is not answered yet */
};

/*
 * Locking: fields above `tx` belong to the loop's thread; those after it are
 * under tx, or atomic.  free_reqs is under pool_lock, a leaf.
 */
struct rpc_conn {
	struct vchan_end *v;
	const struct rpc_server_ops *ops;
	void *ctx;
	uint32_t domid;
	uint8_t client_id[RPC_CLIENT_ID_LEN];
	bool up;                /* hello was answered */
	bool stamps;
	bool resumed;           /* hello: the guest had an instance before */
	struct journal_entry *journal; /* in the guest's page; NULL: none */
	bool told_broken;
	bool idle;              /* the last pump left the wake-up armed */
	struct req_buf *spare;  /* the one that is used over and over */
	uint32_t n_slots;
	uint32_t post_seq;
	int64_t part;           /* bytes of an incomplete frame at the last look */
	uint32_t credit_max;
	struct slot slots[RPC_SLOTS_MAX];
	void (*on_credit)(struct rpc_conn *, void *);
	_Atomic pthread_t loop; /* the thread in the pump */
	_Atomic bool in_pump;

	pthread_mutex_t tx;
	uint32_t event_seq;     /* under tx */
	uint32_t credit;        /* under tx: event bytes that may be sent */
	_Atomic(const char *) broken; /* why; NULL: fine */
	_Atomic unsigned busy;

	pthread_mutex_t pool_lock;
	struct req_buf *free_reqs;
};

/* Name the rule that the peer broke; the pump reports it once. */
void conn_break(struct rpc_conn *c, const char *why);
/* The instance before noted this call in its journal. */
bool journal_begun(const struct rpc_conn *c, const struct frame *f);
/* Into @to, RPC_REPLY_MSG_MAX bytes: the length, or one that is too long, and then nothing
 * was written. */
size_t reply_pack(const ProtobufCMessage *msg, uint8_t *to);
void req_free(struct rpc_conn *c, struct req_buf *b);
uint64_t mono_ns(void);

#endif /* RPC_SERVER_PRIV_H */
