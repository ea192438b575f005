/* SPDX-License-Identifier: MIT */
/*
 * An instance of fsd that dies at each point of a call, and the ones that follow: the
 * call is done once and answered as if nothing had been.
 */
#include "services/fsd/again.h"
#include "tests/unit/fsd_instances.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

struct rule {
	const char *name;
	void (*setup)(void); /* in the first instance, before the call */
	int (*deed)(void);
	int result;
	void (*check)(void); /* in the last one, after it */
};

/* Every point twice: the second instance may die as well. */
static void check_rule(const struct rule *rule)
{
	for (int first = DIE_BEFORE; first <= DIE_DONE; first++)
		for (int second = DIE_NOT; second <= DIE_DONE; second++) {
			wipe();
			g->err = 1;
			instance(1, rule->setup, rule->deed, (enum bench_die)first);
			EQ(g->err, 1); /* it did not come back */
			if (second != DIE_NOT)
				instance(2, NULL, rule->deed, (enum bench_die)second);
			begin_epoch(3);
			for (unsigned i = 0; i < g->n_open; i++)
				EQ(reopen(i), 0);
			g_bench_fault =
			        (struct bench_fault){.journal = &g->journal, .replay = true};
			const int err = rule->deed();

			g_bench_fault.replay = false;
			if (err != rule->result)
				fprintf(stderr, "%s, died at %d, then %d: %d\n",
				        rule->name, first, second, err);
			CU_ASSERT_EQUAL(err, rule->result);
			if (rule->check)
				rule->check();
			end_epoch();
			EQ(orphans(), 0);
		}
}

/* ---- names ---- */

static int mkdir_d_slash(void)
{
	return x_make(c, M_MKDIR, 0, "/d/", 0755, NULL);
}

static int link_l(void)
{
	return x_two(c, M_LINK, 0, "f", 0, "l", 0);
}

static int exchange_f(void)
{
	return x_two(c, M_RENAME, 0, "f", 0, "t", RENAME_EXCHANGE);
}

static int keep_t(void)
{
	return x_two(c, M_RENAME, 0, "f", 0, "t", RENAME_NOREPLACE);
}

static void d_is_there(void)
{
	CU_ASSERT(there("d"));
}

static void d_is_gone(void)
{
	CU_ASSERT(!there("d"));
}

static void p_is_there(void)
{
	CU_ASSERT(there("p"));
}

static void l_is_there(void)
{
	CU_ASSERT(there("l"));
}

static void f_is_gone(void)
{
	CU_ASSERT(!there("f"));
}

static void t_is_f(void)
{
	CU_ASSERT(!there("f") && holds("t", "text"));
}

static void they_changed_places(void)
{
	CU_ASSERT(holds("f", "other") && holds("t", "text"));
}

static void both_are_there(void)
{
	CU_ASSERT(holds("f", "text") && holds("t", "other"));
}

static void names_change_once(void)
{
	static const struct rule rules[] = {
	        {"mkdir", NULL, mkdir_d, 0, d_is_there},
	        {"mkdir/", NULL, mkdir_d_slash, 0, d_is_there},
	        {"mknod", NULL, mknod_p, 0, p_is_there},
	        {"symlink", NULL, symlink_l, 0, l_is_there},
	        {"link", make_f, link_l, 0, l_is_there},
	        {"unlink", make_f, unlink_f, 0, f_is_gone},
	        {"rmdir", make_d, rmdir_d, 0, d_is_gone},
	        {"rename", make_f, rename_f, 0, t_is_f},
	        {"rename over", make_f_t, rename_f, 0, t_is_f},
	        {"exchange", make_f_t, exchange_f, 0, they_changed_places},
	};

	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		check_rule(&rules[i]);
}

static void errors_stay_what_they_were(void)
{
	static const struct rule rules[] = {
	        {"no replace", make_f_t, keep_t, -EEXIST, both_are_there},
	        {"a file", make_f, rmdir_d, -ENOENT, NULL},
	};

	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		for (int replay = 0; replay < 2; replay++) {
			wipe();
			begin_epoch(1);
			rules[i].setup();
			g_bench_fault.journal = &g->journal;
			EQ(rules[i].deed(), rules[i].result);
			end_epoch();
			begin_epoch(2);
			g_bench_fault = (struct bench_fault){.journal = &g->journal, .replay = true};
			EQ(rules[i].deed(), rules[i].result);
			end_epoch();
		}
}

/* ---- files without a name ---- */

static void open_f_linked(void)
{
	open_f();
	EQ(x_two(c, M_LINK, 0, "f", 0, "g", 0), 0);
}

static void open_t(void)
{
	make_f_t();
	if (g_root)
		EQ(chown(at("t"), 1000, 1000), 0);
	keep("t", O_RDWR, 1);
}

static void f_lives_on(void)
{
	CU_ASSERT(!there("f"));
	EQ(orphans(), 1);
	has("text", 0);
}

