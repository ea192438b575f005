/* SPDX-License-Identifier: MIT */
/*
 * kept.c - keeps files open while others rename and remove them; built by strait-cc.
 *
 *      kept DIR       open DIR/file, DIR/gone, DIR/dir and DIR/link (a reference) and, once
 *                     for all, a copy of each in a second description: "ready"; then for
 *                     each line read "look N": what each is, and "looked N"; at the end of
 *                     input 0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static void file(const char *name, int fd)
{
	char text[64] = "";
	struct stat st = {0};
	const ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n < 0 || fstat(fd, &st) < 0) {
		printf("%s: %s\n", name, strerror(errno));
		return;
	}
	printf("%s: %s, %lu links\n", name, text, (unsigned long)st.st_nlink);
	/* It is this very file, not one like it. */
	if (pwrite(fd, "+", 1, (off_t)n) != 1)
		printf("%s: write: %s\n", name, strerror(errno));
}

static void folder(const char *name, int fd)
{
	char tag[16] = "";
	struct stat st = {0};

	if (fstat(fd, &st) < 0 || (fgetxattr(fd, "user.tag", tag, sizeof(tag)) < 0 && errno != ENOTSUP))
		printf("%s: %s\n", name, strerror(errno));
	else
		printf("%s: %o tag %s\n", name, st.st_mode, tag);
}

static void reference(const char *name, int fd)
{
	char to[32] = "";

	if (readlinkat(fd, "", to, sizeof(to) - 1) < 0)
		printf("%s: %s\n", name, strerror(errno));
	else
		printf("%s: %s\n", name, to);
}

int main(int argc, char **argv)
{
	char line[64];
	int f, again, gone, dir, link;

	if (argc != 2 || chdir(argv[1]) != 0)
		return perror(argc == 2 ? argv[1] : "kept"), 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	f = open("file", O_RDWR);
	again = open("file", O_RDONLY);
	gone = open("gone", O_RDWR);
	dir = open("dir", O_RDONLY | O_DIRECTORY);
	link = open("link", O_PATH | O_NOFOLLOW);
	if (f < 0 || again < 0 || gone < 0 || dir < 0 || link < 0)
		return perror("open"), 1;
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		char text[64] = "";

		file("file", f);
		file("gone", gone);
		folder("dir", dir);
		reference("link", link);
		printf("again: %s\n", pread(again, text, sizeof(text) - 1, 0) < 0 ? strerror(errno)
		                                                                   : text);
		printf("looked %s", line);
	}
	return 0;
}
