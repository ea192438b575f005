/* SPDX-License-Identifier: MIT */
/*
 * lwip_dgram.c - UDP and the common part of datagram sockets on lwIP.
 *
 * lwIP's own UDP list stays empty: incoming datagrams are given to sockets by
 * the port table (the linker sends udp_input() here), and a struct udp_pcb is
 * only what udp_sendto() reads its settings from.  What no socket wants goes on
 * to lwIP, which answers "port unreachable".
 */
#include "services/netd/errmap.h"
#include "services/netd/lwip_priv.h"
#include "services/netd/tw.h"

#include "lwip/igmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/mld6.h"
#include "lwip/prot/udp.h"

#include <errno.h>
#include <stdlib.h>

void __real_udp_input(struct pbuf *p, struct netif *inp);
void __wrap_udp_input(struct pbuf *p, struct netif *inp);

#define QUEUE_OVERHEAD 512u

/* ---- receiving ---- */

void dgram_append(struct lsock *l, struct rx_dgram *d)
{
	if (l->dq)
		l->dq_tail->next = d;
	else
		l->dq = d;
	l->dq_tail = d;
	l->dq_bytes += d->p->tot_len + QUEUE_OVERHEAD;
}

void dgram_queue(struct lsock *l, struct pbuf *p, const struct naddr *peer,
                 const struct naddr *local)
{
	const uint32_t cost = p->tot_len + QUEUE_OVERHEAD;
	struct rx_dgram *d;

	if (l->s.rx_shut || l->dq_bytes + cost > DGRAM_QUEUE_MAX ||
	    (l->dq && l->dq_bytes + cost > (uint32_t)l->s.opt.rcvbuf)) {
		l->n_dropped++;
		return;
	}
	d = malloc(sizeof(*d));
	if (!d)
		return;
	pbuf_ref(p);
	*d = (struct rx_dgram){.p = p, .peer = *peer, .local = *local};
	if (ip_current_is_v6()) {
		d->ttl = IP6H_HOPLIM(ip6_current_header());
		d->tos = (uint8_t)IP6H_TC(ip6_current_header());
	} else {
		d->ttl = IPH_TTL(ip4_current_header());
		d->tos = IPH_TOS(ip4_current_header());
	}
	d->ifindex = netif_get_index(ip_current_input_netif());
	dgram_append(l, d);
	sock_ready(&l->s, PEND_DATA);
}

int dgram_rx_peek(struct sock *s, struct dgram *d)
{
	const struct rx_dgram *q = lsock_of(s)->dq;
	const unsigned max = sizeof(d->io) / sizeof(d->io[0]);
	struct pbuf *p;

	if (!q)
		return 0;
	*d = (struct dgram){.peer = q->peer,
	                    .local = q->local,
	                    .ttl = q->ttl,
	                    .tos = q->tos,
	                    .ifindex = q->ifindex,
	                    .len = q->p->tot_len};
	for (p = q->p; p && (unsigned)d->n_io < max; p = p->next)
		d->io[d->n_io++] = (struct iovec){p->payload, p->len};
	if (p) { /* reassembled of many fragments: the pieces do not fit */
		static uint8_t flat[65536];

		d->n_io = 1;
		d->io[0] = (struct iovec){
		        flat, pbuf_copy_partial(q->p, flat, q->p->tot_len, 0)};
	}
	return 1;
}

void dgram_rx_take(struct sock *s)
{
	struct lsock *l = lsock_of(s);
	struct rx_dgram *d = l->dq;

	l->dq = d->next;
	if (!l->dq)
		l->dq_tail = NULL;
	l->dq_bytes -= d->p->tot_len + QUEUE_OVERHEAD;
	pbuf_free(d->p);
	free(d);
}

