/* SPDX-License-Identifier: MIT */
/* The ranges that one owner has locked, against a model of one type a byte. */
#include "libos/locklist.h"
#include "tests/testlib/testlib.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define BYTES 64u
#define NONE (-1)

static int set(struct lock_range **list, uint64_t start, uint64_t end, int type,
               uint32_t handle)
{
	const struct lock_range want = {
	        .start = start, .end = end, .type = type, .handle = handle};
	struct lock_spares s;
	int r = locklist_spares(&s);

	if (r < 0)
		return r;
	locklist_set(list, &want, &s);
	locklist_unspare(&s);
	return 0;
}

static unsigned count(const struct lock_range *l)
{
	unsigned n = 0;

	for (; l; l = l->next)
		n++;
	return n;
}

/* Sorted, apart, and nothing that could be one range is two. */
static bool is_tidy(const struct lock_range *l)
{
	for (; l; l = l->next) {
		const struct lock_range *n = l->next;

		if (l->start > l->end || (l->type != F_RDLCK && l->type != F_WRLCK))
			return false;
		if (n && n->start <= l->end)
			return false;
		if (n && n->start == l->end + 1 && n->type == l->type && n->handle == l->handle)
			return false;
	}
	return true;
}

static int type_at(const struct lock_range *l, uint64_t at, uint32_t *handle)
{
	for (; l; l = l->next) {
		if (l->start <= at && at <= l->end) {
			*handle = l->handle;
			return l->type;
		}
	}
	*handle = 0;
	return NONE;
}

static void the_list_agrees_with_a_model(void)
{
	int model[BYTES];
	uint32_t by[BYTES], handle;
	struct lock_range *list = NULL;
	unsigned seed = 7;

	for (unsigned i = 0; i < BYTES; i++) {
		model[i] = NONE;
		by[i] = 0;
	}
	for (unsigned round = 0; round < 20000; round++) {
		const unsigned start = (unsigned)rand_r(&seed) % BYTES;
		const unsigned len = 1 + (unsigned)rand_r(&seed) % (BYTES - start);
		const int kind = rand_r(&seed) % 3;
		const uint32_t h = 1 + (uint32_t)rand_r(&seed) % 2;
		const int type = kind == 0 ? F_UNLCK : kind == 1 ? F_RDLCK : F_WRLCK;

		CU_ASSERT_EQUAL_FATAL(set(&list, start, start + len - 1, type, h), 0);
		for (unsigned i = start; i < start + len; i++) {
			model[i] = type == F_UNLCK ? NONE : type;
			by[i] = type == F_UNLCK ? 0 : h;
		}
		CU_ASSERT_FATAL(is_tidy(list));
		for (unsigned i = 0; i < BYTES; i++) {
			CU_ASSERT_EQUAL_FATAL(type_at(list, i, &handle), model[i]);
			CU_ASSERT_EQUAL_FATAL(handle, by[i]);
		}
	}
	locklist_clear(&list);
	CU_ASSERT_PTR_NULL(list);
}

static void neighbours_of_one_type_and_handle_are_one(void)
{
	struct lock_range *list = NULL;

	CU_ASSERT_EQUAL(set(&list, 0, 9, F_RDLCK, 1), 0);
	CU_ASSERT_EQUAL(set(&list, 20, 29, F_RDLCK, 1), 0);
	CU_ASSERT_EQUAL(count(list), 2);
	CU_ASSERT_EQUAL(set(&list, 10, 19, F_RDLCK, 1), 0);
	CU_ASSERT_EQUAL(count(list), 1);
	CU_ASSERT_EQUAL(set(&list, 5, 6, F_WRLCK, 1), 0);
	CU_ASSERT_EQUAL(count(list), 3);
	CU_ASSERT_EQUAL(set(&list, 5, 6, F_RDLCK, 2), 0);
	CU_ASSERT_EQUAL(count(list), 3);
	locklist_clear(&list);
}

static void the_last_byte_of_a_file_is_a_byte(void)
{
	struct lock_range *list = NULL;
	uint32_t h;

	CU_ASSERT_EQUAL(set(&list, 0, LOCKLIST_END, F_WRLCK, 1), 0);
	CU_ASSERT_EQUAL(set(&list, LOCKLIST_END, LOCKLIST_END, F_UNLCK, 1), 0);
	CU_ASSERT_EQUAL(type_at(list, LOCKLIST_END, &h), NONE);
	CU_ASSERT_EQUAL(type_at(list, LOCKLIST_END - 1, &h), F_WRLCK);
	CU_ASSERT_EQUAL(set(&list, 0, 0, F_UNLCK, 1), 0);
	CU_ASSERT_EQUAL(type_at(list, 0, &h), NONE);
	CU_ASSERT_EQUAL(count(list), 1);
	locklist_clear(&list);
}

static void without_records_nothing_is_asked_for(void)
{
	static struct lock_spares all[LOCKLIST_MAX / 2];
	struct lock_spares s;
	unsigned n = 0;

	while (n < LOCKLIST_MAX / 2 && locklist_spares(&all[n]) == 0)
		n++;
	CU_ASSERT_EQUAL(n, LOCKLIST_MAX / 2);
	CU_ASSERT_EQUAL(locklist_spares(&s), -ENOLCK);
	while (n > 0)
		locklist_unspare(&all[--n]);
	CU_ASSERT_EQUAL(locklist_spares(&s), 0);
	locklist_unspare(&s);
}

int main(void)
{
	static CU_TestInfo tests[] = {
	        TEST(the_list_agrees_with_a_model),
	        TEST(neighbours_of_one_type_and_handle_are_one),
	        TEST(the_last_byte_of_a_file_is_a_byte),
	        TEST(without_records_nothing_is_asked_for),
	        CU_TEST_INFO_NULL,
	};

	testlib_start(NULL);
	return suite_run("locklist", NULL, NULL, tests);
}
