/* SPDX-License-Identifier: MIT */
/*
 * What happens to sockets when netd has a next instance.
 *
 * If the one before handed its connections over, only windows are said again.  If it
 * died, everything it had is gone, and each socket becomes what it would be on a host
 * whose network was cut for good a moment ago and is back:
 *
 *   connection           as after a RST; what came before can still be read
 *   connecting           the attempt begins anew, as if its segments had been lost
 *   listener             listens again; connections nobody accepted yet are gone
 *   datagrams            same port, same peer; what came can be read
 *   new, bound           the same
 *
 * nsock.at is what netd has under a handle.  It changes only when netd's answer (or
 * event) is known, so a call in flight is not in it: rpc sends that one again, when
 * all is restored.  An answer of the old instance that its caller has not looked at
 * yet is told by its epoch: what it did is lost if this pass has seen the socket since
 * (net_again_locked()).  So no call is done twice and none is forgotten.
 *
 * Runs on the recovery thread beside threads that close, poll and read; others wait
 * in calls, some with locks.  Here g_net_lock and a socket's own are held for a copy
 * only, and sockets are named by handle: a closed one is not found.
 *
 * All sockets are made and bound before any listens: a port may be shared by some
 * that do and some that do not.
 */
#include "libos/net.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* What a socket is made again from, copied: nothing is held across a call. */
struct recipe {
	uint32_t handle, epoch; /* epoch: of the instance that is told */
	int domain, type, protocol;
	enum net_at at;
	uint32_t flags, backlog;
	struct net_addr bind, peer; /* no len: none */
	struct net_addr local;
	bool lost;                  /* a connection, of which its peer knows */
	uint64_t rx_offset, rx_limit, tx_offset;
	struct nsock *dropped; /* connections that waited in a listener */
};

/* A send that was under way is not known to the new instance: the channel is gone
 * again, or this socket alone cannot be. */
static bool is_cut(int err)
{
	return err == -EIO && rpc_ping(&g_net_chan) < 0;
}

/* ---- copying ---- */

/* The address to bind to: as asked for, or as it was chosen for one whose port others
 * know.  A port that was chosen for a connection is not needed again. */
static struct net_addr bind_addr_locked(const struct nsock *ns)
{
	struct net_addr a = ns->asked;

	if (ns->at == AT_NONE && !(atomic_load(&ns->flags) & NSF_NUMBERED))
		a.len = 0;
	else if (a.len == 0 && (atomic_load(&ns->flags) & NSF_BOUND) &&
	    (ns->s.type != SOCK_STREAM || ns->at == AT_LISTEN)) {
		a = (struct net_addr){.len = ns->s.domain == AF_INET ? 4 : 16};
		a.port = ns->local.port;
	}
	if (a.port == 0)
		a.len = 0;
	return a;
}

static void copy_locked(const struct nsock *ns, struct recipe *c)
{
	c->handle = ns->handle;
	c->domain = ns->s.domain;
	c->type = ns->s.type;
	c->protocol = ns->s.protocol;
	c->at = ns->at;
	c->flags = atomic_load(&ns->flags);
	c->backlog = ns->backlog;
	c->bind = bind_addr_locked(ns);
	c->peer = ns->peer;
	c->local = ns->local;
	if (ns->s.type == SOCK_STREAM) {
		c->rx_offset = atomic_load(&ns->rx_recv);
		c->rx_limit = atomic_load(&ns->rx_limit);
		c->tx_offset = atomic_load(&ns->tx_off);
		return;
	}
	c->rx_offset = ns->dq_consumed;
	for (const struct dgram *d = ns->dq_head; d; d = d->next)
		c->rx_offset += d->charge;
	c->rx_limit = ns->dq_limit;
}

/* ---- the calls ---- */

static int call_socket(struct recipe *c)
{
	struct rpc_call call;
	Net__SocketReq req = NET__SOCKET_REQ__INIT;

	req.handle = c->handle;
	req.domain = (uint32_t)c->domain;
	req.type = (uint32_t)c->type;
	req.protocol = (uint32_t)c->protocol;
	req.rx_limit = c->rx_limit;
	req.rx_offset = c->rx_offset;
	req.tx_offset = c->tx_offset;
	rpc_call_init(&call);
	net__net__socket(rpc_service(&g_net_chan), &req,
	                 (Net__Empty_Closure)rpc_reply_taken, &call);
	c->epoch = call.epoch;
	return call.err;
}

static int call_bind(struct recipe *c)
{
	struct rpc_call call;
	Net__BindReq req = NET__BIND_REQ__INIT;
	Net__Addr w;

	net_addr_wire(&c->bind, &w);
	req.handle = c->handle;
	req.addr = &w;
	req.again = 1;
	rpc_call_init(&call);
	net__net__bind(rpc_service(&g_net_chan), &req, (Net__AddrRep_Closure)rpc_reply_taken,
	               &call);
	return call.err;
}

