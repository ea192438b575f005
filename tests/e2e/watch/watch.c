/* SPDX-License-Identifier: MIT */
/*
 * watch.c - a program for tests of inotify; built by strait-cc.
 *
 *      watch PATH...    say "ready", then "PATH NAME EVENT..." (without NAME: "-") of each
 *                       event that comes; end on TERM
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define PATHS_MAX 16
#define MASK (IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE | IN_DELETE_SELF | IN_CLOSE_WRITE)

static const char *g_path[PATHS_MAX];

static void end(int sig)
{
	(void)sig;
	_exit(0);
}

static void say(const struct inotify_event *ev)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
	        {IN_CREATE, "CREATE"},         {IN_DELETE, "DELETE"},
	        {IN_MODIFY, "MODIFY"},         {IN_CLOSE_WRITE, "CLOSE_WRITE"},
	        {IN_MOVED_FROM, "MOVED_FROM"}, {IN_MOVED_TO, "MOVED_TO"},
	        {IN_IGNORED, "IGNORED"},       {IN_DELETE_SELF, "DELETE_SELF"},
	        {IN_ISDIR, "ISDIR"},           {IN_Q_OVERFLOW, "OVERFLOW"},
	};

	printf("%s %s", ev->wd > 0 && ev->wd < PATHS_MAX ? g_path[ev->wd] : "-",
	       ev->len ? ev->name : "-");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (ev->mask & names[i].bit)
			printf(" %s", names[i].name);
	}
	printf("\n");
	fflush(stdout);
}

static int watch(int fd, char **paths)
{
	_Alignas(struct inotify_event) char buf[4096];
	ssize_t n;

	for (; *paths; paths++) {
		const int wd = inotify_add_watch(fd, *paths, MASK);

		if (wd < 0 || wd >= PATHS_MAX) {
			perror(*paths);
			return 1;
		}
		g_path[wd] = *paths;
	}
	printf("ready\n");
	fflush(stdout);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		const struct inotify_event *ev;

		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(*ev) + ev->len)) {
			ev = (const struct inotify_event *)(void *)(buf + at);
			say(ev);
		}
	}
	perror("read");
	return 1;
}

int main(int argc, char **argv)
{
	const int fd = inotify_init1(IN_CLOEXEC);

	signal(SIGTERM, end);
	if (fd < 0 || argc < 3)
		return 2;
	return strcmp(argv[1], "watch") == 0 ? watch(fd, argv + 2) : 2;
}
