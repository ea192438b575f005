/* SPDX-License-Identifier: MIT */
/* Pipes, wait queues and epoll under the sanitizers: the same calls that the conformance
 * programs make, from threads of one process. */
#include "tests/testlib/testlib.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static int ctl(int ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return (int)SYS(SYS_epoll_ctl, ep, op, fd, &ev);
}

static void close_all(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		CU_ASSERT_EQUAL(SYS(SYS_close, fds[i]), 0);
}

/* ---- one thread: a pipe against a model ---- */

static void a_pipe_agrees_with_a_model(void)
{
	static unsigned char out[70000], in[70000];
	unsigned char next_in = 0, next_out = 0;
	unsigned seed = 5;
	size_t held = 0;
	int p[2];

	CU_ASSERT_EQUAL_FATAL(SYS(SYS_pipe2, p, O_NONBLOCK), 0);
	for (int step = 0; step < 3000; step++) {
		size_t n = (size_t)rand_r(&seed) % (step % 7 ? 3000 : 70000);
		long r, want;

		if (rand_r(&seed) % 2) {
			for (size_t i = 0; i < n; i++)
				out[i] = (unsigned char)(next_in + i);
			r = SYS(SYS_write, p[1], out, n);
			want = (long)n;
			if (held + n > 65536 && n > 0)
				want = n <= 4096 || held == 65536 ? -EAGAIN
				                                  : (long)(65536 - held);
			CU_ASSERT_EQUAL(r, want);
			if (r > 0) {
				held += (size_t)r;
				next_in = (unsigned char)(next_in + r);
			}
			continue;
		}
		r = SYS(SYS_read, p[0], in, n);
		want = n < held ? (long)n : (long)held;
		if (held == 0 && n > 0)
			want = -EAGAIN;
		CU_ASSERT_EQUAL(r, want);
		for (long i = 0; i < r; i++)
			CU_ASSERT_EQUAL_FATAL(in[i], (unsigned char)(next_out + i));
		if (r > 0) {
			held -= (size_t)r;
			next_out = (unsigned char)(next_out + r);
		}
	}
	close_all(p, 2);
}

/* ---- many threads ---- */

#define HOPS 4000
#define PIPES 6
#define THREADS 3

static int g_ep, g_pipe[PIPES][2];
static _Atomic int g_hops;
static uint32_t g_mode;

static void pass_on(unsigned at)
{
	char c;

	while (SYS(SYS_read, g_pipe[at][0], &c, 1) == 1) {
		unsigned to = g_hops++ < HOPS ? (at + 1) % PIPES : at;

		(void)SYS(SYS_write, g_pipe[to][1], &c, 1);
		if (to == at)
			break;
	}
	if (g_mode & EPOLLONESHOT)
		(void)ctl(g_ep, EPOLL_CTL_MOD, g_pipe[at][0], g_mode, at);
}

static void *carrier(void *arg)
{
	struct epoll_event ev[2];

	while (g_hops < HOPS) {
		long n = SYS(SYS_epoll_wait, g_ep, ev, 2, 5000);

		if (n == 0)
			return arg; /* all stands still: a wake-up was lost */
		for (long i = 0; i < n; i++)
			pass_on((unsigned)ev[i].data.u64);
	}
	return NULL;
}

static void tokens(uint32_t mode)
{
	pthread_t t[THREADS];
	void *r;

	g_hops = 0;
	g_mode = mode;
	g_ep = (int)SYS(SYS_epoll_create1, 0);
	for (unsigned i = 0; i < PIPES; i++) {
		CU_ASSERT_EQUAL_FATAL(SYS(SYS_pipe2, g_pipe[i], O_NONBLOCK), 0);
		CU_ASSERT_EQUAL(ctl(g_ep, EPOLL_CTL_ADD, g_pipe[i][0], mode, i), 0);
	}
	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(testlib_thread(&t[i], carrier, &g_ep), 0);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(SYS(SYS_write, g_pipe[i * 2][1], "t", 1), 1);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], &r);
		CU_ASSERT_PTR_NULL(r);
	}
	for (int i = 0; i < PIPES; i++)
		close_all(g_pipe[i], 2);
	close_all(&g_ep, 1);
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
	tokens(EPOLLIN | EPOLLONESHOT);
}

static void *echo(void *arg)
{
	const int *fds = arg;
	struct pollfd p = {.fd = fds[0], .events = POLLIN};
	char c;

	for (;;) {
		if (SYS(SYS_poll, &p, 1, 5000) != 1)
			return arg;
		if (SYS(SYS_read, fds[0], &c, 1) != 1)
			return NULL;
		if (SYS(SYS_write, fds[1], &c, 1) != 1)
			return arg;
	}
}