static int call_listen(const struct recipe *c)
{
	struct rpc_call call;
	Net__ListenReq req = NET__LISTEN_REQ__INIT;

	req.handle = c->handle;
	req.backlog = c->backlog;
	req.n_ids = net_ids_for(c->backlog);
	req.first_id = net_handles(req.n_ids);
	req.rx_limit = NET_WND_FIRST;
	rpc_call_init(&call);
	net__net__listen(rpc_service(&g_net_chan), &req,
	                 (Net__AddrRep_Closure)rpc_reply_taken, &call);
	return call.err;
}

static void take_local(struct nsock *ns, void *arg)
{
	lock_take(&ns->lock);
	ns->local = *(const struct net_addr *)arg;
	lock_drop(&ns->lock);
}

static int call_connect(struct recipe *c)
{
	struct rpc_call call;
	Net__ConnectReq req = NET__CONNECT_REQ__INIT;
	const Net__AddrRep *rep;
	struct net_addr local;
	Net__Addr w;

	net_addr_wire(&c->peer, &w);
	req.handle = c->handle;
	req.addr = &w;
	rpc_call_init(&call);
	net__net__connect(rpc_service(&g_net_chan), &req,
	                  (Net__AddrRep_Closure)rpc_reply_taken, &call);
	rep = (const Net__AddrRep *)call.reply;
	if (call.err == 0 && net_addr_unwire(rep->local, &local))
		(void)net_with(c->handle, take_local, &local); /* closed: no matter */
	return call.err;
}

static void post_shutdown(const struct recipe *c)
{
	Net__ShutdownPost m = NET__SHUTDOWN_POST__INIT;
	const uint32_t how = c->flags & (NSF_SHUT_RD | NSF_SHUT_WR);

	if (!how)
		return;
	m.handle = c->handle;
	m.how = how == NSF_SHUT_RD ? SHUT_RD : how == NSF_SHUT_WR ? SHUT_WR : SHUT_RDWR;
	(void)rpc_post(&g_net_chan, 4, &m.base, NULL, NULL, 0); /* cut again: all anew */
}

/* Socket, options, name.  An option that is refused now was taken before: it is of a
 * network that has changed, and no reason to lose the socket. */
static int make(struct recipe *c)
{
	struct kept_opt o;
	int r = call_socket(c);

	if (r == -EEXIST)
		r = 0; /* another thread was faster: net_ensure() */
	for (unsigned i = 0; r == 0 && net_opt_at(c->handle, i, &o); i++) {
		struct rpc_call call;

		net_opt_call(c->handle, &o, o.val, o.len, &call);
		if (call.err == -EIO)
			r = -EIO;
	}
	if (r == 0 && c->bind.len)
		r = call_bind(c);
	return r;
}

/* ---- one that netd lost, used again ---- */

/* One try; true: again, netd was lost meanwhile. */
static bool ensure_once(struct nsock *ns, int *err)
{
	struct recipe c;
	bool lost, again;

	lock_take(&ns->lock);
	lost = ns->at == AT_NONE;
	if (lost)
		copy_locked(ns, &c);
	lock_drop(&ns->lock);
	*err = lost ? make(&c) : 0;
	if ((*err == -EADDRINUSE || *err == -EINVAL) && c.bind.len)
		*err = 0; /* it is made; another has its name, or gave it the name */
	if (!lost || *err < 0)
		return false;
	lock_take(&ns->lock);
	again = c.epoch < ns->epoch;
	if (!again && ns->at == AT_NONE)
		ns->at = AT_NEW;
	lock_drop(&ns->lock);
	return again;
}

int net_ensure(struct nsock *ns)
{
	int err;

	while (ensure_once(ns, &err))
		continue;
	return err;
}

/* ---- an instance died ---- */

/* As after a RST.  True: not so if both ends were closed, then nothing is left to reset. */
static bool bury(struct nsock *ns)
{
	const uint32_t ends = atomic_load(&ns->flags) & (NSF_EOF | NSF_SHUT_WR);
	const bool lost = ends != (NSF_EOF | NSF_SHUT_WR) &&
	                  atomic_load(&ns->state) == NS_CONNECTED;

	lock_take(&ns->lock);
	ns->at = AT_NONE;
	lock_drop(&ns->lock);
	if (lost)
		nsock_fail(ns, ends == NSF_EOF ? EPIPE : ECONNRESET, true);
	return lost;
}

/* A peer that only reads would wait for ever: netd sees that it hears of the end.  Cut
 * again: the next instance is not told, and this peer hears when it sends. */
static void post_lost(struct net_addr *local, struct net_addr *peer)
{
	Net__LostPost m = NET__LOST_POST__INIT;
	Net__Addr l, p;

	net_addr_wire(local, &l);
	net_addr_wire(peer, &p);
	m.local = &l;
	m.peer = &p;
	(void)rpc_post(&g_net_chan, 18, &m.base, NULL, NULL, 0);
}

