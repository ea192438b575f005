/* SPDX-License-Identifier: MIT */
/*
 * adjtime.c - adjtimex, clock_adjtime: reading the clock's state, and stepping it.
 *
 * The guest's CLOCK_REALTIME is the platform's plus an offset.  The offset can be
 * stepped; it cannot be slewed and the clock's rate cannot be changed (-EINVAL).
 */
#include "libos/identity.h"
#include "libos/syscall.h"
#include "libos/time.h"
#include "libos/user.h"

#include <errno.h>
#include <string.h>
#include <sys/timex.h>

#define STEP_MODES (ADJ_SETOFFSET | ADJ_NANO | ADJ_MICRO)
#define NS_PER_S INT64_C(1000000000)
#define TICK_US 10000

_Static_assert(sizeof(struct timex) == 208, "struct timex");

static long step(const struct timex *tx)
{
	int64_t part = tx->time.tv_usec;

	if (!(tx->modes & ADJ_NANO))
		part *= 1000;
	if (part < 0 || part >= NS_PER_S)
		return -EINVAL;
	if (tx->time.tv_sec > INT32_MAX || tx->time.tv_sec < INT32_MIN)
		return -EINVAL;
	time_shift_real(tx->time.tv_sec * NS_PER_S + part);
	return 0;
}

static void describe(struct timex *tx, unsigned modes)
{
	uint64_t now = time_real_ns();

	memset(tx, 0, sizeof(*tx));
	tx->modes = modes;
	tx->status = STA_UNSYNC;
	tx->tick = TICK_US;
	tx->maxerror = tx->esterror = 16000000;
	tx->time.tv_sec = (time_t)(now / (uint64_t)NS_PER_S);
	tx->time.tv_usec = (suseconds_t)(now % (uint64_t)NS_PER_S / 1000);
	if (modes & ADJ_NANO) {
		tx->status |= STA_NANO;
		tx->time.tv_usec = (suseconds_t)(now % (uint64_t)NS_PER_S);
	}
}

SYSCALL(adjtimex, void *user_timex)
{
	struct timex tx;
	long err;

	if (user_copy_in(&tx, user_timex, sizeof(tx)) != 0)
		return -EFAULT;
	if (tx.modes != 0 && tx.modes != ADJ_OFFSET_SS_READ) {
		if (!cred_privileged())
			return -EPERM;
		if (!(tx.modes & ADJ_SETOFFSET) || (tx.modes & ~(unsigned)STEP_MODES)) {
			unsupported("adjtimex: other than stepping the clock");
			return -EINVAL;
		}
		err = step(&tx);
		if (err != 0)
			return err;
	}
	describe(&tx, tx.modes);
	return user_copy_out(user_timex, &tx, sizeof(tx)) != 0 ? -EFAULT : TIME_ERROR;
}

SYSCALL(clock_adjtime, long clock_arg, void *user_timex)
{
	int clock = (int)clock_arg;

	if (clock == CLOCK_REALTIME)
		return strait_sys_adjtimex(user_timex);
	switch (clock) {
	case CLOCK_MONOTONIC:
	case CLOCK_PROCESS_CPUTIME_ID:
	case CLOCK_THREAD_CPUTIME_ID:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}
