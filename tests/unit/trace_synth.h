/* SPDX-License-Identifier: MIT */
/*
 * trace_synth.h - traces made up frame by frame, through the services' own writer.
 *
 * Layer:  tests.
 */
#ifndef TESTS_UNIT_TRACE_SYNTH_H
#define TESTS_UNIT_TRACE_SYNTH_H

#include "rpc/trace_write.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

/* Write the section header and both interfaces to @fd, and record there from now on. */
void synth_begin(int fd, bool with_payload);

/* One frame: kind, flags, method, slot, seq, err, stamp and wake are the caller's; the
 * rest is filled in.  @mono: when the service took or put it.  @m may be NULL. */
void synth_put(uint32_t domid, uint8_t service, uint64_t mono, struct frame f,
               const ProtobufCMessage *m, const void *payload, size_t n);

/* A whole session of everyday calls: hello, files, a queued lock, a served connection. */
void synth_story(int fd, bool with_payload);

#endif /* TESTS_UNIT_TRACE_SYNTH_H */
