/* SPDX-License-Identifier: MIT */
/*
 * limits.c - getrlimit, setrlimit, prlimit64.
 *
 * Enforced: NOFILE (fdtable.c), FSIZE (limits_file_room), NPROC (clone), SIGPENDING,
 * AS, DATA and MEMLOCK (mm), MSGQUEUE (mqueue.c), CPU (itimer.c), NICE and RTPRIO
 * (sched.c).  STACK is what the program is told; CORE, RSS and LOCKS are kept.
 */
#include "libos/limits.h"

#include "libos/identity.h"
#include "libos/itimer.h"
#include "libos/lock.h"
#include "libos/ofd.h"
#include "libos/process.h"
#include "libos/signal.h"
#include "libos/syscall.h"
#include "libos/user.h"

#include <errno.h>
#include <signal.h>

struct limit_pair {
	uint64_t soft, hard;
};

#define INF LIMIT_INFINITY

static struct limit_pair g_limits[N_LIMITS] = {
        [LIMIT_CPU] = {INF, INF},
        [LIMIT_FSIZE] = {INF, INF},
        [LIMIT_DATA] = {INF, INF},
        [LIMIT_STACK] = {8u << 20, INF},
        [LIMIT_CORE] = {0, INF},
        [LIMIT_RSS] = {INF, INF},
        [LIMIT_NPROC] = {INF, INF},
        [LIMIT_NOFILE] = {1024, FDTABLE_MAX},
        [LIMIT_MEMLOCK] = {8u << 20, 8u << 20},
        [LIMIT_AS] = {INF, INF},
        [LIMIT_LOCKS] = {INF, INF},
        [LIMIT_SIGPENDING] = {SIGQ_MAX, SIGQ_MAX},
        [LIMIT_MSGQUEUE] = {819200, 819200},
        [LIMIT_NICE] = {0, 0},
        [LIMIT_RTPRIO] = {0, 0},
        [LIMIT_RTTIME] = {INF, INF},
};
static struct lock g_limits_lock = LOCK_INIT;

uint64_t limits_get(enum limit which)
{
	return __atomic_load_n(&g_limits[which].soft, __ATOMIC_RELAXED);
}

void limits_set_stack(uint64_t bytes)
{
	__atomic_store_n(&g_limits[LIMIT_STACK].soft, bytes, __ATOMIC_RELAXED);
}

uint64_t limits_file_room(uint64_t pos, uint64_t len)
{
	uint64_t limit = limits_get(LIMIT_FSIZE);

	if (pos >= limit && len > 0) {
		signal_send_self(SIGXFSZ);
		return 0;
	}
	return len > limit - pos ? limit - pos : len;
}

static long change(uint32_t which, const struct limit_pair *to)
{
	long err = 0;

	if (to->soft > to->hard)
		return -EINVAL;
	if (which == LIMIT_NOFILE && to->hard > FDTABLE_MAX)
		return -EPERM;
	lock_take(&g_limits_lock);
	if (to->hard > g_limits[which].hard && !cred_privileged()) {
		err = -EPERM;
	} else {
		g_limits[which].hard = to->hard;
		__atomic_store_n(&g_limits[which].soft, to->soft, __ATOMIC_RELAXED);
	}
	lock_drop(&g_limits_lock);
	if (err == 0 && which == LIMIT_NOFILE)
		fd_set_limit((unsigned)to->soft);
	if (err == 0 && which == LIMIT_CPU)
		itimer_cpu_limit_changed(to->soft, to->hard);
	return err;
}

static void look(uint32_t which, struct limit_pair *out)
{
	lock_take(&g_limits_lock);
	*out = g_limits[which];
	lock_drop(&g_limits_lock);
}

SYSCALL(prlimit64, long pid, long which_arg, const void *user_new, void *user_old)
{
	uint32_t which = (uint32_t)which_arg;
	struct limit_pair to, old;
	long err;

	if (which >= N_LIMITS)
		return -EINVAL;
	if (user_new && user_copy_in(&to, user_new, sizeof(to)) != 0)
		return -EFAULT;
	if (!process_knows((int32_t)pid))
		return -ESRCH;
	look(which, &old);
	if (user_new) {
		err = change(which, &to);
		if (err != 0)
			return err;
	}
	if (user_old && user_copy_out(user_old, &old, sizeof(old)) != 0)
		return -EFAULT;
	return 0;
}

SYSCALL(getrlimit, long which_arg, void *user_out)
{
	uint32_t which = (uint32_t)which_arg;
	struct limit_pair now;

	if (which >= N_LIMITS)
		return -EINVAL;
	look(which, &now);
	return user_copy_out(user_out, &now, sizeof(now)) != 0 ? -EFAULT : 0;
}

SYSCALL(setrlimit, long which_arg, const void *user_new)
{
	uint32_t which = (uint32_t)which_arg;
	struct limit_pair to;

	if (user_copy_in(&to, user_new, sizeof(to)) != 0)
		return -EFAULT;
	if (which >= N_LIMITS)
		return -EINVAL;
	return change(which, &to);
}
