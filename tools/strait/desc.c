/* SPDX-License-Identifier: MIT */
/*
 * desc.c - read a description: file -> entries -> keys.
 *
 * Xen's own parser decides what is good syntax; desc_keys.c knows the keys.
 */
#include "tools/strait/desc.h"

#include "tools/strait/xlu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)

const char *const desc_kind_name[DESC_KINDS] = { "file", "net" };

void desc_die(const struct desc *d, int line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (line)
		die(EXIT_STRAIT, "%s:%d: %s", d->file, line, text);
	die(EXIT_STRAIT, "%s: %s", d->file, text);
}

static char *read_text(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		die(EXIT_STRAIT, "%s: cannot be read: %s", file, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		die(EXIT_STRAIT, "%s: is not a regular file; want a description in xl.cfg syntax",
		    file);
	if (st.st_size > FILE_MAX)
		die(EXIT_STRAIT, "%s: is too large for a description (1 MiB at most)", file);
	char *text = xalloc((size_t)st.st_size + 1);
	ssize_t n = read(fd, text, (size_t)st.st_size);

	if (n < 0)
		die(EXIT_STRAIT, "%s: cannot be read: %s", file, strerror(errno));
	if (memchr(text, 0, (size_t)n))
		die(EXIT_STRAIT, "%s: holds zero bytes; want a description in xl.cfg syntax", file);
	close(fd);
	return text;
}

static void check_top_name(void *arg, const char *name, int line)
{
	static const char *const known[] = { "name", "services", "guests" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(name, known[i]))
			return;
	desc_die(arg, line, "%s: no such key; there are name, services and guests", name);
}

/* What one entry is read into. */
struct reader {
	struct desc *d;
	struct desc_service *service;
	struct desc_guest *guest;
	int line;
	bool first;
};

static void take_name(struct reader *r, const char *name)
{
	const char **to = r->service ? &r->service->name : &r->guest->name;

	if (*to)
		desc_die(r->d, r->line, "name %s: this entry is called %s already", name, *to);
	if (!opts_valid_name(name))
		desc_die(r->d, r->line,
		         "name %s: want 1 to 63 letters, digits, and _ . -, a letter or digit first",
		         name);
	*to = xprintf("%s", name);
}

static void take_part(void *arg, char *part)
{
	struct reader *r = arg;
	char *value = strchr(part, '=');
	bool first = r->first;

	r->first = false;
	if (!value && first) {
		take_name(r, part);
		return;
	}
	if (!value)
		desc_die(r->d, r->line, "%s: want KEY=VALUE", part);
	*value++ = 0;
	part[strcspn(part, " \t")] = 0;
	value += strspn(value, " \t");
	if (!strcmp(part, "name"))
		take_name(r, value);
	else if (r->service)
		desc_service_key(r->d, r->service, r->line, part, value);
	else
		desc_guest_key(r->d, r->guest, r->line, part, value);
}

static void read_entry(struct reader *r, struct xlu_file *f, struct xlu_value v, bool is_list)
{
	int line = r->line;

	r->first = true;
	if (!is_list) {
		const char *wrong = desc_split(xprintf("%s", xlu_text(f, v)), take_part, r);

		if (wrong)
			desc_die(r->d, line, "%s", wrong);
		return;
	}
	struct xlu_value list = xlu_sublist(f, v), item;

	for (int i = 0; xlu_entry(f, list, i, &item, &r->line, &is_list); i++) {
		if (is_list)
			desc_die(r->d, r->line, "want \"KEY=VALUE\", not another list");
		take_part(r, xprintf("%s", xlu_text(f, item)));
	}
	r->line = line;
}

/* A list of at most @max entries, each read by @r's kind. */
static void read_list(struct desc *d, struct xlu_file *f, bool services)
{
	const char *key = services ? "services" : "guests";
	unsigned max = services ? DESC_SERVICES_MAX : DESC_GUESTS_MAX;
	struct xlu_value list, v;
	int n = xlu_list(f, key, &list), line;
	bool is_list;

	for (int i = 0; i < n && xlu_entry(f, list, i, &v, &line, &is_list); i++) {
		struct reader r = { .d = d, .line = line };

		if ((unsigned)i >= max)
			desc_die(d, line, "%s: too many (%u at most)", key, max);
		if (services) {
			r.service = &d->services[d->n_services++];
			opts_init(&r.service->o);
			r.service->line = line;
		} else {
			r.guest = &d->guests[d->n_guests++];
			opts_init(&r.guest->o);
			r.guest->line = line;
		}
		read_entry(&r, f, v, is_list);
	}
}

/* A name is used once: it is a domain's, and part of paths. */
static void check_names(const struct desc *d)
{
	const char *seen[DESC_SERVICES_MAX + DESC_GUESTS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < d->n_services + d->n_guests; i++) {
		bool service = i < d->n_services;
		const struct desc_guest *g = &d->guests[service ? 0 : i - d->n_services];
		const char *name = service ? d->services[i].name : g->name;
		int line = service ? d->services[i].line : g->line;

		for (unsigned k = 0; k < n; k++)
			if (!strcmp(seen[k], name))
				desc_die(d, line, "name %s: another entry is called so", name);
		if (strlen(d->name) + 1 + strlen(name) > NAME_LEN_MAX)
			desc_die(d, line, "name %s: %s.%s is longer than %d characters", name,
			         d->name, name, NAME_LEN_MAX);
		seen[n++] = name;
	}
}

static const char *own_name(const struct desc *d, struct xlu_file *f)
{
	const char *name = xlu_string(f, "name");

	if (!name) {
		const char *slash = strrchr(d->file, '/');
		char *base = xprintf("%s", slash ? slash + 1 : d->file);
		char *dot = strrchr(base, '.');

		if (dot && dot > base)
			*dot = 0;
		name = base;
	}
	if (!opts_valid_name(name) || strchr(name, '.'))
		desc_die(d, 0, "name %s: want 1 to 63 letters, digits, and _ -, a letter or digit "
		               "first; name = \"...\" gives another than the file's", name);
	return name;
}

struct desc *desc_read(const char *file)
{
	struct desc *d = xalloc(sizeof(*d));
	char *text = read_text(file);
	const char *slash = strrchr(file, '/');

	d->file = file;
	d->folder = slash ? xprintf("%.*s", (int)(slash - file + 1), file) : "";
	struct xlu_file *f = xlu_parse(file, text);

	desc_top_names(text, check_top_name, d);
	d->name = own_name(d, f);
	read_list(d, f, true);
	read_list(d, f, false);
	for (unsigned i = 0; i < d->n_services; i++)
		desc_service_finish(d, &d->services[i]);
	for (unsigned i = 0; i < d->n_guests; i++)
		if (!d->guests[i].name)
			desc_die(d, d->guests[i].line, "name: this guest has none");
	check_names(d);
	for (unsigned i = 0; i < d->n_guests; i++)
		desc_guest_finish(d, &d->guests[i]);
	if (!d->n_services && !d->n_guests)
		desc_die(d, 0, "describes no service and no guest");
	return d;
}
