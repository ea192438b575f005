/* SPDX-License-Identifier: MIT */
/*
 * The flat demultiplexer on crafted frames: births and deaths, IPv4 and IPv6,
 * TIME_WAIT records and their rules, ports.  lwIP is real; the wire is this file.
 */
#include "lwip/inet_chksum.h"
#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/prot/tcp.h"
#include "services/netd/clock.h"
#include "services/netd/demux.h"
#include "services/netd/ports.h"
#include "services/netd/tw.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <time.h>

/* lwip_core.c brings sys_now() and the IPv6 gateway hook. */

static struct netif g_wire;
static struct {
	uint8_t flags;
	uint32_t seq, ack;
	unsigned n;
} g_out; /* the last TCP segment that left */
static unsigned g_gone, g_syn, g_after;
static struct tcp_pcb *g_accepted;
static int g_owner;

static err_t wire_out(struct pbuf *p, unsigned ip_len)
{
	const struct tcp_hdr *th = (const void *)((const uint8_t *)p->payload + ip_len);

	g_out.flags = TCPH_FLAGS(th);
	g_out.seq = lwip_ntohl(th->seqno);
	g_out.ack = lwip_ntohl(th->ackno);
	g_out.n++;
	return ERR_OK;
}

static err_t out4(struct netif *n, struct pbuf *p, const ip4_addr_t *to)
{
	(void)n;
	(void)to;
	return wire_out(p, 20);
}

static err_t out6(struct netif *n, struct pbuf *p, const ip6_addr_t *to)
{
	(void)n;
	(void)to;
	return wire_out(p, 40);
}

static err_t wire_init(struct netif *n)
{
	n->name[0] = 'w';
	n->name[1] = 'r';
	n->output = out4;
	n->output_ip6 = out6;
	n->mtu = n->mtu6 = 1500;
	n->flags = NETIF_FLAG_LINK_UP;
	return ERR_OK;
}

static void fill_ports(struct tcp_hdr *th, uint16_t sport, uint16_t dport, uint32_t seq,
                       uint32_t ack, uint8_t flags)
{
	memset(th, 0, TCP_HLEN);
	th->src = lwip_htons(sport);
	th->dest = lwip_htons(dport);
	th->seqno = lwip_htonl(seq);
	th->ackno = lwip_htonl(ack);
	TCPH_HDRLEN_FLAGS_SET(th, 5, flags);
	th->wnd = lwip_htons(60000);
}

/* A segment from 10.9.0.<host> port @sport to our port 80. */
static void segment4(uint8_t host, uint16_t sport, uint32_t seq, uint32_t ack, uint8_t flags)
{
	struct pbuf *p = pbuf_alloc(PBUF_RAW, 40, PBUF_RAM);
	struct ip_hdr *ip = p->payload;
	struct tcp_hdr *th = (struct tcp_hdr *)(void *)((uint8_t *)p->payload + 20);

	memset(ip, 0, 20);
	IPH_VHL_SET(ip, 4, 5);
	IPH_LEN_SET(ip, lwip_htons(40));
	IPH_TTL_SET(ip, 64);
	IPH_PROTO_SET(ip, IP_PROTO_TCP);
	ip->src.addr = lwip_htonl(0x0a090000u + host);
	ip->dest.addr = lwip_htonl(0x0a0900feu);
	fill_ports(th, sport, 80, seq, ack, flags);
	(void)ip4_input(p, &g_wire);
}

