/* SPDX-License-Identifier: MIT */
/*
 * trap.c - what interrupts, exceptions and raw system calls do.
 *
 * Every vector has an IST stack, so nothing is ever pushed below the program's rsp
 * (its red zone is there) and a stack overflow is an ordinary fault.  A fault that
 * comes while the fault stack is in use (a page of program memory, touched by the
 * code that hands a fault to libos) gets the next piece of that stack.
 *
 * What a fault means, in this order: a page that was not there yet; a copy that
 * meets a bad pointer (platform/fixup.h); a bug of ours, which is a crash; a signal.
 */
#include "platform/fixup.h"
#include "platform/xen/vm.h"

#include <signal.h>

#define SEL_CODE 0x08u
#define SEL_TSS 0x18u
#define N_VECTORS 0x43u
#define STUB_SIZE 16u
#define GATE_INTERRUPT 0x8e00u
#define FAULT_STACK_PIECE 8192u /* two of them: trap.S */

#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_SFMASK 0xc0000084u
#define SYSCALL_CLEARS 0x47700u /* TF IF DF IOPL NT AC */

#define SI_KERNEL_ 0x80

enum { IST_UPCALL = 1, IST_TRAP, IST_FAULT, IST_NMI, IST_MACHINE, IST_DOUBLE };

enum {
	VEC_DIVIDE = 0,
	VEC_DEBUG = 1,
	VEC_NMI = 2,
	VEC_BREAKPOINT = 3,
	VEC_OPCODE = 6,
	VEC_DOUBLE = 8,
	VEC_NO_SEGMENT = 11,
	VEC_STACK = 12,
	VEC_X87 = 16,
	VEC_ALIGNMENT = 17,
	VEC_MACHINE = 18,
	VEC_SIMD = 19,
	VEC_EXCEPTIONS = 32,
};

struct gate {
	uint16_t low, selector, flags, mid;
	uint32_t high, zero;
};

struct tss {
	uint32_t zero;
	uint64_t rsp[3], zero2, ist[7], zero3;
	uint16_t zero4, io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "the CPU's layout");

/* With the stack of trap_upcall, whose first word lies over the pointer to it, and the
 * others over rsp[], which nothing in ring 0 needs. */
#define UPCALL_STACK 116u
struct trap_tss {
	uint8_t stack[UPCALL_STACK];
	struct tss t;
} __attribute__((packed, aligned(256)));
_Static_assert(offsetof(struct trap_tss, t.ist) == 152, "trap.S knows");

struct descriptor_table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

_Static_assert(offsetof(struct cpu, scratch) == 16, "trap.S knows");
_Static_assert(offsetof(struct trap_frame, rcx) == 96 &&
                       offsetof(struct trap_frame, rax) == 112 &&
                       offsetof(struct trap_frame, vector) == 120 &&
                       offsetof(struct trap_frame, rip) == 136 &&
                       sizeof(struct trap_frame) == 176,
               "trap.S knows");

extern const char trap_stubs[], trap_upcall[], trap_upcall_set[], trap_raw[];
extern char trap_stack_end[], trap_fault_stack_end[], trap_nmi_stack_end[],
        trap_machine_stack_end[], trap_double_stack_end[];
extern struct trap_tss trap_tss __attribute__((visibility("hidden")));

static _Alignas(16) struct gate g_idt[N_VECTORS];
struct trap_tss trap_tss;
#define g_tss trap_tss.t
static uint64_t g_gdt[5] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0};

static void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr"
	                 :
	                 : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static unsigned stack_of(unsigned vector)
{
	switch (vector) {
	case VEC_NMI:
		return IST_NMI;
	case VEC_DOUBLE:
		return IST_DOUBLE;
	case VEC_PAGE_FAULT:
		return IST_FAULT;
	case VEC_MACHINE:
		return IST_MACHINE;
	case VEC_UPCALL:
		return IST_UPCALL;
	default:
		return IST_TRAP;
	}
}

void trap_init(void)
{
	const uint64_t tss = (uintptr_t)&g_tss;
	const struct descriptor_table gdt = {sizeof(g_gdt) - 1, (uintptr_t)g_gdt};
	const struct descriptor_table idt = {sizeof(g_idt) - 1, (uintptr_t)g_idt};

	for (unsigned i = 0; i < N_VECTORS; i++) {
		const uint64_t at = i == VEC_UPCALL ? (uintptr_t)trap_upcall
		                                    : (uintptr_t)trap_stubs + i * STUB_SIZE;

		g_idt[i] = (struct gate){
		        .low = (uint16_t)at,
		        .selector = SEL_CODE,
		        .flags = (uint16_t)(GATE_INTERRUPT | stack_of(i)),
		        .mid = (uint16_t)(at >> 16),
		        .high = (uint32_t)(at >> 32),
		};
	}
	g_tss.ist[IST_TRAP - 1] = (uintptr_t)trap_stack_end;
	g_tss.ist[IST_FAULT - 1] = (uintptr_t)trap_fault_stack_end;
	g_tss.ist[IST_NMI - 1] = (uintptr_t)trap_nmi_stack_end;
	g_tss.ist[IST_MACHINE - 1] = (uintptr_t)trap_machine_stack_end;
	g_tss.ist[IST_DOUBLE - 1] = (uintptr_t)trap_double_stack_end;
	g_tss.ist[IST_UPCALL - 1] = (uintptr_t)&g_tss.ist[IST_UPCALL];
	g_tss.io_map = sizeof(g_tss);
	g_gdt[3] = (sizeof(g_tss) - 1) | (tss & 0xffffff) << 16 | 0x89ul << 40 |
	           (tss >> 24 & 0xff) << 56;
	g_gdt[4] = tss >> 32;
	__asm__ volatile("lgdt %0; lidt %1; ltr %w2"
	                 :
	                 : "m"(gdt), "m"(idt), "r"(SEL_TSS)
	                 : "memory");
	/* A raw `syscall` (start.S set EFER.SCE): its code and stack selectors are ours. */
	wrmsr(MSR_STAR, (uint64_t)SEL_CODE << 32 | (uint64_t)SEL_CODE << 48);
	wrmsr(MSR_LSTAR, (uintptr_t)trap_raw);
	wrmsr(MSR_SFMASK, SYSCALL_CLEARS);
}

