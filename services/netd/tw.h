/* SPDX-License-Identifier: MIT */
/*
 * tw.h - TIME_WAIT as a record of fixed size, and the key of a connection.
 *
 * Layer:   services/netd, lwIP side.
 * Locking: none; netd has one thread.
 * Memory:  TW_MAX records at most; beyond it the oldest is given up early.
 */
#ifndef NETD_TW_H
#define NETD_TW_H

#include "lwip/ip_addr.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "rpc/siphash.h"

#include <stdbool.h>
#include <stdint.h>

#define TW_MAX 131072u
#define TW_MS (2u * TCP_MSL)
/* Between two answers to segments without data that lie outside of a window.  Two ends
 * that do not agree on it would else answer each other for ever. */
#define STRAY_MS 100u

/* Both ends of a connection; IPv4 as ::ffff:a.b.c.d. */
struct tuple {
	uint8_t rip[16], lip[16];
	uint16_t rport, lport;
	uint32_t zero;
};
_Static_assert(sizeof(struct tuple) == 40, "tuple is hashed whole");

/* What netd must know of a connection in TIME_WAIT. */
struct tw {
	struct tuple t;
	uint32_t snd_nxt, rcv_nxt, ts_recent, wnd;
	uint64_t expires; /* ms */
	uint64_t stray_ms; /* as in struct demux_ent */
	uint8_t flags, ttl, tos, rcv_scale;
	uint32_t hash_next, prev, next; /* index + 1 */
};
#define TW_F_TS 1u
#define TW_F_REUSE 2u

enum tw_verdict {
	TW_NONE,  /* no such record */
	TW_DONE,  /* answered or dropped; the pbuf is still the caller's */
	TW_TAKEN, /* a new connection takes over: record gone, netd_isn() set up */
};

void tuple_make(struct tuple *t, const ip_addr_t *lip, uint16_t lport, const ip_addr_t *rip,
                uint16_t rport);
uint64_t tuple_hash(const struct tuple *t);

/* Seeds the keys of the tables and of sequence numbers. */
void tw_init(void);
void tw_add(const struct tcp_pcb *pcb, bool reuse, uint64_t now_ms);
bool tw_has(const struct tuple *t);
/* A segment at the TCP header that met no connection. */
enum tw_verdict tw_input(struct pbuf *p, struct netif *inp, const struct tuple *t,
                         uint64_t now_ms);
void tw_input_end(void); /* after the segment that TW_TAKEN was said for */
void tw_expire(uint64_t now_ms);
/* The records in order of expiry, and one from another netd: later than all here. */
const struct tw *tw_next(const struct tw *w); /* NULL: the first; returns NULL at the end */
int tw_restore(const struct tw *w);
/* The key of sequence numbers: read it, or go on with another netd's. */
void tw_isn_key(uint8_t key[16], bool set);
/* A segment of a connection that is not here any more.  Its peer answers from where
 * it is, and gets a RST that it believes. */
void tw_probe(const struct tuple *t);
uint64_t tw_deadline(void);
unsigned tw_count(void);
/* Records on a local port: all, and those that SO_REUSEADDR does not get past. */
unsigned tw_on_port(uint16_t lport, bool hard_only);

#endif /* NETD_TW_H */
