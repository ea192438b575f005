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
#define RECORD_MAX 280u /* of a name of 255 bytes */

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

/* The kernel's records from h->dir_pos on, as many as there are or fit.  0: the end. */
static ssize_t list_backend(struct handle *h, bool seek, char *buf, size_t size)
{
	const struct node *n = &h->place.node;
	const ssize_t r = n->mount->ops->readdir(n, h->dir_pos, seek, buf, size);
	size_t pos = 0, last = 0;

	if (r <= 0)
		return r;
	while (pos < (size_t)r) {
		last = pos;
		pos += ((struct record *)(void *)(buf + pos))->len;
	}
	h->dir_pos = (uint64_t)((struct record *)(void *)(buf + last))->off;
	return r;
}

/* What a reply holds; a longest name fits into what a first one leaves, or the
 * next call has it. */
static ssize_t list_locked(struct handle *h, const File__ReaddirReq *in, char *buf,
                           bool *end)
{
	bool seek = in->cookie == 0 || in->cookie != h->dir_pos;
	size_t len = 0;
	ssize_t r;

	if (in->cookie >= VIRTUAL_BASE && in->cookie < VIRTUAL_BASE + MOUNTS_MAX + 1)
		return (ssize_t)add_mounts(h, in->cookie - VIRTUAL_BASE, buf,
		                           in->count);
	h->dir_pos = in->cookie;
	for (;;) {
		r = list_backend(h, seek, buf + len, in->count - len);
		if (r <= 0)
			break;
		seek = false;
		if (h->is_root)
			r = (ssize_t)hide_orphans(buf + len, (size_t)r);
		len += (size_t)r;
		if (len > 0 && in->count - len < RECORD_MAX)
			return (ssize_t)len;
	}
	if (r < 0) /* no room for the next: what is there; an error: now or next time */
		return len > 0 ? (ssize_t)len : r;
	if (h->place.at && h->place.at->first) {
		/* Their positions are not the kernel's: in a reply of their own. */
		if (len > 0)
			return (ssize_t)len;
		h->dir_pos = 0;
		return (ssize_t)add_mounts(h, 0, buf, in->count);
	}
	h->dir_pos = 0;
	*end = true;
	return (ssize_t)len;
}

int serve_readdir(struct task *t)
{
	const File__ReaddirReq *in = (const File__ReaddirReq *)t->req->msg;
	File__ReaddirRep rep = FILE__READDIR_REP__INIT;
	struct handle *h = t->h[0];
	_Alignas(8) char buf[RPC_PAYLOAD_MAX];
	bool end = false;
	ssize_t r;

	if (in->count > RPC_PAYLOAD_MAX || in->cookie > INT64_MAX)
		return -EINVAL;
	if (h->flags & O_PATH)
		return -EBADF;
	if (!S_ISDIR(h->type))
		return -ENOTDIR;
	pthread_mutex_lock(&h->dir);
	r = list_locked(h, in, buf, &end);
	pthread_mutex_unlock(&h->dir);
	rep.end = end;
	return r < 0 ? (int)r : serve_reply(t, &rep.base, buf, (size_t)r);
}
