/* SPDX-License-Identifier: MIT */
/*
 * mqueue.c - POSIX message queues, by name, within the guest.
 *
 * A queue's messages lie in one piece of platform memory made with the queue: a
 * slot for each of maxmsg messages.  Full slots form a list by priority, oldest
 * first; the others a free list.  Names live until mq_unlink, queues until their
 * last descriptor closes.
 *
 * Lock order: g_names_lock, then q->lock.
 */
#include "libos/abi.h"
#include "libos/file.h"
#include "libos/identity.h"
#include "libos/limits.h"
#include "libos/lock.h"
#include "libos/ofd.h"
#include "libos/pool.h"
#include "libos/process.h"
#include "libos/signal.h"
#include "libos/socket.h"
#include "libos/syscall.h"
#include "libos/time.h"
#include "libos/user.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define QUEUES_MAX 256
#define DESCRIPTORS_MAX 4096
#define NAME_LEN 255
#define PRIO_MAX 32768u
#define DEFAULT_MSGS 10
#define DEFAULT_SIZE 8192
#define USER_MSGS 10 /* more needs euid 0 */
#define USER_SIZE 8192
#define HARD_MSGS 65536
#define HARD_SIZE 16777216
#define SIGEV_THREAD_COOKIE 32
#define NOTIFY_WOKENUP 1
#define NOTIFY_REMOVED 2

struct message {
	struct message *next;
	uint32_t prio;
	uint32_t len;
	uint8_t data[];
};

struct notify {
	bool set;
	struct ofd *by; /* the descriptor that asked: its close ends it */
	struct ksigevent ev;
	struct ofd *netlink; /* SIGEV_THREAD: a reference */
	uint8_t cookie[SIGEV_THREAD_COOKIE];
};

struct mq {
	struct lock lock; /* what follows but name, refs, linked */
	long maxmsg, msgsize, curmsgs;
	struct message *full, *last, *free;
	void *memory;
	size_t memory_size;
	uint32_t receivers; /* waiting ones: then nobody is notified */
	struct notify notify;
	struct waitq wait; /* of all descriptors' sleepers */
	/* under g_names_lock */
	uint32_t refs; /* descriptors, and the name */
	bool linked;
	uint32_t mode, uid, gid;
	char name[NAME_LEN + 1];
};

struct mqd {
	struct ofd ofd; /* first */
	struct mq *q;
	struct mqd *next; /* of the queue; under g_names_lock */
};

struct kmq_attr {
	long flags, maxmsg, msgsize, curmsgs, pad[4];
};

static struct pool g_queues = POOL_INIT(struct mq, QUEUES_MAX);
static struct pool g_descriptors = POOL_INIT(struct mqd, DESCRIPTORS_MAX);
static struct lock g_names_lock = LOCK_INIT;
static struct mq *g_named[QUEUES_MAX]; /* under g_names_lock */
static struct mqd *g_open;             /* all descriptors; under g_names_lock */
static uint64_t g_bytes;               /* of all queues; under g_names_lock */

/* ---- queues ---- */

static size_t slot_size(long msgsize)
{
	return (sizeof(struct message) + (size_t)msgsize + 15) & ~(size_t)15;
}

static void queue_free(struct mq *q)
{
	if (q->notify.netlink)
		ofd_put(q->notify.netlink);
	(void)plat_munmap(q->memory, q->memory_size);
	pool_put(&g_queues, q);
}

/* @n references less.  Returns the queue to free, or NULL. */
static struct mq *unref_locked(struct mq *q)
{
	if (--q->refs > 0)
		return NULL;
	g_bytes -= q->memory_size;
	return q;
}

static int queue_make_locked(const struct kmq_attr *attr, struct mq **out)
{
	const size_t slot = slot_size(attr->msgsize);
	const size_t size = (slot * (size_t)attr->maxmsg + 4095) & ~(size_t)4095;
	struct mq *q;
	long at;

	if (g_bytes + size > limits_get(LIMIT_MSGQUEUE))
		return -EMFILE;
	q = pool_get(&g_queues);
	if (!q)
		return -ENOSPC;
	at = plat_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	if (at < 0 && at > -4096) {
		pool_put(&g_queues, q);
		return -ENOMEM;
	}
	q->memory = (void *)at;
	q->memory_size = size;
	q->maxmsg = attr->maxmsg;
	q->msgsize = attr->msgsize;
	for (long i = attr->maxmsg - 1; i >= 0; i--) {
		struct message *m =
		        (struct message *)(void *)((char *)at + slot * (size_t)i);

		m->next = q->free;
		q->free = m;
	}
	g_bytes += size;
	*out = q;
	return 0;
}

