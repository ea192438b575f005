/* SPDX-License-Identifier: MIT */
/*
 * main.c - strait-agent: arguments, the loop, the end.
 *
 * Waits for its configuration in xenstore, starts the service, then follows events:
 * xenstore's watches, the service's words, signals.  What follows a service's end is
 * life.c's.
 */
#include "services/agent/agent.h"
#include "tools/strait/strait.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef STRAIT_VERSION
#define STRAIT_VERSION "0.1.0"
#endif

#define TRACE_MS 20
#define STOP_MS 20000 /* for a service to finish what its guests sent */

void say(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "strait-agent: %s\n", text);
}

/* For the part of the supervisor that starts children (tools/strait/child.c). */
void (*g_at_die)(void);

void die(int code, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say("%s", text);
	_exit(code);
}

void agent_state(struct agent *a, const char *text)
{
	char path[AGENT_PATH + 16];
	int r;

	snprintf(path, sizeof(path), "%s/state", a->data);
	r = store_write(&a->store, path, text);
	if (r < 0)
		say("cannot write xenstore node %s: %s", path, strerror(-r));
}

void agent_ready(struct agent *a)
{
	char path[AGENT_PATH + 16], text[16];

	snprintf(path, sizeof(path), "%s/epoch", a->data);
	snprintf(text, sizeof(text), "%u", a->config.epoch);
	if (store_write(&a->store, path, text) < 0)
		say("cannot write xenstore node %s", path);
	a->service.up_ms = now_ms();
	agent_state(a, "ready");
}

void agent_fail(struct agent *a, const char *fmt, ...)
{
	char why[CONFIG_WHY], text[CONFIG_WHY + 16];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	swap_took_failure(a, why);
	if (a->failed || a->swap.trying)
		return; /* the first reason counts */
	a->failed = true;
	say("%s", why);
	snprintf(text, sizeof(text), "failed: %s", why);
	if (a->name[0])
		agent_state(a, text);
}

/* ---- start ---- */

/* Without a name: the only child of our strait node that is a service's. */
static bool find_name(struct agent *a)
{
	char **names, path[STORE_PATH_MAX], kind[16];
	int n;

	if (a->name[0])
		return true;
	n = store_list(&a->store, "strait", &names);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "strait/%.64s/config/kind", names[i]);
		if (config_valid_name(names[i]) &&
		    store_read(&a->store, path, kind, sizeof(kind)) > 0)
			snprintf(a->name, sizeof(a->name), "%s", names[i]);
	}
	if (n >= 0)
		store_list_free(names);
	return a->name[0] != 0;
}

static void set_paths(struct agent *a)
{
	snprintf(a->base, sizeof(a->base), "/local/domain/%u/strait/%s", a->domid, a->name);
	snprintf(a->data, sizeof(a->data), "/local/domain/%u/data/strait/%s", a->domid,
	         a->name);
}

/* All but what the instance that serves has: its state, its disks. */
static void stand_by(struct agent *a)
{
	char why[CONFIG_WHY];

	a->swap.state = SWAP_STANDBY;
	if (a->config.kind == KIND_NET) {
		if (service_start(a) < 0 && !a->failed)
			agent_fail(a, "the service could not be started");
	} else if (mounts_await(&a->config, why) < 0) {
		agent_fail(a, "%s", why);
	} else if (selfcheck_files(a, why) < 0) {
		agent_fail(a, "self-check: %s", why);
	} else if (service_launch(a) == 0) {
		swap_stand_by(a);
	}
}

static void configure(struct agent *a)
{
	char why[CONFIG_WHY];
	int r;

	if (!find_name(a))
		return;
	if (!a->base[0]) {
		set_paths(a);
		(void)store_rm(&a->store, a->data); /* of an earlier life */
		agent_state(a, "starting");
		life_answer(a); /* what was asked before we watched */
	}
	r = config_read(&a->store, a->base, &a->config, why);
	if (r == -EAGAIN)
		return;
	a->configured = true;
	if (r == 0 && !a->config.has_instance &&
	    getrandom(a->config.instance, sizeof(a->config.instance), 0) < 0)
		r = -errno, snprintf(why, sizeof(why), "no random numbers");
	if (r == 0 && a->config.epoch > 1)
		guests_expect_listed(a);
	if (r < 0)
		agent_fail(a, "%s", why);
	else if (a->config.standby)
		stand_by(a);
	else if (service_start(a) < 0 && !a->failed)
		agent_fail(a, "the service could not be started");
}

