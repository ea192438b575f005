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
	(void)e;
	(void)events;
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

static void wake_later(struct wake_list *l, struct thread *t)
{
	if (l->n < WAKES_MAX)
		l->at[l->n++] = t;
	else
		thread_unpark(t);
}

static void wake_entries(struct waitq *q, uint32_t events, struct wake_list *l)
{
	bool taken = false;

	lock_take(&q->lock);
	q->wakes = l;
	for (struct wait_entry *e = q->head; e; e = e->next) {
		if (!(__atomic_load_n(&e->events, __ATOMIC_RELAXED) & events) ||
		    (e->exclusive && taken))
			continue;
		if (!e->fn(e, events))
			continue;
		if (e->thread)
			wake_later(l, e->thread);
		taken = taken || e->exclusive;
	}
	lock_drop(&q->lock);
}

/* Is anybody there?  The fence stands between the change and this look. */
static bool anybody(struct waitq *q)
{
	atomic_thread_fence(memory_order_seq_cst);
	return __atomic_load_n(&q->head, __ATOMIC_RELAXED) != NULL;
}

void waitq_collect(struct waitq *q, uint32_t events, struct wake_list *l)
{
	if (anybody(q))
		wake_entries(q, events, l);
}

void wake_list_unpark(struct wake_list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		thread_unpark(l->at[i]);
}

void waitq_wake(struct waitq *q, uint32_t events)
{
	struct wake_list l;

	if (!anybody(q))
		return;
	l.n = 0;
	wake_entries(q, events, &l);
	wake_list_unpark(&l);
}

void waitq_wake_for(struct waitq *q, uint32_t events, const struct wait_entry *e)
{
	waitq_collect(q, events, e->q->wakes);
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
