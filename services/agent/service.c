/* SPDX-License-Identifier: MIT */
/*
 * service.c - fsd or netd, as the agent sees it: its program, what it is given, what
 * it says.  All it works with is opened here, so it can be locked in before its first
 * guest.
 */
#include "rpc/control.h"
#include "services/agent/agent.h"
#include "tools/strait/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define CAP(c) (1ull << (c))
#define NOBODY 65534u

/* fsd takes each request's ids; as itself it makes what guests are refused. */
#define FSD_CAPS                                                                          \
	(CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) |              \
	 CAP(CAP_FOWNER) | CAP(CAP_FSETID) | CAP(CAP_SETGID) | CAP(CAP_SETUID))

static const char *const g_devices[] = {"xen/gntalloc", "xen/evtchn", NULL};

static ProtobufCBinaryData bytes(const void *p, size_t n)
{
	union {
		const void *in;
		uint8_t *out; /* protobuf-c only reads what it packs */
	} u = {.in = p};

	return (ProtobufCBinaryData){.len = n, .data = u.out};
}

static ProtobufCBinaryData text(const char *s)
{
	return bytes(s, strlen(s));
}

static ProtobufCBinaryData addr(const struct config_addr *a)
{
	return bytes(a->addr, a->len);
}

/* ---- the program ---- */

static const char *program_name(const struct agent *a)
{
	return a->config.kind == KIND_FILE ? "fsd" : "netd";
}

