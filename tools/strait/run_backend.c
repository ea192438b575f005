/* SPDX-License-Identifier: MIT */
/*
 * run_backend.c - whose TCP/IP an instance of netd uses: lwIP on the TAP, or a kernel's.
 *
 * With --net host that is the machine's kernel, for good.  With --net lwip a swap may
 * change from one to the other: the next instance then uses the kernel's sockets in the
 * guest's own network namespace, at whose end of the TAP lwIP was.  So the guest keeps
 * its address, which becomes one of that kernel's; published ports, names and the way
 * out go on as they are; and the guest reaches nothing that it did not reach before.
 *
 *      lwip:  program - netd (lwIP, .2) - TAP - (.1) kernel of the namespace - ports, way out
 *      host:  program - netd - sockets - (.1, .2) kernel of the namespace - ports, way out
 *
 * The address is the kernel's from before the first guest comes to an instance on it,
 * and until after the last one has ended: with both at once nobody would get answers.
 */
#include "tools/strait/nl.h"
#include "tools/strait/run.h"

#include <string.h>
#include <unistd.h>

#define LOOPBACK 1 /* the index of "lo" in every namespace */

void backend_init(struct run *r)
{
	r->netns_fd = r->netns_nl = -1;
	r->service[SERVICE_NETD].cur.kernel = r->o.net == NET_HOST;
}

/* Takes both. */
void backend_keep(struct run *r, int netns_fd, int nl)
{
	r->netns_fd = netns_fd;
	r->netns_nl = nl;
}

void backend_fini(struct run *r)
{
	if (r->netns_fd >= 0)
		close(r->netns_fd);
	if (r->netns_nl >= 0)
		close(r->netns_nl);
	r->netns_fd = r->netns_nl = -1;
}

/* What is against it; NULL: nothing. */
const char *backend_against(const struct run *r, const struct service *s, bool kernel)
{
	if (s != &r->service[SERVICE_NETD])
		return "--backend is netd's alone";
	if (kernel == s->cur.kernel)
		return NULL;
	if (r->o.net == NET_HOST)
		return "it runs with --net host: it has no network of its own that lwip could serve";
	return r->netns_fd < 0 ? "its network cannot be entered" : NULL;
}

int backend_take(struct run *r, const struct service *s, const struct instance *i)
{
	struct in_addr a4 = net_plan_addr4(&r->net, 2);
	struct in6_addr a6 = net_plan_addr6(&r->net, 2);
	int err;

	if (s != &r->service[SERVICE_NETD] || r->o.net != NET_LWIP ||
	    i->kernel == r->kernel_has_address)
		return 0;
	err = i->kernel ? nl_addr4(r->netns_nl, LOOPBACK, a4, 32)
	                : nl_addr4_delete(r->netns_nl, LOOPBACK, a4, 32);
	if (err)
		return err;
	r->kernel_has_address = i->kernel;
	/* A kernel without IPv6 leaves us IPv4. */
	if (i->kernel)
		(void)nl_addr6(r->netns_nl, LOOPBACK, &a6, 128);
	else
		(void)nl_addr6_delete(r->netns_nl, LOOPBACK, &a6, 128);
	return 0;
}
