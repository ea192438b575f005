/* SPDX-License-Identifier: MIT */
/*
 * sockmsg.c - sending and receiving on sockets: message headers, control data.
 */
#include "libos/sockmsg.h"

#include "libos/abi.h"
#include "libos/deadline.h"
#include "libos/io.h"
#include "libos/signal.h"
#include "libos/syscall.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define MMSG_MAX 1024u
#define MSG_COMPAT 0x80000000u
#define CTL_ALIGN(n) (((n) + 7u) & ~(size_t)7u)

/* ---- control data ---- */

bool sock_ctl_put(struct sock_ctl *c, int level, int type, const void *data, size_t len)
{
	struct kcmsghdr h = {.len = sizeof(h) + len, .level = level, .type = type};
	size_t room;

	if (!c)
		return false;
	room = c->room - c->len;
	if (room < sizeof(h)) {
		c->truncated = true;
		return false;
	}
	if (h.len > room) {
		c->truncated = true;
		h.len = room;
	}
	memcpy(c->buf + c->len, &h, sizeof(h));
	memcpy(c->buf + c->len + sizeof(h), data, h.len - sizeof(h));
	c->len += CTL_ALIGN(h.len) < room ? CTL_ALIGN(h.len) : room;
	return h.len == sizeof(h) + len;
}

int sock_ctl_next(const struct sock_ctl *c, size_t *at, struct kcmsghdr *h,
                  const void **data, size_t *len)
{
	size_t left = *at < c->room ? c->room - *at : 0;

	if (left < sizeof(*h))
		return 0;
	memcpy(h, c->buf + *at, sizeof(*h));
	if (h->len < sizeof(*h) || h->len > left)
		return -EINVAL;
	*data = c->buf + *at + sizeof(*h);
	*len = h->len - sizeof(*h);
	*at += CTL_ALIGN(h->len);
	return 1;
}

/* ---- sending ---- */

static long sock_send(struct sock *s, struct sock_msg *m)
{
	long r;

	if (ofd_nonblock(&s->ofd))
		m->flags |= MSG_DONTWAIT;
	r = s->sops->sendmsg ? s->sops->sendmsg(s, m) : -EOPNOTSUPP;
	if (r == -EPIPE && s->type == SOCK_STREAM && !(m->flags & MSG_NOSIGNAL))
		signal_send_self(SIGPIPE);
	if (r == -ERESTARTSYS && s->snd_timeout != 0)
		return -EINTR;
	return r;
}

long sock_ofd_write(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	struct sock_msg m = {.u = u};

	(void)pos;
	return sock_send(sock_of(o), &m);
}

SYSCALL(sendto, long fd, void *buf, long n, long flags, const void *user_name,
        long name_len)
{
	struct sock_name name;
	struct sock_msg m = {.flags = (uint32_t)flags};
	struct sock *s;
	struct uio u;
	long r = sock_get(fd, &s);

	if (r < 0)
		return r;
	uio_init(&u, buf, (size_t)n < IO_RW_MAX ? (size_t)n : IO_RW_MAX);
	m.u = &u;
	if (user_name) {
		r = sock_name_in(&name, user_name, (int)name_len);
		m.name = &name;
	}
	if (r == 0)
		r = sock_send(s, &m);
	ofd_put(&s->ofd);
	return r;
}

/* A message header taken apart. */
struct import {
	struct kmsghdr h;
	struct io_vec v;
	struct sock_name name;
	struct sock_ctl ctl;
	struct sock_msg m;
	_Alignas(8) uint8_t ctl_buf[SOCK_CTL_MAX];
};

