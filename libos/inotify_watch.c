/* SPDX-License-Identifier: MIT */
/*
 * inotify_watch.c - watches: made and removed at fsd, their events, a later instance.
 *
 * Invariants:
 * 1. A watch is in the table from before fsd is asked for it: its first events may
 *    come before the answer is noted.  One that is no more by then is `gone`.
 * 2. Numbers go to fsd as they are.  The one that was asked for is not the one that is
 *    had if the descriptor watches the object already: then it is given back.
 * 3. fsd sends events before the answer to the call that caused them, and close() asks
 *    for an answer while anything is watched: so a program finds in the queue what it
 *    did itself.
 * 4. To a later instance each watch is told again, by the identity of its object; what
 *    happened between is not known, hence IN_Q_OVERFLOW first.  One that cannot be had
 *    again is IN_IGNORED.
 */
#include "libos/inotify.h"

#include "libos/path.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define BUCKETS 1024u
#define POST_UNWATCH 32u
#define EVENT_CHANGED 33u
#define MASK_EVENTS (IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED)
#define MASK_HOW                                                                       \
	(IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_ADD | IN_MASK_CREATE | \
	 IN_ISDIR | IN_ONESHOT)
/* What fsd takes. */
#define MASK_SENT                                                                      \
	(IN_ALL_EVENTS | IN_ONLYDIR | IN_EXCL_UNLINK | IN_MASK_ADD | IN_MASK_CREATE |  \
	 IN_ONESHOT)

static struct pool g_watches = POOL_INIT(struct inotify_watch, RPC_WATCHES_MAX);
static struct inotify_watch *g_table[BUCKETS]; /* under g_inotify_lock */
static _Atomic uint32_t g_n_watches;
static uint32_t g_round; /* recovery's thread alone */

bool inotify_watching(void)
{
	return atomic_load_explicit(&g_n_watches, memory_order_relaxed) != 0;
}

/* ---- the table ---- */

static struct inotify_watch **place_locked(const struct inotify *in, int wd)
{
	struct inotify_watch **at =
	        &g_table[(in->group * 31 + (uint32_t)wd) % BUCKETS];

	while (*at && ((*at)->of != in || (*at)->wd != wd))
		at = &(*at)->next;
	return at;
}

static void free_watch(struct inotify_watch *w)
{
	if (w->ids)
		file_ids_put(w->ids);
	pool_put(&g_watches, w);
}

/* It is no more.  What is to be freed, or NULL if somebody waits for its answer. */
static struct inotify_watch *remove_locked(struct inotify_watch **at)
{
	struct inotify_watch *w = *at;

	*at = w->next;
	w->of->n_watches--;
	atomic_fetch_sub(&g_n_watches, 1);
	w->gone = true;
	return w->pending ? NULL : w;
}

static void add_locked(struct inotify_watch *w)
{
	struct inotify *in = w->of;
	struct inotify_watch **at;

	do
		in->last_wd = in->last_wd == INT_MAX ? 1 : in->last_wd + 1;
	while (*(at = place_locked(in, in->last_wd)));
	w->wd = in->last_wd;
	*at = w;
	in->n_watches++;
	atomic_fetch_add(&g_n_watches, 1);
}

static void post_unwatch(const struct inotify *in, int wd)
{
	File__UnwatchReq req = FILE__UNWATCH_REQ__INIT;

	req.group = in->group;
	req.watch = (uint32_t)wd;
	/* A channel that is gone watches nothing. */
	(void)rpc_post(&g_file_chan, POST_UNWATCH, &req.base, NULL, NULL, 0);
}

void inotify_forget(struct inotify *in)
{
	bool any = false;

	lock_take(&g_inotify_lock);
	for (unsigned i = 0; i < BUCKETS && in->n_watches; i++) {
		struct inotify_watch **at = &g_table[i];

		while (*at) {
			if ((*at)->of == in)
				free_watch(remove_locked(at)); /* nobody waits */
			else
				at = &(*at)->next;
			any = true;
		}
	}
	lock_drop(&g_inotify_lock);
	if (any)
		post_unwatch(in, 0);
}

