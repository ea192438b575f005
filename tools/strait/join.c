/* SPDX-License-Identifier: MIT */
/*
 * join.c - an instance lends its services to guests of other strait processes.
 *
 *      WAITING --we are up--> ADDING --all GuestReady--> RUNNING --hung up--+
 *                               |  hung up, or a service refused it         |
 *                               +------------------------------------> LEAVING --all
 *      Released, and we hang up--> FREE
 *
 * Who asks is started by the same user (the socket is looked at when it connects),
 * so what it says of itself is believed; services are told a client id that they
 * and this guest alone know.  A number of a guest is never used twice.
 */
#include "tools/strait/join.h"

#include "rpc/limits.h"
#include "tools/strait/keeper_priv.h"
#include "tools/strait/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

_Static_assert(JOIN_SERVICES == N_SERVICES, "one pair of descriptors a service");
_Static_assert(1 + 2 * JOIN_SERVICES <= KEEPER_FDS_MAX, "one packet takes them");

enum { JOIN_DOORBELL, JOIN_FIRST_RING };

static int *ring_of(struct join *j, int service)
{
	return &j->fds[JOIN_FIRST_RING + 2 * service];
}

static void close_fds(struct join *j)
{
	for (size_t i = 0; i < sizeof(j->fds) / sizeof(j->fds[0]); i++)
		if (j->fds[i] >= 0) {
			close(j->fds[i]);
			j->fds[i] = -1;
		}
}

/* The other service's may be waiting for its turn. */
static void close_event(struct join *j, int service)
{
	int *fd = ring_of(j, service);

	if (fd[1] >= 0)
		close(fd[1]);
	fd[1] = -1;
}

static void over(struct join *j)
{
	close_fds(j);
	close(j->sock); /* and with it, out of the epoll set */
	*j = (struct join){ .state = JOIN_FREE };
}

static void refuse(int sock, const char *why)
{
	struct join_answer a = { .version = JOIN_VERSION };

	snprintf(a.text, sizeof(a.text), "%s", why);
	(void)keeper_send(sock, &a, sizeof(a), NULL, 0); /* else it reads end of file */
}

static struct join *find(struct run *r, uint32_t domid)
{
	for (size_t i = 0; i < JOINS_MAX; i++)
		if (r->joins[i].state != JOIN_FREE && r->joins[i].domid == domid)
			return &r->joins[i];
	return NULL;
}

static bool all(const struct run *r, const bool said[N_SERVICES])
{
	for (int i = 0; i < N_SERVICES; i++)
		if (r->service[i].used && !said[i])
			return false;
	return true;
}

static void over_when_released(struct run *r, struct join *j)
{
	if (j->state == JOIN_LEAVING && all(r, j->released))
		over(j);
}

static void leave(struct run *r, struct join *j)
{
	bool added = j->state == JOIN_ADDING || j->state == JOIN_RUNNING;

	j->state = JOIN_LEAVING;
	/* Its end of file would be there for ever. */
	(void)epoll_ctl(r->epoll, EPOLL_CTL_DEL, j->sock, NULL);
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		if (!s->used || !added || s->cur.sock < 0 || service_guest_gone(s, j->domid))
			j->released[i] = true;
	}
	over_when_released(r, j);
}

static int make_doorbell(struct join *j)
{
	if (getrandom(j->client_id, sizeof(j->client_id), 0) != sizeof(j->client_id))
		return -EIO;
	j->fds[JOIN_DOORBELL] = hosted_doorbell_create();
	return j->fds[JOIN_DOORBELL] < 0 ? j->fds[JOIN_DOORBELL] : 0;
}

/* A channel to @s for it, a fresh one; and tell the service. */
static int connect_to(struct run *r, struct join *j, struct service *s)
{
	int *fd = ring_of(j, (int)(s - r->service));
	int err = channel_make(&fd[0], &fd[1]);
	const struct guest_desc d = {
		.domid = j->domid, .uid = j->ask.uid, .gid = j->ask.gid,
		.name = j->ask.name, .client_id = j->client_id,
		.ring_fd = fd[0], .event_fd = fd[1], .doorbell_fd = j->fds[JOIN_DOORBELL],
	};

	return err ? err : service_guest_add(s, &d);
}

