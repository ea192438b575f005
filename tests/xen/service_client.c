/* SPDX-License-Identifier: MIT */
/*
 * service_client.c - a guest of fsd or netd that is a Linux program: the real
 * libxenvchan below, rpc's guest side above.  Runs in dom0 or in a Linux domain; tests
 * what a service domain does without a bare guest.
 *
 *   service_client DOMID XS-PATH CLIENT-ID file|net WORD...
 *      ping N            N null calls; prints the mean time
 *      put PATH TEXT     create, write, fsync
 *      get PATH          print what is in it
 *      stress PATH N     N rounds of writing and reading 64 KiB back
 *      lock PATH         take a POSIX lock or say EAGAIN
 *      hold S            keep the channel open for S seconds, silent
 *      break             put the ring's index where it cannot be, and wait for the end
 *      die               end without a word
 */
#include "rpc/guest.h"
#include "rpc/limits.h"

#include "file.pb-c.h"
#include "net.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <libxenvchan.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct plat_config g_config;
static struct libxenvchan *g_ctrl;
static _Atomic uint32_t g_token;
static struct rpc_chan *g_chan;
static struct rpc_call g_call;
static uint32_t g_handle;

/* ---- what the platform and libos give to rpc/guest.c ---- */

uint64_t plat_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int plat_futex_wait(_Atomic uint32_t *word, uint32_t val, uint64_t deadline)
{
	(void)word;
	(void)val;
	(void)deadline;
	return -EAGAIN; /* one thread: nobody else could wake us */
}

int plat_futex_wake(_Atomic uint32_t *word, int n)
{
	(void)word;
	(void)n;
	return 0;
}

unsigned plat_cpu(void)
{
	return 0;
}

void plat_channel_notify(unsigned id)
{
	(void)id;
	xenevtchn_notify(g_ctrl->event, g_ctrl->event_port);
}

void *rpc_current(void)
{
	return &g_token;
}

void rpc_wake(void *thread)
{
	(void)thread;
	g_token = 1;
}

void rpc_wait(uint64_t deadline)
{
	struct pollfd p = {.fd = libxenvchan_fd_for_select(g_ctrl), .events = POLLIN};

	while (!g_token && plat_mono_ns() < deadline) {
		if (rpc_guest_poll())
			continue;
		rpc_guest_arm();
		if (!rpc_guest_poll() && !g_token && poll(&p, 1, 1000) > 0)
			libxenvchan_wait(g_ctrl);
		rpc_guest_disarm();
	}
	g_token = 0;
}

void rpc_log(const char *channel, const char *why)
{
	printf("CLIENT channel %s: %s\n", channel, why);
}

void rpc_silent(const char *channel)
{
	(void)channel;
}

/* ---- calls ---- */

static void on_event(struct rpc_event *ev)
{
	(void)ev;
}

static void on_done(uint64_t ticket, int err)
{
	(void)ticket;
	(void)err;
}

