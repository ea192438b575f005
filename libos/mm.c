/* SPDX-License-Identifier: MIT */
/*
 * mm.c - mmap and its family.
 *
 * The platform's page tables do the work; vma.c remembers what is where.  The
 * memory limit counts what the program may write to and has to itself (as Linux's
 * strict overcommit does): reservations with PROT_NONE cost nothing.
 */
#include "libos/mm.h"

#include "libos/filemap.h"
#include "libos/limits.h"
#include "libos/ofd.h"
#include "libos/syscall.h"
#include "libos/vma.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define ADDRESS_END 0x7ffffffff000ul
#define ADDRESS_MIN 0x10000ul
#define STACK_SIZE (8ul << 20)
#define STACK_MIN (256ul << 10)
#define STACK_GAP (1ul << 20)
#define PROT_KNOWN (PROT_READ | PROT_WRITE | PROT_EXEC)
#define MAP_TYPES 0xf
#define FLAGS_TO_PLATFORM                                                                \
	(MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_NORESERVE | MAP_GROWSDOWN | MAP_STACK |   \
	 MAP_POPULATE)

/* The linker's; a script of the program's own may leave them out. */
extern const char __ehdr_start[] __attribute__((weak));
extern const char _end[] __attribute__((weak));

static unsigned long up(unsigned long n)
{
	return (n + PAGE - 1) & ~(PAGE - 1);
}

static bool bad_range(unsigned long addr, unsigned long len)
{
	return len > ADDRESS_END || addr > ADDRESS_END - len;
}

static bool failed(long r)
{
	return r < 0 && r > -4096;
}

/* ---- the limit ---- */

static uint64_t limit(enum limit which)
{
	return limits_get(which);
}

/* May @more bytes be mapped, of which @charge count as memory?  Under the lock. */
static bool fits(uint64_t more, uint64_t charge)
{
	if (charge && g_config.memory && vma_charged() + charge > g_config.memory)
		return false;
	return vma_total() + more <= limit(LIMIT_AS);
}

static bool fits_now(uint64_t more, uint64_t charge)
{
	bool r;

	vma_lock();
	r = fits(more, charge);
	vma_unlock();
	return r;
}

static uint32_t charge_flag(int prot, uint32_t flags)
{
	return (prot & PROT_WRITE) && !(flags & VMA_SHARED) ? VMA_CHARGED : 0;
}

/* ---- mmap ---- */

static long map_anonymous(unsigned long addr, unsigned long len, int prot, int flags)
{
	const int type = flags & MAP_TYPES;
	uint32_t vf = type == MAP_PRIVATE ? 0 : VMA_SHARED;
	long p;

	vf |= (prot & PROT_WRITE) ? VMA_CHARGED : 0;
	if (!fits_now(len, vf & VMA_CHARGED ? len : 0))
		return -ENOMEM;
	if (flags & MAP_FIXED)
		filemap_unmap((void *)addr, len);
	vma_lock();
	p = plat_mmap((void *)addr, len, prot,
	              (flags & FLAGS_TO_PLATFORM) | (vf & VMA_SHARED ? MAP_SHARED : MAP_PRIVATE));
	if (!failed(p) && vma_set((uint64_t)p, len, (uint32_t)prot, vf) != 0) {
		(void)plat_munmap((void *)p, len);
		p = -ENOMEM;
	}
	vma_unlock();
	return p;
}

static long check_file(const struct ofd *o, int prot, int type)
{
	const uint32_t acc = o->flags & O_ACCMODE;

	if (o->flags & O_PATH)
		return -EBADF;
	if (acc == O_WRONLY)
		return -EACCES;
	if (type != MAP_PRIVATE && (prot & PROT_WRITE) && acc != O_RDWR)
		return -EACCES;
	if (!o->ops->mmap)
		return -ENODEV;
	return 0;
}

