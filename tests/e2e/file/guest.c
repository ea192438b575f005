/* SPDX-License-Identifier: MIT */
/* guest.c - what test_file.sh has done inside a guest; the first argument says what. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char *map(const char *path)
{
	int fd = open(path, O_RDWR);
	char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	return m == MAP_FAILED ? NULL : m;
}

/* Store through a shared mapping and end, in one way or another. */
static int store(const char *how, const char *path)
{
	char *m = map(path);

	if (!m)
		return 2;
	m[4096] = 'X';
	if (strcmp(how, "return") == 0)
		return 0;
	if (strcmp(how, "_exit") == 0)
		_exit(0);
	abort();
}

/* Print what can be read there, or the errno. */
static int look(const char *path)
{
	char buf[256];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

	if (n < 0)
		printf("errno %d\n", errno);
	else
		printf("%.*s\n", (int)n, buf);
	return 0;
}

/* Hold a lock until standard input ends. */
static int hold(const char *path)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};
	int fd = open(path, O_RDWR);
	char c;

	if (fcntl(fd, F_SETLK, &fl) != 0)
		return 2;
	printf("held\n");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && strcmp(argv[1], "store") == 0)
		return store(argv[2], argv[3]);
	if (argc > 2 && strcmp(argv[1], "look") == 0)
		return look(argv[2]);
	if (argc > 2 && strcmp(argv[1], "hold") == 0)
		return hold(argv[2]);
	return 3;
}
