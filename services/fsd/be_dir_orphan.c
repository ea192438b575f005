/* SPDX-License-Identifier: MIT */
/*
 * A file that is open when its last name goes is linked into the hidden folder
 * ORPHANS_DIR/<instance>/ of its export first, under the service's own
 * credentials (the caller sees to that).  An instance holds a flock on its
 * folder: a folder that nobody holds belonged to an instance that died.  The
 * first instance of a service (epoch 1) empties such folders; a later one leaves
 * them to the guests that come back.
 */
#define _GNU_SOURCE
#include "services/fsd/be_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int make_dir(int at, const char *name)
{
	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	const int fd = openat(at, name, DIR_FLAGS);

	return fd < 0 ? -errno : fd;
}

static int orphans_open_locked(struct dir_mount *d)
{
	int top;

	if (d->orphans >= 0)
		return d->orphans;
	top = make_dir(d->fd, ORPHANS_DIR);
	if (top < 0)
		return top;
	d->orphans = make_dir(top, d->instance);
	close(top);
	if (d->orphans >= 0)
		(void)flock(d->orphans, LOCK_EX | LOCK_NB); /* ours: cannot be held */
	return d->orphans;
}

static int keep_locked(struct dir_mount *d, const struct node *node, const char *name)
{
	const int fd = orphans_open_locked(d);

	if (fd < 0)
		return fd;
	if (linkat(g_dir_proc, dir_fdname(NODE_FD(node)).s, fd, name,
	           AT_SYMLINK_FOLLOW) == 0)
		return 0;
	return -errno;
}

int dir_orphan_keep(const struct node *node, uint64_t ino, struct orphan *out)
{
	struct dir_mount *d = dir_mount(node);
	int r;

	pthread_mutex_lock(&d->lock);
	snprintf(out->name, sizeof out->name, "%llx-%llx", (unsigned long long)ino,
	         (unsigned long long)++d->n_orphans);
	r = keep_locked(d, node, out->name);
	for (int i = 0; r == -ENOENT && i < 3; i++) {
		/* Another instance swept the empty folder just before we locked it. */
		if (d->orphans >= 0)
			close(d->orphans);
		d->orphans = -1;
		r = keep_locked(d, node, out->name);
	}
	pthread_mutex_unlock(&d->lock);
	if (r < 0)
		out->name[0] = 0;
	return r;
}

void dir_orphan_drop(struct mount *mount, struct orphan *o)
{
	struct dir_mount *d = mount->priv;

	pthread_mutex_lock(&d->lock);
	if (o->name[0] && d->orphans >= 0)
		(void)unlinkat(d->orphans, o->name,
		               0); /* gone already: nothing to do */
	pthread_mutex_unlock(&d->lock);
	o->name[0] = 0;
}

static void empty_dir(int fd)
{
	DIR *dp = fdopendir(dup(fd));
	struct dirent *e;

	if (!dp)
		return;
	while ((e = readdir(dp)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)unlinkat(fd, e->d_name,
			               0); /* what stays is swept next time */
	closedir(dp);
}

void dir_orphans_sweep(struct mount *mount)
{
	struct dir_mount *d = mount->priv;
	const int top = openat(d->fd, ORPHANS_DIR, DIR_FLAGS);
	struct dirent *e;
	DIR *dp;

	if (top < 0)
		return;
	dp = d->epoch > 1 ? NULL : fdopendir(dup(top));
	while (dp && (e = readdir(dp))) {
		int fd;

		if (e->d_name[0] == '.')
			continue;
		fd = openat(top, e->d_name, DIR_FLAGS);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			empty_dir(fd);
			(void)unlinkat(top, e->d_name,
			               AT_REMOVEDIR); /* not empty: later */
		}
		close(fd);
	}
	if (dp)
		closedir(dp);
	close(top);
	(void)unlinkat(d->fd, ORPHANS_DIR, AT_REMOVEDIR); /* only if nobody uses it */
}

void dir_orphans_close(struct mount *mount)
{
	struct dir_mount *d = mount->priv;
	int top;

	if (d->orphans < 0)
		return;
	close(d->orphans);
	d->orphans = -1;
	top = openat(d->fd, ORPHANS_DIR, DIR_FLAGS);
	if (top >= 0) {
		(void)unlinkat(top, d->instance, AT_REMOVEDIR); /* orphans left: kept */
		close(top);
	}
	(void)unlinkat(d->fd, ORPHANS_DIR, AT_REMOVEDIR); /* only if nobody uses it */
}
