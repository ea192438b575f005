/* SPDX-License-Identifier: MIT */
#include "tools/trace/show.h"

struct show {
	FILE *out;
	const struct filter *filter;
	struct line_style style;
	const struct scan *scan;
	bool started;
};

/* The first line's time is 0. */
static const struct line_style *style_of(struct show *s)
{
	if (!s->started)
		s->style.start = s->scan->first;
	s->started = true;
	return &s->style;
}

static void on_answered(void *ctx, const struct pair_call *c)
{
	struct show *s = ctx;
	const struct line_style *style = style_of(s);

	if (filter_takes_call(s->filter, c))
		line_call(s->out, c, style);
}

static void on_lone(void *ctx, const struct pair_lone *l)
{
	struct show *s = ctx;
	const struct line_style *style = style_of(s);

	if (filter_takes_lone(s->filter, l))
		line_lone(s->out, l, style);
}

bool show_file(FILE *in, FILE *out, const struct filter *f,
               const struct line_style *style, struct scan *scan)
{
	static const struct pair_ops ops = {.answered = on_answered, .lone = on_lone};
	struct show s = {out, f, *style, scan, false};
	struct pair p;
	bool any;

	pair_init(&p, &ops, &s);
	any = scan_file(in, &p, scan);
	pair_fini(&p);
	return any;
}
