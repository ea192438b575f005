/* SPDX-License-Identifier: MIT */
#include "tools/trace/line.h"

#include "tools/trace/value.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void put_when(FILE *out, const struct record *r, const struct line_style *style)
{
	const int64_t ns = (int64_t)(r->ts - style->start);
	const uint64_t us = (uint64_t)(ns < 0 ? -ns : ns) / 1000;

	if (style->wall) {
		const time_t t = (time_t)(r->ts / 1000000000u);
		struct tm tm;
		char text[16] = "?";

		if (localtime_r(&t, &tm))
			strftime(text, sizeof(text), "%H:%M:%S", &tm);
		value_put(out, "%s.%06u", text, (unsigned)(r->ts % 1000000000u / 1000));
	} else {
		value_put(out, "%s%llu.%06llu", ns < 0 ? "-" : "",
		          (unsigned long long)(us / 1000000),
		          (unsigned long long)(us % 1000000));
	}
	value_put(out, " [%u] ", r->pre.domid);
}

static void put_payload(FILE *out, const struct record *r,
                        const struct line_style *style)
{
	const bool more = (r->hdr.flags & FRAME_F_MORE) != 0;

	if (r->hdr.payload_len) {
		value_put(out, " [%u bytes", r->hdr.payload_len);
		if (r->payload_cap && style->args.strings) {
			fputs(": ", out);
			value_quote(out, r->payload, r->payload_cap,
			            style->args.strings);
		}
		fputs(more ? ", more follow]" : "]", out);
	} else if (more) {
		fputs(" [more follow]", out);
	}
}

static void put_call(FILE *out, const struct record *r, const ProtobufCMessage *args,
                     const char *const *about, const struct line_style *style)
{
	char name[METHOD_NAME_MAX];

	value_put(out, "%s(", method_name(r->hdr.method, name));
	args_print(out, name, args, about, &style->args);
	fputs(r->hdr.flags & FRAME_F_REPLAY ? ") again" : ")", out);
	put_payload(out, r, style);
}

static void put_result(FILE *out, const struct record *r,
                       const struct line_style *style)
{
	char name[METHOD_NAME_MAX], *text = NULL;
	ProtobufCMessage *m;
	size_t n = 0;
	FILE *f;

	if (r->hdr.err) {
		const char *e = value_errno(r->hdr.err);

		if (e)
			value_put(out, " = %s (%s)", e,
			          strerrordesc_np((int)r->hdr.err));
		else
			value_put(out, " = errno %u", r->hdr.err);
		return;
	}
	fputs(r->hdr.flags & FRAME_F_QUEUED ? " = queued" : " = 0", out);
	m = record_decode(r);
	f = m ? open_memstream(&text, &n) : NULL;
	if (f) {
		args_print(f, method_name(r->hdr.method, name), m, NULL, &style->args);
		fclose(f);
	}
	if (n > 0)
		value_put(out, " {%s}", text);
	else if (!m && method_find(r->hdr.method))
		fputs(" {does not decode}", out);
	free(text);
	if (m)
		protobuf_c_message_free_unpacked(m, NULL);
	put_payload(out, r, style);
}

static const char *span(char buf[VALUE_TEXT], uint64_t ns)
{
	return ns == PAIR_UNKNOWN ? "-" : value_ns(buf, ns);
}

static void put_times(FILE *out, const struct pair_call *c,
                      const struct line_style *style)
{
	char a[VALUE_TEXT], b[VALUE_TEXT];

	value_put(out, " <%s", span(a, c->total));
	if (style->times)
		value_put(out, ": queue %s, service %s", span(a, c->queue),
		          span(b, c->service));
	if (style->times && c->wake != PAIR_UNKNOWN)
		value_put(out, ", wake %s", span(a, c->wake));
	fputc('>', out);
}

void line_call(FILE *out, const struct pair_call *c, const struct line_style *style)
{
	put_when(out, c->call, style);
	put_call(out, c->call, c->args, c->about, style);
	if (c->reply) {
		put_result(out, c->reply, style);
		put_times(out, c, style);
	} else {
		fputs(" = ? (no reply in the trace)", out);
	}
	fputc('\n', out);
}

void line_lone(FILE *out, const struct pair_lone *l, const struct line_style *style)
{
	char name[METHOD_NAME_MAX], took[VALUE_TEXT];

	put_when(out, l->r, style);
	fputs(l->r->pre.direction ? "<- " : "-> ", out);
	if (l->r->hdr.kind == FRAME_REPLY) {
		value_put(out, "%s slot %u seq %u", method_name(l->r->hdr.method, name),
		          l->r->hdr.slot, l->r->hdr.seq);
		put_result(out, l->r, style);
		fputs(" (its call is not in the trace)\n", out);
		return;
	}
	put_call(out, l->r, l->args, l->about, style);
	if (l->done) {
		value_put(out, " completes %s", method_name(l->done_method, name));
		if (l->done_about) {
			fputs(" of ", out);
			value_quote(out, l->done_about, strlen(l->done_about),
			            SIZE_MAX);
		}
		value_put(out, " <%s>", span(took, l->done_waited));
	}
	fputc('\n', out);
}
