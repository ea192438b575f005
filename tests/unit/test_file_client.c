/* SPDX-License-Identifier: MIT */
/*
 * The file client (libos/file*.c, path.c, filemap.c) as a library, in front of a real
 * fsd: for the sanitizers.  What the calls mean is tested by tests/sys/test_sys_file_*.
 */
#include "libos/file.h"
#include "libos/filemap.h"
#include "libos/path.h"
#include "tests/testlib/testlib.h"
#include "tests/unit/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *g_fsd;
static char g_dir[] = "/tmp/file-client-XXXXXX";

static bool start_all(void)
{
	static struct plat_config config = {.cwd = "/",
	                                    .client_id = "file-client-test"};
	Control__Configure conf = CONTROL__CONFIGURE__INIT;
	Control__FileConfig file = CONTROL__FILE_CONFIG__INIT;
	Control__Mount m = CONTROL__MOUNT__INIT, *list[1] = {&m};
	bool ok;
	int fd;

	if (!mkdtemp(g_dir))
		return false;
	fd = open(g_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	m.guest_path = bytes("/", 1);
	m.kind = bytes("dir", 3);
	m.source = bytes(g_dir, strlen(g_dir));
	file.mounts = list;
	file.n_mounts = 1;
	file.can_setcred = geteuid() == 0;
	conf.file = &file;
	ok = supervisor_start(g_fsd, "fsd", &conf, &fd, 1);
	close(fd);
	return ok && supervisor_guest(&config, &config.file) && file_present();
}

static void stop_all(void)
{
	EQ(supervisor_stop(), 0);
}

/* ---- paths as text ---- */

static void paths_become_normal(void)
{
	static const struct {
		const char *dir, *path, *want;
	} rows[] = {
	        {"/", "/", "/"},
	        {"/", "a", "/a"},
	        {"/x", "a//b/./c", "/x/a/b/c"},
	        {"/x", "/a/", "/a"},
	        {"/x/y", "..", "/x"},
	        {"/x/y", "../..", "/"},
	        {"/x", "../../../..", "/"},
	        {"/x", "..a/b..", "/x/..a/b.."},
	        {"/x", "./..", "/"},
	        {"/x", "a/../b", "/x/b"},
	        {"/x", "...", "/x/..."},
	        {"/x", "", "/x"},
	};
	char out[ABI_PATH_MAX], longer[ABI_PATH_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EQ(path_normalize(out, rows[i].dir, rows[i].path),
		   strlen(rows[i].want));
		CU_ASSERT_STRING_EQUAL(out, rows[i].want);
	}
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	EQ(path_normalize(out, "/", longer), -ENAMETOOLONG);
	longer[sizeof(longer) - 2] = '\0';
	EQ(path_normalize(out, "/", longer), ABI_PATH_MAX - 1);
}

/* ---- calls ---- */

static void reads_what_was_written(void)
{
	static char a[400000], b[400000];
	long fd = SYS(SYS_open, "/file", O_CREAT | O_RDWR, 0600);

	CU_ASSERT_FATAL(fd >= 0);
	for (size_t i = 0; i < sizeof(a); i++)
		a[i] = (char)(i * 37 >> 3);
	EQ(SYS(SYS_write, fd, a, sizeof(a)), sizeof(a));
	EQ(SYS(SYS_pread64, fd, b, sizeof(b), 0), sizeof(b));
	EQ(memcmp(a, b, sizeof(a)), 0);
	EQ(SYS(SYS_lseek, fd, 0, SEEK_END), sizeof(a));
	EQ(SYS(SYS_close, fd), 0);
	EQ(SYS(SYS_unlink, "/file"), 0);
	EQ(SYS(SYS_open, "/file", O_RDONLY), -ENOENT);
}

static void handles_come_back(void)
{
	long fd;

	for (int i = 0; i < 3000; i++) {
		fd = SYS(SYS_open, "/", O_RDONLY | O_DIRECTORY);
		if (fd < 0)
			break;
		SYS(SYS_close, fd);
	}
	CU_ASSERT(fd >= 0);
	/* A pool of 256: numbers were used again. */
	fd = SYS(SYS_open, "/", O_PATH);
	CU_ASSERT_FATAL(fd >= 0);
	struct ofd *o = ofd_get((int)fd);

	CU_ASSERT(file_of(o)->handle <= 256);
	ofd_put(o);
	SYS(SYS_close, fd);
}

/* ---- everything beside everything ---- */

#define THREADS 6
#define ROUNDS 400
#define FILES 4

static unsigned g_bad;

static void allow(long r, const int *errs, const char *what)
{
	if (r >= 0)
		return;
	for (; *errs; errs++) {
		if (r == -*errs)
			return;
	}
	fprintf(stderr, "%s gives %ld\n", what, r);
	__atomic_add_fetch(&g_bad, 1, __ATOMIC_RELAXED);
}

static void use_map(long fd, unsigned *seed)
{
	static const int map_errs[] = {ENOMEM, 0};
	long at = SYS(SYS_mmap, 0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	              rand_r(seed) % 4 * 4096);

	allow(at, map_errs, "mmap");
	if (at < 0)
		return;
	/* Not touched: another thread may cut the file, and that is SIGBUS. */
	allow(SYS(SYS_msync, at, 8192, MS_SYNC), (const int[]){0}, "msync");
	allow(SYS(SYS_munmap, at, 8192), (const int[]){0}, "munmap");
}

static void one_call(unsigned *seed, const char *name, const char *other)
{
	static const int errs[] = {ENOENT, EEXIST, EAGAIN, 0};
	char buf[9000] = "data";
	long fd = SYS(SYS_open, name, O_CREAT | O_RDWR, 0600);

	allow(fd, errs, "open");
	if (fd < 0)
		return;
	switch (rand_r(seed) % 12) {
	case 0:
		allow(SYS(SYS_write, fd, buf, sizeof(buf)), errs, "write");
		break;
	case 1:
		allow(SYS(SYS_pread64, fd, buf, sizeof(buf), rand_r(seed) % 9000), errs,
		      "pread");
		break;
	case 2:
		allow(SYS(SYS_ftruncate, fd, rand_r(seed) % 30000), errs, "ftruncate");
		break;
	case 3:
	case 4:
		use_map(fd, seed);
		break;
	case 5:
		allow(SYS(SYS_unlink, name), errs, "unlink");
		break;
	case 6:
		allow(SYS(SYS_rename, name, other), errs, "rename");
		break;
	case 7:
		allow(SYS(SYS_flock, fd, LOCK_EX), errs, "flock");
		break;
	case 8: {
		struct flock fl = {.l_type = F_WRLCK, .l_len = 10};

		allow(SYS(SYS_fcntl, fd, F_SETLK, &fl), errs, "F_SETLK");
		break;
	}
	case 9:
		allow(SYS(SYS_fsync, fd), errs, "fsync");
		break;
	case 10:
		allow(SYS(SYS_pwrite64, fd, buf, 5000, rand_r(seed) % 20000), errs,
		      "pwrite");
		break;
	default:
		allow(SYS(SYS_chdir, "/"), errs, "chdir");
		allow(SYS(SYS_getcwd, buf, sizeof(buf)), errs, "getcwd");
	}
	allow(SYS(SYS_close, fd), (const int[]){0}, "close");
}

static void *hammer(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		char name[16], other[16];

		snprintf(name, sizeof(name), "/h%u", (unsigned)rand_r(&seed) % FILES);
		snprintf(other, sizeof(other), "/h%u", (unsigned)rand_r(&seed) % FILES);
		one_call(&seed, name, other);
	}
	return NULL;
}

