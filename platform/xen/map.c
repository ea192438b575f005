/* SPDX-License-Identifier: MIT */
/*
 * map.c - plat_mmap() and its family, with Linux's rules.
 *
 * Each function does its work with interrupts off from beginning to end (munmap: of
 * each piece), so neither a fault nor another thread sees it half done.  Memory that
 * may be written to is promised when it is mapped (as Linux does with strict
 * overcommit): what cannot be promised is -ENOMEM here, not a fault later.
 */
#include "platform/xen/vm.h"

#include <errno.h>
#include <sys/mman.h>

#define MAP_LOW 0x10000ul
#define MAP_TOP 0x7ffff7fff000ul

#define TABLES_AT_ONCE 4u /* of 512 pages */

#define MADV_POPULATE_READ_ 22 /* newer than musl's headers */
#define MADV_POPULATE_WRITE_ 23
#define MREMAP_MAYMOVE_ 1
#define MREMAP_FIXED_ 2
#define MREMAP_DONTUNMAP_ 4

static uint64_t g_top; /* below it places are looked for; drawn once */

static uint64_t up(uint64_t n)
{
	return (n + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

static bool bad_range(uint64_t addr, uint64_t len)
{
	return addr & (PAGE_SIZE - 1) || len > VM_END || addr > VM_END - len;
}

/* 28 bits of chance, as Linux's mmap base has. */
static uint64_t top(void)
{
	if (!g_top) {
		uint64_t chance = 0;

		plat_random(&chance, sizeof(chance));
		g_top = MAP_TOP - ((chance & 0xfffffff) << PAGE_SHIFT);
	}
	return g_top;
}

static uint64_t pages(uint64_t bytes)
{
	return bytes >> PAGE_SHIFT;
}

/* The promised pages of [start, end), objects not counted. */
static uint64_t charged(uint64_t start, uint64_t end)
{
	uint64_t sum = 0;

	for (size_t i = ranges_after(start); i < ranges_count(); i++) {
		const struct range *r = ranges_at(i);

		if (r->start >= end)
			break;
		if (r->flags & RANGE_CHARGED)
			sum += pages((r->end < end ? r->end : end) -
			             (r->start > start ? r->start : start));
	}
	return sum;
}

/* How many ranges more there are while [start, end) is taken out. */
static size_t borders(uint64_t start, uint64_t end)
{
	const struct range *a = ranges_find(start), *b = ranges_find(end);

	return (size_t)(a && a->start < start) + (size_t)(b && b->start < end);
}

/* Take everything out of [start, end); room for borders() is there. */
static void clear(uint64_t start, uint64_t end)
{
	size_t i, n = 0;

	vm_uncommit(charged(start, end));
	ranges_split(start);
	ranges_split(end);
	pt_unmap(start, end);
	i = ranges_after(start);
	while (i + n < ranges_count() && ranges_at(i + n)->start < end)
		n++;
	if (n)
		ranges_remove(i, n);
}

static bool is_free(uint64_t start, uint64_t end)
{
	const size_t i = ranges_after(start);

	return i == ranges_count() || ranges_at(i)->start >= end;
}

/* Where a mapping goes: an address, or -errno. */
static long place(uint64_t addr, uint64_t len, int flags)
{
	uint64_t at;

	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (bad_range(addr, len))
			return addr & (PAGE_SIZE - 1) ? -EINVAL : -ENOMEM;
		if (addr < MAP_LOW)
			return -EPERM;
		if ((flags & MAP_FIXED_NOREPLACE) && !is_free(addr, addr + len))
			return -EEXIST;
		return (long)addr;
	}
	addr &= ~(PAGE_SIZE - 1);
	if (addr >= MAP_LOW && !bad_range(addr, len) && is_free(addr, addr + len))
		return (long)addr;
	at = ranges_gap(len, MAP_LOW, top());
	if (!at)
		at = ranges_gap(len, MAP_LOW, MAP_TOP);
	return at ? (long)at : -ENOMEM;
}

static void populate(uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at < end; at += PAGE_SIZE) {
		const struct range *r = ranges_find(at);

		if (!r || !r->prot || vm_populate(r, at) != 0)
			return;
	}
}

