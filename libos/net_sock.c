/* SPDX-License-Identifier: MIT */
/* What stream and datagram sockets share: names, connect, listen, shutdown. */
#include "libos/net.h"

#include "libos/pump.h"
#include "libos/syscall.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#define SIOCATMARK_ 0x8905u

/* A channel that is gone looks like a network that is down. */
static long net_err(int err)
{
	return err == -EIO ? -ENETDOWN : err;
}

static void keep_names_locked(struct nsock *ns, const Net__AddrRep *rep)
{
	if (rep->local)
		net_addr_unwire(rep->local, &ns->local);
	if (rep->peer)
		net_addr_unwire(rep->peer, &ns->peer);
}

/* One try; true: netd lost what it did or what the call was for: again. */
static bool bind_once(struct nsock *ns, struct net_addr *a, int *err)
{
	struct rpc_call call;
	Net__BindReq req = NET__BIND_REQ__INIT;
	Net__Addr w;
	bool again;

	*err = net_ensure(ns);
	if (*err < 0)
		return false;
	net_addr_wire(a, &w);
	req.handle = ns->handle;
	req.addr = &w;
	rpc_call_init(&call);
	net__net__bind(rpc_service(&g_net_chan), &req,
	               (Net__AddrRep_Closure)rpc_reply_taken, &call);
	*err = call.err;
	lock_take(&ns->lock);
	again = net_again_locked(ns, &call);
	if (!again && !call.err) {
		keep_names_locked(ns, (const Net__AddrRep *)call.reply);
		ns->asked = *a;
		ns->asked.port = ns->local.port;
	}
	lock_drop(&ns->lock);
	return again;
}

long net_bind_addr(struct nsock *ns, struct net_addr *a)
{
	int err;

	while (bind_once(ns, a, &err))
		continue;
	if (err == 0)
		atomic_fetch_or(&ns->flags, NSF_BOUND);
	return net_err(err);
}

/* A link-local address names no interface. */
static bool lacks_scope(const struct net_addr *a)
{
	return a->len == 16 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80 &&
	       !a->scope;
}

static bool is_wildcard(const struct net_addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->ip, zero, a->len) == 0;
}

long net_bind(struct sock *s, const struct sock_name *name)
{
	struct nsock *ns = nsock_of(s);
	struct net_addr a;
	const int r = net_addr_in(ns, name, &a);

	if (r < 0)
		return r;
	if (name->family == AF_UNSPEC && !is_wildcard(&a))
		return -EAFNOSUPPORT;
	if (lacks_scope(&a))
		return -EINVAL;
	if (atomic_load(&ns->flags) & NSF_BOUND)
		return -EINVAL;
	const long err = net_bind_addr(ns, &a);

	if (err == 0 && a.port)
		atomic_fetch_or(&ns->flags, NSF_NUMBERED);
	return err;
}

/* @n_ids: for what may wait in the guest; each accept gives one back. */
static bool listen_once(struct nsock *ns, uint32_t backlog, uint32_t n_ids, int *err)
{
	Net__ListenReq req = NET__LISTEN_REQ__INIT;
	struct rpc_call call;
	bool again;

	*err = net_ensure(ns);
	if (*err < 0)
		return false;
	req.handle = ns->handle;
	req.backlog = backlog;
	req.n_ids = n_ids;
	if (n_ids)
		req.first_id = net_handles(n_ids);
	req.rx_limit = NET_WND_FIRST;
	rpc_call_init(&call);
	net__net__listen(rpc_service(&g_net_chan), &req,
	                 (Net__AddrRep_Closure)rpc_reply_taken, &call);
	*err = call.err;
	lock_take(&ns->lock);
	again = net_again_locked(ns, &call);
	if (!again && !call.err) {
		keep_names_locked(ns, (const Net__AddrRep *)call.reply);
		if (atomic_load(&ns->state) == NS_LISTEN)
			ns->at = AT_LISTEN;
	}
	lock_drop(&ns->lock);
	return again;
}

