/* SPDX-License-Identifier: MIT */
/* Within the guest, datagrams, floods, and the end of a guest. */
#include "netd_net.h"

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

void a_guest_reaches_itself(void)
{
	own_address(AF_INET, "127.0.0.1");
	own_address(AF_INET, g_set->guest);
	own_address(AF_INET6, "::1");
	own_address(AF_INET6, g_set->guest6);
	own_address(AF_INET6, "::ffff:127.0.0.1");
}

void bind_follows_linux(void)
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

void a_listener_restarts_past_time_wait(void)
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

void options_answer_as_linux(void)
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

void datagrams_come_back(void)
{
	udp_over(AF_INET, g_set->peer);
	udp_over(AF_INET6, g_set->peer6);
}

void a_refused_datagram_is_reported_when_connected(void)
{
	const int u = ng_socket(AF_INET, SOCK_DGRAM, 0);

	CU_ASSERT_EQUAL(ng_connect(u, g_set->peer, 9), 0);
	CU_ASSERT_EQUAL(ng_sendto(u, NULL, 0, "x", 1), 0);
	CU_ASSERT_TRUE(ng_until(has_error, &g_ng[u], 3000));
	CU_ASSERT_EQUAL(g_ng[u].err, ECONNREFUSED);
	CU_ASSERT_FALSE(g_ng[u].fatal);
	(void)ng_close(u, false);
}

void udp_within_the_guest_and_its_rules(void)
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

uint16_t icmp_sum(const uint8_t *b, size_t n)
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

void ping_sockets_hear_echoes(void)
{
	ping_once(AF_INET, g_set->peer);
	ping_once(AF_INET, "127.0.0.1");
	ping_once(AF_INET6, g_set->peer6);
}

void the_guest_answers_pings(void)
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

void a_vanished_peer_times_out(void)
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
	ng_command("link set " NG_DEVICE " down");
	CU_ASSERT_EQUAL(ng_send(c, "anybody?", 8, false), 8);
	CU_ASSERT_TRUE(ng_until(has_error, &g_ng[c], 5000));
	CU_ASSERT_EQUAL(g_ng[c].err, ETIMEDOUT);
	CU_ASSERT_TRUE(g_ng[c].fatal);
	ng_command("link set " NG_DEVICE " up");
	ng_command("addr add " NG_KERNEL_IP6 "/64 dev " NG_DEVICE " nodad");
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

void half_open_peers_do_not_shut_others_out(void)
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

void a_guest_that_dies_leaves_as_linux_does(void)
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

void a_post_at_a_wrong_offset_breaks_the_channel(void)
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
