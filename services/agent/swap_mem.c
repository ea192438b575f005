/* SPDX-License-Identifier: MIT */
/*
 * swap_mem.c - what a file service's domain holds, when another one takes over.
 *
 * Disks go to the next domain; memory does not.  So what is in a mem is compared with a
 * fresh one: if nothing was added, changed or removed, nothing is lost with it.
 */
#include "services/agent/agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 8
#define TEXT_MAX 16384 /* of a file that we make ourselves */
#define DISK_MS 15000
#define RELEASE_MS 5000u

static bool same_text(int a, int b, const char *name)
{
	static char text[2][TEXT_MAX];
	const int fds[2] = {a, b};
	ssize_t n[2] = {-1, -1};

	for (int i = 0; i < 2; i++) {
		const int fd = openat(fds[i], name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0)
			return false;
		n[i] = read(fd, text[i], TEXT_MAX);
		close(fd);
	}
	return n[0] >= 0 && n[0] < TEXT_MAX && n[0] == n[1] && !memcmp(text[0], text[1], (size_t)n[0]);
}

/* Where fsd keeps what is open and has no name any more, in a folder for each run: those
 * are its own, what is in them is a guest's. */
#define ORPHANS ".strait-orphans"

/* Anything in the folder @name, or in folders below it, @levels down to it? */
static bool holds_some(int fd, const char *name, int levels)
{
	const int in = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = in < 0 ? NULL : fdopendir(in);
	struct dirent *e;
	bool some = !dir; /* no folder */

	while (!some && (e = readdir(dir)) != NULL)
		some = strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
		       (levels == 0 || holds_some(dirfd(dir), e->d_name, levels - 1));
	if (dir)
		closedir(dir);
	else if (in >= 0)
		close(in);
	return some;
}

static bool is_own(int fd, const char *name, int depth)
{
	return depth == 0 && !strcmp(name, ORPHANS) && !holds_some(fd, name, 1);
}

static bool same_tree(int a, int b, int depth);

static bool same_entry(int a, int b, const char *name, int depth)
{
	struct stat x, y;
	int in[2];
	bool same;

	if (fstatat(a, name, &x, AT_SYMLINK_NOFOLLOW) || fstatat(b, name, &y, AT_SYMLINK_NOFOLLOW) ||
	    x.st_mode != y.st_mode || x.st_uid != y.st_uid || x.st_gid != y.st_gid)
		return false;
	if (S_ISREG(x.st_mode))
		return same_text(a, b, name);
	if (!S_ISDIR(x.st_mode))
		return false;
	in[0] = openat(a, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	in[1] = openat(b, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	same = in[0] >= 0 && in[1] >= 0 && same_tree(in[0], in[1], depth + 1);
	for (int i = 0; i < 2; i++)
		if (in[i] >= 0)
			close(in[i]);
	return same;
}

/* How many entries @fd has; -1: cannot tell.  With @other: all are the same there. */
static int entries(int fd, int other, int depth)
{
	const int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	int n = dir ? 0 : -1;

	while (n >= 0 && (e = readdir(dir)) != NULL) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    is_own(fd, e->d_name, depth))
			continue;
		n = other < 0 || same_entry(fd, other, e->d_name, depth) ? n + 1 : -1;
	}
	if (dir)
		closedir(dir);
	else if (copy >= 0)
		close(copy);
	return n;
}

static bool same_tree(int a, int b, int depth)
{
	const int n = depth < DEPTH_MAX ? entries(a, b, depth) : -1;

	return n >= 0 && n == entries(b, -1, depth);
}

bool mem_is_pristine(const struct config *c, const struct config_mount *m, int fd)
{
	char why[CONFIG_WHY];
	const int fresh = mount_open(c, m, why);
	const bool same = fresh >= 0 && same_tree(fd, fresh, 0);

	if (fresh >= 0)
		close(fresh);
	return same;
}

/* ---- whether it is as it was ----
 *
 * Comparing takes hundreds of calls while guests wait.  So what was compared before they did
 * is noted: a change since gave the entry, or the folder that it is in, another time. */

