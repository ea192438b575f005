/* SPDX-License-Identifier: MIT */
/*
 * io.c - the read and write family over the operations of a description.
 */
#include "libos/io.h"

#include "libos/abi.h"
#include "libos/pool.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>

#define RWF_HIPRI_BIT 0x1u
#define RWF_DSYNC_BIT 0x2u
#define RWF_SYNC_BIT 0x4u
#define RWF_APPEND_BIT 0x10u

struct io_store {
	struct iovec v[USER_IOV_MAX];
};
struct bounce {
	uint8_t data[BOUNCE_SIZE];
};

static struct pool g_io_stores = POOL_INIT(struct io_store, 1024);
static struct pool g_bounces = POOL_INIT(struct bounce, 256);

/* ---- helpers ---- */

static void cut_to_max(struct uio *u)
{
	if (u->len > IO_RW_MAX)
		u->len = IO_RW_MAX;
}

int io_vec_get(struct io_vec *v, const void *user_iov, long n)
{
	int r;

	v->big = NULL;
	if (n < 0 || n > USER_IOV_MAX)
		return -EINVAL;
	if (n > (long)IO_VEC_SMALL) {
		struct io_store *s = pool_get_dirty(&g_io_stores);

		if (!s)
			return -ENOMEM;
		v->big = s->v;
		r = uio_import(&v->u, user_iov, n, v->big, USER_IOV_MAX);
	} else {
		r = uio_import(&v->u, user_iov, n, v->small, IO_VEC_SMALL);
	}
	if (r < 0)
		io_vec_put(v);
	else
		cut_to_max(&v->u);
	return r;
}

void io_vec_put(struct io_vec *v)
{
	if (v->big)
		pool_put(&g_io_stores, v->big);
	v->big = NULL;
}

uint8_t *bounce_get(void)
{
	struct bounce *b = pool_get_dirty(&g_bounces);

	return b ? b->data : NULL;
}

void bounce_put(uint8_t *b)
{
	pool_put(&g_bounces, b);
}

long io_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	if ((o->flags & ABI_ACCMODE) == O_WRONLY)
		return -EBADF;
	return o->ops->read ? o->ops->read(o, u, pos) : -EINVAL;
}

long io_write(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	if ((o->flags & ABI_ACCMODE) == O_RDONLY)
		return -EBADF;
	return o->ops->write ? o->ops->write(o, u, pos) : -EINVAL;
}

static long io_append(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	u->append = true;
	return io_write(o, u, pos);
}

/* ---- at the description's own position ---- */

SYSCALL(read, long fd, void *buf, long n)
{
	struct ofd *o = ofd_get_io((int)fd);
	struct uio u;
	long r;

	if (!o)
		return -EBADF;
	uio_init(&u, buf, (size_t)n);
	cut_to_max(&u);
	r = io_read(o, &u, NULL);
	ofd_put(o);
	return r;
}

SYSCALL(write, long fd, void *buf, long n)
{
	struct ofd *o = ofd_get_io((int)fd);
	struct uio u;
	long r;

	if (!o)
		return -EBADF;
	uio_init(&u, buf, (size_t)n);
	cut_to_max(&u);
	r = io_write(o, &u, NULL);
	ofd_put(o);
	return r;
}

typedef long io_fn(struct ofd *o, struct uio *u, const uint64_t *pos);

static long vector_io(long fd, const void *iov, long n, const uint64_t *pos, io_fn *fn,
                      bool writes)
{
	struct ofd *o = ofd_get_io((int)fd);
	struct io_vec v;
	long r;

	if (!o)
		return -EBADF;
	/* Linux looks at the access mode before the vector. */
	if ((o->flags & ABI_ACCMODE) == (writes ? O_RDONLY : O_WRONLY))
		r = -EBADF;
	else if (pos && !o->ops->seek)
		r = -ESPIPE;
	else
		r = io_vec_get(&v, iov, n);
	if (r == 0) {
		r = fn(o, &v.u, pos);
		io_vec_put(&v);
	}
	ofd_put(o);
	return r;
}

