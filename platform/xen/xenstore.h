/* SPDX-License-Identifier: MIT */
/*
 * xenstore.h - more of the xenstore client than all of platform/xen needs.
 *
 * Layer:   platform/xen only.
 * Locking: one request at a time; requests come from threads, from the start (IF=0),
 *          or from xenstore_write_dying().
 */
#ifndef PLATFORM_XEN_XENSTORE_H
#define PLATFORM_XEN_XENSTORE_H

#include <stdbool.h>
#include <stddef.h>

/* Read several nodes for the price of one round trip: @result is the value's length
 * (a NUL is added) or a negative errno. */
struct xenstore_node {
	const char *path;
	char *to;
	size_t size;
	int result;
};
void xenstore_read_all(struct xenstore_node *nodes, unsigned n);

/* For a guest that ends: whatever another thread was about is finished first, nothing
 * sleeps, two seconds at most. */
int xenstore_write_dying(const char *path, const char *value);

/* The keeper's part: take what came, and call the functions of watches that fired. */
void xenstore_keep(void);

/* Wait for @ns, or until xenstored says something: at start only. */
void xenstore_pause(unsigned long ns);
bool xenstore_present(void);

#endif /* PLATFORM_XEN_XENSTORE_H */
