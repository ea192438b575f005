/* SPDX-License-Identifier: MIT */
/* Locks of fsd: between handles, between guests, with programs of the host. */
#include "tests/unit/fsd_bench.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static struct client *a, *b;
static const char *root;

static void open_both(void)
{
	EQ(x_open(a, 0, "/l", O_RDWR | O_CREAT, 0666, 1), 0);
	EQ(x_open(b, 0, "/l", O_RDWR, 0, 1), 0);
}

static void close_both(void)
{
	EQ(x_release(a, 1), 0);
	EQ(x_release(b, 1), 0);
	EQ(a->session->n_locks, 0);
	EQ(b->session->n_locks, 0);
	EQ(inode_count(), 0);
}

static int get(struct client *c, uint32_t kind, uint32_t type, uint64_t start,
               uint64_t len, File__LockRep *out)
{
	File__LockReq q = FILE__LOCK_REQ__INIT;
	int r;

	q.handle = 1;
	q.kind = kind;
	q.type = type;
	q.start = start;
	q.len = len;
	r = call(c, M_GET_LOCK, &q.base, NULL, 0);
	if (r == 0)
		*out = *(File__LockRep *)c->rep.msg;
	return r;
}

static void two_guests_exclude_each_other(void)
{
	File__LockRep l;

	open_both();
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, 10, 10, 0), 0);
	EQ(x_lock(b, 1, LOCK_POSIX, F_RDLCK, 19, 1, 0), -EAGAIN);
	EQ(x_lock(b, 1, LOCK_POSIX, F_RDLCK, 20, 1, 0), 0);
	EQ(x_lock(b, 1, LOCK_POSIX, F_RDLCK, 0, 10, 0), 0);
	EQ(get(b, LOCK_POSIX, F_WRLCK, 0, 0, &l), 0);
	EQ(l.type, F_WRLCK);
	EQ(l.start, 10);
	EQ(l.len, 10);
	EQ(l.pid, a->session->number);
	EQ(get(a, LOCK_POSIX, F_WRLCK, 12, 2, &l), 0);
	EQ(l.type, F_UNLCK); /* one's own is not in the way */
	EQ(x_lock(a, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	EQ(x_lock(b, 1, LOCK_POSIX, F_WRLCK, 10, 10, 0), 0);
	EQ(b->session->n_locks, 3);
	EQ(x_lock(b, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	EQ(b->session->n_locks, 0);
	close_both();
}

static void ranges_split_and_merge(void)
{
	open_both();
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, 0, 100, 0), 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_UNLCK, 40, 20, 0), 0);
	EQ(a->session->n_locks, 2);
	EQ(x_lock(b, 1, LOCK_POSIX, F_WRLCK, 40, 20, 0), 0);
	EQ(x_lock(b, 1, LOCK_POSIX, F_WRLCK, 39, 1, 0), -EAGAIN);
	EQ(x_lock(b, 1, LOCK_POSIX, F_WRLCK, 60, 1, 0), -EAGAIN);
	EQ(x_lock(b, 1, LOCK_POSIX, F_UNLCK, 40, 20, 0), 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, 40, 20, 0), 0);
	EQ(a->session->n_locks, 1); /* merged */
	EQ(x_lock(a, 1, LOCK_POSIX, F_RDLCK, 10, 10, 0), 0);
	EQ(a->session->n_locks, 3);
	EQ(x_lock(b, 1, LOCK_POSIX, F_RDLCK, 10, 10, 0), 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, 15, 1, 0), -EAGAIN);
	EQ(x_lock(a, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	EQ(x_lock(b, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	close_both();
}

static void bounds_are_checked(void)
{
	open_both();
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, 1ull << 63, 1, 0), -EINVAL);
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, INT64_MAX, 2, 0), -EOVERFLOW);
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, INT64_MAX, 1, 0), 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, INT64_MAX - 1, 1, 0), 0);
	EQ(a->session->n_locks, 1);
	EQ(x_lock(b, 1, LOCK_POSIX, F_WRLCK, 5, 0, 0), -EAGAIN); /* to the end */
	EQ(x_lock(a, 1, 3, F_WRLCK, 0, 0, 0), -EINVAL);
	EQ(x_lock(a, 1, LOCK_POSIX, 3, 0, 0, 0), -EINVAL);
	EQ(x_lock(a, 2, LOCK_POSIX, F_WRLCK, 0, 0, 0), -EBADF);
	EQ(x_open(a, 0, "/l", O_RDONLY, 0, 2), 0);
	EQ(x_lock(a, 2, LOCK_POSIX, F_WRLCK, 0, 1, 0), -EBADF);
	EQ(x_lock(a, 2, LOCK_POSIX, F_RDLCK, 0, 1, 0), 0);
	EQ(x_lock(a, 2, LOCK_FLOCK, F_WRLCK, 0, 0, 0), 0); /* flock asks for no mode */
	EQ(x_release(a, 2), 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	EQ(x_open(a, 0, "/l", O_PATH, 0, 2), 0);
	EQ(x_lock(a, 2, LOCK_FLOCK, F_RDLCK, 0, 0, 0), -EBADF);
	EQ(x_release(a, 2), 0);
	close_both();
}

