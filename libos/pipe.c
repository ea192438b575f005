/* SPDX-License-Identifier: MIT */
/*
 * pipe.c - pipes: the ring and its operations; FIFOs (fifo.c) are pipes too.
 *
 * A pipe is a ring of bytes and its ends, each a description: pipe() makes two
 * inside the pipe itself, FIFOs get one for every open.  With O_DIRECT (packet
 * mode, fixed when the pipe is made) the ring holds records: a 16-bit length, then
 * the bytes.
 *
 * Locking: p->lock guards all of a pipe but its ends' ofd; it is a leaf but for the
 * wait queues of FIFO ends.  Threads are unparked after it was dropped, so that they
 * find it free.
 *
 * 1. `head` and `tail` only grow; head - tail bytes are in the ring.
 * 2. A write of at most PIPE_BUF bytes goes in whole or not at all.
 * 3. Writers are woken when PIPE_BUF bytes are free, so a reader that empties the
 *    pipe byte by byte does not wake them each time; an empty pipe always is.
 * 4. While `peeking` a splice holds the front: other readers wait.
 */
#include "libos/pipe.h"

#include "libos/abi.h"
#include "libos/pipeobj.h"
#include "libos/pool.h"
#include "libos/signal.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PIPE_SIZE_DEFAULT 65536u
#define PIPE_SIZE_MIN 4096u
#define PIPE_SIZE_MAX (1u << 20)
#define PIPES_MAX 16384u
#define PACKET_HEADER 2u
#define PIPE_DEV 13u

struct pipe_buf {
	uint8_t data[PIPE_SIZE_DEFAULT];
};

static struct pool g_pipes = POOL_INIT(struct pipe, PIPES_MAX);
static struct pool g_pipe_bufs = POOL_INIT(struct pipe_buf, PIPES_MAX);
static _Atomic uint64_t g_pipe_ino = 1;

static struct pipe *pipe_of(struct ofd *o)
{
	return ((struct pipe_end *)o)->pipe;
}

/* ---- the ring; all under p->lock ---- */

static uint32_t used_locked(const struct pipe *p)
{
	return (uint32_t)(p->head - p->tail);
}

static uint32_t room_locked(const struct pipe *p)
{
	return p->size - used_locked(p);
}

/* Append up to @n bytes, which fit; fewer at a bad address. */
static size_t ring_put_locked(struct pipe *p, struct uio *u, size_t n)
{
	uint32_t at = (uint32_t)p->head & (p->size - 1);
	size_t first = n < p->size - at ? n : p->size - at;
	size_t moved = uio_in(u, p->buf + at, first);

	if (moved == first && n > first)
		moved += uio_in(u, p->buf, n - first);
	p->head += moved;
	return moved;
}

/* Copy @n bytes from @skip behind the front; they stay. */
static size_t ring_look_locked(const struct pipe *p, struct uio *u, uint32_t skip,
                               size_t n)
{
	uint32_t at = (uint32_t)(p->tail + skip) & (p->size - 1);
	size_t first = n < p->size - at ? n : p->size - at;
	size_t moved = uio_out(u, p->buf + at, first);

	if (moved == first && n > first)
		moved += uio_out(u, p->buf, n - first);
	return moved;
}

static uint32_t packet_len_locked(const struct pipe *p)
{
	uint32_t mask = p->size - 1;

	return p->buf[p->tail & mask] | (uint32_t)p->buf[(p->tail + 1) & mask] << 8;
}

static void packet_header_locked(struct pipe *p, size_t len)
{
	uint32_t mask = p->size - 1;

	p->buf[p->head & mask] = (uint8_t)len;
	p->buf[(p->head + 1) & mask] = (uint8_t)(len >> 8);
	p->head += PACKET_HEADER;
}

/* ---- telling the other side ---- */

