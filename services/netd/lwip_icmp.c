/* SPDX-License-Identifier: MIT */
/*
 * lwip_icmp.c - ping sockets, and ICMP errors for the sockets they concern.
 *
 * The linker sends lwIP's calls of icmp_input() and icmp6_input() here first.
 * Echo replies go to the ping socket whose identifier (its "port") they carry;
 * an error is matched by the packet that it quotes.  As on Linux, an error ends
 * a connection only while it is being made, and reaches a UDP socket only if it
 * is connected.  lwIP then sees the packet too: it answers echo requests.
 */
#include "services/netd/errmap.h"
#include "services/netd/lwip_priv.h"

#include "lwip/icmp.h"
#include "lwip/icmp6.h"
#include "lwip/inet_chksum.h"
#include "lwip/prot/icmp6.h"
#include "lwip/prot/udp.h"

#include <errno.h>

#define ECHO_LEN 8u
#define ICMP6_ECHO_REQ 128u
#define ICMP6_ECHO_REP 129u

void __real_icmp_input(struct pbuf *p, struct netif *inp);
void __wrap_icmp_input(struct pbuf *p, struct netif *inp);
void __real_icmp6_input(struct pbuf *p, struct netif *inp);
void __wrap_icmp6_input(struct pbuf *p, struct netif *inp);

static uint16_t get16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static void echo_reply(uint8_t proto, struct pbuf *p)
{
	const uint8_t *b = p->payload;
	struct naddr local, peer;
	struct portbind *o;
	uint16_t id;

	if (p->len < ECHO_LEN)
		return;
	id = get16(b + 4);
	naddr_from_lwip(ip_current_dest_addr(), id, &local);
	naddr_from_lwip(ip_current_src_addr(), 0, &peer);
	for (o = ports_on(proto, id); o; o = o->next) {
		struct lsock *l = o->owner;

		if (o->proto != proto || o->addr.port != id)
			continue;
		if (l->s.connected && !naddr_same_ip(&l->s.peer, &peer))
			continue;
		dgram_queue(l, p, &peer, &local);
	}
}

/* The socket that sent a packet: @t is its transport header, at least 8 bytes. */
static void quoted(uint8_t proto, const struct naddr *src, const struct naddr *dst,
                   const uint8_t *t, int err)
{
	struct naddr local = *src, peer = *dst;
	struct portbind *o;

	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP) {
		local.port = get16(t);
		peer.port = get16(t + 2);
	} else {
		local.port = get16(t + 4); /* echo identifier; any port of the peer's */
	}
	for (o = ports_on(proto, local.port); o; o = o->next) {
		struct lsock *l = o->owner;

		if (o->proto != proto || o->addr.port != local.port || l->s.listening ||
		    !naddr_same_ip(&l->s.peer, &peer) ||
		    (peer.port && l->s.peer.port != peer.port))
			continue;
		if (proto == IPPROTO_TCP && l->s.connecting)
			tcp_fail(l, err);
		else if (proto != IPPROTO_TCP && l->s.connected)
			sock_error(&l->s, err, false);
		return;
	}
}

static void error4(const uint8_t *b, unsigned len)
{
	const int err = errmap_icmp4(b[0], b[1]);
	struct naddr src = {.len = 4}, dst = {.len = 4};
	unsigned hl;

	if (!err || len < ECHO_LEN + 20 + 8)
		return;
	b += ECHO_LEN;
	hl = (b[0] & 15u) * 4;
	if (b[0] >> 4 != 4 || hl < 20 || len < ECHO_LEN + hl + 8)
		return;
	memcpy(src.ip, b + 12, 4);
	memcpy(dst.ip, b + 16, 4);
	quoted(b[9], &src, &dst, b + hl, err);
}

static void error6(const uint8_t *b, unsigned len)
{
	const int err = errmap_icmp6(b[0], b[1]);
	struct naddr src = {.len = 16}, dst = {.len = 16};

	if (!err || len < ECHO_LEN + 40 + 8)
		return;
	b += ECHO_LEN;
	if (b[0] >> 4 != 6)
		return;
	memcpy(src.ip, b + 8, 16);
	memcpy(dst.ip, b + 24, 16);
	quoted(b[6], &src, &dst, b + 40, err);
}

