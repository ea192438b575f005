/* SPDX-License-Identifier: MIT */
/*
 * swap.c - `strait swap` on Xen: another domain, or process, takes a service's place.
 *
 *   in dom0     one order to its agent, which starts the next process and hands over
 *   a domain    check ──> boot: the next domain stands by, the old one serves
 *               ──> hand over: the old one stands still, the next one has all
 *               ──> commit: the guests are told, and who serves
 *               ──> the old one is destroyed
 *
 * 1. Until commit whatever goes wrong costs the next domain alone: it is destroyed, and
 *    only then the old one goes on: a disk is never mounted twice.
 * 2. Commit is one write to the deployment's state, then one transaction in xenstore.
 *    When we are killed, swap_clean() finishes what the state says.
 * 3. All of it under the deployment's lock: the watcher looks away meanwhile.
 */
#include "tools/strait/xen/deploy.h"
#include "tools/strait/xen/point.h"
#include "tools/strait/xen/xl.h"
#include "tools/strait/xen/xs.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define LOCK_MS 3000     /* the watcher has it for moments */
#define ANSWER_MS 30000
#define BACK_MS 2000     /* for guests that have rings to have all else, before xl takes the CPU */
#define CALL_MS 100      /* then, for their calls that waited */
#define LIFE_MS 100      /* between looks at what it says of itself, */
#define LOOK_MS 2000     /* ... with xl at whether it lives, */
#define SLOW_LOOK_MS 10000 /* ... while guests wait: xl takes its time */
#define ID_LEN 16
#define TRIES 20
#define SPARE ".spare"

struct swap {
	struct deployment *d;
	struct member *m;      /* who serves */
	struct member *spare;  /* who does not, or not yet */
	struct kept_node *kept;
	const char *kernel;    /* the folder of another image, or NULL */
	unsigned epoch;        /* of the next domain */
	const char *serves;    /* what it said when it had the disks: "serves", unless it is older */
	char *took;            /* the order that it said so to */
	bool renamed, made;    /* the old domain; the next one */
	bool ordered;          /* the old one was told something */
	uint64_t began_us, last_us, cut_us, back_us;
	char held[512];        /* what is to be shown when nobody waits any more */
	char *why;             /* it failed */
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void show(struct swap *w)
{
	fputs(w->held, stdout);
	fflush(stdout);
	w->held[0] = 0;
}

__attribute__((format(printf, 2, 3)))
static void phase(struct swap *w, const char *fmt, ...)
{
	const uint64_t now = now_us();
	char text[160];
	size_t n = strlen(w->held);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(w->held + n, sizeof(w->held) - n, "%9.3f ms  %s\n",
	         (double)(now - w->last_us) / 1000, text);
	w->last_us = now;
	if (!w->cut_us || w->back_us) /* else guests wait, and whoever reads us may be slow */
		show(w);
}

/* The first reason counts.  Returns false, for who asks whether all is well. */
__attribute__((format(printf, 2, 3)))
static bool fails(struct swap *w, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!w->why)
		w->why = xprintf("%s", text);
	return false;
}

static bool fails_xl(struct swap *w, const char *what, char *text)
{
	return fails(w, "xl %s: %s", what, xl_sentence(text));
}

/* --- orders ----------------------------------------------------------------- */

static const char *told(const struct member *m, const char *rest)
{
	return xprintf("/local/domain/%u/strait/%s%s", m->domid, m->name, rest);
}

static const char *says(const struct member *m, const char *rest)
{
	return xprintf("/local/domain/%u/data/strait/%s%s", m->domid, m->name, rest);
}

