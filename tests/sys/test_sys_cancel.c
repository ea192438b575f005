/* SPDX-License-Identifier: MIT */
/* pthread_cancel in each state of its victim: it lives on signal frames. */
#include "tests/sys/check.h"

#include <poll.h>
#include <semaphore.h>

static volatile int g_step, g_cleaned;
static int g_pipe[2];

static void clean(void *arg)
{
	g_cleaned = (int)(intptr_t)arg;
}

static void *start(void *(*fn)(void *), pthread_t *t)
{
	g_step = g_cleaned = 0;
	CHECK_EQ(pthread_create(t, NULL, fn, NULL), 0);
	return NULL;
}

static void wait_for_step(int n)
{
	for (int i = 0; i < 2000 && g_step < n; i++)
		sleep_ms(1);
	CHECK(g_step >= n);
}

static void expect_cancelled(pthread_t t)
{
	void *result = NULL;

	CHECK_EQ(pthread_join(t, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
	CHECK_EQ(g_cleaned, 7);
}

static void *in_read(void *arg)
{
	char c;

	pthread_cleanup_push(clean, (void *)7);
	g_step = 1;
	(void)!read(g_pipe[0], &c, 1);
	g_step = 2;
	pthread_cleanup_pop(0);
	return arg;
}

static void a_thread_blocked_in_read_is_cancelled(void)
{
	pthread_t t;

	CHECK_EQ(pipe(g_pipe), 0);
	start(in_read, &t);
	wait_for_step(1);
	sleep_ms(40);
	CHECK_EQ(pthread_cancel(t), 0);
	expect_cancelled(t);
	CHECK_EQ(g_step, 1);
	close(g_pipe[0]);
	close(g_pipe[1]);
}

static void *in_nanosleep(void *arg)
{
	pthread_cleanup_push(clean, (void *)7);
	g_step = 1;
	sleep(100);
	pthread_cleanup_pop(0);
	return arg;
}

static void a_sleeping_thread_is_cancelled(void)
{
	pthread_t t;

	start(in_nanosleep, &t);
	wait_for_step(1);
	sleep_ms(40);
	CHECK_EQ(pthread_cancel(t), 0);
	expect_cancelled(t);
}

static pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_cond = PTHREAD_COND_INITIALIZER;

static void clean_unlock(void *arg)
{
	pthread_mutex_unlock(&g_mutex);
	clean(arg);
}

static void *in_cond(void *arg)
{
	pthread_mutex_lock(&g_mutex);
	pthread_cleanup_push(clean_unlock, (void *)7);
	g_step = 1;
	for (;;)
		pthread_cond_wait(&g_cond, &g_mutex);
	pthread_cleanup_pop(0);
	return arg;
}

static void a_thread_in_cond_wait_is_cancelled_with_the_mutex_held(void)
{
	pthread_t t;

	start(in_cond, &t);
	wait_for_step(1);
	sleep_ms(40);
	CHECK_EQ(pthread_cancel(t), 0);
	expect_cancelled(t);
	CHECK_EQ(pthread_mutex_trylock(&g_mutex), 0);
	pthread_mutex_unlock(&g_mutex);
}

static sem_t g_sem;

static void *in_sem(void *arg)
{
	pthread_cleanup_push(clean, (void *)7);
	g_step = 1;
	sem_wait(&g_sem);
	pthread_cleanup_pop(0);
	return arg;
}

static void a_thread_in_sem_wait_is_cancelled(void)
{
	pthread_t t;

	sem_init(&g_sem, 0, 0);
	start(in_sem, &t);
	wait_for_step(1);
	sleep_ms(40);
	CHECK_EQ(pthread_cancel(t), 0);
	expect_cancelled(t);
}

static void *in_poll(void *arg)
{
	struct pollfd pfd = {.fd = g_pipe[0], .events = POLLIN};

	pthread_cleanup_push(clean, (void *)7);
	g_step = 1;
	(void)poll(&pfd, 1, -1);
	pthread_cleanup_pop(0);
	return arg;
}

static void a_thread_in_poll_is_cancelled(void)
{
	pthread_t t;

	CHECK_EQ(pipe(g_pipe), 0);
	start(in_poll, &t);
	wait_for_step(1);
	sleep_ms(40);
	CHECK_EQ(pthread_cancel(t), 0);
	expect_cancelled(t);
	close(g_pipe[0]);
	close(g_pipe[1]);
}

static volatile int g_go;

static void *before_the_point(void *arg)
{
	pthread_cleanup_push(clean, (void *)7);
	g_step = 1;
	while (!g_go)
		;
	sleep(100); /* cancelled before it begins */
	pthread_cleanup_pop(0);
	return arg;
}

static void a_cancel_before_a_point_acts_at_the_point(void)
{
	pthread_t t;
	uint64_t begin;

	g_go = 0;
	start(before_the_point, &t);
	wait_for_step(1);
	CHECK_EQ(pthread_cancel(t), 0);
	sleep_ms(30);
	begin = now_ns();
	g_go = 1;
	expect_cancelled(t);
	CHECK(now_ns() - begin < 5000000000u);
}

static void *asynchronous(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_cleanup_push(clean, (void *)7);
	g_step = 1;
	for (;;)
		g_step = 1;
	pthread_cleanup_pop(0);
	return arg;
}

static void an_asynchronous_cancel_ends_a_loop(void)
{
	pthread_t t;

	start(asynchronous, &t);
	wait_for_step(1);
	CHECK_EQ(pthread_cancel(t), 0);
	expect_cancelled(t);
}

static void *disabled(void *arg)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	g_step = 1;
	for (int i = 0; i < 10; i++)
		sleep_ms(10);
	g_step = 2;
	pthread_cleanup_push(clean, (void *)7);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	pthread_testcancel();
	pthread_cleanup_pop(0);
	return arg;
}

static void a_disabled_cancel_waits_until_enabled(void)
{
	pthread_t t;

	start(disabled, &t);
	wait_for_step(1);
	CHECK_EQ(pthread_cancel(t), 0);
	expect_cancelled(t);
	CHECK_EQ(g_step, 2);
}

static volatile long g_moved;

static void *read_all(void *arg)
{
	char buf[64];
	ssize_t n;

	pthread_cleanup_push(clean, (void *)7);
	g_step = 1;
	while ((n = read(g_pipe[0], buf, sizeof(buf))) > 0)
		g_moved += n; /* a byte that was taken is never lost to a cancel */
	pthread_cleanup_pop(0);
	return arg;
}

static void a_cancel_never_swallows_data_that_was_read(void)
{
	char buf[64];
	long left = 0;
	ssize_t n;

	for (int round = 0; round < 60; round++) {
		pthread_t t;

		CHECK_EQ(pipe(g_pipe), 0);
		g_moved = 0;
		start(read_all, &t);
		for (int i = 0; i < 20; i++)
			CHECK_EQ(write(g_pipe[1], buf, 1 + (size_t)(i % 5)), 1 + i % 5);
		CHECK_EQ(pthread_cancel(t), 0);
		CHECK_EQ(pthread_join(t, NULL), 0);
		close(g_pipe[1]);
		for (left = 0; (n = read(g_pipe[0], buf, sizeof(buf))) > 0;)
			left += n;
		CHECK_EQ(g_moved + left, 60);
		close(g_pipe[0]);
	}
}

static void many_threads_are_cancelled(void)
{
	pthread_t t[16];

	CHECK_EQ(pipe(g_pipe), 0);
	for (int round = 0; round < 8; round++) {
		for (int i = 0; i < 16; i++)
			CHECK_EQ(pthread_create(&t[i], NULL,
			                        i % 2 ? in_read : in_nanosleep, NULL),
			         0);
		for (int i = 0; i < 16; i++)
			CHECK_EQ(pthread_cancel(t[i]), 0);
		for (int i = 0; i < 16; i++)
			CHECK_EQ(pthread_join(t[i], NULL), 0);
	}
	close(g_pipe[0]);
	close(g_pipe[1]);
}

static volatile int g_runs;

static void *run_and_end(void *arg)
{
	__sync_fetch_and_add(&g_runs, 1);
	return arg;
}

static void set_ids_reach_all_threads(void)
{
	pthread_t t[4];

	CHECK_EQ(pipe(g_pipe), 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, in_read, NULL);
	sleep_ms(30);
	/* musl runs it on each thread, out of their blocked calls */
	CHECK_EQ(setuid(getuid()), 0);
	CHECK_EQ(setgid(getgid()), 0);
	CHECK_EQ(write(g_pipe[1], "abcd", 4), 4);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	close(g_pipe[0]);
	close(g_pipe[1]);
	pthread_create(&t[0], NULL, run_and_end, NULL);
	pthread_join(t[0], NULL);
	CHECK_EQ(g_runs, 1);
}

int main(void)
{
	watchdog(45);
	CASE(a_thread_blocked_in_read_is_cancelled);
	CASE(a_sleeping_thread_is_cancelled);
	CASE(a_thread_in_cond_wait_is_cancelled_with_the_mutex_held);
	CASE(a_thread_in_sem_wait_is_cancelled);
	CASE(a_thread_in_poll_is_cancelled);
	CASE(a_cancel_before_a_point_acts_at_the_point);
	CASE(an_asynchronous_cancel_ends_a_loop);
	CASE(a_disabled_cancel_waits_until_enabled);
	CASE(a_cancel_never_swallows_data_that_was_read);
	CASE(many_threads_are_cancelled);
	CASE(set_ids_reach_all_threads);
	return g_failed;
}
