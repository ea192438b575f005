/* SPDX-License-Identifier: MIT */
/*
 * suite.h - a CUnit suite that is a whole program.
 *
 *     int main(void)
 *     {
 *             static CU_TestInfo tests[] = {
 *                     TEST(close_twice_gives_ebadf),
 *                     CU_TEST_INFO_NULL,
 *             };
 *
 *             return suite_run("fdtable", NULL, NULL, tests);
 *     }
 */
#ifndef TESTS_UNIT_SUITE_H
#define TESTS_UNIT_SUITE_H

#include <CUnit/Basic.h>

#define TEST(function) {#function, function}

/* @start and @stop run before and after all tests; NULL: none.  The program's
 * status: 0 all passed, else 1. */
static inline int suite_run(const char *name, CU_InitializeFunc start, CU_CleanupFunc stop,
                            CU_TestInfo *tests)
{
	CU_SuiteInfo suites[] = {{name, start, stop, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
	int bad = 1;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	if (CU_register_suites(suites) == CUE_SUCCESS) {
		CU_basic_set_mode(CU_BRM_VERBOSE);
		(void)CU_basic_run_tests(); /* failures are counted */
		bad = CU_get_number_of_failures() != 0 || CU_get_error() != CUE_SUCCESS;
	}
	CU_cleanup_registry();
	return bad;
}

#endif /* TESTS_UNIT_SUITE_H */
