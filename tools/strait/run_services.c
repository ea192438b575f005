/* SPDX-License-Identifier: MIT */
/*
 * run_services.c - fsd and netd, as the supervisor sees them.
 *
 * Everything a service needs is sent without waiting for answers; what it says
 * comes back through service_readable().  A service that ends before it was told
 * to is an error at any time.
 */
#include "rpc/limits.h"
#include "tools/strait/child.h"
#include "tools/strait/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAP(c) (1ull << (c))
#define NOBODY 65534u

/* fsd takes each request's ids; as itself it makes what guests are refused. */
#define FSD_CAPS                                                                          \
	(CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) |              \
	 CAP(CAP_FOWNER) | CAP(CAP_FSETID) | CAP(CAP_SETGID) | CAP(CAP_SETUID))

/* Beside this program, else in libexec of the place it is installed at. */
static char *find_binary(const struct service *s)
{
	char self[4096];
	const char *given = getenv(s->env);
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *path, *slash;

	if (given && *given)
		return xprintf("%s", given);
	if (n < 0)
		die(EXIT_STRAIT, "cannot tell where strait lies: /proc/self/exe: %s",
		    strerror(errno));
	self[n] = 0;
	slash = strrchr(self, '/');
	*slash = 0;
	path = xprintf("%s/%s", self, s->name);
	if (!access(path, F_OK))
		return path;
	free(path);
	return xprintf("%s/../libexec/strait/%s", self, s->name);
}

void services_find(struct run *r)
{
	r->service[SERVICE_FSD] = (struct service){
		.name = "fsd", .env = "STRAIT_FSD", .used = true,
		.xs_name = "file", .epoch = 1,
	};
	r->service[SERVICE_NETD] = (struct service){
		.name = "netd", .env = "STRAIT_NETD", .used = r->o.net != NET_NONE,
		.xs_name = "net", .epoch = 1,
	};
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		s->sock = s->ring_fd = s->event_fd = -1;
		if (!s->used)
			continue;
		s->path = find_binary(s);
		if (access(s->path, X_OK))
			die(EXIT_STRAIT, "cannot start %s: %s: %s; build it, or name it with %s",
			    s->name, s->path, strerror(errno), s->env);
	}
}

/* A service sees nothing of this shell but what debugging it needs. */
static char **service_env(void)
{
	static const char *const pass[] = {
		"ASAN_OPTIONS", "LSAN_OPTIONS",    "UBSAN_OPTIONS", "TSAN_OPTIONS",
		"GCOV_PREFIX",  "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE", "TZ",
	};
	char **env = xalloc((sizeof(pass) / sizeof(pass[0]) + 1) * sizeof(*env));
	int n = 0;

	for (size_t i = 0; i < sizeof(pass) / sizeof(pass[0]); i++) {
		const char *v = getenv(pass[i]);

		if (v)
			env[n++] = xprintf("%s=%s", pass[i], v);
	}
	return env;
}

static void start_one(struct run *r, struct service *s)
{
	int pair[2];
	char num[16];
	bool netd = s == &r->service[SERVICE_NETD];
	bool host_stack = netd && r->o.net == NET_HOST;
	int bin = open(s->path, O_RDONLY | O_CLOEXEC);

	if (bin < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		run_fail(r, "cannot start %s (%s): %s", s->name, s->path, strerror(errno));
		return;
	}
	snprintf(num, sizeof(num), "%d", CHILD_FIRST_FD);
	char *argv[] = { xprintf("%s", s->name), xprintf("--control-fd"), num, NULL };
	struct child_spec spec = {
		.what = s->name,
		.namespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
		              (host_stack ? 0 : CLONE_NEWNET),
		.root = prog_is_dynamic(bin) ? ROOT_LIBS : ROOT_EMPTY,
		.proc = true,
		/* Not a session of its own: the kernel would schedule it apart from the
		 * guest (autogroups), and each switch between them cost more. */
		.group = GROUP_OWN,
		.null_stdio = true,
		.caps = host_stack ? CAP(CAP_NET_BIND_SERVICE) : netd ? 0 : FSD_CAPS,
		.plain = getenv("STRAIT_PLAIN_SERVICES") != NULL,
		.fds = { pair[1] },
		.n_fds = 1,
		.gate = -1,
		.exec_fd = bin,
		.argv = argv,
		.envp = service_env(),
	};
	/* As root, netd has no business with root's files. */
	if (netd && !r->o.rootless && !host_stack) {
		spec.set_ids = true;
		spec.uid = spec.gid = NOBODY;
	}
	s->pid = child_start(&spec);
	close(pair[1]);
	close(bin);
	s->sock = pair[0];
	if (s->pid < 0) {
		int e = -s->pid;

		s->pid = 0;
		run_fail(r, "cannot start %s: %s", s->name, strerror(e));
		return;
	}
	run_watch(r, s->sock, netd ? SRC_NETD : SRC_FSD);
}

