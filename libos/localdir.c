/* SPDX-License-Identifier: MIT */
/*
 * localdir.c - directories of libos's own names.
 *
 * A position (d_off) is 1 behind ".", 2 behind "..", and 3 + n behind the entry n,
 * where n is a row's number, a descriptor, a thread id or a memory file's cookie: it
 * stays right while entries come and go.
 */
#include "libos/local.h"
#include "libos/localtab.h"
#include "libos/pool.h"
#include "libos/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#define DIRS_MAX 1024u
#define FIRST 2u

#define DT_DIR_ 4
#define DT_CHR_ 2
#define DT_REG_ 8
#define DT_LNK_ 10

struct local_dir {
	struct ofd ofd; /* first */
	char path[LOCAL_PATH_MAX];
};

/* One entry. */
struct entry {
	char name[ABI_NAME_MAX + 1];
	uint64_t ino, next; /* next: the position behind it */
	uint8_t type;
};

static struct pool g_dirs = POOL_INIT(struct local_dir, DIRS_MAX);

static uint8_t type_of(const struct local_row *row)
{
	if (local_is_dir(row->type))
		return DT_DIR_;
	if (row->type == L_CHAR)
		return DT_CHR_;
	return row->type == L_TEXT ? DT_REG_ : DT_LNK_;
}

/* ---- what comes at or behind @at, for each type of directory ---- */

static bool row_entry(const struct local_row *dir, uint32_t tid, uint64_t at,
                      struct entry *e)
{
	size_t len = strlen(dir->path);

	for (uint64_t i = at; i < g_local_n_rows; i++) {
		const struct local_row *row = &g_local_rows[i];

		if (strncmp(row->path, dir->path, len) != 0 || row->path[len] != '/' ||
		    strchr(row->path + len + 1, '/'))
			continue;
		memcpy(e->name, row->path + len + 1, strlen(row->path + len + 1) + 1);
		e->ino = i + 1 + ((uint64_t)tid << 8);
		e->type = type_of(row);
		e->next = i + 1;
		return true;
	}
	return false;
}

static void number_name(struct entry *e, uint64_t n)
{
	struct text t = {.at = e->name, .cap = sizeof(e->name) - 1};

	text_dec(&t, n);
	e->name[t.len] = '\0';
	e->next = n + 1;
}

static bool fd_entry(uint64_t at, struct entry *e)
{
	int fd = at < FDTABLE_MAX ? fd_next((int)at) : -1;

	if (fd < 0)
		return false;
	number_name(e, (uint64_t)fd);
	e->ino = 0x100000u + (uint64_t)fd;
	e->type = DT_LNK_;
	return true;
}

static bool task_entry(uint64_t at, struct entry *e)
{
	uint64_t best = UINT64_MAX;

	lock_take(&g_thread_lock);
	for (const struct thread *t = g_threads; t; t = t->next) {
		if (t->tid >= at && t->tid < best)
			best = t->tid;
	}
	lock_drop(&g_thread_lock);
	if (best == UINT64_MAX)
		return false;
	number_name(e, best);
	e->ino = 0x200000u + best;
	e->type = DT_DIR_;
	return true;
}

static bool shm_entry(uint64_t at, struct entry *e)
{
	if (!shm_next_name(&at, e->name, &e->ino))
		return false;
	e->type = DT_REG_;
	e->next = at + 1;
	return true;
}

static bool next_entry(const struct local_node *n, uint64_t pos, struct entry *e)
{
	bool found;

	if (pos < FIRST) {
		memcpy(e->name, "..", 3);
		e->name[pos + 1] = '\0';
		e->ino = (uint64_t)(n->row - g_local_rows) + 1;
		e->type = DT_DIR_;
		e->next = pos + 1;
		return true;
	}
	switch (n->row->type) {
	case L_FDS:
		found = fd_entry(pos - FIRST, e);
		break;
	case L_TASKS:
		found = task_entry(pos - FIRST, e);
		break;
	case L_SHM:
		found = shm_entry(pos - FIRST, e);
		break;
	default:
		found = row_entry(n->row, n->tid, pos - FIRST, e);
	}
	if (found)
		e->next += FIRST;
	return found;
}

