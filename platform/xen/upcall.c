/* SPDX-License-Identifier: MIT */
/*
 * upcall.c - out of a trap into libos, on the thread's signal stack, and back: what
 * a host's signal handler is to a hosted guest.
 *
 * The interrupted context becomes a ucontext as Linux lays it out; the C function
 * below runs with interrupts on, may be preempted, sleep and fault like any code of
 * libos, and ends by `int VEC_RETURN`, which loads the context that libos left.
 * While it runs, kicks wait (in_upcall): there is one signal stack a thread.
 */
#include "platform/xen/xen.h"

#define RFLAGS_PROGRAM 0x40cd5u /* CF PF AF ZF SF DF OF AC: not TF, IOPL, NT, VM */
#define USER_CS 0x33u           /* what Linux's frames say */
#define USER_SS 0x2bu
#define PF_USER 4u

#define SIGSEGV_NR 11
#define SI_KERNEL_CODE 0x80

struct upcall {
	struct ucontext_x86 uc;
	struct siginfo_x86 info;
	int sig;           /* > 0 fault, 0 interrupt, < 0 raw system call */
	uint64_t features; /* of uc.fpstate, as plat_fpstate_check() said */
};

/* ---- between frames and ucontexts ---- */

static void to_context(const struct trap_frame *f, uint64_t addr, struct gregs_x86 *g)
{
	*g = (struct gregs_x86){
	        .r8 = f->r8,
	        .r9 = f->r9,
	        .r10 = f->r10,
	        .r11 = f->r11,
	        .r12 = f->r12,
	        .r13 = f->r13,
	        .r14 = f->r14,
	        .r15 = f->r15,
	        .rdi = f->rdi,
	        .rsi = f->rsi,
	        .rbp = f->rbp,
	        .rbx = f->rbx,
	        .rdx = f->rdx,
	        .rax = f->rax,
	        .rcx = f->rcx,
	        .rsp = f->rsp,
	        .rip = f->rip,
	        .rflags = f->rflags,
	        .cs = USER_CS,
	        .ss = USER_SS,
	        .err = f->err,
	        .trapno = f->vector,
	};
	if (f->vector == VEC_PAGE_FAULT) {
		g->err |= PF_USER;
		g->cr2 = addr;
	}
}

static void from_context(const struct gregs_x86 *g, struct trap_frame *f)
{
	f->r8 = g->r8;
	f->r9 = g->r9;
	f->r10 = g->r10;
	f->r11 = g->r11;
	f->r12 = g->r12;
	f->r13 = g->r13;
	f->r14 = g->r14;
	f->r15 = g->r15;
	f->rdi = g->rdi;
	f->rsi = g->rsi;
	f->rbp = g->rbp;
	f->rbx = g->rbx;
	f->rdx = g->rdx;
	f->rax = g->rax;
	f->rcx = g->rcx;
	f->rsp = g->rsp;
	f->rip = g->rip;
	f->rflags = (g->rflags & RFLAGS_PROGRAM) | RFLAGS_IF | 2;
}

static bool canonical(uint64_t a)
{
	return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

/* ---- what runs on the signal stack ---- */

static _Noreturn void upcall_main(struct upcall *u)
{
	if (u->sig < 0) {
		libos_raw_syscall(&u->uc);
		u->uc.fpstate = NULL; /* libos keeps a copy, and loads it at the end */
	} else if (!libos_host_signal(&u->uc)) {
		if (u->sig > 0)
			libos_fault(u->sig, &u->info, &u->uc);
		else
			libos_interrupt(&u->uc);
		libos_host_signal_done();
	}
	if (u->uc.fpstate)
		u->features = plat_fpstate_check(u->uc.fpstate);
	__asm__ volatile("int %0" : : "i"(VEC_RETURN), "D"(u) : "memory");
	__builtin_unreachable();
}

/* Room at the top of the signal stack, present: the FP image, then the rest. */
static struct upcall *place(struct xthread *t, uint8_t **fp)
{
	uintptr_t top = (uintptr_t)t->signal_stack + t->signal_stack_size, at;

	*fp = (uint8_t *)((top - plat_fpstate_size()) & ~(uintptr_t)63);
	at = ((uintptr_t)*fp - sizeof(struct upcall)) & ~(uintptr_t)15;
	if (vm_touch((void *)at, top - at) != 0)
		return NULL;
	return (struct upcall *)at;
}

struct trap_frame *sched_upcall(struct trap_frame *f, int sig, int code, uint64_t addr)
{
	struct xthread *t = g_cpu.now;
	struct upcall *u;
	uint8_t *fp;

	if (!t || !t->libos || t->in_upcall || !(f->rflags & RFLAGS_IF))
		crash("a fault inside the platform", f);
	u = place(t, &fp);
	if (!u)
		crash("out of memory for a signal", f);
	u->sig = sig;
	u->features = 0;
	u->uc = (struct ucontext_x86){.flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
	                              .fpstate = fp};
	to_context(f, addr, &u->uc.regs);
	plat_fpstate_save(fp);
	u->info = (struct siginfo_x86){.signo = sig, .code = code};
	if (sig > 0) {
		u->info.fault.addr = addr;
		if (libos_at_fault(&u->uc))
			crash("a fault inside libos, please report it", f);
	}
	t->in_upcall = true;
	f->rip = (uintptr_t)upcall_main;
	f->rdi = (uintptr_t)u;
	f->rsp = (uintptr_t)u - 8;
	f->rbp = 0;
	f->rflags = RFLAGS_IF | 2;
	return f;
}

struct trap_frame *sched_upcall_end(struct trap_frame *f)
{
	struct upcall *u = (struct upcall *)f->rdi;
	struct xthread *t = g_cpu.now;

	if (!t || !t->in_upcall)
		crash("an interrupt instruction that is not the program's", f);
	if (u->uc.fpstate)
		fpu_load_image(u->uc.fpstate, u->features);
	from_context(&u->uc.regs, f);
	t->in_upcall = false;
	if (!canonical(f->rip)) /* IRET would fault in here */
		return sched_upcall(f, SIGSEGV_NR, SI_KERNEL_CODE, 0);
	if (t->kicked) {
		t->kicked = false;
		return sched_upcall(f, 0, 0, 0);
	}
	return f;
}

void upcall_take_kick(void)
{
	struct xthread *me = g_cpu.now;
	struct ucontext_x86 uc = {.regs = {.rip = 0}};

	me->kicked = false;
	if (me->libos)
		(void)libos_host_signal(
		        &uc); /* in libos: its flag is set, that is all */
}
