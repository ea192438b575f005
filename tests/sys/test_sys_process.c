/* SPDX-License-Identifier: MIT */
/* prctl, scheduling, priorities, waiting for children that are not there, kcmp. */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static void ids_of_the_process_hold_together(void)
{
	pid_t pid = getpid();

	CHECK(pid > 1);
	CHECK_EQ(syscall(SYS_gettid), pid);
	CHECK(getppid() != pid);
	CHECK_EQ(getpgid(0), getpgrp());
	CHECK_EQ(getpgid(pid), getpgrp());
	CHECK(getsid(0) > 0);
	CHECK_ERR(getpgid(0x3ffffff), ESRCH);
	CHECK_ERR(getsid(0x3ffffff), ESRCH);
	CHECK_ERR(setpgid(0, -1), EINVAL);
	CHECK_ERR(setpgid(-1, 0), EINVAL);
	CHECK_ERR(setpgid(0x3ffffff, 0), ESRCH);
}

static void a_session_leader_stays_one(void)
{
	(void)setsid(); /* Linux may grant the first one */
	CHECK_ERR(setsid(), EPERM);
	CHECK_EQ(getsid(0), getpid());
	CHECK_EQ(syscall(SYS_getpgrp), getpid());
	CHECK_ERR(setpgid(0, 0), EPERM);
}

static void personality_is_remembered(void)
{
	CHECK_EQ(syscall(SYS_personality, 0xffffffff) & 0xff, 0);
	CHECK(syscall(SYS_personality, 0x0040000) >= 0);
	CHECK_EQ(syscall(SYS_personality, 0xffffffff), 0x0040000);
	CHECK_EQ(syscall(SYS_personality, 0), 0x0040000);
}

static void *tell_tid(void *arg)
{
	(void)arg;
	CHECK(getpid() != syscall(SYS_gettid));
	return (void *)(intptr_t)syscall(SYS_gettid);
}

static void threads_share_the_pid_and_have_their_own_tid(void)
{
	pthread_t t;
	void *tid;

	CHECK_EQ(pthread_create(&t, NULL, tell_tid, NULL), 0);
	pthread_join(t, &tid);
	CHECK((intptr_t)tid > 0 && (intptr_t)tid != getpid());
	/* joined is not gone: the kernel may still be at it */
	for (int i = 0; i < 200 && syscall(SYS_tkill, (int)(intptr_t)tid, 0) == 0; i++)
		sleep_ms(5);
	CHECK_ERR(syscall(SYS_tkill, (int)(intptr_t)tid, 0), ESRCH);
}

