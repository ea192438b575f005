/* SPDX-License-Identifier: MIT */
/*
 * vchan-echo.c - in dom0: a libxenvchan server that sends back messages of 16 bytes.
 *
 * usage: vchan-echo DOMID PATH COUNT [ROUNDS]
 *
 * Prints "ready" when the client may come, and after each round what a round trip took.  With
 * ROUNDS, each begins when a line comes, and with a quarter of COUNT that is not timed.
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

static int echo(struct libxenvchan *c, int count)
{
	char message[16];

	for (int i = 0; i < count; i++)
		if (all(libxenvchan_read, c, message, 16) || all(put, c, message, 16)) {
			fprintf(stderr, "vchan-echo: the client is gone after %d messages\n", i);
			return -1;
		}
	return 0;
}

int main(int argc, char **argv)
{
	int count, rounds = 1, warm = 1;
	struct libxenvchan *c;
	char line[16];
	double start;

	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: vchan-echo DOMID PATH COUNT [ROUNDS]\n");
		return 2;
	}
	count = atoi(argv[3]) - warm;
	if (argc == 5) {
		count = atoi(argv[3]);
		rounds = atoi(argv[4]);
		warm = count / 4;
	}
	c = libxenvchan_server_init(NULL, atoi(argv[1]), argv[2], 1000, 2000);
	if (!c) {
		perror("vchan-echo");
		return 1;
	}
	c->blocking = 1;
	printf("ready\n");
	fflush(stdout);
	while (rounds--) {
		if ((argc == 5 && !fgets(line, sizeof(line), stdin)) || echo(c, warm))
			return 1;
		start = now();
		if (echo(c, count))
			return 1;
		printf("round-trip %.0f us\n", (now() - start) / count * 1e6);
		fflush(stdout);
	}
	libxenvchan_close(c);
	return 0;
}
