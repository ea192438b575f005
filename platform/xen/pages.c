/* SPDX-License-Identifier: MIT */
/*
 * pages.c - physical memory: frames, and frame numbers that hold no RAM.
 *
 * RAM as the start info lists it, less page 0, the image and the boot data, is a few
 * spans that frames are cut from; a freed frame goes to a list that is threaded
 * through the frames themselves.  So the start touches no page, however many there
 * are.
 */
#include "platform/xen/vm.h"

#include <xen/arch-x86/hvm/start_info.h>

#define SPANS_MAX 64u
#define GFN_COUNT 16384u /* 64 MiB of frame numbers */
#define GFN_ALIGN (2ul << 20)
#define LOW_END 0xf0000000ul /* devices and Xen's own pages stand above */

struct span {
	uint64_t start, end;
};

static struct span g_spans[SPANS_MAX], g_taken[SPANS_MAX];
static unsigned g_n_spans, g_n_taken, g_span;
static uint64_t g_free_list = FRAME_NONE;
static uint64_t g_total, g_free;
static uint64_t g_gfn_base;
static uint64_t g_gfn_used[GFN_COUNT / 64];

static uint64_t down(uint64_t at)
{
	return at & ~(PAGE_SIZE - 1);
}

static uint64_t up(uint64_t at)
{
	return down(at + PAGE_SIZE - 1);
}

/* Never give out [start, end).  Before pages_add(). */
void pages_reserve(uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	if (g_n_taken == SPANS_MAX)
		boot_die("too many pieces of boot data");
	g_taken[g_n_taken++] = (struct span){down(start), up(end)};
}

static void add_span(uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	if (g_n_spans == SPANS_MAX)
		return; /* a map in so many pieces: this one stays unused */
	g_spans[g_n_spans++] = (struct span){start, end};
	g_total += (end - start) / PAGE_SIZE;
}

/* RAM at [start, end): what is not reserved becomes free. */
void pages_add(uint64_t start, uint64_t end)
{
	start = up(start);
	end = down(end);
	while (start < end) {
		uint64_t stop = end, next = end;

		/* The first reserved span at or behind start. */
		for (unsigned i = 0; i < g_n_taken; i++) {
			const struct span *t = &g_taken[i];

			if (t->end > start && t->start < end && t->start < stop) {
				stop = t->start;
				next = t->end;
			}
		}
		if (stop > start)
			add_span(start, stop);
		start = next;
	}
}

void pages_ready(void)
{
	g_free = g_total;
	g_span = 0;
	g_free_list = FRAME_NONE;
}

uint64_t page_alloc_dirty(void)
{
	uint64_t at = g_free_list;

	if (at != FRAME_NONE) {
		g_free_list = *(uint64_t *)page_virt(at);
	} else {
		while (g_span < g_n_spans &&
		       g_spans[g_span].start == g_spans[g_span].end)
			g_span++;
		if (g_span == g_n_spans)
			return FRAME_NONE;
		at = g_spans[g_span].start;
		g_spans[g_span].start += PAGE_SIZE;
	}
	g_free--;
	return at;
}

uint64_t page_alloc(void)
{
	const uint64_t at = page_alloc_dirty();

	if (at != FRAME_NONE)
		__builtin_memset(page_virt(at), 0, PAGE_SIZE);
	return at;
}

void page_free(uint64_t phys)
{
	*(uint64_t *)page_virt(phys) = g_free_list;
	g_free_list = phys;
	g_free++;
}

uint64_t pages_total(void)
{
	return g_total;
}

uint64_t pages_free_count(void)
{
	return g_free;
}

/* ---- frame numbers without RAM ---- */

void gfn_init(uint64_t base)
{
	g_gfn_base = base >> PAGE_SHIFT;
	__builtin_memset(g_gfn_used, 0, sizeof(g_gfn_used));
}

static bool used(unsigned i)
{
	return g_gfn_used[i / 64] >> (i % 64) & 1;
}

static void mark(unsigned first, unsigned n, bool set)
{
	for (unsigned i = first; i < first + n; i++) {
		const uint64_t bit = (uint64_t)1 << (i % 64);

		g_gfn_used[i / 64] =
		        set ? g_gfn_used[i / 64] | bit : g_gfn_used[i / 64] & ~bit;
	}
}

