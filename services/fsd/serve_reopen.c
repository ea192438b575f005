/* SPDX-License-Identifier: MIT */
/*
 * Reopen: what a guest had open in an instance before.
 *
 * The token says that it was opened then, by this client, with this access; so it is
 * opened by the service's own rights.  Which file: the one at the path that the guest
 * remembers if it has that identity, else the one among the orphans, else the one whose
 * descriptor was kept (kept.h), else wherever the kernel's handle leads.  Never another one: what has no such identity any more is
 * ESTALE (a directory that was removed while it was open: one without a name).
 */
#define _GNU_SOURCE
#include "services/fsd/instance.h"
#include "services/fsd/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

struct reopening {
	struct task *t;
	const File__ReopenReq *in;
	struct place it; /* a reference */
	struct statx stx;
	uint64_t gone; /* it stands for a removed directory of this key; 0: no */
};

static bool is_it(const struct reopening *o, const struct node *n, const struct statx *stx)
{
	uint8_t id[FILE_ID_MAX];
	const int len = n->mount->ops->file_id(n, stx, id);

	return len > 0 && (size_t)len == o->in->file_id.len &&
	       memcmp(id, o->in->file_id.data, (size_t)len) == 0;
}

static bool find_by_path(struct reopening *o)
{
	const unsigned flags = S_ISLNK(o->in->type) ? WALK_NOFOLLOW : 0;
	struct walk w;
	bool found;

	if (o->in->path.len == 0 ||
	    serve_walk(o->t, &w, NULL, &o->in->path, flags, 0) < 0)
		return false;
	found = is_it(o, &w.it.node, &w.stx);
	if (found) {
		o->it = w.it;
		o->stx = w.stx;
		w.it.node = NODE_NONE;
	}
	walk_fini(&w);
	return found;
}

/* Where a directory that was not found by its path is in the mount tree. */
static struct mtree *tree_place(const struct node *n)
{
	char path[PATH_MAX];

	if (n->mount->ops->path(n, path, sizeof path) < 0)
		return NULL;
	return mtree_find(n->mount, path);
}

static bool find_by_id(struct reopening *o)
{
	const struct mounts *mounts = serve_mounts();
	const ProtobufCBinaryData *id = &o->in->file_id;

	for (unsigned i = 0; i < mounts->n; i++) {
		struct mount *m = mounts->list[i];
		struct node n;

		if (m->ops->find_id(m, id->data, id->len, &n) < 0)
			continue;
		if (m->ops->attr(&n, 0, &o->stx) == 0) {
			o->it.node = n;
			o->it.at = S_ISDIR(o->stx.stx_mode) ? tree_place(&n) : NULL;
			return true;
		}
		node_put(&n);
	}
	return false;
}

int serve_find_again(struct task *t, const File__ReopenReq *in, struct place *it,
                     struct statx *stx)
{
	struct reopening o = {.t = t, .in = in, .it = {.node = NODE_NONE}};

	if (!find_by_path(&o) && !find_by_id(&o))
		return -ESTALE;
	*it = o.it;
	*stx = o.stx;
	return 0;
}

/* A directory that was removed is as good as another one that was: there is nothing in
 * it, and nothing can be made in it.  Only where it is known to be no more. */
static bool find_gone_dir(struct reopening *o)
{
	const struct mounts *mounts = serve_mounts();
	const ProtobufCBinaryData *id = &o->in->file_id;

	for (unsigned i = 0; i < mounts->n && S_ISDIR(o->in->type); i++) {
		struct mount *m = mounts->list[i];
		struct node n;

		if (m->ops->find_id(m, id->data, id->len, &n) != -ENOENT ||
		    m->ops->gone_dir(m, id->data, id->len, &n, &o->t->opening->gone_ino,
		                     &o->gone) < 0)
			continue;
		if (m->ops->attr(&n, 0, &o->stx) == 0) {
			o->it.node = n;
			return true;
		}
		node_put(&n);
	}
	return false;
}

/* The file's hidden name is this object's now; or it has another name too, and an
 * unlink was cut short: then the hidden one goes, until that is done again. */