static int connect_store(struct agent *a)
{
	char text[16];
	int r = store_open(&a->store);

	if (r < 0) {
		say("cannot reach xenstore: %s; is this a Xen domain, and xenstored running?",
		    strerror(-r));
		return r;
	}
	r = store_read(&a->store, "domid", text, sizeof(text));
	if (r >= 0)
		r = config_domid(text);
	if (r < 0) {
		say("cannot read this domain's number in xenstore: %s", strerror(-r));
		return r;
	}
	a->domid = (unsigned)r;
	r = store_watch(&a->store, "strait", "dom0");
	if (r == 0)
		r = store_watch(&a->store, "@releaseDomain", "release");
	if (r < 0)
		say("cannot watch xenstore: %s", strerror(-r));
	return r;
}

/* ---- events ---- */

static void look(struct agent *a)
{
	if (a->stopping || a->failed)
		return;
	if (!a->configured) {
		configure(a);
		return;
	}
	swap_look_for_order(a); /* first: guests may be waiting for it */
	guests_look(a);
	life_look_for_order(a);
}

static int store_readable(struct agent *a)
{
	struct store_event *e;
	bool any = false;
	int err;

	while ((e = store_event(&a->store, &err))) {
		any |= !life_answers(a, e->path) && !status_asked(a, e->path);
		free(e);
	}
	if (err) {
		say("xenstore is gone: %s", strerror(-err));
		return err;
	}
	if (any)
		look(a); /* whatever it was: see guests.c */
	return 0;
}

static void reap(struct agent *a)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == a->service.pid) {
			service_readable(a); /* its last words: why */
			service_died(a, status);
		} else {
			swap_child_ended(a, pid, status);
		}
}

