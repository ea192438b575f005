/* SPDX-License-Identifier: MIT */
#include "rpc/arena.h"

#include <stdalign.h>
#include <stdint.h>

static void *arena_alloc(void *ctx, size_t size)
{
	struct arena *a = ctx;
	const size_t align = 16;
	const uintptr_t here = (uintptr_t)a->buf + a->used;
	const size_t pad = (align - here % align) % align;

	if (pad > a->cap - a->used || size > a->cap - a->used - pad)
		return NULL;
	void *p = a->buf + a->used + pad;
	a->used += pad + size;
	return p;
}

static void arena_free(void *ctx, void *p)
{
	(void)ctx;
	(void)p; /* all goes at once, with the buffer */
}

void arena_init(struct arena *a, void *buf, size_t cap)
{
	a->pb = (ProtobufCAllocator){arena_alloc, arena_free, a};
	a->buf = buf;
	a->cap = cap;
	a->used = 0;
}
