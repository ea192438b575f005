/* SPDX-License-Identifier: MIT */
/*
 * Every err_t and every ICMP code that a socket can meet, as errno.
 */
#include "lwip/err.h"
#include "services/netd/errmap.h"
#include "tests/unit/suite.h"

#include <errno.h>

static void each_err_t_has_its_errno(void)
{
	static const struct {
		int err, want;
	} rows[] = {
		{ERR_OK, 0}, {ERR_MEM, ENOMEM}, {ERR_BUF, ENOBUFS}, {ERR_TIMEOUT, ETIMEDOUT},
		{ERR_RTE, ENETUNREACH}, {ERR_INPROGRESS, EINPROGRESS}, {ERR_VAL, EINVAL},
		{ERR_WOULDBLOCK, EAGAIN}, {ERR_USE, EADDRINUSE}, {ERR_ALREADY, EALREADY},
		{ERR_ISCONN, EISCONN}, {ERR_CONN, ENOTCONN}, {ERR_IF, ENETDOWN},
		{ERR_ABRT, ECONNABORTED}, {ERR_RST, ECONNRESET}, {ERR_CLSD, ENOTCONN},
		{ERR_ARG, EINVAL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CU_ASSERT_EQUAL(errmap_lwip(rows[i].err), rows[i].want);
	CU_ASSERT_EQUAL(sizeof(rows) / sizeof(rows[0]), 17); /* err.h: 0 to -16 */
	for (int e = 0; e >= ERR_ARG; e--)
		CU_ASSERT_TRUE(errmap_lwip(e) != EIO);
	CU_ASSERT_EQUAL(errmap_lwip(-17), EIO);
	CU_ASSERT_EQUAL(errmap_lwip(1), EIO);
	CU_ASSERT_EQUAL(errmap_lwip(-128), EIO);
}

static void icmp_errors_are_linux_ones(void)
{
	CU_ASSERT_EQUAL(errmap_icmp4(3, 0), ENETUNREACH);
	CU_ASSERT_EQUAL(errmap_icmp4(3, 1), EHOSTUNREACH);
	CU_ASSERT_EQUAL(errmap_icmp4(3, 2), ENOPROTOOPT);
	CU_ASSERT_EQUAL(errmap_icmp4(3, 3), ECONNREFUSED);
	CU_ASSERT_EQUAL(errmap_icmp4(3, 4), EMSGSIZE);
	CU_ASSERT_EQUAL(errmap_icmp4(3, 13), EHOSTUNREACH);
	CU_ASSERT_EQUAL(errmap_icmp4(3, 200), EHOSTUNREACH);
	CU_ASSERT_EQUAL(errmap_icmp4(11, 0), EHOSTUNREACH);
	CU_ASSERT_EQUAL(errmap_icmp4(12, 0), EPROTO);
	CU_ASSERT_EQUAL(errmap_icmp4(0, 0), 0);
	CU_ASSERT_EQUAL(errmap_icmp4(8, 0), 0);
	CU_ASSERT_EQUAL(errmap_icmp6(1, 0), ENETUNREACH);
	CU_ASSERT_EQUAL(errmap_icmp6(1, 1), EACCES);
	CU_ASSERT_EQUAL(errmap_icmp6(1, 3), EHOSTUNREACH);
	CU_ASSERT_EQUAL(errmap_icmp6(1, 4), ECONNREFUSED);
	CU_ASSERT_EQUAL(errmap_icmp6(1, 99), EHOSTUNREACH);
	CU_ASSERT_EQUAL(errmap_icmp6(2, 0), 0); /* packet too big is not an error */
	CU_ASSERT_EQUAL(errmap_icmp6(3, 0), EHOSTUNREACH);
	CU_ASSERT_EQUAL(errmap_icmp6(4, 0), EPROTO);
	CU_ASSERT_EQUAL(errmap_icmp6(129, 0), 0);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(each_err_t_has_its_errno),
		TEST(icmp_errors_are_linux_ones),
		CU_TEST_INFO_NULL,
	};

	return suite_run("errmap", NULL, NULL, tests);
}
