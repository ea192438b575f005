/* SPDX-License-Identifier: MIT */
/*
 * state.c - what was deployed, in /run/strait.
 *
 * The members file is only ever appended to, a line at a time, so that whatever ends
 * `strait deploy` leaves what `strait down` needs.
 */
#include "tools/strait/xen/deploy.h"

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

#define NONE "-"
#define FIELDS 12 /* of a member's line */

char *state_path(const char *name, const char *file, const char *suffix)
{
	return file ? xprintf(DEPLOY_ROOT "/%s/%s%s", name, file, suffix)
	            : xprintf(DEPLOY_ROOT "/%s", name);
}

int state_create(const char *name)
{
	if (mkdir(DEPLOY_ROOT, 0755) && errno != EEXIST)
		return -errno;
	return mkdir(state_path(name, NULL, ""), 0755) ? -errno : 0;
}

void state_remove(const char *name)
{
	const char *path = state_path(name, NULL, "");
	DIR *dir = opendir(path);
	struct dirent *e;

	while (dir && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			(void)unlinkat(dirfd(dir), e->d_name, 0); /* rmdir says it */
	if (dir)
		closedir(dir);
	if (rmdir(path) && errno != ENOENT)
		say("note: %s cannot be removed: %s", path, strerror(errno));
	(void)rmdir(DEPLOY_ROOT); /* unless there are others */
}

static int append(const char *name, const char *line)
{
	int fd = open(state_path(name, "members", ""),
	              O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, line, strlen(line));
	int err = n < 0 ? -errno : n != (ssize_t)strlen(line) ? -EIO : 0;

	close(fd);
	return err;
}

static const char *const role_name[] = { "service", "dom0", "guest", "spare" };

static char *line_of(const struct member *m)
{
	const char *f = m->uses[DESC_FILE], *n = m->uses[DESC_NET];

	return xprintf("%s %s %s %u %s %s %d %llu %s %u %s %u\n", role_name[m->role], m->name,
	               m->domain, m->domid, *m->uuid ? m->uuid : NONE, desc_kind_name[m->kind],
	               (int)m->pid, m->born, *f ? f : NONE, m->uses_domid[DESC_FILE],
	               *n ? n : NONE, m->uses_domid[DESC_NET]);
}

int state_add(const char *name, const struct member *m)
{
	return append(name, line_of(m));
}

int state_add_all(const char *name, const struct member *const *m, unsigned n)
{
	char *text = xprintf("%s", "");

	for (unsigned i = 0; i < n; i++)
		text = xprintf("%s%s", text, line_of(m[i]));
	return append(name, text);
}

int state_lock(const char *name, unsigned ms)
{
	const int fd = open(state_path(name, "lock", ""), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		const int err = errno;

		if (err != EWOULDBLOCK || !ms) {
			close(fd);
			return -err;
		}
		ms -= ms < 20 ? ms : 20;
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
	return fd;
}

int state_set_watch(const char *name, pid_t pid)
{
	return append(name, xprintf("watch %d %llu\n", (int)pid, process_born(pid)));
}

bool state_is_watched(const struct deployment *d)
{
	return d->watch && process_born(d->watch) == d->watch_born;
}

/* Take @line apart at its blanks; the number of fields. */
static int cut(char *line, char **fields, int max)
{
	char *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " \n", &save); w && n < max; w = strtok_r(NULL, " \n", &save))
		fields[n++] = w;
	return n;
}

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", strcmp(from, NONE) ? from : "");
}

static bool parse_member(char **f, struct member *m)
{
	memset(m, 0, sizeof(*m));
	copy(m->name, sizeof(m->name), f[1]);
	copy(m->domain, sizeof(m->domain), f[2]);
	m->domid = (unsigned)strtoul(f[3], NULL, 10);
	copy(m->uuid, sizeof(m->uuid), f[4]);
	m->kind = strcmp(f[5], desc_kind_name[DESC_NET]) ? DESC_FILE : DESC_NET;
	m->pid = (pid_t)strtol(f[6], NULL, 10);
	m->born = strtoull(f[7], NULL, 10);
	for (int k = 0; k < DESC_KINDS; k++) {
		copy(m->uses[k], sizeof(m->uses[k]), f[8 + 2 * k]);
		m->uses_domid[k] = (unsigned)strtoul(f[9 + 2 * k], NULL, 10);
	}
	for (size_t i = 0; i < sizeof(role_name) / sizeof(role_name[0]); i++)
		if (!strcmp(f[0], role_name[i])) {
			m->role = (enum member_role)i;
			return true;
		}
	return false;
}

