/* SPDX-License-Identifier: MIT */
/*
 * sigcalls.c - the signal calls but for sigaltstack and rt_sigreturn (sigframe.c).
 */
#include "libos/deadline.h"
#include "libos/process.h"
#include "libos/signal.h"
#include "libos/sigstate.h"
#include "libos/syscall.h"
#include "libos/user.h"

#include <errno.h>
#include <signal.h>

#define SA_KNOWN                                                                       \
	(ABI_SA_NOCLDSTOP | ABI_SA_NOCLDWAIT | ABI_SA_SIGINFO |                        \
	 ABI_SA_EXPOSE_TAGBITS | ABI_SA_RESTORER | ABI_SA_ONSTACK | ABI_SA_RESTART |   \
	 ABI_SA_NODEFER | ABI_SA_RESETHAND)

SYSCALL(rt_sigaction, long sig_arg, const void *user_act, void *user_old, size_t size)
{
	struct ksigaction act, old;
	int sig = (int)sig_arg;

	if (size != ABI_SIGSET_SIZE)
		return -EINVAL;
	if (user_act) {
		if (user_copy_in(&act, user_act, sizeof(act)) != 0)
			return -EFAULT;
		act.flags &= SA_KNOWN;
		act.mask &= ~SIGSET_UNMASKABLE;
	}
	if (sig < 1 || sig > ABI_NSIG ||
	    (user_act && (sig == SIGKILL || sig == SIGSTOP)))
		return -EINVAL;
	sig_set_action(sig, user_act ? &act : NULL, &old);
	if (user_old && user_copy_out(user_old, &old, sizeof(old)) != 0)
		return -EFAULT;
	return 0;
}

SYSCALL(rt_sigprocmask, long how_arg, const void *user_set, void *user_old, size_t size)
{
	uint64_t old = self()->sigmask, set;

	if (size != ABI_SIGSET_SIZE)
		return -EINVAL;
	if (user_set) {
		if (user_copy_in(&set, user_set, sizeof(set)) != 0)
			return -EFAULT;
		switch ((int)how_arg) {
		case SIG_BLOCK:
			set |= old;
			break;
		case SIG_UNBLOCK:
			set = old & ~set;
			break;
		case SIG_SETMASK:
			break;
		default:
			return -EINVAL;
		}
		signal_set_mask(set);
	}
	if (user_old && user_copy_out(user_old, &old, sizeof(old)) != 0)
		return -EFAULT;
	return 0;
}

SYSCALL(rt_sigpending, void *user_set, size_t size)
{
	uint64_t set;

	if (size > ABI_SIGSET_SIZE)
		return -EINVAL;
	sig_drain_outside();
	set = signal_pending_in(self()->sigmask);
	return user_copy_out(user_set, &set, size) != 0 ? -EFAULT : 0;
}

/* ---- waiting ---- */

static long wait_for_handler(void)
{
	struct thread *t = self();

	while (!thread_interrupted())
		(void)thread_park(PLAT_NO_DEADLINE, PARK_INTR); /* we look ourselves */
	t->work = 1;
	return -ERESTARTNOHAND;
}

SYSCALL(pause, void)
{
	return wait_for_handler();
}

SYSCALL(rt_sigsuspend, const void *user_set, size_t size)
{
	uint64_t mask;

	if (size != ABI_SIGSET_SIZE)
		return -EINVAL;
	if (user_copy_in(&mask, user_set, sizeof(mask)) != 0)
		return -EFAULT;
	sig_swap_mask(mask);
	return wait_for_handler();
}

/* Wait for one of @set.  Its number, -EAGAIN, -EINTR. */
static long timed_wait(uint64_t set, struct siginfo_x86 *info, uint64_t deadline)
{
	struct thread *t = self();
	long result;
	int err = 0;

	atomic_store(&t->sig->waiting, set);
	while ((result = signal_take(set, info)) == 0) {
		if (err == -ETIMEDOUT)
			result = -EAGAIN;
		else if (thread_interrupted())
			result = -EINTR;
		if (result != 0)
			break;
		err = thread_park(deadline, PARK_INTR);
	}
	atomic_store(&t->sig->waiting, 0);
	/* A signal that came for us by `waiting` after the last look is still there:
	 * in our queue, to be found later, or in the process's, for another thread. */
	signal_reconsider(set);
	return result;
}

