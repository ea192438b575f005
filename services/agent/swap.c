/* SPDX-License-Identifier: MIT */
/*
 * swap.c - a planned swap: another instance takes a service's place (swap.h).
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
#include "rpc/control.h"
#include "rpc/limits.h"
#include "services/agent/agent.h"
#include "services/agent/swap_priv.h"
#include "vchan/vchan.h"

#include <errno.h>
#include <libxenvchan.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_MS 15000u
#define MOVE_MS 10000u
#define DRAIN_MS 5000u
#define OLD_MS 3000u /* one that was told to end must have ended */
#define SETTLE_MS 15000u
#define SAY_MS 1000u /* for guests to have all back */
#define CALL_MS 100u /* then, for the calls that waited */
#define CHANNEL_ORDER 18u /* a guest's; less where its grants are too many */
#define CHANNEL_ORDER_MIN 16u
#define MEM_LOST "%s is in memory, and what it holds would be lost with the domain"

static const char *program(const struct agent *a)
{
	return a->config.kind == KIND_FILE ? "fsd" : "netd";
}

/* ---- two processes ---- */

/* The service and @next change places. */
static void exchange(struct agent *a)
{
	struct service *s = &a->service;
	struct instance *n = &a->swap.next, was = {.pid = s->pid, .sock = s->sock, .ready = s->ready};

	memcpy(was.program, s->program, sizeof(was.program));
	was.trace = (struct trace_kept){a->trace.fd, a->trace.clock_ahead};
	s->pid = n->pid;
	s->sock = n->sock;
	s->ready = n->ready;
	memcpy(s->program, n->program, sizeof(s->program));
	a->trace.fd = n->trace.fd;
	a->trace.clock_ahead = n->trace.clock_ahead;
	*n = was;
}

static void let_go(struct instance *n)
{
	if (n->sock >= 0)
		close(n->sock);
	if (n->trace.fd >= 0)
		close(n->trace.fd);
	n->sock = n->trace.fd = -1;
}

__attribute__((format(printf, 2, 3)))
static void failed(struct agent *a, const char *fmt, ...)
{
	struct swap *w = &a->swap;
	char text[CONFIG_WHY];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w->next.pid)
		(void)kill(w->next.pid, SIGKILL); /* and reaped as others are */
	let_go(&w->next);
	prepare_forget(a);
	w->preparing = false;
	if (w->state == SWAP_MOVE)
		(void)swap_send(a->service.sock, CONTROL__CONTROL__BODY_RESUME, -1);
	w->state = SWAP_NONE;
	say("swap: %s", text);
	swap_answer(a, '!', "%s; the old one serves on", text);
}

static void start_next(struct agent *a, const char *path)
{
	struct swap *w = &a->swap;
	struct trace before = a->trace;
	int r;

	w->next = (struct instance){.sock = -1, .trace.fd = -1};
	snprintf(w->next.program, sizeof(w->next.program), "%s",
	         *path ? path : a->service.program);
	w->state = SWAP_CHECK;
	w->due_ms = now_ms() + CHECK_MS;
	w->why[0] = 0;
	w->preparing = false;
	exchange(a);
	a->trace.end = NULL;
	w->trying = true;
	a->config.epoch++;
	r = service_start(a);
	a->config.epoch--;
	w->trying = false;
	exchange(a);
	a->trace = before;
	if (r == 0)
		r = swap_send(w->next.sock, CONTROL__CONTROL__BODY_PING, -1);
	if (r < 0 && r != -EPIPE && r != -ECONNRESET) /* else its end says why */
		failed(a, "%s", w->why[0] ? w->why : strerror(-r));
}

/* Guests wait: they come first.  @told: the old one has ended; else it is told now, so that
 * they are called when there is where to go. */
