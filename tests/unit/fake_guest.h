/* SPDX-License-Identifier: MIT */
/*
 * fake_guest.h - the guest's half of rpc in an ordinary process, for tests.
 *
 * Provides what libos and the platform give to rpc/guest.c: threads are
 * pthreads, whoever waits first leads the rings.  Services' tests link it to talk
 * to a service as a guest would, over a hosted vchan in the same process or
 * another one.
 */
#ifndef TESTS_UNIT_FAKE_GUEST_H
#define TESTS_UNIT_FAKE_GUEST_H

#include "platform/platform.h"

#include <stdint.h>

struct fake_channel {
	int ring_fd, event_fd, doorbell_fd;
	void *map;
	unsigned order;
};

/* Make shared memory for one channel; the service's end is to be registered with
 * dup()s of the three descriptors.  All channels of a process share a doorbell. */
int fake_channel_make(struct fake_channel *f, unsigned order, int doorbell_fd);
/* Fill g_config.file or g_config.net from it; call once each before rpc_attach(). */
void fake_channel_use(struct fake_channel *f, struct plat_channel *pc, unsigned id);
/* The service's next instance is reached by @f, of the same order; takes it over.
 * Channel 0 only; its first channel must have been made with fake_channel_make(). */
void fake_channel_next(struct fake_channel *f, uint32_t epoch);
/* Wait until no recovery runs. */
void fake_recovered(void);
/* The ring page, for hostile tests. */
static inline void *fake_page(struct fake_channel *f)
{
	return f->map;
}
/* The last text given to rpc_log(), "" if none; until the thread's next call of it. */
const char *fake_log(void);
void fake_log_clear(void);
/* The guest's clock jumps ahead. */
void fake_time_passes(uint64_t ns);
/* How often rpc_silent() was called. */
unsigned fake_silences(void);

#endif /* TESTS_UNIT_FAKE_GUEST_H */