/* ---- events of fsd ---- */

static const char *check_event(const File__ChangedEvt *ev)
{
	if ((ev->mask & ~(uint32_t)(MASK_EVENTS | IN_ISDIR)) || !(ev->mask & MASK_EVENTS))
		return "event Changed: no such mask";
	if (ev->name.len > NAME_MAX ||
	    (ev->name.len && (memchr(ev->name.data, 0, ev->name.len) ||
	                      memchr(ev->name.data, '/', ev->name.len))))
		return "event Changed: no such name";
	if (!ev->group != !!(ev->mask & IN_Q_OVERFLOW) || ev->watch > INT_MAX)
		return "event Changed: no such watch";
	return NULL;
}

static void lose_locked(struct wake_list *wakes)
{
	for (struct inotify *in = inotify_first_locked(); in; in = in->next) {
		if (in->n_watches)
			inotify_queue_locked(in, -1, IN_Q_OVERFLOW, 0, "", 0, wakes);
	}
}

/* What is to be freed, or NULL. */
static struct inotify_watch *event_locked(const File__ChangedEvt *ev,
                                          struct wake_list *wakes)
{
	struct inotify *in = inotify_find_locked(ev->group);
	struct inotify_watch **at;

	if (ev->mask & IN_Q_OVERFLOW)
		lose_locked(wakes);
	if (!in || !*(at = place_locked(in, (int)ev->watch)))
		return NULL; /* it was removed here meanwhile */
	inotify_queue_locked(in, (int)ev->watch, ev->mask, ev->cookie,
	                     ev->name.len ? (const char *)ev->name.data : "",
	                     (uint32_t)ev->name.len, wakes);
	return ev->mask & IN_IGNORED ? remove_locked(at) : NULL;
}

void inotify_on_event(struct rpc_event *ev)
{
	_Alignas(16) uint8_t mem[1024];
	struct inotify_watch *dead = NULL;
	struct wake_list wakes = {.n = 0};
	const File__ChangedEvt *changed;
	struct arena a;

	if (ev->index != EVENT_CHANGED) {
		ev->bad = "method: not an event of this service";
		return;
	}
	arena_init(&a, mem, sizeof(mem));
	changed = file__changed_evt__unpack(&a.pb, ev->msg_len, ev->msg);
	ev->bad = changed ? check_event(changed) : "event Changed: does not decode";
	if (ev->bad)
		return;
	lock_take(&g_inotify_lock);
	dead = event_locked(changed, &wakes);
	lock_drop(&g_inotify_lock);
	wake_list_unpark(&wakes);
	if (dead)
		free_watch(dead);
}

/* ---- watching ---- */

/* fsd's answer is noted: what the watch is, or was changed to. */
static long note_answer(struct inotify_watch *w, const File__WatchRep *rep)
{
	struct inotify *in = w->of;
	struct inotify_watch *old = NULL;
	const int wd = (int)rep->watch;

	if (rep->watch == 0 || rep->watch > INT_MAX || rep->file_id.len > FILE_ID_MAX ||
	    rep->token.len > FILE_TOKEN_LEN)
		return -EIO;
	if (wd != w->wd) {
		old = *place_locked(in, wd);
		if (old && (w->mask & IN_MASK_ADD))
			old->mask |= w->mask;
		else if (old)
			old->mask = w->mask;
		return wd;
	}
	w->ino = rep->ino;
	w->type = rep->type;
	w->id_len = (uint8_t)rep->file_id.len;
	w->token_len = (uint8_t)rep->token.len;
	if (w->id_len)
		memcpy(w->id, rep->file_id.data, w->id_len);
	if (w->token_len)
		memcpy(w->token, rep->token.data, w->token_len);
	return wd;
}

/* @r: what is known so far.  The watch stays if it is what fsd made. */
static long end_pending(struct inotify_watch *w, const File__WatchRep *rep, long r)
{
	struct inotify *in = w->of;
	bool stays;

	lock_take(&g_inotify_lock);
	if (r == 0)
		r = note_answer(w, rep);
	stays = r == w->wd && !w->gone;
	if (!stays && !w->gone)
		(void)remove_locked(place_locked(in, w->wd));
	if (r != w->wd && in->last_wd == w->wd)
		in->last_wd--; /* the next one's */
	w->pending = false;
	lock_drop(&g_inotify_lock);
	if (!stays)
		free_watch(w);
	return r;
}

