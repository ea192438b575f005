/* SPDX-License-Identifier: MIT */
/*
 * file_io.c - writing files of fsd, seeking, and what else a description can do.
 *
 * The offset is the guest's: the description's position lock is held from before
 * a transfer is sent until its result moved the offset.  A write larger than a
 * frame goes in pieces, one behind the other, so that one that fails (no space)
 * has none behind it that succeeded.  An append in pieces is one range: its first
 * piece reserves the whole, the others are written into it by offset.
 */
#include "libos/file.h"
#include "libos/filemap.h"
#include "libos/limits.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define K_SYNC 04000000u
#define K_DSYNC 010000u
#define OFFSET_MAX INT64_MAX

/* ---- writing ---- */

struct write_out {
	struct file *f;
	uint32_t sync;
	bool append;
	uint64_t off; /* in: where, unless append; out: where the first byte went */
};

/* One piece; the number of bytes written or an error. */
static long write_piece(struct write_out *w, rpc_move_fn *source, void *arg, size_t n,
                        uint64_t off, uint64_t append_total)
{
	File__WriteReq req = FILE__WRITE_REQ__INIT;
	const bool reserves = append_total > n;
	const File__WriteRep *rep;
	struct file_watch watch;
	struct rpc_call call;

	rpc_call_init(&call);
	file_watch(&call, &watch);
	req.handle = w->f->handle;
	req.offset = off;
	req.append = append_total != 0;
	req.total = append_total;
	req.sync = w->sync;
	call.source = source;
	call.source_arg = arg;
	call.source_len = (uint32_t)n;
	FILE_CALL(write, WriteRep, &req, &call);
	rep = (const File__WriteRep *)call.reply;
	if (append_total && call.err == 0)
		w->off = rep->offset;
	if (reserves && call.err == 0)
		atomic_store(&w->f->append_end, w->off + append_total);
	if (!w->sync && call.err == 0)
		file_note_written(w->f);
	file_settled(&watch);
	if (call.err)
		return call.err;
	return rep->count > n ? -EIO : (long)rep->count;
}

/* As write_piece() from program memory; of a piece with a bad address in it, what
 * comes before that is written, as Linux does. */
static long write_user_piece(struct write_out *w, struct uio *u, size_t n, uint64_t off,
                             uint64_t append_total)
{
	const size_t before = u->done;
	long r = write_piece(w, file_source_uio, u, n, off, append_total);
	size_t good = u->done - before;

	if (r != -EFAULT || good == 0 || good >= n)
		return r;
	uio_back(u, good);
	return write_piece(w, file_source_uio, u, good, off, append_total ? good : 0);
}

static long write_all(struct write_out *w, struct uio *u)
{
	size_t total = uio_left(u), done = 0;
	long r = 0;

	while (done < total) {
		size_t n = total - done;
		bool first_append = w->append && done == 0;

		if (n > RPC_PAYLOAD_MAX)
			n = RPC_PAYLOAD_MAX;
		r = write_user_piece(w, u, n, w->off + done, first_append ? total : 0);
		if (r < 0)
			break;
		done += (size_t)r;
		if ((size_t)r < n)
			break;
	}
	return done > 0 ? (long)done : r;
}

static uint32_t sync_of(const struct ofd *o)
{
	uint32_t flags = o->flags;

	if (flags & K_SYNC)
		return 2;
	return flags & K_DSYNC ? 1 : 0;
}

/* How much of @n bytes at @off may be written: RLIMIT_FSIZE (the signal is sent
 * when nothing may be) and the largest offset. */
static long cut_to_limit(uint64_t off, uint64_t n)
{
	if (off >= (uint64_t)OFFSET_MAX)
		return -EFBIG;
	if (n > (uint64_t)OFFSET_MAX - off)
		n = (uint64_t)OFFSET_MAX - off;
	n = limits_file_room(off, n);
	return n ? (long)n : -EFBIG;
}

/* Cut the vector to its first @n bytes. */
static void uio_cut(struct uio *u, size_t n)
{
	if (n < u->len - u->done)
		u->len = u->done + n;
}

static long current_size(struct file *f, uint64_t *size)
{
	struct kstat st;
	long r = file_stat_handle(f->handle, &st);

	if (r == 0)
		*size = (uint64_t)st.st_size;
	return r;
}

