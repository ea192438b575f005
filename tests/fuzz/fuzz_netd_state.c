/* SPDX-License-Identifier: MIT */
/*
 * fuzz_netd_state.c - a state that another netd hands over, broken or hostile.
 *
 * The input is the stream of records (proto/netstate.proto) for the lwip stack over
 * loop-back.  Taken or refused, nothing may crash, then or later: what was built is
 * used for a while (timers, output, pushes to the guests, segments that come) and
 * then closed.  Nothing may be left over.
 *
 * Random bytes seldom hold together, so numbers that only count (a socket's id, the
 * counts at the end) are made right before the input is read.
 */
#include "services/netd/clock.h"
#include "services/netd/lwip_priv.h"
#include "services/netd/move.h"
#include "services/netd/stack.h"
#include "services/netd/tw.h"
#include "tests/fuzz/netd_channel.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* ---- the channel ---- */


void *rpc_conn_ctx(const struct rpc_conn *c)
{
	(void)c;
	return NULL;
}

void rpc_reply(struct rpc_req *req, int err, const ProtobufCMessage *msg,
               const struct iovec *payload, int n_payload)
{
	(void)req;
	(void)err;
	(void)msg;
	(void)payload;
	(void)n_payload;
	abort(); /* nobody called */
}

/* ---- numbers that count ---- */

struct fixed {
	uint8_t *out;
	size_t len;
	uint32_t guests, socks, halves, tw, conns;
};

static void emit(struct fixed *f, uint32_t kind, const ProtobufCMessage *m, const uint8_t *payload,
                 uint64_t n)
{
	const size_t len = protobuf_c_message_get_packed_size(m);
	const uint32_t head[2] = {kind, (uint32_t)len};

	f->out = realloc(f->out, f->len + 16 + len + n);
	if (!f->out)
		abort();
	memcpy(f->out + f->len, head, 8);
	memcpy(f->out + f->len + 8, &n, 8);
	(void)protobuf_c_message_pack(m, f->out + f->len + 16);
	memcpy(f->out + f->len + 16 + len, payload, n);
	f->len += 16 + len + n;
}

/* A record as it should count; false: left as it is. */
static bool put_right(struct fixed *f, uint32_t kind, const uint8_t *msg, size_t len,
                      const uint8_t *payload, uint64_t n)
{
	Netstate__Sock *s;
	Netstate__Guest *g;
	Netstate__End *e;

	if (kind == NETSTATE__KIND__KIND_SOCK && (s = netstate__sock__unpack(NULL, len, msg))) {
		s->id = ++f->socks;
		f->conns += s->tcp != NULL;
		emit(f, kind, &s->base, payload, n);
		netstate__sock__free_unpacked(s, NULL);
		return true;
	}
	if (kind == NETSTATE__KIND__KIND_GUEST && (g = netstate__guest__unpack(NULL, len, msg))) {
		g->index = ++f->guests;
		emit(f, kind, &g->base, payload, n);
		netstate__guest__free_unpacked(g, NULL);
		return true;
	}
	if (kind == NETSTATE__KIND__KIND_END && (e = netstate__end__unpack(NULL, len, msg))) {
		e->guests = f->guests;
		e->socks = f->socks;
		e->halves = f->halves;
		e->time_waits = f->tw;
		e->connections = f->conns + f->halves;
		emit(f, kind, &e->base, payload, n);
		netstate__end__free_unpacked(e, NULL);
		return true;
	}
	if (kind == NETSTATE__KIND__KIND_TIME_WAIT) {
		Netstate__TimeWaits *t = netstate__time_waits__unpack(NULL, len, msg);

		f->tw += t ? (uint32_t)t->n_list : 0;
		if (t)
			netstate__time_waits__free_unpacked(t, NULL);
	}
	f->halves += kind == NETSTATE__KIND__KIND_HALF;
	return false;
}

static struct fixed fix(const uint8_t *data, size_t len)
{
	struct fixed f = {0};
	size_t at = 0;

	while (len - at >= 16) {
		uint32_t kind, msg_len;
		uint64_t n;

		memcpy(&kind, data + at, 4);
		memcpy(&msg_len, data + at + 4, 4);
		memcpy(&n, data + at + 8, 8);
		if (msg_len > len - at - 16 || n > len - at - 16 - msg_len)
			break;
		if (!put_right(&f, kind, data + at + 16, msg_len, data + at + 16 + msg_len, n)) {
			f.out = realloc(f.out, f.len + 16 + msg_len + n);
			if (!f.out)
				abort();
			memcpy(f.out + f.len, data + at, 16 + msg_len + n);
			f.len += 16 + msg_len + n;
		}
		at += 16 + msg_len + n;
	}
	f.out = realloc(f.out, f.len + (len - at) + 1);
	if (!f.out)
		abort();
	memcpy(f.out + f.len, data + at, len - at);
	f.len += len - at;
	return f;
}

/* ---- using what was built ---- */

static void turns(struct guest *guests, uint64_t now)
{
	for (int i = 0; i < 12; i++) {
		now += 20 + (uint64_t)i * 60;
		g_stack_lwip.run(now);
		for (int k = 0; k < 4 && g_stack_lwip.flush(); k++)
			;
		g_credit += 4096;
		for (struct guest *g = guests; g; g = g->next)
			push_guest(g);
	}
}

static void close_all(struct guest *guests)
{
	while (guests) {
		struct guest *g = guests;

		guests = g->next;
		guest_free(g);
	}
	while (g_lsocks)
		sock_close(&g_lsocks->s, true);
	for (int i = 0; i < 16; i++) {
		g_stack_lwip.run(clock_ms());
		(void)g_stack_lwip.flush();
	}
	tw_expire(UINT64_MAX);
	if (demux_count() != 0 || tw_count() != 0)
		abort();
	for (uint16_t port = 5000; port < 6004; port++) { /* where the corpus has its sockets */
		if (ports_on(IPPROTO_TCP, port))
			abort();
	}
}

static void start(void)
{
	Control__NetConfig cfg = CONTROL__NET_CONFIG__INIT;
	uint8_t loop[] = "loop";
	char why[256];

	cfg.link = (ProtobufCBinaryData){4, loop};
	if (g_stack_lwip.start(&cfg, -1, why) < 0)
		abort();
	serve_config(g_stack_lwip.ops, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool started;
	static char fake_conn;
	struct fixed f;
	struct guest *guests = NULL;
	struct move_in in;
	int r;

	if (!started)
		start();
	started = true;
	f = fix(data, len);
	if (move_in_open(&in, -1) < 0)
		abort();
	in.buf = f.out;
	in.end = in.cap = f.len;
	g_credit = 65536;
	r = move_import(&in, -1, &g_stack_lwip, &guests);
	if (r < 0 && !in.why[0])
		abort(); /* refused without a word */
	for (struct guest *g = guests; g; g = g->next)
		g->conn = (struct rpc_conn *)(void *)&fake_conn;
	if (r == 0) {
		g_stack_lwip.go();
		turns(guests, clock_ms());
	}
	move_in_close(&in);
	close_all(guests);
	free(f.out);
	return 0;
}
