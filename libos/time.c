/* SPDX-License-Identifier: MIT */
/* time.c - clocks and sleeps. */
#include "libos/time.h"

#include "libos/dispatch.h"
#include "libos/identity.h"
#include "libos/itimer.h"
#include "libos/lock.h"
#include "libos/process.h"
#include "libos/syscall.h"
#include "libos/thread.h"
#include "libos/user.h"

#include <errno.h>

#define NS UINT64_C(1000000000)
#define TICK_NS 4000000 /* resolution of the coarse clocks, as Linux with HZ=250 */

static _Atomic int64_t g_offset; /* CLOCK_REALTIME - the platform's */

void time_init(void)
{
}

uint64_t time_real_ns(void)
{
	return plat_real_ns() + (uint64_t)g_offset;
}

/* ---- reading ---- */

/* Clocks of a thread or of the process, as clock ids: Linux's encoding. */
#define CPU_CLOCK_MASK 7
#define CPU_CLOCK_THREAD 4

static int read_cpu_clock(long clock, uint64_t *ns)
{
	const uint32_t id = (uint32_t)~(clock >> 3);
	const unsigned kind = (unsigned)clock & CPU_CLOCK_MASK;
	struct thread *t;
	uint32_t host = 0;

	if ((kind & 3) == 3)
		return -EINVAL;
	if (!(kind & CPU_CLOCK_THREAD)) {
		if (id != 0 && id != PROCESS_PID)
			return -EINVAL;
		*ns = plat_process_cpu_ns();
		return 0;
	}
	lock_take(&g_thread_lock);
	t = id ? thread_find_locked(id) : self();
	if (t)
		host = t->host_id;
	lock_drop(&g_thread_lock);
	if (!t)
		return -EINVAL;
	*ns = plat_thread_cpu_ns(host);
	return 0;
}

int time_read(long clock, uint64_t *ns)
{
	if (clock < 0)
		return read_cpu_clock((int)clock, ns);
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_TAI: /* without a leap second table, as Linux at start */
		*ns = time_real_ns();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
		*ns = plat_mono_ns();
		return 0;
	case CLOCK_BOOTTIME:
		*ns = plat_boot_ns();
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
		*ns = plat_process_cpu_ns();
		return 0;
	case CLOCK_THREAD_CPUTIME_ID:
		*ns = plat_thread_cpu_ns(self()->host_id);
		return 0;
	default:
		return -EINVAL;
	}
}

static int clock_plain(int clock, int64_t sec_nsec[2])
{
	plat_clock(clock, sec_nsec);
	return 0;
}

int (*g_plat_clock_direct)(int clock, int64_t sec_nsec[2]) = clock_plain;

int time_read_direct(int clock, struct timespec *ts)
{
	/* The guest's own CLOCK_REALTIME, CPU clocks, --strace: by the call. */
	if ((unsigned)clock > CLOCK_MONOTONIC ||
	    atomic_load_explicit(&g_offset, memory_order_relaxed) || syscall_traced())
		return -ENOSYS;
	return g_plat_clock_direct(clock, (int64_t *)(void *)ts);
}

static struct timespec to_timespec(uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / NS), .tv_nsec = (long)(ns % NS)};

	return ts;
}

SYSCALL(clock_gettime, int clock, struct timespec *user_ts)
{
	struct timespec ts;
	int64_t raw[2];
	uint64_t ns;
	int r;

	if (clock == CLOCK_MONOTONIC || (clock == CLOCK_REALTIME && g_offset == 0)) {
		plat_clock(clock, raw);
		return user_copy_out(user_ts, raw, sizeof(raw));
	}
	r = time_read(clock, &ns);
	if (r != 0)
		return r;
	ts = to_timespec(ns);
	return user_copy_out(user_ts, &ts, sizeof(ts));
}

SYSCALL(clock_getres, int clock, struct timespec *user_ts)
{
	struct timespec ts = {.tv_sec = 0, .tv_nsec = 1};
	uint64_t ns;
	int r = time_read(clock, &ns);

	if (r != 0)
		return r;
	if (clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE)
		ts.tv_nsec = TICK_NS;
	if (!user_ts)
		return 0;
	return user_copy_out(user_ts, &ts, sizeof(ts));
}

SYSCALL(gettimeofday, void *user_tv, void *user_tz)
{
	const uint64_t ns = time_real_ns();
	const int64_t tv[2] = {(int64_t)(ns / NS), (int64_t)(ns % NS / 1000)};
	const int32_t tz[2] = {0, 0};

	if (user_tv && user_copy_out(user_tv, tv, sizeof(tv)) != 0)
		return -EFAULT;
	if (user_tz && user_copy_out(user_tz, tz, sizeof(tz)) != 0)
		return -EFAULT;
	return 0;
}

SYSCALL(time, int64_t *user_t)
{
	const int64_t now = (int64_t)(time_real_ns() / NS);

	if (user_t && user_copy_out(user_t, &now, sizeof(now)) != 0)
		return -EFAULT;
	return now;
}

/* ---- setting ---- */

static void wake_realtime_waiters(void)
{
	/* A token too many does no harm: every sleeper looks again. */
	lock_take(&g_thread_lock);
	for (struct thread *t = g_threads; t; t = t->next)
		thread_unpark(t);
	lock_drop(&g_thread_lock);
	timers_clock_was_set();
}

void time_shift_real(int64_t ns)
{
	atomic_fetch_add(&g_offset, ns);
	wake_realtime_waiters();
}

static long set_real(const struct timespec *ts)
{
	if (ts->tv_sec < 0 || (uint64_t)ts->tv_nsec >= NS ||
	    (uint64_t)ts->tv_sec > INT64_MAX / NS - 1)
		return -EINVAL;
	if (!cred_privileged())
		return -EPERM;
	time_shift_real((int64_t)((uint64_t)ts->tv_sec * NS + (uint64_t)ts->tv_nsec -
	                          time_real_ns()));
	return 0;
}

