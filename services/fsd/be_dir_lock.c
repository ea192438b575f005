/* SPDX-License-Identifier: MIT */
/*
 * Towards programs of the host all guests of this service are one owner: an open
 * file description of its own for each file carries the union of their locks.
 */
#define _GNU_SOURCE
#include "services/fsd/be_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

int dir_lock_open(const struct node *node, bool write, struct node *out)
{
	return dir_open(node, write ? O_RDWR : O_RDONLY, out);
}

static struct flock make_flock(int type, uint64_t start, uint64_t len)
{
	return (struct flock){
	        .l_type = (short)type,
	        .l_whence = SEEK_SET,
	        .l_start = (off_t)start,
	        .l_len = (off_t)len,
	};
}

int dir_lock_range(const struct node *lk, int type, uint64_t start, uint64_t len)
{
	struct flock fl = make_flock(type, start, len);

	return fcntl(NODE_FD(lk), F_OFD_SETLK, &fl) < 0 ? -errno : 0;
}

int dir_lock_test(const struct node *lk, int *type, uint64_t *start, uint64_t *len)
{
	struct flock fl = make_flock(*type, *start, *len);

	if (fcntl(NODE_FD(lk), F_OFD_GETLK, &fl) < 0)
		return -errno;
	*type = fl.l_type;
	*start = (uint64_t)fl.l_start;
	*len = (uint64_t)fl.l_len;
	return 0;
}

int dir_lock_whole(const struct node *lk, int type)
{
	const int op = type == F_WRLCK ? LOCK_EX : type == F_RDLCK ? LOCK_SH : LOCK_UN;

	return flock(NODE_FD(lk), op | LOCK_NB) < 0 ? -errno : 0;
}
