/* SPDX-License-Identifier: MIT */
/*
 * agent.h - the supervisor of one service on Xen.
 *
 * Does there what `strait run` does for a hosted guest: opens what the service works
 * with, starts it locked in, tells it its configuration and its guests, learns of
 * deaths.  What to do comes from xenstore; how it goes is written there.
 *
 * Layer:     services/agent.
 * Ownership: one struct agent, in main().
 * Locking:   none; one thread.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "services/agent/config.h"
#include "services/agent/store.h"
#include "services/agent/swap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define AGENT_PATH 128

enum guest_state {
	GUEST_ADDED,   /* the service was told */
	GUEST_READY,   /* its channel's nodes are written */
	GUEST_LEFT,    /* released; its node is still there */
	GUEST_GOING,   /* dead: the service was told, and has not released it yet */
	GUEST_REFUSED, /* by the service, or its nodes are wrong */
};

struct guest {
	struct guest *next;
	struct config_guest c;
	enum guest_state state;
	bool by_service; /* it refused; a node that is wrong is read again */
	bool shown;      /* its node "alive" has been read */
	bool back;       /* it has all again that the instance before had for it */
	char why[CONFIG_WHY];
};

struct netif_info {
	uint8_t mac[6];
	uint32_t mtu;
};

struct service {
	pid_t pid;      /* 0: does not run */
	int sock;
	bool ready;
	int mount_fds[CONFIG_MOUNTS_MAX]; /* kept, for a later instance, and to flush them */
	unsigned n_mounts;
	int mems_ahead[CONFIG_MOUNTS_MAX]; /* mounts in memory, opened already; 0: not */
	struct netif_info netif;
	int link_fd;    /* of netd's interface, kept for a later instance; -1: none */
	char program[SWAP_PROGRAM]; /* given by a swap; "": our own */
	char before[SWAP_PROGRAM];  /* what served before that swap */
	bool on_trial;         /* it has not lived yet: then what was before comes back */
	/* Lives: an instance that ends unasked is followed by another one. */
	uint32_t *expected;    /* domids of the guests that were served and have not left */
	size_t n_expected;
	unsigned lives;        /* how often it was ready */
	unsigned in_a_row;     /* ends with little time between */
	uint64_t ended_ms;     /* when the last one did */
	uint64_t again_ms;     /* when the next one is due; 0: none is */
	bool asked;            /* its end is by dom0's order */
	uint64_t ping, pong;   /* nonces: of the last question, of the last answer */
	uint64_t ping_ms;      /* when it was last looked after them */
	uint64_t silent_ms;    /* how long the last question is without an answer */
	uint64_t up_ms;        /* when the instance that serves was ready */
	char status_id[24];    /* of the question of `strait ps` that it is to answer */
};

/* What the service records, and the channel by which dom0 fetches it. */
struct trace {
	int fd;                 /* -1: none */
	struct vchan_end *end;  /* NULL: none */
	int64_t clock_ahead;    /* the service's, 0: it does not know */
	bool sending;
	uint64_t sent, size;    /* of the file, as it was when dom0 asked */
};

struct agent {
	struct store store;
	unsigned domid;          /* our own */
	char name[40];           /* of the service; "" until known */
	char base[AGENT_PATH];   /* /local/domain/<domid>/strait/<name>: what dom0 says */
	char data[AGENT_PATH];   /* /local/domain/<domid>/data/strait/<name>: what we say */
	int trace_of;            /* a domain whose trace is asked for; -1: none */
	bool init;               /* this is process 1 of a domain */
	bool failed;             /* said so in the state node; nothing is served */
	bool configured;
	bool stopping;
	char order[24];          /* of dom0's last restart */
	struct config config;
	struct service service;
	struct trace trace;
	struct swap swap;
	struct guest *guests;
};

/* Guests are neither added nor taken away now. */
static inline bool swap_holds_guests(const struct agent *a)
{
	const enum swap_state s = a->swap.state;

	return s != SWAP_NONE && s != SWAP_CHECK && s != SWAP_SETTLE;
}

