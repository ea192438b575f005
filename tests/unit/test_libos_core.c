/* SPDX-License-Identifier: MIT */
/* The bottom of libos, without a guest: table, copies, map, timers, threads. */
#include "libos/dispatch.h"
#include "libos/ktimer.h"
#include "libos/lending.h"
#include "libos/lock.h"
#include "libos/syscall.h"
#include "tests/testlib/testlib.h"
#include "libos/user.h"
#include "libos/vma.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define BAD ((void *)8)

/* ---- the table ---- */

static void every_row_without_code_refuses_with_its_errno(void)
{
	for (long n = 0; n <= g_syscall_max; n++) {
		const struct syscall_row *r = &g_syscall_rows[n];

		if (r->name)
			CU_ASSERT(r->refusal < 0 && r->refusal > -4096);
		if (r->name && !g_syscall_table[n])
			CU_ASSERT_EQUAL(SYS(n), r->refusal);
		if (!r->name)
			CU_ASSERT_PTR_NULL(g_syscall_table[n]);
	}
}

static void numbers_outside_the_table_give_enosys(void)
{
	CU_ASSERT_EQUAL(SYS(-1), -ENOSYS);
	CU_ASSERT_EQUAL(SYS(g_syscall_max + 1), -ENOSYS);
	CU_ASSERT_EQUAL(SYS(1L << 40), -ENOSYS);
	CU_ASSERT_EQUAL(SYS(SYS_fork), -ENOSYS);
	CU_ASSERT_EQUAL(SYS(SYS_shmget), -ENOSYS);
}

static void numbers_and_names_agree_with_linux(void)
{
	CU_ASSERT_STRING_EQUAL(syscall_name(SYS_futex), "futex");
	CU_ASSERT_STRING_EQUAL(syscall_name(SYS_newfstatat), "newfstatat");
	CU_ASSERT_STRING_EQUAL(syscall_name(SYS_pread64), "pread64");
	CU_ASSERT_STRING_EQUAL(syscall_name(SYS_exit_group), "exit_group");
	CU_ASSERT_PTR_NULL(syscall_name(-1));
	CU_ASSERT_PTR_NULL(syscall_name(g_syscall_max + 1));
}

/* ---- copies ---- */

static void copies_of_every_length_are_exact(void)
{
	unsigned char from[300], to[300];

	for (unsigned i = 0; i < sizeof(from); i++)
		from[i] = (unsigned char)(i * 7 + 1);
	for (size_t n = 0; n < 290; n++) {
		memset(to, 0xee, sizeof(to));
		CU_ASSERT_EQUAL(user_copy_out(to + 1, from + 2, n), 0);
		CU_ASSERT_EQUAL(memcmp(to + 1, from + 2, n), 0);
		CU_ASSERT_EQUAL(to[0], 0xee);
		CU_ASSERT_EQUAL(to[n + 1], 0xee);
	}
}

static void bad_pointers_give_efault_at_every_length(void)
{
	char buf[64];
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool done = false;
	uint32_t v = 0;

	munmap(page + 4096, 4096);
	for (size_t n = 1; n < 64; n++) {
		CU_ASSERT_EQUAL(user_copy_in(buf, BAD, n), -EFAULT);
		CU_ASSERT_EQUAL(user_copy_out(page + 4096 - n + 1, buf, n), -EFAULT);
		CU_ASSERT_EQUAL(user_copy_out(page + 4096 - n, buf, n), 0);
	}
	CU_ASSERT_EQUAL(user_copy_in(buf, (void *)(UINTPTR_MAX - 3), 8), -EFAULT);
	CU_ASSERT_EQUAL(plat_load_u32(&v, BAD), -EFAULT);
	CU_ASSERT_EQUAL(plat_cmpxchg_u32(BAD, &v, 1, &done), -EFAULT);
	CU_ASSERT_EQUAL(plat_copy(page + 4096 - 40, page, 100), 60);
	munmap(page, 4096);
}

