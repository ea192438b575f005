/* SPDX-License-Identifier: MIT */
/*
 * platform/xen's scheduler with a clock and a timer of the test's own: what sched_pick()
 * decides, when the timer is set, and where a kick is delivered.
 *
 * The file is included: traps are calls of sched_pick() with a frame made up.
 */
#include "platform/xen/sched.c"

#include "tests/unit/suite.h"

#include <string.h>

static uint64_t g_now;
static unsigned g_arms, g_kicks, g_freed;
static struct xthread g_t[6];
static struct trap_frame g_stack; /* where a trap's frame lies */
struct plat_config g_config;
struct shared_info *g_shared;

/* ---- what sched.c calls ---- */

uint64_t plat_mono_ns(void)
{
	return g_now;
}

void clock_arm(uint64_t deadline)
{
	CU_ASSERT_EQUAL(deadline, g_cpu.armed);
	g_arms++;
}

void futex_init(void)
{
}

void futex_forget(struct xthread *t)
{
	(void)t;
}

struct xthread *xthread_alloc(void)
{
	return &g_t[0];
}

void thread_add(struct xthread *t)
{
	t->id = 1;
}

void thread_free(struct xthread *t)
{
	(void)t;
	g_freed++;
}

struct trap_frame *sched_upcall(struct trap_frame *f, int sig, int code, uint64_t addr)
{
	CU_ASSERT_EQUAL(sig | code | (int)addr, 0);
	g_kicks++;
	return f;
}

void upcall_take_kick(void)
{
}

void fpu_save(void *fp)
{
	(void)fp;
}

void fpu_load(const void *fp)
{
	(void)fp;
}

void fpu_save_control(struct fp_control *c)
{
	(void)c;
}

void fpu_load_control(const struct fp_control *c)
{
	(void)c;
}

void fpu_set_gs(uint64_t base)
{
	(void)base;
}

void plat_set_fs(uint64_t base)
{
	(void)base;
}

uint64_t plat_get_fs(void)
{
	return 0;
}

void *libos_signal_stack(struct thread *th, size_t *size)
{
	*size = 0;
	return th;
}

void evtchn_upcall(void)
{
}

long hypercall(unsigned nr, long a, long b, long c, long d)
{
	return nr + a + b + c + d;
}

_Noreturn void boot_die(const char *what)
{
	puts(what);
	__builtin_trap();
}

/* ---- helpers ---- */

static void fresh(void)
{
	memset(g_t, 0, sizeof(g_t));
	memset(&g_cpu, 0, sizeof(g_cpu));
	g_now = 1000000000;
	g_arms = g_kicks = g_freed = 0;
	sched_init();
	for (int i = 0; i < 6; i++)
		g_t[i].frame.rflags = RFLAGS_IF;
}

/* An interrupt, or `int VEC_SWITCH`, at the running thread; who goes on. */
static int trapped(uint64_t vector, uint64_t rflags)
{
	g_stack = (struct trap_frame){.vector = vector, .rflags = rflags};
	(void)sched_pick(&g_stack);
	return g_cpu.now ? (int)(g_cpu.now - g_t) : -1;
}

/* Time goes by until @end; the timer fires when it is due.  CPU time by thread. */
static void pass(uint64_t end, uint64_t cpu[6])
{
	while (g_now < end) {
		const uint64_t to = g_cpu.armed < end ? g_cpu.armed : end;

		if (g_cpu.now && to > g_now)
			cpu[g_cpu.now - g_t] += to - g_now;
		g_now = to > g_now ? to : g_now;
		if (g_cpu.armed <= g_now) {
			sched_tick();
			(void)trapped(VEC_UPCALL, RFLAGS_IF);
		}
	}
}

static int sleeps(uint64_t deadline)
{
	struct xthread *me = g_cpu.now;

	me->state = XTHREAD_ASLEEP;
	if (deadline != PLAT_NO_DEADLINE) {
		me->timer.at = deadline;
		heap_add(&g_cpu.timers, &me->timer);
	}
	return trapped(VEC_SWITCH, 0);
}

/* ---- cases ---- */