static long ask(struct inotify_watch *w, const struct fpath *p)
{
	File__WatchReq req = FILE__WATCH_REQ__INIT;
	struct file_watch unsettled;
	struct rpc_call call;
	long r = file_cred(&req.cred);

	if (r < 0)
		return end_pending(w, NULL, r);
	req.at = p->base;
	req.path = file_bytes(p->text, p->len);
	req.flags = p->len ? w->flags : AT_EMPTY_PATH;
	req.mask = w->mask;
	req.group = w->of->group;
	req.watch = (uint32_t)w->wd;
	rpc_call_init(&call);
	file_watch(&call, &unsettled);
	FILE_CALL(watch, WatchRep, &req, &call);
	r = end_pending(w, (const File__WatchRep *)call.reply, call.err);
	file_settled(&unsettled);
	if (r == -ENOSYS) {
		unsupported("inotify_add_watch: the file service is an older one");
		r = -ENOSPC;
	}
	return r;
}

static long watch_at_fsd(struct inotify *in, const struct fpath *p, uint32_t mask)
{
	struct inotify_watch *w = pool_get(&g_watches);

	if (!w)
		return -ENOSPC;
	w->of = in;
	w->pending = true;
	w->mask = mask & MASK_SENT;
	w->flags = mask & IN_DONT_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
	w->ids = file_ids_get();
	if (path_text(p, w->path, sizeof(w->path)) == 0)
		w->path[0] = '\0';
	lock_take(&g_inotify_lock);
	add_locked(w);
	lock_drop(&g_inotify_lock);
	return ask(w, p);
}

/* Names of the guest's own, and what has none: there are no events of those, so that
 * programs look for themselves. */
static long refuse(const struct fpath *p, uint32_t mask)
{
	struct kstat st = {.st_mode = 0};
	long r = p->where == PATH_LOCAL ? local_stat(p->text, &st) : 0;

	if (r < 0)
		return r;
	return (mask & IN_ONLYDIR) && !S_ISDIR(st.st_mode) ? -ENOTDIR : -ENOSPC;
}

static long watch_path(struct inotify *in, const char *user_path, uint32_t mask)
{
	const unsigned flags = mask & IN_DONT_FOLLOW ? PATH_NOFOLLOW : 0;
	struct fpath p;
	long r = path_get(&p, AT_FDCWD, user_path, flags);

	if (r < 0)
		return r;
	do
		r = p.where == PATH_FSD ? watch_at_fsd(in, &p, mask) : refuse(&p, mask);
	while (path_again(&p, flags, &r));
	path_put(&p);
	return r;
}

static long get_inotify(int fd, struct ofd **out)
{
	struct ofd *o = ofd_get_io(fd);

	if (!o)
		return -EBADF;
	if (o->ops->kind != OFD_INOTIFY) {
		ofd_put(o);
		return -EINVAL;
	}
	*out = o;
	return 0;
}

SYSCALL(inotify_add_watch, int fd, const char *user_path, uint32_t mask)
{
	struct ofd *o;
	long r;

	if ((mask & ~(uint32_t)(MASK_EVENTS | MASK_HOW)) || mask == 0)
		return -EINVAL;
	r = get_inotify(fd, &o);
	if (r < 0)
		return r;
	if ((mask & IN_MASK_ADD) && (mask & IN_MASK_CREATE))
		r = -EINVAL;
	else
		r = watch_path((struct inotify *)o, user_path, mask);
	ofd_put(o);
	return r;
}

