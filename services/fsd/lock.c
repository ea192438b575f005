/* SPDX-License-Identifier: MIT */
/*
 * Invariants:
 * 1. No two records of different owners conflict in a range (flock: in the file).
 * 2. Records of one owner do not overlap; neighbours of one type are merged.
 * 3. On a mount shared with the host, inode.host holds exactly the union of the
 *    records: for each byte the strongest type that some guest holds.
 * 4. A wait is on its inode's list as long as its session counts it.
 * 5. Nobody is granted what another guest gave up before that guest could read so.
 */
#define _GNU_SOURCE
#include "services/fsd/lock.h"

#include "rpc/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define END ((uint64_t)INT64_MAX)
#define DEPTH_MAX 64

struct span {
	struct session *session;
	const void *owner; /* session or handle */
	uint32_t kind;
	int type;
	uint64_t start, end; /* inclusive */
};

struct lock_rec {
	struct lock_rec *next;           /* of the inode */
	struct lock_rec *mine, **mine_p; /* of the session */
	struct inode *inode;
	struct span s;
};

struct lock_wait {
	struct lock_wait *next;         /* of the inode */
	struct lock_wait *all, **all_p; /* of all */
	unsigned seen;                  /* by which search for a deadlock */
	struct inode *inode;
	struct handle *handle;
	struct span s;
	uint64_t ticket;
	bool host; /* only the host is in the way */
};

static unsigned g_host_waits;
static struct lock_wait *g_waits; /* all */
static unsigned g_search;

static bool same_owner(const struct span *a, const struct span *b)
{
	return a->owner == b->owner && a->kind == b->kind;
}

static bool same_space(const struct span *a, const struct span *b)
{
	return (a->kind == LOCK_FLOCK) == (b->kind == LOCK_FLOCK);
}

static bool conflict(const struct span *a, const struct span *b)
{
	return same_space(a, b) && !same_owner(a, b) && a->start <= b->end &&
	       b->start <= a->end && (a->type == F_WRLCK || b->type == F_WRLCK);
}

static struct lock_rec *blocker(const struct inode *i, const struct span *s)
{
	for (struct lock_rec *l = i->locks; l; l = l->next)
		if (conflict(&l->s, s))
			return l;
	return NULL;
}

/* ---- the host's side ---- */

static bool on_host(const struct inode *i)
{
	return !i->mount->exclusive;
}

static uint64_t span_len(uint64_t start, uint64_t end)
{
	return end >= END ? 0 : end - start + 1;
}

/* Make the host hold the union of the records in [start, end]. */
static void host_sync_range(struct inode *i, const struct node *lk, uint64_t start,
                            uint64_t end)
{
	while (start <= end) {
		uint64_t stop = end;
		int type = F_UNLCK;

		for (const struct lock_rec *l = i->locks; l; l = l->next) {
			if (l->s.kind == LOCK_FLOCK || l->s.end < start)
				continue;
			if (l->s.start > start) {
				if (l->s.start - 1 < stop)
					stop = l->s.start - 1;
				continue;
			}
			if (l->s.end < stop)
				stop = l->s.end;
			if (type != F_WRLCK)
				type = l->s.type;
		}
		(void)i->mount->ops->lock_range(lk, type, start, span_len(start, stop));
		if (stop >= END)
			break;
		start = stop + 1;
	}
}

static void host_sync_whole(struct inode *i, const struct node *lk)
{
	int type = F_UNLCK;

	for (const struct lock_rec *l = i->locks; l; l = l->next)
		if (l->s.kind == LOCK_FLOCK && type != F_WRLCK)
			type = l->s.type;
	(void)i->mount->ops->lock_whole(lk, type);
}

/* The node that carries locks, able to hold a write lock if @write. */
static int host_node(struct inode *i, const struct node *from, bool write)
{
	struct node n;
	int r;

	if (node_ok(&i->host) && (i->host_write || !write))
		return 0;
	struct cred *was = cred_save();

	r = cred_use(NULL);
	if (r == 0)
		r = i->mount->ops->lock_open(from, write, &n);
	cred_restore(was);
	if (r < 0)
		return -ENOLCK;
	if (node_ok(&i->host)) { /* only read locks so far: both may hold them */
		host_sync_range(i, &n, 0, END);
		host_sync_whole(i, &n);
		node_put(&i->host);
	}
	i->host = n;
	i->host_write = write;
	return 0;
}

