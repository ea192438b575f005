/* SPDX-License-Identifier: MIT */
/*
 * file_stat.c - asking about files: stat and statx, access, readlink, statfs.
 */
#include "libos/file.h"
#include "libos/identity.h"
#include "libos/path.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define K_STATX_SYNC_TYPE 0x6000 /* AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC */
#define K_NO_AUTOMOUNT 0x800
#define K_STATX_RESERVED 0x80000000u
#define K_STATX_BASIC 0x7ffu
#define K_STATX_BTIME 0x800u

static uint32_t fsd_flags(const struct fpath *p, uint32_t at_flags)
{
	return p->len == 0 ? at_flags | AT_EMPTY_PATH
	                   : at_flags & ~(uint32_t)AT_EMPTY_PATH;
}

void file_attr_to_kstat(const File__Attr *a, struct kstat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_dev = a->dev;
	st->st_ino = a->ino;
	st->st_nlink = a->nlink;
	st->st_mode = a->mode;
	st->st_uid = a->uid;
	st->st_gid = a->gid;
	st->st_rdev = a->rdev;
	st->st_size = (int64_t)a->size;
	st->st_blksize = a->blksize;
	st->st_blocks = (int64_t)a->blocks;
	st->st_atime_sec = a->atime;
	st->st_atime_nsec = a->atime_ns;
	st->st_mtime_sec = a->mtime;
	st->st_mtime_nsec = a->mtime_ns;
	st->st_ctime_sec = a->ctime;
	st->st_ctime_nsec = a->ctime_ns;
}

/* ---- stat ---- */

/* The reply's attributes (in @call), or an error. */
static long ask_attr(uint32_t base, const char *text, uint32_t len, uint32_t at_flags,
                     struct rpc_call *call, const File__Attr **attr)
{
	File__PathReq req = FILE__PATH_REQ__INIT;
	int r = file_cred(&req.cred);

	if (r < 0)
		return r;
	rpc_call_init(call);
	req.at = base;
	req.path = file_bytes(text, len);
	req.flags = at_flags;
	FILE_CALL(stat, AttrRep, &req, call);
	if (call->err)
		return call->err;
	*attr = ((const File__AttrRep *)call->reply)->attr;
	return *attr ? 0 : -EIO;
}

long file_stat_handle(uint32_t handle, struct kstat *st)
{
	const File__Attr *attr;
	struct rpc_call call;
	long r = ask_attr(handle, "", 0, AT_EMPTY_PATH, &call, &attr);

	if (r == 0)
		file_attr_to_kstat(attr, st);
	return r;
}

long file_stat_path(const struct fpath *p, uint32_t at_flags, struct kstat *st)
{
	const File__Attr *attr;
	struct rpc_call call;
	long r;

	r = ask_attr(p->base, p->text, p->len, fsd_flags(p, at_flags), &call, &attr);
	if (r == 0)
		file_attr_to_kstat(attr, st);
	return r;
}

static unsigned path_flags(int at_flags)
{
	unsigned f = 0;

	if (at_flags & AT_SYMLINK_NOFOLLOW)
		f |= PATH_NOFOLLOW;
	if (at_flags & AT_EMPTY_PATH)
		f |= PATH_EMPTY;
	return f;
}

static long do_stat(int dirfd, const char *user_path, struct kstat *user_st, int flags)
{
	struct kstat st;
	struct fpath p;
	long r;

	if (flags &
	    ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | K_NO_AUTOMOUNT | K_STATX_SYNC_TYPE))
		return -EINVAL;
	r = path_get(&p, dirfd, user_path, path_flags(flags));
	if (r < 0)
		return r;
	do {
		if (p.where == PATH_FSD)
			r = file_stat_path(&p, (uint32_t)flags & AT_SYMLINK_NOFOLLOW,
			                   &st);
		else if (p.where == PATH_LOCAL)
			r = local_stat(p.text, &st);
		else
			r = ofd_stat(p.ofd, &st);
	} while (path_again(&p, path_flags(flags), &r));
	path_put(&p);
	if (r == 0 && user_copy_out(user_st, &st, sizeof(st)))
		r = -EFAULT;
	return r;
}

SYSCALL(stat, const char *user_path, struct kstat *user_st)
{
	return do_stat(AT_FDCWD, user_path, user_st, 0);
}

SYSCALL(lstat, const char *user_path, struct kstat *user_st)
{
	return do_stat(AT_FDCWD, user_path, user_st, AT_SYMLINK_NOFOLLOW);
}

SYSCALL(newfstatat, int dirfd, const char *user_path, struct kstat *user_st, int flags)
{
	return do_stat(dirfd, user_path, user_st, flags);
}

/* ---- statx ---- */

static uint32_t dev_major(uint64_t dev)
{
	return (uint32_t)((dev >> 8 & 0xfff) | (dev >> 32 & ~0xfffull));
}

