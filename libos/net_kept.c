/* SPDX-License-Identifier: MIT */
/*
 * The options that netd took, for its next instance.
 *
 * One entry an option, with its last value; one a group that was joined.  So their
 * number is bounded by the options there are and the groups netd allows a socket.
 */
#include "libos/net.h"

#include <netinet/in.h>
#include <string.h>

enum group { NO_GROUP, JOIN, LEAVE };

static enum group group_of(const struct kept_opt *o)
{
	if (o->level == IPPROTO_IP && o->name == IP_ADD_MEMBERSHIP)
		return JOIN;
	if (o->level == IPPROTO_IP && o->name == IP_DROP_MEMBERSHIP)
		return LEAVE;
	if (o->level == IPPROTO_IPV6 && o->name == IPV6_JOIN_GROUP)
		return JOIN;
	return o->level == IPPROTO_IPV6 && o->name == IPV6_LEAVE_GROUP ? LEAVE : NO_GROUP;
}

/* Group and interface's number: a struct ip_mreq has none. */
static bool same_group(const struct kept_opt *a, const struct kept_opt *b)
{
	struct ip_mreqn x = {0}, y = {0};

	if (a->level != b->level)
		return false;
	if (a->level == IPPROTO_IPV6)
		return memcmp(a->val, b->val, sizeof(struct ipv6_mreq)) == 0;
	memcpy(&x, a->val, a->len < sizeof(x) ? a->len : sizeof(x));
	memcpy(&y, b->val, b->len < sizeof(y) ? b->len : sizeof(y));
	return x.imr_multiaddr.s_addr == y.imr_multiaddr.s_addr &&
	       x.imr_ifindex == y.imr_ifindex;
}

static bool same(const struct kept_opt *have, const struct kept_opt *o)
{
	if (group_of(o) != NO_GROUP)
		return group_of(have) == JOIN && same_group(have, o);
	return have->level == o->level && have->name == o->name;
}

void net_opt_keep_locked(struct nsock *ns, struct kept_opt *o)
{
	struct kept_opt **p = &ns->kept;

	while (*p && !same(*p, o))
		p = &(*p)->next;
	if (*p) {
		struct kept_opt *old = *p;

		o->next = old->next;
		*p = o;
		pool_put(&g_net_opts, old);
	} else {
		o->next = NULL;
		*p = o;
	}
	if (group_of(o) == LEAVE) {
		*p = o->next;
		pool_put(&g_net_opts, o);
	}
}

struct at {
	unsigned i;
	struct kept_opt *out;
	bool found;
};

static void copy_at(struct nsock *ns, void *arg)
{
	struct at *at = arg;
	const struct kept_opt *o;

	lock_take(&ns->lock);
	o = ns->kept;
	for (unsigned i = 0; o && i < at->i; i++)
		o = o->next;
	at->found = o != NULL;
	if (o)
		*at->out = *o;
	lock_drop(&ns->lock);
}

bool net_opt_at(uint32_t handle, unsigned i, struct kept_opt *o)
{
	struct at at = {i, o, false};

	return net_with(handle, copy_at, &at) && at.found;
}

void net_opts_drop(struct nsock *ns)
{
	struct kept_opt *o, *next;

	for (o = ns->kept; o; o = next) {
		next = o->next;
		pool_put(&g_net_opts, o);
	}
	ns->kept = NULL;
}
