/* SPDX-License-Identifier: MIT */
/*
 * session.h - what one guest has in fsd: credentials, handles, quota.
 *
 * Layer:     services/fsd.
 * Ownership: a session belongs to the loop; a handle is counted: the session's
 *            table has a reference, each task that uses it another.
 * Locking:   tables belong to the loop's thread; handle.lock guards state and
 *            waiters; node, inode, and what open set are constant once READY.
 */
#ifndef FSD_SESSION_H
#define FSD_SESSION_H

#include "rpc/limits.h"
#include "services/fsd/cred.h"
#include "services/fsd/inode.h"
#include "services/fsd/pool.h"
#include "services/fsd/walk.h"

struct rpc_conn;
struct task;

#define SESSION_BUCKETS 4096u

/* STALE: it was open in an instance before, and could not be opened again. */
enum handle_state { HANDLE_PENDING, HANDLE_READY, HANDLE_FAILED, HANDLE_STALE };

struct handle {
	struct handle *next;
	uint32_t id;
	_Atomic unsigned refs;
	struct session *session; /* valid as long as the handle is in its table */
	pthread_mutex_t lock;
	enum handle_state state;
	struct task *waiters;  /* calls that came while it was pending, in order */
	struct handle *resume; /* serve.c's list of handles with waiters to resume */
	/* READY */
	struct place place;
	struct inode *inode; /* NULL: a directory opened O_PATH */
	struct cred *cred;   /* who opened it: reads and writes are this one's */
	uint32_t flags;      /* O_ACCMODE, O_PATH */
	mode_t type;
	bool is_root;        /* of its mount */
	int hold;            /* kept.h; 0: none */
	uint64_t gone_ino;   /* the node stands for a directory that is no more; 0: no */
	pthread_mutex_t dir; /* one readdir at a time */
	uint64_t dir_pos;
};

struct session {
	struct rpc_conn *conn;
	void *owner; /* guests.c */
	uint32_t domid;
	unsigned number;
	bool dead;
	struct cred *creds[RPC_CREDS_MAX];
	uint8_t client_id[RPC_CLIENT_ID_LEN]; /* set after session_new() */
	uint32_t uid, gid, n_groups; /* initial, as the guest named them */
	uint32_t groups[RPC_GROUPS_MAX];
	struct handle *handles[SESSION_BUCKETS];
	unsigned n_handles, max_handles;
	unsigned n_waiting; /* calls that wait for an open */
	unsigned n_locks, n_waits;
	struct lock_rec *locks; /* lock.c */
	struct pool_queue queue;
	struct notify *_Atomic notify; /* notify.c; NULL: it never watched anything */
};

struct session *session_new(struct rpc_conn *conn, uint32_t domid, uint32_t uid,
                            uint32_t gid, const uint32_t *groups, unsigned n_groups,
                            unsigned max_handles);
/* Release locks, handles, credentials.  No task may be left. */
void session_free(struct session *s);

int session_set_cred(struct session *s, uint32_t id, uint32_t uid, uint32_t gid,
                     const uint32_t *groups, size_t n);
/* Lends; NULL: never defined. */
struct cred *session_cred(struct session *s, uint32_t id);

/* A new pending handle, in the table, with a reference for the caller.
 * -EINVAL (0 or taken), -ENFILE (quota), -ENOMEM. */
int handle_new(struct session *s, uint32_t id, struct handle **out);
/* A reference, or NULL. */
struct handle *handle_find(struct session *s, uint32_t id);
struct handle *handle_ref(struct handle *h);
void handle_put(struct handle *h);
/* Take it out of the table; with its OFD and flock locks. */
void handle_drop(struct session *s, struct handle *h);

#endif /* FSD_SESSION_H */
