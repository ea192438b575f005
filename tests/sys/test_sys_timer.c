/* SPDX-License-Identifier: MIT */
/* setitimer, alarm, timer_create, timerfd. */
#include "tests/sys/check.h"

#include <poll.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#define MS 1000000u

static volatile sig_atomic_t g_count, g_code, g_overrun, g_value;

static void note(int sig, siginfo_t *info, void *uc)
{
	(void)sig;
	(void)uc;
	g_count++;
	g_code = info->si_code;
	g_overrun = info->si_overrun;
	g_value = info->si_value.sival_int;
}

static void handle(int sig)
{
	struct sigaction sa = {.sa_sigaction = note,
	                       .sa_flags = SA_SIGINFO | SA_RESTART};

	sigemptyset(&sa.sa_mask);
	CHECK_EQ(sigaction(sig, &sa, NULL), 0);
	g_count = g_code = g_overrun = g_value = 0;
}

static void wait_for_count(int n, int ms)
{
	uint64_t end = now_ns() + (uint64_t)ms * MS;

	while (g_count < n && now_ns() < end)
		sleep_ms(2);
}

static struct itimerval itv(long ms, long interval_ms)
{
	return (struct itimerval){
	        .it_value = {ms / 1000, ms % 1000 * 1000},
	        .it_interval = {interval_ms / 1000, interval_ms % 1000 * 1000},
	};
}

static struct itimerspec its(long ms, long interval_ms)
{
	return (struct itimerspec){
	        .it_value = {ms / 1000, ms % 1000 * 1000000},
	        .it_interval = {interval_ms / 1000, interval_ms % 1000 * 1000000},
	};
}

/* ---- interval timers ---- */

static void itimer_real_fires_once_at_its_time(void)
{
	struct itimerval t = itv(50, 0), left;
	uint64_t start = now_ns();

	handle(SIGALRM);
	CHECK_EQ(setitimer(ITIMER_REAL, &t, NULL), 0);
	CHECK_EQ(getitimer(ITIMER_REAL, &left), 0);
	CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_usec > 0 &&
	      left.it_value.tv_usec <= 50000);
	wait_for_count(1, 3000);
	CHECK_EQ(g_count, 1);
	CHECK(now_ns() - start >= 50 * MS);
	CHECK_EQ(g_code, SI_KERNEL);
	sleep_ms(70);
	CHECK_EQ(g_count, 1);
	CHECK_EQ(getitimer(ITIMER_REAL, &left), 0);
	CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_usec == 0);
}

static void itimer_real_repeats_until_disarmed(void)
{
	struct itimerval t = itv(10, 10), old;
	int n;

	handle(SIGALRM);
	CHECK_EQ(setitimer(ITIMER_REAL, &t, NULL), 0);
	wait_for_count(5, 3000);
	CHECK(g_count >= 5);
	t = itv(0, 0);
	CHECK_EQ(setitimer(ITIMER_REAL, &t, &old), 0);
	CHECK_EQ(old.it_interval.tv_usec, 10000);
	n = g_count;
	sleep_ms(40);
	CHECK_EQ(g_count, n);
}

static void itimer_interrupts_a_computing_loop(void)
{
	struct itimerval t = itv(30, 0);

	handle(SIGALRM);
	CHECK_EQ(setitimer(ITIMER_REAL, &t, NULL), 0);
	while (!g_count)
		;
	CHECK_EQ(g_count, 1);
}

static void itimer_prof_and_virtual_count_processor_time(void)
{
	struct itimerval t = itv(50, 0);
	uint64_t end;

	handle(SIGPROF);
	CHECK_EQ(setitimer(ITIMER_PROF, &t, NULL), 0);
	sleep_ms(120);
	CHECK_EQ(g_count, 0); /* asleep, it does not advance */
	end = now_ns() + 8000ull * MS;
	while (!g_count && now_ns() < end)
		;
	CHECK_EQ(g_count, 1);
	handle(SIGVTALRM);
	CHECK_EQ(setitimer(ITIMER_VIRTUAL, &t, NULL), 0);
	end = now_ns() + 8000ull * MS;
	for (volatile long i = 0; !g_count;)
		if (++i % 1000000 == 0 && now_ns() > end)
			break;
	CHECK_EQ(g_count, 1);
}

