/* SPDX-License-Identifier: MIT */
/*
 * hold.h - keep what a guest sends out until there is a way out.
 *
 * Most guests never talk to anything beyond this machine, and a way out takes
 * longer to make and to remove than a short program runs.  So the namespace's
 * default route first leads into a device of ours.  The first packet that comes
 * out of it asks for the way out; when that is there, what was kept goes on.
 *
 * Layer: tools.
 */
#ifndef TOOLS_STRAIT_HOLD_H
#define TOOLS_STRAIT_HOLD_H

#include "tools/strait/netns.h"

#include <stddef.h>
#include <stdint.h>

#define HOLD_DEVICE "hold0"
#define HOLD_PACKETS 64
#define HOLD_BYTES (1u << 20)

struct hold {
	int fd; /* readable: hold_read(); -1: done with */
	const struct net_plan *plan;
	unsigned n;
	size_t bytes;
	struct {
		uint8_t *data;
		size_t len;
	} kept[HOLD_PACKETS];
};

/* Make the device and the routes into it, by netlink socket @nl.  0 or -errno. */
int hold_open(struct hold *h, int nl, const struct net_plan *plan);
/* Take what came.  True: something of the guest's waits. */
bool hold_read(struct hold *h);
/* The way out is there: send what was kept after it. */
void hold_release(struct hold *h);
/* There will be none: forget it, and let the kernel answer "unreachable". */
void hold_refuse(struct hold *h, int nl);

#endif /* TOOLS_STRAIT_HOLD_H */
