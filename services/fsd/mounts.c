/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mounts_init(struct mounts *t)
{
	*t = (struct mounts){.n = 0};
}

struct mtree *mtree_child(const struct mtree *at, const char *name, size_t len)
{
	for (struct mtree *c = at->first; c; c = c->next)
		if (strncmp(c->name, name, len) == 0 && c->name[len] == 0)
			return c;
	return NULL;
}

struct mtree *mtree_find(const struct mount *m, const char *path)
{
	struct mtree *at = m->at;

	while (at && *path) {
		const size_t len = strcspn(path, "/");

		at = mtree_child(at, path, len);
		if (at && at->mount)
			return NULL; /* hidden below another mount */
		path += len;
		while (*path == '/')
			path++;
	}
	return at;
}

struct mount *mtree_mount(const struct mtree *at, char *buf, size_t size)
{
	size_t pos = size - 1;

	buf[pos] = 0;
	for (; !at->mount; at = at->parent) {
		const size_t len = strlen(at->name);

		if (buf[pos])
			buf[--pos] = '/';
		pos -= len;
		memcpy(buf + pos, at->name, len);
	}
	memmove(buf, buf + pos, size - pos);
	return at->mount;
}

static int say(char **why, int err, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static int say(char **why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(why, fmt, ap) < 0)
		*why = NULL;
	va_end(ap);
	return err;
}

