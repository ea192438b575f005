/* SPDX-License-Identifier: MIT */
/*
 * Readdir.  The kernel's own records and positions, without the orphans' folder;
 * mount points that exist in the mount table only follow at the end, at positions
 * that no file system of Linux uses.
 */
#define _GNU_SOURCE
#include "services/fsd/serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define VIRTUAL_BASE 0x7fffffff73740000ull

struct record { /* struct linux_dirent64 */
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* Take the orphans' folder out of @len bytes of records. */
static size_t hide_orphans(char *buf, size_t len)
{
	size_t pos = 0;

	while (pos < len) {
		struct record *r = (struct record *)(void *)(buf + pos);
		const size_t n = r->len;

		if (strcmp(r->name, ORPHANS_DIR) == 0) {
			memmove(buf + pos, buf + pos + n, len - pos - n);
			return len - n;
		}
		pos += n;
	}
	return len;
}

static bool in_backend(const struct handle *h, const char *name)
{
	struct node n;
	const struct node *dir = &h->place.node;

	if (dir->mount->ops->lookup(dir, name, 0, &n) < 0)
		return false;
	node_put(&n);
	return true;
}

/* Mount points below @h that the back end does not show, from the @from-th on. */
static size_t add_mounts(const struct handle *h, uint64_t from, char *buf, size_t size)
{
	const struct mtree *c = h->place.at ? h->place.at->first : NULL;
	size_t len = 0;
	uint64_t i = 0;

	for (; c; c = c->next, i++) {
		const size_t name = strlen(c->name) + 1;
		const size_t n = (offsetof(struct record, name) + name + 7) & ~7ul;
		struct record *r = (struct record *)(void *)(buf + len);

		if (i < from || !c->mount || in_backend(h, c->name))
			continue;
		if (n > size - len)
			break;
		r->ino = c->mount->root_ino;
		r->off = (int64_t)(VIRTUAL_BASE + i + 1);
		r->len = (uint16_t)n;
		r->type = DT_DIR;
		memset(r->name, 0, n - offsetof(struct record, name));
		memcpy(r->name, c->name, name);
		len += n;
	}
	return len;
}

static ssize_t list_locked(struct handle *h, const File__ReaddirReq *in, char *buf)
{
	const struct node *n = &h->place.node;
	uint64_t cookie = in->cookie;
	bool seek = cookie == 0 || cookie != h->dir_pos;
	ssize_t r;

	if (cookie >= VIRTUAL_BASE && cookie < VIRTUAL_BASE + MOUNTS_MAX + 1)
		return (ssize_t)add_mounts(h, cookie - VIRTUAL_BASE, buf, in->count);
	for (;;) {
		r = n->mount->ops->readdir(n, cookie, seek, buf, in->count);
		if (r <= 0)
			break;
		size_t pos = 0, last = 0;

		while (pos < (size_t)r) {
			last = pos;
			pos += ((struct record *)(void *)(buf + pos))->len;
		}
		h->dir_pos = cookie =
		        (uint64_t)((struct record *)(void *)(buf + last))->off;
		seek = false;
		if (h->is_root)
			r = (ssize_t)hide_orphans(buf, (size_t)r);
		if (r > 0)
			return r; /* else the folder was alone in it: the next ones */
	}
	h->dir_pos = 0;
	if (r < 0)
		return r;
	r = (ssize_t)add_mounts(h, 0, buf, in->count);
	return r;
}

int serve_readdir(struct task *t)
{
	const File__ReaddirReq *in = (const File__ReaddirReq *)t->req->msg;
	struct handle *h = t->h[0];
	static _Thread_local _Alignas(8) char buf[RPC_PAYLOAD_MAX];
	ssize_t r;

	if (in->count > RPC_PAYLOAD_MAX || in->cookie > INT64_MAX)
		return -EINVAL;
	if (h->flags & O_PATH)
		return -EBADF;
	if (!S_ISDIR(h->type))
		return -ENOTDIR;
	pthread_mutex_lock(&h->dir);
	r = list_locked(h, in, buf);
	pthread_mutex_unlock(&h->dir);
	return r < 0 ? (int)r : serve_reply(t, NULL, buf, (size_t)r);
}
