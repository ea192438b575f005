/* SPDX-License-Identifier: MIT */
/*
 * child.c - start a process that is locked in.
 *
 * The order matters: namespaces come with the process; the root directory is
 * made while capabilities are there; descriptors are put in place after the last
 * step that opens one; capabilities go last; the death signal is set after the
 * ids change (which clears it), then the parent is looked for again.
 */
#include "tools/strait/child.h"

#include "tools/strait/strait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD_FLOOR 200 /* above every number that fds[] can land on */
#define CAPS_LAST 63

/* glibc 2.36's <sys/mount.h> and <linux/mount.h> cannot be included together. */
#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif
#ifndef MS_REC
#define MS_REC 16384
#endif
#ifndef MS_PRIVATE
#define MS_PRIVATE (1 << 18)
#endif

static void fail(const struct child_spec *s, const char *step)
{
	die(EXIT_STRAIT, "cannot lock in %s: %s: %s", s->what, step, strerror(errno));
}

static int sys_mount_setattr(int fd, unsigned flags, uint64_t set)
{
	struct mount_attr a = { .attr_set = set };

	return (int)syscall(SYS_mount_setattr, fd, "", flags | AT_EMPTY_PATH, &a, sizeof(a));
}

static int sys_move_mount(int from, int to, const char *path)
{
	return (int)syscall(SYS_move_mount, from, "", to, path, MOVE_MOUNT_F_EMPTY_PATH);
}

/* A detached file system of @type.  Returns a descriptor or -1 with errno. */
static int make_fs(const char *type, const char *key, const char *value)
{
	int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	int mnt = -1;

	if (fs < 0)
		return -1;
	if ((!key || !syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0)) &&
	    !syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
		                   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	int e = errno;

	close(fs);
	errno = e;
	return mnt;
}

/* Show the machine's directory /@name in @root, read-only. */
static void show_dir(const struct child_spec *s, int root, const char *name)
{
	char path[32], link[256];
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "/%s", name);
	if (lstat(path, &st))
		return;
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, link, sizeof(link) - 1);
		if (n < 0)
			fail(s, path);
		link[n] = 0;
		if (symlinkat(link, root, name))
			fail(s, path);
		return;
	}
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path,
	                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (tree < 0 || mkdirat(root, name, 0755) ||
	    sys_mount_setattr(tree, AT_RECURSIVE,
	                      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV) ||
	    sys_move_mount(tree, root, name))
		fail(s, path);
	close(tree);
}

/* A /proc that shows this process namespace only; where a container forbids new
 * ones, the one that is there. */
static void show_proc(const struct child_spec *s, int root)
{
	int proc = make_fs("proc", "subset", "pid");

	if (proc < 0)
		proc = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc",
		                    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (proc < 0 || mkdirat(root, "proc", 0555) || sys_move_mount(proc, root, "proc"))
		fail(s, "/proc");
	close(proc);
}

/* A /dev of its own with nothing but @s->devices: new files, the child's. */
static void show_devices(const struct child_spec *s, int root)
{
	const int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int mnt = -1;

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", "64k", 0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) ||
	    (mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
	                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)) < 0 ||
	    mkdirat(root, "dev", 0755) || sys_move_mount(mnt, root, "dev"))
		fail(s, "/dev");
	for (const char *const *name = s->devices; *name; name++) {
		char path[64], dir[64];
		const char *slash = strchr(*name, '/');
		struct stat st;

		snprintf(path, sizeof(path), "/dev/%s", *name);
		snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - *name) : 0, *name);
		if (stat(path, &st) || (slash && mkdirat(mnt, dir, 0755) && errno != EEXIST) ||
		    mknodat(mnt, *name, (st.st_mode & S_IFMT) | 0600, st.st_rdev) ||
		    (s->set_ids && fchownat(mnt, *name, s->uid, s->gid, AT_SYMLINK_NOFOLLOW)))
			fail(s, path);
	}
	if (sys_mount_setattr(mnt, 0, MOUNT_ATTR_RDONLY))
		fail(s, "/dev");
	close(mnt);
	close(fs);
}

/* The first root of all, an initramfs, is a mount without a parent, which pivot_root()
 * refuses: go on in a copy of it that lies over it. */
static void leave_rootfs(const struct child_spec *s)
{
	struct statfs fs;
	int tree;

	if (statfs("/", &fs) || (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC))
		return;
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/",
	                    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0 || sys_move_mount(tree, AT_FDCWD, "/") || fchdir(tree) || chroot("."))
		fail(s, "its root directory");
	close(tree);
}

