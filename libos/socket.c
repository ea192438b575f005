/* SPDX-License-Identifier: MIT */
/*
 * socket.c - the socket calls over struct sock_ops: sockets, names, options.
 * Messages are in sockmsg.c.
 */
#include "libos/socket.h"

#include "libos/abi.h"
#include "libos/deadline.h"
#include "libos/identity.h"
#include "libos/sockmsg.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SO_RCVTIMEO_64 66 /* SO_RCVTIMEO_NEW: the same 16 bytes on x86-64 */
#define SO_SNDTIMEO_64 67
#define TYPE_MASK 0xf
#define SOCK_DEV 8u

static _Atomic uint64_t g_sock_ino = 1;

void sock_init(struct sock *s, const struct ofd_ops *ops, const struct sock_ops *sops,
               int domain, int type, int protocol)
{
	s->sops = sops;
	s->domain = domain;
	s->type = type;
	s->protocol = protocol;
	s->rcv_timeout = s->snd_timeout = 0;
	s->priority = s->oob_inline = 0;
	s->ino = atomic_fetch_add_explicit(&g_sock_ino, 1, memory_order_relaxed);
	ofd_init(&s->ofd, ops, O_RDWR);
}

struct sock *sock_of(struct ofd *o)
{
	switch (o->ops->kind) {
	case OFD_SOCKET:
	case OFD_UNIX:
	case OFD_NETLINK:
		return (struct sock *)o;
	default:
		return NULL;
	}
}

long sock_get(long fd, struct sock **out)
{
	struct ofd *o = ofd_get_io((int)fd);

	if (!o)
		return -EBADF;
	*out = sock_of(o);
	if (*out)
		return 0;
	ofd_put(o);
	return -ENOTSOCK;
}

static uint64_t deadline_of(uint64_t timeout)
{
	return timeout ? deadline_in(timeout) : PLAT_NO_DEADLINE;
}

uint64_t sock_rcv_deadline(const struct sock *s)
{
	return deadline_of(s->rcv_timeout);
}

uint64_t sock_snd_deadline(const struct sock *s)
{
	return deadline_of(s->snd_timeout);
}

/* A call that may time out is not made again after a handler. */
static long restart_or_eintr(const struct sock *s, bool sending, long r)
{
	if (r == -ERESTARTSYS && (sending ? s->snd_timeout : s->rcv_timeout) != 0)
		return -EINTR;
	return r;
}

/* ---- making sockets ---- */