static void take_over(struct agent *a, bool told)
{
	struct swap *w = &a->swap;

	w->state = SWAP_SETTLE;
	w->due_ms = now_ms() + SETTLE_MS;
	trace_close(a);
	exchange(a);
	memcpy(a->service.before, w->next.program, sizeof(a->service.before));
	a->service.on_trial = true;
	a->config.epoch++;
	guests_change_over(a);
	prepare_serve(a);
	if (!told)
		(void)swap_send(w->next.sock, CONTROL__CONTROL__BODY_SHUTDOWN, -1);
	w->old = w->next.pid;
	w->old_ms = now_ms() + OLD_MS;
	w->next.pid = 0;
	a->service.lives++;
	a->service.ping = a->service.pong = 0;
	a->service.ping_ms = now_ms();
	agent_ready(a);
	let_go(&w->next);
	trace_offer(a);
	guests_look(a);
	swap_guest_ready(a); /* there may be none */
}

static void move(struct agent *a)
{
	struct swap *w = &a->swap;
	int pair[2], r;

	w->state = SWAP_MOVE;
	w->due_ms = now_ms() + MOVE_MS;
	w->exported = w->imported = false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		failed(a, "no sockets to hand over by: %s", strerror(errno));
		return;
	}
	r = swap_send(w->next.sock, CONTROL__CONTROL__BODY_IMPORT, pair[1]);
	if (r == 0)
		r = swap_send(a->service.sock, CONTROL__CONTROL__BODY_EXPORT, pair[0]);
	close(pair[0]);
	close(pair[1]);
	if (r < 0)
		failed(a, "cannot be told to hand over: %s", strerror(-r));
}

static void both_moved(struct agent *a)
{
	if (!a->swap.exported || !a->swap.imported)
		return;
	take_over(a, false);
}

/* All is made that can be: the old one stops. */
static void cut(struct agent *a)
{
	struct swap *w = &a->swap;

	swap_reached(a, "a new %s is ready", program(a));
	w->preparing = false;
	w->cut_us = swap_now_us();
	if (a->config.kind == KIND_NET) {
		move(a);
		return;
	}
	w->state = SWAP_DRAIN;
	w->due_ms = now_ms() + DRAIN_MS;
	service_stop(a);
}

/* The next one is ready and answers. */
static void checked(struct agent *a)
{
	struct swap *w = &a->swap;

	if (w->preparing)
		return;
	w->preparing = true;
	if (w->next.prepares)
		prepare_guests(a, w->next.sock);
	swap_prepared(a);
}

