/* SPDX-License-Identifier: MIT */
/*
 * names.c - the guests that run, by name.
 *
 * A supervisor listens on the abstract socket "strait/UID/NAME".  The kernel
 * keeps such a name no longer than the process, so nothing is left to clean up
 * however the supervisor ends, and a name can be taken only once.  Both sides
 * look at the peer's credentials: other users' sockets are not talked to.
 */
#include "tools/strait/strait.h"
#include "tools/strait/xen/deploy.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFIX "strait/"
#define REPLY_MAX 4096

static socklen_t name_address(struct sockaddr_un *a, uid_t uid, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	int n = snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, PREFIX "%u/%s", uid, name);

	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

int names_bind(const char *name)
{
	struct sockaddr_un a;
	socklen_t len = name_address(&a, geteuid(), name);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&a, len) || listen(fd, 8)) {
		int e = errno;

		close(fd);
		return -e;
	}
	return fd;
}

bool names_peer_allowed(int sock)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	return !getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &c, &len) &&
	       (c.uid == geteuid() || c.uid == 0);
}

int names_connect(const char *name)
{
	struct sockaddr_un a;
	socklen_t len = name_address(&a, geteuid(), name);
	struct ucred c;
	socklen_t clen = sizeof(c);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&a, len) &&
	    !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &clen)) {
		if (c.uid == geteuid())
			return fd;
		errno = EPERM; /* somebody else sits on the name */
	}
	int e = errno;

	close(fd);
	return -e;
}

/* Ask guest @name for @what.  Returns the length of the answer in
 * reply[REPLY_MAX], NUL-terminated, or negative errno. */
static ssize_t names_ask(const char *name, const char *what, char *reply)
{
	struct timeval wait = { .tv_sec = 5 };
	int fd = names_connect(name);
	ssize_t n = -1;

	if (fd < 0)
		return fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (send(fd, what, strlen(what), MSG_NOSIGNAL) >= 0)
		n = recv(fd, reply, REPLY_MAX - 1, 0);
	if (n >= 0)
		reply[n] = 0;
	else
		n = -errno;
	close(fd);
	return n;
}

static int ask_or_say(const char *name, const char *what, char *reply)
{
	ssize_t n = names_ask(name, what, reply);

	if (n > 0)
		return 0;
	if (n == -ECONNREFUSED || n == -ENOENT)
		say("no guest named %s runs; `strait ps` lists them", name);
	else
		say("the guest %s does not answer: %s", name, n ? strerror((int)-n) : "it ended");
	return EXIT_STRAIT;
}

static bool wants_help(int argc, char **argv, const char *usage)
{
	if (argc < 2 || (strcmp(argv[1], "-h") && strcmp(argv[1], "--help")))
		return false;
	fputs(usage, stdout);
	return true;
}

/* The guest that one line of /proc/net/unix tells of, "...: ref proto flags type
 * state inode @name", and its user.  NULL: none. */
static const char *line_guest(const char *line, unsigned long *uid)
{
	const char *at = strstr(line, " @" PREFIX);
	unsigned flags;
	char *end;

	/* Listeners only: connections bear the name too. */
	if (!at || sscanf(line, "%*s %*s %*s %x", &flags) != 1 || !(flags & 0x10000))
		return NULL;
	*uid = strtoul(at + 2 + strlen(PREFIX), &end, 10);
	return *end == '/' ? end + 1 : NULL;
}

/* Call @each with every listener's name until it answers true. */
static bool each_guest(bool (*each)(const char *name, unsigned long uid, const void *arg),
                       const void *arg)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	bool done = false;

	if (!f)
		return false;
	while (!done && (n = getline(&line, &room, f)) > 0) {
		unsigned long uid;

		if (line[n - 1] == '\n')
			line[n - 1] = 0;
		const char *name = line_guest(line, &uid);

		done = name && each(name, uid, arg);
	}
	free(line);
	fclose(f);
	return done;
}

