/* SPDX-License-Identifier: MIT */
/*
 * guests.c - who may connect, who did, who died.
 *
 *   (node) -> ADDED -> READY ----------> LEFT       the guest closed its channel
 *               |        |              ^    |
 *               |        v (dead, node  |    v
 *            REFUSED   GOING -----------+  (forgotten)
 *               |        | still there)      ^       its node is gone, or another
 *               +--------+-------------------+       guest's
 *
 * A look compares the list in xenstore with ours and asks of each guest that is served
 * whether its domain lives.  It runs after every event, whatever the event was: so an event that
 * is lost among others costs nothing.  A guest is never judged by its silence.
 */
#include "services/agent/agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct guest *find(struct agent *a, uint32_t domid)
{
	struct guest *g = a->guests;

	while (g && g->c.domid != domid)
		g = g->next;
	return g;
}

/* It is served: a later instance waits for it. */
static void expect(struct agent *a, uint32_t domid)
{
	struct service *s = &a->service;
	uint32_t *more;

	for (size_t i = 0; i < s->n_expected; i++)
		if (s->expected[i] == domid)
			return;
	more = realloc(s->expected, (s->n_expected + 1) * sizeof(*more));
	if (!more) {
		say("guest %u: out of memory: another %s will not wait for it", domid, a->name);
		return;
	}
	s->expected = more;
	s->expected[s->n_expected++] = domid;
}

static void expect_no_more(struct agent *a, uint32_t domid)
{
	struct service *s = &a->service;

	for (size_t i = 0; i < s->n_expected; i++)
		if (s->expected[i] == domid)
			s->expected[i--] = s->expected[--s->n_expected];
}

void guests_expect_listed(struct agent *a)
{
	char path[AGENT_PATH + 16], **names = NULL;

	snprintf(path, sizeof(path), "%s/guests", a->base);
	const int n = store_list(&a->store, path, &names);

	for (int i = 0; i < n; i++) {
		const int domid = config_domid(names[i]);

		if (domid >= 0 && store_domain_lives(&a->store, (unsigned)domid) != 0)
			expect(a, (uint32_t)domid);
	}
	if (names)
		store_list_free(names);
}

static void put(struct agent *a, const char *path, const char *value)
{
	const int r = store_write(&a->store, path, value);

	if (r < 0)
		say("cannot write xenstore node %s: %s", path, strerror(-r));
}

static void put_state(struct agent *a, const struct guest *g, const char *text)
{
	char path[AGENT_PATH + 48];

	snprintf(path, sizeof(path), "%s/guests/%u/state", a->data, g->c.domid);
	put(a, path, text);
}

static void rm_nodes(struct agent *a, const struct guest *g, bool state)
{
	char path[AGENT_PATH + 48];

	snprintf(path, sizeof(path), "%s/%u", a->data, g->c.domid);
	(void)store_rm(&a->store, path); /* not there when it was refused */
	snprintf(path, sizeof(path), "%s/guests/%u", a->data, g->c.domid);
	if (state)
		(void)store_rm(&a->store, path);
}

static void refuse(struct agent *a, struct guest *g, const char *why)
{
	char text[CONFIG_WHY + 16];

	g->state = GUEST_REFUSED;
	if (strcmp(g->why, why) == 0)
		return; /* said */
	snprintf(g->why, sizeof(g->why), "%s", why);
	say("guest %u: %s", g->c.domid, why);
	snprintf(text, sizeof(text), "failed: %s", why);
	put_state(a, g, text);
}

static void forget(struct agent *a, struct guest *g)
{
	struct guest **p = &a->guests;

	while (*p != g)
		p = &(*p)->next;
	*p = g->next;
	rm_nodes(a, g, true);
	free(g);
}

static struct guest *new_guest(struct agent *a, uint32_t domid)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->c.domid = domid;
	g->state = GUEST_REFUSED;
	g->next = a->guests;
	a->guests = g;
	return g;
}

struct guest *guests_new(struct agent *a, const struct config_guest *c)
{
	struct guest *g = find(a, c->domid) ? NULL : new_guest(a, c->domid);

	if (g) {
		g->c = *c;
		g->state = GUEST_ADDED;
	}
	return g;
}

