/* SPDX-License-Identifier: MIT */
#include "netd_guest.h"

#include "fake_guest.h"
#include "rpc/control.h"
#include "rpc/guest.h"
#include "services/netd/netd.h"
#include "vchan/hosted.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ORDER 18

struct ng_sock *g_ng;
bool g_ng_lost;
static int g_tap = -1, g_control = -1;
static unsigned g_mtu, g_vnet;
static uint8_t g_mac[6] = {2, 0x11, 0x22, 0x33, 0x44, 0x55};
static pid_t g_pid;
static struct fake_channel g_fc;
static int g_bell_fd = -1;
static uint32_t g_epoch = 1;
static const char *g_stack_name, *g_link_name;
static const uint8_t g_id[16] = "0123456789abcdef";

pid_t ng_pid(void)
{
	return g_pid;
}

void ng_link_is(int fd, unsigned vnet_hdr, unsigned mtu, const uint8_t mac[6])
{
	g_tap = fd;
	g_vnet = vnet_hdr;
	g_mtu = mtu;
	memcpy(g_mac, mac, 6);
}

void ng_command(const char *cmd)
{
	char line[256];

	(void)snprintf(line, sizeof(line), "ip %s >/dev/null 2>&1", cmd);
	if (system(line) != 0)
		fprintf(stderr, "ip %s failed\n", cmd);
}

static int tap_open(bool vnet_hdr)
{
	struct ifreq r = {0};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -1;
	strcpy(r.ifr_name, NG_DEVICE);
	r.ifr_flags = IFF_TAP | IFF_NO_PI;
	if (vnet_hdr)
		r.ifr_flags |= IFF_VNET_HDR;
	if (ioctl(fd, TUNSETIFF, &r) < 0)
		return -1;
	if (vnet_hdr && ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		return -1;
	return fd;
}

int ng_namespace(unsigned mtu, bool vnet_hdr)
{
	char cmd[64];

	g_mtu = mtu;
	g_vnet = vnet_hdr ? 10 : 0;
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -1;
	g_tap = tap_open(vnet_hdr);
	if (g_tap < 0)
		return -1;
	(void)snprintf(cmd, sizeof(cmd), "link set " NG_DEVICE " mtu %u txqueuelen 10000 up", mtu);
	ng_command("link set lo up");
	ng_command("addr add " NG_KERNEL_IP "/24 dev " NG_DEVICE);
	ng_command("addr add " NG_KERNEL_IP6 "/64 dev " NG_DEVICE " nodad");
	ng_command(cmd);
	return 0;
}

static void configure_net(Control__NetConfig *n, const char *stack, const char *link)
{
	static uint8_t ip4[4], ip6[16], gw[4];
	union {
		const char *from;
		uint8_t *to;
	} s = {.from = stack}, l = {.from = link};

	(void)inet_pton(AF_INET, NG_GUEST_IP, ip4);
	(void)inet_pton(AF_INET, NG_KERNEL_IP, gw);
	(void)inet_pton(AF_INET6, NG_GUEST_IP6, ip6);
	control__net_config__init(n);
	n->stack = (ProtobufCBinaryData){strlen(stack), s.to};
	n->link = (ProtobufCBinaryData){strlen(link), l.to};
	n->vnet_hdr = g_vnet;
	n->offload = g_vnet ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0;
	n->mtu = g_mtu;
	n->mac = (ProtobufCBinaryData){6, g_mac};
	n->ip4 = (ProtobufCBinaryData){4, ip4};
	n->prefix4 = 24;
	n->gateway4 = (ProtobufCBinaryData){4, gw};
	n->ip6 = (ProtobufCBinaryData){16, ip6};
	n->prefix6 = 64;
}

/* The next control message must be of kind @want. */
static int expect(Control__Control__BodyCase want)
{
	Control__Control *c;
	struct pollfd p = {g_control, POLLIN, 0};
	int fds[CONTROL_FDS_MAX], n, ok;

	if (poll(&p, 1, NG_WAIT_MS) <= 0 || control_recv(g_control, 0, &c, fds, &n) < 0)
		return -1;
	ok = c->body_case == want;
	control__control__free_unpacked(c, NULL);
	return ok ? 0 : -1;
}

static int netd_spawn(void)
{
	int sv[2];
	char fd[16];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv) < 0)
		return -1;
	(void)fcntl(sv[0], F_SETFD, FD_CLOEXEC);
	g_pid = fork();
	if (g_pid == 0) {
		close(sv[0]);
		(void)snprintf(fd, sizeof(fd), "%d", sv[1]);
		execl(NETD_PATH, "netd", "--control-fd", fd, (char *)NULL);
		_exit(127);
	}
	close(sv[1]);
	g_control = sv[0];
	return g_pid < 0 ? -1 : 0;
}