static int find_locked(const char *name)
{
	for (int i = 0; i < QUEUES_MAX; i++) {
		if (g_named[i] && strcmp(g_named[i]->name, name) == 0)
			return i;
	}
	return -ENOENT;
}

static bool may_open(const struct mq *q, int access)
{
	uint32_t need = access == O_RDONLY ? 4 : access == O_WRONLY ? 2 : 6;
	uint32_t mode = q->mode;

	if (cred_privileged())
		return true;
	if (cred_current()->fsuid == q->uid)
		mode >>= 6;
	else if (cred_in_group(q->gid))
		mode >>= 3;
	return (mode & need) == need;
}

static int check_attr(const struct kmq_attr *attr)
{
	bool may = cred_privileged();

	if (attr->maxmsg <= 0 || attr->msgsize <= 0)
		return -EINVAL;
	if (attr->maxmsg > (may ? HARD_MSGS : USER_MSGS) ||
	    attr->msgsize > (may ? HARD_SIZE : USER_SIZE))
		return -EINVAL;
	return 0;
}

/* The queue to open, referenced. */
static int open_locked(const char *name, int flags, uint32_t mode,
                       const struct kmq_attr *attr, struct mq **out)
{
	int i = find_locked(name), err;
	struct mq *q;

	if (i >= 0) {
		if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
			return -EEXIST;
		if (!may_open(g_named[i], flags & ABI_ACCMODE))
			return -EACCES;
		*out = g_named[i];
		(*out)->refs++;
		return 0;
	}
	if (!(flags & O_CREAT))
		return -ENOENT;
	err = check_attr(attr);
	if (err != 0)
		return err;
	for (i = 0; i < QUEUES_MAX && g_named[i]; i++)
		;
	if (i == QUEUES_MAX)
		return -ENOSPC;
	err = queue_make_locked(attr, &q);
	if (err != 0)
		return err;
	memcpy(q->name, name, strlen(name) + 1); /* at most NAME_LEN */
	q->mode = mode;
	q->uid = cred_current()->fsuid;
	q->gid = cred_current()->fsgid;
	q->refs = 2;
	q->linked = true;
	g_named[i] = q;
	*out = q;
	return 0;
}

/* ---- notification ---- */

static void notify_clear_locked(struct mq *q)
{
	if (q->notify.netlink)
		ofd_put(q->notify.netlink);
	memset(&q->notify, 0, sizeof(q->notify));
}

/* musl's form of SIGEV_THREAD: a cookie through a netlink socket, last byte a code. */
static void post_cookie(struct notify *n, uint8_t code)
{
	n->cookie[SIGEV_THREAD_COOKIE - 1] = code;
	(void)netlink_post(n->netlink, n->cookie, sizeof(n->cookie)); /* full: nobody reads */
}

/* A message came to an empty queue that nobody waits on: tell, once.  Called
 * without locks, with what the queue had. */
static void notify_send(struct notify *n)
{
	struct siginfo_x86 info;

	switch (n->ev.notify) {
	case SIGEV_SIGNAL:
		process_fill_user_info(&info, n->ev.signo, SI_MESGQ);
		info.rt.value = n->ev.value;
		(void)signal_send_process(n->ev.signo, &info); /* as Linux: not told */
		break;
	case SIGEV_THREAD:
		post_cookie(n, NOTIFY_WOKENUP);
		ofd_put(n->netlink);
		break;
	default:
		break;
	}
}

/* ---- sending and receiving ---- */

static void insert_locked(struct mq *q, struct message *m)
{
	struct message **at = &q->full;

	if (q->last && q->last->prio >= m->prio)
		at = &q->last->next; /* mostly */
	while (*at && (*at)->prio >= m->prio)
		at = &(*at)->next;
	m->next = *at;
	*at = m;
	if (!m->next)
		q->last = m;
	q->curmsgs++;
}

/* 1, -EAGAIN when full, -EFAULT. */
static long try_send(struct mq *q, const void *user_data, size_t len, uint32_t prio)
{
	struct notify tell = {0};
	struct message *m;

	lock_take(&q->lock);
	m = q->free;
	if (!m) {
		lock_drop(&q->lock);
		return -EAGAIN;
	}
	if (user_copy_in(m->data, user_data, len) != 0) {
		lock_drop(&q->lock);
		return -EFAULT;
	}
	q->free = m->next;
	m->len = (uint32_t)len;
	m->prio = prio;
	insert_locked(q, m);
	if (q->curmsgs == 1 && q->receivers == 0 && q->notify.set) {
		tell = q->notify;
		memset(&q->notify, 0, sizeof(q->notify));
	}
	lock_drop(&q->lock);
	waitq_wake(&q->wait, EPOLLIN);
	if (tell.set)
		notify_send(&tell);
	return 1;
}

