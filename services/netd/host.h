/* SPDX-License-Identifier: MIT */
/*
 * host.h - what the files of the host stack share.
 *
 * Layer:     services/netd, host stack, private.
 * Ownership: a hsock owns its kernel socket and its queue.
 * Locking:   none; netd has one thread.
 */
#ifndef NETD_HOST_H
#define NETD_HOST_H

#include "services/netd/netd.h"

struct host_chunk {
	struct host_chunk *next;
	uint32_t len, off;
	uint8_t data[];
};

struct host_dgram {
	struct naddr peer, local;
	uint32_t ttl, tos, ifindex, len;
	uint8_t data[];
};

struct hsock {
	struct sock s; /* first */
	struct hsock *next, **prev;
	int fd;
	bool watched;
	bool port_asked;           /* by bind(): it outlives a disconnecting */
	bool readable;             /* listener: the kernel has connections */
	struct host_chunk *tx, *tx_tail;
	bool fin_wanted, orphan;
	struct host_dgram *stash;  /* received, not pushed yet */
	uint32_t peeked;           /* bytes of the static buffer that rx_peek() lent */
};

static inline struct hsock *hsock_of(struct sock *s)
{
	return (struct hsock *)(void *)s;
}

extern struct hsock *g_hsocks;

/* ---- host.c ---- */
void host_add(struct hsock *h, int fd); /* takes @fd */
/* Bytes to the end of tx.  -ENOMEM: none of them. */
int host_tx_append(struct hsock *h, const void *data, uint32_t len);

/* ---- move_host.c ---- */
struct move_out;
struct move_in;
struct Netstate__Head;
void host_head(struct Netstate__Head *h);
void host_export(struct move_out *o);
int host_import(struct move_in *in);

/* ---- host_dgram.c ---- */
void host_dgram_setup(struct hsock *h);
int host_dgram_send(struct sock *s, const struct dgram *d);
int host_dgram_peek(struct sock *s, struct dgram *d);
void host_dgram_take(struct sock *s);
int host_group(struct sock *s, const struct naddr *g, uint32_t ifindex, bool join);
socklen_t host_to_kernel(const struct sock *s, const struct naddr *a,
                         struct sockaddr_storage *out);
void host_from_kernel(const struct sockaddr_storage *ss, struct naddr *a);
int host_info(Net__InfoRep *rep);
int host_info_start(void);

#endif /* NETD_HOST_H */
