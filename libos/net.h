/* SPDX-License-Identifier: MIT */
/*
 * net.h - the net client: AF_INET and AF_INET6 sockets that netd serves.
 *
 * Received data, accepted connections and readiness come as events into guest
 * memory; poll and most receives are answered from there.  Sends are posted
 * within the limit that netd gave.  Shared by net*.c.
 *
 * Layer:   libos, private to net*.c (net_init() apart).
 * Locking: g_net_lock (table of handles; held while an event is handled, so a
 *          socket named by an event cannot go away) -> ns->lock -> leaf locks.
 *          Stream data: the leader appends at `tail`, one reader at a time
 *          (rlock) takes from `head`; they meet only in atomics.
 * Memory:  sockets, datagrams and data blocks come from pools with limits.
 */
#ifndef LIBOS_NET_H
#define LIBOS_NET_H

#include "libos/pool.h"
#include "libos/socket.h"
#include "net.pb-c.h"
#include "rpc/guest.h"

#include <errno.h>
#include <stdatomic.h>

#define NET_SOCKS_MAX 65536u
#define NET_BLOCK_SIZE 8192u
#define NET_BLOCKS_MAX 32768u /* 256 MiB: what all windows together may promise */
#define NET_DGRAMS_MAX 65536u
#define NET_OPTS_MAX 131072u /* options set, of all sockets */
#define NET_WND_MIN (32u * 1024)
#define NET_WND_MAX (1024u * 1024)
#define NET_WND_FIRST (2 * NET_WND_MIN) /* of a stream */
#define NET_PIECE RPC_BULK_PIECE /* a send gives way after this */

struct block {
	_Atomic(struct block *) next;
	_Atomic uint32_t fill; /* bytes written by the leader */
	uint32_t off;          /* bytes taken by the reader */
	uint8_t data[NET_BLOCK_SIZE - 16];
};

struct net_addr {
	uint8_t ip[16];
	uint8_t len;   /* 4, 16; 0: none */
	uint16_t port; /* host order */
	uint32_t scope;
};

struct dgram {
	struct dgram *next;
	struct net_addr peer, local;
	uint32_t len, ttl, tos, ifindex;
	uint64_t charge;
	uint64_t real_ns; /* for SO_TIMESTAMP */
	struct block *first;
};

/* An option that netd took, in case its next instance must be told. */
struct kept_opt {
	struct kept_opt *next;
	int level, name;
	uint32_t len;
	uint8_t val[32]; /* the rest of a longer one means nothing */
};

/* What netd has under a handle: changed when it answered, or told. */
enum net_at {
	AT_NONE, /* nothing: not asked yet, or lost with an instance */
	AT_NEW,
	AT_LISTEN,
	AT_CONNECTING, /* a stream */
	AT_CONNECTED,
};

enum net_state {
	NS_NEW,
	NS_LISTEN,
	NS_CONNECTING,
	NS_CONNECTED,
	NS_CLOSED, /* was connected; nothing more will come */
};

#define NSF_EOF 1u /* FIN came, at rx_recv */
#define NSF_SHUT_RD 2u
#define NSF_SHUT_WR 4u
#define NSF_FATAL 8u /* the connection died of an error */
#define NSF_BOUND 16u
#define NSF_LOST 32u    /* netd is gone */
#define NSF_FAILED 64u  /* connect() failed and no call of it was told */
#define NSF_UNTOLD 128u /* connect() said EINPROGRESS and was not asked again */
#define NSF_NUMBERED 256u /* bind() named the port: it stays when the socket is given up */

/* Local options. */
#define NSO_PKTINFO 1u
#define NSO_PKTINFO6 2u
#define NSO_RECVTTL 4u
#define NSO_RECVTOS 8u
#define NSO_TIMESTAMP 16u
#define NSO_RECVHOPS6 32u
#define NSO_RECVTCLASS6 64u
#define NSO_TIMESTAMPNS 128u
#define NSO_BROADCAST 256u /* netd has it too */
#define NSO_WHOLE 512u     /* IP_MTU_DISCOVER: what is too large is told */

struct nsock {
	struct sock s;           /* first */
	uint32_t handle;         /* constant */
	struct nsock *hash_next; /* g_net_lock */
	struct lock lock;
	_Atomic uint32_t state;      /* enum net_state */
	_Atomic uint32_t flags;      /* NSF_* */
	_Atomic uint32_t err;        /* first asynchronous error, positive */
	_Atomic uint32_t opts;       /* NSO_* */
	struct net_addr local, peer; /* lock */
	int linger_on, linger_s;     /* lock */

	/* what netd's next instance is told; lock */
	enum net_at at;
	uint32_t epoch;        /* of the instance that was told last, 0: the first one */
	struct net_addr asked; /* by bind(), with the port it got; no len: none */
	struct kept_opt *kept;

	/* stream, receiving */
	_Atomic uint64_t rx_recv; /* leader: bytes that came */
	_Atomic uint64_t rx_read; /* reader: bytes taken */
	_Atomic uint64_t rx_limit; /* as told to netd; changed under rlock */
	uint32_t rx_wnd;          /* rlock */
	struct lock rlock;
	struct block *head; /* rlock */
	struct block *tail; /* leader */

	/* stream, sending: tx_off changes under the position lock */
	_Atomic uint64_t tx_off;
	_Atomic uint64_t tx_limit, tx_acked;

	/* listener; changed under lock, whether there is one may be asked without */
	struct nsock *_Atomic aq_head;
	struct nsock *aq_tail, *aq_next;
	uint32_t aq_len, ids_used; /* ids_used: taken by accept(), to be granted anew */
	uint32_t backlog;

	/* datagrams; as with the listener */
	struct dgram *_Atomic dq_head;
	struct dgram *dq_tail;
	uint64_t dq_consumed, dq_limit;
	struct net_addr reached, heard; /* lock: a send there has worked; came from there */
};

