/* SPDX-License-Identifier: MIT */
/*
 * poll.c - poll, ppoll, select, pselect6.
 *
 * A call's descriptors are held in blocks: the first one on the stack, more from a
 * pool.  First all are asked; only if none is ready are wait entries linked, all
 * asked again, and the thread parked.  select() is poll() over the numbers whose
 * bits are set.
 */
#include "libos/deadline.h"
#include "libos/ofd.h"
#include "libos/pool.h"
#include "libos/pump.h"
#include "libos/signal.h"
#include "libos/syscall.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#define BLOCK_FDS 32u
#define BLOCKS_MAX 8192u

struct poll_slot {
	struct wait_entry wait;
	struct ofd *ofd; /* reference, or NULL */
	uint32_t asked;  /* EPOLL* bits to report */
	uint32_t found;
};

struct poll_block {
	struct poll_block *next;
	unsigned n;
	struct pollfd fds[BLOCK_FDS];
	struct poll_slot slots[BLOCK_FDS];
};

struct poll_set {
	struct poll_block first;
	struct poll_block *last;
	bool rings; /* something's readiness comes from a service */
	bool linked;
	bool closed; /* a number was not open */
};

static struct pool g_poll_blocks = POOL_INIT(struct poll_block, BLOCKS_MAX);

static void set_init(struct poll_set *s)
{
	s->first.next = NULL;
	s->first.n = 0;
	s->last = &s->first;
	s->rings = s->linked = s->closed = false;
}

static void set_fini(struct poll_set *s)
{
	struct poll_block *next;

	for (struct poll_block *b = &s->first; b; b = next) {
		for (unsigned i = 0; i < b->n; i++) {
			if (s->linked)
				waitq_remove(&b->slots[i].wait);
			if (b->slots[i].ofd)
				ofd_put(b->slots[i].ofd);
		}
		next = b->next;
		if (b != &s->first)
			pool_put(&g_poll_blocks, b);
	}
}

/* The block that takes the next descriptor, or NULL. */
static struct poll_block *set_room(struct poll_set *s)
{
	struct poll_block *b = s->last;

	if (b->n < BLOCK_FDS)
		return b;
	b = pool_get_dirty(&g_poll_blocks);
	if (!b)
		return NULL;
	b->next = NULL;
	b->n = 0;
	s->last->next = b;
	s->last = b;
	return b;
}

/* b->fds[b->n] is filled: take it in. */
static void set_take(struct poll_set *s, struct poll_block *b)
{
	const struct pollfd *p = &b->fds[b->n];
	struct poll_slot *slot = &b->slots[b->n++];

	slot->found = 0;
	slot->ofd = NULL;
	slot->wait.q = NULL;
	slot->wait.pprev = NULL;
	if (p->fd < 0)
		return;
	slot->ofd = ofd_get_io(p->fd);
	if (!slot->ofd) {
		slot->found = POLLNVAL;
		s->closed = true;
		return;
	}
	slot->asked = (uint16_t)p->events | EPOLLERR | EPOLLHUP;
	s->rings = s->rings || slot->ofd->ops->rings;
}

static long set_look(struct poll_set *s)
{
	long n = 0;

	for (struct poll_block *b = &s->first; b; b = b->next) {
		for (unsigned i = 0; i < b->n; i++) {
			struct poll_slot *slot = &b->slots[i];

			if (slot->ofd)
				slot->found = ofd_poll(slot->ofd) & slot->asked;
			if (slot->found)
				n++;
		}
	}
	return n;
}

static void set_link(struct poll_set *s)
{
	struct thread *th = self();

	s->linked = true;
	for (struct poll_block *b = &s->first; b; b = b->next) {
		for (unsigned i = 0; i < b->n; i++) {
			struct poll_slot *slot = &b->slots[i];
			struct wait_entry *e = &slot->wait;

			if (!slot->ofd)
				continue;
			e->events = slot->asked;
			if (e->events & EPOLLRDNORM)
				e->events |= EPOLLIN;
			if (e->events & EPOLLWRNORM)
				e->events |= EPOLLOUT;
			e->exclusive = false;
			e->fn = wait_unpark;
			e->thread = th;
			waitq_add(&slot->ofd->wait, e);
		}
	}
}

