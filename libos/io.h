/* SPDX-License-Identifier: MIT */
/*
 * io.h - helpers shared by the calls that move data.
 *
 * Layer:     libos.
 * Ownership: what io_vec_get() and bounce_get() give goes back with their _put.
 * Memory:    a few pieces on the caller's stack; long vectors and bounce buffers
 *            come from pools.
 * Errors:    0 or a negative errno.
 */
#ifndef LIBOS_IO_H
#define LIBOS_IO_H

#include "libos/ofd.h"
#include "libos/user.h"

#define IO_RW_MAX 0x7ffff000u /* as Linux: more is cut, not refused */
#define IO_VEC_SMALL 8u

/* An imported vector. */
struct io_vec {
	struct uio u;
	struct iovec small[IO_VEC_SMALL];
	struct iovec *big; /* from a pool, or NULL */
};
int io_vec_get(struct io_vec *v, const void *user_iov, long n)
        __attribute__((warn_unused_result));
void io_vec_put(struct io_vec *v);

/* A buffer for data that goes from one description to another. */
#define BOUNCE_SIZE 65536u
uint8_t *bounce_get(void) __attribute__((warn_unused_result)); /* NULL: too many */
void bounce_put(uint8_t *b);

/* The operations with the checks of read(2) and write(2): access mode, missing
 * operation.  @pos as in struct ofd_ops. */
long io_read(struct ofd *o, struct uio *u, const uint64_t *pos);
long io_write(struct ofd *o, struct uio *u, const uint64_t *pos);

/* The file client provides: copy inside fsd.  Both are OFD_FILE; the offsets are
 * given.  -EXDEV, -EOPNOTSUPP: copy by reading and writing. */
long file_copy_range(struct ofd *in, uint64_t in_off, struct ofd *out, uint64_t out_off,
                     size_t len);

#endif /* LIBOS_IO_H */
