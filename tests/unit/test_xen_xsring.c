/* SPDX-License-Identifier: MIT */
/* The ring to xenstored: messages whole and in pieces, and a daemon that lies. */
#include "platform/xen/xsring.h"
#include "suite.h"

#include <errno.h>
#include <string.h>

static struct xenstore_domain_interface g_shared;
static struct xsring g_ring;
static uint8_t g_message[8192];

static void start(uint32_t req, uint32_t rsp)
{
	memset(&g_shared, 0, sizeof(g_shared));
	g_shared.req_prod = g_shared.req_cons = req;
	g_shared.rsp_prod = g_shared.rsp_cons = rsp;
	xsring_init(&g_ring, &g_shared);
}

/* What the daemon does: take @n bytes, give @n bytes. */
static void daemon_takes(void *to, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		((char *)to)[i] =
		        g_shared.req[MASK_XENSTORE_IDX(g_shared.req_cons + i)];
	g_shared.req_cons += n;
}

static void daemon_gives(const void *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		g_shared.rsp[MASK_XENSTORE_IDX(g_shared.rsp_prod + i)] =
		        ((const char *)from)[i];
	g_shared.rsp_prod += n;
}

static void daemon_says(uint32_t type, uint32_t id, const void *body, uint32_t len)
{
	const struct xsd_sockmsg m = {type, id, 0, len};

	daemon_gives(&m, sizeof(m));
	daemon_gives(body, len);
}

static void a_request_goes_out_in_pieces(void)
{
	static char value[3000], seen[3100];
	const struct xspart parts[2] = {{"a/b", 4}, {value, sizeof(value)}};
	uint32_t got = 0;

	start(UINT32_MAX - 100, 7); /* indices wrap */
	memset(value, 'v', sizeof(value));
	g_ring.out = g_message;
	g_ring.out_len = (uint32_t)xsring_pack(g_message, sizeof(g_message), XS_WRITE,
	                                       5, parts, 2);
	CU_ASSERT_EQUAL(g_ring.out_len, 16 + 4 + 3000);
	while (g_ring.out_len || g_shared.req_prod != g_shared.req_cons) {
		uint32_t n;

		(void)xsring_send(&g_ring);
		n = g_shared.req_prod - g_shared.req_cons;
		CU_ASSERT_TRUE_FATAL(n > 0 && n <= XENSTORE_RING_SIZE);
		n = n > 700 ? 700 : n;
		daemon_takes(seen + got, n);
		got += n;
	}
	CU_ASSERT_EQUAL(got, 3020);
	CU_ASSERT_EQUAL(memcmp(seen, g_message, got), 0);
	CU_ASSERT_FALSE(xsring_send(&g_ring));
}

static void a_reply_comes_in_pieces(void)
{
	const struct xsd_sockmsg m = {XS_READ, 9, 0, 5};
	bool notify = false;

	start(0, UINT32_MAX - 3);
	daemon_gives(&m, 10);
	CU_ASSERT_FALSE(xsring_recv(&g_ring, &notify));
	daemon_gives((const char *)&m + 10, 6);
	CU_ASSERT_FALSE(xsring_recv(&g_ring, &notify));
	daemon_gives("hell", 4);
	CU_ASSERT_FALSE(xsring_recv(&g_ring, &notify));
	daemon_gives("o", 1);
	daemon_says(XS_READ, 10, "", 0);
	CU_ASSERT_TRUE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_EQUAL(g_ring.in.req_id, 9);
	CU_ASSERT_STRING_EQUAL(g_ring.body, "hello");
	CU_ASSERT_EQUAL(xsring_result(&g_ring, XS_READ), 5);
	CU_ASSERT_TRUE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_EQUAL(g_ring.in.req_id, 10);
	CU_ASSERT_STRING_EQUAL(g_ring.body, "");
	CU_ASSERT_FALSE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_FALSE(notify);
	CU_ASSERT_EQUAL(g_shared.rsp_cons, g_shared.rsp_prod);
}

static void a_full_ring_that_was_read_is_told(void)
{
	static char body[XENSTORE_RING_SIZE];
	const struct xsd_sockmsg m = {XS_READ, 1, 0, 2000};
	bool notify = false;

	start(0, 0);
	daemon_gives(&m, sizeof(m));
	daemon_gives(body, XENSTORE_RING_SIZE - sizeof(m));
	CU_ASSERT_FALSE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_TRUE(notify);
	notify = false;
	daemon_gives(body, 2000 - (XENSTORE_RING_SIZE - sizeof(m)));
	CU_ASSERT_TRUE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_FALSE(notify);
	CU_ASSERT_EQUAL(g_ring.in.len, 2000);
}

