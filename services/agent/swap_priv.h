/* SPDX-License-Identifier: MIT */
/*
 * swap_priv.h - what swap.c says, and how (swap_say.c).
 *
 * Layer:   services/agent, private.
 * Locking: none; one thread.
 */
#ifndef AGENT_SWAP_PRIV_H
#define AGENT_SWAP_PRIV_H

#include "control.pb-c.h"

#include <stdint.h>

struct agent;

uint64_t swap_now_us(void);
/* A line more in the node that dom0 reads: @kind is '-', '=', '!' or '+' (swap.h). */
void swap_answer(struct agent *a, char kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A step was reached, and took so long. */
void swap_reached(struct agent *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* An order without an argument to a service; @fd goes with it, unless it is -1. */
int swap_send(int sock, Control__Control__BodyCase what, int fd);

#endif /* AGENT_SWAP_PRIV_H */
