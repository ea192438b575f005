/* SPDX-License-Identifier: MIT */
/*
 * run.h - the supervisor's state, shared by run*.c.
 *
 *      STARTING --both services ready--> RUNNING --guest gone--> RELEASING
 *          |  failure, or a signal                                   |
 *          +---------------------------------------------------------+
 *      RELEASING --all released or too late--> STOPPING --all reaped--> done
 *
 * A service, while we are RUNNING (run_life.c; with --recover 0 its end is ours):
 *
 *      UP --ended, or silent too long and killed--> DOWN --back-off is over--> AGAIN
 *      AGAIN --ready, every guest has its new ring--> UP
 *      AGAIN --ended, or not ready in time--> DOWN   (the fifth time in a row: GONE)
 *      any --away longer than --recover--> GONE: guests are told, calls answer EIO
 *
 * A planned restart or swap (run_swap.c) starts the next instance beside the one
 * that is UP and touches that one only when the next is ready.
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
#define GUESTS_MAX (1 + JOINS_MAX)
#define SERVICE_FSD 0
#define SERVICE_NETD 1
#define N_SERVICES 2

enum run_phase { RUN_STARTING, RUN_RUNNING, RUN_RELEASING, RUN_STOPPING };

/* A process of a service. */
struct instance {
	char *path;
	pid_t pid;           /* 0: not started, or reaped */
	pid_t init;          /* fsd: the first process of its namespace; 0: is pid itself */
	int status;          /* its own end: what is in pid now was the init */
	bool ended;          /* it has one */
	bool served;         /* it had a guest: what is open is known to it alone */
	int keep;            /* the filekeeper's socket, while init is there */
	int sock;            /* control; -1 */
	bool ready;          /* said so, with a version we speak */
	uint32_t epoch;
	uint64_t started;    /* monotonic ms */
	bool kernel;         /* netd: on a kernel's TCP/IP (run_backend.c) */
};

/* Files that were open when an fsd ended, until the next one has them: run_kept.c. */
struct kept {
	int *fds;
	uint64_t *holds;
	unsigned n, room, lost;
};

enum life { LIFE_STARTING, LIFE_UP, LIFE_DOWN, LIFE_AGAIN, LIFE_GONE };

struct service {
	const char *name;    /* "fsd" */
	const char *env;     /* variable that names another binary */
	const char *xs_name; /* last part of its XenStore path */
	bool used;
	struct instance cur;
	struct instance next; /* of a planned swap, until it takes over */
	char *before;        /* the binary that was swapped out; NULL once the new one has lived */
	bool before_kernel;
	uint32_t last_epoch; /* no two instances have the same */
	/* the instance's own guest */
	bool added;          /* was told of the guest */
	bool leaving;        /* was told that it is gone */
	bool released;       /* let go of it */
	bool owed;           /* it waits for its new ring */
	bool cut_off;        /* its channel was closed while it ran: for good */
	int ring_fd, event_fd;
	struct kept kept;
	/* its life */
	enum life life;
	uint64_t due;        /* DOWN: start another; AGAIN: must be ready; monotonic ms */
	uint64_t lost_at;    /* what it must be back from; 0: it is there */
	uint64_t up_at;      /* when it last came to be UP */
	uint64_t row_at;     /* when the first of a row of short lives ended */
	unsigned failures;   /* in a row, before it was ready */
	unsigned short_lives; /* in a row */
	unsigned restarts;
	bool hung;           /* was killed for its silence */
	bool slow;           /* was not: it waits for a disk, which was said */
	uint64_t ping_due, ping_sent; /* ms; sent: 0 when answered */
	/* its last StatusReply */
	bool status_owed;
	uint32_t sessions, in_flight, objects;
};

/* A planned restart or swap: run_swap.c.  One at a time. */
enum swap_step { SWAP_NONE, SWAP_CHECK, SWAP_MOVE, SWAP_CUT, SWAP_DRAIN, SWAP_SETTLE };
struct swap {
	enum swap_step step;
	struct service *s;
	bool restart;        /* nothing is handed over */
	bool kernel;         /* the next one's, as in struct instance */
	bool counted;        /* lost, kept: the old netd has said */
	uint32_t lost, kept; /* connections, other sockets */
	int asker;           /* is told how it goes; -1 */
	char *path;
	uint64_t due;        /* of the step, ms */
	uint64_t began_us, last_us, cut_us; /* monotonic; cut: the old one stops serving */
	bool exported, imported;
	uint32_t from_epoch, connections;
	pid_t old;           /* sealed, to be reaped; 0 */
	uint64_t old_due;    /* KILL then, ms */
	char result[240];    /* is told when the old one has ended */
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
	uint64_t wake_at;    /* when the loop wants to go on, ms */
	/* what all instances of a service have in common */
	uint8_t instance[16];
	uint64_t write_verifier;
	struct swap swap;
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
	int tap_fd;          /* for netd's next instance; -1 */
	int netns_fd, netns_nl; /* the TAP's namespace, a netlink socket there; -1 */
	bool kernel_has_address; /* of the namespace: the guest's */
	struct keeper_msg tap;
};

