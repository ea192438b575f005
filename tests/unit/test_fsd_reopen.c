/* SPDX-License-Identifier: MIT */
/*
 * What guests had open in an instance of fsd that is gone: given back to who proves
 * it, whatever happened to name and mode meanwhile, and to nobody else.
 */
#define _GNU_SOURCE
#include "tests/unit/fsd_instances.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

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
	begin_epoch(2);
	EQ(reopen(0), 0);
	has("text", 0);
	serve_recovered(false); /* not all came back: none is forgotten */
	EQ(orphans(), 2);
	EQ(reopen(1), 0);
	EQ(x_release(c, 1), 0);
	EQ(orphans(), 1);
	EQ(x_release(c, 2), 0);
	EQ(orphans(), 0);
	end_epoch();

	wipe();
	instance(1, open_and_unlink, nothing, DIE_NOT);
	begin_epoch(2);
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
	end_epoch();
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

	begin_epoch(2); /* it sees no orphans' folder */
	g->value = 1;
	instance_end(old);
	EQ(orphans(), 2);
	EQ(reopen(0), 0);
	has("text", 0);
	EQ(reopen(1), 0);
	end_epoch();
	EQ(orphans(), 0);
	CU_ASSERT(!there(ORPHANS_DIR));
}

/* Removed before the guest that has it open is back. */
static void a_file_of_somebody_still_away_is_kept(void)
{
	wipe();
	instance(1, open_f, nothing, DIE_NOT);
	begin_epoch(2);
	EQ(unlink_f(), 0);
	EQ(orphans(), 1);
	EQ(reopen(0), 0);
	has("text", 0);
	serve_recovered(true);
	EQ(orphans(), 1);
	end_epoch();
	EQ(orphans(), 0);
}

/* What one handle reserved for an append in pieces is still its own. */
static void a_reservation_is_kept(void)
{
	File__ReopenReq q;

	wipe();
	instance(1, open_log, nothing, DIE_NOT);
	begin_epoch(2);
	q = reopen_req(0);
	q.append_end = 10;
	EQ(reopen_as(&q), 0);
	EQ(x_open(c, 0, "log", O_WRONLY | O_APPEND, 0, 2), 0);
	EQ(x_append(c, 2, "behind", 6), 6);
	EQ(((File__WriteRep *)c->rep.msg)->offset, 10);
	EQ(x_write(c, 1, 2, "in front", 8), 8);
	CU_ASSERT(holds("log", "xxin frontbehind"));
	end_epoch();
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
	begin_epoch(1);
	make_f();
	keep("f", O_RDONLY, 1);
	keep("f", O_RDWR, 2);
	end_epoch();
	begin_epoch(2);
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
	end_epoch();
}

static void access_is_what_it_was_at_the_open(void)
{
	wipe();
	begin_epoch(1);
	make_f();
	keep("f", O_RDWR, 1);
	make_d();
	keep("d", O_RDONLY | O_DIRECTORY, 2);
	end_epoch();
	EQ(chmod(at("f"), 0), 0);
	EQ(chmod(at("d"), 0), 0);
	if (g_root) {
		EQ(chown(at("f"), 0, 0), 0);
		EQ(chown(at("d"), 0, 0), 0);
	}
	begin_epoch(2);
	if (g_root || access(at("f"), R_OK) == 0) {
		EQ(reopen(0), 0);
		EQ(x_write(c, 1, 0, "x", 1), 1);
		EQ(reopen(1), 0);
	}
	end_epoch();
	EQ(chmod(at("d"), 0700), 0);
}