long net_listen(struct sock *s, int backlog)
{
	struct nsock *ns = nsock_of(s);
	const uint32_t state = atomic_load(&ns->state);
	int err;

	if (s->type != SOCK_STREAM)
		return -EOPNOTSUPP;
	if (state != NS_NEW && state != NS_LISTEN)
		return -EINVAL;
	if (backlog < 1 || backlog > SOCK_BACKLOG_MAX)
		backlog = backlog < 1 ? 1 : SOCK_BACKLOG_MAX;
	lock_take(&ns->lock);
	ns->backlog = (uint32_t)backlog;
	lock_drop(&ns->lock);
	atomic_store(&ns->state, NS_LISTEN); /* before an Accepted can come */
	/* a second listen() only changes the backlog */
	while (listen_once(ns, (uint32_t)backlog,
	                   state == NS_NEW ? net_ids_for((uint32_t)backlog) : 0, &err))
		continue;
	if (err) {
		atomic_store(&ns->state, state);
		return net_err(err);
	}
	atomic_fetch_or(&ns->flags, NSF_BOUND);
	return 0;
}

static long conn_done(void *arg)
{
	struct nsock *ns = arg;

	return atomic_load(&ns->state) != NS_CONNECTING;
}

/* What the attempt that ended came to: told once, then the socket is as new. */
static long connect_result(struct nsock *ns)
{
	long r;

	atomic_fetch_and(&ns->flags, ~(NSF_FAILED | NSF_UNTOLD));
	r = nsock_take_err(ns);
	if (r < 0)
		return r;
	return atomic_load(&ns->state) == NS_CONNECTED ? 0 : -ECONNABORTED;
}

/* Wait for event Connected; a signal leaves the attempt going. */
static long connect_wait(struct nsock *ns)
{
	long r = wait_until(&ns->s.ofd.wait, EPOLLOUT | EPOLLERR | EPOLLHUP, conn_done,
	                    ns, sock_snd_deadline(&ns->s), PARK_INTR | PARK_RINGS);

	if (r == -EAGAIN)
		return -EINPROGRESS; /* SO_SNDTIMEO */
	if (r < 0)
		return r;
	return connect_result(ns);
}

static long connect_state(struct nsock *ns)
{
	switch (atomic_load(&ns->state)) {
	case NS_CONNECTED:
	case NS_LISTEN:
		return -EISCONN;
	case NS_CONNECTING:
		return ofd_nonblock(&ns->s.ofd) ? -EALREADY : connect_wait(ns);
	case NS_CLOSED:
		return atomic_load(&ns->err) ? nsock_take_err(ns) : -EISCONN;
	default:
		return 0;
	}
}

/* Connected may have come before its call is looked at here, or the loss of all. */
static void note_connect_locked(struct nsock *ns, const struct net_addr *a)
{
	if (a->len == 0) {
		ns->at = AT_NEW;
		if (!(atomic_load(&ns->flags) & NSF_NUMBERED) && ns->s.type == SOCK_STREAM)
			ns->asked.len = 0;
	} else if (ns->s.type != SOCK_STREAM) {
		ns->at = AT_CONNECTED;
		ns->peer = *a;
	} else if (ns->at == AT_NEW && atomic_load(&ns->state) == NS_CONNECTING) {
		ns->at = AT_CONNECTING;
	}
}

/* An attempt that is over is not made again. */
static bool is_over(const struct nsock *ns, const struct net_addr *a)
{
	return a->len && ns->s.type == SOCK_STREAM &&
	       atomic_load(&ns->state) != NS_CONNECTING;
}

static bool connect_once(struct nsock *ns, struct net_addr *a, int *err)
{
	struct rpc_call call;
	Net__ConnectReq req = NET__CONNECT_REQ__INIT;
	Net__Addr w;
	bool again;

	*err = net_ensure(ns);
	if (*err < 0)
		return false;
	net_addr_wire(a, &w);
	req.handle = ns->handle;
	if (a->len)
		req.addr = &w;
	rpc_call_init(&call);
	net__net__connect(rpc_service(&g_net_chan), &req,
	                  (Net__AddrRep_Closure)rpc_reply_taken, &call);
	*err = call.err;
	lock_take(&ns->lock);
	again = net_again_locked(ns, &call) && !is_over(ns, a);
	if (!again && !call.err) {
		keep_names_locked(ns, (const Net__AddrRep *)call.reply);
		note_connect_locked(ns, a);
	}
	lock_drop(&ns->lock);
	return again;
}