static void there_are_no_children_to_wait_for(void)
{
	struct rusage usage;
	siginfo_t info;
	int status;

	CHECK_ERR(waitpid(-1, &status, 0), ECHILD);
	CHECK_ERR(waitpid(-1, &status, WNOHANG), ECHILD);
	CHECK_ERR(waitpid(getpid(), &status, 0), ECHILD);
	CHECK_ERR(waitpid(-1, &status, 0x100), EINVAL);
	CHECK_ERR(waitpid(INT_MIN, &status, 0), ESRCH);
	CHECK_ERR(syscall(SYS_wait4, 0, &status, 0, &usage), ECHILD);
	CHECK_ERR(syscall(SYS_wait4, -77777, NULL, WNOHANG | WUNTRACED, NULL), ECHILD);
	CHECK_ERR(syscall(SYS_wait4, -1, &status, 1 << 20, &usage), EINVAL);
	info.si_signo = info.si_pid = 1;
	CHECK_ERR(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
	CHECK(info.si_signo == 0 && info.si_pid == 0);
	CHECK_ERR(waitid(P_ALL, 0, BAD_PTR, WEXITED), EFAULT);
	CHECK_ERR(waitid(P_PID, 12345, &info, WEXITED | WNOHANG), ECHILD);
	CHECK_ERR(waitid(P_PID, 0, &info, WEXITED), EINVAL);
	CHECK_ERR(waitid(P_ALL, 0, &info, 0), EINVAL);
	CHECK_ERR(waitid(77, 1, &info, WEXITED), EINVAL);
}

static void the_first_threads_name_is_the_programs(void)
{
	char name[17] = {0};

	CHECK_EQ(prctl(PR_GET_NAME, name), 0);
	CHECK(strncmp(name, program_invocation_short_name, 15) == 0);
}

static void prctl_keeps_the_threads_name(void)
{
	char name[17] = {0};

	CHECK_EQ(prctl(PR_SET_NAME, "short"), 0);
	CHECK_EQ(prctl(PR_GET_NAME, name), 0);
	CHECK(strcmp(name, "short") == 0);
	CHECK_EQ(prctl(PR_SET_NAME, "a name that is far too long"), 0);
	CHECK_EQ(prctl(PR_GET_NAME, name), 0);
	CHECK(strcmp(name, "a name that is ") == 0);
	CHECK_ERR(prctl(PR_SET_NAME, BAD_PTR), EFAULT);
	CHECK_ERR(prctl(PR_GET_NAME, BAD_PTR), EFAULT);
}

static void prctl_keeps_simple_settings(void)
{
	int v = -1;

	CHECK_EQ(prctl(PR_SET_KEEPCAPS, 1), 0);
	CHECK_EQ(prctl(PR_GET_KEEPCAPS), 1);
	CHECK(prctl(PR_GET_SECUREBITS) & 1 << 4);
	CHECK_EQ(prctl(PR_SET_KEEPCAPS, 0), 0);
	CHECK_EQ(prctl(PR_GET_SECUREBITS) & 1 << 4, 0);
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 0), 0);
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
	CHECK_ERR(prctl(PR_SET_DUMPABLE, 3), EINVAL);
	CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGTERM), 0);
	CHECK_EQ(prctl(PR_GET_PDEATHSIG, &v), 0);
	CHECK_EQ(v, SIGTERM);
	CHECK_EQ(prctl(PR_SET_PDEATHSIG, 0), 0);
	CHECK_ERR(prctl(PR_SET_PDEATHSIG, 65), EINVAL);
	CHECK_ERR(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 5), 0);
	CHECK_EQ(prctl(PR_GET_CHILD_SUBREAPER, &v), 0);
	CHECK_EQ(v, 1);
	CHECK_EQ(prctl(PR_SET_TIMERSLACK, 12345), 0);
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), 12345);
	CHECK_EQ(prctl(PR_SET_TIMERSLACK, 0), 0);
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), 50000);
	CHECK_EQ(prctl(PR_CAPBSET_READ, 0) >= 0, 1);
	CHECK_ERR(prctl(PR_CAPBSET_READ, 1000), EINVAL);
	CHECK_ERR(prctl(987654, 0), EINVAL);
	CHECK_EQ(prctl(PR_GET_TSC, &v), 0);
	CHECK_EQ(v, PR_TSC_ENABLE);
}

static void scheduling_policies_have_their_ranges(void)
{
	struct sched_param p = {.sched_priority = 1};
	struct timespec ts;

	CHECK_EQ(syscall(SYS_sched_get_priority_max, SCHED_FIFO), 99);
	CHECK_EQ(syscall(SYS_sched_get_priority_min, SCHED_RR), 1);
	CHECK_EQ(syscall(SYS_sched_get_priority_max, SCHED_OTHER), 0);
	CHECK_EQ(syscall(SYS_sched_get_priority_min, SCHED_BATCH), 0);
	CHECK_ERR(syscall(SYS_sched_get_priority_max, 77), EINVAL);
	p.sched_priority = 0; /* whatever the caller's policy was */
	CHECK_EQ(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &p), 0);
	CHECK_EQ(syscall(SYS_sched_getscheduler, 0), SCHED_OTHER);
	CHECK_EQ(syscall(SYS_sched_getparam, 0, &p), 0);
	CHECK_EQ(p.sched_priority, 0);
	p.sched_priority = 1;
	CHECK_ERR(syscall(SYS_sched_setparam, 0, &p), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setscheduler, 0, 77, &p), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getscheduler, -1), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getscheduler, 0x3ffffff), ESRCH);
	p.sched_priority = 0;
	CHECK_EQ(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &p), 0);
	CHECK_EQ(syscall(SYS_sched_getscheduler, 0), SCHED_BATCH);
	CHECK_EQ(syscall(SYS_sched_setparam, 0, &p), 0);
	CHECK_EQ(syscall(SYS_sched_getscheduler, 0), SCHED_BATCH);
	CHECK_ERR(syscall(SYS_sched_setparam, 0, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_sched_setparam, -1, &p), EINVAL);
	CHECK_EQ(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &p), 0);
	CHECK_EQ(syscall(SYS_sched_rr_get_interval, 0, &ts), 0);
	CHECK_EQ(sched_yield(), 0);
}

