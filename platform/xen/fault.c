/* SPDX-License-Identifier: MIT */
/*
 * fault.c - a page where there was none: by a fault, or ahead of one.
 *
 * What can be written to was promised when it was mapped (map.c), so memory for it
 * is there; only page tables and copies of an object's pages may find none, and then
 * the program gets SIGBUS.
 */
#include "platform/xen/vm.h"

#include <errno.h>
#include <signal.h>

#define GROW_GAP (256 * PAGE_SIZE) /* kept free below a stack that grows */
#define GROW_MAX (8ul << 20)

#define ERR_WRITE 2u
#define ERR_FETCH 16u

static uint64_t g_commit_limit, g_committed;

/* ---- promises ---- */

void vm_commit_limit(uint64_t pages)
{
	g_commit_limit = pages;
}

uint64_t vm_committed(void)
{
	return g_committed;
}

int vm_commit(uint64_t pages)
{
	if (pages > g_commit_limit - g_committed)
		return -ENOMEM;
	g_committed += pages;
	return 0;
}

void vm_uncommit(uint64_t pages)
{
	g_committed -= pages;
}

/* ---- faults ---- */

/* Let a stack that grows down reach @page: Linux's rules. */
static struct range *grow_down(uint64_t page)
{
	const size_t i = ranges_after(page);
	struct range *r;
	uint64_t more;

	if (i == ranges_count())
		return NULL;
	r = ranges_at(i);
	if (!(r->flags & RANGE_GROWSDOWN) || r->end - page > GROW_MAX ||
	    page < GROW_GAP)
		return NULL;
	if (i > 0 && ranges_at(i - 1)->prot && ranges_at(i - 1)->end > page - GROW_GAP)
		return NULL;
	more = (r->start - page) >> PAGE_SHIFT;
	if ((r->flags & RANGE_CHARGED) && vm_commit(more) != 0)
		return NULL;
	r->start = page;
	return r;
}

/* The frame and bits for a page of an object. */
static uint64_t object_entry(const struct range *r, uint64_t page, bool write)
{
	const uint64_t bits = pt_bits(r->prot) | PTE_FRAME;
	const uint64_t shared =
	        shm_frame(r->obj, (r->off + (page - r->start)) >> PAGE_SHIFT);
	uint64_t own;

	if (shared == FRAME_NONE)
		return 0;
	if (r->flags & RANGE_SHARED)
		return shared | bits | PTE_BORROWED;
	if (!write)
		return shared | (bits & ~PTE_W) | PTE_BORROWED;
	own = page_alloc_dirty();
	if (own == FRAME_NONE)
		return 0;
	__builtin_memcpy(page_virt(own), page_virt(shared), PAGE_SIZE);
	return own | bits;
}

static uint64_t anonymous_entry(const struct range *r)
{
	const uint64_t frame = page_alloc();

	return frame == FRAME_NONE ? 0 : frame | pt_bits(r->prot) | PTE_FRAME;
}

/* Put a page there; 0, or -ENOMEM, or -EFAULT: beyond the object's end. */
static int fill(const struct range *r, uint64_t page, bool write)
{
	uint64_t stop, *e = pt_leaf(page, &stop), entry;

	if (r->obj && ((r->off + (page - r->start)) >> PAGE_SHIFT) >= shm_pages(r->obj))
		return -EFAULT;
	if (e && *e) {
		/* Here already; what can be missing is an own copy. */
		if (!write || (*e & PTE_W) || !(*e & PTE_BORROWED))
			return 0;
		entry = object_entry(r, page, true);
		if (!entry)
			return -ENOMEM;
		*e = entry;
		pt_flush(page);
		return 0;
	}
	entry = r->obj ? object_entry(r, page, write) : anonymous_entry(r);
	if (!entry)
		return -ENOMEM;
	if (pt_set(page, entry) == 0)
		return 0;
	if (!(entry & PTE_BORROWED))
		page_free(entry & PTE_ADDR);
	return -ENOMEM;
}

int vm_populate(const struct range *r, uint64_t page)
{
	return fill(r, page, (r->prot & PROT_W) != 0);
}

static bool allowed(const struct range *r, uint64_t err)
{
	if (err & ERR_FETCH)
		return (r->prot & PROT_X) != 0;
	if (err & ERR_WRITE)
		return (r->prot & PROT_W) != 0;
	return r->prot != 0;
}

int vm_fault(uint64_t addr, uint64_t err, int *sig, int *code)
{
	const uint64_t page = addr & ~(PAGE_SIZE - 1);
	const struct range *r = addr < VM_END ? ranges_find(page) : NULL;

	if (!r && addr < VM_END)
		r = grow_down(page);
	*sig = SIGSEGV;
	*code = SEGV_MAPERR;
	if (!r)
		return -EFAULT;
	*code = SEGV_ACCERR;
	if (!allowed(r, err))
		return -EFAULT;
	if (fill(r, page, (err & ERR_WRITE) != 0) == 0)
		return 0;
	/* Beyond the end of a shared object, or out of memory in spite of promises. */
	*sig = SIGBUS;
	*code = BUS_ADRERR;
	return -EFAULT;
}

int vm_touch(void *at, size_t n)
{
	const uint64_t start = (uintptr_t)at & ~(PAGE_SIZE - 1),
	               end = (uintptr_t)at + n;
	uint64_t stop;
	int sig, code;

	for (uint64_t page = start; page < end; page += PAGE_SIZE) {
		const uint64_t *e = pt_leaf(page, &stop);

		if (page >= DIRECT_BASE ||
		    (e && (*e & (PTE_P | PTE_W)) == (PTE_P | PTE_W)))
			continue;
		if (vm_fault(page, ERR_WRITE, &sig, &code) != 0)
			return -EFAULT;
	}
	return 0;
}

uint64_t vm_phys(const void *at)
{
	const uint64_t addr = (uintptr_t)at;
	const uint64_t *e;
	uint64_t stop;

	if (addr >= DIRECT_BASE && addr < WINDOW_BASE)
		return addr - DIRECT_BASE < pages_ram_end() ? addr - DIRECT_BASE
		                                            : FRAME_NONE;
	e = pt_leaf(addr, &stop);
	if (!e || !(*e & PTE_P))
		return FRAME_NONE;
	return (*e & PTE_ADDR) | (addr & (PAGE_SIZE - 1));
}

void vm_unmap_object(const struct shm_object *o, uint64_t first, uint64_t n)
{
	for (size_t i = 0; i < ranges_count(); i++) {
		const struct range *r = ranges_at(i);
		const uint64_t begin = r->off >> PAGE_SHIFT;
		const uint64_t pages = (r->end - r->start) >> PAGE_SHIFT;
		uint64_t a, b;

		if (r->obj != o)
			continue;
		a = first > begin ? first - begin : 0;
		b = first + n > begin ? first + n - begin : 0;
		if (b > pages)
			b = pages;
		if (a < b)
			pt_unmap(r->start + (a << PAGE_SHIFT),
			         r->start + (b << PAGE_SHIFT));
	}
}

/* ---- sizes ---- */

uint64_t plat_memory_total(void)
{
	return pages_total() * PAGE_SIZE;
}

uint64_t plat_memory_used(void)
{
	return (pages_total() - pages_free_count()) * PAGE_SIZE;
}
