/* SPDX-License-Identifier: MIT */
/*
 * agent_stand.h - what main.c, service.c and swap.c do in the agent, for tests of the rest of
 * it without Xen; for one source of a program.  fake_store.c is its xenstored.
 */
#ifndef TESTS_UNIT_AGENT_STAND_H
#define TESTS_UNIT_AGENT_STAND_H

#include "services/agent/agent.h"
#include "services/agent/swap.h"
#include "tests/unit/fake_store.h"
#include "tests/unit/suite.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BASE "/local/domain/3/strait/file"
#define DATA "/local/domain/3/data/strait/file"
#define ID "00112233445566778899aabbccddeeff"

static struct agent g_agent;
static char g_calls[512]; /* what the service was told */
static char g_said[1024];
static int g_service_err;

/* ---- what main.c and service.c do in the agent ---- */

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(g_said, sizeof(g_said), fmt, ap);
	va_end(ap);
}

int service_add(struct agent *a, const struct config_guest *g)
{
	(void)a;
	snprintf(g_calls + strlen(g_calls), 64, "add %u; ", g->domid);
	return g_service_err;
}

int service_prepare(struct agent *a, int sock, const struct config_guest *g)
{
	(void)a;
	snprintf(g_calls + strlen(g_calls), 64, "prepare %u at %d; ", g->domid, sock);
	return g_service_err;
}

int service_gone(struct agent *a, uint32_t domid)
{
	(void)a;
	snprintf(g_calls + strlen(g_calls), 64, "gone %u; ", domid);
	return 0;
}

/* ---- a service's life ---- */

static uint64_t g_now;

uint64_t now_ms(void)
{
	return g_now;
}

int service_ping(struct agent *a, uint64_t nonce)
{
	(void)a;
	snprintf(g_calls + strlen(g_calls), 64, "ping %u; ", (unsigned)nonce);
	return 0;
}

int service_ask_status(struct agent *a)
{
	(void)a;
	strcat(g_calls, "status; ");
	return g_service_err;
}

int service_start(struct agent *a)
{
	(void)a;
	strcat(g_calls, "start; ");
	return 0;
}

void service_stop(struct agent *a)
{
	(void)a;
	strcat(g_calls, "stop; ");
}

void service_lost(struct agent *a)
{
	a->service.pid = 0;
}

bool service_ended(struct agent *a)
{
	a->service.pid = 0;
	return true;
}

bool swap_took_end(struct agent *a, int status)
{
	(void)a;
	(void)status;
	return false;
}

void agent_state(struct agent *a, const char *text)
{
	(void)a;
	(void)text;
}

void agent_fail(struct agent *a, const char *fmt, ...)
{
	(void)fmt;
	a->failed = true;
}

static __attribute__((unused)) bool told(const char *what)
{
	const bool same = strcmp(g_calls, what) == 0;

	if (!same)
		fprintf(stderr, "told \"%s\", not \"%s\"\n", g_calls, what);
	g_calls[0] = 0;
	return same;
}

static __attribute__((unused)) void start(void)
{
	g_agent = (struct agent){.domid = 3, .base = BASE, .data = DATA, .name = "file"};
	g_agent.service.ready = true;
	store_init(&g_agent.store, fake_store_start());
	g_calls[0] = g_said[0] = 0;
	g_service_err = 0;
}

static __attribute__((unused)) void stop(void)
{
	guests_end(&g_agent);
	store_close(&g_agent.store);
	fake_store_stop();
}

static __attribute__((unused)) void announce(unsigned domid, const char *uuid)
{
	char path[128];

	snprintf(path, sizeof(path), BASE "/guests/%u/client-id", domid);
	fake_store_set(path, ID);
	snprintf(path, sizeof(path), BASE "/guests/%u/uuid", domid);
	fake_store_set(path, uuid);
	fake_store_domain(domid, true);
}

static __attribute__((unused)) void ready(unsigned domid)
{
	announce(domid, "u");
	guests_look(&g_agent);
	guests_ready(&g_agent, domid, 8, 9);
	g_calls[0] = 0;
}

#endif /* TESTS_UNIT_AGENT_STAND_H */
