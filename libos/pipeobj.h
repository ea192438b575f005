/* SPDX-License-Identifier: MIT */
/*
 * pipeobj.h - the pipe object, for pipe.c and fifo.c.
 *
 * Layer:     libos.
 * Ownership: a pipe lives while it has ends.
 * Locking:   p->lock guards all but its ends' ofd and what is said to be constant; a
 *            leaf but for the wait queues of FIFO ends.
 */
#ifndef LIBOS_PIPEOBJ_H
#define LIBOS_PIPEOBJ_H

#include "libos/abi.h"
#include "libos/ofd.h"

#include <fcntl.h>

struct pipe_end {
	struct ofd ofd; /* first */
	struct pipe *pipe;
	struct pipe_end *next, **pprev; /* FIFO: under pipe->lock */
	uint64_t writers_seen;          /* FIFO: w_opens when opened */
};

struct pipe {
	struct pipe *next_fifo; /* under g_fifo_lock */
	struct lock lock;
	uint32_t n_ends;
	uint32_t readers, writers;
	bool packet, fifo, peeking;
	uint8_t *buf;
	uint32_t size; /* a power of two */
	uint64_t head, tail;
	uint64_t r_opens, w_opens;
	struct waitq opens; /* FIFO: who waits for the other side */
	uint64_t dev, ino;
	int64_t made_sec;
	struct pipe_end *fifo_ends;
	struct pipe_end ends[2]; /* pipe(): read, write */
};

extern const struct ofd_ops g_pipe_ops;

struct pipe *pipe_new(bool packet); /* no ends yet; NULL: too many, no memory */
void pipe_free(struct pipe *p);
void pipe_drop(struct pipe *p); /* one end fewer */
/* The last reference to a FIFO's end went: frees it, and the pipe with the last. */
void fifo_end_drop(struct pipe_end *e);

static inline bool pipe_may_read(const struct ofd *o)
{
	return (o->flags & ABI_ACCMODE) != O_WRONLY;
}

static inline bool pipe_may_write(const struct ofd *o)
{
	return (o->flags & ABI_ACCMODE) != O_RDONLY;
}

#endif /* LIBOS_PIPEOBJ_H */
