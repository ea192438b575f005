/* SPDX-License-Identifier: MIT */
/* The calls and posts of service Net, as blocking sockets. */
#include "netd_guest.h"

#include "rpc/guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static uint32_t g_next_handle = 1, g_next_granted = 35000;

struct bytes {
	const uint8_t *from;
	uint8_t *to;
};

static int source(void *arg, void *ring, size_t n)
{
	struct bytes *b = arg;

	memcpy(ring, b->from, n);
	b->from += n;
	return 0;
}

static int sink(void *arg, void *ring, size_t n)
{
	struct bytes *b = arg;

	memcpy(b->to, ring, n);
	b->to += n;
	return 0;
}

static int call(unsigned index, const ProtobufCMessage *m, struct rpc_call *c)
{
	int r = rpc_call_start(&g_net_chan, index, m, c);

	if (r < 0)
		return r;
	rpc_call_finish(&g_net_chan, index, c);
	return c->err;
}

static int post(unsigned index, const ProtobufCMessage *m, const void *data, uint32_t len)
{
	struct bytes b = {.from = data};

	return rpc_post(&g_net_chan, index, m, source, &b, len);
}

static void addr_make(Net__Addr *a, const char *ip, uint16_t port, uint8_t buf[16])
{
	net__addr__init(a);
	a->port = port;
	a->ip.data = buf;
	if (ip && inet_pton(AF_INET, ip, buf) == 1)
		a->ip.len = 4;
	else if (ip && inet_pton(AF_INET6, ip, buf) == 1)
		a->ip.len = 16;
}

int ng_socket(int domain, int type, int proto)
{
	Net__SocketReq m = NET__SOCKET_REQ__INIT;
	struct rpc_call c;
	int r;

	rpc_call_init(&c);
	m.handle = g_next_handle++;
	m.domain = (uint32_t)domain;
	m.type = (uint32_t)type;
	m.protocol = (uint32_t)proto;
	m.rx_limit = NG_WINDOW;
	ng_sock_init(m.handle, type == SOCK_STREAM);
	r = call(0, &m.base, &c);
	if (r < 0)
		g_ng[m.handle].used = false;
	return r < 0 ? r : (int)m.handle;
}

static void take_names(int s, const struct rpc_call *c)
{
	const Net__AddrRep *rep = (const Net__AddrRep *)c->reply;

	if (rep)
		ng_take_addr(rep->local, g_ng[s].local_ip, &g_ng[s].local_len, &g_ng[s].local_port);
}

int ng_bind(int s, const char *ip, uint16_t port)
{
	Net__BindReq m = NET__BIND_REQ__INIT;
	Net__Addr a;
	uint8_t buf[16];
	struct rpc_call c;
	int r;

	rpc_call_init(&c);
	addr_make(&a, ip, port, buf);
	m.handle = (uint32_t)s;
	m.addr = &a;
	r = call(1, &m.base, &c);
	if (r == 0)
		take_names(s, &c);
	return r;
}

int ng_listen(int s, unsigned backlog, unsigned n_ids)
{
	Net__ListenReq m = NET__LISTEN_REQ__INIT;
	struct rpc_call c;
	int r;

	rpc_call_init(&c);
	m.handle = (uint32_t)s;
	m.backlog = backlog;
	m.first_id = g_next_granted;
	m.n_ids = n_ids;
	m.rx_limit = NG_WINDOW;
	g_next_granted += n_ids;
	r = call(2, &m.base, &c);
	if (r == 0)
		take_names(s, &c);
	return r;
}

static bool has_accepted(void *arg)
{
	const struct ng_sock *l = arg;

	return l->n_taken < l->n_accepted;
}

int ng_accept(int s, unsigned ms)
{
	struct ng_sock *l = &g_ng[s];
	Net__GrantPost m = NET__GRANT_POST__INIT;

	if (!ng_until(has_accepted, l, ms))
		return -EAGAIN;
	m.handle = (uint32_t)s;
	m.first_id = g_next_granted++;
	m.n_ids = 1;
	(void)post(12, &m.base, NULL, 0);
	if (g_next_granted >= NG_SOCKS)
		g_next_granted = 35000;
	return l->accepted[l->n_taken++ % 4096];
}

int ng_connect_start(int s, const char *ip, uint16_t port)
{
	Net__ConnectReq m = NET__CONNECT_REQ__INIT;
	Net__Addr a;
	uint8_t buf[16];
	struct rpc_call c;
	int r;

	rpc_call_init(&c);
	addr_make(&a, ip, port, buf);
	m.handle = (uint32_t)s;
	m.addr = &a;
	g_ng[s].connected = false;
	g_ng[s].connect_err = 0;
	r = call(3, &m.base, &c);
	if (r == 0)
		take_names(s, &c);
	return r;
}

static bool is_connected(void *arg)
{
	const struct ng_sock *s = arg;

	return s->connected || s->connect_err;
}

int ng_connect(int s, const char *ip, uint16_t port)
{
	const int r = ng_connect_start(s, ip, port);

	if (r < 0 || !g_ng[s].rx)
		return r;
	if (!ng_until(is_connected, &g_ng[s], NG_WAIT_MS))
		return -ETIME;
	return -g_ng[s].connect_err;
}

int ng_post_data(int s, uint64_t offset, const void *data, uint32_t len)
{
	Net__DataMsg m = NET__DATA_MSG__INIT;

	m.handle = (uint32_t)s;
	m.offset = offset;
	m.push = 1;
	return post(9, &m.base, data, len);
}

static bool has_room(void *arg)
{
	const struct ng_sock *s = arg;

	return s->tx_sent < s->tx_limit || s->fatal || g_ng_lost;
}