uint64_t run_now(void); /* monotonic ms */
/* Say why, end everything, exit 125. */
void run_fail(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void run_watch(struct run *r, int fd, uint32_t what); /* readable: see run.c */

enum run_source { SRC_SIGNAL, SRC_FSD, SRC_NETD, SRC_FSD_NEXT, SRC_NETD_NEXT, SRC_GUEST, SRC_KEEPER, SRC_NAME,
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
/* Tell the first instance of @s all it needs; netd of a TAP: once that is there. */
void service_configure(struct run *r, struct service *s);
void service_readable(struct run *r, struct service *s, struct instance *i);
int service_guest_add(struct service *s, const struct guest_desc *g)
	__attribute__((warn_unused_result));
int service_guest_gone(struct service *s, uint32_t domid)
	__attribute__((warn_unused_result));
void service_ask_status(struct service *s);
void services_release(struct run *r);
void services_shutdown(struct run *r);
bool services_all(const struct run *r, bool (*is)(const struct service *));

/* run_instance.c: one process of a service. */
char *instance_find(const struct service *s);
/* Start @i->path with the service's next epoch; 0 or negative errno. */
int instance_start(struct run *r, struct service *s, struct instance *i)
	__attribute__((warn_unused_result));
int instance_configure(struct run *r, struct service *s, const struct instance *i,
                       bool takeover) __attribute__((warn_unused_result));
int instance_ping(struct instance *i) __attribute__((warn_unused_result));
void instance_shutdown(struct instance *i); /* what was not ready is killed */
void instance_hang_up(struct instance *i);
/* What @i says comes as that of the service's current or next one: it changed. */
void service_watch(struct run *r, struct service *s, const struct instance *i);

/* Kill it, with all of its namespace. */
void instance_kill(const struct instance *i);

/* run_kept.c */
/* @pid ended: is that the whole of @i?  What it had open is taken before its filekeeper
 * ends.  *@status becomes the service's own. */
bool kept_whole(struct run *r, struct service *s, struct instance *i, int *status);
/* To the instance that is ready, before its first guest; 0 or negative errno. */
int kept_send(struct service *s) __attribute__((warn_unused_result));
void kept_drop(struct service *s);
void kept_end(struct service *s); /* no other instance will come: no filekeeper either */

/* run_backend.c: lwIP or a kernel, and who has the guest's address. */
void backend_init(struct run *r);
void backend_keep(struct run *r, int netns_fd, int nl);
void backend_fini(struct run *r);
const char *backend_against(const struct run *r, const struct service *s, bool kernel);
/* The guest's address is that of @i's kernel, or is not: 0 or negative errno. */
int backend_take(struct run *r, const struct service *s, const struct instance *i)
	__attribute__((warn_unused_result));

/* run_life.c */
bool services_ending(const struct run *r); /* nobody needs them any more, or is about to */
void service_died(struct run *r, struct service *s, int status);
void service_ready(struct run *r, struct service *s, struct instance *i, uint32_t version);
void service_failed(struct run *r, struct service *s, struct instance *i,
                    const ProtobufCBinaryData *why);
void service_talks_nonsense(struct run *r, struct service *s, struct instance *i);
void service_answers(struct run *r, struct service *s, struct instance *i); /* a Pong */
/* @s is ready for guest @domid, or does not take it. */
void service_has_guest(struct run *r, struct service *s, uint32_t domid);
void service_refuses_guest(struct run *r, struct service *s, uint32_t domid);
/* @i has nothing of guest @domid any more. */
void service_released(struct run *r, struct service *s, const struct instance *i, uint32_t domid);
/* Every guest gets a new ring to @s, whose instance is ready. */
void service_readd(struct run *r, struct service *s);
void service_cut(struct run *r, struct service *s); /* all rings to it are dead */
void services_tick(struct run *r);
void services_slept(struct run *r); /* we did: nobody could answer */
uint64_t services_due(const struct run *r); /* when to tick next, ms; 0: never */
/* The domids of the guests that a new instance of @s gets back; returns how many. */
uint32_t service_expects(const struct run *r, const struct service *s,
                         uint32_t domids[GUESTS_MAX]);
bool service_is_up(const struct service *s);
/* Give a guest its new ring and event, or (fds NULL) the news that none will come. */
int renew_send(struct run *r, int sock, const struct service *s, const int *fds)
	__attribute__((warn_unused_result));

/* run_swap.c */
void swap_asked(struct run *r, int sock, const char *ask); /* takes @sock */
void swap_answers(struct run *r); /* the next instance does */
void swap_exported(struct run *r, struct service *s, const Control__Exported *m);
void swap_imported(struct run *r, struct service *s, const Control__Imported *m);
bool swap_drained(struct run *r, struct service *s);
void swap_settled(struct run *r, struct service *s);
void swap_failed(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool swap_child_ended(struct run *r, pid_t pid, int status);
uint64_t swap_due(const struct run *r); /* ms; 0: never */
void swap_tick(struct run *r);

/* run_name.c */
void names_asked(struct run *r); /* somebody connects to our name */

/* run_guest.c */
void guest_prepare(struct run *r); /* shared memory */
/* A fresh channel in the place of the one there (or of -1); 0 or negative errno. */
int channel_make(int *ring_fd, int *event_fd) __attribute__((warn_unused_result));
int guest_map_doorbell(struct run *r); /* r->doorbell_fd; 0 or negative errno */
void guest_start(struct run *r);   /* up to its gate */
void guest_go(struct run *r);
void guest_signal(struct run *r, const struct signalfd_siginfo *si);
void guest_kill(struct run *r);
int guest_status(const struct run *r, int status); /* exit status of strait run */

#endif /* TOOLS_STRAIT_RUN_H */
