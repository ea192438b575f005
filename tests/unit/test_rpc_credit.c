/* SPDX-License-Identifier: MIT */
/*
 * Event credit comes back to a service that has spent all of it, also when nobody in the
 * guest sends anything afterwards.
 */
#include "fake_guest.h"
#include "file.pb-c.h"
#include "rpc/guest.h"
#include "rpc/server.h"
#include "session.pb-c.h"
#include "tests/unit/suite.h"
#include "vchan/hosted.h"
#include "vchan/vchan.h"
#include "vchan/wire.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ORDER 18u
#define RELEASE 2u

static struct rpc_conn *g_conn;
static struct fake_channel g_fc;
static int g_bell_fd = -1;
static const uint8_t g_id[16] = "0123456789abcde";
static File__File_Service g_service;
static _Atomic bool g_stop;

static void release(File__File_Service *s, const File__HandleReq *q, File__Empty_Closure cl,
                    void *data)
{
	(void)s;
	(void)q;
	(void)cl;
	rpc_reply(data, 0, NULL, NULL, 0);
}

static void on_broken(struct rpc_conn *c, const char *why)
{
	(void)c;
	CU_FAIL("the channel is broken");
	fprintf(stderr, "%s\n", why);
}

static struct rpc_server_ops g_ops = {.service_id = RPC_SERVICE_FILE,
                                      .on_broken = on_broken,
                                      .n_slots = 64,
                                      .epoch = 1};

static void on_event(struct rpc_event *ev)
{
	(void)ev;
}

static const struct rpc_chan_ops g_chan_ops = {.service_id = RPC_SERVICE_FILE,
                                               .service = &file__file__descriptor,
                                               .on_event = on_event};

static void *answer_hello(void *arg)
{
	(void)arg;
	while (!g_stop) {
		(void)rpc_conn_pump(g_conn, 64);
		usleep(1000);
	}
	return NULL;
}

/* From here on the service reads when the test says so. */
static void start(void)
{
	struct vchan_end *end;
	pthread_t t;

	if (g_bell_fd < 0)
		g_bell_fd = hosted_doorbell_create();
	CU_ASSERT_FATAL(fake_channel_make(&g_fc, ORDER, g_bell_fd) == 0);
	CU_ASSERT_FATAL(hosted_vchan_register(7, "/t", dup(g_fc.ring_fd), dup(g_fc.event_fd),
	                                      dup(g_bell_fd)) == 0);
	end = vchan_server_open(7, "/t", ORDER);
	CU_ASSERT_FATAL(end != NULL);
	g_conn = rpc_conn_new(end, &g_ops, g_id, 7, NULL);
	CU_ASSERT_FATAL(g_conn != NULL);
	memcpy(g_config.client_id, g_id, sizeof(g_id));
	fake_channel_use(&g_fc, &g_config.file, 0);
	g_stop = false;
	pthread_create(&t, NULL, answer_hello, NULL);
	CU_ASSERT_FATAL(rpc_attach(&g_file_chan, &g_config.file, &g_chan_ops) == 0);
	g_stop = true;
	pthread_join(t, NULL);
}

static void stop(void)
{
	rpc_detach(&g_file_chan);
	rpc_conn_free(g_conn);
}

static int event(uint32_t len)
{
	static uint8_t b[1024];
	const struct iovec io = {b, len};
	const Session__Empty m = SESSION__EMPTY__INIT;

	return rpc_event(g_conn, 0, &m.base, &io, 1);
}

static void spend_all_credit(void)
{
	while (event(1024) == 0 || event(0) == 0)
		continue;
}

static int post(rpc_move_fn *source, uint32_t len)
{
	File__HandleReq q = FILE__HANDLE_REQ__INIT;

	return rpc_post(&g_file_chan, RELEASE, &q.base, source, NULL, len);
}

/* The ring that credit goes by is held meanwhile: by us. */
static int read_events_and_fail(void *arg, void *ring, size_t n)
{
	(void)arg;
	(void)n;
	if (!ring)
		return 0;
	spend_all_credit();
	CU_ASSERT(rpc_guest_poll() > 0);
	return -EFAULT;
}

static void who_held_the_ring_returns_it(void)
{
	start();
	CU_ASSERT_EQUAL(post(read_events_and_fail, 8), -EFAULT);
	CU_ASSERT_EQUAL(event(1024), -EAGAIN);
	CU_ASSERT(rpc_conn_pump(g_conn, 64) > 0);
	CU_ASSERT_EQUAL(event(1024), 0);
	stop();
}

static int zeroes(void *arg, void *ring, size_t n)
{
	(void)arg;
	if (ring)
		memset(ring, 0, n);
	return 0;
}

static uint32_t left_room(void)
{
	const struct vchan_wire *w = fake_page(&g_fc);

	return (1u << ORDER) - (w->left_prod - w->left_cons);
}

static void fill_left_ring(void)
{
	while (left_room() >= 2 * RPC_PAYLOAD_MAX)
		CU_ASSERT_EQUAL_FATAL(post(zeroes, RPC_PAYLOAD_MAX / 2), 0);
	while (left_room() >= 2 * FRAME_HDR_LEN)
		CU_ASSERT_EQUAL_FATAL(post(NULL, 0), 0);
	CU_ASSERT_FATAL(left_room() < 2 * FRAME_HDR_LEN);
	if (left_room() >= FRAME_HDR_LEN)
		CU_ASSERT_EQUAL_FATAL(post(NULL, 0), 0);
}

static void it_waits_for_room_and_hears_of_it(void)
{
	struct doorbell *bell;
	uint32_t rung;

	start();
	bell = mmap(NULL, DOORBELL_SIZE, PROT_READ, MAP_SHARED, g_bell_fd, 0);
	CU_ASSERT_FATAL((void *)bell != MAP_FAILED);
	fill_left_ring();
	spend_all_credit();
	CU_ASSERT(rpc_guest_poll() > 0);
	CU_ASSERT_EQUAL(event(1024), -EAGAIN);
	rung = bell->word;
	CU_ASSERT(rpc_conn_pump(g_conn, 1 << 20) > 0);
	CU_ASSERT_NOT_EQUAL(bell->word, rung);
	CU_ASSERT_EQUAL(rpc_guest_poll(), 0);
	CU_ASSERT(rpc_conn_pump(g_conn, 64) > 0);
	CU_ASSERT_EQUAL(event(1024), 0);
	munmap(bell, DOORBELL_SIZE);
	stop();
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(who_held_the_ring_returns_it),
		TEST(it_waits_for_room_and_hears_of_it),
		CU_TEST_INFO_NULL,
	};

	file__file__init(&g_service, NULL);
	g_service.release = release;
	g_ops.service = &g_service.base;
	return suite_run("rpc_credit", NULL, NULL, tests);
}
