/* SPDX-License-Identifier: MIT */
/*
 * deploy.c - `strait deploy FILE`: bring a description up on Xen.
 *
 *      check everything -> build images -> services, all side by side -> each is ready
 *      -> guests, one by one: create paused, announce, wait for its channels, unpause
 *      -> watcher
 *
 * What was made is noted (state.c) before the next step, so that a failure, a signal or
 * `strait down` removes it, the last first.
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SERVICE_MS 180000 /* STRAIT_DEPLOY_TIMEOUT (seconds) sets another */
#define LOOK_MS 1000       /* what is watched ends the wait at once */
#define XL_MS 15000        /* between two looks with xl, which is slow */
#define TAIL_LINES 20      /* from a kernel's panic to its end */
#define GUESTS_END_MS 10000
#define WATCH_END_MS 60000
#define SWAP_END_MS 60000
#define SERVICES_END_MS 30000

static struct deployment g_d;      /* what was made */
static volatile sig_atomic_t g_signal;

static void on_signal(int sig)
{
	g_signal = sig;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t deploy_patience(void)
{
	const char *v = getenv("STRAIT_DEPLOY_TIMEOUT");
	uint64_t s;

	return v && opts_parse_number(&v, 3600, "", &s) && s ? s * 1000 : SERVICE_MS;
}

static void progress(const struct member *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void progress(const struct member *m, const char *fmt, ...)
{
	va_list ap;

	printf("%-24s ", m->domain);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* Services in domains of their own, of all deployments, learn of deaths; those of the
 * deployment @without, which is going, no more: their numbers may come again. */
int deploy_share_releases(const char *without)
{
	static struct deployment d;
	struct xst_domids ids = { 0 }, gone = { 0 };
	const unsigned max = sizeof(ids.id) / sizeof(ids.id[0]);
	const char *why;

	for (char **name = state_list(); *name; name++) {
		bool going = without && !strcmp(*name, without);
		struct xst_domids *to = going ? &gone : &ids;

		(void)state_read(*name, &d, &why); /* what can be read of it counts */
		for (unsigned i = 0; i < d.n; i++)
			if ((d.m[i].role == MEMBER_SERVICE || d.m[i].role == MEMBER_SPARE) &&
			    d.m[i].domid && to->n < max)
				to->id[to->n++] = d.m[i].domid;
	}
	return xst_release_readers(&ids, &gone);
}

/* --- removing --------------------------------------------------------------- */

static bool remove_domain(const struct member *m, const struct xl_domain *list, int n, bool quiet)
{
	const struct xl_domain *x = xl_find(list, n, m->domain);

	if (m->domid)
		x = xl_find_id(list, n, m->domid, m->uuid);
	else if (x && strcmp(x->uuid, m->uuid))
		x = NULL; /* ours was not made in the end, and somebody took the name */
	for (int i = 0; i < n && !x && !m->domid; i++)
		x = strcmp(list[i].uuid, m->uuid) ? NULL : &list[i];
	if (!x && (n >= 0 || !m->domid))
		return n >= 0; /* it is gone already, and the number may be another's */
	const char *id = xprintf("%u", x ? x->domid : m->domid);
	const char *const args[] = { "destroy", id, NULL };
	char *text = NULL;
	int status = xl_run(&text, args);

	if (status)
		say("%s: xl destroy %s: %s", m->domain, id, xl_sentence(text));
	else if (!quiet)
		progress(m, "removed");
	free(text);
	return !status;
}

/* Does it run, so that it can end in order?  A service that is not ready has nothing to
 * put in order, or hangs. */
static bool can_end(const struct member *m, const struct xl_domain *list, int n)
{
	const struct xl_domain *x = m->domid ? xl_find_id(list, n, m->domid, m->uuid) : NULL;
	char *state = x && m->role == MEMBER_SERVICE ? nodes_service_state(m) : NULL;
	bool yes = x && !x->shut_down && !strchr(x->state, 'p') &&
	           (m->role == MEMBER_GUEST || (state && !strcmp(state, "ready")));

	free(state);
	return yes;
}

/* How many of @asked still run. */
static unsigned still_run(const struct deployment *d, const bool *asked)
{
	struct xl_domain *list;
	char *text;
	int n = xl_list(&list, &text);
	unsigned left = 0;

	for (unsigned i = 0; i < d->n; i++) {
		const struct xl_domain *x =
			asked[i] ? xl_find_id(list, n, d->m[i].domid, d->m[i].uuid) : NULL;

		left += x && !x->shut_down;
	}
	free(list);
	free(text);
	return left;
}

/* Ask the domains of @role to end: guests get SIGTERM, services write all they have to
 * their disks.  Wait for them, but not for ever. */
static void end_in_order(const struct deployment *d, enum member_role role, uint64_t ms)
{
	bool asked[MEMBERS_MAX] = { false }, released;
	uint64_t until = now_ms() + ms;
	struct xl_domain *list;
	char *text;
	int n = xl_list(&list, &text);
	unsigned left = 0;

	for (unsigned i = 0; i < d->n; i++) {
		const char *id = xprintf("%u", d->m[i].domid);
		const char *const args[] = { "shutdown", id, NULL };
		char *said = NULL;

		if (d->m[i].role != role || !can_end(&d->m[i], list, n))
			continue;
		asked[i] = !xl_run(&said, args);
		left += asked[i];
		free(said);
	}
	free(list);
	free(text);
	while (left && now_ms() < until && xst_wait(LOOK_MS, &released) >= 0)
		left = still_run(d, asked);
	if (left)
		say("note: %u %s of %s did not end in time; destroyed", left,
		    role == MEMBER_GUEST ? "guests" : "services", d->name);
}

/* It may be making a service's domain anew: what it made is in the state then. */
static const struct deployment *without_watcher(const struct deployment *d)
{
	static struct deployment now;
	const char *why;

	if (!d->watch || process_born(d->watch) != d->watch_born)
		return d;
	(void)kill(d->watch, SIGTERM);
	for (int ms = 0; ms < WATCH_END_MS && process_born(d->watch) == d->watch_born; ms += 20)
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	return state_read(d->name, &now, &why) ? &now : d;
}

bool deploy_undo(const struct deployment *d, bool quiet)
{
	struct xl_domain *list;
	char *text;
	bool all = true;
	const int lock = state_lock(d->name, SWAP_END_MS); /* or it lasts for ever: go on */

	d = without_watcher(d);
	if (!xst_watch(XST_RELEASE) && !quiet)
		end_in_order(d, MEMBER_GUEST, GUESTS_END_MS);
	int n = xl_list(&list, &text);

	for (unsigned i = d->n; i-- > 0;)
		if (d->m[i].role == MEMBER_GUEST) {
			nodes_guest_gone(&d->m[i]);
			all &= remove_domain(&d->m[i], list, n, quiet);
		}
	end_in_order(d, MEMBER_SERVICE, SERVICES_END_MS);
	for (unsigned i = d->n; i-- > 0;) {
		const struct member *m = &d->m[i];

		if (m->role == MEMBER_GUEST)
			continue;
		if (m->role == MEMBER_DOM0) {
			agent_stop(m);
			if (!quiet)
				progress(m, "ended");
		} else {
			all &= remove_domain(m, list, n, quiet);
		}
		nodes_service_gone(m);
	}
	free(list);
	free(text);
	(void)deploy_share_releases(d->name); /* a permission too many does no harm */
	if (all)
		state_remove(d->name);
	if (lock >= 0)
		close(lock);
	return all;
}

/* Why it cannot be done, what the domain said last, and all that was made is removed. */
static void fail(const struct member *m, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));

static void fail(const struct member *m, int status, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fflush(stdout);
	say("%s%s%s", m ? m->domain : "", m ? ": " : "", text);
	char *tail = m && m->domid ? console_tail(m->domain, m->domid, TAIL_LINES) : NULL;

	if (tail)
		fprintf(stderr, "its console's last lines:\n%s\n", tail);
	if (deploy_undo(&g_d, true))
		say("nothing is left of %s", g_d.name);
	exit(status);
}

static void check_signal(void)
{
	if (g_signal)
		fail(NULL, 128 + (int)g_signal, "%s: ended by signal %d", g_d.name, (int)g_signal);
}

/* --- making ----------------------------------------------------------------- */

static struct member *new_member(const struct desc *d, enum member_role role, const char *name)
{
	struct member *m = &g_d.m[g_d.n];

	*m = (struct member){ .role = role };
	snprintf(m->name, sizeof(m->name), "%s", name);
	snprintf(m->domain, sizeof(m->domain), "%.*s.%.*s", NAME_LEN_MAX / 2, d->name,
	         NAME_LEN_MAX / 2, name);
	return m;
}

/* From here on it will be removed with the rest.  Of a domain it is said twice: when
 * only its uuid is known, so that nothing is lost when we are killed, and when it is
 * there. */
static void keep(struct member *m)
{
	if (m == &g_d.m[g_d.n])
		g_d.n++;
	int err = state_add(g_d.name, m);

	if (err)
		fail(m, EXIT_STRAIT, "cannot be noted in " DEPLOY_ROOT ": %s", strerror(-err));
}

static char *write_config(const struct member *m, const char *text)
{
	char *path = state_path(g_d.name, m->domain, ".cfg");
	FILE *f = fopen(path, "we");

	if (!f || fputs(text, f) < 0 || fclose(f))
		fail(NULL, EXIT_STRAIT, "%s cannot be written: %s", path, strerror(errno));
	return path;
}

static void create(struct member *m, const char *config)
{
	char *path = write_config(m, config), *text = NULL, *end;
	const char *const make[] = { "create", "-p", "-e", "-q", path, NULL };
	const char *const ask[] = { "domid", m->domain, NULL };

	keep(m);
	int status = xl_run(&text, make);

	if (status)
		fail(m, EXIT_STRAIT, "xl create: %s", xl_sentence(text));
	free(text);
	status = xl_run(&text, ask);
	m->domid = status ? 0 : (unsigned)strtoul(text, &end, 10);
	if (status || !m->domid)
		fail(m, EXIT_STRAIT, "xl domid: %s", xl_sentence(text));
	free(text);
	keep(m);
	check_signal();
}

static void unpause(const struct member *m)
{
	const char *id = xprintf("%u", m->domid);
	const char *const args[] = { "unpause", id, NULL };
	char *text = NULL;

	if (xl_run(&text, args))
		fail(m, EXIT_STRAIT, "xl unpause: %s", xl_sentence(text));
	free(text);
}

/* --- services --------------------------------------------------------------- */

/* Images are given to xl as block devices: without a device model it takes no files.
 * The loop device stays as long as the domain's back end has it open. */
static void attach_disks(const struct desc_service *s, const char **paths, int *fds)
{
	for (unsigned i = 0; i < s->n_disks; i++) {
		const struct desc_disk *k = &s->disks[i];
		struct stat st;
		char dev[64];

		paths[i] = k->path;
		fds[i] = -1;
		if (stat(k->path, &st) || !S_ISREG(st.st_mode))
			continue;
		fds[i] = disk_loop_attach(k->path, k->read_only, dev, sizeof(dev));
		if (fds[i] < 0)
			fail(NULL, EXIT_STRAIT, "disk %s: no loop device: %s", k->path, strerror(errno));
		paths[i] = xprintf("%s", dev);
	}
}

static void make_domain(const struct desc *d, const struct desc_service *s, struct member *m)
{
	const char *paths[DESC_DISKS_MAX];
	int fds[DESC_DISKS_MAX];
	const char *image = image_path(s);

	check_signal();
	if (!image)
		fail(NULL, EXIT_STRAIT, "%s: it has no image", m->domain);
	uuid_make(m->uuid);
	attach_disks(s, paths, fds);
	create(m, domcfg_service(d, s, m, image, paths));
	for (unsigned i = 0; i < s->n_disks; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void make_service(const struct desc *d, const struct desc_service *s)
{
	bool dom0 = !strcmp(s->image, "dom0");
	struct member *m = new_member(d, dom0 ? MEMBER_DOM0 : MEMBER_SERVICE, s->name);
	int err;

	check_signal();
	m->kind = s->kind;
	if (!dom0)
		make_domain(d, s, m);
	err = nodes_service(s, m);
	if (err)
		fail(m, EXIT_STRAIT, "its configuration cannot be written: %s", xst_why(err));
	err = dom0 ? 0 : deploy_share_releases(NULL);
	if (err)
		fail(m, EXIT_STRAIT, "it cannot be told of domains that end: %s", xst_why(err));
	if (!dom0) {
		unpause(m);
		progress(m, "domain %u, %u MiB: created", m->domid, s->memory);
		return;
	}
	err = agent_start(g_d.name, m);
	if (err)
		fail(m, EXIT_STRAIT, "its agent cannot be started: %s", strerror(-err));
	keep(m);
	progress(m, "process %d of dom0: started", (int)m->pid);
}

/* Has @m's domain or agent ended?  How; else NULL. */
static char *ended(const struct member *m)
{
	struct xl_domain *list;
	char *text, *how = NULL;

	if (m->role == MEMBER_DOM0) {
		(void)waitpid(m->pid, NULL, WNOHANG); /* or it stays a zombie */
		if (process_born(m->pid) == m->born)
			return NULL;
		return xprintf("its agent ended; %s tells why",
		               state_path(g_d.name, m->name, ".agent"));
	}
	int n = xl_list(&list, &text);
	const struct xl_domain *x = n < 0 ? NULL : xl_find_id(list, n, m->domid, m->uuid);

	if (n >= 0 && !x)
		how = xprintf("its domain was destroyed");
	else if (x && x->shut_down)
		how = xprintf(x->reason == 3 ? "its domain crashed" : "its domain shut down");
	free(list);
	free(text);
	return how;
}

/* Wait for a change of what is watched.  When a domain ended, or it is time: has @m? */
static char *wait_or_ended(const struct member *m, uint64_t *looked)
{
	bool released;

	if (xst_wait(LOOK_MS, &released) < 0)
		fail(NULL, EXIT_STRAIT, "xenstored went away");
	if (m->role != MEMBER_DOM0 && !released && now_ms() - *looked < XL_MS)
		return NULL;
	*looked = now_ms();
	return ended(m);
}

static void await_service(const struct member *m, uint64_t began)
{
	uint64_t looked = now_ms();
	char *how = NULL;

	for (;;) {
		char *state = nodes_service_state(m);

		check_signal();
		if (state && !strcmp(state, "ready")) {
			progress(m, "ready after %.1f s", (double)(now_ms() - began) / 1000);
			free(state);
			return;
		}
		if (state && !strncmp(state, "failed", 6))
			fail(m, EXIT_STRAIT, "%s", state + 6 + strspn(state + 6, ": "));
		if (now_ms() - began > deploy_patience())
			fail(m, EXIT_STRAIT, "does not say that it is ready (after %llu s it says \"%s\")",
			     (unsigned long long)deploy_patience() / 1000, state ? state : "nothing");
		free(state);
		if (how) /* and what it said last is read */
			fail(m, EXIT_STRAIT, "%s before it was ready", how);
		how = wait_or_ended(m, &looked);
	}
}

/* --- guests ----------------------------------------------------------------- */

static void await_channel(const struct member *m, enum desc_kind kind)
{
	uint64_t began = now_ms();

	for (;;) {
		char *state = nodes_guest_at_service(m, kind);

		check_signal();
		if (state && !strcmp(state, "ready")) {
			free(state);
			return;
		}
		if (state && !strncmp(state, "failed", 6))
			fail(m, EXIT_STRAIT, "%s does not take it: %s", m->uses[kind],
			     state + 6 + strspn(state + 6, ": "));
		if (now_ms() - began > deploy_patience())
			fail(m, EXIT_STRAIT, "%s made no channel for it in %llu s", m->uses[kind],
			     (unsigned long long)deploy_patience() / 1000);
		free(state);
		if (xst_wait(LOOK_MS, NULL) < 0)
			fail(NULL, EXIT_STRAIT, "xenstored went away");
	}
}

/* Its program runs, or has ended already in a way that is its own. */
static void await_guest(const struct member *m, uint64_t began)
{
	uint64_t looked = now_ms();
	char *how = NULL;

	for (;;) {
		char *state = nodes_guest_state(m);

		check_signal();
		if (state && (!strcmp(state, "exit 125") || !strncmp(state, "crash", 5)))
			fail(m, EXIT_STRAIT, "it could not start (%s)", state);
		if (state && *state) {
			progress(m, strcmp(state, "running") ? "ended: %s" : "%s after %.1f s",
			         strcmp(state, "running") ? state : "runs",
			         (double)(now_ms() - began) / 1000);
			free(state);
			return;
		}
		free(state);
		if (now_ms() - began > deploy_patience())
			fail(m, EXIT_STRAIT, "its program does not run after %llu s",
			     (unsigned long long)deploy_patience() / 1000);
		if (how) /* and what it said last is read */
			fail(m, EXIT_STRAIT, "%s before its program ran", how);
		how = wait_or_ended(m, &looked);
	}
}

static const struct member *service_member(const char *name)
{
	for (unsigned i = 0; i < g_d.n; i++)
		if (g_d.m[i].role != MEMBER_GUEST && !strcmp(g_d.m[i].name, name))
			return &g_d.m[i];
	return NULL;
}

static void make_guest(const struct desc *d, const struct desc_guest *g)
{
	struct member *m = new_member(d, MEMBER_GUEST, g->name);
	uint64_t began = now_ms();

	check_signal();
	uuid_make(m->uuid);
	for (int k = 0; k < DESC_KINDS; k++) {
		const struct member *s = g->uses[k] ? service_member(g->uses[k]->name) : NULL;

		if (!s)
			continue;
		snprintf(m->uses[k], sizeof(m->uses[k]), "%s", s->name);
		m->uses_domid[k] = s->domid;
	}
	create(m, domcfg_guest(g, m));
	int err = nodes_guest(g, m, domcfg_cmdline(g));

	for (int k = 0; k < DESC_KINDS && !err; k++)
		if (*m->uses[k])
			err = xst_watch(xprintf("/local/domain/%u/data/strait/%s/guests/%u/state",
			                        m->uses_domid[k], m->uses[k], m->domid));
	if (!err)
		err = xst_watch(xprintf("/local/domain/%u/data/strait/state", m->domid));
	if (err)
		fail(m, EXIT_STRAIT, "its nodes cannot be written: %s", xst_why(err));
	progress(m, "domain %u, %u MiB: created", m->domid,
	         g->o.memory ? (unsigned)(g->o.memory >> 20) : 64);
	for (int k = 0; k < DESC_KINDS; k++)
		if (*m->uses[k])
			await_channel(m, (enum desc_kind)k);
	unpause(m);
	await_guest(m, began);
}

/* --- all -------------------------------------------------------------------- */

static void take_signals(void)
{
	static const int list[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction a = { .sa_handler = on_signal };

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		sigaction(list[i], &a, NULL);
}

static void note_ports(const struct desc *d)
{
	for (unsigned i = 0; i < d->n_services; i++) {
		const struct desc_service *s = &d->services[i];

		for (unsigned k = 0; k < s->o.n_ports; k++)
			printf("note: port %s: on Xen the guest's port %u is reached at %s\n",
			       s->o.ports[k].text, s->o.ports[k].guest,
			       s->ip4 ? s->ip4 : s->ip6 ? s->ip6 : "this machine");
	}
}

static void bring_up(struct desc *d)
{
	uint64_t began = now_ms();
	int err = xst_watch(XST_RELEASE);

	if (err)
		fail(NULL, EXIT_STRAIT, "xenstore cannot be watched: %s", xst_why(err));
	for (unsigned i = 0; i < d->n_services; i++) {
		make_service(d, &d->services[i]);
		const struct member *m = &g_d.m[g_d.n - 1];

		err = xst_watch(xprintf("/local/domain/%u/data/strait/%s/state", m->domid, m->name));
		if (err)
			fail(m, EXIT_STRAIT, "it cannot be watched: %s", xst_why(err));
	}
	for (unsigned i = 0; i < g_d.n; i++)
		await_service(&g_d.m[i], began);
	for (unsigned i = 0; i < d->n_guests; i++)
		make_guest(d, &d->guests[i]);
	g_d.watch = watch_start(g_d.name);
	err = g_d.watch < 0 ? g_d.watch : state_set_watch(g_d.name, g_d.watch);
	if (err) {
		g_d.watch = 0;
		fail(NULL, EXIT_STRAIT, "%s: its watcher cannot be started: %s", g_d.name,
		     strerror(-err));
	}
}

static void help(void)
{
	puts("usage: strait deploy [--check] FILE\n"
	     "\n"
	     "Brings the services and guests that FILE describes up as Xen domains, and\n"
	     "returns when all run.  --check: only looks whether it could.\n"
	     "`strait down NAME` removes them.\n"
	     "\n"
	     "FILE is in xl.cfg's syntax:\n"
	     "  name     = \"NAME\"\n"
	     "  services = [ \"NAME, kind=file|net, KEY=VALUE, ...\", ... ]\n"
	     "  guests   = [ [ \"NAME\", \"elf=PATH\", \"KEY=VALUE\", ... ], ... ]");
	desc_help();
	puts("\nExit status: 0; 125 when it failed (nothing is left); 126 and 127 when a\n"
	     "program cannot run or is not there; 128+N when signal N ended it.");
}

int deploy_main(int argc, char **argv)
{
	bool only_check = argc > 1 && !strcmp(argv[1], "--check");
	struct desc *d;
	int err;

	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		help();
		return 0;
	}
	if (argc != 2 + only_check || argv[argc - 1][0] == '-')
		die(EXIT_STRAIT, "deploy: want `strait deploy [--check] FILE`");
	d = desc_read(argv[argc - 1]);
	check_host();
	xst_open();
	check_all(d);
	if (only_check) {
		printf("%s can be deployed: %u services, %u guests\n", d->name, d->n_services,
		       d->n_guests);
		return 0;
	}
	take_signals();
	err = state_create(d->name);
	if (err)
		die(EXIT_STRAIT, err == -EEXIST ? "%s is being deployed already (%s)"
		                                : "%s: cannot make %s",
		    d->name, state_path(d->name, NULL, ""));
	snprintf(g_d.name, sizeof(g_d.name), "%s", d->name);
	bring_up(d);
	note_ports(d);
	return 0;
}
