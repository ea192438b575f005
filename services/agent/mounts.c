/* SPDX-License-Identifier: MIT */
/*
 * mounts.c - what fsd serves on Xen: detached mounts, made here, handed over.
 *
 * A block device (a disk of this domain) is mounted nowhere but in the descriptor.
 * A directory is the machine's, in dom0.  A mem is a tmpfs; the one at "/" gets what
 * programs look for in a root directory.
 */
#include "services/agent/agent.h"
#include "tools/etc_services.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DISK_MS 15000 /* until blkfront has connected */

/* Why the kernel refused: what it left in the file system context, else @e. */
static int mount_failed(int fs, const char *what, int e, char why[CONFIG_WHY])
{
	char text[200];
	const ssize_t n = read(fs, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
	snprintf(why, CONFIG_WHY, "cannot mount %s: %s%s%s", what, strerror(e),
	         n > 2 ? ": " : "", n > 2 ? text + 2 : "");
	close(fs);
	return -e;
}

static int set(int fs, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
}

static int make(int fs, bool read_only)
{
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -1;
	return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
	                    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
	                            (read_only ? MOUNT_ATTR_RDONLY : 0u));
}

static int open_fs(const char *type, const char *what, char why[CONFIG_WHY])
{
	const int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);

	if (fs >= 0)
		return fs;
	snprintf(why, CONFIG_WHY, "cannot mount %s: %s", what,
	         errno == ENODEV ? "the kernel has no such file system" : strerror(errno));
	return -errno;
}

/* What this kernel read of it earlier, looking for partitions, may be old by now: another
 * domain may have written to it until a moment ago. */
static void forget_cached(const char *device)
{
	const int fd = open(device, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, BLKFLSBUF, 0))
		say("%s: what was read of it is not forgotten: %s", device, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static int open_disk(const struct config_mount *m, char why[CONFIG_WHY])
{
	char what[CONFIG_TEXT + 48];
	int fs, mnt;

	snprintf(what, sizeof(what), "%s (%s)", m->source, m->fstype);
	if (wait_for_path(m->source, DISK_MS) < 0) {
		snprintf(why, CONFIG_WHY, "there is no disk %s; give the domain one",
		         m->source);
		return -ENOENT;
	}
	forget_cached(m->source);
	fs = open_fs(m->fstype, what, why);
	if (fs < 0)
		return fs;
	if (set(fs, "source", m->source) ||
	    (strcmp(m->fstype, "ext4") == 0 && set(fs, "errors", "remount-ro")) ||
	    (m->read_only && syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "ro", NULL, 0)))
		return mount_failed(fs, what, errno, why);
	mnt = make(fs, m->read_only);
	if (mnt < 0)
		return mount_failed(fs, what, errno, why);
	close(fs);
	return mnt;
}

static int open_directory(const struct config_mount *m, char why[CONFIG_WHY])
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
		            (m->read_only ? MOUNT_ATTR_RDONLY : 0u),
	};
	const int fd = (int)syscall(SYS_open_tree, AT_FDCWD, m->source,
	                            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd < 0 || syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
	                      sizeof(attr))) {
		const int e = errno;

		snprintf(why, CONFIG_WHY, "cannot serve %s: %s", m->source, strerror(e));
		if (fd >= 0)
			close(fd);
		return -e;
	}
	return fd;
}

/* ---- mem, and what a root directory has ---- */

static int put_file(int root, const char *path, const char *text)
{
	const int fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	const ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

static int fill_root(int root)
{
	static const struct {
		const char *path;
		mode_t mode;
	} dirs[] = {{"tmp", 01777}, {"root", 0700}, {"dev", 0755},      {"proc", 0555},
	            {"var", 0755},  {"run", 0755},  {"var/tmp", 01777}, {"etc", 0755}};
	static const char *const files[][2] = {
		{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
		               "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
		{"etc/group", "root:x:0:\nnogroup:x:65534:\n"},
		{"etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
		{"etc/services", ETC_SERVICES},
		{"etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n"},
	};

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (mkdirat(root, dirs[i].path, dirs[i].mode) ||
		    fchmodat(root, dirs[i].path, dirs[i].mode, 0))
			return -1;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (put_file(root, files[i][0], files[i][1]))
			return -1;
	return 0;
}

static int put_resolv(int root, const struct config *c)
{
	char text[CONFIG_DNS_MAX * 64] = "", addr[INET6_ADDRSTRLEN];

	for (unsigned i = 0; i < c->n_dns; i++) {
		const int af = c->dns[i].len == 4 ? AF_INET : AF_INET6;

		snprintf(text + strlen(text), 64, "nameserver %s\n",
		         inet_ntop(af, c->dns[i].addr, addr, sizeof(addr)));
	}
	return text[0] ? put_file(root, "etc/resolv.conf", text) : 0;
}

/* So that a listing shows them. */
static int make_points(int root, const struct config *c)
{
	for (unsigned i = 0; i < c->n_mounts; i++) {
		const char *at = c->mounts[i].guest + 1;

		if (*at && !strchr(at, '/') && mkdirat(root, at, 0755) && errno != EEXIST)
			return -1;
	}
	return 0;
}

static int open_mem(const struct config *c, const struct config_mount *m, char why[CONFIG_WHY])
{
	char what[CONFIG_TEXT + 32], size[32];
	const int fs = open_fs("tmpfs", "a mem", why);
	int mnt;

	if (fs < 0)
		return fs;
	snprintf(what, sizeof(what), "a mem at %s", m->guest);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)m->size);
	if (set(fs, "size", size) || set(fs, "mode", "0755"))
		return mount_failed(fs, what, errno, why);
	mnt = make(fs, false);
	if (mnt < 0)
		return mount_failed(fs, what, errno, why);
	close(fs);
	if (strcmp(m->guest, "/") == 0 &&
	    (fill_root(mnt) || put_resolv(mnt, c) || make_points(mnt, c))) {
		const int e = errno;

		snprintf(why, CONFIG_WHY, "cannot fill the mem at /: %s", strerror(e));
		close(mnt);
		return -e;
	}
	return mnt;
}

int mount_open(const struct config *c, const struct config_mount *m, char why[CONFIG_WHY])
{
	if (m->memory)
		return open_mem(c, m, why);
	if (strncmp(m->source, "/dev/", 5) == 0)
		return open_disk(m, why);
	return open_directory(m, why);
}
