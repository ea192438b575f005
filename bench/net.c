/* SPDX-License-Identifier: MIT */
/*
 * net - TCP as a program sees it; the same source natively and on Strait.
 *
 *     net server PORT
 *     net client ADDR PORT
 *
 * The server serves one connection after the other; its first byte says how:
 *     r  send back each byte      s  swallow until end of file, then say how much
 *     g  give the bytes asked for a  answer one byte and close first (TIME_WAIT here)
 *     q  write, until all queues on the way are full, and leave it so
 * The client reads commands, a line each, and prints one number for each:
 *     r N   ns a round trip of one byte, of N    a N   ns a connection, of N
 *     s MB  MB/s sent                            g MB  MB/s received
 */
#include "bench/stat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 128

static char g_buf[65536];

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "net: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void no_delay(int fd)
{
	const int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void get_all(int fd, void *to, size_t n)
{
	for (size_t done = 0; done < n;) {
		const ssize_t r = read(fd, (char *)to + done, n - done);

		if (r <= 0)
			fail("read");
		done += (size_t)r;
	}
}

static void put_all(int fd, uint64_t n)
{
	while (n > 0) {
		const ssize_t r = write(fd, g_buf, n < sizeof(g_buf) ? n : sizeof(g_buf));

		if (r <= 0)
			fail("write");
		n -= (uint64_t)r;
	}
}

static uint64_t swallow(int fd)
{
	uint64_t n = 0;
	ssize_t r;

	while ((r = read(fd, g_buf, sizeof(g_buf))) > 0)
		n += (uint64_t)r;
	return n;
}

static void fill(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	while (poll(&p, 1, 100) > 0 && write(fd, g_buf, sizeof(g_buf)) > 0)
		;
}

/* ---- the server ---- */

/* True: done with it. */
static bool serve(int fd)
{
	uint64_t n;
	char c;

	if (read(fd, &c, 1) != 1)
		return true;
	switch (c) {
	case 'r':
		no_delay(fd);
		while (read(fd, &c, 1) == 1 && write(fd, &c, 1) == 1)
			;
		break;
	case 's':
		n = swallow(fd);
		(void)!write(fd, &n, sizeof(n));
		break;
	case 'g':
		get_all(fd, &n, sizeof(n));
		put_all(fd, n);
		break;
	case 'q':
		fill(fd);
		return false;
	default:
		(void)!write(fd, &c, 1);
	}
	return true;
}

static void __attribute__((noreturn)) server(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	const int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (void *)&a, sizeof(a)) < 0 || listen(s, BACKLOG) < 0)
		fail("listen");
	puts("ready");
	fflush(stdout);
	for (;;) {
		const int fd = accept(s, NULL, NULL);

		if (fd < 0)
			fail("accept");
		if (serve(fd))
			close(fd);
	}
}

/* ---- the client ---- */

static struct sockaddr_in g_addr;

static int reach(char how)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (void *)&g_addr, sizeof(g_addr)) < 0)
		fail("connect");
	if (write(fd, &how, 1) != 1)
		fail("write");
	return fd;
}

static double run_rr(int n)
{
	const int fd = reach('r');
	char c = 'x';
	uint64_t t0 = 0;

	no_delay(fd);
	for (int i = -10; i < n; i++) {
		if (i == 0)
			t0 = bench_ns();
		if (write(fd, &c, 1) != 1)
			fail("write");
		get_all(fd, &c, 1);
	}
	close(fd);
	return (double)(bench_ns() - t0) / n;
}

static double run_connections(int n)
{
	const uint64_t t0 = bench_ns();

	for (int i = 0; i < n; i++) {
		const int fd = reach('a');

		if (swallow(fd) != 1)
			fail("no answer");
		close(fd);
	}
	return (double)(bench_ns() - t0) / n;
}

static double run_send(int mb)
{
	const uint64_t n = (uint64_t)mb << 20, t0 = bench_ns();
	const int fd = reach('s');
	uint64_t got = 0;

	put_all(fd, n);
	shutdown(fd, SHUT_WR);
	get_all(fd, &got, sizeof(got));
	if (got != n)
		fail("bytes were lost");
	close(fd);
	return (double)n * 1000 / (double)(bench_ns() - t0);
}

static double run_receive(int mb)
{
	const uint64_t n = (uint64_t)mb << 20, t0 = bench_ns();
	const int fd = reach('g');

	if (write(fd, &n, sizeof(n)) != (ssize_t)sizeof(n) || swallow(fd) != n)
		fail("bytes were lost");
	close(fd);
	return (double)n * 1000 / (double)(bench_ns() - t0);
}

static int client(const char *addr, int port)
{
	char line[64], what;
	int n;

	g_addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	if (inet_pton(AF_INET, addr, &g_addr.sin_addr) != 1)
		fail("address");
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%c %d", &what, &n) != 2 || n < 1 || !strchr("rasg", what)) {
			fprintf(stderr, "net: no such command: %s", line);
			return 2;
		}
		printf("%.1f\n", what == 'r'   ? run_rr(n)
		                 : what == 'a' ? run_connections(n)
		                 : what == 's' ? run_send(n)
		                               : run_receive(n));
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "server") == 0)
		server(atoi(argv[2]));
	if (argc == 4 && strcmp(argv[1], "client") == 0)
		return client(argv[2], atoi(argv[3]));
	fprintf(stderr, "usage: net server PORT | net client ADDR PORT\n");
	return 2;
}
