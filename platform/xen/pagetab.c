/* SPDX-License-Identifier: MIT */
/*
 * pagetab.c - the page tables: four levels, 4 KiB leaves.
 *
 * An entry that names a table counts, in bits that the CPU ignores, how many entries
 * of that table are in use (minus one); a table with none is freed at once, so a
 * guest of 16 MiB does not end with its memory full of empty tables.
 */
#include "platform/xen/vm.h"

#include <errno.h>

#define ENTRIES 512ul
#define COUNT_SHIFT 52
#define COUNT_ONE (1ul << COUNT_SHIFT)
#define COUNT_MASK (0x3fful << COUNT_SHIFT)
#define TABLE_BITS (PTE_P | PTE_W | PTE_A)
#define FLUSH_ALL 64u /* pages from which a full flush is cheaper */

uint64_t *g_pt_root;

static unsigned index_of(uint64_t addr, unsigned level)
{
	return (unsigned)(addr >> (12 + 9 * level)) & 511u;
}

static uint64_t *table(uint64_t entry)
{
	return page_virt(entry & PTE_ADDR);
}

static uint64_t span(unsigned level) /* bytes that an entry of this level covers */
{
	return 1ul << (12 + 9 * level);
}

static uint64_t count(uint64_t entry)
{
	return (entry & COUNT_MASK) >> COUNT_SHIFT;
}

static void cpu_flush(uint64_t addr)
{
#ifndef STRAIT_TESTLIB
	__asm__ volatile("invlpg (%0)" : : "r"(addr) : "memory");
#else
	(void)addr;
#endif
}

static void cpu_flush_all(void)
{
#ifndef STRAIT_TESTLIB
	uint64_t cr3;

	__asm__ volatile("movq %%cr3, %0; movq %0, %%cr3" : "=r"(cr3) : : "memory");
#endif
}

void pt_flush(uint64_t addr)
{
	cpu_flush(addr);
}

uint64_t pt_bits(unsigned prot)
{
	if (!prot)
		return 0;
	return PTE_P | PTE_A | PTE_D | (prot & PROT_W ? PTE_W : 0) |
	       (prot & PROT_X ? 0 : PTE_NX);
}

uint64_t *pt_leaf(uint64_t addr, uint64_t *stop)
{
	uint64_t *t = g_pt_root;

	for (unsigned level = 3; level > 0; level--) {
		const uint64_t e = t[index_of(addr, level)];

		if (!(e & PTE_P)) {
			*stop = (addr & ~(span(level) - 1)) + span(level);
			return NULL;
		}
		t = table(e);
	}
	*stop = (addr & ~(span(1) - 1)) + span(1);
	return &t[index_of(addr, 0)];
}

/* @n entries of the leaf table of @addr were taken out: free it when it is empty, and
 * what it stood in. */
static void release(uint64_t addr, uint64_t n)
{
	uint64_t *path[4], *t = g_pt_root;

	for (unsigned level = 3; level > 0; level--) {
		path[level] = &t[index_of(addr, level)];
		t = table(*path[level]);
	}
	for (unsigned level = 1; level < 4; level++) {
		if (count(*path[level]) + 1 > n) {
			*path[level] -= n * COUNT_ONE;
			return;
		}
		page_free(*path[level] & PTE_ADDR);
		*path[level] = 0;
		n = 1;
	}
}

/* How many tables are missing on the way to @addr. */
static unsigned missing(uint64_t addr)
{
	const uint64_t *t = g_pt_root;

	for (unsigned level = 3; level > 0; level--) {
		const uint64_t e = t[index_of(addr, level)];

		if (!(e & PTE_P))
			return level;
		t = table(e);
	}
	return 0;
}