/* A new order's text. */
static char *order_text(const char *order)
{
	uint8_t r[ID_LEN / 2];
	char id[ID_LEN + 1];

	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		die(EXIT_STRAIT, "no random numbers: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(r); i++)
		sprintf(id + 2 * i, "%02x", r[i]);
	return xprintf("%s %s", id, order);
}

/* Into a node that is there, see prepare_orders(): guests may be waiting. */
static bool order(struct swap *w, const struct member *m, char *text)
{
	const int err = xst_set(told(m, "/swap"), text);

	return err ? fails(w, "%s cannot be told: %s", m->domain, xst_why(err)) : true;
}

/* How @m's agent or domain ended, or NULL. */
static const char *ended(const struct member *m)
{
	struct xl_domain *list;
	char *text;
	const char *how = NULL;

	if (m->role == MEMBER_DOM0)
		return process_born(m->pid) == m->born ? NULL : "its agent has ended";
	const int n = xl_list(&list, &text);
	const struct xl_domain *x = n < 0 ? NULL : xl_find_id(list, n, m->domid, m->uuid);

	if (n >= 0 && !x)
		how = "the domain was destroyed";
	else if (x && x->shut_down)
		how = x->reason == 3 ? "the domain crashed" : "the domain shut down";
	free(list);
	free(text);
	return how;
}

/* Has it failed, or ended?  At times. */
static bool lost(struct swap *w, const struct member *m, uint64_t *looked, unsigned ms)
{
	char *state = xst_read(says(m, "/state"));
	const char *how = NULL;

	if (state && !strncmp(state, "failed: ", 8)) {
		(void)fails(w, "%s", state + 8);
		return true;
	}
	free(state);
	if (now_us() - *looked > ms * 1000ull) {
		how = ended(m);
		*looked = now_us();
	}
	if (how)
		(void)fails(w, "%s", how);
	return how != NULL;
}

/* Lines of the answer to the order @text until one that begins with '=', or with @until;
 * those of an agent that does all of it are shown.  What follows that letter; NULL: it
 * fails. */
static char *await(struct swap *w, const struct member *m, const char *text, char until)
{
	const uint64_t limit = now_us() + ANSWER_MS * 1000ull;
	uint64_t looked = now_us(), asked = looked;
	size_t shown = 0;

	while (now_us() < limit) {
		char *all = xst_read(says(m, "/swap")), *line, *save = NULL;
		size_t n = 0;

		if (all && !strncmp(all, text, ID_LEN))
			for (line = strtok_r(all + ID_LEN, "\n", &save); line;
			     line = strtok_r(NULL, "\n", &save), n++) {
				if (line[0] == '=' || line[0] == until)
					return line + 1;
				if (line[0] == '!') {
					(void)fails(w, "%s", line + 1);
					return NULL;
				}
				if (n >= shown && m->role == MEMBER_DOM0) {
					puts(line + 1);
					fflush(stdout);
					shown = n + 1;
				}
			}
		if (now_us() - asked > LIFE_MS * 1000ull) {
			if (lost(w, m, &looked, SLOW_LOOK_MS))
				return NULL;
			asked = now_us();
		}
		(void)xst_wait(LIFE_MS, NULL);
	}
	(void)fails(w, "%s does not answer", m->domain);
	return NULL;
}

static char *ask(struct swap *w, const struct member *m, const char *what, char until)
{
	char *text = order_text(what);

	return order(w, m, text) ? await(w, m, text, until) : NULL;
}

static int prepare_orders(const struct member *m)
{
	static const char *const nodes[] = { "/swap", "/state", "/guests" };
	int err = xst_put(told(m, "/swap"), "", m->domid);

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]) && !err; i++)
		err = xst_watch(says(m, nodes[i]));
	return err;
}

/* --- the next domain -------------------------------------------------------- */

/* The old domain's configuration, for the next one, as DOMAIN@suffix.  @script: disks
 * are had by both. */
static bool write_config(struct swap *w, const char *suffix, const char *script)
{
	const struct domcfg_next next = {
		.uuid = w->spare->uuid,
		.image = w->kernel,
		.script = script,
		.mac = xst_read(xprintf("/local/domain/%u/device/vif/0/mac", w->m->domid)),
	};
	const char *path = state_path(w->d->name, w->m->domain, suffix);
	const int err = domcfg_next(state_path(w->d->name, w->m->domain, ".cfg"), path, &next);

	return err ? fails(w, "%s cannot be written: %s", path, strerror(-err)) : true;
}

