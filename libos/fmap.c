/* SPDX-License-Identifier: MIT */
/*
 * fmap.c - see fmap.h.
 *
 * 1. For a filled part, view and shadow agree but where the program stored since.
 *    A page goes dirty -> g_bounce -> fsd -> shadow, so that a store during the
 *    write is seen as dirty again, and a failed write leaves the page dirty.
 * 2. Nothing touches view behind `room`: the memory object ends there.
 * 3. Bytes of the last page behind the file's end are never written.
 */
#include "libos/fmap.h"

#include "libos/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u

static struct pool g_fmaps = POOL_INIT(struct fmap, 65536);
static uint8_t g_bounce[FMAP_PART]; /* under filemap.c's lock */

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t whole_pages(uint64_t n)
{
	return n == 0 ? PAGE : (n + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* ---- room ---- */

/* Anonymous memory at @*p of @old bytes becomes @len bytes, the new part zero. */
static long grow_memory(uint8_t **p, size_t old, size_t len)
{
	long at;

	if (!*p || old == 0)
		at = plat_mmap(NULL, len, PROT_READ | PROT_WRITE,
		               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	else
		at = plat_mremap(*p, old, len, MREMAP_MAYMOVE, NULL);
	if (at < 0)
		return at;
	*p = (uint8_t *)at;
	return 0;
}

static long grow_filled(struct fmap *m, uint64_t room)
{
	size_t want = (size_t)whole_pages((room + FMAP_PART - 1) / FMAP_PART);
	long r;

	if (want <= m->n_filled)
		return 0;
	r = grow_memory(&m->filled, m->n_filled, want);
	if (r == 0)
		m->n_filled = want;
	return r;
}

/* Make object, view and shadow @room bytes long, which is more than now. */
static long grow_room(struct fmap *m, uint64_t room)
{
	long at, r;

	r = grow_filled(m, room);
	if (r == 0 && m->shadow)
		r = grow_memory(&m->shadow, m->room, room);
	if (r == 0)
		r = plat_shm_resize(m->shm, room);
	if (r < 0)
		return r;
	at = plat_shm_map(m->shm, 0, NULL, room, PROT_READ | PROT_WRITE,
	                  MAP_SHARED | MAP_NORESERVE);
	if (at < 0)
		return at;
	if (m->view)
		(void)plat_munmap(m->view, m->room); /* our own */
	m->view = (uint8_t *)at;
	m->room = room;
	return 0;
}

/* ---- filling ---- */

/* Bring [off, off + len) of fsd's file, at most a part, into view and shadow. */
static long fetch_piece(struct fmap *m, uint64_t off, size_t len)
{
	struct uio u;
	long n;

	uio_init(&u, g_bounce, len);
	n = file_fetch(file_of(m->reader), &u, off);
	if (n < 0)
		return n;
	memset(g_bounce + n, 0, len - (size_t)n);
	memcpy(m->view + off, g_bounce, len);
	if (m->shadow)
		memcpy(m->shadow + off, g_bounce, len);
	return 0;
}

long fmap_fill(struct fmap *m, uint64_t off, uint64_t len)
{
	uint64_t end = off >= m->size ? off : off + min64(len, m->size - off);
	long r = 0;

	for (uint64_t i = off / FMAP_PART; i * FMAP_PART < end && r == 0; i++) {
		uint64_t at = i * FMAP_PART;

		if (m->filled[i])
			continue;
		r = fetch_piece(m, at, (size_t)min64(FMAP_PART, m->room - at));
		if (r == 0)
			m->filled[i] = 1;
	}
	return r;
}

long fmap_refetch(struct fmap *m, uint64_t off, uint64_t len)
{
	uint64_t end = off >= m->size ? off : off + min64(len, m->size - off);
	long r = 0;

	while (off < end && r == 0) {
		uint64_t part_end = min64((off / FMAP_PART + 1) * FMAP_PART, end);

		if (m->filled[off / FMAP_PART])
			r = fetch_piece(m, off, (size_t)(part_end - off));
		off = part_end;
	}
	return r;
}

/* ---- sizes ---- */

long fmap_resize(struct fmap *m, uint64_t size)
{
	uint64_t old = m->size, room = whole_pages(size);
	long r;

	if (size >= old) {
		r = room > m->room ? grow_room(m, room) : 0;
		if (r < 0)
			return r;
		m->size = size;
		/* The part that held the old end was filled only up to there. */
		if (size > old && old % FMAP_PART)
			r = fmap_refetch(m, old, FMAP_PART - old % FMAP_PART);
		return r;
	}
	m->size = size;
	memset(m->view + size, 0, room - size);
	for (uint64_t i = size / FMAP_PART; i * FMAP_PART < m->room; i++) {
		uint64_t from = i * FMAP_PART < size ? size : i * FMAP_PART;

		if (m->shadow && m->filled[i])
			memset(m->shadow + from, 0,
			       min64((i + 1) * FMAP_PART, m->room) - from);
		if (i * FMAP_PART >= size)
			m->filled[i] = 0;
	}
	if (room == m->room)
		return 0;
	r = plat_shm_resize(m->shm, room);
	if (r < 0)
		return r;
	(void)plat_munmap(m->view + room, m->room - room);
	if (m->shadow)
		(void)plat_munmap(m->shadow + room, m->room - room);
	m->room = room;
	return 0;
}

long fmap_refresh_size(struct fmap *m)
{
	struct kstat st;
	long r = file_stat_handle(file_of(m->reader)->handle, &st);

	if (r < 0 || (uint64_t)st.st_size == m->size)
		return r;
	return fmap_resize(m, (uint64_t)st.st_size);
}

/* ---- making and freeing ---- */

long fmap_new(struct file *f, struct fmap **out)
{
	struct fmap *m = pool_get(&g_fmaps);
	long r;

	if (!m)
		return -ENOMEM;
	m->shm = plat_shm_create(PAGE);
	if (m->shm < 0) {
		r = m->shm;
		pool_put(&g_fmaps, m);
		return r;
	}
	m->reader = ofd_ref(&f->ofd);
	r = grow_room(m, PAGE);
	if (r == 0)
		r = fmap_refresh_size(m);
	if (r < 0) {
		fmap_free(m);
		return r;
	}
	*out = m;
	return 0;
}

void fmap_free(struct fmap *m)
{
	if (m->view)
		(void)plat_munmap(m->view, m->room);
	if (m->shadow)
		(void)plat_munmap(m->shadow, m->room);
	if (m->filled)
		(void)plat_munmap(m->filled, m->n_filled);
	plat_shm_free(m->shm);
	ofd_put(m->reader);
	if (m->writer)
		ofd_put(m->writer);
	pool_put(&g_fmaps, m);
}

long fmap_use(struct fmap *m, struct file *f)
{
	long r = fmap_refresh_size(m);

	if (r < 0 || m->writer || (f->ofd.flags & ABI_ACCMODE) != O_RDWR)
		return r;
	r = grow_memory(&m->shadow, 0, m->room);
	if (r < 0)
		return r;
	for (uint64_t at = 0; at < m->room; at += FMAP_PART) {
		if (m->filled[at / FMAP_PART])
			memcpy(m->shadow + at, m->view + at,
			       min64(FMAP_PART, m->room - at));
	}
	m->writer = ofd_ref(&f->ofd);
	m->lost_seen = atomic_load(&f->node->lost);
	return 0;
}

/* ---- writing back ---- */

static bool page_dirty(const struct fmap *m, uint64_t at)
{
	return memcmp(m->view + at, m->shadow + at, PAGE) != 0;
}

/* Write the dirty pages at [from, to), which lie in one part. */
static long write_run(struct fmap *m, uint64_t from, uint64_t to)
{
	uint64_t end;
	long r;

	memcpy(g_bounce, m->view + from, to - from);
	/* Another guest may have made the file shorter: don't make it longer again. */
	r = fmap_refresh_size(m);
	if (r < 0)
		return r;
	end = min64(to, m->size);
	if (from >= end)
		return 0;
	r = file_store(file_of(m->writer), g_bounce, (size_t)(end - from), from);
	if (r == 0)
		memcpy(m->shadow + from, g_bounce, end - from);
	return r;
}

static long flush_part(struct fmap *m, uint64_t from, uint64_t to)
{
	long r = 0;

	while (from < to && to <= m->room && r == 0) {
		uint64_t run = from;

		while (run < to && page_dirty(m, run))
			run += PAGE;
		if (run > from)
			r = write_run(m, from, run);
		from = run > from ? run : from + PAGE;
	}
	return r;
}

/* What was written may be lost: what fsd has now is what counts as written. */
static long look_again(struct fmap *m)
{
	const uint32_t lost = atomic_load(&file_of(m->writer)->node->lost);
	long n = 0;

	if (lost == m->lost_seen)
		return 0;
	for (uint64_t at = 0; at < m->room && n >= 0; at += FMAP_PART) {
		const size_t len = (size_t)min64(FMAP_PART, m->room - at);
		struct uio u;

		if (!m->filled[at / FMAP_PART])
			continue;
		uio_init(&u, g_bounce, len);
		n = file_fetch(file_of(m->reader), &u, at);
		if (n < 0)
			return n;
		memset(g_bounce + n, 0, len - (size_t)n);
		memcpy(m->shadow + at, g_bounce, len);
	}
	m->lost_seen = lost;
	return 0;
}

long fmap_flush(struct fmap *m, uint64_t off, uint64_t len)
{
	uint64_t end;
	long r = 0;

	if (!m->writer || off >= m->room || len == 0)
		return 0;
	r = look_again(m);
	end = whole_pages(off + min64(len, m->room - off));
	off &= ~(uint64_t)(PAGE - 1);
	while (off < end && end <= m->room && r == 0) {
		uint64_t part_end = min64((off / FMAP_PART + 1) * FMAP_PART, end);

		if (m->filled[off / FMAP_PART])
			r = flush_part(m, off, part_end);
		off = part_end;
	}
	return r;
}