/* Map @r, whose addresses are not yet chosen; takes its reference to the object. */
static long map(struct range r, uint64_t addr, uint64_t len, int flags)
{
	const uint64_t charge = r.flags & RANGE_CHARGED ? pages(len) : 0;
	long at;

	if (ranges_room(2) != 0)
		return -ENOMEM;
	at = place(addr, len, flags);
	if (at < 0)
		return at;
	addr = (uint64_t)at;
	if (flags & MAP_FIXED) {
		const uint64_t freed = charged(addr, addr + len);

		if (charge > freed && vm_commit(charge - freed) != 0)
			return -ENOMEM;
		if (charge > freed)
			vm_uncommit(charge - freed);
		clear(addr, addr + len);
	}
	if (vm_commit(charge) != 0)
		return -ENOMEM;
	r.start = addr;
	r.end = addr + len;
	ranges_insert(r);
	if (flags & MAP_POPULATE)
		populate(addr, addr + len);
	return at;
}

static uint8_t range_flags(int prot, int flags, bool object)
{
	unsigned f = 0;

	if ((flags & MAP_TYPE) != MAP_PRIVATE)
		f |= RANGE_SHARED;
	else if (prot & PROT_WRITE)
		f |= RANGE_CHARGED;
	if ((flags & MAP_GROWSDOWN) && !object)
		f |= RANGE_GROWSDOWN;
	return (uint8_t)f;
}

static long map_anonymous(uint64_t addr, uint64_t len, int prot, int flags)
{
	struct range r = {.prot = (uint8_t)(prot & 7),
	                  .flags = range_flags(prot, flags, false)};
	long at;

	if (r.flags & RANGE_SHARED) {
		r.obj = shm_new(len);
		if (!r.obj)
			return -ENOMEM;
	}
	at = map(r, addr, len, flags);
	if (at < 0 && r.obj)
		shm_drop(r.obj);
	return at;
}

long plat_mmap(void *addr, size_t len, int prot, int flags)
{
	const uint64_t irq = irq_off();
	long at = -EINVAL;

	if (len > VM_END)
		at = -ENOMEM;
	else if (len)
		at = map_anonymous((uintptr_t)addr, up(len), prot, flags);
	irq_restore(irq);
	return at;
}

static long map_object(int shm, uint64_t off, uint64_t addr, uint64_t len, int prot,
                       int flags)
{
	struct range r = {
	        .obj = shm_get(shm),
	        .off = off,
	        .prot = (uint8_t)(prot & 7),
	        .flags = range_flags(prot, flags, true),
	};
	long at;

	if (!r.obj)
		return -EBADF;
	shm_hold(r.obj);
	at = map(r, addr, len, flags);
	if (at < 0)
		shm_drop(r.obj);
	return at;
}

long plat_shm_map(int shm, uint64_t off, void *addr, size_t len, int prot, int flags)
{
	const uint64_t irq = irq_off();
	long at = -EINVAL;

	if (len > VM_END || off > VM_END)
		at = -ENOMEM;
	else if (len && !(off & (PAGE_SIZE - 1)))
		at = map_object(shm, off, (uintptr_t)addr, up(len), prot, flags);
	irq_restore(irq);
	return at;
}

/* Where to stop so that not too many pages are freed with interrupts off. */
static uint64_t pause_at(uint64_t start, uint64_t end)
{
	unsigned tables = 0;
	uint64_t stop;

	for (; start < end && tables < TABLES_AT_ONCE; start = stop)
		tables += pt_leaf(start, &stop) != NULL;
	return start < end ? start : end;
}

long plat_munmap(void *addr, size_t len)
{
	uint64_t at = (uintptr_t)addr, end = at + up(len);
	long r = 0;

	if (!len || bad_range(at, len))
		return -EINVAL;
	/* As several calls, one for each piece: between them another thread may run.  Not
	 * where there are holes: that thread could map something there. */
	while (r == 0 && at < end) {
		const uint64_t irq = irq_off();
		const uint64_t stop = ranges_covered(at, end) ? pause_at(at, end) : end;

		if (ranges_room(borders(at, stop)) != 0)
			r = -ENOMEM;
		else
			clear(at, stop);
		irq_restore(irq);
		at = stop;
	}
	return r;
}