static void threads_do_all_at_once(void)
{
	pthread_t t[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		EQ(testlib_thread(&t[i], hammer, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	EQ(g_bad, 0);
}

static void stores_reach_fsd_at_the_end(void)
{
	char want = 'W', got = 0;
	long fd = SYS(SYS_open, "/mapped", O_CREAT | O_RDWR, 0600), at;
	char path[64];
	int host;

	EQ(SYS(SYS_ftruncate, fd, 4096), 0);
	at = SYS(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CU_ASSERT_FATAL(at > 0);
	EQ(SYS(SYS_close, fd), 0);
	*(volatile char *)(at + 100) = want;
	file_exit();
	snprintf(path, sizeof(path), "%s/mapped", g_dir);
	host = open(path, O_RDONLY);
	EQ(pread(host, &got, 1, 100), 1);
	close(host);
	EQ(got, want);
	EQ(SYS(SYS_munmap, at, 4096), 0);
}

/* Last: the service goes, and every call says so. */
static void a_dead_service_gives_eio(void)
{
	long fd = SYS(SYS_open, "/last", O_CREAT | O_RDWR, 0600);
	char c;

	stop_all();
	for (int i = 0; i < 3; i++)
		EQ(SYS(SYS_pread64, fd, &c, 1, 0), -EIO);
	EQ(SYS(SYS_open, "/last", O_RDONLY), -EIO);
	EQ(SYS(SYS_flock, fd, LOCK_EX), -EIO);
	EQ(SYS(SYS_close, fd), 0);
}

int main(int argc, char **argv)
{
	static CU_TestInfo tests[] = {
		TEST(paths_become_normal),
		TEST(reads_what_was_written),
		TEST(handles_come_back),
		TEST(threads_do_all_at_once),
		TEST(stores_reach_fsd_at_the_end),
		TEST(a_dead_service_gives_eio),
		CU_TEST_INFO_NULL,
	};
	int failed;

	failed = supervisor_suite("file client", tests, start_all, &g_fsd, argc, argv);
	if (fork() == 0)
		execlp("rm", "rm", "-rf", g_dir, (char *)NULL);
	wait(NULL);
	return failed;
}
