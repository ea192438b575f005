/* SPDX-License-Identifier: MIT */
/*
 * link_tap.c - see link.h.
 *
 * Reading: one frame a system call, into a pbuf of the largest size, so that a
 * large frame is never copied; a small one is copied to a pbuf of its own size and
 * the large one is used again.
 *
 * Sending with a vnet header: a TCP segment leaves with the sum of its pseudo
 * header in the checksum field and VIRTIO_NET_HDR_F_NEEDS_CSUM, as the kernel's
 * own stack does with a device that can sum.
 */
#include "services/netd/link.h"

#include "lwip/inet_chksum.h"
#include "lwip/pbuf.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define ROOM 65535u        /* of the pbuf that a frame is read into */
#define KEEP_MIN 16384u    /* a frame of this size keeps the large pbuf */
#define ETH_LEN SIZEOF_ETH_HDR
#define OUT_IOV 64

static int g_fd = -1;
static unsigned g_vnet;
static uint8_t g_mac[6];
static link_input_fn *g_input;
static struct pbuf *g_spare;

int link_open(int fd, unsigned vnet_hdr, const uint8_t mac[6], link_input_fn *input)
{
	if (vnet_hdr != 0 && (vnet_hdr < 10 || vnet_hdr > LINK_HDR_MAX))
		return -EINVAL;
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return -errno;
	g_fd = fd;
	g_vnet = vnet_hdr;
	memcpy(g_mac, mac, 6);
	g_input = input;
	return 0;
}

int link_fd(void)
{
	return g_fd;
}

static struct pbuf *room_take(void)
{
	struct pbuf *p = g_spare;

	g_spare = NULL;
	return p ? p : pbuf_alloc(PBUF_RAW, ROOM, PBUF_RAM);
}

static void room_give(struct pbuf *p)
{
	if (g_spare)
		pbuf_free(p);
	else
		g_spare = p;
}

/* Is the frame for us?  Sets lwIP's flags for group addresses. */
static bool for_us(const struct eth_hdr *eth, struct pbuf *p)
{
	const uint8_t *d = eth->dest.addr;

	if (!(d[0] & 1))
		return memcmp(d, g_mac, 6) == 0;
	if ((d[0] == 1 && d[1] == 0 && d[2] == 0x5e) || (d[0] == 0x33 && d[1] == 0x33))
		p->flags |= PBUF_FLAG_LLMCAST;
	else
		p->flags |= PBUF_FLAG_LLBCAST;
	return true;
}

/* Takes @p, which holds what follows the Ethernet header. */
static void deliver(const void *vnet, const struct eth_hdr *eth, struct pbuf *p)
{
	struct virtio_net_hdr h = {0};

	if (g_vnet)
		memcpy(&h, vnet, 10);
	if (!for_us(eth, p)) {
		pbuf_free(p);
		return;
	}
	g_input(p, lwip_ntohs(eth->type),
	        (h.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0);
}

/* A pbuf of the right size with @n bytes of @from. */
static struct pbuf *pbuf_of(const void *from, size_t n)
{
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)n, PBUF_RAM);

	if (p)
		memcpy(p->payload, from, n);
	return p;
}

void link_raw_in(const void *frame, size_t len)
{
	const uint8_t *b = frame;
	struct eth_hdr eth;
	struct pbuf *p;

	if (len <= g_vnet + ETH_LEN || len - g_vnet - ETH_LEN > ROOM)
		return;
	memcpy(&eth, b + g_vnet, ETH_LEN);
	p = pbuf_of(b + g_vnet + ETH_LEN, len - g_vnet - ETH_LEN);
	if (p)
		deliver(b, &eth, p);
}

static void take_frame(struct pbuf *room, size_t len, uint8_t *vnet, struct eth_hdr *eth)
{
	struct pbuf *p = room;

	if (link_test_on()) {
		static uint8_t flat[LINK_HDR_MAX + ETH_LEN + ROOM];

		memcpy(flat, vnet, g_vnet);
		memcpy(flat + g_vnet, eth, ETH_LEN);
		memcpy(flat + g_vnet + ETH_LEN, room->payload, len);
		room_give(room);
		link_test_pass(false, flat, g_vnet + ETH_LEN + len);
		return;
	}
	if (len < KEEP_MIN) {
		p = pbuf_of(room->payload, len);
		room_give(room);
		if (!p)
			return;
	} else {
		p->len = p->tot_len = (u16_t)len;
	}
	deliver(vnet, eth, p);
}

