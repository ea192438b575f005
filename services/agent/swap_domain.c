/* SPDX-License-Identifier: MIT */
/*
 * swap_domain.c - a swap of two domains, an agent in each (swap.c has the steps).
 */
#include "rpc/control.h"
#include "services/agent/agent.h"
#include "services/agent/swap_priv.h"
#include "vchan/vchan.h"

#include <errno.h>
#include <libxenvchan.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAY_MS 1000u /* for guests to have all back */
#define CALL_MS 100u /* then, for the calls that waited */
#define CHANNEL_ORDER 18u /* a guest's; less where its grants are too many */
#define CHANNEL_ORDER_MIN 16u
#define MEM_LOST "%s is in memory, and what it holds would be lost with the domain"

/* ---- the one that serves ---- */

void swap_close_channel(struct swap *w)
{
	if (w->out) {
		vchan_hang_up(w->out);
		vchan_close(w->out);
	}
	w->out = NULL;
}

/* NULL: no memory of ours holds anything that a guest made. */
static const char *in_the_way(struct agent *a)
{
	for (unsigned i = 0; i < a->service.n_mounts; i++)
		if (a->config.mounts[i].memory &&
		    !mem_is_pristine(&a->config, &a->config.mounts[i], a->service.mount_fds[i]))
			return a->config.mounts[i].guest;
	return NULL;
}

/* Could it be done?  And what is written now, or run for the first time, need not be while
 * guests wait: a service's end is in the self-check, too. */
static void offer_file(struct agent *a)
{
	struct service *s = &a->service;
	const char *mem;
	char why[CONFIG_WHY];

	free(a->swap.mems);
	a->swap.mems = mem_note(&a->config, s->mount_fds, s->n_mounts); /* first, then compare */
	mem = in_the_way(a);
	if (mem) {
		swap_answer(a, '!', MEM_LOST, mem);
		return;
	}
	if (a->init && selfcheck_files(a, why) < 0)
		say("self-check: %s", why); /* it serves all the same */
	a->service.ping_ms = now_ms(); /* it could not be heard */
	(void)mounts_flush(a); /* said; and done again when it counts */
	swap_answer(a, '=', "written out");
}

void swap_order_offer(struct agent *a, int domid)
{
	struct swap *w = &a->swap;
	const int none[3] = {-1, -1, -1};
	uint32_t ref, port;

	swap_close_channel(w);
	if (domid < 0 || !a->service.ready || w->state != SWAP_NONE) {
		swap_answer(a, '!', "it does not serve");
		return;
	}
	if (a->config.kind == KIND_FILE) {
		offer_file(a);
		return;
	}
	for (unsigned order = CHANNEL_ORDER; !w->out && order >= CHANNEL_ORDER_MIN; order -= 2)
		if (vchan_offer(domid, "swap", none) == 0)
			w->out = vchan_server_open(domid, "swap", order);
	if (!w->out) {
		swap_answer(a, '!', "no channel to domain %d: %s", domid, strerror(errno));
		return;
	}
	vchan_address(w->out, &ref, &port);
	swap_answer(a, '=', "%u %u", ref, port);
}

static void export_net(struct agent *a)
{
	struct swap *w = &a->swap;
	int pair[2], r;

	if (!w->out || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		w->state = SWAP_NONE;
		swap_answer(a, '!', "there is no channel to hand over by");
		return;
	}
	r = swap_send(a->service.sock, CONTROL__CONTROL__BODY_EXPORT, pair[0]);
	close(pair[0]);
	if (r == 0)
		r = swap_pump_out(w->out, pair[1]);
	a->service.ping_ms = now_ms(); /* it could not be heard */
	close(pair[1]);
	if (r < 0) { /* whatever it says now: it serves on */
		swap_close_channel(w);
		w->state = SWAP_NONE;
		(void)swap_send(a->service.sock, CONTROL__CONTROL__BODY_RESUME, -1);
		swap_answer(a, '!', "the state does not get through: %s", strerror(-r));
	}
}

void swap_order_export(struct agent *a)
{
	struct swap *w = &a->swap;

	if (w->state != SWAP_NONE || !a->service.ready) {
		swap_answer(a, '!', "it does not serve");
		return;
	}
	w->state = SWAP_SEALING;
	w->cut_us = swap_now_us();
	if (a->config.kind == KIND_FILE)
		service_close(a); /* then swap_sealed() */
	else
		export_net(a);
}

/* The fsd that swap_stopped() left. */
static void end_stopped(struct swap *w)
{
	int status;

	swap_let_go(&w->next);
	if (!w->next.pid)
		return;
	(void)kill(w->next.pid, SIGKILL);
	(void)waitpid(w->next.pid, &status, 0);
	w->next.pid = 0;
}

void swap_order_leave(struct agent *a)
{
	struct swap *w = &a->swap;

	if (w->state != SWAP_SEALED)
		return;
	w->state = SWAP_LEFT;
	service_stop(a); /* netd: without a word to any peer */
	end_stopped(w);
	agent_state(a, "left");
	if (!a->service.pid)
		guests_drop_all(a);
}