static void polls_pass_a_token(void)
{
	int a[2], b[2], fds[2];
	pthread_t t;
	void *r;
	char c = 0;

	CU_ASSERT_EQUAL_FATAL(SYS(SYS_pipe2, a, 0), 0);
	CU_ASSERT_EQUAL_FATAL(SYS(SYS_pipe2, b, 0), 0);
	fds[0] = a[0];
	fds[1] = b[1];
	CU_ASSERT_EQUAL_FATAL(testlib_thread(&t, echo, fds), 0);
	for (int i = 0; i < 2000; i++) {
		CU_ASSERT_EQUAL_FATAL(SYS(SYS_write, a[1], &c, 1), 1);
		CU_ASSERT_EQUAL_FATAL(SYS(SYS_read, b[0], &c, 1), 1);
	}
	close_all(&a[1], 1);
	pthread_join(t, &r);
	CU_ASSERT_PTR_NULL(r);
	close_all(&a[0], 1);
	close_all(b, 2);
}

static _Atomic bool g_done;

static void *churn(void *arg)
{
	const int ep = *(int *)arg;

	for (int i = 0; i < 3000; i++) {
		const int fd = (int)SYS(SYS_eventfd2, i & 1, 0);

		if (ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, (uint64_t)fd) != 0)
			return arg;
		if (i & 2)
			(void)ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT, 0);
		if (i & 4)
			(void)ctl(ep, EPOLL_CTL_DEL, fd, 0, 0);
		(void)SYS(SYS_close, fd);
	}
	return NULL;
}

static void *look(void *arg)
{
	struct epoll_event ev[4];

	while (!g_done)
		(void)SYS(SYS_epoll_wait, *(int *)arg, ev, 4, 1);
	return NULL;
}

/* Epolls that end while their targets end. */
static void *ends(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1500; i++) {
		const int ep = (int)SYS(SYS_epoll_create1, 0);
		int p[2];

		(void)SYS(SYS_pipe2, p, 0);
		(void)ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 0);
		(void)ctl(ep, EPOLL_CTL_ADD, p[1], EPOLLIN, 0);
		(void)ctl(*(int *)arg, EPOLL_CTL_ADD, ep, EPOLLIN, 0);
		(void)SYS(SYS_write, p[1], "x", 1);
		(void)SYS(SYS_close, i & 1 ? ep : p[0]);
		(void)SYS(SYS_close, p[1]);
		(void)SYS(SYS_close, i & 1 ? p[0] : ep);
	}
	return NULL;
}

static void things_come_and_go(void)
{
	int ep = (int)SYS(SYS_epoll_create1, 0), outer = (int)SYS(SYS_epoll_create1, 0);
	pthread_t c[2], e[2], l[2];
	struct epoll_event ev;
	void *r;

	CU_ASSERT_EQUAL(ctl(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 0), 0);
	g_done = false;
	CU_ASSERT_EQUAL_FATAL(testlib_thread(&l[0], look, &ep), 0);
	CU_ASSERT_EQUAL_FATAL(testlib_thread(&l[1], look, &outer), 0);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(testlib_thread(&c[i], churn, &ep), 0);
		CU_ASSERT_EQUAL_FATAL(testlib_thread(&e[i], ends, &outer), 0);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(c[i], &r);
		CU_ASSERT_PTR_NULL(r);
		pthread_join(e[i], &r);
	}
	g_done = true;
	for (int i = 0; i < 2; i++)
		pthread_join(l[i], NULL);
	CU_ASSERT_EQUAL(SYS(SYS_epoll_wait, ep, &ev, 1, 0), 0);
	close_all(&ep, 1);
	close_all(&outer, 1);
}

static void *talk(void *arg)
{
	const int fd = *(int *)arg;
	char buf[3000];

	memset(buf, 1, sizeof(buf));
	for (int i = 0; i < 2000; i++) {
		if (SYS(SYS_write, fd, buf, 1 + i % (int)sizeof(buf)) < 0)
			return arg;
	}
	(void)SYS(SYS_shutdown, fd, SHUT_WR);
	return NULL;
}

static void sockets_stream(void)
{
	size_t want = 0, got = 0;
	pthread_t t;
	char buf[5000];
	int s[2];
	long r;
	void *bad;

	CU_ASSERT_EQUAL_FATAL(SYS(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, s), 0);
	CU_ASSERT_EQUAL_FATAL(testlib_thread(&t, talk, &s[0]), 0);
	for (int i = 0; i < 2000; i++)
		want += 1 + (size_t)i % 3000;
	while ((r = SYS(SYS_read, s[1], buf, sizeof(buf))) > 0)
		got += (size_t)r;
	CU_ASSERT_EQUAL(r, 0);
	CU_ASSERT_EQUAL(got, want);
	pthread_join(t, &bad);
	CU_ASSERT_PTR_NULL(bad);
	close_all(s, 2);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(a_pipe_agrees_with_a_model),
		TEST(tokens_by_level),
		TEST(tokens_by_edge),
		TEST(tokens_by_one_shot),
		TEST(polls_pass_a_token),
		TEST(things_come_and_go),
		TEST(sockets_stream),
		CU_TEST_INFO_NULL,
	};

	testlib_start(NULL);
	return suite_run("pipe and epoll", NULL, NULL, tests);
}
