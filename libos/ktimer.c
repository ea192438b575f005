/* SPDX-License-Identifier: MIT */
/*
 * ktimer.c - the timer queue: a pairing heap of the callers' nodes.
 *
 * In the heap `child` is the first child, `next` the next sibling, `pprev` the
 * pointer that points here.
 */
#include "libos/ktimer.h"

#include "libos/lock.h"
#include "libos/pump.h"
#include "libos/thread.h"

#include <stddef.h>

static struct lock g_lock = LOCK_INIT;
static struct ktimer *g_root;                 /* under g_lock */
static struct ktimer *g_running;              /* under g_lock: its fn runs now */
static struct thread *g_runner;               /* the pump */

/* ---- the heap ---- */

static struct ktimer *meld(struct ktimer *a, struct ktimer *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->deadline < a->deadline) {
		struct ktimer *t = a;

		a = b;
		b = t;
	}
	b->next = a->child;
	if (b->next)
		b->next->pprev = &b->next;
	a->child = b;
	b->pprev = &a->child;
	return a;
}

static void set_root(struct ktimer *t)
{
	g_root = t;
	if (t) {
		t->next = NULL;
		t->pprev = &g_root;
	}
}

/* Meld a list of siblings: pairs from the left, then all from the right. */
static struct ktimer *meld_list(struct ktimer *list)
{
	struct ktimer *pairs = NULL, *all = NULL;

	while (list) {
		struct ktimer *a = list, *b = a->next;

		list = b ? b->next : NULL;
		a->next = NULL;
		if (b)
			b->next = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct ktimer *a = pairs;

		pairs = a->next;
		a->next = NULL;
		all = meld(all, a);
	}
	return all;
}

static void heap_remove(struct ktimer *t)
{
	struct ktimer *rest = meld_list(t->child);

	t->child = NULL;
	*t->pprev = t->next;
	if (t->next)
		t->next->pprev = t->pprev;
	t->next = NULL;
	t->pprev = NULL;
	t->queued = false;
	set_root(meld(g_root, rest));
}

/* ---- the interface ---- */

void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *t))
{
	*t = (struct ktimer){.fn = fn};
}

int ktimer_set(struct ktimer *t, uint64_t deadline)
{
	bool first;
	int r = pump_start();

	if (r != 0)
		return r;
	lock_take(&g_lock);
	if (t->queued)
		heap_remove(t);
	t->deadline = deadline;
	t->child = t->next = NULL;
	t->queued = true;
	set_root(meld(g_root, t));
	first = g_root == t && self() != g_runner;
	lock_drop(&g_lock);
	if (first)
		pump_wake();
	return 0;
}

bool ktimer_cancel(struct ktimer *t)
{
	bool was = false;

	for (;;) {
		bool running;

		lock_take(&g_lock);
		if (t->queued) {
			heap_remove(t);
			was = true;
		}
		running = g_running == t && g_runner != self();
		lock_drop(&g_lock);
		if (!running)
			return was;
		plat_yield();
	}
}

uint64_t ktimer_run(uint64_t now)
{
	uint64_t next;

	lock_take(&g_lock);
	g_runner = self();
	while (g_root && g_root->deadline <= now) {
		struct ktimer *t = g_root;

		heap_remove(t);
		g_running = t;
		lock_drop(&g_lock);
		t->fn(t);
		lock_take(&g_lock);
		g_running = NULL;
		now = plat_mono_ns();
	}
	next = g_root ? g_root->deadline : PLAT_NO_DEADLINE;
	lock_drop(&g_lock);
	return next;
}