static bool note_spare(struct swap *w)
{
	const int err = state_add(w->d->name, w->spare);

	return err ? fails(w, "it cannot be noted in " DEPLOY_ROOT ": %s", strerror(-err)) : true;
}

/* The one that serves makes room for another domain of its name, so that its console's
 * log goes on. */
static bool rename_domain(struct swap *w, unsigned domid, const char *to)
{
	const char *const args[] = { "rename", xprintf("%u", domid), to, NULL };
	char *text;

	return xl_run(&text, args) ? fails_xl(w, "rename", text) : true;
}

static bool create(struct swap *w, const char *cfg)
{
	const char *const make[] = { "create", "-p", "-e", "-q", cfg, NULL };
	const char *const which[] = { "domid", w->m->domain, NULL };
	char *text;

	w->made = true;
	if (xl_run(&text, make))
		return fails_xl(w, "create", text);
	if (xl_run(&text, which) || !strtoul(text, NULL, 10))
		return fails_xl(w, "domid", text);
	w->spare->domid = (unsigned)strtoul(text, NULL, 10);
	return note_spare(w);
}

static bool tell_next(struct swap *w)
{
	int err = -EAGAIN;

	w->epoch = rebuild_epoch(w->kept);
	for (int i = 0; i < TRIES && err == -EAGAIN; i++) {
		err = xst_begin();
		if (err)
			break;
		err = rebuild_put_service(w->kept, w->spare, w->epoch, true);
		if (err)
			xst_abort();
		else
			err = xst_commit();
	}
	if (!err)
		err = deploy_share_releases(NULL);
	if (!err)
		err = prepare_orders(w->spare);
	if (!err)
		err = point_lives(w->d, w->spare, w->m->domid);
	return err ? fails(w, "it cannot be told what to serve: %s", xst_why(err)) : true;
}

static bool boot(struct swap *w)
{
	const bool disks = domcfg_has(state_path(w->d->name, w->m->domain, ".cfg"), "  \"format=");
	const char *script = disks ? image_block_script() : NULL;
	const char *cfg = state_path(w->d->name, w->m->domain, ".next");
	char *text;

	if (disks && !script)
		return fails(w, "block-shared, which gives it the disk, is not installed beside strait "
		                "(STRAIT_BLOCK_SCRIPT names another)");
	if (!write_config(w, ".next", script) || !note_spare(w) ||
	    !rename_domain(w, w->m->domid, xprintf("%s" SPARE, w->m->domain)))
		return false;
	w->renamed = true;
	if (!create(w, cfg) || !tell_next(w))
		return false;
	const char *const args[] = { "unpause", xprintf("%u", w->spare->domid), NULL };

	return xl_run(&text, args) ? fails_xl(w, "unpause", text) : true;
}

static bool await_standby(struct swap *w)
{
	const uint64_t limit = now_us() + deploy_patience() * 1000;
	uint64_t looked = now_us(), old_looked = looked;

	while (now_us() < limit) {
		char *state = xst_read(says(w->spare, "/state"));

		if (state && !strcmp(state, "standby")) {
			phase(w, "domain %u is up and stands by", w->spare->domid);
			return true;
		}
		free(state);
		if (lost(w, w->spare, &looked, LOOK_MS) || lost(w, w->m, &old_looked, SLOW_LOOK_MS))
			return false;
		(void)xst_wait(200, NULL);
	}
	return fails(w, "the domain does not say that it stands by: does it hang, or is its image "
	                "older?");
}

/* --- hand over -------------------------------------------------------------- */

