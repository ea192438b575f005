/* SPDX-License-Identifier: MIT */
/*
 * splice.c - sendfile, splice, tee, vmsplice, copy_file_range.
 *
 * Data goes through a bounce buffer.  What leaves a pipe is looked at first and
 * taken only as far as the other side accepted it; what leaves a file is read at an
 * offset that is moved by what was accepted: nothing is lost when the other side
 * takes less.
 */
#include "libos/abi.h"
#include "libos/io.h"
#include "libos/pipe.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define F_MOVE 1u
#define F_NONBLOCK 2u
#define F_MORE 4u
#define F_GIFT 8u
#define F_ALL (F_MOVE | F_NONBLOCK | F_MORE | F_GIFT)

/* Where a file is read or written: the description's position, or the caller's. */
struct place {
	struct ofd *o;
	void *user_off; /* NULL: the description's own */
	uint64_t at;
};

static long place_init(struct place *p, struct ofd *o, void *user_off)
{
	p->o = o;
	p->user_off = user_off;
	p->at = o->pos;
	if (!user_off)
		return 0;
	if (!o->ops->seek)
		return -ESPIPE;
	if (user_copy_in(&p->at, user_off, sizeof(p->at)) != 0)
		return -EFAULT;
	return (int64_t)p->at < 0 ? -EINVAL : 0;
}

/* Give the new position back: @r is the call's result so far. */
static long place_fini(struct place *p, long r)
{
	if (r <= 0)
		return r;
	if (p->user_off)
		return user_copy_out(p->user_off, &p->at, sizeof(p->at)) ? -EFAULT : r;
	if (p->o->ops->seek) {
		long locked = ofd_pos_lock(p->o);

		/* An interrupt here must not lose what was done. */
		p->o->pos = p->at;
		if (locked == 0)
			ofd_pos_unlock(p->o);
	}
	return r;
}

static long read_some(struct place *p, void *buf, size_t n)
{
	struct uio u;

	uio_init(&u, buf, n);
	return io_read(p->o, &u, p->o->ops->seek ? &p->at : NULL);
}

static long write_some(struct place *p, void *buf, size_t n)
{
	struct uio u;

	uio_init(&u, buf, n);
	return io_write(p->o, &u, p->user_off ? &p->at : NULL);
}

/* ---- files ---- */

/* One round of a copy from a file: read at in->at, write, move on by what was
 * written.  Bytes, 0 at the end of the file, or an error. */
static long copy_round(struct place *in, struct place *out, uint8_t *buf, size_t n)
{
	long got, put;

	got = read_some(in, buf, n < BOUNCE_SIZE ? n : BOUNCE_SIZE);
	if (got <= 0)
		return got;
	put = write_some(out, buf, (size_t)got);
	if (put > 0) {
		in->at += (uint64_t)put;
		if (out->user_off)
			out->at += (uint64_t)put;
	}
	return put;
}

static long copy_all(struct place *in, struct place *out, size_t n)
{
	uint8_t *buf = bounce_get();
	size_t done = 0;
	long r = 0;

	if (!buf)
		return -ENOMEM;
	while (done < n) {
		size_t want = n - done < BOUNCE_SIZE ? n - done : BOUNCE_SIZE;

		r = copy_round(in, out, buf, want);
		if (r <= 0)
			break;
		done += (size_t)r;
		if ((size_t)r < want)
			break; /* the file ended, or the other side is full */
	}
	bounce_put(buf);
	return done > 0 ? (long)done : r;
}

static bool is_file(const struct ofd *o)
{
	return o->ops->kind == OFD_FILE || o->ops->kind == OFD_SHM;
}

SYSCALL(sendfile, long out_fd, long in_fd, void *user_off, long n)
{
	struct ofd *in = ofd_get_io((int)in_fd), *out = ofd_get_io((int)out_fd);
	struct place from, to;
	long r = -EBADF;

	if (!in || !out || (in->flags & ABI_ACCMODE) == O_WRONLY ||
	    (out->flags & ABI_ACCMODE) == O_RDONLY)
		goto done;
	r = -EINVAL;
	if (!in->ops->seek || !in->ops->read || in->ops->getdents ||
	    (out->flags & O_APPEND))
		goto done;
	r = place_init(&from, in, user_off);
	if (r < 0)
		goto done;
	(void)place_init(&to, out, NULL);
	if ((size_t)n > IO_RW_MAX)
		n = IO_RW_MAX;
	r = place_fini(&from, copy_all(&from, &to, (size_t)n));
done:
	if (in)
		ofd_put(in);
	if (out)
		ofd_put(out);
	return r;
}

