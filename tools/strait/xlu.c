/* SPDX-License-Identifier: MIT */
/*
 * xlu.c - libxlutil, by dlopen.
 *
 * Its name carries Xen's version.  The functions used here have been the same since
 * Xen 4.7 (lists in lists).  Their answers hold no line numbers, but what they say
 * when asked for the wrong kind of value does: xlu_entry() asks so on purpose.
 */
#include "tools/strait/xlu.h"

#include "tools/strait/strait.h"

#include <dlfcn.h>
#include <errno.h>
#include <libxlutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OLDEST 7 /* Xen 4.7 */
#define NEWEST 40

struct xlu_file {
	XLU_Config *cfg;
	FILE *report;
	char *said; /* what the library has reported so far */
	size_t said_len;
	size_t seen; /* of it, what was for us alone */
};

static struct {
	__typeof__(xlu_cfg_init) *init;
	__typeof__(xlu_cfg_readdata) *readdata;
	__typeof__(xlu_cfg_get_string) *get_string;
	__typeof__(xlu_cfg_get_list) *get_list;
	__typeof__(xlu_cfg_get_listitem2) *get_listitem;
	__typeof__(xlu_cfg_value_type) *value_type;
	__typeof__(xlu_cfg_value_get_string) *value_string;
	__typeof__(xlu_cfg_value_get_list) *value_list;
} g_xlu;

/* This machine's own first: the newest that is there. */
static void *open_library(void)
{
	char name[64];
	void *lib = dlopen("libxlutil.so.4.17", RTLD_NOW | RTLD_LOCAL);

	for (int minor = NEWEST; !lib && minor >= OLDEST; minor--) {
		snprintf(name, sizeof(name), "libxlutil.so.4.%d", minor);
		lib = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	}
	return lib ? lib : dlopen("libxlutil.so", RTLD_NOW | RTLD_LOCAL);
}

static void load(void)
{
	static const struct {
		const char *name;
		void *to;
	} list[] = {
		{ "xlu_cfg_init", &g_xlu.init },
		{ "xlu_cfg_readdata", &g_xlu.readdata },
		{ "xlu_cfg_get_string", &g_xlu.get_string },
		{ "xlu_cfg_get_list", &g_xlu.get_list },
		{ "xlu_cfg_get_listitem2", &g_xlu.get_listitem },
		{ "xlu_cfg_value_type", &g_xlu.value_type },
		{ "xlu_cfg_value_get_string", &g_xlu.value_string },
		{ "xlu_cfg_value_get_list", &g_xlu.value_list },
	};
	void *lib = open_library();

	if (!lib)
		die(EXIT_STRAIT, "descriptions are read by Xen's library libxlutil, which this "
		                 "machine does not have; install Debian's package libxenmisc4.17");
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		void *fn = dlsym(lib, list[i].name);

		if (!fn)
			die(EXIT_STRAIT, "this machine's libxlutil has no %s; "
			                 "install that of Xen 4.7 or later", list[i].name);
		memcpy(list[i].to, &fn, sizeof(fn));
	}
}

/* The library's words are "FILE:LINE: ...": pass on the first line. */
static void __attribute__((noreturn)) fail(struct xlu_file *f, const char *name)
{
	static const char warning[] = "warning: ";

	fflush(f->report);
	char *line = strtok(f->said + f->seen, "\n");
	char *w = line ? strstr(line, warning) : NULL;

	if (w)
		memmove(w, w + strlen(warning), strlen(w + strlen(warning)) + 1);
	die(EXIT_STRAIT, "%s", line ? line : name);
}

struct xlu_file *xlu_parse(const char *name, const char *text)
{
	struct xlu_file *f = xalloc(sizeof(*f));

	if (!g_xlu.init)
		load();
	f->report = open_memstream(&f->said, &f->said_len);
	f->cfg = f->report ? g_xlu.init(f->report, name) : NULL;
	if (!f->cfg)
		die(EXIT_STRAIT, "out of memory");
	if (g_xlu.readdata(f->cfg, text, (int)strlen(text)))
		fail(f, name);
	return f;
}

const char *xlu_string(struct xlu_file *f, const char *key)
{
	const char *s = NULL;
	int err = g_xlu.get_string(f->cfg, key, &s, 0);

	if (err && err != ESRCH)
		fail(f, key);
	return err ? NULL : s;
}

int xlu_list(struct xlu_file *f, const char *key, struct xlu_value *list)
{
	XLU_ConfigList *l = NULL;
	int n = 0;
	int err = g_xlu.get_list(f->cfg, key, &l, &n, 0);

	if (err && err != ESRCH)
		fail(f, key);
	list->p = l;
	return err ? -1 : n;
}

/* The line that stands in the library's last report, "FILE:LINE:COLUMN: ...". */
static int reported_line(struct xlu_file *f)
{
	fflush(f->report);
	const char *text = f->said + f->seen;
	const char *at = strstr(text, ": warning:");

	f->seen = f->said_len;
	for (int colons = 0; at && at > text; at--)
		if (at[-1] == ':' && ++colons == 2)
			return (int)strtol(at, NULL, 10);
	return 0;
}

bool xlu_entry(struct xlu_file *f, struct xlu_value list, int i, struct xlu_value *out,
               int *line, bool *is_list)
{
	XLU_ConfigValue *v = g_xlu.get_listitem(list.p, i);
	XLU_ConfigList *l;
	char *s;

	if (!v)
		return false;
	*is_list = g_xlu.value_type(v) == XLU_LIST;
	if (*is_list)
		(void)g_xlu.value_string(f->cfg, v, &s, 0);
	else
		(void)g_xlu.value_list(f->cfg, v, &l, 0);
	*line = reported_line(f);
	out->p = v;
	return true;
}

static XLU_ConfigValue *as_value(struct xlu_value v)
{
	union {
		const void *in;
		XLU_ConfigValue *out; /* the library only reads it */
	} u = { .in = v.p };

	return u.out;
}

const char *xlu_text(struct xlu_file *f, struct xlu_value v)
{
	char *s = NULL;

	return g_xlu.value_string(f->cfg, as_value(v), &s, 1) ? "" : s;
}

struct xlu_value xlu_sublist(struct xlu_file *f, struct xlu_value v)
{
	XLU_ConfigList *l = NULL;

	(void)g_xlu.value_list(f->cfg, as_value(v), &l, 1);
	return (struct xlu_value){ l };
}