static bool move_net(struct swap *w)
{
	char *channel = ask(w, w->m, xprintf("offer %u", w->spare->domid), 0);
	char *reads, *writes, *got;

	if (!channel)
		return false;
	reads = order_text(xprintf("import %u %s", w->m->domid, channel));
	if (!order(w, w->spare, reads) || !await(w, w->spare, reads, '-'))
		return false;
	phase(w, "there is a channel between the two");
	point_ahead(w->d, w->spare, w->epoch);
	w->cut_us = now_us();
	writes = order_text("export");
	if (!order(w, w->m, writes) || !(got = await(w, w->m, writes, 0)))
		return false;
	char *bytes = strchr(got, ' ');

	if (bytes)
		*bytes++ = 0;
	phase(w, "the old one is sealed: %s connections in %s bytes", got, bytes ? bytes : "?");
	got = await(w, w->spare, reads, 0);
	if (got)
		phase(w, "the new one has %s connections", got);
	return got != NULL;
}

static bool move_files(struct swap *w)
{
	char *verifier;

	if (!ask(w, w->m, "offer 0", 0))
		return false;
	phase(w, "most of it is written out");
	point_ahead(w->d, w->spare, w->epoch);
	w->cut_us = now_us();
	verifier = ask(w, w->m, "export", 0);
	if (!verifier)
		return false;
	phase(w, "the old one has ended, all is on the disk");
	w->took = order_text(xprintf("import %s go", verifier));
	w->serves = order(w, w->spare, w->took) ? await(w, w->spare, w->took, 0) : NULL;
	if (!w->serves)
		return false;
	phase(w, "the new one has the disk");
	return true;
}

/* --- commit ----------------------------------------------------------------- */

/* The two members change places, and with them whom the guests use. */
static int change_places(struct deployment *d, struct member *m, struct member *spare)
{
	const struct member *lines[MEMBERS_MAX];
	const struct member was = *m;
	unsigned n = 0;

	m->domid = spare->domid;
	memcpy(m->uuid, spare->uuid, sizeof(m->uuid));
	spare->domid = was.domid;
	memcpy(spare->uuid, was.uuid, sizeof(spare->uuid));
	lines[n++] = m;
	lines[n++] = spare;
	for (unsigned i = 0; i < d->n; i++) {
		struct member *g = &d->m[i];

		if (g->role != MEMBER_GUEST || strcmp(g->uses[m->kind], m->name))
			continue;
		g->uses_domid[m->kind] = m->domid;
		lines[n++] = g;
	}
	return state_add_all(d->name, lines, n);
}

/* How many guests @m has given channels to; *all: that is everybody. */
static unsigned settled(const struct swap *w, bool *all)
{
	unsigned n = 0;

	*all = true;
	for (unsigned i = 0; i < w->d->n; i++) {
		const struct member *g = &w->d->m[i];

		if (!point_serves(w->d, g, w->m))
			continue;
		char *state = nodes_guest_at_service(g, w->m->kind);

		if (state && !strcmp(state, "ready"))
			n++;
		else if (xst_exists(xprintf("/local/domain/%u", g->domid)))
			*all = false;
		free(state);
	}
	return n;
}

/* The next one says that its guests have all back that they had.  False: not in time; or
 * it is older, and does not say. */
static bool await_back(const struct swap *w)
{
	const uint64_t limit = now_us() + BACK_MS * 1000ull;

	for (uint64_t now = now_us(); now < limit; now = now_us()) {
		char *all = xst_read(says(w->m, "/swap"));
		const bool back = all && !strncmp(all, w->took, ID_LEN) && strstr(all, "\n+");

		free(all);
		if (back)
			return true;
		(void)xst_wait((int)((limit - now) / 1000), NULL);
	}
	return false;
}

/* The next one said "serves", and how many guests; 0: an agent that does not count. */
static bool await_guests(struct swap *w, const char *said, unsigned *n)
{
	const uint64_t limit = now_us() + ANSWER_MS * 1000ull;
	uint64_t looked = now_us();
	bool all = false;

	if (said && sscanf(said, "serves %u", n) == 1)
		all = *n >= point_count(w->d, w->m);
	while (!all && now_us() < limit) {
		*n = settled(w, &all);
		if (all || lost(w, w->m, &looked, SLOW_LOOK_MS))
			break;
		(void)xst_wait(50, NULL);
	}
	return all;
}

