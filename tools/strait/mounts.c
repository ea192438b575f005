/* SPDX-License-Identifier: MIT */
/*
 * mounts.c - what fsd serves: detached mounts, made here, handed over.
 *
 * A mem is a tmpfs that is attached nowhere; a directory of the machine is a
 * detached copy of its mount, from which no ".." leads out.  What the program
 * finds in an empty root (its /etc, /tmp, /dev) is written before fsd starts.
 * Only this run's guests see a mem, so their root is root there; on a directory of
 * the machine it is another user (squash) unless told otherwise.
 */
#include "tools/etc_services.h"
#include "tools/strait/netns.h"
#include "tools/strait/strait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MEM_DEFAULT (512ull << 20)

static int mem_mount(uint64_t size)
{
	char text[32];
	int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), mnt = -1;

	if (fs < 0)
		return -1;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
	if (!syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", text, 0) &&
	    !syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0755", 0) &&
	    !syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
		                   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	int e = errno;

	close(fs);
	errno = e;
	return mnt;
}

static void make_mem(const struct run_opts *o, struct mount_opt *m)
{
	m->fd = mem_mount(m->size ? m->size : MEM_DEFAULT);
	if (m->fd < 0)
		die(EXIT_STRAIT, "cannot make the memory file system for %s: %s", m->guest,
		    strerror(errno));
	/* "/" is root's, as everywhere; what was asked for is the program's. */
	if (!o->rootless && o->uid && m->guest[1] &&
	    fchownat(m->fd, "", o->uid, o->gid, AT_EMPTY_PATH))
		die(EXIT_STRAIT, "cannot give %s to the guest: %s", m->guest, strerror(errno));
}

/* A loop device for an image, which goes when nothing uses it.  A descriptor. */
static int loop_attach(const char *path, bool read_only, int image, char *dev, size_t size)
{
	struct loop_config c = { .fd = (uint32_t)image };
	int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC), n, fd = -1;

	c.info.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0u);
	snprintf((char *)c.info.lo_file_name, LO_NAME_SIZE, "%.*s", LO_NAME_SIZE - 1, path);
	/* Another process may take the number before we do. */
	for (int tries = 0; ctl >= 0 && tries < 16; tries++) {
		n = ioctl(ctl, LOOP_CTL_GET_FREE);
		if (n < 0)
			break;
		snprintf(dev, size, "/dev/loop%d", n);
		fd = open(dev, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
		if (fd < 0 || !ioctl(fd, LOOP_CONFIGURE, &c))
			break;
		int e = errno;

		close(fd);
		fd = -1;
		errno = e;
		if (e != EBUSY)
			break;
	}
	int e = errno;

	if (ctl >= 0)
		close(ctl);
	errno = e;
	return fd;
}

int disk_loop_attach(const char *path, bool read_only, char *dev, size_t size)
{
	int image = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);

	if (image < 0)
		return -1;
	int fd = loop_attach(path, read_only, image, dev, size), e = errno;

	close(image);
	errno = e;
	return fd;
}

/* What the kernel says of a file system that it does not mount. */
static void fs_reason(int fs, char *text, size_t size)
{
	ssize_t n = read(fs, text, size - 1);

	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
}