void swap_prepared(struct agent *a)
{
	struct swap *w = &a->swap;

	if (!w->preparing || !prepare_done(a))
		return;
	if (w->state == SWAP_CHECK) {
		cut(a);
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

void swap_guest_ready(struct agent *a)
{
	struct swap *w = &a->swap;
	size_t n = 0;

	for (const struct guest *g = a->guests; g; g = g->next)
		n += g->state == GUEST_READY;
	if (w->state != SWAP_SETTLE || n < a->service.n_expected)
		return;
	swap_reached(a, "%zu guests have their new rings", n);
	w->state = SWAP_NONE;
	swap_answer(a, '=', "epoch %u to %u, guests waited %.1f ms", a->config.epoch - 1, a->config.epoch,
	       (double)(swap_now_us() - w->cut_us) / 1000);
}

int swap_fd(const struct agent *a)
{
	return a->swap.state == SWAP_CHECK || a->swap.state == SWAP_MOVE ||
	                       a->swap.state == SWAP_DRAIN
	               ? a->swap.next.sock
	               : -1;
}

static void next_says(struct agent *a, const Control__Control *c)
{
	struct swap *w = &a->swap;
	char why[400];

	switch (c->body_case) {
	case CONTROL__CONTROL__BODY_READY:
		w->next.prepares = c->ready->prepares != 0;
		w->next.ready = c->ready->version >= RPC_VERSION_MIN &&
		                c->ready->version <= RPC_VERSION_MAX;
		if (!w->next.ready)
			failed(a, "the new %s speaks protocol version %u, this agent %u to %u",
			       program(a), c->ready->version, RPC_VERSION_MIN, RPC_VERSION_MAX);
		break;
	case CONTROL__CONTROL__BODY_PONG:
		if (w->state == SWAP_CHECK && w->next.ready)
			checked(a);
		break;
	case CONTROL__CONTROL__BODY_IMPORTED:
		snprintf(why, sizeof(why), "%.*s",
		         (int)(c->imported->failed.len < 390 ? c->imported->failed.len : 390),
		         (const char *)c->imported->failed.data);
		swap_imported(a, c->imported->connections, why);
		break;
	case CONTROL__CONTROL__BODY_GUEST_READY:
		if (prepare_made(a, c->guest_ready->domid, c->guest_ready->ring_ref,
		                 c->guest_ready->event_channel))
			swap_prepared(a);
		break;
	case CONTROL__CONTROL__BODY_FAILED:
		if (c->failed->domid && prepare_failed(a, c->failed->domid)) {
			swap_prepared(a);
			break;
		}
		failed(a, "the new one refuses: %.*s",
		       (int)(c->failed->text.len < 300 ? c->failed->text.len : 300),
		       (const char *)c->failed->text.data);
		break;
	default:
		break;
	}
}

void swap_readable(struct agent *a)
{
	struct instance *n = &a->swap.next;
	Control__Control *c;
	int fds[CONTROL_FDS_MAX], n_fds = 0;
	const int r = control_recv(n->sock, MSG_DONTWAIT, &c, fds, &n_fds);

	if (r == -EAGAIN)
		return;
	if (r < 0) { /* its end says why */
		close(n->sock);
		n->sock = -1;
		if (r == -EBADMSG && n->pid)
			failed(a, "the new one does not speak strait's protocol");
		return;
	}
	for (int i = 0; i < n_fds; i++)
		close(fds[i]);
	next_says(a, c);
	control__control__free_unpacked(c, NULL);
}

static void order_process(struct agent *a, const char *path)
{
	struct swap *w = &a->swap;

	if (w->state != SWAP_NONE || w->old || w->next.pid)
		swap_answer(a, '!', "another swap is under way");
	else if (!a->service.ready)
		swap_answer(a, '!', "its %s is being started again; ask again when it is up", program(a));
	else if (*path && access(path, X_OK))
		swap_answer(a, '!', "%s cannot be run: %s", path, strerror(errno));
	else
		start_next(a, path);
}

/* ---- two domains: the one that serves ---- */

static void close_channel(struct swap *w)
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

static void order_offer(struct agent *a, int domid)
{
	struct swap *w = &a->swap;
	const int none[3] = {-1, -1, -1};
	uint32_t ref, port;

	close_channel(w);
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
		close_channel(w);
		w->state = SWAP_NONE;
		(void)swap_send(a->service.sock, CONTROL__CONTROL__BODY_RESUME, -1);
		swap_answer(a, '!', "the state does not get through: %s", strerror(-r));
	}
}

static void order_export(struct agent *a)
{
	struct swap *w = &a->swap;

	if (w->state != SWAP_NONE || !a->service.ready) {
		swap_answer(a, '!', "it does not serve");
		return;
	}
	w->state = SWAP_SEALING;
	w->cut_us = swap_now_us();
	if (a->config.kind == KIND_FILE)
		service_close(a); /* then sealed() */
	else
		export_net(a);
}

/* The fsd that swap_stopped() left. */
static void end_stopped(struct swap *w)
{
	int status;

	let_go(&w->next);
	if (!w->next.pid)
		return;
	(void)kill(w->next.pid, SIGKILL);
	(void)waitpid(w->next.pid, &status, 0);
	w->next.pid = 0;
}

static void order_leave(struct agent *a)
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
static void sealed(struct agent *a)
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
	sealed(a);
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

static void order_import(struct agent *a, const char *args)
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
static void say_rest(struct agent *a)
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

static void serve(struct agent *a)
{
	struct swap *w = &a->swap;

	w->n_served = prepare_serve(a); /* first: they wait */
	w->state = SWAP_NONE;
	w->say_ms = now_ms() + SAY_MS;
	swap_answer(a, '=', "serves %u", w->n_served);
	if (!w->n_served)
		say_rest(a);
}

static void order_go(struct agent *a)
{
	struct swap *w = &a->swap;
	const bool on = a->service.pid &&
	                (w->state == SWAP_SEALED ||
	                 (w->state == SWAP_SEALING && a->config.kind == KIND_NET));

	if (w->state == SWAP_TAKEN) {
		serve(a);
		return;
	}
	if (w->state != SWAP_SEALED && w->state != SWAP_SEALING) {
		swap_answer(a, '=', "serves");
		return;
	}
	close_channel(w);
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
	w->say_ms = now_ms() + CALL_MS;
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
	say_rest(a);
	w->said[0] = 0;
	w->n_served = 0;
	w->last_us = swap_now_us();
	if (strcmp(verb, "process") == 0)
		order_process(a, args);
	else if (strcmp(verb, "offer") == 0)
		order_offer(a, config_domid(args));
	else if (strcmp(verb, "export") == 0)
		order_export(a);
	else if (strcmp(verb, "import") == 0)
		order_import(a, args);
	else if (strcmp(verb, "leave") == 0)
		order_leave(a);
	else if (strcmp(verb, "go") == 0)
		order_go(a);
	else
		swap_answer(a, '!', "%s is not an order", verb);
}

/* ---- what comes of them ---- */

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
		serve(a); /* who had the disks has let go of them */
	else
		swap_answer(a, '=', "ready"); /* its grace for guests begins with the first: at go */
	return true;
}

