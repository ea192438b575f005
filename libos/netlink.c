/* SPDX-License-Identifier: MIT */
/*
 * netlink.c - AF_NETLINK, NETLINK_ROUTE: dumps of links, addresses and routes.
 *
 * What getifaddrs(), if_nameindex() and routing lookups ask.  The answer stands in
 * the socket's buffer when send returns, as one datagram of messages that ends with
 * NLMSG_DONE.  Requests to change anything answer EPERM, others EOPNOTSUPP, in an
 * NLMSG_ERROR as the protocol has it.
 */
#include "libos/abi.h"
#include "libos/pool.h"
#include "libos/process.h"
#include "libos/socket.h"
#include "libos/syscall.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>

#define NL_ROUTE 0
#define NL_SOCKS_MAX 1024u
#define NL_BUF 16384u
#define NL_REQ_MAX 1024u

#define NLM_DONE 3
#define NLM_ERROR 2
#define NLM_F_MULTI 2u
#define NLM_F_ACK 4u
#define NLM_F_DUMP 0x300u

#define RT_NEWLINK 16
#define RT_GETLINK 18
#define RT_NEWADDR 20
#define RT_GETADDR 22
#define RT_NEWROUTE 24
#define RT_GETROUTE 26

struct nl_addr {
	uint16_t family, pad;
	uint32_t pid, groups;
};

struct nl_head {
	uint32_t len;
	uint16_t type, flags;
	uint32_t seq, pid;
};

struct rt_link {
	uint8_t family, pad;
	uint16_t type;
	int32_t index;
	uint32_t flags, change;
};

struct rt_addr {
	uint8_t family, prefix, flags, scope;
	uint32_t index;
};

struct rt_route {
	uint8_t family, dst_len, src_len, tos, table, protocol, scope, type;
	uint32_t flags;
};

struct rt_attr {
	uint16_t len, type;
};

/* Attribute numbers. */
enum {
	IFLA_ADDRESS_ = 1,
	IFLA_BROADCAST_ = 2,
	IFLA_IFNAME_ = 3,
	IFLA_MTU_ = 4,
	IFA_ADDRESS_ = 1,
	IFA_LOCAL_ = 2,
	IFA_LABEL_ = 3,
	RTA_DST_ = 1,
	RTA_OIF_ = 4,
	RTA_GATEWAY_ = 5,
};

struct netlink {
	struct sock sock; /* first */
	struct lock lock; /* guards: */
	uint32_t pid;     /* 0: not bound */
	size_t len; /* of the answer that waits; one at a time, as dumps are read */
	_Alignas(8) uint8_t buf[NL_BUF];
};

static struct pool g_netlinks = POOL_INIT(struct netlink, NL_SOCKS_MAX);
static _Atomic uint32_t g_next_pid = PROCESS_PID;

static struct netlink *nl_of(struct sock *s)
{
	return (struct netlink *)s;
}

/* ---- building; under lock ---- */

static void *reserve(struct netlink *nl, size_t n)
{
	size_t at = nl->len;
	size_t size = (n + 3) & ~(size_t)3;

	if (size > NL_BUF - at)
		return NULL;
	memset(nl->buf + at, 0, size);
	nl->len += size;
	return nl->buf + at;
}

/* A message begins: its head, to be ended with msg_end(). */
static struct nl_head *msg_begin(struct netlink *nl, const struct nl_head *req,
                                 uint16_t type, uint16_t flags, const void *body,
                                 size_t n)
{
	struct nl_head *h = reserve(nl, sizeof(*h));
	void *to = reserve(nl, n);

	if (!h || !to)
		return NULL;
	h->type = type;
	h->flags = flags;
	h->seq = req->seq;
	h->pid = nl->pid;
	memcpy(to, body, n);
	return h;
}

static void attr(struct netlink *nl, uint16_t type, const void *data, size_t n)
{
	struct rt_attr a = {.len = (uint16_t)(sizeof(a) + n), .type = type};
	uint8_t *to = reserve(nl, sizeof(a) + n);

	if (!to)
		return;
	memcpy(to, &a, sizeof(a));
	memcpy(to + sizeof(a), data, n);
}

static void msg_end(struct netlink *nl, struct nl_head *h)
{
	if (h)
		h->len = (uint32_t)(nl->buf + nl->len - (uint8_t *)h);
}

