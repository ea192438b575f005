/* SPDX-License-Identifier: MIT */
/* test_sys_epoll.c - epoll_create, epoll_create1, epoll_ctl, epoll_wait, epoll_pwait,
 * epoll_pwait2. */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

static int ctl(int ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_ctl(ep, op, fd, &ev);
}

static int wait_now(int ep, struct epoll_event *ev, int n)
{
	return epoll_wait(ep, ev, n, 0);
}

static void bump(int fd)
{
	uint64_t one = 1;

	CHECK_EQ(write(fd, &one, 8), 8);
}

static void drain(int fd)
{
	uint64_t n;

	CHECK_EQ(read(fd, &n, 8), 8);
}

static void bad_arguments(void)
{
	struct epoll_event ev = {0};
	int ep = epoll_create1(0), p[2];

	CHECK(pipe(p) == 0);
	CHECK_ERR(epoll_create1(1), EINVAL);
	CHECK_ERR(syscall(SYS_epoll_create, 0), EINVAL);
	CHECK_ERR(ctl(-1, EPOLL_CTL_ADD, p[0], EPOLLIN, 0), EBADF);
	CHECK_ERR(ctl(ep, EPOLL_CTL_ADD, 9999, EPOLLIN, 0), EBADF);
	CHECK_ERR(ctl(p[0], EPOLL_CTL_ADD, p[1], EPOLLIN, 0), EINVAL);
	CHECK_ERR(ctl(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 0), EINVAL);
	CHECK_ERR(ctl(ep, 99, p[0], EPOLLIN, 0), EINVAL);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], BAD_PTR), EFAULT);
	CHECK_ERR(ctl(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 0), ENOENT);
	CHECK_ERR(ctl(ep, EPOLL_CTL_DEL, p[0], EPOLLIN, 0), ENOENT);
	CHECK(ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 0) == 0);
	CHECK_ERR(ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 0), EEXIST);
	CHECK_ERR(epoll_wait(ep, &ev, 0, 0), EINVAL);
	CHECK_ERR(epoll_wait(ep, &ev, -1, 0), EINVAL);
	CHECK_ERR(epoll_wait(p[0], &ev, 1, 0), EINVAL);
	CHECK_ERR(epoll_wait(-1, &ev, 1, 0), EBADF);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_ERR(syscall(SYS_epoll_wait, ep, BAD_PTR, 1, 0), EFAULT);
	CHECK_EQ(wait_now(ep, &ev, 1), 1);
	close(ep);
	close(p[0]);
	close(p[1]);
}

static void files_give_eperm(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), null = open("/dev/null", O_RDONLY);

	CHECK_EQ(fcntl(ep, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(ctl(ep, EPOLL_CTL_ADD, null, EPOLLIN, 0), EPERM);
	close(null);
	close(ep);
}

static void level_repeats(void)
{
	int ep = epoll_create1(0), fd = eventfd(1, 0);
	struct epoll_event ev;

	CHECK(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 42) == 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(wait_now(ep, &ev, 1), 1);
		CHECK_EQ(ev.events, EPOLLIN);
		CHECK_EQ(ev.data.u64, 42);
	}
	drain(fd);
	CHECK_EQ(wait_now(ep, &ev, 1), 0);
	close(fd);
	close(ep);
}

static void edge_tells_once(void)
{
	int ep = epoll_create1(0), p[2];
	struct epoll_event ev;

	CHECK(pipe(p) == 0);
	CHECK(ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLET, 0) == 0);
	CHECK_EQ(write(p[1], "ab", 2), 2);
	CHECK_EQ(wait_now(ep, &ev, 1), 1);
	CHECK_EQ(wait_now(ep, &ev, 1), 0);
	CHECK_EQ(read(p[0], &ev, 1), 1);
	CHECK_EQ(wait_now(ep, &ev, 1), 0);
	CHECK_EQ(write(p[1], "c", 1), 1);
	CHECK_EQ(wait_now(ep, &ev, 1), 1);
	CHECK_EQ(wait_now(ep, &ev, 1), 0);
	/* MOD looks again */
	CHECK(ctl(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 7) == 0);
	CHECK_EQ(wait_now(ep, &ev, 1), 1);
	CHECK_EQ(ev.data.u64, 7);
	close(ep);
	close(p[0]);
	close(p[1]);
}

