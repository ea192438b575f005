/* SPDX-License-Identifier: MIT */
/*
 * process.c - the guest's only process: ids, no children, and looking at itself.
 *
 * Process, group and session leader at once, as a program that a container starts.
 */
#include "libos/process.h"

#include "libos/identity.h"
#include "libos/lock.h"
#include "libos/ofd.h"
#include "libos/sched.h"
#include "libos/syscall.h"
#include "libos/user.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>

/* As exec does: the program's file name, cut to what fits. */
static void name_thread(struct thread *t, const char *path)
{
	const char *base = path;
	size_t n = 0;

	for (const char *p = path; p && *p; p++) {
		if (*p == '/')
			base = p + 1;
	}
	while (base && base[n] && n < sizeof(t->comm) - 1) {
		t->comm[n] = base[n];
		n++;
	}
	t->comm[n] = 0;
}

void process_init(void)
{
	struct thread *t = self();

	identity_init();
	process_thread_init(t, NULL);
	name_thread(t, g_config.argc > 0 ? g_config.argv[0] : NULL);
}

void process_thread_init(struct thread *child, const struct thread *parent)
{
	identity_thread_init(child, parent);
	sched_thread_init(child, parent);
	if (parent) {
		memcpy(child->comm, parent->comm, sizeof(child->comm));
		child->timerslack = parent->timerslack;
	} else {
		child->timerslack = 50000;
	}
}

void process_thread_exit(struct thread *t)
{
	identity_thread_exit(t);
}

void process_fill_user_info(struct siginfo_x86 *info, int sig, int code)
{
	memset(info, 0, sizeof(*info));
	info->signo = sig;
	info->code = code;
	info->rt.pid = (int32_t)PROCESS_PID;
	info->rt.uid = cred_current()->uid;
}

bool process_knows(int32_t pid)
{
	bool found;

	if (pid == 0 || pid == (int32_t)PROCESS_PID)
		return true;
	lock_take(&g_thread_lock);
	found = pid > 0 && thread_find_locked((uint32_t)pid) != NULL;
	lock_drop(&g_thread_lock);
	return found;
}

/* ---- ids ---- */

SYSCALL(getpid, void)
{
	return (long)PROCESS_PID;
}

/* Entered from outside, as into a pid namespace. */
SYSCALL(getppid, void)
{
	return 0;
}

SYSCALL(getpgrp, void)
{
	return (long)PROCESS_PID;
}

SYSCALL(getpgid, long pid)
{
	return process_knows((int32_t)pid) ? (long)PROCESS_PID : -ESRCH;
}

SYSCALL(getsid, long pid)
{
	return process_knows((int32_t)pid) ? (long)PROCESS_PID : -ESRCH;
}

SYSCALL(setpgid, long pid_arg, long pgid_arg)
{
	int32_t pid = (int32_t)pid_arg, pgid = (int32_t)pgid_arg;

	if (pgid == 0)
		pgid = pid;
	if (pgid < 0)
		return -EINVAL;
	if (pid != 0 && pid != (int32_t)PROCESS_PID)
		return process_knows(pid) ? -EINVAL : -ESRCH;
	return -EPERM; /* a session leader stays where it is */
}

SYSCALL(setsid, void)
{
	return -EPERM;
}

/* ---- children: there are none ---- */

#define WAIT_CLONE_FLAGS 0xe0000000u /* __WNOTHREAD __WALL __WCLONE */

SYSCALL(wait4, long pid, void *user_status, long options, void *user_rusage)
{
	(void)user_status;
	(void)user_rusage;
	if ((uint32_t)options & ~(WNOHANG | WUNTRACED | WCONTINUED | WAIT_CLONE_FLAGS))
		return -EINVAL;
	return (int32_t)pid == INT32_MIN ? -ESRCH : -ECHILD;
}

static long waitid_check(int which, int32_t id, uint32_t options)
{
	const uint32_t states = WEXITED | WSTOPPED | WCONTINUED;

	if ((options & ~(states | WNOHANG | WNOWAIT | WAIT_CLONE_FLAGS)) != 0 ||
	    (options & states) == 0)
		return -EINVAL;
	switch (which) {
	case P_ALL:
		return -ECHILD;
	case P_PID:
		return id <= 0 ? -EINVAL : -ECHILD;
	case P_PGID:
		return id < 0 ? -EINVAL : -ECHILD;
	case 3: /* P_PIDFD: no such descriptor can exist */
		return id < 0 ? -EINVAL : -EBADF;
	default:
		return -EINVAL;
	}
}

SYSCALL(waitid, long which, long id, char *user_info, long options, void *user_rusage)
{
	/* signo, errno, code; then pid, uid, status: Linux writes them on errors too. */
	const int32_t none[3] = {0, 0, 0};

	(void)user_rusage;
	if (user_info && (user_copy_out(user_info, none, sizeof(none)) != 0 ||
	                  user_copy_out(user_info + 16, none, sizeof(none)) != 0))
		return -EFAULT;
	return waitid_check((int)which, (int32_t)id, (uint32_t)options);
}

/* ---- itself ---- */

#define PER_MASK 0xffu

static _Atomic uint32_t g_personality;

