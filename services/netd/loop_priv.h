/* SPDX-License-Identifier: MIT */
/*
 * loop_priv.h - what the event loop (loop.c) shares with the handing over of all it
 * serves (loop_move.c), and with what comes first after an end (loop_back.c).
 *
 * Layer:   services/netd, private.
 * Locking: none; netd has one thread.
 */
#ifndef NETD_LOOP_PRIV_H
#define NETD_LOOP_PRIV_H

#include "rpc/tick.h"
#include "services/netd/loop.h"
#include "services/netd/stack.h"

/* A netd that is swapped is SERVING, then SEALED; the next one HELD, then SERVING.
 * SEALED and HELD touch neither the link nor a ring nor a timer: only one of the two
 * may, and which one is the supervisor's word. */
enum loop_state { LOOP_SERVING, LOOP_SEALED, LOOP_HELD, LOOP_REFUSED };

struct loop {
	int control, epoll;
	struct tick tick; /* the next timer or heartbeat */
	const struct stack *stack;
	struct rpc_server_ops ops;
	struct guest *guests;
	struct guest *imported; /* their channels have not come yet */
	enum loop_state state;
	int link_fd;            /* -1: none */
	bool configured, sandboxed, stop, link_more;
	struct guest *woken; /* in this turn, by what was pushed; NULL */
	uint32_t lend_skip, lend_lost; /* turns to leave it; times in a row it did not pay */
	int status;
};
extern struct loop g_loop;

/* ---- loop.c ---- */
void loop_say(Control__Control *c);
int loop_take_fd(int *fds, int n_fds, uint32_t i);
int loop_watch_link(void); /* 0 or negative errno */
void loop_guest_gone(uint32_t domid);
void loop_drop_broken(void);
void loop_push_all(void); /* what has come, to guests that have room */

/* ---- loop_move.c ---- */
static inline bool loop_still(void)
{
	return g_loop.state != LOOP_SERVING;
}
/* Configure said that an import comes: before the stack starts, and after. */
void move_expect(const struct stack *stack);
void move_expect_warm(void);
void move_do_export(int fd);
void move_do_drop(void);
void move_do_import(int fd);
void move_resume(void);
/* The first guest is given to us: all is ours.  False: nothing was imported well. */
bool move_go(void);
/* What was imported for that client, to be filled with a channel; NULL: nothing. */
struct guest *move_guest(const uint8_t *client_id);
/* While serving: what was imported for guests that do not come. */
uint64_t move_deadline(void);
void move_run(uint64_t now_ms);
/* The platform says that it is gone.  True: seen to here. */
bool move_guest_gone(uint32_t domid);
/* After the last turn.  True: the sockets are another's, nothing may be sent. */
bool move_ended(void);

/* ---- loop_back.c ---- */
/* The stack has started, its link is not watched.  0 or -ENOMEM. */
int back_expect(const Control__Configure *c);
bool back_waits(void); /* the link is watched once guests are back, not before */
void back_begins(void); /* a guest is given to us */
void back_is(uint32_t domid); /* it has all back, had nothing, or will not come */
uint64_t back_deadline(void);
void back_run(uint64_t now_ms);

#endif /* NETD_LOOP_PRIV_H */
