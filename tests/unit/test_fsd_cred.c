/* SPDX-License-Identifier: MIT */
/* Whose permissions a call has, and orphans on the disk.  Needs root. */
#include "services/fsd/instance.h"
#include "tests/unit/fsd_bench.h"
#include "tests/unit/suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SQUASH 4242u

static struct client *r, *u, *v; /* guests of root, of user 1000, of user 1001 */
static const char *root;

/* The loop's thread is this one: it acts as the last guest it served. */
static void as_myself(void)
{
	EQ(cred_use(NULL), 0);
}

static int set_cred(struct client *c, uint32_t id, uint32_t uid, uint32_t gid,
                    uint32_t group)
{
	File__SetCredReq q = FILE__SET_CRED_REQ__INIT;

	q.cred = id;
	q.uid = uid;
	q.gid = gid;
	q.n_groups = group ? 1 : 0;
	q.groups = &group;
	return call(c, M_SET_CRED, &q.base, NULL, 0);
}

static int open_as(struct client *c, uint32_t cred, const char *path, uint32_t flags,
                   uint32_t mode)
{
	File__OpenReq q = FILE__OPEN_REQ__INIT;
	int err;

	q.cred = cred;
	q.path = bytes(path);
	q.flags = flags;
	q.mode = mode;
	q.handle = 500;
	err = call(c, M_OPEN, &q.base, NULL, 0);
	if (err == 0)
		EQ(x_release(c, 500), 0);
	return err;
}

static int chown_as(struct client *c, const char *path, uint32_t uid, uint32_t gid)
{
	File__SetAttrReq q = FILE__SET_ATTR_REQ__INIT;

	q.path = bytes(path);
	q.what = FILE_SET_UID | FILE_SET_GID;
	q.uid = uid;
	q.gid = gid;
	return call(c, M_SET_ATTR, &q.base, NULL, 0);
}

static void files_belong_to_who_made_them(void)
{
	File__Attr a;

	EQ(open_as(u, 0, "/of-u", O_RDWR | O_CREAT, 0600), 0);
	EQ(x_stat(u, 0, "/of-u", 0, &a), 0);
	EQ(a.uid, 1000);
	EQ(a.gid, 1000);
	EQ(open_as(v, 0, "/of-u", O_RDONLY, 0), -EACCES);
	EQ(open_as(u, 0, "/of-u", O_RDONLY, 0), 0);
	EQ(open_as(r, 0, "/of-r", O_RDWR | O_CREAT, 0600), 0);
	EQ(x_stat(u, 0, "/of-r", 0, &a), 0);
	EQ(a.uid, SQUASH);
	EQ(open_as(r, 0, "/of-u", O_RDONLY, 0),
	   -EACCES); /* root of a guest is no root here */
	EQ(chown_as(r, "/of-u", 0, 0), -EPERM);
	EQ(chown_as(r, "/of-r", 0, 0), 0); /* its own: nothing changes */
	EQ(chown_as(r, "/of-r", 1000, 1000), -EPERM);
}

static void search_permission_counts(void)
{
	EQ(x_make(u, M_MKDIR, 0, "/closed", 0700, NULL), 0);
	EQ(x_make(u, M_MKNOD, 0, "/closed/f", S_IFREG | 0666, NULL), 0);
	EQ(open_as(v, 0, "/closed/f", O_RDONLY, 0), -EACCES);
	EQ(open_as(v, 0, "/closed/../of-u", O_RDONLY, 0), -EACCES);
	EQ(open_as(v, 0, "/closed/./f", O_RDONLY, 0), -EACCES);
	EQ(x_path(v, M_UNLINK, 0, "/closed/f", 0, 0), -EACCES);
	EQ(x_two(v, M_RENAME, 0, "/closed/f", 0, "/f", 0), -EACCES);
	EQ(x_make(v, M_SYMLINK, 0, "/to-closed", 0, "/closed/f"), 0);
	EQ(open_as(v, 0, "/to-closed", O_RDONLY, 0), -EACCES);
	EQ(open_as(u, 0, "/to-closed", O_RDONLY, 0), 0);
}

