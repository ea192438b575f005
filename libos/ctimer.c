/* SPDX-License-Identifier: MIT */
/*
 * ctimer.c - timers on the clocks that programs name.
 *
 * Clocks that follow the wall become one ktimer.  CLOCK_REALTIME can be set: then
 * the deadline is reckoned again.  Processor time is looked at again and again: it
 * cannot advance faster than the CPUs together, so the next look is when it could
 * be there at the earliest, but not more often than every LOOK_MIN.
 */
#include "libos/itimer.h"
#include "libos/process.h"
#include "libos/sched.h"
#include "libos/time.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#define LOOK_MIN UINT64_C(1000000)

int timer_clock_of(int clock_id, enum timer_clock *clock, uint32_t *tid)
{
	*tid = 0;
	if (clock_id < 0) {
		/* ~id << 3 | 4 if of a thread | which; every "which" is scheduled time */
		uint32_t id = ~(uint32_t)(clock_id >> 3);

		if ((clock_id & 3) == 3 || !process_knows((int32_t)id))
			return -EINVAL;
		*clock = clock_id & 4 ? TIMER_CPU_THREAD : TIMER_CPU_PROCESS;
		*tid = clock_id & 4 ? (id ? id : self()->tid) : 0;
		return 0;
	}
	switch (clock_id) {
	case CLOCK_REALTIME:
	case CLOCK_TAI:
		*clock = TIMER_REAL;
		return 0;
	case CLOCK_MONOTONIC:
		*clock = TIMER_MONO;
		return 0;
	case CLOCK_BOOTTIME:
		*clock = TIMER_BOOT;
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
		*clock = TIMER_CPU_PROCESS;
		return 0;
	case CLOCK_THREAD_CPUTIME_ID:
		*clock = TIMER_CPU_THREAD;
		*tid = self()->tid;
		return 0;
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		return -EPERM;
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

uint64_t ctimer_now(const struct ctimer *t)
{
	switch (t->clock) {
	case TIMER_REAL:
		return time_real_ns();
	case TIMER_BOOT:
		return plat_boot_ns();
	case TIMER_CPU_PROCESS:
		return plat_process_cpu_ns();
	case TIMER_CPU_THREAD:
		return plat_thread_cpu_ns(t->host_id);
	case TIMER_MONO:
	default:
		return plat_mono_ns();
	}
}

static uint64_t saturate(uint64_t a, uint64_t b)
{
	return b < TIMER_NEVER - 1 - a ? a + b : TIMER_NEVER - 1;
}

/* When to look, on CLOCK_MONOTONIC, if @left is missing. */
static uint64_t next_look(const struct ctimer *t, uint64_t left)
{
	if (t->clock == TIMER_CPU_PROCESS)
		left /= (uint64_t)__builtin_popcountll(sched_all_cpus());
	if ((t->clock == TIMER_CPU_PROCESS || t->clock == TIMER_CPU_THREAD) &&
	    left < LOOK_MIN)
		left = LOOK_MIN;
	return saturate(plat_mono_ns(), left);
}

static void run(struct ktimer *k)
{
	struct ctimer *t = (struct ctimer *)k;
	uint64_t due = t->due, now = ctimer_now(t);

	if (due == TIMER_NEVER)
		return;
	if (now < due) {
		(void)ktimer_set(k,
		                 next_look(t, due - now)); /* the pump runs: it is us */
		return;
	}
	/* A setter on another thread may just have changed it: then it is set again. */
	if (atomic_compare_exchange_strong(&t->due, &due, TIMER_NEVER))
		t->fn(t);
}

void ctimer_init(struct ctimer *t, enum timer_clock clock, uint32_t host_id,
                 void (*fn)(struct ctimer *t))
{
	ktimer_init(&t->k, run);
	t->clock = clock;
	t->host_id = host_id;
	t->due = TIMER_NEVER;
	t->fn = fn;
}

int ctimer_set(struct ctimer *t, uint64_t due)
{
	uint64_t now = ctimer_now(t);

	t->due = due;
	return ktimer_set(&t->k, next_look(t, due > now ? due - now : 0));
}

void ctimer_cancel(struct ctimer *t)
{
	t->due = TIMER_NEVER;
	(void)ktimer_cancel(&t->k);
}

void ctimer_clock_was_set(struct ctimer *t)
{
	uint64_t due = t->due;

	if (t->clock == TIMER_REAL && due != TIMER_NEVER)
		(void)ctimer_set(t, due); /* it was set before, so the pump runs */
}