static long import_header(struct import *im, const void *user_hdr, uint32_t flags)
{
	if (flags & MSG_COMPAT)
		return -EINVAL;
	if (user_copy_in(&im->h, user_hdr, sizeof(im->h)) != 0)
		return -EFAULT;
	if (im->h.name == 0)
		im->h.namelen = 0;
	if (im->h.namelen < 0)
		return -EINVAL;
	if (im->h.namelen > (int)SOCK_NAME_MAX)
		im->h.namelen = SOCK_NAME_MAX;
	if (im->h.iovlen > USER_IOV_MAX)
		return -EMSGSIZE;
	im->m = (struct sock_msg){.u = &im->v.u, .flags = flags};
	im->ctl = (struct sock_ctl){.buf = im->ctl_buf};
	return io_vec_get(&im->v, (const void *)im->h.iov, (long)im->h.iovlen);
}

static long import_ctl(struct import *im)
{
	if (im->h.control == 0 || im->h.controllen == 0)
		return 0;
	if (im->h.controllen > SOCK_CTL_MAX)
		return -ENOBUFS;
	im->ctl.room = im->h.controllen;
	im->m.ctl = &im->ctl;
	return user_copy_in(im->ctl_buf, (const void *)im->h.control, im->ctl.room);
}

static long send_header(struct sock *s, const void *user_hdr, uint32_t flags)
{
	struct import im;
	long r = import_header(&im, user_hdr, flags);

	if (r < 0)
		return r;
	if (im.h.name) {
		r = sock_name_in(&im.name, (const void *)im.h.name, im.h.namelen);
		im.m.name = im.h.namelen > 0 ? &im.name : NULL;
	}
	if (r == 0)
		r = import_ctl(&im);
	if (r == 0)
		r = sock_send(s, &im.m);
	io_vec_put(&im.v);
	return r;
}

SYSCALL(sendmsg, long fd, const void *user_hdr, long flags)
{
	struct sock *s;
	long r = sock_get(fd, &s);

	if (r < 0)
		return r;
	r = send_header(s, user_hdr, (uint32_t)flags);
	ofd_put(&s->ofd);
	return r;
}

static long put_mmsg_len(struct kmmsghdr *user, long len)
{
	uint32_t n = (uint32_t)len;

	return user_copy_out(&user->len, &n, sizeof(n));
}

SYSCALL(sendmmsg, long fd, void *user_vec, long n_arg, long flags)
{
	struct kmmsghdr *user = user_vec;
	unsigned n = (unsigned)n_arg < MMSG_MAX ? (unsigned)n_arg : MMSG_MAX, done;
	struct sock *s;
	long r = sock_get(fd, &s);

	if (r < 0)
		return r;
	for (done = 0; done < n; done++) {
		r = send_header(s, &user[done].hdr, (uint32_t)flags);
		if (r >= 0)
			r = put_mmsg_len(&user[done], r);
		if (r < 0)
			break;
	}
	ofd_put(&s->ofd);
	return done > 0 ? (long)done : r;
}

/* ---- receiving ---- */

static long sock_recv(struct sock *s, struct sock_msg *m)
{
	long r;

	if (ofd_nonblock(&s->ofd))
		m->flags |= MSG_DONTWAIT;
	r = s->sops->recvmsg ? s->sops->recvmsg(s, m) : -EOPNOTSUPP;
	if (r == -ERESTARTSYS && s->rcv_timeout != 0)
		return -EINTR;
	return r;
}

long sock_ofd_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	struct sock_msg m = {.u = u};

	(void)pos;
	return uio_left(u) == 0 ? 0 : sock_recv(sock_of(o), &m);
}

SYSCALL(recvfrom, long fd, void *buf, long n, long flags, void *user_name,
        void *user_len)
{
	struct sock_name name = {.len = 0};
	struct sock_msg m = {.flags = (uint32_t)flags,
	                     .name = user_name ? &name : NULL};
	struct sock *s;
	struct uio u;
	long r = sock_get(fd, &s);

	if (r < 0)
		return r;
	uio_init(&u, buf, (size_t)n < IO_RW_MAX ? (size_t)n : IO_RW_MAX);
	m.u = &u;
	r = sock_recv(s, &m);
	if (r >= 0 && user_name && sock_name_out(&name, user_name, user_len) != 0)
		r = -EFAULT;
	ofd_put(&s->ofd);
	return r;
}

