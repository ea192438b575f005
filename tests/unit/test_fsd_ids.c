/* SPDX-License-Identifier: MIT */
/*
 * What fsd says of a file's identity, on file systems that name files by handles
 * (tmpfs), by birth times alone (overlayfs) and not at all (ramfs); and how a file is found
 * by the descriptor that was kept of it.  Mounts them in a namespace of its own: root only.
 */
#include "tests/unit/fsd_bench.h"
#include "tests/unit/suite.h"

#include "services/fsd/kept.h"

#include <dirent.h>
#include <errno.h>
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

/* ---- kept descriptors ---- */

#define KEPT_MAX 64

static struct {
	int fds[KEPT_MAX];
	uint64_t holds[KEPT_MAX];
	int n;
} kept;

/* What the filekeeper does, of descriptors on @fs. */
static void keep_what_is_open(const char *fs)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	struct stat at, st;

	kept.n = 0;
	EQ(stat(path(fs), &at), 0);
	while ((e = readdir(d))) {
		const int fd = atoi(e->d_name);
		unsigned place = 0;

		if (fstatat(dirfd(d), e->d_name, &st, 0) < 0 || st.st_dev != at.st_dev ||
		    S_ISDIR(st.st_mode) || kept.n == KEPT_MAX)
			continue;
		kept.holds[kept.n] = kept_hold_of(fd, &place);
		kept.fds[kept.n++] = openat(dirfd(d), e->d_name, O_PATH | O_CLOEXEC);
		EQ(kept_hold_of(fd, &place), 0);
	}
	closedir(d);
}

struct opened {
	struct id id;
	uint8_t token[16];
};

static struct opened open_at(const char *at, uint32_t flags, uint32_t handle)
{
	struct opened o = {.id = {0, {0}}};

	EQ(x_open(c, 0, at, flags, 0600, handle), 0);
	const File__OpenRep *rep = (File__OpenRep *)c->rep.msg;

	o.id.len = rep->file_id.len;
	memcpy(o.id.b, rep->file_id.data, o.id.len);
	EQ(rep->token.len, 16);
	memcpy(o.token, rep->token.data, rep->token.len);
	return o;
}

static int reopen_at(struct opened *o, const char *at, uint32_t handle)
{
	File__ReopenReq q = FILE__REOPEN_REQ__INIT;

	q.handle = handle;
	q.flags = O_RDWR;
	q.type = S_IFREG;
	q.file_id = (ProtobufCBinaryData){o->id.len, o->id.b};
	q.token = (ProtobufCBinaryData){16, o->token};
	q.path = bytes(at);
	return call(c, M_REOPEN, &q.base, NULL, 0);
}

static void reads(uint32_t handle, const char *text)
{
	EQ(x_read(c, handle, 0, 100), strlen(text));
	CU_ASSERT(memcmp(c->rep.payload, text, strlen(text)) == 0);
	EQ(x_release(c, handle), 0);
}

/* The guest lets go of what cannot be opened again. */
static void stale(struct opened *o, const char *at)
{
	EQ(reopen_at(o, at, 7), -ESTALE);
	EQ(x_release(c, 7), 0);
}

