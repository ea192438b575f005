/* SPDX-License-Identifier: MIT */
/*
 * The net client (libos/net_restore.c) when netd is killed and started again: a real
 * netd on its loop link, so that both ends of a connection are this guest's.
 */
#include "libos/net.h"
#include "tests/testlib/testlib.h"
#include "tests/unit/supervisor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ALL_IO (POLLIN | POLLOUT | POLLRDHUP)

static const char *g_netd;
static struct plat_config g_conf = {.cwd = "/", .client_id = "net-recover-test"};

static bool start_all(void)
{
	static Control__Configure conf = CONTROL__CONFIGURE__INIT;
	static Control__NetConfig net = CONTROL__NET_CONFIG__INIT;

	net.stack = bytes("lwip", 4);
	net.link = bytes("loop", 4);
	conf.net = &net;
	conf.instance = bytes("net-recover-test", 16);
	g_conf.recover_ns = 60000000000u;
	return supervisor_start(g_netd, "netd", &conf, NULL, 0) &&
	       supervisor_guest(&g_conf, &g_conf.net) && rpc_up(&g_net_chan);
}

static void another(void)
{
	CU_ASSERT(supervisor_restart());
}

/* Any call that netd answers comes after all is restored. */
static void settled(void)
{
	EQ(rpc_ping(&g_net_chan), 0);
}

/* ---- sockets ---- */

