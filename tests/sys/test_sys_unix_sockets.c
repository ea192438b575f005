/* SPDX-License-Identifier: MIT */
/* test_sys_unix_sockets.c - AF_UNIX: socketpair, names, connections, descriptors and
 * credentials on their way, and the socket calls over them. */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

static short events_of(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	CHECK(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static void pair(int type, int s[2])
{
	CHECK(socketpair(AF_UNIX, type, 0, s) == 0);
}

static void close_both(int s[2])
{
	close(s[0]);
	close(s[1]);
}

static socklen_t abstract(struct sockaddr_un *a, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	a->sun_path[0] = '\0';
	strcpy(a->sun_path + 1, name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

/* ---- pairs ---- */

static void a_stream_has_no_edges(void)
{
	char buf[32];
	int s[2];

	pair(SOCK_STREAM, s);
	CHECK_EQ(write(s[0], "one", 3), 3);
	CHECK_EQ(send(s[0], "two", 3, 0), 3);
	CHECK_EQ(read(s[1], buf, 4), 4);
	CHECK_EQ(recv(s[1], buf + 4, 28, 0), 2);
	CHECK(memcmp(buf, "onetwo", 6) == 0);
	CHECK_ERR(recv(s[1], buf, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(write(s[1], "back", 4), 4);
	CHECK_EQ(recv(s[0], buf, 2, MSG_PEEK), 2);
	CHECK_EQ(recv(s[0], buf, 32, 0), 4);
	close_both(s);
}

static void datagrams_keep_their_edges(void)
{
	char buf[32];
	int s[2], n;

	pair(SOCK_DGRAM, s);
	CHECK_EQ(write(s[0], "first", 5), 5);
	CHECK_EQ(write(s[0], "", 0), 0);
	CHECK_EQ(write(s[0], "third one", 9), 9);
	CHECK(ioctl(s[1], FIONREAD, &n) == 0);
	CHECK_EQ(n, 5);
	CHECK_EQ(read(s[1], buf, 32), 5);
	CHECK_EQ(recv(s[1], buf, 32, 0), 0);
	CHECK_EQ(recv(s[1], buf, 3, MSG_TRUNC | MSG_PEEK), 9);
	CHECK_EQ(recv(s[1], buf, 3, 0), 3);
	CHECK_ERR(recv(s[1], buf, 3, MSG_DONTWAIT), EAGAIN);
	close(s[1]);
	CHECK_ERR(write(s[0], "x", 1), ECONNREFUSED);
	close(s[0]);
}

static void seqpackets_are_both(void)
{
	char buf[8];
	struct iovec v = {buf, 3};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	int s[2];

	pair(SOCK_SEQPACKET, s);
	CHECK_EQ(write(s[0], "abcdef", 6), 6);
	CHECK_EQ(write(s[0], "gh", 2), 2);
	CHECK_EQ(recvmsg(s[1], &m, 0), 3);
	CHECK(m.msg_flags & MSG_TRUNC);
	CHECK_EQ(read(s[1], buf, 8), 2);
	close(s[0]);
	CHECK_EQ(read(s[1], buf, 8), 0);
	CHECK_ERR(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	close(s[1]);
}

static volatile int g_signals;

static void on_signal(int sig)
{
	(void)sig;
	g_signals++;
}

static void ends(void)
{
	char buf[8];
	int s[2];

	signal(SIGPIPE, on_signal);
	g_signals = 0;
	pair(SOCK_STREAM, s);
	CHECK_EQ(write(s[0], "last", 4), 4);
	close(s[0]);
	CHECK_EQ(events_of(s[1]), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
	CHECK_EQ(read(s[1], buf, 8), 4);
	CHECK_EQ(read(s[1], buf, 8), 0);
	CHECK_ERR(write(s[1], "x", 1), EPIPE);
	CHECK_EQ(g_signals, 1);
	CHECK_ERR(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(g_signals, 1);
	close(s[1]);
	/* Unread data at the end is a reset for the other. */
	pair(SOCK_STREAM, s);
	CHECK_EQ(write(s[0], "unread", 6), 6);
	close(s[1]);
	CHECK_ERR(read(s[0], buf, 8), ECONNRESET);
	CHECK_EQ(read(s[0], buf, 8), 0);
	close(s[0]);
	signal(SIGPIPE, SIG_DFL);
}

static void half_closed(void)
{
	char buf[8];
	int s[2];

	pair(SOCK_STREAM, s);
	CHECK_EQ(write(s[0], "abc", 3), 3);
	CHECK(shutdown(s[0], SHUT_WR) == 0);
	CHECK_ERR(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(events_of(s[1]), POLLIN | POLLOUT | POLLRDHUP);
	CHECK_EQ(read(s[1], buf, 8), 3);
	CHECK_EQ(read(s[1], buf, 8), 0);
	CHECK_EQ(write(s[1], "still", 5), 5);
	CHECK_EQ(read(s[0], buf, 8), 5);
	CHECK(shutdown(s[1], SHUT_RDWR) == 0);
	CHECK_EQ(events_of(s[0]), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
	CHECK_ERR(shutdown(s[0], 3), EINVAL);
	close_both(s);
}

static void a_full_one_gives_eagain(void)
{
	static char block[8192];
	size_t in = 0, out = 0;
	ssize_t n;
	int s[2];

	pair(SOCK_STREAM | SOCK_NONBLOCK, s);
	while ((n = write(s[0], block, sizeof(block))) > 0)
		in += (size_t)n;
	CHECK_EQ(errno, EAGAIN);
	CHECK(in >= 65536);
	CHECK_EQ(events_of(s[0]), 0);
	while ((n = read(s[1], block, sizeof(block))) > 0)
		out += (size_t)n;
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(in, out);
	CHECK_EQ(events_of(s[0]), POLLOUT);
	close_both(s);
}

static void a_datagram_can_be_too_long(void)
{
	static char block[400000];
	int s[2];

	pair(SOCK_DGRAM, s);
	CHECK_ERR(write(s[0], block, sizeof(block)), EMSGSIZE);
	CHECK_EQ(write(s[0], block, 100000), 100000);
	CHECK_EQ(read(s[1], block, sizeof(block)), 100000);
	close_both(s);
}

static void bad_pairs(void)
{
	int s[2];

	CHECK_ERR(socketpair(AF_INET, SOCK_STREAM, 0, s), EOPNOTSUPP);
	CHECK_ERR(socketpair(AF_UNIX, 77, 0, s), EINVAL);
	CHECK_ERR(socketpair(AF_UNIX, SOCK_STREAM, 99, s), EPROTONOSUPPORT);
	CHECK_ERR(socketpair(9999, SOCK_STREAM, 0, s), EAFNOSUPPORT);
	CHECK_ERR(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, BAD_PTR), EFAULT);
	CHECK_ERR(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(9999, SOCK_STREAM, 0), EAFNOSUPPORT);
	CHECK_ERR(socket(AF_UNIX, SOCK_STREAM | 0x100000, 0), EINVAL);
	CHECK_ERR(bind(0, NULL, 0), ENOTSOCK);
	CHECK_ERR(listen(9999, 0), EBADF);
	pair(SOCK_STREAM | SOCK_CLOEXEC, s);
	CHECK_EQ(fcntl(s[0], F_GETFD), FD_CLOEXEC);
	close_both(s);
}

static void fstat_says_socket(void)
{
	struct stat st;
	int s[2];

	pair(SOCK_STREAM, s);
	CHECK(fstat(s[0], &st) == 0);
	CHECK(S_ISSOCK(st.st_mode));
	CHECK_ERR(lseek(s[0], 0, SEEK_CUR), ESPIPE);
	close_both(s);
}

/* ---- names and connections ---- */

static void connect_and_accept(void)
{
	struct sockaddr_un a, got;
	socklen_t len = abstract(&a, "strait-listen"), n = sizeof(got);
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), s;
	char buf[8];

	CHECK_ERR(connect(c, (void *)&a, len), ECONNREFUSED);
	CHECK(bind(l, (void *)&a, len) == 0);
	CHECK_ERR(connect(c, (void *)&a, len), ECONNREFUSED);
	CHECK(listen(l, 5) == 0);
	CHECK_EQ(events_of(l), 0);
	CHECK(connect(c, (void *)&a, len) == 0);
	CHECK_EQ(events_of(l), POLLIN);
	CHECK_EQ(write(c, "early", 5), 5);
	s = accept4(l, (void *)&got, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
	CHECK(s >= 0);
	CHECK_EQ(n, 2); /* the client has no name */
	CHECK_EQ(got.sun_family, AF_UNIX);
	CHECK_EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(s, F_GETFL) & O_NONBLOCK);
	CHECK_EQ(read(s, buf, 8), 5);
	CHECK_ERR(read(s, buf, 8), EAGAIN);
	n = sizeof(got);
	CHECK(getpeername(c, (void *)&got, &n) == 0);
	CHECK_EQ(n, len);
	CHECK(memcmp(&got, &a, len) == 0);
	n = sizeof(got);
	CHECK(getsockname(s, (void *)&got, &n) == 0);
	CHECK_EQ(n, len);
	CHECK_ERR(connect(c, (void *)&a, len), EISCONN);
	CHECK(fcntl(l, F_SETFL, O_NONBLOCK) == 0);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	CHECK_ERR(accept(c, NULL, NULL), EINVAL);
	close(s);
	close(c);
	close(l);
}

static void names_are_taken_once(void)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, "strait-name");
	int x = socket(AF_UNIX, SOCK_STREAM, 0), y = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(bind(x, (void *)&a, len) == 0);
	CHECK_ERR(bind(y, (void *)&a, len), EADDRINUSE);
	CHECK_ERR(bind(x, (void *)&a, len), EINVAL);
	close(x);
	CHECK(bind(y, (void *)&a, len) == 0);
	a.sun_family = AF_INET;
	CHECK_ERR(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, len), EINVAL);
	CHECK_ERR(listen(socket(AF_UNIX, SOCK_DGRAM, 0), 1), EOPNOTSUPP);
	CHECK_ERR(listen(socket(AF_UNIX, SOCK_STREAM, 0), 1), EINVAL);
	close(y);
}

static void autobind_gives_a_name(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX}, got;
	socklen_t n = sizeof(got);
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);

	CHECK(bind(s, (void *)&a, 2) == 0);
	CHECK(getsockname(s, (void *)&got, &n) == 0);
	CHECK_EQ(n, 8);
	CHECK_EQ(got.sun_path[0], 0);
	close(s);
}

static void a_full_backlog(void)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, "strait-backlog");
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c[4], s;

	CHECK(bind(l, (void *)&a, len) == 0 && listen(l, 1) == 0);
	for (int i = 0; i < 4; i++)
		c[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CHECK(connect(c[0], (void *)&a, len) == 0);
	CHECK(connect(c[1], (void *)&a, len) == 0);
	CHECK_ERR(connect(c[2], (void *)&a, len), EAGAIN);
	s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	CHECK(connect(c[2], (void *)&a, len) == 0);
	CHECK_EQ(write(c[2], "x", 1), 1);
	close(s);
	close(l);
	/* Who was not accepted is reset. */
	CHECK_ERR(read(c[1], &a, 1), ECONNRESET);
	for (int i = 0; i < 4; i++)
		close(c[i]);
}

static void *close_later(void *arg)
{
	sleep_ms(30);
	close(*(int *)arg);
	return NULL;
}

static void a_listener_that_ends_refuses_who_waits(void)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, "strait-ends");
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c[3];
	pthread_t t;

	CHECK(bind(l, (void *)&a, len) == 0 && listen(l, 1) == 0);
	for (int i = 0; i < 3; i++)
		c[i] = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(connect(c[0], (void *)&a, len) == 0);
	CHECK(connect(c[1], (void *)&a, len) == 0);
	CHECK(pthread_create(&t, NULL, close_later, &l) == 0);
	CHECK_ERR(connect(c[2], (void *)&a, len), ECONNREFUSED);
	pthread_join(t, NULL);
	for (int i = 0; i < 3; i++)
		close(c[i]);
}

static void types_must_agree(void)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, "strait-type");
	int l = socket(AF_UNIX, SOCK_SEQPACKET, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(bind(l, (void *)&a, len) == 0 && listen(l, 1) == 0);
	/* An abstract name is another one for each type. */
	CHECK_ERR(connect(c, (void *)&a, len), ECONNREFUSED);
	CHECK(bind(c, (void *)&a, len) == 0);
	close(c);
	close(l);
}

