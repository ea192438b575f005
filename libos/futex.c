/* SPDX-License-Identifier: MIT */
/*
 * futex.c - futexes of the program.
 *
 * The key is the address: one process, so shared and private are the same.  A
 * waiter lies on its thread's libos stack, in the list of its bucket; requeue moves
 * it, so a waiter that gives up asks again which bucket it is in.
 *
 * The priority-inheriting forms keep the words as Linux does (owner, WAITERS,
 * OWNER_DIED) and hand over in order of arrival; priorities do not count, since
 * the guest's threads have none that its host honours.
 */
#include "libos/futex.h"

#include "libos/entry.h"
#include "libos/lock.h"
#include "libos/syscall.h"
#include "libos/time.h"
#include "libos/user.h"

#include <errno.h>
#include <linux/futex.h>

#define BUCKETS 256u

struct waiter {
	struct waiter *next, **pprev; /* under the bucket's lock */
	const uint32_t *key;          /* under the bucket's lock */
	struct bucket *_Atomic bucket; /* NULL: woken */
	struct thread *thread;
	uint32_t bitset;
};

struct bucket {
	struct lock lock;
	struct waiter *first, **last;
};

static struct bucket g_buckets[BUCKETS];

static struct bucket *bucket_of(const uint32_t *key)
{
	uint64_t h = (uintptr_t)key >> 2;

	h *= UINT64_C(0x9e3779b97f4a7c15);
	return &g_buckets[h >> 56];
}

static void add_locked(struct bucket *b, struct waiter *w, const uint32_t *key)
{
	if (!b->last)
		b->last = &b->first;
	w->key = key;
	w->next = NULL;
	w->pprev = b->last;
	*b->last = w;
	b->last = &w->next;
	atomic_store(&w->bucket, b);
}

static void remove_locked(struct bucket *b, struct waiter *w)
{
	*w->pprev = w->next;
	if (w->next)
		w->next->pprev = w->pprev;
	else
		b->last = w->pprev;
}

/* After this @w may be gone: its thread goes on. */
static void wake_locked(struct bucket *b, struct waiter *w)
{
	struct thread *t = w->thread;

	remove_locked(b, w);
	atomic_store(&w->bucket, NULL);
	thread_unpark(t);
}

static void lock_two(struct bucket *a, struct bucket *b)
{
	lock_take(a < b ? &a->lock : &b->lock);
	if (a != b)
		lock_take(a < b ? &b->lock : &a->lock);
}

static void unlock_two(struct bucket *a, struct bucket *b)
{
	lock_drop(&a->lock);
	if (a != b)
		lock_drop(&b->lock);
}

static long check_key(const uint32_t *key)
{
	return (uintptr_t)key & 3 ? -EINVAL : 0;
}

/* ---- wake ---- */

static long wake(const uint32_t *key, int n, uint32_t bitset)
{
	struct bucket *b = bucket_of(key);
	long woken = 0;

	if (!bitset)
		return -EINVAL;
	lock_take(&b->lock);
	for (struct waiter *w = b->first, *next; w && woken < n; w = next) {
		next = w->next;
		if (w->key == key && (w->bitset & bitset)) {
			wake_locked(b, w);
			woken++;
		}
	}
	lock_drop(&b->lock);
	return woken;
}

long futex_wake_user(const uint32_t *at, int n)
{
	return wake(at, n, FUTEX_BITSET_MATCH_ANY);
}

/* ---- wait ---- */

/* Take ourselves out.  False: somebody woke us before. */
static bool give_up(struct waiter *w)
{
	struct bucket *b;

	while ((b = atomic_load(&w->bucket)) != NULL) {
		lock_take(&b->lock);
		if (atomic_load(&w->bucket) == b) {
			remove_locked(b, w);
			atomic_store(&w->bucket, NULL);
			lock_drop(&b->lock);
			return true;
		}
		lock_drop(&b->lock); /* requeued meanwhile */
	}
	return false;
}

/* Sleep until woken.  0, -ETIMEDOUT, -EINTR. */
static long sleep_in_queue(struct waiter *w, const struct abs_time *until)
{
	while (atomic_load(&w->bucket)) {
		int r = thread_park(abs_time_deadline(until), PARK_INTR);

		if (r != 0 && atomic_load(&w->bucket)) {
			if (r == -ETIMEDOUT && !abs_time_passed(until))
				continue; /* the clock was set */
			return give_up(w) ? r : 0;
		}
	}
	return 0;
}