static int connect_call(struct nsock *ns, struct net_addr *a)
{
	int err;

	while (connect_once(ns, a, &err))
		continue;
	return err;
}

static long connect_stream(struct nsock *ns, struct net_addr *a)
{
	long r;

	(void)rings_poll_once(); /* a program may ask by connect() alone */
	/* an attempt that nobody waited for, and that has ended */
	if (atomic_load(&ns->state) != NS_CONNECTING &&
	    (atomic_load(&ns->flags) & (NSF_FAILED | NSF_UNTOLD)))
		return connect_result(ns);
	r = connect_state(ns);
	if (r != 0 || atomic_load(&ns->state) == NS_CONNECTED)
		return r;
	lock_take(&ns->lock);
	ns->peer = *a;
	lock_drop(&ns->lock);
	atomic_store(&ns->err, 0); /* of a connection that was given up */
	atomic_store(&ns->state, NS_CONNECTING); /* before Connected can come */
	r = connect_call(ns, a);
	if (r < 0) {
		atomic_store(&ns->state, NS_NEW);
		return net_err((int)r);
	}
	atomic_fetch_or(&ns->flags, NSF_BOUND | NSF_UNTOLD);
	if (ofd_nonblock(&ns->s.ofd))
		return -EINPROGRESS; /* also when the answer is there: as Linux over a network */
	return connect_wait(ns);
}

static long connect_dgram(struct nsock *ns, struct net_addr *a)
{
	const int r = connect_call(ns, a);

	if (r < 0)
		return net_err(r);
	atomic_fetch_or(&ns->flags, NSF_BOUND);
	atomic_store(&ns->state, a->len ? NS_CONNECTED : NS_NEW);
	return 0;
}

/* Does the connection still bind the peer?  Linux resets it then, and says so. */
static bool must_reset(const struct nsock *ns, uint32_t state)
{
	const uint32_t both = NSF_EOF | NSF_SHUT_WR;

	return state == NS_CONNECTING ||
	       (state == NS_CONNECTED && (atomic_load(&ns->flags) & both) != both);
}

/* The socket as new: connect() with AF_UNSPEC, shutdown() of a listener or an
 * attempt.  Who waits on it sees that it is none of these any more, so that the
 * position lock comes free; netd answers behind all its events for the socket. */
static long give_up(struct nsock *ns)
{
	const uint32_t all = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP;
	struct net_addr none = {.len = 0};
	uint32_t was, gone = NSF_EOF | NSF_SHUT_RD | NSF_SHUT_WR | NSF_FATAL | NSF_FAILED |
	                     NSF_UNTOLD;
	long r;

	(void)rings_poll_once();
	was = atomic_exchange(&ns->state, NS_NEW);
	if (must_reset(ns, was))
		atomic_store(&ns->err, ECONNRESET);
	waitq_wake(&ns->s.ofd.wait, all);
	r = ofd_pos_lock(&ns->s.ofd);
	if (r < 0) { /* a signal: nothing was done yet */
		if (must_reset(ns, was))
			atomic_store(&ns->err, 0);
		atomic_store(&ns->state, was);
		return r;
	}
	r = connect_call(ns, &none);
	if (r == 0) {
		if (!(atomic_load(&ns->flags) & NSF_NUMBERED))
			gone |= NSF_BOUND;
		atomic_fetch_and(&ns->flags, ~gone);
		was = NS_CLOSED; /* the connection was lost meanwhile */
		(void)atomic_compare_exchange_strong(&ns->state, &was, NS_NEW);
		net_drop_queue(ns);
		stream_discard(ns);
		atomic_store(&ns->tx_acked, ns->tx_off);
	}
	ofd_pos_unlock(&ns->s.ofd);
	waitq_wake(&ns->s.ofd.wait, all);
	return net_err((int)r);
}

