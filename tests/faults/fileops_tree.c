/* SPDX-License-Identifier: MIT */
/*
 * What a tree holds, in an order of its own: one line a name.  Times, inode numbers
 * and sizes of folders are left out; names of one file say which came first.
 */
#include "tests/faults/fileops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LINKS_MAX 4096
#define ORPHANS   ".strait-orphans" /* fsd's own, in an export's root */

struct seen {
	ino_t ino;
	char *path;
};

static struct seen g_seen[LINKS_MAX];
static int g_n_seen;

/* The first name of a file with several; NULL if this is it. */
static const char *first_name(const struct stat *st, const char *path)
{
	for (int i = 0; i < g_n_seen; i++)
		if (g_seen[i].ino == st->st_ino)
			return g_seen[i].path;
	if (g_n_seen < LINKS_MAX)
		g_seen[g_n_seen++] = (struct seen){st->st_ino, strdup(path)};
	return NULL;
}

static uint64_t content(const char *path, int *err)
{
	static char buf[65536];
	uint64_t h = HASH_START;
	int fd = open(path, O_RDONLY);
	ssize_t n;

	*err = fd < 0 ? errno : 0;
	if (fd < 0)
		return 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		h = hash_bytes(h, buf, (size_t)n);
	if (n < 0)
		*err = errno;
	close(fd);
	return h;
}

static void attributes(FILE *out, const char *path)
{
	static const char *const names[] = {"user.a", "user.b", "user.c"};
	char value[4096];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const ssize_t n = lgetxattr(path, names[i], value, sizeof(value));

		if (n >= 0)
			fprintf(out, " %s=%zd:%016llx", names[i], n,
			        (unsigned long long)hash_bytes(HASH_START, value, (size_t)n));
	}
}

static void one_name(FILE *out, const char *path, const struct stat *st)
{
	char target[4096];
	const char *first = NULL;
	ssize_t n;
	int err;

	fprintf(out, "tree %s %06o %u:%u", path, st->st_mode, st->st_uid, st->st_gid);
	if (S_ISDIR(st->st_mode)) {
		fprintf(out, " links %lu", (unsigned long)st->st_nlink);
	} else if (S_ISLNK(st->st_mode)) {
		n = readlink(path, target, sizeof(target));
		fprintf(out, " links %lu -> %.*s", (unsigned long)st->st_nlink, (int)(n > 0 ? n : 0),
		        target);
	} else if (S_ISREG(st->st_mode)) {
		const uint64_t h = content(path, &err);

		if (st->st_nlink > 1)
			first = first_name(st, path);
		fprintf(out, " links %lu size %lld ", (unsigned long)st->st_nlink,
		        (long long)st->st_size);
		if (err)
			fprintf(out, "unread: %s", strerror(err));
		else
			fprintf(out, "%016llx", (unsigned long long)h);
		if (first)
			fprintf(out, " is %s", first);
	}
	attributes(out, path);
	putc('\n', out);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int shown(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
	       strcmp(d->d_name, ORPHANS) != 0;
}

static int dump_below(FILE *out, const char *root, const char *path)
{
	struct dirent **list;
	const int n = scandir(path, &list, shown, by_name);
	int rc = 0;

	if (n < 0) {
		fprintf(out, "tree %s unlisted: %s\n", path, strerror(errno));
		return errno == EACCES ? 0 : -1;
	}
	for (int i = 0; i < n; i++) {
		char sub[8192];
		struct stat st;

		snprintf(sub, sizeof(sub), "%s%s%s", path == root ? "" : path,
		         path == root ? "" : "/", list[i]->d_name);
		if (lstat(sub, &st) < 0) {
			fprintf(out, "tree %s unseen: %s\n", sub, strerror(errno));
		} else {
			one_name(out, sub, &st);
			if (S_ISDIR(st.st_mode) && dump_below(out, root, sub) < 0)
				rc = -1;
		}
		free(list[i]);
	}
	free(list);
	return rc;
}

int tree_dump(FILE *out, const char *path)
{
	static const char root[] = ".";

	if (chdir(path) < 0)
		return -1;
	return dump_below(out, root, root);
}
