/* SPDX-License-Identifier: MIT */
/*
 * wait.c - wait queues.
 *
 * Why no wake-up is lost: a waiter links its entry (a locked exchange: a full
 * barrier) and then looks at the object; a waker changes the object, passes the
 * fence below, and then looks at the list.  One of the two sees the other.
 */
#include "libos/wait.h"

#include "libos/syscall.h"

#include <errno.h>

bool wait_unpark(struct wait_entry *e, uint32_t events)
{
	(void)events;
	thread_unpark(e->thread);
	return true;
}

void waitq_add(struct waitq *q, struct wait_entry *e)
{
	e->q = q;
	lock_take(&q->lock);
	e->next = q->head;
	e->pprev = &q->head;
	if (e->next)
		e->next->pprev = &e->next;
	__atomic_store_n(&q->head, e, __ATOMIC_RELAXED);
	lock_drop(&q->lock);
}

void waitq_remove(struct wait_entry *e)
{
	struct waitq *q = e->q;

	if (!q)
		return;
	lock_take(&q->lock);
	if (e->pprev) {
		__atomic_store_n(e->pprev, e->next, __ATOMIC_RELAXED);
		if (e->next)
			e->next->pprev = e->pprev;
		e->pprev = NULL;
	}
	lock_drop(&q->lock);
}

void waitq_wake(struct waitq *q, uint32_t events)
{
	bool taken = false;

	atomic_thread_fence(memory_order_seq_cst);
	if (__atomic_load_n(&q->head, __ATOMIC_RELAXED) == NULL)
		return;
	lock_take(&q->lock);
	for (struct wait_entry *e = q->head; e; e = e->next) {
		if (!(__atomic_load_n(&e->events, __ATOMIC_RELAXED) & events) ||
		    (e->exclusive && taken))
			continue;
		if (e->fn(e, events) && e->exclusive)
			taken = true;
	}
	lock_drop(&q->lock);
}

long wait_until(struct waitq *q, uint32_t events, long (*ready)(void *arg), void *arg,
                uint64_t deadline, unsigned park_flags)
{
	struct wait_entry e = {.events = events, .fn = wait_unpark, .thread = self()};
	long r = ready(arg);

	if (r != 0)
		return r;
	waitq_add(q, &e);
	for (;;) {
		int parked;

		r = ready(arg);
		if (r != 0)
			break;
		parked = thread_park(deadline, park_flags);
		if (parked == 0)
			continue;
		r = ready(arg); /* it may have come at the last moment */
		if (r == 0)
			r = parked == -ETIMEDOUT ? -EAGAIN : -ERESTARTSYS;
		break;
	}
	waitq_remove(&e);
	return r;
}
