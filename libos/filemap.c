/* SPDX-License-Identifier: MIT */
/*
 * filemap.c - which program memory shows which file, and what mm.c asks of it.
 *
 * 1. g_map_lock guards every struct fmap and the list of mappings.  It sleeps
 *    (leading the rings) and is held across RPCs.
 * 2. fnode.map is set from the first shared mapping of a file until its last one
 *    is gone, and changes only under g_map_lock.  A reader that sees NULL without
 *    the lock raced with the mmap that would set it; either order is right.
 * 3. The memory itself is fmap.c's.
 */
#include "libos/filemap.h"

#include "libos/fmap.h"
#include "libos/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE 4096u
#define K_FIXED_NOREPLACE 0x100000
#define K_SHARED_VALIDATE 3
#define PASS_FLAGS (MAP_FIXED | K_FIXED_NOREPLACE | MAP_NORESERVE | MAP_POPULATE)

struct view {
	struct view *next; /* g_views; under g_map_lock */
	uintptr_t start, end;
	uint64_t off;
	int prot;
	struct ofd *o; /* reference */
	struct fmap *map;
};

static struct pool g_view_pool = POOL_INIT(struct view, 65536);
static struct view *g_views;
static _Atomic unsigned g_n_views;

/* ---- the sleeping lock ---- */

static struct {
	_Atomic uint32_t word; /* 0 free, 1 held */
	struct waitq wait;
} g_map_lock;

static long map_lock_try(void *arg)
{
	(void)arg;
	return atomic_exchange_explicit(&g_map_lock.word, 1, memory_order_acquire) == 0;
}

static void map_lock(void)
{
	if (map_lock_try(NULL))
		return;
	/* Without PARK_INTR and a deadline it ends only with the lock taken. */
	while (wait_until(&g_map_lock.wait, ~0u, map_lock_try, NULL, PLAT_NO_DEADLINE,
	                  PARK_RINGS) <= 0)
		;
}

static void map_unlock(void)
{
	atomic_store_explicit(&g_map_lock.word, 0, memory_order_release);
	waitq_wake(&g_map_lock.wait, ~0u);
}

/* ---- mappings ---- */

static uintptr_t range_end(const void *addr, size_t len)
{
	return (uintptr_t)addr + ((len + PAGE - 1) & ~(size_t)(PAGE - 1));
}

static bool overlaps(const struct view *v, uintptr_t start, uintptr_t end)
{
	return v->start < end && start < v->end;
}

static struct view *view_new(struct ofd *o, struct fmap *m)
{
	struct view *v = pool_get(&g_view_pool);

	if (!v)
		return NULL;
	v->o = ofd_ref(o);
	v->map = m;
	m->n_views++;
	return v;
}

static void view_list(struct view *v, uintptr_t start, size_t len, uint64_t off,
                      int prot)
{
	v->start = start;
	v->end = start + len;
	v->off = off;
	v->prot = prot;
	v->next = g_views;
	g_views = v;
	atomic_fetch_add_explicit(&g_n_views, 1, memory_order_relaxed);
}

/* Give up a view that is not listed.  The map goes with its last view. */
static void view_free(struct view *v)
{
	struct fmap *m = v->map;
	struct fnode *n = file_of(v->o)->node;

	if (--m->n_views == 0) {
		atomic_store_explicit(&n->map, NULL, memory_order_release);
		fmap_free(m);
	}
	ofd_put(v->o);
	pool_put(&g_view_pool, v);
}

/* Take [start, end) out of @v, which stands at *@at.  A part in the middle needs a
 * second view; without memory for it the front part stays recorded too long, which
 * keeps the file open but harms nothing. */
static void view_cut(struct view **at, uintptr_t start, uintptr_t end)
{
	struct view *v = *at;

	if (start <= v->start && end >= v->end) {
		*at = v->next;
		atomic_fetch_sub_explicit(&g_n_views, 1, memory_order_relaxed);
		view_free(v);
	} else if (start <= v->start) {
		v->off += end - v->start;
		v->start = end;
	} else if (end >= v->end) {
		v->end = start;
	} else {
		struct view *tail = view_new(v->o, v->map);

		if (!tail)
			return;
		view_list(tail, end, v->end - end, v->off + (end - v->start), v->prot);
		v->end = start;
	}
}

