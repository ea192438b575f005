/* SPDX-License-Identifier: MIT */
/*
 * file_lock.c - record locks (POSIX, open file description) and flock at fsd.
 *
 * A request that must wait is answered "queued" and completes by event Done:
 *
 *     SENT -> DONE: granted or refused     (reply)
 *          -> QUEUED -> DONE               (event: on_done)
 *                    -> cancelled          (signal: rpc_cancel)
 *                    -> AGAIN -> SENT      (a later instance of fsd knows no queue)
 *
 * 1. What fsd grants is noted in the owner's list by the leading thread, in the order
 *    in which fsd answered: so the lists are exact when a later instance is asked for
 *    the same locks, whether the threads have seen their answers or not.
 * 2. The request is listed before the call is sent: Done may be read by the leading
 *    thread before the caller sees the reply.
 * 3. A signal ends the wait only if fsd says "cancelled"; if the lock was granted
 *    meanwhile the call succeeds.
 * 4. Tickets are never used again, so a late Done finds nobody.
 */
#include "libos/file.h"
#include "libos/lock.h"
#include "libos/locklist.h"
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

enum op_state { OP_SENT, OP_QUEUED, OP_AGAIN, OP_DONE };

struct lock_op {
	struct rpc_call call; /* first */
	struct lock_op *next; /* g_ops */
	struct file *f;
	const File__LockReq *req;
	struct thread *thread;
	struct lock_spares spares;
	enum op_state state; /* under g_lock */
	int err;             /* of DONE */
};

static struct lock g_lock; /* a leaf; guards g_ops and the lists of locks */
static struct lock_op *g_ops;
static _Atomic uint64_t g_next_ticket = 1;

/* ---- what was granted ---- */

static struct lock_range range_of(const File__LockReq *req)
{
	return (struct lock_range){
	        .start = req->start,
	        .end = req->len ? req->start + req->len - 1 : LOCKLIST_END,
	        .type = (int)req->type,
	        .handle = req->handle,
	};
}

static void note_granted_locked(struct lock_op *op)
{
	const struct lock_range want = range_of(op->req);
	struct fnode *n = op->f->node;

	switch (op->req->kind) {
	case LOCK_KIND_FLOCK:
		op->f->flock = want.type == F_UNLCK ? 0 : (uint8_t)(want.type + 1);
		break;
	case LOCK_KIND_OFD:
		locklist_set(&op->f->locks, &want, &op->spares);
		break;
	default:
		locklist_set(&n->locks, &want, &op->spares);
		if (want.type != F_UNLCK)
			atomic_store_explicit(&n->posix_locks, true,
			                      memory_order_release);
	}
}

/* A flock() that meets another one has lost the one it had. */
static void note_met_locked(struct lock_op *op)
{
	if (op->req->kind == LOCK_KIND_FLOCK)
		op->f->flock = 0;
}

/* ---- what the leading thread hears ---- */

static void on_answer(struct rpc_call *call)
{
	struct lock_op *op = (struct lock_op *)call;

	lock_take(&g_lock);
	if (call->err == 0 && call->queued) {
		note_met_locked(op);
		op->state = OP_QUEUED;
	} else {
		if (call->err == 0)
			note_granted_locked(op);
		else if (call->err == -EAGAIN)
			note_met_locked(op);
		op->state = OP_DONE;
		op->err = call->err;
	}
	lock_drop(&g_lock);
}

static void end_wait_locked(struct lock_op *op, enum op_state state, int err)
{
	op->state = state;
	op->err = err;
	thread_unpark(op->thread);
}

void file_lock_on_done(uint64_t ticket, int err)
{
	lock_take(&g_lock);
	for (struct lock_op *op = g_ops; op; op = op->next) {
		if (op->state != OP_QUEUED || op->req->ticket != ticket)
			continue;
		if (err == 0)
			note_granted_locked(op);
		end_wait_locked(op, OP_DONE, err);
	}
	lock_drop(&g_lock);
}

void file_lock_on_lost(void)
{
	lock_take(&g_lock);
	for (struct lock_op *op = g_ops; op; op = op->next) {
		if (op->state == OP_QUEUED)
			end_wait_locked(op, OP_DONE, -EIO);
	}
	lock_drop(&g_lock);
}

/* ---- one request ---- */

static void op_list(struct lock_op *op)
{
	op->state = OP_SENT;
	lock_take(&g_lock);
	op->next = g_ops;
	g_ops = op;
	lock_drop(&g_lock);
}

static void op_unlist(struct lock_op *op)
{
	struct lock_op **at = &g_ops;

	lock_take(&g_lock);
	while (*at != op)
		at = &(*at)->next;
	*at = op->next;
	lock_drop(&g_lock);
}

static enum op_state op_state(struct lock_op *op)
{
	enum op_state state;

	lock_take(&g_lock);
	state = op->state;
	lock_drop(&g_lock);
	return state;
}

/* Until it is DONE, or AGAIN: 0.  -ERESTARTSYS: cancelled. */
static long wait_for_done(struct lock_op *op)
{
	int err;

	while (op_state(op) == OP_QUEUED) {
		if (thread_park(PLAT_NO_DEADLINE, PARK_INTR | PARK_RINGS) != -EINTR)
			continue;
		if (op_state(op) != OP_QUEUED)
			break;
		if (rpc_cancel(&g_file_chan, op->req->ticket, &err) == 1)
			return -ERESTARTSYS;
		/* It was done before, and so read before; or fsd is another one, that
		 * knows nothing of it. */
		if (op_state(op) == OP_DONE)
			break;
		if (op_state(op) == OP_AGAIN)
			return -ERESTARTSYS;
		return err < 0 ? err : -EIO; /* a lie */
	}
	return 0;
}

