/* SPDX-License-Identifier: MIT */
/*
 * netif.c - an interface that is netd's alone.
 *
 * Both the kernel and netd see what arrives.  The kernel must keep quiet: it has no
 * address there (so it answers no ARP and owns no port), no IPv6 (so no link-local
 * address and no neighbour answers), and forwards nothing.
 */
#include "services/agent/agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define INTERFACE_MS 15000 /* until netfront has connected */
#define BUFFER (2 << 20)

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

static int put(const char *family, const char *name, const char *key, const char *value)
{
	char path[128];
	int fd, e = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, name, key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, 1) != 1)
		e = errno;
	if (fd >= 0)
		close(fd);
	return -e;
}

static int fail(char why[CONFIG_WHY], const char *name, const char *step, int e)
{
	snprintf(why, CONFIG_WHY, "cannot take interface %s: %s: %s", name, step, strerror(e));
	return -e;
}

/* The kernel's own use of the interface, off. */
static int silence(const char *name, char why[CONFIG_WHY])
{
	/* no file: a kernel without IPv6 */
	int r = put("ipv6", name, "disable_ipv6", "1");

	if (r < 0 && r != -ENOENT)
		return fail(why, name, "IPv6 off", -r);
	r = put("ipv4", name, "forwarding", "0");
	if (r < 0)
		return fail(why, name, "forwarding off", -r);
	r = put("ipv4", name, "arp_ignore", "8"); /* answer no ARP */
	if (r < 0)
		return fail(why, name, "ARP off", -r);
	return 0;
}

static int has_address(int sock, struct ifreq *req)
{
	return ioctl(sock, SIOCGIFADDR, req) == 0;
}

static int bring_up(int sock, const char *name, uint32_t mtu, struct netif_info *info,
                    char why[CONFIG_WHY])
{
	struct ifreq req = {.ifr_flags = 0};

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (has_address(sock, &req)) {
		snprintf(why, CONFIG_WHY,
		         "interface %s has an address of this kernel's; netd's must have none", name);
		return -EADDRINUSE;
	}
	if (mtu) {
		req.ifr_mtu = (int)mtu;
		if (ioctl(sock, SIOCSIFMTU, &req))
			return fail(why, name, "its MTU", errno);
	}
	if (ioctl(sock, SIOCGIFMTU, &req))
		return fail(why, name, "its MTU", errno);
	info->mtu = (uint32_t)req.ifr_mtu;
	if (ioctl(sock, SIOCGIFHWADDR, &req))
		return fail(why, name, "its address", errno);
	memcpy(info->mac, req.ifr_hwaddr.sa_data, sizeof(info->mac));
	if (ioctl(sock, SIOCGIFFLAGS, &req))
		return fail(why, name, "its flags", errno);
	req.ifr_flags = (short)(req.ifr_flags | IFF_UP);
	if (ioctl(sock, SIOCSIFFLAGS, &req))
		return fail(why, name, "bringing it up", errno);
	return 0;
}

static int setup_socket(int sock, unsigned index)
{
	const int one = 1, room = BUFFER;
	const struct packet_mreq multicast = {.mr_ifindex = (int)index,
	                                      .mr_type = PACKET_MR_ALLMULTI};
	const struct sockaddr_ll at = {.sll_family = AF_PACKET,
	                               .sll_protocol = htons(ETH_P_ALL),
	                               .sll_ifindex = (int)index};

	/* Peers on Xen leave checksums blank and send several segments as one frame:
	 * the header says so, both ways. */
	if (setsockopt(sock, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
	    setsockopt(sock, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(sock, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &multicast, sizeof(multicast)))
		return -errno;
	(void)setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)); /* else less */
	(void)setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	return bind(sock, (const struct sockaddr *)&at, sizeof(at)) ? -errno : 0;
}

int netif_open(const char *name, uint32_t mtu, struct netif_info *info, char why[CONFIG_WHY])
{
	char path[64];
	int sock, r;

	snprintf(path, sizeof(path), "/sys/class/net/%s", name);
	if (wait_for_path(path, INTERFACE_MS) < 0) {
		snprintf(why, CONFIG_WHY, "there is no interface %s; give the domain one (vif)",
		         name);
		return -ENODEV;
	}
	/* Bound to nothing until all is set: no frame comes early. */
	sock = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return fail(why, name, "a packet socket", errno);
	r = silence(name, why);
	if (r == 0)
		r = bring_up(sock, name, mtu, info, why);
	if (r == 0) {
		r = setup_socket(sock, if_nametoindex(name));
		if (r < 0)
			(void)fail(why, name, "its socket", -r);
	}
	if (r < 0) {
		close(sock);
		return r;
	}
	return sock;
}
