/* SPDX-License-Identifier: MIT */
/*
 * shmname.c - /dev/shm: names of memory files, and their attributes.
 *
 * One list, newest last; an entry's sequence number is its cookie in a directory
 * listing, so a listing stays right while names come and go.
 */
#include "libos/identity.h"
#include "libos/pool.h"
#include "libos/shm.h"
#include "libos/shmnode.h"
#include "libos/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SHM_NAMES_MAX 16384u

struct shm_name {
	struct shm_name *next;
	struct shm_node *node;
	uint64_t seq;
	char name[ABI_NAME_MAX + 1];
};

static struct pool g_shm_names = POOL_INIT(struct shm_name, SHM_NAMES_MAX);
static struct shm_name *g_names; /* under g_shm_lock */
static uint64_t g_next_seq = 1;  /* under g_shm_lock */

/* Where the entry stands, or where it would be put. */
static struct shm_name **find_locked(const char *name)
{
	struct shm_name **at = &g_names;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static long name_check(const char *name)
{
	return strlen(name) > ABI_NAME_MAX ? -ENAMETOOLONG : 0;
}

/* The node behind @name with a reference, or NULL. */
static struct shm_node *node_get(const char *name)
{
	struct shm_node *n = NULL;
	struct shm_name *e;

	lock_take(&g_shm_lock);
	e = *find_locked(name);
	if (e) {
		n = e->node;
		n->refs++;
	}
	lock_drop(&g_shm_lock);
	return n;
}

/* Give @n a name: -EEXIST, -ENOSPC.  Takes no reference of the caller's. */
static long name_add(const char *name, struct shm_node *n)
{
	struct shm_name *e, **at;
	long r = name_check(name);

	if (r < 0)
		return r;
	e = pool_get(&g_shm_names);
	if (!e)
		return -ENOSPC;
	memcpy(e->name, name, strlen(name) + 1);
	e->node = n;
	lock_take(&g_shm_lock);
	at = find_locked(name);
	if (*at) {
		r = -EEXIST;
	} else {
		e->seq = g_next_seq++;
		n->refs++;
		n->nlink++;
		*at = e;
	}
	lock_drop(&g_shm_lock);
	if (r < 0)
		pool_put(&g_shm_names, e);
	return r;
}

/* Linux's check of the mode bits: @want of 4 read, 2 write, 1 execute. */
static bool may(const struct shm_node *n, uint32_t want)
{
	uint32_t bits = n->mode;

	if (cred_privileged())
		return true;
	if (cred_current()->fsuid == n->uid)
		bits >>= 6;
	else if (cred_in_group(n->gid))
		bits >>= 3;
	return (bits & want) == want;
}

static uint32_t wanted(int flags)
{
	switch (flags & ABI_ACCMODE) {
	case O_RDONLY:
		return 4;
	case O_WRONLY:
		return 2;
	default:
		return 6;
	}
}

/* Open what @n names; the caller's reference goes to the description. */
static long open_node(struct shm_node *n, const char *name, int flags, bool created,
                      struct ofd **out)
{
	uint32_t keep =
	        (uint32_t)flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY |
	                                      O_CLOEXEC | O_NOFOLLOW);
	long r = 0;

	if (!created && !(flags & O_PATH) && !may(n, wanted(flags)))
		return -EACCES;
	if (!created && (flags & O_TRUNC) && (flags & ABI_ACCMODE) != O_RDONLY) {
		lock_take(&n->lock);
		r = shm_resize_locked(n, 0);
		lock_drop(&n->lock);
	}
	if (r == 0)
		r = shm_file_new(n, keep, out);
	if (r == 0)
		memcpy(((struct shm_file *)*out)->name, name, strlen(name) + 1);
	return r;
}

static long create(const char *name, uint32_t mode, struct shm_node **out)
{
	struct shm_node *n = shm_node_new(mode);
	long r;

	if (!n)
		return -ENOSPC;
	n->seals = F_SEAL_SEAL;
	r = name_add(name, n);
	if (r < 0)
		shm_node_put(n);
	else
		*out = n;
	return r;
}

