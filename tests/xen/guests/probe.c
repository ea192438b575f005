/* SPDX-License-Identifier: MIT */
/*
 * probe.c - what the tests on Xen ask of a bare guest: one subcommand each.
 *
 * The same file runs hosted and as a domain.  Output is lines; exit status 0 means that
 * what was asked for held.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int words(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		printf("arg %d <%s>\n", i, argv[i]);
	for (char **e = environ; *e; e++)
		printf("env <%s>\n", *e);
	return 0;
}

/* Repeat what comes in, until a line "end". */
static int echo(void)
{
	char line[4096];

	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "end\n"))
			return 0;
		size_t n = strlen(line);

		line[n - 1] = 0;
		printf("got %zu <%.60s>\n", n, line);
	}
	printf("end of file\n");
	return 1;
}

/* @lines numbered lines, which must all come out. */
static int flood(int lines)
{
	for (int i = 0; i < lines; i++)
		printf("line %06d %.*s\n", i, i % 60, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz01234567");
	return 0;
}

static int die(const char *how)
{
	volatile int one = 1, zero = 0;

	if (!strcmp(how, "segv"))
		*(volatile int *)8 = 1;
	else if (!strcmp(how, "call"))
		((void (*)(void))(uintptr_t)16)();
	else if (!strcmp(how, "text"))
		*(volatile char *)(uintptr_t)die = 1;
	else if (!strcmp(how, "fpe"))
		return one / zero;
	else if (!strcmp(how, "ill"))
		__asm__ volatile("ud2");
	else if (!strcmp(how, "abort"))
		abort();
	else if (!strcmp(how, "term"))
		raise(SIGTERM);
	else if (!strcmp(how, "platform")) /* as the platform itself: interrupts are off */
		__asm__ volatile("cli; movl $0, 8" : : : "memory");
	else if (!strcmp(how, "stack"))
		return die(how) + die(how);
	else if (!strcmp(how, "exec")) {
		char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		*p = (char)0xc3;
		((void (*)(void))(uintptr_t)p)();
	}
	printf("still here after %s\n", how);
	return 99;
}

/* Memory until there is no more: ENOMEM, and life goes on. */
static int use_all(void)
{
	enum { PIECE = 1 << 20, PIECES = 4096 };
	static char *piece[PIECES];
	int n = 0;

	while (n < PIECES) {
		piece[n] = mmap(NULL, PIECE, PROT_READ | PROT_WRITE,
		                MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (piece[n] == MAP_FAILED)
			break;
		memset(piece[n++], 0x5a, PIECE);
	}
	int err = errno;

	for (int i = 0; i < n; i++) {
		if (piece[i][PIECE - 1] != 0x5a) {
			printf("piece %d lost\n", i);
			return 1;
		}
		munmap(piece[i], PIECE);
	}
	void *again = malloc(PIECE);

	printf("%d MiB, then %s; afterwards malloc %s\n", n, strerror(err), again ? "works" : "fails");
	return n == PIECES || err != ENOMEM || !again;
}

/* Threads that compute with vector registers while timers and other threads take the
 * CPU away: each must get the same sum each time. */
static _Atomic int g_ticks, g_stop;
static void on_tick(int sig)
{
	volatile double noise = 1;

	(void)sig;
	for (int i = 0; i < 50; i++)
		noise = noise * 1.0000001 + 1.5;
	g_ticks++;
}

static void *compute(void *arg)
{
	double first = 0;

	for (int round = 0; !g_stop; round++) {
		double sum = (double)(intptr_t)arg, v[8] = {1, 2, 3, 4, 5, 6, 7, 8};

		for (int i = 0; i < 20000; i++)
			for (int k = 0; k < 8; k++) {
				v[k] = v[k] * 1.0000001 + 0.5;
				sum += v[k];
			}
		if (round == 0)
			first = sum;
		else if (sum != first)
			return "a sum differs";
	}
	return NULL;
}

static void *counter(void *arg)
{
	while (!g_stop)
		++*(volatile long *)arg;
	return NULL;
}

/* 10 ms, until a time that does not move: on a starved machine each tick may come
 * before what is left of a nap began anew. */
static void nap(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 10000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

static int load(int duration)
{
	struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	struct itimerspec it = {{0, 20000000}, {0, 20000000}};
	long count[2] = {0, 0};
	pthread_t t[6];
	timer_t timer;
	void *bad;
	int rc = 0, n = 0;

	sigaction(SIGALRM, &sa, NULL);
	timer_create(CLOCK_MONOTONIC, &ev, &timer);
	timer_settime(timer, 0, &it, NULL);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[n++], NULL, compute, (void *)(intptr_t)i);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[n++], NULL, counter, &count[i]);

	double end = seconds() + duration, worst = 0;

	while (seconds() < end) {
		double before = seconds();

		nap();
		if (seconds() - before > worst)
			worst = seconds() - before;
	}
	g_stop = 1;
	for (int i = 0; i < n; i++) {
		pthread_join(t[i], &bad);
		if (bad) {
			printf("thread %d: %s\n", i, (char *)bad);
			rc = 1;
		}
	}
	printf("ticks %d, counters %s, longest sleep of 10 ms: %.0f ms\n", g_ticks,
	       count[0] > 1000 && count[1] > 1000 ? "both went on" : "one starved", worst * 1e3);
	return rc || g_ticks < duration * 5 || count[0] <= 1000 || count[1] <= 1000;
}

/* The calls that promise durability, by turns. */
static int durable(int fd, int turn)
{
	switch (turn % 4) {
	case 0:
		return fsync(fd);
	case 1:
		return fdatasync(fd);
	case 2:
		return syncfs(fd);
	default:
		sync();
		return 0;
	}
}

/* Append a line to @path and make it durable, for ever; say so only then. */
static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

static volatile sig_atomic_t g_told;

static void told(int sig)
{
	g_told = sig;
}

/* The machine's one CPU is also for domains that boot. */
static void leave_the_cpu(long long took)
{
	usleep(took < 40000 ? (unsigned)(4 * took) : 160000);
}

/* Until told to end; then say how long the longest of them took, the first one apart. */
static int append(const char *path, int lines, int by_turns)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0644);
	long long longest = 0;
	struct sigaction a = {.sa_handler = told, .sa_flags = SA_RESTART};

	sigaction(SIGTERM, &a, NULL);

	if (fd < 0) {
		perror(path);
		return 1;
	}
	for (int i = 0; i < lines && !g_told; i++) {
		char text[64];
		int n = snprintf(text, sizeof(text), "acknowledged %d\n", i);
		const long long begin = now_us();

		if (write(fd, text, (size_t)n) != n || durable(fd, by_turns ? i : 0) != 0) {
			perror("append");
			return 1;
		}
		const long long took = now_us() - begin;

		if (i && took > longest)
			longest = took;
		(void)!write(1, text, (size_t)n);
		if (!by_turns)
			leave_the_cpu(took);
	}
	printf("longest wait %lld.%03lld ms\n", longest / 1000, longest % 1000);
	if (access(path + 1, F_OK)) { /* "/" was in memory that may be gone: it is that of the next one */
		perror("the path from the working directory");
		return 1;
	}
	return 0;
}

