/* SPDX-License-Identifier: MIT */
/*
 * talk.c - a program for tests of the network around a guest; built by strait-cc.
 *
 *      serve PORT        echo each TCP connection, one after another, until "quit"
 *      serve-udp PORT    echo datagrams until "quit"
 *      ask HOST PORT     print what a TCP server sends (resolving HOST)
 *      ask-udp HOST PORT send "ping", print the answer
 *      source PORT N     send N MiB to one client, then half-close and read to the end
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char g_buf[65536];

static int die(const char *what)
{
	perror(what);
	exit(1);
}

static int bound(int type, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	int s = socket(AF_INET, type, 0), one = 1;

	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(s, (struct sockaddr *)&a, sizeof(a)))
		die("bind");
	if (type == SOCK_STREAM && listen(s, 128))
		die("listen");
	puts("ready");
	fflush(stdout);
	return s;
}

static int serve(const char *port)
{
	int s = bound(SOCK_STREAM, port), quit = 0;

	while (!quit) {
		int c = accept(s, NULL, NULL);
		ssize_t n;

		if (c < 0)
			die("accept");
		while ((n = read(c, g_buf, sizeof(g_buf))) > 0) {
			quit |= n >= 4 && !memcmp(g_buf, "quit", 4);
			if (write(c, g_buf, (size_t)n) != n)
				die("write");
		}
		close(c);
	}
	return 0;
}

static int serve_udp(const char *port)
{
	int s = bound(SOCK_DGRAM, port);

	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(s, g_buf, sizeof(g_buf), 0, (struct sockaddr *)&from, &len);

		if (n < 0)
			die("recvfrom");
		if (sendto(s, g_buf, (size_t)n, 0, (struct sockaddr *)&from, len) != n)
			die("sendto");
		if (n >= 4 && !memcmp(g_buf, "quit", 4))
			return 0;
	}
}

static int connected(int type, const char *host, const char *port)
{
	struct addrinfo want = { .ai_socktype = type }, *list;
	int err = getaddrinfo(host, port, &want, &list), s;

	if (err) {
		fprintf(stderr, "%s: %s\n", host, gai_strerror(err));
		exit(1);
	}
	s = socket(list->ai_family, type, 0);
	if (s < 0 || connect(s, list->ai_addr, list->ai_addrlen))
		die("connect");
	return s;
}

static int ask(const char *host, const char *port)
{
	int s = connected(SOCK_STREAM, host, port);
	ssize_t n;

	while ((n = read(s, g_buf, sizeof(g_buf))) > 0)
		fwrite(g_buf, 1, (size_t)n, stdout);
	return n < 0 ? die("read") : 0;
}

static int ask_udp(const char *host, const char *port)
{
	int s = connected(SOCK_DGRAM, host, port);

	if (send(s, "ping", 4, 0) != 4)
		die("send");
	ssize_t n = recv(s, g_buf, sizeof(g_buf), 0);

	if (n < 0)
		die("recv");
	fwrite(g_buf, 1, (size_t)n, stdout);
	return 0;
}

static int source(const char *port, const char *mib)
{
	int c = accept(bound(SOCK_STREAM, port), NULL, NULL);
	size_t left = (size_t)atoi(mib) << 20, got = 0;
	ssize_t n;

	if (c < 0)
		die("accept");
	for (size_t i = 0; i < sizeof(g_buf); i++)
		g_buf[i] = (char)(i % 251);
	while (left) {
		n = write(c, g_buf, left < sizeof(g_buf) ? left : sizeof(g_buf));
		if (n <= 0)
			die("write");
		left -= (size_t)n;
	}
	if (shutdown(c, SHUT_WR))
		die("shutdown");
	while ((n = read(c, g_buf, sizeof(g_buf))) > 0)
		got += (size_t)n;
	printf("got %zu\n", got);
	return n < 0 ? die("read") : 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "serve-udp"))
		return serve_udp(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "ask"))
		return ask(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "ask-udp"))
		return ask_udp(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "source"))
		return source(argv[2], argv[3]);
	fprintf(stderr, "usage: see the source\n");
	return 2;
}
