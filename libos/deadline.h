/* SPDX-License-Identifier: MIT */
/*
 * deadline.h - timeouts of calls as deadlines on CLOCK_MONOTONIC.
 *
 * Layer:   libos.
 * Errors:  0 or a negative errno.
 */
#ifndef LIBOS_DEADLINE_H
#define LIBOS_DEADLINE_H

#include "libos/user.h"

#include <errno.h>
#include <time.h>

#define DEADLINE_NOW UINT64_C(0) /* in the past: look, do not wait */
#define NS_PER_S UINT64_C(1000000000)

/* @ns from now; 0 stays DEADLINE_NOW, too much becomes PLAT_NO_DEADLINE. */
static inline uint64_t deadline_in(uint64_t ns)
{
	uint64_t now;

	if (ns == 0)
		return DEADLINE_NOW;
	now = plat_mono_ns();
	return ns < PLAT_NO_DEADLINE - now ? now + ns : PLAT_NO_DEADLINE;
}

static inline uint64_t deadline_in_ms(int ms)
{
	return ms < 0 ? PLAT_NO_DEADLINE : deadline_in((uint64_t)ms * 1000000u);
}

static inline uint64_t deadline_span(int64_t s, int64_t ns)
{
	/* 292 years is for ever */
	if ((uint64_t)s > UINT64_MAX / NS_PER_S - 1)
		return PLAT_NO_DEADLINE;
	return deadline_in((uint64_t)s * NS_PER_S + (uint64_t)ns);
}

/* NULL: for ever. */
static inline int deadline_from_timespec(const void *user_ts, uint64_t *deadline)
{
	struct timespec ts;

	*deadline = PLAT_NO_DEADLINE;
	if (!user_ts)
		return 0;
	if (user_copy_in(&ts, user_ts, sizeof(ts)) != 0)
		return -EFAULT;
	if (ts.tv_sec < 0 || (uint64_t)ts.tv_nsec >= NS_PER_S)
		return -EINVAL;
	*deadline = deadline_span(ts.tv_sec, ts.tv_nsec);
	return 0;
}

/* What is left until @deadline. */
static inline uint64_t deadline_left(uint64_t deadline)
{
	uint64_t now = plat_mono_ns();

	return deadline > now ? deadline - now : 0;
}

#endif /* LIBOS_DEADLINE_H */
