/* SPDX-License-Identifier: MIT */
/*
 * names.h - one change of a name at a time, and what names were when this instance
 * began.
 *
 * A call that changes a name looks at it, notes what it means to do, does it, and
 * notes that it was done, all under the name's lock: so of the calls that an
 * instance died in, one at most had begun to change a name.  The instance that
 * follows has to tell whether that one was done, by what the name was when it
 * began; calls that had not begun may be sent again before.  So while it recovers,
 * what a name was is remembered before its first change.
 *
 * Attributes of files count as names in the file ("/user.x": no name has a '/').
 *
 * Layer:   services/fsd.
 * Locking: thread-safe.  Order: mount.names, then names_lock(), then an inode's
 *          stripe.
 * Memory:  NAMES_BEFORE_MAX remembered names at most; calls in flight bound them.
 */
#ifndef FSD_NAMES_H
#define FSD_NAMES_H

#include "services/fsd/backend.h"

#define NAMES_BEFORE_MAX 8192u

/* What a name stands for.  @born tells files apart that had the number in turn; 0
 * where the file system does not say. */
struct object {
	bool there;
	uint64_t ino, born;
};

struct name_lock {
	pthread_mutex_t *first, *second;
};

/* Lock @name of any directory of @m, and @other (or NULL).  A path: its last name. */
void names_lock(struct name_lock *l, struct mount *m, const char *name,
                const char *other);
void names_unlock(struct name_lock *l);

/* @name (one trailing '/' does not count) in @dir.  0, or what keeps us from looking. */
int names_look(const struct node *dir, const char *name, struct object *out)
        __attribute__((warn_unused_result));
struct object names_object(const struct statx *stx);
static inline bool names_same(const struct object *a, const struct object *b)
{
	return a->there == b->there && a->ino == b->ino && a->born == b->born;
}

/* ---- while an instance recovers ---- */

/* Begin or end; to be called by one thread. */
void names_recover(bool on);
bool names_recovering(void);
/* What @name of @of was when this instance began: it is @is now. */
void names_was(const struct node *of, const char *name, const struct object *is,
               struct object *was);
/* It is about to be changed. */
void names_touch(const struct node *of, const char *name, const struct object *is);

#endif /* FSD_NAMES_H */
