/* SPDX-License-Identifier: MIT */
/*
 * timerfd.c - timers as descriptors.
 */
#include "libos/abi.h"
#include "libos/itimer.h"
#include "libos/lock.h"
#include "libos/ofd.h"
#include "libos/pool.h"
#include "libos/syscall.h"
#include "libos/user.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#define TIMERFD_MAX 4096
#define NS_PER_S UINT64_C(1000000000)
#define CANCEL_ON_SET 2 /* TFD_TIMER_CANCEL_ON_SET */

struct timerfd {
	struct ofd ofd; /* first */
	struct ctimer t;
	struct lock lock; /* what follows */
	uint64_t ticks;   /* expirations not read yet */
	uint64_t interval;
	uint64_t next;      /* when it is due next; 0: not set */
	bool tells_changes; /* absolute CLOCK_REALTIME with TFD_TIMER_CANCEL_ON_SET */
	bool clock_changed;
	struct timerfd *link, **plink; /* all of them; under g_all_lock */
};

static struct pool g_pool = POOL_INIT(struct timerfd, TIMERFD_MAX);
static struct lock g_all_lock = LOCK_INIT;
static struct timerfd *g_all;

static struct timerfd *of_timer(struct ctimer *c)
{
	return (struct timerfd *)(void *)((char *)c - offsetof(struct timerfd, t));
}

/* It is due.  A periodic one stands still until somebody reads, as in Linux: then
 * the periods that went by are counted (collect_locked()). */
static void fire(struct ctimer *c)
{
	struct timerfd *f = of_timer(c);

	lock_take(&f->lock);
	if (f->next != 0) {
		f->ticks++;
		if (f->interval == 0)
			f->next = 0;
	}
	lock_drop(&f->lock);
	waitq_wake(&f->ofd.wait, EPOLLIN);
}

static long take_ticks(void *arg)
{
	struct timerfd *f = arg;
	long r = 0;

	lock_take(&f->lock);
	if (f->clock_changed)
		r = -ECANCELED;
	else if (f->ticks != 0)
		r = 1;
	lock_drop(&f->lock);
	return r;
}

static uint64_t collect_locked(struct timerfd *f)
{
	uint64_t ticks = f->ticks, now = ctimer_now(&f->t), missed;

	f->ticks = 0;
	if (ticks == 0 || f->interval == 0)
		return ticks;
	missed = now > f->next ? (now - f->next) / f->interval : 0;
	f->next += (missed + 1) * f->interval;
	(void)ctimer_set(&f->t, f->next); /* it ran, so the pump does */
	return ticks + missed;
}

/* The count, or 0 when another reader was faster; *@changed as its name says. */
static uint64_t collect(struct timerfd *f, bool *changed)
{
	uint64_t ticks = 0;

	lock_take(&f->lock);
	*changed = f->clock_changed;
	f->clock_changed = false;
	if (*changed)
		f->ticks = 0;
	else
		ticks = collect_locked(f);
	lock_drop(&f->lock);
	return ticks;
}

static long timerfd_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	struct timerfd *f = (struct timerfd *)o;
	uint64_t ticks;
	bool changed;
	long r;

	(void)pos;
	if (uio_left(u) < sizeof(ticks))
		return -EINVAL;
	for (;;) {
		ticks = collect(f, &changed);
		if (changed)
			return -ECANCELED;
		if (ticks != 0)
			break;
		if (ofd_nonblock(o))
			return -EAGAIN;
		r = wait_until(&o->wait, EPOLLIN, take_ticks, f, PLAT_NO_DEADLINE,
		               PARK_INTR);
		if (r < 0 && r != -ECANCELED)
			return r;
	}
	return uio_out(u, &ticks, sizeof(ticks)) == sizeof(ticks) ? (long)sizeof(ticks)
	                                                          : -EFAULT;
}

static uint32_t timerfd_poll(struct ofd *o)
{
	return take_ticks(o) != 0 ? EPOLLIN | EPOLLRDNORM : 0;
}

static void timerfd_release(struct ofd *o)
{
	struct timerfd *f = (struct timerfd *)o;

	lock_take(&g_all_lock);
	*f->plink = f->link;
	if (f->link)
		f->link->plink = f->plink;
	lock_drop(&g_all_lock);
	lock_take(&f->lock);
	f->interval = f->next = 0;
	lock_drop(&f->lock);
	ctimer_cancel(&f->t);
	pool_put(&g_pool, f);
}

static const struct ofd_ops g_timerfd_ops = {
        .kind = OFD_TIMERFD,
        .read = timerfd_read,
        .poll = timerfd_poll,
        .release = timerfd_release,
        .pollable = true,
};

