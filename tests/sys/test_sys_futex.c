/* SPDX-License-Identifier: MIT */
/* futex: every operation that libos serves, called without a C library's help. */
#include "tests/sys/check.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/mman.h>

static long futex(void *at, int op, uint32_t val, const void *timeout, void *at2, uint32_t val3)
{
	return syscall(SYS_futex, at, op, val, timeout, at2, val3);
}

static _Atomic uint32_t g_word, g_other, g_woken;

struct sleeper {
	_Atomic uint32_t *at;
	int op;
	uint32_t bitset;
	long result;
	int error;
};

static _Atomic int g_asleep;

static void *sleep_once(void *arg)
{
	struct sleeper *s = arg;

	g_asleep++;
	s->result = futex(s->at, s->op, 0, NULL, NULL, s->bitset);
	s->error = errno;
	g_woken++;
	return NULL;
}

static void start(struct sleeper *s, pthread_t *t, int n)
{
	g_asleep = 0;
	g_woken = 0;
	for (int i = 0; i < n; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, sleep_once, &s[i]), 0);
	while (g_asleep < n)
		sleep_ms(1);
	sleep_ms(30);
}

static void wait_woken(uint32_t n)
{
	for (int i = 0; i < 1000 && g_woken < n; i++)
		sleep_ms(1);
	CHECK_EQ(g_woken, n);
}

