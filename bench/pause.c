/* SPDX-License-Identifier: MIT */
/*
 * pause - the longest time that a program waited for its file service.
 *
 *     pause FILE
 *
 * For each line of its input, a number of milliseconds: reads and writes FILE for so
 * long, and says the longest time between the ends of two calls, in ns; "error N" if
 * one failed.
 */
#include "bench/stat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char g_buf[4096];

/* The longest gap, or a negative errno. */
static long long measure(int fd, uint64_t ms)
{
	const uint64_t start = bench_ns();
	uint64_t last = start, longest = 0;

	for (unsigned i = 0; last - start < ms * 1000000u; i++) {
		const off_t at = (off_t)(i % 256) * 4096;
		const ssize_t n = i % 2 ? pread(fd, g_buf, sizeof(g_buf), at)
		                        : pwrite(fd, g_buf, sizeof(g_buf), at);
		const uint64_t now = bench_ns();

		if (n != (ssize_t)sizeof(g_buf))
			return n < 0 ? -errno : -EIO;
		if (now - last > longest)
			longest = now - last;
		last = now;
	}
	return (long long)longest;
}

int main(int argc, char **argv)
{
	const int fd = argc > 1 ? open(argv[1], O_CREAT | O_RDWR, 0600) : -1;
	char line[64];

	if (fd < 0) {
		fprintf(stderr, "pause: usage: pause FILE: %s\n", strerror(errno));
		return 2;
	}
	for (int i = 0; i < 256; i++)
		if (pwrite(fd, g_buf, sizeof(g_buf), (off_t)i * 4096) < 0)
			return 1;
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		const long long r = measure(fd, (uint64_t)atoi(line));

		if (r < 0)
			printf("error %lld\n", -r);
		else
			printf("%lld\n", r);
		fflush(stdout);
	}
	return 0;
}
