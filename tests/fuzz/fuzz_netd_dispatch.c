/* SPDX-License-Identifier: MIT */
/*
 * fuzz_netd_dispatch.c - a guest that says anything to service Net.
 *
 * The input is a row of calls and posts on the real lwip stack over loop-back;
 * the channel below is this file.  Small handles, ports and offsets are likely, so
 * that sockets meet each other; a raw message now and then is not.  Nothing may
 * crash, no request may stay unanswered, and after the guest has gone no socket
 * may be left in its table.
 */
#include "services/netd/clock.h"
#include "services/netd/netd.h"
#include "services/netd/stack.h"
#include "tests/fuzz/netd_channel.h"

#include <stdlib.h>

static struct guest *g_guest;
static unsigned g_open_reqs;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* ---- the channel ---- */

void *rpc_conn_ctx(const struct rpc_conn *c)
{
	(void)c;
	return g_guest;
}

static bool g_resumed;

bool rpc_conn_resumed(const struct rpc_conn *c)
{
	(void)c;
	return g_resumed;
}

bool rpc_req_replay(const struct rpc_req *req)
{
	return (req->hdr.flags & FRAME_F_REPLAY) != 0;
}

void rpc_reply(struct rpc_req *req, int err, const ProtobufCMessage *msg,
               const struct iovec *payload, int n_payload)
{
	(void)payload;
	(void)n_payload;
	if (err < 0 || err > 4095)
		abort();
	if (msg && protobuf_c_message_get_packed_size(msg) > RPC_REPLY_MSG_MAX)
		abort();
	g_open_reqs--;
	free(req);
}

/* ---- input ---- */

struct input {
	const uint8_t *at;
	size_t left;
};

static uint32_t take(struct input *in, unsigned n)
{
	uint32_t v = 0;

	for (; n > 0 && in->left > 0; n--, in->left--)
		v = v << 8 | *in->at++;
	return v;
}

static void addr_of(struct input *in, Net__Addr *a, uint8_t ip[17])
{
	const uint32_t kind = take(in, 1);

	net__addr__init(a);
	memset(ip, 0, 17);
	a->ip.data = ip;
	a->port = kind & 0x80 ? take(in, 4) : 1000 + kind % 5;
	switch (kind % 7) {
	case 0:
		a->ip.len = 4; /* any */
		break;
	case 1:
	case 2:
		a->ip.len = 4;
		ip[0] = 127;
		ip[3] = 1;
		break;
	case 3:
		a->ip.len = 16;
		ip[15] = 1;
		break;
	case 4:
		a->ip.len = 16;
		break;
	case 5:
		a->ip.len = 4;
		ip[0] = 224;
		ip[3] = (uint8_t)take(in, 1);
		break;
	default:
		a->ip.len = take(in, 1) % 18;
		for (unsigned i = 0; i < 16; i++)
			ip[i] = (uint8_t)take(in, 1);
	}
}

static const ProtobufCMessage *raw_message(struct input *in, unsigned method, size_t *used)
{
	const ProtobufCMessageDescriptor *d = net__net__descriptor.methods[method].input;
	size_t n = take(in, 1);

	if (n > in->left)
		n = in->left;
	*used = n;
	return protobuf_c_message_unpack(d, NULL, n, in->at);
}

