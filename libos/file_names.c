/* SPDX-License-Identifier: MIT */
/*
 * file_names.c - making and removing names: mkdir, mknod, symlink, link, unlink,
 * rmdir, rename; and the socket nodes of AF_UNIX.
 */
#include "libos/file.h"
#include "libos/local.h"
#include "libos/path.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* ---- one name ---- */

/* Start a MakeReq for @p. */
static long begin_make(File__MakeReq *req, const struct fpath *p, uint32_t mode)
{
	req->at = p->base;
	req->path = file_bytes(p->text, p->len);
	req->mode = mode;
	return file_cred(&req->cred);
}

static long fsd_mkdir(const struct fpath *p, uint32_t mode)
{
	File__MakeReq req = FILE__MAKE_REQ__INIT;
	struct rpc_call call;
	long r = begin_make(&req, p, mode);

	if (r < 0)
		return r;
	rpc_call_init(&call);
	FILE_CALL(mkdir, Empty, &req, &call);
	return call.err;
}

/* Make something of @mode at a path: at fsd, or among libos's own names. */
static long make_at(int dirfd, const char *user_path, uint32_t mode,
                    long (*at_fsd)(const struct fpath *p, uint32_t mode),
                    long (*local)(const char *path, uint32_t mode))
{
	struct fpath p;
	long r = path_get(&p, dirfd, user_path, PATH_NOFOLLOW);

	if (r < 0)
		return r;
	do {
		if (p.where == PATH_FSD)
			r = p.len ? at_fsd(&p, mode) : -EEXIST;
		else
			r = p.where == PATH_LOCAL ? local(p.text, mode) : -EEXIST;
	} while (path_again(&p, PATH_NOFOLLOW, &r));
	path_put(&p);
	return r;
}

static long do_mkdir(int dirfd, const char *user_path, uint32_t mode)
{
	return make_at(dirfd, user_path, mode & 01777 & ~file_umask(), fsd_mkdir,
	               local_mkdir);
}

SYSCALL(mkdir, const char *user_path, uint32_t mode)
{
	return do_mkdir(AT_FDCWD, user_path, mode);
}

SYSCALL(mkdirat, int dirfd, const char *user_path, uint32_t mode)
{
	return do_mkdir(dirfd, user_path, mode);
}

static long fsd_mknod(const struct fpath *p, uint32_t mode)
{
	File__MakeReq req = FILE__MAKE_REQ__INIT;
	struct rpc_call call;
	long r = begin_make(&req, p, mode);

	if (r < 0)
		return r;
	rpc_call_init(&call);
	FILE_CALL(mknod, Empty, &req, &call);
	return call.err;
}

