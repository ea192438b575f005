/* SPDX-License-Identifier: MIT */
#include "tools/trace/hist.h"

#include <errno.h>
#include <stdlib.h>

static unsigned bucket_of(uint64_t v)
{
	unsigned e;

	if (v < 256)
		return (unsigned)v;
	e = 63u - (unsigned)__builtin_clzll(v);
	return 256u + (e - 8u) * 128u + ((unsigned)(v >> (e - 7u)) & 127u);
}

static uint64_t middle_of(unsigned bucket)
{
	const unsigned e = bucket < 256 ? 0 : (bucket - 256) / 128 + 8;

	if (bucket < 256)
		return bucket;
	return (128ull + (bucket - 256) % 128) << (e - 7) | 1ull << (e - 8);
}

int hist_add(struct hist *h, uint64_t v)
{
	if (!h->buckets) {
		h->buckets = calloc(HIST_BUCKETS, sizeof(*h->buckets));
		if (!h->buckets)
			return -ENOMEM;
		h->min = v;
	}
	h->buckets[bucket_of(v)]++;
	h->n++;
	h->sum += v;
	if (v < h->min)
		h->min = v;
	if (v > h->max)
		h->max = v;
	return 0;
}

uint64_t hist_at(const struct hist *h, unsigned permille)
{
	const uint64_t rank =
	        (uint64_t)(((unsigned __int128)h->n * permille + 999) / 1000);
	uint64_t seen = 0, v = 0;

	if (h->n == 0)
		return 0;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= rank && seen > 0) {
			v = middle_of(i);
			break;
		}
	}
	if (v < h->min)
		return h->min;
	return v > h->max ? h->max : v;
}

void hist_free(struct hist *h)
{
	free(h->buckets);
	*h = (struct hist){0};
}
