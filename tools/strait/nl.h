/* SPDX-License-Identifier: MIT */
/*
 * nl.h - the few netlink requests that a guest's network needs.
 *
 * Layer:     tools.
 * Ownership: a socket belongs to the network namespace it was opened in.
 * Errors:    0 or a negative errno.
 */
#ifndef TOOLS_STRAIT_NL_H
#define TOOLS_STRAIT_NL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* A request under construction.  Running out of room is noticed when it is sent. */
struct nl_req {
	uint32_t len;
	bool full;
	_Alignas(8) uint8_t buf[4096];
};

/* A socket of @protocol (NETLINK_ROUTE, NETLINK_NETFILTER), or negative errno. */
int nl_open(int protocol);
void nl_begin(struct nl_req *r, uint16_t type, uint16_t flags, const void *head,
              uint32_t head_len);
void nl_attr(struct nl_req *r, uint16_t type, const void *p, uint32_t n);
void nl_attr_u32(struct nl_req *r, uint16_t type, uint32_t v);
void nl_attr_str(struct nl_req *r, uint16_t type, const char *s);
uint32_t nl_nest(struct nl_req *r, uint16_t type);
void nl_nest_end(struct nl_req *r, uint32_t at);
/* Send, and wait for the kernel's answer. */
int nl_call(int sock, struct nl_req *r);

/* Links.  @index is what if_nametoindex() gives in the socket's namespace. */
int nl_link_index(int sock, const char *name);
int nl_link_up(int sock, int index, uint32_t mtu, uint32_t txqlen);
int nl_link_down(int sock, int index);
/* A pair, @peer in the namespace of @netns_fd; both with @mtu. */
int nl_link_veth(int sock, const char *name, const char *peer, int netns_fd, uint32_t mtu);
int nl_link_delete(int sock, const char *name);
int nl_addr4(int sock, int index, struct in_addr a, unsigned prefix);
int nl_addr6(int sock, int index, const struct in6_addr *a, unsigned prefix);
int nl_addr4_delete(int sock, int index, struct in_addr a, unsigned prefix);
int nl_addr6_delete(int sock, int index, const struct in6_addr *a, unsigned prefix);
/* A route to @dst/@prefix (NULL: the default) by way of @via. */
int nl_route4(int sock, int index, const struct in_addr *dst, unsigned prefix,
              struct in_addr via);
int nl_route6(int sock, int index, const struct in6_addr *dst, unsigned prefix,
              const struct in6_addr *via);

/* A default route into a device without a gateway, of low preference. */
int nl_default4(int sock, int index, uint32_t metric);
int nl_default6(int sock, int index, uint32_t metric);

/* Call @fn for every IPv4 address and IPv4 route of the namespace. */
int nl_each_net4(int sock, void (*fn)(void *ctx, uint32_t net, unsigned prefix), void *ctx);

/* Masquerade what comes from @src4/@prefix4 (and @src6/@prefix6, NULL: not) and
 * leaves by another link.  The tables are called @name and belong to the
 * returned socket: closing it (or dying) removes them.  Negative errno on failure. */
int nft_masquerade(const char *name, struct in_addr src4, unsigned prefix4,
                   const struct in6_addr *src6, unsigned prefix6);

#endif /* TOOLS_STRAIT_NL_H */
