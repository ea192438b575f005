/* SPDX-License-Identifier: MIT */
/*
 * fifo.c - pipes that a file system names.
 *
 * fsd keeps the name; the pipe behind it is this guest's, found by device and inode,
 * and lives while somebody has it open.  So a FIFO does not connect two guests.
 *
 * Locks: g_fifo_lock (the list, and the going of a pipe in it), then p->lock.
 */
#include "libos/local.h"
#include "libos/pipeobj.h"
#include "libos/pool.h"
#include "libos/syscall.h"

#include <errno.h>
#include <sys/epoll.h>

#define FIFO_ENDS_MAX 16384u

static struct pool g_fifo_ends = POOL_INIT(struct pipe_end, FIFO_ENDS_MAX);
static struct lock g_fifo_lock = LOCK_INIT;
static struct pipe *g_fifos;

static void fifo_drop(struct pipe *p)
{
	struct pipe **at = &g_fifos;
	bool last;

	lock_take(&g_fifo_lock); /* fifo_find() must not meet a pipe that goes */
	lock_take(&p->lock);
	last = --p->n_ends == 0;
	lock_drop(&p->lock);
	if (last) {
		while (*at != p)
			at = &(*at)->next_fifo;
		*at = p->next_fifo;
	}
	lock_drop(&g_fifo_lock);
	if (last)
		pipe_free(p);
}

void fifo_end_drop(struct pipe_end *e)
{
	struct pipe *p = e->pipe;

	pool_put(&g_fifo_ends, e);
	fifo_drop(p);
}

/* The pipe behind a FIFO, made if need be, with one more in n_ends. */
static struct pipe *fifo_find(uint64_t dev, uint64_t ino)
{
	struct pipe *p;

	lock_take(&g_fifo_lock);
	for (p = g_fifos; p; p = p->next_fifo) {
		if (p->dev == dev && p->ino == ino)
			break;
	}
	if (!p && (p = pipe_new(false)) != NULL) {
		p->fifo = true;
		p->dev = dev;
		p->ino = ino;
		p->next_fifo = g_fifos;
		g_fifos = p;
	}
	if (p) {
		lock_take(&p->lock);
		p->n_ends++;
		lock_drop(&p->lock);
	}
	lock_drop(&g_fifo_lock);
	return p;
}

struct fifo_wait {
	struct pipe *p;
	bool reader;
	bool there; /* the other side was open when this one came */
	uint64_t seen;
};

/* Did the other side open since? (It may have closed again.) */
static long other_came(void *arg)
{
	struct fifo_wait *w = arg;
	long r;

	lock_take(&w->p->lock);
	r = w->reader ? w->p->writers > 0 || w->p->w_opens != w->seen
	              : w->p->readers > 0 || w->p->r_opens != w->seen;
	lock_drop(&w->p->lock);
	return r;
}

static struct pipe_end *fifo_attach(struct pipe *p, uint32_t flags, struct fifo_wait *w)
{
	struct pipe_end *e = pool_get(&g_fifo_ends);

	if (!e)
		return NULL;
	e->pipe = p;
	ofd_init(&e->ofd, &g_pipe_ops, flags);
	lock_take(&p->lock);
	/* As Linux: only who came without waiting, and alone, sees no hang-up yet. */
	e->writers_seen = (flags & (uint32_t)O_NONBLOCK) && p->writers == 0
	                          ? p->w_opens
	                          : UINT64_MAX;
	*w = (struct fifo_wait){.p = p, .reader = pipe_may_read(&e->ofd)};
	w->seen = w->reader ? p->w_opens : p->r_opens;
	w->there = w->reader ? p->writers > 0 : p->readers > 0;
	if (pipe_may_read(&e->ofd)) {
		p->readers++;
		p->r_opens++;
	}
	if (pipe_may_write(&e->ofd)) {
		p->writers++;
		p->w_opens++;
	}
	e->next = p->fifo_ends;
	e->pprev = &p->fifo_ends;
	if (e->next)
		e->next->pprev = &e->next;
	p->fifo_ends = e;
	lock_drop(&p->lock);
	waitq_wake(&p->opens, EPOLLIN);
	return e;
}

long fifo_open(uint64_t dev, uint64_t ino, int flags, struct ofd **out)
{
	uint32_t keep = (uint32_t)flags & (ABI_ACCMODE | (uint32_t)O_NONBLOCK);
	struct pipe *p = fifo_find(dev, ino);
	struct pipe_end *e;
	struct fifo_wait w;
	long r = 0;

	if (!p)
		return -ENFILE;
	if ((flags & ABI_ACCMODE) == O_WRONLY && (flags & O_NONBLOCK)) {
		lock_take(&p->lock);
		r = p->readers == 0 ? -ENXIO : 0;
		lock_drop(&p->lock);
	}
	e = r == 0 ? fifo_attach(p, keep, &w) : NULL;
	if (!e) {
		fifo_drop(p);
		return r < 0 ? r : -ENFILE;
	}
	/* Who was there may have written and closed by now. */
	if (!w.there && !(flags & O_NONBLOCK) && (flags & ABI_ACCMODE) != O_RDWR) {
		r = wait_until(&p->opens, EPOLLIN, other_came, &w, PLAT_NO_DEADLINE,
		               PARK_INTR);
		if (r < 0) {
			ofd_put(&e->ofd);
			return r;
		}
	}
	*out = &e->ofd;
	return 0;
}
