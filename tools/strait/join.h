/* SPDX-License-Identifier: MIT */
/*
 * join.h - more guests on one instance's services (`strait run --join`).
 *
 *      strait run --join NAME PROG            NAME's strait             fsd, netd
 *        | connect to NAME's socket             |                          |
 *        |-- struct join_ask ------------------>|-- GuestAdd ------------->|
 *        |                                      |<------------ GuestReady -|
 *        |<- struct join_answer, descriptors ---|                          |
 *        | starts PROG as its own child         |                          |
 *        |<- struct boot_renew, ring, event ----|  (fsd or netd was started again:
 *        |  to PROG                             |   PROG's strait passes it on)
 *        |-- end of file: PROG has ended ------>|-- GuestGone ------------>|
 *        |                                      |<-------------- Released -|
 *        |<- end of file -----------------------|                          |
 *
 * End of file from NAME while PROG runs: NAME has ended, its services with it.
 * The channels are then marked dead, so that PROG's calls answer EIO.
 *
 * Layer:     tools.
 * Ownership: a join's descriptors are its own, until it is over.
 * Locking:   one thread.
 */
#ifndef TOOLS_STRAIT_JOIN_H
#define TOOLS_STRAIT_JOIN_H

#include "tools/strait/strait.h"

#include <stddef.h>

#define JOINS_MAX 63u /* besides the instance's own guest */
#define JOIN_WORD "join"
#define JOIN_VERSION 2u
#define JOIN_SERVICES 2

struct join_ask {
	char word[8]; /* JOIN_WORD */
	uint32_t version;
	uint32_t uid, gid;
	char name[NAME_LEN_MAX + 1];
};

/* With it, if domid is not 0: doorbell; ring and event of fsd; those of netd when
 * net is not NET_NONE. */
struct join_answer {
	uint32_t version;
	uint32_t domid;  /* 0: refused, text says why */
	uint32_t net;    /* enum net_mode */
	uint32_t stamps; /* frames carry times */
	uint32_t recover_s; /* --recover of the instance */
	uint32_t epoch[JOIN_SERVICES];
	uint8_t client_id[16];
	char text[256];
};

enum join_state {
	JOIN_FREE,
	JOIN_WAITING, /* the instance itself is not up yet */
	JOIN_ADDING,  /* GuestAdd sent */
	JOIN_RUNNING, /* answered */
	JOIN_LEAVING, /* GuestGone sent */
};

struct join {
	enum join_state state;
	uint32_t domid;
	int sock;
	struct join_ask ask;
	uint8_t client_id[16];
	bool ready[JOIN_SERVICES], released[JOIN_SERVICES];
	bool owed[JOIN_SERVICES];       /* it waits for its new ring */
	bool cut_off[JOIN_SERVICES];    /* its channel was closed while it ran: for good */
	int fds[1 + 2 * JOIN_SERVICES]; /* as in the answer; -1 once nobody here needs it */
};

struct run;
struct service;

/* The instance's side: join.c. */
void joins_take(struct run *r, int sock, const char *ask, size_t len); /* takes @sock */
void joins_resume(struct run *r); /* the instance is up now */
void joins_readable(struct run *r, uint32_t index);
void joins_ready(struct run *r, const struct service *s, uint32_t domid);
void joins_failed(struct run *r, const struct service *s, uint32_t domid);
/* @s has let go of it; @lives: and serves on, so that guest alone gets no other ring. */
void joins_released(struct run *r, const struct service *s, uint32_t domid, bool lives);
void joins_end(struct run *r); /* the instance ends */
/* Of a service that ends and is started again (run_life.c). */
uint32_t joins_running(const struct run *r, const struct service *s,
                       uint32_t domids[JOINS_MAX]); /* how many */
void joins_cut(struct run *r, const struct service *s);
void joins_died(struct run *r, const struct service *s);
int joins_readd(struct run *r, struct service *s) __attribute__((warn_unused_result));
bool joins_owed(const struct run *r, const struct service *s);
void joins_give_up(struct run *r, const struct service *s); /* there will be no other */

/* The joining side: joined.c. */
void joined_connect(struct run *r); /* says and exits 125 */
void joined_ask(struct run *r);
void joined_readable(struct run *r);
void joined_leave(struct run *r); /* its guest has ended */

#endif /* TOOLS_STRAIT_JOIN_H */
