/* SPDX-License-Identifier: MIT */
/*
 * The path walk: as Linux resolves, in the guest's root, and never out of it.
 *
 *   outside/secret            must never be seen
 *   export/                   "/"
 *   export/a/b/c/file
 *   other/deep/, other/f      "/a/mnt" (a name that exists in the mount table only)
 *   third/                    "/a/mnt/deep/in"
 */
#include "tests/unit/fsd_bench.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char g_top[64] = "/tmp/fsd-walk-XXXXXX";
static const char *root;
static struct client *c;
static uint64_t g_secret_ino;

static void put(const char *dir, const char *name, const char *text)
{
	char path[512];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
	CU_ASSERT(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void dir(const char *at, const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", at, name);
	EQ(mkdir(path, 0755), 0);
}

static void lnk(const char *name, const char *target)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", root, name);
	EQ(symlink(target, path), 0);
}

static int text_is(uint32_t at, const char *path, const char *text)
{
	int r = x_open(c, at, path, O_RDONLY, 0, 901);

	if (r < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
		return 0;
	}
	r = x_read(c, 901, 0, 64);
	const int same =
	        r == (int)strlen(text) && memcmp(c->rep.payload, text, (size_t)r) == 0;

	EQ(x_release(c, 901), 0);
	if (!same)
		fprintf(stderr, "%s: another file\n", path);
	return same;
}

static int err_at(uint32_t at, const char *path, uint32_t resolve)
{
	File__OpenReq q = FILE__OPEN_REQ__INIT;

	q.at = at;
	q.path = bytes(path);
	q.handle = 900;
	q.resolve = resolve;
	const int err = call(c, M_OPEN, &q.base, NULL, 0);

	if (err == 0)
		EQ(x_release(c, 900), 0);
	return err;
}

static int cwd_is(const char *path, const char *want)
{
	File__HandleReq q = FILE__HANDLE_REQ__INIT;
	int r = x_open(c, 0, path, O_PATH, 0, 902);

	if (r < 0)
		return r;
	q.handle = 902;
	r = call(c, M_GETCWD, &q.base, NULL, 0);
	const int same = r == 0 && c->rep.len == strlen(want) &&
	                 memcmp(c->rep.payload, want, c->rep.len) == 0;

	if (!same)
		fprintf(stderr, "%s is %.*s\n", path, (int)c->rep.len, c->rep.payload);
	EQ(x_release(c, 902), 0);
	return same;
}

static void plain_paths(void)
{
	CU_ASSERT(text_is(0, "/a/b/c/file", "file"));
	CU_ASSERT(text_is(0, "a//b/./c/../c/file", "file"));
	CU_ASSERT(text_is(0, "///a/b/c/file", "file"));
	EQ(err_at(0, "/a/b/none/file", 0), -ENOENT);
	EQ(err_at(0, "/a/b/c/file/x", 0), -ENOTDIR);
	EQ(err_at(0, "/a/b/c/file/..", 0), -ENOTDIR);
	EQ(err_at(0, "/a/b/c/file/.", 0), -ENOTDIR);
	EQ(x_open(c, 0, "/a/b", O_PATH, 0, 1), 0);
	CU_ASSERT(text_is(1, "c/file", "file"));
	CU_ASSERT(text_is(1, "../b/c/file", "file"));
	CU_ASSERT(text_is(1, "../../../../a/b/c/file", "file"));
	CU_ASSERT(text_is(1, "/a/b/c/file", "file"));
	EQ(x_release(c, 1), 0);
}

static void links_stay_in_the_guests_root(void)
{
	char up[512];

	lnk("abs", "/a/b/c/file");
	lnk("rel", "a/b/../b/c/file");
	lnk("a/up", "../../../../a/b/c/file");
	lnk("dirlink", "/a/b");
	lnk("outside", g_top);
	snprintf(up, sizeof up, "../outside/secret");
	lnk("esc1", up);
	lnk("esc2", "a/../../outside/secret");
	lnk("esc3", "/../../../../../../../../../../etc/passwd");
	lnk("a/b/c/esc4", "../../../../outside/secret");
	CU_ASSERT(text_is(0, "abs", "file"));
	CU_ASSERT(text_is(0, "rel", "file"));
	CU_ASSERT(text_is(0, "a/up", "file"));
	CU_ASSERT(text_is(0, "dirlink/c/file", "file"));
	CU_ASSERT(text_is(0, "dirlink/../b/c/file", "file"));
	EQ(err_at(0, "esc1", 0), -ENOENT);
	EQ(err_at(0, "esc2", 0), -ENOENT);
	EQ(err_at(0, "esc3", 0), -ENOENT); /* no /etc in here */
	EQ(err_at(0, "a/b/c/esc4", 0), -ENOENT);
	EQ(err_at(0, "outside/secret", 0), -ENOENT);
	EQ(err_at(0, "/../outside/secret", 0), -ENOENT);
	EQ(err_at(0, "../outside/secret", 0), -ENOENT);
	EQ(err_at(0, "a/../../outside/secret", 0), -ENOENT);
	EQ(x_path(c, M_READLINK, 0, "abs", 0, 0), 0);
	EQ(c->rep.len, strlen("/a/b/c/file"));
}

static void forty_links_and_no_more(void)
{
	char name[16], target[16];

	lnk("l0", "a/b/c/file");
	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof name, "l%d", i);
		snprintf(target, sizeof target, "l%d", i - 1);
		lnk(name, target);
	}
	CU_ASSERT(text_is(0, "l39", "file"));
	EQ(err_at(0, "l40", 0), -ELOOP);
}

