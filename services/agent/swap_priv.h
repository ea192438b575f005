/* SPDX-License-Identifier: MIT */
/*
 * swap_priv.h - the parts of a swap: swap.c, swap_process.c, swap_domain.c, swap_say.c.
 *
 * Layer:   services/agent, private.
 * Locking: none; one thread.
 */
#ifndef AGENT_SWAP_PRIV_H
#define AGENT_SWAP_PRIV_H

#include "control.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

struct agent;
struct instance;
struct swap;

/* ---- swap.c ---- */
/* "fsd" or "netd". */
const char *swap_program(const struct agent *a);

/* ---- swap_process.c: two processes of this agent ---- */
void swap_order_process(struct agent *a, const char *path);
/* Channels are made: the old one stops. */
void swap_cut(struct agent *a);
/* Takes over when the old one has written and the next one has read. */
void swap_both_moved(struct agent *a);
/* The next one is the service.  Guests wait: they come first.  @told: the old one has ended;
 * else it is told now, so that they are called when there is where to go. */
void swap_take_over(struct agent *a, bool told);
/* The next one goes, and why; the old one serves on. */
void swap_failed(struct agent *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What is due at @now (now_ms()): when there is something next, UINT64_MAX: never. */
uint64_t swap_process_step(struct agent *a, uint64_t now);
/* What is open of a process. */
void swap_let_go(struct instance *n);

/* ---- swap_domain.c: two domains, an agent in each ---- */
/* To the one that serves, ... */
void swap_order_offer(struct agent *a, int domid);
void swap_order_export(struct agent *a);
void swap_order_leave(struct agent *a);
/* ... to the one that stands by, */
void swap_order_import(struct agent *a, const char *args);
/* ... to the one that is to serve. */
void swap_order_go(struct agent *a);
/* A file service has ended: its disks go, written out. */
void swap_sealed(struct agent *a);
/* The guests' service is ours. */
void swap_serve(struct agent *a);
/* What guests do not wait for. */
void swap_say_rest(struct agent *a);
/* To the next domain. */
void swap_close_channel(struct swap *w);

/* ---- swap_say.c ---- */
uint64_t swap_now_us(void);
/* A line more in the node that dom0 reads: @kind is '-', '=', '!' or '+' (swap.h). */
void swap_answer(struct agent *a, char kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A step was reached, and took so long. */
void swap_reached(struct agent *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* An order without an argument to a service; @fd goes with it, unless it is -1. */
int swap_send(int sock, Control__Control__BodyCase what, int fd);

#endif /* AGENT_SWAP_PRIV_H */
