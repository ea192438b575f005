/* SPDX-License-Identifier: MIT */
/*
 * run_swap.c - `strait restart` and `strait swap`, the instance's side.
 *
 *      CHECK   the next instance starts beside the old one; it must say Ready, with a
 *              version we speak, and answer a Ping
 *      MOVE    (swap of netd) old: Export, next: Import, over a socket pair
 *      CUT     (netd restarted, or with another back end) old: Export, to drop: it
 *              resets its connections
 *      DRAIN   (all but MOVE) the old one is told Shutdown: it answers what it has begun;
 *              it has DRAIN_MS for it
 *      SETTLE  the next one is the service's; every guest gets its new ring to it
 *
 * 1. Up to CUT or DRAIN, or to "Exported and Imported", whatever goes wrong costs the next
 *    instance alone: the old one serves on (Resume, if it had stopped for Export).
 * 2. The old one is reaped, or has said that it is sealed, before the next one gets its
 *    first guest.
 * 3. A new binary that passes the check and then does not live is given up for the one
 *    before it (run_life.c).
 * 4. A restart of netd hands nothing over, and two instances cannot serve one link: the
 *    next one is checked, ended, and started once more when the old one has gone.
 * 5. Another back end has another link, so the next one stays; but connections cannot
 *    move between different stacks.  Guests ask it for the rest, as after a death.
 *
 * Who asked is told each phase and how long it took; should it hang up, we go on.
 */
#include "rpc/limits.h"
#include "tools/strait/run.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK_MS 10000
#define MOVE_MS 10000
#define DRAIN_MS 3000
#define OLD_MS 3000 /* a sealed one must have ended */

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* --- who asked ---------------------------------------------------------------- */

__attribute__((format(printf, 3, 0)))
static void tell(int sock, char kind, const char *fmt, va_list ap)
{
	char text[1024];

	text[0] = kind;
	vsnprintf(text + 1, sizeof(text) - 1, fmt, ap);
	if (sock >= 0)
		(void)!send(sock, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

__attribute__((format(printf, 2, 3)))
static void refuse(int sock, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(sock, SWAP_FAILED, fmt, ap);
	va_end(ap);
	close(sock);
}

/* A phase is over: what was reached, and the time since the last one. */
__attribute__((format(printf, 2, 3)))
static void phase(struct swap *w, const char *fmt, ...)
{
	const uint64_t now = now_us();
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w->asker >= 0) {
		char line[700];
		int n = snprintf(line, sizeof(line), "%c%9.3f ms  %s", SWAP_PHASE,
		                 (double)(now - w->last_us) / 1000, text);

		(void)!send(w->asker, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	w->last_us = now;
}

/* Who asks hangs up with us: once the instance that does not serve has been reaped, so
 * that another swap finds nothing under way. */
static void hang_up(struct swap *w)
{
	if (w->asker < 0 || w->step != SWAP_NONE || w->old || w->s->next.pid)
		return;
	close(w->asker);
	w->asker = -1;
}

__attribute__((format(printf, 3, 4)))
static void finish(struct swap *w, char kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(w->asker, kind, fmt, ap);
	va_end(ap);
	w->step = SWAP_NONE;
	hang_up(w);
}

/* --- failing -------------------------------------------------------------------- */

static void drop_next(struct service *s)
{
	instance_hang_up(&s->next);
	instance_kill(&s->next); /* reaped as others are */
}

static void resume_old(struct swap *w)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Resume resume = CONTROL__RESUME__INIT;

	c.body_case = CONTROL__CONTROL__BODY_RESUME;
	c.resume = &resume;
	/* One that cannot be told has ended, or will be found to hang. */
	if (w->s->cur.sock >= 0)
		(void)control_send(w->s->cur.sock, &c, NULL, 0);
	w->s->ping_sent = 0;
}

void swap_failed(struct run *r, const char *fmt, ...)
{
	struct swap *w = &r->swap;
	char why[700];
	va_list ap;

	if (w->step == SWAP_NONE)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (w->step <= SWAP_MOVE) {
		drop_next(w->s);
		w->s->lost_at = 0;
	}
	if (w->step == SWAP_MOVE)
		resume_old(w);
	finish(w, SWAP_FAILED, "%s: %s%s", w->s->name, why,
	       w->step > SWAP_MOVE ? "" : "; the old one serves on");
}

/* --- the steps ------------------------------------------------------------------ */

static void enter(struct swap *w, enum swap_step step, unsigned ms)
{
	w->step = step;
	w->due = run_now() + ms;
}

/* The next instance is the service's from here on. */
static void take_over(struct run *r, struct swap *w)
{
	struct service *s = w->s;

	free(s->before);
	s->before = s->cur.path;
	s->before_kernel = s->cur.kernel;
	s->cur = s->next;
	s->next = (struct instance){ .sock = -1 };
	service_watch(r, s, &s->cur);
	s->row_at = s->short_lives = 0; /* what ended before was not asked for */
	s->life = LIFE_AGAIN;
	s->due = run_now() + CHECK_MS;
	enter(w, SWAP_SETTLE, 0);
	if (backend_take(r, s, &s->cur)) {
		(void)kill(s->cur.pid, SIGKILL); /* SIGCHLD has the rest */
		return;
	}
	service_readd(r, s);
}

static void stops_serving(struct swap *w)
{
	w->cut_us = now_us();
	w->s->lost_at = run_now();
}

static void move(struct run *r, struct swap *w)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Export from = CONTROL__EXPORT__INIT;
	Control__Import to = CONTROL__IMPORT__INIT;
	int pair[2], err;

	enter(w, SWAP_MOVE, MOVE_MS);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		swap_failed(r, "no sockets to hand over by: %s", strerror(errno));
		return;
	}
	stops_serving(w);
	c.body_case = CONTROL__CONTROL__BODY_IMPORT;
	c.import = &to;
	err = control_send(w->s->next.sock, &c, &pair[1], 1);
	c.body_case = CONTROL__CONTROL__BODY_EXPORT;
	c.export = &from;
	if (!err)
		err = control_send(w->s->cur.sock, &c, &pair[0], 1);
	close(pair[0]);
	close(pair[1]);
	if (err)
		swap_failed(r, "cannot be told to hand over: %s", strerror(-err));
}