static void datagrams_by_name(void)
{
	struct sockaddr_un a, b, from;
	socklen_t alen = abstract(&a, "strait-dg-a"), blen = abstract(&b, "strait-dg-b");
	socklen_t n = sizeof(from);
	int x = socket(AF_UNIX, SOCK_DGRAM, 0), y = socket(AF_UNIX, SOCK_DGRAM, 0), z;
	char buf[8];

	CHECK_ERR(send(x, "x", 1, 0), ENOTCONN);
	CHECK_ERR(sendto(x, "x", 1, 0, (void *)&b, blen), ECONNREFUSED);
	CHECK(bind(x, (void *)&a, alen) == 0 && bind(y, (void *)&b, blen) == 0);
	CHECK_EQ(sendto(x, "hi", 2, 0, (void *)&b, blen), 2);
	CHECK_EQ(recvfrom(y, buf, 8, 0, (void *)&from, &n), 2);
	CHECK_EQ(n, alen);
	CHECK(memcmp(&from, &a, alen) == 0);
	CHECK(connect(x, (void *)&b, blen) == 0);
	CHECK_EQ(send(x, "again", 5, 0), 5);
	CHECK_EQ(read(y, buf, 8), 5);
	/* A connected one takes from its peer only. */
	z = socket(AF_UNIX, SOCK_DGRAM, 0);
	CHECK_ERR(sendto(z, "x", 1, 0, (void *)&a, alen), EPERM);
	from.sun_family = AF_UNSPEC;
	CHECK(connect(x, (void *)&from, 2) == 0);
	CHECK_EQ(sendto(z, "x", 1, 0, (void *)&a, alen), 1);
	CHECK_ERR(send(x, "x", 1, 0), ENOTCONN);
	close(x);
	close(y);
	close(z);
}

