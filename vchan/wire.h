/* SPDX-License-Identifier: MIT */
/*
 * wire.h - the control page of a vchan as the guest sees it.
 *
 * The same layout as struct vchan_interface of Xen's public header
 * xen/io/libxenvchan.h (a unit test compares every offset), written down here
 * so that the freestanding guest needs no Xen header and every shared word is an
 * atomic.  "left" is written by the client (the guest), "right" by the server.
 *
 * Layer:  vchan.  Freestanding.
 */
#ifndef VCHAN_WIRE_H
#define VCHAN_WIRE_H

#include "vchan/vchan.h"

#include <stddef.h>
#include <stdint.h>

#define WIRE_NOTIFY_WRITE 1u
#define WIRE_NOTIFY_READ 2u

struct vchan_wire {
	_Atomic uint32_t left_cons, left_prod; /* service, guest */
	_Atomic uint32_t right_cons, right_prod; /* guest, service */
	uint16_t left_order, right_order;      /* constant */
	_Atomic uint8_t cli_live, srv_live;
	_Atomic uint8_t cli_notify, srv_notify; /* cli_notify: what we tell the service */
};

_Static_assert(offsetof(struct vchan_wire, right_cons) == 8, "vchan_interface");
_Static_assert(offsetof(struct vchan_wire, left_order) == 16, "vchan_interface");
_Static_assert(offsetof(struct vchan_wire, cli_live) == 20, "vchan_interface");
_Static_assert(offsetof(struct vchan_wire, srv_notify) == 23, "vchan_interface");

static inline struct vchan_strait *wire_strait(struct vchan_wire *w)
{
	return (struct vchan_strait *)(void *)((uint8_t *)w + VCHAN_STRAIT_OFFSET);
}

#endif /* VCHAN_WIRE_H */
