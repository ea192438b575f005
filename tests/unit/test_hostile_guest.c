/* SPDX-License-Identifier: MIT */
/*
 * fsd and netd as processes, with two guests each: one behaves, the other does
 * not.  Whatever the second does, the first is served within two seconds, and the
 * service lives.
 *
 *     test_hostile_guest FSD NETD
 */
#include "control.pb-c.h"
#include "fake_guest.h"
#include "file.pb-c.h"
#include "net.pb-c.h"
#include "rpc/control.h"
#include "rpc/guest.h"
#include "tests/unit/suite.h"
#include "vchan/hosted.h"
#include "vchan/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GOOD (&g_file_chan) /* the two channels of a process stand for two guests */
#define BAD (&g_net_chan)

static const char *g_fsd, *g_netd;
static char g_dir[] = "/tmp/strait-hostile-XXXXXX";
static pid_t g_pid;
static int g_sock, g_bell = -1;
static bool g_net;                    /* the service under test is netd */
static uint32_t g_domid;
static struct fake_channel g_good, g_bad;

/* ---- the supervisor's part ---- */

static uint32_t expect(int body)
{
	int fds[CONTROL_FDS_MAX], n = 0;
	Control__Control *c = NULL;
	uint32_t domid = 0;

	for (;;) {
		if (control_recv(g_sock, 0, &c, fds, &n) < 0) {
			CU_FAIL_FATAL("the service does not answer its supervisor");
			return 0;
		}
		if (c->body_case == CONTROL__CONTROL__BODY_FAILED)
			fprintf(stderr, "service: %.*s\n", (int)c->failed->text.len,
			        (char *)c->failed->text.data);
		const bool found = (int)c->body_case == body;
		if (found && body == CONTROL__CONTROL__BODY_GUEST_READY)
			domid = c->guest_ready->domid;
		if (found && body == CONTROL__CONTROL__BODY_RELEASED)
			domid = c->released->domid;
		control__control__free_unpacked(c, NULL);
		if (found)
			return domid;
	}
}

static void send_or_fail(Control__Control *c, const int *fds, int n)
{
	CU_ASSERT_EQUAL_FATAL(control_send(g_sock, c, fds, n), 0);
}

static void configure(void)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Configure conf = CONTROL__CONFIGURE__INIT;
	Control__FileConfig file = CONTROL__FILE_CONFIG__INIT;
	Control__NetConfig net = CONTROL__NET_CONFIG__INIT;
	Control__Mount mount = CONTROL__MOUNT__INIT, *list[1] = {&mount};
	int fd = open(g_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	mount.guest_path = (ProtobufCBinaryData){1, (uint8_t *)"/"};
	mount.kind = (ProtobufCBinaryData){3, (uint8_t *)"dir"};
	file.mounts = list;
	file.n_mounts = 1;
	file.can_setcred = geteuid() == 0;
	net.stack = (ProtobufCBinaryData){4, (uint8_t *)"lwip"};
	net.link = (ProtobufCBinaryData){4, (uint8_t *)"loop"};
	net.mtu = 1500;
	net.mac = (ProtobufCBinaryData){6, (uint8_t *)"\2\0\0\0\0\1"};
	conf.epoch = 1;
	if (g_net)
		conf.net = &net;
	else
		conf.file = &file;
	c.body_case = CONTROL__CONTROL__BODY_CONFIGURE;
	c.configure = &conf;
	send_or_fail(&c, &fd, g_net ? 0 : 1);
	close(fd);
	expect(CONTROL__CONTROL__BODY_READY);
}