/* Named by the environment, else beside this program or in libexec. */
static int open_program(const struct agent *a, char *path, size_t size)
{
	static const char *const places[] = {".", "xen", "../libexec/strait/xen"};
	const char *name = program_name(a);
	const char *given = getenv(a->config.kind == KIND_FILE ? "STRAIT_FSD" : "STRAIT_NETD");
	char self[1024];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int fd = -1;

	if (a->service.program[0])
		given = a->service.program;
	if (given && *given) {
		snprintf(path, size, "%s", given);
		return open(path, O_RDONLY | O_CLOEXEC);
	}
	if (n < 0)
		return -1;
	self[n] = 0;
	*strrchr(self, '/') = 0;
	for (size_t i = 0; fd < 0 && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, size, "%s/%s/%s", self, places[i], name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	return fd;
}

static int start_program(struct agent *a)
{
	const bool fsd = a->config.kind == KIND_FILE;
	const bool host = !fsd && strcmp(a->config.stack, "host") == 0;
	char path[1200] = "", name[16], flag[] = "--control-fd", num[16];
	char *argv[] = {name, flag, num, NULL}, *env[] = {NULL};
	const int bin = open_program(a, path, sizeof(path));
	int pair[2];

	if (bin < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		agent_fail(a, "cannot start %s (%s): %s", program_name(a), path, strerror(errno));
		return -1;
	}
	snprintf(name, sizeof(name), "%s", program_name(a));
	snprintf(num, sizeof(num), "%d", CHILD_FIRST_FD);
	const struct child_spec spec = {
		.what = name,
		.namespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
		              (host ? 0 : CLONE_NEWNET),
		.root = ROOT_LIBS,
		.proc = true,
		.devices = g_devices,
		.group = GROUP_SESSION,
		.null_stdio = true,
		.caps = fsd ? FSD_CAPS : host ? CAP(CAP_NET_BIND_SERVICE) : 0,
		.set_ids = !fsd && !host,
		.uid = NOBODY,
		.gid = NOBODY,
		.plain = getenv("STRAIT_PLAIN_SERVICES") != NULL,
		.fds = {pair[1]},
		.n_fds = 1,
		.gate = -1,
		.exec_fd = bin,
		.argv = argv,
		.envp = env,
	};

	a->service.pid = child_start(&spec);
	close(pair[1]);
	close(bin);
	a->service.sock = pair[0];
	if (a->service.pid > 0)
		return 0;
	const int e = -a->service.pid;

	a->service.pid = 0;
	agent_fail(a, "cannot start %s: %s", name, strerror(e));
	return -1;
}

/* ---- its configuration ---- */

struct message {
	Control__Configure conf;
	Control__FileConfig file;
	Control__NetConfig net;
	Control__Mount mounts[CONFIG_MOUNTS_MAX], *list[CONFIG_MOUNTS_MAX];
	ProtobufCBinaryData own[2], dns[CONFIG_DNS_MAX];
	int fds[CONTROL_FDS_MAX], n_fds;
};

/* The next one in order. */
static int open_mount(struct agent *a, unsigned i)
{
	struct service *s = &a->service;
	char why[CONFIG_WHY];
	const int fd = s->mems_ahead[i] ? s->mems_ahead[i]
	                                : mount_open(&a->config, &a->config.mounts[i], why);

	s->mems_ahead[i] = 0;
	if (fd < 0) {
		agent_fail(a, "mount %s: %s", a->config.mounts[i].guest, why);
		return -1;
	}
	s->mount_fds[s->n_mounts++] = fd;
	return 0;
}

static int fill_file(struct agent *a, struct message *m)
{
	const struct config *c = &a->config;

	control__file_config__init(&m->file);
	for (unsigned i = 0; i < c->n_mounts; i++) {
		const struct config_mount *from = &c->mounts[i];
		if (i >= a->service.n_mounts && open_mount(a, i) < 0)
			return -1;
		const int fd = a->service.mount_fds[i];

		control__mount__init(&m->mounts[i]);
		m->mounts[i].guest_path = text(from->guest);
		m->mounts[i].kind = text(from->memory ? "mem" : "dir");
		m->mounts[i].source = text(from->memory ? from->guest : from->source);
		m->mounts[i].read_only = from->read_only;
		m->mounts[i].exclusive = from->exclusive;
		m->mounts[i].allow_setid = from->setid;
		m->mounts[i].keep_root = from->exclusive; /* nobody else's files */
		m->mounts[i].fd = (uint32_t)m->n_fds;
		m->fds[m->n_fds++] = fd;
		m->list[i] = &m->mounts[i];
	}
	m->own[0] = text("dev"); /* what libos serves itself */
	m->own[1] = text("proc");
	m->file.own = m->own;
	m->file.n_own = 2;
	m->file.mounts = m->list;
	m->file.n_mounts = c->n_mounts;
	m->file.can_setcred = 1;
	m->file.squash = c->squash;
	m->file.squash_uid = c->squash_uid;
	m->file.squash_gid = c->squash_gid;
	m->conf.file = &m->file;
	return 0;
}

static int fill_link(struct agent *a, struct message *m)
{
	const struct config *c = &a->config;
	char why[CONFIG_WHY];
	struct service *s = &a->service;

	if (s->link_fd < 0)
		s->link_fd = netif_open(c->interface, c->mtu, &s->netif, why);
	if (s->link_fd < 0) {
		agent_fail(a, "%s", why);
		return -1;
	}
	m->net.link = text("afpacket");
	m->net.link_fd = (uint32_t)m->n_fds;
	m->fds[m->n_fds++] = s->link_fd;
	m->net.vnet_hdr = sizeof(struct virtio_net_hdr);
	m->net.offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	m->net.mtu = s->netif.mtu;
	m->net.mac = bytes(s->netif.mac, sizeof(s->netif.mac));
	return 0;
}

static int fill_net(struct agent *a, struct message *m)
{
	const struct config *c = &a->config;

	control__net_config__init(&m->net);
	m->conf.net = &m->net;
	m->net.stack = text(c->stack);
	m->net.port_min = c->port_min;
	if (strcmp(c->stack, "host") == 0)
		return 0;
	m->net.ip4 = addr(&c->ip4);
	m->net.prefix4 = c->ip4.prefix;
	m->net.gateway4 = addr(&c->gateway4);
	m->net.ip6 = addr(&c->ip6);
	m->net.prefix6 = c->ip6.prefix;
	m->net.gateway6 = addr(&c->gateway6);
	for (unsigned i = 0; i < c->n_dns; i++)
		m->dns[i] = addr(&c->dns[i]);
	m->net.dns = m->dns;
	m->net.n_dns = c->n_dns;
	return fill_link(a, m);
}

/* The trace goes on without aligned clocks; its file it needs. */
static int fill_trace(struct agent *a, struct message *m)
{
	char why[CONFIG_WHY];
	int64_t ahead;
	int fd, r;

	if (!a->config.trace)
		return -1;
	/* Other domains may not ask the hypervisor: their times are put right by who
	 * fetches them. */
	r = a->domid == 0 ? clock_ahead(&ahead) : -EPERM;
	if (r == 0)
		m->conf.clock_ahead = a->trace.clock_ahead = ahead;
	else if (a->domid == 0)
		say("times of the trace are dom0's own, not Xen's: %s", strerror(-r));
	fd = trace_create(a, why);
	if (fd < 0) {
		say("%s", why);
		return -1;
	}
	m->conf.trace = 1;
	m->conf.trace_payload = a->config.trace_payload;
	m->conf.trace_fd = (uint32_t)m->n_fds;
	m->fds[m->n_fds++] = fd;
	return fd;
}

/* What is written and not synced is in this kernel's memory: the same for its life, and
 * for no other's.  0: not to be told. */
static uint64_t boot_verifier(void)
{
	const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	uint64_t h = 0xcbf29ce484222325ull;
	char id[64];
	const ssize_t n = fd < 0 ? 0 : read(fd, id, sizeof(id));

	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)id[i]) * 0x100000001b3ull;
	return n > 0 ? h : 0;
}

