/* SPDX-License-Identifier: MIT */
/*
 * file_xattr.c - extended attributes.
 *
 * libos's own files have none: the list is empty.  As Linux does, get and set of
 * "user." names say ENODATA and EPERM for what is no file (pipes, sockets), else
 * EOPNOTSUPP.
 */
#include "libos/file.h"
#include "libos/path.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define NAME_LEN_MAX 255u
#define VALUE_LEN_MAX 65536u
#define KNOWN_FLAGS 3 /* XATTR_CREATE | XATTR_REPLACE */

struct xattr_op {
	struct fpath p;
	File__XattrReq req;
	char name[NAME_LEN_MAX + 1];
};

static long get_name(struct xattr_op *x, const char *user_name)
{
	long n = user_copy_str(x->name, user_name, sizeof(x->name));

	if (n == -ENAMETOOLONG || n == 0)
		return -ERANGE;
	if (n < 0)
		return n;
	x->req.name = file_bytes(x->name, (size_t)n);
	return 0;
}

/* The request for x->p. */
static long begin(struct xattr_op *x, bool nofollow)
{
	x->req.at = x->p.base;
	x->req.path = file_bytes(x->p.text, x->p.len);
	x->req.flags =
	        (nofollow ? AT_SYMLINK_NOFOLLOW : 0) | (x->p.len ? 0 : AT_EMPTY_PATH);
	return file_cred(&x->req.cred);
}

static long get_path(struct xattr_op *x, const char *user_path, bool nofollow)
{
	file__xattr_req__init(&x->req);
	return path_get(&x->p, AT_FDCWD, user_path, nofollow ? PATH_NOFOLLOW : 0);
}

static long get_fd(struct xattr_op *x, int fd)
{
	long r = path_get_fd(&x->p, fd == AT_FDCWD ? -1 : fd);

	file__xattr_req__init(&x->req);
	if (r == 0 && (x->p.ofd->flags & 010000000u /* O_PATH */)) {
		path_put(&x->p);
		return -EBADF;
	}
	return r;
}

/* After get_path() or get_fd() said @r: the name too, or nothing is taken. */
static long then_name(struct xattr_op *x, long r, const char *user_name)
{
	if (r < 0)
		return r;
	r = get_name(x, user_name);
	if (r < 0)
		path_put(&x->p);
	return r;
}

/* What get (@err ENODATA) or set (EPERM) says of an object that is not fsd's. */
static long refuse(const struct xattr_op *x, int err)
{
	bool file = x->p.where == PATH_LOCAL || x->p.ofd->ops->kind == OFD_SHM;

	return !file && memcmp(x->name, "user.", 5) == 0 ? -err : -EOPNOTSUPP;
}

/* ---- get and list: the value comes as payload ---- */

static long fetch_once(struct xattr_op *x, bool nofollow, bool list, void *user_buf,
                       size_t size)
{
	struct rpc_call call;
	struct uio u;
	uint32_t need;
	long r;

	if (x->p.where != PATH_FSD)
		return list ? 0 : refuse(x, ENODATA);
	r = begin(x, nofollow);
	if (r < 0)
		return r;
	uio_init(&u, user_buf, size);
	rpc_call_init(&call);
	x->req.size = (uint32_t)size;
	call.sink = file_sink_uio;
	call.sink_arg = &u;
	call.sink_cap = (uint32_t)size;
	if (list)
		FILE_CALL(list_xattr, XattrRep, &x->req, &call);
	else
		FILE_CALL(get_xattr, XattrRep, &x->req, &call);
	if (call.err)
		return call.err;
	need = ((const File__XattrRep *)call.reply)->size;
	return size == 0 ? (long)need : (long)call.payload_len;
}

/* Run with x->p taken; puts it. */
static long fetch(struct xattr_op *x, bool nofollow, bool list, void *user_buf,
                  size_t size)
{
	long r;

	if (size > VALUE_LEN_MAX)
		size = VALUE_LEN_MAX;
	do
		r = fetch_once(x, nofollow, list, user_buf, size);
	while (path_again(&x->p, nofollow ? PATH_NOFOLLOW : 0, &r));
	path_put(&x->p);
	return r;
}

static long do_get(const char *user_path, const char *user_name, void *buf, size_t size,
                   bool nofollow)
{
	struct xattr_op x;
	long r = then_name(&x, get_path(&x, user_path, nofollow), user_name);

	return r < 0 ? r : fetch(&x, nofollow, false, buf, size);
}

