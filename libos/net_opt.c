/* SPDX-License-Identifier: MIT */
/*
 * Socket options of the net client: the guest's own in a table, the rest netd's.
 *
 * Options that a server sets on every connection and that cannot fail are posted,
 * not called.
 */
#include "libos/net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/* Options that are bits of nsock.opts. */
static const struct {
	int level, name;
	uint32_t bit;
} g_bits[] = {
        {IPPROTO_IP, IP_PKTINFO, NSO_PKTINFO},
        {IPPROTO_IPV6, IPV6_RECVPKTINFO, NSO_PKTINFO6},
        {IPPROTO_IP, IP_RECVTTL, NSO_RECVTTL},
        {IPPROTO_IP, IP_RECVTOS, NSO_RECVTOS},
        {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, NSO_RECVHOPS6},
        {IPPROTO_IPV6, IPV6_RECVTCLASS, NSO_RECVTCLASS6},
        {SOL_SOCKET, SO_TIMESTAMP, NSO_TIMESTAMP},
        {SOL_SOCKET, SO_TIMESTAMPNS, NSO_TIMESTAMPNS},
};

/* int options that take any value: netd cannot refuse them. */
static const struct {
	int level, name;
} g_posted[] = {
        {IPPROTO_TCP, TCP_NODELAY},
        {IPPROTO_TCP, TCP_CORK},
        {IPPROTO_TCP, TCP_QUICKACK},
        {SOL_SOCKET, SO_KEEPALIVE},
};

static uint32_t bit_of(int level, int name)
{
	for (size_t i = 0; i < sizeof(g_bits) / sizeof(g_bits[0]); i++)
		if (g_bits[i].level == level && g_bits[i].name == name)
			return g_bits[i].bit;
	return 0;
}

static bool is_posted(const struct nsock *ns, int level, int name)
{
	if (ns->s.type != SOCK_STREAM)
		return false;
	for (size_t i = 0; i < sizeof(g_posted) / sizeof(g_posted[0]); i++)
		if (g_posted[i].level == level && g_posted[i].name == name)
			return true;
	return false;
}

struct bytes {
	const uint8_t *from;
	uint8_t *to;
	uint32_t used;
};

static int from_bytes(void *arg, void *ring, size_t n)
{
	struct bytes *b = arg;

	if (!ring) { /* sent again */
		b->used -= (uint32_t)n;
		return 0;
	}
	memcpy(ring, b->from + b->used, n);
	b->used += (uint32_t)n;
	return 0;
}

static int to_bytes(void *arg, void *ring, size_t n)
{
	struct bytes *b = arg;

	memcpy(b->to + b->used, ring, n);
	b->used += (uint32_t)n;
	return 0;
}

static struct kept_opt *opt_new(int level, int name, const void *val, uint32_t len)
{
	struct kept_opt *o = pool_get(&g_net_opts);

	if (!o)
		return NULL;
	o->level = level;
	o->name = name;
	o->len = len < sizeof(o->val) ? len : (uint32_t)sizeof(o->val);
	memcpy(o->val, val, o->len);
	return o;
}

/* Kept first: what is kept too early is only set twice. */
static int post_opt(struct nsock *ns, struct kept_opt *o, const void *val, uint32_t len)
{
	struct bytes b = {.from = val};
	Net__OptReq req = NET__OPT_REQ__INIT;

	req.handle = ns->handle;
	req.level = (uint32_t)o->level;
	req.name = (uint32_t)o->name;
	req.len = len;
	lock_take(&ns->lock);
	net_opt_keep_locked(ns, o);
	lock_drop(&ns->lock);
	return rpc_post(&g_net_chan, 6, &req.base, from_bytes, &b, len);
}

void net_opt_call(uint32_t handle, const struct kept_opt *o, const void *val, uint32_t len,
                  struct rpc_call *call)
{
	struct bytes b = {.from = val};
	Net__OptReq req = NET__OPT_REQ__INIT;

	req.handle = handle;
	req.level = (uint32_t)o->level;
	req.name = (uint32_t)o->name;
	req.len = len;
	rpc_call_init(call);
	call->source = from_bytes;
	call->source_arg = &b;
	call->source_len = len;
	net__net__set_opt(rpc_service(&g_net_chan), &req,
	                  (Net__Empty_Closure)rpc_reply_taken, call);
}

/* One try; true: again. */
static bool set_once(struct nsock *ns, struct kept_opt **o, const void *val, uint32_t len,
                     int *err)
{
	struct rpc_call call;
	bool again;

	*err = net_ensure(ns);
	if (*err < 0)
		return false;
	net_opt_call(ns->handle, *o, val, len, &call);
	*err = call.err;
	lock_take(&ns->lock);
	again = net_again_locked(ns, &call);
	if (!again && !call.err) {
		net_opt_keep_locked(ns, *o);
		*o = NULL;
	}
	lock_drop(&ns->lock);
	return again;
}