static void wake_fifo(struct pipe *p, bool readers, uint32_t events)
{
	struct wake_list wakes;

	wakes.n = 0;
	lock_take(&p->lock);
	for (struct pipe_end *e = p->fifo_ends; e; e = e->next) {
		if (readers ? pipe_may_read(&e->ofd) : pipe_may_write(&e->ofd))
			waitq_collect(&e->ofd.wait, events, &wakes);
	}
	lock_drop(&p->lock);
	wake_list_unpark(&wakes);
}

static void wake_readers(struct pipe *p, uint32_t events)
{
	if (p->fifo)
		wake_fifo(p, true, events);
	else
		waitq_wake(&p->ends[0].ofd.wait, events);
}

static void wake_writers(struct pipe *p, uint32_t events)
{
	if (p->fifo)
		wake_fifo(p, false, events);
	else
		waitq_wake(&p->ends[1].ofd.wait, events);
}

/* ---- writing ---- */

struct pipe_want {
	struct pipe *p;
	size_t room; /* writing: bytes that must be free */
};

static long can_write(void *arg)
{
	struct pipe_want *w = arg;
	long r;

	lock_take(&w->p->lock);
	r = w->p->readers == 0 || room_locked(w->p) >= w->room;
	lock_drop(&w->p->lock);
	return r;
}

/* What the next piece of @left bytes, @whole of the call, needs and takes. */
static size_t piece_room(const struct pipe *p, size_t left, size_t whole, size_t *take)
{
	*take = left;
	if (p->packet) {
		*take = left < PIPE_BUF ? left : PIPE_BUF;
		return *take + PACKET_HEADER;
	}
	return whole <= PIPE_BUF ? whole : 1;
}

/* One piece: bytes written, 0 when there is no room, -EPIPE, -EFAULT. */
static long write_piece(struct pipe *p, struct uio *u, size_t room, size_t take)
{
	long r = 0;

	lock_take(&p->lock);
	if (p->readers == 0) {
		r = -EPIPE;
	} else if (room_locked(p) >= room) {
		uint64_t head = p->head;
		size_t moved;

		if (p->packet)
			packet_header_locked(p, take);
		else if (take > room_locked(p))
			take = room_locked(p);
		moved = ring_put_locked(p, u, take);
		if (p->packet && moved < take)
			p->head = head; /* no half packets */
		r = p->head == head ? -EFAULT : (long)moved;
	}
	lock_drop(&p->lock);
	return r;
}

long pipe_write(struct ofd *o, struct uio *u, bool nonblock)
{
	struct pipe *p = pipe_of(o);
	size_t whole = uio_left(u), done = 0;
	long r = 0;

	while (done < whole) {
		struct pipe_want w = {.p = p};
		size_t take;

		w.room = piece_room(p, whole - done, whole, &take);
		r = write_piece(p, u, w.room, take);
		if (r > 0) {
			done += (size_t)r;
			wake_readers(p, EPOLLIN);
			continue;
		}
		if (r == 0 && nonblock)
			r = -EAGAIN;
		else if (r == 0)
			r = wait_until(&o->wait, EPOLLOUT, can_write, &w,
			               PLAT_NO_DEADLINE, PARK_INTR);
		if (r < 0)
			break;
	}
	if (r == -EPIPE)
		signal_send_self(SIGPIPE);
	return done > 0 || whole == 0 ? (long)done : r;
}

static long op_write(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	(void)pos;
	return pipe_write(o, u, ofd_nonblock(o));
}

/* ---- reading ---- */

static long can_read(void *arg)
{
	struct pipe *p = arg;
	long r;

	lock_take(&p->lock);
	r = !p->peeking && (p->writers == 0 || used_locked(p) > 0);
	lock_drop(&p->lock);
	return r;
}

static long take_packet_locked(struct pipe *p, struct uio *u)
{
	uint32_t len = packet_len_locked(p);
	size_t n = len < uio_left(u) ? len : uio_left(u);
	size_t moved = ring_look_locked(p, u, PACKET_HEADER, n);

	if (moved < n)
		return -EFAULT;
	p->tail += PACKET_HEADER + len; /* what did not fit is lost */
	return (long)moved;
}

