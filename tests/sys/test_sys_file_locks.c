/* SPDX-License-Identifier: MIT */
/* fcntl record locks, open file description locks, flock: in one process.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <pthread.h>
#include <sys/file.h>
#include <time.h>

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#endif

static int lock_range(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock fl = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start,
	                   .l_len = len};

	return fcntl(fd, cmd, &fl);
}

static struct flock look(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock fl = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start,
	                   .l_len = len};

	EXPECT(fcntl(fd, cmd, &fl) == 0);
	return fl;
}

static int open_it(void)
{
	int fd = open("f", O_CREAT | O_RDWR, 0600);

	EXPECT(fd >= 0);
	return fd;
}

static void ofd_locks_conflict(void)
{
	int a = open_it(), b = open_it();
	struct flock fl;

	EXPECT(lock_range(a, F_OFD_SETLK, F_WRLCK, 10, 10) == 0);
	EXPECT_ERR(lock_range(b, F_OFD_SETLK, F_WRLCK, 15, 10), EAGAIN);
	EXPECT_ERR(lock_range(b, F_OFD_SETLK, F_RDLCK, 0, 0), EAGAIN);
	EXPECT(lock_range(b, F_OFD_SETLK, F_WRLCK, 20, 5) == 0);
	EXPECT(lock_range(b, F_OFD_SETLK, F_WRLCK, 0, 10) == 0);
	fl = look(b, F_OFD_GETLK, F_RDLCK, 12, 1);
	EXPECT_EQ(fl.l_type, F_WRLCK);
	EXPECT_EQ(fl.l_start, 10);
	EXPECT_EQ(fl.l_len, 10);
	EXPECT_EQ(fl.l_pid, -1);
	fl = look(b, F_OFD_GETLK, F_RDLCK, 30, 1);
	EXPECT_EQ(fl.l_type, F_UNLCK);
	EXPECT(lock_range(a, F_OFD_SETLK, F_UNLCK, 12, 2) == 0);
	EXPECT(lock_range(b, F_OFD_SETLK, F_WRLCK, 12, 2) == 0);
	EXPECT_ERR(lock_range(b, F_OFD_SETLK, F_WRLCK, 12, 3), EAGAIN);
	close(a);
	EXPECT(lock_range(b, F_OFD_SETLK, F_WRLCK, 0, 0) == 0);
	close(b);
}

static void readers_share(void)
{
	int a = open_it(), b = open_it();

	EXPECT(lock_range(a, F_OFD_SETLK, F_RDLCK, 0, 100) == 0);
	EXPECT(lock_range(b, F_OFD_SETLK, F_RDLCK, 50, 100) == 0);
	EXPECT_ERR(lock_range(b, F_OFD_SETLK, F_WRLCK, 50, 100), EAGAIN);
	EXPECT(lock_range(a, F_OFD_SETLK, F_UNLCK, 0, 0) == 0);
	EXPECT(lock_range(b, F_OFD_SETLK, F_WRLCK, 50, 100) == 0);
	close(a);
	close(b);
}

static void a_process_does_not_conflict_with_itself(void)
{
	int a = open_it(), b = open_it();
	struct flock fl;

	EXPECT(lock_range(a, F_SETLK, F_WRLCK, 0, 10) == 0);
	EXPECT(lock_range(b, F_SETLK, F_WRLCK, 5, 10) == 0);
	fl = look(b, F_GETLK, F_WRLCK, 0, 0);
	EXPECT_EQ(fl.l_type, F_UNLCK);
	/* But with description locks it does. */
	fl = look(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	EXPECT_EQ(fl.l_type, F_WRLCK);
	EXPECT_EQ(fl.l_pid, getpid());
	EXPECT_ERR(lock_range(b, F_OFD_SETLK, F_WRLCK, 0, 1), EAGAIN);
	close(a);
	close(b);
}

