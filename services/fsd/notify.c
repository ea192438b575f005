/* SPDX-License-Identifier: MIT */
/*
 * Invariants, under the lock:
 * 1. An object is in its notify's `objects` exactly while some watch is on it; a watch
 *    is in `watches` exactly while it is on an object.
 * 2. Events are read from the kernel only when those before them were sent: while the
 *    guest gives no credit they wait in the kernel, which joins equal ones and bounds
 *    them.  But for notify_hide_begin(), which must tell those before from those after:
 *    then they wait here, up to NOTIFY_QUEUE_MAX, and more are an overflow.
 * 3. The kernel gives a number of a watch again only after all others: the events of
 *    one that was removed find nobody.
 */
#define _GNU_SOURCE
#include "services/fsd/notify.h"

#include "rpc/server.h"

#include "file.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#define BUCKETS 512u
#define EVENT_CHANGED 33u /* in the service block of file.proto */
#define READ_SIZE 4096u   /* at least one event with the longest name */

struct object;

struct watch {
	struct watch *next;   /* of the object */
	struct watch *hashed; /* in `watches` */
	struct object *on;
	uint32_t group, id, mask;
};

struct object {
	struct object *next;
	int wd; /* the kernel's */
	uint64_t dev, ino;
	uint32_t mask; /* what the kernel was asked for */
	bool root;     /* of a mount: the orphans' folder is in it */
	unsigned n_watches;
	struct watch *watches;
};

struct event {
	struct event *next;
	uint32_t group, watch, mask, cookie;
	uint32_t len;
	char name[];
};

struct notify {
	struct notify *next; /* g_notify.list */
	struct session *session;
	int fd;
	unsigned n_watches;
	struct object *objects[BUCKETS];
	struct watch *watches[BUCKETS];
	struct event *first, **last;
	unsigned n_events;
	bool lost;           /* events: the guest is to be told */
	struct object *hide; /* the next event of its links is not sent */
};

static struct {
	pthread_mutex_t lock;
	struct notify *list;
	int epoll;
} g_notify = {.lock = PTHREAD_MUTEX_INITIALIZER, .epoll = -1};

void notify_init(int epoll)
{
	g_notify.epoll = epoll;
}

/* ---- what is watched ---- */

static struct object **object_at(struct notify *n, int wd)
{
	struct object **at = &n->objects[(unsigned)wd % BUCKETS];

	while (*at && (*at)->wd != wd)
		at = &(*at)->next;
	return at;
}

static struct watch **watch_at(struct notify *n, uint32_t group, uint32_t id)
{
	struct watch **at = &n->watches[(group * 31 + id) % BUCKETS];

	while (*at && ((*at)->group != group || (*at)->id != id))
		at = &(*at)->hashed;
	return at;
}

static struct watch *watch_of(const struct object *o, uint32_t group)
{
	struct watch *w = o->watches;

	while (w && w->group != group)
		w = w->next;
	return w;
}

static void object_free(struct notify *n, struct object *o)
{
	struct object **at = object_at(n, o->wd);

	*at = o->next;
	if (n->hide == o)
		n->hide = NULL;
	free(o);
}

/* The object stays, if without watches. */
static void watch_free(struct notify *n, struct watch *w)
{
	struct watch **at = &w->on->watches;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	at = watch_at(n, w->group, w->id);
	*at = w->hashed;
	w->on->n_watches--;
	n->n_watches--;
	free(w);
}

/* Its last watch may have gone. */
static void object_unused(struct notify *n, struct object *o)
{
	if (o->watches)
		return;
	(void)inotify_rm_watch(n->fd, o->wd); /* gone by itself already: as well */
	object_free(n, o);
}

/* ---- events to the guest ---- */

static void put_event(struct notify *n, const struct watch *w, uint32_t mask,
                      uint32_t cookie, const char *name)
{
	const size_t len = name ? strlen(name) : 0;
	struct event *e;

	/* Of those that say that a watch is no more there are as many as watches. */
	e = n->n_events < NOTIFY_QUEUE_MAX || (mask & (IN_IGNORED | IN_Q_OVERFLOW))
	            ? malloc(sizeof *e + len)
	            : NULL;
	if (!e) {
		n->lost = true;
		return;
	}
	*e = (struct event){.mask = mask, .cookie = cookie, .len = (uint32_t)len};
	if (w) {
		e->group = w->group;
		e->watch = w->id;
	}
	if (len)
		memcpy(e->name, name, len);
	*n->last = e;
	n->last = &e->next;
	n->n_events++;
}

/* @w is no more, which must not be lost. */
static void put_ignored(struct notify *n, struct watch *w)
{
	put_event(n, w, IN_IGNORED, 0, NULL);
	watch_free(n, w);
}

