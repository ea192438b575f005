/* SPDX-License-Identifier: MIT */
/*
 * futex.c - sleeping on words of guest memory.
 *
 * Sleepers stand in lists by the hash of their word's address, in the order of
 * arrival; a thread may stand in two.  Everything is under IF=0, and a word is
 * compared there: a wake-up comes before the look (and is seen in the word) or
 * after the thread stands in the list.  Reading a word may fault a page in.
 */
#include "platform/xen/xen.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

#define BUCKETS 64u

static struct link g_buckets[BUCKETS];

static struct link *bucket(const _Atomic uint32_t *word)
{
	const uint64_t a = (uintptr_t)word >> 2;

	return &g_buckets[(a ^ a >> 6 ^ a >> 12) % BUCKETS];
}

void futex_init(void)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		list_init(&g_buckets[i]);
}

void futex_forget(struct xthread *t)
{
	for (int i = 0; i < 2; i++)
		if (list_linked(&t->sleep[i].link))
			list_remove(&t->sleep[i].link);
}

int futex_wake_locked(const _Atomic uint32_t *word, int n)
{
	struct link *head = bucket(word), *next;
	int woken = 0;

	for (struct link *l = head->next; l != head && woken < n; l = next) {
		struct futex_sleep *s = CONTAINER_OF(l, struct futex_sleep, link);

		next = l->next;
		if (s->word != word)
			continue;
		/* The other word of the same thread may be next in this list. */
		if (next == &s->thread->sleep[0].link ||
		    next == &s->thread->sleep[1].link)
			next = next->next;
		sched_wake(s->thread, 0);
		woken++;
	}
	return woken;
}

int futex_sleep_locked(const _Atomic uint32_t *const *words, int n, uint64_t deadline)
{
	struct xthread *me = g_cpu.now;
	int r;

	if (me->kicked && !me->in_upcall) {
		upcall_take_kick();
		return -EINTR;
	}
	if (deadline != PLAT_NO_DEADLINE && deadline <= plat_mono_ns())
		return -ETIMEDOUT;
	for (int i = 0; i < n; i++) {
		me->sleep[i].word = words[i];
		me->sleep[i].thread = me;
		list_add_before(bucket(words[i]), &me->sleep[i].link);
	}
	r = sched_sleep(deadline);
	if (me->kicked && !me->in_upcall)
		upcall_take_kick();
	return r;
}

int plat_futex_wait(_Atomic uint32_t *word, uint32_t val, uint64_t deadline)
{
	const _Atomic uint32_t *const words[1] = {word};
	const uint64_t flags = irq_off();
	int r = -EAGAIN;

	if (atomic_load_explicit(word, memory_order_relaxed) == val)
		r = futex_sleep_locked(words, 1, deadline);
	irq_restore(flags);
	return r;
}

int plat_futex_wake(_Atomic uint32_t *word, int n)
{
	const uint64_t flags = irq_off();
	const int woken = futex_wake_locked(word, n);

	irq_restore(flags);
	return woken;
}