static void dump_links(struct netlink *nl, const struct nl_head *req,
                       const struct net_info *info)
{
	for (uint32_t i = 0; i < info->n_ifs; i++) {
		const struct net_if *nif = &info->ifs[i];
		struct rt_link l = {.type = nif->flags & IFF_LOOPBACK ? 772
		                            : nif->has_mac            ? 1
		                                                      : 0xfffe,
		                    .index = (int32_t)nif->index,
		                    .flags = nif->flags};
		static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
		struct nl_head *h =
		        msg_begin(nl, req, RT_NEWLINK, NLM_F_MULTI, &l, sizeof(l));

		attr(nl, IFLA_IFNAME_, nif->name, strlen(nif->name) + 1);
		attr(nl, IFLA_MTU_, &nif->mtu, sizeof(nif->mtu));
		if (nif->has_mac) {
			attr(nl, IFLA_ADDRESS_, nif->mac, sizeof(nif->mac));
			attr(nl, IFLA_BROADCAST_, all, sizeof(all));
		}
		msg_end(nl, h);
	}
}

static void put_addr(struct netlink *nl, const struct nl_head *req,
                     const struct net_if *nif, int family, const uint8_t *ip,
                     uint32_t prefix)
{
	bool v4 = family == AF_INET;
	bool link_local = !v4 && ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
	struct rt_addr a = {.family = (uint8_t)family,
	                    .prefix = (uint8_t)prefix,
	                    .flags = 0x80, /* permanent */
	                    .scope = nif->flags & IFF_LOOPBACK ? 254
	                             : link_local              ? 253
	                                                       : 0,
	                    .index = nif->index};
	struct nl_head *h = msg_begin(nl, req, RT_NEWADDR, NLM_F_MULTI, &a, sizeof(a));

	attr(nl, IFA_ADDRESS_, ip, v4 ? 4 : 16);
	if (v4) {
		attr(nl, IFA_LOCAL_, ip, 4);
		attr(nl, IFA_LABEL_, nif->name, strlen(nif->name) + 1);
	}
	msg_end(nl, h);
}

static void dump_addrs(struct netlink *nl, const struct nl_head *req,
                       const struct net_info *info, int family)
{
	for (uint32_t i = 0; i < info->n_ifs; i++) {
		const struct net_if *nif = &info->ifs[i];

		if (nif->has_ip4 && family != AF_INET6)
			put_addr(nl, req, nif, AF_INET, nif->ip4, nif->prefix4);
		for (uint32_t k = 0; k < nif->n_ip6 && family != AF_INET; k++)
			put_addr(nl, req, nif, AF_INET6, nif->ip6[k], nif->prefix6[k]);
	}
}

static void put_route(struct netlink *nl, const struct nl_head *req, int family,
                      const uint8_t *dst, uint32_t prefix, const uint8_t *gateway,
                      uint32_t oif)
{
	size_t n = family == AF_INET ? 4 : 16;
	struct rt_route rt = {.family = (uint8_t)family,
	                      .dst_len = (uint8_t)prefix,
	                      .table = 254,
	                      .protocol = gateway ? 3 : 2, /* boot, kernel */
	                      .scope = gateway ? 0 : 253,
	                      .type = 1};
	struct nl_head *h =
	        msg_begin(nl, req, RT_NEWROUTE, NLM_F_MULTI, &rt, sizeof(rt));

	if (dst)
		attr(nl, RTA_DST_, dst, n);
	if (gateway)
		attr(nl, RTA_GATEWAY_, gateway, n);
	attr(nl, RTA_OIF_, &oif, sizeof(oif));
	msg_end(nl, h);
}

static void dump_routes(struct netlink *nl, const struct nl_head *req,
                        const struct net_info *info, int family)
{
	if (info->has_gateway4 && family != AF_INET6)
		put_route(nl, req, AF_INET, NULL, 0, info->gateway4, info->gateway_if);
	if (info->has_gateway6 && family != AF_INET)
		put_route(nl, req, AF_INET6, NULL, 0, info->gateway6, info->gateway_if);
	for (uint32_t i = 0; i < info->n_ifs && family != AF_INET6; i++) {
		const struct net_if *nif = &info->ifs[i];
		uint8_t net[4];

		if (!nif->has_ip4 || (nif->flags & IFF_LOOPBACK))
			continue;
		for (uint32_t k = 0; k < 4; k++) {
			uint32_t bits = nif->prefix4 > k * 8 ? nif->prefix4 - k * 8 : 0;

			net[k] = (uint8_t)(nif->ip4[k] &
			                   (bits >= 8 ? 0xffu : 0xff00u >> bits));
		}
		put_route(nl, req, AF_INET, net, nif->prefix4, NULL, nif->index);
	}
}

