/* SPDX-License-Identifier: MIT */
/*
 * netd as a process, a guest on its channel, and the kernel's own stack as the
 * peer, in a network namespace that the test makes.  The same cases run over a
 * TAP with offload and large frames, over a plain TAP of MTU 1500, over a link
 * that loses, delays, doubles and reorders, over loop-back alone, and with the
 * host stack.
 */
#include "netd_guest.h"

#include <CUnit/Basic.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct setting {
	const char *name, *stack, *link;
	unsigned mtu;
	bool vnet;
	bool kernel;              /* the kernel is the peer (not over loop) */
	bool lossy;
	const char *guest, *peer; /* addresses */
	const char *guest6, *peer6;
};

static const struct setting g_settings[] = {
	{"offload", "lwip", "tap", 65000, true, true, false, NG_GUEST_IP, NG_KERNEL_IP,
         NG_GUEST_IP6, NG_KERNEL_IP6},
	{"plain", "lwip", "tap", 1500, false, true, false, NG_GUEST_IP, NG_KERNEL_IP,
         NG_GUEST_IP6, NG_KERNEL_IP6},
	{"bad-link", "lwip", "test:tap,delay=1,jitter=2,drop=10,dup=10,reorder=20,seed=7", 1500,
         false, true, true, NG_GUEST_IP, NG_KERNEL_IP, NG_GUEST_IP6, NG_KERNEL_IP6},
	{"loop", "lwip", "loop", 1500, false, false, false, "127.0.0.1", "127.0.0.1", "::1",
         "::1"},
	{"host", "host", "", 1500, false, true, false, "127.0.0.1", "127.0.0.1", "::1", "::1"},
};
static const struct setting *g_set;

static uint64_t g_bulk;

/* Byte i of every stream: a table of prime length, so that a run of bytes lost,
 * doubled or moved shows. */
#define PERIOD 1000003u
static uint8_t g_pattern[PERIOD];

static void pattern_init(void)
{
	uint64_t x = 88172645463325252ull;

	for (uint32_t i = 0; i < PERIOD; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		g_pattern[i] = (uint8_t)(x >> 32);
	}
}

static uint64_t run_at(uint64_t at, uint64_t n)
{
	const uint64_t left = PERIOD - at % PERIOD;

	return n < left ? n : left;
}

static void fill(uint8_t *to, uint64_t at, uint64_t n)
{
	while (n > 0) {
		const uint64_t k = run_at(at, n);

		memcpy(to, g_pattern + at % PERIOD, k);
		to += k;
		at += k;
		n -= k;
	}
}

static bool same(const uint8_t *b, uint64_t at, uint64_t n)
{
	while (n > 0) {
		const uint64_t k = run_at(at, n);

		if (memcmp(b, g_pattern + at % PERIOD, k) != 0)
			return false;
		b += k;
		at += k;
		n -= k;
	}
	return true;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- the kernel's side: a thread with blocking sockets ---- */

struct peer {
	pthread_t thread;
	int fd;               /* connection */
	int listener;
	uint16_t port;
	const char *ip;
	uint64_t n;           /* bytes asked for; then done */
	uint64_t done;
	bool ok;
	int err;
	bool half, rst;
	_Atomic bool go;
};

static socklen_t sa_make(const char *ip, uint16_t port, struct sockaddr_storage *ss)
{
	struct sockaddr_in *a = (void *)ss;
	struct sockaddr_in6 *a6 = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, ip, &a->sin_addr) == 1) {
		a->sin_family = AF_INET;
		a->sin_port = htons(port);
		return sizeof(*a);
	}
	(void)inet_pton(AF_INET6, ip, &a6->sin6_addr);
	a6->sin6_family = AF_INET6;
	a6->sin6_port = htons(port);
	return sizeof(*a6);
}

static int kernel_connect(const char *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	const socklen_t len = sa_make(ip, port, &ss);
	const int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval tv = {30, 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&ss, len) < 0) {
		const int e = errno;

		close(fd);
		return -e;
	}
	return fd;
}

static int kernel_listen(const char *ip, uint16_t *port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_make(ip, 0, &ss);
	const int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, 64) < 0)
		return -1;
	(void)getsockname(fd, (struct sockaddr *)&ss, &len);
	*port = ntohs(((struct sockaddr_in *)(void *)&ss)->sin_port);
	return fd;
}

static bool kernel_write(int fd, const void *b, size_t n)
{
	size_t done = 0;

	while (done < n) {
		const ssize_t w = send(fd, (const char *)b + done, n - done, MSG_NOSIGNAL);

		if (w <= 0)
			return false;
		done += (size_t)w;
	}
	return true;
}

static bool kernel_read(int fd, void *b, size_t n)
{
	size_t done = 0;

	while (done < n) {
		const ssize_t r = recv(fd, (char *)b + done, n - done, 0);

		if (r <= 0)
			return false;
		done += (size_t)r;
	}
	return true;
}

static void peer_start(struct peer *p, void *(*fn)(void *))
{
	CU_ASSERT_FATAL(pthread_create(&p->thread, NULL, fn, p) == 0);
}

struct joiner {
	pthread_t thread;
};

static bool joined(void *arg)
{
	struct joiner *j = arg;

	return pthread_tryjoin_np(j->thread, NULL) == 0;
}

/* Join while events are served. */
static void peer_join(struct peer *p)
{
	struct joiner j = {p->thread};

	CU_ASSERT_FATAL(ng_until(joined, &j, 90000));
}