static void path_names(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/strait-path-sock"};
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), s;
	struct sockaddr_un got;
	socklen_t n = sizeof(got);
	struct stat st;

	unlink(a.sun_path);
	CHECK_ERR(connect(c, (void *)&a, sizeof(a)), ENOENT);
	CHECK(bind(l, (void *)&a, sizeof(a)) == 0);
	CHECK(stat(a.sun_path, &st) == 0);
	CHECK(S_ISSOCK(st.st_mode));
	CHECK_ERR(bind(c, (void *)&a, sizeof(a)), EADDRINUSE);
	CHECK_ERR(open(a.sun_path, O_RDONLY), ENXIO);
	CHECK(listen(l, 1) == 0);
	CHECK(rename(a.sun_path, "/tmp/strait-path-sock2") == 0);
	strcpy(a.sun_path, "/tmp/strait-path-sock2");
	CHECK(connect(c, (void *)&a, sizeof(a)) == 0);
	s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	CHECK(getpeername(c, (void *)&got, &n) == 0);
	CHECK(strcmp(got.sun_path, "/tmp/strait-path-sock") == 0);
	CHECK_EQ(n, 2 + strlen(got.sun_path) + 1);
	close(s);
	close(c);
	close(l);
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK_ERR(connect(c, (void *)&a, sizeof(a)), ECONNREFUSED);
	CHECK(unlink(a.sun_path) == 0);
	close(c);
}

