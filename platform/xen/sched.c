/* SPDX-License-Identifier: MIT */
/*
 * sched.c - who has the CPU: the run queue, the time slice, the one timer, idling.
 *
 * 1. A thread is RUNNING (g_cpu.now), READY (in g_cpu.ready), ASLEEP (perhaps in
 *    g_cpu.timers and in futex.c's lists) or GONE.
 * 2. The queue is ordered by virtual time, the CPU time that a thread has had.  Who
 *    wakes stands at most CREDIT_NS before those that compute: it gets the CPU soon,
 *    and cannot keep it.  An interrupt's wake-up preempts at once when the sleeper
 *    is GRAIN_NS behind; a thread's wake-up waits for the waker's sleep or the end of
 *    its slice: fewer switches.
 * 3. One timer serves the time slice and all deadlines.  It is only ever set
 *    forward, to the earliest need: what fires too early looks and sets it again.
 *    Setting it is a hypercall, so a short wake-up leaves it alone.  An idle CPU whose
 *    timer is set late enough halts; else it has its deadline as the timeout of
 *    SCHEDOP_poll, and sets no timer.
 * 4. No wake-up is lost: whoever looks at a word and sleeps does both with IF=0, and
 *    an idle CPU rests with IF=1, where an event takes it away from idle().
 * 5. FP state and thread pointers stay in the CPU until another thread needs it
 *    (g_cpu.loaded): a thread that sleeps and wakes alone pays nothing for them.
 */
#include "platform/xen/public.h"
#include "platform/xen/xen.h"

#include <errno.h>

#define SLICE_NS 10000000u
#define CREDIT_NS 5000000u
#define GRAIN_NS 250000u
#define FAR_NS (UINT64_C(1) << 62) /* Xen's times are signed: no timer beyond */

struct cpu g_cpu;

static _Alignas(16) uint8_t g_idle_stack[2048];

static struct xthread *first_ready(void)
{
	struct runq_node *n = runq_first(&g_cpu.ready);

	return n ? CONTAINER_OF(n, struct xthread, run) : NULL;
}

/* ---- time ---- */

static void account(uint64_t now)
{
	const uint64_t ran = now - g_cpu.since;
	struct xthread *t = g_cpu.now;
	struct runq_node *first;
	uint64_t floor;

	g_cpu.since = now;
	if (!t)
		return;
	t->cpu_ns += ran;
	t->run.vtime += ran;
	g_cpu.cpu_ns += ran;
	first = runq_first(&g_cpu.ready);
	floor = t->run.vtime;
	if (first && first->vtime < floor)
		floor = first->vtime;
	if (floor > g_cpu.vfloor)
		g_cpu.vfloor = floor;
}

/* While a thread runs: rule 3. */
static void arm(void)
{
	uint64_t need = PLAT_NO_DEADLINE;

	if (g_cpu.timers.top)
		need = g_cpu.timers.top->at;
	if (!list_empty(&g_cpu.ready) && g_cpu.slice_end < need)
		need = g_cpu.slice_end;
	if (need >= g_cpu.armed || need >= FAR_NS)
		return;
	g_cpu.armed = need;
	clock_arm(need);
}

static void end_sleeps(uint64_t now)
{
	struct heap_node *n;

	while ((n = g_cpu.timers.top) && n->at <= now)
		sched_wake(CONTAINER_OF(n, struct xthread, timer), -ETIMEDOUT);
}

void sched_tick(void)
{
	g_cpu.armed = PLAT_NO_DEADLINE;
	end_sleeps(plat_mono_ns());
	g_cpu.resched = true;
}

/* ---- sleeping and waking ---- */

int sched_sleep(uint64_t deadline)
{
	struct xthread *me = g_cpu.now;

	me->wait_result = 0;
	me->state = XTHREAD_ASLEEP;
	if (deadline != PLAT_NO_DEADLINE) {
		me->timer.at = deadline;
		heap_add(&g_cpu.timers, &me->timer);
	}
	sched_switch();
	return me->wait_result;
}

