/* SPDX-License-Identifier: MIT */
/*
 * Invariants:
 * 1. cur is a directory of the table's mounts, or the caller's base.
 * 2. A look-up that the back end does in one go passes no link (it refuses them),
 *    so with no "..", and a first name that is no child in the mount tree, it
 *    passes no mount point.  Without mount points below cur, ".." may be in it:
 *    the back end refuses to leave cur.
 * 3. place.at is set where mount points lie below; it may be NULL for a mount's
 *    root without any, which ".." finds out by the path.
 */
#define _GNU_SOURCE
#include "services/fsd/walk.h"

#include "services/fsd/cred.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX 40
#define REST_MAX 12288

struct state {
	struct walk *w;
	struct place cur;
	bool borrowed; /* cur.node is the caller's */
	bool whole;    /* one look-up may be tried */
	int links;
	char *rest; /* in buf, which is filled from its end */
	char buf[REST_MAX];
};

struct comp {
	const char *name;
	size_t len;
	bool last, slash; /* slash: something follows, if only slashes */
};

static void set_cur(struct state *s, struct place p, bool borrowed)
{
	if (!s->borrowed)
		node_put(&s->cur.node);
	s->cur = p;
	s->borrowed = borrowed;
}

static unsigned cached(const struct state *s)
{
	return s->w->flags & WALK_CACHED ? NODE_CACHED : 0;
}

static struct place root_place(const struct state *s)
{
	if ((s->w->resolve & RESOLVE_IN_ROOT) && s->w->base)
		return *s->w->base;
	return (struct place){s->w->mounts->mount->root, s->w->mounts->root};
}

static int go_root(struct state *s)
{
	if (s->w->resolve & RESOLVE_BENEATH)
		return -EXDEV;
	if ((s->w->resolve & RESOLVE_NO_XDEV) && node_ok(&s->cur.node) &&
	    s->cur.node.mount != root_place(s).node.mount)
		return -EXDEV;
	set_cur(s, root_place(s), true);
	return 0;
}

static bool same_file(const struct node *a, const struct node *b)
{
	struct statx x, y;

	if (a->mount != b->mount)
		return false;
	if (a->ref == b->ref)
		return true;
	return a->mount->ops->attr(a, 0, &x) == 0 &&
	       b->mount->ops->attr(b, 0, &y) == 0 && x.stx_ino == y.stx_ino &&
	       x.stx_dev_major == y.stx_dev_major && x.stx_dev_minor == y.stx_dev_minor;
}

static bool is_mount_root(const struct node *n)
{
	return same_file(n, &n->mount->root);
}

static bool next_comp(struct state *s, struct comp *c)
{
	while (*s->rest == '/')
		s->rest++;
	c->name = s->rest;
	c->len = strcspn(s->rest, "/");
	c->slash = s->rest[c->len] == '/';
	c->last = s->rest[c->len + strspn(s->rest + c->len, "/")] == 0;
	return c->len > 0;
}

static bool is_name(const struct comp *c, const char *name)
{
	return strlen(name) == c->len && memcmp(c->name, name, c->len) == 0;
}

static bool has_dotdot(const char *p)
{
	for (; (p = strstr(p, "..")); p += 2)
		if ((p[2] == '/' || p[2] == 0))
			return true; /* "a.." too: rare, and stepping is right for all */
	return false;
}

/* Prepend a link's target to what is left. */
static int push_link(struct state *s, const struct node *link)
{
	char target[PATH_MAX];
	int n;

	if (s->w->resolve & RESOLVE_NO_SYMLINKS || ++s->links > LINKS_MAX)
		return -ELOOP;
	n = link->mount->ops->readlink(link, target, sizeof target);
	if (n < 0)
		return n;
	if (n == 0)
		return -ENOENT;
	if (s->rest - s->buf < n + 1)
		return -ENAMETOOLONG;
	/* rest is empty, or begins with the slash that ended the link's name */
	s->rest -= n;
	memcpy(s->rest, target, (size_t)n);
	s->whole = true;
	return target[0] == '/' ? go_root(s) : 0;
}

static int place_dup(const struct place *p, struct place *out)
{
	const int r = p->node.mount->ops->dup(&p->node, &out->node);

	out->at = p->at;
	return r;
}

/* The directory at @at of the tree. */
static int tree_place(struct state *s, struct mtree *at)
{
	struct place p = {.at = at};
	char path[PATH_MAX];
	struct mount *m = mtree_mount(at, path, sizeof path);
	const int r = path[0] ? m->ops->lookup(&m->root, path, cached(s), &p.node)
	                      : m->ops->dup(&m->root, &p.node);

	if (r == 0)
		set_cur(s, p, false);
	return r;
}