static int configure(const char *stack, const char *link, bool takeover)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Configure conf = CONTROL__CONFIGURE__INIT;
	Control__NetConfig net;

	configure_net(&net, stack, link);
	conf.epoch = g_epoch;
	conf.takeover = takeover;
	conf.net = &net;
	c.body_case = CONTROL__CONTROL__BODY_CONFIGURE;
	c.configure = &conf;
	if (control_send(g_control, &c, &g_tap, g_tap >= 0) < 0)
		return -1;
	return expect(CONTROL__CONTROL__BODY_READY);
}

static int guest_add(const uint8_t client_id[16])
{
	static uint8_t name[] = "test", path[] = "/test/net", id[16];
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestAdd g = CONTROL__GUEST_ADD__INIT;
	int fds[3];

	if (g_bell_fd < 0)
		g_bell_fd = hosted_doorbell_create();
	if (fake_channel_make(&g_fc, ORDER, g_bell_fd) < 0)
		return -1;
	fds[0] = g_fc.ring_fd;
	fds[1] = g_fc.event_fd;
	fds[2] = g_fc.doorbell_fd;
	memcpy(id, client_id, 16);
	g.domid = 7;
	g.name = (ProtobufCBinaryData){4, name};
	g.xs_path = (ProtobufCBinaryData){strlen((char *)path), path};
	g.ring_fd = 0;
	g.event_fd = 1;
	g.doorbell_fd = 2;
	g.client_id = (ProtobufCBinaryData){16, id};
	c.body_case = CONTROL__CONTROL__BODY_GUEST_ADD;
	c.guest_add = &g;
	if (control_send(g_control, &c, fds, 3) < 0)
		return -1;
	return expect(CONTROL__CONTROL__BODY_GUEST_READY);
}

/* ---- events ---- */

void ng_take_addr(const Net__Addr *a, uint8_t ip[16], uint8_t *len, uint16_t *port)
{
	if (!a || a->ip.len > 16)
		return;
	*len = (uint8_t)a->ip.len;
	memcpy(ip, a->ip.data, a->ip.len);
	*port = (uint16_t)a->port;
}

static struct ng_sock *sock_at(uint32_t handle)
{
	return handle < NG_SOCKS && g_ng[handle].used ? &g_ng[handle] : NULL;
}

void ng_sock_init(uint32_t handle, bool stream)
{
	struct ng_sock *s = &g_ng[handle];

	memset(s, 0, sizeof(*s));
	s->used = true;
	s->handle = handle;
	s->window = s->rx_limit = NG_WINDOW;
	s->rx = stream ? malloc(NG_WINDOW) : NULL;
	s->dq_end = &s->dq;
}

static void ev_data(struct rpc_event *ev)
{
	Net__DataMsg *m = net__data_msg__unpack(NULL, ev->msg_len, ev->msg);
	struct ng_sock *s = sock_at(m->handle);
	uint32_t left = ev->payload_len;

	if (s && (m->offset != s->rx_got || m->offset + left > s->rx_limit)) {
		fprintf(stderr, "data at %lu, expected %lu, limit %lu\n", (unsigned long)m->offset,
		        (unsigned long)s->rx_got, (unsigned long)s->rx_limit);
		abort();
	}
	while (s && left > 0) {
		const uint64_t at = s->rx_got % NG_WINDOW;
		const uint32_t n = left < NG_WINDOW - at ? left : (uint32_t)(NG_WINDOW - at);

		rpc_event_take(ev, s->rx + at, n);
		s->rx_got += n;
		left -= n;
	}
	if (s)
		s->n_data++;
	net__data_msg__free_unpacked(m, NULL);
}