/* How well @l fits a datagram from @peer to @local; -1: not at all. */
static int score(const struct lsock *l, const struct naddr *local,
                 const struct naddr *peer)
{
	const struct naddr *mine = &l->port.addr;
	int points = 0;

	if (mine->len != local->len) { /* a wildcard of IPv6 may take IPv4 */
		if (mine->len != 16 || !naddr_any(mine) || l->s.opt.v6only)
			return -1;
	} else if (!naddr_any(mine)) {
		if (!naddr_same_ip(mine, local))
			return -1;
		points += 2;
	} else {
		points += 1;
	}
	if (l->s.connected) {
		if (l->s.peer.port != peer->port || !naddr_same_ip(&l->s.peer, peer))
			return -1;
		points += 4;
	}
	return points;
}

/* The best socket; among equals (SO_REUSEPORT) one by the peer's address. */
static struct lsock *best_sock(const struct naddr *local, const struct naddr *peer)
{
	struct portbind *b = ports_on(IPPROTO_UDP, local->port);
	struct lsock *best = NULL;
	unsigned equals = 0;
	int top = -1;

	for (; b; b = b->next) {
		struct lsock *l = b->owner;
		int points;

		if (b->proto != IPPROTO_UDP || b->addr.port != local->port)
			continue;
		points = score(l, local, peer);
		if (points > top) {
			top = points;
			best = l;
			equals = 1;
		} else if (points == top && points >= 0) {
			struct tuple t = {.rport = peer->port, .lport = local->port};

			memcpy(t.rip, peer->ip, 16);
			equals++;
			if (tuple_hash(&t) % equals == 0)
				best = l;
		}
	}
	return best;
}

static bool deliver_all(struct pbuf *p, const struct naddr *local,
                        const struct naddr *peer)
{
	struct portbind *b = ports_on(IPPROTO_UDP, local->port);
	bool any = false;

	for (; b; b = b->next) {
		struct lsock *l = b->owner;
		const struct naddr *mine = &b->addr;

		if (b->proto != IPPROTO_UDP || mine->port != local->port)
			continue;
		if (!naddr_any(mine) && !naddr_same_ip(mine, local))
			continue;
		if (l->s.connected &&
		    (l->s.peer.port != peer->port || !naddr_same_ip(&l->s.peer, peer)))
			continue;
		if (mine->len != local->len && (mine->len != 16 || l->s.opt.v6only))
			continue;
		dgram_queue(l, p, peer, local);
		any = true;
	}
	return any;
}

static bool checksum_ok(struct pbuf *p, const struct udp_hdr *h,
                        const struct netif *inp)
{
	if (!(inp->chksum_flags & NETIF_CHECKSUM_CHECK_UDP))
		return true;
	if (h->chksum == 0)
		return !ip_current_is_v6();
	return ip_chksum_pseudo(p, IP_PROTO_UDP, p->tot_len, ip_current_src_addr(),
	                        ip_current_dest_addr()) == 0;
}

void __wrap_udp_input(struct pbuf *p, struct netif *inp)
{
	const struct udp_hdr *h = p->payload;
	struct naddr local, peer;
	struct lsock *l = NULL;
	bool group;
	u16_t len;

	if (p->len < UDP_HLEN) {
		pbuf_free(p);
		return;
	}
	naddr_from_lwip(ip_current_dest_addr(), lwip_ntohs(h->dest), &local);
	naddr_from_lwip(ip_current_src_addr(), lwip_ntohs(h->src), &peer);
	group = ip_addr_ismulticast(ip_current_dest_addr()) ||
	        ip_addr_isbroadcast(ip_current_dest_addr(), ip_current_netif());
	if (!group) {
		l = best_sock(&local, &peer);
		if (!l) {
			__real_udp_input(p, inp);
			return;
		}
	}
	len = lwip_ntohs(h->len);
	if (len < UDP_HLEN || len > p->tot_len || !checksum_ok(p, h, inp)) {
		pbuf_free(p);
		return;
	}
	pbuf_realloc(p, len);                  /* what follows is padding */
	(void)pbuf_remove_header(p, UDP_HLEN); /* p->len was checked */
	if (l)
		dgram_queue(l, p, &peer, &local);
	else
		(void)deliver_all(p, &local, &peer);
	pbuf_free(p);
}

/* ---- sending ---- */

