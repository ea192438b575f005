/* SPDX-License-Identifier: MIT */
/*
 * Many segments as one frame: what leaves is cut up here as a kernel would, and
 * must be what lwIP had made, byte for byte; what comes in with a vnet header that
 * lies is dropped.  The device is one end of a socket pair.
 */
#include "lwip/inet_chksum.h"
#include "lwip/init.h"
#include "lwip/pbuf.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/tcp.h"
#include "services/netd/link.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define VNET 10u
#define ETH 14u
#define MSS 1448u
#define TS 12u /* bytes of the timestamp option */
#define GOT_MAX 256

static const uint8_t g_mac[6] = {2, 0, 0, 0, 0, 1};
static int g_wire = -1;
static struct netif g_if; /* its checksum flags say: no TCP checksum */

/* ---- what lwIP makes ---- */

struct spec {
	bool v6, chained;
	uint16_t sport, id, window;
	uint32_t seq, ack, ts;
	uint8_t flags;
	unsigned data;
};

static const struct spec g_plain = {.sport = 80, .id = 65530, .window = 900, .seq = 0xfffff000,
                                    .ack = 77, .ts = 5, .flags = TCP_ACK, .data = MSS};

static unsigned ip_head(bool v6)
{
	return v6 ? 40 : 20;
}

static void put16(uint8_t *b, unsigned v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static void put32(uint8_t *b, uint32_t v)
{
	put16(b, v >> 16);
	put16(b + 2, v & 0xffff);
}

static unsigned get16(const uint8_t *b)
{
	return (unsigned)(b[0] << 8 | b[1]);
}

static uint32_t get32(const uint8_t *b)
{
	return (uint32_t)get16(b) << 16 | get16(b + 2);
}

static void sum_ip(uint8_t *ip)
{
	uint16_t sum = 0;

	memcpy(ip + 10, &sum, 2);
	sum = inet_chksum(ip, 20);
	memcpy(ip + 10, &sum, 2);
}

/* The TCP checksum of a whole frame, in place. */
static void sum_tcp(uint8_t *f, unsigned len, bool v6)
{
	const unsigned at = ETH + ip_head(v6);
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)(len - at), PBUF_RAM);
	ip_addr_t src, dst;
	uint16_t sum = 0;

	memcpy(f + at + 16, &sum, 2);
	memcpy(p->payload, f + at, len - at);
	memset(&src, 0, sizeof(src));
	memset(&dst, 0, sizeof(dst));
	if (v6) {
		IP_SET_TYPE_VAL(src, IPADDR_TYPE_V6);
		IP_SET_TYPE_VAL(dst, IPADDR_TYPE_V6);
		memcpy(ip_2_ip6(&src)->addr, f + ETH + 8, 16);
		memcpy(ip_2_ip6(&dst)->addr, f + ETH + 24, 16);
	} else {
		memcpy(&ip_2_ip4(&src)->addr, f + ETH + 12, 4);
		memcpy(&ip_2_ip4(&dst)->addr, f + ETH + 16, 4);
	}
	sum = ip_chksum_pseudo(p, IP_PROTO_TCP, (u16_t)(len - at), &src, &dst);
	memcpy(f + at + 16, &sum, 2);
	pbuf_free(p);
}

static unsigned build(const struct spec *s, uint8_t *f)
{
	const unsigned ip = ip_head(s->v6), head = ETH + ip + 20 + TS, len = head + s->data;
	uint8_t *th = f + ETH + ip;

	memset(f, 0, head);
	memcpy(f + 6, g_mac, 6);
	f[0] = 2;
	put16(f + 12, s->v6 ? ETHTYPE_IPV6 : ETHTYPE_IP);
	if (s->v6) {
		f[ETH] = 0x60;
		put16(f + ETH + 4, len - ETH - 40);
		f[ETH + 6] = IP_PROTO_TCP;
		f[ETH + 7] = 64;
		f[ETH + 23] = 1;
		f[ETH + 39] = 2;
	} else {
		f[ETH] = 0x45;
		put16(f + ETH + 2, len - ETH);
		put16(f + ETH + 4, s->id);
		f[ETH + 8] = 64;
		f[ETH + 9] = IP_PROTO_TCP;
		put32(f + ETH + 12, 0x0a000001);
		put32(f + ETH + 16, 0x0a000002);
		sum_ip(f + ETH);
	}
	put16(th, s->sport);
	put16(th + 2, 4000);
	put32(th + 4, s->seq);
	put32(th + 8, s->ack);
	th[12] = (5 + TS / 4) << 4;
	th[13] = s->flags;
	put16(th + 14, s->window);
	put32(th + 20, 0x0101080a);
	put32(th + 24, s->ts);
	for (unsigned i = 0; i < s->data; i++)
		f[head + i] = (uint8_t)((s->seq + i) * 31 >> 3);
	return len;
}

