/* SPDX-License-Identifier: MIT */
/*
 * Threads that compute with every register, under preemption and signals: what a
 * thread holds in its registers and in its red zone is its own.
 *
 * An argument gives the seconds that the long case takes (2).
 */
#include "tests/sys/check.h"

#include <fenv.h>
#include <sched.h>
#include <stddef.h>
#include <sys/time.h>

#define N_THREADS 6

struct image {
	uint64_t gpr[10];              /* rbx rbp r8 to r15 */
	uint64_t red_zone[16];         /* [rsp - 128, rsp) */
	_Alignas(16) uint8_t xmm[16][16];
	double x87[6];
	uint32_t mxcsr;
	uint16_t cw;
};
_Static_assert(offsetof(struct image, red_zone) == 80, "asm below");
_Static_assert(offsetof(struct image, xmm) == 208, "asm below");
_Static_assert(offsetof(struct image, x87) == 464, "asm below");
_Static_assert(offsetof(struct image, mxcsr) == 512, "asm below");
_Static_assert(offsetof(struct image, cw) == 516, "asm below");

/* Load all of @in, count @n down, store all to @out. */
void hold_registers(const struct image *in, struct image *out, long n);
__asm__(".text\n"
        ".macro EACH_XMM op\n"
        ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "\\op \\i\n"
        ".endr\n"
        ".endm\n"
        ".macro LOAD_XMM i\n"
        "movaps 208 + 16 * \\i(%rdi), %xmm\\i\n"
        ".endm\n"
        ".macro STORE_XMM i\n"
        "movaps %xmm\\i, 208 + 16 * \\i(%rsi)\n"
        ".endm\n"
        ".macro LOAD_RED i\n"
        "movq 80 + 8 * \\i(%rdi), %rax\n"
        "movq %rax, -128 + 8 * \\i(%rsp)\n"
        ".endm\n"
        ".macro STORE_RED i\n"
        "movq -128 + 8 * \\i(%rsp), %rax\n"
        "movq %rax, 80 + 8 * \\i(%rsi)\n"
        ".endm\n"
        ".globl hold_registers\n"
        ".type hold_registers, @function\n"
        "hold_registers:\n"
        "pushq %rbx\npushq %rbp\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "subq $24, %rsp\n"
        "stmxcsr (%rsp)\n"
        "fnstcw 8(%rsp)\n"
        "ldmxcsr 512(%rdi)\n"
        "fninit\n"
        "fldcw 516(%rdi)\n"
        "fldl 464(%rdi)\nfldl 472(%rdi)\nfldl 480(%rdi)\n"
        "fldl 488(%rdi)\nfldl 496(%rdi)\nfldl 504(%rdi)\n"
        "EACH_XMM LOAD_XMM\n"
        "EACH_XMM LOAD_RED\n" /* sixteen of them, too */
        "movq 0(%rdi), %rbx\nmovq 8(%rdi), %rbp\n"
        "movq 16(%rdi), %r8\nmovq 24(%rdi), %r9\nmovq 32(%rdi), %r10\n"
        "movq 40(%rdi), %r11\nmovq 48(%rdi), %r12\nmovq 56(%rdi), %r13\n"
        "movq 64(%rdi), %r14\nmovq 72(%rdi), %r15\n"
        "1: decq %rdx\n"
        "jnz 1b\n"
        "movq %rbx, 0(%rsi)\nmovq %rbp, 8(%rsi)\n"
        "movq %r8, 16(%rsi)\nmovq %r9, 24(%rsi)\nmovq %r10, 32(%rsi)\n"
        "movq %r11, 40(%rsi)\nmovq %r12, 48(%rsi)\nmovq %r13, 56(%rsi)\n"
        "movq %r14, 64(%rsi)\nmovq %r15, 72(%rsi)\n"
        "EACH_XMM STORE_RED\n"
        "EACH_XMM STORE_XMM\n"
        "fstpl 504(%rsi)\nfstpl 496(%rsi)\nfstpl 488(%rsi)\n"
        "fstpl 480(%rsi)\nfstpl 472(%rsi)\nfstpl 464(%rsi)\n"
        "stmxcsr 512(%rsi)\n"
        "fnstcw 516(%rsi)\n"
        "ldmxcsr (%rsp)\n"
        "fninit\n"
        "fldcw 8(%rsp)\n"
        "addq $24, %rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbp\npopq %rbx\n"
        "ret\n"
        ".size hold_registers, . - hold_registers\n");

static volatile int g_stop;
static volatile long g_signals, g_rounds[N_THREADS], g_wrong;
static pthread_t g_threads[N_THREADS];
static int g_seconds = 2;

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15u;
	return x ^ x >> 29;
}

