/* SPDX-License-Identifier: MIT */
/*
 * file_dir.c - reading directories of fsd.
 *
 * The description's position is fsd's cookie: d_off of the last entry given out.
 * C libraries ask for 2 KiB at a time; fsd is asked for more, and what the program
 * did not take yet waits in a struct dirbuf until it does, seeks, or closes.
 * The root directory shows libos's own names (dev, proc) behind fsd's, at cookies
 * that fsd never uses; an entry of fsd by such a name is left out, as a mount
 * point's own directory is.
 */
#include "libos/file.h"
#include "libos/local.h"
#include "libos/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define BATCH 32768u
#define DIRBUFS 64u /* directories being read at once; others get 2 KiB a call */
#define SMALL 2048u
#define OWN_COOKIE 0x7fffffffffff0000ull /* + place in local_root_name() + 1 */
#define HEAD offsetof(struct kdirent64, d_name)

struct dirbuf {
	void *link; /* the pool's */
	uint32_t at, len;
	bool end; /* nothing comes after it */
	_Alignas(8) uint8_t records[BATCH];
};

static struct pool g_dirbufs = POOL_INIT(struct dirbuf, DIRBUFS);

static bool is_own_name(const char *name)
{
	const char *own;

	for (unsigned i = 0; (own = local_root_name(i)) != NULL; i++) {
		if (strcmp(own, name) == 0)
			return true;
	}
	return false;
}

/* One record checked: its length, or 0 if fsd sent nonsense. */
static size_t record_len(const uint8_t *at, size_t left)
{
	struct kdirent64 d;

	if (left < HEAD + 2)
		return 0;
	memcpy(&d, at, HEAD);
	if (d.d_reclen < HEAD + 2 || d.d_reclen > left || d.d_reclen % 8 != 0)
		return 0;
	return memchr(at + HEAD, '\0', d.d_reclen - HEAD) ? d.d_reclen : 0;
}

/* Make a record of getdents(2) out of one of getdents64(2), in place: the two
 * have the same length, the type moves behind the name. */
static void make_old(uint8_t *at, size_t len)
{
	uint8_t type = at[offsetof(struct kdirent64, d_type)];
	size_t to = offsetof(struct kdirent_old, d_name);

	memmove(at + to, at + HEAD, len - HEAD);
	at[len - 1] = type;
}

/* Check @n bytes of records in @buf, drop what does not show, and note the last
 * cookie.  The bytes left, or -EIO. */
static long sift(struct file *f, uint8_t *buf, size_t n, uint64_t *cookie)
{
	size_t from = 0, to = 0;

	while (from < n) {
		size_t len = record_len(buf + from, n - from);
		struct kdirent64 d;

		if (len == 0)
			return -EIO;
		memcpy(&d, buf + from, HEAD);
		*cookie = (uint64_t)d.d_off;
		if (!f->root || !is_own_name((const char *)buf + from + HEAD)) {
			if (to != from)
				memmove(buf + to, buf + from, len);
			to += len;
		}
		from += len;
	}
	return (long)to;
}

/* libos's own names of the root directory, from *@cookie on. */
static long own_names(uint8_t *buf, size_t room, uint64_t *cookie)
{
	unsigned i = *cookie > OWN_COOKIE ? (unsigned)(*cookie - OWN_COOKIE) : 0;
	const char *name;
	size_t used = 0;

	for (; (name = local_root_name(i)) != NULL; i++) {
		size_t n = strlen(name) + 1;
		size_t len = (HEAD + n + 1 + 7) & ~(size_t)7;
		struct kdirent64 d = {.d_ino = 1, .d_type = 4 /* DT_DIR */};
		struct kstat st;
		char path[64] = "/";

		if (used + len > room)
			return used > 0 ? (long)used : -EINVAL;
		if (n < sizeof(path) - 1) {
			memcpy(path + 1, name, n);
			if (local_stat(path, &st) == 0)
				d.d_ino = st.st_ino;
		}
		d.d_off = (int64_t)(OWN_COOKIE + i + 1);
		d.d_reclen = (uint16_t)len;
		memset(buf + used, 0, len);
		memcpy(buf + used, &d, HEAD);
		memcpy(buf + used + HEAD, name, n);
		used += len;
		*cookie = (uint64_t)d.d_off;
	}
	return (long)used;
}

