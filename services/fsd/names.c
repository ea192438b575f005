/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define N_BUCKETS 256u

struct before {
	struct before *next;
	uint64_t dev, ino; /* of the directory */
	struct object was;
	char name[];
};

static struct {
	_Atomic bool on;
	pthread_mutex_t lock; /* guards the rest */
	struct before *at[N_BUCKETS];
	unsigned n;
} g_names = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint32_t hash(const char *s, size_t len)
{
	uint32_t h = 0x811c9dc5u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)s[i]) * 0x01000193u;
	return h ^ h >> 15;
}

/* The last name of a path, without what follows. */
static const char *last_name(const char *path, size_t *len)
{
	size_t end = strlen(path), start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		;
	*len = end - start;
	return path + start;
}

static pthread_mutex_t *stripe(struct mount *m, const char *name)
{
	size_t len;

	name = last_name(name, &len);
	return &m->name[hash(name, len) % MOUNT_NAME_LOCKS];
}

void names_lock(struct name_lock *l, struct mount *m, const char *name, const char *other)
{
	pthread_mutex_t *a = stripe(m, name), *b = other ? stripe(m, other) : a;

	l->first = a < b ? a : b;
	l->second = a == b ? NULL : a < b ? b : a;
	pthread_mutex_lock(l->first);
	if (l->second)
		pthread_mutex_lock(l->second);
}

void names_unlock(struct name_lock *l)
{
	if (l->second)
		pthread_mutex_unlock(l->second);
	pthread_mutex_unlock(l->first);
}

struct object names_object(const struct statx *stx)
{
	return (struct object){
	        .there = true,
	        .ino = stx->stx_ino,
	        .born = stx->stx_mask & STATX_BTIME
	                        ? (uint64_t)stx->stx_btime.tv_sec * 1000000000u +
	                                  stx->stx_btime.tv_nsec
	                        : 0};
}

int names_look(const struct node *dir, const char *name, struct object *out)
{
	char bare[256];
	struct statx stx;
	size_t len;
	int r;

	name = last_name(name, &len);
	if (len >= sizeof bare)
		return -ENAMETOOLONG;
	memcpy(bare, name, len);
	bare[len] = 0;
	*out = (struct object){.there = false};
	r = dir->mount->ops->attr_at(dir, bare, &stx);
	if (r == 0)
		*out = names_object(&stx);
	return r == -ENOENT ? 0 : r;
}

/* ---- while an instance recovers ---- */

bool names_recovering(void)
{
	return atomic_load_explicit(&g_names.on, memory_order_acquire);
}

void names_recover(bool on)
{
	pthread_mutex_lock(&g_names.lock);
	for (unsigned i = 0; i < N_BUCKETS; i++) {
		struct before *b, *next;

		for (b = g_names.at[i]; b; b = next) {
			next = b->next;
			free(b);
		}
		g_names.at[i] = NULL;
	}
	g_names.n = 0;
	atomic_store_explicit(&g_names.on, on, memory_order_release);
	pthread_mutex_unlock(&g_names.lock);
}

static struct before **find_locked(uint64_t dev, uint64_t ino, const char *name, size_t len)
{
	struct before **p = &g_names.at[(hash(name, len) ^ ino) % N_BUCKETS];

	while (*p && ((*p)->ino != ino || (*p)->dev != dev ||
	              strncmp((*p)->name, name, len) != 0 || (*p)->name[len]))
		p = &(*p)->next;
	return p;
}

struct key {
	uint64_t dev, ino;
	const char *name;
	size_t len;
};

static bool make_key(const struct node *of, const char *name, struct key *k)
{
	struct statx stx;

	if (!names_recovering() || of->mount->ops->attr(of, 0, &stx) < 0)
		return false;
	k->dev = (uint64_t)stx.stx_dev_major << 32 | stx.stx_dev_minor;
	k->ino = stx.stx_ino;
	k->name = name;
	k->len = strlen(name);
	if (name[0] != '/') /* an attribute's is as it stands */
		k->name = last_name(name, &k->len);
	return true;
}

void names_was(const struct node *of, const char *name, const struct object *is,
               struct object *was)
{
	struct key k;

	*was = *is;
	if (!make_key(of, name, &k))
		return;
	pthread_mutex_lock(&g_names.lock);
	const struct before *b = *find_locked(k.dev, k.ino, k.name, k.len);

	if (b)
		*was = b->was;
	pthread_mutex_unlock(&g_names.lock);
}

void names_touch(const struct node *of, const char *name, const struct object *is)
{
	struct before **p, *b;
	struct key k;

	if (!make_key(of, name, &k))
		return;
	pthread_mutex_lock(&g_names.lock);
	p = find_locked(k.dev, k.ino, k.name, k.len);
	if (!*p && g_names.n < NAMES_BEFORE_MAX && (b = malloc(sizeof *b + k.len + 1))) {
		*b = (struct before){.dev = k.dev, .ino = k.ino, .was = *is};
		memcpy(b->name, k.name, k.len);
		b->name[k.len] = 0;
		*p = b;
		g_names.n++;
	}
	pthread_mutex_unlock(&g_names.lock);
}
