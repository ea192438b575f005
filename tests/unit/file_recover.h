/* SPDX-License-Identifier: MIT */
/*
 * file_recover.h - what the parts of test_file_recover share.
 *
 * Layer:  tests.
 */
#ifndef TESTS_UNIT_FILE_RECOVER_H
#define TESTS_UNIT_FILE_RECOVER_H

#include "tests/testlib/testlib.h"
#include "tests/unit/supervisor.h"

#include <fcntl.h>
#include <sys/syscall.h>

#define K_O_PATH 010000000
#define K_OFD_GETLK 36
#define K_OFD_SETLK 37
#define K_OFD_SETLKW 38

#define KILL() CU_ASSERT_FATAL(supervisor_restart())

static inline long open_file(const char *path, int flags)
{
	const long fd = SYS(SYS_open, path, flags, 0644);

	CU_ASSERT_FATAL(fd >= 0);
	return fd;
}

static inline long set_lock(long fd, int cmd, short type, off_t start, off_t len)
{
	struct flock fl = {.l_type = type, .l_start = start, .l_len = len};

	return SYS(SYS_fcntl, fd, cmd, &fl);
}

/* Many threads, with calls of which each result is known, over kills. */
void threads_see_no_more_than_a_pause(void);

/* Of the host: what is "/". */
const char *recover_dir(void);

/* inotify. */
void watches_are_made_again(void);
void a_watch_follows_its_object(void);
void a_watch_of_what_is_gone_is_ignored(void);
void events_that_cannot_be_are_refused(void);
void watches_are_bounded(void);

#endif /* TESTS_UNIT_FILE_RECOVER_H */