static void itimer_arguments_are_checked(void)
{
	struct itimerval bad = {.it_value = {0, 1000000}};
	struct itimerval ok = itv(0, 0);

	CHECK_ERR(setitimer(ITIMER_REAL, &bad, NULL), EINVAL);
	CHECK_ERR(setitimer(9, &ok, NULL), EINVAL);
	CHECK_ERR(getitimer(9, &ok), EINVAL);
	CHECK_ERR(syscall(SYS_setitimer, ITIMER_REAL, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_getitimer, ITIMER_REAL, BAD_PTR), EFAULT);
}

static void alarm_tells_the_seconds_left(void)
{
	handle(SIGALRM);
	CHECK_EQ(syscall(SYS_alarm, 100), 0);
	CHECK_EQ(syscall(SYS_alarm, 1), 100);
	CHECK_EQ(alarm(0), 1);
	CHECK_EQ(alarm(0), 0);
	alarm(1);
	pause();
	CHECK_EQ(g_count, 1);
}

/* ---- POSIX timers ---- */

static timer_t make(clockid_t clock, int sig, int value)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig};
	timer_t t = NULL;

	ev.sigev_value.sival_int = value;
	CHECK_EQ(timer_create(clock, &ev, &t), 0);
	return t;
}

static void timer_sends_its_signal_with_its_value(void)
{
	struct itimerspec v = its(30, 0), left;
	timer_t t;

	handle(SIGRTMIN);
	t = make(CLOCK_MONOTONIC, SIGRTMIN, 1234);
	CHECK_EQ(timer_settime(t, 0, &v, NULL), 0);
	CHECK_EQ(timer_gettime(t, &left), 0);
	CHECK(left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 30 * (long)MS);
	wait_for_count(1, 3000);
	CHECK_EQ(g_count, 1);
	CHECK_EQ(g_code, SI_TIMER);
	CHECK_EQ(g_value, 1234);
	CHECK_EQ(g_overrun, 0);
	CHECK_EQ(timer_gettime(t, &left), 0);
	CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
	CHECK_EQ(timer_delete(t), 0);
	CHECK_ERR(syscall(SYS_timer_delete, (int)(intptr_t)t), EINVAL);
}

static void a_blocked_timer_counts_its_overruns(void)
{
	struct itimerspec v = its(10, 10);
	sigset_t s;
	timer_t t;

	handle(SIGRTMIN);
	sigemptyset(&s);
	sigaddset(&s, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &s, NULL);
	t = make(CLOCK_REALTIME, SIGRTMIN, 5);
	CHECK_EQ(timer_settime(t, 0, &v, NULL), 0);
	sleep_ms(105);
	pthread_sigmask(SIG_UNBLOCK, &s, NULL);
	CHECK_EQ(g_count, 1);
	CHECK(g_overrun >= 8);
	CHECK_EQ(timer_getoverrun(t), g_overrun);
	wait_for_count(3, 3000);
	CHECK(g_count >= 3);
	CHECK_EQ(timer_delete(t), 0);
}

static void an_absolute_timer_in_the_past_fires_at_once(void)
{
	struct itimerspec v = {.it_value = {1, 0}};
	timer_t t;

	handle(SIGUSR1);
	t = make(CLOCK_MONOTONIC, SIGUSR1, 0);
	CHECK_EQ(timer_settime(t, TIMER_ABSTIME, &v, NULL), 0);
	wait_for_count(1, 3000);
	CHECK_EQ(g_count, 1);
	CHECK_EQ(timer_delete(t), 0);
}

static void a_deleted_or_disarmed_timer_is_silent(void)
{
	struct itimerspec v = its(30, 0), zero = its(0, 0), old;
	timer_t t;

	handle(SIGUSR1);
	t = make(CLOCK_MONOTONIC, SIGUSR1, 0);
	timer_settime(t, 0, &v, NULL);
	CHECK_EQ(timer_settime(t, 0, &zero, &old), 0);
	CHECK(old.it_value.tv_nsec > 0);
	timer_settime(t, 0, &v, NULL);
	timer_delete(t);
	sleep_ms(60);
	CHECK_EQ(g_count, 0);
}