static void drain(struct swap *w)
{
	struct service *s = w->s;

	enter(w, SWAP_DRAIN, DRAIN_MS);
	if (!w->cut_us)
		stops_serving(w);
	instance_shutdown(&s->cur);
	/* What it says of guests at its end would be taken for their end. */
	instance_hang_up(&s->cur);
}

/* Its connections end here. */
static void cut(struct swap *w)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Export drop = CONTROL__EXPORT__INIT;

	if (w->restart)
		drop_next(w->s);
	enter(w, SWAP_CUT, DRAIN_MS);
	stops_serving(w);
	drop.drop = 1;
	c.body_case = CONTROL__CONTROL__BODY_EXPORT;
	c.export = &drop;
	if (control_send(w->s->cur.sock, &c, NULL, 0))
		drain(w);
}

/* Of an older build: it ends them without telling, or closes them. */
static void was_cut(struct swap *w, const Control__Exported *m)
{
	w->counted = !m->failed.len;
	w->lost = m->connections;
	w->kept = m->sockets;
	if (w->counted)
		phase(w, "the old one has reset %u connections", w->lost);
	drain(w);
}

void swap_answers(struct run *r)
{
	struct swap *w = &r->swap;

	if (w->step != SWAP_CHECK || !w->s->next.ready)
		return;
	phase(w, "a new %s is ready (%s)", w->s->name, w->s->next.path);
	if (w->s == &r->service[SERVICE_FSD])
		drain(w);
	else if (w->restart || w->kernel != w->s->cur.kernel)
		cut(w);
	else
		move(r, w);
}

static void both_moved(struct run *r, struct swap *w)
{
	struct service *s = w->s;

	if (!w->exported || !w->imported)
		return;
	service_cut(r, s);
	instance_shutdown(&s->cur);
	instance_hang_up(&s->cur);
	w->old = s->cur.pid;
	w->old_due = run_now() + OLD_MS;
	take_over(r, w);
}

static const char *words(const ProtobufCBinaryData *d, char out[400])
{
	snprintf(out, 400, "%.*s", (int)(d->len < 390 ? d->len : 390), (const char *)d->data);
	return out;
}

