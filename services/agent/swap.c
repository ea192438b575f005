/* SPDX-License-Identifier: MIT */
/*
 * swap.c - a planned swap: another instance takes a service's place (swap.h): the orders,
 * and what comes of them.
 *
 *   processes   CHECK ──Ready, Pong──> MOVE (netd) ──Exported, Imported──> SETTLE
 *                                  └─> DRAIN (fsd) ──the old one ended───> SETTLE
 *   old domain  offer ──> SEALING ──export done──> SEALED ──leave──> LEFT
 *   next domain STANDBY ──import──> TAKING ──> TAKEN ──go──> serves
 *
 * 1. Up to SETTLE, or leave and go, whatever goes wrong costs the next instance alone.
 * 2. Of two instances that could touch the same link or disk one stands still or has
 *    ended, and its guests have no channel or see it stand still.
 * 3. A file service's domain lets go of its disks, written out, before it says that it
 *    has; what mounts in memory hold would be lost with it, so there may be nothing.
 */
#include "services/agent/agent.h"
#include "services/agent/swap_priv.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

const char *swap_program(const struct agent *a)
{
	return a->config.kind == KIND_FILE ? "fsd" : "netd";
}

/* ---- orders ---- */

void swap_look_for_order(struct agent *a)
{
	struct swap *w = &a->swap;
	char path[AGENT_PATH + 16], text[1200], id[sizeof(w->id)], verb[16];
	const char *args;
	int n = 0;

	snprintf(path, sizeof(path), "%s/swap", a->base);
	if (store_read(&a->store, path, text, sizeof(text)) <= 0 ||
	    sscanf(text, "%23s %15s %n", id, verb, &n) < 2 || strcmp(id, w->id) == 0)
		return;
	args = n ? text + n : "";
	snprintf(w->id, sizeof(w->id), "%s", id);
	swap_say_rest(a);
	w->said[0] = 0;
	w->n_served = 0;
	w->last_us = swap_now_us();
	if (strcmp(verb, "process") == 0)
		swap_order_process(a, args);
	else if (strcmp(verb, "offer") == 0)
		swap_order_offer(a, config_domid(args));
	else if (strcmp(verb, "export") == 0)
		swap_order_export(a);
	else if (strcmp(verb, "import") == 0)
		swap_order_import(a, args);
	else if (strcmp(verb, "leave") == 0)
		swap_order_leave(a);
	else if (strcmp(verb, "go") == 0)
		swap_order_go(a);
	else
		swap_answer(a, '!', "%s is not an order", verb);
}

/* ---- what comes of them ---- */

void swap_prepared(struct agent *a)
{
	struct swap *w = &a->swap;

	if (!w->preparing || !prepare_done(a))
		return;
	if (w->state == SWAP_CHECK) {
		swap_cut(a);
	} else if (w->state == SWAP_STANDBY) {
		w->preparing = false;
		agent_state(a, "standby");
	}
}

void swap_stand_by(struct agent *a)
{
	a->swap.preparing = true;
	prepare_guests(a, a->service.sock);
	swap_prepared(a);
}

bool swap_took_ready(struct agent *a)
{
	struct swap *w = &a->swap;

	if (w->state == SWAP_STANDBY) { /* a netd that waits to be told */
		swap_stand_by(a);
		return true;
	}
	if (w->state != SWAP_TAKING)
		return false;
	w->state = SWAP_TAKEN;
	if (w->serves)
		swap_serve(a); /* who had the disks has let go of them */
	else
		swap_answer(a, '=', "ready"); /* its grace for guests begins with the first: at go */
	return true;
}

void swap_exported(struct agent *a, uint32_t connections, uint64_t bytes, const char *why)
{
	struct swap *w = &a->swap;

	if (w->state == SWAP_MOVE && *why) {
		w->state = SWAP_CHECK; /* it has not stopped */
		swap_failed(a, "nothing was handed over: %s", why);
	} else if (w->state == SWAP_MOVE) {
		w->exported = true;
		swap_reached(a, "the old one is sealed: %u connections in %llu bytes", connections,
		     (unsigned long long)bytes);
		swap_both_moved(a);
	} else if (w->state == SWAP_SEALING && *why) {
		w->state = SWAP_NONE;
		swap_answer(a, '!', "nothing was handed over: %s", why);
	} else if (w->state == SWAP_SEALING) {
		w->state = SWAP_SEALED;
		swap_answer(a, '=', "%u %llu", connections, (unsigned long long)bytes);
	}
}

