/* SPDX-License-Identifier: MIT */
/* Extended attributes.  Where the file system has no user attributes only the
 * refusals are looked at (and it says so on stderr).
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <sys/xattr.h>

static int g_have;

static void refusals(void)
{
	char buf[16];

	put_file("f", "");
	EXPECT_ERR(getxattr("missing", "user.a", buf, sizeof(buf)), ENOENT);
	EXPECT_ERR(setxattr("missing", "user.a", "v", 1, 0), ENOENT);
	EXPECT_ERR(setxattr("f", "user.a", "v", 1, 77), EINVAL);
	EXPECT_ERR(setxattr("f", "user.a", "v", 70000, 0), E2BIG);
	EXPECT_ERR(setxattr("f", "", "v", 1, 0), ERANGE);
	EXPECT_ERR(setxattr("f", "noprefix", "v", 1, 0), EOPNOTSUPP);
	EXPECT_ERR(setxattr("missing", "noprefix", "v", 1, 0), ENOENT);
	EXPECT_ERR(removexattr("missing", "user."), ENOENT);
	EXPECT_ERR(syscall(SYS_getxattr, "f", BAD_PTR, buf, 16), EFAULT);
	EXPECT_ERR(fgetxattr(-1, "user.a", buf, sizeof(buf)), EBADF);
	g_have = setxattr("f", "user.probe", "v", 1, 0) == 0;
	if (g_have)
		EXPECT(removexattr("f", "user.probe") == 0);
	else
		fprintf(stderr, "no user attributes here\n");
}

static void set_get_list_remove(void)
{
	char buf[256];
	int fd;

	if (!g_have)
		return;
	fd = open("f", O_RDWR);
	EXPECT(setxattr("f", "user.one", "value", 5, 0) == 0);
	EXPECT_EQ(getxattr("f", "user.one", NULL, 0), 5);
	EXPECT_EQ(getxattr("f", "user.one", buf, sizeof(buf)), 5);
	EXPECT(memcmp(buf, "value", 5) == 0);
	EXPECT_ERR(getxattr("f", "user.one", buf, 4), ERANGE);
	EXPECT_ERR(getxattr("f", "user.none", buf, 4), ENODATA);
	EXPECT(fsetxattr(fd, "user.two", "", 0, 0) == 0);
	EXPECT_EQ(fgetxattr(fd, "user.two", buf, sizeof(buf)), 0);
	EXPECT(flistxattr(fd, NULL, 0) >= 18);
	EXPECT(listxattr("f", buf, sizeof(buf)) >= 18);
	EXPECT_ERR(listxattr("f", buf, 3), ERANGE);
	EXPECT(fremovexattr(fd, "user.two") == 0);
	EXPECT_ERR(removexattr("f", "user.two"), ENODATA);
	close(fd);
}

static void create_and_replace(void)
{
	if (!g_have)
		return;
	EXPECT_ERR(setxattr("f", "user.one", "x", 1, XATTR_CREATE), EEXIST);
	EXPECT_ERR(setxattr("f", "user.new", "x", 1, XATTR_REPLACE), ENODATA);
	EXPECT(setxattr("f", "user.one", "y", 1, XATTR_REPLACE) == 0);
	EXPECT(setxattr("f", "user.new", "z", 1, XATTR_CREATE) == 0);
	EXPECT_EQ(getxattr("f", "user.one", NULL, 0), 1);
}

static void links(void)
{
	char buf[16];

	EXPECT(symlink("f", "l") == 0);
	EXPECT_ERR(lsetxattr("l", "user.a", "v", 1, 0), EPERM);
	if (!g_have)
		return;
	EXPECT_EQ(getxattr("l", "user.one", buf, sizeof(buf)), 1);
	EXPECT(lgetxattr("l", "user.one", buf, sizeof(buf)) == -1);
	EXPECT_EQ(llistxattr("l", buf, sizeof(buf)), 0);
	EXPECT_ERR(lremovexattr("l", "user.one"), EPERM);
	EXPECT(llistxattr("f", NULL, 0) > 0);
	EXPECT(lremovexattr("f", "user.one") == 0);
	EXPECT_ERR(lgetxattr("f", "user.one", buf, sizeof(buf)), ENODATA);
}

static void other_kinds_have_none(void)
{
	char buf[64];
	int p[2], o = open("f", O_PATH);

	EXPECT(pipe(p) == 0);
	EXPECT_ERR(fgetxattr(p[0], "user.a", buf, sizeof(buf)), ENODATA);
	EXPECT_ERR(fsetxattr(p[0], "user.a", "v", 1, 0), EPERM);
	EXPECT_ERR(fgetxattr(o, "user.a", buf, sizeof(buf)), EBADF);
	close(o);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	CASE(refusals);
	CASE(set_get_list_remove);
	CASE(create_and_replace);
	CASE(links);
	CASE(other_kinds_have_none);
	return g_failed;
}
