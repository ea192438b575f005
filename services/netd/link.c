/* SPDX-License-Identifier: MIT */
/*
 * link.c - see link.h.
 *
 * A TAP and an AF_PACKET socket look alike here: readv() and writev() move one
 * frame each, behind a vnet header.
 *
 * Reading: into a pbuf of the largest size, so that a large frame is never copied;
 * a small one is copied to a pbuf of its own size and the large one is used again.
 * When frames come one by one, the device is not asked a second time to learn that
 * it is empty: epoll, level-triggered, says if it is not.
 *
 * Sending with a vnet header: a TCP segment leaves with the sum of its pseudo
 * header in the checksum field and VIRTIO_NET_HDR_F_NEEDS_CSUM, as the kernel's
 * own stack does with a device that can sum.  What cannot sum is the kernel's to
 * know: it then sums in software.
 */
#include "services/netd/link.h"

#include "lwip/pbuf.h"
#include "lwip/prot/ethernet.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define ROOM 65535u        /* of the pbuf that a frame is read into */
#define KEEP_MIN 16384u    /* a frame of this size keeps the large pbuf */
#define ETH_LEN SIZEOF_ETH_HDR
#define OUT_IOV 64
#define LONE_TRUST 8u      /* of so many lone frames, one is followed by a second look */

static int g_fd = -1;
static unsigned g_vnet;
static uint8_t g_mac[6];
static link_input_fn *g_input;
static struct pbuf *g_spare;
static unsigned g_lone; /* reads in a row that found one frame */

int link_open(int fd, unsigned vnet_hdr, unsigned offload, const uint8_t mac[6],
              link_input_fn *input)
{
	if (vnet_hdr != 0 && (vnet_hdr < LINK_VNET_MIN || vnet_hdr > LINK_HDR_MAX))
		return -EINVAL;
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return -errno;
	g_fd = fd;
	g_vnet = vnet_hdr;
	memcpy(g_mac, mac, 6);
	g_input = input;
	gso_config(vnet_hdr ? offload : 0);
	return 0;
}

static bool g_taken_over, g_held;

void link_taken_over(void)
{
	g_taken_over = g_held = true;
}

void link_go(void)
{
	g_held = false;
}

bool link_is_taken_over(void)
{
	return g_taken_over;
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
	const uint16_t type = lwip_ntohs(eth->type);
	struct virtio_net_hdr h = {0};

	if (g_vnet)
		memcpy(&h, vnet, sizeof(h));
	if (for_us(eth, p))
		gso_deliver(&h, p, type, g_input);
	else
		pbuf_free(p);
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

/* One frame: 1; 0: one that is of no use; negative errno: none. */
static int read_frame(void)
{
	uint8_t vnet[LINK_HDR_MAX];
	struct eth_hdr eth;
	struct pbuf *room = room_take();
	struct iovec io[3];
	ssize_t n;

	if (!room)
		return -ENOMEM;
	io[0] = (struct iovec){vnet, g_vnet};
	io[1] = (struct iovec){&eth, ETH_LEN};
	io[2] = (struct iovec){room->payload, ROOM};
	n = readv(g_fd, io, 3);
	if (n <= (ssize_t)(g_vnet + ETH_LEN)) {
		const int err = n < 0 ? errno : 0;

		room_give(room);
		/* A packet socket says EINVAL for a frame that no vnet header can
		 * describe; the frame is gone. */
		return err == EINVAL ? 0 : -err;
	}
	take_frame(room, (size_t)n - g_vnet - ETH_LEN, vnet, &eth);
	return 1;
}

bool link_read(int max)
{
	for (int i = 0; i < max; i++) {
		if (read_frame() < 0) { /* EAGAIN, or the device is down: epoll tells */
			if (i > 0)
				g_lone = i == 1 ? g_lone + 1 : 0;
			return false;
		}
		if (i == 0 && g_lone > 0 && g_lone % LONE_TRUST != 0) {
			g_lone++;
			return false;
		}
	}
	return true;
}

int link_raw_out(const void *frame, size_t len)
{
	return g_held || write(g_fd, frame, len) == (ssize_t)len ? 0 : -EIO;
}

/* Through one piece of memory: for the test link, and for frames in many pieces. */
static void out_flat(const struct iovec *io, int n)
{
	static uint8_t flat[LINK_HDR_MAX + ETH_LEN + ROOM];
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		if (len + io[i].iov_len > sizeof(flat))
			return;
		memcpy(flat + len, io[i].iov_base, io[i].iov_len);
		len += io[i].iov_len;
	}
	if (link_test_on())
		link_test_pass(true, flat, len);
	else
		(void)link_raw_out(flat, len); /* lost, as below */
}

void link_out(const struct virtio_net_hdr *h, struct iovec *io, int n)
{
	uint8_t vnet[LINK_HDR_MAX] = {0};

	if (g_held) /* a switch would send us what is the old one's */
		return;
	memcpy(vnet, h, sizeof(*h));
	io[0] = (struct iovec){vnet, g_vnet};
	if (link_test_on()) {
		out_flat(io, n);
		return;
	}
	/* What the device does not take is lost, as on a wire: told of an error, lwIP
	 * would keep the segment as not sent, and never time it out. */
	if (writev(g_fd, io, n) < 0 && errno == EINVAL && h->gso_size)
		gso_refused();
}

static void out_pbufs(const struct virtio_net_hdr *h, struct pbuf *p)
{
	struct iovec io[OUT_IOV + 1];
	struct pbuf *q = p, *flat;
	int n = 1;

	for (; q && n <= OUT_IOV; q = q->next)
		io[n++] = (struct iovec){q->payload, q->len};
	if (!q) {
		link_out(h, io, n);
		return;
	}
	flat = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
	if (!flat)
		return; /* lost */
	io[1] = (struct iovec){flat->payload, flat->len};
	link_out(h, io, 2);
	pbuf_free(flat);
}

err_t link_send(struct netif *netif, struct pbuf *p)
{
	struct virtio_net_hdr h = {0};

	if (g_vnet && !(netif->chksum_flags & NETIF_CHECKSUM_GEN_TCP)) {
		if (gso_take(p))
			return ERR_OK;
		gso_unsummed(&h, p);
	}
	out_pbufs(&h, p);
	return ERR_OK;
}

void link_flush(void)
{
	gso_flush();
}