/* The number of descriptors with something to report; 0 at the deadline; -EINTR. */
static long set_wait(struct poll_set *s, uint64_t deadline)
{
	long n = set_look(s);

	/* who never sleeps must still hear of what came */
	if ((n != 0 || deadline == DEADLINE_NOW) && s->rings && rings_poll_once() > 0)
		n = set_look(s);
	if (n != 0 || deadline == DEADLINE_NOW)
		return n;
	set_link(s);
	for (;;) {
		int parked;

		n = set_look(s);
		if (n != 0)
			return n;
		parked = thread_park(deadline, PARK_INTR | (s->rings ? PARK_RINGS : 0));
		if (parked == 0)
			continue;
		n = set_look(s);
		return n != 0 || parked == -ETIMEDOUT ? n : -EINTR;
	}
}

/* ---- poll ---- */

static long poll_import(struct poll_set *s, const struct pollfd *user, size_t n)
{
	while (n > 0) {
		struct poll_block *b = set_room(s);
		size_t part = n < BLOCK_FDS ? n : BLOCK_FDS;

		if (!b)
			return -ENOMEM;
		if (user_copy_in(b->fds, user, part * sizeof(*user)) != 0)
			return -EFAULT;
		for (size_t i = 0; i < part; i++)
			set_take(s, b);
		user += part;
		n -= part;
	}
	return 0;
}

/* Only what changed is written: revents mostly is, and stays, 0. */
static long poll_export(const struct poll_set *s, struct pollfd *user)
{
	for (const struct poll_block *b = &s->first; b; b = b->next) {
		for (unsigned i = 0; i < b->n; i++, user++) {
			short got = (short)b->slots[i].found;

			if (got != b->fds[i].revents &&
			    user_copy_out(&user->revents, &got, sizeof(got)) != 0)
				return -EFAULT;
		}
	}
	return 0;
}

static long poll_until(struct pollfd *user, size_t n, uint64_t deadline)
{
	struct poll_set s;
	long r;

	if (n > fd_limit())
		return -EINVAL;
	set_init(&s);
	r = poll_import(&s, user, n);
	if (r == 0)
		r = set_wait(&s, deadline);
	if (r >= 0 && poll_export(&s, user) != 0)
		r = -EFAULT;
	set_fini(&s);
	return r;
}

SYSCALL(poll, void *user, long n, long timeout)
{
	return poll_until(user, (unsigned)n, deadline_in_ms((int)timeout));
}

/* Write back what is left of a timeout; a bad address is no error, as in Linux. */
static void put_left(void *user_ts, uint64_t deadline, uint64_t per_unit)
{
	uint64_t left = deadline_left(deadline);
	uint64_t t[2] = {left / NS_PER_S, left % NS_PER_S / per_unit};

	if (user_ts && user_copy_out(user_ts, t, sizeof(t)) != 0)
		return;
}

SYSCALL(ppoll, void *user, long n, void *timeout, const void *set, long set_size)
{
	uint64_t deadline;
	long r = deadline_from_timespec(timeout, &deadline);

	if (r == 0 && set)
		r = sigmask_swap_for_wait(set, (size_t)set_size);
	if (r < 0)
		return r;
	r = poll_until(user, (unsigned)n, deadline);
	put_left(timeout, deadline, 1);
	return set ? sigmask_restore_after_wait(r) : r;
}

/* ---- select ---- */

#define SEL_IN (POLLIN | POLLRDNORM | POLLRDBAND)
#define SEL_OUT (POLLOUT | POLLWRNORM | POLLWRBAND)

/* One word of each of the three sets. */
struct sel_words {
	uint64_t w[3];
};

static const short g_sel_ask[3] = {SEL_IN, SEL_OUT, POLLPRI};
static const uint32_t g_sel_got[3] = {SEL_IN | POLLHUP | POLLERR, SEL_OUT | POLLERR,
                                      POLLPRI};

