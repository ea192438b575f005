/* SPDX-License-Identifier: MIT */
/* test_sys_net_opts.c - socket options, ioctls, and what is refused. */
#include "tests/sys/net_test.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

static void sockets_say_what_they_are(void)
{
	struct sockaddr_in a;
	int t = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET6, SOCK_DGRAM, 0);
	int l = listener4(&a, 1);

	CHECK_EQ(get_int(t, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	CHECK_EQ(get_int(t, SOL_SOCKET, SO_DOMAIN), AF_INET);
	CHECK_EQ(get_int(t, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	CHECK_EQ(get_int(u, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	CHECK_EQ(get_int(u, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	CHECK_EQ(get_int(u, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
	CHECK_EQ(get_int(t, SOL_SOCKET, SO_ACCEPTCONN), 0);
	CHECK_EQ(get_int(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
	close(t);
	close(u);
	close(l);
}

static void on_and_off(int fd, int level, int name)
{
	CHECK_EQ(get_int(fd, level, name), 0);
	CHECK_EQ(set_int(fd, level, name, 5), 0);
	CHECK_EQ(get_int(fd, level, name), 1);
	CHECK_EQ(set_int(fd, level, name, 0), 0);
	CHECK_EQ(get_int(fd, level, name), 0);
}

static void switches_are_kept(void)
{
	int t = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0);

	on_and_off(t, SOL_SOCKET, SO_REUSEADDR);
	on_and_off(t, SOL_SOCKET, SO_REUSEPORT);
	on_and_off(t, SOL_SOCKET, SO_KEEPALIVE);
	on_and_off(t, IPPROTO_TCP, TCP_NODELAY);
	on_and_off(t, IPPROTO_TCP, TCP_CORK);
	on_and_off(u, SOL_SOCKET, SO_BROADCAST);
	on_and_off(u, SOL_SOCKET, SO_TIMESTAMP);
	on_and_off(u, IPPROTO_IP, IP_RECVTTL);
	on_and_off(u, IPPROTO_IP, IP_PKTINFO);
	close(t);
	close(u);
}

/* What programs set on sockets of any kind, and nobody here needs. */
static void options_without_effect_are_kept(void)
{
	int fds[] = {socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET6, SOCK_DGRAM, 0),
	             socket(AF_UNIX, SOCK_STREAM, 0)};

	for (unsigned i = 0; i < 3; i++) {
		on_and_off(fds[i], SOL_SOCKET, SO_OOBINLINE);
		CHECK_EQ(get_int(fds[i], SOL_SOCKET, SO_PRIORITY), 0);
		CHECK_EQ(set_int(fds[i], SOL_SOCKET, SO_PRIORITY, 6), 0);
		CHECK_EQ(get_int(fds[i], SOL_SOCKET, SO_PRIORITY), 6);
		CHECK_EQ(get_int(fds[i], SOL_SOCKET, SO_RCVLOWAT), 1);
		CHECK_EQ(set_int(fds[i], SOL_SOCKET, SO_RCVLOWAT, 1), 0);
		CHECK_EQ(get_int(fds[i], SOL_SOCKET, SO_SNDLOWAT), 1);
		CHECK_ERR(set_int(fds[i], SOL_SOCKET, SO_SNDLOWAT, 1), ENOPROTOOPT);
		CHECK_ERR(setsockopt(fds[i], SOL_SOCKET, SO_PRIORITY, "", 1), EINVAL);
		close(fds[i]);
	}
}

static void numbers_are_kept(void)
{
	static const struct {
		int name, first, second;
	} o[] = {{TCP_KEEPIDLE, 7200, 33}, {TCP_KEEPINTVL, 75, 7}, {TCP_KEEPCNT, 9, 4}};
	int t = socket(AF_INET, SOCK_STREAM, 0);

	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(get_int(t, IPPROTO_TCP, o[i].name), o[i].first);
		CHECK_EQ(set_int(t, IPPROTO_TCP, o[i].name, o[i].second), 0);
		CHECK_EQ(get_int(t, IPPROTO_TCP, o[i].name), o[i].second);
		CHECK_ERR(set_int(t, IPPROTO_TCP, o[i].name, 0), EINVAL);
		CHECK_ERR(set_int(t, IPPROTO_TCP, o[i].name, 1 << 20), EINVAL);
	}
	CHECK_EQ(get_int(t, IPPROTO_IP, IP_TTL), 64);
	CHECK_EQ(set_int(t, IPPROTO_IP, IP_TTL, 12), 0);
	CHECK_EQ(get_int(t, IPPROTO_IP, IP_TTL), 12);
	CHECK_ERR(set_int(t, IPPROTO_IP, IP_TTL, 0), EINVAL);
	CHECK_ERR(set_int(t, IPPROTO_IP, IP_TTL, 256), EINVAL);
	CHECK_EQ(set_int(t, IPPROTO_IP, IP_TOS, 0x08), 0);
	CHECK_EQ(get_int(t, IPPROTO_IP, IP_TOS), 0x08);
	CHECK_EQ(set_int(t, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000), 0);
	CHECK_EQ(get_int(t, IPPROTO_TCP, TCP_USER_TIMEOUT), 5000);
	close(t);
}

static void buffer_sizes_are_doubled(void)
{
	int t = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(set_int(t, SOL_SOCKET, SO_SNDBUF, 50000), 0);
	CHECK_EQ(get_int(t, SOL_SOCKET, SO_SNDBUF), 100000);
	CHECK_EQ(set_int(t, SOL_SOCKET, SO_RCVBUF, 60000), 0);
	CHECK_EQ(get_int(t, SOL_SOCKET, SO_RCVBUF), 120000);
	CHECK_EQ(set_int(u, SOL_SOCKET, SO_RCVBUF, 1), 0);
	CHECK(get_int(u, SOL_SOCKET, SO_RCVBUF) >= 2048);
	CHECK(get_int(u, SOL_SOCKET, SO_SNDBUF) >= 4096);
	close(t);
	close(u);
}

static void values_are_checked(void)
{
	int t = socket(AF_INET, SOCK_STREAM, 0), v = 1;
	struct linger lg = {1, 1};
	socklen_t len = sizeof(v);

	CHECK_ERR(setsockopt(t, SOL_SOCKET, SO_KEEPALIVE, &v, 3), EINVAL);
	CHECK_ERR(setsockopt(t, SOL_SOCKET, SO_KEEPALIVE, BAD_PTR, 4), EFAULT);
	CHECK_ERR(setsockopt(t, SOL_SOCKET, SO_KEEPALIVE, &v, (socklen_t)-1), EINVAL);
	CHECK_ERR(setsockopt(t, IPPROTO_TCP, TCP_NODELAY, &v, 2), EINVAL);
	CHECK_ERR(setsockopt(t, SOL_SOCKET, SO_LINGER, &lg, 4), EINVAL);
	CHECK_ERR(getsockopt(t, SOL_SOCKET, SO_TYPE, BAD_PTR, &len), EFAULT);
	CHECK_ERR(getsockopt(t, SOL_SOCKET, SO_TYPE, &v, BAD_PTR), EFAULT);
	len = (socklen_t)-1;
	CHECK_ERR(getsockopt(t, SOL_SOCKET, SO_TYPE, &v, &len), EINVAL);
	len = 1; /* a short buffer takes what fits */
	v = 0x55555555;
	CHECK_EQ(getsockopt(t, SOL_SOCKET, SO_KEEPALIVE, &v, &len), 0);
	CHECK_EQ(len, 1);
	CHECK_EQ(v, 0x55555500);
	close(t);
}

static void unknown_options_give_enoprotoopt(void)
{
	int t = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0),
	    v = 1;
	socklen_t len = sizeof(v);

	CHECK_ERR(set_int(t, SOL_SOCKET, 9999, 1), ENOPROTOOPT);
	CHECK_ERR(set_int(t, IPPROTO_TCP, 9999, 1), ENOPROTOOPT);
	CHECK_ERR(set_int(t, IPPROTO_IP, 9999, 1), ENOPROTOOPT);
	CHECK_ERR(set_int(t, 250, 1, 1), ENOPROTOOPT);
	CHECK_ERR(set_int(u, IPPROTO_TCP, TCP_NODELAY, 1), ENOPROTOOPT);
	CHECK_ERR(getsockopt(t, SOL_SOCKET, 9999, &v, &len), ENOPROTOOPT);
	CHECK_ERR(getsockopt(t, IPPROTO_TCP, 9999, &v, &len), ENOPROTOOPT);
	CHECK_ERR(set_int(t, SOL_SOCKET, SO_TYPE, 1), ENOPROTOOPT);
	CHECK_ERR(set_int(t, SOL_SOCKET, SO_ERROR, 1), ENOPROTOOPT);
	CHECK_ERR(set_int(t, SOL_SOCKET, SO_ACCEPTCONN, 1), ENOPROTOOPT);
	close(t);
	close(u);
}

static void tcp_info_tells_the_state(void)
{
	struct sockaddr_in a;
	struct tcp_info ti;
	socklen_t len = sizeof(ti);
	int sv[2], l = listener4(&a, 5), fd = socket(AF_INET, SOCK_STREAM, 0);

	tcp_pair(sv);
	CHECK_EQ(getsockopt(sv[0], IPPROTO_TCP, TCP_INFO, &ti, &len), 0);
	CHECK_EQ(ti.tcpi_state, 1); /* established */
	CHECK(ti.tcpi_snd_mss > 500);
	len = sizeof(ti);
	CHECK_EQ(getsockopt(l, IPPROTO_TCP, TCP_INFO, &ti, &len), 0);
	CHECK_EQ(ti.tcpi_state, 10);
	len = sizeof(ti);
	CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len), 0);
	CHECK_EQ(ti.tcpi_state, 7);
	len = sizeof(ti);
	CHECK_EQ(shutdown(sv[1], SHUT_WR), 0);
	CHECK(becomes(sv[0], POLLRDHUP) & POLLRDHUP);
	CHECK_EQ(getsockopt(sv[0], IPPROTO_TCP, TCP_INFO, &ti, &len), 0);
	CHECK_EQ(ti.tcpi_state, 8); /* close wait */
	close(sv[0]);
	close(sv[1]);
	close(l);
	close(fd);
}

static void corked_data_waits_for_the_uncorking(void)
{
	char buf[8];
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(set_int(sv[0], IPPROTO_TCP, TCP_CORK, 1), 0);
	CHECK_EQ(send(sv[0], "abc", 3, 0), 3);
	sleep_ms(30);
	CHECK_EQ(ready_now(sv[1], POLLIN), 0);
	CHECK_EQ(set_int(sv[0], IPPROTO_TCP, TCP_CORK, 0), 0);
	CHECK_EQ(recv(sv[1], buf, 8, 0), 3);
	CHECK_EQ(send(sv[0], "ab", 2, MSG_MORE), 2);
	CHECK_EQ(send(sv[0], "cd", 2, 0), 2);
	CHECK_EQ(recv(sv[1], buf, 4, MSG_WAITALL), 4);
	close(sv[0]);
	close(sv[1]);
}

static void ioctls_tell_the_queues(void)
{
	struct sockaddr_in a;
	int sv[2], n = -1, l = listener4(&a, 1);
	char buf[8];

	tcp_pair(sv);
	CHECK_EQ(ioctl(sv[0], FIONREAD, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_EQ(send(sv[1], "hello", 5, 0), 5);
	CHECK(becomes(sv[0], POLLIN) & POLLIN);
	CHECK_EQ(ioctl(sv[0], SIOCINQ, &n), 0);
	CHECK_EQ(n, 5);
	CHECK_EQ(recv(sv[0], buf, 2, 0), 2);
	CHECK_EQ(ioctl(sv[0], FIONREAD, &n), 0);
	CHECK_EQ(n, 3);
	sleep_ms(100); /* acknowledged, if late */
	n = -1;
	CHECK_EQ(ioctl(sv[1], SIOCOUTQ, &n), 0);
	CHECK_EQ(n, 0);
	n = -1;
	CHECK_EQ(ioctl(sv[0], SIOCATMARK, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_ERR(ioctl(l, FIONREAD, &n), EINVAL);
	CHECK_ERR(ioctl(sv[0], FIONREAD, BAD_PTR), EFAULT);
	CHECK_ERR(ioctl(sv[0], 0x5401 /* TCGETS */, buf), ENOTTY);
	n = 1;
	CHECK_EQ(ioctl(sv[0], FIONBIO, &n), 0);
	CHECK_EQ(fcntl(sv[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	close(sv[0]);
	close(sv[1]);
	close(l);
}

static void descriptors_that_are_none_or_no_sockets(void)
{
	struct sockaddr_in a = loop4(9);
	socklen_t len = sizeof(a);
	char b = 0;
	int p[2], v = 0;

	CHECK_EQ(pipe(p), 0);
	CHECK_ERR(bind(p[0], SA(&a), sizeof(a)), ENOTSOCK);
	CHECK_ERR(connect(p[0], SA(&a), sizeof(a)), ENOTSOCK);
	CHECK_ERR(listen(p[0], 1), ENOTSOCK);
	CHECK_ERR(accept(p[0], NULL, NULL), ENOTSOCK);
	CHECK_ERR(send(p[1], &b, 1, 0), ENOTSOCK);
	CHECK_ERR(recv(p[0], &b, 1, 0), ENOTSOCK);
	CHECK_ERR(shutdown(p[0], SHUT_RD), ENOTSOCK);
	CHECK_ERR(getsockname(p[0], SA(&a), &len), ENOTSOCK);
	CHECK_ERR(getpeername(p[0], SA(&a), &len), ENOTSOCK);
	CHECK_ERR(setsockopt(p[0], SOL_SOCKET, SO_KEEPALIVE, &v, 4), ENOTSOCK);
	CHECK_ERR(getsockopt(p[0], SOL_SOCKET, SO_TYPE, &v, &len), ENOTSOCK);
	CHECK_ERR(bind(9999, SA(&a), sizeof(a)), EBADF);
	CHECK_ERR(connect(9999, SA(&a), sizeof(a)), EBADF);
	CHECK_ERR(listen(9999, 1), EBADF);
	CHECK_ERR(accept(-1, NULL, NULL), EBADF);
	CHECK_ERR(send(9999, &b, 1, 0), EBADF);
	CHECK_ERR(recv(9999, &b, 1, 0), EBADF);
	CHECK_ERR(shutdown(9999, SHUT_RD), EBADF);
	CHECK_ERR(getsockopt(9999, SOL_SOCKET, SO_TYPE, &v, &len), EBADF);
	close(p[0]);
	close(p[1]);
}

static void sockets_that_are_not_made(void)
{
	int fds[2];

	CHECK_ERR(socket(99, SOCK_STREAM, 0), EAFNOSUPPORT);
	CHECK_ERR(socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT);
	CHECK_ERR(socket(AF_UNSPEC, SOCK_STREAM, 0), EAFNOSUPPORT);
	CHECK_ERR(socket(AF_INET, 0, 0), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_INET, 15, 0), EINVAL);
	CHECK_ERR(socket(AF_INET, SOCK_STREAM | 0x100, 0), EINVAL);
	CHECK_ERR(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_STREAM, 256 + 99), EINVAL);
	CHECK_ERR(socket(AF_INET, SOCK_STREAM, -1), EINVAL);
	CHECK_ERR(socketpair(AF_INET, SOCK_STREAM, 0, fds), EOPNOTSUPP);
}

int main(void)
{
	watchdog(40);
	CASE(sockets_say_what_they_are);
	CASE(switches_are_kept);
	CASE(options_without_effect_are_kept);
	CASE(numbers_are_kept);
	CASE(buffer_sizes_are_doubled);
	CASE(values_are_checked);
	CASE(unknown_options_give_enoprotoopt);
	CASE(tcp_info_tells_the_state);
	CASE(corked_data_waits_for_the_uncorking);
	CASE(ioctls_tell_the_queues);
	CASE(descriptors_that_are_none_or_no_sockets);
	CASE(sockets_that_are_not_made);
	return g_failed;
}
