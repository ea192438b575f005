/* SPDX-License-Identifier: MIT */
/*
 * random.c - the guest's random numbers: a ChaCha20 generator (drbg.c), seeded from
 *
 *   RDRAND, checked: words must come within a few tries, and must differ;
 *   what the toolstack passes, if it does (config_entropy());
 *   the jitter of the TSC against memory and Xen, always, as a last resort.
 *
 * Each is mixed in, so the strongest counts.  RDRAND is asked again every
 * RESEED_BYTES and whenever RESEED_NS went by.
 */
#include "platform/xen/drbg.h"
#include "platform/xen/xen.h"

#define CPUID1_ECX_RDRAND (1u << 30)
#define RDRAND_TRIES 32u /* Intel's advice is 10 */
#define RDRAND_WORDS 8u
#define JITTER_WORDS 4u   /* one block of the generator's */
#define JITTER_FEW 64u    /* beside RDRAND */
#define JITTER_MANY 2048u /* alone */
#define RESEED_BYTES (1u << 20)
#define RESEED_NS UINT64_C(60000000000)

static struct drbg g_drbg;
static bool g_seeded, g_rdrand;
static size_t g_given;
static uint64_t g_reseed_at;

static bool cpu_has_rdrand(void)
{
	return (cpu_features()[2] & CPUID1_ECX_RDRAND) != 0;
}

static bool rdrand(uint64_t *v)
{
	for (unsigned i = 0; i < RDRAND_TRIES; i++) {
		bool ok;

		__asm__ volatile("rdrand %0" : "=r"(*v), "=@ccc"(ok));
		if (ok)
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

/* Some CPUs answer all ones, or one word for ever, after firmware's bugs: a block in
 * which any word comes again is not believed (one in 2^58 by chance). */
static bool mix_rdrand(void)
{
	uint64_t v[RDRAND_WORDS];

	for (unsigned i = 0; i < RDRAND_WORDS; i++) {
		if (!rdrand(&v[i]) || v[i] == 0 || v[i] == UINT64_MAX)
			return false;
		for (unsigned k = 0; k < i; k++)
			if (v[k] == v[i])
				return false;
	}
	drbg_mix(&g_drbg, v, sizeof(v));
	return true;
}

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* How long reads of a walk through memory take: the low bits of each time count, so many
 * of them share the words that are mixed in (a block of ChaCha20 is 3000 instructions). */
static void mix_jitter(unsigned rounds)
{
	static volatile uint8_t walk[16384];
	uint64_t folded[JITTER_WORDS] = {0}, before = rdtsc();
	uint32_t at = (uint32_t)before;

	for (unsigned i = 0; i < rounds; i++) {
		uint64_t now, *word = &folded[i % JITTER_WORDS];

		at = at * 1664525u + 1013904223u + walk[at % sizeof(walk)];
		walk[at % sizeof(walk)]++;
		now = rdtsc();
		*word = (*word << 5 | *word >> 59) ^ (now - before) ^ now << 32;
		before = now;
		if (i % JITTER_FEW == JITTER_FEW - 1)
			drbg_mix(&g_drbg, folded, sizeof(folded));
	}
}

static void seed(void)
{
	uint8_t passed[256];
	uint64_t first[4] = {plat_real_ns(), rdtsc()}; /* and who we are */
	size_t n = config_entropy(passed, sizeof(passed));

	__builtin_memcpy(&first[2], g_config.client_id, sizeof(g_config.client_id));
	drbg_mix(&g_drbg, first, sizeof(first));
	drbg_mix(&g_drbg, passed, n);
	g_rdrand = cpu_has_rdrand() && mix_rdrand();
	mix_jitter(g_rdrand ? JITTER_FEW : JITTER_MANY);
	g_seeded = true;
}

static void reseed(uint64_t now)
{
	if (g_rdrand)
		(void)mix_rdrand(); /* it may be stuck by now: the state stays as good */
	else
		mix_jitter(JITTER_MANY);
	g_given = 0;
	g_reseed_at = now + RESEED_NS;
}

/* A request at a time, as short as the callers' blocks (libos/random.c). */
void plat_random(void *to, size_t n)
{
	uint8_t *out = to;

	while (n > 0) {
		const size_t part = n < 1024 ? n : 1024;
		const uint64_t flags = irq_off(), now = plat_mono_ns();

		if (!g_seeded)
			seed();
		if (g_given >= RESEED_BYTES || now >= g_reseed_at)
			reseed(now);
		drbg_get(&g_drbg, out, part);
		g_given += part;
		irq_restore(flags);
		out += part;
		n -= part;
	}
}
