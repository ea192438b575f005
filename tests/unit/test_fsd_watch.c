/* SPDX-License-Identifier: MIT */
/* Watches of fsd: who sees what of whom, what nobody sees, and where it ends. */
#include "services/fsd/notify.h"
#include "tests/unit/fsd_bench.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static struct client *a, *b;
static const char *root;

static int watch_req(struct client *c, File__WatchReq *q)
{
	const int r = call(c, M_WATCH, &q->base, NULL, 0);

	return r < 0 ? r : (int)((File__WatchRep *)c->rep.msg)->watch;
}

static int watch(struct client *c, const char *path, uint32_t mask, uint32_t group,
                 uint32_t id)
{
	File__WatchReq q = FILE__WATCH_REQ__INIT;

	q.path = bytes(path);
	q.mask = mask;
	q.group = group;
	q.watch = id;
	return watch_req(c, &q);
}

static void unwatch(struct client *c, uint32_t group, uint32_t id)
{
	File__UnwatchReq q = FILE__UNWATCH_REQ__INIT;

	q.group = group;
	q.watch = id;
	EQ(call(c, M_UNWATCH, &q.base, NULL, 0), 0);
}

static unsigned g_seen; /* of a's events */

/* a's next event. */
static void sees(uint32_t group, uint32_t id, uint32_t mask, const char *name)
{
	const struct changes *is = changes_of(a);
	const struct changed *e = &is->at[g_seen % CHANGED_MAX];

	CU_ASSERT_FATAL(g_seen < is->n);
	g_seen++;
	EQ(e->group, group);
	EQ(e->watch, id);
	EQ(e->mask, mask);
	CU_ASSERT_STRING_EQUAL(e->name, name);
}

static void sees_no_more(void)
{
	EQ(changes_of(a)->n, g_seen);
	g_seen = changes_of(a)->n;
}

/* The path of the host; the last two of them stay. */
static const char *host(const char *name)
{
	static char path[2][512];
	static unsigned n;
	char *to = path[n++ % 2];

	snprintf(to, sizeof path[0], "%s/%s", root, name);
	return to;
}