static long take_bytes_locked(struct pipe *p, struct uio *u)
{
	size_t n = used_locked(p) < uio_left(u) ? used_locked(p) : uio_left(u);
	size_t moved = ring_look_locked(p, u, 0, n);

	p->tail += moved;
	return moved == 0 ? -EFAULT : (long)moved;
}

/* Bytes taken; 0: the end; -EAGAIN: nothing there; -EFAULT. */
static long read_now(struct pipe *p, struct uio *u)
{
	bool space = false;
	long r;

	lock_take(&p->lock);
	if (p->peeking || (used_locked(p) == 0 && p->writers > 0)) {
		r = -EAGAIN;
	} else if (used_locked(p) == 0) {
		r = 0;
	} else {
		r = p->packet ? take_packet_locked(p, u) : take_bytes_locked(p, u);
		space = room_locked(p) >= PIPE_BUF;
	}
	lock_drop(&p->lock);
	if (space)
		wake_writers(p, EPOLLOUT);
	return r;
}

long pipe_read(struct ofd *o, struct uio *u, bool nonblock)
{
	struct pipe *p = pipe_of(o);

	if (uio_left(u) == 0)
		return 0;
	for (;;) {
		long r = read_now(p, u);

		if (r != -EAGAIN || nonblock)
			return r;
		r = wait_until(&o->wait, EPOLLIN, can_read, p, PLAT_NO_DEADLINE,
		               PARK_INTR);
		if (r < 0)
			return r;
	}
}

static long op_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	(void)pos;
	return pipe_read(o, u, ofd_nonblock(o));
}

/* ---- splice ---- */

long pipe_peek_begin(struct ofd *o, void *to, size_t n, bool nonblock)
{
	struct pipe *p = pipe_of(o);

	for (;;) {
		long r = -EAGAIN;

		lock_take(&p->lock);
		if (p->packet) {
			r = -EINVAL;
		} else if (!p->peeking && used_locked(p) > 0) {
			struct uio u;

			if (n > used_locked(p))
				n = used_locked(p);
			uio_init(&u, to, n);
			r = (long)ring_look_locked(p, &u, 0, n);
			p->peeking = r > 0;
		} else if (!p->peeking && p->writers == 0) {
			r = 0;
		}
		lock_drop(&p->lock);
		if (r != -EAGAIN || nonblock)
			return r;
		r = wait_until(&o->wait, EPOLLIN, can_read, p, PLAT_NO_DEADLINE,
		               PARK_INTR);
		if (r < 0)
			return r;
	}
}

void pipe_peek_end(struct ofd *o, size_t n)
{
	struct pipe *p = pipe_of(o);
	bool space;

	lock_take(&p->lock);
	p->tail += n;
	p->peeking = false;
	space = room_locked(p) >= PIPE_BUF;
	lock_drop(&p->lock);
	wake_readers(p, EPOLLIN); /* those that the peek kept waiting */
	if (space)
		wake_writers(p, EPOLLOUT);
}

long pipe_wait_room(struct ofd *o, bool nonblock)
{
	struct pipe *p = pipe_of(o);
	struct pipe_want w = {.p = p, .room = 1};

	for (;;) {
		long r;

		lock_take(&p->lock);
		r = p->readers == 0 ? -EPIPE : (long)room_locked(p);
		lock_drop(&p->lock);
		if (r == -EPIPE)
			signal_send_self(SIGPIPE);
		if (r != 0)
			return r;
		if (nonblock)
			return -EAGAIN;
		r = wait_until(&o->wait, EPOLLOUT, can_write, &w, PLAT_NO_DEADLINE,
		               PARK_INTR);
		if (r < 0)
			return r;
	}
}

/* ---- the other operations ---- */

