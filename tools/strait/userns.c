/* SPDX-License-Identifier: MIT */
/*
 * userns.c - root's powers over our own processes, for an ordinary user.
 *
 * One id is mapped: the caller's, to 0.  More would need /etc/subuid and its
 * set-id helpers; so without root every file of the guest is the caller's.
 */
#include "tools/strait/userns.h"

#include "tools/strait/strait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool have_admin(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];
	uint32_t want = 1u << CAP_SYS_ADMIN | 1u << CAP_NET_ADMIN | 1u << CAP_SETPCAP;

	return !syscall(SYS_capget, &h, d) && (d[0].effective & want) == want;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		die(EXIT_STRAIT, "cannot set up the user namespace: %s: %s", path,
		    strerror(errno));
	close(fd);
}

bool userns_enter(void)
{
	char map[64];
	unsigned uid = geteuid(), gid = getegid();

	if (have_admin())
		return false;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		die(EXIT_STRAIT,
		    "this system does not let user %u make a user namespace (%s); "
		    "run strait as root, or allow it (sysctl user.max_user_namespaces, "
		    "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)",
		    uid, errno == ENOSPC ? "the limit is reached" : strerror(errno));
	snprintf(map, sizeof(map), "0 %u 1\n", uid);
	put("/proc/self/uid_map", map);
	put("/proc/self/setgroups", "deny\n");
	snprintf(map, sizeof(map), "0 %u 1\n", gid);
	put("/proc/self/gid_map", map);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die(EXIT_STRAIT, "cannot set up the mount namespace: %s", strerror(errno));
	return true;
}