/* The parent of a directory that is not in the tree: by its path from the mount's
 * root, so that no rename of the moment can lead out; asked again afterwards. */
static int parent_below(struct state *s)
{
	struct mount *m = s->cur.node.mount;
	char path[PATH_MAX], again[PATH_MAX];

	for (int tries = 0;; tries++) {
		struct place p = {.at = NULL};
		char *slash;
		int r = m->ops->path(&s->cur.node, path, sizeof path);

		if (r < 0)
			return r;
		if (path[0] == 0) { /* the mount's root after all */
			s->cur.at = m->at;
			return -EXDEV;
		}
		slash = strrchr(path, '/');
		memcpy(again, path, strlen(path) + 1);
		path[slash ? slash - path : 0] = 0;
		r = path[0] ? m->ops->lookup(&m->root, path, cached(s), &p.node)
		            : m->ops->dup(&m->root, &p.node);
		if (r == 0 && tries < 16 &&
		    (m->ops->path(&s->cur.node, path, sizeof path) < 0 ||
		     strcmp(path, again) != 0)) {
			node_put(&p.node);
			continue;
		}
		if (r < 0 && (r == -EAGAIN || tries >= 16))
			return r;
		if (r < 0)
			continue;
		again[slash ? slash - path : 0] = 0;
		p.at = mtree_find(m, again);
		set_cur(s, p, false);
		return 0;
	}
}

static int check_search(const struct state *s)
{
	struct statx stx;
	int r;

	/* What is in the tree is a directory. */
	if (s->cur.at && cred_is_root(s->cur.node.mount->keep_root))
		return 0;
	r = s->cur.node.mount->ops->attr(&s->cur.node, cached(s), &stx);
	if (r < 0)
		return r;
	if (!S_ISDIR(stx.stx_mode))
		return -ENOTDIR;
	return s->cur.node.mount->ops->access(&s->cur.node, X_OK);
}

static int step_up(struct state *s)
{
	const struct walk *w = s->w;
	int r = check_search(s);

	if (r < 0)
		return r;
	if ((w->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) &&
	    same_file(&s->cur.node, w->base ? &w->base->node : &w->mounts->mount->root))
		return w->resolve & RESOLVE_BENEATH ? -EXDEV : 0;
	if (!s->cur.at) {
		r = parent_below(s);
		if (r != -EXDEV)
			return r;
	}
	if (!s->cur.at->parent)
		return 0; /* ".." of "/" is "/" */
	if (s->cur.at->mount && (w->resolve & RESOLVE_NO_XDEV))
		return -EXDEV;
	return tree_place(s, s->cur.at->parent);
}

/* The walk comes to a name that is the guest's own. */
static int leave(const struct state *s)
{
	const size_t len = strlen(s->rest);

	if (s->w->resolve & RESOLVE_NO_XDEV)
		return -EXDEV;
	if (len + 1 >= PATH_MAX)
		return -ENAMETOOLONG;
	if (s->w->left) {
		s->w->left[0] = '/';
		memcpy(s->w->left + 1, s->rest, len + 1);
	}
	return -EREMOTE;
}

/* Look up one name in cur: a child in the tree, or in the back end. */
static int look(struct state *s, const struct comp *c, struct place *out)
{
	char name[NAME_MAX + 1];
	struct mtree *child =
	        s->cur.at ? mtree_child(s->cur.at, c->name, c->len) : NULL;
	const struct node *dir = &s->cur.node;

	if (c->len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, c->name, c->len);
	name[c->len] = 0;
	out->at = child;
	if (child && child->own)
		return leave(s);
	if (child && child->mount) {
		int r = check_search(s);

		if (r == 0 && (s->w->resolve & RESOLVE_NO_XDEV))
			r = -EXDEV;
		return r < 0 ? r
		             : dir->mount->ops->dup(&child->mount->root, &out->node);
	}
	if (strcmp(name, ORPHANS_DIR) == 0 && is_mount_root(dir))
		return -ENOENT;
	return dir->mount->ops->lookup(dir, name, cached(s), &out->node);
}

/* May one look-up of the back end take @path from cur?  (Invariant 2.) */
static bool may_whole(const struct state *s, const char *path)
{
	const struct mtree *at = s->cur.at;

	if (!s->whole || strstr(path, ORPHANS_DIR))
		return false;
	if (!at || !at->first)
		return !(s->w->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) ||
		       !has_dotdot(path);
	return path[0] != '.' && !has_dotdot(path) &&
	       !mtree_child(at, path, strcspn(path, "/"));
}

