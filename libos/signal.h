/* SPDX-License-Identifier: MIT */
/*
 * signal.h - signals of the guest: sending them, waiting through them.
 *
 * Handlers run only where the thread leaves libos (signal_edge, entry.h) or in
 * the midst of program code (libos_interrupt); never inside a call.
 *
 * Layer:    libos.
 * Locking:  one leaf lock inside (nothing of libos may be held that is taken
 *           under it: it takes none but the thread list's, first).  Functions
 *           may be called with any other lock of libos held.
 * Memory:   queued signals come from a fixed pool (SIGQ_MAX); the rest is static
 *           or in struct thread.
 * Errors:   0 or a negative errno.
 */
#ifndef LIBOS_SIGNAL_H
#define LIBOS_SIGNAL_H

#include "libos/abi.h"
#include "libos/thread.h"
#include "platform/context.h"

#include <stdbool.h>
#include <stdint.h>

#define SIGQ_MAX 4096 /* queued signals of the guest; RLIMIT_SIGPENDING is at most this */

/* ---- sending ---- */

/* To the process, or to one thread.  @info may be NULL (SI_KERNEL); only its
 * first 48 bytes are kept.  -EAGAIN when a realtime signal finds no room. */
int signal_send_process(int sig, const struct siginfo_x86 *info);
int signal_send_thread(struct thread *t, int sig, const struct siginfo_x86 *info);
/* To the calling thread, as the kernel does for SIGPIPE and SIGXFSZ. */
void signal_send_self(int sig);

/* A timer's signal: one preallocated entry that is queued at most once.  While it
 * waits, further expirations count in the timer (@on_take is called under the
 * signal lock when a thread takes it, to fill si_overrun). */
struct sigq_timer {
	struct sigq_timer *next;      /* while queued */
	bool queued;
	uint32_t to_tid;              /* 0: the process */
	struct siginfo_x86 *info;     /* the owner's */
	void (*on_take)(struct sigq_timer *q, struct siginfo_x86 *out);
};

/* ---- waits with a mask of their own (ppoll, pselect6, epoll_pwait) ---- */

/* Put the program's set at @user_set in place for one wait; NULL: nothing to do.
 * -EINVAL unless @size is 8, -EFAULT.  After success call the next one once. */
int sigmask_swap_for_wait(const void *user_set, size_t size)
	__attribute__((warn_unused_result));
/* @result: what the call is about to return.  After -EINTR or -ERESTARTSYS the
 * old mask comes back at the edge, below the handlers' frames; otherwise now.
 * Returns @result. */
long sigmask_restore_after_wait(long result);

/* ---- looking ---- */

/* Signals of the calling thread or the process in @set, blocked or not. */
uint64_t signal_pending_in(uint64_t set);
/* Take the first one of @set.  Its number, or 0 when there is none. */
int signal_take(uint64_t set, struct siginfo_x86 *out);

/* What signalfd's poll needs to hear of: woken when any signal becomes pending. */
extern struct waitq g_signal_waitq;

/* Is SIGKILL-like end under way, or the action of @sig SIG_IGN? */
bool signal_ignored(int sig);

/* ---- threads ---- */

/* Before a thread's first instruction: the mask is @parent's; nothing pending, no
 * alternate stack.  @parent NULL: the first thread. */
void signal_thread_init(struct thread *t, const struct thread *parent);
/* After its last one: frees what is pending for it and hands signals of the
 * process that it might have taken to another thread. */
void signal_thread_exit(struct thread *t);

/* Change the calling thread's mask (SIGKILL and SIGSTOP stay unblocked). */
void signal_set_mask(uint64_t mask);

#endif /* LIBOS_SIGNAL_H */