static bool others_guest(const char *name, unsigned long uid, const void *wanted)
{
	return uid != geteuid() && !strcmp(name, wanted);
}

bool names_of_others(const char *name)
{
	return each_guest(others_guest, name);
}

static bool ps_guest(const char *name, unsigned long uid, const void *arg)
{
	char reply[REPLY_MAX];

	(void)arg;
	if (uid == geteuid() && names_ask(name, "ps", reply) > 0)
		puts(reply);
	return false;
}

int names_cmd_ps(int argc, char **argv)
{
	if (wants_help(argc, argv,
	               "usage: strait ps\n\n"
	               "Lists your guests that run, and what is deployed on Xen.\n"))
		return 0;
	if (argc > 1)
		die(EXIT_STRAIT, "ps: unknown argument %s", argv[1]);
	if (access("/proc/net/unix", R_OK))
		die(EXIT_STRAIT, "ps: cannot read /proc/net/unix: %s", strerror(errno));
	printf("%-24s %8s %9s %-5s %-16s %-24s %s\n", "NAME", "PID", "UP", "NET", "JOINED",
	       "PORTS", "PROGRAM");
	(void)each_guest(ps_guest, NULL);
	xen_ps();
	return 0;
}

int names_cmd_strace(int argc, char **argv)
{
	char reply[REPLY_MAX];

	if (wants_help(argc, argv,
	               "usage: strait strace NAME on|off\n\n"
	               "Switches the line for every call on a running guest's stderr.\n"))
		return 0;
	if (argc != 3 || (strcmp(argv[2], "on") && strcmp(argv[2], "off")))
		die(EXIT_STRAIT, "strace: want `strait strace NAME on` or `... off`");
	return ask_or_say(argv[1], strcmp(argv[2], "on") ? "strace off" : "strace on", reply);
}

int names_cmd_stop(int argc, char **argv)
{
	char reply[REPLY_MAX];

	if (wants_help(argc, argv,
	               "usage: strait stop NAME\n\n"
	               "Sends TERM to a guest, and KILL when it still runs 10 seconds later.\n"
	               "Returns when TERM was sent.\n"))
		return 0;
	if (argc != 2)
		die(EXIT_STRAIT, "stop: want `strait stop NAME`");
	int fd = names_connect(argv[1]), status;

	if (fd >= 0)
		close(fd);
	else if (xen_stop(argv[1], &status))
		return status;
	return ask_or_say(argv[1], "stop", reply);
}

/* --- restart, swap --------------------------------------------------------------- */

#define REPLY_S 60 /* longer than all phases may take */

/* Show each phase as it ends, until all is over.  The exit status. */
static int follow(int fd, const char *name)
{
	struct timeval wait = { .tv_sec = REPLY_S };
	char text[1200];
	int rc = -1;
	ssize_t n;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	while ((n = recv(fd, text, sizeof(text) - 1, 0)) > 0) {
		text[n] = 0;
		if (text[0] == SWAP_FAILED) {
			say("%s: %s", name, text + 1);
			rc = EXIT_STRAIT;
			continue;
		}
		puts(text + 1);
		fflush(stdout);
		if (text[0] == SWAP_DONE)
			rc = 0;
	}
	if (rc >= 0)
		return rc;
	say("the guest %s does not say how it went: %s", name,
	    n ? strerror(errno) : "its strait ended");
	return EXIT_STRAIT;
}

