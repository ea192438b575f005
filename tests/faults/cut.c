/* SPDX-License-Identifier: MIT */
/*
 * cut.c - a program of net_channel_cut.sh: cut N [SECONDS] makes N sockets, a call at a
 * time, beside a connection to itself; says what happens to each when netd is gone, and
 * how long that took; then stays for SECONDS.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *read_on(void *arg)
{
	char c;

	/* nothing is ever sent */
	return recv(*(int *)arg, &c, 1, 0) < 0 ? strerror(errno) : "end of file";
}

static void *accept_on(void *arg)
{
	return accept(*(int *)arg, NULL, NULL) < 0 ? strerror(errno) : "another connection";
}

static int make_pair(int *l, int *c)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t n = sizeof(at);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*l = socket(AF_INET, SOCK_STREAM, 0);
	*c = socket(AF_INET, SOCK_STREAM, 0);
	return *l < 0 || *c < 0 || bind(*l, (void *)&at, n) < 0 || listen(*l, 4) < 0 ||
	                       getsockname(*l, (void *)&at, &n) < 0 ||
	                       connect(*c, (void *)&at, n) < 0
	               ? -1
	               : accept(*l, NULL, NULL);
}

int main(int argc, char **argv)
{
	const int n = argc > 1 ? atoi(argv[1]) : 0;
	void *reader_says, *accepter_says;
	pthread_t reader, accepter;
	int l, c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (make_pair(&l, &c) < 0) {
		perror("connection");
		return 1;
	}
	if (pthread_create(&reader, NULL, read_on, &c) ||
	    pthread_create(&accepter, NULL, accept_on, &l))
		return 1;
	printf("connected\n");
	for (int i = 0; i < n; i++) {
		const double at = now();
		const int s = socket(AF_INET, SOCK_DGRAM, 0);

		if (s < 0) {
			printf("socket: %s in %s\n", strerror(errno),
			       now() - at < 5 ? "time" : "vain");
			pthread_join(reader, &reader_says);
			pthread_join(accepter, &accepter_says);
			printf("connection: %s\nlistener: %s\n", (char *)reader_says,
			       (char *)accepter_says);
			sleep(argc > 2 ? (unsigned)atoi(argv[2]) : 0);
			return 0;
		}
		close(s);
	}
	printf("all %d made\n", n);
	return 0;
}
