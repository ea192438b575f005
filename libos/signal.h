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

#define SIGQ_MAX                                                                       \
	4096 /* queued signals of the guest; RLIMIT_SIGPENDING is at most this */
#define SIGINFO_KEPT 48 /* bytes of a siginfo that mean anything */

/* ---- sending ---- */

/* To the process, or to one thread.  @info may be NULL (SI_KERNEL); only its
 * first 48 bytes are kept.  -EAGAIN when a realtime signal finds no room. */
int signal_send_process(int sig, const struct siginfo_x86 *info);
/* -ESRCH; @sig 0 only looks. */
int signal_send_tid(uint32_t tid, int sig, const struct siginfo_x86 *info);
/* To the calling thread, as the kernel does for SIGPIPE and SIGXFSZ. */
void signal_send_self(int sig);

/* A queued signal.  Timers own theirs: it is queued at most once, and further
 * expirations are counted by the timer. */
struct sigq {
	struct sigq *next; /* while queued: the queue's */
	bool queued;       /* under the signal lock */
	bool pooled;
	/* A thread takes it: called under the signal lock, to fill si_overrun. */
	void (*on_take)(struct sigq *q, struct siginfo_x86 *out);
	int32_t signo;
	_Alignas(8) uint8_t info[SIGINFO_KEPT];
};

/* Queue @q, which the caller owns, for @tid (0: the process).  True: it is queued
 * now; false: it was already, the signal is ignored, or there is no such thread.
 * @on_busy: called under the signal lock when it was queued already. */
bool signal_send_owned(struct sigq *q, uint32_t tid, void (*on_busy)(struct sigq *q));
/* Take @q out of its queue if it is in one. */
void signal_withdraw(struct sigq *q);

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
uint64_t signal_pending_in(uint64_t set); /* cheap: no lock */
/* Take the first one of @set.  Its number, or 0 when there is none. */
int signal_take(uint64_t set, struct siginfo_x86 *out);

/* signalfd.c: @sig is pending somewhere now. */
void signalfd_notify(int sig);

/* ---- the calling thread's mask ---- */

/* Change the calling thread's mask (SIGKILL and SIGSTOP stay unblocked). */
void signal_set_mask(uint64_t mask);

#endif /* LIBOS_SIGNAL_H */
