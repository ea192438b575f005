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
#define BOOT_VERSION 1u
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
};

#endif /* PLATFORM_LINUX_BOOT_H */
