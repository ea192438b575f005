/* SPDX-License-Identifier: MIT */
/*
 * store.h - the agent's client of xenstore.
 *
 * Speaks the wire protocol itself: libxenstore would start a thread for watches, and
 * the agent forks.  One request at a time; watch events that come between are kept.
 * Paths may be relative to the agent's own domain (/local/domain/<own>).
 *
 * Layer:     services/agent.  Includes Xen's wire header in its .c only.
 * Ownership: the caller's struct; names of store_list() are the caller's to free.
 * Locking:   none; the agent has one thread.
 * Errors:    0 or a value >= 0, or a negative errno, as xenstored names it; -EIO when
 *            its answer makes no sense, -ETIMEDOUT when none comes.
 */
#ifndef AGENT_STORE_H
#define AGENT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#define STORE_PATH_MAX 512
#define STORE_VALUE_MAX 4096 /* with a NUL: 4095 bytes of value */

struct store_event {
	struct store_event *next;
	char path[STORE_PATH_MAX], token[64];
};

struct store {
	int fd;
	bool waits; /* a request waits for the answer to the one before, but on lanes */
	bool blind; /* who lives we may not ask */
	const char *device;
	struct store *lanes; /* connections for many requests at once */
	unsigned n_lanes;
	uint32_t last_id;
	struct store_event *events, **events_end;
};

/* Connect: xenstored's socket in its own domain, else /dev/xen/xenbus. */
int store_open(struct store *s) __attribute__((warn_unused_result));
/* Use @fd, a stream to a xenstored; takes it. */
void store_init(struct store *s, int fd);
void store_close(struct store *s);

/* Read a node into @to, NUL added.  Its length; -EMSGSIZE if it does not fit, -EINVAL if
 * a NUL is in it. */
int store_read(struct store *s, const char *path, char *to, uint32_t size)
	__attribute__((warn_unused_result));
/* The names of a node's children, NULL after the last. Their number. */
int store_list(struct store *s, const char *path, char ***names)
	__attribute__((warn_unused_result));
void store_list_free(char **names);
int store_write(struct store *s, const char *path, const char *value)
	__attribute__((warn_unused_result));
/* Many at once: none waits for the answer to the one before, where that may be. */
#define STORE_PUTS_MAX 64
#define STORE_NOBODY (-1)
struct store_put {
	char path[160], value[16]; /* "": the node is to go */
	int reader; /* of @owner's node; STORE_NOBODY: who may read it stays as it is */
};
/* The first of them that failed, as its negative errno; the others are done. */
int store_put_all(struct store *s, unsigned owner, const struct store_put *puts, unsigned n)
	__attribute__((warn_unused_result));
#define STORE_LANES 8
struct store_get {
	char path[160], value[1040];
	int result; /* as of store_read() */
};
/* Each has its result; 0, or -EPIPE. */
int store_get_all(struct store *s, struct store_get *gets, unsigned n);
int store_rm(struct store *s, const char *path);
/* The node is @owner's; @reader may read it, nobody else. */
int store_share(struct store *s, const char *path, unsigned owner, unsigned reader)
	__attribute__((warn_unused_result));
int store_watch(struct store *s, const char *path, const char *token)
	__attribute__((warn_unused_result));
/* 1 when xenstored knows the domain (it lives), 0 when not. */
int store_domain_lives(struct store *s, unsigned domid) __attribute__((warn_unused_result));

/* One watch event, the caller's to free; NULL: none is there now.  *err is set when the
 * connection broke. */
struct store_event *store_event(struct store *s, int *err);

#endif /* AGENT_STORE_H */
