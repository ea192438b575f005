/* SPDX-License-Identifier: MIT */
/*
 * thread.c - host threads, thread pointers, kicks, and the sleeps.
 *
 * All sleeps are futex waits.  Words of guest memory are private futexes; the
 * doorbell is shared with the services.  plat_park() with a door sleeps on both by
 * futex_waitv, so no sleeper needs a second wake-up to hand on the rings.  Who comes
 * to an empty door sleeps on the doorbell alone, which is cheaper: each call of a
 * program's only busy thread passes here.  Who wakes that word then has to ring:
 *
 *   sleeper                              waker
 *   says g_alone = word                  changes *word
 *   looks at *word                       looks at g_alone
 *   sleeps while the doorbell counts     if it is the word: counts the doorbell up,
 *   what it saw                          wakes all that sleep on it
 *
 * With a fence between the first two lines one sees the other; a doorbell counted
 * up before the sleep ends it.  All: to wake one might wake another.
 */
#include "platform/linux/host.h"

#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#define HOST_EAGAIN (-11)
#define HOST_EINTR (-4)
#define HOST_ETIMEDOUT (-110)
#define HOST_ENOSYS (-38)

/* Newer than the C library's headers. */
struct host_waitv {
	uint64_t val, uaddr;
	uint32_t flags, zero;
};
#define HOST_FUTEX_WAITV 449
#define HOST_FUTEX_32 2u
#define HOST_FUTEX_PRIVATE 128u

#define ARCH_SET_GS_ 0x1001
#define ARCH_SET_FS_ 0x1002
#define ARCH_GET_FS_ 0x1003

#ifdef STRAIT_TESTLIB
#include <pthread.h>
#include <stdlib.h>

extern __thread struct thread *g_self;
#endif

static const _Atomic uint32_t g_never;
static uint32_t g_pid;

/* ---- thread pointers ---- */

void host_set_gs(struct thread *th)
{
#ifdef STRAIT_TESTLIB
	g_self = th;
#else
	if (g_has_fsgsbase)
		__asm__ volatile("wrgsbase %0" : : "r"(th));
	else
		(void)HOST2(SYS_arch_prctl, ARCH_SET_GS_, th);
#endif
}

void plat_set_fs(uint64_t base)
{
	if (g_has_fsgsbase)
		__asm__ volatile("wrfsbase %0" : : "r"(base));
	else
		(void)HOST2(SYS_arch_prctl, ARCH_SET_FS_, base);
}

uint64_t plat_get_fs(void)
{
	uint64_t base;

	if (g_has_fsgsbase)
		__asm__ volatile("rdfsbase %0" : "=r"(base));
	else
		(void)HOST2(SYS_arch_prctl, ARCH_GET_FS_, &base);
	return base;
}

/* ---- threads ---- */

/* Lies at the top of the new thread's stack. */
struct start {
	struct thread *th;
	void (*fn)(void *);
	void *arg;
};

#ifdef STRAIT_TESTLIB

/* The sanitizers must see the threads made. */
struct pthread_start {
	struct start s;
	_Atomic uint32_t *gone, ready;
	uint32_t *host_id;
};

static _Thread_local _Atomic uint32_t *g_gone;

static void *pthread_main(void *p)
{
	struct pthread_start *ps = p;
	const struct start s = ps->s;

	g_gone = ps->gone;
	host_set_gs(s.th);
	*ps->host_id = plat_thread_self();
	ps->ready = 1; /* @ps goes */
	s.fn(s.arg);
	plat_thread_exit();
}

int plat_thread_create(struct thread *th, void *stack, void (*fn)(void *), void *arg,
                       _Atomic uint32_t *gone, uint32_t *host_id)
{
	struct pthread_start ps = {{th, fn, arg}, gone, 0, host_id};
	pthread_attr_t a;
	pthread_t t;
	int r;

	(void)stack;
	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&t, &a, pthread_main, &ps);
	pthread_attr_destroy(&a);
	while (r == 0 && !ps.ready)
		plat_yield();
	return r ? HOST_EAGAIN : 0;
}

_Noreturn void plat_thread_exit(void)
{
	*g_gone = 0;
	pthread_exit(NULL);
}

#else /* a guest */

static void thread_main(void *p)
{
	struct start s = *(struct start *)p;
	size_t size;
	void *stack;

	host_set_gs(s.th);
	stack = libos_signal_stack(s.th, &size);
	host_altstack(stack, size);
	host_sigmask(SIG_SETMASK_HOST, 0, NULL);
	s.fn(s.arg);
	plat_thread_exit();
}

int plat_thread_create(struct thread *th, void *stack, void (*fn)(void *), void *arg,
                       _Atomic uint32_t *gone, uint32_t *host_id)
{
	const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
	                            CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID |
	                            CLONE_CHILD_CLEARTID;
	struct start *s = (struct start *)(((uintptr_t)stack & ~(uintptr_t)63) - 64);
	uint64_t old;
	long r;

	s->th = th;
	s->fn = fn;
	s->arg = arg;
	/* The child must not take a signal before it has its own struct thread. */
	host_sigmask(SIG_SETMASK_HOST, ~(uint64_t)0, &old);
	r = host_clone(flags, s, host_id, gone, thread_main, s);
	host_sigmask(SIG_SETMASK_HOST, old, NULL);
	return r < 0 ? HOST_EAGAIN : 0;
}

_Noreturn void plat_thread_exit(void)
{
	for (;;)
		(void)HOST1(SYS_exit, 0);
}

#endif

uint32_t plat_thread_self(void)
{
	return (uint32_t)HOST0(SYS_gettid);
}

void plat_thread_kick(uint32_t host_id)
{
	if (!g_pid)
		g_pid = (uint32_t)HOST0(SYS_getpid);
	(void)HOST3(SYS_tgkill, g_pid, host_id, HOST_KICK);
}

