/* SPDX-License-Identifier: MIT */
/*
 * fileops - a random sequence of file calls from a seed, with what each one gave.
 *
 *     fileops [OPTION...] DIR      make DIR's tree by --count steps, then print it
 *     fileops --dump DIR           print DIR's tree alone
 *
 *   --seed N      of the sequence (1)
 *   --count N     steps a thread (200)
 *   --threads N   workers at once, each in a folder of its own (1)
 *   --only LIST   just these steps, e.g. 3,17,40-44: to shrink a sequence
 *   --pause USEC  between steps
 *   --recovers    leave out what may be another after the file service's death: which of
 *                 several locks is told, the attributes of a removed folder
 *
 * Two runs of one seed print the same if the file systems behave the same.
 * Exit 0 when all was done, 2 for bad usage.
 */
#include "tests/faults/fileops.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEPS_MAX   100000u
#define THREADS_MAX 64u

static unsigned g_count = 200, g_threads = 1, g_pause;
static uint64_t g_seed = 1;
static bool g_recovers;
static bool *g_only; /* of STEPS_MAX; NULL: all */

/* ---- numbers ---- */

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

uint32_t rnd(struct worker *w, uint32_t n)
{
	w->rng = mix(w->rng);
	return (uint32_t)(w->rng >> 32) % n;
}

uint64_t hash_bytes(uint64_t h, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

void fill(struct worker *w, size_t len)
{
	uint64_t x = mix(w->seed ^ ((uint64_t)w->step << 20) ^ w->nr);

	for (size_t i = 0; i < len; i++) {
		if (i % 8 == 0)
			x = mix(x);
		w->buf[i] = (char)(x >> (i % 8 * 8));
	}
}

/* ---- lines ---- */

void say(struct worker *w, const char *fmt, ...)
{
	va_list ap;

	fprintf(w->out, "%u.%u ", w->nr, w->step);
	va_start(ap, fmt);
	vfprintf(w->out, fmt, ap);
	va_end(ap);
}

void result(struct worker *w, long r)
{
	if (r < 0)
		fprintf(w->out, " = error %d (%s)\n", errno, strerror(errno));
	else
		fprintf(w->out, " = %ld\n", r);
}

void result_data(struct worker *w, long r, const void *data)
{
	if (r < 0)
		result(w, r);
	else
		fprintf(w->out, " = %ld %016llx\n", r,
		        (unsigned long long)hash_bytes(HASH_START, data, (size_t)r));
}

/* ---- workers ---- */

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	steps_prepare(w);
	for (w->step = 0; w->step < g_count; w->step++) {
		if (g_only && !g_only[w->step])
			continue;
		w->rng = mix(mix(g_seed) ^ mix(((uint64_t)w->nr << 32) | w->step));
		step_run(w);
		if (w->alone)
			fflush(w->out); /* what was seen before a fault that ends us */
		if (g_pause)
			usleep(g_pause);
	}
	return NULL;
}

/* Deep enough that no link with "../" leads out of what is the worker's own. */
static int make_folder(struct worker *w)
{
	char dir[32];

	for (int depth = 0; depth < 3; depth++) {
		snprintf(dir, sizeof(dir), depth == 0   ? "w%u"
		                           : depth == 1 ? "w%u/x"
		                                        : "w%u/x/y", w->nr);
		if (mkdir(dir, 0755) < 0)
			return -1;
	}
	w->base = open(dir, O_RDONLY | O_DIRECTORY);
	if (w->base < 0)
		return -1;
	if (w->alone)
		return fchdir(w->base);
	snprintf(w->prefix, sizeof(w->prefix), "%s/", dir);
	return 0;
}

static int worker_init(struct worker *w, unsigned nr, char **text, size_t *len)
{
	w->nr = nr;
	w->seed = g_seed;
	w->alone = g_threads == 1;
	w->recovers = g_recovers;
	w->buf = malloc(BUF_SIZE);
	w->out = w->alone ? stdout : open_memstream(text, len);
	for (int i = 0; i < SLOTS; i++)
		w->slot[i].fd = -1;
	return w->buf && w->out ? make_folder(w) : -1;
}