static inline struct nsock *nsock_of(struct sock *s)
{
	return (struct nsock *)(void *)s;
}

extern struct pool g_net_blocks, g_net_dgrams, g_net_opts;
extern const struct ofd_ops g_net_ofd_ops;
extern const struct sock_ops g_net_stream_ops, g_net_dgram_ops;

/* Attach to netd, if there is one.  Called once at start. */
void net_init(void);

/* ---- net.c ---- */
uint32_t net_handles(uint32_t n); /* @n fresh handles in a row */
/* The first asynchronous error, once: 0 or negative errno. */
int nsock_take_err(struct nsock *ns);
void nsock_fail(struct nsock *ns, int err, bool fatal); /* positive errno; wakes */
void dgram_free(struct dgram *d);
void net_close_strays(void);
/* Connections that nobody accepted are reset. */
void net_drop_queue(struct nsock *l);
void blocks_free(struct block *b);

/* All sockets, while none is held: the next handle above *@handle (0: the first) in a
 * row of the table.  False: no more. */
#define NET_ROWS 16384u
bool net_next(unsigned row, uint32_t *handle);
/* Run @fn on the socket under g_net_lock, as an event is.  False: it is closed. */
bool net_with(uint32_t handle, void (*fn)(struct nsock *, void *), void *arg);
/* The connections that wait in a listener, chained by aq_next: the caller's now. */
struct nsock *net_queue_take_locked(struct nsock *l);
void net_queue_destroy(struct nsock *first);
void net_strays_forget(void);
void net_connect_failed(struct nsock *ns, int err); /* positive errno */

/* ---- net_restore.c ---- */
/* netd answered @call: true if what it did, or was for, is lost with an instance, so
 * that the call must be made again.  ns->lock is held. */
static inline bool net_again_locked(const struct nsock *ns, const struct rpc_call *call)
{
	if (call->err == -EBADF)
		return ns->at == AT_NONE;
	return call->err == 0 && call->epoch < ns->epoch;
}
static inline uint32_t net_ids_for(uint32_t backlog)
{
	return backlog < 16 ? 16 : backlog;
}
/* A connection that netd lost is made there again, as a socket, for what may still be
 * asked of it: options, connect() after AF_UNSPEC.  0 or negative errno. */
int net_ensure(struct nsock *ns) __attribute__((warn_unused_result));
int net_on_restore(const struct rpc_restore *what);

/* ---- net_kept.c: options that were set ---- */
/* Keep it; takes @o, which came from g_net_opts.  ns->lock is held. */
void net_opt_keep_locked(struct nsock *ns, struct kept_opt *o);
/* A copy of the @i-th, in the order they were set first. */
bool net_opt_at(uint32_t handle, unsigned i, struct kept_opt *o);
void net_opts_drop(struct nsock *ns);

/* ---- net_addr.c ---- */
/* -EINVAL, -EAFNOSUPPORT */
int net_addr_in(const struct nsock *ns, const struct sock_name *name,
                struct net_addr *a);
/* The same for connect() and sends of datagrams: an AF_INET6 socket of UDP takes a
 * struct sockaddr_in, too. */
int net_addr_in_dgram(const struct nsock *ns, const struct sock_name *name,
                      struct net_addr *a);
void net_addr_out(const struct nsock *ns, const struct net_addr *a,
                  struct sock_name *name);
void net_addr_wire(struct net_addr *a, Net__Addr *w); /* @w borrows @a */
bool net_addr_unwire(const Net__Addr *w, struct net_addr *a);

/* ---- net_stream.c ---- */
uint32_t stream_poll(struct nsock *ns);
uint64_t stream_readable(const struct nsock *ns);
void stream_event_data(struct nsock *ns, const Net__DataMsg *m, struct rpc_event *ev);
/* What came and was not read is gone; the window moves on.  No more may come now. */
void stream_discard(struct nsock *ns);
/* The socket is gone: what its window promised beyond the first is free again. */
void stream_release(struct nsock *ns);
int64_t stream_promised(void); /* by all windows beyond their first, bytes */
long net_stream_accept(struct sock *s, struct sock **out, struct sock_name *peer);

/* ---- net_dgram.c ---- */
uint32_t dgram_poll(struct nsock *ns);
uint32_t dgram_next_len(struct nsock *ns); /* of the oldest, 0: none */
void dgram_event(struct nsock *ns, const Net__DgramMsg *m, struct rpc_event *ev);

/* ---- net_opt.c ---- */
/* The call alone; @val of @len bytes may be longer than what is kept. */
void net_opt_call(uint32_t handle, const struct kept_opt *o, const void *val, uint32_t len,
                  struct rpc_call *call);
long net_setsockopt(struct sock *s, int level, int name, const void *val, uint32_t len);
long net_getsockopt(struct sock *s, int level, int name, void *val, uint32_t *len);
/* Bytes sent that the peer has not acknowledged; netd is asked. */
long net_outq(struct nsock *ns);

/* ---- net_sock.c: what streams and datagrams share ---- */
long net_bind(struct sock *s, const struct sock_name *name);
long net_bind_addr(struct nsock *ns, struct net_addr *a);
long net_connect(struct sock *s, const struct sock_name *name);
long net_getsockname(struct sock *s, struct sock_name *name);
long net_getpeername(struct sock *s, struct sock_name *name);
long net_shutdown(struct sock *s, int how);
long net_listen(struct sock *s, int backlog);
/* FIONREAD, SIOCOUTQ, SIOCATMARK; the rest is sock_ofd_ioctl()'s. */
long net_ioctl(struct ofd *o, unsigned long req, void *user_arg);

#endif /* LIBOS_NET_H */