void child_lock_files(const struct child_spec *s)
{
	int root;

	if (s->root == ROOT_HOST)
		return;
	root = make_fs("tmpfs", "size", "64k");
	if (root < 0)
		fail(s, "an empty root directory");
	/* Attached before it is filled: mounts go only onto attached ones. */
	if (syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		fail(s, "its root directory");
	leave_rootfs(s);
	if (sys_move_mount(root, AT_FDCWD, "/"))
		fail(s, "its root directory");
	if (s->root == ROOT_LIBS) {
		static const char *const dirs[] = { "usr", "lib", "lib64", "lib32", "libx32" };

		for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
			show_dir(s, root, dirs[i]);
	}
	if (s->proc)
		show_proc(s, root);
	if (s->devices)
		show_devices(s, root);
	if (fchdir(root) || syscall(SYS_pivot_root, ".", ".") ||
	    syscall(SYS_umount2, ".", MNT_DETACH) || chdir("/"))
		fail(s, "its root directory");
	if (sys_mount_setattr(root, 0, MOUNT_ATTR_RDONLY))
		fail(s, "its root directory");
	close(root);
}

static void place_fds(const struct child_spec *s, int *exec_fd, int *gate)
{
	int high[CHILD_FDS_MAX], i;
	int own[2] = { s->exec_fd, s->gate };

	/* First all up, out of the way, then down to their places. */
	for (i = 0; i < s->n_fds; i++) {
		high[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, FD_FLOOR);
		if (high[i] < 0)
			fail(s, "its descriptors");
	}
	for (i = 0; i < 2; i++)
		if (own[i] >= 0 && (own[i] = fcntl(own[i], F_DUPFD_CLOEXEC, FD_FLOOR)) < 0)
			fail(s, "its descriptors");
	for (i = 0; i < s->n_fds; i++)
		if (dup2(high[i], CHILD_FIRST_FD + i) < 0)
			fail(s, "its descriptors");
	int next = CHILD_FIRST_FD + s->n_fds;

	for (i = 0; i < 2; i++)
		if (own[i] >= 0 && (own[i] = dup3(own[i], next++, O_CLOEXEC)) < 0)
			fail(s, "its descriptors");
	if (syscall(SYS_close_range, next, ~0u, 0))
		fail(s, "its descriptors");
	*exec_fd = own[0];
	*gate = own[1];
}

static void null_stdio(const struct child_spec *s)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0 || dup2(fd, 0) < 0 || dup2(fd, 1) < 0)
		fail(s, "/dev/null");
	close(fd);
}

static void limit_cpus(const struct child_spec *s)
{
	cpu_set_t have, want;
	uint32_t n = 0;

	if (!s->cpus || sched_getaffinity(0, sizeof(have), &have))
		return;
	CPU_ZERO(&want);
	for (size_t i = 0; i < CPU_SETSIZE && n < s->cpus; i++)
		if (CPU_ISSET(i, &have)) {
			CPU_SET(i, &want);
			n++;
		}
	if (sched_setaffinity(0, sizeof(want), &want))
		fail(s, "its processors");
}

void child_lock_rights(const struct child_spec *s)
{
	struct rlimit none = { 0, 0 }, files;
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files))
			fail(s, "its limits");
	}
	if (setrlimit(RLIMIT_CORE, &none))
		fail(s, "its limits");
	for (int cap = 0; cap <= CAPS_LAST; cap++)
		if (!(s->caps >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) &&
		    errno != EINVAL)
			fail(s, "its capabilities");
	if (s->set_ids && (syscall(SYS_setgroups, 0, NULL) ||
	                   syscall(SYS_setresgid, s->gid, s->gid, s->gid) ||
	                   syscall(SYS_setresuid, s->uid, s->uid, s->uid)))
		fail(s, "its user");
	for (int i = 0; i < 2; i++) {
		uint32_t v = (uint32_t)(s->caps >> (32 * i));

		d[i] = (struct __user_cap_data_struct){ .effective = v, .permitted = v };
	}
	if (syscall(SYS_capset, &h, d))
		fail(s, "its capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		fail(s, "no_new_privs");
}

/* Die with the parent.  @life is readable (end of file) when it is gone already. */
static void die_with_parent(const struct child_spec *s, int life)
{
	struct pollfd p = { .fd = life, .events = POLLIN };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		fail(s, "its death signal");
	if (life >= 0 && poll(&p, 1, 0) > 0)
		_exit(EXIT_STRAIT);
}

static void enter_group(const struct child_spec *s)
{
	if (s->group == GROUP_SESSION)
		setsid();
	else if (s->group == GROUP_OWN)
		(void)setpgid(0, 0); /* fails only for a session leader: then it has one */
}

static void wait_at_gate(const struct child_spec *s, int gate)
{
	char go;
	ssize_t n;

	if (gate < 0)
		return;
	while ((n = read(gate, &go, 1)) < 0 && errno == EINTR)
		;
	if (n != 1)
		_exit(EXIT_STRAIT); /* called off */
	(void)s;
}

