/* SPDX-License-Identifier: MIT */
/*
 * netns.c - the process inside a guest's network namespace ("inside").
 *
 * It makes the namespace and the TAP, hands the TAP to the supervisor, carries
 * published ports, and sets up its end of the way out as the netkeeper says.
 */
#include "tools/strait/child.h"
#include "tools/strait/hold.h"
#include "tools/strait/keeper_priv.h"
#include "tools/strait/nl.h"
#include "tools/strait/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TXQUEUE 10000u /* frames: a TAP's default drops under load */
#define OUT_MS 10000   /* the way out must be there by then */
#define DRAIN_MS 3000  /* for connections under way when the guest is gone */
#define DNS_PORT 53

struct inside {
	const struct keeper *k;
	int netkeeper;           /* socket to it */
	int nl;
	int routes;              /* a socket that hears of new routes; -1 */
	struct hold hold;
	bool wanted;             /* the way out was asked for */
	uint64_t out_by;         /* monotonic ms: later than this it will not come */
	struct relay *relay;
	bool stopping;
};

static void tun_fail(int err)
{
	if (err == ENOENT || err == ENXIO || err == ENODEV)
		die(EXIT_STRAIT, "--net lwip needs /dev/net/tun, which is not there: load the "
		                 "module tun, or use --net host or --net none");
	if (err == EACCES || err == EPERM)
		die(EXIT_STRAIT, "--net lwip may not open /dev/net/tun (%s): let users open it "
		                 "(chmod 0666 /dev/net/tun), or use --net host or --net none",
		    strerror(err));
	die(EXIT_STRAIT, "--net lwip cannot make a TAP device: %s", strerror(err));
}

/* The TAP, with checksums and the cutting of large segments left to the kernel where
 * it can. */
static int make_tap(struct keeper_msg *m)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int size = sizeof(struct virtio_net_hdr);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		tun_fail(errno);
	strcpy(ifr.ifr_name, NET_TAP);
	/* Persistent: else the last to close it waits for the kernel's network to
	 * come to rest.  The namespace takes it along when it ends. */
	if (ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETPERSIST, 1) ||
	    ioctl(fd, TUNSETVNETHDRSZ, &size))
		tun_fail(errno);
	m->vnet_hdr = (uint32_t)size;
	m->offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	if (ioctl(fd, TUNSETOFFLOAD, m->offload))
		m->offload = ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM) ? 0 : TUN_F_CSUM;
	m->mtu = NET_MTU;
	return fd;
}

static void configure_tap(struct inside *in)
{
	const struct net_plan *p = in->k->plan;
	struct in6_addr gate6 = net_plan_addr6(p, 1);
	int tap = nl_link_index(in->nl, NET_TAP);
	int lo = nl_link_index(in->nl, "lo");
	int err;

	if ((err = tap < 0 ? tap : 0) || (err = nl_link_up(in->nl, lo, 0, 0)) ||
	    (err = nl_link_up(in->nl, tap, NET_MTU, TXQUEUE)) ||
	    (err = nl_addr4(in->nl, tap, net_plan_addr4(p, 1), NET_PREFIX4)))
		die(EXIT_STRAIT, "--net lwip: cannot set up the TAP device: %s", strerror(-err));
	/* A kernel without IPv6 leaves us IPv4. */
	(void)nl_addr6(in->nl, tap, &gate6, NET_PREFIX6);
}

/* And what is needed to serve the guest without it (run_backend.c). */
static void send_tap(const struct inside *in, const struct keeper_msg *m, int tap)
{
	int fds[KEEPER_TAP_FDS] = { tap, open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC),
		                    nl_open(NETLINK_ROUTE) };

	if (fds[1] < 0 || fds[2] < 0)
		die(EXIT_STRAIT, "--net lwip: cannot hand over the network namespace: %s",
		    strerror(fds[1] < 0 ? errno : -fds[2]));
	if (keeper_send(in->k->sock, m, sizeof(*m), fds, KEEPER_TAP_FDS))
		_exit(EXIT_STRAIT); /* the supervisor is gone */
	close(fds[1]);
	close(fds[2]);
}

/* A socket on the gateway's address, for the netkeeper to answer names on. */
static int dns_socket(const struct inside *in, int type)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_port = htons(DNS_PORT),
		.sin_addr = net_plan_addr4(in->k->plan, 1),
	};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    (type == SOCK_STREAM && listen(fd, 64)))
		die(EXIT_STRAIT, "--net lwip: cannot answer names for the guest: %s",
		    strerror(errno));
	return fd;
}

