/* SPDX-License-Identifier: MIT */
/*
 * inotify.c - watching files: refused, so that programs look for themselves.
 *
 * A descriptor can be had and never becomes readable; inotify_add_watch() says
 * ENOSPC, as Linux does when the user's watches are used up, since fsd sends no
 * events of changes.  tail -f, for one, then looks at the file every second.
 */
#include "libos/file.h"
#include "libos/path.h"
#include "libos/pool.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define INOTIFIES_MAX 128u /* as /proc/sys/fs/inotify/max_user_instances */

static struct pool g_inotifies = POOL_INIT(struct ofd, INOTIFIES_MAX);

static long never(void *arg)
{
	(void)arg;
	return 0;
}

static long inotify_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	(void)pos;
	if (uio_left(u) < sizeof(struct inotify_event))
		return -EINVAL;
	if (ofd_nonblock(o))
		return -EAGAIN;
	return wait_until(&o->wait, ~0u, never, NULL, PLAT_NO_DEADLINE, PARK_INTR);
}

static uint32_t inotify_poll(struct ofd *o)
{
	(void)o;
	return 0;
}

/* Linux: a file without positions, where any is right. */
static long inotify_seek(struct ofd *o, int64_t off, int whence)
{
	(void)o;
	(void)off;
	(void)whence;
	return 0;
}

static long inotify_ioctl(struct ofd *o, unsigned long request, void *user_arg)
{
	int none = 0;

	(void)o;
	if (request != FIONREAD)
		return -ENOTTY;
	return user_copy_out(user_arg, &none, sizeof(none));
}

static void inotify_release(struct ofd *o)
{
	pool_put(&g_inotifies, o);
}

static const struct ofd_ops g_inotify_ops = {
        .kind = OFD_INOTIFY,
        .read = inotify_read,
        .poll = inotify_poll,
        .seek = inotify_seek,
        .ioctl = inotify_ioctl,
        .release = inotify_release,
        .pollable = true,
};

SYSCALL(inotify_init1, int flags)
{
	struct ofd *o;
	int fd;

	if (flags & ~(IN_CLOEXEC | IN_NONBLOCK))
		return -EINVAL;
	o = pool_get(&g_inotifies);
	if (!o)
		return -EMFILE;
	ofd_init(o, &g_inotify_ops, (uint32_t)(O_RDONLY | (flags & IN_NONBLOCK)));
	fd = fd_install(o, 0, (flags & IN_CLOEXEC) != 0);
	if (fd < 0)
		ofd_put(o);
	return fd;
}

SYSCALL(inotify_init, void)
{
	return strait_sys_inotify_init1(0);
}

/* What the kernel would say of the path, before it says that there is no room. */
static long check_path(const char *user_path, uint32_t mask)
{
	struct kstat st;
	struct fpath p;
	uint32_t at = mask & IN_DONT_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
	long r = path_get(&p, AT_FDCWD, user_path, at ? PATH_NOFOLLOW : 0);

	if (r < 0)
		return r;
	do {
		if (p.where == PATH_FSD)
			r = file_stat_path(&p, at, &st);
		else if (p.where == PATH_LOCAL)
			r = local_stat(p.text, &st);
		else
			memset(&st, 0, sizeof(st));
	} while (path_again(&p, at ? PATH_NOFOLLOW : 0, &r));
	path_put(&p);
	if (r == 0 && (mask & IN_ONLYDIR) && !S_ISDIR(st.st_mode))
		r = -ENOTDIR;
	return r;
}

static long check_inotify(int fd)
{
	struct ofd *o = ofd_get_io(fd);
	long r;

	if (!o)
		return -EBADF;
	r = o->ops->kind == OFD_INOTIFY ? 0 : -EINVAL;
	ofd_put(o);
	return r;
}

SYSCALL(inotify_add_watch, int fd, const char *user_path, uint32_t mask)
{
	long r;

	if (!(mask & (IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED)))
		return -EINVAL;
	r = check_inotify(fd);
	if (r == 0)
		r = check_path(user_path, mask);
	if (r < 0)
		return r;
	unsupported("inotify_add_watch");
	return -ENOSPC;
}

SYSCALL(inotify_rm_watch, int fd, int wd)
{
	long r = check_inotify(fd);

	(void)wd; /* none was given out */
	return r < 0 ? r : -EINVAL;
}
