/* SPDX-License-Identifier: MIT */
/*
 * serve.h - a call of proto/file.proto being served.
 *
 * A call begins on the loop's thread: its credentials and handles are looked up
 * there.  A handler runs at once with task.nowait set; what would wait for a disk
 * answers -EAGAIN and runs again on a worker without it.  Calls on a handle whose
 * open is still running wait for it, in order.
 *
 * Layer:     services/fsd.
 * Ownership: a task holds references on its credential and handles.
 * Locking:   run() on any thread, tables on the loop's only.
 */
#ifndef FSD_SERVE_H
#define FSD_SERVE_H

#include "rpc/server.h"
#include "services/fsd/session.h"

#include "file.pb-c.h"

#include <errno.h>

struct instance;
struct task;

enum serve_class {
	SERVE_FAST, /* never waits */
	SERVE_LOOK, /* may wait for a disk: tried without waiting first */
	SERVE_NAMES, /* changes names or data: at once in memory, or if nobody else is there */
	SERVE_SLOW, /* always on a worker, unless in memory */
	SERVE_LOOP, /* on the loop's thread only */
};

/* What one append may reserve, and so keep others' from: a write(2)'s most. */
#define SERVE_APPEND_MAX 0x7ffff000u

/* 0: answer "done"; > 0: the handler answered; < 0: answer this error. */
#define SERVED 1
/* On the loop only: run me again on a worker. */
#define SERVE_DEFER (-ERESTART)

struct method {
	int (*run)(struct task *t);
	enum serve_class class;
	/* Offsets in the message; 0: it has none. */
	uint16_t cred, base, base2;
	uint16_t opens; /* a new handle's number */
	bool handle;    /* base must name a handle: EBADF else */
};

struct task {
	struct pool_job job; /* first */
	struct rpc_req *req;
	struct session *session;
	const struct method *method;
	struct cred *cred;
	struct handle *h[2];    /* base or handle; base2 */
	struct handle *opening; /* Open, Reopen: the new one */
	bool nowait;
	bool on_loop;
	bool again;        /* was in flight in the instance before, and counts */
	struct task *next; /* in handle.waiters, or parked */
};

/* The service object for struct rpc_server_ops. */
ProtobufCService *serve_service(void);

/* To be called once; @mounts and @inst stay.  @wake is called from any thread when
 * serve_resume() has something to do. */
void serve_init(const struct mounts *mounts, const struct instance *inst,
                uint64_t verifier, void (*wake)(void));
/* An instance after another recovers until its guests are back: begin, before the
 * first guest; end (@all: every guest came back, so what is kept for nobody goes).
 * Loop's thread. */
void serve_recover(void);
void serve_recovered(bool all);
/* Is a method served meanwhile?  @back: its guest is back. */
bool serve_recovers(unsigned index, bool back);
/* No call that was in flight is being served.  @wake tells when that comes true. */
bool serve_all_again(void);
/* Dispatch the calls that waited for an open.  Loop's thread. */
void serve_resume(void);
/* Now and then (seconds of a clock that does not go back): other runs must see that
 * this one lives.  Loop's thread. */
void serve_tick(uint64_t now_s);
/* How many sessions there are: alone, a guest is served without a worker where
 * it could only make itself wait. */
void serve_sessions(unsigned n);

/* ---- for the handlers ---- */

const struct mounts *serve_mounts(void);
const struct instance *serve_instance(void);
/* Run @t again, from the start, when this instance has recovered: return what it
 * returns. */
int serve_park(struct task *t);
/* The inode of a file that the instance before had open, known by @stx (which is read
 * again), with its hidden name if that is its last.  As the service itself, with
 * mount.names: no name goes meanwhile. */
int serve_adopt_locked(const struct node *n, struct statx *stx, struct inode **out);
/* The file that @in speaks of, by its path, its identity, or its number among the
 * orphans: @it gets a reference.  As the service itself.  -ESTALE: it is no more, or
 * not known. */
int serve_find_again(struct task *t, const File__ReopenReq *in, struct place *it,
                     struct statx *stx);
/* Answer an Open or a Reopen by @flags: t->opening is ready. */
int serve_open_reply(struct task *t, const struct statx *stx, uint32_t flags,
                     bool created);