static void segment6(uint16_t sport, uint32_t seq, uint32_t ack, uint8_t flags)
{
	struct pbuf *p = pbuf_alloc(PBUF_RAW, 60, PBUF_RAM);
	struct ip6_hdr *ip = p->payload;
	struct tcp_hdr *th = (struct tcp_hdr *)(void *)((uint8_t *)p->payload + 40);
	ip6_addr_t a;

	memset(ip, 0, 40);
	IP6H_VTCFL_SET(ip, 6, 0, 0);
	IP6H_PLEN_SET(ip, 20);
	IP6H_NEXTH_SET(ip, IP6_NEXTH_TCP);
	IP6H_HOPLIM_SET(ip, 64);
	(void)ip6addr_aton("fd09::1", &a);
	ip6_addr_copy_to_packed(ip->src, a);
	(void)ip6addr_aton("fd09::fe", &a);
	ip6_addr_copy_to_packed(ip->dest, a);
	fill_ports(th, sport, 80, seq, ack, flags);
	(void)ip6_input(p, &g_wire);
}

/* ---- the demultiplexer's owner ---- */

static int on_syn(void *listener, struct demux_ent *e)
{
	(void)listener;
	(void)e;
	g_syn++;
	return 0;
}

static void on_gone(void *owner, bool half)
{
	(void)owner;
	(void)half;
	g_gone++;
	g_accepted = NULL;
}

static void on_after(void *owner)
{
	(void)owner;
	g_after++;
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	(void)arg;
	(void)pcb;
	(void)err;
	if (p)
		pbuf_free(p);
	return ERR_OK;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct demux_ent *e = demux_entry(pcb);

	(void)arg;
	(void)err;
	e->half = false;
	e->owner = &g_owner;
	pcb->listener = NULL;
	tcp_recv(pcb, on_recv);
	g_accepted = pcb;
	return ERR_OK;
}

static bool lists_are_empty(void)
{
	return tcp_active_pcbs == NULL && tcp_tw_pcbs == NULL;
}

static void open4(uint8_t host, uint16_t sport, uint32_t seq)
{
	segment4(host, sport, seq, 0, TCP_SYN);
	CU_ASSERT_EQUAL(g_out.flags, TCP_SYN | TCP_ACK);
	segment4(host, sport, seq + 1, g_out.seq + 1, TCP_ACK);
}

static void connections_live_in_the_table(void)
{
	const unsigned before = demux_count();

	open4(1, 1000, 50000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g_accepted);
	CU_ASSERT_EQUAL(g_accepted->state, ESTABLISHED);
	CU_ASSERT_TRUE(lists_are_empty());
	CU_ASSERT_EQUAL(demux_count(), before + 1);
	CU_ASSERT_TRUE(demux_used(&g_accepted->local_ip, 80, &g_accepted->remote_ip, 1000));
	CU_ASSERT_FALSE(demux_used(&g_accepted->local_ip, 80, &g_accepted->remote_ip, 1001));
	g_gone = 0;
	segment4(1, 1000, 50001, 0, TCP_RST);
	CU_ASSERT_EQUAL(g_gone, 1);
	CU_ASSERT_EQUAL(demux_count(), before);
	CU_ASSERT_TRUE(lists_are_empty());
}

static void ipv6_connections_too(void)
{
	const unsigned before = demux_count();

	segment6(2000, 7000, 0, TCP_SYN);
	CU_ASSERT_EQUAL(g_out.flags, TCP_SYN | TCP_ACK);
	segment6(2000, 7001, g_out.seq + 1, TCP_ACK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g_accepted);
	CU_ASSERT_TRUE(IP_IS_V6_VAL(g_accepted->remote_ip));
	CU_ASSERT_EQUAL(demux_count(), before + 1);
	CU_ASSERT_TRUE(lists_are_empty());
	segment6(2000, 7001, 0, TCP_RST);
	CU_ASSERT_EQUAL(demux_count(), before);
}

static void a_segment_for_nobody_is_reset(void)
{
	segment4(1, 999, 1, 12345, TCP_ACK);
	CU_ASSERT_TRUE(g_out.flags & TCP_RST);
	CU_ASSERT_EQUAL(g_out.seq, 12345);
}