static long copy_range_check(const struct ofd *in, const struct ofd *out)
{
	if (in->ops->getdents || out->ops->getdents)
		return -EISDIR;
	if (!is_file(in) || !is_file(out))
		return -EINVAL;
	if ((in->flags & ABI_ACCMODE) == O_WRONLY ||
	    (out->flags & ABI_ACCMODE) == O_RDONLY || (out->flags & O_APPEND))
		return -EBADF;
	return 0;
}

/* Both ends in one file, where they would overlap; what lies behind the file's end
 * does not count. */
static bool overlap(const struct place *in, const struct place *out, uint64_t n)
{
	struct kstat a, b;

	if (in->at >= out->at + n || out->at >= in->at + n ||
	    in->o->ops->kind != out->o->ops->kind || ofd_stat(in->o, &a) != 0 ||
	    ofd_stat(out->o, &b) != 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return false;
	if (in->at >= (uint64_t)a.st_size)
		return false;
	if (n > (uint64_t)a.st_size - in->at)
		n = (uint64_t)a.st_size - in->at;
	return in->at < out->at + n && out->at < in->at + n;
}

static long copy_range(struct place *in, struct place *out, size_t n)
{
	long r = -EXDEV;

	if (overlap(in, out, n))
		return -EINVAL;
	if (in->o->ops->kind == OFD_FILE && out->o->ops->kind == OFD_FILE)
		r = file_copy_range(in->o, in->at, out->o, out->at, n);
	if (r > 0) {
		in->at += (uint64_t)r;
		out->at += (uint64_t)r;
		return r;
	}
	if (r != -EXDEV && r != -EOPNOTSUPP)
		return r;
	out->user_off = out->user_off ? out->user_off : out; /* write at out->at */
	return copy_all(in, out, n);
}

SYSCALL(copy_file_range, long in_fd, void *in_off, long out_fd, void *out_off, long n,
        long flags)
{
	struct ofd *in = ofd_get_io((int)in_fd), *out = ofd_get_io((int)out_fd);
	struct place from, to;
	long r = -EBADF;

	if (!in || !out)
		goto done;
	r = flags ? -EINVAL : copy_range_check(in, out);
	if (r == 0)
		r = place_init(&from, in, in_off);
	if (r == 0)
		r = place_init(&to, out, out_off);
	if (r < 0)
		goto done;
	if ((size_t)n > IO_RW_MAX)
		n = IO_RW_MAX;
	r = n > 0 ? copy_range(&from, &to, (size_t)n) : 0;
	to.user_off = out_off;
	r = place_fini(&to, place_fini(&from, r));
done:
	if (in)
		ofd_put(in);
	if (out)
		ofd_put(out);
	return r;
}

/* ---- pipes ---- */

static long pipe_to_other(struct ofd *in, struct place *out, size_t n, bool nonblock)
{
	uint8_t *buf = bounce_get();
	long got, put = 0;

	if (!buf)
		return -ENOMEM;
	got = pipe_peek_begin(in, buf, n < BOUNCE_SIZE ? n : BOUNCE_SIZE, nonblock);
	if (got > 0) {
		put = write_some(out, buf, (size_t)got);
		pipe_peek_end(in, put > 0 ? (size_t)put : 0);
		got = put;
	}
	if (put > 0)
		out->at += (uint64_t)put;
	bounce_put(buf);
	return got;
}

static long other_to_pipe(struct place *in, struct ofd *out, size_t n, bool nonblock)
{
	uint8_t *buf;
	struct uio u;
	long room, r;

	room = pipe_wait_room(out, nonblock);
	if (room < 0)
		return room;
	if (n > (size_t)room)
		n = (size_t)room;
	if (n > BOUNCE_SIZE)
		n = BOUNCE_SIZE;
	buf = bounce_get();
	if (!buf)
		return -ENOMEM;
	r = read_some(in, buf, n);
	if (r > 0) {
		/* Waits if another writer took the room meanwhile. */
		uio_init(&u, buf, (size_t)r);
		r = pipe_write(out, &u, false);
	}
	if (r > 0)
		in->at += (uint64_t)r;
	bounce_put(buf);
	return r;
}

static bool is_pipe(const struct ofd *o)
{
	return o->ops->kind == OFD_PIPE;
}

static long splice_pipes(struct ofd *in, struct ofd *out, size_t n, bool nonblock)
{
	struct place to = {.o = out};
	long room;

	if (pipe_same(in, out))
		return -EINVAL;
	room = pipe_wait_room(out, nonblock);
	if (room < 0)
		return room;
	return pipe_to_other(in, &to, n < (size_t)room ? n : (size_t)room, nonblock);
}

static long splice_check(const struct ofd *in, const struct ofd *out, unsigned flags)
{
	if (flags & ~F_ALL)
		return -EINVAL;
	if ((in->flags & ABI_ACCMODE) == O_WRONLY ||
	    (out->flags & ABI_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (!is_pipe(in) && !is_pipe(out))
		return -EINVAL;
	if ((out->flags & O_APPEND) || !in->ops->read || !out->ops->write)
		return -EINVAL;
	return 0;
}

static long splice_fds(struct ofd *in, void *in_off, struct ofd *out, void *out_off,
                       size_t n, unsigned flags)
{
	bool nonblock = (flags & F_NONBLOCK) != 0;
	struct place p;
	long r = splice_check(in, out, flags);

	if (r < 0)
		return r;
	if ((is_pipe(in) && in_off) || (is_pipe(out) && out_off))
		return -ESPIPE;
	if (is_pipe(in) && is_pipe(out))
		return splice_pipes(in, out, n,
		                    nonblock || ofd_nonblock(in) || ofd_nonblock(out));
	if (is_pipe(in)) {
		r = place_init(&p, out, out_off);
		if (r == 0)
			r = pipe_to_other(in, &p, n, nonblock || ofd_nonblock(in));
		return out_off ? place_fini(&p, r) : r;
	}
	r = place_init(&p, in, in_off);
	if (r == 0)
		r = other_to_pipe(&p, out, n, nonblock || ofd_nonblock(out));
	return place_fini(&p, r);
}

SYSCALL(splice, long in_fd, void *in_off, long out_fd, void *out_off, long n,
        long flags)
{
	struct ofd *in = ofd_get_io((int)in_fd), *out = ofd_get_io((int)out_fd);
	long r = -EBADF;

	if (n == 0)
		r = 0;
	else if (in && out)
		r = splice_fds(in, in_off, out, out_off, (size_t)n, (unsigned)flags);
	if (in)
		ofd_put(in);
	if (out)
		ofd_put(out);
	return r;
}

static long tee_fds(struct ofd *in, struct ofd *out, size_t n, bool nonblock)
{
	uint8_t *buf;
	long room, r;
	struct uio u;

	if (!is_pipe(in) || !is_pipe(out) || pipe_same(in, out))
		return -EINVAL;
	room = pipe_wait_room(out, nonblock);
	if (room < 0)
		return room;
	if (n > (size_t)room)
		n = (size_t)room;
	buf = bounce_get();
	if (!buf)
		return -ENOMEM;
	r = pipe_peek_begin(in, buf, n < BOUNCE_SIZE ? n : BOUNCE_SIZE, nonblock);
	if (r > 0) {
		pipe_peek_end(in, 0);
		uio_init(&u, buf, (size_t)r);
		r = pipe_write(out, &u, nonblock);
	}
	bounce_put(buf);
	return r;
}

SYSCALL(tee, long in_fd, long out_fd, long n, long flags)
{
	struct ofd *in = ofd_get_io((int)in_fd), *out = ofd_get_io((int)out_fd);
	long r = -EBADF;

	if ((unsigned)flags & ~F_ALL)
		r = -EINVAL;
	else if (n == 0)
		r = 0;
	else if (in && out && (in->flags & ABI_ACCMODE) != O_WRONLY &&
	         (out->flags & ABI_ACCMODE) != O_RDONLY)
		r = tee_fds(in, out, (size_t)n,
		            ((unsigned)flags & F_NONBLOCK) || ofd_nonblock(in) ||
		                    ofd_nonblock(out));
	if (in)
		ofd_put(in);
	if (out)
		ofd_put(out);
	return r;
}

SYSCALL(vmsplice, long fd, const void *iov, long n, long flags)
{
	bool nonblock = ((unsigned)flags & F_NONBLOCK) != 0;
	struct ofd *o;
	struct io_vec v;
	long r;

	if ((unsigned)flags & ~F_ALL)
		return -EINVAL;
	o = ofd_get_io((int)fd);
	if (!o)
		return -EBADF;
	r = is_pipe(o) ? io_vec_get(&v, iov, n) : -EBADF;
	if (r == 0) {
		nonblock = nonblock || ofd_nonblock(o);
		if ((o->flags & ABI_ACCMODE) != O_RDONLY)
			r = pipe_write(o, &v.u, nonblock);
		else
			r = pipe_read(o, &v.u, nonblock);
		io_vec_put(&v);
	}
	ofd_put(o);
	return r;
}
