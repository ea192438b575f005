/* SPDX-License-Identifier: MIT */
/*
 * hostsig.c - the host's signals: faults, kicks, and what comes from outside.
 *
 * One handler, on the thread's own alternate stack, with every other signal
 * blocked but the faults (libos copies program memory inside it).  Where the
 * signal hit decides:
 *
 *   a copy range         fault fix-up: continue at the range's exit
 *   a wait about to sleep the wait ends with -EINTR
 *   libos                its flag is set; the call looks at it
 *   program code         libos_fault() or libos_interrupt() change the context
 */
#include "platform/fixup.h"
#include "platform/linux/host.h"

#include <stdatomic.h>
#include <sys/syscall.h>

#define SS_SIZE_FLAG_NONE 0
#define SA_SIGINFO_H 0x4u
#define SA_ONSTACK_H 0x08000000u
#define SA_NODEFER_H 0x40000000u
#define SA_RESTORER_H 0x04000000u

enum {
	H_SIGHUP = 1, H_SIGINT = 2, H_SIGQUIT = 3, H_SIGILL = 4, H_SIGTRAP = 5, H_SIGABRT = 6,
	H_SIGBUS = 7, H_SIGFPE = 8, H_SIGUSR1 = 10, H_SIGSEGV = 11, H_SIGUSR2 = 12,
	H_SIGPIPE = 13, H_SIGALRM = 14, H_SIGTERM = 15, H_SIGCONT = 18, H_SIGTSTP = 20,
	H_SIGTTIN = 21, H_SIGTTOU = 22, H_SIGWINCH = 28, H_SIGSYS = 31,
};

struct host_sigaction {
	void (*handler)(int, struct siginfo_x86 *, struct ucontext_x86 *);
	uint64_t flags;
	void (*restorer)(void);
	uint64_t mask;
};

static char *put_hex(char *to, const char *name, uint64_t v)
{
	while (*name)
		*to++ = *name++;
	for (int shift = 60; shift >= 0; shift -= 4)
		*to++ = "0123456789abcdef"[(v >> shift) & 15];
	return to;
}

/* A fault in libos: our bug.  Say where and die as such a program would. */
static _Noreturn void die_in_libos(int sig, const struct siginfo_x86 *info,
                                   const struct ucontext_x86 *uc)
{
#ifdef STRAIT_TESTLIB
	__builtin_trap(); /* for the sanitizer's report, or a core */
#endif
	char line[512], *p = line;
	const uint64_t *sp = (const uint64_t *)(uintptr_t)uc->regs.rsp;
	uint64_t word = 0;

	p = put_hex(p, "strait: a fault inside libos, please report it: signal ", (uint64_t)sig);
	p = put_hex(p, " rip ", uc->regs.rip);
	p = put_hex(p, " address ", info->fault.addr);
	p = put_hex(p, "\n rsp ", uc->regs.rsp);
	p = put_hex(p, " rax ", uc->regs.rax);
	p = put_hex(p, " rdi ", uc->regs.rdi);
	p = put_hex(p, " rsi ", uc->regs.rsi);
	p = put_hex(p, "\n rdx ", uc->regs.rdx);
	p = put_hex(p, " rcx ", uc->regs.rcx);
	if (plat_copy(&word, sp, sizeof(word)) == 0)
		p = put_hex(p, " [rsp] ", word);
	*p++ = '\n';
	plat_log(line, (size_t)(p - line));
	plat_exit(128 + sig, sig);
}

static void cancel_wait(struct ucontext_x86 *uc)
{
	if (uc->regs.rip >= (uintptr_t)host_intr_begin && uc->regs.rip < (uintptr_t)host_intr_end) {
		uc->regs.rip = (uintptr_t)host_intr_end;
		uc->regs.rax = (uint64_t)-4; /* EINTR */
	}
}

