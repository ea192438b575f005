/* SPDX-License-Identifier: MIT */
/*
 * A guest whose service dies again and again, at every point of a call, and another
 * instance takes over: nothing is done twice, nothing acknowledged is lost, and what
 * each side must not believe is refused.
 *
 * The service keeps a log on its "disk" (memory that all instances share): a write
 * appends a number to it, by the rules of the journal.
 */
#include "fake_guest.h"
#include "file.pb-c.h"
#include "rpc/guest.h"
#include "rpc/server.h"
#include "session.pb-c.h"
#include "tests/unit/suite.h"
#include "vchan/hosted.h"
#include "vchan/vchan.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ORDER 18u
#define LOG_MAX 65536u

/* Where an instance ends. */
enum die { NEVER, BEFORE_DISPATCH, BEFORE_INTENT, AFTER_INTENT, AFTER_DOING, AFTER_DONE,
           AFTER_REPLY, IN_RESTORE, N_DIE };

struct instance {
	struct rpc_conn *conn;
	struct rpc_server_ops ops;
	struct fake_channel ch;
	pthread_t thread;
	_Atomic bool dead, stop, held, holds;
	struct rpc_req *unanswered;
	struct instance *next; /* buried */
	uint32_t epoch;
};

static struct instance *g_buried;

static uint64_t g_log_disk[LOG_MAX];
static uint32_t g_log_len;
static pthread_mutex_t g_disk_lock = PTHREAD_MUTEX_INITIALIZER;

static _Atomic int g_die;       /* enum die: the next one to come */
static _Atomic unsigned g_countdown;
static struct instance *_Atomic g_now;
static int g_bell_fd = -1;
static _Atomic unsigned g_replays, g_known, g_restores, g_posts, g_deaths, g_recovered;
static const uint8_t g_id[16] = "fedcba987654321";

static _Atomic unsigned g_posts_die; /* who reads that many ends; 0: nobody */
static _Atomic int g_hello_dies; /* 1: before its answer, 2: behind it */

static uint64_t disk_at(uint64_t at)
{
	uint64_t v;

	pthread_mutex_lock(&g_disk_lock);
	v = at < LOG_MAX ? g_log_disk[at] : ~0ull;
	pthread_mutex_unlock(&g_disk_lock);
	return v;
}

static uint32_t disk_len(void)
{
	uint32_t n;

	pthread_mutex_lock(&g_disk_lock);
	n = g_log_len;
	pthread_mutex_unlock(&g_disk_lock);
	return n;
}

static struct instance *instance_of(const struct rpc_req *req)
{
	return rpc_conn_ctx(req->conn);
}

/* True: this instance ends here. */
static bool dies(struct instance *in, enum die where)
{
	if (in->dead)
		return true;
	if ((enum die)atomic_load(&g_die) != where)
		return false;
	if (atomic_fetch_sub(&g_countdown, 1) != 1)
		return false;
	atomic_store(&g_die, NEVER);
	in->dead = true;
	return true;
}

static void srv_write(File__File_Service *s, const File__WriteReq *q, File__WriteRep_Closure cl,
                      void *data)
{
	struct rpc_req *req = data;
	struct instance *in = instance_of(req);
	File__WriteRep rep = FILE__WRITE_REP__INIT;
	struct journal_entry e;
	uint64_t value = 0, at;

	(void)s;
	(void)q;
	in->unanswered = req;
	if (dies(in, BEFORE_DISPATCH) || dies(in, BEFORE_INTENT))
		return;
	memcpy(&value, req->payload, req->hdr.payload_len == 8 ? 8 : 0);
	if (rpc_req_replay(req))
		atomic_fetch_add(&g_replays, 1);
	pthread_mutex_lock(&g_disk_lock);
	if (rpc_journal_get(req, &e)) {
		atomic_fetch_add(&g_known, 1);
		at = e.a;
	} else {
		at = g_log_len;
		rpc_journal_intent(req, 1, at, 0, 0);
		if (dies(in, AFTER_INTENT))
			goto out;
	}
	if (at < LOG_MAX)
		g_log_disk[at] = value;
	if (at + 1 > g_log_len)
		g_log_len = (uint32_t)at + 1;
	if (dies(in, AFTER_DOING))
		goto out;
	rpc_journal_done(req, 0, 1);
	if (dies(in, AFTER_DONE))
		goto out;
	rep.offset = at;
	rep.count = 8;
	in->unanswered = NULL;
	cl(&rep, data);
	(void)rpc_conn_flush(in->conn);
	(void)dies(in, AFTER_REPLY);
out:
	pthread_mutex_unlock(&g_disk_lock);
}

