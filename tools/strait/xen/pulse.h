/* SPDX-License-Identifier: MIT */
/*
 * pulse.h - does a service's domain still do anything?
 *
 * dom0 writes a number (strait/NAME/ping), the agent in the domain answers with the
 * same (data/strait/NAME/pong).  Silence alone does not tell a domain that hangs from
 * one that an administrator paused: Xen does.
 *
 * Layer:     tools.
 * Ownership: the caller's struct, zero at first.
 * Locking:   none.
 */
#ifndef TOOLS_STRAIT_XEN_PULSE_H
#define TOOLS_STRAIT_XEN_PULSE_H

#include <stdbool.h>
#include <stdint.h>

struct member;

struct pulse {
	unsigned domid;           /* 0: none yet; another one is a new domain */
	bool asked, answered;     /* ever */
	bool paused;              /* when it was last looked */
	uint32_t hang_s, paused_s; /* the policy; 0: never judged */
	uint32_t nonce;
	uint64_t looked_ms;
	uint64_t silent_ms, paused_ms;
};

/* Look at the domain of @m and ask it again, when that is due.  What happens is said
 * by watch_note().  NULL: it goes on; else why it must be ended. */
char *pulse_look(struct pulse *p, const struct member *m);
/* Milliseconds until it is due again, @most at most. */
int pulse_due(const struct pulse *p, int most);

#endif /* TOOLS_STRAIT_XEN_PULSE_H */