/* Linux: a struct sockaddr_in for an AF_INET6 socket that is for IPv6 alone. */
static long connect_dgram_to(struct nsock *ns, const struct sock_name *name)
{
	struct net_addr a;
	uint32_t len = sizeof(int);
	int only = 0, r = net_addr_in_dgram(ns, name, &a);

	if (r == 0 && ns->s.domain == AF_INET6 && name->family == AF_INET &&
	    net_getsockopt(&ns->s, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) == 0 && only)
		r = -EAFNOSUPPORT;
	if (r == 0 && lacks_scope(&a))
		r = -EINVAL;
	return r < 0 ? r : connect_dgram(ns, &a);
}

long net_connect(struct sock *s, const struct sock_name *name)
{
	struct nsock *ns = nsock_of(s);
	struct net_addr a = {.len = 0};

	if (name->len < sizeof(name->family))
		return -EINVAL;
	if (name->family == AF_UNSPEC) {
		return s->type == SOCK_STREAM ? give_up(ns) : connect_dgram(ns, &a);
	}
	if (s->type != SOCK_STREAM)
		return connect_dgram_to(ns, name);
	const int r = net_addr_in(ns, name, &a);
	if (r < 0)
		return r;
	if (lacks_scope(&a))
		return -EINVAL;
	return connect_stream(ns, &a);
}

long net_getsockname(struct sock *s, struct sock_name *name)
{
	struct nsock *ns = nsock_of(s);
	struct net_addr a;

	lock_take(&ns->lock);
	a = ns->local;
	lock_drop(&ns->lock);
	net_addr_out(ns, &a, name);
	return 0;
}

long net_getpeername(struct sock *s, struct sock_name *name)
{
	struct nsock *ns = nsock_of(s);
	struct net_addr a;

	if (atomic_load(&ns->state) != NS_CONNECTED)
		return -ENOTCONN;
	lock_take(&ns->lock);
	a = ns->peer;
	lock_drop(&ns->lock);
	net_addr_out(ns, &a, name);
	return 0;
}

long net_shutdown(struct sock *s, int how)
{
	struct nsock *ns = nsock_of(s);
	Net__ShutdownPost m = NET__SHUTDOWN_POST__INIT;
	const uint32_t state = atomic_load(&ns->state);
	uint32_t add = 0;

	if (state == NS_LISTEN && how == SHUT_WR)
		return 0; /* a listener has nothing to send */
	if (state == NS_LISTEN || (state == NS_CONNECTING && s->type == SOCK_STREAM))
		return give_up(ns);
	if (state != NS_CONNECTED)
		return -ENOTCONN;
	if (how != SHUT_WR)
		add |= NSF_SHUT_RD;
	if (how != SHUT_RD)
		add |= NSF_SHUT_WR;
	atomic_fetch_or(&ns->flags, add);
	m.handle = ns->handle;
	m.how = (uint32_t)how;
	(void)rpc_post(&g_net_chan, 4, &m.base, NULL, NULL,
	               0); /* netd gone: told by event */
	waitq_wake(&s->ofd.wait, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
	return 0;
}

long net_ioctl(struct ofd *o, unsigned long req, void *user_arg)
{
	struct nsock *ns = nsock_of(sock_of(o));
	const bool stream = ns->s.type == SOCK_STREAM;
	long n;

	(void)rings_poll_once(); /* a program may ask for nothing else */
	switch ((unsigned)req) {
	case FIONREAD:
		if (stream && atomic_load(&ns->state) == NS_LISTEN)
			return -EINVAL;
		n = stream ? (long)stream_readable(ns) : (long)dgram_next_len(ns);
		break;
	case TIOCOUTQ:
		if (stream && atomic_load(&ns->state) == NS_LISTEN)
			return -EINVAL;
		n = stream ? net_outq(ns) : 0; /* datagrams are netd's at once */
		break;
	case SIOCATMARK_:
		if (!stream)
			return -ENOTTY;
		n = 0; /* there is no urgent data */
		break;
	default:
		return sock_ofd_ioctl(o, req, user_arg);
	}
	if (n < 0)
		return n;
	return user_copy_out(user_arg, &(int){(int)n}, sizeof(int));
}
