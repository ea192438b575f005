/* SPDX-License-Identifier: MIT */
/*
 * fdtable.c - descriptor numbers.
 *
 * Pages of 512 pointers, mapped when first needed, found through a static
 * directory; two bitmaps (open, close-on-exec) and a summary of full words find
 * the lowest free number.
 *
 * 1. Writers hold g_fd_lock.  Readers take no lock: they load the pointer, count
 *    a reference if the count is not 0, and look whether the pointer still stands
 *    there.  The memory of a description stays of its type (pool.h), so a stale
 *    pointer may be counted for a moment but not harm: ofd_put() takes it back.
 * 2. Pages are never unmapped.
 */
#include "libos/ofd.h"
#include "libos/syscall.h"

#include <errno.h>
#include <sys/mman.h>

#define PAGE_FDS 512u
#define N_PAGES (FDTABLE_MAX / PAGE_FDS)
#define N_WORDS (FDTABLE_MAX / 64u)
#define SOFT_AT_START 1024u

#define O_PATH_BIT 010000000u

struct fd_page {
	struct ofd *_Atomic at[PAGE_FDS];
};

static struct lock g_fd_lock = LOCK_INIT;
static struct fd_page *_Atomic g_pages[N_PAGES];
static uint64_t g_open[N_WORDS];       /* under g_fd_lock */
static uint64_t g_cloexec[N_WORDS];    /* under g_fd_lock */
static uint64_t g_full[N_WORDS / 64u]; /* words of g_open that are all ones */
static _Atomic uint32_t g_limit = SOFT_AT_START;

static inline uint64_t bit(unsigned fd)
{
	return UINT64_C(1) << (fd % 64u);
}

static struct ofd *_Atomic *slot_of(unsigned fd)
{
	struct fd_page *page;

	if (fd >= FDTABLE_MAX)
		return NULL;
	page = atomic_load_explicit(&g_pages[fd / PAGE_FDS], memory_order_acquire);
	return page ? &page->at[fd % PAGE_FDS] : NULL;
}

struct ofd *ofd_get(int fd)
{
	struct ofd *_Atomic *slot = slot_of((unsigned)fd);

	if (!slot)
		return NULL;
	for (;;) {
		struct ofd *o = atomic_load_explicit(slot, memory_order_acquire);

		if (!o)
			return NULL;
		if (!ofd_ref_if_live(o))
			continue; /* being closed: the slot changes or has changed */
		if (atomic_load_explicit(slot, memory_order_acquire) == o)
			return o;
		ofd_put(o);
	}
}

struct ofd *ofd_get_io(int fd)
{
	struct ofd *o = ofd_get(fd);

	if (o && (o->flags & O_PATH_BIT)) {
		ofd_put(o);
		return NULL;
	}
	return o;
}

static bool page_make_locked(unsigned fd)
{
	struct fd_page *_Atomic *page = &g_pages[fd / PAGE_FDS];
	long r;

	if (*page)
		return true;
	r = plat_mmap(NULL, sizeof(struct fd_page), PROT_READ | PROT_WRITE,
	              MAP_PRIVATE | MAP_ANONYMOUS);
	if (r < 0 && r > -4096)
		return false;
	atomic_store_explicit(page, (struct fd_page *)r, memory_order_release);
	return true;
}

/* The lowest free number >= @min, or FDTABLE_MAX. */
static unsigned lowest_free_locked(unsigned min)
{
	unsigned word = min / 64u;
	uint64_t taken;

	if (min >= FDTABLE_MAX)
		return FDTABLE_MAX;
	taken = g_open[word] | (bit(min) - 1);
	if (taken != UINT64_MAX)
		return word * 64u + (unsigned)__builtin_ctzll(~taken);
	for (unsigned w = word + 1; w < N_WORDS;) {
		uint64_t full = g_full[w / 64u] | (bit(w) - 1);

		if (full == UINT64_MAX) {
			w = (w / 64u + 1) * 64u;
			continue;
		}
		w = w / 64u * 64u + (unsigned)__builtin_ctzll(~full);
		return w * 64u + (unsigned)__builtin_ctzll(~g_open[w]);
	}
	return FDTABLE_MAX;
}

