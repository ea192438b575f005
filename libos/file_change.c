/* SPDX-License-Identifier: MIT */
/*
 * file_change.c - changing what a file is: mode, owner, times, size.
 */
#include "libos/file.h"
#include "libos/filemap.h"
#include "libos/limits.h"
#include "libos/path.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>

#define ID_KEEP UINT32_MAX

long file_set_attr(const struct fpath *p, uint32_t at_flags, File__SetAttrReq *req)
{
	const File__AttrRep *rep;
	struct rpc_call call;
	int r = file_cred(&req->cred);

	if (r < 0)
		return r;
	rpc_call_init(&call);
	req->at = p->base;
	req->path = file_bytes(p->text, p->len);
	req->flags = at_flags | (p->len == 0 ? AT_EMPTY_PATH : 0);
	FILE_CALL(set_attr, AttrRep, req, &call);
	if (call.err)
		return call.err;
	rep = (const File__AttrRep *)call.reply;
	if ((req->what & FILE_SET_SIZE) && rep->attr)
		filemap_resized(rep->attr->dev, rep->attr->ino, req->size);
	return 0;
}

static unsigned path_flags(int at_flags)
{
	return (at_flags & AT_SYMLINK_NOFOLLOW ? PATH_NOFOLLOW : 0) |
	       (at_flags & AT_EMPTY_PATH ? PATH_EMPTY : 0);
}

/* A descriptor as such: O_PATH ones are refused, as the f...() calls do. */
static long get_real_fd(struct fpath *p, int fd)
{
	long r = path_get_fd(p, fd == AT_FDCWD ? -1 : fd);

	if (r == 0 && (p->ofd->flags & 010000000u /* O_PATH */)) {
		path_put(p);
		return -EBADF;
	}
	return r;
}

/* ---- mode ---- */

static long chmod_at(struct fpath *p, uint32_t mode, int flags)
{
	File__SetAttrReq req = FILE__SET_ATTR_REQ__INIT;
	long r;

	mode &= 07777;
	req.what = FILE_SET_MODE;
	req.mode = mode;
	do {
		if (p->where == PATH_FSD)
			r = file_set_attr(p, (uint32_t)flags & AT_SYMLINK_NOFOLLOW,
			                  &req);
		else if (p->where == PATH_LOCAL)
			r = p->link ? -EOPNOTSUPP : local_chmod(p->text, mode);
		else
			r = local_fchmod(p->ofd, mode);
	} while (path_again(p, path_flags(flags), &r));
	path_put(p);
	return r;
}

static long do_chmod(int dirfd, const char *user_path, uint32_t mode, int flags)
{
	struct fpath p;
	long r;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	r = path_get(&p, dirfd, user_path, path_flags(flags));
	return r < 0 ? r : chmod_at(&p, mode, flags);
}

SYSCALL(chmod, const char *user_path, uint32_t mode)
{
	return do_chmod(AT_FDCWD, user_path, mode, 0);
}

SYSCALL(fchmodat, int dirfd, const char *user_path, uint32_t mode)
{
	return do_chmod(dirfd, user_path, mode, 0);
}

SYSCALL(fchmodat2, int dirfd, const char *user_path, uint32_t mode, int flags)
{
	return do_chmod(dirfd, user_path, mode, flags);
}

SYSCALL(fchmod, int fd, uint32_t mode)
{
	struct fpath p;
	long r = get_real_fd(&p, fd);

	return r < 0 ? r : chmod_at(&p, mode, 0);
}

/* ---- owner ---- */

static long chown_at(struct fpath *p, uint32_t uid, uint32_t gid, int flags)
{
	File__SetAttrReq req = FILE__SET_ATTR_REQ__INIT;
	long r;

	req.what = (uid != ID_KEEP ? FILE_SET_UID : 0) |
	           (gid != ID_KEEP ? FILE_SET_GID : 0);
	req.uid = uid;
	req.gid = gid;
	do {
		if (p->where == PATH_FSD)
			r = file_set_attr(p, (uint32_t)flags & AT_SYMLINK_NOFOLLOW,
			                  &req);
		else if (p->where == PATH_LOCAL)
			r = local_chown(p->text, uid, gid);
		else
			r = local_fchown(p->ofd, uid, gid);
	} while (path_again(p, path_flags(flags), &r));
	path_put(p);
	return r;
}

static long do_chown(int dirfd, const char *user_path, uint32_t uid, uint32_t gid,
                     int flags)
{
	struct fpath p;
	long r;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	r = path_get(&p, dirfd, user_path, path_flags(flags));
	return r < 0 ? r : chown_at(&p, uid, gid, flags);
}

SYSCALL(chown, const char *user_path, uint32_t uid, uint32_t gid)
{
	return do_chown(AT_FDCWD, user_path, uid, gid, 0);
}

