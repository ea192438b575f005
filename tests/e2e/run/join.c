/* SPDX-License-Identifier: MIT */
/*
 * join.c - a program for tests of several guests on the same services; built by
 * strait-cc.  KIND is flock, fcntl or ofd.
 *
 *      lock KIND FILE         wait for an exclusive lock, say "locked", hold it until
 *                             TERM, say "unlocked"
 *      try KIND FILE          the same without waiting: "got it" or the error; who
 *                             holds it, as F_GETLK says
 *      count KIND FILE N      N times, under the lock: add 1 to the number in FILE; KIND
 *                             convert: flock, shared at first, which is lost on the way;
 *                             excl, mkdir, link, symlink: who makes FILE.lock has it;
 *                             rename: who takes FILE.token, which is there, has it
 *      write FILE TEXT, read FILE, append FILE TEXT N
 *      hold FILE              keep FILE open, say "ready", write one more letter on each
 *                             USR1, end on TERM with its size
 *      unlink-held FILE       open and unlink FILE, say "ready", on TERM print it
 *      serve PORT             echo TCP connections, one after another, until "quit"
 *      talk HOST PORT TEXT    send TEXT, print the echo; HOST "self": our own address
 *      hang HOST PORT         connect, say "connected", wait until the peer goes
 *      bind udp|tcp PORT      bind (and listen), say "ready", wait for TERM
 *      address                print our own address
 *      until-eio FILE         say "ready", open FILE again and again; EIO: say so, exit 7
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#endif

static char g_buf[65536];

static int die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void say(const char *what)
{
	puts(what);
	fflush(stdout);
}

static int sig_wait(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	if (sigwait(&set, &sig))
		die("sigwait");
	return sig;
}

static int lock(const char *kind, int fd, int type, int wait)
{
	struct flock l = { .l_type = (short)type, .l_whence = SEEK_SET };

	if (!strcmp(kind, "convert") && type == F_WRLCK && flock(fd, LOCK_SH))
		return -1;
	if (!strcmp(kind, "convert") || !strcmp(kind, "flock"))
		return flock(fd, (type == F_UNLCK ? LOCK_UN : LOCK_EX) | (wait ? 0 : LOCK_NB));
	if (!strcmp(kind, "fcntl"))
		return fcntl(fd, wait ? F_SETLKW : F_SETLK, &l);
	return fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
}

static int opened(const char *file, int flags)
{
	int fd = open(file, flags, 0666);

	if (fd < 0)
		die(file);
	return fd;
}

static int do_lock(const char *kind, const char *file)
{
	int fd = opened(file, O_RDWR | O_CREAT);

	say("waiting");
	if (lock(kind, fd, F_WRLCK, 1))
		die("lock");
	say("locked");
	sig_wait();
	say("unlocked");
	return 0;
}

static int do_try(const char *kind, const char *file)
{
	int fd = opened(file, O_RDWR | O_CREAT);
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (strcmp(kind, "flock")) {
		if (fcntl(fd, strcmp(kind, "ofd") ? F_GETLK : F_OFD_GETLK, &l))
			die("getlk");
		printf("%s\n", l.l_type == F_UNLCK ? "nobody holds it" : "somebody holds it");
	}
	if (lock(kind, fd, F_WRLCK, 0))
		die("try");
	say("got it");
	return 0;
}

static const char *g_kind;
static char g_lock[256], g_mine[256]; /* names */

/* What makes a name that only one can make. */
static int make_name(void)
{
	int fd;

	if (!strcmp(g_kind, "mkdir"))
		return mkdir(g_lock, 0777);
	if (!strcmp(g_kind, "link"))
		return link(g_mine, g_lock);
	if (!strcmp(g_kind, "symlink"))
		return symlink(g_mine, g_lock);
	if (!strcmp(g_kind, "rename"))
		return rename(g_lock, g_mine);
	fd = open(g_lock, O_WRONLY | O_CREAT | O_EXCL, 0666);
	return fd < 0 ? -1 : close(fd);
}

static int take_back_name(void)
{
	if (!strcmp(g_kind, "mkdir"))
		return rmdir(g_lock);
	return !strcmp(g_kind, "rename") ? rename(g_mine, g_lock) : unlink(g_lock);
}

/* 1: @kind is a lock by name; FILE's names are ready. */
static int by_name(const char *kind, const char *file)
{
	static const char *const kinds[] = { "excl", "mkdir", "link", "symlink", "rename" };
	struct timespec now;
	int is = 0;

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		is |= !strcmp(kind, kinds[i]);
	if (!is)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	g_kind = kind;
	snprintf(g_lock, sizeof(g_lock), "%s.%s", file, strcmp(kind, "rename") ? "lock" : "token");
	snprintf(g_mine, sizeof(g_mine), "%s.%ld", file, now.tv_nsec);
	if (!strcmp(kind, "link"))
		close(opened(g_mine, O_WRONLY | O_CREAT | O_EXCL));
	return 1;
}

static void take(const char *kind, int fd, int named)
{
	const int held = !named ? 0 : !strcmp(kind, "rename") ? ENOENT : EEXIST;

	if (!named && lock(kind, fd, F_WRLCK, 1))
		die("lock");
	while (named && make_name()) {
		if (errno != held)
			die("take");
		usleep(20);
	}
}

