/* SPDX-License-Identifier: MIT */
/*
 * xs.c - libxenstore, by dlopen: hosted guests need no Xen.
 */
#include "tools/strait/xen/xs.h"

#include "tools/strait/strait.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#define LIBRARY "libxenstore.so.4"
#define PERMS_MAX 128u

static struct {
	__typeof__(xs_open) *open;
	__typeof__(xs_read) *read;
	__typeof__(xs_write) *write;
	__typeof__(xs_mkdir) *mkdir;
	__typeof__(xs_rm) *rm;
	__typeof__(xs_directory) *directory;
	__typeof__(xs_get_permissions) *get_permissions;
	__typeof__(xs_set_permissions) *set_permissions;
	__typeof__(xs_watch) *watch;
	__typeof__(xs_fileno) *fd;
	__typeof__(xs_check_watch) *check_watch;
	__typeof__(xs_transaction_start) *transaction_start;
	__typeof__(xs_transaction_end) *transaction_end;
	struct xs_handle *h;
	xs_transaction_t t, aside;
} g_xs;

static void load(void)
{
	static const struct {
		const char *name;
		void *to;
	} list[] = {
		{ "xs_open", &g_xs.open },
		{ "xs_read", &g_xs.read },
		{ "xs_write", &g_xs.write },
		{ "xs_mkdir", &g_xs.mkdir },
		{ "xs_rm", &g_xs.rm },
		{ "xs_directory", &g_xs.directory },
		{ "xs_get_permissions", &g_xs.get_permissions },
		{ "xs_set_permissions", &g_xs.set_permissions },
		{ "xs_watch", &g_xs.watch },
		{ "xs_fileno", &g_xs.fd },
		{ "xs_check_watch", &g_xs.check_watch },
		{ "xs_transaction_start", &g_xs.transaction_start },
		{ "xs_transaction_end", &g_xs.transaction_end },
	};
	const char *given = getenv("STRAIT_LIBXENSTORE");
	const char *name = given && *given ? given : LIBRARY;
	void *lib = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (!lib)
		die(EXIT_STRAIT, "this machine has no library %s for xenstore; install Debian's "
		                 "package libxenstore4", name);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		void *fn = dlsym(lib, list[i].name);

		if (!fn)
			die(EXIT_STRAIT, "the library %s has no %s", name, list[i].name);
		memcpy(list[i].to, &fn, sizeof(fn));
	}
}

void xst_open(void)
{
	if (!g_xs.open)
		load();
	g_xs.t = XBT_NULL;
	g_xs.h = g_xs.open(0);
	if (!g_xs.h)
		die(EXIT_STRAIT, "cannot reach xenstore: %s; is xenstored running?", strerror(errno));
}

char *xst_read(const char *path)
{
	unsigned len;

	return g_xs.read(g_xs.h, g_xs.t, path, &len);
}

bool xst_exists(const char *path)
{
	char *v = xst_read(path);

	free(v);
	return v != NULL;
}

int xst_put(const char *path, const char *value, unsigned reader)
{
	struct xs_permissions p[2] = { { .id = 0, .perms = XS_PERM_NONE },
		                       { .id = reader, .perms = XS_PERM_READ } };

	if (value ? !g_xs.write(g_xs.h, g_xs.t, path, value, (unsigned)strlen(value))
	          : !g_xs.mkdir(g_xs.h, g_xs.t, path))
		return -errno;
	return g_xs.set_permissions(g_xs.h, g_xs.t, path, p, reader ? 2 : 1) ? 0 : -errno;
}

int xst_set(const char *path, const char *value)
{
	return g_xs.write(g_xs.h, g_xs.t, path, value, (unsigned)strlen(value)) ? 0 : -errno;
}

int xst_put_for_two(const char *path, const char *value, unsigned a, unsigned b)
{
	struct xs_permissions p[3] = { { .id = 0, .perms = XS_PERM_NONE },
		                       { .id = a, .perms = XS_PERM_READ },
		                       { .id = b, .perms = XS_PERM_READ } };
	const int err = xst_set(path, value);

	return err ? err : g_xs.set_permissions(g_xs.h, g_xs.t, path, p, 3) ? 0 : -errno;
}