SYSCALL(rt_sigtimedwait, const void *user_set, void *user_info,
        const void *user_timeout, size_t size)
{
	struct siginfo_x86 info;
	uint64_t set, deadline;
	long sig;
	int err;

	if (size != ABI_SIGSET_SIZE)
		return -EINVAL;
	if (user_copy_in(&set, user_set, sizeof(set)) != 0)
		return -EFAULT;
	err = deadline_from_timespec(user_timeout, &deadline);
	if (err != 0)
		return err;
	set &= ~SIGSET_UNMASKABLE;
	sig = signal_take(set, &info);
	if (sig == 0 && deadline == DEADLINE_NOW)
		return -EAGAIN;
	if (sig == 0)
		sig = timed_wait(set, &info, deadline);
	if (sig > 0 && user_info && user_copy_out(user_info, &info, sizeof(info)) != 0)
		return -EFAULT;
	return sig;
}

/* ---- sending ---- */

static bool valid_or_zero(int sig)
{
	return sig >= 0 && sig <= ABI_NSIG;
}

/* A process id, or a thread's, that kill() reaches. */
static bool names_us(int32_t pid)
{
	bool found;

	if (pid == (int32_t)PROCESS_PID)
		return true;
	lock_take(&g_thread_lock);
	found = pid > 0 && thread_find_locked((uint32_t)pid) != NULL;
	lock_drop(&g_thread_lock);
	return found;
}

SYSCALL(kill, long pid_arg, long sig_arg)
{
	int32_t pid = (int32_t)pid_arg;
	int sig = (int)sig_arg;
	struct siginfo_x86 info;

	if (pid != 0 && pid != -(int32_t)PROCESS_PID && !names_us(pid))
		return -ESRCH;
	if (!valid_or_zero(sig))
		return -EINVAL;
	if (sig == 0)
		return 0;
	process_fill_user_info(&info, sig, SI_USER);
	return signal_send_process(sig, &info);
}

static long send_to_thread(int32_t tid, int sig, const struct siginfo_x86 *info)
{
	if (!valid_or_zero(sig))
		return signal_send_tid((uint32_t)tid, 0, NULL) == -ESRCH ? -ESRCH
		                                                         : -EINVAL;
	return signal_send_tid((uint32_t)tid, sig, info);
}

SYSCALL(tkill, long tid_arg, long sig_arg)
{
	int32_t tid = (int32_t)tid_arg;
	struct siginfo_x86 info;

	if (tid <= 0)
		return -EINVAL;
	process_fill_user_info(&info, (int)sig_arg, SI_TKILL);
	return send_to_thread(tid, (int)sig_arg, &info);
}

SYSCALL(tgkill, long tgid_arg, long tid_arg, long sig_arg)
{
	int32_t tgid = (int32_t)tgid_arg, tid = (int32_t)tid_arg;
	struct siginfo_x86 info;

	if (tgid <= 0 || tid <= 0)
		return -EINVAL;
	if (tgid != (int32_t)PROCESS_PID)
		return -ESRCH;
	process_fill_user_info(&info, (int)sig_arg, SI_TKILL);
	return send_to_thread(tid, (int)sig_arg, &info);
}

SYSCALL(rt_sigqueueinfo, long pid_arg, long sig_arg, const void *user_info)
{
	int32_t pid = (int32_t)pid_arg;
	int sig = (int)sig_arg;
	struct siginfo_x86 info;

	if (user_copy_in(&info, user_info, sizeof(info)) != 0)
		return -EFAULT;
	info.signo = sig;
	if ((info.code >= 0 || info.code == SI_TKILL) && pid != (int32_t)PROCESS_PID)
		return -EPERM;
	if (!names_us(pid))
		return -ESRCH;
	if (!valid_or_zero(sig))
		return -EINVAL;
	return sig ? signal_send_process(sig, &info) : 0;
}

SYSCALL(rt_tgsigqueueinfo, long tgid_arg, long tid_arg, long sig_arg,
        const void *user_info)
{
	int32_t tgid = (int32_t)tgid_arg, tid = (int32_t)tid_arg;
	struct siginfo_x86 info;

	if (user_copy_in(&info, user_info, sizeof(info)) != 0)
		return -EFAULT;
	info.signo = (int)sig_arg;
	if (tgid <= 0 || tid <= 0)
		return -EINVAL;
	if ((info.code >= 0 || info.code == SI_TKILL) && tid != (int32_t)self()->tid)
		return -EPERM;
	if (tgid != (int32_t)PROCESS_PID)
		return -ESRCH;
	return send_to_thread(tid, (int)sig_arg, &info);
}
