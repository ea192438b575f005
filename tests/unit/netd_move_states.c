/* SPDX-License-Identifier: MIT */
/* See netd_move.h: connections in each state of TCP, and other sockets, that move. */
#include "netd_move.h"
#include "platform/platform.h"

#include <fcntl.h>
#include <net/if.h>

void swap(void)
{
	if (ng_swap(SWAP_WELL) < 0)
		exit(1);
}

int pair(int *fd, bool from_guest)
{
	uint16_t port = 0;
	int l, c;

	if (from_guest) {
		l = kernel_listen(g_set->peer, &port);
		c = ng_socket(AF_INET, SOCK_STREAM, 0);
		CU_ASSERT_EQUAL_FATAL(ng_connect(c, g_set->peer, port), 0);
		*fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
		close(l);
	} else {
		l = server(AF_INET, "0.0.0.0", &port, 8);
		*fd = kernel_connect(g_set->guest, port);
		c = ng_accept(l, NG_WAIT_MS);
		CU_ASSERT_EQUAL(ng_close(l, false), 0);
	}
	CU_ASSERT_FATAL(*fd >= 0 && c > 0);
	return c;
}

int tcp_state(int s)
{
	struct tcp_info i;
	uint32_t len = sizeof(i);

	memset(&i, 0, sizeof(i));
	CU_ASSERT_EQUAL(ng_getopt(s, IPPROTO_TCP, TCP_INFO, &i, &len), 0);
	return i.tcpi_state;
}

void say(int c, int fd, const char *text)
{
	char b[64];
	const size_t n = strlen(text);

	CU_ASSERT_EQUAL(ng_send(c, text, n, false), (int64_t)n);
	CU_ASSERT_TRUE(kernel_read(fd, b, n) && memcmp(b, text, n) == 0);
	CU_ASSERT_TRUE(kernel_write(fd, text, n));
	CU_ASSERT_EQUAL(ng_recv_all(c, b, n), (int64_t)n);
	CU_ASSERT_EQUAL(memcmp(b, text, n), 0);
}

/* ---- states that last a moment: 120 ms each way ---- */

void a_syn_in_flight_moves(void)
{
	uint16_t port;
	const int l = kernel_listen(g_set->peer, &port), c = ng_socket(AF_INET, SOCK_STREAM, 0);
	int fd;

	CU_ASSERT_EQUAL(ng_connect_start(c, g_set->peer, port), 0);
	CU_ASSERT_EQUAL(tcp_state(c), TCP_SYN_SENT);
	swap();
	CU_ASSERT_TRUE(tcp_state(c) == TCP_SYN_SENT || g_ng[c].connected);
	fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	ng_sleep(300);
	CU_ASSERT_TRUE(g_ng[c].connected);
	say(c, fd, "after a SYN moved");
	(void)ng_close(c, false);
	close(fd);
	close(l);
}

/* Nobody hears the SYN at first: its next attempt is the new netd's. */
void a_syn_that_nobody_heard_is_sent_again(void)
{
	struct sockaddr_storage ss;
	const socklen_t len = sa_make(g_set->peer, 7999, &ss);
	const int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	const int c = ng_socket(AF_INET, SOCK_STREAM, 0);
	int fd;

	ng_command("addr del " NG_KERNEL_IP "/24 dev " NG_DEVICE);
	CU_ASSERT_EQUAL(ng_connect_start(c, g_set->peer, 7999), 0);
	ng_sleep(200);
	swap();
	CU_ASSERT_EQUAL(tcp_state(c), TCP_SYN_SENT);
	ng_command("addr add " NG_KERNEL_IP "/24 dev " NG_DEVICE);
	(void)setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	CU_ASSERT_FATAL(bind(l, (struct sockaddr *)&ss, len) == 0 && listen(l, 4) == 0);
	CU_ASSERT_EQUAL(ng_until(has_error, &g_ng[c], 0), false);
	for (int i = 0; i < 40 && !g_ng[c].connected; i++)
		ng_sleep(100);
	CU_ASSERT_TRUE_FATAL(g_ng[c].connected);
	fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	say(c, fd, "at the second attempt");
	(void)ng_close(c, false);
	close(fd);
	close(l);
}

void a_half_open_connection_moves(void)
{
	uint16_t port = 0;
	const int l = server(AF_INET, "0.0.0.0", &port, 8);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ss;
	const socklen_t len = sa_make(g_set->guest, port, &ss);
	int c;

	CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&ss, len), -1);
	ng_sleep(180); /* the SYN came, its answer is on the way */
	swap();
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	CU_ASSERT_EQUAL(fcntl(fd, F_SETFL, 0), 0);
	say(c, fd, "half open");
	(void)ng_close(c, false);
	(void)ng_close(l, false);
	close(fd);
}

