/* SPDX-License-Identifier: MIT */
/*
 * host_dgram.c - datagrams and addresses of the host stack.
 */
#include "services/netd/host.h"
#include "services/netd/info.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdlib.h>
#include <sys/socket.h>

#define IFACES_MAX 4u /* as many as a reply has room for */
#define ADDRS_MAX 3u

socklen_t host_to_kernel(const struct sock *s, const struct naddr *a,
                         struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (void *)out;
	struct sockaddr_in6 *in6 = (void *)out;

	memset(out, 0, sizeof(*out));
	if (s->domain == AF_INET) {
		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->ip, 4);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(a->port);
	in6->sin6_scope_id = a->scope;
	if (a->len == 4) {
		in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
		memcpy(in6->sin6_addr.s6_addr + 12, a->ip, 4);
	} else {
		memcpy(&in6->sin6_addr, a->ip, 16);
	}
	return sizeof(*in6);
}

void host_from_kernel(const struct sockaddr_storage *ss, struct naddr *a)
{
	const struct sockaddr_in *in = (const void *)ss;
	const struct sockaddr_in6 *in6 = (const void *)ss;

	memset(a, 0, sizeof(*a));
	if (ss->ss_family == AF_INET) {
		a->len = 4;
		a->port = ntohs(in->sin_port);
		memcpy(a->ip, &in->sin_addr, 4);
	} else if (ss->ss_family == AF_INET6) {
		a->port = ntohs(in6->sin6_port);
		a->scope = in6->sin6_scope_id;
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			a->len = 4;
			memcpy(a->ip, in6->sin6_addr.s6_addr + 12, 4);
		} else {
			a->len = 16;
			memcpy(a->ip, &in6->sin6_addr, 16);
		}
	}
}

static void option_on(int fd, int level, int name)
{
	const int on = 1;

	(void)setsockopt(fd, level, name, &on,
	                 sizeof(on)); /* the guest then reads zeroes */
}

