/* SPDX-License-Identifier: MIT */
/*
 * walk.h - from a guest's path to a node.
 *
 * Resolves as Linux does, with the guest's own root: absolute links begin at "/"
 * of the mount table, ".." of a mount's root leads to the mount above, nothing
 * leads out.  Where no link and no mount point is in the way, one look-up of the
 * back end takes the whole path; else component by component.  A path that comes to
 * a name that guests serve themselves (mtree.own) ends with -EREMOTE.
 *
 * Layer:     services/fsd.
 * Ownership: the results are the caller's: walk_fini().
 * Locking:   none; any thread.
 * Errors:    negative errno as open(2) and openat2(2) give.
 */
#ifndef FSD_WALK_H
#define FSD_WALK_H

#include "services/fsd/mounts.h"

#define WALK_NOFOLLOW 1u /* the last component may be a link */
#define WALK_PARENT 2u   /* the parent and the last name, which is not looked at */
#define WALK_CREATE                                                                    \
	4u             /* as WALK_PARENT, but a last link is followed; the node if
                            it exists, else node_ok() is false */
#define WALK_CACHED 8u /* -EAGAIN rather than wait for a disk */
#define WALK_OPEN 16u  /* a file or directory may be opened on the way (open_flags) */
#define WALK_DEEP                                                                      \
	32u /* as WALK_PARENT, if the back end can take the whole path as the name;
                 -EXDEV if not */

struct place {
	struct node node;
	struct mtree *at; /* its place in the mount tree; NULL: below it */
};

struct walk {
	/* in; base is borrowed */
	const struct mounts *mounts;
	const struct place *base; /* NULL: the root */
	const char *path;
	unsigned flags;
	int open_flags;   /* OPEN: O_ACCMODE, O_DIRECTORY, O_NOATIME */
	uint64_t resolve; /* RESOLVE_* of openat2 */
	char *left;       /* PATH_MAX bytes, or NULL: with -EREMOTE, where it goes on */
	/* out */
	struct place dir;  /* PARENT, CREATE */
	bool dir_borrowed; /* it is *base */
	char name[256 +
	          1];     /* ... may end in one '/'; "" when the path names the root */
	struct place it;  /* otherwise, and CREATE when it exists */
	struct statx stx; /* of it */
	bool opened;      /* it was opened */
};

int walk_run(struct walk *w) __attribute__((warn_unused_result));
void walk_fini(struct walk *w);

/* The guest's path of a directory.  Returns its length or negative errno. */
int walk_guest_path(const struct place *p, char *buf, size_t size);

#endif /* FSD_WALK_H */