static void unmap_locked(uintptr_t start, uintptr_t end)
{
	struct view **at = &g_views;

	while (*at) {
		struct view *v = *at;

		if (!overlaps(v, start, end)) {
			at = &v->next;
			continue;
		}
		/* munmap() has no way to tell; fsync() of the file would. */
		(void)fmap_flush(v->map, 0, UINT64_MAX);
		view_cut(at, start, end);
		if (*at == v)
			at = &v->next;
	}
}

void filemap_unmap(void *addr, size_t len)
{
	if (atomic_load_explicit(&g_n_views, memory_order_relaxed) == 0)
		return;
	map_lock();
	unmap_locked((uintptr_t)addr, range_end(addr, len));
	map_unlock();
}

int filemap_may_write(void *addr, size_t len)
{
	uintptr_t start = (uintptr_t)addr, end = range_end(addr, len);
	int r = 0;

	if (atomic_load_explicit(&g_n_views, memory_order_relaxed) == 0)
		return 0;
	map_lock();
	for (struct view *v = g_views; v; v = v->next) {
		if (overlaps(v, start, end) && (v->o->flags & ABI_ACCMODE) != O_RDWR)
			r = -EACCES;
	}
	map_unlock();
	return r;
}

/* ---- mmap ---- */

static long map_private(struct file *f, void *addr, size_t len, int prot, int flags,
                        uint64_t off)
{
	int how = MAP_PRIVATE | MAP_ANONYMOUS | (flags & PASS_FLAGS);
	struct uio u;
	long at, r;

	r = filemap_before_io(f, off, len);
	if (r < 0)
		return r;
	at = plat_mmap(addr, len, PROT_READ | PROT_WRITE, how);
	if (at < 0)
		return at;
	uio_init(&u, (void *)at, len);
	r = file_fetch(f, &u, off);
	if (r >= 0 && prot != (PROT_READ | PROT_WRITE))
		r = plat_mprotect((void *)at, len, prot);
	if (r >= 0)
		return at;
	(void)plat_munmap((void *)at, len); /* our own: cannot fail */
	return r;
}

/* The file's map, made if need be, filled for [off, off + len). */
static long prepare_map_locked(struct file *f, uint64_t off, size_t len,
                               struct fmap **out)
{
	struct fmap *m = atomic_load_explicit(&f->node->map, memory_order_acquire);
	long r;

	if (!m) {
		r = fmap_new(f, &m);
		if (r < 0)
			return r;
	}
	r = fmap_use(m, f);
	if (r == 0)
		r = fmap_fill(m, off, len);
	if (r < 0) {
		if (m->n_views == 0)
			fmap_free(m);
		return r;
	}
	*out = m;
	return 0;
}

static long map_shared_locked(struct file *f, void *addr, size_t len, int prot,
                              int flags, uint64_t off)
{
	struct fmap *m;
	struct view *v;
	long at;

	at = prepare_map_locked(f, off, len, &m);
	if (at < 0)
		return at;
	v = view_new(&f->ofd, m);
	if (!v) {
		if (m->n_views == 0)
			fmap_free(m);
		return -ENOMEM;
	}
	atomic_store_explicit(&f->node->map, m, memory_order_release);
	at = plat_shm_map(m->shm, off, addr, len, prot,
	                  MAP_SHARED | (flags & PASS_FLAGS));
	if (at < 0) {
		view_free(v);
		return at;
	}
	view_list(v, (uintptr_t)at, len, off, prot);
	return at;
}

