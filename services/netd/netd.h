/* SPDX-License-Identifier: MIT */
/*
 * netd.h - guests, sockets, and what a stack must provide.
 *
 * A socket is a handle of one guest.  What crosses the channel is handled here
 * and in serve.c, push.c and opts.c, the same for every stack; a stack
 * (struct stack_ops) holds the connection itself.
 *
 * Layer:     services/netd.
 * Ownership: a guest owns its sockets by handle.  A closed socket with work left
 *            (data to send, linger) has guest == NULL and is the stack's to free.
 * Locking:   none; netd has one thread and one event loop.
 * Memory:    malloc, bounded for each guest by SOCKS_MAX, windows and queues.
 * Errors:    0 or negative errno, unless a field says "positive".
 */
#ifndef NETD_NETD_H
#define NETD_NETD_H

#include "net.pb-c.h"
#include "rpc/server.h"
#include "services/netd/naddr.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/uio.h>

/* Indices of the methods in service Net that are events. */
enum { EV_DATA = 9, EV_DGRAM = 10, EV_SPACE = 13, EV_ACCEPTED, EV_CONNECTED, EV_EOF, EV_ERROR };

#define SOCKS_MAX RPC_HANDLES_MAX /* of one guest */
#define RANGES_MAX 256u           /* granted id ranges of one listener */
#define SNDBUF_DEFAULT (512u * 1024)
#define SNDBUF_MIN 4608u
#define SNDBUF_MAX (4u * 1024 * 1024)
#define RCVBUF_MAX (4u * 1024 * 1024)
#define BACKLOG_MAX 4096u
#define DGRAM_MAX 65507u
#define DGRAM_CHARGE 64u    /* charged to rx_limit beside a datagram's bytes */
#define DGRAM_QUEUE_MAX (512u * 1024)
#define LOST_BURST 4096u    /* connections that a guest may call lost, in a second */
#define GROUPS_MAX 20u      /* multicast memberships of one socket */

/* What option numbers mean is in opts.c. */
struct sockopts {
	int reuseaddr, reuseport, keepalive, broadcast, dontroute;
	int linger_on, linger_s;
	int rcvbuf, sndbuf;
	int nodelay, cork, quickack, maxseg, keepidle, keepintvl, keepcnt;
	int defer_accept, user_timeout_ms, syncnt, linger2;
	int v6only, ttl, tos, hops, tclass;
	int mtu_discover, mtu_discover6;
	int mc_ttl, mc_loop, mc_hops6, mc_loop6, mc_if6, mc_if4_index;
	uint8_t mc_if4[4]; /* IP_MULTICAST_IF as an address, mc_if4_index as a number */
};

struct id_range {
	uint32_t first, n;
};

#define PEND_ACCEPTED 1u
#define PEND_CONNECTED 2u
#define PEND_SPACE 4u
#define PEND_DATA 8u
#define PEND_EOF 16u
#define PEND_ERROR 32u
#define PEND_IDS 64u /* a listener: its queue waits for ids (no event) */

struct guest;
struct stack_ops;

struct sock {
	struct guest *guest;          /* NULL: closed, or accepted and not yet named */
	struct sock *hash_next;       /* in guest->table */
	struct sock *ready_next;
	const struct stack_ops *ops;
	uint32_t handle;
	uint8_t domain, type, proto;  /* Linux numbers; proto is never 0 */
	bool named;                   /* in guest->table */
	bool ready;                   /* on the guest's ready list */
	bool bound, listening, connecting, connected;
	bool again;                   /* had its name at an earlier instance */
	bool rx_shut, tx_shut;        /* by the guest */
	bool eof;                     /* FIN received, after rx_got bytes */
	bool gone;                    /* the connection is over; nothing more will come */
	bool corked;                  /* the last post said that more follows */
	uint32_t pend;                /* PEND_* events still owed */
	int err;                      /* positive: for PEND_ERROR */
	bool err_fatal;
	int connect_err;              /* positive: for PEND_CONNECTED */
	struct sockopts opt;
	struct naddr local, peer;

