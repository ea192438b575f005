/* SPDX-License-Identifier: MIT */
/*
 * joined.c - `strait run --join NAME`: a guest on another instance's services.
 *
 * The other instance makes the channels and tells the services; all else of the
 * guest is ours, as without --join: its process, its confinement, its signals.
 */
#include "platform/linux/boot.h"
#include "tools/strait/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS_MAX (1 + 2 * N_SERVICES)

void joined_connect(struct run *r)
{
	const char *name = r->o.join;
	int fd = names_connect(name);

	for (int i = 0; i < N_SERVICES; i++)
		r->service[i] = (struct service){
			.cur.sock = -1, .next.sock = -1, .ring_fd = -1, .event_fd = -1,
		};
	r->service[SERVICE_FSD].used = true; /* and netd, if the answer says so */
	r->doorbell_fd = -1;
	if (fd == -ECONNREFUSED && names_of_others(name))
		die(EXIT_STRAIT,
		    "--join %s: that guest is another user's; only who started it may join it",
		    name);
	if (fd == -ECONNREFUSED || fd == -ENOENT)
		die(EXIT_STRAIT, "--join %s: no guest of that name runs; `strait ps` lists them",
		    name);
	if (fd == -EPERM)
		die(EXIT_STRAIT, "--join %s: a process of another user has taken that name", name);
	if (fd < 0)
		die(EXIT_STRAIT, "--join %s: cannot connect: %s", name, strerror(-fd));
	r->joined_sock = fd;
}

void joined_ask(struct run *r)
{
	struct join_ask a = { .word = JOIN_WORD, .version = JOIN_VERSION, .uid = r->o.uid,
		              .gid = r->o.gid };

	snprintf(a.name, sizeof(a.name), "%s", r->o.name);
	run_watch(r, r->joined_sock, SRC_JOINED);
	if (send(r->joined_sock, &a, sizeof(a), MSG_NOSIGNAL) != (ssize_t)sizeof(a))
		run_fail(r, "--join %s: it does not listen: %s", r->o.join, strerror(errno));
}

/* The first packet is a struct join_answer, all others are these. */
union packet {
	struct join_answer answer;
	struct boot_renew renew;
};

/* What came, with its descriptors in fds[FDS_MAX].  Bytes, 0 at end of file, or
 * negative errno. */
static ssize_t take_packet(struct run *r, union packet *a, int *fds, int *n_fds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} ctl;
	struct iovec io = { a, sizeof(*a) };
	struct msghdr h = { .msg_iov = &io, .msg_iovlen = 1,
		            .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf) };
	ssize_t n = recvmsg(r->joined_sock, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&h) : NULL;

	*n_fds = 0;
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		*n_fds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), (size_t)*n_fds * sizeof(int));
	}
	return n;
}

static void start(struct run *r, const struct join_answer *a, const int *fds)
{
	r->o.net = (enum net_mode)a->net;
	r->stamps = a->stamps;
	r->o.recover_s = a->recover_s;
	r->doorbell_fd = fds[0];
	memcpy(r->client_id, a->client_id, sizeof(r->client_id));
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		s->used = i == SERVICE_FSD || r->o.net != NET_NONE;
		if (!s->used)
			continue;
		s->ring_fd = fds[1 + 2 * i];
		s->event_fd = fds[2 + 2 * i];
		s->cur.epoch = a->epoch[i];
		s->cur.ready = true;
	}
	int err = guest_map_doorbell(r);

	if (err)
		run_fail(r, "cannot map the doorbell: %s", strerror(-err));
	else
		guest_start(r);
}

/* The services are gone, or about to go: nobody will answer the guest. */
static void cut_off(struct run *r)
{
	if (r->phase == RUN_STARTING && r->result < 0)
		run_fail(r, "--join %s: it ended before %s could start", r->o.join, r->o.name);
	else if (r->phase == RUN_RUNNING && r->guest)
		say("%s has ended, and with it the files and the network of %s", r->o.join,
		    r->o.name);
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		s->released = true;
		if (!s->used || !r->guest)
			continue;
		if (r->guest_sock >= 0) /* else it would wait for the next instance */
			(void)renew_send(r, r->guest_sock, s, NULL);
		if (s->ring_fd >= 0)
			(void)hosted_ring_mark_dead(s->ring_fd, r->doorbell_fd);
	}
}

/* A service was started again, or never will be: the guest's affair.  Takes fds. */
static void pass_on(struct run *r, const struct boot_renew *m, const int *fds, int n_fds)
{
	const bool here = m->verdict == BOOT_RENEW_HERE;

	if (m->magic == BOOT_RENEW_MAGIC && m->version == BOOT_VERSION && m->id < N_SERVICES &&
	    n_fds == (here ? 2 : 0) && r->service[m->id].used) {
		struct service *s = &r->service[m->id];

		s->cur.epoch = m->epoch;
		if (r->guest && r->guest_sock >= 0)
			(void)renew_send(r, r->guest_sock, s, here ? fds : NULL);
		if (here) {
			close(s->ring_fd);
			close(s->event_fd);
			s->ring_fd = fds[0];
			s->event_fd = fds[1];
			return;
		}
	}
	for (int i = 0; i < n_fds; i++)
		close(fds[i]);
}

static void take_answer(struct run *r, union packet *p, ssize_t n, int *fds, int n_fds)
{
	struct join_answer *a = &p->answer;
	bool ours = n == (ssize_t)sizeof(*a) && a->version == JOIN_VERSION;

	a->text[sizeof(a->text) - 1] = 0;
	if (ours && a->domid && n_fds == (a->net == NET_NONE ? 3 : 5) && r->result < 0) {
		start(r, a, fds);
		return;
	}
	for (int i = 0; i < n_fds; i++)
		close(fds[i]);
	if (r->result < 0)
		run_fail(r, "--join %s: %s", r->o.join,
		         ours && !a->domid ? a->text : "it was started by another version of strait");
}

void joined_readable(struct run *r)
{
	union packet p = { 0 };
	int fds[FDS_MAX], n_fds;
	ssize_t n = take_packet(r, &p, fds, &n_fds);

	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		close(r->joined_sock); /* and with it, out of the epoll set */
		r->joined_sock = -1;
		cut_off(r);
	} else if (r->phase == RUN_STARTING && !r->doorbell) {
		take_answer(r, &p, n, fds, n_fds);
	} else if (n == (ssize_t)sizeof(p.renew)) {
		pass_on(r, &p.renew, fds, n_fds);
	} else {
		for (int i = 0; i < n_fds; i++)
			close(fds[i]);
	}
}

void joined_leave(struct run *r)
{
	/* It hangs up when the services have let go; that is all there is to wait for.
	 * Without an answer they know nothing of us. */
	if (r->joined_sock < 0 || !r->doorbell || shutdown(r->joined_sock, SHUT_WR))
		for (int i = 0; i < N_SERVICES; i++)
			r->service[i].released = true;
}
