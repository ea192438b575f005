/* SPDX-License-Identifier: MIT */
/*
 * wait.h - wait queues: who wants to hear of a change of an object.
 *
 * Every object that can be waited for (pipe, socket, eventfd, timer...) has a
 * waitq.  A waiter links entries into one or many queues, looks at the objects,
 * and parks; waitq_wake() calls each entry's function, which unparks a thread or
 * puts an epoll item on its ready list.
 *
 * The order that loses nothing: link, then look, then park.
 *
 * Layer:   libos.
 * Locking: q->lock guards the list; entry functions run under it and may take
 *          only leaf locks (an epoll's ready lock, then its waitq).
 */
#ifndef LIBOS_WAIT_H
#define LIBOS_WAIT_H

#include "libos/lock.h"
#include "libos/thread.h"

#include <stdint.h>

struct wait_entry {
	struct wait_entry *next, **pprev; /* under q->lock; NULL pprev: not linked */
	struct waitq *q;
	uint32_t events; /* EPOLL* bits of interest, ~0u: all */
	bool exclusive;  /* wake one of these (EPOLLEXCLUSIVE, accept) */
	/* Returns true if it took the wake (counts for `exclusive`); then @thread, if
	 * there is one, is unparked after the queue's lock was dropped: a woken thread
	 * unlinks itself first of all, and must not find that lock held. */
	bool (*fn)(struct wait_entry *e, uint32_t events);
	struct thread *thread;
};

#define WAKES_MAX 16u

/* Threads to unpark.  They may end before that: a thread's memory is kept for others,
 * and an unpark too many does no harm. */
struct wake_list {
	unsigned n; /* set it to 0 first */
	struct thread *at[WAKES_MAX];
};

struct waitq {
	struct lock lock;
	struct wait_entry *head;
	struct wake_list *wakes; /* under lock, during a wake: see waitq_wake_for() */
};

/* The function of an entry that only wants its thread unparked. */
bool wait_unpark(struct wait_entry *e, uint32_t events);

void waitq_add(struct waitq *q, struct wait_entry *e);
void waitq_remove(struct wait_entry *e); /* also when not linked */
/* Tell all entries whose interest meets @events. */
void waitq_wake(struct waitq *q, uint32_t events);
/* The same in two steps, for an object that may only be touched under a lock of its
 * own: collect under it, unpark after it was dropped.  (Holding a reference to a
 * description instead would keep it in epoll's lists beyond its last close.) */
void waitq_collect(struct waitq *q, uint32_t events, struct wake_list *l);
void wake_list_unpark(struct wake_list *l);
/* The same from an entry function that runs for @e: threads are unparked when the
 * outermost wake dropped its lock. */
void waitq_wake_for(struct waitq *q, uint32_t events, const struct wait_entry *e);

/* Wait until @ready(@arg) says nonzero: links, looks, parks, unlinks.  Returns
 * @ready's value; -EAGAIN at the deadline; -ERESTARTSYS when interrupted. */
long wait_until(struct waitq *q, uint32_t events, long (*ready)(void *arg), void *arg,
                uint64_t deadline, unsigned park_flags);

#endif /* LIBOS_WAIT_H */