static int ask_swap(const char *name, const char *what)
{
	int fd = names_connect(name), rc;

	if (fd == -ECONNREFUSED || fd == -ENOENT) {
		say("no guest named %s runs; `strait ps` lists them", name);
		return EXIT_STRAIT;
	}
	if (fd < 0 || send(fd, what, strlen(what), MSG_NOSIGNAL) < 0) {
		say("the guest %s does not answer: %s", name, strerror(fd < 0 ? -fd : errno));
		rc = EXIT_STRAIT;
	} else {
		rc = follow(fd, name);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

/* NAME --service SERVICE [--with BINARY] [--backend host|lwip], in any order.  @binary
 * and @backend: NULL where none is taken. */
static void swap_args(int argc, char **argv, const char **name, const char **service,
                      const char **binary, const char **backend)
{
	for (int i = 1; i < argc; i++) {
		const char **to = name;

		if (!strcmp(argv[i], "--service"))
			to = service;
		else if (binary && !strcmp(argv[i], "--with"))
			to = binary;
		else if (backend && !strcmp(argv[i], "--backend"))
			to = backend;
		else if (argv[i][0] == '-')
			die(EXIT_STRAIT, "%s: unknown option %s", argv[0], argv[i]);
		if (to != name && ++i >= argc)
			die(EXIT_STRAIT, "%s: %s needs a value", argv[0], argv[i - 1]);
		if (*to)
			die(EXIT_STRAIT, "%s: %s: one at a time", argv[0], argv[i]);
		*to = argv[i];
	}
	if (!*name || !*service)
		die(EXIT_STRAIT, "%s: want `strait %s NAME --service fsd` or `... netd`", argv[0],
		    argv[0]);
	if (strcmp(*service, "fsd") && strcmp(*service, "netd"))
		die(EXIT_STRAIT, "%s: --service %s: want fsd or netd", argv[0], *service);
}

int names_cmd_restart(int argc, char **argv)
{
	const char *name = NULL, *service = NULL;

	if (wants_help(argc, argv,
	               "usage: strait restart NAME --service fsd|netd\n\n"
	               "Ends a service of a running guest and starts it again.  Files stay open;\n"
	               "connections are reset, as when netd dies.  Prints what took how long.\n"))
		return 0;
	swap_args(argc, argv, &name, &service, NULL, NULL);
	int fd = names_connect(name), status;

	if (fd >= 0)
		close(fd);
	else if (xen_restart(name, service, &status))
		return status;
	return ask_swap(name, xprintf("restart %s", service));
}

int names_cmd_swap(int argc, char **argv)
{
	const char *name = NULL, *service = NULL, *binary = NULL, *backend = NULL;
	char *path = NULL;
	int fd, status;

	if (wants_help(argc, argv,
	               "usage: strait swap NAME --service fsd|netd [--with BINARY|IMAGE]\n"
	               "                        [--backend host|lwip]\n\n"
	               "Puts a new instance in the place of a running guest's service: open files\n"
	               "and connections go on.  The old one serves on if the new one is no good.\n"
	               "Prints what took how long.  On Xen a service that is a domain gets another\n"
	               "domain, one that runs in dom0 another process.\n"
	               "\n"
	               "  --with BINARY   another build of the service (default: the same file)\n"
	               "  --with IMAGE    of a service domain: another folder with vmlinuz and\n"
	               "                  initramfs\n"
	               "  --backend B     netd: on a kernel's sockets (host), or its own TCP/IP\n"
	               "                  (lwip); from one to the other connections are reset,\n"
	               "                  listeners and datagram sockets go on.  Hosted only\n"))
		return 0;
	swap_args(argc, argv, &name, &service, &binary, &backend);
	if (backend && strcmp(service, "netd"))
		die(EXIT_STRAIT, "swap: --backend is of --service netd");
	if (backend && strcmp(backend, "host") && strcmp(backend, "lwip"))
		die(EXIT_STRAIT, "swap: --backend %s: want host or lwip", backend);
	if (binary && !(path = realpath(binary, NULL)))
		die(EXIT_STRAIT, "swap: --with %s: %s", binary, strerror(errno));
	fd = names_connect(name);
	if (fd >= 0)
		close(fd);
	else if (xen_swap(name, service, path, backend, &status))
		return status;
	return ask_swap(name, xprintf("swap %s%s%s%s%s", service, backend ? " " SWAP_BACKEND : "",
	                              backend ? backend : "", path ? " " : "",
	                              path ? path : ""));
}
