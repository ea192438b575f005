/* SPDX-License-Identifier: MIT */
/*
 * link.h - what differs under a service's end: hosted, or on Xen.
 *
 * Layer:  vchan, private.  vchan.c calls it; hosted_link.c or xen_link.c, one of
 *         which is linked, provides it.
 */
#ifndef VCHAN_LINK_H
#define VCHAN_LINK_H

#include <stddef.h>
#include <stdint.h>

struct libxenvchan;

/* Where the guest finds the channel on Xen. */
struct link_address {
	uint32_t ring_ref, port; /* both 0: hosted */
};

/* libxenvchan_server_init() with a ring of 1 << @order each way.  NULL with errno. */
struct libxenvchan *vchan_link_open(int domid, const char *xs_path, unsigned order,
                                    struct link_address *at);
/* Clear the descriptor's readiness, so that the next event is seen. */
void vchan_link_ack(struct libxenvchan *ctrl);

#endif /* VCHAN_LINK_H */
