/* SPDX-License-Identifier: MIT */
/*
 * nl.c - the few netlink requests that a guest's network needs.
 *
 * One request, one answer: each carries NLM_F_ACK and waits for it.
 */
#include "tools/strait/nl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int nl_open(int protocol)
{
	int one = 1;
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (s < 0)
		return -errno;
	/* The answer to a bad request need not repeat it. */
	(void)setsockopt(s, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	return s;
}

static void append(struct nl_req *r, const void *p, uint32_t n)
{
	uint32_t room = NLMSG_ALIGN(n);

	if (r->full || sizeof(r->buf) - r->len < room) {
		r->full = true;
		return;
	}
	memset(r->buf + r->len, 0, room);
	if (n)
		memcpy(r->buf + r->len, p, n);
	r->len += room;
}

void nl_begin(struct nl_req *r, uint16_t type, uint16_t flags, const void *head,
              uint32_t head_len)
{
	struct nlmsghdr h = {
		.nlmsg_type = type,
		.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
	};

	r->len = 0;
	r->full = false;
	append(r, &h, sizeof(h));
	append(r, head, head_len);
}

void nl_attr(struct nl_req *r, uint16_t type, const void *p, uint32_t n)
{
	struct rtattr a = { .rta_len = (uint16_t)RTA_LENGTH(n), .rta_type = type };

	append(r, &a, sizeof(a));
	append(r, p, n);
}

void nl_attr_u32(struct nl_req *r, uint16_t type, uint32_t v)
{
	nl_attr(r, type, &v, sizeof(v));
}

void nl_attr_str(struct nl_req *r, uint16_t type, const char *s)
{
	nl_attr(r, type, s, (uint32_t)strlen(s) + 1);
}

uint32_t nl_nest(struct nl_req *r, uint16_t type)
{
	uint32_t at = r->len;

	nl_attr(r, type | NLA_F_NESTED, NULL, 0);
	return at;
}

void nl_nest_end(struct nl_req *r, uint32_t at)
{
	uint16_t len = (uint16_t)(r->len - at);

	if (!r->full)
		memcpy(r->buf + at, &len, sizeof(len));
}

int nl_call(int sock, struct nl_req *r)
{
	_Alignas(8) uint8_t answer[8192];
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)r->buf;
	ssize_t n;

	if (r->full)
		return -EMSGSIZE;
	h->nlmsg_len = r->len;
	h->nlmsg_flags |= NLM_F_ACK;
	if (send(sock, r->buf, r->len, 0) < 0)
		return -errno;
	do {
		n = recv(sock, answer, sizeof(answer), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	h = (struct nlmsghdr *)(void *)answer;
	if (!NLMSG_OK(h, (size_t)n) || h->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
}

int nl_link_index(int sock, const char *name)
{
	struct nl_req r;
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };
	_Alignas(8) uint8_t answer[16384];
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)r.buf;

	nl_begin(&r, RTM_GETLINK, 0, &i, sizeof(i));
	nl_attr_str(&r, IFLA_IFNAME, name);
	h->nlmsg_len = r.len;
	if (send(sock, r.buf, r.len, 0) < 0)
		return -errno;
	ssize_t n = recv(sock, answer, sizeof(answer), 0);

	if (n < 0)
		return -errno;
	h = (struct nlmsghdr *)(void *)answer;
	if (!NLMSG_OK(h, (size_t)n))
		return -EPROTO;
	if (h->nlmsg_type == NLMSG_ERROR)
		return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
	return ((struct ifinfomsg *)NLMSG_DATA(h))->ifi_index;
}

int nl_link_up(int sock, int index, uint32_t mtu, uint32_t txqlen)
{
	struct nl_req r;
	struct ifinfomsg i = {
		.ifi_family = AF_UNSPEC,
		.ifi_index = index,
		.ifi_flags = IFF_UP,
		.ifi_change = IFF_UP,
	};

	nl_begin(&r, RTM_NEWLINK, 0, &i, sizeof(i));
	if (mtu)
		nl_attr_u32(&r, IFLA_MTU, mtu);
	if (txqlen)
		nl_attr_u32(&r, IFLA_TXQLEN, txqlen);
	return nl_call(sock, &r);
}

int nl_link_down(int sock, int index)
{
	struct nl_req r;
	struct ifinfomsg i = {
		.ifi_family = AF_UNSPEC,
		.ifi_index = index,
		.ifi_change = IFF_UP,
	};

	nl_begin(&r, RTM_NEWLINK, 0, &i, sizeof(i));
	return nl_call(sock, &r);
}

int nl_link_veth(int sock, const char *name, const char *peer, int netns_fd, uint32_t mtu)
{
	struct nl_req r;
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };

	nl_begin(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof(i));
	nl_attr_str(&r, IFLA_IFNAME, name);
	nl_attr_u32(&r, IFLA_MTU, mtu);
	uint32_t info = nl_nest(&r, IFLA_LINKINFO);

	nl_attr_str(&r, IFLA_INFO_KIND, "veth");
	uint32_t data = nl_nest(&r, IFLA_INFO_DATA);
	uint32_t at = nl_nest(&r, VETH_INFO_PEER);

	append(&r, &i, sizeof(i));
	nl_attr_str(&r, IFLA_IFNAME, peer);
	nl_attr_u32(&r, IFLA_MTU, mtu);
	nl_attr_u32(&r, IFLA_NET_NS_FD, (uint32_t)netns_fd);
	nl_nest_end(&r, at);
	nl_nest_end(&r, data);
	nl_nest_end(&r, info);
	return nl_call(sock, &r);
}

