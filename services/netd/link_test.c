/* SPDX-License-Identifier: MIT */
/*
 * link_test.c - a bad network between TAP and stack, for tests.
 *
 * Chosen by Configure (link "test:tap,delay=..."), never otherwise.  Frames wait
 * in one list sorted by the ms at which they go on; a frame picked for reordering
 * waits REORDER_MS longer than its neighbours.  The random numbers come from the
 * seed alone, so a run can be repeated.
 */
#include "services/netd/clock.h"
#include "services/netd/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REORDER_MS 5u
#define HELD_MAX 20000u

struct held {
	struct held *next;
	uint64_t due;
	size_t len;
	bool out;
	uint8_t frame[];
};

static struct {
	bool on;
	unsigned delay, jitter, drop, dup, reorder;
	uint64_t seed;
} g_test;
static struct held *g_first, *g_last;
static unsigned g_held;

static int test_number(const char *word, const char *name, unsigned *out)
{
	const size_t n = strlen(name);
	char *end;
	unsigned long v;

	if (strncmp(word, name, n) != 0 || word[n] != '=')
		return 0;
	v = strtoul(word + n + 1, &end, 10);
	if (end == word + n + 1 || *end || v > 1000000)
		return -EINVAL;
	*out = (unsigned)v;
	return 1;
}

int link_test_config(const char *params)
{
	char copy[256], *save = NULL;
	unsigned seed = 1;

	if (strlen(params) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, params);
	for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		const struct {
			const char *name;
			unsigned *to;
		} known[] = {{"delay", &g_test.delay}, {"jitter", &g_test.jitter},
		             {"drop", &g_test.drop},   {"dup", &g_test.dup},
		             {"seed", &seed},          {"reorder", &g_test.reorder}};
		int r = strcmp(w, "tap") == 0;

		for (size_t i = 0; r == 0 && i < sizeof(known) / sizeof(known[0]); i++)
			r = test_number(w, known[i].name, known[i].to);
		if (r <= 0)
			return -EINVAL;
	}
	g_test.seed = seed * 0x9e3779b97f4a7c15ull + 1;
	g_test.on = true;
	return 0;
}

bool link_test_on(void)
{
	return g_test.on;
}

static unsigned test_random(unsigned below)
{
	g_test.seed ^= g_test.seed << 13;
	g_test.seed ^= g_test.seed >> 7;
	g_test.seed ^= g_test.seed << 17;
	return (unsigned)((g_test.seed >> 20) % below);
}

static void pass_on(const struct held *h)
{
	if (h->out)
		(void)link_raw_out(h->frame, h->len); /* lost: what this link is for */
	else
		link_raw_in(h->frame, h->len);
}

static void hold(bool out, const void *frame, size_t len, uint64_t due)
{
	struct held *h, **p = &g_first;

	if (g_held >= HELD_MAX)
		return;
	h = malloc(sizeof(*h) + len);
	if (!h)
		return;
	h->due = due;
	h->len = len;
	h->out = out;
	memcpy(h->frame, frame, len);
	if (g_last && g_last->due <= due)
		p = &g_last->next; /* the usual case */
	while (*p && (*p)->due <= due)
		p = &(*p)->next;
	h->next = *p;
	*p = h;
	if (!h->next)
		g_last = h;
	g_held++;
}

void link_test_pass(bool out, const void *frame, size_t len)
{
	uint64_t due = clock_ms() + g_test.delay;

	if (test_random(1000) < g_test.drop)
		return;
	if (g_test.jitter)
		due += test_random(g_test.jitter + 1);
	if (test_random(1000) < g_test.reorder)
		due += REORDER_MS;
	hold(out, frame, len, due);
	if (test_random(1000) < g_test.dup)
		hold(out, frame, len, due + test_random(3));
}

uint64_t link_test_deadline(void)
{
	return g_first ? g_first->due : UINT64_MAX;
}

void link_test_run(uint64_t now_ms)
{
	while (g_first && g_first->due <= now_ms) {
		struct held *h = g_first;

		g_first = h->next;
		if (!g_first)
			g_last = NULL;
		g_held--;
		pass_on(h);
		free(h);
	}
}
