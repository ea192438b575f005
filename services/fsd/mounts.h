/* SPDX-License-Identifier: MIT */
/*
 * mounts.h - the mount table: which mount serves which path of the guest.
 *
 * A tree of path components: a node stands for a mount's root or for a directory
 * on the way to one.  Its names are fixed while the service runs: a guest's
 * unlink or rename of one answers EBUSY, so a place in the tree stays true.
 *
 * Layer:     services/fsd.
 * Ownership: the table owns mounts and tree.
 * Locking:   built before the first guest, constant afterwards.
 */
#ifndef FSD_MOUNTS_H
#define FSD_MOUNTS_H

#include "services/fsd/backend.h"

#define MOUNTS_MAX 64

struct mtree {
	char *name;                 /* component; "" for the root */
	struct mtree *parent;       /* NULL: the root */
	struct mtree *first, *next; /* children, siblings */
	struct mount *mount;        /* NULL: a directory on the way to a mount */
	bool own;                   /* below "/": the guest's own, never fsd's */
};

struct mounts {
	struct mount *list[MOUNTS_MAX];
	unsigned n;
	struct mtree *root;
	struct mount *mount; /* "/" */
};

struct mount_spec {
	const char *path, *kind, *source;
	int fd; /* taken, also on failure */
	bool read_only, exclusive, allow_setid, keep_root;
};

void mounts_init(struct mounts *t);
/* Add one; parents first ("/", then "/a", then "/a/b").  On failure *why is one
 * clear sentence, to be freed. */
int mounts_add(struct mounts *t, const struct mount_spec *spec,
               const struct instance *inst, char **why) __attribute__((warn_unused_result));
/* @name (@len bytes) in "/" is the guests' own.  After all mounts.  0, -EINVAL for
 * what is no name, -ENOMEM. */
int mounts_own(struct mounts *t, const char *name, size_t len)
        __attribute__((warn_unused_result));
void mounts_fini(struct mounts *t);
/* Guests come back to another instance: the orphans' folders stay. */
void mounts_leave(struct mounts *t);

/* The child of @at called @name (@len bytes), or NULL. */
struct mtree *mtree_child(const struct mtree *at, const char *name, size_t len);
/* The place of @path (relative to @m's root, "" for itself) in the tree, or NULL. */
struct mtree *mtree_find(const struct mount *m, const char *path);
/* The mount that holds @at, and @at's path in it. */
struct mount *mtree_mount(const struct mtree *at, char *buf, size_t size);

#endif /* FSD_MOUNTS_H */
