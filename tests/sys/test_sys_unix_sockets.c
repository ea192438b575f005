/* SPDX-License-Identifier: MIT */
/* test_sys_unix_sockets.c - AF_UNIX: socketpair, names, connections, options, and the
 * socket calls over them.  Messages: test_sys_unix_messages.c. */
#include "tests/sys/unix_test.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

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
	CASE(a_stream_keeps_its_order);
	CASE(a_server_with_epoll);
	return g_failed;
}