void __wrap_icmp_input(struct pbuf *p, struct netif *inp)
{
	uint8_t b[ECHO_LEN + 60 + 8];
	const unsigned len = pbuf_copy_partial(p, b, sizeof(b), 0);

	if (len >= ECHO_LEN && b[0] != ICMP_ECHO &&
	    (!(inp->chksum_flags & NETIF_CHECKSUM_CHECK_ICMP) || inet_chksum_pbuf(p) == 0)) {
		if (b[0] == ICMP_ER)
			echo_reply(IPPROTO_ICMP, p);
		else
			error4(b, len);
	}
	__real_icmp_input(p, inp);
}

void __wrap_icmp6_input(struct pbuf *p, struct netif *inp)
{
	uint8_t b[ECHO_LEN + 40 + 8];
	const unsigned len = pbuf_copy_partial(p, b, sizeof(b), 0);
	const bool wanted = len >= ECHO_LEN && (b[0] < 5 || b[0] == ICMP6_ECHO_REP);

	if (wanted && (!(inp->chksum_flags & NETIF_CHECKSUM_CHECK_ICMP6) ||
	               ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->tot_len, ip6_current_src_addr(),
	                                 ip6_current_dest_addr()) == 0)) {
		if (b[0] == ICMP6_ECHO_REP)
			echo_reply(IPPROTO_ICMPV6, p);
		else
			error6(b, len);
	}
	__real_icmp6_input(p, inp);
}

static void ping_seal(struct pbuf *p, const struct lsock *l, const ip_addr_t *src,
                      const ip_addr_t *dst)
{
	uint8_t *b = p->payload;
	uint16_t sum;

	b[2] = b[3] = 0;
	b[4] = (uint8_t)(l->s.local.port >> 8);
	b[5] = (uint8_t)l->s.local.port;
	sum = IP_IS_V6(dst) ? ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->tot_len, ip_2_ip6(src),
	                                        ip_2_ip6(dst))
	                    : inet_chksum_pbuf(p);
	memcpy(b + 2, &sum, 2);
}

int ping_send(struct lsock *l, const struct dgram *d)
{
	const struct naddr *to = d->peer.len ? &d->peer : &l->s.peer;
	const struct sockopts *o = &l->s.opt;
	const bool six = l->s.proto == IPPROTO_ICMPV6;
	const struct naddr *bound = l->s.bound && !l->port_chosen ? &l->port.addr : NULL;
	const uint8_t *b = d->io[0].iov_base;
	struct netif *netif;
	ip_addr_t src, dst;
	struct pbuf *p;
	int r, ttl = d->ttl ? (int)d->ttl : six ? o->hops : o->ttl;
	err_t err;

	if (d->len < ECHO_LEN || b[0] != (six ? ICMP6_ECHO_REQ : ICMP_ECHO) || b[1] != 0)
		return -EINVAL;
	if (to->len != (six ? 16 : 4))
		return -EAFNOSUPPORT;
	if (!l->s.bound && (r = lwip_bind(l, NULL)) < 0)
		return -EAGAIN;
	r = lwip_route(to, bound, &netif, &src);
	if (r < 0)
		return r;
	naddr_to_lwip(to, &dst);
	p = pbuf_alloc(PBUF_IP, (u16_t)d->len, PBUF_RAM);
	if (!p)
		return -ENOBUFS;
	memcpy(p->payload, b, d->len);
	ping_seal(p, l, &src, &dst);
	err = ip_output_if(p, &src, &dst, (u8_t)(ttl < 0 ? 64 : ttl),
	                   (u8_t)(six ? o->tclass : o->tos), six ? IP6_NEXTH_ICMP6 : IP_PROTO_ICMP,
	                   netif);
	pbuf_free(p);
	return -errmap_lwip(err);
}
