/* SPDX-License-Identifier: MIT */
/*
 * run_instance.c - one process of fsd or netd: its binary, its start, what it is told.
 *
 * Nothing here waits for an answer.  A service may have several instances one after
 * the other, and for the time of a swap two at once; all are told the same but for
 * their epoch, so what they need (mounts, the TAP, the trace) stays open here.
 */
#include "rpc/limits.h"
#include "tools/strait/child.h"
#include "tools/strait/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CAP(c) (1ull << (c))
#define NOBODY 65534u
#define ENV_MAX 16

/* fsd takes each request's ids; as itself it makes what guests are refused. */
#define FSD_CAPS                                                                          \
	(CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) |              \
	 CAP(CAP_FOWNER) | CAP(CAP_FSETID) | CAP(CAP_SETGID) | CAP(CAP_SETUID))

/* Beside this program, else in libexec of the place it is installed at. */
char *instance_find(const struct service *s)
{
	char *installed = xprintf("../libexec/strait/%s", s->name);
	const char *const places[] = { s->name, installed, NULL };
	char *found = prog_beside(s->env, places);

	if (!found)
		die(EXIT_STRAIT, "cannot start %s: it is not beside strait; build it, or name it with %s",
		    s->name, s->env);
	free(installed);
	return found;
}

/* A service sees nothing of this shell but what debugging it needs.  Made once.  @keeps:
 * it is told where its filekeeper's socket is. */
static char **service_env(bool keeps)
{
	static const char *const pass[] = {
		"ASAN_OPTIONS", "LSAN_OPTIONS",    "UBSAN_OPTIONS", "TSAN_OPTIONS",
		"GCOV_PREFIX",  "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE", "TZ",
		"STRAIT_FAULT", /* heard only by services built for tests */
	};
	static char *env[ENV_MAX + 1];
	static bool made;
	int n = 1;

	_Static_assert(sizeof(pass) / sizeof(pass[0]) < ENV_MAX, "room, and a NULL");
	for (size_t i = 0; i < sizeof(pass) / sizeof(pass[0]) && !made; i++) {
		const char *v = getenv(pass[i]);

		if (v)
			env[n++] = xprintf("%s=%s", pass[i], v);
	}
	if (!made)
		env[0] = xprintf("STRAIT_KEEP_FD=%d", CHILD_FIRST_FD + 1);
	made = true;
	return env + !keeps;
}

static pid_t start_process(struct run *r, const struct service *s, const struct instance *i,
                           int bin, int control, pid_t *init, int keep)
{
	static char flag[] = "--control-fd";
	char name[16], num[16], *argv[] = { name, flag, num, NULL };
	bool netd = s == &r->service[SERVICE_NETD];
	bool host_stack = netd && i->kernel;

	snprintf(name, sizeof(name), "%s", s->name);
	snprintf(num, sizeof(num), "%d", CHILD_FIRST_FD);
	struct child_spec spec = {
		.what = s->name,
		.namespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
		              (host_stack ? 0 : CLONE_NEWNET),
		.init = init,
		.netns = host_stack && r->o.net == NET_LWIP ? &r->netns_fd : NULL,
		.root = prog_is_dynamic(bin) ? ROOT_LIBS : ROOT_EMPTY,
		.proc = true,
		/* Not a session of its own: the kernel would schedule it apart from the
		 * guest (autogroups), and each switch between them cost more. */
		.group = GROUP_OWN,
		.null_stdio = true,
		.caps = host_stack ? CAP(CAP_NET_BIND_SERVICE) : netd ? 0 : FSD_CAPS,
		.plain = getenv("STRAIT_PLAIN_SERVICES") != NULL,
		.fds = { control, keep },
		.n_fds = init ? 2 : 1,
		.gate = -1,
		.exec_fd = bin,
		.argv = argv,
		.envp = service_env(init != NULL),
	};
	/* As root, netd has no business with root's files. */
	if (netd && !r->o.rootless && !host_stack) {
		spec.set_ids = true;
		spec.uid = spec.gid = NOBODY;
	}
	return child_start(&spec);
}

