/* SPDX-License-Identifier: MIT */
/*
 * dev.c - /dev/null, zero, full, random, urandom.
 */
#include "libos/abi.h"
#include "libos/localtab.h"
#include "libos/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define DEVS_MAX 4096u
#define CHUNK 512u

/* Minor numbers of Linux's memory devices (major 1). */
enum {
	DEV_NULL = 3,
	DEV_ZERO = 5,
	DEV_FULL = 7,
	DEV_RANDOM = 8,
	DEV_URANDOM = 9,
};

struct dev {
	struct ofd ofd; /* first */
	const struct local_row *row;
};

static struct pool g_devs = POOL_INIT(struct dev, DEVS_MAX);

static int minor_of(struct ofd *o)
{
	return ((struct dev *)o)->row->minor;
}

static long read_random(struct uio *u)
{
	size_t left = uio_left(u), done = 0;
	uint8_t chunk[CHUNK];

	while (done < left) {
		size_t n = left - done < CHUNK ? left - done : CHUNK;
		size_t moved;

		plat_random(chunk, n);
		moved = uio_out(u, chunk, n);
		done += moved;
		if (moved < n)
			break;
		if (thread_interrupted())
			break;
	}
	return done > 0 || left == 0 ? (long)done : -EFAULT;
}

static long op_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	size_t left = uio_left(u), done;

	(void)pos;
	switch (minor_of(o)) {
	case DEV_NULL:
		return 0;
	case DEV_RANDOM:
	case DEV_URANDOM:
		return read_random(u);
	default:
		done = uio_out_zero(u, left);
		return done > 0 || left == 0 ? (long)done : -EFAULT;
	}
}

static long op_write(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	(void)pos;
	if (minor_of(o) == DEV_FULL)
		return uio_left(u) > 0 ? -ENOSPC : 0;
	return (long)uio_left(u); /* taken and dropped; random needs no seed of ours */
}

static uint32_t op_poll(struct ofd *o)
{
	(void)o;
	return EPOLLIN | EPOLLOUT;
}

static long op_seek(struct ofd *o, int64_t off, int whence)
{
	(void)o;
	(void)off;
	(void)whence;
	return 0;
}

static long op_stat(struct ofd *o, struct kstat *st)
{
	const struct local_row *row = ((struct dev *)o)->row;

	*st = (struct kstat){.st_dev = 5,
	                     .st_ino = (uint64_t)(row - g_local_rows) + 1,
	                     .st_nlink = 1,
	                     .st_mode = S_IFCHR | row->mode,
	                     .st_rdev = (uint64_t)row->major << 8 | row->minor,
	                     .st_blksize = 4096};
	return 0;
}

/* /dev/zero is anonymous memory. */
static long op_mmap(struct ofd *o, void *addr, size_t len, int prot, int flags,
                    uint64_t off)
{
	(void)off;
	if (minor_of(o) != DEV_ZERO)
		return -ENODEV;
	return plat_mmap(addr, len, prot, flags | MAP_ANONYMOUS);
}

static void op_release(struct ofd *o)
{
	pool_put(&g_devs, o);
}

static const struct ofd_ops g_dev_ops = {
        .kind = OFD_DEV,
        .read = op_read,
        .write = op_write,
        .poll = op_poll,
        .seek = op_seek,
        .stat = op_stat,
        .mmap = op_mmap,
        .release = op_release,
};

/* As in Linux, epoll takes these and refuses the others. */
static const struct ofd_ops g_random_ops = {
        .kind = OFD_DEV,
        .read = op_read,
        .write = op_write,
        .poll = op_poll,
        .seek = op_seek,
        .stat = op_stat,
        .release = op_release,
        .pollable = true,
};

long dev_open(const struct local_row *row, int flags, struct ofd **out)
{
	struct dev *d = pool_get(&g_devs);

	if (!d)
		return -ENFILE;
	d->row = row;
	ofd_init(&d->ofd, row->minor >= DEV_RANDOM ? &g_random_ops : &g_dev_ops,
	         (uint32_t)flags & (ABI_ACCMODE | O_APPEND | O_NONBLOCK));
	*out = &d->ofd;
	return 0;
}

long dev_name(struct ofd *o, char *to, size_t size)
{
	struct text t = {.at = to, .cap = size};

	text_put(&t, ((struct dev *)o)->row->path);
	return (long)t.len;
}
