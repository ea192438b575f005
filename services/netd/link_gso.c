/* SPDX-License-Identifier: MIT */
/*
 * link_gso.c - many segments as one frame, in both directions (see link.h).
 *
 * Sending: lwIP makes one segment after the other in a call of tcp_output().  Those
 * of a connection that follow each other without a gap, with the same headers, are
 * held (a reference to each pbuf; lwIP does not touch a segment that somebody
 * else refers to) and leave as one frame with VIRTIO_NET_HDR_GSO_TCPV4 or
 * _TCPV6.  The kernel cuts it up as late as it can, in the very segments that lwIP
 * made: only PSH moves, to the last one.  Anything that does not fit, and the end
 * of the loop's turn, sends what is held; so the order of frames stays.
 *
 * Receiving: a frame of many segments is one segment to lwIP; demux.c sees to it
 * that it is acknowledged at once.  Datagrams of UDP keep their borders.
 */
#include "services/netd/link.h"

#include "lwip/inet_chksum.h"
#include "lwip/pbuf.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "lwip/prot/tcp.h"
#include "lwip/prot/udp.h"

#include <linux/if_tun.h>
#include <string.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* kernels from 6.2 on */
#endif

#define ETH_LEN SIZEOF_ETH_HDR
#define HEAD_MAX (ETH_LEN + IP6_HLEN + 60u)
#define PACKET_MAX 65535u /* behind the Ethernet header */
#define HELD_MAX 128u
#define PIECES_MAX 512    /* of data, in all held segments */
#define HOLD_MIN 512u     /* a smaller first segment is no bulk transfer */
#define UDP_SEGMENTS_MAX 128u /* as in Linux */

struct segment {
	unsigned tcp, head, data; /* where TCP begins, where data begins, bytes of data */
	bool v6;
	uint8_t flags;
};

static struct {
	bool tso4, tso6;
	struct pbuf *held[HELD_MAX];
	unsigned n;
	struct iovec io[2 + PIECES_MAX]; /* vnet header, headers, data */
	int n_io;
	uint8_t head[HEAD_MAX];
	struct segment first;
	unsigned data;            /* bytes */
	uint32_t next_seq;
	uint8_t flags;            /* of all held segments */
} g_gso;

void gso_config(unsigned offload)
{
	g_gso.tso4 = (offload & TUN_F_TSO4) != 0;
	g_gso.tso6 = (offload & TUN_F_TSO6) != 0;
}

void gso_refused(void)
{
	g_gso.tso4 = g_gso.tso6 = false;
}

static uint16_t get16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static uint32_t get32(const uint8_t *b)
{
	return (uint32_t)get16(b) << 16 | get16(b + 2);
}

