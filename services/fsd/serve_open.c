/* SPDX-License-Identifier: MIT */
/*
 * Open, SetCred, Release, Getcwd.
 *
 * A file is looked at before it is opened: a device is refused, a FIFO or socket
 * is never opened here, and what is opened is what was looked at.  Creation is
 * always exclusive; without O_EXCL, losing the race means looking again.
 *
 * A file that this call made for an instance that died is the guest's, whatever mode
 * it was given: it is opened as it was then, which its owner could have by chmod().
 */
#define _GNU_SOURCE
#include "services/fsd/again.h"
#include "services/fsd/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <unistd.h>

#define OPEN_TRIES 64
#define OPEN_KNOWN                                                                     \
	(O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_DIRECTORY | O_NOFOLLOW | O_PATH |  \
	 O_NOATIME | O_DIRECT | O_TMPFILE)
#define RESOLVE_KNOWN                                                                  \
	(RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS |               \
	 RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED)

struct opening {
	struct task *t;
	const File__OpenReq *in;
	uint32_t flags;
	mode_t mode;
	struct walk w;
	struct statx stx;
	struct handle *h;
	uint64_t deaths; /* before the look at the file */
	bool created;
};

int serve_set_cred(struct task *t)
{
	const File__SetCredReq *in = (const File__SetCredReq *)t->req->msg;

	return session_set_cred(t->session, in->cred, in->uid, in->gid, in->groups,
	                        in->n_groups);
}

int serve_release(struct task *t)
{
	handle_drop(t->session, t->h[0]);
	return 0;
}

int serve_getcwd(struct task *t)
{
	char path[PATH_MAX];
	int n;

	if (!S_ISDIR(t->h[0]->type))
		return -ENOTDIR;
	n = walk_guest_path(&t->h[0]->place, path, sizeof path);
	return n < 0 ? n : serve_reply(t, NULL, path, (size_t)n);
}

static int access_mode(uint32_t flags)
{
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return R_OK;
	case O_WRONLY:
		return W_OK;
	default:
		return R_OK | W_OK;
	}
}

/* What must hold for the file that is there.  0: open it; 1: keep the reference
 * only (O_PATH, a FIFO). */
static int check_existing(struct opening *o)
{
	const struct mount *m = o->w.it.node.mount;
	const mode_t type = o->stx.stx_mode & S_IFMT;
	const bool write = (o->flags & O_ACCMODE) != O_RDONLY || (o->flags & O_TRUNC);

	if ((o->flags & O_DIRECTORY) && type != S_IFDIR)
		return -ENOTDIR;
	if (o->flags & O_PATH)
		return 1;
	if (type == S_IFLNK)
		return -ELOOP;
	if (type == S_IFDIR && (write || (o->flags & O_CREAT)))
		return -EISDIR;
	if (type == S_IFIFO) {
		const int r = m->ops->access(&o->w.it.node, access_mode(o->flags));

		return r < 0 ? r : 1;
	}
	if (type != S_IFREG && type != S_IFDIR)
		return -ENXIO;
	if (write && m->read_only)
		return -EROFS;
	return 0;
}

static void keep(struct opening *o, struct node n, struct mtree *at)
{
	o->h->place = (struct place){n, at};
	o->h->type = o->stx.stx_mode & S_IFMT;
	o->h->cred = cred_get(o->t->cred);
	o->h->is_root = serve_is_root(n.mount, &o->stx);
	if (o->h->is_root)
		o->h->place.at = n.mount->at;
}

#define OPEN_NODE (O_ACCMODE | O_DIRECTORY | O_NOATIME)

/* The inode of the file at w.it, known by o->stx.  With the stripe, an unlink either
 * sees it in the table, or has been: then a name went since the look, and another
 * look tells.  -ESTALE: it lost its last name (one opened again by its own handle may
 * have). */
static int get_inode(struct opening *o, struct inode **out)
{
	const struct node *it = &o->w.it.node;
	pthread_mutex_t *stripe = inode_stripe(&o->stx);
	const bool named = o->in->path.len > 0;
	struct inode *i;
	int r = 0;

	pthread_mutex_lock(stripe);
	i = inode_get(it->mount, &o->stx);
	if (!i)
		r = -ENOMEM;
	else if (inode_deaths() != o->deaths)
		r = it->mount->ops->attr(it, 0, &o->stx);
	if (r == 0 && named && !S_ISDIR(o->stx.stx_mode) &&
	    (o->stx.stx_nlink == 0 || atomic_load(&i->orphaned)))
		r = -ESTALE;
	pthread_mutex_unlock(stripe);
	if (r < 0)
		inode_put(i);
	else
		*out = i;
	return r;
}