static uint32_t add_guest(struct fake_channel *fc, uint8_t id[16])
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestAdd add = CONTROL__GUEST_ADD__INIT;
	char path[64];

	CU_ASSERT_EQUAL_FATAL(fake_channel_make(fc, 18, g_bell), 0);
	add.domid = ++g_domid;
	snprintf(path, sizeof(path), "/local/domain/%u/strait", add.domid);
	memset(id, (int)g_domid, 16);
	add.name = (ProtobufCBinaryData){1, (uint8_t *)"g"};
	add.xs_path = (ProtobufCBinaryData){strlen(path), (uint8_t *)path};
	add.ring_fd = 0;
	add.event_fd = 1;
	add.doorbell_fd = 2;
	add.client_id = (ProtobufCBinaryData){16, id};
	c.body_case = CONTROL__CONTROL__BODY_GUEST_ADD;
	c.guest_add = &add;
	send_or_fail(&c, (int[]){fc->ring_fd, fc->event_fd, g_bell}, 3);
	CU_ASSERT_EQUAL(expect(CONTROL__CONTROL__BODY_GUEST_READY), add.domid);
	return add.domid;
}

static void guest_gone(uint32_t domid)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestGone gone = CONTROL__GUEST_GONE__INIT;

	gone.domid = domid;
	c.body_case = CONTROL__CONTROL__BODY_GUEST_GONE;
	c.guest_gone = &gone;
	send_or_fail(&c, NULL, 0);
	while (expect(CONTROL__CONTROL__BODY_RELEASED) != domid)
		; /* one that left by itself is told of at once, and again when asked */
}

/* ---- the guests ---- */

static void on_event(struct rpc_event *ev)
{
	(void)ev;
}

static struct rpc_chan_ops g_ops = {.on_event = on_event};

static int attach(struct rpc_chan *ch, struct fake_channel *fc, const uint8_t id[16])
{
	struct plat_channel *pc = ch == GOOD ? &g_config.file : &g_config.net;

	g_ops.service_id = g_net ? RPC_SERVICE_NET : RPC_SERVICE_FILE;
	g_ops.service = g_net ? &net__net__descriptor : &file__file__descriptor;
	memcpy(g_config.client_id, id, 16);
	fake_channel_use(fc, pc, ch == GOOD ? 0 : 1);
	return rpc_attach(ch, pc, &g_ops);
}

static uint32_t g_good_domid, g_bad_domid;
static uint8_t g_good_id[16], g_bad_id[16];

static void start(bool net)
{
	int s[2];
	const struct timeval limit = {10, 0};

	g_net = net;
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
	setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	fcntl(s[0], F_SETFD, FD_CLOEXEC);
	g_pid = fork();
	if (g_pid == 0) {
		char num[16];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(num, sizeof(num), "%d", s[1]);
		execl(net ? g_netd : g_fsd, net ? "netd" : "fsd", "--control-fd", num, (char *)NULL);
		_exit(127);
	}
	close(s[1]);
	g_sock = s[0];
	if (g_bell < 0)
		g_bell = hosted_doorbell_create();
	configure();
	g_good_domid = add_guest(&g_good, g_good_id);
	CU_ASSERT_EQUAL_FATAL(attach(GOOD, &g_good, g_good_id), 0);
}

static void stop(void)
{
	int status = -1;

	rpc_detach(GOOD);
	guest_gone(g_good_domid);
	close(g_sock); /* a supervisor that is gone: the service ends */
	for (int i = 0; i < 100 && waitpid(g_pid, &status, WNOHANG) == 0; i++)
		usleep(50000);
	CU_ASSERT_TRUE(WIFEXITED(status));
	kill(g_pid, SIGKILL);
}

static void bad_begin(void)
{
	g_bad_domid = add_guest(&g_bad, g_bad_id);
	CU_ASSERT_EQUAL_FATAL(attach(BAD, &g_bad, g_bad_id), 0);
}

static void bad_end(void)
{
	rpc_detach(BAD);
	guest_gone(g_bad_domid);
	munmap(g_bad.map, hosted_ring_size(18));
	close(g_bad.ring_fd);
	close(g_bad.event_fd);
}

static int do_stat(struct rpc_chan *ch, const void *path, size_t len, uint32_t at, uint64_t *ino)
{
	struct rpc_call call;
	File__PathReq q = FILE__PATH_REQ__INIT;

	rpc_call_init(&call);
	q.at = at;
	q.path = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)path};
	file__file__stat(rpc_service(ch), &q, (File__AttrRep_Closure)rpc_reply_taken, &call);
	if (call.err == 0 && ino)
		*ino = ((const File__AttrRep *)call.reply)->attr->ino;
	return call.err;
}

