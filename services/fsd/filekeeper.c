/* SPDX-License-Identifier: MIT */
/*
 * 1. The table is fsd's, too: somebody who took it over may put there, and close, what
 *    they like.  All that they reach by it is that other descriptors of theirs are sent,
 *    without the right to do anything by themselves, or none.
 * 2. It may hang at a file system that does not answer: the supervisor waits no longer
 *    than it likes, and kills it.
 */
#define _GNU_SOURCE
#include "services/fsd/filekeeper.h"

#include "rpc/control.h"
#include "services/fsd/fsd.h"
#include "services/fsd/kept.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FULL_TRIES 200 /* too many descriptors under way: a millisecond each */

struct batch {
	int sock, proc;
	int fds[CONTROL_FDS_MAX];
	uint64_t hold[CONTROL_FDS_MAX];
	int n;
	unsigned lost;
};

/* ---- what it hands over ---- */

static void send_batch(struct batch *b, bool more)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Kept k = CONTROL__KEPT__INIT;
	int r = -ETOOMANYREFS;

	k.hold = b->hold;
	k.n_hold = (size_t)b->n;
	k.more = more;
	k.lost = b->lost;
	c.body_case = CONTROL__CONTROL__BODY_KEPT;
	c.kept = &k;
	for (int i = 0; r == -ETOOMANYREFS && i < FULL_TRIES; i++) {
		r = control_send(b->sock, &c, b->fds, b->n);
		if (r == -ETOOMANYREFS)
			usleep(1000);
	}
	for (int i = 0; i < b->n; i++)
		close(b->fds[i]);
	b->lost = r == -ETOOMANYREFS ? b->lost + (unsigned)b->n : 0;
	b->n = 0;
	if (r < 0 && r != -ETOOMANYREFS)
		_exit(1); /* nobody hears us */
}

static void add(struct batch *b, int fd, uint64_t hold)
{
	char name[16];
	int again;

	snprintf(name, sizeof name, "%d", fd);
	/* A description of its own: the locks of the one that is there end with us. */
	again = openat(b->proc, name, O_PATH | O_CLOEXEC);
	if (again < 0 && errno == EMFILE && b->n) {
		send_batch(b, true);
		again = openat(b->proc, name, O_PATH | O_CLOEXEC);
	}
	if (again < 0) {
		b->lost++;
		return;
	}
	b->fds[b->n] = again;
	b->hold[b->n++] = hold;
	if (b->n == CONTROL_FDS_MAX)
		send_batch(b, true);
}

/* A guest's: of an export.  Of what has no place there only references are. */
static bool is_guests(const struct batch *b, int fd, const struct statx *proc)
{
	char name[16], link[16];
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_NLINK,
	          &stx) < 0 ||
	    (stx.stx_dev_major == proc->stx_dev_major &&
	     stx.stx_dev_minor == proc->stx_dev_minor))
		return false;
	if (!S_ISREG(stx.stx_mode) && !S_ISDIR(stx.stx_mode)) {
		const int flags = fcntl(fd, F_GETFL);

		return (stx.stx_mode & S_IFMT) && flags >= 0 && (flags & O_PATH);
	}
	if (stx.stx_nlink)
		return true;
	snprintf(name, sizeof name, "%d", fd);
	const ssize_t n = readlinkat(b->proc, name, link, sizeof link);

	return n < 7 || memcmp(link, "/memfd:", 7) != 0; /* a guest's ring */
}

/* All numbers that are open; -1 ends them.  NULL: no memory. */
static int *list_open(int proc)
{
	_Alignas(8) char buf[4096];
	int *list = NULL;
	size_t n = 0;
	long r;

	do {
		r = syscall(SYS_getdents64, proc, buf, sizeof buf);
		int *more = realloc(list, (n + (r > 0 ? (size_t)r / 24 : 0) + 1) * sizeof *list);

		if (!more) {
			free(list);
			return NULL;
		}
		list = more;
		for (long at = 0; at < r;) {
			const struct dirent64 *e = (const void *)(buf + at);

			if (e->d_name[0] != '.')
				list[n++] = atoi(e->d_name);
			at += e->d_reclen;
		}
	} while (r > 0);
	list[n] = -1;
	return list;
}

