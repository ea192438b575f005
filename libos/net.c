/* SPDX-License-Identifier: MIT */
/*
 * The table of sockets, their life, and the events of netd.
 *
 * Handles count up and are not used again before 2^32 sockets were made, so an
 * event that was under way when a socket closed finds nothing and is dropped.
 */
#include "libos/net.h"

#include "libos/syscall.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>


static struct pool g_socks = POOL_INIT(struct nsock, NET_SOCKS_MAX);
struct pool g_net_blocks = POOL_INIT(struct block, NET_BLOCKS_MAX);
struct pool g_net_dgrams = POOL_INIT(struct dgram, NET_DGRAMS_MAX);
struct pool g_net_opts = POOL_INIT(struct kept_opt, NET_OPTS_MAX);

static struct lock g_net_lock;
static struct nsock *g_table[NET_ROWS]; /* g_net_lock */
static _Atomic uint32_t g_next_handle = 1;
static bool g_present;

uint32_t net_handles(uint32_t n)
{
	return atomic_fetch_add(&g_next_handle, n);
}

static void table_add(struct nsock *ns)
{
	lock_take(&g_net_lock);
	ns->hash_next = g_table[ns->handle % NET_ROWS];
	g_table[ns->handle % NET_ROWS] = ns;
	lock_drop(&g_net_lock);
}

static struct nsock *table_find_locked(uint32_t handle)
{
	struct nsock *ns;

	for (ns = g_table[handle % NET_ROWS]; ns; ns = ns->hash_next)
		if (ns->handle == handle)
			break;
	return ns;
}

static void table_remove(struct nsock *ns)
{
	struct nsock **p;

	lock_take(&g_net_lock);
	for (p = &g_table[ns->handle % NET_ROWS]; *p; p = &(*p)->hash_next) {
		if (*p == ns) {
			*p = ns->hash_next;
			break;
		}
	}
	lock_drop(&g_net_lock);
}

bool net_with(uint32_t handle, void (*fn)(struct nsock *, void *), void *arg)
{
	struct nsock *ns;

	lock_take(&g_net_lock);
	ns = table_find_locked(handle);
	if (ns)
		fn(ns, arg);
	lock_drop(&g_net_lock);
	return ns != NULL;
}

bool net_next(unsigned row, uint32_t *handle)
{
	const struct nsock *best = NULL;

	lock_take(&g_net_lock);
	for (const struct nsock *ns = g_table[row]; ns; ns = ns->hash_next)
		if (ns->handle > *handle && (!best || ns->handle < best->handle))
			best = ns;
	if (best)
		*handle = best->handle;
	lock_drop(&g_net_lock);
	return best != NULL;
}

/* ---- life ---- */

static struct nsock *nsock_new(int domain, int type, int protocol, uint32_t handle)
{
	struct nsock *ns = pool_get(&g_socks);

	if (!ns)
		return NULL;
	sock_init(&ns->s, &g_net_ofd_ops,
	          type == SOCK_STREAM ? &g_net_stream_ops : &g_net_dgram_ops, domain,
	          type, protocol);
	ns->handle = handle;
	ns->rx_wnd = type == SOCK_STREAM ? NET_WND_FIRST : 8 * NET_WND_MIN;
	ns->rx_limit = ns->rx_wnd;
	ns->dq_limit = ns->rx_wnd;
	return ns;
}

void blocks_free(struct block *b)
{
	while (b) {
		struct block *next = atomic_load(&b->next);

		pool_put(&g_net_blocks, b);
		b = next;
	}
}

void dgram_free(struct dgram *d)
{
	blocks_free(d->first);
	pool_put(&g_net_dgrams, d);
}

int nsock_take_err(struct nsock *ns)
{
	return -(int)atomic_exchange(&ns->err, 0);
}

void nsock_fail(struct nsock *ns, int err, bool fatal)
{
	uint32_t none = 0;

	atomic_compare_exchange_strong(&ns->err, &none, (uint32_t)err);
	if (fatal) {
		atomic_fetch_or(&ns->flags, NSF_FATAL);
		atomic_store(&ns->state, NS_CLOSED);
	}
	waitq_wake(&ns->s.ofd.wait, EPOLLERR | EPOLLIN | EPOLLOUT |
	                                    (fatal ? EPOLLHUP | EPOLLRDHUP : 0u));
}