static long wait(const uint32_t *key, uint32_t val, const struct abs_time *until,
                 uint32_t bitset)
{
	struct waiter w = {.thread = self(), .bitset = bitset};
	struct bucket *b = bucket_of(key);
	uint32_t now;

	if (!bitset)
		return -EINVAL;
	lock_take(&b->lock);
	if (plat_load_u32(&now, key) != 0) {
		lock_drop(&b->lock);
		return -EFAULT;
	}
	if (now != val) {
		lock_drop(&b->lock);
		return -EAGAIN;
	}
	add_locked(b, &w, key);
	lock_drop(&b->lock);
	return sleep_in_queue(&w, until);
}

/* ---- requeue ---- */

static long requeue(const uint32_t *from, int n_wake, const uint32_t *to, int n_move,
                    const uint32_t *cmp)
{
	struct bucket *a = bucket_of(from), *b = bucket_of(to);
	long woken = 0, moved = 0;
	uint32_t now;

	if (n_wake < 0 || n_move < 0)
		return -EINVAL;
	lock_two(a, b);
	if (cmp) {
		if (plat_load_u32(&now, from) != 0) {
			unlock_two(a, b);
			return -EFAULT;
		}
		if (now != *cmp) {
			unlock_two(a, b);
			return -EAGAIN;
		}
	}
	for (struct waiter *w = a->first, *next; w; w = next) {
		next = w->next;
		if (w->key != from)
			continue;
		if (woken < n_wake) {
			wake_locked(a, w);
			woken++;
		} else if (moved < n_move) {
			moved++;
			if (from == to)
				continue;
			remove_locked(a, w);
			add_locked(b, w, to);
		} else {
			break;
		}
	}
	unlock_two(a, b);
	return cmp ? woken + moved : woken;
}

/* ---- wake_op ---- */

static int sign_extend12(uint32_t v)
{
	return (int)((v & 0xfff) ^ 0x800) - 0x800;
}

/* Apply the operation to *@at; its old value in *@old. */
static long apply_op(uint32_t *at, uint32_t op, int arg, uint32_t *old)
{
	uint32_t expected, desired;
	bool done = false;

	if (plat_load_u32(&expected, at) != 0)
		return -EFAULT;
	while (!done) {
		*old = expected;
		switch (op) {
		case FUTEX_OP_SET:
			desired = (uint32_t)arg;
			break;
		case FUTEX_OP_ADD:
			desired = expected + (uint32_t)arg;
			break;
		case FUTEX_OP_OR:
			desired = expected | (uint32_t)arg;
			break;
		case FUTEX_OP_ANDN:
			desired = expected & ~(uint32_t)arg;
			break;
		case FUTEX_OP_XOR:
			desired = expected ^ (uint32_t)arg;
			break;
		default:
			return -ENOSYS;
		}
		if (plat_cmpxchg_u32(at, &expected, desired, &done) != 0)
			return -EFAULT;
	}
	return 0;
}

static bool compare(int old, uint32_t cmp, int arg)
{
	switch (cmp) {
	case FUTEX_OP_CMP_EQ:
		return old == arg;
	case FUTEX_OP_CMP_NE:
		return old != arg;
	case FUTEX_OP_CMP_LT:
		return old < arg;
	case FUTEX_OP_CMP_LE:
		return old <= arg;
	case FUTEX_OP_CMP_GT:
		return old > arg;
	default: /* FUTEX_OP_CMP_GE */
		return old >= arg;
	}
}

static long wake_op(uint32_t *key, int n, uint32_t *key2, int n2, uint32_t code)
{
	const uint32_t op = (code >> 28) & 7, cmp = (code >> 24) & 15;
	int arg = sign_extend12(code >> 12);
	uint32_t old = 0;
	long r, r2;

	if (cmp > FUTEX_OP_CMP_GE)
		return -ENOSYS;
	if (code & 0x80000000u) { /* FUTEX_OP_OPARG_SHIFT */
		if (arg < 0 || arg > 31)
			return -EINVAL;
		arg = (int)(1u << arg);
	}
	/* A waiter that looks at *key2 does so under its bucket's lock. */
	lock_take(&bucket_of(key2)->lock);
	r = apply_op(key2, op, arg, &old);
	lock_drop(&bucket_of(key2)->lock);
	if (r != 0)
		return r;
	r = wake(key, n, FUTEX_BITSET_MATCH_ANY);
	if (r >= 0 && compare((int)old, cmp, sign_extend12(code))) {
		r2 = wake(key2, n2, FUTEX_BITSET_MATCH_ANY);
		if (r2 > 0)
			r += r2;
	}
	return r;
}