static void srv_release(File__File_Service *s, const File__HandleReq *q, File__Empty_Closure cl,
                        void *data)
{
	(void)s;
	(void)q;
	(void)cl;
	if (atomic_fetch_add(&g_posts, 1) + 1 == g_posts_die) {
		g_posts_die = 0;
		instance_of(data)->dead = true;
	}
	rpc_reply(data, 0, NULL, NULL, 0);
}

static void srv_stat(File__File_Service *s, const File__PathReq *q, File__AttrRep_Closure cl, void *data)
{
	struct instance *in = instance_of(data);
	File__AttrRep rep = FILE__ATTR_REP__INIT;

	(void)s;
	(void)q;
	if (dies(in, IN_RESTORE))
		in->unanswered = data;
	else
		cl(&rep, data);
}

static File__File_Service g_service;

static void on_hello(struct rpc_conn *c, void *ctx)
{
	struct instance *in = ctx;

	(void)c;
	if (g_hello_dies == 2) {
		g_hello_dies = 0;
		in->dead = true;
	}
}

static void on_broken(struct rpc_conn *c, const char *why)
{
	(void)c;
	(void)why;
}

static void srv_recovered(struct rpc_conn *c, void *ctx)
{
	(void)c;
	(void)ctx;
	atomic_fetch_add(&g_recovered, 1);
}

static void *server_main(void *arg)
{
	struct instance *in = arg;
	struct pollfd p = {.fd = rpc_conn_fd(in->conn), .events = POLLIN};

	if (g_hello_dies == 1) {
		g_hello_dies = 0;
		in->dead = true;
	}
	while (!in->dead && !in->stop && !rpc_conn_broken(in->conn)) {
		in->holds = in->held;
		if (in->holds) {
			usleep(200);
			continue;
		}
		if (rpc_conn_pump(in->conn, 1) > 0)
			continue;
		poll(&p, 1, 20);
		rpc_conn_ack(in->conn);
		rpc_conn_beat(in->conn);
	}
	return NULL;
}

static struct instance *instance_start(uint32_t epoch)
{
	struct instance *in = calloc(1, sizeof(*in));
	struct vchan_end *end;
	char path[32];

	in->epoch = epoch;
	in->ops = (struct rpc_server_ops){.service_id = RPC_SERVICE_FILE,
	                                  .service = &g_service.base,
	                                  .on_hello = on_hello,
	                                  .on_broken = on_broken,
	                                  .on_recovered = srv_recovered,
	                                  .n_slots = 64,
	                                  .epoch = epoch,
	                                  .write_verifier = 5};
	CU_ASSERT_FATAL(fake_channel_make(&in->ch, ORDER, g_bell_fd) == 0);
	snprintf(path, sizeof(path), "/t%u", epoch);
	CU_ASSERT_FATAL(hosted_vchan_register(7, path, dup(in->ch.ring_fd), dup(in->ch.event_fd),
	                                      dup(g_bell_fd)) == 0);
	end = vchan_server_open(7, path, ORDER);
	CU_ASSERT_FATAL(end != NULL);
	in->conn = rpc_conn_new(end, &in->ops, g_id, 7, in);
	CU_ASSERT_FATAL(in->conn != NULL);
	pthread_create(&in->thread, NULL, server_main, in);
	return in;
}

static void instance_bury(struct instance *in)
{
	pthread_join(in->thread, NULL);
	(void)hosted_ring_mark_dead(in->ch.ring_fd, g_bell_fd);
	in->next = g_buried;
	g_buried = in;
}

