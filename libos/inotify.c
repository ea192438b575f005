/* SPDX-License-Identifier: MIT */
/*
 * inotify.c - inotify descriptors: a queue of events, read as on Linux.
 *
 * What goes in a queue comes from fsd (inotify_watch.c).  An event that equals the
 * last one is joined with it; of a full queue the program learns by one IN_Q_OVERFLOW.
 */
#include "libos/inotify.h"

#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#define INOTIFIES_MAX 128u /* as /proc/sys/fs/inotify/max_user_instances */
#define NAME_ALIGN ((uint32_t)sizeof(struct inotify_event))

struct inotify_note {
	struct inotify_note *next;
	int wd;
	uint32_t mask, cookie;
	uint32_t len; /* of the name, without its NUL; 0: none */
	char name[NAME_MAX + 1];
};

struct lock g_inotify_lock = LOCK_INIT;

static struct pool g_inotifies = POOL_INIT(struct inotify, INOTIFIES_MAX);
static struct pool g_notes = POOL_INIT(struct inotify_note, INOTIFY_EVENTS_MAX);
static struct inotify *g_list; /* under g_inotify_lock */
static uint32_t g_last_group;  /* the same */

struct inotify *inotify_first_locked(void)
{
	return g_list;
}

struct inotify *inotify_find_locked(uint32_t group)
{
	struct inotify *in = g_list;

	while (in && in->group != group)
		in = in->next;
	return in;
}

/* ---- the queue ---- */

/* Of a name as read() gives it: with NULs up to a multiple of an event's size. */
static uint32_t name_room(uint32_t len)
{
	return len == 0 ? 0 : (len + NAME_ALIGN) & ~(NAME_ALIGN - 1);
}

static bool same_note(const struct inotify_note *n, int wd, uint32_t mask,
                      const char *name, uint32_t len)
{
	return n->wd == wd && n->mask == mask && !(mask & IN_IGNORED) && n->len == len &&
	       memcmp(n->name, name, len) == 0;
}

static bool put_locked(struct inotify *in, int wd, uint32_t mask, uint32_t cookie,
                       const char *name, uint32_t len)
{
	struct inotify_note *n = pool_get_dirty(&g_notes);

	if (!n)
		return false;
	n->next = NULL;
	n->wd = wd;
	n->mask = mask;
	n->cookie = cookie;
	n->len = len;
	memcpy(n->name, name, len);
	*in->last = n;
	in->last = &n->next;
	in->n_notes++;
	in->n_bytes += (uint32_t)sizeof(struct inotify_event) + name_room(len);
	return true;
}

static struct inotify_note *last_locked(const struct inotify *in)
{
	return (struct inotify_note *)((char *)in->last -
	                               offsetof(struct inotify_note, next));
}

void inotify_queue_locked(struct inotify *in, int wd, uint32_t mask, uint32_t cookie,
                          const char *name, uint32_t len, struct wake_list *wakes)
{
	if (mask & IN_Q_OVERFLOW) {
		if (in->overflowed)
			return;
		in->overflowed = put_locked(in, -1, IN_Q_OVERFLOW, 0, "", 0);
	} else if (in->n_notes && same_note(last_locked(in), wd, mask, name, len)) {
		return;
	} else if (in->n_notes >= INOTIFY_QUEUE_MAX ||
	           !put_locked(in, wd, mask, cookie, name, len)) {
		/* Without memory even for this one the queues of others are full. */
		in->overflowed = in->overflowed ||
		                 put_locked(in, -1, IN_Q_OVERFLOW, 0, "", 0);
	}
	waitq_collect(&in->ofd.wait, EPOLLIN, wakes);
}

static struct inotify_note *take_locked(struct inotify *in)
{
	struct inotify_note *n = in->first;

	in->first = n->next;
	if (!in->first)
		in->last = &in->first;
	in->n_notes--;
	in->n_bytes -= (uint32_t)sizeof(struct inotify_event) + name_room(n->len);
	if (n->mask & IN_Q_OVERFLOW)
		in->overflowed = false;
	return n;
}

/* The first event if it fits in @room; NULL: there is none, or *@small. */
static struct inotify_note *take(struct inotify *in, size_t room, bool *small)
{
	struct inotify_note *n;