/* Our side closes first.  Returns the sequence number that we end with. */
static uint32_t into_time_wait(uint16_t sport, uint32_t seq, bool reuse)
{
	uint32_t ours;

	open4(1, sport, seq);
	demux_entry(g_accepted)->reuse = reuse;
	g_accepted->rcv_wnd = TCP_WND_MAX(g_accepted);
	(void)tcp_close(g_accepted);
	demux_touch(g_accepted);
	CU_ASSERT_TRUE(g_out.flags & TCP_FIN);
	ours = g_out.seq + 1;
	segment4(1, sport, seq + 1, ours, TCP_ACK | TCP_FIN);
	CU_ASSERT_EQUAL(g_out.ack, seq + 2);
	return ours;
}

static void time_wait_is_a_record(void)
{
	const unsigned conns = demux_count(), n = tw_count();
	uint32_t ours;

	g_gone = 0;
	ours = into_time_wait(3000, 100, true);
	CU_ASSERT_EQUAL(g_gone, 1); /* the pcb is freed at once */
	CU_ASSERT_EQUAL(demux_count(), conns);
	CU_ASSERT_EQUAL(tw_count(), n + 1);
	CU_ASSERT_TRUE(lists_are_empty());
	/* the FIN again: ACK again */
	g_out.n = 0;
	segment4(1, 3000, 101, ours, TCP_ACK | TCP_FIN);
	CU_ASSERT_EQUAL(g_out.n, 1);
	CU_ASSERT_EQUAL(g_out.flags, TCP_ACK);
	CU_ASSERT_EQUAL(g_out.ack, 102);
	CU_ASSERT_EQUAL(g_out.seq, ours);
	/* RST does not end it (RFC 1337); a pure ACK is not answered */
	segment4(1, 3000, 102, 0, TCP_RST);
	segment4(1, 3000, 102, ours, TCP_ACK);
	CU_ASSERT_EQUAL(g_out.n, 1);
	CU_ASSERT_EQUAL(tw_count(), n + 1);
}

static void a_newer_syn_takes_over_time_wait(void)
{
	const uint32_t ours = into_time_wait(3100, 5000, true);
	const unsigned n = tw_count();

	g_out.n = 0;
	segment4(1, 3100, 4000, 0, TCP_SYN); /* older: only an ACK */
	CU_ASSERT_EQUAL(g_out.flags, TCP_ACK);
	CU_ASSERT_EQUAL(tw_count(), n);
	segment4(1, 3100, 900000, 0, TCP_SYN);
	CU_ASSERT_EQUAL(g_out.flags, TCP_SYN | TCP_ACK);
	CU_ASSERT_TRUE(TCP_SEQ_GT(g_out.seq, ours));
	CU_ASSERT_EQUAL(tw_count(), n - 1);
	segment4(1, 3100, 900001, 0, TCP_RST);
}

static void time_wait_ends_by_the_clock(void)
{
	(void)into_time_wait(3200, 1, true);
	CU_ASSERT_TRUE(tw_count() > 0);
	CU_ASSERT_TRUE(tw_deadline() > clock_ms());
	tw_expire(clock_ms() + TW_MS / 2);
	CU_ASSERT_TRUE(tw_count() > 0);
	tw_expire(clock_ms() + TW_MS + 1);
	CU_ASSERT_EQUAL(tw_count(), 0);
	CU_ASSERT_EQUAL(tw_deadline(), UINT64_MAX);
	CU_ASSERT_EQUAL(tw_on_port(80, false), 0);
}

/* CPU time: what neighbours do does not count, but for the caches. */
static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The cheapest of four lots of 500 connections, in ns a connection. */
static uint64_t cheapest(unsigned from)
{
	uint64_t best = UINT64_MAX;

	for (unsigned lot = 0; lot < 4; lot++) {
		const uint64_t t = cpu_ns();
		uint64_t took;

		for (unsigned i = from + lot * 500; i < from + lot * 500 + 500; i++)
			(void)into_time_wait((uint16_t)(5000 + i), 1 + i, true);
		took = (cpu_ns() - t) / 500;
		best = took < best ? took : best;
	}
	return best;
}