static void mounts_are_crossed(void)
{
	File__Attr m, d;

	CU_ASSERT(text_is(0, "/a/mnt/f", "other"));
	CU_ASSERT(text_is(0, "/a/b/../mnt/f", "other"));
	CU_ASSERT(text_is(0, "/a/mnt/deep/in/t", "third"));
	CU_ASSERT(text_is(0, "/a/mnt/deep/in/../in/t", "third"));
	CU_ASSERT(text_is(0, "/a/mnt/deep/in/../../f", "other"));
	CU_ASSERT(text_is(0, "/a/mnt/../b/c/file", "file"));
	CU_ASSERT(text_is(0, "/a/mnt/deep/in/../../../b/c/file", "file"));
	lnk("tomnt", "a/mnt/deep");
	CU_ASSERT(text_is(0, "tomnt/in/t", "third"));
	CU_ASSERT(text_is(0, "tomnt/../f", "other"));
	lnk("tomnt2", "/a/mnt/deep/in");
	CU_ASSERT(text_is(0, "tomnt2/t", "third"));
	CU_ASSERT(text_is(0, "a/mnt/abslink", "file")); /* absolute: the guest's root */
	CU_ASSERT(text_is(0, "a/mnt/uplink", "file"));  /* ".." out of the mount */
	EQ(x_open(c, 0, "/a/mnt/deep", O_PATH, 0, 1), 0);
	CU_ASSERT(text_is(1, "in/t", "third"));
	CU_ASSERT(text_is(1, "../../b/c/file", "file"));
	EQ(x_release(c, 1), 0);
	EQ(x_stat(c, 0, "/a/mnt", 0, &m), 0);
	EQ(x_stat(c, 0, "/a", 0, &d), 0);
	CU_ASSERT(m.dev != d.dev);
	CU_ASSERT(cwd_is("/a/mnt/deep/in/..", "/a/mnt/deep"));
	CU_ASSERT(cwd_is("/a/mnt/..", "/a"));
	CU_ASSERT(cwd_is("/a/mnt/deep/in", "/a/mnt/deep/in"));
	CU_ASSERT(cwd_is("/..", "/"));
	EQ(x_two(c, M_RENAME, 0, "/a/mnt/f", 0, "/f", 0), -EXDEV);
	EQ(x_path(c, M_UNLINK, 0, "/a/mnt/deep/in", AT_REMOVEDIR, 0), -EBUSY);
	EQ(x_two(c, M_RENAME, 0, "/a", 0, "/z", 0), -EBUSY); /* a mount lies below */
	EQ(x_path(c, M_UNLINK, 0, "/a/mnt/deep", AT_REMOVEDIR, 0), -EBUSY);
}

