/* SPDX-License-Identifier: MIT */
/*
 * config.h - what the command line and xenstore said, beside g_config.
 *
 * Layer:   platform/xen only.
 * Locking: constant after config_init().
 */
#ifndef PLATFORM_XEN_CONFIG_H
#define PLATFORM_XEN_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define SERVICE_PATH_MAX 512u

/* A service as strait/file or strait/net names it. */
struct service_node {
	const char *name; /* "file", "net" */
	bool present;
	uint32_t domid, epoch;
	char path[SERVICE_PATH_MAX]; /* of the vchan server's nodes */
};
#define N_SERVICES 2u /* in the order of their channels' ids */
extern struct service_node g_services[N_SERVICES];

extern uint32_t g_shutdown_timeout; /* seconds from SIGTERM to the end */

/* "strait: guest start: A: B C" and the end: boot_die() with a sentence made of parts. */
_Noreturn void config_die(const char *a, const char *b, const char *c);

#endif /* PLATFORM_XEN_CONFIG_H */