void host_dgram_setup(struct hsock *h)
{
	if (h->s.domain == AF_INET6) {
		option_on(h->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
		option_on(h->fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
		option_on(h->fd, IPPROTO_IPV6, IPV6_RECVTCLASS);
	}
	option_on(h->fd, IPPROTO_IP, IP_PKTINFO);
	option_on(h->fd, IPPROTO_IP, IP_RECVTTL);
	option_on(h->fd, IPPROTO_IP, IP_RECVTOS);
}

struct send_ctl {
	size_t len;
	union {
		struct cmsghdr align;
		uint8_t buf[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
		            2 * CMSG_SPACE(sizeof(int))];
	} u; /* last: clang counts a cmsghdr as of variable size */
};

static void add_cmsg(struct send_ctl *c, int level, int type, const void *data,
                     size_t len)
{
	struct cmsghdr h = {
	        .cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len)};

	memcpy(c->u.buf + c->len, &h, sizeof(h));
	memcpy(c->u.buf + c->len + CMSG_LEN(0), data, len);
	c->len += CMSG_SPACE(len);
}

/* What the datagram asks for beyond its socket's options. */
static void fill_ctl(const struct sock *s, const struct dgram *d, struct send_ctl *c)
{
	const bool six = s->domain == AF_INET6,
	           from = d->local.len && !naddr_any(&d->local);
	const int ttl = (int)d->ttl, tos = (int)d->tos;

	memset(c, 0, sizeof(*c));
	if ((from || d->ifindex) && six && d->local.len != 4) {
		struct in6_pktinfo info = {.ipi6_ifindex = d->ifindex};

		memcpy(&info.ipi6_addr, d->local.ip, 16);
		add_cmsg(c, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	} else if ((from || d->ifindex) && !six) {
		struct in_pktinfo info = {.ipi_ifindex = (int)d->ifindex};

		memcpy(&info.ipi_spec_dst, d->local.ip, 4);
		add_cmsg(c, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (ttl)
		add_cmsg(c, six ? IPPROTO_IPV6 : IPPROTO_IP,
		         six ? IPV6_HOPLIMIT : IP_TTL, &ttl, sizeof(ttl));
	if (tos)
		add_cmsg(c, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_TCLASS : IP_TOS,
		         &tos, sizeof(tos));
}

int host_dgram_send(struct sock *s, const struct dgram *d)
{
	struct hsock *h = hsock_of(s);
	struct sockaddr_storage ss;
	struct send_ctl ctl;
	struct iovec io = d->io[0];
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};

	if (d->peer.len) {
		m.msg_name = &ss;
		m.msg_namelen = host_to_kernel(s, &d->peer, &ss);
	}
	fill_ctl(s, d, &ctl);
	if (ctl.len) {
		m.msg_control = ctl.u.buf;
		m.msg_controllen = ctl.len;
	}
	if (sendmsg(h->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return errno == EAGAIN ? 0
		                       : -errno; /* no room: lost, as in any network */
	return 0;
}

static void take_cmsg(const struct cmsghdr *c, struct host_dgram *d)
{
	struct in_pktinfo v4;
	struct in6_pktinfo v6;
	int v;

	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		memcpy(&v4, CMSG_DATA(c), sizeof(v4));
		d->ifindex = (uint32_t)v4.ipi_ifindex;
		d->local.len = 4;
		memcpy(d->local.ip, &v4.ipi_addr, 4);
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&v6, CMSG_DATA(c), sizeof(v6));
		d->ifindex = v6.ipi6_ifindex;
		if (IN6_IS_ADDR_V4MAPPED(&v6.ipi6_addr)) {
			d->local.len = 4;
			memcpy(d->local.ip, v6.ipi6_addr.s6_addr + 12, 4);
		} else {
			d->local.len = 16;
			memcpy(d->local.ip, &v6.ipi6_addr, 16);
		}
	} else if (c->cmsg_len >= CMSG_LEN(sizeof(v))) {
		memcpy(&v, CMSG_DATA(c), sizeof(v));
		if (c->cmsg_type ==
		    (c->cmsg_level == IPPROTO_IP ? IP_TTL : IPV6_HOPLIMIT))
			d->ttl = (uint32_t)v;
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
			d->tos = (uint32_t)v;
	} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
		d->tos = *CMSG_DATA(c);
	}
}

/* The next datagram of the kernel, into h->stash. */
static void receive(struct hsock *h)
{
	static uint8_t buf[65536];
	struct sockaddr_storage ss;
	union {
		struct cmsghdr align;
		uint8_t buf[512];
	} ctl;
	struct iovec io = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &ss,
	                   .msg_namelen = sizeof(ss),
	                   .msg_iov = &io,
	                   .msg_iovlen = 1,
	                   .msg_control = ctl.buf,
	                   .msg_controllen = sizeof(ctl.buf)};
	const ssize_t n = recvmsg(h->fd, &m, MSG_DONTWAIT);
	struct host_dgram *d;

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			sock_error(&h->s, errno, false);
		return;
	}
	d = calloc(1, sizeof(*d) + (size_t)n);
	if (!d)
		return;
	host_from_kernel(&ss, &d->peer);
	d->len = (uint32_t)n;
	memcpy(d->data, buf, (size_t)n);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		take_cmsg(c, d);
	d->local.port = h->s.local.port;
	h->stash = d;
}

int host_dgram_peek(struct sock *s, struct dgram *d)
{
	struct hsock *h = hsock_of(s);

	if (!h->stash)
		receive(h);
	if (!h->stash)
		return 0;
	*d = (struct dgram){.peer = h->stash->peer,
	                    .local = h->stash->local,
	                    .ttl = h->stash->ttl,
	                    .tos = h->stash->tos,
	                    .ifindex = h->stash->ifindex,
	                    .len = h->stash->len,
	                    .n_io = 1};
	d->io[0] = (struct iovec){h->stash->data, h->stash->len};
	return 1;
}

void host_dgram_take(struct sock *s)
{
	struct hsock *h = hsock_of(s);

	free(h->stash);
	h->stash = NULL;
}

