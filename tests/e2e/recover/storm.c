/* SPDX-License-Identifier: MIT */
/*
 * storm.c - many threads, each with calls of its own, whose every result is known;
 * built by strait-cc.
 *
 *      storm DIR      until there is a file DIR/stop: "ready", then "done N rounds", 0;
 *                     or what went wrong, 1
 *      still DIR      open one of everything, "ready", look at it again each time there
 *                     is a file DIR/look (which it removes, with "looked"), until TERM
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define THREADS 8
#define RECORD 16
#define BIG 200000

#ifndef F_OFD_SETLKW
#define F_OFD_SETLKW 38
#endif

static _Atomic bool g_stop;
static _Atomic unsigned g_bad;
static int g_log;

static void wrong(unsigned n, unsigned round, const char *what, long is, long want, int err)
{
	if (g_bad++ < 20)
		printf("thread %u round %u: %s is %ld, not %ld (%s)\n", n, round, what, is, want,
		       strerror(err));
}

#define OK(is, want)                                                                   \
	do {                                                                           \
		errno = 0;                                                             \
		const long is_ = (long)(is), want_ = (long)(want);                     \
		if (is_ != want_)                                                      \
			wrong(n, round, #is, is_, want_, errno);                       \
	} while (0)
#define FAILS(is, err)                                                                 \
	do {                                                                           \
		OK(is, -1);                                                            \
		if (errno != (err))                                                    \
			wrong(n, round, #is ": errno", errno, err, errno);             \
	} while (0)

static void names(unsigned n, unsigned round)
{
	char a[32], b[32], to[64] = "";

	snprintf(a, sizeof(a), "t%u/a%u", n, round % 7);
	snprintf(b, sizeof(b), "t%u/b%u", n, round % 7);
	OK(mkdir(a, 0755), 0);
	FAILS(mkdir(a, 0755), EEXIST);
	OK(rename(a, b), 0);
	FAILS(rename(a, b), ENOENT);
	OK(rmdir(b), 0);
	FAILS(rmdir(b), ENOENT);
	OK(symlink("somewhere", a), 0);
	FAILS(symlink("somewhere", a), EEXIST);
	OK(readlink(a, to, sizeof(to)), 9);
	OK(unlink(a), 0);
	FAILS(unlink(a), ENOENT);
	OK(mknod(a, S_IFREG | 0600, 0), 0);
	FAILS(mknod(a, S_IFREG | 0600, 0), EEXIST);
	OK(link(a, b), 0);
	FAILS(link(a, b), EEXIST);
	OK(unlink(a), 0);
	OK(unlink(b), 0);
}

static void files(unsigned n, unsigned round)
{
	char a[32], buf[64], want[64];
	struct stat st;
	long len;
	int fd;

	snprintf(a, sizeof(a), "t%u/f%u", n, round % 5);
	len = snprintf(want, sizeof(want), "%u %u", n, round);
	fd = open(a, O_CREAT | O_EXCL | O_RDWR, 0600);
	OK(fd >= 0, 1);
	OK(write(fd, want, (size_t)len), len);
	FAILS(open(a, O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	OK(ftruncate(fd, 1000), 0);
	OK(unlink(a), 0);
	OK(fchmod(fd, 0640), 0);
	OK(fsync(fd), 0);
	OK(fstat(fd, &st), 0);
	OK(st.st_size, 1000);
	OK(st.st_mode, S_IFREG | 0640);
	OK(st.st_nlink, 0);
	OK(lseek(fd, 0, SEEK_CUR), len);
	OK(pread(fd, buf, (size_t)len, 0), len);
	OK(memcmp(buf, want, (size_t)len), 0);
	OK(close(fd), 0);
	FAILS(unlink(a), ENOENT);
}

static void big(unsigned n, unsigned round)
{
	uint32_t *p = malloc(BIG), *q = malloc(BIG);
	struct iovec v[3] = {{p, 70000}, {(char *)p + 70000, 4}, {(char *)p + 70004, BIG - 70004}};
	char a[32];
	int fd;

	for (unsigned i = 0; i < BIG / 4; i++)
		p[i] = i * 2654435761u ^ round;
	snprintf(a, sizeof(a), "t%u/big", n);
	fd = open(a, O_CREAT | O_TRUNC | O_RDWR, 0600);
	OK(fd >= 0, 1);
	OK(writev(fd, v, 3), BIG);
	OK(lseek(fd, 0, SEEK_SET), 0);
	memset(q, 0, BIG);
	OK(read(fd, q, BIG), BIG);
	OK(memcmp(p, q, BIG), 0);
	OK(close(fd), 0);
	free(p);
	free(q);
}

static void mapped(unsigned n, unsigned round)
{
	unsigned got = 0;
	char a[32], *p;
	int fd;

	snprintf(a, sizeof(a), "t%u/map", n);
	fd = open(a, O_CREAT | O_RDWR, 0600);
	OK(fd >= 0, 1);
	OK(ftruncate(fd, 10000), 0);
	p = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	OK(p != MAP_FAILED, 1);
	memcpy(p + 9000, &round, sizeof(round));
	OK(msync(p, 10000, MS_SYNC), 0);
	OK(pread(fd, &got, sizeof(got), 9000), sizeof(got));
	OK(got, round);
	OK(munmap(p, 10000), 0);
	OK(close(fd), 0);
}

static void listing(unsigned n, unsigned round)
{
	struct dirent *e;
	unsigned seen = 0;
	DIR *d = opendir("list");

	OK(d != NULL, 1);
	while ((e = readdir(d)))
		seen += e->d_name[0] == 'e';
	OK(seen, 400);
	closedir(d);
}

static void attributes(unsigned n, unsigned round)
{
	char a[32];

	snprintf(a, sizeof(a), "t%u/x", n);
	OK(close(open(a, O_CREAT | O_RDWR, 0600)), 0);
	if (setxattr(a, "user.a", "1", 1, XATTR_CREATE) == 0) {
		FAILS(setxattr(a, "user.a", "2", 1, XATTR_CREATE), EEXIST);
		OK(setxattr(a, "user.a", "3", 1, XATTR_REPLACE), 0);
		OK(removexattr(a, "user.a"), 0);
		FAILS(removexattr(a, "user.a"), ENODATA);
	} else if (errno != EOPNOTSUPP) {
		wrong(n, round, "setxattr", -1, 0, errno);
	}
	OK(unlink(a), 0);
}

static void locked(unsigned n, unsigned round)
{
	static _Atomic int inside;
	struct flock fl = {.l_type = F_WRLCK, .l_len = 1};
	int fd = open("lockfile", O_RDWR);

	OK(fd >= 0, 1);
	OK(fcntl(fd, F_OFD_SETLKW, &fl), 0);
	OK(atomic_fetch_add(&inside, 1), 0);
	(void)access("stop", F_OK);
	OK(atomic_fetch_sub(&inside, 1), 1);
	OK(close(fd), 0);
}

static void append(unsigned n, unsigned round)
{
	char rec[RECORD + 1];

	snprintf(rec, sizeof(rec), "%4u %10u\n", n, round);
	OK(write(g_log, rec, RECORD), RECORD);
}

static void *storm(void *arg)
{
	static void (*const what[])(unsigned, unsigned) = {names,   files,      big,   mapped,
	                                                   listing, attributes, locked};
	const unsigned n = (unsigned)(uintptr_t)arg;
	unsigned round = 0;
	char dir[32];

	snprintf(dir, sizeof(dir), "t%u", n);
	OK(mkdir(dir, 0755), 0);
	for (; !g_stop && g_bad == 0; round++) {
		append(n, round);
		what[(n + round) % 7](n, round);
	}
	return (void *)(uintptr_t)round;
}

static unsigned look_at_log(const unsigned rounds[THREADS])
{
	unsigned next[THREADS] = {0}, total = 0;
	char rec[RECORD + 1] = {0};
	int fd = open("log", O_RDONLY);
	struct stat st;

	for (unsigned i = 0; i < THREADS; i++)
		total += rounds[i];
	if (fstat(fd, &st) != 0 || st.st_size != (off_t)total * RECORD)
		wrong(99, 0, "size of the log", (long)st.st_size, (long)total * RECORD, 0);
	while (read(fd, rec, RECORD) == RECORD) {
		unsigned n, round;

		if (sscanf(rec, "%4u %10u\n", &n, &round) != 2 || n >= THREADS ||
		    round != next[n]++) {
			printf("a record is not as it was written: %s", rec);
			g_bad++;
			break;
		}
	}
	close(fd);
	return total;
}

static int run_storm(void)
{
	unsigned rounds[THREADS], total;
	pthread_t t[THREADS];
	char name[32];

	g_log = open("log", O_CREAT | O_WRONLY | O_APPEND, 0600);
	close(open("lockfile", O_CREAT | O_RDWR, 0600));
	mkdir("list", 0755);
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "list/e%d", i);
		close(open(name, O_CREAT | O_RDWR, 0600));
	}
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, storm, (void *)i);
	puts("ready");
	fflush(stdout);
	while (access("stop", F_OK) != 0 && g_bad == 0)
		usleep(20000);
	g_stop = true;
	for (int i = 0; i < THREADS; i++) {
		void *r;

		pthread_join(t[i], &r);
		rounds[i] = (unsigned)(uintptr_t)r;
	}
	total = look_at_log(rounds);
	if (g_bad == 0)
		printf("done %u rounds\n", total);
	return g_bad != 0;
}

/* ---- one of everything ---- */