SYSCALL(timerfd_create, long clock_id, long flags_arg)
{
	int flags = (int)flags_arg, fd;
	enum timer_clock clock;
	struct timerfd *f;

	if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK))
		return -EINVAL;
	switch ((int)clock_id) {
	case CLOCK_REALTIME:
		clock = TIMER_REAL;
		break;
	case CLOCK_MONOTONIC:
		clock = TIMER_MONO;
		break;
	case CLOCK_BOOTTIME:
		clock = TIMER_BOOT;
		break;
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		return -EPERM; /* nobody wakes the machine for us */
	default:
		return -EINVAL;
	}
	f = pool_get(&g_pool);
	if (!f)
		return -ENFILE;
	ofd_init(&f->ofd, &g_timerfd_ops, O_RDWR | (uint32_t)(flags & TFD_NONBLOCK));
	ctimer_init(&f->t, clock, 0, fire);
	lock_take(&g_all_lock);
	f->link = g_all;
	f->plink = &g_all;
	if (g_all)
		g_all->plink = &f->link;
	g_all = f;
	lock_drop(&g_all_lock);
	fd = fd_install(&f->ofd, 0, (flags & TFD_CLOEXEC) != 0);
	if (fd < 0)
		ofd_put(&f->ofd);
	return fd;
}

/* A reference in *@out, or the error. */
static long get(long fd, struct timerfd **out)
{
	struct ofd *o = ofd_get_io((int)fd);

	if (!o)
		return -EBADF;
	if (o->ops != &g_timerfd_ops) {
		ofd_put(o);
		return -EINVAL;
	}
	*out = (struct timerfd *)o;
	return 0;
}

static void look(struct timerfd *f, int64_t out[4])
{
	uint64_t now = ctimer_now(&f->t), left = 0;

	lock_take(&f->lock);
	if (f->next > now)
		left = f->next - now;
	else if (f->next != 0 && f->interval != 0)
		left = f->interval - (now - f->next) % f->interval;
	else if (f->next != 0)
		left = 1; /* about to run */
	out[0] = (int64_t)(f->interval / NS_PER_S);
	out[1] = (int64_t)(f->interval % NS_PER_S);
	lock_drop(&f->lock);
	out[2] = (int64_t)(left / NS_PER_S);
	out[3] = (int64_t)(left % NS_PER_S);
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

static int set(struct timerfd *f, int flags, uint64_t value, uint64_t interval)
{
	int err = 0;

	lock_take(&f->lock);
	f->next = 0;
	lock_drop(&f->lock);
	ctimer_cancel(&f->t); /* waits for fire(): not under the lock */
	lock_take(&f->lock);
	f->ticks = 0;
	f->interval = value ? interval : 0;
	f->clock_changed = false;
	f->tells_changes = f->t.clock == TIMER_REAL && (flags & TFD_TIMER_ABSTIME) &&
	                   (flags & CANCEL_ON_SET);
	if (value) {
		f->next = flags & TFD_TIMER_ABSTIME ? value : ctimer_now(&f->t) + value;
		err = ctimer_set(&f->t, f->next);
	}
	lock_drop(&f->lock);
	return err;
}

SYSCALL(timerfd_settime, long fd, long flags_arg, const void *user_new, void *user_old)
{
	int64_t to[4], old[4];
	uint64_t value, interval;
	int flags = (int)flags_arg;
	struct timerfd *f;
	long err;

	if (user_copy_in(to, user_new, sizeof(to)) != 0)
		return -EFAULT;
	if ((flags & ~(TFD_TIMER_ABSTIME | CANCEL_ON_SET)) ||
	    !to_ns(&to[0], &interval) || !to_ns(&to[2], &value))
		return -EINVAL;
	err = get(fd, &f);
	if (err != 0)
		return err;
	look(f, old);
	err = set(f, flags, value, interval);
	if (err == 0 && user_old && user_copy_out(user_old, old, sizeof(old)) != 0)
		err = -EFAULT;
	ofd_put(&f->ofd);
	return err;
}

SYSCALL(timerfd_gettime, long fd, void *user_out)
{
	int64_t out[4];
	struct timerfd *f;
	long err = get(fd, &f);

	if (err != 0)
		return err;
	look(f, out);
	ofd_put(&f->ofd);
	return user_copy_out(user_out, out, sizeof(out)) != 0 ? -EFAULT : 0;
}

void timerfd_clock_was_set(void)
{
	lock_take(&g_all_lock);
	for (struct timerfd *f = g_all; f; f = f->link) {
		bool told = false;

		lock_take(&f->lock);
		if (f->tells_changes) {
			f->clock_changed = true;
			told = true;
		}
		if (f->next != 0)
			ctimer_clock_was_set(&f->t);
		lock_drop(&f->lock);
		if (told)
			waitq_wake(&f->ofd.wait, EPOLLIN);
	}
	lock_drop(&g_all_lock);
}
