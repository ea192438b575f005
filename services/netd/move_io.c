/* SPDX-License-Identifier: MIT */
/*
 * move_io.c - records of a netd's state on a stream (see move.h).
 *
 * The writer gathers pieces and sends them as they lie: what is queued in lwIP is
 * copied once, by the kernel.  Either side waits a bounded time for the other.
 */
#include "services/netd/move.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_LEN 16u
#define ROOM (2u * MOVE_MSG_MAX)
#define BUF_START (4u << 20)
#define ARENA_LEN (4u << 20)
#define FDS_AT_ONCE 64

static int wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	int r;

	do {
		r = poll(&p, 1, MOVE_WAIT_MS);
	} while (r < 0 && errno == EINTR);
	return r > 0 ? 0 : r == 0 ? -ETIMEDOUT : -errno;
}

/* ---- writing ---- */

int move_out_open(struct move_out *o, int fd)
{
	memset(o, 0, sizeof(*o));
	o->fd = fd;
	o->with_fd = -1;
	o->room = malloc(ROOM);
	return o->room ? 0 : -ENOMEM;
}

void move_out_close(struct move_out *o)
{
	free(o->room);
	o->room = NULL;
}

static ssize_t send_pieces(struct move_out *o, struct iovec *io, int n)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct msghdr m = {.msg_iov = io, .msg_iovlen = (size_t)n};
	struct cmsghdr *c;
	ssize_t r;

	if (o->with_fd < 0)
		return writev(o->fd, io, n);
	memset(&ctl, 0, sizeof(ctl));
	m.msg_control = ctl.buf;
	m.msg_controllen = sizeof(ctl.buf);
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &o->with_fd, sizeof(int));
	r = sendmsg(o->fd, &m, MSG_NOSIGNAL);
	if (r > 0)
		o->with_fd = -1;
	return r;
}

int move_flush(struct move_out *o)
{
	struct iovec *io = o->io;
	int n = o->n_io;

	while (n > 0 && o->err == 0) {
		ssize_t done = send_pieces(o, io, n);

		if (done < 0 && (errno == EAGAIN || errno == EINTR))
			o->err = wait_for(o->fd, POLLOUT);
		else if (done < 0)
			o->err = -errno;
		for (; done > 0 && n > 0; io++, n--) {
			const size_t k = (size_t)done < io->iov_len ? (size_t)done : io->iov_len;

			done -= (ssize_t)k;
			o->bytes += k;
			io->iov_base = (char *)io->iov_base + k;
			io->iov_len -= k;
			if (io->iov_len > 0)
				break;
		}
	}
	o->n_io = 0;
	o->room_used = 0;
	return o->err;
}

void move_payload(struct move_out *o, const void *p, size_t n)
{
	union {
		const void *from;
		void *to;
	} u = {.from = p}; /* an iovec has no const */

	if (n == 0)
		return;
	if (o->n_io == MOVE_IOV)
		(void)move_flush(o); /* kept in o->err */
	o->io[o->n_io++] = (struct iovec){u.to, n};
}

void move_fd(struct move_out *o, int fd)
{
	(void)move_flush(o);
	o->with_fd = fd;
}

void move_put(struct move_out *o, Netstate__Kind kind, const ProtobufCMessage *msg,
              uint64_t payload)
{
	const size_t len = protobuf_c_message_get_packed_size(msg);
	const uint32_t head[2] = {(uint32_t)kind, (uint32_t)len};
	uint8_t *at;

	if (len > MOVE_MSG_MAX || payload > MOVE_PAYLOAD_MAX) {
		if (o->err == 0)
			o->err = -EMSGSIZE;
		return;
	}
	if (o->room_used + HEAD_LEN + len > ROOM || o->n_io == MOVE_IOV)
		(void)move_flush(o); /* before the room is written to: it starts anew */
	at = o->room + o->room_used;
	memcpy(at, head, sizeof(head));
	memcpy(at + 8, &payload, 8);
	(void)protobuf_c_message_pack(msg, at + HEAD_LEN);
	o->room_used += HEAD_LEN + len;
	move_payload(o, at, HEAD_LEN + len);
}

/* ---- reading ---- */

int move_refuse(struct move_in *in, const char *fmt, ...)
{
	va_list ap;

	if (in->why[0])
		return -EPROTO; /* the first reason is the one */
	va_start(ap, fmt);
	(void)vsnprintf(in->why, sizeof(in->why), fmt, ap);
	va_end(ap);
	return -EPROTO;
}

int move_in_open(struct move_in *in, int fd)
{
	memset(in, 0, sizeof(*in));
	in->fd = fd;
	in->arena_buf = malloc(ARENA_LEN);
	in->buf = fd >= 0 ? malloc(BUF_START) : NULL;
	in->cap = in->buf ? BUF_START : 0;
	if (!in->arena_buf || (fd >= 0 && !in->buf)) {
		move_in_close(in);
		return -ENOMEM;
	}
	if (fd >= 0)
		(void)lseek(fd, 0, SEEK_SET); /* a file: from its beginning; a socket says no */
	return 0;
}