static bool commit(struct swap *w)
{
	const bool goes = !w->serves || strncmp(w->serves, "serves", 6); /* is yet to be told */
	unsigned n = 0;
	int err = change_places(w->d, w->m, w->spare);

	if (err) {
		/* The names are ours alone: what was not noted did not happen. */
		const struct member now = *w->m;

		w->m->domid = w->spare->domid;
		memcpy(w->m->uuid, w->spare->uuid, sizeof(now.uuid));
		w->spare->domid = now.domid;
		memcpy(w->spare->uuid, now.uuid, sizeof(now.uuid));
		return fails(w, "it cannot be noted in " DEPLOY_ROOT ": %s", strerror(-err));
	}
	w->made = false;
	if (goes)
		w->took = order_text("go");
	if (goes && !order(w, w->m, w->took))
		return false;
	err = point_done(w->d, w->m, w->epoch);
	if (err)
		return fails(w, "guests cannot be told: %s; `strait watch %s` tries again", xst_why(err),
		             w->d->name);
	const bool all = await_guests(w, goes ? await(w, w->m, w->took, 0) : w->serves, &n);

	phase(w, "%u guests have their new rings%s", n, all ? "" : ", not all");
	w->back_us = now_us();
	if (n && await_back(w)) {
		w->back_us = now_us();
		phase(w, "they have all back that they had");
		(void)usleep(CALL_MS * 1000);
		w->last_us = now_us();
	}
	(void)order(w, w->spare, order_text("leave")); /* it is destroyed, too */
	err = point_settle(w->d, w->m);
	return !err || fails(w, "it cannot be told that it serves for good: %s; `strait watch %s` "
	                        "tries again", xst_why(err), w->d->name);
}

/* --- ends ------------------------------------------------------------------- */

static bool destroy(struct swap *w, unsigned domid)
{
	const char *const args[] = { "destroy", xprintf("%u", domid), NULL };
	char *text;

	return xl_run(&text, args) ? fails_xl(w, "destroy", text) : true;
}

static void forget_spare(struct deployment *d, struct member *spare)
{
	spare->domid = 0;
	*spare->uuid = 0;
	if (state_add(d->name, spare))
		say("note: %s cannot be written", state_path(d->name, "members", ""));
	if (spare == &d->m[d->n - 1])
		d->n--;
}

/* A domain of that uuid may be there, although we do not know its number. */
static unsigned number_of(const struct member *m)
{
	struct xl_domain *list;
	char *text;
	unsigned domid = 0;
	const int n = xl_list(&list, &text);

	for (int i = 0; i < n; i++)
		if (!strcmp(list[i].uuid, m->uuid))
			domid = list[i].domid;
	free(list);
	free(text);
	return domid;
}

static void undo(struct swap *w)
{
	const unsigned next = w->made ? number_of(w->spare) : 0;
	char *why = w->why;

	w->why = NULL;
	point_undo();
	if (next && !destroy(w, next))
		say("note: %s", w->why);
	if (w->ordered && !ask(w, w->m, "go", 0))
		say("note: %s: %s", w->m->domain, w->why);
	w->why = NULL;
	if (w->renamed && number_of(w->m) && !rename_domain(w, w->m->domid, w->m->domain))
		say("note: %s", w->why);
	forget_spare(w->d, w->spare);
	(void)unlink(state_path(w->d->name, w->m->domain, ".next"));
	w->why = why;
}

static bool finish(struct swap *w)
{
	const unsigned old = w->spare->domid;

	if (!destroy(w, old))
		return false;
	if (rename(state_path(w->d->name, w->m->domain, ".after"),
	           state_path(w->d->name, w->m->domain, ".cfg")))
		return fails(w, "%s: %s", state_path(w->d->name, w->m->domain, ".cfg"), strerror(errno));
	(void)unlink(state_path(w->d->name, w->m->domain, ".next"));
	forget_spare(w->d, w->spare);
	phase(w, "domain %u is destroyed", old);
	return true;
}

