/* SPDX-License-Identifier: MIT */
/* See netd_move.h: two ends of one connection, both netd's, that would answer each other
 * for ever. */
#include "netd_move.h"

#include "netstate.pb-c.h"

#define WATCH_MS 600
#define APART 0x10000000u
#define BUSY_MS 40 /* of them: it spins, on a machine that has other work */

/* A connection from the guest to itself: *@accepted is its other end. */
static int to_itself(int *accepted)
{
	uint16_t port = 0;
	const int l = server(AF_INET, "0.0.0.0", &port, 8), c = ng_socket(AF_INET, SOCK_STREAM, 0);

	CU_ASSERT_EQUAL_FATAL(ng_connect(c, g_set->guest, port), 0);
	*accepted = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(*accepted > 0);
	CU_ASSERT_EQUAL(ng_close(l, false), 0);
	return c;
}

static unsigned busy(void)
{
	const unsigned before = ng_cpu_ms();

	ng_sleep(WATCH_MS);
	const unsigned used = ng_cpu_ms() - before;

	printf("[busy for %u of %d ms] ", used, WATCH_MS);
	return used;
}

/* The numbers of the first connection are no more those that its other end knows.  They
 * are of fixed size, so the record keeps its length. */
static void disagree(uint8_t *b, size_t len)
{
	size_t at = 0;

	while (len - at >= 16) {
		uint32_t kind, msg_len;
		uint64_t n;
		Netstate__Sock *m;

		memcpy(&kind, b + at, 4);
		memcpy(&msg_len, b + at + 4, 4);
		memcpy(&n, b + at + 8, 8);
		at += 16;
		m = kind == NETSTATE__KIND__KIND_SOCK ? netstate__sock__unpack(NULL, msg_len, b + at)
		                                      : NULL;
		if (m && m->tcp) {
			Netstate__Tcp *t = m->tcp;

			t->rcv_nxt += APART;
			t->rcv_ann_edge += APART;
			t->snd_nxt += 2 * APART;
			t->snd_lbb += 2 * APART;
			t->lastack += 2 * APART;
			t->snd_wl1 += APART;
			t->snd_wl2 += 2 * APART;
			CU_ASSERT_EQUAL_FATAL(netstate__sock__pack(m, b + at), msg_len);
			netstate__sock__free_unpacked(m, NULL);
			return;
		}
		if (m)
			netstate__sock__free_unpacked(m, NULL);
		at += msg_len + n;
	}
	CU_FAIL_FATAL("no connection in the state");
}

/* As a state that somebody made up may have it: each end's segments lie outside of the
 * other's window. */
void ends_that_disagree_do_not_spin(void)
{
	int a, c = to_itself(&a);

	CU_ASSERT_EQUAL_FATAL(ng_swap_changed(disagree), 0);
	CU_ASSERT_EQUAL(ng_send(c, "x", 1, false), 1);
	CU_ASSERT_EQUAL(ng_send(a, "x", 1, false), 1);
	CU_ASSERT_TRUE(busy() < BUSY_MS);
	(void)ng_close(c, true);
	(void)ng_close(a, true);
}
