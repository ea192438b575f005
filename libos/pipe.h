/* SPDX-License-Identifier: MIT */
/*
 * pipe.h - what fcntl and splice ask of pipes beyond struct ofd_ops.
 *
 * Layer:   libos.
 * Locking: thread-safe; call without locks.
 * Errors:  0 or a value >= 0 on success, a negative errno on failure.
 */
#ifndef LIBOS_PIPE_H
#define LIBOS_PIPE_H

#include "libos/ofd.h"

bool pipe_same(struct ofd *a, struct ofd *b); /* ends of one pipe */
long pipe_get_size(struct ofd *o);
long pipe_set_size(struct ofd *o, size_t want); /* -EBUSY, -EPERM, -ENOMEM */

/* read and write with O_NONBLOCK given by the call (splice, vmsplice). */
long pipe_read(struct ofd *o, struct uio *u, bool nonblock);
long pipe_write(struct ofd *o, struct uio *u, bool nonblock);

/* Look at up to @n bytes at the front without taking them, waiting for the first
 * one unless @nonblock.  Other readers wait until pipe_peek_end() took @n of them.
 * Returns bytes copied to @to; 0: no writer is left (no end needed then). */
long pipe_peek_begin(struct ofd *o, void *to, size_t n, bool nonblock);
void pipe_peek_end(struct ofd *o, size_t n);
/* Wait until something can be written: bytes of room, -EAGAIN, -EPIPE. */
long pipe_wait_room(struct ofd *o, bool nonblock);

#endif /* LIBOS_PIPE_H */