/* The same of an open that needs no look first.  Not where a FIFO may be one that
 * programs of the host wait at: opening it would wake them. */
static int try_open(struct state *s)
{
	struct walk *w = s->w;
	struct mount *m = s->cur.node.mount;
	struct place p = {.at = NULL};
	int r;

	if (!m->open_at_once ||
	    (m->read_only && (w->open_flags & O_ACCMODE) != O_RDONLY))
		return 0;
	r = m->ops->open_path(&s->cur.node, s->rest, w->open_flags, cached(s), &p.node);
	if (r < 0)
		return r == -ENOENT || r == -EAGAIN ? r : 0;
	r = m->ops->attr(&p.node, cached(s), &w->stx);
	if (r == 0 && (S_ISREG(w->stx.stx_mode) || S_ISDIR(w->stx.stx_mode))) {
		w->it = p;
		w->opened = true;
		return 1;
	}
	node_put(&p.node);
	return r;
}

/* 1: the node of all that was left; 0: go on by steps; else an error. */
static int try_whole(struct state *s)
{
	struct walk *w = s->w;
	struct place p = {.at = NULL};
	int r;

	if (!may_whole(s, s->rest))
		return 0;
	if (w->flags & WALK_OPEN) {
		r = try_open(s);
		if (r != 0)
			return r;
	}
	s->whole = false;
	r = s->cur.node.mount->ops->lookup(&s->cur.node, s->rest, cached(s), &p.node);
	if (r == -ELOOP || r == -EXDEV)
		return 0;
	if (r == 0)
		r = p.node.mount->ops->attr(&p.node, cached(s), &w->stx);
	if (r < 0) {
		node_put(&p.node);
		return r;
	}
	if (S_ISLNK(w->stx.stx_mode) && !(w->flags & WALK_NOFOLLOW)) {
		node_put(&p.node);
		return 0;
	}
	w->it = p;
	return 1;
}

/* Move cur to the parent of the last name, in one look-up if that can be. */
static int try_whole_parent(struct state *s)
{
	char *end = s->rest + strlen(s->rest);
	struct place p = {.at = NULL};
	char keep;
	int r;

	while (end > s->rest && end[-1] == '/')
		end--;
	while (end > s->rest && end[-1] != '/')
		end--;
	if (end == s->rest)
		return 0;
	keep = *end;
	*end = 0; /* ends in a slash: a directory, no link */
	r = may_whole(s, s->rest) ? s->cur.node.mount->ops->lookup(
	                                    &s->cur.node, s->rest, cached(s), &p.node)
	                          : -EXDEV;
	*end = keep;
	s->whole = false;
	if (r == -ELOOP || r == -EXDEV)
		return 0;
	if (r < 0)
		return r;
	set_cur(s, p, false);
	s->rest = end;
	return 0;
}

static int finish(struct state *s, const char *name)
{
	struct walk *w = s->w;
	int r = place_dup(&s->cur, &w->it);

	if (r == 0)
		r = w->it.node.mount->ops->attr(&w->it.node, cached(s), &w->stx);
	strcpy(w->name, name);
	return r;
}

