/* SPDX-License-Identifier: MIT */
/*
 * keeper.c - the netkeeper: the machine's side of a guest's network.
 *
 * It starts the process inside (netns.c), makes the way out and answers names.
 * As the first process of its process namespace it takes pasta and the process
 * inside with it when it ends, so nothing it made can stay.
 *
 * The way out, as root on a machine that forwards (net.ipv4.ip_forward): a veth
 * pair and a masquerading table.  Else pasta, which needs no right and changes
 * nothing on the machine.  The machine's own settings are never changed.
 */
#include "tools/strait/child.h"
#include "tools/strait/keeper_priv.h"
#include "tools/strait/nl.h"
#include "tools/strait/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASTA_NETNS "/tmp/net"

struct netkeeper {
	const struct keeper *k;
	int inside;          /* socket */
	pid_t inside_pid, pasta_pid;
	int netns, dns_udp, dns_tcp;
	char veth[16];       /* the machine's end; "": none */
	struct relay *names; /* NULL: not answered */
};

int keeper_send(int sock, const void *msg, size_t len, const int *fds, int n_fds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(KEEPER_FDS_MAX * sizeof(int))];
	} ctl;
	union {
		const void *in;
		void *out; /* sendmsg() only reads it */
	} u = { .in = msg };
	struct iovec io = { u.out, len };
	struct msghdr h = { .msg_iov = &io, .msg_iovlen = 1 };

	if (n_fds) {
		memset(&ctl, 0, sizeof(ctl));
		h.msg_control = ctl.buf;
		h.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)n_fds * sizeof(int));
	}
	return sendmsg(sock, &h, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Close all that the supervisor had open but stdio, our socket and the ports. */
static void close_others(const struct keeper *k, int also)
{
	int keep[PORTS_MAX + 2], n = 0, from = 3;

	keep[n++] = k->sock;
	keep[n++] = also;
	for (unsigned i = 0; i < k->opts->n_ports; i++)
		keep[n++] = k->opts->ports[i].fd;
	qsort(keep, (size_t)n, sizeof(keep[0]), by_number);
	for (int i = 0; i < n; i++) {
		if (keep[i] > from)
			(void)syscall(SYS_close_range, from, keep[i] - 1, 0);
		if (keep[i] >= from)
			from = keep[i] + 1;
	}
	(void)syscall(SYS_close_range, from, ~0u, 0);
}

static void no_way_out(const struct netkeeper *nk, const char *why)
{
	struct keeper_word_msg m = { .word = WORD_NONE };

	snprintf(m.text, sizeof(m.text), "%s", why);
	(void)keeper_send(nk->inside, &m, sizeof(m), NULL, 0);
}

/* --- veth ------------------------------------------------------------------ */

static bool reads_1(const char *path)
{
	char c = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	(void)!read(fd, &c, 1);
	close(fd);
	return c == '1';
}

static bool can_veth(const struct netkeeper *nk)
{
	return !nk->k->opts->rootless && reads_1("/proc/sys/net/ipv4/ip_forward");
}

/* The machine's end of the pair.  The name is ours as long as the process lives. */
static int veth_outside(struct netkeeper *nk)
{
	const struct net_plan *p = nk->k->plan;
	struct in_addr tap4 = net_plan_addr4(p, 0);
	struct in6_addr host6 = net_plan_addr6(p, 5), tap6 = p->base6, via6;
	char self[32];
	int nl = nl_open(NETLINK_ROUTE), i, err;
	ssize_t n = readlink("/proc/self", self, sizeof(self) - 1);

	if (nl < 0)
		return nl;
	self[n < 0 ? 0 : n] = 0;
	snprintf(nk->veth, sizeof(nk->veth), "strait%.9s", self);
	err = nl_link_veth(nl, nk->veth, VETH_INSIDE, nk->netns, NET_MTU);
	i = err ? err : nl_link_index(nl, nk->veth);
	if ((err = i < 0 ? i : 0) ||
	    (err = nl_addr4(nl, i, net_plan_addr4(p, 5), NET_PREFIX4)) ||
	    (err = nl_link_up(nl, i, 0, 0)) ||
	    (err = nl_route4(nl, i, &tap4, NET_PREFIX4, net_plan_addr4(p, 6)))) {
		close(nl);
		return err;
	}
	via6 = net_plan_addr6(p, 6);
	if (!nl_addr6(nl, i, &host6, NET_PREFIX6))
		(void)nl_route6(nl, i, &tap6, NET_PREFIX6, &via6);
	close(nl);
	return 0;
}

/* Take the machine's end away at once, not only when the namespace ends. */
static void veth_remove(const struct netkeeper *nk)
{
	int nl = nk->veth[0] ? nl_open(NETLINK_ROUTE) : -1;

	if (nl >= 0) {
		(void)nl_link_delete(nl, nk->veth);
		close(nl);
	}
}

static void way_veth(struct netkeeper *nk)
{
	const struct net_plan *p = nk->k->plan;
	struct keeper_word_msg m = { .word = WORD_VETH };
	char name[128], why[160];
	int err = veth_outside(nk), nft = 0;

	snprintf(name, sizeof(name), "strait-%s", nk->k->opts->name);
	if (!err) {
		nft = nft_masquerade(name, p->base4, 29, &p->base6, 125);
		if (nft == -EAFNOSUPPORT || nft == -EOPNOTSUPP)
			nft = nft_masquerade(name, p->base4, 29, NULL, 0);
	}
	if (err || nft < 0) {
		snprintf(why, sizeof(why), "%s: %s",
		         err ? "cannot make the veth pair" : "nf_tables refuses to masquerade",
		         strerror(err ? -err : -nft));
		no_way_out(nk, why);
		return;
	}
	(void)keeper_send(nk->inside, &m, sizeof(m), NULL, 0);
}

/* --- pasta ----------------------------------------------------------------- */

static char *find_pasta(void)
{
	const char *given = getenv("STRAIT_PASTA");
	static const char *const places[] = { "/usr/bin/pasta", "/usr/local/bin/pasta",
		                              "/bin/pasta" };

	if (given)
		return xprintf("%s", given);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!access(places[i], X_OK))
			return xprintf("%s", places[i]);
	return NULL;
}