/* A node of a guest that the service does not have. */
static void look_at_new(struct agent *a, uint32_t domid)
{
	struct guest *g = find(a, domid);
	struct config_guest c;
	char why[CONFIG_WHY];
	const int r = config_read_guest(&a->store, a->base, domid, &c, why);

	if (r == -EAGAIN)
		return; /* dom0 is still writing */
	if (!g)
		g = new_guest(a, domid);
	if (!g) {
		say("guest %u: out of memory", domid);
		return;
	}
	g->c = c;
	if (r < 0) {
		refuse(a, g, why);
	} else if (service_add(a, &g->c) == 0) {
		g->state = GUEST_ADDED;
		g->why[0] = 0;
	}
}

static bool same_guest(struct agent *a, const struct guest *g)
{
	char path[AGENT_PATH + 48], uuid[sizeof(g->c.uuid)];

	snprintf(path, sizeof(path), "%s/guests/%u/uuid", a->base, g->c.domid);
	return store_read(&a->store, path, uuid, sizeof(uuid)) >= 0 &&
	       strcmp(uuid, g->c.uuid) == 0;
}

/* Its node is gone, or names another domain by now. */
static bool is_withdrawn(struct agent *a, const struct guest *g, char **names)
{
	bool listed = false;

	for (char **p = names; *p; p++)
		listed |= config_domid(*p) == (int)g->c.domid;
	if (!listed)
		return true;
	return (g->state != GUEST_REFUSED || g->by_service) && !same_guest(a, g);
}

/* Only dom0 may ask xenstored who lives.  Others are shown a node in the guest's own
 * folder, which goes with its domain. */
static bool is_dead(struct agent *a, struct guest *g)
{
	const int lives = store_domain_lives(&a->store, g->c.domid);
	char path[AGENT_PATH], text[16];
	int r;

	if (lives != -EACCES)
		return lives == 0;
	snprintf(path, sizeof(path), "/local/domain/%u/strait/%s/alive", g->c.domid,
	         a->config.kind == KIND_FILE ? "file" : "net");
	r = store_read(&a->store, path, text, sizeof(text));
	if (r >= 0)
		g->shown = true;
	return g->shown && (r == -ENOENT || r == -EACCES);
}

static void end_guest(struct agent *a, struct guest *g)
{
	expect_no_more(a, g->c.domid);
	switch (g->state) {
	case GUEST_ADDED:
	case GUEST_READY:
		if (service_gone(a, g->c.domid) == 0) {
			g->state = GUEST_GOING;
			rm_nodes(a, g, false);
		}
		break;
	case GUEST_LEFT:
	case GUEST_REFUSED:
		forget(a, g);
		break;
	case GUEST_GOING:
		break;
	}
}

/* Those who ended while nobody served them. */
static void say_who_ended(struct agent *a)
{
	const struct service *s = &a->service;

	for (size_t i = s->n_expected; i-- > 0;) {
		const uint32_t domid = s->expected[i];

		if (!find(a, domid) && service_gone(a, domid) == 0)
			expect_no_more(a, domid);
	}
}

void guests_look(struct agent *a)
{
	char path[AGENT_PATH + 16], **names = NULL;
	static char *none[] = {NULL};
	struct guest *next;
	int n;

	if (!a->service.ready || a->stopping || swap_holds_guests(a))
		return;
	snprintf(path, sizeof(path), "%s/guests", a->base);
	n = store_list(&a->store, path, &names);
	if (n < 0 && n != -ENOENT) {
		say("cannot list xenstore node %s: %s", path, strerror(-n));
		return;
	}
	for (struct guest *g = a->guests; g; g = next) {
		next = g->next;
		if (is_withdrawn(a, g, n < 0 ? none : names) ||
		    ((g->state == GUEST_ADDED || g->state == GUEST_READY) && is_dead(a, g)))
			end_guest(a, g);
	}
	for (int i = 0; i < n; i++) {
		const int domid = config_domid(names[i]);
		const struct guest *g = domid < 0 ? NULL : find(a, (uint32_t)domid);

		if (domid < 0)
			say("xenstore node %s/%.32s is not a domain's number", path, names[i]);
		else if ((!g || (g->state == GUEST_REFUSED && !g->by_service)) &&
		         store_domain_lives(&a->store, (unsigned)domid) != 0)
			look_at_new(a, (uint32_t)domid);
	}
	say_who_ended(a);
	if (names)
		store_list_free(names);
}