/* Ask once; 0 with op->state DONE or AGAIN, or cancelled. */
static long ask(struct lock_op *op, File__LockReq *req)
{
	long r;

	rpc_call_init(&op->call);
	op->call.answered = on_answer;
	op->call.urgent = req->type == F_UNLCK;
	if (req->wait)
		req->ticket = atomic_fetch_add_explicit(&g_next_ticket, 1,
		                                        memory_order_relaxed);
	op_list(op);
	FILE_CALL(lock, LockRep, req, &op->call);
	r = op->call.err;
	if (r == 0)
		r = wait_for_done(op);
	op_unlist(op);
	return r;
}

static long send_lock(struct file *f, File__LockReq *req)
{
	const bool splits = req->kind != LOCK_KIND_FLOCK &&
	                    (req->type != F_UNLCK || req->start || req->len);
	struct lock_op op;
	long r = 0;

	op.f = f;
	op.req = req;
	op.thread = self();
	op.spares = (struct lock_spares){0};
	if (splits)
		r = locklist_spares(&op.spares);
	if (r < 0)
		return r;
	do
		r = ask(&op, req);
	while (r == 0 && op.state == OP_AGAIN);
	locklist_unspare(&op.spares);
	return r == 0 ? op.err : r;
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
	return send_lock(f, &req);
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
	(void)send_lock(f, &req);
}

static bool asked_by_locked(const struct lock_range *l, uint32_t handle)
{
	for (; l; l = l->next) {
		if (l->handle == handle)
			return true;
	}
	return false;
}

void file_lock_on_release(struct file *f)
{
	bool late;

	lock_take(&g_lock);
	/* Granted while the last descriptor was being closed. */
	late = f->node && asked_by_locked(f->node->locks, f->handle);
	locklist_clear(&f->locks);
	f->flock = 0;
	lock_drop(&g_lock);
	if (late)
		file_lock_on_close(f);
}

void file_lock_forget(struct fnode *n)
{
	lock_take(&g_lock);
	locklist_clear(&n->locks);
	lock_drop(&g_lock);
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
	return send_lock(file_of(o), &req);
}

/* ---- a later instance of fsd ---- */

/* The next lock of @f, POSIX ones that were asked for by it included, from (*@kind,
 * *@from) on. */
static bool next_locked(struct file *f, uint32_t *kind, uint64_t *from,
                        struct lock_range *out)
{
	const struct lock_range *l;

	if (!atomic_load(&f->known))
		return false; /* being released: its node may go, too */
	for (; *kind < LOCK_KIND_FLOCK; (*kind)++, *from = 0) {
		l = *kind == LOCK_KIND_OFD ? f->locks : f->node ? f->node->locks : NULL;
		while (l && (l->start < *from || l->handle != f->handle))
			l = l->next;
		if (l) {
			*out = *l;
			return true;
		}
	}
	if (*from > 0 || !f->flock)
		return false;
	*out = (struct lock_range){.end = LOCKLIST_END, .type = f->flock - 1};
	return true;
}

/* fsd would not have it: another one has it now, or the file is gone. */
static void forget_one(struct file *f, uint32_t kind, const struct lock_range *l)
{
	struct lock_range off = *l;
	struct lock_spares none = {0};

	off.type = F_UNLCK;
	lock_take(&g_lock);
	if (kind == LOCK_KIND_FLOCK)
		f->flock = 0;
	else if (kind == LOCK_KIND_OFD)
		locklist_set(&f->locks, &off, &none); /* all of a range: never splits */
	else if (atomic_load(&f->known))
		locklist_set(&f->node->locks, &off, &none);
	lock_drop(&g_lock);
}

static int reclaim(const struct file *f, uint32_t kind, const struct lock_range *l)
{
	File__LockReq req = FILE__LOCK_REQ__INIT;
	struct rpc_call call;

	rpc_call_init(&call);
	req.handle = f->handle;
	req.kind = kind;
	req.type = (uint32_t)l->type;
	req.start = l->start;
	req.len = l->end >= LOCKLIST_END ? 0 : l->end - l->start + 1;
	req.reclaim = 1;
	FILE_CALL(lock, LockRep, &req, &call);
	return call.err;
}

int file_lock_restore(struct file *f)
{
	uint32_t kind = LOCK_KIND_POSIX;
	uint64_t from = 0;
	struct lock_range l;
	bool more;
	int r;

	for (;;) {
		lock_take(&g_lock);
		more = next_locked(f, &kind, &from, &l);
		lock_drop(&g_lock);
		if (!more)
			return 0;
		r = reclaim(f, kind, &l);
		if (r < 0 && rpc_ping(&g_file_chan) < 0)
			return r;
		if (r < 0) {
			rpc_log("fsd", "a lock that was held could not be had again");
			forget_one(f, kind, &l);
		}
		from = l.end + 1;
	}
}

void file_lock_restored(void)
{
	lock_take(&g_lock);
	for (struct lock_op *op = g_ops; op; op = op->next) {
		if (op->state == OP_QUEUED)
			end_wait_locked(op, OP_AGAIN, 0);
	}
	lock_drop(&g_lock);
}
