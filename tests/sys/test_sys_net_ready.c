/* SPDX-License-Identifier: MIT */
/* test_sys_net_ready.c - epoll (level, edge, one shot), poll and select on sockets. */
#include "tests/sys/net_test.h"

#include <sys/epoll.h>
#include <sys/select.h>

#define ALL (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI)

/* What one epoll_wait() says of the only descriptor; 0 after @ms. */
static unsigned ep_wait(int ep, int ms)
{
	struct epoll_event e = {0};

	return epoll_wait(ep, &e, 1, ms) == 1 ? e.events : 0;
}

static int ep_on(int fd, unsigned events)
{
	struct epoll_event e = {.events = events};
	int ep = epoll_create1(0);

	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), 0);
	return ep;
}

/* As ep_wait(), until all of @want shows. */
static unsigned ep_becomes(int ep, unsigned want)
{
	unsigned got = 0;

	for (int i = 0; i < 2500 && (got & want) != want; i++) {
		if (i)
			sleep_ms(2);
		got = ep_wait(ep, 2000);
	}
	return got;
}

static void an_unconnected_socket_is_out_and_hup(void)
{
	struct sockaddr_in a;
	int fd = socket(AF_INET, SOCK_STREAM, 0), b = bound4(SOCK_STREAM, &a);
	int u = socket(AF_INET, SOCK_DGRAM, 0), ep = ep_on(fd, ALL);

	CHECK_EQ(ep_wait(ep, 0), EPOLLOUT | EPOLLHUP);
	CHECK_EQ(ready_now(fd, POLLIN), POLLHUP);
	CHECK_EQ(ready_now(fd, 0), POLLHUP);
	CHECK_EQ(ready_now(b, POLLIN | POLLOUT), POLLOUT | POLLHUP);
	CHECK_EQ(ready_now(u, POLLIN | POLLOUT), POLLOUT);
	close(ep);
	close(fd);
	close(b);
	close(u);
}

static void a_listener_is_in_with_a_connection(void)
{
	struct sockaddr_in a;
	int l = listener4(&a, 5), c = socket(AF_INET, SOCK_STREAM, 0),
	    ep = ep_on(l, ALL);

	CHECK_EQ(ep_wait(ep, 0), 0);
	CHECK_EQ(ready_now(l, POLLIN | POLLOUT), 0);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	CHECK_EQ(ep_wait(ep, 5000), EPOLLIN);
	CHECK_EQ(ep_wait(ep, 0), EPOLLIN);
	close(accept(l, NULL, NULL));
	CHECK_EQ(ep_wait(ep, 0), 0);
	CHECK_EQ(shutdown(l, SHUT_RD), 0);
	CHECK_EQ(ep_wait(ep, 1000), EPOLLOUT | EPOLLHUP); /* a new socket's state */
	close(ep);
	close(c);
	close(l);
}

static void a_level_stays_until_the_data_is_read(void)
{
	char buf[8];
	int sv[2], ep;

	tcp_pair(sv);
	ep = ep_on(sv[0], ALL);
	CHECK_EQ(ep_wait(ep, 0), EPOLLOUT);
	CHECK_EQ(send(sv[1], "ab", 2, 0), 2);
	CHECK_EQ(ep_becomes(ep, EPOLLIN), EPOLLIN | EPOLLOUT);
	CHECK_EQ(recv(sv[0], buf, 1, 0), 1);
	CHECK_EQ(ep_wait(ep, 0), EPOLLIN | EPOLLOUT);
	CHECK_EQ(recv(sv[0], buf, 8, 0), 1);
	CHECK_EQ(ep_wait(ep, 0), EPOLLOUT);
	close(ep);
	close(sv[0]);
	close(sv[1]);
}