static void ev_dgram(struct rpc_event *ev)
{
	Net__DgramMsg *m = net__dgram_msg__unpack(NULL, ev->msg_len, ev->msg);
	struct ng_sock *s = sock_at(m->handle);
	struct ng_dgram *d = calloc(1, sizeof(*d) + ev->payload_len);
	uint16_t unused;

	d->len = ev->payload_len;
	d->ttl = m->ttl;
	ng_take_addr(m->peer, d->ip, &d->ip_len, &d->port);
	ng_take_addr(m->local, d->lip, &d->lip_len, &unused);
	rpc_event_take(ev, d->data, d->len);
	if (s) {
		s->rx_got += m->credit;
		*s->dq_end = d;
		s->dq_end = &d->next;
	} else {
		free(d);
	}
	net__dgram_msg__free_unpacked(m, NULL);
}

static void ev_accepted(const struct rpc_event *ev)
{
	Net__AcceptedEvt *m = net__accepted_evt__unpack(NULL, ev->msg_len, ev->msg);
	struct ng_sock *l = sock_at(m->listener), *s;
	uint16_t port = 0;

	ng_sock_init(m->handle, true);
	s = &g_ng[m->handle];
	s->connected = true;
	s->tx_limit = m->tx_limit;
	ng_take_addr(m->peer, s->peer_ip, &s->peer_len, &s->peer_port);
	ng_take_addr(m->local, s->local_ip, &s->local_len, &port);
	s->local_port = port;
	if (l)
		l->accepted[l->n_accepted++ % 4096] = (int)m->handle;
	net__accepted_evt__free_unpacked(m, NULL);
}

static void ev_connected(const struct rpc_event *ev)
{
	Net__ConnectedEvt *m = net__connected_evt__unpack(NULL, ev->msg_len, ev->msg);
	struct ng_sock *s = sock_at(m->handle);

	if (s) {
		s->connected = m->err == 0;
		s->connect_err = (int)m->err;
		s->tx_limit = m->tx_limit;
		ng_take_addr(m->local, s->local_ip, &s->local_len, &s->local_port);
	}
	net__connected_evt__free_unpacked(m, NULL);
}

static void ev_space(const struct rpc_event *ev)
{
	Net__SpaceEvt *m = net__space_evt__unpack(NULL, ev->msg_len, ev->msg);
	struct ng_sock *s = sock_at(m->handle);

	if (s) {
		s->tx_limit = m->tx_limit;
		s->acked = m->acked;
		s->n_space++;
	}
	net__space_evt__free_unpacked(m, NULL);
}

static void on_event(struct rpc_event *ev)
{
	rpc_wake(rpc_current()); /* ng_until() looks again */
	switch (ev->index) {
	case EV_DATA:
		ev_data(ev);
		break;
	case EV_DGRAM:
		ev_dgram(ev);
		break;
	case EV_ACCEPTED:
		ev_accepted(ev);
		break;
	case EV_CONNECTED:
		ev_connected(ev);
		break;
	case EV_SPACE:
		ev_space(ev);
		break;
	case EV_EOF: {
		Net__EofEvt *m = net__eof_evt__unpack(NULL, ev->msg_len, ev->msg);
		struct ng_sock *s = sock_at(m->handle);

		if (s)
			s->eof = m->offset == s->rx_got;
		net__eof_evt__free_unpacked(m, NULL);
		break;
	}
	case EV_ERROR: {
		Net__ErrorEvt *m = net__error_evt__unpack(NULL, ev->msg_len, ev->msg);
		struct ng_sock *s = sock_at(m->handle);

		if (s) {
			s->err = (int)m->err;
			s->fatal = m->fatal;
		}
		net__error_evt__free_unpacked(m, NULL);
		break;
	}
	default:
		abort();
	}
}

static void on_lost(void)
{
	g_ng_lost = true;
}

static _Atomic unsigned g_restored;

