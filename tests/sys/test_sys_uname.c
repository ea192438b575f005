/* SPDX-License-Identifier: MIT */
/* uname() names Linux on x86_64, and refuses a bad pointer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static int g_failed;

static void check(int ok, const char *what)
{
	printf("%s %s\n", ok ? "ok" : "FAILED", what);
	g_failed |= !ok;
}

int main(void)
{
	struct utsname u;

	memset(&u, 0xff, sizeof(u));
	check(uname(&u) == 0, "uname_succeeds");
	check(strcmp(u.sysname, "Linux") == 0, "sysname_is_linux");
	check(strcmp(u.machine, "x86_64") == 0, "machine_is_x86_64");
	check(memchr(u.nodename, 0, sizeof(u.nodename)) != NULL, "nodename_is_a_string");
	check(memchr(u.release, 0, sizeof(u.release)) != NULL, "release_is_a_string");
	check(syscall(SYS_uname, (void *)8) == -1 && errno == EFAULT, "bad_pointer_gives_efault");
	return g_failed;
}