SYSCALL(readv, long fd, const void *iov, long n)
{
	return vector_io(fd, iov, n, NULL, io_read, false);
}

SYSCALL(writev, long fd, const void *iov, long n)
{
	return vector_io(fd, iov, n, NULL, io_write, true);
}

/* ---- at a given position ---- */

static long at_position(long fd, void *buf, long n, long off, io_fn *fn)
{
	uint64_t pos = (uint64_t)off;
	struct ofd *o;
	struct uio u;
	long r;

	if (off < 0)
		return -EINVAL;
	o = ofd_get_io((int)fd);
	if (!o)
		return -EBADF;
	uio_init(&u, buf, (size_t)n);
	cut_to_max(&u);
	r = o->ops->seek ? fn(o, &u, &pos) : -ESPIPE;
	ofd_put(o);
	return r;
}

SYSCALL(pread64, long fd, void *buf, long n, long off)
{
	return at_position(fd, buf, n, off, io_read);
}

SYSCALL(pwrite64, long fd, void *buf, long n, long off)
{
	return at_position(fd, buf, n, off, io_write);
}

SYSCALL(preadv, long fd, const void *iov, long n, long off)
{
	uint64_t pos = (uint64_t)off;

	return off < 0 ? -EINVAL : vector_io(fd, iov, n, &pos, io_read, false);
}

SYSCALL(pwritev, long fd, const void *iov, long n, long off)
{
	uint64_t pos = (uint64_t)off;

	return off < 0 ? -EINVAL : vector_io(fd, iov, n, &pos, io_write, true);
}

SYSCALL(preadv2, long fd, const void *iov, long n, long off, long high, long flags)
{
	uint64_t pos = (uint64_t)off;

	(void)high; /* the low long holds all 64 bits */
	if (flags & ~(long)RWF_HIPRI_BIT)
		return -EOPNOTSUPP;
	if (off == -1)
		return vector_io(fd, iov, n, NULL, io_read, false);
	return off < 0 ? -EINVAL : vector_io(fd, iov, n, &pos, io_read, false);
}

static long sync_after_write(long fd, unsigned long flags)
{
	struct ofd *o = ofd_get_io((int)fd);
	long r = 0;

	if (o && o->ops->sync)
		r = o->ops->sync(o, (flags & RWF_SYNC_BIT) == 0);
	if (o)
		ofd_put(o);
	return r;
}

SYSCALL(pwritev2, long fd, const void *iov, long n, long off, long high, long flags)
{
	uint64_t pos = (uint64_t)off;
	long r, synced;

	(void)high;
	if (flags & ~(long)(RWF_HIPRI_BIT | RWF_DSYNC_BIT | RWF_SYNC_BIT | RWF_APPEND_BIT))
		return -EOPNOTSUPP;
	if (off < -1)
		return -EINVAL;
	r = vector_io(fd, iov, n, off == -1 ? NULL : &pos,
	              flags & (long)RWF_APPEND_BIT ? io_append : io_write, true);
	if (r <= 0 || !(flags & (RWF_DSYNC_BIT | RWF_SYNC_BIT)))
		return r;
	synced = sync_after_write(fd, (unsigned long)flags);
	return synced < 0 ? synced : r;
}

/* Kinds without positions: streams refuse, the others stay at 0. */
static long no_seek(const struct ofd *o)
{
	switch (o->ops->kind) {
	case OFD_EVENTFD:
	case OFD_TIMERFD:
	case OFD_SIGNALFD:
	case OFD_EPOLL:
	case OFD_INOTIFY:
		return 0;
	default:
		return -ESPIPE;
	}
}

SYSCALL(lseek, long fd, long off, long whence)
{
	struct ofd *o = ofd_get_io((int)fd);
	long r;

	if (!o)
		return -EBADF;
	if ((unsigned long)whence > 4) /* SEEK_HOLE */
		r = -EINVAL;
	else
		r = o->ops->seek ? o->ops->seek(o, off, (int)whence) : no_seek(o);
	ofd_put(o);
	return r;
}
