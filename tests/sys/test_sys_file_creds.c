/* SPDX-License-Identifier: MIT */
/* Whose rights count: effective and real ids, groups, per thread.  Needs to be root.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <grp.h>
#include <sys/fsuid.h>

#define USER 1234
#define GROUP 2345

/* The raw calls: of this thread alone. */
static int become(uid_t uid, gid_t gid)
{
	if (syscall(SYS_setresgid, -1, gid, -1) != 0)
		return -1;
	return (int)syscall(SYS_setresuid, -1, uid, -1);
}

static int again_root(void)
{
	if (syscall(SYS_setresuid, -1, 0, -1) != 0)
		return -1;
	return (int)syscall(SYS_setresgid, -1, 0, -1);
}

static void modes_bind_others(void)
{
	EXPECT(chmod(".", 0755) == 0);
	put_file("secret", "s");
	put_file("public", "p");
	EXPECT(chmod("secret", 0600) == 0);
	EXPECT(mkdir("shut", 0700) == 0);
	put_file("shut/f", "");
	EXPECT(become(USER, GROUP) == 0);
	EXPECT_ERR(open("secret", O_RDONLY), EACCES);
	EXPECT_ERR(open("public", O_WRONLY), EACCES);
	EXPECT(file_is("public", "p"));
	EXPECT_ERR(open("new", O_CREAT | O_WRONLY, 0600), EACCES);
	EXPECT_ERR(open("shut/f", O_RDONLY), EACCES);
	EXPECT_ERR(chdir("shut"), EACCES);
	EXPECT_ERR(unlink("public"), EACCES);
	EXPECT_ERR(mkdir("d", 0700), EACCES);
	EXPECT_ERR(chmod("public", 0666), EPERM);
	EXPECT_ERR(chown("public", USER, GROUP), EPERM);
	EXPECT_ERR(truncate("public", 0), EACCES);
	EXPECT_ERR(rename("public", "p2"), EACCES);
	EXPECT(again_root() == 0);
	EXPECT(file_is("secret", "s"));
}

static void new_files_belong_to_their_maker(void)
{
	struct stat st;

	umask(022);
	EXPECT(mkdir("open", 0777) == 0);
	EXPECT(chmod("open", 01777) == 0);
	EXPECT(become(USER, GROUP) == 0);
	EXPECT(close(open("open/mine", O_CREAT | O_WRONLY, 0600)) == 0);
	EXPECT(mkdir("open/dir", 0755) == 0);
	EXPECT(symlink("x", "open/link") == 0);
	EXPECT(again_root() == 0);
	EXPECT(stat("open/mine", &st) == 0);
	EXPECT_EQ(st.st_uid, USER);
	EXPECT_EQ(st.st_gid, GROUP);
	EXPECT(stat("open/dir", &st) == 0);
	EXPECT_EQ(st.st_uid, USER);
	EXPECT(lstat("open/link", &st) == 0);
	EXPECT_EQ(st.st_uid, USER);
}

static void sticky_directories(void)
{
	put_file("open/roots", "");
	EXPECT(become(USER, GROUP) == 0);
	EXPECT_ERR(unlink("open/roots"), EPERM);
	EXPECT(unlink("open/mine") == 0);
	EXPECT(again_root() == 0);
}

static void groups_count(void)
{
	gid_t g[2] = {777, 888};

	put_file("team", "t");
	EXPECT(chown("team", 0, 888) == 0);
	EXPECT(chmod("team", 0640) == 0);
	EXPECT(become(USER, GROUP) == 0);
	EXPECT_ERR(open("team", O_RDONLY), EACCES);
	EXPECT(again_root() == 0);
	EXPECT(syscall(SYS_setgroups, 2, g) == 0);
	EXPECT(become(USER, GROUP) == 0);
	EXPECT(file_is("team", "t"));
	EXPECT_ERR(open("team", O_WRONLY), EACCES);
	EXPECT(again_root() == 0);
	EXPECT(syscall(SYS_setgroups, 0, NULL) == 0);
}

static void access_asks_for_the_real_user(void)
{
	EXPECT(become(USER, GROUP) == 0);
	EXPECT(access("secret", R_OK) == 0);
	EXPECT_ERR(syscall(SYS_faccessat2, AT_FDCWD, "secret", R_OK, 0x200), EACCES);
	EXPECT(again_root() == 0);
}

static void an_open_file_keeps_its_rights(void)
{
	char c;
	int fd = open("secret", O_RDWR);

	EXPECT(become(USER, GROUP) == 0);
	EXPECT_EQ(read(fd, &c, 1), 1);
	EXPECT_EQ(write(fd, "x", 1), 1);
	EXPECT_ERR(fchmod(fd, 0666), EPERM);
	EXPECT(again_root() == 0);
	close(fd);
}

static void owner_may_change(void)
{
	struct timespec t[2] = {{1, 0}, {2, 0}};

	put_file("owned", "o");
	EXPECT(chown("owned", USER, GROUP) == 0);
	EXPECT(chmod("owned", 0644) == 0);
	EXPECT(become(USER, GROUP) == 0);
	EXPECT(chmod("owned", 0600) == 0);
	EXPECT(utimensat(AT_FDCWD, "owned", t, 0) == 0);
	EXPECT_ERR(utimensat(AT_FDCWD, "public", t, 0), EPERM);
	EXPECT_ERR(utimensat(AT_FDCWD, "public", NULL, 0), EACCES);
	EXPECT_ERR(chown("owned", 0, (gid_t)-1), EPERM);
	EXPECT(again_root() == 0);
}

static void fsuid_alone(void)
{
	EXPECT_EQ(setfsuid(USER), 0);
	EXPECT_ERR(open("secret", O_RDONLY), EACCES);
	EXPECT_EQ(setfsuid(0), USER);
	EXPECT(close(open("secret", O_RDONLY)) == 0);
}

int main(void)
{
	if (geteuid() != 0) {
		fprintf(stderr, "needs root\n");
		return 77;
	}
	syscall(SYS_setgroups, 0, NULL);
	CASE(modes_bind_others);
	CASE(new_files_belong_to_their_maker);
	CASE(sticky_directories);
	CASE(groups_count);
	CASE(access_asks_for_the_real_user);
	CASE(an_open_file_keeps_its_rights);
	CASE(owner_may_change);
	CASE(fsuid_alone);
	return g_failed;
}
