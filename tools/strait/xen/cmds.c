/* SPDX-License-Identifier: MIT */
/*
 * cmds.c - what deals with a deployment that runs: down, logs, console, wait, stop.
 */
#include "tools/strait/xen/deploy.h"
#include "tools/strait/xen/xl.h"
#include "tools/strait/xen/xs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RESTART_MS 60000
#define STOP_MS 10000

static bool wants_help(int argc, char **argv, const char *usage)
{
	if (argc < 2 || (strcmp(argv[1], "-h") && strcmp(argv[1], "--help")))
		return false;
	fputs(usage, stdout);
	return true;
}

static void sleep_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* The only deployment, when none is named. */
static const char *the_only_one(const char *cmd)
{
	char **list = state_list();

	if (!list[0])
		die(EXIT_STRAIT, "%s: nothing is deployed", cmd);
	if (list[1])
		die(EXIT_STRAIT, "%s: several are deployed (%s, %s, ...); name one", cmd, list[0],
		    list[1]);
	return list[0];
}

int down_main(int argc, char **argv)
{
	static struct deployment d;
	const char *name, *why;

	if (wants_help(argc, argv,
	               "usage: strait down [NAME]\n\n"
	               "Removes what `strait deploy` brought up, guests first.\n"))
		return 0;
	if (argc > 2)
		die(EXIT_STRAIT, "down: want `strait down [NAME]`");
	name = argc > 1 ? argv[1] : the_only_one("down");
	if (!state_read(name, &d, &why) && !why)
		die(EXIT_STRAIT, "down %s: nothing of that name is deployed; `strait ps` lists what is",
		    name);
	if (why) /* who wrote it was killed, or worse */
		say("note: %s; what can be read of it is removed, see `xl list` for more", why);
	check_host();
	xst_open();
	return deploy_undo(&d, false) ? 0 : EXIT_STRAIT;
}

/* --- status ----------------------------------------------------------------- */

/* "exit 3" -> 3, "signal 11" -> 139, destroyed -> 137, a crash -> 125. */
static int exit_status(const char *status)
{
	if (!strncmp(status, "exit ", 5))
		return (int)strtol(status + 5, NULL, 10) & 0xff;
	if (!strncmp(status, "signal ", 7))
		return 128 + ((int)strtol(status + 7, NULL, 10) & 0x7f);
	return !strcmp(status, "destroyed") ? 137 : EXIT_STRAIT;
}

int wait_main(int argc, char **argv)
{
	static struct deployment d;
	struct member *m;
	char *status;

	if (wants_help(argc, argv,
	               "usage: strait wait NAME\n\n"
	               "Waits until a guest on Xen has ended, and ends as it did: with its exit\n"
	               "status; 128+N when signal N ended it; 137 when it was destroyed; 125 when\n"
	               "it crashed or cannot be waited for.\n"))
		return 0;
	if (argc != 2)
		die(EXIT_STRAIT, "wait: want `strait wait NAME`");
	m = state_find(argv[1], &d);
	if (m->role != MEMBER_GUEST)
		die(EXIT_STRAIT, "wait %s: is a service, which does not end by itself", argv[1]);
	while (!(status = state_status(d.name, m))) {
		if (access(state_path(d.name, NULL, ""), F_OK))
			die(EXIT_STRAIT, "wait %s: %s was removed", argv[1], d.name);
		if (!state_is_watched(&d)) /* it may have written just before it went */
			break;
		sleep_ms(100);
	}
	if (!status)
		status = state_status(d.name, m);
	if (!status)
		die(EXIT_STRAIT, "wait %s: the watcher of %s has ended (see %s); `strait watch %s &` "
		                 "starts it", argv[1], d.name, state_path(d.name, "watch.log", ""),
		    d.name);
	if (strncmp(status, "exit ", 5))
		say("%s: %s", m->domain, status);
	return exit_status(status);
}

/* --- consoles --------------------------------------------------------------- */

static int copy_out(const char *path, bool follow)
{
	char buf[16384];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		die(EXIT_STRAIT, "%s: %s", path, strerror(errno));
	for (;;) {
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
				die(EXIT_STRAIT, "cannot write to stdout: %s", strerror(errno));
		fflush(stdout);
		if (!follow || n < 0)
			break;
		sleep_ms(200);
	}
	close(fd);
	return n < 0 ? EXIT_STRAIT : 0;
}