/* Length, -EAGAIN when empty, -EFAULT (then the message is gone, as in Linux). */
static long try_receive(struct mq *q, void *user_data, uint32_t *prio)
{
	struct message *m;
	long r;

	lock_take(&q->lock);
	m = q->full;
	if (!m) {
		lock_drop(&q->lock);
		return -EAGAIN;
	}
	q->full = m->next;
	if (!q->full)
		q->last = NULL;
	q->curmsgs--;
	*prio = m->prio;
	r = user_copy_out(user_data, m->data, m->len) != 0 ? -EFAULT : (long)m->len;
	m->next = q->free;
	q->free = m;
	lock_drop(&q->lock);
	waitq_wake(&q->wait, EPOLLOUT);
	return r;
}

static long has_message(void *arg)
{
	return ((struct mq *)arg)->curmsgs > 0;
}

static long has_room(void *arg)
{
	struct mq *q = arg;

	return q->curmsgs < q->maxmsg;
}

/* Wait for @ready: 0, or the error to return. */
static long wait_for(struct mqd *d, uint32_t events, long (*ready)(void *),
                     const struct abs_time *until)
{
	struct mq *q = d->q;
	long r;

	if (ofd_nonblock(&d->ofd))
		return -EAGAIN;
	if (abs_time_passed(until))
		return -ETIMEDOUT;
	if (events == EPOLLIN)
		__atomic_add_fetch(&q->receivers, 1, __ATOMIC_SEQ_CST);
	r = wait_until(&q->wait, events, ready, q, abs_time_deadline(until), PARK_INTR);
	if (events == EPOLLIN)
		__atomic_sub_fetch(&q->receivers, 1, __ATOMIC_SEQ_CST);
	if (r == -EAGAIN)
		return abs_time_passed(until) ? -ETIMEDOUT : 0;
	return r < 0 ? r : 0;
}

/* ---- descriptors ---- */

static uint32_t mq_poll(struct ofd *o)
{
	struct mq *q = ((struct mqd *)o)->q;
	uint32_t events = 0;

	if (q->curmsgs > 0)
		events |= EPOLLIN | EPOLLRDNORM;
	if (q->curmsgs < q->maxmsg)
		events |= EPOLLOUT | EPOLLWRNORM;
	return events;
}

static long mq_stat(struct ofd *o, struct kstat *st)
{
	struct mq *q = ((struct mqd *)o)->q;

	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFREG | q->mode;
	st->st_uid = q->uid;
	st->st_gid = q->gid;
	st->st_nlink = q->linked;
	st->st_size = 80;
	st->st_blksize = 4096;
	return 0;
}

static void mq_release(struct ofd *o)
{
	struct mqd *d = (struct mqd *)o;
	struct mq *q = d->q, *dead;

	lock_take(&g_names_lock);
	for (struct mqd **at = &g_open; *at; at = &(*at)->next) {
		if (*at == d) {
			*at = d->next;
			break;
		}
	}
	lock_take(&q->lock);
	if (q->notify.by == o) {
		if (q->notify.netlink)
			post_cookie(&q->notify, NOTIFY_REMOVED);
		notify_clear_locked(q);
	}
	lock_drop(&q->lock);
	dead = unref_locked(q);
	lock_drop(&g_names_lock);
	pool_put(&g_descriptors, d);
	if (dead)
		queue_free(dead);
}

static const struct ofd_ops g_mq_ops = {
        .kind = OFD_MQ,
        .poll = mq_poll,
        .stat = mq_stat,
        .release = mq_release,
        .pollable = true,
};

/* All descriptors of @q hear of a change: their pollers wait on them. */
static void wake_pollers(struct mq *q, uint32_t events)
{
	lock_take(&g_names_lock);
	for (struct mqd *d = g_open; d; d = d->next) {
		if (d->q == q)
			waitq_wake(&d->ofd.wait, events);
	}
	lock_drop(&g_names_lock);
}