SYSCALL(lchown, const char *user_path, uint32_t uid, uint32_t gid)
{
	return do_chown(AT_FDCWD, user_path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

SYSCALL(fchownat, int dirfd, const char *user_path, uint32_t uid, uint32_t gid,
        int flags)
{
	return do_chown(dirfd, user_path, uid, gid, flags);
}

SYSCALL(fchown, int fd, uint32_t uid, uint32_t gid)
{
	struct fpath p;
	long r = get_real_fd(&p, fd);

	return r < 0 ? r : chown_at(&p, uid, gid, 0);
}

/* ---- times ---- */

static bool nsec_ok(long ns)
{
	return (ns >= 0 && ns < 1000000000) || ns == UTIME_NOW || ns == UTIME_OMIT;
}

static long utimens_at(struct fpath *p, const struct timespec t[2], int flags)
{
	File__SetAttrReq req = FILE__SET_ATTR_REQ__INIT;
	long r;

	req.what = FILE_SET_TIMES;
	req.atime = t[0].tv_sec;
	req.atime_ns = (uint32_t)t[0].tv_nsec;
	req.mtime = t[1].tv_sec;
	req.mtime_ns = (uint32_t)t[1].tv_nsec;
	do {
		if (p->where == PATH_FSD)
			r = file_set_attr(p, (uint32_t)flags & AT_SYMLINK_NOFOLLOW,
			                  &req);
		else if (p->where == PATH_LOCAL)
			r = local_utimens(p->text, t);
		else
			r = local_futimens(p->ofd, t);
	} while (path_again(p, path_flags(flags), &r));
	path_put(p);
	return r;
}

static long do_utimens(int dirfd, const char *user_path, const struct timespec t[2],
                       int flags)
{
	struct fpath p;
	long r;

	if (!nsec_ok(t[0].tv_nsec) || !nsec_ok(t[1].tv_nsec))
		return -EINVAL;
	if (!user_path && dirfd != AT_FDCWD) {
		if (flags)
			return -EINVAL;
		r = get_real_fd(&p, dirfd);
	} else {
		if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
			return -EINVAL;
		r = path_get(&p, dirfd, user_path, path_flags(flags));
	}
	return r < 0 ? r : utimens_at(&p, t, flags);
}

SYSCALL(utimensat, int dirfd, const char *user_path, const struct timespec *user_times,
        int flags)
{
	struct timespec t[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};

	if (user_times) {
		if (user_copy_in(t, user_times, sizeof(t)))
			return -EFAULT;
		if (t[0].tv_nsec == UTIME_OMIT && t[1].tv_nsec == UTIME_OMIT)
			return 0; /* not even the path is looked at */
	}
	return do_utimens(dirfd, user_path, t, flags);
}

SYSCALL(futimesat, int dirfd, const char *user_path, const struct timeval *user_times)
{
	struct timespec t[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
	struct timeval tv[2];

	if (user_times) {
		if (user_copy_in(tv, user_times, sizeof(tv)))
			return -EFAULT;
		for (int i = 0; i < 2; i++) {
			if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
				return -EINVAL;
			t[i].tv_sec = tv[i].tv_sec;
			t[i].tv_nsec = tv[i].tv_usec * 1000;
		}
	}
	return do_utimens(dirfd, user_path, t, 0);
}

SYSCALL(utimes, const char *user_path, const struct timeval *user_times)
{
	return strait_sys_futimesat(AT_FDCWD, user_path, user_times);
}

SYSCALL(utime, const char *user_path, const int64_t *user_times)
{
	struct timespec t[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
	int64_t at[2];

	if (user_times) {
		if (user_copy_in(at, user_times, sizeof(at)))
			return -EFAULT;
		t[0] = (struct timespec){.tv_sec = at[0]};
		t[1] = (struct timespec){.tv_sec = at[1]};
	}
	return do_utimens(AT_FDCWD, user_path, t, 0);
}

/* ---- size ---- */

/* /proc/self/fd/N: by the file's mode, not by how that descriptor was opened. */
static long truncate_reopened(const struct fpath *p, uint64_t size)
{
	struct ofd *o;
	long r = file_open_at(p, O_WRONLY, 0, 0, &o);

	if (r < 0)
		return r;
	r = o->ops->truncate ? o->ops->truncate(o, size) : -EINVAL;
	ofd_put(o);
	return r;
}

static long truncate_fsd(const struct fpath *p, uint64_t size)
{
	File__SetAttrReq req = FILE__SET_ATTR_REQ__INIT;

	if (p->len == 0)
		return truncate_reopened(p, size);
	if (size > 0 && limits_file_room(size - 1, 1) == 0)
		return -EFBIG;
	req.what = FILE_SET_SIZE;
	req.size = size;
	return file_set_attr(p, 0, &req);
}

SYSCALL(truncate, const char *user_path, int64_t size)
{
	struct fpath p;
	long r;

	if (size < 0)
		return -EINVAL;
	r = path_get(&p, AT_FDCWD, user_path, 0);
	if (r < 0)
		return r;
	do {
		if (p.where == PATH_FSD)
			r = truncate_fsd(&p, (uint64_t)size);
		else if (p.where == PATH_LOCAL)
			r = local_truncate(p.text, (uint64_t)size);
		else
			r = p.ofd->ops->truncate
			            ? p.ofd->ops->truncate(p.ofd, (uint64_t)size)
			            : -EINVAL;
	} while (path_again(&p, 0, &r));
	path_put(&p);
	return r;
}