SYSCALL(personality, unsigned long to)
{
	uint32_t old = g_personality;

	if ((uint32_t)to == 0xffffffffu)
		return old;
	if (to & PER_MASK) /* another system's execution domain */
		return -EINVAL;
	g_personality = (uint32_t)to;
	return old;
}

enum { KCMP_FILE, KCMP_VM, KCMP_FILES, KCMP_FS, KCMP_SIGHAND, KCMP_IO, KCMP_SYSVSEM };

static long compare_files(unsigned long a, unsigned long b)
{
	struct ofd *x, *y = NULL;
	long order = -EBADF;

	if (a > INT_MAX || b > INT_MAX)
		return -EBADF;
	x = ofd_get((int)a);
	if (x)
		y = ofd_get((int)b);
	if (x && y)
		order = x == y ? 0 : ((uintptr_t)x < (uintptr_t)y ? 1 : 2);
	if (y)
		ofd_put(y);
	if (x)
		ofd_put(x);
	return order;
}

SYSCALL(kcmp, long pid1, long pid2, long type, unsigned long idx1, unsigned long idx2)
{
	if (pid1 == 0 || pid2 == 0 || !process_knows((int32_t)pid1) ||
	    !process_knows((int32_t)pid2))
		return -ESRCH;
	switch ((int)type) {
	case KCMP_FILE:
		return compare_files(idx1, idx2);
	case KCMP_VM:
	case KCMP_FILES:
	case KCMP_FS:
	case KCMP_SIGHAND:
	case KCMP_IO:
	case KCMP_SYSVSEM:
		return 0; /* threads share all of it */
	default:
		return -EINVAL;
	}
}

/* Move bytes between @local and the program's own vector @remote, one page's worth
 * at a time.  Returns bytes moved; stops at the first bad address. */
static size_t vm_move(struct uio *local, const struct iovec *remote, unsigned n,
                      bool read)
{
	uint8_t page[1024];
	size_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		uint8_t *at = remote[i].iov_base;
		size_t left = remote[i].iov_len;

		while (left > 0 && uio_left(local) > 0) {
			size_t in_block =
			        sizeof(page) - ((uintptr_t)at & (sizeof(page) - 1));
			size_t len = left < in_block ? left : in_block;
			size_t moved;

			if (len > uio_left(local))
				len = uio_left(local);
			if (read) {
				if (user_copy_in(page, at, len) != 0)
					return total;
				moved = uio_out(local, page, len);
			} else {
				moved = uio_in(local, page, len);
				if (moved > 0 && user_copy_out(at, page, moved) != 0)
					return total;
			}
			total += moved;
			if (moved < len)
				return total;
			at += len;
			left -= len;
		}
	}
	return total;
}

static long vm_call(long pid, const struct iovec *user_local, long n_local,
                    const struct iovec *user_remote, long n_remote, bool read)
{
	struct iovec remote[USER_IOV_MAX], store[USER_IOV_MAX];
	struct uio local;
	size_t total = 0;
	int err;

	if (n_local < 0 || n_local > USER_IOV_MAX || n_remote < 0 ||
	    n_remote > USER_IOV_MAX)
		return -EINVAL;
	err = uio_import(&local, user_local, n_local, store, USER_IOV_MAX);
	if (err != 0)
		return err;
	if (uio_left(&local) == 0 || n_remote == 0)
		return 0;
	if (user_copy_in(remote, user_remote, (size_t)n_remote * sizeof(remote[0])) !=
	    0)
		return -EFAULT;
	for (long i = 0; i < n_remote; i++) {
		if (remote[i].iov_len > LONG_MAX - total)
			return -EINVAL;
		total += remote[i].iov_len;
	}
	if (total == 0)
		return 0;
	if (pid == 0 || !process_knows((int32_t)pid))
		return -ESRCH;
	total = vm_move(&local, remote, (unsigned)n_remote, read);
	return total > 0 ? (long)total : -EFAULT;
}

SYSCALL(process_vm_readv, long pid, const void *local, long n_local, const void *remote,
        long n_remote, unsigned long flags)
{
	return flags ? -EINVAL : vm_call(pid, local, n_local, remote, n_remote, true);
}

SYSCALL(process_vm_writev, long pid, const void *local, long n_local,
        const void *remote, long n_remote, unsigned long flags)
{
	return flags ? -EINVAL : vm_call(pid, local, n_local, remote, n_remote, false);
}

/* ---- the machine ---- */

long strait_sys_exit_group(long code);

SYSCALL(reboot, long magic1, long magic2, long cmd)
{
	if (!cred_privileged())
		return -EPERM;
	if ((uint32_t)magic1 != 0xfee1deadu)
		return -EINVAL;
	switch ((uint32_t)magic2) {
	case 672274793:
	case 85072278:
	case 369367448:
	case 537993216:
		break;
	default:
		return -EINVAL;
	}
	switch ((uint32_t)cmd) {
	case 0xcdef0123u: /* halt */
	case 0x4321fedcu: /* power off */
		return strait_sys_exit_group(0);
	case 0x89abcdefu: /* Ctrl-Alt-Del on, off: no such keys */
	case 0x00000000u:
		return 0;
	default: /* restart, suspend, kexec: what started the guest decides that */
		return -EINVAL;
	}
}
