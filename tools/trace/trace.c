/* SPDX-License-Identifier: MIT */
/*
 * trace.c - `strait trace VERB [OPTIONS] FILE`: options, then the verb.
 */
#include "tools/trace/trace.h"

#include "tools/trace/report.h"
#include "tools/trace/show.h"
#include "tools/trace/value.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct filter filter;
	struct line_style style;
	unsigned slowest;
	bool json;
	const char *file;
};

static int bad(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int bad(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("strait: trace: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return TRACE_EXIT_USAGE;
}

static void help(void)
{
	fputs("usage: strait trace report [OPTIONS] FILE\n"
	      "       strait trace show [OPTIONS] FILE\n"
	      "\n"
	      "Read a trace made with `strait run --trace FILE`; `-` reads stdin.\n"
	      "\n"
	      "  report   a table of calls: counts, errors, bytes, latency, and where "
	      "the\n"
	      "           time went\n"
	      "  show     a line for each call, post and event, with decoded "
	      "arguments\n"
	      "\n"
	      "Both take only what passes every filter given:\n"
	      "  --call NAME       a method (File.Read or Read) or a service (File, "
	      "Net);\n"
	      "                    may be given more than once\n"
	      "  --errno E         that failed so: ENOENT, 2, or any\n"
	      "  --domid N         of this guest\n"
	      "  --path P          about this file, what lies under it, or a pattern "
	      "(*?[)\n"
	      "  --slower TIME     that took at least TIME: 100us, 2ms, 1s\n"
	      "\n"
	      "report:\n"
	      "  --slowest N       also list the N slowest calls\n"
	      "  --json            for programs; durations in ns\n"
	      "\n"
	      "show:\n"
	      "  --times           queueing and service apart\n"
	      "  --wall            time of day instead of seconds since the start\n"
	      "  --strings N       at most N bytes of a recorded payload (32)\n"
	      "  --verbose         every field, also of file attributes\n"
	      "\n"
	      "Exit status: 0; 1 the file is damaged (what could be read was shown);\n"
	      "125 bad usage, or not a trace.\n",
	      stdout);
}

enum {
	CALL = 256,
	ERRNO,
	DOMID,
	PATH,
	SLOWER,
	SLOWEST,
	JSON,
	TIMES,
	WALL,
	STRINGS,
	VERBOSE
};

static const struct option g_common[] = {
        {"call", required_argument, NULL, CALL},
        {"errno", required_argument, NULL, ERRNO},
        {"domid", required_argument, NULL, DOMID},
        {"path", required_argument, NULL, PATH},
        {"slower", required_argument, NULL, SLOWER},
        {"help", no_argument, NULL, 'h'},
};
static const struct option g_report[] = {
        {"slowest", required_argument, NULL, SLOWEST},
        {"json", no_argument, NULL, JSON},
        {NULL, 0, NULL, 0},
};
static const struct option g_show[] = {
        {"times", no_argument, NULL, TIMES},
        {"wall", no_argument, NULL, WALL},
        {"strings", required_argument, NULL, STRINGS},
        {"verbose", no_argument, NULL, VERBOSE},
        {NULL, 0, NULL, 0},
};
#define N_COMMON (sizeof(g_common) / sizeof(g_common[0]))

static bool number(const char *text, unsigned long max, unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 &&
	       *out <= max;
}

/* What an option's value should have been; NULL when it is right. */
static const char *set_filter(struct filter *f, int c, const char *v)
{
	switch (c) {
	case CALL:
		return filter_add_call(f, v) ? NULL
		                             : "no such method or service; File.Read, "
		                               "Read, File and Net are examples";
	case ERRNO:
		return filter_set_errno(f, v) ? NULL
		                              : "want an errno: ENOENT, 2, or any";
	case DOMID:
		return filter_set_domid(f, v) ? NULL : "want a guest's number";
	case PATH:
		return filter_set_path(f, v) ? NULL : "want a path";
	default:
		return filter_set_slower(f, v) ? NULL : "want a time: 100us, 2ms, 1s";
	}
}

static const char *set_option(struct options *o, int c, const char *v)
{
	unsigned long n;

	switch (c) {
	case SLOWEST:
		if (!number(v, REPORT_SLOWEST_MAX, &n))
			return "want a number up to 1000";
		o->slowest = (unsigned)n;
		return NULL;
	case STRINGS:
		if (!number(v, PAIR_PAYLOAD_KEPT, &n))
			return "want a number up to 4096";
		o->style.args.strings = n;
		return NULL;
	case JSON:
		o->json = true;
		return NULL;
	case TIMES:
		o->style.times = true;
		return NULL;
	case WALL:
		o->style.wall = true;
		return NULL;
	case VERBOSE:
		o->style.args.verbose = true;
		return NULL;
	default:
		return set_filter(&o->filter, c, v);
	}
}

/* 0, or an exit status; 'h' after --help. */
static int parse(int argc, char **argv, const struct option *own, struct options *o)
{
	struct option all[N_COMMON + sizeof(g_show) / sizeof(g_show[0])];
	unsigned n_own = 0;
	int c, which = 0;

	while (own[n_own].name)
		n_own++;
	memcpy(all, g_common, sizeof(g_common));
	memcpy(all + N_COMMON, own, (n_own + 1) * sizeof(own[0]));
	optind = 0;
	while ((c = getopt_long(argc, argv, ":h", all, &which)) != -1) {
		const char *why;

		if (c == 'h')
			return 'h';
		if (c == '?')
			return bad("unknown option %s; see `strait trace --help`",
			           argv[optind - 1]);
		if (c == ':')
			return bad("%s needs a value; see `strait trace --help`",
			           argv[optind - 1]);
		why = set_option(o, c, optarg);
		if (why)
			return bad("--%s %s: %s", all[which].name, optarg, why);
	}
	if (argc - optind != 1)
		return bad(argc == optind
		                   ? "no file named; see `strait trace --help`"
		                   : "one file at a time; see `strait trace --help`");
	o->file = argv[optind];
	return 0;
}

/* Say what was wrong with the file; the exit status. */
static int verdict(const struct scan *s, const char *name, bool any)
{
	fflush(stdout);
	if (!any) {
		value_put(stderr, "strait: trace: %s: %s\n", name, s->stop);
		return TRACE_EXIT_USAGE;
	}
	if (s->bad)
		value_put(stderr,
		          "strait: trace: %s: %llu packets left out, the first: %s\n",
		          name, (unsigned long long)s->bad, s->first_bad);
	if (s->stopped)
		value_put(stderr,
		          "strait: trace: %s: %s; what lies before it is shown\n", name,
		          s->stop);
	if (s->bad || s->stopped)
		return TRACE_EXIT_DAMAGED;
	if (s->frames == 0 && s->others) {
		value_put(stderr,
		          "strait: trace: %s: no packet of it is a trace of Strait's\n",
		          name);
		return TRACE_EXIT_USAGE;
	}
	return 0;
}

static int do_report(const struct options *o, FILE *in)
{
	struct report r;
	const bool any = report_make(&r, in, &o->filter, o->slowest);
	int rc;

	if (r.out_of_memory) {
		rc = bad("%s: out of memory", o->file);
	} else {
		if (any && o->json)
			report_json(&r, stdout, o->file);
		else if (any)
			report_text(&r, stdout, o->file);
		rc = verdict(&r.scan, o->file, any);
	}
	report_fini(&r);
	return rc;
}

static int do_show(const struct options *o, FILE *in)
{
	struct scan s;
	const bool any = show_file(in, stdout, &o->filter, &o->style, &s);

	return verdict(&s, o->file, any);
}

static int run(int argc, char **argv, const struct option *own,
               int (*verb)(const struct options *, FILE *))
{
	struct options o = {.style = {.args = {.strings = 32}}};
	FILE *in;
	int rc = parse(argc, argv, own, &o);

	if (rc == 'h') {
		help();
		return 0;
	}
	if (rc)
		return rc;
	in = strcmp(o.file, "-") ? fopen(o.file, "rbe") : stdin;
	if (!in)
		return bad("cannot open %s: %m", o.file);
	rc = verb(&o, in);
	if (in != stdin)
		fclose(in);
	return rc;
}

int trace_main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "report"))
		return run(argc - 1, argv + 1, g_report, do_report);
	if (!strcmp(verb, "show"))
		return run(argc - 1, argv + 1, g_show, do_show);
	if (!strcmp(verb, "-h") || !strcmp(verb, "--help") || !strcmp(verb, "help")) {
		help();
		return 0;
	}
	return *verb ? bad("unknown verb %s; want report or show, see `strait trace "
	                   "--help`",
	                   verb)
	             : bad("want report or show; see `strait trace --help`");
}