int host_group(struct sock *s, const struct naddr *g, uint32_t ifindex, bool join)
{
	struct ip_mreqn m4 = {.imr_ifindex = (int)ifindex};
	struct ipv6_mreq m6 = {.ipv6mr_interface = ifindex};
	int r;

	if (g->len == 4) {
		memcpy(&m4.imr_multiaddr, g->ip, 4);
		r = setsockopt(hsock_of(s)->fd, IPPROTO_IP,
		               join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &m4,
		               sizeof(m4));
	} else {
		memcpy(&m6.ipv6mr_multiaddr, g->ip, 16);
		r = setsockopt(hsock_of(s)->fd, IPPROTO_IPV6,
		               join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &m6,
		               sizeof(m6));
	}
	return r < 0 ? -errno : 0;
}

/* ---- Net.Info: read once, at the start; the filter forbids netlink later ---- */

static struct host_iface {
	Net__Iface i;
	char name[IFNAMSIZ];
	uint8_t mac[6], ip4[4], ip6[ADDRS_MAX][16];
	ProtobufCBinaryData list6[ADDRS_MAX];
	uint32_t prefix6[ADDRS_MAX];
} g_ifaces[IFACES_MAX];
static unsigned g_n_ifaces;

static unsigned bits(const uint8_t *mask, unsigned n)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += (unsigned)__builtin_popcount(mask[i]);
	return sum;
}

static struct host_iface *iface_of(const struct ifaddrs *a)
{
	struct host_iface *h = g_ifaces;

	while (h < g_ifaces + g_n_ifaces && strcmp(h->name, a->ifa_name) != 0)
		h++;
	if (h < g_ifaces + g_n_ifaces)
		return h;
	if (g_n_ifaces == IFACES_MAX)
		return NULL;
	g_n_ifaces++;
	net__iface__init(&h->i);
	(void)snprintf(h->name, sizeof(h->name), "%s", a->ifa_name);
	h->i.name = (ProtobufCBinaryData){strlen(h->name), (uint8_t *)h->name};
	h->i.index = if_nametoindex(a->ifa_name);
	h->i.flags = a->ifa_flags;
	h->i.mtu = a->ifa_flags & IFF_LOOPBACK ? 65536 : 1500;
	h->i.ip6 = h->list6;
	h->i.prefix6 = h->prefix6;
	return h;
}

static void iface_addr(struct host_iface *h, const struct ifaddrs *a)
{
	const struct sockaddr_in *in = (const void *)a->ifa_addr,
	                         *mask = (const void *)a->ifa_netmask;
	const struct sockaddr_in6 *in6 = (const void *)a->ifa_addr,
	                          *mask6 = (const void *)a->ifa_netmask;
	const struct sockaddr_ll *ll = (const void *)a->ifa_addr;
	const size_t k = h->i.n_ip6;

	if (a->ifa_addr->sa_family == AF_INET && mask) {
		memcpy(h->ip4, &in->sin_addr, 4);
		h->i.ip4 = (ProtobufCBinaryData){4, h->ip4};
		h->i.prefix4 = bits((const uint8_t *)&mask->sin_addr, 4);
	} else if (a->ifa_addr->sa_family == AF_INET6 && mask6 && k < ADDRS_MAX) {
		memcpy(h->ip6[k], &in6->sin6_addr, 16);
		h->list6[k] = (ProtobufCBinaryData){16, h->ip6[k]};
		h->prefix6[k] = bits((const uint8_t *)&mask6->sin6_addr, 16);
		h->i.n_prefix6 = h->i.n_ip6 = k + 1;
	} else if (a->ifa_addr->sa_family == AF_PACKET && ll->sll_halen == 6) {
		memcpy(h->mac, ll->sll_addr, 6);
		h->i.mac = (ProtobufCBinaryData){6, h->mac};
	}
}

int host_info_start(void)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (const struct ifaddrs *a = list; a; a = a->ifa_next) {
		struct host_iface *h = a->ifa_addr ? iface_of(a) : NULL;

		if (h)
			iface_addr(h, a);
	}
	freeifaddrs(list);
	return 0;
}

int host_info(Net__InfoRep *rep)
{
	static Net__Iface *list[IFACES_MAX];
	static char stack[] = "host";

	for (unsigned i = 0; i < g_n_ifaces; i++)
		list[i] = &g_ifaces[i].i;
	rep->ifaces = list;
	rep->n_ifaces = g_n_ifaces;
	info_common(rep);
	rep->stack = (ProtobufCBinaryData){4, (uint8_t *)stack};
	return 0;
}
