/* SPDX-License-Identifier: MIT */
/*
 * console.c - what domains wrote.
 *
 * xenconsoled keeps a log of each domain when it was started with --log=guest or all.
 * Else the last lines wait in the terminal that it opened for the domain, as long as
 * nobody has read them.
 */
#include "tools/strait/xen/deploy.h"
#include "tools/strait/xen/xs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define LOGS "/var/log/xen/console"
#define TAIL_MAX 16384

char *console_log_path(const char *domain)
{
	char *path = xprintf(LOGS "/guest-%s.log", domain);

	if (!access(path, F_OK))
		return path;
	free(path);
	return NULL;
}

/* The end of a file, NUL-terminated; NULL: nothing. */
static char *end_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text = NULL;

	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && st.st_size > 0) {
		off_t from = st.st_size > TAIL_MAX ? st.st_size - TAIL_MAX : 0;

		text = xalloc(TAIL_MAX + 1);
		ssize_t n = pread(fd, text, TAIL_MAX, from);

		text[n > 0 ? n : 0] = 0;
	}
	close(fd);
	return text;
}

/* What waits in the domain's terminal. */
static char *unread(unsigned domid)
{
	char *tty = xst_read(xprintf("/local/domain/%u/console/tty", domid));
	int fd = tty && *tty ? open(tty, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
	char *text = fd >= 0 ? xalloc(TAIL_MAX + 1) : NULL;
	size_t len = 0;
	ssize_t n;

	free(tty);
	if (fd < 0)
		return NULL;
	while (len < TAIL_MAX && (n = read(fd, text + len, TAIL_MAX - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	close(fd);
	return text;
}

char *console_tail(const char *domain, unsigned domid, unsigned n)
{
	char *log = console_log_path(domain);
	char *text = log ? end_of(log) : unread(domid);
	size_t len = text ? strlen(text) : 0;

	free(log);
	for (char *p = text; p && *p; p++)
		if ((unsigned char)*p < ' ' && *p != '\n' && *p != '\t')
			*p = ' ';
	while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
		text[--len] = 0;
	if (!len)
		return NULL;
	for (char *p = text + len; p > text; p--)
		if (p[-1] == '\n' && --n == 0)
			return p;
	return text;
}