static void add(struct run *r, struct join *j)
{
	int err = make_doorbell(j);

	j->state = JOIN_ADDING;
	for (int i = 0; i < N_SERVICES && !err; i++)
		if (r->service[i].used)
			err = connect_to(r, j, &r->service[i]);
	if (err) {
		char why[128];

		snprintf(why, sizeof(why), "cannot make the channels: %s", strerror(-err));
		refuse(j->sock, why);
		leave(r, j);
	}
}

void joins_take(struct run *r, int sock, const char *ask, size_t len)
{
	struct join_ask a;
	struct join *j = r->joins;

	while (j < r->joins + JOINS_MAX && j->state != JOIN_FREE)
		j++;
	if (len == sizeof(a))
		memcpy(&a, ask, sizeof(a));
	if (len != sizeof(a) || a.version != JOIN_VERSION ||
	    a.name[sizeof(a.name) - 1]) {
		refuse(sock, "it was started by another version of strait");
		close(sock);
		return;
	}
	if (r->o.join) {
		char why[256];

		snprintf(why, sizeof(why), "it uses the services of %s; join that one",
		         r->o.join);
		refuse(sock, why);
		close(sock);
		return;
	}
	for (int i = 0; i < N_SERVICES; i++)
		if (r->service[i].life == LIFE_GONE) {
			char why[64];

			snprintf(why, sizeof(why), "its %s did not come back", r->service[i].name);
			refuse(sock, why);
			close(sock);
			return;
		}
	if (r->phase > RUN_RUNNING || (r->result >= 0 && r->hold < 0) || j == r->joins + JOINS_MAX) {
		refuse(sock, j == r->joins + JOINS_MAX
		                     ? "it has as many guests as it can have (64)"
		                     : "it is ending");
		close(sock);
		return;
	}
	*j = (struct join){ .state = JOIN_WAITING, .domid = ++r->last_domid, .sock = sock,
		            .ask = a };
	memset(j->fds, -1, sizeof(j->fds));
	run_watch(r, sock, SRC_JOIN + (uint32_t)(j - r->joins));
	joins_resume(r);
}

void joins_resume(struct run *r)
{
	if (r->phase != RUN_RUNNING || !services_all(r, service_is_up))
		return;
	for (size_t i = 0; i < JOINS_MAX; i++)
		if (r->joins[i].state == JOIN_WAITING)
			add(r, &r->joins[i]);
}

void joins_readable(struct run *r, uint32_t index)
{
	struct join *j = &r->joins[index];
	char buf[64];

	if (index >= JOINS_MAX || j->state == JOIN_FREE || j->state == JOIN_LEAVING)
		return;
	ssize_t n = recv(j->sock, buf, sizeof(buf), MSG_DONTWAIT);

	/* Nothing more is to be said: it hung up, or it is out of step. */
	if (n >= 0 || errno != EAGAIN)
		leave(r, j);
}

/* Hand the channels over: from here on they are the guest's and the services'. */
static void answer(struct run *r, struct join *j)
{
	struct join_answer a = {
		.version = JOIN_VERSION,
		.domid = j->domid,
		.net = r->o.net,
		.stamps = r->stamps,
		.recover_s = r->o.recover_s,
	};
	int n = r->service[SERVICE_NETD].used ? 5 : 3;

	for (int i = 0; i < N_SERVICES; i++)
		a.epoch[i] = r->service[i].cur.epoch;
	memcpy(a.client_id, j->client_id, sizeof(a.client_id));
	j->state = JOIN_RUNNING;
	int failed = keeper_send(j->sock, &a, sizeof(a), j->fds, n);

	/* Rings are marked when their service ends, the doorbell goes to its next. */
	for (int i = 0; i < N_SERVICES; i++)
		close_event(j, i);
	if (!r->o.recover_s)
		close_fds(j);
	if (failed)
		leave(r, j);
}

/* The new ring, from here on the guest's and the service's. */
static void renew(struct run *r, struct join *j, const struct service *s)
{
	const int i = (int)(s - r->service);

	j->owed[i] = false;
	/* Its strait has ended, or reads nothing: its guest waits in vain, alone. */
	(void)renew_send(r, j->sock, s, ring_of(j, i));
	close_event(j, i);
}

void joins_ready(struct run *r, const struct service *s, uint32_t domid)
{
	struct join *j = find(r, domid);

	if (j && j->state == JOIN_RUNNING && j->owed[s - r->service])
		renew(r, j, s);
	if (!j || j->state != JOIN_ADDING)
		return;
	j->ready[s - r->service] = true;
	if (all(r, j->ready))
		answer(r, j);
}

