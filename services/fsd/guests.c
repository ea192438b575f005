/* SPDX-License-Identifier: MIT */
/*
 * A guest's life: added -> serving -> closed (it left, broke a rule, or the
 * platform said that it is gone; what it had published was served) -> released
 * (nothing of it runs any more).  Its locks go as soon as it is closed.
 *
 * An instance after another recovers first: until every guest that was served before
 * is back, or gone, or RECOVER_MS are over, only what brings guests back is served:
 * what they had open, the locks they held, the calls that were begun.  The rest stays
 * in the rings: nobody may take a lock or a name before who had it.
 */
#define _GNU_SOURCE
#include "rpc/server_early.h"
#include "services/fsd/cred.h"
#include "services/fsd/fsd.h"
#include "services/fsd/kept.h"
#include "services/fsd/lock.h"
#include "services/fsd/notify.h"
#include "services/fsd/serve.h"
#include "vchan/vchan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define FRAMES_A_TURN 32 /* of one guest, before the next one's */

struct guest {
	struct guest *next;
	struct fsd *fsd;
	uint32_t domid;
	struct rpc_conn *conn;
	struct session *session;
	bool closed;
	bool back; /* it has what it had: it is not one of fsd.away */
};

#define RECOVER_MS 5000

/* Back, or never to come: it is not waited for. */
static void not_away(struct fsd *f, uint32_t domid)
{
	for (unsigned i = 0; i < f->n_away; i++)
		if (f->away[i] == domid) {
			f->away[i] = f->away[--f->n_away];
			return;
		}
}

static void say_back(const struct guest *g)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestBack back = CONTROL__GUEST_BACK__INIT;

	back.domid = g->domid;
	c.body_case = CONTROL__CONTROL__BODY_GUEST_BACK;
	c.guest_back = &back;
	if (control_send(g->fsd->control, &c, NULL, 0) < 0)
		log_write(2, "cannot tell the supervisor that guest %u is back", g->domid);
}

/* Told once: a guest may say it as often as it likes. */
static void is_back(struct guest *g)
{
	if (!g->back && g->fsd->inst.epoch > 1)
		say_back(g);
	g->back = true;
	not_away(g->fsd, g->domid);
}

static void close_session(struct guest *g)
{
	g->closed = true;
	is_back(g);
	if (g->session->dead)
		return;
	g->session->dead = true;
	lock_release_session(g->session);
}

static struct guest *guest_of(struct rpc_conn *conn)
{
	struct session *s = rpc_conn_ctx(conn);

	return s->owner;
}

static void on_broken(struct rpc_conn *conn, const char *why)
{
	struct guest *g = guest_of(conn);

	if (strcmp(why, "the guest left") == 0)
		log_write(2, "guest %u left", g->domid);
	else
		log_write(0, "guest %u: channel closed: %s", g->domid, why);
	close_session(g);
}

static int on_cancel(struct rpc_conn *conn, uint64_t ticket, uint32_t *err)
{
	*err = 0; /* what is not waiting was granted, and Done said so */
	return lock_cancel(rpc_conn_ctx(conn), ticket);
}

/* A guest whose first hello the instance before did not answer has nothing to bring. */
static void on_hello(struct rpc_conn *conn, void *ctx)
{
	(void)ctx;
	if (!rpc_conn_resumed(conn))
		is_back(guest_of(conn));
}

static void on_recovered(struct rpc_conn *conn, void *ctx)
{
	(void)ctx;
	is_back(guest_of(conn));
}