static void one_shot_needs_rearming(void)
{
	int ep = epoll_create1(0), fd = eventfd(1, 0);
	struct epoll_event ev;

	CHECK(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT, 1) == 0);
	CHECK_EQ(wait_now(ep, &ev, 1), 1);
	CHECK_EQ(wait_now(ep, &ev, 1), 0);
	bump(fd);
	CHECK_EQ(wait_now(ep, &ev, 1), 0);
	CHECK(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 2) == 0);
	CHECK_EQ(wait_now(ep, &ev, 1), 1);
	CHECK_EQ(ev.data.u64, 2);
	close(fd);
	close(ep);
}

static void hang_up_is_always_told(void)
{
	int ep = epoll_create1(0), p[2];
	struct epoll_event ev;

	CHECK(pipe(p) == 0);
	CHECK(ctl(ep, EPOLL_CTL_ADD, p[0], 0, 5) == 0);
	CHECK_EQ(wait_now(ep, &ev, 1), 0);
	close(p[1]);
	CHECK_EQ(wait_now(ep, &ev, 1), 1);
	CHECK_EQ(ev.events, EPOLLHUP);
	CHECK(ctl(ep, EPOLL_CTL_DEL, p[0], 0, 0) == 0);
	CHECK_EQ(wait_now(ep, &ev, 1), 0);
	close(p[0]);
	close(ep);
}

static void rdhup_of_a_socket(void)
{
	int ep = epoll_create1(0), s[2];
	struct epoll_event ev;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	CHECK(ctl(ep, EPOLL_CTL_ADD, s[0], EPOLLIN | EPOLLRDHUP, 0) == 0);
	CHECK(shutdown(s[1], SHUT_WR) == 0);
	CHECK_EQ(wait_now(ep, &ev, 1), 1);
	CHECK_EQ(ev.events, EPOLLIN | EPOLLRDHUP);
	close(s[1]);
	CHECK_EQ(wait_now(ep, &ev, 1), 1);
	CHECK_EQ(ev.events, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
	close(s[0]);
	close(ep);
}

static void mod_changes_what_is_asked(void)
{
	int ep = epoll_create1(0), s[2];
	struct epoll_event ev;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	CHECK(ctl(ep, EPOLL_CTL_ADD, s[0], EPOLLIN, 1) == 0);
	CHECK_EQ(wait_now(ep, &ev, 1), 0);
	CHECK(ctl(ep, EPOLL_CTL_MOD, s[0], EPOLLOUT, 2) == 0);
	CHECK_EQ(wait_now(ep, &ev, 1), 1);
	CHECK_EQ(ev.events, EPOLLOUT);
	CHECK_EQ(ev.data.u64, 2);
	CHECK(ctl(ep, EPOLL_CTL_MOD, s[0], EPOLLIN | EPOLLOUT | EPOLLRDNORM, 3) == 0);
	CHECK_EQ(write(s[1], "x", 1), 1);
	CHECK_EQ(wait_now(ep, &ev, 1), 1);
	CHECK_EQ(ev.events, EPOLLIN | EPOLLOUT | EPOLLRDNORM);
	close(s[0]);
	close(s[1]);
	close(ep);
}

static void closing_the_last_descriptor_removes(void)
{
	int ep = epoll_create1(0), fd = eventfd(1, 0), copy = dup(fd);
	struct epoll_event ev;

	CHECK(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1) == 0);
	close(fd);
	CHECK_EQ(wait_now(ep, &ev, 1), 1); /* the description lives on */
	CHECK_ERR(ctl(ep, EPOLL_CTL_DEL, fd, 0, 0), EBADF);
	close(copy);
	CHECK_EQ(wait_now(ep, &ev, 1), 0);
	close(ep);
}

static void the_same_description_by_two_numbers(void)
{
	int ep = epoll_create1(0), fd = eventfd(1, 0), copy = dup(fd);
	struct epoll_event ev[4];

	CHECK(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1) == 0);
	CHECK(ctl(ep, EPOLL_CTL_ADD, copy, EPOLLIN, 2) == 0);
	CHECK_EQ(wait_now(ep, ev, 4), 2);
	CHECK_EQ(ev[0].data.u64 + ev[1].data.u64, 3);
	close(fd);
	close(copy);
	CHECK_EQ(wait_now(ep, ev, 4), 0);
	close(ep);
}

static void a_number_used_again_is_another_item(void)
{
	int ep = epoll_create1(0), fd = eventfd(1, 0), copy = dup(fd), other;
	struct epoll_event ev[4];

	CHECK(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1) == 0);
	close(fd);
	other = eventfd(1, 0);
	CHECK_EQ(other, fd);
	CHECK(ctl(ep, EPOLL_CTL_ADD, other, EPOLLIN, 2) == 0);
	CHECK_EQ(wait_now(ep, ev, 4), 2);
	CHECK(ctl(ep, EPOLL_CTL_DEL, other, 0, 0) == 0);
	CHECK_EQ(wait_now(ep, ev, 4), 1);
	CHECK_EQ(ev[0].data.u64, 1);
	close(copy);
	CHECK_EQ(wait_now(ep, ev, 4), 0);
	close(other);
	close(ep);
}