static void f_is_g(void)
{
	CU_ASSERT(!there("f"));
	EQ(orphans(), 0);
	has("text", 1);
}

static void old_t_lives_on(void)
{
	t_is_f();
	EQ(orphans(), 1);
	has("other", 0);
}

static void open_files_lose_their_names_once(void)
{
	static const struct rule rules[] = {
	        {"unlink open", open_f, unlink_f, 0, f_lives_on},
	        {"unlink linked", open_f_linked, unlink_f, 0, f_is_g},
	        {"rename over open", open_t, rename_f, 0, old_t_lives_on},
	};

	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		if (g_root || rules[i].check != f_is_g) /* found by its handle */
			check_rule(&rules[i]);
}

/* ---- opens ---- */

/* One that nobody may open for writing, but who makes the file.  A service without
 * rights over other users' files cannot either. */
static mode_t mode(void)
{
	return g_root ? 0400 : 0600;
}

static int create_x(void)
{
	const int r = x_open(c, 0, "x", O_RDWR | O_CREAT | O_EXCL, mode(), 1);

	if (r == 0)
		g->value = ((File__OpenRep *)c->rep.msg)->created;
	return r;
}

static int create_deep(void)
{
	return x_open(c, 0, "d/x", O_RDWR | O_CREAT | O_EXCL, mode(), 1);
}

static int create_or_open_x(void)
{
	const int r = x_open(c, 0, "x", O_RDWR | O_CREAT, mode(), 1);

	if (r == 0)
		g->value = ((File__OpenRep *)c->rep.msg)->created;
	return r;
}

static void x_is_mine(void)
{
	struct stat st;

	EQ(g->value, 1);
	EQ(stat(at("x"), &st), 0);
	EQ(st.st_mode, S_IFREG | mode());
	EQ(x_write(c, 1, 0, "mine", 4), 4); /* as its mode does not let */
	EQ(x_release(c, 1), 0);
}

static void deep_x_is_mine(void)
{
	EQ(x_write(c, 1, 0, "mine", 4), 4);
	EQ(x_release(c, 1), 0);
}

static void files_are_made_once(void)
{
	static const struct rule rules[] = {
	        {"O_EXCL", NULL, create_x, 0, x_is_mine},
	        {"O_EXCL below", make_d, create_deep, 0, deep_x_is_mine},
	        {"O_CREAT", NULL, create_or_open_x, 0, x_is_mine},
	};

	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		check_rule(&rules[i]);
}

static int create_and_unlink(void)
{
	const int r = create_x();

	if (r == 0) { /* another thread's, before the answer is read */
		const struct journal_entry e = g->journal;

		EQ(x_path(c, M_UNLINK, 0, "x", 0, 0), 0);
		g->journal = e;
	}
	return r;
}

static void one_made_and_unlinked_is_found(void)
{
	wipe();
	instance(1, NULL, create_and_unlink, DIE_NOT);
	CU_ASSERT(!there("x"));
	begin_epoch(2);
	g_bench_fault = (struct bench_fault){.journal = &g->journal, .replay = true};
	EQ(create_x(), 0);
	CU_ASSERT(!there("x"));
	EQ(g->value, 1);
	EQ(x_write(c, 1, 0, "mine", 4), 4);
	end_epoch();
	EQ(orphans(), 0);
}

/* ---- appends ---- */

static void hello_is_there_once(void)
{
	CU_ASSERT(holds("log", "xxhello"));
	EQ(g->value, 2);
}

static void an_append_is_done_once(void)
{
	static const struct rule rule = {"append", open_log, append_hello, 5,
	                                 hello_is_there_once};

	check_rule(&rule);
}

/* Killed in the middle of it; or somebody else wrote there. */
static void append_over(const char *found, const char *then, uint64_t off)
{
	wipe();
	instance(1, open_log, append_hello, DIE_INTENT);
	put("log", found);
	begin_epoch(2);
	EQ(reopen(0), 0);
	g_bench_fault = (struct bench_fault){.journal = &g->journal, .replay = true};
	EQ(append_hello(), 5);
	EQ(g->value, off);
	if (!holds("log", then))
		fprintf(stderr, "%s did not become %s\n", found, then);
	CU_ASSERT(holds("log", then));
	end_epoch();
}

static void an_append_in_part_is_completed(void)
{
	append_over("xxhel", "xxhello", 2);
	append_over("xxhellomore", "xxhellomore", 2);
	append_over("xxworld", "xxworldhello", 7);
	append_over("x", "xhello", 1);
}

/* ---- attributes ---- */

static int set_attr(uint32_t flags)
{
	File__XattrReq q = FILE__XATTR_REQ__INIT;

	q.path = bytes("f");
	q.name = bytes("user.a");
	q.xflags = flags;
	return call(c, M_SET_XATTR, &q.base, "value", 5);
}

static int create_attr(void)
{
	return set_attr(XATTR_CREATE);
}

static int replace_attr(void)
{
	return set_attr(XATTR_REPLACE);
}