static struct sockaddr_in loop(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	                            .sin_port = htons((uint16_t)port),
	                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static long bound(int type, struct sockaddr_in *a)
{
	long fd = SYS(SYS_socket, AF_INET, type, 0);
	socklen_t len = sizeof(*a);

	*a = loop(0);
	EQ(SYS(SYS_bind, fd, a, sizeof(*a)), 0);
	EQ(SYS(SYS_getsockname, fd, a, &len), 0);
	return fd;
}

static long listener(struct sockaddr_in *a)
{
	long fd = bound(SOCK_STREAM, a);

	EQ(SYS(SYS_listen, fd, 8), 0);
	return fd;
}

static long connected(const struct sockaddr_in *a)
{
	long fd = SYS(SYS_socket, AF_INET, SOCK_STREAM, 0);

	EQ(SYS(SYS_connect, fd, a, sizeof(*a)), 0);
	return fd;
}

static void pair(long l, const struct sockaddr_in *a, long sv[2])
{
	sv[0] = connected(a);
	sv[1] = SYS(SYS_accept4, l, NULL, NULL, 0);
	CU_ASSERT(sv[1] >= 0);
}

static void talk(const long sv[2])
{
	char b[4];

	for (int i = 0; i < 2; i++) {
		EQ(SYS(SYS_sendto, sv[i], "abc", 3, MSG_NOSIGNAL), 3);
		EQ(SYS(SYS_recvfrom, sv[!i], b, 3, MSG_WAITALL), 3);
		EQ(memcmp(b, "abc", 3), 0);
	}
}

static short ready(long fd)
{
	struct pollfd p = {.fd = (int)fd, .events = ALL_IO};

	(void)SYS(SYS_poll, &p, 1, 0);
	return p.revents;
}

static short becomes(long fd, short what)
{
	struct pollfd p = {.fd = (int)fd, .events = what};

	(void)SYS(SYS_poll, &p, 1, 10000);
	return p.revents;
}

static int get(long fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	EQ(SYS(SYS_getsockopt, fd, level, name, &v, &len), 0);
	return v;
}

static void set(long fd, int level, int name, int v)
{
	EQ(SYS(SYS_setsockopt, fd, level, name, &v, sizeof(v)), 0);
}

static int port_of(long fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	EQ(SYS(SYS_getsockname, fd, &a, &len), 0);
	return ntohs(a.sin_port);
}

static void close_all(const long *fds, int n)
{
	for (int i = 0; i < n; i++)
		EQ(SYS(SYS_close, fds[i]), 0);
}

/* ---- listeners ---- */

struct accepting {
	long l, got;
};

static void *accept_one(void *arg)
{
	struct accepting *a = arg;

	a->got = SYS(SYS_accept4, a->l, NULL, NULL, 0);
	return NULL;
}

static void accept_goes_on_waiting(void)
{
	struct sockaddr_in a;
	struct accepting w = {.l = listener(&a)};
	pthread_t t;
	long sv[2];

	EQ(testlib_thread(&t, accept_one, &w), 0);
	usleep(30000);
	another();
	sv[0] = connected(&a);
	pthread_join(t, NULL);
	CU_ASSERT(w.got >= 0);
	sv[1] = w.got;
	talk(sv);
	close_all(sv, 2);
	pair(w.l, &a, sv);
	talk(sv);
	close_all(sv, 2);
	EQ(SYS(SYS_close, w.l), 0);
}

static void connections_nobody_accepted_are_gone(void)
{
	struct sockaddr_in a;
	long l = listener(&a), c[3], sv[2];
	char b;

	for (int i = 0; i < 3; i++)
		c[i] = connected(&a);
	EQ(becomes(l, POLLIN), POLLIN);
	another();
	settled();
	EQ(ready(l), 0);
	for (int i = 0; i < 3; i++)
		EQ(SYS(SYS_recvfrom, c[i], &b, 1), -ECONNRESET);
	for (int i = 0; i < 40; i++) { /* more than the ids of a backlog */
		pair(l, &a, sv);
		close_all(sv, 2);
	}
	close_all(c, 3);
	EQ(SYS(SYS_close, l), 0);
}

static void options_are_set_again(void)
{
	struct sockaddr_in a;
	long l = SYS(SYS_socket, AF_INET, SOCK_STREAM, 0), sv[2];
	socklen_t len = sizeof(a);

	a = loop(0);
	set(l, SOL_SOCKET, SO_REUSEADDR, 1);
	set(l, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set(l, IPPROTO_TCP, TCP_KEEPIDLE, 78);
	set(l, IPPROTO_TCP, TCP_NODELAY, 1); /* posted */
	EQ(SYS(SYS_bind, l, &a, sizeof(a)), 0);
	EQ(SYS(SYS_listen, l, 8), 0);
	EQ(SYS(SYS_getsockname, l, &a, &len), 0);
	another();
	EQ(get(l, SOL_SOCKET, SO_REUSEADDR), 1);
	EQ(get(l, IPPROTO_TCP, TCP_KEEPIDLE), 78);
	EQ(get(l, IPPROTO_TCP, TCP_NODELAY), 1);
	EQ(get(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
	pair(l, &a, sv);
	EQ(get(sv[1], IPPROTO_TCP, TCP_KEEPIDLE), 78); /* inherited, by the new netd */
	close_all(sv, 2);
	EQ(SYS(SYS_close, l), 0);
}

static void a_socket_not_yet_used_can_be_used(void)
{
	struct sockaddr_in a, b;
	long l = bound(SOCK_STREAM, &a), c = bound(SOCK_STREAM, &b), fd, sv[2];

	fd = SYS(SYS_socket, AF_INET, SOCK_STREAM, 0);
	another();
	EQ(SYS(SYS_bind, l, &a, sizeof(a)), -EINVAL);
	EQ(SYS(SYS_listen, l, 8), 0);
	EQ(SYS(SYS_connect, c, &a, sizeof(a)), 0);
	EQ(port_of(c), ntohs(b.sin_port));
	sv[0] = c;
	sv[1] = SYS(SYS_accept4, l, NULL, NULL, 0);
	talk(sv);
	EQ(SYS(SYS_connect, fd, &a, sizeof(a)), 0);
	close_all(sv, 2);
	EQ(SYS(SYS_close, fd), 0);
	EQ(SYS(SYS_close, l), 0);
}

/* ---- connections ---- */

static void what_came_is_read_before_the_reset(void)
{
	struct sockaddr_in a;
	long l = listener(&a), sv[2];
	char b[8];

	pair(l, &a, sv);
	EQ(SYS(SYS_sendto, sv[0], "hello", 5, 0), 5);
	EQ(becomes(sv[1], POLLIN), POLLIN);
	another();
	settled();
	for (int i = 0; i < 2; i++)
		EQ(ready(sv[i]), ALL_IO | POLLERR | POLLHUP);
	EQ(SYS(SYS_recvfrom, sv[1], b, 2), 2);
	EQ(SYS(SYS_recvfrom, sv[1], b + 2, 6), 3);
	EQ(memcmp(b, "hello", 5), 0);
	EQ(SYS(SYS_recvfrom, sv[1], b, 1), -ECONNRESET);
	EQ(SYS(SYS_recvfrom, sv[1], b, 1), 0);
	EQ(SYS(SYS_sendto, sv[1], "x", 1, MSG_NOSIGNAL), -EPIPE);
	EQ(get(sv[0], SOL_SOCKET, SO_ERROR), ECONNRESET);
	EQ(get(sv[0], SOL_SOCKET, SO_ERROR), 0);
	EQ(SYS(SYS_shutdown, sv[0], SHUT_WR), -ENOTCONN);
	close_all(sv, 2);
	EQ(SYS(SYS_close, l), 0);
}

static void a_send_is_told_of_the_reset(void)
{
	struct sockaddr_in a;
	long l = listener(&a), sv[2];

	pair(l, &a, sv);
	another();
	settled();
	EQ(SYS(SYS_sendto, sv[0], "x", 1, MSG_NOSIGNAL), -ECONNRESET);
	EQ(SYS(SYS_sendto, sv[0], "x", 1, MSG_NOSIGNAL), -EPIPE);
	close_all(sv, 2);
	EQ(SYS(SYS_close, l), 0);
}

static void ends_that_were_closed_stay_so(void)
{
	struct sockaddr_in a;
	long l = listener(&a), sv[2];
	char b;

	pair(l, &a, sv);
	for (int i = 0; i < 2; i++) {
		EQ(SYS(SYS_shutdown, sv[i], SHUT_WR), 0);
		EQ(SYS(SYS_recvfrom, sv[!i], &b, 1), 0);
	}
	usleep(20000);
	another();
	settled();
	for (int i = 0; i < 2; i++) {
		EQ(SYS(SYS_recvfrom, sv[i], &b, 1), 0);
		EQ(get(sv[i], SOL_SOCKET, SO_ERROR), 0);
	}
	close_all(sv, 2);
	pair(l, &a, sv); /* half closed: by the peer, by us */
	EQ(SYS(SYS_shutdown, sv[0], SHUT_WR), 0);
	EQ(becomes(sv[1], POLLRDHUP), POLLRDHUP);
	another();
	settled();
	EQ(get(sv[1], SOL_SOCKET, SO_ERROR), EPIPE);
	EQ(SYS(SYS_recvfrom, sv[1], &b, 1), 0);
	EQ(SYS(SYS_recvfrom, sv[0], &b, 1), -ECONNRESET);
	close_all(sv, 2);
	EQ(SYS(SYS_close, l), 0);
}

static void *read_till_reset(void *arg)
{
	char b[16];

	EQ(SYS(SYS_recvfrom, *(long *)arg, b, sizeof(b)), -ECONNRESET);
	return NULL;
}

static void who_waits_is_told(void)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = 7}, got = {0};
	struct sockaddr_in a;
	long l = listener(&a), ep = SYS(SYS_epoll_create1, 0), sv[2];
	pthread_t t;

	pair(l, &a, sv);
	EQ(SYS(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, sv[1], &e), 0);
	e.data.u32 = 8;
	EQ(SYS(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, l, &e), 0);
	EQ(testlib_thread(&t, read_till_reset, &sv[0]), 0);
	usleep(20000);
	another();
	EQ(SYS(SYS_epoll_wait, ep, &got, 1, 10000), 1);
	EQ(got.data.u32, 7);
	EQ(got.events, EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP);
	pthread_join(t, NULL);
	close_all(sv, 2);
	sv[0] = connected(&a);
	EQ(SYS(SYS_epoll_wait, ep, &got, 1, 10000), 1);
	EQ(got.data.u32, 8);
	EQ(got.events, EPOLLIN);
	sv[1] = SYS(SYS_accept4, l, NULL, NULL, 0);
	talk(sv);
	close_all(sv, 2);
	EQ(SYS(SYS_close, ep), 0);
	EQ(SYS(SYS_close, l), 0);
}

static void a_lost_connection_answers_questions(void)
{
	static const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in a;
	long l = listener(&a), sv[2], d;
	int n;

	pair(l, &a, sv);
	set(sv[0], IPPROTO_TCP, TCP_KEEPIDLE, 99);
	EQ(SYS(SYS_sendto, sv[0], "123456", 6, 0), 6);
	another();
	EQ(get(sv[0], IPPROTO_TCP, TCP_KEEPIDLE), 99);
	set(sv[0], IPPROTO_TCP, TCP_KEEPIDLE, 98);
	EQ(SYS(SYS_ioctl, sv[0], FIONREAD, &n), 0);
	EQ(SYS(SYS_ioctl, sv[1], TIOCOUTQ, &n), 0);
	for (int i = 0; i < 2; i++) { /* asked before, and not */
		EQ(SYS(SYS_connect, sv[i], &none, sizeof(none)), 0);
		EQ(SYS(SYS_connect, sv[i], &a, sizeof(a)), 0);
		d = SYS(SYS_accept4, l, NULL, NULL, 0);
		talk((const long[]){sv[i], d});
		EQ(SYS(SYS_close, d), 0);
	}
	EQ(get(sv[0], IPPROTO_TCP, TCP_KEEPIDLE), 98);
	for (int i = 0; i < 2; i++)
		EQ(becomes(sv[i], POLLRDHUP), POLLRDHUP);
	another(); /* their bytes are not counted from 0 */
	settled();
	for (int i = 0; i < 2; i++) {
		EQ(get(sv[i], SOL_SOCKET, SO_ERROR), EPIPE); /* the peer had closed */
		EQ(SYS(SYS_connect, sv[i], &none, sizeof(none)), 0);
	}
	another();
	for (int i = 0; i < 2; i++) {
		EQ(SYS(SYS_connect, sv[i], &a, sizeof(a)), 0);
		d = SYS(SYS_accept4, l, NULL, NULL, 0);
		talk((const long[]){sv[i], d});
		EQ(SYS(SYS_close, d), 0);
	}
	close_all(sv, 2);
	EQ(SYS(SYS_close, l), 0);
}

#define MANY 60

static void *connect_it(void *arg)
{
	struct sockaddr_in *a = arg;
	long fd = SYS(SYS_socket, AF_INET, SOCK_STREAM, 0);

	EQ(SYS(SYS_connect, fd, a, sizeof(*a)), 0);
	EQ(SYS(SYS_close, fd), 0);
	return NULL;
}

/* Attempts that a full queue keeps waiting: the next instance's is empty. */
static void connecting_begins_anew(void)
{
	struct sockaddr_in a;
	long l = bound(SOCK_STREAM, &a), c[MANY], s;
	int waiting = 0, done = 0;
	pthread_t t;

	EQ(SYS(SYS_listen, l, 1), 0);
	for (int i = 0; i < MANY; i++) {
		c[i] = SYS(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		EQ(SYS(SYS_connect, c[i], &a, sizeof(a)), -EINPROGRESS);
	}
	EQ(testlib_thread(&t, connect_it, &a), 0); /* waits in connect() */
	usleep(100000);
	for (int i = 0; i < MANY; i++)
		waiting += ready(c[i]) == 0;
	CU_ASSERT(waiting > 0);
	another();
	settled();
	for (int i = 0; i < MANY; i++) {
		const short r = ready(c[i]);

		CU_ASSERT(r == 0 || r == POLLOUT || r == (ALL_IO | POLLERR | POLLHUP));
		done += r != 0 && r != POLLOUT;
	}
	EQ(done, MANY - waiting); /* those are reset, the others are not */
	for (int i = 0; i < waiting + 1; i++) {
		s = SYS(SYS_accept4, l, NULL, NULL, 0);
		CU_ASSERT(s >= 0);
		EQ(SYS(SYS_close, s), 0);
	}
	pthread_join(t, NULL);
	close_all(c, MANY);
	EQ(SYS(SYS_close, l), 0);
}

/* ---- datagrams ---- */

static void datagrams_go_on(void)
{
	struct sockaddr_in a, b, from;
	long s = bound(SOCK_DGRAM, &a), c = SYS(SYS_socket, AF_INET, SOCK_DGRAM, 0), x;
	socklen_t len = sizeof(b), fl = sizeof(from);
	static char buf[9000];
	int port;

	EQ(SYS(SYS_connect, c, &a, sizeof(a)), 0); /* its port was chosen */
	EQ(SYS(SYS_getsockname, c, &b, &len), 0);
	x = SYS(SYS_socket, AF_INET, SOCK_DGRAM, 0);
	EQ(SYS(SYS_sendto, x, "x", 1, 0, &a, sizeof(a)), 1); /* so was this one's */
	port = port_of(x);
	EQ(SYS(SYS_recvfrom, s, buf, sizeof(buf)), 1);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 200; i++) { /* more than a window: it must move on */
			EQ(SYS(SYS_sendto, c, buf, sizeof(buf), 0), sizeof(buf));
			EQ(SYS(SYS_recvfrom, s, buf, sizeof(buf), 0, &from, &fl), sizeof(buf));
			EQ(from.sin_port, b.sin_port);
		}
		EQ(SYS(SYS_sendto, c, "kept", 4, 0), 4);
		EQ(becomes(s, POLLIN), POLLIN);
		another();
		EQ(SYS(SYS_sendto, x, "after", 5, 0, &a, sizeof(a)), 5);
		EQ(SYS(SYS_recvfrom, s, buf, 8, 0), 4);
		EQ(memcmp(buf, "kept", 4), 0);
		EQ(SYS(SYS_recvfrom, s, buf, 8, 0, &from, &fl), 5);
		EQ(ntohs(from.sin_port), port);
		EQ(port_of(x), port);
		EQ(port_of(c), ntohs(b.sin_port));
		EQ(SYS(SYS_sendto, s, "back", 4, 0, &b, sizeof(b)), 4);
		EQ(SYS(SYS_recvfrom, c, buf, 8, 0), 4);
	}
	close_all((const long[]){s, c, x}, 3);
}

static void groups_are_joined_again(void)
{
	struct ip_mreqn m = {.imr_multiaddr.s_addr = htonl(0xe0010203),
	                     .imr_address.s_addr = htonl(INADDR_LOOPBACK)};
	struct ip_mreqn n = m;
	struct sockaddr_in any = {.sin_family = AF_INET};
	long s = SYS(SYS_socket, AF_INET, SOCK_DGRAM, 0);

	n.imr_multiaddr.s_addr = htonl(0xe0010204);
	EQ(SYS(SYS_bind, s, &any, sizeof(any)), 0);
	EQ(SYS(SYS_setsockopt, s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), 0);
	EQ(SYS(SYS_setsockopt, s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof(n)), 0);
	EQ(SYS(SYS_setsockopt, s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)), 0);
	another();
	EQ(SYS(SYS_setsockopt, s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof(n)), -EADDRINUSE);
	EQ(SYS(SYS_setsockopt, s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)), -EADDRNOTAVAIL);
	EQ(SYS(SYS_setsockopt, s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &n, sizeof(n)), 0);
	another();
	EQ(SYS(SYS_setsockopt, s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &n, sizeof(n)), -EADDRNOTAVAIL);
	EQ(SYS(SYS_close, s), 0);
}