static void good_is_served(void)
{
	const uint64_t t0 = plat_mono_ns();

	if (g_net) {
		struct rpc_call call;
		Net__Empty q = NET__EMPTY__INIT;

		rpc_call_init(&call);
		net__net__info(rpc_service(GOOD), &q, (Net__InfoRep_Closure)rpc_reply_taken, &call);
		CU_ASSERT_EQUAL_FATAL(call.err, 0);
	} else {
		CU_ASSERT_EQUAL_FATAL(do_stat(GOOD, "/file", 5, 0, NULL), 0);
	}
	CU_ASSERT_TRUE(plat_mono_ns() - t0 < 2000000000u);
	CU_ASSERT_EQUAL(waitpid(g_pid, NULL, WNOHANG), 0);
}

/* ---- what a hostile guest does ---- */

static void put_raw(const void *bytes, uint32_t n, uint32_t publish)
{
	struct vchan_wire *w = fake_page(&g_bad);
	const uint32_t size = 1u << g_bad.order, prod = atomic_load(&w->left_prod);
	uint8_t *ring = (uint8_t *)g_bad.map + 4096;

	for (uint32_t i = 0; i < n; i++)
		ring[(prod + i) & (size - 1)] = ((const uint8_t *)bytes)[i];
	atomic_store(&w->left_prod, prod + publish);
	plat_channel_notify(1);
}

static bool hung_up(void)
{
	struct vchan_wire *w = fake_page(&g_bad);

	for (int i = 0; i < 400 && atomic_load(&w->srv_live); i++)
		usleep(5000);
	return atomic_load(&w->srv_live) == 0;
}

static void raw_frame(struct frame f, uint32_t publish)
{
	bad_begin();
	put_raw(&f, sizeof(f), publish);
	CU_ASSERT_TRUE(hung_up());
	good_is_served();
	bad_end();
}

static void broken_frames(void)
{
	const uint16_t m = FRAME_METHOD(g_net ? 2 : 1, 5);

	raw_frame((struct frame){.len = 47, .kind = FRAME_CALL, .method = m, .slot = 9, .seq = 1}, 48);
	raw_frame((struct frame){.len = 0xffffffff, .kind = FRAME_CALL, .slot = 9, .seq = 1}, 48);
	raw_frame((struct frame){.len = 48, .kind = 200, .slot = 9, .seq = 1}, 48);
	raw_frame((struct frame){.len = 48, .kind = FRAME_CALL, .method = m, .slot = 999, .seq = 1}, 48);
	raw_frame((struct frame){.len = 48, .kind = FRAME_CALL, .method = m, .slot = 9, .seq = 77}, 48);
	raw_frame((struct frame){.len = 48, .kind = FRAME_POST, .method = m, .seq = 9}, 48);
	raw_frame((struct frame){.len = 48, .kind = FRAME_CREDIT, .credit = 0xffffffff}, 48);
	raw_frame((struct frame){.len = 48, .kind = FRAME_CALL, .slot = 9, .seq = 1}, 0x40000000);
	/* a message that is no protobuf */
	struct frame f = {.len = 48 + 8, .msg_len = 8, .kind = FRAME_CALL, .method = m, .slot = 9, .seq = 1};
	uint8_t b[56];
	memcpy(b, &f, 48);
	memset(b + 48, 0xff, 8);
	bad_begin();
	put_raw(b, 56, 56);
	CU_ASSERT_TRUE(hung_up());
	good_is_served();
	bad_end();
}

static void nobody_reads_the_replies(void)
{
	struct vchan_wire *w;
	uint8_t b[64] = {0};

	bad_begin();
	w = fake_page(&g_bad);
	/* promises room it does not have: calls, and never moves its read index */
	for (uint32_t i = 1; i <= 20000 && atomic_load(&w->srv_live); i++) {
		struct frame f = {.len = 48, .kind = FRAME_CALL, .method = FRAME_METHOD(0, 1), .slot = 9, .seq = i};

		while ((uint32_t)(atomic_load(&w->left_prod) - atomic_load(&w->left_cons)) > 200000u &&
		       atomic_load(&w->srv_live))
			usleep(100);
		memcpy(b, &f, 48);
		put_raw(b, 48, 48);
	}
	CU_ASSERT_TRUE(hung_up());
	good_is_served();
	bad_end();
}

