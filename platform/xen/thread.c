/* SPDX-License-Identifier: MIT */
/*
 * thread.c - threads: made, found, kicked, ended.
 *
 * A thread's control block is one page, its FP state behind the struct.
 */
#include "platform/xen/xen.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

#define THREADS_MAX 32768u
#define ID_MAX 0x3fffffffu
#define HASH 64u

#define FP_OFFSET ((sizeof(struct xthread) + 63) & ~(size_t)63)
_Static_assert(FP_OFFSET + XTHREAD_FP_SIZE <= PAGE_SIZE, "a control block is one page");

static struct xthread *g_by_id[HASH];
static uint32_t g_next_id = 1, g_count;

static struct xthread *find(uint32_t id)
{
	for (struct xthread *t = g_by_id[id % HASH]; t; t = t->same_hash)
		if (t->id == id)
			return t;
	return NULL;
}

/* ---- control blocks ---- */

struct xthread *xthread_alloc(void)
{
	struct xthread *t;
	uint64_t page;

	if (g_count >= THREADS_MAX)
		return NULL;
	page = page_alloc();
	if (page == FRAME_NONE)
		return NULL;
	g_count++;
	t = page_virt(page);
	t->fp = (uint8_t *)t + FP_OFFSET;
	return t;
}

void thread_add(struct xthread *t)
{
	do {
		t->id = g_next_id++;
		if (g_next_id > ID_MAX)
			g_next_id = 1;
	} while (find(t->id));
	t->same_hash = g_by_id[t->id % HASH];
	g_by_id[t->id % HASH] = t;
}

void thread_free(struct xthread *t)
{
	struct xthread **at = &g_by_id[t->id % HASH];

	while (*at != t)
		at = &(*at)->same_hash;
	*at = t->same_hash;
	if (t->gone) {
		atomic_store(t->gone, 0);
		(void)futex_wake_locked(t->gone, INT_MAX);
	}
	g_count--;
	page_free((uintptr_t)t - DIRECT_BASE);
}

/* ---- beginning and end ---- */

static _Noreturn void begin(void (*fn)(void *), void *arg)
{
	fn(arg);
	plat_thread_exit();
}

static void first_frame(struct xthread *t, void *top, void (*fn)(void *), void *arg)
{
	struct trap_frame *f = &t->frame;

	__asm__("mov %%cs, %0" : "=r"(f->cs));
	__asm__("mov %%ss, %0" : "=r"(f->ss));
	f->rip = (uintptr_t)begin;
	f->rdi = (uintptr_t)fn;
	f->rsi = (uintptr_t)arg;
	f->rsp = ((uintptr_t)top & ~(uintptr_t)15) - 8; /* as behind a call */
	f->rflags = RFLAGS_IF | 2;
	/* Control words are the creator's, as Linux has it. */
	fpu_save_control(&t->control);
	t->fp_full = false;
	t->run.vtime = g_cpu.now->run.vtime;
}

static int start(struct thread *th, void *top, void (*fn)(void *), void *arg,
                 _Atomic uint32_t *gone, uint32_t *id)
{
	const uint64_t flags = irq_off();
	struct xthread *t = xthread_alloc();

	if (t) {
		first_frame(t, top, fn, arg);
		t->libos = th;
		t->gone = gone;
		if (th)
			t->signal_stack = libos_signal_stack(th, &t->signal_stack_size);
		thread_add(t);
		if (id)
			*id = t->id;
		sched_ready(t);
	}
	irq_restore(flags);
	return t ? 0 : -EAGAIN;
}

int plat_thread_create(struct thread *th, void *stack, void (*fn)(void *), void *arg,
                       _Atomic uint32_t *gone, uint32_t *host_id)
{
	return start(th, stack, fn, arg, gone, host_id);
}

int thread_start(void (*fn)(void *), void *arg, void *top)
{
	return start(NULL, top, fn, arg, NULL, NULL);
}

_Noreturn void plat_thread_exit(void)
{
	(void)irq_off();
	g_cpu.now->state = XTHREAD_GONE;
	sched_switch();
	__builtin_unreachable();
}

/* ---- kicks ---- */

void plat_thread_kick(uint32_t host_id)
{
	const uint64_t flags = irq_off();
	struct xthread *t = find(host_id);
	const bool self = t && t == g_cpu.now;

	if (t) {
		t->kicked = true;
		/* Not a lock's wait inside libos_interrupt(). */
		if (!t->in_upcall)
			sched_wake(t, -EINTR);
		if (self)
			g_cpu.resched = true;
	}
	irq_restore(flags);
	if (self && (flags & RFLAGS_IF))
		sched_switch(); /* which delivers it */
}

/* ---- small ones ---- */

uint32_t plat_thread_self(void)
{
	return g_cpu.now->id;
}

unsigned plat_cpu(void)
{
	return 0;
}

int plat_set_affinity(uint32_t host_id, uint64_t mask)
{
	const uint64_t flags = irq_off();
	const bool known = find(host_id) != NULL;

	irq_restore(flags);
	if (!known)
		return -ESRCH;
	return mask & 1 ? 0 : -EINVAL;
}

/* One CPU: what it has done is done in order. */
int plat_membarrier(void)
{
	atomic_thread_fence(memory_order_seq_cst);
	return 0;
}

uint64_t plat_thread_cpu_ns(uint32_t host_id)
{
	const uint64_t flags = irq_off();
	const struct xthread *t = find(host_id);
	uint64_t ns = 0;

	if (t)
		ns = t->cpu_ns;
	if (t && t == g_cpu.now)
		ns += plat_mono_ns() - g_cpu.since;
	irq_restore(flags);
	return ns;
}

uint64_t plat_process_cpu_ns(void)
{
	const uint64_t flags = irq_off();
	const uint64_t ns = g_cpu.cpu_ns + plat_mono_ns() - g_cpu.since;

	irq_restore(flags);
	return ns;
}
