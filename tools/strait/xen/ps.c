/* SPDX-License-Identifier: MIT */
/*
 * ps.c - `strait ps` on Xen: what runs, how guests ended, what services have to do.
 *
 * All services are asked before the first is waited for, and none for long: one that
 * hangs is shown without.
 */
#include "tools/strait/xen/deploy.h"
#include "tools/strait/xen/xl.h"
#include "tools/strait/xen/xs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOAD_MS 1000 /* for all of a deployment */
#define LOOK_MS 10

struct asked {
	char id[17]; /* "": it was not */
	bool answered;
	struct service_load load;
};

static bool is_service(const struct member *m)
{
	return m->role == MEMBER_SERVICE || m->role == MEMBER_DOM0;
}

static void ask_all(const struct deployment *d, struct asked *asked)
{
	unsigned owed = 0;

	for (unsigned i = 0; i < d->n; i++) {
		if (!is_service(&d->m[i]) || !nodes_ask_load(&d->m[i], asked[i].id))
			asked[i].id[0] = 0;
		owed += asked[i].id[0] != 0;
	}
	for (int ms = 0; owed && ms < LOAD_MS; ms += LOOK_MS) {
		for (unsigned i = 0; i < d->n; i++) {
			struct asked *a = &asked[i];

			if (!a->id[0] || a->answered)
				continue;
			a->answered = nodes_load(&d->m[i], a->id, &a->load);
			owed -= a->answered;
		}
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * 1000000 }, NULL);
	}
}

static const char *words(const struct deployment *d, const struct member *m,
                         const struct xl_domain *x, bool xen)
{
	char *status = state_status(d->name, m);

	if (status)
		return status;
	if (m->role == MEMBER_DOM0)
		return process_born(m->pid) == m->born ? "runs" : "ended";
	if (!xen)
		return "?";
	if (!x)
		return "gone";
	return x->shut_down ? "shut down" : strchr(x->state, 'p') ? "paused" : "runs";
}

/* What the service itself says, where it runs. */
static const char *service_words(const struct member *m, const struct asked *a, const char *word)
{
	const struct service_load *l = &a->load;
	char *state;

	if (strcmp(word, "runs") || !a->id[0])
		return word;
	state = nodes_service_state(m);
	if (!state || strcmp(state, "ready"))
		return state ? state : word;
	free(state);
	if (!a->answered)
		return "runs, does not answer";
	return xprintf("runs %u:%02u:%02u, epoch %u, %u sessions, %u calls in flight, %u %s",
	               l->up_s / 3600, l->up_s / 60 % 60, l->up_s % 60, l->epoch, l->sessions,
	               l->in_flight, l->objects, m->kind == DESC_FILE ? "files" : "sockets");
}

/* @n: of @list; negative: Xen was not asked. */
static void ps_one(const struct deployment *d, const struct xl_domain *list, int n)
{
	static const char *const roles[] = { "service", "service", "guest", "spare" };
	struct asked *asked = xalloc(MEMBERS_MAX * sizeof(*asked));

	if (n >= 0)
		ask_all(d, asked);
	for (unsigned i = 0; i < d->n; i++) {
		const struct member *m = &d->m[i];
		const struct xl_domain *x = n > 0 ? xl_find_id(list, n, m->domid, m->uuid) : NULL;
		const char *state = words(d, m, x, n >= 0);
		char memory[16] = "-";
		char where[24];

		if (m->role == MEMBER_DOM0)
			snprintf(where, sizeof(where), "pid %d", (int)m->pid);
		else
			snprintf(where, sizeof(where), "%u", m->domid);
		if (x && m->role != MEMBER_DOM0)
			snprintf(memory, sizeof(memory), "%u", x->memory);
		printf("%-32s %9s %6s %-8s %s\n", m->domain, where, memory, roles[m->role],
		       is_service(m) ? service_words(m, &asked[i], state) : state);
	}
	free(asked);
	if (d->n && !state_is_watched(d))
		say("note: the watcher of %s does not run, guests that end are not recorded; "
		    "`strait watch %s &` starts it", d->name, d->name);
}

void xen_ps(void)
{
	static struct deployment d;
	char **names = state_list(), *text = NULL;
	struct xl_domain *list = NULL;
	const char *why;

	if (!names[0])
		return;
	int n = xl_list(&list, &text);

	if (n >= 0)
		xst_open();
	printf("\n%-32s %9s %6s %-8s %s\n", "ON XEN", "DOMAIN", "MIB", "ROLE", "STATE");
	for (; *names; names++) {
		if (state_read(*names, &d, &why))
			ps_one(&d, list, n);
		else
			say("note: %s", why ? why : *names);
	}
	if (n < 0)
		say("note: xl list fails: %s", geteuid() ? "call it as root" : xl_sentence(text));
	free(list);
	free(text);
}