long filemap_mmap(struct ofd *o, void *addr, size_t len, int prot, int flags,
                  uint64_t off)
{
	struct file *f = file_of(o);
	int type = flags & MAP_TYPE;
	long at;

	if (!f->node || !S_ISREG(f->mode))
		return -ENODEV;
	if ((o->flags & ABI_ACCMODE) == O_WRONLY)
		return -EACCES;
	if (type != MAP_PRIVATE && (prot & PROT_WRITE) &&
	    (o->flags & ABI_ACCMODE) != O_RDWR)
		return -EACCES;
	len = (len + PAGE - 1) & ~(size_t)(PAGE - 1);
	if (len == 0 || off > (uint64_t)INT64_MAX - len)
		return len == 0 ? -EINVAL : -EOVERFLOW;
	if (flags & MAP_FIXED)
		filemap_unmap(addr, len);
	if (type == MAP_PRIVATE)
		return map_private(f, addr, len, prot, flags, off);
	if (type != MAP_SHARED && type != K_SHARED_VALIDATE)
		return -EINVAL;
	map_lock();
	at = map_shared_locked(f, addr, len, prot, flags, off);
	map_unlock();
	return at;
}

/* ---- mremap ---- */

static struct view *view_at(uintptr_t start, uintptr_t end)
{
	for (struct view *v = g_views; v; v = v->next) {
		if (v->start <= start && end <= v->end)
			return v;
	}
	return NULL;
}

/* Show the file at another place, or at more of this one: the new address. */
static long move_locked(struct view *v, uintptr_t start, size_t old_len, size_t new_len,
                        int flags, void *to)
{
	uint64_t off = v->off + (start - v->start);
	int how = MAP_SHARED;
	struct view *nv;
	long at, r;

	r = fmap_fill(v->map, off, new_len);
	if (r < 0)
		return r;
	nv = view_new(v->o, v->map);
	if (!nv)
		return -ENOMEM;
	if (flags & MREMAP_FIXED) {
		how |= MAP_FIXED;
	} else if (!(flags & MREMAP_MAYMOVE)) {
		/* In place: only the part behind the old end. */
		to = (void *)(start + old_len);
		off += old_len;
		how |= K_FIXED_NOREPLACE;
		new_len -= old_len;
	}
	at = plat_shm_map(v->map->shm, off, to, new_len, v->prot, how);
	if (at < 0) {
		view_free(nv);
		return flags & MREMAP_MAYMOVE ? at : -ENOMEM;
	}
	view_list(nv, (uintptr_t)at, new_len, off, v->prot);
	return flags & (MREMAP_MAYMOVE | MREMAP_FIXED) ? at : (long)start;
}

bool filemap_mremap(void *addr, size_t old_len, size_t new_len, int flags, void *to,
                    long *out)
{
	uintptr_t start = (uintptr_t)addr, end = range_end(addr, old_len);
	struct view *v;
	bool gone;

	if (atomic_load_explicit(&g_n_views, memory_order_relaxed) == 0)
		return false;
	old_len = end - start;
	new_len = (new_len + PAGE - 1) & ~(size_t)(PAGE - 1);
	if ((flags & MREMAP_FIXED) && new_len != 0)
		filemap_unmap(to, new_len);
	map_lock();
	v = view_at(start, end);
	if (!v) {
		map_unlock();
		return false;
	}
	*out = (long)start;
	if (new_len > old_len || (flags & MREMAP_FIXED))
		*out = move_locked(v, start, old_len, new_len, flags, to);
	map_unlock();
	if (*out < 0 && *out > -4096)
		return true;
	/* What no longer stands where it was. */
	gone = *out != (long)start;
	if (gone || new_len < old_len) {
		uintptr_t from = gone ? start : start + new_len;

		filemap_unmap((void *)from, end - from);
		(void)plat_munmap((void *)from, end - from); /* mapped: cannot fail */
	}
	return true;
}

/* ---- remap_file_pages ---- */

/* A view that begins the range, if views of one file cover it all. */
static struct view *views_cover(uintptr_t start, uintptr_t end)
{
	struct view *first = view_at(start, start + PAGE), *v = first;

	while (v && v->map == first->map && v->end < end)
		v = view_at(v->end, v->end + PAGE);
	return v && v->map == first->map ? first : NULL;
}