/* The walk ends at the parent of @c. */
static int finish_parent(struct state *s, const struct comp *c)
{
	struct walk *w = s->w;

	if (c->len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(w->name, c->name, c->len);
	w->name[c->len] = 0;
	if (c->slash)
		strcpy(w->name + c->len, "/");
	w->dir = s->cur;
	w->dir_borrowed = s->borrowed;
	s->borrowed = true; /* w->dir has it now */
	return 1;
}

/* A name that was found.  1: the walk ends. */
static int arrive(struct state *s, const struct comp *c, struct place *p)
{
	struct walk *w = s->w;
	const bool follow = !(w->flags & WALK_NOFOLLOW) || !c->last || c->slash;
	int r = p->node.mount->ops->attr(&p->node, cached(s), &w->stx);

	if (r == 0 && S_ISLNK(w->stx.stx_mode) && follow) {
		s->rest += c->len;
		r = push_link(s, &p->node);
		node_put(&p->node);
		return r;
	}
	if (r == 0 && (!c->last || c->slash) && !S_ISDIR(w->stx.stx_mode))
		r = -ENOTDIR;
	if (r < 0) {
		node_put(&p->node);
		return r;
	}
	if (c->last) {
		w->it = *p;
		if (w->flags & WALK_CREATE)
			return finish_parent(s, c);
		return 1;
	}
	s->rest += c->len;
	set_cur(s, *p, false);
	return 0;
}

/* One component.  1: the walk ends. */
static int step(struct state *s)
{
	struct walk *w = s->w;
	struct place p = {.at = NULL, .node = NODE_NONE};
	struct comp c;
	int r;

	if (!next_comp(s, &c)) {
		r = finish(s, "");
		return r < 0 ? r : 1;
	}
	if (c.last && (w->flags & WALK_PARENT))
		return finish_parent(s, &c);
	if (is_name(&c, ".") || is_name(&c, "..")) {
		r = c.len == 2 ? step_up(s) : check_search(s);
		s->rest += c.len;
		if (r == 0 && c.last) {
			r = finish(s, ".");
			return r < 0 ? r : 1;
		}
		return r;
	}
	r = look(s, &c, &p);
	if (r == -ENOENT && c.last && (w->flags & WALK_CREATE)) {
		if (strncmp(c.name, ORPHANS_DIR, c.len) == 0 &&
		    c.len == strlen(ORPHANS_DIR) && is_mount_root(&s->cur.node))
			return -EPERM;
		return finish_parent(s, &c);
	}
	return r < 0 ? r : arrive(s, &c, &p);
}

static int start(struct state *s)
{
	struct walk *w = s->w;
	const size_t len = strlen(w->path);

	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	if (len == 0)
		return -ENOENT;
	s->rest = s->buf + sizeof s->buf - 1 - len;
	memcpy(s->rest, w->path, len + 1);
	if (w->path[0] == '/' || !w->base)
		return w->path[0] == '/' ? go_root(s)
		                         : (set_cur(s, root_place(s), true), 0);
	set_cur(s, *w->base, true);
	return 0;
}

static int finish_deep(struct state *s)
{
	struct walk *w = s->w;
	const size_t len = strlen(s->rest);

	if (!node_ok(&s->cur.node) || s->cur.node.mount->read_only || len == 0 ||
	    len >= sizeof w->name || s->rest[len - 1] == '/' ||
	    s->rest[len - 1] == '.' || !may_whole(s, s->rest))
		return -EXDEV;
	memcpy(w->name, s->rest, len + 1);
	w->dir = s->cur;
	w->dir_borrowed = s->borrowed;
	s->borrowed = true; /* w->dir has it now */
	return 0;
}

/* Follow names that are in the mount tree; they are no links. */
static int run(struct state *s)
{
	struct walk *w = s->w;
	int r = 0;

	while (r == 0) {
		struct comp c;

		if (s->whole && next_comp(s, &c)) {
			if (w->flags & (WALK_PARENT | WALK_CREATE)) {
				/* tried once a link, and at each mount */
				if (may_whole(s, s->rest))
					r = try_whole_parent(s);
			} else {
				r = try_whole(s);
			}
			if (r != 0)
				break;
		}
		const struct mount *before = s->cur.node.mount;

		r = step(s);
		if (r == 0 && s->cur.node.mount != before)
			s->whole = true;
	}
	return r < 0 ? r : 0;
}

int walk_run(struct walk *w)
{
	struct state s;
	int r;

	s.w = w;
	s.cur = (struct place){NODE_NONE, NULL};
	s.borrowed = true;
	s.whole = true;
	s.links = 0;
	w->dir = w->it = s.cur;
	w->dir_borrowed = false;
	w->name[0] = 0;
	w->opened = false;
	r = start(&s);
	if (r == 0)
		r = w->flags & WALK_DEEP ? finish_deep(&s) : run(&s);
	if (!s.borrowed)
		node_put(&s.cur.node);
	if (r < 0)
		walk_fini(w);
	return r;
}

void walk_fini(struct walk *w)
{
	if (!w->dir_borrowed)
		node_put(&w->dir.node);
	w->dir.node = NODE_NONE;
	node_put(&w->it.node);
}

int walk_guest_path(const struct place *p, char *buf, size_t size)
{
	const struct mount *m = p->node.mount;
	const char *top = m->path[1] ? m->path : "";
	char path[PATH_MAX];
	int r = m->ops->path(&p->node, path, sizeof path);
	size_t len;

	if (r < 0)
		return r;
	len = strlen(top) + strlen(path) + 1;
	if (path[0] == 0 && top[0])
		len--;
	if (len >= size)
		return -ENAMETOOLONG;
	strcpy(buf, top);
	if (path[0] || !top[0])
		strcat(buf, "/");
	strcat(buf, path);
	return (int)len;
}
