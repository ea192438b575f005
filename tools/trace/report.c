/* SPDX-License-Identifier: MIT */
/*
 * Gathering.  Calls are counted when they settle, so that their wake-up is known.
 */
#include "tools/trace/report.h"

#include <stdlib.h>
#include <string.h>

#define N_METHODS 65536u

static struct report_method *method_of(struct report *r, uint16_t method)
{
	struct report_method **m = &r->methods[method];

	if (!*m) {
		*m = calloc(1, sizeof(**m));
		if (!*m)
			r->out_of_memory = true;
		else
			(*m)->method = method;
	}
	return *m;
}

static struct report_session *session_of(struct report *r, const struct pair_session *s)
{
	if (s->index >= r->n_sessions) {
		const unsigned n = s->index + s->index / 2 + 4;
		struct report_session *all = realloc(r->sessions, n * sizeof(*all));

		if (!all) {
			r->out_of_memory = true;
			return NULL;
		}
		memset(all + r->n_sessions, 0, (n - r->n_sessions) * sizeof(*all));
		r->sessions = all;
		r->n_sessions = n;
	}
	r->sessions[s->index].domid = s->domid;
	r->sessions[s->index].service = s->service;
	r->sessions[s->index].most_in_flight = s->most_in_flight;
	return &r->sessions[s->index];
}

static void add_time(struct report *r, struct hist *h, uint64_t ns)
{
	if (ns != PAIR_UNKNOWN && hist_add(h, ns) < 0)
		r->out_of_memory = true;
}

static void add_error(struct report *r, struct report_method *m,
                      struct report_session *s, uint64_t err)
{
	if (err == 0)
		return;
	m->errors++;
	s->errors++;
	if (!m->errnos)
		m->errnos = calloc(REPORT_ERRNOS, sizeof(*m->errnos));
	if (m->errnos)
		m->errnos[err < REPORT_ERRNOS ? err : REPORT_ERRNOS - 1]++;
	else
		r->out_of_memory = true;
}

static void add_bytes(struct report_method *m, struct report_session *s,
                      const struct record *rec)
{
	if (rec->pre.direction) {
		m->to_guest += rec->hdr.len;
		s->to_guest += rec->hdr.len;
	} else {
		m->to_service += rec->hdr.len;
		s->to_service += rec->hdr.len;
	}
}

static void add_slow(struct report *r, const struct pair_call *c)
{
	struct report_slow new = {c->total, NULL};
	unsigned at = r->n_slow;
	size_t n;
	FILE *f;

	if (c->total == PAIR_UNKNOWN || r->max_slow == 0 ||
	    (r->n_slow == r->max_slow && r->slow[r->n_slow - 1].total >= c->total))
		return;
	f = open_memstream(&new.line, &n);
	if (!f) {
		r->out_of_memory = true;
		return;
	}
	r->style.start = r->scan.first;
	line_call(f, c, &r->style);
	fclose(f);
	if (r->n_slow == r->max_slow)
		free(r->slow[--at].line);
	else
		r->n_slow++;
	for (; at > 0 && r->slow[at - 1].total < new.total; at--)
		r->slow[at] = r->slow[at - 1];
	r->slow[at] = new;
}

static void on_settled(void *ctx, const struct pair_call *c)
{
	struct report *r = ctx;
	struct report_method *m;
	struct report_session *s;

	if (!filter_takes_call(r->filter, c))
		return;
	m = method_of(r, c->call->hdr.method);
	s = session_of(r, c->session);
	if (!m || !s)
		return;
	m->calls++;
	s->calls++;
	add_bytes(m, s, c->call);
	if (!c->reply) {
		m->no_reply++;
		s->no_reply++;
		return;
	}
	add_bytes(m, s, c->reply);
	add_error(r, m, s, c->reply->hdr.err);
	if (c->reply->hdr.flags & FRAME_F_QUEUED)
		m->queued++;
	add_time(r, &m->total, c->total);
	add_time(r, &m->queue, c->queue);
	add_time(r, &m->service, c->service);
	add_time(r, &m->wake, c->wake);
	if (c->service != PAIR_UNKNOWN)
		s->served_ns += c->service;
	add_slow(r, c);
}

static void on_lone(void *ctx, const struct pair_lone *l)
{
	struct report *r = ctx;
	struct report_method *m;
	struct report_session *s;

	if (!filter_takes_lone(r->filter, l))
		return;
	if (l->r->hdr.kind == FRAME_REPLY) {
		r->orphans++;
		return;
	}
	m = method_of(r, l->r->hdr.method);
	s = session_of(r, l->session);
	if (!m || !s)
		return;
	if (l->r->hdr.kind == FRAME_POST) {
		add_time(r, &m->queue, l->queue);
		m->posts++;
		s->posts++;
	} else {
		m->events++;
		s->events++;
	}
	add_bytes(m, s, l->r);
	add_error(r, m, s, message_get_u64(l->args, "err"));
	if (l->done && (m = method_of(r, l->done_method)))
		add_time(r, &m->waited, l->done_waited);
}

/* Most time first, then most frames, then by number. */
static int compare(const void *a, const void *b)
{
	const struct report_method *x = *(struct report_method *const *)a;
	const struct report_method *y = *(struct report_method *const *)b;
	const uint64_t nx = x->calls + x->posts + x->events;
	const uint64_t ny = y->calls + y->posts + y->events;

	if (x->total.sum != y->total.sum)
		return x->total.sum > y->total.sum ? -1 : 1;
	if (nx != ny)
		return nx > ny ? -1 : 1;
	return (int)x->method - (int)y->method;
}

static void sort_methods(struct report *r)
{
	for (unsigned i = 0; i < N_METHODS; i++)
		if (r->methods[i])
			r->methods[r->n_methods++] = r->methods[i];
	qsort(r->methods, r->n_methods, sizeof(r->methods[0]), compare);
}

bool report_make(struct report *r, FILE *in, const struct filter *f, unsigned n_slow)
{
	static const struct pair_ops ops = {.settled = on_settled, .lone = on_lone};
	struct pair p;
	bool any;

	*r = (struct report){.filter = f, .max_slow = n_slow};
	r->style = (struct line_style){.args = {.strings = 32}, .times = true};
	r->methods = calloc(N_METHODS, sizeof(r->methods[0]));
	r->slow = calloc(n_slow ? n_slow : 1, sizeof(r->slow[0]));
	if (!r->methods || !r->slow) {
		r->out_of_memory = true;
		return false;
	}
	pair_init(&p, &ops, r);
	any = scan_file(in, &p, &r->scan);
	pair_fini(&p);
	sort_methods(r);
	return any && !r->out_of_memory;
}

void report_fini(struct report *r)
{
	for (unsigned i = 0; i < r->n_methods; i++) {
		struct report_method *m = r->methods[i];

		hist_free(&m->total);
		hist_free(&m->queue);
		hist_free(&m->service);
		hist_free(&m->wake);
		hist_free(&m->waited);
		free(m->errnos);
		free(m);
	}
	for (unsigned i = 0; i < r->n_slow; i++)
		free(r->slow[i].line);
	free(r->methods);
	free(r->slow);
	free(r->sessions);
}
