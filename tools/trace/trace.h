/* SPDX-License-Identifier: MIT */
/*
 * trace.h - `strait trace`: read what `strait run --trace` recorded.
 *
 * Layer:   tools.  Reads a file, writes to stdout and stderr; talks to nobody.
 * Locking: none; one thread.
 * Errors:  answers the exit status: 0; 1 the file is damaged (what could be read
 *          was shown, stderr says where it breaks); 125 bad usage, no such file, or
 *          not a trace of ours.
 */
#ifndef TOOLS_TRACE_TRACE_H
#define TOOLS_TRACE_TRACE_H

#define TRACE_EXIT_DAMAGED 1
#define TRACE_EXIT_USAGE 125

/* argv[0] is "trace", argv[1] the verb: report or show. */
int trace_main(int argc, char **argv);

#endif /* TOOLS_TRACE_TRACE_H */