static void those_that_compute_share_the_cpu(void)
{
	uint64_t cpu[6] = {0};

	fresh();
	for (int i = 1; i < 4; i++)
		sched_ready(&g_t[i]);
	pass(g_now + 1000000000, cpu);
	for (int i = 0; i < 4; i++)
		CU_ASSERT_TRUE(cpu[i] >= 240000000 && cpu[i] <= 260000000);
	CU_ASSERT_TRUE(g_arms <= 110); /* one a slice */
	CU_ASSERT_EQUAL(g_t[2].cpu_ns / 1000000,
	                (cpu[2] - (g_cpu.now == &g_t[2] ? g_now - g_cpu.since : 0)) /
	                        1000000);
}

static void one_that_computes_alone_needs_no_timer(void)
{
	uint64_t cpu[6] = {0};

	fresh();
	CU_ASSERT_EQUAL(trapped(VEC_UPCALL, RFLAGS_IF), 0);
	pass(g_now + 1000000000, cpu);
	CU_ASSERT_EQUAL(g_arms, 0);
	CU_ASSERT_EQUAL(cpu[0], 1000000000);
}

static void a_sleeper_gets_the_cpu_when_its_time_has_come(void)
{
	uint64_t cpu[6] = {0}, begin;

	fresh();
	sched_ready(&g_t[1]);
	pass(g_now + 50000000, cpu); /* both have had some */
	if (g_cpu.now != &g_t[0])
		(void)trapped(VEC_SWITCH, RFLAGS_IF);
	for (int i = 0; i < 20; i++) {
		if (g_cpu.now != &g_t[0])
			break;
		begin = g_now;
		CU_ASSERT_EQUAL(sleeps(g_now + 3000000), 1);
		pass(begin + 3000000, cpu);
		CU_ASSERT_PTR_EQUAL(g_cpu.now, &g_t[0]);
		CU_ASSERT_EQUAL(g_t[0].wait_result, -ETIMEDOUT);
	}
}

/* Two that wake each other for ever do not keep a third from computing. */
static void those_that_wake_each_other_get_no_more_than_their_share(void)
{
	uint64_t cpu[6] = {0}, begin;
	int me, other;

	fresh();
	sched_ready(&g_t[1]);
	sched_ready(&g_t[2]); /* computes */
	CU_ASSERT_EQUAL(sleeps(PLAT_NO_DEADLINE), 1);
	for (begin = g_now; g_now < begin + 900000000;) {
		pass(g_now + 100000, cpu);
		if (g_cpu.now == &g_t[2])
			continue;
		me = (int)(g_cpu.now - g_t);
		other = 1 - me;
		if (g_t[other].state == XTHREAD_ASLEEP)
			sched_wake(&g_t[other], 0);
		(void)sleeps(PLAT_NO_DEADLINE);
	}
	CU_ASSERT_TRUE(cpu[2] > 250000000);
	CU_ASSERT_TRUE(cpu[0] + cpu[1] > 250000000);
}

static void who_yields_goes_behind_the_others(void)
{
	fresh();
	sched_ready(&g_t[1]);
	sched_ready(&g_t[2]);
	g_now += 1000;
	g_cpu.now->run.vtime = runq_last(&g_cpu.ready)->vtime;
	CU_ASSERT_EQUAL(trapped(VEC_SWITCH, 0), 1);
	CU_ASSERT_FALSE(g_t[0].fp_full); /* behind a call */
	CU_ASSERT_EQUAL(g_t[0].state, XTHREAD_READY);
}

static void code_with_interrupts_off_is_not_preempted(void)
{
	fresh();
	sched_ready(&g_t[1]);
	g_now += 20000000;
	g_cpu.resched = true;
	CU_ASSERT_EQUAL(trapped(VEC_UPCALL, 0), 0);
	CU_ASSERT_TRUE(g_cpu.resched); /* later, then */
	CU_ASSERT_EQUAL(trapped(VEC_UPCALL, RFLAGS_IF), 1);
	CU_ASSERT_TRUE(g_t[0].fp_full);
}

