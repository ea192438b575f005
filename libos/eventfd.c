/* SPDX-License-Identifier: MIT */
/*
 * eventfd.c - a 64-bit counter as a description.
 *
 * The counter is one atomic word; there is no lock.  Every successful write wakes
 * with EPOLLIN (an edge for EPOLLET, as in Linux), every read with EPOLLOUT.
 */
#include "libos/abi.h"
#include "libos/ofd.h"
#include "libos/pool.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define EVENTFDS_MAX 65536u
#define COUNT_MAX (UINT64_MAX - 1)

struct eventfd {
	struct ofd ofd; /* first */
	_Atomic uint64_t count;
	bool semaphore; /* constant */
};

static struct pool g_eventfds = POOL_INIT(struct eventfd, EVENTFDS_MAX);

/* What a read gives, or 0: nothing there. */
static uint64_t take(struct eventfd *e)
{
	uint64_t old = atomic_load_explicit(&e->count, memory_order_relaxed), got;

	do {
		if (old == 0)
			return 0;
		got = e->semaphore ? 1 : old;
	} while (!atomic_compare_exchange_weak_explicit(&e->count, &old, old - got,
	                                                memory_order_acq_rel,
	                                                memory_order_relaxed));
	return got;
}

static bool add(struct eventfd *e, uint64_t n)
{
	uint64_t old = atomic_load_explicit(&e->count, memory_order_relaxed);

	do {
		if (n > COUNT_MAX - old)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	        &e->count, &old, old + n, memory_order_acq_rel, memory_order_relaxed));
	return true;
}

static long not_zero(void *arg)
{
	struct eventfd *e = arg;

	return e->count != 0;
}

struct room_for {
	struct eventfd *e;
	uint64_t n;
};

static long has_room(void *arg)
{
	struct room_for *r = arg;

	return r->n <= COUNT_MAX - r->e->count;
}

static long op_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	struct eventfd *e = (struct eventfd *)o;
	uint64_t got;

	(void)pos;
	if (uio_left(u) < sizeof(got))
		return -EINVAL;
	while ((got = take(e)) == 0) {
		long r;

		if (ofd_nonblock(o))
			return -EAGAIN;
		r = wait_until(&o->wait, EPOLLIN, not_zero, e, PLAT_NO_DEADLINE,
		               PARK_INTR);
		if (r < 0)
			return r;
	}
	waitq_wake(&o->wait, EPOLLOUT);
	return uio_out(u, &got, sizeof(got)) == sizeof(got) ? (long)sizeof(got)
	                                                    : -EFAULT;
}

static long op_write(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	struct eventfd *e = (struct eventfd *)o;
	struct room_for want = {.e = e};

	(void)pos;
	if (uio_left(u) < sizeof(want.n))
		return -EINVAL;
	if (uio_in(u, &want.n, sizeof(want.n)) != sizeof(want.n))
		return -EFAULT;
	if (want.n == UINT64_MAX)
		return -EINVAL;
	while (!add(e, want.n)) {
		long r;

		if (ofd_nonblock(o))
			return -EAGAIN;
		r = wait_until(&o->wait, EPOLLOUT, has_room, &want, PLAT_NO_DEADLINE,
		               PARK_INTR);
		if (r < 0)
			return r;
	}
	waitq_wake(&o->wait, EPOLLIN);
	return (long)sizeof(want.n);
}

static uint32_t op_poll(struct ofd *o)
{
	uint64_t count = ((struct eventfd *)o)->count;

	return (count > 0 ? EPOLLIN : 0u) | (count < COUNT_MAX ? EPOLLOUT : 0u);
}

static void op_release(struct ofd *o)
{
	pool_put(&g_eventfds, o);
}

static const struct ofd_ops g_eventfd_ops = {
        .kind = OFD_EVENTFD,
        .read = op_read,
        .write = op_write,
        .poll = op_poll,
        .release = op_release,
        .pollable = true,
};

static long eventfd_make(unsigned count, unsigned flags)
{
	struct eventfd *e;
	int fd;

	if (flags & ~(unsigned)(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK))
		return -EINVAL;
	e = pool_get(&g_eventfds);
	if (!e)
		return -ENFILE;
	e->count = count;
	e->semaphore = (flags & EFD_SEMAPHORE) != 0;
	ofd_init(&e->ofd, &g_eventfd_ops, O_RDWR | (flags & EFD_NONBLOCK));
	fd = fd_install(&e->ofd, 0, (flags & EFD_CLOEXEC) != 0);
	if (fd < 0)
		ofd_put(&e->ofd);
	return fd;
}

SYSCALL(eventfd, long count)
{
	return eventfd_make((unsigned)count, 0);
}

SYSCALL(eventfd2, long count, long flags)
{
	return eventfd_make((unsigned)count, (unsigned)flags);
}
