/* SPDX-License-Identifier: MIT */
/*
 * file.c - handles, files open here, and the start of the file client.
 *
 * Invariants:
 * 1. A handle number is the place of its struct file in the pool, plus one.  The
 *    free list is a queue: a number comes back as late as possible, and its
 *    Release was posted on the same ring before any Open that reuses it.
 * 2. An fnode is in the table exactly while some struct file refers to it.
 * 3. A file is `known` from when the answer to its Open was noted until just before
 *    its Release is posted.  While recovery tells a later instance of the open files,
 *    posts wait: a file whose Release comes meanwhile is neither freed nor used again.
 *    A Release that an earlier instance did not read is sent again before any call:
 *    it finds nobody, since what it releases was not told to the later one.
 */
#include "libos/file.h"

#include "libos/filemap.h"
#include "libos/lock.h"
#include "libos/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define CHUNK_FILES 256u
#define CHUNKS_MAX (RPC_HANDLES_MAX / CHUNK_FILES)
#define NODE_BUCKETS 1024u

static struct lock g_pool_lock;
static struct file *g_chunks[CHUNKS_MAX]; /* under g_pool_lock */
static unsigned g_n_chunks;
static struct file *g_free_head, **g_free_tail = &g_free_head;

static struct lock g_node_lock;
static struct fnode *g_nodes[NODE_BUCKETS]; /* under g_node_lock */
static struct fnode *g_free_nodes;

static bool g_present;

bool file_present(void)
{
	return g_present;
}

/* ---- handles ---- */

static void queue_free_locked(struct file *f)
{
	f->next = NULL;
	*g_free_tail = f;
	g_free_tail = &f->next;
}

static bool grow_pool_locked(void)
{
	struct file *chunk;
	long at;

	if (g_n_chunks == CHUNKS_MAX)
		return false;
	at = plat_mmap(NULL, CHUNK_FILES * sizeof(*chunk), PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS);
	if (at < 0)
		return false;
	chunk = (struct file *)at;
	for (unsigned i = 0; i < CHUNK_FILES; i++) {
		chunk[i].handle = g_n_chunks * CHUNK_FILES + i + 1;
		queue_free_locked(&chunk[i]);
	}
	g_chunks[g_n_chunks++] = chunk;
	return true;
}

struct file *file_new(void)
{
	struct file *f = NULL;
	uint32_t handle;

	lock_take(&g_pool_lock);
	if (g_free_head || grow_pool_locked()) {
		f = g_free_head;
		g_free_head = f->next;
		if (!g_free_head)
			g_free_tail = &g_free_head;
	}
	lock_drop(&g_pool_lock);
	if (!f)
		return NULL;
	handle = f->handle;
	memset(f, 0, offsetof(struct file, path));
	f->handle = handle; /* f->known is false since the last release */
	f->path[0] = '\0';
	return f;
}

void file_drop(struct file *f)
{
	file_ids_put(f->ids);
	lock_take(&g_pool_lock);
	queue_free_locked(f);
	lock_drop(&g_pool_lock);
}

/* ---- what recovery needs ---- */

static struct file *file_at_locked(uint32_t at)
{
	return at / CHUNK_FILES < g_n_chunks
	               ? &g_chunks[at / CHUNK_FILES][at % CHUNK_FILES]
	               : NULL;
}

static bool is_known(const struct file *f)
{
	return atomic_load_explicit(&f->known, memory_order_acquire);
}

static void memo_fill_locked(struct file_memo *memo, struct file *f)
{
	memo->f = f;
	memo->handle = f->handle;
	memo->mode = f->mode;
	memo->flags = f->open_flags;
	memo->dev = f->dev;
	memo->ino = f->ino;
	memo->append_end = atomic_load(&f->append_end);
	memo->ids = f->ids;
	file_ids_ref(memo->ids);
	memo->id_len = f->id_len;
	memo->token_len = f->token_len;
	memcpy(memo->id, f->id, sizeof(memo->id));
	memcpy(memo->token, f->token, sizeof(memo->token));
	memcpy(memo->path, f->path, sizeof(memo->path));
}

bool file_next_known(uint32_t *at, struct file_memo *memo)
{
	struct file *f;

	lock_take(&g_pool_lock);
	while ((f = file_at_locked((*at)++)) && !is_known(f))
		;
	if (f)
		memo_fill_locked(memo, f);
	lock_drop(&g_pool_lock);
	return f != NULL;
}

/* ---- the paths they were opened by ---- */

void file_path_get(struct file *f, char *to)
{
	lock_take(&g_pool_lock);
	memcpy(to, f->path, sizeof(f->path));
	lock_drop(&g_pool_lock);
}

/* @path, if it is @from or below it, is at @to now.  True: so it was. */
static bool move_path(char *path, const char *from, const char *to)
{
	const size_t n_from = strlen(from), n_to = strlen(to), n = strlen(path);

	if (n < n_from || memcmp(path, from, n_from) != 0 ||
	    (path[n_from] != '\0' && path[n_from] != '/'))
		return false;
	if (n - n_from + n_to >= FILE_PATH_KEPT) {
		path[0] = '\0';
		return true;
	}
	memmove(path + n_to, path + n_from, n - n_from + 1);
	memcpy(path, to, n_to);
	return true;
}

