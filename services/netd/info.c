/* SPDX-License-Identifier: MIT */
/*
 * info.c - see info.h.
 */
#include "services/netd/info.h"

#include <errno.h>
#include <stdlib.h>

#define DNS_MAX 3u /* as resolv.conf; a reply has room for little */

static Control__NetConfig *g_kept;

int info_keep(const Control__NetConfig *cfg)
{
	const size_t len = control__net_config__get_packed_size(cfg);
	uint8_t *buf = malloc(len + 1);

	if (!buf)
		return -ENOMEM;
	control__net_config__pack(cfg, buf);
	g_kept = control__net_config__unpack(NULL, len, buf);
	free(buf);
	return g_kept ? 0 : -ENOMEM;
}

const Control__NetConfig *info_config(void)
{
	return g_kept;
}

void info_common(Net__InfoRep *rep)
{
	if (!g_kept)
		return;
	rep->n_dns = g_kept->n_dns < DNS_MAX ? g_kept->n_dns : DNS_MAX;
	rep->dns = g_kept->dns;
	rep->gateway4 = g_kept->gateway4;
	rep->gateway6 = g_kept->gateway6;
}