/* Before Recovered a guest's locks are those that it held. */
static bool hold(struct rpc_conn *conn, const struct frame *hdr)
{
	const struct guest *g = guest_of(conn);

	return g->fsd->recovering && !serve_recovers(FRAME_INDEX(hdr->method), g->back);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool guests_recover(struct fsd *f)
{
	if (!f->recovering)
		return false;
	const bool all = f->n_away == 0 && serve_all_again();
	unsigned lost;

	/* The instance before may serve until the first guest comes over. */
	if (!f->guests && f->n_away == f->n_expected)
		return false;
	if (f->recover_end_ms == 0)
		f->recover_end_ms = now_ms() + RECOVER_MS;
	if (!all && now_ms() < f->recover_end_ms) {
		tick_need(&f->tick, f->recover_end_ms);
		return false;
	}
	f->recovering = false;
	lost = kept_drop();
	if (lost)
		log_write(1, "%u files that were open before were too many to be kept", lost);
	log_write(all ? 2 : 1, "%u of %u guests are back", f->n_expected - f->n_away,
	          f->n_expected);
	if (f->sandbox && sandbox_no_handles() < 0)
		log_write(0, "cannot forbid opening by handle any more");
	serve_recovered(all);
	return true;
}

int guests_init(struct fsd *f, const uint32_t *expected, size_t n_expected)
{
	f->recovering = f->inst.epoch > 1 && n_expected > 0;
	if (f->recovering) {
		f->away = calloc(n_expected, sizeof *f->away);
		if (!f->away)
			return -ENOMEM;
		memcpy(f->away, expected, n_expected * sizeof *f->away);
		f->n_away = f->n_expected = (unsigned)n_expected;
	}
	if (f->recovering)
		serve_recover();
	f->ops = (struct rpc_server_ops){
	        .service = serve_service(),
	        .service_id = RPC_SERVICE_FILE,
	        .on_hello = on_hello,
	        .on_cancel = on_cancel,
	        .on_broken = on_broken,
	        .hold = hold,
	        .on_recovered = on_recovered,
	        .features = RPC_FEATURE_WATCH,
	        .n_slots = RPC_SLOTS_MAX,
	        .epoch = f->inst.epoch,
	        .write_verifier = serve_verifier(),
	};
	return 0;
}

/* @end: the channel, when the guest is ready; NULL: all it had is released. */
static void tell(struct fsd *f, uint32_t domid, const struct vchan_end *end)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestReady up = CONTROL__GUEST_READY__INIT;
	Control__Released gone = CONTROL__RELEASED__INIT;

	up.domid = gone.domid = domid;
	if (end) {
		vchan_address(end, &up.ring_ref, &up.event_channel);
		c.body_case = CONTROL__CONTROL__BODY_GUEST_READY;
		c.guest_ready = &up;
	} else {
		c.body_case = CONTROL__CONTROL__BODY_RELEASED;
		c.released = &gone;
	}
	if (control_send(f->control, &c, NULL, 0) < 0)
		f->stop = true;
}

static int take_fd(int *fds, int n_fds, uint32_t i)
{
	int fd;

	if (i >= (uint32_t)n_fds || fds[i] < 0)
		return -1;
	fd = fds[i];
	fds[i] = -1;
	return fd;
}

static struct vchan_end *open_channel(const Control__GuestAdd *m, int *fds, int n_fds)
{
	const int fd[3] = {take_fd(fds, n_fds, m->ring_fd),
	                   take_fd(fds, n_fds, m->event_fd),
	                   take_fd(fds, n_fds, m->doorbell_fd)};
	struct vchan_end *end = NULL;
	struct cred *was;
	char path[256];
	int r;

	snprintf(path, sizeof path, "%.*s",
	         (int)(m->xs_path.len < 255 ? m->xs_path.len : 255),
	         (const char *)m->xs_path.data);
	r = vchan_offer((int)m->domid, path, fd);
	was = cred_save(); /* devices are opened as ourselves, not as a guest */
	if (r == 0)
		r = cred_use(NULL);
	if (r == 0) {
		end = vchan_server_open((int)m->domid, path, RPC_RING_ORDER);
		r = end ? 0 : errno ? -errno : -EIO;
	}
	cred_restore(was);
	errno = -r;
	return end;
}

static void on_credit(struct rpc_conn *conn, void *ctx)
{
	(void)conn;
	notify_pump(ctx);
}

static struct guest *guest_new(struct fsd *f, const Control__GuestAdd *m,
                               struct vchan_end *end)
{
	struct guest *g = calloc(1, sizeof *g);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = g};

	if (!g)
		return NULL;
	g->fsd = f;
	g->domid = m->domid;
	g->session = session_new(NULL, m->domid, m->uid, m->gid, m->groups,
	                         (unsigned)m->n_groups, f->max_handles);
	if (g->session)
		g->conn = rpc_conn_new(end, &f->ops, m->client_id.data, m->domid,
		                       g->session);
	if (!g->conn ||
	    epoll_ctl(f->epoll, EPOLL_CTL_ADD, rpc_conn_fd(g->conn), &ev) < 0) {
		if (g->conn)
			rpc_conn_free(g->conn); /* closes @end */
		else
			vchan_close(end);
		if (g->session)
			session_free(g->session);
		free(g);
		return NULL;
	}
	rpc_conn_on_credit(g->conn, on_credit);
	g->session->conn = g->conn;
	g->session->owner = g;
	memcpy(g->session->client_id, m->client_id.data, RPC_CLIENT_ID_LEN);
	return g;
}

static void no_channel(struct fsd *f, uint32_t domid)
{
	control_fail(f->control, domid, "fsd: cannot open the channel of guest %u: %s", domid,
	             strerror(errno));
}

