/* SPDX-License-Identifier: MIT */
/*
 * trace.h - what a trace file holds (service side writes it).
 *
 * The file is pcapng with link type USER0 (147).  The supervisor writes the
 * section header and one interface block for each channel kind, in the order
 * RPC_SERVICE_FILE - 1, RPC_SERVICE_NET - 1, with if_tsresol 9 (nanoseconds).
 * A service appends Enhanced Packet Blocks with one write() each to a file
 * opened O_APPEND, so two services share a file without a lock.
 *
 * A packet is this prefix, then the frame as it crossed.  The block's
 * timestamp is CLOCK_REALTIME in ns when the service took the frame (calls,
 * posts) or put it (replies, events).
 *
 * Layer:  rpc.
 */
#ifndef RPC_TRACE_H
#define RPC_TRACE_H

#include <stdint.h>

struct trace_prefix {
	uint8_t version;   /* 1 */
	uint8_t direction; /* 0 guest to service, 1 service to guest */
	uint8_t service;   /* RPC_SERVICE_FILE or RPC_SERVICE_NET */
	uint8_t zero;
	uint32_t domid;    /* of the guest */
	uint64_t mono;     /* the guests' clock, ns, at the same moment as the timestamp:
	                      CLOCK_MONOTONIC; on Xen the hypervisor's system time */
};

_Static_assert(sizeof(struct trace_prefix) == 16, "trace prefix");

#define TRACE_LINKTYPE 147
#define TRACE_VERSION 1

#endif /* RPC_TRACE_H */
