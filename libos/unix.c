/* SPDX-License-Identifier: MIT */
/*
 * unix.c - AF_UNIX sockets inside the guest: making, naming, connecting, closing.
 * Messages are in unixmsg.c, queues in unixq.c, options in unixopt.c.
 *
 * A socket owns the queue it reads (`in`) and holds the one it sends to (`out`).  Two
 * connected sockets know each other only by their queues, so either may end first.
 * A name belongs to a socket; connecting finds the socket by name, under g_names_lock,
 * and holds its memory: not its description, which must end with its last descriptor,
 * also while others wait to be accepted.
 *
 * Locks: s->lock guards a socket's state; g_names_lock the names.  Neither is held
 * while taking the other, nor while waiting; q->lock may be taken under either.
 */
#include "libos/unix.h"

#include "libos/abi.h"
#include "libos/deadline.h"
#include "libos/identity.h"
#include "libos/local.h"
#include "libos/pool.h"
#include "libos/process.h"
#include "libos/syscall.h"
#include "libos/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#define UNIX_MAX 65536u
#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)
#define DEV_LOG "/dev/log"

static struct pool g_unix = POOL_INIT(struct unix_sock, UNIX_MAX);
static struct lock g_names_lock = LOCK_INIT;
static struct unix_sock *g_names; /* bound sockets */
static _Atomic uint32_t g_autobind;

static const struct ofd_ops g_unix_ops;

struct unix_sock *unix_of(struct sock *s)
{
	return (struct unix_sock *)s;
}

/* ---- life ---- */

static struct unix_sock *unix_new(int type)
{
	struct unix_sock *s = pool_get(&g_unix);
	const struct cred *c = cred_current();

	if (!s)
		return NULL;
	s->in = uq_new(&s->sock.ofd);
	if (!s->in) {
		pool_put(&g_unix, s);
		return NULL;
	}
	s->holds = 1;
	s->limit = UQ_LIMIT_DEFAULT;
	s->uid = c->euid;
	s->gid = c->egid;
	s->sender.ofd = &s->sock.ofd;
	sock_init(&s->sock, &g_unix_ops, &g_unix_sock_ops, AF_UNIX, type, 0);
	return s;
}

/* Send to @to's queue from now on, and know who it is. */
static void attach(struct unix_sock *s, struct unix_sock *to)
{
	struct unix_queue *q = uq_ref(to->in);

	lock_take(&s->lock);
	s->out = q;
	s->peer_name = to->name;
	s->peer_uid = to->uid;
	s->peer_gid = to->gid;
	s->connected = true;
	lock_drop(&s->lock);
	uq_add_sender(q, &s->sender);
}

static long type_check(int *type, int protocol)
{
	if (protocol != 0 && protocol != AF_UNIX)
		return -EPROTONOSUPPORT;
	if (*type == SOCK_RAW)
		*type = SOCK_DGRAM; /* as Linux */
	if (*type != SOCK_STREAM && *type != SOCK_DGRAM && *type != SOCK_SEQPACKET)
		return -ESOCKTNOSUPPORT;
	return 0;
}

long unix_socket(int type, int protocol, struct sock **out)
{
	struct unix_sock *s;
	long r = type_check(&type, protocol);

	if (r < 0)
		return r;
	s = unix_new(type);
	if (!s)
		return -ENFILE;
	*out = &s->sock;
	return 0;
}

long unix_socketpair(int type, int protocol, struct sock *out[2])
{
	struct unix_sock *a, *b;
	long r = type_check(&type, protocol);

	if (r < 0)
		return r;
	a = unix_new(type);
	if (!a)
		return -ENFILE;
	b = unix_new(type);
	if (!b) {
		ofd_put(&a->sock.ofd);
		return -ENFILE;
	}
	attach(a, b);
	attach(b, a);
	out[0] = &a->sock;
	out[1] = &b->sock;
	return 0;
}

static void name_remove(struct unix_sock *s)
{
	lock_take(&g_names_lock);
	if (s->name_pprev) {
		*s->name_pprev = s->name_next;
		if (s->name_next)
			s->name_next->name_pprev = s->name_pprev;
		s->name_pprev = NULL;
	}
	lock_drop(&g_names_lock);
}

