/* SPDX-License-Identifier: MIT */
/* Streams between a guest and the kernel. */
#include "netd_net.h"

#include "platform/platform.h"

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

void a_kernel_client_is_echoed(void)
{
	echo_over(AF_INET, "0.0.0.0", g_set->guest);
}

void ipv6_is_echoed(void)
{
	echo_over(AF_INET6, "::", g_set->guest6);
}

void a_dual_stack_listener_takes_ipv4(void)
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

void bulk_in_arrives_whole(void)
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
	const int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
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

void bulk_out_arrives_whole(void)
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

void a_half_closed_connection_still_sends(void)
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

static bool nearly_full(void *arg)
{
	return ((const struct ng_sock *)arg)->rx_got > NG_WINDOW - 4096;
}

static void forget_data(bool full)
{
	struct peer p = {.ip = g_set->guest, .n = 2 << 20};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	int c;

	peer_start(&p, bulk_writer);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	g_ng[c].hold = true;
	if (full) {
		CU_ASSERT_TRUE(ng_until(nearly_full, &g_ng[c], NG_WAIT_MS));
		ng_sleep(300); /* the last bytes */
	}
	CU_ASSERT_EQUAL(ng_shutdown(c, SHUT_RD), 0);
	peer_join(&p); /* more than any window: somebody takes it */
	CU_ASSERT_TRUE(p.ok);
	CU_ASSERT_EQUAL(g_ng[c].err, 0);
	(void)ng_close(c, false);
	(void)ng_close(l, false);
}

void after_shut_rd_data_is_forgotten(void)
{
	forget_data(false);
}