/* ---- options ---- */

static int int_option(int fd, int name)
{
	socklen_t n = sizeof(int);
	int v = -1;

	CHECK(getsockopt(fd, SOL_SOCKET, name, &v, &n) == 0);
	CHECK_EQ(n, sizeof(int));
	return v;
}

static void options(void)
{
	struct timeval tv = {0, 30000};
	struct ucred cred;
	socklen_t n = sizeof(cred);
	uint64_t begin;
	int s[2], one = 1;
	char c;

	pair(SOCK_STREAM, s);
	CHECK_EQ(int_option(s[0], SO_TYPE), SOCK_STREAM);
	CHECK_EQ(int_option(s[0], SO_DOMAIN), AF_UNIX);
	CHECK_EQ(int_option(s[0], SO_PROTOCOL), 0);
	CHECK_EQ(int_option(s[0], SO_ERROR), 0);
	CHECK_EQ(int_option(s[0], SO_ACCEPTCONN), 0);
	CHECK(int_option(s[0], SO_SNDBUF) > 4096);
	CHECK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0);
	CHECK_EQ(cred.pid, getpid());
	CHECK_EQ(cred.uid, getuid());
	CHECK_EQ(cred.gid, getgid());
	CHECK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	begin = now_ns();
	CHECK_ERR(read(s[0], &c, 1), EAGAIN);
	CHECK(now_ns() - begin >= 30000000u);
	CHECK_ERR(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, 4), EINVAL);
	CHECK_ERR(setsockopt(s[0], SOL_SOCKET, 9999, &one, sizeof(one)), ENOPROTOOPT);
	CHECK_ERR(syscall(SYS_setsockopt, s[0], SOL_SOCKET, SO_PASSCRED, BAD_PTR, 4),
	          EFAULT);
	CHECK_ERR(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &one, BAD_PTR), EFAULT);
	close_both(s);
}

