/* SPDX-License-Identifier: MIT */
/*
 * futex.h - futexes on program memory.
 *
 * Layer:   libos.
 * Locking: the buckets' locks, leaves.
 */
#ifndef LIBOS_FUTEX_H
#define LIBOS_FUTEX_H

#include "libos/thread.h"

/* Wake up to @n waiters on @at: how many. */
long futex_wake_user(const uint32_t *at, int n);
/* A thread ends: mark the robust mutexes that it holds. */
void futex_robust_exit(struct thread *t);

#endif /* LIBOS_FUTEX_H */