static bool is_hidden(struct notify *n, const struct object *o,
                      const struct inotify_event *k)
{
	if (o->root && k->len && strcmp(k->name, ORPHANS_DIR) == 0)
		return true;
	if (n->hide != o || k->mask != IN_ATTRIB || k->len)
		return false;
	n->hide = NULL;
	return true;
}

static void translate(struct notify *n, const struct inotify_event *k)
{
	struct object *o = *object_at(n, k->wd);
	const char *name = k->len && k->name[0] ? k->name : NULL;
	struct watch *w, *next;

	if (k->mask & IN_Q_OVERFLOW)
		n->lost = true;
	if (!o || is_hidden(n, o, k))
		return;
	for (w = o->watches; w; w = next) {
		next = w->next;
		if (k->mask & IN_IGNORED) {
			put_ignored(n, w);
		} else if (k->mask & (w->mask | IN_UNMOUNT)) {
			put_event(n, w, k->mask, k->cookie, name);
			if (w->mask & IN_ONESHOT)
				put_ignored(n, w);
		}
	}
	if (k->mask & IN_IGNORED)
		object_free(n, o);
	else
		object_unused(n, o);
}

/* True: there was something. */
static bool read_kernel(struct notify *n)
{
	_Alignas(struct inotify_event) char buf[READ_SIZE];
	const ssize_t len = read(n->fd, buf, sizeof buf);
	const struct inotify_event *k;

	for (ssize_t at = 0; at < len; at += (ssize_t)(sizeof *k + k->len)) {
		k = (const struct inotify_event *)(const void *)(buf + at);
		translate(n, k);
	}
	return len > 0;
}

static int send_event(struct notify *n, const struct event *e)
{
	File__ChangedEvt ev = FILE__CHANGED_EVT__INIT;

	ev.group = e->group;
	ev.watch = e->watch;
	ev.mask = e->mask;
	ev.cookie = e->cookie;
	ev.name.data = (uint8_t *)(uintptr_t)e->name;
	ev.name.len = e->len;
	return rpc_event(n->session->conn, EVENT_CHANGED, &ev.base, NULL, 0);
}

/* False: the guest has no room. */
static bool send_all(struct notify *n)
{
	struct event *e;

	while ((e = n->first)) {
		if (send_event(n, e) == -EAGAIN)
			return false;
		n->first = e->next;
		if (!n->first)
			n->last = &n->first;
		n->n_events--;
		free(e);
	}
	return true;
}

static void flush(struct notify *n)
{
	while (send_all(n)) {
		if (n->lost) {
			n->lost = false;
			put_event(n, NULL, IN_Q_OVERFLOW, 0, NULL);
			if (n->lost)
				return; /* no memory: later */
		} else if (!read_kernel(n)) {
			return;
		}
	}
}

void notify_flush(struct session *s)
{
	struct notify *n = atomic_load_explicit(&s->notify, memory_order_acquire);

	if (!n)
		return;
	pthread_mutex_lock(&g_notify.lock);
	flush(n);
	pthread_mutex_unlock(&g_notify.lock);
}

void notify_pump(struct session *s)
{
	if (!atomic_load_explicit(&s->notify, memory_order_acquire))
		return;
	notify_flush(s);
	(void)rpc_conn_flush(s->conn);
}

/* ---- begin and end of watching ---- */

static struct notify *notify_get(struct session *s)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = s};
	struct notify *n = atomic_load_explicit(&s->notify, memory_order_relaxed);

	if (n)
		return n;
	n = calloc(1, sizeof *n);
	if (!n)
		return NULL;
	n->session = s;
	n->last = &n->first;
	n->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (n->fd < 0 ||
	    (g_notify.epoll >= 0 &&
	     epoll_ctl(g_notify.epoll, EPOLL_CTL_ADD, n->fd, &ev) < 0)) {
		if (n->fd >= 0)
			close(n->fd);
		free(n);
		return NULL;
	}
	n->next = g_notify.list;
	g_notify.list = n;
	atomic_store_explicit(&s->notify, n, memory_order_release);
	return n;
}

