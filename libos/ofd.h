/* SPDX-License-Identifier: MIT */
/*
 * ofd.h - open file descriptions and the descriptor table.
 *
 * A kind of object (fsd file, netd socket, pipe, eventfd, epoll, console...)
 * is a table of operations and a struct that begins with struct ofd.  A missing
 * operation answers the errno that Linux gives for that kind (see ofd.c).
 *
 * Layer:     libos.
 * Ownership: the table holds one reference per fd; ofd_get() lends another, to
 *            be returned with ofd_put().  The last put calls ops->release().
 * Locking:   the table's lock is a leaf.  Operations are called without locks.
 * Memory:    objects from fixed pools (pool.h); the table is static.
 * Errors:    0 or a value >= 0 on success, a negative errno on failure.
 */
#ifndef LIBOS_OFD_H
#define LIBOS_OFD_H

#include "libos/user.h"
#include "libos/wait.h"

#include <stdbool.h>
#include <stdint.h>

#define FDTABLE_MAX 65536 /* hard limit of RLIMIT_NOFILE; soft 1024 at start */

struct ofd;
struct kstat;  /* Linux x86-64 struct stat: libos/abi.h */
struct flock;

enum ofd_kind {
	OFD_FILE = 1, /* fsd handle */
	OFD_SOCKET,   /* netd */
	OFD_UNIX,     /* in-guest AF_UNIX */
	OFD_NETLINK,
	OFD_PIPE,
	OFD_EVENTFD,
	OFD_TIMERFD,
	OFD_SIGNALFD,
	OFD_EPOLL,
	OFD_CONSOLE,
	OFD_DEV,      /* /dev/null and so on */
	OFD_PROC,     /* synthesized text */
	OFD_SHM,      /* memfd, /dev/shm */
	OFD_INOTIFY,
	OFD_MQ,
};

struct ofd_ops {
	enum ofd_kind kind;
	/* Move data at *@pos (NULL: at the description's own position, or a stream).
	 * Returns bytes moved.  Honours o->flags & O_NONBLOCK. */
	long (*read)(struct ofd *o, struct uio *u, const uint64_t *pos);
	long (*write)(struct ofd *o, struct uio *u, const uint64_t *pos);
	/* EPOLL* bits that hold now.  Must be cheap and never block. */
	uint32_t (*poll)(struct ofd *o);
	long (*seek)(struct ofd *o, int64_t off, int whence);
	long (*ioctl)(struct ofd *o, unsigned long req, void *user_arg);
	long (*stat)(struct ofd *o, struct kstat *st);
	long (*truncate)(struct ofd *o, uint64_t size);
	long (*sync)(struct ofd *o, int datasync);
	long (*fallocate)(struct ofd *o, int mode, uint64_t off, uint64_t len);
	long (*getdents)(struct ofd *o, void *user_buf, size_t len, bool old_layout);
	long (*lock)(struct ofd *o, int cmd, struct flock *fl); /* F_*LK*, F_OFD_* */
	long (*flock)(struct ofd *o, int op);
	long (*set_flags)(struct ofd *o, uint32_t flags); /* F_SETFL's effect beyond o->flags */
	/* Map @len bytes at @off; NULL: ENODEV. */
	long (*mmap)(struct ofd *o, void *addr, size_t len, int prot, int flags, uint64_t off);
	/* One descriptor is being closed (drop POSIX locks; delayed write errors). */
	long (*close)(struct ofd *o);
	void (*release)(struct ofd *o); /* last reference gone; frees the object */
	bool pollable;  /* false: epoll_ctl gives EPERM (files, directories) */
	bool rings;     /* readiness comes from a service: park with PARK_RINGS */
};

struct ofd {
	const struct ofd_ops *ops;
	_Atomic uint32_t refs;
	_Atomic uint32_t flags; /* O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECT | O_PATH ... */
	struct waitq wait;      /* told of changes of poll() */
	struct lock pos_lock_word; /* see ofd_pos_lock() */
	uint64_t pos;           /* file position, under the position lock */
	uint32_t owner;         /* F_SETOWN */
	int16_t owner_sig;      /* F_SETSIG */
	bool owner_thread;      /* F_SETOWN_EX named a thread */
	struct fasync *async;   /* O_ASYNC is on: fasync.c */
};

void ofd_init(struct ofd *o, const struct ofd_ops *ops, uint32_t flags); /* refs = 1 */

/* The sleeping, interruptible lock of the position, held across an RPC.
 * 0 or -ERESTARTSYS. */
int ofd_pos_lock(struct ofd *o) __attribute__((warn_unused_result));
void ofd_pos_unlock(struct ofd *o);

/* A bit of waitq_wake() that is no EPOLL* bit: the position lock was freed. */
#define OFD_EV_POS (1u << 27)

struct ofd *ofd_get(int fd);        /* NULL: EBADF */
struct ofd *ofd_get_io(int fd);     /* the same, but NULL for O_PATH descriptors too */
struct ofd *ofd_ref(struct ofd *o);
void ofd_put(struct ofd *o);
/* fstat() of any kind: ops->stat, or what Linux shows where there is no inode. */
long ofd_stat(struct ofd *o, struct kstat *st);
/* A reference through a pointer that keeps none: false if the last one has gone
 * (ops->release() runs, or ran, and will or did clear that pointer). */
bool ofd_ref_if_live(struct ofd *o) __attribute__((warn_unused_result));
/* EPOLL* bits that hold now; a kind without a poll operation is always ready. */
uint32_t ofd_poll(struct ofd *o);

/* Install at the lowest free fd >= @min below RLIMIT_NOFILE; takes the caller's
 * reference on success.  Returns fd, -EMFILE, -EINVAL. */
int fd_install(struct ofd *o, int min, bool cloexec) __attribute__((warn_unused_result));
/* Put at exactly @fd (dup2): closes what was there.  Takes the reference. */
int fd_install_at(struct ofd *o, int fd, bool cloexec) __attribute__((warn_unused_result));
long fd_close(int fd);
int fd_get_cloexec(int fd); /* 0, 1, -EBADF */
int fd_set_cloexec(int fd, bool on);
bool fd_room(void); /* fd_install() at 0 would find a number now */
/* The next open fd >= @fd, or -1: for close_range, /proc/self/fd. */
int fd_next(int fd);
unsigned fd_limit(void);          /* soft RLIMIT_NOFILE */
void fd_set_limit(unsigned n);

/* Deadline in CLOCK_MONOTONIC ns for a nonblocking-or-forever wait. */
static inline bool ofd_nonblock(const struct ofd *o)
{
	return (o->flags & 04000u) != 0; /* O_NONBLOCK */
}

#endif /* LIBOS_OFD_H */
