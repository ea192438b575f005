/* SPDX-License-Identifier: MIT */
/*
 * epoll.c - interest lists and ready lists.
 *
 * An item is a wait entry in its target's queue.  When the target changes, the
 * entry's function puts the item on the ready list; epoll_wait() looks only at
 * that list, asks each target what holds now, and puts level-triggered items that
 * reported something back at the list's end.
 *
 * Locks, in this order:
 *   g_epoll_lock   items of a target or an epoll whose last reference went; nesting
 *   ep->lock       the items of one epoll, and who may take from its ready list
 *   target's locks (poll), target->wait.lock
 *   ep->ready_lock the ready list; then ep->ofd.wait.lock
 * An epoll inside another repeats the last two steps for the outer one: nesting
 * has no cycles (nest_check_locked), so neither has the order.
 *
 * 1. An item holds no reference to its target, nor the target to the item.  The
 *    one whose last reference goes first removes the item, under g_epoll_lock.
 * 2. item->ready says: on the ready list, or on the list being harvested; it is
 *    cleared before the target is asked, so a change after that puts it back.
 * 3. Nothing is lost among several threads in epoll_wait: a thread that leaves
 *    while the ready list is not empty wakes another.
 */
#include "libos/epoll.h"

#include "libos/deadline.h"
#include "libos/pool.h"
#include "libos/pump.h"
#include "libos/signal.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/epoll.h>

#define EP_PAGE_FDS 512u
#define EP_N_PAGES (FDTABLE_MAX / EP_PAGE_FDS)
#define EP_MAX_NESTS 4 /* as Linux: five epolls in a chain */
#define EP_MAX 16384u
#define EP_ITEMS_MAX (1u << 20)

#define EV_MODES (EPOLLWAKEUP | EPOLLONESHOT | (uint32_t)EPOLLET | EPOLLEXCLUSIVE)
#define EV_EXCLUSIVE_OK                                                                \
	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | (uint32_t)EPOLLET |  \
	 EPOLLEXCLUSIVE)

struct ep_link {
	struct ep_link *next, *prev;
};

struct epitem {
	struct wait_entry wait;  /* first; in target->wait */
	struct epoll *ep;        /* constant */
	struct ofd *target;      /* constant; no reference */
	struct epitem *same_fd;  /* others of the same number; under ep->lock */
	struct ep_link rd;       /* ready list; under ep->ready_lock */
	struct ep_link child;    /* target is an epoll: in ep->children, */
	struct ep_link parent;   /* and in the target's parents; under g_epoll_lock */
	uint64_t data;           /* under ep->lock */
	_Atomic uint32_t events; /* written under ep->lock */
	int fd;
	bool ready; /* under ep->ready_lock */
};

struct ep_page {
	struct epitem *at[EP_PAGE_FDS];
};

struct epoll {
	struct ofd ofd; /* first */
	struct lock lock;
	struct lock ready_lock;
	struct ep_link ready;     /* under ready_lock */
	struct ep_link children;  /* items whose target is an epoll; g_epoll_lock */
	struct ep_link parents;   /* items whose target is this; g_epoll_lock */
	_Atomic uint32_t n_rings; /* items whose readiness a service tells */
	struct ep_page *page[EP_N_PAGES]; /* items by number; under lock */
};

static struct lock g_epoll_lock = LOCK_INIT;
static struct pool g_epolls = POOL_INIT(struct epoll, EP_MAX);
static struct pool g_items = POOL_INIT(struct epitem, EP_ITEMS_MAX);
static struct pool g_ep_pages = POOL_INIT(struct ep_page, EP_MAX * 4);

static const struct ofd_ops g_epoll_ops;

#define ITEM_OF(link_ptr, member)                                                      \
	((struct epitem *)(void *)((char *)(link_ptr)-offsetof(struct epitem, member)))

/* ---- lists ---- */

static void list_init(struct ep_link *l)
{
	l->next = l->prev = l;
}

static bool list_empty(const struct ep_link *l)
{
	return l->next == l;
}

static void list_add_tail(struct ep_link *head, struct ep_link *l)
{
	l->prev = head->prev;
	l->next = head;
	l->prev->next = l;
	head->prev = l;
}