static void strings_are_taken_up_to_the_page_before_a_hole(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char buf[32];

	munmap(page + 4096, 4096);
	memcpy(page + 4096 - 6, "hello", 6);
	CU_ASSERT_EQUAL(user_copy_str(buf, page + 4096 - 6, sizeof(buf)), 5);
	CU_ASSERT_STRING_EQUAL(buf, "hello");
	CU_ASSERT_EQUAL(user_copy_str(buf, page + 4096 - 6, 5), -ENAMETOOLONG);
	page[4095] = 'x';
	CU_ASSERT_EQUAL(user_copy_str(buf, page + 4096 - 6, sizeof(buf)), -EFAULT);
	munmap(page, 4096);
}

static void scattered_buffers_move_and_stop_at_a_bad_piece(void)
{
	char a[3], b[5], in[8];
	struct iovec v[4] = {{a, 3}, {b, 0}, {b, 5}, {BAD, 4}}, store[4];
	struct uio u;

	CU_ASSERT_EQUAL(uio_import(&u, v, 4, store, 4), 0);
	CU_ASSERT_EQUAL(uio_left(&u), 12);
	CU_ASSERT_EQUAL(uio_out(&u, "12345678", 8), 8);
	CU_ASSERT_EQUAL(memcmp(a, "123", 3), 0);
	CU_ASSERT_EQUAL(memcmp(b, "45678", 5), 0);
	CU_ASSERT_EQUAL(uio_out(&u, "9", 1), 0);
	CU_ASSERT_EQUAL(uio_import(&u, v, 3, store, 4), 0);
	CU_ASSERT_EQUAL(uio_in(&u, in, 8), 8);
	CU_ASSERT_EQUAL(memcmp(in, "12345678", 8), 0);
	CU_ASSERT_EQUAL(uio_import(&u, v, -1, store, 4), -EINVAL);
	CU_ASSERT_EQUAL(uio_import(&u, v, 5, store, 4), -EINVAL);
	CU_ASSERT_EQUAL(uio_import(&u, BAD, 1, store, 4), -EFAULT);
	v[1].iov_len = (size_t)INT64_MAX;
	CU_ASSERT_EQUAL(uio_import(&u, v, 2, store, 4), -EINVAL);
}

static void what_was_moved_can_be_moved_again(void)
{
	static const char text[] = "the quick brown fox";
	char from[20], to[20];
	struct iovec v[6] = {{from, 4}, {from, 0}, {from + 4, 1}, {from + 5, 0}, {from + 5, 14}, {BAD, 0}};
	struct iovec store[6];
	unsigned seed = 3;
	struct uio u;

	memcpy(from, text, sizeof(from));
	for (int i = 0; i < 2000; i++) {
		size_t at = 0;

		CU_ASSERT_EQUAL_FATAL(uio_import(&u, v, 6, store, 6), 0);
		memset(to, 0, sizeof(to));
		while (at < 19) {
			const size_t n = (size_t)rand_r(&seed) % (20 - at);
			const size_t back = (size_t)rand_r(&seed) % (at + n + 1);
			void *front;

			CU_ASSERT_EQUAL_FATAL(uio_in(&u, to + at, n), n);
			at += n;
			if (rand_r(&seed) % 3 == 0) {
				uio_back(&u, back);
				at -= back;
			} else if (rand_r(&seed) % 3 == 0 && at < 19) {
				CU_ASSERT_FATAL(uio_front(&u, &front) > 0);
				to[at++] = *(char *)front;
				uio_skip(&u, 1);
			}
			CU_ASSERT_EQUAL_FATAL(u.done, at);
			CU_ASSERT_EQUAL_FATAL(uio_left(&u), 19 - at);
		}
		CU_ASSERT_EQUAL_FATAL(memcmp(to, text, 19), 0);
	}
	uio_back(&u, 1000);
	CU_ASSERT_EQUAL(u.done, 0);
	CU_ASSERT_EQUAL(uio_in(&u, to, 19), 19);
	CU_ASSERT_EQUAL(memcmp(to, text, 19), 0);
}

/* ---- the map of mappings, against a model of one byte a page ---- */

#define PAGES 64
#define BASE UINT64_C(0x100000000)

