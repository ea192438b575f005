/* SPDX-License-Identifier: MIT */
/*
 * trace_gen FILE [payload] - write a made-up trace, for tests of what reads traces.
 */
#include "tests/unit/trace_synth.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	int fd;

	if (argc < 2) {
		fputs("usage: trace_gen FILE [payload]\n", stderr);
		return 2;
	}
	fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0) {
		perror(argv[1]);
		return 2;
	}
	synth_story(fd, argc > 2 && !strcmp(argv[2], "payload"));
	return 0;
}