/* Closed by the guest, whose FIN is not acknowledged yet; then it is; then the peer
 * closes, too. */
void fin_wait_moves(void)
{
	int fd, c = pair(&fd, true);
	char b[8];

	CU_ASSERT_EQUAL(ng_shutdown(c, SHUT_WR), 0);
	CU_ASSERT_EQUAL(tcp_state(c), TCP_FIN_WAIT1);
	swap();
	CU_ASSERT_EQUAL(recv(fd, b, sizeof(b), 0), 0);
	ng_sleep(300);
	CU_ASSERT_EQUAL(tcp_state(c), TCP_FIN_WAIT2);
	swap();
	CU_ASSERT_EQUAL(tcp_state(c), TCP_FIN_WAIT2);
	CU_ASSERT_TRUE(kernel_write(fd, "last", 4));
	CU_ASSERT_EQUAL(ng_recv_all(c, b, 4), 4);
	close(fd);
	CU_ASSERT_EQUAL(ng_recv(c, b, 4), 0);
	(void)ng_close(c, false);
}

void close_wait_and_last_ack_move(void)
{
	int fd, c = pair(&fd, false);
	char b[8];

	CU_ASSERT_EQUAL(shutdown(fd, SHUT_WR), 0);
	CU_ASSERT_EQUAL(ng_recv(c, b, 4), 0);
	CU_ASSERT_EQUAL(tcp_state(c), TCP_CLOSE_WAIT);
	swap();
	CU_ASSERT_EQUAL(tcp_state(c), TCP_CLOSE_WAIT);
	CU_ASSERT_EQUAL(ng_send(c, "more", 4, false), 4);
	(void)ng_close(c, false); /* LAST_ACK, and nobody's */
	ng_sleep(20);
	swap();
	CU_ASSERT_TRUE(kernel_read(fd, b, 4));
	CU_ASSERT_EQUAL(recv(fd, b, 4, 0), 0);
	close(fd);
	ng_sleep(300);
}

void both_close_at_once_and_move(void)
{
	int fd, c = pair(&fd, false);
	char b[8];

	CU_ASSERT_EQUAL(shutdown(fd, SHUT_WR), 0);
	CU_ASSERT_EQUAL(ng_shutdown(c, SHUT_WR), 0); /* the FINs cross */
	for (int i = 0; i < 60 && tcp_state(c) != TCP_CLOSING; i++)
		ng_sleep(5);
	CU_ASSERT_EQUAL(tcp_state(c), TCP_CLOSING);
	swap();
	CU_ASSERT_EQUAL(ng_recv(c, b, 4), 0);
	CU_ASSERT_EQUAL(recv(fd, b, 4, 0), 0);
	ng_sleep(400);
	CU_ASSERT_NOT_EQUAL(tcp_state(c), TCP_CLOSING);
	(void)ng_close(c, false);
	close(fd);
}

