/* SPDX-License-Identifier: MIT */
/*
 * lwip_priv.h - what the files of the lwip stack share.
 *
 * A connection is struct lsock; everything that a hand-over to another instance
 * must move is reachable from the list g_lsocks: offsets and options in struct
 * sock, received pbufs in rx, bytes that lwIP has not taken in tx, the pcb.
 *
 * Layer:     services/netd, lwIP side, private.
 * Ownership: an lsock owns its pcb until it detaches; lwIP then ends the
 *            connection alone.
 * Locking:   none; netd has one thread.
 */
#ifndef NETD_LWIP_PRIV_H
#define NETD_LWIP_PRIV_H

#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"
#include "services/netd/demux.h"
#include "services/netd/netd.h"
#include "services/netd/ports.h"

#define HALF_MAX 4096u /* half-open connections of one listener */
#define CORK_MS 200u

/* Bytes posted by the guest that lwIP has not taken yet. */
struct tx_chunk {
	struct tx_chunk *next;
	uint32_t len, off;
	uint8_t data[];
};

struct rx_dgram {
	struct rx_dgram *next;
	struct pbuf *p;
	struct naddr peer, local;
	uint8_t ttl, tos, ifindex;
};

struct lsock {
	struct sock s;             /* first */
	struct lsock *next, **prev; /* g_lsocks */
	struct portbind port;
	bool port_chosen;          /* by connect() or send, not by bind() */
	bool port_asked;           /* bind() named it: it outlives a disconnecting */

	/* TCP */
	struct tcp_pcb *pcb;       /* NULL: over.  A listener's is a tcp_pcb_listen */
	struct demux_ent *half;    /* listener: its half-open connections */
	unsigned n_half;
	struct pbuf *rx, *rx_tail; /* chained by next; tot_len means nothing */
	uint32_t rx_off;           /* bytes of rx already pushed */
	uint32_t window;           /* receive window given at the start */
	struct tx_chunk *tx, *tx_tail;
	uint32_t tx_bytes;
	bool fin_wanted;           /* FIN when tx is empty */
	bool orphan;               /* closed by the guest; freed when done */
	uint64_t progress_ms;      /* TCP_USER_TIMEOUT: the last acknowledgement */
	struct lsock *dirty_next, **dirty_prev; /* output is due */
	struct lsock *wait_next, **wait_prev;   /* corked, or accept deferred */
	uint64_t wait_until;       /* ms */
	struct lsock *deferred_by; /* TCP_DEFER_ACCEPT: the listener */
	unsigned n_deferred;       /* a listener: those that wait so */

	/* datagrams */
	struct udp_pcb *udp;       /* never on lwIP's list: only a bag of options */
	struct rx_dgram *dq, *dq_tail;
	uint32_t dq_bytes;
	uint64_t n_dropped;
};

extern struct lsock *g_lsocks;

static inline struct lsock *lsock_of(struct sock *s)
{
	return (struct lsock *)(void *)s;
}

/* ---- lwip_core.c ---- */
void naddr_to_lwip(const struct naddr *a, ip_addr_t *out);
void naddr_from_lwip(const ip_addr_t *ip, uint16_t port, struct naddr *a);
/* An address of ours that bind() may take (not the wildcard). */
bool lwip_is_local(const struct naddr *a);
/* The interface towards @a and our address there.  0 or -ENETUNREACH. */
int lwip_route(const struct naddr *a, const struct naddr *bound, struct netif **netif,
               ip_addr_t *src);
struct netif *lwip_netif(uint32_t index); /* 0: the default; NULL: none */
/* Take a local port for @l: @a from bind(), or NULL to choose. */
int lwip_bind(struct lsock *l, const struct naddr *a);
void lwip_bind_fill(struct lsock *l); /* copy options into l->port */
void lsock_add(struct lsock *l);
void lsock_del(struct lsock *l); /* off all lists; queues freed */
int lwip_info(Net__InfoRep *rep);
struct netif *lwip_eth(void);    /* NULL: loop-back alone */
uint32_t lwip_clock_ahead(const uint32_t *set); /* of TCP's timestamps, ms */

/* ---- lwip_tcp.c ---- */
void lwip_tcp_init(void);
int tcp_open(struct lsock *l);
int tcp_bind_opts(struct lsock *l);
int tcp_do_listen(struct lsock *l);
int tcp_listen_start(struct lsock *l);
int tcp_restore(struct lsock *l, struct tcp_pcb *pcb, bool half, bool reuse);
int tcp_do_connect(struct lsock *l, const struct naddr *a);
void tcp_do_close(struct lsock *l, bool abort);
uint32_t tcp_reset_orphans(void);
void tcp_lost(const struct naddr *local, const struct naddr *peer);
int tcp_do_shutdown(struct lsock *l, int how);
int tcp_do_disconnect(struct lsock *l);
void tcp_apply(struct lsock *l);
void tcp_fail(struct lsock *l, int err); /* positive errno; while connecting, or timed out */
int tcp_info_get(struct lsock *l, void *val, uint32_t *len);

/* ---- lwip_rx.c ---- */
void rx_first_window(struct lsock *l); /* at the handshake's end */
void rx_announce(struct lsock *l);     /* of a connection: after input */
void tcp_rx_window(struct lsock *l);
uint32_t tcp_rx_peek(struct sock *s, uint32_t max, struct iovec *io, int *n_io);
void tcp_rx_take(struct sock *s, uint32_t n);
void tcp_rx_free(struct lsock *l);

/* ---- lwip_tx.c ---- */
void tx_send(struct sock *s, const void *data, uint32_t len, bool more);
/* Give lwIP what it takes.  False: @l was an orphan, done and freed. */
bool tx_drain(struct lsock *l);
/* Bytes to the end of tx.  -ENOMEM: none of them. */
int tx_append(struct lsock *l, const void *data, uint32_t len);
void tx_dirty(struct lsock *l);  /* output before the loop sleeps */
void tx_clean(struct lsock *l);
void tx_fin(struct lsock *l);    /* FIN after all that is queued */
void tx_free(struct lsock *l);
bool tx_flush(void);
void wait_add(struct lsock *l, uint64_t until_ms);
void wait_del(struct lsock *l);
uint64_t wait_deadline(void);
void wait_run(uint64_t now_ms);
void tcp_defer_end(struct lsock *l); /* hand a deferred connection to its listener */

/* ---- lwip_dgram.c ---- */
int dgram_open(struct lsock *l);
int dgram_connect(struct lsock *l, const struct naddr *a);
int dgram_disconnect(struct lsock *l);
int dgram_send(struct sock *s, const struct dgram *d);
int dgram_rx_peek(struct sock *s, struct dgram *d);
void dgram_rx_take(struct sock *s);
void dgram_free(struct lsock *l);
int dgram_group(struct sock *s, const struct naddr *g, uint32_t ifindex, bool join);
void dgram_append(struct lsock *l, struct rx_dgram *d); /* takes @d, whatever is queued */
/* Queue @p (borrowed) for @l; dropped when its queue is full. */
void dgram_queue(struct lsock *l, struct pbuf *p, const struct naddr *peer,
                 const struct naddr *local);

/* ---- move_lwip.c ---- */
struct move_out;
struct move_in;
struct Netstate__Head;
void lwip_head(struct Netstate__Head *h);
void lwip_seal(void);
void lwip_export(struct move_out *o);
int lwip_import(struct move_in *in);
void lwip_go(void);

/* ---- lwip_icmp.c ---- */
int ping_send(struct lsock *l, const struct dgram *d);

#endif /* NETD_LWIP_PRIV_H */
