/* SPDX-License-Identifier: MIT */
/*
 * evtchn.h - waiting for one port without threads: at start, and in a dying guest.
 *
 * Layer:  platform/xen only.
 */
#ifndef PLATFORM_XEN_EVTCHN_H
#define PLATFORM_XEN_EVTCHN_H

#include <stdint.h>

/* Xen's system time in ns. */
uint64_t evtchn_time(void);
/* Give the CPU to other domains until @port has an event, for @ns at most; its
 * handler has run then.  Works with IF=0, and before the upcall vector is set. */
void evtchn_poll(unsigned port, uint64_t ns);

#endif /* PLATFORM_XEN_EVTCHN_H */