/* A reference that may do @access (O_RDONLY, O_WRONLY; -1: anything). */
static long get(long fd, int access, struct mqd **out)
{
	struct ofd *o = ofd_get((int)fd);
	int has;

	if (!o)
		return -EBADF;
	has = (int)(o->flags & ABI_ACCMODE);
	if (o->ops != &g_mq_ops || (access >= 0 && has != O_RDWR && has != access)) {
		ofd_put(o);
		return -EBADF;
	}
	*out = (struct mqd *)o;
	return 0;
}

/* ---- the calls ---- */

static long take_name(char *name, const char *user_name)
{
	long len = user_copy_str(name, user_name, NAME_LEN + 1);

	if (len < 0)
		return len;
	if (len == 0)
		return -ENOENT;
	for (long i = 0; i < len; i++) {
		if (name[i] == '/')
			return -EACCES;
	}
	return 0;
}

SYSCALL(mq_open, const char *user_name, long flags_arg, unsigned long mode_arg,
        const void *user_attr)
{
	struct kmq_attr attr = {.maxmsg = DEFAULT_MSGS, .msgsize = DEFAULT_SIZE};
	uint32_t mode = (uint32_t)mode_arg & 0777;
	int flags = (int)flags_arg, fd, err;
	char name[NAME_LEN + 1];
	struct mqd *d;
	long r;

	if ((flags & O_CREAT) && user_attr &&
	    user_copy_in(&attr, user_attr, sizeof(attr)) != 0)
		return -EFAULT;
	r = take_name(name, user_name);
	if (r != 0)
		return r;
	if ((flags & ABI_ACCMODE) == ABI_ACCMODE)
		return -EINVAL;
	d = pool_get(&g_descriptors);
	if (!d)
		return -ENFILE;
	mode &= ~file_umask();
	ofd_init(&d->ofd, &g_mq_ops, (uint32_t)flags & (ABI_ACCMODE | O_NONBLOCK));
	lock_take(&g_names_lock);
	err = open_locked(name, flags, mode, &attr, &d->q);
	if (err == 0) {
		d->next = g_open;
		g_open = d;
	}
	lock_drop(&g_names_lock);
	if (err != 0) {
		pool_put(&g_descriptors, d);
		return err;
	}
	fd = fd_install(&d->ofd, 0, (flags & O_CLOEXEC) != 0);
	if (fd < 0)
		ofd_put(&d->ofd);
	return fd;
}

SYSCALL(mq_unlink, const char *user_name)
{
	char name[NAME_LEN + 1];
	struct mq *q, *dead = NULL;
	long r = take_name(name, user_name);
	int i;

	if (r != 0)
		return r;
	lock_take(&g_names_lock);
	i = find_locked(name);
	if (i < 0) {
		r = i;
	} else if (!cred_privileged() && cred_current()->fsuid != g_named[i]->uid) {
		r = -EACCES;
	} else {
		q = g_named[i];
		g_named[i] = NULL;
		q->linked = false;
		dead = unref_locked(q);
	}
	lock_drop(&g_names_lock);
	if (dead)
		queue_free(dead);
	return r;
}

static long take_deadline(struct abs_time *until, const void *user_ts)
{
	struct timespec ts;

	abs_time_never(until);
	if (!user_ts)
		return 0;
	if (user_copy_in(&ts, user_ts, sizeof(ts)) != 0)
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= 1000000000)
		return -EINVAL;
	abs_time_at(until, &ts, true);
	return 0;
}

SYSCALL(mq_timedsend, long fd, const void *user_data, size_t len, unsigned long prio,
        const void *user_ts)
{
	struct abs_time until;
	struct mqd *d;
	long r = take_deadline(&until, user_ts);

	if (r != 0)
		return r;
	if ((uint32_t)prio >= PRIO_MAX)
		return -EINVAL;
	r = get(fd, O_WRONLY, &d);
	if (r != 0)
		return r;
	if (len > (size_t)d->q->msgsize)
		r = -EMSGSIZE;
	while (r == 0) {
		r = try_send(d->q, user_data, len, (uint32_t)prio);
		if (r == -EAGAIN)
			r = wait_for(d, EPOLLOUT, has_room, &until);
	}
	if (r == 1)
		wake_pollers(d->q, EPOLLIN);
	ofd_put(&d->ofd);
	return r == 1 ? 0 : r;
}