/* pasta wants a path, and may not look into our /proc.  In a mount namespace of
 * its own (which it needs anyway: the netkeeper will empty the root directory). */
static void give_path(int netns, const char *pasta)
{
	char from[32];

	snprintf(from, sizeof(from), "/proc/self/fd/%d", netns);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("strait", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=64k") ||
	    close(open(PASTA_NETNS, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) ||
	    mount(from, PASTA_NETNS, NULL, MS_BIND, NULL))
		die(EXIT_STRAIT, "cannot give %s the guest's network: %s", pasta,
		    strerror(errno));
}

static void way_pasta(struct netkeeper *nk)
{
	char *pasta = find_pasta();

	if (!pasta || access(pasta, X_OK)) {
		no_way_out(nk, nk->k->opts->rootless
		                       ? "pasta is not installed (package passt)"
		                       : "net.ipv4.ip_forward is off and pasta is not installed "
		                         "(package passt)");
		return;
	}
	nk->pasta_pid = fork();
	if (nk->pasta_pid)
		return;
	give_path(nk->netns, pasta);
	char *argv[] = { pasta, xprintf("--config-net"), xprintf("--foreground"),
		         xprintf("--quiet"), xprintf("--no-map-gw"), xprintf("--runas"),
		         xprintf("0:0"), xprintf("-t"), xprintf("none"), xprintf("-u"),
		         xprintf("none"), xprintf("-T"), xprintf("none"), xprintf("-U"),
		         xprintf("none"), xprintf("--no-netns-quit"), xprintf("--netns"),
		         xprintf(PASTA_NETNS), NULL };

	execv(pasta, argv);
	die(EXIT_STRAIT, "cannot start %s: %s", pasta, strerror(errno));
}

/* --- names ----------------------------------------------------------------- */

/* The machine's first resolver. */
static bool resolver(struct sockaddr_storage *a, socklen_t *len)
{
	FILE *f = fopen("/etc/resolv.conf", "re");
	char line[512], addr[128];
	bool found = false;

	if (!f)
		return false;
	memset(a, 0, sizeof(*a));
	while (!found && fgets(line, sizeof(line), f)) {
		struct sockaddr_in *in = (struct sockaddr_in *)a;
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)a;

		if (sscanf(line, " nameserver %127s", addr) != 1)
			continue;
		if (inet_pton(AF_INET, addr, &in->sin_addr) == 1) {
			in->sin_family = AF_INET;
			in->sin_port = htons(53);
			*len = sizeof(*in);
			found = true;
		} else if (inet_pton(AF_INET6, addr, &in6->sin6_addr) == 1) {
			in6->sin6_family = AF_INET6;
			in6->sin6_port = htons(53);
			*len = sizeof(*in6);
			found = true;
		}
	}
	fclose(f);
	return found;
}

