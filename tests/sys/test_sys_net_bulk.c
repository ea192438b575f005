/* SPDX-License-Identifier: MIT */
/* test_sys_net_bulk.c - much data both ways at once; a thousand connections at once. */
#include "tests/sys/net_test.h"

#include <sys/epoll.h>
#include <sys/resource.h>

#define TOTAL (64u << 20)
#define N_CONNS 1000

struct way {
	int fd;
	unsigned seed;
	uint64_t sum;
	size_t moved;
};

static uint64_t sum_of(uint64_t sum, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum = (sum ^ p[i]) * 0x100000001b3u;
	return sum;
}

static void *sender(void *arg)
{
	struct way *w = arg;
	unsigned char *buf = malloc(100000);

	for (unsigned round = 0; w->moved < TOTAL; round++) {
		size_t n = 1 + (round * 7919u + w->seed) % 100000, done = 0;

		if (n > TOTAL - w->moved)
			n = TOTAL - w->moved;
		for (size_t i = 0; i < n; i++)
			buf[i] = (unsigned char)((w->moved + i) * 31 + (i >> 8) +
			                         w->seed);
		w->sum = sum_of(w->sum, buf, n);
		while (done < n) {
			long r = send(w->fd, buf + done, n - done, 0);

			CHECK(r > 0);
			if (r <= 0)
				return NULL;
			done += (size_t)r;
		}
		w->moved += n;
	}
	CHECK_EQ(shutdown(w->fd, SHUT_WR), 0);
	free(buf);
	return NULL;
}

static void *receiver(void *arg)
{
	struct way *w = arg;
	unsigned char *buf = malloc(70000);

	for (unsigned round = 0;; round++) {
		long r = recv(w->fd, buf, 1 + (round * 104729u) % 70000, 0);

		CHECK(r >= 0);
		if (r <= 0)
			break;
		w->sum = sum_of(w->sum, buf, (size_t)r);
		w->moved += (size_t)r;
	}
	free(buf);
	return NULL;
}

static void sixty_four_megabytes_both_ways(void)
{
	struct way w[4] = {0};
	pthread_t t[4];
	int sv[2];

	tcp_pair(sv);
	for (int i = 0; i < 4; i++) {
		w[i].fd = sv[i / 2 ^ (i & 1)];
		w[i].seed = (unsigned)i / 2 * 17 + 1;
	}
	/* 0: out of sv[0], 1: into sv[1], 2: out of sv[1], 3: into sv[0] */
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, i & 1 ? receiver : sender, &w[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(w[i].moved, TOTAL);
	CHECK_EQ(w[0].sum, w[1].sum);
	CHECK_EQ(w[2].sum, w[3].sum);
	CHECK(w[0].sum != w[2].sum);
	close(sv[0]);
	close(sv[1]);
}

static void a_thousand_connections_at_once(void)
{
	static int c[N_CONNS], s[N_CONNS];
	struct rlimit lim = {4096, 4096};
	struct epoll_event e[64];
	struct sockaddr_in a;
	int l, ep = epoll_create1(0), answered = 0;

	setrlimit(RLIMIT_NOFILE, &lim);
	l = listener4(&a, 128);
	for (int i = 0; i < N_CONNS; i++) {
		c[i] = socket(AF_INET, SOCK_STREAM, 0);
		CHECK_EQ(connect(c[i], SA(&a), sizeof(a)), 0);
		s[i] = accept(l, NULL, NULL);
		CHECK(s[i] >= 0);
		e[0] = (struct epoll_event){.events = EPOLLIN, .data.u32 = (unsigned)i};
		CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, s[i], &e[0]), 0);
	}
	for (int i = 0; i < N_CONNS; i++)
		CHECK_EQ(send(c[i], &i, sizeof(i), 0), sizeof(i));
	while (answered < N_CONNS) {
		int n = epoll_wait(ep, e, 64, 5000);

		CHECK(n > 0);
		if (n <= 0)
			break;
		for (int k = 0; k < n; k++) {
			const int i = (int)e[k].data.u32;
			int v = -1;

			CHECK_EQ(recv(s[i], &v, sizeof(v), MSG_DONTWAIT), sizeof(v));
			CHECK_EQ(v, i);
			v = -v;
			CHECK_EQ(send(s[i], &v, sizeof(v), 0), sizeof(v));
			answered++;
		}
	}
	for (int i = 0; i < N_CONNS; i++) {
		int v = 1;

		CHECK_EQ(recv(c[i], &v, sizeof(v), MSG_WAITALL), sizeof(v));
		CHECK_EQ(v, -i);
		close(i & 1 ? c[i] : s[i]);
	}
	for (int i = 0; i < N_CONNS; i++)
		close(i & 1 ? s[i] : c[i]);
	close(ep);
	close(l);
}

#define N_THREADS 8
#define ROUNDS 200

static void *echo(void *arg)
{
	char buf[64];
	long n;

	while ((n = recv(*(int *)arg, buf, sizeof(buf), 0)) > 0)
		CHECK_EQ(send(*(int *)arg, buf, (size_t)n, 0), n);
	return NULL;
}

static void *ask(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		int v = -1;

		CHECK_EQ(send(*(int *)arg, &i, sizeof(i), 0), sizeof(i));
		CHECK_EQ(recv(*(int *)arg, &v, sizeof(v), MSG_WAITALL), sizeof(v));
		CHECK_EQ(v, i);
	}
	shutdown(*(int *)arg, SHUT_WR);
	return NULL;
}

static void threads_talk_over_connections_of_their_own(void)
{
	pthread_t t[2 * N_THREADS];
	int sv[N_THREADS][2];

	for (int i = 0; i < N_THREADS; i++) {
		tcp_pair(sv[i]);
		pthread_create(&t[2 * i], NULL, ask, &sv[i][0]);
		pthread_create(&t[2 * i + 1], NULL, echo, &sv[i][1]);
	}
	for (int i = 0; i < 2 * N_THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < N_THREADS; i++) {
		close(sv[i][0]);
		close(sv[i][1]);
	}
}

int main(void)
{
	watchdog(45);
	CASE(sixty_four_megabytes_both_ways);
	CASE(a_thousand_connections_at_once);
	CASE(threads_talk_over_connections_of_their_own);
	return g_failed;
}