static void a_flood_of_posts(void)
{
	bad_begin();
	for (int i = 0; i < 30000; i++) {
		if (g_net) {
			Net__CloseReq q = NET__CLOSE_REQ__INIT;

			q.handle = 0xdeadbeef;
			if (rpc_post(BAD, 5, &q.base, NULL, NULL, 0) < 0)
				break;
		} else {
			File__HandleReq q = FILE__HANDLE_REQ__INIT;

			q.handle = 0xdeadbeef;
			if (rpc_post(BAD, 2, &q.base, NULL, NULL, 0) < 0)
				break;
		}
		if (i % 5000 == 0)
			good_is_served();
	}
	good_is_served();
	bad_end();
}

static void fsd_lives_with_broken_frames(void)
{
	start(false);
	broken_frames();
	nobody_reads_the_replies();
	a_flood_of_posts();
	stop();
}

static void netd_lives_with_broken_frames(void)
{
	start(true);
	broken_frames();
	nobody_reads_the_replies();
	a_flood_of_posts();
	stop();
}

/* ---- well-formed frames with hostile arguments ---- */

static int do_open(uint32_t handle, const char *path, uint32_t flags)
{
	struct rpc_call call;
	File__OpenReq q = FILE__OPEN_REQ__INIT;

	rpc_call_init(&call);
	q.path = (ProtobufCBinaryData){strlen(path), (uint8_t *)(uintptr_t)path};
	q.flags = flags;
	q.mode = 07777;
	q.handle = handle;
	file__file__open(rpc_service(BAD), &q, (File__OpenRep_Closure)rpc_reply_taken, &call);
	return call.err;
}

static int do_read(uint32_t handle, uint32_t count, uint64_t off)
{
	struct rpc_call call;
	File__ReadReq q = FILE__READ_REQ__INIT;

	rpc_call_init(&call);
	q.handle = handle;
	q.count = count;
	q.offset = off;
	file__file__read(rpc_service(BAD), &q, (File__Empty_Closure)rpc_reply_taken, &call);
	return call.err;
}

static void paths_do_not_lead_out(void)
{
	static const char *const out[] = {"/../../../../../../etc/passwd", "../../../../etc/passwd",
	                                  "/abs/etc/passwd", "/up/etc/passwd", "/d/../../etc/passwd",
	                                  "/proc/self/root/etc/passwd", "/up/../../../etc/passwd"};
	struct stat st;

	start(false);
	bad_begin();
	CU_ASSERT_EQUAL_FATAL(stat("/etc/passwd", &st), 0);
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		uint64_t ino = 0;

		if (do_stat(BAD, out[i], strlen(out[i]), 0, &ino) == 0)
			CU_ASSERT_NOT_EQUAL(ino, st.st_ino);
		CU_ASSERT_NOT_EQUAL(do_open(50 + (uint32_t)i, out[i], O_RDONLY), 0);
	}
	bad_end();
	stop();
}