static void answer_names(struct netkeeper *nk)
{
	struct sockaddr_storage to;
	socklen_t len;

	if (nk->names || nk->dns_udp < 0 || !resolver(&to, &len))
		return;
	nk->names = relay_new();
	if (!nk->names)
		return;
	if (relay_add(nk->names, nk->dns_udp, true, (struct sockaddr *)&to, len) ||
	    relay_add(nk->names, nk->dns_tcp, false, (struct sockaddr *)&to, len))
		say("warning: names are not answered for the guest: %s", strerror(errno));
	nk->dns_udp = nk->dns_tcp = -1;
}

/* --- the loop -------------------------------------------------------------- */

/* Nothing more is to be made; a veth pair is to be removed. */
static void lock_in(const struct netkeeper *nk)
{
	const struct child_spec spec = {
		.what = "the guest's network",
		.root = ROOT_EMPTY,
		.gate = -1,
		.exec_fd = -1,
		.caps = nk->veth[0] ? 1ull << CAP_NET_ADMIN : 0,
	};

	child_lock_files(&spec);
	child_lock_rights(&spec);
}

static void on_made(struct netkeeper *nk, const struct msghdr *h)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(h);
	int fds[3];

	if (!c || c->cmsg_len != CMSG_LEN(sizeof(fds)))
		_exit(EXIT_STRAIT);
	memcpy(fds, CMSG_DATA(c), sizeof(fds));
	nk->netns = fds[0];
	nk->dns_udp = fds[1];
	nk->dns_tcp = fds[2];
	answer_names(nk);
}

static void on_inside(struct netkeeper *nk)
{
	struct keeper_word_msg m;
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(3 * sizeof(int))];
	} ctl;
	struct iovec io = { &m, sizeof(m) };
	struct msghdr h = { .msg_iov = &io, .msg_iovlen = 1,
		            .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf) };
	ssize_t n = recvmsg(nk->inside, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n != (ssize_t)sizeof(m)) {
		close(nk->inside);
		nk->inside = -1;
		return;
	}
	if (m.word == WORD_MADE)
		on_made(nk, &h);
	else if (m.word == WORD_WANTED && can_veth(nk))
		way_veth(nk);
	else if (m.word == WORD_WANTED)
		way_pasta(nk);
	else if (m.word == WORD_SETTLED)
		lock_in(nk);
}

/* The process inside ends when the supervisor hangs up; with it we do. */
static void reap(struct netkeeper *nk)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == nk->inside_pid) {
			veth_remove(nk);
			if (WIFSIGNALED(status))
				say("the guest's network ended (signal %d)", WTERMSIG(status));
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_STRAIT);
		}
		if (pid == nk->pasta_pid) {
			nk->pasta_pid = 0;
			no_way_out(nk, "pasta ended");
		}
	}
}

static void on_child(int sig)
{
	(void)sig;
}

static void serve(struct netkeeper *nk)
{
	sigset_t block, open;
	struct sigaction sa = { .sa_handler = on_child };

	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigprocmask(SIG_BLOCK, &block, &open);
	sigaction(SIGCHLD, &sa, NULL);
	for (;;) {
		struct timespec second = { .tv_sec = 1 };
		struct pollfd p[2] = {
			{ .fd = nk->inside, .events = POLLIN },
			{ .fd = nk->names ? relay_fd(nk->names) : -1, .events = POLLIN },
		};

		(void)ppoll(p, 2, nk->names && relay_timeout(nk->names) >= 0 ? &second : NULL,
		            &open);
		reap(nk);
		if (p[0].revents & (POLLIN | POLLHUP) && nk->inside >= 0)
			on_inside(nk);
		if (nk->names)
			relay_step(nk->names);
	}
}

int keeper_main(void *arg)
{
	struct netkeeper nk = { .k = arg, .netns = -1, .dns_udp = -1, .dns_tcp = -1 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		die(EXIT_STRAIT, "cannot make a socket: %s", strerror(errno));
	nk.inside_pid = fork();
	if (nk.inside_pid < 0)
		die(EXIT_STRAIT, "cannot start the guest's network: %s", strerror(errno));
	if (!nk.inside_pid) {
		close_others(nk.k, pair[1]);
		_exit(inside_main(nk.k, pair[1]));
	}
	nk.inside = pair[0];
	close_others(nk.k, pair[0]);
	close(nk.k->sock); /* the supervisor and the process inside talk by themselves */
	for (unsigned i = 0; i < nk.k->opts->n_ports; i++)
		close(nk.k->opts->ports[i].fd);
	serve(&nk);
	return 0;
}