static void list_del(struct ep_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

/* Put all of @from before the first of @to. */
static void list_splice(struct ep_link *from, struct ep_link *to)
{
	if (list_empty(from))
		return;
	from->prev->next = to->next;
	to->next->prev = from->prev;
	to->next = from->next;
	to->next->prev = to;
	list_init(from);
}

static struct epoll *epoll_of(struct ofd *o)
{
	return (struct epoll *)o;
}

/* ---- readiness ---- */

/* The bits of a wake-up that concern an item that asked for @events. */
static uint32_t wake_filter(uint32_t events)
{
	uint32_t f = events & ~EV_MODES;

	if (f & EPOLLRDNORM)
		f |= EPOLLIN;
	if (f & EPOLLWRNORM)
		f |= EPOLLOUT;
	return f & ~OFD_EV_POS;
}

static bool ready_add(struct epitem *it)
{
	struct epoll *ep = it->ep;
	bool added = false;

	lock_take(&ep->ready_lock);
	if (!it->ready) {
		it->ready = added = true;
		list_add_tail(&ep->ready, &it->rd);
	}
	lock_drop(&ep->ready_lock);
	return added;
}

static bool ready_any(struct epoll *ep)
{
	bool any;

	lock_take(&ep->ready_lock);
	any = !list_empty(&ep->ready);
	lock_drop(&ep->ready_lock);
	return any;
}

/* The target changed; runs under target->wait.lock. */
static bool item_woken(struct wait_entry *e, uint32_t events)
{
	struct epitem *it = (struct epitem *)(void *)e;
	struct epoll *ep = it->ep;
	bool waited_for;

	(void)events;
	(void)ready_add(it);
	/* After the list: a thread in epoll_wait() links itself, then looks there. */
	atomic_thread_fence(memory_order_seq_cst);
	waited_for = __atomic_load_n(&ep->ofd.wait.head, __ATOMIC_RELAXED) != NULL;
	waitq_wake_for(&ep->ofd.wait, EPOLLIN | EPOLLRDNORM, e);
	return waited_for;
}

static uint32_t item_poll(struct epitem *it)
{
	uint32_t asked = it->events & ~EV_MODES;

	if (asked == 0)
		return 0;
	return ofd_poll(it->target) & asked;
}

/* Take the first item of @from; it is off the ready list from now on. */
static struct epitem *ready_pop(struct epoll *ep, struct ep_link *from)
{
	struct epitem *it = NULL;

	lock_take(&ep->ready_lock);
	if (!list_empty(from)) {
		it = ITEM_OF(from->next, rd);
		list_del(&it->rd);
		it->ready = false;
	}
	lock_drop(&ep->ready_lock);
	return it;
}

static void ready_splice(struct epoll *ep, struct ep_link *from, struct ep_link *to)
{
	lock_take(&ep->ready_lock);
	list_splice(from, to);
	lock_drop(&ep->ready_lock);
}

/* Report up to @max ready items.  Returns their number or -EFAULT. */
static long harvest(struct epoll *ep, struct epoll_event *user_events, int max)
{
	struct ep_link batch;
	struct epitem *it;
	long n = 0;

	lock_take(&ep->lock);
	list_init(&batch);
	ready_splice(ep, &ep->ready, &batch);
	while (n < max && (it = ready_pop(ep, &batch)) != NULL) {
		struct epoll_event ev = {.events = item_poll(it), .data.u64 = it->data};

		if (ev.events == 0)
			continue;
		if (user_copy_out(&user_events[n], &ev, sizeof(ev)) != 0) {
			(void)ready_add(it);
			if (n == 0)
				n = -EFAULT;
			break;
		}
		n++;
		if (it->events & EPOLLONESHOT) {
			it->events &= EV_MODES;
			__atomic_store_n(&it->wait.events, 0, __ATOMIC_RELAXED);
		} else if (!(it->events & (uint32_t)EPOLLET)) {
			(void)ready_add(it);
		}
	}
	ready_splice(ep, &batch, &ep->ready);
	lock_drop(&ep->lock);
	return n;
}

static uint32_t epoll_poll(struct ofd *o)
{
	struct epoll *ep = epoll_of(o);
	struct ep_link batch;
	struct epitem *it;
	uint32_t ev = 0;

	if (!ready_any(ep))
		return 0;
	lock_take(&ep->lock);
	list_init(&batch);
	ready_splice(ep, &ep->ready, &batch);
	while ((it = ready_pop(ep, &batch)) != NULL) {
		if (item_poll(it) != 0) {
			(void)ready_add(it);
			ev = EPOLLIN;
			break;
		}
	}
	ready_splice(ep, &batch, &ep->ready);
	lock_drop(&ep->lock);
	return ev;
}

/* ---- the interest list ---- */

static struct epitem **find_locked(struct epoll *ep, int fd, const struct ofd *target)
{
	struct ep_page *page = ep->page[(unsigned)fd / EP_PAGE_FDS];
	struct epitem **at;

	if (!page)
		return NULL;
	for (at = &page->at[(unsigned)fd % EP_PAGE_FDS]; *at; at = &(*at)->same_fd) {
		if ((*at)->target == target)
			return at;
	}
	return NULL;
}

static bool insert_locked(struct epoll *ep, struct epitem *it)
{
	struct ep_page **page = &ep->page[(unsigned)it->fd / EP_PAGE_FDS];
	struct epitem **at;

	if (!*page)
		*page = pool_get(&g_ep_pages);
	if (!*page)
		return false;
	at = &(*page)->at[(unsigned)it->fd % EP_PAGE_FDS];
	it->same_fd = *at;
	*at = it;
	return true;
}

static bool is_epoll(const struct ofd *o)
{
	return o->ops == &g_epoll_ops;
}

/* Unhook and free; @at is where it stands in the interest list.  A target that is
 * an epoll: under g_epoll_lock. */
static void remove_locked(struct epoll *ep, struct epitem **at)
{
	struct epitem *it = *at;

	*at = it->same_fd;
	waitq_remove(&it->wait); /* after this item_woken() does not run */
	lock_take(&ep->ready_lock);
	if (it->ready)
		list_del(&it->rd);
	it->ready = false;
	lock_drop(&ep->ready_lock);
	if (it->target->ops->rings)
		atomic_fetch_sub(&ep->n_rings, 1);
	if (is_epoll(it->target)) {
		list_del(&it->child);
		list_del(&it->parent);
	}
	pool_put(&g_items, it);
}

/* How many epolls hang below (@down) or above @ep, itself included; more than
 * EP_MAX_NESTS + 1 when @to is among them: a cycle. */
static int depth_locked(struct epoll *ep, const struct epoll *to, bool down, int level)
{
	struct ep_link *head = down ? &ep->children : &ep->parents;
	int deepest = 0;

	if (ep == to || level > EP_MAX_NESTS + 1)
		return EP_MAX_NESTS + 2;
	for (struct ep_link *l = head->next; l != head; l = l->next) {
		struct epoll *next = down ? epoll_of(ITEM_OF(l, child)->target)
		                          : ITEM_OF(l, parent)->ep;
		int d = depth_locked(next, to, down, level + 1);

		if (d > deepest)
			deepest = d;
		if (deepest > EP_MAX_NESTS + 1)
			break;
	}
	return deepest + 1;
}

static int nest_check_locked(struct epoll *outer, struct epoll *inner)
{
	int down = depth_locked(inner, outer, true, 1);
	int up = depth_locked(outer, NULL, false, 1);

	return down + up > EP_MAX_NESTS + 1 ? -ELOOP : 0;
}

static void set_events(struct epitem *it, const struct epoll_event *ev)
{
	it->data = ev->data.u64;
	it->events = ev->events | EPOLLERR | EPOLLHUP; /* none left: shot */
	__atomic_store_n(&it->wait.events, wake_filter(it->events), __ATOMIC_RELAXED);
	/* Changed interest first, then the look: see wait.c. */
	atomic_thread_fence(memory_order_seq_cst);
}

static long ctl_add_locked(struct epoll *ep, struct ofd *target, int fd,
                           const struct epoll_event *ev)
{
	struct epitem *it;

	if (find_locked(ep, fd, target))
		return -EEXIST;
	if (is_epoll(target)) {
		int r = nest_check_locked(ep, epoll_of(target));

		if (r < 0)
			return r;
	}
	it = pool_get(&g_items);
	if (!it)
		return -ENOSPC;
	it->ep = ep;
	it->target = target;
	it->fd = fd;
	it->wait.fn = item_woken;
	it->wait.exclusive = (ev->events & EPOLLEXCLUSIVE) != 0;
	list_init(&it->rd);
	list_init(&it->child);
	list_init(&it->parent);
	if (!insert_locked(ep, it)) {
		pool_put(&g_items, it);
		return -ENOMEM;
	}
	if (is_epoll(target)) {
		list_add_tail(&ep->children, &it->child);
		list_add_tail(&epoll_of(target)->parents, &it->parent);
	}
	if (target->ops->rings)
		atomic_fetch_add(&ep->n_rings, 1);
	set_events(it, ev);
	waitq_add(&target->wait, &it->wait);
	return item_poll(it) != 0 && ready_add(it);
}

static long ctl_mod_locked(struct epoll *ep, struct ofd *target, int fd,
                           const struct epoll_event *ev)
{
	struct epitem **at = find_locked(ep, fd, target);

	if (!at)
		return -ENOENT;
	if ((*at)->wait.exclusive)
		return -EINVAL;
	set_events(*at, ev);
	return item_poll(*at) != 0 && ready_add(*at);
}

static long ctl_del_locked(struct epoll *ep, struct ofd *target, int fd)
{
	struct epitem **at = find_locked(ep, fd, target);

	if (!at)
		return -ENOENT;
	remove_locked(ep, at);
	return 0;
}

static long ctl(struct epoll *ep, int op, struct ofd *target, int fd,
                const struct epoll_event *ev)
{
	bool nested = is_epoll(target);
	long r = -EINVAL;

	if (nested)
		lock_take(&g_epoll_lock);
	lock_take(&ep->lock);
	if (op == EPOLL_CTL_ADD)
		r = ctl_add_locked(ep, target, fd, ev);
	else if (op == EPOLL_CTL_MOD)
		r = ctl_mod_locked(ep, target, fd, ev);
	else if (op == EPOLL_CTL_DEL)
		r = ctl_del_locked(ep, target, fd);
	lock_drop(&ep->lock);
	if (nested)
		lock_drop(&g_epoll_lock);
	if (r <= 0)
		return r;
	waitq_wake(&ep->ofd.wait,
	           EPOLLIN | EPOLLRDNORM); /* something is ready at once */
	return 0;
}

static long ctl_check(struct ofd *o, struct ofd *target, int op,
                      const struct epoll_event *ev)
{
	if (!target->ops->pollable)
		return -EPERM;
	if (o == target || !is_epoll(o))
		return -EINVAL;
	if (op != EPOLL_CTL_DEL && (ev->events & EPOLLEXCLUSIVE)) {
		if (op == EPOLL_CTL_MOD || is_epoll(target) ||
		    (ev->events & ~EV_EXCLUSIVE_OK))
			return -EINVAL;
	}
	return 0;
}

SYSCALL(epoll_ctl, long epfd, long op, long fd, const void *user_event)
{
	struct epoll_event ev = {0};
	struct ofd *o, *target;
	long r = -EBADF;

	if (op != EPOLL_CTL_DEL && user_copy_in(&ev, user_event, sizeof(ev)) != 0)
		return -EFAULT;
	o = ofd_get_io((int)epfd);
	if (!o)
		return -EBADF;
	target = ofd_get_io((int)fd);
	if (target) {
		r = ctl_check(o, target, (int)op, &ev);
		if (r == 0)
			r = ctl(epoll_of(o), (int)op, target, (int)fd, &ev);
		ofd_put(target);
	}
	ofd_put(o);
	return r;
}

/* ---- the end of a target, or of an epoll ---- */

void epoll_forget(struct ofd *o)
{
	struct wait_entry *e;

	/* No reference is left, so no thread waits there and nobody can add to the
	 * queue: what it holds are items. */
	if (__atomic_load_n(&o->wait.head, __ATOMIC_RELAXED) == NULL)
		return;
	lock_take(&g_epoll_lock);
	while ((e = __atomic_load_n(&o->wait.head, __ATOMIC_RELAXED)) != NULL) {
		struct epitem *it = (struct epitem *)(void *)e;
		struct epoll *ep = it->ep;

		lock_take(&ep->lock);
		remove_locked(ep, find_locked(ep, it->fd, o));
		lock_drop(&ep->lock);
	}
	lock_drop(&g_epoll_lock);
}

static void epoll_release(struct ofd *o)
{
	struct epoll *ep = epoll_of(o);

	/* A target whose last reference goes now waits in epoll_forget(). */
	lock_take(&g_epoll_lock);
	lock_take(&ep->lock);
	for (unsigned p = 0; p < EP_N_PAGES; p++) {
		struct ep_page *page = ep->page[p];

		for (unsigned i = 0; page && i < EP_PAGE_FDS; i++) {
			while (page->at[i])
				remove_locked(ep, &page->at[i]);
		}
		if (page)
			pool_put(&g_ep_pages, page);
	}
	lock_drop(&ep->lock);
	lock_drop(&g_epoll_lock);
	pool_put(&g_epolls, ep);
}

static const struct ofd_ops g_epoll_ops = {
        .kind = OFD_EPOLL,
        .poll = epoll_poll,
        .release = epoll_release,
        .pollable = true,
        .rings = true, /* what is inside may be a socket */
};

/* ---- waiting ---- */

struct ep_waiter {
	struct wait_entry entry; /* first */
	_Atomic bool woken;      /* has been told since it last looked */
};

/* One event wakes one thread; a thread already on its way takes no other. */
static bool waiter_woken(struct wait_entry *e, uint32_t events)
{
	struct ep_waiter *w = (struct ep_waiter *)(void *)e;

	(void)events;
	return !atomic_exchange(&w->woken, true);
}

static long wait_for_events(struct epoll *ep, struct epoll_event *user_events, int max,
                            uint64_t deadline)
{
	struct ep_waiter w = {
	        .entry = {.events = EPOLLIN,
	                  .exclusive = true,
	                  .fn = waiter_woken,
	                  .thread = self()},
	};
	long r;

	waitq_add(&ep->ofd.wait, &w.entry);
	for (;;) {
		int parked;

		atomic_store(&w.woken, false);
		r = harvest(ep, user_events, max);
		if (r != 0)
			break;
		parked = thread_park(deadline,
		                     PARK_INTR | (ep->n_rings ? PARK_RINGS : 0));
		if (parked == 0)
			continue;
		r = harvest(ep, user_events, max);
		if (r == 0 && parked != -ETIMEDOUT)
			r = -EINTR;
		break;
	}
	waitq_remove(&w.entry);
	return r;
}

static long epoll_wait_until(int epfd, struct epoll_event *user_events, int max,
                             uint64_t deadline)
{
	struct ofd *o;
	struct epoll *ep;
	long r = -EINVAL;

	if (max <= 0 || max > (int)(INT_MAX / sizeof(struct epoll_event)))
		return -EINVAL;
	o = ofd_get_io(epfd);
	if (!o)
		return -EBADF;
	if (is_epoll(o)) {
		ep = epoll_of(o);
		if (ep->n_rings) /* who never sleeps must still hear of what came */
			(void)rings_poll_once();
		r = harvest(ep, user_events, max);
		if (r == 0 && deadline != DEADLINE_NOW)
			r = wait_for_events(ep, user_events, max, deadline);
		if (__atomic_load_n(&ep->ofd.wait.head, __ATOMIC_RELAXED) &&
		    ready_any(ep))
			waitq_wake(&ep->ofd.wait, EPOLLIN | EPOLLRDNORM);
	}
	ofd_put(o);
	return r;
}

static long epoll_wait_masked(int epfd, void *events, int max, uint64_t deadline,
                              const void *user_set, size_t set_size)
{
	int r;

	if (!user_set)
		return epoll_wait_until(epfd, events, max, deadline);
	r = sigmask_swap_for_wait(user_set, set_size);
	if (r < 0)
		return r;
	return sigmask_restore_after_wait(
	        epoll_wait_until(epfd, events, max, deadline));
}

SYSCALL(epoll_wait, long epfd, void *events, long max, long timeout)
{
	return epoll_wait_until((int)epfd, events, (int)max,
	                        deadline_in_ms((int)timeout));
}

SYSCALL(epoll_pwait, long epfd, void *events, long max, long timeout, const void *set,
        long set_size)
{
	return epoll_wait_masked((int)epfd, events, (int)max,
	                         deadline_in_ms((int)timeout), set, (size_t)set_size);
}

SYSCALL(epoll_pwait2, long epfd, void *events, long max, const void *timeout,
        const void *set, long set_size)
{
	uint64_t deadline;
	int r = deadline_from_timespec(timeout, &deadline);

	if (r < 0)
		return r;
	return epoll_wait_masked((int)epfd, events, (int)max, deadline, set,
	                         (size_t)set_size);
}

static long epoll_make(bool cloexec)
{
	struct epoll *ep = pool_get(&g_epolls);
	int fd;

	if (!ep)
		return -ENFILE;
	list_init(&ep->ready);
	list_init(&ep->children);
	list_init(&ep->parents);
	ofd_init(&ep->ofd, &g_epoll_ops, O_RDWR);
	fd = fd_install(&ep->ofd, 0, cloexec);
	if (fd < 0)
		ofd_put(&ep->ofd);
	return fd;
}

SYSCALL(epoll_create1, long flags)
{
	if (flags & ~(long)EPOLL_CLOEXEC)
		return -EINVAL;
	return epoll_make((flags & EPOLL_CLOEXEC) != 0);
}

SYSCALL(epoll_create, long size)
{
	return size <= 0 ? -EINVAL : epoll_make(false);
}