static uint32_t dev_minor(uint64_t dev)
{
	return (uint32_t)((dev & 0xff) | (dev >> 12 & ~0xffull));
}

static void kstat_to_statx(const struct kstat *st, struct kstatx *x)
{
	memset(x, 0, sizeof(*x));
	x->stx_mask = K_STATX_BASIC;
	x->stx_blksize = (uint32_t)st->st_blksize;
	x->stx_nlink = (uint32_t)st->st_nlink;
	x->stx_uid = st->st_uid;
	x->stx_gid = st->st_gid;
	x->stx_mode = (uint16_t)st->st_mode;
	x->stx_ino = st->st_ino;
	x->stx_size = (uint64_t)st->st_size;
	x->stx_blocks = (uint64_t)st->st_blocks;
	x->stx_atime =
	        (struct kstatx_time){st->st_atime_sec, (uint32_t)st->st_atime_nsec, 0};
	x->stx_mtime =
	        (struct kstatx_time){st->st_mtime_sec, (uint32_t)st->st_mtime_nsec, 0};
	x->stx_ctime =
	        (struct kstatx_time){st->st_ctime_sec, (uint32_t)st->st_ctime_nsec, 0};
	x->stx_rdev_major = dev_major(st->st_rdev);
	x->stx_rdev_minor = dev_minor(st->st_rdev);
	x->stx_dev_major = dev_major(st->st_dev);
	x->stx_dev_minor = dev_minor(st->st_dev);
}

static long fsd_statx(const struct fpath *p, uint32_t at_flags, struct kstatx *x)
{
	const File__Attr *attr;
	struct rpc_call call;
	struct kstat st;
	long r;

	r = ask_attr(p->base, p->text, p->len, fsd_flags(p, at_flags), &call, &attr);
	if (r < 0)
		return r;
	file_attr_to_kstat(attr, &st);
	kstat_to_statx(&st, x);
	if (attr->stx_mask & K_STATX_BTIME) {
		x->stx_mask |= K_STATX_BTIME;
		x->stx_btime = (struct kstatx_time){attr->btime, attr->btime_ns, 0};
	}
	return 0;
}

SYSCALL(statx, int dirfd, const char *user_path, int flags, uint32_t mask,
        struct kstatx *user_statx)
{
	struct kstatx x;
	struct kstat st;
	struct fpath p;
	long r;

	if ((mask & K_STATX_RESERVED) ||
	    (flags & K_STATX_SYNC_TYPE) == K_STATX_SYNC_TYPE)
		return -EINVAL;
	if (flags &
	    ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | K_NO_AUTOMOUNT | K_STATX_SYNC_TYPE))
		return -EINVAL;
	r = path_get(&p, dirfd, user_path, path_flags(flags));
	if (r < 0)
		return r;
	do {
		if (p.where == PATH_FSD) {
			r = fsd_statx(&p, (uint32_t)flags & AT_SYMLINK_NOFOLLOW, &x);
		} else {
			r = p.where == PATH_LOCAL ? local_stat(p.text, &st)
			                          : ofd_stat(p.ofd, &st);
			if (r == 0)
				kstat_to_statx(&st, &x);
		}
	} while (path_again(&p, path_flags(flags), &r));
	path_put(&p);
	if (r == 0 && user_copy_out(user_statx, &x, sizeof(x)))
		r = -EFAULT;
	return r;
}

/* ---- access ---- */

static long fsd_access(const struct fpath *p, int mode, int flags)
{
	File__PathReq req;
	const struct cred *c = cred_current();
	struct rpc_call call;
	int r = file_path_req(&req, &call, p, fsd_flags(p, (uint32_t)flags));

	if (r < 0)
		return r;
	req.mode = (uint32_t)mode;
	req.real_uid = c->uid;
	req.real_gid = c->gid;
	FILE_CALL(access, Empty, &req, &call);
	return call.err;
}

/* By mode bits: for what is not a file of fsd (pipes, sockets...): it is ours. */
static long ofd_access(struct ofd *o, int mode)
{
	struct kstat st;
	long r = ofd_stat(o, &st);

	if (r < 0)
		return r;
	if (mode & X_OK)
		return st.st_mode & 0111 ? 0 : -EACCES;
	return 0;
}