static void a_silent_timer_can_be_watched(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_NONE};
	struct itimerspec v = its(20, 0), left;
	timer_t t;

	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &ev, &t), 0);
	CHECK_EQ(timer_settime(t, 0, &v, NULL), 0);
	sleep_ms(50);
	CHECK_EQ(timer_gettime(t, &left), 0);
	CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
	v = its(40, 40);
	CHECK_EQ(timer_settime(t, 0, &v, NULL), 0);
	sleep_ms(100);
	CHECK_EQ(timer_gettime(t, &left), 0);
	CHECK(left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 40 * (long)MS);
	CHECK_EQ(timer_delete(t), 0);
}

static void a_cpu_timer_counts_processor_time(void)
{
	struct itimerspec v = its(40, 0);
	uint64_t end;
	timer_t t;

	handle(SIGUSR1);
	t = make(CLOCK_PROCESS_CPUTIME_ID, SIGUSR1, 0);
	CHECK_EQ(timer_settime(t, 0, &v, NULL), 0);
	sleep_ms(100);
	CHECK_EQ(g_count, 0);
	end = now_ns() + 8000ull * MS;
	while (!g_count && now_ns() < end)
		;
	CHECK_EQ(g_count, 1);
	CHECK_EQ(timer_delete(t), 0);
}

static volatile int g_thread_calls, g_thread_value;
static pthread_t g_main;
static volatile int g_in_main;

static void on_thread(union sigval v)
{
	g_thread_value = v.sival_int;
	g_in_main = pthread_equal(pthread_self(), g_main);
	g_thread_calls++;
}

static void sigev_thread_calls_a_function(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD};
	struct itimerspec v = its(20, 20);
	timer_t t;

	ev.sigev_value.sival_int = 99;
	ev.sigev_notify_function = on_thread;
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &ev, &t), 0);
	CHECK_EQ(timer_settime(t, 0, &v, NULL), 0);
	for (int i = 0; i < 600 && g_thread_calls < 3; i++)
		sleep_ms(5);
	CHECK(g_thread_calls >= 3);
	CHECK_EQ(g_thread_value, 99);
	CHECK_EQ(g_in_main, 0);
	CHECK_EQ(timer_delete(t), 0);
}

static void timer_arguments_are_checked(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 65};
	struct itimerspec bad = {.it_value = {0, 1000000000}}, ok = its(0, 0);
	timer_t t;
	int id;

	CHECK_ERR(timer_create(CLOCK_MONOTONIC, &ev, &t), EINVAL);
	ev.sigev_signo = SIGUSR1;
	CHECK_ERR(timer_create(1000, &ev, &t), EINVAL);
	ev.sigev_notify = 77;
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id), EINVAL);
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, BAD_PTR, &id), EFAULT);
	CHECK_ERR(syscall(SYS_timer_settime, 12345, 0, &ok, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_timer_gettime, 12345, &ok), EINVAL);
	CHECK_ERR(syscall(SYS_timer_getoverrun, 12345), EINVAL);
	t = make(CLOCK_MONOTONIC, SIGUSR1, 0);
	CHECK_ERR(timer_settime(t, 0, &bad, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_timer_settime, (int)(intptr_t)t, 0, NULL, NULL), EINVAL);
	CHECK_EQ(timer_delete(t), 0);
}

/* ---- timerfd ---- */

static void timerfd_reads_the_count_of_expirations(void)
{
	struct itimerspec v = its(20, 20);
	uint64_t n = 0;
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);

	CHECK(fd >= 0);
	CHECK_EQ(timerfd_settime(fd, 0, &v, NULL), 0);
	CHECK_EQ(read(fd, &n, sizeof(n)), 8);
	CHECK(n >= 1); /* more on a busy machine */
	sleep_ms(110);
	CHECK_EQ(read(fd, &n, sizeof(n)), 8);
	CHECK(n >= 5);
	CHECK_ERR(read(fd, &n, 4), EINVAL);
	CHECK_ERR(write(fd, &n, 8), EINVAL);
	close(fd);
}