static void the_map_agrees_with_a_model(void)
{
	unsigned char model[PAGES] = {0};
	unsigned seed = 12345;

	vma_lock();
	CU_ASSERT_EQUAL(vma_clear(BASE, PAGES * 4096), 0);
	for (int round = 0; round < 20000; round++) {
		const unsigned r = (unsigned)rand_r(&seed);
		const uint64_t at = r % PAGES, n = 1 + (r >> 8) % (PAGES - at);
		const uint32_t prot = (r >> 16) % 3;
		bool full = true;

		switch ((r >> 20) % 3) {
		case 0:
			CU_ASSERT_EQUAL(vma_set(BASE + at * 4096, n * 4096, prot, 0), 0);
			memset(model + at, (int)prot + 1, n);
			break;
		case 1:
			CU_ASSERT_EQUAL(vma_clear(BASE + at * 4096, n * 4096), 0);
			memset(model + at, 0, n);
			break;
		default:
			CU_ASSERT_EQUAL(vma_change(BASE + at * 4096, n * 4096, &prot, 0, 0), 0);
			for (uint64_t i = at; i < at + n; i++)
				if (model[i])
					model[i] = (unsigned char)(prot + 1);
		}
		for (uint64_t i = 0; i < PAGES; i++) {
			const struct vma *v = vma_find(BASE + i * 4096);

			full &= model[i] != 0 || i < at || i >= at + n;
			if ((v ? v->prot + 1 : 0) != model[i])
				CU_FAIL("page differs from the model");
		}
		CU_ASSERT_EQUAL(vma_covers(BASE + at * 4096, n * 4096), full);
	}
	(void)vma_clear(BASE, PAGES * 4096);
	vma_unlock();
}

/* ---- timers ---- */

static _Atomic int g_fired, g_order_wrong;
static _Atomic uint64_t g_last;

static void on_timer(struct ktimer *t)
{
	if (t->deadline < g_last)
		g_order_wrong = 1;
	g_last = t->deadline;
	g_fired++;
}

static void timers_fire_in_order_and_cancelled_ones_do_not(void)
{
	static struct ktimer t[200];
	const uint64_t now = plat_mono_ns();
	unsigned seed = 99;
	int cancelled = 0;

	g_fired = 0;
	g_last = 0;
	for (int i = 0; i < 200; i++) {
		ktimer_init(&t[i], on_timer);
		CU_ASSERT_EQUAL(ktimer_set(&t[i], now + 60000000 + (uint64_t)rand_r(&seed) % 80000000), 0);
	}
	for (int i = 0; i < 200; i += 3)
		cancelled += ktimer_cancel(&t[i]);
	CU_ASSERT_EQUAL(cancelled, 67);
	for (int i = 0; i < 3000 && g_fired < 200 - cancelled; i++)
		SYS(SYS_nanosleep, (&(struct timespec){0, 1000000}), NULL);
	CU_ASSERT_EQUAL(g_fired, 200 - cancelled);
	CU_ASSERT_EQUAL(g_order_wrong, 0);
	CU_ASSERT_FALSE(ktimer_cancel(&t[1]));
}

/* ---- threads ---- */

static _Atomic uint32_t g_word;
static long g_sum;

static void *locked_adds(void *arg)
{
	static struct lock lock = LOCK_INIT;

	(void)arg;
	for (int i = 0; i < 20000; i++) {
		lock_take(&lock);
		g_sum++;
		lock_drop(&lock);
	}
	return NULL;
}

