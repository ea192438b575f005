/* SPDX-License-Identifier: MIT */
/*
 * point.c - see point.h.
 *
 * A guest looks up where its service is by three nodes of its own and three of the
 * service's domain.  In "next" stands all of it at once: "EPOCH DOMID RING PORT PATH",
 * good for that epoch alone, so that it need not be taken away again.
 */
#include "tools/strait/xen/point.h"

#include "tools/strait/strait.h"
#include "tools/strait/xen/xs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 20

static bool g_ahead; /* a transaction is set aside */

bool point_serves(const struct deployment *d, const struct member *g, const struct member *m)
{
	return g->role == MEMBER_GUEST && !strcmp(g->uses[m->kind], m->name) &&
	       !state_status(d->name, g);
}

unsigned point_count(const struct deployment *d, const struct member *m)
{
	unsigned n = 0;

	for (unsigned k = 0; k < d->n; k++)
		n += point_serves(d, &d->m[k], m);
	return n;
}

int point_lives(const struct deployment *d, const struct member *m, unsigned other)
{
	int err = 0;

	for (unsigned k = 0; k < d->n && !err; k++)
		if (point_serves(d, &d->m[k], m))
			err = xst_put_for_two(xprintf("/local/domain/%u/strait/%s/alive", d->m[k].domid,
			                              desc_kind_name[m->kind]),
			                      "1", m->domid, other);
	return err;
}

/* A service's word, which stands among others in what a guest reads. */
static bool is_number(const char *s)
{
	return s && *s && s[strspn(s, "0123456789")] == '\0';
}

/* Of the channel that @m made for @g; "" when it did not. */
static const char *channel_of(const struct member *g, const struct member *m)
{
	static const char *const names[] = { "ring-ref", "event-channel" };
	const char *path = xprintf("/local/domain/%u/data/strait/%s/%u", m->domid, m->name, g->domid);
	char *v[2];

	for (int i = 0; i < 2; i++)
		v[i] = xst_read(xprintf("%s/%s", path, names[i]));
	return is_number(v[0]) && is_number(v[1]) ? xprintf("%u %s %s %s", m->domid, v[0], v[1], path) : "";
}

static int point(const struct deployment *d, const struct member *m, unsigned epoch, bool next)
{
	int err = xst_begin();

	if (err)
		return err;
	for (unsigned k = 0; k < d->n && !err; k++) {
		const struct member *g = &d->m[k];

		if (!point_serves(d, g, m))
			continue;
		err = rebuild_point_guest(g, m, epoch);
		if (!err && next)
			err = xst_put(xprintf("/local/domain/%u/strait/%s/next", g->domid,
			                      desc_kind_name[m->kind]),
			              xprintf("%u %s", epoch, channel_of(g, m)), g->domid);
	}
	if (err)
		xst_abort();
	return err;
}

void point_ahead(const struct deployment *d, const struct member *next, unsigned epoch)
{
	g_ahead = point(d, next, epoch, true) == 0;
	if (g_ahead)
		xst_set_aside();
}

void point_undo(void)
{
	if (!g_ahead)
		return;
	g_ahead = false;
	xst_take_up();
	xst_abort();
}

int point_done(const struct deployment *d, const struct member *m, unsigned epoch)
{
	if (g_ahead) {
		g_ahead = false;
		xst_take_up();
		if (xst_commit() == 0)
			return 0;
	}
	return point_all(d, m, epoch);
}

int point_all(const struct deployment *d, const struct member *m, unsigned epoch)
{
	int err = -EAGAIN;

	for (int i = 0; i < TRIES && err == -EAGAIN; i++) {
		err = point(d, m, epoch, false);
		if (!err)
			err = xst_commit();
	}
	return err;
}

int point_settle(const struct deployment *d, const struct member *m)
{
	const char *at = xprintf("/local/domain/%u/strait/%s/config", m->domid, m->name);
	int err = point_lives(d, m, m->domid);

	if (!err)
		err = xst_put(xprintf("%s/kind", at), desc_kind_name[m->kind], m->domid);
	return err ? err : xst_rm(xprintf("%s/standby", at));
}
