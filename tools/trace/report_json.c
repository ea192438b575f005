/* SPDX-License-Identifier: MIT */
/*
 * The same as JSON: durations in ns, sizes in bytes, null for what is unknown.
 * Keys are documented in docs/TRACE.md.
 */
#include "tools/trace/report.h"
#include "tools/trace/value.h"

#include <string.h>

typedef unsigned long long ull;

static void put_hist(FILE *out, const char *key, const struct hist *h)
{
	value_put(out, ",\n     \"%s\": ", key);
	if (!h->n) {
		fputs("null", out);
		return;
	}
	value_put(out,
	          "{\"count\": %llu, \"sum\": %llu, \"min\": %llu, \"p50\": %llu, "
	          "\"p90\": %llu, "
	          "\"p99\": %llu, \"max\": %llu}",
	          (ull)h->n, (ull)h->sum, (ull)h->min, (ull)hist_at(h, 500),
	          (ull)hist_at(h, 900), (ull)hist_at(h, 990), (ull)h->max);
}

static void put_errnos(FILE *out, const struct report_method *m)
{
	const char *sep = "";

	fputs(", \"errno\": {", out);
	for (uint32_t e = 1; m->errnos && e < REPORT_ERRNOS; e++) {
		if (!m->errnos[e])
			continue;
		if (value_errno(e))
			value_put(out, "%s\"%s\": %u", sep, value_errno(e),
			          m->errnos[e]);
		else
			value_put(out, "%s\"%u\": %u", sep, e, m->errnos[e]);
		sep = ", ";
	}
	fputc('}', out);
}

static void put_method(FILE *out, const struct report_method *m)
{
	char name[METHOD_NAME_MAX];

	value_put(out,
	          "    {\"method\": \"%s\", \"calls\": %llu, \"posts\": %llu, "
	          "\"events\": %llu, "
	          "\"errors\": %llu, \"no_reply\": %llu, \"queued\": %llu, "
	          "\"bytes_to_service\": %llu, \"bytes_to_guest\": %llu",
	          method_name(m->method, name), (ull)m->calls, (ull)m->posts,
	          (ull)m->events, (ull)m->errors, (ull)m->no_reply, (ull)m->queued,
	          (ull)m->to_service, (ull)m->to_guest);
	put_errnos(out, m);
	put_hist(out, "latency_ns", &m->total);
	put_hist(out, "queueing_ns", &m->queue);
	put_hist(out, "service_ns", &m->service);
	put_hist(out, "wakeup_ns", &m->wake);
	put_hist(out, "queued_until_done_ns", &m->waited);
	fputc('}', out);
}

static void put_session(FILE *out, const struct report_session *s)
{
	value_put(out, "    {\"domid\": %u, \"service\": ", s->domid);
	if (service_name(s->service))
		value_put(out, "\"%s\"", service_name(s->service));
	else
		value_put(out, "%u", s->service);
	value_put(out,
	          ", \"calls\": %llu, \"posts\": %llu, \"events\": %llu, \"errors\": "
	          "%llu, "
	          "\"no_reply\": %llu, \"bytes_to_service\": %llu, \"bytes_to_guest\": "
	          "%llu, "
	          "\"most_in_flight\": %u, \"served_ns\": %llu}",
	          (ull)s->calls, (ull)s->posts, (ull)s->events, (ull)s->errors,
	          (ull)s->no_reply, (ull)s->to_service, (ull)s->to_guest,
	          s->most_in_flight, (ull)s->served_ns);
}

static void put_head(const struct report *r, FILE *out, const char *name)
{
	const struct scan *s = &r->scan;

	fputs("{\"file\": ", out);
	value_json(out, name);
	value_put(
	        out,
	        ",\n \"frames\": %llu, \"bad_packets\": %llu, \"other_packets\": %llu, "
	        "\"orphan_replies\": %llu, \"filtered\": %s,\n \"start_ns\": %llu, "
	        "\"duration_ns\": %llu,\n \"damage\": ",
	        (ull)s->frames, (ull)s->bad, (ull)s->others, (ull)r->orphans,
	        r->filter->on ? "true" : "false", (ull)s->first,
	        (ull)(s->last - s->first));
	if (s->stopped)
		value_json(out, s->stop);
	else if (s->bad)
		value_json(out, s->first_bad);
	else
		fputs("null", out);
}

void report_json(const struct report *r, FILE *out, const char *name)
{
	const char *sep = "";

	put_head(r, out, name);
	fputs(",\n \"methods\": [", out);
	for (unsigned i = 0; i < r->n_methods; i++) {
		fputs(i ? ",\n" : "\n", out);
		put_method(out, r->methods[i]);
	}
	fputs("],\n \"sessions\": [", out);
	for (unsigned i = 0; i < r->n_sessions; i++) {
		const struct report_session *s = &r->sessions[i];

		if (s->calls + s->posts + s->events == 0)
			continue;
		value_put(out, "%s\n", sep);
		put_session(out, s);
		sep = ",";
	}
	fputs("],\n \"slowest\": [", out);
	for (unsigned i = 0; i < r->n_slow; i++) {
		char *line = r->slow[i].line;

		line[strcspn(line, "\n")] = '\0'; /* the only one, at its end */
		value_put(out,
		          "%s\n    {\"latency_ns\": %llu, \"call\": ", i ? "," : "",
		          (ull)r->slow[i].total);
		value_json(out, line);
		fputc('}', out);
	}
	fputs("]}\n", out);
}
