/* SPDX-License-Identifier: MIT */
/*
 * backend.h - what a store of files must do for fsd.
 *
 * A node is a back end's reference to one file, opaque to everybody else (the
 * `dir` back end keeps a descriptor in it, one that reads an image may keep an
 * inode number).  A node that open() or create() gave can also do I/O.  The
 * back end checks permissions for the thread's credentials, as they count on the
 * node's mount (cred_enter() of cred.h, before what the kernel checks).
 *
 * Layer:     services/fsd.
 * Ownership: who gets a node puts it back with put().  Mounts live as long as
 *            the process.
 * Locking:   every operation may run on any thread; the caller orders writes
 *            that must be ordered (append, readdir of one node).
 * Errors:    0 or a value >= 0, or a negative errno.  With NODE_CACHED in the
 *            flags, -EAGAIN means "not without waiting for a disk".
 */
#ifndef FSD_BACKEND_H
#define FSD_BACKEND_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/uio.h>

struct instance;
struct mount;
struct mtree;

struct node {
	struct mount *mount; /* NULL: none */
	intptr_t ref;        /* the back end's */
};

#define NODE_NONE ((struct node){NULL, -1})

#define NODE_CACHED 1u /* do not wait for a disk */
#define NODE_NOWAIT 2u /* the same, of I/O */
#define NODE_APPEND 4u /* write: at the end */
#define NODE_DSYNC 8u  /* write: as O_DSYNC */
#define NODE_SYNC 16u  /* write: as O_SYNC */

#define FILE_ID_MAX 64 /* as many as a guest keeps */

/* What of struct setattr is set: FILE_SET_* of rpc/limits.h. */
struct setattr {
	uint32_t what;
	mode_t mode;
	uid_t uid; /* (uid_t)-1: keep */
	gid_t gid;
	uint64_t size;
	struct timespec times[2];
};


struct backend_ops {
	const char *kind;

	/* Names.  lookup() takes a relative path, follows no link, does not leave @dir
	 * (-EXDEV, -ELOOP when it would); the last component may be a link itself. */
	int (*lookup)(const struct node *dir, const char *path, unsigned flags,
	              struct node *out);
	/* lookup() and open() at once, O_ACCMODE, O_DIRECTORY, O_NOATIME: what was opened
	 * may be of any type.  Errors other than -ENOENT and -EAGAIN say only that it takes
	 * two steps.  Only of mounts that say open_at_once. */
	int (*open_path)(const struct node *dir, const char *path, int open_flags,
	                 unsigned flags, struct node *out);
	/* Of the name itself, in @dir. */
	int (*attr_at)(const struct node *dir, const char *name, struct statx *out);
	int (*dup)(const struct node *node, struct node *out);
	void (*put)(struct node *node);
	/* Path from the mount's root ("": the root); -ENOENT when removed. */
	int (*path)(const struct node *dir, char *buf, size_t size);
	int (*attr)(const struct node *node, unsigned flags, struct statx *out);
	int (*readlink)(const struct node *node, char *buf, size_t size);
	int (*mkdir)(const struct node *dir, const char *name, mode_t mode);
	int (*mknod)(const struct node *dir, const char *name, mode_t mode);
	int (*symlink)(const struct node *dir, const char *name, const char *target);
	int (*link)(const struct node *node, const struct node *dir, const char *name);
	int (*rename)(const struct node *dir, const char *name,
	              const struct node *to_dir, const char *to_name, unsigned flags);
	int (*unlink)(const struct node *dir, const char *name, bool directory);

	/* Files.  open() takes O_ACCMODE, O_TRUNC, O_DIRECTORY, O_NOATIME; create()
	 * is exclusive, and takes a path as lookup() does. */
	int (*open)(const struct node *node, int flags, struct node *out);
	int (*create)(const struct node *dir, const char *name, int flags, mode_t mode,
	              struct node *out);
	int (*access)(const struct node *node, int mode);
	int (*setattr)(const struct node *node, bool opened, const struct setattr *set);
	int (*statfs)(const struct node *node, struct statfs *out);
	/* What names the file for good, also to a later instance: bytes of @id
	 * (FILE_ID_MAX); 0: nothing here does. */
	int (*file_id)(const struct node *node, const struct statx *stx, uint8_t *id);
	/* The same of an open file where nothing does: as long as it is open, and kept over
	 * the ends of instances.  @was: the identity that it had in the one before (0: it was
	 * none of this kind), or NULL.  *@hold: to be given to kept_hold_end() before the
	 * node is put. */
	int (*hold_id)(const struct node *node, const struct statx *stx,
	               const uint8_t *was, int *hold, uint8_t *id);
	/* The file of an identity, for reference only, wherever it is.  -ENOENT: there is
	 * no such file any more; -ESTALE: the back end cannot tell.  Asked after the name
	 * that the guest remembers. */
	int (*find_id)(struct mount *mount, const uint8_t *id, size_t len,
	               struct node *out);
	/* What an open directory is after its rmdir(); *@ino: which one @id was. */
	int (*gone_dir)(struct mount *mount, const uint8_t *id, size_t len,
	                struct node *out, uint64_t *ino, uint64_t *key);
	/* Keep what an open directory looks like for gone_dir(): it is about to be
	 * removed (*@key is 0, and made of its identity: its number may be another's in
	 * the next instance), or has changed since; forget it. */
	int (*gone_keep)(const struct node *node, const struct statx *stx, uint64_t *key);
	void (*gone_drop)(struct mount *mount, uint64_t key);
	ssize_t (*getxattr)(const struct node *node, const char *name, void *to,
	                    size_t size);
	int (*setxattr)(const struct node *node, const char *name, const void *from,
	                size_t size, int flags);
	ssize_t (*listxattr)(const struct node *node, char *to, size_t size);
	int (*removexattr)(const struct node *node, const char *name);

