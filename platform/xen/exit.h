/* SPDX-License-Identifier: MIT */
/*
 * exit.h - the ways in which a guest ends, for the files of platform/xen.
 *
 * Layer:  platform/xen only.
 */
#ifndef PLATFORM_XEN_EXIT_H
#define PLATFORM_XEN_EXIT_H

/* The guest ends as crashed, its state node says why.  Works in any state. */
_Noreturn void exit_crash(const char *what);
/* data/strait/state = running. */
void exit_say_running(void);
/* Obey control/shutdown.  The keeper's. */
void exit_watch_orders(void);

#endif /* PLATFORM_XEN_EXIT_H */