/* The file system on a disk or an image.  The kernel mounts it: root only. */
static void make_disk(const struct run_opts *o, struct mount_opt *m)
{
	char dev[64] = "", why[256] = "";
	int image = open(m->source, (m->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	struct stat st;

	if (image < 0 || fstat(image, &st))
		die(EXIT_STRAIT, "disk %s: %s", m->source, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		die(EXIT_STRAIT, "disk %s: is neither a block device nor an image", m->source);
	if (o->rootless)
		die(EXIT_STRAIT, "disk %s: only root can mount a disk; run this as root, or mount "
		                 "a folder instead", m->source);
	int loop = S_ISREG(st.st_mode) ? 
	           loop_attach(m->source, m->read_only, image, dev, sizeof(dev)) : image;

	if (loop < 0)
		die(EXIT_STRAIT, "disk %s: no loop device: %s", m->source, strerror(errno));
	int fs = (int)syscall(SYS_fsopen, m->fstype, FSOPEN_CLOEXEC);

	if (fs < 0)
		die(EXIT_STRAIT, "disk %s: this machine knows no file system %s", m->source,
		    m->fstype);
	if (!syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", *dev ? dev : m->source, 0) &&
	    (!m->read_only || !syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "ro", NULL, 0)) &&
	    !syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		m->fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
		                     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
		                             (m->read_only ? MOUNT_ATTR_RDONLY : 0u));
	if (m->fd < 0) {
		int e = errno;

		fs_reason(fs, why, sizeof(why));
		die(EXIT_STRAIT, "disk %s: cannot be mounted as %s: %s", m->source, m->fstype,
		    *why ? why : strerror(e));
	}
	close(fs);
	close(image);
	if (loop != image)
		close(loop);
}

static void make_dir(const struct run_opts *o, struct mount_opt *m)
{
	struct stat st;

	if (stat(m->source, &st))
		die(EXIT_STRAIT, "-v %s: %s; create it, or correct the path", m->source,
		    errno == ENOENT ? "no such directory" : strerror(errno));
	if (!S_ISDIR(st.st_mode))
		die(EXIT_STRAIT, "-v %s: is not a directory; mount the one that holds it",
		    m->source);
	m->fd = (int)syscall(SYS_open_tree, AT_FDCWD, m->source,
	                     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (m->fd < 0)
		die(EXIT_STRAIT, "-v %s: cannot be mounted: %s", m->source, strerror(errno));
	struct mount_attr a = {
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
		            (m->read_only ? MOUNT_ATTR_RDONLY : 0u),
	};

	if (syscall(SYS_mount_setattr, m->fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof(a)))
		die(EXIT_STRAIT, "-v %s: cannot be mounted%s: %s", m->source,
		    m->read_only ? " read-only" : "", strerror(errno));
	if (o->squash && !o->uid && !m->read_only && st.st_uid != o->squash_uid &&
	    (st.st_mode & 0002) == 0)
		say("note: -v %s: the guest's root is user %u there and may not write; "
		    "--no-squash makes it root",
		    m->source, o->squash_uid);
}

static void put_dir(int root, const char *path, mode_t mode)
{
	if (mkdirat(root, path, mode) && errno != EEXIST)
		die(EXIT_STRAIT, "cannot make /%s for the guest: %s", path, strerror(errno));
	if (fchmodat(root, path, mode, 0))
		die(EXIT_STRAIT, "cannot make /%s for the guest: %s", path, strerror(errno));
}

static void put_file(int root, const char *path, char *text)
{
	int fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	size_t len = strlen(text);

	if (fd < 0 || fchmod(fd, 0644) || write(fd, text, len) != (ssize_t)len)
		die(EXIT_STRAIT, "cannot write /%s for the guest: %s", path, strerror(errno));
	close(fd);
	free(text);
}

/* The machine's resolver, for a guest that uses the machine's stack. */
static char *host_resolv(void)
{
	char *text = xalloc(16384);
	int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, 16383);

	text[n < 0 ? 0 : n] = 0;
	if (fd >= 0)
		close(fd);
	return text;
}

/* The machine's time zone, as the data itself: its name may point anywhere. */
static void put_localtime(int root)
{
	char data[16384];
	int from = open("/etc/localtime", O_RDONLY | O_CLOEXEC);
	ssize_t n = from < 0 ? 0 : read(from, data, sizeof(data));
	int to;

	if (from >= 0)
		close(from);
	if (n <= 0 || n == (ssize_t)sizeof(data))
		return; /* none: the program falls back on UTC */
	to = openat(root, "etc/localtime", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (to < 0 || write(to, data, (size_t)n) != n)
		die(EXIT_STRAIT, "cannot write /etc/localtime for the guest: %s",
		    strerror(errno));
	close(to);
}

static void fill_etc(const struct run_opts *o, const struct net_plan *net, int root)
{
	char user[128] = "", group[64] = "";

	if (o->uid && o->uid != 65534)
		snprintf(user, sizeof(user), "user:x:%u:%u:user:/:/bin/sh\n", o->uid, o->gid);
	if (o->gid && o->gid != 65534)
		snprintf(group, sizeof(group), "user:x:%u:\n", o->gid);
	put_dir(root, "etc", 0755);
	put_file(root, "etc/passwd",
	         xprintf("root:x:0:0:root:/root:/bin/sh\n%s"
	                 "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
	                 user));
	put_file(root, "etc/group", xprintf("root:x:0:\n%snogroup:x:65534:\n", group));
	put_file(root, "etc/hostname", xprintf("%s\n", o->hostname));
	put_file(root, "etc/nsswitch.conf",
	         xprintf("passwd: files\ngroup: files\nhosts: files dns\n"));
	put_file(root, "etc/services", xprintf("%s", ETC_SERVICES));
	if (o->net == NET_LWIP)
		put_file(root, "etc/hosts",
		         xprintf("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n"
		                 "%s\t%s\n%s\t%s\n",
		                 net->guest4, o->hostname, net->guest6, o->hostname));
	else
		put_file(root, "etc/hosts",
		         xprintf("127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost\n",
		                 o->hostname));
	if (o->net == NET_LWIP)
		put_file(root, "etc/resolv.conf", xprintf("nameserver %s\n", net->gateway4));
	else if (o->net == NET_HOST)
		put_file(root, "etc/resolv.conf", host_resolv());
	put_localtime(root);
}

/* Make directory @path (absolute) and those above it in @root; what exists stays. */
static void make_path(int root, const char *path)
{
	char part[4096];

	for (const char *p = path; *p;) {
		p += strspn(p, "/");
		p += strcspn(p, "/");
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		if (!part[1])
			continue;
		if (mkdirat(root, part + 1, 0755) && errno != EEXIST)
			die(EXIT_STRAIT, "cannot make %s for the guest: %s", part,
			    strerror(errno));
	}
}

/* Does mount @m hold @path below its own directory?  Then the rest of it. */
static const char *below(const struct mount_opt *m, const char *path)
{
	size_t len = strlen(m->guest);

	if (len == 1)
		return path[1] ? path : NULL;
	if (strncmp(m->guest, path, len) || path[len] != '/')
		return NULL;
	return path + len;
}

/* Make directory @path where the guest will see it, if it lies on a mem. */
static void make_point(struct run_opts *o, const char *path)
{
	const struct mount_opt *best = NULL;
	const char *rest = NULL;

	for (unsigned i = 0; i < o->n_mounts; i++) {
		const char *r = below(&o->mounts[i], path);

		if (r && (!best || strlen(o->mounts[i].guest) > strlen(best->guest))) {
			best = &o->mounts[i];
			rest = r;
		}
	}
	if (best && !best->source)
		make_path(best->fd, rest);
}

static int by_path(const void *a, const void *b)
{
	const struct mount_opt *x = a, *y = b;

	return strcmp(x->guest, y->guest);
}

void mounts_make(struct run_opts *o, const struct net_plan *net)
{
	mode_t mask = umask(0);
	bool has_root = false;

	for (unsigned i = 0; i < o->n_mounts; i++)
		has_root |= !strcmp(o->mounts[i].guest, "/");
	if (!has_root) {
		if (o->n_mounts == MOUNTS_MAX)
			die(EXIT_STRAIT, "too many mounts (%d at most, with /)", MOUNTS_MAX);
		o->mounts[o->n_mounts++] = (struct mount_opt){ .guest = xprintf("/"), .fd = -1 };
	}
	/* What lies deeper comes later: "/" sorts first, "/a" before "/a/b". */
	qsort(o->mounts, o->n_mounts, sizeof(o->mounts[0]), by_path);
	for (unsigned i = 0; i < o->n_mounts; i++) {
		if (o->mounts[i].disk)
			make_disk(o, &o->mounts[i]);
		else if (o->mounts[i].source)
			make_dir(o, &o->mounts[i]);
		else
			make_mem(o, &o->mounts[i]);
	}
	if (!o->mounts[0].source) {
		static const struct {
			const char *path;
			mode_t mode;
		} dirs[] = { { "tmp", 01777 }, { "root", 0700 }, { "dev", 0755 },
			     { "proc", 0555 }, { "var", 0755 },  { "run", 0755 },
			     { "var/tmp", 01777 } };

		for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
			put_dir(o->mounts[0].fd, dirs[i].path, dirs[i].mode);
		fill_etc(o, net, o->mounts[0].fd);
	}
	for (unsigned i = 0; i < o->n_mounts; i++)
		make_point(o, o->mounts[i].guest);
	make_point(o, o->cwd);
	umask(mask);
}
