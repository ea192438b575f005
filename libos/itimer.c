/* SPDX-License-Identifier: MIT */
/*
 * itimer.c - alarm, setitimer, getitimer, and RLIMIT_CPU.
 *
 * User and system time are one here, so ITIMER_VIRTUAL counts what ITIMER_PROF
 * counts.
 */
#include "libos/itimer.h"

#include "libos/limits.h"
#include "libos/lock.h"
#include "libos/signal.h"
#include "libos/syscall.h"
#include "libos/user.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#define NS_PER_S UINT64_C(1000000000)
#define N_ITIMERS 3

struct itimer {
	struct ctimer t;
	int sig;
	uint64_t interval; /* under g_lock, as all uses of t but its running */
};

static struct lock g_lock = LOCK_INIT;
static struct itimer g_itimers[N_ITIMERS];
static struct ctimer g_cpu_limit;
static _Atomic uint64_t g_cpu_end = TIMER_NEVER; /* RLIMIT_CPU's hard limit */
static bool g_ready;

static void fire(struct ctimer *c)
{
	struct itimer *it = (struct itimer *)c;
	uint64_t now, due;

	(void)signal_send_process(it->sig, NULL);
	lock_take(&g_lock);
	if (it->interval != 0 && it->t.due == TIMER_NEVER) {
		now = ctimer_now(c);
		due = now + it->interval;
		(void)ctimer_set(c, due); /* the pump runs: it is us */
	}
	lock_drop(&g_lock);
}

static void cpu_limit_reached(struct ctimer *c)
{
	uint64_t now = ctimer_now(c);

	if (now >= g_cpu_end) {
		(void)signal_send_process(SIGKILL, NULL);
		return;
	}
	(void)signal_send_process(SIGXCPU, NULL);
	(void)ctimer_set(c, now + NS_PER_S); /* again each second, as Linux */
}

static void ready_locked(void)
{
	static const struct {
		enum timer_clock clock;
		int sig;
	} kinds[N_ITIMERS] = {
	        [ITIMER_REAL] = {TIMER_MONO, SIGALRM},
	        [ITIMER_VIRTUAL] = {TIMER_CPU_PROCESS, SIGVTALRM},
	        [ITIMER_PROF] = {TIMER_CPU_PROCESS, SIGPROF},
	};

	if (g_ready)
		return;
	for (int i = 0; i < N_ITIMERS; i++) {
		ctimer_init(&g_itimers[i].t, kinds[i].clock, 0, fire);
		g_itimers[i].sig = kinds[i].sig;
	}
	ctimer_init(&g_cpu_limit, TIMER_CPU_PROCESS, 0, cpu_limit_reached);
	g_ready = true;
}

void itimer_cpu_limit_changed(uint64_t soft, uint64_t hard)
{
	const uint64_t most = LIMIT_INFINITY / NS_PER_S - 1;

	lock_take(&g_lock);
	ready_locked();
	lock_drop(&g_lock);
	ctimer_cancel(&g_cpu_limit);
	g_cpu_end = hard < most ? hard * NS_PER_S : TIMER_NEVER;
	if (soft < most)
		(void)ctimer_set(&g_cpu_limit, soft * NS_PER_S);
}

static uint64_t left_locked(const struct itimer *it)
{
	uint64_t due = it->t.due, now = ctimer_now(&it->t);

	if (due == TIMER_NEVER)
		return 0;
	return due > now ? due - now : 1000; /* set, so never 0: about to run */
}

static void look(const struct itimer *it, uint64_t *left, uint64_t *interval)
{
	lock_take(&g_lock);
	ready_locked();
	*left = left_locked(it);
	*interval = it->interval;
	lock_drop(&g_lock);
}

static int set(struct itimer *it, uint64_t left, uint64_t interval)
{
	int err = 0;

	lock_take(&g_lock);
	it->interval = left ? interval : 0;
	lock_drop(&g_lock);
	ctimer_cancel(&it->t); /* waits for fire(): not under the lock */
	lock_take(&g_lock);
	if (left) {
		uint64_t now = ctimer_now(&it->t);

		err = ctimer_set(&it->t, left < TIMER_NEVER - 1 - now
		                                 ? now + left
		                                 : TIMER_NEVER - 1);
	}
	lock_drop(&g_lock);
	return err;
}

static int64_t round_us(uint64_t ns)
{
	return (int64_t)((ns + 999) / 1000);
}

static int put(void *user_out, uint64_t left, uint64_t interval)
{
	const int64_t out[4] = {
	        round_us(interval) / 1000000,
	        round_us(interval) % 1000000,
	        round_us(left) / 1000000,
	        round_us(left) % 1000000,
	};

	return user_copy_out(user_out, out, sizeof(out)) != 0 ? -EFAULT : 0;
}

static bool to_ns(const int64_t tv[2], uint64_t *ns)
{
	if (tv[0] < 0 || tv[1] < 0 || tv[1] >= 1000000)
		return false;
	if ((uint64_t)tv[0] >= TIMER_NEVER / NS_PER_S - 1)
		*ns = TIMER_NEVER - NS_PER_S * 2;
	else
		*ns = (uint64_t)tv[0] * NS_PER_S + (uint64_t)tv[1] * 1000;
	return true;
}

SYSCALL(getitimer, long which, void *user_out)
{
	uint64_t left, interval;

	if ((int)which < 0 || (int)which >= N_ITIMERS)
		return -EINVAL;
	look(&g_itimers[(int)which], &left, &interval);
	return put(user_out, left, interval);
}

SYSCALL(setitimer, long which, const void *user_new, void *user_old)
{
	int64_t to[4] = {0, 0, 0, 0}; /* no new value: as if all 0, Linux says */
	uint64_t left = 0, interval = 0, old_left, old_interval;
	int err;

	if (user_new && user_copy_in(to, user_new, sizeof(to)) != 0)
		return -EFAULT;
	if (!to_ns(&to[0], &interval) || !to_ns(&to[2], &left))
		return -EINVAL;
	if ((int)which < 0 || (int)which >= N_ITIMERS)
		return -EINVAL;
	look(&g_itimers[(int)which], &old_left, &old_interval);
	err = set(&g_itimers[(int)which], left, interval);
	if (err == 0 && user_old)
		err = put(user_old, old_left, old_interval);
	return err;
}

SYSCALL(alarm, unsigned long seconds_arg)
{
	uint32_t seconds = (uint32_t)seconds_arg;
	struct itimer *it = &g_itimers[ITIMER_REAL];
	uint64_t left, interval;
	long old;

	look(it, &left, &interval);
	if (set(it, seconds * NS_PER_S, 0) != 0)
		return 0; /* alarm() has no way to fail */
	/* Rounded, but never 0 for a set one. */
	old = (long)((left + NS_PER_S / 2) / NS_PER_S);
	return old == 0 && left != 0 ? 1 : old;
}