/* The connections that nobody accepted. */
static void pending_drop(struct unix_sock *s)
{
	struct unix_sock *list, *next;

	lock_take(&s->lock);
	list = s->pending;
	s->pending = NULL;
	s->n_pending = 0;
	s->listening = false;
	lock_drop(&s->lock);
	waitq_wake(&s->backlog_room, EPOLLOUT);
	for (; list; list = next) {
		next = list->pending_next;
		ofd_put(&list->sock.ofd);
	}
}

static void unix_let_go(struct unix_sock *s)
{
	if (atomic_fetch_sub(&s->holds, 1) != 1)
		return;
	uq_unref(s->in);
	pool_put(&g_unix, s);
}

static void op_release(struct ofd *o)
{
	struct unix_sock *s = (struct unix_sock *)o;
	bool unread = s->sock.type != SOCK_DGRAM &&
	              (s->embryo || uq_waiting(s->in, true) > 0);

	name_remove(s);
	pending_drop(s);
	if (s->out) {
		uq_remove_sender(s->out, &s->sender);
		if (s->sock.type != SOCK_DGRAM && !s->silent)
			uq_end(s->out, unread ? ECONNRESET : 0);
		uq_unref(s->out);
	}
	uq_close(s->in, true);
	unix_let_go(s);
}

/* ---- names ---- */

/* A name as connect and bind use it. */
struct target {
	struct sock_name name; /* in its normal form */
	bool path;             /* by dev and ino; else abstract */
	int type;              /* of the socket that asks */
	uint64_t dev, ino;
};

/* The path of a path name, with its NUL. */
static const char *path_of(struct sock_name *name)
{
	uint32_t end = name->len < SOCK_NAME_MAX ? name->len : SOCK_NAME_MAX - 1;

	name->data[end] = '\0';
	return (const char *)name->data + PATH_OFFSET;
}

static long parse_name(const struct sock_name *name, int type, struct target *t)
{
	if (name->len <= PATH_OFFSET || name->len > sizeof(struct sockaddr_un) ||
	    name->family != AF_UNIX)
		return -EINVAL;
	*t = (struct target){.name = *name, .type = type};
	t->path = name->data[PATH_OFFSET] != '\0';
	if (t->path)
		t->name.len = (uint32_t)(PATH_OFFSET + strlen(path_of(&t->name)) + 1);
	return 0;
}

static bool same_name(const struct unix_sock *s, const struct target *t)
{
	if (s->by_path != t->path)
		return false;
	if (t->path)
		return s->dev == t->dev && s->ino == t->ino;
	/* As in Linux, the type is part of an abstract name. */
	return s->sock.type == t->type && s->name.len == t->name.len &&
	       memcmp(s->name.data, t->name.data, s->name.len) == 0;
}

static struct unix_sock *find_locked(const struct target *t)
{
	struct unix_sock *s = g_names;

	while (s && !same_name(s, t))
		s = s->name_next;
	return s;
}

/* The socket of that name, held: -ECONNREFUSED, and what finding the
 * path gives. */
static long find_named(struct target *t, struct unix_sock **out)
{
	struct unix_sock *s;
	long r;

	if (t->path) {
		r = file_find_socket(path_of(&t->name), &t->dev, &t->ino);
		if (r < 0)
			return r;
	}
	lock_take(&g_names_lock);
	s = find_locked(t);
	if (s)
		atomic_fetch_add(&s->holds, 1); /* its release takes the name away first */
	lock_drop(&g_names_lock);
	if (!s)
		return -ECONNREFUSED;
	*out = s;
	return 0;
}

/* Take the name: -EADDRINUSE (another has it), -EINVAL (has one already). */
static long name_add(struct unix_sock *s, const struct target *t)
{
	long r = 0;

	lock_take(&g_names_lock);
	if (s->name.len > 0) {
		r = -EINVAL;
	} else if (find_locked(t)) {
		r = -EADDRINUSE;
	} else {
		s->name = t->name;
		s->by_path = t->path;
		s->dev = t->dev;
		s->ino = t->ino;
		s->name_next = g_names;
		s->name_pprev = &g_names;
		if (s->name_next)
			s->name_next->name_pprev = &s->name_next;
		g_names = s;
	}
	lock_drop(&g_names_lock);
	return r;
}

