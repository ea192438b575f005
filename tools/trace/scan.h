/* SPDX-License-Identifier: MIT */
/*
 * scan.h - a whole trace file through the reader and the pairing.
 *
 * Layer:  tools.
 */
#ifndef TOOLS_TRACE_SCAN_H
#define TOOLS_TRACE_SCAN_H

#include "tools/trace/pair.h"

#include <stdio.h>

struct scan {
	uint64_t frames;      /* that were understood */
	uint64_t others;      /* packets of another link type */
	uint64_t bad;         /* packets that were not */
	uint64_t first, last; /* ns since 1970 */
	bool stopped;         /* the file could not be read to its end */
	char first_bad[256];  /* where and why */
	char stop[256];
};

/* Read @in to its end, or as far as it can be read, feeding @p; then pair_end().
 * @s->first is set before the first callback.  Returns false when nothing was there
 * to read: @s->stop says why. */
bool scan_file(FILE *in, struct pair *p, struct scan *s);

#endif /* TOOLS_TRACE_SCAN_H */
