/* SPDX-License-Identifier: MIT */
/*
 * Watch and Unwatch.  The kernel asks whether the guest may read what it watches.  An
 * answer tells the identity, with a token as of an open for reading, which is the same
 * permission: in a later instance that token is all that is asked for.
 */
#define _GNU_SOURCE
#include "services/fsd/instance.h"
#include "services/fsd/notify.h"
#include "services/fsd/serve.h"

#include <fcntl.h>
#include <sys/inotify.h>

#define MASK_KNOWN                                                                     \
	(IN_ALL_EVENTS | IN_ONLYDIR | IN_EXCL_UNLINK | IN_MASK_ADD | IN_MASK_CREATE |  \
	 IN_ONESHOT)

/* What an instance before watched for this guest. */
static int find_again(struct task *t, const File__WatchReq *in, struct walk *w)
{
	File__ReopenReq old = FILE__REOPEN_REQ__INIT;

	*w = (struct walk){.path = NULL};
	w->it.node = w->dir.node = NODE_NONE;
	if (!token_valid(serve_instance(), t->session->client_id, O_RDONLY,
	                 in->file_id.data, in->file_id.len, in->token.data,
	                 in->token.len))
		return -EPERM;
	if (cred_use(NULL) < 0)
		return -EPERM;
	old.file_id = in->file_id;
	old.path = in->path;
	old.type = in->type;
	return serve_find_again(t, &old, &w->it, &w->stx);
}

static int find(struct task *t, const File__WatchReq *in, struct walk *w)
{
	const unsigned flags = in->flags & AT_SYMLINK_NOFOLLOW ? WALK_NOFOLLOW : 0;
	int r;

	if (in->file_id.len)
		return find_again(t, in, w);
	r = serve_walk(t, w, t->h[0], &in->path, flags, 0);
	if (r < 0)
		return r;
	if ((in->mask & IN_ONLYDIR) && !S_ISDIR(w->stx.stx_mode))
		r = -ENOTDIR;
	else if (in->ino && in->ino != w->stx.stx_ino)
		r = -ESTALE;
	if (r < 0)
		walk_fini(w);
	return r;
}

int serve_watch(struct task *t)
{
	const File__WatchReq *in = (const File__WatchReq *)t->req->msg;
	File__WatchRep rep = FILE__WATCH_REP__INIT;
	uint8_t id[FILE_ID_MAX], token[TOKEN_LEN];
	struct walk w;
	int r;

	if ((in->mask & ~(uint32_t)MASK_KNOWN) || !in->group || !in->watch)
		return -EINVAL;
	r = find(t, in, &w);
	if (r < 0)
		return r;
	const struct node *n = &w.it.node;

	rep.watch = in->watch;
	r = notify_watch(t->session, n, &w.stx, in->group, in->mask, &rep.watch);
	rep.ino = w.stx.stx_ino;
	rep.type = w.stx.stx_mode & S_IFMT;
	rep.file_id.data = id;
	rep.file_id.len = r < 0 ? 0 : (size_t)n->mount->ops->file_id(n, &w.stx, id);
	if (rep.file_id.len) {
		token_make(serve_instance(), t->session->client_id, O_RDONLY, id,
		           rep.file_id.len, token);
		rep.token = (ProtobufCBinaryData){TOKEN_LEN, token};
	}
	walk_fini(&w);
	return r < 0 ? r : serve_reply(t, &rep.base, NULL, 0);
}

int serve_unwatch(struct task *t)
{
	const File__UnwatchReq *in = (const File__UnwatchReq *)t->req->msg;

	notify_unwatch(t->session, in->group, in->watch);
	return 0;
}

int serve_event_only(struct task *t)
{
	(void)t;
	return -ENOSYS;
}