static int do_count(const char *kind, const char *file, int n)
{
	int fd = opened(file, O_RDWR | O_CREAT), named = by_name(kind, file);

	for (int i = 0; i < n; i++) {
		char text[32] = "";
		ssize_t len;

		take(kind, fd, named);
		len = pread(fd, text, sizeof(text) - 1, 0);
		if (len < 0)
			die("pread");
		len = snprintf(text, sizeof(text), "%ld", atol(text) + 1);
		if (pwrite(fd, text, (size_t)len, 0) != len)
			die("pwrite");
		if (named ? take_back_name() : lock(kind, fd, F_UNLCK, 1))
			die("unlock");
	}
	return 0;
}

static int do_append(const char *file, const char *text, int n)
{
	int fd = opened(file, O_WRONLY | O_CREAT | O_APPEND);

	for (int i = 0; i < n; i++)
		if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
			die("write");
	return 0;
}

static int do_read(int fd)
{
	ssize_t n;

	while ((n = read(fd, g_buf, sizeof(g_buf))) > 0)
		fwrite(g_buf, 1, (size_t)n, stdout);
	return n < 0 ? die("read") : 0;
}

static int do_hold(const char *file)
{
	int fd = opened(file, O_RDWR | O_CREAT);
	struct stat st;

	say("ready");
	while (sig_wait() == SIGUSR1) {
		if (write(fd, "x", 1) != 1)
			die("write");
		say("wrote");
	}
	if (fstat(fd, &st))
		die("fstat");
	printf("size %ld\n", (long)st.st_size);
	return 0;
}

static struct in_addr own_address(void)
{
	struct ifaddrs *list, *i;
	struct in_addr none = { 0 };

	if (getifaddrs(&list))
		die("getifaddrs");
	for (i = list; i; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET) {
			struct in_addr a = ((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr;

			if (ntohl(a.s_addr) >> 24 != 127)
				return a;
		}
	return none;
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		                 .sin_port = htons((unsigned short)atoi(port)) };

	if (!strcmp(host, "self"))
		a.sin_addr = own_address();
	else if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		die(host);
	return a;
}

static int bound(int type, const char *port, int reuse)
{
	struct sockaddr_in a = address("0.0.0.0", port);
	int s = socket(AF_INET, type, 0);

	if (s < 0 || (reuse && setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse))))
		die("socket");
	if (bind(s, (struct sockaddr *)&a, sizeof(a)))
		die("bind");
	if (type == SOCK_STREAM && listen(s, 16))
		die("listen");
	say("ready");
	return s;
}

static int do_serve(const char *port)
{
	int s = bound(SOCK_STREAM, port, 1), quit = 0;

	while (!quit) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		int c = accept(s, (struct sockaddr *)&from, &len);
		ssize_t n;

		if (c < 0)
			die("accept");
		printf("from %s\n", inet_ntoa(from.sin_addr));
		while ((n = read(c, g_buf, sizeof(g_buf))) > 0) {
			quit |= n >= 4 && !memcmp(g_buf, "quit", 4);
			if (write(c, g_buf, (size_t)n) != n)
				break;
		}
		say(n < 0 ? "lost" : "closed");
		close(c);
	}
	return 0;
}

static int connected(const char *host, const char *port)
{
	struct sockaddr_in a = address(host, port);
	int s = socket(AF_INET, SOCK_STREAM, 0);

	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	return s;
}

static int do_talk(const char *host, const char *port, const char *text)
{
	int s = connected(host, port);

	if (write(s, text, strlen(text)) != (ssize_t)strlen(text) || shutdown(s, SHUT_WR))
		die("write");
	return do_read(s);
}

static int do_hang(const char *host, const char *port)
{
	int s = connected(host, port);

	say("connected");
	if (read(s, g_buf, 1) < 0)
		die("read");
	say("closed");
	return 0;
}

static int do_until_eio(const char *file)
{
	say("ready");
	for (;;) {
		int fd = open(file, O_RDWR | O_CREAT, 0666);

		if (fd < 0 && errno == EIO) {
			say("EIO");
			return 7;
		}
		if (fd < 0)
			die(file);
		close(fd);
		usleep(10000);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *a = argc > 2 ? argv[2] : "";
	const char *b = argc > 3 ? argv[3] : "", *c = argc > 4 ? argv[4] : "";
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (!strcmp(what, "lock"))
		return do_lock(a, b);
	if (!strcmp(what, "try"))
		return do_try(a, b);
	if (!strcmp(what, "count"))
		return do_count(a, b, atoi(c));
	if (!strcmp(what, "append"))
		return do_append(a, b, atoi(c));
	if (!strcmp(what, "write"))
		return do_append(a, b, 1);
	if (!strcmp(what, "read"))
		return do_read(opened(a, O_RDONLY));
	if (!strcmp(what, "hold"))
		return do_hold(a);
	if (!strcmp(what, "unlink-held")) {
		int fd = opened(a, O_RDONLY);

		if (unlink(a))
			die("unlink");
		say("ready");
		sig_wait();
		return do_read(fd);
	}
	if (!strcmp(what, "serve"))
		return do_serve(a);
	if (!strcmp(what, "talk"))
		return do_talk(a, b, c);
	if (!strcmp(what, "hang"))
		return do_hang(a, b);
	if (!strcmp(what, "bind")) {
		bound(strcmp(a, "udp") ? SOCK_STREAM : SOCK_DGRAM, b, 0);
		sig_wait();
		return 0;
	}
	if (!strcmp(what, "address"))
		return puts(inet_ntoa(own_address())) < 0;
	if (!strcmp(what, "until-eio"))
		return do_until_eio(a);
	printf("what is %s?\n", what);
	return 2;
}
