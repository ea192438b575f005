/* SPDX-License-Identifier: MIT */
/*
 * path.c - paths as programs give them, and the current directory.
 *
 * A path goes to fsd as it was given, with the handle it starts from: fsd walks
 * it, dots and links included.  Only to tell libos's own names (/dev, /proc) a
 * path is made absolute and normal as text, and only when it could lead there:
 * when it is absolute, has "..", or starts from the root or from such a place.
 * A path that comes there by fsd's links comes back (path_again).
 */
#include "libos/path.h"

#include "libos/file.h"
#include "libos/lock.h"
#include "libos/syscall.h"
#include "libos/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40

static struct {
	struct lock lock;
	struct ofd *ofd;         /* NULL: only before path_init() and with no fsd */
	char text[ABI_PATH_MAX]; /* absolute and normal, as of the last chdir */
} g_cwd = {.text = "/"};

/* ---- text ---- */

static bool is_at_or_below(const char *norm, const char *top)
{
	while (*top) {
		if (*norm++ != *top++)
			return false;
	}
	return *norm == '\0' || *norm == '/';
}

static bool is_own(const char *norm)
{
	return is_at_or_below(norm, "/dev") || is_at_or_below(norm, "/proc");
}

/* Append the components of @path to the normal path of @len bytes in @out. */
static long append_components(char *out, size_t len, const char *path)
{
	while (*path) {
		const char *end = path;
		size_t n;

		while (*end && *end != '/')
			end++;
		n = (size_t)(end - path);
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (len > 0 && out[--len] != '/')
				;
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			if (len + 1 + n >= ABI_PATH_MAX)
				return -ENAMETOOLONG;
			out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
		}
		path = *end ? end + 1 : end;
	}
	if (len == 0)
		out[len++] = '/';
	out[len] = '\0';
	return (long)len;
}

long path_normalize(char *out, const char *dir, const char *path)
{
	size_t len = 0;

	if (*path != '/') {
		len = strlen(dir);
		if (len >= ABI_PATH_MAX)
			return -ENAMETOOLONG;
		memmove(out, dir, len);
		if (len == 1)
			len = 0; /* "/" */
	}
	return append_components(out, len, path);
}

static bool has_dotdot(const char *s)
{
	for (; *s; s++) {
		if (s[0] == '.' && s[1] == '.' && (s[2] == '\0' || s[2] == '/'))
			return true;
	}
	return false;
}

/* ---- what a path means ---- */

static long to_fsd(struct fpath *p, uint32_t base, const char *text)
{
	if (!file_present())
		return -ENOENT;
	p->where = PATH_FSD;
	p->base = base;
	p->text = text;
	p->len = (uint32_t)strlen(text);
	return 0;
}

/* Send the normal form, from the root. */
static long norm_to_fsd(struct fpath *p)
{
	size_t n = strlen(p->norm);

	if (p->slash && n > 1 && n + 1 < sizeof(p->norm)) {
		p->norm[n] = '/';
		p->norm[n + 1] = '\0';
	}
	return to_fsd(p, 0, p->norm);
}

