// SPDX-License-Identifier: MIT
// A guest that sends back what connections at port ARG bring, a thread each, and says on
// stdout which call failed how, but for a connection's end.
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void said(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	fflush(stdout);
}

static void *serve(void *arg)
{
	const int c = (int)(intptr_t)arg;
	static __thread char buf[65536];
	ssize_t n, w = 0;

	while (w >= 0 && (n = read(c, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n && w >= 0; at += w)
			w = write(c, buf + at, (size_t)(n - at));
	if (n < 0)
		said("read");
	if (w < 0)
		said("write");
	close(c);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	signal(SIGPIPE, SIG_IGN); /* a reset connection is not the server's end */
	a.sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "80"));
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (void *)&a, sizeof(a)) < 0 || listen(l, 64) < 0) {
		said("listen");
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		pthread_t t;
		int c = accept(l, NULL, NULL);

		if (c < 0) {
			said("accept");
			return 1;
		}
		pthread_create(&t, NULL, serve, (void *)(intptr_t)c);
		pthread_detach(t);
	}
}
