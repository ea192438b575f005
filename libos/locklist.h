/* SPDX-License-Identifier: MIT */
/*
 * locklist.h - which ranges of a file one owner has locked.
 *
 * What the guest knows of its locks, so that it can ask a later instance of fsd for
 * the same ones.  A list holds one owner's ranges, sorted; they do not overlap, and
 * neighbours of one type and handle are one range.
 *
 * Layer:     libos.
 * Ownership: the list owns its ranges; records come from locklist_spares().
 * Locking:   the caller's; the records' pool has a leaf lock.
 * Memory:    a pool of LOCKLIST_MAX ranges.
 * Errors:    -ENOLCK: no records left.
 */
#ifndef LIBOS_LOCKLIST_H
#define LIBOS_LOCKLIST_H

#include <stdbool.h>
#include <stdint.h>

#define LOCKLIST_MAX 65536u /* as many as fsd lets one session have */
#define LOCKLIST_END ((uint64_t)INT64_MAX)

struct lock_range {
	struct lock_range *next;
	uint64_t start, end; /* inclusive */
	int type;            /* F_RDLCK, F_WRLCK; F_UNLCK in a request */
	uint32_t handle;     /* by which it was asked for */
};

/* What one change may need, taken beforehand: a change cannot fail. */
struct lock_spares {
	struct lock_range *at[2];
};
int locklist_spares(struct lock_spares *s) __attribute__((warn_unused_result));
/* Give back what is left. */
void locklist_unspare(struct lock_spares *s);

/* [want->start, want->end] is of want->type from now on; F_UNLCK: free. */
void locklist_set(struct lock_range **list, const struct lock_range *want,
                  struct lock_spares *s);
/* The owner goes. */
void locklist_clear(struct lock_range **list);

#endif /* LIBOS_LOCKLIST_H */
