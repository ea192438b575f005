/* SPDX-License-Identifier: MIT */
/*
 * status.c - how much the service has to do: `strait ps` in dom0 asks, by a node that
 * holds an id, and is answered with the same id and numbers.  A service that does not
 * answer is not waited for here: who asks is shown what is known without it.
 */
#include "services/agent/agent.h"

#include <stdio.h>
#include <string.h>

bool status_asked(struct agent *a, const char *changed)
{
	struct service *s = &a->service;
	char path[AGENT_PATH + 16];

	snprintf(path, sizeof(path), "strait/%s/ps", a->name);
	if (!a->base[0] || strcmp(changed, path) != 0)
		return false;
	snprintf(path, sizeof(path), "%s/ps", a->base);
	if (store_read(&a->store, path, s->status_id, sizeof(s->status_id)) <= 0 || !s->ready ||
	    service_ask_status(a) < 0)
		s->status_id[0] = 0;
	return true;
}

void status_answered(struct agent *a, uint32_t sessions, uint32_t in_flight, uint32_t objects)
{
	struct service *s = &a->service;
	char path[AGENT_PATH + 16], text[128];

	if (!s->status_id[0])
		return;
	snprintf(path, sizeof(path), "%s/ps", a->data);
	snprintf(text, sizeof(text), "%s %u %llu %u %u %u", s->status_id, a->config.epoch,
	         (unsigned long long)(now_ms() - s->up_ms) / 1000, sessions, in_flight, objects);
	s->status_id[0] = 0;
	if (store_write(&a->store, path, text) < 0)
		say("cannot write xenstore node %s", path);
}