/* ---- messages ---- */

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

/* ---- threads ---- */

#define STREAM_BYTES (8u << 20)

static void *sender(void *arg)
{
	static unsigned char buf[30011];
	size_t left = STREAM_BYTES;
	unsigned seq = 0;

	while (left > 0) {
		size_t n = (seq * 7919u) % sizeof(buf) + 1;

		if (n > left)
			n = left;
		for (size_t i = 0; i < n; i++)
			buf[i] = (unsigned char)((STREAM_BYTES - left + i) * 31);
		if (write(*(int *)arg, buf, n) != (ssize_t)n) {
			CHECK(!"whole write");
			break;
		}
		left -= n;
		seq++;
	}
	return NULL;
}

static void a_stream_keeps_its_order(void)
{
	static unsigned char buf[10007];
	size_t at = 0;
	int s[2], bad = 0;
	pthread_t t;
	ssize_t n;

	pair(SOCK_STREAM, s);
	CHECK(pthread_create(&t, NULL, sender, &s[0]) == 0);
	while (at < STREAM_BYTES && (n = read(s[1], buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			bad |= buf[i] != (unsigned char)((at + (size_t)i) * 31);
		at += (size_t)n;
	}
	CHECK_EQ(bad, 0);
	CHECK_EQ(at, STREAM_BYTES);
	pthread_join(t, NULL);
	close_both(s);
}

#define CLIENTS 200

static void *clients(void *arg)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, "strait-many");

	(void)arg;
	for (int i = 0; i < CLIENTS; i++) {
		int c = socket(AF_UNIX, SOCK_STREAM, 0);
		char b = 'q';

		if (connect(c, (void *)&a, len) != 0 || write(c, &b, 1) != 1 ||
		    read(c, &b, 1) != 1 || b != 'r')
			CHECK(!"a client's conversation");
		close(c);
	}
	return NULL;
}

static void a_server_with_epoll(void)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, "strait-many");
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = l}, got[8];
	int served = 0;
	pthread_t t[2];

	CHECK(bind(l, (void *)&a, len) == 0 && listen(l, 1) == 0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, clients, NULL) == 0);
	while (served < 2 * CLIENTS) {
		int n = epoll_wait(ep, got, 8, 10000);

		if (n <= 0) {
			CHECK(!"something to do");
			break;
		}
		for (int i = 0; i < n; i++) {
			int fd = got[i].data.fd, c;
			char b;

			if (fd == l) {
				while ((c = accept4(l, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
					ev.data.fd = c;
					CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev) == 0);
				}
			} else if (read(fd, &b, 1) == 1) {
				b = 'r';
				CHECK_EQ(write(fd, &b, 1), 1);
				served++;
			} else {
				close(fd);
			}
		}
	}
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	close(ep);
	close(l);
}

int main(void)
{
	watchdog(40);
	CASE(a_stream_has_no_edges);
	CASE(datagrams_keep_their_edges);
	CASE(seqpackets_are_both);
	CASE(ends);
	CASE(half_closed);
	CASE(a_full_one_gives_eagain);
	CASE(a_datagram_can_be_too_long);
	CASE(bad_pairs);
	CASE(fstat_says_socket);
	CASE(connect_and_accept);
	CASE(names_are_taken_once);
	CASE(autobind_gives_a_name);
	CASE(a_full_backlog);
	CASE(a_listener_that_ends_refuses_who_waits);
	CASE(types_must_agree);
	CASE(datagrams_by_name);
	CASE(path_names);
	CASE(options);
	CASE(descriptors_travel);
	CASE(descriptors_end_a_read);
	CASE(descriptors_that_do_not_fit_are_closed);
	CASE(a_socket_in_its_own_peer);
	CASE(bad_descriptors);
	CASE(credentials_travel);
	CASE(vectors_and_waitall);
	CASE(many_messages_in_one_call);
	CASE(a_stream_keeps_its_order);
	CASE(a_server_with_epoll);
	return g_failed;
}
