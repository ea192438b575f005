/* SPDX-License-Identifier: MIT */
/*
 * prctl.c - prctl(2): a table of what is kept, and a few that do more.
 */
#include "libos/abi.h"
#include "libos/process.h"
#include "libos/syscall.h"
#include "libos/thread.h"
#include "libos/user.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#define LAST_CAP 40ul
#define DEFAULT_SLACK_NS 50000

/* Settings of the process that only a reader sees. */
static _Atomic uint32_t g_dumpable = 1, g_keep_caps, g_death_signal, g_no_new_privs,
                        g_subreaper, g_no_huge_pages;

unsigned process_no_new_privs(void)
{
	return g_no_new_privs;
}

struct setting {
	int set, get;
	_Atomic uint32_t *value;
	unsigned long max; /* of the argument */
	bool zero_args;    /* Linux insists that unused arguments are 0 */
	bool by_pointer;   /* the reader gets it through a pointer */
	bool only_on;      /* can only be set to 1 */
};

static const struct setting g_settings[] = {
        {PR_SET_DUMPABLE, PR_GET_DUMPABLE, &g_dumpable, 1, false, false, false},
        {PR_SET_KEEPCAPS, PR_GET_KEEPCAPS, &g_keep_caps, 1, false, false, false},
        {PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, &g_death_signal, ABI_NSIG, false, true,
         false},
        {PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, &g_no_new_privs, 1, true, false,
         true},
        {PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, &g_subreaper, ~0ul, false,
         true, false},
        {PR_SET_THP_DISABLE, PR_GET_THP_DISABLE, &g_no_huge_pages, ~0ul, true, false,
         false},
};

static long set_setting(const struct setting *s, unsigned long to, unsigned long rest)
{
	if (to > s->max || (s->only_on && to != 1) || (s->zero_args && rest != 0))
		return -EINVAL;
	*s->value = s->max == ~0ul ? to != 0 : (uint32_t)to;
	return 0;
}

static long get_setting(const struct setting *s, unsigned long arg, unsigned long rest)
{
	uint32_t value = *s->value;

	if (s->by_pointer)
		return user_copy_out((void *)arg, &value, sizeof(value)) != 0 ? -EFAULT
		                                                              : 0;
	if (s->zero_args && (arg | rest) != 0)
		return -EINVAL;
	return value;
}

static long set_name(const char *user_name)
{
	struct thread *t = self();
	char name[16] = {0};
	long len;

	/* Longer names are cut, not refused. */
	len = user_copy_str(name, user_name, sizeof(name) - 1);
	if (len == -EFAULT)
		return len;
	if (len == -ENAMETOOLONG &&
	    user_copy_in(name, user_name, sizeof(name) - 1) != 0)
		return -EFAULT;
	name[sizeof(name) - 1] = 0;
	memcpy(t->comm, name, sizeof(t->comm));
	return 0;
}

static long get_tsc_mode(void *user_mode)
{
	const int32_t enabled = PR_TSC_ENABLE;

	return user_copy_out(user_mode, &enabled, sizeof(enabled)) != 0 ? -EFAULT : 0;
}

SYSCALL(prctl, long option_arg, unsigned long a, unsigned long b, unsigned long c,
        unsigned long d)
{
	int option = (int)option_arg;
	struct thread *t = self();

	for (size_t i = 0; i < sizeof(g_settings) / sizeof(g_settings[0]); i++) {
		if (option == g_settings[i].set)
			return set_setting(&g_settings[i], a, b | c | d);
		if (option == g_settings[i].get)
			return get_setting(&g_settings[i], a, b | c | d);
	}
	switch (option) {
	case PR_SET_NAME:
		return set_name((const char *)a);
	case PR_GET_NAME:
		return user_copy_out((void *)a, t->comm, sizeof(t->comm)) != 0 ? -EFAULT
		                                                               : 0;
	case PR_SET_TIMERSLACK:
		t->timerslack = (long)a <= 0 ? DEFAULT_SLACK_NS : a;
		return 0;
	case PR_GET_TIMERSLACK:
		return (long)t->timerslack;
	case PR_GET_TSC:
		return get_tsc_mode((void *)a);
	case PR_SET_TSC: /* trapping rdtsc is not possible here */
		return a == PR_TSC_ENABLE ? 0 : -EINVAL;
	case PR_GET_TIMING:
	case PR_GET_SECCOMP:
		return 0;
	case PR_GET_SECUREBITS: /* SECBIT_KEEP_CAPS */
		return g_keep_caps ? 1 << 4 : 0;
	case PR_SET_TIMING:
		return a == PR_TIMING_STATISTICAL ? 0 : -EINVAL;
	case PR_CAPBSET_READ:
		return a <= LAST_CAP ? 1 : -EINVAL;
	case PR_CAPBSET_DROP:
	case PR_SET_SECUREBITS:
	case PR_SET_MM:
		return -EPERM;
	case PR_SET_VMA: /* as a kernel without CONFIG_ANON_VMA_NAME */
	default:
		return -EINVAL;
	}
}