static int type_check(int type, int protocol)
{
	if (type > SOCK_PACKET || protocol < 0 || protocol >= IPPROTO_MAX)
		return -EINVAL;
	if (type == SOCK_RAW)
		return -EPERM;
	return type == SOCK_STREAM || type == SOCK_DGRAM ? 0 : -ESOCKTNOSUPPORT;
}

/* Told to netd; true: again, of its next instance. */
static bool make_once(struct nsock *ns, int *err)
{
	struct rpc_call call;
	Net__SocketReq req = NET__SOCKET_REQ__INIT;
	bool again;

	req.handle = ns->handle;
	req.domain = (uint32_t)ns->s.domain;
	req.type = (uint32_t)ns->s.type;
	req.protocol = (uint32_t)ns->s.protocol;
	req.rx_limit = ns->rx_limit;
	rpc_call_init(&call);
	net__net__socket(rpc_service(&g_net_chan), &req,
	                 (Net__Empty_Closure)rpc_reply_taken, &call);
	*err = call.err;
	lock_take(&ns->lock);
	again = net_again_locked(ns, &call);
	if (!again && !call.err)
		ns->at = AT_NEW;
	lock_drop(&ns->lock);
	return again;
}

long net_socket_create(int domain, int type, int protocol, struct sock **out)
{
	struct nsock *ns;
	int r;

	if (!g_present)
		return -EAFNOSUPPORT;
	net_close_strays();
	r = type_check(type, protocol);
	if (r < 0)
		return r;
	if (protocol == 0)
		protocol = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
	ns = nsock_new(domain, type, protocol, net_handles(1));
	if (!ns)
		return -ENFILE;
	table_add(ns); /* before netd knows it: no event can come first */
	while (make_once(ns, &r))
		continue;
	if (r) {
		table_remove(ns);
		pool_put(&g_socks, ns);
		return r == -EIO ? -ENETDOWN : r;
	}
	*out = &ns->s;
	return 0;
}

static bool has_unread(struct nsock *ns)
{
	return ns->s.type == SOCK_STREAM && !(atomic_load(&ns->flags) & NSF_SHUT_RD) &&
	       atomic_load(&ns->rx_recv) != atomic_load(&ns->rx_read);
}

/* Say goodbye to netd; SO_LINGER with a time waits for the data to be acknowledged. */
static void post_close(struct nsock *ns, bool abort)
{
	Net__CloseReq req = NET__CLOSE_REQ__INIT;
	bool known;

	lock_take(&ns->lock);
	known = ns->at != AT_NONE;
	lock_drop(&ns->lock);
	if (!known)
		return; /* netd has lost it */
	req.handle = ns->handle;
	req.abort = abort || has_unread(ns) || (ns->linger_on && ns->linger_s == 0);
	if (ns->linger_on && ns->linger_s > 0 && !req.abort &&
	    ns->s.type == SOCK_STREAM) {
		struct rpc_call call;

		req.linger_ms = (uint32_t)ns->linger_s * 1000u;
		rpc_call_init(&call);
		net__net__close(rpc_service(&g_net_chan), &req,
		                (Net__Empty_Closure)rpc_reply_taken, &call);
		return; /* timed out or done: close() reports neither */
	}
	(void)rpc_post(&g_net_chan, 5, &req.base, NULL, NULL,
	               0); /* netd gone: nothing to close */
}

/* @abort: with RST, as what no accept() took. */
static void nsock_destroy(struct nsock *ns, bool abort)
{
	struct dgram *d, *dnext;

	table_remove(ns); /* from here no event finds it */
	post_close(ns, abort);
	net_close_strays();
	net_drop_queue(ns);
	for (d = ns->dq_head; d; d = dnext) {
		dnext = d->next;
		dgram_free(d);
	}
	if (ns->s.type == SOCK_STREAM)
		stream_release(ns);
	blocks_free(ns->head);
	net_opts_drop(ns);
	pool_put(&g_socks, ns);
}

