/* SPDX-License-Identifier: MIT */
/*
 * notify.h - what guests watch, and the events of it.
 *
 * A session that watches anything has one inotify instance of the kernel; so what
 * other guests and the programs of the host do is seen too.  An object that several
 * groups (inotify descriptors) of the guest watch is one watch of the kernel, whose
 * events are handed to each group that wants them.
 *
 * Layer:     services/fsd.
 * Ownership: a session's watches end with it.
 * Locking:   thread-safe; one lock for all, held across no call that waits for a disk
 *            but in notify_hide_begin() to notify_hide_end().
 * Memory:    malloc; RPC_WATCHES_MAX watches and NOTIFY_QUEUE_MAX events of a session.
 * Errors:    negative errno.
 */
#ifndef FSD_NOTIFY_H
#define FSD_NOTIFY_H

#include "services/fsd/session.h"

#define NOTIFY_QUEUE_MAX 4096u /* read from the kernel, and waiting for credit */
#define NOTIFY_GROUPS_MAX 128u /* that watch one object: an event is so many */

/* @epoll tells guest_event() of the session whose instance has events. */
void notify_init(int epoll);
/* Watch @n, known by @stx, as @watch of @group with IN_* @mask, as whom the thread
 * acts.  *@watch: what it is, if the group watches it already. */
int notify_watch(struct session *s, const struct node *n, const struct statx *stx,
                 uint32_t group, uint32_t mask, uint32_t *watch)
        __attribute__((warn_unused_result));
/* @watch 0: all of the group. */
void notify_unwatch(struct session *s, uint32_t group, uint32_t watch);
/* Send what happened so far, before an answer: who asked knows what it did itself. */
void notify_flush(struct session *s);
/* The same from the loop, when the kernel has events, or the guest has room again. */
void notify_pump(struct session *s);
void notify_end(struct session *s);

/* Between these the file's count of links changes by a hidden name, which is nobody's
 * business: one event of it is not sent.  Not to be nested; what begin says is end's. */
bool notify_hide_begin(uint64_t dev, uint64_t ino) __attribute__((warn_unused_result));
void notify_hide_end(bool hiding);

#endif /* FSD_NOTIFY_H */
