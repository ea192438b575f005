/* SPDX-License-Identifier: MIT */
/* Root on what only this guest sees: root, without being asked for.
 * strait-run: --net none --mem /tmp
 */
#include "tests/sys/file_test.h"

#include <sys/fsuid.h>

#define USER 1234
#define GROUP 2345

static void gives_files_away(void)
{
	struct stat st;
	int fd;

	put_file("f", "mine");
	EXPECT(stat("f", &st) == 0);
	EXPECT_EQ(st.st_uid, 0);
	EXPECT_EQ(st.st_gid, 0);
	EXPECT(chmod("f", 0600) == 0);
	EXPECT(chown("f", USER, GROUP) == 0);
	EXPECT(stat("f", &st) == 0);
	EXPECT_EQ(st.st_uid, USER);
	EXPECT_EQ(st.st_gid, GROUP);
	/* ... and still comes in. */
	EXPECT(file_is("f", "mine"));
	EXPECT(access("f", R_OK | W_OK) == 0);
	fd = open("f", O_RDWR);
	EXPECT(fd >= 0);
	EXPECT(fchmod(fd, 0640) == 0);
	EXPECT(fchown(fd, 1, 2) == 0);
	EXPECT(futimens(fd, NULL) == 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_uid, 1);
	EXPECT_EQ(st.st_mode & 07777, 0640);
	close(fd);
	EXPECT(lchown("f", 0, 0) == 0);
}

static void enters_what_is_shut(void)
{
	EXPECT(mkdir("shut", 0700) == 0);
	EXPECT(chown("shut", USER, GROUP) == 0);
	put_file("shut/f", "in");
	EXPECT(chmod("shut", 0) == 0);
	EXPECT(file_is("shut/f", "in"));
	EXPECT(rename("shut/f", "out") == 0);
	EXPECT(rmdir("shut") == 0);
}

static void others_are_bound(void)
{
	put_file("secret", "s");
	EXPECT(chmod("secret", 0600) == 0);
	setfsgid(GROUP);
	setfsuid(USER);
	EXPECT_ERR(open("secret", O_RDONLY), EACCES);
	EXPECT_ERR(chmod("secret", 0644), EPERM);
	EXPECT_ERR(chown("secret", USER, GROUP), EPERM);
	setfsuid(0);
	setfsgid(0);
	EXPECT(file_is("secret", "s"));
}

int main(void)
{
	if (geteuid() != 0)
		return 77;
	CASE(gives_files_away);
	CASE(enters_what_is_shut);
	CASE(others_are_bound);
	return g_failed;
}