static void the_lock_excludes(void)
{
	pthread_t t[4];

	g_sum = 0;
	for (int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(testlib_thread(&t[i], locked_adds, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CU_ASSERT_EQUAL(g_sum, 80000);
}

static void *pong(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < 2000; i++) {
		while (g_word != 2 * i + 1)
			SYS(SYS_futex, &g_word, FUTEX_WAIT, 2 * i, NULL);
		g_word = 2 * i + 2;
		SYS(SYS_futex, &g_word, FUTEX_WAKE, 1);
	}
	return NULL;
}

static void futexes_lose_no_wake_up(void)
{
	pthread_t t;

	g_word = 0;
	CU_ASSERT_EQUAL(testlib_thread(&t, pong, NULL), 0);
	for (uint32_t i = 0; i < 2000; i++) {
		g_word = 2 * i + 1;
		SYS(SYS_futex, &g_word, FUTEX_WAKE, 1);
		while (g_word != 2 * i + 2)
			SYS(SYS_futex, &g_word, FUTEX_WAIT, 2 * i + 1, NULL);
	}
	pthread_join(t, NULL);
	CU_ASSERT_EQUAL(g_word, 4000);
}

static struct thread *_Atomic g_sleeper;

static void *park_a_while(void *result)
{
	g_sleeper = self();
	*(long *)result = thread_park(plat_mono_ns() + UINT64_C(5000000000), PARK_RINGS);
	return NULL;
}

static void a_thread_on_the_rings_is_unparked_and_times_out(void)
{
	long r = 9;
	pthread_t t;

	CU_ASSERT_EQUAL(thread_park(plat_mono_ns() + 10000000, PARK_RINGS), -ETIMEDOUT);
	CU_ASSERT_EQUAL(thread_park(plat_mono_ns() + 10000000, 0), -ETIMEDOUT);
	thread_unpark(self());
	CU_ASSERT_EQUAL(thread_park(PLAT_NO_DEADLINE, PARK_RINGS), 0);
	g_sleeper = NULL;
	CU_ASSERT_EQUAL(testlib_thread(&t, park_a_while, &r), 0);
	while (!g_sleeper)
		plat_yield();
	SYS(SYS_nanosleep, (&(struct timespec){0, 20000000}), NULL);
	thread_unpark(g_sleeper);
	pthread_join(t, NULL);
	CU_ASSERT_EQUAL(r, 0);
}

/* How many of @waits lend, none of which pays. */
static unsigned lends_for_nothing(struct lending *l, unsigned waits)
{
	unsigned n = 0;

	for (unsigned i = 0; i < waits; i++) {
		if (!lending_due(l))
			continue;
		lending_was(l, false);
		n++;
	}
	return n;
}

static void the_cpu_is_lent_as_long_as_that_pays(void)
{
	struct lending l = {0, 0};

	for (int i = 0; i < 100; i++) {
		CU_ASSERT_TRUE(lending_due(&l));
		lending_was(&l, true);
	}
	/* It lends, and the waits between are 1, 2, 4, ..., 1024, 1024. */
	CU_ASSERT_EQUAL(lends_for_nothing(&l, 1), 1);
	CU_ASSERT_EQUAL(lends_for_nothing(&l, 1), 0);
	CU_ASSERT_EQUAL(lends_for_nothing(&l, 1 + 2), 1);
	CU_ASSERT_EQUAL(lends_for_nothing(&l, 1 + 4), 1);
	CU_ASSERT_EQUAL(lends_for_nothing(&l, 8 + 8 + 16 + 32 + 64 + 128 + 256 + 512 + 1024), 8);
	CU_ASSERT_EQUAL(lends_for_nothing(&l, 10 * (1 + LENDING_PAUSE_MAX)), 10);
	/* One that pays, and the next may follow at once; after one that does not, one waits. */
	CU_ASSERT_TRUE(lending_due(&l));
	lending_was(&l, true);
	CU_ASSERT_EQUAL(lends_for_nothing(&l, 2), 1);
	CU_ASSERT_TRUE(lending_due(&l));
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(every_row_without_code_refuses_with_its_errno),
		TEST(numbers_outside_the_table_give_enosys),
		TEST(numbers_and_names_agree_with_linux),
		TEST(copies_of_every_length_are_exact),
		TEST(bad_pointers_give_efault_at_every_length),
		TEST(strings_are_taken_up_to_the_page_before_a_hole),
		TEST(scattered_buffers_move_and_stop_at_a_bad_piece),
		TEST(what_was_moved_can_be_moved_again),
		TEST(the_map_agrees_with_a_model),
		TEST(timers_fire_in_order_and_cancelled_ones_do_not),
		TEST(the_lock_excludes),
		TEST(futexes_lose_no_wake_up),
		TEST(a_thread_on_the_rings_is_unparked_and_times_out),
		TEST(the_cpu_is_lent_as_long_as_that_pays),
		CU_TEST_INFO_NULL,
	};

	testlib_start(NULL);
	return suite_run("libos", NULL, NULL, tests);
}