static void hand_over(int sock, int proc)
{
	struct batch b = {.sock = sock, .proc = proc};
	struct statx own;
	int *list;

	close(0); /* room for at least two */
	close(1);
	if (statx(proc, "", AT_EMPTY_PATH, 0, &own) < 0)
		_exit(1);
	list = list_open(proc);
	for (int i = 0; list && list[i] >= 0; i++) {
		const int fd = list[i];
		unsigned at = 0;
		uint64_t hold;

		if (fd == sock || fd == proc || !is_guests(&b, fd, &own))
			continue;
		hold = kept_hold_of(fd, &at);
		do {
			add(&b, fd, hold);
		} while (hold && (hold = kept_hold_of(fd, &at)));
	}
	send_batch(&b, false);
}

/* ---- how it is locked in ---- */

/* Also in docs/SECURITY.md. */
static const uint32_t allowed[] = {
	SYS_recvfrom, SYS_recvmsg, SYS_sendmsg, SYS_openat, SYS_close, SYS_getdents64,
	SYS_statx, SYS_readlinkat, SYS_fcntl, SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap,
	SYS_clock_nanosleep, SYS_restart_syscall, SYS_exit_group,
};

#define N_ALLOWED (sizeof allowed / sizeof allowed[0])

static int filter(void)
{
	struct sock_filter ins[N_ALLOWED + 6];
	struct sock_fprog p = {.filter = ins};
	const uint32_t no = SECCOMP_RET_ERRNO | ENOSYS;

#define INS(code, jt, jf, k) (ins[p.len++] = (struct sock_filter){code, jt, jf, k})
	INS(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
	INS(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64);
	INS(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
	INS(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < N_ALLOWED; i++)
		INS(BPF_JMP | BPF_JEQ | BPF_K, (uint8_t)(N_ALLOWED - i), 0, allowed[i]);
	INS(BPF_RET | BPF_K, 0, 0, no);
	INS(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
#undef INS
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
}

static int lock_in(bool sandbox)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof none);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &h, none) < 0)
		return -1;
	return sandbox ? filter() : 0;
}

static void __attribute__((noreturn)) wait_for_word(int sock, int proc)
{
	char word;
	ssize_t n;

	do {
		n = recv(sock, &word, 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		hand_over(sock, proc);
	_exit(0);
}

/* ps shows what it is: nobody should take it for fsd. */
static void rename_self(int argc, char **argv)
{
	static const char name[] = "filekeeper";
	const size_t room = (size_t)(argv[argc - 1] - argv[0]) + strlen(argv[argc - 1]) + 1;

	(void)prctl(PR_SET_NAME, name);
	memset(argv[0], 0, room);
	memcpy(argv[0], name, room < sizeof name ? room - 1 : sizeof name);
}

void filekeeper_start(int argc, char **argv, bool sandbox)
{
	const char *v = getenv(FILEKEEPER_ENV);
	const pid_t parent = getppid();
	/* The supervisor's child, as fsd is; signals are its own. */
	struct clone_args a = {.flags = CLONE_FILES | CLONE_PARENT};
	struct stat st;
	int sock, proc;
	long pid;

	if (!v)
		return;
	sock = atoi(v);
	if (sock < 3 || fstat(sock, &st) < 0 || !S_ISSOCK(st.st_mode)) {
		log_write(1, "no filekeeper: %s is not a socket", v);
		return;
	}
	if (kept_share() < 0)
		log_write(1, "no memory for holds: %s", strerror(errno));
	(void)prctl(PR_SET_DUMPABLE, 0); /* nothing of it is fsd's by /proc */
	pid = syscall(SYS_clone3, &a, sizeof a);
	if (pid < 0)
		log_write(1, "no filekeeper: %s", strerror(errno));
	if (pid != 0) {
		(void)prctl(PR_SET_DUMPABLE, 1);
		return;
	}
	rename_self(argc, argv);
	proc = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A parent that ended meanwhile is another one now. */
	if (proc < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent ||
	    lock_in(sandbox) < 0)
		_exit(1);
	wait_for_word(sock, proc);
}