/* After a swap what the last domain wrote is on the disk: nothing was lost. */
uint64_t service_verifier(const struct agent *a)
{
	return a->swap.verifier ? a->swap.verifier : boot_verifier();
}

static int send_configure(struct agent *a)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	struct message m = {.n_fds = 0};
	int r, trace = -1;

	control__configure__init(&m.conf);
	m.conf.epoch = a->config.epoch;
	m.conf.instance = bytes(a->config.instance, sizeof(a->config.instance));
	m.conf.expected = a->service.expected;
	m.conf.n_expected = a->service.n_expected;
	m.conf.write_verifier = service_verifier(a);
	m.conf.takeover = a->config.kind == KIND_NET &&
	                  (a->swap.trying || a->swap.state == SWAP_STANDBY);
	m.conf.log_level = a->config.log;
	r = a->config.kind == KIND_FILE ? fill_file(a, &m) : fill_net(a, &m);
	if (r == 0) {
		trace = fill_trace(a, &m);
		c.body_case = CONTROL__CONTROL__BODY_CONFIGURE;
		c.configure = &m.conf;
		r = control_send(a->service.sock, &c, m.fds, m.n_fds);
		if (r == -EPIPE || r == -ECONNRESET)
			r = 0; /* it ended: SIGCHLD says how */
		if (r < 0)
			agent_fail(a, "cannot configure %s: %s", program_name(a), strerror(-r));
	}
	if (trace >= 0) /* mounts are kept, to be flushed at the end, and the link */
		close(trace);
	return r;
}

int service_launch(struct agent *a)
{
	char why[CONFIG_WHY];

	if (a->service.pid)
		return 0;
	for (unsigned i = 0; i < a->config.n_mounts && !a->service.n_mounts; i++)
		if (a->config.mounts[i].memory && !a->service.mems_ahead[i]) {
			const int fd = mount_open(&a->config, &a->config.mounts[i], why);

			a->service.mems_ahead[i] = fd > 0 ? fd : 0; /* else it is said later */
		}
	return start_program(a);
}

int service_start(struct agent *a)
{
	if (service_launch(a) < 0)
		return -1;
	if (send_configure(a) == 0)
		return 0;
	service_stop(a);
	return -1;
}

/* ---- guests ---- */

