/* SPDX-License-Identifier: MIT */
/*
 * run_services.c - what is said between the supervisor and fsd and netd.
 *
 * Everything a service needs is sent without waiting for answers; what it says
 * comes back through service_readable().
 */
#include "rpc/limits.h"
#include "tools/strait/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

void services_find(struct run *r)
{
	r->service[SERVICE_FSD] = (struct service){
		.name = "fsd", .env = "STRAIT_FSD", .used = true, .xs_name = "file",
	};
	r->service[SERVICE_NETD] = (struct service){
		.name = "netd", .env = "STRAIT_NETD", .used = r->o.net != NET_NONE,
		.xs_name = "net",
	};
	backend_init(r);
	if (getrandom(r->instance, sizeof(r->instance), 0) != sizeof(r->instance) ||
	    getrandom(&r->write_verifier, sizeof(r->write_verifier), 0) !=
	            sizeof(r->write_verifier))
		die(EXIT_STRAIT, "no random numbers: %s", strerror(errno));
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		s->cur.sock = s->next.sock = s->ring_fd = s->event_fd = -1;
		if (!s->used)
			continue;
		s->cur.path = instance_find(s);
		if (access(s->cur.path, X_OK))
			die(EXIT_STRAIT, "cannot start %s: %s: %s; build it, or name it with %s",
			    s->name, s->cur.path, strerror(errno), s->env);
	}
}

void services_start(struct run *r)
{
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];
		int err = s->used ? instance_start(r, s, &s->cur) : 0;

		if (err)
			run_fail(r, "cannot start %s (%s): %s", s->name, s->cur.path,
			         strerror(-err));
	}
}

static ProtobufCBinaryData bytes(const char *s)
{
	union {
		const char *in;
		uint8_t *out; /* protobuf-c only reads what it packs */
	} u = { .in = s };

	return (ProtobufCBinaryData){ .len = strlen(s), .data = u.out };
}

static void could_send(struct run *r, const struct service *s, int err)
{
	/* A service that is gone is reported when it is reaped. */
	if (err && err != -EPIPE && err != -ECONNRESET)
		run_fail(r, "cannot talk to %s: %s", s->name, strerror(-err));
}

int service_guest_add(struct service *s, const struct guest_desc *d)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestAdd g = CONTROL__GUEST_ADD__INIT;
	int fds[3] = { d->ring_fd, d->event_fd, d->doorbell_fd };
	char path[64];
	uint8_t id[RPC_CLIENT_ID_LEN];

	snprintf(path, sizeof(path), "/local/domain/%u/data/strait/%s", d->domid, s->xs_name);
	memcpy(id, d->client_id, sizeof(id));
	g.domid = d->domid;
	g.name = bytes(d->name);
	g.xs_path = bytes(path);
	g.ring_fd = 0;
	g.event_fd = 1;
	g.doorbell_fd = 2;
	g.client_id = (ProtobufCBinaryData){ .len = sizeof(id), .data = id };
	g.uid = d->uid;
	g.gid = d->gid;
	c.body_case = CONTROL__CONTROL__BODY_GUEST_ADD;
	c.guest_add = &g;
	return control_send(s->cur.sock, &c, fds, 3);
}

int service_guest_gone(struct service *s, uint32_t domid)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestGone g = CONTROL__GUEST_GONE__INIT;

	g.domid = domid;
	c.body_case = CONTROL__CONTROL__BODY_GUEST_GONE;
	c.guest_gone = &g;
	return control_send(s->cur.sock, &c, NULL, 0);
}

void service_ask_status(struct service *s)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Status ask = CONTROL__STATUS__INIT;

	c.body_case = CONTROL__CONTROL__BODY_STATUS;
	c.status = &ask;
	s->status_owed = s->cur.ready && s->cur.sock >= 0 &&
	                 !control_send(s->cur.sock, &c, NULL, 0);
}

