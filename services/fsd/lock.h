/* SPDX-License-Identifier: MIT */
/*
 * lock.h - POSIX, OFD and flock locks of all guests of this fsd.
 *
 * The owner of a POSIX lock is the session, of the others the handle.  POSIX and
 * OFD locks exclude each other; flock is apart, as on Linux.  On a mount that is
 * shared with the host, the union of the guests' locks is held on the host's file
 * too.  A request that waits is queued and granted later by rpc_done().
 *
 * Layer:     services/fsd.
 * Ownership: a lock holds a reference on its inode.
 * Locking:   the loop's thread only.
 */
#ifndef FSD_LOCK_H
#define FSD_LOCK_H

#include "services/fsd/session.h"

#define LOCK_POSIX 0u
#define LOCK_OFD 1u
#define LOCK_FLOCK 2u

#define LOCKS_MAX 65536u /* of one session */
#define WAITS_MAX 1024u

struct lock_req {
	uint32_t kind; /* LOCK_* */
	int type;      /* F_RDLCK, F_WRLCK, F_UNLCK */
	uint64_t start, len;
	bool wait;
	uint64_t ticket;
};

/* 0: done; 1: queued (the caller answers so, at once); -EAGAIN, -EDEADLK, -ENOLCK,
 * -EINVAL, -EOVERFLOW, -EBADF.  Whatever it returns: answer, then lock_answered(). */
int lock_set(struct handle *h, const struct lock_req *r)
        __attribute__((warn_unused_result));
/* The guest can read that lock_set() gave up what @h's owner had: who waits for it may
 * be told now.  The other way round, an end of this instance in between would leave
 * two guests that both ask the next one for the lock. */
void lock_answered(struct handle *h);

struct lock_found {
	int type; /* F_UNLCK: nothing in the way */
	uint64_t start, len;
	uint32_t pid;
};
int lock_get(struct handle *h, const struct lock_req *r, struct lock_found *out)
        __attribute__((warn_unused_result));

/* 1: it was waiting and does no more; 0: not waiting. */
int lock_cancel(struct session *s, uint64_t ticket);
void lock_release_handle(struct handle *h);
void lock_release_session(struct session *s);

/* Try the requests again that a program of the host keeps waiting.  True while
 * there are any: call again soon. */
bool lock_poll_host(void);

#endif /* FSD_LOCK_H */
