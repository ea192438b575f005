/* SPDX-License-Identifier: MIT */
/*
 * lwip_core.c - the lwip stack: start, interfaces, timers, addresses.
 *
 * lwIP runs without an operating system: every timer is driven from here, and
 * only while it has work.  TCP's by the demultiplexer; those of ARP, ND and
 * reassembly once a second while there was traffic in the last BUSY_MS (a
 * reassembly lasts 15 s, a neighbour probe a few), and once for each missed second
 * when traffic comes back.
 */
#include "services/netd/clock.h"
#include "services/netd/errmap.h"
#include "services/netd/hooks.h"
#include "services/netd/info.h"
#include "services/netd/link.h"
#include "services/netd/lwip_priv.h"
#include "services/netd/stack.h"
#include "services/netd/tw.h"

#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/igmp.h"
#include "lwip/init.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/prot/ethernet.h"

#include <errno.h>
#include <malloc.h>
#include <net/if.h>
#include <stdlib.h>
#include <unistd.h>

#define BUSY_MS 30000u
#define MISSED_MAX 600u /* seconds made up at once: ARP forgets after 300 */
#define FRAMES_A_TURN 64
#define CHECK_TCP_UDP (NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP)
#define GROUP_MS 100u   /* IGMP_TMR_INTERVAL, MLD6_TMR_INTERVAL */

struct lsock *g_lsocks;
static struct netif g_eth;
static bool g_have_eth, g_offload;
static ip6_addr_t g_gateway6;
static bool g_have_gateway6;
static uint32_t g_clock_ahead; /* of our clock, when another netd began the connections */
static uint64_t g_last_traffic, g_next_second = UINT64_MAX, g_next_group = UINT64_MAX;

u32_t sys_now(void);

u32_t sys_now(void)
{
	return (u32_t)clock_ms() + g_clock_ahead;
}

uint32_t lwip_clock_ahead(const uint32_t *set)
{
	if (set)
		g_clock_ahead = *set;
	return g_clock_ahead;
}

struct netif *lwip_eth(void)
{
	return g_have_eth ? &g_eth : NULL;
}

const ip6_addr_t *netd_gateway6(struct netif *netif, const ip6_addr_t *dest)
{
	(void)dest;
	return g_have_gateway6 && netif == &g_eth ? &g_gateway6 : NULL;
}

/* ---- addresses ---- */

void naddr_to_lwip(const struct naddr *a, ip_addr_t *out)
{
	memset(out, 0, sizeof(*out));
	if (a->len == 4) {
		memcpy(&ip_2_ip4(out)->addr, a->ip, 4);
		IP_SET_TYPE(out, IPADDR_TYPE_V4);
		return;
	}
	memcpy(ip_2_ip6(out)->addr, a->ip, 16);
	IP_SET_TYPE(out, IPADDR_TYPE_V6);
	if (g_have_eth && ip6_addr_has_scope(ip_2_ip6(out), IP6_UNKNOWN))
		ip6_addr_assign_zone(ip_2_ip6(out), IP6_UNKNOWN, &g_eth);
}

void naddr_from_lwip(const ip_addr_t *ip, uint16_t port, struct naddr *a)
{
	memset(a, 0, sizeof(*a));
	a->port = port;
	if (IP_IS_V6(ip)) {
		a->len = 16;
		memcpy(a->ip, ip_2_ip6(ip)->addr, 16);
		if (ip6_addr_has_scope(ip_2_ip6(ip), IP6_UNKNOWN))
			a->scope = ip6_addr_zone(ip_2_ip6(ip));
	} else {
		a->len = 4;
		memcpy(a->ip, &ip_2_ip4(ip)->addr, 4);
	}
}

bool lwip_is_local(const struct naddr *a)
{
	struct netif *n;
	ip_addr_t ip;

	naddr_to_lwip(a, &ip);
	NETIF_FOREACH(n) {
		if (a->len == 4 ? ip4_addr_cmp(ip_2_ip4(&ip), netif_ip4_addr(n))
		                : netif_get_ip6_addr_match(n, ip_2_ip6(&ip)) >= 0)
			return true;
	}
	return false;
}