int pt_set(uint64_t addr, uint64_t entry)
{
	uint64_t *t = g_pt_root, *parent = NULL;
	const unsigned fresh = missing(addr);

	if (pages_free_count() < fresh)
		return -ENOMEM;
	for (unsigned level = 3; level > 0; level--) {
		uint64_t *e = &t[index_of(addr, level)];

		if (level <= fresh)
			*e = page_alloc() |
			     TABLE_BITS; /* counts one: what comes below */
		if (level == fresh && parent)
			*parent += COUNT_ONE;
		parent = e;
		t = table(*e);
	}
	t[index_of(addr, 0)] = entry;
	if (!fresh)
		*parent += COUNT_ONE;
	return 0;
}

int pt_set_run(uint64_t start, uint64_t end, uint64_t entry)
{
	uint64_t stop;

	for (uint64_t at = start; at < end; at = stop) {
		uint64_t *t = g_pt_root, *e;

		if (pt_set(at, entry + (at - start)) != 0)
			return -ENOMEM;
		e = pt_leaf(at, &stop);
		if (stop > end)
			stop = end;
		for (uint64_t a = at + PAGE_SIZE; a < stop; a += PAGE_SIZE)
			*++e = entry + (a - start);
		for (unsigned level = 3; level > 1; level--)
			t = table(t[index_of(at, level)]);
		t[index_of(at, 1)] += ((stop - at) / PAGE_SIZE - 1) * COUNT_ONE;
	}
	return 0;
}

void pt_unmap(uint64_t start, uint64_t end)
{
	uint64_t n_all = 0, stop;

	for (uint64_t at = start; at < end; at = stop) {
		uint64_t *e = pt_leaf(at, &stop), n = 0;

		if (!e)
			continue;
		if (stop > end)
			stop = end;
		for (uint64_t a = at; a < stop; a += PAGE_SIZE, e++) {
			if (!*e)
				continue;
			if ((*e & PTE_P) && n_all + n < FLUSH_ALL)
				cpu_flush(a);
			if (!(*e & PTE_BORROWED))
				page_free(*e & PTE_ADDR);
			*e = 0;
			n++;
		}
		if (n)
			release(at, n);
		n_all += n;
	}
	if (n_all >= FLUSH_ALL)
		cpu_flush_all();
}

void pt_protect(uint64_t start, uint64_t end, unsigned prot, bool borrowed)
{
	const uint64_t bits = pt_bits(prot), keep = PTE_ADDR | PTE_FRAME | PTE_BORROWED;
	uint64_t n = 0, stop;

	for (uint64_t at = start; at < end; at = stop) {
		uint64_t *e = pt_leaf(at, &stop);

		if (!e)
			continue;
		if (stop > end)
			stop = end;
		for (uint64_t a = at; a < stop; a += PAGE_SIZE, e++) {
			const uint64_t was = *e;

			if (!was)
				continue;
			*e = (was & keep) | bits;
			if ((was & PTE_BORROWED) && !borrowed)
				*e &= ~PTE_W;
			if ((was & PTE_P) && *e != was && n++ < FLUSH_ALL)
				cpu_flush(a);
		}
	}
	if (n > FLUSH_ALL)
		cpu_flush_all();
}

/* Entries of [from, from + len) go to @to; stops when memory for tables is out.
 * Returns the bytes gone over. */
static uint64_t move(uint64_t from, uint64_t to, uint64_t len)
{
	uint64_t stop;

	for (uint64_t at = from; at < from + len; at = stop) {
		uint64_t *e = pt_leaf(at, &stop), n = 0;

		if (!e)
			continue;
		if (stop > from + len)
			stop = from + len;
		for (uint64_t a = at; a < stop; a += PAGE_SIZE, e++) {
			if (!*e)
				continue;
			if (pt_set(to + (a - from), *e) != 0) {
				if (n)
					release(at, n);
				return a - from;
			}
			*e = 0;
			n++;
		}
		if (n)
			release(at, n);
	}
	return len;
}

int pt_move(uint64_t from, uint64_t to, uint64_t len)
{
	const uint64_t done = move(from, to, len);

	/* Back again: the tables there may have gone, but so much is free again. */
	if (done < len)
		(void)move(to, from, done);
	cpu_flush_all();
	return done < len ? -ENOMEM : 0;
}
