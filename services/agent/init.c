/* SPDX-License-Identifier: MIT */
/*
 * init.c - process 1 of a service domain.
 *
 * There is no shell and no other program but the service's.  The initramfs cannot be
 * pivoted away from, which is how children get their empty root: so it is mounted over
 * itself first, read-only.
 *
 * dom0's xl shutdown reaches the kernel, which runs /sbin/poweroff or /sbin/reboot:
 * this program again, which signals process 1.
 */
#include "services/agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MODULES "/lib/modules"
#define MODULES_LIST "/lib/modules/load" /* one a line, in order, then parameters */

int wait_for_path(const char *path, unsigned ms)
{
	for (unsigned waited = 0;; waited += 20) {
		const struct timespec nap = {0, 20 * 1000000L};
		struct stat st;

		if (stat(path, &st) == 0)
			return 0;
		if (waited >= ms)
			return -ENOENT;
		nanosleep(&nap, NULL);
	}
}

static void mount_one(const char *type, const char *at, const char *data, unsigned long flags)
{
	(void)mkdir(at, 0755); /* there, in a read-only image */
	if (mount(type, at, type, flags, data) && errno != EBUSY)
		say("cannot mount %s at %s: %s", type, at, strerror(errno));
}

/* From here on "/" is a mount that has a parent, as pivot_root() wants. */
static void own_root(void)
{
	if (mount("/", "/root", NULL, MS_BIND, NULL) ||
	    mount(NULL, "/root", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) ||
	    chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		say("cannot make the image read-only: %s", strerror(errno));
}

int init_load_module(const char *file, const char *params)
{
	char path[256];
	int fd, r = 0;

	snprintf(path, sizeof(path), MODULES "/%.200s", file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, params, 0) && errno != EEXIST)) {
		r = -errno;
		say("cannot load %s: %s", path, strerror(-r));
	}
	if (fd >= 0)
		close(fd);
	return r;
}

void init_unload_module(const char *name)
{
	if (syscall(SYS_delete_module, name, O_NONBLOCK))
		say("cannot unload %s: %s", name, strerror(errno));
}

/* @line: a file below /lib/modules, a blank and parameters. */
static void load_module(char *line)
{
	char *params = strchr(line, ' ');

	if (params)
		*params++ = 0;
	(void)init_load_module(line, params ? params : ""); /* said */
}

static void load_modules(void)
{
	FILE *f = fopen(MODULES_LIST, "re");
	char line[512];

	if (!f) {
		say("cannot read %s: %s", MODULES_LIST, strerror(errno));
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (line[0])
			load_module(line);
	}
	fclose(f);
}

void init_start(void)
{
	umask(022);
	own_root();
	mount_one("proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC);
	mount_one("sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY);
	mount_one("devtmpfs", "/dev", "mode=0755", MS_NOSUID | MS_NOEXEC);
	mount_one("tmpfs", "/run", "mode=0755,size=64k", MS_NOSUID | MS_NODEV | MS_NOEXEC);
	load_modules();
	if (wait_for_path("/dev/xen/xenbus", 5000) < 0)
		say("there is no /dev/xen/xenbus: not a Xen domain?");
}

void init_service_name(char *to, size_t size)
{
	static const char key[] = "strait.service=";
	char line[2048], *at, *save = NULL;
	const int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	line[n > 0 ? n : 0] = 0;
	for (at = strtok_r(line, " \n", &save); at; at = strtok_r(NULL, " \n", &save))
		if (strncmp(at, key, sizeof(key) - 1) == 0)
			snprintf(to, size, "%s", at + sizeof(key) - 1);
}

void init_shell(void)
{
	static const char busybox[] = "/bin/busybox";
	char name[] = "sh", path[] = "PATH=/bin", *argv[] = {name, NULL}, *env[] = {path, NULL};

	if (access(busybox, X_OK) || fork() != 0)
		return;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	execve(busybox, argv, env);
	_exit(127);
}

void init_end(bool again)
{
	sync();
	(void)reboot(again ? RB_AUTOBOOT : RB_POWER_OFF);
	for (;;) /* only when the kernel refused: process 1 must not end */
		pause();
}

int init_told(const char *name)
{
	if (kill(1, strcmp(name, "reboot") == 0 ? SIGINT : SIGTERM) == 0)
		return 0;
	fprintf(stderr, "%s: cannot signal process 1: %s\n", name, strerror(errno));
	return 1;
}
