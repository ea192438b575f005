/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/be_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int dir_lookup(const struct node *dir, const char *path, unsigned flags,
               struct node *out)
{
	struct open_how how = {
	        .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
	        .resolve =
	                RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	if ((flags & NODE_CACHED) && !dir->mount->memory)
		how.resolve |= RESOLVE_CACHED;
	for (int i = 0; i < 8; i++) {
		fd = syscall(SYS_openat2, node_fd_as(dir), path, &how, sizeof how);
		/* A rename somewhere made the kernel doubt a ".."; cached: report it. */
		if (fd >= 0 || errno != EAGAIN || (how.resolve & RESOLVE_CACHED))
			break;
	}
	if (fd < 0) /* still in doubt: then by single steps */
		return errno == EAGAIN && !(how.resolve & RESOLVE_CACHED) ? -EXDEV
		                                                          : -errno;
	*out = (struct node){dir->mount, fd};
	return 0;
}

int dir_open_path(const struct node *dir, const char *path, int open_flags,
                  unsigned flags, struct node *out)
{
	struct open_how how = {
	        .flags = (unsigned)(open_flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK |
	                            O_NOCTTY),
	        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
	                   RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	long fd;

	if ((flags & NODE_CACHED) && !dir->mount->memory)
		how.resolve |= RESOLVE_CACHED;
	fd = syscall(SYS_openat2, node_fd_as(dir), path, &how, sizeof how);
	if (fd < 0) /* EAGAIN: in doubt about a rename, unless asked for */
		return errno == EAGAIN && !(how.resolve & RESOLVE_CACHED) ? -EXDEV
		                                                          : -errno;
	*out = (struct node){dir->mount, fd};
	return 0;
}

int dir_attr_at(const struct node *dir, const char *name, struct statx *out)
{
	if (statx(node_fd_as(dir), name, AT_SYMLINK_NOFOLLOW | AT_STATX_SYNC_AS_STAT,
	          STATX_BASIC_STATS | STATX_BTIME, out) < 0)
		return -errno;
	return 0;
}

int dir_dup(const struct node *node, struct node *out)
{
	int fd = NODE_FD(node);

	if (fd != dir_mount(node)->fd)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	*out = (struct node){node->mount, fd};
	return 0;
}

void dir_put(struct node *node)
{
	if (NODE_FD(node) != dir_mount(node)->fd)
		close(NODE_FD(node));
}

/* /proc names a directory by its path in the mount's own view (a detached mount)
 * or the process's; the root's own name is a prefix of it, or it has left. */
int dir_path(const struct node *dir, char *buf, size_t size)
{
	const struct dir_mount *d = dir_mount(dir);
	char root[4096], full[4096];
	struct stat st;
	ssize_t n, rn = 0;

	if (fstat(NODE_FD(dir), &st) < 0)
		return -errno;
	if (st.st_nlink == 0)
		return -ENOENT;
	n = readlinkat(g_dir_proc, dir_fdname(NODE_FD(dir)).s, full, sizeof full);
	if (n < 0)
		return -errno;
	if (d->path_len > 0) {
		rn = readlinkat(g_dir_proc, dir_fdname(d->fd).s, root, sizeof root);
		if (rn < 0)
			return -errno;
	}
	if (n == (ssize_t)sizeof full || rn == (ssize_t)sizeof root)
		return -ENAMETOOLONG;
	if (n < rn || (rn && memcmp(full, root, (size_t)rn) != 0))
		return -ENOENT;
	if (n > rn && full[rn] != '/')
		return -ENOENT;
	while (rn < n && full[rn] == '/')
		rn++;
	if ((size_t)(n - rn) >= size)
		return -ENAMETOOLONG;
	memcpy(buf, full + rn, (size_t)(n - rn));
	buf[n - rn] = 0;
	return 0;
}

int dir_attr(const struct node *node, unsigned flags, struct statx *out)
{
	(void)flags; /* the inode is in memory: a descriptor holds it */
	if (statx(NODE_FD(node), "", AT_EMPTY_PATH | AT_STATX_SYNC_AS_STAT,
	          STATX_BASIC_STATS | STATX_BTIME, out) < 0)
		return -errno;
	return 0;
}

int dir_readlink(const struct node *node, char *buf, size_t size)
{
	const ssize_t n = readlinkat(NODE_FD(node), "", buf, size);

	/* An O_PATH descriptor of something else gives ENOENT for "". */
	return n < 0 ? (errno == ENOENT ? -EINVAL : -errno) : (int)n;
}

int dir_mkdir(const struct node *dir, const char *name, mode_t mode)
{
	return mkdirat(node_fd_as(dir), name, mode) < 0 ? -errno : 0;
}

int dir_mknod(const struct node *dir, const char *name, mode_t mode)
{
	return mknodat(node_fd_as(dir), name, mode, 0) < 0 ? -errno : 0;
}

int dir_symlink(const struct node *dir, const char *name, const char *target)
{
	return symlinkat(target, node_fd_as(dir), name) < 0 ? -errno : 0;
}

int dir_link(const struct node *node, const struct node *dir, const char *name)
{
	if (linkat(g_dir_proc, dir_fdname(NODE_FD(node)).s, node_fd_as(dir), name,
	           AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return 0;
}

int dir_rename(const struct node *dir, const char *name, const struct node *to_dir,
               const char *to_name, unsigned flags)
{
	if (syscall(SYS_renameat2, node_fd_as(dir), name, NODE_FD(to_dir), to_name,
	            flags) < 0)
		return -errno;
	return 0;
}

int dir_unlink(const struct node *dir, const char *name, bool directory)
{
	return unlinkat(node_fd_as(dir), name, directory ? AT_REMOVEDIR : 0) < 0
	               ? -errno
	               : 0;
}
