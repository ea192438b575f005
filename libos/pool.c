/* SPDX-License-Identifier: MIT */
/*
 * pool.c - a free list threaded through the first word of free objects.
 *
 * The free list must not touch an object's second word: it is the reference count
 * of an ofd, which ofd_get() may look at (and find 0) after the object is gone.
 */
#include "libos/pool.h"

#include <string.h>
#include <sys/mman.h>

#define CHUNK_BYTES (64u * 1024)
#define PAGE_BYTES 4096u

static bool pool_grow_locked(struct pool *p)
{
	uint32_t room = p->limit - p->n_made;
	size_t n = CHUNK_BYTES / p->size;
	size_t bytes;
	long r;

	if (room == 0)
		return false;
	if (n == 0)
		n = 1;
	if (n > room)
		n = room;
	bytes = (n * p->size + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	r = plat_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	if (r < 0 && r > -4096)
		return false;
	p->fresh = (uint8_t *)r;
	p->n_fresh = (uint32_t)n;
	p->n_made += (uint32_t)n;
	return true;
}

/* *@fresh: the memory comes from the platform and is zero. */
static void *pool_take(struct pool *p, bool *fresh)
{
	void *obj = NULL;

	lock_take(&p->lock);
	*fresh = false;
	if (p->free_list) {
		obj = p->free_list;
		p->free_list = *(void **)obj;
	} else if (p->n_fresh > 0 || pool_grow_locked(p)) {
		obj = p->fresh;
		p->fresh += p->size;
		p->n_fresh--;
		*fresh = true;
	}
	if (obj)
		p->n_used++;
	lock_drop(&p->lock);
	return obj;
}

/* A count of references in there is 0 already, and stays so: ofd_ref_if_live() may look
 * at it meanwhile through a stale pointer.  For ThreadSanitizer that must be said with
 * atomic stores. */
static void clear(void *obj, size_t n)
{
#ifdef __SANITIZE_THREAD__
	for (uint64_t *at = obj; n > 0; n -= sizeof(*at))
		__atomic_store_n(at++, 0, __ATOMIC_RELAXED);
#else
	memset(obj, 0, n);
#endif
}

void *pool_get(struct pool *p)
{
	bool fresh;
	void *obj = pool_take(p, &fresh);

	if (obj && !fresh)
		clear(obj, p->size);
	return obj;
}

void *pool_get_dirty(struct pool *p)
{
	bool fresh;

	return pool_take(p, &fresh);
}

void pool_put(struct pool *p, void *obj)
{
	lock_take(&p->lock);
	*(void **)obj = p->free_list;
	p->free_list = obj;
	p->n_used--;
	lock_drop(&p->lock);
}

uint32_t pool_used(struct pool *p)
{
	uint32_t n;

	lock_take(&p->lock);
	n = p->n_used;
	lock_drop(&p->lock);
	return n;
}
