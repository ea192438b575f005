/* SPDX-License-Identifier: MIT */
/*
 * main.c - `strait trace` as a program of its own, for tests in builds that have no
 * `strait` command.
 */
#include "tools/trace/trace.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	const int rc = trace_main(argc, argv);

	if (fflush(stdout) || ferror(stdout)) {
		perror("strait: trace: cannot write to stdout");
		return TRACE_EXIT_USAGE;
	}
	return rc;
}