static long do_access(int dirfd, const char *user_path, int mode, int flags)
{
	struct fpath p;
	long r;

	if ((mode & ~(R_OK | W_OK | X_OK)) ||
	    (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return -EINVAL;
	r = path_get(&p, dirfd, user_path, path_flags(flags));
	if (r < 0)
		return r;
	do {
		if (p.where == PATH_FSD)
			r = fsd_access(&p, mode,
			               flags & (AT_EACCESS | AT_SYMLINK_NOFOLLOW));
		else if (p.where == PATH_LOCAL)
			r = local_access(p.text, mode);
		else
			r = ofd_access(p.ofd, mode);
	} while (path_again(&p, path_flags(flags), &r));
	path_put(&p);
	return r;
}

SYSCALL(access, const char *user_path, int mode)
{
	return do_access(AT_FDCWD, user_path, mode, 0);
}

SYSCALL(faccessat, int dirfd, const char *user_path, int mode)
{
	return do_access(dirfd, user_path, mode, 0);
}

SYSCALL(faccessat2, int dirfd, const char *user_path, int mode, int flags)
{
	return do_access(dirfd, user_path, mode, flags);
}

/* ---- readlink ---- */

static long fsd_readlink(const struct fpath *p, char *to, size_t size)
{
	File__PathReq req;
	struct file_buf b = {.p = (uint8_t *)to, .cap = size};
	struct rpc_call call;
	int r = file_path_req(&req, &call, p, fsd_flags(p, 0));

	if (r < 0)
		return r;
	file_take(&call, &b);
	FILE_CALL(readlink, Empty, &req, &call);
	return call.err ? call.err : (long)b.len;
}

static long do_readlink(int dirfd, const char *user_path, char *user_buf, int size)
{
	char target[ABI_PATH_MAX];
	struct fpath p;
	bool empty;
	long r;

	if (size <= 0)
		return -EINVAL;
	r = path_get(&p, dirfd, user_path, PATH_NOFOLLOW | PATH_EMPTY);
	if (r < 0)
		return r;
	empty = p.len == 0;
	do {
		if (empty && dirfd == AT_FDCWD)
			r = -ENOENT;
		else if (p.where == PATH_FSD)
			r = fsd_readlink(&p, target, sizeof(target));
		else if (p.where == PATH_LOCAL)
			r = local_readlink(p.text, target, sizeof(target));
		else
			r = -EINVAL;
	} while (path_again(&p, PATH_NOFOLLOW, &r));
	path_put(&p);
	if (empty && r == -EINVAL)
		r = -ENOENT;
	if (r < 0)
		return r;
	if (r > size)
		r = size;
	return user_copy_out(user_buf, target, (size_t)r) ? -EFAULT : r;
}

SYSCALL(readlink, const char *user_path, char *user_buf, int size)
{
	return do_readlink(AT_FDCWD, user_path, user_buf, size);
}

SYSCALL(readlinkat, int dirfd, const char *user_path, char *user_buf, int size)
{
	return do_readlink(dirfd, user_path, user_buf, size);
}

/* ---- statfs ---- */

static long fsd_statfs(const struct fpath *p, struct statfs *sf)
{
	File__PathReq req;
	const File__StatfsRep *rep;
	struct rpc_call call;
	int r = file_path_req(&req, &call, p, fsd_flags(p, 0));

	if (r < 0)
		return r;
	FILE_CALL(statfs, StatfsRep, &req, &call);
	if (call.err)
		return call.err;
	rep = (const File__StatfsRep *)call.reply;
	memset(sf, 0, sizeof(*sf));
	sf->f_type = (__typeof__(sf->f_type))rep->type;
	sf->f_bsize = (__typeof__(sf->f_bsize))rep->bsize;
	sf->f_blocks = rep->blocks;
	sf->f_bfree = rep->bfree;
	sf->f_bavail = rep->bavail;
	sf->f_files = rep->files;
	sf->f_ffree = rep->ffree;
	memcpy(&sf->f_fsid, &rep->fsid, sizeof(sf->f_fsid));
	sf->f_namelen = (__typeof__(sf->f_namelen))rep->namelen;
	sf->f_frsize = (__typeof__(sf->f_frsize))rep->frsize;
	sf->f_flags = (__typeof__(sf->f_flags))rep->flags;
	return 0;
}

static long finish_statfs(struct fpath *p, struct statfs *user_sf)
{
	struct statfs sf;
	long r;

	do {
		if (p->where == PATH_FSD)
			r = fsd_statfs(p, &sf);
		else if (p->where == PATH_LOCAL)
			r = local_statfs(p->text, &sf);
		else
			r = local_fstatfs(p->ofd, &sf);
	} while (path_again(p, 0, &r));
	path_put(p);
	if (r == 0 && user_copy_out(user_sf, &sf, sizeof(sf)))
		r = -EFAULT;
	return r;
}

SYSCALL(statfs, const char *user_path, struct statfs *user_sf)
{
	struct fpath p;
	long r = path_get(&p, AT_FDCWD, user_path, 0);

	return r < 0 ? r : finish_statfs(&p, user_sf);
}

SYSCALL(fstatfs, int fd, struct statfs *user_sf)
{
	struct fpath p;
	long r = path_get_fd(&p, fd == AT_FDCWD ? -1 : fd);

	return r < 0 ? r : finish_statfs(&p, user_sf);
}
