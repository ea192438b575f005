/* SPDX-License-Identifier: MIT */
/*
 * sockets.c - a guest with sockets of every kind, whose netd is killed again and again.
 *
 * sockets PORT: echoes on TCP at PORT (epoll) and the next one (a thread that waits in
 * accept(), without SO_REUSEADDR, and closes first: the port stays taken), UDP at PORT.  A TCP connection that says "hold" is not read from then on; when it ends
 * in an error, what could still be read and the error are told.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_FDS 256

static bool g_held[N_FDS];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int bound(int type, int port, int reuse)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	const int fd = socket(AF_INET, type, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)))
		die("bind");
	if (type == SOCK_STREAM && listen(fd, 16))
		die("listen");
	return fd;
}

static void *accept_for_ever(void *arg)
{
	const int l = *(int *)arg;
	char b[64];

	for (;;) {
		const int fd = accept(l, NULL, NULL);
		ssize_t n;

		if (fd < 0)
			die("accept that waits");
		n = recv(fd, b, sizeof(b), 0);
		if (n > 0)
			(void)!send(fd, b, (size_t)n, MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

static void add(int ep, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e))
		die("epoll_ctl");
}

/* The connection ended in an error. */
static void tell_end(int fd)
{
	char b[64];
	size_t got = 0;
	ssize_t n;

	while ((n = recv(fd, b + got, sizeof(b) - 1 - got, MSG_DONTWAIT)) > 0)
		got += (size_t)n;
	b[got] = 0;
	printf("held: \"%s\" then %s\n", b,
	       n == 0 ? "EOF" : errno == ECONNRESET ? "ECONNRESET" : "another error");
	n = recv(fd, b, 1, MSG_DONTWAIT);
	if (n != 0)
		printf("then %zd\n", n);
	if (send(fd, b, 1, MSG_NOSIGNAL) != -1 || errno != EPIPE)
		printf("a send gives %d\n", errno);
}

static void serve(int ep, int fd, uint32_t events)
{
	struct epoll_event quiet = {.events = 0, .data.fd = fd};
	char b[64];
	ssize_t n;

	if (g_held[fd]) {
		if (events & EPOLLERR)
			tell_end(fd);
		close(fd);
		return;
	}
	n = recv(fd, b, sizeof(b), 0);
	if (n <= 0) {
		close(fd);
		return;
	}
	(void)!send(fd, b, (size_t)n, MSG_NOSIGNAL);
	if (n == 4 && memcmp(b, "hold", 4) == 0) {
		g_held[fd] = true;
		if (epoll_ctl(ep, EPOLL_CTL_MOD, fd, &quiet))
			die("epoll_ctl");
	}
}

static void echo_dgram(int fd)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char b[64];
	const ssize_t n = recvfrom(fd, b, sizeof(b), 0, (struct sockaddr *)&from, &len);

	if (n < 0)
		die("recvfrom");
	if (sendto(fd, b, (size_t)n, 0, (struct sockaddr *)&from, len) < 0)
		perror("sendto");
}

int main(int argc, char **argv)
{
	const int port = argc > 1 ? atoi(argv[1]) : 0;
	const int ep = epoll_create1(0), l = bound(SOCK_STREAM, port, 1);
	const int u = bound(SOCK_DGRAM, port, 0);
	int waiting = bound(SOCK_STREAM, port + 1, 0);
	struct epoll_event e;
	pthread_t t;

	setlinebuf(stdout);
	add(ep, l, EPOLLIN);
	add(ep, u, EPOLLIN);
	if (pthread_create(&t, NULL, accept_for_ever, &waiting))
		die("pthread_create");
	puts("ready");
	for (;;) {
		if (epoll_wait(ep, &e, 1, -1) != 1)
			die("epoll_wait");
		if (e.data.fd == u) {
			echo_dgram(u);
		} else if (e.data.fd == l) {
			const int fd = accept(l, NULL, NULL);

			if (fd < 0 || fd >= N_FDS)
				die("accept");
			g_held[fd] = false;
			add(ep, fd, EPOLLIN);
		} else {
			serve(ep, e.data.fd, e.events);
		}
	}
}