/* ---- mprotect ---- */

/* What of [start, end) would newly be promised if it became writable. */
static uint64_t newly_charged(uint64_t start, uint64_t end)
{
	uint64_t sum = 0;

	for (size_t i = ranges_after(start); i < ranges_count(); i++) {
		const struct range *r = ranges_at(i);

		if (r->start >= end)
			break;
		if (!(r->flags & (RANGE_CHARGED | RANGE_SHARED)))
			sum += pages((r->end < end ? r->end : end) -
			             (r->start > start ? r->start : start));
	}
	return sum;
}

static long protect(uint64_t start, uint64_t end, int prot)
{
	if (!ranges_covered(start, end) || ranges_room(2) != 0)
		return -ENOMEM;
	if ((prot & PROT_WRITE) && vm_commit(newly_charged(start, end)) != 0)
		return -ENOMEM;
	ranges_split(start);
	ranges_split(end);
	for (size_t i = ranges_after(start); i < ranges_count(); i++) {
		struct range *r = ranges_at(i);

		if (r->start >= end)
			break;
		r->prot = (uint8_t)(prot & 7);
		if ((prot & PROT_WRITE) && !(r->flags & RANGE_SHARED))
			r->flags |= RANGE_CHARGED;
		pt_protect(r->start, r->end, r->prot, (r->flags & RANGE_SHARED) != 0);
	}
	ranges_join(start, end);
	return 0;
}

long plat_mprotect(void *addr, size_t len, int prot)
{
	const uint64_t irq = irq_off(), start = (uintptr_t)addr;
	long r = 0;

	if (bad_range(start, len))
		r = start & (PAGE_SIZE - 1) ? -EINVAL : -ENOMEM;
	else if (len)
		r = protect(start, start + up(len), prot);
	irq_restore(irq);
	return r;
}

/* ---- mremap ---- */

/* The part [addr, addr + len) of a range, grown or shrunk to @new_len, at @to. */
static long move_range(const struct range *whole, uint64_t addr, uint64_t len,
                       uint64_t new_len, int flags, uint64_t to)
{
	const uint64_t moved = len < new_len ? len : new_len;
	const bool keep = (flags & MREMAP_DONTUNMAP_) != 0;
	struct range r = *whole;
	long at;

	/* The new place is promised anew; the old one's promise goes with it. */
	r.off += addr - r.start;
	if (r.obj)
		shm_hold(r.obj);
	at = map(r, to, new_len, flags & MREMAP_FIXED_ ? MAP_FIXED : 0);
	if (at < 0 || !len) {
		if (at < 0 && r.obj)
			shm_drop(r.obj);
		return at;
	}
	if (pt_move(addr, (uint64_t)at, moved) != 0) {
		clear((uint64_t)at, (uint64_t)at + new_len);
		return -ENOMEM;
	}
	if (!keep)
		clear(addr, addr + len);
	return at;
}

static long grow_here(struct range *r, uint64_t addr, uint64_t old_len,
                      uint64_t new_len)
{
	const uint64_t more = new_len - old_len, end = r->end;
	struct range tail = *r;

	if (end != addr + old_len || bad_range(end, more) ||
	    !is_free(end, end + more) || ranges_room(1) != 0)
		return -ENOMEM;
	if ((r->flags & RANGE_CHARGED) && vm_commit(pages(more)) != 0)
		return -ENOMEM;
	tail.start = end;
	tail.end = end + more;
	tail.off += end - r->start;
	if (tail.obj)
		shm_hold(tail.obj);
	ranges_insert(tail);
	return (long)addr;
}

static long remap(uint64_t addr, uint64_t old_len, uint64_t new_len, int flags,
                  uint64_t to)
{
	struct range *r = ranges_find(addr), was;
	long at;

	if (!r || r->end - addr < old_len)
		return -EFAULT;
	if (ranges_room(4) != 0)
		return -ENOMEM;
	r = ranges_find(addr);
	if (!old_len && !(r->flags & RANGE_SHARED))
		return -EINVAL;
	if ((flags & MREMAP_DONTUNMAP_) && r->obj)
		return -EINVAL;
	was = *r;
	if (!(flags & (MREMAP_FIXED_ | MREMAP_DONTUNMAP_)) && old_len) {
		if (new_len == old_len)
			return (long)addr;
		if (new_len < old_len) {
			clear(addr + new_len, addr + old_len);
			return (long)addr;
		}
		at = grow_here(r, addr, old_len, new_len);
		if (at > 0)
			return at;
	}
	if (!(flags & MREMAP_MAYMOVE_))
		return -ENOMEM;
	return move_range(&was, addr, old_len, new_len, flags, to);
}

