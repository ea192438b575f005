/* SPDX-License-Identifier: MIT */
/* test_sys_net_block.c - waits of socket calls: signals, SA_RESTART, time limits. */
#include "tests/sys/net_test.h"

#include <sys/time.h>

static volatile int g_hits;
static pthread_t g_main;

static void on_usr1(int sig)
{
	(void)sig;
	g_hits++;
}

static void handler(int flags)
{
	struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = flags};

	g_hits = 0;
	sigaction(SIGUSR1, &sa, NULL);
}

/* Signals the main thread, a second later again: its call may not have waited yet.  That
 * must not be so often (main()), or it was a signal that went lost. */
struct poke {
	pthread_t thread;
	int fd;   /* after three signals send on it; -1: signal until quiet() */
	int sent;
	volatile int done;
};

static struct poke g_poke;
static int g_repeats;

static void poke_once(struct poke *p)
{
	sleep_ms(60);
	pthread_kill(g_main, SIGUSR1);
	p->sent++;
	while (g_hits < p->sent)
		sleep_ms(1);
}

static void *poke(void *arg)
{
	struct poke *p = arg;

	while (p->fd < 0 && !p->done) {
		g_repeats += p->sent > 0;
		poke_once(p);
		for (int i = 0; i < 200 && !p->done; i++)
			sleep_ms(5);
	}
	if (p->fd >= 0) {
		for (int i = 0; i < 3; i++)
			poke_once(p);
		sleep_ms(60);
		CHECK_EQ(send(p->fd, "x", 1, 0), 1);
	}
	return NULL;
}

static void signals_come(int flags, int fd)
{
	handler(flags);
	g_poke = (struct poke){.fd = fd};
	CHECK_EQ(pthread_create(&g_poke.thread, NULL, poke, &g_poke), 0);
}

/* No more of them; each ran the handler once. */
static void quiet(void)
{
	g_poke.done = 1;
	pthread_join(g_poke.thread, NULL);
	CHECK(g_hits >= 1);
	CHECK_EQ(g_hits, g_poke.sent);
}

/* Until @n bytes can be read. */
static void arrived(int fd, long n)
{
	char buf[8];

	while (recv(fd, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT) < n)
		sleep_ms(1);
}

static void set_timeout(int fd, int name, long ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv)), 0);
}

static void a_signal_ends_recv_with_eintr(void)
{
	char c;
	int sv[2];

	tcp_pair(sv);
	signals_come(0, -1);
	CHECK_ERR(recv(sv[0], &c, 1, 0), EINTR);
	quiet();
	close(sv[0]);
	close(sv[1]);
}

static void sa_restart_makes_recv_wait_on(void)
{
	char c;
	int sv[2];

	tcp_pair(sv);
	signals_come(SA_RESTART, sv[1]);
	CHECK_EQ(recv(sv[0], &c, 1, 0), 1);
	quiet();
	close(sv[0]);
	close(sv[1]);
}

static void with_a_time_limit_sa_restart_does_not_help(void)
{
	char c;
	int sv[2];

	tcp_pair(sv);
	set_timeout(sv[0], SO_RCVTIMEO, 5000);
	signals_come(SA_RESTART, -1);
	CHECK_ERR(recv(sv[0], &c, 1, 0), EINTR);
	quiet();
	close(sv[0]);
	close(sv[1]);
}

static void a_signal_ends_accept_with_eintr(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 1);

	signals_come(0, -1);
	CHECK_ERR(accept(l, NULL, NULL), EINTR);
	quiet();
	close(l);
}

static void a_signal_ends_udp_recv_with_eintr(void)
{
	struct sockaddr_in a;
	char c;
	int fd = bound4(SOCK_DGRAM, &a);

	signals_come(0, -1);
	CHECK_ERR(recv(fd, &c, 1, 0), EINTR);
	quiet();
	close(fd);
}

static void waitall_gives_what_came_before_the_signal(void)
{
	char buf[8];
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(send(sv[1], "abc", 3, 0), 3);
	arrived(sv[0], 3);
	signals_come(0, -1);
	CHECK_EQ(recv(sv[0], buf, 8, MSG_WAITALL), 3);
	quiet();
	close(sv[0]);
	close(sv[1]);
}

