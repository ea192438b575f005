/* SPDX-License-Identifier: MIT */
/*
 * relay.c - TCP connections, spliced.  (Datagrams: relay_udp.c.)
 *
 * Sockets are watched edge-triggered for both directions, once; any event pumps
 * both.  Bytes go socket - pipe - socket.  A pipe is lent to a direction only
 * while bytes are in it, so idle connections hold two descriptors.
 *
 * Invariants:
 *  1. A direction without bytes under way has no pipe.
 *  2. After pump(), each direction waits for an edge: of its source if the pipe is
 *     empty, of its target if it is not.  A turn cut short for fairness re-arms.
 *  3. Closed connections are freed at the end of the step: later events of the
 *     same turn may still name them.
 */
#include "tools/strait/relay_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 64
#define ACCEPTS 64     /* a turn */
#define TURNS 16       /* splices of one connection before others get theirs */
#define PIPE_POOL 64
#define PIPE_SIZE (256 * 1024)

struct relay *relay_new(void)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll < 0) {
		free(r);
		return NULL;
	}
	return r;
}

int relay_fd(const struct relay *r)
{
	return r->epoll;
}

unsigned relay_open(const struct relay *r)
{
	return r->n_conns;
}

int relay_watch(struct relay *r, int fd, uint32_t events, struct relay_handle *h)
{
	struct epoll_event e = { .events = events, .data.ptr = h };

	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

int relay_add(struct relay *r, int fd, bool udp, const struct sockaddr *to, socklen_t len)
{
	struct relay_rule *rule;
	int err;

	if (r->n_rules == RELAY_RULES_MAX || len > sizeof(rule->to)) {
		close(fd);
		return -E2BIG;
	}
	rule = &r->rules[r->n_rules];
	*rule = (struct relay_rule){ .fd = fd, .udp = udp, .to_len = len };
	rule->handle.kind = udp ? RELAY_DATAGRAMS : RELAY_LISTENER;
	memcpy(&rule->to, to, len);
	err = fcntl(fd, F_SETFL, O_NONBLOCK) ? -errno
	                                     : relay_watch(r, fd, EPOLLIN, &rule->handle);
	if (err) {
		close(fd);
		return err;
	}
	r->n_rules++;
	return 0;
}

/* --- pipes ----------------------------------------------------------------- */

static bool pipe_take(struct relay *r, struct relay_dir *d)
{
	if (d->pipe[0] >= 0)
		return true;
	if (r->n_pipes) {
		r->n_pipes--;
		memcpy(d->pipe, r->pipes[r->n_pipes], sizeof(d->pipe));
		return true;
	}
	if (pipe2(d->pipe, O_CLOEXEC | O_NONBLOCK)) {
		d->pipe[0] = d->pipe[1] = -1;
		return false;
	}
	(void)fcntl(d->pipe[1], F_SETPIPE_SZ, PIPE_SIZE); /* else the default: slower */
	return true;
}

static void pipe_give(struct relay *r, struct relay_dir *d)
{
	if (d->pipe[0] < 0)
		return;
	if (!d->held && r->n_pipes < RELAY_PIPES) {
		memcpy(r->pipes[r->n_pipes++], d->pipe, sizeof(d->pipe));
	} else {
		close(d->pipe[0]);
		close(d->pipe[1]);
	}
	d->pipe[0] = d->pipe[1] = -1;
	d->held = 0;
}

/* --- connections ----------------------------------------------------------- */

/* Close both; @reset: the peers learn that it was no orderly end. */
static void conn_close(struct relay *r, struct relay_conn *c, bool reset)
{
	struct linger hard = { .l_onoff = 1 };

	if (c->closed)
		return;
	c->closed = true;
	for (int i = 0; i < 2; i++) {
		if (reset)
			(void)setsockopt(c->fd[i], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(c->fd[i]);
		pipe_give(r, &c->dir[i]);
	}
	r->n_conns--;
	c->next_dead = r->dead;
	r->dead = c;
	for (unsigned i = 0; r->starved && i < r->n_rules; i++)
		if (r->rules[i].fd >= 0 && !r->rules[i].udp)
			(void)relay_watch(r, r->rules[i].fd, EPOLLIN, &r->rules[i].handle);
	r->starved = false;
}

/* Fill the pipe of direction @d from @from.  <0: broken. */
static int fill(struct relay *r, struct relay_dir *d, int from)
{
	ssize_t n;

	if (d->eof)
		return 0;
	if (!pipe_take(r, d))
		return -ENFILE;
	n = splice(from, NULL, d->pipe[1], NULL, PIPE_SIZE,
	           SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n)
		d->eof = true;
	d->held += (size_t)n;
	return 1;
}

/* Empty it into @to.  <0: broken. */
static int drain(struct relay_dir *d, int to)
{
	ssize_t n;

	if (!d->held)
		return 0;
	n = splice(d->pipe[0], NULL, to, NULL, d->held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	d->held -= (size_t)n;
	return n > 0;
}

/* Move what can be moved one way.  1: more may follow at once; <0: broken. */
static int pump(struct relay *r, struct relay_conn *c, int way)
{
	struct relay_dir *d = &c->dir[way];
	int from = c->fd[way], to = c->fd[!way], in, out, i;

	if (d->done)
		return 0;
	for (i = 0; i < TURNS; i++) {
		in = fill(r, d, from);
		if (in < 0)
			return in;
		out = drain(d, to);
		if (out < 0)
			return out;
		if (d->eof && !d->held) {
			(void)shutdown(to, SHUT_WR); /* fails when it is gone: seen there */
			d->done = true;
			break;
		}
		if (!in && !out)
			break;
	}
	if (!d->held)
		pipe_give(r, d);
	return i == TURNS;
}

/* Ask for the present readiness as a new edge. */
static void rearm(struct relay *r, struct relay_conn *c)
{
	for (int i = 0; i < 2; i++) {
		struct epoll_event e = { .events = RELAY_EDGES, .data.ptr = &c->handle };

		(void)epoll_ctl(r->epoll, EPOLL_CTL_MOD, c->fd[i], &e);
	}
}

static void conn_event(struct relay *r, struct relay_conn *c, uint32_t events)
{
	int more = 0;

	if (c->closed)
		return;
	if (c->connecting) {
		int err = 0;
		socklen_t len = sizeof(err);

		if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			return;
		(void)getsockopt(c->fd[1], SOL_SOCKET, SO_ERROR, &err, &len);
		if (err) {
			conn_close(r, c, true);
			return;
		}
		struct tcp_info info;

		len = sizeof(info);
		if (getsockopt(c->fd[1], IPPROTO_TCP, TCP_INFO, &info, &len) ||
		    info.tcpi_state == TCP_SYN_SENT)
			return; /* the client's event, not the target's */
		c->connecting = false;
	}
	for (int way = 0; way < 2; way++) {
		int n = pump(r, c, way);

		if (n < 0) {
			conn_close(r, c, true);
			return;
		}
		more |= n;
	}
	if (c->dir[0].done && c->dir[1].done)
		conn_close(r, c, false);
	else if (more)
		rearm(r, c);
}

/* A netd that was killed knows nothing of its connections, and one that only waits would
 * wait for ever: the next netd answers a probe with a reset. */
static void probe(int fd)
{
	static const struct {
		int name, value;
	} set[] = { { TCP_KEEPIDLE, 3 }, { TCP_KEEPINTVL, 2 }, { TCP_KEEPCNT, 30 } };
	int one = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		(void)setsockopt(fd, IPPROTO_TCP, set[i].name, &set[i].value, sizeof(int));
}

static bool conn_new(struct relay *r, const struct relay_rule *rule, int client)
{
	struct relay_conn *c = calloc(1, sizeof(*c));
	int one = 1;

	if (!c)
		return false;
	c->handle.kind = RELAY_CONN;
	c->connecting = true;
	c->fd[0] = client;
	c->dir[0].pipe[0] = c->dir[0].pipe[1] = c->dir[1].pipe[0] = c->dir[1].pipe[1] = -1;
	c->fd[1] = socket(rule->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd[1] < 0) {
		free(c);
		return false;
	}
	(void)setsockopt(c->fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(c->fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	probe(c->fd[1]);
	r->n_conns++;
	if ((connect(c->fd[1], (const struct sockaddr *)&rule->to, rule->to_len) &&
	     errno != EINPROGRESS) ||
	    relay_watch(r, c->fd[0], RELAY_EDGES, &c->handle) ||
	    relay_watch(r, c->fd[1], RELAY_EDGES, &c->handle))
		conn_close(r, c, true);
	return true;
}

static void listener_event(struct relay *r, struct relay_rule *rule)
{
	for (int i = 0; i < ACCEPTS && rule->fd >= 0; i++) {
		int c = accept4(rule->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		bool none = c < 0 && (errno == EMFILE || errno == ENFILE ||
		                      errno == ENOBUFS || errno == ENOMEM);

		if (c < 0 && !none)
			return; /* no more, or one that is gone already */
		if (none || !conn_new(r, rule, c)) {
			if (c >= 0)
				close(c);
			if (!r->n_conns)
				return; /* nothing of ours to wait for: try again */
			/* Out of descriptors: listen again when a connection ends. */
			for (unsigned k = 0; k < r->n_rules; k++)
				if (r->rules[k].fd >= 0 && !r->rules[k].udp)
					(void)epoll_ctl(r->epoll, EPOLL_CTL_DEL, r->rules[k].fd,
					                NULL);
			r->starved = true;
			return;
		}
	}
}

void relay_stop_listening(struct relay *r)
{
	for (unsigned i = 0; i < r->n_rules; i++) {
		if (r->rules[i].fd >= 0)
			close(r->rules[i].fd);
		r->rules[i].fd = -1;
	}
	r->starved = false;
}

int relay_timeout(const struct relay *r)
{
	return r->n_peers ? RELAY_SWEEP_MS : -1;
}

void relay_step(struct relay *r)
{
	struct epoll_event e[EVENTS];
	int n = epoll_wait(r->epoll, e, EVENTS, 0);

	for (int i = 0; i < n; i++) {
		struct relay_handle *h = e[i].data.ptr;

		switch (h->kind) {
		case RELAY_LISTENER:
			listener_event(r, (struct relay_rule *)h);
			break;
		case RELAY_CONN:
			conn_event(r, (struct relay_conn *)h, e[i].events);
			break;
		case RELAY_DATAGRAMS:
			relay_udp_request(r, (struct relay_rule *)h);
			break;
		case RELAY_PEER:
			relay_udp_reply((struct relay_peer *)h);
			break;
		}
	}
	if (r->n_peers)
		relay_udp_sweep(r);
	while (r->dead) {
		struct relay_conn *c = r->dead;

		r->dead = c->next_dead;
		free(c);
	}
}
