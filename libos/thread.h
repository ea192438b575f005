/* SPDX-License-Identifier: MIT */
/*
 * thread.h - a guest thread, and how it sleeps.
 *
 * Layer:   libos.
 * Locking: fields are the thread's own unless said otherwise.
 * Memory:  threads and their libos stacks come from platform memory and are kept
 *          for reuse; nothing here allocates on a hot path.
 */
#ifndef LIBOS_THREAD_H
#define LIBOS_THREAD_H

#include "platform/platform.h"

#include <stdbool.h>
#include <stdint.h>

struct lock;
struct ucontext_x86;

#define LIBOS_STACK_SIZE (64 * 1024) /* per thread, with a guard page below */

struct sigpending;

struct thread {
	/* Known to entry_x86_64.S by offset (checked by static asserts in thread.c). */
	struct thread *self;         /* 0 */
	void *stack_top;             /* 8: libos stack */
	uint32_t in_libos;           /* 16: set between entry and exit */
	_Atomic uint32_t work;       /* 20: look at signals before leaving (any bit) */
	uint64_t entry[10];          /* 24: n, a1..a5, user rsp for a restart; 9: resume */
	/* Sleep and wake. */
	_Atomic uint32_t token;      /* 1: thread_unpark() came */
	_Atomic uint32_t kicked;     /* a signal may be pending: interruptible waits end */
	uint32_t host_id;            /* for plat_thread_kick() */
	uint32_t tid;                /* guest tid */
	_Atomic uint32_t gone;       /* 0 when the host thread left */
	struct thread *next;         /* all threads; under the thread list's lock */
	struct thread *sleep_next;   /* sleepers that want a leader; under its lock */
	bool wants_rings;            /* sleeps for something a service sends */
	/* Linux state. */
	uint32_t *clear_child_tid;   /* program address */
	void *robust_head;           /* program address */
	uint64_t sigmask;
	struct sigpending *sig;      /* signal.c */
	uint32_t fsuid, fsgid;
	uint32_t cred;               /* fsd's credential index for this thread */
	char comm[16];
	int nice, policy, priority;
	bool sched_reset;            /* SCHED_RESET_ON_FORK */
	uint64_t timerslack;
	uint64_t affinity;
	uint64_t priv[24];           /* room of signal.c */
	_Atomic uint32_t parked;     /* PARKED_*: how thread_unpark() reaches it */
	_Atomic bool used;           /* the slot holds a live thread */
	void (*start_fn)(void *);    /* what a new host thread runs */
	void *start_arg;
	struct ucontext_x86 *raw;    /* in a raw `syscall`: its context */
	struct ucontext_x86 *resume; /* the context it loads */
};

#ifdef STRAIT_TESTLIB
extern __thread struct thread *g_self;
static inline struct thread *self(void)
{
	return g_self;
}
#else
static inline struct thread *self(void)
{
	struct thread *t;

	__asm__("movq %%gs:0, %0" : "=r"(t));
	return t;
}
#endif

/* Sleep until thread_unpark(self()), @deadline (CLOCK_MONOTONIC ns), or a kick.
 * A token given before counts.  Leads the rings meanwhile if nobody does; pass
 * PARK_RINGS when waiting for something that a service sends.
 * Returns 0 (token taken), -ETIMEDOUT, or -EINTR (only with PARK_INTR). */
#define PARK_INTR 1u
#define PARK_RINGS 2u
int thread_park(uint64_t deadline, unsigned flags) __attribute__((warn_unused_result));
void thread_unpark(struct thread *t); /* async-signal-safe */

/* Make @t look at its signals soon: ends an interruptible wait, or interrupts the
 * program code it runs.  Call after queueing the signal.  Async-signal-safe. */
void thread_kick(struct thread *t);

/* All live threads: g_threads, linked by `next`, under g_thread_lock. */
extern struct lock g_thread_lock;
extern struct thread *g_threads;
struct thread *thread_find_locked(uint32_t tid); /* NULL: no such thread */
uint32_t thread_count(void);

#ifdef STRAIT_TESTLIB
/* A struct thread in the list for a pthread of the test; and its end. */
struct thread *thread_adopt(const struct thread *parent);
void thread_release(struct thread *t);
#endif

/* A signal that would interrupt an interruptible wait is pending. */
bool thread_interrupted(void);

#endif /* LIBOS_THREAD_H */