static void an_edge_comes_once_for_each_arrival(void)
{
	char buf[8];
	int sv[2], ep;

	tcp_pair(sv);
	ep = ep_on(sv[0], EPOLLIN | EPOLLET);
	CHECK_EQ(ep_wait(ep, 0), 0);
	CHECK_EQ(send(sv[1], "ab", 2, 0), 2);
	CHECK_EQ(ep_wait(ep, 5000), EPOLLIN);
	CHECK_EQ(ep_wait(ep, 20), 0);
	CHECK_EQ(recv(sv[0], buf, 1, 0), 1);
	CHECK_EQ(ep_wait(ep, 20), 0); /* left-overs are no edge */
	CHECK_EQ(send(sv[1], "cd", 2, 0), 2);
	CHECK_EQ(ep_wait(ep, 5000), EPOLLIN);
	CHECK_EQ(recv(sv[0], buf, 8, 0), 3);
	CHECK_EQ(ep_wait(ep, 20), 0);
	close(ep);
	close(sv[0]);
	close(sv[1]);
}

static void the_end_of_the_peer_is_in_and_rdhup(void)
{
	char b;
	int sv[2], ep;

	tcp_pair(sv);
	ep = ep_on(sv[0], ALL | EPOLLET);
	CHECK_EQ(ep_wait(ep, 0), EPOLLOUT);
	CHECK_EQ(shutdown(sv[1], SHUT_WR), 0);
	CHECK_EQ(ep_becomes(ep, EPOLLRDHUP), EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	CHECK_EQ(recv(sv[0], &b, 1, 0), 0);
	CHECK_EQ(shutdown(sv[0], SHUT_WR), 0);
	CHECK_EQ(ep_becomes(ep, EPOLLHUP), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
	close(ep);
	close(sv[0]);
	close(sv[1]);
}

static void ones_own_shutdown_shows(void)
{
	int sv[2];

	tcp_pair(sv);
	CHECK_EQ(shutdown(sv[0], SHUT_WR), 0);
	CHECK_EQ(ready_now(sv[0], ALL), POLLOUT);
	CHECK_EQ(shutdown(sv[1], SHUT_RD), 0);
	CHECK_EQ(ready_now(sv[1], ALL), POLLIN | POLLOUT | POLLRDHUP);
	CHECK_EQ(shutdown(sv[0], SHUT_RD), 0);
	CHECK_EQ(ready_now(sv[0], ALL), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	close(sv[0]);
	close(sv[1]);
}

static void a_full_connection_is_not_out_until_read(void)
{
	static char buf[65536];
	long sent = 0, got = 0;
	int sv[2], ep, idle = 0;

	tcp_pair(sv);
	nonblock(sv[0]);
	ep = ep_on(sv[0], EPOLLOUT | EPOLLET);
	CHECK_EQ(ep_wait(ep, 0), EPOLLOUT);
	while (idle < 20) {
		long n = send(sv[0], buf, sizeof(buf), 0);

		if (n > 0) {
			sent += n;
			idle = 0;
			continue;
		}
		CHECK_EQ(errno, EAGAIN);
		idle++;
		sleep_ms(5);
	}
	CHECK(sent > 65536);
	CHECK_EQ(ready_now(sv[0], POLLOUT), 0);
	while (ep_wait(ep, 0))
		;
	while (got < sent) {
		long n = recv(sv[1], buf, sizeof(buf), 0);

		CHECK(n > 0);
		if (n <= 0)
			break;
		got += n;
	}
	CHECK_EQ(ep_wait(ep, 5000), EPOLLOUT);
	CHECK_EQ(send(sv[0], buf, 1, 0), 1);
	close(ep);
	close(sv[0]);
	close(sv[1]);
}

static void one_shot_is_once_until_armed_anew(void)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT};
	int sv[2], ep;

	tcp_pair(sv);
	ep = ep_on(sv[0], EPOLLIN | EPOLLONESHOT);
	CHECK_EQ(send(sv[1], "a", 1, 0), 1);
	CHECK_EQ(ep_wait(ep, 5000), EPOLLIN);
	CHECK_EQ(ep_wait(ep, 20), 0);
	CHECK_EQ(send(sv[1], "a", 1, 0), 1);
	CHECK_EQ(ep_wait(ep, 20), 0);
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, sv[0], &e), 0);
	CHECK_EQ(ep_wait(ep, 5000), EPOLLIN);
	close(ep);
	close(sv[0]);
	close(sv[1]);
}