void swap_clean(struct deployment *d)
{
	for (unsigned i = 0; i < d->n; i++) {
		struct member *spare = &d->m[i], *m = NULL;
		struct swap w = { .d = d, .spare = spare };
		struct kept_node *kept = NULL;
		unsigned domid;

		if (spare->role != MEMBER_SPARE)
			continue;
		for (unsigned k = 0; k < d->n; k++)
			if (d->m[k].role == MEMBER_SERVICE && !strcmp(d->m[k].name, spare->name))
				m = &d->m[k];
		domid = number_of(spare);
		if (domid)
			(void)destroy(&w, domid); /* gone already: as well */
		if (m) {
			rebuild_keep(m, &kept);
			if (kept && (prepare_orders(m) || !order(&w, m, order_text("go")) ||
			             point_all(d, m, rebuild_epoch(kept) - REBUILD_EPOCHS) ||
			             point_settle(d, m)))
				say("note: guests of %s cannot be told where it is", m->domain);
			(void)rename_domain(&w, m->domid, m->domain);
			if (domcfg_has(state_path(d->name, m->domain, ".after"), m->uuid))
				(void)rename(state_path(d->name, m->domain, ".after"),
				             state_path(d->name, m->domain, ".cfg"));
			(void)unlink(state_path(d->name, m->domain, ".after"));
			(void)unlink(state_path(d->name, m->domain, ".next"));
		}
		forget_spare(d, spare);
	}
}

/* --- being asked ------------------------------------------------------------ */

/* Of @m's domain, in MiB. */
static unsigned memory_of(const struct member *m)
{
	struct xl_domain *list;
	char *text;
	const int n = xl_list(&list, &text);
	const struct xl_domain *x = n < 0 ? NULL : xl_find_id(list, n, m->domid, m->uuid);
	const unsigned memory = x ? x->memory : 0;

	free(list);
	free(text);
	return memory;
}

/* A guest that does not wait for services that are away would lose this one. */
static const struct member *does_not_wait(const struct deployment *d, const struct member *m)
{
	for (unsigned i = 0; i < d->n; i++) {
		const struct member *g = &d->m[i];
		char *line, *end;

		if (g->role != MEMBER_GUEST || strcmp(g->uses[m->kind], m->name))
			continue;
		line = xst_read(xprintf("/local/domain/%u/strait/cmdline", g->domid));
		end = line ? strstr(line, " -- ") : NULL;
		if (end)
			*end = 0;
		if (line && strstr(line, "recover=0 "))
			return g;
	}
	return NULL;
}

static const char *against(const struct deployment *d, const struct member *m, const char *with)
{
	const char *lacks, *service = m->kind == DESC_FILE ? "fsd" : "netd";
	const struct member *g = does_not_wait(d, m);
	char *state = nodes_service_state(m);

	if (ended(m))
		return ended(m);
	if (!state || strcmp(state, "ready"))
		return state && !strncmp(state, "failed", 6)
		               ? xprintf("its %s has failed%s", service, state + 6)
		               : xprintf("its %s is being started again; ask again when it is up", service);
	if (g)
		return xprintf("%s runs with recover=0: it cannot go on with another instance", g->domain);
	if (m->role == MEMBER_DOM0)
		return with && access(with, X_OK) ? xprintf("%s cannot be run: %s", with, strerror(errno))
		                                  : NULL;
	lacks = check_room(memory_of(m));
	if (lacks || !with)
		return lacks;
	lacks = image_lacks(with);
	if (lacks)
		return xprintf("image %s: there is no file %s in it", with, lacks);
	return strpbrk(with, "\"'\\\n") ? "xl takes no path with quotes or backslashes" : NULL;
}

