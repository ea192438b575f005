/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes: `user.` ones are the file's own; the other name spaces
 * (trusted, security, system) mean something to the service domain's kernel and
 * are not for guests.
 */
#define _GNU_SOURCE
#include "services/fsd/again.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define PREFIX "user."

struct xattr {
	const File__XattrReq *in;
	struct walk w;
	char name[257]; /* "/user.x": as names.h knows it */
};

static int check_name(const File__XattrReq *in, char *name)
{
	const size_t len = in->name.len;

	if (len == 0 || len > 255)
		return -ERANGE;
	if (memchr(in->name.data, 0, len))
		return -EINVAL;
	memcpy(name, in->name.data, len);
	name[len] = 0;
	return 0;
}

static int begin(struct task *t, struct xattr *x, bool named, bool changes)
{
	const File__XattrReq *in = (const File__XattrReq *)t->req->msg;
	int r = 0;

	x->in = in;
	x->name[0] = '/';
	if (in->path.len == 0 && t->h[0] && (t->h[0]->flags & O_PATH) &&
	    !(in->flags & AT_EMPTY_PATH))
		return -EBADF;
	if (named)
		r = check_name(in, x->name + 1);
	if (r < 0)
		return r;
	if (in->size > RPC_PAYLOAD_MAX)
		return -E2BIG;
	r = serve_walk(t, &x->w, t->h[0], &in->path,
	               in->flags & AT_SYMLINK_NOFOLLOW ? WALK_NOFOLLOW : 0, 0);
	if (r == 0 && changes && x->w.it.node.mount->read_only) {
		walk_fini(&x->w);
		r = -EROFS;
	}
	/* as Linux does, only once the file is found */
	if (r == 0 && named && strncmp(x->name + 1, PREFIX, strlen(PREFIX)) != 0) {
		walk_fini(&x->w);
		r = -EOPNOTSUPP;
	}
	return r;
}

static int reply(struct task *t, uint32_t size, const void *data)
{
	File__XattrRep rep = FILE__XATTR_REP__INIT;

	rep.size = size;
	return serve_reply(t, &rep.base, data, data ? size : 0);
}

int serve_get_xattr(struct task *t)
{
	struct xattr x;
	char *buf = NULL;
	ssize_t n;
	int r = begin(t, &x, true, false);

	if (r < 0)
		return r;
	if (x.in->size && !(buf = malloc(x.in->size)))
		r = -ENOMEM;
	if (r == 0) {
		n = x.w.it.node.mount->ops->getxattr(&x.w.it.node, x.name + 1, buf,
		                                     x.in->size);
		r = n < 0 ? (int)n : reply(t, (uint32_t)n, buf);
	}
	free(buf);
	walk_fini(&x.w);
	return r;
}

/* Is the attribute there, and was it when this instance began? */
static void look(const struct xattr *x, struct object *is, struct object *was)
{
	const struct node *n = &x->w.it.node;

	*is = (struct object){.there = n->mount->ops->getxattr(n, x->name + 1, NULL, 0) >= 0};
	names_was(n, x->name, is, was);
}

static int set(struct task *t, struct xattr *x, int flags)
{
	const struct node *n = &x->w.it.node;

	return n->mount->ops->setxattr(n, x->name + 1, t->req->payload,
	                               t->req->hdr.payload_len, flags);
}

/* One that must not be there, or must: after it was set, it is. */
static int set_locked(struct task *t, struct xattr *x)
{
	const struct again a = again_get(t, AGAIN_XATTR_MAKE);
	const int flags = (int)x->in->xflags;
	struct object is, was;
	int r;

	look(x, &is, &was);
	if (flags == XATTR_CREATE && a.mark == JOURNAL_INTENT && was.there) {
		rpc_journal_done(t->req, 0, 0);
		return 0;
	}
	if (flags == XATTR_REPLACE && a.mark == JOURNAL_INTENT)
		return set(t, x, 0); /* it was there */
	if (flags && is.there == (flags == XATTR_REPLACE))
		rpc_journal_intent(t->req, AGAIN_XATTR_MAKE, 0, 0, 0);
	names_touch(&x->w.it.node, x->name, &is);
	r = set(t, x, flags);
	if (flags && is.there == (flags == XATTR_REPLACE))
		rpc_journal_done(t->req, -r, 0);
	return r;
}

int serve_set_xattr(struct task *t)
{
	struct name_lock l;
	struct xattr x;
	int r;

	if (again_done(t, AGAIN_XATTR_MAKE, &r))
		return r < 0 ? r : reply(t, 0, NULL);
	r = begin(t, &x, true, true);
	if (r < 0)
		return r;
	if (x.in->xflags & ~3u) {
		r = -EINVAL;
	} else {
		names_lock(&l, x.w.it.node.mount, x.name, NULL);
		r = set_locked(t, &x);
		names_unlock(&l);
	}
	walk_fini(&x.w);
	return r < 0 ? r : reply(t, 0, NULL);
}

/* Keep the names that begin with PREFIX. */
static size_t filter(char *list, size_t len)
{
	size_t out = 0;

	for (size_t pos = 0; pos < len;) {
		const size_t n = strnlen(list + pos, len - pos) + 1;

		if (pos + n > len)
			break;
		if (strncmp(list + pos, PREFIX, strlen(PREFIX)) == 0) {
			memmove(list + out, list + pos, n);
			out += n;
		}
		pos += n;
	}
	return out;
}

int serve_list_xattr(struct task *t)
{
	struct xattr x;
	char *buf;
	ssize_t n;
	int r = begin(t, &x, false, false);

	if (r < 0)
		return r;
	buf = malloc(RPC_PAYLOAD_MAX);
	n = buf ? x.w.it.node.mount->ops->listxattr(&x.w.it.node, buf, RPC_PAYLOAD_MAX)
	        : -ENOMEM;
	if (n >= 0)
		n = (ssize_t)filter(buf, (size_t)n);
	if (n < 0)
		r = (int)n;
	else if (x.in->size == 0)
		r = reply(t, (uint32_t)n, NULL);
	else if ((size_t)n > x.in->size)
		r = -ERANGE;
	else
		r = reply(t, (uint32_t)n, buf);
	free(buf);
	walk_fini(&x.w);
	return r;
}

static int remove_locked(struct task *t, struct xattr *x)
{
	const struct again a = again_get(t, AGAIN_XATTR_REMOVE);
	const struct node *n = &x->w.it.node;
	struct object is, was;
	int r;

	look(x, &is, &was);
	if (a.mark == JOURNAL_INTENT && !was.there) {
		rpc_journal_done(t->req, 0, 0);
		return 0;
	}
	if (is.there)
		rpc_journal_intent(t->req, AGAIN_XATTR_REMOVE, 0, 0, 0);
	names_touch(n, x->name, &is);
	r = n->mount->ops->removexattr(n, x->name + 1);
	if (is.there)
		rpc_journal_done(t->req, -r, 0);
	return r;
}

int serve_remove_xattr(struct task *t)
{
	struct name_lock l;
	struct xattr x;
	int r;

	if (again_done(t, AGAIN_XATTR_REMOVE, &r))
		return r < 0 ? r : reply(t, 0, NULL);
	r = begin(t, &x, true, true);
	if (r < 0)
		return r;
	names_lock(&l, x.w.it.node.mount, x.name, NULL);
	r = remove_locked(t, &x);
	names_unlock(&l);
	walk_fini(&x.w);
	return r < 0 ? r : reply(t, 0, NULL);
}
