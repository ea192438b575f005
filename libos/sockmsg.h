/* SPDX-License-Identifier: MIT */
/*
 * sockmsg.h - what socket.c and sockmsg.c share.
 *
 * Layer:   libos.
 * Errors:  0 or a negative errno.
 */
#ifndef LIBOS_SOCKMSG_H
#define LIBOS_SOCKMSG_H

#include "libos/socket.h"

/* The socket behind @fd, with a reference: -EBADF, -ENOTSOCK. */
long sock_get(long fd, struct sock **out);

/* Names between the program and libos; @user_len points to an int. */
long sock_name_in(struct sock_name *name, const void *user, long len);
long sock_name_out(const struct sock_name *name, void *user, void *user_len);

#endif /* LIBOS_SOCKMSG_H */