SYSCALL(clock_settime, int clock, const struct timespec *user_ts)
{
	struct timespec ts;

	if (clock != CLOCK_REALTIME)
		return -EINVAL;
	if (user_copy_in(&ts, user_ts, sizeof(ts)) != 0)
		return -EFAULT;
	return set_real(&ts);
}

SYSCALL(settimeofday, const void *user_tv, const void *user_tz)
{
	int64_t tv[2];
	struct timespec ts;

	(void)user_tz;
	if (!user_tv)
		return 0;
	if (user_copy_in(tv, user_tv, sizeof(tv)) != 0)
		return -EFAULT;
	if (tv[1] < 0 || tv[1] >= 1000000)
		return -EINVAL;
	ts.tv_sec = tv[0];
	ts.tv_nsec = tv[1] * 1000;
	return set_real(&ts);
}

/* ---- moments ---- */

void abs_time_never(struct abs_time *t)
{
	*t = (struct abs_time){PLAT_NO_DEADLINE, false};
}

static uint64_t to_ns(const struct timespec *ts)
{
	/* 292 years and more: never. */
	if ((uint64_t)ts->tv_sec > INT64_MAX / NS - 1)
		return PLAT_NO_DEADLINE;
	return (uint64_t)ts->tv_sec * NS + (uint64_t)ts->tv_nsec;
}

void abs_time_after(struct abs_time *t, const struct timespec *ts)
{
	const uint64_t ns = to_ns(ts), now = plat_mono_ns();

	t->real = false;
	t->ns = ns < PLAT_NO_DEADLINE - now ? now + ns : PLAT_NO_DEADLINE;
}

void abs_time_at(struct abs_time *t, const struct timespec *ts, bool real)
{
	t->real = real;
	t->ns = to_ns(ts);
}

uint64_t abs_time_deadline(const struct abs_time *t)
{
	uint64_t real, mono;

	if (t->ns == PLAT_NO_DEADLINE || !t->real)
		return t->ns;
	real = time_real_ns();
	mono = plat_mono_ns();
	return t->ns > real ? mono + (t->ns - real) : mono;
}

bool abs_time_passed(const struct abs_time *t)
{
	if (t->ns == PLAT_NO_DEADLINE)
		return false;
	return (t->real ? time_real_ns() : plat_mono_ns()) >= t->ns;
}

/* ---- sleeping ---- */

static long sleep_until(const struct abs_time *until)
{
	while (!abs_time_passed(until)) {
		const int r = thread_park(abs_time_deadline(until), PARK_INTR);

		if (r == -EINTR)
			return -EINTR;
	}
	return 0;
}

static long sleep_for(const struct timespec *ts, struct timespec *user_left)
{
	struct abs_time until;
	long r;

	abs_time_after(&until, ts);
	r = sleep_until(&until);
	if (r == -EINTR && user_left) {
		const uint64_t now = plat_mono_ns();
		const struct timespec left = to_timespec(until.ns > now ? until.ns - now : 0);

		if (user_copy_out(user_left, &left, sizeof(left)) != 0)
			return -EFAULT;
	}
	return r;
}

static long read_span(struct timespec *ts, const struct timespec *user_ts)
{
	if (user_copy_in(ts, user_ts, sizeof(*ts)) != 0)
		return -EFAULT;
	if (ts->tv_sec < 0 || (uint64_t)ts->tv_nsec >= NS)
		return -EINVAL;
	return 0;
}

SYSCALL(nanosleep, const struct timespec *user_ts, struct timespec *user_left)
{
	struct timespec ts;
	long r = read_span(&ts, user_ts);

	return r ? r : sleep_for(&ts, user_left);
}

/* Until the process has used so much CPU time: looked at by and by. */
static long sleep_on_cpu_clock(long clock, uint64_t at)
{
	uint64_t now;
	int r = time_read(clock, &now);

	while (r == 0 && now < at) {
		if (thread_park(plat_mono_ns() + (at - now), PARK_INTR) == -EINTR)
			return -EINTR;
		r = time_read(clock, &now);
	}
	return r;
}

#define TIMER_ABSTIME_ 1

SYSCALL(clock_nanosleep, int clock, int flags, const struct timespec *user_ts,
        struct timespec *user_left)
{
	struct abs_time until;
	struct timespec ts;
	uint64_t now;
	long r;

	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
	case CLOCK_PROCESS_CPUTIME_ID:
		break;
	default:
		if (time_read(clock, &now) != 0)
			return -EINVAL;
		if (clock >= 0)
			return -EOPNOTSUPP;
	}
	r = read_span(&ts, user_ts);
	if (r != 0)
		return r;
	if (clock == CLOCK_PROCESS_CPUTIME_ID || clock < 0) {
		(void)time_read(clock, &now);
		r = sleep_on_cpu_clock(clock,
		                       flags & TIMER_ABSTIME_ ? to_ns(&ts) : now + to_ns(&ts));
		return r == -EINTR && (flags & TIMER_ABSTIME_) ? -ERESTARTSYS : r;
	}
	if (!(flags & TIMER_ABSTIME_))
		return sleep_for(&ts, user_left);
	if (clock == CLOCK_BOOTTIME) {
		/* The host's suspends are not the guest's: shift to CLOCK_MONOTONIC. */
		abs_time_at(&until, &ts, false);
		until.ns -= plat_boot_ns() - plat_mono_ns();
	} else {
		abs_time_at(&until, &ts, clock != CLOCK_MONOTONIC);
	}
	r = sleep_until(&until);
	return r == -EINTR ? -ERESTARTSYS : r;
}
