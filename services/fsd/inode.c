/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/inode.h"

#include "services/fsd/cred.h"

#include <stdlib.h>

#define N_BUCKETS 16384u
#define N_STRIPES 64u

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static struct inode *g_table[N_BUCKETS];
static unsigned g_count;
static _Atomic uint64_t g_deaths;
static pthread_mutex_t g_stripes[N_STRIPES] = {
        [0 ... N_STRIPES - 1] = PTHREAD_MUTEX_INITIALIZER,
};

static uint64_t dev_of(const struct statx *stx)
{
	return (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor;
}

static uint64_t hash(uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino ^ dev * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;

	return h ^ h >> 32;
}

pthread_mutex_t *inode_stripe(const struct statx *stx)
{
	return &g_stripes[hash(dev_of(stx), stx->stx_ino) % N_STRIPES];
}

static struct inode *find_locked(uint64_t dev, uint64_t ino)
{
	struct inode *i = g_table[hash(dev, ino) % N_BUCKETS];

	while (i && (i->ino != ino || i->dev != dev))
		i = i->next;
	return i;
}

struct inode *inode_find(const struct statx *stx)
{
	struct inode *i;

	pthread_mutex_lock(&g_lock);
	i = find_locked(dev_of(stx), stx->stx_ino);
	if (i)
		i->refs++;
	pthread_mutex_unlock(&g_lock);
	return i;
}

struct inode *inode_get(struct mount *m, const struct statx *stx)
{
	const uint64_t dev = dev_of(stx), ino = stx->stx_ino;
	struct inode **head = &g_table[hash(dev, ino) % N_BUCKETS];
	struct inode *i;

	pthread_mutex_lock(&g_lock);
	i = find_locked(dev, ino);
	if (i) {
		i->refs++;
	} else if ((i = calloc(1, sizeof *i))) {
		i->mount = m;
		i->dev = dev;
		i->ino = ino;
		i->refs = 1;
		i->host = NODE_NONE;
		pthread_mutex_init(&i->append, NULL);
		i->next = *head;
		*head = i;
		g_count++;
	}
	pthread_mutex_unlock(&g_lock);
	return i;
}

struct inode *inode_ref(struct inode *i)
{
	pthread_mutex_lock(&g_lock);
	i->refs++;
	pthread_mutex_unlock(&g_lock);
	return i;
}

void inode_put(struct inode *i)
{
	struct inode **p;

	if (!i)
		return;
	pthread_mutex_lock(&g_lock);
	if (--i->refs > 0) {
		pthread_mutex_unlock(&g_lock);
		return;
	}
	p = &g_table[hash(i->dev, i->ino) % N_BUCKETS];
	while (*p != i)
		p = &(*p)->next;
	*p = i->next;
	g_count--;
	pthread_mutex_unlock(&g_lock);
	if (i->kept || i->gone) {
		struct cred *was = cred_save(); /* of a guest whose call goes on */
		const int r = cred_use(NULL);

		if (r == 0 && i->kept)
			i->mount->ops->orphan_drop(i->mount, i->ino);
		if (r == 0 && i->gone && !inode_keeps(i->mount, i->gone, true))
			i->mount->ops->gone_drop(i->mount, i->gone);
		cred_restore(was);
	}
	node_put(&i->host);
	pthread_mutex_destroy(&i->append);
	free(i);
}

/* In later instances another directory stands for it. */
static bool stands_locked(uint64_t key)
{
	for (unsigned b = 0; b < N_BUCKETS; b++)
		for (const struct inode *i = g_table[b]; i; i = i->next)
			if (i->gone == key)
				return true;
	return false;
}

bool inode_keeps(struct mount *m, uint64_t which, bool dir)
{
	const struct inode *i;
	bool keeps;

	pthread_mutex_lock(&g_lock);
	i = find_locked(m->root_dev, which);
	keeps = dir ? stands_locked(which) : i && i->kept;
	pthread_mutex_unlock(&g_lock);
	return keeps;
}

unsigned inode_count(void)
{
	unsigned n;

	pthread_mutex_lock(&g_lock);
	n = g_count;
	pthread_mutex_unlock(&g_lock);
	return n;
}

void inode_dying(void)
{
	atomic_fetch_add(&g_deaths, 1);
}

uint64_t inode_deaths(void)
{
	return atomic_load(&g_deaths);
}
