/* SPDX-License-Identifier: MIT */
/*
 * xl.c - run xl, read what it says.
 *
 * xl is a stable interface where libxl is not: what is read here has been the same
 * since Xen 4.5.
 */
#include "tools/strait/xen/xl.h"

#include "tools/strait/strait.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 16
#define TEXT_MAX (1u << 20)

static void __attribute__((noreturn)) become_xl(int out, const char *const *args)
{
	char *argv[ARGS_MAX + 2] = { xprintf("xl") };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	for (int i = 0; args[i] && i < ARGS_MAX; i++)
		argv[i + 1] = xprintf("%s", args[i]);
	(void)setsid(); /* a key that ends us shall not end it halfway */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null >= 0 && dup2(null, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0)
		execvp("xl", argv);
	_exit(127);
}

static char *read_all(int fd)
{
	size_t len = 0, room = 4096;
	char *text = xalloc(room);
	ssize_t n;

	while ((n = read(fd, text + len, room - len - 1)) > 0 || (n < 0 && errno == EINTR)) {
		len += n > 0 ? (size_t)n : 0;
		if (room - len < 2048 && room < TEXT_MAX) {
			room *= 2;
			text = realloc(text, room);
			if (!text)
				die(EXIT_STRAIT, "out of memory");
		}
		if (room - len < 2)
			len = room / 2; /* what a command says at its end counts */
	}
	text[len] = 0;
	return text;
}

int xl_run(char **text, const char *const *args)
{
	int p[2], status;

	*text = NULL;
	if (pipe2(p, O_CLOEXEC))
		return -errno;
	pid_t pid = fork();

	if (pid < 0) {
		int e = errno;

		close(p[0]);
		close(p[1]);
		return -e;
	}
	if (!pid)
		become_xl(p[1], args);
	close(p[1]);
	*text = read_all(p[0]);
	close(p[0]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

char *xl_sentence(char *text)
{
	static const char *const noise[] = { "Parsing config", "got a tsc mode string" };
	char *line = text, *best = NULL;

	if (!text)
		return xprintf("it says nothing");
	while (*line) {
		size_t len = strcspn(line, "\n");
		bool skip = !len || !strncmp(line, noise[0], strlen(noise[0])) ||
		            !strncmp(line, noise[1], strlen(noise[1]));
		char *next = line + len + (line[len] == '\n');

		line[len] = 0;
		if (!skip && !best)
			best = line;
		line = next;
	}
	return best ? best : xprintf("it says nothing");
}

/* "site.web   7   64   1   --ps--   0.1 UUID REASON ...": from `xl list -v`. */
static bool parse_line(char *line, struct xl_domain *d)
{
	enum { NAME, ID, MEMORY, VCPUS, STATE, TIME, UUID, REASON, FIELDS };
	const char *f[FIELDS] = { 0 };
	char *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " \t", &save); w && n < FIELDS; w = strtok_r(NULL, " \t", &save))
		f[n++] = w;
	if (n <= TIME || !isdigit((unsigned char)*f[ID]))
		return false;
	const char *reason = f[REASON] ? f[REASON] : "-";

	*d = (struct xl_domain){ .reason = -1, .domid = (unsigned)strtoul(f[ID], NULL, 10),
		                 .memory = (unsigned)strtoul(f[MEMORY], NULL, 10) };
	snprintf(d->name, sizeof(d->name), "%s", f[NAME]);
	snprintf(d->state, sizeof(d->state), "%s", f[STATE]);
	snprintf(d->uuid, sizeof(d->uuid), "%s", f[UUID] ? f[UUID] : "");
	d->shut_down = strpbrk(d->state, "scd") != NULL;
	if (d->shut_down)
		d->reason = isxdigit((unsigned char)reason[0]) ? (int)strtol(reason, NULL, 16)
		            : strchr(d->state, 'c') ? 3 : strchr(d->state, 's') ? 0 : -1;
	return true;
}

int xl_list(struct xl_domain **list, char **text)
{
	const char *const args[] = { "list", "-v", NULL };
	int status = xl_run(text, args), n = 0, room = 0;

	*list = NULL;
	if (status)
		return -1;
	char *save = NULL;

	for (char *line = strtok_r(*text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (n == room) {
			room = room ? 2 * room : 16;
			*list = realloc(*list, (size_t)room * sizeof(**list));
			if (!*list)
				die(EXIT_STRAIT, "out of memory");
		}
		n += parse_line(line, &(*list)[n]); /* the head line is none */
	}
	return n;
}

const struct xl_domain *xl_find(const struct xl_domain *list, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(list[i].name, name))
			return &list[i];
	return NULL;
}

const struct xl_domain *xl_find_id(const struct xl_domain *list, int n, unsigned domid,
                                   const char *uuid)
{
	for (int i = 0; i < n; i++)
		if (list[i].domid == domid)
			return uuid && *uuid && *list[i].uuid && strcmp(list[i].uuid, uuid)
			               ? NULL : &list[i];
	return NULL;
}

char *xl_info_value(const char *info, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = info; line && *line;) {
		if (!strncmp(line, key, len)) {
			const char *v = line + len + strspn(line + len, " \t");

			if (*v == ':') {
				v += 1 + strspn(v + 1, " \t");
				return xprintf("%.*s", (int)strcspn(v, "\n"), v);
			}
		}
		line = strchr(line, '\n');
		line += line != NULL;
	}
	return xprintf("%s", "");
}
