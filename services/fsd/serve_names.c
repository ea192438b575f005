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
#include "services/fsd/again.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static mode_t make_mode(const struct mount *m, uint32_t mode)
{
	return (mode_t)(mode & (m->allow_setid ? 07777u : 01777u));
}

static int do_mkdir(struct task *t, const struct node *dir, const char *name,
                    const void *mode)
{
	(void)t;
	return dir->mount->ops->mkdir(dir, name, *(const mode_t *)mode);
}

int serve_mkdir(struct task *t)
{
	const File__MakeReq *in = (const File__MakeReq *)t->req->msg;
	struct walk w;
	int r;

	if (again_done(t, AGAIN_MAKE, &r))
		return r;
	r = serve_parent(t, &w, t->h[0], &in->path, 0, -EEXIST);
	if (r < 0)
		return r;
	const mode_t mode = make_mode(w.dir.node.mount, in->mode);

	r = again_make(t, &w.dir.node, w.name, do_mkdir, &mode);
	walk_fini(&w);
	return r;
}

static int do_mknod(struct task *t, const struct node *dir, const char *name,
                    const void *mode)
{
	(void)t;
	return dir->mount->ops->mknod(dir, name, *(const mode_t *)mode);
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
	if (again_done(t, AGAIN_MAKE, &r))
		return r;
	r = serve_parent(t, &w, t->h[0], &in->path, 0, -EEXIST);
	if (r < 0)
		return r;
	const mode_t mode = type | make_mode(w.dir.node.mount, in->mode);

	r = again_make(t, &w.dir.node, w.name, do_mknod, &mode);
	walk_fini(&w);
	return r;
}

static int do_symlink(struct task *t, const struct node *dir, const char *name,
                      const void *target)
{
	(void)t;
	return dir->mount->ops->symlink(dir, name, target);
}

int serve_symlink(struct task *t)
{
	const File__MakeReq *in = (const File__MakeReq *)t->req->msg;
	struct serve_path target;
	struct walk w;
	int r = serve_path(&in->target, &target);

	if (again_done(t, AGAIN_MAKE, &r))
		return r;
	if (r == 0 && target.s[0] == 0)
		r = -ENOENT;
	if (r == 0)
		r = serve_parent(t, &w, t->h[0], &in->path, 0, -EEXIST);
	if (r < 0)
		return r;
	r = again_make(t, &w.dir.node, w.name, do_symlink, target.s);
	walk_fini(&w);
	return r;
}

static int do_link(struct task *t, const struct node *dir, const char *name,
                   const void *from)
{
	(void)t;
	return dir->mount->ops->link(from, dir, name);
}

int serve_link(struct task *t)
{
	const File__TwoPathReq *in = (const File__TwoPathReq *)t->req->msg;
	struct walk from, to;
	int r;

	if (in->flags & ~(uint32_t)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (again_done(t, AGAIN_MAKE, &r))
		return r;
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
		else /* of a directory: the kernel's EPERM, where nothing else is wrong */
			r = again_make(t, &to.dir.node, to.name, do_link,
			               &from.it.node);
		walk_fini(&to);
	}
	walk_fini(&from);
	return r == -EREMOTE ? -EXDEV : r;
}

/* ---- the last name of an open file ---- */

struct dying {
	pthread_mutex_t *stripe;
	struct inode *inode; /* NULL: not open */
	uint64_t ino;
	bool kept; /* it has a hidden name now */
	bool directory;
	uint64_t key; /* of a directory: gone_keep() */
};

/* A hidden name is none: of a call that an instance died in, it may be there already. */
static bool is_last(struct mount *m, const struct statx *stx)
{
	return stx->stx_nlink == 1 ||
	       (stx->stx_nlink == 2 && m->ops->orphan_kept(m, stx->stx_ino));
}

/* @name of @dir, seen as @stx, is open: give it a hidden name if this is its last. */
static int keep_open_file(const struct node *dir, const char *name,
                          const struct statx *seen, uint64_t *key)
{
	struct mount *m = dir->mount;
	struct statx stx;
	struct node n;
	int r = m->ops->lookup(dir, name, 0, &n);

	if (r < 0)
		return r;
	r = m->ops->attr(&n, 0, &stx);
	if (r == 0)
		r = cred_use(NULL);
	if (r == 0 && (stx.stx_ino != seen->stx_ino ||
	               (!S_ISDIR(stx.stx_mode) && !is_last(m, &stx))))
		r = -ENOENT;
	/* A file system without links, or full: open files still live on in the kernel,
	 * but not over this process's death. */
	if (r == 0)
		r = S_ISDIR(stx.stx_mode) ? m->ops->gone_keep(&n, &stx, key)
		                          : m->ops->orphan_keep(&n, stx.stx_ino);
	node_put(&n);
	return r;
}

enum what { FILES, DIRECTORIES, BOTH };

/* Prepare that the name @path of @dir goes, if that is what is removed.  Always followed
 * by dying_end().  While an instance recovers, a file may be open to a guest that did not
 * come back yet: it is kept, and forgotten when all are there. */
static void dying_begin(const struct node *dir, const char *path, enum what what,
                        struct dying *d)
{
	size_t len = strlen(path);
	char name[256];
	struct statx stx;

