/* SPDX-License-Identifier: MIT */
/* link, rename, symlink, readlink, unlink, mkdir, rmdir, mknod.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <limits.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif

static int rename2(const char *from, const char *to, unsigned flags)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static ino_t ino_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_ino : 0;
}

static nlink_t links_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_nlink : 0;
}

static void hard_links(void)
{
	put_file("a", "one");
	EXPECT(link("a", "b") == 0);
	EXPECT_EQ(ino_of("a"), ino_of("b"));
	EXPECT_EQ(links_of("a"), 2);
	EXPECT_ERR(link("a", "b"), EEXIST);
	EXPECT_ERR(link("missing", "c"), ENOENT);
	EXPECT(mkdir("d", 0755) == 0);
	EXPECT_ERR(link("d", "d2"), EPERM);
	EXPECT_ERR(link("d", "b"), EEXIST);
	EXPECT(unlink("a") == 0);
	EXPECT(file_is("b", "one"));
	EXPECT_EQ(links_of("b"), 1);
	EXPECT_ERR(unlink("a"), ENOENT);
	EXPECT_ERR(unlink("d"), EISDIR);
}

static void rename_replaces(void)
{
	put_file("x", "x");
	put_file("y", "y");
	EXPECT(rename("x", "y") == 0);
	EXPECT(!exists("x"));
	EXPECT(file_is("y", "x"));
	EXPECT_ERR(rename("x", "y"), ENOENT);
	EXPECT_ERR(rename("y", "d"), EISDIR);
	EXPECT_ERR(rename("d", "y"), ENOTDIR);
	EXPECT(mkdir("e", 0755) == 0);
	put_file("e/full", "");
	EXPECT_ERR(rename("d", "e"), ENOTEMPTY);
	EXPECT_ERR(rename("e", "e/sub"), EINVAL);
	EXPECT(unlink("e/full") == 0);
	EXPECT(rename("d", "e") == 0);
	EXPECT(!exists("d"));
	EXPECT(link("y", "y2") == 0);
	EXPECT(rename("y", "y2") == 0);
	EXPECT(exists("y") && exists("y2"));
}

static void rename_with_flags(void)
{
	put_file("p", "p");
	put_file("q", "q");
	EXPECT_ERR(rename2("p", "q", RENAME_NOREPLACE), EEXIST);
	EXPECT(rename2("p", "q", RENAME_EXCHANGE) == 0);
	EXPECT(file_is("p", "q") && file_is("q", "p"));
	EXPECT(rename2("p", "r", RENAME_NOREPLACE) == 0);
	EXPECT(file_is("r", "q"));
	EXPECT_ERR(rename2("q", "r", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
	EXPECT_ERR(rename2("q", "r", 0x100), EINVAL);
	EXPECT_ERR(rename2("q", "gone", RENAME_EXCHANGE), ENOENT);
}

static void rename_keeps_what_is_open(void)
{
	char buf[8] = "";
	int fd;

	put_file("old", "old");
	put_file("new", "new");
	fd = open("old", O_RDONLY);
	EXPECT(rename("new", "old") == 0);
	EXPECT_EQ(read(fd, buf, 8), 3);
	EXPECT(memcmp(buf, "old", 3) == 0);
	close(fd);
	EXPECT(file_is("old", "new"));
}

static void symbolic_links(void)
{
	char buf[64], big[PATH_MAX + 10];
	struct stat st;

	EXPECT(symlink("some/where", "s") == 0);
	EXPECT_EQ(readlink("s", buf, sizeof(buf)), 10);
	EXPECT(memcmp(buf, "some/where", 10) == 0);
	EXPECT_EQ(readlink("s", buf, 4), 4);
	EXPECT_ERR(syscall(SYS_readlink, "s", buf, 0), EINVAL);
	EXPECT_ERR(readlink("old", buf, sizeof(buf)), EINVAL);
	EXPECT_ERR(readlink("missing", buf, sizeof(buf)), ENOENT);
	EXPECT_ERR(readlink("s", BAD_PTR, 8), EFAULT);
	EXPECT(lstat("s", &st) == 0);
	EXPECT(S_ISLNK(st.st_mode));
	EXPECT_EQ(st.st_size, 10);
	EXPECT_ERR(stat("s", &st), ENOENT);
	EXPECT_ERR(symlink("x", "s"), EEXIST);
	EXPECT_ERR(symlink("", "s2"), ENOENT);
	memset(big, 'y', sizeof(big));
	big[sizeof(big) - 1] = 0;
	EXPECT_ERR(symlink(big, "s2"), ENAMETOOLONG);
	EXPECT(unlink("s") == 0);
}

static void links_on_the_way(void)
{
	EXPECT(mkdir("way", 0755) == 0);
	EXPECT(mkdir("way/deep", 0755) == 0);
	put_file("way/deep/f", "deep");
	EXPECT(symlink("way/deep", "short") == 0);
	EXPECT(file_is("short/f", "deep"));
	EXPECT(file_is("short/../deep/f", "deep"));
	EXPECT(symlink("../../old", "way/deep/up") == 0);
	EXPECT(file_is("way/deep/up", "new"));
	EXPECT(file_is("short/up", "new"));
	EXPECT_ERR(open("short/f/", O_RDONLY), ENOTDIR);
	EXPECT(file_is("./way/./deep//f", "deep"));
}

static void absolute_links(void)
{
	char cwd[PATH_MAX], target[PATH_MAX + 16];

	EXPECT(getcwd(cwd, sizeof(cwd)) != NULL);
	snprintf(target, sizeof(target), "%s/old", cwd);
	EXPECT(symlink(target, "abs") == 0);
	EXPECT(file_is("abs", "new"));
	snprintf(target, sizeof(target), "%s/way", cwd);
	EXPECT(symlink(target, "absdir") == 0);
	EXPECT(file_is("absdir/deep/f", "deep"));
}

static void directories(void)
{
	EXPECT(mkdir("m", 0755) == 0);
	EXPECT_EQ(links_of("m"), 2);
	EXPECT_ERR(mkdir("m", 0755), EEXIST);
	EXPECT_ERR(mkdir("old/sub", 0755), ENOTDIR);
	EXPECT_ERR(mkdir("gone/sub", 0755), ENOENT);
	EXPECT(mkdir("m/sub/", 0755) == 0);
	EXPECT_ERR(rmdir("m"), ENOTEMPTY);
	EXPECT_ERR(rmdir("old"), ENOTDIR);
	EXPECT_ERR(rmdir("m/sub/."), EINVAL);
	EXPECT_ERR(rmdir("m/sub/.."), ENOTEMPTY);
	EXPECT(rmdir("m/sub/") == 0);
	EXPECT(rmdir("m") == 0);
	EXPECT_ERR(rmdir("m"), ENOENT);
	EXPECT_ERR(mkdir("", 0755), ENOENT);
	EXPECT_ERR(mkdir(BAD_PTR, 0755), EFAULT);
	EXPECT_ERR(mkdir("/", 0755), EEXIST);
}

static void nodes(void)
{
	struct stat st;

	umask(022);
	EXPECT(mknod("reg", S_IFREG | 0666, 0) == 0);
	EXPECT(stat("reg", &st) == 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 0644);
	EXPECT(mkfifo("fifo", 0600) == 0);
	EXPECT(stat("fifo", &st) == 0);
	EXPECT_EQ(st.st_mode, S_IFIFO | 0600);
	EXPECT(mknod("sock", S_IFSOCK | 0600, 0) == 0);
	EXPECT(stat("sock", &st) == 0);
	EXPECT(S_ISSOCK(st.st_mode));
	EXPECT_ERR(open("sock", O_RDONLY), ENXIO);
	EXPECT_ERR(mknod("reg", S_IFREG | 0600, 0), EEXIST);
	EXPECT_ERR(mknod("dir", S_IFDIR | 0700, 0), EPERM);
	EXPECT_ERR(mknod("odd", 0170000 | 0700, 0), EINVAL);
}

static void unlinked_files_live_on(void)
{
	struct stat st;
	char buf[8] = "";
	int fd = open("tmpfile", O_CREAT | O_EXCL | O_RDWR, 0600);

	EXPECT(unlink("tmpfile") == 0);
	EXPECT(!exists("tmpfile"));
	EXPECT_EQ(write(fd, "alive", 5), 5);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_nlink, 0);
	EXPECT_EQ(st.st_size, 5);
	EXPECT_EQ(pread(fd, buf, 8, 0), 5);
	EXPECT(memcmp(buf, "alive", 5) == 0);
	EXPECT(ftruncate(fd, 2) == 0);
	EXPECT(fchmod(fd, 0640) == 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_mode & 07777, 0640);
	put_file("tmpfile", "other");
	EXPECT_EQ(pread(fd, buf, 8, 0), 2);
	close(fd);
	EXPECT(file_is("tmpfile", "other"));
}

static void unlinked_directories_are_empty(void)
{
	int fd;

	EXPECT(mkdir("gone", 0755) == 0);
	fd = open("gone", O_RDONLY | O_DIRECTORY);
	EXPECT(rmdir("gone") == 0);
	EXPECT_ERR(openat(fd, "x", O_CREAT | O_RDWR, 0600), ENOENT);
	close(fd);
}

int main(void)
{
	CASE(hard_links);
	CASE(rename_replaces);
	CASE(rename_with_flags);
	CASE(rename_keeps_what_is_open);
	CASE(symbolic_links);
	CASE(links_on_the_way);
	CASE(absolute_links);
	CASE(directories);
	CASE(nodes);
	CASE(unlinked_files_live_on);
	CASE(unlinked_directories_are_empty);
	return g_failed;
}
