/* SPDX-License-Identifier: MIT */
/*
 * unixq.h - the receive queue of an AF_UNIX socket.
 *
 * A queue is a ring of records: header, sender's name, data.  It is an object of its
 * own, shared by the socket that reads it and those that write it, so that either
 * side may go first; each marks what it can no longer do.
 *
 * Layer:     libos.
 * Ownership: counted; a socket holds its own queue and the one it sends to.
 * Locking:   q->lock guards all below it; a leaf but for the wait queues of reader and
 *            senders, whose threads are unparked without it.
 * Memory:    rings come from a pool, when the first record is put.
 * Errors:    0 or a value >= 0 on success, a negative errno on failure.
 */
#ifndef LIBOS_UNIXQ_H
#define LIBOS_UNIXQ_H

#include "libos/socket.h"

#define UQ_RING (256u * 1024)
#define UQ_LIMIT_DEFAULT 212992u /* as Linux's wmem_default */
#define UQ_NAME_MAX 112u         /* struct sockaddr_un and a NUL */
#define UQ_FDS_MAX 253u          /* SCM_MAX_FD */

/* Descriptions on their way. */
struct uq_fds {
	struct uq_fds *next;
	uint32_t n;
	struct ofd *at[UQ_FDS_MAX];
};

/* In front of every record in the ring. */
struct uq_head {
	uint32_t len;      /* data bytes left */
	uint32_t name_len; /* of the sender's name, before the data */
	uint32_t uid, gid;
	struct uq_fds *fds;
};

/* A socket that sends to a queue. */
struct uq_sender {
	struct uq_sender *next, **pprev; /* under q->lock; NULL pprev: not linked */
	struct ofd *ofd;
};

struct unix_queue {
	struct lock lock;
	uint32_t refs;
	struct ofd *reader; /* no reference; NULL when it is gone */
	struct uq_sender *senders;
	uint8_t *ring;
	uint64_t head, tail;
	uint64_t last; /* where the newest record's head is: valid if has_last */
	bool has_last;
	bool eof;        /* nothing more will be sent */
	bool closed;     /* nothing more will be read */
	bool want_space; /* a sender found no room and wants to hear of some */
	int err;         /* told once to the reader when the data is read */
	uint32_t n_records;
};

/* What a message is, apart from its data. */
struct uq_put {
	uint32_t uid, gid;
	const struct sock_name *name; /* NULL: none */
	struct uq_fds *fds;           /* taken on success */
	uint32_t limit;               /* bytes that may be under way */
	bool stream;
};

/* What a receiver wants, and gets. */
struct uq_take {
	bool peek, stream;
	uint32_t uid, gid;      /* out */
	struct sock_name *name; /* out, or NULL */
	struct uq_fds *fds;     /* out: caller frees; with peek: borrowed references */
	size_t real;            /* out: length of the whole message */
};

struct unix_queue *uq_new(struct ofd *reader);
struct unix_queue *uq_ref(struct unix_queue *q);
void uq_unref(struct unix_queue *q);

/* Move one record (or, for a stream, as much as fits) in.  Bytes moved (0 is a record
 * too, but for a stream); -EAGAIN: no room (want_space is set); -EPIPE: closed;
 * -EFAULT. */
long uq_put(struct unix_queue *q, struct uio *u, struct uq_put *put);
/* Move data out: bytes; -EAGAIN: nothing there; 0 with *@end: the end. */
long uq_take(struct unix_queue *q, struct uio *u, struct uq_take *take, bool *end);

bool uq_can_put(struct unix_queue *q, size_t len, uint32_t limit); /* or is closed */
bool uq_can_take(struct unix_queue *q);                            /* or has ended */
/* EPOLL* bits of either side. */
uint32_t uq_poll_reader(struct unix_queue *q);
uint32_t uq_poll_sender(struct unix_queue *q, uint32_t limit);
/* Bytes waiting; of the first record only, unless @stream. */
uint32_t uq_waiting(struct unix_queue *q, bool stream);

void uq_add_sender(struct unix_queue *q, struct uq_sender *s);
void uq_remove_sender(struct unix_queue *q, struct uq_sender *s);

/* The sending side ends (@err: told to the reader); the reading side ends. */
void uq_end(struct unix_queue *q, int err);
void uq_close(struct unix_queue *q, bool reader_gone);

struct uq_fds *uq_fds_new(void);
/* Drop the descriptions; may end sockets, whose queues may hold more of them: done
 * one after the other, not one inside the other. */
void uq_fds_free(struct uq_fds *f);

#endif /* LIBOS_UNIXQ_H */
