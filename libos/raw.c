/* SPDX-License-Identifier: MIT */
/*
 * raw.c - `syscall` instructions in a program (libgomp, Go, hand-written assembly).
 *
 * The platform catches the instruction.  Its whole context moves to the top of the
 * thread's libos stack and the call runs below it, as if it had come through the
 * edge; then the context is loaded again with the result.
 */
#include "libos/entry.h"
#include "libos/syscall.h"

#include <errno.h>
#include <signal.h>

#define FP_ROOM 12288u

struct raw {
	_Alignas(64) uint8_t fp[FP_ROOM];
	struct ucontext_x86 uc;
};
_Static_assert(sizeof(struct raw) < LIBOS_STACK_SIZE / 4, "the libos stack holds it");

static long dispatch(const struct gregs_x86 *g, long n)
{
	return syscall_dispatch(n, (long)g->rdi, (long)g->rsi, (long)g->rdx, (long)g->r10,
	                        (long)g->r8, (long)g->r9);
}

static void raw_call(void *arg)
{
	struct raw *raw = arg;
	struct ucontext_x86 *uc = &raw->uc;
	struct thread *t = self();
	const long n = (long)uc->regs.rax;
	struct entry_regs r = {.rsp = uc->regs.rsp, .ret = uc->regs.rip, .full = uc};
	long result;

	t->raw = uc;
	r.n = (uint64_t)n;
	t->entry[ENTRY_N] = (uint64_t)n;
	t->entry[ENTRY_RSP] = uc->regs.rsp - 8; /* where a call's would be */
	do {
		result = dispatch(&uc->regs, n);
		if (t->work || result == -ERESTARTSYS)
			result = signal_edge(t, result, &r);
	} while (result == -ERESTARTSYS);
	uc->regs.rax = (uint64_t)result;
	t->raw = NULL;
	plat_resume(uc);
}

void libos_raw_syscall(struct ucontext_x86 *uc)
{
	struct thread *t = self();
	struct raw *raw;
	uint64_t sp;

	sp = ((uintptr_t)t->stack_top - sizeof(struct raw)) & ~(uint64_t)63;
	raw = (struct raw *)(uintptr_t)sp;
	raw->uc = *uc;
	raw->uc.fpstate = NULL;
	if (uc->fpstate && plat_fpstate_size() <= FP_ROOM) {
		__builtin_memcpy(raw->fp, uc->fpstate, plat_fpstate_size());
		raw->uc.fpstate = raw->fp;
	}
	unsupported("a system call instruction in the program (served, but slowly)");
	t->in_libos = 1;
	uc->regs.rip = (uintptr_t)raw_call;
	uc->regs.rsp = sp - 8; /* as behind a call */
	uc->regs.rdi = sp;
	uc->regs.rbp = 0;
}