static struct pbuf *pbuf_of(const struct spec *s)
{
	static uint8_t f[70000];
	const unsigned len = build(s, f), first = s->chained ? len - s->data : len;
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)first, PBUF_RAM);

	memcpy(p->payload, f, first);
	if (s->chained && s->data > 0) {
		struct pbuf *q = pbuf_alloc(PBUF_RAW, (u16_t)s->data, PBUF_RAM);

		memcpy(q->payload, f + first, s->data);
		pbuf_cat(p, q);
	}
	return p;
}

/* ---- what was sent, and what came out when it was cut up ---- */

struct frame {
	unsigned len;
	uint8_t *b;
};

static struct frame g_sent[GOT_MAX], g_cut[GOT_MAX];
static unsigned g_n_sent, g_n_cut, g_n_frames, g_n_joined;

static void frame_add(struct frame *list, unsigned *n, const uint8_t *b, unsigned len, bool v6)
{
	struct frame *f = &list[(*n)++];

	CU_ASSERT_FATAL(*n < GOT_MAX);
	f->len = len;
	f->b = malloc(len);
	memcpy(f->b, b, len);
	sum_tcp(f->b, len, v6);
}

static void send_one(const struct spec *s)
{
	static uint8_t f[70000];
	struct pbuf *p = pbuf_of(s);

	frame_add(g_sent, &g_n_sent, f, build(s, f), s->v6);
	CU_ASSERT_EQUAL(link_send(&g_if, p), ERR_OK);
	pbuf_free(p); /* as lwIP does when it is acknowledged */
}

