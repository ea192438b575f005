/* SPDX-License-Identifier: MIT */
/*
 * link.h - frames between the lwip stack and the TAP.
 *
 * The TAP's descriptor is handed over by the supervisor.  With a vnet header the
 * kernel takes TCP segments without a checksum, marks those it has verified, and
 * may hand over segments larger than the MTU.  Between TAP and stack may lie a
 * test link that delays, drops, doubles and reorders (link_test.c).
 *
 * Layer:     services/netd, lwIP side.
 * Ownership: the link owns the descriptor.
 * Locking:   none; netd has one thread.
 * Errors:    0 or negative errno.
 */
#ifndef NETD_LINK_H
#define NETD_LINK_H

#include "lwip/netif.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_MTU_MAX 65521u /* an Ethernet frame must fit a pbuf's 16-bit length */
#define LINK_HDR_MAX 32u

/* What the stack takes: the IP or ARP packet without its Ethernet header (takes
 * @p).  @trusted: the kernel made or verified its TCP and UDP checksum. */
typedef void link_input_fn(struct pbuf *p, uint16_t ethertype, bool trusted);

/* @vnet_hdr: bytes of header before each frame, 0, 10 or 12. */
int link_open(int fd, unsigned vnet_hdr, const uint8_t mac[6], link_input_fn *input);
int link_fd(void);
/* Take up to @max frames; true if more may be there. */
bool link_read(int max);
/* An Ethernet frame from lwIP (borrowed).  @tcp_unsummed: TCP checksums are left to
 * the kernel. */
err_t link_send(struct netif *netif, struct pbuf *p);

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
