/* SPDX-License-Identifier: MIT */
/*
 * What is left to a fsd that a guest has taken over: descriptors of the exports,
 * file system ids, and the calls below.  The list stands in docs/SECURITY.md too.
 */
#define _GNU_SOURCE
#include "services/fsd/fsd.h"
#include "vchan/vchan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* File capabilities stay in the permitted set: the kernel takes them from the
 * effective one as long as the file system uid is not 0. */
static const int kept_caps[] = {
        CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
        CAP_FSETID, CAP_SETUID,       CAP_SETGID,
};

int sandbox_caps(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2], want[2];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_capget, &h, d) < 0)
		return -errno;
	memset(want, 0, sizeof want);
	for (size_t i = 0; i < sizeof kept_caps / sizeof kept_caps[0]; i++) {
		const uint32_t bit = 1u << (kept_caps[i] & 31);

		want[kept_caps[i] >> 5].permitted |=
		        bit & d[kept_caps[i] >> 5].permitted;
		want[kept_caps[i] >> 5].effective |=
		        bit & d[kept_caps[i] >> 5].effective;
	}
	return syscall(SYS_capset, &h, want) < 0 ? -errno : 0;
}

/* Landlock's attribute as of ABI 6; an older kernel is given a shorter one. */
struct ruleset {
	uint64_t fs, net, scoped;
};

static int allow_mounts(const struct fsd *f, int rules, uint64_t access)
{
	for (unsigned i = 0; i < f->mounts.n; i++) {
		const struct mount *m = f->mounts.list[i];
		struct landlock_path_beneath_attr at = {.allowed_access = access};
		int fd;

		if (be_dir_root_fd(m, &fd) < 0)
			continue;
		at.parent_fd = fd;
		if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
		            &at, 0) < 0)
			return -errno;
	}
	return 0;
}

int sandbox_landlock(const struct fsd *f)
{
	/* How many kinds of file access each ABI knows; all are ruled. */
	static const int bits[] = {0, 13, 14, 15, 15, 16};
	const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	                         LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset rs = {0, 0, 0};
	size_t size = sizeof rs.fs;
	int rules, r;

	if (abi < 1)
		return 0; /* a kernel without it: the other walls stand */
	rs.fs = (1ull << bits[abi < 5 ? abi : 5]) - 1;
	if (abi >= 4) {
		rs.net = 3; /* no TCP */
		size = 2 * sizeof rs.fs;
	}
	if (abi >= 6) {
		rs.scoped = 3; /* no abstract sockets, no signals to others */
		size = sizeof rs;
	}
	rules = (int)syscall(SYS_landlock_create_ruleset, &rs, size, 0);
	if (rules < 0)
		return -errno;
	r = allow_mounts(f, rules, rs.fs);
	if (r == 0) /* what the channels of later guests are made of */
		r = vchan_allow_devices(rules);
	if (r == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		r = -errno;
	close(rules);
	return r;
}

static const int allowed[] = {
        /* files */
        SCMP_SYS(openat),
        SCMP_SYS(openat2),
        SCMP_SYS(close),
        SCMP_SYS(close_range),
        SCMP_SYS(statx),
        SCMP_SYS(fstat),
        SCMP_SYS(newfstatat),
        SCMP_SYS(fstatfs),
        SCMP_SYS(readlinkat),
        SCMP_SYS(faccessat2),
        SCMP_SYS(mkdirat),
        SCMP_SYS(mknodat),
        SCMP_SYS(symlinkat),
        SCMP_SYS(linkat),
        SCMP_SYS(renameat2),
        SCMP_SYS(unlinkat),
        SCMP_SYS(fchmodat),
        SCMP_SYS(fchownat),
        SCMP_SYS(utimensat),
        SCMP_SYS(ftruncate),
        SCMP_SYS(fallocate),
        SCMP_SYS(name_to_handle_at),
        SCMP_SYS(getxattr),
        SCMP_SYS(setxattr),
        SCMP_SYS(listxattr),
        SCMP_SYS(removexattr),
        SCMP_SYS(inotify_init1),
        SCMP_SYS(inotify_add_watch),
        SCMP_SYS(inotify_rm_watch),
        SCMP_SYS(flock),
        SCMP_SYS(fcntl),
        /* data */
        SCMP_SYS(read),
        SCMP_SYS(write),
        SCMP_SYS(pread64),
        SCMP_SYS(pwrite64),
        SCMP_SYS(writev),
        SCMP_SYS(preadv2),
        SCMP_SYS(pwritev2),
        SCMP_SYS(lseek),
        SCMP_SYS(getdents64),
        SCMP_SYS(fsync),
        SCMP_SYS(fdatasync),
        SCMP_SYS(syncfs),
        SCMP_SYS(sync_file_range),
        SCMP_SYS(fadvise64),
        SCMP_SYS(copy_file_range),
        /* whose */
        SCMP_SYS(setfsuid),
        SCMP_SYS(setfsgid),
        SCMP_SYS(setgroups),
        SCMP_SYS(geteuid),
        SCMP_SYS(getegid),
        /* channels and supervisor */
        SCMP_SYS(epoll_wait),
        SCMP_SYS(epoll_pwait),
        SCMP_SYS(epoll_ctl),
        SCMP_SYS(timerfd_settime),
        SCMP_SYS(recvmsg),
        SCMP_SYS(sendmsg),
        SCMP_SYS(futex),
        SCMP_SYS(mmap),
        SCMP_SYS(munmap),
        /* the process: memory, threads, time, end */
        SCMP_SYS(brk),
        SCMP_SYS(mremap),
        SCMP_SYS(mprotect),
        SCMP_SYS(madvise),
        SCMP_SYS(sched_yield),
        SCMP_SYS(sched_getaffinity),
        SCMP_SYS(getcpu),
        SCMP_SYS(clock_gettime),
        SCMP_SYS(clock_nanosleep),
        SCMP_SYS(gettid),
        SCMP_SYS(getpid),
        SCMP_SYS(tgkill),
        SCMP_SYS(set_robust_list),
        SCMP_SYS(rseq), /* a worker that starts just then */
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(rt_sigaction),
        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(getrandom),
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
};

int sandbox_no_handles(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!ctx)
		return -ENOMEM;
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0) /* said already, and prctl() is no longer allowed */
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
		                     SCMP_SYS(open_by_handle_at), 0);
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}