static void a_file_is_found_wherever_it_is(void)
{
	const bool by_handle = g_root;

	wipe();
	begin_epoch(1);
	make_f();
	make_d();
	keep("f", O_RDWR, 1);
	keep("d", O_RDONLY | O_DIRECTORY, 2);
	EQ(x_make(c, M_MKNOD, 0, "p", S_IFIFO | 0600, NULL), 0);
	keep("p", O_RDWR, 3);
	EQ(x_make(c, M_SYMLINK, 0, "l", 0, "nowhere"), 0);
	keep("l", O_PATH | O_NOFOLLOW, 4);
	end_epoch();
	EQ(rename(at("f"), at("d/moved")), 0);
	put("f", "another");
	EQ(mkdir(at("e"), 0777), 0);
	EQ(rename(at("d"), at("e/d")), 0);
	begin_epoch(2);
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
	end_epoch();
	/* What is gone is not replaced by what has its name now. */
	EQ(unlink(at("e/d/moved")), 0);
	begin_epoch(3);
	EQ(reopen(0), -ESTALE);
	end_epoch();
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
	begin_epoch(1);
	unlink_references();
	EQ(orphans(), 3);
	end_epoch();
	EQ(orphans(), 0); /* all is released */

	wipe();
	instance(1, unlink_references, nothing, DIE_NOT);
	begin_epoch(2);
	for (uint32_t i = 0; i < 3; i++) {
		EQ(reopen(i), 0);
		EQ(x_stat(c, i + 1, "", 0, &a), 0);
		EQ(a.nlink, 0);
	}
	EQ(x_path(c, M_READLINK, 3, "", 0, 0), 0);
	end_epoch();
	EQ(orphans(), 0);
}

static int set_mode(const char *path, uint32_t at_handle, mode_t mode)
{
	File__SetAttrReq q = FILE__SET_ATTR_REQ__INIT;

	q.at = at_handle;
	q.path = (ProtobufCBinaryData){strlen(path), (uint8_t *)(uintptr_t)path};
	q.what = FILE_SET_MODE;
	q.mode = mode;
	return call(c, M_SET_ATTR, &q.base, NULL, 0);
}

static void remove_open_d(void)
{
	File__Attr a;

	make_d();
	keep("d", O_RDONLY | O_DIRECTORY, 1);
	EQ(x_make(c, M_MKDIR, 0, "r", 01750, NULL), 0);
	keep("r", O_PATH | O_DIRECTORY, 2);
	EQ(set_mode("d", 0, 0705), 0);
	EQ(rmdir_d(), 0);
	EQ(set_mode("", 1, 0511), 0); /* without a name, too */
	/* What is replaced is removed as well. */
	EQ(x_make(c, M_MKDIR, 0, "s", 0700, NULL), 0);
	EQ(x_two(c, M_RENAME, 0, "s", 0, "r/", 0), 0);
	EQ(x_stat(c, 1, "", 0, &a), 0);
	g->value = a.mtime_ns;
	EQ(orphans(), 2);
}

static int change_mode(void)
{
	return set_mode("", 1, 0550);
}

/* The numbers of what was removed are free: others have them on most file systems. */
static int numbers_are_used_again(void)
{
	g_bench_fault = (struct bench_fault){.die = DIE_NOT}; /* none is sent again */
	EQ(x_make(c, M_MKDIR, 0, "n", 0700, NULL), 0);
	EQ(x_make(c, M_MKDIR, 0, "o", 0700, NULL), 0);
	EQ(x_make(c, M_MKDIR, 0, "n/x", 0700, NULL), 0);
	EQ(x_open(c, 0, "n", O_RDONLY | O_DIRECTORY, 0, 3), 0);
	EQ(x_open(c, 0, "o", O_RDONLY | O_DIRECTORY, 0, 4), 0);
	EQ(x_path(c, M_UNLINK, 0, "n", AT_REMOVEDIR, 0), -ENOTEMPTY);
	EQ(x_path(c, M_UNLINK, 0, "o", AT_REMOVEDIR, 0), 0);
	EQ(x_release(c, 3), 0);
	EQ(x_release(c, 4), 0);
	return 0;
}

static void looks(uint32_t handle, mode_t mode)
{
	File__Attr a;

	EQ(x_stat(c, handle, "", 0, &a), 0);
	EQ(a.mode, S_IFDIR | mode);
	EQ(a.uid, g_root ? 1000 : getuid());
	EQ(a.nlink, 0);
	CU_ASSERT(handle != 1 || a.mtime_ns == g->value);
}

