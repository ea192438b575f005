/* SPDX-License-Identifier: MIT */
/*
 * A file that is open when its last name goes is linked into the hidden folder
 * ORPHANS_DIR/<run>/ of its export first, under the service's own credentials (the
 * caller sees to that).  Its name there is its number: whoever knows the one finds
 * the other, also a later instance, and to do it again does nothing.
 *
 * A directory cannot be linked: what was removed while open leaves an empty one, named
 * by a key of its identity behind a "-", that has its mode, owner and times for the next
 * instance.  (Its number is free for others as soon as this one ends.)
 *
 * The folder is named by the run (instance.h), so the next instance goes on with it.
 * An instance holds a flock on it, and sets its time every ORPHANS_TOUCH_S: a folder
 * that nobody holds, with a time that long ago that no next instance will come,
 * belonged to a run that is over.  The first instance of another run empties it.
 */
#define _GNU_SOURCE
#include "services/fsd/be_dir.h"
#include "services/fsd/notify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int make_dir(int at, const char *name, mode_t mode)
{
	if (mkdirat(at, name, mode) < 0 && errno != EEXIST)
		return -errno;
	const int fd = openat(at, name, DIR_FLAGS);

	return fd < 0 ? -errno : fd;
}

struct orphan_name {
	char s[20];
};

static struct orphan_name name_of(uint64_t ino)
{
	struct orphan_name n;

	snprintf(n.s, sizeof n.s, "%llx", (unsigned long long)ino);
	return n;
}

static int orphans_open_locked(struct dir_mount *d)
{
	int top;

	if (d->orphans >= 0)
		return d->orphans;
	top = make_dir(d->fd, ORPHANS_DIR, 0700);
	if (top < 0)
		return top;
	d->orphans = make_dir(top, d->folder, 0700);
	close(top);
	if (d->orphans >= 0)
		(void)flock(d->orphans, LOCK_EX | LOCK_NB); /* ours: cannot be held */
	return d->orphans;
}

/* The folder if there is one: the instance before may have made it after we began. */
static int orphans_find_locked(struct dir_mount *d)
{
	int top;

	if (d->orphans >= 0)
		return d->orphans;
	top = openat(d->fd, ORPHANS_DIR, DIR_FLAGS);
	if (top < 0)
		return -errno;
	d->orphans = openat(top, d->folder, DIR_FLAGS);
	close(top);
	if (d->orphans >= 0)
		(void)flock(d->orphans, LOCK_EX | LOCK_NB); /* it may not have ended yet */
	return d->orphans;
}