	/* stream offsets, absolute */
	uint64_t rx_got, rx_pushed, rx_limit;
	uint64_t rx_skipped;          /* of rx_pushed, after SHUT_RD: the guest has not seen them */
	uint64_t rx_limit_told;       /* what the guest said; SHUT_RD raises rx_limit alone */
	uint64_t tx_got, tx_acked, tx_limit; /* tx_limit: as told to the guest */

	/* listener */
	uint32_t backlog, n_queue;    /* n_queue: established, without an id yet */
	struct sock *queue, **queue_end;
	struct sock *queue_next;
	struct sock *listener;        /* on its queue */
	uint32_t accepted_by;         /* its handle, for PEND_ACCEPTED */
	struct id_range ranges[8];
	struct id_range *more_ranges; /* malloc, when ranges[] is full */
	unsigned n_ranges;
	uint64_t accept_limit;        /* rx_limit of accepted ones */

	/* SO_LINGER: the close call to answer */
	struct rpc_req *linger;
	uint64_t linger_until;        /* ms */
	struct sock *linger_next, **linger_prev;

	struct naddr groups[GROUPS_MAX]; /* scope: interface index */
	unsigned n_groups;

	/* a move to another netd (move.h) */
	uint32_t move_id;
	struct guest *lingered_by;    /* after one: its close() call comes again */
};

struct guest {
	struct guest *next;
	struct rpc_conn *conn;
	uint32_t domid;
	char name[64];
	struct sock **table;
	uint32_t n_buckets, n_socks;
	struct sock *ready, **ready_end;
	bool runnable;            /* frames may be waiting */
	bool broken;              /* drop it at the end of this turn */
	bool leaving;             /* the platform says that it is gone */
	uint64_t n_frames;
	uint8_t client_id[RPC_CLIENT_ID_LEN];
	uint32_t move_index;
	bool moved;               /* it comes from another netd */
	bool back;                /* it has all again that another netd had; the supervisor knows */
	bool gone_later;          /* the platform says that it is gone, while we stand still */
	uint32_t lost_said;       /* of LOST_BURST, since lost_ms */
	uint64_t lost_ms;
};

/* A datagram on its way to a guest or to the network. */
struct dgram {
	struct naddr peer, local;
	uint32_t ttl, tos, ifindex;
	struct iovec io[8];
	int n_io;
	uint32_t len;
};

struct stack_ops {
	const char *name;
	bool kernel_opts; /* options go to opt_set() and opt_get() first, the table after */
	size_t sock_size; /* of the stack's struct, which begins with struct sock */
	int (*open)(struct sock *s);
	int (*bind)(struct sock *s, const struct naddr *a);
	int (*listen)(struct sock *s);
	/* -EINPROGRESS: PEND_CONNECTED will follow.  0: done (datagrams). */
	int (*connect)(struct sock *s, const struct naddr *a);
	/* The association is gone, or the connection, which is reset; a listener stops.
	 * A port that bind() named stays. */
	int (*disconnect)(struct sock *s);
	/* Stream data within tx_limit: always taken. */
	void (*send)(struct sock *s, const void *data, uint32_t len, bool more);
	int (*send_dgram)(struct sock *s, const struct dgram *d);
	/* Stream data that may be pushed: at most @max bytes in io[0 .. *n_io);
	 * returns their number.  rx_take() then consumes exactly these. */
	uint32_t (*rx_peek)(struct sock *s, uint32_t max, struct iovec *io, int *n_io);
	void (*rx_take)(struct sock *s, uint32_t n);
	/* The oldest datagram: 1, or 0 for none.  dgram_take() consumes it. */
	int (*dgram_peek)(struct sock *s, struct dgram *d);
	void (*dgram_take)(struct sock *s);
	void (*rx_window)(struct sock *s);         /* rx_limit has grown */
	int (*shutdown)(struct sock *s, int how);
	/* The guest lets go: takes @s.  Frees it, at once or when its work is done
	 * (sock_closed() before that, if s->linger). */
	void (*close)(struct sock *s, bool abort);
	/* An option of opts.c changed in s->opt.  Negative errno: it is put back. */
	int (*opt_changed)(struct sock *s, int level, int name);
	/* With kernel_opts only. */
	int (*opt_set)(struct sock *s, int level, int name, const void *val, uint32_t len);
	/* What the stack knows better than struct sockopts; else -ENOPROTOOPT. */
	int (*opt_get)(struct sock *s, int level, int name, void *val, uint32_t *len);
	int (*group)(struct sock *s, const struct naddr *g, uint32_t ifindex, bool join);
	int (*info)(Net__InfoRep *rep);
	/* A connection that an instance before us had: see that its peer hears of the end.
	 * NULL: somebody else does. */
	void (*lost)(const struct naddr *local, const struct naddr *peer);
	/* Ids are there again: take more connections (may be NULL). */
	void (*accept_more)(struct sock *listener);
};
#define RX_IOV_MAX 64