static long do_mknod(int dirfd, const char *user_path, uint32_t mode)
{
	switch (mode & S_IFMT) {
	case 0:
		mode |= S_IFREG;
		break;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		break;
	case S_IFCHR:
	case S_IFBLK:
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	mode &= (uint32_t)S_IFMT | (07777 & ~file_umask());
	return make_at(dirfd, user_path, mode, fsd_mknod, local_mknod);
}

SYSCALL(mknod, const char *user_path, uint32_t mode)
{
	return do_mknod(AT_FDCWD, user_path, mode);
}

SYSCALL(mknodat, int dirfd, const char *user_path, uint32_t mode)
{
	return do_mknod(dirfd, user_path, mode);
}

static long fsd_symlink(const struct fpath *p, const char *target, size_t len)
{
	File__MakeReq req = FILE__MAKE_REQ__INIT;
	struct rpc_call call;
	long r = begin_make(&req, p, 0777);

	if (r < 0)
		return r;
	rpc_call_init(&call);
	req.target = file_bytes(target, len);
	FILE_CALL(symlink, Empty, &req, &call);
	return call.err;
}

static long do_symlink(const char *user_target, int dirfd, const char *user_path)
{
	char target[ABI_PATH_MAX];
	struct fpath p;
	long n, r;

	n = user_copy_str(target, user_target, sizeof(target));
	if (n <= 0)
		return n < 0 ? n : -ENOENT;
	r = path_get(&p, dirfd, user_path, PATH_NOFOLLOW);
	if (r < 0)
		return r;
	do {
		if (p.where == PATH_FSD)
			r = p.len ? fsd_symlink(&p, target, (size_t)n) : -EEXIST;
		else
			r = p.where == PATH_LOCAL ? local_symlink(target, p.text)
			                          : -EEXIST;
	} while (path_again(&p, PATH_NOFOLLOW, &r));
	path_put(&p);
	return r;
}

SYSCALL(symlink, const char *user_target, const char *user_path)
{
	return do_symlink(user_target, AT_FDCWD, user_path);
}

SYSCALL(symlinkat, const char *user_target, int dirfd, const char *user_path)
{
	return do_symlink(user_target, dirfd, user_path);
}

static long fsd_unlink(const struct fpath *p, uint32_t flags)
{
	File__PathReq req;
	struct rpc_call call;
	int r = file_path_req(&req, &call, p, flags);

	if (r < 0)
		return r;
	FILE_CALL(unlink, Empty, &req, &call);
	return call.err;
}

static long do_unlink(int dirfd, const char *user_path, int flags)
{
	struct fpath p;
	long r;

	if (flags & ~AT_REMOVEDIR)
		return -EINVAL;
	r = path_get(&p, dirfd, user_path, PATH_NOFOLLOW);
	if (r < 0)
		return r;
	do {
		if (p.where == PATH_FSD)
			r = p.len ? fsd_unlink(&p, (uint32_t)flags) : -EPERM;
		else if (p.where != PATH_LOCAL)
			r = -EPERM;
		else
			r = flags & AT_REMOVEDIR ? local_rmdir(p.text)
			                         : local_unlink(p.text);
	} while (path_again(&p, PATH_NOFOLLOW, &r));
	path_put(&p);
	return r;
}

SYSCALL(unlink, const char *user_path)
{
	return do_unlink(AT_FDCWD, user_path, 0);
}

SYSCALL(rmdir, const char *user_path)
{
	return do_unlink(AT_FDCWD, user_path, AT_REMOVEDIR);
}

SYSCALL(unlinkat, int dirfd, const char *user_path, int flags)
{
	return do_unlink(dirfd, user_path, flags);
}

/* ---- two names ---- */

static long begin_two(File__TwoPathReq *req, const struct fpath *from,
                      const struct fpath *to, uint32_t flags)
{
	req->old_base = from->base;
	req->old_path = file_bytes(from->text, from->len);
	req->new_base = to->base;
	req->new_path = file_bytes(to->text, to->len);
	req->flags = flags;
	return file_cred(&req->cred);
}

static long fsd_link(const struct fpath *from, const struct fpath *to, uint32_t flags)
{
	File__TwoPathReq req = FILE__TWO_PATH_REQ__INIT;
	struct rpc_call call;
	long r;

	if (from->len == 0)
		flags |= AT_EMPTY_PATH;
	r = begin_two(&req, from, to, flags);
	if (r < 0)
		return r;
	rpc_call_init(&call);
	FILE_CALL(link, Empty, &req, &call);
	return call.err;
}

static long fsd_rename(const struct fpath *from, const struct fpath *to, uint32_t flags)
{
	File__TwoPathReq req = FILE__TWO_PATH_REQ__INIT;
	struct file_watch watch;
	struct rpc_call call;
	long r = begin_two(&req, from, to, flags);

	if (r < 0)
		return r;
	rpc_call_init(&call);
	file_watch(&call, &watch);
	FILE_CALL(rename, Empty, &req, &call);
	if (call.err == 0)
		file_path_moved(from, to, (flags & ABI_RENAME_EXCHANGE) != 0);
	file_settled(&watch);
	return call.err;
}

struct two {
	struct fpath from, to;
};

/* Both paths, or neither. */
static long get_two(struct two *t, int from_fd, const char *user_from,
                    unsigned from_flags, int to_fd, const char *user_to)
{
	long r = path_get(&t->from, from_fd, user_from, from_flags);

	if (r < 0)
		return r;
	r = path_get(&t->to, to_fd, user_to, PATH_NOFOLLOW);
	if (r < 0)
		path_put(&t->from);
	return r;
}

static void put_two(struct two *t)
{
	path_put(&t->from);
	path_put(&t->to);
}

static long do_link(int from_fd, const char *user_from, int to_fd, const char *user_to,
                    int flags)
{
	unsigned pflags = 0;
	struct two t;
	long r;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (!(flags & AT_SYMLINK_FOLLOW))
		pflags |= PATH_NOFOLLOW;
	if (flags & AT_EMPTY_PATH)
		pflags |= PATH_EMPTY;
	r = get_two(&t, from_fd, user_from, pflags, to_fd, user_to);
	if (r < 0)
		return r;
	if (t.from.where == PATH_FSD && t.to.where == PATH_FSD)
		r = t.to.len ? fsd_link(&t.from, &t.to,
		                        (uint32_t)flags & AT_SYMLINK_FOLLOW)
		             : -EEXIST;
	else if (t.from.where == PATH_LOCAL && t.to.where == PATH_LOCAL)
		r = local_link(t.from.text, t.to.text);
	else
		r = -EXDEV;
	put_two(&t);
	return r;
}

SYSCALL(link, const char *user_from, const char *user_to)
{
	return do_link(AT_FDCWD, user_from, AT_FDCWD, user_to, 0);
}

SYSCALL(linkat, int from_fd, const char *user_from, int to_fd, const char *user_to,
        int flags)
{
	return do_link(from_fd, user_from, to_fd, user_to, flags);
}

static long do_rename(int from_fd, const char *user_from, int to_fd,
                      const char *user_to, uint32_t flags)
{
	struct two t;
	long r;

	if (flags & ~(ABI_RENAME_NOREPLACE | ABI_RENAME_EXCHANGE))
		return -EINVAL;
	if (flags == (ABI_RENAME_NOREPLACE | ABI_RENAME_EXCHANGE))
		return -EINVAL;
	r = get_two(&t, from_fd, user_from, PATH_NOFOLLOW, to_fd, user_to);
	if (r < 0)
		return r;
	if (t.from.where == PATH_FSD && t.to.where == PATH_FSD)
		r = t.from.len && t.to.len ? fsd_rename(&t.from, &t.to, flags) : -EBUSY;
	else if (t.from.where == PATH_LOCAL && t.to.where == PATH_LOCAL)
		r = local_rename(t.from.text, t.to.text, flags);
	else
		r = -EXDEV;
	put_two(&t);
	return r;
}

SYSCALL(rename, const char *user_from, const char *user_to)
{
	return do_rename(AT_FDCWD, user_from, AT_FDCWD, user_to, 0);
}

SYSCALL(renameat, int from_fd, const char *user_from, int to_fd, const char *user_to)
{
	return do_rename(from_fd, user_from, to_fd, user_to, 0);
}

SYSCALL(renameat2, int from_fd, const char *user_from, int to_fd, const char *user_to,
        uint32_t flags)
{
	return do_rename(from_fd, user_from, to_fd, user_to, flags);
}

/* ---- names of AF_UNIX sockets ---- */

static long identity_of(const struct fpath *p, uint64_t *dev, uint64_t *ino)
{
	struct kstat st;
	long r;

	if (p->where == PATH_OFD)
		return -ECONNREFUSED;
	r = p->where == PATH_FSD ? file_stat_path(p, 0, &st) : local_stat(p->text, &st);
	if (r < 0)
		return r;
	if (!S_ISSOCK(st.st_mode))
		return -ECONNREFUSED;
	*dev = st.st_dev;
	*ino = st.st_ino;
	return 0;
}

long file_make_socket(const char *path, uint64_t *dev, uint64_t *ino)
{
	uint32_t mode = S_IFSOCK | (0777 & ~file_umask());
	struct fpath p;
	long r = path_get_text(&p, path, PATH_NOFOLLOW);

	if (r < 0)
		return r;
	do {
		if (p.where == PATH_FSD)
			r = fsd_mknod(&p, mode);
		else
			r = p.where == PATH_LOCAL ? local_mknod(p.text, mode) : -EEXIST;
	} while (path_again(&p, PATH_NOFOLLOW, &r));
	if (r == 0)
		r = identity_of(&p, dev, ino);
	path_put(&p);
	return r == -EEXIST ? -EADDRINUSE : r;
}

long file_find_socket(const char *path, uint64_t *dev, uint64_t *ino)
{
	struct fpath p;
	long r = path_get_text(&p, path, 0);

	if (r < 0)
		return r;
	do
		r = identity_of(&p, dev, ino);
	while (path_again(&p, 0, &r));
	path_put(&p);
	return r;
}
