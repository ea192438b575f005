/* SPDX-License-Identifier: MIT */
/*
 * show.h - `strait trace show`: a line a call, in the order of their answers.
 *
 * Layer:  tools.
 */
#ifndef TOOLS_TRACE_SHOW_H
#define TOOLS_TRACE_SHOW_H

#include "tools/trace/filter.h"
#include "tools/trace/line.h"
#include "tools/trace/scan.h"

/* As scan_file(), printing to @out. */
bool show_file(FILE *in, FILE *out, const struct filter *f,
               const struct line_style *style, struct scan *s);

#endif /* TOOLS_TRACE_SHOW_H */
