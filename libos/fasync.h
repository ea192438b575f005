/* SPDX-License-Identifier: MIT */
/*
 * fasync.h - O_ASYNC: a signal when a description becomes ready.
 *
 * Layer:     libos.
 * Ownership: the description owns its entry until fasync_drop().
 * Locking:   one lock over switching on and off; the signal is sent under the
 *            description's wait queue's lock.
 * Errors:    0 or a negative errno.
 */
#ifndef LIBOS_FASYNC_H
#define LIBOS_FASYNC_H

#include "libos/ofd.h"

/* Kinds that have it: pipes, sockets, the console. */
bool fasync_possible(const struct ofd *o);
/* On or off; @fd is what si_fd says.  o->flags follow.  -ENOMEM. */
long fasync_set(struct ofd *o, int fd, bool on);
/* The last reference went. */
void fasync_drop(struct ofd *o);

#endif /* LIBOS_FASYNC_H */