bool link_read(int max)
{
	for (int i = 0; i < max; i++) {
		uint8_t vnet[LINK_HDR_MAX];
		struct eth_hdr eth;
		struct pbuf *room = room_take();
		struct iovec io[3];
		ssize_t n;

		if (!room)
			return false;
		io[0] = (struct iovec){vnet, g_vnet};
		io[1] = (struct iovec){&eth, ETH_LEN};
		io[2] = (struct iovec){room->payload, ROOM};
		n = readv(g_fd, io, 3);
		if (n <= (ssize_t)(g_vnet + ETH_LEN)) {
			room_give(room);
			if (n < 0)
				return false; /* EAGAIN, or the device is down: epoll tells */
			continue;
		}
		take_frame(room, (size_t)n - g_vnet - ETH_LEN, vnet, &eth);
	}
	return true;
}

int link_raw_out(const void *frame, size_t len)
{
	return write(g_fd, frame, len) == (ssize_t)len ? 0 : -EIO;
}

/* Where the TCP header of an Ethernet frame begins; 0: no TCP.  The headers lie in
 * the first pbuf: lwIP builds them so. */
static unsigned tcp_offset(const struct pbuf *p, ip_addr_t *src, ip_addr_t *dst)
{
	const struct eth_hdr *eth = p->payload;
	const uint8_t *b = p->payload;

	if (eth->type == PP_HTONS(ETHTYPE_IP) && p->len >= ETH_LEN + IP_HLEN) {
		const struct ip_hdr *ip = (const void *)(b + ETH_LEN);

		if (IPH_PROTO(ip) != IP_PROTO_TCP)
			return 0;
		ip_addr_copy_from_ip4(*src, ip->src);
		ip_addr_copy_from_ip4(*dst, ip->dest);
		return ETH_LEN + IPH_HL_BYTES(ip);
	}
	if (eth->type == PP_HTONS(ETHTYPE_IPV6) && p->len >= ETH_LEN + IP6_HLEN) {
		const struct ip6_hdr *ip = (const void *)(b + ETH_LEN);

		if (IP6H_NEXTH(ip) != IP6_NEXTH_TCP)
			return 0;
		ip_addr_copy_from_ip6_packed(*src, ip->src);
		ip_addr_copy_from_ip6_packed(*dst, ip->dest);
		return ETH_LEN + IP6_HLEN;
	}
	return 0;
}

/* The folded, not inverted sum of the pseudo header, in memory order. */
static uint16_t pseudo_sum(const ip_addr_t *src, const ip_addr_t *dst, unsigned len)
{
	const unsigned n = IP_IS_V6(src) ? 16 : 4;
	const void *s = IP_IS_V6(src) ? (const void *)ip_2_ip6(src)->addr
	                              : (const void *)&ip_2_ip4(src)->addr;
	const void *d = IP_IS_V6(dst) ? (const void *)ip_2_ip6(dst)->addr
	                              : (const void *)&ip_2_ip4(dst)->addr;
	uint32_t sum = (uint16_t)~inet_chksum(s, (u16_t)n);

	sum += (uint16_t)~inet_chksum(d, (u16_t)n);
	sum += lwip_htons((u16_t)len);
	sum += PP_HTONS(IP_PROTO_TCP);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static void fill_vnet(struct virtio_net_hdr *h, struct pbuf *p)
{
	ip_addr_t src, dst;
	const unsigned at = tcp_offset(p, &src, &dst);
	uint16_t sum;

	if (at == 0 || p->len < at + 20)
		return;
	sum = pseudo_sum(&src, &dst, p->tot_len - at);
	memcpy((uint8_t *)p->payload + at + 16, &sum, 2);
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = (__virtio16)at;
	h->csum_offset = 16;
}

static err_t send_flat(const void *vnet, struct pbuf *p)
{
	static uint8_t flat[LINK_HDR_MAX + ETH_LEN + ROOM];

	memcpy(flat, vnet, g_vnet);
	pbuf_copy_partial(p, flat + g_vnet, p->tot_len, 0);
	if (link_test_on()) {
		link_test_pass(true, flat, g_vnet + p->tot_len);
		return ERR_OK;
	}
	(void)link_raw_out(flat, g_vnet + p->tot_len); /* lost, as below */
	return ERR_OK;
}

err_t link_send(struct netif *netif, struct pbuf *p)
{
	uint8_t vnet[LINK_HDR_MAX] = {0};
	struct iovec io[OUT_IOV + 1];
	struct pbuf *q;
	int n = 1;

	if (g_vnet && !(netif->chksum_flags & NETIF_CHECKSUM_GEN_TCP)) {
		struct virtio_net_hdr h = {0};

		fill_vnet(&h, p);
		memcpy(vnet, &h, sizeof(h));
	}
	io[0] = (struct iovec){vnet, g_vnet};
	for (q = p; q && n <= OUT_IOV; q = q->next)
		io[n++] = (struct iovec){q->payload, q->len};
	if (q || link_test_on())
		return send_flat(vnet, p);
	/* What the device does not take is lost, as on a wire: told of an error, lwIP
	 * would keep the segment as not sent, and never time it out. */
	(void)writev(g_fd, io, n);
	return ERR_OK;
}
