/* SPDX-License-Identifier: MIT */
/*
 * line.h - one call, post or event as one line of text.
 *
 * Layer:  tools.
 */
#ifndef TOOLS_TRACE_LINE_H
#define TOOLS_TRACE_LINE_H

#include "tools/trace/args.h"
#include "tools/trace/pair.h"

struct line_style {
	struct args_style args;
	bool times;     /* queue and service apart, and wake-up once it is known */
	bool wall;      /* time of day instead of seconds from @start */
	uint64_t start; /* ns since 1970 */
};

/* "0.001234 [1] File.Open(path="/x", ...) = 0 {...} <12.3us>" and a newline. */
void line_call(FILE *out, const struct pair_call *c, const struct line_style *style);
/* "0.001234 [1] -> Net.Data(...) [512 bytes]" and a newline. */
void line_lone(FILE *out, const struct pair_lone *l, const struct line_style *style);

#endif /* TOOLS_TRACE_LINE_H */