void time_wait_moves(void)
{
	int fd, c = pair(&fd, false), s;
	const uint16_t port = g_ng[c].local_port;
	char b[8];

	(void)ng_close(c, false);
	CU_ASSERT_EQUAL(recv(fd, b, 4, 0), 0);
	close(fd);
	ng_sleep(400);
	swap();
	s = ng_socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL(ng_bind(s, "0.0.0.0", port), -EADDRINUSE);
	CU_ASSERT_EQUAL(ng_setint(s, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CU_ASSERT_EQUAL(ng_bind(s, "0.0.0.0", port), 0);
	(void)ng_close(s, false);
}

static void *lingerer(void *arg)
{
	struct peer *p = arg;

	p->err = ng_close_linger((int)p->n, 5000);
	p->done = 1;
	return NULL;
}

/* The call is in flight: the guest sends it again, and the new netd waits on. */
void a_lingering_close_goes_on(void)
{
	struct peer p = {0};
	int fd, c = pair(&fd, true);
	uint64_t soonest; /* 120 ms there; the link of the next netd may be faster back */
	char b[8];

	soonest = plat_mono_ns() + 120000000u;
	CU_ASSERT_EQUAL(ng_send(c, "bye", 3, false), 3);
	p.n = (uint64_t)c;
	peer_start(&p, lingerer);
	usleep(40000);
	CU_ASSERT_TRUE(p.done == 0 || plat_mono_ns() >= soonest);
	swap();
	CU_ASSERT_TRUE(p.done == 0 || plat_mono_ns() >= soonest);
	peer_join(&p);
	CU_ASSERT_EQUAL(p.err, 0);
	CU_ASSERT_TRUE(kernel_read(fd, b, 3));
	CU_ASSERT_EQUAL(recv(fd, b, 4, 0), 0);
	close(fd);
}

/* ---- what stands still for long ---- */

void closed_windows_move(void)
{
	static uint8_t out[3 << 20], in[64];
	int fd, c = pair(&fd, true), small = 4096;
	uint64_t sent = 0, got = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	fill(out, 0, sizeof(out));
	g_ng[c].hold = true;
	CU_ASSERT_TRUE(kernel_write(fd, out, NG_WINDOW / 2));
	while (sent < g_ng[c].tx_limit && sent < sizeof(out)) { /* until all buffers are full */
		const uint64_t n = g_ng[c].tx_limit - sent < 16384 ? g_ng[c].tx_limit - sent : 16384;

		CU_ASSERT_EQUAL_FATAL(ng_send(c, out + sent, n, false), (int64_t)n);
		sent += n;
		ng_sleep(5);
	}
	for (int i = 0; i < 5; i++) {
		swap();
		ng_sleep(300); /* probes of the closed window */
	}
	while (got < sent) {
		const ssize_t n = recv(fd, out + sent, sizeof(out) - sent, 0);

		CU_ASSERT_FATAL(n > 0);
		CU_ASSERT_TRUE(same(out + sent, got, (uint64_t)n));
		got += (uint64_t)n;
		if (got % 7 == 0)
			ng_sleep(1);
	}
	for (got = 0; got < NG_WINDOW / 2; got += sizeof(in)) {
		CU_ASSERT_EQUAL(ng_recv_all(c, in, sizeof(in)), sizeof(in));
		CU_ASSERT_TRUE(same(in, got, sizeof(in)));
	}
	(void)ng_close(c, false);
	close(fd);
}

void a_guest_that_does_not_read_moves(void)
{
	static uint8_t b[65536];
	int fd, c = pair(&fd, false);
	uint64_t wrote = 0, got = 0;
	ssize_t n;

	g_ng[c].hold = true; /* the window stays where it is */
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 40; i++) {
		fill(b, wrote, sizeof(b));
		n = send(fd, b, sizeof(b), MSG_NOSIGNAL);
		wrote += n > 0 ? (uint64_t)n : 0;
		ng_sleep(5);
	}
	for (int i = 0; i < 3; i++) {
		swap();
		ng_sleep(100);
	}
	g_ng[c].hold = false;
	while (got < wrote) {
		const int64_t k = ng_recv(c, b, sizeof(b));

		CU_ASSERT_FATAL(k > 0);
		CU_ASSERT_TRUE(same(b, got, (uint64_t)k));
		got += (uint64_t)k;
		if (g_ng[c].rx_limit < g_ng[c].rx_read + NG_WINDOW)
			(void)ng_raise(c, g_ng[c].rx_read + NG_WINDOW);
	}
	(void)ng_close(c, false);
	close(fd);
}

void keepalive_finds_a_dead_peer_after_moves(void)
{
	int fd, c = pair(&fd, true);

	CU_ASSERT_EQUAL(ng_setint(c, SOL_SOCKET, SO_KEEPALIVE, 1), 0);
	CU_ASSERT_EQUAL(ng_setint(c, IPPROTO_TCP, TCP_KEEPIDLE, 1), 0);
	CU_ASSERT_EQUAL(ng_setint(c, IPPROTO_TCP, TCP_KEEPINTVL, 1), 0);
	CU_ASSERT_EQUAL(ng_setint(c, IPPROTO_TCP, TCP_KEEPCNT, 2), 0);
	ng_sleep(2500); /* it answers */
	swap();
	ng_sleep(1500);
	CU_ASSERT_FALSE(g_ng[c].fatal);
	ng_command("link set " NG_DEVICE " down");
	ng_sleep(500);
	swap();
	CU_ASSERT_TRUE(ng_until(has_error, &g_ng[c], 8000));
	CU_ASSERT_EQUAL(g_ng[c].err, ETIMEDOUT);
	ng_command("link set " NG_DEVICE " up");
	ng_command("addr add " NG_KERNEL_IP6 "/64 dev " NG_DEVICE " nodad");
	(void)ng_close(c, false);
	close(fd);
}

void datagrams_and_groups_move(void)
{
	const int u = ng_socket(AF_INET, SOCK_DGRAM, 0), g = ng_socket(AF_INET, SOCK_DGRAM, 0);
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const struct ip_mreqn out = {.imr_ifindex = (int)if_nametoindex(NG_DEVICE)};
	uint8_t mreq[8] = {239, 1, 2, 3};
	struct sockaddr_storage ss;
	struct ng_dgram *d;
	socklen_t len;
	char b[32];

	CU_ASSERT_EQUAL(ng_bind(u, "0.0.0.0", 0), 0);
	CU_ASSERT_EQUAL(ng_bind(g, "0.0.0.0", 0), 0);
	CU_ASSERT_EQUAL(ng_setopt(g, IPPROTO_IP, IP_ADD_MEMBERSHIP, mreq, 8), 0);
	CU_ASSERT_EQUAL(ng_raise(u, g_ng[u].rx_limit), 0);
	len = sa_make(g_set->guest, g_ng[u].local_port, &ss);
	for (int i = 0; i < 400; i++) { /* more than the window: the rest waits in netd */
		static char big[1400];

		(void)snprintf(big, sizeof(big), "%d", i);
		CU_ASSERT_EQUAL(sendto(fd, big, sizeof(big), 0, (void *)&ss, len), sizeof(big));
		ng_sleep(1);
	}
	ng_sleep(100);
	swap();
	for (int i = 0; i < 200; i++) {
		d = ng_recvfrom(u, NG_WAIT_MS);
		CU_ASSERT_PTR_NOT_NULL_FATAL(d);
		(void)snprintf(b, sizeof(b), "%d", i);
		CU_ASSERT_TRUE(d->len == 1400 && strcmp((char *)d->data, b) == 0);
		free(d);
	}
	len = sa_make("239.1.2.3", g_ng[g].local_port, &ss);
	CU_ASSERT_EQUAL(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)), 0);
	CU_ASSERT_EQUAL(sendto(fd, "group", 5, 0, (void *)&ss, len), 5);
	d = ng_recvfrom(g, NG_WAIT_MS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(memcmp(d->data, "group", 5), 0);
	free(d);
	CU_ASSERT_EQUAL(ng_setopt(g, IPPROTO_IP, IP_DROP_MEMBERSHIP, mreq, 8), 0);
	CU_ASSERT_EQUAL(ng_setopt(g, IPPROTO_IP, IP_DROP_MEMBERSHIP, mreq, 8), -EADDRNOTAVAIL);
	close(fd);
	(void)ng_close(u, false);
	(void)ng_close(g, false);
}

