/* SPDX-License-Identifier: MIT */
/*
 * clock.h - the monotonic clock of netd.
 *
 * Layer:  services/netd.
 */
#ifndef NETD_CLOCK_H
#define NETD_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_ms(void)
{
	return clock_ns() / 1000000ull;
}

#endif /* NETD_CLOCK_H */