struct netif *lwip_netif(uint32_t index)
{
	if (index == 0)
		return netif_default ? netif_default : netif_get_by_index(1);
	return index < 256 ? netif_get_by_index((u8_t)index) : NULL;
}

/* lwIP would queue the packet and lose it; the program must hear at once. */
static bool reachable(const struct netif *n, const ip_addr_t *dst)
{
	if (n != &g_eth)
		return true;
	if (IP_IS_V4(dst))
		return ip4_addr_netcmp(ip_2_ip4(dst), netif_ip4_addr(n), netif_ip4_netmask(n)) ||
		       ip4_addr_ismulticast(ip_2_ip4(dst)) ||
		       ip_2_ip4(dst)->addr == IPADDR_BROADCAST ||
		       !ip4_addr_isany(netif_ip4_gw(n));
	if (g_have_gateway6 || ip6_addr_islinklocal(ip_2_ip6(dst)) ||
	    ip6_addr_ismulticast(ip_2_ip6(dst)))
		return true;
	for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		if (ip6_addr_isvalid(netif_ip6_addr_state(n, i)) &&
		    ip6_addr_netcmp(ip_2_ip6(dst), netif_ip6_addr(n, i)))
			return true;
	}
	return false;
}

int lwip_route(const struct naddr *a, const struct naddr *bound, struct netif **netif,
               ip_addr_t *src)
{
	ip_addr_t dst, from = IPADDR_ANY_TYPE_INIT;
	const ip_addr_t *local;

	naddr_to_lwip(a, &dst);
	if (bound && bound->len == a->len && !naddr_any(bound))
		naddr_to_lwip(bound, &from);
	else if (bound && bound->len != a->len && !(bound->len == 16 && naddr_any(bound)))
		return -ENETUNREACH; /* one family cannot reach the other */
	IP_SET_TYPE_VAL(from, IP_GET_TYPE(&dst));
	*netif = ip_route(&from, &dst);
	if (!*netif || !reachable(*netif, &dst))
		return -ENETUNREACH;
	if (!ip_addr_isany(&from)) {
		*src = from;
		return 0;
	}
	local = ip_netif_get_local_ip(*netif, &dst);
	if (!local || ip_addr_isany(local))
		return -ENETUNREACH;
	*src = *local;
	return 0;
}

/* ---- local ports ---- */

void lwip_bind_fill(struct lsock *l)
{
	l->port.owner = l;
	l->port.proto = l->s.proto;
	l->port.v6only = l->s.opt.v6only;
	l->port.reuse = l->s.opt.reuseaddr;
	l->port.reuseport = l->s.opt.reuseport;
}

int lwip_bind(struct lsock *l, const struct naddr *a)
{
	struct naddr want = {.len = l->s.domain == AF_INET ? 4 : 16};
	uint16_t port;
	int r;

	if (a)
		want = *a;
	if (!naddr_any(&want) && !lwip_is_local(&want) &&
	    !(l->s.type == SOCK_DGRAM && (naddr_multicast(&want) || want.ip[0] == 255)))
		return -EADDRNOTAVAIL;
	lwip_bind_fill(l);
	l->port.addr = want;
	port = want.port;
	r = port ? ports_check(&l->port, port) : ports_pick(&l->port, &port);
	if (r < 0)
		return r;
	l->port.addr.port = port;
	l->s.local = l->port.addr;
	l->s.bound = true;
	l->port_chosen = !a;
	l->port_asked = a && a->port != 0;
	ports_add(&l->port);
	return 0;
}

void lsock_add(struct lsock *l)
{
	l->next = g_lsocks;
	l->prev = &g_lsocks;
	if (g_lsocks)
		g_lsocks->prev = &l->next;
	g_lsocks = l;
	lwip_bind_fill(l);
}

void lsock_del(struct lsock *l)
{
	tx_clean(l);
	wait_del(l);
	ports_del(&l->port);
	tx_free(l);
	dgram_free(l);
	tcp_rx_free(l);
	if (!l->prev)
		return;
	*l->prev = l->next;
	if (l->next)
		l->next->prev = l->prev;
	l->prev = NULL;
}

/* ---- the stack's operations ---- */

