/* SPDX-License-Identifier: MIT */
/*
 * Calls that a guest refuses by design, each with the errno of its row in
 * libos/syscalls.tbl, and numbers that no row has.
 *
 * native: no, Linux serves most of these
 */
#include "tests/sys/check.h"

struct call {
	long nr;
	const char *name;
};

static const struct call g_eintr[] = {
        {219, "restart_syscall"},
};

static const struct call g_einval[] = {
        {331, "pkey_free"},
};

static const struct call g_enospc[] = {
        {330, "pkey_alloc"},
};

static const struct call g_enosys[] = {
        {29, "shmget"},
        {30, "shmat"},
        {31, "shmctl"},
        {57, "fork"},
        {58, "vfork"},
        {59, "execve"},
        {67, "shmdt"},
        {68, "msgget"},
        {69, "msgsnd"},
        {70, "msgrcv"},
        {71, "msgctl"},
        {125, "capget"},
        {126, "capset"},
        {134, "uselib"},
        {136, "ustat"},
        {139, "sysfs"},
        {154, "modify_ldt"},
        {156, "_sysctl"},
        {163, "acct"},
        {174, "create_module"},
        {177, "get_kernel_syms"},
        {178, "query_module"},
        {179, "quotactl"},
        {180, "nfsservctl"},
        {181, "getpmsg"},
        {182, "putpmsg"},
        {183, "afs_syscall"},
        {184, "tuxcall"},
        {185, "security"},
        {205, "set_thread_area"},
        {206, "io_setup"},
        {207, "io_destroy"},
        {208, "io_getevents"},
        {209, "io_submit"},
        {210, "io_cancel"},
        {211, "get_thread_area"},
        {212, "lookup_dcookie"},
        {214, "epoll_ctl_old"},
        {215, "epoll_wait_old"},
        {236, "vserver"},
        {237, "mbind"},
        {238, "set_mempolicy"},
        {239, "get_mempolicy"},
        {248, "add_key"},
        {249, "request_key"},
        {250, "keyctl"},
        {256, "migrate_pages"},
        {279, "move_pages"},
        {298, "perf_event_open"},
        {300, "fanotify_init"},
        {301, "fanotify_mark"},
        {317, "seccomp"},
        {322, "execveat"},
        {323, "userfaultfd"},
        {333, "io_pgetevents"},
        {334, "rseq"},
        {335, "uretprobe"},
        {424, "pidfd_send_signal"},
        {425, "io_uring_setup"},
        {426, "io_uring_enter"},
        {427, "io_uring_register"},
        {428, "open_tree"},
        {429, "move_mount"},
        {430, "fsopen"},
        {431, "fsconfig"},
        {432, "fsmount"},
        {433, "fspick"},
        {434, "pidfd_open"},
        {435, "clone3"},
        {438, "pidfd_getfd"},
        {440, "process_madvise"},
        {442, "mount_setattr"},
        {443, "quotactl_fd"},
        {444, "landlock_create_ruleset"},
        {445, "landlock_add_rule"},
        {446, "landlock_restrict_self"},
        {447, "memfd_secret"},
        {448, "process_mrelease"},
        {449, "futex_waitv"},
        {450, "set_mempolicy_home_node"},
        {451, "cachestat"},
        {453, "map_shadow_stack"},
        {454, "futex_wake"},
        {455, "futex_wait"},
        {456, "futex_requeue"},
        {457, "statmount"},
        {458, "listmount"},
        {459, "lsm_get_self_attr"},
        {460, "lsm_set_self_attr"},
        {461, "lsm_list_modules"},
        {462, "mseal"},
        {463, "setxattrat"},
        {464, "getxattrat"},
        {465, "listxattrat"},
        {466, "removexattrat"},
        {467, "open_tree_attr"},
        {468, "file_getattr"},
        {469, "file_setattr"},
        {470, "listns"},
        {471, "rseq_slice_yield"},
};

static const struct call g_eopnotsupp[] = {
        {303, "name_to_handle_at"},
};

static const struct call g_eperm[] = {
        {101, "ptrace"},     {153, "vhangup"},      {155, "pivot_root"},
        {161, "chroot"},     {165, "mount"},        {166, "umount2"},
        {167, "swapon"},     {168, "swapoff"},      {172, "iopl"},
        {173, "ioperm"},     {175, "init_module"},  {176, "delete_module"},
        {246, "kexec_load"}, {272, "unshare"},      {304, "open_by_handle_at"},
        {308, "setns"},      {313, "finit_module"}, {320, "kexec_file_load"},
        {321, "bpf"},
};

/* Each twice: --log unsupported tells of the first alone (tests/e2e). */
static void expect(const struct call *calls, size_t count, int want)
{
	const size_t n = 2 * count;

	for (size_t k = 0; k < n; k++) {
		const size_t i = k / 2;

		errno = 0;
		if (syscall(calls[i].nr, 0, 0, 0, 0, 0, 0) != -1 || errno != want) {
			fprintf(stderr, "%s: errno %d, not %d\n", calls[i].name, errno,
			        want);
			g_case_failed = 1;
		}
	}
}

#define REFUSED(list, want)                                                            \
	static void refused_with_##want(void)                                          \
	{                                                                              \
		expect(list, sizeof(list) / sizeof(list[0]), want);                    \
	}

REFUSED(g_eintr, EINTR)
REFUSED(g_einval, EINVAL)
REFUSED(g_enospc, ENOSPC)
REFUSED(g_enosys, ENOSYS)
REFUSED(g_eopnotsupp, EOPNOTSUPP)
REFUSED(g_eperm, EPERM)

static void numbers_without_a_row_answer_enosys(void)
{
	static const long numbers[] = {336, 400, 423, 472, 1000, 100000, -1, 1l << 40};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		CHECK_ERR(syscall(numbers[i], 0, 0, 0, 0, 0, 0), ENOSYS);
}

static void a_process_cannot_be_made(void)
{
	CHECK_ERR(fork(), ENOSYS);
	CHECK_ERR(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), ENOSYS);
	CHECK_ERR(execl("/bin/true", "true", (char *)NULL), ENOSYS);
	CHECK_EQ(system("true"), -1);
}

int main(void)
{
	if (getpid() != 2 || getppid() != 0) {
		printf("skip: not in a guest, where these calls would act\n");
		return 77;
	}
	watchdog(20);
	CASE(refused_with_EINTR);
	CASE(refused_with_EINVAL);
	CASE(refused_with_ENOSPC);
	CASE(refused_with_ENOSYS);
	CASE(refused_with_EOPNOTSUPP);
	CASE(refused_with_EPERM);
	CASE(numbers_without_a_row_answer_enosys);
	CASE(a_process_cannot_be_made);
	return g_failed;
}
