/* SPDX-License-Identifier: MIT */
/*
 * watch.c - `strait watch`: sees domains of a deployment end.
 *
 * A guest that shuts down is kept by xl (on_poweroff = "preserve") until we have read
 * how it ended; then its services are told, and it is destroyed.  One that is destroyed
 * by others has no nodes any more: what it said last was seen by a watch, or it said
 * nothing.  A service domain that ends is made anew (rebuild.c), unless it ends again
 * and again; then it is not destroyed, so that its console can be read.
 *
 * When we are killed nothing is lost: domains that end stay, and `strait down` removes
 * them.
 */
#include "tools/strait/xen/deploy.h"
#include "tools/strait/xen/xl.h"
#include "tools/strait/xen/xs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCKED_MS 200  /* between two looks at whether a swap is over */
#define LOOK_MS 30000 /* also without an event: one may be lost with a connection */
#define CALM_S 600     /* between ends of a service domain that have to do with each other */
#define IN_A_ROW 3

struct watched {
	bool over;
	char *last; /* what its state node said */
	/* of a service's domain */
	struct kept_node *kept;
	time_t ended;
	unsigned in_a_row;
};

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *fmt, ...)
{
	char when[32];
	time_t now = time(NULL);
	struct tm tm;
	va_list ap;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime_r(&now, &tm));
	printf("%s ", when);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

char *watch_verdict(const char *node, int reason)
{
	if (node && (!strncmp(node, "exit ", 5) || !strncmp(node, "signal ", 7) ||
	             !strncmp(node, "crash", 5)))
		return xprintf("%s", node);
	switch (reason) {
	case -1:
		return xprintf("destroyed");
	case 3:
		return xprintf("crash it said nothing more");
	case 4:
		return xprintf("crash the watchdog ended it");
	default:
		return xprintf("crash it shut down (reason %d) without an exit status", reason);
	}
}

static void destroy(const struct member *m)
{
	const char *id = xprintf("%u", m->domid);
	const char *const args[] = { "destroy", id, NULL };
	char *text;

	if (xl_run(&text, args))
		note("%s: xl destroy %s: %s", m->domain, id, xl_sentence(text));
	free(text);
}

/* False: it stays as it is. */
static bool make_anew(struct deployment *d, struct member *m, struct watched *w, bool there)
{
	const time_t now = time(NULL);
	sigset_t term, before;
	char *why;

	w->in_a_row = w->ended && now - w->ended < CALM_S ? w->in_a_row + 1 : 0;
	w->ended = now;
	if (w->in_a_row >= IN_A_ROW) {
		note("%s ends again and again: it is not made anew", m->domain);
		return false;
	}
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before); /* `strait down` waits */
	if (there)
		destroy(m);
	why = rebuild(d, m, w->kept);
	if (why)
		note("%s cannot be made anew: %s", m->domain, why);
	else
		note("%s is domain %u now", m->domain, m->domid);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return !why;
}

static void look_at(struct deployment *d, struct member *m, struct watched *w,
                    const struct xl_domain *list, int n)
{
	const struct xl_domain *x = xl_find_id(list, n, m->domid, m->uuid);
	char *node = x ? nodes_guest_state(m) : NULL;

	if (node) {
		free(w->last);
		w->last = node;
	}
	if (x && !x->shut_down)
		return;
	w->over = true;
	char *verdict = watch_verdict(m->role == MEMBER_GUEST ? w->last : NULL, x ? x->reason : -1);

	note("%s (domain %u): %s", m->domain, m->domid, verdict);
	if (m->role == MEMBER_SERVICE && make_anew(d, m, w, x != NULL)) {
		w->over = false;
		free(verdict);
		return;
	}
	state_set_status(d->name, m, verdict);
	free(verdict);
	if (m->role != MEMBER_GUEST)
		return;
	nodes_guest_gone(m);
	if (x)
		destroy(m);
}

static void look(struct deployment *d, struct watched *w)
{
	struct xl_domain *list;
	char *text;
	int n = xl_list(&list, &text);

	if (n < 0) {
		note("xl list fails: %s", xl_sentence(text));
		free(text);
		return;
	}
	for (unsigned i = 0; i < d->n; i++)
		if ((d->m[i].role == MEMBER_SERVICE || d->m[i].role == MEMBER_GUEST) && !w[i].over)
			look_at(d, &d->m[i], &w[i], list, n);
	free(list);
	free(text);
}

