/* SPDX-License-Identifier: MIT */
/*
 * Many threads at once: sleeps with deadlines, hand-overs, signals and cancellation of
 * threads that compute.  What is lost here hangs; nothing depends on speed.
 */
#include "tests/sys/check.h"

#include <semaphore.h>

#define SLEEPERS 40
#define RING 8
#define TURNS 3000

static volatile int g_stop;
static volatile long g_slept, g_early;

static void *sleeps(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 7919u + 1;

	while (!g_stop) {
		struct timespec ts = {0, 0};
		uint64_t begin = now_ns();

		seed = seed * 1103515245u + 12345u;
		ts.tv_nsec = (long)(seed >> 8) % 20000000;
		nanosleep(&ts, NULL);
		if (now_ns() - begin < (uint64_t)ts.tv_nsec)
			__atomic_fetch_add(&g_early, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&g_slept, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void many_sleepers_wake_and_none_too_early(void)
{
	pthread_t t[SLEEPERS];

	g_stop = 0;
	for (int i = 0; i < SLEEPERS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, sleeps, (void *)(uintptr_t)i), 0);
	sleep_ms(1000);
	g_stop = 1;
	for (int i = 0; i < SLEEPERS; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK(g_slept >= SLEEPERS);
	CHECK_EQ(g_early, 0);
}

static void *nothing(void *arg)
{
	return arg;
}

static void threads_come_and_go(void)
{
	pthread_t t;
	void *result;

	for (intptr_t i = 0; i < 500; i++) {
		CHECK_EQ(pthread_create(&t, NULL, nothing, (void *)i), 0);
		CHECK_EQ(pthread_join(t, &result), 0);
		CHECK_EQ((intptr_t)result, i);
	}
}

/* ---- a token that goes round ---- */

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_turned = PTHREAD_COND_INITIALIZER;
static long g_turn;

static void *takes_turns(void *arg)
{
	const long me = (long)(intptr_t)arg;

	pthread_mutex_lock(&g_lock);
	while (g_turn < TURNS) {
		if (g_turn % RING == me) {
			g_turn++;
			pthread_cond_broadcast(&g_turned);
		} else {
			pthread_cond_wait(&g_turned, &g_lock);
		}
	}
	pthread_mutex_unlock(&g_lock);
	return NULL;
}

static void a_token_goes_round_and_is_never_lost(void)
{
	pthread_t t[RING];

	for (intptr_t i = 0; i < RING; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, takes_turns, (void *)i), 0);
	for (int i = 0; i < RING; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(g_turn, TURNS);
}

static sem_t g_ping, g_pong;

static void *answers(void *arg)
{
	for (int i = 0; i < 500; i++) {
		sem_wait(&g_ping);
		sem_post(&g_pong);
	}
	return arg;
}

static void semaphores_with_deadlines_answer(void)
{
	struct timespec ts;
	pthread_t t;

	sem_init(&g_ping, 0, 0);
	sem_init(&g_pong, 0, 0);
	CHECK_EQ(pthread_create(&t, NULL, answers, NULL), 0);
	for (int i = 0; i < 500; i++) {
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_sec += 30;
		CHECK_EQ(sem_post(&g_ping), 0);
		CHECK_EQ(sem_timedwait(&g_pong, &ts), 0);
	}
	CHECK_EQ(pthread_join(t, NULL), 0);
}

/* ---- threads that compute ---- */

static volatile long g_hits;

static void hit(int sig)
{
	(void)sig;
	__atomic_fetch_add(&g_hits, 1, __ATOMIC_RELAXED);
}

static void *computes(void *arg)
{
	while (!g_stop)
		;
	return arg;
}

/* Without a call of its own a thread leaves its code for a signal all the same. */
static void each_signal_to_a_thread_that_computes_comes(void)
{
	struct sigaction sa = {.sa_handler = hit};
	pthread_t t[3];

	sigemptyset(&sa.sa_mask);
	CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
	g_stop = 0;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, computes, NULL), 0);
	for (int i = 0; i < 60; i++) {
		const long before = g_hits;

		CHECK_EQ(pthread_kill(t[i % 3], SIGUSR1), 0);
		for (int k = 0; k < 10000 && g_hits == before; k++)
			sleep_ms(1);
		CHECK_EQ(g_hits, before + 1);
	}
	g_stop = 1;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

static void *computes_for_ever(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;)
		;
	return arg;
}

static void *sleeps_for_ever(void *arg)
{
	for (;;)
		sleep_ms(100000);
	return arg;
}

static void threads_are_cancelled_wherever_they_are(void)
{
	pthread_t t;
	void *result;

	for (int i = 0; i < 60; i++) {
		result = NULL;
		CHECK_EQ(pthread_create(&t, NULL,
		                        i % 2 ? computes_for_ever : sleeps_for_ever,
		                        NULL),
		         0);
		if (i % 3 == 0)
			sleep_ms(1);
		CHECK_EQ(pthread_cancel(t), 0);
		CHECK_EQ(pthread_join(t, &result), 0);
		CHECK(result == PTHREAD_CANCELED);
	}
}

/* A deadline at the end of time is one that does not come, nor costs CPU time. */
static void *sleeps_till_the_end(void *arg)
{
	struct timespec ts = {INT64_MAX, 0};

	(void)arg;
	nanosleep(&ts, NULL);
	return NULL;
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void a_sleeper_for_ever_costs_nothing(void)
{
	uint64_t before;
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, sleeps_till_the_end, NULL), 0);
	sleep_ms(20);
	before = cpu_ns();
	sleep_ms(500);
	CHECK(cpu_ns() - before < 250000000);
	CHECK_EQ(pthread_cancel(t), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

int main(void)
{
	watchdog(45);
	CASE(many_sleepers_wake_and_none_too_early);
	CASE(threads_come_and_go);
	CASE(a_token_goes_round_and_is_never_lost);
	CASE(semaphores_with_deadlines_answer);
	CASE(each_signal_to_a_thread_that_computes_comes);
	CASE(threads_are_cancelled_wherever_they_are);
	CASE(a_sleeper_for_ever_costs_nothing);
	return g_failed;
}
