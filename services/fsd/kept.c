/* SPDX-License-Identifier: MIT */
/*
 * 1. A place's descriptor is written before its hold, and its hold is gone before the
 *    descriptor is closed: whenever this process ends, a hold that is there is true.
 * 2. A hold is never given twice: epochs differ, and one counts up.
 */
#define _GNU_SOURCE
#include "services/fsd/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_BUCKETS 4096u

struct place {
	_Atomic uint64_t hold; /* 0: free */
	_Atomic int fd;
};

struct shared {
	_Atomic unsigned used; /* places from here on never were */
	struct place place[KEPT_HOLDS_MAX];
};

struct file {
	struct file *next;
	uint64_t dev, ino, mnt;
	int fd;
	int place; /* of its hold; 0: has none */
};

static struct shared *g_shared;
static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *g_files[N_BUCKETS]; /* all below: under g_lock */
static unsigned g_n, g_max, g_lost;
static uint32_t g_epoch, g_count;
static unsigned g_look; /* the next place may be free */

int kept_share(void)
{
	void *p = mmap(NULL, sizeof *g_shared, PROT_READ | PROT_WRITE,
	               MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	g_shared = p;
	return 0;
}

void kept_begin(uint32_t epoch, unsigned max)
{
	g_epoch = epoch;
	g_count = 0;
	g_max = max;
}

/* ---- holds ---- */

static int place_locked(int fd, uint64_t hold)
{
	for (unsigned n = 0; n < KEPT_HOLDS_MAX; n++) {
		const unsigned i = (g_look + n) % KEPT_HOLDS_MAX;
		struct place *p = &g_shared->place[i];

		if (atomic_load_explicit(&p->hold, memory_order_relaxed))
			continue;
		atomic_store_explicit(&p->fd, fd, memory_order_relaxed);
		atomic_store_explicit(&p->hold, hold, memory_order_release);
		if (i >= atomic_load_explicit(&g_shared->used, memory_order_relaxed))
			atomic_store_explicit(&g_shared->used, i + 1,
			                      memory_order_release);
		g_look = (i + 1) % KEPT_HOLDS_MAX;
		return (int)i + 1;
	}
	return 0;
}

int kept_hold(int fd, uint64_t hold)
{
	int place = 0;

	if (!g_shared)
		return 0;
	pthread_mutex_lock(&g_lock);
	if (hold == 0 && g_count < UINT32_MAX)
		hold = (uint64_t)g_epoch << 32 | ++g_count;
	if (hold)
		place = place_locked(fd, hold);
	pthread_mutex_unlock(&g_lock);
	return place;
}

uint64_t kept_hold_is(int place)
{
	return place > 0 ? atomic_load_explicit(&g_shared->place[place - 1].hold,
	                                        memory_order_relaxed)
	                 : 0;
}

void kept_hold_end(int place)
{
	if (place <= 0)
		return;
	pthread_mutex_lock(&g_lock);
	atomic_store(&g_shared->place[place - 1].hold, 0);
	g_look = (unsigned)place - 1;
	pthread_mutex_unlock(&g_lock);
}

uint64_t kept_hold_of(int fd, unsigned *at)
{
	const unsigned used = g_shared ? atomic_load(&g_shared->used) : 0;

	/* The instance may have written anything there. */
	for (; *at < used && *at < KEPT_HOLDS_MAX; (*at)++) {
		const struct place *p = &g_shared->place[*at];
		const uint64_t hold = atomic_load(&p->hold);

		if (hold && atomic_load(&p->fd) == fd) {
			(*at)++;
			return hold;
		}
	}
	return 0;
}

/* ---- of the instance before ---- */

/* With a hold that is all it is found by. */
static struct file **bucket(uint64_t dev, uint64_t ino, uint64_t hold)
{
	const uint64_t key = hold ? hold : ino ^ dev * 0x9e3779b97f4a7c15ull;

	return &g_files[(key * 0xff51afd7ed558ccdull >> 32) % N_BUCKETS];
}

/* What the descriptor is, without asking a server that may not answer. */
static bool look(int fd, struct file *f)
{
	const int flags = fcntl(fd, F_GETFL);
	struct statx stx;

	if (flags < 0 || !(flags & O_PATH) ||
	    statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
	          STATX_TYPE | STATX_INO | STATX_MNT_ID, &stx) < 0)
		return false;
	f->dev = (uint64_t)stx.stx_dev_major << 32 | stx.stx_dev_minor;
	f->ino = stx.stx_ino;
	f->mnt = stx.stx_mnt_id;
	f->fd = fd;
	return true;
}

