/* SPDX-License-Identifier: MIT */
/*
 * ktimer.h - one-shot timers inside libos: setitimer, timer_create, timerfd.
 *
 * A queue ordered by deadline, run by the pump thread (pump.h), which starts
 * with the first timer.  A timer that repeats sets itself again in its function.
 *
 * Layer:     libos.
 * Ownership: the node is the caller's, inside its object; it must not be freed
 *            while set or running: ktimer_cancel() first.
 * Locking:   thread-safe; the queue's lock is a leaf, not held while @fn runs.
 * Memory:    none.
 */
#ifndef LIBOS_KTIMER_H
#define LIBOS_KTIMER_H

#include <stdbool.h>
#include <stdint.h>

struct ktimer {
	uint64_t deadline; /* CLOCK_MONOTONIC ns */
	/* Runs on the pump thread: may take locks, wake and unpark, set timers
	 * (this one too); may not park and may not make calls to a service. */
	void (*fn)(struct ktimer *t);
	/* private: a pairing heap */
	struct ktimer *child, *next, **pprev;
	bool queued;
};

void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *t));

/* (Re)arm for @deadline; a time in the past runs at once.  0, or -EAGAIN when the
 * pump thread cannot be started. */
int ktimer_set(struct ktimer *t, uint64_t deadline);

/* Disarm.  True: it was armed and will not run.  On return @fn is not running
 * either, unless the caller is @fn itself; so do not hold a lock that @fn takes. */
bool ktimer_cancel(struct ktimer *t);

/* For the pump: run what is due; the deadline of the next, or PLAT_NO_DEADLINE. */
uint64_t ktimer_run(uint64_t now);

#endif /* LIBOS_KTIMER_H */
