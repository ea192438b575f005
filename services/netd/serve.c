/* SPDX-License-Identifier: MIT */
/*
 * serve.c - the calls and posts of service Net.
 *
 * An answer ends its request: neither @req nor the message is looked at after.
 *
 * Every field is the guest's word and is checked here, before any stack sees it.
 * A post has no reply: one that breaks a rule (wrong offset, beyond the limit)
 * can only come from a broken or hostile libos, and breaks its channel.  A post
 * for a handle that is gone is ignored: it may have crossed with our own event.
 */
#include "services/netd/clock.h"
#include "services/netd/netd.h"

#include <errno.h>
#include <stdlib.h>

#define LIMIT_MAX (1ull << 62)
#define LINGER_MAX_MS (1000u * 3600)

static const struct stack_ops *g_stack;
static uint32_t g_port_min;

static void reply(struct rpc_req *req, int err)
{
	rpc_reply(req, err < 0 ? -err : 0, NULL, NULL, 0);
}

static void reply_names(struct rpc_req *req, const struct sock *s, int err)
{
	Net__AddrRep rep = NET__ADDR_REP__INIT;
	Net__Addr local, peer;
	uint8_t lbuf[16], pbuf[16];

	naddr_to_wire(&s->local, s, &local, lbuf);
	naddr_to_wire(&s->peer, s, &peer, pbuf);
	rep.local = &local;
	rep.peer = &peer;
	rpc_reply(req, err < 0 ? -err : 0, &rep.base, NULL, 0);
}

static struct guest *guest_of(const struct rpc_req *req)
{
	return rpc_conn_ctx(req->conn);
}

/* The socket, or NULL after answering EBADF. */
static struct sock *sock_of(struct rpc_req *req, uint32_t handle)
{
	struct sock *s = guest_sock(guest_of(req), handle);

	if (!s)
		reply(req, -EBADF);
	return s;
}

static void broken(struct rpc_req *req, const char *why)
{
	guest_break(guest_of(req), why);
	reply(req, -EPROTO);
}

/* A method on a socket: do_NAME() finds the socket or answers, what follows is the rest. */
#define ON_SOCK(name, request, closure)                                                \
	static void on_##name(struct rpc_req *req, struct sock *s, const request *in); \
	static void do_##name(Net__Net_Service *svc, const request *in, closure c,     \
	                      void *data)                                              \
	{                                                                              \
		struct sock *s = sock_of(data, in->handle);                            \
                                                                                       \
		(void)svc;                                                             \
		(void)c;                                                               \
		if (s)                                                                 \
			on_##name(data, s, in);                                        \
	}                                                                              \
	static void on_##name(struct rpc_req *req, struct sock *s, const request *in)