static long map_file(unsigned long addr, unsigned long len, int prot, int flags, int fd,
                     unsigned long off)
{
	const int type = flags & MAP_TYPES;
	const uint32_t shared = type == MAP_PRIVATE ? 0 : VMA_SHARED;
	const uint32_t charge = charge_flag(prot, shared);
	struct ofd *o = ofd_get(fd);
	long p;

	if (!o)
		return -EBADF;
	p = check_file(o, prot, type);
	if (p == 0 && !fits_now(len, charge ? len : 0))
		p = -ENOMEM;
	/* Only now: a call that is refused leaves what stands there as it is. */
	if (p == 0 && (flags & MAP_FIXED))
		filemap_unmap((void *)addr, len);
	if (p == 0)
		p = o->ops->mmap(o, (void *)addr, len, prot, flags, off);
	ofd_put(o);
	if (failed(p))
		return p;
	vma_lock();
	if (vma_set((uint64_t)p, len, (uint32_t)prot, shared | charge | VMA_FILE) != 0) {
		(void)plat_munmap((void *)p, len);
		p = -ENOMEM;
	}
	vma_unlock();
	return p;
}

static long check_mmap(unsigned long addr, unsigned long len, int flags, unsigned long off)
{
	const int type = flags & MAP_TYPES;

	if (!len || off & (PAGE - 1) || (type != MAP_SHARED && type != MAP_PRIVATE && type != 3))
		return -EINVAL;
	if (flags & MAP_HUGETLB)
		return -ENOMEM;
	if (bad_range(0, len))
		return -ENOMEM;
	if (!(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
		return 0;
	if (addr & (PAGE - 1))
		return -EINVAL;
	if (bad_range(addr, up(len)))
		return -ENOMEM;
	if (addr < ADDRESS_MIN)
		return -EPERM;
	return 0;
}

SYSCALL(mmap, unsigned long addr, unsigned long len, int prot, int flags, int fd,
        unsigned long off)
{
	long r = check_mmap(addr, len, flags, off);

	if (r != 0)
		return r;
	len = up(len);
	prot &= PROT_KNOWN;
	if (!(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
		addr &= ~(PAGE - 1);
	if (flags & MAP_ANONYMOUS)
		return map_anonymous(addr, len, prot, flags);
	return map_file(addr, len, prot, flags, fd, off);
}

SYSCALL(munmap, unsigned long addr, unsigned long len)
{
	long r;

	if (addr & (PAGE - 1) || !len || bad_range(addr, len))
		return -EINVAL;
	len = up(len);
	filemap_unmap((void *)addr, len);
	vma_lock();
	r = plat_munmap((void *)addr, len);
	if (r == 0)
		(void)vma_clear(addr, len);
	vma_unlock();
	return r;
}

/* ---- mprotect ---- */

/* What PROT_WRITE would newly charge in the range.  Under the lock. */
static uint64_t newly_charged(unsigned long addr, unsigned long len)
{
	uint64_t sum = 0;

	for (const struct vma *v = vma_next(addr); v && v->start < addr + len; v = vma_next(v->end)) {
		const uint64_t a = v->start > addr ? v->start : addr;
		const uint64_t b = v->end < addr + len ? v->end : addr + len;

		if (!(v->flags & (VMA_CHARGED | VMA_SHARED)))
			sum += b - a;
	}
	return sum;
}

/* Private parts of the range become charged.  Under the lock. */
static void charge_range(unsigned long addr, unsigned long len)
{
	const uint64_t end = addr + len;

	for (uint64_t at = addr; at < end;) {
		const struct vma *v = vma_next(at);
		uint64_t a, b;

		if (!v || v->start >= end)
			return;
		a = v->start > at ? v->start : at;
		b = v->end < end ? v->end : end;
		if (!(v->flags & (VMA_CHARGED | VMA_SHARED)))
			(void)vma_change(a, b - a, NULL, VMA_CHARGED, 0);
		at = b;
	}
}

/* Up to a hole all is changed before the hole is told, as on Linux. */
static long protect_locked(unsigned long addr, unsigned long len, int prot)
{
	const uint32_t p = (uint32_t)prot;
	const unsigned long want = len;
	long r;

	len = vma_covered(addr, len);
	if (!len)
		return -ENOMEM;
	if ((prot & PROT_WRITE) && !fits(0, newly_charged(addr, len)))
		return -ENOMEM;
	r = plat_mprotect((void *)addr, len, prot);
	if (r != 0)
		return r;
	if (vma_change(addr, len, &p, 0, 0) != 0)
		return -ENOMEM;
	if (prot & PROT_WRITE)
		charge_range(addr, len);
	return len == want ? 0 : -ENOMEM;
}

SYSCALL(mprotect, unsigned long addr, unsigned long len, int prot)
{
	long r;

	if (addr & (PAGE - 1) ||
	    prot & ~(PROT_KNOWN | PROT_GROWSDOWN | PROT_GROWSUP | 0x8 /* PROT_SEM */))
		return -EINVAL;
	if (!len)
		return 0;
	if (bad_range(addr, len))
		return -ENOMEM;
	len = up(len);
	prot &= PROT_KNOWN;
	if (prot & PROT_WRITE) {
		r = filemap_may_write((void *)addr, len);
		if (r != 0)
			return r;
	}
	vma_lock();
	r = protect_locked(addr, len, prot);
	vma_unlock();
	return r;
}

SYSCALL(pkey_mprotect, unsigned long addr, unsigned long len, int prot, int key)
{
	if (key != -1)
		return -EINVAL;
	return strait_sys_mprotect(addr, len, prot);
}

/* ---- mremap ---- */

#define MREMAP_DONTUNMAP_ 4
#define MREMAP_KNOWN (MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP_)

static long check_mremap(unsigned long addr, unsigned long old_len, unsigned long new_len,
                         int flags, unsigned long to)
{
	if (flags & ~MREMAP_KNOWN || addr & (PAGE - 1) || !new_len)
		return -EINVAL;
	if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP_)) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if ((flags & MREMAP_DONTUNMAP_) && old_len != new_len)
		return -EINVAL;
	if ((flags & MREMAP_FIXED) &&
	    (to & (PAGE - 1) || bad_range(to, new_len) ||
	     (to < addr + old_len && addr < to + new_len)))
		return -EINVAL;
	if (bad_range(addr, old_len) || bad_range(0, new_len))
		return -EINVAL;
	return 0;
}

/* After the platform moved or resized; under the lock. */
static void note_mremap(struct vma was, unsigned long addr, unsigned long old_len, long at,
                        unsigned long new_len, int flags)
{
	if (!(flags & MREMAP_DONTUNMAP_))
		(void)vma_clear(addr, old_len);
	(void)vma_set((uint64_t)at, new_len, was.prot, was.flags);
}

static long mremap_locked(unsigned long addr, unsigned long old_len, unsigned long new_len,
                          int flags, unsigned long to)
{
	const struct vma *v = vma_find(addr);
	struct vma was;
	long r;

	if (!v || v->end - addr < old_len)
		return -EFAULT;
	was = *v;
	/* In the midst of a range nothing can grow in place: no need to ask. */
	if (!(flags & MREMAP_MAYMOVE) && new_len > old_len && was.end != addr + old_len)
		return -ENOMEM;
	if (new_len > old_len &&
	    !fits(new_len - old_len, was.flags & VMA_CHARGED ? new_len - old_len : 0))
		return -ENOMEM;
	r = plat_mremap((void *)addr, old_len, new_len, flags, (void *)to);
	if (!failed(r))
		note_mremap(was, addr, old_len, r, new_len, flags);
	return r;
}

static bool in_one_range(unsigned long addr, unsigned long len)
{
	const struct vma *v;
	bool r;

	vma_lock();
	v = vma_find(addr);
	r = v && v->end - addr >= len;
	vma_unlock();
	return r;
}

SYSCALL(mremap, unsigned long addr, unsigned long old_len, unsigned long new_len, int flags,
        unsigned long to)
{
	long r = check_mremap(addr, old_len, new_len, flags, to);

	if (r != 0)
		return r;
	old_len = up(old_len);
	new_len = up(new_len);
	/* Before what stands at @to gives way. */
	if (!in_one_range(addr, old_len))
		return -EFAULT;
	if (filemap_mremap((void *)addr, old_len, new_len, flags, (void *)to, &r)) {
		if (!failed(r)) {
			const uint32_t prot = PROT_READ | PROT_WRITE;
			const struct vma *v;
			struct vma was = {0, 0, prot, VMA_SHARED | VMA_FILE};

			vma_lock();
			v = vma_find(addr);
			if (v)
				was = *v;
			note_mremap(was, addr, old_len, r, new_len, flags);
			vma_unlock();
		}
		return r;
	}
	if (flags & MREMAP_FIXED)
		filemap_unmap((void *)to, new_len);
	vma_lock();
	r = mremap_locked(addr, old_len, new_len, flags, to);
	vma_unlock();
	return r;
}

/* ---- remap_file_pages ---- */

/* As Linux has done it since 4.0: another mmap of the same file in the same place. */
SYSCALL(remap_file_pages, unsigned long addr, unsigned long len, unsigned long prot,
        unsigned long first_page)
{
	const struct vma *v;
	int now = 0;
	bool ours = false;

	addr &= ~(PAGE - 1);
	len &= ~(PAGE - 1);
	if (prot || !len || bad_range(addr, len) || first_page > (1ul << 51) - len / PAGE)
		return -EINVAL;
	vma_lock();
	v = vma_find(addr);
	if (v && (v->flags & (VMA_SHARED | VMA_FILE)) == (VMA_SHARED | VMA_FILE)) {
		now = (int)v->prot;
		ours = vma_uniform(addr, len);
	}
	vma_unlock();
	return ours ? filemap_remap((void *)addr, len, now, first_page * PAGE) : -EINVAL;
}

/* ---- brk ---- */

#define BRK_RESERVE (256ul << 20)
#define BRK_STEP (64ul << 10)

static struct {
	unsigned long start, now, usable; /* under the vma lock */
} g_brk;

static bool brk_reserve(void)
{
	long p = plat_mmap(NULL, BRK_RESERVE, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);

	if (failed(p))
		return false;
	g_brk.start = g_brk.now = g_brk.usable = (unsigned long)p;
	return true;
}

/* Linux's brk: the new break, or the old one when it cannot be. */
static unsigned long brk_move(unsigned long to)
{
	const unsigned long want = (up(to) + BRK_STEP - 1) & ~(BRK_STEP - 1);

	if (!g_brk.start && !brk_reserve())
		return 0;
	if (to < g_brk.start || to > g_brk.start + BRK_RESERVE)
		return g_brk.now;
	if (want > g_brk.usable) {
		if (!fits(want - g_brk.usable, want - g_brk.usable) ||
		    plat_mprotect((void *)g_brk.usable, want - g_brk.usable,
		                  PROT_READ | PROT_WRITE) != 0)
			return g_brk.now;
		(void)vma_set(g_brk.usable, want - g_brk.usable, PROT_READ | PROT_WRITE,
		              VMA_CHARGED);
		g_brk.usable = want;
	} else if (to < g_brk.now && up(to) < up(g_brk.now)) {
		(void)plat_madvise((void *)up(to), up(g_brk.now) - up(to), MADV_DONTNEED);
	}
	g_brk.now = to;
	return to;
}

SYSCALL(brk, unsigned long to)
{
	unsigned long r;

	vma_lock();
	r = brk_move(to);
	vma_unlock();
	return (long)r;
}

/* ---- the start ---- */

void mm_init(void)
{
	const unsigned long start = (unsigned long)__ehdr_start & ~(PAGE - 1);

	if (!__ehdr_start || !_end)
		return;
	vma_lock();
	(void)vma_set(start, up((unsigned long)_end) - start, PROT_READ | PROT_WRITE | PROT_EXEC, 0);
	vma_unlock();
}

/* 8 MiB, or an eighth of a small memory: the stack is promised as a whole. */
static unsigned long stack_size(void)
{
	const unsigned long part = plat_memory_total() / 8 & ~(PAGE - 1);

	if (!part || part >= STACK_SIZE)
		return STACK_SIZE;
	return part < STACK_MIN ? STACK_MIN : part;
}

void *mm_main_stack(size_t need)
{
	unsigned long size = stack_size();
	long p;

	if (size < need + size / 8)
		size = up(need + size / 8);
	if (size != STACK_SIZE)
		limits_set_stack(size);
	p = plat_mmap(NULL, size + STACK_GAP, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
	if (failed(p))
		return NULL;
	if (plat_mprotect((char *)p + STACK_GAP, size, PROT_READ | PROT_WRITE) != 0)
		return NULL;
	vma_lock();
	(void)vma_set((uint64_t)p + STACK_GAP, size, PROT_READ | PROT_WRITE, VMA_STACK);
	vma_unlock();
	return (char *)p + STACK_GAP + size;
}