/* The file service has ended: its disks go, written out. */
void swap_sealed(struct agent *a)
{
	struct swap *w = &a->swap;
	bool whole;
	const char *mem = mem_as_noted(w->mems) ? NULL : in_the_way(a); /* made since the first look */

	w->state = SWAP_SEALED;
	if (mem) {
		service_lost(a);
		swap_answer(a, '!', MEM_LOST, mem);
	} else {
		whole = service_ended(a);
		if (whole && mounts_released(&a->config))
			swap_answer(a, '=', "%llu", (unsigned long long)service_verifier(a));
		else
			swap_answer(a, '!', "its disks were not written out and let go");
	}
}

/* Its end takes the time of what it had mapped: later, when nobody waits. */
void swap_stopped(struct agent *a)
{
	struct swap *w = &a->swap;
	struct service *s = &a->service;

	if (w->state != SWAP_SEALING || a->config.kind != KIND_FILE) {
		if (s->sock >= 0)
			close(s->sock); /* called back meanwhile: it ends, and another one follows */
		s->sock = -1;
		return;
	}
	w->next = (struct instance){.pid = s->pid, .sock = s->sock, .trace.fd = -1};
	s->pid = 0;
	s->sock = -1;
	swap_sealed(a);
}

/* ---- the next one ---- */

/* What came from the link until now the old one has seen too. */
static void forget_frames(int link)
{
	char byte;

	while (link >= 0 && (recv(link, &byte, 1, MSG_DONTWAIT | MSG_TRUNC) >= 0 || errno == EINVAL))
		;
}

static void import_net(struct agent *a, int domid, uint32_t ref, uint32_t port)
{
	struct libxenvchan *c = vchan_client_open(domid, ref, port);
	int pair[2] = {-1, -1}, r = c ? 0 : -errno;

	forget_frames(a->service.link_fd);

	if (r == 0) {
		swap_answer(a, '-', "waits");
		r = swap_pump_wait(c);
	}
	if (r == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		r = -errno;
	if (r == 0) {
		r = swap_send(a->service.sock, CONTROL__CONTROL__BODY_IMPORT, pair[1]);
		close(pair[1]);
	}
	if (r == 0)
		r = swap_pump_in(c, pair[0]);
	a->service.ping_ms = now_ms(); /* it could not be heard */
	if (pair[0] >= 0)
		close(pair[0]);
	if (c)
		libxenvchan_close(c);
	if (r < 0)
		swap_answer(a, '!', "the state of domain %d does not come: %s", domid, strerror(-r));
}

void swap_order_import(struct agent *a, const char *args)
{
	struct swap *w = &a->swap;
	unsigned domid, ref, port;

	if (w->state != SWAP_STANDBY) {
		swap_answer(a, '!', "it does not stand by");
		return;
	}
	w->state = SWAP_TAKING;
	if (a->config.kind == KIND_FILE) {
		w->verifier = strtoull(args, NULL, 10);
		w->serves = strstr(args, " go") != NULL;
		if (service_start(a) < 0 && !a->failed)
			agent_fail(a, "the service could not be started");
	} else if (sscanf(args, "%u %u %u", &domid, &ref, &port) != 3 || domid > INT16_MAX) {
		swap_answer(a, '!', "the order is malformed");
	} else {
		import_net(a, (int)domid, ref, port);
	}
}

/* ---- go: whoever is told serves ---- */

/* What guests do not wait for. */
void swap_say_rest(struct agent *a)
{
	if (!a->swap.say_ms)
		return;
	a->swap.say_ms = 0;
	if (!a->service.ready) { /* it has ended: the next one says so itself */
		prepare_forget(a);
		return;
	}
	prepare_say(a);
	agent_ready(a);
	guests_look(a);
	trace_offer(a);
}

void swap_serve(struct agent *a)
{
	struct swap *w = &a->swap;

	w->n_served = prepare_serve(a); /* first: they wait */
	w->state = SWAP_NONE;
	w->say_ms = now_ms() + SAY_MS;
	swap_answer(a, '=', "serves %u", w->n_served);
	if (!w->n_served)
		swap_say_rest(a);
}

void swap_order_go(struct agent *a)
{
	struct swap *w = &a->swap;
	const bool on = a->service.pid &&
	                (w->state == SWAP_SEALED ||
	                 (w->state == SWAP_SEALING && a->config.kind == KIND_NET));

	if (w->state == SWAP_TAKEN) {
		swap_serve(a);
		return;
	}
	if (w->state != SWAP_SEALED && w->state != SWAP_SEALING) {
		swap_answer(a, '=', "serves");
		return;
	}
	swap_close_channel(w);
	w->state = SWAP_NONE;
	if (on) {
		(void)swap_send(a->service.sock, CONTROL__CONTROL__BODY_RESUME, -1);
	} else if (!a->service.pid) {
		end_stopped(w);
		guests_drop_all(a);
		a->config.epoch++;
		agent_state(a, "starting");
		if (service_start(a) < 0 && !a->failed)
			agent_fail(a, "the service could not be started again");
	}
	swap_answer(a, '=', "serves on");
}

void swap_guest_back(struct agent *a)
{
	struct swap *w = &a->swap;
	unsigned n = 0;

	for (const struct guest *g = a->guests; g; g = g->next)
		n += g->back;
	if (!w->n_served || n < w->n_served)
		return;
	w->n_served = 0;
	swap_answer(a, '+', "all %u are back", n);
	if (w->say_ms) /* else it is said */
		w->say_ms = now_ms() + CALL_MS;
}
