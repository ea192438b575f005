/* SPDX-License-Identifier: MIT */
/*
 * swap_say.c - what a swap says: to dom0 in xenstore, to the services by messages.
 */
#include "rpc/control.h"
#include "services/agent/agent.h"
#include "services/agent/swap_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NONCE 1u

uint64_t swap_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* A line more. */
__attribute__((format(printf, 3, 0)))
static void add(struct swap *w, char kind, const char *fmt, va_list ap)
{
	size_t n = strlen(w->said);

	if (n + 2 < sizeof(w->said)) {
		w->said[n++] = kind;
		(void)vsnprintf(w->said + n, sizeof(w->said) - n, fmt, ap);
	}
	n = strlen(w->said);
	if (n + 1 < sizeof(w->said))
		snprintf(w->said + n, sizeof(w->said) - n, "\n");
}

static void put(struct agent *a)
{
	struct swap *w = &a->swap;
	char path[AGENT_PATH + 16], text[sizeof(w->id) + sizeof(w->said) + 2];

	snprintf(path, sizeof(path), "%s/swap", a->data);
	snprintf(text, sizeof(text), "%s\n%s", w->id, w->said);
	if (store_write(&a->store, path, text) < 0)
		say("cannot write xenstore node %s", path);
}

void swap_answer(struct agent *a, char kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(&a->swap, kind, fmt, ap);
	va_end(ap);
	put(a);
}

__attribute__((format(printf, 2, 3)))
static void add_line(struct swap *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(w, '-', fmt, ap);
	va_end(ap);
}

void swap_reached(struct agent *a, const char *fmt, ...)
{
	struct swap *w = &a->swap;
	const uint64_t now = swap_now_us();
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add_line(w, "%9.3f ms  %s", (double)(now - w->last_us) / 1000, text);
	w->last_us = now;
	if (w->state == SWAP_CHECK)
		put(a); /* else guests wait: it goes with the answer */
}

int swap_send(int sock, Control__Control__BodyCase what, int fd)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Export out = CONTROL__EXPORT__INIT;
	Control__Import in = CONTROL__IMPORT__INIT;
	Control__Resume on = CONTROL__RESUME__INIT;
	Control__Shutdown end = CONTROL__SHUTDOWN__INIT;
	Control__Ping ping = CONTROL__PING__INIT;

	c.body_case = what;
	ping.nonce = NONCE;
	if (what == CONTROL__CONTROL__BODY_EXPORT)
		c.export = &out;
	else if (what == CONTROL__CONTROL__BODY_IMPORT)
		c.import = &in;
	else if (what == CONTROL__CONTROL__BODY_RESUME)
		c.resume = &on;
	else if (what == CONTROL__CONTROL__BODY_PING)
		c.ping = &ping;
	else
		c.shutdown = &end;
	return sock < 0 ? -EPIPE : control_send(sock, &c, fd < 0 ? NULL : &fd, fd >= 0);
}
