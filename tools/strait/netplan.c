/* SPDX-License-Identifier: MIT */
/*
 * netplan.c - addresses for a guest's network, and its ports on the machine.
 *
 * Each guest takes eight addresses of 10.213.0.0/16 and of a private IPv6 network.
 * The first choice follows from its name, so that it keeps them; a block that
 * touches anything the machine routes by more than the default is passed over.
 */
#include "tools/strait/netns.h"
#include "tools/strait/nl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POOL 0x0ad50000u /* 10.213.0.0 */
#define BLOCKS 8192u     /* of 8 addresses */
#define TRIES 64

struct probe {
	uint32_t base[TRIES];
	bool taken[TRIES];
};

static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h ^ h >> 15;
}

static void mark_taken(void *ctx, uint32_t net, unsigned prefix)
{
	struct probe *p = ctx;
	uint32_t mask = prefix >= 29 ? 0xfffffff8u : ~0u << (32 - prefix);

	for (int i = 0; i < TRIES; i++)
		if (((p->base[i] ^ net) & mask) == 0)
			p->taken[i] = true;
}

struct in_addr net_plan_addr4(const struct net_plan *p, unsigned i)
{
	return (struct in_addr){ .s_addr = htonl(ntohl(p->base4.s_addr) + i) };
}

struct in6_addr net_plan_addr6(const struct net_plan *p, unsigned i)
{
	struct in6_addr a = p->base6;

	a.s6_addr[15] = (uint8_t)(a.s6_addr[15] + i);
	return a;
}

void net_plan_choose(struct net_plan *p, const char *name)
{
	static struct probe probe;
	uint32_t h = hash(name);
	int sock = nl_open(NETLINK_ROUTE), k = 0;

	for (int i = 0; i < TRIES; i++)
		probe.base[i] = POOL + (h + (uint32_t)i * 2503u) % BLOCKS * 8;
	/* Without an answer the first choice is as good as any. */
	if (sock >= 0) {
		(void)nl_each_net4(sock, mark_taken, &probe);
		close(sock);
	}
	while (k < TRIES - 1 && probe.taken[k])
		k++;
	p->base4.s_addr = htonl(probe.base[k]);
	(void)inet_pton(AF_INET6, "fd73:7472:6169::", &p->base6);
	uint16_t block = htons((uint16_t)((probe.base[k] - POOL) / 8 + 1));

	memcpy(&p->base6.s6_addr[6], &block, sizeof(block));
	struct in_addr gate4 = net_plan_addr4(p, 1), guest4 = net_plan_addr4(p, 2);
	struct in6_addr gate6 = net_plan_addr6(p, 1), guest6 = net_plan_addr6(p, 2);

	inet_ntop(AF_INET, &gate4, p->gateway4, sizeof(p->gateway4));
	inet_ntop(AF_INET, &guest4, p->guest4, sizeof(p->guest4));
	inet_ntop(AF_INET6, &gate6, p->gateway6, sizeof(p->gateway6));
	inet_ntop(AF_INET6, &guest6, p->guest6, sizeof(p->guest6));
}

static void bind_one(struct port_opt *p)
{
	int one = 1;

	p->fd = socket(p->addr.ss_family, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		die(EXIT_STRAIT, "-p %s: cannot make a socket: %s", p->text, strerror(errno));
	if (p->addr.ss_family == AF_INET6) /* ours alone: IPv4 is asked for by itself */
		(void)setsockopt(p->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (!p->udp)
		(void)setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(p->fd, (struct sockaddr *)&p->addr, p->addr_len) &&
	    (p->udp || !listen(p->fd, SOMAXCONN)))
		return;
	if (errno == EADDRINUSE)
		die(EXIT_STRAIT,
		    "-p %s: port %u is taken on this machine; free it, or publish on another",
		    p->text, p->host);
	if (errno == EACCES)
		die(EXIT_STRAIT,
		    "-p %s: port %u is for root only; publish on one above 1023", p->text,
		    p->host);
	die(EXIT_STRAIT, "-p %s: cannot listen: %s", p->text, strerror(errno));
}

void ports_bind(struct run_opts *o)
{
	for (unsigned i = 0; i < o->n_ports; i++)
		bind_one(&o->ports[i]);
}