static int on_restore(const struct rpc_restore *r)
{
	if (!r->moved)
		return -EPIPE; /* these tests do not open again what was open */
	atomic_fetch_add(&g_restored, 1);
	return 0;
}

static const struct rpc_chan_ops g_ops = {.service_id = RPC_SERVICE_NET,
                                          .service = &net__net__descriptor,
                                          .on_event = on_event,
                                          .on_lost = on_lost,
                                          .on_restore = on_restore};

int ng_start(const char *stack, const char *link)
{
	g_ng = calloc(NG_SOCKS, sizeof(*g_ng));
	g_stack_name = stack;
	g_link_name = link;
	if (!g_ng || netd_spawn() < 0 || configure(stack, link, false) < 0 || guest_add(g_id) < 0)
		return -1;
	memcpy(g_config.client_id, g_id, 16);
	fake_channel_use(&g_fc, &g_config.net, 0);
	return rpc_attach(&g_net_chan, &g_config.net, &g_ops);
}

/* ---- a planned swap ---- */

struct ng_swaps g_ng_swaps;

static int tell(int control, Control__Control__BodyCase what, int fd)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Export out = CONTROL__EXPORT__INIT;
	Control__Import in = CONTROL__IMPORT__INIT;
	Control__Resume resume = CONTROL__RESUME__INIT;
	Control__Shutdown down = CONTROL__SHUTDOWN__INIT;

	c.body_case = what;
	if (what == CONTROL__CONTROL__BODY_EXPORT)
		c.export = &out;
	else if (what == CONTROL__CONTROL__BODY_IMPORT)
		c.import = &in;
	else if (what == CONTROL__CONTROL__BODY_RESUME)
		c.resume = &resume;
	else
		c.shutdown = &down;
	return control_send(control, &c, &fd, fd >= 0);
}

/* Exported or Imported: 1 well, 0 failed with a sentence, -1 neither. */
static int answer(int control, Control__Control__BodyCase want)
{
	struct pollfd p = {control, POLLIN, 0};
	Control__Control *c;
	ProtobufCBinaryData *failed;
	int fds[CONTROL_FDS_MAX], n, ok;

	if (poll(&p, 1, NG_WAIT_MS) <= 0 || control_recv(control, 0, &c, fds, &n) < 0)
		return -1;
	if (c->body_case != want) {
		control__control__free_unpacked(c, NULL);
		return -1;
	}
	if (want == CONTROL__CONTROL__BODY_EXPORTED) {
		failed = &c->exported->failed;
		g_ng_swaps.connections = c->exported->connections;
		g_ng_swaps.bytes = c->exported->bytes;
	} else {
		failed = &c->imported->failed;
	}
	ok = failed->len == 0;
	if (!ok)
		fprintf(stderr, "(%.*s)\n", (int)failed->len, (const char *)failed->data);
	control__control__free_unpacked(c, NULL);
	return ok;
}

struct netd {
	int control;
	pid_t pid;
};

static struct netd current(void)
{
	return (struct netd){g_control, g_pid};
}

static void use(struct netd n)
{
	g_control = n.control;
	g_pid = n.pid;
}

static void end_it(struct netd n, bool now)
{
	if (now)
		(void)kill(n.pid, SIGKILL);
	else
		(void)tell(n.control, CONTROL__CONTROL__BODY_SHUTDOWN, -1);
	(void)waitpid(n.pid, NULL, 0);
	close(n.control);
}

/* A netd that waits for an import; the old one goes on. */
static int netd_next(struct netd *next)
{
	const struct netd old = current();
	int r;

	g_epoch++;
	r = netd_spawn() < 0 || configure(g_stack_name, g_link_name, true) < 0 ? -1 : 0;
	*next = current();
	use(old);
	if (r < 0)
		fprintf(stderr, "the next netd does not start\n");
	return r;
}

static uint8_t *read_all(int fd, size_t *len)
{
	size_t cap = 64u << 20;
	uint8_t *b = malloc(cap);
	ssize_t n;

	*len = 0;
	while ((n = read(fd, b + *len, cap - *len)) > 0)
		*len += (size_t)n;
	return b;
}

