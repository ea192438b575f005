/* SPDX-License-Identifier: MIT */
/*
 * shm.c - objects of shareable memory: memfds, shared mappings.
 *
 * An object is a tree of frames, as high as its largest page number asks for.  Its
 * size is what may be touched and what is promised memory for; frames are made on
 * touch.  Who holds references: the program's number (until plat_shm_free()), and
 * every range that maps the object.
 */
#include "platform/xen/vm.h"

#include <errno.h>

#define FANOUT 512ul
#define PER_PAGE 64u
#define ID_PAGES 512u /* 32768 objects */

struct shm_object {
	uint64_t size, refs;
	uint64_t root; /* frame of the highest table, or of page 0; FRAME_NONE: none */
	unsigned height; /* of tables above the pages */
	bool used, open; /* open: the program's number is valid */
	uint64_t pad[4];
};
_Static_assert(sizeof(struct shm_object) == 64, "whole pages of objects");

static uint64_t *g_ids; /* pages of objects, by number / PER_PAGE */

static uint64_t pages_of(uint64_t bytes)
{
	return (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

uint64_t shm_pages(const struct shm_object *o)
{
	return pages_of(o->size);
}

static struct shm_object *at(int id)
{
	const unsigned page = (unsigned)id / PER_PAGE;

	if (id < 0 || !g_ids || page >= ID_PAGES || !g_ids[page])
		return NULL;
	return (struct shm_object *)page_virt(g_ids[page]) + (unsigned)id % PER_PAGE;
}

struct shm_object *shm_get(int id)
{
	struct shm_object *o = at(id);

	return o && o->used && o->open ? o : NULL;
}

/* An unused object; its number or -errno. */
static int find_unused(void)
{
	if (!g_ids) {
		const uint64_t frame = page_alloc();

		if (frame == FRAME_NONE)
			return -ENOMEM;
		g_ids = page_virt(frame);
	}
	for (unsigned page = 0; page < ID_PAGES; page++) {
		if (!g_ids[page]) {
			const uint64_t frame = page_alloc();

			if (frame == FRAME_NONE)
				return -ENOMEM;
			g_ids[page] = frame;
		}
		for (unsigned i = 0; i < PER_PAGE; i++)
			if (!at((int)(page * PER_PAGE + i))->used)
				return (int)(page * PER_PAGE + i);
	}
	return -ENFILE;
}

static int make(uint64_t size, bool open)
{
	int id;

	if (vm_commit(pages_of(size)) != 0)
		return -ENOMEM;
	id = find_unused();
	if (id < 0) {
		vm_uncommit(pages_of(size));
		return id;
	}
	*at(id) = (struct shm_object){.size = size,
	                              .refs = 1,
	                              .root = FRAME_NONE,
	                              .used = true,
	                              .open = open};
	return id;
}

struct shm_object *shm_new(uint64_t size)
{
	const int id = make(size, false);

	return id < 0 ? NULL : at(id);
}

void shm_hold(struct shm_object *o)
{
	o->refs++;
}

/* Free the pages [first, last) of the tree @frame of @height tables, which begins at
 * page 0 of itself.  True: nothing is left, the frame is free, too. */
static bool punch(uint64_t frame, unsigned height, uint64_t first, uint64_t last)
{
	const uint64_t each = height ? 1ul << (9 * (height - 1)) : 0;
	uint64_t *t = page_virt(frame);
	bool empty = true;

	if (height == 0) {
		page_free(frame);
		return true;
	}
	for (uint64_t i = 0; i < FANOUT; i++) {
		const uint64_t base = i * each;
		const uint64_t a = first > base ? first - base : 0;
		const uint64_t b = last > base ? last - base : 0;

		if (!t[i])
			continue;
		if (a < each && b > a &&
		    punch(t[i], height - 1, a, b < each ? b : each))
			t[i] = 0;
		else
			empty = false;
	}
	if (empty)
		page_free(frame);
	return empty;
}

void shm_punch(struct shm_object *o, uint64_t first, uint64_t n)
{
	const uint64_t all = 1ul << (9 * o->height);
	uint64_t last = first + n;

	if (o->root == FRAME_NONE || first >= all || !n)
		return;
	if (last > all)
		last = all;
	if (punch(o->root, o->height, first, last)) {
		o->root = FRAME_NONE;
		o->height = 0;
	}
}

void shm_drop(struct shm_object *o)
{
	if (--o->refs)
		return;
	shm_punch(o, 0, 1ul << (9 * o->height));
	vm_uncommit(pages_of(o->size));
	o->used = false;
}

uint64_t shm_frame(struct shm_object *o, uint64_t page)
{
	uint64_t *slot = &o->root, frame;

	/* Higher, until the page is within. */
	while (page >> (9 * o->height)) {
		if (o->root != FRAME_NONE) {
			frame = page_alloc();
			if (frame == FRAME_NONE)
				return FRAME_NONE;
			*(uint64_t *)page_virt(frame) = o->root;
			o->root = frame;
		}
		o->height++;
	}
	for (unsigned level = o->height;; level--) {
		if (*slot == FRAME_NONE || *slot == 0) {
			frame = page_alloc();
			if (frame == FRAME_NONE)
				return FRAME_NONE;
			*slot = frame;
		}
		if (!level)
			return *slot;
		slot = (uint64_t *)page_virt(*slot) +
		       (page >> (9 * (level - 1)) & (FANOUT - 1));
	}
}

/* The frame of a page if there is one. */
static uint64_t frame_if(const struct shm_object *o, uint64_t page)
{
	uint64_t frame = o->root;

	if (page >> (9 * o->height))
		return FRAME_NONE;
	for (unsigned level = o->height; level && frame && frame != FRAME_NONE; level--)
		frame = ((uint64_t *)page_virt(
		        frame))[page >> (9 * (level - 1)) & (FANOUT - 1)];
	return frame ? frame : FRAME_NONE;
}

/* ---- platform.h ---- */

int plat_shm_create(size_t size)
{
	const uint64_t flags = irq_off();
	const int id = size > VM_END ? -EFBIG : make(size, true);

	irq_restore(flags);
	return id;
}

static void cut(struct shm_object *o, uint64_t size)
{
	const uint64_t before = pages_of(o->size), after = pages_of(size);
	const uint64_t rest = size & (PAGE_SIZE - 1);

	o->size = size;
	if (after < before) {
		vm_unmap_object(o, after, before - after);
		shm_punch(o, after, before - after);
		vm_uncommit(before - after);
	}
	if (rest) {
		const uint64_t frame = frame_if(o, after - 1);

		if (frame != FRAME_NONE)
			__builtin_memset((char *)page_virt(frame) + rest, 0,
			                 PAGE_SIZE - rest);
	}
}

static int resize(struct shm_object *o, uint64_t size)
{
	if (!o)
		return -EBADF;
	if (size > VM_END)
		return -EFBIG;
	if (size < o->size) {
		cut(o, size);
		return 0;
	}
	if (vm_commit(pages_of(size) - pages_of(o->size)) != 0)
		return -ENOMEM;
	o->size = size;
	return 0;
}

int plat_shm_resize(int shm, size_t size)
{
	const uint64_t flags = irq_off();
	const int r = resize(shm_get(shm), size);

	irq_restore(flags);
	return r;
}

void plat_shm_free(int shm)
{
	const uint64_t flags = irq_off();
	struct shm_object *o = shm_get(shm);

	if (o) {
		o->open = false;
		shm_drop(o);
	}
	irq_restore(flags);
}