/* Room for a second domain in the state. */
static bool make_spare(struct swap *w)
{
	struct deployment *d = w->d;

	if (d->n == MEMBERS_MAX)
		return fails(w, "the deployment has as many members as there may be");
	w->spare = &d->m[d->n++];
	*w->spare = *w->m;
	w->spare->role = MEMBER_SPARE;
	w->spare->domid = 0;
	snprintf(w->spare->domain, sizeof(w->spare->domain), "%.*s" SPARE,
	         (int)(sizeof(w->spare->domain) - sizeof(SPARE)), w->m->domain);
	uuid_make(w->spare->uuid);
	rebuild_keep(w->m, &w->kept);
	return w->kept ? true : fails(w, "what it was told cannot be read");
}

static bool swap_domain(struct swap *w)
{
	const unsigned from = w->m->domid, epoch = nodes_epoch(w->m);
	const char *gone;
	bool done;

	rebuild_hold_disks(w->d->name, w->m);
	if (!make_spare(w))
		return false;
	done = !prepare_orders(w->m) && (w->m->kind == DESC_NET || ask(w, w->m, "offer 0", 0)) &&
	       write_config(w, ".after", NULL) && boot(w) && await_standby(w);
	if (done) {
		w->ordered = true;
		done = (w->m->kind == DESC_NET ? move_net(w) : move_files(w)) && commit(w);
	}
	if (!done && w->m->domid == from) {
		undo(w);
		(void)unlink(state_path(w->d->name, w->m->domain, ".after"));
		return fails(w, "it failed");
	}
	if (!done || !finish(w))
		return false;
	gone = ended(w->m);
	if (gone)
		return fails(w, "domain %u served, then %s", w->m->domid, gone);
	printf("%s: domain %u to %u, epoch %u to %u in %.1f ms, guests waited %.1f ms\n", w->m->domain,
	       from, w->m->domid, epoch, w->epoch, (double)(now_us() - w->began_us) / 1000,
	       (double)(w->back_us - w->cut_us) / 1000);
	return true;
}

static bool swap_process(struct swap *w, const char *with)
{
	char *got = prepare_orders(w->m) ? NULL : ask(w, w->m, xprintf("process %s", with ? with : ""), 0);

	if (got)
		printf("%s: %s\n", w->m->domain, got);
	return got != NULL;
}

/* What is begun is ended, one way or the other. */
static void hold_signals(void)
{
	static const int list[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		(void)signal(list[i], SIG_IGN);
}

bool xen_swap(const char *what, const char *service, const char *with, const char *backend,
              int *status)
{
	static struct deployment d;
	struct swap w = { .began_us = now_us(), .last_us = now_us() };
	const char *why = NULL, *name;
	bool done = false;

	if (!state_list()[0])
		return false;
	const struct member *asked = state_find(what, &d);

	asked = member_service(&d, asked, strcmp(service, "fsd") ? DESC_NET : DESC_FILE);
	*status = EXIT_STRAIT;
	if (!asked || backend) {
		say("swap %s: %s", what,
		    asked ? "on Xen a service keeps its stack; --backend is for strait run"
		          : "it has no such service");
		return true;
	}
	name = xprintf("%s", asked->domain);
	check_host();
	xst_open();
	const int lock = state_lock(d.name, LOCK_MS);

	if (lock < 0) {
		say("%s: another swap is under way, or a domain is being made anew", name);
		return true;
	}
	if (state_read(xprintf("%s", d.name), &d, &why)) {
		swap_clean(&d);
		for (unsigned i = 0; i < d.n; i++)
			if (!strcmp(d.m[i].domain, name))
				w.m = &d.m[i];
	}
	w.d = &d;
	w.kernel = with;
	why = w.m ? against(&d, w.m, with) : "it is not deployed any more";
	if (!why) {
		hold_signals();
		done = w.m->role == MEMBER_DOM0 ? swap_process(&w, with) : swap_domain(&w);
		why = w.why;
	}
	show(&w);
	if (w.m)
		nodes_strays_gone(w.m);
	close(lock);
	if (done)
		*status = 0;
	else
		say("%s: %s%s", name, why, strstr(why, "serves on") || !w.m || !w.spare ? "" :
		    ended(w.m) ? "; the watcher makes it anew" : "; the old one serves on");
	return true;
}