static scmp_filter_ctx make_filter(bool by_handle)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < sizeof allowed / sizeof allowed[0]; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	if (r == 0 && by_handle)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(open_by_handle_at), 0);
	if (r == 0 && by_handle) /* sandbox_no_handles() */
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(seccomp), 0);
	/* The kernel remembers which calls pass whatever their arguments are; of this one,
	 * made for each notification on Xen, it asks the filter each time: first, then. */
	if (r == 0)
		r = seccomp_syscall_priority(ctx, SCMP_SYS(ioctl), 255);
	for (size_t i = 0; r == 0 && g_vchan_ioctls[i]; i++) {
		const struct scmp_arg_cmp is = {1, SCMP_CMP_EQ, g_vchan_ioctls[i], 0};

		r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &is);
	}
	if (r == 0)
		return ctx;
	seccomp_release(ctx);
	errno = -r;
	return NULL;
}

/* The filter as the kernel wants it: libseccomp takes its time. */
static struct {
	struct sock_filter code[BPF_MAXINSNS];
	size_t len; /* bytes; 0: not made */
	bool by_handle;
} g_filter;

int sandbox_prepare(bool by_handle)
{
	scmp_filter_ctx ctx;
	int fd, r;
	ssize_t n;

	if (g_filter.len && g_filter.by_handle == by_handle)
		return 0;
	ctx = make_filter(by_handle);
	fd = ctx ? memfd_create("filter", MFD_CLOEXEC) : -1;
	r = fd < 0 ? -errno : seccomp_export_bpf(ctx, fd);
	n = r == 0 ? pread(fd, g_filter.code, sizeof g_filter.code, 0) : 0;
	if (r == 0 && (n <= 0 || (size_t)n % sizeof g_filter.code[0] != 0))
		r = -EIO;
	g_filter.len = r == 0 ? (size_t)n : 0;
	g_filter.by_handle = by_handle;
	if (fd >= 0)
		close(fd);
	if (ctx)
		seccomp_release(ctx);
	return r;
}

int sandbox_seccomp(bool by_handle)
{
	struct sock_fprog prog;
	int r = sandbox_prepare(by_handle);

	if (r < 0)
		return r;
	prog.len = (unsigned short)(g_filter.len / sizeof g_filter.code[0]);
	prog.filter = g_filter.code;
	r = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
	return r < 0 ? -errno : r > 0 ? -ESRCH : 0; /* > 0: a thread that cannot follow */
}
