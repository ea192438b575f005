/* SPDX-License-Identifier: MIT */
/*
 * epoll.h - what the rest of libos must tell epoll.
 *
 * Layer:    libos.
 * Locking:  takes g_epoll_lock, then an epoll's lock; call without locks.
 */
#ifndef LIBOS_EPOLL_H
#define LIBOS_EPOLL_H

#include "libos/ofd.h"

/* The last reference to @o went: drop it from every interest list. */
void epoll_forget(struct ofd *o);

#endif /* LIBOS_EPOLL_H */