struct nsock *net_queue_take_locked(struct nsock *l)
{
	struct nsock *first = l->aq_head;

	l->aq_head = l->aq_tail = NULL;
	l->aq_len = l->ids_used = 0;
	return first;
}

void net_queue_destroy(struct nsock *child)
{
	struct nsock *next;

	for (; child; child = next) {
		next = child->aq_next;
		nsock_destroy(child, true);
	}
}

void net_drop_queue(struct nsock *l)
{
	struct nsock *first;

	lock_take(&l->lock);
	first = net_queue_take_locked(l);
	lock_drop(&l->lock);
	net_queue_destroy(first);
}

static void net_release(struct ofd *o)
{
	nsock_destroy((struct nsock *)(void *)o, false);
}

static uint32_t net_poll(struct ofd *o)
{
	struct nsock *ns = (struct nsock *)(void *)o;

	return ns->s.type == SOCK_STREAM ? stream_poll(ns) : dgram_poll(ns);
}

const struct ofd_ops g_net_ofd_ops = {
        .kind = OFD_SOCKET,
        .read = sock_ofd_read,
        .write = sock_ofd_write,
        .poll = net_poll,
        .ioctl = net_ioctl,
        .stat = sock_ofd_stat,
        .release = net_release,
        .pollable = true,
        .rings = true,
};

/* ---- events: on the leading thread, under g_net_lock ---- */

static void on_space(struct nsock *ns, const Net__SpaceEvt *m)
{
	if (m->tx_limit > atomic_load(&ns->tx_limit))
		atomic_store(&ns->tx_limit, m->tx_limit);
	if (m->acked > atomic_load(&ns->tx_acked))
		atomic_store(&ns->tx_acked, m->acked);
	waitq_wake(&ns->s.ofd.wait, EPOLLOUT);
}

void net_connect_failed(struct nsock *ns, int err)
{
	nsock_fail(ns, err, false);
	atomic_fetch_or(&ns->flags, NSF_FAILED);
	lock_take(&ns->lock);
	ns->at = AT_NEW;
	atomic_store(&ns->state, NS_NEW);
	lock_drop(&ns->lock);
	waitq_wake(&ns->s.ofd.wait, EPOLLHUP | EPOLLERR | EPOLLOUT | EPOLLIN);
}

static void on_connected(struct nsock *ns, const Net__ConnectedEvt *m)
{
	const int err = frame_errno(m->err);

	if (atomic_load(&ns->state) != NS_CONNECTING)
		return;
	if (err) {
		net_connect_failed(ns, err);
		return;
	}
	lock_take(&ns->lock);
	ns->at = AT_CONNECTED;
	if (m->local)
		net_addr_unwire(m->local, &ns->local);
	if (m->peer)
		net_addr_unwire(m->peer, &ns->peer);
	atomic_store(&ns->tx_limit, m->tx_limit);
	atomic_store(&ns->state, NS_CONNECTED);
	lock_drop(&ns->lock);
	waitq_wake(&ns->s.ofd.wait, EPOLLOUT);
}

static void on_eof(struct nsock *ns)
{
	atomic_fetch_or(&ns->flags, NSF_EOF);
	waitq_wake(&ns->s.ofd.wait,
	           EPOLLIN | EPOLLRDHUP |
	                   (atomic_load(&ns->flags) & NSF_SHUT_WR ? (uint32_t)EPOLLHUP
	                                                          : 0u));
}

/* Connections that netd gave and nobody can take (the listener closed meanwhile, no
 * memory): to be closed by the next call that may wait for ring room. */
static uint32_t g_strays[1024]; /* g_net_lock */
static uint32_t g_n_strays;

static void stray_locked(uint32_t handle)
{
	if (g_n_strays < sizeof(g_strays) / sizeof(g_strays[0]))
		g_strays[g_n_strays++] = handle;
	else
		rpc_log("netd", "more connections than this guest can take");
}

void net_strays_forget(void)
{
	lock_take(&g_net_lock);
	g_n_strays = 0;
	lock_drop(&g_net_lock);
}

