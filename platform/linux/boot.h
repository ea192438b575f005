/* SPDX-License-Identifier: MIT */
/*
 * boot.h - what the supervisor hands to a hosted guest.
 *
 * The guest's environment holds STRAIT_BOOT=<fd>; that descriptor is a memfd
 * (sealed, read-only for the guest) with one struct boot_block.  argv and envp
 * travel by exec; the variable is removed before the program sees it.
 *
 * Layer:  platform/linux; tools/ writes it.
 */
#ifndef PLATFORM_LINUX_BOOT_H
#define PLATFORM_LINUX_BOOT_H

#include <stdint.h>

#define BOOT_ENV "STRAIT_BOOT"
#define BOOT_MAGIC 0x31746961727453ull /* "Strait1" */
#define BOOT_VERSION 2u
#define BOOT_GROUPS_MAX 64u

#define BOOT_LOG_UNSUPPORTED 1u /* say which call was missing, once each */
#define BOOT_LOG_CHANNEL 2u     /* attach, break, reconnect */

#define BOOT_F_STAMPS 1u        /* frames carry times */
#define BOOT_F_NO_SECCOMP 2u    /* debugging: no system call filter */

struct boot_channel {
	int32_t ring_fd;  /* -1: no such service */
	int32_t event_fd; /* guest to service */
	uint32_t order;
	uint32_t epoch;
};

struct boot_block {
	uint64_t magic;
	uint32_t version;
	uint32_t size; /* of this struct */
	uint32_t flags;
	uint32_t uid, gid, n_groups;
	uint32_t groups[BOOT_GROUPS_MAX];
	uint64_t memory;
	uint32_t n_cpus;
	int32_t doorbell_fd;
	int32_t control_fd; /* to the supervisor */
	uint32_t zero;
	uint8_t client_id[16];
	struct boot_channel file, net;
	char cwd[4096];
	char hostname[65];
	uint64_t recover_ns; /* how long a lost service is waited for; 0: not at all */
};

/* What a later instance of a service is reached by: one packet on control_fd, with two
 * descriptors (the ring's memfd, the event) when verdict is BOOT_RENEW_HERE. */
#define BOOT_RENEW_MAGIC 0x77656e6572ull /* "renew" */
#define BOOT_RENEW_HERE 0u
#define BOOT_RENEW_NEVER 1u /* it will not come back */

struct boot_renew {
	uint64_t magic;
	uint32_t version; /* BOOT_VERSION */
	uint32_t id;      /* 0: file, 1: net */
	uint32_t epoch, order;
	uint32_t verdict; /* BOOT_RENEW_* */
	uint32_t zero;
};

#endif /* PLATFORM_LINUX_BOOT_H */
