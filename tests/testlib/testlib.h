/* SPDX-License-Identifier: MIT */
/*
 * testlib.h - libos inside an ordinary glibc program: for unit tests, sanitizers
 * and fuzzers (CMake target strait_testlib, macro STRAIT_TESTLIB).
 *
 * The same sources over the same platform/linux, but: threads are pthreads,
 * self() is thread-local, strait_syscall() dispatches without an edge, there is no
 * filter, and no handler of a guest's program can run (signals stay pending;
 * waits end with -EINTR).  Program memory is the test's own.
 *
 * Layer:   libos.
 */
#ifndef TESTS_TESTLIB_H
#define TESTS_TESTLIB_H

#include "libos/thread.h"
#include "platform/platform.h"

#include <pthread.h>

/* Once, by the main thread.  @config may be NULL: no services, "/" and user 0.  The
 * doorbell, strace and log words are filled in where they are NULL. */
void testlib_start(const struct plat_config *config);

/* What plat_channel_notify(@id) does from now on. */
void testlib_on_notify(unsigned id, void (*fn)(void *arg), void *arg);

/* What plat_channel_reopen() and plat_channel_renew() do from now on; without it no
 * service comes back. */
void testlib_on_renew(int (*reopen)(unsigned id, uint64_t deadline, uint32_t *epoch),
                      int (*renew)(unsigned id));

/* Start a pthread that is a thread of the guest; pthread_join() it.  0 or an error
 * number. */
int testlib_thread(pthread_t *t, void *(*fn)(void *), void *arg);

long strait_syscall(long n, long a, long b, long c, long d, long e, long f);

/* strait_syscall() with fewer arguments written down. */
#define SYS(n, ...) TESTLIB_SYS_(n, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define TESTLIB_SYS_(n, a, b, c, d, e, f, ...)                                           \
	strait_syscall((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif /* TESTS_TESTLIB_H */
