/* SPDX-License-Identifier: MIT */
#include "tools/trace/record.h"

#include "file.pb-c.h"
#include "net.pb-c.h"
#include "session.pb-c.h"

#include <stdbool.h>
#include <string.h>

#define FIXED (sizeof(struct trace_prefix) + FRAME_HDR_LEN)

const char *record_parse(struct record *r, const struct pcapng_packet *p)
{
	const char *why;

	if (p->cap_len < FIXED)
		return "too short for a frame";
	*r = (struct record){.ts = p->ts, .block = p->block, .offset = p->offset};
	memcpy(&r->pre, p->data, sizeof(r->pre));
	memcpy(&r->hdr, p->data + sizeof(r->pre), FRAME_HDR_LEN);
	if (r->pre.version != TRACE_VERSION)
		return "another version of the trace format";
	if (r->pre.direction > 1)
		return "direction: neither way";
	why = frame_check(&r->hdr,
	                  r->pre.direction ? FRAME_AT_GUEST : FRAME_AT_SERVICE);
	if (why)
		return why;
	if (p->cap_len < FIXED + r->hdr.msg_len)
		return "the message was cut short";
	r->msg = p->data + FIXED;
	r->payload = r->msg + r->hdr.msg_len;
	r->payload_cap = p->cap_len - (uint32_t)FIXED - r->hdr.msg_len;
	if (r->payload_cap > r->hdr.payload_len)
		return "longer than its frame";
	return NULL;
}

/* ---- methods ---- */

static const ProtobufCServiceDescriptor *const g_services[] = {
        [RPC_SERVICE_SESSION] = &session__session__descriptor,
        [RPC_SERVICE_FILE] = &file__file__descriptor,
        [RPC_SERVICE_NET] = &net__net__descriptor,
};
#define N_SERVICES (sizeof(g_services) / sizeof(g_services[0]))

const ProtobufCMethodDescriptor *method_find(uint16_t method)
{
	const unsigned s = FRAME_SERVICE(method), i = FRAME_INDEX(method);

	if (s >= N_SERVICES || i >= g_services[s]->n_methods)
		return NULL;
	return &g_services[s]->methods[i];
}

const char *method_name(uint16_t method, char buf[METHOD_NAME_MAX])
{
	const unsigned s = FRAME_SERVICE(method), i = FRAME_INDEX(method);
	const ProtobufCMethodDescriptor *m = method_find(method);

	if (m)
		(void)snprintf(buf, METHOD_NAME_MAX, "%s.%s", g_services[s]->short_name,
		               m->name);
	else if (s < N_SERVICES)
		(void)snprintf(buf, METHOD_NAME_MAX, "%s.%u", g_services[s]->short_name,
		               i);
	else
		(void)snprintf(buf, METHOD_NAME_MAX, "service%u.%u", s, i);
	return buf;
}

const ProtobufCMessageDescriptor *method_message(uint16_t method, uint8_t kind)
{
	const ProtobufCMethodDescriptor *m = method_find(method);

	if (!m || kind == FRAME_CREDIT)
		return NULL;
	return kind == FRAME_REPLY ? m->output : m->input;
}

void method_each(void (*fn)(uint16_t method, void *ctx), void *ctx)
{
	for (unsigned s = 0; s < N_SERVICES; s++)
		for (unsigned i = 0; i < g_services[s]->n_methods; i++)
			fn(FRAME_METHOD(s, i), ctx);
}

const char *service_name(uint8_t service)
{
	switch (service) {
	case RPC_SERVICE_FILE:
		return "fsd";
	case RPC_SERVICE_NET:
		return "netd";
	default:
		return NULL;
	}
}

/* ---- messages ---- */

ProtobufCMessage *record_decode(const struct record *r)
{
	const ProtobufCMessageDescriptor *d =
	        method_message(r->hdr.method, r->hdr.kind);

	return d ? protobuf_c_message_unpack(d, NULL, r->hdr.msg_len, r->msg) : NULL;
}

static const ProtobufCFieldDescriptor *single(const ProtobufCMessage *m,
                                              const char *field)
{
	const ProtobufCFieldDescriptor *f;

	f = m ? protobuf_c_message_descriptor_get_field_by_name(m->descriptor, field)
	      : NULL;
	return f && f->label != PROTOBUF_C_LABEL_REPEATED ? f : NULL;
}

uint64_t message_scalar(ProtobufCType type, const void *at)
{
	uint64_t v64;
	uint32_t v32;

	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_ENUM:
		memcpy(&v32, at, sizeof(v32));
		return (uint64_t)(int64_t)(int32_t)v32;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_BOOL:
		memcpy(&v32, at, sizeof(v32));
		return v32;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		memcpy(&v64, at, sizeof(v64));
		return v64;
	default:
		return 0;
	}
}

uint64_t message_get_u64(const ProtobufCMessage *m, const char *field)
{
	const ProtobufCFieldDescriptor *f = single(m, field);

	return f ? message_scalar(f->type, (const uint8_t *)m + f->offset) : 0;
}

const ProtobufCBinaryData *message_get_bytes(const ProtobufCMessage *m,
                                             const char *field)
{
	const ProtobufCFieldDescriptor *f = single(m, field);

	if (!f || f->type != PROTOBUF_C_TYPE_BYTES)
		return NULL;
	return (const ProtobufCBinaryData *)(const void *)((const uint8_t *)m +
	                                                   f->offset);
}
