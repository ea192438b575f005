/* SPDX-License-Identifier: MIT */
/*
 * local.h - the paths that libos serves itself: /dev, /dev/shm, /proc.
 *
 * The file client makes every path absolute and normal (one leading slash, no
 * empty component, no "." or "..", no slash at the end but in "/") and asks
 * local_lookup() before it asks fsd.  What is below /dev and /proc is always ours,
 * whether the name exists or not.
 *
 *     struct local_look l;
 *     switch (local_lookup(path, &l)) {
 *     case LOCAL_NONE: fsd's
 *     case LOCAL_NODE: local_open(path...), local_stat(path...), ... answer
 *     case LOCAL_FD:   stands for descriptor l.fd (/proc/self/fd/N, /dev/stdin):
 *                      reopen, stat or change what it refers to; path + l.rest is
 *                      what follows ("" or "/more"), for directories
 *     case LOCAL_LINK: a symbolic link to l.target (an absolute path of the guest:
 *                      /proc/self/cwd, /proc/self/exe, /proc/self/root), then
 *                      path + l.rest: join, normalize, start again
 *     }
 * A call that does not follow a last link (lstat, readlink, unlink, O_NOFOLLOW) and
 * finds LOCAL_FD or LOCAL_LINK with an empty rest uses the local_*() calls.
 *
 * Layer:     libos.
 * Ownership: strings are borrowed for the call; an ofd returned is a reference.
 * Locking:   thread-safe.
 * Memory:    fixed pools (pool.h).
 * Errors:    0 or a value >= 0 on success, a negative errno on failure.
 */
#ifndef LIBOS_LOCAL_H
#define LIBOS_LOCAL_H

#include "libos/abi.h"
#include "libos/ofd.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum local_kind {
	LOCAL_NONE,
	LOCAL_NODE,
	LOCAL_FD,
	LOCAL_LINK,
};

struct local_look {
	int fd;      /* LOCAL_FD: number as in the path; it may be closed (-ENOENT) */
	size_t rest; /* LOCAL_FD, LOCAL_LINK: where in the path the remainder begins */
	char target[ABI_PATH_MAX]; /* LOCAL_LINK */
};

enum local_kind local_lookup(const char *path, struct local_look *l);

/* Names that must appear in readdir("/") although fsd does not know them: the
 * @i-th, or NULL. */
const char *local_root_name(unsigned i);

/* For LOCAL_NODE.  *@out: a new description with @flags but O_CLOEXEC and the
 * O_CREAT family. */
long local_open(const char *path, int flags, uint32_t mode, struct ofd **out);

/* For all kinds but LOCAL_NONE; a link as last component is not followed. */
long local_stat(const char *path, struct kstat *st);
long local_readlink(const char *path, char *to, size_t size); /* length, no NUL */
long local_access(const char *path, int mode);

/* /dev/shm alone can change; the rest answers EPERM, EACCES, EROFS, EXDEV as a
 * read-only mount of Linux's does. */
long local_unlink(const char *path);
long local_rmdir(const char *path);
long local_mkdir(const char *path, uint32_t mode);
long local_mknod(const char *path, uint32_t mode);
long local_symlink(const char *target, const char *path);
long local_link(const char *from, const char *to);
long local_rename(const char *from, const char *to, unsigned flags);
long local_truncate(const char *path, uint64_t size);
long local_chmod(const char *path, uint32_t mode);
long local_chown(const char *path, uint32_t uid, uint32_t gid);
long local_utimens(const char *path, const struct timespec times[2]);
struct statfs;
long local_statfs(const char *path, struct statfs *sf);

/* The same by description, for fchmod and so on: for kinds that are not OFD_FILE.
 * Sockets, pipes and other anonymous kinds keep nothing: 0, as Linux. */
long local_fchmod(struct ofd *o, uint32_t mode);
long local_fchown(struct ofd *o, uint32_t uid, uint32_t gid);
long local_futimens(struct ofd *o, const struct timespec times[2]);
long local_fstatfs(struct ofd *o, struct statfs *sf);
/* What readlink(/proc/self/fd/N) says of a description: length or error. */
long local_fd_name(struct ofd *o, char *to, size_t size);

/* ---- pipes with a name (pipe.c): FIFOs of a file system ---- */

/* Open the FIFO that fsd knows as @dev, @ino: waits for the other end as Linux
 * does (O_RDWR never; O_NONBLOCK: -ENXIO for a lone writer).  -ERESTARTSYS. */
long fifo_open(uint64_t dev, uint64_t ino, int flags, struct ofd **out);

/* ---- the file client provides ---- */

/* The current directory as an absolute path: length. */
long file_cwd_path(char *to, size_t size);
/* The path an OFD_FILE was opened by (" (deleted)" if known): length. */
long file_ofd_path(struct ofd *o, char *to, size_t size);
/* AF_UNIX names.  Make a socket node (-EADDRINUSE if @path exists) and tell its
 * identity; find one by path, following links (-ECONNREFUSED if it is no socket). */
long file_make_socket(const char *path, uint64_t *dev, uint64_t *ino);
long file_find_socket(const char *path, uint64_t *dev, uint64_t *ino);

#endif /* LIBOS_LOCAL_H */