static void groups_count(void)
{
	EQ(set_cred(r, 3, 2000, 2000, 0), 0);
	EQ(set_cred(r, 4, 2000, 2000, 1000), 0);
	EQ(x_make(u, M_MKNOD, 0, "/grp", S_IFREG | 0640, NULL), 0);
	EQ(open_as(r, 3, "/grp", O_RDONLY, 0), -EACCES);
	EQ(open_as(r, 4, "/grp", O_RDONLY, 0), 0);
	EQ(open_as(r, 4, "/grp", O_RDWR, 0), -EACCES);
	EQ(open_as(r, 3, "/grp", O_RDONLY, 0),
	   -EACCES); /* the thread forgets them again */
	EQ(open_as(r, 9, "/grp", O_RDONLY, 0), -EINVAL); /* never defined */
}

static void a_user_stays_who_it_is(void)
{
	EQ(set_cred(u, 1, 1001, 1000, 0), -EPERM);
	EQ(set_cred(u, 1, 0, 0, 0), -EPERM);
	EQ(set_cred(u, 1, 1000, 1000, 27), -EPERM);
	EQ(set_cred(u, 1, 1000, 1000, 1000), 0);
	EQ(set_cred(u, 256, 1000, 1000, 0), -EINVAL);
	EQ(set_cred(r, 1, UINT32_MAX, 0, 0), -EINVAL);
}

static int access_as(struct client *c, const char *path, uint32_t mode, uint32_t flags,
                     uint32_t real)
{
	File__PathReq q = FILE__PATH_REQ__INIT;

	q.path = bytes(path);
	q.mode = mode;
	q.flags = flags;
	q.real_uid = q.real_gid = real;
	return call(c, M_ACCESS, &q.base, NULL, 0);
}

static void access_asks_for_the_real_ids(void)
{
	EQ(access_as(r, "/of-u", R_OK, 0, 1000), 0);
	EQ(access_as(r, "/of-u", R_OK, 0, 1001), -EACCES);
	EQ(access_as(r, "/of-u", R_OK, AT_EACCESS, 1000), -EACCES);
	EQ(access_as(r, "/closed/f", F_OK, 0, 1001), -EACCES);
	EQ(access_as(r, "/closed/f", F_OK, 0, 1000), 0);
	EQ(access_as(u, "/of-u", R_OK, 0, 1000), 0);
	EQ(access_as(u, "/of-u", R_OK, 0, 1001), -EPERM);
}

static void set_id_bits_do_not_survive(void)
{
	File__SetAttrReq q = FILE__SET_ATTR_REQ__INIT;
	File__Attr a;

	EQ(open_as(u, 0, "/suid", O_RDWR | O_CREAT, 06755), 0);
	EQ(x_stat(u, 0, "/suid", 0, &a), 0);
	EQ(a.mode & 07777, 0755);
	q.path = bytes("/suid");
	q.what = FILE_SET_MODE;
	q.mode = 06777;
	EQ(call(u, M_SET_ATTR, &q.base, NULL, 0), 0);
	EQ(x_stat(u, 0, "/suid", 0, &a), 0);
	EQ(a.mode & 07777, 0777);
	EQ(call(v, M_SET_ATTR, &q.base, NULL, 0), -EPERM);
}

static void devices_are_refused(void)
{
	char path[300];

	snprintf(path, sizeof path, "%s/null", root);
	as_myself();
	EQ(mknod(path, S_IFCHR | 0666, 1 << 8 | 3), 0);
	EQ(open_as(u, 0, "/null", O_RDWR, 0), -ENXIO);
	EQ(open_as(u, 0, "/null", O_PATH, 0), 0); /* a reference does nothing */
}

