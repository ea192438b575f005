/* SPDX-License-Identifier: MIT */
/*
 * What names a file for good, so that a later instance finds it, or at least knows
 * that what has its name now is another:
 *
 *     version (1)  kind (1)  export (4)  inode (8)  file system (8)   then
 *     HANDLE: the kernel's handle, type (4) and bytes: opens the file wherever it
 *             was moved to
 *     BIRTH:  birth time, seconds (8) and nanoseconds (4): a number that is used
 *             again has another
 *     HELD:   the number of a hold (8): a descriptor of it was never let go of since
 *
 * Where there is neither of the first two, an inode's number alone would in time name
 * another file: an open one has the third (kept.h), what is not open has no identity.
 * Files of the first two that were open are found by their kept descriptors, too, where
 * the service may not open handles.  The file system is 0 for the export's own, whose device
 * number may change with a boot, else the device: below an export others may be mounted,
 * with the same handles in them.
 */
#define _GNU_SOURCE
#include "services/fsd/be_dir.h"

#include "rpc/limits.h"
#include "services/fsd/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#define ID_VERSION 2
#define ID_HANDLE 1
#define ID_BIRTH 2
#define ID_HELD 3
#define ID_HEAD 22

union any_handle {
	struct file_handle h;
	char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

/* A FUSE server may use its node numbers again: handles are made of them. */
static bool lasting_handles(int fd)
{
	struct statfs sf;

	return fstatfs(fd, &sf) == 0 && sf.f_type != FUSE_SUPER_MAGIC;
}

void dir_probe_ids(struct dir_mount *d)
{
	union any_handle u;
	struct statx stx;
	int mount_id;

	u.h.handle_bytes = MAX_HANDLE_SZ;
	d->kernel_ids =
	        name_to_handle_at(d->fd, "", &u.h, &mount_id, AT_EMPTY_PATH) == 0 &&
	        lasting_handles(d->fd);
	if (statx(d->fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) == 0)
		d->mount_id = stx.stx_mnt_id;
}

static void put_le(uint8_t *to, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static int put_handle(const struct node *node, uint8_t *to)
{
	union any_handle u;
	int mount_id;

	u.h.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(NODE_FD(node), "", &u.h, &mount_id, AT_EMPTY_PATH) < 0 ||
	    u.h.handle_bytes > FILE_ID_MAX - ID_HEAD - 4)
		return 0;
	put_le(to, (uint32_t)u.h.handle_type, 4);
	memcpy(to + 4, u.h.f_handle, u.h.handle_bytes);
	return 4 + (int)u.h.handle_bytes;
}

static uint64_t dev_of(const struct statx *stx)
{
	return (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor;
}

static void put_head(const struct node *node, const struct statx *stx, uint8_t kind,
                     uint8_t *id)
{
	const uint64_t dev = dev_of(stx);

	id[0] = ID_VERSION;
	id[1] = kind;
	put_le(id + 2, node->mount->number, 4);
	put_le(id + 6, stx->stx_ino, 8);
	put_le(id + 14, dev == node->mount->root_dev ? 0 : dev, 8);
}

int dir_file_id(const struct node *node, const struct statx *stx, uint8_t *id)
{
	const bool own = dev_of(stx) == node->mount->root_dev;
	struct statx now;
	int n;

	put_head(node, stx, ID_HANDLE, id);
	if (own ? dir_mount(node)->kernel_ids : lasting_handles(NODE_FD(node))) {
		n = put_handle(node, id + ID_HEAD);
		if (n > 0)
			return ID_HEAD + n;
	}
	/* @stx may be from before the open: opened for writing, a file of overlayfs
	 * becomes another one. */
	if (dir_attr(node, 0, &now) < 0 || !(now.stx_mask & STATX_BTIME))
		return 0;
	id[1] = ID_BIRTH;
	put_le(id + 6, now.stx_ino, 8);
	put_le(id + ID_HEAD, (uint64_t)now.stx_btime.tv_sec, 8);
	put_le(id + ID_HEAD + 8, now.stx_btime.tv_nsec, 4);
	return ID_HEAD + 12;
}

static uint64_t get_le(const uint8_t *from, int n)
{
	uint64_t v = 0;

	for (int i = 0; i < n; i++)
		v |= (uint64_t)from[i] << (8 * i);
	return v;
}

/* Of the export's own file system: the root's descriptor says which. */
static int open_handle(struct mount *mount, const uint8_t *id, size_t len,
                       struct node *out)
{
	union any_handle u;
	int fd;

	if (id[1] != ID_HANDLE || get_le(id + 14, 8) != 0 || len < ID_HEAD + 4)
		return -ESTALE;
	u.h.handle_type = (int)get_le(id + ID_HEAD, 4);
	u.h.handle_bytes = (unsigned)(len - ID_HEAD - 4);
	memcpy(u.h.f_handle, id + ID_HEAD + 4, u.h.handle_bytes);
	fd = open_by_handle_at(((struct dir_mount *)mount->priv)->fd, &u.h,
	                       O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) /* EPERM: not for us to know */
		return errno == ESTALE ? -ENOENT : -ESTALE;
	*out = (struct node){mount, fd};
	return 0;
}

int dir_hold_id(const struct node *node, const struct statx *stx, const uint8_t *was,
                int *hold, uint8_t *id)
{
	if (was && was[1] != ID_HELD)
		return 0;
	if (!*hold)
		*hold = kept_hold(NODE_FD(node), was ? get_le(was + ID_HEAD, 8) : 0);
	if (!*hold)
		return 0;
	put_head(node, stx, ID_HELD, id);
	put_le(id + ID_HEAD, kept_hold_is(*hold), 8);
	return ID_HEAD + 8;
}

static bool has_id(const struct node *node, const uint8_t *id, size_t len)
{
	uint8_t is[FILE_ID_MAX];
	struct statx stx;

	return dir_attr(node, 0, &stx) == 0 && dir_file_id(node, &stx, is) == (int)len &&
	       memcmp(is, id, len) == 0;
}

static int find_held(struct mount *mount, const uint8_t *id, size_t len, struct node *out)
{
	const int fd = len == ID_HEAD + 8 ? kept_find_hold(get_le(id + ID_HEAD, 8)) : -1;

	if (fd < 0)
		return -ESTALE;
	*out = (struct node){mount, fd};
	return 0;
}

static int find_kept(struct mount *mount, const uint8_t *id, size_t len, struct node *out)
{
	const uint64_t dev = get_le(id + 14, 8);
	const int fd = kept_find(dev ? dev : mount->root_dev, get_le(id + 6, 8),
	                         ((struct dir_mount *)mount->priv)->mount_id);

	if (fd < 0)
		return fd;
	*out = (struct node){mount, fd};
	if (has_id(out, id, len))
		return 0;
	dir_put(out);
	return -ENOENT;
}

/* A mem that went with its domain is made anew: where its root was, its root is.  The first
 * inode's number is nobody else's there. */
static bool is_root_of_mem(const struct mount *mount, const uint8_t *id)
{
	return mount->memory && get_le(id + 6, 8) == mount->root_ino && get_le(id + 14, 8) == 0;
}

static int open_root(struct mount *mount, struct node *out)
{
	const int fd = fcntl(((struct dir_mount *)mount->priv)->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	*out = (struct node){mount, fd};
	return 0;
}

int dir_find_id(struct mount *mount, const uint8_t *id, size_t len, struct node *out)
{
	int r;

	if (len <= ID_HEAD || len > FILE_ID_MAX || id[0] != ID_VERSION ||
	    get_le(id + 2, 4) != mount->number)
		return -ESTALE;
	if (id[1] == ID_HELD)
		return find_held(mount, id, len, out);
	/* The hidden name first: it is on a path, as landlock wants it.  Another file may
	 * have the number since. */
	if (dir_orphan_find(mount, get_le(id + 6, 8), out) == 0) {
		if (has_id(out, id, len))
			return 0;
		dir_put(out);
	}
	if (find_kept(mount, id, len, out) == 0)
		return 0;
	r = open_handle(mount, id, len, out);
	if (r == 0 && !has_id(out, id, len)) {
		dir_put(out);
		r = -ESTALE;
	}
	return r == -ENOENT && is_root_of_mem(mount, id) ? open_root(mount, out) : r;
}

/* What is the same whichever mount it is reached by. */
static uint64_t key_of(const uint8_t *id, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 6; i < len; i++)
		h = (h ^ id[i]) * 0x100000001b3ull;
	return h ? h : 1;
}

uint64_t dir_gone_key(const struct node *node, const struct statx *stx)
{
	uint8_t id[FILE_ID_MAX];
	const int len = dir_file_id(node, stx, id);

	return len > 0 ? key_of(id, (size_t)len) : 0;
}

int dir_gone_dir(struct mount *mount, const uint8_t *id, size_t len, struct node *out,
                 uint64_t *ino, uint64_t *key)
{
	*ino = get_le(id + 6, 8);
	*key = key_of(id, len);
	return mount->read_only ? -EROFS : dir_orphan_dir(mount, *key, out);
}
