/* SPDX-License-Identifier: MIT */
/*
 * unixopt.c - options of AF_UNIX sockets.
 *
 * Nothing here waits.  An option that means nothing between threads of one guest is
 * taken and has no effect, as in Linux for this family.
 */
#include "libos/unix.h"

#include "libos/process.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define SOCKET_SNDBUF_MIN 4608u

static long put_int(void *val, uint32_t *len, int n)
{
	if (*len > sizeof(n))
		*len = sizeof(n);
	memcpy(val, &n, *len);
	return 0;
}

static long get_peercred(struct unix_sock *s, void *val, uint32_t *len)
{
	struct uq_ucred c = {.pid = 0, .uid = UINT32_MAX, .gid = UINT32_MAX};

	if (s->connected && !s->to_log && s->out)
		c = (struct uq_ucred){PROCESS_PID, s->peer_uid, s->peer_gid};
	if (*len > sizeof(c))
		*len = sizeof(c);
	memcpy(val, &c, *len);
	return 0;
}

static int take_error(struct unix_sock *s)
{
	int err;

	lock_take(&s->in->lock);
	err = s->in->err;
	s->in->err = 0;
	lock_drop(&s->in->lock);
	return err;
}

long unix_getsockopt(struct sock *sock, int level, int name, void *val, uint32_t *len)
{
	struct unix_sock *s = unix_of(sock);
	int linger[2] = {0, 0};

	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	switch (name) {
	case SO_ERROR:
		return put_int(val, len, take_error(s));
	case SO_ACCEPTCONN:
		return put_int(val, len, s->listening);
	case SO_PASSCRED:
		return put_int(val, len, s->pass_cred);
	case SO_PEERCRED:
		return get_peercred(s, val, len);
	case SO_SNDBUF:
		return put_int(val, len, (int)s->limit);
	case SO_RCVBUF:
		return put_int(val, len, (int)UQ_LIMIT_DEFAULT);
	case SO_LINGER:
		if (*len > sizeof(linger))
			*len = sizeof(linger);
		memcpy(val, linger, *len);
		return 0;
	case SO_REUSEADDR:
	case SO_KEEPALIVE:
	case SO_BROADCAST:
		return put_int(val, len, 0);
	default:
		return -ENOPROTOOPT;
	}
}

long unix_setsockopt(struct sock *sock, int level, int name, const void *val,
                     uint32_t len)
{
	struct unix_sock *s = unix_of(sock);
	uint32_t n;

	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	if (len < sizeof(n))
		return -EINVAL;
	memcpy(&n, val, sizeof(n));
	switch (name) {
	case SO_PASSCRED:
		s->pass_cred = n != 0;
		return 0;
	case SO_SNDBUF:
		n = n > UQ_LIMIT_DEFAULT / 2 ? UQ_LIMIT_DEFAULT : n * 2;
		s->limit = n < SOCKET_SNDBUF_MIN ? SOCKET_SNDBUF_MIN : n;
		return 0;
	case SO_RCVBUF: /* Linux too: without effect for this family */
	case SO_REUSEADDR:
	case SO_KEEPALIVE:
	case SO_BROADCAST:
	case SO_LINGER:
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}