static long select_import_word(struct poll_set *s, const struct sel_words *in, int base,
                               int n)
{
	uint64_t any = in->w[0] | in->w[1] | in->w[2];

	while (any != 0) {
		int i = __builtin_ctzll(any);
		struct poll_block *b;
		struct pollfd *p;

		any &= any - 1;
		if (base + i >= n)
			break;
		b = set_room(s);
		if (!b)
			return -ENOMEM;
		p = &b->fds[b->n];
		p->fd = base + i;
		p->events = 0;
		for (int k = 0; k < 3; k++) {
			if (in->w[k] >> i & 1)
				p->events = (short)(p->events | g_sel_ask[k]);
		}
		set_take(s, b);
	}
	return s->closed ? -EBADF : 0;
}

static long select_import(struct poll_set *s, int n, uint64_t *const user[3])
{
	for (int word = 0; word * 64 < n; word++) {
		struct sel_words in = {{0}};
		long r;

		for (int k = 0; k < 3; k++) {
			if (user[k] && user_copy_in(&in.w[k], &user[k][word], 8) != 0)
				return -EFAULT;
		}
		r = select_import_word(s, &in, word * 64, n);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Bits to report, or -EFAULT. */
static long select_export(const struct poll_set *s, int n, uint64_t *const user[3])
{
	const struct poll_block *b = &s->first;
	unsigned i = 0;
	long bits = 0;

	for (int word = 0; word * 64 < n; word++) {
		struct sel_words out = {{0}};

		for (;; i++) {
			if (b && i == b->n) {
				b = b->next;
				i = 0;
			}
			if (!b || i >= b->n || b->fds[i].fd >= (word + 1) * 64)
				break;
			for (int k = 0; k < 3; k++) {
				if (!(b->fds[i].events & g_sel_ask[k]) ||
				    !(b->slots[i].found & g_sel_got[k]))
					continue;
				out.w[k] |= UINT64_C(1) << (b->fds[i].fd % 64);
				bits++;
			}
		}
		for (int k = 0; k < 3; k++) {
			if (user[k] && user_copy_out(&user[k][word], &out.w[k], 8) != 0)
				return -EFAULT;
		}
	}
	return bits;
}

static long select_until(int n, uint64_t *const user[3], uint64_t deadline)
{
	struct poll_set s;
	long r;

	if (n < 0)
		return -EINVAL;
	if ((unsigned)n > FDTABLE_MAX)
		n = FDTABLE_MAX;
	set_init(&s);
	r = select_import(&s, n, user);
	if (r == 0)
		r = set_wait(&s, deadline);
	if (r >= 0)
		r = select_export(&s, n, user);
	set_fini(&s);
	return r;
}

SYSCALL(select, long n, void *in, void *out, void *ex, void *timeout)
{
	uint64_t *const user[3] = {in, out, ex};
	uint64_t deadline = PLAT_NO_DEADLINE;
	int64_t tv[2];
	long r;

	if (timeout) {
		if (user_copy_in(tv, timeout, sizeof(tv)) != 0)
			return -EFAULT;
		if (tv[0] < 0 || tv[1] < 0)
			return -EINVAL;
		deadline = deadline_span(
		        (int64_t)((uint64_t)tv[0] + (uint64_t)tv[1] / 1000000u),
		        tv[1] % 1000000 * 1000);
	}
	r = select_until((int)n, user, deadline);
	put_left(timeout, deadline, 1000);
	return r;
}

SYSCALL(pselect6, long n, void *in, void *out, void *ex, void *timeout, const void *sig)
{
	uint64_t *const user[3] = {in, out, ex};
	struct ksigset_arg arg = {0, 0};
	uint64_t deadline;
	long r;

	if (sig && user_copy_in(&arg, sig, sizeof(arg)) != 0)
		return -EFAULT;
	r = deadline_from_timespec(timeout, &deadline);
	if (r == 0 && arg.set)
		r = sigmask_swap_for_wait((const void *)arg.set, arg.size);
	if (r < 0)
		return r;
	r = select_until((int)n, user, deadline);
	put_left(timeout, deadline, 1);
	return arg.set ? sigmask_restore_after_wait(r) : r;
}