static void fill(struct image *im, uint64_t seed)
{
	memset(im, 0, sizeof(*im));
	for (int i = 0; i < 10; i++)
		im->gpr[i] = mix(seed + (uint64_t)i);
	for (int i = 0; i < 16; i++) {
		const uint64_t v[2] = {mix(seed + 100 + (uint64_t)i), mix(seed + 200 + (uint64_t)i)};

		im->red_zone[i] = mix(seed + 300 + (uint64_t)i);
		memcpy(im->xmm[i], v, sizeof(v));
	}
	for (int i = 0; i < 6; i++)
		im->x87[i] = (double)(mix(seed + 400 + (uint64_t)i) >> 12) / 3.0;
	im->mxcsr = 0x1f80 | (uint32_t)(seed % 4) << 13; /* a rounding mode of its own */
	im->cw = (uint16_t)(0x037f | (seed % 4) << 10);
}

/* Hold the registers of @seed for @n rounds; count what comes out otherwise. */
static void hold(uint64_t seed, long n)
{
	struct image in, out;

	fill(&in, seed);
	memset(&out, 0, sizeof(out)); /* the padding */
	hold_registers(&in, &out, n);
	if (memcmp(&in, &out, sizeof(in)) != 0)
		__atomic_fetch_add(&g_wrong, 1, __ATOMIC_RELAXED);
}

/* Uses what the interrupted code holds. */
static void handler(int sig)
{
	(void)sig;
	hold((uint64_t)g_signals, 10);
	__atomic_fetch_add(&g_signals, 1, __ATOMIC_RELAXED);
}

static void *compute(void *arg)
{
	const int me = (int)(intptr_t)arg;

	for (uint64_t round = 0; !g_stop; round++) {
		hold((uint64_t)me * 1000003 + round, 20000 + (long)(mix(round) % 20000));
		g_rounds[me]++;
		if (me == 0 && round % 7 == 0)
			sched_yield();
		if (me == 1 && round % 5 == 0)
			sleep_ms(1);
	}
	return NULL;
}

static void computing_threads_keep_their_registers(void)
{
	const struct itimerval every = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct timespec begin, now;

	sigemptyset(&sa.sa_mask);
	CHECK_EQ(sigaction(SIGALRM, &sa, NULL), 0);
	CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
	for (int i = 0; i < N_THREADS; i++)
		CHECK_EQ(pthread_create(&g_threads[i], NULL, compute, (void *)(intptr_t)i), 0);
	CHECK_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (unsigned i = 0;; i++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - begin.tv_sec >= g_seconds)
			break;
		CHECK_EQ(pthread_kill(g_threads[i % N_THREADS], SIGUSR1), 0);
		hold(i, 100);
		sleep_ms(2);
	}
	CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
	g_stop = 1;
	for (int i = 0; i < N_THREADS; i++) {
		CHECK_EQ(pthread_join(g_threads[i], NULL), 0);
		CHECK(g_rounds[i] > 0);
	}
	CHECK_EQ(g_wrong, 0);
	CHECK(g_signals > 10);
	fprintf(stderr, "%ld signals; rounds:", g_signals);
	for (int i = 0; i < N_THREADS; i++)
		fprintf(stderr, " %ld", g_rounds[i]);
	fprintf(stderr, "\n");
}

/* ---- AVX ---- */

struct avx_image {
	_Alignas(32) uint8_t ymm[16][32];
};

/* As hold_registers(), of the sixteen vectors of AVX. */
void hold_avx(const struct avx_image *in, struct avx_image *out, long n);
__asm__(".macro LOAD_YMM i\n"
        "vmovaps 32 * \\i(%rdi), %ymm\\i\n"
        ".endm\n"
        ".macro STORE_YMM i\n"
        "vmovaps %ymm\\i, 32 * \\i(%rsi)\n"
        ".endm\n"
        ".globl hold_avx\n"
        ".type hold_avx, @function\n"
        "hold_avx:\n"
        "EACH_XMM LOAD_YMM\n"
        "1: decq %rdx\n"
        "jnz 1b\n"
        "EACH_XMM STORE_YMM\n"
        "vzeroupper\n"
        "ret\n"
        ".size hold_avx, . - hold_avx\n");

