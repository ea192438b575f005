/* SPDX-License-Identifier: MIT */
#include "tests/unit/fsd_bench.h"

#include "services/fsd/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DONE_MAX 256

struct rpc_conn {
	struct session *session;
	struct {
		uint64_t ticket;
		int err;
	} done[DONE_MAX];
	unsigned n_done;
	struct changes changes; /* sent by one thread at a time */
};

struct pending {
	struct rpc_req req; /* first */
	ProtobufCMessage *msg;
	uint8_t *payload;
	struct journal_entry journal;
	bool answered;
	struct reply rep;
	char room[RPC_PAYLOAD_MAX];
};

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_cond = PTHREAD_COND_INITIALIZER;
static bool g_wake;
static struct mounts g_mounts;
static struct instance g_inst;
static const uint8_t g_secret[] = "of all instances";
static char g_dir[256];
static struct {
	const char *path;
	char dir[256];
	bool ro;
	bool kept;
} g_more[8];
static unsigned g_n_more, g_n_clients;
static char *g_why;
unsigned g_bench_workers = 3;

/* ---- what rpc_server gives a service ---- */

void *rpc_conn_ctx(const struct rpc_conn *c)
{
	return c->session;
}

static void answer(struct rpc_req *req, int err, const ProtobufCMessage *msg,
                   bool queued)
{
	struct pending *p = (struct pending *)req;

	pthread_mutex_lock(&g_lock);
	if (p->answered)
		abort(); /* a call is answered once */
	p->rep.err = -err;
	p->rep.queued = queued;
	if (msg && !err) {
		uint8_t buf[RPC_REPLY_MSG_MAX];

		if (protobuf_c_message_get_packed_size(msg) > sizeof buf)
			abort(); /* a reply must fit */
		p->rep.msg = protobuf_c_message_unpack(
		        msg->descriptor, NULL, protobuf_c_message_pack(msg, buf), buf);
	}
	p->answered = true;
	pthread_cond_broadcast(&g_cond);
	pthread_mutex_unlock(&g_lock);
}

void rpc_reply(struct rpc_req *req, int err, const ProtobufCMessage *msg,
               const struct iovec *payload, int n_payload)
{
	struct pending *p = (struct pending *)req;

	for (int i = 0; i < n_payload && !err; i++) {
		memcpy(p->rep.payload + p->rep.len, payload[i].iov_base,
		       payload[i].iov_len);
		p->rep.len += (uint32_t)payload[i].iov_len;
	}
	answer(req, err, msg, false);
}

void rpc_reply_queued(struct rpc_req *req, const ProtobufCMessage *msg)
{
	answer(req, 0, msg, true);
}

/* In two pieces, as a ring that wraps. */
int rpc_reply_room(struct rpc_req *req, uint32_t cap, struct iovec out[2])
{
	struct pending *p = (struct pending *)req;
	const uint32_t first = cap > 1 ? cap / 3 : cap;

	if (cap > RPC_PAYLOAD_MAX)
		abort();
	out[0] = (struct iovec){p->room, first};
	out[1] = (struct iovec){p->room + first, cap - first};
	return 2;
}

void rpc_reply_commit(struct rpc_req *req, int err, uint32_t len)
{
	struct pending *p = (struct pending *)req;

	if (!err) {
		memcpy(p->rep.payload, p->room, len);
		p->rep.len = len;
	}
	answer(req, err, NULL, false);
}

void rpc_reply_abort(struct rpc_req *req)
{
	(void)req;
}

void rpc_done(struct rpc_conn *c, uint64_t ticket, int err)
{
	if (c->n_done == DONE_MAX)
		abort();
	c->done[c->n_done].ticket = ticket;
	c->done[c->n_done++].err = -err;
}

struct changes *changes_of(struct client *c)
{
	return &c->conn->changes;
}

int rpc_event(struct rpc_conn *c, unsigned index, const ProtobufCMessage *msg,
              const struct iovec *payload, int n_payload)
{
	const File__ChangedEvt *ev = (const File__ChangedEvt *)msg;
	struct changes *to = &c->changes;
	struct changed *e = &to->at[to->n % CHANGED_MAX];

	(void)payload;
	if (index != M_CHANGED || n_payload ||
	    protobuf_c_message_get_packed_size(msg) > RPC_REPLY_MSG_MAX)
		abort();
	if (to->no_credit)
		return -EAGAIN;
	*e = (struct changed){ev->group, ev->watch, ev->mask, ev->cookie, ""};
	memcpy(e->name, ev->name.data, ev->name.len);
	to->n++;
	return 0;
}

