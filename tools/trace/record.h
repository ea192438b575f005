/* SPDX-License-Identifier: MIT */
/*
 * record.h - a packet of a trace as what it is: prefix, frame, message, payload.
 *
 * Layer:     tools.  Includes rpc/{frame,trace}.h.
 * Ownership: a record points into its packet, and lives as long.
 */
#ifndef TOOLS_TRACE_RECORD_H
#define TOOLS_TRACE_RECORD_H

#include "rpc/frame.h"
#include "rpc/trace.h"
#include "tools/trace/pcapng.h"

#include <protobuf-c/protobuf-c.h>

struct record {
	struct trace_prefix pre;
	struct frame hdr;       /* checked by frame_check() */
	uint64_t ts;            /* CLOCK_REALTIME ns */
	uint64_t block, offset; /* where it lies in the file */
	const uint8_t *msg;     /* hdr.msg_len bytes */
	const uint8_t *payload; /* payload_cap bytes of hdr.payload_len */
	uint32_t payload_cap;
};

/* Returns NULL, or what is wrong with the packet (constant text). */
const char *record_parse(struct record *r, const struct pcapng_packet *p)
        __attribute__((warn_unused_result));

/* ---- methods, as the generated descriptors name them ---- */

#define METHOD_NAME_MAX 64

/* NULL when the method is unknown to this build. */
const ProtobufCMethodDescriptor *method_find(uint16_t method);
/* "File.Open", or "service7.3"; returns @buf. */
const char *method_name(uint16_t method, char buf[METHOD_NAME_MAX]);
/* The message that a frame of this kind carries; NULL when unknown. */
const ProtobufCMessageDescriptor *method_message(uint16_t method, uint8_t kind);
/* Run @fn for each known method. */
void method_each(void (*fn)(uint16_t method, void *ctx), void *ctx);
/* "fsd" or "netd", for the service byte of a prefix; NULL for others. */
const char *service_name(uint8_t service);

/* Decode the message of @r: NULL when the method is unknown or it does not decode.
 * The caller frees it with protobuf_c_message_free_unpacked(m, NULL). */
ProtobufCMessage *record_decode(const struct record *r);

/* A scalar field by name; 0 when there is none such. */
uint64_t message_get_u64(const ProtobufCMessage *m, const char *field);
/* A bytes field by name; NULL when there is none such. */
const ProtobufCBinaryData *message_get_bytes(const ProtobufCMessage *m,
                                             const char *field);
/* The scalar at @f of @m; signed types are sign-extended. */
uint64_t message_scalar(ProtobufCType type, const void *at);

#endif /* TOOLS_TRACE_RECORD_H */