int dgram_open(struct lsock *l)
{
	l->udp = udp_new_ip_type(IPADDR_TYPE_ANY);
	return l->udp ? 0 : -ENOMEM;
}

void dgram_free(struct lsock *l)
{
	while (l->dq)
		dgram_rx_take(&l->s);
	if (l->udp)
		udp_remove(l->udp);
	l->udp = NULL;
}

/* Settings of the socket, for a datagram to @dst. */
static void udp_fill(struct lsock *l, const struct dgram *d, const ip_addr_t *dst,
                     const ip_addr_t *src)
{
	const struct sockopts *o = &l->s.opt;
	const bool six = IP_IS_V6(dst), multicast = ip_addr_ismulticast(dst);
	struct udp_pcb *u = l->udp;
	int ttl = six         ? (multicast ? o->mc_hops6 : o->hops)
	          : multicast ? o->mc_ttl
	                      : o->ttl;

	if (d->ttl)
		ttl = (int)d->ttl;
	u->local_ip = *src;
	u->local_port = l->s.local.port;
	u->ttl = (u8_t)(ttl < 0 ? 64 : ttl);
	udp_set_multicast_ttl(u, u->ttl);
	u->tos = (u8_t)(d->tos ? d->tos : (uint32_t)(six ? o->tclass : o->tos));
	if (six ? o->mc_loop6 : o->mc_loop)
		u->flags |= UDP_FLAGS_MULTICAST_LOOP;
	else
		u->flags &= (u8_t)~UDP_FLAGS_MULTICAST_LOOP;
	if (o->broadcast)
		ip_set_option(u, SOF_BROADCAST);
	else
		ip_reset_option(u, SOF_BROADCAST);
}

/* The interface that a datagram to a group was told to leave by, or NULL. */
static struct netif *group_netif(const struct sockopts *o, const struct dgram *d,
                                 bool six)
{
	uint32_t index = d->ifindex;
	struct netif *n;
	ip4_addr_t ip;

	if (!index)
		index = (uint32_t)(six ? o->mc_if6 : o->mc_if4_index);
	if (index)
		return index < 256 ? netif_get_by_index((u8_t)index) : NULL;
	memcpy(&ip, o->mc_if4, sizeof(o->mc_if4));
	NETIF_FOREACH(n)
	{
		if (!six && !ip4_addr_isany_val(ip) &&
		    ip4_addr_cmp(netif_ip4_addr(n), &ip))
			return n;
	}
	return NULL;
}

/* The source address of a datagram: asked for, bound, or by route. */
static int dgram_source(struct lsock *l, const struct dgram *d, const struct naddr *dst,
                        struct netif **netif, ip_addr_t *src)
{
	const struct naddr *bound =
	        l->s.bound && !l->port_chosen ? &l->port.addr : NULL;
	const ip_addr_t *own;
	struct netif *n;
	ip_addr_t to;

	if (d->local.len && !naddr_any(&d->local)) {
		if (!lwip_is_local(&d->local))
			return -EINVAL;
		bound = &d->local;
	}
	if (bound && (naddr_multicast(bound) || bound->ip[0] == 255))
		bound = NULL;
	if (!naddr_multicast(dst) || !(n = group_netif(&l->s.opt, d, dst->len == 16)))
		return lwip_route(dst, bound, netif, src);
	*netif = n;
	naddr_to_lwip(dst, &to);
	own = ip_netif_get_local_ip(n, &to);
	if (bound && bound->len == dst->len && !naddr_any(bound))
		naddr_to_lwip(bound, src);
	else if (own)
		*src = *own;
	else
		return -ENETUNREACH;
	return 0;
}

static struct pbuf *dgram_pbuf(const struct dgram *d)
{
	struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)d->len, PBUF_RAM);
	size_t off = 0;

	for (int i = 0; p && i < d->n_io; i++) {
		memcpy((uint8_t *)p->payload + off, d->io[i].iov_base,
		       d->io[i].iov_len);
		off += d->io[i].iov_len;
	}
	return p;
}