static void hold_vectors(uint64_t seed, long n)
{
	struct avx_image in, out;

	for (int i = 0; i < 16; i++)
		for (int k = 0; k < 4; k++) {
			const uint64_t v = mix(seed + (uint64_t)(4 * i + k));

			memcpy(in.ymm[i] + 8 * k, &v, sizeof(v));
		}
	hold_avx(&in, &out, n);
	if (memcmp(&in, &out, sizeof(in)) != 0)
		__atomic_fetch_add(&g_wrong, 1, __ATOMIC_RELAXED);
}

static void avx_handler(int sig)
{
	hold_vectors((uint64_t)sig, 10);
}

static void *compute_avx(void *arg)
{
	for (uint64_t round = 0; !g_stop; round++)
		hold_vectors((uint64_t)(uintptr_t)arg * 7919 + round, 20000);
	return NULL;
}

static void vectors_of_avx_are_kept_too(void)
{
	struct sigaction sa = {.sa_handler = avx_handler, .sa_flags = SA_RESTART};
	pthread_t t[2];

	if (!__builtin_cpu_supports("avx")) {
		fprintf(stderr, "this CPU has no AVX\n");
		return;
	}
	g_wrong = 0;
	g_stop = 0;
	sigemptyset(&sa.sa_mask);
	CHECK_EQ(sigaction(SIGUSR2, &sa, NULL), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, compute_avx, (void *)(intptr_t)i), 0);
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(pthread_kill(t[i % 2], SIGUSR2), 0);
		hold_vectors((uint64_t)i, 100);
		sleep_ms(2);
	}
	g_stop = 1;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(g_wrong, 0);
}

/* ---- fairness ---- */

static volatile long g_count[3];

static void *count_up(void *arg)
{
	volatile long *n = arg;

	while (!g_stop)
		(*n)++;
	return NULL;
}

/* On one CPU they get it in turn, on several at once: none gets nothing. */
static void computing_threads_all_get_on(void)
{
	pthread_t t[3];

	g_stop = 0;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, count_up, (void *)&g_count[i]), 0);
	for (int i = 0; i < 100 && !(g_count[0] && g_count[1] && g_count[2]); i++)
		sleep_ms(10);
	g_stop = 1;
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(pthread_join(t[i], NULL), 0);
		CHECK(g_count[i] > 0);
	}
}

/* A sleeper is not kept waiting by those that compute. */
static void a_sleeper_wakes_beside_threads_that_compute(void)
{
	struct timespec begin, now;
	pthread_t t[2];
	long ms;

	g_stop = 0;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, count_up, (void *)&g_count[i]), 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < 20; i++)
		sleep_ms(5);
	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000;
	CHECK(ms >= 100);
	CHECK(ms < 2000);
	g_stop = 1;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	fprintf(stderr, "20 sleeps of 5 ms took %ld ms\n", ms);
}

/* ---- what lasts over a call ---- */

static void *other_mode(void *arg)
{
	fesetround(FE_UPWARD);
	for (int i = 0; i < 50; i++) {
		if (fegetround() != FE_UPWARD)
			g_wrong++;
		sched_yield();
		sleep_ms(1);
	}
	return arg;
}

static void control_words_and_exceptions_last_over_sleeps(void)
{
	volatile long double one = 1, zero = 0, result;
	pthread_t t;

	g_wrong = 0;
	fesetround(FE_DOWNWARD);
	CHECK_EQ(pthread_create(&t, NULL, other_mode, NULL), 0);
	for (int i = 0; i < 50; i++) {
		feclearexcept(FE_ALL_EXCEPT);
		if (i % 2) {
			result = one / zero; /* the x87's */
			(void)result;
		}
		sleep_ms(1);
		if ((fetestexcept(FE_DIVBYZERO) != 0) != (i % 2) ||
		    fegetround() != FE_DOWNWARD)
			g_wrong++;
	}
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(g_wrong, 0);
	fesetround(FE_TONEAREST);
}

static void *mode_of_the_creator(void *arg)
{
	*(int *)arg = fegetround();
	return NULL;
}

static void a_thread_begins_with_its_creators_rounding(void)
{
	pthread_t t;
	int mode = -1;

	fesetround(FE_TOWARDZERO);
	CHECK_EQ(pthread_create(&t, NULL, mode_of_the_creator, &mode), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(mode, FE_TOWARDZERO);
	fesetround(FE_TONEAREST);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		g_seconds = atoi(argv[1]);
	watchdog(g_seconds + 40);
	CASE(computing_threads_keep_their_registers);
	CASE(vectors_of_avx_are_kept_too);
	CASE(computing_threads_all_get_on);
	CASE(a_sleeper_wakes_beside_threads_that_compute);
	CASE(control_words_and_exceptions_last_over_sleeps);
	CASE(a_thread_begins_with_its_creators_rounding);
	return g_failed;
}
