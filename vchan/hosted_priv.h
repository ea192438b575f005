/* SPDX-License-Identifier: MIT */
/*
 * hosted_priv.h - what hosted.c and the libxenvchan stand-in share.
 *
 * Layer:  vchan, private.
 */
#ifndef VCHAN_HOSTED_PRIV_H
#define VCHAN_HOSTED_PRIV_H

#include <stdbool.h>

struct hosted_entry {
	struct hosted_entry *next;
	char *path;
	int domid;
	bool client;
	int ring_fd, event_fd, doorbell_fd;
	unsigned order;
};

/* Take the registered entry for (role, domid, path) out of the registry, or NULL. */
struct hosted_entry *hosted_take(bool client, int domid, const char *path);

#endif /* VCHAN_HOSTED_PRIV_H */