/* One call of the service after another until told to end: fstat() of @path, or without
 * one socket() and close().  Say each that takes longer than @ms. */
static int stalls(const char *path, int ms)
{
	const int fd = *path ? open(path, O_CREAT | O_RDWR, 0644) : -1;
	struct sigaction a = {.sa_handler = told, .sa_flags = SA_RESTART};
	struct stat st;

	sigaction(SIGTERM, &a, NULL);
	while (!g_told) {
		const long long begin = now_us();
		const int s = *path ? fstat(fd, &st) : socket(AF_INET, SOCK_DGRAM, 0);
		const int r = *path || s < 0 ? s : close(s);
		const long long took = now_us() - begin;

		if (r < 0) {
			perror("stalls");
			return 1;
		}
		if (took > 1000ll * ms)
			printf("waited %lld.%03lld ms\n", took / 1000, took % 1000);
		usleep(20000);
		leave_the_cpu(took);
	}
	return 0;
}

/* Lock @path and hold it, busy with calls, until killed; or wait until it has been held,
 * then for the lock, and go. */
static int lock(const char *path, int hold)
{
	int fd = open(path, O_CREAT | O_RDWR, 0644);
	char block[4096] = {1};
	struct stat st = {.st_size = 0};

	while (fd >= 0 && !hold && fstat(fd, &st) == 0 && st.st_size == 0)
		usleep(50000);
	if (fd < 0 || flock(fd, LOCK_EX) != 0) {
		perror(path);
		return 1;
	}
	printf("locked\n");
	while (hold)
		if (pwrite(fd, block, sizeof(block), 0) != (ssize_t)sizeof(block) || fsync(fd) != 0) {
			perror("hold");
			return 1;
		}
	return 0;
}

/* Lock @path, which nobody else may have, and write a line; it stays locked. */
static int write_once(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0644);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 || write(fd, "here\n", 5) != 5) {
		perror(path);
		return -1;
	}
	return 0;
}

/* Say @text to who connects to @port. */
static int serve(const char *text, int port)
{
	const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	const int l = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(l, (const struct sockaddr *)&any, sizeof(any)) != 0 || listen(l, 4) != 0) {
		perror("listen");
		return 1;
	}
	printf("waiting\n");
	for (;;) {
		const int c = accept(l, NULL, NULL);

		if (c < 0 || write(c, text, strlen(text)) < 0) {
			perror("accept");
			return 1;
		}
		close(c);
	}
}

static void take_memory(void)
{
	size_t taken = 0;

	for (size_t size = 1 << 20; size >= 4096; size /= 2) {
		char *p;

		while ((p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		                 0)) != MAP_FAILED) {
			memset(p, 1, size);
			taken += size;
		}
	}
	printf("tight: %zu KiB taken, no page is left: %s\n", taken >> 10, strerror(errno));
}

