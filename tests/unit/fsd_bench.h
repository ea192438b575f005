/* SPDX-License-Identifier: MIT */
/*
 * fsd_bench.h - fsd's dispatch in one process, without rings.
 *
 * Stands in for rpc_server: a call is handed to the generated service as the pump
 * would, its answer is kept.  One struct client a guest.
 */
#ifndef TESTS_UNIT_FSD_BENCH_H
#define TESTS_UNIT_FSD_BENCH_H

#include "rpc/server.h"
#include "services/fsd/lock.h"
#include "services/fsd/serve.h"

#include "file.pb-c.h"

#include <CUnit/Basic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum file_method {
	M_SET_CRED,
	M_OPEN,
	M_RELEASE,
	M_READ,
	M_WRITE,
	M_STAT,
	M_SET_ATTR,
	M_ACCESS,
	M_READLINK,
	M_MKDIR,
	M_MKNOD,
	M_SYMLINK,
	M_LINK,
	M_RENAME,
	M_UNLINK,
	M_READDIR,
	M_STATFS,
	M_SYNC,
	M_FALLOCATE,
	M_SEEK,
	M_READAHEAD,
	M_COPY_RANGE,
	M_LOCK,
	M_GET_LOCK,
	M_GET_XATTR,
	M_SET_XATTR,
	M_LIST_XATTR,
	M_REMOVE_XATTR,
	M_GETCWD,
	M_LEAVES,
	M_REOPEN,
	M_WATCH,
	M_UNWATCH,
	M_CHANGED,
};

struct reply {
	int err; /* 0 or a negative errno */
	bool queued;
	ProtobufCMessage *msg; /* owned; NULL: none */
	uint32_t len;
	_Alignas(8) char payload[RPC_PAYLOAD_MAX];
};

struct client {
	struct rpc_conn *conn;
	struct session *session;
	struct reply rep; /* of the last call */
};

/* A fresh folder and a service that has it (or a tmpfs, @memory: root only) at "/".
 * Returns the folder's path (of the tmpfs: NULL). */
const char *bench_start(bool memory, bool shared);
/* An instance of the same run, on a folder that stays. */
void bench_start_in(const char *dir, uint32_t epoch, bool shared);
/* Before bench_start(): @more mounts, added behind "/" in order. */
void bench_mount(const char *path, const char *dir, bool read_only);
/* ... on which a guest's root is root. */
void bench_mount_kept(const char *path, const char *dir);
/* After bench_start(): a name in "/" that guests serve themselves. */
void bench_own(const char *name);
/* After it, before the first client: another mount.  0 or negative errno, and why. */
int bench_add(const char *path, const char *dir);
const char *bench_why(void);
void bench_squash(uid_t uid, gid_t gid); /* ids per request; root only */
/* Everything released; true if no inode is left behind. */
bool bench_stop(void);
const struct mounts *bench_mounts(void);
extern unsigned g_bench_workers;

struct client *client_new(uint32_t uid, uint32_t gid);
void client_free(struct client *c);

/* Make a call and wait for its answer: 0 or negative errno. */
int call(struct client *c, enum file_method m, const ProtobufCMessage *msg,
         const void *payload, size_t len);
/* The same without waiting: returns a ticket for call_wait(). */
struct pending;
struct pending *call_start(struct client *c, enum file_method m,
                           const ProtobufCMessage *msg, const void *payload,
                           size_t len);
int call_wait(struct client *c, struct pending *p);

/* The next calls: @replay, they were in flight in the instance before; @die, the
 * process ends at this point of the journal's writing (with status BENCH_DIED). */
enum bench_die {
	DIE_NOT,
	DIE_BEFORE,  /* nothing is noted */
	DIE_INTENT,  /* noted, not done */
	DIE_CHANGED, /* done, not noted */
	DIE_DONE,
};
#define BENCH_DIED 7
struct bench_fault {
	struct journal_entry *journal; /* NULL: one for each call */
	enum bench_die die;
	bool replay;
	const struct journal_entry *claim; /* replay: what the guest brings; NULL: nothing */
};
extern struct bench_fault g_bench_fault;

/* Changed events that were sent to @c, in order; cleared by the test. */
struct changed {
	uint32_t group, watch, mask, cookie;
	char name[256];
};
#define CHANGED_MAX 1024u
struct changes {
	_Atomic bool no_credit; /* refuse them */
	unsigned n;
	struct changed at[CHANGED_MAX]; /* those beyond are only counted */
};
struct changes *changes_of(struct client *c);

/* Done events: 1 and *err if @ticket is done, else 0. */
int done_event(struct client *c, uint64_t ticket, int *err);

static inline ProtobufCBinaryData bytes(const char *s)
{
	ProtobufCBinaryData b = {0, (uint8_t *)(uintptr_t)s};

	while (s[b.len])
		b.len++;
	return b;
}

/* ---- shorthand for calls ---- */
int x_open(struct client *c, uint32_t at, const char *path, uint32_t flags,
           uint32_t mode, uint32_t handle);
int x_release(struct client *c, uint32_t handle);
int x_read(struct client *c, uint32_t handle, uint64_t off, uint32_t n);
int x_write(struct client *c, uint32_t handle, uint64_t off, const void *p, size_t n);
int x_append(struct client *c, uint32_t handle, const void *p, size_t n);
int x_stat(struct client *c, uint32_t at, const char *path, uint32_t flags,
           File__Attr *out);
int x_path(struct client *c, enum file_method m, uint32_t at, const char *path,
           uint32_t flags, uint32_t mode);
int x_make(struct client *c, enum file_method m, uint32_t at, const char *path,
           uint32_t mode, const char *target);
int x_two(struct client *c, enum file_method m, uint32_t at, const char *from,
          uint32_t to_at, const char *to, uint32_t flags);
int x_lock(struct client *c, uint32_t handle, uint32_t kind, uint32_t type,
           uint64_t start, uint64_t len, uint64_t ticket);

/* ---- checks ---- */
#define EQ(a, b)                                                                       \
	do {                                                                           \
		const long a_ = (long)(a), b_ = (long)(b);                             \
		if (a_ != b_)                                                          \
			fprintf(stderr, "%s:%d: %s is %ld, not %ld\n", __FILE__,       \
			        __LINE__, #a, a_, b_);                                 \
		CU_ASSERT_EQUAL(a_, b_);                                               \
	} while (0)

#endif /* TESTS_UNIT_FSD_BENCH_H */