/* Everything of a received message but its data. */
static long export_header(struct import *im, struct kmsghdr *user)
{
	uint64_t controllen = im->ctl.len;
	uint32_t flags = im->m.out_flags | (im->ctl.truncated ? MSG_CTRUNC : 0u) |
	                 (im->m.flags & (uint32_t)MSG_CMSG_CLOEXEC);
	uint32_t n = im->name.len < (uint32_t)im->h.namelen ? im->name.len
	                                                    : (uint32_t)im->h.namelen;

	if (im->h.name) {
		if (n > 0 && user_copy_out((void *)im->h.name, im->name.data, n) != 0)
			return -EFAULT;
		if (user_copy_out(&user->namelen, &im->name.len, sizeof(int)) != 0)
			return -EFAULT;
	}
	if (controllen > 0 &&
	    user_copy_out((void *)im->h.control, im->ctl_buf, controllen) != 0)
		return -EFAULT;
	if (user_copy_out(&user->controllen, &controllen, sizeof(controllen)) != 0 ||
	    user_copy_out(&user->flags, &flags, sizeof(flags)) != 0)
		return -EFAULT;
	return 0;
}

static long recv_header(struct sock *s, struct kmsghdr *user_hdr, uint32_t flags)
{
	struct import im;
	long r = import_header(&im, user_hdr, flags);

	if (r < 0)
		return r;
	im.name.len = 0;
	im.m.name = im.h.name ? &im.name : NULL;
	im.m.ctl = &im.ctl;
	if (im.h.control)
		im.ctl.room =
		        im.h.controllen < SOCK_CTL_MAX ? im.h.controllen : SOCK_CTL_MAX;
	im.ctl.cloexec = (flags & (uint32_t)MSG_CMSG_CLOEXEC) != 0;
	r = sock_recv(s, &im.m);
	if (r >= 0 && export_header(&im, user_hdr) != 0)
		r = -EFAULT;
	io_vec_put(&im.v);
	return r;
}

SYSCALL(recvmsg, long fd, void *user_hdr, long flags)
{
	struct sock *s;
	long r = sock_get(fd, &s);

	if (r < 0)
		return r;
	r = recv_header(s, user_hdr, (uint32_t)flags);
	ofd_put(&s->ofd);
	return r;
}

SYSCALL(recvmmsg, long fd, void *user_vec, long n_arg, long flags_arg,
        void *user_timeout)
{
	struct kmmsghdr *user = user_vec;
	unsigned n = (unsigned)n_arg < MMSG_MAX ? (unsigned)n_arg : MMSG_MAX, done = 0;
	uint32_t flags = (uint32_t)flags_arg & ~(uint32_t)MSG_WAITFORONE;
	uint64_t deadline, left;
	struct sock *s;
	long r = deadline_from_timespec(user_timeout, &deadline);

	if (r == 0)
		r = sock_get(fd, &s);
	if (r < 0)
		return r;
	while (done < n) {
		r = recv_header(s, &user[done].hdr, flags);
		if (r >= 0)
			r = put_mmsg_len(&user[done], r);
		if (r < 0)
			break;
		done++;
		if ((uint32_t)flags_arg & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		/* As Linux: the timeout is looked at between datagrams only. */
		if (user_timeout && deadline_left(deadline) == 0)
			break;
	}
	ofd_put(&s->ofd);
	if (user_timeout && done > 0) {
		left = deadline_left(deadline);
		if (user_copy_out(
		            user_timeout,
		            &(struct timespec){.tv_sec = (time_t)(left / NS_PER_S),
		                               .tv_nsec = (long)(left % NS_PER_S)},
		            sizeof(struct timespec)) != 0)
			return -EFAULT;
	}
	return done > 0 ? (long)done : r;
}