static struct still {
	int rw, append, gone, path, dir, moved;
	char *map;
	DIR *list;
	unsigned n_listed, looks;
} g_still;

static void still_open(void)
{
	struct still *s = &g_still;
	const unsigned n = 0, round = 0;
	char name[32];

	mkdir("d", 0755);
	mkdir("list", 0755);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "list/e%d", i);
		OK(mknod(name, S_IFREG | 0600, 0), 0);
	}
	s->rw = open("rw", O_CREAT | O_RDWR, 0600);
	s->append = open("append", O_CREAT | O_WRONLY | O_APPEND, 0600);
	s->gone = open("gone", O_CREAT | O_RDWR, 0600);
	s->moved = open("d/moved", O_CREAT | O_RDWR, 0600);
	s->path = open("rw", O_PATH);
	s->dir = open("d", O_RDONLY | O_DIRECTORY);
	s->list = opendir("list");
	OK(ftruncate(s->rw, 8192), 0);
	s->map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, s->rw, 0);
	OK(unlink("gone"), 0);
	OK(rename("d", "e"), 0);
	OK(chdir("e"), 0);
	OK(rename("../e", "../f"), 0);
	OK(readdir(s->list) != NULL, 1);
	s->n_listed = 1;
}

static void still_look(void)
{
	struct still *s = &g_still;
	const unsigned n = 0, round = ++s->looks;
	unsigned got = 0;
	struct stat st, st2;

	OK(pwrite(s->gone, &round, sizeof(round), 4), sizeof(round));
	OK(pread(s->gone, &got, sizeof(got), 4), sizeof(got));
	OK(got, round);
	OK(fstat(s->gone, &st), 0);
	OK(st.st_nlink, 0);
	OK(write(s->append, "12345", 5), 5);
	OK(fstat(s->append, &st), 0);
	OK(st.st_size, 5 * round);
	OK(write(s->moved, "1", 1), 1);
	OK(lseek(s->moved, 0, SEEK_CUR), round);
	OK(fstatat(s->dir, "moved", &st, 0), 0);
	OK(st.st_size, round);
	OK(stat("moved", &st), 0); /* in the current directory */
	OK(st.st_size, round);
	OK(fstat(s->path, &st), 0);
	OK(fstat(s->rw, &st2), 0);
	OK(st.st_ino == st2.st_ino && st.st_dev == st2.st_dev, 1);
	FAILS(read(s->path, &got, 1), EBADF);
	memcpy(s->map + 100, &round, sizeof(round));
	OK(msync(s->map, 8192, MS_SYNC), 0);
	OK(pread(s->rw, &got, sizeof(got), 100), sizeof(got));
	OK(got, round);
	for (int i = 0; i < 300 && readdir(s->list); i++)
		s->n_listed++;
}

static int run_still(void)
{
	struct still *s = &g_still;
	const unsigned n = 0, round = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	still_open();
	puts("ready");
	fflush(stdout);
	while (sigtimedwait(&set, NULL, &(struct timespec){0, 20000000}) < 0) {
		if (access("../look", F_OK) != 0)
			continue;
		still_look();
		OK(unlink("../look"), 0);
		puts("looked");
		fflush(stdout);
	}
	while (readdir(s->list))
		s->n_listed++;
	OK(s->n_listed, 2002);
	return g_bad != 0;
}

int main(int argc, char **argv)
{
	if (argc != 3 || chdir(argv[2]) != 0)
		return 2;
	return strcmp(argv[1], "still") == 0 ? run_still() : run_storm();
}
