/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/serve.h"

#include "services/fsd/names.h"
#include "services/fsd/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static struct {
	const struct mounts *mounts;
	_Atomic uint64_t verifier;
	void (*wake)(void);
	const struct instance *inst;
	unsigned n_sessions;
	_Atomic unsigned n_again; /* tasks that say so */
	struct task *parked;      /* loop's thread, in order */
	pthread_mutex_t lock;     /* guards resume */
	struct handle *resume;
} g_serve = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define OFF(type, field) offsetof(File__##type, field)
#define PATH(type) .cred = OFF(type, cred), .base = OFF(type, at)
#define TWO(type)                                                                      \
	.cred = OFF(type, cred), .base = OFF(type, old_base),                          \
	.base2 = OFF(type, new_base)
#define HANDLE(type) .base = OFF(type, handle), .handle = true

/* In the order of the service block of file.proto. */
static const struct method g_methods[] = {
        {.run = serve_set_cred, .class = SERVE_LOOP},
        {serve_open, SERVE_LOOK, PATH(OpenReq), .opens = OFF(OpenReq, handle)},
        {serve_release, SERVE_LOOP, HANDLE(HandleReq)},
        {serve_read, SERVE_LOOK, HANDLE(ReadReq)},
        {serve_write, SERVE_NAMES, HANDLE(WriteReq)},
        {serve_stat, SERVE_LOOK, PATH(PathReq)},
        {serve_set_attr, SERVE_NAMES, PATH(SetAttrReq)},
        {serve_access, SERVE_LOOK, PATH(PathReq)},
        {serve_readlink, SERVE_LOOK, PATH(PathReq)},
        {serve_mkdir, SERVE_NAMES, PATH(MakeReq)},
        {serve_mknod, SERVE_NAMES, PATH(MakeReq)},
        {serve_symlink, SERVE_NAMES, PATH(MakeReq)},
        {serve_link, SERVE_NAMES, TWO(TwoPathReq)},
        {serve_rename, SERVE_NAMES, TWO(TwoPathReq)},
        {serve_unlink, SERVE_NAMES, PATH(PathReq)},
        {serve_readdir, SERVE_NAMES, HANDLE(ReaddirReq)},
        {serve_statfs, SERVE_LOOK, PATH(PathReq)},
        {serve_sync, SERVE_SLOW, .base = OFF(SyncReq, handle)},
        {serve_fallocate, SERVE_SLOW, HANDLE(RangeReq)},
        {serve_seek, SERVE_NAMES, HANDLE(RangeReq)},
        {serve_readahead, SERVE_SLOW, HANDLE(RangeReq)},
        {serve_copy_range, SERVE_SLOW, .base = OFF(CopyReq, in_handle),
         .base2 = OFF(CopyReq, out_handle), .handle = true},
        {serve_lock, SERVE_LOOP, HANDLE(LockReq)},
        {serve_get_lock, SERVE_LOOP, HANDLE(LockReq)},
        {serve_get_xattr, SERVE_NAMES, PATH(XattrReq)},
        {serve_set_xattr, SERVE_NAMES, PATH(XattrReq)},
        {serve_list_xattr, SERVE_NAMES, PATH(XattrReq)},
        {serve_remove_xattr, SERVE_NAMES, PATH(XattrReq)},
        {serve_getcwd, SERVE_LOOK, HANDLE(HandleReq)},
        {serve_leaves, SERVE_LOOK, PATH(PathReq)},
        {serve_reopen, SERVE_NAMES, .cred = OFF(ReopenReq, cred),
         .opens = OFF(ReopenReq, handle)},
        {serve_watch, SERVE_NAMES, PATH(WatchReq)},
        {.run = serve_unwatch, .class = SERVE_LOOP},
        {.run = serve_event_only, .class = SERVE_LOOP},
};

#define READAHEAD_QUEUE 32u
#define WAITING_MAX (2 * RPC_SLOTS_MAX)

void serve_init(const struct mounts *mounts, const struct instance *inst,
                uint64_t verifier, void (*wake)(void))
{
	g_serve.mounts = mounts;
	g_serve.inst = inst;
	atomic_store(&g_serve.verifier, verifier);
	g_serve.wake = wake;
}

void serve_tick(uint64_t now_s)
{
	static uint64_t last;

	if (now_s - last < ORPHANS_TOUCH_S || cred_use(NULL) < 0)
		return;
	last = now_s;
	for (unsigned i = 0; i < g_serve.mounts->n; i++)
		if (!g_serve.mounts->list[i]->read_only)
			g_serve.mounts->list[i]->ops->orphan_touch(
			        g_serve.mounts->list[i]);
}

void serve_sessions(unsigned n)
{
	g_serve.n_sessions = n;
}

const struct mounts *serve_mounts(void)
{
	return g_serve.mounts;
}

const struct instance *serve_instance(void)
{
	return g_serve.inst;
}

uint64_t serve_verifier(void)
{
	return atomic_load_explicit(&g_serve.verifier, memory_order_relaxed);
}

void serve_verifier_bump(void)
{
	atomic_fetch_add(&g_serve.verifier, 1);
}

/* ---- a task's life ---- */

static uint32_t field(const struct task *t, uint16_t off)
{
	uint32_t v;

	memcpy(&v, (const char *)t->req->msg + off, sizeof v);
	return v;
}

static void task_drop_refs(struct task *t)
{
	for (int i = 0; i < 2; i++)
		if (t->h[i])
			handle_put(t->h[i]);
	cred_put(t->cred);
	t->h[0] = t->h[1] = NULL;
	t->cred = NULL;
}

/* Mark the new handle and let the calls that wait for it go on.  One that failed
 * leaves the table, which only the loop may do. */
static void opened(struct task *t, enum handle_state state)
{
	struct handle *h = t->opening;
	bool waiters;

	t->opening = NULL;
	pthread_mutex_lock(&h->lock);
	h->state = state;
	waiters = h->waiters != NULL;
	pthread_mutex_unlock(&h->lock);
	if (!waiters && (state != HANDLE_FAILED || t->on_loop)) {
		if (state == HANDLE_FAILED)
			handle_drop(t->session, h);
		handle_put(h);
		return;
	}
	pthread_mutex_lock(&g_serve.lock);
	h->resume = g_serve.resume;
	g_serve.resume = h;
	pthread_mutex_unlock(&g_serve.lock);
	g_serve.wake();
}

static void task_finish(struct task *t, int r)
{
	if (t->opening)
		opened(t, t->method->run == serve_reopen ? HANDLE_STALE
		                                         : HANDLE_FAILED);
	task_drop_refs(t);
	notify_flush(t->session);
	if (r == -EMFILE)
		r = -ENFILE; /* our table is full, not the guest's */
	if (r <= 0)
		rpc_reply(t->req, -r, NULL, NULL, 0);
	if (t->again && atomic_fetch_sub(&g_serve.n_again, 1) == 1)
		g_serve.wake();
	t->again = false;
}

static int task_run(struct task *t)
{
	const int r = t->cred ? cred_use(t->cred) : 0;

	return r < 0 ? r : t->method->run(t);
}

static void task_work(struct pool_job *job)
{
	struct task *t = (struct task *)job;

	t->nowait = false;
	task_finish(t, task_run(t));
	free(t);
}

static struct task *task_copy(const struct task *t)
{
	struct task *c = malloc(sizeof *c);

	if (c)
		*c = *t;
	return c;
}

static void to_worker(struct task *t)
{
	struct task *c;

	if (t->method->run == serve_readahead &&
	    pool_queue_len(&t->session->queue) > READAHEAD_QUEUE) {
		task_finish(t,
		            0); /* advice only: a flood of it is not worth a thread */
		return;
	}
	c = task_copy(t);
	if (!c) {
		task_finish(t, -ENOMEM);
		return;
	}
	c->on_loop = false;
	c->job.run = task_work;
	pool_push(&t->session->queue, &c->job);
}

/* ---- looking up what a call names ---- */

/* @h is being opened, or calls before this one still wait for it: wait too. */
static bool must_wait(struct task *t, struct handle *h, bool resumed, int *err)
{
	bool wait;

	*err = 0;
	pthread_mutex_lock(&h->lock);
	wait = h->state == HANDLE_PENDING || (!resumed && h->waiters);
	if (wait) {
		struct task *c =
		        t->session->n_waiting < WAITING_MAX ? task_copy(t) : NULL;
		struct task **p = &h->waiters;

		while (*p)
			p = &(*p)->next;
		if (c) {
			c->next = NULL;
			c->cred = NULL;
			c->h[0] = c->h[1] = NULL;
			*p = c;
			t->session->n_waiting++;
		} else {
			*err = -EBUSY; /* only a flood of posts gets here */
		}
	}
	pthread_mutex_unlock(&h->lock);
	return wait;
}

static int take_handle(struct task *t, int n, uint32_t id, bool resumed)
{
	struct handle *h;
	int err;

	if (id == 0)
		return t->method->handle ? -EBADF : 0;
	h = handle_find(t->session, id);
	if (!h)
		return -EBADF;
	if (must_wait(t, h, resumed, &err)) {
		handle_put(h);
		return err < 0 ? err : SERVED;
	}
	t->h[n] = h;
	if (h->state == HANDLE_STALE && t->method->run != serve_release)
		return -ESTALE;
	return h->state != HANDLE_FAILED ? 0 : -EBADF;
}

static int take_names(struct task *t, bool resumed)
{
	const struct method *m = t->method;
	int r = 0;

	if (m->base)
		r = take_handle(t, 0, field(t, m->base), resumed);
	if (r == 0 && m->base2)
		r = take_handle(t, 1, field(t, m->base2), resumed);
	if (r == 0 && m->cred) {
		struct cred *c = session_cred(t->session, field(t, m->cred));

		if (!c)
			return -EINVAL;
		t->cred = cred_get(c);
	} else if (r == 0 && t->h[0] && m->class != SERVE_LOOP) {
		t->cred = cred_get(t->h[0]->cred);
	}
	if (r == 0 && m->opens)
		r = handle_new(t->session, field(t, m->opens), &t->opening);
	return r;
}

static bool cuts(const struct task *t)
{
	return ((const File__SetAttrReq *)t->req->msg)->what & FILE_SET_SIZE;
}

/* May run() be tried on the loop's thread? */
static bool try_inline(const struct task *t)
{
	const struct mount *m =
	        t->h[0] ? t->h[0]->place.node.mount : g_serve.mounts->mount;

	switch (t->method->class) {
	case SERVE_FAST:
	case SERVE_LOOP:
	case SERVE_LOOK:
		return true;
	case SERVE_NAMES:
		if (t->method->run == serve_set_attr && cuts(t) && !m->memory)
			return false;
		return g_serve.n_sessions <= 1 ||
		       (m->memory && g_serve.mounts->n == 1) ||
		       (m->memory && t->method->handle);
	default:
		return m->memory && t->h[0] && t->method->run != serve_copy_range;
	}
}

/* A new name is seldom in the kernel's cache: tried without waiting, creation would
 * go to a worker each time.  With one guest only, that buys nothing. */
static bool creates_alone(const struct task *t)
{
	return g_serve.n_sessions <= 1 && t->method->run == serve_open &&
	       (((const File__OpenReq *)t->req->msg)->flags & O_CREAT);
}

static void start(struct task *t, bool resumed)
{
	int r;

	t->on_loop = true;
	r = t->session->dead ? -EIO : take_names(t, resumed);

	if (r != 0) {
		if (r == SERVED)
			task_drop_refs(t); /* a copy waits */
		else
			task_finish(t, r);
		return;
	}
	if (!try_inline(t)) {
		to_worker(t);
		return;
	}
	t->nowait = t->method->class == SERVE_LOOK && !creates_alone(t);
	r = task_run(t);
	if (r == SERVE_DEFER || (r == -EAGAIN && t->nowait))
		to_worker(t);
	else
		task_finish(t, r);
}

static void begin(struct task *t)
{
	t->again = rpc_req_replay(t->req);
	if (t->again)
		atomic_fetch_add(&g_serve.n_again, 1);
	start(t, false);
}

static void serve_call(void *data)
{
	struct rpc_req *req = data;
	struct task t = {.req = req, .session = rpc_conn_ctx(req->conn)};

	t.method = &g_methods[FRAME_INDEX(req->hdr.method)];
	/* Slots bound the calls in flight; a post has none, so only what takes no time
	 * or may be dropped can be one. */
	if (req->hdr.kind == FRAME_POST && t.method->run != serve_release &&
	    t.method->run != serve_readahead && t.method->run != serve_unwatch)
		rpc_reply(req, EINVAL, NULL, NULL, 0);
	else
		begin(&t);
}

/* ---- an instance after another ---- */

int serve_park(struct task *t)
{
	struct task *c = task_copy(t), **p = &g_serve.parked;

	if (!c)
		return -ENOMEM;
	c->again = false; /* what it waits for must not wait for it */
	c->cred = NULL;
	c->h[0] = c->h[1] = NULL;
	c->next = NULL;
	while (*p)
		p = &(*p)->next;
	*p = c;
	return SERVED;
}

void serve_recover(void)
{
	names_recover(true);
}

bool serve_recovers(unsigned index, bool back)
{
	const struct method *m =
	        index < sizeof g_methods / sizeof g_methods[0] ? &g_methods[index] : NULL;

	return m && (m->run == serve_set_cred || m->run == serve_reopen ||
	             ((m->run == serve_lock || m->run == serve_watch) && !back));
}

bool serve_all_again(void)
{
	return atomic_load(&g_serve.n_again) == 0;
}

void serve_recovered(bool all)
{
	struct task *t, *next = g_serve.parked;

	names_recover(false);
	for (unsigned i = 0; all && i < g_serve.mounts->n; i++) {
		struct mount *m = g_serve.mounts->list[i];

		if (m->read_only)
			continue;
		pthread_mutex_lock(&m->names);
		if (cred_use(NULL) == 0)
			m->ops->orphan_sweep(m, inode_keeps);
		pthread_mutex_unlock(&m->names);
	}
	g_serve.parked = NULL;
	while ((t = next)) {
		next = t->next;
		t->next = NULL;
		start(t, false);
		free(t);
	}
}

static struct task *pop_waiter(struct handle *h)
{
	struct task *t;

	pthread_mutex_lock(&h->lock);
	t = h->waiters;
	if (t)
		h->waiters = t->next;
	pthread_mutex_unlock(&h->lock);
	return t;
}

void serve_resume(void)
{
	struct handle *h, *next;

	pthread_mutex_lock(&g_serve.lock);
	h = g_serve.resume;
	g_serve.resume = NULL;
	pthread_mutex_unlock(&g_serve.lock);
	for (; h; h = next) {
		struct task *t;

		next = h->resume;
		while ((t = pop_waiter(h))) {
			t->next = NULL;
			t->session->n_waiting--;
			start(t, true);
			free(t);
		}
		if (h->state == HANDLE_FAILED)
			handle_drop(h->session, h);
		handle_put(h);
	}
}

/* ---- the generated service ---- */

#define STUB(name, in, out)                                                            \
	static void call_##name(File__File_Service *s, const File__##in *m,            \
	                        File__##out##_Closure done, void *data)                \
	{                                                                              \
		(void)s;                                                               \
		(void)m;                                                               \
		(void)done;                                                            \
		serve_call(data);                                                      \
	}

STUB(set_cred, SetCredReq, Empty)
STUB(open, OpenReq, OpenRep)
STUB(release, HandleReq, Empty)
STUB(read, ReadReq, Empty)
STUB(write, WriteReq, WriteRep)
STUB(stat, PathReq, AttrRep)
STUB(set_attr, SetAttrReq, AttrRep)
STUB(access, PathReq, Empty)
STUB(readlink, PathReq, Empty)
STUB(mkdir, MakeReq, Empty)
STUB(mknod, MakeReq, Empty)
STUB(symlink, MakeReq, Empty)
STUB(link, TwoPathReq, Empty)
STUB(rename, TwoPathReq, Empty)
STUB(unlink, PathReq, Empty)
STUB(readdir, ReaddirReq, ReaddirRep)
STUB(statfs, PathReq, StatfsRep)
STUB(sync, SyncReq, SyncRep)
STUB(fallocate, RangeReq, Empty)
STUB(seek, RangeReq, OffsetRep)
STUB(readahead, RangeReq, Empty)
STUB(copy_range, CopyReq, WriteRep)
STUB(lock, LockReq, LockRep)
STUB(get_lock, LockReq, LockRep)
STUB(get_xattr, XattrReq, XattrRep)
STUB(set_xattr, XattrReq, XattrRep)
STUB(list_xattr, XattrReq, XattrRep)
STUB(remove_xattr, XattrReq, XattrRep)
STUB(getcwd, HandleReq, Empty)
STUB(leaves, PathReq, Empty)
STUB(reopen, ReopenReq, OpenRep)
STUB(watch, WatchReq, WatchRep)
STUB(unwatch, UnwatchReq, Empty)
STUB(changed, ChangedEvt, Empty)

static File__File_Service g_service = FILE__FILE__INIT(call_);

ProtobufCService *serve_service(void)
{
	_Static_assert(sizeof g_methods / sizeof g_methods[0] == 34,
	               "a method is missing");
	return &g_service.base;
}

/* ---- for the handlers ---- */

void serve_opened(struct task *t)
{
	opened(t, HANDLE_READY);
}

bool serve_must_defer(const struct task *t, const struct mount *m)
{
	return t->nowait && !m->memory && g_serve.n_sessions > 1;
}

int serve_reply(struct task *t, const ProtobufCMessage *msg, const void *payload,
                size_t len)
{
	const struct iovec iov = {(void *)(uintptr_t)payload, len};

	/* First: once answered, the guest's Release must be the file's last. */
	task_drop_refs(t);
	notify_flush(t->session);
	rpc_reply(t->req, 0, msg, &iov, len ? 1 : 0);
	return SERVED;
}

int serve_path(const ProtobufCBinaryData *b, struct serve_path *out)
{
	if (b->len >= sizeof out->s)
		return -ENAMETOOLONG;
	if (b->len && memchr(b->data, 0, b->len))
		return -EINVAL;
	if (b->len)
		memcpy(out->s, b->data, b->len);
	out->s[b->len] = 0;
	return 0;
}

bool serve_is_root(const struct mount *m, const struct statx *stx)
{
	return stx->stx_ino == m->root_ino &&
	       ((uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor) == m->root_dev;
}

static int walk_base(struct walk *w, const struct handle *base)
{
	const struct place *p = base ? &base->place : NULL;
	int r;

	w->it.at = p ? p->at : w->mounts->root;
	r = p ? p->node.mount->ops->dup(&p->node, &w->it.node)
	      : w->mounts->mount->ops->dup(&w->mounts->mount->root, &w->it.node);
	if (r == 0)
		r = w->it.node.mount->ops->attr(&w->it.node, 0, &w->stx);
	if (r < 0)
		walk_fini(w);
	return r;
}

static int do_walk(struct task *t, struct walk *w, const struct handle *base,
                   const ProtobufCBinaryData *path, unsigned flags, uint64_t resolve,
                   int open_flags, char *left)
{
	struct serve_path p;
	int r = serve_path(path, &p);

	*w = (struct walk){.mounts = g_serve.mounts,
	                   .base = base ? &base->place : NULL,
	                   .left = left,
	                   .open_flags = open_flags};
	w->it.node = w->dir.node = NODE_NONE;
	if (r < 0)
		return r;
	if (p.s[0] == 0 && !(flags & (WALK_PARENT | WALK_DEEP)))
		return walk_base(w, base);
	w->path = p.s;
	w->flags = flags | (t->nowait || (resolve & RESOLVE_CACHED) ? WALK_CACHED : 0);
	w->resolve = resolve;
	r = walk_run(w);
	w->path = NULL;
	return r;
}

int serve_walk(struct task *t, struct walk *w, const struct handle *base,
               const ProtobufCBinaryData *path, unsigned flags, uint64_t resolve)
{
	return do_walk(t, w, base, path, flags, resolve, 0, NULL);
}

int serve_walk_left(struct task *t, struct walk *w, const struct handle *base,
                    const ProtobufCBinaryData *path, unsigned flags, uint64_t resolve,
                    char *left)
{
	return do_walk(t, w, base, path, flags, resolve, 0, left);
}

int serve_walk_open(struct task *t, struct walk *w, const struct handle *base,
                    const ProtobufCBinaryData *path, unsigned flags, uint64_t resolve,
                    int open_flags)
{
	return do_walk(t, w, base, path, flags | WALK_OPEN, resolve, open_flags, NULL);
}

int serve_any_parent(struct task *t, struct walk *w, const struct handle *base,
                     const ProtobufCBinaryData *path, uint64_t resolve, int busy)
{
	size_t len;
	int r = serve_walk(t, w, base, path, WALK_PARENT, resolve);

	if (r < 0)
		return r;
	len = strcspn(w->name, "/");
	if (len == 0 || (w->dir.at && mtree_child(w->dir.at, w->name, len)))
		r = busy;
	else if (len == strlen(ORPHANS_DIR) && memcmp(w->name, ORPHANS_DIR, len) == 0)
		r = busy == -EEXIST ? -EPERM : -ENOENT;
	if (r < 0)
		walk_fini(w);
	return r;
}

int serve_parent(struct task *t, struct walk *w, const struct handle *base,
                 const ProtobufCBinaryData *path, uint64_t resolve, int busy)
{
	int r = serve_any_parent(t, w, base, path, resolve, busy);

	if (r < 0 || !w->dir.node.mount->read_only)
		return r;
	walk_fini(w);
	if (busy != -EEXIST)
		return -EROFS;
	/* As Linux: only a name that is not there meets the read-only mount. */
	r = serve_walk(t, w, base, path, WALK_NOFOLLOW, resolve);
	if (r == 0)
		walk_fini(w);
	return r == 0 ? -EEXIST : r == -ENOENT ? -EROFS : r;
}

bool serve_orphaned(const struct handle *h, const struct statx *stx)
{
	struct inode *i = h->inode;
	bool gone;

	if (i)
		return atomic_load(&i->orphaned);
	if (!S_ISREG(stx->stx_mode) || !(i = inode_find(stx)))
		return false;
	gone = atomic_load(&i->orphaned);
	inode_put(i);
	return gone;
}

static uint64_t guest_dev(const struct mount *m, const struct statx *stx)
{
	const uint64_t dev = (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor;

	/* Another file system below the export: apart from the export's own. */
	return dev == m->root_dev ? m->dev : m->dev ^ (dev * 0x9e3779b1u & 0x7ffff);
}

void serve_attr(const struct node *n, const struct handle *h, const struct statx *stx,
                File__Attr *out)
{
	file__attr__init(out);
	out->dev = guest_dev(n->mount, stx);
	out->ino = stx->stx_ino;
	out->mode = stx->stx_mode;
	out->nlink = stx->stx_nlink;
	if (h && out->nlink > 0 && serve_orphaned(h, stx))
		out->nlink--;
	if (h && h->gone_ino)
		out->ino = h->gone_ino;
	out->uid = stx->stx_uid;
	out->gid = stx->stx_gid;
	out->rdev = (uint64_t)stx->stx_rdev_major << 8 | (stx->stx_rdev_minor & 0xff) |
	            (uint64_t)(stx->stx_rdev_minor & ~0xffu) << 12;
	out->size = stx->stx_size;
	out->blksize = stx->stx_blksize;
	out->blocks = stx->stx_blocks;
	out->atime = stx->stx_atime.tv_sec;
	out->atime_ns = stx->stx_atime.tv_nsec;
	out->mtime = stx->stx_mtime.tv_sec;
	out->mtime_ns = stx->stx_mtime.tv_nsec;
	out->ctime = stx->stx_ctime.tv_sec;
	out->ctime_ns = stx->stx_ctime.tv_nsec;
	out->btime = stx->stx_btime.tv_sec;
	out->btime_ns = stx->stx_btime.tv_nsec;
	out->stx_mask = stx->stx_mask & (STATX_BASIC_STATS | STATX_BTIME);
}