static void put_error(struct netlink *nl, const struct nl_head *req, int err)
{
	struct {
		int32_t err;
		struct nl_head req;
	} body = {-err, *req};

	msg_end(nl, msg_begin(nl, req, NLM_ERROR, 0, &body, sizeof(body)));
}

static void put_done(struct netlink *nl, const struct nl_head *req)
{
	int32_t zero = 0;

	msg_end(nl, msg_begin(nl, req, NLM_DONE, NLM_F_MULTI, &zero, sizeof(zero)));
}

/* ---- requests ---- */

static void request_locked(struct netlink *nl, const struct nl_head *req, int family,
                           const struct net_info *info)
{
	bool dump = (req->flags & NLM_F_DUMP) == NLM_F_DUMP;

	if (req->type < 16) { /* control messages are not for us */
		if (req->flags & NLM_F_ACK)
			put_error(nl, req, 0);
		return;
	}
	if (!dump || (req->type != RT_GETLINK && req->type != RT_GETADDR &&
	              req->type != RT_GETROUTE)) {
		unsupported("netlink request");
		put_error(nl, req, (req->type & 3) == 2 ? EOPNOTSUPP : EPERM);
		return;
	}
	if (req->type == RT_GETLINK)
		dump_links(nl, req, info);
	else if (req->type == RT_GETADDR)
		dump_addrs(nl, req, info, family);
	else
		dump_routes(nl, req, info, family);
	put_done(nl, req);
}

static void requests(struct netlink *nl, const uint8_t *at, size_t n,
                     const struct net_info *info)
{
	lock_take(&nl->lock);
	if (nl->pid == 0)
		nl->pid = atomic_fetch_add(&g_next_pid, 1);
	nl->len = 0; /* an answer that nobody read is gone */
	while (n >= sizeof(struct nl_head)) {
		struct nl_head req;
		size_t step;

		memcpy(&req, at, sizeof(req));
		if (req.len < sizeof(req) || req.len > n)
			break;
		request_locked(nl, &req, req.len > sizeof(req) ? at[sizeof(req)] : 0,
		               info);
		step = (req.len + 3u) & ~3u;
		if (step > n)
			step = n;
		at += step;
		n -= step;
	}
	lock_drop(&nl->lock);
}

static long op_sendmsg(struct sock *s, struct sock_msg *m)
{
	struct netlink *nl = nl_of(s);
	struct net_info info;
	uint8_t req[NL_REQ_MAX];
	size_t n = uio_left(m->u);
	long r;

	if (n > sizeof(req))
		return -EMSGSIZE;
	if (uio_in(m->u, req, n) != n)
		return -EFAULT;
	memset(&info, 0, sizeof(info));
	r = net_info(&info);
	if (r < 0)
		return r;
	requests(nl, req, n, &info);
	waitq_wake(&s->ofd.wait, EPOLLIN);
	return (long)n;
}

static long has_answer(void *arg)
{
	struct netlink *nl = arg;
	long r;

	lock_take(&nl->lock);
	r = nl->len > 0;
	lock_drop(&nl->lock);
	return r;
}

static long take_locked(struct netlink *nl, struct sock_msg *m)
{
	size_t n = nl->len, room = uio_left(m->u);
	size_t given = n < room ? n : room;

	if (n == 0)
		return -EAGAIN;
	if (uio_out(m->u, nl->buf, given) != given)
		return -EFAULT;
	if (n > room)
		m->out_flags |= MSG_TRUNC;
	if (!(m->flags & MSG_PEEK))
		nl->len = 0;
	return (long)(m->flags & MSG_TRUNC ? n : given);
}

static void kernel_name(struct sock_name *name)
{
	struct nl_addr a = {.family = AF_NETLINK};

	memcpy(name->data, &a, sizeof(a));
	name->len = sizeof(a);
}

