/* SPDX-License-Identifier: MIT */
/*
 * Read and Write.
 *
 * A read goes straight from the page cache into the ring where nothing must be
 * waited for; what is not in memory is read by a worker into its own buffer, so
 * that the ring is never held during I/O.
 */
#define _GNU_SOURCE
#include "services/fsd/again.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Drop the first @n bytes of @iov. */
static int iov_skip(struct iovec *iov, int n_iov, size_t n)
{
	int first = 0;

	while (first < n_iov && n >= iov[first].iov_len)
		n -= iov[first++].iov_len;
	for (int i = first; i < n_iov; i++)
		iov[i - first] = iov[i];
	if (n_iov > first) {
		iov[0].iov_base = (char *)iov[0].iov_base + n;
		iov[0].iov_len -= n;
	}
	return n_iov - first;
}

/* Read until @want bytes are there or the file ends. */
static ssize_t read_full(const struct node *n, struct iovec *iov, int n_iov,
                         uint64_t off, size_t want, unsigned flags)
{
	size_t done = 0;

	while (done < want) {
		const ssize_t r = n->mount->ops->read(n, iov, n_iov, off + done, flags);

		if (r == -EINTR)
			continue;
		if (r < 0)
			return done && r != -EAGAIN ? (ssize_t)done : r;
		if (r == 0)
			break;
		done += (size_t)r;
		n_iov = iov_skip(iov, n_iov, (size_t)r);
	}
	return (ssize_t)done;
}

static int read_to_ring(struct task *t, const File__ReadReq *in)
{
	struct iovec iov[2];
	const int n = rpc_reply_room(t->req, in->count, iov);
	ssize_t r;

	if (n < 0)
		return -EIO; /* the channel broke: the answer goes nowhere */
	r = read_full(&t->h[0]->place.node, iov, n, in->offset, in->count, NODE_NOWAIT);
	if (r == -EAGAIN) {
		rpc_reply_abort(t->req);
		return -EAGAIN;
	}
	rpc_reply_commit(t->req, r < 0 ? (int)-r : 0, r < 0 ? 0 : (uint32_t)r);
	return SERVED;
}

static int read_to_buffer(struct task *t, const File__ReadReq *in)
{
	char buf[RPC_PAYLOAD_MAX];
	struct iovec iov;
	ssize_t r;

	iov = (struct iovec){buf, in->count};
	r = read_full(&t->h[0]->place.node, &iov, 1, in->offset, in->count, 0);
	return r < 0 ? (int)r : serve_reply(t, NULL, buf, (size_t)r);
}