	lock_take(&g_inotify_lock);
	n = in->first;
	*small = n && sizeof(struct inotify_event) + name_room(n->len) > room;
	n = n && !*small ? take_locked(in) : NULL;
	lock_drop(&g_inotify_lock);
	return n;
}

static bool give(struct uio *u, const struct inotify_note *n)
{
	static const char zeros[NAME_ALIGN];
	const uint32_t room = name_room(n->len);
	const struct inotify_event ev = {
	        .wd = n->wd, .mask = n->mask, .cookie = n->cookie, .len = room};

	return uio_out(u, &ev, sizeof(ev)) == sizeof(ev) &&
	       uio_out(u, n->name, n->len) == n->len &&
	       uio_out(u, zeros, room - n->len) == room - n->len;
}

/* As many as fit: bytes, 0 if there is none, or an error. */
static long take_all(struct inotify *in, struct uio *u)
{
	const size_t begin = uio_left(u);
	struct inotify_note *n;
	bool small;

	while ((n = take(in, uio_left(u), &small)) != NULL) {
		const bool given = give(u, n);

		pool_put(&g_notes, n); /* as on Linux, also where it had no place */
		if (!given)
			return -EFAULT;
	}
	if (small && uio_left(u) == begin)
		return -EINVAL;
	return (long)(begin - uio_left(u));
}

/* ---- the descriptor ---- */

static long not_empty(void *arg)
{
	return ((struct inotify *)arg)->n_notes != 0;
}

static long inotify_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	struct inotify *in = (struct inotify *)o;
	long r;

	(void)pos;
	while ((r = take_all(in, u)) == 0) {
		if (ofd_nonblock(o))
			return -EAGAIN;
		r = wait_until(&o->wait, EPOLLIN, not_empty, in, PLAT_NO_DEADLINE,
		               PARK_INTR | PARK_RINGS);
		if (r < 0)
			return r;
	}
	return r;
}

static uint32_t inotify_poll(struct ofd *o)
{
	return ((struct inotify *)o)->n_notes ? EPOLLIN | EPOLLRDNORM : 0;
}

/* Linux: a file without positions, where any is right. */
static long inotify_seek(struct ofd *o, int64_t off, int whence)
{
	(void)o;
	(void)off;
	(void)whence;
	return 0;
}

static long inotify_ioctl(struct ofd *o, unsigned long request, void *user_arg)
{
	int n;

	if (request != FIONREAD)
		return -ENOTTY;
	n = (int)((struct inotify *)o)->n_bytes;
	return user_copy_out(user_arg, &n, sizeof(n));
}

static void inotify_release(struct ofd *o)
{
	struct inotify *in = (struct inotify *)o, **at = &g_list;

	lock_take(&g_inotify_lock);
	while (*at != in)
		at = &(*at)->next;
	*at = in->next;
	while (in->first)
		pool_put(&g_notes, take_locked(in));
	lock_drop(&g_inotify_lock);
	inotify_forget(in);
	pool_put(&g_inotifies, in);
}

static const struct ofd_ops g_inotify_ops = {
        .kind = OFD_INOTIFY,
        .read = inotify_read,
        .poll = inotify_poll,
        .seek = inotify_seek,
        .ioctl = inotify_ioctl,
        .release = inotify_release,
        .pollable = true,
        .rings = true,
};

SYSCALL(inotify_init1, int flags)
{
	struct inotify *in;
	int fd;

	if (flags & ~(IN_CLOEXEC | IN_NONBLOCK))
		return -EINVAL;
	in = pool_get(&g_inotifies);
	if (!in)
		return -EMFILE;
	ofd_init(&in->ofd, &g_inotify_ops, (uint32_t)(O_RDONLY | (flags & IN_NONBLOCK)));
	in->last = &in->first;
	lock_take(&g_inotify_lock);
	in->group = ++g_last_group;
	in->next = g_list;
	g_list = in;
	lock_drop(&g_inotify_lock);
	fd = fd_install(&in->ofd, 0, (flags & IN_CLOEXEC) != 0);
	if (fd < 0)
		ofd_put(&in->ofd);
	return fd;
}

SYSCALL(inotify_init, void)
{
	return strait_sys_inotify_init1(0);
}