void swap_exported(struct run *r, struct service *s, const Control__Exported *m)
{
	struct swap *w = &r->swap;
	char why[400];

	if (w->step == SWAP_CUT && w->s == s)
		was_cut(w, m);
	if (w->step != SWAP_MOVE || w->s != s || w->exported)
		return;
	if (m->failed.len) {
		w->step = SWAP_CHECK; /* it has not stopped */
		swap_failed(r, "nothing was handed over: %s", words(&m->failed, why));
		return;
	}
	w->exported = true;
	w->connections = m->connections;
	phase(w, "the old one is sealed: %u connections in %llu bytes", m->connections,
	      (unsigned long long)m->bytes);
	both_moved(r, w);
}

void swap_imported(struct run *r, struct service *s, const Control__Imported *m)
{
	struct swap *w = &r->swap;
	char why[400];

	if (w->step != SWAP_MOVE || w->s != s || w->imported)
		return;
	if (m->failed.len) {
		swap_failed(r, "the new one refuses: %s", words(&m->failed, why));
		return;
	}
	w->imported = true;
	phase(w, "the new one has %u connections", m->connections);
	both_moved(r, w);
}

/* The old one has gone, as it was told to.  True: that was our doing. */
bool swap_drained(struct run *r, struct service *s)
{
	struct swap *w = &r->swap;

	if ((w->step != SWAP_DRAIN && w->step != SWAP_CUT) || w->s != s)
		return false;
	phase(w, "the old one has ended");
	service_cut(r, s);
	if (s->next.pid && s->next.sock >= 0) {
		take_over(r, w);
		return true;
	}
	/* Checked and ended, or dead meanwhile: start it (once more). */
	free(s->before);
	s->before = s->cur.path;
	s->before_kernel = s->cur.kernel;
	s->cur.path = w->path;
	s->cur.kernel = w->kernel;
	w->path = NULL;
	s->life = LIFE_DOWN;
	s->due = run_now();
	enter(w, SWAP_SETTLE, 0);
	return true;
}

void swap_settled(struct run *r, struct service *s)
{
	struct swap *w = &r->swap;
	const uint64_t now = now_us();
	uint32_t domids[GUESTS_MAX];

	if (w->step != SWAP_SETTLE || w->s != s)
		return;
	char moved[96] = "";

	if (w->counted)
		snprintf(moved, sizeof(moved), ", %u sockets moved, %u connections lost", w->kept,
		         w->lost);
	else if (w->exported)
		snprintf(moved, sizeof(moved), ", %u connections moved", w->connections);
	phase(w, "%u guests have their new rings", service_expects(r, s, domids));
	snprintf(w->result, sizeof(w->result),
	         "%s of %s: epoch %u to %u in %.1f ms, guests waited %.1f ms%s", s->name,
	         r->o.name, w->from_epoch, s->cur.epoch, (double)(now - w->began_us) / 1000,
	         (double)(now - w->cut_us) / 1000, moved);
	w->step = SWAP_NONE;
	if (!w->old)
		finish(w, SWAP_DONE, "%s", w->result);
}

/* --- ends of processes, and time -------------------------------------------------- */

bool swap_child_ended(struct run *r, pid_t pid, int status)
{
	struct swap *w = &r->swap;

	if (pid == w->old) {
		w->old = 0;
		if (w->result[0]) { /* whoever asked may ask for the next one */
			phase(w, "the old one has ended");
			finish(w, SWAP_DONE, "%s", w->result);
		}
		hang_up(w);
		return true;
	}
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		if (pid != s->next.pid)
			continue;
		s->next.pid = 0;
		if (w->s == s && w->step <= SWAP_MOVE)
			swap_failed(r, "the new one ended (%s %d)",
			            WIFSIGNALED(status) ? "signal" : "exit status",
			            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		instance_hang_up(&s->next);
		free(s->next.path);
		s->next = (struct instance){ .sock = -1 };
		if (w->s)
			hang_up(w);
		return true;
	}
	return false;
}

uint64_t swap_due(const struct run *r)
{
	const struct swap *w = &r->swap;
	uint64_t at = w->step == SWAP_NONE || w->step == SWAP_SETTLE ? 0 : w->due;

	if (w->old && w->old_due && (!at || w->old_due < at))
		at = w->old_due;
	return at;
}

