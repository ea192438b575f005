/* SPDX-License-Identifier: MIT */
/*
 * The file client over kills of a real fsd: what is open goes on, what is locked stays
 * locked, and no call is lost or done twice.
 */
#include "libos/file.h"
#include "tests/testlib/testlib.h"
#include "tests/unit/file_recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *g_fsd;
static Control__Configure g_conf = CONTROL__CONFIGURE__INIT;
static char g_dir[] = "/tmp/file-recover-XXXXXX";

const char *recover_dir(void)
{
	return g_dir;
}

static bool start_all(void)
{
	static struct plat_config config = {
	        .cwd = "/", .client_id = "file-recover-tes", .recover_ns = 30000000000u};
	static Control__FileConfig file = CONTROL__FILE_CONFIG__INIT;
	static Control__Mount m = CONTROL__MOUNT__INIT, *list[1] = {&m};
	bool ok;
	int fd;

	if (!mkdtemp(g_dir) || chmod(g_dir, 0755) != 0)
		return false;
	config.uid = geteuid();
	config.gid = getegid();
	fd = open(g_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	m.guest_path = bytes("/", 1);
	m.kind = bytes("dir", 3);
	m.source = bytes(g_dir, strlen(g_dir));
	file.mounts = list;
	file.n_mounts = 1;
	file.can_setcred = geteuid() == 0;
	g_conf.file = &file;
	g_conf.instance = bytes("0123456789abcdef", 16);
	g_conf.write_verifier = 77;
	ok = supervisor_start(g_fsd, "fsd", &g_conf, &fd, 1);
	close(fd);
	return ok && supervisor_guest(&config, &config.file) && file_present();
}

/* ---- what is open ---- */

static void a_position_goes_on(void)
{
	const long fd = open_file("/pos", O_CREAT | O_RDWR);
	char buf[16] = {0};

	EQ(SYS(SYS_write, fd, "0123456789", 10), 10);
	EQ(SYS(SYS_lseek, fd, 3, SEEK_SET), 3);
	KILL();
	EQ(SYS(SYS_read, fd, buf, 3), 3);
	EQ(memcmp(buf, "345", 3), 0);
	EQ(SYS(SYS_write, fd, "ab", 2), 2);
	KILL();
	KILL();
	EQ(SYS(SYS_lseek, fd, 0, SEEK_CUR), 8);
	EQ(SYS(SYS_pread64, fd, buf, 10, 0), 10);
	EQ(memcmp(buf, "012345ab89", 10), 0);
	EQ(SYS(SYS_close, fd), 0);
	EQ(SYS(SYS_unlink, "/pos"), 0);
}

static void an_append_goes_to_the_end(void)
{
	const long a = open_file("/log", O_CREAT | O_WRONLY | O_APPEND);
	const long r = open_file("/log", O_RDONLY);
	char buf[16];

	EQ(SYS(SYS_write, a, "one", 3), 3);
	KILL();
	EQ(SYS(SYS_write, a, "two", 3), 3);
	EQ(SYS(SYS_write, r, "no", 2), -EBADF);
	EQ(SYS(SYS_read, a, buf, 1), -EBADF);
	EQ(SYS(SYS_read, r, buf, sizeof(buf)), 6);
	EQ(memcmp(buf, "onetwo", 6), 0);
	SYS(SYS_close, a);
	SYS(SYS_close, r);
	EQ(SYS(SYS_unlink, "/log"), 0);
}

static void a_mode_taken_away_does_not_count(void)
{
	const long fd = open_file("/mode", O_CREAT | O_RDWR);

	EQ(SYS(SYS_chmod, "/mode", 0), 0);
	KILL();
	EQ(SYS(SYS_write, fd, "x", 1), 1);
	SYS(SYS_close, fd);
	EQ(SYS(SYS_unlink, "/mode"), 0);
}

static void a_file_without_a_name_stays(void)
{
	const long fd = open_file("/gone", O_CREAT | O_RDWR);
	struct stat st;
	char c = 0;

	EQ(SYS(SYS_write, fd, "x", 1), 1);
	EQ(SYS(SYS_unlink, "/gone"), 0);
	KILL();
	EQ(SYS(SYS_pread64, fd, &c, 1, 0), 1);
	EQ(c, 'x');
	EQ(SYS(SYS_fstat, fd, &st), 0);
	EQ(st.st_nlink, 0);
	KILL();
	EQ(SYS(SYS_write, fd, "y", 1), 1);
	EQ(SYS(SYS_fstat, fd, &st), 0);
	EQ(st.st_size, 2);
	EQ(SYS(SYS_close, fd), 0);
	EQ(SYS(SYS_open, "/gone", O_RDONLY), -ENOENT);
}

static void a_renamed_file_is_found(void)
{
	long a, b, dir;
	char c = 0;

	EQ(SYS(SYS_mkdir, "/d1", 0755), 0);
	a = open_file("/d1/a", O_CREAT | O_RDWR);
	b = open_file("/b", O_CREAT | O_RDWR);
	dir = open_file("/d1", O_RDONLY | O_DIRECTORY);
	EQ(SYS(SYS_write, a, "a", 1), 1);
	EQ(SYS(SYS_write, b, "b", 1), 1);
	EQ(SYS(SYS_rename, "/d1", "/d2"), 0);
	EQ(SYS(SYS_renameat2, AT_FDCWD, "/d2/a", AT_FDCWD, "/b", 2 /* EXCHANGE */), 0);
	KILL();
	EQ(SYS(SYS_pread64, a, &c, 1, 0), 1);
	EQ(c, 'a');
	EQ(SYS(SYS_pread64, b, &c, 1, 0), 1);
	EQ(c, 'b');
	SYS(SYS_close, a);
	a = SYS(SYS_openat, dir, "a", O_RDONLY);
	CU_ASSERT(a >= 0);
	EQ(SYS(SYS_read, a, &c, 1), 1);
	EQ(c, 'b');
	SYS(SYS_close, a);
	SYS(SYS_close, b);
	SYS(SYS_close, dir);
	EQ(SYS(SYS_unlink, "/d2/a"), 0);
	EQ(SYS(SYS_rmdir, "/d2"), 0);
	EQ(SYS(SYS_unlink, "/b"), 0);
}

static void the_current_directory_stays(void)
{
	char buf[64];
	long fd, ref;

	EQ(SYS(SYS_mkdir, "/cwd", 0755), 0);
	EQ(SYS(SYS_chdir, "/cwd"), 0);
	fd = open_file("in", O_CREAT | O_RDWR);
	ref = open_file("in", K_O_PATH);
	EQ(SYS(SYS_rename, "/cwd", "/moved"), 0);
	KILL();
	EQ(SYS(SYS_getcwd, buf, sizeof(buf)), sizeof("/moved"));
	CU_ASSERT_STRING_EQUAL(buf, "/moved");
	EQ(SYS(SYS_access, "in", F_OK), 0);
	EQ(SYS(SYS_read, ref, buf, 1), -EBADF);
	EQ(SYS(SYS_faccessat2, ref, "", F_OK, AT_EMPTY_PATH), 0);
	SYS(SYS_close, fd);
	SYS(SYS_close, ref);
	EQ(SYS(SYS_unlink, "in"), 0);
	EQ(SYS(SYS_chdir, "/"), 0);
	EQ(SYS(SYS_rmdir, "/moved"), 0);
}

#define ENTRIES 3000

static void a_directory_is_read_on(void)
{
	static _Alignas(8) char buf[2048];
	static uint8_t seen[ENTRIES];
	char name[32];
	unsigned n = 0, calls = 0;
	long dir, r;

	EQ(SYS(SYS_mkdir, "/many", 0755), 0);
	for (unsigned i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "/many/entry-%06u", i);
		EQ(SYS(SYS_mknod, name, S_IFREG | 0600, 0), 0);
	}
	memset(seen, 0, sizeof(seen));
	dir = open_file("/many", O_RDONLY | O_DIRECTORY);
	while ((r = SYS(SYS_getdents64, dir, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < r; n++) {
			struct dirent64 *d = (struct dirent64 *)(void *)(buf + at);
			unsigned i;

			at += d->d_reclen;
			if (sscanf(d->d_name, "entry-%06u", &i) != 1)
				continue;
			CU_ASSERT(!seen[i]++);
			snprintf(name, sizeof(name), "/many/entry-%06u", i);
			if (i % 2)
				EQ(SYS(SYS_unlink, name), 0);
		}
		if (++calls % 16 == 0)
			KILL();
	}
	EQ(r, 0);
	EQ(n, ENTRIES + 2);
	CU_ASSERT(calls > 32);
	SYS(SYS_close, dir);
	for (unsigned i = 0; i < ENTRIES; i += 2) {
		snprintf(name, sizeof(name), "/many/entry-%06u", i);
		EQ(SYS(SYS_unlink, name), 0);
	}
	EQ(SYS(SYS_rmdir, "/many"), 0);
}

static void a_shared_mapping_is_written_back(void)
{
	const long fd = open_file("/map", O_CREAT | O_RDWR);
	char buf[4], *p;

	EQ(SYS(SYS_ftruncate, fd, 8192), 0);
	p = (char *)SYS(SYS_mmap, 0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CU_ASSERT_FATAL((long)p > 0);
	SYS(SYS_close, fd);
	memcpy(p + 5000, "abc", 3);
	KILL();
	memcpy(p, "xyz", 3);
	EQ(SYS(SYS_msync, p, 8192, MS_SYNC), 0);
	const long other = open_file("/map", O_RDONLY);
	EQ(SYS(SYS_pread64, other, buf, 3, 5000), 3);
	EQ(memcmp(buf, "abc", 3), 0);
	EQ(SYS(SYS_pread64, other, buf, 3, 0), 3);
	EQ(memcmp(buf, "xyz", 3), 0);
	SYS(SYS_close, other);
	EQ(SYS(SYS_munmap, p, 8192), 0);
	EQ(SYS(SYS_unlink, "/map"), 0);
}

/* Replaced on the host's side: it cannot be found again, and says so. */
static void a_file_that_is_no_more_is_stale(void)
{
	const long fd = open_file("/lost", O_CREAT | O_RDWR);
	const long other = open_file("/kept", O_CREAT | O_RDWR);
	char path[128], c;

	snprintf(path, sizeof(path), "%s/lost", g_dir);
	EQ(unlink(path), 0); /* fsd did not see it go */
	KILL();
	EQ(SYS(SYS_read, fd, &c, 1), -ESTALE);
	EQ(SYS(SYS_write, fd, "x", 1), -ESTALE);
	KILL();
	EQ(SYS(SYS_fsync, fd), -ESTALE);
	EQ(SYS(SYS_write, other, "x", 1), 1);
	EQ(SYS(SYS_close, fd), 0);
	EQ(SYS(SYS_close, other), 0);
	/* Its number is used again. */
	for (int i = 0; i < 600; i++) {
		const long f = open_file("/kept", O_RDONLY);

		EQ(SYS(SYS_close, f), 0);
	}
	EQ(SYS(SYS_unlink, "/kept"), 0);
}

/* ---- what was not synced, where the file system itself went ---- */

#define LOSE()                                                                         \
	do {                                                                           \
		g_conf.write_verifier++;                                               \
		KILL();                                                                \
	} while (0)

static void fsync_tells_of_what_was_lost(void)
{
	const long a = open_file("/l", O_CREAT | O_RDWR), b = open_file("/l", O_RDWR);
	const long c = open_file("/m", O_CREAT | O_RDWR), d = open_file("/n", O_CREAT | O_RDWR);

	EQ(SYS(SYS_write, a, "x", 1), 1);
	EQ(SYS(SYS_write, c, "x", 1), 1);
	EQ(SYS(SYS_fsync, c), 0);
	LOSE();
	EQ(SYS(SYS_fsync, a), -EIO);
	EQ(SYS(SYS_fsync, a), 0);
	EQ(SYS(SYS_fdatasync, b), -EIO);
	EQ(SYS(SYS_fsync, b), 0);
	EQ(SYS(SYS_fsync, c), 0);
	EQ(SYS(SYS_fsync, d), 0);
	EQ(SYS(SYS_ftruncate, d, 10), 0);
	EQ(SYS(SYS_fallocate, c, 0, 0, 100), 0);
	KILL(); /* the service alone: nothing was lost */
	EQ(SYS(SYS_fsync, d), 0);
	EQ(SYS(SYS_ftruncate, d, 20), 0);
	LOSE();
	EQ(SYS(SYS_fsync, d), -EIO);
	EQ(SYS(SYS_fsync, c), -EIO);
	SYS(SYS_close, a);
	SYS(SYS_close, b);
	SYS(SYS_close, c);
	SYS(SYS_close, d);
	EQ(SYS(SYS_unlink, "/l"), 0);
	EQ(SYS(SYS_unlink, "/m"), 0);
	EQ(SYS(SYS_unlink, "/n"), 0);
}

static void a_mapping_is_written_again(void)
{
	const long fd = open_file("/map", O_CREAT | O_RDWR);
	char path[128], buf[4] = "", *p;
	int host;

	EQ(SYS(SYS_ftruncate, fd, 200000), 0);
	p = (char *)SYS(SYS_mmap, 0, 200000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CU_ASSERT_FATAL((long)p > 0);
	memcpy(p + 150000, "abc", 3);
	EQ(SYS(SYS_msync, p, 200000, MS_ASYNC), 0);
	/* As if it had never come to the disk. */
	snprintf(path, sizeof(path), "%s/map", g_dir);
	host = open(path, O_RDWR);
	EQ(pwrite(host, "\0\0\0", 3, 150000), 3);
	LOSE();
	memcpy(p, "xyz", 3);
	EQ(SYS(SYS_msync, p, 200000, MS_SYNC), -EIO);
	EQ(SYS(SYS_msync, p, 200000, MS_SYNC), 0);
	EQ(pread(host, buf, 3, 150000), 3);
	EQ(memcmp(buf, "abc", 3), 0);
	EQ(pread(host, buf, 3, 0), 3);
	EQ(memcmp(buf, "xyz", 3), 0);
	close(host);
	SYS(SYS_close, fd);
	EQ(SYS(SYS_munmap, p, 200000), 0);
	EQ(SYS(SYS_unlink, "/map"), 0);
}

/* ---- who opened it ---- */

static void a_file_stays_opened_by_who_opened_it(void)
{
	long fd;
	char c;

	if (geteuid() != 0)
		return;
	EQ(SYS(SYS_mkdir, "/own", 0777), 0);
	EQ(SYS(SYS_chmod, "/own", 0777), 0);
	EQ(SYS(SYS_setfsgid, 4321), 0);
	EQ(SYS(SYS_setfsuid, 1234), 0);
	fd = open_file("/own/f", O_CREAT | O_RDWR);
	EQ(SYS(SYS_setfsuid, 0), 1234);
	EQ(SYS(SYS_setfsgid, 0), 4321);
	/* Other ids where the opener's were. */
	for (int i = 1; i < 20; i++) {
		SYS(SYS_setfsuid, 5000 + i);
		EQ(SYS(SYS_access, "/own", F_OK), 0);
		SYS(SYS_setfsuid, 0);
	}
	KILL();
	EQ(SYS(SYS_write, fd, "x", 1), 1);
	EQ(SYS(SYS_pread64, fd, &c, 1, 0), 1);
	SYS(SYS_setfsuid, 1234);
	long mine = open_file("/own/g", O_CREAT | O_RDWR);
	struct stat st;
	EQ(SYS(SYS_fstat, mine, &st), 0);
	EQ(st.st_uid, 1234);
	KILL();
	EQ(SYS(SYS_mkdir, "/own/d", 0755), 0);
	EQ(SYS(SYS_stat, "/own/d", &st), 0);
	EQ(st.st_uid, 1234);
	SYS(SYS_setfsuid, 0);
	SYS(SYS_close, fd);
	SYS(SYS_close, mine);
	EQ(SYS(SYS_unlink, "/own/f"), 0);
	EQ(SYS(SYS_unlink, "/own/g"), 0);
	EQ(SYS(SYS_rmdir, "/own/d"), 0);
	EQ(SYS(SYS_rmdir, "/own"), 0);
}

/* ---- locks ---- */

/* What an OFD lock of @fd for writing at @at would meet: its type and range. */
static void meets(long fd, off_t at, short type, off_t start, off_t len)
{
	struct flock fl = {.l_type = F_WRLCK, .l_start = at, .l_len = 1};

	EQ(SYS(SYS_fcntl, fd, K_OFD_GETLK, &fl), 0);
	EQ(fl.l_type, type);
	if (type == F_UNLCK)
		return;
	EQ(fl.l_start, start);
	EQ(fl.l_len, len);
}

static void locks_are_held_on(void)
{
	const long posix = open_file("/lk", O_CREAT | O_RDWR);
	const long ofd = open_file("/lk", O_RDWR), probe = open_file("/lk", O_RDWR);

	EQ(set_lock(posix, F_SETLK, F_WRLCK, 0, 100), 0);
	EQ(set_lock(posix, F_SETLK, F_RDLCK, 40, 10), 0);
	EQ(set_lock(posix, F_SETLK, F_UNLCK, 90, 10), 0);
	EQ(set_lock(ofd, K_OFD_SETLK, F_WRLCK, 200, 0), 0);
	EQ(SYS(SYS_flock, ofd, LOCK_SH), 0);
	for (int i = 0; i < 3; i++) {
		meets(probe, 0, F_WRLCK, 0, 40);
		meets(probe, 45, F_RDLCK, 40, 10);
		meets(probe, 60, F_WRLCK, 50, 40);
		meets(probe, 90, F_UNLCK, 0, 0);
		meets(probe, 1 << 20, F_WRLCK, 200, 0);
		EQ(SYS(SYS_flock, probe, LOCK_EX | LOCK_NB), -EAGAIN);
		EQ(SYS(SYS_flock, probe, LOCK_SH | LOCK_NB), 0);
		EQ(SYS(SYS_flock, probe, LOCK_UN), 0);
		KILL();
	}
	/* Let go of: they do not come back. */
	EQ(set_lock(ofd, K_OFD_SETLK, F_UNLCK, 0, 0), 0);
	EQ(SYS(SYS_flock, ofd, LOCK_UN), 0);
	SYS(SYS_close, posix);
	KILL();
	meets(probe, 0, F_UNLCK, 0, 0);
	meets(probe, 300, F_UNLCK, 0, 0);
	EQ(SYS(SYS_flock, probe, LOCK_EX | LOCK_NB), 0);
	SYS(SYS_close, ofd);
	SYS(SYS_close, probe);
	EQ(SYS(SYS_unlink, "/lk"), 0);
}

/* A conversion that fails has lost the old lock, as on Linux. */
static void a_flock_that_was_lost_does_not_come_back(void)
{
	const long a = open_file("/fl", O_CREAT | O_RDWR), b = open_file("/fl", O_RDWR);

	EQ(SYS(SYS_flock, a, LOCK_SH), 0);
	EQ(SYS(SYS_flock, b, LOCK_SH), 0);
	EQ(SYS(SYS_flock, a, LOCK_EX | LOCK_NB), -EAGAIN);
	KILL();
	EQ(SYS(SYS_flock, b, LOCK_EX | LOCK_NB), 0);
	SYS(SYS_close, a);
	SYS(SYS_close, b);
	EQ(SYS(SYS_unlink, "/fl"), 0);
}

struct wait_for {
	long fd;
	bool flock;
	_Atomic int state; /* 1: about to wait, 2: got it */
	long r;
};

static void *wait_for_lock(void *arg)
{
	struct wait_for *w = arg;

	w->state = 1;
	w->r = w->flock ? SYS(SYS_flock, w->fd, LOCK_EX)
	                : set_lock(w->fd, K_OFD_SETLKW, F_WRLCK, 5, 10);
	w->state = 2;
	return NULL;
}

static void who_waits_for_a_lock_gets_it_later(void)
{
	const long held = open_file("/wl", O_CREAT | O_RDWR);
	struct wait_for w[2] = {{.fd = open_file("/wl", O_RDWR)},
	                        {.fd = open_file("/wl", O_RDWR), .flock = true}};
	pthread_t t[2];

	EQ(set_lock(held, K_OFD_SETLK, F_WRLCK, 0, 10), 0);
	EQ(SYS(SYS_flock, held, LOCK_EX), 0);
	for (int i = 0; i < 2; i++) {
		EQ(testlib_thread(&t[i], wait_for_lock, &w[i]), 0);
		while (w[i].state != 1)
			usleep(1000);
	}
	usleep(50000);
	for (int i = 0; i < 3; i++) {
		KILL();
		EQ(SYS(SYS_lseek, held, 0, SEEK_END), 0); /* it is back */
		EQ(w[0].state, 1);
		EQ(w[1].state, 1);
	}
	EQ(set_lock(held, K_OFD_SETLK, F_UNLCK, 0, 0), 0);
	pthread_join(t[0], NULL);
	EQ(w[0].r, 0);
	meets(held, 5, F_WRLCK, 5, 10);
	EQ(SYS(SYS_flock, held, LOCK_UN), 0);
	pthread_join(t[1], NULL);
	EQ(w[1].r, 0);
	KILL();
	meets(held, 5, F_WRLCK, 5, 10);
	EQ(SYS(SYS_flock, held, LOCK_EX | LOCK_NB), -EAGAIN);
	SYS(SYS_close, w[0].fd);
	SYS(SYS_close, w[1].fd);
	SYS(SYS_close, held);
	EQ(SYS(SYS_unlink, "/wl"), 0);
}

/* ---- appends in pieces ---- */

#define BIG (5u * 65536u + 100u)

struct big {
	long fd;
	char fill;
	unsigned times;
	_Atomic unsigned done;
	_Atomic bool bad;
};

static void *append_big(void *arg)
{
	struct big *b = arg;
	char *p = malloc(BIG);

	memset(p, b->fill, BIG);
	for (unsigned i = 0; i < b->times; i++) {
		b->bad |= SYS(SYS_write, b->fd, p, BIG) != (long)BIG;
		b->done++;
	}
	free(p);
	return NULL;
}

/* Two long appends beside each other, each in several frames: a kill between them lets
 * nothing of the one into the other. */
static void an_append_in_pieces_stays_whole(void)
{
	struct big b[2] = {{.fill = 'a', .times = 60}, {.fill = 'b', .times = 60}};
	const long rd = open_file("/big", O_CREAT | O_RDONLY);
	static char buf[BIG];
	unsigned n[2] = {0};
	pthread_t t[2];
	bool whole = true;
	long r;

	for (int i = 0; i < 2; i++) {
		b[i].fd = open_file("/big", O_WRONLY | O_APPEND);
		EQ(testlib_thread(&t[i], append_big, &b[i]), 0);
	}
	for (unsigned i = 0, before; b[0].done + b[1].done < 110; i++) {
		before = b[0].done + b[1].done;
		usleep(500 + i % 7 * 400);
		KILL();
		while (b[0].done + b[1].done == before)
			usleep(100);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		CU_ASSERT(!b[i].bad);
		SYS(SYS_close, b[i].fd);
	}
	while ((r = SYS(SYS_read, rd, buf, BIG)) == (long)BIG) {
		for (unsigned i = 1; i < BIG; i++)
			whole &= buf[i] == buf[0];
		n[buf[0] == 'b']++;
	}
	EQ(r, 0);
	CU_ASSERT(whole);
	EQ(n[0], 60);
	EQ(n[1], 60);
	SYS(SYS_close, rd);
	EQ(SYS(SYS_unlink, "/big"), 0);
}

/* ---- the end ---- */

static void nothing_is_left(void)
{
	DIR *d = opendir(g_dir);
	struct dirent *e;

	CU_ASSERT_FATAL(d != NULL);
	KILL();
	EQ(SYS(SYS_sync), 0);
	EQ(supervisor_stop(), 0);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		fprintf(stderr, "left: %s\n", e->d_name);
		CU_FAIL("something is left");
	}
	closedir(d);
}

int main(int argc, char **argv)
{
	static CU_TestInfo tests[] = {
	        TEST(a_position_goes_on),
	        TEST(an_append_goes_to_the_end),
	        TEST(a_mode_taken_away_does_not_count),
	        TEST(a_file_without_a_name_stays),
	        TEST(a_renamed_file_is_found),
	        TEST(the_current_directory_stays),
	        TEST(a_directory_is_read_on),
	        TEST(a_shared_mapping_is_written_back),
	        TEST(a_file_that_is_no_more_is_stale),
	        TEST(fsync_tells_of_what_was_lost),
	        TEST(a_mapping_is_written_again),
	        TEST(a_file_stays_opened_by_who_opened_it),
	        TEST(locks_are_held_on),
	        TEST(a_flock_that_was_lost_does_not_come_back),
	        TEST(who_waits_for_a_lock_gets_it_later),
	        TEST(an_append_in_pieces_stays_whole),
	        TEST(threads_see_no_more_than_a_pause),
	        TEST(watches_are_made_again),
	        TEST(a_watch_follows_its_object),
	        TEST(a_watch_of_what_is_gone_is_ignored),
	        TEST(events_that_cannot_be_are_refused),
	        TEST(watches_are_bounded),
	        TEST(nothing_is_left),
	        CU_TEST_INFO_NULL,
	};
	int failed;

	failed = supervisor_suite("file client over kills", tests, start_all, &g_fsd, argc, argv);
	if (fork() == 0)
		execlp("rm", "rm", "-rf", g_dir, (char *)NULL);
	wait(NULL);
	return failed;
}
