/* SPDX-License-Identifier: MIT */
/*
 * fasync.c - O_ASYNC: a wait entry whose function sends SIGIO, or the F_SETSIG signal,
 * to the owner.
 */
#include "libos/fasync.h"

#include "libos/pool.h"
#include "libos/process.h"
#include "libos/signal.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>

#define FASYNC_MAX 4096u
#define FL_ASYNC 020000u

struct fasync {
	struct wait_entry entry; /* first */
	struct ofd *o;
	int fd;
};

static struct pool g_fasyncs = POOL_INIT(struct fasync, FASYNC_MAX);
static struct lock g_fasync_lock = LOCK_INIT; /* o->async; before a queue's lock */

bool fasync_possible(const struct ofd *o)
{
	switch (o->ops->kind) {
	case OFD_PIPE:
	case OFD_SOCKET:
	case OFD_UNIX:
	case OFD_NETLINK:
	case OFD_CONSOLE:
		return true;
	default:
		return false;
	}
}

/* A full queue loses it, and an owner that is gone gets none, as in Linux. */
static void send_to(int32_t owner, bool thread, int sig, const struct siginfo_x86 *info)
{
	if (thread)
		(void)signal_send_tid((uint32_t)owner, sig, info);
	else if (owner == (int32_t)PROCESS_PID || owner == -(int32_t)PROCESS_PID)
		(void)signal_send_process(sig, info);
	else if (owner > 0)
		(void)signal_send_tid((uint32_t)owner, sig, info);
}

static bool became_ready(struct wait_entry *e, uint32_t events)
{
	struct fasync *a = (struct fasync *)(void *)e;
	int sig = a->o->owner_sig;
	struct siginfo_x86 info = {.signo = sig, .code = events & EPOLLIN ? 1 : 2};

	if (a->o->owner == 0)
		return false;
	info.poll.band = events;
	info.poll.fd = a->fd;
	send_to((int32_t)a->o->owner, a->o->owner_thread, sig ? sig : SIGIO, sig ? &info : NULL);
	return false; /* takes no wake from anybody */
}

static void remove_locked(struct ofd *o)
{
	struct fasync *a = o->async;

	if (!a)
		return;
	o->async = NULL;
	atomic_fetch_and(&o->flags, ~FL_ASYNC);
	waitq_remove(&a->entry);
	pool_put(&g_fasyncs, a);
}

long fasync_set(struct ofd *o, int fd, bool on)
{
	struct fasync *a;
	long r = 0;

	lock_take(&g_fasync_lock);
	if (!on) {
		remove_locked(o);
	} else if (!o->async) {
		a = pool_get(&g_fasyncs);
		if (a) {
			a->o = o;
			a->fd = fd;
			a->entry.events =
			        EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLERR | EPOLLHUP;
			a->entry.fn = became_ready;
			o->async = a;
			atomic_fetch_or(&o->flags, FL_ASYNC);
			waitq_add(&o->wait, &a->entry);
		} else {
			r = -ENOMEM;
		}
	}
	lock_drop(&g_fasync_lock);
	return r;
}

void fasync_drop(struct ofd *o)
{
	if (!o->async)
		return;
	lock_take(&g_fasync_lock);
	remove_locked(o);
	lock_drop(&g_fasync_lock);
}