/* The namespace and the sockets that only we can make there. */
static void tell_netkeeper(const struct inside *in)
{
	struct keeper_word_msg m = { .word = WORD_MADE };
	int fds[3] = { open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC),
		       dns_socket(in, SOCK_DGRAM), dns_socket(in, SOCK_STREAM) };

	if (fds[0] < 0 || keeper_send(in->netkeeper, &m, sizeof(m), fds, 3))
		die(EXIT_STRAIT, "--net lwip: cannot hand over the network namespace: %s",
		    strerror(errno));
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void publish(struct inside *in)
{
	const struct run_opts *o = in->k->opts;
	struct in_addr guest4 = net_plan_addr4(in->k->plan, 2);

	in->relay = relay_new();
	if (!in->relay)
		die(EXIT_STRAIT, "-p: cannot publish: %s", strerror(errno));
	for (unsigned i = 0; i < o->n_ports; i++) {
		struct sockaddr_in to = {
			.sin_family = AF_INET,
			.sin_port = htons(o->ports[i].guest),
			.sin_addr = guest4,
		};
		int err = relay_add(in->relay, o->ports[i].fd, o->ports[i].udp,
		                    (struct sockaddr *)&to, sizeof(to));

		if (err)
			die(EXIT_STRAIT, "-p %s: cannot publish: %s", o->ports[i].text,
			    strerror(-err));
	}
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return; /* no such protocol here; what needs it says so */
	(void)!write(fd, text, strlen(text));
	close(fd);
}

/* What the guest sends out may pass; here only, not on the machine.  What was held
 * comes back from a device that has no route to the guest. */
static void forward(void)
{
	put("/proc/sys/net/ipv6/conf/all/forwarding", "1");
	put("/proc/sys/net/ipv4/ip_forward", "1");
	put("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
	put("/proc/sys/net/ipv4/conf/" HOLD_DEVICE "/rp_filter", "0");
	put("/proc/sys/net/ipv4/conf/" HOLD_DEVICE "/accept_local", "1"); /* run_backend.c */
}

/* Of what only root may, keep what the way out needs; in the end nothing. */
static void lock_in(bool settled)
{
	const struct child_spec spec = {
		.what = "the guest's network",
		.root = ROOT_EMPTY,
		.gate = -1,
		.exec_fd = -1,
		.caps = settled ? 0 : 1ull << CAP_NET_ADMIN | 1ull << CAP_SETPCAP,
	};

	if (!settled)
		child_lock_files(&spec);
	child_lock_rights(&spec);
}

static void report(struct inside *in, const char *why)
{
	struct keeper_msg m = { .word = why ? KEEPER_NO_OUT : KEEPER_OUT };
	struct keeper_word_msg w = { .word = WORD_SETTLED };

	if (why) {
		snprintf(m.text, sizeof(m.text), "%s", why);
		hold_refuse(&in->hold, in->nl);
	} else {
		hold_release(&in->hold);
	}
	in->out_by = 0;
	lock_in(true);
	(void)keeper_send(in->k->sock, &m, sizeof(m), NULL, 0);
	(void)keeper_send(in->netkeeper, &w, sizeof(w), NULL, 0);
	if (in->routes >= 0)
		close(in->routes);
	in->routes = -1;
}

static void veth_inside(struct inside *in)
{
	const struct net_plan *p = in->k->plan;
	struct in6_addr me6 = net_plan_addr6(p, 6), via6 = net_plan_addr6(p, 5);
	int i = nl_link_index(in->nl, VETH_INSIDE), err;

	if ((err = i < 0 ? i : 0) || (err = nl_link_up(in->nl, i, 0, 0)) ||
	    (err = nl_addr4(in->nl, i, net_plan_addr4(p, 6), NET_PREFIX4)) ||
	    (err = nl_route4(in->nl, i, NULL, 0, net_plan_addr4(p, 5)))) {
		report(in, strerror(-err));
		return;
	}
	if (!nl_addr6(in->nl, i, &me6, NET_PREFIX6))
		(void)nl_route6(in->nl, i, NULL, 0, &via6);
	report(in, NULL);
}

/* pasta brings a link with a default route; hear of it. */
static void watch_routes(struct inside *in)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_ROUTE };

	in->routes = nl_open(NETLINK_ROUTE);
	if (in->routes >= 0 && bind(in->routes, (struct sockaddr *)&a, sizeof(a))) {
		close(in->routes);
		in->routes = -1;
	}
}

static bool is_default_route(void *buf, size_t n)
{
	struct nlmsghdr *h = buf;

	for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		const struct rtmsg *m = NLMSG_DATA(h);

		if (h->nlmsg_type == RTM_NEWROUTE && m->rtm_dst_len == 0 &&
		    m->rtm_table == RT_TABLE_MAIN)
			return true;
	}
	return false;
}

