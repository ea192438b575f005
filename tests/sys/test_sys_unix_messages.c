/* SPDX-License-Identifier: MIT */
/* test_sys_unix_messages.c - what travels over AF_UNIX with sendmsg and its kin:
 * descriptors, credentials, vectors. */
#include "tests/sys/unix_test.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

struct message {
	struct msghdr m;
	struct iovec v;
	char data[64];
	_Alignas(8) char ctl[512];
};

static struct msghdr *prepare(struct message *x, size_t data, size_t ctl)
{
	memset(x, 0, sizeof(*x));
	x->v = (struct iovec){x->data, data};
	x->m.msg_iov = &x->v;
	x->m.msg_iovlen = 1;
	x->m.msg_control = ctl ? x->ctl : NULL;
	x->m.msg_controllen = (socklen_t)ctl;
	return &x->m;
}

static void send_fds(int to, const int *fds, unsigned n)
{
	struct message x;
	struct msghdr *m = prepare(&x, 1, CMSG_SPACE(n * sizeof(int)));
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	CHECK_EQ(sendmsg(to, m, 0), 1);
}

static unsigned recv_fds(int from, int *fds, unsigned room, int flags, int *msg_flags)
{
	struct message x;
	struct msghdr *m = prepare(&x, sizeof(x.data), CMSG_SPACE(room * sizeof(int)));
	struct cmsghdr *c;
	unsigned n = 0;

	CHECK_EQ(recvmsg(from, m, flags), 1);
	c = CMSG_FIRSTHDR(m);
	if (c && c->cmsg_type == SCM_RIGHTS) {
		n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	}
	*msg_flags = m->msg_flags;
	return n;
}

static void descriptors_travel(void)
{
	int s[2], p[2], fds[4], flags;
	char buf[8];

	pair(SOCK_STREAM, s);
	CHECK(pipe(p) == 0);
	send_fds(s[0], p, 2);
	close(p[0]);
	close(p[1]);
	CHECK_EQ(recv_fds(s[1], fds, 4, MSG_CMSG_CLOEXEC, &flags), 2);
	CHECK_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(write(fds[1], "via", 3), 3);
	CHECK_EQ(read(fds[0], buf, 8), 3);
	close(fds[0]);
	close(fds[1]);
	close_both(s);
}

static void descriptors_end_a_read(void)
{
	int s[2], fd = eventfd(0, 0);
	struct message x;
	struct msghdr *m;
	struct cmsghdr *c;
	char buf[16];

	pair(SOCK_STREAM, s);
	CHECK_EQ(write(s[0], "ab", 2), 2);
	send_fds(s[0], &fd, 1);
	CHECK_EQ(write(s[0], "cd", 2), 2);
	m = prepare(&x, sizeof(x.data), sizeof(x.ctl));
	CHECK_EQ(recvmsg(s[1], m, 0), 3);
	c = CMSG_FIRSTHDR(m);
	CHECK(c && c->cmsg_type == SCM_RIGHTS);
	if (c)
		close(*(int *)(void *)CMSG_DATA(c));
	CHECK_EQ(read(s[1], buf, 16), 2);
	close(fd);
	close_both(s);
}

static void descriptors_that_do_not_fit_are_closed(void)
{
	int s[2], p[2], fds[4], flags;
	char c;

	pair(SOCK_DGRAM, s);
	CHECK(pipe(p) == 0);
	send_fds(s[0], &p[1], 1);
	close(p[1]);
	CHECK_EQ(recv(s[1], &c, 1, 0), 1); /* no room at all */
	CHECK_EQ(read(p[0], &c, 1), 0);
	close(p[0]);
	CHECK(pipe(p) == 0);
	send_fds(s[0], p, 2);
	CHECK_EQ(recv_fds(s[1], fds, 0, 0, &flags), 0);
	CHECK(flags & MSG_CTRUNC);
	/* Closing a socket closes what waits in it. */
	send_fds(s[0], &p[1], 1);
	close(p[1]);
	close_both(s);
	CHECK_EQ(read(p[0], &c, 1), 0);
	close(p[0]);
}

static void a_socket_in_its_own_peer(void)
{
	int s[2], t[2], got, flags;
	char c;

	pair(SOCK_STREAM, s);
	pair(SOCK_STREAM, t);
	send_fds(s[0], &t[0], 1);
	close(t[0]);
	CHECK_EQ(recv_fds(s[1], &got, 1, 0, &flags), 1);
	CHECK_EQ(write(got, "x", 1), 1);
	CHECK_EQ(read(t[1], &c, 1), 1);
	close(got);
	CHECK_EQ(read(t[1], &c, 1), 0);
	close(t[1]);
	close_both(s);
}

