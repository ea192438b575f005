/* SPDX-License-Identifier: MIT */
/*
 * The guest's superuser sets the guest's own clock; timers on it follow.
 *
 * native: no, it would set this machine's clock
 * compare: no
 */
#include "tests/sys/check.h"

#include <sys/klog.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>

static void step(long seconds)
{
	struct timespec ts;

	CHECK_EQ(clock_gettime(CLOCK_REALTIME, &ts), 0);
	ts.tv_sec += seconds;
	CHECK_EQ(clock_settime(CLOCK_REALTIME, &ts), 0);
}

static void the_realtime_clock_can_be_set_and_the_monotonic_one_not(void)
{
	struct timespec before, after, zero = {0, 0};
	uint64_t mono = now_ns();

	clock_gettime(CLOCK_REALTIME, &before);
	step(1000);
	clock_gettime(CLOCK_REALTIME, &after);
	CHECK(after.tv_sec - before.tv_sec >= 1000 &&
	      after.tv_sec - before.tv_sec < 1010);
	CHECK(now_ns() - mono < 5000000000u);
	CHECK_ERR(clock_settime(CLOCK_MONOTONIC, &zero), EINVAL);
	step(-1000);
}

static void settimeofday_sets_it_too(void)
{
	struct timeval tv, bad = {5, 1000000};
	const int zone[2] = {60, 0};
	const uint64_t start = now_ns();
	struct timespec ts;

	CHECK_EQ(gettimeofday(&tv, NULL), 0);
	tv.tv_sec += 2000;
	CHECK_EQ(syscall(SYS_settimeofday, &tv, NULL), 0);
	CHECK_EQ(clock_gettime(CLOCK_REALTIME, &ts), 0);
	CHECK(ts.tv_sec >= tv.tv_sec && ts.tv_sec < tv.tv_sec + 10);
	CHECK_EQ(syscall(SYS_settimeofday, NULL, zone), 0);
	CHECK_ERR(syscall(SYS_settimeofday, &bad, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_settimeofday, BAD_PTR, NULL), EFAULT);
	CHECK(now_ns() - start < 5000000000u);
	step(-2000);
}

static void an_absolute_timer_follows_the_clock(void)
{
	struct itimerspec v = {{0, 0}, {0, 0}};
	uint64_t n, start = now_ns();
	int fd = timerfd_create(CLOCK_REALTIME, 0);

	clock_gettime(CLOCK_REALTIME, &v.it_value);
	v.it_value.tv_sec += 500;
	CHECK_EQ(timerfd_settime(fd, TFD_TIMER_ABSTIME, &v, NULL), 0);
	step(501);
	CHECK_EQ(read(fd, &n, sizeof(n)), 8);
	CHECK_EQ(n, 1);
	CHECK(now_ns() - start < 5000000000u);
	step(-501);
	close(fd);
}

static void a_relative_timer_does_not_follow(void)
{
	struct itimerspec v = {{0, 0}, {0, 100000000}};
	uint64_t n, start = now_ns();
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);

	CHECK_EQ(timerfd_settime(fd, 0, &v, NULL), 0);
	step(600);
	CHECK_EQ(read(fd, &n, sizeof(n)), 8);
	CHECK(now_ns() - start >= 100000000u);
	step(-600);
	close(fd);
}

static void timerfd_tells_of_a_changed_clock_when_asked(void)
{
	struct itimerspec v = {{0, 0}, {0, 0}};
	uint64_t n;
	int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);

	clock_gettime(CLOCK_REALTIME, &v.it_value);
	v.it_value.tv_sec += 5000;
	CHECK_EQ(timerfd_settime(fd, TFD_TIMER_ABSTIME | 2, &v, NULL), 0);
	CHECK_ERR(read(fd, &n, sizeof(n)), EAGAIN);
	step(10);
	CHECK_ERR(read(fd, &n, sizeof(n)), ECANCELED);
	CHECK_ERR(read(fd, &n, sizeof(n)), EAGAIN);
	step(-10);
	close(fd);
}

static volatile sig_atomic_t g_count;

static void count(int sig)
{
	(void)sig;
	g_count++;
}

static void a_posix_timer_follows_the_clock(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec v = {{0, 0}, {0, 0}};
	timer_t t;

	signal(SIGUSR1, count);
	CHECK_EQ(timer_create(CLOCK_REALTIME, &ev, &t), 0);
	clock_gettime(CLOCK_REALTIME, &v.it_value);
	v.it_value.tv_sec += 300;
	CHECK_EQ(timer_settime(t, TIMER_ABSTIME, &v, NULL), 0);
	step(301);
	for (int i = 0; i < 400 && !g_count; i++)
		sleep_ms(5);
	CHECK_EQ(g_count, 1);
	step(-301);
	timer_delete(t);
}

