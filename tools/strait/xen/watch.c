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
#include "tools/strait/xen/pulse.h"
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
#define REBOOT 1       /* Xen's reason of a shutdown */
#define DESTROY_TRIES 20 /* twice a second */

struct watched {
	bool over;
	char *last; /* what its state node said */
	/* of a service's domain */
	struct kept_node *kept;
	struct pulse pulse;
	time_t ended;
	unsigned in_a_row;
};

void watch_note(const char *fmt, ...)
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

static bool is_gone(const struct member *m)
{
	struct xl_domain *list;
	char *text;
	const int n = xl_list(&list, &text);
	const bool gone = n >= 0 && !xl_find_id(list, n, m->domid, m->uuid);

	free(list);
	free(text);
	return gone;
}

/* Somebody else's `xl destroy` may be at it. */
static bool destroy(const struct member *m)
{
	const char *id = xprintf("%u", m->domid);
	const char *const args[] = { "destroy", id, NULL };
	char *text = NULL;

	for (int i = 0; i < DESTROY_TRIES; i++) {
		free(text);
		if (!xl_run(&text, args) || is_gone(m)) {
			free(text);
			return true;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
	}
	watch_note("%s: xl destroy %s: %s", m->domain, id, xl_sentence(text));
	free(text);
	return false;
}

/* @there: what is left of it must be destroyed.  @ordered: by `xl reboot`.  False: it
 * stays as it is. */
static bool make_anew(struct deployment *d, struct member *m, struct watched *w, bool there,
                      bool ordered)
{
	const time_t now = time(NULL);
	sigset_t term, before;
	char *why;

	if (!ordered) {
		w->in_a_row = w->ended && now - w->ended < CALM_S ? w->in_a_row + 1 : 0;
		w->ended = now;
	}
	if (w->in_a_row >= IN_A_ROW) {
		watch_note("%s ends again and again: it is not made anew", m->domain);
		return false;
	}
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before); /* `strait down` waits */
	/* Two domains never touch the same disk or address. */
	why = there && !destroy(m) ? xprintf("it cannot be destroyed") : rebuild(d, m, w->kept);
	if (why)
		watch_note("%s cannot be made anew: %s", m->domain, why);
	else
		watch_note("%s is domain %u now", m->domain, m->domid);
	w->pulse = (struct pulse){ 0 };
	sigprocmask(SIG_SETMASK, &before, NULL);
	return !why;
}

/* A service's domain. */
static char *how_it_ended(int reason)
{
	return reason == REBOOT ? xprintf("rebooted")
	       : !reason        ? xprintf("shut down")
	                        : watch_verdict(NULL, reason);
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
	char *verdict = m->role == MEMBER_GUEST ? watch_verdict(w->last, x ? x->reason : -1)
	                                        : how_it_ended(x ? x->reason : -1);

	watch_note("%s (domain %u): %s", m->domain, m->domid, verdict);
	if (m->role == MEMBER_SERVICE && make_anew(d, m, w, x, x && x->reason == REBOOT)) {
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
		watch_note("xl list fails: %s", xl_sentence(text));
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
		watch_note("%s", why ? why : "its state is gone");
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

/* One that hangs is destroyed first, then the same as for one that ended. */
static void feel(struct deployment *d, struct member *m, struct watched *w)
{
	char *why = pulse_look(&w->pulse, m);

	if (!why)
		return;
	watch_note("%s (domain %u) %s", m->domain, m->domid, why);
	w->over = !make_anew(d, m, w, true, false);
	if (w->over)
		state_set_status(d->name, m, why);
	free(why);
}

static int due_all(const struct deployment *d, const struct watched *w)
{
	int due = LOOK_MS;

	for (unsigned i = 0; i < d->n; i++)
		if (d->m[i].role == MEMBER_SERVICE && !w[i].over)
			due = pulse_due(&w[i].pulse, due);
	return due;
}

/* Look at those of whom it is time.  Return how long there is nothing to do. */
static int feel_all(struct deployment *d, struct watched *w)
{
	int due = due_all(d, w), lock;

	if (due)
		return due;
	lock = state_lock(d->name, 0);
	if (lock < 0)
		return LOCKED_MS; /* somebody swaps a service */
	read_again(d, w);
	for (unsigned i = 0; i < d->n; i++)
		if (d->m[i].role == MEMBER_SERVICE && !w[i].over)
			feel(d, &d->m[i], &w[i]);
	close(lock);
	return due_all(d, w);
}

static void keep_all(struct deployment *d, struct watched *w)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->m[i].role == MEMBER_SERVICE && !w[i].over)
			rebuild_keep(&d->m[i], &w[i].kept);
}

static int watch_all(const struct deployment *d)
{
	int err = xst_watch(XST_RELEASE);

	for (unsigned i = 0; i < d->n && !err; i++)
		if (d->m[i].role == MEMBER_GUEST)
			err = xst_watch(xprintf("/local/domain/%u/data/strait/state", d->m[i].domid));
	return err;
}

static int watch_on(struct deployment *d, struct watched *w)
{
	const char *folder = state_path(d->name, NULL, "");
	bool released = true, busy = false;
	time_t looked = 0;

	for (int got = 1, due; !access(folder, F_OK);) {
		released |= busy || time(NULL) - looked >= LOOK_MS / 1000 || time(NULL) < looked;
		if ((got || released) && !busy) /* else guests may be waiting for a swap */
			keep_all(d, w);
		busy = released && !look_alone(d, w);
		if (released && !busy)
			looked = time(NULL);
		else if (got)
			hear(d, w);
		due = feel_all(d, w);
		got = xst_wait(busy && due > LOCKED_MS ? LOCKED_MS : due, &released);
		if (got < 0) {
			watch_note("xenstore: %s", strerror(-got));
			return EXIT_STRAIT;
		}
	}
	return 0;
}

int watch_main(int argc, char **argv)
{
	static struct deployment d;
	static struct watched w[MEMBERS_MAX];
	const char *why;

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
	watch_note("watching %s", d.name);
	for (unsigned i = 0; i < d.n; i++)
		if (d.m[i].role == MEMBER_SERVICE)
			rebuild_hold_disks(d.name, &d.m[i]);
	return watch_on(&d, w);
}

int watch_start(const char *name)
{
	char *argv[] = { xprintf("strait"), xprintf("watch"), xprintf("%s", name), NULL };

	return background_start("/proc/self/exe", argv, state_path(name, "watch.log", ""));
}
