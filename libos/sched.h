/* SPDX-License-Identifier: MIT */
/*
 * sched.h - scheduling attributes of threads: what the calls keep and show.
 *
 * Layer:   libos.
 * Locking: another thread's fields are reached under g_thread_lock.
 */
#ifndef LIBOS_SCHED_H
#define LIBOS_SCHED_H

#include "libos/thread.h"

#include <stdint.h>

void sched_thread_init(struct thread *child, const struct thread *parent);
/* The guest's CPUs as a set; at most 64. */
uint64_t sched_all_cpus(void);

#endif /* LIBOS_SCHED_H */