/* ---- guest.c ---- */
struct guest *guest_new(struct rpc_conn *conn, uint32_t domid, const char *name);
void guest_free(struct guest *g); /* closes all its sockets, as Linux at exit */
struct sock *guest_sock(const struct guest *g, uint32_t handle);
int guest_name_sock(struct guest *g, struct sock *s, uint32_t handle); /* -EEXIST, -ENFILE */
/* The guest broke a rule: says so and drops the channel at the end of the turn. */
void guest_break(struct guest *g, const char *why);

struct sock *sock_new(const struct stack_ops *ops, int domain, int type, int proto);
void sock_forget(struct sock *s); /* out of its guest's table and lists */
void sock_free(struct sock *s);   /* forget and free the memory */
void sock_close(struct sock *s, bool abort);
void sock_closed(struct sock *s); /* a lingering close is complete */
/* A stream as new, for another connection; its offsets go on from what the guest
 * knows. */
void sock_reset(struct sock *s);

/* Called by stacks. */
void sock_ready(struct sock *s, uint32_t pend);
void sock_error(struct sock *s, int err, bool fatal);
void sock_connected(struct sock *s, int err);
void sock_acked(struct sock *s, uint64_t n); /* @n more bytes left for good */
void sock_queue_accept(struct sock *listener, struct sock *s);

/* ---- push.c ---- */
void push_guest(struct guest *g);
/* Give ids to queued connections of a listener. */
void push_accepts(struct sock *listener);
bool wire_to_naddr(const Net__Addr *w, const struct sock *s, struct naddr *a);
/* Fill @w, using @buf for the bytes; IPv4 is mapped on an AF_INET6 socket. */
void naddr_to_wire(const struct naddr *a, const struct sock *s, Net__Addr *w, uint8_t buf[16]);

/* ---- linger (guest.c), opts.c, serve.c ---- */
/* Keep close call @req until @s is gone, or @ms have passed (EWOULDBLOCK). */
void linger_add(struct sock *s, struct rpc_req *req, uint32_t ms);
/* The netd before us kept that call, and @s (closed) came from it: the guest will call
 * again. */
void linger_expect(struct sock *s, struct guest *g, uint32_t handle, uint32_t ms);
/* It did: true if the answer waits still; takes @req then. */
bool linger_again(const struct guest *g, uint32_t handle, struct rpc_req *req);
void linger_drop(const struct rpc_conn *conn); /* answer those of a guest that goes */
uint64_t linger_deadline(void);
void linger_run(uint64_t now_ms);
void opts_init(struct sockopts *o);
int opts_set(struct sock *s, int level, int name, const void *val, uint32_t len);
/* *len: room, then bytes written. */
int opts_get(struct sock *s, int level, int name, void *val, uint32_t *len);
ProtobufCService *serve_service(void);
void serve_config(const struct stack_ops *ops, uint32_t port_min);

#endif /* NETD_NETD_H */
