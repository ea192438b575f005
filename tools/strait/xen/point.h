/* SPDX-License-Identifier: MIT */
/*
 * point.h - which domain serves: what guests are told of it, in xenstore.
 *
 * The switch of a swap is written down before the old one stops, in a transaction that
 * stays open; ending it is one request.
 *
 * Layer:   tools.
 * Locking: none; one thread, one switch at a time.
 * Errors:  0 or a negative errno (xst_why()).
 */
#ifndef TOOLS_STRAIT_XEN_POINT_H
#define TOOLS_STRAIT_XEN_POINT_H

#include "tools/strait/xen/deploy.h"

#include <stdbool.h>

/* Is @g a guest of @m, that has not ended? */
bool point_serves(const struct deployment *d, const struct member *g, const struct member *m);
unsigned point_count(const struct deployment *d, const struct member *m); /* of them */
/* By these nodes @m, and domain @other, see that guests live. */
int point_lives(const struct deployment *d, const struct member *m, unsigned other)
	__attribute__((warn_unused_result));
/* Guests will go to @next: all that can be done before.  What fails is done later. */
void point_ahead(const struct deployment *d, const struct member *next, unsigned epoch);
void point_undo(void); /* they will not */
/* ... they do: to @m, which serves.  They wait for nothing else. */
int point_done(const struct deployment *d, const struct member *m, unsigned epoch)
	__attribute__((warn_unused_result));
/* The same, with nothing done ahead. */
int point_all(const struct deployment *d, const struct member *m, unsigned epoch)
	__attribute__((warn_unused_result));
/* ... and what it says for later: it serves whenever it is asked what it is, and is the
 * only one that looks after guests. */
int point_settle(const struct deployment *d, const struct member *m)
	__attribute__((warn_unused_result));

#endif /* TOOLS_STRAIT_XEN_POINT_H */