/* Add it, or replace what was known of it before. */
static bool put_member(struct deployment *d, const struct member *m)
{
	unsigned i = 0;

	while (i < d->n && strcmp(d->m[i].domain, m->domain))
		i++;
	if (i == MEMBERS_MAX)
		return false;
	d->m[i] = *m;
	d->n += i == d->n;
	if (m->role == MEMBER_SPARE && !*m->uuid && i + 1 == d->n)
		d->n--; /* it is gone; spares are the last */
	return true;
}

bool state_read(const char *name, struct deployment *d, const char **why)
{
	const char *path = state_path(name, "members", "");
	struct member m;
	char line[512], *field[FIELDS];
	FILE *f;

	memset(d, 0, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%s", name);
	*why = NULL;
	if (!opts_valid_name(name) || access(state_path(name, NULL, ""), F_OK))
		return false;
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT; /* it was made, and nothing in it */
	while (fgets(line, sizeof(line), f)) {
		int n = cut(line, field, FIELDS);

		if (n == 3 && !strcmp(field[0], "watch")) {
			d->watch = (pid_t)strtol(field[1], NULL, 10);
			d->watch_born = strtoull(field[2], NULL, 10);
		} else if (n != FIELDS || !parse_member(field, &m) || !put_member(d, &m)) {
			*why = xprintf("%s is damaged", path);
		}
	}
	fclose(f);
	return !*why;
}

char **state_list(void)
{
	char **list = xalloc((1024 + 1) * sizeof(*list));
	DIR *dir = opendir(DEPLOY_ROOT);
	struct dirent *e;
	size_t n = 0;

	while (dir && n < 1024 && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			list[n++] = xprintf("%s", e->d_name);
	if (dir)
		closedir(dir);
	return list;
}

struct member *state_find(const char *what, struct deployment *d)
{
	static struct deployment found;
	struct member *m = NULL;
	unsigned n = 0;

	for (char **name = state_list(); *name; name++) {
		const char *why;

		if (!state_read(*name, d, &why))
			continue;
		for (unsigned i = 0; i < d->n; i++)
			if (d->m[i].role != MEMBER_SPARE &&
			    (!strcmp(d->m[i].domain, what) || !strcmp(d->m[i].name, what))) {
				bool whole = !strcmp(d->m[i].domain, what);

				found = *d;
				m = &found.m[i];
				n = whole ? 1 : n + 1;
				if (whole)
					goto out;
			}
	}
out:
	if (!m)
		die(EXIT_STRAIT, "no guest or service named %s is deployed; `strait ps` lists them",
		    what);
	if (n > 1)
		die(EXIT_STRAIT, "%s: several are called so; name it with its deployment, as %s", what,
		    m->domain);
	*d = found;
	return &d->m[m - found.m];
}

const struct member *member_service(const struct deployment *d, const struct member *m,
                                    enum desc_kind kind)
{
	if (m->role != MEMBER_GUEST)
		return m->kind == kind ? m : NULL;
	for (unsigned i = 0; i < d->n; i++)
		if ((d->m[i].role == MEMBER_SERVICE || d->m[i].role == MEMBER_DOM0) &&
		    !strcmp(d->m[i].name, m->uses[kind]))
			return &d->m[i];
	return NULL;
}

void state_set_status(const char *name, const struct member *m, const char *status)
{
	const char *path = state_path(name, m->domain, ".status");
	const char *fresh = state_path(name, m->domain, ".status.new");
	FILE *f = fopen(fresh, "we");

	if (!f)
		return; /* the deployment is being removed */
	fprintf(f, "%s\n", status);
	if (fclose(f) || rename(fresh, path))
		say("note: %s cannot be written: %s", path, strerror(errno));
}

char *state_status(const char *name, const struct member *m)
{
	FILE *f = fopen(state_path(name, m->domain, ".status"), "re");
	char line[512] = "";

	if (!f)
		return NULL;
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	fclose(f);
	line[strcspn(line, "\n")] = 0;
	return xprintf("%s", line);
}

unsigned long long process_born(pid_t pid)
{
	char path[64], text[1024];
	unsigned long long born = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = pid > 0 ? fopen(path, "re") : NULL;
	if (!f)
		return 0;
	size_t n = fread(text, 1, sizeof(text) - 1, f);

	fclose(f);
	text[n] = 0;
	/* The 22nd field; the second, in brackets, may hold anything. */
	const char *p = strrchr(text, ')');

	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (p)
		born = strtoull(p, NULL, 10);
	return born;
}