static long op_recvmsg(struct sock *s, struct sock_msg *m)
{
	struct netlink *nl = nl_of(s);
	uint64_t deadline = sock_rcv_deadline(s);

	for (;;) {
		long r;

		lock_take(&nl->lock);
		r = take_locked(nl, m);
		lock_drop(&nl->lock);
		if (r >= 0 && m->name)
			kernel_name(m->name);
		if (r != -EAGAIN || sock_nonblock(s, m->flags))
			return r;
		r = wait_until(&s->ofd.wait, EPOLLIN, has_answer, nl, deadline,
		               PARK_INTR);
		if (r < 0)
			return r;
	}
}

static long op_bind(struct sock *s, const struct sock_name *name)
{
	struct netlink *nl = nl_of(s);
	struct nl_addr a;

	if (name->len < sizeof(a) || name->family != AF_NETLINK)
		return -EINVAL;
	memcpy(&a, name->data, sizeof(a));
	if (a.groups != 0)
		unsupported(
		        "netlink multicast group"); /* nothing changes here: silence */
	lock_take(&nl->lock);
	nl->pid = a.pid ? a.pid : nl->pid ? nl->pid : atomic_fetch_add(&g_next_pid, 1);
	lock_drop(&nl->lock);
	return 0;
}

static long op_getsockname(struct sock *s, struct sock_name *name)
{
	struct nl_addr a = {.family = AF_NETLINK, .pid = nl_of(s)->pid};

	memcpy(name->data, &a, sizeof(a));
	name->len = sizeof(a);
	return 0;
}

static long op_connect(struct sock *s, const struct sock_name *name)
{
	(void)s;
	return name->len >= sizeof(struct nl_addr) && name->family == AF_NETLINK
	               ? 0
	               : -EINVAL;
}

static long op_setsockopt(struct sock *s, int level, int name, const void *val,
                          uint32_t len)
{
	(void)s;
	(void)val;
	(void)len;
	if (level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_RCVBUF))
		return 0; /* one answer always fits */
	return -ENOPROTOOPT;
}

static long op_getsockopt(struct sock *s, int level, int name, void *val, uint32_t *len)
{
	int n = name == SO_ERROR ? 0 : (int)NL_BUF;

	(void)s;
	if (level != SOL_SOCKET ||
	    (name != SO_ERROR && name != SO_SNDBUF && name != SO_RCVBUF))
		return -ENOPROTOOPT;
	if (*len > sizeof(n))
		*len = sizeof(n);
	memcpy(val, &n, *len);
	return 0;
}

static const struct ofd_ops g_netlink_ops;

long netlink_post(struct ofd *o, const void *data, size_t len)
{
	struct netlink *nl = (struct netlink *)o;
	long r = 0;

	if (o->ops != &g_netlink_ops)
		return -EINVAL;
	lock_take(&nl->lock);
	if (nl->len > 0 || len > NL_BUF)
		r = -EAGAIN;
	else
		memcpy(nl->buf, data, len);
	if (r == 0)
		nl->len = len;
	lock_drop(&nl->lock);
	if (r == 0)
		waitq_wake(&o->wait, EPOLLIN);
	return r;
}

static uint32_t op_poll(struct ofd *o)
{
	return EPOLLOUT | (has_answer(o) ? EPOLLIN : 0u);
}

static void op_release(struct ofd *o)
{
	pool_put(&g_netlinks, o);
}

static const struct ofd_ops g_netlink_ops = {
        .kind = OFD_NETLINK,
        .read = sock_ofd_read,
        .write = sock_ofd_write,
        .poll = op_poll,
        .ioctl = sock_ofd_ioctl,
        .stat = sock_ofd_stat,
        .release = op_release,
        .pollable = true,
};

static const struct sock_ops g_netlink_sock_ops = {
        .bind = op_bind,
        .connect = op_connect,
        .getsockname = op_getsockname,
        .setsockopt = op_setsockopt,
        .getsockopt = op_getsockopt,
        .sendmsg = op_sendmsg,
        .recvmsg = op_recvmsg,
};

long netlink_socket(int type, int protocol, struct sock **out)
{
	struct netlink *nl;

	if (type != SOCK_RAW && type != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (protocol != NL_ROUTE)
		return -EPROTONOSUPPORT;
	nl = pool_get(&g_netlinks);
	if (!nl)
		return -ENFILE;
	sock_init(&nl->sock, &g_netlink_ops, &g_netlink_sock_ops, AF_NETLINK, type,
	          protocol);
	*out = &nl->sock;
	return 0;
}
