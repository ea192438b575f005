/* SPDX-License-Identifier: MIT */
/* open, openat, openat2, creat: flags, modes and errors.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <linux/openat2.h>
#include <sys/resource.h>

static void create_and_reopen(void)
{
	struct stat st;
	int fd;

	umask(022);
	fd = open("a", O_CREAT | O_WRONLY, 0666);
	EXPECT(fd >= 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 0644);
	EXPECT_EQ(st.st_size, 0);
	EXPECT_EQ(write(fd, "hello", 5), 5);
	EXPECT(close(fd) == 0);
	EXPECT(file_is("a", "hello"));
}

static void umask_cuts_the_mode(void)
{
	struct stat st;

	umask(077);
	EXPECT(close(open("m", O_CREAT | O_RDWR, 0777)) == 0);
	EXPECT(stat("m", &st) == 0);
	EXPECT_EQ(st.st_mode & 07777, 0700);
	EXPECT_EQ(umask(022), 077);
	EXPECT(close(creat("m2", 0640)) == 0);
	EXPECT(stat("m2", &st) == 0);
	EXPECT_EQ(st.st_mode & 07777, 0640);
}

static void excl_refuses_what_exists(void)
{
	EXPECT_ERR(open("a", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	EXPECT(symlink("nowhere", "dangling") == 0);
	EXPECT_ERR(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	EXPECT_ERR(open("dangling", O_RDWR), ENOENT);
	EXPECT(close(open("dangling", O_CREAT | O_RDWR, 0600)) == 0);
	EXPECT(exists("nowhere"));
}

static void trunc_empties(void)
{
	struct stat st;

	put_file("t", "0123456789");
	EXPECT(close(open("t", O_WRONLY | O_TRUNC)) == 0);
	EXPECT(stat("t", &st) == 0);
	EXPECT_EQ(st.st_size, 0);
}

static void access_mode_is_held(void)
{
	char c;
	int fd = open("a", O_WRONLY);

	EXPECT_ERR(read(fd, &c, 1), EBADF);
	EXPECT_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
	close(fd);
	fd = open("a", O_RDONLY);
	EXPECT_ERR(write(fd, "x", 1), EBADF);
	EXPECT_ERR(ftruncate(fd, 0), EINVAL);
	close(fd);
}

static void getfl_shows_what_stays(void)
{
	int fd = open("a", O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0600);
	int fl = fcntl(fd, F_GETFL);

	EXPECT(fl & O_APPEND);
	EXPECT(fl & O_NONBLOCK);
	EXPECT(!(fl & O_CREAT));
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT(fcntl(fd, F_SETFL, O_RDWR) == 0);
	EXPECT(!(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK)));
	close(fd);
}

static void directories(void)
{
	char c;
	int fd;

	EXPECT(mkdir("d", 0755) == 0);
	EXPECT_ERR(open("d", O_WRONLY), EISDIR);
	EXPECT_ERR(open("d", O_RDWR), EISDIR);
	EXPECT_ERR(open("d", O_CREAT | O_RDONLY, 0600), EISDIR);
	EXPECT_ERR(open("a", O_RDONLY | O_DIRECTORY), ENOTDIR);
	EXPECT_ERR(open("a/b", O_RDONLY), ENOTDIR);
	EXPECT_ERR(open("a/", O_RDONLY), ENOTDIR);
	EXPECT_ERR(open("new/", O_CREAT | O_RDWR, 0600), EISDIR);
	EXPECT_ERR(open("nodir/x", O_CREAT | O_RDWR, 0600), ENOENT);
	fd = open("d", O_RDONLY | O_DIRECTORY);
	EXPECT(fd >= 0);
	EXPECT_ERR(read(fd, &c, 1), EISDIR);
	EXPECT_ERR(write(fd, &c, 1), EBADF);
	close(fd);
}

static void links(void)
{
	int fd;

	EXPECT(symlink("a", "l") == 0);
	EXPECT_ERR(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	EXPECT(close(open("l", O_RDONLY)) == 0);
	EXPECT(symlink("loop2", "loop1") == 0);
	EXPECT(symlink("loop1", "loop2") == 0);
	EXPECT_ERR(open("loop1", O_RDONLY), ELOOP);
	EXPECT(symlink("d", "dl") == 0);
	fd = open("dl", O_RDONLY | O_DIRECTORY);
	EXPECT(fd >= 0);
	close(fd);
	EXPECT_ERR(open("dl", O_RDONLY | O_DIRECTORY | O_NOFOLLOW), ENOTDIR);
}

static void path_handles_do_little(void)
{
	struct stat st;
	char buf[16];
	int fd = open("a", O_PATH);

	EXPECT(fd >= 0);
	EXPECT_ERR(read(fd, buf, 1), EBADF);
	EXPECT_ERR(write(fd, "x", 1), EBADF);
	EXPECT_ERR(lseek(fd, 0, SEEK_SET), EBADF);
	EXPECT_ERR(syscall(SYS_fchmod, fd, 0600), EBADF);
	EXPECT_ERR(ftruncate(fd, 0), EBADF);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_size, 5);
	close(fd);
	fd = open("l", O_PATH | O_NOFOLLOW);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT(S_ISLNK(st.st_mode));
	EXPECT_EQ(readlinkat(fd, "", buf, sizeof(buf)), 1);
	EXPECT_EQ(buf[0], 'a');
	close(fd);
}

static void bad_names(void)
{
	static char longname[300], longpath[5000];

	memset(longname, 'x', 256);
	memset(longpath, '/', 4999);
	EXPECT_ERR(open("", O_RDONLY), ENOENT);
	EXPECT_ERR(open("missing", O_RDONLY), ENOENT);
	EXPECT_ERR(open(longname, O_RDONLY), ENAMETOOLONG);
	EXPECT_ERR(open(longpath, O_RDONLY), ENAMETOOLONG);
	EXPECT_ERR(open(BAD_PTR, O_RDONLY), EFAULT);
	EXPECT_ERR(openat(99, "a", O_RDONLY), EBADF);
	longname[255] = 0;
	EXPECT(close(open(longname, O_CREAT | O_RDWR, 0600)) == 0);
	EXPECT(unlink(longname) == 0);
}

static void lowest_number_is_given(void)
{
	int a = open("a", O_RDONLY), b = open("a", O_RDONLY), c;

	EXPECT(b > a);
	close(a);
	c = open("a", O_RDONLY);
	EXPECT_EQ(c, a);
	close(b);
	close(c);
}

static void no_number_left_changes_nothing(void)
{
	struct rlimit old, now;
	int fd = open("a", O_RDONLY);

	EXPECT(getrlimit(RLIMIT_NOFILE, &old) == 0);
	now = old;
	now.rlim_cur = (rlim_t)fd + 1;
	EXPECT(setrlimit(RLIMIT_NOFILE, &now) == 0);
	EXPECT_ERR(open("a", O_RDONLY), EMFILE);
	EXPECT_ERR(open("a", O_WRONLY | O_TRUNC), EMFILE);
	EXPECT_ERR(open("never", O_CREAT | O_WRONLY, 0600), EMFILE);
	EXPECT_ERR(dup(fd), EMFILE);
	EXPECT(setrlimit(RLIMIT_NOFILE, &old) == 0);
	EXPECT(file_is("a", "hello"));
	EXPECT(!exists("never"));
	close(fd);
}

static long sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode,
                        uint64_t resolve, size_t size)
{
	struct open_how how[2];

	memset(how, 0, sizeof(how));
	how[0].flags = flags;
	how[0].mode = mode;
	how[0].resolve = resolve;
	return syscall(SYS_openat2, dirfd, path, how, size);
}

static void openat2_checks_more(void)
{
	size_t n = sizeof(struct open_how);
	struct open_how grown[2];
	int fd = (int)sys_openat2(AT_FDCWD, "a", O_RDONLY, 0, 0, n);

	EXPECT(fd >= 0);
	close(fd);
	fd = (int)sys_openat2(AT_FDCWD, "a", O_RDONLY, 0, 0, 2 * n);
	EXPECT(fd >= 0);
	close(fd);
	memset(grown, 0, sizeof(grown));
	grown[1].mode = 1;
	EXPECT_ERR(syscall(SYS_openat2, AT_FDCWD, "a", grown, sizeof(grown)), E2BIG);
	EXPECT_ERR(sys_openat2(AT_FDCWD, "a", O_RDONLY, 0, 0, n - 1), EINVAL);
	EXPECT_ERR(sys_openat2(AT_FDCWD, "a", O_RDONLY, 0600, 0, n), EINVAL);
	EXPECT_ERR(sys_openat2(AT_FDCWD, "a", 1ull << 40, 0, 0, n), EINVAL);
	EXPECT_ERR(sys_openat2(AT_FDCWD, "a", O_RDONLY, 0, 0x1000, n), EINVAL);
}

static void openat2_confines(void)
{
	size_t n = sizeof(struct open_how);
	int d = open("d", O_RDONLY | O_DIRECTORY), fd;

	put_file("d/in", "in");
	EXPECT(symlink("../a", "d/out") == 0);
	EXPECT(symlink("in", "d/near") == 0);
	EXPECT_ERR(sys_openat2(d, "../a", O_RDONLY, 0, RESOLVE_BENEATH, n), EXDEV);
	EXPECT_ERR(sys_openat2(d, "out", O_RDONLY, 0, RESOLVE_BENEATH, n), EXDEV);
	EXPECT_ERR(sys_openat2(d, "near", O_RDONLY, 0, RESOLVE_NO_SYMLINKS, n), ELOOP);
	fd = (int)sys_openat2(d, "near", O_RDONLY, 0, RESOLVE_BENEATH, n);
	EXPECT(fd >= 0);
	close(fd);
	fd = (int)sys_openat2(d, "/in", O_RDONLY, 0, RESOLVE_IN_ROOT, n);
	EXPECT(fd >= 0);
	close(fd);
	close(d);
}

int main(void)
{
	CASE(create_and_reopen);
	CASE(umask_cuts_the_mode);
	CASE(excl_refuses_what_exists);
	CASE(trunc_empties);
	CASE(access_mode_is_held);
	CASE(getfl_shows_what_stays);
	CASE(directories);
	CASE(links);
	CASE(path_handles_do_little);
	CASE(bad_names);
	CASE(lowest_number_is_given);
	CASE(no_number_left_changes_nothing);
	CASE(openat2_checks_more);
	CASE(openat2_confines);
	return g_failed;
}