static int server(int domain, const char *ip, uint16_t *port, unsigned backlog)
{
	const int l = ng_socket(domain, SOCK_STREAM, 0);

	CU_ASSERT_FATAL(l > 0);
	CU_ASSERT_EQUAL(ng_setint(l, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CU_ASSERT_EQUAL_FATAL(ng_bind(l, ip, *port), 0);
	CU_ASSERT_EQUAL_FATAL(ng_listen(l, backlog, backlog), 0);
	*port = g_ng[l].local_port;
	CU_ASSERT_NOT_EQUAL(*port, 0);
	return l;
}

/* ---- streams ---- */

#define ECHO_ROUNDS 200u

static void *echo_client(void *arg)
{
	struct peer *p = arg;
	uint8_t out[512], in[512];
	const int fd = kernel_connect(p->ip, p->port);

	p->err = fd < 0 ? -fd : 0;
	p->ok = fd >= 0;
	for (unsigned i = 0; p->ok && i < p->n; i++) {
		const size_t n = 1 + i * 37 % sizeof(out);

		fill(out, i, n);
		p->ok = kernel_write(fd, out, n) && kernel_read(fd, in, n) &&
		        memcmp(in, out, n) == 0;
	}
	close(fd);
	return NULL;
}

static void echo_serve(int c)
{
	uint8_t buf[4096];
	int64_t n;

	while ((n = ng_recv(c, buf, sizeof(buf))) > 0)
		CU_ASSERT_EQUAL(ng_send(c, buf, (uint64_t)n, false), n);
	CU_ASSERT_EQUAL(n, 0);
	(void)ng_close(c, false);
}

static void echo_over(int domain, const char *bind_ip, const char *connect_ip)
{
	struct peer p = {.ip = connect_ip, .n = g_set->lossy ? 40 : ECHO_ROUNDS};
	const int l = server(domain, bind_ip, &p.port, 8);
	int c;

	peer_start(&p, echo_client);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	echo_serve(c);
	peer_join(&p);
	CU_ASSERT_TRUE(p.ok);
	(void)ng_close(l, false);
}

static void a_kernel_client_is_echoed(void)
{
	echo_over(AF_INET, "0.0.0.0", g_set->guest);
}

static void ipv6_is_echoed(void)
{
	echo_over(AF_INET6, "::", g_set->guest6);
}

static void a_dual_stack_listener_takes_ipv4(void)
{
	echo_over(AF_INET6, "::", g_set->guest);
}

static void *bulk_writer(void *arg)
{
	struct peer *p = arg;
	static uint8_t buf[1 << 16];
	const int fd = kernel_connect(p->ip, p->port);

	p->ok = fd >= 0;
	while (p->ok && p->done < p->n) {
		fill(buf, p->done, sizeof(buf));
		p->ok = kernel_write(fd, buf, sizeof(buf));
		p->done += sizeof(buf);
	}
	close(fd);
	return NULL;
}

static void bulk_in_arrives_whole(void)
{
	struct peer p = {.ip = g_set->guest, .n = g_bulk};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	static uint8_t buf[1 << 16];
	uint64_t at = 0;
	int64_t n;
	double t;
	int c;

	peer_start(&p, bulk_writer);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	t = seconds();
	while ((n = ng_recv(c, buf, sizeof(buf))) > 0) {
		if (!same(buf, at, (uint64_t)n)) {
			CU_FAIL("bytes changed");
			break;
		}
		at += (uint64_t)n;
	}
	CU_ASSERT_EQUAL(at, g_bulk);
	printf("[%.0f MB/s] ", (double)g_bulk / 1e6 / (seconds() - t));
	peer_join(&p);
	CU_ASSERT_TRUE(p.ok);
	(void)ng_close(c, false);
	(void)ng_close(l, false);
}

static void *bulk_reader(void *arg)
{
	struct peer *p = arg;
	static uint8_t buf[1 << 16];
	const int fd = accept(p->listener, NULL, NULL);
	ssize_t n;

	p->ok = fd >= 0;
	while (p->ok && (n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		p->ok = same(buf, p->done, (uint64_t)n);
		p->done += (uint64_t)n;
	}
	close(fd);
	close(p->listener);
	return NULL;
}

static void bulk_out_arrives_whole(void)
{
	struct peer p = {.n = g_bulk};
	static uint8_t buf[1 << 16];
	const int s = ng_socket(AF_INET, SOCK_STREAM, 0);
	const double t = seconds();

	p.listener = kernel_listen(g_set->peer, &p.port);
	CU_ASSERT_FATAL(p.listener >= 0 && s > 0);
	peer_start(&p, bulk_reader);
	CU_ASSERT_EQUAL_FATAL(ng_connect(s, g_set->peer, p.port), 0);
	for (uint64_t at = 0; at < g_bulk; at += sizeof(buf)) {
		fill(buf, at, sizeof(buf));
		if (ng_send(s, buf, sizeof(buf), false) != sizeof(buf)) {
			CU_FAIL("send failed");
			break;
		}
	}
	(void)ng_close(s, false); /* FIN after all that is queued */
	peer_join(&p);
	printf("[%.0f MB/s] ", (double)g_bulk / 1e6 / (seconds() - t));
	CU_ASSERT_TRUE(p.ok);
	CU_ASSERT_EQUAL(p.done, g_bulk);
}

static void *half_client(void *arg)
{
	struct peer *p = arg;
	static uint8_t buf[1 << 16];
	const int fd = kernel_connect(p->ip, p->port);
	ssize_t n;

	p->ok = fd >= 0 && kernel_write(fd, "request", 7) && shutdown(fd, SHUT_WR) == 0;
	while (p->ok && (n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		p->ok = same(buf, p->done, (uint64_t)n);
		p->done += (uint64_t)n;
	}
	close(fd);
	return NULL;
}

static void a_half_closed_connection_still_sends(void)
{
	struct peer p = {.ip = g_set->guest, .n = 1 << 20};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	uint8_t *buf = malloc(1 << 20), req[16];
	int c;

	fill(buf, 0, 1 << 20);
	peer_start(&p, half_client);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	CU_ASSERT_EQUAL(ng_recv_all(c, req, 7), 7);
	CU_ASSERT_EQUAL(ng_recv(c, req, 7), 0);
	CU_ASSERT_TRUE(g_ng[c].eof);
	CU_ASSERT_EQUAL(ng_send(c, buf, 1 << 20, false), 1 << 20);
	CU_ASSERT_EQUAL(ng_shutdown(c, SHUT_WR), 0);
	peer_join(&p);
	CU_ASSERT_TRUE(p.ok);
	CU_ASSERT_EQUAL(p.done, 1 << 20);
	(void)ng_close(c, false);
	(void)ng_close(l, false);
	free(buf);
}

static void after_shut_rd_data_is_forgotten(void)
{
	struct peer p = {.ip = g_set->guest, .n = 2 << 20};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	int c;

	peer_start(&p, bulk_writer);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	CU_ASSERT_EQUAL(ng_shutdown(c, SHUT_RD), 0);
	peer_join(&p); /* more than any window: somebody takes it */
	CU_ASSERT_TRUE(p.ok);
	CU_ASSERT_EQUAL(g_ng[c].err, 0);
	(void)ng_close(c, false);
	(void)ng_close(l, false);
}

static void *rst_client(void *arg)
{
	struct peer *p = arg;
	const struct linger now = {1, 0};
	const int fd = kernel_connect(p->ip, p->port);
	char c;

	p->ok = fd >= 0 && kernel_write(fd, "x", 1) && kernel_read(fd, &c, 1);
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
	return NULL;
}

static bool has_error(void *arg)
{
	return ((struct ng_sock *)arg)->err != 0;
}

static void a_reset_is_econnreset(void)
{
	struct peer p = {.ip = g_set->guest};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	char x;
	int c;

	peer_start(&p, rst_client);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	CU_ASSERT_EQUAL(ng_recv(c, &x, 1), 1);
	CU_ASSERT_EQUAL(ng_send(c, &x, 1, false), 1);
	peer_join(&p);
	if (g_set->lossy) /* the RST may be lost: then a send brings another */
		(void)ng_send(c, &x, 1, false);
	CU_ASSERT_TRUE(ng_until(has_error, &g_ng[c], NG_WAIT_MS));
	CU_ASSERT_EQUAL(g_ng[c].err, ECONNRESET);
	CU_ASSERT_TRUE(g_ng[c].fatal);
	(void)ng_close(c, false);
	(void)ng_close(l, false);
}

static void *reset_reader(void *arg)
{
	struct peer *p = arg;
	const int fd = kernel_connect(p->ip, p->port);
	char b[64];
	ssize_t n;

	p->ok = fd >= 0 && kernel_write(fd, "unread", 6);
	do {
		n = recv(fd, b, sizeof(b), 0);
	} while (n > 0);
	p->err = n < 0 ? errno : 0;
	close(fd);
	return NULL;
}

static void an_abortive_close_resets_the_peer(void)
{
	struct peer p = {.ip = g_set->guest};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	int c;

	if (g_set->lossy)
		return; /* a lost RST is never repeated to a silent peer */
	peer_start(&p, reset_reader);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	ng_sleep(50);
	(void)ng_close(c, true);
	peer_join(&p);
	CU_ASSERT_EQUAL(p.err, ECONNRESET);
	(void)ng_close(l, false);
}

static void connecting_to_a_closed_port_is_refused(void)
{
	const int s = ng_socket(AF_INET, SOCK_STREAM, 0);

	CU_ASSERT_EQUAL(ng_connect(s, g_set->peer, 1), -ECONNREFUSED);
	(void)ng_close(s, false);
	const int s6 = ng_socket(AF_INET6, SOCK_STREAM, 0);

	CU_ASSERT_EQUAL(ng_connect(s6, g_set->peer6, 1), -ECONNREFUSED);
	(void)ng_close(s6, false);
}

static void *stubborn_writer(void *arg)
{
	struct peer *p = arg;
	static uint8_t buf[1 << 16];
	const int fd = kernel_connect(p->ip, p->port);
	const int size = 1 << 16;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	p->ok = fd >= 0;
	while (p->ok && p->done < p->n) {
		fill(buf, p->done, sizeof(buf));
		p->ok = kernel_write(fd, buf, sizeof(buf));
		p->done += sizeof(buf);
	}
	p->err = errno;
	close(fd);
	return NULL;
}

static void the_window_follows_a_guest_that_does_not_read(void)
{
	struct peer p = {.ip = g_set->guest, .n = 16 << 20};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	static uint8_t buf[1 << 16];
	uint64_t at = 0, seen;
	int64_t n;
	int c;

	if (g_set->lossy)
		p.n = 4 << 20;
	peer_start(&p, stubborn_writer);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	g_ng[c].hold = true;
	ng_sleep(1200);
	seen = p.done;
	/* Not a byte beyond; the last piece of a window may be too small to send. */
	CU_ASSERT_TRUE(g_ng[c].rx_got <= g_ng[c].rx_limit);
	CU_ASSERT_TRUE(g_ng[c].rx_got > g_ng[c].rx_limit / 2 || g_set->lossy);
	if (g_set->kernel && !g_set->lossy && strcmp(g_set->stack, "lwip") == 0)
		CU_ASSERT_TRUE(seen < p.n); /* the writer stands still */
	g_ng[c].hold = false;
	while ((n = ng_recv(c, buf, sizeof(buf))) > 0) {
		if (!same(buf, at, (uint64_t)n)) {
			CU_FAIL("bytes changed");
			break;
		}
		at += (uint64_t)n;
	}
	peer_join(&p);
	CU_ASSERT_EQUAL(at, p.n);
	(void)ng_close(c, false);
	(void)ng_close(l, false);
}

static void *slow_reader(void *arg)
{
	struct peer *p = arg;
	static uint8_t buf[1 << 16];
	const int fd = accept(p->listener, NULL, NULL);
	ssize_t n;

	while (!p->go)
		usleep(1000);
	p->ok = true;
	while (p->ok && (n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		p->ok = same(buf, p->done, (uint64_t)n);
		p->done += (uint64_t)n;
	}
	close(fd);
	close(p->listener);
	return NULL;
}

static bool no_room(void *arg)
{
	struct ng_sock *s = arg;

	return s->tx_sent == s->tx_limit;
}

static void a_peer_with_a_zero_window_is_waited_for(void)
{
	struct peer p = {.n = 0};
	const int s = ng_socket(AF_INET, SOCK_STREAM, 0);
	static uint8_t buf[1 << 14];
	uint64_t at = 0;

	p.listener = kernel_listen(g_set->peer, &p.port);
	const int small = 8192;
	(void)setsockopt(p.listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	peer_start(&p, slow_reader);
	CU_ASSERT_EQUAL_FATAL(ng_connect(s, g_set->peer, p.port), 0);
	/* until no room has come for a while */
	while (at < 64u << 20) {
		fill(buf, at, sizeof(buf));
		if (no_room(&g_ng[s]))
			ng_sleep(300);
		if (no_room(&g_ng[s]))
			break;
		const uint64_t room = g_ng[s].tx_limit - g_ng[s].tx_sent;
		const uint64_t n = room < sizeof(buf) ? room : sizeof(buf);

		CU_ASSERT_EQUAL_FATAL(ng_send(s, buf, n, false), (int64_t)n);
		at += n;
	}
	CU_ASSERT_TRUE(no_room(&g_ng[s]));
	ng_sleep(1000); /* probes go out; nothing may break */
	CU_ASSERT_EQUAL(g_ng[s].err, 0);
	p.go = true;
	(void)ng_close(s, false);
	peer_join(&p);
	CU_ASSERT_TRUE(p.ok);
	CU_ASSERT_EQUAL(p.done, at);
}

static void *count_reader(void *arg)
{
	struct peer *p = arg;
	char b[4096];
	const int fd = kernel_connect(p->ip, p->port);
	ssize_t n;

	while ((n = recv(fd, b, sizeof(b), 0)) > 0)
		p->done += (uint64_t)n;
	p->err = n < 0 ? errno : 0;
	close(fd);
	return NULL;
}

static void a_lingering_close_waits_for_the_last_byte(void)
{
	struct peer p = {.ip = g_set->guest};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	static uint8_t buf[100000];
	int c;

	peer_start(&p, count_reader);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	CU_ASSERT_EQUAL(ng_send(c, buf, sizeof(buf), false), sizeof(buf));
	CU_ASSERT_EQUAL(ng_close_linger(c, 20000), 0);
	peer_join(&p);
	CU_ASSERT_EQUAL(p.done, sizeof(buf));
	CU_ASSERT_EQUAL(p.err, 0);
	(void)ng_close(l, false);
}

static void corked_bytes_leave_together_or_after_a_moment(void)
{
	struct peer p = {.ip = g_set->guest};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	int c;

	peer_start(&p, count_reader);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	CU_ASSERT_EQUAL(ng_send(c, "abc", 3, true), 3);
	if (!g_set->lossy && strcmp(g_set->stack, "lwip") == 0) {
		ng_sleep(80);
		CU_ASSERT_EQUAL(p.done, 0);
	}
	if (!g_set->lossy) {
		ng_sleep(400);
		CU_ASSERT_EQUAL(p.done, 3);
	}
	CU_ASSERT_EQUAL(ng_send(c, "def", 3, true), 3);
	CU_ASSERT_EQUAL(ng_send(c, "ghi", 3, false), 3);
	(void)ng_close(c, false);
	peer_join(&p);
	CU_ASSERT_EQUAL(p.done, 9);
	(void)ng_close(l, false);
}

static void *short_clients(void *arg)
{
	struct peer *p = arg;

	p->ok = true;
	for (p->done = 0; p->ok && p->done < p->n; p->done++) {
		const int fd = kernel_connect(p->ip, p->port);
		char b[8];

		p->ok = fd >= 0 && kernel_read(fd, b, 4) && recv(fd, b, 1, 0) == 0;
		close(fd);
	}
	return NULL;
}

/* CPU time that netd has taken, in seconds: what neighbours do does not count. */
static double netd_cpu(void)
{
	char path[64];
	unsigned long long ns = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)ng_pid());
	f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(fscanf(f, "%llu", &ns), 1);
	fclose(f);
	return (double)ns / 1e9;
}

static void short_connections_do_not_get_slower(void)
{
	struct peer p = {.ip = g_set->guest,
	                 .n = g_set->lossy ? 50 : g_set->vnet ? 12000 : 3000};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 128);
	const unsigned sixth = (unsigned)p.n / 6;
	double first = netd_cpu(), last = 0;

	peer_start(&p, short_clients);
	for (unsigned i = 0; i < p.n; i++) {
		const int c = ng_accept(l, NG_WAIT_MS);

		CU_ASSERT_FATAL(c > 0);
		(void)ng_send(c, "done", 4, false);
		(void)ng_close(c, false); /* netd's side goes to TIME_WAIT */
		if (i + 1 == sixth)
			first = netd_cpu() - first;
		if (i + 1 == p.n - sixth)
			last = netd_cpu();
	}
	last = netd_cpu() - last;
	peer_join(&p);
	CU_ASSERT_TRUE(p.ok);
	if (!g_set->lossy) {
		printf("[%.0f us of netd's CPU a connection at first, %.0f after %u] ",
		       first * 1e6 / sixth, last * 1e6 / sixth, (unsigned)p.n - sixth);
		CU_ASSERT_TRUE(last < first * 2);
	}
	(void)ng_close(l, false);
}

static void ids_granted_late_release_queued_connections(void)
{
	struct peer p = {.ip = g_set->guest, .n = 3};
	const int l = ng_socket(AF_INET, SOCK_STREAM, 0);
	int c;

	CU_ASSERT_EQUAL_FATAL(ng_bind(l, "0.0.0.0", 0), 0);
	CU_ASSERT_EQUAL_FATAL(ng_listen(l, 8, 0), 0);
	p.port = g_ng[l].local_port;
	peer_start(&p, short_clients);
	CU_ASSERT_EQUAL(ng_accept(l, 300), -EAGAIN);
	CU_ASSERT_EQUAL(ng_listen(l, 8, 2), 0); /* listen() again brings ids */
	for (int i = 0; i < 3; i++) {
		c = ng_accept(l, NG_WAIT_MS);
		CU_ASSERT_FATAL(c > 0);
		(void)ng_send(c, "done", 4, false);
		(void)ng_close(c, false);
	}
	peer_join(&p);
	CU_ASSERT_TRUE(p.ok);
	(void)ng_close(l, false);
}

/* ---- within the guest ---- */

static void own_address(int domain, const char *ip)
{
	uint16_t port = 0;
	const int l = server(domain, domain == AF_INET ? "0.0.0.0" : "::", &port, 8);
	const int s = ng_socket(domain, SOCK_STREAM, 0);
	static uint8_t out[300000], in[300000];
	int c;

	CU_ASSERT_EQUAL_FATAL(ng_connect(s, ip, port), 0);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	fill(out, 0, sizeof(out));
	CU_ASSERT_EQUAL(ng_send(s, out, 100000, false), 100000);
	CU_ASSERT_EQUAL(ng_recv_all(c, in, 100000), 100000);
	CU_ASSERT_TRUE(same(in, 0, 100000));
	CU_ASSERT_EQUAL(ng_shutdown(s, SHUT_WR), 0);
	CU_ASSERT_EQUAL(ng_recv(c, in, 1), 0);
	CU_ASSERT_EQUAL(ng_send(c, out, 1000, false), 1000);
	CU_ASSERT_EQUAL(ng_recv_all(s, in, 1000), 1000);
	(void)ng_close(c, false);
	CU_ASSERT_EQUAL(ng_recv(s, in, 1), 0);
	(void)ng_close(s, false);
	(void)ng_close(l, false);
}

static void a_guest_reaches_itself(void)
{
	own_address(AF_INET, "127.0.0.1");
	own_address(AF_INET, g_set->guest);
	own_address(AF_INET6, "::1");
	own_address(AF_INET6, g_set->guest6);
	own_address(AF_INET6, "::ffff:127.0.0.1");
}

static void bind_follows_linux(void)
{
	uint16_t port = 0;
	const int a = ng_socket(AF_INET, SOCK_STREAM, 0), b = ng_socket(AF_INET, SOCK_STREAM, 0);
	const int c = ng_socket(AF_INET6, SOCK_STREAM, 0);

	CU_ASSERT_EQUAL(ng_bind(a, "203.0.113.9", 0), -EADDRNOTAVAIL);
	CU_ASSERT_EQUAL(ng_bind(a, "0.0.0.0", 0), 0);
	port = g_ng[a].local_port;
	CU_ASSERT_TRUE(port >= 1024);
	CU_ASSERT_EQUAL(ng_bind(a, "0.0.0.0", 0), -EINVAL);
	CU_ASSERT_EQUAL(ng_bind(b, "0.0.0.0", port), -EADDRINUSE);
	CU_ASSERT_EQUAL(ng_bind(c, "::", port), -EADDRINUSE);
	CU_ASSERT_EQUAL(ng_setint(c, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
	CU_ASSERT_EQUAL(ng_bind(c, "::", port), 0);
	CU_ASSERT_EQUAL(ng_setint(a, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CU_ASSERT_EQUAL(ng_setint(b, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CU_ASSERT_EQUAL(ng_bind(b, "0.0.0.0", port), 0);
	CU_ASSERT_EQUAL(ng_listen(a, 4, 4), 0);
	CU_ASSERT_EQUAL(ng_listen(b, 4, 4), -EADDRINUSE);
	CU_ASSERT_EQUAL(ng_listen(a, 5, 0), 0);
	(void)ng_close(a, false);
	(void)ng_close(b, false);
	(void)ng_close(c, false);
}

static void a_listener_restarts_past_time_wait(void)
{
	uint16_t port = 0;
	int l = server(AF_INET, "0.0.0.0", &port, 8), c;
	const int s = ng_socket(AF_INET, SOCK_STREAM, 0);
	char b;

	CU_ASSERT_EQUAL_FATAL(ng_connect(s, "127.0.0.1", port), 0);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	(void)ng_close(c, false);
	CU_ASSERT_EQUAL(ng_recv(s, &b, 1), 0);
	(void)ng_close(s, false);
	(void)ng_close(l, false);
	ng_sleep(100);
	const int no = ng_socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL(ng_bind(no, "0.0.0.0", port), -EADDRINUSE);
	(void)ng_close(no, false);
	l = server(AF_INET, "0.0.0.0", &port, 8);
	(void)ng_close(l, false);
}

static void options_answer_as_linux(void)
{
	const int s = ng_socket(AF_INET, SOCK_STREAM, 0), u = ng_socket(AF_INET, SOCK_DGRAM, 0);
	struct linger lin = {1, 5};
	struct tcp_info info;
	char name[16];
	uint32_t len = sizeof(lin);

	CU_ASSERT_EQUAL(ng_setint(s, IPPROTO_TCP, TCP_NODELAY, 7), 0);
	CU_ASSERT_EQUAL(ng_getint(s, IPPROTO_TCP, TCP_NODELAY), 1);
	CU_ASSERT_EQUAL(ng_setint(s, IPPROTO_TCP, TCP_KEEPIDLE, 0), -EINVAL);
	CU_ASSERT_EQUAL(ng_setint(s, IPPROTO_TCP, TCP_KEEPIDLE, 33), 0);
	CU_ASSERT_EQUAL(ng_getint(s, IPPROTO_TCP, TCP_KEEPIDLE), 33);
	CU_ASSERT_EQUAL(ng_setint(u, IPPROTO_TCP, TCP_NODELAY, 1), -ENOPROTOOPT);
	CU_ASSERT_EQUAL(ng_setint(s, IPPROTO_IPV6, IPV6_V6ONLY, 1), -ENOPROTOOPT);
	CU_ASSERT_EQUAL(ng_setint(s, SOL_SOCKET, SO_TYPE, 1), -ENOPROTOOPT);
	CU_ASSERT_EQUAL(ng_getint(s, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	CU_ASSERT_EQUAL(ng_getint(u, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
	CU_ASSERT_EQUAL(ng_setint(s, IPPROTO_IP, IP_TTL, 0), -EINVAL);
	CU_ASSERT_EQUAL(ng_setint(s, IPPROTO_IP, IP_TTL, 9), 0);
	CU_ASSERT_EQUAL(ng_getint(s, IPPROTO_IP, IP_TTL), 9);
	CU_ASSERT_EQUAL(ng_setint(s, SOL_SOCKET, SO_SNDBUF, 50000), 0);
	CU_ASSERT_EQUAL(ng_getint(s, SOL_SOCKET, SO_SNDBUF), 100000);
	CU_ASSERT_EQUAL(ng_setopt(s, SOL_SOCKET, SO_LINGER, &lin, 4), -EINVAL);
	CU_ASSERT_EQUAL(ng_setopt(s, SOL_SOCKET, SO_LINGER, &lin, sizeof(lin)), 0);
	memset(&lin, 0, sizeof(lin));
	CU_ASSERT_EQUAL(ng_getopt(s, SOL_SOCKET, SO_LINGER, &lin, &len), 0);
	CU_ASSERT_TRUE(lin.l_onoff == 1 && lin.l_linger == 5);
	len = sizeof(info);
	CU_ASSERT_EQUAL(ng_getopt(s, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	CU_ASSERT_EQUAL(info.tcpi_state, TCP_CLOSE);
	len = sizeof(name);
	CU_ASSERT_EQUAL(ng_getopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
	if (strcmp(g_set->stack, "lwip") == 0)
		CU_ASSERT_STRING_EQUAL(name, "reno");
	CU_ASSERT_EQUAL(ng_setint(s, 12345, 1, 1), -ENOPROTOOPT);
	(void)ng_close(s, false);
	(void)ng_close(u, false);
	CU_ASSERT_EQUAL(ng_socket(AF_INET, SOCK_RAW, 0), -ESOCKTNOSUPPORT);
	CU_ASSERT_EQUAL(ng_socket(AF_UNIX, SOCK_STREAM, 0), -EAFNOSUPPORT);
	CU_ASSERT_EQUAL(ng_socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), -EPROTONOSUPPORT);
}

/* ---- datagrams ---- */

struct udp_peer {
	pthread_t thread;
	int fd;
	unsigned n;
};

static void *udp_echo(void *arg)
{
	struct udp_peer *p = arg;
	static uint8_t buf[65536];

	for (unsigned i = 0; i < p->n; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		const ssize_t n = recvfrom(p->fd, buf, sizeof(buf), 0, (struct sockaddr *)&ss, &len);

		if (n < 0)
			break;
		(void)sendto(p->fd, buf, (size_t)n, 0, (struct sockaddr *)&ss, len);
	}
	return NULL;
}

static void udp_over(int domain, const char *ip)
{
	static const uint32_t sizes[] = {0, 1, 100, 1472, 4000, 30000};
	struct sockaddr_storage ss;
	socklen_t len = sa_make(ip, 0, &ss);
	struct udp_peer p = {.n = 6, .fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
	const int u = ng_socket(domain, SOCK_DGRAM, 0);
	const struct timeval tv = {5, 0};
	static uint8_t buf[65536];
	uint16_t port;

	(void)setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	CU_ASSERT_EQUAL_FATAL(bind(p.fd, (struct sockaddr *)&ss, len), 0);
	(void)getsockname(p.fd, (struct sockaddr *)&ss, &len);
	port = ntohs(((struct sockaddr_in *)(void *)&ss)->sin_port);
	CU_ASSERT_EQUAL(pthread_create(&p.thread, NULL, udp_echo, &p), 0);
	for (unsigned i = 0; i < 6; i++) {
		struct ng_dgram *d;

		fill(buf, i, sizes[i]);
		CU_ASSERT_EQUAL(ng_sendto(u, ip, port, buf, sizes[i]), 0);
		d = ng_recvfrom(u, 3000);
		if (!d)
			printf("[no answer to %u bytes from %s] ", sizes[i], ip);
		CU_ASSERT_PTR_NOT_NULL_FATAL(d);
		CU_ASSERT_EQUAL(d->len, sizes[i]);
		CU_ASSERT_EQUAL(d->port, port);
		CU_ASSERT_TRUE(same(d->data, i, d->len));
		CU_ASSERT_EQUAL(d->ip_len, domain == AF_INET ? 4 : 16);
		free(d);
	}
	pthread_join(p.thread, NULL);
	close(p.fd);
	(void)ng_close(u, false);
}

static void datagrams_come_back(void)
{
	udp_over(AF_INET, g_set->peer);
	udp_over(AF_INET6, g_set->peer6);
}

static void a_refused_datagram_is_reported_when_connected(void)
{
	const int u = ng_socket(AF_INET, SOCK_DGRAM, 0);

	CU_ASSERT_EQUAL(ng_connect(u, g_set->peer, 9), 0);
	CU_ASSERT_EQUAL(ng_sendto(u, NULL, 0, "x", 1), 0);
	CU_ASSERT_TRUE(ng_until(has_error, &g_ng[u], 3000));
	CU_ASSERT_EQUAL(g_ng[u].err, ECONNREFUSED);
	CU_ASSERT_FALSE(g_ng[u].fatal);
	(void)ng_close(u, false);
}

static void udp_within_the_guest_and_its_rules(void)
{
	const int a = ng_socket(AF_INET, SOCK_DGRAM, 0), b = ng_socket(AF_INET, SOCK_DGRAM, 0);
	const int c = ng_socket(AF_INET, SOCK_DGRAM, 0);
	struct ng_dgram *d;

	CU_ASSERT_EQUAL(ng_bind(a, "127.0.0.1", 0), 0);
	CU_ASSERT_EQUAL(ng_bind(c, "127.0.0.1", g_ng[a].local_port), -EADDRINUSE);
	CU_ASSERT_EQUAL(ng_sendto(b, "127.0.0.1", g_ng[a].local_port, "hello", 5), 0);
	d = ng_recvfrom(a, 3000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(d->len, 5);
	CU_ASSERT_EQUAL(d->lip_len, 4);
	/* a connected socket hears its peer only */
	CU_ASSERT_EQUAL(ng_connect(a, "127.0.0.1", d->port), 0);
	CU_ASSERT_EQUAL(ng_sendto(c, "127.0.0.1", g_ng[a].local_port, "no", 2), 0);
	CU_ASSERT_EQUAL(ng_sendto(b, "127.0.0.1", g_ng[a].local_port, "yes", 3), 0);
	free(d);
	d = ng_recvfrom(a, 3000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(d->len, 3);
	free(d);
	CU_ASSERT_EQUAL(ng_sendto(c, NULL, 0, "x", 1), 0);
	CU_ASSERT_TRUE(ng_until(has_error, &g_ng[c], 3000));
	(void)ng_close(a, false);
	(void)ng_close(b, false);
	(void)ng_close(c, false);
}

static uint16_t icmp_sum(const uint8_t *b, size_t n)
{
	uint32_t s = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)(b[i] << 8 | b[i + 1]);
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~((s & 0xffff) + (s >> 16));
}

static void ping_once(int domain, const char *ip)
{
	const bool six = domain == AF_INET6;
	const int p = ng_socket(domain, SOCK_DGRAM, six ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	uint8_t echo[40] = {six ? 128 : 8};
	struct ng_dgram *d;

	if (p < 0 && strcmp(g_set->stack, "host") == 0)
		return; /* net.ipv4.ping_group_range of a new namespace is empty */
	CU_ASSERT_FATAL(p > 0);
	echo[7] = 5; /* sequence */
	CU_ASSERT_EQUAL(ng_sendto(p, ip, 0, echo, sizeof(echo)), 0);
	d = ng_recvfrom(p, 3000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(d->len, sizeof(echo));
	CU_ASSERT_EQUAL(d->data[0], six ? 129 : 0);
	CU_ASSERT_EQUAL(d->data[7], 5);
	if (!six)
		CU_ASSERT_EQUAL(icmp_sum(d->data, d->len), 0);
	free(d);
	(void)ng_close(p, false);
}

static void ping_sockets_hear_echoes(void)
{
	ping_once(AF_INET, g_set->peer);
	ping_once(AF_INET, "127.0.0.1");
	ping_once(AF_INET6, g_set->peer6);
}

static void the_guest_answers_pings(void)
{
	struct sockaddr_storage ss;
	const socklen_t len = sa_make(g_set->guest, 0, &ss);
	const int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	const struct timeval tv = {3, 0};
	uint8_t echo[16] = {8, 0, 0, 0, 0x12, 0x34}, in[256];
	const uint16_t sum = icmp_sum(echo, sizeof(echo));
	bool heard = false;

	CU_ASSERT_FATAL(fd >= 0);
	echo[2] = (uint8_t)(sum >> 8);
	echo[3] = (uint8_t)sum;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	CU_ASSERT_EQUAL(sendto(fd, echo, sizeof(echo), 0, (struct sockaddr *)&ss, len), 16);
	while (!heard && recv(fd, in, sizeof(in), 0) > 0)
		heard = in[20] == 0 && in[24] == 0x12 && in[25] == 0x34;
	CU_ASSERT_TRUE(heard);
	close(fd);
}

/* ---- peers that vanish, and floods ---- */

static void *silent_client(void *arg)
{
	struct peer *p = arg;
	const int fd = kernel_connect(p->ip, p->port);

	p->ok = fd >= 0;
	while (!p->go)
		usleep(1000);
	close(fd);
	return NULL;
}

static void a_vanished_peer_times_out(void)
{
	struct peer p = {.ip = g_set->guest};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	int c;

	if (strcmp(g_set->stack, "lwip") != 0)
		return;
	peer_start(&p, silent_client);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	CU_ASSERT_EQUAL(ng_setint(c, IPPROTO_TCP, TCP_USER_TIMEOUT, 500), 0);
	CU_ASSERT_EQUAL(system("ip link set tap0 down"), 0);
	CU_ASSERT_EQUAL(ng_send(c, "anybody?", 8, false), 8);
	CU_ASSERT_TRUE(ng_until(has_error, &g_ng[c], 5000));
	CU_ASSERT_EQUAL(g_ng[c].err, ETIMEDOUT);
	CU_ASSERT_TRUE(g_ng[c].fatal);
	CU_ASSERT_EQUAL(system("ip link set tap0 up && "
	                       "ip addr add " NG_KERNEL_IP6 "/64 dev tap0 nodad 2>/dev/null; true"),
	                0);
	p.go = true;
	peer_join(&p);
	(void)ng_close(c, false);
	(void)ng_close(l, false);
}

/* SYNs from a raw socket, whose handshakes nobody completes. */
static void send_syns(uint16_t port, unsigned n)
{
	const int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	struct sockaddr_storage ss;
	const socklen_t len = sa_make(g_set->guest, 0, &ss);

	for (unsigned i = 0; i < n; i++) {
		uint8_t b[40] = {0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 77, 0, 200};
		uint32_t sum = 6 + 20;

		memcpy(b + 16, &((struct sockaddr_in *)(void *)&ss)->sin_addr, 4);
		b[20] = (uint8_t)(40 + i / 256);
		b[21] = (uint8_t)i;
		b[22] = (uint8_t)(port >> 8);
		b[23] = (uint8_t)port;
		b[32] = 0x50;
		b[33] = TH_SYN;
		b[34] = 0xff;
		for (unsigned k = 12; k < 40; k += 2)
			sum += (uint32_t)(b[k] << 8 | b[k + 1]);
		sum = (sum & 0xffff) + (sum >> 16);
		sum = ~((sum & 0xffff) + (sum >> 16));
		b[36] = (uint8_t)(sum >> 8);
		b[37] = (uint8_t)sum;
		(void)sendto(fd, b, sizeof(b), 0, (struct sockaddr *)&ss, len);
	}
	close(fd);
}

static void half_open_peers_do_not_shut_others_out(void)
{
	struct peer p = {.ip = g_set->guest, .n = 20};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 64);

	if (strcmp(g_set->stack, "lwip") != 0)
		return;
	send_syns(p.port, 600);
	ng_sleep(50);
	peer_start(&p, short_clients);
	for (unsigned i = 0; i < p.n; i++) {
		const int c = ng_accept(l, NG_WAIT_MS);

		CU_ASSERT_FATAL(c > 0);
		(void)ng_send(c, "done", 4, false);
		(void)ng_close(c, false);
	}
	peer_join(&p);
	CU_ASSERT_TRUE(p.ok);
	(void)ng_close(l, false); /* with 600 half-open ones */
}

/* ---- the end of a guest ---- */

static void a_guest_that_dies_leaves_as_linux_does(void)
{
	struct peer p = {.ip = g_set->guest};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	static uint8_t buf[200000];
	int c;

	peer_start(&p, count_reader);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	CU_ASSERT_EQUAL(ng_send(c, buf, sizeof(buf), false), sizeof(buf));
	CU_ASSERT_EQUAL(ng_gone(), 0);
	pthread_join(p.thread, NULL);
	CU_ASSERT_EQUAL(p.done, sizeof(buf)); /* queued data, then FIN */
	CU_ASSERT_EQUAL(p.err, 0);
	CU_ASSERT_EQUAL(kernel_connect(g_set->guest, p.port), -ECONNREFUSED);
}

static bool lost(void *arg)
{
	(void)arg;
	return g_ng_lost;
}

static void a_post_at_a_wrong_offset_breaks_the_channel(void)
{
	uint16_t port = 0;
	const int l = server(AF_INET, "0.0.0.0", &port, 8);
	const int s = ng_socket(AF_INET, SOCK_STREAM, 0);

	CU_ASSERT_EQUAL_FATAL(ng_connect(s, "127.0.0.1", port), 0);
	(void)l;
	CU_ASSERT_FALSE(g_ng_lost);
	(void)ng_post_data(s, 1, "x", 1);
	CU_ASSERT_TRUE(ng_until(lost, NULL, 3000));
	CU_ASSERT_EQUAL(kill(ng_pid(), 0), 0); /* netd itself goes on */
}

/* ---- running ---- */

#define ADD(s, f) CU_add_test(s, #f, f)

static void add_kernel(CU_pSuite s)
{
	ADD(s, a_kernel_client_is_echoed);
	ADD(s, ipv6_is_echoed);
	ADD(s, a_dual_stack_listener_takes_ipv4);
	ADD(s, bulk_in_arrives_whole);
	ADD(s, bulk_out_arrives_whole);
	ADD(s, a_half_closed_connection_still_sends);
	ADD(s, after_shut_rd_data_is_forgotten);
	ADD(s, a_reset_is_econnreset);
	ADD(s, an_abortive_close_resets_the_peer);
	ADD(s, the_window_follows_a_guest_that_does_not_read);
	ADD(s, a_peer_with_a_zero_window_is_waited_for);
	ADD(s, a_lingering_close_waits_for_the_last_byte);
	ADD(s, corked_bytes_leave_together_or_after_a_moment);
	ADD(s, ids_granted_late_release_queued_connections);
	ADD(s, short_connections_do_not_get_slower);
	if (!g_set->lossy) {
		ADD(s, datagrams_come_back);
		ADD(s, the_guest_answers_pings);
		ADD(s, half_open_peers_do_not_shut_others_out);
		ADD(s, a_vanished_peer_times_out);
	}
}

static int run_setting(const struct setting *set, bool break_it)
{
	CU_pSuite s;
	int failed;

	g_set = set;
	g_bulk = set->lossy ? 2u << 20 : 64u << 20;
	if (ng_namespace(set->mtu, set->vnet) < 0)
		return 77;
	if (ng_start(set->stack, set->link) != 0) {
		fprintf(stderr, "netd does not start\n");
		return 1;
	}
	CU_initialize_registry();
	s = CU_add_suite(set->name, NULL, NULL);
	if (break_it) {
		ADD(s, a_post_at_a_wrong_offset_breaks_the_channel);
	} else {
		if (set->kernel)
			add_kernel(s);
		if (!set->lossy) {
			ADD(s, a_guest_reaches_itself);
			ADD(s, bind_follows_linux);
			ADD(s, a_listener_restarts_past_time_wait);
			ADD(s, options_answer_as_linux);
			ADD(s, udp_within_the_guest_and_its_rules);
			ADD(s, connecting_to_a_closed_port_is_refused);
			ADD(s, a_refused_datagram_is_reported_when_connected);
			ADD(s, ping_sockets_hear_echoes);
		}
		if (set->kernel && !set->lossy)
			ADD(s, a_guest_that_dies_leaves_as_linux_does);
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() > 0;
	CU_cleanup_registry();
	ng_stop();
	fflush(stdout);
	return failed;
}

static int run_forked(const struct setting *set, bool break_it)
{
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(run_setting(set, break_it));
	(void)waitpid(pid, &status, 0);
	if (WIFSIGNALED(status)) {
		printf("setting %s: signal %d\n", set->name, WTERMSIG(status));
		return 1;
	}
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	int failed = 0;

	(void)signal(SIGPIPE, SIG_IGN);
	pattern_init();
	for (size_t i = 0; i < sizeof(g_settings) / sizeof(g_settings[0]); i++) {
		const struct setting *set = &g_settings[i];
		int r;

		if (argc > 1 && strcmp(argv[1], set->name) != 0)
			continue;
		r = run_forked(set, false);
		if (r == 77) {
			printf("skipped: no network namespace with a TAP can be made here\n");
			return 77;
		}
		failed |= r;
		if (strcmp(set->name, "plain") == 0)
			failed |= run_forked(set, true);
	}
	return failed;
}
