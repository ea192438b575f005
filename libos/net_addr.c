/* SPDX-License-Identifier: MIT */
/* Addresses: the program's form (sockaddr), ours, and the wire's. */
#include "libos/net.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

int net_addr_in(const struct nsock *ns, const struct sock_name *name, struct net_addr *a)
{
	memset(a, 0, sizeof(*a));
	if (name->len < sizeof(name->family))
		return -EINVAL;
	if (ns->s.domain == AF_INET) {
		const struct sockaddr_in *in = (const void *)name->data;

		if (name->len < sizeof(*in))
			return -EINVAL;
		/* Linux takes AF_UNSPEC for it but in connect(), which never comes here with it */
		if (in->sin_family != AF_INET && in->sin_family != AF_UNSPEC)
			return -EAFNOSUPPORT;
		memcpy(a->ip, &in->sin_addr, 4);
		a->len = 4;
		a->port = ntohs(in->sin_port);
		return 0;
	}
	const struct sockaddr_in6 *in6 = (const void *)name->data;

	if (name->len < 24) /* without the scope, as Linux takes it */
		return -EINVAL;
	if (in6->sin6_family != AF_INET6)
		return -EAFNOSUPPORT;
	memcpy(a->ip, &in6->sin6_addr, 16);
	a->len = 16;
	a->port = ntohs(in6->sin6_port);
	a->scope = name->len >= sizeof(*in6) ? in6->sin6_scope_id : 0;
	return 0;
}

int net_addr_in_dgram(const struct nsock *ns, const struct sock_name *name,
                      struct net_addr *a)
{
	const struct sockaddr_in *in = (const void *)name->data;

	if (ns->s.protocol != IPPROTO_UDP || ns->s.domain != AF_INET6 ||
	    name->len < sizeof(name->family) || in->sin_family != AF_INET)
		return net_addr_in(ns, name, a);
	if (name->len < sizeof(*in))
		return -EINVAL;
	memset(a, 0, sizeof(*a));
	a->ip[10] = a->ip[11] = 0xff;
	memcpy(a->ip + 12, &in->sin_addr, 4);
	a->len = 16;
	a->port = ntohs(in->sin_port);
	return 0;
}

void net_addr_out(const struct nsock *ns, const struct net_addr *a, struct sock_name *name)
{
	memset(name->data, 0, sizeof(struct sockaddr_in6));
	if (ns->s.domain == AF_INET) {
		struct sockaddr_in *in = (void *)name->data;

		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->ip, 4);
		name->len = sizeof(*in);
		return;
	}
	struct sockaddr_in6 *in6 = (void *)name->data;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(a->port);
	memcpy(&in6->sin6_addr, a->ip, 16);
	in6->sin6_scope_id = a->scope;
	name->len = sizeof(*in6);
}

void net_addr_wire(struct net_addr *a, Net__Addr *w)
{
	net__addr__init(w);
	w->ip = (ProtobufCBinaryData){a->len, a->ip};
	w->port = a->port;
	w->scope = a->scope;
}

bool net_addr_unwire(const Net__Addr *w, struct net_addr *a)
{
	memset(a, 0, sizeof(*a));
	if (!w || (w->ip.len != 4 && w->ip.len != 16) || w->port > 65535)
		return false;
	memcpy(a->ip, w->ip.data, w->ip.len);
	a->len = (uint8_t)w->ip.len;
	a->port = (uint16_t)w->port;
	a->scope = w->scope;
	return true;
}