static void closing_takes_a_socket_out_of_the_set(void)
{
	int sv[2], ep;

	tcp_pair(sv);
	ep = ep_on(sv[0], ALL);
	CHECK_EQ(ep_wait(ep, 0), EPOLLOUT);
	close(sv[0]);
	CHECK_EQ(ep_wait(ep, 20), 0);
	close(ep);
	close(sv[1]);
}

static void datagrams_are_in_one_after_the_other(void)
{
	struct sockaddr_in a;
	char b[4];
	int r = bound4(SOCK_DGRAM, &a), s = socket(AF_INET, SOCK_DGRAM, 0);
	int ep = ep_on(r, EPOLLIN | EPOLLOUT | EPOLLET);

	CHECK_EQ(ep_wait(ep, 0), EPOLLOUT);
	CHECK_EQ(sendto(s, "a", 1, 0, SA(&a), sizeof(a)), 1);
	CHECK_EQ(ep_becomes(ep, EPOLLIN), EPOLLIN | EPOLLOUT);
	CHECK_EQ(sendto(s, "", 0, 0, SA(&a), sizeof(a)), 0);
	CHECK_EQ(ep_becomes(ep, EPOLLIN), EPOLLIN | EPOLLOUT);
	CHECK_EQ(recv(r, b, 4, 0), 1);
	CHECK_EQ(ready_now(r, POLLIN), POLLIN);
	CHECK_EQ(recv(r, b, 4, 0), 0);
	CHECK_EQ(ready_now(r, POLLIN), 0);
	close(ep);
	close(r);
	close(s);
}

static void select_and_poll_agree(void)
{
	struct timeval tv = {5, 0}, none = {0, 0};
	fd_set in, out, bad;
	int sv[2];

	tcp_pair(sv);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&bad);
	FD_SET(sv[0], &in);
	FD_SET(sv[0], &out);
	FD_SET(sv[0], &bad);
	CHECK_EQ(select(sv[0] + 1, &in, &out, &bad, &none), 1);
	CHECK(!FD_ISSET(sv[0], &in) && FD_ISSET(sv[0], &out));
	CHECK_EQ(send(sv[1], "a", 1, 0), 1);
	FD_ZERO(&in);
	FD_SET(sv[0], &in);
	CHECK_EQ(select(sv[0] + 1, &in, NULL, NULL, &tv), 1);
	CHECK(FD_ISSET(sv[0], &in));
	close(sv[0]);
	close(sv[1]);
}

static void *send_later(void *arg)
{
	sleep_ms(50);
	CHECK_EQ(send(*(int *)arg, "a", 1, 0), 1);
	return NULL;
}

static void waiting_sees_what_comes_later(void)
{
	struct pollfd p = {.events = POLLIN};
	pthread_t t;
	char b;
	int sv[2], ep;

	tcp_pair(sv);
	ep = ep_on(sv[0], EPOLLIN);
	pthread_create(&t, NULL, send_later, &sv[1]);
	CHECK_EQ(ep_wait(ep, 5000), EPOLLIN);
	pthread_join(t, NULL);
	CHECK_EQ(recv(sv[0], &b, 1, 0), 1);
	p.fd = sv[0];
	pthread_create(&t, NULL, send_later, &sv[1]);
	CHECK_EQ(poll(&p, 1, 5000), 1);
	CHECK_EQ(p.revents, POLLIN);
	pthread_join(t, NULL);
	close(ep);
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	watchdog(40);
	CASE(an_unconnected_socket_is_out_and_hup);
	CASE(a_listener_is_in_with_a_connection);
	CASE(a_level_stays_until_the_data_is_read);
	CASE(an_edge_comes_once_for_each_arrival);
	CASE(the_end_of_the_peer_is_in_and_rdhup);
	CASE(ones_own_shutdown_shows);
	CASE(a_full_connection_is_not_out_until_read);
	CASE(one_shot_is_once_until_armed_anew);
	CASE(closing_takes_a_socket_out_of_the_set);
	CASE(datagrams_are_in_one_after_the_other);
	CASE(select_and_poll_agree);
	CASE(waiting_sees_what_comes_later);
	return g_failed;
}
