/* SPDX-License-Identifier: MIT */
/* stat and statx, chmod, chown, access, times.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <sys/time.h>
#include <time.h>
#include <utime.h>

#ifndef AT_EACCESS
#define AT_EACCESS 0x200
#endif

struct sx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t pad;
};
struct sx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, pad0;
	uint64_t ino, size, blocks, attributes_mask;
	struct sx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t rest[14];
};

static mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

static void stat_family_agrees(void)
{
	struct stat a, b, c;
	struct sx x;
	int fd;

	put_file("a", "12345");
	fd = open("a", O_RDONLY);
	EXPECT(stat("a", &a) == 0);
	EXPECT(fstat(fd, &b) == 0);
	EXPECT(fstatat(fd, "", &c, AT_EMPTY_PATH) == 0);
	EXPECT(memcmp(&a, &b, sizeof(a)) == 0);
	EXPECT(memcmp(&a, &c, sizeof(a)) == 0);
	EXPECT(lstat("a", &c) == 0);
	EXPECT(memcmp(&a, &c, sizeof(a)) == 0);
	EXPECT_EQ(a.st_nlink, 1);
	EXPECT_EQ(a.st_size, 5);
	EXPECT(a.st_blksize > 0);
	EXPECT(syscall(SYS_statx, AT_FDCWD, "a", 0, 0xfff, &x) == 0);
	EXPECT((x.mask & 0x7ff) == 0x7ff);
	EXPECT_EQ(x.ino, a.st_ino);
	EXPECT_EQ(x.size, 5);
	EXPECT_EQ(x.mode, a.st_mode);
	EXPECT_EQ(x.mtime.sec, a.st_mtim.tv_sec);
	EXPECT_EQ(x.mtime.nsec, a.st_mtim.tv_nsec);
	EXPECT_EQ(x.dev_major, a.st_dev >> 8 & 0xfff);
	EXPECT(syscall(SYS_statx, fd, "", AT_EMPTY_PATH, 0xfff, &x) == 0);
	EXPECT_EQ(x.ino, a.st_ino);
	close(fd);
}

static void stat_errors(void)
{
	struct stat st;
	struct sx x;

	EXPECT_ERR(stat("missing", &st), ENOENT);
	EXPECT_ERR(stat("", &st), ENOENT);
	EXPECT_ERR(stat("a/b", &st), ENOTDIR);
	EXPECT_ERR(stat("a/", &st), ENOTDIR);
	EXPECT_ERR(stat(BAD_PTR, &st), EFAULT);
	EXPECT_ERR(syscall(SYS_stat, "a", BAD_PTR), EFAULT);
	EXPECT_ERR(syscall(SYS_newfstatat, AT_FDCWD, "a", &st, 0x40000000), EINVAL);
	EXPECT_ERR(fstat(-1, &st), EBADF);
	EXPECT_ERR(syscall(SYS_statx, AT_FDCWD, "a", 0, 0x80000000u, &x), EINVAL);
	EXPECT_ERR(syscall(SYS_statx, AT_FDCWD, "a", 0x6000, 0, &x), EINVAL);
	EXPECT_ERR(syscall(SYS_statx, 99, "a", 0, 0, &x), EBADF);
}

static void chmod_sets_the_mode(void)
{
	int fd = open("a", O_RDONLY);

	EXPECT(chmod("a", 0600) == 0);
	EXPECT_EQ(mode_of("a"), 0600);
	EXPECT(fchmod(fd, 0644) == 0);
	EXPECT_EQ(mode_of("a"), 0644);
	EXPECT(fchmodat(AT_FDCWD, "a", 0640, 0) == 0);
	EXPECT_EQ(mode_of("a"), 0640);
	EXPECT(symlink("a", "l") == 0);
	EXPECT(chmod("l", 0600) == 0);
	EXPECT_EQ(mode_of("a"), 0600);
	EXPECT_ERR(fchmodat(AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP);
	EXPECT(fchmodat(AT_FDCWD, "a", 0604, AT_SYMLINK_NOFOLLOW) == 0);
	EXPECT_EQ(mode_of("a"), 0604);
	EXPECT(mkdir("d", 0755) == 0);
	EXPECT(chmod("d", 01777) == 0);
	EXPECT_EQ(mode_of("d"), 01777);
	EXPECT_ERR(chmod("missing", 0600), ENOENT);
	EXPECT_ERR(fchmod(-1, 0600), EBADF);
	close(fd);
}

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* Older kernels do not have it: then there is no oracle for this case. */
static void fchmodat2_has_flags(void)
{
	int fd = open("a", O_RDONLY);

	if (syscall(SYS_fchmodat2, AT_FDCWD, "a", 0640, 0) != 0 && errno == ENOSYS) {
		fprintf(stderr, "no fchmodat2 here\n");
		close(fd);
		return;
	}
	EXPECT_EQ(mode_of("a"), 0640);
	EXPECT(syscall(SYS_fchmodat2, fd, "", 0600, AT_EMPTY_PATH) == 0);
	EXPECT_EQ(mode_of("a"), 0600);
	EXPECT_ERR(syscall(SYS_fchmodat2, AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP);
	EXPECT_ERR(syscall(SYS_fchmodat2, AT_FDCWD, "a", 0600, 0x40000000), EINVAL);
	EXPECT_ERR(syscall(SYS_fchmodat2, fd, "", 0600, 0), ENOENT);
	close(fd);
}

static void chown_minus_one_keeps(void)
{
	struct stat a, b;
	int fd = open("a", O_RDONLY);

	EXPECT(stat("a", &a) == 0);
	EXPECT(chown("a", (uid_t)-1, (gid_t)-1) == 0);
	EXPECT(fchown(fd, (uid_t)-1, (gid_t)-1) == 0);
	EXPECT(lchown("l", (uid_t)-1, (gid_t)-1) == 0);
	EXPECT(fchownat(fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH) == 0);
	EXPECT(stat("a", &b) == 0);
	EXPECT_EQ(a.st_uid, b.st_uid);
	EXPECT_EQ(a.st_gid, b.st_gid);
	EXPECT(chown("a", a.st_uid, a.st_gid) == 0);
	EXPECT_ERR(chown("missing", (uid_t)-1, (gid_t)-1), ENOENT);
	EXPECT_ERR(fchownat(AT_FDCWD, "a", 0, 0, 0x40000000), EINVAL);
	close(fd);
}

static void access_checks(void)
{
	EXPECT(access("a", F_OK) == 0);
	EXPECT(access("a", R_OK | W_OK) == 0);
	EXPECT(chmod("a", 0600) == 0);
	EXPECT_ERR(access("a", X_OK), EACCES);
	EXPECT(access("d", X_OK) == 0);
	EXPECT_ERR(access("missing", F_OK), ENOENT);
	EXPECT_ERR(access("a", 8), EINVAL);
	EXPECT_ERR(access("a/x", F_OK), ENOTDIR);
	EXPECT(syscall(SYS_faccessat2, AT_FDCWD, "a", R_OK, AT_EACCESS) == 0);
	EXPECT_ERR(syscall(SYS_faccessat2, AT_FDCWD, "a", R_OK, 0x40000000), EINVAL);
	EXPECT(symlink("nowhere", "dangling") == 0);
	EXPECT_ERR(access("dangling", F_OK), ENOENT);
	EXPECT(syscall(SYS_faccessat2, AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

static void utimens_sets(void)
{
	struct timespec t[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
	struct stat st;
	int fd = open("a", O_RDWR);

	EXPECT(utimensat(AT_FDCWD, "a", t, 0) == 0);
	EXPECT(stat("a", &st) == 0);
	EXPECT_EQ(st.st_atim.tv_sec, 1000000000);
	EXPECT_EQ(st.st_atim.tv_nsec, 123456789);
	EXPECT_EQ(st.st_mtim.tv_sec, 1100000000);
	EXPECT_EQ(st.st_mtim.tv_nsec, 987654321);
	t[0].tv_nsec = UTIME_OMIT;
	t[1] = (struct timespec){1200000000, 5};
	EXPECT(futimens(fd, t) == 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_atim.tv_sec, 1000000000);
	EXPECT_EQ(st.st_mtim.tv_sec, 1200000000);
	t[1].tv_nsec = UTIME_NOW;
	EXPECT(futimens(fd, t) == 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT(st.st_mtim.tv_sec >= time(NULL) - 5);
	EXPECT_EQ(st.st_atim.tv_sec, 1000000000);
	EXPECT(utimensat(AT_FDCWD, "a", NULL, 0) == 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT(st.st_atim.tv_sec >= time(NULL) - 5);
	close(fd);
}

static void utimens_errors(void)
{
	struct timespec t[2] = {{0, 1000000000}, {0, 0}};
	struct timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};

	EXPECT_ERR(utimensat(AT_FDCWD, "a", t, 0), EINVAL);
	EXPECT_ERR(utimensat(AT_FDCWD, "missing", NULL, 0), ENOENT);
	EXPECT(syscall(SYS_utimensat, AT_FDCWD, "missing", omit, 0) == 0);
	EXPECT_ERR(syscall(SYS_utimensat, AT_FDCWD, NULL, NULL, 0), EFAULT);
	EXPECT_ERR(syscall(SYS_utimensat, 99, NULL, NULL, 0), EBADF);
	EXPECT_ERR(utimensat(AT_FDCWD, "a", NULL, 0x40000000), EINVAL);
	EXPECT_ERR(syscall(SYS_utimensat, AT_FDCWD, "a", BAD_PTR, 0), EFAULT);
}

static void times_of_links(void)
{
	struct timespec t[2] = {{111, 0}, {222, 0}};
	struct stat l, a;

	EXPECT(utimensat(AT_FDCWD, "l", t, AT_SYMLINK_NOFOLLOW) == 0);
	EXPECT(lstat("l", &l) == 0);
	EXPECT(stat("l", &a) == 0);
	EXPECT_EQ(l.st_mtim.tv_sec, 222);
	EXPECT(a.st_mtim.tv_sec != 222);
}

static void old_time_calls(void)
{
	struct timeval tv[2] = {{500, 600}, {700, 800}};
	struct utimbuf ub = {.actime = 42, .modtime = 43};
	struct stat st;

	EXPECT(syscall(SYS_utimes, "a", tv) == 0);
	EXPECT(stat("a", &st) == 0);
	EXPECT_EQ(st.st_mtim.tv_sec, 700);
	EXPECT_EQ(st.st_mtim.tv_nsec, 800000);
	EXPECT(syscall(SYS_utime, "a", &ub) == 0);
	EXPECT(stat("a", &st) == 0);
	EXPECT_EQ(st.st_atim.tv_sec, 42);
	EXPECT_EQ(st.st_mtim.tv_sec, 43);
	EXPECT(syscall(SYS_futimesat, AT_FDCWD, "a", tv) == 0);
	EXPECT(stat("a", &st) == 0);
	EXPECT_EQ(st.st_atim.tv_sec, 500);
	tv[0].tv_usec = 1000000;
	EXPECT_ERR(syscall(SYS_utimes, "a", tv), EINVAL);
}

static void changes_move_times(void)
{
	struct stat a, b;
	int fd = open("a", O_RDWR);

	EXPECT(fstat(fd, &a) == 0);
	usleep(20000);
	EXPECT_EQ(write(fd, "x", 1), 1);
	EXPECT(fstat(fd, &b) == 0);
	EXPECT(b.st_mtim.tv_sec != a.st_mtim.tv_sec || b.st_mtim.tv_nsec != a.st_mtim.tv_nsec);
	usleep(20000);
	EXPECT(fchmod(fd, 0666) == 0);
	EXPECT(fstat(fd, &a) == 0);
	EXPECT(b.st_ctim.tv_sec != a.st_ctim.tv_sec || b.st_ctim.tv_nsec != a.st_ctim.tv_nsec);
	EXPECT_EQ(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	close(fd);
}

int main(void)
{
	CASE(stat_family_agrees);
	CASE(stat_errors);
	CASE(chmod_sets_the_mode);
	CASE(fchmodat2_has_flags);
	CASE(chown_minus_one_keeps);
	CASE(access_checks);
	CASE(utimens_sets);
	CASE(utimens_errors);
	CASE(times_of_links);
	CASE(old_time_calls);
	CASE(changes_move_times);
	return g_failed;
}
