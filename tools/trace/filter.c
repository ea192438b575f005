/* SPDX-License-Identifier: MIT */
#include "tools/trace/filter.h"

#include "tools/trace/value.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct search {
	struct filter *f;
	const char *name;
	bool found;
};

/* "File.Read" is asked for by itself, by "Read", and by "File". */
static void try_method(uint16_t method, void *ctx)
{
	struct search *s = ctx;
	char name[METHOD_NAME_MAX];
	const char *dot = strchr(method_name(method, name), '.');
	const size_t service = (size_t)(dot - name);

	if (strcasecmp(s->name, name) != 0 && strcasecmp(s->name, dot + 1) != 0 &&
	    !(strlen(s->name) == service && strncasecmp(s->name, name, service) == 0))
		return;
	s->f->method[FRAME_SERVICE(method)][FRAME_INDEX(method)] = true;
	s->found = true;
}

bool filter_add_call(struct filter *f, const char *name)
{
	struct search s = {f, name, false};

	method_each(try_method, &s);
	f->on = f->by_method = true;
	return s.found;
}

bool filter_set_errno(struct filter *f, const char *text)
{
	const bool any = strcasecmp(text, "any") == 0;

	f->err = any ? FILTER_ERR_ANY : value_errno_parse(text);
	f->on = true;
	return any || f->err > 0;
}

bool filter_set_domid(struct filter *f, const char *text)
{
	char *end;
	const unsigned long long v = strtoull(text, &end, 10);

	f->domid = (uint32_t)v;
	f->on = f->by_domid = true;
	return isdigit((unsigned char)*text) && *end == '\0' && v <= UINT32_MAX;
}

bool filter_set_path(struct filter *f, const char *text)
{
	f->path = text;
	f->on = true;
	return *text != '\0';
}

bool filter_set_slower(struct filter *f, const char *text)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
	char *end;
	const double v = strtod(text, &end);

	f->on = true;
	if (!isdigit((unsigned char)*text))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) != 0 || v * units[i].ns >= 1e18)
			continue;
		f->slower = (uint64_t)(v * units[i].ns);
		return true;
	}
	return false;
}

static bool path_matches(const char *want, const char *path)
{
	size_t n = strlen(want);

	if (!path)
		return false;
	if (strpbrk(want, "*?["))
		return fnmatch(want, path, 0) == 0;
	while (n > 1 && want[n - 1] == '/')
		n--;
	return strncmp(path, want, n) == 0 &&
	       (path[n] == '\0' || path[n] == '/' || want[n - 1] == '/');
}

static bool takes(const struct filter *f, const struct record *r,
                  const char *const *about)
{
	const unsigned s = FRAME_SERVICE(r->hdr.method);

	if (f->by_domid && r->pre.domid != f->domid)
		return false;
	if (f->by_method &&
	    (s >= FILTER_SERVICES || !f->method[s][FRAME_INDEX(r->hdr.method)]))
		return false;
	return !f->path || path_matches(f->path, about[0]) ||
	       path_matches(f->path, about[1]);
}

static bool takes_err(const struct filter *f, uint64_t err)
{
	return f->err == 0 ||
	       (f->err == FILTER_ERR_ANY ? err != 0 : err == (uint64_t)f->err);
}

bool filter_takes_call(const struct filter *f, const struct pair_call *c)
{
	if (!f->on)
		return true;
	if (f->slower && (c->total == PAIR_UNKNOWN || c->total < f->slower))
		return false;
	return takes_err(f, c->reply ? c->reply->hdr.err : 0) &&
	       takes(f, c->call, c->about);
}

bool filter_takes_lone(const struct filter *f, const struct pair_lone *l)
{
	const char *const about[2] = {l->done ? l->done_about : l->about[0],
	                              l->about[1]};
	const uint64_t err = l->r->hdr.kind == FRAME_REPLY
	                             ? l->r->hdr.err
	                             : message_get_u64(l->args, "err");

	if (!f->on)
		return true;
	if (f->slower && (!l->done || l->done_waited < f->slower))
		return false;
	return takes_err(f, err) && takes(f, l->r, about);
}