static void resolve_flags_of_openat2(void)
{
	EQ(x_open(c, 0, "/a/b", O_PATH, 0, 1), 0);
	EQ(err_at(1, "c/file", RESOLVE_BENEATH), 0);
	EQ(err_at(1, "c/../c/file", RESOLVE_BENEATH), 0);
	EQ(err_at(1, "../b/c/file", RESOLVE_BENEATH), -EXDEV);
	EQ(err_at(1, "/a/b/c/file", RESOLVE_BENEATH), -EXDEV);
	EQ(err_at(0, "abs", RESOLVE_BENEATH), -EXDEV);
	EQ(err_at(1, "/c/file", RESOLVE_IN_ROOT), 0);
	EQ(err_at(1, "../../../c/file", RESOLVE_IN_ROOT), 0);
	EQ(err_at(0, "rel", RESOLVE_NO_SYMLINKS), -ELOOP);
	EQ(err_at(0, "dirlink/c/file", RESOLVE_NO_SYMLINKS), -ELOOP);
	EQ(err_at(0, "a/mnt/f", RESOLVE_NO_XDEV), -EXDEV);
	EQ(err_at(0, "a/b/c/file", RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS), 0);
	EQ(err_at(0, "a/b/c/file", RESOLVE_BENEATH | RESOLVE_IN_ROOT), -EINVAL);
	EQ(x_release(c, 1), 0);
}

/* What a walk answers must be what Linux answers for the same path in a chroot:
 * here, with openat2(RESOLVE_IN_ROOT) on the export (no mounts on the way). */
static void random_paths_agree_with_the_kernel(void)
{
	static const char *const parts[] = {
	        "a",       "b",    "c",  "file", "..", ".",    "abs",  "rel", "up",
	        "dirlink", "esc1", "l5", "none", "",   "esc4", "loop", "l40"};
	const int fd = open(root, O_PATH | O_DIRECTORY);

	lnk("loop", "loop");
	srand(3);
	for (int i = 0; i < 20000; i++) {
		struct open_how how = {.flags = O_PATH | O_CLOEXEC,
		                       .resolve = RESOLVE_IN_ROOT};
		char path[256] = "";
		File__Attr a;
		struct stat st;

		for (int n = 1 + rand() % 6; n > 0; n--) {
			strcat(path, parts[rand() % 17]);
			if (n > 1 || rand() % 8 == 0)
				strcat(path, "/");
		}
		if (!path[0])
			continue;
		if (rand() % 4 == 0)
			how.flags |= O_NOFOLLOW;
		int k;

		do /* a rename anywhere makes the kernel doubt a ".." */
			k = (int)syscall(SYS_openat2, fd, path, &how, sizeof how);
		while (k < 0 && errno == EAGAIN);
		const int want = k < 0 ? -errno : 0;
		const int got =
		        x_stat(c, 0, path,
		               how.flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0, &a);

		if (got != want)
			fprintf(stderr, "%s: %d, not %d\n", path, got, want);
		CU_ASSERT_EQUAL(got, want);
		if (k >= 0 && got == 0) {
			EQ(fstat(k, &st), 0);
			CU_ASSERT_EQUAL(a.ino, st.st_ino);
		}
		if (k >= 0)
			close(k);
	}
	close(fd);
}

/* ---- races ---- */

static _Atomic bool g_stop;

static void *renamer(void *arg)
{
	char from[512], to[512], link[512];

	(void)arg;
	snprintf(from, sizeof from, "%s/race/x/y", root);
	snprintf(to, sizeof to, "%s/race/moved", root);
	snprintf(link, sizeof link, "%s/race/x", root);
	while (!g_stop) {
		/* A directory that jumps up and down, and a link that takes its place. */
		if (rename(from, to) == 0) {
			char side[600];

			snprintf(side, sizeof side, "%s-aside", link);
			if (rename(link, side) == 0) {
				(void)!symlink("../../../../../../../../outside", link);
				(void)unlink(link);
				(void)rename(side, link);
			}
			(void)rename(to, from);
		}
	}
	return NULL;
}