void file_path_moved(const struct fpath *from, const struct fpath *to, bool exchanged)
{
	char a[FILE_PATH_KEPT], b[FILE_PATH_KEPT];
	struct file *f;

	if (path_text(from, a, sizeof(a)) == 0)
		return;
	if (path_text(to, b, sizeof(b)) == 0)
		b[0] = '\0'; /* too long to be kept */
	lock_take(&g_pool_lock);
	for (uint32_t at = 0; (f = file_at_locked(at)) != NULL; at++) {
		if (!is_known(f) || f->path[0] == '\0')
			continue;
		if (!move_path(f->path, a, b) && exchanged && b[0])
			(void)move_path(f->path, b, a);
	}
	lock_drop(&g_pool_lock);
}

/* ---- files that are open here ---- */

static unsigned node_bucket(uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino ^ dev * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;

	return (unsigned)(h >> 40) % NODE_BUCKETS;
}

static struct fnode *node_alloc_locked(void)
{
	struct fnode *n = g_free_nodes;
	long at;

	if (n) {
		g_free_nodes = n->next;
		return n;
	}
	at = plat_mmap(NULL, CHUNK_FILES * sizeof(*n), PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS);
	if (at < 0)
		return NULL;
	n = (struct fnode *)at;
	for (unsigned i = 1; i < CHUNK_FILES; i++) {
		n[i].next = g_free_nodes;
		g_free_nodes = &n[i];
	}
	return n;
}

struct fnode *file_node_get(uint64_t dev, uint64_t ino, bool make)
{
	struct fnode **bucket = &g_nodes[node_bucket(dev, ino)];
	struct fnode *n;

	lock_take(&g_node_lock);
	for (n = *bucket; n; n = n->next) {
		if (n->dev == dev && n->ino == ino)
			break;
	}
	if (!n && make) {
		n = node_alloc_locked();
		if (n) {
			memset(n, 0, sizeof(*n));
			n->dev = dev;
			n->ino = ino;
			n->next = *bucket;
			*bucket = n;
		}
	}
	if (n)
		n->refs++;
	lock_drop(&g_node_lock);
	return n;
}

void file_node_put(struct fnode *n)
{
	struct fnode **at;
	bool last;

	lock_take(&g_node_lock);
	last = --n->refs == 0;
	if (last) {
		at = &g_nodes[node_bucket(n->dev, n->ino)];
		while (*at != n)
			at = &(*at)->next;
		*at = n->next;
	}
	lock_drop(&g_node_lock);
	if (!last)
		return;
	file_lock_forget(n);
	lock_take(&g_node_lock);
	n->next = g_free_nodes;
	g_free_nodes = n;
	lock_drop(&g_node_lock);
}

bool file_nodes_lose(void)
{
	bool any = false;

	lock_take(&g_node_lock);
	for (unsigned i = 0; i < NODE_BUCKETS; i++) {
		for (struct fnode *n = g_nodes[i]; n; n = n->next) {
			const uint64_t written = atomic_load(&n->written);

			if (atomic_exchange(&n->synced, written) == written)
				continue;
			atomic_fetch_add(&n->lost, 1);
			any = true;
		}
	}
	lock_drop(&g_node_lock);
	return any;
}

void file_release(struct ofd *o)
{
	struct file *f = file_of(o);
	File__HandleReq req = FILE__HANDLE_REQ__INIT;

	file_lock_on_release(f);
	atomic_store(&f->known, false);
	if (f->node)
		file_node_put(f->node);
	file_dir_close(f);
	req.handle = f->handle;
	/* A channel that is gone has released it already. */
	(void)rpc_post(&g_file_chan, FILE_POST_RELEASE, &req.base, NULL, NULL, 0);
	if (inotify_watching())
		(void)rpc_ping(&g_file_chan); /* the event of it is here after this */
	file_drop(f);
}

/* ---- payload ---- */

int file_sink_uio(void *arg, void *ring, size_t n)
{
	return uio_out(arg, ring, n) == n ? 0 : -EFAULT;
}

int file_source_uio(void *arg, void *ring, size_t n)
{
	if (!ring) {
		uio_back(arg, n);
		return 0;
	}
	return uio_in(arg, ring, n) == n ? 0 : -EFAULT;
}

int file_sink_buf(void *arg, void *ring, size_t n)
{
	struct file_buf *b = arg;

	if (n > b->cap - b->len)
		return -EFAULT;
	memcpy(b->p + b->len, ring, n);
	b->len += n;
	return 0;
}

int file_source_buf(void *arg, void *ring, size_t n)
{
	struct file_buf *b = arg;

	if (!ring) {
		b->len -= n <= b->len ? n : b->len;
		return 0;
	}
	if (n > b->cap - b->len)
		return -EFAULT;
	memcpy(ring, b->p + b->len, n);
	b->len += n;
	return 0;
}

/* ---- start and end ---- */

static void on_lost(void)
{
	rpc_log("fsd", "the file service is gone: file calls give EIO");
	file_lock_on_lost();
}

static const struct rpc_chan_ops g_chan_ops = {
        .service_id = RPC_SERVICE_FILE,
        .service = &file__file__descriptor,
        .on_event = inotify_on_event,
        .on_done = file_lock_on_done,
        .on_lost = on_lost,
        .on_restore = file_restore,
};

int file_init(void)
{
	int r;

	if (!g_config.file.ctl)
		return path_init(g_config.cwd);
	r = rpc_attach(&g_file_chan, &g_config.file, &g_chan_ops);
	if (r < 0) {
		rpc_log("fsd",
		        r == -EPROTO ? "no protocol version in common with this program"
		                     : "cannot attach to the file service");
		return r;
	}
	g_present = true;
	file_know_root();
	return path_init(g_config.cwd);
}

void file_exit(void)
{
	if (g_present && rpc_up(&g_file_chan))
		(void)filemap_flush(NULL);
}
