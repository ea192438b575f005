/* SPDX-License-Identifier: MIT */
/*
 * file_misc.c - syncing, advice, and copying inside fsd.
 */
#include "libos/file.h"
#include "libos/filemap.h"
#include "libos/io.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SYNC_WHAT_FS 2u
#define SYNC_WHAT_ALL 3u
#define SYNC_WHAT_RANGE 4u

static bool is_regular(const struct ofd *o)
{
	return o->ops->kind == OFD_FILE && S_ISREG(((const struct file *)o)->mode);
}

/* ---- syncing ---- */

SYSCALL(sync, void)
{
	if (file_present()) {
		(void)filemap_flush(NULL); /* sync() reports nothing */
		(void)file_sync_handle(0, SYNC_WHAT_ALL);
	}
	return 0;
}

SYSCALL(syncfs, int fd)
{
	struct ofd *o = ofd_get_io(fd);
	long r = 0;

	if (!o)
		return -EBADF;
	if (o->ops->kind == OFD_FILE) {
		r = filemap_flush(NULL);
		if (r == 0)
			r = file_sync_handle(file_of(o)->handle, SYNC_WHAT_FS);
	}
	ofd_put(o);
	return r;
}

static long sync_range(struct file *f, int64_t off, int64_t len, unsigned flags)
{
	File__SyncReq req = FILE__SYNC_REQ__INIT;
	struct rpc_call call;
	long r = filemap_flush(f);

	if (r < 0)
		return r;
	rpc_call_init(&call);
	req.handle = f->handle;
	req.what = SYNC_WHAT_RANGE;
	req.offset = (uint64_t)off;
	req.len = (uint64_t)len;
	req.flags = flags;
	FILE_CALL(sync, SyncRep, &req, &call);
	return call.err;
}

SYSCALL(sync_file_range, int fd, int64_t off, int64_t len, unsigned flags)
{
	struct ofd *o = ofd_get_io(fd);
	int64_t end;
	long r = 0;

	if (!o)
		return -EBADF;
	if ((flags & ~7u) || off < 0 || len < 0 ||
	    __builtin_add_overflow(off, len, &end))
		r = -EINVAL;
	else if (o->ops->kind != OFD_FILE && o->ops->kind != OFD_SHM && !o->ops->getdents)
		r = -ESPIPE;
	else if (o->ops->kind == OFD_FILE)
		r = sync_range(file_of(o), off, len, flags);
	ofd_put(o);
	return r;
}

/* ---- advice ---- */

static void post_readahead(struct file *f, int64_t off, uint64_t len)
{
	File__RangeReq req = FILE__RANGE_REQ__INIT;

	req.handle = f->handle;
	req.offset = (uint64_t)off;
	req.len = len;
	/* Advice: that it could not be sent changes nothing. */
	(void)rpc_post(&g_file_chan, FILE_POST_READAHEAD, &req.base, NULL, NULL, 0);
}

SYSCALL(fadvise64, int fd, int64_t off, int64_t len, int advice)
{
	struct ofd *o = ofd_get_io(fd);
	long r = 0;

	if (!o)
		return -EBADF;
	if (o->ops->kind == OFD_PIPE)
		r = -ESPIPE;
	else if (len < 0 || advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE)
		r = -EINVAL;
	else if (advice == POSIX_FADV_WILLNEED && is_regular(o) && off >= 0)
		post_readahead(file_of(o), off, (uint64_t)len);
	ofd_put(o);
	return r;
}

SYSCALL(readahead, int fd, int64_t off, size_t count)
{
	struct ofd *o = ofd_get_io(fd);
	long r = 0;

	if (!o)
		return -EBADF;
	if ((o->flags & ABI_ACCMODE) == O_WRONLY)
		r = -EBADF;
	else if (!is_regular(o) && o->ops->kind != OFD_SHM)
		r = -EINVAL;
	else if (is_regular(o) && off >= 0)
		post_readahead(file_of(o), off, count);
	ofd_put(o);
	return r;
}

/* ---- copying ---- */

long file_copy_range(struct ofd *in, uint64_t in_off, struct ofd *out, uint64_t out_off,
                     size_t len)
{
	File__CopyReq req = FILE__COPY_REQ__INIT;
	struct file *from = file_of(in), *to = file_of(out);
	const File__WriteRep *rep;
	struct file_watch watch;
	struct rpc_call call;
	long r;

	if (!is_regular(in) || !is_regular(out))
		return -EINVAL;
	r = filemap_before_io(from, in_off, len);
	if (r == 0)
		r = filemap_before_io(to, out_off, len);
	if (r < 0)
		return r;
	rpc_call_init(&call);
	file_watch(&call, &watch);
	req.in_handle = from->handle;
	req.in_offset = in_off;
	req.out_handle = to->handle;
	req.out_offset = out_off;
	req.len = len;
	FILE_CALL(copy_range, WriteRep, &req, &call);
	if (call.err == 0)
		file_note_written(to);
	file_settled(&watch);
	if (call.err)
		return call.err;
	rep = (const File__WriteRep *)call.reply;
	if (rep->count > len)
		return -EIO;
	if (rep->count)
		filemap_after_write(to, out_off, rep->count);
	return (long)rep->count;
}
