/* SPDX-License-Identifier: MIT */
/*
 * console.h - descriptors 0, 1 and 2, and /dev/tty and /dev/console.
 *
 * Layer:     libos.
 * Ownership: console_open() gives a reference.
 * Locking:   thread-safe; one leaf lock over the list of console descriptions.
 * Errors:    0 or a negative errno.
 */
#ifndef LIBOS_CONSOLE_H
#define LIBOS_CONSOLE_H

#include "libos/ofd.h"

/* Open descriptors 0, 1 and 2: once, at start, before the program runs. */
void console_init(void);

/* Input came (plat_console_fired() said so): wake who waits for it.  Called by the
 * thread that the doorbell woke; takes leaf locks only. */
void console_fired(void);

/* A new description of the terminal.  @stream: where writes go, PLAT_CONSOLE_OUT or
 * PLAT_CONSOLE_ERR. */
long console_open(int stream, int flags, struct ofd **out);

/* Is this stream a terminal? */
bool console_is_tty(int stream);

/* For /proc/self/fd/N: a name. */
const char *console_name(const struct ofd *o);

#endif /* LIBOS_CONSOLE_H */
