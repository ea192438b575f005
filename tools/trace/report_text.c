/* SPDX-License-Identifier: MIT */
#include "tools/trace/report.h"
#include "tools/trace/value.h"

#include <string.h>

typedef unsigned long long ull;

/* A percentile; '-' where nothing is known. */
static const char *at(char buf[VALUE_TEXT], const struct hist *h, unsigned permille)
{
	return h->n ? value_ns(buf, hist_at(h, permille)) : "-";
}

static const char *most(char buf[VALUE_TEXT], const struct hist *h)
{
	return h->n ? value_ns(buf, h->max) : "-";
}

static const char *sum(char buf[VALUE_TEXT], const struct hist *h)
{
	return h->n ? value_ns(buf, h->sum) : "-";
}

static void put_head(const struct report *r, FILE *out, const char *name)
{
	const struct scan *s = &r->scan;
	char took[VALUE_TEXT];

	value_put(out, "%s: %llu frames in %s%s\n", name, (ull)s->frames,
	          value_ns(took, s->last - s->first),
	          r->filter->on ? ", filtered" : "");
	if (s->others)
		value_put(out, "%llu packets of other link types left out\n",
		          (ull)s->others);
	if (r->orphans)
		value_put(out, "%llu replies whose calls are not in the trace\n",
		          (ull)r->orphans);
}

static void put_methods(const struct report *r, FILE *out)
{
	value_put(out, "\n%-18s %9s %8s %8s %7s %10s %8s %8s %8s %8s %8s\n", "method",
	          "calls", "posts", "events", "errors", "to-service", "to-guest", "p50",
	          "p90", "p99", "max");
	for (unsigned i = 0; i < r->n_methods; i++) {
		const struct report_method *m = r->methods[i];
		char name[METHOD_NAME_MAX], b[6][VALUE_TEXT];

		value_put(
		        out, "%-18s %9llu %8llu %8llu %7llu %10s %8s %8s %8s %8s %8s\n",
		        method_name(m->method, name), (ull)m->calls, (ull)m->posts,
		        (ull)m->events, (ull)m->errors, value_size(b[0], m->to_service),
		        value_size(b[1], m->to_guest), at(b[2], &m->total, 500),
		        at(b[3], &m->total, 900), at(b[4], &m->total, 990),
		        most(b[5], &m->total));
	}
}

static void put_parts(const struct report *r, FILE *out)
{
	bool any = false;

	for (unsigned i = 0; i < r->n_methods; i++) {
		const struct report_method *m = r->methods[i];
		const struct hist *const h[3] = {&m->queue, &m->service, &m->wake};
		char name[METHOD_NAME_MAX];

		if (!m->total.n && !m->queue.n)
			continue;
		if (!any)
			value_put(out,
			          "\n%-18s %26s   %26s   %26s\n%-18s %8s %8s %8s   %8s "
			          "%8s %8s"
			          "   %8s %8s %8s\n",
			          "where the time went", "queueing        ",
			          "service         ", "wake-up         ", "", "p50",
			          "p99", "sum", "p50", "p99", "sum", "p50", "p99",
			          "sum");
		any = true;
		value_put(out, "%-18s", method_name(m->method, name));
		for (unsigned k = 0; k < 3; k++) {
			char b[3][VALUE_TEXT];

			value_put(out, "%s %8s %8s %8s", k ? "  " : "",
			          at(b[0], h[k], 500), at(b[1], h[k], 990),
			          sum(b[2], h[k]));
		}
		fputc('\n', out);
	}
}

static void put_waited(const struct report *r, FILE *out)
{
	bool any = false;

	for (unsigned i = 0; i < r->n_methods; i++) {
		const struct report_method *m = r->methods[i];
		char name[METHOD_NAME_MAX], b[3][VALUE_TEXT];

		if (!m->queued && !m->waited.n)
			continue;
		if (!any)
			value_put(out, "\n%-18s %9s %9s %8s %8s %8s\n",
			          "answered queued", "calls", "completed", "p50", "p99",
			          "max");
		any = true;
		value_put(out, "%-18s %9llu %9llu %8s %8s %8s\n",
		          method_name(m->method, name), (ull)m->queued,
		          (ull)m->waited.n, at(b[0], &m->waited, 500),
		          at(b[1], &m->waited, 990), most(b[2], &m->waited));
	}
}

static void put_errors(const struct report *r, FILE *out)
{
	bool any = false;

	for (unsigned i = 0; i < r->n_methods; i++) {
		const struct report_method *m = r->methods[i];
		char name[METHOD_NAME_MAX];

		for (uint32_t e = 1; m->errnos && e < REPORT_ERRNOS; e++) {
			const char *text = value_errno(e);

			if (!m->errnos[e])
				continue;
			if (!any)
				value_put(out, "\n%-18s %9s  %s\n", "errors", "times",
				          "errno");
			any = true;
			value_put(out, "%-18s %9u  ", method_name(m->method, name),
			          m->errnos[e]);
			if (text)
				value_put(out, "%s (%s)\n", text,
				          strerrordesc_np((int)e));
			else
				value_put(out, "%u\n", e);
		}
	}
}

static void put_session(FILE *out, const struct report_session *s)
{
	const char *service = service_name(s->service);
	char who[VALUE_TEXT], b[3][VALUE_TEXT];

	if (service)
		(void)snprintf(who, sizeof(who), "%s", service);
	else
		(void)snprintf(who, sizeof(who), "service %u", s->service);
	value_put(out, "%-8u %-11s %9llu %8llu %8llu %7llu %8llu %10s %8s %9u %8s\n",
	          s->domid, who, (ull)s->calls, (ull)s->posts, (ull)s->events,
	          (ull)s->errors, (ull)s->no_reply, value_size(b[0], s->to_service),
	          value_size(b[1], s->to_guest), s->most_in_flight,
	          value_ns(b[2], s->served_ns));
}

static void put_sessions(const struct report *r, FILE *out)
{
	value_put(out, "\n%-8s %-11s %9s %8s %8s %7s %8s %10s %8s %9s %8s\n", "guest",
	          "service", "calls", "posts", "events", "errors", "no-reply",
	          "to-service", "to-guest", "in-flight", "served");
	for (unsigned i = 0; i < r->n_sessions; i++)
		if (r->sessions[i].calls + r->sessions[i].posts + r->sessions[i].events)
			put_session(out, &r->sessions[i]);
}

void report_text(const struct report *r, FILE *out, const char *name)
{
	put_head(r, out, name);
	if (r->n_methods == 0) {
		fputs(r->filter->on ? "nothing passes the filters\n" : "no frames\n",
		      out);
		return;
	}
	put_methods(r, out);
	put_parts(r, out);
	put_waited(r, out);
	put_errors(r, out);
	put_sessions(r, out);
	if (r->n_slow)
		fputs("\nslowest calls\n", out);
	for (unsigned i = 0; i < r->n_slow; i++)
		fputs(r->slow[i].line, out);
}