static void ready_ones_take_turns(void)
{
	int ep = epoll_create1(0), fds[4], seen = 0;
	struct epoll_event ev[2];

	for (int i = 0; i < 4; i++) {
		fds[i] = eventfd(1, 0);
		CHECK(ctl(ep, EPOLL_CTL_ADD, fds[i], EPOLLIN, (uint64_t)i) == 0);
	}
	for (int round = 0; round < 2; round++) {
		CHECK_EQ(wait_now(ep, ev, 2), 2);
		seen |= 1 << ev[0].data.u64 | 1 << ev[1].data.u64;
	}
	CHECK_EQ(seen, 15);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	close(ep);
}

static void one_inside_another(void)
{
	int inner = epoll_create1(0), outer = epoll_create1(0), fd = eventfd(0, 0);
	struct epoll_event ev;

	CHECK(ctl(inner, EPOLL_CTL_ADD, fd, EPOLLIN, 1) == 0);
	CHECK(ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 2) == 0);
	CHECK_EQ(wait_now(outer, &ev, 1), 0);
	bump(fd);
	CHECK_EQ(wait_now(outer, &ev, 1), 1);
	CHECK_EQ(ev.data.u64, 2);
	CHECK_EQ(wait_now(inner, &ev, 1), 1);
	drain(fd);
	CHECK_EQ(wait_now(outer, &ev, 1), 0);
	CHECK_ERR(ctl(inner, EPOLL_CTL_ADD, outer, EPOLLIN, 0), ELOOP);
	close(inner);
	CHECK_EQ(wait_now(outer, &ev, 1), 0);
	close(fd);
	close(outer);
}

static void nesting_has_a_limit(void)
{
	int ep[7];

	for (int i = 0; i < 7; i++)
		ep[i] = epoll_create1(0);
	/* A chain of five is the longest: built from its inner end. */
	for (int i = 1; i < 5; i++)
		CHECK(ctl(ep[i], EPOLL_CTL_ADD, ep[i - 1], EPOLLIN, 0) == 0);
	CHECK_ERR(ctl(ep[6], EPOLL_CTL_ADD, ep[4], EPOLLIN, 0) ||
	                  ctl(ep[5], EPOLL_CTL_ADD, ep[6], EPOLLIN, 0)
	                  ? -1
	                  : 0,
	          ELOOP);
	for (int i = 0; i < 7; i++)
		close(ep[i]);
}

static void exclusive_has_rules(void)
{
	int ep = epoll_create1(0), inner = epoll_create1(0), fd = eventfd(1, 0);
	struct epoll_event ev;

	CHECK_ERR(ctl(ep, EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLEXCLUSIVE, 0), EINVAL);
	CHECK_ERR(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE, 0),
	          EINVAL);
	CHECK(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, 3) == 0);
	CHECK_EQ(wait_now(ep, &ev, 1), 1);
	CHECK_ERR(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 0), EINVAL);
	CHECK_ERR(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLEXCLUSIVE, 0), EINVAL);
	CHECK(ctl(ep, EPOLL_CTL_DEL, fd, 0, 0) == 0);
	close(fd);
	close(inner);
	close(ep);
}

static void a_timeout_passes(void)
{
	int ep = epoll_create1(0);
	struct epoll_event ev;
	uint64_t begin = now_ns();

	CHECK_EQ(epoll_wait(ep, &ev, 1, 30), 0);
	CHECK(now_ns() - begin >= 30000000u);
	close(ep);
}

static void pwait2_takes_a_timespec(void)
{
	struct timespec ts = {0, 20000000}, bad = {0, 1000000000};
	int ep = epoll_create1(0);
	struct epoll_event ev;
	uint64_t begin = now_ns();

	CHECK_EQ(syscall(SYS_epoll_pwait2, ep, &ev, 1, &ts, NULL, 8), 0);
	CHECK(now_ns() - begin >= 20000000u);
	CHECK_ERR(syscall(SYS_epoll_pwait2, ep, &ev, 1, &bad, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_epoll_pwait2, ep, &ev, 1, BAD_PTR, NULL, 8), EFAULT);
	close(ep);
}

