/* SPDX-License-Identifier: MIT */
/*
 * vm.h - memory, inside: frames (pages.c), page tables (pagetab.c), ranges
 * (ranges.c), shared objects (shm.c) and what joins them (vm.c).
 *
 * Everything here runs with IF=0 and does not sleep, so that a page fault, which may
 * come anywhere else, always finds it in order.
 *
 * A leaf entry is in use when it is not 0.  PTE_FRAME: it holds a frame, also while
 * it is not present (PROT_NONE).  PTE_BORROWED: the frame is an object's, not to be
 * freed with the entry.
 *
 * Layer:  platform/xen.
 * Errors: 0 or a negative Linux errno.
 */
#ifndef PLATFORM_XEN_VM_H
#define PLATFORM_XEN_VM_H

#include "platform/xen/xen.h"

/* ---- pages.c ---- */

void pages_reserve(uint64_t start, uint64_t end);
void pages_add(uint64_t start, uint64_t end);
void pages_ready(void);
uint64_t pages_ram_end(void);
uint64_t page_alloc_dirty(void); /* with what it held before */
void gfn_init(uint64_t base);

/* ---- pagetab.c ---- */

#define PTE_P 0x1ul
#define PTE_W 0x2ul
#define PTE_A 0x20ul
#define PTE_D 0x40ul
#define PTE_LARGE 0x80ul
#define PTE_FRAME 0x200ul
#define PTE_BORROWED 0x400ul
#define PTE_NX (1ul << 63)
#define PTE_ADDR 0x000ffffffffff000ul

#define VM_END 0x800000000000ul /* of the program's addresses */

enum { PROT_R = 1, PROT_W = 2, PROT_X = 4 };

/* The bits of an entry for a protection; 0: not present. */
uint64_t pt_bits(unsigned prot);
/* The entry of @addr, or NULL; *@stop: from where the answer may be another (the end
 * of the table, or of the hole). */
uint64_t *pt_leaf(uint64_t addr, uint64_t *stop);
/* Put @entry at @addr, which is not in use.  0 or -ENOMEM. */
int pt_set(uint64_t addr, uint64_t entry);
/* The same for each page of [start, end): @entry, then the frames behind its own.  On
 * -ENOMEM some are there. */
int pt_set_run(uint64_t start, uint64_t end, uint64_t entry);
/* Take entries out; frames that are not borrowed are freed, empty tables too. */
void pt_unmap(uint64_t start, uint64_t end);
/* Change the protection; a borrowed frame becomes writable only with @borrowed. */
void pt_protect(uint64_t start, uint64_t end, unsigned prot, bool borrowed);
/* Move entries to addresses that are not in use.  0, or -ENOMEM with nothing moved. */
int pt_move(uint64_t from, uint64_t to, uint64_t len);
void pt_flush(uint64_t addr);
/* The root that the CPU uses: its virtual address. */
extern uint64_t *g_pt_root;

/* ---- ranges.c ---- */

struct shm_object;

enum {
	RANGE_SHARED = 1,
	RANGE_CHARGED = 2, /* its pages are promised: counted in what is committed */
	RANGE_GROWSDOWN = 4,
};

struct range {
	uint64_t start, end;
	struct shm_object *obj; /* NULL: private anonymous memory */
	uint64_t off;           /* of start in it */
	uint8_t prot, flags;
};

#define RANGES_MAX 65530u /* as Linux's vm.max_map_count */

/* Room for @more ranges: 0 or -ENOMEM.  What changes the map asks first. */
int ranges_room(size_t more);
/* The first range that ends behind @addr: its index, or ranges_count(). */
size_t ranges_after(uint64_t addr);
size_t ranges_count(void);
struct range *ranges_at(size_t i);
struct range *ranges_find(uint64_t addr); /* that holds @addr, or NULL */
/* Make @addr a border; needs room for one. */
void ranges_split(uint64_t addr);
/* Put in a range where there is none, joined with its neighbours if it can be. */
void ranges_insert(struct range r);
void ranges_remove(size_t i, size_t n);
/* Join what is alike around [start, end]. */
void ranges_join(uint64_t start, uint64_t end);
/* [start, end) is covered without holes. */
bool ranges_covered(uint64_t start, uint64_t end);
/* The highest free place of @len bytes in [low, high), or 0. */
uint64_t ranges_gap(uint64_t len, uint64_t low, uint64_t high);
/* vm.c's: the array's memory, at least @bytes of it.  NULL: no more. */
struct range *ranges_memory(size_t bytes);

/* ---- shm.c: objects; a range holds a reference ---- */

struct shm_object *shm_get(int id);        /* NULL: no such object */
struct shm_object *shm_new(uint64_t size); /* one reference; NULL: no memory */
void shm_hold(struct shm_object *o);
void shm_drop(struct shm_object *o);
/* The frame of page @page, made when there is none; FRAME_NONE: no memory. */
uint64_t shm_frame(struct shm_object *o, uint64_t page);
uint64_t shm_pages(const struct shm_object *o);
/* Free the frames of [first, first + n); nobody may have them mapped. */
void shm_punch(struct shm_object *o, uint64_t first, uint64_t n);

/* ---- vm.c ---- */

void vm_reserve_image(void);

/* ---- fault.c ---- */

/* How many pages may be promised at most. */
void vm_commit_limit(uint64_t pages);
uint64_t vm_committed(void);
/* Promise @pages more; -ENOMEM.  And take it back. */
int vm_commit(uint64_t pages);
void vm_uncommit(uint64_t pages);
/* Put a page of @r at @page, if memory is left, and ready for writing where @r is. */
int vm_populate(const struct range *r, uint64_t page);
/* Unmap @n pages of the object from @first on wherever they are mapped. */
void vm_unmap_object(const struct shm_object *o, uint64_t first, uint64_t n);

#endif /* PLATFORM_XEN_VM_H */