long plat_mremap(void *addr, size_t old_len, size_t new_len, int flags, void *to)
{
	const uint64_t irq = irq_off(), from = (uintptr_t)addr;
	long r;

	if (bad_range(from, old_len) || !new_len || new_len > VM_END ||
	    ((flags & MREMAP_FIXED_) &&
	     (bad_range((uintptr_t)to, new_len) ||
	      ((uintptr_t)to < from + old_len && from < (uintptr_t)to + new_len))))
		r = -EINVAL;
	else
		r = remap(from, up(old_len), up(new_len), flags, (uintptr_t)to);
	irq_restore(irq);
	return r;
}

/* ---- madvise, mincore ---- */

/* The pages of an object behind [start, end): freed, so that zeros come back. */
static void remove_pages(const struct range *r, uint64_t start, uint64_t end)
{
	const uint64_t first = pages(r->off + (start - r->start));

	vm_unmap_object(r->obj, first, pages(end - start));
	shm_punch(r->obj, first, pages(end - start));
}

static int advise_range(const struct range *r, uint64_t start, uint64_t end, int advice)
{
	switch (advice) {
	case MADV_DONTNEED:
		pt_unmap(start, end);
		return 0;
	case MADV_FREE:
		if (r->obj)
			return -EINVAL;
		pt_unmap(start, end);
		return 0;
	case MADV_REMOVE:
		if (!r->obj || !(r->flags & RANGE_SHARED))
			return -EINVAL;
		if (!(r->prot & PROT_W))
			return -EACCES;
		remove_pages(r, start, end);
		return 0;
	case MADV_POPULATE_READ_:
	case MADV_POPULATE_WRITE_:
		if (advice == MADV_POPULATE_WRITE_ && !(r->prot & PROT_W))
			return -EINVAL;
		if (r->prot)
			populate(start, end);
		return 0;
	default:
		return 0; /* hints that say how, not what */
	}
}

static long advise(uint64_t start, uint64_t end, int advice)
{
	bool hole = false;

	for (uint64_t at = start; at < end;) {
		const size_t i = ranges_after(at);
		const struct range *r;
		uint64_t stop;
		int err;

		if (i == ranges_count() || ranges_at(i)->start >= end)
			return -ENOMEM;
		r = ranges_at(i);
		hole |= r->start > at;
		at = r->start > at ? r->start : at;
		stop = r->end < end ? r->end : end;
		err = advise_range(r, at, stop, advice);
		if (err)
			return err;
		at = stop;
	}
	return hole ? -ENOMEM : 0;
}

long plat_madvise(void *addr, size_t len, int advice)
{
	const uint64_t irq = irq_off(), start = (uintptr_t)addr;
	long r = 0;

	if (bad_range(start, len))
		r = -EINVAL;
	else if (len)
		r = advise(start, start + up(len), advice);
	irq_restore(irq);
	return r;
}

long plat_mincore(void *addr, size_t len, unsigned char *vec)
{
	const uint64_t start = (uintptr_t)addr;

	if (start & (PAGE_SIZE - 1))
		return -EINVAL;
	if (bad_range(start, len))
		return -ENOMEM;
	for (uint64_t at = start; at < start + up(len); at += PAGE_SIZE, vec++) {
		const uint64_t irq = irq_off();
		const bool mapped = ranges_find(at) != NULL;
		uint64_t stop;
		const uint64_t *e = pt_leaf(at, &stop);
		const unsigned char here = e && *e;

		irq_restore(irq);
		if (!mapped)
			return -ENOMEM;
		if (plat_copy(vec, &here, 1) != 0)
			return -EFAULT;
	}
	return 0;
}
