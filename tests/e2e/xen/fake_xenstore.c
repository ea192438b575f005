/* SPDX-License-Identifier: MIT */
/*
 * fake_xenstore.c - a libxenstore whose store is a folder, for tests without Xen.
 *
 * Node /a/b is the folder $FAKE_XEN/store/a/b with the files ".value" and ".perms"
 * ("n0 r5").  All watches fire at each tick, as watches may; that of @releaseDomain
 * when $FAKE_XEN/release has changed.  FAKE_XS_FAIL="TEXT ERRNO": writes of paths that
 * hold TEXT fail so.  A transaction is what happens at once, and is counted: one that
 * is still open when another begins aborts the program.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <xenstore.h>

#define EXPORT __attribute__((visibility("default")))
#define WATCHES_MAX 256

struct xs_handle {
	int timer;
	unsigned n_watches, next; /* next: to be told at this tick */
	char *watches[WATCHES_MAX];
	long long released;
	xs_transaction_t open, last;
	struct later { /* than the transaction's end: writes of nodes that are there */
		struct later *next;
		char *path, *value;
	} *later;
};

static const char *root(void)
{
	const char *dir = getenv("FAKE_XEN");

	if (!dir)
		abort();
	return dir;
}

static void folder(char *to, const char *path, const char *file)
{
	snprintf(to, PATH_MAX, "%s/store%s%s%s", root(), *path == '/' ? "" : "/", path, file);
}

static long long released(void)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/release", root());
	return stat(path, &st) ? 0 : st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec;
}

EXPORT struct xs_handle *xs_open(unsigned long flags)
{
	struct xs_handle *h = calloc(1, sizeof(*h));
	struct itimerspec t = { .it_interval.tv_nsec = 100000000, .it_value.tv_nsec = 1 };
	char path[PATH_MAX];

	(void)flags;
	folder(path, "/", "");
	if (!h || access(path, F_OK)) {
		free(h);
		errno = ECONNREFUSED;
		return NULL;
	}
	h->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	timerfd_settime(h->timer, 0, &t, NULL);
	return h;
}

static void check(const struct xs_handle *h, xs_transaction_t t)
{
	if (t && t != h->open) /* one that is set aside stays open */
		abort();
}

EXPORT void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *len)
{
	char file[PATH_MAX];
	FILE *f;

	check(h, t);
	folder(file, path, "/.value");
	f = fopen(file, "re");
	folder(file, path, "");
	char *text = f || !access(file, F_OK) ? calloc(1, 8192) : NULL;

	if (!text) {
		errno = ENOENT;
		return NULL;
	}
	*len = f ? (unsigned)fread(text, 1, 8191, f) : 0; /* a folder's value is "" */
	if (f)
		fclose(f);
	return text;
}

static bool refused(const char *path)
{
	const char *v = getenv("FAKE_XS_FAIL"), *blank = v ? strchr(v, ' ') : NULL;
	char text[256];

	if (!blank)
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)(blank - v), v);
	if (!strstr(path, text))
		return false;
	errno = atoi(blank + 1);
	return true;
}

EXPORT bool xs_mkdir(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	char at[PATH_MAX];

	check(h, t);
	if (refused(path))
		return false;
	folder(at, path, "");
	for (char *p = at + 1; (p = strchr(p, '/')) != NULL; *p++ = '/') {
		*p = 0;
		mkdir(at, 0755);
	}
	return !mkdir(at, 0755) || errno == EEXIST;
}

EXPORT bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
                     unsigned len)
{
	char file[PATH_MAX], fresh[PATH_MAX];
	FILE *f;

	folder(file, path, "/.value");
	if (t && !access(file, F_OK)) {
		struct later **end = &h->later;

		check(h, t);
		while (*end)
			end = &(*end)->next;
		*end = calloc(1, sizeof(**end));
		if (!*end)
			abort();
		(*end)->path = strdup(path);
		(*end)->value = strndup(data, len);
		return true;
	}
	if (!xs_mkdir(h, t, path))
		return false;
	folder(fresh, path, "/.new");
	f = fopen(fresh, "we");
	if (!f)
		return false;
	fwrite(data, 1, len, f);
	return !fclose(f) && !rename(fresh, file);
}