static void on_lost(void)
{
	printf("CLIENT lost the service\n");
}

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...)
{
	va_list ap;

	printf("CLIENT FAIL ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

struct mem {
	uint8_t *p;
	size_t used;
};

static int sink(void *arg, void *ring, size_t n)
{
	struct mem *m = arg;

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

static int call(unsigned index, const ProtobufCMessage *msg, struct mem *out, uint32_t out_len,
                struct mem *in, uint32_t in_cap)
{
	int r;

	rpc_call_init(&g_call);
	g_call.source = source;
	g_call.source_arg = out;
	g_call.source_len = out_len;
	g_call.sink = sink;
	g_call.sink_arg = in;
	g_call.sink_cap = in_cap;
	r = rpc_call_start(g_chan, index, msg, &g_call);
	if (r < 0)
		return r;
	rpc_call_finish(g_chan, index, &g_call);
	return g_call.err;
}

static int do_open(const char *path, uint32_t flags)
{
	File__OpenReq q = FILE__OPEN_REQ__INIT;

	q.path = (ProtobufCBinaryData){strlen(path), (uint8_t *)(uintptr_t)path};
	q.flags = flags;
	q.mode = 0644;
	q.handle = ++g_handle;
	return call(1, &q.base, NULL, 0, NULL, 0);
}

static int do_read(uint8_t *to, uint32_t n)
{
	File__ReadReq q = FILE__READ_REQ__INIT;
	struct mem m = {to, 0};
	int r;

	q.handle = g_handle;
	q.count = n;
	r = call(3, &q.base, NULL, 0, &m, n);
	return r < 0 ? r : (int)m.used;
}

static int do_write(const uint8_t *from, uint32_t n)
{
	File__WriteReq q = FILE__WRITE_REQ__INIT;
	struct mem m = {(uint8_t *)(uintptr_t)from, 0};

	q.handle = g_handle;
	return call(4, &q.base, &m, n, NULL, 0);
}

/* ---- words ---- */

static void ping(long n)
{
	const uint64_t t = plat_mono_ns();

	for (long i = 0; i < n; i++)
		if (rpc_ping(g_chan) < 0)
			fail("ping %ld", i);
	printf("CLIENT ping %ld: %.1f us each\n", n, (double)(plat_mono_ns() - t) / 1e3 / (double)n);
}

static void put(const char *path, const char *text)
{
	File__SyncReq s = FILE__SYNC_REQ__INIT;
	int r = do_open(path, O_RDWR | O_CREAT | O_TRUNC);

	if (r < 0)
		fail("open %s: %s", path, strerror(-r));
	r = do_write((const uint8_t *)text, (uint32_t)strlen(text));
	if (r < 0)
		fail("write %s: %s", path, strerror(-r));
	s.handle = g_handle;
	r = call(17, &s.base, NULL, 0, NULL, 0);
	if (r < 0)
		fail("fsync %s: %s", path, strerror(-r));
	printf("CLIENT put %s\n", path);
}

static void get(const char *path)
{
	uint8_t buf[4096];
	int r = do_open(path, O_RDONLY);

	if (r >= 0)
		r = do_read(buf, sizeof(buf));
	if (r < 0)
		printf("CLIENT get %s: %s\n", path, strerror(-r));
	else
		printf("CLIENT get %s: \"%.*s\"\n", path, r, (char *)buf);
}

static void stress(const char *path, long n)
{
	static uint8_t out[65536], back[65536];
	const uint64_t t = plat_mono_ns();

	if (do_open(path, O_RDWR | O_CREAT) < 0)
		fail("open %s", path);
	for (long i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof(out); k++)
			out[k] = (uint8_t)((size_t)i * 7 + k * 31 + (k >> 8));
		if (do_write(out, sizeof(out)) < 0 || do_read(back, sizeof(back)) != sizeof(back))
			fail("round %ld: %s", i, strerror(-g_call.err));
		if (memcmp(out, back, sizeof(out)) != 0)
			fail("round %ld: other data came back", i);
	}
	printf("CLIENT stress %ld rounds: %.1f MB/s\n", n,
	       (double)n * 131072 / 1e6 / ((double)(plat_mono_ns() - t) / 1e9));
}

static void lock(const char *path)
{
	File__LockReq q = FILE__LOCK_REQ__INIT;
	int r = do_open(path, O_RDWR | O_CREAT);

	if (r < 0)
		fail("open %s: %s", path, strerror(-r));
	q.handle = g_handle;
	q.type = F_WRLCK;
	r = call(22, &q.base, NULL, 0, NULL, 0);
	printf("CLIENT lock %s: %s\n", path, r < 0 ? strerror(-r) : "mine");
}

static void hold(long s)
{
	const uint64_t until = plat_mono_ns() + (uint64_t)s * 1000000000u;

	printf("CLIENT holds\n");
	fflush(stdout);
	while (plat_mono_ns() < until) {
		struct pollfd p = {.fd = libxenvchan_fd_for_select(g_ctrl), .events = POLLIN};

		rpc_guest_arm();
		if (!rpc_guest_poll() && poll(&p, 1, 200) > 0)
			libxenvchan_wait(g_ctrl);
		rpc_guest_disarm();
		if (!rpc_up(g_chan))
			fail("the service left");
	}
}

static void break_ring(void)
{
	g_ctrl->ring->left.prod += 1u << 30;
	xenevtchn_notify(g_ctrl->event, g_ctrl->event_port);
	for (int i = 0; i < 100 && g_ctrl->ring->srv_live; i++)
		usleep(100000);
	printf("CLIENT the service %s\n", g_ctrl->ring->srv_live ? "does not mind" : "hung up");
	fflush(stdout);
	_exit(0);
}

static int words(char **w)
{
	for (; *w; w++) {
		fflush(stdout);
		if (strcmp(*w, "ping") == 0 && w[1]) {
			ping(atol(*++w));
		} else if (strcmp(*w, "put") == 0 && w[1] && w[2]) {
			put(w[1], w[2]);
			w += 2;
		} else if (strcmp(*w, "get") == 0 && w[1]) {
			get(*++w);
		} else if (strcmp(*w, "stress") == 0 && w[1] && w[2]) {
			stress(w[1], atol(w[2]));
			w += 2;
		} else if (strcmp(*w, "lock") == 0 && w[1]) {
			lock(*++w);
		} else if (strcmp(*w, "hold") == 0 && w[1]) {
			hold(atol(*++w));
		} else if (strcmp(*w, "break") == 0) {
			break_ring();
		} else if (strcmp(*w, "die") == 0) {
			fflush(stdout);
			_exit(0);
		} else {
			fail("what is %s?", *w);
		}
	}
	return 0;
}

static void take_id(const char *hex)
{
	for (unsigned i = 0; i < 16 && hex[0] && hex[1]; i++, hex += 2) {
		const char two[3] = {hex[0], hex[1], 0};

		g_config.client_id[i] = (uint8_t)strtoul(two, NULL, 16);
	}
}

/* The nodes come when the service was told of us. */
static void connect_to(int domid, const char *path)
{
	for (int i = 0; i < 300 && !g_ctrl; i++) {
		g_ctrl = libxenvchan_client_init(NULL, domid, path);
		if (!g_ctrl)
			usleep(100000);
	}
	if (!g_ctrl)
		fail("no vchan at %s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
	struct rpc_chan_ops ops = {.on_event = on_event, .on_done = on_done, .on_lost = on_lost};
	struct plat_channel pc;
	int r;

	if (argc < 6)
		fail("usage: service_client DOMID XS-PATH CLIENT-ID file|net WORD...");
	const bool file = strcmp(argv[4], "file") == 0;

	take_id(argv[3]);
	connect_to(atoi(argv[1]), argv[2]);
	ops.service_id = file ? RPC_SERVICE_FILE : RPC_SERVICE_NET;
	ops.service = file ? &file__file__descriptor : &net__net__descriptor;
	g_chan = file ? &g_file_chan : &g_net_chan;
	pc = (struct plat_channel){.ctl = g_ctrl->ring,
	                           .left = g_ctrl->write.buffer,
	                           .right = g_ctrl->read.buffer,
	                           .order = (unsigned)g_ctrl->write.order,
	                           .id = 0,
	                           .epoch = 1};
	if (file)
		g_config.file = pc;
	else
		g_config.net = pc;
	r = rpc_attach(g_chan, file ? &g_config.file : &g_config.net, &ops);
	if (r < 0)
		fail("hello: %s", strerror(-r));
	printf("CLIENT attached\n");
	r = words(argv + 5);
	rpc_detach(g_chan);
	libxenvchan_close(g_ctrl);
	printf("CLIENT done\n");
	return r;
}
