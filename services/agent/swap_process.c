/* SPDX-License-Identifier: MIT */
/*
 * swap_process.c - a swap of two processes of one agent (swap.c has the steps).
 */
#include "rpc/control.h"
#include "rpc/limits.h"
#include "services/agent/agent.h"
#include "services/agent/swap_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK_MS 15000u
#define MOVE_MS 10000u
#define DRAIN_MS 5000u
#define OLD_MS 3000u /* one that was told to end must have ended */
#define SETTLE_MS 15000u

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

void swap_let_go(struct instance *n)
{
	if (n->sock >= 0)
		close(n->sock);
	if (n->trace.fd >= 0)
		close(n->trace.fd);
	n->sock = n->trace.fd = -1;
}

void swap_failed(struct agent *a, const char *fmt, ...)
{
	struct swap *w = &a->swap;
	char text[CONFIG_WHY];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w->next.pid)
		(void)kill(w->next.pid, SIGKILL); /* and reaped as others are */
	swap_let_go(&w->next);
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
		swap_failed(a, "%s", w->why[0] ? w->why : strerror(-r));
}

void swap_take_over(struct agent *a, bool told)
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
	swap_let_go(&w->next);
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
		swap_failed(a, "no sockets to hand over by: %s", strerror(errno));
		return;
	}
	r = swap_send(w->next.sock, CONTROL__CONTROL__BODY_IMPORT, pair[1]);
	if (r == 0)
		r = swap_send(a->service.sock, CONTROL__CONTROL__BODY_EXPORT, pair[0]);
	close(pair[0]);
	close(pair[1]);
	if (r < 0)
		swap_failed(a, "cannot be told to hand over: %s", strerror(-r));
}

void swap_both_moved(struct agent *a)
{
	if (!a->swap.exported || !a->swap.imported)
		return;
	swap_take_over(a, false);
}

/* All is made that can be: the old one stops. */
void swap_cut(struct agent *a)
{
	struct swap *w = &a->swap;

	swap_reached(a, "a new %s is ready", swap_program(a));
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
			swap_failed(a, "the new %s speaks protocol version %u, this agent %u to %u",
			       swap_program(a), c->ready->version, RPC_VERSION_MIN, RPC_VERSION_MAX);
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
		swap_failed(a, "the new one refuses: %.*s",
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
			swap_failed(a, "the new one does not speak strait's protocol");
		return;
	}
	for (int i = 0; i < n_fds; i++)
		close(fds[i]);
	next_says(a, c);
	control__control__free_unpacked(c, NULL);
}

void swap_order_process(struct agent *a, const char *path)
{
	struct swap *w = &a->swap;

	if (w->state != SWAP_NONE || w->old || w->next.pid)
		swap_answer(a, '!', "another swap is under way");
	else if (!a->service.ready)
		swap_answer(a, '!', "its %s is being started again; ask again when it is up", swap_program(a));
	else if (*path && access(path, X_OK))
		swap_answer(a, '!', "%s cannot be run: %s", path, strerror(errno));
	else
		start_next(a, path);
}

uint64_t swap_process_step(struct agent *a, uint64_t now)
{
	struct swap *w = &a->swap;
	uint64_t at = w->old ? w->old_ms : UINT64_MAX;

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
			swap_answer(a, '!', "the new %s serves, but not all guests came to it", swap_program(a));
		} else if (now >= w->due_ms) {
			swap_failed(a, "%s", w->state == SWAP_CHECK
			                        ? "the new one does not say that it is ready"
			                        : "the hand-over takes too long");
		}
		if (w->state != SWAP_NONE && w->due_ms < at)
			at = w->due_ms;
	}
	return at;
}
