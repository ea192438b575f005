/* SPDX-License-Identifier: MIT */
/*
 * An instance of fsd that dies at each point of a call, and the ones that follow: the
 * call is done once and answered as if nothing had been.  An instance is a process
 * that ends by _exit(); what it noted is in memory that outlives it.
 */
#include "services/fsd/again.h"
#include "services/fsd/be_dir.h"
#include "tests/unit/fsd_bench.h"
#include "tests/unit/suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define KEPT_MAX 4

/* What the guest keeps while instances come and go. */
static struct kept {
	struct journal_entry journal;
	struct {
		uint32_t handle, flags;
		mode_t type;
		size_t id_len;
		uint8_t id[FILE_ID_MAX], token[16];
		char path[64];
	} open[KEPT_MAX];
	unsigned n_open;
	int err;
	volatile uint64_t value;
} *g;

static char g_dir[64];
static const char *g_top = "/tmp";
static struct client *c;
static bool g_root;

/* A path of ours: used as ourselves. */
static const char *at(const char *name)
{
	static char path[4][256];
	static unsigned next;
	char *p = path[next++ % 4];

	EQ(cred_use(NULL), 0);
	snprintf(p, sizeof path[0], "%s/%s", g_dir, name);
	return p;
}

static void put(const char *name, const char *text)
{
	const int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0666);

	EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static bool holds(const char *name, const char *text)
{
	char buf[256];
	const int fd = open(at(name), O_RDONLY);
	const ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf);

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

static bool there(const char *name)
{
	struct stat st;

	return lstat(at(name), &st) == 0;
}

/* How many files without a name are kept. */
static int orphans(void)
{
	struct dirent *e, *f;
	DIR *d = opendir(at(ORPHANS_DIR)), *s;
	int n = 0;

	while (d && (e = readdir(d))) {
		char sub[300];

		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof sub, "%s/%s", at(ORPHANS_DIR), e->d_name);
		s = opendir(sub);
		while (s && (f = readdir(s)))
			n += f->d_name[0] != '.';
		if (s)
			closedir(s);
	}
	if (d)
		closedir(d);
	return n;
}

/* ---- instances ---- */

/* As user 1000 where we may choose. */
static void start(uint32_t epoch)
{
	g_bench_fault = (struct bench_fault){.die = DIE_NOT};
	bench_start_in(g_dir, epoch, false);
	if (g_root)
		bench_squash(65534, 65534);
	if (epoch > 1)
		serve_recover();
	c = client_new(g_root ? 1000 : 0, g_root ? 1000 : 0);
}

static void stop(void)
{
	serve_recovered(true);
	client_free(c);
	(void)cred_use(NULL);
	CU_ASSERT(bench_stop());
}

static void keep(const char *path, uint32_t flags, uint32_t handle)
{
	const File__OpenRep *rep;

	EQ(x_open(c, 0, path, flags, 0600, handle), 0);
	rep = (File__OpenRep *)c->rep.msg;
	g->open[g->n_open].handle = handle;
	g->open[g->n_open].flags = flags;
	g->open[g->n_open].type = rep->attr->mode & S_IFMT;
	g->open[g->n_open].id_len = rep->file_id.len;
	memcpy(g->open[g->n_open].id, rep->file_id.data, rep->file_id.len);
	EQ(rep->token.len, 16);
	memcpy(g->open[g->n_open].token, rep->token.data, 16);
	snprintf(g->open[g->n_open++].path, sizeof g->open[0].path, "%s", path);
}

static File__ReopenReq reopen_req(unsigned i)
{
	File__ReopenReq q = FILE__REOPEN_REQ__INIT;

	q.handle = g->open[i].handle;
	q.flags = g->open[i].flags;
	q.type = g->open[i].type;
	q.file_id = (ProtobufCBinaryData){g->open[i].id_len, g->open[i].id};
	q.token = (ProtobufCBinaryData){16, g->open[i].token};
	q.path = bytes(g->open[i].path);
	return q;
}

static int reopen_as(File__ReopenReq *q)
{
	return call(c, M_REOPEN, &q->base, NULL, 0);
}

static int reopen(unsigned i)
{
	File__ReopenReq q = reopen_req(i);

	return reopen_as(&q);
}

