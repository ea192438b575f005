/* SPDX-License-Identifier: MIT */
/*
 * shmnode.h - what shm.c (contents) and shmname.c (names) share.
 *
 * Layer:     libos.
 * Ownership: a node lives while it has references: one a description, one a name.
 * Locking:   g_shm_lock guards names, refs, nlink and attributes; node->lock the rest.
 *            g_shm_lock is taken first.
 * Errors:    0 or a negative errno.
 */
#ifndef LIBOS_SHMNODE_H
#define LIBOS_SHMNODE_H

#include "libos/abi.h"
#include "libos/ofd.h"

#define SHM_MAPS_NOTED 8u
#define SHM_MEMFD_NAME 250u /* with the NUL, as Linux */

struct shm_map {
	uint64_t addr, len;
};

struct shm_node {
	uint64_t ino;         /* constant */
	bool memfd;           /* constant: made without a name */
	uint32_t refs, nlink; /* under g_shm_lock, */
	uint32_t mode, uid, gid;
	int64_t atime[2], mtime[2], ctime[2];
	struct lock lock;
	int shm;       /* the platform's object: constant */
	uint8_t *view; /* under lock, */
	uint64_t view_len, size;
	uint32_t seals;
	uint32_t n_maps; /* writable shared mappings ever made */
	struct shm_map maps[SHM_MAPS_NOTED];
	uint32_t flock_shared; /* descriptions that hold LOCK_SH */
	bool flock_exclusive;
	struct waitq flock_wait; /* told when one goes */
};

struct shm_file {
	struct ofd ofd; /* first */
	struct shm_node *node;
	uint8_t flock; /* LOCK_SH, LOCK_EX or 0: under the node's lock */
	char name[ABI_NAME_MAX + 1]; /* as it was opened or made by: constant */
};

extern struct lock g_shm_lock;

struct shm_node *shm_node_new(uint32_t mode); /* refs = 1, no name */
void shm_node_put(struct shm_node *n);        /* call without locks */
void shm_node_stat(struct shm_node *n, struct kstat *st);
long shm_resize_locked(struct shm_node *n, uint64_t size);

/* Takes the caller's reference to @n on success. */
long shm_file_new(struct shm_node *n, uint32_t flags, struct ofd **out);
struct shm_file *shm_file_of(struct ofd *o); /* NULL: another kind */

/* shmlock.c */
long shm_flock(struct ofd *o, int op); /* 0, -EWOULDBLOCK, -ERESTARTSYS */
void shm_flock_close(struct shm_file *f); /* its last reference goes */

#endif /* LIBOS_SHMNODE_H */