int xst_rm(const char *path)
{
	return g_xs.rm(g_xs.h, g_xs.t, path) || errno == ENOENT ? 0 : -errno;
}

char **xst_list(const char *path)
{
	unsigned n = 0;
	char **names = g_xs.directory(g_xs.h, g_xs.t, path, &n);

	if (!names)
		return NULL;
	char **list = xalloc((n + 1) * sizeof(*list));

	memcpy(list, names, n * sizeof(*list)); /* the texts lie behind names: kept */
	return list;
}

int xst_begin(void)
{
	g_xs.t = g_xs.transaction_start(g_xs.h);
	return g_xs.t != XBT_NULL ? 0 : -errno;
}

int xst_commit(void)
{
	xs_transaction_t t = g_xs.t;

	g_xs.t = XBT_NULL;
	return g_xs.transaction_end(g_xs.h, t, false) ? 0 : -errno;
}

void xst_abort(void)
{
	xs_transaction_t t = g_xs.t;

	g_xs.t = XBT_NULL;
	(void)g_xs.transaction_end(g_xs.h, t, true); /* it is dropped either way */
}

void xst_set_aside(void)
{
	g_xs.aside = g_xs.t;
	g_xs.t = XBT_NULL;
}

void xst_take_up(void)
{
	g_xs.t = g_xs.aside;
	g_xs.aside = XBT_NULL;
}

static bool among(const struct xst_domids *list, unsigned id)
{
	for (unsigned i = 0; i < list->n; i++)
		if (list->id[i] == id)
			return true;
	return false;
}

int xst_release_readers(const struct xst_domids *ids, const struct xst_domids *gone)
{
	struct xs_permissions p[PERMS_MAX] = { { .id = 0, .perms = XS_PERM_NONE } };
	unsigned n = 0, k = 1;
	struct xs_permissions *old = g_xs.get_permissions(g_xs.h, g_xs.t, XST_RELEASE, &n);

	for (unsigned i = 1; old && i < n && k < PERMS_MAX; i++)
		if (!among(ids, old[i].id) && !among(gone, old[i].id))
			p[k++] = old[i];
	free(old);
	for (unsigned i = 0; i < ids->n; i++) {
		if (k == PERMS_MAX)
			return -E2BIG;
		p[k++] = (struct xs_permissions){ .id = ids->id[i], .perms = XS_PERM_READ };
	}
	return g_xs.set_permissions(g_xs.h, g_xs.t, XST_RELEASE, p, k) ? 0 : -errno;
}

int xst_watch(const char *path)
{
	return g_xs.watch(g_xs.h, path, path) ? 0 : -errno;
}

int xst_wait(int ms, bool *released)
{
	struct pollfd p = { .fd = g_xs.fd(g_xs.h), .events = POLLIN };
	int n = poll(&p, 1, ms);
	char **event;

	if (released)
		*released = false;
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n && (p.revents & (POLLHUP | POLLERR)))
		return -ECONNRESET;
	while ((event = g_xs.check_watch(g_xs.h)) != NULL) {
		if (released && !strcmp(event[XS_WATCH_PATH], XST_RELEASE))
			*released = true;
		free(event);
	}
	return n;
}

const char *xst_why(int err)
{
	switch (-err) {
	case ENOSPC:
		return "xenstore's limit of nodes for a domain is reached "
		       "(xenstored --entry-nb, quota nodes)";
	case E2BIG:
		return "xenstore's limit of the size or the permissions of a node is reached "
		       "(xenstored --entry-size, --perm-nb; 4096 bytes a message)";
	case EBUSY:
		return "xenstore's limit of transactions is reached (xenstored --transaction)";
	case EDQUOT:
		return "a quota of xenstore is reached";
	case EACCES:
		return "xenstore does not permit it (is this dom0?)";
	default:
		return strerror(-err);
	}
}
