/* SPDX-License-Identifier: MIT */
/*
 * process.h - the one process of a guest: ids, and what threads inherit.
 *
 * Layer:   libos.
 * Locking: none of its own; process_knows() takes the thread list's lock.
 */
#ifndef LIBOS_PROCESS_H
#define LIBOS_PROCESS_H

#include "libos/thread.h"
#include "platform/context.h"

#include <stdbool.h>
#include <stdint.h>

/* Not 1: killpg(1) would be kill(-1), and pid 1 makes some programs act as init. */
#define PROCESS_PID 2u

/* Once, before program code: the initial identity and so on; self() is set. */
void process_init(void);
/* A new thread inherits identity, scheduling and name; it gives them back. */
void process_thread_init(struct thread *child, const struct thread *parent);
void process_thread_exit(struct thread *t);

/* The calling thread as the sender of @sig: SI_USER, SI_TKILL. */
void process_fill_user_info(struct siginfo_x86 *info, int sig, int code);

/* 0, the process's id, or a live thread's. */
bool process_knows(int32_t pid);

/* PR_SET_NO_NEW_PRIVS (prctl.c). */
unsigned process_no_new_privs(void);

#endif /* LIBOS_PROCESS_H */