#define RESET_ON_FORK 0x40000000

static void *policy_of_a_child(void *arg)
{
	*(long *)arg = syscall(SYS_sched_getscheduler, 0);
	return NULL;
}

static void *reset_on_fork(void *arg)
{
	struct sched_param p = {0};
	long child = -1;
	pthread_t t;

	CHECK_EQ(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH | RESET_ON_FORK, &p), 0);
	CHECK_EQ(syscall(SYS_sched_getscheduler, 0), SCHED_BATCH | RESET_ON_FORK);
	CHECK_EQ(syscall(SYS_sched_setparam, 0, &p), 0);
	CHECK_EQ(syscall(SYS_sched_getscheduler, 0), SCHED_BATCH | RESET_ON_FORK);
	CHECK_EQ(pthread_create(&t, NULL, policy_of_a_child, &child), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(child, SCHED_BATCH);
	return arg;
}

static void a_thread_may_keep_its_policy_from_its_children(void)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, reset_on_fork, NULL), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(syscall(SYS_sched_getscheduler, 0), SCHED_OTHER);
}

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static void sched_attributes_are_kept_and_their_size_is_checked(void)
{
	struct attr a = {.size = 48, .policy = SCHED_BATCH, .nice = 3}, got = {0};
	unsigned char big[64] = {0};

	CHECK_EQ(syscall(SYS_sched_setattr, 0, &a, 0), 0);
	CHECK_EQ(syscall(SYS_sched_getattr, 0, &got, sizeof(got), 0), 0);
	CHECK_EQ(got.policy, SCHED_BATCH);
	CHECK_EQ(got.nice, 3);
	CHECK_EQ(got.size, 56);
	CHECK_EQ(syscall(SYS_sched_getattr, 0, &got, 48, 0), 0);
	CHECK_EQ(got.size, 48);
	a.policy = SCHED_OTHER;
	a.nice = 4;
	CHECK_EQ(syscall(SYS_sched_setattr, 0, &a, 0), 0);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &a, 1), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, NULL, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, BAD_PTR, 0), EFAULT);
	CHECK_ERR(syscall(SYS_sched_setattr, 0x3ffffff, &a, 0), ESRCH);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, &got, 40, 0), EINVAL);
	a.size = sizeof(big);
	memcpy(big, &a, sizeof(a));
	CHECK_EQ(syscall(SYS_sched_setattr, 0, big, 0), 0);
	big[60] = 1; /* something newer than us is asked for */
	CHECK_ERR(syscall(SYS_sched_setattr, 0, big, 0), E2BIG);
	memcpy(&a, big, sizeof(a));
	CHECK_EQ(a.size, 56);
	a = (struct attr){.size = 48, .policy = 77};
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
	a = (struct attr){.size = 48, .policy = SCHED_OTHER, .flags = 1ull << 40};
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
}

static void affinity_is_a_set_of_cpus(void)
{
	cpu_set_t s, one;
	unsigned cpu = 999, node = 999;
	int n, first = -1;
	unsigned long raw[128];

	n = (int)syscall(SYS_sched_getaffinity, 0, sizeof(raw), raw);
	CHECK(n > 0 && n % 8 == 0);
	CHECK_EQ(sched_getaffinity(0, sizeof(s), &s), 0);
	CHECK(CPU_COUNT(&s) >= 1);
	for (int i = 0; i < CPU_SETSIZE && first < 0; i++)
		if (CPU_ISSET(i, &s))
			first = i;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
	CHECK_EQ(sched_getaffinity(0, sizeof(one), &one), 0);
	CHECK_EQ(CPU_COUNT(&one), 1);
	CHECK_EQ(syscall(SYS_getcpu, &cpu, &node, NULL), 0);
	CHECK_EQ(cpu, first);
	CHECK_EQ(sched_setaffinity(0, sizeof(s), &s), 0);
	CPU_ZERO(&one);
	CHECK_ERR(sched_setaffinity(0, sizeof(one), &one), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, 1, raw), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0x3ffffff, sizeof(raw), raw), ESRCH);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, sizeof(raw), BAD_PTR), EFAULT);
}

