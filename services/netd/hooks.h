/* SPDX-License-Identifier: MIT */
/*
 * hooks.h - the hooks that lwIP calls in netd.
 *
 * Layer:  services/netd.  Included by lwIP itself.
 */
#ifndef NETD_HOOKS_H
#define NETD_HOOKS_H

#include "lwip/arch.h"
#include "lwip/ip_addr.h"

struct netif;

/* RFC 6528: initial sequence number from a keyed hash of the 4-tuple and a clock. */
u32_t netd_isn(const ip_addr_t *lip, u16_t lport, const ip_addr_t *rip, u16_t rport);
#define LWIP_HOOK_TCP_ISN(lip, lport, rip, rport) netd_isn(lip, lport, rip, rport)

/* The configured IPv6 gateway, or NULL. */
const ip6_addr_t *netd_gateway6(struct netif *netif, const ip6_addr_t *dest);
#define LWIP_HOOK_ND6_GET_GW(netif, dest) netd_gateway6(netif, dest)

#endif /* NETD_HOOKS_H */
