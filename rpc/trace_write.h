/* SPDX-License-Identifier: MIT */
/*
 * trace_write.h - appending frames to a trace file (see trace.h).
 *
 * Layer:   rpc, service side.
 * Locking: thread-safe.
 */
#ifndef RPC_TRACE_WRITE_H
#define RPC_TRACE_WRITE_H

#include "rpc/frame.h"

#include <stdbool.h>
#include <sys/uio.h>

extern bool g_trace_on; /* constant after rpc_trace_start() */

struct trace_where {
	uint8_t direction, service;
	uint32_t domid;
	uint64_t mono; /* CLOCK_MONOTONIC ns */
};

/* Record one frame; buffered. */
void trace_frame(const struct trace_where *w, const struct frame *hdr, const void *msg,
                 const struct iovec *payload, int n_payload);
/* Write out what is buffered (when idle, and at exit). */
void trace_flush(void);

#endif /* RPC_TRACE_WRITE_H */
