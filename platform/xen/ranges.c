/* SPDX-License-Identifier: MIT */
/*
 * ranges.c - what is where in the program's addresses: a sorted array.
 *
 * As libos's own list (libos/vma.c), of which this is the platform's side: a binary
 * search and a short move cost less than the page tables' part of a call.  A
 * reservation of many GiB is one entry.
 */
#include "platform/xen/vm.h"

#include <errno.h>

static struct range *g_map;
static size_t g_n, g_cap;

int ranges_room(size_t more)
{
	struct range *p;

	if (g_n + more > RANGES_MAX)
		return -ENOMEM;
	if (g_n + more <= g_cap)
		return 0;
	p = ranges_memory((g_n + more) * sizeof(*g_map));
	if (!p)
		return -ENOMEM;
	g_map = p;
	/* Whole pages are given. */
	g_cap = ((g_n + more) * sizeof(*g_map) + PAGE_SIZE - 1) / PAGE_SIZE *
	        PAGE_SIZE / sizeof(*g_map);
	return 0;
}

size_t ranges_after(uint64_t addr)
{
	size_t lo = 0, hi = g_n;

	while (lo < hi) {
		const size_t mid = (lo + hi) / 2;

		if (g_map[mid].end > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

size_t ranges_count(void)
{
	return g_n;
}

struct range *ranges_at(size_t i)
{
	return &g_map[i];
}

struct range *ranges_find(uint64_t addr)
{
	const size_t i = ranges_after(addr);

	return i < g_n && g_map[i].start <= addr ? &g_map[i] : NULL;
}

static void insert_at(size_t i, struct range r)
{
	__builtin_memmove(&g_map[i + 1], &g_map[i], (g_n - i) * sizeof(*g_map));
	g_map[i] = r;
	g_n++;
}

void ranges_remove(size_t i, size_t n)
{
	for (size_t k = i; k < i + n; k++)
		if (g_map[k].obj)
			shm_drop(g_map[k].obj);
	__builtin_memmove(&g_map[i], &g_map[i + n], (g_n - i - n) * sizeof(*g_map));
	g_n -= n;
}

void ranges_split(uint64_t addr)
{
	const size_t i = ranges_after(addr);
	struct range left;

	if (i == g_n || g_map[i].start >= addr)
		return;
	left = g_map[i];
	left.end = addr;
	if (left.obj) {
		shm_hold(left.obj);
		g_map[i].off += addr - left.start;
	}
	g_map[i].start = addr;
	insert_at(i, left);
}

static bool alike(const struct range *a, const struct range *b)
{
	return a->end == b->start && a->prot == b->prot && a->flags == b->flags &&
	       a->obj == b->obj && (!a->obj || a->off + (a->end - a->start) == b->off);
}

void ranges_join(uint64_t start, uint64_t end)
{
	size_t i = ranges_after(start ? start - 1 : 0);

	while (i + 1 < g_n && g_map[i].start <= end) {
		if (!alike(&g_map[i], &g_map[i + 1])) {
			i++;
			continue;
		}
		g_map[i].end = g_map[i + 1].end;
		ranges_remove(i + 1, 1);
	}
}

void ranges_insert(struct range r)
{
	insert_at(ranges_after(r.start), r);
	ranges_join(r.start, r.end);
}

bool ranges_covered(uint64_t start, uint64_t end)
{
	for (size_t i = ranges_after(start); start < end; i++) {
		if (i >= g_n || g_map[i].start > start)
			return false;
		start = g_map[i].end;
	}
	return true;
}

uint64_t ranges_gap(uint64_t len, uint64_t low, uint64_t high)
{
	size_t i = ranges_after(high - 1);

	/* Downwards: the gap below range i (or below high). */
	if (i < g_n && g_map[i].start < high)
		high = g_map[i].start;
	for (;;) {
		const uint64_t below = i > 0 ? g_map[i - 1].end : 0;
		const uint64_t from = below > low ? below : low;

		if (high >= from && high - from >= len)
			return high - len;
		if (i == 0 || below <= low)
			return 0;
		i--;
		high = g_map[i].start;
	}
}
