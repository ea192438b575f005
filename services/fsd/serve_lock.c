/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/lock.h"
#include "services/fsd/names.h"
#include "services/fsd/serve.h"

#include <errno.h>
#include <fcntl.h>

static int make_req(const struct task *t, struct lock_req *r)
{
	const File__LockReq *in = (const File__LockReq *)t->req->msg;

	*r = (struct lock_req){
	        .kind = in->kind,
	        .type = in->type <= F_UNLCK ? (int)in->type : -1,
	        .start = in->start,
	        .len = in->len,
	        .wait = in->wait != 0,
	        .ticket = in->ticket,
	};
	return t->h[0]->flags & O_PATH ? -EBADF : 0;
}

/* Locks that guests held come first: what was only asked for waits until every guest
 * had its chance.  Two guests that both tell the truth do not meet; who does not is
 * refused as by any lock in the way. */
static int reclaim_rules(struct task *t, struct lock_req *r)
{
	const bool reclaim = ((const File__LockReq *)t->req->msg)->reclaim != 0;

	if (!names_recovering())
		return reclaim ? -ENOLCK : 0;
	if (reclaim)
		r->wait = false;
	else if (r->type != F_UNLCK)
		return serve_park(t);
	return 0;
}

int serve_lock(struct task *t)
{
	File__LockRep rep = FILE__LOCK_REP__INIT;
	struct lock_req req;
	int r = make_req(t, &req);

	if (r == 0)
		r = reclaim_rules(t, &req);
	if (r == SERVED)
		return r;
	if (r < 0)
		return r;
	r = lock_set(t->h[0], &req);
	rep.queued = r == 1;
	rep.type = F_UNLCK;
	if (r == 1)
		rpc_reply_queued(t->req, &rep.base);
	else
		rpc_reply(t->req, r < 0 ? -r : 0, &rep.base, NULL, 0);
	lock_answered(t->h[0]);
	return SERVED;
}

int serve_get_lock(struct task *t)
{
	File__LockRep rep = FILE__LOCK_REP__INIT;
	struct lock_found found;
	struct lock_req req;
	int r = make_req(t, &req);

	if (r == 0 && names_recovering())
		return serve_park(t);
	if (r == 0)
		r = lock_get(t->h[0], &req, &found);
	if (r < 0)
		return r;
	rep.type = (uint32_t)found.type;
	rep.start = found.start;
	rep.len = found.len;
	rep.pid = found.pid;
	return serve_reply(t, &rep.base, NULL, 0);
}