void swap_exported(struct agent *a, uint32_t connections, uint64_t bytes, const char *why)
{
	struct swap *w = &a->swap;

	if (w->state == SWAP_MOVE && *why) {
		w->state = SWAP_CHECK; /* it has not stopped */
		failed(a, "nothing was handed over: %s", why);
	} else if (w->state == SWAP_MOVE) {
		w->exported = true;
		swap_reached(a, "the old one is sealed: %u connections in %llu bytes", connections,
		     (unsigned long long)bytes);
		both_moved(a);
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
		failed(a, "the new one refuses: %s", why);
	} else if (w->state == SWAP_MOVE) {
		w->imported = true;
		swap_reached(a, "the new one has %u connections", connections);
		both_moved(a);
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
		failed(a, "%s ended meanwhile (%s) and is started again", program(a), text);
		return false;
	case SWAP_DRAIN:
		swap_reached(a, "the old one has ended");
		take_over(a, true);
		w->old = 0;
		return true;
	case SWAP_SETTLE:
		w->state = SWAP_NONE;
		swap_answer(a, '!', "the new %s ended (%s) and is started again", program(a), text);
		return false;
	case SWAP_STANDBY:
	case SWAP_TAKING:
	case SWAP_TAKEN:
		(void)service_ended(a);
		agent_fail(a, "the new %s ended (%s)", program(a), text);
		return true;
	case SWAP_SEALING:
		if (a->config.kind == KIND_FILE) {
			sealed(a);
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
		failed(a, "the new %s ended (%s)", program(a), text);
	let_go(&w->next);
}

int swap_step(struct agent *a)
{
	struct swap *w = &a->swap;
	const uint64_t now = now_ms();
	uint64_t at = w->old ? w->old_ms : UINT64_MAX;

	if (w->say_ms && now >= w->say_ms)
		say_rest(a);
	else if (w->say_ms && w->say_ms < at)
		at = w->say_ms;
	if (w->old && now >= w->old_ms) {
		(void)kill(w->old, SIGKILL);
		w->old_ms = now + OLD_MS;
	}
	if (w->state >= SWAP_CHECK && w->state <= SWAP_SETTLE) {
		if (now >= w->due_ms && w->state == SWAP_DRAIN) {
			(void)kill(a->service.pid, SIGKILL);
			w->due_ms = now + DRAIN_MS;
		} else if (now >= w->due_ms && w->state == SWAP_SETTLE) {
			w->state = SWAP_NONE;
			swap_answer(a, '!', "the new %s serves, but not all guests came to it", program(a));
		} else if (now >= w->due_ms) {
			failed(a, "%s", w->state == SWAP_CHECK
			                        ? "the new one does not say that it is ready"
			                        : "the hand-over takes too long");
		}
		if (w->state != SWAP_NONE && w->due_ms < at)
			at = w->due_ms;
	}
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
	close_channel(w);
	free(w->mems);
	w->mems = NULL;
}