long shm_open_name(const char *name, int flags, uint32_t mode, struct ofd **out)
{
	struct shm_node *n;
	bool created = false;
	long r = name_check(name);

	if (r < 0)
		return r;
	for (;;) {
		n = node_get(name);
		if (n)
			break;
		if (!(flags & O_CREAT))
			return -ENOENT;
		r = create(name, mode, &n);
		created = r == 0;
		if (created)
			break;
		if (r != -EEXIST)
			return r;
	}
	if (!created && (flags & O_CREAT) && (flags & O_EXCL))
		r = -EEXIST;
	else if (flags & O_DIRECTORY)
		r = -ENOTDIR;
	else
		r = open_node(n, name, flags, created, out);
	if (r < 0)
		shm_node_put(n);
	return r;
}

long shm_reopen(struct ofd *o, int flags, struct ofd **out)
{
	struct shm_file *f = shm_file_of(o);
	struct shm_node *n;
	long r;

	if (!f)
		return -ENXIO;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	n = f->node;
	lock_take(&g_shm_lock);
	n->refs++;
	lock_drop(&g_shm_lock);
	r = open_node(n, f->name, flags, false, out);
	if (r < 0)
		shm_node_put(n);
	return r;
}

long shm_stat_name(const char *name, struct kstat *st)
{
	struct shm_node *n = node_get(name);

	if (!n)
		return -ENOENT;
	shm_node_stat(n, st);
	shm_node_put(n);
	return 0;
}

static void ctime_now(struct shm_node *n)
{
	uint64_t ns = plat_real_ns();

	n->ctime[0] = (int64_t)(ns / 1000000000u);
	n->ctime[1] = (int64_t)(ns % 1000000000u);
}

/* The directory is sticky, as Linux's /dev/shm: owner or superuser only. */
static bool may_remove(const struct shm_node *n)
{
	return cred_privileged() || cred_current()->fsuid == n->uid;
}

long shm_unlink_name(const char *name)
{
	struct shm_name *e, **at;
	long r = 0;

	lock_take(&g_shm_lock);
	at = find_locked(name);
	e = *at;
	if (!e) {
		r = -ENOENT;
	} else if (!may_remove(e->node)) {
		r = -EPERM;
	} else {
		*at = e->next;
		e->node->nlink--;
		ctime_now(e->node);
	}
	lock_drop(&g_shm_lock);
	if (r == 0) {
		shm_node_put(e->node);
		pool_put(&g_shm_names, e);
	}
	return r;
}

long shm_link_name(const char *from, const char *to)
{
	struct shm_node *n = node_get(from);
	long r;

	if (!n)
		return -ENOENT;
	r = name_add(to, n);
	shm_node_put(n);
	return r;
}

/* Under g_shm_lock; *@drop: an entry that lost its place, to be given back. */
static long rename_locked(const char *from, const char *to, unsigned flags,
                          struct shm_name **drop)
{
	struct shm_name *a = *find_locked(from), *b = *find_locked(to), **at;

	*drop = NULL;
	if (!a)
		return -ENOENT;
	if (!may_remove(a->node) || (b && !may_remove(b->node)))
		return -EPERM;
	if (flags & ABI_RENAME_EXCHANGE) {
		struct shm_node *n = a->node;

		if (!b)
			return -ENOENT;
		a->node = b->node;
		b->node = n;
		return 0;
	}
	if (b && (flags & ABI_RENAME_NOREPLACE))
		return -EEXIST;
	if (b && a->node == b->node)
		return 0; /* two names of one file: nothing happens, as POSIX says */
	if (b) {
		at = find_locked(to);
		*at = b->next;
		b->node->nlink--;
		*drop = b;
	}
	memcpy(a->name, to, strlen(to) + 1);
	ctime_now(a->node);
	return 0;
}

long shm_rename_name(const char *from, const char *to, unsigned flags)
{
	struct shm_name *drop;
	long r = name_check(to);

	if (r < 0)
		return r;
	if (flags & ~(ABI_RENAME_NOREPLACE | ABI_RENAME_EXCHANGE))
		return -EINVAL;
	lock_take(&g_shm_lock);
	r = rename_locked(from, to, flags, &drop);
	lock_drop(&g_shm_lock);
	if (drop) {
		shm_node_put(drop->node);
		pool_put(&g_shm_names, drop);
	}
	return r;
}