uint64_t serve_verifier(void);
void serve_verifier_bump(void); /* unsynced data may be lost */
/* Tried on the loop first, and what comes next would wait for @m's disk. */
bool serve_must_defer(const struct task *t, const struct mount *m);
/* t->opening is open: calls on it may run from now on. */
void serve_opened(struct task *t);
/* Answer; the task's handles are given back before, and not to be used after. */
int serve_reply(struct task *t, const ProtobufCMessage *msg, const void *payload,
                size_t len);

/* A path as it came: bytes without NUL, made a string.  -EINVAL, -ENAMETOOLONG. */
struct serve_path {
	char s[RPC_PATH_MAX];
};
int serve_path(const ProtobufCBinaryData *b, struct serve_path *out);

/* Walk @path from @base.  An empty path names the base itself (unless a parent is
 * wanted); w->it is then w's own copy. */
int serve_walk(struct task *t, struct walk *w, const struct handle *base,
               const ProtobufCBinaryData *path, unsigned flags, uint64_t resolve);
/* The same, and on -EREMOTE where the path goes on (PATH_MAX bytes). */
int serve_walk_left(struct task *t, struct walk *w, const struct handle *base,
                    const ProtobufCBinaryData *path, unsigned flags, uint64_t resolve,
                    char *left);
/* The same, and w->it may be open then (w->opened) by these flags of open(2). */
int serve_walk_open(struct task *t, struct walk *w, const struct handle *base,
                    const ProtobufCBinaryData *path, unsigned flags, uint64_t resolve,
                    int open_flags);
/* The parent for a new or dying name: refuses mount points and the orphans' folder.
 * @busy: the error if the name is in the mount tree. */
int serve_any_parent(struct task *t, struct walk *w, const struct handle *base,
                     const ProtobufCBinaryData *path, uint64_t resolve, int busy);
/* Read-only mounts too: EROFS (if @busy is EEXIST: for names that do not exist). */
int serve_parent(struct task *t, struct walk *w, const struct handle *base,
                 const ProtobufCBinaryData *path, uint64_t resolve, int busy);

/* @h: by which handle it was reached, or NULL: by a path. */
void serve_attr(const struct node *n, const struct handle *h, const struct statx *stx,
                File__Attr *out);
/* Its last name is gone, as guests see it. */
bool serve_orphaned(const struct handle *h, const struct statx *stx);
bool serve_is_root(const struct mount *m, const struct statx *stx);

/* run() of each method, by file. */
int serve_set_cred(struct task *t); /* serve_open.c */
int serve_open(struct task *t);
int serve_release(struct task *t);
int serve_getcwd(struct task *t);
int serve_reopen(struct task *t); /* serve_reopen.c */
int serve_read(struct task *t);   /* serve_io.c */
int serve_write(struct task *t);
int serve_readdir(struct task *t); /* serve_dir.c */
int serve_sync(struct task *t);
int serve_fallocate(struct task *t);
int serve_seek(struct task *t);
int serve_readahead(struct task *t);
int serve_copy_range(struct task *t);
int serve_stat(struct task *t); /* serve_attr.c */
int serve_set_attr(struct task *t);
int serve_access(struct task *t);
int serve_readlink(struct task *t);
int serve_leaves(struct task *t);
int serve_statfs(struct task *t);
int serve_get_xattr(struct task *t); /* serve_xattr.c */
int serve_set_xattr(struct task *t);
int serve_list_xattr(struct task *t);
int serve_remove_xattr(struct task *t);
int serve_mkdir(struct task *t); /* serve_names.c */
int serve_mknod(struct task *t);
int serve_symlink(struct task *t);
int serve_link(struct task *t);
int serve_rename(struct task *t);
int serve_unlink(struct task *t);
int serve_lock(struct task *t); /* serve_lock.c */
int serve_get_lock(struct task *t);
int serve_watch(struct task *t); /* serve_watch.c */
int serve_unwatch(struct task *t);
int serve_event_only(struct task *t); /* what only travels to the guest: ENOSYS */

#endif /* FSD_SERVE_H */
