/* SPDX-License-Identifier: MIT */
/*
 * vma.h - which ranges of the address space the program has mapped.
 *
 * The platform maps; this map knows what for: calls that must see holes (ENOMEM),
 * kinds (msync, mremap), and the memory limit need it.  Ranges are sorted, do not
 * overlap, and are page-aligned.
 *
 * Layer:   libos.
 * Locking: vma_lock()/vma_unlock() around all else.  Not held across an RPC.
 * Memory:  one array from the platform, doubled when full.
 * Errors:  0 or -ENOMEM.
 */
#ifndef LIBOS_VMA_H
#define LIBOS_VMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMA_SHARED 1u  /* MAP_SHARED */
#define VMA_FILE 2u    /* made by an ofd's mmap operation */
#define VMA_CHARGED 4u /* counts against the memory limit */
#define VMA_LOCKED 8u  /* mlock */
#define VMA_STACK 16u

struct vma {
	uint64_t start, end;
	uint32_t prot, flags;
};

void vma_lock(void);
void vma_unlock(void);

/* Put [start, start+len) in place of whatever is there. */
int vma_set(uint64_t start, uint64_t len, uint32_t prot, uint32_t flags);
int vma_clear(uint64_t start, uint64_t len);
/* The range that holds @addr, or NULL.  Valid until the next change. */
const struct vma *vma_find(uint64_t addr);
/* No hole in [start, start+len). */
bool vma_covers(uint64_t start, uint64_t len);
/* How many bytes of it lie before the first hole. */
uint64_t vma_covered(uint64_t start, uint64_t len);
/* No hole in it, and one protection and one set of flags. */
bool vma_uniform(uint64_t start, uint64_t len);
/* Change protection and flags of all that is mapped in the range. */
int vma_change(uint64_t start, uint64_t len, const uint32_t *prot, uint32_t set,
               uint32_t clear);
/* The first range that ends after @addr, or NULL: for walks. */
const struct vma *vma_next(uint64_t addr);

/* Bytes with VMA_CHARGED, with VMA_LOCKED, and all. */
uint64_t vma_charged(void);
uint64_t vma_locked_bytes(void);
uint64_t vma_total(void);

#endif /* LIBOS_VMA_H */
