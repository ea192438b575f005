/* SPDX-License-Identifier: MIT */
/*
 * hist.h - many durations, their percentiles, in fixed memory.
 *
 * Values below 256 are exact; above, 128 buckets a power of two (a percentile is
 * within 0.4 %).  Smallest, largest, count and sum are exact.
 *
 * Layer:     tools.
 * Ownership: hist_free() frees the buckets, made by the first hist_add().
 */
#ifndef TOOLS_TRACE_HIST_H
#define TOOLS_TRACE_HIST_H

#include <stdint.h>

#define HIST_BUCKETS (256u + 56u * 128u)

struct hist {
	uint64_t *buckets; /* HIST_BUCKETS, or NULL while empty */
	uint64_t n, sum, min, max;
};

/* Returns 0 or -ENOMEM. */
int hist_add(struct hist *h, uint64_t v);
/* The value that @permille of a thousand do not exceed (nearest rank); 0 when empty. */
uint64_t hist_at(const struct hist *h, unsigned permille);
void hist_free(struct hist *h);

#endif /* TOOLS_TRACE_HIST_H */
