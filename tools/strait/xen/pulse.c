/* SPDX-License-Identifier: MIT */
/*
 * pulse.c - does a service's domain still do anything?  See pulse.h.
 *
 *                    answers                     no answer, and Xen says that
 *      beats <--------------------> silent ----------------------------> paused
 *        |   paused time and ours       |  ... it is not paused             |
 *        |   do not count as silence    v                                   v
 *        |                     silent for too long                  paused for too long
 *        |                     (a starting one, or one that ends:   (only when the policy
 *        |                     START_S)                             says so)
 *        |                              |                                   |
 *        +------------------------------+--> destroyed, made anew <---------+
 *
 * The agent kills a service that hangs after hang= seconds; a domain is given twice
 * that, so that what is lost with a domain is lost only when nothing else helps.
 * An image whose agent is ready and has never answered is too old to answer.
 */
#include "tools/strait/xen/pulse.h"

#include "tools/strait/xen/deploy.h"
#include "tools/strait/xen/xl.h"
#include "tools/strait/xen/xs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HANG_S 15u    /* the agent's own default (services/agent/config.h) */
#define EVERY_MS 5000u
#define START_S 180u  /* to start, or to end in order */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static char *node(const struct member *m, const char *below, const char *name)
{
	return xprintf("/local/domain/%u/%s/%s/%s", m->domid, below, m->name, name);
}

static uint32_t policy(const struct member *m, const char *name, uint32_t otherwise)
{
	char *path = node(m, "strait", name), *v = xst_read(path);
	uint32_t n = v ? (uint32_t)strtoul(v, NULL, 10) : otherwise;

	free(v);
	free(path);
	return n;
}

/* Of hang= seconds, three questions may be lost. */
static uint64_t every(const struct pulse *p)
{
	uint64_t ms = p->hang_s ? p->hang_s * 2000u / 3 : EVERY_MS;

	return ms < EVERY_MS ? ms : EVERY_MS;
}

static bool watched(const struct pulse *p)
{
	return p->hang_s || p->paused_s;
}

int pulse_due(const struct pulse *p, int most)
{
	uint64_t now = now_ms();

	if (!p->domid)
		return 0;
	if (!watched(p))
		return most;
	uint64_t at = p->looked_ms + every(p);

	return at <= now ? 0 : at - now < (uint64_t)most ? (int)(at - now) : most;
}

static bool has_answered(const struct pulse *p, const struct member *m)
{
	char *path = node(m, "data/strait", "pong"), *v = xst_read(path);
	bool same = v && p->asked && strtoul(v, NULL, 10) == p->nonce;

	free(v);
	free(path);
	return same;
}

static void ask(struct pulse *p, const struct member *m)
{
	char *v = xprintf("%u", ++p->nonce);

	p->asked = !nodes_ask(m, "ping", v); /* else at the next look */
	p->silent_ms = 0;
	free(v);
}

/* 1: paused, 0: not, -1: not there any more, or nobody knows. */
static int ask_xen(const struct member *m)
{
	struct xl_domain *list;
	char *text;
	int n = xl_list(&list, &text);
	const struct xl_domain *x = n > 0 ? xl_find_id(list, n, m->domid, m->uuid) : NULL;
	int r = !x || x->shut_down ? -1 : strchr(x->state, 'p') ? 1 : 0;

	free(list);
	free(text);
	return r;
}

static bool is_ready(const struct member *m)
{
	char *state = nodes_service_state(m);
	bool ready = state && !strcmp(state, "ready");

	free(state);
	return ready;
}

static char *judge_pause(struct pulse *p, const struct member *m, uint64_t passed)
{
	if (!p->paused && p->paused_s)
		watch_note("%s is paused; after %u s it is made anew", m->domain, p->paused_s);
	else if (!p->paused)
		watch_note("%s is paused; it is left as it is", m->domain);
	p->paused_ms += p->paused ? passed : 0;
	p->paused = true;
	p->silent_ms = 0;
	return p->paused_s && p->paused_ms >= p->paused_s * 1000u
	               ? xprintf("is paused for %u s", p->paused_s) : NULL;
}

/* It is not paused (any more). */
static void goes_on(struct pulse *p, const struct member *m)
{
	if (p->paused)
		watch_note("%s goes on", m->domain);
	p->paused = false;
	p->paused_ms = 0;
}

static char *judge_silence(struct pulse *p, const struct member *m, uint64_t passed)
{
	bool ready = is_ready(m);
	uint32_t limit = ready && p->answered ? 2 * p->hang_s : START_S;

	goes_on(p, m);
	if (!p->hang_s || (ready && !p->answered))
		return NULL;
	p->silent_ms += passed;
	return p->silent_ms >= limit * 1000u ? xprintf("hangs: no answer for %u s", limit) : NULL;
}

char *pulse_look(struct pulse *p, const struct member *m)
{
	const uint64_t now = now_ms();
	uint64_t passed;
	int paused;

	if (p->domid != m->domid) {
		*p = (struct pulse){ .domid = m->domid };
		p->hang_s = policy(m, "config/hang", HANG_S);
		p->paused_s = policy(m, "config/paused", 0);
		p->looked_ms = now;
		p->nonce = (uint32_t)now; /* not one that a watcher before us has used */
		if (watched(p))
			ask(p, m);
		return NULL;
	}
	if (pulse_due(p, 1))
		return NULL;
	/* When we did not run ourselves, that is nobody's silence. */
	passed = now - p->looked_ms < 2 * every(p) ? now - p->looked_ms : every(p);
	p->looked_ms = now;
	if (has_answered(p, m)) {
		goes_on(p, m);
		p->answered = true;
		ask(p, m);
		return NULL;
	}
	if (!p->asked)
		ask(p, m);
	paused = ask_xen(m);
	if (paused < 0)
		return NULL; /* another's to see */
	return paused ? judge_pause(p, m, passed) : judge_silence(p, m, passed);
}