/* In a process of its own: an instance that ends as told, if it comes to it. */
static pid_t instance_begin(uint32_t epoch, void (*setup)(void), int (*deed)(void),
                            enum bench_die die)
{
	const unsigned failed = CU_get_number_of_failures();
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(g_dir_proc); /* the parent's /proc/self */
		g_dir_proc = -1;
		start(epoch);
		if (epoch == 1 && setup)
			setup();
		for (unsigned i = 0; epoch > 1 && i < g->n_open; i++)
			EQ(reopen(i), 0);
		g_bench_fault = (struct bench_fault){
		        .journal = &g->journal, .die = die, .replay = epoch > 1};
		g->err = deed ? deed() : 0;
		fflush(NULL);
		_exit(CU_get_number_of_failures() > failed ? 1 : BENCH_DIED);
	}
	return pid;
}

static void instance_end(pid_t pid)
{
	int status;

	EQ(waitpid(pid, &status, 0), pid);
	EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, BENCH_DIED);
}

static void instance(uint32_t epoch, void (*setup)(void), int (*deed)(void),
                     enum bench_die die)
{
	instance_end(instance_begin(epoch, setup, deed, die));
}

struct rule {
	const char *name;
	void (*setup)(void); /* in the first instance, before the call */
	int (*deed)(void);
	int result;
	void (*check)(void); /* in the last one, after it */
};

static void wipe(void)
{
	char cmd[256];

	snprintf(cmd, sizeof cmd, "rm -rf '%s'/* '%s'/.strait*", g_dir, g_dir);
	EQ(cred_use(NULL), 0);
	EQ(system(cmd), 0);
	memset(g, 0, sizeof *g);
}

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
			start(3);
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
			stop();
			EQ(orphans(), 0);
		}
}

/* ---- names ---- */

static int mkdir_d(void)
{
	return x_make(c, M_MKDIR, 0, "d", 0755, NULL);
}

static int mkdir_d_slash(void)
{
	return x_make(c, M_MKDIR, 0, "/d/", 0755, NULL);
}

static int mknod_p(void)
{
	return x_make(c, M_MKNOD, 0, "p", S_IFIFO | 0600, NULL);
}

static int symlink_l(void)
{
	return x_make(c, M_SYMLINK, 0, "l", 0, "f");
}

static void make_f(void)
{
	put("f", "text");
	if (g_root)
		EQ(chown(at("f"), 1000, 1000), 0);
}

static int link_l(void)
{
	return x_two(c, M_LINK, 0, "f", 0, "l", 0);
}

static int unlink_f(void)
{
	return x_path(c, M_UNLINK, 0, "f", 0, 0);
}

static void make_d(void)
{
	EQ(x_make(c, M_MKDIR, 0, "d", 0777, NULL), 0);
}

static int rmdir_d(void)
{
	return x_path(c, M_UNLINK, 0, "d", AT_REMOVEDIR, 0);
}

static int rename_f(void)
{
	return x_two(c, M_RENAME, 0, "f", 0, "t", 0);
}

static void make_f_t(void)
{
	make_f();
	put("t", "other");
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
			start(1);
			rules[i].setup();
			g_bench_fault.journal = &g->journal;
			EQ(rules[i].deed(), rules[i].result);
			stop();
			start(2);
			g_bench_fault = (struct bench_fault){.journal = &g->journal, .replay = true};
			EQ(rules[i].deed(), rules[i].result);
			stop();
		}
}

/* ---- files without a name ---- */

static void open_f(void)
{
	make_f();
	keep("f", O_RDWR, 1);
}

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

