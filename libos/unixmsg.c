/* SPDX-License-Identifier: MIT */
/*
 * unixmsg.c - messages on AF_UNIX sockets: data, descriptors, credentials.
 */
#include "libos/abi.h"
#include "libos/identity.h"
#include "libos/process.h"
#include "libos/syscall.h"
#include "libos/unix.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define LOG_LINE_MAX 2048u

#ifndef SCM_CREDENTIALS
#define SCM_CREDENTIALS 2
#endif

/* ---- control data going out ---- */

static long take_rights(struct uq_put *put, const void *data, size_t len)
{
	size_t n = len / sizeof(int);
	const int *fds = data; /* control data is 8-aligned, so is what it holds */

	if (n == 0)
		return 0;
	if (n > UQ_FDS_MAX || (put->fds && put->fds->n + n > UQ_FDS_MAX))
		return -EINVAL;
	if (!put->fds)
		put->fds = uq_fds_new();
	if (!put->fds)
		return -ETOOMANYREFS;
	for (size_t i = 0; i < n; i++) {
		struct ofd *o = ofd_get(fds[i]);

		if (!o)
			return -EBADF;
		put->fds->at[put->fds->n++] = o;
	}
	return 0;
}

static long take_creds(struct uq_put *put, const void *data, size_t len)
{
	const struct cred *c = cred_current();
	struct uq_ucred u;

	if (len != sizeof(u))
		return -EINVAL;
	memcpy(&u, data, sizeof(u));
	if (!cred_privileged() &&
	    (u.pid != PROCESS_PID || (u.uid != c->uid && u.uid != c->euid) ||
	     (u.gid != c->gid && u.gid != c->egid)))
		return -EPERM;
	put->uid = u.uid;
	put->gid = u.gid;
	return 0;
}

static long take_control(struct uq_put *put, const struct sock_ctl *c)
{
	struct kcmsghdr h;
	const void *data;
	size_t at = 0, len;
	int more;

	while ((more = sock_ctl_next(c, &at, &h, &data, &len)) == 1) {
		long r = -EINVAL;

		if (h.level != SOL_SOCKET)
			continue;
		if (h.type == SCM_RIGHTS)
			r = take_rights(put, data, len);
		else if (h.type == SCM_CREDENTIALS)
			r = take_creds(put, data, len);
		if (r < 0)
			return r;
	}
	return more;
}

/* ---- sending ---- */

/* A line of syslog(3), without its priority, to the console. */
static long send_log(struct sock_msg *m)
{
	char line[LOG_LINE_MAX];
	size_t n = uio_left(m->u), whole = n, at = 0, end;

	if (n > sizeof(line) - 1)
		n = sizeof(line) - 1;
	if (uio_in(m->u, line, n) != n)
		return -EFAULT;
	if (n > 2 && line[0] == '<') {
		while (at < n && at < 6 && line[at] != '>')
			at++;
		at = line[at] == '>' ? at + 1 : 0;
	}
	for (end = n; end > at && (line[end - 1] == '\n' || line[end - 1] == '\0');
	     end--)
		;
	line[end] = '\n';
	plat_log(line + at, end + 1 - at);
	return (long)whole;
}

struct room_wait {
	struct unix_queue *q;
	struct unix_sock *s;
	size_t need; /* 0: half of it */
};

static long has_room(void *arg)
{
	struct room_wait *w = arg;

	return w->s->shut_wr || uq_can_put(w->q, w->need, w->s->limit);
}

/* Wait for room; the socket hears of it though it may not be connected. */
static long wait_room(struct room_wait *w, uint64_t deadline)
{
	struct uq_sender here = {.ofd = &w->s->sock.ofd};
	long r;

	uq_add_sender(w->q, &here);
	r = wait_until(&w->s->sock.ofd.wait, EPOLLOUT, has_room, w, deadline,
	               PARK_INTR);
	uq_remove_sender(w->q, &here);
	return r < 0 ? r : 0;
}

static long send_to_queue(struct unix_sock *s, struct unix_queue *q, struct sock_msg *m,
                          struct uq_put *put)
{
	struct room_wait w = {.q = q, .s = s};
	uint64_t deadline = sock_snd_deadline(&s->sock);
	size_t done = 0, whole = uio_left(m->u);
	long r;

	if (put->stream && whole == 0)
		return 0; /* nothing to carry descriptors */
	if (!put->stream)
		w.need = whole + sizeof(struct uq_head) + UQ_NAME_MAX;
	if (w.need > put->limit)
		w.need = put->limit;
	for (;;) {
		r = s->shut_wr ? -EPIPE : uq_put(q, m->u, put);
		if (r >= 0) {
			done += (size_t)r;
			if (!put->stream || done == whole)
				return (long)done;
			continue;
		}
		if (r != -EAGAIN || sock_nonblock(&s->sock, m->flags))
			break;
		r = wait_room(&w, deadline);
		if (r < 0)
			break;
	}
	return done > 0 ? (long)done : r;
}

/* Where the message goes: a reference. */
static long find_out(struct unix_sock *s, const struct sock_name *name,
                     struct unix_queue **out)
{
	bool dgram = s->sock.type == SOCK_DGRAM;