static bool is_file(int fd, const char *name, const struct node *node)
{
	struct stat a, b;

	return fstatat(fd, name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(NODE_FD(node), &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

static int keep_locked(struct dir_mount *d, const struct node *node, uint64_t ino,
                       const char *name)
{
	const int fd = orphans_open_locked(d);
	bool hiding;
	int err;

	if (fd < 0)
		return fd;
	hiding = notify_hide_begin(node->mount->root_dev, ino);
	err = linkat(g_dir_proc, dir_fdname(NODE_FD(node)).s, fd, name,
	             AT_SYMLINK_FOLLOW) == 0
	              ? 0
	              : errno;
	notify_hide_end(hiding);
	return err == EEXIST && is_file(fd, name, node) ? 0 : -err;
}

int dir_orphan_keep(const struct node *node, uint64_t ino)
{
	struct dir_mount *d = dir_mount(node);
	const struct orphan_name name = name_of(ino);
	int r;

	pthread_mutex_lock(&d->lock);
	r = keep_locked(d, node, ino, name.s);
	for (int i = 0; r == -ENOENT && i < 3; i++) {
		/* Another run swept the empty folder just before we locked it. */
		if (d->orphans >= 0)
			close(d->orphans);
		d->orphans = -1;
		r = keep_locked(d, node, ino, name.s);
	}
	pthread_mutex_unlock(&d->lock);
	return r;
}

void dir_orphan_drop(struct mount *mount, uint64_t ino)
{
	struct dir_mount *d = mount->priv;

	pthread_mutex_lock(&d->lock);
	if (orphans_find_locked(d) >= 0) {
		const bool hiding = notify_hide_begin(mount->root_dev, ino);

		(void)unlinkat(d->orphans, name_of(ino).s, 0); /* gone already: well */
		notify_hide_end(hiding);
	}
	pthread_mutex_unlock(&d->lock);
}

static struct orphan_name gone_name(uint64_t key)
{
	struct orphan_name n;

	snprintf(n.s, sizeof n.s, "-%llx", (unsigned long long)key);
	return n;
}

/* Of what is empty and ours alone. */
static int look_like(struct mount *m, int fd, const struct stat *st)
{
	const struct node node = {m, fd};
	const struct setattr owner = {.what = FILE_SET_UID | FILE_SET_GID,
	                              .uid = st->st_uid,
	                              .gid = st->st_gid};
	const struct setattr rest = {.what = FILE_SET_MODE | FILE_SET_TIMES,
	                             .mode = st->st_mode & 07777,
	                             .times = {st->st_atim, st->st_mtim}};

	(void)dir_setattr(&node, false, &owner); /* rootless it is ours, as all is */
	return dir_setattr(&node, false, &rest);
}

int dir_gone_keep(const struct node *node, const struct statx *stx, uint64_t *key)
{
	struct dir_mount *d = dir_mount(node);
	struct stat st;
	int fd, r;

	if (*key == 0)
		*key = dir_gone_key(node, stx);
	if (*key == 0)
		return -ENOTSUP;
	if (fstat(NODE_FD(node), &st) < 0)
		return -errno;
	pthread_mutex_lock(&d->lock);
	fd = orphans_open_locked(d);
	if (fd >= 0)
		fd = make_dir(fd, gone_name(*key).s, 0700);
	pthread_mutex_unlock(&d->lock);
	if (fd < 0)
		return fd;
	r = look_like(node->mount, fd, &st);
	close(fd);
	return r;
}

void dir_gone_drop(struct mount *mount, uint64_t key)
{
	struct dir_mount *d = mount->priv;

	pthread_mutex_lock(&d->lock);
	if (orphans_find_locked(d) >= 0)
		(void)unlinkat(d->orphans, gone_name(key).s, AT_REMOVEDIR);
	pthread_mutex_unlock(&d->lock);
}

int dir_orphan_dir(struct mount *mount, uint64_t key, struct node *out)
{
	static const char name[] = ".gone";
	struct dir_mount *d = mount->priv;
	struct stat st;
	int fd;

	pthread_mutex_lock(&d->lock);
	fd = orphans_open_locked(d);
	if (fd >= 0)
		fd = make_dir(fd, name, 0777); /* nobody's rights matter: it is empty */
	if (fd >= 0 && fstatat(d->orphans, gone_name(key).s, &st, AT_SYMLINK_NOFOLLOW) == 0)
		(void)look_like(mount, fd, &st); /* it is a folder without, too */
	if (fd >= 0 && unlinkat(d->orphans, name, AT_REMOVEDIR) < 0) {
		close(fd);
		fd = -EIO;
	}
	pthread_mutex_unlock(&d->lock);
	if (fd < 0)
		return fd;
	*out = (struct node){mount, fd};
	return 0;
}

int dir_orphan_find(struct mount *mount, uint64_t ino, struct node *out)
{
	struct dir_mount *d = mount->priv;
	int fd = -1, err = ENOENT;

	pthread_mutex_lock(&d->lock);
	if (orphans_find_locked(d) >= 0) {
		fd = openat(d->orphans, name_of(ino).s, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		err = errno;
	}
	pthread_mutex_unlock(&d->lock);
	if (fd < 0)
		return -err;
	*out = (struct node){mount, fd};
	return 0;
}

bool dir_orphan_kept(struct mount *mount, uint64_t ino)
{
	struct dir_mount *d = mount->priv;
	struct stat st;
	bool kept;

	pthread_mutex_lock(&d->lock);
	kept = orphans_find_locked(d) >= 0 &&
	       fstatat(d->orphans, name_of(ino).s, &st, AT_SYMLINK_NOFOLLOW) == 0;
	pthread_mutex_unlock(&d->lock);
	return kept;
}

void dir_orphan_sweep(struct mount *mount, bool (*used)(struct mount *, uint64_t, bool))
{
	struct dir_mount *d = mount->priv;
	struct dirent *e;
	DIR *dp;

	pthread_mutex_lock(&d->lock);
	dp = orphans_find_locked(d) < 0 ? NULL
	                                : fdopendir(openat(d->orphans, ".", DIR_FLAGS));
	while (dp && (e = readdir(dp))) {
		const bool dir = e->d_name[0] == '-';

		if (e->d_name[0] != '.' && !used(mount, strtoull(e->d_name + dir, NULL, 16), dir))
			(void)unlinkat(d->orphans, e->d_name, dir ? AT_REMOVEDIR : 0);
	}
	if (dp)
		closedir(dp);
	pthread_mutex_unlock(&d->lock);
}

static void empty_dir(int fd)
{
	DIR *dp = fdopendir(dup(fd));
	struct dirent *e;

	if (!dp)
		return;
	while ((e = readdir(dp)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)unlinkat(fd, e->d_name, /* what stays is swept next time */
			               e->d_name[0] == '-' ? AT_REMOVEDIR : 0);
	closedir(dp);
}

/* Between two instances nobody holds their folder. */
static bool is_old(int fd)
{
	struct timespec now;
	struct stat st;

	clock_gettime(CLOCK_REALTIME, &now);
	return fstat(fd, &st) == 0 && (now.tv_sec - st.st_mtime > ORPHANS_OLD_S ||
	                               st.st_mtime - now.tv_sec > ORPHANS_OLD_S);
}

void dir_orphan_touch(struct mount *mount)
{
	struct dir_mount *d = mount->priv;

	pthread_mutex_lock(&d->lock);
	if (d->orphans >= 0)
		(void)futimens(d->orphans, NULL);
	pthread_mutex_unlock(&d->lock);
}

static void sweep_dead(const struct dir_mount *d, int top)
{
	DIR *dp = fdopendir(dup(top));
	struct dirent *e;

	while (dp && (e = readdir(dp))) {
		int fd;

		if (e->d_name[0] == '.' || strcmp(e->d_name, d->folder) == 0)
			continue;
		fd = openat(top, e->d_name, DIR_FLAGS);
		if (fd < 0)
			continue;
		if (is_old(fd) && flock(fd, LOCK_EX | LOCK_NB) == 0) {
			empty_dir(fd);
			(void)unlinkat(top, e->d_name,
			               AT_REMOVEDIR); /* not empty: later */
		}
		close(fd);
	}
	if (dp)
		closedir(dp);
}

void dir_orphans_start(struct mount *mount, bool first)
{
	struct dir_mount *d = mount->priv;
	const int top = openat(d->fd, ORPHANS_DIR, DIR_FLAGS);

	if (top < 0)
		return;
	d->orphans = openat(top, d->folder, DIR_FLAGS);
	if (d->orphans >= 0) {
		(void)flock(d->orphans, LOCK_EX | LOCK_NB); /* ours: cannot be held */
		(void)futimens(d->orphans, NULL);
	}
	if (first)
		sweep_dead(d, top);
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
		(void)unlinkat(top, d->folder, AT_REMOVEDIR); /* orphans left: kept */
		close(top);
	}
	(void)unlinkat(d->fd, ORPHANS_DIR, AT_REMOVEDIR); /* only if nobody uses it */
}
