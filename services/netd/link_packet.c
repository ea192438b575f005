/* SPDX-License-Identifier: MIT */
/*
 * link_packet.c - an AF_PACKET socket as a link: which frames it gives us.
 *
 * Whoever opened the socket has bound it to the interface, with vnet headers and
 * all multicast; here is set what must hold whoever it was.  The kernel takes the
 * tag off a frame of a VLAN and keeps it beside the frame, where read() does not
 * look, so such a frame would seem to be one of ours.  Its filter drops it (tag 0
 * is a priority, no VLAN), and what we have sent ourselves.
 *
 * Frames leave through the interface's queue, not past it (PACKET_QDISC_BYPASS):
 * past it, one that finds the device busy is lost.
 */
#include "services/netd/link.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <stdint.h>
#include <sys/socket.h>

#define AD(field) ((uint32_t)(SKF_AD_OFF + (field)))

int link_packet_prepare(int fd)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AD(SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 5, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AD(SKF_AD_VLAN_TAG_PRESENT)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 4, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AD(SKF_AD_VLAN_TAG)),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0x7fffffff), /* the whole frame */
	};
	const struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	int domain = 0;
	socklen_t len = sizeof(domain);
	char early;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return -errno;
	if (domain != AF_PACKET)
		return -EPROTOTYPE;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0)
		return -errno;
	/* what has passed no filter yet */
	while (!link_is_taken_over() &&
	       (recv(fd, &early, 1, MSG_DONTWAIT | MSG_TRUNC) >= 0 || errno == EINVAL))
		;
	return 0;
}
