/* SPDX-License-Identifier: MIT */
#include "rpc/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int control_send(int sock, const Control__Control *msg, const int *fds, int n_fds)
{
	const size_t len = control__control__get_packed_size(msg);
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * CONTROL_FDS_MAX)];
	} ctl;
	struct iovec io;
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
	uint8_t *buf;
	ssize_t r;

	if (len > CONTROL_MSG_MAX || n_fds > CONTROL_FDS_MAX)
		return -EMSGSIZE;
	buf = malloc(len + 1);
	if (!buf)
		return -ENOMEM;
	io = (struct iovec){buf, control__control__pack(msg, buf)};
	if (n_fds > 0) {
		memset(&ctl, 0, sizeof(ctl));
		m.msg_control = ctl.buf;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n_fds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)n_fds);
	}
	do {
		r = sendmsg(sock, &m, MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	free(buf);
	return r < 0 ? -errno : 0;
}

static int take_fds(struct msghdr *m, int *fds)
{
	int n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		const size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds + n, CMSG_DATA(c), k * sizeof(int));
		n += (int)k;
	}
	return n;
}

int control_recv(int sock, int flags, Control__Control **msg, int *fds, int *n_fds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * CONTROL_FDS_MAX)];
	} ctl;
	uint8_t *buf = malloc(CONTROL_MSG_MAX);
	struct iovec io = {buf, CONTROL_MSG_MAX};
	struct msghdr m = {.msg_iov = &io,
	                   .msg_iovlen = 1,
	                   .msg_control = ctl.buf,
	                   .msg_controllen = sizeof(ctl.buf)};
	int err = 0;
	ssize_t r;

	if (!buf)
		return -ENOMEM;
	do {
		r = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
	} while (r < 0 && errno == EINTR);
	if (r == 0 || (r < 0 && errno == ECONNRESET)) /* it ended, with or without unread messages */
		err = -EPIPE;
	else if (r < 0)
		err = -errno;
	if (err) {
		free(buf);
		return err;
	}
	*n_fds = take_fds(&m, fds);
	*msg = control__control__unpack(NULL, (size_t)r, buf);
	free(buf);
	if (!*msg || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		for (int i = 0; i < *n_fds; i++)
			close(fds[i]);
		if (*msg)
			control__control__free_unpacked(*msg, NULL);
		*n_fds = 0;
		*msg = NULL;
		return -EBADMSG;
	}
	return 0;
}

void control_fail(int sock, uint32_t domid, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Failed f = CONTROL__FAILED__INIT;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s\n", text);
	f.text.data = (uint8_t *)text;
	f.text.len = strlen(text);
	f.domid = domid;
	c.body_case = CONTROL__CONTROL__BODY_FAILED;
	c.failed = &f;
	if (sock >= 0 && control_send(sock, &c, NULL, 0) < 0)
		fprintf(stderr, "(and the supervisor is gone)\n");
}