static void nobody_ready_idles_without_a_timer(void)
{
	fresh();
	CU_ASSERT_EQUAL(sleeps(g_now + 5000000), -1);
	CU_ASSERT_EQUAL(g_stack.rip, (uintptr_t)idle);
	CU_ASSERT_FALSE(g_stack.rflags & RFLAGS_IF);
	CU_ASSERT_EQUAL(g_arms, 0); /* the poll has the deadline */
	g_now += 5000000;
	sched_tick();
	CU_ASSERT_EQUAL(trapped(VEC_UPCALL, RFLAGS_IF), 0);
	CU_ASSERT_PTR_EQUAL(g_cpu.loaded, &g_t[0]); /* nothing was loaded again */
}

/* An event that wakes nobody: idle() begins anew, with the deadlines as they are. */
static void an_idle_cpu_begins_anew_after_each_interrupt(void)
{
	fresh();
	CU_ASSERT_EQUAL(sleeps(PLAT_NO_DEADLINE), -1);
	CU_ASSERT_EQUAL(trapped(VEC_UPCALL, RFLAGS_IF), -1);
	CU_ASSERT_EQUAL(g_stack.rip, (uintptr_t)idle);
	sched_wake(&g_t[0], 0);
	CU_ASSERT_TRUE(g_cpu.resched);
	CU_ASSERT_EQUAL(trapped(VEC_UPCALL, RFLAGS_IF), 0);
}

static void a_kick_waits_for_the_place_where_it_may_come(void)
{
	struct thread *some = (void *)g_t;

	fresh();
	g_t[0].libos = some;
	g_t[0].kicked = true;
	(void)trapped(VEC_UPCALL, 0); /* in the platform */
	CU_ASSERT_EQUAL(g_kicks, 0);
	g_t[0].in_upcall = true; /* its signal stack is in use */
	(void)trapped(VEC_UPCALL, RFLAGS_IF);
	CU_ASSERT_EQUAL(g_kicks, 0);
	g_t[0].in_upcall = false;
	(void)trapped(VEC_UPCALL, RFLAGS_IF);
	CU_ASSERT_EQUAL(g_kicks, 1);
	CU_ASSERT_FALSE(g_t[0].kicked);
	/* One that was preempted gets it when it runs again. */
	g_t[1].libos = some;
	g_t[1].kicked = true;
	sched_ready(&g_t[1]);
	CU_ASSERT_EQUAL(sleeps(PLAT_NO_DEADLINE), 1);
	CU_ASSERT_EQUAL(g_kicks, 2);
}

static void who_is_gone_is_freed_and_never_runs(void)
{
	fresh();
	sched_ready(&g_t[1]);
	g_cpu.now->state = XTHREAD_GONE;
	CU_ASSERT_EQUAL(trapped(VEC_SWITCH, 0), 1);
	CU_ASSERT_EQUAL(g_freed, 1);
	CU_ASSERT_TRUE(list_empty(&g_cpu.ready));
}

/* Longer than Xen's signed times: it never fires, rather than at once. */
static void a_deadline_at_the_end_of_time_sets_no_timer(void)
{
	fresh();
	sched_ready(&g_t[1]);
	g_arms = 0;
	g_cpu.armed = PLAT_NO_DEADLINE;
	CU_ASSERT_EQUAL(sleeps(UINT64_MAX - 5), 1);
	CU_ASSERT_EQUAL(g_arms, 0);
}

int main(void)
{
	static CU_TestInfo tests[] = {
	        TEST(those_that_compute_share_the_cpu),
	        TEST(one_that_computes_alone_needs_no_timer),
	        TEST(a_sleeper_gets_the_cpu_when_its_time_has_come),
	        TEST(those_that_wake_each_other_get_no_more_than_their_share),
	        TEST(who_yields_goes_behind_the_others),
	        TEST(code_with_interrupts_off_is_not_preempted),
	        TEST(nobody_ready_idles_without_a_timer),
	        TEST(an_idle_cpu_begins_anew_after_each_interrupt),
	        TEST(a_kick_waits_for_the_place_where_it_may_come),
	        TEST(who_is_gone_is_freed_and_never_runs),
	        TEST(a_deadline_at_the_end_of_time_sets_no_timer),
	        CU_TEST_INFO_NULL,
	};

	return suite_run("xen_pick", NULL, NULL, tests);
}