static int op_open(struct sock *s)
{
	struct lsock *l = lsock_of(s);
	int r;

	lsock_add(l);
	r = s->type == SOCK_STREAM ? tcp_open(l) : dgram_open(l);
	if (r < 0)
		lsock_del(l);
	return r;
}

static int op_bind(struct sock *s, const struct naddr *a)
{
	return lwip_bind(lsock_of(s), a);
}

static int op_listen(struct sock *s)
{
	return tcp_do_listen(lsock_of(s));
}

static int op_connect(struct sock *s, const struct naddr *a)
{
	return s->type == SOCK_STREAM ? tcp_do_connect(lsock_of(s), a)
	                              : dgram_connect(lsock_of(s), a);
}

static int op_disconnect(struct sock *s)
{
	return s->type == SOCK_STREAM ? tcp_do_disconnect(lsock_of(s))
	                              : dgram_disconnect(lsock_of(s));
}

static void op_rx_window(struct sock *s)
{
	if (s->type == SOCK_STREAM)
		tcp_rx_window(lsock_of(s));
}

static int op_shutdown(struct sock *s, int how)
{
	if (s->type == SOCK_STREAM)
		return tcp_do_shutdown(lsock_of(s), how);
	if (!s->connected)
		return -ENOTCONN;
	s->rx_shut |= how != SHUT_WR;
	s->tx_shut |= how != SHUT_RD;
	return 0;
}

static void op_close(struct sock *s, bool abort)
{
	struct lsock *l = lsock_of(s);

	if (s->type == SOCK_STREAM) {
		tcp_do_close(l, abort);
		return;
	}
	for (unsigned i = 0; i < s->n_groups; i++)
		(void)dgram_group(s, &s->groups[i], s->groups[i].scope, false);
	lsock_del(l);
	sock_free(s);
}

static int op_changed(struct sock *s, int level, int name)
{
	(void)level;
	(void)name;
	if (s->type == SOCK_STREAM)
		tcp_apply(lsock_of(s));
	else
		lwip_bind_fill(lsock_of(s));
	return 0;
}

static int op_opt_get(struct sock *s, int level, int name, void *val, uint32_t *len)
{
	struct lsock *l = lsock_of(s);
	int v;

	if (s->type == SOCK_STREAM && level == IPPROTO_TCP && name == 11) /* TCP_INFO */
		return tcp_info_get(l, val, len);
	if (s->type == SOCK_STREAM && level == IPPROTO_TCP && name == 2 && s->connected &&
	    l->pcb) { /* TCP_MAXSEG */
		v = l->pcb->mss;
		if (*len > sizeof(v))
			*len = sizeof(v);
		memcpy(val, &v, *len);
		return 0;
	}
	return -ENOPROTOOPT;
}

static const struct stack_ops g_ops = {
	.name = "lwip",
	.sock_size = sizeof(struct lsock),
	.open = op_open,
	.bind = op_bind,
	.listen = op_listen,
	.connect = op_connect,
	.disconnect = op_disconnect,
	.send = tx_send,
	.send_dgram = dgram_send,
	.rx_peek = tcp_rx_peek,
	.rx_take = tcp_rx_take,
	.dgram_peek = dgram_rx_peek,
	.dgram_take = dgram_rx_take,
	.rx_window = op_rx_window,
	.shutdown = op_shutdown,
	.close = op_close,
	.opt_changed = op_changed,
	.opt_get = op_opt_get,
	.group = dgram_group,
	.info = lwip_info,
	.lost = tcp_lost,
};

/* ---- interfaces ---- */

static void traffic(void)
{
	const uint64_t now = clock_ms();

	if (g_next_second == UINT64_MAX) {
		uint64_t missed = g_last_traffic ? (now - g_last_traffic) / 1000 : 0;

		for (missed = missed > MISSED_MAX ? MISSED_MAX : missed; missed > 0; missed--) {
			etharp_tmr();
			nd6_tmr();
		}
		g_next_second = now + 1000;
	}
	g_last_traffic = now;
}

