/* SPDX-License-Identifier: MIT */
/*
 * be_dir.h - the parts of the `dir` back end among themselves.
 *
 * A node's ref is a descriptor: O_PATH from a look-up, a real one from open().
 * A name is reached through the parent's descriptor, one component or a path
 * under RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS; a node is opened again through
 * /proc/self/fd, which is also the process's working directory, so that calls
 * without a *at() form reach a descriptor by its number.
 *
 * Layer:   services/fsd, `dir` back end only.
 * Locking: dir_mount.lock guards the orphan folder's descriptors.
 */
#ifndef FSD_BE_DIR_H
#define FSD_BE_DIR_H

#include "services/fsd/backend.h"
#include "services/fsd/cred.h"

struct dir_mount {
	int fd; /* the root, O_RDONLY | O_DIRECTORY */
	uint64_t mount_id;
	bool kernel_ids; /* name_to_handle_at() works */
	size_t path_len; /* of the root as /proc shows it */
	pthread_mutex_t lock;
	int orphans;     /* this run's folder; -1: none yet */
	char folder[17]; /* its name */
};

extern int g_dir_proc; /* /proc/self/fd */

#define NODE_FD(n) ((int)(n)->ref)

/* The same for a call in which the kernel looks at the caller's rights. */
static inline int node_fd_as(const struct node *n)
{
	cred_enter(n->mount->keep_root);
	return NODE_FD(n);
}

static inline struct dir_mount *dir_mount(const struct node *n)
{
	return n->mount->priv;
}

struct dir_fdname {
	char s[12];
};
/* The name of a descriptor in /proc/self/fd. */
struct dir_fdname dir_fdname(int fd);

/* be_dir_names.c */
int dir_lookup(const struct node *dir, const char *path, unsigned flags,
               struct node *out);
int dir_open_path(const struct node *dir, const char *path, int open_flags,
                  unsigned flags, struct node *out);
int dir_attr_at(const struct node *dir, const char *name, struct statx *out);
int dir_dup(const struct node *node, struct node *out);
void dir_put(struct node *node);
int dir_path(const struct node *dir, char *buf, size_t size);
int dir_attr(const struct node *node, unsigned flags, struct statx *out);
int dir_readlink(const struct node *node, char *buf, size_t size);
int dir_mkdir(const struct node *dir, const char *name, mode_t mode);
int dir_mknod(const struct node *dir, const char *name, mode_t mode);
int dir_symlink(const struct node *dir, const char *name, const char *target);
int dir_link(const struct node *node, const struct node *dir, const char *name);
int dir_rename(const struct node *dir, const char *name, const struct node *to_dir,
               const char *to_name, unsigned flags);
int dir_unlink(const struct node *dir, const char *name, bool directory);

/* be_dir_io.c */
int dir_open(const struct node *node, int flags, struct node *out);
int dir_create(const struct node *dir, const char *name, int flags, mode_t mode,
               struct node *out);
int dir_access(const struct node *node, int mode);
int dir_setattr(const struct node *node, bool opened, const struct setattr *set);
int dir_statfs(const struct node *node, struct statfs *out);
ssize_t dir_getxattr(const struct node *node, const char *name, void *to, size_t size);
int dir_setxattr(const struct node *node, const char *name, const void *from,
                 size_t size, int flags);
ssize_t dir_listxattr(const struct node *node, char *to, size_t size);
int dir_removexattr(const struct node *node, const char *name);
ssize_t dir_read(const struct node *node, const struct iovec *iov, int n, uint64_t off,
                 unsigned flags);
ssize_t dir_write(const struct node *node, const void *from, size_t n, uint64_t *off,
                  unsigned flags);
ssize_t dir_readdir(const struct node *node, uint64_t cookie, bool seek, void *to,
                    size_t size);
int dir_sync(const struct node *node, unsigned what, uint64_t off, uint64_t len,
             unsigned flags);
int dir_fallocate(const struct node *node, int mode, uint64_t off, uint64_t len);
int64_t dir_seek(const struct node *node, uint64_t off, int whence);
int dir_readahead(const struct node *node, uint64_t off, uint64_t len);
ssize_t dir_copy(const struct node *in, uint64_t in_off, const struct node *out,
                 uint64_t out_off, size_t len);

int dir_watch(const struct node *node, int inotify, uint32_t mask);

/* be_dir_orphan.c */
int dir_orphan_keep(const struct node *node, uint64_t ino);
void dir_orphan_drop(struct mount *mount, uint64_t ino);
bool dir_orphan_kept(struct mount *mount, uint64_t ino);
/* A directory that has no name and never had a file, and looks like @key's did. */
int dir_orphan_dir(struct mount *mount, uint64_t key, struct node *out);
int dir_gone_keep(const struct node *node, const struct statx *stx, uint64_t *key);
void dir_gone_drop(struct mount *mount, uint64_t key);
int dir_orphan_find(struct mount *mount, uint64_t ino, struct node *out);
void dir_orphan_touch(struct mount *mount);
void dir_orphan_sweep(struct mount *mount, bool (*used)(struct mount *, uint64_t, bool));
/* Once, of a fresh mount: find our folder, empty those of the dead. */
void dir_orphans_start(struct mount *mount, bool first);
void dir_orphans_close(struct mount *mount);

/* be_dir_lock.c */
int dir_lock_open(const struct node *node, bool write, struct node *out);
int dir_lock_range(const struct node *lk, int type, uint64_t start, uint64_t len);
int dir_lock_test(const struct node *lk, int *type, uint64_t *start, uint64_t *len);
int dir_lock_whole(const struct node *lk, int type);

/* be_dir_id.c */
void dir_probe_ids(struct dir_mount *d);
int dir_file_id(const struct node *node, const struct statx *stx, uint8_t *id);
int dir_hold_id(const struct node *node, const struct statx *stx, const uint8_t *was,
                int *hold, uint8_t *id);
int dir_find_id(struct mount *mount, const uint8_t *id, size_t len, struct node *out);
int dir_gone_dir(struct mount *mount, const uint8_t *id, size_t len, struct node *out,
                 uint64_t *ino, uint64_t *key);
/* One number that no other directory has, now or later; 0: there is none. */
uint64_t dir_gone_key(const struct node *node, const struct statx *stx);

#endif /* FSD_BE_DIR_H */