	/* I/O on an opened node.  append writes set *off to where the data went. */
	ssize_t (*read)(const struct node *node, const struct iovec *iov, int n,
	                uint64_t off, unsigned flags);
	ssize_t (*write)(const struct node *node, const void *from, size_t n,
	                 uint64_t *off, unsigned flags);
	ssize_t (*readdir)(const struct node *node, uint64_t cookie, bool seek,
	                   void *to, size_t size);
	int (*sync)(const struct node *node, unsigned what, uint64_t off, uint64_t len,
	            unsigned flags);
	int (*fallocate)(const struct node *node, int mode, uint64_t off, uint64_t len);
	int64_t (*seek)(const struct node *node, uint64_t off, int whence);
	int (*readahead)(const struct node *node, uint64_t off, uint64_t len);
	ssize_t (*copy)(const struct node *in, uint64_t in_off, const struct node *out,
	                uint64_t out_off, size_t len);

	/* Watch it with an inotify instance of the kernel, as whom the thread acts: the
	 * kernel's number of the watch.  -ENOSPC: the back end has no events. */
	int (*watch)(const struct node *node, int inotify, uint32_t mask);

	/* Keep a file whose last name is about to go (0 too if it is kept already);
	 * forget it again; is it kept?  Its number is its name: it lives, so no other
	 * file has it. */
	int (*orphan_keep)(const struct node *node, uint64_t ino);
	void (*orphan_drop)(struct mount *mount, uint64_t ino);
	bool (*orphan_kept)(struct mount *mount, uint64_t ino);
	int (*orphan_find)(struct mount *mount, uint64_t ino, struct node *out);
	/* This run lives: every ORPHANS_TOUCH_S. */
	void (*orphan_touch)(struct mount *mount);
	/* Forget all, files by their numbers and directories (dir) by their keys, that
	 * @used says no to. */
	void (*orphan_sweep)(struct mount *mount,
	                     bool (*used)(struct mount *, uint64_t which, bool dir));

	/* Locks seen by other users of a shared mount.  lock_open() gives the node that
	 * carries them; type F_RDLCK, F_WRLCK, F_UNLCK; len 0: to the end. */
	int (*lock_open)(const struct node *node, bool write, struct node *out);
	int (*lock_range)(const struct node *lk, int type, uint64_t start,
	                  uint64_t len);
	int (*lock_test)(const struct node *lk, int *type, uint64_t *start,
	                 uint64_t *len);
	int (*lock_whole)(const struct node *lk, int type); /* flock */
};

#define MOUNT_NAME_LOCKS 32u

struct mount {
	const struct backend_ops *ops;
	char *path;   /* in the guest: "/" or "/a/b" */
	char *source; /* for messages */
	unsigned number;
	bool read_only, exclusive, allow_setid;
	bool keep_root;    /* a guest's root is root here */
	bool memory;       /* never waits for a disk */
	bool open_at_once; /* no device and no host's FIFO can be met: open_path() */
	_Atomic bool no_nowait; /* the file system cannot read without waiting */
	uint64_t dev;           /* st_dev in the guest, stable over a restart */
	struct node root;
	uint64_t root_dev, root_ino; /* as the back end numbers them */
	struct mtree *at;
	pthread_mutex_t names; /* unlink and rename, see serve_names.c */
	pthread_mutex_t name[MOUNT_NAME_LOCKS]; /* names.h */
	void *priv;            /* the back end's */
};

static inline bool node_ok(const struct node *n)
{
	return n->mount != NULL;
}

static inline void node_put(struct node *n)
{
	if (n->mount)
		n->mount->ops->put(n);
	*n = NODE_NONE;
}

#define ORPHANS_DIR ".strait-orphans"
#define ORPHANS_TOUCH_S 60
#define ORPHANS_OLD_S 900 /* a run that let nobody hear of it for so long is over */

/* be_dir.c: a directory; also serves `mem`, a detached tmpfs.  Takes @fd, also on
 * failure. */
int be_dir_attach(struct mount *m, int fd, const struct instance *inst)
        __attribute__((warn_unused_result));
/* Open what this back end needs of /proc; once, before the sandbox. */
int be_dir_setup(void) __attribute__((warn_unused_result));
void be_dir_detach(struct mount *m);
/* Leave the orphans' folder as it is, for the next instance. */
void be_dir_leave(struct mount *m);
/* The descriptor of its root, lent; -EINVAL for a mount of another kind. */
int be_dir_root_fd(const struct mount *m, int *fd) __attribute__((warn_unused_result));

#endif /* FSD_BACKEND_H */