/* Another instance serves it; its channel to us is made meanwhile. */
static void guest_prepare(struct fsd *f, const Control__GuestAdd *m, int *fds, int n_fds)
{
	struct vchan_end *end = open_channel(m, fds, n_fds);
	const int r = end ? early_put(m->domid, m->client_id.data, end) : -errno;

	if (!f->configured && f->sandbox)
		(void)sandbox_prepare(true); /* else it is made, or fails, later */
	if (r == 0) {
		tell(f, m->domid, end);
		return;
	}
	errno = -r;
	no_channel(f, m->domid);
}

void guest_add(struct fsd *f, const Control__GuestAdd *m, int *fds, int n_fds)
{
	struct vchan_end *end;
	struct guest *g;

	for (g = f->guests; g; g = g->next)
		if (g->domid == m->domid) {
			control_fail(f->control, m->domid,
			             "fsd: guest %u is here already", m->domid);
			return;
		}
	if (m->client_id.len != RPC_CLIENT_ID_LEN || m->n_groups > RPC_GROUPS_MAX) {
		control_fail(f->control, m->domid,
		             "fsd: guest %u has no valid client id", m->domid);
		return;
	}
	if (m->prepare) {
		guest_prepare(f, m, fds, n_fds);
		return;
	}
	end = early_take(m->domid, m->client_id.data);
	if (!end)
		end = open_channel(m, fds, n_fds);
	g = end ? guest_new(f, m, end) : NULL;
	if (!g) {
		no_channel(f, m->domid);
		return;
	}
	g->next = f->guests;
	f->guests = g;
	serve_sessions(++f->n_guests);
	tell(f, m->domid, end);
}

void guest_gone(struct fsd *f, uint32_t domid)
{
	struct guest *g = f->guests;

	early_drop(domid);
	while (g && g->domid != domid)
		g = g->next;
	if (!g) {
		not_away(f, domid);
		tell(f, domid, NULL);
		return;
	}
	/* It is dead: what it had published is all that comes.  Bounded by the ring. */
	while (rpc_conn_pump(g->conn, FRAMES_A_TURN) >= FRAMES_A_TURN)
		;
	close_session(g);
}

bool guests_serve(struct fsd *f)
{
	bool any = false;

	for (struct guest *g = f->guests; g; g = g->next)
		if (!g->closed && rpc_conn_pump(g->conn, FRAMES_A_TURN) > 0 &&
		    !rpc_conn_idle(g->conn))
			any = true;
	return any;
}

bool guests_spin(struct fsd *f)
{
	for (struct guest *g = f->guests; g; g = g->next)
		if (!g->closed && rpc_conn_spin(g->conn))
			return true;
	return false;
}

void guests_beat(struct fsd *f)
{
	for (struct guest *g = f->guests; g; g = g->next)
		if (!g->closed)
			rpc_conn_beat(g->conn);
}

bool guests_busy(const struct fsd *f)
{
	for (const struct guest *g = f->guests; g; g = g->next)
		if (rpc_conn_busy(g->conn) > 0 || !pool_queue_idle(&g->session->queue))
			return true;
	return false;
}

void guests_count(const struct fsd *f, uint32_t *sessions, uint32_t *calls, uint32_t *files)
{
	*sessions = *calls = *files = 0;
	for (const struct guest *g = f->guests; g; g = g->next) {
		*sessions += !g->closed;
		*calls += rpc_conn_busy(g->conn);
		*files += g->session->n_handles;
	}
}

static void guest_free(struct fsd *f, struct guest *g)
{
	const uint32_t domid = g->domid;

	serve_resume(); /* handles of opens that failed meanwhile */
	epoll_ctl(f->epoll, EPOLL_CTL_DEL, rpc_conn_fd(g->conn), NULL);
	session_free(g->session);
	rpc_conn_free(g->conn);
	free(g);
	serve_sessions(--f->n_guests);
	tell(f, domid, NULL);
}

void guests_reap(struct fsd *f)
{
	struct guest **p = &f->guests;

	while (*p) {
		struct guest *g = *p;

		if (!g->closed || rpc_conn_busy(g->conn) > 0 ||
		    !pool_queue_idle(&g->session->queue)) {
			p = &g->next;
			continue;
		}
		*p = g->next;
		guest_free(f, g);
	}
}

void guests_close_all(struct fsd *f)
{
	for (struct guest *g = f->guests; g; g = g->next)
		if (!g->closed)
			close_session(g);
}

void guest_event(struct fsd *f, const void *which)
{
	for (struct guest *g = f->guests; g; g = g->next)
		if (g == which)
			rpc_conn_ack(g->conn);
		else if (g->session == which)
			notify_pump(g->session);
}

