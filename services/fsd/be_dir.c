/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/be_dir.h"

#include "services/fsd/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

int g_dir_proc = -1;

static const struct backend_ops dir_ops = {
        .kind = "dir",
        .lookup = dir_lookup,
        .open_path = dir_open_path,
        .attr_at = dir_attr_at,
        .dup = dir_dup,
        .put = dir_put,
        .path = dir_path,
        .attr = dir_attr,
        .readlink = dir_readlink,
        .mkdir = dir_mkdir,
        .mknod = dir_mknod,
        .symlink = dir_symlink,
        .link = dir_link,
        .rename = dir_rename,
        .unlink = dir_unlink,
        .open = dir_open,
        .create = dir_create,
        .access = dir_access,
        .setattr = dir_setattr,
        .statfs = dir_statfs,
        .file_id = dir_file_id,
        .hold_id = dir_hold_id,
        .find_id = dir_find_id,
        .gone_dir = dir_gone_dir,
        .gone_keep = dir_gone_keep,
        .gone_drop = dir_gone_drop,
        .getxattr = dir_getxattr,
        .setxattr = dir_setxattr,
        .listxattr = dir_listxattr,
        .removexattr = dir_removexattr,
        .read = dir_read,
        .write = dir_write,
        .readdir = dir_readdir,
        .sync = dir_sync,
        .fallocate = dir_fallocate,
        .seek = dir_seek,
        .readahead = dir_readahead,
        .copy = dir_copy,
        .watch = dir_watch,
        .orphan_keep = dir_orphan_keep,
        .orphan_drop = dir_orphan_drop,
        .orphan_kept = dir_orphan_kept,
        .orphan_find = dir_orphan_find,
        .orphan_sweep = dir_orphan_sweep,
        .orphan_touch = dir_orphan_touch,
        .lock_open = dir_lock_open,
        .lock_range = dir_lock_range,
        .lock_test = dir_lock_test,
        .lock_whole = dir_lock_whole,
};

int be_dir_setup(void)
{
	if (g_dir_proc >= 0)
		return 0;
	g_dir_proc = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g_dir_proc < 0 || fchdir(g_dir_proc) < 0)
		return -errno;
	return 0;
}

struct dir_fdname dir_fdname(int fd)
{
	struct dir_fdname n;
	char *p = n.s + sizeof n.s - 1;
	unsigned v = (unsigned)fd;

	*p = 0;
	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	memmove(n.s, p, strlen(p) + 1);
	return n;
}

static int measure_root(struct mount *m, struct dir_mount *d)
{
	char buf[4096];
	struct statfs sf;
	struct statx stx;
	const ssize_t n = readlinkat(g_dir_proc, dir_fdname(d->fd).s, buf, sizeof buf);

	if (n < 0 || fstatfs(d->fd, &sf) < 0)
		return -errno;
	if (n == (ssize_t)sizeof buf)
		return -ENAMETOOLONG;
	/* "/" alone is a prefix of no length: what follows it has its own slash. */
	d->path_len = n == 1 ? 0 : (size_t)n;
	if (statx(d->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) < 0)
		return -errno;
	m->root_dev = (uint64_t)stx.stx_dev_major << 32 | stx.stx_dev_minor;
	m->root_ino = stx.stx_ino;
	m->memory = sf.f_type == TMPFS_MAGIC || sf.f_type == RAMFS_MAGIC;
	m->no_nowait = m->memory;
	/* A mem was made empty, and guests make no devices. */
	m->open_at_once = m->exclusive && (m->memory || (sf.f_flags & ST_NODEV));
	return 0;
}

int be_dir_attach(struct mount *m, int fd, const struct instance *inst)
{
	struct dir_mount *d = calloc(1, sizeof *d);
	int r;

	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	d->orphans = -1;
	pthread_mutex_init(&d->lock, NULL);
	d->fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = d->fd < 0 ? -errno : measure_root(m, d);
	close(fd);
	if (r < 0) {
		if (d->fd >= 0)
			close(d->fd);
		free(d);
		return r;
	}
	memcpy(d->folder, inst->folder, sizeof d->folder);
	dir_probe_ids(d);
	m->ops = &dir_ops;
	m->priv = d;
	m->root = (struct node){m, d->fd};
	pthread_mutex_init(&m->names, NULL);
	for (unsigned i = 0; i < MOUNT_NAME_LOCKS; i++)
		pthread_mutex_init(&m->name[i], NULL);
	if (!m->read_only)
		dir_orphans_start(m, inst->epoch <= 1);
	return 0;
}

void be_dir_leave(struct mount *m)
{
	struct dir_mount *d = m->priv;

	if (d->orphans >= 0)
		close(d->orphans);
	d->orphans = -1;
}

void be_dir_detach(struct mount *m)
{
	struct dir_mount *d = m->priv;

	dir_orphans_close(m);
	close(d->fd);
	pthread_mutex_destroy(&d->lock);
	pthread_mutex_destroy(&m->names);
	for (unsigned i = 0; i < MOUNT_NAME_LOCKS; i++)
		pthread_mutex_destroy(&m->name[i]);
	free(d);
	m->priv = NULL;
}

int be_dir_root_fd(const struct mount *m, int *fd)
{
	if (m->ops != &dir_ops)
		return -EINVAL;
	*fd = ((const struct dir_mount *)m->priv)->fd;
	return 0;
}