uint64_t plat_lend(void)
{
	return 0; /* sched_yield() may let anybody run, for long */
}

void plat_yield(void)
{
	(void)HOST0(SYS_sched_yield);
}

int plat_set_affinity(uint32_t host_id, uint64_t mask)
{
	return (int)HOST3(SYS_sched_setaffinity, host_id, sizeof(mask), &mask);
}

/* ---- sleeps ---- */

static long futex_wait(_Atomic uint32_t *word, uint32_t val, uint64_t deadline, bool shared,
                       const _Atomic uint32_t *kicked)
{
	struct host_timespec ts = host_timespec(deadline), *tp = NULL;
	const long op = FUTEX_WAIT_BITSET | (shared ? 0 : FUTEX_PRIVATE_FLAG);

	if (deadline != PLAT_NO_DEADLINE)
		tp = &ts;
	return host_call_intr(SYS_futex, (long)word, op, val, (long)tp, 0,
	                      (long)FUTEX_BITSET_MATCH_ANY, kicked ? kicked : &g_never);
}

static int wait_result(long r)
{
	switch (r) {
	case HOST_EAGAIN:
	case HOST_EINTR:
	case HOST_ETIMEDOUT:
		return (int)r;
	default:
		return 0;
	}
}

int plat_futex_wait(_Atomic uint32_t *word, uint32_t val, uint64_t deadline)
{
	return wait_result(futex_wait(word, val, deadline, false, NULL));
}

static _Atomic uint32_t g_at_door; /* how many sleep there, or are about to */
static const _Atomic uint32_t *_Atomic g_alone; /* the word of the first of them */

int plat_futex_wake(_Atomic uint32_t *word, int n)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&g_alone, memory_order_relaxed) != word)
		return (int)HOST3(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n);
	atomic_fetch_add(&g_doorbell->word, 1);
	return (int)HOST3(SYS_futex, &g_doorbell->word, FUTEX_WAKE, INT32_MAX);
}

/* Wait for a private word and a shared one. */
static int wait_two(_Atomic uint32_t *word, uint32_t val, _Atomic uint32_t *shared,
                    uint32_t seen, uint64_t deadline, const _Atomic uint32_t *kicked)
{
	struct host_timespec ts = host_timespec(deadline), *tp = NULL;
	struct host_waitv v[2] = {
		{val, (uintptr_t)word, HOST_FUTEX_32 | HOST_FUTEX_PRIVATE, 0},
		{seen, (uintptr_t)shared, HOST_FUTEX_32, 0},
	};
	long r;

	if (deadline != PLAT_NO_DEADLINE)
		tp = &ts;
	r = host_call_intr(HOST_FUTEX_WAITV, (long)v, 2, 0, (long)tp, 1 /* CLOCK_MONOTONIC */,
	                   0, kicked ? kicked : &g_never);
	if (r == HOST_ENOSYS) /* before Linux 5.16: look at @word every millisecond */
		r = futex_wait(shared, seen, plat_mono_ns() + 1000000u, true, kicked);
	return wait_result(r);
}

/* As wait_two() for the doorbell; -EAGAIN also when *@word differs. */
static int wait_alone(_Atomic uint32_t *word, uint32_t val, uint32_t seen, uint64_t deadline,
                      const _Atomic uint32_t *kicked)
{
	long r = HOST_EAGAIN;

	atomic_store(&g_alone, word);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(word) == val)
		r = futex_wait(&g_doorbell->word, seen, deadline, true, kicked);
	atomic_store(&g_alone, NULL);
	return wait_result(r);
}

static int wait_at_door(_Atomic uint32_t *word, uint32_t val, uint32_t seen,
                        uint64_t deadline, const _Atomic uint32_t *kicked)
{
	int r;

	/* The first counts itself as long as it sleeps: there is but one. */
	if (atomic_fetch_add(&g_at_door, 1) == 0)
		r = wait_alone(word, val, seen, deadline, kicked);
	else
		r = wait_two(word, val, &g_doorbell->word, seen, deadline, kicked);
	atomic_fetch_sub(&g_at_door, 1);
	return r;
}

int plat_park(_Atomic uint32_t *word, uint32_t val, const uint32_t *door, uint64_t deadline,
              const _Atomic uint32_t *kicked)
{
	if (door)
		return wait_at_door(word, val, *door, deadline, kicked);
	return wait_result(futex_wait(word, val, deadline, false, kicked));
}

void plat_doorbell_sleeping(bool yes)
{
	atomic_store(&g_doorbell->sleeping, yes ? DOORBELL_LEADER : DOORBELL_AWAKE);
}

void plat_doorbell_ring(void)
{
	atomic_fetch_add(&g_doorbell->word, 1);
	(void)HOST3(SYS_futex, &g_doorbell->word, FUTEX_WAKE, 1);
}

int plat_pump_wait(_Atomic uint32_t *word, uint32_t val, uint32_t door, uint64_t deadline)
{
	uint32_t pump = g_doorbell->pump, awake = DOORBELL_AWAKE;
	int r;

	/* Services wake `pump` only in this state; they count `word` in any. */
	if (!atomic_compare_exchange_strong(&g_doorbell->sleeping, &awake, DOORBELL_NOBODY) ||
	    g_doorbell->word != door)
		deadline = deadline < plat_mono_ns() + 1000000u ? deadline
		                                                : plat_mono_ns() + 1000000u;
	r = wait_two(word, val, &g_doorbell->pump, pump, deadline, NULL);
	awake = DOORBELL_NOBODY;
	(void)atomic_compare_exchange_strong(&g_doorbell->sleeping, &awake, DOORBELL_AWAKE);
	return r;
}