/* True: end, *again: by a restart. */
static bool take_signals(struct agent *a, int fd, bool *again)
{
	struct signalfd_siginfo si;
	bool end = false;

	while (read(fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGCHLD) {
			reap(a);
		} else {
			*again = a->init && si.ssi_signo == SIGINT;
			end = true;
		}
	}
	return end;
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int wait_events(struct agent *a, int signals, int ms, bool *again)
{
	struct pollfd p[5] = {{signals, POLLIN, 0},
	                      {a->store.fd, POLLIN, 0},
	                      {a->service.pid ? a->service.sock : -1, POLLIN, 0},
	                      {trace_fd(a), POLLIN, 0},
	                      {swap_fd(a), POLLIN, 0}};
	bool end = false;

	/* The reader of a trace does not say when it has made room. */
	if (a->trace.sending && (ms < 0 || ms > TRACE_MS))
		ms = TRACE_MS;
	if (!a->store.events && poll(p, 5, ms) < 0 && errno != EINTR)
		return -errno;
	if (p[3].revents || a->trace.sending)
		trace_event(a);
	if (p[4].revents)
		swap_readable(a);
	if (p[2].revents)
		service_readable(a);
	if (p[0].revents)
		end = take_signals(a, signals, again);
	/* In a domain the guests that are there are served on without xenstore. */
	if ((p[1].revents || a->store.events) && store_readable(a) < 0 && !a->init)
		return -EPIPE;
	return end;
}

/* Of two waits in ms, -1: for ever. */
static int sooner(int x, int y)
{
	return x < 0 || (y >= 0 && y < x) ? y : x;
}

/* Until told to end.  In dom0 also when the service failed; process 1 stays, so that
 * its console and its state can be read. */
static int run(struct agent *a, int signals, bool *again)
{
	int r = 0;

	while (r == 0 && (a->init || !a->failed))
		r = wait_events(a, signals, sooner(life_step(a), swap_step(a)), again);
	return r < 0 ? r : a->failed ? -EIO : 0;
}

static void stop(struct agent *a, int signals)
{
	const uint64_t until = now_ms() + STOP_MS;
	bool again;

	a->stopping = true;
	if (!a->failed && a->base[0])
		agent_state(a, "stopping"); /* which may take its time */
	service_stop(a);
	while (a->service.pid && now_ms() < until)
		if (wait_events(a, signals, (int)(until - now_ms()), &again) < 0)
			break;
	if (a->service.pid) {
		say("the service did not end within %d s and is killed", STOP_MS / 1000);
		(void)kill(a->service.pid, SIGKILL);
		(void)waitpid(a->service.pid, NULL, 0);
		(void)service_ended(a); /* said */
	}
	swap_end(a);
	guests_end(a);
	if (!a->failed && a->base[0])
		(void)store_rm(&a->store, a->data);
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* ---- arguments ---- */

static void usage(FILE *to)
{
	fprintf(to,
	        "usage: strait-agent [--service NAME]\n"
	        "       strait-agent --trace-of DOMID --service NAME >FILE\n"
	        "\n"
	        "Supervises one service of strait on Xen: as a process of dom0, or as the\n"
	        "first process of a service domain.  Its configuration comes from xenstore,\n"
	        "below strait/NAME of its domain.\n"
	        "\n"
	        "  --service NAME   which; a domain with one service needs no name\n"
	        "  --trace-of DOMID in dom0: write the trace (pcapng) that service NAME of\n"
	        "                   that domain has recorded so far\n"
	        "  --help, --version\n");
}

static void parse_args(int argc, char **argv, struct agent *a)
{
	static const struct option options[] = {
		{"service", required_argument, NULL, 's'},
		{"trace-of", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			if (!config_valid_name(optarg))
				die(EXIT_STRAIT, "--service %s is not a name of a service", optarg);
			snprintf(a->name, sizeof(a->name), "%s", optarg);
			break;
		case 't':
			a->trace_of = config_domid(optarg);
			if (a->trace_of < 0)
				die(EXIT_STRAIT, "--trace-of %s is not a domain's number", optarg);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'v':
			printf("strait-agent (strait) %s\n", STRAIT_VERSION);
			exit(0);
		default:
			die(EXIT_STRAIT, "try strait-agent --help");
		}
	}
	if (optind < argc)
		die(EXIT_STRAIT, "too many arguments; try strait-agent --help");
	if (a->trace_of >= 0 && !a->name[0])
		die(EXIT_STRAIT, "--trace-of wants --service NAME");
}

int main(int argc, char **argv)
{
	struct agent a = {.init = getpid() == 1, .store.fd = -1, .service.sock = -1, .service.link_fd = -1,
	                  .trace.fd = -1, .trace_of = -1,
	                  .swap.next = {.sock = -1, .trace.fd = -1}};
	const char *slash = strrchr(argv[0], '/'), *me = slash ? slash + 1 : argv[0];
	bool again = false;
	int signals, r;

	if (strcmp(me, "poweroff") == 0 || strcmp(me, "reboot") == 0)
		return init_told(me);
	signals = open_signals();
	if (a.init) {
		init_start();
		init_service_name(a.name, sizeof(a.name));
		init_shell();
	}
	parse_args(argc, argv, &a);
	if (a.name[0] && !config_valid_name(a.name))
		die(EXIT_STRAIT, "strait.service=%s is not a name of a service", a.name);
	r = connect_store(&a);
	if (r == 0 && a.trace_of >= 0)
		return trace_fetch(&a.store, (unsigned)a.trace_of, a.name);
	if (r == 0) {
		look(&a);
		r = run(&a, signals, &again);
		stop(&a, signals);
	}
	store_close(&a.store);
	if (a.init)
		init_end(again);
	return r < 0 ? EXIT_STRAIT : 0;
}
