/* SPDX-License-Identifier: MIT */
/*
 * What fsd says of a file's identity, on file systems that name files by handles
 * (tmpfs), by birth times alone (overlayfs) and not at all (ramfs).  Mounts them in
 * a namespace of its own: root only.
 */
#include "tests/unit/fsd_bench.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static struct client *c;
static char dir[] = "/tmp/fsd-ids-XXXXXX"; /* a tmpfs of ours */

struct id {
	size_t len;
	uint8_t b[FILE_ID_MAX];
};

static struct id id_of(const char *path, uint32_t flags)
{
	struct id id = {0, {0}};

	EQ(x_open(c, 0, path, flags, 0600, 9), 0);
	if (c->rep.msg) {
		const ProtobufCBinaryData *d = &((File__OpenRep *)c->rep.msg)->file_id;

		CU_ASSERT(d->len <= sizeof id.b);
		id.len = d->len;
		if (d->len)
			memcpy(id.b, d->data, d->len);
	}
	EQ(x_release(c, 9), 0);
	return id;
}

static bool same(const struct id *a, const struct id *b)
{
	return a->len && a->len == b->len && memcmp(a->b, b->b, a->len) == 0;
}

/* One file keeps its identity wherever it is; another never has it. */
static void check_names(const char *at, int kind)
{
	char f[64], moved[64];

	snprintf(f, sizeof f, "%s/f", at);
	snprintf(moved, sizeof moved, "%s/d/moved", at);
	EQ(x_make(c, M_MKDIR, 0, moved, 0755, NULL), -ENOENT);
	*strrchr(moved, '/') = 0;
	EQ(x_make(c, M_MKDIR, 0, moved, 0755, NULL), 0);
	strcat(moved, "/moved");
	const struct id made = id_of(f, O_CREAT | O_EXCL | O_RDWR);
	EQ(made.b[1], kind);
	const struct id again = id_of(f, O_RDONLY);
	CU_ASSERT(same(&made, &again));
	EQ(x_two(c, M_RENAME, 0, f, 0, moved, 0), 0);
	const struct id there = id_of(moved, O_RDWR);
	CU_ASSERT(same(&made, &there));
	const struct id other = id_of(f, O_CREAT | O_EXCL | O_RDWR);
	CU_ASSERT(!same(&made, &other));
	for (int i = 0; i < 100; i++) { /* also with a number used before */
		EQ(x_path(c, M_UNLINK, 0, f, 0, 0), 0);
		const struct id next = id_of(f, O_CREAT | O_EXCL | O_RDWR);
		CU_ASSERT(!same(&made, &next) && !same(&other, &next));
	}
}

static void handles_where_the_file_system_makes_them(void)
{
	check_names("/handles", 1);
}

static void birth_times_where_it_makes_none(void)
{
	check_names("/births", 2);
}

static void copied_up_it_is_another_file(void)
{
	const struct id low = id_of("/births/low", O_RDONLY);
	const struct id up = id_of("/births/low", O_RDWR);

	EQ(low.b[1], 2);
	EQ(up.b[1], 2);
	const struct id after = id_of("/births/low", O_RDONLY);
	CU_ASSERT(same(&up, &after));
	CU_ASSERT(!same(&low, &up));
}

static void no_identity_where_a_number_is_all_there_is(void)
{
	EQ(id_of("/none/f", O_CREAT | O_RDWR).len, 0);
}

static void a_file_system_below_the_export_is_told_apart(void)
{
	static const uint8_t own[8];
	const struct id a = id_of("/handles/f", O_RDONLY);
	const struct id b = id_of("/handles/below/f", O_CREAT | O_RDWR);

	CU_ASSERT(memcmp(a.b + 14, own, sizeof own) == 0);
	CU_ASSERT(memcmp(b.b + 14, own, sizeof own) != 0);
	CU_ASSERT(memcmp(a.b + 2, b.b + 2, 4) == 0); /* one export */
}

static const char *path(const char *name)
{
	static char p[4][64];
	static unsigned next;
	char *to = p[next++ % 4];

	snprintf(to, sizeof p[0], "%s/%s", dir, name);
	return to;
}

static bool mount_on(const char *name, const char *type, const char *opts)
{
	mkdir(path(name), 0755);
	return mount("fsd-ids", path(name), type, 0, opts) == 0;
}

static bool make_mounts(void)
{
	static const char *const dirs[] = {"lower", "upper", "work"};
	char opts[256];
	int fd;

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(dir))
		return false;
	if (mount("fsd-ids", dir, "tmpfs", 0, "size=16m") < 0) {
		rmdir(dir);
		return false;
	}
	for (int i = 0; i < 3; i++)
		mkdir(path(dirs[i]), 0755);
	fd = open(path("lower/low"), O_CREAT | O_WRONLY, 0644);
	close(fd);
	snprintf(opts, sizeof opts,
	         "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", dir, dir, dir);
	return mount_on("handles", "tmpfs", "size=1m") &&
	       mount_on("handles/below", "tmpfs", "size=1m") &&
	       mount_on("births", "overlay", opts) && mount_on("none", "ramfs", NULL);
}

static void drop_mounts(void)
{
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

static int start(void)
{
	static const char *const at[] = {"/handles", "/births", "/none"};

	for (int i = 0; i < 3; i++)
		bench_mount_kept(at[i], path(at[i] + 1));
	(void)bench_start(false, false);
	c = client_new(0, 0);
	return 0;
}

static int stop(void)
{
	client_free(c);
	return bench_stop() ? 0 : -1;
}

int main(void)
{
	static CU_TestInfo tests[] = {
	        TEST(handles_where_the_file_system_makes_them),
	        TEST(birth_times_where_it_makes_none),
	        TEST(copied_up_it_is_another_file),
	        TEST(no_identity_where_a_number_is_all_there_is),
	        TEST(a_file_system_below_the_export_is_told_apart),
	        CU_TEST_INFO_NULL,
	};
	int r;

	if (!make_mounts()) {
		drop_mounts();
		fprintf(stderr, "needs root, overlayfs and ramfs: skipped\n");
		return 77;
	}
	r = suite_run("fsd ids", start, stop, tests);
	drop_mounts();
	return r;
}
