/* SPDX-License-Identifier: MIT */
/*
 * platform/xen's FP state: what is saved comes back, on this machine's CPU.
 *
 * The file is included, since its features are set by instructions that only a
 * kernel may use; saving and loading are not among these.
 */
#include "platform/xen/fpu.c"

#include "tests/unit/suite.h"

#include <fenv.h>
#include <stdlib.h>
#include <string.h>

uint64_t xen_boot_cr4; /* start.S's */

static _Alignas(64) uint8_t g_area[XTHREAD_FP_SIZE];

_Noreturn void boot_die(const char *what)
{
	(void)what;
	abort();
}

const uint32_t *cpu_features(void)
{
	static const uint32_t none[4];

	return none;
}

static uint64_t features_of_this_cpu(void)
{
	uint32_t r[4], lo, hi;

	cpuid(1, 0, r);
	if (!(r[2] & (1u << 27))) /* OSXSAVE */
		return 0;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return lo & (X_SSE | X_AVX | X_AVX512);
}

/* Registers 0 and 8 through a save and a load, with other things in them between.
 * The compiler uses none itself: this file is built for general registers only. */
static void through(const uint8_t in[64], uint8_t out[64], bool avx)
{
	static const uint8_t other[64] = {0xff, 0xee, 0xdd};

	if (avx)
		__asm__ volatile("vmovups (%0), %%ymm0; vmovups 32(%0), %%ymm8"
		                 :
		                 : "r"(in));
	else
		__asm__ volatile("movups (%0), %%xmm0; movups 32(%0), %%xmm8"
		                 :
		                 : "r"(in));
	fpu_save(g_area);
	if (avx)
		__asm__ volatile("vmovups (%0), %%ymm0; vmovups 32(%0), %%ymm8"
		                 :
		                 : "r"(other));
	else
		__asm__ volatile("movups (%0), %%xmm0; movups 32(%0), %%xmm8"
		                 :
		                 : "r"(other));
	fpu_load(g_area);
	if (avx)
		__asm__ volatile(
		        "vmovups %%ymm0, (%0); vmovups %%ymm8, 32(%0); vzeroupper"
		        :
		        : "r"(out)
		        : "memory");
	else
		__asm__ volatile("movups %%xmm0, (%0); movups %%xmm8, 32(%0)"
		                 :
		                 : "r"(out)
		                 : "memory");
}

static void vectors(bool avx)
{
	uint8_t in[64], out[64];

	for (int i = 0; i < 64; i++)
		in[i] = (uint8_t)(i * 7 + 1);
	for (int round = 0; round < 3;
	     round++) { /* over an area that was used before */
		memset(out, 0, sizeof(out));
		through(in, out, avx);
		CU_ASSERT_EQUAL(memcmp(in, out, avx ? 32 : 16), 0);
		CU_ASSERT_EQUAL(memcmp(in + 32, out + 32, avx ? 32 : 16), 0);
	}
}

static void fxsave_keeps_sse(void)
{
	g_features = 0;
	memset(g_area, 0xa5, sizeof(g_area));
	vectors(false);
}

static void xsave_keeps_all_that_the_cpu_has(void)
{
	g_features = features_of_this_cpu();
	if (!g_features)
		return; /* as the Xen of the tests: the case above is all */
	memset(g_area, 0xa5, sizeof(g_area)); /* a page that was another thread's */
	vectors((g_features & X_AVX) != 0);
	fpu_save(g_area);
	fpu_load_image(g_area, g_features);
	g_features = 0;
}

/* What lasts over a call does, and the last thread's x87 stack does not. */
static void control_words_come_back_with_an_empty_stack(void)
{
	struct fp_control mine, theirs;
	const uint32_t mxcsr = 0x5f80; /* round up */
	const uint16_t cw = 0x0b7f;
	uint32_t mxcsr_now;
	uint16_t cw_now, sw_now;
	uint64_t sum; /* a double: the compiler is not to touch the registers */

	fpu_save_control(&mine);
	__asm__ volatile("ldmxcsr %0; fninit; fldcw %1; fld1; fldz; fdivrp"
	                 :
	                 : "m"(mxcsr),
	                   "m"(cw)); /* divides by zero, stays on the stack */
	__asm__ volatile("fstp %st(0)");
	fpu_save_control(&theirs);
	__asm__ volatile("fninit; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1");
	fpu_load_control(&theirs);
	__asm__ volatile("stmxcsr %0; fnstcw %1; fnstsw %2"
	                 : "=m"(mxcsr_now), "=m"(cw_now), "=m"(sw_now));
	__asm__ volatile("fld1; fld1; faddp; fstpl %0" : "=m"(sum));
	CU_ASSERT_EQUAL(mxcsr_now, mxcsr);
	CU_ASSERT_EQUAL(cw_now, cw);
	CU_ASSERT_EQUAL(sw_now & FE_DIVBYZERO, FE_DIVBYZERO);
	CU_ASSERT_EQUAL(sw_now >> 11 & 7, 0);
	CU_ASSERT_EQUAL(sum, 0x4000000000000000u); /* 2.0 */
	fpu_load_control(&mine);
}

int main(void)
{
	static CU_TestInfo tests[] = {
	        TEST(fxsave_keeps_sse),
	        TEST(xsave_keeps_all_that_the_cpu_has),
	        TEST(control_words_come_back_with_an_empty_stack),
	        CU_TEST_INFO_NULL,
	};

	return suite_run("xen_fpu", NULL, NULL, tests);
}