static int host_take(struct inode *i, const struct node *from, const struct span *s)
{
	int r;

	if (!on_host(i))
		return 0;
	r = host_node(i, from, s->type == F_WRLCK && s->kind != LOCK_FLOCK);
	if (r < 0)
		return r;
	if (s->kind == LOCK_FLOCK)
		r = i->mount->ops->lock_whole(&i->host, s->type);
	else
		r = i->mount->ops->lock_range(&i->host, s->type, s->start,
		                              span_len(s->start, s->end));
	return r == -EACCES || r == -EWOULDBLOCK ? -EAGAIN : r;
}

static void host_sync(struct inode *i, const struct span *s)
{
	if (!node_ok(&i->host))
		return;
	if (s->kind == LOCK_FLOCK)
		host_sync_whole(i, &i->host);
	else
		host_sync_range(i, &i->host, s->start, s->end);
	if (!i->locks)
		node_put(&i->host);
}

/* ---- records ---- */

static void rec_join(struct lock_rec *l, struct inode *i)
{
	struct session *s = l->s.session;

	l->inode = i;
	l->mine = s->locks;
	l->mine_p = &s->locks;
	if (s->locks)
		s->locks->mine_p = &l->mine;
	s->locks = l;
	s->n_locks++;
}

static void rec_free(struct lock_rec *l)
{
	*l->mine_p = l->mine;
	if (l->mine)
		l->mine->mine_p = l->mine_p;
	l->s.session->n_locks--;
	free(l);
}

/* Take @s away from its owner's records.  @spare is used for a split, then NULL. */
static void cut(struct inode *i, const struct span *s, struct lock_rec **spare)
{
	struct lock_rec **p = &i->locks;

	while (*p) {
		struct lock_rec *l = *p;

		if (!same_owner(&l->s, s) || l->s.start > s->end ||
		    l->s.end < s->start) {
			p = &l->next;
			continue;
		}
		if (l->s.start < s->start && l->s.end > s->end) {
			struct lock_rec *right = *spare;

			*spare = NULL;
			right->s = l->s;
			right->s.start = s->end + 1;
			right->next = l->next;
			rec_join(right, i);
			l->next = right;
			l->s.end = s->start - 1;
			return;
		}
		if (l->s.start < s->start) {
			l->s.end = s->start - 1;
			p = &l->next;
		} else if (l->s.end > s->end) {
			l->s.start = s->end + 1;
			p = &l->next;
		} else {
			*p = l->next;
			rec_free(l);
		}
	}
}

/* Merge the owner's records of the same type that touch @n. */
static void merge(struct inode *i, struct lock_rec *n)
{
	struct lock_rec **p = &i->locks;

	while (*p) {
		struct lock_rec *l = *p;
		const bool touch =
		        l->s.end + 1 >= n->s.start && n->s.end + 1 >= l->s.start;

		if (!same_owner(&l->s, &n->s) || l->s.type != n->s.type || !touch) {
			p = &l->next;
			continue;
		}
		if (l->s.start < n->s.start)
			n->s.start = l->s.start;
		if (l->s.end > n->s.end)
			n->s.end = l->s.end;
		*p = l->next;
		rec_free(l);
	}
}

static int apply(struct inode *i, const struct span *s)
{
	struct lock_rec *spare = NULL, *n = NULL;

	if (s->type != F_UNLCK && s->session->n_locks + 2 > LOCKS_MAX)
		return -ENOLCK;
	if (s->kind != LOCK_FLOCK)
		spare = calloc(1, sizeof *spare);
	if (s->type != F_UNLCK)
		n = calloc(1, sizeof *n);
	if ((s->kind != LOCK_FLOCK && !spare) || (s->type != F_UNLCK && !n)) {
		free(spare);
		free(n);
		return -ENOLCK;
	}
	cut(i, s, &spare);
	free(spare);
	if (n) {
		n->s = *s;
		merge(i, n);
		n->next = i->locks;
		i->locks = n;
		rec_join(n, i);
	}
	if (i->locks && !i->locked) {
		i->locked = true;
		inode_ref(i);
	}
	return 0;
}

/* After records went, the last thing with @i: the list's reference goes with its
 * last record. */
static void settle(struct inode *i)
{
	if (i->locked && !i->locks) {
		i->locked = false;
		inode_put(i);
	}
}

/* ---- waiting ---- */

static void wait_free(struct lock_wait *w)
{
	w->s.session->n_waits--;
	*w->all_p = w->all;
	if (w->all)
		w->all->all_p = w->all_p;
	if (w->host)
		g_host_waits--;
	handle_put(w->handle);
	inode_put(w->inode);
	free(w);
}

