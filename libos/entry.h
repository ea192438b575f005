/* SPDX-License-Identifier: MIT */
/*
 * entry.h - the edge of libos: how calls come in and how signals go out.
 *
 * musl calls strait_syscall() (entry_x86_64.S) as an ordinary function.  It sets
 * in_libos, notes the call in th->entry, switches to the libos stack and
 * dispatches.  On the way out, if th->work is set or the result is -ERESTARTSYS,
 * it asks signal_edge().
 *
 * What a host signal (kick) finds:
 *   in_libos set             th->work = th->kicked = 1; the call ends or goes on
 *   in the exit window       taken back to the check of th->work
 *   in the resume window     the context being loaded counts as program code
 *   anywhere else            program code: libos_interrupt()
 *
 * Layer:  libos.
 */
#ifndef LIBOS_ENTRY_H
#define LIBOS_ENTRY_H

#include "libos/thread.h"
#include "platform/context.h"

#include <stdbool.h>
#include <stdint.h>

/* th->entry[]: filled by strait_syscall(). */
enum {
	ENTRY_N = 0,
	ENTRY_A1 = 1, /* .. a5 = 5 */
	ENTRY_RSP = 6, /* the program's, at strait_syscall's first instruction */
};

/* The program's state at a call.  At the call edge the caller-saved registers are
 * dead (a C function was called), so these are enough. */
struct entry_regs {
	uint64_t rbx, rbp, r12, r13, r14, r15;
	uint64_t rsp; /* at entry: *rsp is the return address, rsp[1] the 6th argument */
	uint64_t ret; /* that return address */
	uint64_t n, arg[5];
	struct ucontext_x86 *full; /* raw `syscall`: the whole context; else NULL */
};

/* Describe the point where the program goes on, as a context for a frame:
 * after the call with @result, or, with @restart, before it with its arguments
 * loaded (musl's cancellation points as MUSL-NOTES says: PC = __cp_begin).
 * @uc->regs is filled, for the call edge all of it; flags, stack, sigmask and
 * fpstate stay the caller's (use plat_fpstate_save(); a full context keeps its
 * own fpstate). */
void entry_context(const struct entry_regs *r, long result, bool restart,
                   struct ucontext_x86 *uc);

/* ---- signal.c, called by thread.c and the edge ---- */

void signal_init(void); /* main thread's struct thread is self() */
void signal_thread_init(struct thread *child, const struct thread *parent);
void signal_thread_exit(struct thread *t);

/* Leaving libos with @result while t->work is set or @result is -ERESTARTSYS.
 * Clears t->work and t->kicked before it looks for signals.  Delivers: leaves through
 * plat_resume() on a frame made with entry_context().  Nothing to deliver: returns
 * @result, where -ERESTARTSYS asks the edge to make the call again. */
long signal_edge(struct thread *t, long result, struct entry_regs *r);

/* ---- entry_x86_64.S ---- */

long strait_syscall(long n, long a1, long a2, long a3, long a4, long a5, long a6);
/* Run @fn(@arg) on this thread's libos stack from its top; for code that leaves
 * the program's stack for good.  in_libos is set. */
_Noreturn void entry_run_on_libos_stack(void (*fn)(void *), void *arg);
/* Enter program code: rsp = @sp, rip = @pc, rdi = @arg, other registers 0. */
_Noreturn void entry_program(void *sp, void *pc, uint64_t arg);

#endif /* LIBOS_ENTRY_H */
