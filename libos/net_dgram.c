/* SPDX-License-Identifier: MIT */
/*
 * UDP and ping sockets in the guest: datagrams pushed into a queue, sends posted.
 *
 * netd charges each datagram to a limit (bytes and an overhead) and drops what
 * goes beyond; the limit moves on as the program receives.
 *
 * A send is a call, which tells what the network says (no route, no leave, too
 * large), until one to the same address has worked or a datagram came from there;
 * from then on it is a post.
 */
#include "libos/net.h"

#include "libos/deadline.h"
#include "libos/pump.h"
#include "libos/syscall.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define DGRAM_MAX 65507u
#define SURE_FIT 1232u /* with any headers in the smallest MTU of IPv6 */

uint32_t dgram_poll(struct nsock *ns)
{
	const uint32_t f = atomic_load(&ns->flags);
	uint32_t ev = EPOLLOUT | EPOLLWRNORM;

	if (ns->dq_head)
		ev |= EPOLLIN | EPOLLRDNORM;
	if (atomic_load(&ns->err))
		ev |= EPOLLERR;
	if (f & NSF_SHUT_RD)
		ev |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if ((f & NSF_SHUT_RD) && (f & NSF_SHUT_WR))
		ev |= EPOLLHUP;
	return ev;
}

uint32_t dgram_next_len(struct nsock *ns)
{
	uint32_t len;

	lock_take(&ns->lock);
	len = ns->dq_head ? ns->dq_head->len : 0;
	lock_drop(&ns->lock);
	return len;
}

/* Take the payload into fresh blocks.  NULL with len > 0: no memory. */
static struct block *take_blocks(struct rpc_event *ev)
{
	struct block *first = NULL, *last = NULL;
	uint32_t left = ev->payload_len;

	while (left) {
		struct block *b = pool_get_dirty(&g_net_blocks);
		uint32_t n = (uint32_t)sizeof(b->data);

		if (!b) {
			blocks_free(first);
			return NULL;
		}
		if (n > left)
			n = left;
		b->off = 0;
		atomic_store(&b->next, NULL);
		atomic_store(&b->fill, n);
		rpc_event_take(ev, b->data, n);
		if (last)
			atomic_store(&last->next, b);
		else
			first = b;
		last = b;
		left -= n;
	}
	return first;
}

static void charge_locked(struct nsock *ns, uint64_t charge)
{
	ns->dq_consumed += charge;
}

void dgram_event(struct nsock *ns, const Net__DgramMsg *m, struct rpc_event *ev)
{
	struct dgram *d = pool_get(&g_net_dgrams);

	if (d && ev->payload_len && !(d->first = take_blocks(ev))) {
		pool_put(&g_net_dgrams, d);
		d = NULL;
	}
	if (!d) { /* dropped, as a full receive buffer drops */
		lock_take(&ns->lock);
		charge_locked(ns, m->credit);
		lock_drop(&ns->lock);
		return;
	}
	net_addr_unwire(m->peer, &d->peer);
	net_addr_unwire(m->local, &d->local);
	d->len = ev->payload_len;
	d->ttl = m->ttl;
	d->tos = m->tos;
	d->ifindex = m->ifindex;
	d->charge = m->credit;
	if (atomic_load(&ns->opts) & (NSO_TIMESTAMP | NSO_TIMESTAMPNS))
		d->real_ns = plat_real_ns();
	lock_take(&ns->lock);
	ns->heard = d->peer;
	if (ns->dq_tail)
		ns->dq_tail->next = d;
	else
		ns->dq_head = d;
	ns->dq_tail = d;
	lock_drop(&ns->lock);
	waitq_wake(&ns->s.ofd.wait, EPOLLIN | EPOLLRDNORM);
}

/* ---- receiving ---- */

static long dq_ready(void *arg)
{
	struct nsock *ns = arg;

	return ns->dq_head != NULL || atomic_load(&ns->err) ||
	       (atomic_load(&ns->flags) & (NSF_SHUT_RD | NSF_LOST));
}

