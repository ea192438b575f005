/* SPDX-License-Identifier: MIT */
/*
 * itimer.h - what the timer calls share: clocks of timers, and timers that count
 * processor time.
 *
 * Layer:   libos.
 * Locking: a struct ctimer's fields are its owner's, under the owner's lock; its
 *          function runs on the pump thread without locks.
 * Memory:  none.
 */
#ifndef LIBOS_ITIMER_H
#define LIBOS_ITIMER_H

#include "libos/ktimer.h"

#include <stdbool.h>
#include <stdint.h>

#define TIMER_NEVER UINT64_MAX

enum timer_clock {
	TIMER_REAL,
	TIMER_MONO,
	TIMER_BOOT,
	TIMER_CPU_PROCESS,
	TIMER_CPU_THREAD,
};

/* One-shot timer on any of these clocks. */
struct ctimer {
	struct ktimer k;
	enum timer_clock clock;
	uint32_t host_id;     /* TIMER_CPU_THREAD: whose */
	_Atomic uint64_t due; /* on that clock; TIMER_NEVER: not set */
	/* It is due.  As ktimer's function; set again with ctimer_set(). */
	void (*fn)(struct ctimer *t);
};

/* Linux's clock id as a timer's: 0, -EINVAL, -EOPNOTSUPP, -EPERM (alarm clocks).
 * @tid: of the thread whose CPU time is meant, 0 else. */
int timer_clock_of(int clock_id, enum timer_clock *clock, uint32_t *tid);

void ctimer_init(struct ctimer *t, enum timer_clock clock, uint32_t host_id,
                 void (*fn)(struct ctimer *t));
uint64_t ctimer_now(const struct ctimer *t);
/* -EAGAIN: no timers to be had. */
int ctimer_set(struct ctimer *t, uint64_t due);
/* On return its function does not run; so hold no lock that it takes. */
void ctimer_cancel(struct ctimer *t);
/* After CLOCK_REALTIME was set: look at the clock again. */
void ctimer_clock_was_set(struct ctimer *t);

/* RLIMIT_CPU changed, in seconds: SIGXCPU each second from @soft on, SIGKILL at @hard. */
void itimer_cpu_limit_changed(uint64_t soft, uint64_t hard);

/* clock_settime(CLOCK_REALTIME) happened: absolute timers, TFD_TIMER_CANCEL_ON_SET. */
void timers_clock_was_set(void);
void timerfd_clock_was_set(void); /* timerfd.c: called by the former */

#endif /* LIBOS_ITIMER_H */