/* The service's own words were on stderr: ours, not the asker's. */
void joins_failed(struct run *r, const struct service *s, uint32_t domid)
{
	struct join *j = find(r, domid);
	char why[128];

	if (j && j->state == JOIN_RUNNING && j->owed[s - r->service]) {
		j->owed[s - r->service] = false;
		(void)renew_send(r, j->sock, s, NULL);
	}
	if (!j || j->state != JOIN_ADDING)
		return;
	snprintf(why, sizeof(why), "its %s does not take another guest", s->name);
	refuse(j->sock, why);
	leave(r, j);
}

/* It runs and may have a ring to @s. */
static bool uses(const struct run *r, const struct join *j, const struct service *s)
{
	return j->state == JOIN_RUNNING && !j->cut_off[s - r->service];
}

void joins_released(struct run *r, const struct service *s, uint32_t domid, bool lives)
{
	struct join *j = find(r, domid);

	/* A guest that said good-bye is released before its process has ended. */
	if (!j)
		return;
	if (lives && uses(r, j, s)) {
		(void)renew_send(r, j->sock, s, NULL);
		j->cut_off[s - r->service] = true;
	}
	j->released[s - r->service] = true;
	over_when_released(r, j);
}

void joins_end(struct run *r)
{
	for (size_t i = 0; i < JOINS_MAX; i++) {
		struct join *j = &r->joins[i];

		if (j->state == JOIN_FREE)
			continue;
		if (j->state == JOIN_WAITING || j->state == JOIN_ADDING)
			refuse(j->sock, "it is ending");
		if (j->state != JOIN_LEAVING)
			leave(r, j);
		if (j->state != JOIN_FREE)
			over(j); /* hang up now: nobody waits for what becomes of it */
	}
}

/* --- a service that ends, and the next one ----------------------------------- */

uint32_t joins_running(const struct run *r, const struct service *s,
                       uint32_t domids[JOINS_MAX])
{
	uint32_t n = 0;

	for (size_t i = 0; i < JOINS_MAX; i++)
		if (uses(r, &r->joins[i], s))
			domids[n++] = r->joins[i].domid;
	return n;
}

void joins_cut(struct run *r, const struct service *s)
{
	for (size_t i = 0; i < JOINS_MAX; i++) {
		struct join *j = &r->joins[i];
		const int *ring = ring_of(j, (int)(s - r->service));

		/* The guest has it mapped; without, it is gone anyway. */
		if (uses(r, j, s) && ring[0] >= 0)
			(void)hosted_ring_mark_dead(ring[0], j->fds[JOIN_DOORBELL]);
	}
}

void joins_died(struct run *r, const struct service *s)
{
	for (size_t i = 0; i < JOINS_MAX; i++) {
		struct join *j = &r->joins[i];

		if (j->state == JOIN_FREE)
			continue;
		j->ready[s - r->service] = j->owed[s - r->service] = false;
		j->released[s - r->service] = j->state == JOIN_LEAVING;
		over_when_released(r, j);
	}
}

int joins_readd(struct run *r, struct service *s)
{
	for (size_t i = 0; i < JOINS_MAX; i++) {
		struct join *j = &r->joins[i];
		int err = 0;

		if (j->state == JOIN_ADDING || uses(r, j, s))
			err = connect_to(r, j, s);
		if (err)
			return err;
		j->owed[s - r->service] = uses(r, j, s);
		j->released[s - r->service] = j->state == JOIN_LEAVING;
		over_when_released(r, j); /* the instance that owed it is gone */
	}
	return 0;
}

bool joins_owed(const struct run *r, const struct service *s)
{
	for (size_t i = 0; i < JOINS_MAX; i++)
		if (r->joins[i].state == JOIN_RUNNING && r->joins[i].owed[s - r->service])
			return true;
	return false;
}

void joins_give_up(struct run *r, const struct service *s)
{
	char why[64];

	snprintf(why, sizeof(why), "its %s did not come back", s->name);
	for (size_t i = 0; i < JOINS_MAX; i++) {
		struct join *j = &r->joins[i];

		if (j->state == JOIN_RUNNING)
			(void)renew_send(r, j->sock, s, NULL);
		j->owed[s - r->service] = false;
		if (j->state == JOIN_WAITING || j->state == JOIN_ADDING) {
			refuse(j->sock, why);
			leave(r, j);
		}
	}
}
