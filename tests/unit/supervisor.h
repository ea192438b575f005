/* SPDX-License-Identifier: MIT */
/*
 * supervisor.h - a supervisor in small: one service, and libos as a test library for its
 * one guest.
 *
 * Layer:     tests; with tests/testlib.
 * Ownership: one service at a time, in static storage.
 * Errors:    false: something of it did not work.
 */
#ifndef TESTS_UNIT_SUPERVISOR_H
#define TESTS_UNIT_SUPERVISOR_H

#include "platform/platform.h"
#include "rpc/control.h"
#include "tests/unit/suite.h"

#include <stdbool.h>
#include <stdio.h>

#define EQ(a, b)                                                                       \
	do {                                                                           \
		const long a_ = (long)(a), b_ = (long)(b);                             \
		if (a_ != b_)                                                          \
			fprintf(stderr, "%s:%d: %s is %ld, not %ld\n", __FILE__,       \
			        __LINE__, #a, a_, b_);                                 \
		CU_ASSERT_EQUAL(a_, b_);                                               \
	} while (0)

static inline ProtobufCBinaryData bytes(const void *p, size_t n)
{
	return (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)p};
}

/* Start the service @exe, configure it by @conf with @n_fds descriptors, and wait until
 * it is ready.  For supervisor_restart() all of it must stay. */
bool supervisor_start(const char *exe, const char *name, Control__Configure *conf,
                      const int *fds, int n_fds);
/* Announce a guest, fill @channel (of @config) and start libos with @config. */
bool supervisor_guest(struct plat_config *config, struct plat_channel *channel);
/* Kill the service and start another instance, with the same configuration and
 * descriptors, for the same guest.  Only if conf.instance was set. */
bool supervisor_restart(void);
/* Go away, and the service with us: its exit status, or -1. */
int supervisor_stop(void);
/* main() of a program with these tests; its argument, the service's path, goes to *exe,
 * and start() then starts it. */
int supervisor_suite(const char *name, CU_TestInfo *tests, bool (*start)(void),
                     const char **exe, int argc, char **argv);

#endif /* TESTS_UNIT_SUPERVISOR_H */