/* 0 granted, -EAGAIN still in the way, else failed. */
static int try_grant(struct lock_wait *w)
{
	int r;

	if (w->host)
		g_host_waits--;
	w->host = false;
	if (blocker(w->inode, &w->s))
		return -EAGAIN;
	r = host_take(w->inode, &w->handle->place.node, &w->s);
	if (r == -EAGAIN) {
		w->host = true;
		g_host_waits++;
		return r;
	}
	return r < 0 ? r : apply(w->inode, &w->s);
}

static void wake(struct inode *i)
{
	struct lock_wait **p = &i->waits;

	/* Each grant only adds locks (or weakens the owner's own): one pass is enough,
	 * but a weakened one may let an earlier request in. */
	while (*p) {
		struct lock_wait *w = *p;
		const int r = try_grant(w);

		if (r == -EAGAIN) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		rpc_done(w->s.session->conn, w->ticket, -r);
		wait_free(w);
		p = &i->waits;
	}
}

/* Would @s wait for somebody who waits, in the end, for @who? */
static bool deadlock(const struct inode *i, const struct span *s, const void *who,
                     int depth)
{
	for (const struct lock_rec *l = i->locks; l && depth < DEPTH_MAX; l = l->next) {
		if (l->s.kind != LOCK_POSIX || !conflict(&l->s, s))
			continue;
		if (l->s.owner == who)
			return true;
		for (struct lock_wait *w = g_waits; w; w = w->all) {
			if (w->seen == g_search || w->s.kind != LOCK_POSIX ||
			    w->s.owner != l->s.owner)
				continue;
			w->seen = g_search;
			if (deadlock(w->inode, &w->s, who, depth + 1))
				return true;
		}
	}
	return false;
}

static int enqueue(struct handle *h, const struct span *s, uint64_t ticket, bool host)
{
	struct lock_wait **p, *w;

	if (s->session->n_waits >= WAITS_MAX)
		return -ENOLCK;
	for (w = g_waits; w; w = w->all)
		if (w->s.session == s->session && w->ticket == ticket)
			return -EINVAL;
	w = calloc(1, sizeof *w);
	if (!w)
		return -ENOLCK;
	w->inode = inode_ref(h->inode);
	w->handle = handle_ref(h);
	w->s = *s;
	w->ticket = ticket;
	w->host = host;
	if (host)
		g_host_waits++;
	w->all = g_waits;
	w->all_p = &g_waits;
	if (g_waits)
		g_waits->all_p = &w->all;
	g_waits = w;
	for (p = &w->inode->waits; *p; p = &(*p)->next)
		;
	*p = w;
	s->session->n_waits++;
	return 1;
}

static int make_span(struct handle *h, const struct lock_req *r, struct span *s)
{
	s->session = h->session;
	s->kind = r->kind;
	s->owner = r->kind == LOCK_POSIX ? (const void *)h->session : (const void *)h;
	s->type = r->type;
	s->start = 0;
	s->end = END;
	if (r->kind > LOCK_FLOCK ||
	    (r->type != F_RDLCK && r->type != F_WRLCK && r->type != F_UNLCK))
		return -EINVAL;
	if (!h->inode)
		return -EBADF;
	if (r->kind == LOCK_FLOCK)
		return 0;
	if (r->start > END)
		return -EINVAL;
	if (r->len > 0 && r->len - 1 > END - r->start)
		return -EOVERFLOW;
	s->start = r->start;
	if (r->len > 0)
		s->end = r->start + r->len - 1;
	return 0;
}

static int check_mode(const struct handle *h, const struct lock_req *r)
{
	const uint32_t acc = h->flags & O_ACCMODE;

	if (r->kind == LOCK_FLOCK)
		return 0;
	if ((r->type == F_RDLCK && acc == O_WRONLY) ||
	    (r->type == F_WRLCK && acc == O_RDONLY))
		return -EBADF;
	return 0;
}

static int unlock(struct inode *i, const struct span *s)
{
	const int r = apply(i, s);

	if (r < 0)
		return r;
	host_sync(i, s);
	return 0;
}