/* Nobody reads what an answer to a dead instance's call writes any more. */
static void free_buried(void)
{
	struct instance *in;

	while ((in = g_buried)) {
		g_buried = in->next;
		if (in->unanswered)
			rpc_reply(in->unanswered, EIO, NULL, NULL, 0);
		rpc_conn_free(in->conn);
		close(in->ch.ring_fd);
		close(in->ch.event_fd);
		free(in);
	}
}

static _Atomic bool g_end;

/* Reap the dead, start the next, hand over its ring. */
static void *supervisor_main(void *arg)
{
	(void)arg;
	while (!g_end) {
		struct instance *in = g_now, *next;

		if (!in->dead) {
			usleep(200);
			continue;
		}
		atomic_fetch_add(&g_deaths, 1);
		instance_bury(in);
		next = instance_start(in->epoch + 1);
		g_now = next;
		fake_channel_next(&next->ch, next->epoch);
	}
	return NULL;
}

/* ---- the guest ---- */

static _Atomic int g_lost;

static void on_lost(void)
{
	atomic_fetch_add(&g_lost, 1);
}

static int on_restore(const struct rpc_restore *r)
{
	struct rpc_call call;
	File__PathReq q = FILE__PATH_REQ__INIT;

	atomic_fetch_add(&g_restores, 1);
	CU_ASSERT(!r->verifier_changed);
	CU_ASSERT(!r->moved);
	for (int i = 0; i < 3; i++) {
		rpc_call_init(&call);
		file__file__stat(rpc_service(&g_file_chan), &q,
		                 (File__AttrRep_Closure)(void (*)(void))rpc_reply_taken, &call);
		if (call.err)
			return call.err;
	}
	return 0;
}

static void on_event(struct rpc_event *ev)
{
	(void)ev;
}

static const struct rpc_chan_ops g_chan_ops = {.service_id = RPC_SERVICE_FILE,
                                               .service = &file__file__descriptor,
                                               .on_event = on_event,
                                               .on_lost = on_lost,
                                               .on_restore = on_restore};
static pthread_t g_supervisor;

static void start(uint64_t recover_ns)
{
	g_bell_fd = g_bell_fd < 0 ? hosted_doorbell_create() : g_bell_fd;
	g_log_len = 0;
	g_die = NEVER;
	g_end = false;
	g_lost = 0;
	g_replays = g_known = g_restores = g_posts = g_deaths = g_recovered = 0;
	fake_log_clear();
	memcpy(g_config.client_id, g_id, 16);
	g_config.recover_ns = recover_ns;
	g_now = instance_start(1);
	fake_channel_use(&g_now->ch, &g_config.file, 0);
	pthread_create(&g_supervisor, NULL, supervisor_main, NULL);
	CU_ASSERT_FATAL(rpc_attach(&g_file_chan, &g_config.file, &g_chan_ops) == 0);
}

static void stop(void)
{
	g_end = true;
	pthread_join(g_supervisor, NULL);
	g_now->stop = true;
	pthread_join(g_now->thread, NULL);
	fake_recovered();
	rpc_detach(&g_file_chan);
	g_now->next = g_buried;
	g_buried = g_now;
	free_buried();
}

struct number {
	uint64_t value;
	uint32_t at;
};

static int number_source(void *arg, void *ring, size_t n)
{
	struct number *m = arg;

	if (!ring)
		m->at -= (uint32_t)n;
	else
		memcpy(ring, (uint8_t *)&m->value + m->at, n), m->at += (uint32_t)n;
	return 0;
}

static int append(uint64_t value, uint64_t *at)
{
	struct rpc_call call;
	File__WriteReq q = FILE__WRITE_REQ__INIT;
	struct number n = {value, 0};

	rpc_call_init(&call);
	call.source = number_source;
	call.source_arg = &n;
	call.source_len = 8;
	file__file__write(rpc_service(&g_file_chan), &q,
	                  (File__WriteRep_Closure)(void (*)(void))rpc_reply_taken, &call);
	if (call.err == 0)
		*at = ((const File__WriteRep *)call.reply)->offset;
	return call.err;
}

static void die_at(enum die where, unsigned after)
{
	atomic_store(&g_countdown, after);
	atomic_store(&g_die, where);
}

