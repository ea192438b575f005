/* SPDX-License-Identifier: MIT */
/*
 * sigstate.h - what the files of the signal code share.
 *
 *     signal.c    actions, queues, masks, who gets what
 *     sigcalls.c  the calls: rt_sigaction, kill, rt_sigtimedwait, ...
 *     sigframe.c  the edge: frames on the program's stack, rt_sigreturn, faults
 *
 * Layer:   libos.
 * Locking: g_sig_lock guards g_actions, every queue and its counts; a thread list
 *          walk takes g_thread_lock first.  `set` words are written under the lock
 *          and read anywhere; a mask is written by its own thread only.
 */
#ifndef LIBOS_SIGSTATE_H
#define LIBOS_SIGSTATE_H

#include "libos/lock.h"
#include "libos/signal.h"

#define ERESTARTNOHAND 514 /* from my own waits: again unless a handler ran */

#define SIGSET_UNMASKABLE (ABI_SIGBIT(9) | ABI_SIGBIT(19)) /* KILL, STOP */

struct sigqueue {
	_Atomic uint64_t set;
	struct sigq *head;
};

/* In thread.priv. */
struct sigpending {
	struct sigqueue queue;
	_Atomic uint64_t waiting; /* what rt_sigtimedwait waits for: not blocked now */
	uint64_t saved_mask;      /* if has_saved: comes back at the edge */
	bool has_saved;
	struct kstack alt; /* flags: 0, ABI_SS_DISABLE, with ABI_SS_AUTODISARM */
};

extern struct lock g_sig_lock;
extern struct sigqueue g_sig_process;
extern struct ksigaction g_actions[ABI_NSIG + 1];

/* Replace an action: drops what is pending if it is ignored now. */
void sig_set_action(int sig, const struct ksigaction *act, struct ksigaction *old);

/* The next signal for @t to act on, its information and a copy of its action
 * (SA_RESETHAND applied); ignored ones are dropped.  0: none. */
int sig_next(struct thread *t, struct siginfo_x86 *info, struct ksigaction *act);

/* For a fault: if @sig is blocked or ignored, make it SIG_DFL and unblocked.
 * Returns the action to take. */
void sig_force(struct thread *t, int sig, struct ksigaction *act);

/* Blocked, unless rt_sigtimedwait waits for it. */
static inline uint64_t sig_blocked(const struct thread *t)
{
	return __atomic_load_n(&t->sigmask, __ATOMIC_SEQ_CST) & ~t->sig->waiting;
}

/* The calling thread no longer waits for @set: what came meanwhile and it does not
 * act on needs another thread. */
void signal_reconsider(uint64_t set);

/* Put @mask in place until the edge. */
void sig_swap_mask(uint64_t mask);

/* Take what came from outside (Ctrl-C) into the process's queue. */
void sig_drain_outside(void);

/* End the guest: a signal's default action. */
_Noreturn void sig_end_guest(int sig, const struct siginfo_x86 *info,
                             const struct ucontext_x86 *uc);

#endif /* LIBOS_SIGSTATE_H */