/* Without a vnet header's word on segments: the frame as it is. */
static void cut(const struct virtio_net_hdr *h, uint8_t *f, unsigned len)
{
	const bool v6 = get16(f + 12) == ETHTYPE_IPV6;
	const unsigned ip = ETH + ip_head(v6), head = ip + 4u * (f[ip + 12] >> 4);
	const unsigned size = h->gso_type ? h->gso_size : len;
	const uint8_t flags = f[ip + 13];
	uint8_t seg[70000];
	unsigned nth = 0;

	CU_ASSERT_EQUAL(h->csum_start, ip);
	CU_ASSERT_EQUAL(h->csum_offset, 16);
	CU_ASSERT_EQUAL(h->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	CU_ASSERT_EQUAL(v6 ? get16(f + ETH + 4) + 40 : get16(f + ETH + 2), len - ETH);
	if (!v6)
		CU_ASSERT_EQUAL(inet_chksum(f + ETH, 20), 0);
	for (unsigned at = head; nth == 0 || at < len; at += size, nth++) {
		const unsigned n = LWIP_MIN(size, len - at);

		memcpy(seg, f, head);
		memcpy(seg + head, f + at, n);
		put32(seg + ip + 4, get32(f + ip + 4) + (at - head));
		seg[ip + 13] = at + n < len ? flags & (uint8_t)~(TCP_PSH | TCP_FIN) : flags;
		if (v6) {
			put16(seg + ETH + 4, head + n - ETH - 40);
		} else {
			put16(seg + ETH + 2, head + n - ETH);
			put16(seg + ETH + 4, get16(f + ETH + 4) + nth);
			sum_ip(seg + ETH);
		}
		frame_add(g_cut, &g_n_cut, seg, head + n, v6);
	}
}

static void collect(void)
{
	static uint8_t b[VNET + 70000];
	struct virtio_net_hdr h;
	ssize_t n;

	while ((n = recv(g_wire, b, sizeof(b), MSG_DONTWAIT)) > 0) {
		memcpy(&h, b, sizeof(h));
		g_n_frames++;
		if (h.gso_type) {
			const bool v6 = get16(b + VNET + 12) == ETHTYPE_IPV6;

			g_n_joined++;
			CU_ASSERT_EQUAL(h.gso_type, v6 ? VIRTIO_NET_HDR_GSO_TCPV6
			                               : VIRTIO_NET_HDR_GSO_TCPV4);
			CU_ASSERT_EQUAL(h.hdr_len, ETH + ip_head(v6) + 20 + TS);
		}
		cut(&h, b + VNET, (unsigned)n - VNET);
	}
}

static void forget(void)
{
	while (g_n_sent > 0)
		free(g_sent[--g_n_sent].b);
	while (g_n_cut > 0)
		free(g_cut[--g_n_cut].b);
	g_n_frames = g_n_joined = 0;
}

/* @frames must have left, @joined of them with several segments; cut up, they are
 * what was sent, in that order. */
static void expect(unsigned frames, unsigned joined)
{
	link_flush();
	collect();
	CU_ASSERT_EQUAL(g_n_frames, frames);
	CU_ASSERT_EQUAL(g_n_joined, joined);
	CU_ASSERT_EQUAL(g_n_cut, g_n_sent);
	for (unsigned i = 0; i < g_n_sent && i < g_n_cut; i++)
		CU_ASSERT_TRUE(g_sent[i].len == g_cut[i].len &&
		               memcmp(g_sent[i].b, g_cut[i].b, g_cut[i].len) == 0);
	forget();
}

static struct spec next_of(const struct spec *s)
{
	struct spec n = *s;

	n.seq += s->data;
	n.id++;
	return n;
}

static void run_of(struct spec s, unsigned n)
{
	for (; n > 0; n--) {
		send_one(&s);
		s = next_of(&s);
	}
}

static void segments_in_a_row_leave_as_one_frame(void)
{
	struct spec s = g_plain;

	run_of(s, 40);
	expect(1, 1);
	s.v6 = true;
	s.chained = true;
	run_of(s, 40);
	expect(1, 1);
	run_of(g_plain, 100); /* more than 64 KiB */
	expect(3, 3);
}

static void a_short_segment_is_the_last_of_its_frame(void)
{
	struct spec s = g_plain, last;

	run_of(s, 2);
	last = next_of(&s);
	last = next_of(&last);
	last.data = 100;
	last.flags |= TCP_PSH;
	send_one(&last);
	last = next_of(&last);
	last.data = MSS;
	last.flags = TCP_ACK;
	send_one(&last);
	expect(2, 1);
}

static void fin_ends_a_frame_and_stays_at_its_end(void)
{
	struct spec s = g_plain, fin = next_of(&s);

	fin.flags |= TCP_FIN | TCP_PSH;
	send_one(&s);
	send_one(&fin);
	expect(1, 1);
	send_one(&fin);
	expect(1, 0);
}

static void psh_inside_moves_to_the_end(void)
{
	struct spec s = g_plain;

	s.flags |= TCP_PSH;
	send_one(&s);
	s = next_of(&s);
	s.flags = TCP_ACK;
	send_one(&s);
	link_flush();
	collect();
	CU_ASSERT_EQUAL(g_n_frames, 1);
	CU_ASSERT_EQUAL_FATAL(g_n_cut, 2);
	CU_ASSERT_EQUAL(g_cut[0].b[ETH + 20 + 13], TCP_ACK);
	CU_ASSERT_EQUAL(g_cut[1].b[ETH + 20 + 13], TCP_ACK | TCP_PSH);
	forget();
}

static void what_differs_is_not_joined(void)
{
	const struct spec after = next_of(&g_plain);
	struct spec bad[9];

	for (unsigned i = 0; i < 9; i++)
		bad[i] = after;
	bad[0].seq++;
	bad[1].seq--;
	bad[2].ack++;
	bad[3].window++;
	bad[4].ts++;
	bad[5].sport++;
	bad[6].id++;
	bad[7].data++; /* longer than the first */
	bad[8].flags |= TCP_URG;
	for (unsigned i = 0; i < 9; i++) {
		send_one(&g_plain);
		send_one(&bad[i]);
		expect(2, 0);
	}
	send_one(&g_plain);
	bad[0] = after;
	bad[0].v6 = true;
	send_one(&bad[0]);
	expect(2, 0);
}

static void order_stays_when_something_else_is_between(void)
{
	struct spec ack = g_plain;

	ack.data = 0;
	run_of(g_plain, 3);
	send_one(&ack);
	run_of(g_plain, 3);
	expect(3, 2);
}

static void small_and_huge_ones_leave_at_once(void)
{
	struct spec s = g_plain;

	s.data = 100;
	send_one(&s);
	collect();
	CU_ASSERT_EQUAL(g_n_frames, 1);
	s.data = 60000; /* no second one has room beside it */
	send_one(&s);
	collect();
	CU_ASSERT_EQUAL(g_n_frames, 2);
	expect(2, 0);
}

static void without_leave_nothing_is_joined(void)
{
	gso_config(TUN_F_TSO4);
	struct spec s = g_plain;

	s.v6 = true;
	run_of(s, 3);
	expect(3, 0);
	run_of(g_plain, 3);
	expect(1, 1);
	gso_refused();
	run_of(g_plain, 3);
	expect(3, 0);
	gso_config(TUN_F_TSO4 | TUN_F_TSO6);
}

/* ---- receiving ---- */

static struct {
	unsigned n, len[GOT_MAX], n_trusted, n_segments;
	uint8_t b[70000]; /* all, one behind the other */
	unsigned used;
} g_in;

static void take_in(struct pbuf *p, uint16_t ethertype, bool trusted)
{
	CU_ASSERT_TRUE(ethertype == ETHTYPE_IP || ethertype == ETHTYPE_IPV6);
	CU_ASSERT_FATAL(g_in.n < GOT_MAX && g_in.used + p->tot_len <= sizeof(g_in.b));
	pbuf_copy_partial(p, g_in.b + g_in.used, p->tot_len, 0);
	g_in.used += p->tot_len;
	g_in.len[g_in.n++] = p->tot_len;
	g_in.n_trusted += trusted;
	g_in.n_segments += (p->flags & LINK_PBUF_SEGMENTS) != 0;
	pbuf_free(p);
}

static void put_in(const struct virtio_net_hdr *h, const uint8_t *f, unsigned len)
{
	static uint8_t b[VNET + 70000];

	memset(&g_in, 0, sizeof(g_in));
	memcpy(b, h, VNET);
	memcpy(b + VNET, f, len);
	memcpy(b + VNET, g_mac, 6);
	CU_ASSERT_EQUAL(send(g_wire, b, VNET + len, 0), (ssize_t)(VNET + len));
	(void)link_read(8);
	(void)link_read(8); /* the first may trust that it was a lone one */
}

static void a_large_frame_is_one_trusted_packet(void)
{
	static uint8_t f[70000];
	struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = ETH + 20,
	                           .csum_offset = 16, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	                           .gso_size = MSS, .hdr_len = 66};
	struct spec s = g_plain;
	unsigned len;

	s.data = 40000;
	len = build(&s, f);
	put_in(&h, f, len);
	CU_ASSERT_TRUE(g_in.n == 1 && g_in.len[0] == len - ETH && g_in.n_trusted == 1);
	CU_ASSERT_EQUAL(g_in.n_segments, 1);
	CU_ASSERT_EQUAL(memcmp(g_in.b, f + ETH, len - ETH), 0);
	h.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	h.hdr_len = 0xffff; /* nobody needs it */
	put_in(&h, f, len);
	CU_ASSERT_EQUAL(g_in.n, 1);
	h = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_DATA_VALID};
	put_in(&h, f, len);
	CU_ASSERT_TRUE(g_in.n == 1 && g_in.n_trusted == 1 && g_in.n_segments == 0);
	h.flags = 0;
	put_in(&h, f, len);
	CU_ASSERT_TRUE(g_in.n == 1 && g_in.n_trusted == 0);
}

