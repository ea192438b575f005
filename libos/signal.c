/* SPDX-License-Identifier: MIT */
/*
 * signal.c - actions, queues and masks: who gets which signal.
 *
 * 1. A signal goes into a thread's queue or the process's; `set` shows which
 *    numbers are queued.  Standard ones are there at most once, realtime ones queue.
 * 2. Lost wake-ups: a sender sets the bit in `set`, then reads masks; a thread that
 *    changes its mask stores it, then reads `set` (all sequentially consistent).
 *    So a signal for the process that the chosen thread just blocked is seen by
 *    that thread, which then chooses another (retarget()).
 * 3. An ignored signal that nobody blocks is never queued, so whatever is pending
 *    and not blocked is worth leaving a wait for, but for actions changed since:
 *    g_ignored tells.
 */
#include "libos/signal.h"

#include "libos/entry.h"
#include "libos/exit.h"
#include "libos/limits.h"
#include "libos/process.h"
#include "libos/sigstate.h"
#include "libos/syscall.h"
#include "libos/user.h"
#include "rpc/guest.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define BIT(n) ABI_SIGBIT(n)

#define DEFAULT_IGNORED (BIT(SIGCHLD) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGCONT))
/* Stopping the only process of a guest means nothing: ignored, as in an orphaned
 * process group for all but SIGSTOP. */
#define DEFAULT_STOP (BIT(SIGSTOP) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU))
/* Caused by the program's own instructions: taken before others. */
#define SYNCHRONOUS                                                                    \
	(BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGFPE) |       \
	 BIT(SIGSYS))

struct lock g_sig_lock = LOCK_INIT;
struct sigqueue g_sig_process;
struct ksigaction g_actions[ABI_NSIG + 1];

static _Atomic uint64_t g_ignored = DEFAULT_IGNORED | DEFAULT_STOP;
static _Atomic uint64_t g_outside;

static struct sigq g_pool[SIGQ_MAX];
static struct sigq *g_pool_free;
static uint32_t g_pool_fresh, g_pool_used;

_Static_assert(sizeof(struct sigpending) <= sizeof(((struct thread *)0)->priv),
               "struct sigpending must fit its room in struct thread");

/* ---- threads ---- */

void signal_thread_init(struct thread *child, const struct thread *parent)
{
	child->sig = (struct sigpending *)child->priv;
	memset(child->sig, 0, sizeof(*child->sig));
	child->sig->alt.flags = ABI_SS_DISABLE;
	child->sigmask = parent ? parent->sigmask : 0;
}

void signal_init(void)
{
	signal_thread_init(self(), NULL);
}

/* ---- queues ---- */

static struct sigq *pool_take_locked(void)
{
	struct sigq *q = g_pool_free;

	if (q)
		g_pool_free = q->next;
	else if (g_pool_fresh < SIGQ_MAX)
		q = &g_pool[g_pool_fresh++];
	else
		return NULL;
	g_pool_used++;
	q->pooled = true;
	q->on_take = NULL;
	return q;
}

static void release_locked(struct sigq *q)
{
	q->queued = false;
	if (!q->pooled)
		return;
	q->next = g_pool_free;
	g_pool_free = q;
	g_pool_used--;
}

static void append_locked(struct sigqueue *to, struct sigq *q)
{
	struct sigq **at = &to->head;

	while (*at)
		at = &(*at)->next;
	q->next = NULL;
	q->queued = true;
	*at = q;
}

/* Take the first entry for @sig out; clears its bit with the last one. */
static void collect_locked(struct sigqueue *from, int sig, struct siginfo_x86 *out)
{
	struct sigq **at = &from->head, *first = NULL;
	bool more = false;

	while (*at) {
		struct sigq *q = *at;

		if (q->signo == sig && !first) {
			first = q;
			*at = q->next;
			continue;
		}
		more = more || q->signo == sig;
		at = &q->next;
	}
	if (!more)
		from->set &= ~BIT(sig);
	memset(out, 0, sizeof(*out));
	out->signo = sig; /* its information found no room: SI_USER, nobody */
	if (!first)
		return;
	memcpy(out, first->info, SIGINFO_KEPT);
	if (first->on_take)
		first->on_take(first, out);
	release_locked(first);
}

