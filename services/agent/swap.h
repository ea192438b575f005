/* SPDX-License-Identifier: MIT */
/*
 * swap.h - a planned swap: another instance takes a service's place.
 *
 * dom0 writes one order at a time into <base>/swap, "ID VERB [ARGUMENT...]"; what comes
 * of it stands in <data>/swap: the ID, then lines that begin with '-' (a step was
 * reached), '=' (done), '!' (not done, and why) or, after "= serves N", '+' (these N
 * guests have all back that they had).
 *
 *      one agent, two processes:    old and next below it           process [PROGRAM]
 *      two domains, an agent each:  offer DOMID, export, leave   |  import ..., go
 *      ... of a file service:       offer 0, export, leave       |  import VERIFIER go
 *      it did not work out:         go (the old one serves on)
 *
 * Layer:     services/agent.
 * Ownership: one struct swap, in struct agent.
 * Locking:   none; one thread.
 */
#ifndef AGENT_SWAP_H
#define AGENT_SWAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SWAP_PROGRAM 1024
#define SWAP_SAID 1500

struct agent;

enum swap_state {
	SWAP_NONE,
	/* two processes of this agent */
	SWAP_CHECK,   /* the next one starts, the old one serves */
	SWAP_MOVE,    /* netd: the old one writes, the next one reads */
	SWAP_DRAIN,   /* fsd: the old one finishes what it has */
	SWAP_SETTLE,  /* the next one is the service; its guests come */
	/* the domain that is to take over */
	SWAP_STANDBY,
	SWAP_TAKING,  /* its service starts, or reads */
	SWAP_TAKEN,
	/* the domain that serves */
	SWAP_SEALING,
	SWAP_SEALED,  /* its service stands still, or has ended */
	SWAP_LEFT,    /* for good */
};

struct trace_kept {
	int fd;
	int64_t clock_ahead;
};

/* A process that is not, or not any more, the service. */
struct instance {
	pid_t pid;
	int sock;
	bool ready, prepares; /* ... guests ahead of time */
	char program[SWAP_PROGRAM];
	struct trace_kept trace;
};

struct swap {
	enum swap_state state;
	char id[24];            /* of the order */
	char said[SWAP_SAID];
	bool trying;            /* what fails is the next one's start */
	char why[384];          /* ... and why it failed */
	struct instance next;
	pid_t old;              /* told to end */
	uint64_t due_ms, old_ms; /* limits of the step, of the old one's end */
	uint64_t last_us, cut_us;
	bool exported, imported;
	uint32_t connections;
	struct vchan_end *out;  /* to the next domain */
	struct prepared *prepared; /* guests that the next instance has channels for */
	bool preparing;         /* ... or makes them */
	struct mem_note *mems;  /* as they were found to be pristine; NULL: no note of it */
	uint64_t verifier;      /* given by the last domain; 0: our own */
	unsigned n_served;      /* guests that were waiting; 0: none, or they are all back */
	uint64_t say_ms;        /* until then they come first, all else is to be said; 0: it is */
	bool serves;            /* as soon as it has all: nobody needs to say go */
};

/* <base>/swap changed? */
void swap_look_for_order(struct agent *a);
/* What is due; how many milliseconds until there is something, -1: never. */
int swap_step(struct agent *a);
/* The service said Ready: true if that is not yet for guests. */
bool swap_took_ready(struct agent *a);
/* It ended: true if that was meant, or is dealt with. */
bool swap_took_end(struct agent *a, int status);
/* A service that stands by, or did, cannot go on. */
void swap_took_failure(struct agent *a, const char *why);
/* It has closed all that it had, and waits for the end of its socket. */
void swap_stopped(struct agent *a);
/* Some other child of ours did. */
void swap_child_ended(struct agent *a, pid_t pid, int status);
/* The next instance's socket, to poll; -1: none. */
int swap_fd(const struct agent *a);
void swap_readable(struct agent *a);
void swap_exported(struct agent *a, uint32_t connections, uint64_t bytes, const char *failed);
void swap_imported(struct agent *a, uint32_t connections, const char *failed);
/* A guest's channel is there. */
void swap_guest_ready(struct agent *a);
/* One more has all back. */
void swap_guest_back(struct agent *a);
/* The service of a domain that stands by has its program: its channels next. */
void swap_stand_by(struct agent *a);
/* One more of the next instance's channels is made, or cannot be. */
void swap_prepared(struct agent *a);
/* The agent ends. */
void swap_end(struct agent *a);

/* ---- prepare.c: channels that are made ahead ---- */
struct guest;
/* The service behind @sock is to make a channel for each guest that is announced. */
void prepare_guests(struct agent *a, int sock);
bool prepare_done(const struct agent *a);
/* It did, or could not.  False: nobody who is prepared. */
bool prepare_made(struct agent *a, uint32_t domid, uint32_t ring_ref, uint32_t port);
bool prepare_failed(struct agent *a, uint32_t domid);
/* At the switch.  Does another channel take the place of @g's? */
bool prepare_keeps(struct agent *a, const struct guest *g);
/* ... and the service, which has them, serves them now: how many. */
unsigned prepare_serve(struct agent *a);
/* ... which their nodes say, too, in a domain: guests do not wait for that. */
void prepare_say(struct agent *a);
void prepare_forget(struct agent *a);

/* ---- swap_mem.c ---- */
struct config;
struct config_mount;
/* Is in the mem @fd what was put there when it was made, and nothing else? */
bool mem_is_pristine(const struct config *c, const struct config_mount *m, int fd);
struct mem_note;
/* What is in the mems among the @n mounts behind @fds, which stay open; to be free()d.  NULL: it
 * cannot be noted; compare then. */
struct mem_note *mem_note(const struct config *c, const int *fds, unsigned n);
/* Nothing of it changed since.  False also where there is no note. */
bool mem_as_noted(const struct mem_note *note);
/* Its disks are mounted no more; waits for that, some seconds. */
bool mounts_released(const struct config *c);
/* They are there, and nothing of what was read of them early is kept. */
int mounts_await(const struct config *c, char *why) __attribute__((warn_unused_result));

/* ---- swap_state.c: what travels between two domains ---- */
/* Everything from @sock to @v; 0 or negative errno. */
int swap_pump_out(struct vchan_end *v, int sock) __attribute__((warn_unused_result));
struct libxenvchan;
/* Wait for the first byte of @c. */
int swap_pump_wait(struct libxenvchan *c) __attribute__((warn_unused_result));
/* ... then all of it to @sock, until that is closed. */
int swap_pump_in(struct libxenvchan *c, int sock) __attribute__((warn_unused_result));

#endif /* AGENT_SWAP_H */
