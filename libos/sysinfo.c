/* SPDX-License-Identifier: MIT */
/*
 * sysinfo.c - uname, names, sysinfo, getrusage, times.
 */
#include "libos/abi.h"
#include "libos/identity.h"
#include "libos/lock.h"
#include "libos/syscall.h"
#include "libos/thread.h"
#include "libos/user.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/times.h>

#define NAME_MAX_LEN 64u
#define NS_PER_TICK UINT64_C(10000000) /* USER_HZ is 100 */
#define NS_PER_S UINT64_C(1000000000)

struct knew_utsname {
	char sysname[65], nodename[65], release[65], version[65], machine[65],
	        domainname[65];
};

static struct lock g_names_lock = LOCK_INIT;
static char g_domain[NAME_MAX_LEN + 1] = "(none)";
static char g_node[NAME_MAX_LEN + 1];
static bool g_node_set; /* else g_config's */

static void copy_name(char *to, const char *from)
{
	size_t i = 0;

	for (; from && from[i] && i < NAME_MAX_LEN; i++)
		to[i] = from[i];
	to[i] = 0;
}

SYSCALL(uname, void *user_out)
{
	struct knew_utsname u = {
	        .sysname = "Linux",
	        .release = "6.1.0-strait",
	        .version = "#1 SMP Strait",
	        .machine = "x86_64",
	};

	lock_take(&g_names_lock);
	copy_name(u.nodename, g_node_set ? g_node : g_config.hostname);
	copy_name(u.domainname, g_domain);
	lock_drop(&g_names_lock);
	return user_copy_out(user_out, &u, sizeof(u)) != 0 ? -EFAULT : 0;
}

static long take_name(char *name, const char *user_name, long len_arg, bool *set)
{
	char fresh[NAME_MAX_LEN + 1] = {0};
	int len = (int)len_arg;

	if (!cred_privileged())
		return -EPERM;
	if (len < 0 || len > (int)NAME_MAX_LEN)
		return -EINVAL;
	if (user_copy_in(fresh, user_name, (size_t)len) != 0)
		return -EFAULT;
	lock_take(&g_names_lock);
	memcpy(name, fresh, sizeof(fresh));
	if (set)
		*set = true;
	lock_drop(&g_names_lock);
	return 0;
}

SYSCALL(sethostname, const char *user_name, long len)
{
	return take_name(g_node, user_name, len, &g_node_set);
}

SYSCALL(setdomainname, const char *user_name, long len)
{
	return take_name(g_domain, user_name, len, NULL);
}

SYSCALL(sysinfo, void *user_out)
{
	struct ksysinfo si = {.mem_unit = 1};
	uint64_t used = plat_memory_used();
	uint32_t threads = thread_count();

	si.uptime = (int64_t)(plat_boot_ns() / NS_PER_S);
	si.totalram = plat_memory_total();
	si.freeram = si.totalram > used ? si.totalram - used : 0;
	si.procs = (uint16_t)(threads > UINT16_MAX ? UINT16_MAX : threads);
	return user_copy_out(user_out, &si, sizeof(si)) != 0 ? -EFAULT : 0;
}

/* ---- the log of a kernel that says nothing ---- */

enum {
	LOG_CLOSE,
	LOG_OPEN,
	LOG_READ,
	LOG_READ_ALL,
	LOG_READ_CLEAR,
	LOG_CLEAR,
	LOG_CONSOLE_OFF,
	LOG_CONSOLE_ON,
	LOG_CONSOLE_LEVEL,
	LOG_SIZE_UNREAD,
	LOG_SIZE_BUFFER,
};
#define LOG_SIZE 4096

SYSCALL(syslog, long type, const void *user_buf, long len_arg)
{
	int len = (int)len_arg;

	if (type != LOG_READ_ALL && type != LOG_SIZE_BUFFER && !cred_privileged())
		return -EPERM;
	switch ((int)type) {
	case LOG_READ:
	case LOG_READ_ALL:
	case LOG_READ_CLEAR:
		return !user_buf || len < 0 ? -EINVAL : 0; /* nothing is in it */
	case LOG_CONSOLE_LEVEL:
		return len < 1 || len > 8 ? -EINVAL : 0;
	case LOG_CLOSE:
	case LOG_OPEN:
	case LOG_CLEAR:
	case LOG_CONSOLE_OFF:
	case LOG_CONSOLE_ON:
	case LOG_SIZE_UNREAD:
		return 0;
	case LOG_SIZE_BUFFER:
		return LOG_SIZE;
	default:
		return -EINVAL;
	}
}

/* ---- time used ---- */

/* The platform's clocks do not tell user from system time, and libos runs as part
 * of the program: all of it is user time. */

static int64_t max_rss_kib(void)
{
	static _Atomic uint64_t most;
	uint64_t now = plat_memory_used(), seen = most;

	while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
		;
	return (int64_t)((now > seen ? now : seen) / 1024);
}

SYSCALL(getrusage, long who, void *user_out)
{
	struct krusage ru;
	uint64_t ns = 0;

	memset(&ru, 0, sizeof(ru));
	switch ((int)who) {
	case RUSAGE_SELF:
		ns = plat_process_cpu_ns();
		ru.maxrss = max_rss_kib();
		break;
	case 1: /* RUSAGE_THREAD */
		ns = plat_thread_cpu_ns(self()->host_id);
		ru.maxrss = max_rss_kib();
		break;
	case RUSAGE_CHILDREN:
		break;
	default:
		return -EINVAL;
	}
	ru.utime_sec = (int64_t)(ns / NS_PER_S);
	ru.utime_usec = (int64_t)(ns % NS_PER_S / 1000);
	return user_copy_out(user_out, &ru, sizeof(ru)) != 0 ? -EFAULT : 0;
}

SYSCALL(times, void *user_out)
{
	struct tms t;

	if (user_out) {
		memset(&t, 0, sizeof(t));
		t.tms_utime = (long)(plat_process_cpu_ns() / NS_PER_TICK);
		if (user_copy_out(user_out, &t, sizeof(t)) != 0)
			return -EFAULT;
	}
	return (long)(plat_boot_ns() / NS_PER_TICK);
}