static void flush_locked(struct sigqueue *from, uint64_t set)
{
	struct sigq **at = &from->head;

	while (*at) {
		struct sigq *q = *at;

		if (BIT(q->signo) & set) {
			*at = q->next;
			release_locked(q);
		} else {
			at = &q->next;
		}
	}
	from->set &= ~set;
}

/* Out of every queue.  The caller holds g_thread_lock too. */
static void flush_all_locked(uint64_t set)
{
	flush_locked(&g_sig_process, set);
	for (struct thread *t = g_threads; t; t = t->next)
		flush_locked(&t->sig->queue, set);
}

static int lowest(uint64_t set)
{
	if (set & SYNCHRONOUS)
		set &= SYNCHRONOUS;
	return set ? __builtin_ctzll(set) + 1 : 0;
}

static int take_locked(struct thread *t, uint64_t set, struct siginfo_x86 *out)
{
	struct sigqueue *from = &t->sig->queue;
	int sig = lowest(from->set & set);

	if (!sig) {
		from = &g_sig_process;
		sig = lowest(from->set & set);
	}
	if (sig)
		collect_locked(from, sig, out);
	return sig;
}

/* ---- choosing a thread ---- */

/* Would @t act on or wait for @sig? */
static bool wants(const struct thread *t, int sig)
{
	return (sig_blocked(t) & BIT(sig)) == 0;
}

static void poke(struct thread *t)
{
	if (t == self()) {
		t->work = 1;
		return;
	}
	thread_kick(t);
}

/* Wake a thread for @sig of the process: the caller if it may, then one that is not
 * already on its way, then any.  g_thread_lock is held. */
static void choose_locked(int sig, const struct thread *not_this)
{
	struct thread *me = self(), *found = NULL;

	for (struct thread *t = g_threads; t; t = t->next) {
		if (t == not_this || !wants(t, sig))
			continue;
		if (t == me) {
			found = t;
			break;
		}
		if (!found || (found->work && !t->work))
			found = t;
	}
	if (found)
		poke(found);
}

/* @t stopped taking @set: what waits for the process among it needs another. */
static void retarget(const struct thread *t, uint64_t set)
{
	lock_take(&g_thread_lock);
	for (uint64_t left = g_sig_process.set & set; left; left &= left - 1)
		choose_locked(__builtin_ctzll(left) + 1, t);
	lock_drop(&g_thread_lock);
}

void signal_reconsider(uint64_t set)
{
	struct thread *t = self();

	if (g_sig_process.set & set & t->sigmask)
		retarget(t, set & t->sigmask);
	if (signal_pending_in(~t->sigmask))
		t->work = 1;
}

void signal_thread_exit(struct thread *t)
{
	uint64_t could_take = ~sig_blocked(t);

	__atomic_store_n(&t->sigmask, ~UINT64_C(0), __ATOMIC_SEQ_CST);
	t->sig->waiting = 0;
	lock_take(&g_sig_lock);
	flush_locked(&t->sig->queue, ~UINT64_C(0));
	lock_drop(&g_sig_lock);
	if (g_sig_process.set & could_take)
		retarget(t, could_take);
}

/* ---- sending ---- */

static bool ignored_now(int sig)
{
	return (g_ignored & BIT(sig)) != 0;
}

/* Linux queues an ignored signal only where it is blocked. */
static bool worth_queueing_locked(const struct thread *t, int sig)
{
	if (!ignored_now(sig))
		return true;
	if (t)
		return (t->sigmask & BIT(sig)) != 0;
	for (t = g_threads; t; t = t->next) {
		if (t->sigmask & BIT(sig))
			return true;
	}
	return false;
}

