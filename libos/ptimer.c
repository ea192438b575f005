/* SPDX-License-Identifier: MIT */
/*
 * ptimer.c - timer_create and its family.
 *
 * A timer has one queued signal.  When it is due the signal is queued and the timer
 * stands still until a thread takes the signal; then the periods that went by are
 * the overrun, and the timer is set for the next one (as Linux does it: a short
 * period costs nothing while the signal is blocked).  A signal that is ignored is
 * never taken, so then the timer sets itself, not more often than QUIET_MIN.
 */
#include "libos/itimer.h"

#include "libos/abi.h"
#include "libos/lock.h"
#include "libos/signal.h"
#include "libos/syscall.h"
#include "libos/thread.h"
#include "libos/user.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#define N_TIMERS 512
#define NS_PER_S UINT64_C(1000000000)
#define QUIET_MIN UINT64_C(10000000)
#define SIGEV_THREAD_ID_ 4

struct ptimer {
	struct ctimer t; /* first */
	struct sigq q;
	struct lock lock; /* what follows; below the signal lock in order */
	bool used;        /* under g_lock */
	bool silent;      /* SIGEV_NONE */
	uint32_t to_tid;  /* SIGEV_THREAD_ID; 0: the process */
	uint64_t interval;
	uint64_t next;       /* when it was or is due, while set */
	uint32_t generation; /* of settings: a signal of an old one sets nothing */
	uint32_t q_generation;
	uint32_t overrun;
};

static struct lock g_lock = LOCK_INIT;
static struct ptimer g_timers[N_TIMERS];

static struct ptimer *of_sigq(struct sigq *q)
{
	return (struct ptimer *)(void *)((char *)q - offsetof(struct ptimer, q));
}

/* Step @next over what is past.  Returns the periods skipped. */
static uint64_t forward_locked(struct ptimer *p, uint64_t now)
{
	uint64_t n = 0;

	if (p->next <= now) {
		n = (now - p->next) / p->interval;
		p->next += (n + 1) * p->interval;
	}
	return n;
}

/* A thread takes the signal. */
static void taken(struct sigq *q, struct siginfo_x86 *out)
{
	struct ptimer *p = of_sigq(q);
	uint64_t missed = 0;

	lock_take(&p->lock);
	if (p->q_generation == p->generation && p->interval != 0) {
		missed = forward_locked(p, ctimer_now(&p->t));
		(void)ctimer_set(&p->t, p->next); /* it ran, so the pump does */
	}
	p->overrun = missed > INT_MAX ? INT_MAX : (uint32_t)missed;
	out->timer.overrun = (int32_t)p->overrun;
	lock_drop(&p->lock);
}

static void busy(struct sigq *q)
{
	(void)q; /* counted when the queued one is taken */
}

static void fire(struct ctimer *c)
{
	struct ptimer *p = (struct ptimer *)c;

	lock_take(&p->lock);
	p->q_generation = p->generation;
	if (p->silent) {
		if (p->interval != 0) {
			uint64_t now = ctimer_now(c);

			(void)forward_locked(p, now);
		}
		lock_drop(&p->lock);
		return; /* nobody hears of it; timer_gettime() reckons */
	}
	lock_drop(&p->lock);
	if (signal_send_owned(&p->q, p->to_tid, busy))
		return;
	lock_take(&p->lock);
	if (p->interval != 0 && !p->q.queued) {
		uint64_t now = ctimer_now(c);

		(void)forward_locked(p, now);
		(void)ctimer_set(c,
		                 p->next < now + QUIET_MIN ? now + QUIET_MIN : p->next);
	}
	lock_drop(&p->lock);
}

/* ---- creation ---- */

static int check_event(const struct ksigevent *ev)
{
	switch (ev->notify) {
	case SIGEV_NONE:
		return 0;
	case SIGEV_SIGNAL:
	case SIGEV_THREAD:
		break;
	case SIGEV_THREAD_ID_: {
		bool found;

		lock_take(&g_thread_lock);
		found = ev->tid > 0 && thread_find_locked((uint32_t)ev->tid) != NULL;
		lock_drop(&g_thread_lock);
		if (!found)
			return -EINVAL;
		break;
	}
	default:
		return -EINVAL;
	}
	return ev->signo >= 1 && ev->signo <= ABI_NSIG ? 0 : -EINVAL;
}

static int take_slot(void)
{
	int id = -EAGAIN;

	lock_take(&g_lock);
	for (int i = 0; i < N_TIMERS && id < 0; i++) {
		if (!g_timers[i].used) {
			g_timers[i].used = true;
			id = i;
		}
	}
	lock_drop(&g_lock);
	return id;
}

static void give_slot(int id)
{
	lock_take(&g_lock);
	g_timers[id].used = false;
	lock_drop(&g_lock);
}

static void set_up(struct ptimer *p, int id, const struct ksigevent *ev)
{
	struct siginfo_x86 info = {.signo = ev->signo, .code = SI_TIMER};

	p->silent = ev->notify == SIGEV_NONE;
	p->to_tid = ev->notify == SIGEV_THREAD_ID_ ? (uint32_t)ev->tid : 0;
	p->interval = p->next = 0;
	p->overrun = 0;
	p->generation++;
	info.timer.id = id;
	info.timer.value = ev->value;
	memset(&p->q, 0, sizeof(p->q));
	p->q.signo = ev->signo;
	p->q.on_take = taken;
	memcpy(p->q.info, &info, sizeof(p->q.info));
}