/* On @fs a file that was open, and is somewhere else since, or nowhere. */
static void check_kept(const char *fs, const char *file, const char *moved, int kind)
{
	char on_host[2][64];
	struct opened o, other;

	snprintf(on_host[0], sizeof on_host[0], "%s%s", dir, file);
	snprintf(on_host[1], sizeof on_host[1], "%s%s", dir, moved);
	o = open_at(file, O_CREAT | O_EXCL | O_RDWR, 1);
	EQ(o.id.b[1], kind);
	EQ(x_write(c, 1, 0, "mine", 4), 4);
	other = open_at(file, O_RDWR, 2);
	EQ(kind == 3, !same(&o.id, &other.id)); /* a hold is one open file's */
	keep_what_is_open(fs);
	EQ(kept.n, 2);
	EQ(x_release(c, 1), 0);
	EQ(x_release(c, 2), 0);
	EQ(rename(on_host[0], on_host[1]), 0);
	EQ(x_open(c, 0, file, O_CREAT | O_EXCL | O_RDWR, 0600, 3), 0);
	EQ(x_write(c, 3, 0, "not", 3), 3);
	EQ(x_release(c, 3), 0);
	if (kind != 1) /* which the kernel opens by itself */
		stale(&o, file);
	kept_take(kept.fds, kept.n, kept.holds, (size_t)kept.n);
	EQ(reopen_at(&o, file, 4), 0);
	reads(4, "mine");
	EQ(unlink(on_host[1]), 0);
	EQ(reopen_at(&o, file, 5), 0);
	EQ(reopen_at(&other, moved, 6), 0);
	/* The next instance's filekeeper has it from these, and those not asked for yet. */
	keep_what_is_open(fs);
	EQ(kept_drop(), 0);
	reads(6, "mine");
	reads(5, "mine");
	if (kind != 1)
		stale(&o, file);
	kept_take(kept.fds, kept.n, kept.holds, (size_t)kept.n);
	EQ(reopen_at(&o, file, 9), 0);
	reads(9, "mine");
	EQ(reopen_at(&other, file, 8), 0);
	reads(8, "mine");
	EQ(kept_drop(), 0);
	EQ(x_path(c, M_UNLINK, 0, file, 0, 0), 0);
}

static void a_kept_descriptor_is_the_file(void)
{
	EQ(kept_share(), 0);
	kept_begin(1, KEPT_MAX);
	check_kept("handles", "/handles/k", "/handles/away", 1);
	check_kept("births", "/births/k", "/births/away", 2);
	check_kept("none", "/none/k", "/none/away", 3);
}

static void what_was_closed_is_nobodys(void)
{
	struct opened o = open_at("/none/was", O_CREAT | O_RDWR, 1), now;

	EQ(x_release(c, 1), 0);
	now = open_at("/none/was", O_RDWR, 2); /* the same number, still: not the same hold */
	keep_what_is_open("none");
	EQ(kept.n, 1);
	kept_take(kept.fds, kept.n, kept.holds, 1);
	stale(&o, "/none/was");
	EQ(reopen_at(&now, "/none/was", 3), 0);
	EQ(x_release(c, 3), 0);
	EQ(x_release(c, 2), 0);
	EQ(kept_drop(), 0);
	stale(&now, "/none/was"); /* the path alone is no proof */
}

static void what_can_do_more_than_refer_is_not_kept(void)
{
	int fds[3] = {open(path("none/was"), O_RDWR | O_CLOEXEC), open("/dev/null", O_RDWR), -1};
	const int was[2] = {fds[0], fds[1]};
	const uint64_t holds[2] = {77, 78};

	kept_take(fds, 3, holds, 2);
	EQ(fcntl(was[0], F_GETFD), -1);
	EQ(fcntl(was[1], F_GETFD), -1);
	EQ(kept_find_hold(77), -ENOENT);
	kept_begin(2, 1);
	for (int i = 0; i < 3; i++) {
		fds[i] = open(i == 1 ? dir : path("none"), O_PATH | O_CLOEXEC);
		EQ(fds[i] >= 0, 1);
	}
	kept_take(fds, 3, NULL, 0); /* the third is the first one again */
	EQ(kept_drop(), 1);
}

static void no_more_holds_than_there_is_room(void)
{
	static int places[KEPT_HOLDS_MAX];

	for (unsigned i = 0; i < KEPT_HOLDS_MAX; i++)
		CU_ASSERT((places[i] = kept_hold(1, 0)) > 0);
	EQ(kept_hold(1, 0), 0);
	EQ(id_of("/none/f", O_RDWR).len, 0);
	kept_hold_end(places[5]);
	CU_ASSERT(kept_hold_is(places[5]) == 0);
	EQ(kept_hold(1, 0), places[5]);
	for (unsigned i = 0; i < KEPT_HOLDS_MAX; i++)
		kept_hold_end(places[i]);
	EQ(id_of("/none/f", O_RDWR).b[1], 3);
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
	        TEST(a_kept_descriptor_is_the_file),
	        TEST(what_was_closed_is_nobodys),
	        TEST(what_can_do_more_than_refer_is_not_kept),
	        TEST(no_more_holds_than_there_is_room),
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