/* How many orphans the folder of the export at @top holds. */
static int orphans_of(const char *top)
{
	char path[600];
	struct dirent *e, *f;
	int n = 0;
	DIR *d, *s;

	as_myself();
	snprintf(path, sizeof path, "%s/" ORPHANS_DIR, top);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/" ORPHANS_DIR "/%s", top, e->d_name);
		s = opendir(path);
		while (s && (f = readdir(s)))
			n += f->d_name[0] != '.';
		if (s)
			closedir(s);
	}
	if (d)
		closedir(d);
	return n;
}

static int orphans(void)
{
	return orphans_of(root);
}

static void an_unlinked_open_file_has_a_hidden_name(void)
{
	File__Attr a;

	EQ(x_open(u, 0, "/o1", O_RDWR | O_CREAT, 0600, 1), 0);
	EQ(x_open(u, 0, "/o1", O_RDWR, 0, 2), 0);
	EQ(x_path(u, M_UNLINK, 0, "/o1", 0, 0), 0);
	EQ(orphans(), 1);
	EQ(x_stat(u, 1, "", 0, &a), 0);
	EQ(a.nlink, 0);
	EQ(x_release(u, 1), 0);
	EQ(orphans(), 1);
	EQ(x_release(u, 2), 0);
	EQ(orphans(), 0);
}

static void a_file_renamed_over_has_too(void)
{
	File__Attr a;

	EQ(x_open(u, 0, "/o2", O_RDWR | O_CREAT, 0600, 1), 0);
	EQ(x_write(u, 1, 0, "old", 3), 3);
	EQ(open_as(u, 0, "/o3", O_RDWR | O_CREAT, 0600), 0);
	EQ(x_two(u, M_RENAME, 0, "/o3", 0, "/o2", 0), 0);
	EQ(orphans(), 1);
	EQ(x_stat(u, 1, "", 0, &a), 0);
	EQ(a.nlink, 0);
	EQ(x_read(u, 1, 0, 8), 3);
	EQ(x_release(u, 1), 0);
	EQ(orphans(), 0);
}

static void what_stays_named_is_no_orphan(void)
{
	File__Attr a;

	EQ(x_open(u, 0, "/o4", O_RDWR | O_CREAT, 0600, 1), 0);
	EQ(x_two(u, M_LINK, 0, "/o4", 0, "/o5", 0), 0);
	EQ(x_path(u, M_UNLINK, 0, "/o4", 0, 0), 0);
	EQ(orphans(), 0);
	EQ(x_two(u, M_RENAME, 0, "/o5", 0, "/o6", 0), 0);
	EQ(orphans(), 0);
	EQ(x_stat(u, 1, "", 0, &a), 0);
	EQ(a.nlink, 1);
	/* Who may not unlink leaves nothing behind. */
	EQ(x_make(u, M_MKDIR, 0, "/od", 0755, NULL), 0);
	EQ(x_open(u, 0, "/od/f", O_RDWR | O_CREAT, 0666, 2), 0);
	EQ(x_path(v, M_UNLINK, 0, "/od/f", 0, 0), -EACCES);
	EQ(orphans(), 0);
	EQ(x_stat(u, 2, "", 0, &a), 0);
	EQ(a.nlink, 1);
	EQ(x_release(u, 1), 0);
	EQ(x_release(u, 2), 0);
}

/* Begins and ends. */
static void another_run(void)
{
	const struct mount_spec spec = {.path = "/",
	                                .kind = "dir",
	                                .source = "again",
	                                .fd = open(root, O_PATH | O_DIRECTORY)};
	struct instance other;
	struct mounts m;
	char *why = NULL;

	mounts_init(&m);
	EQ(instance_init(&other, 1, NULL, 0), 0);
	EQ(mounts_add(&m, &spec, &other, &why), 0);
	mounts_fini(&m);
}