static void a_removed_directory_looks_as_before(void)
{
	if (!g_root)
		return; /* not known to be gone: see the next test */
	wipe();
	instance(1, remove_open_d, nothing, DIE_NOT);
	instance(2, NULL, numbers_are_used_again, DIE_NOT);
	begin_epoch(3);
	EQ(reopen(0), 0);
	EQ(reopen(1), 0);
	looks(1, 0511);
	looks(2, 01750);
	EQ(change_mode(), 0);
	EQ(orphans(), 2);
	end_epoch();
	EQ(orphans(), 0);
	CU_ASSERT(!there(ORPHANS_DIR));
}

static void a_directory_that_stays_is_not_kept(void)
{
	wipe();
	begin_epoch(1);
	make_d();
	keep("d", O_RDONLY | O_DIRECTORY, 1);
	EQ(x_make(c, M_MKDIR, 1, "e", 0700, NULL), 0);
	EQ(rmdir_d(), -ENOTEMPTY);
	EQ(x_path(c, M_UNLINK, 0, "d", 0, 0), -EISDIR);
	EQ(orphans(), 0);
	EQ(x_path(c, M_UNLINK, 1, "e", AT_REMOVEDIR, 0), 0); /* nobody has it open */
	EQ(orphans(), 0);
	end_epoch();
	CU_ASSERT(!there(ORPHANS_DIR));
}

static void a_removed_directory_is_still_one(void)
{
	File__Attr was, is;

	wipe();
	begin_epoch(1);
	make_d();
	keep("d", O_RDONLY | O_DIRECTORY, 1);
	EQ(x_stat(c, 1, "", 0, &was), 0);
	EQ(rmdir_d(), 0);
	end_epoch();
	begin_epoch(2);
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
	end_epoch();
	CU_ASSERT(!there(ORPHANS_DIR));
}

static bool mount_mem(void)
{
	return mount("mem", at(""), "tmpfs", 0, "mode=0777") == 0;
}

/* As when the domain that had it is gone. */
static void the_root_of_a_mem_that_is_made_anew_is_found(void)
{
	File__Attr a;

	wipe();
	if (!g_root || unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !mount_mem())
		return; /* not allowed here */
	begin_epoch(1);
	make_d();
	keep(".", O_RDONLY | O_DIRECTORY, 1);
	keep("d", O_RDONLY | O_DIRECTORY, 2);
	end_epoch();
	EQ(umount(at("")), 0);
	CU_ASSERT_FATAL(mount_mem());
	begin_epoch(2);
	make_d(); /* another "d" */
	EQ(reopen(0), 0);
	EQ(x_stat(c, 1, "", 0, &a), 0);
	EQ(a.nlink, 3);
	EQ(x_make(c, M_MKDIR, 1, "e", 0700, NULL), 0);
	CU_ASSERT(there("e"));
	EQ(reopen(1), 0);
	EQ(x_stat(c, 2, "", 0, &a), 0);
	EQ(a.nlink, 0);
	end_epoch();
	EQ(umount(at("")), 0);
}

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
	begin_epoch(2);
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
	end_epoch();
}

int main(int argc, char **argv)
{
	static CU_TestInfo tests[] = {
	        TEST(a_file_without_a_name_is_adopted),
	        TEST(what_the_old_one_keeps_at_last_is_found),
	        TEST(a_file_of_somebody_still_away_is_kept),
	        TEST(a_reservation_is_kept),
	        TEST(a_token_is_good_for_what_it_says),
	        TEST(access_is_what_it_was_at_the_open),
	        TEST(a_file_is_found_wherever_it_is),
	        TEST(what_is_only_referred_to_is_kept_too),
	        TEST(a_removed_directory_is_still_one),
	        TEST(the_root_of_a_mem_that_is_made_anew_is_found),
	        TEST(a_removed_directory_looks_as_before),
	        TEST(a_directory_that_stays_is_not_kept),
	        TEST(who_held_a_lock_has_it_first),
	        CU_TEST_INFO_NULL,
	};

	return instances_suite("fsd reopen", tests, argc, argv);
}
