/* SPDX-License-Identifier: MIT */
/*
 * park.c - the sleeps of libos/park.c and libos/pump.c: a word and the doorbell.
 *
 * The doorbell is a word of our own that the handlers of event channels count up.
 * Threads that read rings sleep on it; the pump, which reads them when nobody else
 * does, sleeps on a word of its own and is woken only when no such thread sleeps.
 */
#include "platform/xen/xen.h"

#include <errno.h>
#include <stdatomic.h>

static const _Atomic uint32_t g_pump_door; /* its address alone matters */

void doorbell_ring_locked(void)
{
	_Atomic uint32_t *door = g_config.doorbell;

	atomic_fetch_add_explicit(door, 1, memory_order_relaxed);
	if (futex_wake_locked(door, 1) == 0)
		(void)futex_wake_locked(&g_pump_door, 1);
}

void plat_doorbell_ring(void)
{
	const uint64_t flags = irq_off();

	doorbell_ring_locked();
	irq_restore(flags);
}

/* Who is to be woken follows from who sleeps: see doorbell_ring_locked(). */
void plat_doorbell_sleeping(bool yes)
{
	(void)yes;
}

int plat_park(_Atomic uint32_t *word, uint32_t val, const uint32_t *door,
              uint64_t deadline, const _Atomic uint32_t *kicked)
{
	const _Atomic uint32_t *const words[2] = {word, g_config.doorbell};
	const uint64_t flags = irq_off();
	int r;

	if (kicked && *kicked)
		r = -EINTR;
	else if (*word != val || (door && *g_config.doorbell != *door))
		r = -EAGAIN;
	else
		r = futex_sleep_locked(words, door ? 2 : 1, deadline);
	irq_restore(flags);
	return r;
}

int plat_pump_wait(_Atomic uint32_t *word, uint32_t val, uint32_t door,
                   uint64_t deadline)
{
	const _Atomic uint32_t *const words[2] = {word, &g_pump_door};
	const uint64_t flags = irq_off();
	int r = -EAGAIN;

	if (*word == val && *g_config.doorbell == door)
		r = futex_sleep_locked(words, 2, deadline);
	irq_restore(flags);
	return r;
}