/* ---- the priority-inheriting forms ---- */

/* Try to take *@key for the caller; with the bucket locked.  1: taken; 0: owned by
 * another, the WAITERS bit is set now (unless @try_only). */
static long pi_take_locked(uint32_t *key, bool try_only)
{
	const uint32_t tid = self()->tid;
	uint32_t word, want;
	bool done = false;

	if (plat_load_u32(&word, key) != 0)
		return -EFAULT;
	while (!done) {
		if ((word & FUTEX_TID_MASK) == tid)
			return -EDEADLK;
		if (word & FUTEX_TID_MASK) {
			if (try_only)
				return 0;
			want = word | FUTEX_WAITERS;
		} else {
			want = tid | (word & (FUTEX_WAITERS | FUTEX_OWNER_DIED));
		}
		if (plat_cmpxchg_u32(key, &word, want, &done) != 0)
			return -EFAULT;
		if (done && (word & FUTEX_TID_MASK))
			return 0;
	}
	return 1;
}

static long pi_lock(uint32_t *key, const struct abs_time *until, bool try_only)
{
	struct waiter w = {.thread = self(), .bitset = FUTEX_BITSET_MATCH_ANY};
	struct bucket *b = bucket_of(key);
	uint32_t word;
	long r;

	lock_take(&b->lock);
	r = pi_take_locked(key, try_only);
	if (r == 0 && plat_load_u32(&word, key) == 0 && (word & FUTEX_TID_MASK)) {
		bool alive;

		lock_take(&g_thread_lock);
		alive = thread_find_locked(word & FUTEX_TID_MASK) != NULL;
		lock_drop(&g_thread_lock);
		if (!alive)
			r = -ESRCH;
	}
	if (r == 0 && !try_only)
		add_locked(b, &w, key);
	lock_drop(&b->lock);
	if (r != 0)
		return r < 0 ? r : 0;
	if (try_only)
		return -EAGAIN;
	/* Whoever unlocks makes us the owner before it wakes us. */
	return sleep_in_queue(&w, until);
}

static struct waiter *first_waiter(struct bucket *b, const uint32_t *key)
{
	for (struct waiter *w = b->first; w; w = w->next)
		if (w->key == key)
			return w;
	return NULL;
}

/* Hand *@key to its first waiter, or free it.  @keep: bits to leave set. */
static long pi_pass_locked(struct bucket *b, uint32_t *key, uint32_t keep)
{
	struct waiter *w = first_waiter(b, key);
	uint32_t word, want = keep;
	bool done = false;

	if (w) {
		bool more = false;

		for (struct waiter *x = w->next; x && !more; x = x->next)
			more = x->key == key;
		want |= w->thread->tid | (more ? FUTEX_WAITERS : 0);
	}
	if (plat_load_u32(&word, key) != 0)
		return -EFAULT;
	while (!done)
		if (plat_cmpxchg_u32(key, &word, want, &done) != 0)
			return -EFAULT;
	if (w)
		wake_locked(b, w);
	return 0;
}

static long pi_unlock(uint32_t *key)
{
	struct bucket *b = bucket_of(key);
	uint32_t word;
	long r;

	lock_take(&b->lock);
	if (plat_load_u32(&word, key) != 0)
		r = -EFAULT;
	else if ((word & FUTEX_TID_MASK) != self()->tid)
		r = -EPERM;
	else
		r = pi_pass_locked(b, key, 0);
	lock_drop(&b->lock);
	return r;
}

/* ---- robust lists ---- */

#define ROBUST_MAX 2048