uint8_t *ng_state(size_t *len)
{
	uint8_t *b;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return NULL;
	(void)tell(g_control, CONTROL__CONTROL__BODY_EXPORT, sv[0]);
	close(sv[0]);
	b = read_all(sv[1], len);
	close(sv[1]);
	if (answer(g_control, CONTROL__CONTROL__BODY_EXPORTED) != 1) {
		free(b);
		b = NULL;
	}
	(void)tell(g_control, CONTROL__CONTROL__BODY_RESUME, -1);
	return b;
}

static int give_state(int control, const uint8_t *state, size_t len)
{
	int sv[2], r;
	size_t done = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return -1;
	(void)tell(control, CONTROL__CONTROL__BODY_IMPORT, sv[1]);
	close(sv[1]);
	while (done < len) {
		const ssize_t n = send(sv[0], state + done, len - done, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	close(sv[0]);
	r = answer(control, CONTROL__CONTROL__BODY_IMPORTED);
	return r;
}

int ng_state_taken(const uint8_t *state, size_t len)
{
	struct netd next;
	int r, status;

	if (netd_next(&next) < 0)
		return -1;
	r = give_state(next.control, state, len);
	/* however it went: it must be alive, and end when told */
	(void)tell(next.control, CONTROL__CONTROL__BODY_SHUTDOWN, -1);
	(void)waitpid(next.pid, &status, 0);
	close(next.control);
	if (WIFSIGNALED(status))
		fprintf(stderr, "netd died of signal %d\n", WTERMSIG(status));
	return WIFSIGNALED(status) ? -1 : r;
}

static bool is_back(void *arg)
{
	return atomic_load(&g_restored) != *(unsigned *)arg || g_ng_lost;
}

/* The state goes straight from one to the other. */
static int hand_over(struct netd next)
{
	int sv[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return -1;
	(void)tell(next.control, CONTROL__CONTROL__BODY_IMPORT, sv[1]);
	(void)tell(g_control, CONTROL__CONTROL__BODY_EXPORT, sv[0]);
	close(sv[0]);
	close(sv[1]);
	r = answer(g_control, CONTROL__CONTROL__BODY_EXPORTED);
	if (answer(next.control, CONTROL__CONTROL__BODY_IMPORTED) != 1 && r == 1)
		r = 0;
	return r;
}

static int switch_to(struct netd next, uint64_t since)
{
	const struct netd old = current();
	unsigned before = atomic_load(&g_restored);

	use(next);
	if (guest_add(g_id) < 0) {
		fprintf(stderr, "the next netd takes no guest\n");
		return -1;
	}
	g_ng_swaps.sealed_us = (plat_mono_ns() - since) / 1000;
	fake_channel_next(&g_fc, g_epoch);
	end_it(old, false);
	if (!ng_until(is_back, &before, NG_WAIT_MS) || g_ng_lost) {
		fprintf(stderr, "the session is lost: %s\n", fake_log());
		return -1;
	}
	fake_recovered();
	if (expect(CONTROL__CONTROL__BODY_GUEST_BACK) < 0) {
		fprintf(stderr, "the supervisor does not hear that the guest is back\n");
		return -1;
	}
	g_ng_swaps.back_us = (plat_mono_ns() - since) / 1000;
	return 0;
}

static void count_swap(void)
{
	struct ng_swaps *s = &g_ng_swaps;

	s->n++;
	s->max_connections = s->connections > s->max_connections ? s->connections
	                                                         : s->max_connections;
	s->max_bytes = s->bytes > s->max_bytes ? s->bytes : s->max_bytes;
	s->max_sealed_us = s->sealed_us > s->max_sealed_us ? s->sealed_us : s->max_sealed_us;
	s->max_back_us = s->back_us > s->max_back_us ? s->back_us : s->max_back_us;
}

/* The old one cannot write its state, says so, and goes on by itself. */
static int cannot_export(void)
{
	const int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -1;
	(void)tell(g_control, CONTROL__CONTROL__BODY_EXPORT, fd);
	r = answer(g_control, CONTROL__CONTROL__BODY_EXPORTED);
	close(fd);
	return r;
}

/* What is wrong with the state, or its reader, is noticed, and the old one goes on. */
static int fail_over(struct netd next, enum ng_swap how)
{
	size_t len;
	uint8_t *b;
	int r;

	if (how == SWAP_NO_SPACE) {
		r = cannot_export();
		end_it(next, true);
		return r == 0 ? 0 : -1;
	}
	b = ng_state(&len);
	if (!b)
		return -1;
	switch (how) {
	case SWAP_TRUNCATED:
		len -= len / 3;
		break;
	case SWAP_NEWER:
		b[17]++; /* the head's first field: major */
		break;
	default:
		for (size_t i = 16; i < len; i += 61)
			b[i] ^= 0x5a;
	}
	r = how == SWAP_NEW_DIES ? 0 : give_state(next.control, b, len);
	free(b);
	end_it(next, how == SWAP_NEW_DIES);
	return r == 0 ? 0 : -1;
}

int ng_swap(enum ng_swap how)
{
	struct netd next;
	uint64_t start;

	if (netd_next(&next) < 0)
		return -1;
	if (how != SWAP_WELL && how != SWAP_GUEST_LEFT)
		return fail_over(next, how);
	start = plat_mono_ns();
	if (hand_over(next) != 1) {
		fprintf(stderr, "the connections were not handed over\n");
		return -1;
	}
	if (how == SWAP_GUEST_LEFT) {
		const struct netd old = current();

		use(next);
		if (guest_add((const uint8_t *)"somebody else...") < 0)
			return -1;
		end_it(old, false);
		return 0;
	}
	if (switch_to(next, start) < 0)
		return -1;
	count_swap();
	return 0;
}

int ng_swap_changed(void (*change)(uint8_t *state, size_t len))
{
	struct netd next;
	size_t len;
	uint8_t *b = ng_state(&len);
	int r = -1;

	if (!b)
		return -1;
	change(b, len);
	if (netd_next(&next) == 0 && give_state(next.control, b, len) == 1)
		r = switch_to(next, plat_mono_ns());
	free(b);
	return r;
}

unsigned ng_cpu_ms(void)
{
	char path[64];
	unsigned long user = 0, sys = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)g_pid);
	f = fopen(path, "r");
	if (f) {
		if (fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
		           &user, &sys) != 2)
			user = sys = 0;
		fclose(f);
	}
	return (unsigned)((user + sys) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}

int ng_gone(void)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestGone g = CONTROL__GUEST_GONE__INIT;

	g.domid = 7;
	c.body_case = CONTROL__CONTROL__BODY_GUEST_GONE;
	c.guest_gone = &g;
	if (control_send(g_control, &c, NULL, 0) < 0)
		return -1;
	return expect(CONTROL__CONTROL__BODY_RELEASED);
}

void ng_stop(void)
{
	close(g_control); /* netd ends with its supervisor */
	(void)waitpid(g_pid, NULL, 0);
}

static uint64_t g_swap_gap, g_next_swap; /* ns */

void ng_swap_every(unsigned ms)
{
	g_swap_gap = ms * 1000000ull;
	g_next_swap = plat_mono_ns() + g_swap_gap;
}

static void swap_now_and_then(void)
{
	const uint64_t gap = g_swap_gap;

	if (!gap || plat_mono_ns() < g_next_swap)
		return;
	g_swap_gap = 0; /* not within itself */
	if (ng_swap(SWAP_WELL) < 0)
		exit(1); /* it said why; all that follows would say it again */
	g_swap_gap = gap;
	g_next_swap = plat_mono_ns() + gap;
}

bool ng_until(bool (*done)(void *arg), void *arg, unsigned ms)
{
	const uint64_t end = plat_mono_ns() + ms * 1000000ull;

	while (!done(arg)) {
		swap_now_and_then();
		if (plat_mono_ns() >= end)
			return false;
		rpc_wait(plat_mono_ns() + 1000000);
	}
	return true;
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

void ng_sleep(unsigned ms)
{
	(void)ng_until(never, NULL, ms);
}
