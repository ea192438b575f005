/* SPDX-License-Identifier: MIT */
/* Calls relative to a directory, the current directory, /proc/self/fd.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <limits.h>

static char g_top[PATH_MAX];

static void files_by_dirfd(void)
{
	struct stat a, b;
	char buf[16];
	int d, fd;

	EXPECT(mkdir("d", 0755) == 0);
	d = open("d", O_RDONLY | O_DIRECTORY);
	EXPECT(d >= 0);
	fd = openat(d, "f", O_CREAT | O_RDWR, 0644);
	EXPECT_EQ(write(fd, "in d", 4), 4);
	close(fd);
	EXPECT(file_is("d/f", "in d"));
	EXPECT(fstatat(d, "f", &a, 0) == 0);
	EXPECT(stat("d/f", &b) == 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT(mkdirat(d, "sub", 0755) == 0);
	EXPECT(symlinkat("f", d, "l") == 0);
	EXPECT_EQ(readlinkat(d, "l", buf, sizeof(buf)), 1);
	EXPECT(linkat(d, "f", d, "g", 0) == 0);
	EXPECT(renameat(d, "g", d, "sub/g") == 0);
	EXPECT(file_is("d/sub/g", "in d"));
	EXPECT(faccessat(d, "sub/g", R_OK, 0) == 0);
	EXPECT(fchmodat(d, "f", 0600, 0) == 0);
	EXPECT(unlinkat(d, "sub/g", 0) == 0);
	EXPECT_ERR(unlinkat(d, "sub", 0), EISDIR);
	EXPECT(unlinkat(d, "sub", AT_REMOVEDIR) == 0);
	EXPECT(mknodat(d, "fifo", S_IFIFO | 0600, 0) == 0);
	EXPECT(exists("d/fifo"));
	close(d);
}

static void dotdot_and_absolute(void)
{
	char path[PATH_MAX + 8];
	struct stat a, b;
	int d = open("d", O_RDONLY | O_DIRECTORY);

	EXPECT(fstatat(d, "..", &a, 0) == 0);
	EXPECT(stat(".", &b) == 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT(fstatat(d, "../d/./f", &a, 0) == 0);
	snprintf(path, sizeof(path), "%s/d/f", g_top);
	EXPECT(fstatat(d, path, &b, 0) == 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT(fstatat(99, path, &b, 0) == 0);
	EXPECT(stat("/..", &a) == 0);
	EXPECT(stat("/", &b) == 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT(stat("../../../../../../../../../../../../..", &a) == 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	close(d);
}

static void dirfd_errors(void)
{
	struct stat st;
	int f = open("d/f", O_RDONLY);

	EXPECT_ERR(fstatat(f, "x", &st, 0), ENOTDIR);
	EXPECT_ERR(openat(f, "x", O_RDONLY), ENOTDIR);
	EXPECT_ERR(fstatat(99, "x", &st, 0), EBADF);
	EXPECT_ERR(fstatat(f, "", &st, 0), ENOENT);
	EXPECT_ERR(unlinkat(AT_FDCWD, "d/f", 0x40000000), EINVAL);
	EXPECT_ERR(linkat(AT_FDCWD, "d/f", AT_FDCWD, "x", 0x40000000), EINVAL);
	EXPECT_ERR(fchownat(f, "", 0, 0, 0), ENOENT);
	close(f);
}

static void moved_directory_stays_open(void)
{
	int d = open("d", O_RDONLY | O_DIRECTORY);
	struct stat st;

	EXPECT(rename("d", "moved") == 0);
	EXPECT(fstatat(d, "f", &st, 0) == 0);
	EXPECT_EQ(st.st_size, 4);
	EXPECT(rename("moved", "d") == 0);
	close(d);
}

static int cwd_ends_with(const char *tail)
{
	char buf[PATH_MAX];
	size_t n, t = strlen(tail);

	if (!getcwd(buf, sizeof(buf)))
		return 0;
	n = strlen(buf);
	return n >= t && strcmp(buf + n - t, tail) == 0;
}

static void current_directory(void)
{
	char buf[PATH_MAX];
	int top = open(".", O_RDONLY | O_DIRECTORY);

	EXPECT(chdir("d") == 0);
	EXPECT(cwd_ends_with("/d"));
	EXPECT(file_is("f", "in d"));
	EXPECT(chdir("..") == 0);
	EXPECT(getcwd(buf, sizeof(buf)) != NULL && strcmp(buf, g_top) == 0);
	EXPECT(mkdir("d/e", 0755) == 0);
	EXPECT(chdir("d/e") == 0);
	EXPECT(file_is("../f", "in d"));
	EXPECT(rename("../e", "../e2") == 0);
	EXPECT(cwd_ends_with("/d/e2"));
	EXPECT(fchdir(top) == 0);
	EXPECT(getcwd(buf, sizeof(buf)) != NULL && strcmp(buf, g_top) == 0);
	EXPECT_EQ(syscall(SYS_getcwd, buf, sizeof(buf)), strlen(g_top) + 1);
	EXPECT_ERR(syscall(SYS_getcwd, buf, 2), ERANGE);
	EXPECT_ERR(syscall(SYS_getcwd, BAD_PTR, 4096), EFAULT);
	close(top);
}

static void chdir_errors(void)
{
	int f = open("d/f", O_RDONLY), p = open("d", O_PATH);

	EXPECT_ERR(chdir("missing"), ENOENT);
	EXPECT_ERR(chdir("d/f"), ENOTDIR);
	EXPECT_ERR(chdir(""), ENOENT);
	EXPECT_ERR(chdir(BAD_PTR), EFAULT);
	EXPECT_ERR(fchdir(f), ENOTDIR);
	EXPECT_ERR(fchdir(99), EBADF);
	EXPECT(fchdir(p) == 0);
	EXPECT(cwd_ends_with("/d"));
	EXPECT(chdir(g_top) == 0);
	close(f);
	close(p);
}

static void removed_current_directory(void)
{
	char buf[PATH_MAX];

	EXPECT(mkdir("gone", 0755) == 0);
	EXPECT(chdir("gone") == 0);
	EXPECT(rmdir("../gone") == 0);
	EXPECT_ERR(syscall(SYS_getcwd, buf, sizeof(buf)), ENOENT);
	EXPECT_ERR(open("x", O_CREAT | O_RDWR, 0600), ENOENT);
	EXPECT(chdir(g_top) == 0);
}

static void chdir_to_own_places(void)
{
	struct stat a, b;

	EXPECT(chdir("/dev") == 0);
	EXPECT(stat("null", &a) == 0);
	EXPECT(stat("/dev/null", &b) == 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT(cwd_ends_with("/dev"));
	EXPECT(chdir("../proc/self") == 0);
	EXPECT(chdir("/") == 0);
	EXPECT(stat("dev/null", &a) == 0);
	EXPECT(S_ISCHR(a.st_mode));
	EXPECT(chdir(g_top) == 0);
}

static void reopen_through_proc(void)
{
	char path[64], buf[PATH_MAX];
	struct stat st;
	ssize_t n;
	int fd = open("d/f", O_RDONLY), again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR);
	EXPECT(again >= 0);
	EXPECT_EQ(pwrite(again, "IN", 2, 0), 2);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
	EXPECT_EQ(read(fd, buf, 4), 4);
	EXPECT(memcmp(buf, "IN d", 4) == 0);
	EXPECT_EQ(lseek(again, 0, SEEK_CUR), 0);
	EXPECT(chmod(path, 0640) == 0);
	EXPECT(stat(path, &st) == 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 0640);
	EXPECT(lstat(path, &st) == 0);
	EXPECT(S_ISLNK(st.st_mode));
	n = readlink(path, buf, sizeof(buf));
	EXPECT(n > 4);
	EXPECT(n > 4 && memcmp(buf + n - 4, "/d/f", 4) == 0);
	EXPECT(truncate(path, 2) == 0);
	EXPECT(file_is("d/f", "IN"));
	close(again);
	close(fd);
	EXPECT_ERR(open(path, O_RDONLY), ENOENT);
}

static void walk_through_proc(void)
{
	char path[64];
	int d = open("d", O_RDONLY | O_DIRECTORY);

	snprintf(path, sizeof(path), "/proc/self/fd/%d/f", d);
	EXPECT(file_is(path, "IN"));
	EXPECT(file_is("/proc/self/cwd/d/f", "IN"));
	close(d);
}

static void link_an_open_file(void)
{
	char path[64];
	int fd = open("d/f", O_RDONLY);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT(linkat(AT_FDCWD, path, AT_FDCWD, "published", AT_SYMLINK_FOLLOW) == 0);
	EXPECT(file_is("published", "IN"));
	close(fd);
}

static void between_file_systems(void)
{
	EXPECT_ERR(rename("published", "/dev/shm/x-strait-test"), EXDEV);
	EXPECT_ERR(link("published", "/dev/shm/x-strait-test"), EXDEV);
	EXPECT(exists("published"));
}

int main(void)
{
	if (!getcwd(g_top, sizeof(g_top)))
		return 1;
	CASE(files_by_dirfd);
	CASE(dotdot_and_absolute);
	CASE(dirfd_errors);
	CASE(moved_directory_stays_open);
	CASE(current_directory);
	CASE(chdir_errors);
	CASE(removed_current_directory);
	CASE(chdir_to_own_places);
	CASE(reopen_through_proc);
	CASE(walk_through_proc);
	CASE(link_an_open_file);
	CASE(between_file_systems);
	return g_failed;
}