static void owner_died(struct thread *t, uint32_t *key, bool pi, bool pending)
{
	struct bucket *b = bucket_of(key);
	uint32_t word;
	bool done = false;

	if ((uintptr_t)key & 3 || plat_load_u32(&word, key) != 0)
		return;
	if (pending && !pi && word == 0) {
		/* It was unlocking: a waiter may have missed its wake-up. */
		(void)wake(key, 1, FUTEX_BITSET_MATCH_ANY);
		return;
	}
	while (!done) {
		if ((word & FUTEX_TID_MASK) != t->tid)
			return;
		if (pi) {
			lock_take(&b->lock);
			(void)pi_pass_locked(b, key, FUTEX_OWNER_DIED);
			lock_drop(&b->lock);
			return;
		}
		if (plat_cmpxchg_u32(key, &word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &done))
			return;
	}
	if (word & FUTEX_WAITERS)
		(void)wake(key, 1, FUTEX_BITSET_MATCH_ANY);
}

void futex_robust_exit(struct thread *t)
{
	struct {
		uint64_t next;
		int64_t offset;
		uint64_t pending;
	} head;
	const uint64_t end = (uintptr_t)t->robust_head;
	uint64_t at, next;

	if (!end || user_copy_in(&head, t->robust_head, sizeof(head)) != 0)
		return;
	at = head.next;
	for (int i = 0; i < ROBUST_MAX && (at & ~1ull) != end; i++) {
		const uint64_t node = at & ~1ull;

		if (user_copy_in(&next, (void *)(uintptr_t)node, sizeof(next)) != 0)
			break;
		if (node != (head.pending & ~1ull))
			owner_died(t, (uint32_t *)(uintptr_t)(node + (uint64_t)head.offset),
			           at & 1, false);
		at = next;
	}
	if (head.pending & ~1ull)
		owner_died(t, (uint32_t *)(uintptr_t)((head.pending & ~1ull) + (uint64_t)head.offset),
		           head.pending & 1, true);
}

/* ---- the call ---- */

static long read_timeout(const void *user_ts, unsigned cmd, bool realtime, struct abs_time *t)
{
	struct timespec ts;

	abs_time_never(t);
	if (!user_ts)
		return 0;
	if (user_copy_in(&ts, user_ts, sizeof(ts)) != 0)
		return -EFAULT;
	if (ts.tv_sec < 0 || (uint64_t)ts.tv_nsec >= 1000000000u)
		return -EINVAL;
	if (cmd == FUTEX_WAIT)
		abs_time_after(t, &ts);
	else
		abs_time_at(t, &ts, realtime || cmd == FUTEX_LOCK_PI);
	return 0;
}

static long interrupted(long r, const void *timeout)
{
	if (r != -EINTR)
		return r;
	return timeout ? -EINTR : -ERESTARTSYS;
}

SYSCALL(futex, uint32_t *key, int op, uint32_t val, void *timeout, uint32_t *key2,
        uint32_t val3)
{
	const unsigned cmd = (unsigned)op & (unsigned)FUTEX_CMD_MASK;
	const bool realtime = (op & FUTEX_CLOCK_REALTIME) != 0;
	const int n2 = (int)(uintptr_t)timeout;
	struct abs_time until;
	long r = check_key(key);

	if (r != 0)
		return r;
	switch (cmd) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		r = read_timeout(timeout, cmd, realtime, &until);
		if (r == 0)
			r = wait(key, val, &until,
			         cmd == FUTEX_WAIT ? FUTEX_BITSET_MATCH_ANY : val3);
		return interrupted(r, timeout);
	case FUTEX_WAKE:
		return wake(key, (int)val, FUTEX_BITSET_MATCH_ANY);
	case FUTEX_WAKE_BITSET:
		return wake(key, (int)val, val3);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		r = check_key(key2);
		return r ? r : requeue(key, (int)val, key2, n2,
		                       cmd == FUTEX_CMP_REQUEUE ? &val3 : NULL);
	case FUTEX_WAKE_OP:
		r = check_key(key2);
		return r ? r : wake_op(key, (int)val, key2, n2, val3);
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		r = read_timeout(timeout, cmd, realtime, &until);
		return interrupted(r ? r : pi_lock(key, &until, false), NULL);
	case FUTEX_TRYLOCK_PI:
		abs_time_never(&until);
		return pi_lock(key, &until, true);
	case FUTEX_UNLOCK_PI:
		return pi_unlock(key);
	default:
		unsupported("futex: this operation");
		return -ENOSYS;
	}
}