/* Also by a guest that has all it allowed, and does not allow more. */
void after_shut_rd_a_full_window_opens(void)
{
	forget_data(true);
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

bool has_error(void *arg)
{
	return ((struct ng_sock *)arg)->err != 0;
}

void a_reset_is_econnreset(void)
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

void an_abortive_close_resets_the_peer(void)
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

void connecting_to_a_closed_port_is_refused(void)
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

void the_window_follows_a_guest_that_does_not_read(void)
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

#define RAISED 40000u /* less than a quarter of the window, and than a segment over the TAP */

/* The second part, once it is told to go, up to half of what the window was raised by:
 * its end is said in steps of the window scale. */
static void *two_parts(void *arg)
{
	struct peer *p = arg;
	static uint8_t buf[NG_WINDOW + RAISED / 2];
	const int fd = kernel_connect(p->ip, p->port);

	fill(buf, 0, sizeof(buf));
	p->ok = fd >= 0 && kernel_write(fd, buf, p->n);
	while (!p->go)
		usleep(1000);
	p->ok = p->ok && kernel_write(fd, buf + p->n, sizeof(buf) - p->n);
	close(fd);
	return NULL;
}

static bool all_parts(void *arg)
{
	return ((const struct ng_sock *)arg)->rx_got == NG_WINDOW + RAISED / 2;
}

static bool first_part(void *arg)
{
	return ((const struct ng_sock *)arg)->rx_got >= 100000;
}

/* A limit raised by little, before the peer has used up what it knows of. */
void a_window_raised_by_less_than_a_segment_is_used(void)
{
	struct peer p = {.ip = g_set->guest, .n = 100000};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	static uint8_t buf[RAISED];
	int c;

	peer_start(&p, two_parts);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	g_ng[c].hold = true;
	CU_ASSERT_TRUE(ng_until(first_part, &g_ng[c], NG_WAIT_MS));
	CU_ASSERT_EQUAL(ng_recv_all(c, buf, sizeof(buf)), sizeof(buf));
	CU_ASSERT_EQUAL(ng_raise(c, NG_WINDOW + RAISED), 0);
	ng_sleep(50);
	p.go = true;
	CU_ASSERT_TRUE(ng_until(all_parts, &g_ng[c], NG_WAIT_MS));
	g_ng[c].hold = false;
	(void)ng_close(c, true);
	peer_join(&p);
	CU_ASSERT_TRUE(p.ok);
	(void)ng_close(l, false);
}

static void *slow_reader(void *arg)
{
	struct peer *p = arg;
	static uint8_t buf[1 << 16];
	const int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
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

void a_peer_with_a_zero_window_is_waited_for(void)
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

void *count_reader(void *arg)
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

void a_lingering_close_waits_for_the_last_byte(void)
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

static bool three_came(void *peer)
{
	return ((struct peer *)peer)->done == 3;
}

void corked_bytes_leave_together_or_after_a_moment(void)
{
	struct peer p = {.ip = g_set->guest};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 8);
	uint64_t sent, early;
	int c;

	peer_start(&p, count_reader);
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	sent = plat_mono_ns();
	CU_ASSERT_EQUAL(ng_send(c, "abc", 3, true), 3);
	if (!g_set->lossy && strcmp(g_set->stack, "lwip") == 0) {
		ng_sleep(80);
		early = p.done;
		/* on a busy machine the moment, 200 ms, may be over */
		if (plat_mono_ns() - sent < 180000000u)
			CU_ASSERT_EQUAL(early, 0);
	}
	if (!g_set->lossy)
		CU_ASSERT_TRUE(ng_until(three_came, &p, NG_WAIT_MS));
	CU_ASSERT_EQUAL(ng_send(c, "def", 3, true), 3);
	CU_ASSERT_EQUAL(ng_send(c, "ghi", 3, false), 3);
	(void)ng_close(c, false);
	peer_join(&p);
	CU_ASSERT_EQUAL(p.done, 9);
	(void)ng_close(l, false);
}

void *short_clients(void *arg)
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

#define LOTS 12u

/* The cheapest of three lots, from lot @i on: load beside us makes some dearer. */
static double cheapest(const double cpu[LOTS + 1], unsigned i)
{
	double best = cpu[i + 1] - cpu[i];

	for (unsigned k = i + 1; k < i + 3; k++)
		best = cpu[k + 1] - cpu[k] < best ? cpu[k + 1] - cpu[k] : best;
	return best;
}

/* Serve the clients of @p, all of them; netd's CPU time before and after each lot. */
static void serve_lots(int l, struct peer *p, double cpu[LOTS + 1])
{
	const unsigned lot = (unsigned)p->n / LOTS;

	cpu[0] = netd_cpu();
	peer_start(p, short_clients);
	for (unsigned i = 0; i < p->n; i++) {
		const int c = ng_accept(l, NG_WAIT_MS);

		CU_ASSERT_FATAL(c > 0);
		(void)ng_send(c, "done", 4, false);
		(void)ng_close(c, false); /* netd's side goes to TIME_WAIT */
		if ((i + 1) % lot == 0)
			cpu[(i + 1) / lot] = netd_cpu();
	}
	peer_join(p);
	CU_ASSERT_TRUE(p->ok);
}

/* What grew stays dear, a neighbour's load may pass: more connections are tried. */
#define TRIES 4u

void short_connections_do_not_get_slower(void)
{
	struct peer p = {.ip = g_set->guest,
	                 .n = g_set->lossy ? 48 : g_set->vnet ? 12000 : 3000};
	const int l = server(AF_INET, "0.0.0.0", &p.port, 128);
	const unsigned lot = (unsigned)p.n / LOTS;
	double cpu[LOTS + 1], first, last;

	serve_lots(l, &p, cpu);
	first = cheapest(cpu, 0);
	last = cheapest(cpu, LOTS - 3);
	for (unsigned i = 1; i < TRIES && last >= first * 2 && !g_set->lossy; i++) {
		serve_lots(l, &p, cpu);
		last = cheapest(cpu, LOTS - 3);
	}
	if (!g_set->lossy) {
		printf("[%.0f us of netd's CPU a connection at first, %.0f in the end] ",
		       first * 1e6 / lot, last * 1e6 / lot);
		CU_ASSERT_TRUE(last < first * 2);
	}
	(void)ng_close(l, false);
}

void ids_granted_late_release_queued_connections(void)
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
