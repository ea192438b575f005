/* SPDX-License-Identifier: MIT */
/*
 * Calls that make, move and remove names.
 *
 * The last name of a file that is open: while mount.names is held no guest
 * changes a name of the mount, so what was looked at is what is removed; with the
 * inode's stripe held nobody opens it meanwhile.  The file gets a name in the
 * orphans' folder first, under the service's own credentials, so that it can be
 * found again by its identity when this process is gone; then the guest's call
 * is made with the guest's; if it fails, the orphan is forgotten.
 */
#define _GNU_SOURCE
#include "services/fsd/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static mode_t make_mode(const struct mount *m, uint32_t mode)
{
	return (mode_t)(mode & (m->allow_setid ? 07777u : 01777u));
}

int serve_mkdir(struct task *t)
{
	const File__MakeReq *in = (const File__MakeReq *)t->req->msg;
	struct walk w;
	int r = serve_parent(t, &w, t->h[0], &in->path, 0, -EEXIST);

	if (r < 0)
		return r;
	r = w.dir.node.mount->ops->mkdir(&w.dir.node, w.name,
	                                 make_mode(w.dir.node.mount, in->mode));
	walk_fini(&w);
	return r;
}

int serve_mknod(struct task *t)
{
	const File__MakeReq *in = (const File__MakeReq *)t->req->msg;
	const mode_t type = in->mode & S_IFMT;
	struct walk w;
	int r;

	if (type == S_IFCHR || type == S_IFBLK)
		return -EPERM; /* devices are the guest's own, never a file's */
	if (type == S_IFDIR)
		return -EPERM;
	if (type != 0 && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK)
		return -EINVAL;
	r = serve_parent(t, &w, t->h[0], &in->path, 0, -EEXIST);
	if (r < 0)
		return r;
	r = w.dir.node.mount->ops->mknod(&w.dir.node, w.name,
	                                 type | make_mode(w.dir.node.mount, in->mode));
	walk_fini(&w);
	return r;
}

int serve_symlink(struct task *t)
{
	const File__MakeReq *in = (const File__MakeReq *)t->req->msg;
	struct serve_path target;
	struct walk w;
	int r = serve_path(&in->target, &target);

	if (r == 0 && target.s[0] == 0)
		r = -ENOENT;
	if (r == 0)
		r = serve_parent(t, &w, t->h[0], &in->path, 0, -EEXIST);
	if (r < 0)
		return r;
	r = w.dir.node.mount->ops->symlink(&w.dir.node, w.name, target.s);
	walk_fini(&w);
	return r;
}

