/* SPDX-License-Identifier: MIT */
/* test_sys_dev_proc.c - /dev and /proc: devices, links to descriptors, texts. */
#include "tests/sys/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

static char g_text[65536];

static size_t slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	size_t len = 0;
	ssize_t n;

	g_text[0] = '\0';
	CHECK(fd >= 0);
	if (fd < 0)
		return 0;
	while ((n = read(fd, g_text + len, sizeof(g_text) - 1 - len)) > 0)
		len += (size_t)n;
	CHECK_EQ(n, 0);
	g_text[len] = '\0';
	close(fd);
	return len;
}

static int lists(const char *dir, const char *name)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int found = 0;

	CHECK(d != NULL);
	while (d && (e = readdir(d)) != NULL)
		found += strcmp(e->d_name, name) == 0;
	if (d)
		closedir(d);
	return found;
}

static void null_and_zero(void)
{
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR);
	char buf[32];
	char *p;

	CHECK_EQ(read(null, buf, 32), 0);
	CHECK_EQ(write(null, buf, 32), 32);
	CHECK_EQ(lseek(null, 100, SEEK_SET), 0);
	memset(buf, 1, 32);
	CHECK_EQ(read(zero, buf, 32), 32);
	CHECK(buf[0] == 0 && buf[31] == 0);
	CHECK_EQ(write(zero, buf, 5), 5);
	CHECK_EQ(pread(zero, buf, 5, 1000), 5);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
	CHECK(p != MAP_FAILED && p[0] == 0 && p[8191] == 0);
	munmap(p, 8192);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, null, 0) == MAP_FAILED &&
	      errno == ENODEV);
	CHECK_ERR(read(zero, BAD_PTR, 1), EFAULT);
	close(null);
	close(zero);
}

static void full_and_random(void)
{
	int full = open("/dev/full", O_RDWR), a = open("/dev/urandom", O_RDONLY);
	unsigned char x[64] = {0}, y[64] = {0};

	CHECK_ERR(write(full, x, 1), ENOSPC);
	CHECK_EQ(read(full, y, 8), 8);
	CHECK_EQ(read(a, x, 64), 64);
	CHECK_EQ(read(a, y, 64), 64);
	CHECK(memcmp(x, y, 64) != 0);
	close(a);
	a = open("/dev/random", O_RDONLY);
	CHECK_EQ(read(a, y, 64), 64);
	CHECK(memcmp(x, y, 64) != 0);
	close(a);
	close(full);
}