void net_close_strays(void)
{
	for (;;) {
		Net__CloseReq req = NET__CLOSE_REQ__INIT;

		lock_take(&g_net_lock);
		if (g_n_strays)
			req.handle = g_strays[--g_n_strays];
		lock_drop(&g_net_lock);
		if (!req.handle)
			return;
		req.abort = 1;
		(void)rpc_post(&g_net_chan, 5, &req.base, NULL, NULL,
		               0); /* gone: nothing to close */
	}
}

/* netd named a connection with one of the ids that the listener granted. */
static void on_accepted(struct nsock *l, const Net__AcceptedEvt *m)
{
	struct nsock *ns;

	if (table_find_locked(m->handle))
		return; /* a handle that is taken: netd's fault, and its own loss */
	ns = l && atomic_load(&l->state) == NS_LISTEN
	             ? nsock_new(l->s.domain, SOCK_STREAM, l->s.protocol, m->handle)
	             : NULL;
	if (!ns) {
		stray_locked(m->handle);
		return;
	}
	net_addr_unwire(m->peer, &ns->peer);
	net_addr_unwire(m->local, &ns->local);
	ns->tx_limit = m->tx_limit;
	ns->state = NS_CONNECTED;
	ns->flags = NSF_BOUND;
	ns->at = AT_CONNECTED;
	ns->hash_next = g_table[ns->handle % NET_ROWS];
	g_table[ns->handle % NET_ROWS] = ns;
	lock_take(&l->lock);
	if (l->aq_tail)
		l->aq_tail->aq_next = ns;
	else
		l->aq_head = ns;
	l->aq_tail = ns;
	l->aq_len++;
	lock_drop(&l->lock);
	waitq_wake(&l->s.ofd.wait, EPOLLIN);
}

/* The socket an event names, by its decoded message: every event's handle. */
static struct nsock *event_sock(unsigned index, const ProtobufCMessage *msg)
{
	uint32_t handle;

	switch (index) {
	case 9:
		handle = ((const Net__DataMsg *)msg)->handle;
		break;
	case 10:
		handle = ((const Net__DgramMsg *)msg)->handle;
		break;
	case 13:
		handle = ((const Net__SpaceEvt *)msg)->handle;
		break;
	case 14:
		handle = ((const Net__AcceptedEvt *)msg)->listener;
		break;
	case 15:
		handle = ((const Net__ConnectedEvt *)msg)->handle;
		break;
	case 16:
		handle = ((const Net__EofEvt *)msg)->handle;
		break;
	case 17:
		handle = ((const Net__ErrorEvt *)msg)->handle;
		break;
	default:
		return NULL;
	}
	return table_find_locked(handle);
}

static void event_locked(struct nsock *ns, const ProtobufCMessage *msg,
                         struct rpc_event *ev)
{
	switch (ev->index) {
	case 9:
		stream_event_data(ns, (const Net__DataMsg *)msg, ev);
		break;
	case 10:
		dgram_event(ns, (const Net__DgramMsg *)msg, ev);
		break;
	case 13:
		on_space(ns, (const Net__SpaceEvt *)msg);
		break;
	case 14:
		on_accepted(ns, (const Net__AcceptedEvt *)msg);
		break;
	case 15:
		on_connected(ns, (const Net__ConnectedEvt *)msg);
		break;
	case 16:
		on_eof(ns);
		break;
	case 17: {
		const Net__ErrorEvt *m = (const Net__ErrorEvt *)msg;
		const uint32_t ends = atomic_load(&ns->flags) & (NSF_EOF | NSF_SHUT_WR);
		int err = m->err ? frame_errno(m->err) : ECONNRESET;

		if (err == ECONNRESET && ends == NSF_EOF)
			err = EPIPE; /* in CLOSE_WAIT Linux names it so */
		nsock_fail(ns, err, m->fatal != 0);
		break;
	}
	default:
		break;
	}
}

