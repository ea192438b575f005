/* SPDX-License-Identifier: MIT */
/* getrlimit, setrlimit, prlimit64, and what the limits do. */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/types.h>

static void a_soft_limit_can_move_below_the_hard_one(void)
{
	struct rlimit old, now = {0, 0};

	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	CHECK(old.rlim_cur <= old.rlim_max);
	now = old;
	now.rlim_cur = 20;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &now), 0);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &now), 0);
	CHECK_EQ(now.rlim_cur, 20);
	CHECK_EQ(now.rlim_max, old.rlim_max);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void the_descriptor_limit_is_enforced(void)
{
	struct rlimit old, low;
	int fd[40], n = 0;

	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 20;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (n < 40 && (fd[n] = dup(0)) >= 0)
		n++;
	CHECK_EQ(errno, EMFILE);
	CHECK(n > 0 && n <= 17);
	CHECK_ERR(dup2(0, 20), EBADF);
	while (n > 0)
		close(fd[--n]);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void soft_above_hard_is_refused(void)
{
	struct rlimit r = {20, 10};

	CHECK_ERR(setrlimit(RLIMIT_CORE, &r), EINVAL);
	CHECK_ERR(syscall(SYS_setrlimit, 99, &r), EINVAL);
	CHECK_ERR(syscall(SYS_getrlimit, 99, &r), EINVAL);
	CHECK_ERR(syscall(SYS_getrlimit, RLIMIT_CORE, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_setrlimit, RLIMIT_CORE, BAD_PTR), EFAULT);
}

static void prlimit_reads_and_writes_at_once(void)
{
	struct rlimit one = {100, 200}, got = {0, 0};

	CHECK_EQ(prlimit(0, RLIMIT_CPU, NULL, &got), 0);
	CHECK_EQ(prlimit(getpid(), RLIMIT_RSS, &one, NULL), 0);
	one = (struct rlimit){50, 200};
	CHECK_EQ(prlimit(0, RLIMIT_RSS, &one, &got), 0);
	CHECK_EQ(got.rlim_cur, 100);
	CHECK_EQ(got.rlim_max, 200);
	CHECK_ERR(prlimit(0x3ffffff, RLIMIT_RSS, NULL, &got), ESRCH);
	CHECK_ERR(syscall(SYS_prlimit64, 0, RLIMIT_RSS, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_prlimit64, 0, RLIMIT_RSS, NULL, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_prlimit64, 0, 99, NULL, NULL), EINVAL);
}

static void a_user_cannot_raise_a_hard_limit(void)
{
	struct rlimit r = {10, 10}, up = {10, 20};

	CHECK_EQ(setrlimit(RLIMIT_CORE, &r), 0);
	if (geteuid() == 0) {
		CHECK_EQ(setuid(1000), 0);
		CHECK_EQ(setrlimit(RLIMIT_CORE, &r), 0);
	}
	CHECK_ERR(setrlimit(RLIMIT_CORE, &up), EPERM);
}

static volatile sig_atomic_t g_xfsz;

static void on_xfsz(int sig)
{
	(void)sig;
	g_xfsz++;
}

static void the_file_size_limit_sends_sigxfsz(void)
{
	struct rlimit r, old;
	char buf[64] = {0};
	int fd = open("limit-file", O_RDWR | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	signal(SIGXFSZ, on_xfsz);
	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
	r = old;
	r.rlim_cur = 100;
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &r), 0);
	CHECK_EQ(write(fd, buf, 64), 64);
	CHECK_EQ(write(fd, buf, 64), 36); /* what fits */
	CHECK_EQ(g_xfsz, 0);
	CHECK_ERR(write(fd, buf, 64), EFBIG);
	CHECK_EQ(g_xfsz, 1);
	CHECK_ERR(ftruncate(fd, 200), EFBIG);
	CHECK_EQ(g_xfsz, 2);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
	CHECK_EQ(write(fd, buf, 64), 64);
	close(fd);
	unlink("limit-file");
}