void options_and_names_move(void)
{
	int fd, c = pair(&fd, true), l = ng_socket(AF_INET6, SOCK_STREAM, 0);
	struct linger lg = {1, 33}, got = {0, 0};
	uint32_t n = sizeof(got);

	CU_ASSERT_EQUAL(ng_setint(c, IPPROTO_TCP, TCP_NODELAY, 1), 0);
	CU_ASSERT_EQUAL(ng_setint(c, IPPROTO_IP, IP_TTL, 77), 0);
	CU_ASSERT_EQUAL(ng_setopt(c, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)), 0);
	CU_ASSERT_EQUAL(ng_setint(l, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
	CU_ASSERT_EQUAL(ng_bind(l, "::", 7123), 0);
	swap();
	CU_ASSERT_EQUAL(ng_getint(c, IPPROTO_TCP, TCP_NODELAY), 1);
	CU_ASSERT_EQUAL(ng_getint(c, IPPROTO_IP, IP_TTL), 77);
	CU_ASSERT_EQUAL(ng_getopt(c, SOL_SOCKET, SO_LINGER, &got, &n), 0);
	CU_ASSERT_TRUE(got.l_onoff == 1 && got.l_linger == 33);
	CU_ASSERT_EQUAL(ng_getint(l, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	CU_ASSERT_EQUAL(ng_bind(ng_socket(AF_INET6, SOCK_STREAM, 0), "::", 7123), -EADDRINUSE);
	CU_ASSERT_EQUAL(ng_listen(l, 4, 4), 0);
	fd = (close(fd), kernel_connect(g_set->guest6, 7123));
	CU_ASSERT_TRUE(fd >= 0);
	close(fd);
	CU_ASSERT_EQUAL(kernel_connect(g_set->guest, 7123), -ECONNREFUSED);
	(void)ng_close(c, true);
	(void)ng_close(l, false);
}