static bool path_normal(const char *p)
{
	if (p[0] != '/')
		return false;
	if (p[1] == 0)
		return true;
	while (*p == '/') {
		const size_t len = strcspn(++p, "/");

		if (len == 0 || len > 255 || (len == 1 && p[0] == '.') ||
		    (len == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += len;
	}
	return true;
}

static struct mtree *tree_new(struct mtree *parent, const char *name, size_t len)
{
	struct mtree *at = calloc(1, sizeof *at);

	if (!at)
		return NULL;
	at->name = strndup(name, len);
	if (!at->name) {
		free(at);
		return NULL;
	}
	at->parent = parent;
	if (parent) {
		at->next = parent->first;
		parent->first = at;
	}
	return at;
}

/* The parent of a mount point must be a real directory of the mount below (made
 * when that is in memory); the mount point itself need not exist. */
static int check_parent(const struct mtree *at, const char *path, char **why)
{
	char in[4096];
	struct mount *m = mtree_mount(at, in, sizeof in);
	struct statx stx;
	struct node n;
	int r;

	if (in[0] == 0)
		return 0;
	r = m->ops->lookup(&m->root, in, 0, &n);
	if (r == -ENOENT && m->memory && !m->read_only) {
		r = m->ops->mkdir(&m->root, in, 0755);
		if (r == 0)
			r = m->ops->lookup(&m->root, in, 0, &n);
	}
	if (r == 0) {
		r = m->ops->attr(&n, 0, &stx);
		if (r == 0 && !S_ISDIR(stx.stx_mode))
			r = -ENOTDIR;
		m->ops->put(&n);
	}
	if (r < 0)
		return say(why, r, "cannot mount at %s: no directory %s in %s (%s)",
		           path, in, m->source, strerror(-r));
	return 0;
}

static struct mtree *tree_add(struct mounts *t, const char *path, char **why)
{
	struct mtree *at = t->root, *c;

	if (!at) {
		t->root = tree_new(NULL, "", 0);
		return t->root;
	}
	for (path++; *path;) {
		const size_t len = strcspn(path, "/");

		c = mtree_child(at, path, len);
		if (!c) {
			c = tree_new(at, path, len);
			if (!c)
				return NULL;
		}
		at = c;
		path += len;
		if (*path == '/') {
			path++;
			if (!at->mount && check_parent(at, path, why) < 0)
				return NULL;
		}
	}
	return at;
}

static uint64_t fnv(uint64_t h, const char *s)
{
	do
		h = (h ^ (uint8_t)*s) * 0x100000001b3ull;
	while (*s++);
	return h;
}

static struct mount *mount_new(const struct mount_spec *spec, unsigned number)
{
	struct mount *m = calloc(1, sizeof *m);
	uint64_t h = fnv(fnv(fnv(0xcbf29ce484222325ull, spec->kind), spec->source),
	                 spec->path);

	if (!m)
		return NULL;
	m->path = strdup(spec->path);
	m->source = strdup(spec->source[0] ? spec->source : spec->kind);
	m->number = number;
	m->read_only = spec->read_only;
	m->exclusive = spec->exclusive;
	m->allow_setid = spec->allow_setid;
	m->keep_root = spec->keep_root;
	m->dev = ((h ^ h >> 32) & 0xfffff) | 0x800000; /* a minor of major 0x8000 */
	if (m->path && m->source)
		return m;
	free(m->path);
	free(m->source);
	free(m);
	return NULL;
}

static int refuse(const struct mounts *t, const struct mount_spec *s, char **why)
{
	if (t->n == MOUNTS_MAX)
		return say(why, -ENOSPC, "more than %d mounts", MOUNTS_MAX);
	if (!path_normal(s->path))
		return say(why, -EINVAL,
		           "mount point %s is not an absolute normal path", s->path);
	if (strcmp(s->kind, "dir") != 0 && strcmp(s->kind, "mem") != 0)
		return say(why, -EINVAL, "mount %s: unknown back end %s", s->path,
		           s->kind);
	if (!t->root && strcmp(s->path, "/") != 0)
		return say(why, -EINVAL, "mount %s comes before a mount of /", s->path);
	if (s->fd < 0)
		return say(why, -EBADF, "mount %s: its directory was not handed over",
		           s->path);
	return 0;
}

int mounts_add(struct mounts *t, const struct mount_spec *spec,
               const struct instance *inst, char **why)
{
	struct mtree *at;
	struct mount *m;
	int r = refuse(t, spec, why);

	if (r < 0) {
		if (spec->fd >= 0)
			close(spec->fd);
		return r;
	}
	*why = NULL;
	at = tree_add(t, spec->path, why);
	m = at ? mount_new(spec, t->n) : NULL;
	if (!m || at->mount) {
		close(spec->fd);
		if (m) {
			free(m->path);
			free(m->source);
			free(m);
			return say(why, -EBUSY, "two mounts at %s", spec->path);
		}
		return *why ? -EINVAL : say(why, -ENOMEM, "out of memory");
	}
	r = be_dir_attach(m, spec->fd, inst);
	if (r < 0) {
		say(why, r, "cannot use %s for %s: %s", m->source, m->path,
		    strerror(-r));
		free(m->path);
		free(m->source);
		free(m);
		return r;
	}
	m->at = at;
	at->mount = m;
	t->list[t->n++] = m;
	if (!t->mount)
		t->mount = m;
	return 0;
}

int mounts_own(struct mounts *t, const char *name, size_t len)
{
	struct mtree *at;

	if (len == 0 || len > 255 || memchr(name, '/', len) || memchr(name, 0, len) ||
	    name[0] == '.')
		return -EINVAL;
	at = mtree_child(t->root, name, len);
	if (!at)
		at = tree_new(t->root, name, len);
	if (!at)
		return -ENOMEM;
	at->own = true;
	return 0;
}

static void tree_free(struct mtree *at)
{
	while (at->first) {
		struct mtree *c = at->first;

		at->first = c->next;
		tree_free(c);
	}
	free(at->name);
	free(at);
}

void mounts_leave(struct mounts *t)
{
	for (unsigned i = 0; i < t->n; i++)
		be_dir_leave(t->list[i]);
}

void mounts_fini(struct mounts *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		be_dir_detach(t->list[i]);
		free(t->list[i]->path);
		free(t->list[i]->source);
		free(t->list[i]);
	}
	if (t->root)
		tree_free(t->root);
	mounts_init(t);
}