static uint32_t source_of(const struct run *r, const struct service *s, const struct instance *i)
{
	const bool netd = s == &r->service[SERVICE_NETD];

	if (i == &s->next)
		return netd ? SRC_NETD_NEXT : SRC_FSD_NEXT;
	return netd ? SRC_NETD : SRC_FSD;
}

/* fsd with a filekeeper: not the first of its namespace, which would take it along at its
 * end.  Where that cannot be had fsd is alone, and so is every other service. */
static pid_t start_namespace(struct run *r, const struct service *s, struct instance *i, int bin,
                             int control)
{
	int pair[2];
	pid_t pid;

	i->init = 0;
	i->keep = -1;
	i->ended = i->served = false;
	if (s != &r->service[SERVICE_FSD] || !r->o.recover_s ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return start_process(r, s, i, bin, control, NULL, -1);
	pid = start_process(r, s, i, bin, control, &i->init, pair[1]);
	close(pair[1]);
	if (pid > 0) {
		i->keep = pair[0];
		return pid;
	}
	close(pair[0]);
	if (i->init > 0)
		(void)kill(i->init, SIGKILL); /* nobody's child: reaped as others are */
	i->init = 0;
	return start_process(r, s, i, bin, control, NULL, -1);
}

int instance_start(struct run *r, struct service *s, struct instance *i)
{
	/* A service that hangs must not make us wait for room in its socket. */
	const struct timeval limit = { .tv_sec = 1 };
	int pair[2];
	int err = i == &s->cur ? backend_take(r, s, i) : 0;
	int bin = err ? -1 : open(i->path, O_RDONLY | O_CLOEXEC);

	if (err)
		return err;
	if (bin < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		int e = errno;

		if (bin >= 0)
			close(bin);
		return -e;
	}
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	i->pid = start_namespace(r, s, i, bin, pair[1]);
	close(pair[1]);
	close(bin);
	if (i->pid < 0) {
		int e = -i->pid;

		i->pid = 0;
		close(pair[0]);
		return -e;
	}
	i->sock = pair[0];
	i->ready = false;
	i->epoch = ++s->last_epoch;
	i->started = run_now();
	run_watch(r, i->sock, source_of(r, s, i));
	return 0;
}

void service_watch(struct run *r, struct service *s, const struct instance *i)
{
	if (i->sock < 0)
		return;
	(void)epoll_ctl(r->epoll, EPOLL_CTL_DEL, i->sock, NULL);
	run_watch(r, i->sock, source_of(r, s, i));
}

void instance_hang_up(struct instance *i)
{
	if (i->sock >= 0)
		close(i->sock); /* and with it, out of the epoll set */
	i->sock = -1;
}

static ProtobufCBinaryData bytes(const char *s)
{
	union {
		const char *in;
		uint8_t *out; /* protobuf-c only reads what it packs */
	} u = { .in = s };

	return (ProtobufCBinaryData){ .len = strlen(s), .data = u.out };
}

/* Fill the mounts; their descriptors follow in fds.  Returns their number. */
static int fill_file(struct run *r, Control__FileConfig *f, Control__Mount *m,
                     Control__Mount **list, int *fds)
{
	static ProtobufCBinaryData own[2]; /* what libos serves itself */
	int n = 0;

	for (unsigned i = 0; i < r->o.n_mounts; i++) {
		const struct mount_opt *from = &r->o.mounts[i];

		control__mount__init(&m[i]);
		m[i].guest_path = bytes(from->guest);
		m[i].kind = bytes(from->source ? "dir" : "mem");
		m[i].source = bytes(from->source ? from->source : from->guest);
		m[i].read_only = from->read_only;
		m[i].exclusive = !from->source || from->exclusive;
		m[i].allow_setid = from->setid;
		m[i].keep_root = m[i].exclusive; /* nobody else's files */
		m[i].fd = (uint32_t)n;
		fds[n++] = from->fd;
		list[i] = &m[i];
	}
	own[0] = bytes("dev");
	own[1] = bytes("proc");
	f->own = own;
	f->n_own = 2;
	f->mounts = list;
	f->n_mounts = r->o.n_mounts;
	/* Rootless, the only id we have is the caller's, and it shows as 0. */
	f->can_setcred = !r->o.rootless;
	f->squash = r->o.squash;
	f->squash_uid = r->o.squash_uid;
	f->squash_gid = r->o.squash_gid;
	return n;
}

/* An address as it crosses: 4 or 16 bytes in network order. */
static ProtobufCBinaryData address(const char *text)
{
	static uint8_t store[4][16];
	static unsigned next;
	uint8_t *at = store[next++ % 4];

	if (inet_pton(AF_INET, text, at) == 1)
		return (ProtobufCBinaryData){ .len = 4, .data = at };
	if (inet_pton(AF_INET6, text, at) == 1)
		return (ProtobufCBinaryData){ .len = 16, .data = at };
	die(EXIT_STRAIT, "not an address: %s", text);
}

static void fill_net(struct run *r, const struct instance *i, Control__NetConfig *c)
{
	static uint8_t mac[6] = { 0x02, 0x53, 0x74, 0x72, 0x61, 0x02 };

	if (i->kernel) {
		c->stack = bytes("host");
		return;
	}
	c->stack = bytes("lwip");
	c->link = bytes("tap");
	c->vnet_hdr = r->tap.vnet_hdr;
	c->offload = r->tap.offload;
	c->mtu = r->tap.mtu;
	c->mac = (ProtobufCBinaryData){ .len = sizeof(mac), .data = mac };
	c->ip4 = address(r->net.guest4);
	c->prefix4 = NET_PREFIX4;
	c->gateway4 = address(r->net.gateway4);
	c->ip6 = address(r->net.guest6);
	c->prefix6 = NET_PREFIX6;
	c->gateway6 = address(r->net.gateway6);
}

int instance_configure(struct run *r, struct service *s, const struct instance *i,
                       bool takeover)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Configure conf = CONTROL__CONFIGURE__INIT;
	Control__FileConfig file = CONTROL__FILE_CONFIG__INIT;
	Control__NetConfig net = CONTROL__NET_CONFIG__INIT;
	Control__Mount mounts[MOUNTS_MAX];
	Control__Mount *list[MOUNTS_MAX];
	uint32_t expected[GUESTS_MAX];
	int fds[CONTROL_FDS_MAX], n = 0;

	conf.epoch = i->epoch;
	conf.log_level = r->o.log_level;
	if (r->o.recover_s) {
		conf.instance = (ProtobufCBinaryData){ sizeof(r->instance), r->instance };
		conf.write_verifier = r->write_verifier;
		conf.n_expected = service_expects(r, s, expected);
		conf.expected = expected;
		conf.takeover = takeover;
	}
	if (s == &r->service[SERVICE_FSD]) {
		n = fill_file(r, &file, mounts, list, fds);
		conf.file = &file;
	} else {
		fill_net(r, i, &net);
		if (!i->kernel) {
			net.link_fd = (uint32_t)n;
			fds[n++] = r->tap_fd;
		}
		conf.net = &net;
	}
	if (r->trace_fd >= 0) {
		conf.trace = 1;
		conf.trace_payload = r->o.trace_payload;
		conf.trace_fd = (uint32_t)n;
		fds[n++] = r->trace_fd;
	}
	c.body_case = CONTROL__CONTROL__BODY_CONFIGURE;
	c.configure = &conf;
	return control_send(i->sock, &c, fds, n);
}

int instance_ping(struct instance *i)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Ping ping = CONTROL__PING__INIT;

	c.body_case = CONTROL__CONTROL__BODY_PING;
	c.ping = &ping;
	return control_send(i->sock, &c, NULL, 0);
}

void instance_shutdown(struct instance *i)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Shutdown down = CONTROL__SHUTDOWN__INIT;

	if (!i->pid)
		return;
	c.body_case = CONTROL__CONTROL__BODY_SHUTDOWN;
	c.shutdown = &down;
	if (!i->ready || i->sock < 0 || control_send(i->sock, &c, NULL, 0))
		instance_kill(i);
}