	*d = (struct dying){.stripe = NULL};
	while (len && path[len - 1] == '/') /* then it must be a directory */
		len--;
	if (len >= sizeof name || memchr(path, '/', len))
		return;
	memcpy(name, path, len);
	name[len] = 0;
	if (dir->mount->ops->attr_at(dir, name, &stx) < 0)
		return;
	d->directory = S_ISDIR(stx.stx_mode);
	if (d->directory ? what == FILES : what == DIRECTORIES || path[len])
		return;
	d->stripe = inode_stripe(&stx);
	pthread_mutex_lock(d->stripe);
	inode_dying();
	d->inode = inode_find(&stx);
	d->ino = stx.stx_ino;
	if (d->inode || names_recovering())
		d->kept = keep_open_file(dir, name, &stx, &d->key) == 0;
}

static void dying_end(struct mount *m, struct dying *d, bool gone)
{
	if (d->kept && !gone) {
		const int r = cred_use(NULL);

		if (r == 0 && d->directory)
			m->ops->gone_drop(m, d->key);
		else if (r == 0)
			m->ops->orphan_drop(m, d->ino);
	} else if (d->kept && d->inode && d->directory) {
		d->inode->gone = d->key;
	} else if (d->kept && d->inode) {
		d->inode->kept = true;
		atomic_store(&d->inode->orphaned, true);
	}
	inode_put(d->inode);
	if (d->stripe) {
		inode_dying();
		pthread_mutex_unlock(d->stripe);
	}
}

/* With the name's lock, and for a file mount.names. */
static int remove_locked(struct task *t, const struct walk *w, bool directory)
{
	const struct node *dir = &w->dir.node;
	struct mount *m = dir->mount;
	struct object is;
	struct dying d;
	int r;

	r = names_look(dir, w->name, &is);
	if (r == 0 && again_was_changed(t, AGAIN_REMOVE, dir, w->name, &is))
		return 0;
	if (r < 0 || !is.there) /* the kernel says why it cannot be removed */
		return m->ops->unlink(dir, w->name, directory);
	rpc_journal_intent(t->req, AGAIN_REMOVE, is.ino, is.born, 0);
	names_touch(dir, w->name, &is);
	dying_begin(dir, w->name, directory ? DIRECTORIES : FILES, &d);
	r = cred_use(t->cred);
	if (r == 0)
		r = m->ops->unlink(dir, w->name, directory);
	dying_end(m, &d, r == 0);
	rpc_journal_done(t->req, -r, 0);
	return r;
}

int serve_unlink(struct task *t)
{
	const File__PathReq *in = (const File__PathReq *)t->req->msg;
	const bool directory = in->flags & AT_REMOVEDIR;
	struct name_lock l;
	struct walk w;
	int r;

	if (again_done(t, AGAIN_REMOVE, &r))
		return r;
	r = serve_parent(t, &w, t->h[0], &in->path, 0, directory ? -EBUSY : -EISDIR);
	if (r < 0)
		return r;
	struct mount *m = w.dir.node.mount;

	if (!directory)
		pthread_mutex_lock(&m->names);
	names_lock(&l, m, w.name, NULL);
	r = remove_locked(t, &w, directory);
	names_unlock(&l);
	if (!directory)
		pthread_mutex_unlock(&m->names);
	walk_fini(&w);
	return r;
}

/* Renaming a file over another name of itself does nothing: it does not die. */
static bool same_file(const struct object *from, const struct dying *d)
{
	return (d->inode || d->kept) && from->there && from->ino == d->ino;
}

/* With both names' locks and mount.names. */
static int rename_locked(struct task *t, const struct walk *from, const struct walk *to,
                         unsigned flags)
{
	struct mount *m = to->dir.node.mount;
	struct dying d = {.stripe = NULL};
	struct object is, over;
	int r;

	r = names_look(&from->dir.node, from->name, &is);
	if (r == 0 && again_was_changed(t, AGAIN_RENAME, &from->dir.node, from->name, &is))
		return 0;
	if (r == 0)
		r = names_look(&to->dir.node, to->name, &over);
	if (r < 0 || !is.there) /* the kernel says why it cannot be renamed */
		return m->ops->rename(&from->dir.node, from->name, &to->dir.node,
		                      to->name, flags);
	rpc_journal_intent(t->req, AGAIN_RENAME, is.ino, is.born, 0);
	names_touch(&from->dir.node, from->name, &is);
	names_touch(&to->dir.node, to->name, &over);
	if (!(flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)))
		dying_begin(&to->dir.node, to->name, BOTH, &d);
	r = cred_use(t->cred);
	if (r == 0)
		r = m->ops->rename(&from->dir.node, from->name, &to->dir.node, to->name,
		                   flags);
	dying_end(m, &d, r == 0 && !same_file(&is, &d));
	rpc_journal_done(t->req, -r, 0);
	return r;
}

int serve_rename(struct task *t)
{
	const File__TwoPathReq *in = (const File__TwoPathReq *)t->req->msg;
	struct name_lock l;
	struct walk from, to;
	int r;

	if (in->flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    in->flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (again_done(t, AGAIN_RENAME, &r))
		return r;
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
		names_lock(&l, m, from.name, to.name);
		r = rename_locked(t, &from, &to, in->flags);
		names_unlock(&l);
		pthread_mutex_unlock(&m->names);
	}
	walk_fini(&to);
	walk_fini(&from);
	return r;
}