int serve_link(struct task *t)
{
	const File__TwoPathReq *in = (const File__TwoPathReq *)t->req->msg;
	struct walk from, to;
	int r;

	if (in->flags & ~(uint32_t)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	r = serve_walk(t, &from, t->h[0], &in->old_path,
	               in->flags & AT_SYMLINK_FOLLOW ? 0 : WALK_NOFOLLOW, 0);
	if (r < 0)
		return r == -EREMOTE ? -EXDEV : r;
	if (in->old_path.len == 0 && t->h[0] && serve_orphaned(t->h[0], &from.stx)) {
		walk_fini(&from);
		return -ENOENT; /* no name left to link */
	}
	r = serve_parent(t, &to, t->h[1], &in->new_path, 0, -EEXIST);
	if (r == 0) {
		if (from.it.node.mount != to.dir.node.mount)
			r = -EXDEV;
		else if (S_ISDIR(from.stx.stx_mode))
			r = -EPERM;
		else
			r = to.dir.node.mount->ops->link(&from.it.node, &to.dir.node,
			                                 to.name);
		walk_fini(&to);
	}
	walk_fini(&from);
	return r == -EREMOTE ? -EXDEV : r;
}

/* ---- the last name of an open file ---- */

struct dying {
	pthread_mutex_t *stripe;
	struct inode *inode; /* NULL: not open, or not its last name */
};

/* @name of @dir, seen as @stx, is open: give it a hidden name if this is its last. */
static int keep_open_file(const struct node *dir, const char *name,
                          const struct statx *seen, struct orphan *orphan)
{
	struct mount *m = dir->mount;
	struct statx stx;
	struct node n;
	int r = m->ops->lookup(dir, name, 0, &n);

	if (r < 0)
		return r;
	r = m->ops->attr(&n, 0, &stx);
	if (r == 0 && (stx.stx_ino != seen->stx_ino || stx.stx_nlink != 1))
		r = -ENOENT;
	if (r == 0)
		r = cred_use(NULL);
	/* A file system without links, or full: open files still live on in the kernel,
	 * but not over this process's death. */
	if (r == 0)
		r = m->ops->orphan_keep(&n, stx.stx_ino, orphan);
	node_put(&n);
	return r;
}

/* Prepare that @name of @dir goes.  Always followed by dying_end(). */
static void dying_begin(const struct node *dir, const char *name, struct dying *d)
{
	struct statx stx;

	*d = (struct dying){NULL, NULL};
	if (strchr(name, '/') || dir->mount->ops->attr_at(dir, name, &stx) < 0 ||
	    !S_ISREG(stx.stx_mode))
		return;
	d->stripe = inode_stripe(&stx);
	pthread_mutex_lock(d->stripe);
	inode_dying();
	d->inode = inode_find(&stx);
	if (d->inode && keep_open_file(dir, name, &stx, &d->inode->orphan) < 0) {
		inode_put(d->inode);
		d->inode = NULL;
	}
}

static void dying_end(struct mount *m, struct dying *d, bool gone)
{
	if (d->inode) {
		if (gone)
			atomic_store(&d->inode->orphaned, true);
		else if (cred_use(NULL) == 0)
			m->ops->orphan_drop(m, &d->inode->orphan);
		inode_put(d->inode);
	}
	if (d->stripe) {
		inode_dying();
		pthread_mutex_unlock(d->stripe);
	}
}

int serve_unlink(struct task *t)
{
	const File__PathReq *in = (const File__PathReq *)t->req->msg;
	const bool directory = in->flags & AT_REMOVEDIR;
	struct dying d;
	struct walk w;
	int r = serve_parent(t, &w, t->h[0], &in->path, 0,
	                     directory ? -EBUSY : -EISDIR);

	if (r < 0)
		return r;
	struct mount *m = w.dir.node.mount;

	if (directory) {
		r = m->ops->unlink(&w.dir.node, w.name, true);
	} else {
		pthread_mutex_lock(&m->names);
		dying_begin(&w.dir.node, w.name, &d);
		r = cred_use(t->cred);
		if (r == 0)
			r = m->ops->unlink(&w.dir.node, w.name, false);
		dying_end(m, &d, r == 0);
		pthread_mutex_unlock(&m->names);
	}
	walk_fini(&w);
	return r;
}

/* Renaming a file over another name of itself does nothing: it does not die. */
static bool same_file(const struct node *dir, const char *name, const struct dying *d)
{
	struct statx stx;
	struct node n;
	bool same = false;

	if (!d->inode || dir->mount->ops->lookup(dir, name, 0, &n) < 0)
		return false;
	if (dir->mount->ops->attr(&n, 0, &stx) == 0)
		same = stx.stx_ino == d->inode->ino;
	node_put(&n);
	return same;
}

static int rename_locked(struct task *t, const struct walk *from, const struct walk *to,
                         unsigned flags)
{
	struct mount *m = to->dir.node.mount;
	struct dying d = {NULL, NULL};
	int r;

	if (!(flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)))
		dying_begin(&to->dir.node, to->name, &d);
	const bool self = same_file(&from->dir.node, from->name, &d);

	r = cred_use(t->cred);
	if (r == 0)
		r = m->ops->rename(&from->dir.node, from->name, &to->dir.node, to->name,
		                   flags);
	dying_end(m, &d, r == 0 && !self);
	return r;
}

int serve_rename(struct task *t)
{
	const File__TwoPathReq *in = (const File__TwoPathReq *)t->req->msg;
	struct walk from, to;
	int r;

	if (in->flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    in->flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	r = serve_any_parent(t, &from, t->h[0], &in->old_path, 0, -EBUSY);
	if (r == 0) {
		r = serve_any_parent(t, &to, t->h[1], &in->new_path, 0, -EBUSY);
		if (r < 0)
			walk_fini(&from);
	}
	if (r < 0)
		return r == -EREMOTE ? -EXDEV : r;
	struct mount *m = to.dir.node.mount;

	if (from.dir.node.mount != m) {
		r = -EXDEV;
	} else if (m->read_only) {
		r = -EROFS;
	} else {
		pthread_mutex_lock(&m->names);
		r = rename_locked(t, &from, &to, in->flags);
		pthread_mutex_unlock(&m->names);
	}
	walk_fini(&to);
	walk_fini(&from);
	return r;
}
