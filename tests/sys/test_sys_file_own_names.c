/* SPDX-License-Identifier: MIT */
/* Links and ".." that lead to /dev and /proc, which the system serves itself.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <sys/statfs.h>

static void a_link_to_a_device(void)
{
	struct stat st;
	char c = 1;
	int fd;

	EXPECT(symlink("/dev/null", "null") == 0);
	EXPECT(symlink("null", "null2") == 0);
	EXPECT(symlink("/dev", "devices") == 0);
	EXPECT(stat("null2", &st) == 0 && S_ISCHR(st.st_mode));
	EXPECT(lstat("null", &st) == 0 && S_ISLNK(st.st_mode));
	EXPECT(access("null", R_OK | W_OK) == 0);
	fd = open("null2", O_RDWR | O_CREAT | O_TRUNC, 0600);
	EXPECT(fd >= 0);
	EXPECT(write(fd, "x", 1) == 1);
	EXPECT(read(fd, &c, 1) == 0);
	close(fd);
	fd = open("devices/zero", O_RDONLY);
	EXPECT(read(fd, &c, 1) == 1 && c == 0);
	close(fd);
	EXPECT_ERR(open("null", O_RDWR | O_NOFOLLOW), ELOOP);
	EXPECT_ERR(open("null", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	EXPECT_ERR(open("devices/no-such", O_RDONLY), ENOENT);
	EXPECT_ERR(open("null/x", O_RDONLY), ENOTDIR);
	EXPECT_ERR(mkdir("devices/null", 0700), EEXIST);
	EXPECT_ERR(link("null2", "null2"), EEXIST);
	EXPECT(unlink("null") == 0);
	EXPECT_ERR(stat("null2", &st), ENOENT);
}

static void a_link_to_a_stream(void)
{
	struct stat a, b;
	int fd;

	EXPECT(symlink("/dev/stderr", "log") == 0);
	fd = open("log", O_WRONLY | O_APPEND);
	EXPECT(fd >= 0);
	EXPECT(write(fd, "through a link\n", 15) == 15);
	close(fd);
	fd = open("file", O_RDWR | O_CREAT, 0600);
	EXPECT(dup2(fd, 77) == 77);
	EXPECT(symlink("/proc/self/fd/77", "by-number") == 0);
	EXPECT(fstat(fd, &a) == 0);
	EXPECT(stat("by-number", &b) == 0 && a.st_ino == b.st_ino);
	EXPECT(chmod("by-number", 0640) == 0);
	EXPECT(fstat(fd, &a) == 0);
	EXPECT_EQ(a.st_mode & 0777, 0640);
	EXPECT(truncate("by-number", 5) == 0);
	EXPECT(fstat(fd, &a) == 0);
	EXPECT_EQ(a.st_size, 5);
	close(fd);
	close(77);
	EXPECT_ERR(stat("by-number", &b), ENOENT);
}

static void a_link_to_proc(void)
{
	char line[512], name[64];
	struct statfs sf;
	FILE *f;
	int n;

	EXPECT(symlink("/proc/self/mounts", "mtab") == 0);
	f = fopen("mtab", "r");
	EXPECT(f && fgets(line, sizeof(line), f));
	if (f)
		fclose(f);
	EXPECT(symlink("../../../../../../../../../proc/self", "me") == 0);
	snprintf(name, sizeof(name), "me/status");
	EXPECT(access(name, R_OK) == 0);
	n = (int)readlink("me/cwd", line, sizeof(line) - 1);
	EXPECT(n > 0 && line[0] == '/');
	EXPECT(statfs("mtab", &sf) == 0);
	EXPECT_EQ(sf.f_type, 0x9fa0);
	EXPECT_ERR(unlink("me/status"), EPERM);
}

/* /proc/self/cwd leads back to where the link is. */
static void there_and_back(void)
{
	put_file("f", "home");
	EXPECT(symlink("/proc/self/cwd", "home") == 0);
	EXPECT(file_is("home/f", "home"));
	EXPECT(file_is("home/home/home/f", "home"));
	EXPECT(symlink("/proc/self/cwd/loop", "loop") == 0);
	EXPECT_ERR(open("loop", O_RDONLY), ELOOP);
}

static void dotdot_from_a_descriptor(void)
{
	char c = 1;
	int dir, fd;

	EXPECT(mkdir("d", 0700) == 0);
	EXPECT(symlink("../../../../../../../../dev", "d/up") == 0);
	dir = open("d", O_RDONLY | O_DIRECTORY);
	EXPECT(dir >= 0);
	fd = openat(dir, "../../../../../../../../../../dev/zero", O_RDONLY);
	EXPECT(fd >= 0 && read(fd, &c, 1) == 1 && c == 0);
	close(fd);
	fd = openat(dir, "up/null", O_WRONLY);
	EXPECT(fd >= 0);
	close(fd);
	EXPECT(faccessat(dir, "up/../proc/self/stat", R_OK, 0) == 0);
	EXPECT_ERR(openat(dir, "up/no-such", O_RDONLY), ENOENT);
	close(dir);
}

static void into_the_directory(void)
{
	char cwd[64], *p = getcwd(NULL, 0);

	EXPECT(symlink("/dev", "dd") == 0);
	EXPECT(chdir("dd") == 0);
	EXPECT(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/dev") == 0);
	EXPECT(access("null", W_OK) == 0);
	EXPECT(p && chdir(p) == 0);
	free(p);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	CASE(a_link_to_a_device);
	CASE(a_link_to_a_stream);
	CASE(a_link_to_proc);
	CASE(there_and_back);
	CASE(dotdot_from_a_descriptor);
	CASE(into_the_directory);
	return g_failed;
}
