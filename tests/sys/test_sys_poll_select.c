/* SPDX-License-Identifier: MIT */
/* test_sys_poll_select.c - poll, ppoll, select, pselect6. */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>

static void ready_ones_are_counted(void)
{
	struct pollfd f[4];
	int p[2];

	CHECK(pipe(p) == 0);
	f[0] = (struct pollfd){.fd = p[0], .events = POLLIN};
	f[1] = (struct pollfd){.fd = p[1], .events = POLLOUT};
	f[2] = (struct pollfd){.fd = -1, .events = POLLIN, .revents = 77};
	f[3] = (struct pollfd){.fd = 9999, .events = POLLIN};
	CHECK_EQ(poll(f, 4, 0), 2);
	CHECK_EQ(f[0].revents, 0);
	CHECK_EQ(f[1].revents, POLLOUT);
	CHECK_EQ(f[2].revents, 0);
	CHECK_EQ(f[3].revents, POLLNVAL);
	CHECK_EQ(write(p[1], "x", 1), 1);
	f[0].events = POLLIN | POLLRDNORM;
	CHECK_EQ(poll(f, 1, 1000), 1);
	CHECK_EQ(f[0].revents, POLLIN | POLLRDNORM);
	close(p[0]);
	close(p[1]);
}

static void hang_up_and_error(void)
{
	struct pollfd f;
	int p[2];

	CHECK(pipe(p) == 0);
	close(p[1]);
	f = (struct pollfd){.fd = p[0], .events = 0};
	CHECK_EQ(poll(&f, 1, -1), 1);
	CHECK_EQ(f.revents, POLLHUP);
	close(p[0]);
	CHECK(pipe(p) == 0);
	close(p[0]);
	f = (struct pollfd){.fd = p[1], .events = 0};
	CHECK_EQ(poll(&f, 1, -1), 1);
	CHECK_EQ(f.revents, POLLERR);
	close(p[1]);
}

static void devices_are_always_ready(void)
{
	struct pollfd f = {.fd = open("/dev/null", O_RDWR), .events = POLLIN | POLLOUT};

	CHECK_EQ(poll(&f, 1, -1), 1);
	CHECK_EQ(f.revents, POLLIN | POLLOUT);
	close(f.fd);
}

static void bad_arguments(void)
{
	struct timespec bad = {0, 1000000000}, negative = {-1, 0};
	struct rlimit rl;

	CHECK_ERR(syscall(SYS_poll, BAD_PTR, 1, 0), EFAULT);
	CHECK_EQ(poll(NULL, 0, 0), 0);
	CHECK_ERR(syscall(SYS_ppoll, NULL, 0, &bad, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_ppoll, NULL, 0, &negative, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_ppoll, NULL, 0, BAD_PTR, NULL, 8), EFAULT);
	CHECK(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	CHECK_ERR(syscall(SYS_poll, BAD_PTR, rl.rlim_cur + 1, 0), EINVAL);
	CHECK_ERR(select(-1, NULL, NULL, NULL, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_select, 10, BAD_PTR, NULL, NULL, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &bad, NULL), EINVAL);
}

static void timeouts_pass(void)
{
	struct timeval tv = {0, 20000};
	struct timespec ts = {0, 20000000};
	uint64_t begin = now_ns();

	CHECK_EQ(poll(NULL, 0, 20), 0);
	CHECK(now_ns() - begin >= 20000000u);
	begin = now_ns();
	CHECK_EQ(syscall(SYS_select, 0, NULL, NULL, NULL, &tv), 0);
	CHECK(now_ns() - begin >= 20000000u);
	CHECK_EQ(tv.tv_sec, 0);
	CHECK_EQ(tv.tv_usec, 0);
	begin = now_ns();
	CHECK_EQ(syscall(SYS_ppoll, NULL, 0, &ts, NULL, 8), 0);
	CHECK(now_ns() - begin >= 20000000u);
	CHECK_EQ(ts.tv_nsec, 0);
}

static void select_finds_each_kind(void)
{
	struct timeval tv = {5, 0};
	fd_set in, out, ex;
	int p[2], high;

	CHECK(pipe(p) == 0);
	high = fcntl(p[0], F_DUPFD, 100);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&ex);
	FD_SET(p[0], &in);
	FD_SET(high, &in);
	FD_SET(p[1], &out);
	FD_SET(p[1], &ex);
	CHECK_EQ(select(high + 1, &in, &out, &ex, &tv), 1);
	CHECK(!FD_ISSET(p[0], &in) && !FD_ISSET(high, &in));
	CHECK(FD_ISSET(p[1], &out) && !FD_ISSET(p[1], &ex));
	CHECK_EQ(write(p[1], "x", 1), 1);
	FD_SET(p[0], &in);
	FD_SET(high, &in);
	CHECK_EQ(select(high + 1, &in, &out, NULL, NULL), 3);
	CHECK(FD_ISSET(p[0], &in) && FD_ISSET(high, &in) && FD_ISSET(p[1], &out));
	/* A number above nfds is not looked at. */
	FD_SET(high, &in);
	CHECK_EQ(select(high, &in, NULL, NULL, NULL), 1);
	close(high);
	FD_ZERO(&in);
	FD_SET(high, &in);
	CHECK_ERR(select(high + 1, &in, NULL, NULL, NULL), EBADF);
	close(p[0]);
	close(p[1]);
}