SYSCALL(getxattr, const char *user_path, const char *user_name, void *buf, size_t size)
{
	return do_get(user_path, user_name, buf, size, false);
}

SYSCALL(lgetxattr, const char *user_path, const char *user_name, void *buf, size_t size)
{
	return do_get(user_path, user_name, buf, size, true);
}

SYSCALL(fgetxattr, int fd, const char *user_name, void *buf, size_t size)
{
	struct xattr_op x;
	long r = then_name(&x, get_fd(&x, fd), user_name);

	return r < 0 ? r : fetch(&x, false, false, buf, size);
}

static long do_list(const char *user_path, void *buf, size_t size, bool nofollow)
{
	struct xattr_op x;
	long r = get_path(&x, user_path, nofollow);

	return r < 0 ? r : fetch(&x, nofollow, true, buf, size);
}

SYSCALL(listxattr, const char *user_path, void *buf, size_t size)
{
	return do_list(user_path, buf, size, false);
}

SYSCALL(llistxattr, const char *user_path, void *buf, size_t size)
{
	return do_list(user_path, buf, size, true);
}

SYSCALL(flistxattr, int fd, void *buf, size_t size)
{
	struct xattr_op x;
	long r = get_fd(&x, fd);

	return r < 0 ? r : fetch(&x, false, true, buf, size);
}

/* ---- set and remove ---- */

struct xattr_value {
	const void *user;
	size_t size;
	int flags;
};

static long change_once(struct xattr_op *x, bool nofollow,
                        const struct xattr_value *value)
{
	struct rpc_call call;
	struct uio u;
	long r;

	if (x->p.where != PATH_FSD)
		return refuse(x, EPERM);
	r = begin(x, nofollow);
	if (r < 0)
		return r;
	rpc_call_init(&call);
	if (value) {
		uio_init(&u, (void *)(uintptr_t)value->user, value->size);
		x->req.xflags = (uint32_t)value->flags;
		call.source = file_source_uio;
		call.source_arg = &u;
		call.source_len = (uint32_t)value->size;
		FILE_CALL(set_xattr, XattrRep, &x->req, &call);
	} else {
		FILE_CALL(remove_xattr, XattrRep, &x->req, &call);
	}
	return call.err;
}

/* Run with x->p taken; puts it.  @value NULL: remove. */
static long change(struct xattr_op *x, bool nofollow, const struct xattr_value *value)
{
	long r;

	do
		r = change_once(x, nofollow, value);
	while (path_again(&x->p, nofollow ? PATH_NOFOLLOW : 0, &r));
	path_put(&x->p);
	return r;
}

static long check_value(const struct xattr_value *v)
{
	if (v->flags & ~KNOWN_FLAGS)
		return -EINVAL;
	return v->size > VALUE_LEN_MAX ? -E2BIG : 0;
}

static long change_path(const char *user_path, const char *user_name, bool nofollow,
                        const struct xattr_value *value)
{
	struct xattr_op x;
	long r = value ? check_value(value) : 0;

	if (r < 0)
		return r;
	r = then_name(&x, get_path(&x, user_path, nofollow), user_name);
	return r < 0 ? r : change(&x, nofollow, value);
}

static long change_fd(int fd, const char *user_name, const struct xattr_value *value)
{
	struct xattr_op x;
	long r = value ? check_value(value) : 0;

	if (r < 0)
		return r;
	r = then_name(&x, get_fd(&x, fd), user_name);
	return r < 0 ? r : change(&x, false, value);
}

SYSCALL(setxattr, const char *user_path, const char *user_name, const void *value,
        size_t size, int flags)
{
	struct xattr_value v = {value, size, flags};

	return change_path(user_path, user_name, false, &v);
}

SYSCALL(lsetxattr, const char *user_path, const char *user_name, const void *value,
        size_t size, int flags)
{
	struct xattr_value v = {value, size, flags};

	return change_path(user_path, user_name, true, &v);
}

SYSCALL(fsetxattr, int fd, const char *user_name, const void *value, size_t size,
        int flags)
{
	struct xattr_value v = {value, size, flags};

	return change_fd(fd, user_name, &v);
}

SYSCALL(removexattr, const char *user_path, const char *user_name)
{
	return change_path(user_path, user_name, false, NULL);
}

SYSCALL(lremovexattr, const char *user_path, const char *user_name)
{
	return change_path(user_path, user_name, true, NULL);
}

SYSCALL(fremovexattr, int fd, const char *user_name)
{
	return change_fd(fd, user_name, NULL);
}
