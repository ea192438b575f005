/* SPDX-License-Identifier: MIT */
/*
 * file_read.c - reading files of fsd.
 *
 * A large read has several frames in flight.  They come back in any order into
 * their own places of program memory; what counts is the part without a gap.
 */
#include "libos/file.h"
#include "libos/filemap.h"

#include <errno.h>
#include <fcntl.h>

#define FILE_METHOD_READ 3u
#define READ_DEPTH 4u
#define READ_DEEP_MIN ((size_t)2 * RPC_PAYLOAD_MAX)
#define OFFSET_MAX INT64_MAX

/* ---- one frame ---- */

/* One piece of at most a frame: bytes read, or an error. */
static long read_piece(struct file *f, struct uio *u, size_t want, uint64_t off)
{
	File__ReadReq req = FILE__READ_REQ__INIT;
	struct rpc_call call;

	rpc_call_init(&call);
	req.handle = f->handle;
	req.offset = off;
	req.count = (uint32_t)want;
	call.sink = file_sink_uio;
	call.sink_arg = u;
	call.sink_cap = (uint32_t)want;
	FILE_CALL(read, Empty, &req, &call);
	return call.err ? call.err : (long)call.payload_len;
}

/* ---- many pieces in flight ---- */

struct read_flight {
	struct rpc_call call;
	File__ReadReq req; /* may have to be sent again */
	struct uio u;
	size_t want;
};

struct read_run {
	struct file *f;
	char *base; /* one piece of program memory */
	size_t len;
	uint64_t off;
	size_t sent;       /* bytes asked for */
	size_t done;       /* bytes that came, without a gap */
	unsigned first, n; /* of the ring of flights */
	bool over;         /* the file ended, or an error */
	struct read_flight at[READ_DEPTH];
};

/* 0, or -EAGAIN: no slot or no room now. */
static int run_start(struct read_run *run)
{
	struct read_flight *fl = &run->at[(run->first + run->n) % READ_DEPTH];
	size_t left = run->len - run->sent;
	int r;

	fl->want = left < RPC_PAYLOAD_MAX ? left : RPC_PAYLOAD_MAX;
	uio_init(&fl->u, run->base + run->sent, fl->want);
	rpc_call_init(&fl->call);
	file__read_req__init(&fl->req);
	fl->req.handle = run->f->handle;
	fl->req.offset = run->off + run->sent;
	fl->req.count = (uint32_t)fl->want;
	fl->call.sink = file_sink_uio;
	fl->call.sink_arg = &fl->u;
	fl->call.sink_cap = (uint32_t)fl->want;
	r = rpc_call_start(&g_file_chan, FILE_METHOD_READ, &fl->req.base, &fl->call);
	if (r == 0) {
		run->n++;
		run->sent += fl->want;
	}
	return r;
}

/* Wait for the oldest piece.  What comes behind a short one does not count. */
static int run_finish(struct read_run *run)
{
	struct read_flight *fl = &run->at[run->first];

	rpc_call_finish(&g_file_chan, FILE_METHOD_READ, &fl->call);
	run->first = (run->first + 1) % READ_DEPTH;
	run->n--;
	if (run->over)
		return 0;
	run->done += fl->u.done;
	run->over = fl->call.err != 0 || fl->u.done < fl->want;
	return fl->call.err;
}

/* Read the front piece of @u, several frames in flight.  As read_piece(); it may
 * stop early when others took slots and room: *@full says that there is more. */
static long read_deep(struct file *f, struct uio *u, void *base, size_t want,
                      uint64_t off, bool *full)
{
	struct read_run run; /* large: its flights are set when they start */
	int err = 0, r;

	run.f = f;
	run.base = base;
	run.len = want;
	run.off = off;
	run.sent = run.done = 0;
	run.first = run.n = 0;
	run.over = false;
	for (;;) {
		r = 0;
		while (!run.over && run.n < READ_DEPTH && run.sent < run.len && r == 0)
			r = run_start(&run);
		if (run.n == 0)
			break;
		r = run_finish(&run);
		if (err == 0)
			err = r;
	}
	uio_skip(u, run.done);
	*full = !run.over;
	if (run.done > 0 || err < 0)
		return run.done > 0 ? (long)run.done : err;
	return r; /* 0: at the end; -EAGAIN: not one could be started */
}

/* One step: a frame, or a large piece of program memory.  *@full: all that was
 * asked for came. */
static long read_step(struct file *f, struct uio *u, uint64_t off, bool *full)
{
	size_t want = uio_left(u), front;
	void *at = NULL;
	long r = -EAGAIN;

	front = uio_front(u, &at);
	if (front > want)
		front = want;
	if (front >= READ_DEEP_MIN)
		r = read_deep(f, u, at, front, off, full);
	if (r == -EAGAIN) {
		want = want < RPC_PAYLOAD_MAX ? want : RPC_PAYLOAD_MAX;
		r = read_piece(f, u, want, off);
		*full = r == (long)want;
	}
	return r;
}

long file_fetch(struct file *f, struct uio *u, uint64_t off)
{
	const size_t before = u->done;
	bool full = true;
	long r = 0;

	while (full && uio_left(u) > 0) {
		uint64_t at = off + (u->done - before);

		if (at >= (uint64_t)OFFSET_MAX - RPC_PAYLOAD_MAX)
			break;
		r = read_step(f, u, at, &full);
		if (r <= 0)
			break;
	}
	/* What came before a bad address counts. */
	return u->done > before ? (long)(u->done - before) : r;
}

long file_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	struct file *f = file_of(o);
	uint64_t off;
	long r;

	if ((o->flags & ABI_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (!pos) {
		r = ofd_pos_lock(o);
		if (r < 0)
			return r;
	}
	off = pos ? *pos : o->pos;
	r = filemap_before_io(f, off, uio_left(u));
	if (r == 0)
		r = file_fetch(f, u, off);
	if (!pos) {
		if (r > 0)
			o->pos += (uint64_t)r;
		ofd_pos_unlock(o);
	}
	return r;
}
