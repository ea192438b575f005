/* SPDX-License-Identifier: MIT */
/*
 * vm.c - the start of paging, and windows on frames that are not RAM.
 *
 * The image keeps its physical addresses as its virtual ones, each segment with its
 * own permissions.  All RAM stands once more at DIRECT_BASE, never executable; by it
 * the platform reaches page tables and frames.  Nothing is mapped at page 0.
 */
#include "platform/xen/vm.h"

#include <elf.h>
#include <errno.h>

#define WINDOW_PAGES 32768u /* 128 MiB of addresses */
#define RANGES_BASE 0xffffd00000000000ul

extern const char __ehdr_start[] __attribute__((weak));
extern uint64_t xen_boot_pml4[512];
extern const bool xen_boot_nx; /* start.S found it, and set NXE and CR0.WP */
extern char trap_guard[], trap_fault_guard[];

static uint64_t g_window_used[WINDOW_PAGES / 64];
static uint64_t g_ranges_pages;

/* ---- the start ---- */

static const Elf64_Phdr *segments(unsigned *n)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)(const void *)__ehdr_start;

	if (!eh)
		boot_die("the program's ELF headers are not in memory: its linker "
		         "script "
		         "leaves them out");
	*n = eh->e_phnum;
	return (const Elf64_Phdr *)(const void *)((const char *)eh + eh->e_phoff);
}

void vm_reserve_image(void)
{
	unsigned n;
	const Elf64_Phdr *ph = segments(&n);

	for (unsigned i = 0; i < n; i++)
		if (ph[i].p_type == PT_LOAD)
			pages_reserve(ph[i].p_vaddr, ph[i].p_vaddr + ph[i].p_memsz);
}

struct range *ranges_memory(size_t bytes)
{
	const uint64_t pages = (bytes + PAGE_SIZE - 1) / PAGE_SIZE;

	while (g_ranges_pages < pages) {
		const uint64_t frame = page_alloc();
		const uint64_t at = RANGES_BASE + g_ranges_pages * PAGE_SIZE;

		if (frame == FRAME_NONE)
			return NULL;
		if (pt_set(at, frame | PTE_FRAME | pt_bits(PROT_R | PROT_W)) != 0) {
			page_free(frame);
			return NULL;
		}
		g_ranges_pages++;
	}
	return (struct range *)RANGES_BASE;
}

/* All RAM at DIRECT_BASE, in pages of 2 MiB. */
static void map_direct(uint64_t end)
{
	uint64_t *pdpt = NULL, *pd = NULL;

	for (uint64_t at = 0; at < end; at += 2ul << 20) {
		const unsigned i3 = (unsigned)(at >> 39),
		               i2 = (unsigned)(at >> 30) & 511u;
		const uint64_t frame = at & ((1ul << 30) - 1) ? 0 : page_alloc();

		if (frame == FRAME_NONE)
			boot_die("too little memory");
		if (!(at & ((1ul << 39) - 1))) {
			const uint64_t top = page_alloc();

			if (top == FRAME_NONE)
				boot_die("too little memory");
			pdpt = page_virt(top);
			g_pt_root[256 + i3] = top | PTE_P | PTE_W | PTE_A;
		}
		if (frame) {
			pd = page_virt(frame);
			pdpt[i2] = frame | PTE_P | PTE_W | PTE_A;
		}
		pd[at >> 21 & 511u] =
		        at | PTE_LARGE | PTE_NX | pt_bits(PROT_R | PROT_W);
	}
}

static unsigned segment_prot(uint32_t flags)
{
	return (flags & PF_R ? PROT_R : 0u) | (flags & PF_W ? PROT_W : 0u) |
	       (flags & PF_X ? PROT_X : 0u);
}

