/* SPDX-License-Identifier: MIT */
/*
 * link.h - frames between the lwip stack and its device: a TAP, or a network
 * interface of netd's own behind an AF_PACKET socket.
 *
 * The descriptor is handed over by the supervisor.  With a vnet header the kernel
 * takes TCP segments without a checksum and, where offload says so, many segments
 * as one frame; it marks what it has verified, and hands over such large frames
 * itself.  Between device and stack may lie a test link that delays, drops,
 * doubles and reorders (link_test.c).
 *
 * Layer:     services/netd, lwIP side.
 * Ownership: the link owns the descriptor.
 * Locking:   none; netd has one thread.
 * Errors:    0 or negative errno.
 */
#ifndef NETD_LINK_H
#define NETD_LINK_H

#include "lwip/netif.h"

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define LINK_MTU_MAX 65521u /* an Ethernet frame must fit a pbuf's 16-bit length */
#define LINK_HDR_MAX 32u
#define LINK_VNET_MIN sizeof(struct virtio_net_hdr)

/* What the stack takes: the IP or ARP packet without its Ethernet header (takes
 * @p).  @trusted: the kernel made or verified its TCP and UDP checksum. */
typedef void link_input_fn(struct pbuf *p, uint16_t ethertype, bool trusted);

/* On a received pbuf: it holds several segments of TCP. */
#define LINK_PBUF_SEGMENTS 0x80u

/* @vnet_hdr: bytes of header before each frame, 0, 10 or 12.  @offload: TUN_F_TSO4
 * and TUN_F_TSO6 if the device takes such frames. */
int link_open(int fd, unsigned vnet_hdr, unsigned offload, const uint8_t mac[6],
              link_input_fn *input);
int link_fd(void);
/* Take up to @max frames; true if more may be there and epoll need not be asked. */
bool link_read(int max);
/* An Ethernet frame from lwIP (borrowed, or kept by reference until the flush). */
err_t link_send(struct netif *netif, struct pbuf *p);
/* What was held back to be joined leaves: before the loop sleeps. */
void link_flush(void);

/* Before the rest: another netd reads the device still, so nothing may be taken
 * from it, and is to be found by peers, so nothing is sent until link_go(). */
void link_taken_over(void);
void link_go(void);
bool link_is_taken_over(void);

/* ---- link_packet.c ---- */
/* Make ready an AF_PACKET socket that is bound to an interface. */
int link_packet_prepare(int fd);

/* ---- link_gso.c: many segments as one frame ---- */
void gso_config(unsigned offload);
/* Keep @p, a frame with its Ethernet header, to be joined with what follows; false:
 * send it alone, now (what was kept has left). */
bool gso_take(struct pbuf *p);
void gso_flush(void);
/* The kernel did not take a joined frame: join no more. */
void gso_refused(void);
/* Fill @h, and the TCP checksum field of @p, for one segment that the kernel sums. */
void gso_unsummed(struct virtio_net_hdr *h, struct pbuf *p);
/* A packet behind its Ethernet header (takes @p), as @h describes it; dropped if
 * @h is not sound. */
void gso_deliver(const struct virtio_net_hdr *h, struct pbuf *p, uint16_t ethertype,
                 link_input_fn *input);
/* link.c: one frame leaves, its vnet header and what follows in @io[1 .. n). */
void link_out(const struct virtio_net_hdr *h, struct iovec *io, int n);

/* ---- link_test.c ---- */
/* "delay=MS,jitter=MS,drop=PERMILLE,dup=PERMILLE,reorder=PERMILLE,seed=N"; -EINVAL
 * for anything else. */
int link_test_config(const char *params);
bool link_test_on(void);
/* A raw frame with its vnet header on its way in or out. */
void link_test_pass(bool out, const void *frame, size_t len);
uint64_t link_test_deadline(void); /* ms */
void link_test_run(uint64_t now_ms);

/* Where frames go after the test link. */
void link_raw_in(const void *frame, size_t len);
int link_raw_out(const void *frame, size_t len);

#endif /* NETD_LINK_H */
