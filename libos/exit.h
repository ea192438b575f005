/* SPDX-License-Identifier: MIT */
/*
 * exit.h - the end of the guest.
 *
 * Layer:  libos.
 */
#ifndef LIBOS_EXIT_H
#define LIBOS_EXIT_H

/* Write back what is dirty, end the sessions, and stop.  @sig: 0, or the signal
 * that ends the guest.  The first caller does it; later ones wait for the end. */
_Noreturn void guest_exit(int code, int sig);

/* The signal that guest_exit() is ending the guest for, or 0. */
int guest_exit_signal(void);

#endif /* LIBOS_EXIT_H */