static void the_longest_value_fits(void)
{
	static char body[XENSTORE_PAYLOAD_MAX];
	const struct xsd_sockmsg m = {XS_READ, 1, 0, XENSTORE_PAYLOAD_MAX};
	uint32_t given = 0;
	bool notify = false;

	start(0, 0);
	memset(body, 'x', sizeof(body));
	daemon_gives(&m, sizeof(m));
	while (given < sizeof(body)) {
		CU_ASSERT_FALSE(xsring_recv(&g_ring, &notify));
		daemon_gives(body + given, 1024);
		given += 1024;
	}
	CU_ASSERT_TRUE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_EQUAL(strlen(g_ring.body), XENSTORE_PAYLOAD_MAX);
}

static void a_length_out_of_range_breaks_the_ring(void)
{
	const struct xsd_sockmsg m = {XS_READ, 1, 0, XENSTORE_PAYLOAD_MAX + 1};
	bool notify = false;

	start(0, 0);
	daemon_gives(&m, sizeof(m));
	CU_ASSERT_FALSE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_TRUE(g_ring.broken);
	daemon_says(XS_READ, 1, "x", 1);
	CU_ASSERT_FALSE(xsring_recv(&g_ring, &notify));
}

static void an_index_out_of_range_breaks_the_ring(void)
{
	bool notify = false;

	start(0, 0);
	g_shared.rsp_prod = XENSTORE_RING_SIZE + 1;
	CU_ASSERT_FALSE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_TRUE(g_ring.broken);
	start(0, 0);
	g_shared.req_cons = 1; /* more than was sent */
	g_ring.out = g_message;
	g_ring.out_len = 10;
	CU_ASSERT_FALSE(xsring_send(&g_ring));
	CU_ASSERT_TRUE(g_ring.broken);
}

static void errors_are_named(void)
{
	bool notify = false;

	start(0, 0);
	daemon_says(XS_ERROR, 1, "ENOENT", 7);
	daemon_says(XS_ERROR, 1, "EWHAT", 6);
	daemon_says(XS_ERROR, 1, "ENOEN", 5);
	daemon_says(XS_WRITE, 1, "OK", 3);
	CU_ASSERT_TRUE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_EQUAL(xsring_result(&g_ring, XS_READ), -ENOENT);
	CU_ASSERT_TRUE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_EQUAL(xsring_result(&g_ring, XS_READ), -EIO);
	CU_ASSERT_TRUE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_EQUAL(xsring_result(&g_ring, XS_READ), -EIO);
	CU_ASSERT_TRUE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_EQUAL(xsring_result(&g_ring, XS_READ), -EIO);
	CU_ASSERT_EQUAL(xsring_result(&g_ring, XS_WRITE), 3);
}

static void tokens_of_malformed_events_are_none(void)
{
	bool notify = false;

	start(0, 0);
	daemon_says(XS_WATCH_EVENT, 0, "a/b\0c", 6);
	daemon_says(XS_WATCH_EVENT, 0, "a/b\0c", 5); /* not ended */
	daemon_says(XS_WATCH_EVENT, 0, "a/b", 4);    /* no token */
	daemon_says(XS_WATCH_EVENT, 0, "abc", 3);
	daemon_says(XS_WATCH_EVENT, 0, "", 0);
	CU_ASSERT_TRUE(xsring_recv(&g_ring, &notify));
	CU_ASSERT_STRING_EQUAL(xsring_token(&g_ring), "c");
	for (int i = 0; i < 4; i++) {
		CU_ASSERT_TRUE(xsring_recv(&g_ring, &notify));
		CU_ASSERT_PTR_NULL(xsring_token(&g_ring));
	}
}

static void what_is_too_long_is_not_packed(void)
{
	const struct xspart part = {(const char *)g_message, XENSTORE_PAYLOAD_MAX + 1};
	const struct xspart small = {"abc", 4};

	CU_ASSERT_EQUAL(xsring_pack(g_message, sizeof(g_message), XS_READ, 1, &part, 1),
	                0);
	CU_ASSERT_EQUAL(xsring_pack(g_message, 19, XS_READ, 1, &small, 1), 0);
	CU_ASSERT_EQUAL(xsring_pack(g_message, 20, XS_READ, 1, &small, 1), 20);
}

int main(void)
{
	static CU_TestInfo tests[] = {
	        TEST(a_request_goes_out_in_pieces),
	        TEST(a_reply_comes_in_pieces),
	        TEST(a_full_ring_that_was_read_is_told),
	        TEST(the_longest_value_fits),
	        TEST(a_length_out_of_range_breaks_the_ring),
	        TEST(an_index_out_of_range_breaks_the_ring),
	        TEST(errors_are_named),
	        TEST(tokens_of_malformed_events_are_none),
	        TEST(what_is_too_long_is_not_packed),
	        CU_TEST_INFO_NULL,
	};

	return suite_run("ring to xenstored", NULL, NULL, tests);
}
