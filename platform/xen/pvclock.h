/* SPDX-License-Identifier: MIT */
/*
 * pvclock.h - the arithmetic of Xen's clock pages, apart from where they lie.
 *
 * Layer:   platform/xen; runs on the host in tests.
 * Locking: Xen writes while we read: versions, odd while it writes.
 */
#ifndef PLATFORM_XEN_PVCLOCK_H
#define PLATFORM_XEN_PVCLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* struct vcpu_time_info. */
struct pvclock_time {
	uint32_t version, pad0;
	uint64_t tsc_timestamp; /* TSC when system_time was taken */
	uint64_t system_time;   /* ns since Xen's start */
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad1[2];
};
_Static_assert(sizeof(struct pvclock_time) == 32, "struct vcpu_time_info");

/* TSC ticks as nanoseconds. */
static inline uint64_t pvclock_scale(uint64_t ticks, uint32_t mul, int8_t shift)
{
	if (shift < 0)
		ticks >>= -shift;
	else
		ticks <<= shift;
	return (uint64_t)(((unsigned __int128)ticks * mul) >> 32);
}

/* The version before reading; odd ones are waited out. */
static inline uint32_t pvclock_begin(const uint32_t *version)
{
	uint32_t v;

	while ((v = __atomic_load_n(version, __ATOMIC_ACQUIRE)) & 1)
		__builtin_ia32_pause();
	return v;
}

static inline bool pvclock_again(const uint32_t *version, uint32_t before)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(version, __ATOMIC_RELAXED) != before;
}

/* System time at @tsc, of a page that does not change meanwhile.  A TSC a little
 * behind the page's is that of another read's race: no time has gone by. */
static inline uint64_t pvclock_at(const struct pvclock_time *t, uint64_t tsc)
{
	const int64_t ticks = (int64_t)(tsc - t->tsc_timestamp);

	if (ticks <= 0)
		return t->system_time;
	return t->system_time +
	       pvclock_scale((uint64_t)ticks, t->tsc_to_system_mul, t->tsc_shift);
}

/* The later of @now and all before it. */
static inline uint64_t pvclock_forward(_Atomic uint64_t *last, uint64_t now)
{
	uint64_t seen = atomic_load_explicit(last, memory_order_relaxed);

	while (seen < now)
		if (atomic_compare_exchange_weak_explicit(last, &seen, now,
		                                          memory_order_relaxed,
		                                          memory_order_relaxed))
			return now;
	return seen;
}

#endif /* PLATFORM_XEN_PVCLOCK_H */
