/* SPDX-License-Identifier: MIT */
/*
 * tick.h - a service's next deadline as a descriptor for epoll.
 *
 * A timeout of epoll_wait() sets and cancels a kernel timer at every sleep, which
 * costs a guest's call a tenth of its time.  This timer is set only when a nearer
 * deadline comes up than the one it waits for; it may fire early.
 *
 * Layer:     rpc, services' side.
 * Ownership: the caller's; tick_open() makes one descriptor, kept until exit.
 * Locking:   none; one thread.
 * Errors:    0 or a negative errno.
 */
#ifndef RPC_TICK_H
#define RPC_TICK_H

#include <stdint.h>

struct tick {
	int fd;
	uint64_t at_ms; /* CLOCK_MONOTONIC; UINT64_MAX: not set */
};

/* Make it and add it to @epoll with data.ptr = @t. */
int tick_open(struct tick *t, int epoll) __attribute__((warn_unused_result));
/* An event for it came: it is not set any more. */
void tick_fired(struct tick *t);
/* Fire at @at_ms or before; UINT64_MAX: not needed. */
void tick_need(struct tick *t, uint64_t at_ms);

#endif /* RPC_TICK_H */