void services_start(struct run *r)
{
	for (int i = 0; i < N_SERVICES; i++)
		if (r->service[i].used)
			start_one(r, &r->service[i]);
}

static ProtobufCBinaryData bytes(const char *s)
{
	union {
		const char *in;
		uint8_t *out; /* protobuf-c only reads what it packs */
	} u = { .in = s };

	return (ProtobufCBinaryData){ .len = strlen(s), .data = u.out };
}

static void could_send(struct run *r, const struct service *s, int err)
{
	/* A service that is gone is reported when it is reaped. */
	if (err && err != -EPIPE && err != -ECONNRESET)
		run_fail(r, "cannot talk to %s: %s", s->name, strerror(-err));
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

static void fill_net(struct run *r, Control__NetConfig *c, const struct keeper_msg *tap)
{
	static uint8_t mac[6] = { 0x02, 0x53, 0x74, 0x72, 0x61, 0x02 };

	if (r->o.net == NET_HOST) {
		c->stack = bytes("host");
		return;
	}
	c->stack = bytes("lwip");
	c->link = bytes("tap");
	c->vnet_hdr = tap->vnet_hdr;
	c->offload = tap->offload;
	c->mtu = tap->mtu;
	c->mac = (ProtobufCBinaryData){ .len = sizeof(mac), .data = mac };
	c->ip4 = address(r->net.guest4);
	c->prefix4 = NET_PREFIX4;
	c->gateway4 = address(r->net.gateway4);
	c->ip6 = address(r->net.guest6);
	c->prefix6 = NET_PREFIX6;
	c->gateway6 = address(r->net.gateway6);
}

static void send_configure(struct run *r, struct service *s, int tap_fd,
                           const struct keeper_msg *tap)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Configure conf = CONTROL__CONFIGURE__INIT;
	Control__FileConfig file = CONTROL__FILE_CONFIG__INIT;
	Control__NetConfig net = CONTROL__NET_CONFIG__INIT;
	Control__Mount mounts[MOUNTS_MAX];
	Control__Mount *list[MOUNTS_MAX];
	int fds[CONTROL_FDS_MAX], n = 0;

	conf.epoch = s->epoch;
	conf.log_level = r->o.log_level;
	if (s == &r->service[SERVICE_FSD]) {
		n = fill_file(r, &file, mounts, list, fds);
		conf.file = &file;
	} else {
		fill_net(r, &net, tap);
		if (tap_fd >= 0) {
			net.link_fd = (uint32_t)n;
			fds[n++] = tap_fd;
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
	could_send(r, s, control_send(s->sock, &c, fds, n));
}

int service_guest_add(struct service *s, const struct guest_desc *d)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestAdd g = CONTROL__GUEST_ADD__INIT;
	int fds[3] = { d->ring_fd, d->event_fd, d->doorbell_fd };
	char path[64];
	uint8_t id[RPC_CLIENT_ID_LEN];

	snprintf(path, sizeof(path), "/local/domain/%u/data/strait/%s", d->domid, s->xs_name);
	memcpy(id, d->client_id, sizeof(id));
	g.domid = d->domid;
	g.name = bytes(d->name);
	g.xs_path = bytes(path);
	g.ring_fd = 0;
	g.event_fd = 1;
	g.doorbell_fd = 2;
	g.client_id = (ProtobufCBinaryData){ .len = sizeof(id), .data = id };
	g.uid = d->uid;
	g.gid = d->gid;
	c.body_case = CONTROL__CONTROL__BODY_GUEST_ADD;
	c.guest_add = &g;
	return control_send(s->sock, &c, fds, 3);
}

int service_guest_gone(struct service *s, uint32_t domid)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestGone g = CONTROL__GUEST_GONE__INIT;

	g.domid = domid;
	c.body_case = CONTROL__CONTROL__BODY_GUEST_GONE;
	c.guest_gone = &g;
	return control_send(s->sock, &c, NULL, 0);
}

