/* SPDX-License-Identifier: MIT */
/*
 * fdcalls.c - calls about a descriptor or a description, of any kind: close, dup,
 * fcntl, ioctl, fstat, ftruncate, fsync, fallocate, flock, getdents, close_range.
 */
#include "libos/abi.h"
#include "libos/fasync.h"
#include "libos/io.h"
#include "libos/pipe.h"
#include "libos/process.h"
#include "libos/shm.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* F_SETFL may change these. */
#define FL_CHANGEABLE ((uint32_t)(O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME))
#define FL_ASYNC 020000u

SYSCALL(close, long fd)
{
	return fd_close((int)fd);
}

/* ---- dup ---- */

static long dup_from(int fd, int min, bool cloexec)
{
	struct ofd *o = ofd_get(fd);
	int r;

	if (!o)
		return -EBADF;
	r = fd_install(o, min, cloexec); /* takes our reference */
	if (r < 0)
		ofd_put(o);
	return r;
}

static long dup_to(int fd, int to, bool cloexec)
{
	struct ofd *o = ofd_get(fd);
	int r;

	if (!o)
		return -EBADF;
	r = fd_install_at(o, to, cloexec);
	if (r < 0)
		ofd_put(o);
	return r;
}

SYSCALL(dup, long fd)
{
	return dup_from((int)fd, 0, false);
}

SYSCALL(dup2, long fd, long to)
{
	if ((int)fd == (int)to)
		return fd_get_cloexec((int)fd) < 0 ? -EBADF : (int)fd;
	return dup_to((int)fd, (int)to, false);
}

SYSCALL(dup3, long fd, long to, long flags)
{
	if ((flags & ~(long)O_CLOEXEC) || (int)fd == (int)to)
		return -EINVAL;
	return dup_to((int)fd, (int)to, (flags & O_CLOEXEC) != 0);
}

SYSCALL(close_range, long first_arg, long last_arg, long flags)
{
	unsigned first = (unsigned)first_arg, last = (unsigned)last_arg;

	/* There is one table, so UNSHARE has nothing to do. */
	if ((flags & ~(long)(ABI_CLOSE_RANGE_UNSHARE | ABI_CLOSE_RANGE_CLOEXEC)) ||
	    first > last)
		return -EINVAL;
	if (first >= FDTABLE_MAX)
		return 0;
	for (int fd = fd_next((int)first); fd >= 0 && (unsigned)fd <= last;
	     fd = fd_next(fd + 1)) {
		if (flags & ABI_CLOSE_RANGE_CLOEXEC)
			(void)fd_set_cloexec(fd, true); /* closed meanwhile: fine */
		else
			(void)fd_close(fd); /* as Linux: errors are not told */
	}
	return 0;
}

/* ---- fcntl ---- */

static long set_flags(struct ofd *o, int fd, uint32_t want)
{
	uint32_t old = o->flags;
	uint32_t flags = (old & ~FL_CHANGEABLE) | (want & FL_CHANGEABLE);
	long r = 0;

	if (o->ops->set_flags)
		r = o->ops->set_flags(o, flags);
	/* Kinds without it keep silent, as in Linux. */
	if (r == 0 && ((want ^ old) & FL_ASYNC) && fasync_possible(o))
		r = fasync_set(o, fd, (want & FL_ASYNC) != 0);
	if (r < 0)
		return r;
	o->flags = flags | (o->flags & FL_ASYNC);
	return 0;
}

/* Locks of kinds that no other guest can reach: one process, so POSIX locks never
 * conflict.  Locks of a description are kept for files only. */
static long lock_local(const struct ofd *o, int cmd, struct flock *fl)
{
	if (cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW)
		return -EINVAL;
	if (fl->l_type != F_RDLCK && fl->l_type != F_WRLCK && fl->l_type != F_UNLCK)
		return -EINVAL;
	if (cmd == F_GETLK) {
		fl->l_type = F_UNLCK;
		return 0;
	}
	if ((fl->l_type == F_RDLCK && (o->flags & ABI_ACCMODE) == O_WRONLY) ||
	    (fl->l_type == F_WRLCK && (o->flags & ABI_ACCMODE) == O_RDONLY))
		return -EBADF;
	return 0;
}

static long lock_call(struct ofd *o, int cmd, void *user_fl)
{
	struct flock fl;
	long r;

	if (user_copy_in(&fl, user_fl, sizeof(fl)) != 0)
		return -EFAULT;
	r = o->ops->lock ? o->ops->lock(o, cmd, &fl) : lock_local(o, cmd, &fl);
	if (r == 0 && (cmd == F_GETLK || cmd == F_OFD_GETLK) &&
	    user_copy_out(user_fl, &fl, sizeof(fl)) != 0)
		return -EFAULT;
	return r;
}

/* o->owner as F_SETOWN takes it: pid, or negative process group. */
struct owner_ex {
	int type, pid;
};

static long get_owner_ex(const struct ofd *o, void *user)
{
	int owner = (int)o->owner;
	struct owner_ex ex = {.type = owner < 0 ? F_OWNER_PGRP : F_OWNER_PID,
	                      .pid = owner < 0 ? -owner : owner};

	if (o->owner_thread)
		ex.type = F_OWNER_TID;
	return user_copy_out(user, &ex, sizeof(ex));
}