static int add(struct agent *a, int sock, const struct config_guest *g, bool prepare)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestAdd m = CONTROL__GUEST_ADD__INIT;
	struct config_guest copy = *g; /* protobuf-c wants what it may write */
	char path[AGENT_PATH + 16], name[32];

	snprintf(path, sizeof(path), "%s/%u", a->data, g->domid);
	snprintf(name, sizeof(name), "domain %u", g->domid);
	m.domid = g->domid;
	m.name = text(name);
	m.xs_path = text(path);
	m.client_id = bytes(g->client_id, sizeof(g->client_id));
	m.uid = g->uid;
	m.gid = g->gid;
	m.groups = copy.groups;
	m.n_groups = copy.n_groups;
	m.prepare = prepare;
	c.body_case = CONTROL__CONTROL__BODY_GUEST_ADD;
	c.guest_add = &m;
	return control_send(sock, &c, NULL, 0);
}

int service_add(struct agent *a, const struct config_guest *g)
{
	return add(a, a->service.sock, g, false);
}

int service_prepare(struct agent *a, int sock, const struct config_guest *g)
{
	return add(a, sock, g, true);
}

int service_gone(struct agent *a, uint32_t domid)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestGone m = CONTROL__GUEST_GONE__INIT;

	m.domid = domid;
	c.body_case = CONTROL__CONTROL__BODY_GUEST_GONE;
	c.guest_gone = &m;
	return control_send(a->service.sock, &c, NULL, 0);
}

int service_ping(struct agent *a, uint64_t nonce)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Ping m = CONTROL__PING__INIT;

	m.nonce = nonce;
	c.body_case = CONTROL__CONTROL__BODY_PING;
	c.ping = &m;
	return control_send(a->service.sock, &c, NULL, 0);
}

int service_ask_status(struct agent *a)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Status m = CONTROL__STATUS__INIT;

	c.body_case = CONTROL__CONTROL__BODY_STATUS;
	c.status = &m;
	return control_send(a->service.sock, &c, NULL, 0);
}

/* ---- what it says ---- */

static void copy_text(const ProtobufCBinaryData *from, char to[CONFIG_WHY])
{
	snprintf(to, CONFIG_WHY, "%.*s", (int)(from->len < 300 ? from->len : 300),
	         (const char *)from->data);
}

/* Then it is our own service that prepares guests; else the next one, see swap_process.c. */
static bool stands_by(const struct agent *a)
{
	return a->swap.state == SWAP_STANDBY;
}

static void handle_failed(struct agent *a, const Control__Failed *f)
{
	char why[CONFIG_WHY];

	copy_text(&f->text, why);
	if (f->domid && stands_by(a) && prepare_failed(a, f->domid))
		swap_prepared(a);
	else if (f->domid)
		guests_failed(a, f->domid, why);
	else
		agent_fail(a, "%s", why);
}

static void say_ready(const struct agent *a)
{
	struct sysinfo si;

	if (a->init && sysinfo(&si) == 0) /* how many guests more: docs/XEN.md */
		say("%s is ready; %lu of %lu MiB of memory are free", a->name,
		    si.freeram * si.mem_unit >> 20, si.totalram * si.mem_unit >> 20);
	else
		say("%s is ready", a->name);
}