static void link_input(struct pbuf *p, uint16_t ethertype, bool trusted)
{
	traffic();
	if (trusted)
		g_eth.chksum_flags &= (u16_t)~CHECK_TCP_UDP;
	else
		g_eth.chksum_flags |= CHECK_TCP_UDP;
	p->if_idx = netif_get_index(&g_eth);
	if (ethertype == ETHTYPE_IP)
		(void)ip4_input(p, &g_eth); /* these three always take the pbuf */
	else if (ethertype == ETHTYPE_IPV6)
		(void)ip6_input(p, &g_eth);
	else if (ethertype == ETHTYPE_ARP)
		etharp_input(p, &g_eth);
	else
		pbuf_free(p);
}

static err_t eth_output(struct netif *netif, struct pbuf *p)
{
	traffic();
	return link_send(netif, p);
}

static err_t eth_init(struct netif *n)
{
	n->name[0] = 'e';
	n->name[1] = 'n';
	n->output = etharp_output;
	n->output_ip6 = ethip6_output;
	n->linkoutput = eth_output;
	n->hwaddr_len = 6;
	n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
	           NETIF_FLAG_LINK_UP | NETIF_FLAG_IGMP | NETIF_FLAG_MLD6;
	return ERR_OK;
}

static bool named(const ProtobufCBinaryData *d, const char *name)
{
	return d->len >= strlen(name) && memcmp(d->data, name, strlen(name)) == 0;
}

static int check_config(const Control__NetConfig *cfg, char why[256])
{
	const char *bad = NULL;

	if (cfg->mac.len != 6)
		bad = "the MAC address must have 6 bytes";
	else if (cfg->mtu < 1280 || cfg->mtu > LINK_MTU_MAX)
		bad = "the MTU must lie between 1280 and 65521";
	else if ((cfg->ip4.len != 0 && cfg->ip4.len != 4) ||
	         (cfg->gateway4.len != 0 && cfg->gateway4.len != 4) || cfg->prefix4 > 32)
		bad = "an IPv4 address of the configuration is malformed";
	else if ((cfg->ip6.len != 0 && cfg->ip6.len != 16) ||
	         (cfg->gateway6.len != 0 && cfg->gateway6.len != 16) || cfg->prefix6 > 128)
		bad = "an IPv6 address of the configuration is malformed";
	if (!bad)
		return 0;
	(void)snprintf(why, 256, "netd: %s", bad);
	return -EINVAL;
}

static void eth_addresses6(const Control__NetConfig *cfg)
{
	ip6_addr_t ip6;
	s8_t i;

	netif_create_ip6_linklocal_address(&g_eth, 1);
	if (cfg->ip6.len == 16) {
		memset(&ip6, 0, sizeof(ip6));
		memcpy(ip6.addr, cfg->ip6.data, 16);
		if (netif_add_ip6_address(&g_eth, &ip6, &i) == ERR_OK)
			netif_ip6_addr_set_state(&g_eth, i, IP6_ADDR_PREFERRED);
	}
	if (cfg->gateway6.len == 16) {
		memset(&g_gateway6, 0, sizeof(g_gateway6));
		memcpy(g_gateway6.addr, cfg->gateway6.data, 16);
		ip6_addr_assign_zone(&g_gateway6, IP6_UNICAST, &g_eth);
		g_have_gateway6 = true;
	}
}