/* pasta knows only the namespace's own address: the guest hides behind it. */
static void pasta_inside(struct inside *in)
{
	const struct net_plan *p = in->k->plan;
	struct in6_addr base6 = p->base6;
	int nft = nft_masquerade("strait", p->base4, 29, &base6, 125);

	if (nft == -EAFNOSUPPORT || nft == -EOPNOTSUPP)
		nft = nft_masquerade("strait", p->base4, 29, NULL, 0);
	if (nft < 0) {
		char why[160];

		snprintf(why, sizeof(why), "nf_tables refuses to masquerade: %s", strerror(-nft));
		report(in, why);
		return;
	}
	report(in, NULL); /* the socket stays open: the tables are its */
}

static void on_routes(struct inside *in)
{
	_Alignas(8) uint8_t buf[8192];
	ssize_t n = recv(in->routes, buf, sizeof(buf), MSG_DONTWAIT);

	if (n > 0 && is_default_route(buf, (size_t)n))
		pasta_inside(in);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_hold(struct inside *in)
{
	struct keeper_word_msg m = { .word = WORD_WANTED };

	if (!hold_read(&in->hold) || in->wanted)
		return;
	in->wanted = true;
	in->out_by = now_ms() + OUT_MS;
	watch_routes(in);
	(void)keeper_send(in->netkeeper, &m, sizeof(m), NULL, 0);
}

static void on_netkeeper(struct inside *in)
{
	struct keeper_word_msg m;
	ssize_t n = recv(in->netkeeper, &m, sizeof(m), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n != (ssize_t)sizeof(m)) {
		close(in->netkeeper);
		in->netkeeper = -1;
		return;
	}
	m.text[sizeof(m.text) - 1] = 0;
	if (m.word == WORD_VETH)
		veth_inside(in);
	else if (m.word == WORD_NONE)
		report(in, m.text);
}

static void on_supervisor(struct inside *in)
{
	char c;

	if (recv(in->k->sock, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
		return;
	in->stopping = true;
	relay_stop_listening(in->relay);
}

static void serve(struct inside *in)
{
	uint64_t end = 0;

	while (!in->stopping || (relay_open(in->relay) && now_ms() < end)) {
		int wait = in->stopping ? 50 : in->out_by ? 500 : relay_timeout(in->relay);
		struct pollfd p[5] = {
			{ .fd = relay_fd(in->relay), .events = POLLIN },
			{ .fd = in->netkeeper, .events = POLLIN },
			{ .fd = in->routes, .events = POLLIN },
			{ .fd = in->stopping ? -1 : in->k->sock, .events = POLLIN },
			{ .fd = in->hold.fd, .events = POLLIN },
		};

		if (poll(p, 5, wait) < 0 && errno != EINTR)
			return;
		relay_step(in->relay);
		if (p[1].revents)
			on_netkeeper(in);
		if (p[2].revents && in->routes >= 0)
			on_routes(in);
		if (p[3].revents) {
			on_supervisor(in);
			end = now_ms() + DRAIN_MS;
		}
		if (p[4].revents & POLLIN && in->hold.fd >= 0)
			on_hold(in);
		if (in->out_by && now_ms() > in->out_by)
			report(in, "it did not come up in time");
	}
}

int inside_main(const struct keeper *k, int netkeeper)
{
	struct inside in = { .k = k, .netkeeper = netkeeper, .routes = -1 };
	int err;
	struct keeper_msg m = { .word = KEEPER_TAP };

	signal(SIGPIPE, SIG_IGN); /* splice() to a connection that was reset */
	if (unshare(CLONE_NEWNET | CLONE_NEWNS))
		die(EXIT_STRAIT, "--net lwip cannot make a network namespace: %s",
		    strerror(errno));
	in.nl = nl_open(NETLINK_ROUTE);
	if (in.nl < 0)
		die(EXIT_STRAIT, "--net lwip: no netlink socket: %s", strerror(-in.nl));
	int tap = make_tap(&m);

	configure_tap(&in);
	err = hold_open(&in.hold, in.nl, k->plan);
	if (err)
		die(EXIT_STRAIT, "--net lwip: cannot make the device %s: %s", HOLD_DEVICE,
		    strerror(-err));
	forward();
	tell_netkeeper(&in);
	/* Now: what the guest sends first must find a way, or who answers names. */
	send_tap(&in, &m, tap);
	close(tap); /* netd's alone from here on */
	publish(&in);
	lock_in(false);
	serve(&in);
	return 0;
}
