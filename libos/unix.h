/* SPDX-License-Identifier: MIT */
/*
 * unix.h - what unix.c, unixmsg.c and unixopt.c share.
 *
 * Layer:   libos.
 * Locking: as said at the fields; see unix.c.
 * Errors:  0 or a value >= 0 on success, a negative errno on failure.
 */
#ifndef LIBOS_UNIX_H
#define LIBOS_UNIX_H

#include "libos/socket.h"
#include "libos/unixq.h"

struct unix_sock {
	struct sock sock;       /* first */
	_Atomic uint32_t holds; /* the description's, and of who found it by name */
	struct unix_queue *in;  /* constant */
	struct lock lock;       /* guards: */
	struct unix_queue *out; /* where messages go, or NULL */
	bool connected, listening, to_log;
	bool connecting; /* a connect() is under way */
	bool silent;     /* never was anybody's peer: ends without a word */
	struct sock_name peer_name;
	uint32_t peer_uid, peer_gid;
	struct unix_sock *pending; /* listener: oldest first; references */
	uint32_t n_pending;
	int backlog;
	/* Set once or read loosely: */
	_Atomic bool shut_rd, shut_wr, pass_cred, embryo;
	_Atomic uint32_t limit;         /* SO_SNDBUF */
	uint32_t uid, gid;              /* who made it, or called listen */
	struct unix_sock *pending_next; /* under the listener's lock */
	struct waitq backlog_room;      /* who connects and finds the queue full */
	struct uq_sender sender;        /* in out's list */
	/* Under g_names_lock (unix.c): */
	struct sock_name name; /* len 0: not bound */
	bool by_path;
	uint64_t dev, ino;
	struct unix_sock *name_next, **name_pprev;
};

/* struct ucred */
struct uq_ucred {
	uint32_t pid, uid, gid;
};

extern const struct sock_ops g_unix_sock_ops;

struct unix_sock *unix_of(struct sock *s);
bool unix_is_log(const struct sock_name *name);
/* The queue of the datagram socket with that name: a reference. */
long unix_find_queue(const struct sock_name *name, struct unix_sock *from,
                     struct unix_queue **out);

long unix_sendmsg(struct sock *s, struct sock_msg *m);
long unix_recvmsg(struct sock *s, struct sock_msg *m);

/* struct sock_ops's: -EOPNOTSUPP (level), -ENOPROTOOPT, -EINVAL. */
long unix_getsockopt(struct sock *sock, int level, int name, void *val, uint32_t *len);
long unix_setsockopt(struct sock *sock, int level, int name, const void *val, uint32_t len);

#endif /* LIBOS_UNIX_H */