static void __attribute__((noreturn)) child_run(const struct child_spec *s, int life)
{
	sigset_t none;
	int exec_fd = s->exec_fd, gate = s->gate;

	g_at_die = NULL; /* the supervisor's children are not ours */
	enter_group(s);
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			signal(sig, SIG_DFL); /* EINVAL for libc's own two */
	if (s->null_stdio)
		null_stdio(s);
	if (s->namespaces & CLONE_NEWUTS) {
		const char *host = s->hostname ? s->hostname : "strait";

		if (sethostname(host, strlen(host)))
			fail(s, "its host name");
	}
	if (s->netns && setns(*s->netns, CLONE_NEWNET))
		fail(s, "its network");
	limit_cpus(s);
	if (s->fn) { /* locks itself in, and keeps what it needs */
		die_with_parent(s, life);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		_exit(s->fn(s->arg));
	}
	if (!s->plain) {
		child_lock_files(s);
		child_lock_rights(s);
	}
	die_with_parent(s, life);
	place_fds(s, &exec_fd, &gate);
	wait_at_gate(s, gate);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	syscall(SYS_execveat, exec_fd, "", s->argv, s->envp, AT_EMPTY_PATH);
	die(EXIT_STRAIT, "cannot start %s: %s", s->what, strerror(errno));
}

/* The writing end lives in the supervisor alone (CLOEXEC, and children close all): end
 * of file tells a child that came too late for PDEATHSIG. */
static int g_life[2] = { -1, -1 };

static int make_life(void)
{
	return g_life[0] < 0 && pipe2(g_life, O_CLOEXEC) ? -errno : 0;
}

/* Reads nothing, opens nothing, and has no right left.  Its memory and its root directory
 * are ours: who is in its namespace must not get at them by /proc, so it is never one that
 * others may look into. */
static void __attribute__((noreturn)) init_run(int life)
{
	static const struct child_spec self = { .what = "a process namespace" };
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	g_at_die = NULL;
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_NAME, "strait-init");
	die_with_parent(&self, life);
	(void)syscall(SYS_close_range, 0, ~0u, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &h, none))
		_exit(EXIT_STRAIT);
	for (;;)
		pause();
}

struct start {
	const struct child_spec *s;
	struct clone_args how;
	pid_t pid; /* or negative errno */
};

static void start_clone(struct start *st)
{
	st->pid = (pid_t)syscall(SYS_clone3, &st->how, sizeof(st->how));
	if (!st->pid) {
		close(g_life[1]);
		child_run(st->s, g_life[0]);
	}
	if (st->pid < 0)
		st->pid = -errno;
}

static pid_t clone_init(const struct start *st)
{
	struct clone_args a = { .flags = st->how.flags & CLONE_PARENT };
	pid_t pid;

	if (prctl(PR_SET_DUMPABLE, 0))
		return -errno;
	pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	if (!pid) {
		close(g_life[1]);
		init_run(g_life[0]);
	}
	return pid < 0 ? -errno : pid;
}

/* Its children are in a namespace of their own: first who waits, then who works. */
static int start_both(void *arg)
{
	struct start *st = arg;
	const int dumpable = prctl(PR_GET_DUMPABLE);
	pid_t init = unshare(CLONE_NEWPID) ? -errno : clone_init(st);

	if (dumpable == 1)
		(void)prctl(PR_SET_DUMPABLE, 1);
	if (init < 0) {
		st->pid = init;
	} else {
		*st->s->init = init;
		start_clone(st);
	}
	_exit(0);
}

/* Who makes a process namespace for its children cannot leave it again: so it is not us, but
 * a process in our own memory, while we wait; what it starts are its sisters. */
static int start_sisters(struct start *st)
{
	const size_t size = 256 << 10;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	pid_t helper;

	if (stack == MAP_FAILED)
		return -errno;
	st->how.flags = (st->how.flags & ~(uint64_t)CLONE_NEWPID) | CLONE_PARENT;
	st->how.exit_signal = 0; /* the helper's */
	*st->s->init = 0;
	helper = clone(start_both, stack + size, CLONE_VM | CLONE_VFORK | SIGCHLD, st);
	if (helper < 0)
		st->pid = -errno;
	else
		while (waitpid(helper, NULL, 0) < 0 && errno == EINTR)
			;
	munmap(stack, size);
	return 0;
}

pid_t child_start(const struct child_spec *s)
{
	struct start st = {
		.s = s,
		.how = { .flags = s->plain ? s->namespaces & CLONE_NEWPID : s->namespaces,
		         .exit_signal = SIGCHLD },
	};
	int err = make_life();

	if (!err && s->init)
		err = start_sisters(&st);
	else if (!err)
		start_clone(&st);
	return err ? err : st.pid;
}