static void mark_locked(unsigned fd, bool open, bool cloexec)
{
	unsigned w = fd / 64u;

	g_open[w] = open ? g_open[w] | bit(fd) : g_open[w] & ~bit(fd);
	g_cloexec[w] = cloexec ? g_cloexec[w] | bit(fd) : g_cloexec[w] & ~bit(fd);
	if (g_open[w] == UINT64_MAX)
		g_full[w / 64u] |= bit(w);
	else
		g_full[w / 64u] &= ~bit(w);
}

int fd_install(struct ofd *o, int min, bool cloexec)
{
	unsigned fd;
	int r = -EMFILE;

	if (min < 0 || (unsigned)min >= fd_limit())
		return min == 0 ? -EMFILE : -EINVAL;
	lock_take(&g_fd_lock);
	fd = lowest_free_locked((unsigned)min);
	if (fd < fd_limit() && page_make_locked(fd)) {
		mark_locked(fd, true, cloexec);
		atomic_store_explicit(slot_of(fd), o, memory_order_release);
		r = (int)fd;
	}
	lock_drop(&g_fd_lock);
	return r;
}

bool fd_room(void)
{
	bool room;

	lock_take(&g_fd_lock);
	room = lowest_free_locked(0) < fd_limit();
	lock_drop(&g_fd_lock);
	return room;
}

/* What close(2) does beyond the number, for a description taken out of the table. */
static long close_taken(struct ofd *o)
{
	long r = o->ops->close ? o->ops->close(o) : 0;

	ofd_put(o);
	return r == -ERESTARTSYS ? -EINTR : r;
}

int fd_install_at(struct ofd *o, int fd, bool cloexec)
{
	struct ofd *old;

	if (fd < 0 || (unsigned)fd >= fd_limit())
		return -EBADF;
	lock_take(&g_fd_lock);
	if (!page_make_locked((unsigned)fd)) {
		lock_drop(&g_fd_lock);
		return -ENOMEM;
	}
	old = atomic_exchange_explicit(slot_of((unsigned)fd), o, memory_order_acq_rel);
	mark_locked((unsigned)fd, true, cloexec);
	lock_drop(&g_fd_lock);
	if (old)
		(void)close_taken(old); /* dup2 does not report it */
	return fd;
}

long fd_close(int fd)
{
	struct ofd *_Atomic *slot = slot_of((unsigned)fd);
	struct ofd *o;

	if (!slot)
		return -EBADF;
	lock_take(&g_fd_lock);
	o = atomic_exchange_explicit(slot, NULL, memory_order_acq_rel);
	if (o)
		mark_locked((unsigned)fd, false, false);
	lock_drop(&g_fd_lock);
	return o ? close_taken(o) : -EBADF;
}

static bool is_open_locked(int fd)
{
	return (unsigned)fd < FDTABLE_MAX &&
	       (g_open[(unsigned)fd / 64u] & bit((unsigned)fd));
}

int fd_get_cloexec(int fd)
{
	int r = -EBADF;

	lock_take(&g_fd_lock);
	if (is_open_locked(fd))
		r = (g_cloexec[(unsigned)fd / 64u] & bit((unsigned)fd)) != 0;
	lock_drop(&g_fd_lock);
	return r;
}

int fd_set_cloexec(int fd, bool on)
{
	int r = -EBADF;

	lock_take(&g_fd_lock);
	if (is_open_locked(fd)) {
		mark_locked((unsigned)fd, true, on);
		r = 0;
	}
	lock_drop(&g_fd_lock);
	return r;
}

int fd_next(int fd)
{
	int r = -1;

	if (fd < 0)
		fd = 0;
	if ((unsigned)fd >= FDTABLE_MAX)
		return -1;
	lock_take(&g_fd_lock);
	for (unsigned w = (unsigned)fd / 64u; w < N_WORDS; w++) {
		uint64_t set = g_open[w];

		if (w == (unsigned)fd / 64u)
			set &= ~(bit((unsigned)fd) - 1);
		if (set) {
			r = (int)(w * 64u + (unsigned)__builtin_ctzll(set));
			break;
		}
	}
	lock_drop(&g_fd_lock);
	return r;
}

unsigned fd_limit(void)
{
	return atomic_load_explicit(&g_limit, memory_order_relaxed);
}

void fd_set_limit(unsigned n)
{
	atomic_store_explicit(&g_limit, n < FDTABLE_MAX ? n : FDTABLE_MAX,
	                      memory_order_relaxed);
}
