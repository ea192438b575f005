/* SPDX-License-Identifier: MIT */
/*
 * config.h - what xenstore says that a service is to do, read and checked.
 *
 * The nodes are written by dom0 under <base>/config and <base>/guests; docs/XEN.md
 * lists them.  Every value is checked here; one that is wrong gives one sentence that
 * names the node.
 *
 * Layer:  services/agent.
 * Errors: 0, -EAGAIN when the node that completes it is not there yet, or another
 *         negative errno with a sentence in @why.
 */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include "rpc/limits.h"
#include "services/agent/store.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_MOUNTS_MAX 16
#define CONFIG_DNS_MAX 4
#define CONFIG_TEXT 256
#define CONFIG_WHY 384
#define CONFIG_HANG 15 /* nobody waits that long for a CPU */
#define CONFIG_TRACE_SIZE (16ull << 20) /* unless config/trace-size says otherwise */

enum config_kind { KIND_FILE, KIND_NET };

struct config_mount {
	char guest[CONFIG_TEXT];
	bool memory;             /* kind mem, else dir: */
	char source[CONFIG_TEXT]; /* a directory, or a block device */
	char fstype[32];         /* of the block device */
	bool read_only, exclusive, setid;
	uint64_t size;           /* of mem, bytes */
};

struct config_addr {
	uint8_t len;             /* 0 none, 4 or 16 */
	uint8_t addr[16];
	uint32_t prefix;
};

struct config {
	enum config_kind kind;
	uint32_t epoch, log;
	bool standby;            /* another domain serves: wait until told to take over */
	uint32_t hang;           /* seconds without an answer, then it is killed; 0: never */
	bool has_instance;
	uint8_t instance[16];    /* Configure.instance */
	bool trace, trace_payload;
	uint64_t trace_size;
	/* file */
	bool squash;
	uint32_t squash_uid, squash_gid;
	unsigned n_mounts;
	struct config_mount mounts[CONFIG_MOUNTS_MAX];
	/* net */
	char stack[16], interface[16];
	uint32_t mtu, port_min;  /* mtu 0: the interface's */
	struct config_addr ip4, gateway4, ip6, gateway6;
	unsigned n_dns;
	struct config_addr dns[CONFIG_DNS_MAX];
};

struct config_guest {
	uint32_t domid;
	char uuid[64];
	uint8_t client_id[RPC_CLIENT_ID_LEN];
	uint32_t uid, gid;
	unsigned n_groups;
	uint32_t groups[RPC_GROUPS_MAX];
};

/* The node <base>/config/kind, or standby, completes a configuration: -EAGAIN without. */
int config_read(struct store *s, const char *base, struct config *c, char why[CONFIG_WHY])
	__attribute__((warn_unused_result));

/* <base>/guests/<domid>; the node uuid completes it. */
int config_read_guest(struct store *s, const char *base, uint32_t domid,
                      struct config_guest *g, char why[CONFIG_WHY])
	__attribute__((warn_unused_result));

/* @text as a domid (0 to 32751), or -EINVAL. */
int config_domid(const char *text);
/* A name of a service: letters, digits, '-', '_'; 1 to 32 of them. */
bool config_valid_name(const char *text);

#endif /* AGENT_CONFIG_H */