static void wild_arguments_are_refused(void)
{
	char longpath[9000];

	start(false);
	bad_begin();
	memset(longpath, 'a', sizeof(longpath));
	CU_ASSERT_EQUAL(do_read(0xdeadbeef, 100, 0), -EBADF);
	CU_ASSERT_EQUAL(do_stat(BAD, "x\0y", 3, 0, NULL), -EINVAL);
	CU_ASSERT_EQUAL(do_stat(BAD, longpath, 5000, 0, NULL), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(do_stat(BAD, "file", 4, 0xdeadbeef, NULL), -EBADF);
	CU_ASSERT_EQUAL(do_open(7, "/file", O_RDONLY), 0);
	CU_ASSERT_NOT_EQUAL(do_open(7, "/file", O_RDONLY), 0); /* the handle is taken */
	CU_ASSERT_NOT_EQUAL(do_read(7, 0xffffffff, 0), 0);
	CU_ASSERT_NOT_EQUAL(do_read(7, 10, UINT64_MAX), 0);
	/* whatever that did to its own channel, the other guest is served */
	good_is_served();
	bad_end();
	stop();
}

static void a_guest_cannot_use_anothers_handles(void)
{
	struct rpc_call call;
	File__OpenReq q = FILE__OPEN_REQ__INIT;

	start(false);
	rpc_call_init(&call);
	q.path = (ProtobufCBinaryData){5, (uint8_t *)"/file"};
	q.handle = 77;
	file__file__open(rpc_service(GOOD), &q, (File__OpenRep_Closure)rpc_reply_taken, &call);
	CU_ASSERT_EQUAL(call.err, 0);
	bad_begin();
	CU_ASSERT_EQUAL(do_read(77, 1, 0), -EBADF);
	bad_end();
	stop();
}

static void handles_have_a_limit(void)
{
	int err = 0;
	uint32_t i;

	start(false);
	bad_begin();
	for (i = 1; i < 200000 && err == 0; i++)
		err = do_open(i, "/file", O_PATH);
	CU_ASSERT_NOT_EQUAL(err, 0);
	CU_ASSERT_TRUE(i <= RPC_HANDLES_MAX + 2);
	good_is_served();
	bad_end();
	good_is_served();
	stop();
}

static void a_wrong_client_id_is_refused(void)
{
	start(false);
	g_bad_domid = add_guest(&g_bad, g_bad_id);
	g_bad_id[0] ^= 1;
	CU_ASSERT_NOT_EQUAL(attach(BAD, &g_bad, g_bad_id), 0);
	good_is_served();
	bad_end();
	stop();
}

static void sockets_of_another_guest_are_out_of_reach(void)
{
	struct rpc_call call;
	Net__SocketReq q = NET__SOCKET_REQ__INIT;
	Net__ListenReq l = NET__LISTEN_REQ__INIT;

	start(true);
	rpc_call_init(&call);
	q.handle = 5;
	q.domain = AF_INET;
	q.type = SOCK_STREAM;
	net__net__socket(rpc_service(GOOD), &q, (Net__Empty_Closure)rpc_reply_taken, &call);
	CU_ASSERT_EQUAL(call.err, 0);
	bad_begin();
	rpc_call_init(&call);
	l.handle = 5;
	net__net__listen(rpc_service(BAD), &l, (Net__AddrRep_Closure)rpc_reply_taken, &call);
	CU_ASSERT_EQUAL(call.err, -EBADF);
	good_is_served();
	bad_end();
	stop();
}

int main(int argc, char **argv)
{
	static CU_TestInfo tests[] = {
		TEST(fsd_lives_with_broken_frames),
		TEST(netd_lives_with_broken_frames),
		TEST(paths_do_not_lead_out),
		TEST(wild_arguments_are_refused),
		TEST(a_guest_cannot_use_anothers_handles),
		TEST(handles_have_a_limit),
		TEST(a_wrong_client_id_is_refused),
		TEST(sockets_of_another_guest_are_out_of_reach),
		CU_TEST_INFO_NULL,
	};
	int failed;
	char path[128];

	if (argc != 3 || !mkdtemp(g_dir)) {
		fprintf(stderr, "usage: test_hostile_guest FSD NETD\n");
		return 2;
	}
	g_fsd = argv[1];
	g_netd = argv[2];
	signal(SIGPIPE, SIG_IGN);
	chmod(g_dir, 0755);
	snprintf(path, sizeof(path), "%s/file", g_dir);
	close(open(path, O_CREAT | O_WRONLY, 0644));
	snprintf(path, sizeof(path), "%s/d", g_dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/abs", g_dir);
	(void)!symlink("/", path);
	snprintf(path, sizeof(path), "%s/up", g_dir);
	(void)!symlink("../../../..", path);
	failed = suite_run("hostile_guest", NULL, NULL, tests);
	snprintf(path, sizeof(path), "rm -rf %s", g_dir);
	return failed || system(path) != 0 ? 1 : 0;
}