int lock_set(struct handle *h, const struct lock_req *r)
{
	struct inode *i = h->inode;
	struct span s;
	bool host = false;
	int ret = make_span(h, r, &s);

	if (ret == 0)
		ret = check_mode(h, r);
	if (ret < 0)
		return ret;
	if (r->type == F_UNLCK)
		return unlock(i, &s);
	if (blocker(i, &s)) {
		ret = -EAGAIN;
	} else {
		ret = host_take(i, &h->place.node, &s);
		host = ret == -EAGAIN;
	}
	if (ret == 0) {
		ret = apply(i, &s);
		if (ret < 0)
			host_sync(i, &s);
		return ret;
	}
	if (ret == -EAGAIN &&
	    r->kind == LOCK_FLOCK) { /* as Linux: the old one goes first */
		struct span off = s;
		int r2;

		off.type = F_UNLCK;
		r2 = unlock(i, &off);
		if (r2 < 0)
			return r2;
	}
	if (ret != -EAGAIN || !r->wait)
		return ret;
	if (r->kind == LOCK_POSIX) {
		g_search++;
		if (deadlock(i, &s, s.owner, 0))
			return -EDEADLK;
	}
	return enqueue(h, &s, r->ticket, host);
}

void lock_answered(struct handle *h)
{
	if (!h->inode)
		return;
	wake(h->inode); /* a write lock may have become a read lock, too */
	settle(h->inode);
}

int lock_get(struct handle *h, const struct lock_req *r, struct lock_found *out)
{
	struct lock_rec *l;
	struct span s;
	int ret = make_span(h, r, &s);

	*out = (struct lock_found){.type = F_UNLCK};
	if (ret < 0 || r->type == F_UNLCK || r->kind == LOCK_FLOCK)
		return ret < 0 ? ret : -EINVAL;
	l = blocker(h->inode, &s);
	/* Linux tells the first one in the file. */
	for (struct lock_rec *n = l ? l->next : NULL; n; n = n->next)
		if (n->s.start < l->s.start && conflict(&n->s, &s))
			l = n;
	if (l) {
		out->type = l->s.type;
		out->start = l->s.start;
		out->len = span_len(l->s.start, l->s.end);
		out->pid = l->s.kind == LOCK_OFD       ? UINT32_MAX
		           : l->s.session == s.session ? 2
		                                       : l->s.session->number;
		return 0;
	}
	if (!on_host(h->inode))
		return 0;
	/* The union that host carries must not be found: ask through it. */
	out->type = s.type;
	out->start = s.start;
	out->len = span_len(s.start, s.end);
	out->pid = UINT32_MAX;
	ret = h->inode->mount->ops->lock_test(node_ok(&h->inode->host) ? &h->inode->host
	                                                               : &h->place.node,
	                                      &out->type, &out->start, &out->len);
	return ret;
}

static void remove_wait(struct lock_wait *w)
{
	struct lock_wait **p = &w->inode->waits;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	wait_free(w);
}

int lock_cancel(struct session *s, uint64_t ticket)
{
	for (struct lock_wait *w = g_waits; w; w = w->all)
		if (w->s.session == s && w->ticket == ticket) {
			remove_wait(w);
			return 1;
		}
	return 0;
}

static void release_owner(struct inode *i, const void *owner, uint32_t kind)
{
	const struct span all = {
	        .owner = owner, .kind = kind, .type = F_UNLCK, .start = 0, .end = END};
	struct lock_rec *none = NULL;

	if (!i->locks)
		return;
	cut(i, &all, &none); /* everything: never splits */
	host_sync(i, &all);
	wake(i);
	settle(i);
}

void lock_release_handle(struct handle *h)
{
	struct lock_wait *w, *next;

	if (!h->inode)
		return;
	for (w = g_waits; w; w = next) {
		next = w->all;
		if (w->handle == h && w->s.owner == h) {
			rpc_done(w->s.session->conn, w->ticket, EBADF);
			remove_wait(w);
		}
	}
	inode_ref(h->inode);
	release_owner(h->inode, h, LOCK_OFD);
	release_owner(h->inode, h, LOCK_FLOCK);
	inode_put(h->inode);
}

void lock_release_session(struct session *s)
{
	struct lock_wait *w, *next;

	for (w = g_waits; w; w = next) {
		next = w->all;
		if (w->s.session == s)
			remove_wait(w);
	}
	while (s->locks) {
		struct inode *i = inode_ref(s->locks->inode);

		release_owner(i, s->locks->s.owner, s->locks->s.kind);
		inode_put(i);
	}
}

bool lock_poll_host(void)
{
	struct lock_wait *w = g_waits;

	while (g_host_waits > 0 && w) {
		if (!w->host) {
			w = w->all;
			continue;
		}
		const unsigned before = g_host_waits;
		struct inode *i = inode_ref(w->inode);

		wake(i);
		inode_put(i);
		/* The list may have changed under us: from the start after progress. */
		w = g_host_waits < before ? g_waits : w->all;
	}
	return g_host_waits > 0;
}