void move_in_close(struct move_in *in)
{
	for (unsigned i = 0; i < in->n_fds; i++)
		close(in->fds[i]);
	free(in->fds);
	free(in->arena_buf);
	free(in->guests);
	free(in->socks);
	if (in->fd >= 0)
		free(in->buf);
	in->fds = NULL;
	in->n_fds = 0;
	in->arena_buf = in->buf = NULL;
	in->guests = NULL;
	in->socks = NULL;
}

static void keep_fds(struct move_in *in, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t k = 0, n;
		int fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (; k < n; k++) {
			memcpy(&fd, CMSG_DATA(c) + k * sizeof(int), sizeof(int));
			if (in->n_fds == in->fds_cap) {
				const unsigned cap = in->fds_cap ? in->fds_cap * 2 : 64;
				int *more = realloc(in->fds, cap * sizeof(*more));

				if (!more) {
					close(fd);
					continue;
				}
				in->fds = more;
				in->fds_cap = cap;
			}
			in->fds[in->n_fds++] = fd;
		}
	}
}

static ssize_t read_some(struct move_in *in)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * FDS_AT_ONCE)];
	} ctl;
	struct iovec io = {in->buf + in->end, in->cap - in->end};
	struct msghdr m = {.msg_iov = &io,
	                   .msg_iovlen = 1,
	                   .msg_control = ctl.buf,
	                   .msg_controllen = sizeof(ctl.buf)};
	ssize_t n = recvmsg(in->fd, &m, MSG_CMSG_CLOEXEC);

	if (n < 0 && errno == ENOTSOCK)
		return read(in->fd, io.iov_base, io.iov_len);
	if (n >= 0)
		keep_fds(in, &m);
	return n;
}

/* At least @n bytes from in->at on. */
static int need(struct move_in *in, size_t n)
{
	if (in->end - in->at >= n)
		return 0;
	if (in->fd < 0)
		return move_refuse(in, "the state ends in the middle of a record");
	if (in->at > 0) {
		memmove(in->buf, in->buf + in->at, in->end - in->at);
		in->end -= in->at;
		in->at = 0;
	}
	if (n > in->cap) {
		uint8_t *more = realloc(in->buf, n + BUF_START);

		if (!more)
			return move_refuse(in, "no memory for a record of %zu bytes", n);
		in->buf = more;
		in->cap = n + BUF_START;
	}
	while (in->end < n) {
		const ssize_t k = read_some(in);

		if (k < 0 && (errno == EAGAIN || errno == EINTR)) {
			if (wait_for(in->fd, POLLIN) < 0)
				return move_refuse(in, "the state stopped coming");
		} else if (k <= 0) {
			return move_refuse(in, "the state ends in the middle of a record");
		} else {
			in->end += (size_t)k;
		}
	}
	return 0;
}

int move_next(struct move_in *in)
{
	int r = need(in, HEAD_LEN);

	if (r < 0)
		return r;
	memcpy(&in->kind, in->buf + in->at, 4);
	memcpy(&in->msg_len, in->buf + in->at + 4, 4);
	memcpy(&in->payload_len, in->buf + in->at + 8, 8);
	if (in->msg_len > MOVE_MSG_MAX || in->payload_len > MOVE_PAYLOAD_MAX)
		return move_refuse(in, "a record of the state is too large");
	in->total += HEAD_LEN + in->msg_len + in->payload_len;
	if (in->total > MOVE_TOTAL_MAX)
		return move_refuse(in, "the state is too large");
	r = need(in, HEAD_LEN + in->msg_len + in->payload_len);
	if (r < 0)
		return r;
	in->msg = in->buf + in->at + HEAD_LEN;
	in->payload = in->msg + in->msg_len;
	in->at += HEAD_LEN + in->msg_len + in->payload_len;
	in->taken = 0;
	return in->kind > INT32_MAX ? INT32_MAX : (int)in->kind;
}

const void *move_unpack(struct move_in *in, const ProtobufCMessageDescriptor *d)
{
	arena_init(&in->arena, in->arena_buf, ARENA_LEN);
	return protobuf_c_message_unpack(d, &in->arena.pb, in->msg_len, in->msg);
}

const uint8_t *move_take(struct move_in *in, uint64_t n)
{
	const uint8_t *at = in->payload + in->taken;

	if (n > in->payload_len - in->taken)
		return NULL;
	in->taken += n;
	return at;
}

int move_take_fd(struct move_in *in)
{
	int fd;

	if (in->n_fds == 0)
		return -1;
	fd = in->fds[0];
	memmove(in->fds, in->fds + 1, --in->n_fds * sizeof(*in->fds));
	return fd;
}
