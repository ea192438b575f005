/* SPDX-License-Identifier: MIT */
/*
 * file_lock.c - record locks (POSIX, open file description) and flock at fsd.
 *
 * A request that must wait is answered "queued" and completes by event Done:
 *
 *     listed -> call -> granted or refused          (reply)
 *                    -> queued -> done              (event: on_done, leader)
 *                              -> cancelled         (signal: rpc_cancel)
 *
 * 1. The waiter is listed before the call is sent: Done may be read by the
 *    leading thread before the caller sees the reply.
 * 2. A signal ends the wait only if fsd says "cancelled"; if the lock was granted
 *    meanwhile the call succeeds.
 * 3. Tickets are never used again, so a late Done finds nobody.
 */
#include "libos/file.h"
#include "libos/lock.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/file.h>

#define LOCK_KIND_POSIX 0u
#define LOCK_KIND_OFD 1u
#define LOCK_KIND_FLOCK 2u

#define K_OFD_GETLK 36
#define K_OFD_SETLK 37
#define K_OFD_SETLKW 38

struct lock_waiter {
	struct lock_waiter *next; /* under g_wait_lock */
	uint64_t ticket;
	struct thread *thread;
	bool done; /* under g_wait_lock */
	int err;
};

static struct lock g_wait_lock;
static struct lock_waiter *g_waiters;
static _Atomic uint64_t g_next_ticket = 1;

/* ---- waiting ---- */

static void waiter_list(struct lock_waiter *w)
{
	w->ticket = atomic_fetch_add_explicit(&g_next_ticket, 1, memory_order_relaxed);
	w->thread = self();
	w->done = false;
	w->err = 0;
	lock_take(&g_wait_lock);
	w->next = g_waiters;
	g_waiters = w;
	lock_drop(&g_wait_lock);
}

static void waiter_unlist(struct lock_waiter *w)
{
	struct lock_waiter **at;

	lock_take(&g_wait_lock);
	for (at = &g_waiters; *at; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			break;
		}
	}
	lock_drop(&g_wait_lock);
}

static bool waiter_done(struct lock_waiter *w)
{
	bool done;

	lock_take(&g_wait_lock);
	done = w->done;
	lock_drop(&g_wait_lock);
	return done;
}

void file_lock_on_done(uint64_t ticket, int err)
{
	lock_take(&g_wait_lock);
	for (struct lock_waiter *w = g_waiters; w; w = w->next) {
		if (w->ticket == ticket && !w->done) {
			w->done = true;
			w->err = err;
			thread_unpark(w->thread);
		}
	}
	lock_drop(&g_wait_lock);
}

void file_lock_on_lost(void)
{
	lock_take(&g_wait_lock);
	for (struct lock_waiter *w = g_waiters; w; w = w->next) {
		if (!w->done) {
			w->done = true;
			w->err = -EIO;
			thread_unpark(w->thread);
		}
	}
	lock_drop(&g_wait_lock);
}

static long wait_for_done(struct lock_waiter *w)
{
	int err;

	while (!waiter_done(w)) {
		if (thread_park(PLAT_NO_DEADLINE, PARK_INTR | PARK_RINGS) != -EINTR)
			continue;
		if (waiter_done(w))
			break;
		if (rpc_cancel(&g_file_chan, w->ticket, &err) == 1)
			return -ERESTARTSYS;
		return err;
	}
	return w->err;
}

/* ---- one request ---- */

static long send_lock(File__LockReq *req)
{
	struct lock_waiter w = {0};
	struct rpc_call call;
	long r;

	if (req->wait) {
		waiter_list(&w);
		req->ticket = w.ticket;
	}
	rpc_call_init(&call);
	call.urgent = req->type == F_UNLCK;
	FILE_CALL(lock, LockRep, req, &call);
	r = call.err;
	if (req->wait) {
		if (r == 0 &&
		    (call.queued || ((const File__LockRep *)call.reply)->queued))
			r = wait_for_done(&w);
		waiter_unlist(&w);
	}
	return r;
}

static long send_getlock(const File__LockReq *req, struct flock *fl)
{
	const File__LockRep *rep;
	struct rpc_call call;

	rpc_call_init(&call);
	FILE_CALL(get_lock, LockRep, req, &call);
	if (call.err)
		return call.err;
	rep = (const File__LockRep *)call.reply;
	fl->l_type = (short)rep->type;
	if (rep->type == F_UNLCK)
		return 0;
	fl->l_whence = SEEK_SET;
	fl->l_start = (off_t)rep->start;
	fl->l_len = (off_t)rep->len;
	fl->l_pid = (pid_t)rep->pid;
	return 0;
}