/* SIGCONT takes back stops and the other way round. */
static void cancel_opposite_locked(int sig)
{
	if (BIT(sig) & DEFAULT_STOP)
		flush_all_locked(BIT(SIGCONT));
	else if (sig == SIGCONT)
		flush_all_locked(DEFAULT_STOP);
}

static int fill_locked(struct sigqueue *to, int sig, const struct siginfo_x86 *info)
{
	uint64_t limit = limits_get(LIMIT_SIGPENDING);
	bool forced = sig < ABI_SIGRTMIN && (!info || info->code >= 0);
	struct sigq *q = NULL;

	if (forced || g_pool_used < limit)
		q = pool_take_locked();
	if (!q)
		return sig >= ABI_SIGRTMIN && info && info->code != SI_USER ? -EAGAIN
		                                                            : 0;
	q->signo = sig;
	memset(q->info, 0, sizeof(q->info));
	if (info) {
		memcpy(q->info, info, SIGINFO_KEPT);
	} else {
		int32_t code = SI_KERNEL;

		memcpy(q->info + offsetof(struct siginfo_x86, code), &code,
		       sizeof(code));
	}
	memcpy(q->info, &sig, sizeof(sig));
	append_locked(to, q);
	return 0;
}

/* @t: NULL for the process.  g_thread_lock is held, so @t stays. */
static int send_locked(struct thread *t, int sig, const struct siginfo_x86 *info)
{
	struct sigqueue *to = t ? &t->sig->queue : &g_sig_process;
	int err = 0;

	lock_take(&g_sig_lock);
	cancel_opposite_locked(sig);
	if (!worth_queueing_locked(t, sig) ||
	    (sig < ABI_SIGRTMIN && (to->set & BIT(sig)))) {
		lock_drop(&g_sig_lock);
		return 0;
	}
	err = fill_locked(to, sig, info);
	if (err == 0)
		to->set |= BIT(sig);
	lock_drop(&g_sig_lock);
	if (err != 0)
		return err;
	if (!t)
		choose_locked(sig, NULL);
	else if (wants(t, sig))
		poke(t);
	return 0;
}

int signal_send_process(int sig, const struct siginfo_x86 *info)
{
	int err;

	lock_take(&g_thread_lock);
	err = send_locked(NULL, sig, info);
	lock_drop(&g_thread_lock);
	signalfd_notify(sig);
	return err;
}

int signal_send_tid(uint32_t tid, int sig, const struct siginfo_x86 *info)
{
	int err = -ESRCH;
	struct thread *t;

	lock_take(&g_thread_lock);
	t = thread_find_locked(tid);
	if (t)
		err = sig ? send_locked(t, sig, info) : 0;
	lock_drop(&g_thread_lock);
	if (t && sig)
		signalfd_notify(sig);
	return err;
}

void signal_send_self(int sig)
{
	struct siginfo_x86 info;

	process_fill_user_info(&info, sig, SI_USER);
	(void)signal_send_tid(self()->tid, sig, &info); /* cannot fail: not realtime */
}

bool signal_send_owned(struct sigq *q, uint32_t tid, void (*on_busy)(struct sigq *q))
{
	struct thread *t = NULL;
	struct sigqueue *to;
	bool sent = false;

	lock_take(&g_thread_lock);
	if (tid)
		t = thread_find_locked(tid);
	if (tid && !t)
		goto out;
	to = t ? &t->sig->queue : &g_sig_process;
	lock_take(&g_sig_lock);
	if (q->queued) {
		on_busy(q);
	} else if (worth_queueing_locked(t, q->signo)) {
		q->pooled = false;
		append_locked(to, q);
		to->set |= BIT(q->signo);
		sent = true;
	}
	lock_drop(&g_sig_lock);
	if (sent && !t)
		choose_locked(q->signo, NULL);
	else if (sent && wants(t, q->signo))
		poke(t);
out:
	lock_drop(&g_thread_lock);
	if (sent)
		signalfd_notify(q->signo);
	return sent;
}

