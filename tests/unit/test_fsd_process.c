/* SPDX-License-Identifier: MIT */
/* fsd as a process: supervisor's socket, rings, sandbox, a guest's end. */
#include "rpc/control.h"
#include "rpc/guest.h"
#include "tests/unit/fake_guest.h"
#include "tests/unit/suite.h"
#include "vchan/hosted.h"

#include "file.pb-c.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EQ(a, b)                                                                       \
	do {                                                                           \
		const long a_ = (long)(a), b_ = (long)(b);                             \
		if (a_ != b_)                                                          \
			fprintf(stderr, "%s:%d: %s is %ld, not %ld\n", __FILE__,       \
			        __LINE__, #a, a_, b_);                                 \
		CU_ASSERT_EQUAL(a_, b_);                                               \
	} while (0)

static const char *g_fsd;
static pid_t g_pid;
static int g_sock = -1, g_bell = -1;
static char g_dir[] = "/tmp/fsd-proc-XXXXXX";
static struct fake_channel g_fc;
static const uint8_t g_id[16] = "fsd-test-guest-";
static _Atomic uint64_t g_done;
static uint32_t g_epoch = 1;          /* of the next instance */
static uint32_t g_expected[] = {7, 8}; /* 7: ours; 8: one that never comes */
static size_t g_n_expected;
static File__OpenRep *g_open;            /* what the guest knows of its file */
static int g_reopened;

static ProtobufCBinaryData bytes(const char *s)
{
	return (ProtobufCBinaryData){strlen(s), (uint8_t *)(uintptr_t)s};
}

static void on_done(uint64_t ticket, int err)
{
	(void)err;
	atomic_store(&g_done, ticket);
}

static void on_lost(void)
{
}

static void on_event(struct rpc_event *ev)
{
	(void)ev;
}

static const struct rpc_chan_ops g_ops = {.service_id = RPC_SERVICE_FILE,
                                          .service = &file__file__descriptor,
                                          .on_event = on_event,
                                          .on_done = on_done,
                                          .on_lost = on_lost};

static int run_fsd(const char *a, const char *b, const char *c)
{
	const pid_t pid = fork();
	int status;

	if (pid == 0) {
		const int null = open("/dev/null", O_RDWR);

		dup2(null, 1);
		dup2(null, 2);
		execl(g_fsd, "fsd", a, b, c, (char *)NULL);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void wrong_use_is_refused(void)
{
	EQ(run_fsd("--help", NULL, NULL), 0);
	EQ(run_fsd("--version", NULL, NULL), 0);
	EQ(run_fsd(NULL, NULL, NULL), 125);
	EQ(run_fsd("--nonsense", NULL, NULL), 125);
	EQ(run_fsd("--control-fd", "999", NULL), 125);
	EQ(run_fsd("--control-fd", "0x", NULL), 125);
	EQ(run_fsd("--control-fd", "1", "--log=loud"), 125);
}

static void spawn(void)
{
	int sv[2];

	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0);
	g_sock = sv[0];
	g_pid = fork();
	if (g_pid == 0) {
		char n[16];

		snprintf(n, sizeof n, "%d", dup(sv[1])); /* without CLOEXEC */
		execl(g_fsd, "fsd", "--control-fd", n, (char *)NULL);
		_exit(99);
	}
	close(sv[1]);
}

/* The next message from fsd within @ms; NULL: none. */
static Control__Control *next(int ms)
{
	struct pollfd p = {.fd = g_sock, .events = POLLIN};
	Control__Control *c;
	int fds[CONTROL_FDS_MAX], n;

	if (poll(&p, 1, ms) <= 0 || control_recv(g_sock, 0, &c, fds, &n) < 0)
		return NULL;
	return c;
}

static int ended(void)
{
	int status;

	close(g_sock);
	waitpid(g_pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int configure(const char *path, const char *kind, unsigned fd_index)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Configure conf = CONTROL__CONFIGURE__INIT;
	Control__FileConfig file = CONTROL__FILE_CONFIG__INIT;
	Control__Mount m = CONTROL__MOUNT__INIT, *list[1] = {&m};
	int fd = open(g_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	m.guest_path = bytes(path);
	m.kind = bytes(kind);
	m.source = bytes(g_dir);
	m.fd = fd_index;
	file.mounts = list;
	file.n_mounts = 1;
	file.can_setcred = geteuid() == 0;
	file.squash = 0;
	conf.epoch = g_epoch;
	conf.expected = g_expected;
	conf.n_expected = g_n_expected;
	conf.instance = bytes("the same for all");
	conf.write_verifier = 77;
	conf.file = &file;
	c.body_case = CONTROL__CONTROL__BODY_CONFIGURE;
	c.configure = &conf;
	r = control_send(g_sock, &c, &fd, 1);
	close(fd);
	return r;
}

static void refuses(const char *path, const char *kind, unsigned fd_index,
                    const char *says)
{
	Control__Control *c;
	char text[1024];

	spawn();
	EQ(configure(path, kind, fd_index), 0);
	c = next(5000);
	CU_ASSERT_FATAL(c != NULL);
	EQ(c->body_case, CONTROL__CONTROL__BODY_FAILED);
	if (c->body_case == CONTROL__CONTROL__BODY_FAILED) {
		snprintf(text, sizeof text, "%.*s", (int)c->failed->text.len,
		         (const char *)c->failed->text.data);
		if (!strstr(text, says))
			fprintf(stderr, "says: %s\n", text);
		CU_ASSERT(strstr(text, says) != NULL);
	}
	control__control__free_unpacked(c, NULL);
	EQ(ended(), 125);
}

static void a_bad_configuration_is_one_sentence(void)
{
	refuses("/a", "dir", 0, "before a mount of /");
	refuses("/", "floppy", 0, "unknown back end floppy");
	refuses("//", "dir", 0, "not an absolute normal path");
	refuses("/", "dir", 5, "was not handed over");
}

static void a_supervisor_that_dies_takes_fsd_along(void)
{
	spawn();
	EQ(ended(), 0);
}

/* An instance, and a channel to it. */
static void bring_up(void)
{
	Control__Control *c, add = CONTROL__CONTROL__INIT;
	Control__GuestAdd g = CONTROL__GUEST_ADD__INIT;
	int fds[3];

	spawn();
	EQ(configure("/", "dir", 0), 0);
	c = next(5000);
	CU_ASSERT_FATAL(c != NULL && c->body_case == CONTROL__CONTROL__BODY_READY);
	control__control__free_unpacked(c, NULL);
	if (g_bell < 0)
		g_bell = hosted_doorbell_create();
	CU_ASSERT_FATAL(fake_channel_make(&g_fc, 18, g_bell) == 0);
	fds[0] = g_fc.ring_fd;
	fds[1] = g_fc.event_fd;
	fds[2] = g_bell;
	g.domid = 7;
	g.name = bytes("g");
	g.xs_path = bytes("/t");
	g.ring_fd = 0;
	g.event_fd = 1;
	g.doorbell_fd = 2;
	g.client_id = (ProtobufCBinaryData){16, (uint8_t *)(uintptr_t)g_id};
	add.body_case = CONTROL__CONTROL__BODY_GUEST_ADD;
	add.guest_add = &g;
	EQ(control_send(g_sock, &add, fds, 3), 0);
	c = next(5000);
	CU_ASSERT_FATAL(c != NULL &&
	                c->body_case == CONTROL__CONTROL__BODY_GUEST_READY);
	control__control__free_unpacked(c, NULL);
}

static void start_with(const struct rpc_chan_ops *ops)
{
	bring_up();
	memcpy(g_config.client_id, g_id, 16);
	fake_channel_use(&g_fc, &g_config.file, 0);
	CU_ASSERT_FATAL(rpc_attach(&g_file_chan, &g_config.file, ops) == 0);
}

static void start(void)
{
	start_with(&g_ops);
}

/* The guest is gone: everything of it is released; then fsd ends. */
static void stop(bool detach)
{
	Control__Control *c, gone = CONTROL__CONTROL__INIT,
	                     down = CONTROL__CONTROL__INIT;
	Control__GuestGone g = CONTROL__GUEST_GONE__INIT;
	Control__Shutdown s = CONTROL__SHUTDOWN__INIT;

	if (detach)
		rpc_detach(&g_file_chan);
	g.domid = 7;
	gone.body_case = CONTROL__CONTROL__BODY_GUEST_GONE;
	gone.guest_gone = &g;
	EQ(control_send(g_sock, &gone, NULL, 0), 0);
	c = next(5000);
	CU_ASSERT_FATAL(c != NULL);
	EQ(c->body_case, CONTROL__CONTROL__BODY_RELEASED);
	control__control__free_unpacked(c, NULL);
	down.body_case = CONTROL__CONTROL__BODY_SHUTDOWN;
	down.shutdown = &s;
	EQ(control_send(g_sock, &down, NULL, 0), 0);
	int status;
	waitpid(g_pid, &status, 0);
	EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
	close(g_sock);
	if (!detach)
		rpc_detach(&g_file_chan);
}

struct mem {
	uint8_t *p;
	size_t used, cap;
};

static int sink(void *arg, void *ring, size_t n)
{
	struct mem *m = arg;

	if (m->used + n > m->cap)
		return -EFAULT;
	memcpy(m->p + m->used, ring, n);
	m->used += n;
	return 0;
}

static int source(void *arg, void *ring, size_t n)
{
	struct mem *m = arg;

	memcpy(ring, m->p + m->used, n);
	m->used += n;
	return 0;
}

static struct rpc_call g_call;

static int call(unsigned index, const ProtobufCMessage *msg, struct mem *in,
                struct mem *out)
{
	int r;

	rpc_call_init(&g_call);
	if (in) {
		g_call.source = source;
		g_call.source_arg = in;
		g_call.source_len = (uint32_t)in->cap;
	}
	if (out) {
		g_call.sink = sink;
		g_call.sink_arg = out;
		g_call.sink_cap = (uint32_t)out->cap;
	}
	r = rpc_call_start(&g_file_chan, index, msg, &g_call);
	if (r < 0)
		return r;
	rpc_call_finish(&g_file_chan, index, &g_call);
	return g_call.err;
}

static int do_open(const char *path, uint32_t flags, uint32_t handle)
{
	File__OpenReq q = FILE__OPEN_REQ__INIT;

	q.path = bytes(path);
	q.flags = flags;
	q.mode = 0600;
	q.handle = handle;
	return call(1, &q.base, NULL, NULL);
}

static int do_read(uint32_t handle, uint8_t *buf, uint32_t n)
{
	struct mem m = {buf, 0, n};
	File__ReadReq q = FILE__READ_REQ__INIT;
	int r;

	q.handle = handle;
	q.count = n;
	r = call(3, &q.base, NULL, &m);
	return r < 0 ? r : (int)m.used;
}

static int do_write(uint32_t handle, uint8_t *buf, uint32_t n)
{
	struct mem m = {buf, 0, n};
	File__WriteReq q = FILE__WRITE_REQ__INIT;

	q.handle = handle;
	return call(4, &q.base, &m, NULL);
}

static void files_cross_the_rings(void)
{
	static uint8_t buf[65536], back[65536];
	File__PathReq u = FILE__PATH_REQ__INIT;
	File__SyncReq s = FILE__SYNC_REQ__INIT;

	start();
	for (size_t i = 0; i < sizeof buf; i++)
		buf[i] = (uint8_t)(i * 31 >> 3);
	EQ(do_open("/f", O_RDWR | O_CREAT, 1), 0);
	EQ(do_write(1, buf, sizeof buf), 0);
	EQ(do_read(1, back, sizeof back), sizeof back);
	CU_ASSERT(memcmp(buf, back, sizeof buf) == 0);
	s.handle = 1;
	EQ(call(17, &s.base, NULL, NULL), 0); /* by a worker */
	u.path = bytes("/f");
	EQ(call(14, &u.base, NULL, NULL), 0);
	memset(back, 0, sizeof back);
	EQ(do_read(1, back, sizeof back), sizeof back);
	CU_ASSERT(memcmp(buf, back, sizeof buf) == 0);
	EQ(do_open("/../etc/passwd", O_RDONLY, 2), -ENOENT);
	stop(true);
	char path[300];
	snprintf(path, sizeof path, "%s/.strait-orphans", g_dir);
	EQ(access(path, F_OK), -1); /* released: nothing left behind */
}

static void a_lock_is_waited_for(void)
{
	File__LockReq q = FILE__LOCK_REQ__INIT;
	int err;

	start();
	EQ(do_open("/l", O_RDWR | O_CREAT, 1), 0);
	EQ(do_open("/l", O_RDWR, 2), 0);
	q.kind = 1;
	q.handle = 1;
	q.type = F_WRLCK;
	EQ(call(22, &q.base, NULL, NULL), 0);
	q.handle = 2;
	q.wait = 1;
	q.ticket = 99;
	EQ(call(22, &q.base, NULL, NULL), 0);
	CU_ASSERT(g_call.queued);
	EQ(rpc_cancel(&g_file_chan, 99, &err), 1);
	q.ticket = 100;
	EQ(call(22, &q.base, NULL, NULL), 0);
	CU_ASSERT(g_call.queued);
	q.handle = 1;
	q.type = F_UNLCK;
	q.wait = 0;
	EQ(call(22, &q.base, NULL, NULL), 0);
	for (int i = 0; i < 100 && g_done != 100; i++)
		EQ(rpc_ping(&g_file_chan), 0);
	EQ(g_done, 100);
	stop(false); /* dies without a word */
}

static void it_is_locked_in(void)
{
	char path[64], line[256];
	int seccomp = -1, no_new = -1;
	unsigned long long caps = 0;
	FILE *f;

	start();
	snprintf(path, sizeof path, "/proc/%d/status", (int)g_pid);
	f = fopen(path, "r");
	CU_ASSERT_FATAL(f != NULL);
	while (fgets(line, sizeof line, f)) {
		(void)sscanf(line, "Seccomp: %d", &seccomp);
		(void)sscanf(line, "NoNewPrivs: %d", &no_new);
		(void)sscanf(line, "CapPrm: %llx", &caps);
	}
	fclose(f);
	EQ(no_new, 1);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	EQ(seccomp, 2);
#endif
	EQ(caps & ~0xdfull, 0); /* of 41: chown, dac, fowner, fsetid, setgid, setuid */
	stop(true);
}

/* ---- told to linger ---- */

/* All is closed when it says so: nothing keeps a file system busy.  It ends with its socket. */
static void one_that_lingers_has_closed_all(void)
{
	Control__Control *c, down = CONTROL__CONTROL__INIT;
	Control__Shutdown s = CONTROL__SHUTDOWN__INIT;
	char path[64];
	int status, n = 0;

	start();
	EQ(do_open("/lingers", O_RDWR | O_CREAT, 1), 0);
	s.linger = 1;
	down.body_case = CONTROL__CONTROL__BODY_SHUTDOWN;
	down.shutdown = &s;
	EQ(control_send(g_sock, &down, NULL, 0), 0);
	c = next(5000);
	CU_ASSERT_FATAL(c != NULL);
	EQ(c->body_case, CONTROL__CONTROL__BODY_STOPPED);
	control__control__free_unpacked(c, NULL);
	snprintf(path, sizeof path, "/proc/%d/fd", (int)g_pid);
	DIR *d = opendir(path);
	CU_ASSERT_FATAL(d != NULL);
	while (readdir(d))
		n++;
	closedir(d);
	EQ(n, 2 + 3 + 1); /* . and .., what it says goes to, the socket */
	EQ(waitpid(g_pid, &status, WNOHANG), 0);
	close(g_sock);
	EQ(waitpid(g_pid, &status, 0), g_pid);
	EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
	rpc_detach(&g_file_chan);
}

/* ---- one instance after another ---- */

static int restore(const struct rpc_restore *how)
{
	File__ReopenReq q = FILE__REOPEN_REQ__INIT;
	struct rpc_call c;

	EQ(how->verifier, 77);
	CU_ASSERT(!how->verifier_changed);
	q.handle = 1;
	q.flags = O_RDWR | O_CREAT;
	q.type = S_IFREG;
	q.file_id = g_open->file_id;
	q.token = g_open->token;
	rpc_call_init(&c);
	file__file__reopen(rpc_service(&g_file_chan), &q,
	                   (File__OpenRep_Closure)rpc_reply_taken, &c);
	g_reopened = c.err;
	return c.err == -EIO ? -EIO : 0;
}

static const struct rpc_chan_ops g_lasting = {.service_id = RPC_SERVICE_FILE,
                                              .service = &file__file__descriptor,
                                              .on_event = on_event,
                                              .on_done = on_done,
                                              .on_lost = on_lost,
                                              .on_restore = restore};

/* What the supervisor does when it sees that the service is gone, and what then. */
static void follow(int how)
{
	struct fake_channel old = g_fc;
	int status;

	EQ(kill(g_pid, how), 0);
	EQ(waitpid(g_pid, &status, 0), g_pid);
	close(g_sock);
	EQ(hosted_ring_mark_dead(old.ring_fd, g_bell), 0);
	g_epoch++;
	bring_up();
	fake_channel_next(&g_fc, g_epoch);
	(void)rpc_ping(&g_file_chan);
	fake_recovered();

	Control__Control *c = next(5000); /* and the supervisor knows */

	CU_ASSERT_FATAL(c != NULL);
	EQ(c->body_case, CONTROL__CONTROL__BODY_GUEST_BACK);
	if (c->body_case == CONTROL__CONTROL__BODY_GUEST_BACK)
		EQ(c->guest_back->domid, 7);
	control__control__free_unpacked(c, NULL);
}

static void say_gone(uint32_t domid)
{
	Control__Control gone = CONTROL__CONTROL__INIT;
	Control__GuestGone g = CONTROL__GUEST_GONE__INIT;

	g.domid = domid;
	gone.body_case = CONTROL__CONTROL__BODY_GUEST_GONE;
	gone.guest_gone = &g;
	EQ(control_send(g_sock, &gone, NULL, 0), 0);
	Control__Control *c = next(5000);
	CU_ASSERT_FATAL(c != NULL);
	EQ(c->body_case, CONTROL__CONTROL__BODY_RELEASED);
	control__control__free_unpacked(c, NULL);
}

static void open_and_unlink(void)
{
	File__PathReq u = FILE__PATH_REQ__INIT;

	EQ(do_open("/kept", O_RDWR | O_CREAT, 1), 0);
	const size_t n = protobuf_c_message_get_packed_size(g_call.reply);
	uint8_t packed[RPC_REPLY_MSG_MAX];

	CU_ASSERT_FATAL(n <= sizeof packed);
	protobuf_c_message_pack(g_call.reply, packed);
	g_open = file__open_rep__unpack(NULL, n, packed);
	CU_ASSERT_FATAL(g_open != NULL);
	EQ(do_write(1, (uint8_t *)"text", 4), 0);
	u.path = bytes("/kept");
	EQ(call(14, &u.base, NULL, NULL), 0);
}

static int seccomp_filters(void)
{
	char path[64], line[256];
	int n = -1;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", (int)g_pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		(void)sscanf(line, "Seccomp_filters: %d", &n);
	if (f)
		fclose(f);
	return n;
}

/* Others must have what they had, before anybody gets what is new. */
static void new_calls_wait_until_all_are_back(void)
{
	File__PathReq q = FILE__PATH_REQ__INIT;
	struct timespec a, b;
	struct rpc_call c;
	char buf[8], path[300];

	g_config.recover_ns = 20000000000u;
	start_with(&g_lasting);
	open_and_unlink();
	g_n_expected = 2;
	follow(SIGKILL);
	EQ(g_reopened, 0);
	const int filters = seccomp_filters();

	q.path = bytes("/");
	rpc_call_init(&c);
	EQ(rpc_call_start(&g_file_chan, 5, &q.base, &c), 0);
	usleep(200000);
	(void)rpc_guest_poll();
	EQ(c.done, 0); /* held */
	say_gone(9);   /* nobody waits for that one */
	usleep(100000);
	(void)rpc_guest_poll();
	EQ(c.done, 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	say_gone(8); /* the other one does not come */
	rpc_call_finish(&g_file_chan, 5, &c);
	EQ(c.err, 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	CU_ASSERT(b.tv_sec - a.tv_sec < 3); /* not because of the time */
	if (filters > 0) /* files are opened by handle no more */
		EQ(seccomp_filters(), filters + 1);
	EQ(do_read(1, (uint8_t *)buf, sizeof buf), 4);
	CU_ASSERT(memcmp(buf, "text", 4) == 0);

	/* Told to end, it leaves all as it is. */
	g_n_expected = 1;
	Control__Control down = CONTROL__CONTROL__INIT;
	Control__Shutdown s = CONTROL__SHUTDOWN__INIT;

	down.body_case = CONTROL__CONTROL__BODY_SHUTDOWN;
	down.shutdown = &s;
	EQ(control_send(g_sock, &down, NULL, 0), 0);
	g_reopened = -1;
	follow(0);
	EQ(g_reopened, 0);
	EQ(do_read(1, (uint8_t *)buf, sizeof buf), 4);
	stop(true);
	snprintf(path, sizeof path, "%s/.strait-orphans", g_dir);
	EQ(access(path, F_OK), -1);
	file__open_rep__free_unpacked(g_open, NULL);
	g_epoch = 1;
	g_n_expected = 0;
}

static double us_each(int n, int (*fn)(void))
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < n; i++)
		(void)fn();
	clock_gettime(CLOCK_MONOTONIC, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) /
	       1e3 / n;
}

static int one_ping(void)
{
	return rpc_ping(&g_file_chan);
}

static uint8_t g_buf[65536];

static int one_4k(void)
{
	return do_read(1, g_buf, 4096);
}

static int one_64k(void)
{
	return do_read(1, g_buf, 65536);
}

static int one_stat(void)
{
	File__PathReq q = FILE__PATH_REQ__INIT;

	q.path = bytes("/d/e/f");
	return call(5, &q.base, NULL, NULL);
}

static int one_write(void)
{
	return do_write(1, g_buf, 4096);
}

static int one_open(void)
{
	File__HandleReq q = FILE__HANDLE_REQ__INIT;

	q.handle = 3;
	if (do_open("/d/e/f", O_RDONLY, 3) < 0)
		return -1;
	return rpc_post(&g_file_chan, 2, &q.base, NULL, NULL, 0);
}

/* For people: nothing is asserted about time. */
static void speed(void)
{
	File__MakeReq q = FILE__MAKE_REQ__INIT;
	const int n = getenv("FSD_SPEED") ? atoi(getenv("FSD_SPEED")) : 200;

	start();
	q.mode = 0755;
	q.path = bytes("/d");
	(void)call(9, &q.base, NULL, NULL);
	q.path = bytes("/d/e");
	(void)call(9, &q.base, NULL, NULL);
	EQ(do_open("/d/e/f", O_RDWR | O_CREAT, 1), 0);
	EQ(do_write(1, g_buf, sizeof g_buf), 0);
	printf("null %.2f us, 4K %.2f, 64K %.2f, stat %.2f, write 4K %.2f, open+close "
	       "%.2f\n",
	       us_each(n, one_ping), us_each(n, one_4k), us_each(n, one_64k),
	       us_each(n, one_stat), us_each(n, one_write), us_each(n, one_open));
	EQ(one_stat(), 0);
	EQ(one_64k(), 65536);
	stop(true);
}

static int clean(void)
{
	char cmd[300];

	snprintf(cmd, sizeof cmd, "rm -rf '%s'", g_dir);
	return system(cmd);
}

int main(int argc, char **argv)
{
	static CU_TestInfo tests[] = {
		TEST(wrong_use_is_refused),
		TEST(a_bad_configuration_is_one_sentence),
		TEST(a_supervisor_that_dies_takes_fsd_along),
		TEST(files_cross_the_rings),
		TEST(a_lock_is_waited_for),
		TEST(one_that_lingers_has_closed_all),
		TEST(it_is_locked_in),
		TEST(new_calls_wait_until_all_are_back),
		TEST(speed),
		CU_TEST_INFO_NULL,
	};

	if (argc != 2 || !mkdtemp(g_dir)) {
		fprintf(stderr, "usage: test_fsd_process FSD\n");
		return 1;
	}
	g_fsd = argv[1];
	return suite_run("fsd process", NULL, clean, tests);
}
