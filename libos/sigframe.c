/* SPDX-License-Identifier: MIT */
/*
 * sigframe.c - the edge: a handler's frame on the program's stack, and back.
 *
 * The frame is Linux's, bit for bit, since programs look into it (musl's
 * cancellation edits the PC, runtimes read the faulting registers):
 *
 *        | red zone, 128 bytes              |  program's rsp before
 *        | FP/SIMD image, 64-aligned        |
 *        | siginfo                          |
 *        | ucontext                         |  <- rt_sigreturn looks here
 *        | restorer, as return address      |  rsp of the handler: 8 mod 16
 */
#include "libos/entry.h"
#include "libos/exit.h"
#include "libos/signal.h"
#include "libos/sigstate.h"
#include "libos/syscall.h"
#include "libos/user.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define RED_ZONE 128u
#define FP_LEGACY_SIZE 512u
#define USER_CS 0x33u
#define USER_SS 0x2bu

/* rflags a program may load: AC OF DF TF SF ZF AF PF CF RF. */
#define RFLAGS_USER 0x50dd5ull
#define RFLAGS_ALWAYS 0x202ull
#define RFLAGS_HANDLER_CLEARS 0x10500ull /* DF TF RF */

struct sigframe {
	uint64_t restorer;
	struct ucontext_x86 uc;
	struct siginfo_x86 info;
};
_Static_assert(sizeof(struct sigframe) == 440, "Linux's struct rt_sigframe");

/* ---- the alternate stack ---- */

static bool on_alt_stack(const struct kstack *alt, uint64_t sp)
{
	if ((uint32_t)alt->flags & ABI_SS_AUTODISARM)
		return false;
	return sp > alt->sp && sp - alt->sp <= alt->size;
}

static int alt_state(const struct kstack *alt, uint64_t sp)
{
	if (alt->size == 0)
		return ABI_SS_DISABLE;
	return on_alt_stack(alt, sp) ? ABI_SS_ONSTACK : 0;
}

static void alt_reset(struct kstack *alt)
{
	*alt = (struct kstack){.flags = ABI_SS_DISABLE};
}

