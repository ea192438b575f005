/* SPDX-License-Identifier: MIT */
/*
 * rebuild.c - a service domain that ended is made anew, and its guests are told.
 *
 * What it was told stands below its own folder in xenstore, which goes with the domain:
 * so the watcher keeps a copy while it lives.  The new domain has the same xl
 * configuration and the same nodes, but for the epoch: REBUILD_EPOCHS later, since the agent
 * counts the instances within a domain.  Guests look for the new place themselves.
 */
#include "tools/strait/xen/deploy.h"
#include "tools/strait/xen/xl.h"
#include "tools/strait/xen/xs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 8
#define TRIES 20
#define EPOCH_NODE "/config/epoch"
#define STANDBY_NODE "/config/standby" /* in the place of the next one: an agent that does
                                        * not know it touches nothing */
#define KIND_NODE "/config/kind"

struct kept_node {
	struct kept_node *next;
	char *path, *value; /* below the service's folder */
};

static char *folder(unsigned domid, const char *name)
{
	return xprintf("/local/domain/%u/strait/%s", domid, name);
}

static void kept_free(struct kept_node *k)
{
	while (k) {
		struct kept_node *next = k->next;

		free(k->path);
		free(k->value);
		free(k);
		k = next;
	}
}

/* Behind *@end: parents before children, in xenstore's order. */
static void read_below(const char *base, const char *rest, int depth, struct kept_node ***end)
{
	char *path = xprintf("%s%s", base, rest), **names = xst_list(path);
	struct kept_node *k = xalloc(sizeof(*k));

	k->next = NULL;
	k->path = xprintf("%s", rest);
	k->value = xst_read(path);
	**end = k;
	*end = &k->next;
	for (char **n = names; n && *n && depth < DEPTH_MAX; n++) {
		char *below = xprintf("%s/%s", rest, *n);

		read_below(base, below, depth + 1, end);
		free(below);
	}
	free(names);
	free(path);
}

void rebuild_keep(const struct member *m, struct kept_node **kept)
{
	char *base = folder(m->domid, m->name);
	struct kept_node *fresh = NULL, **end = &fresh;

	if (xst_exists(base)) {
		read_below(base, "", 0, &end);
		/* or it went while it was read */
		if (xst_exists(xprintf("%s" EPOCH_NODE, base))) {
			kept_free(*kept);
			*kept = fresh;
		} else {
			kept_free(fresh);
		}
	}
	free(base);
}

/* Disks that are image files hang on loop devices, which go with their last user. */
void rebuild_hold_disks(const char *deployment, const struct member *m)
{
	FILE *f = fopen(state_path(deployment, m->domain, ".cfg"), "re");
	char line[4096];

	while (f && fgets(line, sizeof(line), f)) {
		char *at = strstr(line, "target=/dev/loop");

		if (!at)
			continue;
		at += strlen("target=");
		at[strcspn(at, "\",\n")] = 0;
		if (open(at, O_RDONLY | O_CLOEXEC) < 0)
			say("%s: %s cannot be held: %s", m->domain, at, strerror(errno));
	}
	if (f)
		fclose(f);
}

/* --- nodes ------------------------------------------------------------------ */

/* What completes a group comes last. */
static bool is_last(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && (!strcmp(path, KIND_NODE) || !strcmp(name, "/uuid"));
}

unsigned rebuild_epoch(const struct kept_node *kept)
{
	for (; kept; kept = kept->next)
		if (!strcmp(kept->path, EPOCH_NODE) && kept->value)
			return (unsigned)strtoul(kept->value, NULL, 10) + REBUILD_EPOCHS;
	return DEPLOY_EPOCH + REBUILD_EPOCHS;
}

/* Of that domain alone. */
static bool not_kept(const char *path)
{
	return !strcmp(path, "/restart") || !strcmp(path, "/ping") || !strcmp(path, "/swap") ||
	       !strcmp(path, STANDBY_NODE);
}

int rebuild_put_service(const struct kept_node *kept, const struct member *m, unsigned epoch,
                        bool standby)
{
	const char *base = folder(m->domid, m->name);
	int err = xst_put(xprintf("/local/domain/%u/strait", m->domid), NULL, m->domid);

	for (int last = 0; last < 2; last++) {
		if (last && standby && !err)
			err = xst_put(xprintf("%s" STANDBY_NODE, base), desc_kind_name[m->kind], m->domid);
		for (const struct kept_node *k = kept; k && !err; k = k->next) {
			bool e = !strcmp(k->path, EPOCH_NODE);
			const char *value = e ? xprintf("%u", epoch) : k->value;

			if (is_last(k->path) == last && !not_kept(k->path) &&
			    !(standby && !strcmp(k->path, KIND_NODE)))
				err = xst_put(xprintf("%s%s", base, k->path),
				              value && *value ? value : NULL, m->domid);
		}
	}
	return err;
}

