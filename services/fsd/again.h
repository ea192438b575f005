/* SPDX-License-Identifier: MIT */
/*
 * again.h - calls that must not be done twice.
 *
 * Of such a call the journal (rpc/journal.h) says INTENT before the change, with what
 * tells later whether it was made, and DONE with the answer after it.  When the call
 * is sent again to another instance:
 *
 *   nothing  it was not begun: do it
 *   INTENT   look: was it done?  then answer so, else do it
 *   DONE     answer what was answered
 *
 * The entry is the guest's claim.  A false one changes what its own call answers, and
 * never opens what its credentials do not.
 *
 * Layer:   services/fsd.
 * Locking: as the call's.
 */
#ifndef FSD_AGAIN_H
#define FSD_AGAIN_H

#include "services/fsd/names.h"
#include "services/fsd/serve.h"

enum again_kind {      /* journal_entry.kind: a protocol with later versions */
	AGAIN_MAKE = 1,    /* the name was not there */
	AGAIN_CREATE = 2,  /* the same; DONE: d is again_tag() of the file */
	AGAIN_REMOVE = 3,  /* a, b: what the name was */
	AGAIN_RENAME = 4,  /* a, b: what the old name was */
	AGAIN_APPEND = 5,  /* a: the end of the file; DONE: d is where and how much */
	AGAIN_XATTR_MAKE = 6,
	AGAIN_XATTR_REMOVE = 7,
};

struct again {
	enum journal_mark mark; /* NONE: to be done as if it came first */
	struct journal_entry e;
};

/* What is known of @t, if it is of this kind. */
struct again again_get(const struct task *t, enum again_kind kind);
/* It is known how it ended: *r is its result. */
static inline bool again_done(const struct task *t, enum again_kind kind, int *r)
{
	if (!rpc_req_replay(t->req))
		return false;
	const struct again a = again_get(t, kind);

	if (a.mark == JOURNAL_DONE)
		*r = -(int)a.e.err;
	return a.mark == JOURNAL_DONE;
}

/* The file that @t made, in one word: its number and a signature. */
uint64_t again_tag(const struct task *t, const struct object *o);
static inline uint64_t again_tag_ino(uint64_t tag)
{
	return tag >> 24;
}

/* Make @name of @dir, which must not be there, by make(): under its lock, once. */
int again_make(struct task *t, const struct node *dir, const char *name,
               int (*make)(struct task *t, const struct node *dir, const char *name,
                           const void *arg),
               const void *arg);
/* With the lock of @name of @dir, which is @is now: was it @t that changed it, in the
 * instance before?  (AGAIN_REMOVE, AGAIN_RENAME.) */
bool again_was_changed(const struct task *t, enum again_kind kind,
                       const struct node *dir, const char *name,
                       const struct object *is);

#endif /* FSD_AGAIN_H */