/* One after the other: where it dies, and what the next one must find. */
static void a_call_is_done_once_wherever_its_service_ends(void)
{
	uint64_t at = 0;

	for (int where = BEFORE_DISPATCH; where < IN_RESTORE; where++) {
		start(10000000000u);
		CU_ASSERT_EQUAL(append(1, &at), 0);
		die_at((enum die)where, 1);
		CU_ASSERT_EQUAL(append(2, &at), 0);
		CU_ASSERT_EQUAL(at, 1);
		CU_ASSERT_EQUAL(append(3, &at), 0);
		CU_ASSERT_EQUAL(at, 2);
		CU_ASSERT_EQUAL(disk_len(), 3);
		CU_ASSERT(disk_at(0) == 1 && disk_at(1) == 2 && disk_at(2) == 3);
		CU_ASSERT_EQUAL(g_restores, 1);
		for (int i = 0; i < 1000 && !g_recovered; i++)
			usleep(1000); /* counted behind the answer */
		CU_ASSERT_EQUAL(g_recovered, 1);
		/* after the reply the next call may already be on its way */
		CU_ASSERT(where == AFTER_REPLY ? g_replays <= 1 : g_replays == 1);
		CU_ASSERT_EQUAL(g_known, where >= AFTER_INTENT && where < AFTER_REPLY ? 1 : 0);
		CU_ASSERT_EQUAL(g_lost, 0);
		stop();
	}
}

static void an_instance_may_die_while_the_guest_restores(void)
{
	uint64_t at = 0;

	start(10000000000u);
	for (unsigned i = 1; i <= 3; i++) {
		die_at(AFTER_INTENT, 1);
		CU_ASSERT_EQUAL(append(i, &at), 0);
	}
	CU_ASSERT_EQUAL(disk_len(), 3);
	die_at(AFTER_DOING, 1);
	CU_ASSERT_EQUAL(append(4, &at), 0);
	for (unsigned i = 1; i <= 3; i++) {
		const unsigned before = g_restores;

		die_at(IN_RESTORE, i);
		g_now->dead = true; /* this one at any time, the next one in restore */
		CU_ASSERT_EQUAL(append(4 + i, &at), 0);
		CU_ASSERT_EQUAL(g_restores, before + 2);
	}
	CU_ASSERT_EQUAL(disk_len(), 7);
	for (unsigned i = 0; i < disk_len(); i++)
		CU_ASSERT_EQUAL(disk_at(i), i + 1);
	CU_ASSERT_EQUAL(g_lost, 0);
	stop();
}

/* Posts are kept over instances that end before the guest got to sending them again, and
 * over one that ends before it read them. */
static void posts_outlive_instances_that_never_read_them(void)
{
	enum { POSTS = 40 };
	File__HandleReq q = FILE__HANDLE_REQ__INIT;
	uint64_t at = 0;

	for (unsigned deaths = 0; deaths <= 2; deaths++) {
		start(10000000000u);
		CU_ASSERT_EQUAL(append(1, &at), 0);
		g_now->held = true; /* it reads nothing from here on */
		while (!g_now->holds)
			usleep(100);
		for (unsigned i = 0; i < POSTS; i++)
			CU_ASSERT_EQUAL(rpc_post(&g_file_chan, 2, &q.base, NULL, NULL, 0), 0);
		CU_ASSERT_EQUAL(g_posts, 0);
		if (deaths)
			die_at(IN_RESTORE, 2);
		g_posts_die = deaths == 2 ? POSTS / 2 : 0;
		g_now->dead = true;
		CU_ASSERT_EQUAL(append(2, &at), 0);
		CU_ASSERT_EQUAL(g_deaths, 1 + deaths);
		CU_ASSERT_EQUAL(g_posts, POSTS);
		CU_ASSERT_EQUAL(g_lost, 0);
		stop();
	}
}

#define THREADS 6u
#define EACH 800u

static _Atomic unsigned g_failed, g_running;