int rebuild_point_guest(const struct member *g, const struct member *m, unsigned epoch)
{
	const char *at = xprintf("/local/domain/%u/strait/%s", g->domid, desc_kind_name[m->kind]);
	int err = xst_set(xprintf("%s/backend-id", at), xprintf("%u", m->domid));

	if (!err)
		err = xst_set(xprintf("%s/path", at),
		              xprintf("/local/domain/%u/data/strait/%s/%u", m->domid, m->name, g->domid));
	if (!err)
		err = xst_set(xprintf("%s/epoch", at), xprintf("%u", epoch));
	return err;
}

int rebuild_put_guest(const struct member *g, const struct member *m, unsigned epoch)
{
	const char *at = xprintf("/local/domain/%u/strait/%s", g->domid, desc_kind_name[m->kind]);
	int err = xst_put(xprintf("%s/backend-id", at), xprintf("%u", m->domid), g->domid);

	if (!err)
		err = xst_put(xprintf("%s/path", at),
		              xprintf("/local/domain/%u/data/strait/%s/%u", m->domid, m->name, g->domid),
		              g->domid);
	if (!err)
		err = xst_put(xprintf("%s/epoch", at), xprintf("%u", epoch), g->domid);
	if (!err)
		err = xst_put(xprintf("%s/alive", at), "1", m->domid);
	return err;
}

/* Later than all that guests were told: what is kept may be of an earlier domain. */
static unsigned later_epoch(const struct kept_node *kept, const struct deployment *d,
                            const struct member *m)
{
	unsigned epoch = rebuild_epoch(kept);

	for (unsigned k = 0; k < d->n; k++) {
		const struct member *g = &d->m[k];
		char *text = g->role == MEMBER_GUEST && g->uses_domid[m->kind] == m->domid
		                     ? xst_read(xprintf("/local/domain/%u/strait/%s/epoch", g->domid,
		                                        desc_kind_name[m->kind]))
		                     : NULL;
		const unsigned told = text ? (unsigned)strtoul(text, NULL, 10) : 0;

		if (told >= epoch)
			epoch = told + REBUILD_EPOCHS;
		free(text);
	}
	return epoch;
}

static int put_all(const struct kept_node *kept, const struct deployment *d,
                   const struct member *m)
{
	const unsigned epoch = later_epoch(kept, d, m);
	int err = -EAGAIN;

	for (int i = 0; i < TRIES && err == -EAGAIN; i++) {
		err = xst_begin();
		if (err)
			return err;
		err = rebuild_put_service(kept, m, epoch, false);
		for (unsigned k = 0; k < d->n && !err; k++)
			if (d->m[k].role == MEMBER_GUEST && d->m[k].uses_domid[m->kind] == m->domid &&
			    !state_status(d->name, &d->m[k]))
				err = rebuild_put_guest(&d->m[k], m, epoch);
		if (err)
			xst_abort();
		else
			err = xst_commit();
	}
	return err;
}

/* --- the domain ------------------------------------------------------------- */

static char *xl_fails(const char *what, char *text)
{
	return xprintf("xl %s: %s", what, xl_sentence(text));
}

static char *create(const char *deployment, struct member *m)
{
	const char *const make[] = { "create", "-p", "-e", "-q",
		                     state_path(deployment, m->domain, ".cfg"), NULL };
	const char *const ask[] = { "domid", m->domain, NULL };
	char *text;

	if (xl_run(&text, make))
		return xl_fails("create", text);
	free(text);
	if (xl_run(&text, ask) || !strtoul(text, NULL, 10))
		return xl_fails("domid", text);
	m->domid = (unsigned)strtoul(text, NULL, 10);
	free(text);
	return NULL;
}

static int remember(struct deployment *d, struct member *m)
{
	int err = state_add(d->name, m);

	for (unsigned i = 0; i < d->n && !err; i++) {
		struct member *g = &d->m[i];

		if (g->role != MEMBER_GUEST || strcmp(g->uses[m->kind], m->name))
			continue;
		g->uses_domid[m->kind] = m->domid;
		err = state_add(d->name, g);
	}
	return err;
}

char *rebuild(struct deployment *d, struct member *m, const struct kept_node *kept)
{
	const char *id;
	char *text, *why;
	int err;

	if (!kept)
		return xprintf("what it was told is not known");
	why = create(d->name, m);
	if (why)
		return why;
	err = remember(d, m);
	if (!err)
		err = put_all(kept, d, m);
	if (!err)
		err = deploy_share_releases(NULL);
	if (err)
		return xprintf("%s", xst_why(err));
	id = xprintf("%u", m->domid);
	const char *const args[] = { "unpause", id, NULL };

	return xl_run(&text, args) ? xl_fails("unpause", text) : NULL;
}