/* Of a connection that somebody is giving up just now, the socket is wanted. */
static bool is_buried(const struct nsock *ns)
{
	return ns->s.type == SOCK_STREAM && ns->at == AT_CONNECTED &&
	       atomic_load(&ns->state) != NS_NEW;
}

static void look(struct nsock *ns, void *arg)
{
	struct recipe *c = arg;
	bool buried;

	lock_take(&ns->lock);
	ns->epoch = c->epoch;
	copy_locked(ns, c);
	buried = is_buried(ns);
	if (ns->at == AT_LISTEN)
		c->dropped = net_queue_take_locked(ns);
	for (struct nsock *child = c->dropped; child; child = child->aq_next) {
		lock_take(&child->lock);
		child->at = AT_NONE;
		lock_drop(&child->lock);
	}
	lock_drop(&ns->lock);
	if (!buried)
		return;
	c->at = AT_NONE;
	c->lost = bury(ns);
}

static void fail(struct nsock *ns, void *arg)
{
	const int err = *(const int *)arg;

	lock_take(&ns->lock);
	ns->at = AT_NONE;
	lock_drop(&ns->lock);
	atomic_fetch_or(&ns->flags, NSF_LOST);
	nsock_fail(ns, err, ns->s.type == SOCK_STREAM && atomic_load(&ns->state) != NS_LISTEN);
}

/* This one cannot be had again: its program is told, others go on. */
static void give_up_on(const struct recipe *c, int err)
{
	Net__CloseReq req = NET__CLOSE_REQ__INIT;

	rpc_log("netd", err == -EADDRINUSE
	                        ? "a socket's port is taken: it cannot be made again"
	                        : "a socket cannot be made again");
	req.handle = c->handle;
	req.abort = 1;
	(void)rpc_post(&g_net_chan, 5, &req.base, NULL, NULL, 0); /* cut again: all anew */
	err = ENETDOWN;
	(void)net_with(c->handle, fail, &err); /* closed: no matter */
}

static int make_one(uint32_t handle, uint32_t epoch)
{
	struct recipe c = {.epoch = epoch};
	int r;

	if (!net_with(handle, look, &c))
		return 0;
	for (struct nsock *child = c.dropped; child; child = child->aq_next)
		post_lost(&child->local, &child->peer);
	net_queue_destroy(c.dropped);
	if (c.lost)
		post_lost(&c.local, &c.peer);
	if (c.at == AT_NONE)
		return 0;
	r = make(&c);
	if (r < 0 && is_cut(r))
		return r;
	if (r < 0)
		give_up_on(&c, r);
	return 0;
}

static void copy(struct nsock *ns, void *arg)
{
	lock_take(&ns->lock);
	copy_locked(ns, arg);
	lock_drop(&ns->lock);
}

static void connect_failed(struct nsock *ns, void *arg)
{
	if (atomic_load(&ns->state) == NS_CONNECTING)
		net_connect_failed(ns, -*(const int *)arg);
}

static int start_one(uint32_t handle, uint32_t epoch)
{
	struct recipe c;
	int r = 0;

	(void)epoch;
	if (!net_with(handle, copy, &c))
		return 0;
	if (c.at == AT_LISTEN)
		r = call_listen(&c);
	else if (c.at == AT_CONNECTING || (c.at == AT_CONNECTED && c.type != SOCK_STREAM))
		r = call_connect(&c);
	if (r < 0 && is_cut(r))
		return r;
	if (r < 0 && c.at == AT_CONNECTING)
		(void)net_with(handle, connect_failed, &r); /* closed: no matter */
	else if (r < 0)
		give_up_on(&c, r);
	else if (c.type != SOCK_STREAM && c.at != AT_NONE)
		post_shutdown(&c);
	return 0;
}

/* ---- an instance handed over ---- */

/* What it was told last may not have reached it. */
static int resync_one(uint32_t handle, uint32_t epoch)
{
	Net__WindowPost m = NET__WINDOW_POST__INIT;
	struct recipe c;

	(void)epoch;
	if (!net_with(handle, copy, &c) || c.at == AT_NONE || c.at == AT_LISTEN)
		return 0;
	m.handle = handle;
	m.rx_limit = c.rx_limit;
	return rpc_post(&g_net_chan, 11, &m.base, NULL, NULL, 0);
}

static int each(int (*fn)(uint32_t handle, uint32_t epoch), uint32_t epoch)
{
	int r = 0;

	for (unsigned row = 0; r == 0 && row < NET_ROWS; row++) {
		uint32_t handle = 0;

		while (r == 0 && net_next(row, &handle))
			r = fn(handle, epoch);
	}
	return r;
}

int net_on_restore(const struct rpc_restore *what)
{
	int r;

	if (what->moved)
		return each(resync_one, what->epoch);
	net_strays_forget();
	r = each(make_one, what->epoch);
	return r < 0 ? r : each(start_one, what->epoch);
}