bool rpc_conn_flush(struct rpc_conn *c)
{
	(void)c;
	return false;
}

int done_event(struct client *c, uint64_t ticket, int *err)
{
	for (unsigned i = 0; i < c->conn->n_done; i++)
		if (c->conn->done[i].ticket == ticket) {
			*err = c->conn->done[i].err;
			c->conn->done[i] = c->conn->done[--c->conn->n_done];
			return 1;
		}
	return 0;
}

/* ---- the journal ---- */

struct bench_fault g_bench_fault;

static struct journal_entry *entry_of(const struct rpc_req *req)
{
	struct pending *p = (struct pending *)(uintptr_t)req;

	return g_bench_fault.journal ? g_bench_fault.journal : &p->journal;
}

static void die(enum bench_die at)
{
	if (g_bench_fault.die == at)
		_exit(BENCH_DIED);
}

bool rpc_req_replay(const struct rpc_req *req)
{
	return (req->hdr.flags & FRAME_F_REPLAY) != 0;
}

void rpc_journal_intent(const struct rpc_req *req, uint32_t kind, uint64_t a, uint64_t b,
                        uint64_t c)
{
	die(DIE_BEFORE);
	*entry_of(req) = (struct journal_entry){JOURNAL_INTENT, 0, kind, 0, a, b, c, 0};
	die(DIE_INTENT);
}

void rpc_journal_done(const struct rpc_req *req, int err, uint64_t d)
{
	struct journal_entry *e = entry_of(req);

	die(DIE_CHANGED);
	e->err = (uint32_t)err;
	e->d = d;
	e->mark = JOURNAL_DONE;
	die(DIE_DONE);
}

bool rpc_journal_get(const struct rpc_req *req, struct journal_entry *out)
{
	*out = *entry_of(req);
	return rpc_req_replay(req) && out->mark != JOURNAL_NONE;
}

/* ---- the service ---- */

static void wake(void)
{
	pthread_mutex_lock(&g_lock);
	g_wake = true;
	pthread_cond_broadcast(&g_cond);
	pthread_mutex_unlock(&g_lock);
}

static int open_tmpfs(void)
{
	const int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int fd = -1;

	if (fs >= 0 &&
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	if (fs >= 0)
		close(fs);
	return fd;
}

static int add(const char *path, const char *kind, int fd, bool ro, bool shared,
               bool kept)
{
	const struct mount_spec spec = {.path = path,
	                                .kind = kind,
	                                .source = path,
	                                .fd = fd,
	                                .read_only = ro,
	                                .exclusive = !shared,
	                                .keep_root = kept};
	char *why = NULL;

	const int r = mounts_add(&g_mounts, &spec, &g_inst, &why);

	free(g_why);
	g_why = why;
	return r;
}

static void must(int r)
{
	if (r < 0) {
		fprintf(stderr, "cannot set up: %s\n", g_why);
		exit(1);
	}
}

int bench_add(const char *path, const char *dir)
{
	return add(path, "dir", open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), false,
	           false, false);
}

const char *bench_why(void)
{
	return g_why ? g_why : "";
}

void bench_mount(const char *path, const char *dir, bool read_only)
{
	g_more[g_n_more].path = path;
	snprintf(g_more[g_n_more].dir, sizeof g_more[0].dir, "%s", dir);
	g_more[g_n_more].kept = false;
	g_more[g_n_more++].ro = read_only;
}

void bench_mount_kept(const char *path, const char *dir)
{
	bench_mount(path, dir, false);
	g_more[g_n_more - 1].kept = true;
}

void bench_own(const char *name)
{
	must(mounts_own(&g_mounts, name, strlen(name)));
}

void bench_squash(uid_t uid, gid_t gid)
{
	const struct cred_policy p = {true, true, uid, gid};

	cred_policy_set(&p);
}

static void start(uint32_t epoch)
{
	if (be_dir_setup() < 0 || pool_start(g_bench_workers) < 0) {
		perror("bench_start");
		exit(1);
	}
	umask(0);
	must(instance_init(&g_inst, epoch, g_secret, INSTANCE_SECRET_LEN));
	mounts_init(&g_mounts);
}