static bool is_fault(int sig, const struct siginfo_x86 *info)
{
	switch (sig) {
	case H_SIGSEGV:
	case H_SIGBUS:
	case H_SIGFPE:
	case H_SIGILL:
	case H_SIGTRAP:
	case H_SIGSYS:
		return info->code > 0; /* by the kernel, not by kill() */
	default:
		return false;
	}
}

static void on_signal(int sig, struct siginfo_x86 *info, struct ucontext_x86 *uc)
{
	if (is_fault(sig, info)) {
		if (fixup_apply(&uc->regs.rip))
			return;
		if (libos_at_fault(uc))
			die_in_libos(sig, info, uc);
		if (sig == H_SIGSYS) {
			libos_raw_syscall(uc);
		} else if (!libos_host_signal(uc)) {
			libos_fault(sig, info, uc);
			libos_host_signal_done();
		}
		return;
	}
	if (sig != HOST_KICK)
		libos_outside_signal(sig);
	cancel_wait(uc);
	if (!libos_host_signal(uc)) {
		libos_interrupt(uc);
		libos_host_signal_done();
	}
}

void host_sigmask(int how, uint64_t set, uint64_t *old)
{
	(void)HOST4(SYS_rt_sigprocmask, how, &set, old, sizeof(set));
}

void host_altstack(void *base, size_t size)
{
	struct sigstack_x86 ss = {(uintptr_t)base, SS_SIZE_FLAG_NONE, 0, size};

	(void)HOST2(SYS_sigaltstack, &ss, NULL);
}

static uint64_t bit(int sig)
{
	return (uint64_t)1 << (sig - 1);
}

void host_signals_init(void)
{
	static const int8_t sigs[] = {
#ifdef STRAIT_TESTLIB
		H_SIGSEGV, H_SIGBUS, HOST_KICK,
#else
		H_SIGSEGV, H_SIGBUS, H_SIGFPE, H_SIGILL, H_SIGTRAP, H_SIGSYS, HOST_KICK,
		H_SIGHUP, H_SIGINT, H_SIGQUIT, H_SIGTERM, H_SIGUSR1, H_SIGUSR2, H_SIGALRM,
		H_SIGWINCH, H_SIGCONT, H_SIGTSTP, H_SIGTTIN, H_SIGTTOU, H_SIGABRT,
#endif
	};
	struct host_sigaction sa = {
		.handler = on_signal,
		.flags = SA_SIGINFO_H | SA_ONSTACK_H | SA_NODEFER_H | SA_RESTORER_H,
		.restorer = host_sigreturn,
		.mask = ~(bit(H_SIGSEGV) | bit(H_SIGBUS) | bit(H_SIGFPE) | bit(H_SIGILL) |
		          bit(H_SIGSYS)),
	};

	for (unsigned i = 0; i < sizeof(sigs); i++)
		(void)HOST4(SYS_rt_sigaction, sigs[i], &sa, NULL, 8);
#ifdef STRAIT_TESTLIB
	return; /* the rest is the test's */
#endif
	/* Broken pipes are results, not signals; libos sends its own SIGPIPE. */
	sa.handler = (void (*)(int, struct siginfo_x86 *, struct ucontext_x86 *))1;
	sa.flags = SA_RESTORER_H;
	(void)HOST4(SYS_rt_sigaction, H_SIGPIPE, &sa, NULL, 8);
	host_sigmask(SIG_SETMASK_HOST, 0, NULL);
}

_Noreturn void plat_exit(int code, int sig)
{
	struct host_sigaction sa = {.flags = SA_RESTORER_H, .restorer = host_sigreturn};

	atomic_store(&g_doorbell->status, (uint32_t)(sig ? sig : code));
	atomic_store(&g_doorbell->ended, sig ? 2u : 1u);
	if (sig > 0) {
		(void)HOST4(SYS_rt_sigaction, sig, &sa, NULL, 8);
		host_sigmask(SIG_SETMASK_HOST, ~bit(sig), NULL);
		(void)HOST2(SYS_tkill, HOST0(SYS_gettid), sig);
		code = 128 + sig;
	}
	for (;;)
		(void)HOST1(SYS_exit_group, code);
}
