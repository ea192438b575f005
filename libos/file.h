/* SPDX-License-Identifier: MIT */
/*
 * file.h - the file client: descriptions of kind OFD_FILE, answered by fsd.
 *
 * A struct file is one fsd handle.  The guest chooses handle numbers, keeps
 * offset, flags and the current directory, and fsd keeps none of these.  A
 * struct fnode stands for one regular file that is open here, however often: it
 * remembers POSIX locks and the memory of shared mappings.
 *
 * Layer:     libos.  Includes rpc/guest.h and the generated file.pb-c.h.
 * Ownership: a struct file is freed by its ofd's last put, which also posts
 *            Release; its fnode is freed with the last file on it.
 * Locking:   thread-safe.  The pools' lock and the fnode table's lock are leaves,
 *            never held across an RPC.
 * Memory:    pools that grow by pages and are kept; nothing here calls malloc.
 * Errors:    0 or a value >= 0 on success, a negative errno on failure.
 */
#ifndef LIBOS_FILE_H
#define LIBOS_FILE_H

#include "libos/abi.h"
#include "libos/ofd.h"
#include "rpc/guest.h"

#include "file.pb-c.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILE_ID_MAX 64
#define FILE_TOKEN_LEN 16
#define FILE_PATH_KEPT 256

struct dirbuf;     /* file_dir.c */
struct file_ids;   /* file_cred.c */
struct fmap;       /* fmap.h */
struct fpath;      /* path.h */
struct lock_range; /* locklist.h */

struct fnode {
	struct fnode *next; /* hash chain; under the table's lock */
	uint64_t dev, ino;
	uint32_t refs;            /* under the table's lock */
	_Atomic bool posix_locks; /* this process may hold POSIX locks on it */
	struct lock_range *locks; /* the POSIX locks that fsd granted; file_lock.c's lock */
	/* Changes of its data that were answered, and of those, that reached the disk. */
	_Atomic uint64_t written, synced;
	_Atomic uint32_t lost; /* counts: some never will */
	struct fmap *_Atomic map; /* memory of shared mappings, or NULL */
};

struct file {
	struct ofd ofd;       /* first */
	uint32_t handle;      /* constant */
	uint32_t mode;        /* st_mode when opened: the type counts */
	uint32_t mount_flags; /* FILE_MOUNT_* */
	bool root;            /* the guest's root directory */
	uint8_t id_len;
	uint8_t token_len;
	uint8_t id[FILE_ID_MAX];       /* persistent identity, as fsd gave it */
	uint8_t token[FILE_TOKEN_LEN]; /* and its proof that this guest opened it */
	uint32_t open_flags;           /* as they were sent */
	struct file_ids *ids;          /* who opened it */
	uint64_t dev, ino;
	_Atomic uint32_t lost_seen;  /* of node->lost, by fsync() here */
	_Atomic uint64_t append_end; /* an append in pieces reserved up to here; 0: none */
	struct lock_range *locks;    /* OFD locks; file_lock.c's lock */
	uint8_t flock;               /* 0, or F_RDLCK or F_WRLCK plus one; file_lock.c's lock */
	struct dirbuf
	        *dir; /* directories: records read ahead; under the position's lock */
	struct fnode *node;        /* regular files and directories; NULL: O_PATH */
	struct file *next;         /* free list */
	char path[FILE_PATH_KEPT]; /* normal form of what it was opened by, but for renames
	                            * of this guest since; "": long; under the pool's lock */
	_Atomic bool known;        /* to fsd, and so to be told to a later instance: what
	                            * that takes is constant while it is set */
};

static inline struct file *file_of(struct ofd *o)
{
	return (struct file *)o;
}

/* ---- start and end ---- */

/* Attach to fsd and enter the start directory.  Says on stderr what failed.
 * 0 also when there is no fsd. */
int file_init(void);
/* The guest ends: write back what shared mappings changed. */
void file_exit(void);
/* False: no fsd is configured; every path but libos's own gives ENOENT. */
bool file_present(void);

/* ---- calls ---- */

#define FILE_CALL(method, Rep, req, call)                                              \
	file__file__##method(rpc_service(&g_file_chan), (req),                         \
	                     (File__##Rep##_Closure)(void (*)(void))rpc_reply_taken,   \
	                     (call))

/* Method numbers of posts (index in the service block of file.proto). */
#define FILE_POST_RELEASE 2u
#define FILE_POST_READAHEAD 20u

static inline ProtobufCBinaryData file_bytes(const void *p, size_t n)
{
	return (ProtobufCBinaryData){.len = n, .data = (uint8_t *)(uintptr_t)p};
}

/* Payload movers for struct rpc_call; @arg is a struct uio.  A source with no @ring
 * goes back by @n bytes: the call is sent again. */
int file_sink_uio(void *arg, void *ring, size_t n);
int file_source_uio(void *arg, void *ring, size_t n);
/* A private buffer as source or sink. */
struct file_buf {
	uint8_t *p;
	size_t cap, len;
};
int file_sink_buf(void *arg, void *ring, size_t n);
int file_source_buf(void *arg, void *ring, size_t n);

/* The reply's payload goes to @b. */
static inline void file_take(struct rpc_call *call, struct file_buf *b)
{
	call->sink = file_sink_buf;
	call->sink_arg = b;
	call->sink_cap = (uint32_t)b->cap;
}

/* The index of the calling thread's credentials at fsd, defining it there first
 * if need be.  0: *@cred is set. */
int file_cred(uint32_t *cred) __attribute__((warn_unused_result));
/* What they are, for as long as a file stays open with them: a reference, or NULL. */
struct file_ids *file_ids_get(void) __attribute__((warn_unused_result));
void file_ids_ref(struct file_ids *ids);
void file_ids_put(struct file_ids *ids); /* NULL: nothing */

