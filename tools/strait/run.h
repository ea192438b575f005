/* SPDX-License-Identifier: MIT */
/*
 * run.h - the supervisor's state, shared by run*.c.
 *
 *      STARTING --both services ready--> RUNNING --guest gone--> RELEASING
 *          |  failure, or a signal                                   |
 *          +---------------------------------------------------------+
 *      RELEASING --all released or too late--> STOPPING --all reaped--> done
 *
 * With --join nothing but the guest is ours: STARTING ends when the other instance
 * has handed out the channels, RELEASING when it hangs up.
 *
 * Layer:   tools.
 * Locking: one thread.
 */
#ifndef TOOLS_STRAIT_RUN_H
#define TOOLS_STRAIT_RUN_H

#include "rpc/control.h"
#include "tools/strait/join.h"
#include "tools/strait/netns.h"
#include "tools/strait/strait.h"
#include "vchan/hosted.h"

#include <stdatomic.h>
#include <sys/signalfd.h>

#define GUEST_DOMID 1u
#define SERVICE_FSD 0
#define SERVICE_NETD 1
#define N_SERVICES 2

enum run_phase { RUN_STARTING, RUN_RUNNING, RUN_RELEASING, RUN_STOPPING };

struct service {
	const char *name;    /* "fsd" */
	const char *env;     /* variable that names another binary */
	const char *xs_name; /* last part of its XenStore path */
	char *path;
	pid_t pid;           /* 0: not started, or reaped */
	int sock;            /* control; -1 */
	bool used;
	bool ready;          /* said so, with a version we speak */
	bool added;          /* was told of the guest */
	bool leaving;        /* was told that it is gone */
	bool released;       /* let go of it */
	int ring_fd, event_fd;
	uint32_t epoch;      /* counts its lives */
};

struct run {
	struct run_opts o;
	struct net_plan net;
	enum run_phase phase;
	int result;          /* exit status; -1: not known yet */
	uint64_t deadline;   /* of the phase, monotonic ms; 0: none */
	uint64_t started;    /* monotonic ms */
	int epoll, signals, name_sock, trace_fd;
	int hold;            /* others need our services until its end of file; -1 */
	int prog_fd;
	bool prog_open_to_others;
	bool stamps;         /* a trace is made: frames carry times */
	uint32_t caller_uid; /* outside of our user namespace */
	struct service service[N_SERVICES];
	/* the guest */
	pid_t guest;
	int guest_sock, gate;
	int doorbell_fd;
	struct doorbell *doorbell;
	uint8_t client_id[16];
	bool in_foreground;  /* keys of the terminal reach the guest by themselves */
	uint64_t impatient[2]; /* when the last two INT or TERM came */
	uint64_t kill_at;    /* strait stop: KILL then; 0: never */
	/* other guests on our services; of a joined guest: the way to its instance */
	struct join joins[JOINS_MAX];
	uint32_t last_domid;
	int joined_sock;
	/* the network */
	pid_t keeper;
	int keeper_sock;
	bool tap_ready;
};

uint64_t run_now(void); /* monotonic ms */
/* Say why, end everything, exit 125. */
void run_fail(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void run_watch(struct run *r, int fd, uint32_t what); /* readable: see run.c */

enum run_source { SRC_SIGNAL, SRC_FSD, SRC_NETD, SRC_GUEST, SRC_KEEPER, SRC_NAME,
                  SRC_JOINED, SRC_HOLD, SRC_JOIN /* + index */ };

/* run_services.c */
/* What a service must know of a guest; descriptors are borrowed. */
struct guest_desc {
	uint32_t domid, uid, gid;
	const char *name;
	const uint8_t *client_id; /* 16 bytes */
	int ring_fd, event_fd, doorbell_fd;
};
void services_find(struct run *r);
void services_start(struct run *r);
/* Tell @s all it needs; netd of a TAP: once that is there (fd, sizes in @tap). */
void service_configure(struct run *r, struct service *s, int tap_fd,
                       const struct keeper_msg *tap);
void service_readable(struct run *r, struct service *s);
void service_died(struct run *r, struct service *s, int status);
int service_guest_add(struct service *s, const struct guest_desc *g)
	__attribute__((warn_unused_result));
int service_guest_gone(struct service *s, uint32_t domid)
	__attribute__((warn_unused_result));
void services_release(struct run *r);
void services_shutdown(struct run *r);
bool services_all(const struct run *r, bool (*is)(const struct service *));

/* run_guest.c */
void guest_prepare(struct run *r); /* shared memory */
int guest_map_doorbell(struct run *r); /* r->doorbell_fd; 0 or negative errno */
void guest_start(struct run *r);   /* up to its gate */
void guest_go(struct run *r);
void guest_signal(struct run *r, const struct signalfd_siginfo *si);
void guest_kill(struct run *r);
int guest_status(const struct run *r, int status); /* exit status of strait run */

#endif /* TOOLS_STRAIT_RUN_H */
