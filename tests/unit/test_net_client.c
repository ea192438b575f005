/* SPDX-License-Identifier: MIT */
/*
 * The net client (libos/net*.c) as a library, in front of a real netd on its loop
 * link: for the sanitizers.  What the calls mean is tested by tests/sys/test_sys_net_*.
 */
#include "libos/net.h"
#include "tests/testlib/testlib.h"
#include "tests/unit/supervisor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *g_netd;
static unsigned g_bad;

static bool start_all(void)
{
	static struct plat_config config = {.cwd = "/", .client_id = "net-client-test"};
	Control__Configure conf = CONTROL__CONFIGURE__INIT;
	Control__NetConfig net = CONTROL__NET_CONFIG__INIT;

	net.stack = bytes("lwip", 4);
	net.link = bytes("loop", 4);
	conf.net = &net;
	return supervisor_start(g_netd, "netd", &conf, NULL, 0) &&
	       supervisor_guest(&config, &config.net) && rpc_up(&g_net_chan);
}

static void stop_all(void)
{
	EQ(supervisor_stop(), 0);
}

/* ---- sockets ---- */

static long listener(struct sockaddr_in *a)
{
	long fd = SYS(SYS_socket, AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(*a);

	*a = (struct sockaddr_in){.sin_family = AF_INET,
	                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	EQ(SYS(SYS_bind, fd, a, sizeof(*a)), 0);
	EQ(SYS(SYS_listen, fd, 64), 0);
	EQ(SYS(SYS_getsockname, fd, a, &len), 0);
	return fd;
}

static void pair(long sv[2])
{
	struct sockaddr_in a;
	long l = listener(&a);

	sv[0] = SYS(SYS_socket, AF_INET, SOCK_STREAM, 0);
	EQ(SYS(SYS_connect, sv[0], &a, sizeof(a)), 0);
	sv[1] = SYS(SYS_accept4, l, NULL, NULL, 0);
	CU_ASSERT(sv[1] >= 0);
	EQ(SYS(SYS_close, l), 0);
}

#define TOTAL (4u << 20)

static void *send_all(void *arg)
{
	const long fd = *(long *)arg;
	uint8_t buf[5000];
	size_t sent = 0;

	while (sent < TOTAL) {
		size_t n = sizeof(buf) < TOTAL - sent ? sizeof(buf) : TOTAL - sent;
		long r;

		for (size_t i = 0; i < n; i++)
			buf[i] = (uint8_t)((sent + i) * 13 >> 3);
		r = SYS(SYS_sendto, fd, buf, n, MSG_NOSIGNAL);
		if (r <= 0)
			break;
		sent += (size_t)r;
	}
	EQ(sent, TOTAL);
	EQ(SYS(SYS_shutdown, fd, SHUT_WR), 0);
	return NULL;
}

static void *receive_all(void *arg)
{
	const long fd = *(long *)arg;
	uint8_t buf[7001];
	size_t got = 0, wrong = 0;
	long r;

	while ((r = SYS(SYS_recvfrom, fd, buf, sizeof(buf))) > 0) {
		for (size_t i = 0; i < (size_t)r; i++)
			wrong += buf[i] != (uint8_t)((got + i) * 13 >> 3);
		got += (size_t)r;
	}
	EQ(r, 0);
	EQ(got, TOTAL);
	EQ(wrong, 0);
	return NULL;
}

static void a_stream_flows_both_ways_at_once(void)
{
	const int64_t promised = stream_promised();
	pthread_t t[4];
	long sv[2];

	pair(sv);
	for (int i = 0; i < 4; i++)
		EQ(testlib_thread(&t[i], i & 1 ? receive_all : send_all,
		                  &sv[(i / 2) ^ (i & 1)]),
		   0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CU_ASSERT(stream_promised() > promised); /* windows have grown */
	EQ(SYS(SYS_close, sv[0]), 0);
	EQ(SYS(SYS_close, sv[1]), 0);
}

static void pools_are_empty_after_the_last_close(void)
{
	EQ(pool_used(&g_net_blocks), 0);
	EQ(pool_used(&g_net_dgrams), 0);
	EQ(pool_used(&g_net_opts), 0);
	EQ(stream_promised(), 0);
}

/* ---- everything beside everything ---- */

#define THREADS 6
#define ROUNDS 150

/* Any of these may come when another thread resets, closes or drains. */
static void allow(long r, const char *what)
{
	static const int errs[] = {EAGAIN,       ECONNRESET, EPIPE, ENOTCONN,
	                           ECONNREFUSED, EBADF,      0};

	for (const int *e = errs; r < 0 && *e; e++) {
		if (r == -*e)
			return;
	}
	if (r >= 0)
		return;
	fprintf(stderr, "%s gives %ld\n", what, r);
	__atomic_add_fetch(&g_bad, 1, __ATOMIC_RELAXED);
}

static long g_udp, g_tcp[2], g_ep;
static struct sockaddr_in g_udp_name;

static void one_call(unsigned *seed)
{
	char buf[3000] = "data";
	const long fd = g_tcp[rand_r(seed) & 1];
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};
	struct pollfd p = {.fd = (int)fd, .events = POLLIN};
	const size_t n = (size_t)rand_r(seed) % sizeof(buf);
	int v = 1;

	switch (rand_r(seed) % 9) {
	case 0:
		allow(SYS(SYS_sendto, g_udp, buf, n, 0, &g_udp_name,
		          sizeof(g_udp_name)),
		      "udp");
		break;
	case 1:
		allow(SYS(SYS_recvfrom, g_udp, buf, n, MSG_DONTWAIT), "udp recv");
		break;
	case 2:
	case 3:
		allow(SYS(SYS_sendto, fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL), "send");
		break;
	case 4:
	case 5:
		allow(SYS(SYS_recvfrom, fd, buf, n,
		          MSG_DONTWAIT | (n & 1 ? MSG_PEEK : 0)),
		      "recv");
		break;
	case 6:
		allow(SYS(SYS_setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)),
		      "option");
		break;
	case 7:
		allow(SYS(SYS_epoll_wait, g_ep, &e, 1, 1), "epoll_wait");
		break;
	default:
		allow(SYS(SYS_poll, &p, 1, 1), "poll");
	}
}

static void *hammer(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		long sv[2];

		one_call(&seed);
		if (i % 10)
			continue;
		pair(sv);
		allow(SYS(SYS_sendto, sv[0], "x", 1, MSG_NOSIGNAL), "send");
		EQ(SYS(SYS_close, sv[i / 10 & 1]), 0);
		allow(SYS(SYS_recvfrom, sv[!(i / 10 & 1)], &seed, 1), "recv");
		EQ(SYS(SYS_close, sv[!(i / 10 & 1)]), 0);
	}
	return NULL;
}

