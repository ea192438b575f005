/* SPDX-License-Identifier: MIT */
/*
 * away.c - in dom0: end a service, and say how long it is away.
 *
 * usage: away NAME GUEST [PID]
 *
 * NAME is "file" or "net", service and kind alike; GUEST the number of a domain that uses
 * it.  With PID that process of dom0 is killed; without, the service's domain stands still
 * from the first moment on and is then destroyed by xl.  Prints, in ms since that moment,
 * "STEP MS" in order: what dom0 and the next instance say in xenstore.
 */
#include "services/agent/store.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xenctrl.h>

#define LIMIT_MS 150000.0

static struct store g_store;
static const char *g_name;
static unsigned g_guest, g_was, g_at, g_epoch;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool get(const char *path, char to[64])
{
	return store_read(&g_store, path, to, 64) >= 0;
}

static unsigned number(const char *what)
{
	char path[128], text[64];

	snprintf(path, sizeof(path), "/local/domain/%u/strait/%s/%s", g_guest, g_name, what);
	return get(path, text) ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static bool state_is(const char *want)
{
	char path[128], text[64];

	snprintf(path, sizeof(path), "/local/domain/%u/data/strait/%s/state", g_at, g_name);
	return get(path, text) && (!want || !strcmp(text, want));
}

/* Guests that @path names; @ready: that have their channels. */
static unsigned guests(const char *path, bool ready)
{
	char **names = NULL, node[200], text[64];
	const int n = store_list(&g_store, path, &names);
	unsigned count = 0;

	for (int i = 0; i < n; i++) {
		snprintf(node, sizeof(node), "%s/%.20s/state", path, names[i]);
		if (!ready || (get(node, text) && !strcmp(text, "ready")))
			count++;
	}
	if (names)
		store_list_free(names);
	return count;
}

/* ---- the steps; true: reached ---- */

static bool is_destroyed(void)
{
	return store_domain_lives(&g_store, g_was) == 0;
}

static bool is_told(void)
{
	const unsigned at = number("backend-id");
	char path[128];

	if (number("epoch") == g_epoch || at == g_was)
		return false;
	g_at = at;
	snprintf(path, sizeof(path), "/local/domain/%u/data/strait/%s", at, g_name);
	return store_watch(&g_store, path, "there") == 0;
}

static bool is_noticed(void)
{
	return !state_is("ready");
}

static bool is_starting(void)
{
	return state_is(NULL);
}

static bool is_ready(void)
{
	return state_is("ready");
}

/* All that are there by now. */
static bool has_guests(void)
{
	char announced[128], served[128];

	snprintf(announced, sizeof(announced), "/local/domain/%u/strait/%s/guests", g_at, g_name);
	snprintf(served, sizeof(served), "/local/domain/%u/data/strait/%s/guests", g_at, g_name);
	return guests(served, true) >= guests(announced, false);
}

struct step {
	const char *name;
	bool (*reached)(void);
};

static const struct step g_process[] = {
	{"noticed", is_noticed}, {"ready", is_ready}, {"rings", has_guests}, {NULL, NULL}};
static const struct step g_domain[] = {
	{"destroyed", is_destroyed}, {"made", is_told},     {"starting", is_starting},
	{"ready", is_ready},         {"rings", has_guests}, {NULL, NULL}};

static void follow(const struct step *s, double began)
{
	struct pollfd p = {.fd = g_store.fd, .events = POLLIN};
	int err;

	while (s->name && now_ms() - began < LIMIT_MS) {
		if (s->reached()) {
			printf("%s %.1f\n", s->name, now_ms() - began);
			s++;
			continue;
		}
		if (!g_store.events)
			(void)poll(&p, 1, 1000);
		for (struct store_event *e; (e = store_event(&g_store, &err)) != NULL;)
			free(e);
	}
	if (s->name) {
		fprintf(stderr, "away: it does not get to: %s\n", s->name);
		exit(1);
	}
}

static void destroy(void)
{
	char id[16], *argv[] = {"xl", "destroy", id, NULL};

	snprintf(id, sizeof(id), "%u", g_was);
	if (fork() == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
}

static int watch_all(void)
{
	char path[128];
	int r;

	snprintf(path, sizeof(path), "/local/domain/%u/data/strait/%s", g_was, g_name);
	r = store_watch(&g_store, path, "was");
	snprintf(path, sizeof(path), "/local/domain/%u/strait/%s", g_guest, g_name);
	if (r == 0)
		r = store_watch(&g_store, path, "guest");
	return r == 0 ? store_watch(&g_store, "@releaseDomain", "release") : r;
}

int main(int argc, char **argv)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);
	const pid_t pid = argc > 3 ? atoi(argv[3]) : 0;

	if (argc < 3 || !xc || store_open(&g_store) < 0) {
		fprintf(stderr, "away: %s\n", argc < 3 ? "usage: away NAME GUEST [PID]" : "no Xen");
		return 2;
	}
	g_name = argv[1];
	g_guest = (unsigned)atoi(argv[2]);
	g_was = g_at = number("backend-id");
	g_epoch = number("epoch");
	if (watch_all() < 0 || (pid > 0) != (g_was == 0)) {
		fprintf(stderr, "away: domain %u has no such service, or it is elsewhere\n", g_guest);
		return 2;
	}
	const double began = now_ms();

	if (pid ? kill(pid, SIGKILL) : xc_domain_pause(xc, g_was)) {
		perror("away");
		return 2;
	}
	if (!pid)
		destroy();
	follow(pid ? g_process : g_domain, began);
	return 0;
}