/* ---- main.c ---- */
/* One sentence on the console (stderr). */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The service cannot go on: one sentence into the state node and on the console. */
void agent_fail(struct agent *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint64_t now_ms(void);
/* <data>/state */
void agent_state(struct agent *a, const char *text);
void agent_ready(struct agent *a); /* and <data>/epoch */

/* ---- life.c ---- */
/* The service's process ended with @status (waitpid). */
void service_died(struct agent *a, int status);
/* It answered a Ping. */
void life_pong(struct agent *a, uint64_t nonce);
/* The watcher asks by <base>/ping whether this domain lives; the answer is <data>/pong. */
void life_answer(struct agent *a);
/* The same if @changed is that node; else false. */
bool life_answers(struct agent *a, const char *changed);
/* dom0 asks for another instance: <base>/restart changed. */
void life_look_for_order(struct agent *a);
/* Do what is due: another instance, a Ping, the end of one that hangs.  Returns how
 * many milliseconds until there is something again, -1: never. */
int life_step(struct agent *a);

/* ---- status.c: what `strait ps` shows ---- */
/* If @changed is <base>/ps: ask the service.  Else false. */
bool status_asked(struct agent *a, const char *changed);
/* It answered: into <data>/ps. */
void status_answered(struct agent *a, uint32_t sessions, uint32_t in_flight, uint32_t objects);

/* ---- guests.c ---- */
/* Bring the service's guests in line with xenstore and with who lives. */
void guests_look(struct agent *a);
void guests_ready(struct agent *a, uint32_t domid, uint32_t ring_ref, uint32_t port);
void guests_released(struct agent *a, uint32_t domid);
void guests_failed(struct agent *a, uint32_t domid, const char *why);
void guests_back(struct agent *a, uint32_t domid);
/* What xenstore is told of its channel: ring, epoch, port; @there: in the place of
 * another one.  How many entries of @to were filled. */
#define CHANNEL_PUTS 4
unsigned guests_channel(const struct agent *a, uint32_t domid, const uint32_t values[3], bool there,
                        struct store_put *to);
/* ... and that it is served: 1. */
unsigned guests_said_ready(const struct agent *a, uint32_t domid, struct store_put *to);
/* All that was written. */
void guests_serve(struct agent *a, struct guest *g);
/* In the list, as if its nodes had been read; NULL: it is there, or no memory. */
struct guest *guests_new(struct agent *a, const struct config_guest *c);
/* Another process has the channels that were prepared; the others are gone. */
void guests_change_over(struct agent *a);
/* The service is gone, and all channels with it. */
void guests_drop_all(struct agent *a);
/* The same, and nobody is waited for any more. */
void guests_end(struct agent *a);
/* An earlier domain had the guests that are announced: they come back to this one. */
void guests_expect_listed(struct agent *a);

/* ---- service.c ---- */
/* Open what the configuration names, start the program, configure it.  On failure
 * agent_fail() was called. */
int service_start(struct agent *a) __attribute__((warn_unused_result));
/* Only its program, so that service_start() need not wait for it. */
int service_launch(struct agent *a) __attribute__((warn_unused_result));
void service_readable(struct agent *a);
int service_add(struct agent *a, const struct config_guest *g) __attribute__((warn_unused_result));
/* The same to @sock, of one that another instance serves as yet. */
int service_prepare(struct agent *a, int sock, const struct config_guest *g)
	__attribute__((warn_unused_result));
int service_ping(struct agent *a, uint64_t nonce) __attribute__((warn_unused_result));
int service_ask_status(struct agent *a) __attribute__((warn_unused_result));
int service_gone(struct agent *a, uint32_t domid) __attribute__((warn_unused_result));
void service_stop(struct agent *a); /* asks; SIGCHLD tells that it ended */
/* The same to an fsd: it says Stopped when it has closed all, and ends later.  One that
 * does not know that ends at once. */
void service_close(struct agent *a);
/* The process ended; what it worked with stays for the next one. */
void service_lost(struct agent *a);
/* The same, and no other follows: flush and let go of what it worked with.  False: not
 * all of it was written out. */
bool service_ended(struct agent *a);

/* Write out what the service's mounts hold.  False: not all of it was. */
bool mounts_flush(const struct agent *a);
/* What tells guests that unsynced writes are still there. */
uint64_t service_verifier(const struct agent *a);

/* ---- selfcheck.c ---- */
/* Does a file service work in this domain?  Blocks, up to some seconds; with one process.
 * 0, or negative errno with a sentence. */
int selfcheck_files(const struct agent *a, char why[CONFIG_WHY]) __attribute__((warn_unused_result));

/* ---- mounts.c ---- */
/* A detached mount of @m; a descriptor, or negative errno with a sentence. */
int mount_open(const struct config *c, const struct config_mount *m, char why[CONFIG_WHY])
	__attribute__((warn_unused_result));

/* ---- trace.c ---- */
/* A file in memory of at most config.trace_size bytes, with its head; a descriptor to
 * hand over, or negative errno with a sentence. */
int trace_create(struct agent *a, char why[CONFIG_WHY]) __attribute__((warn_unused_result));
void trace_offer(struct agent *a);  /* make the channel; says what fails */
int trace_fd(const struct agent *a); /* to poll; -1: none */
void trace_event(struct agent *a);
void trace_close(struct agent *a);
/* ---- trace_fetch.c ---- */
/* `strait-agent --trace-of DOMID`: write what service @name of @domid recorded to
 * stdout.  Exit status. */
int trace_fetch(struct store *s, unsigned domid, const char *name);

/* ---- clock.c ---- */
/* Xen's system time minus CLOCK_MONOTONIC, in ns, the same for this kernel's life.
 * 0, or negative errno. */
int clock_ahead(int64_t *ahead) __attribute__((warn_unused_result));

/* ---- netif.c ---- */
/* Make @name the service's own: up, without addresses, and nothing of the kernel's
 * answers on it.  An AF_PACKET socket, or negative errno with a sentence. */
int netif_open(const char *name, uint32_t mtu, struct netif_info *info, char why[CONFIG_WHY])
	__attribute__((warn_unused_result));

/* ---- init.c: process 1 ---- */
/* Mount what a process needs, load the modules. */
void init_start(void);
/* One of the image's modules, by its file's name, or by its own.  0 or negative errno. */
int init_load_module(const char *file, const char *params) __attribute__((warn_unused_result));
void init_unload_module(const char *name);
/* What the kernel's command line says after strait.service=; else @to stays. */
void init_service_name(char *to, size_t size);
/* In a debug image: a shell on the console. */
void init_shell(void);
/* Sync, then power off or restart; does not return. */
void init_end(bool again) __attribute__((noreturn));
/* As /sbin/poweroff or /sbin/reboot, which the kernel runs when dom0 asks for it
 * (xl shutdown, xl reboot): tell process 1. */
int init_told(const char *name);

/* Wait up to @ms for @path to be there.  0 or -ENOENT. */
int wait_for_path(const char *path, unsigned ms);

#endif /* AGENT_AGENT_H */