/* A message with likely values for @method; NULL: the method has no input here. */
static const ProtobufCMessage *likely(struct input *in, unsigned method)
{
	static union {
		Net__SocketReq socket;
		Net__BindReq bind;
		Net__ListenReq listen;
		Net__ConnectReq connect;
		Net__ShutdownPost shutdown;
		Net__CloseReq close;
		Net__OptReq opt;
		Net__Empty empty;
		Net__DataMsg data;
		Net__DgramMsg dgram;
		Net__WindowPost window;
		Net__GrantPost grant;
	} m;
	static Net__Addr addr;
	static uint8_t ip[17];
	const uint32_t handle = take(in, 1) % 12;
	const struct sock *s = guest_sock(g_guest, handle);

	switch (method) {
	case 0:
		net__socket_req__init(&m.socket);
		m.socket.handle = handle;
		m.socket.domain = take(in, 1) % 2 ? 10 : 2;
		m.socket.type = 1 + take(in, 1) % 3;
		m.socket.protocol = (const uint8_t[]){0, 0, 6, 17, 1, 58}[take(in, 1) % 6];
		m.socket.rx_limit = take(in, 2) * 16;
		return &m.socket.base;
	case 1:
		net__bind_req__init(&m.bind);
		m.bind.handle = handle;
		m.bind.addr = &addr;
		addr_of(in, &addr, ip);
		return &m.bind.base;
	case 2:
		net__listen_req__init(&m.listen);
		m.listen.handle = handle;
		m.listen.backlog = take(in, 1);
		m.listen.first_id = take(in, 1);
		m.listen.n_ids = take(in, 1) % 16;
		m.listen.rx_limit = take(in, 2);
		return &m.listen.base;
	case 3:
		net__connect_req__init(&m.connect);
		m.connect.handle = handle;
		m.connect.addr = &addr;
		addr_of(in, &addr, ip);
		return &m.connect.base;
	case 4:
		net__shutdown_post__init(&m.shutdown);
		m.shutdown.handle = handle;
		m.shutdown.how = take(in, 1) % 4;
		return &m.shutdown.base;
	case 5:
		net__close_req__init(&m.close);
		m.close.handle = handle;
		m.close.abort = take(in, 1) % 2;
		m.close.linger_ms = take(in, 1);
		return &m.close.base;
	case 6:
	case 7:
		net__opt_req__init(&m.opt);
		m.opt.handle = handle;
		m.opt.level = (const uint8_t[]){0, 1, 6, 41, 17}[take(in, 1) % 5];
		m.opt.name = take(in, 1);
		m.opt.len = take(in, 1);
		return &m.opt.base;
	case 8:
		net__empty__init(&m.empty);
		return &m.empty.base;
	case 9:
		net__data_msg__init(&m.data);
		m.data.handle = handle;
		m.data.offset = s ? s->tx_got : take(in, 1);
		m.data.push = take(in, 1) % 2;
		return &m.data.base;
	case 10:
		net__dgram_msg__init(&m.dgram);
		m.dgram.handle = handle;
		m.dgram.peer = take(in, 1) % 4 ? &addr : NULL;
		addr_of(in, &addr, ip);
		m.dgram.ttl = take(in, 1);
		m.dgram.ifindex = take(in, 1) % 4;
		return &m.dgram.base;
	case 11:
		net__window_post__init(&m.window);
		m.window.handle = handle;
		m.window.rx_limit = (s ? s->rx_limit : 0) + take(in, 2);
		return &m.window.base;
	default:
		net__grant_post__init(&m.grant);
		m.grant.handle = handle;
		m.grant.first_id = take(in, 1);
		m.grant.n_ids = take(in, 1) % 16;
		return &m.grant.base;
	}
}

static void turn(void)
{
	unsigned i = 0;

	g_stack_lwip.run(clock_ms());
	while (i++ < 8 && g_stack_lwip.flush())
		;
	push_guest(g_guest);
}

static void one(struct input *in)
{
	static uint8_t payload[RPC_PAYLOAD_MAX];
	const uint32_t op = take(in, 1);
	const unsigned method = op % 13;
	struct rpc_req *req = calloc(1, sizeof(*req));
	const ProtobufCMessage *msg;
	size_t used = 0;
	ProtobufCMessage *unpacked = NULL;

	if (op >= 240) {
		union {
			const ProtobufCMessage *from;
			ProtobufCMessage *to;
		} u = {.from = raw_message(in, method, &used)};

		msg = unpacked = u.to;
		in->at += used;
		in->left -= used;
	} else {
		msg = likely(in, method);
	}
	if (!msg) {
		free(req);
		return;
	}
	req->conn = g_guest->conn;
	req->hdr.kind = op & 1 ? FRAME_CALL : FRAME_POST;
	req->hdr.flags = g_resumed && (op & 3) == 3 ? FRAME_F_REPLAY : 0;
	req->hdr.method = FRAME_METHOD(RPC_SERVICE_NET, method);
	req->hdr.payload_len = take(in, 2) % (RPC_PAYLOAD_MAX + 1);
	req->payload = payload;
	payload[0] = (uint8_t)take(in, 1);
	req->msg = msg;
	g_open_reqs++;
	serve_service()->invoke(serve_service(), method, msg, NULL, req);
	if (unpacked)
		protobuf_c_message_free_unpacked(unpacked, NULL);
	g_credit += take(in, 1) * 512;
	turn();
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
	struct input in = {data, len};

	if (!started)
		start();
	started = true;
	g_credit = 65536;
	g_resumed = len & 1;
	g_guest = guest_new((struct rpc_conn *)(void *)&fake_conn, 1, "fuzz");
	for (unsigned i = 0; i < 200 && in.left > 0 && !g_guest->broken; i++)
		one(&in);
	linger_drop(g_guest->conn);
	if (g_open_reqs != 0)
		abort();
	guest_free(g_guest);
	g_guest = guest_new((struct rpc_conn *)(void *)&fake_conn, 1, "next");
	for (unsigned i = 0; i < 16; i++)
		turn(); /* what the guest left must be harmless */
	if (g_guest->n_socks != 0 || g_guest->ready)
		abort();
	guest_free(g_guest);
	return 0;
}
