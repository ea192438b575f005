/* SPDX-License-Identifier: MIT */
/* System V semaphores: semget, semop, semtimedop, semctl. */
#include "tests/sys/check.h"

#include <sys/ipc.h>
#include <sys/sem.h>

#define KEY 0x53747261

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
	struct seminfo *info;
};

static int fresh(int n)
{
	int id = semget(IPC_PRIVATE, n, 0600);

	CHECK(id >= 0);
	return id;
}

static void drop(int id)
{
	CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
}

static int op1(int id, int num, int op, int flags)
{
	struct sembuf b = {(unsigned short)num, (short)op, (short)flags};

	return semop(id, &b, 1);
}

static void semget_finds_and_makes_by_key(void)
{
	int id, old = semget(KEY, 0, 0);

	if (old >= 0)
		drop(old);
	CHECK_ERR(semget(KEY, 1, 0), ENOENT);
	id = semget(KEY, 3, IPC_CREAT | IPC_EXCL | 0600);
	CHECK(id >= 0);
	CHECK_ERR(semget(KEY, 3, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
	CHECK_EQ(semget(KEY, 3, IPC_CREAT | 0600), id);
	CHECK_EQ(semget(KEY, 0, 0), id);
	CHECK_ERR(semget(KEY, 4, 0), EINVAL);
	CHECK_ERR(semget(IPC_PRIVATE, 0, 0600), EINVAL);
	CHECK_ERR(semget(IPC_PRIVATE, -1, 0600), EINVAL);
	drop(id);
	CHECK_ERR(semget(KEY, 1, 0), ENOENT);
	CHECK_ERR(op1(id, 0, 1, 0), EINVAL);
}

static void values_are_set_and_told(void)
{
	unsigned short all[3] = {5, 0, 32767}, got[3] = {0};
	struct semid_ds ds;
	union semun arg;
	int id = fresh(3);

	arg.array = all;
	CHECK_EQ(semctl(id, 0, SETALL, arg), 0);
	arg.array = got;
	CHECK_EQ(semctl(id, 0, GETALL, arg), 0);
	CHECK(memcmp(all, got, sizeof(all)) == 0);
	arg.val = 7;
	CHECK_EQ(semctl(id, 1, SETVAL, arg), 0);
	CHECK_EQ(semctl(id, 1, GETVAL), 7);
	CHECK_EQ(semctl(id, 1, GETPID), getpid());
	CHECK_EQ(semctl(id, 1, GETNCNT), 0);
	arg.val = 32768;
	CHECK_ERR(semctl(id, 1, SETVAL, arg), ERANGE);
	CHECK_ERR(semctl(id, 3, GETVAL), EINVAL);
	CHECK_ERR(semctl(id, 0, 77), EINVAL);
	arg.buf = &ds;
	CHECK_EQ(semctl(id, 0, IPC_STAT, arg), 0);
	CHECK_EQ(ds.sem_nsems, 3);
	CHECK_EQ(ds.sem_perm.mode & 0777, 0600);
	CHECK_EQ(ds.sem_perm.uid, geteuid());
	ds.sem_perm.mode = 0640;
	CHECK_EQ(semctl(id, 0, IPC_SET, arg), 0);
	CHECK_EQ(semctl(id, 0, IPC_STAT, arg), 0);
	CHECK_EQ(ds.sem_perm.mode & 0777, 0640);
	drop(id);
}

static void operations_happen_all_or_none(void)
{
	struct sembuf both[2] = {{0, -2, IPC_NOWAIT}, {1, -1, IPC_NOWAIT}};
	int id = fresh(2);

	CHECK_EQ(op1(id, 0, 3, 0), 0);
	CHECK_ERR(semop(id, both, 2), EAGAIN);
	CHECK_EQ(semctl(id, 0, GETVAL), 3);
	CHECK_EQ(op1(id, 1, 1, 0), 0);
	CHECK_EQ(semop(id, both, 2), 0);
	CHECK_EQ(semctl(id, 0, GETVAL), 1);
	CHECK_EQ(semctl(id, 1, GETVAL), 0);
	CHECK_EQ(op1(id, 1, 0, IPC_NOWAIT), 0);
	CHECK_ERR(op1(id, 0, 0, IPC_NOWAIT), EAGAIN);
	drop(id);
}

static void bad_operations_are_refused(void)
{
	struct sembuf b = {0, 32767, 0}, far = {9, 1, 0};
	int id = fresh(1);

	CHECK_EQ(semop(id, &b, 1), 0);
	CHECK_ERR(semop(id, &b, 1), ERANGE);
	CHECK_ERR(semop(id, &far, 1), EFBIG);
	CHECK_ERR(semop(id, &b, 0), EINVAL);
	CHECK_ERR(semop(id, &b, 100000), E2BIG);
	CHECK_ERR(semop(id, BAD_PTR, 1), EFAULT);
	CHECK_ERR(semop(-1, &b, 1), EINVAL);
	drop(id);
}

static int g_id;

static void *raise_later(void *arg)
{
	sleep_ms(60);
	CHECK_EQ(semctl(g_id, 0, GETNCNT), 1);
	CHECK_EQ(op1(g_id, 0, 1, 0), 0);
	return arg;
}

static void *remove_later(void *arg)
{
	sleep_ms(60);
	CHECK_EQ(semctl(g_id, 0, IPC_RMID), 0);
	return arg;
}

static void a_waiter_is_woken_by_a_rise_and_by_removal(void)
{
	pthread_t t;

	g_id = fresh(1);
	pthread_create(&t, NULL, raise_later, NULL);
	CHECK_EQ(op1(g_id, 0, -1, 0), 0);
	pthread_join(t, NULL);
	CHECK_EQ(semctl(g_id, 0, GETNCNT), 0);
	pthread_create(&t, NULL, remove_later, NULL);
	CHECK_ERR(op1(g_id, 0, -1, 0), EIDRM);
	pthread_join(t, NULL);
}

static void semtimedop_times_out(void)
{
	struct timespec limit = {0, 50000000};
	struct sembuf b = {0, -1, 0};
	uint64_t start = now_ns();
	int id = fresh(1);

	CHECK_ERR(semtimedop(id, &b, 1, &limit), EAGAIN);
	CHECK(now_ns() - start >= 50000000u);
	limit.tv_nsec = -1;
	CHECK_ERR(semtimedop(id, &b, 1, &limit), EINVAL);
	drop(id);
}

static void on_signal(int sig)
{
	(void)sig;
}

static pthread_t g_main;

static void *interrupt_later(void *arg)
{
	sleep_ms(60);
	pthread_kill(g_main, SIGUSR1);
	return arg;
}

static void a_signal_ends_the_wait_even_under_sa_restart(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	pthread_t t;
	int id = fresh(1);

	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&t, NULL, interrupt_later, NULL);
	CHECK_ERR(op1(id, 0, -1, 0), EINTR);
	CHECK_EQ(semctl(id, 0, GETNCNT), 0);
	pthread_join(t, NULL);
	drop(id);
}

/* What is to be undone at the end has the range of a value, and a value set forgets it. */
static void what_is_to_be_undone_has_a_range(void)
{
	const int id = fresh(2);
	unsigned short all[2] = {0, 0};
	struct sembuf two[2] = {{1, 1, SEM_UNDO}, {0, 1, SEM_UNDO}};

	CHECK_EQ(op1(id, 0, 32767, SEM_UNDO), 0);
	CHECK_EQ(op1(id, 0, -32767, 0), 0);
	CHECK_EQ(op1(id, 0, 1, SEM_UNDO), 0);
	CHECK_ERR(op1(id, 0, 1, SEM_UNDO), ERANGE);
	CHECK_ERR(semop(id, two, 2), ERANGE);
	CHECK_EQ(semctl(id, 1, GETVAL), 0); /* all or none */
	CHECK_EQ(semctl(id, 0, GETVAL), 1);
	CHECK_EQ(semctl(id, 0, SETVAL, 0), 0);
	CHECK_EQ(op1(id, 0, 32767, SEM_UNDO), 0);
	CHECK_EQ(semctl(id, 0, SETALL, all), 0);
	CHECK_EQ(op1(id, 0, 32767, SEM_UNDO), 0);
	drop(id);
}

static volatile int g_in, g_worst;

static void *fight(void *arg)
{
	for (int i = 0; i < 500; i++) {
		CHECK_EQ(op1(g_id, 0, -1, SEM_UNDO), 0);
		if (++g_in > g_worst)
			g_worst = g_in;
		g_in--;
		CHECK_EQ(op1(g_id, 0, 1, SEM_UNDO), 0);
	}
	return arg;
}

static void it_keeps_threads_apart(void)
{
	pthread_t t[4];

	g_id = fresh(1);
	CHECK_EQ(op1(g_id, 0, 1, 0), 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, fight, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(g_worst, 1);
	CHECK_EQ(semctl(g_id, 0, GETVAL), 1);
	drop(g_id);
}

int main(void)
{
	g_main = pthread_self();
	watchdog(30);
	if (semget(IPC_PRIVATE, -1, 0) == -1 && errno == ENOSYS) {
		printf("skip: this kernel has no System V semaphores\n");
		return 77;
	}
	CASE(semget_finds_and_makes_by_key);
	CASE(values_are_set_and_told);
	CASE(operations_happen_all_or_none);
	CASE(bad_operations_are_refused);
	CASE(a_waiter_is_woken_by_a_rise_and_by_removal);
	CASE(semtimedop_times_out);
	CASE(a_signal_ends_the_wait_even_under_sa_restart);
	CASE(what_is_to_be_undone_has_a_range);
	CASE(it_keeps_threads_apart);
	return g_failed;
}