SYSCALL(inotify_rm_watch, int fd, int wd)
{
	struct inotify_watch **at, *w = NULL;
	struct wake_list wakes = {.n = 0};
	struct inotify *in;
	struct ofd *o;
	long r = get_inotify(fd, &o);

	if (r < 0)
		return r;
	in = (struct inotify *)o;
	lock_take(&g_inotify_lock);
	at = place_locked(in, wd);
	if (*at && !(*at)->pending) {
		w = remove_locked(at);
		inotify_queue_locked(in, wd, IN_IGNORED, 0, "", 0, &wakes);
	}
	lock_drop(&g_inotify_lock);
	wake_list_unpark(&wakes);
	if (w) {
		post_unwatch(in, wd);
		free_watch(w);
	}
	ofd_put(o);
	return w ? 0 : -EINVAL;
}

/* ---- a later instance ---- */

/* 0, what fsd said, or -EPROTO. */
static int send_again(const struct inotify_watch *w, uint32_t group, uint32_t cred)
{
	File__WatchReq req = FILE__WATCH_REQ__INIT;
	const File__WatchRep *rep;
	struct rpc_call call;

	req.cred = cred;
	req.group = group;
	req.watch = (uint32_t)w->wd;
	req.mask = w->mask & ~(uint32_t)(IN_MASK_ADD | IN_MASK_CREATE);
	req.flags = w->flags;
	req.path = file_bytes(w->path, strlen(w->path));
	req.ino = w->ino;
	req.type = w->type;
	req.file_id = file_bytes(w->id, w->id_len);
	req.token = file_bytes(w->token, w->token_len);
	if (!w->id_len && !w->path[0])
		return -ESTALE;
	rpc_call_init(&call);
	FILE_CALL(watch, WatchRep, &req, &call);
	if (call.err)
		return call.err;
	rep = (const File__WatchRep *)call.reply;
	return rep->watch == req.watch && rep->ino == w->ino ? 0 : -EPROTO;
}

/* @w: a copy, with a reference on its ids. */
static int watch_again(const struct inotify_watch *w, uint32_t group, bool known)
{
	struct inotify_watch **at, *dead = NULL;
	struct wake_list wakes = {.n = 0};
	struct inotify *in;
	uint32_t cred = 0;
	int r = w->ids ? file_cred_borrow(w->ids, &cred) : 0, said;

	if (r < 0)
		return r;
	/* Who does not know a call would keep it back until all guests have recovered. */
	said = known ? send_again(w, group, cred) : -ENOSYS;
	if (w->ids)
		r = file_cred_return(cred, w->ids);
	if (r < 0 || (said < 0 && rpc_ping(&g_file_chan) < 0))
		return -EIO;
	if (said == 0)
		return 0;
	lock_take(&g_inotify_lock);
	in = inotify_find_locked(group);
	if (in && *(at = place_locked(in, w->wd))) {
		inotify_queue_locked(in, w->wd, IN_IGNORED, 0, "", 0, &wakes);
		dead = remove_locked(at);
	}
	lock_drop(&g_inotify_lock);
	wake_list_unpark(&wakes);
	if (dead)
		free_watch(dead);
	return 0;
}

/* The next watch of a bucket that was not told yet. */
static bool next_untold(unsigned bucket, struct inotify_watch *copy, uint32_t *group)
{
	struct inotify_watch *w;

	lock_take(&g_inotify_lock);
	w = g_table[bucket];
	while (w && (w->pending || w->round == g_round))
		w = w->next;
	if (w) {
		w->round = g_round;
		*copy = *w;
		*group = w->of->group;
		if (copy->ids)
			file_ids_ref(copy->ids);
	}
	lock_drop(&g_inotify_lock);
	return w != NULL;
}

int inotify_restore(bool known)
{
	struct wake_list wakes = {.n = 0};
	struct inotify_watch copy;
	uint32_t group;
	int r = 0;

	if (!inotify_watching())
		return 0;
	g_round++;
	lock_take(&g_inotify_lock);
	lose_locked(&wakes);
	lock_drop(&g_inotify_lock);
	wake_list_unpark(&wakes);
	for (unsigned i = 0; i < BUCKETS && r == 0; i++) {
		while (r == 0 && next_untold(i, &copy, &group)) {
			r = watch_again(&copy, group, known);
			if (copy.ids)
				file_ids_put(copy.ids);
		}
	}
	return r;
}