static void nice_values_are_kept(void)
{
	CHECK_EQ(setpriority(PRIO_PROCESS, 0, 5), 0);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5);
	CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 15);
	CHECK_EQ(setpriority(PRIO_PROCESS, 0, 100), 0);
	CHECK_EQ(getpriority(PRIO_PROCESS, getpid()), 19);
	CHECK_ERR(getpriority(9, 0), EINVAL);
	CHECK_ERR(setpriority(9, 0, 0), EINVAL);
	CHECK_ERR(getpriority(PRIO_PROCESS, 0x3ffffff), ESRCH);
}

static void io_priorities_are_checked_and_kept(void)
{
	CHECK_EQ(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 3), 0);
	CHECK_EQ(syscall(SYS_ioprio_get, 1, 0), 2 << 13 | 3);
	CHECK_ERR(syscall(SYS_ioprio_set, 1, 0, 7 << 13), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_set, 9, 0, 2 << 13), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_get, 9, 0), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_get, 1, 0x3ffffff), ESRCH);
}

static void kcmp_knows_equal_descriptions(void)
{
	int p[2], d;

	CHECK_EQ(pipe(p), 0);
	d = dup(p[0]);
	/* Linux may be built without it */
	if (syscall(SYS_kcmp, getpid(), getpid(), 0, p[0], d) == -1 && errno == ENOSYS)
		return;
	CHECK_EQ(syscall(SYS_kcmp, getpid(), getpid(), 0, p[0], d), 0);
	CHECK(syscall(SYS_kcmp, getpid(), getpid(), 0, p[0], p[1]) > 0);
	CHECK_ERR(syscall(SYS_kcmp, getpid(), getpid(), 0, p[0], 999), EBADF);
	CHECK_EQ(syscall(SYS_kcmp, getpid(), getpid(), 1, 0, 0), 0);
	CHECK_ERR(syscall(SYS_kcmp, getpid(), 0x3ffffff, 1, 0, 0), ESRCH);
	CHECK_ERR(syscall(SYS_kcmp, getpid(), getpid(), 99, 0, 0), EINVAL);
	close(p[0]);
	close(p[1]);
	close(d);
}

static void process_vm_copies_within_itself(void)
{
	char a[16] = "abcdefghij", b[16] = {0};
	struct iovec local[2] = {{b, 3}, {b + 8, 4}}, remote = {a, 7};
	struct iovec bad = {BAD_PTR, 4};

	CHECK_EQ(process_vm_readv(getpid(), local, 2, &remote, 1, 0), 7);
	CHECK(memcmp(b, "abc", 3) == 0 && memcmp(b + 8, "defg", 4) == 0);
	CHECK_EQ(process_vm_writev(getpid(), local, 2, &remote, 1, 0), 7);
	CHECK_ERR(process_vm_readv(getpid(), local, 1, &bad, 1, 0), EFAULT);
	CHECK_ERR(process_vm_readv(getpid(), local, 1, &remote, 1, 1), EINVAL);
	CHECK_ERR(process_vm_readv(0x3ffffff, local, 1, &remote, 1, 0), ESRCH);
}

static void random_bytes_differ_and_bad_flags_fail(void)
{
	unsigned char a[300] = {0}, b[300] = {0};

	CHECK_EQ(getrandom(a, sizeof(a), 0), sizeof(a));
	CHECK_EQ(getrandom(b, sizeof(b), GRND_NONBLOCK), sizeof(b));
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	CHECK_EQ(getrandom(a, 0, 0), 0);
	CHECK_ERR(getrandom(a, 1, 0x80), EINVAL);
	CHECK_ERR(getrandom(a, 1, 6), EINVAL);
	CHECK_ERR(syscall(SYS_getrandom, BAD_PTR, 8, 0), EFAULT);
}

