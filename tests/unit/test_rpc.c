/* SPDX-License-Identifier: MIT */
/*
 * A guest and a service on one hosted vchan, in one process: calls, payload both
 * ways, many in flight, posts, events and credit, queued calls, and what each
 * side does with a peer that breaks the rules.
 */
#include "fake_guest.h"
#include "file.pb-c.h"
#include "net.pb-c.h"
#include "rpc/guest.h"
#include "rpc/server.h"
#include "session.pb-c.h"
#include "tests/unit/suite.h"
#include "vchan/hosted.h"
#include "vchan/vchan.h"
#include "vchan/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/io/libxenvchan.h>

/* ---- the service: a file service that answers from its arguments ---- */

static struct rpc_conn *g_conn;
static _Atomic(const char *) g_broken;
static _Atomic int g_posts, g_stop;
static uint64_t g_ticket;

static void srv_read(File__File_Service *s, const File__ReadReq *q, File__Empty_Closure cl, void *data)
{
	struct rpc_req *req = data;
	struct iovec io[2];
	int n;

	(void)s;
	(void)cl;
	if (q->count == 0) {
		rpc_reply(req, 0, NULL, NULL, 0);
		return;
	}
	n = rpc_reply_room(req, q->count, io);
	if (n < 0) {
		rpc_reply(req, EIO, NULL, NULL, 0);
		return;
	}
	for (int i = 0; i < n; i++)
		memset(io[i].iov_base, (int)(q->offset & 0xff), io[i].iov_len);
	rpc_reply_commit(req, 0, q->count);
}

static void srv_write(File__File_Service *s, const File__WriteReq *q, File__WriteRep_Closure cl,
                      void *data)
{
	struct rpc_req *req = data;
	File__WriteRep rep = FILE__WRITE_REP__INIT;
	uint64_t sum = 0;

	(void)s;
	for (uint32_t i = 0; i < req->hdr.payload_len; i++)
		sum += req->payload[i];
	rep.count = req->hdr.payload_len;
	rep.offset = q->offset;
	rep.verifier = sum;
	cl(&rep, data);
}

static void srv_stat(File__File_Service *s, const File__PathReq *q, File__AttrRep_Closure cl, void *data)
{
	File__AttrRep rep = FILE__ATTR_REP__INIT;
	File__Attr attr = FILE__ATTR__INIT;

	(void)s;
	if (q->path.len == 0) {
		rpc_reply(data, ENOENT, NULL, NULL, 0);
		return;
	}
	attr.size = q->path.len;
	attr.ino = q->at;
	rep.attr = &attr;
	cl(&rep, data);
}

static void srv_release(File__File_Service *s, const File__HandleReq *q, File__Empty_Closure cl,
                        void *data)
{
	(void)s;
	(void)q;
	(void)cl;
	atomic_fetch_add(&g_posts, 1);
	rpc_reply(data, 0, NULL, NULL, 0);
}

static void srv_lock(File__File_Service *s, const File__LockReq *q, File__LockRep_Closure cl, void *data)
{
	(void)s;
	(void)cl;
	g_ticket = q->ticket;
	rpc_reply_queued(data, NULL);
	if (q->start == 1)
		rpc_done(g_conn, q->ticket, 0);
}

static File__File_Service g_service;

static int on_cancel(struct rpc_conn *c, uint64_t ticket, uint32_t *err)
{
	(void)c;
	*err = 0;
	return ticket == g_ticket;
}

static void on_broken(struct rpc_conn *c, const char *why)
{
	(void)c;
	g_broken = why;
}

static struct rpc_server_ops g_ops = {.service_id = RPC_SERVICE_FILE,
                                      .on_cancel = on_cancel,
                                      .on_broken = on_broken,
                                      .n_slots = 64,
                                      .epoch = 1};