SYSCALL(timer_create, long clock_id, const void *user_event, void *user_id)
{
	struct ksigevent ev = {.notify = SIGEV_SIGNAL, .signo = SIGALRM};
	enum timer_clock clock;
	uint32_t tid, host_id = 0;
	int32_t id;
	int err = timer_clock_of((int)clock_id, &clock, &tid);

	if (err != 0)
		return err;
	if (user_event) {
		if (user_copy_in(&ev, user_event, sizeof(ev)) != 0)
			return -EFAULT;
		err = check_event(&ev);
		if (err != 0)
			return err;
	}
	if (tid) {
		struct thread *t;

		lock_take(&g_thread_lock);
		t = thread_find_locked(tid);
		host_id = t ? t->host_id : 0;
		lock_drop(&g_thread_lock);
		if (!t)
			return -EINVAL;
	}
	id = take_slot();
	if (id < 0)
		return id;
	if (!user_event)
		ev.value = (uint32_t)id;
	set_up(&g_timers[id], id, &ev);
	ctimer_init(&g_timers[id].t, clock, host_id, fire);
	if (user_copy_out(user_id, &id, sizeof(id)) != 0) {
		give_slot(id);
		return -EFAULT;
	}
	return 0;
}

/* ---- use ---- */

static struct ptimer *find(long id_arg)
{
	int id = (int)id_arg;
	bool used;

	if (id < 0 || id >= N_TIMERS)
		return NULL;
	lock_take(&g_lock);
	used = g_timers[id].used;
	lock_drop(&g_lock);
	return used ? &g_timers[id] : NULL;
}

static void stop(struct ptimer *p)
{
	lock_take(&p->lock);
	p->generation++;
	lock_drop(&p->lock);
	ctimer_cancel(&p->t);
	signal_withdraw(&p->q);
	/* taken() may have set it between the two */
	ctimer_cancel(&p->t);
}

/* Interval and time left. */
static void look(struct ptimer *p, uint64_t *interval, uint64_t *left)
{
	uint64_t now = ctimer_now(&p->t);

	lock_take(&p->lock);
	*interval = p->interval;
	*left = 0;
	if (p->next > now)
		*left = p->next - now;
	else if (p->next != 0 && p->interval != 0)
		*left = p->interval - (now - p->next) % p->interval;
	else if (p->next != 0 && p->t.due != TIMER_NEVER)
		*left = 1; /* about to run */
	lock_drop(&p->lock);
}

static int put(void *user_out, uint64_t interval, uint64_t left)
{
	const int64_t out[4] = {
	        (int64_t)(interval / NS_PER_S),
	        (int64_t)(interval % NS_PER_S),
	        (int64_t)(left / NS_PER_S),
	        (int64_t)(left % NS_PER_S),
	};

	return user_copy_out(user_out, out, sizeof(out)) != 0 ? -EFAULT : 0;
}

static bool to_ns(const int64_t ts[2], uint64_t *ns)
{
	if (ts[0] < 0 || ts[1] < 0 || (uint64_t)ts[1] >= NS_PER_S)
		return false;
	if ((uint64_t)ts[0] >= (TIMER_NEVER >> 1) / NS_PER_S)
		*ns = TIMER_NEVER >> 1;
	else
		*ns = (uint64_t)ts[0] * NS_PER_S + (uint64_t)ts[1];
	return true;
}

SYSCALL(timer_settime, long id, long flags, const void *user_new, void *user_old)
{
	int64_t to[4];
	uint64_t value, interval, old_left, old_interval;
	struct ptimer *p;
	int err = 0;

	if (!user_new)
		return -EINVAL;
	if (user_copy_in(to, user_new, sizeof(to)) != 0)
		return -EFAULT;
	if (!to_ns(&to[0], &interval) || !to_ns(&to[2], &value))
		return -EINVAL;
	p = find(id);
	if (!p)
		return -EINVAL;
	look(p, &old_interval, &old_left);
	stop(p);
	lock_take(&p->lock);
	p->interval = value ? interval : 0;
	p->overrun = 0;
	p->next = 0;
	if (value) {
		p->next =
		        (int)flags & TIMER_ABSTIME ? value : ctimer_now(&p->t) + value;
		err = ctimer_set(&p->t, p->next);
	}
	lock_drop(&p->lock);
	if (err == 0 && user_old)
		err = put(user_old, old_interval, old_left);
	return err;
}

SYSCALL(timer_gettime, long id, void *user_out)
{
	struct ptimer *p = find(id);
	uint64_t interval, left;

	if (!p)
		return -EINVAL;
	look(p, &interval, &left);
	return put(user_out, interval, left);
}

SYSCALL(timer_getoverrun, long id)
{
	struct ptimer *p = find(id);
	long overrun;

	if (!p)
		return -EINVAL;
	lock_take(&p->lock);
	overrun = (long)p->overrun;
	lock_drop(&p->lock);
	return overrun;
}

SYSCALL(timer_delete, long id)
{
	struct ptimer *p = find(id);

	if (!p)
		return -EINVAL;
	stop(p);
	give_slot((int)id);
	return 0;
}

void timers_clock_was_set(void)
{
	for (int i = 0; i < N_TIMERS; i++) {
		struct ptimer *p = find(i);

		if (p && p->t.clock == TIMER_REAL)
			ctimer_clock_was_set(&p->t);
	}
	timerfd_clock_was_set();
}