static void put16(uint8_t *b, unsigned v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

/* Where the TCP header of an Ethernet frame begins; 0: no TCP.  The headers lie in
 * the first pbuf: lwIP builds them so. */
static unsigned tcp_offset(const struct pbuf *p)
{
	const struct eth_hdr *eth = p->payload;
	const uint8_t *b = p->payload;

	if (eth->type == PP_HTONS(ETHTYPE_IP) && p->len >= ETH_LEN + IP_HLEN) {
		const struct ip_hdr *ip = (const void *)(b + ETH_LEN);

		return IPH_PROTO(ip) == IP_PROTO_TCP &&
		                       !(IPH_OFFSET(ip) & PP_HTONS(IP_MF | IP_OFFMASK))
		               ? ETH_LEN + IPH_HL_BYTES(ip)
		               : 0;
	}
	if (eth->type == PP_HTONS(ETHTYPE_IPV6) && p->len >= ETH_LEN + IP6_HLEN) {
		const struct ip6_hdr *ip = (const void *)(b + ETH_LEN);

		return IP6H_NEXTH(ip) == IP6_NEXTH_TCP ? ETH_LEN + IP6_HLEN : 0;
	}
	return 0;
}

/* The folded, not inverted sum of the pseudo header of @len bytes of TCP, in memory
 * order.  @ip: the IP header. */
static uint16_t pseudo_sum(const uint8_t *ip, bool v6, unsigned len)
{
	/* the two addresses lie side by side */
	uint32_t sum = (uint16_t)~inet_chksum(ip + (v6 ? 8 : 12), v6 ? 32 : 8);

	sum += lwip_htons((u16_t)len);
	sum += PP_HTONS(IP_PROTO_TCP);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static void unsummed(struct virtio_net_hdr *h, uint8_t *frame, unsigned tcp, bool v6,
                     unsigned len)
{
	const uint16_t sum = pseudo_sum(frame + ETH_LEN, v6, len);

	memcpy(frame + tcp + 16, &sum, 2);
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = (__virtio16)tcp;
	h->csum_offset = 16;
}

void gso_unsummed(struct virtio_net_hdr *h, struct pbuf *p)
{
	const unsigned at = tcp_offset(p);
	uint8_t *b = p->payload;

	if (at == 0 || p->len < at + TCP_HLEN)
		return;
	unsummed(h, b, at, b[ETH_LEN] >> 4 == 6, p->tot_len - at);
}

/* ---- sending ---- */

/* Is @p a segment of TCP that carries data and nothing out of the ordinary? */
static bool segment_of(const struct pbuf *p, struct segment *s)
{
	const uint8_t *b = p->payload, *th;

	s->tcp = tcp_offset(p);
	if (s->tcp == 0 || p->len < s->tcp + TCP_HLEN)
		return false;
	s->v6 = b[ETH_LEN] >> 4 == 6;
	if (!s->v6 && s->tcp != ETH_LEN + IP_HLEN)
		return false; /* options */
	th = b + s->tcp;
	s->head = s->tcp + 4u * (th[12] >> 4);
	s->flags = th[13];
	if (s->head < s->tcp + TCP_HLEN || p->len < s->head || s->head > HEAD_MAX)
		return false;
	s->data = p->tot_len - s->head;
	return s->data > 0 && (s->flags & ~(TCP_PSH | TCP_FIN)) == TCP_ACK;
}

static bool same(const uint8_t *a, const uint8_t *b, unsigned from, unsigned to)
{
	return memcmp(a + from, b + from, to - from) == 0;
}

/* May @p follow in the frame that is held?  Every byte of its headers is as a
 * kernel that cuts the frame up would make it. */
static bool follows(const struct pbuf *p, const struct segment *s)
{
	const struct segment *f = &g_gso.first;
	const uint8_t *a = g_gso.head, *b = p->payload;
	const unsigned ip = ETH_LEN, tcp = s->tcp;

	if (s->v6 != f->v6 || s->head != f->head || s->data > f->data ||
	    g_gso.n == HELD_MAX || !same(a, b, 0, ip) ||
	    f->head - ETH_LEN + g_gso.data + s->data > PACKET_MAX)
		return false;
	if (s->v6 ? !same(a, b, ip, ip + 4) || !same(a, b, ip + 6, tcp)
	          : !same(a, b, ip, ip + 2) || !same(a, b, ip + 6, ip + 10) ||
	                    !same(a, b, ip + 12, tcp) ||
	                    get16(b + ip + 4) != (uint16_t)(get16(a + ip + 4) + g_gso.n))
		return false;
	return same(a, b, tcp, tcp + 4) && get32(b + tcp + 4) == g_gso.next_seq &&
	       same(a, b, tcp + 8, tcp + 13) && same(a, b, tcp + 14, tcp + 16) &&
	       same(a, b, tcp + 18, s->head);
}

/* Refer to the data of @p; false: too many pieces. */
static bool hold(struct pbuf *p, const struct segment *s)
{
	unsigned skip = s->head;
	int n = g_gso.n_io;

	for (struct pbuf *q = p; q; q = q->next) {
		if (q->len > skip) {
			if (n == 2 + PIECES_MAX)
				return false;
			g_gso.io[n++] = (struct iovec){(uint8_t *)q->payload + skip,
			                               q->len - skip};
		}
		skip = 0;
	}
	pbuf_ref(p);
	g_gso.held[g_gso.n++] = p;
	g_gso.n_io = n;
	g_gso.data += s->data;
	g_gso.flags |= s->flags;
	g_gso.next_seq = get32((const uint8_t *)p->payload + s->tcp + 4) + s->data;
	return true;
}

/* @p opens a frame, if it looks as if more will follow. */
static bool begin(struct pbuf *p, const struct segment *s)
{
	if (!(s->v6 ? g_gso.tso6 : g_gso.tso4) || s->data < HOLD_MIN || (s->flags & TCP_FIN) ||
	    s->head - ETH_LEN + 2 * s->data > PACKET_MAX)
		return false;
	memcpy(g_gso.head, p->payload, s->head);
	g_gso.first = *s;
	g_gso.n_io = 2;
	return hold(p, s);
}

bool gso_take(struct pbuf *p)
{
	struct segment s;
	bool held = false;

	if (g_gso.n == 0 && !g_gso.tso4 && !g_gso.tso6)
		return false;
	if (segment_of(p, &s)) {
		if (g_gso.n > 0 && follows(p, &s))
			held = hold(p, &s);
		if (!held) {
			gso_flush();
			held = begin(p, &s);
		}
	}
	/* a short one is the last one, as on any frame of this kind */
	if (!held || s.data < g_gso.first.data || (s.flags & TCP_FIN))
		gso_flush();
	return held;
}

void gso_flush(void)
{
	struct virtio_net_hdr h = {0};
	const struct segment *s = &g_gso.first;
	const unsigned len = s->head - ETH_LEN + g_gso.data;
	uint8_t *b = g_gso.head;

	if (g_gso.n == 0)
		return;
	if (s->v6) {
		put16(b + ETH_LEN + 4, len - IP6_HLEN);
	} else {
		const uint16_t none = 0;
		uint16_t sum;

		put16(b + ETH_LEN + 2, len);
		memcpy(b + ETH_LEN + 10, &none, 2);
		sum = inet_chksum(b + ETH_LEN, IP_HLEN);
		memcpy(b + ETH_LEN + 10, &sum, 2);
	}
	b[s->tcp + 13] = g_gso.flags;
	unsummed(&h, b, s->tcp, s->v6, len + ETH_LEN - s->tcp);
	if (g_gso.n > 1) {
		h.gso_type = s->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		h.gso_size = (__virtio16)s->data;
		h.hdr_len = (__virtio16)s->head;
	}
	g_gso.io[1] = (struct iovec){b, s->head};
	link_out(&h, g_gso.io, g_gso.n_io);
	while (g_gso.n > 0)
		pbuf_free(g_gso.held[--g_gso.n]);
	g_gso.data = 0;
	g_gso.flags = 0;
}

/* ---- receiving ---- */

static bool checked(const struct virtio_net_hdr *h)
{
	return (h->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0;
}

static unsigned kind_of(const struct virtio_net_hdr *h)
{
	return h->gso_type & (unsigned)~VIRTIO_NET_HDR_GSO_ECN;
}

/* Is @h possible for a packet of @len bytes? */
static bool sound(const struct virtio_net_hdr *h, uint16_t ethertype, unsigned len)
{
	if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	    (h->csum_start < ETH_LEN || h->csum_start + h->csum_offset + 2u > ETH_LEN + len))
		return false;
	switch (kind_of(h)) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return h->gso_size != 0 && ethertype == ETHTYPE_IP;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return h->gso_size != 0 && ethertype == ETHTYPE_IPV6;
	case VIRTIO_NET_HDR_GSO_UDP_L4: /* its checksum is of the whole: to be trusted */
		return h->gso_size != 0 && len / h->gso_size <= UDP_SEGMENTS_MAX && checked(h);
	default:
		return false;
	}
}

/* Headers of a datagram: the bytes before its data; 0: none that we know. */
static unsigned udp_head(const struct pbuf *p, uint16_t ethertype)
{
	const uint8_t *b = p->payload;
	unsigned n = 0;

	if (ethertype == ETHTYPE_IP && p->len >= IP_HLEN && b[9] == IP_PROTO_UDP)
		n = 4u * (b[0] & 15);
	else if (ethertype == ETHTYPE_IPV6 && p->len >= IP6_HLEN && b[6] == IP_PROTO_UDP)
		n = IP6_HLEN;
	return n >= IP_HLEN && n + UDP_HLEN <= p->len ? n + UDP_HLEN : 0;
}

static struct pbuf *datagram(const struct pbuf *p, unsigned head, unsigned at, unsigned n,
                             unsigned nth)
{
	struct pbuf *q = pbuf_alloc(PBUF_RAW, (u16_t)(head + n), PBUF_RAM);
	uint8_t *b;

	if (!q)
		return NULL;
	b = q->payload;
	memcpy(b, p->payload, head);
	memcpy(b + head, (const uint8_t *)p->payload + at, n);
	q->flags |= p->flags & (PBUF_FLAG_LLMCAST | PBUF_FLAG_LLBCAST);
	put16(b + head - 4, UDP_HLEN + n);
	if (b[0] >> 4 == 6) {
		put16(b + 4, head + n - IP6_HLEN);
	} else {
		uint16_t sum = 0;

		put16(b + 2, head + n);
		put16(b + 4, get16(b + 4) + nth);
		memcpy(b + 10, &sum, 2);
		sum = inet_chksum(b, (u16_t)(head - UDP_HLEN));
		memcpy(b + 10, &sum, 2);
	}
	return q;
}

/* Several datagrams in one packet (takes @p): give them on one by one. */
static void split_udp(struct pbuf *p, uint16_t ethertype, unsigned size, link_input_fn *input)
{
	const unsigned head = udp_head(p, ethertype);
	unsigned nth = 0;

	for (unsigned at = head; head && at < p->len; at += size, nth++) {
		const unsigned n = LWIP_MIN(size, p->len - at);
		struct pbuf *q = datagram(p, head, at, n, nth);

		if (q)
			input(q, ethertype, true);
	}
	pbuf_free(p);
}

void gso_deliver(const struct virtio_net_hdr *h, struct pbuf *p, uint16_t ethertype,
                 link_input_fn *input)
{
	const unsigned kind = kind_of(h);

	if (!sound(h, ethertype, p->tot_len)) {
		pbuf_free(p);
		return;
	}
	if (kind == VIRTIO_NET_HDR_GSO_UDP_L4) {
		split_udp(p, ethertype, h->gso_size, input);
		return;
	}
	if (kind != VIRTIO_NET_HDR_GSO_NONE && p->tot_len > h->gso_size)
		p->flags |= LINK_PBUF_SEGMENTS;
	input(p, ethertype, checked(h));
}
