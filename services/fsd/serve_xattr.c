/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes: `user.` ones are the file's own; the other name spaces
 * (trusted, security, system) mean something to the service domain's kernel and
 * are not for guests.
 */
#define _GNU_SOURCE
#include "services/fsd/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "user."

struct xattr {
	const File__XattrReq *in;
	struct walk w;
	char name[256];
};

static int check_name(const File__XattrReq *in, char name[256])
{
	const size_t len = in->name.len;

	if (len == 0 || len > 255)
		return -ERANGE;
	if (memchr(in->name.data, 0, len))
		return -EINVAL;
	memcpy(name, in->name.data, len);
	name[len] = 0;
	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return -EOPNOTSUPP;
	return name[strlen(PREFIX)] ? 0 : -EINVAL;
}

static int begin(struct task *t, struct xattr *x, bool named, bool changes)
{
	const File__XattrReq *in = (const File__XattrReq *)t->req->msg;
	int r = 0;

	x->in = in;
	if (in->path.len == 0 && t->h[0] && (t->h[0]->flags & O_PATH) &&
	    !(in->flags & AT_EMPTY_PATH))
		return -EBADF;
	if (named)
		r = check_name(in, x->name);
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
		n = x.w.it.node.mount->ops->getxattr(&x.w.it.node, x.name, buf,
		                                     x.in->size);
		r = n < 0 ? (int)n : reply(t, (uint32_t)n, buf);
	}
	free(buf);
	walk_fini(&x.w);
	return r;
}

int serve_set_xattr(struct task *t)
{
	struct xattr x;
	int r;

	r = begin(t, &x, true, true);
	if (r < 0)
		return r;
	if (x.in->xflags & ~3u)
		r = -EINVAL;
	else
		r = x.w.it.node.mount->ops->setxattr(
		        &x.w.it.node, x.name, t->req->payload, t->req->hdr.payload_len,
		        (int)x.in->xflags);
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

int serve_remove_xattr(struct task *t)
{
	struct xattr x;
	int r = begin(t, &x, true, true);

	if (r < 0)
		return r;
	r = x.w.it.node.mount->ops->removexattr(&x.w.it.node, x.name);
	walk_fini(&x.w);
	return r < 0 ? r : reply(t, 0, NULL);
}
