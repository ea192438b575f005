/* SPDX-License-Identifier: MIT */
/*
 * Random calls of mmap's family by several threads at once, each in an area of its own,
 * with every page's contents and permissions known: a store or load that must fault
 * does, all others find what was there.  Shows stale translations, lost pages, pages
 * given twice, and faults that meet a half-done call.
 */
#include "tests/sys/check.h"

#include <setjmp.h>
#include <stdbool.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define N_PAGES 64u
#define N_THREADS 3u
#define ROUNDS 6000u

struct page {
	bool mapped;
	int prot;
	uint64_t stamp;
};

struct area {
	char *base;
	struct page page[N_PAGES];
	uint64_t stamp, seed;
	unsigned bad;
};

static __thread sigjmp_buf g_out;
static __thread volatile int g_code;

static void note(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	g_code = si->si_code;
	siglongjmp(g_out, 1);
}

static unsigned chance(struct area *a, unsigned n)
{
	a->seed = a->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(a->seed >> 33) % n;
}

static volatile uint64_t *word(const struct area *a, unsigned i)
{
	/* Not at the page's begin, and not the same place on each. */
	return (volatile uint64_t *)(a->base + i * PAGE + (i * 72u & 0xff8));
}

static void fail(struct area *a, unsigned i, const char *what)
{
	char text[160];

	if (a->bad++)
		return;
	snprintf(text, sizeof(text), "page %u: %s (mapped %d, prot %d)\n", i, what,
	         a->page[i].mapped, a->page[i].prot);
	check_note(text);
}

static void touch(struct area *a, unsigned i, bool write)
{
	struct page *p = &a->page[i];
	const bool may = p->mapped &&
	                 (write ? (p->prot & PROT_WRITE) != 0 : p->prot != PROT_NONE);

	g_code = 0;
	if (sigsetjmp(g_out, 1) == 0) {
		if (write) {
			*word(a, i) = a->stamp + 1;
			p->stamp = ++a->stamp;
		} else if (*word(a, i) != p->stamp) {
			fail(a, i, "another's contents");
		}
	}
	if (may && g_code)
		fail(a, i, "a fault where none should be");
	else if (!may && !g_code)
		fail(a, i, "no fault where one should be");
	else if (!may && g_code != (p->mapped ? SEGV_ACCERR : SEGV_MAPERR))
		fail(a, i, "a fault of the wrong kind");
}

static int any_prot(struct area *a)
{
	static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
	                            PROT_READ | PROT_WRITE};

	return prots[chance(a, 4)];
}

static void change(struct area *a, unsigned first, unsigned n)
{
	void *at = a->base + first * PAGE;
	const int prot = any_prot(a);
	bool covered = true;

	for (unsigned i = first; i < first + n; i++)
		covered &= a->page[i].mapped;
	switch (chance(a, 5)) {
	case 0:
	case 1:
		if (mmap(at, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		         -1, 0) != at)
			fail(a, first, "mmap fails");
		for (unsigned i = first; i < first + n; i++)
			a->page[i] = (struct page){true, prot, 0};
		break;
	case 2:
		if (munmap(at, n * PAGE) != 0)
			fail(a, first, "munmap fails");
		memset(&a->page[first], 0, n * sizeof(a->page[0]));
		break;
	case 3:
		if (covered && mprotect(at, n * PAGE, prot) != 0)
			fail(a, first, "mprotect fails");
		for (unsigned i = first; covered && i < first + n; i++)
			a->page[i].prot = prot;
		break;
	default:
		if (covered && madvise(at, n * PAGE, MADV_DONTNEED) != 0)
			fail(a, first, "madvise fails");
		for (unsigned i = first; covered && i < first + n; i++)
			a->page[i].stamp = 0;
		break;
	}
}

/* One page goes to another place of the area. */
static void move(struct area *a, unsigned from, unsigned to)
{
	char *at = a->base + to * PAGE;

	if (from == to || !a->page[from].mapped)
		return;
	/* Its word's place depends on the page: store it anew where it can be. */
	if (mremap(a->base + from * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
	           at) != at)
		fail(a, from, "mremap fails");
	a->page[to] = a->page[from];
	a->page[from] = (struct page){0};
	if (a->page[to].prot & PROT_WRITE)
		touch(a, to, true);
	else if (munmap(at, PAGE) == 0)
		a->page[to] = (struct page){0};
}

static void *work(void *arg)
{
	struct area *a = arg;

	for (unsigned round = 0; round < ROUNDS && !a->bad; round++) {
		const unsigned first = chance(a, N_PAGES), most = N_PAGES - first;
		const unsigned n = 1 + chance(a, most < 9 ? most : 9);

		switch (chance(a, 10)) {
		case 0:
		case 1:
			change(a, first, n);
			break;
		case 2:
			move(a, first, chance(a, N_PAGES));
			break;
		default:
			touch(a, first, chance(a, 2) != 0);
			break;
		}
	}
	for (unsigned i = 0; i < N_PAGES && !a->bad; i++)
		touch(a, i, false);
	return NULL;
}

static volatile bool g_stop;

/* Interrupts the others where it can. */
static void *disturb(void *arg)
{
	const struct timespec pause = {0, 500000};

	while (!g_stop) {
		nanosleep(&pause, NULL);
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
	}
	return NULL;
}

static void nothing(int sig)
{
	(void)sig;
}

static void every_page_is_as_expected(void)
{
	static struct area areas[N_THREADS];
	struct sigaction sa = {.sa_sigaction = note,
	                       .sa_flags = SA_SIGINFO | SA_NODEFER};
	struct sigaction poke = {.sa_handler = nothing, .sa_flags = SA_RESTART};
	pthread_t t[N_THREADS], d;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGUSR1, &poke, NULL);
	for (unsigned i = 0; i < N_THREADS; i++) {
		/* Room around, so that nobody else's mapping comes in. */
		char *room = mmap(NULL, (N_PAGES + 512) * PAGE, PROT_NONE,
		                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		CHECK(room != MAP_FAILED);
		areas[i] = (struct area){.base = room + 256 * PAGE, .seed = i + 1};
		for (unsigned k = 0; k < N_PAGES; k++)
			areas[i].page[k] = (struct page){true, PROT_NONE, 0};
		CHECK_EQ(pthread_create(&t[i], NULL, work, &areas[i]), 0);
	}
	CHECK_EQ(pthread_create(&d, NULL, disturb, &t[0]), 0);
	for (unsigned i = 1; i < N_THREADS; i++)
		pthread_join(t[i], NULL);
	g_stop = true;
	pthread_join(d, NULL);
	pthread_join(t[0], NULL);
	for (unsigned i = 0; i < N_THREADS; i++) {
		CHECK_EQ(areas[i].bad, 0);
		munmap(areas[i].base - 256 * PAGE, (N_PAGES + 512) * PAGE);
	}
}

int main(void)
{
	watchdog(45);
	CASE(every_page_is_as_expected);
	return g_failed;
}