static void *server_main(void *arg)
{
	struct pollfd p = {.fd = rpc_conn_fd(g_conn), .events = POLLIN};

	(void)arg;
	while (!atomic_load(&g_stop) && !rpc_conn_broken(g_conn)) {
		uint64_t n;

		if (rpc_conn_pump(g_conn, 64) > 0)
			continue;
		poll(&p, 1, 20);
		(void)!read(p.fd, &n, sizeof(n));
		rpc_conn_beat(g_conn);
	}
	return NULL;
}

/* ---- the guest ---- */

static struct fake_channel g_fc;
static int g_bell_fd = -1;
static pthread_t g_thread;
static const uint8_t g_id[16] = "0123456789abcde";
static _Atomic uint64_t g_done_ticket;
static _Atomic int g_lost;

static void on_done(uint64_t ticket, int err)
{
	(void)err;
	atomic_store(&g_done_ticket, ticket);
}

static void on_lost(void)
{
	atomic_fetch_add(&g_lost, 1);
}

static _Atomic uint64_t g_event_bytes;

#define BAD_EVENT 33u

static void on_event(struct rpc_event *ev)
{
	uint8_t buf[4096];
	uint32_t left = ev->payload_len;

	if (ev->index == BAD_EVENT)
		ev->bad = "event: refused by the client";

	while (left) {
		const uint32_t n = left < sizeof(buf) ? left : (uint32_t)sizeof(buf);

		rpc_event_take(ev, buf, n);
		left -= n;
	}
	atomic_fetch_add(&g_event_bytes, ev->payload_len);
}

static const struct rpc_chan_ops g_chan_ops = {.service_id = RPC_SERVICE_FILE,
                                               .service = &file__file__descriptor,
                                               .on_event = on_event,
                                               .on_done = on_done,
                                               .on_lost = on_lost};

static void start_raw(void)
{
	struct vchan_end *end;

	g_broken = NULL;
	g_stop = 0;
	g_lost = 0;
	fake_log_clear();
	if (g_bell_fd < 0)
		g_bell_fd = hosted_doorbell_create();
	CU_ASSERT_FATAL(fake_channel_make(&g_fc, 18, g_bell_fd) == 0);
	CU_ASSERT_FATAL(hosted_vchan_register(7, "/t", dup(g_fc.ring_fd), dup(g_fc.event_fd),
	                                      dup(g_bell_fd)) == 0);
	end = vchan_server_open(7, "/t", 18);
	CU_ASSERT_FATAL(end != NULL);
	g_conn = rpc_conn_new(end, &g_ops, g_id, 7, NULL);
	CU_ASSERT_FATAL(g_conn != NULL);
	memcpy(g_config.client_id, g_id, 16);
	fake_channel_use(&g_fc, &g_config.file, 0);
	pthread_create(&g_thread, NULL, server_main, NULL);
}

static void start(void)
{
	start_raw();
	CU_ASSERT_FATAL(rpc_attach(&g_file_chan, &g_config.file, &g_chan_ops) == 0);
}

static void stop(void)
{
	atomic_store(&g_stop, 1);
	pthread_join(g_thread, NULL);
	CU_ASSERT_EQUAL(rpc_conn_busy(g_conn), 0);
	rpc_detach(&g_file_chan);
	rpc_conn_free(g_conn);
}

struct mem {
	uint8_t *p;
	uint32_t used, cap;
};

static int mem_sink(void *arg, void *ring, size_t n)
{
	struct mem *m = arg;

	if (m->used + n > m->cap)
		return -EFAULT;
	memcpy(m->p + m->used, ring, n);
	m->used += (uint32_t)n;
	return 0;
}

static int mem_source(void *arg, void *ring, size_t n)
{
	struct mem *m = arg;

	memcpy(ring, m->p + m->used, n);
	m->used += (uint32_t)n;
	return 0;
}

static int do_read(uint64_t off, uint32_t count, uint8_t *buf, uint32_t *got)
{
	struct rpc_call call;
	File__ReadReq q = FILE__READ_REQ__INIT;
	struct mem m = {buf, 0, count};

	rpc_call_init(&call);
	call.sink = mem_sink;
	call.sink_arg = &m;
	call.sink_cap = count;
	q.offset = off;
	q.count = count;
	file__file__read(rpc_service(&g_file_chan), &q, (File__Empty_Closure)rpc_reply_taken, &call);
	*got = call.payload_len;
	return call.err;
}