/* Begin a call about @p: its request, with credentials and @at_flags as fsd takes
 * them, and @call itself. */
int file_path_req(File__PathReq *req, struct rpc_call *call, const struct fpath *p,
                  uint32_t at_flags) __attribute__((warn_unused_result));

/* ---- descriptions ---- */

/* A struct file with a fresh handle, not yet known to fsd; refs = 1 and NULL
 * ops.  NULL: too many. */
struct file *file_new(void);
/* Give back one that fsd never opened. */
void file_drop(struct file *f);
/* The next file from *@at on that fsd knows, and what a later instance must be told
 * of it; *@at is moved behind it.  False: no more. */
struct file_memo;
bool file_next_known(uint32_t *at, struct file_memo *memo);
/* The kept path, or "". */
void file_path_get(struct file *f, char *to);
/* A name was given to what had another: paths that lead through it follow. */
void file_path_moved(const struct fpath *from, const struct fpath *to, bool exchanged);

/* The file @dev, @ino if it is open here (or @make): a reference, or NULL. */
struct fnode *file_node_get(uint64_t dev, uint64_t ino, bool make);
void file_node_put(struct fnode *n);

/* ops->release of every OFD_FILE kind. */
void file_release(struct ofd *o);

/* Open @path from @base as a new description.  @flags: Linux's.  FIFOs become
 * pipes; so *@out may be of another kind.  umask is applied here. */
long file_open_at(const struct fpath *p, uint32_t flags, uint32_t mode,
                  uint32_t resolve, struct ofd **out);

/* Ask which directory is the root, for file.root of later opens. */
void file_know_root(void);

extern const struct ofd_ops g_file_ops;      /* regular files */
extern const struct ofd_ops g_file_dir_ops;  /* directories */
extern const struct ofd_ops g_file_path_ops; /* O_PATH */

/* The description's own position, or *@pos. */
long file_read(struct ofd *o, struct uio *u, const uint64_t *pos);
long file_write(struct ofd *o, struct uio *u, const uint64_t *pos);
/* Read into @u at @off until it is full or the file ends.  No checks. */
long file_fetch(struct file *f, struct uio *u, uint64_t off);
/* Write all of @n bytes of libos memory at @off, in pieces. */
long file_store(struct file *f, const void *from, size_t n, uint64_t off);

/* ---- attributes ---- */

long file_stat_path(const struct fpath *p, uint32_t at_flags, struct kstat *st);
long file_stat_handle(uint32_t handle, struct kstat *st);
void file_attr_to_kstat(const File__Attr *a, struct kstat *st);
/* Change attributes; req->path, base and flags are filled from @p. */
long file_set_attr(const struct fpath *p, uint32_t at_flags, File__SetAttrReq *req);
long file_sync_handle(uint32_t handle, uint32_t what);
/* fsync() or fdatasync(); -EIO once if what was written before was lost. */
long file_sync_data(struct file *f, bool data_only);
/* A change of @f's data was answered; before file_settled() of that call. */
static inline void file_note_written(struct file *f)
{
	if (f->node)
		atomic_fetch_add_explicit(&f->node->written, 1, memory_order_relaxed);
}
/* What was not synced may never be: true if there is any such. */
bool file_nodes_lose(void);

/* ---- locks (file_lock.c) ---- */

long file_lock(struct ofd *o, int cmd, struct flock *fl);
long file_flock(struct ofd *o, int op);
void file_lock_on_done(uint64_t ticket, int err);
void file_lock_on_lost(void);
/* A descriptor of @f is being closed: this process's POSIX locks of it go. */
void file_lock_on_close(struct file *f);
/* The last reference to @f goes. */
void file_lock_on_release(struct file *f);
/* The last file on @n went. */
void file_lock_forget(struct fnode *n);

uint32_t file_umask(void);

/* ---- a later instance of fsd (file_restore.c) ---- */

/* A call whose answer changes what a later instance must be told: file_watch() before
 * it is made, file_settled() when that is noted.  Recovery waits for those between. */
struct file_watch {
	bool counted;
};
void file_watch(struct rpc_call *call, struct file_watch *w);
void file_settled(struct file_watch *w);

struct file_memo {
	struct file *f;
	uint32_t handle, mode, flags;
	uint64_t dev, ino, append_end;
	struct file_ids *ids; /* a reference */
	uint8_t id_len, token_len;
	uint8_t id[FILE_ID_MAX], token[FILE_TOKEN_LEN];
	char path[FILE_PATH_KEPT];
};

/* ops->on_restore of the channel. */
int file_restore(const struct rpc_restore *how);

/* Tell a later instance every credential in use; then, for a file that @ids opened,
 * an index that stands for them, to be given back; then forget it all. */
int file_cred_restore(void);
int file_cred_borrow(const struct file_ids *ids, uint32_t *cred);
int file_cred_return(uint32_t cred, const struct file_ids *ids);
void file_cred_restored(void);

/* Ask for the locks that @f had; then let those who waited for one ask again. */
int file_lock_restore(struct file *f);
void file_lock_restored(void);

/* ---- watches (inotify_watch.c) ---- */

void inotify_on_event(struct rpc_event *ev);
/* There are any: what this guest does must be told of before it goes on. */
bool inotify_watching(void);
/* Watch again what is watched.  Not @known: the instance knows no Watch. */
int inotify_restore(bool known);

/* ---- directories (file_dir.c) ---- */

long file_getdents(struct ofd *o, void *user_buf, size_t len, bool old_layout);
long file_dir_seek(struct ofd *o, int64_t off, int whence);
/* The last descriptor is closed. */
void file_dir_close(struct file *f);

#endif /* LIBOS_FILE_H */