void service_configure(struct run *r, struct service *s)
{
	const struct guest_desc d = {
		.domid = GUEST_DOMID, .uid = r->o.uid, .gid = r->o.gid, .name = r->o.name,
		.client_id = r->client_id, .ring_fd = s->ring_fd, .event_fd = s->event_fd,
		.doorbell_fd = r->doorbell_fd,
	};

	if (!s->used || s->cur.sock < 0)
		return;
	could_send(r, s, instance_configure(r, s, &s->cur, false));
	could_send(r, s, service_guest_add(s, &d));
	s->added = true;
}

/* What @i of @s said; a service's own words were on stderr already, control_fail()
 * writes both. */
static void heard(struct run *r, struct service *s, struct instance *i,
                  const Control__Control *c)
{
	switch (c->body_case) {
	case CONTROL__CONTROL__BODY_READY:
		service_ready(r, s, i, c->ready->version);
		break;
	case CONTROL__CONTROL__BODY_RELEASED:
		if (r->swap.s == s && r->swap.step == SWAP_CUT)
			break; /* it ends, they do not */
		service_released(r, s, i, c->released->domid);
		break;
	case CONTROL__CONTROL__BODY_FAILED:
		if (c->failed->domid)
			service_refuses_guest(r, s, c->failed->domid);
		else
			service_failed(r, s, i, &c->failed->text);
		break;
	case CONTROL__CONTROL__BODY_GUEST_READY:
		service_has_guest(r, s, c->guest_ready->domid);
		break;
	case CONTROL__CONTROL__BODY_PONG:
		service_answers(r, s, i);
		break;
	case CONTROL__CONTROL__BODY_EXPORTED:
		swap_exported(r, s, c->exported);
		break;
	case CONTROL__CONTROL__BODY_IMPORTED:
		swap_imported(r, s, c->imported);
		break;
	case CONTROL__CONTROL__BODY_STATUS_REPLY:
		s->status_owed = false;
		s->sessions = c->status_reply->sessions;
		s->in_flight = c->status_reply->in_flight;
		s->objects = s == &r->service[SERVICE_FSD] ? c->status_reply->files
		                                           : c->status_reply->connections;
		break;
	default:
		break;
	}
}

void service_readable(struct run *r, struct service *s, struct instance *i)
{
	Control__Control *c;
	int fds[CONTROL_FDS_MAX], n_fds = 0;
	int err = control_recv(i->sock, MSG_DONTWAIT, &c, fds, &n_fds);

	if (err == -EAGAIN)
		return;
	if (err) {
		instance_hang_up(i);
		if (err == -EBADMSG)
			service_talks_nonsense(r, s, i);
		return; /* gone: SIGCHLD says how */
	}
	for (int k = 0; k < n_fds; k++)
		close(fds[k]); /* none is expected */
	heard(r, s, i, c);
	control__control__free_unpacked(c, NULL);
}

void services_release(struct run *r)
{
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		if (s->leaving)
			continue;
		if (!s->cur.pid || s->cur.sock < 0 || !s->added || !s->cur.ready ||
		    service_guest_gone(s, GUEST_DOMID))
			s->released = true; /* it is going already */
		s->leaving = true;
		s->owed = false;
	}
}

void services_shutdown(struct run *r)
{
	for (int i = 0; i < N_SERVICES; i++) {
		instance_shutdown(&r->service[i].cur);
		instance_kill(&r->service[i].next);
		kept_end(&r->service[i]);
	}
	/* What was kept for later instances goes with the last ones. */
	for (unsigned i = 0; i < r->o.n_mounts; i++) {
		if (r->o.mounts[i].fd >= 0)
			close(r->o.mounts[i].fd);
		r->o.mounts[i].fd = -1;
	}
	if (r->tap_fd >= 0)
		close(r->tap_fd);
	r->tap_fd = -1;
	backend_fini(r);
}

bool services_all(const struct run *r, bool (*is)(const struct service *))
{
	for (int i = 0; i < N_SERVICES; i++)
		if (r->service[i].used && !is(&r->service[i]))
			return false;
	return true;
}
