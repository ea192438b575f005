// SPDX-License-Identifier: MIT
// A guest that works on files until it finds ARG.stop: each round appends a line to
// ARG/log, and does, with what it finds compared with what must be there: positioned
// writes and reads, a file without a name, one made with O_EXCL, renamed and unlinked,
// a lock, and a file in memory.  Prints "rounds N".  Status 3: a call failed, which is
// printed; 1: it answered wrongly.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[200];

static void must(int ok, const char *what)
{
	if (ok)
		return;
	printf("%s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(3);
}

static void equal(long a, long b, const char *what)
{
	if (a == b)
		return;
	printf("%s: %ld, not %ld\n", what, a, b);
	fflush(stdout);
	_exit(1);
}

// A call that moves bytes.
static void moved(long r, long n, const char *what)
{
	must(r >= 0, what);
	equal(r, n, what);
}

static const char *in(const char *name)
{
	static char path[4][256];
	static int next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void names(int i)
{
	struct stat st;
	int fd = open(in("excl"), O_CREAT | O_EXCL | O_WRONLY, 0600);

	must(fd >= 0, "open O_EXCL");
	moved(write(fd, &i, sizeof(i)), sizeof(i), "write");
	must(rename(in("excl"), in("renamed")) == 0, "rename");
	must(mkdir(in("d"), 0700) == 0, "mkdir");
	must(rmdir(in("d")) == 0, "rmdir");
	must(unlink(in("renamed")) == 0, "unlink");
	must(fstat(fd, &st) == 0, "fstat"); /* it has no name any more */
	equal(st.st_size, sizeof(i), "size without a name");
	must(close(fd) == 0, "close");
}

int main(int argc, char **argv)
{
	char line[32], back[32], stop[256];
	struct stat st;
	long i = 0;

	if (argc != 2)
		return 2;
	snprintf(dir, sizeof(dir), "%s", argv[1]);
	snprintf(stop, sizeof(stop), "%s.stop", dir);
	must(mkdir(dir, 0777) == 0, "mkdir");
	int log = open(in("log"), O_CREAT | O_WRONLY | O_APPEND, 0666);
	int data = open(in("data"), O_CREAT | O_RDWR, 0600);
	int gone = open(in("gone"), O_CREAT | O_RDWR, 0600);
	int mem = open("/m/own", O_CREAT | O_RDWR, 0600);

	must(log >= 0 && data >= 0 && gone >= 0 && mem >= 0, "open");
	must(unlink(in("gone")) == 0, "unlink");
	must(lockf(data, F_LOCK, 0) == 0, "lockf");
	printf("ready\n");
	fflush(stdout);
	for (; stat(stop, &st) != 0; i++) {
		must(errno == ENOENT, "stat");
		int n = snprintf(line, sizeof(line), "%ld\n", i);

		moved(write(log, line, (size_t)n), n, "append");
		moved(pwrite(data, &i, sizeof(i), i * 8), sizeof(i), "pwrite");
		moved(pwrite(gone, &i, sizeof(i), i * 8), sizeof(i), "pwrite, no name");
		moved(pwrite(mem, line, (size_t)n, 0), n, "pwrite, memory");
		for (long k = i; k >= 0 && k > i - 3; k--) {
			long v = -1;

			moved(pread(data, &v, 8, k * 8), 8, "pread");
			equal(v, k, "data");
			moved(pread(gone, &v, 8, k * 8), 8, "pread, no name");
			equal(v, k, "data, no name");
		}
		must(pread(mem, back, sizeof(back), 0) >= n, "pread, memory");
		names((int)i);
		usleep(2000);
	}
	must(fstat(data, &st) == 0, "fstat");
	equal(st.st_size, i * 8, "size");
	printf("rounds %ld\n", i);
	return 0;
}
