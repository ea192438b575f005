/* SPDX-License-Identifier: MIT */
/*
 * demux.h - finds the connection of a TCP segment in constant time.
 *
 * lwIP keeps connections on lists and walks them for each segment, timer and
 * port.  Here, outside of a call into lwIP, those lists are empty: every
 * connection lies in a hash table, and the linker sends lwIP's calls of
 * tcp_input() to __wrap_tcp_input(), which makes the one matching connection
 * the whole list for the length of the call.  TIME_WAIT is a small record (tw.h).
 *
 * Layer:     services/netd, lwIP side.
 * Ownership: an entry lives from a pcb's birth to its tcp_free(), on every path.
 * Locking:   none; netd has one thread.
 * Memory:    one entry a connection, malloc.
 */
#ifndef NETD_DEMUX_H
#define NETD_DEMUX_H

#include "lwip/priv/tcp_priv.h"

#include <stdbool.h>
#include <stdint.h>

struct demux_ent {
	struct tcp_pcb *pcb;
	void *owner;    /* the listener while half is set, else the connection */
	bool half;      /* SYN_RCVD */
	bool reuse;     /* its socket had SO_REUSEADDR: TIME_WAIT does not block bind */
	uint64_t stray_ms; /* when a segment without data from outside its window was answered */
	uint64_t hash;
	struct demux_ent *hash_next, **hash_prev;
	struct demux_ent *timer_next, **timer_prev; /* lwIP's timers have work for it */
	struct demux_ent *ka_next, **ka_prev;       /* SO_KEEPALIVE */
	struct demux_ent *half_next, **half_prev;   /* half-open ones of one listener */
};

struct demux_ops {
	/* A SYN for @listener made @pcb.  0, or -1: drop it silently. */
	int (*on_syn)(void *listener, struct demux_ent *e);
	/* The pcb is being freed: forget it. */
	void (*on_gone)(void *owner, bool half);
	/* lwIP worked on the pcb (input or a timer); it still exists. */
	void (*on_after)(void *owner);
};

void demux_init(const struct demux_ops *ops);

/* Arm a listener: connections born from it are reported with its callback_arg. */
void demux_listener(struct tcp_pcb *listener);

/* Take everything off lwIP's lists, after tcp_connect(). */
void demux_adopt(void);
/* After any call on @pcb outside of input: does it need timers? */
void demux_touch(struct tcp_pcb *pcb);
struct demux_ent *demux_entry(struct tcp_pcb *pcb);
/* Half-open entries: into and out of the list at *head. */
void demux_half_add(struct demux_ent *e, struct demux_ent **head);
void demux_half_del(struct demux_ent *e);

/* Put every connection back on lwIP's list (address change); undone by demux_adopt(). */
void demux_chain_all(void);

/* A connection that came from another netd, on none of lwIP's lists: it gets its
 * entry.  NULL without memory. */
struct demux_ent *demux_restore(struct tcp_pcb *pcb);

/* True if a connection or a TIME_WAIT record has this 4-tuple. */
bool demux_used(const ip_addr_t *lip, uint16_t lport, const ip_addr_t *rip, uint16_t rport);
unsigned demux_count(void);

/* Timers, in ms of the monotonic clock.  demux_clock() first in each turn. */
void demux_clock(uint64_t now_ms);
uint64_t demux_deadline(void); /* UINT64_MAX: nothing pending */
void demux_run(uint64_t now_ms);

#endif /* NETD_DEMUX_H */
