/* SPDX-License-Identifier: MIT */
/*
 * Users and groups, by the raw calls: they act on the calling thread alone, so each
 * case runs in a thread of its own.  The superuser's cases pass without a look when
 * the program is not the superuser.
 */
#include "tests/sys/check.h"

#include <grp.h>

static long sys3(long n, long a, long b, long c)
{
	return syscall(n, a, b, c);
}

static void uids_are(uint32_t r, uint32_t e, uint32_t s)
{
	uint32_t id[3] = {0, 0, 0};

	CHECK_EQ(syscall(SYS_getresuid, &id[0], &id[1], &id[2]), 0);
	CHECK_EQ(id[0], r);
	CHECK_EQ(id[1], e);
	CHECK_EQ(id[2], s);
	CHECK_EQ(syscall(SYS_getuid), r);
	CHECK_EQ(syscall(SYS_geteuid), e);
}

static void gids_are(uint32_t r, uint32_t e, uint32_t s)
{
	uint32_t id[3] = {0, 0, 0};

	CHECK_EQ(syscall(SYS_getresgid, &id[0], &id[1], &id[2]), 0);
	CHECK_EQ(id[0], r);
	CHECK_EQ(id[1], e);
	CHECK_EQ(id[2], s);
	CHECK_EQ(syscall(SYS_getgid), r);
	CHECK_EQ(syscall(SYS_getegid), e);
}

static int superuser(void)
{
	return syscall(SYS_geteuid) == 0;
}

static void setuid_of_the_superuser_sets_all_three(void)
{
	if (!superuser())
		return;
	CHECK_EQ(sys3(SYS_setuid, 1000, 0, 0), 0);
	uids_are(1000, 1000, 1000);
	CHECK_ERR(sys3(SYS_setuid, 0, 0, 0), EPERM);
	CHECK_EQ(sys3(SYS_setuid, 1000, 0, 0), 0);
	CHECK_ERR(sys3(SYS_setuid, 1001, 0, 0), EPERM);
	CHECK_ERR(sys3(SYS_setuid, -1, 0, 0), EINVAL);
}

static void the_saved_id_lets_a_user_come_back(void)
{
	if (!superuser())
		return;
	CHECK_EQ(sys3(SYS_setresuid, 1000, 1000, 1001), 0);
	uids_are(1000, 1000, 1001);
	CHECK_EQ(sys3(SYS_setuid, 1001, 0, 0), 0);
	uids_are(1000, 1001, 1001);
	CHECK_EQ(sys3(SYS_setuid, 1000, 0, 0), 0);
	uids_are(1000, 1000, 1001);
	CHECK_ERR(sys3(SYS_setresuid, 5, -1, -1), EPERM);
	CHECK_EQ(sys3(SYS_setresuid, 1001, -1, -1), 0);
	uids_are(1001, 1000, 1001);
}

static void setreuid_keeps_the_saved_rule(void)
{
	if (!superuser())
		return;
	CHECK_EQ(sys3(SYS_setreuid, -1, 1000, 0), 0);
	uids_are(0, 1000, 1000);
	CHECK_EQ(sys3(SYS_setreuid, 1000, 0, 0), 0); /* swap */
	uids_are(1000, 0, 0);
	CHECK_EQ(sys3(SYS_setreuid, 2000, -1, 0), 0);
	uids_are(2000, 0, 0);
	CHECK_EQ(sys3(SYS_setreuid, -1, 2000, 0),
	         0); /* equal to the real one: saved stays */
	uids_are(2000, 2000, 0);
	CHECK_ERR(sys3(SYS_setreuid, 3000, -1, 0), EPERM);
	CHECK_ERR(sys3(SYS_setreuid, -1, 3000, 0), EPERM);
}

static void group_ids_follow_the_same_rules(void)
{
	if (!superuser())
		return;
	CHECK_EQ(sys3(SYS_setresgid, 100, 101, 102), 0);
	gids_are(100, 101, 102);
	CHECK_EQ(sys3(SYS_setregid, 103, -1, 0), 0);
	gids_are(103, 101, 101);
	CHECK_EQ(sys3(SYS_setuid, 1000, 0, 0), 0);
	CHECK_ERR(sys3(SYS_setgid, 500, 0, 0), EPERM);
	CHECK_EQ(sys3(SYS_setgid, 103, 0, 0), 0);
	gids_are(103, 103, 101);
	CHECK_EQ(sys3(SYS_setregid, 103, 101, 0), 0);
	gids_are(103, 101, 101);
	CHECK_ERR(sys3(SYS_setresgid, -1, -1, 7), EPERM);
	CHECK_ERR(sys3(SYS_setgid, -1, 0, 0), EINVAL);
}

