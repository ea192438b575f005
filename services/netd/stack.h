/* SPDX-License-Identifier: MIT */
/*
 * stack.h - what the event loop asks of the stack in use.
 *
 * Layer:   services/netd.
 * Locking: none; netd has one thread.
 */
#ifndef NETD_STACK_H
#define NETD_STACK_H

#include "control.pb-c.h"
#include "netstate.pb-c.h"
#include "services/netd/netd.h"

struct move_out;
struct move_in;

/* The loop's side of a stack; the guests' side is struct stack_ops. */
struct stack {
	const struct stack_ops *ops;
	/* @fd: the link's descriptor (taken on success), or -1.  0, or negative errno
	 * with one sentence in @why. */
	int (*start)(const Control__NetConfig *cfg, int fd, char why[256]);
	/* The loop's epoll descriptor, for stacks that watch descriptors of their own. */
	void (*watch)(int epoll_fd);
	/* A descriptor is ready.  @tag: what the stack gave epoll, or 0 for the link.
	 * True: more is there. */
	bool (*input)(void *tag, uint32_t events);
	int (*fd)(void); /* the link, or -1 */
	/* Before sleeping: send what was written, let loop-backs arrive.  True if that
	 * made new work. */
	bool (*flush)(void);
	uint64_t (*deadline)(void); /* ms */
	void (*run)(uint64_t now_ms);
	/* A move (move.h); NULL: this stack cannot. */
	void (*take_over)(void);             /* before start(): the link is another's until go() */
	void (*seal)(void);                  /* nothing may be on its way inside any more */
	void (*head)(Netstate__Head *h);
	void (*export)(struct move_out *o);  /* sockets and all that is below them */
	int (*import)(struct move_in *in);   /* one record that is not GUEST or END */
	void (*go)(void);                    /* all is here, and the link is ours */
	void (*resume)(void);                /* after seal(): it stays ours; may be NULL */
	/* Connections that their guests have closed and that are not done: RST.  Their
	 * number. */
	uint32_t (*reset_orphans)(void);
};

extern const struct stack g_stack_lwip, g_stack_host;

#endif /* NETD_STACK_H */