void bench_start_in(const char *dir, uint32_t epoch, bool shared)
{
	start(epoch);
	must(add("/", "dir", open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), false, shared,
	         false));
	serve_init(&g_mounts, &g_inst, 42, wake);
}

const char *bench_start(bool memory, bool shared)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	start(1);
	if (memory) {
		fd = open_tmpfs();
		if (fd < 0) {
			fprintf(stderr, "no detached tmpfs here: skipped\n");
			exit(77);
		}
	} else {
		snprintf(g_dir, sizeof g_dir, "%s/fsd-test-XXXXXX", tmp ? tmp : "/tmp");
		if (!mkdtemp(g_dir) || chmod(g_dir, 0777) < 0 ||
		    (fd = open(g_dir, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) {
			perror(g_dir);
			exit(1);
		}
	}
	must(add("/", memory ? "mem" : "dir", fd, false, shared, false));
	for (unsigned i = 0; i < g_n_more; i++)
		must(add(g_more[i].path, "dir",
		         open(g_more[i].dir, O_PATH | O_DIRECTORY | O_CLOEXEC),
		         g_more[i].ro, false, g_more[i].kept));
	g_n_more = 0;
	serve_init(&g_mounts, &g_inst, 42, wake);
	return memory ? NULL : g_dir;
}

bool bench_stop(void)
{
	char cmd[512];
	bool clean;

	pool_stop();
	clean = inode_count() == 0;
	mounts_fini(&g_mounts);
	free(g_why);
	g_why = NULL;
	if (g_dir[0]) {
		snprintf(cmd, sizeof cmd, "rm -rf '%s'", g_dir);
		if (system(cmd) != 0)
			clean = false;
		g_dir[0] = 0;
	}
	return clean && g_n_clients == 0;
}

const struct mounts *bench_mounts(void)
{
	return &g_mounts;
}

struct client *client_new(uint32_t uid, uint32_t gid)
{
	struct client *c = calloc(1, sizeof *c);

	c->conn = calloc(1, sizeof *c->conn);
	c->session = session_new(c->conn, 1, uid, gid, NULL, 0, 4096);
	c->conn->session = c->session;
	memset(c->session->client_id, (int)g_n_clients + 1, RPC_CLIENT_ID_LEN);
	serve_sessions(++g_n_clients);
	return c;
}

void client_free(struct client *c)
{
	while (!pool_queue_idle(&c->session->queue))
		usleep(1000);
	serve_resume();
	session_free(c->session);
	if (c->rep.msg)
		protobuf_c_message_free_unpacked(c->rep.msg, NULL);
	free(c->conn);
	free(c);
	serve_sessions(--g_n_clients);
}

struct pending *call_start(struct client *c, enum file_method m,
                           const ProtobufCMessage *msg, const void *payload, size_t len)
{
	static ProtobufCClosure none;
	ProtobufCService *svc = serve_service();
	struct pending *p = calloc(1, sizeof *p);
	const size_t n = protobuf_c_message_get_packed_size(msg);
	uint8_t *buf = malloc(n + 1);

	/* As it crosses: packed and unpacked. */
	protobuf_c_message_pack(msg, buf);
	p->msg = protobuf_c_message_unpack(msg->descriptor, NULL, n, buf);
	free(buf);
	p->payload = malloc(len + 1);
	if (len)
		memcpy(p->payload, payload, len);
	p->req = (struct rpc_req){.conn = c->conn,
	                          .hdr = {.kind = m == M_RELEASE || m == M_READAHEAD
	                                                  ? FRAME_POST
	                                                  : FRAME_CALL,
	                                  .flags = g_bench_fault.replay ? FRAME_F_REPLAY
	                                                                : 0,
	                                  .method = FRAME_METHOD(RPC_SERVICE_FILE, m),
	                                  .payload_len = (uint32_t)len},
	                          .payload = p->payload,
	                          .msg = p->msg};
	if (g_bench_fault.claim)
		p->journal = *g_bench_fault.claim;
	svc->invoke(svc, m, p->msg, none, p);
	return p;
}

int call_wait(struct client *c, struct pending *p)
{
	int err;

	pthread_mutex_lock(&g_lock);
	for (;;) {
		if (g_wake) {
			g_wake = false;
			pthread_mutex_unlock(&g_lock);
			serve_resume();
			pthread_mutex_lock(&g_lock);
			continue;
		}
		if (p->answered)
			break;
		pthread_cond_wait(&g_cond, &g_lock);
	}
	pthread_mutex_unlock(&g_lock);
	if (c->rep.msg)
		protobuf_c_message_free_unpacked(c->rep.msg, NULL);
	c->rep = p->rep;
	err = p->rep.err;
	protobuf_c_message_free_unpacked(p->msg, NULL);
	free(p->payload);
	free(p);
	return err;
}

int call(struct client *c, enum file_method m, const ProtobufCMessage *msg,
         const void *payload, size_t len)
{
	return call_wait(c, call_start(c, m, msg, payload, len));
}

/* ---- shorthand ---- */

int x_open(struct client *c, uint32_t at, const char *path, uint32_t flags,
           uint32_t mode, uint32_t handle)
{
	File__OpenReq q = FILE__OPEN_REQ__INIT;

	q.at = at;
	q.path = bytes(path);
	q.flags = flags;
	q.mode = mode;
	q.handle = handle;
	return call(c, M_OPEN, &q.base, NULL, 0);
}

int x_release(struct client *c, uint32_t handle)
{
	File__HandleReq q = FILE__HANDLE_REQ__INIT;

	q.handle = handle;
	return call(c, M_RELEASE, &q.base, NULL, 0);
}

int x_read(struct client *c, uint32_t handle, uint64_t off, uint32_t n)
{
	File__ReadReq q = FILE__READ_REQ__INIT;
	int r;

	q.handle = handle;
	q.offset = off;
	q.count = n;
	r = call(c, M_READ, &q.base, NULL, 0);
	return r < 0 ? r : (int)c->rep.len;
}

static int do_write(struct client *c, File__WriteReq *q, const void *p, size_t n)
{
	const int r = call(c, M_WRITE, &q->base, p, n);

	return r < 0 ? r : (int)((File__WriteRep *)c->rep.msg)->count;
}

int x_write(struct client *c, uint32_t handle, uint64_t off, const void *p, size_t n)
{
	File__WriteReq q = FILE__WRITE_REQ__INIT;

	q.handle = handle;
	q.offset = off;
	return do_write(c, &q, p, n);
}

int x_append(struct client *c, uint32_t handle, const void *p, size_t n)
{
	File__WriteReq q = FILE__WRITE_REQ__INIT;

	q.handle = handle;
	q.append = 1;
	return do_write(c, &q, p, n);
}

int x_path(struct client *c, enum file_method m, uint32_t at, const char *path,
           uint32_t flags, uint32_t mode)
{
	File__PathReq q = FILE__PATH_REQ__INIT;

	q.at = at;
	q.path = bytes(path);
	q.flags = flags;
	q.mode = mode;
	return call(c, m, &q.base, NULL, 0);
}

int x_stat(struct client *c, uint32_t at, const char *path, uint32_t flags,
           File__Attr *out)
{
	const int r = x_path(c, M_STAT, at, path, flags, 0);

	if (r == 0)
		*out = *((File__AttrRep *)c->rep.msg)->attr;
	return r;
}

int x_make(struct client *c, enum file_method m, uint32_t at, const char *path,
           uint32_t mode, const char *target)
{
	File__MakeReq q = FILE__MAKE_REQ__INIT;

	q.at = at;
	q.path = bytes(path);
	q.mode = mode;
	if (target)
		q.target = bytes(target);
	return call(c, m, &q.base, NULL, 0);
}

int x_two(struct client *c, enum file_method m, uint32_t at, const char *from,
          uint32_t to_at, const char *to, uint32_t flags)
{
	File__TwoPathReq q = FILE__TWO_PATH_REQ__INIT;

	q.old_base = at;
	q.old_path = bytes(from);
	q.new_base = to_at;
	q.new_path = bytes(to);
	q.flags = flags;
	return call(c, m, &q.base, NULL, 0);
}

int x_lock(struct client *c, uint32_t handle, uint32_t kind, uint32_t type,
           uint64_t start, uint64_t len, uint64_t ticket)
{
	File__LockReq q = FILE__LOCK_REQ__INIT;
	int r;

	q.handle = handle;
	q.kind = kind;
	q.type = type;
	q.start = start;
	q.len = len;
	q.wait = ticket != 0;
	q.ticket = ticket;
	r = call(c, M_LOCK, &q.base, NULL, 0);
	return r < 0 ? r : c->rep.queued;
}