static void a_waiting_lock_is_granted(void)
{
	int err = 1;

	open_both();
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, 0, 0, 0), 0);
	EQ(x_lock(b, 1, LOCK_POSIX, F_WRLCK, 0, 10, 77), 1);
	EQ(x_lock(b, 1, LOCK_POSIX, F_WRLCK, 20, 10, 77),
	   -EINVAL); /* the name is taken */
	EQ(x_lock(b, 1, LOCK_POSIX, F_WRLCK, 20, 10, 78), 1);
	EQ(done_event(b, 77, &err), 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_UNLCK, 0, 15, 0), 0);
	EQ(done_event(b, 77, &err), 1);
	EQ(err, 0);
	EQ(done_event(b, 78, &err), 0);
	EQ(lock_cancel(b->session, 78), 1);
	EQ(lock_cancel(b->session, 78), 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	EQ(done_event(b, 78, &err), 0); /* cancelled: never granted */
	EQ(x_lock(b, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	close_both();
}

static void a_weaker_lock_lets_readers_in(void)
{
	int err = 1;

	open_both();
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, 0, 0, 0), 0);
	EQ(x_lock(b, 1, LOCK_POSIX, F_RDLCK, 0, 0, 5), 1);
	EQ(x_lock(a, 1, LOCK_POSIX, F_RDLCK, 0, 0, 0), 0);
	EQ(done_event(b, 5, &err), 1);
	EQ(err, 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	EQ(x_lock(b, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	close_both();
}

static void a_circle_is_a_deadlock(void)
{
	struct client *d = client_new(0, 0);
	int err;

	open_both();
	EQ(x_open(d, 0, "/l", O_RDWR, 0, 1), 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, 0, 1, 0), 0);
	EQ(x_lock(b, 1, LOCK_POSIX, F_WRLCK, 1, 1, 0), 0);
	EQ(x_lock(d, 1, LOCK_POSIX, F_WRLCK, 2, 1, 0), 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, 1, 1, 9), 1);
	EQ(x_lock(b, 1, LOCK_POSIX, F_WRLCK, 2, 1, 9), 1);
	EQ(x_lock(d, 1, LOCK_POSIX, F_WRLCK, 0, 1, 9), -EDEADLK);
	EQ(x_lock(d, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	EQ(done_event(b, 9, &err), 1);
	client_free(d);
	EQ(x_lock(b, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	EQ(done_event(a, 9, &err), 1);
	EQ(x_lock(a, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	close_both();
}

static void posix_belongs_to_the_session_ofd_to_the_handle(void)
{
	open_both();
	EQ(x_open(a, 0, "/l", O_RDWR, 0, 2), 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, 0, 0, 0), 0);
	EQ(x_lock(a, 2, LOCK_POSIX, F_WRLCK, 0, 0, 0), 0); /* the same owner */
	EQ(x_lock(a, 2, LOCK_OFD, F_WRLCK, 0, 0, 0), -EAGAIN);
	EQ(x_lock(a, 2, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	EQ(x_lock(a, 2, LOCK_OFD, F_WRLCK, 0, 0, 0), 0);
	EQ(x_lock(a, 1, LOCK_OFD, F_RDLCK, 0, 0, 0), -EAGAIN);
	EQ(x_lock(b, 1, LOCK_POSIX, F_RDLCK, 0, 0, 0), -EAGAIN);
	EQ(x_lock(b, 1, LOCK_FLOCK, F_WRLCK, 0, 0, 0), 0); /* apart from the others */
	EQ(x_lock(a, 1, LOCK_FLOCK, F_RDLCK, 0, 0, 0), -EAGAIN);
	EQ(x_release(a, 2), 0); /* with its OFD lock */
	EQ(x_lock(b, 1, LOCK_POSIX, F_RDLCK, 0, 0, 0), 0);
	EQ(x_lock(b, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	close_both();
}

static void release_of_the_session_grants(void)
{
	struct client *d = client_new(0, 0);
	int err = 1;

	open_both();
	EQ(x_open(d, 0, "/l", O_RDWR, 0, 1), 0);
	EQ(x_lock(d, 1, LOCK_POSIX, F_WRLCK, 0, 0, 0), 0);
	EQ(x_release(d, 1),
	   0); /* a POSIX lock outlives the handle: the guest unlocks */
	EQ(x_lock(a, 1, LOCK_POSIX, F_WRLCK, 0, 0, 3), 1);
	client_free(d);
	EQ(done_event(a, 3, &err), 1);
	EQ(err, 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	close_both();
}

static int host_open(void)
{
	char path[300];

	snprintf(path, sizeof path, "%s/l", root);
	return open(path, O_RDWR | O_CLOEXEC);
}

static int host_lock(int fd, int type, off_t start, off_t len)
{
	struct flock fl = {.l_type = (short)type, .l_start = start, .l_len = len};

	return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? -errno : 0;
}

static void the_host_sees_the_union(void)
{
	File__LockRep l;
	int fd;

	open_both();
	fd = host_open();
	EQ(x_lock(a, 1, LOCK_POSIX, F_RDLCK, 0, 10, 0), 0);
	EQ(x_lock(b, 1, LOCK_POSIX, F_RDLCK, 5, 10, 0), 0);
	EQ(host_lock(fd, F_WRLCK, 0, 1), -EAGAIN);
	EQ(host_lock(fd, F_RDLCK, 0, 100), 0);
	EQ(host_lock(fd, F_UNLCK, 0, 0), 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	EQ(host_lock(fd, F_WRLCK, 0, 5), 0);
	EQ(host_lock(fd, F_WRLCK, 5, 1), -EAGAIN);
	EQ(x_lock(b, 1, LOCK_POSIX, F_WRLCK, 0, 1, 0), -EAGAIN);
	EQ(get(b, LOCK_POSIX, F_WRLCK, 0, 1, &l), 0);
	EQ(l.type, F_WRLCK);
	EQ(l.start, 0);
	EQ(l.len, 5);
	EQ(x_lock(b, 1, LOCK_POSIX, F_WRLCK, 20, 5, 0),
	   0); /* a stronger carrier is needed */
	EQ(host_lock(fd, F_RDLCK, 20, 1), -EAGAIN);
	EQ(host_lock(fd, F_WRLCK, 14, 1), -EAGAIN); /* the read lock moved along */
	EQ(x_lock(b, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	EQ(host_lock(fd, F_WRLCK, 0, 0), 0);
	close(fd);
	close_both();
}

static void a_guest_waits_for_the_host(void)
{
	int err = 1, fd;

	open_both();
	fd = host_open();
	EQ(host_lock(fd, F_WRLCK, 0, 0), 0);
	EQ(x_lock(a, 1, LOCK_POSIX, F_RDLCK, 0, 0, 3), 1);
	EQ(lock_poll_host(), true);
	EQ(done_event(a, 3, &err), 0);
	EQ(host_lock(fd, F_UNLCK, 0, 0), 0);
	EQ(lock_poll_host(), false);
	EQ(done_event(a, 3, &err), 1);
	EQ(err, 0);
	EQ(host_lock(fd, F_WRLCK, 0, 0), -EAGAIN);
	EQ(x_lock(a, 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	EQ(flock(fd, LOCK_EX), 0);
	EQ(x_lock(a, 1, LOCK_FLOCK, F_RDLCK, 0, 0, 0), -EAGAIN);
	EQ(flock(fd, LOCK_UN), 0);
	EQ(x_lock(a, 1, LOCK_FLOCK, F_WRLCK, 0, 0, 0), 0);
	EQ(flock(fd, LOCK_SH | LOCK_NB), -1);
	EQ(x_lock(a, 1, LOCK_FLOCK, F_RDLCK, 0, 0, 0), 0);
	EQ(flock(fd, LOCK_SH | LOCK_NB), 0);
	close(fd);
	close_both();
}

/* Random calls against a model: one byte a cell. */
static void random_calls_agree_with_a_model(void)
{
	enum { N = 24 };
	int model[2][N] = {{0}}; /* 0 none, 1 read, 2 write */
	struct client *who[2] = {a, b};
	int fd, left = 0;

	open_both();
	fd = host_open();
	srand(7);
	for (int i = 0; i < 4000; i++) {
		const int w = rand() & 1, start = rand() % N,
		          len = 1 + rand() % (N - start);
		const int kind = rand() % 3; /* as the model's cells */
		const int type = kind == 0 ? F_UNLCK : kind == 1 ? F_RDLCK : F_WRLCK;
		int expect = 0;

		for (int p = start; p < start + len; p++)
			if (kind && model[!w][p] && (kind == 2 || model[!w][p] == 2))
				expect = -EAGAIN;
		EQ(x_lock(who[w], 1, LOCK_POSIX, (uint32_t)type, (uint64_t)start,
		          (uint64_t)len, 0),
		   expect);
		for (int p = start; p < start + len && !expect; p++)
			model[w][p] = kind;
		const int p = rand() % N;
		const int held = model[0][p] > model[1][p] ? model[0][p] : model[1][p];
		struct flock fl = {.l_type = F_WRLCK, .l_start = p, .l_len = 1};

		EQ(fcntl(fd, F_OFD_GETLK, &fl), 0);
		EQ(fl.l_type, held == 0 ? F_UNLCK : held == 1 ? F_RDLCK : F_WRLCK);
	}
	for (int w = 0; w < 2; w++)
		EQ(x_lock(who[w], 1, LOCK_POSIX, F_UNLCK, 0, 0, 0), 0);
	for (int w = 0; w < 2; w++)
		left += (int)who[w]->session->n_locks;
	EQ(left, 0);
	close(fd);
	close_both();
}

static void a_flock_that_cannot_change_is_lost(void)
{
	int err = 1;

	open_both();
	EQ(x_lock(a, 1, LOCK_FLOCK, F_RDLCK, 0, 0, 0), 0);
	EQ(x_lock(b, 1, LOCK_FLOCK, F_RDLCK, 0, 0, 0), 0);
	EQ(x_lock(a, 1, LOCK_FLOCK, F_WRLCK, 0, 0, 0), -EAGAIN);
	EQ(a->session->n_locks, 0); /* as flock(2) says */
	EQ(x_lock(a, 1, LOCK_FLOCK, F_WRLCK, 0, 0, 4), 1);
	EQ(x_lock(b, 1, LOCK_FLOCK, F_WRLCK, 0, 0, 0), 0);
	EQ(x_lock(b, 1, LOCK_FLOCK, F_UNLCK, 0, 0, 0), 0);
	EQ(done_event(a, 4, &err), 1);
	EQ(err, 0);
	close_both();
}

static int start(void)
{
	root = bench_start(false, true);
	a = client_new(0, 0);
	b = client_new(0, 0);
	return 0;
}

static int stop(void)
{
	client_free(a);
	client_free(b);
	return bench_stop() ? 0 : -1;
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(two_guests_exclude_each_other),
		TEST(ranges_split_and_merge),
		TEST(bounds_are_checked),
		TEST(a_waiting_lock_is_granted),
		TEST(a_weaker_lock_lets_readers_in),
		TEST(a_circle_is_a_deadlock),
		TEST(posix_belongs_to_the_session_ofd_to_the_handle),
		TEST(release_of_the_session_grants),
		TEST(the_host_sees_the_union),
		TEST(a_guest_waits_for_the_host),
		TEST(a_flock_that_cannot_change_is_lost),
		TEST(random_calls_agree_with_a_model),
		CU_TEST_INFO_NULL,
	};

	return suite_run("fsd locks", start, stop, tests);
}