static struct object *object_get(struct notify *n, int wd, const struct node *node,
                                 const struct statx *stx)
{
	struct object *o = *object_at(n, wd);

	if (o)
		return o;
	o = calloc(1, sizeof *o);
	if (!o)
		return NULL;
	o->wd = wd;
	o->dev = (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor;
	o->ino = stx->stx_ino;
	o->root = o->dev == node->mount->root_dev && o->ino == node->mount->root_ino;
	*object_at(n, wd) = o;
	return o;
}

static int watch_new(struct notify *n, struct object *o, uint32_t group, uint32_t id,
                     uint32_t mask)
{
	struct watch *w;

	if (n->n_watches >= RPC_WATCHES_MAX || o->n_watches >= NOTIFY_GROUPS_MAX)
		return -ENOSPC;
	if (*watch_at(n, group, id))
		return -EINVAL; /* the guest's own mistake */
	w = calloc(1, sizeof *w);
	if (!w)
		return -ENOMEM;
	w->group = group;
	w->id = id;
	w->mask = mask;
	w->on = o;
	w->next = o->watches;
	o->watches = w;
	*watch_at(n, group, id) = w;
	o->n_watches++;
	n->n_watches++;
	return 0;
}

static int watch_change(struct watch *w, uint32_t mask)
{
	if (mask & IN_MASK_CREATE)
		return -EEXIST;
	w->mask = mask & IN_MASK_ADD ? w->mask | mask : mask;
	return 0;
}

/* What all its watches want together. */
static uint32_t wanted(const struct object *o)
{
	uint32_t events = 0, excl = IN_EXCL_UNLINK;

	for (const struct watch *w = o->watches; w; w = w->next) {
		events |= w->mask & IN_ALL_EVENTS;
		excl &= w->mask;
	}
	return events | excl;
}

static int watch_locked(struct notify *n, const struct node *node,
                        const struct statx *stx, uint32_t group, uint32_t mask,
                        uint32_t *watch)
{
	struct object *o;
	struct watch *w;
	int r;

	/* Added to what others want; less only when it is known what they want. */
	r = node->mount->ops->watch(node, n->fd, (mask & IN_ALL_EVENTS) | IN_MASK_ADD);
	if (r < 0)
		return r;
	o = object_get(n, r, node, stx);
	if (!o) {
		(void)inotify_rm_watch(n->fd, r);
		return -ENOMEM;
	}
	w = watch_of(o, group);
	r = w ? watch_change(w, mask) : watch_new(n, o, group, *watch, mask);
	if (r == 0)
		*watch = w ? w->id : *watch;
	if (r == 0 && wanted(o) != o->mask &&
	    node->mount->ops->watch(node, n->fd, wanted(o)) == o->wd)
		o->mask = wanted(o);
	object_unused(n, o);
	return r;
}

int notify_watch(struct session *s, const struct node *n, const struct statx *stx,
                 uint32_t group, uint32_t mask, uint32_t *watch)
{
	struct notify *of;
	int r = -ENOSPC; /* of the kernel's instances: as of watches */

	pthread_mutex_lock(&g_notify.lock);
	of = notify_get(s);
	if (of)
		r = watch_locked(of, n, stx, group, mask, watch);
	pthread_mutex_unlock(&g_notify.lock);
	return r;
}

void notify_unwatch(struct session *s, uint32_t group, uint32_t watch)
{
	struct notify *n = atomic_load_explicit(&s->notify, memory_order_acquire);

	if (!n)
		return;
	pthread_mutex_lock(&g_notify.lock);
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct watch *w, *next;

		if (watch && &n->watches[i] != &n->watches[(group * 31 + watch) % BUCKETS])
			continue;
		for (w = n->watches[i]; w; w = next) {
			struct object *o = w->on;

			next = w->hashed;
			if (w->group != group || (watch && w->id != watch))
				continue;
			watch_free(n, w);
			object_unused(n, o);
		}
	}
	pthread_mutex_unlock(&g_notify.lock);
}

void notify_end(struct session *s)
{
	struct notify *n = atomic_load(&s->notify), **at = &g_notify.list;
	struct event *e;

	if (!n)
		return;
	pthread_mutex_lock(&g_notify.lock);
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	atomic_store(&s->notify, NULL);
	pthread_mutex_unlock(&g_notify.lock);
	close(n->fd);
	for (unsigned i = 0; i < BUCKETS; i++)
		while (n->watches[i])
			watch_free(n, n->watches[i]);
	for (unsigned i = 0; i < BUCKETS; i++)
		while (n->objects[i])
			object_free(n, n->objects[i]);
	while ((e = n->first)) {
		n->first = e->next;
		free(e);
	}
	free(n);
}

/* ---- hidden names ---- */

static struct object *find_object(struct notify *n, uint64_t dev, uint64_t ino)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct object *o = n->objects[i]; o; o = o->next)
			if (o->ino == ino && o->dev == dev)
				return o;
	return NULL;
}

bool notify_hide_begin(uint64_t dev, uint64_t ino)
{
	bool hiding = false;

	pthread_mutex_lock(&g_notify.lock);
	for (struct notify *n = g_notify.list; n; n = n->next) {
		struct object *o = find_object(n, dev, ino);

		if (!o)
			continue;
		while (read_kernel(n)) /* what was before is not meant */
			;
		n->hide = find_object(n, dev, ino);
		hiding = true;
	}
	if (!hiding)
		pthread_mutex_unlock(&g_notify.lock);
	return hiding;
}

void notify_hide_end(bool hiding)
{
	if (!hiding)
		return; /* nor is the lock held */
	for (struct notify *n = g_notify.list; n; n = n->next) {
		while (n->hide && read_kernel(n))
			;
		n->hide = NULL;
	}
	pthread_mutex_unlock(&g_notify.lock);
}