/* ---- fcntl ---- */

/* The range as start and length from the file's beginning. */
static long to_range(struct file *f, const struct flock *fl, File__LockReq *req)
{
	int64_t start = 0, end;
	struct kstat st;
	long r;

	if (fl->l_whence == SEEK_CUR) {
		r = ofd_pos_lock(&f->ofd);
		if (r < 0)
			return r;
		start = (int64_t)f->ofd.pos;
		ofd_pos_unlock(&f->ofd);
	} else if (fl->l_whence == SEEK_END) {
		r = file_stat_handle(f->handle, &st);
		if (r < 0)
			return r;
		start = st.st_size;
	} else if (fl->l_whence != SEEK_SET) {
		return -EINVAL;
	}
	if (__builtin_add_overflow(start, (int64_t)fl->l_start, &start))
		return -EOVERFLOW;
	if (start < 0)
		return -EINVAL;
	if (fl->l_len > 0) {
		if (__builtin_add_overflow(start, (int64_t)fl->l_len - 1, &end))
			return -EOVERFLOW;
	} else if (fl->l_len < 0) {
		if (start + fl->l_len < 0)
			return -EINVAL;
		start += fl->l_len;
	}
	req->start = (uint64_t)start;
	req->len = fl->l_len < 0 ? (uint64_t)-fl->l_len : (uint64_t)fl->l_len;
	return 0;
}

static long check_type(const struct ofd *o, int type, bool get)
{
	uint32_t mode = o->flags & ABI_ACCMODE;

	if (type == F_UNLCK)
		return get ? -EINVAL : 0;
	if (type != F_RDLCK && type != F_WRLCK)
		return -EINVAL;
	if (get)
		return 0;
	if (type == F_RDLCK && mode == O_WRONLY)
		return -EBADF;
	if (type == F_WRLCK && mode == O_RDONLY)
		return -EBADF;
	return 0;
}

long file_lock(struct ofd *o, int cmd, struct flock *fl)
{
	bool ofd = cmd == K_OFD_GETLK || cmd == K_OFD_SETLK || cmd == K_OFD_SETLKW;
	bool get = cmd == F_GETLK || cmd == K_OFD_GETLK;
	File__LockReq req = FILE__LOCK_REQ__INIT;
	struct file *f = file_of(o);
	long r;

	if (ofd && fl->l_pid != 0)
		return -EINVAL;
	r = check_type(o, fl->l_type, get);
	if (r == 0)
		r = to_range(f, fl, &req);
	if (r < 0)
		return r;
	req.handle = f->handle;
	req.kind = ofd ? LOCK_KIND_OFD : LOCK_KIND_POSIX;
	req.type = (uint32_t)fl->l_type;
	req.wait = (cmd == F_SETLKW || cmd == K_OFD_SETLKW) && fl->l_type != F_UNLCK;
	if (get)
		return send_getlock(&req, fl);
	/* Before the call: a close() beside it must not miss the lock. */
	if (!ofd && f->node && fl->l_type != F_UNLCK)
		atomic_store_explicit(&f->node->posix_locks, true,
		                      memory_order_release);
	return send_lock(&req);
}

void file_lock_on_close(struct file *f)
{
	File__LockReq req = FILE__LOCK_REQ__INIT;

	if (!f->node || !atomic_exchange_explicit(&f->node->posix_locks, false,
	                                          memory_order_acq_rel))
		return;
	req.handle = f->handle;
	req.kind = LOCK_KIND_POSIX;
	req.type = F_UNLCK;
	/* Fails only when the channel is gone, and the locks with it. */
	(void)send_lock(&req);
}

/* ---- flock ---- */

long file_flock(struct ofd *o, int op)
{
	File__LockReq req = FILE__LOCK_REQ__INIT;

	switch (op & ~LOCK_NB) {
	case LOCK_SH:
		req.type = F_RDLCK;
		break;
	case LOCK_EX:
		req.type = F_WRLCK;
		break;
	case LOCK_UN:
		req.type = F_UNLCK;
		break;
	default:
		return -EINVAL;
	}
	req.handle = file_of(o)->handle;
	req.kind = LOCK_KIND_FLOCK;
	req.wait = !(op & LOCK_NB) && req.type != F_UNLCK;
	return send_lock(&req);
}