/* A free abstract name of five hexadecimal digits. */
static long autobind(struct unix_sock *s)
{
	for (int i = 0; i < 1 << 20; i++) {
		struct target t = {.name = {.len = PATH_OFFSET + 6},
		                   .type = s->sock.type};
		struct text x = {.at = (char *)t.name.data + PATH_OFFSET + 1, .cap = 5};
		long r;

		t.name.family = AF_UNIX;
		text_fmt(&x, "%05x", atomic_fetch_add(&g_autobind, 1) & 0xfffffu);
		r = name_add(s, &t);
		if (r != -EADDRINUSE)
			return r;
	}
	return -ENOSPC;
}

static long op_bind(struct sock *sock, const struct sock_name *name)
{
	struct unix_sock *s = unix_of(sock);
	struct target t;
	long r;

	if (name->len == PATH_OFFSET && name->family == AF_UNIX)
		return s->name.len > 0 ? 0 : autobind(s);
	r = parse_name(name, sock->type, &t);
	if (r < 0)
		return r;
	if (s->name.len > 0)
		return -EINVAL;
	if (t.path) {
		r = file_make_socket(path_of(&t.name), &t.dev, &t.ino);
		if (r < 0)
			return r;
	}
	return name_add(s, &t);
}

static void no_name(struct sock_name *name)
{
	name->len = PATH_OFFSET;
	name->family = AF_UNIX;
}

static long op_getsockname(struct sock *sock, struct sock_name *name)
{
	struct unix_sock *s = unix_of(sock);

	if (s->name.len > 0)
		*name = s->name;
	else
		no_name(name);
	return 0;
}

static long op_getpeername(struct sock *sock, struct sock_name *name)
{
	struct unix_sock *s = unix_of(sock);

	if (!s->connected)
		return -ENOTCONN;
	if (s->peer_name.len > 0)
		*name = s->peer_name;
	else
		no_name(name);
	return 0;
}

/* ---- connections ---- */

static long op_listen(struct sock *sock, int backlog)
{
	struct unix_sock *s = unix_of(sock);
	long r = 0;

	if (sock->type == SOCK_DGRAM)
		return -EOPNOTSUPP;
	lock_take(&s->lock);
	if (s->name.len == 0 || s->connected) {
		r = -EINVAL;
	} else {
		const struct cred *c = cred_current();

		s->listening = true;
		s->backlog = backlog;
		s->uid = c->euid; /* whom SO_PEERCRED shows to who connects */
		s->gid = c->egid;
	}
	lock_drop(&s->lock);
	waitq_wake(&s->backlog_room, EPOLLOUT);
	return r;
}

/* Put @new into the listener's queue: -ECONNREFUSED, -EAGAIN when it is full. */
static long enqueue(struct unix_sock *listener, struct unix_sock *new)
{
	struct unix_sock **at;
	long r = 0;

	lock_take(&listener->lock);
	if (!listener->listening) {
		r = -ECONNREFUSED;
	} else if (listener->n_pending > (uint32_t)listener->backlog) {
		r = -EAGAIN;
	} else {
		for (at = &listener->pending; *at; at = &(*at)->pending_next)
			;
		*at = new;
		listener->n_pending++;
	}
	lock_drop(&listener->lock);
	if (r == 0)
		waitq_wake(&listener->sock.ofd.wait, EPOLLIN);
	return r;
}

static long backlog_has_room(void *arg)
{
	struct unix_sock *l = arg;
	long r;

	lock_take(&l->lock);
	r = !l->listening || l->n_pending <= (uint32_t)l->backlog;
	lock_drop(&l->lock);
	return r;
}

/* The listener's side of a connection from @s. */
static struct unix_sock *embryo_new(struct unix_sock *s,
                                    const struct unix_sock *listener)
{
	struct unix_sock *new = unix_new(s->sock.type);

	if (!new)
		return NULL;
	new->name = listener->name;
	new->uid = listener->uid;
	new->gid = listener->gid;
	new->embryo = true;
	return new;
}

