/* SPDX-License-Identifier: MIT */
/*
 * fpstate.c - the FP/SIMD image of a signal frame, on both platforms: XSAVE's
 * standard form, with the marks that Linux leaves in the FXSAVE part.
 */
#include "platform/fpstate.h"

#include "platform/context.h"
#include "platform/platform.h"

#define FX_SIZE 512u
#define HEADER_SIZE 64u

static uint64_t g_features; /* 0: no XSAVE, FXSAVE only */
static uint32_t g_xsave_size = FX_SIZE;
static uint32_t g_mxcsr_mask = 0xffbf;

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	__asm__ volatile("cpuid"
	                 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
	                 : "a"(leaf), "c"(sub));
}

bool fpstate_xsave_on(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	return r[2] & (1u << 27); /* OSXSAVE */
}

void fpstate_init(bool xsave)
{
	_Alignas(64) uint8_t fx[FX_SIZE] = {0};
	uint32_t r[4], lo, hi, mask;

	__asm__ volatile("fxsave64 %0" : "=m"(fx));
	__builtin_memcpy(&mask, fx + 28, 4);
	if (mask)
		g_mxcsr_mask = mask;
	if (!xsave)
		return;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	cpuid(0xd, 0, r);
	g_features = ((uint64_t)hi << 32) | lo;
	g_xsave_size = r[1];
}

size_t plat_fpstate_size(void)
{
	return g_features ? g_xsave_size + 4u : FX_SIZE;
}

void plat_fpstate_save(void *fp)
{
	uint8_t *p = fp;
	struct fp_sw_x86 sw = {0};
	const uint32_t magic2 = FP_XSTATE_MAGIC2;

	if (!g_features) {
		__asm__ volatile("fxsave64 (%0)" : : "r"(p) : "memory");
		__builtin_memcpy(p + FP_SW_OFFSET, &sw, sizeof(sw));
		return;
	}
	__builtin_memset(p + FX_SIZE, 0, HEADER_SIZE);
	__asm__ volatile("xsave64 (%0)"
	                 :
	                 : "r"(p), "a"((uint32_t)g_features), "d"((uint32_t)(g_features >> 32))
	                 : "memory");
	sw.magic1 = FP_XSTATE_MAGIC1;
	sw.extended_size = g_xsave_size + 4u;
	sw.xfeatures = g_features;
	sw.xstate_size = g_xsave_size;
	__builtin_memcpy(p + FP_SW_OFFSET, &sw, sizeof(sw));
	__builtin_memcpy(p + g_xsave_size, &magic2, 4);
}

/* Make an image that came through program memory safe for XRSTOR.  Returns the
 * features to restore, 0: FXRSTOR. */
uint64_t plat_fpstate_check(void *fp)
{
	uint8_t *p = fp;
	struct fp_sw_x86 sw;
	uint64_t present;
	uint32_t mxcsr, magic2 = 0;

	__builtin_memcpy(&mxcsr, p + 24, 4);
	mxcsr &= g_mxcsr_mask;
	__builtin_memcpy(p + 24, &mxcsr, 4);
	if (!g_features)
		return 0;
	__builtin_memcpy(&sw, p + FP_SW_OFFSET, sizeof(sw));
	if (sw.magic1 != FP_XSTATE_MAGIC1 || sw.xstate_size != g_xsave_size)
		return 0;
	__builtin_memcpy(&magic2, p + g_xsave_size, 4);
	if (magic2 != FP_XSTATE_MAGIC2)
		return 0;
	__builtin_memcpy(&present, p + FX_SIZE, 8);
	present &= g_features & sw.xfeatures;
	__builtin_memcpy(p + FX_SIZE, &present, 8);
	__builtin_memset(p + FX_SIZE + 8, 0, HEADER_SIZE - 8);
	return g_features;
}