static void select_counts_one_fd_in_two_sets_twice(void)
{
	fd_set in, out;
	int s[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	CHECK_EQ(write(s[1], "x", 1), 1);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(s[0], &in);
	FD_SET(s[0], &out);
	CHECK_EQ(select(s[0] + 1, &in, &out, NULL, NULL), 2);
	close(s[0]);
	close(s[1]);
}

static volatile int g_signals;

static void on_signal(int sig)
{
	(void)sig;
	g_signals++;
}

static void masks_are_swapped(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	struct timespec ts = {1, 0};
	sigset_t block, open_set, now;

	sigaction(SIGUSR1, &sa, NULL);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, &open_set);
	g_signals = 0;
	raise(SIGUSR1);
	CHECK_EQ(poll(NULL, 0, 1), 0);
	CHECK_EQ(g_signals, 0);
	CHECK_ERR(ppoll(NULL, 0, &ts, &open_set), EINTR);
	CHECK_EQ(g_signals, 1);
	raise(SIGUSR1);
	CHECK_ERR(pselect(0, NULL, NULL, NULL, &ts, &open_set), EINTR);
	CHECK_EQ(g_signals, 2);
	sigprocmask(SIG_SETMASK, &open_set, &now);
	CHECK(sigismember(&now, SIGUSR1));
}

static void *late_signal(void *arg)
{
	sleep_ms(30);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void a_signal_ends_poll(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	pthread_t me = pthread_self(), t;

	sigaction(SIGUSR1, &sa, NULL);
	CHECK(pthread_create(&t, NULL, late_signal, &me) == 0);
	CHECK_ERR(poll(NULL, 0, -1), EINTR);
	pthread_join(t, NULL);
}

static void *late_write(void *arg)
{
	sleep_ms(30);
	CHECK_EQ(write(*(int *)arg, "x", 1), 1);
	return NULL;
}

static void waiters_are_woken(void)
{
	struct pollfd f;
	pthread_t t;
	fd_set in;
	int p[2];
	char c;

	CHECK(pipe(p) == 0);
	CHECK(pthread_create(&t, NULL, late_write, &p[1]) == 0);
	f = (struct pollfd){.fd = p[0], .events = POLLIN};
	CHECK_EQ(poll(&f, 1, -1), 1);
	pthread_join(t, NULL);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK(pthread_create(&t, NULL, late_write, &p[1]) == 0);
	FD_ZERO(&in);
	FD_SET(p[0], &in);
	CHECK_EQ(select(p[0] + 1, &in, NULL, NULL, NULL), 1);
	pthread_join(t, NULL);
	close(p[0]);
	close(p[1]);
}

#define MANY 600

static void many_descriptors(void)
{
	struct rlimit rl = {1024, 1024};
	struct pollfd *f = calloc(MANY, sizeof(*f));
	uint64_t one = 1;

	(void)setrlimit(RLIMIT_NOFILE, &rl);
	for (int i = 0; i < MANY; i++) {
		f[i] = (struct pollfd){.fd = eventfd(0, 0), .events = POLLIN};
		CHECK(f[i].fd >= 0);
	}
	CHECK_EQ(poll(f, MANY, 0), 0);
	for (int i = 0; i < MANY; i += 100)
		CHECK_EQ(write(f[i].fd, &one, 8), 8);
	CHECK_EQ(poll(f, MANY, -1), MANY / 100);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(f[i].revents, i % 100 == 0 ? POLLIN : 0);
	for (int i = 0; i < MANY; i++)
		close(f[i].fd);
	free(f);
}

/* Two threads pass a token through pipes and wait with poll() and select(). */
#define ROUNDS 10000

static int g_a[2], g_b[2];

static void *selecting(void *arg)
{
	char c;

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		fd_set in;

		FD_ZERO(&in);
		FD_SET(g_a[0], &in);
		if (select(g_a[0] + 1, &in, NULL, NULL, NULL) != 1 ||
		    read(g_a[0], &c, 1) != 1 || write(g_b[1], &c, 1) != 1)
			CHECK(!"select side");
	}
	return NULL;
}

static void ping_pong_never_stops(void)
{
	pthread_t t;
	char c = 0;

	CHECK(pipe(g_a) == 0 && pipe(g_b) == 0);
	CHECK(pthread_create(&t, NULL, selecting, NULL) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct pollfd f[2] = {{.fd = g_b[0], .events = POLLIN}, {.fd = -1}};

		if (write(g_a[1], &c, 1) != 1 || poll(f, 2, -1) != 1 ||
		    read(g_b[0], &c, 1) != 1)
			CHECK(!"poll side");
	}
	pthread_join(t, NULL);
	for (int i = 0; i < 2; i++) {
		close(g_a[i]);
		close(g_b[i]);
	}
}

int main(void)
{
	watchdog(40);
	CASE(ready_ones_are_counted);
	CASE(hang_up_and_error);
	CASE(devices_are_always_ready);
	CASE(bad_arguments);
	CASE(timeouts_pass);
	CASE(select_finds_each_kind);
	CASE(select_counts_one_fd_in_two_sets_twice);
	CASE(masks_are_swapped);
	CASE(a_signal_ends_poll);
	CASE(waiters_are_woken);
	CASE(many_descriptors);
	CASE(ping_pong_never_stops);
	return g_failed;
}