/* ---- the records ---- */

/* Bytes written to @to; 0: no room; -EFAULT. */
static long put_entry(void *user_to, size_t room, const struct entry *e,
                      bool old_layout)
{
	_Alignas(8) uint8_t rec[offsetof(struct kdirent64, d_name) + ABI_NAME_MAX + 16];
	size_t len = strlen(e->name), head, size;

	head = old_layout ? offsetof(struct kdirent_old, d_name)
	                  : offsetof(struct kdirent64, d_name);
	size = (head + len + 1 + (old_layout ? 1 : 0) + 7) & ~(size_t)7;
	if (size > room)
		return 0;
	memset(rec, 0, size);
	if (old_layout) {
		struct kdirent_old *d = (struct kdirent_old *)(void *)rec;

		d->d_ino = e->ino;
		d->d_off = e->next;
		d->d_reclen = (uint16_t)size;
		rec[size - 1] = e->type;
	} else {
		struct kdirent64 *d = (struct kdirent64 *)(void *)rec;

		d->d_ino = e->ino;
		d->d_off = (int64_t)e->next;
		d->d_reclen = (uint16_t)size;
		d->d_type = e->type;
	}
	memcpy(rec + head, e->name, len);
	return user_copy_out(user_to, rec, size) ? -EFAULT : (long)size;
}

static long list(struct local_dir *d, uint8_t *user_buf, size_t len, bool old_layout)
{
	struct local_node n;
	struct entry e;
	size_t done = 0;
	long r = local_resolve(d->path, &n);

	if (r < 0)
		return r;
	while (next_entry(&n, d->ofd.pos, &e)) {
		r = put_entry(user_buf + done, len - done, &e, old_layout);
		if (r <= 0) {
			if (done > 0)
				break;
			return r < 0 ? r : -EINVAL;
		}
		done += (size_t)r;
		d->ofd.pos = e.next;
	}
	return (long)done;
}

static long op_getdents(struct ofd *o, void *user_buf, size_t len, bool old_layout)
{
	long r = ofd_pos_lock(o);

	if (r < 0)
		return r;
	r = list((struct local_dir *)o, user_buf, len, old_layout);
	ofd_pos_unlock(o);
	return r;
}

static long op_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	(void)o;
	(void)u;
	(void)pos;
	return -EISDIR;
}

static long op_seek(struct ofd *o, int64_t off, int whence)
{
	long r = ofd_pos_lock(o);

	if (r < 0)
		return r;
	if (whence == 1)
		off += (int64_t)o->pos;
	if (whence > 1 || off < 0)
		r = -EINVAL;
	else
		o->pos = (uint64_t)off;
	ofd_pos_unlock(o);
	return r < 0 ? r : off;
}

static long op_stat(struct ofd *o, struct kstat *st)
{
	return local_stat(((struct local_dir *)o)->path, st);
}

static void op_release(struct ofd *o)
{
	pool_put(&g_dirs, o);
}

static const struct ofd_ops g_dir_ops = {
        .kind = OFD_PROC,
        .read = op_read,
        .seek = op_seek,
        .stat = op_stat,
        .getdents = op_getdents,
        .release = op_release,
};

/* O_PATH: a place, no more. */
static const struct ofd_ops g_path_ops = {
        .kind = OFD_PROC,
        .stat = op_stat,
        .release = op_release,
};

long local_dir_open(const char *path, uint32_t flags, struct ofd **out)
{
	struct local_dir *d;
	size_t len = strlen(path);

	if (len >= LOCAL_PATH_MAX)
		return -ENAMETOOLONG;
	d = pool_get(&g_dirs);
	if (!d)
		return -ENFILE;
	memcpy(d->path, path, len + 1);
	ofd_init(&d->ofd, flags & (uint32_t)O_PATH ? &g_path_ops : &g_dir_ops, flags);
	*out = &d->ofd;
	return 0;
}

long local_dir_name(struct ofd *o, char *to, size_t size)
{
	struct text t = {.at = to, .cap = size};

	text_put(&t, ((struct local_dir *)o)->path);
	return (long)t.len;
}