static uint32_t op_poll(struct ofd *o)
{
	struct pipe_end *e = (struct pipe_end *)o;
	struct pipe *p = e->pipe;
	uint32_t ev = 0;

	lock_take(&p->lock);
	if (pipe_may_read(o)) {
		if (used_locked(p) > 0)
			ev |= EPOLLIN;
		if (p->writers == 0 && (!p->fifo || p->w_opens != e->writers_seen))
			ev |= EPOLLHUP;
	}
	if (pipe_may_write(o)) {
		if (room_locked(p) >= PIPE_BUF)
			ev |= EPOLLOUT;
		if (p->readers == 0)
			ev |= EPOLLERR;
	}
	lock_drop(&p->lock);
	return ev;
}

static long op_ioctl(struct ofd *o, unsigned long req, void *user_arg)
{
	struct pipe *p = pipe_of(o);
	int n;

	if (req != FIONREAD)
		return -ENOTTY;
	lock_take(&p->lock);
	n = (int)used_locked(p);
	lock_drop(&p->lock);
	return user_copy_out(user_arg, &n, sizeof(n));
}

static long op_stat(struct ofd *o, struct kstat *st)
{
	const struct pipe *p = pipe_of(o);

	*st = (struct kstat){.st_dev = p->dev,
	                     .st_ino = p->ino,
	                     .st_nlink = 1,
	                     .st_mode = S_IFIFO | 0600,
	                     .st_uid = g_config.uid,
	                     .st_gid = g_config.gid,
	                     .st_blksize = 4096,
	                     .st_atime_sec = p->made_sec,
	                     .st_mtime_sec = p->made_sec,
	                     .st_ctime_sec = p->made_sec};
	return 0;
}

/* Packet mode is fixed when the pipe is made. */
static long op_set_flags(struct ofd *o, uint32_t flags)
{
	return (flags ^ o->flags) & (uint32_t)O_DIRECT ? -EINVAL : 0;
}

bool pipe_same(struct ofd *a, struct ofd *b)
{
	return pipe_of(a) == pipe_of(b);
}

long pipe_get_size(struct ofd *o)
{
	struct pipe *p;
	long r;

	if (o->ops != &g_pipe_ops)
		return -EBADF;
	p = pipe_of(o);
	lock_take(&p->lock);
	r = (long)p->size;
	lock_drop(&p->lock);
	return r;
}

static uint8_t *buf_get(uint32_t size)
{
	long r;

	if (size == PIPE_SIZE_DEFAULT)
		return pool_get_dirty(&g_pipe_bufs);
	r = plat_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	return r < 0 && r > -4096 ? NULL : (uint8_t *)r;
}

static void buf_put(uint8_t *buf, uint32_t size)
{
	if (size == PIPE_SIZE_DEFAULT)
		pool_put(&g_pipe_bufs, buf);
	else
		(void)plat_munmap(buf, size); /* our own mapping */
}

/* Move what is in the ring to @buf of @size; the old ring is returned. */
static uint8_t *resize_locked(struct pipe *p, uint8_t *buf, uint32_t size)
{
	uint32_t n = used_locked(p);
	uint8_t *old = p->buf;

	for (uint32_t i = 0; i < n; i++)
		buf[i] = old[(p->tail + i) & (p->size - 1)];
	p->tail = 0;
	p->head = n;
	p->buf = buf;
	p->size = size;
	return old;
}

long pipe_set_size(struct ofd *o, size_t want)
{
	uint32_t size = PIPE_SIZE_MIN, old_size;
	struct pipe *p;
	uint8_t *buf;

	if (o->ops != &g_pipe_ops)
		return -EBADF;
	if (want > (1u << 31))
		return -EINVAL;
	if (want > PIPE_SIZE_MAX)
		return -EPERM;
	p = pipe_of(o);
	if (p->packet)
		size *= 2; /* room for a whole packet with its header */
	while (size < want)
		size *= 2;
	buf = buf_get(size);
	if (!buf)
		return -ENOMEM;
	lock_take(&p->lock);
	old_size = p->size;
	if (size < used_locked(p) || p->peeking) {
		lock_drop(&p->lock);
		buf_put(buf, size);
		return -EBUSY;
	}
	buf = resize_locked(p, buf, size);
	lock_drop(&p->lock);
	buf_put(buf, old_size);
	wake_writers(p, EPOLLOUT);
	return size;
}

