/* SPDX-License-Identifier: MIT */
/* clone, exit, set_tid_address, robust lists, arch_prctl: threads as musl makes them. */
#include "tests/sys/check.h"

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/mman.h>

static _Atomic int g_count;
static __thread int t_own = 5;

static void *count(void *arg)
{
	t_own += (int)(intptr_t)arg;
	g_count++;
	return (void *)(intptr_t)t_own;
}

static void threads_run_and_return_values(void)
{
	pthread_t t[16];

	g_count = 0;
	for (int i = 0; i < 16; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, count, (void *)(intptr_t)i), 0);
	for (int i = 0; i < 16; i++) {
		void *r = NULL;

		CHECK_EQ(pthread_join(t[i], &r), 0);
		CHECK_EQ((intptr_t)r, 5 + i);
	}
	CHECK_EQ(g_count, 16);
	CHECK_EQ(t_own, 5);
}

static void detached_threads_give_back_everything(void)
{
	pthread_attr_t a;

	g_count = 0;
	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 400; i++) {
		pthread_t t;

		CHECK_EQ(pthread_create(&t, &a, count, NULL), 0);
		while (g_count < i - 8)
			sched_yield();
	}
	for (int i = 0; i < 2000 && g_count < 400; i++)
		sleep_ms(1);
	CHECK_EQ(g_count, 400);
}

static void *note_tid(void *arg)
{
	*(long *)arg = syscall(SYS_gettid);
	return NULL;
}

static void thread_ids_differ_and_are_not_reused_at_once(void)
{
	long a = 0, b = 0;
	pthread_t t;

	CHECK_EQ(syscall(SYS_gettid), getpid());
	pthread_create(&t, NULL, note_tid, &a);
	pthread_join(t, NULL);
	pthread_create(&t, NULL, note_tid, &b);
	pthread_join(t, NULL);
	CHECK(a > 0 && b > 0 && a != b && a != getpid());
}

static pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_cond = PTHREAD_COND_INITIALIZER;
static long g_sum;

static void *add_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20000; i++) {
		pthread_mutex_lock(&g_mutex);
		g_sum++;
		pthread_mutex_unlock(&g_mutex);
	}
	return NULL;
}

static void a_mutex_excludes(void)
{
	pthread_t t[4];

	g_sum = 0;
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, add_many, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(g_sum, 80000);
}

static int g_stage;

static void *wait_for_stage(void *arg)
{
	pthread_mutex_lock(&g_mutex);
	while (g_stage < (int)(intptr_t)arg)
		pthread_cond_wait(&g_cond, &g_mutex);
	g_stage++;
	pthread_cond_broadcast(&g_cond);
	pthread_mutex_unlock(&g_mutex);
	return NULL;
}

static void conditions_pass_a_baton(void)
{
	pthread_t t[10];

	g_stage = 0;
	for (int i = 0; i < 10; i++)
		pthread_create(&t[i], NULL, wait_for_stage, (void *)(intptr_t)(10 - i));
	pthread_mutex_lock(&g_mutex);
	g_stage = 1;
	pthread_cond_broadcast(&g_cond);
	pthread_mutex_unlock(&g_mutex);
	for (int i = 0; i < 10; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(g_stage, 11);
}

static void other_primitives_work(void)
{
	struct timespec at;
	pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
	pthread_barrier_t b;
	sem_t s;

	CHECK_EQ(pthread_rwlock_rdlock(&rw), 0);
	CHECK_EQ(pthread_rwlock_trywrlock(&rw), EBUSY);
	CHECK_EQ(pthread_rwlock_unlock(&rw), 0);
	CHECK_EQ(pthread_barrier_init(&b, NULL, 1), 0);
	CHECK_EQ(pthread_barrier_wait(&b), PTHREAD_BARRIER_SERIAL_THREAD);
	CHECK_EQ(sem_init(&s, 0, 1), 0);
	CHECK_EQ(sem_wait(&s), 0);
	clock_gettime(CLOCK_REALTIME, &at);
	CHECK_ERR(sem_timedwait(&s, &at), ETIMEDOUT);
	CHECK_EQ(sem_post(&s), 0);
}

static void processes_are_refused_or_made(void)
{
	/* Not threads: the flags that make one are missing. */
	CHECK_ERR(syscall(SYS_clone, 0x00010000 /* CLONE_THREAD alone */, 0, 0, 0, 0), EINVAL);
}

static void a_thread_pointer_that_is_no_address_is_refused(void)
{
	static char stack[4096] __attribute__((aligned(16)));
	const long flags = 0xd0f00; /* a thread's, with CLONE_SETTLS */

	CHECK_ERR(syscall(SYS_clone, flags, stack + sizeof(stack), 0, 0, 0x1234567812345678), EPERM);
	CHECK_ERR(syscall(SYS_arch_prctl, 0x1002 /* ARCH_SET_FS */, 0x1234567812345678), EPERM);
}

static void robust_lists_are_kept(void)
{
	void *head = NULL;
	size_t len = 0;

	CHECK_ERR(syscall(SYS_set_robust_list, &head, 8), EINVAL);
	CHECK_EQ(syscall(SYS_get_robust_list, 0, &head, &len), 0);
	CHECK_EQ(len, 24);
	CHECK_ERR(syscall(SYS_get_robust_list, 4000000, &head, &len), ESRCH);
	CHECK_ERR(syscall(SYS_get_robust_list, 0, BAD_PTR, &len), EFAULT);
}

static void the_thread_pointer_can_be_read(void)
{
	unsigned long fs = 0;

	CHECK_EQ(syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &fs), 0);
	CHECK(fs != 0);
	CHECK_EQ(syscall(SYS_arch_prctl, 0x1002 /* ARCH_SET_FS */, fs), 0);
	CHECK_ERR(syscall(SYS_arch_prctl, 0x1003, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
}

static void *deep(void *arg)
{
	volatile char a[60000];

	memset((char *)a, 3, sizeof(a));
	return (void *)(intptr_t)(a[(intptr_t)arg] == 3);
}

static void stacks_are_as_large_as_asked(void)
{
	pthread_attr_t a;
	pthread_t t;
	void *r = NULL;

	pthread_attr_init(&a);
	CHECK_EQ(pthread_attr_setstacksize(&a, 128 * 1024), 0);
	CHECK_EQ(pthread_create(&t, &a, deep, (void *)100), 0);
	pthread_join(t, &r);
	CHECK_EQ((intptr_t)r, 1);
}

static void *sleep_long(void *arg)
{
	for (;;)
		sleep_ms(1000);
	return arg;
}

static void exit_ends_sleeping_threads(void)
{
	pthread_t t;

	/* main returns with this one asleep: the program must still end. */
	CHECK_EQ(pthread_create(&t, NULL, sleep_long, NULL), 0);
}

int main(void)
{
	watchdog(40);
	CASE(threads_run_and_return_values);
	CASE(detached_threads_give_back_everything);
	CASE(thread_ids_differ_and_are_not_reused_at_once);
	CASE(a_mutex_excludes);
	CASE(conditions_pass_a_baton);
	CASE(other_primitives_work);
	CASE(robust_lists_are_kept);
	CASE(the_thread_pointer_can_be_read);
	CASE(stacks_are_as_large_as_asked);
	CASE(processes_are_refused_or_made);
	CASE(a_thread_pointer_that_is_no_address_is_refused);
	CASE(exit_ends_sleeping_threads);
	return g_failed;
}
