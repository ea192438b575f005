/* SPDX-License-Identifier: MIT */
/* libos's memory functions, under other names, against the C library's. */
#include "tests/unit/suite.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

void *strait_memcpy(void *restrict to, const void *restrict from, size_t n);
void *strait_memmove(void *to, const void *from, size_t n);
void *strait_memset(void *to, int c, size_t n);

#define N_MAX 700u /* beyond what is moved by words */
#define ROOM (N_MAX + 64)

static uint8_t g_from[ROOM], g_got[ROOM], g_want[ROOM];

static void fill(uint8_t *to, unsigned seed)
{
	for (size_t i = 0; i < ROOM; i++)
		to[i] = (uint8_t)(seed += 0x9d);
}

static void every_length_is_copied_and_no_byte_more(void)
{
	fill(g_from, 1);
	for (size_t n = 0; n <= N_MAX; n++)
		for (size_t at = 0; at < 17; at += 5) {
			fill(g_got, 7);
			fill(g_want, 7);
			memcpy(g_want + at, g_from + 3, n);
			CU_ASSERT_PTR_EQUAL(strait_memcpy(g_got + at, g_from + 3, n), g_got + at);
			if (memcmp(g_got, g_want, ROOM) != 0)
				CU_FAIL_FATAL("copied wrongly");
		}
}

static void every_length_is_set_and_no_byte_more(void)
{
	for (size_t n = 0; n <= N_MAX; n++)
		for (size_t at = 0; at < 17; at += 5) {
			fill(g_got, 7);
			fill(g_want, 7);
			memset(g_want + at, 0x1c3, n);
			CU_ASSERT_PTR_EQUAL(strait_memset(g_got + at, 0x1c3, n), g_got + at);
			if (memcmp(g_got, g_want, ROOM) != 0)
				CU_FAIL_FATAL("set wrongly");
		}
}

static void ranges_that_meet_are_moved(void)
{
	for (size_t n = 0; n <= N_MAX; n += 13)
		for (size_t a = 0; a < 33; a += 4)
			for (size_t b = 0; b < 33; b += 4) {
				fill(g_got, 7);
				fill(g_want, 7);
				memmove(g_want + a, g_want + b, n);
				(void)strait_memmove(g_got + a, g_got + b, n);
				if (memcmp(g_got, g_want, ROOM) != 0)
					CU_FAIL_FATAL("moved wrongly");
			}
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(every_length_is_copied_and_no_byte_more),
		TEST(every_length_is_set_and_no_byte_more),
		TEST(ranges_that_meet_are_moved),
		CU_TEST_INFO_NULL,
	};

	return suite_run("string", NULL, NULL, tests);
}
