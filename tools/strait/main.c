/* SPDX-License-Identifier: MIT */
/*
 * main.c - the `strait` command: finds the subcommand.
 */
#include "tools/strait/strait.h"
#include "tools/strait/xen/deploy.h"
#include "tools/trace/trace.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef STRAIT_VERSION
#define STRAIT_VERSION "0.1.0"
#endif

__attribute__((format(printf, 1, 0)))
static void vsay(const char *fmt, va_list ap)
{
	char text[2048];
	int n = snprintf(text, sizeof(text), "strait: ");
	int m = vsnprintf(text + n, sizeof(text) - (size_t)n - 1, fmt, ap);

	n += m < 0 ? 0 : m;
	if (n > (int)sizeof(text) - 2)
		n = (int)sizeof(text) - 2;
	text[n++] = '\n';
	/* One write, so that lines of several processes do not mix; nobody is left
	 * to tell when stderr itself fails. */
	ssize_t r = write(STDERR_FILENO, text, (size_t)n);
	(void)r;
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
}

void (*g_at_die)(void);

void die(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
	if (g_at_die)
		g_at_die();
	_exit(code);
}

void *xalloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		die(EXIT_STRAIT, "out of memory");
	return p;
}

char *xprintf(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		die(EXIT_STRAIT, "out of memory");
	va_end(ap);
	return s;
}

static void help(void)
{
	fputs("usage: strait COMMAND [ARGUMENTS]\n"
	      "\n"
	      "  run [OPTIONS] PROG [ARGS]   run a program built by strait-cc\n"
	      "  ps                          list the guests that run\n"
	      "  stop NAME                   ask a guest to end (TERM, then KILL)\n"
	      "  restart NAME --service S    end fsd or netd of a guest, start it again\n"
	      "  swap NAME --service S       put a new fsd or netd in its place\n"
	      "  strace NAME on|off          switch a guest's call log\n"
	      "  trace report|show FILE      read a trace made with run --trace\n"
	      "\n"
	      "  run --config FILE           the services and guests of a description, here\n"
	      "  deploy FILE                 the same, as domains of Xen\n"
	      "  down [NAME]                 remove what was deployed\n"
	      "  logs NAME, console NAME     what a domain wrote; its terminal\n"
	      "  wait NAME                   wait for a guest on Xen, end with its status\n"
	      "  trace fetch NAME            the trace of a service on Xen\n"
	      "\n"
	      "  --version                   print the version\n"
	      "\n"
	      "`strait COMMAND --help` says more.\n",
	      stdout);
}

static int cmd_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	help();
	return 0;
}

static int cmd_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("strait " STRAIT_VERSION);
	return 0;
}

static int cmd_trace(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "fetch"))
		return trace_fetch_main(argc - 1, argv + 1);
	return trace_main(argc, argv);
}

static const struct {
	const char *name;
	int (*fn)(int argc, char **argv); /* argv[0] is the subcommand */
} commands[] = {
	{ "run", run_main },
	{ "ps", names_cmd_ps },
	{ "stop", names_cmd_stop },
	{ "restart", names_cmd_restart },
	{ "swap", names_cmd_swap },
	{ "strace", names_cmd_strace },
	{ "trace", cmd_trace },
	{ "deploy", deploy_main },
	{ "down", down_main },
	{ "logs", logs_main },
	{ "console", console_main },
	{ "wait", wait_main },
	{ "watch", watch_main },
	{ "help", cmd_help },
	{ "-h", cmd_help },
	{ "--help", cmd_help },
	{ "version", cmd_version },
	{ "--version", cmd_version },
};

int main(int argc, char **argv)
{
	if (argc < 2) {
		say("no command given; `strait --help` lists them");
		return EXIT_STRAIT;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		int r = commands[i].fn(argc - 1, argv + 1);

		if (fflush(stdout) || ferror(stdout)) {
			say("cannot write to stdout: %s", strerror(errno));
			return EXIT_STRAIT;
		}
		return r;
	}
	say("unknown command %s; `strait --help` lists them", argv[1]);
	return EXIT_STRAIT;
}