static void *client_main(void *arg)
{
	const uint64_t me = (uintptr_t)arg;
	uint64_t at;

	for (uint64_t i = 0; i < EACH; i++) {
		File__HandleReq h = FILE__HANDLE_REQ__INIT;

		if (append(me << 32 | i, &at) != 0 || disk_at(at) != (me << 32 | i))
			atomic_fetch_add(&g_failed, 1);
		if (i % 16 == 0 &&
		    rpc_post(&g_file_chan, 2, &h.base, NULL, NULL, 0) != 0)
			atomic_fetch_add(&g_failed, 1);
	}
	atomic_fetch_sub(&g_running, 1);
	return NULL;
}

static void many_threads_over_many_deaths_lose_and_repeat_nothing(void)
{
	static uint8_t seen[THREADS][EACH];
	pthread_t t[THREADS];
	unsigned seed = 1, wrong = 0;

	start(20000000000u);
	g_failed = 0;
	g_running = THREADS;
	memset(seen, 0, sizeof(seen));
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, client_main, (void *)i);
	while (g_running) {
		if ((enum die)g_die == NEVER) {
			const enum die where = (enum die)(1 + (unsigned)rand_r(&seed) %
			                                              (N_DIE - 1));

			die_at(where, 1 + (unsigned)rand_r(&seed) % (where == IN_RESTORE ? 3 : 50));
			if (where == IN_RESTORE)
				((struct instance *)g_now)->dead = true;
		}
		usleep(100);
	}
	g_die = NEVER;
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	CU_ASSERT_EQUAL(g_failed, 0);
	CU_ASSERT_EQUAL(g_lost, 0);
	CU_ASSERT_EQUAL(disk_len(), THREADS * EACH);
	for (unsigned i = 0; i < disk_len(); i++) {
		const uint64_t v = disk_at(i);

		if (v >> 32 >= THREADS || (uint32_t)v >= EACH || seen[v >> 32][(uint32_t)v]++)
			wrong++;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(g_deaths > 20);
	CU_ASSERT_EQUAL(g_lost, 0);
	stop();
}

/* It dies before or behind its first answer: there is no session yet. */
static void a_guest_attaches_to_the_next_instance(void)
{
	uint64_t at;

	for (int answered = 0; answered < 2; answered++) {
		g_hello_dies = answered ? 2 : 1;
		start(10000000000u);
		CU_ASSERT_EQUAL(g_hello_dies, 0);
		CU_ASSERT_EQUAL(append(1, &at), 0);
		CU_ASSERT_EQUAL(disk_len(), 1);
		CU_ASSERT_EQUAL(g_lost, 0);
		stop();
	}
}

static void past_the_deadline_calls_fail(void)
{
	uint64_t at;

	start(100000000u);
	g_end = true; /* nobody starts another */
	pthread_join(g_supervisor, NULL);
	g_now->dead = true;
	instance_bury(g_now);
	CU_ASSERT_EQUAL(append(1, &at), -EIO);
	CU_ASSERT_EQUAL(append(2, &at), -EIO);
	fake_recovered();
	CU_ASSERT_EQUAL(g_lost, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(fake_log(), "did not come back in time"));
	rpc_detach(&g_file_chan);
	free_buried();
}

static void without_recovery_a_dead_service_is_lost_at_once(void)
{
	uint64_t at;

	start(0);
	g_end = true;
	pthread_join(g_supervisor, NULL);
	g_now->dead = true;
	instance_bury(g_now);
	CU_ASSERT_EQUAL(append(1, &at), -EIO);
	CU_ASSERT_EQUAL(g_lost, 1);
	rpc_detach(&g_file_chan);
	free_buried();
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(a_call_is_done_once_wherever_its_service_ends),
		TEST(an_instance_may_die_while_the_guest_restores),
		TEST(posts_outlive_instances_that_never_read_them),
		TEST(many_threads_over_many_deaths_lose_and_repeat_nothing),
		TEST(a_guest_attaches_to_the_next_instance),
		TEST(past_the_deadline_calls_fail),
		TEST(without_recovery_a_dead_service_is_lost_at_once),
		CU_TEST_INFO_NULL,
	};

	file__file__init(&g_service, NULL);
	g_service.write = srv_write;
	g_service.release = srv_release;
	g_service.stat = srv_stat;
	return suite_run("rpc_recover", NULL, NULL, tests);
}
