/* SPDX-License-Identifier: MIT */
/*
 * ports.h - which socket of the lwip stack has which local port.
 *
 * Linux's rules for bind() and listen(), the choice of ephemeral ports, and the
 * look-up of a datagram's sockets.  All guests of a netd share one address, so
 * they share this table.
 *
 * Layer:     services/netd.  Knows nothing of lwIP.
 * Ownership: a portbind is part of its socket; on the table while port != 0.
 * Locking:   none; netd has one thread.
 * Errors:    0 or negative errno.
 */
#ifndef NETD_PORTS_H
#define NETD_PORTS_H

#include "services/netd/naddr.h"

#define PORT_EPHEMERAL_MIN 32768u
#define PORT_EPHEMERAL_MAX 60999u

struct portbind {
	struct portbind *next, **prev;
	void *owner;
	struct naddr addr;   /* local address asked for, and port */
	uint8_t proto;       /* IPPROTO_* ; a ping socket's identifier is its port */
	bool v6only;
	bool reuse, reuseport;
	bool listening;
	bool by_connect;     /* port chosen by connect(): bind() may not share it, connect() may */
};

/* May @b have port @port?  0 or -EADDRINUSE.  @b need not be on the table. */
int ports_check(const struct portbind *b, uint16_t port);
/* Put @b on the table (its addr.port is set), or take it off. */
void ports_add(struct portbind *b);
void ports_del(struct portbind *b);
/* A free port for bind(0): -EADDRINUSE when there is none. */
int ports_pick(const struct portbind *b, uint16_t *port);
/* May connect() use @port, its 4-tuple being free? */
bool ports_shareable(uint8_t proto, uint16_t port);
/* The next candidate for an ephemeral port. */
uint16_t ports_candidate(void);
/* Where it stands: read it, or go on from there. */
uint32_t ports_at(const uint32_t *set);
/* The sockets on a port: first, then ->next; the caller compares proto and port. */
struct portbind *ports_on(uint8_t proto, uint16_t port);

#endif /* NETD_PORTS_H */