SYSCALL(mq_timedreceive, long fd, void *user_data, size_t len, void *user_prio,
        const void *user_ts)
{
	struct abs_time until;
	uint32_t prio = 0;
	struct mqd *d;
	long r = take_deadline(&until, user_ts);

	if (r != 0)
		return r;
	r = get(fd, O_RDONLY, &d);
	if (r != 0)
		return r;
	if (len < (size_t)d->q->msgsize)
		r = -EMSGSIZE;
	while (r == 0) {
		r = try_receive(d->q, user_data, &prio);
		if (r != -EAGAIN)
			break;
		r = wait_for(d, EPOLLIN, has_message, &until);
	}
	if (r >= 0) {
		wake_pollers(d->q, EPOLLOUT);
		if (user_prio && user_copy_out(user_prio, &prio, sizeof(prio)) != 0)
			r = -EFAULT;
	}
	ofd_put(&d->ofd);
	return r;
}

static long notify_set(struct mqd *d, const struct ksigevent *ev, struct ofd *netlink,
                       const uint8_t *cookie)
{
	struct mq *q = d->q;
	long r = 0;

	lock_take(&q->lock);
	if (q->notify.set) {
		r = -EBUSY;
	} else {
		q->notify.set = true;
		q->notify.by = &d->ofd;
		q->notify.ev = *ev;
		q->notify.netlink = netlink;
		if (cookie)
			memcpy(q->notify.cookie, cookie, SIGEV_THREAD_COOKIE);
	}
	lock_drop(&q->lock);
	return r;
}

static void notify_remove(struct mq *q)
{
	struct notify old;

	lock_take(&q->lock);
	old = q->notify;
	memset(&q->notify, 0, sizeof(q->notify));
	lock_drop(&q->lock);
	if (!old.netlink)
		return;
	post_cookie(&old, NOTIFY_REMOVED);
	ofd_put(old.netlink);
}

/* SIGEV_THREAD: signo is a netlink socket, value points to the cookie. */
static long thread_event(const struct ksigevent *ev, struct ofd **netlink,
                         uint8_t *cookie)
{
	if (user_copy_in(cookie, (const void *)ev->value, SIGEV_THREAD_COOKIE) != 0)
		return -EFAULT;
	*netlink = ofd_get(ev->signo);
	if (!*netlink)
		return -EBADF;
	if ((*netlink)->ops->kind == OFD_NETLINK)
		return 0;
	ofd_put(*netlink);
	return -ENOTSOCK;
}

SYSCALL(mq_notify, long fd, const void *user_event)
{
	uint8_t cookie[SIGEV_THREAD_COOKIE];
	struct ofd *netlink = NULL;
	struct ksigevent ev;
	struct mqd *d;
	long r;

	if (user_event) {
		if (user_copy_in(&ev, user_event, sizeof(ev)) != 0)
			return -EFAULT;
		if (ev.notify != SIGEV_NONE && ev.notify != SIGEV_SIGNAL &&
		    ev.notify != SIGEV_THREAD)
			return -EINVAL;
		if (ev.notify == SIGEV_SIGNAL && (ev.signo < 0 || ev.signo > ABI_NSIG))
			return -EINVAL;
	}
	r = get(fd, -1, &d);
	if (r != 0)
		return r;
	if (!user_event) {
		notify_remove(d->q);
	} else {
		if (ev.notify == SIGEV_THREAD)
			r = thread_event(&ev, &netlink, cookie);
		if (r == 0)
			r = notify_set(d, &ev, netlink, netlink ? cookie : NULL);
		if (r != 0 && netlink)
			ofd_put(netlink);
	}
	ofd_put(&d->ofd);
	return r;
}

SYSCALL(mq_getsetattr, long fd, const void *user_new, void *user_old)
{
	struct kmq_attr to, old = {0};
	struct mqd *d;
	long r;

	if (user_new) {
		if (user_copy_in(&to, user_new, sizeof(to)) != 0)
			return -EFAULT;
		if (to.flags & ~(long)O_NONBLOCK)
			return -EINVAL;
	}
	r = get(fd, -1, &d);
	if (r != 0)
		return r;
	lock_take(&d->q->lock);
	old.flags = (long)(d->ofd.flags & O_NONBLOCK);
	old.maxmsg = d->q->maxmsg;
	old.msgsize = d->q->msgsize;
	old.curmsgs = d->q->curmsgs;
	lock_drop(&d->q->lock);
	if (user_new && (to.flags & O_NONBLOCK))
		d->ofd.flags |= O_NONBLOCK;
	else if (user_new)
		d->ofd.flags &= ~(uint32_t)O_NONBLOCK;
	ofd_put(&d->ofd);
	if (user_old && user_copy_out(user_old, &old, sizeof(old)) != 0)
		return -EFAULT;
	return 0;
}