static bool withdraw_from_locked(struct sigqueue *from, struct sigq *q)
{
	bool found = false, more = false;

	for (struct sigq **at = &from->head; *at;) {
		if (*at == q) {
			*at = q->next;
			found = true;
			continue;
		}
		more = more || (*at)->signo == q->signo;
		at = &(*at)->next;
	}
	if (found && !more)
		from->set &= ~BIT(q->signo);
	return found;
}

void signal_withdraw(struct sigq *q)
{
	lock_take(&g_thread_lock);
	lock_take(&g_sig_lock);
	if (q->queued && !withdraw_from_locked(&g_sig_process, q)) {
		for (struct thread *t = g_threads; t; t = t->next) {
			if (withdraw_from_locked(&t->sig->queue, q))
				break;
		}
	}
	q->queued = false;
	lock_drop(&g_sig_lock);
	lock_drop(&g_thread_lock);
}

/* ---- from outside ---- */

/* On whatever host thread the host chose, in the midst of anything: leave a bit and
 * make that thread look soon. */
void libos_outside_signal(int sig)
{
	struct thread *t = self();

	if (sig < 1 || sig > ABI_NSIG)
		return;
	atomic_fetch_or(&g_outside, BIT(sig));
	if (!t || !t->sig) /* a thread of libos's own: any other will do */
		t = g_threads;
	if (t)
		thread_kick(t);
}

void sig_drain_outside(void)
{
	uint64_t set;

	if (!g_outside)
		return;
	set = atomic_exchange(&g_outside, 0);
	for (; set; set &= set - 1)
		(void)signal_send_process(__builtin_ctzll(set) + 1,
		                          NULL); /* standard ones */
}

/* ---- looking ---- */

uint64_t signal_pending_in(uint64_t set)
{
	return (self()->sig->queue.set | g_sig_process.set) & set;
}

int signal_take(uint64_t set, struct siginfo_x86 *out)
{
	int sig;

	sig_drain_outside();
	if (!signal_pending_in(set))
		return 0;
	lock_take(&g_sig_lock);
	sig = take_locked(self(), set, out);
	lock_drop(&g_sig_lock);
	return sig;
}

bool thread_interrupted(void)
{
	struct thread *t = self();
	uint64_t set;

	if (!t->sig) /* a thread of libos's own */
		return false;
	/* Spent before the look: a kick after it ends the sleep that may follow. */
	if (t->kicked)
		atomic_store(&t->kicked, 0);
	sig_drain_outside();
	set = signal_pending_in(~__atomic_load_n(&t->sigmask, __ATOMIC_SEQ_CST));
	return (set & ~g_ignored) != 0;
}

enum sig_disposition { SIG_DO_IGNORE, SIG_DO_END, SIG_DO_HANDLE };

static enum sig_disposition sig_disposition_locked(int sig)
{
	uint64_t handler = g_actions[sig].handler;

	if (handler == (uint64_t)SIG_IGN)
		return SIG_DO_IGNORE;
	if (handler != (uint64_t)SIG_DFL)
		return SIG_DO_HANDLE;
	return BIT(sig) & (DEFAULT_IGNORED | DEFAULT_STOP) ? SIG_DO_IGNORE : SIG_DO_END;
}

/* A signal whose default action ends the guest, unblocked in this thread.  0: none. */
static int fatal_pending(void)
{
	uint64_t set;
	int sig = 0;

	sig_drain_outside();
	set = signal_pending_in(~self()->sigmask);
	lock_take(&g_sig_lock);
	for (; set && !sig; set &= set - 1) {
		const int s = __builtin_ctzll(set) + 1;

		if (sig_disposition_locked(s) == SIG_DO_END)
			sig = s;
	}
	lock_drop(&g_sig_lock);
	return sig;
}

/* As in Linux's killable waits.  Another thread may be ending the guest and wait for
 * what this one holds; nothing of the end that needs the service can be done. */
