/* SPDX-License-Identifier: MIT */
/*
 * report.h - `strait trace report`: what was called, how often, how long it took and
 * where the time went.
 *
 * Layer:     tools.
 * Ownership: a struct report owns what it gathered; report_fini() frees it.
 */
#ifndef TOOLS_TRACE_REPORT_H
#define TOOLS_TRACE_REPORT_H

#include "tools/trace/filter.h"
#include "tools/trace/hist.h"
#include "tools/trace/line.h"
#include "tools/trace/scan.h"

#define REPORT_ERRNOS 4096
#define REPORT_SLOWEST_MAX 1000u

struct report_method {
	uint16_t method;
	uint64_t calls, posts, events; /* calls: with a reply or without */
	uint64_t errors;               /* replies, and events that tell one */
	uint64_t no_reply, queued;
	uint64_t to_service, to_guest; /* bytes of whole frames */
	struct hist total, queue, service, wake;
	struct hist waited; /* queued calls, until done */
	uint32_t *errnos;   /* REPORT_ERRNOS counts; NULL: none yet */
};

/* One guest on one service. */
struct report_session {
	uint32_t domid;
	uint8_t service;
	uint64_t calls, posts, events, errors, no_reply;
	uint64_t to_service, to_guest;
	uint64_t served_ns; /* sum of service times */
	unsigned most_in_flight;
};

struct report_slow {
	uint64_t total;
	char *line;
};

struct report {
	struct scan scan;
	struct report_method **methods; /* 65536 by number; then n_methods, sorted */
	unsigned n_methods;
	struct report_session *sessions; /* by index; those without calls are empty */
	unsigned n_sessions;
	uint64_t orphans;         /* replies whose calls are not in the trace */
	struct report_slow *slow; /* slowest first */
	unsigned n_slow, max_slow;
	bool out_of_memory;
	const struct filter *filter;
	struct line_style style;
};

/* Read @in to the end.  False when there was nothing to read (scan.stop says why)
 * or no memory (out_of_memory).  Call report_fini() in any case. */
bool report_make(struct report *r, FILE *in, const struct filter *f, unsigned n_slow);
void report_fini(struct report *r);

/* Print it. @name: the file's, as given. */
void report_text(const struct report *r, FILE *out, const char *name);
void report_json(const struct report *r, FILE *out, const char *name);

#endif /* TOOLS_TRACE_REPORT_H */