static long to_local(struct fpath *p, bool link)
{
	struct kstat st;

	p->where = PATH_LOCAL;
	p->text = p->norm;
	p->len = (uint32_t)strlen(p->norm);
	p->link = link;
	if (p->slash && local_stat(p->norm, &st) == 0 && !S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return 0;
}

/* What an open description means as a place: takes the reference. */
static long at_ofd(struct fpath *p, struct ofd *o)
{
	p->ofd = o;
	if (o->ops->kind == OFD_FILE)
		return to_fsd(p, file_of(o)->handle, "");
	p->where = PATH_OFD;
	p->text = "";
	p->len = 0;
	return 0;
}

/* The name of a directory of libos's own that @o is, with its NUL: its length. */
static long own_dir_name(struct ofd *o, char *to, size_t size)
{
	/* These have a name, which leads nowhere. */
	const bool named = o->ops->kind == OFD_SHM || o->ops->kind == OFD_MQ;
	const long n = named ? 0 : local_fd_name(o, to, size - 1);

	if (n <= 0 || to[0] != '/')
		return -ENOTDIR;
	to[n] = '\0';
	return n;
}

/* p->norm goes on at @rest behind descriptor @fd.  0 with p set, or 1: p->norm
 * was made anew, look again. */
static long behind_fd(struct fpath *p, int fd, size_t rest)
{
	struct ofd *o = ofd_get(fd);
	char *tail = p->norm + rest;
	long n;

	if (!o)
		return -ENOENT;
	while (*tail == '/')
		tail++;
	if (*tail == '\0')
		return at_ofd(p, o);
	if (o->ops->kind == OFD_FILE) {
		p->ofd = o;
		return to_fsd(p, file_of(o)->handle, tail);
	}
	n = own_dir_name(o, p->buf, sizeof(p->buf));
	ofd_put(o);
	if (n < 0)
		return n;
	memmove(p->norm, tail, strlen(tail) + 1);
	n = append_components(p->buf, n == 1 ? 0 : (size_t)n, p->norm);
	if (n < 0)
		return n;
	memcpy(p->norm, p->buf, (size_t)n + 1);
	return 1;
}

/* p->norm is one of libos's own names: find what it stands for. */
static long walk_own(struct fpath *p, unsigned flags)
{
	struct local_look look;

	for (int i = 0; i < LINKS_MAX; i++) {
		enum local_kind kind = local_lookup(p->norm, &look);
		bool last;
		long r;

		if (kind == LOCAL_NONE)
			return norm_to_fsd(p);
		if (kind == LOCAL_NODE)
			return to_local(p, false);
		last = p->norm[look.rest] == '\0';
		if (last && (flags & PATH_NOFOLLOW) && !p->slash)
			return to_local(p, true);
		if (flags & PATH_NO_MAGIC)
			return -ELOOP;
		if (kind == LOCAL_FD) {
			r = behind_fd(p, look.fd, look.rest);
			if (r <= 0)
				return r;
		} else {
			r = path_normalize(p->buf, look.target,
			                   p->norm + look.rest + (last ? 0 : 1));
			if (r < 0)
				return r;
			memcpy(p->norm, p->buf, (size_t)r + 1);
		}
		if (!is_own(p->norm))
			return norm_to_fsd(p);
	}
	return -ELOOP;
}

static long get_absolute(struct fpath *p, const char *text, unsigned flags)
{
	long r = path_normalize(p->norm, "/", text);

	if (r < 0)
		return r;
	if (is_own(p->norm))
		return walk_own(p, flags);
	/* "/proc/../etc": fsd may have no /proc to walk through. */
	while (text[0] == '/' && text[1] == '/')
		text++;
	if (is_own(text))
		return norm_to_fsd(p);
	return to_fsd(p, 0, text);
}

/* Relative to the current directory. */
static long get_in_cwd(struct fpath *p, const char *text, unsigned flags)
{
	struct ofd *o;
	bool own;
	long r = 0;

	lock_take(&g_cwd.lock);
	o = g_cwd.ofd ? ofd_ref(g_cwd.ofd) : NULL;
	own = is_own(g_cwd.text);
	p->norm[0] = '\0';
	if (own || g_cwd.text[1] == '\0' || has_dotdot(text))
		r = path_normalize(p->norm, g_cwd.text, text);
	lock_drop(&g_cwd.lock);
	p->ofd = o;
	if (r < 0)
		return r;
	if (is_own(p->norm)) {
		path_put(p);
		return walk_own(p, flags);
	}
	if (own || !o || o->ops->kind != OFD_FILE)
		return norm_to_fsd(p);
	p->at_cwd = true;
	return to_fsd(p, file_of(o)->handle, text);
}

static long get_in_dir(struct fpath *p, int dirfd, const char *text, unsigned flags)
{
	struct ofd *o = ofd_get(dirfd);
	char dir[512];
	long n;

	if (!o)
		return -EBADF;
	p->ofd = o;
	if (o->ops->kind == OFD_FILE) {
		struct file *f = file_of(o);

		if (!S_ISDIR(f->mode))
			return -ENOTDIR;
		if (!f->root)
			return to_fsd(p, f->handle, text);
		n = path_normalize(p->norm, "/", text);
		if (n < 0)
			return n;
		if (!is_own(p->norm))
			return to_fsd(p, f->handle, text);
		path_put(p);
		return walk_own(p, flags);
	}
	n = own_dir_name(o, dir, sizeof(dir));
	if (n < 0)
		return n;
	n = path_normalize(p->norm, dir, text);
	if (n < 0)
		return n;
	path_put(p);
	return is_own(p->norm) ? walk_own(p, flags) : norm_to_fsd(p);
}

/* All of the path is for fsd's walk, which starts at a directory of fsd. */
static long get_scoped(struct fpath *p, int dirfd, const char *text)
{
	long r = path_get_fd(p, dirfd);

	if (r < 0)
		return r;
	if (p->where != PATH_FSD)
		return -EXDEV;
	return to_fsd(p, p->base, text);
}

static long get(struct fpath *p, int dirfd, const char *text, size_t len,
                unsigned flags)
{
	long r;

	p->slash = text[len - 1] == '/' ||
	           (len >= 2 && memcmp(text + len - 2, "/.", 2) == 0);
	if (flags & PATH_SCOPED)
		r = get_scoped(p, dirfd, text);
	else if (text[0] == '/')
		r = get_absolute(p, text, flags);
	else if (dirfd == AT_FDCWD)
		r = get_in_cwd(p, text, flags);
	else
		r = get_in_dir(p, dirfd, text, flags);
	if (r < 0)
		path_put(p);
	return r;
}

static void clear(struct fpath *p)
{
	p->ofd = NULL;
	p->base = 0;
	p->slash = false;
	p->hops = 0;
	p->link = false;
	p->at_cwd = false;
}

long path_get(struct fpath *p, int dirfd, const char *user_path, unsigned flags)
{
	long n = user_copy_str(p->buf, user_path, sizeof(p->buf));

	clear(p);
	if (n < 0)
		return n;
	if (n > 0)
		return get(p, dirfd, p->buf, (size_t)n, flags);
	if (!(flags & PATH_EMPTY))
		return -ENOENT;
	return path_get_fd(p, dirfd);
}

long path_get_text(struct fpath *p, const char *text, unsigned flags)
{
	size_t n = strlen(text);

	clear(p);
	if (n == 0)
		return -ENOENT;
	if (n >= sizeof(p->buf))
		return -ENAMETOOLONG;
	memcpy(p->buf, text, n + 1);
	return get(p, AT_FDCWD, p->buf, n, flags);
}

long path_get_fd(struct fpath *p, int fd)
{
	struct ofd *o;
	long r;

	clear(p);
	if (fd == AT_FDCWD) {
		lock_take(&g_cwd.lock);
		o = g_cwd.ofd ? ofd_ref(g_cwd.ofd) : NULL;
		lock_drop(&g_cwd.lock);
		if (!o)
			return -ENOENT;
	} else {
		o = ofd_get(fd);
		if (!o)
			return -EBADF;
	}
	r = at_ofd(p, o);
	if (r < 0)
		path_put(p);
	return r;
}

size_t path_text(const struct fpath *p, char *to, size_t size)
{
	char norm[ABI_PATH_MAX], dir[FILE_PATH_KEPT] = "/";
	long n = 0;

	if (p->base != 0)
		file_path_get(file_of(p->ofd), dir);
	if (dir[0]) {
		n = path_normalize(norm, dir, p->text);
	} else if (p->at_cwd) {
		lock_take(&g_cwd.lock);
		n = path_normalize(norm, g_cwd.text, p->text);
		lock_drop(&g_cwd.lock);
	}
	if (n <= 0 || (size_t)n >= size)
		return 0;
	memcpy(to, norm, (size_t)n + 1);
	return (size_t)n;
}

void path_put(struct fpath *p)
{
	if (p->ofd)
		ofd_put(p->ofd);
	p->ofd = NULL;
}

int file_path_req(File__PathReq *req, struct rpc_call *call, const struct fpath *p,
                  uint32_t at_flags)
{
	file__path_req__init(req);
	rpc_call_init(call);
	req->at = p->base;
	req->path = file_bytes(p->text, p->len);
	req->flags = at_flags;
	return file_cred(&req->cred);
}

/* Where fsd's walk of @p left its tree, to p->buf: the length, 0 if it does not. */
static long ask_left(const struct fpath *p, unsigned flags, char *to, size_t size)
{
	File__PathReq req;
	struct file_buf b = {.p = (uint8_t *)to, .cap = size - 1};
	struct rpc_call call;
	int r = file_path_req(&req, &call, p,
	                      flags & PATH_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0);

	if (r < 0)
		return r;
	file_take(&call, &b);
	FILE_CALL(leaves, Empty, &req, &call);
	if (call.err)
		return call.err;
	to[b.len] = '\0';
	if (b.len && (to[0] != '/' || strlen(to) != b.len))
		return -EIO;
	return (long)b.len;
}

bool path_again(struct fpath *p, unsigned flags, long *r)
{
	char left[ABI_PATH_MAX];
	long n;

	if (*r != -EREMOTE || p->where != PATH_FSD)
		return false;
	if (p->hops++ >= LINKS_MAX) {
		*r = -ELOOP;
		return false;
	}
	n = ask_left(p, flags, left, sizeof(left));
	if (n > 0) {
		p->at_cwd = false;
		path_put(p);
		memcpy(p->buf, left, (size_t)n + 1);
		n = get(p, AT_FDCWD, p->buf, (size_t)n,
		        flags & PATH_SCOPED ? PATH_NOFOLLOW | PATH_NO_MAGIC
		                            : flags & ~PATH_EMPTY);
	} else if (n == 0) {
		return true; /* a link was changed meanwhile */
	}
	*r = n;
	return n >= 0;
}

/* ---- the current directory ---- */

/* Ask fsd where a handle is now: length without NUL. */
static long handle_path(uint32_t handle, char *to, size_t size)
{
	File__HandleReq req = FILE__HANDLE_REQ__INIT;
	struct file_buf b = {.p = (uint8_t *)to, .cap = size - 1};
	struct rpc_call call;

	rpc_call_init(&call);
	req.handle = handle;
	call.sink = file_sink_buf;
	call.sink_arg = &b;
	call.sink_cap = (uint32_t)(size - 1);
	FILE_CALL(getcwd, Empty, &req, &call);
	if (call.err)
		return call.err;
	to[b.len] = '\0';
	return b.len > 0 && to[0] == '/' ? (long)strlen(to) : -EIO;
}

/* Search permission of a directory handle. */
static long may_enter(uint32_t handle)
{
	File__PathReq req = FILE__PATH_REQ__INIT;
	struct rpc_call call;
	int r = file_cred(&req.cred);

	if (r < 0)
		return r;
	rpc_call_init(&call);
	req.at = handle;
	req.flags = AT_EMPTY_PATH | AT_EACCESS;
	req.mode = X_OK;
	FILE_CALL(access, Empty, &req, &call);
	return call.err;
}

static void set_cwd(struct ofd *o, const char *text)
{
	struct ofd *old;

	lock_take(&g_cwd.lock);
	old = g_cwd.ofd;
	g_cwd.ofd = o;
	memcpy(g_cwd.text, text, strlen(text) + 1);
	lock_drop(&g_cwd.lock);
	if (old)
		ofd_put(old);
}

/* Enter the directory at @p, which stays the caller's to put. */
static long enter(struct fpath *p)
{
	struct ofd *o = NULL;
	struct kstat st;
	long r;

	if (p->where == PATH_OFD)
		return -ENOTDIR;
	if (p->where == PATH_LOCAL) {
		r = local_stat(p->text, &st);
		if (r == 0 && !S_ISDIR(st.st_mode))
			r = -ENOTDIR;
		if (r == 0)
			r = local_open(p->text, O_PATH | O_DIRECTORY, 0, &o);
		if (r == 0)
			set_cwd(o, p->text);
		return r;
	}
	r = file_open_at(p, O_PATH | O_DIRECTORY, 0, 0, &o);
	if (r < 0)
		return r;
	r = may_enter(file_of(o)->handle);
	if (r == 0)
		r = handle_path(file_of(o)->handle, p->norm, sizeof(p->norm));
	if (r < 0) {
		ofd_put(o);
		return r;
	}
	set_cwd(o, p->norm);
	return 0;
}

static void say_no_entry(const char *dir, long r)
{
	char line[512];
	struct text t = {.at = line, .cap = sizeof(line)};

	text_fmt(&t, "strait: the working directory %s: ", dir);
	if (r == -ENOENT)
		text_put(&t, "there is none; make it, or give another");
	else if (r == -ENOTDIR)
		text_put(&t, "is not a directory");
	else if (r == -EACCES)
		text_put(&t, "the program's user may not enter it");
	else
		text_fmt(&t, "cannot be entered (errno %d)", (int)-r);
	text_put(&t, "\n");
	plat_log(line, t.len);
}

int path_init(const char *text)
{
	struct fpath p;
	long r;

	if (!text || text[0] != '/')
		text = "/";
	r = path_get_text(&p, text, 0);
	if (r == 0) {
		do
			r = enter(&p);
		while (path_again(&p, 0, &r));
		path_put(&p);
	}
	if (r == 0 || !file_present())
		return 0;
	say_no_entry(text, r);
	return (int)r;
}

SYSCALL(chdir, const char *user_path)
{
	struct fpath p;
	long r = path_get(&p, AT_FDCWD, user_path, 0);

	if (r < 0)
		return r;
	do
		r = enter(&p);
	while (path_again(&p, 0, &r));
	path_put(&p);
	return r;
}

SYSCALL(fchdir, int fd)
{
	struct fpath p;
	struct ofd *o;
	char name[512];
	long r;

	r = path_get_fd(&p, fd == AT_FDCWD ? -1 : fd);
	if (r < 0)
		return r;
	o = p.ofd;
	if (p.where == PATH_FSD) {
		r = S_ISDIR(file_of(o)->mode) ? enter(&p) : -ENOTDIR;
	} else {
		r = own_dir_name(o, name, sizeof(name));
		path_put(&p);
		if (r < 0)
			return r;
		r = path_get_text(&p, name, 0);
		if (r < 0)
			return r;
		r = enter(&p);
	}
	path_put(&p);
	return r;
}

long file_cwd_path(char *to, size_t size)
{
	struct ofd *o;
	size_t n;
	long r = -EIO;

	lock_take(&g_cwd.lock);
	o = g_cwd.ofd ? ofd_ref(g_cwd.ofd) : NULL;
	lock_drop(&g_cwd.lock);
	if (o && o->ops->kind == OFD_FILE) {
		char now[ABI_PATH_MAX];

		r = handle_path(file_of(o)->handle, now, sizeof(now));
		if (r >= 0 && (size_t)r >= size)
			r = -ERANGE;
		else if (r >= 0)
			memcpy(to, now, (size_t)r + 1);
	}
	if (o)
		ofd_put(o);
	if (r != -EIO)
		return r;
	/* Not at fsd, or fsd is away: what chdir said. */
	lock_take(&g_cwd.lock);
	n = strlen(g_cwd.text);
	if (n < size)
		memcpy(to, g_cwd.text, n + 1);
	lock_drop(&g_cwd.lock);
	return n < size ? (long)n : -ERANGE;
}

long file_ofd_path(struct ofd *o, char *to, size_t size)
{
	char path[FILE_PATH_KEPT];
	struct file *f;
	size_t n;

	if (o->ops->kind != OFD_FILE)
		return -EINVAL;
	f = file_of(o);
	if (S_ISDIR(f->mode))
		return handle_path(f->handle, to, size);
	file_path_get(f, path);
	n = strlen(path);
	if (n == 0 || n >= size)
		return -ENAMETOOLONG;
	memcpy(to, path, n + 1);
	return (long)n;
}

SYSCALL(getcwd, char *user_buf, size_t size)
{
	char now[ABI_PATH_MAX];
	long n = file_cwd_path(now, sizeof(now));

	if (n < 0)
		return n;
	if ((size_t)n + 1 > size)
		return -ERANGE;
	if (user_copy_out(user_buf, now, (size_t)n + 1))
		return -EFAULT;
	return n + 1;
}