static long type_check(long type_arg, int *type, uint32_t *flags)
{
	*type = (int)type_arg & TYPE_MASK;
	*flags = (uint32_t)type_arg & ~(uint32_t)TYPE_MASK;
	if (*flags & ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	return 0;
}

/* Make it a descriptor; takes the reference also on failure. */
static int sock_install(struct sock *s, uint32_t flags)
{
	int fd;

	if (flags & SOCK_NONBLOCK)
		s->ofd.flags |= O_NONBLOCK;
	fd = fd_install(&s->ofd, 0, (flags & SOCK_CLOEXEC) != 0);
	if (fd < 0)
		ofd_put(&s->ofd);
	return fd;
}

static long sock_make(int domain, int type, int protocol, struct sock **out)
{
	switch (domain) {
	case AF_UNIX:
		return unix_socket(type, protocol, out);
	case AF_NETLINK:
		return netlink_socket(type, protocol, out);
	case AF_INET:
	case AF_INET6:
		return net_socket_create(domain, type, protocol, out);
	case AF_PACKET:
		return -EPERM;
	default:
		return -EAFNOSUPPORT;
	}
}

SYSCALL(socket, long domain, long type_arg, long protocol)
{
	struct sock *s;
	uint32_t flags;
	int type;
	long r = type_check(type_arg, &type, &flags);

	if (r == 0)
		r = sock_make((int)domain, type, (int)protocol, &s);
	return r < 0 ? r : sock_install(s, flags);
}

SYSCALL(socketpair, long domain, long type_arg, long protocol, void *user_fds)
{
	struct sock *pair[2];
	uint32_t flags;
	int type, fds[2];
	long r = type_check(type_arg, &type, &flags);

	if (r < 0)
		return r;
	if (domain != AF_UNIX)
		return domain == AF_INET || domain == AF_INET6 ? -EOPNOTSUPP
		                                               : -EAFNOSUPPORT;
	r = unix_socketpair(type, (int)protocol, pair);
	if (r < 0)
		return r;
	fds[0] = sock_install(pair[0], flags);
	fds[1] = sock_install(pair[1], flags);
	r = fds[0] < 0 ? fds[0] : fds[1] < 0 ? fds[1] : 0;
	if (r == 0 && user_copy_out(user_fds, fds, sizeof(fds)) != 0)
		r = -EFAULT;
	for (int i = 0; r < 0 && i < 2; i++) {
		if (fds[i] >= 0)
			(void)fd_close(fds[i]);
	}
	return r;
}

/* ---- names ---- */

long sock_name_in(struct sock_name *name, const void *user, long len)
{
	if (len < 0 || len > (long)SOCK_NAME_MAX)
		return -EINVAL;
	name->len = (uint32_t)len;
	name->family = 0;
	return len > 0 ? user_copy_in(name->data, user, (size_t)len) : 0;
}

long sock_name_out(const struct sock_name *name, void *user, void *user_len)
{
	int room;

	if (user_copy_in(&room, user_len, sizeof(room)) != 0)
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	if ((uint32_t)room > name->len)
		room = (int)name->len;
	if (room > 0 && user_copy_out(user, name->data, (size_t)room) != 0)
		return -EFAULT;
	return user_copy_out(user_len, &name->len, sizeof(name->len));
}

SYSCALL(bind, long fd, const void *user, long len)
{
	struct sock_name name;
	struct sock *s;
	long r = sock_get(fd, &s);

	if (r < 0)
		return r;
	r = sock_name_in(&name, user, (int)len);
	if (r == 0)
		r = s->sops->bind ? s->sops->bind(s, &name) : -EOPNOTSUPP;
	ofd_put(&s->ofd);
	return r;
}

SYSCALL(connect, long fd, const void *user, long len)
{
	struct sock_name name;
	struct sock *s;
	long r = sock_get(fd, &s);

	if (r < 0)
		return r;
	r = sock_name_in(&name, user, (int)len);
	if (r == 0)
		r = s->sops->connect ? s->sops->connect(s, &name) : -EOPNOTSUPP;
	r = restart_or_eintr(s, true, r);
	ofd_put(&s->ofd);
	return r;
}

SYSCALL(listen, long fd, long backlog)
{
	struct sock *s;
	long r = sock_get(fd, &s);

	if (r < 0)
		return r;
	if ((unsigned)backlog > SOCK_BACKLOG_MAX)
		backlog = SOCK_BACKLOG_MAX;
	r = s->sops->listen ? s->sops->listen(s, (int)backlog) : -EOPNOTSUPP;
	ofd_put(&s->ofd);
	return r;
}

static long accept_on(struct sock *s, void *user, void *user_len, uint32_t flags)
{
	struct sock_name peer = {.len = 0};
	struct sock *new;
	long r;

	if (!s->sops->accept)
		return -EOPNOTSUPP;
	if (!fd_room())
		return -EMFILE; /* the connection stays in the queue */
	r = s->sops->accept(s, &new, &peer);
	if (r < 0)
		return restart_or_eintr(s, false, r);
	if (user && (r = sock_name_out(&peer, user, user_len)) < 0) {
		ofd_put(&new->ofd);
		return r;
	}
	return sock_install(new, flags);
}

SYSCALL(accept4, long fd, void *user, void *user_len, long flags)
{
	struct sock *s;
	long r;

	if (flags & ~(long)(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	r = sock_get(fd, &s);
	if (r < 0)
		return r;
	r = accept_on(s, user, user_len, (uint32_t)flags);
	ofd_put(&s->ofd);
	return r;
}

SYSCALL(accept, long fd, void *user, void *user_len)
{
	return strait_sys_accept4(fd, user, user_len, 0);
}

static long name_call(long fd, void *user, void *user_len, bool peer)
{
	struct sock_name name = {.len = 0};
	struct sock *s;
	long r = sock_get(fd, &s);

	if (r < 0)
		return r;
	if (peer)
		r = s->sops->getpeername ? s->sops->getpeername(s, &name) : -EOPNOTSUPP;
	else
		r = s->sops->getsockname ? s->sops->getsockname(s, &name) : -EOPNOTSUPP;
	if (r == 0)
		r = sock_name_out(&name, user, user_len);
	ofd_put(&s->ofd);
	return r;
}

SYSCALL(getsockname, long fd, void *user, void *user_len)
{
	return name_call(fd, user, user_len, false);
}

SYSCALL(getpeername, long fd, void *user, void *user_len)
{
	return name_call(fd, user, user_len, true);
}

SYSCALL(shutdown, long fd, long how)
{
	struct sock *s;
	long r = sock_get(fd, &s);

	if (r < 0)
		return r;
	if (how < SHUT_RD || how > SHUT_RDWR)
		r = -EINVAL;
	else
		r = s->sops->shutdown ? s->sops->shutdown(s, (int)how) : -EOPNOTSUPP;
	ofd_put(&s->ofd);
	return r;
}

/* ---- options ---- */

static _Atomic uint64_t *timeout_of(struct sock *s, int level, int name)
{
	if (level != SOL_SOCKET)
		return NULL;
	switch (name) {
	case SO_RCVTIMEO:
	case SO_RCVTIMEO_64:
		return &s->rcv_timeout;
	case SO_SNDTIMEO:
	case SO_SNDTIMEO_64:
		return &s->snd_timeout;
	default:
		return NULL;
	}
}

static long timeout_set(_Atomic uint64_t *timeout, const void *val, uint32_t len)
{
	int64_t tv[2];

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(tv, val, sizeof(tv));
	if ((uint64_t)tv[1] >= 1000000u)
		return -EDOM;
	if (tv[0] < 0 || (uint64_t)tv[0] > UINT64_MAX / NS_PER_S - 1)
		*timeout = 0; /* for ever */
	else
		*timeout = (uint64_t)tv[0] * NS_PER_S + (uint64_t)tv[1] * 1000u;
	return 0;
}

/* Options that every family takes alike; 1: not one. */
static long option_set_common(struct sock *s, int level, int name, const void *val,
                              uint32_t len)
{
	int n;

	if (level != SOL_SOCKET ||
	    (name != SO_PRIORITY && name != SO_OOBINLINE && name != SO_RCVLOWAT))
		return 1;
	if (len < sizeof(n))
		return -EINVAL;
	memcpy(&n, val, sizeof(n));
	if (name == SO_OOBINLINE) /* there is never urgent data */
		s->oob_inline = n != 0;
	else if (name == SO_RCVLOWAT) /* 0 means 1; no other is served */
		return n == 0 || n == 1 ? 0 : -ENOPROTOOPT;
	else if ((n < 0 || n > 6) && !cred_privileged())
		return -EPERM;
	else
		s->priority = n;
	return 0;
}

SYSCALL(setsockopt, long fd, long level, long name, const void *user_val, long len)
{
	_Alignas(8) uint8_t val[SOCK_OPT_MAX];
	_Atomic uint64_t *timeout;
	struct sock *s;
	long r;

	if ((int)len < 0)
		return -EINVAL;
	r = sock_get(fd, &s);
	if (r < 0)
		return r;
	if (len > (long)sizeof(val))
		len = (long)sizeof(val);
	timeout = timeout_of(s, (int)level, (int)name);
	if (len > 0 && user_copy_in(val, user_val, (size_t)len) != 0)
		r = -EFAULT;
	else if (timeout)
		r = timeout_set(timeout, val, (uint32_t)len);
	else
		r = option_set_common(s, (int)level, (int)name, val, (uint32_t)len);
	if (r == 1)
		r = s->sops->setsockopt ? s->sops->setsockopt(s, (int)level, (int)name, val,
		                                              (uint32_t)len)
		                        : -ENOPROTOOPT;
	ofd_put(&s->ofd);
	return r;
}

/* Options that every family answers alike: bytes put into @val, 0: not one. */
static uint32_t option_common(struct sock *s, int level, int name, void *val)
{
	_Atomic uint64_t *timeout = timeout_of(s, level, name);
	int n;

	if (timeout) {
		uint64_t tv[2] = {*timeout / NS_PER_S, *timeout % NS_PER_S / 1000u};

		memcpy(val, tv, sizeof(tv));
		return sizeof(tv);
	}
	if (level != SOL_SOCKET)
		return 0;
	switch (name) {
	case SO_TYPE:
		n = s->type;
		break;
	case SO_DOMAIN:
		n = s->domain;
		break;
	case SO_PROTOCOL:
		n = s->protocol;
		break;
	case SO_PRIORITY:
		n = s->priority;
		break;
	case SO_OOBINLINE:
		n = s->oob_inline;
		break;
	case SO_RCVLOWAT:
	case SO_SNDLOWAT:
		n = 1;
		break;
	default:
		return 0;
	}
	memcpy(val, &n, sizeof(n));
	return sizeof(n);
}

static long option_get(struct sock *s, int level, int name, void *user_val,
                       void *user_len)
{
	_Alignas(8) uint8_t val[SOCK_OPT_MAX];
	uint32_t room, len;
	long r = 0;

	if (user_copy_in(&room, user_len, sizeof(room)) != 0)
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	if (room > sizeof(val))
		room = sizeof(val);
	len = option_common(s, level, name, val);
	if (len == 0) {
		len = room;
		r = s->sops->getsockopt ? s->sops->getsockopt(s, level, name, val, &len)
		                        : -ENOPROTOOPT;
	}
	if (r < 0)
		return r;
	if (len > room)
		len = room;
	if (len > 0 && user_copy_out(user_val, val, len) != 0)
		return -EFAULT;
	return user_copy_out(user_len, &len, sizeof(len));
}

SYSCALL(getsockopt, long fd, long level, long name, void *user_val, void *user_len)
{
	struct sock *s;
	long r = sock_get(fd, &s);

	if (r < 0)
		return r;
	r = option_get(s, (int)level, (int)name, user_val, user_len);
	ofd_put(&s->ofd);
	return r;
}

long sock_ofd_stat(struct ofd *o, struct kstat *st)
{
	*st = (struct kstat){.st_dev = SOCK_DEV,
	                     .st_ino = sock_of(o)->ino,
	                     .st_nlink = 1,
	                     .st_mode = S_IFSOCK | 0777,
	                     .st_uid = g_config.uid,
	                     .st_gid = g_config.gid,
	                     .st_blksize = 4096};
	return 0;
}