/* A guest watches the port: it goes first and comes last. */
unsigned guests_channel(const struct agent *a, uint32_t domid, const uint32_t values[3], bool there,
                        struct store_put *to)
{
	static const char *const names[3] = {"ring-ref", "epoch", "event-channel"};
	unsigned n = 0;

	if (there) {
		snprintf(to[n].path, sizeof(to[n].path), "%s/%u/%s", a->data, domid, names[2]);
		to[n].value[0] = 0;
		to[n++].reader = STORE_NOBODY;
	}
	for (int i = 0; i < 3; i++, n++) {
		snprintf(to[n].path, sizeof(to[n].path), "%s/%u/%s", a->data, domid, names[i]);
		snprintf(to[n].value, sizeof(to[n].value), "%u", values[i]);
		to[n].reader = there && i < 2 ? STORE_NOBODY : (int)domid;
	}
	return n;
}

unsigned guests_said_ready(const struct agent *a, uint32_t domid, struct store_put *to)
{
	snprintf(to->path, sizeof(to->path), "%s/guests/%u/state", a->data, domid);
	snprintf(to->value, sizeof(to->value), "ready");
	to->reader = STORE_NOBODY;
	return 1;
}

void guests_serve(struct agent *a, struct guest *g)
{
	g->state = GUEST_READY;
	expect(a, g->c.domid);
}

void guests_ready(struct agent *a, uint32_t domid, uint32_t ring_ref, uint32_t port)
{
	const uint32_t values[3] = {ring_ref, a->config.epoch, port};
	struct guest *g = find(a, domid);
	struct store_put puts[CHANNEL_PUTS + 1];
	unsigned n;
	int r;

	if (!g || g->state != GUEST_ADDED)
		return;
	n = guests_channel(a, domid, values, false, puts);
	n += guests_said_ready(a, domid, puts + n);
	r = store_put_all(&a->store, a->domid, puts, n);
	if (r < 0) {
		char why[CONFIG_WHY];

		snprintf(why, sizeof(why), "its channel cannot be written to xenstore: %s",
		         strerror(-r));
		refuse(a, g, why);
		return;
	}
	guests_serve(a, g);
}

void guests_released(struct agent *a, uint32_t domid)
{
	struct guest *g = find(a, domid);

	if (!g)
		return;
	if (g->state == GUEST_GOING && !same_guest(a, g)) {
		forget(a, g);
		guests_look(a); /* the number may name another guest by now */
	} else {
		expect_no_more(a, domid);
		g->state = GUEST_LEFT;
		rm_nodes(a, g, true);
	}
}

void guests_failed(struct agent *a, uint32_t domid, const char *why)
{
	struct guest *g = find(a, domid);

	if (!g)
		return;
	g->by_service = true;
	refuse(a, g, why);
}

void guests_back(struct agent *a, uint32_t domid)
{
	struct guest *g = find(a, domid);

	if (g)
		g->back = true;
}

static unsigned gone(struct store_put *p, const char *data, const char *what, uint32_t domid)
{
	snprintf(p->path, sizeof(p->path), "%s/%s%u", data, what, domid);
	p->value[0] = 0;
	p->reader = STORE_NOBODY;
	return 1;
}

void guests_drop_all(struct agent *a)
{
	struct store_put *puts = calloc(STORE_PUTS_MAX, sizeof(*puts));

	while (a->guests && puts) {
		unsigned n = 0;

		while (a->guests && n + 2 <= STORE_PUTS_MAX) {
			struct guest *g = a->guests;

			a->guests = g->next;
			n += gone(puts + n, a->data, "", g->c.domid);
			n += gone(puts + n, a->data, "guests/", g->c.domid);
			free(g);
		}
		(void)store_put_all(&a->store, a->domid, puts, n); /* not there: refused ones */
	}
	free(puts);
	while (a->guests)
		forget(a, a->guests);
}

void guests_change_over(struct agent *a)
{
	for (struct guest **p = &a->guests; *p;) {
		struct guest *g = *p;

		if (prepare_keeps(a, g)) {
			*p = g->next;
			free(g);
		} else {
			forget(a, g);
		}
	}
}

void guests_end(struct agent *a)
{
	guests_drop_all(a);
	free(a->service.expected);
	a->service.expected = NULL;
	a->service.n_expected = 0;
}
