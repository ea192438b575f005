/* SPDX-License-Identifier: MIT */
/*
 * ofd.c - the life of an open file description, and its position lock.
 *
 * The position lock is a word (0 free, 1 held, 2 held with sleepers) whose
 * sleepers stand in the description's own wait queue under a bit that no poller
 * asks for: sleeping there leads the rings, and a signal ends it.
 */
#include "libos/ofd.h"

#include "libos/epoll.h"
#include "libos/fasync.h"

#include <sys/epoll.h>

void ofd_init(struct ofd *o, const struct ofd_ops *ops, uint32_t flags)
{
	o->ops = ops;
	o->flags = flags;
	o->wait.head = NULL;
	o->pos = 0;
	o->owner = 0;
	o->owner_sig = 0;
	o->owner_thread = false;
	o->async = NULL;
	/* Last: from here on ofd_get() of a stale table entry may count it. */
	atomic_store_explicit(&o->refs, 1, memory_order_release);
}

struct ofd *ofd_ref(struct ofd *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	return o;
}

bool ofd_ref_if_live(struct ofd *o)
{
	uint32_t refs = atomic_load_explicit(&o->refs, memory_order_relaxed);

	while (refs != 0) {
		if (atomic_compare_exchange_weak_explicit(&o->refs, &refs, refs + 1,
		                                          memory_order_acquire,
		                                          memory_order_relaxed))
			return true;
	}
	return false;
}

void ofd_put(struct ofd *o)
{
	if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
		return;
	fasync_drop(o);
	epoll_forget(o);
	if (o->ops->release)
		o->ops->release(o);
}

uint32_t ofd_poll(struct ofd *o)
{
	uint32_t ev = o->ops->poll ? o->ops->poll(o) : EPOLLIN | EPOLLOUT;

	if (ev & EPOLLIN)
		ev |= EPOLLRDNORM;
	if (ev & EPOLLOUT)
		ev |= EPOLLWRNORM;
	return ev;
}

static long pos_lock_try(void *arg)
{
	struct ofd *o = arg;

	return atomic_exchange_explicit(&o->pos_lock_word.word, 2,
	                                memory_order_acquire) == 0;
}

int ofd_pos_lock(struct ofd *o)
{
	long r;

	if (lock_try(&o->pos_lock_word))
		return 0;
	r = wait_until(&o->wait, OFD_EV_POS, pos_lock_try, o, PLAT_NO_DEADLINE,
	               PARK_INTR | PARK_RINGS);
	return r < 0 ? (int)r : 0;
}

void ofd_pos_unlock(struct ofd *o)
{
	if (atomic_exchange_explicit(&o->pos_lock_word.word, 0, memory_order_release) ==
	    2)
		waitq_wake(&o->wait, OFD_EV_POS);
}