#define NOTE_MAX 128
#define NOTE_PATH 128
#define NOTE_AGE_S 2 /* a time that is not over could be given once more */

struct mem_note {
	unsigned n;
	struct noted {
		int mem; /* its descriptor */
		char path[NOTE_PATH];
		ino_t ino;
		struct timespec changed;
	} of[NOTE_MAX];
};

static bool note_tree(struct mem_note *note, int mem, const char *path, int depth);

static bool note_entry(struct mem_note *note, int mem, const char *path, int depth)
{
	struct noted *to = &note->of[note->n];
	struct timespec now;
	struct stat st;

	clock_gettime(CLOCK_REALTIME, &now);
	if (note->n == NOTE_MAX || strlen(path) >= NOTE_PATH ||
	    fstatat(mem, path, &st, AT_SYMLINK_NOFOLLOW) ||
	    llabs((long long)now.tv_sec - st.st_ctim.tv_sec) < NOTE_AGE_S)
		return false;
	note->n++;
	to->mem = mem;
	memcpy(to->path, path, strlen(path) + 1);
	to->ino = st.st_ino;
	to->changed = st.st_ctim;
	return !S_ISDIR(st.st_mode) || note_tree(note, mem, path, depth + 1);
}

static bool note_tree(struct mem_note *note, int mem, const char *path, int depth)
{
	const int fd = openat(mem, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 || depth > DEPTH_MAX ? NULL : fdopendir(fd);
	struct dirent *e;
	bool all = dir != NULL;

	while (all && (e = readdir(dir)) != NULL) {
		char name[NOTE_PATH];

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		all = snprintf(name, sizeof(name), "%s/%s", path, e->d_name) < (int)sizeof(name) &&
		      note_entry(note, mem, name, depth);
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return all;
}

struct mem_note *mem_note(const struct config *c, const int *fds, unsigned n)
{
	struct mem_note *note = malloc(sizeof(*note));
	bool all = note != NULL;

	if (note)
		note->n = 0;
	for (unsigned i = 0; all && i < n; i++)
		if (c->mounts[i].memory)
			all = note_entry(note, fds[i], ".", 0);
	if (!all) {
		free(note);
		note = NULL;
	}
	return note;
}

bool mem_as_noted(const struct mem_note *note)
{
	for (unsigned i = 0; note && i < note->n; i++) {
		const struct noted *was = &note->of[i];
		struct stat st;

		if (fstatat(was->mem, was->path, &st, AT_SYMLINK_NOFOLLOW) || st.st_ino != was->ino ||
		    st.st_ctim.tv_sec != was->changed.tv_sec ||
		    st.st_ctim.tv_nsec != was->changed.tv_nsec)
			return false;
	}
	return note != NULL;
}

/* ---- disks ---- */

static bool is_disk(const struct config_mount *m)
{
	return !m->memory && strncmp(m->source, "/dev/", 5) == 0;
}

/* Nobody else can open exclusively what is mounted. */
static bool is_free(const char *device, bool read_only)
{
	const uint64_t until = now_ms() + RELEASE_MS;
	const struct timespec nap = {0, 2000000};

	for (;;) {
		const int fd = open(device, (read_only ? O_RDONLY : O_RDWR) | O_EXCL | O_CLOEXEC);

		if (fd >= 0)
			close(fd);
		if (fd >= 0 || errno != EBUSY || now_ms() > until)
			return fd >= 0;
		nanosleep(&nap, NULL);
	}
}

bool mounts_released(const struct config *c)
{
	for (unsigned i = 0; i < c->n_mounts; i++)
		if (is_disk(&c->mounts[i]) &&
		    !is_free(c->mounts[i].source, c->mounts[i].read_only)) {
			say("%s is still in use", c->mounts[i].source);
			return false;
		}
	return true;
}

int mounts_await(const struct config *c, char *why)
{
	for (unsigned i = 0; i < c->n_mounts; i++)
		if (is_disk(&c->mounts[i]) && wait_for_path(c->mounts[i].source, DISK_MS) < 0) {
			snprintf(why, CONFIG_WHY, "there is no disk %s; give the domain one",
			         c->mounts[i].source);
			return -ENOENT;
		}
	return 0;
}
