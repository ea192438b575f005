/* SPDX-License-Identifier: MIT */
/*
 * naddr.h - an address and port as netd handles them, free of lwIP and kernel types.
 *
 * IPv4 is always 4 bytes here, also on an AF_INET6 socket; on the wire such a
 * socket sees it mapped (::ffff:a.b.c.d).
 *
 * Layer:  services/netd.
 */
#ifndef NETD_NADDR_H
#define NETD_NADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct naddr {
	uint8_t ip[16]; /* network order */
	uint8_t len;    /* 4, 16, or 0: none */
	uint16_t port;  /* host order */
	uint32_t scope;
};

static inline bool naddr_any(const struct naddr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->ip, zero, a->len) == 0;
}

static inline bool naddr_same_ip(const struct naddr *a, const struct naddr *b)
{
	return a->len == b->len && memcmp(a->ip, b->ip, a->len) == 0;
}

static inline bool naddr_multicast(const struct naddr *a)
{
	return a->len == 4 ? (a->ip[0] & 0xf0) == 0xe0 : a->len == 16 && a->ip[0] == 0xff;
}

#endif /* NETD_NADDR_H */
