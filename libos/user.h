/* SPDX-License-Identifier: MIT */
/*
 * user.h - the only way that libos touches program memory.
 *
 * A bad pointer gives -EFAULT (fault fix-up in the platform), also when another
 * thread does the copying.  The layer checker refuses casts of user pointers
 * elsewhere.
 *
 * Layer:    libos.
 * Locking:  none; a lock of libos may be held (a fault never sleeps).
 */
#ifndef LIBOS_USER_H
#define LIBOS_USER_H

#include "platform/platform.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define USER_IOV_MAX 1024

/* 0 or -EFAULT (@to partly written). */
int user_copy_in(void *to, const void *user_from, size_t n)
	__attribute__((warn_unused_result));
int user_copy_out(void *user_to, const void *from, size_t n)
	__attribute__((warn_unused_result));

/* Copy a NUL-terminated string of at most @cap bytes with its NUL.  Returns its
 * length, -ENAMETOOLONG, or -EFAULT. */
long user_copy_str(char *to, const char *user_from, size_t cap)
	__attribute__((warn_unused_result));

/* A scattered program buffer.  The vector itself is never changed, so that what was
 * moved can be moved again. */
struct uio {
	struct iovec *iov; /* kernel-side copy of the vector, from the front piece on */
	unsigned n;
	size_t skip;       /* bytes of the front piece that were moved */
	size_t len;        /* bytes in all */
	size_t done;       /* bytes moved so far, from the front */
	struct iovec one;  /* storage for a single piece */
	bool append;       /* RWF_APPEND: to a file's end, wherever it is opened for */
};

/* A single buffer. */
void uio_init(struct uio *u, void *buf, size_t len);
/* Import an iovec array into @store (room for @cap): -EINVAL for a bad count or
 * total over SSIZE_MAX, -EFAULT. */
int uio_import(struct uio *u, const struct iovec *user_iov, long n, struct iovec *store,
               unsigned cap) __attribute__((warn_unused_result));
size_t uio_left(const struct uio *u);
/* Move @n bytes between @buf and the front of the buffer, advancing it.  Returns
 * the bytes moved; fewer than asked only at a bad address or the end. */
size_t uio_out(struct uio *u, const void *buf, size_t n); /* to the program */
size_t uio_in(struct uio *u, void *buf, size_t n);        /* from the program */
size_t uio_out_zero(struct uio *u, size_t n);
/* The front piece's part that is left: bytes at *@at, 0 at the end. */
size_t uio_front(struct uio *u, void **at);
/* As if @n bytes had been moved, or the last @n of those that were had not been. */
void uio_skip(struct uio *u, size_t n);
void uio_back(struct uio *u, size_t n);

#endif /* LIBOS_USER_H */
