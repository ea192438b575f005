/* SPDX-License-Identifier: MIT */
/*
 * vma.c - the map of the program's mappings: a sorted array.
 *
 * Programs have tens to a few thousands of ranges; a binary search and a short
 * move are cheaper than the page-table work of the call itself.
 */
#include "libos/vma.h"

#include "libos/lock.h"
#include "platform/platform.h"

#include <errno.h>
#include <sys/mman.h>

#define FIRST_CAP 256u

static struct lock g_lock = LOCK_INIT;
static struct vma *g_map;
static size_t g_n, g_cap;
static uint64_t g_charged, g_locked, g_total;

void vma_lock(void)
{
	lock_take(&g_lock);
}

void vma_unlock(void)
{
	lock_drop(&g_lock);
}

uint64_t vma_charged(void)
{
	return g_charged;
}

uint64_t vma_locked_bytes(void)
{
	return g_locked;
}

uint64_t vma_total(void)
{
	return g_total;
}

static void account(const struct vma *v, int64_t sign)
{
	const uint64_t len = (v->end - v->start) * (uint64_t)sign;

	g_total += len;
	if (v->flags & VMA_CHARGED)
		g_charged += len;
	if (v->flags & VMA_LOCKED)
		g_locked += len;
}

/* Room for @more ranges. */
static int grow(size_t more)
{
	size_t cap = g_cap ? g_cap : FIRST_CAP;
	long p;

	while (cap < g_n + more)
		cap *= 2;
	if (cap == g_cap)
		return 0;
	p = plat_mmap(NULL, cap * sizeof(*g_map), PROT_READ | PROT_WRITE, MAP_PRIVATE);
	if (p < 0 && p > -4096)
		return -ENOMEM;
	if (g_n)
		__builtin_memcpy((void *)p, g_map, g_n * sizeof(*g_map));
	if (g_map)
		(void)plat_munmap(g_map, g_cap * sizeof(*g_map));
	g_map = (struct vma *)p;
	g_cap = cap;
	return 0;
}

/* Index of the first range that ends after @addr. */
static size_t index_after(uint64_t addr)
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

static void insert_at(size_t i, struct vma v)
{
	__builtin_memmove(&g_map[i + 1], &g_map[i], (g_n - i) * sizeof(*g_map));
	g_map[i] = v;
	g_n++;
}

static void remove_at(size_t i, size_t n)
{
	__builtin_memmove(&g_map[i], &g_map[i + n], (g_n - i - n) * sizeof(*g_map));
	g_n -= n;
}

/* Make @addr a border.  There is room for one more. */
static void split(uint64_t addr)
{
	const size_t i = index_after(addr);

	if (i < g_n && g_map[i].start < addr) {
		struct vma left = g_map[i];

		left.end = addr;
		g_map[i].start = addr;
		insert_at(i, left);
	}
}

static bool same_kind(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->prot == b->prot && a->flags == b->flags &&
	       !(a->flags & VMA_FILE);
}

/* Join the ranges around index @i. */
static void join(size_t i)
{
	if (i + 1 < g_n && same_kind(&g_map[i], &g_map[i + 1])) {
		g_map[i].end = g_map[i + 1].end;
		remove_at(i + 1, 1);
	}
	if (i > 0 && i < g_n && same_kind(&g_map[i - 1], &g_map[i])) {
		g_map[i - 1].end = g_map[i].end;
		remove_at(i, 1);
	}
}

static void clear_range(uint64_t start, uint64_t end)
{
	size_t i, n = 0;

	split(start);
	split(end);
	i = index_after(start);
	while (i + n < g_n && g_map[i + n].start < end) {
		account(&g_map[i + n], -1);
		n++;
	}
	if (n)
		remove_at(i, n);
}

int vma_clear(uint64_t start, uint64_t len)
{
	if (grow(2) != 0)
		return -ENOMEM;
	clear_range(start, start + len);
	return 0;
}

int vma_set(uint64_t start, uint64_t len, uint32_t prot, uint32_t flags)
{
	const struct vma v = {start, start + len, prot, flags};
	size_t i;

	if (grow(3) != 0)
		return -ENOMEM;
	clear_range(start, start + len);
	i = index_after(start);
	insert_at(i, v);
	account(&v, 1);
	join(i);
	return 0;
}

const struct vma *vma_next(uint64_t addr)
{
	const size_t i = index_after(addr);

	return i < g_n ? &g_map[i] : NULL;
}

const struct vma *vma_find(uint64_t addr)
{
	const struct vma *v = vma_next(addr);

	return v && v->start <= addr ? v : NULL;
}

uint64_t vma_covered(uint64_t start, uint64_t len)
{
	const uint64_t end = start + len;
	uint64_t at = start;

	for (size_t i = index_after(start); at < end; i++) {
		if (i >= g_n || g_map[i].start > at)
			return at - start;
		at = g_map[i].end;
	}
	return len;
}

bool vma_covers(uint64_t start, uint64_t len)
{
	return vma_covered(start, len) == len;
}

bool vma_uniform(uint64_t start, uint64_t len)
{
	const size_t first = index_after(start);

	if (!vma_covers(start, len))
		return false;
	for (size_t i = first + 1; i < g_n && g_map[i].start < start + len; i++) {
		if (g_map[i].prot != g_map[first].prot || g_map[i].flags != g_map[first].flags)
			return false;
	}
	return true;
}

int vma_change(uint64_t start, uint64_t len, const uint32_t *prot, uint32_t set, uint32_t clear)
{
	const uint64_t end = start + len;
	size_t i, first;

	if (grow(2) != 0)
		return -ENOMEM;
	split(start);
	split(end);
	first = index_after(start);
	for (i = first; i < g_n && g_map[i].start < end; i++) {
		account(&g_map[i], -1);
		if (prot)
			g_map[i].prot = *prot;
		g_map[i].flags = (g_map[i].flags | set) & ~clear;
		account(&g_map[i], 1);
	}
	while (i > first)
		join(--i);
	return 0;
}