static void receive_time_limit_gives_eagain(void)
{
	struct sockaddr_in a;
	struct timeval tv;
	socklen_t len = sizeof(tv);
	uint64_t t0;
	char buf[8];
	int sv[2], u = bound4(SOCK_DGRAM, &a), l = listener4(&a, 1);

	tcp_pair(sv);
	set_timeout(sv[0], SO_RCVTIMEO, 80);
	CHECK_EQ(getsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, &len), 0);
	CHECK_EQ(tv.tv_sec * 1000000 + tv.tv_usec, 80000);
	t0 = now_ns();
	CHECK_ERR(recv(sv[0], buf, 8, 0), EAGAIN);
	CHECK(now_ns() - t0 >= 70000000);
	CHECK_EQ(send(sv[1], "abc", 3, 0), 3);
	arrived(sv[0], 3);
	CHECK_EQ(recv(sv[0], buf, 8, MSG_WAITALL), 3);
	set_timeout(u, SO_RCVTIMEO, 50);
	CHECK_ERR(recv(u, buf, 8, 0), EAGAIN);
	set_timeout(l, SO_RCVTIMEO, 50);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	tv = (struct timeval){0, 1000000};
	CHECK_ERR(setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), EDOM);
	CHECK_ERR(setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &tv, 4), EINVAL);
	close(sv[0]);
	close(sv[1]);
	close(u);
	close(l);
}

/* Fill a connection until nothing more is taken. */
static void fill(int fd)
{
	static char buf[65536];
	int idle = 0;

	while (idle < 60) {
		if (send(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0) {
			idle = 0;
			continue;
		}
		idle++;
		sleep_ms(5);
	}
}

static void send_time_limit_gives_eagain(void)
{
	static char buf[65536];
	uint64_t t0;
	int sv[2];

	tcp_pair(sv);
	set_timeout(sv[0], SO_SNDTIMEO, 80);
	fill(sv[0]);
	CHECK_EQ(ready_now(sv[0], POLLOUT), 0);
	t0 = now_ns();
	CHECK_ERR(send(sv[0], buf, sizeof(buf), 0), EAGAIN);
	CHECK(now_ns() - t0 >= 70000000);
	close(sv[0]);
	close(sv[1]);
}

static void a_signal_ends_send_with_eintr(void)
{
	static char buf[65536];
	int sv[2];

	tcp_pair(sv);
	fill(sv[0]);
	signals_come(0, -1);
	CHECK_ERR(send(sv[0], buf, sizeof(buf), 0), EINTR);
	quiet();
	close(sv[0]);
	close(sv[1]);
}

static void *shut_later(void *arg)
{
	sleep_ms(60);
	CHECK_EQ(shutdown(*(int *)arg, SHUT_RDWR), 0);
	return NULL;
}

static void shutdown_wakes_who_waits(void)
{
	struct sockaddr_in a;
	pthread_t t;
	char c;
	int sv[2], l = listener4(&a, 1);

	tcp_pair(sv);
	pthread_create(&t, NULL, shut_later, &sv[0]);
	CHECK_EQ(recv(sv[0], &c, 1, 0), 0);
	pthread_join(t, NULL);
	pthread_create(&t, NULL, shut_later, &l);
	CHECK_ERR(accept(l, NULL, NULL), EINVAL);
	pthread_join(t, NULL);
	close(sv[0]);
	close(sv[1]);
	close(l);
}

int main(void)
{
	watchdog(40);
	g_main = pthread_self();
	CASE(a_signal_ends_recv_with_eintr);
	CASE(sa_restart_makes_recv_wait_on);
	CASE(with_a_time_limit_sa_restart_does_not_help);
	CASE(a_signal_ends_accept_with_eintr);
	CASE(a_signal_ends_udp_recv_with_eintr);
	CASE(waitall_gives_what_came_before_the_signal);
	CASE(receive_time_limit_gives_eagain);
	CASE(send_time_limit_gives_eagain);
	CASE(a_signal_ends_send_with_eintr);
	CASE(shutdown_wakes_who_waits);
	CHECK(g_repeats <= 2);
	return g_failed;
}
