/* SPDX-License-Identifier: MIT */
/*
 * lock.h - libos's own mutual exclusion: short sections, never across an RPC.
 *
 * A futex lock: 0 free, 1 held, 2 held with sleepers.  Not recursive, no owner.
 * The waits in here are not interruptible and do not lead the rings, so nothing
 * that needs the rings may be waited for while a lock is held.
 *
 * Layer:  platform; libos and the guest side of rpc use it.
 */
#ifndef PLATFORM_LOCK_H
#define PLATFORM_LOCK_H

#include "platform/platform.h"

#include <stdatomic.h>

struct lock {
	_Atomic uint32_t word;
};

#define LOCK_INIT {0}

static inline bool lock_try(struct lock *l)
{
	uint32_t free = 0;

	return atomic_compare_exchange_strong_explicit(&l->word, &free, 1,
	                                               memory_order_acquire,
	                                               memory_order_relaxed);
}

static inline void lock_take(struct lock *l)
{
	if (lock_try(l))
		return;
	for (int i = 0; i < 64; i++) {
		__builtin_ia32_pause();
		if (lock_try(l))
			return;
	}
	while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0)
		(void)plat_futex_wait(&l->word, 2, PLAT_NO_DEADLINE);
}

static inline void lock_drop(struct lock *l)
{
	if (atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2)
		(void)plat_futex_wake(&l->word, 1);
}

#endif /* PLATFORM_LOCK_H */
