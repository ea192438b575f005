/* SPDX-License-Identifier: MIT */
/*
 * lending.h - is a wait for a service to begin by lending it the CPU (platform.h,
 * plat_lend())?  As long as that pays.  After one that did not, some waits do without:
 * 1, and twice as many each time, up to LENDING_PAUSE_MAX.
 *
 * Layer:   libos, private to park.c.
 * Locking: the caller's.
 */
#ifndef LIBOS_LENDING_H
#define LIBOS_LENDING_H

#include <stdbool.h>
#include <stdint.h>

#define LENDING_PAUSE_MAX 1024u

/* All zero to begin with. */
struct lending {
	uint32_t pause; /* waits until the next one */
	uint32_t next;  /* pause, when that one is for nothing; 0: as 1 */
};

/* A wait begins: shall it lend? */
static inline bool lending_due(struct lending *l)
{
	if (l->pause == 0)
		return true;
	l->pause--;
	return false;
}

/* It did; @paid: what was waited for was there afterwards, in good time. */
static inline void lending_was(struct lending *l, bool paid)
{
	if (paid) {
		l->next = 0;
		return;
	}
	l->pause = l->next ? l->next : 1;
	if (l->next < LENDING_PAUSE_MAX)
		l->next = 2 * l->pause;
}

#endif /* LIBOS_LENDING_H */
