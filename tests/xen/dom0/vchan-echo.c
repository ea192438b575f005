/* SPDX-License-Identifier: MIT */
/*
 * vchan-echo.c - in dom0: a libxenvchan server that sends back messages of 16 bytes.
 *
 * usage: vchan-echo DOMID PATH COUNT
 *
 * Prints "ready" when the client may come, and at the end what a round trip took.
 */
#include <libxenvchan.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* All of @n bytes; libxenvchan takes or gives some. */
static int all(int (*move)(struct libxenvchan *, void *, size_t), struct libxenvchan *c, char *at, int n)
{
	while (n > 0) {
		int r = move(c, at, (size_t)n);

		if (r <= 0)
			return -1;
		at += r;
		n -= r;
	}
	return 0;
}

static int put(struct libxenvchan *c, void *from, size_t n)
{
	return libxenvchan_write(c, from, n);
}

int main(int argc, char **argv)
{
	struct libxenvchan *c;
	double start = 0;
	char message[16];
	int count;

	if (argc != 4) {
		fprintf(stderr, "usage: vchan-echo DOMID PATH COUNT\n");
		return 2;
	}
	count = atoi(argv[3]);
	c = libxenvchan_server_init(NULL, atoi(argv[1]), argv[2], 1000, 2000);
	if (!c) {
		perror("vchan-echo");
		return 1;
	}
	c->blocking = 1;
	printf("ready\n");
	fflush(stdout);
	for (int i = 0; i < count; i++) {
		if (all(libxenvchan_read, c, message, 16) || all(put, c, message, 16)) {
			fprintf(stderr, "vchan-echo: the client is gone after %d messages\n", i);
			return 1;
		}
		if (i == 0)
			start = now();
	}
	printf("round-trip %.0f us\n", (now() - start) / (count - 1) * 1e6);
	libxenvchan_close(c);
	return 0;
}