/* To all of a network; on the loopback as well, where lwIP knows none. */
static bool is_broadcast(const ip4_addr_t *a, const struct netif *n)
{
	const uint32_t mask = netif_ip4_netmask(n)->addr;

	return ip4_addr_isbroadcast(a, n) ||
	       (ip4_addr_netcmp(a, netif_ip4_addr(n), netif_ip4_netmask(n)) &&
	        (a->addr | mask) == 0xffffffff && mask != 0xffffffff);
}

/* IP_MTU_DISCOVER: larger than one frame, and not to be cut up. */
static bool too_large(const struct sock *s, uint32_t len, bool v4, const struct netif *netif)
{
	const int how = v4 ? s->opt.mtu_discover : s->opt.mtu_discover6;
	const uint32_t head = (v4 ? 20u : 40u) + 8u;

	return netif->mtu && (how == IP_PMTUDISC_DO || how == IP_PMTUDISC_PROBE) &&
	       len + head > netif->mtu;
}

int dgram_send(struct sock *s, const struct dgram *d)
{
	struct lsock *l = lsock_of(s);
	const struct naddr *to = d->peer.len ? &d->peer : &s->peer;
	struct netif *netif;
	ip_addr_t src, dst;
	struct pbuf *p;
	err_t err;
	int r;

	if (s->proto != IPPROTO_UDP)
		return ping_send(l, d);
	if (to->port == 0)
		return -EINVAL;
	if (!s->bound && (r = lwip_bind(l, NULL)) < 0)
		return r == -EADDRINUSE ? -EAGAIN : r;
	r = dgram_source(l, d, to, &netif, &src);
	if (r < 0)
		return r;
	naddr_to_lwip(to, &dst);
	if (to->len == 4 && !s->opt.broadcast && is_broadcast(ip_2_ip4(&dst), netif))
		return -EACCES;
	if (too_large(s, d->len, to->len == 4, netif))
		return -EMSGSIZE;
	udp_fill(l, d, &dst, &src);
	p = dgram_pbuf(d);
	if (!p)
		return -ENOBUFS;
	err = udp_sendto_if_src(l->udp, p, &dst, to->port, netif, &src);
	pbuf_free(p);
	return -errmap_lwip(err);
}

int dgram_connect(struct lsock *l, const struct naddr *a)
{
	struct netif *netif;
	ip_addr_t src;
	int r;

	if (!l->s.bound && (r = lwip_bind(l, NULL)) < 0)
		return -EAGAIN;
	r = lwip_route(a, l->port_chosen ? NULL : &l->port.addr, &netif, &src);
	if (r < 0)
		return r;
	naddr_from_lwip(&src, l->s.local.port, &l->s.local);
	l->s.peer = *a;
	l->s.connected = true;
	return 0;
}

int dgram_disconnect(struct lsock *l)
{
	memset(&l->s.peer, 0, sizeof(l->s.peer));
	l->s.connected = false;
	l->s.rx_shut = l->s.tx_shut = false;
	if (l->port_chosen) { /* as Linux: a port that connect() chose goes */
		ports_del(&l->port);
		l->s.bound = l->port_chosen = false;
		memset(&l->s.local, 0, sizeof(l->s.local));
		l->s.local.len = l->s.domain == AF_INET ? 4 : 16;
	} else {
		l->s.local = l->port.addr;
	}
	return 0;
}

int dgram_group(struct sock *s, const struct naddr *g, uint32_t ifindex, bool join)
{
	struct netif *n = lwip_netif(ifindex);
	ip_addr_t ip;
	err_t err;

	(void)s;
	if (!n)
		return -ENODEV;
	naddr_to_lwip(g, &ip);
	if (g->len == 4)
		err = join ? igmp_joingroup_netif(n, ip_2_ip4(&ip))
		           : igmp_leavegroup_netif(n, ip_2_ip4(&ip));
	else
		err = join ? mld6_joingroup_netif(n, ip_2_ip6(&ip))
		           : mld6_leavegroup_netif(n, ip_2_ip6(&ip));
	return err == ERR_VAL ? -ENODEV : -errmap_lwip(err);
}