EXPORT bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	char at[PATH_MAX], command[PATH_MAX + 16];

	check(h, t);
	folder(at, path, "");
	if (access(at, F_OK)) {
		errno = ENOENT;
		return false;
	}
	snprintf(command, sizeof(command), "rm -rf '%s'", at);
	return !system(command);
}

EXPORT char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *num)
{
	char at[PATH_MAX], **list = calloc(256, sizeof(*list));
	struct dirent *e;

	check(h, t);
	folder(at, path, "");
	DIR *dir = opendir(at);

	*num = 0;
	while (dir && list && *num < 255 && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			list[(*num)++] = strdup(e->d_name);
	if (dir)
		closedir(dir);
	return list;
}

EXPORT struct xs_permissions *xs_get_permissions(struct xs_handle *h, xs_transaction_t t,
                                                 const char *path, unsigned *num)
{
	struct xs_permissions *p = calloc(256, sizeof(*p));
	char file[PATH_MAX], how;
	unsigned id;
	FILE *f;

	check(h, t);
	if (*path == '@') { /* as Xen 4.17 */
		free(p);
		errno = EINVAL;
		return NULL;
	}
	folder(file, path, "/.perms");
	f = fopen(file, "re");
	*num = 0;
	while (f && p && *num < 255 && fscanf(f, " %c%u", &how, &id) == 2)
		p[(*num)++] = (struct xs_permissions){
			.id = id, .perms = how == 'r' ? XS_PERM_READ : XS_PERM_NONE };
	if (f)
		fclose(f);
	if (!*num) /* nobody set any: dom0's */
		*num = 1;
	return p;
}

EXPORT bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
                               struct xs_permissions *perms, unsigned num)
{
	char file[PATH_MAX];
	FILE *f;

	check(h, t);
	if (*path == '@') {
		folder(file, path, "");
		mkdir(file, 0755);
	}
	folder(file, path, "/.perms");
	f = fopen(file, "we");
	if (!f)
		return false;
	for (unsigned i = 0; i < num; i++)
		fprintf(f, "%s%c%u", i ? " " : "", perms[i].perms & XS_PERM_READ ? 'r' : 'n',
		        perms[i].id);
	return !fclose(f);
}

EXPORT bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	(void)token;
	if (h->n_watches == WATCHES_MAX) {
		errno = E2BIG;
		return false;
	}
	h->watches[h->n_watches++] = strdup(path);
	return true;
}

EXPORT int xs_fileno(struct xs_handle *h)
{
	return h->timer;
}

EXPORT char **xs_check_watch(struct xs_handle *h)
{
	unsigned long long ticks;

	if (read(h->timer, &ticks, sizeof(ticks)) == sizeof(ticks))
		h->next = 0;
	while (h->next < h->n_watches) {
		char *path = h->watches[h->next++];
		char **event;

		if (*path == '@' && released() == h->released)
			continue;
		if (*path == '@')
			h->released = released();
		event = calloc(2, sizeof(*event));
		if (!event)
			abort();
		event[XS_WATCH_PATH] = path;
		event[XS_WATCH_TOKEN] = path;
		return event;
	}
	errno = EAGAIN;
	return NULL;
}

EXPORT xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
	if (h->open)
		abort();
	return h->open = ++h->last;
}

/* The first of each connection has to be done again, as when another came between. */
EXPORT bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool give_up)
{
	if (!t || t != h->open)
		abort();
	h->open = 0;
	while (h->later) {
		struct later *l = h->later;

		h->later = l->next;
		if (!give_up && t > 1 && !xs_write(h, XBT_NULL, l->path, l->value, (unsigned)strlen(l->value)))
			abort();
		free(l->path);
		free(l->value);
		free(l);
	}
	errno = EAGAIN;
	return give_up || t > 1;
}