static int eth_start(const Control__NetConfig *cfg, int fd, char why[256])
{
	ip4_addr_t ip = {0}, mask = {0}, gw = {0};
	int r = check_config(cfg, why);

	if (r < 0)
		return r;
	r = named(&cfg->link, "afpacket") ? link_packet_prepare(fd) : 0;
	if (r < 0) {
		(void)snprintf(why, 256, "netd: the packet socket of its link: %s", strerror(-r));
		return r;
	}
	r = link_open(fd, cfg->vnet_hdr, cfg->offload, cfg->mac.data, link_input);
	if (r < 0) {
		(void)snprintf(why, 256, "netd: the link with a vnet header of %u bytes: %s",
		               cfg->vnet_hdr, strerror(-r));
		return r;
	}
	if (cfg->ip4.len == 4) {
		memcpy(&ip.addr, cfg->ip4.data, 4);
		mask.addr = cfg->prefix4 ? lwip_htonl(0xffffffffu << (32 - cfg->prefix4)) : 0;
	}
	if (cfg->gateway4.len == 4)
		memcpy(&gw.addr, cfg->gateway4.data, 4);
	memcpy(g_eth.hwaddr, cfg->mac.data, 6);
	if (!netif_add(&g_eth, &ip, &mask, &gw, NULL, eth_init, ip_input)) {
		(void)snprintf(why, 256, "netd: lwIP takes no interface");
		return -ENOMEM;
	}
	memcpy(g_eth.hwaddr, cfg->mac.data, 6);
	g_eth.mtu = g_eth.mtu6 = (u16_t)cfg->mtu;
	g_offload = cfg->vnet_hdr != 0;
	NETIF_SET_CHECKSUM_CTRL(&g_eth, g_offload ? NETIF_CHECKSUM_ENABLE_ALL &
	                                                    (u16_t)~NETIF_CHECKSUM_GEN_TCP
	                                          : NETIF_CHECKSUM_ENABLE_ALL);
	netif_set_default(&g_eth);
	netif_set_up(&g_eth);
	g_have_eth = true;
	eth_addresses6(cfg);
	return 0;
}

