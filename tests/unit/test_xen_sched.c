/* SPDX-License-Identifier: MIT */
/*
 * platform/xen's queues, futex lists, clock arithmetic and random generator, with a
 * scheduler of the test's own: no interrupt, no hypercall.
 */
#include "platform/xen/drbg.h"
#include "platform/xen/pvclock.h"
#include "platform/xen/xen.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the files under test call ---- */

struct cpu g_cpu;
struct plat_config g_config;

static struct xthread g_threads[8];
static struct xthread *g_woken[64];
static int g_n_woken, g_taken;
static void (*g_meanwhile)(void); /* what others do while the thread sleeps */

uint64_t plat_mono_ns(void)
{
	return 1000;
}

void upcall_take_kick(void)
{
	g_cpu.now->kicked = false;
	g_taken++;
}

void sched_wake(struct xthread *t, int result)
{
	if (t->state != XTHREAD_ASLEEP)
		return;
	futex_forget(t);
	t->state = XTHREAD_READY;
	t->wait_result = result;
	g_woken[g_n_woken++ % 64] = t;
}

int sched_sleep(uint64_t deadline)
{
	struct xthread *me = g_cpu.now;

	me->state = XTHREAD_ASLEEP;
	me->wait_result = 0;
	if (g_meanwhile)
		g_meanwhile();
	if (me->state == XTHREAD_ASLEEP && deadline != PLAT_NO_DEADLINE)
		sched_wake(me, -ETIMEDOUT);
	return me->wait_result;
}

/* A thread that sleeps on one or two words and stays there. */
static void asleep_on(int i, const _Atomic uint32_t *a, const _Atomic uint32_t *b)
{
	const _Atomic uint32_t *const words[2] = {a, b};

	g_cpu.now = &g_threads[i];
	g_meanwhile = NULL;
	(void)futex_sleep_locked(words, b ? 2 : 1, PLAT_NO_DEADLINE);
}

static void fresh(void)
{
	memset(g_threads, 0, sizeof(g_threads));
	futex_init();
	g_n_woken = g_taken = 0;
	g_meanwhile = NULL;
	g_cpu.now = &g_threads[0];
}

/* ---- futexes ---- */

static void sleepers_wake_in_the_order_they_came(void)
{
	static _Atomic uint32_t word, other;

	fresh();
	for (int i = 0; i < 6; i++)
		asleep_on(i, i == 2 ? &other : &word, NULL);
	CU_ASSERT_EQUAL(futex_wake_locked(&word, 3), 3);
	CU_ASSERT_PTR_EQUAL(g_woken[0], &g_threads[0]);
	CU_ASSERT_PTR_EQUAL(g_woken[1], &g_threads[1]);
	CU_ASSERT_PTR_EQUAL(g_woken[2], &g_threads[3]);
	CU_ASSERT_EQUAL(futex_wake_locked(&word, INT_MAX), 2);
	CU_ASSERT_EQUAL(futex_wake_locked(&word, 1), 0);
	CU_ASSERT_EQUAL(g_threads[2].state, XTHREAD_ASLEEP);
	CU_ASSERT_EQUAL(futex_wake_locked(&other, 1), 1);
}

static void a_sleeper_on_two_words_is_woken_once(void)
{
	static _Atomic uint32_t a, b;

	fresh();
	asleep_on(1, &a, &b);
	asleep_on(2, &b, &a);
	CU_ASSERT_EQUAL(futex_wake_locked(&b, 1), 1);
	CU_ASSERT_PTR_EQUAL(g_woken[0], &g_threads[1]);
	CU_ASSERT_EQUAL(futex_wake_locked(&a, INT_MAX), 1);
	CU_ASSERT_PTR_EQUAL(g_woken[1], &g_threads[2]);
	CU_ASSERT_EQUAL(futex_wake_locked(&b, INT_MAX), 0);
}

/* Both links of a thread side by side in one list: the walk must not step on the
 * second one after the first one woke it. */
static void both_words_may_be_one(void)
{
	static _Atomic uint32_t word;

	fresh();
	asleep_on(1, &word, &word);
	asleep_on(2, &word, &word);
	CU_ASSERT_EQUAL(futex_wake_locked(&word, INT_MAX), 2);
	CU_ASSERT_EQUAL(futex_wake_locked(&word, INT_MAX), 0);
}

