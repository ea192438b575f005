/* SPDX-License-Identifier: MIT */
/*
 * inotify.h - watching files: descriptors with queues, and the watches at fsd.
 *
 * A descriptor is a group at fsd; a watch is known there by its number here.  What
 * fsd sends of it is queued by the thread that reads the rings.
 *
 * Layer:     libos.
 * Ownership: a watch belongs to its descriptor, and goes with it.
 * Locking:   one lock for all, a leaf but for pools and wait queues; never held across
 *            an RPC.
 * Memory:    pools: RPC_WATCHES_MAX watches, INOTIFY_EVENTS_MAX events of all.
 * Errors:    0 or a value >= 0 on success, a negative errno on failure.
 */
#ifndef LIBOS_INOTIFY_H
#define LIBOS_INOTIFY_H

#include "libos/file.h"
#include "libos/pool.h"

#define INOTIFY_QUEUE_MAX 16384u  /* of one descriptor, as Linux's max_queued_events */
#define INOTIFY_EVENTS_MAX 32768u /* of all */

struct inotify_note; /* an event in a queue */

struct inotify {
	struct ofd ofd;       /* first */
	struct inotify *next; /* all of it under g_inotify_lock */
	uint32_t group;       /* constant */
	int last_wd;
	uint32_t n_watches;
	struct inotify_note *first, **last;
	uint32_t n_notes, n_bytes;
	bool overflowed; /* IN_Q_OVERFLOW is in the queue */
};

/* A watch; all of it under g_inotify_lock. */
struct inotify_watch {
	struct inotify_watch *next; /* hash chain */
	struct inotify *of;
	int wd;
	bool pending;   /* fsd did not answer yet, or its answer is not noted */
	bool gone;      /* meanwhile: who waits for the answer frees it */
	uint32_t round; /* of recovery, that told of it */
	/* What a later instance is told. */
	uint32_t mask, flags, type;
	uint64_t ino;
	struct file_ids *ids;
	uint8_t id_len, token_len;
	uint8_t id[FILE_ID_MAX], token[FILE_TOKEN_LEN];
	char path[FILE_PATH_KEPT];
};

extern struct lock g_inotify_lock;

/* ---- inotify.c ---- */

struct inotify *inotify_first_locked(void);
struct inotify *inotify_find_locked(uint32_t group);
/* Queue it, or an overflow, and say in @wakes who waited for it. */
void inotify_queue_locked(struct inotify *in, int wd, uint32_t mask, uint32_t cookie,
                          const char *name, uint32_t len, struct wake_list *wakes);

/* ---- inotify_watch.c ---- */

/* The descriptor goes, with all its watches. */
void inotify_forget(struct inotify *in);

#endif /* LIBOS_INOTIFY_H */