static int start(const Control__NetConfig *cfg, int fd, char why[256])
{
	char params[256];

	/* Received segments are 64 KiB blocks that come and go: keep the heap. */
	(void)mallopt(M_MMAP_THRESHOLD, 256 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
	(void)mallopt(M_TOP_PAD, 1 << 20);
	lwip_init();
	lwip_tcp_init();
	/* Programs see ICMP whole: the loop-back sums it too. */
	NETIF_SET_CHECKSUM_CTRL(netif_get_by_index(1),
	                        NETIF_CHECKSUM_GEN_ICMP | NETIF_CHECKSUM_GEN_ICMP6);
	if (info_keep(cfg) < 0)
		return -ENOMEM;
	if (named(&cfg->link, "loop") || cfg->link.len == 0)
		return 0;
	if (named(&cfg->link, "test:")) {
		(void)snprintf(params, sizeof(params), "%.*s", (int)cfg->link.len - 5,
		               (const char *)cfg->link.data + 5);
		if (link_test_config(params) < 0) {
			(void)snprintf(why, 256, "netd: test link '%.200s' is not understood",
			               params);
			return -EINVAL;
		}
	} else if (!named(&cfg->link, "tap") && !named(&cfg->link, "afpacket")) {
		(void)snprintf(why, 256, "netd: link '%.*s' is not known; tap, afpacket or loop",
		               (int)LWIP_MIN(cfg->link.len, 100), (const char *)cfg->link.data);
		return -EINVAL;
	}
	if (fd < 0) {
		(void)snprintf(why, 256, "netd: the link '%.*s' came without its descriptor",
		               (int)LWIP_MIN(cfg->link.len, 100), (const char *)cfg->link.data);
		return -EINVAL;
	}
	return eth_start(cfg, fd, why);
}

/* ---- Net.Info ---- */

static void iface_fill(Net__Iface *i, struct netif *n, char name[8],
                       ProtobufCBinaryData ip6[LWIP_IPV6_NUM_ADDRESSES],
                       uint32_t prefix6[LWIP_IPV6_NUM_ADDRESSES])
{
	const bool eth = n == &g_eth;

	net__iface__init(i);
	i->index = netif_get_index(n);
	(void)snprintf(name, 8, "%s", eth ? "eth0" : "lo");
	i->name = (ProtobufCBinaryData){strlen(name), (uint8_t *)name};
	i->flags = IFF_UP | IFF_RUNNING | (eth ? IFF_BROADCAST | IFF_MULTICAST : IFF_LOOPBACK);
	i->mtu = eth ? n->mtu : 65536;
	i->mac = (ProtobufCBinaryData){eth ? 6 : 0, n->hwaddr};
	if (!ip4_addr_isany(netif_ip4_addr(n))) {
		union {
			const ip4_addr_t *from;
			ip4_addr_t *to;
		} a = {.from = netif_ip4_addr(n)}; /* protobuf-c has no const */

		i->ip4 = (ProtobufCBinaryData){4, (uint8_t *)&a.to->addr};
		i->prefix4 = (uint32_t)__builtin_popcount(netif_ip4_netmask(n)->addr);
	}
	i->ip6 = ip6;
	i->prefix6 = prefix6;
	for (int k = 0; k < LWIP_IPV6_NUM_ADDRESSES; k++) {
		if (!ip6_addr_isvalid(netif_ip6_addr_state(n, k)))
			continue;
		ip6[i->n_ip6] = (ProtobufCBinaryData){
			16, (uint8_t *)ip_2_ip6(&n->ip6_addr[k])->addr};
		prefix6[i->n_ip6] = eth ? 64 : 128;
		i->n_ip6++;
	}
	i->n_prefix6 = i->n_ip6;
}

/* The message borrows static memory: it is packed before the next call. */
int lwip_info(Net__InfoRep *rep)
{
	static Net__Iface ifaces[2], *list[2] = {&ifaces[0], &ifaces[1]};
	static char names[2][8];
	static ProtobufCBinaryData ip6[2][LWIP_IPV6_NUM_ADDRESSES];
	static uint32_t prefix6[2][LWIP_IPV6_NUM_ADDRESSES];
	static char stack[] = "lwip";
	struct netif *n;

	rep->ifaces = list;
	for (u8_t i = 1; i <= 2 && (n = netif_get_by_index(i)); i++) {
		iface_fill(&ifaces[i - 1], n, names[i - 1], ip6[i - 1], prefix6[i - 1]);
		rep->n_ifaces++;
	}
	info_common(rep);
	rep->stack = (ProtobufCBinaryData){4, (uint8_t *)stack};
	return 0;
}

/* ---- the loop's side ---- */

static bool input(void *tag, uint32_t events)
{
	(void)tag;
	(void)events;
	return link_read(FRAMES_A_TURN);
}

static bool any_loop(void)
{
	struct netif *n;

	NETIF_FOREACH(n) {
		if (n->loop_first)
			return true;
	}
	return false;
}

static bool flush(void)
{
	(void)tx_flush();
	link_flush();
	if (!any_loop())
		return false;
	traffic();
	if (g_offload) /* what we send to ourselves has no checksum */
		g_eth.chksum_flags &= (u16_t)~CHECK_TCP_UDP;
	netif_poll_all();
	(void)tx_flush();
	link_flush();
	return true;
}

/* A membership report waits in some group. */
static bool groups_pending(void)
{
	struct netif *n;

	NETIF_FOREACH(n) {
		for (struct igmp_group *g = netif_igmp_data(n); g; g = g->next) {
			if (g->timer > 0)
				return true;
		}
		for (struct mld_group *g = netif_mld6_data(n); g; g = g->next) {
			if (g->timer > 0)
				return true;
		}
	}
	return false;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t deadline(void)
{
	if (g_next_group == UINT64_MAX && groups_pending())
		g_next_group = clock_ms() + GROUP_MS;
	return min64(min64(demux_deadline(), wait_deadline()),
	             min64(min64(g_next_second, g_next_group), link_test_deadline()));
}

static void run(uint64_t now_ms)
{
	demux_clock(now_ms);
	link_test_run(now_ms);
	wait_run(now_ms);
	demux_run(now_ms);
	if (now_ms >= g_next_second) {
		g_next_second = now_ms - g_last_traffic < BUSY_MS ? now_ms + 1000 : UINT64_MAX;
		etharp_tmr();
		nd6_tmr();
		ip_reass_tmr();
		ip6_reass_tmr();
	}
	if (now_ms >= g_next_group) {
		g_next_group = UINT64_MAX;
		igmp_tmr();
		mld6_tmr();
	}
}

static void watch(int epoll_fd)
{
	(void)epoll_fd;
}

const struct stack g_stack_lwip = {
	.ops = &g_ops,
	.start = start,
	.watch = watch,
	.input = input,
	.fd = link_fd,
	.flush = flush,
	.deadline = deadline,
	.run = run,
	.take_over = link_taken_over,
	.seal = lwip_seal,
	.head = lwip_head,
	.export = lwip_export,
	.import = lwip_import,
	.go = lwip_go,
	.reset_orphans = tcp_reset_orphans,
};
