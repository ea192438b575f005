/* SPDX-License-Identifier: MIT */
/*
 * server_early.c - a list of channels and whose they are to be.
 */
#include "rpc/server_early.h"

#include "rpc/limits.h"
#include "vchan/vchan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct early {
	struct early *next;
	uint32_t domid;
	uint8_t client_id[RPC_CLIENT_ID_LEN];
	struct vchan_end *end;
} *g_early;

static struct early **find(uint32_t domid)
{
	struct early **p = &g_early;

	while (*p && (*p)->domid != domid)
		p = &(*p)->next;
	return p;
}

/* Its channel is the caller's. */
static struct vchan_end *unlink_early(struct early **p)
{
	struct early *e = *p;
	struct vchan_end *end = e->end;

	*p = e->next;
	free(e);
	return end;
}

int early_put(uint32_t domid, const uint8_t *client_id, struct vchan_end *end)
{
	struct early *e = *find(domid) ? NULL : malloc(sizeof(*e));

	if (!e) {
		vchan_close(end);
		return *find(domid) ? -EEXIST : -ENOMEM;
	}
	e->domid = domid;
	memcpy(e->client_id, client_id, sizeof(e->client_id));
	e->end = end;
	e->next = g_early;
	g_early = e;
	return 0;
}

struct vchan_end *early_take(uint32_t domid, const uint8_t *client_id)
{
	struct early **p = find(domid);

	if (!*p)
		return NULL;
	if (memcmp((*p)->client_id, client_id, RPC_CLIENT_ID_LEN) == 0)
		return unlink_early(p);
	early_drop(domid);
	return NULL;
}

void early_drop(uint32_t domid)
{
	struct early **p = find(domid);

	if (*p)
		vchan_close(unlink_early(p));
}