	if (name && dgram)
		return unix_find_queue(name, s, out);
	if (name && s->sock.type == SOCK_STREAM)
		return s->connected ? -EISCONN : -EOPNOTSUPP;
	lock_take(&s->lock);
	*out = s->out ? uq_ref(s->out) : NULL;
	lock_drop(&s->lock);
	return *out ? 0 : -ENOTCONN;
}

long unix_sendmsg(struct sock *sock, struct sock_msg *m)
{
	struct unix_sock *s = unix_of(sock);
	const struct cred *c = cred_current();
	struct uq_put put = {
	        .uid = c->uid,
	        .gid = c->gid,
	        .name = s->name.len ? &s->name : NULL,
	        .limit = s->limit,
	        .stream = sock->type == SOCK_STREAM,
	};
	struct unix_queue *q;
	long r;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (m->name ? sock->type == SOCK_DGRAM && unix_is_log(m->name) : s->to_log)
		return send_log(m);
	r = find_out(s, m->name, &q);
	if (r < 0)
		return r;
	if (m->ctl)
		r = take_control(&put, m->ctl);
	if (r == 0)
		r = send_to_queue(s, q, m, &put);
	if (put.fds)
		uq_fds_free(put.fds);
	uq_unref(q);
	if (r == -EPIPE && sock->type == SOCK_DGRAM && !s->shut_wr)
		r = -ECONNREFUSED; /* the receiver is gone */
	return r;
}

/* ---- receiving ---- */

/* Install what came along, as much as there is room for. */
static void give_rights(struct sock_ctl *c, const struct uq_fds *f)
{
	size_t room = c ? (c->room - c->len) : 0;
	uint32_t n = f->n, max;
	int fds[UQ_FDS_MAX];

	max = room > sizeof(struct kcmsghdr)
	              ? (uint32_t)((room - sizeof(struct kcmsghdr)) / sizeof(int))
	              : 0;
	if (n > max) {
		n = max;
		if (c)
			c->truncated = true;
	}
	for (uint32_t i = 0; i < n; i++) {
		int fd = fd_install(ofd_ref(f->at[i]), 0, c->cloexec);

		if (fd < 0) {
			ofd_put(f->at[i]);
			c->truncated = true;
			n = i;
			break;
		}
		fds[i] = fd;
	}
	if (n > 0)
		(void)sock_ctl_put(c, SOL_SOCKET, SCM_RIGHTS, fds, n * sizeof(int));
}

static void give_control(struct unix_sock *s, struct sock_msg *m,
                         const struct uq_take *take, bool first)
{
	struct uq_ucred u = {PROCESS_PID, take->uid, take->gid};

	if (first && s->pass_cred)
		(void)sock_ctl_put(m->ctl, SOL_SOCKET, SCM_CREDENTIALS, &u, sizeof(u));
	if (take->fds) {
		give_rights(m->ctl, take->fds);
		if (!m->ctl)
			m->out_flags |= MSG_CTRUNC;
	}
}

static long can_take(void *arg)
{
	struct unix_sock *s = arg;

	return s->shut_rd || uq_can_take(s->in);
}

/* One piece: bytes, 0 with *@end, -EAGAIN. */
static long recv_piece(struct unix_sock *s, struct sock_msg *m, bool first, bool *end)
{
	struct uq_take take = {
	        .peek = (m->flags & MSG_PEEK) != 0,
	        .stream = s->sock.type == SOCK_STREAM,
	        .name = first ? m->name : NULL,
	};
	long r = uq_take(s->in, m->u, &take, end);

	if (r >= 0 && !*end)
		give_control(s, m, &take, first);
	if (take.fds)
		uq_fds_free(take.fds);
	if (r >= 0 && !*end && !take.stream && take.real > (size_t)r) {
		m->out_flags |= MSG_TRUNC;
		if (m->flags & MSG_TRUNC)
			r = (long)take.real;
	}
	if (r == -EAGAIN && s->shut_rd) {
		*end = true;
		r = 0;
	}
	return r;
}

static long recv_check(const struct unix_sock *s, const struct sock_msg *m)
{
	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (s->listening)
		return -EINVAL;
	if (!s->connected && s->sock.type == SOCK_STREAM)
		return -EINVAL;
	return !s->connected && s->sock.type == SOCK_SEQPACKET ? -ENOTCONN : 0;
}

long unix_recvmsg(struct sock *sock, struct sock_msg *m)
{
	struct unix_sock *s = unix_of(sock);
	uint64_t deadline = sock_rcv_deadline(sock);
	bool all = (m->flags & MSG_WAITALL) && !(m->flags & MSG_PEEK) &&
	           sock->type == SOCK_STREAM;
	size_t done = 0;
	long r = recv_check(s, m);

	if (r < 0)
		return r;
	if (sock->type == SOCK_STREAM && uio_left(m->u) == 0)
		return 0;
	for (;;) {
		bool end;

		r = recv_piece(s, m, done == 0, &end);
		if (r > 0)
			done += (size_t)r;
		if (r >= 0 && (end || !all || uio_left(m->u) == 0))
			return (long)done;
		if (r >= 0)
			continue;
		if (r != -EAGAIN || sock_nonblock(sock, m->flags))
			break;
		r = wait_until(&sock->ofd.wait, EPOLLIN, can_take, s, deadline,
		               PARK_INTR);
		if (r < 0)
			break;
	}
	return done > 0 ? (long)done : r;
}