static volatile int g_signals;

static void on_signal(int sig)
{
	(void)sig;
	g_signals++;
}

static void *late_signal(void *arg)
{
	sleep_ms(30);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void a_signal_ends_it(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	int ep = epoll_create1(0);
	pthread_t me = pthread_self(), t;
	struct epoll_event ev;

	sigaction(SIGUSR1, &sa, NULL);
	CHECK(pthread_create(&t, NULL, late_signal, &me) == 0);
	CHECK_ERR(epoll_wait(ep, &ev, 1, -1), EINTR);
	pthread_join(t, NULL);
	close(ep);
}

static void pwait_opens_the_mask(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	int ep = epoll_create1(0);
	sigset_t block, open_set, now;
	struct epoll_event ev;

	sigaction(SIGUSR1, &sa, NULL);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, &open_set);
	g_signals = 0;
	raise(SIGUSR1);
	CHECK_EQ(epoll_pwait(ep, &ev, 1, 0, NULL), 0);
	CHECK_EQ(g_signals, 0);
	CHECK_ERR(epoll_pwait(ep, &ev, 1, 1000, &open_set), EINTR);
	CHECK_EQ(g_signals, 1);
	sigprocmask(SIG_SETMASK, &open_set, &now);
	CHECK(sigismember(&now, SIGUSR1));
	CHECK_ERR(syscall(SYS_epoll_pwait, ep, &ev, 1, 0, &open_set, 4), EINVAL);
	close(ep);
}

static void *late_bump(void *arg)
{
	sleep_ms(30);
	bump(*(int *)arg);
	return NULL;
}

static void a_waiter_is_woken(void)
{
	int ep = epoll_create1(0), fd = eventfd(0, 0);
	struct epoll_event ev;
	pthread_t t;

	CHECK(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 0) == 0);
	CHECK(pthread_create(&t, NULL, late_bump, &fd) == 0);
	CHECK_EQ(epoll_wait(ep, &ev, 1, -1), 1);
	pthread_join(t, NULL);
	close(fd);
	close(ep);
}

struct late_add {
	int ep, fd;
};

static void *late_ctl(void *arg)
{
	struct late_add *a = arg;

	sleep_ms(30);
	CHECK(ctl(a->ep, EPOLL_CTL_ADD, a->fd, EPOLLIN, 0) == 0);
	return NULL;
}

static void adding_wakes_a_waiter(void)
{
	struct late_add a = {epoll_create1(0), eventfd(1, 0)};
	struct epoll_event ev;
	pthread_t t;

	CHECK(pthread_create(&t, NULL, late_ctl, &a) == 0);
	CHECK_EQ(epoll_wait(a.ep, &ev, 1, -1), 1);
	pthread_join(t, NULL);
	close(a.fd);
	close(a.ep);
}

/* ---- many ---- */

#define MANY 2000

static void many_idle_few_ready(void)
{
	struct rlimit rl = {MANY + 100, MANY + 100};
	int ep = epoll_create1(0), n = 0, *fds = calloc(MANY, sizeof(int));
	struct epoll_event ev[64];

	(void)setrlimit(RLIMIT_NOFILE, &rl);
	for (; n < MANY; n++) {
		fds[n] = eventfd(0, 0);
		if (fds[n] < 0 || ctl(ep, EPOLL_CTL_ADD, fds[n], EPOLLIN, (uint64_t)n) != 0)
			break;
	}
	CHECK_EQ(n, MANY);
	for (int round = 0; round < 1000; round++) {
		uint64_t sum = 0;

		for (int i = 0; i < 10; i++)
			bump(fds[(round * 7 + i * 191) % n]);
		CHECK_EQ(wait_now(ep, ev, 64), 10);
		for (int i = 0; i < 10; i++) {
			sum += ev[i].data.u64;
			drain(fds[ev[i].data.u64]);
		}
		for (int i = 0; i < 10; i++)
			sum -= (uint64_t)((round * 7 + i * 191) % n);
		CHECK_EQ(sum, 0);
		CHECK_EQ(wait_now(ep, ev, 64), 0);
	}
	while (n > 0)
		close(fds[--n]);
	free(fds);
	close(ep);
}

/* Tokens travel through pipes; several threads wait in one epoll and pass them on.  If a
 * wake-up is lost, all stands still. */
#define PIPES 8
#define THREADS 3
#define HOPS 30000

static int g_ep, g_pipe[PIPES][2];
static volatile int g_hops;