/* Open the file at w.it, known by o->stx.  -ESTALE: it lost its last name since. */
static int open_existing(struct opening *o)
{
	struct node *it = &o->w.it.node, n;
	struct inode *i;
	int r;

	/* Freeing blocks waits for a disk, and not only if others are served. */
	if ((o->flags & O_TRUNC) && o->t->on_loop && !it->mount->memory &&
	    o->stx.stx_size > 0)
		return SERVE_DEFER;
	r = get_inode(o, &i);
	if (r < 0)
		return r;
	if (o->w.opened) {
		n = *it;
		*it = NODE_NONE; /* the handle's now */
	} else {
		r = it->mount->ops->open(it, (int)(o->flags & (OPEN_NODE | O_TRUNC)),
		                         &n);
	}
	if (r == 0 && (o->flags & O_TRUNC))
		r = n.mount->ops->attr(&n, 0, &o->stx);
	if (r < 0) {
		inode_put(i);
		return r;
	}
	keep(o, n, o->w.it.at);
	o->h->inode = i;
	return 0;
}

static int take_reference(struct opening *o)
{
	struct inode *i = NULL;
	const int r = get_inode(o, &i);

	if (r < 0)
		return r;
	o->h->inode = i; /* so that its last name is not its end */
	keep(o, o->w.it.node, o->w.it.at);
	o->h->flags |= O_PATH;
	o->w.it.node = NODE_NONE; /* the handle's now */
	return 0;
}

/* What w.name is; of a path, whether it is. */
static int look(const struct opening *o, bool deep, struct object *is)
{
	const struct node *dir = &o->w.dir.node;
	struct node n;
	int r;

	if (!deep)
		return names_look(dir, o->w.name, is);
	*is = (struct object){.there = false};
	r = dir->mount->ops->lookup(dir, o->w.name, 0, &n);
	if (r == 0) {
		is->there = true;
		node_put(&n);
	}
	return r == -ENOENT ? 0 : r;
}

/* With the name's lock. */
static int create_locked(struct opening *o, bool deep, struct node *n)
{
	struct node *dir = &o->w.dir.node;
	struct mount *m = dir->mount;
	struct object is;
	int r = look(o, deep, &is);

	if (r == 0 && is.there)
		r = -EEXIST;
	if (r < 0)
		return r;
	rpc_journal_intent(o->t->req, AGAIN_CREATE, 0, 0, 0);
	names_touch(dir, o->w.name, &is);
	r = m->ops->create(dir, o->w.name, (int)(o->flags & (O_ACCMODE | O_NOATIME)),
	                   m->allow_setid ? o->mode : o->mode & ~(mode_t)06000, n);
	if (r == 0) {
		o->created = true;
		r = m->ops->attr(n, 0, &o->stx);
		if (r < 0)
			node_put(n);
	}
	is = names_object(&o->stx);
	rpc_journal_done(o->t->req, -r, r == 0 ? again_tag(o->t, &is) : 0);
	return r;
}

/* @deep: w.name is a path. */
static int create(struct opening *o, bool deep)
{
	struct mount *m = o->w.dir.node.mount;
	struct name_lock l;
	struct node n;
	int r;

	if (!deep && o->w.name[strcspn(o->w.name, "/")])
		return -EISDIR;
	if (m->read_only)
		return -EROFS;
	if (serve_must_defer(o->t, m))
		return -EAGAIN;
	names_lock(&l, m, o->w.name, NULL);
	r = create_locked(o, deep, &n);
	names_unlock(&l);
	if (r < 0)
		return r;
	o->h->inode = inode_get(m, &o->stx);
	if (!o->h->inode) {
		node_put(&n);
		return -ENOMEM;
	}
	keep(o, n, NULL);
	return 0;
}