uint64_t gfn_alloc(unsigned n)
{
	const uint64_t flags = irq_off();
	uint64_t gfn = FRAME_NONE;

	for (unsigned i = 0, run = 0; n && i < GFN_COUNT; i++) {
		run = used(i) ? 0 : run + 1;
		if (run == n) {
			mark(i + 1 - n, n, true);
			gfn = g_gfn_base + i + 1 - n;
			break;
		}
	}
	irq_restore(flags);
	return gfn;
}

void gfn_free(uint64_t gfn, unsigned n)
{
	const uint64_t flags = irq_off(), first = gfn - g_gfn_base;

	if (first < GFN_COUNT && n <= GFN_COUNT - first)
		mark((unsigned)first, n, false);
	irq_restore(flags);
}

/* ---- from the start info ---- */

static void reserve_boot_data(const struct hvm_start_info *si)
{
	const struct hvm_modlist_entry *mod = page_virt(si->modlist_paddr);
	const uint64_t at = (uintptr_t)si - DIRECT_BASE;

	pages_reserve(0, PAGE_SIZE);
	pages_reserve(at, at + sizeof(*si));
	pages_reserve(si->memmap_paddr,
	              si->memmap_paddr + si->memmap_entries *
	                                         sizeof(struct hvm_memmap_table_entry));
	if (si->cmdline_paddr)
		pages_reserve(si->cmdline_paddr,
		              si->cmdline_paddr + __builtin_strlen(boot_cmdline()) + 1);
	if (!si->nr_modules)
		return;
	pages_reserve(si->modlist_paddr,
	              si->modlist_paddr + si->nr_modules * sizeof(*mod));
	for (uint32_t i = 0; i < si->nr_modules; i++) {
		const char *line = page_virt(mod[i].cmdline_paddr);

		pages_reserve(mod[i].paddr, mod[i].paddr + mod[i].size);
		if (mod[i].cmdline_paddr)
			pages_reserve(mod[i].cmdline_paddr,
			              mod[i].cmdline_paddr + __builtin_strlen(line) +
			                      1);
	}
}

/* Where the frame numbers without RAM begin: behind all RAM below 4 GiB if they end
 * before the devices and meet nothing, else behind everything. */
static uint64_t place_gfns(const struct hvm_memmap_table_entry *map, uint32_t n)
{
	const uint64_t size = (uint64_t)GFN_COUNT * PAGE_SIZE;
	uint64_t low = 0, high = (uint64_t)1 << 32;
	bool meets = false;

	for (uint32_t i = 0; i < n; i++) {
		const uint64_t end = map[i].addr + map[i].size;

		if (end > low && map[i].addr < LOW_END &&
		    map[i].type == XEN_HVM_MEMMAP_TYPE_RAM)
			low = end;
		if (end > high)
			high = end;
	}
	low = (low + GFN_ALIGN - 1) & ~(GFN_ALIGN - 1);
	high = (high + GFN_ALIGN - 1) & ~(GFN_ALIGN - 1);
	for (uint32_t i = 0; i < n; i++)
		if (map[i].addr < low + size && map[i].addr + map[i].size > low)
			meets = true;
	return meets || low + size > LOW_END ? high : low;
}

void pages_init(void)
{
	const struct hvm_start_info *si = g_start_info;
	const struct hvm_memmap_table_entry *map = page_virt(si->memmap_paddr);

	if (si->version < 1 || !si->memmap_paddr || !si->memmap_entries)
		boot_die("Xen gave no memory map: Xen 4.11 or newer is needed");
	reserve_boot_data(si);
	vm_reserve_image();
	for (uint32_t i = 0; i < si->memmap_entries; i++)
		if (map[i].type == XEN_HVM_MEMMAP_TYPE_RAM)
			pages_add(map[i].addr, map[i].addr + map[i].size);
	pages_ready();
	gfn_init(place_gfns(map, si->memmap_entries));
}

/* The end of RAM, for the direct map. */
uint64_t pages_ram_end(void)
{
	const struct hvm_start_info *si = g_start_info;
	const struct hvm_memmap_table_entry *map = page_virt(si->memmap_paddr);
	uint64_t end = 0;

	for (uint32_t i = 0; i < si->memmap_entries; i++)
		if (map[i].type == XEN_HVM_MEMMAP_TYPE_RAM &&
		    map[i].addr + map[i].size > end)
			end = map[i].addr + map[i].size;
	return end;
}