static long remap_locked(uintptr_t start, uintptr_t end, int prot, uint64_t off)
{
	struct view *v = views_cover(start, end), *nv;
	long r;

	if (!v)
		return -EINVAL;
	r = fmap_fill(v->map, off, end - start);
	if (r < 0)
		return r;
	nv = view_new(v->o, v->map); /* so the map stays, whatever is cut below */
	if (!nv)
		return -ENOMEM;
	r = plat_shm_map(nv->map->shm, off, (void *)start, end - start, prot,
	                 MAP_SHARED | MAP_FIXED);
	if (r < 0) {
		view_free(nv);
		return r;
	}
	unmap_locked(start, end);
	view_list(nv, start, end - start, off, prot);
	return 0;
}

long filemap_remap(void *addr, size_t len, int prot, uint64_t off)
{
	long r;

	map_lock();
	r = remap_locked((uintptr_t)addr, range_end(addr, len), prot, off);
	map_unlock();
	return r;
}

/* ---- msync ---- */

static long sync_view_locked(struct view *v, uintptr_t start, uintptr_t end, int flags)
{
	uintptr_t a = start > v->start ? start : v->start;
	uintptr_t b = end < v->end ? end : v->end;
	uint64_t off = v->off + (a - v->start);
	long r = fmap_flush(v->map, off, b - a);

	if (r == 0 && (flags & MS_INVALIDATE))
		r = fmap_refetch(v->map, off, b - a);
	if (r == 0 && (flags & MS_SYNC) && v->map->writer)
		r = file_sync_data(file_of(v->map->writer), true);
	return r;
}

long filemap_msync(void *addr, size_t len, int flags)
{
	uintptr_t start = (uintptr_t)addr, end = range_end(addr, len);
	long r = 0;

	if (atomic_load_explicit(&g_n_views, memory_order_relaxed) == 0)
		return 0;
	map_lock();
	for (struct view *v = g_views; v && r == 0; v = v->next) {
		if (overlaps(v, start, end))
			r = sync_view_locked(v, start, end, flags);
	}
	map_unlock();
	return r;
}

/* ---- for reads, writes and the rest ---- */

static bool is_mapped(const struct file *f)
{
	return f->node && atomic_load_explicit(&f->node->map, memory_order_acquire);
}

long filemap_before_io(struct file *f, uint64_t off, uint64_t len)
{
	struct fmap *m;
	long r = 0;

	if (!is_mapped(f))
		return 0;
	map_lock();
	m = atomic_load_explicit(&f->node->map, memory_order_relaxed);
	if (m)
		r = fmap_flush(m, off, len);
	map_unlock();
	return r;
}

/* Parts of @m that came to the file's end and are in view. */
static void fill_views_locked(struct fmap *m)
{
	for (struct view *v = g_views; v; v = v->next) {
		/* A hole in memory is what a failed read leaves: the next msync or
		 * mmap tries again. */
		if (v->map == m)
			(void)fmap_fill(m, v->off, v->end - v->start);
	}
}

void filemap_after_write(struct file *f, uint64_t off, uint64_t len)
{
	struct fmap *m;

	if (!is_mapped(f))
		return;
	map_lock();
	m = atomic_load_explicit(&f->node->map, memory_order_relaxed);
	if (m && fmap_refresh_size(m) == 0) {
		(void)fmap_refetch(m, off, len); /* as fill_views_locked() */
		fill_views_locked(m);
	}
	map_unlock();
}

void filemap_resized(uint64_t dev, uint64_t ino, uint64_t size)
{
	struct fnode *n;
	struct fmap *m;

	if (atomic_load_explicit(&g_n_views, memory_order_relaxed) == 0)
		return;
	n = file_node_get(dev, ino, false);
	if (!n)
		return;
	map_lock();
	m = atomic_load_explicit(&n->map, memory_order_relaxed);
	if (m && fmap_resize(m, size) == 0)
		fill_views_locked(m);
	map_unlock();
	file_node_put(n);
}

long filemap_flush(struct file *f)
{
	long r = 0, one;

	if (atomic_load_explicit(&g_n_views, memory_order_relaxed) == 0)
		return 0;
	map_lock();
	for (struct view *v = g_views; v; v = v->next) {
		if (f && file_of(v->o)->node != f->node)
			continue;
		one = fmap_flush(v->map, v->off, v->end - v->start);
		if (r == 0)
			r = one;
	}
	map_unlock();
	return r;
}