static void send_guest(struct run *r, struct service *s)
{
	const struct guest_desc d = {
		.domid = GUEST_DOMID, .uid = r->o.uid, .gid = r->o.gid, .name = r->o.name,
		.client_id = r->client_id, .ring_fd = s->ring_fd, .event_fd = s->event_fd,
		.doorbell_fd = r->doorbell_fd,
	};

	could_send(r, s, service_guest_add(s, &d));
	s->added = true;
}

void service_configure(struct run *r, struct service *s, int tap_fd,
                       const struct keeper_msg *tap)
{
	if (!s->used || s->sock < 0)
		return;
	send_configure(r, s, tap_fd, tap);
	send_guest(r, s);
}

static void service_ready(struct run *r, struct service *s, uint32_t version)
{
	if (version < RPC_VERSION_MIN || version > RPC_VERSION_MAX) {
		run_fail(r,
		         "%s (%s) speaks protocol version %u, this strait %u to %u; "
		         "use the %s built with it",
		         s->name, s->path, version, RPC_VERSION_MIN, RPC_VERSION_MAX, s->name);
		return;
	}
	s->ready = true;
}

/* A service's own words were on stderr already: control_fail() writes both. */
static void service_failed(struct run *r, struct service *s)
{
	(void)s;
	run_fail(r, NULL);
}

void service_readable(struct run *r, struct service *s)
{
	Control__Control *c;
	int fds[CONTROL_FDS_MAX], n_fds = 0;
	int err = control_recv(s->sock, MSG_DONTWAIT, &c, fds, &n_fds);

	if (err == -EAGAIN)
		return;
	if (err) {
		close(s->sock); /* and with it, out of the epoll set */
		s->sock = -1;
		if (err == -EBADMSG) {
			run_fail(r, "%s (%s) does not speak strait's protocol; check %s", s->name,
			         s->path, s->env);
			if (s->pid)
				(void)kill(s->pid, SIGKILL);
		}
		return; /* gone: SIGCHLD says how */
	}
	for (int i = 0; i < n_fds; i++)
		close(fds[i]); /* none is expected */
	switch (c->body_case) {
	case CONTROL__CONTROL__BODY_READY:
		service_ready(r, s, c->ready->version);
		break;
	case CONTROL__CONTROL__BODY_RELEASED:
		if (c->released->domid == GUEST_DOMID)
			s->released = true;
		else
			joins_released(r, s, c->released->domid);
		break;
	case CONTROL__CONTROL__BODY_FAILED:
		if (c->failed->domid <= GUEST_DOMID)
			service_failed(r, s);
		else
			joins_failed(r, s, c->failed->domid);
		break;
	case CONTROL__CONTROL__BODY_GUEST_READY: /* ours: its ring was usable before */
		if (c->guest_ready->domid != GUEST_DOMID)
			joins_ready(r, s, c->guest_ready->domid);
		break;
	default:
		break;
	}
	control__control__free_unpacked(c, NULL);
}

void service_died(struct run *r, struct service *s, int status)
{
	bool was_ready = s->ready;

	s->pid = 0;
	s->released = true;
	if (r->phase == RUN_STOPPING || (r->result >= 0 && r->hold < 0))
		return;
	if (!was_ready)
		run_fail(r, "%s (%s) ended before it was ready (%s %d); is it strait's %s? check %s",
		         s->name, s->path, WIFSIGNALED(status) ? "signal" : "exit status",
		         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), s->name,
		         s->env);
	else
		run_fail(r, "%s ended while the guest ran (%s %d); the guest cannot go on",
		         s->name, WIFSIGNALED(status) ? "signal" : "exit status",
		         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (r->hold >= 0) { /* it is no use to others any more */
		close(r->hold);
		r->hold = -1;
	}
}

void services_release(struct run *r)
{
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		if (s->leaving)
			continue;
		if (!s->pid || s->sock < 0 || !s->added || !s->ready ||
		    service_guest_gone(s, GUEST_DOMID))
			s->released = true; /* it is going already */
		s->leaving = true;
	}
}

void services_shutdown(struct run *r)
{
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];
		Control__Control c = CONTROL__CONTROL__INIT;
		Control__Shutdown down = CONTROL__SHUTDOWN__INIT;

		if (!s->pid)
			continue;
		c.body_case = CONTROL__CONTROL__BODY_SHUTDOWN;
		c.shutdown = &down;
		if (!s->ready || s->sock < 0 || control_send(s->sock, &c, NULL, 0))
			(void)kill(s->pid, SIGKILL);
	}
}

bool services_all(const struct run *r, bool (*is)(const struct service *))
{
	for (int i = 0; i < N_SERVICES; i++)
		if (r->service[i].used && !is(&r->service[i]))
			return false;
	return true;
}