static long forward_set(struct nsock *ns, int level, int name, const void *val,
                        uint32_t len)
{
	struct kept_opt *o;
	int err;

	if (len > SOCK_OPT_MAX)
		return -EINVAL;
	o = opt_new(level, name, val, len);
	if (!o)
		return -ENOBUFS;
	if (len >= sizeof(int) && is_posted(ns, level, name)) {
		err = post_opt(ns, o, val, len);
	} else {
		while (set_once(ns, &o, val, len, &err))
			continue;
		if (o)
			pool_put(&g_net_opts, o);
	}
	return err == -EIO ? -ENETDOWN : err;
}

static long set_linger(struct nsock *ns, const void *val, uint32_t len)
{
	struct linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, val, sizeof(l));
	lock_take(&ns->lock);
	ns->linger_on = l.l_onoff != 0;
	ns->linger_s = l.l_linger < 0 ? 0 : l.l_linger > 3600 ? 3600 : l.l_linger;
	lock_drop(&ns->lock);
	return forward_set(ns, SOL_SOCKET, SO_LINGER, val, len);
}

static void set_bit(struct nsock *ns, uint32_t bit, bool on)
{
	if (on)
		atomic_fetch_or(&ns->opts, bit);
	else
		atomic_fetch_and(&ns->opts, ~bit);
}

/* netd judges each datagram, but its word would come late for the usual one. */
static long set_broadcast(struct nsock *ns, const void *val, uint32_t len)
{
	const long r = forward_set(ns, SOL_SOCKET, SO_BROADCAST, val, len);
	int on;

	if (r < 0)
		return r;
	memcpy(&on, val, sizeof(on)); /* netd took it: as long as that */
	set_bit(ns, NSO_BROADCAST, on != 0);
	return 0;
}

/* Datagrams that may not be cut up: one that is too large is told of at once. */
static long set_discover(struct nsock *ns, int level, int name, const void *val, uint32_t len)
{
	const long r = forward_set(ns, level, name, val, len);
	const int how = len ? *(const uint8_t *)val : 0;

	if (r == 0)
		set_bit(ns, NSO_WHOLE, how == IP_PMTUDISC_DO || how == IP_PMTUDISC_PROBE);
	return r;
}

long net_setsockopt(struct sock *s, int level, int name, const void *val, uint32_t len)
{
	struct nsock *ns = nsock_of(s);
	const uint32_t bit = bit_of(level, name);

	if (bit) {
		int on;

		if (len < sizeof(on))
			return -EINVAL;
		memcpy(&on, val, sizeof(on));
		set_bit(ns, bit, on != 0);
		return 0;
	}
	if (level == SOL_SOCKET && name == SO_LINGER)
		return set_linger(ns, val, len);
	if (level == SOL_SOCKET && name == SO_BINDTODEVICE)
		return -EPERM;
	if (level == SOL_SOCKET && name == SO_BROADCAST)
		return set_broadcast(ns, val, len);
	if ((level == IPPROTO_IP && name == IP_MTU_DISCOVER) ||
	    (level == IPPROTO_IPV6 && name == IPV6_MTU_DISCOVER))
		return set_discover(ns, level, name, val, len);
	return forward_set(ns, level, name, val, len);
}

static long put_int(void *val, uint32_t *len, int v)
{
	if (*len > sizeof(v))
		*len = sizeof(v);
	memcpy(val, &v, *len);
	return 0;
}

static bool get_once(struct nsock *ns, int level, int name, struct bytes *b, uint32_t len,
                     int *err)
{
	struct rpc_call call;
	Net__OptReq req = NET__OPT_REQ__INIT;
	bool again;

	*err = net_ensure(ns);
	if (*err < 0)
		return false;
	b->used = 0;
	req.handle = ns->handle;
	req.level = (uint32_t)level;
	req.name = (uint32_t)name;
	req.len = len;
	rpc_call_init(&call);
	call.sink = to_bytes;
	call.sink_arg = b;
	call.sink_cap = len;
	net__net__get_opt(rpc_service(&g_net_chan), &req,
	                  (Net__Empty_Closure)rpc_reply_taken, &call);
	*err = call.err;
	lock_take(&ns->lock);
	again = call.err && net_again_locked(ns, &call);
	lock_drop(&ns->lock);
	return again;
}

static long forward_get(struct nsock *ns, int level, int name, void *val, uint32_t *len)
{
	struct bytes b = {.to = val};
	int err;

	while (get_once(ns, level, name, &b, *len, &err))
		continue;
	if (err)
		return err == -EIO ? -ENETDOWN : err;
	*len = b.used;
	return 0;
}

long net_outq(struct nsock *ns)
{
	uint32_t n = 0, len = sizeof(n);
	const long r =
	        forward_get(ns, NET__OWN__OWN_LEVEL, NET__OWN__OWN_OUTQ, &n, &len);

	return r < 0 ? r : (long)n;
}

long net_getsockopt(struct sock *s, int level, int name, void *val, uint32_t *len)
{
	struct nsock *ns = nsock_of(s);
	const uint32_t bit = bit_of(level, name);

	if (bit)
		return put_int(val, len, (atomic_load(&ns->opts) & bit) != 0);
	if (level == SOL_SOCKET && name == SO_ERROR)
		return put_int(val, len, -nsock_take_err(ns));
	if (level == SOL_SOCKET && name == SO_ACCEPTCONN)
		return put_int(val, len, atomic_load(&ns->state) == NS_LISTEN);
	return forward_get(ns, level, name, val, len);
}
