/* SPDX-License-Identifier: MIT */
/*
 * netns.h - the network of one guest: a namespace, a TAP in it, the way out, and
 * the ports published on the machine.
 *
 *      program - libos ... netd (lwIP) - TAP | kernel of the namespace | veth or pasta - machine
 *                                            | published ports, names       (netkeeper)
 *
 * The netkeeper is a process that owns all of it: the namespace, the masquerading
 * tables (made with the "owner" flag), the published sockets.  When it ends, in
 * whatever way, the kernel takes them back.
 *
 * Layer: tools.
 */
#ifndef TOOLS_STRAIT_NETNS_H
#define TOOLS_STRAIT_NETNS_H

#include "tools/strait/strait.h"

#include <netinet/in.h>

#define NET_MTU 65000u
#define NET_TAP "strait0"
#define NET_PREFIX4 30u
#define NET_PREFIX6 126u

/* A block of 8 IPv4 and 8 IPv6 addresses: +1 gateway and +2 guest on the TAP's
 * link, +5 the machine and +6 the namespace on the veth's. */
struct net_plan {
	struct in_addr base4;
	struct in6_addr base6;
	char gateway4[INET_ADDRSTRLEN], guest4[INET_ADDRSTRLEN];
	char gateway6[INET6_ADDRSTRLEN], guest6[INET6_ADDRSTRLEN];
};

/* Choose addresses that nothing on the machine uses. */
void net_plan_choose(struct net_plan *p, const char *name);
struct in_addr net_plan_addr4(const struct net_plan *p, unsigned i);
struct in6_addr net_plan_addr6(const struct net_plan *p, unsigned i);

/* What the netkeeper tells the supervisor, over a SOCK_SEQPACKET socket: the TAP
 * (with its descriptor, that of its namespace, and a netlink socket there), then how
 * the way out came to be. */
#define KEEPER_TAP_FDS 3
enum keeper_word { KEEPER_TAP = 1, KEEPER_OUT, KEEPER_NO_OUT };
struct keeper_msg {
	uint32_t word;
	uint32_t vnet_hdr; /* KEEPER_TAP */
	uint32_t offload;
	uint32_t mtu;
	char text[200];    /* KEEPER_NO_OUT: why */
};

struct keeper {
	const struct run_opts *opts;
	const struct net_plan *plan;
	int sock; /* the supervisor's other end: end of file means: finish */
};

/* The netkeeper's body (child_spec.fn); @arg is a struct keeper. */
int keeper_main(void *arg);

/* Bind every published port; says and exits 125 when one is taken. */
void ports_bind(struct run_opts *o);

#endif /* TOOLS_STRAIT_NETNS_H */