void swap_tick(struct run *r)
{
	struct swap *w = &r->swap;
	const uint64_t now = run_now();

	if (w->old && w->old_due && now >= w->old_due) {
		(void)kill(w->old, SIGKILL);
		w->old_due = 0;
	}
	if (w->step == SWAP_NONE || w->step == SWAP_SETTLE || now < w->due)
		return;
	if (w->step == SWAP_CHECK) {
		swap_failed(r, "%s does not say that it is ready", w->s->next.path);
	} else if (w->step == SWAP_MOVE) {
		swap_failed(r, "the hand-over takes longer than %d s", MOVE_MS / 1000);
	} else {
		(void)kill(w->s->cur.pid, SIGKILL);
		w->due = now + DRAIN_MS;
	}
}

/* --- being asked -------------------------------------------------------------------- */

static struct service *find(struct run *r, const char *name)
{
	for (int i = 0; i < N_SERVICES; i++)
		if (r->service[i].name && !strcmp(r->service[i].name, name))
			return &r->service[i];
	return NULL;
}

/* Why not?  NULL: nothing is against it. */
static const char *against(const struct run *r, const struct service *s, char out[128])
{
	if (r->phase != RUN_RUNNING || (r->result >= 0 && r->hold < 0))
		return r->phase == RUN_STARTING ? "it is starting" : "it is ending";
	if (!s->used)
		return "it has no netd (--net none)";
	if (!r->o.recover_s)
		return "it runs with --recover 0: its guests cannot go on with another instance";
	if (r->swap.step != SWAP_NONE || r->swap.old || s->next.pid)
		return "another restart or swap is under way";
	if (s->life == LIFE_UP)
		return NULL;
	snprintf(out, 128, "its %s %s; ask again when it is up", s->name,
	         s->life == LIFE_GONE ? "did not come back" : "is being started again");
	return out;
}

static bool runnable(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return false;
	errno = EACCES;
	return S_ISREG(st.st_mode) && !access(path, X_OK);
}

static void begin(struct run *r, struct service *s, int sock, const char *path, bool kernel,
                  bool restart)
{
	struct swap *w = &r->swap;
	int err;

	free(w->path);
	*w = (struct swap){ .step = SWAP_CHECK, .s = s, .asker = sock, .restart = restart,
		            .kernel = kernel,
		            .from_epoch = s->cur.epoch, .began_us = now_us(),
		            .last_us = now_us(), .path = xprintf("%s", path) };
	s->next = (struct instance){ .path = xprintf("%s", path), .sock = -1, .kernel = kernel };
	enter(w, SWAP_CHECK, CHECK_MS);
	err = instance_start(r, s, &s->next);
	if (!err)
		err = instance_configure(r, s, &s->next, kernel == s->cur.kernel);
	if (!err)
		err = instance_ping(&s->next);
	if (err == -EPIPE || err == -ECONNRESET)
		return; /* SIGCHLD says how it ended */
	if (err)
		swap_failed(r, "%s cannot be started: %s", path, strerror(-err));
}

void swap_asked(struct run *r, int sock, const char *ask)
{
	const bool restart = !strncmp(ask, "restart ", 8);
	const char *name = strchr(ask, ' ') + 1, *path = strchr(name, ' '), *why;
	char service[16], text[128];

	snprintf(service, sizeof(service), "%.*s", (int)(path ? path - name : 15), name);
	struct service *s = find(r, service);
	bool kernel = s && s->cur.kernel, given = false;

	if (path && !strncmp(path + 1, SWAP_BACKEND, strlen(SWAP_BACKEND))) {
		given = true;
		kernel = !strncmp(path + 1 + strlen(SWAP_BACKEND), "host", 4);
		path = strchr(path + 1, ' ');
	}

	if (r->o.join)
		refuse(sock, "it uses the services of %s; name that one", r->o.join);
	else if (!s)
		refuse(sock, "there is no service %s; fsd or netd", service);
	else if ((why = against(r, s, text)))
		refuse(sock, "%s", why);
	else if (given && (why = backend_against(r, s, kernel)))
		refuse(sock, "%s", why);
	else if (path && !runnable(path + 1))
		refuse(sock, "%s cannot be run: %s", path + 1, strerror(errno));
	else
		begin(r, s, sock, path ? path + 1 : s->cur.path, kernel, restart);
}