static long fetch_batch(struct file *f, struct file_buf *b, uint64_t cookie, bool *end)
{
	File__ReaddirReq req = FILE__READDIR_REQ__INIT;
	struct rpc_call call;

	rpc_call_init(&call);
	req.handle = f->handle;
	req.cookie = cookie;
	req.count = (uint32_t)b->cap;
	call.sink = file_sink_buf;
	call.sink_arg = b;
	call.sink_cap = (uint32_t)b->cap;
	b->len = 0;
	FILE_CALL(readdir, ReaddirRep, &req, &call);
	if (call.err)
		return call.err;
	*end = ((const File__ReaddirRep *)call.reply)->end != 0;
	return (long)b->len;
}

/* Fill @buf with what follows @cookie.  Bytes; 0 at the end. */
static long next_records(struct file *f, uint8_t *buf, size_t room, uint64_t cookie,
                         bool *end)
{
	struct file_buf b = {.p = buf, .cap = room};
	long n = 0;

	*end = false;
	while (!f->root || cookie < OWN_COOKIE) {
		n = fetch_batch(f, &b, cookie, end);
		if (n < 0)
			return n;
		if (n == 0)
			break;
		n = sift(f, buf, (size_t)n, &cookie);
		if (f->root)
			*end = false; /* libos's own names follow */
		if (n != 0)
			return n;
	}
	return f->root ? own_names(buf, room, &cookie) : 0;
}

/* Give whole records of @buf, as many as fit.  Bytes; *@cookie of the last. */
static long give(uint8_t *buf, size_t n, void *user_buf, size_t room, bool old,
                 uint64_t *cookie)
{
	uint64_t last = *cookie;
	size_t used = 0;

	while (used < n) {
		struct kdirent64 d;

		memcpy(&d, buf + used, HEAD);
		if (d.d_reclen > room - used)
			break;
		if (old)
			make_old(buf + used, d.d_reclen);
		used += d.d_reclen;
		last = (uint64_t)d.d_off;
	}
	if (used == 0)
		return -EINVAL;
	if (user_copy_out(user_buf, buf, used))
		return -EFAULT;
	*cookie = last;
	return (long)used;
}

void file_dir_close(struct file *f)
{
	if (f->dir)
		pool_put(&g_dirbufs, f->dir);
	f->dir = NULL;
}

/* From f->dir, filled first if there is nothing in it. */
static long from_buffer(struct file *f, void *user_buf, size_t len, bool old,
                        uint64_t *cookie)
{
	struct dirbuf *d = f->dir;
	long r;

	if (d->at == d->len) {
		r = d->end ? 0
		           : next_records(f, d->records, sizeof(d->records), *cookie,
		                          &d->end);
		if (r <= 0) {
			file_dir_close(f);
			return r;
		}
		d->at = 0;
		d->len = (uint32_t)r;
	}
	r = give(d->records + d->at, d->len - d->at, user_buf, len, old, cookie);
	if (r > 0)
		d->at += (uint32_t)r;
	else
		file_dir_close(f); /* half of it may be in the old layout */
	return r;
}

static long getdents_locked(struct file *f, void *user_buf, size_t len, bool old,
                            uint64_t *cookie)
{
	_Alignas(8) uint8_t few[SMALL];
	bool end;
	long r;

	if (!f->dir && (f->dir = pool_get_dirty(&g_dirbufs))) {
		f->dir->at = f->dir->len = 0;
		f->dir->end = false;
	}
	if (f->dir)
		return from_buffer(f, user_buf, len, old, cookie);
	r = next_records(f, few, len < sizeof(few) ? len : sizeof(few), *cookie, &end);
	return r <= 0 ? r : give(few, (size_t)r, user_buf, len, old, cookie);
}

long file_getdents(struct ofd *o, void *user_buf, size_t len, bool old_layout)
{
	uint64_t cookie;
	long r;

	r = ofd_pos_lock(o);
	if (r < 0)
		return r;
	cookie = o->pos;
	r = getdents_locked(file_of(o), user_buf, len, old_layout, &cookie);
	if (r > 0)
		o->pos = cookie;
	ofd_pos_unlock(o);
	return r;
}

/* Positions are cookies: only those given out before, and 0, mean something. */
long file_dir_seek(struct ofd *o, int64_t off, int whence)
{
	long r = ofd_pos_lock(o);

	if (r < 0)
		return r;
	if (whence == SEEK_CUR)
		r = __builtin_add_overflow((int64_t)o->pos, off, &off) ? -EINVAL : 0;
	else if (whence != SEEK_SET)
		r = -EINVAL;
	if (r == 0 && off < 0)
		r = -EINVAL;
	if (r == 0) {
		if (whence == SEEK_SET || (uint64_t)off != o->pos)
			file_dir_close(file_of(o)); /* rewinddir() looks anew */
		o->pos = (uint64_t)off;
		r = off;
	}
	ofd_pos_unlock(o);
	return r;
}