/* The protocol of socket(domain, type, protocol), or negative errno. */
static int protocol_of(const Net__SocketReq *in)
{
	const uint32_t ping = in->domain == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	if (in->domain != AF_INET && in->domain != AF_INET6)
		return -EAFNOSUPPORT;
	if (in->type == SOCK_STREAM)
		return in->protocol == 0 || in->protocol == IPPROTO_TCP
		               ? IPPROTO_TCP
		               : -EPROTONOSUPPORT;
	if (in->type != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (in->protocol == 0 || in->protocol == IPPROTO_UDP)
		return IPPROTO_UDP;
	return in->protocol == ping ? (int)ping : -EPROTONOSUPPORT;
}

static void do_socket(Net__Net_Service *svc, const Net__SocketReq *in,
                      Net__Empty_Closure c, void *data)
{
	struct rpc_req *req = data;
	const int proto = protocol_of(in);
	struct sock *s;
	int r;

	(void)svc;
	(void)c;
	if (proto < 0 || in->rx_limit > LIMIT_MAX || in->rx_offset > in->rx_limit ||
	    in->tx_offset > LIMIT_MAX) {
		reply(req, proto < 0 ? proto : -EINVAL);
		return;
	}
	s = sock_new(g_stack, (int)in->domain, (int)in->type, proto);
	if (!s) {
		reply(req, -ENOMEM);
		return;
	}
	s->rx_limit = s->rx_limit_told = in->rx_limit;
	s->rx_got = s->rx_pushed = in->rx_offset;
	s->tx_got = s->tx_acked = s->tx_limit = in->tx_offset;
	r = guest_name_sock(guest_of(req), s, in->handle);
	if (r == 0)
		r = s->ops->open(s);
	if (r < 0)
		sock_free(s);
	reply(req, r);
}

static int bind_checked(struct sock *s, const Net__Addr *addr)
{
	struct naddr a;

	if (!addr || !wire_to_naddr(addr, s, &a))
		return -EINVAL;
	if (a.len == 0)
		a.len = s->domain == AF_INET ? 4 : 16; /* the wildcard */
	if (s->domain == AF_INET6 && a.len == 4 && s->opt.v6only)
		return -EINVAL;
	if (s->bound)
		return -EINVAL;
	if (a.port && a.port < g_port_min && s->proto != IPPROTO_ICMP &&
	    s->proto != IPPROTO_ICMPV6)
		return -EACCES;
	return s->ops->bind(s, &a);
}

ON_SOCK(bind, Net__BindReq, Net__AddrRep_Closure)
{
	s->again = in->again == 1;
	reply_names(req, s, bind_checked(s, in->addr));
}

static int add_range(struct sock *s, uint32_t first, uint32_t n)
{
	struct id_range *r = s->more_ranges ? s->more_ranges : s->ranges;
	const unsigned in_place = sizeof(s->ranges) / sizeof(s->ranges[0]);

	if (n == 0)
		return 0;
	if (n > RPC_HANDLES_MAX || first + n - 1 < first)
		return -EINVAL;
	if (s->n_ranges > 0 &&
	    r[s->n_ranges - 1].first + r[s->n_ranges - 1].n == first) {
		r[s->n_ranges - 1].n += n;
		return 0;
	}
	if (s->n_ranges == RANGES_MAX)
		return -ENOBUFS;
	if (!s->more_ranges && s->n_ranges == in_place) {
		s->more_ranges = calloc(RANGES_MAX, sizeof(*s->more_ranges));
		if (!s->more_ranges)
			return -ENOMEM;
		memcpy(s->more_ranges, s->ranges, sizeof(s->ranges));
		r = s->more_ranges;
	}
	r[s->n_ranges++] = (struct id_range){first, n};
	return 0;
}

static int listen_checked(struct sock *s, const Net__ListenReq *in)
{
	int r;

	if (s->type != SOCK_STREAM)
		return -EOPNOTSUPP;
	if (s->connected || s->connecting || s->gone)
		return -EINVAL;
	if (in->rx_limit > LIMIT_MAX)
		return -EINVAL;
	r = add_range(s, in->first_id, in->n_ids);
	if (r < 0)
		return r;
	s->backlog = in->backlog > BACKLOG_MAX ? BACKLOG_MAX : in->backlog;
	s->accept_limit = in->rx_limit;
	if (!s->listening) {
		r = s->ops->listen(s);
		if (r < 0)
			return r;
		s->listening = true;
	}
	push_accepts(s);
	return 0;
}

ON_SOCK(listen, Net__ListenReq, Net__AddrRep_Closure)
{
	reply_names(req, s, listen_checked(s, in));
}

static int connect_checked(struct sock *s, const Net__Addr *addr)
{
	struct naddr a;

	if (!wire_to_naddr(addr, s, &a))
		return -EINVAL;
	if (a.len == 0)
		return s->ops->disconnect(s);
	if (s->domain == AF_INET6 && a.len == 4 && s->opt.v6only)
		return -ENETUNREACH;
	if (s->listening)
		return -EISCONN;
	if (s->type == SOCK_STREAM) {
		if (s->connected)
			return -EISCONN;
		if (s->connecting)
			return -EALREADY;
		if (naddr_multicast(&a))
			return -ENETUNREACH;
	}
	if (naddr_any(&a)) { /* as Linux: this host */
		a.ip[0] = a.len == 4 ? 127 : 0;
		a.ip[a.len - 1] = 1;
	}
	return s->ops->connect(s, &a);
}

ON_SOCK(connect, Net__ConnectReq, Net__AddrRep_Closure)
{
	int r = connect_checked(s, in->addr);

	if (r == -EINPROGRESS)
		r = 0;
	reply_names(req, s, r);
}

ON_SOCK(shutdown, Net__ShutdownPost, Net__Empty_Closure)
{
	if (in->how > 2)
		reply(req, -EINVAL);
	else if (s->type == SOCK_STREAM && !s->connected && !s->listening)
		reply(req, -ENOTCONN);
	else
		reply(req, s->ops->shutdown(s, (int)in->how));
	if (s->rx_shut && s->type == SOCK_STREAM)
		sock_ready(s, PEND_DATA); /* opens the window */
}

/* A close() that waited at the netd before us: it waits here, or is done by now. */
static void close_again(struct rpc_req *req, uint32_t handle)
{
	if (!linger_again(guest_of(req), handle, req))
		reply(req, 0);
}

static void on_close(struct rpc_req *req, struct sock *s, const Net__CloseReq *in);

static void do_close(Net__Net_Service *svc, const Net__CloseReq *in, Net__Empty_Closure c,
                     void *data)
{
	struct rpc_req *req = data;
	struct sock *s = guest_sock(guest_of(req), in->handle);

	(void)svc;
	(void)c;
	if (!s && rpc_req_replay(req))
		close_again(req, in->handle);
	else if (!s)
		reply(req, -EBADF);
	else
		on_close(req, s, in);
}

static void on_close(struct rpc_req *req, struct sock *s, const Net__CloseReq *in)
{
	const bool abort = in->abort == 1; /* the message ends with the answer */

	if (in->abort > 1 || in->linger_ms > LINGER_MAX_MS) {
		broken(req, "close: bad argument");
		return;
	}
	if (in->linger_ms > 0 && req->hdr.kind == FRAME_CALL && s->connected &&
	    !in->abort)
		linger_add(s, req, in->linger_ms); /* answered by sock_closed() */
	else
		reply(req, 0);
	sock_close(s, abort);
}

/* A guest may name what can have been its own: never a connection that there is, and no
 * more than a server may have lost. */
static bool may_be_lost(struct guest *g, const struct naddr *local, const struct naddr *peer)
{
	const uint64_t now = clock_ms();

	if (local->len == 0 || local->len != peer->len || peer->port == 0 ||
	    local->port == 0 || local->port < g_port_min || naddr_any(peer) ||
	    naddr_multicast(peer))
		return false;
	if (now - g->lost_ms >= 1000) {
		g->lost_ms = now;
		g->lost_said = 0;
	}
	return g->lost_said++ < LOST_BURST;
}

static void do_lost(Net__Net_Service *svc, const Net__LostPost *in, Net__Empty_Closure c,
                    void *data)
{
	struct naddr local, peer;

	(void)svc;
	(void)c;
	if (!in->local || !in->peer || !wire_to_naddr(in->local, NULL, &local) ||
	    !wire_to_naddr(in->peer, NULL, &peer)) {
		broken(data, "lost: bad address");
		return;
	}
	if (g_stack->lost && may_be_lost(guest_of(data), &local, &peer))
		g_stack->lost(&local, &peer);
	reply(data, 0);
}

ON_SOCK(set_opt, Net__OptReq, Net__Empty_Closure)
{
	reply(req, opts_set(s, (int)in->level, (int)in->name, req->payload,
	                    req->hdr.payload_len));
}

ON_SOCK(get_opt, Net__OptReq, Net__Empty_Closure)
{
	uint8_t val[512];
	uint32_t len = in->len < sizeof(val) ? in->len : (uint32_t)sizeof(val);
	const int r = opts_get(s, (int)in->level, (int)in->name, val, &len);
	const struct iovec io = {val, len};

	rpc_reply(req, r < 0 ? -r : 0, NULL, &io, 1);
}

static void do_info(Net__Net_Service *svc, const Net__Empty *in, Net__InfoRep_Closure c,
                    void *data)
{
	struct rpc_req *req = data;
	Net__InfoRep rep = NET__INFO_REP__INIT;
	int r;

	(void)svc;
	(void)in;
	(void)c;
	r = g_stack->info(&rep);
	rpc_reply(req, r < 0 ? -r : 0, &rep.base, NULL, 0);
}

/* Sent on a connection that an earlier instance had: lost with it, but counted. */
static bool is_lost(const struct rpc_req *req, struct sock *s, uint64_t end)
{
	if (!rpc_conn_resumed(req->conn) || s->connected || s->gone || s->listening)
		return false;
	if (end > s->tx_got && end <= LIMIT_MAX)
		s->tx_got = s->tx_acked = s->tx_limit = end;
	return true;
}

ON_SOCK(data, Net__DataMsg, Net__Empty_Closure)
{
	const uint32_t len = req->hdr.payload_len;

	if (s->type == SOCK_STREAM && is_lost(req, s, in->offset + len))
		reply(req, 0);
	else if (s->type != SOCK_STREAM || s->listening)
		broken(req, "data: not a stream");
	else if (in->offset != s->tx_got)
		broken(req, "data: wrong offset");
	else if (len > s->tx_limit - s->tx_got)
		broken(req, "data: beyond the window");
	else {
		s->tx_got += len;
		/* after shutdown: of a thread that was overtaken, and lost */
		if (!s->gone && !s->tx_shut)
			s->ops->send(s, req->payload, len, in->push == 0);
		reply(req, 0);
	}
}

static int dgram_checked(struct sock *s, const Net__DgramMsg *in, struct dgram *d)
{
	if (!wire_to_naddr(in->peer, s, &d->peer) ||
	    !wire_to_naddr(in->local, s, &d->local))
		return -EINVAL;
	if (d->len > DGRAM_MAX)
		return -EMSGSIZE;
	if (in->ttl > 255 || in->tos > 255)
		return -EINVAL;
	if (d->peer.len == 0 && !s->connected)
		return -EDESTADDRREQ;
	if (s->tx_shut)
		return -EPIPE;
	if (d->peer.len == 4 && s->domain == AF_INET6 && s->opt.v6only)
		return -ENETUNREACH;
	if (d->peer.len && naddr_any(&d->peer)) {
		d->peer.ip[0] = d->peer.len == 4 ? 127 : 0;
		d->peer.ip[d->peer.len - 1] = 1;
	}
	return s->ops->send_dgram(s, d);
}

static void dgram_post(struct rpc_req *req, struct sock *s, const Net__DgramMsg *in)
{
	struct dgram d = {.ttl = in->ttl, .tos = in->tos, .ifindex = in->ifindex};
	union {
		const uint8_t *from;
		void *to;
	} payload = {.from = req->payload}; /* an iovec has no const */
	int r;

	d.len = req->hdr.payload_len;
	d.io[0] = (struct iovec){payload.to, d.len};
	d.n_io = 1;
	r = dgram_checked(s, in, &d);
	if (r < 0 && req->hdr.kind == FRAME_POST)
		sock_error(s, -r, false);
	reply(req, r);
}

ON_SOCK(dgram, Net__DgramMsg, Net__Empty_Closure)
{
	if (s->type != SOCK_DGRAM)
		broken(req, "dgram: not a datagram socket");
	else
		dgram_post(req, s, in);
}

ON_SOCK(window, Net__WindowPost, Net__Empty_Closure)
{
	if (in->rx_limit > LIMIT_MAX) {
		broken(req, "window: too large");
		return;
	}
	/* one that is overtaken by a later one changes nothing */
	if (in->rx_limit > s->rx_limit)
		s->rx_limit = in->rx_limit;
	if (in->rx_limit > s->rx_limit_told)
		s->rx_limit_told = in->rx_limit;
	if (!s->listening) {
		s->ops->rx_window(s);
		sock_ready(s, PEND_DATA);
	}
	reply(req, 0);
}

ON_SOCK(grant, Net__GrantPost, Net__Empty_Closure)
{
	/* not a listener: it was given up meanwhile */
	const int r = s->listening ? add_range(s, in->first_id, in->n_ids) : 0;

	if (r < 0) {
		broken(req, "grant: bad range");
		return;
	}
	push_accepts(s);
	reply(req, 0);
}

/* Space, Accepted, Connected, Eof and Error only travel to the guest. */
static Net__Net_Service g_service = {
        .base = {.descriptor = &net__net__descriptor,
                 .invoke = protobuf_c_service_invoke_internal},
        .socket = do_socket,
        .bind = do_bind,
        .listen = do_listen,
        .connect = do_connect,
        .shutdown = do_shutdown,
        .close = do_close,
        .set_opt = do_set_opt,
        .get_opt = do_get_opt,
        .info = do_info,
        .data = do_data,
        .dgram = do_dgram,
        .window = do_window,
        .grant = do_grant,
        .lost = do_lost,
};

ProtobufCService *serve_service(void)
{
	return &g_service.base;
}

void serve_config(const struct stack_ops *ops, uint32_t port_min)
{
	g_stack = ops;
	g_port_min = port_min;
}
