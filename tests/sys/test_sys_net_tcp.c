/* SPDX-License-Identifier: MIT */
/* test_sys_net_tcp.c - a TCP connection's life: names, half-close, end, reset. */
#include "tests/sys/net_test.h"

static volatile int g_sigpipes;

static void on_sigpipe(int sig)
{
	(void)sig;
	g_sigpipes++;
}

static void names_are_those_of_both_ends(void)
{
	struct sockaddr_in a, from, name;
	socklen_t len;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0), s;

	len = sizeof(name);
	CHECK_ERR(getpeername(c, SA(&name), &len), ENOTCONN);
	CHECK_EQ(getsockname(c, SA(&name), &len), 0);
	CHECK_EQ(name.sin_family, AF_INET);
	CHECK_EQ(name.sin_port, 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	len = sizeof(from);
	s = accept(l, SA(&from), &len);
	CHECK(s >= 0);
	CHECK_EQ(len, sizeof(from));
	len = sizeof(name);
	CHECK_EQ(getsockname(c, SA(&name), &len), 0);
	CHECK_EQ(name.sin_port, from.sin_port);
	CHECK_EQ(name.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(getpeername(c, SA(&name), &len), 0);
	CHECK_EQ(name.sin_port, a.sin_port);
	CHECK_EQ(getsockname(s, SA(&name), &len), 0);
	CHECK_EQ(name.sin_port, a.sin_port);
	CHECK_EQ(getpeername(s, SA(&name), &len), 0);
	CHECK_EQ(name.sin_port, from.sin_port);
	len = 4; /* a short buffer is filled, the full length told */
	memset(&name, 0x55, sizeof(name));
	CHECK_EQ(getpeername(s, SA(&name), &len), 0);
	CHECK_EQ(len, sizeof(name));
	CHECK_EQ(name.sin_addr.s_addr, 0x55555555);
	CHECK_ERR(getpeername(l, SA(&name), &len), ENOTCONN);
	close(c);
	close(s);
	close(l);
}

static void half_close_of_the_client_leaves_the_other_way(void)
{
	char buf[16];
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(send(sv[0], "ask", 3, 0), 3);
	CHECK_EQ(shutdown(sv[0], SHUT_WR), 0);
	CHECK_EQ(recv(sv[1], buf, sizeof(buf), MSG_WAITALL), 3);
	CHECK_EQ(recv(sv[1], buf, sizeof(buf), 0), 0);
	CHECK_EQ(recv(sv[1], buf, sizeof(buf), 0), 0);
	CHECK_EQ(send(sv[1], "answer", 6, 0), 6);
	CHECK_EQ(recv(sv[0], buf, 6, MSG_WAITALL), 6);
	CHECK_ERR(send(sv[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(shutdown(sv[1], SHUT_WR), 0);
	CHECK_EQ(recv(sv[0], buf, sizeof(buf), 0), 0);
	close(sv[0]);
	close(sv[1]);
}

static void half_close_of_the_server_leaves_the_other_way(void)
{
	char buf[16];
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(shutdown(sv[1], SHUT_WR), 0);
	CHECK_EQ(recv(sv[0], buf, sizeof(buf), 0), 0);
	CHECK_EQ(send(sv[0], "late", 4, 0), 4);
	CHECK_EQ(recv(sv[1], buf, 4, MSG_WAITALL), 4);
	close(sv[0]);
	CHECK_EQ(recv(sv[1], buf, sizeof(buf), 0), 0);
	close(sv[1]);
}

static void after_shut_rd_data_comes_first_then_the_end(void)
{
	char buf[16];
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(send(sv[1], "abc", 3, 0), 3);
	CHECK(becomes(sv[0], POLLIN) & POLLIN);
	CHECK_EQ(shutdown(sv[0], SHUT_RD), 0);
	CHECK_EQ(recv(sv[0], buf, sizeof(buf), 0), 3);
	CHECK_EQ(recv(sv[0], buf, sizeof(buf), 0), 0);
	CHECK_EQ(send(sv[0], "def", 3, 0), 3);
	CHECK_EQ(recv(sv[1], buf, 3, MSG_WAITALL), 3);
	close(sv[0]);
	close(sv[1]);
}

static void shutdown_of_the_unconnected_gives_enotconn(void)
{
	struct sockaddr_in a;
	int fd = socket(AF_INET, SOCK_STREAM, 0), b = bound4(SOCK_STREAM, &a), sv[2];

	CHECK_ERR(shutdown(fd, SHUT_RD), ENOTCONN);
	CHECK_ERR(shutdown(fd, SHUT_WR), ENOTCONN);
	CHECK_ERR(shutdown(b, SHUT_RDWR), ENOTCONN);
	CHECK_ERR(shutdown(fd, 3), EINVAL);
	close(fd);
	close(b);
	tcp_pair(sv);
	CHECK_EQ(shutdown(sv[0], SHUT_WR), 0);
	CHECK_EQ(shutdown(sv[0], SHUT_WR), 0);
	close(sv[0]);
	close(sv[1]);
}

static void calls_on_the_unconnected_say_so(void)
{
	char buf[4];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_ERR(recv(fd, buf, 4, 0), ENOTCONN);
	CHECK_ERR(read(fd, buf, 4), ENOTCONN);
	CHECK_ERR(send(fd, buf, 4, MSG_NOSIGNAL), EPIPE);
	g_sigpipes = 0;
	CHECK_ERR(write(fd, buf, 4), EPIPE);
	CHECK_EQ(g_sigpipes, 1);
	CHECK_ERR(accept(fd, NULL, NULL), EINVAL);
	close(fd);
}

static void reset_gives_econnreset_then_epipe(void)
{
	char buf[4];
	int sv[2];

	tcp_pair(sv);
	reset(sv[1]);
	CHECK_EQ(becomes(sv[0], POLLHUP),
	         POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
	CHECK_ERR(recv(sv[0], buf, 4, 0), ECONNRESET);
	CHECK_EQ(recv(sv[0], buf, 4, 0), 0);
	g_sigpipes = 0;
	CHECK_ERR(send(sv[0], buf, 4, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(g_sigpipes, 0);
	CHECK_ERR(write(sv[0], buf, 4), EPIPE);
	CHECK_EQ(g_sigpipes, 1);
	CHECK_EQ(get_int(sv[0], SOL_SOCKET, SO_ERROR), 0);
	close(sv[0]);
}

static void so_error_of_a_reset_is_told_once(void)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);
	char buf[4];
	int sv[2];

	tcp_pair(sv);
	reset(sv[1]);
	CHECK(becomes(sv[0], POLLHUP) & POLLERR);
	CHECK_EQ(get_int(sv[0], SOL_SOCKET, SO_ERROR), ECONNRESET);
	CHECK_EQ(get_int(sv[0], SOL_SOCKET, SO_ERROR), 0);
	CHECK_EQ(ready_now(sv[0], POLLIN | POLLOUT), POLLIN | POLLOUT | POLLHUP);
	CHECK_EQ(recv(sv[0], buf, 4, 0), 0);
	CHECK_ERR(getpeername(sv[0], SA(&name), &len), ENOTCONN);
	CHECK_ERR(shutdown(sv[0], SHUT_WR), ENOTCONN);
	close(sv[0]);
}

static void sends_after_the_peer_closed_end_in_epipe(void)
{
	char buf[4] = "abc";
	int sv[2];

	tcp_pair(sv);
	close(sv[1]);
	CHECK_EQ(recv(sv[0], buf, 4, 0), 0);
	CHECK_EQ(becomes(sv[0], POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP);
	CHECK_EQ(send(sv[0], buf, 3, MSG_NOSIGNAL), 3); /* answered by RST */
	CHECK_EQ(becomes(sv[0], POLLHUP),
	         POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
	CHECK_ERR(send(sv[0], buf, 3, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(recv(sv[0], buf, 4, 0), 0);
	close(sv[0]);
}

static void closing_with_unread_data_resets(void)
{
	char buf[4];
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(send(sv[0], "unread", 6, 0), 6);
	CHECK(becomes(sv[1], POLLIN) & POLLIN);
	close(sv[1]);
	CHECK(becomes(sv[0], POLLHUP) & POLLERR);
	CHECK_ERR(recv(sv[0], buf, 4, 0), ECONNRESET);
	close(sv[0]);
}

static void data_before_a_close_is_not_lost(void)
{
	char buf[8];
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(send(sv[0], "last", 4, 0), 4);
	close(sv[0]);
	sleep_ms(20);
	CHECK_EQ(recv(sv[1], buf, 8, MSG_WAITALL), 4);
	CHECK(memcmp(buf, "last", 4) == 0);
	CHECK_EQ(recv(sv[1], buf, 8, 0), 0);
	close(sv[1]);
}

static void data_before_a_reset_can_be_gone_but_the_error_is_not(void)
{
	char buf[8];
	long n;
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(send(sv[1], "abc", 3, 0), 3);
	CHECK(becomes(sv[0], POLLIN) & POLLIN);
	reset(sv[1]);
	CHECK(becomes(sv[0], POLLHUP) & POLLHUP);
	errno = 0;
	n = recv(sv[0], buf, 8, 0);
	CHECK_EQ(n, 3); /* what had come is still there */
	CHECK_ERR(recv(sv[0], buf, 8, 0), ECONNRESET);
	close(sv[0]);
}

static void lingering_close_waits_for_the_data(void)
{
	struct linger l = {.l_onoff = 1, .l_linger = 5}, got;
	socklen_t len = sizeof(got);
	char buf[8];
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(setsockopt(sv[0], SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	CHECK_EQ(getsockopt(sv[0], SOL_SOCKET, SO_LINGER, &got, &len), 0);
	CHECK_EQ(len, sizeof(got));
	CHECK_EQ(got.l_onoff, 1);
	CHECK_EQ(got.l_linger, 5);
	CHECK_EQ(send(sv[0], "last", 4, 0), 4);
	/* the peer's end first, so that nothing is left to wait for */
	CHECK_EQ(shutdown(sv[1], SHUT_WR), 0);
	CHECK_EQ(recv(sv[0], buf, 8, 0), 0);
	CHECK_EQ(close(sv[0]), 0);
	CHECK_EQ(recv(sv[1], buf, 8, MSG_WAITALL), 4);
	CHECK_EQ(recv(sv[1], buf, 8, 0), 0);
	close(sv[1]);
}

static void peek_leaves_the_data(void)
{
	char buf[8] = "";
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(send(sv[0], "hello", 5, 0), 5);
	CHECK(becomes(sv[1], POLLIN) & POLLIN);
	CHECK_EQ(recv(sv[1], buf, 3, MSG_PEEK), 3);
	CHECK_EQ(recv(sv[1], buf, 8, MSG_PEEK), 5);
	CHECK(memcmp(buf, "hello", 5) == 0);
	CHECK_EQ(recv(sv[1], buf, 2, 0), 2);
	CHECK_EQ(recv(sv[1], buf, 8, MSG_PEEK), 3);
	CHECK(memcmp(buf, "llo", 3) == 0);
	CHECK_EQ(recv(sv[1], buf, 8, 0), 3);
	CHECK_ERR(recv(sv[1], buf, 8, MSG_DONTWAIT), EAGAIN);
	CHECK_ERR(recv(sv[1], buf, 8, MSG_DONTWAIT | MSG_PEEK), EAGAIN);
	close(sv[0]);
	close(sv[1]);
}

static void *send_slowly(void *arg)
{
	for (int i = 0; i < 4; i++) {
		sleep_ms(20);
		CHECK_EQ(send(*(int *)arg, "abcd", 4, 0), 4);
	}
	return NULL;
}

static void waitall_waits_for_all(void)
{
	char buf[32];
	pthread_t t;
	int sv[2];

	tcp_pair(sv);
	pthread_create(&t, NULL, send_slowly, &sv[0]);
	CHECK_EQ(recv(sv[1], buf, 16, MSG_WAITALL), 16);
	CHECK(memcmp(buf, "abcdabcdabcdabcd", 16) == 0);
	pthread_join(t, NULL);
	pthread_create(&t, NULL, send_slowly, &sv[0]);
	CHECK_EQ(recv(sv[1], buf, 16, MSG_WAITALL | MSG_PEEK), 16);
	CHECK_EQ(recv(sv[1], buf, 16, MSG_WAITALL), 16);
	pthread_join(t, NULL);
	CHECK_EQ(send(sv[0], "ab", 2, 0), 2);
	CHECK(becomes(sv[1], POLLIN) & POLLIN);
	CHECK_EQ(recv(sv[1], buf, 16, MSG_WAITALL | MSG_DONTWAIT), 2);
	CHECK_EQ(send(sv[0], "ab", 2, 0), 2);
	close(sv[0]);
	CHECK_EQ(recv(sv[1], buf, 16, MSG_WAITALL), 2);
	close(sv[1]);
}

static void trunc_discards_what_it_counts(void)
{
	char buf[8] = "zzzzzzz";
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(send(sv[0], "hello", 5, 0), 5);
	CHECK(becomes(sv[1], POLLIN) & POLLIN);
	CHECK_EQ(recv(sv[1], buf, 3, MSG_TRUNC), 3);
	CHECK(memcmp(buf, "zzz", 3) == 0);
	CHECK_EQ(recv(sv[1], buf, 8, 0), 2);
	CHECK(memcmp(buf, "lo", 2) == 0);
	close(sv[0]);
	close(sv[1]);
}

static void nothing_sent_is_nothing(void)
{
	char buf[4];
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(send(sv[0], buf, 0, 0), 0);
	CHECK_ERR(recv(sv[1], buf, 0, MSG_DONTWAIT), EAGAIN);
	CHECK_ERR(recv(sv[1], buf, 4, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(read(sv[1], buf, 0), 0);
	close(sv[0]);
	close(sv[1]);
}

static void urgent_data_that_is_not_there_gives_einval(void)
{
	char buf[4];
	int sv[2];

	tcp_pair(sv);
	CHECK_ERR(recv(sv[1], buf, 4, MSG_OOB), EINVAL);
	CHECK_ERR(recv(sv[1], buf, 4, MSG_ERRQUEUE), EAGAIN);
	CHECK_ERR(lseek(sv[1], 0, SEEK_SET), ESPIPE);
	CHECK_ERR(pread(sv[1], buf, 4, 0), ESPIPE);
	close(sv[0]);
	close(sv[1]);
}

static void vectors_and_headers_move_data(void)
{
	char a[3], b[8];
	struct iovec in[2] = {{a, sizeof(a)}, {b, sizeof(b)}};
	struct iovec out[3] = {{"he", 2}, {"", 0}, {"llo!", 4}};
	struct sockaddr_in from;
	struct msghdr m = {.msg_iov = out, .msg_iovlen = 3};
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(sendmsg(sv[0], &m, 0), 6);
	CHECK_EQ(recv(sv[1], b, 6, MSG_PEEK | MSG_WAITALL), 6);
	m = (struct msghdr){.msg_iov = in,
	                    .msg_iovlen = 2,
	                    .msg_name = &from,
	                    .msg_namelen = sizeof(from),
	                    .msg_flags = 77};
	CHECK_EQ(recvmsg(sv[1], &m, 0), 6);
	CHECK(memcmp(a, "hel", 3) == 0 && memcmp(b, "lo!", 3) == 0);
	CHECK_EQ(m.msg_flags, 0);
	CHECK_EQ(m.msg_namelen, 0);
	/* a destination is ignored on a connection */
	CHECK_EQ(sendto(sv[0], "x", 1, 0, SA(&from), sizeof(from)), 1);
	close(sv[0]);
	close(sv[1]);
}

static void connecting_again_gives_eisconn(void)
{
	struct sockaddr_in a = loop4(9);
	int sv[2];

	tcp_pair(sv);
	CHECK_ERR(connect(sv[0], SA(&a), sizeof(a)), EISCONN);
	CHECK_ERR(connect(sv[1], SA(&a), sizeof(a)), EISCONN);
	CHECK_ERR(listen(sv[0], 1), EINVAL);
	CHECK_ERR(bind(sv[0], SA(&a), sizeof(a)), EINVAL);
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_sigpipe};

	watchdog(40);
	sigaction(SIGPIPE, &sa, NULL);
	CASE(names_are_those_of_both_ends);
	CASE(half_close_of_the_client_leaves_the_other_way);
	CASE(half_close_of_the_server_leaves_the_other_way);
	CASE(after_shut_rd_data_comes_first_then_the_end);
	CASE(shutdown_of_the_unconnected_gives_enotconn);
	CASE(calls_on_the_unconnected_say_so);
	CASE(reset_gives_econnreset_then_epipe);
	CASE(so_error_of_a_reset_is_told_once);
	CASE(sends_after_the_peer_closed_end_in_epipe);
	CASE(closing_with_unread_data_resets);
	CASE(data_before_a_close_is_not_lost);
	CASE(data_before_a_reset_can_be_gone_but_the_error_is_not);
	CASE(lingering_close_waits_for_the_data);
	CASE(peek_leaves_the_data);
	CASE(waitall_waits_for_all);
	CASE(trunc_discards_what_it_counts);
	CASE(nothing_sent_is_nothing);
	CASE(urgent_data_that_is_not_there_gives_einval);
	CASE(vectors_and_headers_move_data);
	CASE(connecting_again_gives_eisconn);
	return g_failed;
}