static long write_at(struct file *f, struct uio *u, struct write_out *w)
{
	uint64_t off = w->append ? 0 : w->off;
	long r = 0;

	if (w->append && limits_get(LIMIT_FSIZE) != LIMIT_INFINITY)
		r = current_size(f, &off);
	if (r < 0)
		return r;
	r = cut_to_limit(off, uio_left(u));
	if (r < 0)
		return r;
	uio_cut(u, (size_t)r);
	r = filemap_before_io(f, w->off, w->append ? 0 : uio_left(u));
	if (r < 0)
		return r;
	r = write_all(w, u);
	if (w->append)
		atomic_store(&f->append_end, 0); /* what a piece did not fill is given up */
	if (r > 0)
		filemap_after_write(f, w->off, (uint64_t)r);
	return r;
}

long file_write(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	struct write_out w = {.f = file_of(o), .sync = sync_of(o)};
	long r;

	if ((o->flags & ABI_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (uio_left(u) == 0)
		return 0;
	if (!pos) {
		r = ofd_pos_lock(o);
		if (r < 0)
			return r;
	}
	w.append = (o->flags & O_APPEND) || u->append;
	w.off = pos ? *pos : o->pos;
	r = write_at(w.f, u, &w);
	if (!pos) {
		if (r > 0)
			o->pos = w.off + (uint64_t)r;
		ofd_pos_unlock(o);
	}
	return r;
}

long file_store(struct file *f, const void *from, size_t n, uint64_t off)
{
	struct write_out w = {.f = f};
	struct file_buf b = {.p = (uint8_t *)(uintptr_t)from, .cap = n};
	size_t done = 0;

	while (done < n) {
		size_t piece = n - done < RPC_PAYLOAD_MAX ? n - done : RPC_PAYLOAD_MAX;
		long r = write_piece(&w, file_source_buf, &b, piece, off + done, 0);

		if (r < 0)
			return r;
		if ((size_t)r < piece)
			return -ENOSPC;
		done += piece;
	}
	return 0;
}

/* ---- the other operations ---- */

static long seek_hole(struct file *f, int64_t off, int whence)
{
	File__RangeReq req = FILE__RANGE_REQ__INIT;
	struct rpc_call call;
	long r;

	if (off < 0)
		return -ENXIO;
	r = filemap_before_io(f, 0, UINT64_MAX);
	if (r < 0)
		return r;
	rpc_call_init(&call);
	req.handle = f->handle;
	req.mode = (uint32_t)whence;
	req.offset = (uint64_t)off;
	FILE_CALL(seek, OffsetRep, &req, &call);
	if (call.err)
		return call.err;
	return (long)((const File__OffsetRep *)call.reply)->offset;
}

/* Where @off from @whence is; the position lock is held. */
static long seek_target(struct file *f, int64_t off, int whence)
{
	uint64_t base = 0;
	int64_t at;
	long r = 0;

	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = f->ofd.pos;
		break;
	case SEEK_END:
		r = current_size(f, &base);
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
		return seek_hole(f, off, whence);
	default:
		return -EINVAL;
	}
	if (r < 0)
		return r;
	if (__builtin_add_overflow((int64_t)base, off, &at) || at < 0)
		return -EINVAL;
	return at;
}

static long file_seek(struct ofd *o, int64_t off, int whence)
{
	long r = ofd_pos_lock(o);

	if (r < 0)
		return r;
	r = seek_target(file_of(o), off, whence);
	if (r >= 0)
		o->pos = (uint64_t)r;
	ofd_pos_unlock(o);
	return r;
}

static uint32_t file_poll(struct ofd *o)
{
	(void)o;
	return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
}

static long file_ioctl(struct ofd *o, unsigned long request, void *user_arg)
{
	struct file *f = file_of(o);
	struct kstat st;
	int64_t left;
	int value;
	long r;

	switch (request) {
	case FIONREAD:
		if (!S_ISREG(f->mode))
			return -ENOTTY;
		r = file_stat_handle(f->handle, &st);
		if (r < 0)
			return r;
		left = st.st_size - (int64_t)o->pos;
		value = left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
		break;
	case ABI_FIGETBSZ:
		r = file_stat_handle(f->handle, &st);
		if (r < 0)
			return r;
		value = (int)st.st_blksize;
		break;
	case ABI_FICLONE:
	case ABI_FICLONERANGE:
	case ABI_FS_IOC_FIEMAP:
		return -EOPNOTSUPP;
	default:
		return -ENOTTY;
	}
	return user_copy_out(user_arg, &value, sizeof(value));
}

static long file_stat(struct ofd *o, struct kstat *st)
{
	return file_stat_handle(file_of(o)->handle, st);
}

static long file_truncate(struct ofd *o, uint64_t size)
{
	struct file *f = file_of(o);
	File__SetAttrReq req = FILE__SET_ATTR_REQ__INIT;
	struct file_watch watch;
	struct rpc_call call;
	int r;

	if ((o->flags & ABI_ACCMODE) == O_RDONLY)
		return -EINVAL;
	if (size > 0 && limits_file_room(size - 1, 1) == 0)
		return -EFBIG;
	r = file_cred(&req.cred);
	if (r < 0)
		return r;
	rpc_call_init(&call);
	file_watch(&call, &watch);
	req.at = f->handle;
	req.flags = AT_EMPTY_PATH;
	req.what = FILE_SET_SIZE;
	req.size = size;
	FILE_CALL(set_attr, AttrRep, &req, &call);
	if (call.err == 0)
		file_note_written(f);
	file_settled(&watch);
	if (call.err == 0)
		filemap_resized(f->dev, f->ino, size);
	return call.err;
}

long file_sync_handle(uint32_t handle, uint32_t what)
{
	File__SyncReq req = FILE__SYNC_REQ__INIT;
	struct rpc_call call;

	rpc_call_init(&call);
	req.handle = handle;
	req.what = what;
	FILE_CALL(sync, SyncRep, &req, &call);
	return call.err;
}

static void note_synced(struct fnode *n, uint64_t written)
{
	uint64_t was = atomic_load(&n->synced);

	while (was < written && !atomic_compare_exchange_weak(&n->synced, &was, written))
		;
}

long file_sync_data(struct file *f, bool data_only)
{
	const uint64_t written = f->node ? atomic_load(&f->node->written) : 0;
	File__SyncReq req = FILE__SYNC_REQ__INIT;
	struct file_watch watch;
	struct rpc_call call;
	uint32_t lost;

	rpc_call_init(&call);
	file_watch(&call, &watch);
	req.handle = f->handle;
	req.what = data_only ? 1 : 0;
	FILE_CALL(sync, SyncRep, &req, &call);
	if (call.err == 0 && f->node)
		note_synced(f->node, written);
	file_settled(&watch);
	if (call.err || !f->node)
		return call.err;
	lost = atomic_load(&f->node->lost);
	return atomic_exchange(&f->lost_seen, lost) == lost ? 0 : -EIO;
}

static long file_sync(struct ofd *o, int datasync)
{
	struct file *f = file_of(o);
	long r = filemap_flush(f);

	return r < 0 ? r : file_sync_data(f, datasync != 0);
}

static long file_fallocate(struct ofd *o, int mode, uint64_t off, uint64_t len)
{
	File__RangeReq req = FILE__RANGE_REQ__INIT;
	struct file *f = file_of(o);
	struct file_watch watch;
	struct rpc_call call;
	long r;

	if ((o->flags & ABI_ACCMODE) == O_RDONLY)
		return -EBADF;
	r = filemap_before_io(f, off, len);
	if (r < 0)
		return r;
	rpc_call_init(&call);
	file_watch(&call, &watch);
	req.handle = f->handle;
	req.mode = (uint32_t)mode;
	req.offset = off;
	req.len = len;
	FILE_CALL(fallocate, Empty, &req, &call);
	if (call.err == 0)
		file_note_written(f);
	file_settled(&watch);
	if (call.err == 0)
		filemap_after_write(f, off, len);
	return call.err;
}

static long file_close(struct ofd *o)
{
	file_lock_on_close(file_of(o));
	return 0;
}

static long dir_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	(void)o;
	(void)u;
	(void)pos;
	return -EISDIR;
}

static long dir_write(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	(void)o;
	(void)u;
	(void)pos;
	return -EBADF; /* never open for writing */
}

const struct ofd_ops g_file_ops = {
        .kind = OFD_FILE,
        .read = file_read,
        .write = file_write,
        .poll = file_poll,
        .seek = file_seek,
        .ioctl = file_ioctl,
        .stat = file_stat,
        .truncate = file_truncate,
        .sync = file_sync,
        .fallocate = file_fallocate,
        .lock = file_lock,
        .flock = file_flock,
        .mmap = filemap_mmap,
        .close = file_close,
        .release = file_release,
};

const struct ofd_ops g_file_dir_ops = {
        .kind = OFD_FILE,
        .read = dir_read,
        .write = dir_write,
        .poll = file_poll,
        .seek = file_dir_seek,
        .ioctl = file_ioctl,
        .stat = file_stat,
        .sync = file_sync,
        .getdents = file_getdents,
        .lock = file_lock,
        .flock = file_flock,
        .close = file_close,
        .release = file_release,
};

const struct ofd_ops g_file_path_ops = {
        .kind = OFD_FILE,
        .stat = file_stat,
        .release = file_release,
};
