/* SPDX-License-Identifier: MIT */
/*
 * sandbox.c - what a taken-over netd may still ask of the kernel.
 *
 * The lwip stack: its TAP, its rings, memory, time.  It can neither open a file
 * nor make a socket.  The host stack: besides, INET sockets.
 */
#include "services/netd/loop.h"
#include "vchan/vchan.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int g_common[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(close),
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(lseek), SCMP_SYS(fcntl),
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(recvmsg),
	SCMP_SYS(poll),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(sendmsg), SCMP_SYS(futex), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(brk),
	SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(sched_yield),
	SCMP_SYS(getcpu), SCMP_SYS(clock_gettime), SCMP_SYS(gettid), SCMP_SYS(getpid),
	SCMP_SYS(tgkill), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(getrandom),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
};

static const int g_sockets[] = {
	SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept4), SCMP_SYS(connect),
	SCMP_SYS(shutdown), SCMP_SYS(sendto), SCMP_SYS(recvfrom), SCMP_SYS(getsockname),
	SCMP_SYS(getpeername), SCMP_SYS(setsockopt), SCMP_SYS(getsockopt),
};

/* But, of what there is, the right to low ports: guests' own are the kernel's. */
static int drop_caps(bool host_stack)
{
	const uint32_t keep = host_stack ? 1u << CAP_NET_BIND_SERVICE : 0;
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capget, &h, d) < 0)
		return -errno;
	d[0].effective = d[0].permitted = d[0].permitted & keep;
	d[0].inheritable = d[1].effective = d[1].permitted = d[1].inheritable = 0;
	return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

static int allow(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	return r;
}

static int allow_sockets(scmp_filter_ctx ctx)
{
	static const int domains[] = {AF_INET, AF_INET6};
	/* No other: the standard error stream may be the user's terminal. */
	const struct scmp_arg_cmp queued = {1, SCMP_CMP_EQ, SIOCOUTQ, 0};
	int r = allow(ctx, g_sockets, sizeof(g_sockets) / sizeof(g_sockets[0]));

	for (size_t i = 0; r == 0 && i < 2; i++) {
		const struct scmp_arg_cmp is = {0, SCMP_CMP_EQ, (scmp_datum_t)domains[i], 0};

		r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, &is);
	}
	if (r == 0)
		r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &queued);
	return r;
}

/* On Xen the channels of later guests are made of two devices: netd may open those
 * and, where the kernel has landlock, no other file. */
static int allow_channels(scmp_filter_ctx ctx)
{
	int r = g_vchan_devices[0] ? seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 0)
	                           : 0;

	for (size_t i = 0; r == 0 && g_vchan_ioctls[i]; i++) {
		const struct scmp_arg_cmp is = {1, SCMP_CMP_EQ, g_vchan_ioctls[i], 0};

		r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &is);
	}
	return r;
}

static int open_only_devices(void)
{
	const struct landlock_ruleset_attr all = {
		.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1, /* as of ABI 1 */
	};
	const int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	int r;

	if (rules < 0)
		return 0; /* a kernel without it: the other walls stand */
	r = vchan_allow_devices(rules);
	if (r == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		r = -errno;
	close(rules);
	return r;
}

int sandbox_enter(bool host_stack)
{
	scmp_filter_ctx ctx;
	int r = drop_caps(host_stack);

	if (r == 0 && g_vchan_devices[0])
		r = open_only_devices();
	if (r < 0)
		return r;
	ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!ctx)
		return -ENOMEM;
	r = allow(ctx, g_common, sizeof(g_common) / sizeof(g_common[0]));
	if (r == 0 && host_stack)
		r = allow_sockets(ctx);
	if (r == 0)
		r = allow_channels(ctx);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}