static void rusage_and_times_grow_with_work(void)
{
	struct rusage before, after, thread;
	struct tms t;
	clock_t end = clock() + CLOCKS_PER_SEC / 10;

	CHECK_EQ(getrusage(RUSAGE_SELF, &before), 0);
	while (clock() < end)
		;
	CHECK_EQ(getrusage(RUSAGE_SELF, &after), 0);
	CHECK_EQ(getrusage(RUSAGE_THREAD, &thread), 0);
	CHECK(after.ru_utime.tv_sec * 1000000 + after.ru_utime.tv_usec +
	              after.ru_stime.tv_sec * 1000000 + after.ru_stime.tv_usec >
	      before.ru_utime.tv_sec * 1000000 + before.ru_utime.tv_usec +
	              before.ru_stime.tv_sec * 1000000 + before.ru_stime.tv_usec);
	CHECK(after.ru_maxrss > 0);
	CHECK_EQ(getrusage(RUSAGE_CHILDREN, &before), 0);
	CHECK_EQ(before.ru_utime.tv_sec + before.ru_utime.tv_usec, 0);
	CHECK_ERR(getrusage(77, &before), EINVAL);
	CHECK(times(&t) > 0);
	CHECK(t.tms_utime + t.tms_stime > 0);
	CHECK_EQ(t.tms_cutime, 0);
	CHECK_ERR(syscall(SYS_times, BAD_PTR), EFAULT);
}

static void sysinfo_and_names(void)
{
	struct sysinfo si;
	struct utsname u;

	CHECK_EQ(sysinfo(&si), 0);
	CHECK(si.totalram > 0 && si.mem_unit > 0 && si.freeram <= si.totalram);
	CHECK(si.procs >= 1);
	CHECK(si.uptime > 0);
	CHECK_ERR(syscall(SYS_sysinfo, BAD_PTR), EFAULT);
	CHECK_EQ(uname(&u), 0);
	CHECK(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
	CHECK(sysconf(_SC_PHYS_PAGES) > 0);
}

static void a_user_may_not_name_or_stop_the_machine(void)
{
	struct sched_param p = {.sched_priority = 10};
	struct rlimit none = {0, 0};

	if (geteuid() == 0) {
		CHECK_EQ(setrlimit(RLIMIT_RTPRIO, &none), 0);
		CHECK_EQ(setrlimit(RLIMIT_NICE, &none), 0);
		CHECK_EQ(setuid(1000), 0);
	}
	CHECK_ERR(sethostname("x", 1), EPERM);
	CHECK_ERR(syscall(SYS_setdomainname, "x", 1), EPERM);
	CHECK_ERR(syscall(SYS_reboot, 0xfee1deadu, 672274793, 0, 0), EPERM);
	CHECK_ERR(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p), EPERM);
	CHECK_ERR(setpriority(PRIO_PROCESS, 0, -5), EACCES);
	CHECK_ERR(syscall(SYS_ioprio_set, 1, 0, 1 << 13), EPERM);
}

int main(void)
{
	watchdog(30);
	CASE(ids_of_the_process_hold_together);
	CASE(a_session_leader_stays_one);
	CASE(personality_is_remembered);
	CASE(threads_share_the_pid_and_have_their_own_tid);
	CASE(there_are_no_children_to_wait_for);
	CASE(the_first_threads_name_is_the_programs);
	CASE(prctl_keeps_the_threads_name);
	CASE(prctl_keeps_simple_settings);
	CASE(scheduling_policies_have_their_ranges);
	CASE(a_thread_may_keep_its_policy_from_its_children);
	CASE(sched_attributes_are_kept_and_their_size_is_checked);
	CASE(affinity_is_a_set_of_cpus);
	CASE(nice_values_are_kept);
	CASE(io_priorities_are_checked_and_kept);
	CASE(kcmp_knows_equal_descriptions);
	CASE(process_vm_copies_within_itself);
	CASE(random_bytes_differ_and_bad_flags_fail);
	CASE(rusage_and_times_grow_with_work);
	CASE(sysinfo_and_names);
	CASE(a_user_may_not_name_or_stop_the_machine);
	return g_failed;
}