static void adopt_orphan(struct mount *m, struct inode *i, const struct statx *stx)
{
	if (i->dev != m->root_dev || i->kept || !m->ops->orphan_kept(m, i->ino))
		return;
	if (stx->stx_nlink > 1) {
		m->ops->orphan_drop(m, i->ino);
		return;
	}
	i->kept = true;
	atomic_store(&i->orphaned, true);
}

int serve_adopt_locked(const struct node *n, struct statx *stx, struct inode **out)
{
	struct mount *m = n->mount;
	pthread_mutex_t *stripe = inode_stripe(stx);
	struct inode *i;
	int r;

	pthread_mutex_lock(stripe);
	i = inode_get(m, stx);
	r = i ? m->ops->attr(n, 0, stx) : -ENOMEM;
	if (r == 0 && !S_ISDIR(stx->stx_mode)) {
		adopt_orphan(m, i, stx);
		r = m->ops->attr(n, 0, stx);
	}
	pthread_mutex_unlock(stripe);
	if (r < 0)
		inode_put(i);
	else
		*out = i;
	return r;
}

/* t->opening gets the file. */
static int open_it(struct reopening *o)
{
	const mode_t type = o->stx.stx_mode & S_IFMT;
	const uint32_t access = token_access(o->in->flags);
	struct handle *h = o->t->opening;
	struct node *it = &o->it.node, n;
	struct inode *i = NULL;
	int r = 0;

	h->flags = access & (O_ACCMODE | O_PATH);
	if (type != S_IFREG && type != S_IFDIR)
		h->flags |= O_PATH; /* a reference is all there ever was */
	if (!(h->flags & O_PATH) && it->mount->read_only &&
	    (access & O_ACCMODE) != O_RDONLY)
		return -EROFS;
	pthread_mutex_lock(&it->mount->names);
	r = serve_adopt_locked(it, &o->stx, &i);
	pthread_mutex_unlock(&it->mount->names);
	/* The kernel may still have the removed one itself. */
	if (r == 0 && type == S_IFDIR && o->stx.stx_nlink == 0 && !o->gone)
		(void)it->mount->ops->gone_keep(it, &o->stx, &o->gone);
	if (r == 0 && o->gone)
		i->gone = o->gone;
	if (r == 0 && (h->flags & O_PATH)) {
		n = *it;
		*it = NODE_NONE;
	} else if (r == 0) {
		r = it->mount->ops->open(it, (int)access, &n);
	}
	if (r < 0) {
		inode_put(i);
		return r;
	}
	if (i && (access & O_ACCMODE) != O_RDONLY &&
	    o->in->append_end > o->stx.stx_size &&
	    o->in->append_end - o->stx.stx_size <= SERVE_APPEND_MAX) {
		pthread_mutex_lock(&i->append);
		i->reserved_by = h;
		i->reserved_end = o->in->append_end;
		pthread_mutex_unlock(&i->append);
	}
	uint8_t id[FILE_ID_MAX];

	/* What was held is held on, by its number. */
	(void)n.mount->ops->hold_id(&n, &o->stx, o->in->file_id.data, &h->hold, id);
	h->inode = i;
	h->place = (struct place){n, o->it.at};
	h->type = type;
	h->cred = cred_get(o->t->cred);
	h->is_root = serve_is_root(n.mount, &o->stx);
	if (h->is_root)
		h->place.at = n.mount->at;
	return 0;
}

int serve_reopen(struct task *t)
{
	const File__ReopenReq *in = (const File__ReopenReq *)t->req->msg;
	struct reopening o = {.t = t, .in = in, .it = {.node = NODE_NONE}};
	int r;

	if (in->file_id.len == 0)
		return -ESTALE;
	if (!token_valid(serve_instance(), t->session->client_id, in->flags,
	                 in->file_id.data, in->file_id.len, in->token.data,
	                 in->token.len))
		return -EPERM;
	r = cred_use(NULL);
	if (r < 0)
		return r;
	if (!find_by_path(&o) && !find_by_id(&o) && !find_gone_dir(&o))
		return -ESTALE;
	if (in->type && in->type != (o.stx.stx_mode & S_IFMT))
		r = -ESTALE;
	if (r == 0)
		r = open_it(&o);
	node_put(&o.it.node);
	return r < 0 ? r : serve_open_reply(t, &o.stx, in->flags, false);
}