int nl_link_delete(int sock, const char *name)
{
	struct nl_req r;
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };

	nl_begin(&r, RTM_DELLINK, 0, &i, sizeof(i));
	nl_attr_str(&r, IFLA_IFNAME, name);
	return nl_call(sock, &r);
}

static int change_addr(int sock, uint16_t type, int index, uint8_t family, const void *a,
                       unsigned prefix)
{
	const uint32_t len = family == AF_INET6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
	struct nl_req r;
	struct ifaddrmsg m = {
		.ifa_family = family,
		.ifa_prefixlen = (uint8_t)prefix,
		.ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0, /* usable at once */
		.ifa_index = (uint32_t)index,
	};

	nl_begin(&r, type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0, &m, sizeof(m));
	nl_attr(&r, IFA_LOCAL, a, len);
	nl_attr(&r, IFA_ADDRESS, a, len);
	return nl_call(sock, &r);
}

int nl_addr4(int sock, int index, struct in_addr a, unsigned prefix)
{
	return change_addr(sock, RTM_NEWADDR, index, AF_INET, &a, prefix);
}

int nl_addr6(int sock, int index, const struct in6_addr *a, unsigned prefix)
{
	return change_addr(sock, RTM_NEWADDR, index, AF_INET6, a, prefix);
}

int nl_addr4_delete(int sock, int index, struct in_addr a, unsigned prefix)
{
	return change_addr(sock, RTM_DELADDR, index, AF_INET, &a, prefix);
}

int nl_addr6_delete(int sock, int index, const struct in6_addr *a, unsigned prefix)
{
	return change_addr(sock, RTM_DELADDR, index, AF_INET6, a, prefix);
}

static int add_route(int sock, int index, uint8_t family, const void *dst, unsigned prefix,
                     const void *via, uint32_t len, uint32_t metric)
{
	struct nl_req r;
	struct rtmsg m = {
		.rtm_family = family,
		.rtm_dst_len = dst ? (uint8_t)prefix : 0,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
	};

	nl_begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &m, sizeof(m));
	if (dst)
		nl_attr(&r, RTA_DST, dst, len);
	if (via)
		nl_attr(&r, RTA_GATEWAY, via, len);
	if (metric)
		nl_attr_u32(&r, RTA_PRIORITY, metric);
	nl_attr_u32(&r, RTA_OIF, (uint32_t)index);
	return nl_call(sock, &r);
}

int nl_route4(int sock, int index, const struct in_addr *dst, unsigned prefix,
              struct in_addr via)
{
	return add_route(sock, index, AF_INET, dst, prefix, &via, sizeof(via), 0);
}

int nl_route6(int sock, int index, const struct in6_addr *dst, unsigned prefix,
              const struct in6_addr *via)
{
	return add_route(sock, index, AF_INET6, dst, prefix, via, sizeof(*via), 0);
}

int nl_default4(int sock, int index, uint32_t metric)
{
	return add_route(sock, index, AF_INET, NULL, 0, NULL, 4, metric);
}

int nl_default6(int sock, int index, uint32_t metric)
{
	return add_route(sock, index, AF_INET6, NULL, 0, NULL, 16, metric);
}

/* The IPv4 network in an answer to RTM_GETADDR or RTM_GETROUTE. */
static bool net4_of(struct nlmsghdr *h, uint32_t *net, unsigned *prefix)
{
	bool addr = h->nlmsg_type == RTM_NEWADDR;
	struct ifaddrmsg *am = NLMSG_DATA(h);
	struct rtmsg *rm = NLMSG_DATA(h);
	struct rtattr *a = addr ? IFA_RTA(am) : RTM_RTA(rm);
	unsigned len = (unsigned)(addr ? IFA_PAYLOAD(h) : RTM_PAYLOAD(h));

	*prefix = addr ? am->ifa_prefixlen : rm->rtm_dst_len;
	if ((addr ? am->ifa_family : rm->rtm_family) != AF_INET || !*prefix)
		return false;
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == (addr ? IFA_ADDRESS : RTA_DST)) {
			memcpy(net, RTA_DATA(a), sizeof(*net));
			*net = ntohl(*net);
			return true;
		}
	return false;
}

static int each(int sock, uint16_t type, void (*fn)(void *, uint32_t, unsigned), void *ctx)
{
	struct nl_req r;
	struct rtmsg m = { .rtm_family = AF_INET };
	_Alignas(8) static uint8_t answer[65536];

	nl_begin(&r, type, NLM_F_DUMP, &m, sizeof(m));
	((struct nlmsghdr *)(void *)r.buf)->nlmsg_len = r.len;
	if (send(sock, r.buf, r.len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(sock, answer, sizeof(answer), 0);
		struct nlmsghdr *h = (struct nlmsghdr *)(void *)answer;
		uint32_t net;
		unsigned prefix;

		if (n < 0)
			return -errno;
		for (size_t left = (size_t)n; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (net4_of(h, &net, &prefix))
				fn(ctx, net, prefix);
		}
	}
}

int nl_each_net4(int sock, void (*fn)(void *ctx, uint32_t net, unsigned prefix), void *ctx)
{
	int err = each(sock, RTM_GETADDR, fn, ctx);

	return err ? err : each(sock, RTM_GETROUTE, fn, ctx);
}
