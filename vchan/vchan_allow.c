/* SPDX-License-Identifier: MIT */
/* The devices that channels are made of, allowed through landlock; see vchan.h. */
#define _GNU_SOURCE
#include "vchan/vchan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

int vchan_allow_devices(int rules)
{
	struct landlock_path_beneath_attr at = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE,
	};
	int r = 0;

	for (const char *const *path = g_vchan_devices; *path && r == 0; path++) {
		at.parent_fd = open(*path, O_PATH | O_CLOEXEC);
		if (at.parent_fd < 0 || syscall(SYS_landlock_add_rule, rules,
		                                LANDLOCK_RULE_PATH_BENEATH, &at, 0) < 0)
			r = -errno;
		if (at.parent_fd >= 0)
			close(at.parent_fd);
	}
	return r;
}
