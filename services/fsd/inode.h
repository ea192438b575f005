/* SPDX-License-Identifier: MIT */
/*
 * inode.h - what fsd knows of a file that is open: appends, orphan, locks.
 *
 * One object for each file with a handle or a lock, found by device and inode
 * number (which no other file can have while it is open).
 *
 * Layer:     services/fsd.
 * Ownership: counted; the last inode_put() forgets locks' host side and orphan.
 * Locking:   thread-safe.  inode.append guards reserved_*; inode.stripe (shared by
 *            some inodes) makes open and unlink of one file exclude each other and
 *            guards kept; locks and waits belong to the loop's thread.
 *            Order: mount.names, then a stripe, then the table's own lock.
 */
#ifndef FSD_INODE_H
#define FSD_INODE_H

#include "services/fsd/backend.h"

#include <stdatomic.h>

struct lock_rec;
struct lock_wait;

struct inode {
	struct inode *next;
	struct mount *mount;
	uint64_t dev, ino;
	unsigned refs; /* under the table's lock */
	pthread_mutex_t append;
	uint64_t reserved_end; /* an append in pieces owns the file up to here */
	_Atomic(const void *) reserved_by; /* the handle; written under append */
	bool kept;             /* it has a hidden name, which goes with this object */
	_Atomic bool orphaned; /* its last name is gone for guests */
	_Atomic uint64_t gone; /* key of the removed directory it is, or stands for; 0 */
	struct lock_rec *locks;
	bool locked;             /* the list has a reference */
	struct lock_wait *waits; /* in order of arrival */
	struct node host;        /* carries the locks towards the host */
	bool host_write;
};

/* Find or make it; NULL: no memory. */
struct inode *inode_get(struct mount *m, const struct statx *stx);
struct inode *inode_ref(struct inode *i);
void inode_put(struct inode *i);
/* Only if it is open now. */
struct inode *inode_find(const struct statx *stx);
/* Is the hidden name of the file of that number in use; or, by its key, is a removed
 * directory open? */
bool inode_keeps(struct mount *m, uint64_t which, bool dir);
pthread_mutex_t *inode_stripe(const struct statx *stx);
unsigned inode_count(void);
/* Changes when a file's name goes: inode_dying() comes with the stripe held, before
 * inode_find() and again after the deed.  Who reads the same number before a look at
 * the file and, with the stripe, after inode_get() knows that its name did not go
 * between. */
void inode_dying(void);
uint64_t inode_deaths(void);

#endif /* FSD_INODE_H */