void rpc_silent(const char *channel)
{
	int sig = guest_exit_signal();

	if (!sig && self()->sig)
		sig = fatal_pending();
	if (!sig)
		return;
	rpc_log(channel, "does not answer: a signal ends the program without it");
	plat_exit(128 + sig, sig);
}

/* ---- actions and masks ---- */

static void note_ignored_locked(int sig)
{
	if (sig_disposition_locked(sig) == SIG_DO_IGNORE)
		g_ignored |= BIT(sig);
	else
		g_ignored &= ~BIT(sig);
}

void sig_set_action(int sig, const struct ksigaction *act, struct ksigaction *old)
{
	lock_take(&g_thread_lock);
	lock_take(&g_sig_lock);
	*old = g_actions[sig];
	if (act) {
		g_actions[sig] = *act;
		note_ignored_locked(sig);
		if (ignored_now(sig))
			flush_all_locked(BIT(sig));
	}
	lock_drop(&g_sig_lock);
	lock_drop(&g_thread_lock);
}

int sig_next(struct thread *t, struct siginfo_x86 *info, struct ksigaction *act)
{
	int sig = 0;

	sig_drain_outside();
	if (!signal_pending_in(~t->sigmask))
		return 0;
	lock_take(&g_sig_lock);
	while ((sig = take_locked(t, ~t->sigmask, info)) != 0) {
		if (sig_disposition_locked(sig) != SIG_DO_IGNORE)
			break;
	}
	if (sig) {
		*act = g_actions[sig];
		if (sig_disposition_locked(sig) == SIG_DO_HANDLE &&
		    (act->flags & ABI_SA_RESETHAND)) {
			g_actions[sig].handler = (uint64_t)SIG_DFL;
			note_ignored_locked(sig);
		}
	}
	lock_drop(&g_sig_lock);
	return sig;
}

void sig_force(struct thread *t, int sig, struct ksigaction *act)
{
	bool blocked = (t->sigmask & BIT(sig)) != 0;

	lock_take(&g_sig_lock);
	if (blocked || g_actions[sig].handler == (uint64_t)SIG_IGN) {
		g_actions[sig].handler = (uint64_t)SIG_DFL;
		note_ignored_locked(sig);
	}
	*act = g_actions[sig];
	if (act->handler != (uint64_t)SIG_DFL && (act->flags & ABI_SA_RESETHAND))
		g_actions[sig].handler = (uint64_t)SIG_DFL;
	lock_drop(&g_sig_lock);
	if (blocked)
		signal_set_mask(t->sigmask & ~BIT(sig));
}

void signal_set_mask(uint64_t mask)
{
	struct thread *t = self();
	uint64_t old = t->sigmask;

	mask &= ~SIGSET_UNMASKABLE;
	if (mask == old)
		return;
	__atomic_store_n(&t->sigmask, mask, __ATOMIC_SEQ_CST);
	if (g_sig_process.set & mask & ~old)
		retarget(t, mask & ~old);
	if (signal_pending_in(~mask))
		t->work = 1;
}

/* ---- waits with a mask of their own ---- */

void sig_swap_mask(uint64_t mask)
{
	struct thread *t = self();

	t->sig->saved_mask = t->sigmask;
	t->sig->has_saved = true;
	signal_set_mask(mask);
}

int sigmask_swap_for_wait(const void *user_set, size_t size)
{
	uint64_t mask;

	if (!user_set)
		return 0;
	if (size != ABI_SIGSET_SIZE)
		return -EINVAL;
	if (user_copy_in(&mask, user_set, sizeof(mask)) != 0)
		return -EFAULT;
	sig_swap_mask(mask);
	return 0;
}

long sigmask_restore_after_wait(long result)
{
	struct thread *t = self();

	if (!t->sig->has_saved)
		return result;
	if (result == -EINTR || result == -ERESTARTSYS || result == -ERESTARTNOHAND) {
		t->work = 1;
		return result;
	}
	t->sig->has_saved = false;
	signal_set_mask(t->sig->saved_mask);
	return result;
}