static bool have_locked(const struct file *f, uint64_t hold)
{
	for (const struct file *i = *bucket(f->dev, f->ino, hold); i; i = i->next)
		if (hold ? kept_hold_is(i->place) == hold
		         : !i->place && i->dev == f->dev && i->ino == f->ino &&
		                   i->mnt == f->mnt)
			return true;
	return false;
}

static bool add_locked(const struct file *as, uint64_t hold)
{
	struct file **head = bucket(as->dev, as->ino, hold), *f;

	if (have_locked(as, hold))
		return false;
	f = g_n < g_max ? malloc(sizeof *f) : NULL;
	if (!f) {
		g_lost++;
		return false;
	}
	*f = *as;
	f->place = hold && g_shared ? place_locked(f->fd, hold) : 0;
	if (hold && !f->place) {
		free(f);
		g_lost++;
		return false;
	}
	f->next = *head;
	*head = f;
	g_n++;
	return true;
}

void kept_take(int *fds, int n, const uint64_t *holds, size_t n_holds)
{
	pthread_mutex_lock(&g_lock);
	for (int i = 0; i < n; i++) {
		const uint64_t hold = (size_t)i < n_holds ? holds[i] : 0;
		struct file f = {.fd = -1};

		if (fds[i] < 0)
			continue;
		if (!look(fds[i], &f) || !add_locked(&f, hold))
			close(fds[i]);
		fds[i] = -1;
	}
	pthread_mutex_unlock(&g_lock);
}

static int copy_of(const struct file *f)
{
	const int fd = f ? fcntl(f->fd, F_DUPFD_CLOEXEC, 3) : -1;

	return fd >= 0 ? fd : f ? -errno : -ENOENT;
}

int kept_find(uint64_t dev, uint64_t ino, uint64_t mnt)
{
	const struct file *found = NULL;
	int r;

	pthread_mutex_lock(&g_lock);
	for (const struct file *f = *bucket(dev, ino, 0); f; f = f->next)
		if (!f->place && f->dev == dev && f->ino == ino &&
		    (!found || f->mnt == mnt)) /* what is read-only there may not be here */
			found = f;
	r = copy_of(found);
	pthread_mutex_unlock(&g_lock);
	return r;
}

int kept_find_hold(uint64_t hold)
{
	const struct file *found = NULL;
	int r;

	pthread_mutex_lock(&g_lock);
	for (const struct file *f = hold ? *bucket(0, 0, hold) : NULL; f; f = f->next)
		if (f->place && kept_hold_is(f->place) == hold)
			found = f;
	r = copy_of(found);
	pthread_mutex_unlock(&g_lock);
	return r;
}

unsigned kept_drop(void)
{
	unsigned lost;

	pthread_mutex_lock(&g_lock);
	for (unsigned b = 0; b < N_BUCKETS && g_n; b++)
		while (g_files[b]) {
			struct file *f = g_files[b];

			g_files[b] = f->next;
			if (f->place)
				atomic_store(&g_shared->place[f->place - 1].hold, 0);
			close(f->fd);
			free(f);
			g_n--;
		}
	lost = g_lost;
	g_lost = 0;
	pthread_mutex_unlock(&g_lock);
	return lost;
}