static void the_signal_limit_refuses_realtime_signals(void)
{
	struct rlimit r, old;
	sigset_t s;
	int rc = 0, n;

	CHECK_EQ(getrlimit(RLIMIT_SIGPENDING, &old), 0);
	sigemptyset(&s);
	sigaddset(&s, SIGRTMIN);
	sigaddset(&s, SIGUSR1);
	sigprocmask(SIG_BLOCK, &s, NULL);
	r = old;
	r.rlim_cur = 0;
	CHECK_EQ(setrlimit(RLIMIT_SIGPENDING, &r), 0);
	for (n = 0; n < 5000 && rc == 0; n++)
		rc = sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = n});
	CHECK_EQ(rc, -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(kill(getpid(), SIGUSR1), 0); /* a standard one always arrives */
	CHECK_EQ(sigpending(&s), 0);
	CHECK(sigismember(&s, SIGUSR1));
	CHECK_EQ(setrlimit(RLIMIT_SIGPENDING, &old), 0);
	signal(SIGRTMIN, SIG_IGN); /* drops what is queued */
	signal(SIGUSR1, SIG_IGN);
}

static volatile sig_atomic_t g_xcpu;

static void on_xcpu(int sig)
{
	(void)sig;
	g_xcpu++;
}

static void the_processor_time_limit_sends_sigxcpu(void)
{
	struct rlimit r, old;
	uint64_t end = now_ns() + 10000000000u;

	signal(SIGXCPU, on_xcpu);
	CHECK_EQ(getrlimit(RLIMIT_CPU, &old), 0);
	r = old;
	r.rlim_cur = 1;
	CHECK_EQ(setrlimit(RLIMIT_CPU, &r), 0);
	while (!g_xcpu && now_ns() < end)
		;
	CHECK(g_xcpu >= 1);
	CHECK_EQ(setrlimit(RLIMIT_CPU, &old), 0);
}

static void *wait_a_bit(void *arg)
{
	sleep_ms(100);
	return arg;
}

static void the_process_limit_stops_new_threads(void)
{
	struct rlimit r = {2, 2}; /* the watchdog is one */
	pthread_t t[4];
	int n = 0, err = 0;

	if (geteuid() == 0)
		CHECK_EQ(setuid(54321), 0);
	CHECK_EQ(setrlimit(RLIMIT_NPROC, &r), 0);
	while (n < 4 && (err = pthread_create(&t[n], NULL, wait_a_bit, NULL)) == 0)
		n++;
	CHECK_EQ(err, EAGAIN);
	while (n > 0)
		pthread_join(t[--n], NULL);
}

#define PAGE 4096ul

/* Behind a_user_cannot_raise_a_hard_limit(): without privileges. */
static void the_limit_of_locked_memory_binds_a_user(void)
{
	struct rlimit r = {4 * PAGE, 4 * PAGE};
	char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &r), 0);
	CHECK_EQ(mlock(p, 3 * PAGE), 0);
	CHECK_EQ(mlock(p, 4 * PAGE), 0); /* three of them are locked */
	CHECK_ERR(mlock(p + 4 * PAGE, PAGE), ENOMEM);
	CHECK_EQ(munlock(p, PAGE), 0);
	CHECK_EQ(mlock(p + 4 * PAGE, PAGE), 0);
	CHECK_ERR(mlockall(MCL_CURRENT), ENOMEM);
	CHECK_EQ(munlockall(), 0);
	r.rlim_cur = r.rlim_max = 0;
	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &r), 0);
	CHECK_ERR(mlock(p, PAGE), EPERM);
	CHECK_ERR(mlockall(MCL_CURRENT), EPERM);
	CHECK_EQ(munlock(p, PAGE), 0);
	munmap(p, 8 * PAGE);
}

int main(void)
{
	watchdog(40);
	CASE(a_soft_limit_can_move_below_the_hard_one);
	CASE(the_descriptor_limit_is_enforced);
	CASE(soft_above_hard_is_refused);
	CASE(prlimit_reads_and_writes_at_once);
	CASE(the_file_size_limit_sends_sigxfsz);
	CASE(the_signal_limit_refuses_realtime_signals);
	CASE(the_processor_time_limit_sends_sigxcpu);
	CASE(a_user_cannot_raise_a_hard_limit);
	CASE(the_limit_of_locked_memory_binds_a_user);
	CASE(the_process_limit_stops_new_threads);
	return g_failed;
}