static void no_race_leads_out(void)
{
	static const char *const paths[] = {
	        "race/x/y/../../../outside/secret",
	        "race/x/y/../../../../outside/secret",
	        "race/x/secret",
	        "race/x/y/../secret",
	        "race/x/y/../../x/secret",
	        "race/x/../../outside/secret",
	};
	struct timespec from, now;
	unsigned long tries = 0, found = 0;
	pthread_t t;

	dir(root, "race");
	dir(root, "race/x");
	dir(root, "race/x/y");
	EQ(x_open(c, 0, "race/x/y", O_PATH, 0, 1), 0);
	g_stop = false;
	EQ(pthread_create(&t, NULL, renamer, NULL), 0);
	clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		File__Attr a;

		for (unsigned i = 0; i < 6; i++, tries++)
			if (x_stat(c, 0, paths[i], 0, &a) == 0)
				found += a.ino == g_secret_ino;
		if (x_stat(c, 1, "../../../outside/secret", 0, &a) == 0)
			found++;
		if (x_stat(c, 1, "../../../../../outside/secret", 0, &a) == 0)
			found++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - from.tv_sec < 2);
	g_stop = true;
	pthread_join(t, NULL);
	EQ(found, 0);
	CU_ASSERT(tries > 100);
	EQ(x_release(c, 1), 0);
}

/* The host moves a directory that a guest stands in out of the export. */
static void a_directory_that_left_leads_nowhere(void)
{
	char from[512], to[512];
	File__Attr a;

	dir(root, "leave");
	dir(root, "leave/deep");
	EQ(x_open(c, 0, "leave/deep", O_PATH, 0, 1), 0);
	snprintf(from, sizeof from, "%s/leave", root);
	snprintf(to, sizeof to, "%s/outside/left", g_top);
	EQ(rename(from, to), 0);
	EQ(x_stat(c, 1, "../../secret", 0, &a), -ENOENT);
	EQ(x_stat(c, 1, "..", 0, &a), -ENOENT);
	EQ(x_release(c, 1), 0);
}

static int leaves(uint32_t at, const char *path, unsigned flags, const char *want)
{
	int r = x_path(c, M_LEAVES, at, path, flags, 0);

	if (r == 0 && (c->rep.len != strlen(want) ||
	               memcmp(c->rep.payload, want, c->rep.len) != 0)) {
		fprintf(stderr, "%s leaves to %.*s\n", path, (int)c->rep.len,
		        c->rep.payload);
		r = 1;
	}
	return r;
}

static void names_of_the_guest_itself_end_a_walk(void)
{
	File__Attr a;

	lnk("to-null", "/ours/null");
	lnk("to-ours", "a/../ours");
	lnk("to-link", "to-null");
	lnk("device", "devices/x");
	dir(root, "ours"); /* what the export has there does not count */
	dir(root, "devices");
	put(root, "ours/null", "the export's");
	put(root, "devices/x", "x");
	EQ(x_stat(c, 0, "to-null", 0, &a), -EREMOTE);
	EQ(x_stat(c, 0, "to-null", AT_SYMLINK_NOFOLLOW, &a), 0);
	EQ(x_open(c, 0, "to-link", O_RDWR | O_CREAT, 0600, 1), -EREMOTE);
	EQ(x_stat(c, 0, "ours/null", 0, &a), -EREMOTE);
	EQ(x_stat(c, 0, "/a/../ours/null", 0, &a), -EREMOTE);
	EQ(text_is(0, "device", "x"), 1);
	EQ(leaves(0, "to-link", 0, "/ours/null"), 0);
	EQ(leaves(0, "to-link", AT_SYMLINK_NOFOLLOW, ""), 0);
	EQ(leaves(0, "to-ours/shm/../x/", 0, "/ours/shm/../x/"), 0);
	EQ(leaves(0, "device", 0, ""), 0);
	EQ(leaves(0, "no-such", 0, ""), -ENOENT);
	EQ(x_open(c, 0, "/a/mnt/deep", O_PATH, 0, 1), 0);
	EQ(x_stat(c, 1, "../../../ours", 0, &a), -EREMOTE);
	EQ(leaves(1, "../../../ours/../etc", 0, "/ours/../etc"), 0);
	EQ(x_release(c, 1), 0);
	/* Making and removing meets what is there; two names are two mounts. */
	EQ(x_make(c, M_MKDIR, 0, "a/../ours", 0700, NULL), -EEXIST);
	EQ(x_make(c, M_MKDIR, 0, "to-ours/d", 0700, NULL), -EREMOTE);
	EQ(x_path(c, M_UNLINK, 0, "ours", AT_REMOVEDIR, 0), -EBUSY);
	EQ(x_two(c, M_RENAME, 0, "devices/x", 0, "to-ours/x", 0), -EXDEV);
	EQ(x_two(c, M_LINK, 0, "to-ours/x", 0, "devices/y", 0), -EXDEV);
	EQ(x_two(c, M_LINK, 0, "devices/x", 0, "to-ours/y", 0), -EXDEV);
}

