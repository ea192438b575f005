/* SPDX-License-Identifier: MIT */
/*
 * life.c - a service's instances, one after the other.
 *
 *   starts ──ready──> serves ──it ends, or hangs and is killed──> another one starts
 *      └──it ends before it was ever ready: failed          (a later epoch, the same
 *                                                            mounts and guests)
 *
 * All that the guests need to go on is with them, and with the kernel: so an instance
 * that ends unasked is followed by another one at once, the next ones after pauses
 * that grow.  One that ends again and again fails for good.
 */
#include "services/agent/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define CALM_MS 60000u /* between ends that have to do with each other */
#define IN_A_ROW 5u
#define PAUSE_MS 200u  /* doubled each time */
#define TRIAL_MS 10000u /* so long what was swapped in must live */
#define PING_MS 5000u  /* and three times within what it may be silent */

static const char *program(const struct agent *a)
{
	return a->config.kind == KIND_FILE ? "fsd" : "netd";
}

static void say_end(const struct agent *a, int status, char *to, size_t size)
{
	snprintf(to, size, "%s ended %s (%s %d)", program(a),
	         a->service.ready ? "unasked" : "before it was ready",
	         WIFSIGNALED(status) ? "signal" : "exit status",
	         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* What was swapped in, and did not live long enough to be believed, gives way to what
 * was there before. */
static void fall_back(struct service *s, uint64_t now)
{
	if (!s->on_trial)
		return;
	s->on_trial = false;
	if ((s->ready && now - s->up_ms >= TRIAL_MS) || strcmp(s->program, s->before) == 0)
		return;
	say("%s takes the place of %s again", *s->before ? s->before : "the agent's own program",
	    *s->program ? s->program : "its own");
	memcpy(s->program, s->before, sizeof(s->program));
	s->in_a_row = 0;
	s->ended_ms = 0;
}

/* The one place where a service's end is judged. */
void service_died(struct agent *a, int status)
{
	struct service *s = &a->service;
	const uint64_t now = now_ms();
	char text[CONFIG_WHY];

	if (!a->stopping && swap_took_end(a, status))
		return;
	say_end(a, status, text, sizeof(text));
	if (a->stopping || !s->lives || a->failed) {
		(void)service_ended(a); /* said */
		guests_drop_all(a);
		if (!a->stopping)
			agent_fail(a, "%s", text);
		return;
	}
	fall_back(s, now);
	service_lost(a);
	guests_drop_all(a);
	s->in_a_row = s->ended_ms && now - s->ended_ms < CALM_MS && !s->asked ? s->in_a_row + 1 : 0;
	s->ended_ms = now;
	if (s->in_a_row >= IN_A_ROW) {
		(void)service_ended(a);
		agent_fail(a, "%s, %u times in a row", text, s->in_a_row + 1);
		return;
	}
	a->config.epoch++;
	s->again_ms = now + (s->in_a_row ? PAUSE_MS << (s->in_a_row - 1) : 0);
	say("%s; epoch %u follows", s->asked ? "the service ended as it was told" : text,
	    a->config.epoch);
	s->asked = false;
	agent_state(a, "starting");
}

void life_look_for_order(struct agent *a)
{
	char path[AGENT_PATH + 16], text[sizeof(a->order)];

	if (!a->service.ready || a->swap.state != SWAP_NONE)
		return; /* and no question, for which guests would wait */
	snprintf(path, sizeof(path), "%s/restart", a->base);
	if (store_read(&a->store, path, text, sizeof(text)) <= 0 || strcmp(text, a->order) == 0)
		return;
	snprintf(a->order, sizeof(a->order), "%s", text);
	say("dom0 asks for another instance");
	a->service.asked = true;
	service_stop(a);
}

void life_answer(struct agent *a)
{
	char path[AGENT_PATH + 16], nonce[24];

	snprintf(path, sizeof(path), "%s/ping", a->base);
	if (store_read(&a->store, path, nonce, sizeof(nonce)) <= 0)
		return;
	snprintf(path, sizeof(path), "%s/pong", a->data);
	if (store_write(&a->store, path, nonce) < 0)
		say("cannot write xenstore node %s", path);
}

bool life_answers(struct agent *a, const char *changed)
{
	char path[AGENT_PATH + 16];

	snprintf(path, sizeof(path), "strait/%s/ping", a->name);
	if (!a->base[0] || strcmp(changed, path) != 0)
		return false;
	life_answer(a);
	return true;
}

void life_pong(struct agent *a, uint64_t nonce)
{
	a->service.pong = nonce;
}

/* Time in which this process itself did not run (its domain was paused) counts as one
 * look, not as silence. */
static void judge(struct agent *a, uint64_t passed)
{
	struct service *s = &a->service;

	s->silent_ms += passed;
	if (s->silent_ms < a->config.hang * 1000u)
		return;
	say("%s does not answer for %u s and is killed", program(a), a->config.hang);
	s->pong = s->ping;
	(void)kill(s->pid, SIGKILL);
}

static int ask_and_judge(struct agent *a, uint64_t now)
{
	struct service *s = &a->service;
	const uint64_t every = a->config.hang * 1000u / 3 < PING_MS ? a->config.hang * 1000u / 3
	                                                            : PING_MS;
	const uint64_t since = now - s->ping_ms;

	if (!a->config.hang)
		return -1;
	if (since < every)
		return (int)(every - since);
	s->ping_ms = now;
	if (s->ping != s->pong) {
		judge(a, since < 2 * every ? since : every);
	} else if (service_ping(a, s->ping + 1) == 0) {
		s->ping++;
		s->silent_ms = 0;
	}
	return (int)every;
}

int life_step(struct agent *a)
{
	struct service *s = &a->service;
	const uint64_t now = now_ms();

	if (s->again_ms && now < s->again_ms)
		return (int)(s->again_ms - now);
	if (s->again_ms) {
		s->again_ms = 0;
		s->ping = s->pong = 0;
		s->ping_ms = now;
		if (service_start(a) < 0 && !a->failed)
			agent_fail(a, "the service could not be started again");
	}
	return s->ready && s->pid ? ask_and_judge(a, now) : -1;
}
