/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/be_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef AT_EACCESS
#define AT_EACCESS 0x200
#endif

int dir_open(const struct node *node, int flags, struct node *out)
{
	const int fd = openat(g_dir_proc, dir_fdname(node_fd_as(node)).s,
	                      flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	*out = (struct node){node->mount, fd};
	return 0;
}

int dir_create(const struct node *dir, const char *name, int flags, mode_t mode,
               struct node *out)
{
	struct open_how how = {
	        .flags = (unsigned)(flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC |
	                            O_NONBLOCK | O_NOCTTY),
	        .mode = mode & 07777,
	        .resolve =
	                RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	const long fd = syscall(SYS_openat2, node_fd_as(dir), name, &how, sizeof how);

	if (fd < 0)
		return -errno;
	*out = (struct node){dir->mount, fd};
	return 0;
}

int dir_access(const struct node *node, int mode)
{
	/* AT_EACCESS: the thread's file system ids, which cred.c has set. */
	if (syscall(SYS_faccessat2, node_fd_as(node), "", mode,
	            AT_EMPTY_PATH | AT_EACCESS) < 0)
		return -errno;
	return 0;
}

static int set_size(const struct node *node, bool opened, uint64_t size)
{
	struct node w;
	int r;

	if (size > INT64_MAX)
		return -EINVAL;
	if (opened)
		return ftruncate(node_fd_as(node), (off_t)size) < 0 ? -errno : 0;
	r = dir_open(node, O_WRONLY, &w);
	if (r < 0)
		return r;
	r = ftruncate(NODE_FD(&w), (off_t)size) < 0 ? -errno : 0;
	dir_put(&w);
	return r;
}

int dir_setattr(const struct node *node, bool opened, const struct setattr *set)
{
	const int fd = node_fd_as(node);
	int r = 0;

	if (set->what & FILE_SET_SIZE)
		r = set_size(node, opened, set->size);
	if (r == 0 && (set->what & (FILE_SET_UID | FILE_SET_GID))) {
		const uid_t uid = set->what & FILE_SET_UID ? set->uid : (uid_t)-1;
		const gid_t gid = set->what & FILE_SET_GID ? set->gid : (gid_t)-1;

		if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
			r = -errno;
	}
	if (r == 0 && (set->what & FILE_SET_MODE))
		r = fchmodat(g_dir_proc, dir_fdname(fd).s, set->mode, 0) < 0 ? -errno
		                                                             : 0;
	if (r == 0 && (set->what & FILE_SET_TIMES) &&
	    syscall(SYS_utimensat, fd, "", set->times, AT_EMPTY_PATH) < 0)
		r = -errno;
	return r;
}

int dir_watch(const struct node *node, int inotify, uint32_t mask)
{
	const int wd = inotify_add_watch(inotify, dir_fdname(node_fd_as(node)).s, mask);

	return wd < 0 ? -errno : wd;
}

int dir_statfs(const struct node *node, struct statfs *out)
{
	return fstatfs(NODE_FD(node), out) < 0 ? -errno : 0;
}

/* The working directory is /proc/self/fd: a number is a path. */
ssize_t dir_getxattr(const struct node *node, const char *name, void *to, size_t size)
{
	const ssize_t n = getxattr(dir_fdname(node_fd_as(node)).s, name, to, size);

	return n < 0 ? -errno : n;
}

int dir_setxattr(const struct node *node, const char *name, const void *from,
                 size_t size, int flags)
{
	return setxattr(dir_fdname(node_fd_as(node)).s, name, from, size, flags) < 0
	               ? -errno
	               : 0;
}

ssize_t dir_listxattr(const struct node *node, char *to, size_t size)
{
	const ssize_t n = listxattr(dir_fdname(node_fd_as(node)).s, to, size);

	return n < 0 ? -errno : n;
}

int dir_removexattr(const struct node *node, const char *name)
{
	return removexattr(dir_fdname(node_fd_as(node)).s, name) < 0 ? -errno : 0;
}

ssize_t dir_read(const struct node *node, const struct iovec *iov, int n, uint64_t off,
                 unsigned flags)
{
	const int rwf =
	        (flags & NODE_NOWAIT) && !node->mount->no_nowait ? RWF_NOWAIT : 0;
	const ssize_t r = preadv2(NODE_FD(node), iov, n, (off_t)off, rwf);

	if (r < 0 && errno == EOPNOTSUPP && rwf) {
		node->mount->no_nowait = true; /* overlayfs, network file systems */
		return -EAGAIN;
	}
	return r < 0 ? -errno : r;
}

/* With offset -1 the kernel moves the file position to the end of what it appended:
 * exact even when programs of the host append too. */
static ssize_t append(const struct node *node, const struct iovec *iov, uint64_t *off,
                      int rwf)
{
	const ssize_t r = pwritev2(NODE_FD(node), iov, 1, -1, rwf | RWF_APPEND);
	off_t end;

	if (r < 0)
		return -errno;
	end = lseek(NODE_FD(node), 0, SEEK_CUR);
	*off = end < r ? 0 : (uint64_t)(end - r);
	return r;
}

ssize_t dir_write(const struct node *node, const void *from, size_t n, uint64_t *off,
                  unsigned flags)
{
	const struct iovec iov = {(void *)(uintptr_t)from, n};
	const int rwf = (flags & NODE_SYNC)    ? RWF_SYNC
	                : (flags & NODE_DSYNC) ? RWF_DSYNC
	                                       : 0;
	ssize_t r;

	cred_enter(node->mount->keep_root); /* who may keep set-id bits */
	if (flags & NODE_APPEND)
		return append(node, &iov, off, rwf);
	r = rwf ? pwritev2(NODE_FD(node), &iov, 1, (off_t)*off, rwf)
	        : pwrite(NODE_FD(node), from, n, (off_t)*off);
	return r < 0 ? -errno : r;
}

ssize_t dir_readdir(const struct node *node, uint64_t cookie, bool seek, void *to,
                    size_t size)
{
	long n;

	if (seek && lseek(NODE_FD(node), (off_t)cookie, SEEK_SET) < 0)
		return -errno;
	n = syscall(SYS_getdents64, NODE_FD(node), to, size);
	/* ext4 has nothing to tell after the rewind of a descriptor that was first read
	 * at the end, as one may be that a later instance opened; after a second it has.
	 * There are always "." and "..". */
	if (n == 0 && seek && cookie == 0 && lseek(NODE_FD(node), 0, SEEK_SET) == 0)
		n = syscall(SYS_getdents64, NODE_FD(node), to, size);
	return n < 0 ? -errno : n;
}

int dir_sync(const struct node *node, unsigned what, uint64_t off, uint64_t len,
             unsigned flags)
{
	const int fd = NODE_FD(node);
	int r;

	switch (what) {
	case 0:
		r = fsync(fd);
		break;
	case 1:
		r = fdatasync(fd);
		break;
	case 2:
		r = syncfs(fd);
		break;
	default:
		r = sync_file_range(fd, (off_t)off, (off_t)len, flags);
		break;
	}
	return r < 0 ? -errno : 0;
}

int dir_fallocate(const struct node *node, int mode, uint64_t off, uint64_t len)
{
	return fallocate(node_fd_as(node), mode, (off_t)off, (off_t)len) < 0 ? -errno
	                                                                     : 0;
}

int64_t dir_seek(const struct node *node, uint64_t off, int whence)
{
	const off_t r = lseek(NODE_FD(node), (off_t)off, whence);

	return r < 0 ? -errno : r;
}

int dir_readahead(const struct node *node, uint64_t off, uint64_t len)
{
	return -posix_fadvise(NODE_FD(node), (off_t)off, (off_t)len,
	                      POSIX_FADV_WILLNEED);
}

ssize_t dir_copy(const struct node *in, uint64_t in_off, const struct node *out,
                 uint64_t out_off, size_t len)
{
	off_t a = (off_t)in_off, b = (off_t)out_off;
	const ssize_t n = copy_file_range(NODE_FD(in), &a, node_fd_as(out), &b, len, 0);

	return n < 0 ? -errno : n;
}