static void devices_have_numbers(void)
{
	struct stat st;

	CHECK(stat("/dev/null", &st) == 0);
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(st.st_mode & 07777, 0666);
	CHECK_EQ(st.st_rdev, makedev(1, 3));
	CHECK(stat("/dev/zero", &st) == 0);
	CHECK_EQ(st.st_rdev, makedev(1, 5));
	CHECK(access("/dev/null", R_OK | W_OK) == 0);
	CHECK_ERR(access("/dev/strait-no-such", F_OK), ENOENT);
	CHECK_ERR(open("/dev/null", O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK_ERR(open("/dev/null/x", O_RDONLY), ENOTDIR);
	CHECK_ERR(open("/dev", O_RDWR), EISDIR);
	CHECK_ERR(open("/dev/null", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	CHECK(stat("/dev", &st) == 0);
	CHECK(S_ISDIR(st.st_mode));
}

static void directories_list(void)
{
	CHECK_EQ(lists("/dev", "null"), 1);
	CHECK_EQ(lists("/dev", "shm"), 1);
	CHECK_EQ(lists("/dev", "fd"), 1);
	CHECK_EQ(lists("/proc", "self"), 1);
	CHECK_EQ(lists("/proc", "meminfo"), 1);
	CHECK_EQ(lists("/proc/self", "status"), 1);
	CHECK_EQ(lists("/proc/self", "."), 1);
	CHECK_EQ(lists("/", "dev"), 1);
	CHECK_EQ(lists("/", "proc"), 1);
	CHECK_EQ(lists("/proc/sys/kernel", "ostype"), 1);
}

static void descriptors_have_names(void)
{
	int fd = open("/dev/null", O_RDONLY), again, p[2];
	char path[64], to[256];
	struct stat a, b;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, to, sizeof(to));
	CHECK_EQ(n, 9);
	CHECK(memcmp(to, "/dev/null", 9) == 0);
	CHECK(lstat(path, &a) == 0);
	CHECK(S_ISLNK(a.st_mode));
	CHECK(stat(path, &a) == 0);
	CHECK(S_ISCHR(a.st_mode));
	again = open(path, O_WRONLY);
	CHECK(again >= 0);
	CHECK_EQ(write(again, "x", 1), 1);
	close(again);
	snprintf(path, sizeof(path), "%d", fd);
	CHECK_EQ(lists("/proc/self/fd", path), 1);
	close(fd);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	CHECK_ERR(open(path, O_RDONLY), ENOENT);
	CHECK_ERR(readlink(path, to, sizeof(to)), ENOENT);
	CHECK(pipe(p) == 0);
	snprintf(path, sizeof(path), "/dev/fd/%d", p[0]);
	n = readlink(path, to, sizeof(to));
	CHECK(n > 6 && memcmp(to, "pipe:[", 6) == 0);
	CHECK(stat(path, &a) == 0 && fstat(p[1], &b) == 0);
	CHECK(S_ISFIFO(a.st_mode) && a.st_ino == b.st_ino);
	close(p[0]);
	close(p[1]);
	CHECK_ERR(open("/proc/self/fd/x", O_RDONLY), ENOENT);
}

static void standard_streams_have_names(void)
{
	struct stat a, b;
	char to[64];

	CHECK(stat("/dev/stdout", &a) == 0 && fstat(1, &b) == 0);
	CHECK_EQ(a.st_mode, b.st_mode);
	CHECK_EQ(readlink("/dev/stdin", to, sizeof(to)), 15);
	CHECK(memcmp(to, "/proc/self/fd/0", 15) == 0);
	CHECK_EQ(readlink("/dev/fd", to, sizeof(to)), 13);
	CHECK(lstat("/dev/fd", &a) == 0 && S_ISLNK(a.st_mode));
	CHECK(stat("/dev/fd", &a) == 0 && S_ISDIR(a.st_mode));
}

static void self_is_me(void)
{
	char to[64], want[64];
	struct stat st;
	ssize_t n;

	n = readlink("/proc/self", to, sizeof(to) - 1);
	CHECK(n > 0);
	to[n > 0 ? n : 0] = '\0';
	CHECK_EQ(atoi(to), getpid());
	snprintf(want, sizeof(want), "/proc/%d/status", getpid());
	CHECK(slurp(want) > 0);
	snprintf(want, sizeof(want), "\nPid:\t%d\n", getpid());
	CHECK(strstr(g_text, want) != NULL);
	CHECK(stat("/proc/self", &st) == 0 && S_ISDIR(st.st_mode));
	CHECK(lstat("/proc/self", &st) == 0 && S_ISLNK(st.st_mode));
	CHECK_ERR(open("/proc/99999999/status", O_RDONLY), ENOENT);
	CHECK_ERR(open("/proc/strait-no-such", O_RDONLY), ENOENT);
	CHECK_ERR(mkdir("/proc/strait-dir", 0700), ENOENT);
}

static void cwd_and_exe(void)
{
	char to[4096], cwd[4096];
	ssize_t n = readlink("/proc/self/cwd", to, sizeof(to) - 1);

	CHECK(n > 0);
	to[n > 0 ? n : 0] = '\0';
	CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
	CHECK(strcmp(to, cwd) == 0);
	n = readlink("/proc/self/exe", to, sizeof(to) - 1);
	CHECK(n > 0 && to[0] == '/');
	CHECK_EQ(readlink("/proc/self/root", to, sizeof(to)), 1);
	CHECK_ERR(readlink("/proc/self/status", to, sizeof(to)), EINVAL);
	CHECK(chdir("/proc/self/task") == 0);
	CHECK(access("../status", R_OK) == 0);
	CHECK(chdir("/dev/shm") == 0 && access("../null", R_OK) == 0);
	CHECK(chdir(cwd) == 0);
}

static void cmdline_and_environ(void)
{
	size_t n = slurp("/proc/self/cmdline");

	CHECK(n > 0 && g_text[n - 1] == '\0');
	CHECK(strstr(g_text, "dev_proc") != NULL);
	n = slurp("/proc/self/environ");
	CHECK(n == 0 || memchr(g_text, '=', n) != NULL);
}

static void *named_thread(void *arg)
{
	char path[64], name[16];
	int fd, tid = (int)syscall(SYS_gettid);

	(void)arg;
	CHECK(pthread_setname_np(pthread_self(), "painter") == 0);
	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
	slurp(path);
	CHECK(strcmp(g_text, "painter\n") == 0);
	slurp("/proc/thread-self/comm");
	CHECK(strcmp(g_text, "painter\n") == 0);
	fd = open(path, O_WRONLY);
	CHECK_EQ(write(fd, "a-very-long-name-indeed", 23), 23);
	close(fd);
	CHECK(pthread_getname_np(pthread_self(), name, sizeof(name)) == 0);
	CHECK(strcmp(name, "a-very-long-nam") == 0);
	snprintf(path, sizeof(path), "%d", tid);
	CHECK_EQ(lists("/proc/self/task", path), 1);
	return NULL;
}

static void names_of_threads(void)
{
	pthread_t t;

	CHECK(pthread_create(&t, NULL, named_thread, NULL) == 0);
	pthread_join(t, NULL);
	CHECK(pthread_setname_np(pthread_self(), "main") == 0);
	slurp("/proc/self/comm");
	CHECK(strcmp(g_text, "main\n") == 0);
}

static void texts_have_their_form(void)
{
	unsigned long size, rss;
	unsigned pid, ppid;
	double up, idle;
	char state;

	slurp("/proc/self/stat");
	CHECK_EQ(sscanf(g_text, "%u (%*[^)]) %c %u", &pid, &state, &ppid), 3);
	CHECK_EQ(pid, getpid());
	CHECK_EQ(state, 'R');
	CHECK_EQ(sscanf(strrchr(g_text, ')'), ") %c %d", &state, &pid), 2);
	CHECK_EQ(pid, getppid());
	slurp("/proc/self/status");
	CHECK(strstr(g_text, "\nPPid:\t") != NULL);
	CHECK_EQ(atoi(strstr(g_text, "\nPPid:\t") + 7), getppid());
	CHECK(strstr(g_text, "\nNoNewPrivs:\t") != NULL);
	CHECK_EQ(atoi(strstr(g_text, "\nNoNewPrivs:\t") + 13),
	         prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	slurp("/proc/self/status");
	CHECK_EQ(atoi(strstr(g_text, "\nNoNewPrivs:\t") + 13), 1);
	slurp("/proc/self/statm");
	CHECK_EQ(sscanf(g_text, "%lu %lu", &size, &rss), 2);
	CHECK(size > 0 && rss > 0);
	slurp("/proc/uptime");
	CHECK_EQ(sscanf(g_text, "%lf %lf", &up, &idle), 2);
	CHECK(up > 0);
	slurp("/proc/meminfo");
	CHECK_EQ(sscanf(g_text, "MemTotal: %lu kB", &size), 1);
	CHECK(size > 1024);
	CHECK(strstr(g_text, "MemAvailable:") != NULL);
	slurp("/proc/cpuinfo");
	CHECK(strncmp(g_text, "processor\t: 0\n", 14) == 0);
	slurp("/proc/stat");
	CHECK(strncmp(g_text, "cpu ", 4) == 0);
	CHECK(strstr(g_text, "\nbtime ") != NULL);
	slurp("/proc/self/limits");
	CHECK(strstr(g_text, "Max open files  ") != NULL);
	slurp("/proc/self/maps");
	CHECK(strstr(g_text, "-") != NULL);
	slurp("/proc/self/mounts");
	CHECK(strstr(g_text, " /proc proc ") != NULL);
	slurp("/proc/self/mountinfo");
	CHECK(strstr(g_text, " - proc proc ") != NULL);
	slurp("/proc/self/cgroup");
	CHECK(strchr(g_text, ':') != NULL);
	slurp("/proc/mounts");
	CHECK(strstr(g_text, " /proc proc ") != NULL);
	slurp("/proc/filesystems");
	CHECK(strstr(g_text, "proc") != NULL);
	slurp("/proc/loadavg");
	CHECK(strchr(g_text, '/') != NULL);
}

static void sysctls(void)
{
	struct utsname u;
	char want[80];

	CHECK(uname(&u) == 0);
	CHECK(slurp("/proc/sys/fs/inotify/max_user_watches") > 1);
	slurp("/proc/sys/kernel/ostype");
	CHECK(strcmp(g_text, "Linux\n") == 0);
	slurp("/proc/sys/kernel/osrelease");
	snprintf(want, sizeof(want), "%s\n", u.release);
	CHECK(strcmp(g_text, want) == 0);
	slurp("/proc/sys/kernel/hostname");
	snprintf(want, sizeof(want), "%s\n", u.nodename);
	CHECK(strcmp(g_text, want) == 0);
	slurp("/proc/sys/net/core/somaxconn");
	CHECK(atoi(g_text) > 0);
	slurp("/proc/sys/vm/overcommit_memory");
	CHECK(g_text[0] >= '0' && g_text[0] <= '2');
	CHECK_EQ(slurp("/proc/sys/kernel/random/boot_id"), 37);
	CHECK_EQ(slurp("/proc/sys/kernel/random/uuid"), 37);
	slurp("/proc/sys/kernel/pid_max");
	CHECK(atoi(g_text) > 0);
	slurp("/proc/version");
	CHECK(strncmp(g_text, "Linux version ", 14) == 0);
}

static void directories_by_descriptor(void)
{
	int dir = open("/proc/self", O_RDONLY | O_DIRECTORY), fd;
	struct statfs sf;
	struct stat st;

	CHECK(dir >= 0);
	fd = openat(dir, "comm", O_RDONLY);
	CHECK(fd >= 0);
	CHECK(fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
	close(fd);
	CHECK(fstatat(dir, "fd", &st, 0) == 0 && S_ISDIR(st.st_mode));
	CHECK_ERR(read(dir, g_text, 1), EISDIR);
	CHECK(fstatfs(dir, &sf) == 0);
	CHECK_EQ(sf.f_type, 0x9fa0);
	close(dir);
	CHECK(statfs("/dev/shm", &sf) == 0);
	CHECK_EQ(sf.f_type, 0x01021994);
}

static void small_reads_of_a_directory(void)
{
	int dir = open("/dev", O_RDONLY | O_DIRECTORY), n = 0;
	char buf[300];
	long r;

	CHECK_ERR(syscall(SYS_getdents64, dir, buf, 10), EINVAL);
	while ((r = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0)
		n++;
	CHECK_EQ(r, 0);
	CHECK(n >= 1);
	CHECK_EQ(lseek(dir, 0, SEEK_SET), 0);
	CHECK(syscall(SYS_getdents64, dir, buf, sizeof(buf)) > 0);
	CHECK_ERR(syscall(SYS_getdents64, 0, buf, sizeof(buf)), ENOTDIR);
	close(dir);
}

int main(void)
{
	watchdog(30);
	CASE(null_and_zero);
	CASE(full_and_random);
	CASE(devices_have_numbers);
	CASE(directories_list);
	CASE(descriptors_have_names);
	CASE(standard_streams_have_names);
	CASE(self_is_me);
	CASE(cwd_and_exe);
	CASE(cmdline_and_environ);
	CASE(names_of_threads);
	CASE(texts_have_their_form);
	CASE(sysctls);
	CASE(directories_by_descriptor);
	CASE(small_reads_of_a_directory);
	return g_failed;
}