static void has(const char *text, unsigned nlink)
{
	File__Attr a;

	EQ(x_read(c, 1, 0, 100), strlen(text));
	CU_ASSERT(memcmp(c->rep.payload, text, strlen(text)) == 0);
	EQ(x_stat(c, 1, "", 0, &a), 0);
	EQ(a.nlink, nlink);
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

static int nothing(void)
{
	return 0;
}

static void open_and_unlink(void)
{
	open_f();
	EQ(unlink_f(), 0);
	make_f_t(); /* another "f" */
	keep("t", O_RDONLY, 2);
	EQ(x_path(c, M_UNLINK, 0, "t", 0, 0), 0);
}

static void a_file_without_a_name_is_adopted(void)
{
	wipe();
	instance(1, open_and_unlink, nothing, DIE_NOT);
	EQ(orphans(), 2);
	start(2);
	EQ(reopen(0), 0);
	has("text", 0);
	serve_recovered(false); /* not all came back: none is forgotten */
	EQ(orphans(), 2);
	EQ(reopen(1), 0);
	EQ(x_release(c, 1), 0);
	EQ(orphans(), 1);
	EQ(x_release(c, 2), 0);
	EQ(orphans(), 0);
	stop();

	wipe();
	instance(1, open_and_unlink, nothing, DIE_NOT);
	start(2);
	EQ(reopen(0), 0);
	EQ(orphans(), 2);
	serve_recovered(true); /* nobody has the other one open */
	EQ(orphans(), 1);
	EQ(reopen(1), -ESTALE);
	EQ(x_read(c, 2, 0, 1), -ESTALE); /* not EBADF: the program has it open */
	EQ(reopen(1), -EINVAL);          /* its number is taken */
	EQ(x_release(c, 2), 0);
	EQ(x_read(c, 2, 0, 1), -EBADF);
	has("text", 0);
	stop();
	EQ(orphans(), 0);
	CU_ASSERT(!there(ORPHANS_DIR));
}

static void open_and_unlink_when_told(void)
{
	for (int i = 0; i < 5000 && g->value == 0; i++)
		usleep(1000);
	open_and_unlink();
}

/* A swap: the next instance is ready before the old one ends. */
static void what_the_old_one_keeps_at_last_is_found(void)
{
	wipe();
	const pid_t old = instance_begin(1, open_and_unlink_when_told, nothing, DIE_NOT);

	start(2); /* it sees no orphans' folder */
	g->value = 1;
	instance_end(old);
	EQ(orphans(), 2);
	EQ(reopen(0), 0);
	has("text", 0);
	EQ(reopen(1), 0);
	stop();
	EQ(orphans(), 0);
	CU_ASSERT(!there(ORPHANS_DIR));
}

/* Removed before the guest that has it open is back. */
static void a_file_of_somebody_still_away_is_kept(void)
{
	wipe();
	instance(1, open_f, nothing, DIE_NOT);
	start(2);
	EQ(unlink_f(), 0);
	EQ(orphans(), 1);
	EQ(reopen(0), 0);
	has("text", 0);
	serve_recovered(true);
	EQ(orphans(), 1);
	stop();
	EQ(orphans(), 0);
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
	start(2);
	g_bench_fault = (struct bench_fault){.journal = &g->journal, .replay = true};
	EQ(create_x(), 0);
	CU_ASSERT(!there("x"));
	EQ(g->value, 1);
	EQ(x_write(c, 1, 0, "mine", 4), 4);
	stop();
	EQ(orphans(), 0);
}

/* ---- appends ---- */

static int append_hello(void)
{
	const int r = x_append(c, 1, "hello", 5);

	if (r >= 0)
		g->value = ((File__WriteRep *)c->rep.msg)->offset;
	return r;
}

static void open_log(void)
{
	put("log", "xx");
	EQ(chmod(at("log"), 0666), 0);
	keep("log", O_WRONLY | O_APPEND, 1);
}

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
	start(2);
	EQ(reopen(0), 0);
	g_bench_fault = (struct bench_fault){.journal = &g->journal, .replay = true};
	EQ(append_hello(), 5);
	EQ(g->value, off);
	if (!holds("log", then))
		fprintf(stderr, "%s did not become %s\n", found, then);
	CU_ASSERT(holds("log", then));
	stop();
}

static void an_append_in_part_is_completed(void)
{
	append_over("xxhel", "xxhello", 2);
	append_over("xxhellomore", "xxhellomore", 2);
	append_over("xxworld", "xxworldhello", 7);
	append_over("x", "xhello", 1);
}