static void words_of_one_bucket_do_not_mix(void)
{
	static _Atomic uint32_t words[4096];

	fresh();
	for (int i = 0; i < 8; i++)
		asleep_on(i, &words[i * 512], NULL);
	for (int i = 7; i >= 0; i--) {
		CU_ASSERT_EQUAL(futex_wake_locked(&words[i * 512], INT_MAX), 1);
		CU_ASSERT_PTR_EQUAL(g_woken[7 - i], &g_threads[i]);
	}
}

static void a_deadline_that_is_over_does_not_sleep(void)
{
	static _Atomic uint32_t word;
	const _Atomic uint32_t *const words[1] = {&word};

	fresh();
	CU_ASSERT_EQUAL(futex_sleep_locked(words, 1, 1000), -ETIMEDOUT);
	CU_ASSERT_EQUAL(g_n_woken, 0);
	CU_ASSERT_EQUAL(futex_sleep_locked(words, 1, 1001), -ETIMEDOUT);
	CU_ASSERT_EQUAL(g_n_woken, 1); /* slept, and its time came */
	CU_ASSERT_EQUAL(futex_wake_locked(&word, 1), 0);
}

static void kick_now(void)
{
	g_cpu.now->kicked = true;
	sched_wake(g_cpu.now, -EINTR);
}

static void a_kick_ends_the_sleep_before_and_in_it(void)
{
	static _Atomic uint32_t word;
	const _Atomic uint32_t *const words[1] = {&word};

	fresh();
	g_cpu.now->kicked = true;
	CU_ASSERT_EQUAL(futex_sleep_locked(words, 1, PLAT_NO_DEADLINE), -EINTR);
	CU_ASSERT_EQUAL(g_n_woken, 0);
	CU_ASSERT_EQUAL(g_taken, 1);
	g_meanwhile = kick_now;
	CU_ASSERT_EQUAL(futex_sleep_locked(words, 1, PLAT_NO_DEADLINE), -EINTR);
	CU_ASSERT_EQUAL(g_taken, 2);
	/* Inside libos_interrupt() it waits: locks are taken there. */
	g_cpu.now->in_upcall = true;
	g_cpu.now->kicked = true;
	g_meanwhile = NULL;
	CU_ASSERT_EQUAL(futex_sleep_locked(words, 1, 2000), -ETIMEDOUT);
	CU_ASSERT_EQUAL(g_taken, 2);
	CU_ASSERT_TRUE(g_cpu.now->kicked);
}

/* ---- the doorbell ---- */

static _Atomic uint32_t g_bell, g_token;

static void a_ring_wakes_a_reader_before_the_pump(void)
{
	uint32_t door = 0;

	fresh();
	g_bell = g_token = 0;
	g_config.doorbell = &g_bell;
	g_cpu.now = &g_threads[1];
	(void)plat_pump_wait(&g_token, 0, door, PLAT_NO_DEADLINE);
	g_cpu.now = &g_threads[2];
	(void)plat_park(&g_token, 0, &door, PLAT_NO_DEADLINE, NULL);
	doorbell_ring_locked();
	CU_ASSERT_EQUAL(g_bell, 1);
	CU_ASSERT_EQUAL(g_n_woken, 1);
	CU_ASSERT_PTR_EQUAL(g_woken[0], &g_threads[2]);
	plat_doorbell_ring();
	CU_ASSERT_EQUAL(g_bell, 2);
	CU_ASSERT_EQUAL(g_n_woken, 2);
	CU_ASSERT_PTR_EQUAL(g_woken[1], &g_threads[1]);
	doorbell_ring_locked(); /* nobody: it is counted */
	CU_ASSERT_EQUAL(g_bell, 3);
	CU_ASSERT_EQUAL(g_n_woken, 2);
}