static void handle(struct agent *a, const Control__Control *c)
{
	char why[CONFIG_WHY];

	switch (c->body_case) {
	case CONTROL__CONTROL__BODY_READY:
		if (c->ready->version < RPC_VERSION_MIN || c->ready->version > RPC_VERSION_MAX) {
			agent_fail(a, "%s speaks protocol version %u, this agent %u to %u",
			           program_name(a), c->ready->version, RPC_VERSION_MIN,
			           RPC_VERSION_MAX);
			break;
		}
		a->service.ready = true;
		a->service.lives++;
		if (swap_took_ready(a))
			break;
		agent_ready(a);
		say_ready(a);
		trace_offer(a);
		guests_look(a);
		break;
	case CONTROL__CONTROL__BODY_GUEST_READY:
		if (stands_by(a) &&
		    prepare_made(a, c->guest_ready->domid, c->guest_ready->ring_ref,
		                 c->guest_ready->event_channel)) {
			swap_prepared(a);
			break;
		}
		guests_ready(a, c->guest_ready->domid, c->guest_ready->ring_ref,
		             c->guest_ready->event_channel);
		swap_guest_ready(a);
		break;
	case CONTROL__CONTROL__BODY_PONG:
		life_pong(a, c->pong->nonce);
		break;
	case CONTROL__CONTROL__BODY_STATUS_REPLY:
		status_answered(a, c->status_reply->sessions, c->status_reply->in_flight,
		                a->config.kind == KIND_FILE ? c->status_reply->files
		                                            : c->status_reply->connections);
		break;
	case CONTROL__CONTROL__BODY_RELEASED:
		guests_released(a, c->released->domid);
		break;
	case CONTROL__CONTROL__BODY_GUEST_BACK:
		guests_back(a, c->guest_back->domid);
		swap_guest_back(a);
		break;
	case CONTROL__CONTROL__BODY_STOPPED:
		swap_stopped(a);
		break;
	case CONTROL__CONTROL__BODY_FAILED:
		handle_failed(a, c->failed);
		break;
	case CONTROL__CONTROL__BODY_EXPORTED:
		copy_text(&c->exported->failed, why);
		swap_exported(a, c->exported->connections, c->exported->bytes, why);
		break;
	case CONTROL__CONTROL__BODY_IMPORTED:
		copy_text(&c->imported->failed, why);
		swap_imported(a, c->imported->connections, why);
		break;
	default:
		break;
	}
}

void service_readable(struct agent *a)
{
	Control__Control *c;
	int fds[CONTROL_FDS_MAX], n_fds = 0;
	const int r = control_recv(a->service.sock, MSG_DONTWAIT, &c, fds, &n_fds);

	if (r == -EAGAIN)
		return;
	if (r < 0) { /* it ended, SIGCHLD says how; or it talks nonsense */
		close(a->service.sock);
		a->service.sock = -1;
		if (r == -EBADMSG && a->service.pid)
			(void)kill(a->service.pid, SIGKILL);
		return;
	}
	for (int i = 0; i < n_fds; i++)
		close(fds[i]); /* none is expected */
	handle(a, c);
	control__control__free_unpacked(c, NULL);
}

static void stop(struct agent *a, bool linger)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Shutdown m = CONTROL__SHUTDOWN__INIT;

	if (!a->service.pid)
		return;
	m.linger = linger;
	c.body_case = CONTROL__CONTROL__BODY_SHUTDOWN;
	c.shutdown = &m;
	if (a->service.sock < 0 || control_send(a->service.sock, &c, NULL, 0) < 0)
		(void)kill(a->service.pid, SIGKILL);
}

void service_stop(struct agent *a)
{
	stop(a, false);
}

void service_close(struct agent *a)
{
	stop(a, true);
}

void service_lost(struct agent *a)
{
	struct service *s = &a->service;

	s->pid = 0;
	s->ready = false;
	if (s->sock >= 0)
		close(s->sock);
	s->sock = -1;
	trace_close(a);
}

bool mounts_flush(const struct agent *a)
{
	const struct service *s = &a->service;
	bool whole = true;

	for (unsigned i = 0; i < s->n_mounts; i++) {
		if (a->config.mounts[i].memory || a->config.mounts[i].read_only)
			continue;
		/* A detached mount's descriptor opens no file: its root does. */
		const int fd = openat(s->mount_fds[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0 || syncfs(fd) < 0) {
			whole = false;
			say("%s was not written out in full: %s", a->config.mounts[i].source,
			    strerror(errno));
		}
		if (fd >= 0)
			close(fd);
	}
	return whole;
}

bool service_ended(struct agent *a)
{
	struct service *s = &a->service;

	service_lost(a);
	const bool whole = mounts_flush(a);

	for (unsigned i = 0; i < s->n_mounts; i++)
		close(s->mount_fds[i]); /* the last reference: unmounts a disk */
	s->n_mounts = 0;
	if (s->link_fd >= 0)
		close(s->link_fd);
	s->link_fd = -1;
	return whole;
}
