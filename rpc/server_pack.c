/* SPDX-License-Identifier: MIT */
/* A reply's message, packed into memory of a fixed size; see server_priv.h. */
#include "rpc/server_priv.h"

#define NUMBER_MAX 15u /* bytes of a field: its tag, and 64 bits or a message's length */

/* @msg is not longer than this when packed, if it holds but numbers, and messages of
 * numbers; 0 if it may hold more. */
static size_t numbers_max(const ProtobufCMessage *msg)
{
	const ProtobufCMessageDescriptor *d = msg->descriptor;
	size_t max = d->n_fields * NUMBER_MAX;

	if (msg->n_unknown_fields)
		return 0;
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const ProtobufCMessage *sub;
		size_t n;

		if (f->label == PROTOBUF_C_LABEL_REPEATED || (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
		    f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES)
			return 0;
		if (f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		sub = *(const ProtobufCMessage *const *)(const void *)((const char *)msg + f->offset);
		n = sub ? numbers_max(sub) : 0;
		if (sub && n == 0)
			return 0;
		max += n;
	}
	return max;
}

/* Most replies are numbers, and need not be gone over twice. */
size_t reply_pack(const ProtobufCMessage *msg, uint8_t *to)
{
	const size_t max = numbers_max(msg);
	size_t n;

	if (max == 0 || max > RPC_REPLY_MSG_MAX) {
		n = protobuf_c_message_get_packed_size(msg);
		if (n > RPC_REPLY_MSG_MAX)
			return n;
	}
	return protobuf_c_message_pack(msg, to);
}