/* ---- life ---- */

void pipe_free(struct pipe *p)
{
	buf_put(p->buf, p->size);
	pool_put(&g_pipes, p);
}

struct pipe *pipe_new(bool packet)
{
	struct pipe *p = pool_get(&g_pipes);

	if (!p)
		return NULL;
	p->size = PIPE_SIZE_DEFAULT;
	p->buf = buf_get(p->size);
	if (!p->buf) {
		pool_put(&g_pipes, p);
		return NULL;
	}
	p->packet = packet;
	p->dev = PIPE_DEV;
	p->ino = atomic_fetch_add_explicit(&g_pipe_ino, 1, memory_order_relaxed);
	p->made_sec = (int64_t)(plat_real_ns() / 1000000000u);
	return p;
}

void pipe_drop(struct pipe *p)
{
	bool last;

	lock_take(&p->lock);
	last = --p->n_ends == 0;
	lock_drop(&p->lock);
	if (last)
		pipe_free(p);
}

static void op_release(struct ofd *o)
{
	struct pipe_end *e = (struct pipe_end *)o;
	struct pipe *p = e->pipe;
	bool readers_left, writers_left;

	lock_take(&p->lock);
	if (pipe_may_read(o))
		p->readers--;
	if (pipe_may_write(o))
		p->writers--;
	readers_left = p->readers > 0;
	writers_left = p->writers > 0;
	if (p->fifo) {
		*e->pprev = e->next;
		if (e->next)
			e->next->pprev = e->pprev;
	}
	lock_drop(&p->lock);
	if (!readers_left)
		wake_writers(p, EPOLLOUT | EPOLLERR);
	if (!writers_left)
		wake_readers(p, EPOLLIN | EPOLLHUP);
	if (p->fifo)
		fifo_end_drop(e);
	else
		pipe_drop(p);
}

const struct ofd_ops g_pipe_ops = {
        .kind = OFD_PIPE,
        .read = op_read,
        .write = op_write,
        .poll = op_poll,
        .ioctl = op_ioctl,
        .stat = op_stat,
        .set_flags = op_set_flags,
        .release = op_release,
        .pollable = true,
};

static long pipe_make(int *user_fds, uint32_t flags)
{
	bool cloexec = (flags & (uint32_t)O_CLOEXEC) != 0;
	uint32_t keep = flags & (uint32_t)(O_NONBLOCK | O_DIRECT);
	struct pipe *p;
	int fds[2];

	if (flags & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	p = pipe_new((flags & (uint32_t)O_DIRECT) != 0);
	if (!p)
		return -ENFILE;
	p->n_ends = 2;
	p->readers = p->writers = 1;
	p->ends[0].pipe = p->ends[1].pipe = p;
	ofd_init(&p->ends[0].ofd, &g_pipe_ops, O_RDONLY | keep);
	ofd_init(&p->ends[1].ofd, &g_pipe_ops, O_WRONLY | keep);
	fds[0] = fd_install(&p->ends[0].ofd, 0, cloexec);
	if (fds[0] < 0) {
		ofd_put(&p->ends[0].ofd);
		ofd_put(&p->ends[1].ofd);
		return fds[0];
	}
	fds[1] = fd_install(&p->ends[1].ofd, 0, cloexec);
	if (fds[1] < 0) {
		ofd_put(&p->ends[1].ofd);
		(void)fd_close(fds[0]);
		return fds[1];
	}
	if (user_copy_out(user_fds, fds, sizeof(fds)) != 0) {
		(void)fd_close(fds[0]);
		(void)fd_close(fds[1]);
		return -EFAULT;
	}
	return 0;
}

SYSCALL(pipe, void *user_fds)
{
	return pipe_make(user_fds, 0);
}

SYSCALL(pipe2, void *user_fds, long flags)
{
	return pipe_make(user_fds, (uint32_t)flags);
}
