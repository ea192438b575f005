/* SPDX-License-Identifier: MIT */
/*
 * kept.h - files that were open when the instance before ended, and holds.
 *
 * The filekeeper (filekeeper.h) had their descriptors, the supervisor handed them on:
 * O_PATH, so they open nothing by themselves.  They stay here until the guests are back,
 * and tell where a file is that was renamed or removed meanwhile.
 *
 * A hold is a number for one open file of a file system that has no other name for it for
 * good.  It stands in shared memory beside its descriptor as long as the file is open, so
 * that the filekeeper can say which descriptor had which; the next instance finds the
 * file by it.  An inode's number would not do: it may have been another file's since.
 *
 * Layer:     services/fsd.
 * Ownership: kept_take() takes descriptors; kept_find*() give new ones.
 * Locking:   thread-safe; kept_share() and kept_begin() come first.
 */
#ifndef FSD_KEPT_H
#define FSD_KEPT_H

#include <stddef.h>
#include <stdint.h>

#define KEPT_HOLDS_MAX 8192u /* at once; files beyond have no identity */

/* Memory that is shared with processes cloned from here on.  Without, there are no
 * holds.  0 or negative errno. */
int kept_share(void) __attribute__((warn_unused_result));
/* The holds of this instance begin with @epoch; at most @max descriptors are kept. */
void kept_begin(uint32_t epoch, unsigned max);

/* ---- holds ---- */
/* @fd has @hold, 0: a new one.  Its place (> 0), or 0: there is no room for more. */
int kept_hold(int fd, uint64_t hold);
uint64_t kept_hold_is(int place);
/* Before the descriptor is closed.  0: nothing. */
void kept_hold_end(int place);
/* The filekeeper's: the hold of @fd, from place *@at on, which goes behind it; 0: no
 * more. */
uint64_t kept_hold_of(int fd, unsigned *at);

/* ---- of the instance before ---- */
/* Take what is O_PATH, with its hold.  Others, one too many and a second one of the same
 * file are closed. */
void kept_take(int *fds, int n, const uint64_t *holds, size_t n_holds);
/* The file of that number, if it can be by mount @mnt; or of that hold.  -ENOENT. */
int kept_find(uint64_t dev, uint64_t ino, uint64_t mnt);
int kept_find_hold(uint64_t hold);
/* The guests are back: what they have open they hold themselves.  Returns how many had
 * been too many to be kept. */
unsigned kept_drop(void);

#endif /* FSD_KEPT_H */