static void by_host(const char *name)
{
	const int fd = open(host(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0666);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_FATAL(fchmod(fd, 0666) == 0);
	close(fd);
}

static void what_others_do_is_seen(void)
{
	EQ(watch(a, "/", IN_CREATE | IN_DELETE, 1, 1), 1);
	EQ(x_make(b, M_MKDIR, 0, "/d", 0777, NULL), 0);
	sees_no_more(); /* the loop sends it */
	notify_pump(a->session);
	sees(1, 1, IN_CREATE | IN_ISDIR, "d");
	by_host("f");
	notify_pump(a->session);
	sees(1, 1, IN_CREATE, "f");
	/* What it does itself is there before the answer. */
	EQ(x_path(a, M_UNLINK, 0, "/f", 0, 0), 0);
	sees(1, 1, IN_DELETE, "f");
	EQ(x_path(a, M_UNLINK, 0, "/d", 0x200 /* AT_REMOVEDIR */, 0), 0);
	sees(1, 1, IN_DELETE | IN_ISDIR, "d");
	sees_no_more();
	EQ(changes_of(b)->n, 0);
	unwatch(a, 1, 0);
}

static void what_is_hidden_is_not_seen(void)
{
	EQ(x_open(a, 0, "/f", O_RDWR | O_CREAT, 0666, 1), 0);
	EQ(watch(a, "/", IN_ALL_EVENTS, 1, 1), 1);
	EQ(watch(a, "/f", IN_ATTRIB | IN_DELETE_SELF, 1, 2), 2);
	EQ(x_path(b, M_UNLINK, 0, "/f", 0, 0), 0);
	CU_ASSERT(access(host(ORPHANS_DIR), F_OK) == 0); /* it is there */
	notify_pump(a->session);
	sees(1, 2, IN_ATTRIB, "");
	sees(1, 1, IN_DELETE, "f");
	sees_no_more();
	EQ(x_release(a, 1), 0);
	sees(1, 1, IN_CLOSE_WRITE, "f");
	sees(1, 2, IN_DELETE_SELF, "");
	sees(1, 2, IN_IGNORED, "");
	sees_no_more();
	EQ(watch(a, "/" ORPHANS_DIR, IN_CREATE, 1, 3), -ENOENT);
	unwatch(a, 1, 0);
}

static void groups_are_apart(void)
{
	by_host("f");
	EQ(watch(a, "/f", IN_ATTRIB, 1, 1), 1);
	EQ(watch(a, "/f", IN_OPEN | IN_ONESHOT, 2, 1), 1);
	EQ(watch(b, "/f", IN_MODIFY, 1, 1), 1);
	EQ(watch(a, "/f", IN_MODIFY | IN_MASK_CREATE, 1, 9), -EEXIST);
	EQ(watch(a, "/f", IN_CLOSE_NOWRITE | IN_MASK_ADD, 1, 9), 1); /* what it is */
	EQ(x_open(a, 0, "/f", O_RDONLY, 0, 1), 0);
	EQ(x_release(a, 1), 0);
	sees(2, 1, IN_OPEN, "");
	sees(2, 1, IN_IGNORED, "");
	sees(1, 1, IN_CLOSE_NOWRITE, "");
	EQ(chmod(host("f"), 0644), 0);
	notify_pump(a->session);
	sees(1, 1, IN_ATTRIB, "");
	unwatch(a, 1, 7); /* of nothing */
	unwatch(a, 3, 0);
	unwatch(a, 1, 1);
	EQ(x_open(a, 0, "/f", O_RDONLY, 0, 1), 0);
	EQ(x_release(a, 1), 0);
	sees_no_more();
	EQ(changes_of(b)->n, 0);
	unwatch(b, 1, 0);
	EQ(unlink(host("f")), 0);
}

static void bad_requests(void)
{
	const File__ChangedEvt event = FILE__CHANGED_EVT__INIT;

	EQ(watch(a, "/none", IN_MODIFY, 1, 1), -ENOENT);
	EQ(watch(a, "/", IN_MODIFY, 0, 1), -EINVAL);
	EQ(watch(a, "/", IN_MODIFY, 1, 0), -EINVAL);
	EQ(watch(a, "/", IN_MODIFY | IN_Q_OVERFLOW, 1, 1), -EINVAL);
	EQ(watch(a, "/", IN_MODIFY, 1, 1), 1);
	by_host("f");
	EQ(watch(a, "/f", IN_MODIFY, 1, 1), -EINVAL); /* a number that is taken */
	EQ(watch(a, "/f", IN_MODIFY | IN_ONLYDIR, 1, 2), -ENOTDIR);
	EQ(call(a, M_CHANGED, &event.base, NULL, 0), -ENOSYS);
	unwatch(a, 1, 0);
	EQ(unlink(host("f")), 0);
}

static void the_guests_permission_counts(void)
{
	struct client *c;

	if (geteuid() != 0)
		return;
	c = client_new(1000, 1000);
	by_host("f");
	EQ(chmod(host("f"), 0600), 0);
	EQ(watch(c, "/f", IN_MODIFY, 1, 1), -EACCES);
	EQ(chmod(host("f"), 0604), 0);
	EQ(watch(c, "/f", IN_MODIFY, 1, 1), 1);
	client_free(c);
	EQ(unlink(host("f")), 0);
}

static void renames(unsigned n)
{
	const char *f = host("f"), *g = host("g");

	for (unsigned i = 0; i < n; i++)
		CU_ASSERT_FATAL(rename(f, g) == 0 && rename(g, f) == 0);
}

static void events_wait_for_credit(void)
{
	by_host("f");
	EQ(watch(a, "/", IN_MOVE, 1, 1), 1);
	changes_of(a)->no_credit = true;
	renames(50);
	notify_pump(a->session);
	renames(50);
	notify_pump(a->session);
	sees_no_more();
	changes_of(a)->no_credit = false;
	notify_pump(a->session);
	EQ(changes_of(a)->n, g_seen + 400);
	for (unsigned i = 0; i < 200; i++) {
		sees(1, 1, IN_MOVED_FROM, i & 1 ? "g" : "f");
		sees(1, 1, IN_MOVED_TO, i & 1 ? "f" : "g");
	}
	/* More than the kernel keeps: some are lost, and that is told. */
	changes_of(a)->no_credit = true;
	renames(5000);
	notify_pump(a->session);
	sees_no_more();
	changes_of(a)->no_credit = false;
	notify_pump(a->session);
	CU_ASSERT(changes_of(a)->n > g_seen + 400);
	CU_ASSERT(changes_of(a)->n < g_seen + 20000);
	g_seen = changes_of(a)->n - 1;
	sees(0, 0, IN_Q_OVERFLOW, "");
	unwatch(a, 1, 0);
	EQ(unlink(host("f")), 0);
}

/* The @n th: of 128 groups each on its file. */
static int one_of_many(unsigned n)
{
	char path[16];

	snprintf(path, sizeof path, "/f%u", n / NOTIFY_GROUPS_MAX);
	return watch(a, path, IN_MODIFY, n % NOTIFY_GROUPS_MAX + 1,
	             n / NOTIFY_GROUPS_MAX + 1);
}

static void watches_are_bounded(void)
{
	const unsigned files = RPC_WATCHES_MAX / NOTIFY_GROUPS_MAX;
	char name[16];
	unsigned n;

	for (n = 0; n <= files; n++) {
		snprintf(name, sizeof name, "f%u", n);
		by_host(name);
	}
	for (n = 0; n < 100000 && one_of_many(n) > 0; n++)
		;
	EQ(n, RPC_WATCHES_MAX);
	EQ(one_of_many(n), -ENOSPC);
	EQ(watch(a, "/", IN_MODIFY, 1, 100), -ENOSPC);
	EQ(watch(a, "/f0", IN_OPEN, 1, 100), 1); /* no new one */
	EQ(watch(b, "/f0", IN_MODIFY, 1, 1), 1);
	unwatch(b, 1, 0);
	unwatch(a, 1, 2);
	EQ(watch(a, "/", IN_MODIFY, 1, 100), 100);
	unwatch(a, 2, 0);
	EQ(watch(a, "/f0", IN_MODIFY, 200, 1), 1);
	EQ(watch(a, "/f0", IN_MODIFY, 201, 1), -ENOSPC); /* of one object */
	for (n = 1; n <= 200; n++)
		unwatch(a, n, 0);
	for (n = 0; n <= files; n++) {
		snprintf(name, sizeof name, "f%u", n);
		EQ(unlink(host(name)), 0);
	}
	notify_pump(a->session);
	sees_no_more();
}

/* What a later instance is asked: the object, wherever it is, by who watched it. */
static void an_object_is_watched_again(void)
{
	File__WatchReq q = FILE__WATCH_REQ__INIT;
	const File__WatchRep *rep;
	uint8_t id[FILE_ID_MAX], token[16];

	by_host("f");
	q.path = bytes("/f");
	q.mask = IN_ATTRIB;
	q.group = q.watch = 1;
	EQ(watch_req(a, &q), 1);
	rep = (const File__WatchRep *)a->rep.msg;
	q.ino = rep->ino;
	q.type = rep->type;
	EQ(q.type, S_IFREG);
	if (rep->file_id.len == 0)
		return; /* the file system has no identities */
	EQ(rep->token.len, sizeof token);
	memcpy(id, rep->file_id.data, rep->file_id.len);
	memcpy(token, rep->token.data, sizeof token);
	q.file_id = (ProtobufCBinaryData){rep->file_id.len, id};
	q.token = (ProtobufCBinaryData){sizeof token, token};
	unwatch(a, 1, 0);
	EQ(chmod(host("f"), 0), 0); /* had once, had for good */
	EQ(watch_req(a, &q), 1);
	unwatch(a, 1, 0);
	EQ(watch_req(b, &q), -EPERM); /* not by another guest */
	token[0] ^= 1;
	EQ(watch_req(a, &q), -EPERM);
	token[0] ^= 1;
	by_host("g");
	EQ(rename(host("g"), host("f")), 0); /* another one has its name, it has none */
	EQ(watch_req(a, &q), -ESTALE);
	q.file_id.len = 0; /* by its name only: that is another */
	EQ(watch_req(a, &q), -ESTALE);
	EQ(unlink(host("f")), 0);
	sees_no_more();
}

static int begin(void)
{
	root = bench_start(false, true);
	if (geteuid() == 0)
		bench_squash(65534, 65534);
	a = client_new(0, 0);
	b = client_new(0, 0);
	return 0;
}

static int end(void)
{
	client_free(a); /* with what it still watches */
	client_free(b);
	return bench_stop() ? 0 : 1;
}

int main(void)
{
	static CU_TestInfo tests[] = {
	        TEST(what_others_do_is_seen),
	        TEST(what_is_hidden_is_not_seen),
	        TEST(groups_are_apart),
	        TEST(bad_requests),
	        TEST(the_guests_permission_counts),
	        TEST(events_wait_for_credit),
	        TEST(watches_are_bounded),
	        TEST(an_object_is_watched_again),
	        CU_TEST_INFO_NULL,
	};

	return suite_run("fsd watches", begin, end, tests);
}
