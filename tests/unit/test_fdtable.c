/* SPDX-License-Identifier: MIT */
/* The descriptor table against a model, at its limits, and among threads. */
#include "libos/ofd.h"
#include "libos/pool.h"
#include "tests/testlib/testlib.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct thing {
	struct ofd ofd;
	int id;
};

static struct pool g_things = POOL_INIT(struct thing, 70000);
static _Atomic uint32_t g_closed;

static long op_close(struct ofd *o)
{
	(void)o;
	g_closed++;
	return 0;
}

static void op_release(struct ofd *o)
{
	pool_put(&g_things, o);
}

static const struct ofd_ops g_ops = {
	.kind = OFD_DEV, .close = op_close, .release = op_release};

static struct ofd *thing(int id)
{
	struct thing *t = pool_get(&g_things);

	if (!t)
		abort();
	t->id = id;
	ofd_init(&t->ofd, &g_ops, 0);
	return &t->ofd;
}

/* The id behind a number, or -1. */
static int id_at(int fd)
{
	struct ofd *o = ofd_get(fd);
	int id;

	if (!o)
		return -1;
	id = ((struct thing *)o)->id;
	ofd_put(o);
	return id;
}

static int first_free(void)
{
	int fd = 0;

	while (fd_get_cloexec(fd) >= 0)
		fd++;
	return fd;
}

static int install(int id, int min, bool cloexec)
{
	struct ofd *o = thing(id);
	int fd = fd_install(o, min, cloexec);

	if (fd < 0)
		ofd_put(o);
	return fd;
}

static void numbers_outside_give_ebadf(void)
{
	CU_ASSERT_PTR_NULL(ofd_get(-1));
	CU_ASSERT_PTR_NULL(ofd_get(FDTABLE_MAX));
	CU_ASSERT_PTR_NULL(ofd_get(INT32_MAX));
	CU_ASSERT_PTR_NULL(ofd_get(INT32_MIN));
	CU_ASSERT_EQUAL(fd_close(-1), -EBADF);
	CU_ASSERT_EQUAL(fd_close(FDTABLE_MAX), -EBADF);
	CU_ASSERT_EQUAL(fd_get_cloexec(-1), -EBADF);
	CU_ASSERT_EQUAL(fd_set_cloexec(FDTABLE_MAX, true), -EBADF);
	CU_ASSERT_EQUAL(fd_next(FDTABLE_MAX), -1);
}

static void o_path_is_seen_by_one_lookup_only(void)
{
	struct ofd *o = thing(1);
	int fd;

	o->flags = 010000000;
	fd = fd_install(o, 0, false);
	CU_ASSERT(fd >= 0);
	CU_ASSERT_PTR_NULL(ofd_get_io(fd));
	CU_ASSERT_EQUAL(id_at(fd), 1);
	CU_ASSERT_EQUAL(fd_close(fd), 0);
}

#define MODEL 300

static void it_agrees_with_a_model(void)
{
	static int model[MODEL]; /* id, 0: free */
	static bool cloexec[MODEL];
	const int base = first_free();
	unsigned seed = 1;

	for (int step = 1; step < 20000; step++) {
		const int at = base + rand_r(&seed) % (MODEL - base);
		const bool flag = rand_r(&seed) % 2;
		int want, fd;

		switch (rand_r(&seed) % 4) {
		case 0: /* the lowest at or above */
			for (want = at; want < MODEL && model[want]; want++)
				;
			if (want == MODEL)
				break;
			CU_ASSERT_EQUAL(install(step, at, flag), want);
			model[want] = step;
			cloexec[want] = flag;
			break;
		case 1:
			fd = fd_install_at(thing(step), at, flag);
			CU_ASSERT_EQUAL(fd, at);
			model[at] = step;
			cloexec[at] = flag;
			break;
		case 2:
			CU_ASSERT_EQUAL(fd_close(at), model[at] ? 0 : -EBADF);
			model[at] = 0;
			break;
		default:
			CU_ASSERT_EQUAL(id_at(at), model[at] ? model[at] : -1);
			CU_ASSERT_EQUAL(fd_get_cloexec(at), model[at] ? cloexec[at] : -EBADF);
			for (want = at; want < MODEL && !model[want]; want++)
				;
			CU_ASSERT_EQUAL(fd_next(at), want == MODEL ? -1 : want);
		}
	}
	for (int fd = base; fd < MODEL; fd++) {
		if (model[fd])
			CU_ASSERT_EQUAL(fd_close(fd), 0);
	}
	CU_ASSERT_EQUAL(pool_used(&g_things), 0);
}