static int run_all(const char *dir)
{
	static struct worker w[THREADS_MAX];
	static pthread_t t[THREADS_MAX];
	static char *text[THREADS_MAX];
	static size_t len[THREADS_MAX];

	const int top = open(dir, O_RDONLY | O_DIRECTORY);

	if (top < 0 || fchdir(top) < 0)
		return -1;
	umask(022);
	for (unsigned i = 0; i < g_threads; i++)
		if (worker_init(&w[i], i, &text[i], &len[i]) < 0)
			return -1;
	if (g_threads == 1)
		worker_main(&w[0]);
	for (unsigned i = 0; g_threads > 1 && i < g_threads; i++)
		if (pthread_create(&t[i], NULL, worker_main, &w[i]) != 0)
			return -1;
	for (unsigned i = 0; g_threads > 1 && i < g_threads; i++) {
		pthread_join(t[i], NULL);
		fclose(w[i].out);
		fwrite(text[i], 1, len[i], stdout);
	}
	return fchdir(top);
}

/* ---- options ---- */

static int usage(const char *why)
{
	fprintf(stderr, "fileops: %s; usage: fileops [--seed N] [--count N] [--threads N] "
	                "[--only LIST] [--pause USEC] [--recovers] [--dump] DIR\n", why);
	return 2;
}

static int parse_only(const char *s)
{
	g_only = calloc(STEPS_MAX, sizeof(*g_only));
	if (!g_only)
		return -1;
	while (*s) {
		char *end;
		unsigned long a = strtoul(s, &end, 10), b = a;

		if (*end == '-')
			b = strtoul(end + 1, &end, 10);
		if (end == s || b >= STEPS_MAX || (*end && *end != ','))
			return -1;
		for (; a <= b; a++)
			g_only[a] = true;
		s = *end ? end + 1 : end;
	}
	return 0;
}

static int parse_number(const char *s, unsigned most, unsigned *to)
{
	char *end;
	const unsigned long v = strtoul(s, &end, 10);

	if (!*s || *end || v > most)
		return -1;
	*to = (unsigned)v;
	return 0;
}

/* One option and its value; 0, or -1. */
static int option(const char *name, const char *value)
{
	unsigned seed;

	if (!value)
		return -1;
	if (!strcmp(name, "--seed")) {
		if (parse_number(value, UINT32_MAX, &seed) < 0)
			return -1;
		g_seed = seed;
		return 0;
	}
	if (!strcmp(name, "--count"))
		return parse_number(value, STEPS_MAX, &g_count);
	if (!strcmp(name, "--threads"))
		return parse_number(value, THREADS_MAX, &g_threads);
	if (!strcmp(name, "--pause"))
		return parse_number(value, 1000000, &g_pause);
	if (!strcmp(name, "--only"))
		return parse_only(value);
	return -1;
}

int main(int argc, char **argv)
{
	bool dump_alone = false;
	int i = 1;

	for (; i < argc && !strncmp(argv[i], "--", 2); i++) {
		if (!strcmp(argv[i], "--dump"))
			dump_alone = true;
		else if (!strcmp(argv[i], "--recovers"))
			g_recovers = true;
		else if (option(argv[i], argv[i + 1]) < 0)
			return usage(argv[i]);
		else
			i++;
	}
	if (i + 1 != argc || g_threads < 1)
		return usage("one DIR");
	if (!dump_alone && run_all(argv[i]) < 0) {
		fprintf(stderr, "fileops: %s: %s\n", argv[i], strerror(errno));
		return 1;
	}
	if (tree_dump(stdout, dump_alone ? argv[i] : ".") < 0) {
		fprintf(stderr, "fileops: tree: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}