int64_t ng_send(int s, const void *data, uint64_t len, bool more)
{
	struct ng_sock *k = &g_ng[s];
	uint64_t done = 0;

	while (done < len) {
		Net__DataMsg m = NET__DATA_MSG__INIT;
		uint64_t n = len - done;
		int r;

		if (!ng_until(has_room, k, 3 * NG_WAIT_MS))
			return -EAGAIN;
		if (k->fatal || g_ng_lost)
			return -EPIPE;
		if (n > k->tx_limit - k->tx_sent)
			n = k->tx_limit - k->tx_sent;
		if (n > RPC_BULK_PIECE)
			n = RPC_BULK_PIECE;
		m.handle = (uint32_t)s;
		m.offset = k->tx_sent;
		m.push = !more || done + n < len;
		r = post(9, &m.base, (const uint8_t *)data + done, (uint32_t)n);
		if (r < 0)
			return r;
		k->tx_sent += n;
		done += n;
	}
	return (int64_t)done;
}

static bool has_data(void *arg)
{
	const struct ng_sock *s = arg;

	return s->rx_got > s->rx_read || s->eof || s->fatal || g_ng_lost;
}

int ng_raise(int s, uint64_t rx_limit)
{
	Net__WindowPost m = NET__WINDOW_POST__INIT;

	m.handle = (uint32_t)s;
	m.rx_limit = rx_limit;
	g_ng[s].rx_limit = rx_limit;
	return post(11, &m.base, NULL, 0);
}

int64_t ng_recv(int s, void *to, uint64_t len)
{
	struct ng_sock *k = &g_ng[s];
	uint64_t n, at;

	if (!ng_until(has_data, k, 3 * NG_WAIT_MS))
		return -EAGAIN;
	n = k->rx_got - k->rx_read;
	if (n == 0)
		return k->fatal ? -k->err : 0;
	at = k->rx_read % NG_WINDOW;
	if (n > len)
		n = len;
	if (n > NG_WINDOW - at)
		n = NG_WINDOW - at;
	memcpy(to, k->rx + at, n);
	k->rx_read += n;
	if (!k->hold && k->rx_limit - k->rx_read < NG_WINDOW / 2)
		(void)ng_raise(s, k->rx_read + NG_WINDOW);
	return (int64_t)n;
}

int64_t ng_recv_all(int s, void *to, uint64_t len)
{
	uint64_t done = 0;

	while (done < len) {
		const int64_t n = ng_recv(s, (uint8_t *)to + done, len - done);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (uint64_t)n;
	}
	return (int64_t)done;
}

int ng_shutdown(int s, int how)
{
	Net__ShutdownPost m = NET__SHUTDOWN_POST__INIT;

	m.handle = (uint32_t)s;
	m.how = (uint32_t)how;
	return post(4, &m.base, NULL, 0);
}

static void forget(int s)
{
	free(g_ng[s].rx);
	g_ng[s].used = false;
}

int ng_close(int s, bool abort)
{
	Net__CloseReq m = NET__CLOSE_REQ__INIT;

	m.handle = (uint32_t)s;
	m.abort = abort;
	forget(s);
	return post(5, &m.base, NULL, 0);
}

int ng_close_linger(int s, unsigned ms)
{
	Net__CloseReq m = NET__CLOSE_REQ__INIT;
	struct rpc_call c;

	rpc_call_init(&c);
	m.handle = (uint32_t)s;
	m.linger_ms = ms;
	forget(s);
	return call(5, &m.base, &c);
}

int ng_setopt(int s, int level, int name, const void *val, uint32_t len)
{
	Net__OptReq m = NET__OPT_REQ__INIT;
	struct bytes b = {.from = val};
	struct rpc_call c;

	rpc_call_init(&c);
	c.source = source;
	c.source_arg = &b;
	c.source_len = len;
	m.handle = (uint32_t)s;
	m.level = (uint32_t)level;
	m.name = (uint32_t)name;
	m.len = len;
	return call(6, &m.base, &c);
}

int ng_setint(int s, int level, int name, int val)
{
	return ng_setopt(s, level, name, &val, sizeof(val));
}

int ng_getopt(int s, int level, int name, void *val, uint32_t *len)
{
	Net__OptReq m = NET__OPT_REQ__INIT;
	struct bytes b = {.to = val};
	struct rpc_call c;
	int r;

	rpc_call_init(&c);
	c.sink = sink;
	c.sink_arg = &b;
	c.sink_cap = *len;
	m.handle = (uint32_t)s;
	m.level = (uint32_t)level;
	m.name = (uint32_t)name;
	m.len = *len;
	r = call(7, &m.base, &c);
	*len = c.payload_len;
	return r;
}

int ng_getint(int s, int level, int name)
{
	int v = -1;
	uint32_t len = sizeof(v);
	const int r = ng_getopt(s, level, name, &v, &len);

	return r < 0 ? r : v;
}

int ng_sendto(int s, const char *ip, uint16_t port, const void *data, uint32_t len)
{
	Net__DgramMsg m = NET__DGRAM_MSG__INIT;
	Net__Addr a;
	uint8_t buf[16];

	addr_make(&a, ip, port, buf);
	m.handle = (uint32_t)s;
	if (ip)
		m.peer = &a;
	return post(10, &m.base, data, len);
}

static bool has_dgram(void *arg)
{
	const struct ng_sock *s = arg;

	return s->dq || s->err;
}

struct ng_dgram *ng_recvfrom(int s, unsigned ms)
{
	struct ng_sock *k = &g_ng[s];
	struct ng_dgram *d;

	if (!ng_until(has_dgram, k, ms) || !k->dq)
		return NULL;
	d = k->dq;
	k->dq = d->next;
	if (!k->dq)
		k->dq_end = &k->dq;
	(void)ng_raise(s, k->rx_got + NG_WINDOW);
	return d;
}
