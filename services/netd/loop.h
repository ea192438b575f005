/* SPDX-License-Identifier: MIT */
/*
 * loop.h - netd's one event loop.
 *
 * Layer:   services/netd.
 * Locking: none; netd has one thread.
 */
#ifndef NETD_LOOP_H
#define NETD_LOOP_H

#include <stdbool.h>

/* Serve until the supervisor says shutdown or goes away.  Returns the exit status. */
int loop_run(int control_fd, bool sandboxed);

/* ---- sandbox.c ---- */
/* No new privileges, no capabilities, and only the calls of the list.  The host
 * stack needs sockets, the lwip stack none.  0 or negative errno. */
int sandbox_enter(bool host_stack);

#endif /* NETD_LOOP_H */
