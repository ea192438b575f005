/* SPDX-License-Identifier: MIT */
/*
 * ops - what single operations cost, in ns; the same source natively and on Strait.
 *
 *     ops DIR [ROUND_MS]
 *
 * Prepares files in DIR, says "ready", then measures one round for each line of
 * its input: "NAME ns" lines and "end".  Reads and writes are at random offsets of
 * a file of 16 MiB, so that no read-ahead helps.  bench/run alternates native and
 * Strait rounds and takes medians of their ratios.
 */
#include "bench/stat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char g_buf[65536];
static int g_fd, g_pipe[2];
static int g_to_peer[2], g_from_peer[2]; /* of the process that answers */
static bool g_peer;                      /* there is one: not in a guest */
static unsigned g_i;

/* A page of the file, no two near each other. */
static off_t any_page(void)
{
	return (off_t)(g_i++ * 2531u & 0xfff) << 12;
}

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

static void op_pipe_rtt(void)
{
	char c = 1;

	(void)!write(g_to_peer[1], &c, 1);
	(void)!read(g_from_peer[0], &c, 1);
}

static void op_pread_4k(void)
{
	(void)!pread(g_fd, g_buf, 4096, any_page());
}

static void op_pread_64k(void)
{
	(void)!pread(g_fd, g_buf, 65536, any_page() & ~(off_t)65535);
}

static void op_pwrite_4k(void)
{
	(void)!pwrite(g_fd, g_buf, 4096, any_page());
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

/* Threads that make the smallest file call for as long as they may. */
#define DEPTH 32

static pthread_barrier_t g_go, g_done;
static atomic_bool g_deep;
static atomic_ulong g_deep_calls;

static void *deep_main(void *arg)
{
	for (;;) {
		unsigned long n = 0;

		pthread_barrier_wait(&g_go);
		for (; atomic_load_explicit(&g_deep, memory_order_relaxed); n++)
			op_fstat();
		atomic_fetch_add(&g_deep_calls, n);
		pthread_barrier_wait(&g_done);
	}
	return arg;
}

static void start_deep(void)
{
	pthread_t t;

	pthread_barrier_init(&g_go, NULL, DEPTH + 1);
	pthread_barrier_init(&g_done, NULL, DEPTH + 1);
	for (int i = 0; i < DEPTH; i++)
		if (pthread_create(&t, NULL, deep_main, NULL) != 0)
			_exit(1);
}

/* Time a call, with so many under way. */
static double measure_deep(uint64_t limit)
{
	static bool started;
	uint64_t t0;

	if (!started)
		start_deep();
	started = true;
	atomic_store(&g_deep, true);
	atomic_store(&g_deep_calls, 0);
	pthread_barrier_wait(&g_go);
	t0 = bench_ns();
	usleep((useconds_t)(limit / 250)); /* four rounds: it takes some to get going */
	atomic_store(&g_deep, false);
	pthread_barrier_wait(&g_done);
	return (double)(bench_ns() - t0) / (double)g_deep_calls;
}

static const struct {
	const char *name;
	void (*fn)(void);
	unsigned batch;
} g_ops[] = {
        {"getpid", op_getpid, 1000},
        {"clock_gettime", op_clock, 1000},
        {"lseek", op_lseek, 1000},
        {"fcntl_getfl", op_getfl, 1000},
        {"pipe_1byte", op_pipe, 500},
        {"pipe_rtt", op_pipe_rtt, 100},
        {"fstat", op_fstat, 50},
        {"pread_4k", op_pread_4k, 50},
        {"pread_64k", op_pread_64k, 20},
        {"pwrite_4k", op_pwrite_4k, 50},
        {"stat", op_stat, 50},
        {"open_close", op_open_close, 50},
        {"create_unlink", op_create_unlink, 20},
        {"readdir_1000", op_readdir, 2},
};
#define N_OPS (sizeof(g_ops) / sizeof(g_ops[0]))

/* A process that sends back each byte; a guest cannot have one. */
static void start_peer(void)
{
	char c;
	pid_t pid;

	if (pipe(g_to_peer) < 0 || pipe(g_from_peer) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		close(g_to_peer[1]);
		while (read(g_to_peer[0], &c, 1) == 1)
			(void)!write(g_from_peer[1], &c, 1);
		_exit(0);
	}
	g_peer = pid > 0;
}

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

static double measure(size_t k, uint64_t limit)
{
	static double v[1000];
	const uint64_t start = bench_ns();
	int n = 0;

	do {
		const uint64_t t0 = bench_ns();

		for (unsigned i = 0; i < g_ops[k].batch; i++)
			g_ops[k].fn();
		v[n++] = (double)(bench_ns() - t0) / g_ops[k].batch;
	} while (n < 1000 && (n < 3 || bench_ns() - start < limit));
	return bench_median(v, n);
}

int main(int argc, char **argv)
{
	const uint64_t limit = (argc > 2 ? (uint64_t)atoi(argv[2]) : 20) * 1000000u;
	char line[64];

	if (argc < 2 || prepare(argv[1]) < 0) {
		fprintf(stderr, "ops: usage: ops DIR [ROUND_MS]: %s\n", strerror(errno));
		return 2;
	}
	start_peer();
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		for (size_t k = 0; k < N_OPS; k++)
			if (g_peer || g_ops[k].fn != op_pipe_rtt)
				printf("%s %.1f\n", g_ops[k].name, measure(k, limit));
		printf("fstat_32 %.1f\n", measure_deep(limit));
		puts("end");
		fflush(stdout);
	}
	return 0;
}