static void calls_carry_messages_and_errors(void)
{
	struct rpc_call call;
	File__PathReq q = FILE__PATH_REQ__INIT;

	start();
	rpc_call_init(&call);
	q.at = 5;
	q.path = (ProtobufCBinaryData){3, (uint8_t *)"a/b"};
	file__file__stat(rpc_service(&g_file_chan), &q, (File__AttrRep_Closure)rpc_reply_taken, &call);
	CU_ASSERT_EQUAL(call.err, 0);
	CU_ASSERT_FATAL(call.reply != NULL);
	CU_ASSERT_EQUAL(((const File__AttrRep *)call.reply)->attr->size, 3);
	CU_ASSERT_EQUAL(((const File__AttrRep *)call.reply)->attr->ino, 5);
	rpc_call_init(&call);
	q.path.len = 0;
	file__file__stat(rpc_service(&g_file_chan), &q, (File__AttrRep_Closure)rpc_reply_taken, &call);
	CU_ASSERT_EQUAL(call.err, -ENOENT);
	CU_ASSERT_PTR_NULL(call.reply);
	stop();
}

static void payload_crosses_both_ways_over_the_ring_end(void)
{
	uint8_t *buf = malloc(65536);
	uint32_t got;

	start();
	for (uint32_t i = 1; i < 200; i++) {
		const uint32_t n = (i * 7919) % 65537;
		struct rpc_call call;
		File__WriteReq q = FILE__WRITE_REQ__INIT;
		struct mem m = {buf, 0, n};
		uint64_t sum = 0;

		CU_ASSERT_EQUAL(do_read(i, n, buf, &got), 0);
		CU_ASSERT_EQUAL(got, n);
		for (uint32_t k = 0; k < n; k++)
			if (buf[k] != (i & 0xff))
				CU_FAIL_FATAL("payload differs");
		for (uint32_t k = 0; k < n; k++)
			sum += buf[k] = (uint8_t)(k * i);
		rpc_call_init(&call);
		call.source = mem_source;
		call.source_arg = &m;
		call.source_len = n;
		file__file__write(rpc_service(&g_file_chan), &q,
		            (File__WriteRep_Closure)rpc_reply_taken, &call);
		CU_ASSERT_EQUAL_FATAL(call.err, 0);
		CU_ASSERT_EQUAL(((const File__WriteRep *)call.reply)->count, n);
		CU_ASSERT_EQUAL(((const File__WriteRep *)call.reply)->verifier, sum);
	}
	free(buf);
	stop();
}

static void one_thread_keeps_many_calls_in_flight(void)
{
	static struct rpc_call calls[40];
	File__ReadReq q = FILE__READ_REQ__INIT;
	unsigned n = 0;

	start();
	for (int round = 0; round < 50; round++) {
		for (n = 0; n < 40; n++) {
			rpc_call_init(&calls[n]);
			CU_ASSERT_EQUAL_FATAL(rpc_call_start(&g_file_chan, 3, &q.base, &calls[n]), 0);
		}
		while (n-- > 0) {
			rpc_call_finish(&g_file_chan, 3, &calls[n]);
			CU_ASSERT_EQUAL(calls[n].err, 0);
		}
	}
	/* reply room runs out before the slots do: told, not waited for */
	for (n = 0; n < 40; n++) {
		rpc_call_init(&calls[n]);
		calls[n].sink_cap = 60000;
		if (rpc_call_start(&g_file_chan, 3, &q.base, &calls[n]) == -EAGAIN)
			break;
	}
	CU_ASSERT_TRUE(n >= 3 && n < 5);
	while (n-- > 0)
		rpc_call_finish(&g_file_chan, 3, &calls[n]);
	CU_ASSERT_EQUAL(rpc_ping(&g_file_chan), 0);
	stop();
}

static _Atomic int g_bad;