static void who_parks_looks_at_all_its_reasons(void)
{
	_Atomic uint32_t kicked = 0;
	uint32_t door = 5;

	fresh();
	g_bell = 5;
	g_token = 0;
	g_config.doorbell = &g_bell;
	CU_ASSERT_EQUAL(plat_park(&g_token, 1, NULL, PLAT_NO_DEADLINE, NULL), -EAGAIN);
	door = 4; /* it rang since */
	CU_ASSERT_EQUAL(plat_park(&g_token, 0, &door, PLAT_NO_DEADLINE, NULL), -EAGAIN);
	CU_ASSERT_EQUAL(plat_pump_wait(&g_token, 0, door, PLAT_NO_DEADLINE), -EAGAIN);
	CU_ASSERT_EQUAL(plat_pump_wait(&g_token, 1, 5, PLAT_NO_DEADLINE), -EAGAIN);
	kicked = 1;
	CU_ASSERT_EQUAL(plat_park(&g_token, 0, NULL, PLAT_NO_DEADLINE, &kicked),
	                -EINTR);
	kicked = 0;
	CU_ASSERT_EQUAL(plat_park(&g_token, 0, NULL, 5000, &kicked), -ETIMEDOUT);
	CU_ASSERT_EQUAL(plat_futex_wait(&g_token, 0, 5000), -ETIMEDOUT);
	CU_ASSERT_EQUAL(plat_futex_wait(&g_token, 1, 5000), -EAGAIN);
}

/* ---- the run queue ---- */

static void the_run_queue_is_fair_and_stable(void)
{
	struct link q;
	struct runq_node n[200];
	uint64_t last = 0;

	list_init(&q);
	CU_ASSERT_PTR_NULL(runq_first(&q));
	CU_ASSERT_PTR_NULL(runq_last(&q));
	srand(7);
	for (int i = 0; i < 200; i++) {
		n[i].vtime = (uint64_t)(rand() % 20);
		runq_add(&q, &n[i]);
	}
	for (int i = 0; i < 200; i++) {
		struct runq_node *first = runq_first(&q);
		struct runq_node *next = (struct runq_node *)(void *)first->link.next;

		CU_ASSERT_TRUE(first->vtime >= last);
		last = first->vtime;
		if (i < 199 && next->vtime == first->vtime)
			CU_ASSERT_TRUE(next > first); /* as they were added */
		list_remove(&first->link);
		CU_ASSERT_FALSE(list_linked(&first->link));
	}
	CU_ASSERT_TRUE(list_empty(&q));
}

/* ---- deadlines ---- */

#define N_NODES 3000

static bool heap_sound(const struct heap_node *n)
{
	for (const struct heap_node *c = n->child; c; c = c->next) {
		if (c->at < n->at || !c->in || !heap_sound(c))
			return false;
		if (c->next && c->next->prev != c)
			return false;
	}
	return !n->child || n->child->prev == n;
}

static void the_earliest_deadline_is_on_top(void)
{
	static struct heap_node n[N_NODES];
	struct heap h = {NULL};
	int in = 0;

	memset(n, 0, sizeof(n));
	srand(11);
	for (int step = 0; step < 60000; step++) {
		struct heap_node *x = &n[rand() % N_NODES];

		if (x->in) {
			heap_remove(&h, x);
			in--;
		} else {
			x->at = (uint64_t)(rand() % 1000);
			heap_add(&h, x);
			in++;
		}
		if (step % 1000 == 0 && h.top) {
			uint64_t least = UINT64_MAX;

			CU_ASSERT_TRUE(heap_sound(h.top));
			for (int i = 0; i < N_NODES; i++)
				if (n[i].in && n[i].at < least)
					least = n[i].at;
			CU_ASSERT_EQUAL(h.top->at, least);
		}
	}
	for (uint64_t last = 0; h.top; in--) {
		CU_ASSERT_TRUE(h.top->at >= last);
		last = h.top->at;
		heap_remove(&h, h.top);
	}
	CU_ASSERT_EQUAL(in, 0);
	heap_remove(&h, &n[0]); /* one that is not in: nothing */
	CU_ASSERT_PTR_NULL(h.top);
}

/* ---- the clock ---- */

static void ticks_become_nanoseconds(void)
{
	/* 1 GHz: mul 2^31, shift 1 (Xen's own choice); 2.5 GHz: 0.4 ns a tick. */
	CU_ASSERT_EQUAL(pvclock_scale(1000, 0x80000000u, 1), 1000);
	CU_ASSERT_EQUAL(pvclock_scale(2500000000u, 0xcccccccdu, -1), 1000000000u);
	/* A century of a fast TSC stays exact to the microsecond. */
	CU_ASSERT_EQUAL(pvclock_scale(UINT64_C(1) << 62, 0x80000000u, 0),
	                UINT64_C(1) << 61);
}

