/* SPDX-License-Identifier: MIT */
/*
 * prepare.c - in a swap the next instance makes its guests' channels while the old one
 * serves (swap.h).
 *
 *   told ──GuestReady──> made ──(domain: its nodes are written)──> served, at the switch
 *
 * 1. What is prepared promises nothing: a guest that was not, or cannot be, is added
 *    afterwards, as any other.
 * 2. A guest looks where dom0 or the epoch of its nodes tells it to; so nodes of another
 *    domain may stand ahead of time, those of another process only at the switch.
 */
#include "services/agent/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct prepared {
	struct prepared *next;
	struct config_guest c;
	uint32_t ring_ref, port;
	bool made;
	bool has_nodes; /* of the channel that it has now */
	bool served;
};

static struct prepared **find(struct agent *a, uint32_t domid)
{
	struct prepared **p = &a->swap.prepared;

	while (*p && (*p)->c.domid != domid)
		p = &(*p)->next;
	return p;
}

static void forget(struct prepared **p)
{
	struct prepared *old = *p;

	*p = old->next;
	free(old);
}

void prepare_forget(struct agent *a)
{
	while (a->swap.prepared)
		forget(&a->swap.prepared);
}

static void prepare_one(struct agent *a, int sock, uint32_t domid)
{
	struct prepared *p = calloc(1, sizeof(*p));
	char why[CONFIG_WHY];

	if (!p || config_read_guest(&a->store, a->base, domid, &p->c, why) < 0 ||
	    service_prepare(a, sock, &p->c) < 0) {
		free(p);
		return;
	}
	p->next = a->swap.prepared;
	a->swap.prepared = p;
}

void prepare_guests(struct agent *a, int sock)
{
	char path[AGENT_PATH + 16], **names = NULL;

	prepare_forget(a);
	snprintf(path, sizeof(path), "%s/guests", a->base);
	const int n = store_list(&a->store, path, &names);

	for (int i = 0; i < n; i++) {
		const int domid = config_domid(names[i]);

		if (domid >= 0 && store_domain_lives(&a->store, (unsigned)domid) != 0)
			prepare_one(a, sock, (uint32_t)domid);
	}
	if (names)
		store_list_free(names);
}

bool prepare_done(const struct agent *a)
{
	for (const struct prepared *p = a->swap.prepared; p; p = p->next)
		if (!p->made)
			return false;
	return true;
}

/* A domain's nodes are its own: nobody is pointed there yet. */
static void write_nodes(struct agent *a, const struct prepared *p)
{
	const uint32_t values[3] = {p->ring_ref, a->config.epoch, p->port};
	struct store_put puts[CHANNEL_PUTS];

	(void)store_put_all(&a->store, a->domid, puts,
	                    guests_channel(a, p->c.domid, values, false, puts));
}

bool prepare_made(struct agent *a, uint32_t domid, uint32_t ring_ref, uint32_t port)
{
	struct prepared *p = *find(a, domid);

	if (!p || p->made)
		return false;
	p->ring_ref = ring_ref;
	p->port = port;
	p->made = true;
	if (a->swap.state == SWAP_STANDBY)
		write_nodes(a, p);
	return true;
}

bool prepare_keeps(struct agent *a, const struct guest *g)
{
	struct prepared *p = *find(a, g->c.domid);

	if (!p || !p->made || g->state != GUEST_READY || strcmp(p->c.uuid, g->c.uuid) != 0)
		return false;
	p->has_nodes = true;
	return true;
}

bool prepare_failed(struct agent *a, uint32_t domid)
{
	struct prepared **p = find(a, domid);

	if (!*p)
		return false;
	forget(p);
	return true;
}

/* The service is told, and the guest is in the list. */
static struct guest *take(struct agent *a, const struct prepared *p)
{
	struct guest *g = p->made ? guests_new(a, &p->c) : NULL;

	if (g && service_add(a, &g->c) < 0)
		g->state = GUEST_REFUSED; /* it ends: that is dealt with */
	return g && g->state == GUEST_ADDED ? g : NULL;
}

static void put_all(struct agent *a, const struct store_put *puts, unsigned n)
{
	if (n && store_put_all(&a->store, a->domid, puts, n) < 0)
		say("cannot write the nodes of guests' channels");
}

/* Room for a guest's channel and its state. */
#define PUTS_A_GUEST (CHANNEL_PUTS + 1)

unsigned prepare_serve(struct agent *a)
{
	const bool nodes = a->swap.state == SWAP_SETTLE; /* else they stand there */
	struct store_put *puts = nodes ? calloc(STORE_PUTS_MAX, sizeof(*puts)) : NULL;
	unsigned n = 0, served = 0;

	for (struct prepared *p = a->swap.prepared; p; p = p->next) {
		const uint32_t values[3] = {p->ring_ref, a->config.epoch, p->port};
		struct guest *g = !nodes || puts ? take(a, p) : NULL;

		p->served = g != NULL;
		if (!g)
			continue;
		served++;
		if (puts && n + PUTS_A_GUEST > STORE_PUTS_MAX) {
			put_all(a, puts, n);
			n = 0;
		}
		if (puts) {
			n += guests_channel(a, p->c.domid, values, p->has_nodes, puts + n);
			if (!p->has_nodes)
				n += guests_said_ready(a, p->c.domid, puts + n);
		}
		guests_serve(a, g);
	}
	if (puts)
		put_all(a, puts, n);
	free(puts);
	if (nodes)
		prepare_forget(a);
	return served;
}

void prepare_say(struct agent *a)
{
	struct store_put put;

	for (const struct prepared *p = a->swap.prepared; p; p = p->next)
		if (p->served)
			put_all(a, &put, guests_said_ready(a, p->c.domid, &put));
	prepare_forget(a);
}