void swap_imported(struct agent *a, uint32_t connections, const char *why)
{
	struct swap *w = &a->swap;

	if (w->state == SWAP_MOVE && *why) {
		swap_failed(a, "the new one refuses: %s", why);
	} else if (w->state == SWAP_MOVE) {
		w->imported = true;
		swap_reached(a, "the new one has %u connections", connections);
		swap_both_moved(a);
	} else if (w->state == SWAP_TAKING && *why) {
		swap_answer(a, '!', "the new one refuses: %s", why);
	} else if (w->state == SWAP_TAKING) {
		w->state = SWAP_TAKEN;
		swap_answer(a, '=', "%u", connections);
	}
}

void swap_took_failure(struct agent *a, const char *why)
{
	struct swap *w = &a->swap;

	if (w->trying)
		snprintf(w->why, sizeof(w->why), "%s", why);
	else if (w->state == SWAP_TAKING || w->state == SWAP_TAKEN)
		swap_answer(a, '!', "%s", why);
}

static void how(int status, char to[40])
{
	snprintf(to, 40, "%s %d", WIFSIGNALED(status) ? "signal" : "exit status",
	         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

bool swap_took_end(struct agent *a, int status)
{
	struct swap *w = &a->swap;
	char text[40];

	how(status, text);
	switch (w->state) {
	case SWAP_CHECK:
	case SWAP_MOVE:
		w->state = SWAP_CHECK;
		swap_failed(a, "%s ended meanwhile (%s) and is started again", swap_program(a), text);
		return false;
	case SWAP_DRAIN:
		swap_reached(a, "the old one has ended");
		swap_take_over(a, true);
		w->old = 0;
		return true;
	case SWAP_SETTLE:
		w->state = SWAP_NONE;
		swap_answer(a, '!', "the new %s ended (%s) and is started again", swap_program(a), text);
		return false;
	case SWAP_STANDBY:
	case SWAP_TAKING:
	case SWAP_TAKEN:
		(void)service_ended(a);
		agent_fail(a, "the new %s ended (%s)", swap_program(a), text);
		return true;
	case SWAP_SEALING:
		if (a->config.kind == KIND_FILE) {
			swap_sealed(a);
			return true;
		}
		w->state = SWAP_NONE;
		swap_answer(a, '!', "netd ended meanwhile (%s) and is started again", text);
		return false;
	case SWAP_SEALED:
		service_lost(a);
		guests_drop_all(a);
		return true;
	case SWAP_LEFT:
		(void)service_ended(a);
		guests_drop_all(a);
		return true;
	default:
		return false;
	}
}

void swap_child_ended(struct agent *a, pid_t pid, int status)
{
	struct swap *w = &a->swap;
	char text[40];

	if (pid == w->old)
		w->old = 0;
	if (pid != w->next.pid)
		return;
	how(status, text);
	w->next.pid = 0;
	if (w->state == SWAP_CHECK || w->state == SWAP_MOVE)
		swap_failed(a, "the new %s ended (%s)", swap_program(a), text);
	swap_let_go(&w->next);
}

int swap_step(struct agent *a)
{
	struct swap *w = &a->swap;
	const uint64_t now = now_ms();
	uint64_t at = swap_process_step(a, now);

	if (w->say_ms && now >= w->say_ms)
		swap_say_rest(a);
	else if (w->say_ms && w->say_ms < at)
		at = w->say_ms;
	return at == UINT64_MAX ? -1 : at > now ? (int)(at - now) : 0;
}

void swap_end(struct agent *a)
{
	struct swap *w = &a->swap;

	if (w->next.pid)
		(void)kill(w->next.pid, SIGKILL);
	if (w->old)
		(void)kill(w->old, SIGKILL);
	prepare_forget(a);
	swap_close_channel(w);
	free(w->mems);
	w->mems = NULL;
}