static void map_segment(const Elf64_Phdr *ph)
{
	const unsigned prot = segment_prot(ph->p_flags);
	const uint64_t start = ph->p_vaddr & ~(PAGE_SIZE - 1);
	const uint64_t end =
	        (ph->p_vaddr + ph->p_memsz + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);

	if (ph->p_vaddr != ph->p_paddr)
		boot_die("the program is linked to be loaded at another address");
	if (start >= end || ranges_room(2) != 0 || ranges_find(start))
		boot_die("the program's segments meet, or memory is too little for "
		         "them");
	if (pt_set_run(start, end, start | PTE_FRAME | pt_bits(prot)) != 0)
		boot_die("too little memory");
	ranges_insert(
	        (struct range){.start = start, .end = end, .prot = (uint8_t)prot});
}

void vm_init(void)
{
	unsigned n;
	const Elf64_Phdr *ph = segments(&n);
	uint64_t root = page_alloc(), kept;

	if (root == FRAME_NONE)
		boot_die("too little memory");
	if (!xen_boot_nx)
		boot_die("the processor cannot forbid execution (NX)");
	g_pt_root = page_virt(root);
	map_direct(pages_ram_end());
	/* The boot tables stay in use until the image is mapped, so the list of ranges
	 * must be seen through them, too. */
	if (ranges_room(64) != 0)
		boot_die("too little memory");
	xen_boot_pml4[RANGES_BASE >> 39 & 511u] = g_pt_root[RANGES_BASE >> 39 & 511u];
	for (unsigned i = 0; i < n; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_memsz)
			map_segment(&ph[i]);
	__asm__ volatile("movq %0, %%cr3" : : "r"(root) : "memory");
	pt_protect((uintptr_t)trap_guard, (uintptr_t)trap_guard + PAGE_SIZE, 0, false);
	pt_protect((uintptr_t)trap_fault_guard, (uintptr_t)trap_fault_guard + PAGE_SIZE,
	           0, false);
	/* What page tables and the list of ranges may take is never promised. */
	kept = pages_free_count() / 32 + 48;
	if (kept >= pages_free_count())
		boot_die("too little memory");
	vm_commit_limit(pages_free_count() - kept);
}

/* ---- windows ---- */

static void window_mark(unsigned first, unsigned n, bool set)
{
	for (unsigned i = first; i < first + n; i++) {
		const uint64_t bit = 1ul << (i % 64);

		if (set)
			g_window_used[i / 64] |= bit;
		else
			g_window_used[i / 64] &= ~bit;
	}
}

static unsigned window_find(unsigned n)
{
	for (unsigned i = 0, run = 0; n && i < WINDOW_PAGES; i++) {
		run = g_window_used[i / 64] >> (i % 64) & 1 ? 0 : run + 1;
		if (run == n)
			return i + 1 - n;
	}
	return WINDOW_PAGES;
}

static void *window_map(uint64_t phys, unsigned n, unsigned prot)
{
	const uint64_t flags = irq_off();
	const unsigned first = window_find(n);
	const uint64_t at = WINDOW_BASE + (uint64_t)first * PAGE_SIZE;
	void *p = NULL;
	unsigned i;

	if (first == WINDOW_PAGES)
		goto out;
	for (i = 0; i < n; i++)
		if (pt_set(at + i * PAGE_SIZE, (phys + i * PAGE_SIZE) | PTE_FRAME |
		                                       PTE_BORROWED | pt_bits(prot)) !=
		    0)
			break;
	if (i < n) {
		pt_unmap(at, at + i * PAGE_SIZE);
		goto out;
	}
	window_mark(first, n, true);
	p = (void *)at;
out:
	irq_restore(flags);
	return p;
}

void *vm_window_map(uint64_t phys, unsigned n)
{
	return window_map(phys, n, PROT_R | PROT_W);
}

void *vm_code_page(uint64_t *phys)
{
	*phys = page_alloc();
	return *phys == FRAME_NONE ? NULL : window_map(*phys, 1, PROT_R | PROT_X);
}

void vm_window_unmap(void *at, unsigned n)
{
	const uint64_t flags = irq_off(), start = (uintptr_t)at;

	pt_unmap(start, start + n * PAGE_SIZE);
	window_mark((unsigned)((start - WINDOW_BASE) >> PAGE_SHIFT), n, false);
	irq_restore(flags);
}