bool shm_next_name(uint64_t *cookie, char *to, uint64_t *ino)
{
	struct shm_name *e;

	lock_take(&g_shm_lock);
	for (e = g_names; e && e->seq < *cookie; e = e->next)
		;
	if (e) {
		*cookie = e->seq;
		*ino = e->node->ino;
		memcpy(to, e->name, strlen(e->name) + 1);
	}
	lock_drop(&g_shm_lock);
	return e != NULL;
}

/* ---- attributes ---- */

long shm_truncate_name(const char *name, uint64_t size)
{
	struct shm_node *n = node_get(name);
	long r;

	if (!n)
		return -ENOENT;
	if (may(n, 2)) {
		lock_take(&n->lock);
		r = shm_resize_locked(n, size);
		lock_drop(&n->lock);
	} else {
		r = -EACCES;
	}
	shm_node_put(n);
	return r;
}

static long node_chmod(struct shm_node *n, uint32_t mode)
{
	if (!may_remove(n))
		return -EPERM;
	lock_take(&g_shm_lock);
	n->mode = mode & 07777;
	ctime_now(n);
	lock_drop(&g_shm_lock);
	return 0;
}

static long node_chown(struct shm_node *n, uint32_t uid, uint32_t gid)
{
	bool owner = cred_current()->fsuid == n->uid;

	if (!cred_privileged() &&
	    (!owner || (uid != UINT32_MAX && uid != n->uid) ||
	     (gid != UINT32_MAX && gid != n->gid && !cred_in_group(gid))))
		return -EPERM;
	lock_take(&g_shm_lock);
	if (uid != UINT32_MAX)
		n->uid = uid;
	if (gid != UINT32_MAX)
		n->gid = gid;
	ctime_now(n);
	lock_drop(&g_shm_lock);
	return 0;
}

static void set_time(int64_t to[2], const struct timespec *ts, uint64_t real_ns)
{
	if (ts && ts->tv_nsec == UTIME_OMIT)
		return;
	if (!ts || ts->tv_nsec == UTIME_NOW) {
		to[0] = (int64_t)(real_ns / 1000000000u);
		to[1] = (int64_t)(real_ns % 1000000000u);
		return;
	}
	to[0] = ts->tv_sec;
	to[1] = ts->tv_nsec;
}

static long node_utimens(struct shm_node *n, const struct timespec times[2])
{
	uint64_t real_ns = plat_real_ns();

	if (!may_remove(n) && (times || !may(n, 2)))
		return times ? -EPERM : -EACCES;
	lock_take(&g_shm_lock);
	set_time(n->atime, times ? &times[0] : NULL, real_ns);
	set_time(n->mtime, times ? &times[1] : NULL, real_ns);
	ctime_now(n);
	lock_drop(&g_shm_lock);
	return 0;
}

long shm_chmod_name(const char *name, uint32_t mode)
{
	struct shm_node *n = node_get(name);
	long r;

	if (!n)
		return -ENOENT;
	r = node_chmod(n, mode);
	shm_node_put(n);
	return r;
}

long shm_chown_name(const char *name, uint32_t uid, uint32_t gid)
{
	struct shm_node *n = node_get(name);
	long r;

	if (!n)
		return -ENOENT;
	r = node_chown(n, uid, gid);
	shm_node_put(n);
	return r;
}

long shm_utimens_name(const char *name, const struct timespec times[2])
{
	struct shm_node *n = node_get(name);
	long r;

	if (!n)
		return -ENOENT;
	r = node_utimens(n, times);
	shm_node_put(n);
	return r;
}

long shm_chmod(struct ofd *o, uint32_t mode)
{
	return node_chmod(shm_file_of(o)->node, mode);
}

long shm_chown(struct ofd *o, uint32_t uid, uint32_t gid)
{
	return node_chown(shm_file_of(o)->node, uid, gid);
}

long shm_utimens(struct ofd *o, const struct timespec times[2])
{
	return node_utimens(shm_file_of(o)->node, times);
}

long shm_fd_name(struct ofd *o, char *to, size_t size)
{
	const struct shm_file *f = shm_file_of(o);
	struct text t = {.at = to, .cap = size};

	text_put(&t, f->node->memfd ? "/memfd:" : "/dev/shm/");
	text_put(&t, f->name);
	if (f->node->nlink == 0)
		text_put(&t, " (deleted)");
	return (long)t.len;
}