static int remove_attr(void)
{
	File__XattrReq q = FILE__XATTR_REQ__INIT;

	q.path = bytes("f");
	q.name = bytes("user.a");
	return call(c, M_REMOVE_XATTR, &q.base, NULL, 0);
}

static void make_f_attr(void)
{
	make_f();
	EQ(setxattr(at("f"), "user.a", "old", 3, 0), 0);
}

static void attr_is_set(void)
{
	char buf[16];

	EQ(getxattr(at("f"), "user.a", buf, sizeof buf), 5);
}

static void attr_is_gone(void)
{
	EQ(getxattr(at("f"), "user.a", NULL, 0), -1);
}

static void attributes_change_once(void)
{
	static const struct rule rules[] = {
	        {"create", make_f, create_attr, 0, attr_is_set},
	        {"replace", make_f_attr, replace_attr, 0, attr_is_set},
	        {"remove", make_f_attr, remove_attr, 0, attr_is_gone},
	};

	wipe();
	make_f();
	if (setxattr(at("f"), "user.a", "x", 1, 0) < 0 && errno == EOPNOTSUPP) {
		fprintf(stderr, "no user attributes here: not tried\n");
		return;
	}
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		check_rule(&rules[i]);
}

/* ---- calls in each other's way ---- */

/* What a name was when the instance began counts, not what others made of it since. */
static void another_s_change_is_not_taken_for_one_s_own(void)
{
	wipe();
	instance(1, NULL, mkdir_d, DIE_INTENT); /* not done */
	begin_epoch(2);
	EQ(mkdir_d(), 0); /* another's */
	EQ(replay(mkdir_d), -EEXIST);
	end_epoch();

	wipe();
	instance(1, make_d, rmdir_d, DIE_INTENT); /* not done */
	begin_epoch(2);
	EQ(rmdir_d(), 0); /* another's */
	EQ(replay(rmdir_d), -ENOENT);
	end_epoch();

	wipe();
	instance(1, NULL, mkdir_d, DIE_CHANGED); /* done */
	begin_epoch(2);
	EQ(rmdir_d(), 0); /* another's */
	EQ(replay(mkdir_d), 0);
	CU_ASSERT(!there("d"));
	end_epoch();

	wipe();
	instance(1, make_f, rename_f, DIE_CHANGED); /* done */
	begin_epoch(2);
	put("f", "new");
	EQ(replay(rename_f), 0);
	CU_ASSERT(holds("t", "text"));
	end_epoch();
}

/* ---- what a guest may claim ---- */

static void nobody_s_claim_opens_what_it_may_not(void)
{
	if (!g_root) {
		fprintf(stderr, "not root: not tried\n");
		return;
	}
	wipe();
	begin_epoch(2);
	put("x", "secret");
	EQ(chmod(at("x"), 0600), 0);
	g->journal = (struct journal_entry){JOURNAL_INTENT, 0, AGAIN_CREATE, 0, 0, 0, 0, 0};
	EQ(replay(create_x), -EEXIST);
	EQ(replay(create_or_open_x), -EACCES);
	g->journal.mark = JOURNAL_DONE;
	EQ(replay(create_x), -EEXIST);
	EQ(replay(create_or_open_x), -EACCES);
	CU_ASSERT(holds("x", "secret"));
	end_epoch();
}

static void claims_that_make_no_sense_do_no_harm(void)
{
	static int (*const deeds[])(void) = {mkdir_d, unlink_f, rename_f, create_attr};

	wipe();
	begin_epoch(2);
	open_log();
	for (uint32_t kind = 0; kind < 9; kind++)
		for (uint32_t mark = JOURNAL_INTENT; mark <= JOURNAL_DONE; mark++)
			for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
				g->journal = (struct journal_entry){
				        mark, 0, kind, kind * 11, ~0ull, ~0ull,
				        ~0ull, ~0ull};
				(void)replay(deeds[i]);
			}
	g->journal = (struct journal_entry){
	        JOURNAL_DONE, 0, AGAIN_APPEND, 0, ~0ull, 0, 0, ~0ull};
	EQ(replay(append_hello), -EIO);
	g->journal.mark = JOURNAL_INTENT;
	EQ(replay(append_hello), 5);
	end_epoch();
}

int main(int argc, char **argv)
{
	static CU_TestInfo tests[] = {
	        TEST(names_change_once),
	        TEST(errors_stay_what_they_were),
	        TEST(open_files_lose_their_names_once),
	        TEST(files_are_made_once),
	        TEST(one_made_and_unlinked_is_found),
	        TEST(an_append_is_done_once),
	        TEST(an_append_in_part_is_completed),
	        TEST(attributes_change_once),
	        TEST(another_s_change_is_not_taken_for_one_s_own),
	        TEST(nobody_s_claim_opens_what_it_may_not),
	        TEST(claims_that_make_no_sense_do_no_harm),
	        CU_TEST_INFO_NULL,
	};

	return instances_suite("fsd recover", tests, argc, argv);
}