static void orphans_of_the_dead_are_swept(void)
{
	char path[600];
	int fd;

	/* As left by an instance that was killed: nobody holds the folder. */
	snprintf(path, sizeof path, "%s/" ORPHANS_DIR "/0123456789abcdef", root);
	EQ(x_open(u, 0, "/o7", O_RDWR | O_CREAT, 0600, 1), 0);
	EQ(x_path(u, M_UNLINK, 0, "/o7", 0, 0), 0); /* the folder exists now */
	as_myself();
	EQ(mkdir(path, 0700), 0);
	strcat(path, "/1-1");
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	CU_ASSERT(fd >= 0);
	close(fd);
	EQ(orphans(), 2);
	for (int old = 0; old < 2; old++) {
		struct timespec then[2] = {{.tv_sec = time(NULL) - ORPHANS_OLD_S - 5}};

		then[1] = then[0];
		*strrchr(path, '/') = 0;
		if (old)
			EQ(utimensat(AT_FDCWD, path, then, 0), 0);
		strcat(path, "/1-1");
		another_run();
		/* Ours is alive, the other's next instance may come; then not any more. */
		EQ(orphans(), old ? 1 : 2);
	}
	EQ(x_release(u, 1), 0);
	EQ(orphans(), 0);
}

static void race_in(const char *top, const char *path)
{
	for (int i = 0; i < 300; i++) {
		File__OpenReq o = FILE__OPEN_REQ__INIT;
		File__PathReq q = FILE__PATH_REQ__INIT;
		struct pending *p[2];
		File__Attr a;

		EQ(open_as(u, 0, path, O_RDWR | O_CREAT, 0666), 0);
		o.path = q.path = bytes(path);
		o.flags = O_RDWR;
		o.handle = 9;
		p[0] = call_start(u, M_UNLINK, &q.base, NULL, 0);
		p[1] = call_start(v, M_OPEN, &o.base, NULL, 0);
		EQ(call_wait(u, p[0]), 0);
		const int err = call_wait(v, p[1]);

		if (err == 0) { /* it was first: then the file has a hidden name */
			EQ(orphans_of(top), 1);
			EQ(x_stat(v, 9, "", 0, &a), 0);
			EQ(a.nlink, 0);
			EQ(x_release(v, 9), 0);
		} else {
			EQ(err, -ENOENT);
		}
		EQ(orphans_of(top), 0);
	}
}

static char g_kept[64] = "/dev/shm/fsd-kept-XXXXXX"; /* where an open is one call */

static void two_clients_race_for_orphans(void)
{
	race_in(root, "/race");
	race_in(g_kept, "/m/race");
}

static int setattr_at(struct client *c, uint32_t at, uint32_t mode)
{
	File__SetAttrReq q = FILE__SET_ATTR_REQ__INIT;

	q.at = at;
	q.what = FILE_SET_MODE;
	q.mode = mode;
	return call(c, M_SET_ATTR, &q.base, NULL, 0);
}

/* "/m" is the guests' alone; "/" is not. */
static void root_is_root_where_only_guests_are(void)
{
	File__Attr a;

	EQ(open_as(u, 0, "/theirs", O_RDWR | O_CREAT, 0600), 0);
	EQ(open_as(r, 0, "/m/f", O_RDWR | O_CREAT, 0600), 0);
	EQ(x_stat(r, 0, "/m/f", 0, &a), 0);
	EQ(a.uid, 0);
	EQ(a.gid, 0);
	EQ(chown_as(r, "/m/f", 1000, 1000), 0);
	EQ(open_as(r, 0, "/m/f", O_RDWR, 0), 0);
	EQ(open_as(u, 0, "/m/f", O_RDWR, 0), 0);
	EQ(open_as(v, 0, "/m/f", O_RDWR, 0), -EACCES);
	EQ(chown_as(r, "/m/f", 0, 0), 0);
	EQ(open_as(u, 0, "/m/f", O_RDWR, 0), -EACCES);
	/* A walk that begins there has no more rights elsewhere, nor has a link. */
	EQ(open_as(r, 0, "/m/../theirs", O_RDONLY, 0), -EACCES);
	EQ(x_make(r, M_SYMLINK, 0, "/m/l", 0, "/theirs"), 0);
	EQ(open_as(r, 0, "/m/l", O_RDONLY, 0), -EACCES);
	EQ(x_make(u, M_SYMLINK, 0, "/to-m", 0, "/m/f"), 0);
	EQ(open_as(r, 0, "/to-m", O_RDONLY, 0), 0);
	EQ(x_make(r, M_MKDIR, 0, "/m/d", 0700, NULL), 0);
	EQ(open_as(r, 0, "/m/d/../../closed/f", O_RDONLY, 0), -EACCES);
	EQ(open_as(v, 0, "/m/d/../f", O_RDONLY, 0), -EACCES);
}

