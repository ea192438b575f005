/* SPDX-License-Identifier: MIT */
/* Eight threads on one fsd that is killed again and again: part of test_file_recover. */
#include "tests/unit/file_recover.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define THREADS 8
#define KILLS 20

static _Atomic bool g_stop;
static _Atomic unsigned g_bad, g_done;
static long g_log;

#define OK(is, want)                                                                   \
	do {                                                                           \
		const long is_ = (long)(is), want_ = (long)(want);                     \
		if (is_ != want_ && g_bad++ < 20)                                      \
			fprintf(stderr, "thread %u: %s is %ld, not %ld\n", n, #is,     \
			        is_, want_);                                           \
	} while (0)

/* Each name is made and unmade once: a call done twice, or not at all, shows. */
static void names(unsigned n, unsigned round)
{
	char a[32], b[32];

	snprintf(a, sizeof(a), "/t%u/a%u", n, round % 7);
	snprintf(b, sizeof(b), "/t%u/b%u", n, round % 7);
	OK(SYS(SYS_mkdir, a, 0755), 0);
	OK(SYS(SYS_mkdir, a, 0755), -EEXIST);
	OK(SYS(SYS_rename, a, b), 0);
	OK(SYS(SYS_rmdir, a), -ENOENT);
	OK(SYS(SYS_rmdir, b), 0);
}

static void files(unsigned n, unsigned round)
{
	char a[32], b[32], buf[64], want[64];
	long fd, len;

	snprintf(a, sizeof(a), "/t%u/f%u", n, round % 5);
	snprintf(b, sizeof(b), "/t%u/g%u", n, round % 5);
	len = snprintf(want, sizeof(want), "%u %u", n, round);
	fd = SYS(SYS_open, a, O_CREAT | O_EXCL | O_RDWR, 0600);
	OK(fd >= 0, 1);
	OK(SYS(SYS_write, fd, want, len), len);
	OK(SYS(SYS_link, a, b), 0);
	OK(SYS(SYS_unlink, a), 0);
	OK(SYS(SYS_open, b, O_CREAT | O_EXCL | O_RDWR, 0600), -EEXIST);
	OK(SYS(SYS_unlink, b), 0);
	OK(SYS(SYS_pread64, fd, buf, sizeof(buf), 0), len);
	OK(memcmp(buf, want, (size_t)len), 0);
	OK(SYS(SYS_close, fd), 0);
	OK(SYS(SYS_unlink, a), -ENOENT);
}

#define PATTERN (2u << 20)
#define LONG_READ 300000u

static uint8_t pattern_at(uint64_t at)
{
	return (uint8_t)(at * 2654435761u >> 24);
}

static void make_pattern(void)
{
	const long fd = open_file("/pattern", O_CREAT | O_WRONLY);
	uint8_t *p = malloc(PATTERN);

	for (uint64_t i = 0; i < PATTERN; i++)
		p[i] = pattern_at(i);
	EQ(SYS(SYS_write, fd, p, PATTERN), PATTERN);
	free(p);
	SYS(SYS_close, fd);
}

/* Several frames in flight, and into several pieces of memory. */
static void read_long(unsigned n, unsigned round)
{
	const uint64_t from = (round * 7919ull + n * 104729) % (PATTERN - LONG_READ);
	const long fd = SYS(SYS_open, "/pattern", O_RDONLY);
	uint8_t *p = malloc(LONG_READ);
	struct iovec v[3] = {{p, 1000}, {p + 1000, 0}, {p + 1000, LONG_READ - 1000}};
	bool good = true;

	OK(SYS(SYS_preadv, fd, v, 3, from), LONG_READ);
	for (uint64_t i = 0; i < LONG_READ; i++)
		good &= p[i] == pattern_at(from + i);
	OK(good, true);
	free(p);
	OK(SYS(SYS_close, fd), 0);
}

/* Everybody appends its number to one file: each is there once, whole. */
#define RECORD 16

static void append_one(unsigned n, unsigned round)
{
	char rec[RECORD + 1];

	snprintf(rec, sizeof(rec), "%4u %10u\n", n, round);
	OK(SYS(SYS_write, g_log, rec, RECORD), RECORD);
}

static void lock_one(unsigned n, unsigned round)
{
	static _Atomic int inside;
	long fd = SYS(SYS_open, "/lockfile", O_RDWR);

	(void)round;
	OK(fd >= 0, 1);
	OK(set_lock(fd, K_OFD_SETLKW, F_WRLCK, 0, 1), 0);
	OK(atomic_fetch_add(&inside, 1), 0);
	SYS(SYS_fsync, fd);
	OK(atomic_fetch_sub(&inside, 1), 1);
	OK(SYS(SYS_close, fd), 0);
}

static void *storm(void *arg)
{
	static void (*const what[])(unsigned, unsigned) = {names, files};
	const unsigned n = (unsigned)(uintptr_t)arg;
	char dir[32];
	unsigned round = 0;

	snprintf(dir, sizeof(dir), "/t%u", n);
	OK(SYS(SYS_mkdir, dir, 0755), 0);
	for (; !g_stop; round++) {
		append_one(n, round);
		what[(n + round) % 2](n, round);
		if (round % 8 == n)
			lock_one(n, round);
		if (round % 8 == (n ^ 3))
			read_long(n, round);
		g_done++;
	}
	OK(SYS(SYS_rmdir, dir), 0);
	return (void *)(uintptr_t)round;
}

static void look_at_log(const unsigned rounds[THREADS])
{
	const long fd = open_file("/all", O_RDONLY);
	unsigned next[THREADS] = {0};
	char rec[RECORD + 1] = {0};
	struct stat st;
	unsigned total = 0;

	for (unsigned i = 0; i < THREADS; i++)
		total += rounds[i];
	EQ(SYS(SYS_fstat, fd, &st), 0);
	EQ(st.st_size, total * RECORD);
	while (SYS(SYS_read, fd, rec, RECORD) == RECORD) {
		unsigned n, round;

		if (sscanf(rec, "%4u %10u\n", &n, &round) != 2 || n >= THREADS ||
		    round != next[n]) {
			CU_FAIL("a record is not as it was written");
			fprintf(stderr, "record: %s", rec);
			break;
		}
		next[n]++;
	}
	SYS(SYS_close, fd);
}

void threads_see_no_more_than_a_pause(void)
{
	unsigned rounds[THREADS];
	pthread_t t[THREADS];

	g_log = open_file("/all", O_CREAT | O_WRONLY | O_APPEND);
	SYS(SYS_close, open_file("/lockfile", O_CREAT | O_RDWR));
	make_pattern();
	for (uintptr_t i = 0; i < THREADS; i++)
		EQ(testlib_thread(&t[i], storm, (void *)i), 0);
	for (int i = 0; i < KILLS; i++) {
		const unsigned before = g_done;

		usleep(10000 + (unsigned)i * 1700);
		KILL();
		while (g_done < before + THREADS && g_bad == 0)
			usleep(1000);
	}
	g_stop = true;
	for (unsigned i = 0; i < THREADS; i++) {
		void *r;

		pthread_join(t[i], &r);
		rounds[i] = (unsigned)(uintptr_t)r;
	}
	EQ(g_bad, 0);
	look_at_log(rounds);
	SYS(SYS_close, g_log);
	EQ(SYS(SYS_unlink, "/all"), 0);
	EQ(SYS(SYS_unlink, "/lockfile"), 0);
	EQ(SYS(SYS_unlink, "/pattern"), 0);
}