/* O_CREAT | O_EXCL: the name itself, links not followed. */
static int create_exclusive(struct opening *o)
{
	struct task *t = o->t;
	int r = -EXDEV;

	if (!names_recovering()) /* else names are known by their directories */
		r = serve_walk(t, &o->w, t->h[0], &o->in->path, WALK_DEEP,
		               o->in->resolve);
	if (r == 0) {
		r = create(o, true);
		walk_fini(&o->w);
	}
	if (r != -EXDEV && r != -ELOOP) /* else something on the way takes a walk */
		return r;
	r = serve_parent(t, &o->w, t->h[0], &o->in->path, o->in->resolve, -EEXIST);
	return r < 0 ? r : create(o, false);
}

/* One look and one try.  -ESTALE: what was found is no more; again. */
static int open_once(struct opening *o)
{
	unsigned flags = o->flags & O_NOFOLLOW ? WALK_NOFOLLOW : 0;
	int r;

	o->deaths = inode_deaths();
	if (o->flags & O_CREAT)
		flags |= WALK_CREATE;
	if (o->flags & (O_CREAT | O_TRUNC | O_PATH))
		r = serve_walk(o->t, &o->w, o->t->h[0], &o->in->path, flags,
		               o->in->resolve);
	else
		r = serve_walk_open(o->t, &o->w, o->t->h[0], &o->in->path, flags,
		                    o->in->resolve, (int)(o->flags & OPEN_NODE));
	if (r < 0)
		return r;
	if (!node_ok(&o->w.it.node)) {
		r = create(o, false);
		return r == -EEXIST ? -ESTALE : r;
	}
	o->stx = o->w.stx;
	r = check_existing(o);
	if (r == 0)
		r = open_existing(o);
	else if (r > 0)
		r = take_reference(o);
	return r;
}

int serve_open_reply(struct task *t, const struct statx *stx, uint32_t flags,
                     bool created)
{
	File__OpenRep rep = FILE__OPEN_REP__INIT;
	struct handle *h = t->opening;
	const struct node *n = &h->place.node;
	uint8_t id[FILE_ID_MAX], token[TOKEN_LEN];
	File__Attr attr;

	serve_attr(n, h, stx, &attr);
	rep.attr = &attr;
	rep.created = created;
	rep.file_id.data = id;
	rep.file_id.len = (size_t)n->mount->ops->file_id(n, stx, id);
	if (!rep.file_id.len)
		rep.file_id.len =
		        (size_t)n->mount->ops->hold_id(n, stx, NULL, &h->hold, id);
	if (rep.file_id.len) {
		token_make(serve_instance(), t->session->client_id, flags, id,
		           rep.file_id.len, token);
		rep.token = (ProtobufCBinaryData){TOKEN_LEN, token};
	}
	rep.mount_flags = (n->mount->read_only ? FILE_MOUNT_READ_ONLY : 0) |
	                  (n->mount->exclusive ? FILE_MOUNT_EXCLUSIVE : 0);
	/* Before the answer: the guest may use the handle at once. */
	serve_opened(t);
	return serve_reply(t, &rep.base, NULL, 0);
}

/* ---- made already, for an instance that died ---- */

/* w.it is the file that this call made. */
static int open_made(struct opening *o)
{
	struct node *it = &o->w.it.node, n;
	struct mount *m = it->mount;
	struct inode *i;
	int r = m->ops->attr(it, 0, &o->stx);

	if (r == 0 && (!S_ISREG(o->stx.stx_mode) || m->read_only ||
	               o->stx.stx_uid != cred_owner(o->t->cred, m->keep_root)))
		r = -EEXIST; /* not made by this one */
	if (r == 0)
		r = cred_use(NULL);
	if (r == 0)
		r = serve_adopt_locked(it, &o->stx, &i);
	if (r < 0)
		return r;
	r = m->ops->open(it, (int)(o->flags & (O_ACCMODE | O_NOATIME)), &n);
	if (r < 0) {
		inode_put(i);
		return r;
	}
	keep(o, n, NULL);
	o->h->inode = i;
	o->created = true;
	return 0;
}

