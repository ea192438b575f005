/* SPDX-License-Identifier: MIT */
/* `syscall` instructions in the program itself: served by libos all the same. */
#include "tests/sys/check.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/mman.h>

static long raw(long n, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long r;

	__asm__ volatile("syscall"
	                 : "=a"(r)
	                 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10)
	                 : "rcx", "r11", "memory");
	return r;
}

static void a_raw_call_answers_as_the_function(void)
{
	CHECK_EQ(raw(SYS_getpid, 0, 0, 0, 0), getpid());
	CHECK_EQ(raw(SYS_gettid, 0, 0, 0, 0), getpid());
	CHECK_EQ(raw(SYS_close, -1, 0, 0, 0), -EBADF);
	CHECK_EQ(raw(9999, 0, 0, 0, 0), -ENOSYS);
}

static void registers_and_vectors_survive(void)
{
	double x[4] = {1.5, 2.5, 3.5, 4.5}, sum = 0;
	long keep = 12345;

	for (int i = 0; i < 4; i++) {
		__asm__ volatile("" : "+x"(x[i]), "+r"(keep));
		CHECK_EQ(raw(SYS_getppid, 0, 0, 0, 0), getppid());
		sum += x[i];
	}
	CHECK(sum == 12.0);
	CHECK_EQ(keep, 12345);
}

static void memory_can_be_had(void)
{
	register long r8 __asm__("r8") = -1;
	register long r9 __asm__("r9") = 0;
	register long r10 __asm__("r10") = MAP_PRIVATE | MAP_ANONYMOUS;
	long p;

	__asm__ volatile("syscall"
	                 : "=a"(p)
	                 : "a"(SYS_mmap), "D"(0), "S"(4096), "d"(PROT_READ | PROT_WRITE),
	                   "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	CHECK(p > 0);
	*(char *)p = 1;
	CHECK_EQ(raw(SYS_munmap, p, 4096, 0, 0), 0);
}

static _Atomic uint32_t g_word;
static volatile int g_handled;

static void on_signal(int sig)
{
	g_handled = sig;
}

static void *poke(void *arg)
{
	sleep_ms(30);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void a_raw_wait_is_interrupted(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	pthread_t me = pthread_self(), t;

	sigaction(SIGUSR1, &sa, NULL);
	g_word = 0;
	pthread_create(&t, NULL, poke, &me);
	CHECK_EQ(raw(SYS_futex, (long)&g_word, FUTEX_WAIT, 0, 0), -EINTR);
	CHECK_EQ(g_handled, SIGUSR1);
	pthread_join(t, NULL);
}

static void *wake_later(void *arg)
{
	sleep_ms(30);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	sleep_ms(30);
	g_word = 1;
	raw(SYS_futex, (long)&g_word, FUTEX_WAKE, 1, 0);
	return NULL;
}

static void a_raw_wait_restarts(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	pthread_t me = pthread_self(), t;
	long r;

	sigaction(SIGUSR1, &sa, NULL);
	g_word = 0;
	g_handled = 0;
	pthread_create(&t, NULL, wake_later, &me);
	r = raw(SYS_futex, (long)&g_word, FUTEX_WAIT, 0, 0);
	CHECK(r == 0 || r == -EAGAIN);
	CHECK_EQ(g_handled, SIGUSR1);
	CHECK_EQ(g_word, 1);
	pthread_join(t, NULL);
}

int main(void)
{
	watchdog(40);
	CASE(a_raw_call_answers_as_the_function);
	CASE(registers_and_vectors_survive);
	CASE(memory_can_be_had);
	CASE(a_raw_wait_is_interrupted);
	CASE(a_raw_wait_restarts);
	return g_failed;
}