void sched_ready(struct xthread *t)
{
	const bool alone = list_empty(&g_cpu.ready);

	t->state = XTHREAD_READY;
	if (t->run.vtime + CREDIT_NS < g_cpu.vfloor)
		t->run.vtime = g_cpu.vfloor - CREDIT_NS;
	runq_add(&g_cpu.ready, &t->run);
	if (!g_cpu.now) {
		g_cpu.resched = true;
		return;
	}
	if (t->run.vtime + GRAIN_NS < g_cpu.now->run.vtime)
		g_cpu.resched = true;
	if (alone) {
		g_cpu.slice_end = plat_mono_ns() + SLICE_NS;
		arm();
	}
}

void sched_wake(struct xthread *t, int result)
{
	if (t->state != XTHREAD_ASLEEP)
		return;
	futex_forget(t);
	heap_remove(&g_cpu.timers, &t->timer);
	t->wait_result = result;
	sched_ready(t);
}

void sched_switch(void)
{
	__asm__ volatile("int %0" : : "i"(VEC_SWITCH) : "memory", "cc");
}

/* The others' time is not ours: it is left out of the account. */
uint64_t plat_lend(void)
{
	const uint64_t flags = irq_off();
	uint64_t lent = 0;

	if (list_empty(&g_cpu.ready)) {
		const uint64_t from = plat_mono_ns();

		account(from);
		(void)hypercall(__HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0, 0);
		g_cpu.since = plat_mono_ns();
		lent = g_cpu.since - from + 1;
	}
	irq_restore(flags);
	return lent;
}

void plat_yield(void)
{
	const uint64_t flags = irq_off();
	struct runq_node *last = runq_last(&g_cpu.ready);
	struct xthread *me = g_cpu.now;

	if (last) {
		if (me->run.vtime < last->vtime)
			me->run.vtime = last->vtime;
		sched_switch();
		if (me->kicked && !me->in_upcall)
			upcall_take_kick();
	}
	irq_restore(flags);
}

/* ---- idling ---- */

/* All `hlt` of the library stand in one section: a test holds it (start.S has the other).
 * Right behind STI, Xen would take the flag for not yet on, and come back for the event
 * at the next HLT. */
static __attribute__((noinline, section(".text.xen_halt"))) void halt(void)
{
	__asm__ volatile("sti; nop; hlt; cli" : : : "memory");
}

/* Until an event comes, or @until: interrupts on, so that any port's event ends it, also
 * one that comes before Xen has been asked.  HLT has no argument; what a hypercall takes
 * from memory costs Xen a walk through our page tables each. */
static void rest(uint64_t until)
{
	struct sched_poll poll = {.timeout = until};

	if (until == PLAT_NO_DEADLINE) {
		halt();
		return;
	}
	__asm__ volatile("sti" : : : "memory");
	(void)hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (long)&poll, 0, 0);
	__asm__ volatile("cli" : : : "memory");
}

/* Runs on a stack of its own, from the top each time that nobody is ready, with IF=0 but
 * for the rest.  An event that interrupts that makes somebody ready, and then this is left
 * for good, or nobody, and then there is nothing to look at again. */
static _Noreturn void idle(void)
{
	for (;;) {
		uint64_t until = PLAT_NO_DEADLINE;

		evtchn_upcall();
		end_sleeps(plat_mono_ns());
		if (!list_empty(&g_cpu.ready))
			sched_switch();
		if (g_cpu.timers.top && g_cpu.timers.top->at < g_cpu.armed &&
		    g_cpu.timers.top->at < FAR_NS)
			until = g_cpu.timers.top->at;
		rest(until);
	}
}