/* ---- exceptions as signals: what Linux makes of them ---- */

/* The exceptions that were on and have come, of a status and its masks. */
static int fpe_code(uint32_t pending)
{
	if (pending & 1)
		return FPE_FLTINV;
	if (pending & 4)
		return FPE_FLTDIV;
	if (pending & 8)
		return FPE_FLTOVF;
	if (pending & (16 | 2)) /* a denormal operand is an underflow, too */
		return FPE_FLTUND;
	if (pending & 32)
		return FPE_FLTRES;
	return 0;
}

static int x87_code(void)
{
	uint16_t status, control;

	__asm__ volatile("fnstsw %0; fnstcw %1" : "=m"(status), "=m"(control));
	return fpe_code((uint32_t)status & ~(uint32_t)control);
}

static int simd_code(void)
{
	uint32_t mxcsr;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	return fpe_code(mxcsr & ~(mxcsr >> 7));
}

struct signal {
	int sig, code;
	uint64_t addr;
};

static struct signal signal_of(const struct trap_frame *f)
{
	switch (f->vector) {
	case VEC_DIVIDE:
		return (struct signal){SIGFPE, FPE_INTDIV, f->rip};
	case VEC_DEBUG:
		return (struct signal){SIGTRAP, TRAP_TRACE, f->rip};
	case VEC_BREAKPOINT:
		return (struct signal){SIGTRAP, SI_KERNEL_, 0};
	case VEC_OPCODE:
		return (struct signal){SIGILL, ILL_ILLOPN, f->rip};
	case VEC_X87:
		return (struct signal){SIGFPE, x87_code(), f->rip};
	case VEC_SIMD:
		return (struct signal){SIGFPE, simd_code(), f->rip};
	case VEC_ALIGNMENT:
		return (struct signal){SIGBUS, BUS_ADRALN, 0};
	case VEC_NO_SEGMENT:
	case VEC_STACK:
		return (struct signal){SIGBUS, SI_KERNEL_, 0};
	default: /* #GP and what is left */
		return (struct signal){SIGSEGV, SI_KERNEL_, 0};
	}
}

static struct trap_frame *fault(struct trap_frame *f, struct signal s)
{
	if (fixup_apply(&f->rip))
		return f;
	return sched_upcall(f, s.sig, s.code, s.addr); /* crashes for what is ours */
}

/* An event that came twice (trap.S): the first one's frame is whole. */
static bool came_twice(const struct trap_frame *f, uint64_t addr)
{
	return f->rip >= (uintptr_t)trap_upcall && f->rip < (uintptr_t)trap_upcall_set &&
	       addr + PAGE_SIZE < 2 * PAGE_SIZE;
}

static struct trap_frame *page_fault(struct trap_frame *f)
{
	struct signal s;

	__asm__ volatile("movq %%cr2, %0" : "=r"(s.addr));
	if (came_twice(f, s.addr))
		return f;
	g_tss.ist[IST_FAULT - 1] -= FAULT_STACK_PIECE;
	if (vm_fault(s.addr, f->err, &s.sig, &s.code) != 0)
		f = fault(f, s);
	g_tss.ist[IST_FAULT - 1] += FAULT_STACK_PIECE;
	return f;
}

static struct trap_frame *debug(struct trap_frame *f)
{
	const uint64_t clean = 0xffff0ff0;

	__asm__ volatile("movq %0, %%dr6" : : "r"(clean));
	return fault(f, signal_of(f));
}

struct trap_frame *trap(struct trap_frame *f)
{
	switch (f->vector) {
	case VEC_PAGE_FAULT:
		return page_fault(f);
	case VEC_UPCALL:
		evtchn_upcall();
		return g_cpu.resched ? sched_pick(f) : f;
	case VEC_SWITCH:
		return sched_pick(f);
	case VEC_RETURN:
		return sched_upcall_end(f);
	case VEC_RAW:
		return sched_upcall(f, -1, 0, 0);
	case VEC_DEBUG:
		return debug(f);
	case VEC_NMI:
		return f;
	case VEC_DOUBLE:
		crash("a double fault", f);
	case VEC_MACHINE:
		crash("a machine check", f);
	default:
		return f->vector < VEC_EXCEPTIONS ? fault(f, signal_of(f)) : f;
	}
}