static void *caller(void *arg)
{
	uint8_t *buf = malloc(65536);
	const uint64_t me = (uint64_t)(uintptr_t)arg;

	for (uint32_t i = 0; i < 300; i++) {
		const uint32_t n = (i * 131 + (uint32_t)me * 977) % 20000;
		uint32_t got = 0;

		if (do_read(me, n, buf, &got) || got != n)
			atomic_fetch_add(&g_bad, 1);
		for (uint32_t k = 0; k < n; k++)
			if (buf[k] != me)
				atomic_fetch_add(&g_bad, 1);
	}
	free(buf);
	return NULL;
}

static void many_threads_call_at_once(void)
{
	pthread_t t[16];

	start();
	g_bad = 0;
	for (uintptr_t i = 0; i < 16; i++)
		pthread_create(&t[i], NULL, caller, (void *)(i + 1));
	for (int i = 0; i < 16; i++)
		pthread_join(t[i], NULL);
	CU_ASSERT_EQUAL(g_bad, 0);
	stop();
}

static void posts_arrive_in_order_without_replies(void)
{
	File__HandleReq q = FILE__HANDLE_REQ__INIT;
	uint32_t got;

	start();
	g_posts = 0;
	for (uint32_t i = 0; i < 20000; i++) {
		q.handle = i;
		CU_ASSERT_EQUAL_FATAL(rpc_post(&g_file_chan, 2, &q.base, NULL, NULL, 0), 0);
	}
	CU_ASSERT_EQUAL(do_read(0, 0, NULL, &got), 0);
	CU_ASSERT_EQUAL(g_posts, 20000);
	stop();
}

static void a_reply_that_faults_is_efault_for_that_call(void)
{
	struct rpc_call call;
	File__ReadReq q = FILE__READ_REQ__INIT;
	struct mem m = {NULL, 0, 0};
	uint32_t got;

	start();
	rpc_call_init(&call);
	call.sink = mem_sink;
	call.sink_arg = &m;
	call.sink_cap = 100;
	q.count = 100;
	file__file__read(rpc_service(&g_file_chan), &q, (File__Empty_Closure)rpc_reply_taken, &call);
	CU_ASSERT_EQUAL(call.err, -EFAULT);
	CU_ASSERT_EQUAL(do_read(0, 0, NULL, &got), 0);
	stop();
}

static void queued_calls_complete_by_event_or_are_cancelled(void)
{
	struct rpc_call call;
	File__LockReq q = FILE__LOCK_REQ__INIT;
	int err = -1;

	start();
	g_done_ticket = 0;
	q.ticket = 77;
	q.start = 1;
	rpc_call_init(&call);
	file__file__lock(rpc_service(&g_file_chan), &q, (File__LockRep_Closure)rpc_reply_taken, &call);
	CU_ASSERT_EQUAL(call.err, 0);
	CU_ASSERT_TRUE(call.queued);
	for (int i = 0; i < 1000 && g_done_ticket != 77; i++)
		rpc_wait(plat_mono_ns() + 1000000);
	CU_ASSERT_EQUAL(g_done_ticket, 77);
	q.ticket = 78;
	q.start = 0;
	rpc_call_init(&call);
	file__file__lock(rpc_service(&g_file_chan), &q, (File__LockRep_Closure)rpc_reply_taken, &call);
	CU_ASSERT_EQUAL(rpc_cancel(&g_file_chan, 78, &err), 1);
	CU_ASSERT_EQUAL(rpc_cancel(&g_file_chan, 5, &err), 0);
	stop();
}

/* ---- breaking the rules, as a guest ---- */

static void put_raw(const struct frame *f, uint32_t publish)
{
	struct vchan_wire *w = fake_page(&g_fc);
	const uint32_t prod = atomic_load(&w->left_prod), size = 1u << g_fc.order;
	const uint8_t *p = (const void *)f;

	for (uint32_t i = 0; i < sizeof(*f); i++)
		((uint8_t *)g_fc.map + 4096)[(prod + i) & (size - 1)] = p[i];
	atomic_store(&w->left_prod, prod + publish);
	plat_channel_notify(0);
}