static void setfsuid_returns_the_old_one_and_never_fails(void)
{
	uint32_t me = (uint32_t)syscall(SYS_geteuid);

	CHECK_EQ(sys3(SYS_setfsuid, -1, 0, 0), me);
	CHECK_EQ(sys3(SYS_setfsuid, me, 0, 0), me);
	if (!superuser())
		return;
	CHECK_EQ(sys3(SYS_setfsuid, 1000, 0, 0), 0);
	CHECK_EQ(sys3(SYS_setfsuid, -1, 0, 0), 1000);
	CHECK_EQ(sys3(SYS_setfsgid, 1000, 0, 0), syscall(SYS_getegid));
	CHECK_EQ(sys3(SYS_setresuid, 50, 50, 50), 0); /* takes the fsuid along */
	CHECK_EQ(sys3(SYS_setfsuid, 1000, 0, 0), 50);
	CHECK_EQ(sys3(SYS_setfsuid, -1, 0, 0), 50);
}

static void groups_are_set_by_the_superuser_alone(void)
{
	uint32_t list[4] = {30, 10, 20, 10}, got[8];

	CHECK_ERR(sys3(SYS_getgroups, -1, (long)got, 0), EINVAL);
	if (!superuser())
		return;
	CHECK_EQ(sys3(SYS_setgroups, 3, (long)list, 0), 0);
	CHECK_EQ(sys3(SYS_getgroups, 0, 0, 0), 3);
	CHECK_EQ(sys3(SYS_getgroups, 8, (long)got, 0), 3);
	CHECK_EQ(got[0], 10);
	CHECK_EQ(got[1], 20);
	CHECK_EQ(got[2], 30);
	CHECK_ERR(sys3(SYS_getgroups, 2, (long)got, 0), EINVAL);
	CHECK_ERR(sys3(SYS_setgroups, 3, (long)BAD_PTR, 0), EFAULT);
	CHECK_ERR(sys3(SYS_setgroups, 65537, (long)list, 0), EINVAL);
	CHECK_EQ(sys3(SYS_setgroups, 0, 0, 0), 0);
	CHECK_EQ(sys3(SYS_getgroups, 0, 0, 0), 0);
	CHECK_EQ(sys3(SYS_setuid, 1000, 0, 0), 0);
	CHECK_ERR(sys3(SYS_setgroups, 3, (long)list, 0), EPERM);
}

static void bad_pointers_are_efault(void)
{
	uint32_t id;

	CHECK_ERR(sys3(SYS_getresuid, (long)&id, (long)BAD_PTR, (long)&id), EFAULT);
	CHECK_ERR(sys3(SYS_getresgid, (long)BAD_PTR, (long)&id, (long)&id), EFAULT);
}

static void *check_inherited(void *arg)
{
	(void)arg;
	if (syscall(SYS_getuid) != 4321)
		return (void *)1;
	return NULL;
}

static void a_thread_inherits_and_keeps_its_own(void)
{
	pthread_t t;
	void *r;

	if (!superuser())
		return;
	CHECK_EQ(sys3(SYS_setresuid, 4321, -1, -1), 0);
	CHECK_EQ(pthread_create(&t, NULL, check_inherited, NULL), 0);
	pthread_join(t, &r);
	CHECK(r == NULL);
}

static void (*g_case)(void);

static void *in_thread(void *arg)
{
	(void)arg;
	g_case();
	return NULL;
}

/* What libc does reaches every thread. */
static volatile int g_go;

static void *tell_uid(void *arg)
{
	(void)arg;
	while (!g_go)
		sleep_ms(1);
	return (void *)(intptr_t)syscall(SYS_getuid);
}

static void libcs_setuid_changes_all_threads(void)
{
	pthread_t t[3];
	void *r;

	if (!superuser())
		return;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, tell_uid, NULL), 0);
	CHECK_EQ(setgroups(0, NULL), 0);
	CHECK_EQ(setgid(77), 0);
	CHECK_EQ(setuid(78), 0);
	g_go = 1;
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &r);
		CHECK_EQ((intptr_t)r, 78);
	}
	CHECK_EQ(getuid(), 78);
	CHECK_EQ(getgid(), 77);
	CHECK_ERR(setuid(0), EPERM);
}

#define THREAD_CASE(name)                                                              \
	do {                                                                           \
		pthread_t t_;                                                          \
		g_case_failed = 0;                                                     \
		g_case_name = #name;                                                   \
		g_case = name;                                                         \
		CHECK_EQ(pthread_create(&t_, NULL, in_thread, NULL), 0);               \
		pthread_join(t_, NULL);                                                \
		printf("%s %s\n", g_case_failed ? "not ok" : "ok", #name);             \
		g_failed |= g_case_failed;                                             \
	} while (0)

int main(void)
{
	watchdog(30);
	THREAD_CASE(setuid_of_the_superuser_sets_all_three);
	THREAD_CASE(the_saved_id_lets_a_user_come_back);
	THREAD_CASE(setreuid_keeps_the_saved_rule);
	THREAD_CASE(group_ids_follow_the_same_rules);
	THREAD_CASE(setfsuid_returns_the_old_one_and_never_fails);
	THREAD_CASE(groups_are_set_by_the_superuser_alone);
	THREAD_CASE(bad_pointers_are_efault);
	THREAD_CASE(a_thread_inherits_and_keeps_its_own);
	CASE(libcs_setuid_changes_all_threads);
	return g_failed;
}