int serve_read(struct task *t)
{
	const File__ReadReq *in = (const File__ReadReq *)t->req->msg;
	const struct handle *h = t->h[0];

	if (in->count > RPC_PAYLOAD_MAX)
		return -EINVAL;
	if ((h->flags & O_PATH) || (h->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (S_ISDIR(h->type))
		return -EISDIR;
	if (in->offset > INT64_MAX - RPC_PAYLOAD_MAX)
		return -EINVAL;
	if (in->count == 0)
		return 0;
	const struct mount *m = h->place.node.mount;

	if (!t->nowait)
		return read_to_buffer(t, in);
	if (m->memory || !m->no_nowait)
		return read_to_ring(t, in);
	/* No way to ask: the loop may wait if it makes only this guest wait. */
	return serve_must_defer(t, m) ? -EAGAIN : read_to_buffer(t, in);
}

/* Where an append went (programs of the host may move the end), and how much. */
#define APPEND_LEN_BITS 17

static uint64_t append_tag(uint64_t meant, uint64_t off, ssize_t n)
{
	return (off - meant) << APPEND_LEN_BITS | (uint64_t)n;
}

static ssize_t append_of_tag(const struct journal_entry *e, uint64_t *off)
{
	*off = e->a + (uint64_t)((int64_t)e->d >> APPEND_LEN_BITS);
	return (ssize_t)(e->d & ((1u << APPEND_LEN_BITS) - 1));
}

/* How much of @t's data is at @off? */
static uint32_t appended(struct task *t, const struct node *n, uint64_t off,
                         uint64_t size)
{
	const uint32_t len = t->req->hdr.payload_len;
	const uint64_t there = size > off ? size - off : 0;
	uint32_t got = 0;
	struct node rd;
	void *buf;

	if (there == 0 || cred_use(NULL) < 0 ||
	    n->mount->ops->open(n, O_RDONLY, &rd) < 0)
		return 0;
	buf = malloc(len);
	if (buf) {
		struct iovec iov = {buf, there < len ? (size_t)there : len};
		const ssize_t r = read_full(&rd, &iov, 1, off, iov.iov_len, 0);

		if (r > 0 && memcmp(buf, t->req->payload, (size_t)r) == 0)
			got = (uint32_t)r;
	}
	free(buf);
	node_put(&rd);
	return got;
}

/* Begun by an instance that died: what is there is what was written, if it is the
 * same.  The rest is written behind it if nobody was meanwhile.  0: nothing is. */
static ssize_t append_rest(struct task *t, const struct again *a, unsigned flags,
                           uint64_t size, uint64_t *off)
{
	const struct node *n = &t->h[0]->place.node;
	const uint32_t len = t->req->hdr.payload_len;
	uint32_t got;
	ssize_t r;

	if (a->mark != JOURNAL_INTENT || a->e.a > (uint64_t)INT64_MAX - len)
		return 0;
	got = appended(t, n, a->e.a, size);
	r = cred_use(t->cred);
	if (got == 0 || r < 0)
		return r;
	*off = a->e.a + got;
	if (got < len && size == *off) {
		r = n->mount->ops->write(n, t->req->payload + got, len - got, off, flags);
		got += r > 0 ? (uint32_t)r : 0;
	}
	*off = a->e.a;
	rpc_journal_done(t->req, 0, append_tag(a->e.a, a->e.a, (ssize_t)got));
	return (ssize_t)got;
}

/* @end: of the file, or of what another handle reserved (@reserved). */
static ssize_t append_now(struct task *t, unsigned flags, uint64_t end, bool reserved,
                          uint64_t *off)
{
	const struct node *n = &t->h[0]->place.node;
	const uint32_t len = t->req->hdr.payload_len;
	ssize_t r;

	rpc_journal_intent(t->req, AGAIN_APPEND, end, 0, 0);
	*off = end;
	r = n->mount->ops->write(n, t->req->payload, len, off,
	                         flags | (reserved ? 0 : NODE_APPEND));
	rpc_journal_done(t->req, r < 0 ? (int)-r : 0,
	                 r < 0 ? 0 : append_tag(end, *off, r));
	return r;
}

/* At the end of the file; guests' appends are one after the other, and a first
 * piece of a longer one reserves the room of all. */
static ssize_t append(struct task *t, const File__WriteReq *in, unsigned flags,
                      uint64_t *off)
{
	const struct again a = again_get(t, AGAIN_APPEND);
	struct handle *h = t->h[0];
	struct inode *i = h->inode;
	const struct node *n = &h->place.node;
	const uint32_t len = t->req->hdr.payload_len;
	struct statx stx;
	ssize_t r;

	pthread_mutex_lock(&i->append);
	r = n->mount->ops->attr(n, 0, &stx);
	if (r == 0 && i->reserved_by != h && stx.stx_size >= i->reserved_end)
		i->reserved_by = NULL; /* all of it came */
	const bool other = i->reserved_by && i->reserved_by != h;

	if (r == 0 && a.mark == JOURNAL_DONE) {
		r = a.e.err ? -(ssize_t)a.e.err : append_of_tag(&a.e, off);
		if (r > (ssize_t)len || *off > (uint64_t)INT64_MAX - len)
			r = -EIO; /* not what this service notes */
	} else {
		if (r == 0)
			r = append_rest(t, &a, flags, stx.stx_size, off);
		if (r == 0)
			r = append_now(t, flags, other ? i->reserved_end : stx.stx_size,
			               other, off);
	}
	if (r > 0 && in->total > len && in->total <= SERVE_APPEND_MAX &&
	    in->total <= (uint64_t)INT64_MAX - *off) {
		i->reserved_by = h;
		i->reserved_end = *off + in->total;
	} else if (r > 0 && i->reserved_by == h) {
		i->reserved_by = NULL;
	}
	pthread_mutex_unlock(&i->append);
	return r;
}

/* The last piece of an append came: the file's end is again where it ends. */
static void append_ends(struct handle *h, uint64_t end)
{
	struct inode *i = h->inode;

	if (atomic_load_explicit(&i->reserved_by, memory_order_relaxed) != h)
		return;
	pthread_mutex_lock(&i->append);
	if (i->reserved_by == h && end >= i->reserved_end)
		i->reserved_by = NULL;
	pthread_mutex_unlock(&i->append);
}

int serve_write(struct task *t)
{
	const File__WriteReq *in = (const File__WriteReq *)t->req->msg;
	File__WriteRep rep = FILE__WRITE_REP__INIT;
	struct handle *h = t->h[0];
	const uint32_t len = t->req->hdr.payload_len;
	uint64_t off = in->offset;
	unsigned flags = in->sync == 2 ? NODE_SYNC : in->sync == 1 ? NODE_DSYNC : 0;
	ssize_t r;

	if (in->sync > 2 || in->append > 1)
		return -EINVAL;
	if ((h->flags & O_PATH) || (h->flags & O_ACCMODE) == O_RDONLY || !h->inode)
		return -EBADF;
	if (!in->append && off > (uint64_t)INT64_MAX - len)
		return -EFBIG;
	if (in->append) {
		r = append(t, in, flags, &off);
	} else {
		do
			r = h->place.node.mount->ops->write(
			        &h->place.node, t->req->payload, len, &off, flags);
		while (r == -EINTR);
		if (r > 0)
			append_ends(h, off + (uint64_t)r);
	}
	if (r < 0) {
		if (r == -EIO)
			serve_verifier_bump();
		return (int)r;
	}
	rep.count = (uint32_t)r;
	rep.offset = off;
	rep.verifier = serve_verifier();
	return serve_reply(t, &rep.base, NULL, 0);
}

int serve_sync(struct task *t)
{
	const File__SyncReq *in = (const File__SyncReq *)t->req->msg;
	const struct mounts *m = serve_mounts();
	File__SyncRep rep = FILE__SYNC_REP__INIT;
	int r = 0;

	if (in->what > 4)
		return -EINVAL;
	if (in->what == 3) {
		for (unsigned i = 0; i < m->n; i++)
			(void)m->list[i]->ops->sync(&m->list[i]->root, 2, 0, 0,
			                            0); /* as sync(2) */
	} else if (!t->h[0] || (t->h[0]->flags & O_PATH)) {
		return -EBADF;
	} else {
		const struct node *n = &t->h[0]->place.node;

		r = n->mount->ops->sync(n, in->what, in->offset, in->len, in->flags);
	}
	if (r < 0) {
		if (r == -EIO || r == -ENOSPC)
			serve_verifier_bump();
		return r;
	}
	rep.verifier = serve_verifier();
	return serve_reply(t, &rep.base, NULL, 0);
}

#define FALLOC_KEEP 1u
#define FALLOC_PUNCH 2u
#define FALLOC_ZERO 16u

int serve_fallocate(struct task *t)
{
	const File__RangeReq *in = (const File__RangeReq *)t->req->msg;
	const struct handle *h = t->h[0];

	if ((h->flags & O_PATH) || (h->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (in->offset > INT64_MAX || in->len == 0 || in->len > INT64_MAX)
		return -EINVAL;
	if (in->mode & ~(FALLOC_KEEP | FALLOC_PUNCH | FALLOC_ZERO))
		return -EOPNOTSUPP;
	if (in->offset > INT64_MAX - in->len)
		return -EFBIG;
	return h->place.node.mount->ops->fallocate(&h->place.node, (int)in->mode,
	                                           in->offset, in->len);
}

int serve_seek(struct task *t)
{
	const File__RangeReq *in = (const File__RangeReq *)t->req->msg;
	const struct handle *h = t->h[0];
	File__OffsetRep rep = FILE__OFFSET_REP__INIT;
	int64_t r;

	if (in->mode != SEEK_DATA && in->mode != SEEK_HOLE)
		return -EINVAL;
	if ((h->flags & O_PATH) || !h->inode)
		return -EBADF;
	if (!S_ISREG(h->type))
		return -EINVAL;
	if (in->offset > INT64_MAX)
		return -ENXIO;
	/* The descriptor's position is the append's: not both at once. */
	pthread_mutex_lock(&h->inode->append);
	r = h->place.node.mount->ops->seek(&h->place.node, in->offset, (int)in->mode);
	pthread_mutex_unlock(&h->inode->append);
	if (r < 0)
		return (int)r;
	rep.offset = (uint64_t)r;
	return serve_reply(t, &rep.base, NULL, 0);
}

int serve_readahead(struct task *t)
{
	const File__RangeReq *in = (const File__RangeReq *)t->req->msg;
	const struct handle *h = t->h[0];

	if ((h->flags & O_PATH) || !S_ISREG(h->type) || in->offset > INT64_MAX ||
	    in->len > INT64_MAX)
		return -EBADF;
	return h->place.node.mount->ops->readahead(&h->place.node, in->offset, in->len);
}

#define COPY_MAX (16u << 20) /* of one call; the guest goes on from there */

int serve_copy_range(struct task *t)
{
	const File__CopyReq *in = (const File__CopyReq *)t->req->msg;
	const struct handle *a = t->h[0], *b = t->h[1];
	File__WriteRep rep = FILE__WRITE_REP__INIT;
	ssize_t r;

	if (!b)
		return -EBADF;
	if ((a->flags & O_PATH) || (b->flags & O_PATH) ||
	    (a->flags & O_ACCMODE) == O_WRONLY || (b->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (S_ISDIR(a->type) || S_ISDIR(b->type))
		return -EISDIR;
	if (a->place.node.mount != b->place.node.mount)
		return -EXDEV;
	if (in->in_offset > INT64_MAX || in->out_offset > INT64_MAX)
		return -EINVAL;
	r = a->place.node.mount->ops->copy(
	        &a->place.node, in->in_offset, &b->place.node, in->out_offset,
	        in->len < COPY_MAX ? (size_t)in->len : COPY_MAX);
	if (r < 0)
		return (int)r;
	rep.count = (uint32_t)r;
	rep.offset = in->out_offset;
	rep.verifier = serve_verifier();
	return serve_reply(t, &rep.base, NULL, 0);
}