/* A datagram to ourselves, and what came of those before. */
static int talk(int s)
{
	const struct sockaddr_in me = {.sin_family = AF_INET, .sin_port = htons(9),
	                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char c;

	if (sendto(s, "x", 1, 0, (const struct sockaddr *)&me, sizeof(me)) != 1)
		return -1;
	return recv(s, &c, 1, MSG_DONTWAIT) < 0 && errno != EAGAIN ? -1 : 0;
}

/* With all memory taken that there is, until told to end: read @path, which nobody else
 * writes, again and again, and use a socket: what is read is what was written, and
 * nothing fails. */
static int tight(const char *path)
{
	static unsigned char wrote[65536], got[sizeof(wrote)];
	const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct sigaction a = {.sa_handler = told, .sa_flags = SA_RESTART};
	int fd = open(path, O_CREAT | O_RDWR, 0644), s = socket(AF_INET, SOCK_DGRAM, 0), reads = 0;

	sigaction(SIGTERM, &a, NULL);
	for (size_t i = 0; i < sizeof(wrote); i++)
		wrote[i] = (unsigned char)(i * 2654435761u >> 13);
	if (fd < 0 || pwrite(fd, wrote, sizeof(wrote), 0) != (ssize_t)sizeof(wrote) ||
	    bind(s, (const struct sockaddr *)&any, sizeof(any)) != 0 || talk(s) != 0) {
		perror(path);
		return 1;
	}
	take_memory();
	for (; !g_told; reads++) {
		const ssize_t n = pread(fd, got, sizeof(got), 0);

		if (n != (ssize_t)sizeof(got) || memcmp(got, wrote, sizeof(got)) != 0) {
			printf("read %d: %zd: %s\n", reads, n, n < 0 ? strerror(errno) : "other bytes");
			return 1;
		}
		if (talk(s) != 0) {
			printf("after read %d: socket: %s\n", reads, strerror(errno));
			return 1;
		}
	}
	printf("%d reads\n", reads);
	return 0;
}

static int unlock(int fd)
{
	return flock(fd, LOCK_UN);
}

static int ask_attributes(int fd)
{
	struct stat st;

	return fstat(fd, &st);
}

static int time_calls(const char *name, int (*call)(int fd), int fd, int n)
{
	double start = 0;

	for (int i = -n / 4; i < n; i++) {
		if (i == 0)
			start = seconds();
		if (call(fd) != 0) {
			perror(name);
			return 1;
		}
	}
	printf("%s: %d calls, %.0f us each\n", name, n, (seconds() - start) / n * 1e6);
	return 0;
}

static int make(const char *path)
{
	return close(open(path, O_CREAT | O_RDWR, 0644));
}

/* Null calls: to drop a lock that is not held is a few numbers there and one back, and
 * nothing done.  And the smallest that does something, fstat().  A round of them each time
 * that there is a file @path.ROUND; @path.ROUND.done is its end. */
static int calls(const char *path, int n, int rounds)
{
	int fd = open(path, O_CREAT | O_RDWR, 0644);
	char name[256];

	for (int r = 1; r <= rounds; r++) {
		snprintf(name, sizeof(name), "%s.%d", path, r);
		while (access(name, F_OK) != 0)
			usleep(300000);
		if (time_calls("null", unlock, fd, n) || time_calls("fstat", ask_attributes, fd, n))
			return 1;
		strcat(name, ".done");
		if (make(name) != 0) {
			perror(name);
			return 1;
		}
	}
	return fd < 0;
}

static int is(const char *word, const char *name)
{
	return !strcmp(word, name);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "words";
	const char *arg = argc > 2 ? argv[2] : "";
	int n = atoi(argc > 3 ? argv[3] : arg);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (is(what, "hello")) {
		printf("hello, world\n");
		return 0;
	}
	if (is(what, "words"))
		return words(argc, argv);
	if (is(what, "exit"))
		return n;
	if (is(what, "echo"))
		return echo();
	if (is(what, "flood"))
		return flood(n);
	if (is(what, "die"))
		return die(arg);
	if (is(what, "memory"))
		return use_all();
	if (is(what, "load"))
		return load(n);
	if (is(what, "append"))
		return append(arg, n, 1);
	if (is(what, "append-fsync"))
		return append(arg, n, 0);
	if (is(what, "stalls"))
		return stalls(arg, n > 0 ? n : 50);
	if (is(what, "hold"))
		return lock(arg, 1);
	if (is(what, "wait-lock"))
		return lock(arg, 0);
	if (is(what, "tight"))
		return tight(arg);
	if (is(what, "calls"))
		return calls(arg, n, atoi(argc > 4 ? argv[4] : "1"));
	if (is(what, "wait") || is(what, "ignore")) { /* "ignore": SIGTERM, too */
		if (is(what, "ignore"))
			signal(SIGTERM, SIG_IGN);
		if (*arg && write_once(arg) != 0)
			return 1;
		if (argc > 3)
			return serve(arg, n);
		printf("waiting\n");
		for (;;)
			pause();
	}
	fprintf(stderr, "probe: unknown '%s'\n", what);
	return 2;
}