static void timerfd_polls_and_refuses_to_block_when_told(void)
{
	struct itimerspec v = its(30, 0), left;
	struct pollfd pfd;
	uint64_t n;
	int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);

	pfd = (struct pollfd){.fd = fd, .events = POLLIN};
	CHECK_ERR(read(fd, &n, sizeof(n)), EAGAIN);
	CHECK_EQ(timerfd_settime(fd, 0, &v, NULL), 0);
	CHECK_EQ(timerfd_gettime(fd, &left), 0);
	CHECK(left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 30 * (long)MS);
	CHECK_EQ(poll(&pfd, 1, 0), 0);
	CHECK_EQ(poll(&pfd, 1, 5000), 1);
	CHECK_EQ(pfd.revents, POLLIN);
	CHECK_EQ(read(fd, &n, sizeof(n)), 8);
	CHECK_EQ(n, 1);
	CHECK_ERR(read(fd, &n, sizeof(n)), EAGAIN);
	CHECK_EQ(timerfd_gettime(fd, &left), 0);
	CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
	close(fd);
}

static void timerfd_takes_absolute_times(void)
{
	struct itimerspec v = {.it_value = {1, 0}};
	struct timespec now;
	uint64_t n, start;
	int fd = timerfd_create(CLOCK_REALTIME, 0);

	CHECK_EQ(timerfd_settime(fd, TFD_TIMER_ABSTIME, &v, NULL), 0);
	CHECK_EQ(read(fd, &n, sizeof(n)), 8);
	CHECK_EQ(n, 1);
	clock_gettime(CLOCK_REALTIME, &now);
	v.it_value = now;
	v.it_value.tv_nsec += 50 * MS;
	if (v.it_value.tv_nsec >= 1000000000) {
		v.it_value.tv_sec++;
		v.it_value.tv_nsec -= 1000000000;
	}
	start = now_ns();
	CHECK_EQ(timerfd_settime(fd, TFD_TIMER_ABSTIME, &v, NULL), 0);
	CHECK_EQ(read(fd, &n, sizeof(n)), 8);
	CHECK(now_ns() - start >= 45 * MS);
	close(fd);
}

static void timerfd_arguments_are_checked(void)
{
	struct itimerspec bad = {.it_value = {0, -1}}, ok = its(0, 0);
	int p[2], fd = timerfd_create(CLOCK_MONOTONIC, 0);

	CHECK_ERR(timerfd_create(77, 0), EINVAL);
	CHECK_ERR(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
	CHECK_ERR(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
	CHECK_ERR(timerfd_settime(fd, 0, &bad, NULL), EINVAL);
	CHECK_ERR(timerfd_settime(fd, 64, &ok, NULL), EINVAL);
	CHECK_ERR(timerfd_settime(fd, 0, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(timerfd_settime(1000, 0, &ok, NULL), EBADF);
	CHECK_EQ(pipe(p), 0);
	CHECK_ERR(timerfd_settime(p[0], 0, &ok, NULL), EINVAL);
	CHECK_ERR(timerfd_gettime(p[0], &ok), EINVAL);
	close(p[0]);
	close(p[1]);
	close(fd);
}

int main(void)
{
	g_main = pthread_self();
	watchdog(45);
	CASE(itimer_real_fires_once_at_its_time);
	CASE(itimer_real_repeats_until_disarmed);
	CASE(itimer_interrupts_a_computing_loop);
	CASE(itimer_prof_and_virtual_count_processor_time);
	CASE(itimer_arguments_are_checked);
	CASE(alarm_tells_the_seconds_left);
	CASE(timer_sends_its_signal_with_its_value);
	CASE(a_blocked_timer_counts_its_overruns);
	CASE(an_absolute_timer_in_the_past_fires_at_once);
	CASE(a_deleted_or_disarmed_timer_is_silent);
	CASE(a_silent_timer_can_be_watched);
	CASE(a_cpu_timer_counts_processor_time);
	CASE(sigev_thread_calls_a_function);
	CASE(timer_arguments_are_checked);
	CASE(timerfd_reads_the_count_of_expirations);
	CASE(timerfd_polls_and_refuses_to_block_when_told);
	CASE(timerfd_takes_absolute_times);
	CASE(timerfd_arguments_are_checked);
	return g_failed;
}
