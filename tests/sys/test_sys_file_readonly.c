/* SPDX-License-Identifier: MIT */
/* A read-only mount: what reads works, what writes is EROFS.
 * native: no: needs a mount
 * strait-run: --net none --no-squash -v {dir}:/ro:ro -w /
 */
#include "tests/sys/file_test.h"

#include <sys/statfs.h>
#include <sys/statvfs.h>

static void looking_works(void)
{
	struct statfs sf;
	struct stat st;
	int fd = open("/ro", O_RDONLY | O_DIRECTORY);

	EXPECT(fd >= 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT(S_ISDIR(st.st_mode));
	EXPECT(access("/ro", R_OK | X_OK) == 0);
	EXPECT(statfs("/ro", &sf) == 0);
	EXPECT(sf.f_flags & ST_RDONLY);
	EXPECT(chdir("/ro") == 0);
	close(fd);
}

static void changing_does_not(void)
{
	EXPECT_ERR(open("x", O_CREAT | O_RDWR, 0600), EROFS);
	EXPECT_ERR(mkdir("d", 0700), EROFS);
	EXPECT_ERR(symlink("a", "l"), EROFS);
	EXPECT_ERR(mknod("n", S_IFREG | 0600, 0), EROFS);
	EXPECT_ERR(chmod(".", 0700), EROFS);
	EXPECT_ERR(chown(".", 0, 0), EROFS);
	EXPECT_ERR(utimensat(AT_FDCWD, ".", NULL, 0), EROFS);
	EXPECT_ERR(access(".", W_OK), EROFS);
	EXPECT_ERR(open("missing", O_RDWR), ENOENT);
}

static void across_mounts_comes_first(void)
{
	EXPECT(chdir("/") == 0);
	put_file("/tmp/f", "f");
	EXPECT_ERR(rename("/tmp/f", "/ro/f"), EXDEV);
	EXPECT_ERR(rename("/ro/f", "/tmp/g"), EXDEV);
	EXPECT_ERR(rename("/ro/f", "/ro/g"), EROFS);
	EXPECT_ERR(unlink("/ro/f"), EROFS);
	EXPECT_ERR(mkdir("/ro", 0700), EEXIST);
	EXPECT_ERR(mkdir("/ro/.", 0700), EEXIST);
	EXPECT(file_is("/tmp/f", "f"));
}

int main(void)
{
	CASE(looking_works);
	CASE(changing_does_not);
	CASE(across_mounts_comes_first);
	return g_failed;
}