/* What `strait swap` changed meanwhile; what it left, if it was killed. */
static void read_again(struct deployment *d, struct watched *w)
{
	static off_t had;
	struct stat st;
	const char *why;

	if (stat(state_path(d->name, "members", ""), &st) || st.st_size == had)
		return;
	if (!state_read(xprintf("%s", d->name), d, &why))
		note("%s", why ? why : "its state is gone");
	swap_clean(d);
	for (unsigned i = 0; i < d->n; i++)
		if (d->m[i].role == MEMBER_SERVICE && !w[i].over)
			rebuild_keep(&d->m[i], &w[i].kept);
	if (!stat(state_path(d->name, "members", ""), &st))
		had = st.st_size;
}

/* Not while somebody swaps a service: false then. */
static bool look_alone(struct deployment *d, struct watched *w)
{
	const int lock = state_lock(d->name, 0);

	if (lock < 0)
		return false;
	read_again(d, w);
	look(d, w);
	close(lock);
	return true;
}

/* Between events of other kinds: what guests say, so that it is not lost with them. */
static void hear(const struct deployment *d, struct watched *w)
{
	for (unsigned i = 0; i < d->n; i++) {
		char *node;

		if (d->m[i].role != MEMBER_GUEST || w[i].over)
			continue;
		node = nodes_guest_state(&d->m[i]);
		if (!node)
			continue;
		free(w[i].last);
		w[i].last = node;
	}
}

static int watch_all(const struct deployment *d)
{
	int err = xst_watch(XST_RELEASE);

	for (unsigned i = 0; i < d->n && !err; i++)
		if (d->m[i].role == MEMBER_GUEST)
			err = xst_watch(xprintf("/local/domain/%u/data/strait/state", d->m[i].domid));
	return err;
}

int watch_main(int argc, char **argv)
{
	static struct deployment d;
	static struct watched w[MEMBERS_MAX];
	const char *why;
	bool released = true;

	if (argc == 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		fputs("usage: strait watch NAME\n\n"
		      "Records how the guests of a deployment end.  `strait deploy` starts it; again\n"
		      "by hand, should it have been killed.\n", stdout);
		return 0;
	}
	if (argc != 2)
		die(EXIT_STRAIT, "watch: want `strait watch NAME`; `strait deploy` does it");
	if (!state_read(argv[1], &d, &why))
		die(EXIT_STRAIT, "watch %s: %s", argv[1],
		    why ? why : "nothing of that name is deployed; `strait ps` lists what is");
	if (d.watch && d.watch != getpid() && process_born(d.watch) == d.watch_born)
		die(EXIT_STRAIT, "watch %s: process %d does it", d.name, (int)d.watch);
	xst_open();
	if (d.watch != getpid() && state_set_watch(d.name, getpid()))
		die(EXIT_STRAIT, "watch %s: %s cannot be written", d.name,
		    state_path(d.name, "members", ""));
	int err = watch_all(&d);

	if (err)
		die(EXIT_STRAIT, "watch: %s", xst_why(err));
	note("watching %s", d.name);
	for (unsigned i = 0; i < d.n; i++)
		if (d.m[i].role == MEMBER_SERVICE)
			rebuild_hold_disks(d.name, &d.m[i]);
	while (!access(state_path(d.name, NULL, ""), F_OK)) {
		for (unsigned i = 0; i < d.n; i++)
			if (d.m[i].role == MEMBER_SERVICE && !w[i].over)
				rebuild_keep(&d.m[i], &w[i].kept);
		const bool busy = released && !look_alone(&d, w);

		if (!released)
			hear(&d, w);
		int got = xst_wait(busy ? LOCKED_MS : LOOK_MS, &released);

		released |= busy;

		if (got < 0) {
			note("xenstore: %s", strerror(-got));
			return EXIT_STRAIT;
		}
		released |= got == 0;
	}
	return 0;
}

int watch_start(const char *name)
{
	char *argv[] = { xprintf("strait"), xprintf("watch"), xprintf("%s", name), NULL };

	return background_start("/proc/self/exe", argv, state_path(name, "watch.log", ""));
}