static void time_wait_of_many_stays_flat(void)
{
	const uint64_t first = cheapest(0);
	uint64_t last;

	for (unsigned i = 2000; i < 10000; i++)
		(void)into_time_wait((uint16_t)(5000 + i), 1 + i, true);
	last = cheapest(10000);
	CU_ASSERT_EQUAL(tw_count(), 12000);
	printf("[%lu ns of CPU a connection at first, %lu at 10,000] ", (unsigned long)first,
	       (unsigned long)last);
	CU_ASSERT_TRUE(last < first * 4);
	tw_expire(clock_ms() + TW_MS + 1);
	CU_ASSERT_EQUAL(tw_count(), 0);
}

static void timers_rest_when_nothing_is_pending(void)
{
	const unsigned before = demux_count();

	open4(1, 4000, 10);
	CU_ASSERT_EQUAL(demux_count(), before + 1);
	demux_run(clock_ms() + 10000); /* whatever was due */
	CU_ASSERT_EQUAL(demux_deadline(), UINT64_MAX);
	ip_set_option(g_accepted, SOF_KEEPALIVE);
	g_accepted->keep_idle = 7200 * 1000;
	demux_touch(g_accepted);
	CU_ASSERT_TRUE(demux_deadline() > clock_ms() + 7000 * 1000ull);
	CU_ASSERT_TRUE(demux_deadline() < clock_ms() + 7400 * 1000ull);
	segment4(1, 4000, 11, 0, TCP_RST);
	CU_ASSERT_EQUAL(demux_count(), before);
}

static void keepalive_probes_and_gives_up(void)
{
	uint64_t now = clock_ms();

	open4(1, 4100, 10);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g_accepted);
	ip_set_option(g_accepted, SOF_KEEPALIVE);
	g_accepted->keep_idle = 1000;
	g_accepted->keep_intvl = 500;
	g_accepted->keep_cnt = 2;
	demux_clock(now);
	g_accepted->tmr = tcp_ticks;
	demux_touch(g_accepted);
	g_out.n = 0;
	for (unsigned i = 0; i < 100 && g_accepted; i++) {
		now += 50;
		demux_clock(now);
		demux_run(now);
	}
	CU_ASSERT_PTR_NULL(g_accepted);
	CU_ASSERT_EQUAL(g_out.n, 3); /* two probes, then RST */
	CU_ASSERT_TRUE(g_out.flags & TCP_RST);
	demux_clock(clock_ms());
}

/* ---- ports ---- */

static struct portbind bind_of(uint16_t port, bool reuse)
{
	struct portbind b = {.proto = IPPROTO_TCP, .reuse = reuse};

	b.addr.len = 4;
	b.addr.port = port;
	return b;
}

static void ports_conflict_as_on_linux(void)
{
	struct portbind a = bind_of(600, true), b = bind_of(600, true), six = bind_of(600, true);

	CU_ASSERT_EQUAL(ports_check(&a, 600), 0);
	ports_add(&a);
	CU_ASSERT_EQUAL(ports_check(&b, 600), 0);
	b.reuse = false;
	CU_ASSERT_EQUAL(ports_check(&b, 600), -EADDRINUSE);
	b.reuse = true;
	a.listening = true;
	CU_ASSERT_EQUAL(ports_check(&b, 600), -EADDRINUSE);
	b.reuseport = a.reuseport = true;
	CU_ASSERT_EQUAL(ports_check(&b, 600), 0);
	b.reuseport = false;
	b.proto = IPPROTO_UDP;
	CU_ASSERT_EQUAL(ports_check(&b, 600), 0);
	six.addr.len = 16;
	CU_ASSERT_EQUAL(ports_check(&six, 600), -EADDRINUSE);
	six.v6only = true;
	CU_ASSERT_EQUAL(ports_check(&six, 600), 0);
	b = bind_of(600, false);
	b.addr.ip[0] = 10;
	CU_ASSERT_EQUAL(ports_check(&b, 600), -EADDRINUSE);
	a.addr.ip[0] = 127;
	CU_ASSERT_EQUAL(ports_check(&b, 600), 0);
	ports_del(&a);
	ports_del(&a); /* twice is harmless */
	CU_ASSERT_PTR_NULL(ports_on(IPPROTO_TCP, 600));
}

