/* SPDX-License-Identifier: MIT */
/*
 * signalfd.c - pending signals as records to read.
 *
 * What is readable depends on the reading thread: its own signals and the
 * process's.
 */
#include "libos/abi.h"
#include "libos/lock.h"
#include "libos/ofd.h"
#include "libos/pool.h"
#include "libos/signal.h"
#include "libos/sigstate.h"
#include "libos/syscall.h"
#include "libos/user.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#define SIGNALFD_MAX 1024

struct signalfd {
	struct ofd ofd;                 /* first */
	_Atomic uint64_t mask;          /* what it takes */
	struct signalfd *link, **plink; /* all of them; under g_all_lock */
};

static struct pool g_pool = POOL_INIT(struct signalfd, SIGNALFD_MAX);
static struct lock g_all_lock = LOCK_INIT;
static struct signalfd *g_all;
static _Atomic uint32_t g_n_all; /* a look without the lock */

void signalfd_notify(int sig)
{
	if (g_n_all == 0)
		return;
	lock_take(&g_all_lock);
	for (struct signalfd *f = g_all; f; f = f->link) {
		if (f->mask & ABI_SIGBIT(sig))
			waitq_wake(&f->ofd.wait, EPOLLIN);
	}
	lock_drop(&g_all_lock);
}

static void describe(struct signalfd_siginfo *to, const struct siginfo_x86 *from)
{
	memset(to, 0, sizeof(*to));
	to->ssi_signo = (uint32_t)from->signo;
	to->ssi_errno = from->err;
	to->ssi_code = from->code;
	if (from->code == SI_TIMER) {
		to->ssi_tid = (uint32_t)from->timer.id;
		to->ssi_overrun = (uint32_t)from->timer.overrun;
		to->ssi_ptr = from->timer.value;
		to->ssi_int = (int32_t)from->timer.value;
		return;
	}
	if (from->code > 0 && from->code < SI_KERNEL) {
		switch (from->signo) {
		case SIGSEGV:
		case SIGBUS:
		case SIGILL:
		case SIGFPE:
		case SIGTRAP:
			to->ssi_addr = from->fault.addr;
			return;
		case SIGIO:
			to->ssi_band = (uint32_t)from->poll.band;
			to->ssi_fd = from->poll.fd;
			return;
		default:
			break;
		}
	}
	to->ssi_pid = (uint32_t)from->rt.pid;
	to->ssi_uid = from->rt.uid;
	if (from->code < 0 && from->code != SI_TKILL) {
		to->ssi_ptr = from->rt.value;
		to->ssi_int = (int32_t)from->rt.value;
	}
}

static long any_pending(void *arg)
{
	struct signalfd *f = arg;

	return signal_pending_in(f->mask) != 0;
}

/* The first one, waiting for it unless asked not to: 1, 0 or an error. */
static long take_first(struct signalfd *f, struct siginfo_x86 *info)
{
	long r;

	while (signal_take(f->mask, info) == 0) {
		if (ofd_nonblock(&f->ofd))
			return -EAGAIN;
		r = wait_until(&f->ofd.wait, EPOLLIN, any_pending, f, PLAT_NO_DEADLINE,
		               PARK_INTR);
		if (r < 0)
			return r;
	}
	return 1;
}

static long signalfd_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	struct signalfd *f = (struct signalfd *)o;
	struct signalfd_siginfo record;
	struct siginfo_x86 info;
	long total = 0, r;

	(void)pos;
	if (uio_left(u) < sizeof(record))
		return -EINVAL;
	r = take_first(f, &info);
	if (r < 0)
		return r;
	for (;;) {
		describe(&record, &info);
		if (uio_out(u, &record, sizeof(record)) != sizeof(record))
			return total > 0 ? total : -EFAULT;
		total += (long)sizeof(record);
		if (uio_left(u) < sizeof(record) || signal_take(f->mask, &info) == 0)
			return total;
	}
}

static uint32_t signalfd_poll(struct ofd *o)
{
	return any_pending(o) != 0 ? EPOLLIN | EPOLLRDNORM : 0;
}

static void signalfd_release(struct ofd *o)
{
	struct signalfd *f = (struct signalfd *)o;

	lock_take(&g_all_lock);
	*f->plink = f->link;
	g_n_all--;
	if (f->link)
		f->link->plink = f->plink;
	lock_drop(&g_all_lock);
	pool_put(&g_pool, f);
}

static const struct ofd_ops g_signalfd_ops = {
        .kind = OFD_SIGNALFD,
        .read = signalfd_read,
        .poll = signalfd_poll,
        .release = signalfd_release,
        .pollable = true,
};

static long make(uint64_t mask, int flags)
{
	struct signalfd *f = pool_get(&g_pool);
	int fd;

	if (!f)
		return -ENFILE;
	ofd_init(&f->ofd, &g_signalfd_ops, O_RDWR | (uint32_t)(flags & SFD_NONBLOCK));
	f->mask = mask;
	lock_take(&g_all_lock);
	f->link = g_all;
	f->plink = &g_all;
	if (f->link)
		f->link->plink = &f->link;
	g_all = f;
	g_n_all++;
	lock_drop(&g_all_lock);
	fd = fd_install(&f->ofd, 0, (flags & SFD_CLOEXEC) != 0);
	if (fd < 0)
		ofd_put(&f->ofd);
	return fd;
}

static long change(int fd, uint64_t mask)
{
	struct ofd *o = ofd_get(fd);

	if (!o)
		return -EBADF;
	if (o->ops != &g_signalfd_ops) {
		ofd_put(o);
		return -EINVAL;
	}
	((struct signalfd *)o)->mask = mask;
	waitq_wake(&o->wait, EPOLLIN);
	ofd_put(o);
	return fd;
}

SYSCALL(signalfd4, long fd, const void *user_mask, size_t size, long flags_arg)
{
	int flags = (int)flags_arg;
	uint64_t mask;

	if (size != ABI_SIGSET_SIZE)
		return -EINVAL;
	if (user_copy_in(&mask, user_mask, sizeof(mask)) != 0)
		return -EFAULT;
	if (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK))
		return -EINVAL;
	mask &= ~SIGSET_UNMASKABLE;
	return (int)fd == -1 ? make(mask, flags) : change((int)fd, mask);
}

SYSCALL(signalfd, long fd, const void *user_mask, size_t size)
{
	return strait_sys_signalfd4(fd, user_mask, size, 0);
}