static void any_close_drops_posix_locks(void)
{
	int a = open_it(), b = open_it(), c = open_it(), d = dup(c);
	struct flock fl;

	EXPECT(lock_range(a, F_SETLK, F_WRLCK, 0, 10) == 0);
	fl = look(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	EXPECT_EQ(fl.l_type, F_WRLCK);
	close(d);
	fl = look(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	EXPECT_EQ(fl.l_type, F_UNLCK);
	/* Description locks stay until the last descriptor goes. */
	EXPECT(lock_range(a, F_OFD_SETLK, F_WRLCK, 0, 10) == 0);
	d = dup(a);
	close(a);
	fl = look(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	EXPECT_EQ(fl.l_type, F_WRLCK);
	close(d);
	fl = look(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	EXPECT_EQ(fl.l_type, F_UNLCK);
	close(b);
	close(c);
}

static void splits_and_joins(void)
{
	int a = open_it(), b = open_it();
	struct flock fl;

	EXPECT(lock_range(a, F_OFD_SETLK, F_WRLCK, 0, 100) == 0);
	EXPECT(lock_range(a, F_OFD_SETLK, F_RDLCK, 40, 20) == 0);
	fl = look(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	EXPECT_EQ(fl.l_start, 0);
	EXPECT_EQ(fl.l_len, 40);
	fl = look(b, F_OFD_GETLK, F_RDLCK, 40, 20);
	EXPECT_EQ(fl.l_type, F_UNLCK);
	fl = look(b, F_OFD_GETLK, F_WRLCK, 50, 1);
	EXPECT_EQ(fl.l_type, F_RDLCK);
	EXPECT_EQ(fl.l_start, 40);
	EXPECT_EQ(fl.l_len, 20);
	EXPECT(lock_range(a, F_OFD_SETLK, F_WRLCK, 40, 20) == 0);
	fl = look(b, F_OFD_GETLK, F_WRLCK, 50, 1);
	EXPECT_EQ(fl.l_start, 0);
	EXPECT_EQ(fl.l_len, 100);
	close(a);
	close(b);
}

static void whence_and_length(void)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -5, .l_len = 5};
	int a = open_it(), b = open_it();

	EXPECT(ftruncate(a, 100) == 0);
	EXPECT(fcntl(a, F_OFD_SETLK, &fl) == 0);
	fl = look(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	EXPECT_EQ(fl.l_start, 95);
	EXPECT_EQ(fl.l_len, 5);
	EXPECT(lock_range(a, F_OFD_SETLK, F_UNLCK, 0, 0) == 0);
	EXPECT_EQ(lseek(a, 50, SEEK_SET), 50);
	fl = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 0, .l_len = -10};
	EXPECT(fcntl(a, F_OFD_SETLK, &fl) == 0);
	fl = look(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	EXPECT_EQ(fl.l_start, 40);
	EXPECT_EQ(fl.l_len, 10);
	fl = look(b, F_OFD_GETLK, F_WRLCK, 60, 0);
	EXPECT_EQ(fl.l_type, F_UNLCK);
	close(a);
	close(b);
}

static void lock_errors(void)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = 9};
	int a = open_it(), r = open("f", O_RDONLY), w = open("f", O_WRONLY);

	EXPECT_ERR(fcntl(a, F_SETLK, &fl), EINVAL);
	EXPECT_ERR(lock_range(a, F_SETLK, 77, 0, 0), EINVAL);
	EXPECT_ERR(lock_range(a, F_SETLK, F_WRLCK, -1, 0), EINVAL);
	EXPECT_ERR(lock_range(a, F_SETLK, F_WRLCK, 5, -6), EINVAL);
	EXPECT_ERR(lock_range(r, F_SETLK, F_WRLCK, 0, 0), EBADF);
	EXPECT_ERR(lock_range(w, F_SETLK, F_RDLCK, 0, 0), EBADF);
	EXPECT_ERR(lock_range(a, F_GETLK, F_UNLCK, 0, 0), EINVAL);
	EXPECT_ERR(syscall(SYS_fcntl, a, F_SETLK, BAD_PTR), EFAULT);
	fl = (struct flock){.l_type = F_WRLCK, .l_pid = 1};
	EXPECT_ERR(fcntl(a, F_OFD_SETLK, &fl), EINVAL);
	EXPECT_ERR(lock_range(99, F_SETLK, F_WRLCK, 0, 0), EBADF);
	close(a);
	close(r);
	close(w);
}

static void flock_conflicts(void)
{
	int a = open_it(), b = open_it(), c = dup(a);

	EXPECT(flock(a, LOCK_SH) == 0);
	EXPECT(flock(b, LOCK_SH) == 0);
	EXPECT_ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	EXPECT(flock(a, LOCK_UN) == 0);
	EXPECT(flock(b, LOCK_EX | LOCK_NB) == 0);
	EXPECT_ERR(flock(a, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	EXPECT_ERR(flock(c, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	EXPECT(flock(b, LOCK_UN) == 0);
	EXPECT(flock(c, LOCK_EX | LOCK_NB) == 0);
	EXPECT(flock(a, LOCK_EX | LOCK_NB) == 0);
	close(a);
	EXPECT_ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	close(c);
	EXPECT(flock(b, LOCK_EX | LOCK_NB) == 0);
	EXPECT_ERR(flock(b, 0), EINVAL);
	EXPECT_ERR(flock(99, LOCK_EX), EBADF);
	close(b);
}

/* ---- waiting ---- */

static int g_fd;
static volatile int g_got, g_errno;
static int g_how; /* 0 OFD, 1 flock */

static void *waiter(void *arg)
{
	int r = g_how ? flock(g_fd, LOCK_EX) : lock_range(g_fd, F_OFD_SETLKW, F_WRLCK, 0, 0);

	(void)arg;
	g_errno = r == 0 ? 0 : errno;
	g_got = 1;
	return NULL;
}

static void wait_until_released(int how)
{
	int a = open_it();
	pthread_t t;

	g_how = how;
	g_fd = open_it();
	g_got = 0;
	EXPECT((how ? flock(a, LOCK_EX) : lock_range(a, F_OFD_SETLK, F_WRLCK, 0, 0)) == 0);
	EXPECT(pthread_create(&t, NULL, waiter, NULL) == 0);
	usleep(50000);
	EXPECT_EQ(g_got, 0);
	EXPECT((how ? flock(a, LOCK_UN) : lock_range(a, F_OFD_SETLK, F_UNLCK, 0, 0)) == 0);
	pthread_join(t, NULL);
	EXPECT_EQ(g_got, 1);
	EXPECT_EQ(g_errno, 0);
	close(a);
	close(g_fd);
}

static void waiting_ofd_lock_is_granted(void)
{
	wait_until_released(0);
}

static void waiting_flock_is_granted(void)
{
	wait_until_released(1);
}

static void on_usr1(int sig)
{
	(void)sig;
}

static void wait_until_interrupted(int how)
{
	struct sigaction sa = {.sa_handler = on_usr1};
	int a = open_it();
	pthread_t t;

	sigaction(SIGUSR1, &sa, NULL);
	g_how = how;
	g_fd = open_it();
	g_got = 0;
	EXPECT((how ? flock(a, LOCK_EX) : lock_range(a, F_OFD_SETLK, F_WRLCK, 0, 0)) == 0);
	EXPECT(pthread_create(&t, NULL, waiter, NULL) == 0);
	/* One that comes before the wait ends nothing. */
	for (int i = 0; i < 500 && !g_got; i++) {
		usleep(20000);
		EXPECT_EQ(pthread_kill(t, SIGUSR1), 0);
	}
	pthread_join(t, NULL);
	EXPECT_EQ(g_errno, EINTR);
	/* The request is gone: the lock does not come to it later. */
	EXPECT((how ? flock(a, LOCK_UN) : lock_range(a, F_OFD_SETLK, F_UNLCK, 0, 0)) == 0);
	EXPECT((how ? flock(a, LOCK_EX | LOCK_NB)
	            : lock_range(a, F_OFD_SETLK, F_WRLCK, 0, 0)) == 0);
	close(a);
	close(g_fd);
}

static void signal_ends_a_wait_for_ofd_lock(void)
{
	wait_until_interrupted(0);
}

static void signal_ends_a_wait_for_flock(void)
{
	wait_until_interrupted(1);
}

static void restart_waits_again(void)
{
	struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
	int a = open_it();
	pthread_t t;

	sigaction(SIGUSR1, &sa, NULL);
	g_how = 0;
	g_fd = open_it();
	g_got = 0;
	EXPECT(lock_range(a, F_OFD_SETLK, F_WRLCK, 0, 0) == 0);
	EXPECT(pthread_create(&t, NULL, waiter, NULL) == 0);
	usleep(50000);
	EXPECT_EQ(pthread_kill(t, SIGUSR1), 0);
	usleep(50000);
	EXPECT_EQ(g_got, 0);
	EXPECT(lock_range(a, F_OFD_SETLK, F_UNLCK, 0, 0) == 0);
	pthread_join(t, NULL);
	EXPECT_EQ(g_errno, 0);
	close(a);
	close(g_fd);
}

#define THREADS 8
#define ROUNDS 200

static volatile long g_count, g_inside, g_overlaps;

static void *counter(void *arg)
{
	int fd = open("f", O_RDWR);

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		EXPECT(lock_range(fd, F_OFD_SETLKW, F_WRLCK, 0, 1) == 0);
		if (g_inside++)
			g_overlaps++;
		g_count++;
		g_inside--;
		EXPECT(lock_range(fd, F_OFD_SETLK, F_UNLCK, 0, 1) == 0);
	}
	close(fd);
	return NULL;
}

static void many_threads_exclude_each_other(void)
{
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		EXPECT(pthread_create(&t[i], NULL, counter, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(g_count, THREADS * ROUNDS);
	EXPECT_EQ(g_overlaps, 0);
}

int main(void)
{
	CASE(ofd_locks_conflict);
	CASE(readers_share);
	CASE(a_process_does_not_conflict_with_itself);
	CASE(any_close_drops_posix_locks);
	CASE(splits_and_joins);
	CASE(whence_and_length);
	CASE(lock_errors);
	CASE(flock_conflicts);
	CASE(waiting_ofd_lock_is_granted);
	CASE(waiting_flock_is_granted);
	CASE(signal_ends_a_wait_for_ofd_lock);
	CASE(signal_ends_a_wait_for_flock);
	CASE(restart_waits_again);
	CASE(many_threads_exclude_each_other);
	return g_failed;
}