static int make_outside(void)
{
	char p[256], q[300];
	struct stat st;

	if (!mkdtemp(g_top) || setenv("TMPDIR", g_top, 1) < 0)
		return -1;
	dir(g_top, "outside");
	dir(g_top, "other");
	dir(g_top, "other/deep");
	dir(g_top, "third");
	snprintf(p, sizeof p, "%s/outside", g_top);
	put(p, "secret", "secret");
	snprintf(q, sizeof q, "%s/secret", p);
	if (stat(q, &st) < 0)
		return -1;
	g_secret_ino = st.st_ino;
	snprintf(p, sizeof p, "%s/third", g_top);
	put(p, "t", "third");
	snprintf(p, sizeof p, "%s/other", g_top);
	put(p, "f", "other");
	snprintf(q, sizeof q, "%s/abslink", p);
	EQ(symlink("/a/b/c/file", q), 0);
	snprintf(q, sizeof q, "%s/uplink", p);
	EQ(symlink("../b/c/file", q), 0);
	return 0;
}

static void a_tree_with_mounts(void)
{
	char other[256], third[256], exp[300];

	EQ(make_outside(), 0);
	snprintf(other, sizeof other, "%s/other", g_top);
	snprintf(third, sizeof third, "%s/third", g_top);
	/* "/a" must be there before something is mounted below it. */
	root = bench_start(false, false);
	dir(root, "a");
	EQ(bench_add("/a/mnt", other), 0);
	EQ(bench_add("/a/mnt/deep/in", third), 0);
	dir(root, "a/b");
	dir(root, "a/b/c");
	snprintf(exp, sizeof exp, "%s/a/b/c", root);
	put(exp, "file", "file");
	bench_own("ours");
	c = client_new(0, 0);
}

static int stop(void)
{
	char cmd[300];

	client_free(c);
	const bool clean = bench_stop();

	snprintf(cmd, sizeof cmd, "rm -rf '%s'", g_top);
	return system(cmd) == 0 && clean ? 0 : -1;
}

/* Argument: a folder of another file system to do it all in. */
int main(int argc, char **argv)
{
	static CU_TestInfo tests[] = {
	        TEST(a_tree_with_mounts),
	        TEST(plain_paths),
	        TEST(links_stay_in_the_guests_root),
	        TEST(forty_links_and_no_more),
	        TEST(mounts_are_crossed),
	        TEST(resolve_flags_of_openat2),
	        TEST(random_paths_agree_with_the_kernel),
	        TEST(names_of_the_guest_itself_end_a_walk),
	        TEST(no_race_leads_out),
	        TEST(a_directory_that_left_leads_nowhere),
	        CU_TEST_INFO_NULL,
	};

	if (argc > 1 && access(argv[1], W_OK) < 0) {
		printf("no %s here: skipped\n", argv[1]);
		return 77;
	}
	if (argc > 1)
		snprintf(g_top, sizeof g_top, "%s/fsd-walk-XXXXXX", argv[1]);

	return suite_run("fsd walk", NULL, stop, tests);
}