static void headers_that_lie_are_dropped(void)
{
	static uint8_t f[4000];
	const unsigned len = build(&g_plain, f);
	const struct virtio_net_hdr bad[] = {
		{.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 0},
		{.gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = MSS}, /* it is IPv4 */
		{.gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = MSS},
		{.gso_type = 0x7f, .gso_size = MSS},
		{.gso_type = 5, .gso_size = 1000}, /* UDP, and nobody summed it */
		{.gso_type = 5, .gso_size = 1000, .flags = VIRTIO_NET_HDR_F_DATA_VALID}, /* TCP */
		{.gso_type = 5, .gso_size = 1, .flags = VIRTIO_NET_HDR_F_DATA_VALID},
		{.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 2, .csum_offset = 2},
		{.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 0xffff},
		{.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 0xffff, .csum_offset = 16},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put_in(&bad[i], f, len);
		CU_ASSERT_EQUAL(g_in.n, 0);
	}
	put_in(&(struct virtio_net_hdr){0}, f, len);
	CU_ASSERT_EQUAL(g_in.n, 1);
}

static void joined_datagrams_keep_their_borders(void)
{
	static uint8_t f[4000];
	const unsigned want[] = {100, 100, 50};
	struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_offset = 6,
	                           .gso_type = 5, .gso_size = 100};

	for (int v6 = 0; v6 < 2; v6++) {
		struct spec s = g_plain;
		const unsigned ip = ip_head(v6);
		const uint8_t *b = g_in.b;

		s.v6 = v6;
		s.data = 250 - 24; /* 24 bytes more of TCP than of UDP header */
		const unsigned len = build(&s, f);

		f[ETH + (v6 ? 6 : 9)] = IPPROTO_UDP;
		put16(f + ETH + ip + 4, len - ETH - ip);
		h.csum_start = (__virtio16)(ETH + ip);
		put_in(&h, f, len);
		CU_ASSERT_EQUAL_FATAL(g_in.n, 3);
		CU_ASSERT_EQUAL(g_in.n_trusted, 3);
		for (unsigned i = 0, at = 0; i < 3; at += want[i++]) {
			CU_ASSERT_EQUAL(g_in.len[i], ip + 8 + want[i]);
			CU_ASSERT_EQUAL(get16(b + ip + 4), 8 + want[i]);
			CU_ASSERT_EQUAL(memcmp(b + ip + 8, f + ETH + ip + 8 + at, want[i]), 0);
			if (!v6) {
				CU_ASSERT_EQUAL(get16(b + 2), ip + 8 + want[i]);
				CU_ASSERT_EQUAL(get16(b + 4), (65530 + i) & 0xffff);
				CU_ASSERT_EQUAL(inet_chksum(b, 20), 0);
			} else {
				CU_ASSERT_EQUAL(get16(b + 4), 8 + want[i]);
			}
			b += g_in.len[i];
		}
	}
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(segments_in_a_row_leave_as_one_frame),
		TEST(a_short_segment_is_the_last_of_its_frame),
		TEST(fin_ends_a_frame_and_stays_at_its_end),
		TEST(psh_inside_moves_to_the_end),
		TEST(what_differs_is_not_joined),
		TEST(order_stays_when_something_else_is_between),
		TEST(small_and_huge_ones_leave_at_once),
		TEST(without_leave_nothing_is_joined),
		TEST(a_large_frame_is_one_trusted_packet),
		TEST(headers_that_lie_are_dropped),
		TEST(joined_datagrams_keep_their_borders),
		CU_TEST_INFO_NULL,
	};
	const int room = 4 << 20;
	int sv[2];

	lwip_init();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv) < 0)
		return 1;
	for (int i = 0; i < 2; i++)
		(void)setsockopt(sv[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	g_wire = sv[1];
	if (link_open(sv[0], VNET, TUN_F_TSO4 | TUN_F_TSO6, g_mac, take_in) < 0)
		return 1;
	return suite_run("link", NULL, NULL, tests);
}