static void on_event(struct rpc_event *ev)
{
	_Alignas(16) uint8_t mem[1024];
	const ProtobufCServiceDescriptor *d = &net__net__descriptor;
	const ProtobufCMessage *msg;
	struct arena a;
	struct nsock *ns;

	if (ev->index >= d->n_methods)
		return;
	arena_init(&a, mem, sizeof(mem));
	/* an event's message is the method's input type */
	msg = protobuf_c_message_unpack(d->methods[ev->index].input, &a.pb, ev->msg_len,
	                                ev->msg);
	if (!msg) {
		rpc_log("netd", "an event does not decode: dropped");
		return;
	}
	lock_take(&g_net_lock);
	ns = event_sock(ev->index, msg);
	if (ns)
		event_locked(ns, msg, ev);
	else if (ev->index == 14)
		on_accepted(NULL, (const Net__AcceptedEvt *)msg);
	lock_drop(&g_net_lock);
}

/* netd is gone: every socket learns it as it would learn of a dead router. */
static void on_lost(void)
{
	lock_take(&g_net_lock);
	for (unsigned i = 0; i < NET_ROWS; i++) {
		for (struct nsock *ns = g_table[i]; ns; ns = ns->hash_next) {
			const uint32_t st = atomic_load(&ns->state);

			atomic_fetch_or(&ns->flags, NSF_LOST);
			nsock_fail(ns, st == NS_CONNECTED ? ECONNRESET : ENETDOWN,
			           ns->s.type == SOCK_STREAM && st != NS_LISTEN);
		}
	}
	lock_drop(&g_net_lock);
}

static const struct rpc_chan_ops g_ops = {.service_id = RPC_SERVICE_NET,
                                          .service = &net__net__descriptor,
                                          .on_event = on_event,
                                          .on_lost = on_lost,
                                          .on_restore = net_on_restore};

void net_init(void)
{
	if (!g_config.net.ctl)
		return;
	g_present = rpc_attach(&g_net_chan, &g_config.net, &g_ops) == 0;
}

/* ---- what netd has, for netlink and SIOCGIF* ---- */

static void take_iface(const Net__Iface *w, struct net_if *f)
{
	f->index = w->index;
	f->flags = w->flags;
	f->mtu = w->mtu;
	f->prefix4 = w->prefix4;
	memcpy(f->name, w->name.data, w->name.len < 15 ? w->name.len : 15);
	f->has_mac = w->mac.len == 6;
	if (f->has_mac)
		memcpy(f->mac, w->mac.data, 6);
	f->has_ip4 = w->ip4.len == 4;
	if (f->has_ip4)
		memcpy(f->ip4, w->ip4.data, 4);
	for (size_t i = 0; i < w->n_ip6 && f->n_ip6 < NET_IF_ADDR6_MAX; i++) {
		if (w->ip6[i].len != 16)
			continue;
		memcpy(f->ip6[f->n_ip6], w->ip6[i].data, 16);
		f->prefix6[f->n_ip6++] = i < w->n_prefix6 ? w->prefix6[i] : 128;
	}
}

long net_info(struct net_info *info)
{
	struct rpc_call call;
	Net__Empty req = NET__EMPTY__INIT;
	const Net__InfoRep *rep;

	memset(info, 0, sizeof(*info));
	if (!g_present)
		return -ENODEV;
	rpc_call_init(&call);
	net__net__info(rpc_service(&g_net_chan), &req,
	               (Net__InfoRep_Closure)rpc_reply_taken, &call);
	if (call.err)
		return call.err;
	rep = (const Net__InfoRep *)call.reply;
	for (size_t i = 0; i < rep->n_ifaces && info->n_ifs < NET_IF_MAX; i++)
		take_iface(rep->ifaces[i], &info->ifs[info->n_ifs++]);
	info->has_gateway4 = rep->gateway4.len == 4;
	if (info->has_gateway4)
		memcpy(info->gateway4, rep->gateway4.data, 4);
	info->has_gateway6 = rep->gateway6.len == 16;
	if (info->has_gateway6)
		memcpy(info->gateway6, rep->gateway6.data, 16);
	for (uint32_t i = 0; i < info->n_ifs; i++)
		if (!(info->ifs[i].flags & 8u)) /* not IFF_LOOPBACK */
			info->gateway_if = info->ifs[i].index;
	return 0;
}