/* There is one process, its group, and its threads. */
static long set_owner(struct ofd *o, int owner, bool thread)
{
	if (owner < 0 ? -owner != (int)PROCESS_PID : !process_knows(owner))
		return -ESRCH;
	o->owner = (uint32_t)owner;
	o->owner_thread = thread && owner > 0;
	return 0;
}

static long set_owner_ex(struct ofd *o, const void *user)
{
	struct owner_ex ex;

	if (user_copy_in(&ex, user, sizeof(ex)) != 0)
		return -EFAULT;
	if (ex.type < F_OWNER_TID || ex.type > F_OWNER_PGRP || ex.pid < 0)
		return -EINVAL;
	return set_owner(o, ex.type == F_OWNER_PGRP ? -ex.pid : ex.pid, ex.type == F_OWNER_TID);
}

static long owner_call(struct ofd *o, int cmd, long arg)
{
	switch (cmd) {
	case F_SETOWN:
		if ((int)arg == INT_MIN)
			return -EINVAL;
		return set_owner(o, (int)arg, false);
	case F_GETOWN:
		return (int)o->owner;
	case F_SETOWN_EX:
		return set_owner_ex(o, (const void *)arg);
	case F_GETOWN_EX:
		return get_owner_ex(o, (void *)arg);
	case F_SETSIG:
		if (arg < 0 || arg > ABI_NSIG)
			return -EINVAL;
		o->owner_sig = (int16_t)arg;
		return 0;
	default: /* F_GETSIG */
		return o->owner_sig;
	}
}

/* What works on a description that can do I/O. */
static long fcntl_io(struct ofd *o, int fd, int cmd, long arg)
{
	switch (cmd) {
	case F_SETFL:
		return set_flags(o, fd, (uint32_t)arg);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return lock_call(o, cmd, (void *)arg);
	case F_SETOWN:
	case F_GETOWN:
	case F_SETOWN_EX:
	case F_GETOWN_EX:
	case F_SETSIG:
	case F_GETSIG:
		return owner_call(o, cmd, arg);
	case F_GETPIPE_SZ:
		return pipe_get_size(o);
	case F_SETPIPE_SZ:
		return pipe_set_size(o, (unsigned)arg);
	case F_ADD_SEALS:
		return shm_add_seals(o, (unsigned)arg);
	case F_GET_SEALS:
		return shm_get_seals(o);
	case F_GETLEASE:
		return F_UNLCK;
	case F_SETLEASE:
		return o->ops->kind == OFD_FILE ? -EAGAIN : -EINVAL;
	default:
		return -EINVAL;
	}
}

SYSCALL(fcntl, long fd, long cmd, long arg)
{
	struct ofd *o;
	long r;

	switch ((int)cmd) {
	case F_DUPFD:
		return dup_from((int)fd, (int)arg, false);
	case F_DUPFD_CLOEXEC:
		return dup_from((int)fd, (int)arg, true);
	case F_GETFD:
		return fd_get_cloexec((int)fd);
	case F_SETFD:
		return fd_set_cloexec((int)fd, (arg & FD_CLOEXEC) != 0);
	default:
		break;
	}
	o = ofd_get((int)fd);
	if (!o)
		return -EBADF;
	if (cmd == F_GETFL)
		r = (long)o->flags;
	else if (o->flags & (uint32_t)O_PATH)
		r = -EBADF;
	else
		r = fcntl_io(o, (int)fd, (int)cmd, arg);
	ofd_put(o);
	return r;
}

/* ---- ioctl ---- */

#define FIOSETOWN_REQ 0x8901u
#define SIOCSPGRP_REQ 0x8902u
#define FIOGETOWN_REQ 0x8903u
#define SIOCGPGRP_REQ 0x8904u

static long ioctl_nonblock(struct ofd *o, int fd, const void *user_on)
{
	int on;

	if (user_copy_in(&on, user_on, sizeof(on)) != 0)
		return -EFAULT;
	return set_flags(o, fd,
	                 on ? o->flags | O_NONBLOCK : o->flags & ~(uint32_t)O_NONBLOCK);
}

static long ioctl_async(struct ofd *o, int fd, const void *user_on)
{
	int on;

	if (user_copy_in(&on, user_on, sizeof(on)) != 0)
		return -EFAULT;
	if (!fasync_possible(o))
		return on ? -ENOTTY : 0;
	return fasync_set(o, fd, on != 0);
}

/* What F_SETOWN and F_GETOWN were called before: for sockets only. */
static long ioctl_owner(struct ofd *o, unsigned req, void *user_id)
{
	const int kind = (int)o->ops->kind;
	int id = (int)o->owner;

	if (kind != OFD_SOCKET && kind != OFD_UNIX && kind != OFD_NETLINK)
		return -ENOTTY;
	if (req == FIOGETOWN_REQ || req == SIOCGPGRP_REQ)
		return user_copy_out(user_id, &id, sizeof(id));
	if (user_copy_in(&id, user_id, sizeof(id)) != 0)
		return -EFAULT;
	return id == INT_MIN ? -EINVAL : set_owner(o, id, false);
}