static void threads_do_all_at_once(void)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};
	socklen_t len = sizeof(g_udp_name);
	pthread_t t[THREADS];

	g_udp = SYS(SYS_socket, AF_INET, SOCK_DGRAM, 0);
	g_udp_name = (struct sockaddr_in){.sin_family = AF_INET,
	                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	EQ(SYS(SYS_bind, g_udp, &g_udp_name, sizeof(g_udp_name)), 0);
	EQ(SYS(SYS_getsockname, g_udp, &g_udp_name, &len), 0);
	pair(g_tcp);
	g_ep = SYS(SYS_epoll_create1, 0);
	EQ(SYS(SYS_epoll_ctl, g_ep, EPOLL_CTL_ADD, g_tcp[0], &e), 0);
	EQ(SYS(SYS_epoll_ctl, g_ep, EPOLL_CTL_ADD, g_udp, &e), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		EQ(testlib_thread(&t[i], hammer, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	EQ(g_bad, 0);
	EQ(SYS(SYS_close, g_ep), 0);
	EQ(SYS(SYS_close, g_udp), 0);
	EQ(SYS(SYS_close, g_tcp[0]), 0);
	EQ(SYS(SYS_close, g_tcp[1]), 0);
}

static void *wait_for_data(void *arg)
{
	char c;

	EQ(SYS(SYS_recvfrom, *(long *)arg, &c, 1), -ECONNRESET);
	return NULL;
}

/* Last: the service goes, and who waits is told. */
static void a_dead_service_resets_connections(void)
{
	pthread_t t;
	long sv[2];
	char c;

	pair(sv);
	EQ(testlib_thread(&t, wait_for_data, &sv[0]), 0);
	usleep(50000);
	stop_all();
	pthread_join(t, NULL);
	EQ(SYS(SYS_recvfrom, sv[0], &c, 1), 0);
	EQ(SYS(SYS_sendto, sv[0], "x", 1, MSG_NOSIGNAL), -EPIPE);
	EQ(SYS(SYS_socket, AF_INET, SOCK_STREAM, 0), -ENETDOWN);
	EQ(SYS(SYS_close, sv[0]), 0);
	EQ(SYS(SYS_close, sv[1]), 0);
}

int main(int argc, char **argv)
{
	static CU_TestInfo tests[] = {
	        TEST(a_stream_flows_both_ways_at_once),
	        TEST(pools_are_empty_after_the_last_close),
	        TEST(threads_do_all_at_once),
	        TEST(pools_are_empty_after_the_last_close),
	        TEST(a_dead_service_resets_connections),
	        CU_TEST_INFO_NULL,
	};

	return supervisor_suite("net client", tests, start_all, &g_netd, argc, argv);
}
