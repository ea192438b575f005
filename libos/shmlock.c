/* SPDX-License-Identifier: MIT */
/*
 * shmlock.c - flock() on what lives in the guest: memfd, /dev/shm.
 *
 * A lock belongs to a description.  To convert one is to drop it and to ask for the
 * other, as on Linux: who does not get the other has none.
 */
#include "libos/shmnode.h"
#include "libos/thread.h"

#include <errno.h>
#include <sys/file.h>

/* Under the node's lock. */
static void set_locked(struct shm_file *f, int type)
{
	struct shm_node *n = f->node;

	n->flock_shared +=
	        (uint32_t)(type == LOCK_SH) - (uint32_t)(f->flock == LOCK_SH);
	n->flock_exclusive =
	        type == LOCK_EX || (n->flock_exclusive && f->flock != LOCK_EX);
	f->flock = (uint8_t)type;
}

static void drop(struct shm_file *f)
{
	lock_take(&f->node->lock);
	set_locked(f, 0);
	lock_drop(&f->node->lock);
	waitq_wake(&f->node->flock_wait, ~0u);
}

struct want {
	struct shm_file *f;
	int type;
};

static long try_lock(void *arg)
{
	const struct want *w = arg;
	struct shm_node *n = w->f->node;
	bool can;

	lock_take(&n->lock);
	can = !n->flock_exclusive && (w->type == LOCK_SH || n->flock_shared == 0);
	if (can)
		set_locked(w->f, w->type);
	lock_drop(&n->lock);
	return can;
}

long shm_flock(struct ofd *o, int op)
{
	struct want w = {shm_file_of(o), op & ~LOCK_NB};
	bool same;
	long r;

	lock_take(&w.f->node->lock);
	same = w.f->flock == (w.type == LOCK_UN ? 0 : w.type);
	lock_drop(&w.f->node->lock);
	if (same)
		return 0;
	drop(w.f);
	if (w.type == LOCK_UN || try_lock(&w))
		return 0;
	if (op & LOCK_NB)
		return -EWOULDBLOCK;
	r = wait_until(&w.f->node->flock_wait, ~0u, try_lock, &w, PLAT_NO_DEADLINE,
	               PARK_INTR);
	return r < 0 ? r : 0;
}

void shm_flock_close(struct shm_file *f)
{
	if (f->flock)
		drop(f);
}
