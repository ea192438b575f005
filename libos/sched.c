/* SPDX-License-Identifier: MIT */
/*
 * sched.c - sched_*, affinity, nice, I/O priority.
 *
 * Policy, priority and nice are kept and shown, as claims: the platform schedules
 * threads alike.  Affinity is handed to the platform.
 */
#include "libos/sched.h"

#include "libos/abi.h"
#include "libos/identity.h"
#include "libos/limits.h"
#include "libos/lock.h"
#include "libos/process.h"
#include "libos/syscall.h"
#include "libos/user.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

#define RESET_ON_FORK 0x40000000
#define POLICY_DEADLINE 6
#define ATTR_SIZE_V0 48u
#define ATTR_FLAG_RESET_ON_FORK 1u
#define ATTR_FLAG_KEEP_POLICY 8u
#define ATTR_FLAG_KEEP_PARAMS 16u
#define ATTR_FLAGS_UTIL 0x60u
#define PRIV_IOPRIO 23 /* thread.priv's last word, behind the signal code's */

void sched_thread_init(struct thread *child, const struct thread *parent)
{
	child->policy = parent ? parent->policy : SCHED_OTHER;
	child->priority = parent ? parent->priority : 0;
	child->nice = parent ? parent->nice : 0;
	if (parent && parent->sched_reset) {
		child->policy = parent->policy == SCHED_BATCH || parent->policy == SCHED_IDLE
		                        ? parent->policy
		                        : SCHED_OTHER;
		child->priority = 0;
		child->nice = child->nice < 0 ? 0 : child->nice;
	}
	child->sched_reset = false;
	child->affinity = parent ? parent->affinity : sched_all_cpus();
	child->priv[PRIV_IOPRIO] = parent ? parent->priv[PRIV_IOPRIO] : 4;
}