static void shutdown_stays(void)
{
	struct sockaddr_in a;
	long s = bound(SOCK_DGRAM, &a);
	char b;

	EQ(SYS(SYS_connect, s, &a, sizeof(a)), 0);
	EQ(SYS(SYS_shutdown, s, SHUT_WR), 0);
	another();
	EQ(SYS(SYS_sendto, s, "x", 1, MSG_NOSIGNAL), -EPIPE);
	EQ(SYS(SYS_recvfrom, s, &b, 1, MSG_DONTWAIT), -EAGAIN);
	EQ(SYS(SYS_close, s), 0);
}

/* ---- while all is busy ---- */

#define THREADS 5

static _Atomic int g_stop;
static _Atomic unsigned g_done, g_wrong;

static void expect(long r, const char *what)
{
	static const int errs[] = {ECONNRESET, EPIPE, ENOTCONN, ECONNABORTED, 0};

	if (r >= 0)
		return;
	for (const int *e = errs; *e; e++)
		if (r == -*e)
			return;
	fprintf(stderr, "%s gives %ld\n", what, r);
	atomic_fetch_add(&g_wrong, 1);
}

/* A server and its client in one: everything but a reset is wrong. */
static void one_turn(long l, const struct sockaddr_in *a, long u, const struct sockaddr_in *ua)
{
	static const struct sockaddr none = {.sa_family = AF_UNSPEC};
	long c = SYS(SYS_socket, AF_INET, SOCK_STREAM, 0), s = -1, r;
	struct pollfd p = {.fd = (int)l, .events = POLLIN};
	int v = 1;
	char b[64];

	CU_ASSERT_FATAL(c >= 0);
	EQ(SYS(SYS_setsockopt, c, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)), 0);
	EQ(SYS(SYS_setsockopt, c, IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof(v)), 0);
	r = SYS(SYS_connect, c, a, sizeof(*a));
	expect(r, "connect");
	if (SYS(SYS_poll, &p, 1, 300) == 1) { /* else it was lost in the queue */
		s = SYS(SYS_accept4, l, NULL, NULL, 0);
		if (s != -EAGAIN)
			expect(s, "accept");
	}
	r = SYS(SYS_sendto, c, "data", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
	expect(r, "send");
	if (s >= 0 && r == 4)
		expect(SYS(SYS_recvfrom, s, b, sizeof(b)), "recv");
	expect(SYS(SYS_getsockopt, c, IPPROTO_TCP, TCP_KEEPIDLE, b, &(socklen_t){4}), "getsockopt");
	expect(SYS(SYS_connect, c, &none, sizeof(none)), "give up");
	expect(SYS(SYS_sendto, u, "data", 4, 0, ua, sizeof(*ua)), "udp send");
	r = SYS(SYS_recvfrom, u, b, sizeof(b), MSG_DONTWAIT);
	if (r != -EAGAIN)
		expect(r, "udp recv");
	EQ(SYS(SYS_close, c), 0);
	if (s >= 0)
		EQ(SYS(SYS_close, s), 0);
	atomic_fetch_add(&g_done, 1);
}