static void expect_broken(const char *why)
{
	for (int i = 0; i < 2000 && !g_broken; i++)
		usleep(1000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g_broken);
	if (strstr(g_broken, why) == NULL)
		fprintf(stderr, "expected: %s\n", why);
	CU_ASSERT_PTR_NOT_NULL(strstr(g_broken, why));
	stop();
}

static const struct frame g_good = {
        .len = FRAME_HDR_LEN, .kind = FRAME_CALL, .method = FRAME_METHOD(1, 3), .slot = 9, .seq = 1};

#define FIELD(name) offsetof(struct frame, name), sizeof(((struct frame *)0)->name)

static void a_broken_frame_breaks_its_channel_alone(void)
{
	static const struct {
		size_t at, size;
		uint64_t value;
		const char *why;
	} bad[] = {
		{FIELD(kind), FRAME_REPLY, "kind"},
		{FIELD(kind), 99, "kind"},
		{FIELD(len), 49, "len"},
		{FIELD(msg_len), 8193, "msg_len"},
		{FIELD(payload_len), 65537, "payload_len"},
		{FIELD(slot), 64, "slot"},
		{FIELD(seq), 3, "seq"},
		{FIELD(flags), 0x80, "flags"},
		{FIELD(credit), 1, "credit"},
		{FIELD(reserved), 1, "reserved"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct frame f = g_good;

		start();
		memcpy((char *)&f + bad[i].at, &bad[i].value, bad[i].size);
		put_raw(&f, 48);
		expect_broken(bad[i].why);
	}
}

static void a_guest_index_out_of_range_breaks_the_channel(void)
{
	struct frame f = g_good;

	start();
	put_raw(&f, 0x7fffffff);
	expect_broken("index");
}

static void half_a_frame_is_waited_for_not_spun_on(void)
{
	struct frame f = g_good;

	start();
	atomic_store(&g_stop, 1);
	pthread_join(g_thread, NULL);
	f.len = FRAME_HDR_LEN + 4096;
	f.payload_len = 4096;
	put_raw(&f, 48); /* the header alone */
	CU_ASSERT_EQUAL(rpc_conn_pump(g_conn, 64), 0);
	CU_ASSERT_EQUAL(rpc_conn_pump(g_conn, 64), 0);
	put_raw(&f, 48);
	CU_ASSERT_EQUAL(rpc_conn_pump(g_conn, 64), 0);
	put_raw(&f, 4048); /* now it is whole */
	CU_ASSERT_EQUAL(rpc_conn_pump(g_conn, 1), 1);
	g_stop = 0;
	pthread_create(&g_thread, NULL, server_main, NULL);
	stop();
}

static void a_lent_cpu_is_back_with_a_frame_or_the_wake_up_armed(void)
{
	const struct vchan_wire *w;
	struct frame f = g_good;

	start();
	atomic_store(&g_stop, 1);
	pthread_join(g_thread, NULL);
	w = fake_page(&g_fc);
	CU_ASSERT_EQUAL(rpc_conn_pump(g_conn, 64), 0);
	CU_ASSERT_FALSE(rpc_conn_lend(g_conn));
	CU_ASSERT(w->cli_notify & VCHAN_NOTIFY_WRITE);
	put_raw(&f, 48);
	CU_ASSERT_TRUE(rpc_conn_lend(g_conn));
	CU_ASSERT_FALSE(w->cli_notify & VCHAN_NOTIFY_WRITE);
	CU_ASSERT_EQUAL(rpc_conn_pump(g_conn, 1), 1);
	g_stop = 0;
	pthread_create(&g_thread, NULL, server_main, NULL);
	stop();
}

static void a_guest_that_does_not_say_hello_is_refused(void)
{
	struct frame f = g_good;

	start_raw();
	put_raw(&f, 48);
	expect_broken("hello");
}

static void a_guest_with_another_client_id_is_refused(void)
{
	start_raw();
	g_config.client_id[3] ^= 1;
	CU_ASSERT_EQUAL(rpc_attach(&g_file_chan, &g_config.file, &g_chan_ops), -EIO);
	expect_broken("not the client");
}

/* ---- breaking the rules, as a service ---- */

static void reply_raw(const struct frame *f, uint32_t publish)
{
	struct vchan_wire *w = fake_page(&g_fc);
	const uint32_t prod = atomic_load(&w->right_prod), size = 1u << g_fc.order;
	const uint8_t *p = (const void *)f;
	uint8_t *ring = (uint8_t *)g_fc.map + 4096 + size;

	for (uint32_t i = 0; i < sizeof(*f); i++)
		ring[(prod + i) & (size - 1)] = p[i];
	atomic_store(&w->right_prod, prod + publish);
}

static void hostile_service(const struct frame *f, uint32_t publish, const char *why)
{
	uint32_t got;

	start();
	reply_raw(f, publish);
	for (int i = 0; i < 100 && !g_lost; i++)
		rpc_wait(plat_mono_ns() + 1000000);
	CU_ASSERT_EQUAL(g_lost, 1);
	if (strstr(fake_log(), why) == NULL)
		fprintf(stderr, "expected '%s', got '%s'\n", why, fake_log());
	CU_ASSERT_PTR_NOT_NULL(strstr(fake_log(), why));
	CU_ASSERT_EQUAL(do_read(0, 0, NULL, &got), -EIO);
	stop();
}

static void a_guest_survives_a_hostile_service(void)
{
	struct frame f = {.len = 48, .kind = FRAME_REPLY, .slot = 12, .seq = 1};

	hostile_service(&f, 48, "nobody waits");
	f.slot = 64;
	hostile_service(&f, 48, "out of range");
	f = (struct frame){.len = 48, .kind = FRAME_EVENT, .method = FRAME_METHOD(1, 9), .seq = 2};
	hostile_service(&f, 48, "events must count");
	f.method = FRAME_METHOD(RPC_SERVICE_FILE, BAD_EVENT);
	f.seq = 1;
	hostile_service(&f, 48, "refused by the client");
	f.method = FRAME_METHOD(RPC_SERVICE_NET, 9);
	hostile_service(&f, 48, "not an event of this service");
	f.kind = FRAME_CALL;
	hostile_service(&f, 48, "kind");
	f = (struct frame){.len = 48 + 513, .msg_len = 513, .kind = FRAME_EVENT, .seq = 1};
	hostile_service(&f, 48, "msg_len");
	hostile_service(&f, 0x10000000, "index");
}

static void a_dead_service_ends_calls_with_eio(void)
{
	uint32_t got;

	start();
	atomic_store(&g_stop, 1);
	pthread_join(g_thread, NULL);
	CU_ASSERT_EQUAL(hosted_ring_mark_dead(g_fc.ring_fd, g_bell_fd), 0);
	CU_ASSERT_EQUAL(do_read(0, 0, NULL, &got), -EIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(fake_log(), "gone"));
	pthread_create(&g_thread, NULL, server_main, NULL);
	stop();
}

/* ---- a service that hangs ---- */

static _Atomic bool g_watched; /* somebody nudges */

bool rpc_watched(void)
{
	return g_watched;
}

static void *reader(void *arg)
{
	uint32_t got;

	*(int *)arg = do_read(0, 0, NULL, &got);
	return NULL;
}

/* Let those who were woken look. */
static bool soon(bool (*seen)(void))
{
	for (int i = 0; i < 2000 && !seen(); i++)
		usleep(1000);
	return seen();
}

/* A call was sent, and its caller wants to be woken. */
static bool is_waited_for(void)
{
	const struct vchan_wire *w = fake_page(&g_fc);

	return atomic_load(&w->left_prod) != atomic_load(&w->left_cons) &&
	       (atomic_load(&w->srv_notify) & WIRE_NOTIFY_WRITE);
}

static bool is_silent(void)
{
	return fake_silences() > 0;
}

static bool hangs(void)
{
	return strstr(fake_log(), "hangs") != NULL;
}

/* Without a deadline of its own a caller sleeps until it is nudged. */
static void nudged_callers_see_that_their_service_hangs(void)
{
	pthread_t t;
	int r = -1;

	start();
	atomic_store(&g_stop, 1);
	pthread_join(g_thread, NULL); /* it lives, and does nothing */
	g_watched = true;
	pthread_create(&t, NULL, reader, &r);
	CU_ASSERT_TRUE(soon(is_waited_for));
	fake_time_passes(3500000000u);
	usleep(20000);
	CU_ASSERT_FALSE(is_silent());
	rpc_guest_nudge();
	CU_ASSERT_TRUE(soon(is_silent));
	CU_ASSERT_FALSE(hangs());
	fake_time_passes(2000000000u);
	usleep(20000);
	CU_ASSERT_FALSE(hangs());
	rpc_guest_nudge();
	CU_ASSERT_TRUE(soon(hangs));
	/* It was only slow: the call ends as if nothing had been. */
	atomic_store(&g_stop, 0);
	pthread_create(&g_thread, NULL, server_main, NULL);
	pthread_join(t, NULL);
	CU_ASSERT_EQUAL(r, 0);
	g_watched = false;
	stop();
}

static void the_wire_is_libxenvchans(void)
{
	CU_ASSERT_EQUAL(offsetof(struct vchan_wire, left_prod),
	                offsetof(struct vchan_interface, left.prod));
	CU_ASSERT_EQUAL(offsetof(struct vchan_wire, left_cons),
	                offsetof(struct vchan_interface, left.cons));
	CU_ASSERT_EQUAL(offsetof(struct vchan_wire, right_prod),
	                offsetof(struct vchan_interface, right.prod));
	CU_ASSERT_EQUAL(offsetof(struct vchan_wire, right_order),
	                offsetof(struct vchan_interface, right_order));
	CU_ASSERT_EQUAL(offsetof(struct vchan_wire, srv_live),
	                offsetof(struct vchan_interface, srv_live));
	CU_ASSERT_EQUAL(offsetof(struct vchan_wire, cli_notify),
	                offsetof(struct vchan_interface, cli_notify));
	CU_ASSERT_EQUAL(offsetof(struct vchan_wire, srv_notify),
	                offsetof(struct vchan_interface, srv_notify));
	CU_ASSERT_EQUAL(WIRE_NOTIFY_WRITE, VCHAN_NOTIFY_WRITE);
	CU_ASSERT_EQUAL(WIRE_NOTIFY_READ, VCHAN_NOTIFY_READ);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(the_wire_is_libxenvchans),
		TEST(calls_carry_messages_and_errors),
		TEST(payload_crosses_both_ways_over_the_ring_end),
		TEST(one_thread_keeps_many_calls_in_flight),
		TEST(many_threads_call_at_once),
		TEST(posts_arrive_in_order_without_replies),
		TEST(a_reply_that_faults_is_efault_for_that_call),
		TEST(queued_calls_complete_by_event_or_are_cancelled),
		TEST(a_broken_frame_breaks_its_channel_alone),
		TEST(a_guest_index_out_of_range_breaks_the_channel),
		TEST(half_a_frame_is_waited_for_not_spun_on),
		TEST(a_lent_cpu_is_back_with_a_frame_or_the_wake_up_armed),
		TEST(a_guest_that_does_not_say_hello_is_refused),
		TEST(a_guest_with_another_client_id_is_refused),
		TEST(a_guest_survives_a_hostile_service),
		TEST(a_dead_service_ends_calls_with_eio),
		TEST(nudged_callers_see_that_their_service_hangs),
		CU_TEST_INFO_NULL,
	};

	file__file__init(&g_service, NULL);
	g_service.read = srv_read;
	g_service.write = srv_write;
	g_service.stat = srv_stat;
	g_service.release = srv_release;
	g_service.lock = srv_lock;
	g_ops.service = &g_service.base;
	return suite_run("rpc", NULL, NULL, tests);
}
