/* SPDX-License-Identifier: MIT */
/* mmadvise.c - madvise, mincore, mlock, msync, membarrier: memory that stays put. */
#include "libos/filemap.h"
#include "libos/identity.h"
#include "libos/limits.h"
#include "libos/syscall.h"
#include "libos/user.h"
#include "libos/vma.h"

#include <errno.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define ADDRESS_END 0x7ffffffff000ul

static unsigned long up(unsigned long n)
{
	return (n + PAGE - 1) & ~(PAGE - 1);
}

static bool covers(unsigned long addr, unsigned long len)
{
	bool r;

	vma_lock();
	r = vma_covers(addr, len);
	vma_unlock();
	return r;
}

/* 0, or what a bad range answers; @len is rounded up. */
static long check_range(unsigned long addr, unsigned long *len)
{
	if (addr & (PAGE - 1))
		return -EINVAL;
	if (*len > ADDRESS_END || addr > ADDRESS_END - *len)
		return -ENOMEM;
	*len = up(*len);
	return 0;
}

/* ---- madvise ---- */

/* Drop the pages of private anonymous memory.  What came from a file is a copy that
 * cannot be fetched again: it stays. */
static long drop(const struct vma *v, uint64_t a, uint64_t b, int advice)
{
	if (advice == MADV_DONTNEED && v->flags & VMA_LOCKED)
		return -EINVAL;
	return v->flags & VMA_FILE ? 0 : plat_madvise((void *)a, b - a, MADV_DONTNEED);
}

/* The pages may stay as they are: that is cheaper than new ones. */
static long may_free(const struct vma *v, uint64_t a, uint64_t b, int advice)
{
	(void)a;
	(void)b;
	(void)advice;
	return v->flags & (VMA_SHARED | VMA_FILE) ? -EINVAL : 0;
}

/* Zeros, in the object itself.  Of a file of fsd they are stores as others are. */
static long remove_pages(const struct vma *v, uint64_t a, uint64_t b, int advice)
{
	if (v->flags & VMA_LOCKED || !(v->flags & VMA_SHARED))
		return -EINVAL;
	if (!(v->prot & PROT_WRITE))
		return -EACCES;
	return plat_madvise((void *)a, b - a, advice);
}

/* @one for each mapped part of the range, until one fails. */
static long each(unsigned long addr, unsigned long len, int advice,
                 long (*one)(const struct vma *v, uint64_t a, uint64_t b, int advice))
{
	const uint64_t end = addr + len;
	long r = 0;

	vma_lock();
	for (const struct vma *v = vma_next(addr); v && v->start < end && r == 0;
	     v = vma_next(v->end)) {
		const uint64_t a = v->start > addr ? v->start : addr;
		const uint64_t b = v->end < end ? v->end : end;

		r = one(v, a, b, advice);
	}
	vma_unlock();
	return r;
}

SYSCALL(madvise, unsigned long addr, unsigned long len, int advice)
{
	long r = check_range(addr, &len);

	if (r != 0)
		return -EINVAL;
	switch (advice) {
	case MADV_DONTNEED:
	case 24: /* MADV_DONTNEED_LOCKED */
		r = each(addr, len, advice, drop);
		break;
	case MADV_FREE:
		r = each(addr, len, advice, may_free);
		break;
	case MADV_REMOVE:
		r = each(addr, len, advice, remove_pages);
		break;
	case MADV_HWPOISON:
	case 101: /* MADV_SOFT_OFFLINE */
		return -EPERM;
	case 22: /* MADV_POPULATE_READ */
	case 23: /* MADV_POPULATE_WRITE */
		if (!covers(addr, len))
			return -ENOMEM;
		return plat_madvise((void *)addr, len, advice);
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
	case MADV_COLD:
	case MADV_PAGEOUT:
		break;
	default:
		unsupported("madvise: this advice");
		return -EINVAL;
	}
	if (r == 0 && len && !covers(addr, len))
		r = -ENOMEM;
	return r;
}

/* ---- mincore ---- */

#define MINCORE_PART 256u

SYSCALL(mincore, unsigned long addr, unsigned long len, unsigned char *user_vec)
{
	unsigned char vec[MINCORE_PART];
	long r = check_range(addr, &len);

	if (r != 0)
		return r;
	if (!covers(addr, len))
		return -ENOMEM;
	for (unsigned long at = 0; at < len; at += MINCORE_PART * PAGE) {
		const unsigned long part = len - at < MINCORE_PART * PAGE ? len - at
		                                                         : MINCORE_PART * PAGE;

		r = plat_mincore((void *)(addr + at), part, vec);
		if (r != 0)
			return r;
		if (user_copy_out(user_vec + at / PAGE, vec, part / PAGE) != 0)
			return -EFAULT;
	}
	return 0;
}

/* ---- mlock ---- */

/* 0, or why @more bytes cannot be locked.  Under the lock. */
static long lock_refused(uint64_t more)
{
	const uint64_t max = limits_get(LIMIT_MEMLOCK);

	if (cred_privileged())
		return 0;
	if (!max)
		return -EPERM;
	return vma_locked_bytes() + more <= max ? 0 : -ENOMEM;
}