static void *serve(void *arg)
{
	struct sockaddr_in a, ua;
	long l = listener(&a), u = bound(SOCK_DGRAM, &ua);

	(void)arg;
	EQ(SYS(SYS_fcntl, l, 4 /* F_SETFL */, 04000 /* O_NONBLOCK */), 0);
	while (!g_stop)
		one_turn(l, &a, u, &ua);
	EQ(SYS(SYS_close, l), 0);
	EQ(SYS(SYS_close, u), 0);
	return NULL;
}

static void busy_threads_see_resets_alone(void)
{
	pthread_t t[THREADS];
	unsigned seed = (unsigned)time(NULL);

	fprintf(stderr, "seed %u\n", seed);
	for (int i = 0; i < THREADS; i++)
		EQ(testlib_thread(&t[i], serve, NULL), 0);
	for (int i = 0; i < 12; i++) {
		const unsigned before = g_done;

		usleep(20000 + (unsigned)rand_r(&seed) % 60000);
		another();
		for (int k = 0; k < 500 && g_done < before + 3 * THREADS; k++)
			usleep(10000);
		CU_ASSERT(g_done >= before + 3 * THREADS);
	}
	g_stop = 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	EQ(g_wrong, 0);
	CU_ASSERT(rpc_up(&g_net_chan));
}