static void time_wait_keeps_a_port_without_reuse(void)
{
	struct portbind plain = bind_of(80, false), reuse = bind_of(80, true);

	(void)into_time_wait(3300, 1, true);
	CU_ASSERT_EQUAL(ports_check(&plain, 80), -EADDRINUSE);
	CU_ASSERT_EQUAL(ports_check(&reuse, 80), 0);
	(void)into_time_wait(3301, 1, false);
	CU_ASSERT_EQUAL(ports_check(&reuse, 80), -EADDRINUSE);
	tw_expire(clock_ms() + TW_MS + 1);
	CU_ASSERT_EQUAL(ports_check(&plain, 80), 0);
}

static void ephemeral_ports_do_not_repeat(void)
{
	static bool seen[65536];
	unsigned n = 0;

	for (unsigned i = PORT_EPHEMERAL_MIN; i <= PORT_EPHEMERAL_MAX; i++) {
		const uint16_t p = ports_candidate();

		CU_ASSERT_TRUE(p >= PORT_EPHEMERAL_MIN && p <= PORT_EPHEMERAL_MAX);
		n += !seen[p];
		seen[p] = true;
	}
	CU_ASSERT_EQUAL(n, PORT_EPHEMERAL_MAX - PORT_EPHEMERAL_MIN + 1);
}

static void siphash_matches_its_reference(void)
{
	/* the vectors of the SipHash paper: key 00..0f, input 00..0e */
	struct siphash_key k = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};
	uint8_t in[15];

	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	CU_ASSERT_EQUAL(siphash(&k, in, 15), 0xa129ca6149be45e5ull);
	CU_ASSERT_EQUAL(siphash(&k, in, 0), 0x726fdb47dd0e0e31ull);
}

static void start(void)
{
	static const struct demux_ops ops = {on_syn, on_gone, on_after};
	ip4_addr_t ip, mask, gw = {0};
	ip6_addr_t ip6;
	struct tcp_pcb *l;
	s8_t i;

	lwip_init();
	demux_init(&ops);
	IP4_ADDR(&ip, 10, 9, 0, 254);
	IP4_ADDR(&mask, 255, 255, 255, 0);
	(void)netif_add(&g_wire, &ip, &mask, &gw, NULL, wire_init, ip_input);
	g_wire.chksum_flags = 0; /* the frames above carry none */
	netif_set_default(&g_wire);
	netif_set_up(&g_wire);
	(void)ip6addr_aton("fd09::fe", &ip6);
	(void)netif_add_ip6_address(&g_wire, &ip6, &i);
	netif_ip6_addr_set_state(&g_wire, i, IP6_ADDR_PREFERRED);
	l = tcp_new_ip_type(IPADDR_TYPE_ANY);
	(void)tcp_bind(l, IP_ANY_TYPE, 80);
	l = tcp_listen(l);
	tcp_accept(l, on_accept);
	demux_listener(l);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(connections_live_in_the_table),
		TEST(ipv6_connections_too),
		TEST(a_segment_for_nobody_is_reset),
		TEST(time_wait_is_a_record),
		TEST(a_newer_syn_takes_over_time_wait),
		TEST(time_wait_ends_by_the_clock),
		TEST(time_wait_of_many_stays_flat),
		TEST(timers_rest_when_nothing_is_pending),
		TEST(keepalive_probes_and_gives_up),
		TEST(ports_conflict_as_on_linux),
		TEST(time_wait_keeps_a_port_without_reuse),
		TEST(ephemeral_ports_do_not_repeat),
		TEST(siphash_matches_its_reference),
		CU_TEST_INFO_NULL,
	};

	start();
	return suite_run("demux", NULL, NULL, tests);
}