int logs_main(int argc, char **argv)
{
	static struct deployment d;
	bool follow = argc > 1 && !strcmp(argv[1], "-f");
	struct member *m;
	char *path;

	if (wants_help(argc, argv,
	               "usage: strait logs [-f] NAME\n\n"
	               "Shows what a guest or a service on Xen wrote on its console; -f goes on\n"
	               "with what comes.\n"))
		return 0;
	if (argc != 2 + follow)
		die(EXIT_STRAIT, "logs: want `strait logs [-f] NAME`");
	m = state_find(argv[argc - 1], &d);
	path = m->role == MEMBER_DOM0 ? state_path(d.name, m->name, ".agent")
	                              : console_log_path(m->domain);
	if (!path)
		die(EXIT_STRAIT, "logs %s: xenconsoled keeps no logs; start it with --log=guest "
		                 "(Debian: XENCONSOLED_ARGS in /etc/default/xen), or use "
		                 "`strait console`", m->domain);
	return copy_out(path, follow);
}

int console_main(int argc, char **argv)
{
	static struct deployment d;
	struct member *m;

	if (wants_help(argc, argv,
	               "usage: strait console NAME\n\n"
	               "Attaches the terminal to a guest's or a service's console: what is typed\n"
	               "is the program's standard input.  Ctrl-] leaves it.\n"))
		return 0;
	if (argc != 2)
		die(EXIT_STRAIT, "console: want `strait console NAME`");
	m = state_find(argv[1], &d);
	if (m->role == MEMBER_DOM0)
		die(EXIT_STRAIT, "console %s: runs in dom0 and has none; `strait logs %s` shows what "
		                 "it says", m->domain, m->domain);
	check_host();
	fflush(stdout);
	execlp("xl", "xl", "console", xprintf("%u", m->domid), (char *)NULL);
	die(EXIT_STRAIT, "xl cannot be started: %s", strerror(errno));
}

int trace_fetch_main(int argc, char **argv)
{
	static struct deployment d;
	struct member *m;

	if (wants_help(argc, argv,
	               "usage: strait trace fetch NAME >FILE\n\n"
	               "Writes what a service on Xen has recorded so far (trace=1 in its description),\n"
	               "as pcapng.\n"))
		return 0;
	if (argc != 2)
		die(EXIT_STRAIT, "trace fetch: want `strait trace fetch NAME >FILE`");
	m = state_find(argv[1], &d);
	if (m->role == MEMBER_GUEST)
		die(EXIT_STRAIT, "trace fetch %s: is a guest; services record", m->domain);
	if (isatty(1))
		die(EXIT_STRAIT, "trace fetch %s: will not write a trace to a terminal; redirect it",
		    m->domain);
	check_host();
	agent_fetch_trace(m);
}

/* --- stop ------------------------------------------------------------------- */

bool xen_stop(const char *what, int *status)
{
	static struct deployment d;
	struct member *m;
	char *text;

	if (!state_list()[0])
		return false;
	m = state_find(what, &d);
	if (m->role != MEMBER_GUEST)
		die(EXIT_STRAIT, "stop %s: is a service; `strait down %s` ends all of it", what, d.name);
	*status = 0;
	if (state_status(d.name, m))
		return true;
	const char *id = xprintf("%u", m->domid);
	const char *const ask[] = { "shutdown", id, NULL }, *const kill[] = { "destroy", id, NULL };
	int failed = xl_run(&text, ask);

	for (int ms = 0; !failed && ms < STOP_MS; ms += 100) {
		if (state_status(d.name, m))
			return true;
		sleep_ms(100);
	}
	failed = xl_run(&text, kill);
	if (failed)
		die(EXIT_STRAIT, "stop %s: xl destroy: %s", what, xl_sentence(text));
	say("note: %s did not end in time; it was destroyed", m->domain);
	return true;
}

bool xen_restart(const char *what, const char *service, int *status)
{
	static struct deployment d;
	const struct member *m;

	if (!state_list()[0])
		return false;
	m = state_find(what, &d);
	m = member_service(&d, m, strcmp(service, "fsd") ? DESC_NET : DESC_FILE);
	if (!m)
		die(EXIT_STRAIT, "restart %s: it has no such service", what);
	xst_open();
	const unsigned before = nodes_epoch(m);
	int err = before ? nodes_restart(m) : -ENOENT;

	*status = EXIT_STRAIT;
	if (err)
		say("%s: %s", m->domain, before ? xst_why(err) : "it is not ready");
	for (int ms = 0; !err && ms < RESTART_MS; ms += 50) {
		char *state = nodes_service_state(m);

		if (nodes_epoch(m) > before && state && !strcmp(state, "ready")) {
			printf("%s: epoch %u follows %u, after %d ms\n", m->domain, nodes_epoch(m),
			       before, ms);
			*status = 0;
			return true;
		}
		free(state);
		sleep_ms(50);
	}
	if (!err)
		say("%s: no other instance comes within %d s", m->domain, RESTART_MS / 1000);
	return true;
}