SYSCALL(ioctl, long fd, long req_arg, void *arg)
{
	unsigned req = (unsigned)req_arg;
	struct ofd *o = ofd_get_io((int)fd);
	long r;

	if (!o)
		return -EBADF;
	switch (req) {
	case FIOCLEX:
	case FIONCLEX:
		r = fd_set_cloexec((int)fd, req == FIOCLEX);
		break;
	case FIONBIO:
		r = ioctl_nonblock(o, (int)fd, arg);
		break;
	case FIOASYNC:
		r = ioctl_async(o, (int)fd, arg);
		break;
	case FIOSETOWN_REQ:
	case SIOCSPGRP_REQ:
	case FIOGETOWN_REQ:
	case SIOCGPGRP_REQ:
		r = ioctl_owner(o, req, arg);
		break;
	default:
		r = o->ops->ioctl ? o->ops->ioctl(o, req, arg) : -ENOTTY;
	}
	ofd_put(o);
	return r;
}

/* ---- the object behind it ---- */

long ofd_stat(struct ofd *o, struct kstat *st)
{
	if (o->ops->stat)
		return o->ops->stat(o, st);
	/* What Linux shows for descriptors without an inode of their own. */
	*st = (struct kstat){.st_dev = 14,
	                     .st_ino = 1,
	                     .st_nlink = 1,
	                     .st_mode = 0600,
	                     .st_blksize = 4096};
	return 0;
}

SYSCALL(fstat, long fd, void *user_st)
{
	struct ofd *o = ofd_get((int)fd);
	struct kstat st;
	long r;

	if (!o)
		return -EBADF;
	r = ofd_stat(o, &st);
	ofd_put(o);
	if (r == 0 && user_copy_out(user_st, &st, sizeof(st)) != 0)
		return -EFAULT;
	return r;
}

SYSCALL(ftruncate, long fd, long size)
{
	struct ofd *o;
	long r = -EINVAL;

	if (size < 0)
		return -EINVAL;
	o = ofd_get_io((int)fd);
	if (!o)
		return -EBADF;
	if (o->ops->truncate && (o->flags & ABI_ACCMODE) != O_RDONLY)
		r = o->ops->truncate(o, (uint64_t)size);
	ofd_put(o);
	return r;
}

static long sync_fd(long fd, int datasync)
{
	struct ofd *o = ofd_get_io((int)fd);
	long r;

	if (!o)
		return -EBADF;
	r = o->ops->sync ? o->ops->sync(o, datasync) : -EINVAL;
	ofd_put(o);
	return r;
}

SYSCALL(fsync, long fd)
{
	return sync_fd(fd, 0);
}

SYSCALL(fdatasync, long fd)
{
	return sync_fd(fd, 1);
}

static bool fallocate_mode_ok(long mode)
{
	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case 0x10: /* FALLOC_FL_ZERO_RANGE */
	case 0x10 | FALLOC_FL_KEEP_SIZE:
		return true;
	default: /* collapse, insert, unshare too */
		return false;
	}
}

SYSCALL(fallocate, long fd, long mode, long off, long len)
{
	struct ofd *o;
	long r;

	o = ofd_get_io((int)fd);
	if (!o)
		return -EBADF;
	if (off < 0 || len <= 0)
		r = -EINVAL;
	else if (!fallocate_mode_ok(mode))
		r = -EOPNOTSUPP;
	else if ((o->flags & ABI_ACCMODE) == O_RDONLY)
		r = -EBADF;
	else if (off > LONG_MAX - len)
		r = -EFBIG;
	else if (o->ops->fallocate)
		r = o->ops->fallocate(o, (int)mode, (uint64_t)off, (uint64_t)len);
	else
		r = o->ops->kind == OFD_PIPE ? -ESPIPE : -ENODEV;
	ofd_put(o);
	return r;
}

SYSCALL(flock, long fd, long op)
{
	struct ofd *o = ofd_get_io((int)fd);
	long r = 0;

	if (!o)
		return -EBADF;
	switch (op & ~(long)LOCK_NB) {
	case LOCK_SH:
	case LOCK_EX:
	case LOCK_UN:
		/* Kinds without it: a description that no other can conflict with. */
		if (o->ops->flock)
			r = o->ops->flock(o, (int)op);
		break;
	default:
		r = -EINVAL;
	}
	ofd_put(o);
	return r;
}

static long read_directory(long fd, void *user_buf, long len, bool old_layout)
{
	struct ofd *o = ofd_get_io((int)fd);
	long r;

	if (!o)
		return -EBADF;
	r = o->ops->getdents ? o->ops->getdents(o, user_buf, (unsigned)len, old_layout)
	                     : -ENOTDIR;
	ofd_put(o);
	return r;
}

SYSCALL(getdents64, long fd, void *user_buf, long len)
{
	return read_directory(fd, user_buf, len, false);
}

SYSCALL(getdents, long fd, void *user_buf, long len)
{
	return read_directory(fd, user_buf, len, true);
}