/* The main stack is promised as a whole, where Linux's has the size it grew to: it
 * would be more than most may lock.  mlockall() leaves it out. */
static bool lockable(const struct vma *v, bool all)
{
	return !(v->flags & VMA_LOCKED) && !(all && v->flags & VMA_STACK);
}

/* Bytes of the range that are not locked yet.  Under the lock. */
static uint64_t newly_locked(unsigned long addr, unsigned long len, bool all)
{
	const uint64_t end = addr + len;
	uint64_t sum = 0;

	for (const struct vma *v = vma_next(addr); v && v->start < end; v = vma_next(v->end)) {
		const uint64_t a = v->start > addr ? v->start : addr;
		const uint64_t b = v->end < end ? v->end : end;

		if (lockable(v, all))
			sum += b - a;
	}
	return sum;
}

static long lock_current(void)
{
	long r = lock_refused(newly_locked(0, ADDRESS_END, true));
	uint64_t at = 0;

	for (const struct vma *v = vma_next(at); v && r == 0; v = vma_next(at)) {
		at = v->end;
		if (lockable(v, true))
			r = vma_change(v->start, v->end - v->start, NULL, VMA_LOCKED, 0);
	}
	return r;
}

static long mlock_range(unsigned long addr, unsigned long len)
{
	long r;

	len += addr & (PAGE - 1);
	addr &= ~(PAGE - 1);
	if (len > ADDRESS_END || addr > ADDRESS_END - len)
		return -EINVAL;
	len = up(len);
	if (!len)
		return 0;
	vma_lock();
	r = lock_refused(newly_locked(addr, len, false));
	if (r == 0)
		r = vma_covers(addr, len) ? vma_change(addr, len, NULL, VMA_LOCKED, 0) : -ENOMEM;
	vma_unlock();
	if (r == 0) /* bring the pages in; PROT_NONE parts cannot be */
		(void)plat_madvise((void *)addr, len, 22);
	return r;
}

SYSCALL(mlock, unsigned long addr, unsigned long len)
{
	return mlock_range(addr, len);
}

SYSCALL(mlock2, unsigned long addr, unsigned long len, unsigned flags)
{
	if (flags & ~1u) /* MLOCK_ONFAULT */
		return -EINVAL;
	return mlock_range(addr, len);
}

SYSCALL(munlock, unsigned long addr, unsigned long len)
{
	long r;

	len += addr & (PAGE - 1);
	addr &= ~(PAGE - 1);
	if (len > ADDRESS_END || addr > ADDRESS_END - len)
		return -EINVAL;
	len = up(len);
	vma_lock();
	r = vma_covers(addr, len) ? vma_change(addr, len, NULL, 0, VMA_LOCKED) : -ENOMEM;
	vma_unlock();
	return r;
}

SYSCALL(mlockall, int flags)
{
	long r;

	/* MCL_CURRENT 1, MCL_FUTURE 2, MCL_ONFAULT 4: nothing is ever paged out. */
	if (!flags || flags & ~7 || flags == 4)
		return -EINVAL;
	vma_lock();
	r = flags & 1 ? lock_current() : lock_refused(0);
	vma_unlock();
	return r;
}

SYSCALL(munlockall)
{
	vma_lock();
	(void)vma_change(0, ADDRESS_END, NULL, 0, VMA_LOCKED);
	vma_unlock();
	return 0;
}

/* ---- msync ---- */

static long locked_is_busy(const struct vma *v, uint64_t a, uint64_t b, int advice)
{
	(void)a;
	(void)b;
	(void)advice;
	return v->flags & VMA_LOCKED ? -EBUSY : 0;
}

SYSCALL(msync, unsigned long addr, unsigned long len, int flags)
{
	long r;

	if (flags & ~(MS_ASYNC | MS_SYNC | MS_INVALIDATE) ||
	    (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
		return -EINVAL;
	r = check_range(addr, &len);
	if (r != 0 || !len)
		return r;
	if (flags & MS_INVALIDATE)
		r = each(addr, len, 0, locked_is_busy);
	if (r == 0)
		r = filemap_msync((void *)addr, len, flags);
	/* What is there was written before the hole is told. */
	return r == 0 && !covers(addr, len) ? -ENOMEM : r;
}

/* ---- membarrier ---- */

#define MB_QUERY 0
#define MB_GLOBAL 1
#define MB_PRIVATE_EXPEDITED 8
#define MB_REGISTER_PRIVATE_EXPEDITED 16

SYSCALL(membarrier, int cmd, unsigned flags)
{
	if (flags)
		return -EINVAL;
	switch (cmd) {
	case MB_QUERY:
		return MB_GLOBAL | MB_PRIVATE_EXPEDITED | MB_REGISTER_PRIVATE_EXPEDITED;
	case MB_REGISTER_PRIVATE_EXPEDITED:
		return 0;
	case MB_GLOBAL:
	case MB_PRIVATE_EXPEDITED:
		return plat_membarrier();
	default:
		return -EINVAL;
	}
}