static void another_value_gives_eagain(void)
{
	g_word = 5;
	CHECK_ERR(futex(&g_word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
	CHECK_ERR(futex(&g_word, FUTEX_WAIT_BITSET, 4, NULL, NULL, 1), EAGAIN);
}

static void bad_arguments_are_refused(void)
{
	const struct timespec bad = {0, 1000000000}, past = {-1, 0};

	CHECK_ERR(futex((char *)&g_word + 1, FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(&g_word, FUTEX_WAIT_BITSET, g_word, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(&g_word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(&g_word, FUTEX_WAIT, g_word, &bad, NULL, 0), EINVAL);
	CHECK_ERR(futex(&g_word, FUTEX_WAIT, g_word, &past, NULL, 0), EINVAL);
	CHECK_ERR(futex(&g_word, FUTEX_WAIT, g_word, BAD_PTR, NULL, 0), EFAULT);
	CHECK_ERR(futex((void *)4096, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
	CHECK_ERR(futex(&g_word, 77, 0, NULL, NULL, 0), ENOSYS);
}

static void a_timeout_gives_etimedout_in_time(void)
{
	const struct timespec ts = {0, 30000000};
	struct timespec at;
	uint64_t t0 = now_ns(), t1;

	g_word = 1;
	CHECK_ERR(futex(&g_word, FUTEX_WAIT, 1, &ts, NULL, 0), ETIMEDOUT);
	t1 = now_ns();
	CHECK(t1 - t0 >= 30000000u && t1 - t0 < 3000000000u);
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += 20000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	CHECK_ERR(futex(&g_word, FUTEX_WAIT_BITSET, 1, &at, NULL, ~0u), ETIMEDOUT);
	clock_gettime(CLOCK_REALTIME, &at);
	CHECK_ERR(futex(&g_word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 1, &at, NULL, ~0u),
	          ETIMEDOUT);
}

static void wake_wakes_as_many_as_asked(void)
{
	struct sleeper s[4];
	pthread_t t[4];

	g_word = 0;
	for (int i = 0; i < 4; i++)
		s[i] = (struct sleeper){&g_word, i & 1 ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE, 0, 9, 0};
	start(s, t, 4);
	CHECK_EQ(futex(&g_other, FUTEX_WAKE, 9, NULL, NULL, 0), 0);
	CHECK_EQ(futex(&g_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) +
	                 futex(&g_word, FUTEX_WAKE, 9, NULL, NULL, 0) +
	                 futex(&g_word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0),
	         4);
	wait_woken(4);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		CHECK_EQ(s[i].result, 0);
	}
}

static void bitsets_choose_the_sleepers(void)
{
	struct sleeper s[2] = {{&g_word, FUTEX_WAIT_BITSET, 1, 9, 0},
	                       {&g_word, FUTEX_WAIT_BITSET, 2, 9, 0}};
	pthread_t t[2];

	g_word = 0;
	start(s, t, 2);
	CHECK_EQ(futex(&g_word, FUTEX_WAKE_BITSET, 9, NULL, NULL, 4), 0);
	CHECK_EQ(futex(&g_word, FUTEX_WAKE_BITSET, 9, NULL, NULL, 2), 1);
	pthread_join(t[1], NULL);
	CHECK_EQ(g_woken, 1);
	CHECK_EQ(futex(&g_word, FUTEX_WAKE_BITSET, 9, NULL, NULL, 3), 1);
	pthread_join(t[0], NULL);
}

static void requeue_moves_the_rest(void)
{
	struct sleeper s[3];
	pthread_t t[3];

	g_word = 0;
	for (int i = 0; i < 3; i++)
		s[i] = (struct sleeper){&g_word, FUTEX_WAIT, 0, 9, 0};
	start(s, t, 3);
	CHECK_ERR(futex(&g_word, FUTEX_CMP_REQUEUE, 1, (void *)9L, &g_other, 3), EAGAIN);
	CHECK_EQ(futex(&g_word, FUTEX_CMP_REQUEUE, 1, (void *)9L, &g_other, 0), 3);
	wait_woken(1);
	CHECK_EQ(futex(&g_word, FUTEX_WAKE, 9, NULL, NULL, 0), 0);
	CHECK_EQ(futex(&g_other, FUTEX_WAKE, 9, NULL, NULL, 0), 2);
	wait_woken(3);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

static void wake_op_changes_the_second_word(void)
{
	struct sleeper s[2] = {{&g_word, FUTEX_WAIT, 0, 9, 0}, {&g_other, FUTEX_WAIT, 0, 9, 0}};
	pthread_t t[2];

	g_word = g_other = 0;
	start(s, t, 2);
	CHECK_EQ(futex(&g_word, FUTEX_WAKE_OP, 1, (void *)1L, &g_other,
	               FUTEX_OP(FUTEX_OP_ADD, 7, FUTEX_OP_CMP_EQ, 0)),
	         2);
	CHECK_EQ(g_other, 7);
	CHECK_EQ(futex(&g_word, FUTEX_WAKE_OP, 1, (void *)1L, &g_other,
	               FUTEX_OP((FUTEX_OP_ANDN | FUTEX_OP_OPARG_SHIFT), 2, FUTEX_OP_CMP_GT,
	                        7)),
	         0);
	CHECK_EQ(g_other, 3);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

static void *hold_pi(void *arg)
{
	(void)arg;
	CHECK_EQ(futex(&g_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
	g_asleep = 1;
	sleep_ms(50);
	g_woken = 1;
	CHECK_EQ(futex(&g_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	return NULL;
}

static void pi_locks_exclude(void)
{
	const uint32_t tid = (uint32_t)syscall(SYS_gettid);
	struct timespec past = {1, 0};
	pthread_t t;

	g_word = 0;
	CHECK_EQ(futex(&g_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
	CHECK_EQ(g_word, tid);
	CHECK_ERR(futex(&g_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
	CHECK_EQ(futex(&g_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	CHECK_EQ(g_word, 0);
	CHECK_ERR(futex(&g_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
	g_asleep = g_woken = 0;
	pthread_create(&t, NULL, hold_pi, NULL);
	while (!g_asleep)
		sleep_ms(1);
	CHECK_ERR(futex(&g_word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), EAGAIN);
	CHECK_ERR(futex(&g_word, FUTEX_LOCK_PI, 0, &past, NULL, 0), ETIMEDOUT);
	CHECK_EQ(futex(&g_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
	CHECK_EQ(g_woken, 1);
	CHECK_EQ(g_word & FUTEX_TID_MASK, tid);
	CHECK_EQ(futex(&g_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	pthread_join(t, NULL);
}

static void *take_and_die(void *m)
{
	pthread_mutex_lock(m);
	return NULL;
}

static void a_robust_mutex_tells_of_its_dead_owner(void)
{
	pthread_mutexattr_t a;
	pthread_mutex_t m;
	pthread_t t;

	pthread_mutexattr_init(&a);
	CHECK_EQ(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST), 0);
	CHECK_EQ(pthread_mutex_init(&m, &a), 0);
	pthread_create(&t, NULL, take_and_die, &m);
	pthread_join(t, NULL);
	CHECK_EQ(pthread_mutex_lock(&m), EOWNERDEAD);
	CHECK_EQ(pthread_mutex_consistent(&m), 0);
	CHECK_EQ(pthread_mutex_unlock(&m), 0);
	CHECK_EQ(pthread_mutex_lock(&m), 0);
	CHECK_EQ(pthread_mutex_unlock(&m), 0);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void *interrupt(void *arg)
{
	sleep_ms(40);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void a_handler_ends_a_wait_with_eintr(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	pthread_t me = pthread_self(), t;

	sigaction(SIGUSR1, &sa, NULL);
	g_word = 0;
	pthread_create(&t, NULL, interrupt, &me);
	CHECK_ERR(futex(&g_word, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
	pthread_join(t, NULL);
}

/* Ping-pong with many wake-ups: none may get lost. */
static _Atomic uint32_t g_turn;

static void *pong(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < 3000; i++) {
		while (g_turn != 2 * i + 1)
			futex(&g_turn, FUTEX_WAIT_PRIVATE, 2 * i, NULL, NULL, 0);
		g_turn = 2 * i + 2;
		futex(&g_turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	return NULL;
}

static void no_wake_up_is_lost(void)
{
	pthread_t t;

	g_turn = 0;
	pthread_create(&t, NULL, pong, NULL);
	for (uint32_t i = 0; i < 3000; i++) {
		g_turn = 2 * i + 1;
		futex(&g_turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		while (g_turn != 2 * i + 2)
			futex(&g_turn, FUTEX_WAIT_PRIVATE, 2 * i + 1, NULL, NULL, 0);
	}
	pthread_join(t, NULL);
	CHECK_EQ(g_turn, 6000);
}

int main(void)
{
	watchdog(40);
	CASE(another_value_gives_eagain);
	CASE(bad_arguments_are_refused);
	CASE(a_timeout_gives_etimedout_in_time);
	CASE(wake_wakes_as_many_as_asked);
	CASE(bitsets_choose_the_sleepers);
	CASE(requeue_moves_the_rest);
	CASE(wake_op_changes_the_second_word);
	CASE(pi_locks_exclude);
	CASE(a_robust_mutex_tells_of_its_dead_owner);
	CASE(a_handler_ends_a_wait_with_eintr);
	CASE(no_wake_up_is_lost);
	return g_failed;
}