static long alt_set(struct kstack *alt, const struct kstack *to, uint64_t sp)
{
	uint32_t mode = (uint32_t)to->flags & ~ABI_SS_AUTODISARM;

	if (on_alt_stack(alt, sp))
		return -EPERM;
	if (mode != ABI_SS_DISABLE && mode != ABI_SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (mode == ABI_SS_DISABLE) {
		*alt = (struct kstack){.flags = to->flags};
		return 0;
	}
	if (to->size < ABI_MINSIGSTKSZ)
		return -ENOMEM;
	*alt = (struct kstack){.sp = to->sp, .size = to->size, .flags = to->flags};
	return 0;
}

SYSCALL(sigaltstack, const void *user_new, void *user_old)
{
	struct thread *t = self();
	struct kstack *alt = &t->sig->alt, old = *alt, to;
	uint64_t sp = t->entry[ENTRY_RSP];
	long err;

	if (user_new) {
		if (user_copy_in(&to, user_new, sizeof(to)) != 0)
			return -EFAULT;
		err = alt_set(alt, &to, sp);
		if (err != 0)
			return err;
	}
	if (!user_old)
		return 0;
	old.flags = (int32_t)((uint32_t)alt_state(&old, sp) |
	                      ((uint32_t)old.flags & ABI_SS_AUTODISARM));
	return user_copy_out(user_old, &old, sizeof(old)) != 0 ? -EFAULT : 0;
}

/* ---- the FP/SIMD image ---- */

static void read_sw(const void *fp, struct fp_sw_x86 *sw)
{
	memcpy(sw, (const uint8_t *)fp + FP_SW_OFFSET, sizeof(*sw));
}

/* Bytes of an image of our own making or the host's, its end mark included. */
static size_t fp_image_len(const void *fp)
{
	struct fp_sw_x86 sw;

	read_sw(fp, &sw);
	return sw.magic1 == FP_XSTATE_MAGIC1 ? sw.extended_size : FP_LEGACY_SIZE;
}

/* A handler starts with the state that exec gives. */
static void fp_make_fresh(void *fp)
{
	uint8_t *image = fp;
	const uint16_t cwd = 0x37f;
	const uint32_t mxcsr = 0x1f80;
	struct fp_sw_x86 sw;

	read_sw(fp, &sw);
	memset(image, 0, 24);
	memcpy(image, &cwd, sizeof(cwd));
	memcpy(image + 24, &mxcsr, sizeof(mxcsr));
	if (sw.magic1 == FP_XSTATE_MAGIC1) {
		uint64_t in_use;

		memcpy(&in_use, image + FP_LEGACY_SIZE, sizeof(in_use));
		in_use &=
		        ~UINT64_C(0xe7); /* x87 SSE AVX AVX-512: initial; PKRU stays */
		memcpy(image + FP_LEGACY_SIZE, &in_use, sizeof(in_use));
	}
}

/* Fetch the image of a frame into @to (room for @size).  Without a valid extended
 * part only the legacy one is used, as Linux does. */
static int fp_fetch(uint8_t *to, size_t size, const void *user_fp)
{
	struct fp_sw_x86 sw;
	uint32_t end;

	if (user_copy_in(to, user_fp, FP_LEGACY_SIZE) != 0)
		return -EFAULT;
	read_sw(to, &sw);
	if (sw.magic1 == FP_XSTATE_MAGIC1 && sw.extended_size <= size &&
	    sw.extended_size >= FP_LEGACY_SIZE + 64 + sizeof(end) &&
	    sw.xstate_size <= sw.extended_size - sizeof(end)) {
		if (user_copy_in(to, user_fp, sw.extended_size) != 0)
			return -EFAULT;
		memcpy(&end, to + sw.xstate_size, sizeof(end));
		read_sw(to, &sw); /* it may have changed under us: check again */
		if (end == FP_XSTATE_MAGIC2 && sw.magic1 == FP_XSTATE_MAGIC1 &&
		    sw.extended_size <= size &&
		    sw.xstate_size <= sw.extended_size - sizeof(end))
			return 0;
	}
	memset(to + FP_SW_OFFSET, 0, sizeof(sw));
	return 0;
}

/* ---- the end ---- */

static const char *const g_names[32] = {
        [SIGQUIT] = "SIGQUIT", [SIGILL] = "SIGILL", [SIGTRAP] = "SIGTRAP",
        [SIGABRT] = "SIGABRT", [SIGBUS] = "SIGBUS", [SIGFPE] = "SIGFPE",
        [SIGSEGV] = "SIGSEGV", [SIGSYS] = "SIGSYS", [SIGXCPU] = "SIGXCPU",
        [SIGXFSZ] = "SIGXFSZ",
};

static size_t put_text(char *to, size_t at, const char *text)
{
	while (*text)
		to[at++] = *text++;
	return at;
}

static size_t put_hex(char *to, size_t at, uint64_t value)
{
	int shift = 60;

	at = put_text(to, at, "0x");
	while (shift > 0 && (value >> shift) == 0)
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		to[at++] = "0123456789abcdef"[(value >> shift) & 15];
	return at;
}

/* One line about an end that Linux would dump core for. */
static void tell_end(int sig, const struct siginfo_x86 *info,
                     const struct ucontext_x86 *uc)
{
	char line[128];
	size_t at = put_text(line, 0, "strait: the program was ended by ");

	at = put_text(line, at, g_names[sig]);
	if (info->code > 0 && info->code != SI_KERNEL) {
		at = put_text(line, at, " at address ");
		at = put_hex(line, at, info->fault.addr);
	}
	if (uc) {
		at = put_text(line, at, ", pc ");
		at = put_hex(line, at, uc->regs.rip);
	}
	line[at++] = '\n';
	plat_log(line, at);
}

void sig_end_guest(int sig, const struct siginfo_x86 *info,
                   const struct ucontext_x86 *uc)
{
	switch (sig) {
	case SIGQUIT:
	case SIGILL:
	case SIGTRAP:
	case SIGABRT:
	case SIGBUS:
	case SIGFPE:
	case SIGSEGV:
	case SIGSYS:
	case SIGXCPU:
	case SIGXFSZ:
		tell_end(sig, info, uc);
		break;
	default:
		break;
	}
	guest_exit(128 + sig, sig);
}

/* ---- frames ---- */

static uint64_t frame_top(struct thread *t, const struct ucontext_x86 *uc,
                          uint64_t flags, bool *on_alt)
{
	const struct kstack *alt = &t->sig->alt;
	uint64_t sp = uc->regs.rsp - RED_ZONE;

	*on_alt = on_alt_stack(alt, uc->regs.rsp);
	if ((flags & ABI_SA_ONSTACK) && alt_state(alt, sp) == 0) {
		*on_alt = true;
		return alt->sp + alt->size;
	}
	return sp;
}

/* Push a frame for @sig that returns to @uc, and make @uc the handler's start. */
static int push_frame(struct thread *t, struct ucontext_x86 *uc, int sig,
                      const struct siginfo_x86 *info, const struct ksigaction *act)
{
	struct kstack *alt = &t->sig->alt;
	struct sigframe frame;
	void *image = uc->fpstate;
	size_t fp_len;
	bool on_alt;
	uint64_t fp, sp = frame_top(t, uc, act->flags, &on_alt);

	if (!(act->flags & ABI_SA_RESTORER))
		return -EFAULT;
	if (!image) { /* the context keeps whatever is loaded */
		image = __builtin_alloca_with_align(plat_fpstate_size(), 512);
		plat_fpstate_save(image);
	}
	fp_len = fp_image_len(image);
	fp = (sp - fp_len) & ~UINT64_C(63);
	sp = ((fp - sizeof(frame)) & ~UINT64_C(15)) - 8;
	if (on_alt && !(sp > alt->sp && sp - alt->sp <= alt->size))
		return -EFAULT; /* the alternate stack would overflow */

	frame.restorer = act->restorer;
	frame.uc = *uc;
	frame.uc.flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	if (fp_len > FP_LEGACY_SIZE)
		frame.uc.flags |= UC_FP_XSTATE;
	frame.uc.link = 0;
	frame.uc.stack.sp = alt->sp;
	frame.uc.stack.flags = alt->flags;
	frame.uc.stack.pad = 0;
	frame.uc.stack.size = alt->size;
	frame.uc.fpstate = (void *)fp;
	frame.uc.sigmask = t->sig->has_saved ? t->sig->saved_mask : t->sigmask;
	frame.uc.regs.oldmask = frame.uc.sigmask;
	frame.info = *info;
	if (user_copy_out((void *)fp, image, fp_len) != 0 ||
	    user_copy_out((void *)sp, &frame, sizeof(frame)) != 0)
		return -EFAULT;

	if ((uint32_t)alt->flags & ABI_SS_AUTODISARM)
		alt_reset(alt);
	fp_make_fresh(image);
	uc->regs.rdi = (uint64_t)sig;
	uc->regs.rsi = sp + offsetof(struct sigframe, info);
	uc->regs.rdx = sp + offsetof(struct sigframe, uc);
	uc->regs.rax = 0;
	uc->regs.rsp = sp;
	uc->regs.rip = act->handler;
	uc->regs.rflags &= ~RFLAGS_HANDLER_CLEARS;
	return 0;
}

static void block_for_handler(struct thread *t, int sig, const struct ksigaction *act)
{
	uint64_t mask = t->sigmask | act->mask;

	if (!(act->flags & ABI_SA_NODEFER))
		mask |= ABI_SIGBIT(sig);
	t->sig->has_saved = false; /* the frame has it */
	signal_set_mask(mask);
}

/* Turn @sig into a frame on @uc, or into the guest's end. */
static void act_on(struct thread *t, struct ucontext_x86 *uc, int sig,
                   struct siginfo_x86 *info, struct ksigaction *act)
{
	if (act->handler == (uint64_t)SIG_DFL)
		sig_end_guest(sig, info, uc);
	if (push_frame(t, uc, sig, info, act) != 0) {
		/* No room for the frame: SIGSEGV, which ends it the second time. */
		struct siginfo_x86 bad = {.signo = SIGSEGV, .code = SI_KERNEL};

		if (sig == SIGSEGV)
			sig_end_guest(sig, info, uc);
		sig_force(t, SIGSEGV, act);
		if (act->handler == (uint64_t)SIG_DFL ||
		    push_frame(t, uc, SIGSEGV, &bad, act) != 0)
			sig_end_guest(SIGSEGV, &bad, uc);
		sig = SIGSEGV;
	}
	block_for_handler(t, sig, act);
}

/* Frames for all that is pending: the last one's handler runs first, as in Linux. */
static bool act_on_all(struct thread *t, struct ucontext_x86 *uc)
{
	struct siginfo_x86 info;
	struct ksigaction act;
	bool any = false;
	int sig;

	while ((sig = sig_next(t, &info, &act)) != 0) {
		act_on(t, uc, sig, &info, &act);
		any = true;
	}
	return any;
}

static void look_again(struct thread *t)
{
	atomic_store(&t->work, 0);
	atomic_store(&t->kicked, 0);
}

/* ---- leaving a call ---- */

_Noreturn static void leave_to_handler(struct thread *t, long result,
                                       struct entry_regs *r, int sig,
                                       struct siginfo_x86 *info, struct ksigaction *act)
{
	void *fp = __builtin_alloca_with_align(plat_fpstate_size(), 512);
	struct ucontext_x86 uc;
	bool restart = false;

	if (act->handler == (uint64_t)SIG_DFL)
		sig_end_guest(sig, info, r->full);
	if (result == -ERESTARTSYS)
		restart = (act->flags & ABI_SA_RESTART) != 0;
	if ((result == -ERESTARTSYS && !restart) || result == -ERESTARTNOHAND)
		result = -EINTR;
	memset(&uc, 0, sizeof(uc));
	entry_context(r, result, restart, &uc);
	if (!r->full || !uc.fpstate) {
		plat_fpstate_save(fp);
		uc.fpstate = fp;
	}
	act_on(t, &uc, sig, info, act);
	(void)act_on_all(t, &uc);
	plat_resume(&uc);
}

long signal_edge(struct thread *t, long result, struct entry_regs *r)
{
	struct siginfo_x86 info;
	struct ksigaction act;
	int sig;

	do {
		look_again(t);
		sig = sig_next(t, &info, &act);
		if (sig)
			leave_to_handler(t, result, r, sig, &info, &act);
		if (t->sig->has_saved) {
			t->sig->has_saved = false;
			signal_set_mask(t->sig->saved_mask);
		}
	} while (t->work);
	return result == -ERESTARTNOHAND ? -ERESTARTSYS : result;
}

/* ---- in the midst of program code ---- */

void libos_interrupt(struct ucontext_x86 *uc)
{
	struct thread *t = self();

	do {
		look_again(t);
		(void)act_on_all(t, uc);
	} while (t->work);
}

void libos_fault(int sig, struct siginfo_x86 *info, struct ucontext_x86 *uc)
{
	struct thread *t = self();
	struct ksigaction act;

	sig_force(t, sig, &act);
	act_on(t, uc, sig, info, &act);
}

/* ---- back from a handler ---- */

SYSCALL(rt_sigreturn, void)
{
	struct thread *t = self();
	size_t room = plat_fpstate_size();
	uint8_t *fp = __builtin_alloca_with_align(room, 512);
	struct siginfo_x86 bad = {.signo = SIGSEGV, .code = SI_KERNEL};
	const uint64_t at = t->entry[ENTRY_RSP] + 8; /* above our return address */
	struct ucontext_x86 uc;
	struct kstack alt;

	if (user_copy_in(&uc, (const void *)at, sizeof(uc)) != 0)
		sig_end_guest(SIGSEGV, &bad, NULL);
	if (uc.fpstate && fp_fetch(fp, room, uc.fpstate) != 0)
		sig_end_guest(SIGSEGV, &bad, &uc);
	if (!uc.fpstate) {
		plat_fpstate_save(fp);
		fp_make_fresh(fp);
	}
	uc.fpstate = fp;
	uc.regs.cs = USER_CS;
	uc.regs.ss = USER_SS;
	uc.regs.rflags = (uc.regs.rflags & RFLAGS_USER) | RFLAGS_ALWAYS;
	alt = (struct kstack){
	        .sp = uc.stack.sp, .flags = uc.stack.flags, .size = uc.stack.size};
	(void)alt_set(&t->sig->alt, &alt, at); /* as Linux: a bad one is not told */
	signal_set_mask(uc.sigmask);
	do {
		look_again(t);
		(void)act_on_all(t, &uc);
	} while (t->work);
	plat_resume(&uc);
}
