/* SPDX-License-Identifier: MIT */
/* clock_gettime and its family, nanosleep, clock_nanosleep. */
#include "tests/sys/check.h"

#include <sys/time.h>

static const clockid_t g_clocks[] = {
	CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
	CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME,
};

static uint64_t read_ns(clockid_t c)
{
	struct timespec ts = {-1, -1};

	CHECK_EQ(syscall(SYS_clock_gettime, c, &ts), 0);
	CHECK(ts.tv_sec >= 0 && ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void every_clock_runs_forwards(void)
{
	for (unsigned i = 0; i < sizeof(g_clocks) / sizeof(g_clocks[0]); i++) {
		const uint64_t a = read_ns(g_clocks[i]), b = read_ns(g_clocks[i]);

		CHECK(b >= a);
	}
}

static void bad_clocks_and_pointers(void)
{
	struct timespec ts;

	CHECK_ERR(syscall(SYS_clock_gettime, 77, &ts), EINVAL);
	CHECK_ERR(syscall(SYS_clock_gettime, CLOCK_REALTIME, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_clock_getres, 77, &ts), EINVAL);
	CHECK_EQ(syscall(SYS_clock_getres, CLOCK_MONOTONIC, &ts), 0);
	CHECK_EQ(ts.tv_sec, 0);
	CHECK_EQ(ts.tv_nsec, 1);
	CHECK_EQ(syscall(SYS_clock_getres, CLOCK_MONOTONIC, NULL), 0);
	CHECK_EQ(syscall(SYS_clock_getres, CLOCK_REALTIME_COARSE, &ts), 0);
	CHECK(ts.tv_nsec > 1);
	CHECK_ERR(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &ts), EINVAL);
}

static void the_times_of_day_agree(void)
{
	struct timeval tv;
	const time_t a = time(NULL);
	time_t c;

	CHECK_EQ(syscall(SYS_gettimeofday, &tv, NULL), 0);
	CHECK(tv.tv_sec - a <= 1 && tv.tv_sec >= a);
	CHECK(tv.tv_usec >= 0 && tv.tv_usec < 1000000);
	c = syscall(SYS_time, NULL);
	CHECK(c - a <= 2 && c >= a);
}

static void cpu_clocks_count_work(void)
{
	const uint64_t p = read_ns(CLOCK_PROCESS_CPUTIME_ID), t = read_ns(CLOCK_THREAD_CPUTIME_ID);
	clockid_t own;
	volatile unsigned n = 0;

	while (read_ns(CLOCK_THREAD_CPUTIME_ID) < t + 20000000u)
		for (int i = 0; i < 10000; i++)
			n++;
	CHECK(read_ns(CLOCK_PROCESS_CPUTIME_ID) >= p + 20000000u);
	CHECK_EQ(pthread_getcpuclockid(pthread_self(), &own), 0);
	CHECK(read_ns(own) >= t + 20000000u);
	CHECK_EQ(clock_getcpuclockid(0, &own), 0);
	CHECK(read_ns(own) >= p + 20000000u);
}

static void sleeps_last_as_long_as_asked(void)
{
	const struct timespec ts = {0, 25000000};
	struct timespec at;
	uint64_t t0 = now_ns();

	CHECK_EQ(nanosleep(&ts, NULL), 0);
	CHECK(now_ns() - t0 >= 25000000u);
	t0 = now_ns();
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL), 0);
	CHECK(now_ns() - t0 >= 25000000u);
	for (int i = 0; i < 2; i++) {
		const clockid_t c = i ? CLOCK_REALTIME : CLOCK_MONOTONIC;

		clock_gettime(c, &at);
		at.tv_nsec += 25000000;
		if (at.tv_nsec >= 1000000000) {
			at.tv_sec++;
			at.tv_nsec -= 1000000000;
		}
		t0 = now_ns();
		CHECK_EQ(clock_nanosleep(c, TIMER_ABSTIME, &at, NULL), 0);
		CHECK(now_ns() - t0 >= 20000000u && now_ns() - t0 < 3000000000u);
	}
	at.tv_sec = 1;
	CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL), 0);
}

static void bad_sleeps_are_refused(void)
{
	const struct timespec big = {0, 1000000000}, past = {-1, 0}, ok = {0, 1};

	CHECK_ERR(syscall(SYS_nanosleep, &big, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_nanosleep, &past, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_nanosleep, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &ok, NULL), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_clock_nanosleep, 77, 0, &ok, NULL), EINVAL);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void a_handler_leaves_the_rest_of_a_sleep(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	struct itimerval it = {.it_value = {0, 30000}};
	const struct timespec ts = {5, 0};
	struct timespec left = {0, 0};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	CHECK_ERR(nanosleep(&ts, &left), EINTR);
	CHECK(left.tv_sec == 4 && left.tv_nsec > 0);
	setitimer(ITIMER_REAL, &it, NULL);
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &left), EINTR);
	CHECK_EQ(left.tv_sec, 4);
}

/* The C library may read a clock without a call. */
static void the_library_and_the_call_tell_one_time(void)
{
	static const clockid_t both[] = {CLOCK_REALTIME, CLOCK_MONOTONIC};

	for (unsigned i = 0; i < 2000; i++) {
		const clockid_t c = both[i & 1];
		struct timespec ts = {-1, -1};
		const uint64_t before = read_ns(c);
		uint64_t now;

		CHECK_EQ(clock_gettime(c, &ts), 0);
		now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
		CHECK(before <= now && now <= read_ns(c));
	}
}

static _Atomic unsigned g_reads_in_handler;

static void read_in_handler(int sig)
{
	struct timespec ts;

	(void)sig;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	g_reads_in_handler++;
}

static void signals_may_hit_a_read_of_the_clock(void)
{
	struct sigaction sa = {.sa_handler = read_in_handler};
	struct itimerval it = {{0, 1000}, {0, 1000}}, none = {{0, 0}, {0, 0}};
	const uint64_t start = now_ns();
	uint64_t last = start;

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	while (g_reads_in_handler < 20 && last - start < 10000000000u) {
		const uint64_t now = now_ns();

		CHECK(now >= last);
		last = now;
	}
	setitimer(ITIMER_REAL, &none, NULL);
	CHECK(g_reads_in_handler >= 20);
}

int main(void)
{
	watchdog(40);
	CASE(every_clock_runs_forwards);
	CASE(bad_clocks_and_pointers);
	CASE(the_times_of_day_agree);
	CASE(cpu_clocks_count_work);
	CASE(sleeps_last_as_long_as_asked);
	CASE(bad_sleeps_are_refused);
	CASE(a_handler_leaves_the_rest_of_a_sleep);
	CASE(the_library_and_the_call_tell_one_time);
	CASE(signals_may_hit_a_read_of_the_clock);
	return g_failed;
}