static long connect_stream(struct unix_sock *s, struct unix_sock *listener)
{
	uint64_t deadline = sock_snd_deadline(&s->sock);
	struct unix_sock *new;
	long r;

	if (listener->sock.type != s->sock.type)
		return -EPROTOTYPE;
	new = embryo_new(s, listener);
	if (!new)
		return -ENOBUFS;
	attach(new, s);
	attach(s, new);
	while ((r = enqueue(listener, new)) == -EAGAIN) {
		if (ofd_nonblock(&s->sock.ofd))
			break;
		r = wait_until(&listener->backlog_room, EPOLLOUT, backlog_has_room,
		               listener, deadline, PARK_INTR);
		if (r < 0)
			break;
	}
	if (r == 0)
		return 0;
	/* Take it all back: s was attached to nobody else. */
	lock_take(&s->lock);
	s->connected = false;
	s->peer_name.len = 0;
	lock_drop(&s->lock);
	uq_remove_sender(s->out, &s->sender);
	uq_unref(s->out);
	s->out = NULL;
	new->silent = true;
	ofd_put(&new->sock.ofd);
	return r;
}

static void detach_dgram(struct unix_sock *s)
{
	struct unix_queue *old;

	lock_take(&s->lock);
	old = s->out;
	s->out = NULL;
	s->connected = false;
	s->peer_name.len = 0;
	lock_drop(&s->lock);
	if (old) {
		uq_remove_sender(old, &s->sender);
		uq_unref(old);
	}
}

static long connect_dgram(struct unix_sock *s, struct unix_sock *to)
{
	if (to->sock.type != SOCK_DGRAM)
		return -EPROTOTYPE;
	if (to->connected && to->out != s->in)
		return -EPERM; /* it listens to another only */
	detach_dgram(s);
	attach(s, to);
	return 0;
}

/* /dev/log is the console (unixmsg.c). */
bool unix_is_log(const struct sock_name *name)
{
	return name->len >= PATH_OFFSET + sizeof(DEV_LOG) - 1 &&
	       strncmp((const char *)name->data + PATH_OFFSET, DEV_LOG,
	               sizeof(DEV_LOG) - 1) == 0 &&
	       (name->len == PATH_OFFSET + sizeof(DEV_LOG) - 1 ||
	        name->data[PATH_OFFSET + sizeof(DEV_LOG) - 1] == '\0');
}

static long connect_log(struct unix_sock *s, const struct sock_name *name)
{
	if (s->sock.type != SOCK_DGRAM)
		return -EPROTOTYPE;
	detach_dgram(s);
	s->peer_name = *name;
	s->connected = s->to_log = true;
	return 0;
}

static long connect_to(struct unix_sock *s, const struct sock_name *name)
{
	bool dgram = s->sock.type == SOCK_DGRAM;
	struct unix_sock *other;
	struct target t;
	long r;

	if (dgram && name->len >= 2 && name->family == AF_UNSPEC) {
		detach_dgram(s);
		s->to_log = false;
		return 0;
	}
	r = parse_name(name, s->sock.type, &t);
	if (r < 0)
		return r;
	if (!dgram && s->listening)
		return -EINVAL;
	if (!dgram && s->connected)
		return -EISCONN;
	if (unix_is_log(&t.name))
		return connect_log(s, &t.name);
	r = find_named(&t, &other);
	if (r < 0)
		return r;
	s->to_log = false;
	r = dgram ? connect_dgram(s, other) : connect_stream(s, other);
	unix_let_go(other);
	return r;
}

/* One at a time: a socket stands in one list of senders. */
static long op_connect(struct sock *sock, const struct sock_name *name)
{
	struct unix_sock *s = unix_of(sock);
	bool busy;
	long r;

	lock_take(&s->lock);
	busy = s->connecting;
	s->connecting = true;
	lock_drop(&s->lock);
	if (busy)
		return -EALREADY;
	r = connect_to(s, name);
	lock_take(&s->lock);
	s->connecting = false;
	lock_drop(&s->lock);
	return r;
}

long unix_find_queue(const struct sock_name *name, struct unix_sock *from,
                     struct unix_queue **out)
{
	struct unix_sock *other;
	struct target t;
	long r = parse_name(name, SOCK_DGRAM, &t);

	if (r == 0)
		r = find_named(&t, &other);
	if (r < 0)
		return r;
	if (other->sock.type != SOCK_DGRAM)
		r = -EPROTOTYPE;
	else if (other->connected && other->out != from->in)
		r = -EPERM;
	else
		*out = uq_ref(other->in);
	unix_let_go(other);
	return r;
}

static struct unix_sock *pending_take(struct unix_sock *s)
{
	struct unix_sock *new;