/* The file that @a speaks of, into w.it.  False: there is none; make it (again). */
static bool find_made(struct opening *o, const struct again *a)
{
	struct node *dir = &o->w.dir.node, *it = &o->w.it.node;
	struct object is, was;
	struct statx stx;

	node_put(it);
	if (names_look(dir, o->w.name, &is) < 0)
		return false;
	names_was(dir, o->w.name, &is, &was);
	if (a->mark == JOURNAL_INTENT && !(was.there && names_same(&is, &was)))
		return false; /* was not made, or somebody has removed it since */
	if (a->mark == JOURNAL_INTENT || again_tag(o->t, &is) == a->e.d)
		return is.there && dir->mount->ops->lookup(dir, o->w.name, 0, it) == 0;
	/* Its name is gone already: then it was kept, being open. */
	if (cred_use(NULL) < 0 ||
	    dir->mount->ops->orphan_find(dir->mount, again_tag_ino(a->e.d), it) < 0)
		return false;
	if (dir->mount->ops->attr(it, 0, &stx) == 0) {
		is = names_object(&stx);
		if (again_tag(o->t, &is) == a->e.d)
			return true;
	}
	node_put(it);
	return false;
}

/* 1: it is not known to have made its file. */
static int open_again(struct opening *o)
{
	const struct again a = again_get(o->t, AGAIN_CREATE);
	struct task *t = o->t;
	struct name_lock l;
	int r;

	if (a.mark == JOURNAL_NONE || !(o->flags & O_CREAT))
		return 1;
	if (a.mark == JOURNAL_DONE && a.e.err) /* EEXIST: it was about to look again */
		return a.e.err == EEXIST && !(o->flags & O_EXCL) ? 1 : -(int)a.e.err;
	if (o->flags & O_EXCL)
		r = serve_parent(t, &o->w, t->h[0], &o->in->path, o->in->resolve,
		                 -EEXIST);
	else
		r = serve_walk(t, &o->w, t->h[0], &o->in->path,
		               WALK_CREATE | (o->flags & O_NOFOLLOW ? WALK_NOFOLLOW : 0),
		               o->in->resolve);
	if (r < 0)
		return 1; /* what there is to say, the way from the start says */
	struct mount *m = o->w.dir.node.mount;

	pthread_mutex_lock(&m->names);
	names_lock(&l, m, o->w.name, NULL);
	r = find_made(o, &a) ? open_made(o) : 1;
	names_unlock(&l);
	pthread_mutex_unlock(&m->names);
	walk_fini(&o->w);
	if (r == -EEXIST)
		r = 1;
	return r > 0 && cred_use(t->cred) < 0 ? -EPERM : r;
}

static int check_request(struct opening *o)
{
	if (o->in->resolve & ~(uint32_t)RESOLVE_KNOWN)
		return -EINVAL;
	if ((o->in->resolve & RESOLVE_BENEATH) && (o->in->resolve & RESOLVE_IN_ROOT))
		return -EINVAL;
	if ((o->flags & O_TMPFILE) == O_TMPFILE)
		return -EOPNOTSUPP;
	if ((o->flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
		return -EINVAL;
	/* Reads and writes here go through the service's page cache. */
	if ((o->flags & O_DIRECT) && !(o->flags & O_PATH))
		return -EINVAL;
	if (o->flags & O_PATH)
		o->flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
	return 0;
}

int serve_open(struct task *t)
{
	const File__OpenReq *in = (const File__OpenReq *)t->req->msg;
	struct opening o = {.t = t,
	                    .in = in,
	                    .flags = in->flags & OPEN_KNOWN,
	                    .mode = in->mode & 07777,
	                    .h = t->opening};
	int r = check_request(&o);

	if (r == 0 && rpc_req_replay(t->req)) {
		o.h->flags = o.flags & (O_ACCMODE | O_PATH);
		r = open_again(&o);
		if (r == 0)
			return serve_open_reply(t, &o.stx, o.flags, true);
		r = r > 0 ? 0 : r;
	}
	for (int i = 0; r == 0 && i < OPEN_TRIES; i++) {
		o.h->flags = o.flags & (O_ACCMODE | O_PATH);
		if ((o.flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
			r = create_exclusive(&o);
		else
			r = open_once(&o);
		walk_fini(&o.w);
		if (r != -ESTALE)
			return r < 0 ? r
			             : serve_open_reply(t, &o.stx, o.flags, o.created);
		r = 0;
	}
	return r < 0 ? r : -EAGAIN;
}
