/* SPDX-License-Identifier: MIT */
/*
 * backend.c - a server that knows nothing of netd: one epoll set with a TCP and a UDP
 * listener of port 80, both of which echo.
 *
 * Of a connection whose first byte is 'h' (hold) it reads nothing more until epoll tells
 * of an error; then all there is, and says how much came and how it ended.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 80
#define CONNS 1024

static int g_epoll;
static unsigned char g_held[CONNS];

static void die(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void watch(int fd, unsigned events, int op)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	if (epoll_ctl(g_epoll, op, fd, &e))
		die("epoll_ctl");
}

static int listener(int type)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = socket(AF_INET, type, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    (type == SOCK_STREAM && listen(fd, 16)))
		die("listener");
	watch(fd, EPOLLIN, EPOLL_CTL_ADD);
	return fd;
}

static void ended(int fd, size_t n)
{
	printf("connection: %zu more bytes, then %s\n", n,
	       errno == ECONNRESET ? "ECONNRESET" : errno ? strerror(errno) : "EOF");
	close(fd);
}

static void held(int fd)
{
	char buf[65536];
	size_t all = 0;
	ssize_t n;

	g_held[fd] = 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		all += (size_t)n;
	if (n == 0)
		errno = 0;
	ended(fd, all);
}

static void stream(int fd)
{
	char buf[65536];
	ssize_t n;

	if (g_held[fd]) {
		held(fd);
		return;
	}
	n = read(fd, buf, 1);
	if (n == 1 && buf[0] == 'h') {
		g_held[fd] = 1;
		watch(fd, 0, EPOLL_CTL_MOD);
		return;
	}
	if (n == 1 && write(fd, buf, 1) == 1)
		return;
	if (n == 0)
		errno = 0;
	ended(fd, 0);
}

static void datagram(int fd)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char buf[2048];
	ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

	if (n < 0 || sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len) != n)
		die("datagram");
}

int main(void)
{
	int tcp, udp;

	setvbuf(stdout, NULL, _IOLBF, 0);
	g_epoll = epoll_create1(0);
	tcp = listener(SOCK_STREAM);
	udp = listener(SOCK_DGRAM);
	printf("ready\n");
	for (;;) {
		struct epoll_event e;

		if (epoll_wait(g_epoll, &e, 1, -1) != 1) {
			if (errno == EINTR)
				continue;
			die("epoll_wait");
		}
		if (e.data.fd == udp) {
			datagram(udp);
		} else if (e.data.fd == tcp) {
			int fd = accept(tcp, NULL, NULL);

			if (fd < 0 || fd >= CONNS)
				die("accept");
			watch(fd, EPOLLIN, EPOLL_CTL_ADD);
		} else {
			stream(e.data.fd);
		}
	}
}