static void a_tsc_behind_the_page_gives_the_pages_time(void)
{
	const struct pvclock_time t = {.tsc_timestamp = 5000,
	                               .system_time = 70,
	                               .tsc_to_system_mul = 0x80000000u,
	                               .tsc_shift = 1};

	CU_ASSERT_EQUAL(pvclock_at(&t, 5010), 80);
	CU_ASSERT_EQUAL(pvclock_at(&t, 5000), 70);
	CU_ASSERT_EQUAL(pvclock_at(&t, 4990), 70);
}

static void time_does_not_go_back(void)
{
	_Atomic uint64_t last = 0;

	CU_ASSERT_EQUAL(pvclock_forward(&last, 100), 100);
	CU_ASSERT_EQUAL(pvclock_forward(&last, 90), 100);
	CU_ASSERT_EQUAL(pvclock_forward(&last, 101), 101);
}

/* ---- random numbers ---- */

static void chacha20_is_rfc_8439s(void)
{
	static const uint8_t nonce[12] = {0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0};
	static const uint8_t want[64] = {
	        0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd,
	        0x1f, 0xa3, 0x20, 0x71, 0xc4, 0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0,
	        0x68, 0x03, 0x04, 0x22, 0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e, 0xd2,
	        0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa, 0x09, 0x14, 0xc2, 0xd7, 0x05,
	        0xd9, 0x8b, 0x02, 0xa2, 0xb5, 0x12, 0x9c, 0xd1, 0xde, 0x16, 0x4e,
	        0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e,
	};
	uint8_t key[32], out[64];

	for (int i = 0; i < 32; i++)
		key[i] = (uint8_t)i;
	chacha20_block(key, 1, nonce, out);
	CU_ASSERT_EQUAL(memcmp(out, want, sizeof(want)), 0);
}

static void the_generator_never_repeats_and_forgets_its_key(void)
{
	struct drbg a = {{0}}, b = {{0}}, before;
	uint8_t x[200], y[200];

	drbg_mix(&a, "seed", 4);
	drbg_mix(&b, "seed", 4);
	before = a;
	drbg_get(&a, x, sizeof(x));
	CU_ASSERT_NOT_EQUAL(memcmp(&a, &before, sizeof(a)), 0);
	CU_ASSERT_PTR_NULL(memmem(x, sizeof(x), &a, sizeof(a)));
	drbg_get(&b, y, sizeof(y));
	CU_ASSERT_EQUAL(memcmp(x, y, sizeof(x)),
	                0); /* the same seed, the same numbers */
	drbg_get(&a, y, sizeof(y));
	CU_ASSERT_NOT_EQUAL(memcmp(x, y, sizeof(x)), 0);
	/* A seed in two parts is another one than in one, and none is no change. */
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	drbg_mix(&a, "ab", 2);
	drbg_mix(&b, "a", 1);
	drbg_mix(&b, "b", 1);
	CU_ASSERT_NOT_EQUAL(memcmp(&a, &b, sizeof(a)), 0);
	before = b;
	drbg_mix(&b, "", 0);
	CU_ASSERT_EQUAL(memcmp(&b, &before, sizeof(b)), 0);
}

int main(void)
{
	static CU_TestInfo tests[] = {
	        TEST(sleepers_wake_in_the_order_they_came),
	        TEST(a_sleeper_on_two_words_is_woken_once),
	        TEST(both_words_may_be_one),
	        TEST(words_of_one_bucket_do_not_mix),
	        TEST(a_deadline_that_is_over_does_not_sleep),
	        TEST(a_kick_ends_the_sleep_before_and_in_it),
	        TEST(a_ring_wakes_a_reader_before_the_pump),
	        TEST(who_parks_looks_at_all_its_reasons),
	        TEST(the_run_queue_is_fair_and_stable),
	        TEST(the_earliest_deadline_is_on_top),
	        TEST(ticks_become_nanoseconds),
	        TEST(a_tsc_behind_the_page_gives_the_pages_time),
	        TEST(time_does_not_go_back),
	        TEST(chacha20_is_rfc_8439s),
	        TEST(the_generator_never_repeats_and_forgets_its_key),
	        CU_TEST_INFO_NULL,
	};

	return suite_run("xen_sched", NULL, NULL, tests);
}