static void pools_are_empty(void)
{
	EQ(pool_used(&g_net_blocks), 0);
	EQ(pool_used(&g_net_dgrams), 0);
	EQ(pool_used(&g_net_opts), 0);
}

static void the_end(void)
{
	EQ(supervisor_stop(), 0);
}

int main(int argc, char **argv)
{
	static CU_TestInfo tests[] = {
	        TEST(accept_goes_on_waiting),
	        TEST(connections_nobody_accepted_are_gone),
	        TEST(options_are_set_again),
	        TEST(a_socket_not_yet_used_can_be_used),
	        TEST(what_came_is_read_before_the_reset),
	        TEST(a_send_is_told_of_the_reset),
	        TEST(ends_that_were_closed_stay_so),
	        TEST(who_waits_is_told),
	        TEST(a_lost_connection_answers_questions),
	        TEST(connecting_begins_anew),
	        TEST(datagrams_go_on),
	        TEST(groups_are_joined_again),
	        TEST(shutdown_stays),
	        TEST(pools_are_empty),
	        TEST(busy_threads_see_resets_alone),
	        TEST(pools_are_empty),
	        TEST(the_end),
	        CU_TEST_INFO_NULL,
	};

	return supervisor_suite("net client, netd killed", tests, start_all, &g_netd, argc, argv);
}
