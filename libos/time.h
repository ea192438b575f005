/* SPDX-License-Identifier: MIT */
/*
 * time.h - the guest's clocks.
 *
 * CLOCK_REALTIME is the platform's plus an offset of the guest (clock_settime);
 * the others are the platform's.
 *
 * Layer:   libos.
 * Locking: the offset is one atomic word.
 */
#ifndef LIBOS_TIME_H
#define LIBOS_TIME_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

void time_init(void);

/* CLOCK_REALTIME of the guest, ns. */
uint64_t time_real_ns(void);
/* Add to the guest's CLOCK_REALTIME. */
void time_shift_real(int64_t ns);
/* A clock's value: 0 or -EINVAL.  Takes CPU clocks of threads too. */
int time_read(long clock, uint64_t *ns);

/* What a program's C library calls where another has the vDSO's clock_gettime():
 * program code, on the program's stack, interruptible anywhere.  A bad @ts faults as
 * it does in the vDSO.  0, or -ENOSYS: make the call. */
int time_read_direct(int clock, struct timespec *ts);

/* When a wait ends: on the clock it was given for. */
struct abs_time {
	uint64_t ns; /* PLAT_NO_DEADLINE: never */
	bool real;
};
void abs_time_never(struct abs_time *t);
void abs_time_after(struct abs_time *t, const struct timespec *ts); /* relative */
void abs_time_at(struct abs_time *t, const struct timespec *ts, bool real);
/* As a CLOCK_MONOTONIC deadline, by the clocks' state now. */
uint64_t abs_time_deadline(const struct abs_time *t);
bool abs_time_passed(const struct abs_time *t);

#endif /* LIBOS_TIME_H */
