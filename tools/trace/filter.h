/* SPDX-License-Identifier: MIT */
/*
 * filter.h - which calls, posts and events are wanted.
 *
 * Layer:     tools.
 * Ownership: strings are borrowed for the filter's life.
 */
#ifndef TOOLS_TRACE_FILTER_H
#define TOOLS_TRACE_FILTER_H

#include "tools/trace/pair.h"

#include <stdbool.h>

#define FILTER_SERVICES 3
#define FILTER_METHODS 256
#define FILTER_ERR_ANY (-1)

struct filter {
	bool on; /* anything is filtered at all */
	bool by_method;
	bool method[FILTER_SERVICES][FILTER_METHODS];
	int err; /* 0: no matter; FILTER_ERR_ANY; or an errno */
	bool by_domid;
	uint32_t domid;
	const char
	        *path;   /* itself, what lies under it, or a pattern; NULL: no matter */
	uint64_t slower; /* ns; 0: no matter */
};

/* Each takes an option's text; returns false when it means nothing. */
bool filter_add_call(struct filter *f,
                     const char *name); /* "File.Read", "read", "net" */
bool filter_set_errno(struct filter *f, const char *text); /* "ENOENT", "2", "any" */
bool filter_set_domid(struct filter *f, const char *text);
bool filter_set_path(struct filter *f, const char *text);
bool filter_set_slower(struct filter *f, const char *text); /* "100us", "2ms", "1s" */

bool filter_takes_call(const struct filter *f, const struct pair_call *c);
bool filter_takes_lone(const struct filter *f, const struct pair_lone *l);

#endif /* TOOLS_TRACE_FILTER_H */
