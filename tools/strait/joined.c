/* SPDX-License-Identifier: MIT */
/*
 * joined.c - `strait run --join NAME`: a guest on another instance's services.
 *
 * The other instance makes the channels and tells the services; all else of the
 * guest is ours, as without --join: its process, its confinement, its signals.
 */
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
		r->service[i] = (struct service){ .sock = -1, .ring_fd = -1, .event_fd = -1 };
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

/* What came, with its descriptors in fds[FDS_MAX].  Bytes, 0 at end of file, or
 * negative errno. */
static ssize_t take_answer(struct run *r, struct join_answer *a, int *fds, int *n_fds)
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
	r->doorbell_fd = fds[0];
	memcpy(r->client_id, a->client_id, sizeof(r->client_id));
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		s->used = i == SERVICE_FSD || r->o.net != NET_NONE;
		if (!s->used)
			continue;
		s->ring_fd = fds[1 + 2 * i];
		s->event_fd = fds[2 + 2 * i];
		s->epoch = a->epoch[i];
		s->ready = true;
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
		if (s->ring_fd >= 0 && r->guest)
			(void)hosted_ring_mark_dead(s->ring_fd, r->doorbell_fd);
	}
}

void joined_readable(struct run *r)
{
	struct join_answer a = { 0 };
	int fds[FDS_MAX], n_fds;
	ssize_t n = take_answer(r, &a, fds, &n_fds);

	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		close(r->joined_sock); /* and with it, out of the epoll set */
		r->joined_sock = -1;
		cut_off(r);
		return;
	}
	bool ours = n == (ssize_t)sizeof(a) && a.version == JOIN_VERSION;

	a.text[sizeof(a.text) - 1] = 0;
	if (ours && a.domid && n_fds == (a.net == NET_NONE ? 3 : 5) &&
	    r->phase == RUN_STARTING && r->result < 0 && !r->doorbell) {
		start(r, &a, fds);
		return;
	}
	for (int i = 0; i < n_fds; i++)
		close(fds[i]);
	if (r->phase == RUN_STARTING && r->result < 0)
		run_fail(r, "--join %s: %s", r->o.join,
		         ours && !a.domid ? a.text : "it was started by another version of strait");
}

void joined_leave(struct run *r)
{
	/* It hangs up when the services have let go; that is all there is to wait for.
	 * Without an answer they know nothing of us. */
	if (r->joined_sock < 0 || !r->doorbell || shutdown(r->joined_sock, SHUT_WR))
		for (int i = 0; i < N_SERVICES; i++)
			r->service[i].released = true;
}