static void *carrier(void *arg)
{
	uint32_t mode = *(uint32_t *)arg;
	struct epoll_event ev[2];

	for (;;) {
		int n = epoll_wait(g_ep, ev, 2, -1);

		for (int i = 0; i < n; i++) {
			unsigned at = (unsigned)ev[i].data.u64;
			char c;

			while (read(g_pipe[at][0], &c, 1) == 1) {
				if (__atomic_add_fetch(&g_hops, 1, __ATOMIC_RELAXED) >= HOPS) {
					/* The end: pass it on to the others. */
					(void)!write(g_pipe[at][1], &c, 1);
					if (mode & EPOLLONESHOT)
						CHECK(ctl(g_ep, EPOLL_CTL_MOD,
						          g_pipe[at][0], mode, at) == 0);
					return NULL;
				}
				CHECK(write(g_pipe[(at + 1) % PIPES][1], &c, 1) == 1);
			}
			if (mode & EPOLLONESHOT)
				CHECK(ctl(g_ep, EPOLL_CTL_MOD, g_pipe[at][0], mode, at) == 0);
		}
	}
}

static void tokens(uint32_t mode)
{
	pthread_t t[THREADS];

	g_hops = 0;
	g_ep = epoll_create1(0);
	for (unsigned i = 0; i < PIPES; i++) {
		CHECK(pipe(g_pipe[i]) == 0);
		CHECK(fcntl(g_pipe[i][0], F_SETFL, O_NONBLOCK) == 0);
		CHECK(ctl(g_ep, EPOLL_CTL_ADD, g_pipe[i][0], mode, i) == 0);
	}
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, carrier, &mode) == 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(write(g_pipe[i * 3][1], "t", 1), 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < PIPES; i++) {
		close(g_pipe[i][0]);
		close(g_pipe[i][1]);
	}
	close(g_ep);
}

static void tokens_by_level(void)
{
	tokens(EPOLLIN);
}

static void tokens_by_edge(void)
{
	tokens(EPOLLIN | EPOLLET);
}

static void tokens_by_one_shot(void)
{
	tokens(EPOLLIN | EPOLLET | EPOLLONESHOT);
}

/* Descriptors come and go while others wait and add. */
static void *churn(void *arg)
{
	int ep = *(int *)arg;

	for (int i = 0; i < 5000; i++) {
		int fd = eventfd(i & 1, 0);

		CHECK(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | (i & 2 ? (uint32_t)EPOLLET : 0),
		          (uint64_t)fd) == 0);
		if (i & 4)
			CHECK(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT, 0) == 0);
		if (i & 8)
			CHECK(ctl(ep, EPOLL_CTL_DEL, fd, 0, 0) == 0);
		close(fd);
	}
	return NULL;
}

static volatile int g_stop;

static void *looker(void *arg)
{
	struct epoll_event ev[8];

	while (!g_stop)
		CHECK(epoll_wait(*(int *)arg, ev, 8, 1) >= 0);
	return NULL;
}

static void coming_and_going(void)
{
	int ep = epoll_create1(0), outer = epoll_create1(0);
	pthread_t t[2], l;
	struct epoll_event ev;

	CHECK(ctl(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 0) == 0);
	g_stop = 0;
	CHECK(pthread_create(&l, NULL, looker, &outer) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, churn, &ep) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	g_stop = 1;
	pthread_join(l, NULL);
	CHECK_EQ(wait_now(ep, &ev, 1), 0);
	close(ep);
	close(outer);
}

int main(void)
{
	watchdog(45);
	CASE(bad_arguments);
	CASE(files_give_eperm);
	CASE(level_repeats);
	CASE(edge_tells_once);
	CASE(one_shot_needs_rearming);
	CASE(hang_up_is_always_told);
	CASE(rdhup_of_a_socket);
	CASE(mod_changes_what_is_asked);
	CASE(closing_the_last_descriptor_removes);
	CASE(the_same_description_by_two_numbers);
	CASE(a_number_used_again_is_another_item);
	CASE(ready_ones_take_turns);
	CASE(one_inside_another);
	CASE(nesting_has_a_limit);
	CASE(exclusive_has_rules);
	CASE(a_timeout_passes);
	CASE(pwait2_takes_a_timespec);
	CASE(a_signal_ends_it);
	CASE(pwait_opens_the_mask);
	CASE(a_waiter_is_woken);
	CASE(adding_wakes_a_waiter);
	CASE(many_idle_few_ready);
	CASE(tokens_by_level);
	CASE(tokens_by_edge);
	CASE(tokens_by_one_shot);
	CASE(coming_and_going);
	return g_failed;
}