static void adjtimex_reads_and_steps(void)
{
	struct timex tx = {.modes = 0};
	struct timespec before, after;

	CHECK_EQ(adjtimex(&tx), TIME_ERROR);
	CHECK(tx.status & STA_UNSYNC);
	CHECK_EQ(tx.tick, 10000);
	clock_gettime(CLOCK_REALTIME, &before);
	tx = (struct timex){.modes = ADJ_SETOFFSET, .time = {50, 0}};
	CHECK_EQ(adjtimex(&tx), TIME_ERROR);
	clock_gettime(CLOCK_REALTIME, &after);
	CHECK(after.tv_sec - before.tv_sec >= 50 && after.tv_sec - before.tv_sec < 55);
	step(-50);
	tx = (struct timex){.modes = ADJ_FREQUENCY};
	CHECK_ERR(adjtimex(&tx), EINVAL);
	CHECK_ERR(clock_adjtime(CLOCK_MONOTONIC, &tx), EOPNOTSUPP);
	CHECK_ERR(clock_adjtime(99, &tx), EINVAL);
	CHECK_ERR(syscall(SYS_adjtimex, BAD_PTR), EFAULT);
}

static void the_kernel_log_is_empty(void)
{
	char buf[64];

	CHECK_EQ(klogctl(3, buf, sizeof(buf)), 0);
	CHECK(klogctl(10, NULL, 0) > 0);
	CHECK_EQ(klogctl(9, NULL, 0), 0);
	CHECK_ERR(klogctl(3, NULL, 5), EINVAL);
	CHECK_ERR(klogctl(99, buf, 5), EINVAL);
	CHECK_EQ(klogctl(2, buf, sizeof(buf)), 0);
	CHECK_EQ(klogctl(4, buf, sizeof(buf)), 0);
	CHECK_ERR(klogctl(2, buf, -1), EINVAL);
	for (int type = 5; type <= 7; type++) /* clear, console off and on */
		CHECK_EQ(klogctl(type, NULL, 0), 0);
	CHECK_EQ(klogctl(8, NULL, 4), 0);
	CHECK_ERR(klogctl(8, NULL, 9), EINVAL);
	CHECK_EQ(syscall(SYS_syslog, 9, NULL, 0), 0);
}

static void the_superuser_names_the_host(void)
{
	char name[80];

	CHECK_EQ(sethostname("orchid", 6), 0);
	CHECK_EQ(gethostname(name, sizeof(name)), 0);
	CHECK(strcmp(name, "orchid") == 0);
	CHECK_ERR(sethostname("x", 65), EINVAL);
	CHECK_ERR(sethostname("x", -1), EINVAL);
	CHECK_ERR(sethostname(BAD_PTR, 4), EFAULT);
	CHECK_EQ(setdomainname("example", 7), 0);
	CHECK_EQ(getdomainname(name, sizeof(name)), 0);
	CHECK(strcmp(name, "example") == 0);
}

static void a_user_may_not(void)
{
	struct timespec ts = {1, 0};
	struct timex tx = {.modes = ADJ_SETOFFSET};

	CHECK_EQ(setuid(1000), 0);
	CHECK_ERR(clock_settime(CLOCK_REALTIME, &ts), EPERM);
	CHECK_ERR(adjtimex(&tx), EPERM);
	CHECK_ERR(syscall(SYS_settimeofday, &ts, NULL), EPERM);
	CHECK_ERR(klogctl(5, NULL, 0), EPERM);
	CHECK(klogctl(10, NULL, 0) > 0);
}

int main(void)
{
	watchdog(30);
	if (geteuid() != 0) {
		printf("skip: needs the guest's superuser\n");
		return 77;
	}
	CASE(the_realtime_clock_can_be_set_and_the_monotonic_one_not);
	CASE(settimeofday_sets_it_too);
	CASE(an_absolute_timer_follows_the_clock);
	CASE(a_relative_timer_does_not_follow);
	CASE(timerfd_tells_of_a_changed_clock_when_asked);
	CASE(a_posix_timer_follows_the_clock);
	CASE(adjtimex_reads_and_steps);
	CASE(the_kernel_log_is_empty);
	CASE(the_superuser_names_the_host);
	CASE(a_user_may_not);
	return g_failed;
}
