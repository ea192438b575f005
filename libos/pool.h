/* SPDX-License-Identifier: MIT */
/*
 * pool.h - objects of one size, from platform memory, kept for reuse.
 *
 *     static struct pool g_pipes = POOL_INIT(struct pipe, 4096);
 *
 * A pool grows by chunks up to its limit and never shrinks, so the memory of an
 * object stays memory of its type after pool_put().  ofd_get() depends on it: an
 * object that begins with struct ofd must come from such a pool.
 *
 * Layer:     libos.
 * Ownership: pool_get() gives an object to the caller, pool_put() takes it back.
 * Locking:   thread-safe; the pool's lock is a leaf.
 * Memory:    plat_mmap(); nothing until the first pool_get().
 * Errors:    NULL: the limit is reached, or no memory.
 */
#ifndef LIBOS_POOL_H
#define LIBOS_POOL_H

#include "libos/lock.h"

#include <stddef.h>
#include <stdint.h>

struct pool {
	struct lock lock;
	uint32_t limit;  /* constant */
	size_t size;     /* constant: of an object, rounded up to POOL_ALIGN */
	void *free_list; /* the rest: under lock */
	uint8_t *fresh;  /* memory never handed out yet, and what is left of it */
	uint32_t n_fresh;
	uint32_t n_used;
	uint32_t n_made;
};

#define POOL_ALIGN 16u
#define POOL_ROUND(n) (((n) + POOL_ALIGN - 1) & ~(size_t)(POOL_ALIGN - 1))
#define POOL_INIT(type, max)                                                           \
	{                                                                              \
		.lock = LOCK_INIT, .limit = (max), .size = POOL_ROUND(sizeof(type))    \
	}

/* All zero. */
void *pool_get(struct pool *p) __attribute__((warn_unused_result));
/* As it was left by the last user but for its first word: for big buffers. */
void *pool_get_dirty(struct pool *p) __attribute__((warn_unused_result));
void pool_put(struct pool *p, void *obj);
uint32_t pool_used(struct pool *p);

#endif /* LIBOS_POOL_H */
