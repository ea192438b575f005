/* SPDX-License-Identifier: MIT */
/*
 * The guest's superuser ends the guest, and that alone.
 *
 * native: no, it would switch this machine off
 * compare: no
 */
#include "tests/sys/check.h"

#include <sys/reboot.h>

static long do_reboot(unsigned magic1, unsigned magic2, unsigned cmd)
{
	return syscall(SYS_reboot, (long)magic1, (long)magic2, (long)cmd, NULL);
}

static void the_magic_is_checked(void)
{
	CHECK_ERR(do_reboot(0xfee1deadu, 1, (unsigned)RB_POWER_OFF), EINVAL);
	CHECK_ERR(do_reboot(1, 672274793u, (unsigned)RB_POWER_OFF), EINVAL);
	CHECK_ERR(do_reboot(0xfee1deadu, 672274793u, 77), EINVAL);
}

static void the_keys_are_nobodys(void)
{
	CHECK_EQ(reboot(RB_ENABLE_CAD), 0);
	CHECK_EQ(reboot(RB_DISABLE_CAD), 0);
	CHECK_EQ(do_reboot(0xfee1deadu, 85072278u, 0), 0);
}

static void what_the_guest_cannot_do_is_refused(void)
{
	CHECK_ERR(reboot((int)RB_SW_SUSPEND), EINVAL);
	CHECK_ERR(reboot((int)RB_KEXEC), EINVAL);
}

int main(void)
{
	watchdog(20);
	if (geteuid() != 0) {
		printf("skip: needs the guest's superuser\n");
		return 77;
	}
	CASE(the_magic_is_checked);
	CASE(the_keys_are_nobodys);
	CASE(what_the_guest_cannot_do_is_refused);
	if (g_failed)
		return g_failed;
	fflush(stdout);
	reboot(RB_POWER_OFF); /* ends with status 0 */
	printf("still here\n");
	return 1;
}