static void put_pktinfo(struct nsock *ns, const struct dgram *d, struct sock_ctl *c)
{
	if (ns->s.domain == AF_INET) {
		struct in_pktinfo pi = {.ipi_ifindex = (int)d->ifindex};

		memcpy(&pi.ipi_addr, d->local.ip, 4);
		pi.ipi_spec_dst = pi.ipi_addr;
		sock_ctl_put(c, IPPROTO_IP, IP_PKTINFO, &pi, sizeof(pi));
	} else {
		struct in6_pktinfo pi = {.ipi6_ifindex = d->ifindex};

		memcpy(&pi.ipi6_addr, d->local.ip, 16);
		sock_ctl_put(c, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof(pi));
	}
}

static void put_control(struct nsock *ns, const struct dgram *d, struct sock_ctl *c)
{
	const uint32_t o = atomic_load(&ns->opts);
	const int ttl = (int)d->ttl, tos = (int)d->tos;

	if (o & NSO_TIMESTAMP) {
		const struct timeval tv = {
		        (time_t)(d->real_ns / 1000000000u),
		        (suseconds_t)(d->real_ns % 1000000000u / 1000u)};
		sock_ctl_put(c, SOL_SOCKET, SO_TIMESTAMP, &tv, sizeof(tv));
	}
	if (o & NSO_TIMESTAMPNS) {
		const struct timespec ts = {(time_t)(d->real_ns / 1000000000u),
		                            (long)(d->real_ns % 1000000000u)};
		sock_ctl_put(c, SOL_SOCKET, SO_TIMESTAMPNS, &ts, sizeof(ts));
	}
	if (o & (NSO_PKTINFO | NSO_PKTINFO6))
		put_pktinfo(ns, d, c);
	if (o & NSO_RECVTTL)
		sock_ctl_put(c, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	if (o & NSO_RECVHOPS6)
		sock_ctl_put(c, IPPROTO_IPV6, IPV6_HOPLIMIT, &ttl, sizeof(ttl));
	if (o & NSO_RECVTOS)
		sock_ctl_put(c, IPPROTO_IP, IP_TOS, &(uint8_t){(uint8_t)tos}, 1);
	if (o & NSO_RECVTCLASS6)
		sock_ctl_put(c, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
}

/* Copy a datagram out; false: a bad address. */
static bool copy_out(const struct dgram *d, struct uio *u)
{
	for (const struct block *b = d->first; b && uio_left(u);
	     b = atomic_load(&b->next)) {
		const uint32_t fill = atomic_load(&b->fill);
		const size_t n = fill < uio_left(u) ? fill : uio_left(u);

		if (uio_out(u, b->data, n) < n)
			return false;
	}
	return true;
}

/* The first datagram, taken off unless peeking.  Under rlock, so that a peeked one
 * is not freed by another reader. */
static struct dgram *dq_take(struct nsock *ns, bool peek, uint64_t *limit)
{
	struct dgram *d;

	lock_take(&ns->lock);
	d = ns->dq_head;
	if (d && !peek) {
		ns->dq_head = d->next;
		if (!ns->dq_head)
			ns->dq_tail = NULL;
		charge_locked(ns, d->charge);
		if (ns->dq_consumed + ns->rx_wnd - ns->dq_limit >= ns->rx_wnd / 4) {
			ns->dq_limit = ns->dq_consumed + ns->rx_wnd;
			*limit = ns->dq_limit;
		}
	}
	lock_drop(&ns->lock);
	return d;
}

static long deliver(struct nsock *ns, struct sock_msg *m, struct dgram *d)
{
	const size_t before = m->u->done;
	size_t got;

	if (!copy_out(d, m->u))
		return -EFAULT;
	got = m->u->done - before;
	if (d->len > got)
		m->out_flags |= MSG_TRUNC;
	if (m->name && d->peer.len)
		net_addr_out(ns, &d->peer, m->name);
	if (m->ctl && atomic_load(&ns->opts))
		put_control(ns, d, m->ctl);
	return (m->flags & MSG_TRUNC) ? (long)d->len : (long)got;
}

static long take_one(struct nsock *ns, struct sock_msg *m, bool *none)
{
	const bool peek = (m->flags & MSG_PEEK) != 0;
	Net__WindowPost w = NET__WINDOW_POST__INIT;
	uint64_t limit = 0;
	struct dgram *d;
	long r = 0;

	lock_take(&ns->rlock);
	d = dq_take(ns, peek, &limit);
	*none = d == NULL;
	if (d) {
		r = deliver(ns, m, d);
		if (!peek)
			dgram_free(d);
	}
	lock_drop(&ns->rlock);
	if (limit) {
		w.handle = ns->handle;
		w.rx_limit = limit;
		(void)rpc_post(&g_net_chan, 11, &w.base, NULL, NULL,
		               0); /* gone: told by event */
	}
	return r;
}

static long dgram_recvmsg(struct sock *s, struct sock_msg *m)
{
	struct nsock *ns = nsock_of(s);
	const uint64_t deadline = sock_rcv_deadline(s);

	if (m->flags & MSG_ERRQUEUE)
		return -EAGAIN;
	for (;;) {
		bool none;
		long r;

		if (atomic_load(&ns->err))
			return nsock_take_err(ns);
		r = take_one(ns, m, &none);
		if (!none)
			return r;
		if (atomic_load(&ns->flags) & NSF_SHUT_RD)
			return 0;
		if (atomic_load(&ns->flags) & NSF_LOST)
			return -ENETDOWN;
		if (sock_nonblock(s, m->flags)) {
			if (rings_poll_once() > 0 && dq_ready(ns))
				continue;
			return -EAGAIN;
		}
		r = wait_until(&s->ofd.wait, EPOLLIN | EPOLLERR, dq_ready, ns, deadline,
		               PARK_INTR | PARK_RINGS);
		if (r < 0)
			return r == -ERESTARTSYS && deadline != PLAT_NO_DEADLINE
			               ? -EINTR
			               : r;
	}
}

/* ---- sending ---- */

static int from_uio(void *arg, void *ring, size_t n)
{
	if (!ring) { /* sent again */
		uio_back(arg, n);
		return 0;
	}
	return uio_in(arg, ring, n) == n ? 0 : -EFAULT;
}

static int ctl_int(const void *data, size_t len, int *v)
{
	if (len != sizeof(*v))
		return -EINVAL;
	memcpy(v, data, sizeof(*v));
	return 0;
}

static int take_ip(const struct kcmsghdr *h, const void *data, size_t len,
                   Net__DgramMsg *m, struct net_addr *src)
{
	struct in_pktinfo pi;
	int v;

	switch (h->type) {
	case IP_PKTINFO:
		if (len != sizeof(pi))
			return -EINVAL;
		memcpy(&pi, data, sizeof(pi));
		memcpy(src->ip, &pi.ipi_spec_dst, 4);
		src->len = pi.ipi_spec_dst.s_addr ? 4 : 0;
		m->ifindex = (uint32_t)pi.ipi_ifindex;
		return 0;
	case IP_TTL:
		if (ctl_int(data, len, &v) < 0 || v < 1 || v > 255)
			return -EINVAL;
		m->ttl = (uint32_t)v;
		return 0;
	case IP_TOS:
		if (len == 1)
			v = *(const uint8_t *)data;
		else if (ctl_int(data, len, &v) < 0 || v < 0 || v > 255)
			return -EINVAL;
		m->tos = (uint32_t)v;
		return 0;
	default:
		return -EINVAL;
	}
}

static int take_ip6(const struct kcmsghdr *h, const void *data, size_t len,
                    Net__DgramMsg *m, struct net_addr *src)
{
	static const uint8_t any[16];
	struct in6_pktinfo pi;
	int v;

	switch (h->type) {
	case IPV6_PKTINFO:
		if (len < sizeof(pi))
			return -EINVAL;
		memcpy(&pi, data, sizeof(pi));
		memcpy(src->ip, &pi.ipi6_addr, 16);
		src->len = memcmp(src->ip, any, 16) ? 16 : 0;
		m->ifindex = pi.ipi6_ifindex;
		return 0;
	case IPV6_HOPLIMIT:
	case IPV6_TCLASS:
		if (ctl_int(data, len, &v) < 0 || v < -1 || v > 255)
			return -EINVAL;
		if (v >= 0) /* -1: as the socket has it */
			*(h->type == IPV6_TCLASS ? &m->tos : &m->ttl) = (uint32_t)v;
		return 0;
	default:
		return -EINVAL;
	}
}

/* Control data of a send: what is for neither the socket nor its IP is passed over. */
static int take_control(const struct nsock *ns, const struct sock_ctl *c,
                        Net__DgramMsg *m, struct net_addr *src)
{
	size_t at = 0, len;
	struct kcmsghdr h;
	const void *data;
	int r;

	while ((r = sock_ctl_next(c, &at, &h, &data, &len)) == 1) {
		if (h.level == SOL_SOCKET)
			r = h.type == SCM_RIGHTS || h.type == SCM_CREDENTIALS ? 0
			                                                      : -EINVAL;
		else if (h.level == IPPROTO_IP && ns->s.domain == AF_INET)
			r = take_ip(&h, data, len, m, src);
		else if (h.level == IPPROTO_IPV6 && ns->s.domain == AF_INET6)
			r = take_ip6(&h, data, len, m, src);
		if (r < 0)
			return r;
	}
	return r;
}

static bool is_broadcast(const struct net_addr *a)
{
	static const uint8_t all[4] = {255, 255, 255, 255};

	return a->len == 4 && memcmp(a->ip, all, 4) == 0;
}

/* As Linux's IPv6: AF_UNSPEC is no address. */
static bool is_named(const struct nsock *ns, const struct sock_msg *m)
{
	return m->name && m->name->len &&
	       !(ns->s.domain == AF_INET6 && ns->s.protocol == IPPROTO_UDP &&
	         m->name->len >= sizeof(m->name->family) && m->name->family == AF_UNSPEC);
}

static int to_address(const struct nsock *ns, const struct sock_name *name, struct net_addr *to)
{
	const int r = net_addr_in_dgram(ns, name, to);

	/* and any other family is invalid there */
	return r == -EAFNOSUPPORT && ns->s.domain == AF_INET6 && ns->s.protocol == IPPROTO_UDP
	               ? -EINVAL
	               : r;
}

static int destination(struct nsock *ns, const struct sock_msg *m, struct net_addr *to)
{
	to->len = 0;
	if (is_named(ns, m)) {
		const int r = to_address(ns, m->name, to);

		if (r < 0)
			return r;
		if (is_broadcast(to) && !(atomic_load(&ns->opts) & NSO_BROADCAST))
			return -EACCES;
		return to->port == 0 && ns->s.protocol != IPPROTO_ICMP &&
		                       ns->s.protocol != IPPROTO_ICMPV6
		               ? -EINVAL
		               : 0;
	}
	return atomic_load(&ns->state) == NS_CONNECTED ? 0 : -EDESTADDRREQ;
}

/* The port must be known to getsockname() after the first send. */
static long autobind(struct nsock *ns)
{
	struct net_addr any = {.len = ns->s.domain == AF_INET ? 4 : 16};

	if (atomic_load(&ns->flags) & NSF_BOUND)
		return 0;
	const long r = net_bind_addr(ns, &any);

	return r == -EINVAL ? 0 : r; /* another thread was faster */
}

/* A ping socket sends echo requests alone. */
static long check_echo(const struct nsock *ns, const struct uio *u)
{
	const uint8_t request = ns->s.protocol == IPPROTO_ICMP ? 8 : 128;
	uint8_t head[8];
	size_t got = 0;

	if (uio_left(u) < sizeof(head))
		return -EINVAL;
	for (unsigned i = 0; i < u->n && got < sizeof(head); i++) {
		const size_t room = sizeof(head) - got, len = u->iov[i].iov_len;
		const size_t n = len < room ? len : room;

		if (user_copy_in(head + got, u->iov[i].iov_base, n) != 0)
			return -EFAULT;
		got += n;
	}
	return head[0] == request && head[1] == 0 ? 0 : -EINVAL;
}

static bool same_ip(const struct net_addr *a, const struct net_addr *b)
{
	return a->len == b->len && a->scope == b->scope && memcmp(a->ip, b->ip, a->len) == 0;
}

/* Is the way to @to known to be there?  No address: connect() has asked. */
static bool way_known(struct nsock *ns, const struct net_addr *to, size_t len)
{
	bool known;

	if (len > SURE_FIT && (atomic_load(&ns->opts) & NSO_WHOLE))
		return false;
	if (to->len == 0)
		return true;
	lock_take(&ns->lock);
	known = same_ip(to, &ns->reached) || same_ip(to, &ns->heard);
	lock_drop(&ns->lock);
	return known;
}

static long send_called(struct nsock *ns, const Net__DgramMsg *msg, const struct net_addr *to,
                        struct uio *u)
{
	struct rpc_call call;

	rpc_call_init(&call);
	call.source = from_uio;
	call.source_arg = u;
	call.source_len = (uint32_t)uio_left(u);
	net__net__dgram(rpc_service(&g_net_chan), msg, (Net__Empty_Closure)rpc_reply_taken,
	                &call);
	if (call.err == 0 && to->len) {
		lock_take(&ns->lock);
		ns->reached = *to;
		lock_drop(&ns->lock);
	}
	return call.err;
}

static long dgram_sendmsg(struct sock *s, struct sock_msg *m)
{
	struct nsock *ns = nsock_of(s);
	Net__DgramMsg msg = NET__DGRAM_MSG__INIT;
	struct net_addr to, src = {.len = 0};
	Net__Addr wto, wsrc;
	const size_t len = uio_left(m->u);
	long r;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (atomic_load(&ns->err))
		return nsock_take_err(ns);
	if (atomic_load(&ns->flags) & (NSF_SHUT_WR | NSF_LOST))
		return atomic_load(&ns->flags) & NSF_LOST ? -ENETDOWN : -EPIPE;
	if (len > DGRAM_MAX)
		return -EMSGSIZE;
	r = destination(ns, m, &to);
	if (r == 0 && m->ctl)
		r = take_control(ns, m->ctl, &msg, &src);
	if (r == 0)
		r = autobind(ns);
	if (r == 0 && ns->s.protocol != IPPROTO_UDP)
		r = check_echo(ns, m->u);
	if (r < 0)
		return r;
	msg.handle = ns->handle;
	if (to.len) {
		net_addr_wire(&to, &wto);
		msg.peer = &wto;
	}
	if (src.len) {
		net_addr_wire(&src, &wsrc);
		msg.local = &wsrc;
	}
	if (src.len == 0 && way_known(ns, &to, len))
		r = rpc_post(&g_net_chan, 10, &msg.base, from_uio, m->u, (uint32_t)len);
	else
		r = send_called(ns, &msg, &to, m->u);
	return r < 0 ? (r == -EIO ? -ENETDOWN : r) : (long)len;
}

const struct sock_ops g_net_dgram_ops = {
        .bind = net_bind,
        .connect = net_connect,
        .getsockname = net_getsockname,
        .getpeername = net_getpeername,
        .setsockopt = net_setsockopt,
        .getsockopt = net_getsockopt,
        .shutdown = net_shutdown,
        .sendmsg = dgram_sendmsg,
        .recvmsg = dgram_recvmsg,
};
