/* SPDX-License-Identifier: MIT */
/*
 * resume.c - the corrections that a kick needs, and loading full contexts.
 *
 * A context is loaded with in_libos already clear, so that nothing is left to do
 * after it.  A kick in that window has the whole context in th->resume: it counts
 * as if the program had been interrupted at its first instruction there.
 */
#include "libos/entry.h"
#include "libos/user.h"

#include <errno.h>
#include <signal.h>

extern const char entry_exit_begin[], entry_exit_end[], resume_begin[], resume_end[];
/* musl's, where the program can cancel threads. */
extern const char __cp_begin[] __attribute__((weak)), __cp_end[] __attribute__((weak));

_Noreturn void resume_context(struct ucontext_x86 *uc, void *fp, uint64_t features);
long entry_leave(long result, struct entry_regs *r);

#define FP_MAX 12288 /* of any CPU with AVX-512 and AMX */

#define RFLAGS_PROGRAM 0x40cd5u /* CF PF AF ZF SF DF OF AC */
#define RFLAGS_FIXED 0x202u

static bool between(uint64_t pc, const char *begin, const char *end)
{
	return pc >= (uintptr_t)begin && pc < (uintptr_t)end;
}

/* ---- the call edge ---- */

long entry_leave(long result, struct entry_regs *r)
{
	struct thread *t = self();

	r->rsp = t->entry[ENTRY_RSP];
	if (plat_copy(&r->ret, (void *)(uintptr_t)r->rsp, sizeof(r->ret)) != 0)
		r->ret = 0;
	r->n = t->entry[ENTRY_N];
	for (int i = 0; i < 5; i++)
		r->arg[i] = t->entry[ENTRY_A1 + i];
	r->full = NULL;
	return signal_edge(t, result, r);
}

static void restart_context(const struct entry_regs *r, struct gregs_x86 *g)
{
	g->rdi = r->n;
	g->rsi = r->arg[0];
	g->rdx = r->arg[1];
	g->rcx = r->arg[2];
	g->r8 = r->arg[3];
	g->r9 = r->arg[4];
	if (__cp_end && r->ret == (uintptr_t)__cp_end) {
		/* A cancellation point: musl's handler must see it as such. */
		g->rip = (uintptr_t)__cp_begin;
		g->rsp = r->rsp + 8;
	} else {
		g->rip = (uintptr_t)strait_syscall;
		g->rsp = r->rsp;
	}
}

void entry_context(const struct entry_regs *r, long result, bool restart,
                   struct ucontext_x86 *uc)
{
	struct gregs_x86 *g = &uc->regs;

	if (r->full) {
		*g = r->full->regs;
		uc->fpstate = r->full->fpstate;
		if (restart) {
			g->rax = r->n;
			g->rip -= 2; /* the instruction's length */
		} else {
			g->rax = (uint64_t)result;
		}
		return;
	}
	__builtin_memset(g, 0, sizeof(*g));
	g->rbx = r->rbx;
	g->rbp = r->rbp;
	g->r12 = r->r12;
	g->r13 = r->r13;
	g->r14 = r->r14;
	g->r15 = r->r15;
	g->rflags = RFLAGS_FIXED;
	g->cs = 0x33;
	g->ss = 0x2b;
	if (restart) {
		restart_context(r, g);
		return;
	}
	g->rax = (uint64_t)result;
	g->rip = r->ret;
	g->rsp = r->rsp + 8;
}

/* ---- kicks ---- */

const _Atomic uint32_t *libos_kick_flag(void)
{
	return &self()->kicked;
}

static void mark(struct thread *t)
{
	t->kicked = 1;
	t->work = 1;
}

bool libos_host_signal(struct ucontext_x86 *uc)
{
	struct thread *t = self();
	struct gregs_x86 *g = &uc->regs;
	uint64_t ret;

	if (t->in_libos) {
		mark(t);
		return true;
	}
	if (between(g->rip, entry_exit_begin, entry_exit_end)) {
		mark(t);
		g->rip = (uintptr_t)entry_exit_begin;
		return true;
	}
	if (between(g->rip, resume_begin, resume_end)) {
		struct gregs_x86 *to = &t->resume->regs;

		to->err = g->err;
		to->trapno = g->trapno;
		*g = *to;
		t->in_libos = 1;
		return false;
	}
	/* About to enter from a cancellation point: stand in front of it, where
	 * nothing of the call was done. */
	if (g->rip == (uintptr_t)strait_syscall && __cp_end &&
	    plat_copy(&ret, (void *)(uintptr_t)g->rsp, sizeof(ret)) == 0 &&
	    ret == (uintptr_t)__cp_end) {
		g->rip = (uintptr_t)__cp_begin;
		g->rsp += 8;
	}
	t->in_libos = 1;
	return false;
}

void libos_host_signal_done(void)
{
	self()->in_libos = 0;
}

bool libos_at_fault(const struct ucontext_x86 *uc)
{
	return self()->in_libos != 0 ||
	       between(uc->regs.rip, entry_exit_begin, entry_exit_end);
}

/* ---- full contexts ---- */

/* Bring the FP image into @to, checked.  Returns it, or NULL when there is none. */
static void *take_fp(const struct ucontext_x86 *uc, uint8_t *to, uint64_t *features)
{
	*features = 0;
	if (!uc->fpstate)
		return NULL;
	if (plat_copy(to, uc->fpstate, plat_fpstate_size()) != 0 &&
	    plat_copy(to, uc->fpstate, 512) != 0)
		return NULL;
	*features = plat_fpstate_check(to);
	return to;
}

_Noreturn void plat_resume(struct ucontext_x86 *uc)
{
	_Alignas(64) uint8_t fp[FP_MAX];
	struct thread *t = self();
	uint64_t features;
	void *image;

	if (plat_fpstate_size() > sizeof(fp))
		plat_exit(139, SIGSEGV);
	t->in_libos = 1;
	t->resume = uc;
	t->raw = NULL;
	for (;;) {
		image = take_fp(uc, fp, &features);
		uc->fpstate = image;
		if (!t->work)
			break;
		libos_interrupt(uc);
		/* A frame was built on it, or nothing was there to deliver. */
	}
	uc->regs.rflags = (uc->regs.rflags & RFLAGS_PROGRAM) | RFLAGS_FIXED;
	resume_context(uc, image, features);
}