static void bad_descriptors(void)
{
	struct message x;
	struct msghdr *m = prepare(&x, 1, CMSG_SPACE(sizeof(int)));
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int s[2], bad = 9999;

	pair(SOCK_STREAM, s);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &bad, sizeof(int));
	CHECK_ERR(sendmsg(s[0], m, 0), EBADF);
	c->cmsg_type = 77;
	CHECK_ERR(sendmsg(s[0], m, 0), EINVAL);
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = 1000;
	CHECK_ERR(sendmsg(s[0], m, 0), EINVAL);
	CHECK_ERR(recv(s[1], &bad, 1, MSG_DONTWAIT), EAGAIN);
	close_both(s);
}

static void credentials_travel(void)
{
	int s[2], one = 1;
	struct message x;
	struct msghdr *m;
	struct cmsghdr *c;
	struct ucred u;

	pair(SOCK_DGRAM, s);
	CHECK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) == 0);
	CHECK_EQ(int_option(s[1], SO_PASSCRED), 1);
	CHECK_EQ(write(s[0], "x", 1), 1);
	m = prepare(&x, 8, sizeof(x.ctl));
	CHECK_EQ(recvmsg(s[1], m, 0), 1);
	c = CMSG_FIRSTHDR(m);
	CHECK(c && c->cmsg_type == SCM_CREDENTIALS);
	if (c) {
		memcpy(&u, CMSG_DATA(c), sizeof(u));
		CHECK_EQ(u.pid, getpid());
		CHECK_EQ(u.uid, getuid());
	}
	close_both(s);
}

static void vectors_and_waitall(void)
{
	struct iovec v[2];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
	char a[3], b[8];
	int s[2];

	pair(SOCK_STREAM, s);
	v[0] = (struct iovec){"abc", 3};
	v[1] = (struct iovec){"defgh", 5};
	CHECK_EQ(sendmsg(s[0], &m, 0), 8);
	v[0] = (struct iovec){a, 3};
	v[1] = (struct iovec){b, 8};
	CHECK_EQ(recvmsg(s[1], &m, 0), 8);
	CHECK(memcmp(a, "abc", 3) == 0 && memcmp(b, "defgh", 5) == 0);
	CHECK_ERR(syscall(SYS_sendmsg, s[0], BAD_PTR, 0), EFAULT);
	CHECK_ERR(syscall(SYS_recvmsg, s[0], BAD_PTR, 0), EFAULT);
	CHECK_EQ(write(s[0], "12", 2), 2);
	CHECK(shutdown(s[0], SHUT_WR) == 0);
	CHECK_EQ(recv(s[1], b, 8, MSG_WAITALL), 2);
	close_both(s);
}

static void many_messages_in_one_call(void)
{
	struct mmsghdr mm[3];
	struct iovec v[3];
	char buf[3][8];
	int s[2];

	pair(SOCK_DGRAM, s);
	memset(mm, 0, sizeof(mm));
	for (int i = 0; i < 3; i++) {
		v[i] = (struct iovec){buf[i], (size_t)i + 1};
		mm[i].msg_hdr.msg_iov = &v[i];
		mm[i].msg_hdr.msg_iovlen = 1;
	}
	CHECK_EQ(sendmmsg(s[0], mm, 3, 0), 3);
	CHECK_EQ(mm[2].msg_len, 3);
	for (int i = 0; i < 3; i++)
		v[i].iov_len = 8;
	CHECK_EQ(recvmmsg(s[1], mm, 2, 0, NULL), 2);
	CHECK_EQ(mm[0].msg_len, 1);
	CHECK_EQ(mm[1].msg_len, 2);
	CHECK_EQ(recvmmsg(s[1], mm, 3, MSG_WAITFORONE, NULL), 1);
	CHECK_EQ(mm[0].msg_len, 3);
	CHECK_ERR(recvmmsg(s[1], mm, 3, MSG_DONTWAIT, NULL), EAGAIN);
	close_both(s);
}

int main(void)
{
	watchdog(40);
	CASE(descriptors_travel);
	CASE(descriptors_end_a_read);
	CASE(descriptors_that_do_not_fit_are_closed);
	CASE(a_socket_in_its_own_peer);
	CASE(bad_descriptors);
	CASE(credentials_travel);
	CASE(vectors_and_waitall);
	CASE(many_messages_in_one_call);
	return g_failed;
}