static void all_numbers_can_be_used(void)
{
	const unsigned old = fd_limit();
	int fd, last = -1;

	fd_set_limit(FDTABLE_MAX);
	while ((fd = install(7, 0, false)) >= 0)
		last = fd;
	CU_ASSERT_EQUAL(fd, -EMFILE);
	CU_ASSERT_EQUAL(last, FDTABLE_MAX - 1);
	CU_ASSERT_FALSE(fd_room());
	CU_ASSERT_EQUAL(fd_close(40000), 0);
	CU_ASSERT(fd_room());
	CU_ASSERT_EQUAL(install(8, 100, false), 40000);
	CU_ASSERT_EQUAL(install(8, FDTABLE_MAX, false), -EINVAL);
	fd_set_limit(old);
	CU_ASSERT_EQUAL(install(8, (int)old, false), -EINVAL);
	CU_ASSERT_EQUAL(id_at(last), 7); /* what is open stays so */
	for (fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		const int id = id_at(fd);

		if (id == 7 || id == 8)
			CU_ASSERT_EQUAL(fd_close(fd), 0);
	}
	CU_ASSERT_EQUAL(pool_used(&g_things), 0);
}

static void every_number_is_closed_once(void)
{
	const uint32_t before = g_closed;
	struct ofd *o = thing(3);
	int a, b;

	a = fd_install(o, 0, false);
	b = fd_install(ofd_ref(o), 0, false);
	CU_ASSERT_EQUAL(fd_close(a), 0);
	CU_ASSERT_EQUAL(g_closed, before + 1);
	CU_ASSERT_EQUAL(pool_used(&g_things), 1);
	CU_ASSERT_EQUAL(fd_close(b), 0);
	CU_ASSERT_EQUAL(g_closed, before + 2);
	CU_ASSERT_EQUAL(pool_used(&g_things), 0);
}

/* One number changes its meaning all the time; who looks must see whole things. */
static _Atomic bool g_stop;
static int g_target;

static void *changer(void *arg)
{
	(void)arg;
	for (int i = 1; i < 100000; i++) {
		struct ofd *o = thing(i);

		if (i % 3 == 0) {
			(void)fd_close(g_target);
			ofd_put(o);
		} else if (fd_install_at(o, g_target, false) != g_target) {
			ofd_put(o);
		}
	}
	(void)fd_close(g_target);
	g_stop = true;
	return NULL;
}

static void *watcher(void *arg)
{
	while (!g_stop) {
		struct ofd *o = ofd_get(g_target);

		if (!o)
			continue;
		if (o->refs == 0 || ((struct thing *)o)->id == 0)
			return arg;
		ofd_put(o);
	}
	return NULL;
}

static void lookups_race_with_changes(void)
{
	pthread_t c, w[2];
	void *r;

	g_target = first_free() + 5;
	g_stop = false;
	CU_ASSERT_EQUAL_FATAL(testlib_thread(&c, changer, NULL), 0);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(testlib_thread(&w[i], watcher, &g_target), 0);
	pthread_join(c, NULL);
	for (int i = 0; i < 2; i++) {
		pthread_join(w[i], &r);
		CU_ASSERT_PTR_NULL(r);
	}
	CU_ASSERT_EQUAL(pool_used(&g_things), 0);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(numbers_outside_give_ebadf),
		TEST(o_path_is_seen_by_one_lookup_only),
		TEST(it_agrees_with_a_model),
		TEST(all_numbers_can_be_used),
		TEST(every_number_is_closed_once),
		TEST(lookups_race_with_changes),
		CU_TEST_INFO_NULL,
	};

	testlib_start(NULL);
	return suite_run("fdtable", NULL, NULL, tests);
}