/* @f, made idle()'s. */
static struct trap_frame *go_idle(struct trap_frame *f)
{
	g_cpu.now = NULL;
	f->rip = (uintptr_t)idle;
	f->rsp = (uintptr_t)(g_idle_stack + sizeof(g_idle_stack) - 8);
	f->rflags = 2;
	return f;
}

/* ---- switching ---- */

static void load(struct xthread *t)
{
	struct xthread *old = g_cpu.loaded;

	if (old == t)
		return;
	if (old) {
		old->fs = plat_get_fs();
		if (old->fp_full)
			fpu_save(old->fp);
		else
			fpu_save_control(&old->control);
	}
	fpu_set_gs((uintptr_t)t->libos);
	plat_set_fs(t->fs);
	if (t->fp_full)
		fpu_load(t->fp);
	else
		fpu_load_control(&t->control);
	g_cpu.loaded = t;
}

static struct trap_frame *run(struct xthread *t, uint64_t now)
{
	list_remove(&t->run.link);
	t->state = XTHREAD_RUNNING;
	g_cpu.now = t;
	g_cpu.slice_end = now + SLICE_NS;
	load(t);
	arm();
	return &t->frame;
}

/* The running thread keeps the CPU. */
static bool stays(struct xthread *me, bool asked, uint64_t now)
{
	struct xthread *other = first_ready();

	if (!other)
		return true;
	if (asked || now >= g_cpu.slice_end)
		return other->run.vtime > me->run.vtime;
	return other->run.vtime + GRAIN_NS >= me->run.vtime;
}

/* A kick, if one waits and the thread is where it may be interrupted. */
static struct trap_frame *with_kick(struct xthread *t, struct trap_frame *f)
{
	if (!t->kicked || t->in_upcall || !t->libos || !(f->rflags & RFLAGS_IF))
		return f;
	t->kicked = false;
	return sched_upcall(f, 0, 0, 0);
}

/* The running thread gives the CPU away at @f. */
static void leave(struct xthread *me, struct trap_frame *f, bool asked)
{
	if (me->state == XTHREAD_GONE) {
		g_cpu.loaded = NULL;
		thread_free(me);
		return;
	}
	me->frame = *f;
	me->fp_full = !asked;
	if (me->state == XTHREAD_RUNNING) {
		me->state = XTHREAD_READY;
		runq_add(&g_cpu.ready, &me->run);
	}
}

struct trap_frame *sched_pick(struct trap_frame *f)
{
	const bool asked = f->vector == VEC_SWITCH;
	struct xthread *me = g_cpu.now, *next;
	uint64_t now;

	if (me && !asked && !(f->rflags & RFLAGS_IF))
		return f; /* in the platform, which does not expect it */
	g_cpu.resched = false;
	now = plat_mono_ns();
	account(now);
	if (me && me->state == XTHREAD_RUNNING && stays(me, asked, now)) {
		if (now >= g_cpu.slice_end)
			g_cpu.slice_end = now + SLICE_NS;
		arm();
		return with_kick(me, f);
	}
	if (me)
		leave(me, f, asked);
	next = first_ready();
	if (!next)
		return go_idle(f);
	return with_kick(next, run(next, now));
}

/* ---- the beginning ---- */

void sched_init(void)
{
	struct xthread *t;

	list_init(&g_cpu.ready);
	g_cpu.armed = PLAT_NO_DEADLINE;
	futex_init();
	t = xthread_alloc();
	if (!t)
		boot_die("no memory for the first thread");
	thread_add(t);
	t->state = XTHREAD_RUNNING;
	g_cpu.now = g_cpu.loaded = t;
	g_cpu.since = plat_mono_ns();
}

void sched_set_libos(struct thread *th)
{
	const uint64_t flags = irq_off();
	struct xthread *me = g_cpu.now;

	me->libos = th;
	me->signal_stack = libos_signal_stack(th, &me->signal_stack_size);
	fpu_set_gs((uintptr_t)th);
	irq_restore(flags);
}