static void a_handle_has_the_rights_of_its_mount(void)
{
	File__Attr a;

	EQ(x_open(r, 0, "/theirs", O_PATH, 0, 1), 0);
	EQ(x_open(r, 0, "/m/f", O_RDWR, 0, 2), 0);
	for (int i = 0; i < 3; i++) { /* each after the other */
		EQ(setattr_at(r, 2, 0640), 0);
		EQ(setattr_at(r, 1, 0666), -EPERM);
		EQ(chown_as(r, "/m/f", 1000, 0), 0);
		EQ(x_path(r, M_ACCESS, 1, "", AT_EMPTY_PATH | AT_EACCESS, R_OK),
		   -EACCES);
		EQ(x_path(r, M_ACCESS, 2, "", AT_EMPTY_PATH | AT_EACCESS, R_OK), 0);
	}
	EQ(x_stat(r, 2, "", 0, &a), 0);
	EQ(a.mode & 07777, 0640);
	/* What a worker does with it. */
	EQ(x_write(r, 2, 0, "abc", 3), 3);
	EQ(x_path(r, M_UNLINK, 0, "/m/f", 0, 0), 0);
	EQ(x_read(r, 2, 0, 8), 3);
	EQ(x_release(r, 1), 0);
	EQ(x_release(r, 2), 0);
	EQ(open_as(r, 0, "/theirs", O_RDONLY, 0), -EACCES);
}

static int start(void)
{
	if (access("/dev/shm", W_OK) < 0)
		strcpy(g_kept, "/tmp/fsd-kept-XXXXXX");
	if (!mkdtemp(g_kept) || chmod(g_kept, 0777) < 0)
		return -1;
	bench_squash(SQUASH, SQUASH);
	bench_mount_kept("/m", g_kept);
	root = bench_start(false, false);
	r = client_new(0, 0);
	u = client_new(1000, 1000);
	v = client_new(1001, 1001);
	return 0;
}

static int stop(void)
{
	client_free(r);
	client_free(u);
	client_free(v);
	if (cred_use(NULL) < 0)
		return -1;
	cred_thread_fini();
	const bool clean = bench_stop();
	char cmd[128];

	snprintf(cmd, sizeof cmd, "rm -rf '%s'", g_kept);
	return system(cmd) == 0 && clean ? 0 : -1;
}

int main(void)
{
	static CU_TestInfo tests[] = {
	        TEST(files_belong_to_who_made_them),
	        TEST(search_permission_counts),
	        TEST(groups_count),
	        TEST(a_user_stays_who_it_is),
	        TEST(access_asks_for_the_real_ids),
	        TEST(set_id_bits_do_not_survive),
	        TEST(devices_are_refused),
	        TEST(root_is_root_where_only_guests_are),
	        TEST(a_handle_has_the_rights_of_its_mount),
	        TEST(an_unlinked_open_file_has_a_hidden_name),
	        TEST(a_file_renamed_over_has_too),
	        TEST(what_stays_named_is_no_orphan),
	        TEST(orphans_of_the_dead_are_swept),
	        TEST(two_clients_race_for_orphans),
	        CU_TEST_INFO_NULL,
	};

	if (geteuid() != 0 || syscall(SYS_setfsuid, 1000) != 0 ||
	    syscall(SYS_setfsuid, 0) != 1000) {
		printf("may not take file system ids (needs root): skipped\n");
		return 77;
	}
	return suite_run("fsd credentials", start, stop, tests);
}
