/* SPDX-License-Identifier: MIT */
/*
 * loop_back.c - after an instance that ended: its guests first, then the network.
 *
 * Until the guests that were served before have made their listeners and datagram
 * sockets again, what the network sends finds nobody, and the stack would refuse it.  So
 * it waits in the device: a new connection is late by some milliseconds, not refused.
 * Where a guest does not come back, the others' network waits for BACK_MS.
 */
#include "services/netd/clock.h"
#include "services/netd/loop_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BACK_MS 2000u

static uint32_t *g_away; /* domids; NULL: the link is watched */
static size_t g_n_away;
static uint64_t g_until; /* ms; 0: no guest has come yet, the instance before may serve */

int back_expect(const Control__Configure *c)
{
	if (c->epoch < 2 || c->takeover || c->n_expected == 0 || g_loop.link_fd < 0)
		return 0;
	g_away = malloc(c->n_expected * sizeof(*g_away));
	if (!g_away)
		return -ENOMEM;
	memcpy(g_away, c->expected, c->n_expected * sizeof(*g_away));
	g_n_away = c->n_expected;
	return 0;
}

bool back_waits(void)
{
	return g_away != NULL;
}

static int all_back(void)
{
	free(g_away);
	g_away = NULL;
	return loop_watch_link();
}

void back_begins(void)
{
	if (g_away && g_until == 0)
		g_until = clock_ms() + BACK_MS;
}

void back_is(uint32_t domid)
{
	for (size_t i = 0; g_away && i < g_n_away; i++) {
		if (g_away[i] == domid)
			g_away[i--] = g_away[--g_n_away];
	}
	if (g_away && g_n_away == 0 && all_back() < 0)
		g_loop.stop = true;
}

uint64_t back_deadline(void)
{
	return g_away && g_until ? g_until : UINT64_MAX;
}

void back_run(uint64_t now_ms)
{
	if (now_ms >= back_deadline() && all_back() < 0)
		g_loop.stop = true;
}
