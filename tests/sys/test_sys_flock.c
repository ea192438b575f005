/* SPDX-License-Identifier: MIT */
/* flock() between descriptions of one file: on a disk, in /dev/shm, of a memfd.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/time.h>

static const char *g_path; /* NULL: descriptions of one memfd cannot be had twice */

static int open_it(void)
{
	int fd = open(g_path, O_CREAT | O_RDWR, 0600);

	CHECK(fd >= 0);
	return fd;
}

static void shared_and_exclusive(void)
{
	int a = open_it(), b = open_it(), c = dup(a);

	CHECK_EQ(flock(a, LOCK_SH), 0);
	CHECK_EQ(flock(b, LOCK_SH | LOCK_NB), 0);
	CHECK_ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	/* Who asked for the other kind in vain has none. */
	CHECK_EQ(flock(a, LOCK_EX | LOCK_NB), 0);
	CHECK_EQ(flock(c, LOCK_EX | LOCK_NB), 0);
	CHECK_ERR(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	CHECK_EQ(flock(c, LOCK_UN), 0);
	CHECK_EQ(flock(c, LOCK_UN), 0);
	CHECK_EQ(flock(b, LOCK_EX | LOCK_NB), 0);
	CHECK_ERR(flock(a, 0), EINVAL);
	CHECK_ERR(flock(a, LOCK_SH | LOCK_EX), EINVAL);
	CHECK_ERR(flock(-1, LOCK_SH), EBADF);
	close(a);
	close(b);
	close(c);
}

static void the_last_close_releases(void)
{
	int a = open_it(), b = open_it(), c = dup(a);

	CHECK_EQ(flock(a, LOCK_EX), 0);
	close(a);
	CHECK_ERR(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	close(c);
	CHECK_EQ(flock(b, LOCK_SH | LOCK_NB), 0);
	close(b);
}

static _Atomic int g_got;

static void *wait_for_it(void *arg)
{
	int fd = open_it();

	CHECK_EQ(flock(fd, (int)(long)arg), 0);
	g_got++;
	close(fd);
	return NULL;
}

static void waiters_get_it_in_the_end(void)
{
	int a = open_it();
	pthread_t t[4];

	g_got = 0;
	CHECK_EQ(flock(a, LOCK_EX), 0);
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, wait_for_it,
		               (void *)(long)(i & 1 ? LOCK_SH : LOCK_EX));
	usleep(50000);
	CHECK_EQ(g_got, 0);
	CHECK_EQ(flock(a, LOCK_UN), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(g_got, 4);
	close(a);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void a_signal_ends_the_wait(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	struct itimerval it = {{0, 20000}, {0, 50000}}, none = {{0, 0}, {0, 0}};
	int a = open_it(), b = open_it();

	CHECK_EQ(flock(a, LOCK_EX), 0);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	CHECK_ERR(flock(b, LOCK_EX), EINTR);
	setitimer(ITIMER_REAL, &none, NULL);
	CHECK_EQ(flock(a, LOCK_UN), 0);
	CHECK_EQ(flock(b, LOCK_EX | LOCK_NB), 0);
	close(a);
	close(b);
}

static void run_all(const char *path)
{
	g_path = path;
	CASE(shared_and_exclusive);
	CASE(the_last_close_releases);
	CASE(waiters_get_it_in_the_end);
	CASE(a_signal_ends_the_wait);
	unlink(path);
}

static void a_description_locks_for_all_its_descriptors(void)
{
	int a = memfd_create("m", 0), b = dup(a);

	CHECK_EQ(flock(a, LOCK_EX), 0);
	CHECK_EQ(flock(b, LOCK_EX | LOCK_NB), 0);
	CHECK_EQ(flock(b, LOCK_SH | LOCK_NB), 0);
	close(a);
	close(b);
}

int main(void)
{
	char shm[64];

	watchdog(40);
	snprintf(shm, sizeof(shm), "/dev/shm/strait-flock-%d", getpid());
	run_all("flock-file");
	run_all(shm);
	CASE(a_description_locks_for_all_its_descriptors);
	return g_failed;
}