/* What one handle reserved for an append in pieces is still its own. */
static void a_reservation_is_kept(void)
{
	File__ReopenReq q;

	wipe();
	instance(1, open_log, nothing, DIE_NOT);
	start(2);
	q = reopen_req(0);
	q.append_end = 10;
	EQ(reopen_as(&q), 0);
	EQ(x_open(c, 0, "log", O_WRONLY | O_APPEND, 0, 2), 0);
	EQ(x_append(c, 2, "behind", 6), 6);
	EQ(((File__WriteRep *)c->rep.msg)->offset, 10);
	EQ(x_write(c, 1, 2, "in front", 8), 8);
	CU_ASSERT(holds("log", "xxin frontbehind"));
	stop();
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

static int replay(int (*deed)(void))
{
	g_bench_fault = (struct bench_fault){.journal = &g->journal, .replay = true};
	const int r = deed();

	g_bench_fault = (struct bench_fault){.die = DIE_NOT};
	return r;
}

/* What a name was when the instance began counts, not what others made of it since. */
static void another_s_change_is_not_taken_for_one_s_own(void)
{
	wipe();
	instance(1, NULL, mkdir_d, DIE_INTENT); /* not done */
	start(2);
	EQ(mkdir_d(), 0); /* another's */
	EQ(replay(mkdir_d), -EEXIST);
	stop();

	wipe();
	instance(1, make_d, rmdir_d, DIE_INTENT); /* not done */
	start(2);
	EQ(rmdir_d(), 0); /* another's */
	EQ(replay(rmdir_d), -ENOENT);
	stop();

	wipe();
	instance(1, NULL, mkdir_d, DIE_CHANGED); /* done */
	start(2);
	EQ(rmdir_d(), 0); /* another's */
	EQ(replay(mkdir_d), 0);
	CU_ASSERT(!there("d"));
	stop();

	wipe();
	instance(1, make_f, rename_f, DIE_CHANGED); /* done */
	start(2);
	put("f", "new");
	EQ(replay(rename_f), 0);
	CU_ASSERT(holds("t", "text"));
	stop();
}

/* ---- what a guest may claim ---- */

static void nobody_s_claim_opens_what_it_may_not(void)
{
	if (!g_root) {
		fprintf(stderr, "not root: not tried\n");
		return;
	}
	wipe();
	start(2);
	put("x", "secret");
	EQ(chmod(at("x"), 0600), 0);
	g->journal = (struct journal_entry){JOURNAL_INTENT, 0, AGAIN_CREATE, 0, 0, 0, 0, 0};
	EQ(replay(create_x), -EEXIST);
	EQ(replay(create_or_open_x), -EACCES);
	g->journal.mark = JOURNAL_DONE;
	EQ(replay(create_x), -EEXIST);
	EQ(replay(create_or_open_x), -EACCES);
	CU_ASSERT(holds("x", "secret"));
	stop();
}

static void claims_that_make_no_sense_do_no_harm(void)
{
	static int (*const deeds[])(void) = {mkdir_d, unlink_f, rename_f, create_attr};

	wipe();
	start(2);
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
	stop();
}

/* One that must fail. */
static int refused(File__ReopenReq *q)
{
	const int r = reopen_as(q);

	EQ(x_release(c, q->handle), 0);
	return r;
}

static void a_token_is_good_for_what_it_says(void)
{
	File__ReopenReq q;

	wipe();
	start(1);
	make_f();
	keep("f", O_RDONLY, 1);
	keep("f", O_RDWR, 2);
	stop();
	start(2);
	q = reopen_req(0);
	q.flags = O_RDWR; /* more than it had */
	EQ(refused(&q), -EPERM);
	q.flags = O_PATH;
	EQ(refused(&q), -EPERM);
	q = reopen_req(0);
	q.token.len = 15;
	EQ(refused(&q), -EPERM);
	q.token.len = 0;
	EQ(refused(&q), -EPERM);
	q = reopen_req(0);
	q.token.data = g->open[1].token;
	EQ(refused(&q), -EPERM);
	for (int bit = 0; bit < 128; bit++) {
		g->open[0].token[bit / 8] ^= (uint8_t)(1 << bit % 8);
		q = reopen_req(0);
		EQ(refused(&q), -EPERM);
		g->open[0].token[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t i = 0; i < g->open[0].id_len; i++) {
		g->open[0].id[i] ^= 1;
		q = reopen_req(0);
		EQ(refused(&q), -EPERM);
		g->open[0].id[i] ^= 1;
	}
	struct client *other = client_new(0, 0), *me = c;

	c = other;
	q = reopen_req(0);
	EQ(refused(&q), -EPERM); /* somebody else's */
	c = me;
	client_free(other);
	q = reopen_req(0);
	q.file_id.len = 0;
	EQ(refused(&q), -ESTALE);
	q = reopen_req(0);
	q.type = S_IFDIR;
	EQ(refused(&q), -ESTALE);
	q = reopen_req(0);
	q.flags |= O_CREAT | O_TRUNC; /* do not count */
	EQ(reopen_as(&q), 0);
	CU_ASSERT(holds("f", "text"));
	EQ(x_write(c, 1, 0, "x", 1), -EBADF);
	EQ(reopen(1), 0);
	EQ(x_write(c, 2, 0, "x", 1), 1);
	stop();
}

static void access_is_what_it_was_at_the_open(void)
{
	wipe();
	start(1);
	make_f();
	keep("f", O_RDWR, 1);
	make_d();
	keep("d", O_RDONLY | O_DIRECTORY, 2);
	stop();
	EQ(chmod(at("f"), 0), 0);
	EQ(chmod(at("d"), 0), 0);
	if (g_root) {
		EQ(chown(at("f"), 0, 0), 0);
		EQ(chown(at("d"), 0, 0), 0);
	}
	start(2);
	if (g_root || access(at("f"), R_OK) == 0) {
		EQ(reopen(0), 0);
		EQ(x_write(c, 1, 0, "x", 1), 1);
		EQ(reopen(1), 0);
	}
	stop();
	EQ(chmod(at("d"), 0700), 0);
}

static void a_file_is_found_wherever_it_is(void)
{
	const bool by_handle = g_root;

	wipe();
	start(1);
	make_f();
	make_d();
	keep("f", O_RDWR, 1);
	keep("d", O_RDONLY | O_DIRECTORY, 2);
	EQ(x_make(c, M_MKNOD, 0, "p", S_IFIFO | 0600, NULL), 0);
	keep("p", O_RDWR, 3);
	EQ(x_make(c, M_SYMLINK, 0, "l", 0, "nowhere"), 0);
	keep("l", O_PATH | O_NOFOLLOW, 4);
	stop();
	EQ(rename(at("f"), at("d/moved")), 0);
	put("f", "another");
	EQ(mkdir(at("e"), 0777), 0);
	EQ(rename(at("d"), at("e/d")), 0);
	start(2);
	EQ(reopen(0), by_handle ? 0 : -ESTALE);
	if (by_handle)
		has("text", 1);
	EQ(reopen(1), by_handle ? 0 : -ESTALE);
	if (by_handle) {
		File__HandleReq q = FILE__HANDLE_REQ__INIT;

		q.handle = 2;
		EQ(call(c, M_GETCWD, &q.base, NULL, 0), 0);
		EQ(c->rep.len, 4);
		CU_ASSERT(memcmp(c->rep.payload, "/e/d", 4) == 0);
	}
	EQ(reopen(2), 0);
	EQ(x_read(c, 3, 0, 1), -EBADF); /* a reference, as it was */
	EQ(reopen(3), 0);
	EQ(x_path(c, M_READLINK, 4, "", 0, 0), 0);
	stop();
	/* What is gone is not replaced by what has its name now. */
	EQ(unlink(at("e/d/moved")), 0);
	start(3);
	EQ(reopen(0), -ESTALE);
	stop();
}

static void unlink_references(void)
{
	static const char *const names[] = {"f", "p", "l"};
	File__Attr a;

	make_f();
	EQ(mknod_p(), 0);
	EQ(symlink_l(), 0);
	for (uint32_t i = 0; i < 3; i++) {
		keep(names[i], O_PATH | O_NOFOLLOW, i + 1);
		EQ(x_path(c, M_UNLINK, 0, names[i], 0, 0), 0);
		EQ(x_stat(c, i + 1, "", 0, &a), 0);
		EQ(a.nlink, 0);
	}
}

static void what_is_only_referred_to_is_kept_too(void)
{
	File__Attr a;

	wipe();
	start(1);
	unlink_references();
	EQ(orphans(), 3);
	stop();
	EQ(orphans(), 0); /* all is released */

	wipe();
	instance(1, unlink_references, nothing, DIE_NOT);
	start(2);
	for (uint32_t i = 0; i < 3; i++) {
		EQ(reopen(i), 0);
		EQ(x_stat(c, i + 1, "", 0, &a), 0);
		EQ(a.nlink, 0);
	}
	EQ(x_path(c, M_READLINK, 3, "", 0, 0), 0);
	stop();
	EQ(orphans(), 0);
}

static void a_removed_directory_is_still_one(void)
{
	File__Attr was, is;

	wipe();
	start(1);
	make_d();
	keep("d", O_RDONLY | O_DIRECTORY, 1);
	EQ(x_stat(c, 1, "", 0, &was), 0);
	EQ(rmdir_d(), 0);
	stop();
	start(2);
	EQ(reopen(0), g_root ? 0 : -ESTALE); /* without handles nobody knows that it is gone */
	if (g_root) {
		EQ(x_stat(c, 1, "", 0, &is), 0);
		EQ(is.ino, was.ino);
		EQ(is.dev, was.dev);
		EQ(is.nlink, 0);
		EQ(x_open(c, 1, "f", O_RDWR | O_CREAT, 0600, 2), -ENOENT);
		EQ(x_make(c, M_MKDIR, 1, "e", 0700, NULL), -ENOENT);
		EQ(x_open(c, 1, "f", O_RDONLY, 0, 2), -ENOENT);
	}
	EQ(orphans(), 0);
	stop();
	CU_ASSERT(!there(ORPHANS_DIR));
}

/* ---- locks ---- */

static int lock(struct client *who, uint32_t h, uint32_t type, uint32_t reclaim)
{
	File__LockReq q = FILE__LOCK_REQ__INIT;

	q.handle = h;
	q.type = type;
	q.reclaim = reclaim;
	return call(who, M_LOCK, &q.base, NULL, 0);
}

static void who_held_a_lock_has_it_first(void)
{
	File__LockReq q = FILE__LOCK_REQ__INIT;
	struct client *b;
	struct pending *p;

	wipe();
	start(2);
	put("f", "x");
	EQ(chmod(at("f"), 0666), 0);
	b = client_new(g_root ? 1000 : 0, g_root ? 1000 : 0);
	EQ(x_open(c, 0, "f", O_RDWR, 0, 1), 0);
	EQ(x_open(b, 0, "f", O_RDWR, 0, 1), 0);
	q.handle = 1;
	q.type = F_WRLCK;
	p = call_start(b, M_LOCK, &q.base, NULL, 0); /* has to wait for who held it */
	EQ(lock(c, 1, F_WRLCK, 1), 0);
	EQ(lock(b, 1, F_WRLCK, 1), -EAGAIN); /* a lie */
	serve_recovered(true);
	EQ(call_wait(b, p), -EAGAIN);
	EQ(lock(c, 1, F_UNLCK, 0), 0);
	EQ(lock(c, 1, F_WRLCK, 1), -ENOLCK); /* too late */
	EQ(lock(b, 1, F_WRLCK, 0), 0);
	client_free(b);
	stop();
}

static int begin(void)
{
	g = mmap(NULL, sizeof *g, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	g_root = geteuid() == 0;
	umask(0);
	snprintf(g_dir, sizeof g_dir, "%s/fsd-recover-XXXXXX", g_top);
	return g != MAP_FAILED && mkdtemp(g_dir) && chmod(g_dir, 0777) == 0 ? 0 : -1;
}

static int end(void)
{
	char cmd[256];

	snprintf(cmd, sizeof cmd, "rm -rf '%s'", g_dir);
	return system(cmd);
}

int main(int argc, char **argv)
{
	static CU_TestInfo tests[] = {
	        TEST(names_change_once),
	        TEST(errors_stay_what_they_were),
	        TEST(open_files_lose_their_names_once),
	        TEST(a_file_without_a_name_is_adopted),
	        TEST(what_the_old_one_keeps_at_last_is_found),
	        TEST(a_file_of_somebody_still_away_is_kept),
	        TEST(files_are_made_once),
	        TEST(one_made_and_unlinked_is_found),
	        TEST(an_append_is_done_once),
	        TEST(an_append_in_part_is_completed),
	        TEST(a_reservation_is_kept),
	        TEST(attributes_change_once),
	        TEST(another_s_change_is_not_taken_for_one_s_own),
	        TEST(nobody_s_claim_opens_what_it_may_not),
	        TEST(claims_that_make_no_sense_do_no_harm),
	        TEST(a_token_is_good_for_what_it_says),
	        TEST(access_is_what_it_was_at_the_open),
	        TEST(a_file_is_found_wherever_it_is),
	        TEST(what_is_only_referred_to_is_kept_too),
	        TEST(a_removed_directory_is_still_one),
	        TEST(who_held_a_lock_has_it_first),
	        CU_TEST_INFO_NULL,
	};

	if (argc > 1)
		g_top = argv[1];
#ifdef __SANITIZE_THREAD__
	fprintf(stderr, "a forked process has no threads under this sanitizer: skipped\n");
	return 77;
#endif
	return suite_run("fsd recover", begin, end, tests);
}