	lock_take(&s->lock);
	new = s->pending;
	if (new) {
		s->pending = new->pending_next;
		new->pending_next = NULL;
		s->n_pending--;
	}
	lock_drop(&s->lock);
	return new;
}

static long has_pending(void *arg)
{
	struct unix_sock *s = arg;
	long r;

	lock_take(&s->lock);
	r = s->pending != NULL || s->shut_rd;
	lock_drop(&s->lock);
	return r;
}

static long op_accept(struct sock *sock, struct sock **out, struct sock_name *peer)
{
	struct unix_sock *s = unix_of(sock), *new;
	uint64_t deadline = sock_rcv_deadline(sock);

	if (sock->type == SOCK_DGRAM)
		return -EOPNOTSUPP;
	if (!s->listening)
		return -EINVAL;
	while ((new = pending_take(s)) == NULL) {
		long r;

		if (s->shut_rd)
			return -EINVAL;
		if (ofd_nonblock(&sock->ofd))
			return -EAGAIN;
		r = wait_until(&sock->ofd.wait, EPOLLIN, has_pending, s, deadline,
		               PARK_INTR);
		if (r < 0)
			return r;
	}
	new->embryo = false;
	waitq_wake(&s->backlog_room, EPOLLOUT);
	(void)op_getpeername(&new->sock, peer); /* it is connected */
	*out = &new->sock;
	return 0;
}

static long op_shutdown(struct sock *sock, int how)
{
	struct unix_sock *s = unix_of(sock);
	bool dgram = sock->type == SOCK_DGRAM;

	if (!s->connected && !s->listening && !dgram)
		return -ENOTCONN;
	if (how != SHUT_WR) {
		s->shut_rd = true;
		if (!dgram)
			uq_close(s->in, false);
	}
	if (how != SHUT_RD) {
		s->shut_wr = true;
		if (s->out && !dgram)
			uq_end(s->out, 0);
	}
	waitq_wake(&sock->ofd.wait, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
	return 0;
}

/* ---- readiness ---- */

static uint32_t op_poll(struct ofd *o)
{
	struct unix_sock *s = (struct unix_sock *)o;
	struct unix_queue *out = NULL;
	uint32_t ev;

	if (s->listening)
		return has_pending(s) ? EPOLLIN : 0;
	ev = uq_poll_reader(s->in);
	lock_take(&s->lock);
	if (s->out)
		out = uq_ref(s->out);
	lock_drop(&s->lock);
	if (!out)
		return ev | EPOLLOUT | (s->sock.type != SOCK_DGRAM ? EPOLLHUP : 0u);
	ev |= uq_poll_sender(out, s->limit);
	uq_unref(out);
	/* A hang-up is the end of both directions. */
	if (!(ev & EPOLLRDHUP) || s->sock.type == SOCK_DGRAM)
		ev &= ~(uint32_t)EPOLLHUP;
	return ev;
}

/* ---- operations ---- */

static long op_ioctl(struct ofd *o, unsigned long req, void *user_arg)
{
	struct unix_sock *s = (struct unix_sock *)o;
	int n;

	if (req == FIONREAD) {
		if (s->listening)
			return -EINVAL;
		n = (int)uq_waiting(s->in, s->sock.type == SOCK_STREAM);
	} else if (req == TIOCOUTQ) {
		n = s->out ? (int)uq_waiting(s->out, true) : 0;
	} else {
		return sock_ofd_ioctl(o, req, user_arg);
	}
	return user_copy_out(user_arg, &n, sizeof(n));
}

static const struct ofd_ops g_unix_ops = {
        .kind = OFD_UNIX,
        .read = sock_ofd_read,
        .write = sock_ofd_write,
        .poll = op_poll,
        .ioctl = op_ioctl,
        .stat = sock_ofd_stat,
        .release = op_release,
        .pollable = true,
};

const struct sock_ops g_unix_sock_ops = {
        .bind = op_bind,
        .listen = op_listen,
        .accept = op_accept,
        .connect = op_connect,
        .getsockname = op_getsockname,
        .getpeername = op_getpeername,
        .setsockopt = unix_setsockopt,
        .getsockopt = unix_getsockopt,
        .shutdown = op_shutdown,
        .sendmsg = unix_sendmsg,
        .recvmsg = unix_recvmsg,
};
