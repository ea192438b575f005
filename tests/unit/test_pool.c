/* SPDX-License-Identifier: MIT */
/* Pools: limits, reuse, zeroed objects, the second word of a free one. */
#include "libos/pool.h"
#include "tests/testlib/testlib.h"
#include "tests/unit/suite.h"

#include <string.h>

struct thing {
	uint64_t a, b;
	char rest[100];
};

static void objects_are_zero_and_aligned(void)
{
	static struct pool p = POOL_INIT(struct thing, 1000);
	struct thing *t = pool_get(&p);
	static const struct thing zero;

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_EQUAL((uintptr_t)t % POOL_ALIGN, 0);
	CU_ASSERT_EQUAL(memcmp(t, &zero, sizeof(zero)), 0);
	memset(t, 0x5a, sizeof(*t));
	pool_put(&p, t);
	CU_ASSERT_PTR_EQUAL(pool_get(&p), t); /* the last one given back */
	CU_ASSERT_EQUAL(memcmp(t, &zero, sizeof(zero)), 0);
	pool_put(&p, t);
}

static void the_limit_holds(void)
{
	static struct pool p = POOL_INIT(struct thing, 700);
	void *all[700];

	for (int i = 0; i < 700; i++) {
		all[i] = pool_get(&p);
		CU_ASSERT_PTR_NOT_NULL_FATAL(all[i]);
	}
	CU_ASSERT_PTR_NULL(pool_get(&p));
	CU_ASSERT_EQUAL(pool_used(&p), 700);
	pool_put(&p, all[5]);
	CU_ASSERT_PTR_EQUAL(pool_get(&p), all[5]);
	for (int i = 0; i < 700; i++)
		pool_put(&p, all[i]);
	CU_ASSERT_EQUAL(pool_used(&p), 0);
}

static void the_second_word_of_a_free_object_stays(void)
{
	static struct pool p = POOL_INIT(struct thing, 10);
	struct thing *t = pool_get(&p);

	t->b = 0x1234;
	pool_put(&p, t);
	CU_ASSERT_EQUAL(t->b, 0x1234); /* the count of a description: ofd_get() looks */
	CU_ASSERT_PTR_EQUAL(pool_get_dirty(&p), t);
	CU_ASSERT_EQUAL(t->b, 0x1234);
	pool_put(&p, t);
}

static void objects_larger_than_a_chunk(void)
{
	struct big {
		char data[200000];
	};
	static struct pool p = POOL_INIT(struct big, 2);
	char *a = pool_get(&p), *b = pool_get(&p);

	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	memset(a, 1, 200000);
	memset(b, 2, 200000);
	CU_ASSERT_EQUAL(a[199999], 1);
	CU_ASSERT_PTR_NULL(pool_get(&p));
	pool_put(&p, a);
	pool_put(&p, b);
}

static struct pool g_shared = POOL_INIT(struct thing, 64);

static void *take_and_give(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50000; i++) {
		struct thing *t = pool_get(&g_shared);

		if (!t)
			continue;
		t->a++;
		if (t->a != 1)
			return arg; /* somebody else has it too */
		pool_put(&g_shared, t);
	}
	return NULL;
}

static void threads_share_it(void)
{
	pthread_t t[4];
	void *bad = NULL;
	int mark;

	for (int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL_FATAL(testlib_thread(&t[i], take_and_give, &mark), 0);
	for (int i = 0; i < 4; i++) {
		void *r;

		pthread_join(t[i], &r);
		bad = r ? r : bad;
	}
	CU_ASSERT_PTR_NULL(bad);
	CU_ASSERT_EQUAL(pool_used(&g_shared), 0);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(objects_are_zero_and_aligned),
		TEST(the_limit_holds),
		TEST(the_second_word_of_a_free_object_stays),
		TEST(objects_larger_than_a_chunk),
		TEST(threads_share_it),
		CU_TEST_INFO_NULL,
	};

	testlib_start(NULL);
	return suite_run("pool", NULL, NULL, tests);
}
