/* SPDX-License-Identifier: MIT */
/*
 * fpu.c - FP/SIMD state and thread pointers.
 *
 * A thread that is preempted keeps all of its FP state (XSAVE, or FXSAVE where there
 * is none).  One that sleeps does so in a C function of ours, behind a call: nobody
 * expects registers there, only the control words and what exceptions have been.
 */
#include "platform/xen/xen.h"

#include "platform/fpstate.h"

#define CR4_FSGSBASE (1ul << 16)
#define CR4_OSXSAVE (1ul << 18)

#define CPUID1_ECX_XSAVE (1u << 26)
#define CPUID7_EBX_FSGSBASE (1u << 0)

#define X_SSE 0x3u /* x87 and SSE */
#define X_AVX 0x4u
#define X_AVX512 0xe0u /* only all three, and with AVX */

#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

extern uint64_t xen_boot_cr4; /* start.S's: what CR4 holds */

static uint64_t g_features; /* XCR0; 0: no XSAVE */
static bool g_fsgsbase;

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	__asm__ volatile("cpuid"
	                 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
	                 : "a"(leaf), "c"(sub));
}

/* To read a control register, too, is to leave for Xen. */
static void set_cr4(uint64_t bits)
{
	xen_boot_cr4 |= bits;
	__asm__ volatile("mov %0, %%cr4" : : "r"(xen_boot_cr4) : "memory");
}

static void xsetbv(uint64_t features)
{
	__asm__ volatile("xsetbv"
	                 :
	                 : "c"(0), "a"((uint32_t)features),
	                   "d"((uint32_t)(features >> 32))
	                 : "memory");
}

/* Turn XSAVE on with all that we can keep: the image must fit XTHREAD_FP_SIZE. */
static void xsave_init(void)
{
	static const uint64_t sets[] = {X_SSE | X_AVX | X_AVX512, X_SSE | X_AVX, X_SSE};
	uint32_t r[4];

	set_cr4(CR4_OSXSAVE);
	cpuid(0xd, 0, r);
	for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		uint32_t size[4];

		if ((sets[i] & r[0]) != sets[i])
			continue;
		xsetbv(sets[i]);
		cpuid(0xd, 0, size);
		if (size[1] > XTHREAD_FP_SIZE)
			continue;
		g_features = sets[i];
		return;
	}
	boot_die("this CPU's XSAVE has not even SSE");
}

/* start.S has set CR0, OSFXSR and OSXMMEXCPT. */
void fpu_init(void)
{
	const uint32_t mxcsr = 0x1f80;
	uint32_t r[4];

	cpuid(7, 0, r);
	if (r[1] & CPUID7_EBX_FSGSBASE) {
		set_cr4(CR4_FSGSBASE);
		g_fsgsbase = true;
	}
	if (cpu_features()[2] & CPUID1_ECX_XSAVE)
		xsave_init();
	__asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
	fpstate_init(g_features != 0);
}

/* ---- all of it ---- */

void fpu_save(void *fp)
{
	uint8_t *p = fp;

	if (!g_features) {
		__asm__ volatile("fxsave64 (%0)" : : "r"(p) : "memory");
		return;
	}
	/* XSAVE leaves most of its header alone; XRSTOR wants it zero. */
	__builtin_memset(p + 512, 0, 64);
	__asm__ volatile("xsave64 (%0)"
	                 :
	                 : "r"(p), "a"((uint32_t)g_features),
	                   "d"((uint32_t)(g_features >> 32))
	                 : "memory");
}

void fpu_load(const void *fp)
{
	if (!g_features)
		__asm__ volatile("fxrstor64 (%0)" : : "r"(fp) : "memory");
	else
		__asm__ volatile("xrstor64 (%0)"
		                 :
		                 : "r"(fp), "a"((uint32_t)g_features),
		                   "d"((uint32_t)(g_features >> 32))
		                 : "memory");
}

void fpu_load_image(const void *fp, uint64_t features)
{
	if (!features)
		__asm__ volatile("fxrstor64 (%0)" : : "r"(fp) : "memory");
	else
		fpu_load(fp);
}

/* ---- what lasts over a call ---- */

void fpu_save_control(struct fp_control *c)
{
	/* FNSTENV masks all exceptions: nothing is pending when it is loaded back. */
	__asm__ volatile("fnstenv %0; fldenv %0; stmxcsr %1"
	                 : "+m"(c->x87), "=m"(c->mxcsr));
}

void fpu_load_control(const struct fp_control *c)
{
	/* First an empty stack, and none of the last thread's exceptions. */
	__asm__ volatile("fninit; fldenv %0; ldmxcsr %1"
	                 :
	                 : "m"(c->x87), "m"(c->mxcsr));
}

/* ---- thread pointers ---- */

static void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr"
	                 :
	                 : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
	                 : "memory");
}

void fpu_set_gs(uint64_t base)
{
	if (g_fsgsbase)
		__asm__ volatile("wrgsbase %0" : : "r"(base) : "memory");
	else
		wrmsr(MSR_GS_BASE, base);
}

void plat_set_fs(uint64_t base)
{
	if (g_fsgsbase)
		__asm__ volatile("wrfsbase %0" : : "r"(base) : "memory");
	else
		wrmsr(MSR_FS_BASE, base);
}

uint64_t plat_get_fs(void)
{
	uint64_t base;
	uint32_t lo, hi;

	if (g_fsgsbase) {
		__asm__ volatile("rdfsbase %0" : "=r"(base));
		return base;
	}
	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(MSR_FS_BASE));
	return (uint64_t)hi << 32 | lo;
}
