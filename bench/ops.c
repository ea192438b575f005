/* SPDX-License-Identifier: MIT */
/*
 * ops - what single operations cost, in ns; the same source natively and on Strait.
 *
 *     ops DIR [ROUND_MS]
 *
 * Prints "NAME ns" a line.  DIR is a directory to work in.  bench/run alternates
 * native and Strait runs and takes medians of the ratios.
 */
#include "bench/stat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char g_buf[65536];
static int g_fd, g_pipe[2];
static unsigned g_i;

static void op_getpid(void)
{
	syscall(SYS_getpid);
}

static void op_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
}

static void op_lseek(void)
{
	lseek(g_fd, (off_t)(g_i++ & 0xfff), SEEK_SET);
}

static void op_getfl(void)
{
	(void)fcntl(g_fd, F_GETFL);
}

static void op_pipe(void)
{
	char c = 1;

	(void)!write(g_pipe[1], &c, 1);
	(void)!read(g_pipe[0], &c, 1);
}

static void op_pread_4k(void)
{
	(void)!pread(g_fd, g_buf, 4096, (off_t)(g_i++ & 0xfff) << 12);
}

static void op_pread_64k(void)
{
	(void)!pread(g_fd, g_buf, 65536, (off_t)(g_i++ & 0xff) << 16);
}

static void op_pwrite_4k(void)
{
	(void)!pwrite(g_fd, g_buf, 4096, (off_t)(g_i++ & 0xfff) << 12);
}

static void op_fstat(void)
{
	struct stat st;

	fstat(g_fd, &st);
}

static void op_stat(void)
{
	struct stat st;

	stat("d1/d2/f", &st);
}

static void op_open_close(void)
{
	close(open("d1/d2/f", O_RDONLY));
}

static void op_create_unlink(void)
{
	close(open("d1/new", O_CREAT | O_EXCL | O_WRONLY, 0600));
	unlink("d1/new");
}

static void op_readdir(void)
{
	DIR *d = opendir("many");

	while (d && readdir(d))
		;
	if (d)
		closedir(d);
}

static const struct {
	const char *name;
	void (*fn)(void);
	unsigned batch;
} g_ops[] = {
        {"getpid", op_getpid, 1000},        {"clock_gettime", op_clock, 1000},
        {"lseek", op_lseek, 1000},          {"fcntl_getfl", op_getfl, 1000},
        {"pipe_1byte", op_pipe, 500},       {"pread_4k", op_pread_4k, 50},
        {"pread_64k", op_pread_64k, 20},    {"pwrite_4k", op_pwrite_4k, 50},
        {"fstat", op_fstat, 50},            {"stat", op_stat, 50},
        {"open_close", op_open_close, 50},  {"create_unlink", op_create_unlink, 20},
        {"readdir_1000", op_readdir, 2},
};

static int prepare(const char *dir)
{
	char name[64];

	if (chdir(dir) < 0)
		return -1;
	mkdir("d1", 0700);
	mkdir("d1/d2", 0700);
	mkdir("many", 0700);
	close(open("d1/d2/f", O_CREAT | O_WRONLY, 0600));
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "many/file%04d", i);
		close(open(name, O_CREAT | O_WRONLY, 0600));
	}
	g_fd = open("big", O_CREAT | O_RDWR, 0600);
	memset(g_buf, 7, sizeof(g_buf));
	for (int i = 0; i < 256; i++)
		if (pwrite(g_fd, g_buf, sizeof(g_buf), (off_t)i << 16) < 0)
			return -1;
	return pipe(g_pipe);
}

int main(int argc, char **argv)
{
	const uint64_t limit = (argc > 2 ? (uint64_t)atoi(argv[2]) : 20) * 1000000u;

	if (argc < 2 || prepare(argv[1]) < 0) {
		fprintf(stderr, "ops: usage: ops DIR [ROUND_MS]: %s\n", strerror(errno));
		return 2;
	}
	for (size_t k = 0; k < sizeof(g_ops) / sizeof(g_ops[0]); k++) {
		static double v[1000];
		const uint64_t start = bench_ns();
		int n = 0;

		do {
			const uint64_t t0 = bench_ns();

			for (unsigned i = 0; i < g_ops[k].batch; i++)
				g_ops[k].fn();
			v[n++] = (double)(bench_ns() - t0) / g_ops[k].batch;
		} while (n < 1000 && (n < 3 || bench_ns() - start < limit));
		printf("%s %.1f\n", g_ops[k].name, bench_median(v, n));
	}
	return 0;
}