uint64_t sched_all_cpus(void)
{
	unsigned n = g_config.n_cpus ? g_config.n_cpus : 1;

	return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

/* The thread that @pid means; g_thread_lock is held.  NULL: ESRCH. */
static struct thread *target_locked(int32_t pid)
{
	return pid == 0 ? self() : thread_find_locked((uint32_t)pid);
}

static bool realtime(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static bool known(int policy)
{
	return realtime(policy) || policy == SCHED_OTHER || policy == SCHED_BATCH ||
	       policy == SCHED_IDLE;
}

/* May @t get this?  @policy is known. */
static long check_change(const struct thread *t, int policy, int priority, bool reset)
{
	uint64_t limit = limits_get(LIMIT_RTPRIO);

	if (realtime(policy) ? priority < 1 || priority > 99 : priority != 0)
		return -EINVAL;
	if (cred_privileged())
		return 0;
	if (t->sched_reset && !reset)
		return -EPERM;
	if (!realtime(policy))
		return 0;
	if (policy != t->policy && limit == 0)
		return -EPERM;
	if (priority > t->priority && (uint64_t)priority > limit)
		return -EPERM;
	return 0;
}

/* @policy -1: keep it, and @reset. */
static long change(int32_t pid, int policy, int priority, bool reset)
{
	long err = -ESRCH;
	struct thread *t;

	lock_take(&g_thread_lock);
	t = target_locked(pid);
	if (t) {
		if (policy < 0) {
			policy = t->policy;
			reset = t->sched_reset;
		}
		err = known(policy) ? check_change(t, policy, priority, reset) : -EINVAL;
		if (err == 0) {
			t->sched_reset = reset;
			t->policy = policy;
			t->priority = priority;
		}
	}
	lock_drop(&g_thread_lock);
	return err;
}

SYSCALL(sched_setscheduler, long pid, long policy_arg, const void *user_param)
{
	int policy = (int)policy_arg;
	int32_t priority;

	if (policy < 0 || (int32_t)pid < 0 || !user_param)
		return -EINVAL;
	if (user_copy_in(&priority, user_param, sizeof(priority)) != 0)
		return -EFAULT;
	return change((int32_t)pid, policy & ~RESET_ON_FORK, priority,
	              (policy & RESET_ON_FORK) != 0);
}

SYSCALL(sched_setparam, long pid, const void *user_param)
{
	int32_t priority;

	if ((int32_t)pid < 0 || !user_param)
		return -EINVAL;
	if (user_copy_in(&priority, user_param, sizeof(priority)) != 0)
		return -EFAULT;
	return change((int32_t)pid, -1, priority, false);
}

/* Copy @pid's attributes out from under the lock. */
static int look(int32_t pid, struct ksched_attr *out)
{
	struct thread *t;

	memset(out, 0, sizeof(*out));
	lock_take(&g_thread_lock);
	t = target_locked(pid);
	if (t) {
		out->policy = (uint32_t)t->policy;
		out->priority = (uint32_t)t->priority;
		out->nice = t->nice;
		out->flags = t->sched_reset ? ATTR_FLAG_RESET_ON_FORK : 0;
	}
	lock_drop(&g_thread_lock);
	return t ? 0 : -ESRCH;
}

SYSCALL(sched_getscheduler, long pid)
{
	struct ksched_attr attr;

	if ((int32_t)pid < 0)
		return -EINVAL;
	if (look((int32_t)pid, &attr) != 0)
		return -ESRCH;
	return (long)(attr.policy | (attr.flags & ATTR_FLAG_RESET_ON_FORK ? RESET_ON_FORK : 0));
}

SYSCALL(sched_getparam, long pid, void *user_param)
{
	struct ksched_attr attr;

	if ((int32_t)pid < 0 || !user_param)
		return -EINVAL;
	if (look((int32_t)pid, &attr) != 0)
		return -ESRCH;
	return user_copy_out(user_param, &attr.priority, sizeof(attr.priority)) != 0
	               ? -EFAULT
	               : 0;
}

static long fetch_attr(struct ksched_attr *attr, void *user_attr)
{
	const uint32_t ours = sizeof(*attr);
	uint32_t size;
	uint8_t rest;

	memset(attr, 0, sizeof(*attr));
	if (user_copy_in(&size, user_attr, sizeof(size)) != 0)
		return -EFAULT;
	if (size == 0)
		size = ATTR_SIZE_V0;
	if (size < ATTR_SIZE_V0 || size > 4096)
		goto too_big;
	for (uint32_t i = ours; i < size; i++) {
		if (user_copy_in(&rest, (uint8_t *)user_attr + i, 1) != 0)
			return -EFAULT;
		if (rest != 0)
			goto too_big;
	}
	if (user_copy_in(attr, user_attr, size < ours ? size : ours) != 0)
		return -EFAULT;
	return 0;
too_big:
	return user_copy_out(user_attr, &ours, sizeof(ours)) != 0 ? -EFAULT : -E2BIG;
}

static long set_nice_locked(struct thread *t, int nice)
{
	int64_t limit = 20 - (int64_t)limits_get(LIMIT_NICE);

	if (nice < t->nice && nice < limit && !cred_privileged())
		return -EACCES;
	t->nice = nice;
	return 0;
}

SYSCALL(sched_setattr, long pid, void *user_attr, unsigned long flags)
{
	struct ksched_attr attr;
	struct thread *t;
	int policy;
	long err;

	if (!user_attr || (int32_t)pid < 0 || flags != 0)
		return -EINVAL;
	err = fetch_attr(&attr, user_attr);
	if (err != 0)
		return err;
	if ((int32_t)attr.policy < 0)
		return -EINVAL;
	if (attr.flags & ATTR_FLAGS_UTIL)
		return -EOPNOTSUPP;
	if (attr.flags & ~(uint64_t)(ATTR_FLAG_RESET_ON_FORK | ATTR_FLAG_KEEP_POLICY |
	                             ATTR_FLAG_KEEP_PARAMS))
		return -EINVAL;
	policy = attr.flags & ATTR_FLAG_KEEP_POLICY ? -1 : (int)attr.policy;
	if (policy == POLICY_DEADLINE)
		return -EINVAL;
	if (!(attr.flags & ATTR_FLAG_KEEP_PARAMS)) {
		err = change((int32_t)pid, policy, (int)attr.priority,
		             (attr.flags & ATTR_FLAG_RESET_ON_FORK) != 0);
		if (err != 0)
			return err;
	}
	if (policy != SCHED_OTHER && policy != SCHED_BATCH)
		return 0;
	if (attr.nice < -20 || attr.nice > 19)
		return -EINVAL;
	err = -ESRCH;
	lock_take(&g_thread_lock);
	t = target_locked((int32_t)pid);
	if (t)
		err = set_nice_locked(t, attr.nice) == 0 ? 0 : -EPERM;
	lock_drop(&g_thread_lock);
	return err;
}

SYSCALL(sched_getattr, long pid, void *user_attr, unsigned long size_arg,
        unsigned long flags)
{
	struct ksched_attr attr;
	uint32_t size = (uint32_t)size_arg;

	if (!user_attr || (int32_t)pid < 0 || size > 4096 || size < ATTR_SIZE_V0 ||
	    flags != 0)
		return -EINVAL;
	if (look((int32_t)pid, &attr) != 0)
		return -ESRCH;
	if (size > sizeof(attr))
		size = sizeof(attr);
	attr.size = size;
	attr.util_max = 1024;
	return user_copy_out(user_attr, &attr, size) != 0 ? -EFAULT : 0;
}

SYSCALL(sched_get_priority_max, long policy)
{
	if (realtime((int)policy))
		return 99;
	return known((int)policy) || (int)policy == POLICY_DEADLINE ? 0 : -EINVAL;
}

SYSCALL(sched_get_priority_min, long policy)
{
	if (realtime((int)policy))
		return 1;
	return known((int)policy) || (int)policy == POLICY_DEADLINE ? 0 : -EINVAL;
}

SYSCALL(sched_rr_get_interval, long pid, void *user_slice)
{
	struct ksched_attr attr;
	int64_t slice[2] = {0, 0};

	if ((int32_t)pid < 0)
		return -EINVAL;
	if (look((int32_t)pid, &attr) != 0)
		return -ESRCH;
	if (attr.policy == SCHED_RR)
		slice[1] = 100000000;
	else if (attr.policy != SCHED_FIFO)
		slice[1] = 4000000;
	return user_copy_out(user_slice, slice, sizeof(slice)) != 0 ? -EFAULT : 0;
}

/* ---- CPUs ---- */

SYSCALL(sched_setaffinity, long pid, unsigned long len, const void *user_mask)
{
	struct thread *t;
	uint64_t mask = 0;
	long err = -ESRCH;

	if (user_copy_in(&mask, user_mask, len < sizeof(mask) ? len : sizeof(mask)) !=
	    0)
		return -EFAULT;
	if ((int32_t)pid < 0)
		return -ESRCH;
	mask &= sched_all_cpus();
	lock_take(&g_thread_lock);
	t = target_locked((int32_t)pid);
	if (t && mask == 0)
		err = -EINVAL;
	else if (t)
		err = plat_set_affinity(t->host_id, mask);
	if (err == 0)
		t->affinity = mask;
	lock_drop(&g_thread_lock);
	return err;
}

SYSCALL(sched_getaffinity, long pid, unsigned long len_arg, void *user_mask)
{
	uint32_t len = (uint32_t)len_arg;
	struct thread *t;
	uint64_t mask = 0;

	if (len < sizeof(mask) || (len & (sizeof(long) - 1)) != 0)
		return -EINVAL;
	if ((int32_t)pid < 0)
		return -ESRCH;
	lock_take(&g_thread_lock);
	t = target_locked((int32_t)pid);
	if (t)
		mask = t->affinity;
	lock_drop(&g_thread_lock);
	if (!t)
		return -ESRCH;
	return user_copy_out(user_mask, &mask, sizeof(mask)) != 0 ? -EFAULT
	                                                          : (long)sizeof(mask);
}

SYSCALL(getcpu, void *user_cpu, void *user_node)
{
	const uint32_t cpu = plat_cpu(), node = 0;

	if (user_cpu && user_copy_out(user_cpu, &cpu, sizeof(cpu)) != 0)
		return -EFAULT;
	if (user_node && user_copy_out(user_node, &node, sizeof(node)) != 0)
		return -EFAULT;
	return 0;
}

/* ---- nice and I/O priority: by thread, group or user ---- */

/* Call @fn for each thread that @which, @who name (PRIO_*), until it fails.
 * -ESRCH: none. */
static long for_each_of(int which, uint32_t who,
                        long (*fn)(struct thread *t, long *arg), long *arg)
{
	struct thread *t;
	long err = -ESRCH;

	lock_take(&g_thread_lock);
	if (which == PRIO_PROCESS) {
		t = target_locked((int32_t)who);
		if (t)
			err = fn(t, arg);
	} else if (which == PRIO_PGRP ? who == 0 || who == PROCESS_PID
	                              : who == 0 || who == cred_current()->uid) {
		err = 0;
		for (t = g_threads; t && err == 0; t = t->next)
			err = fn(t, arg);
	}
	lock_drop(&g_thread_lock);
	return err;
}

static long nice_look(struct thread *t, long *best)
{
	if (20 - t->nice > *best)
		*best = 20 - t->nice;
	return 0;
}

static long nice_set(struct thread *t, long *nice)
{
	return set_nice_locked(t, (int)*nice);
}

SYSCALL(getpriority, long which_arg, long who)
{
	int which = (int)which_arg;
	long best = 0, err;

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	err = for_each_of(which, (uint32_t)who, nice_look, &best);
	return err != 0 ? err : best;
}

SYSCALL(setpriority, long which_arg, long who, long nice_arg)
{
	int which = (int)which_arg;
	long nice = (int)nice_arg;

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
	return for_each_of(which, (uint32_t)who, nice_set, &nice);
}

enum { IOPRIO_NONE, IOPRIO_RT, IOPRIO_BE, IOPRIO_IDLE };

static long ioprio_look(struct thread *t, long *out)
{
	*out = (long)t->priv[PRIV_IOPRIO];
	return 0;
}

static long ioprio_store(struct thread *t, long *value)
{
	t->priv[PRIV_IOPRIO] = (uint64_t)*value;
	return 0;
}

/* ioprio's "which" counts from 1. */
static bool ioprio_which(long which)
{
	return (int)which >= 1 && (int)which <= 3;
}

SYSCALL(ioprio_set, long which, long who, long value_arg)
{
	long value = (int)value_arg;
	long level = value & 7, data = value & 0x1fff;

	switch (value >> 13) {
	case IOPRIO_RT:
		if (!cred_privileged())
			return -EPERM;
		break;
	case IOPRIO_BE:
		if (data != level)
			return -EINVAL;
		break;
	case IOPRIO_IDLE:
		break;
	case IOPRIO_NONE:
		if (data != 0)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if (!ioprio_which(which))
		return -EINVAL;
	return for_each_of((int)which - 1, (uint32_t)who, ioprio_store, &value);
}

SYSCALL(ioprio_get, long which, long who)
{
	long value = 0, err;

	if (!ioprio_which(which))
		return -EINVAL;
	err = for_each_of((int)which - 1, (uint32_t)who, ioprio_look, &value);
	return err != 0 ? err : value;
}
