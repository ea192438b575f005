/* SPDX-License-Identifier: MIT */
/*
 * lwipopts.h - how netd builds lwIP 2.1.3 (its source is not changed).
 *
 * Layer:  services/netd.  Included by lwIP itself.
 * Memory: lwIP takes everything from malloc(); what a guest may hold is bounded
 *         by netd (sock.h), not by lwIP's pools.
 */
#ifndef NETD_LWIPOPTS_H
#define NETD_LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_TIMERS 0 /* lwip_core.c drives every timer, by deadline */
#define LWIP_HOOK_FILENAME "services/netd/hooks.h"
#define LWIP_STATS 0
#define LWIP_NOASSERT 1 /* lwIP's asserts abort: never on what a peer sent */

#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 16
#define MEM_SIZE (64 * 1024 * 1024) /* only sanity checks look at it */

#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_ARP 1
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 64
#define ARP_TABLE_SIZE 64
#define ETHARP_TRUST_IP_MAC 0
#define LWIP_DHCP 0
#define LWIP_DNS 0
#define LWIP_IGMP 1
#define LWIP_RAW 0
#define LWIP_ICMP 1
#define LWIP_UDP 1
#define LWIP_TCP 1
#define IP_REASSEMBLY 1
#define IP_REASS_MAX_PBUFS 256
#define IP_REASS_MAXAGE 15
#define IP_FRAG 1
#define IP_SOF_BROADCAST 1
#define IP_SOF_BROADCAST_RECV 0
#define LWIP_MULTICAST_TX_OPTIONS 1
#define SO_REUSE 1

#define LWIP_IPV6_REASS 1
#define IPV6_FRAG_COPYHEADER 1 /* pointers of 64 bits do not fit a fragment header */
#define LWIP_IPV6_FRAG 1
#define LWIP_IPV6_MLD 1
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0 /* the supervisor gives addresses that are free */
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_IPV6_AUTOCONFIG 1 /* compiled; a netif asks for it */
#define LWIP_IPV6_NUM_ADDRESSES 4
#define LWIP_ND6_NUM_NEIGHBORS 32
#define LWIP_ND6_NUM_DESTINATIONS 64
#define MEMP_NUM_ND6_QUEUE 64

#define LWIP_HAVE_LOOPIF 1
#define LWIP_NETIF_LOOPBACK 1
#define LWIP_NETIF_LOOPBACK_MULTITHREADING 0
#define LWIP_LOOPBACK_MAX_PBUFS 0
#define LWIP_LOOPIF_MULTICAST 1

#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_CHECKSUM_ON_COPY 0
#define LWIP_CHKSUM_ALGORITHM 3

/* TCP.  The largest MSS fits a TAP of MTU 65521; each connection's own follows
 * from its interface. */
#define TCP_MSS 65400
#define TCP_OVERSIZE 1400 /* not TCP_MSS: a small write would take 64 KiB */
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 7
#define TCP_WND (4 * 1024 * 1024)
#define TCP_SND_BUF (8 * 1024 * 1024) /* lwip_tcp.c bounds each connection below it */
#define TCP_SND_QUEUELEN 16384
#define TCP_SNDLOWAT 65535
#define TCP_SNDQUEUELOWAT 1024
#define TCP_OOSEQ_MAX_BYTES (4 * 1024 * 1024)
#define TCP_OOSEQ_MAX_PBUFS 4096
#define MEMP_NUM_TCP_SEG TCP_SND_QUEUELEN
#define MEMP_NUM_TCP_PCB 65536
#define LWIP_TCP_TIMESTAMPS 1
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_KEEPALIVE 1
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1 /* demux.c: birth and death of a pcb */
#define TCP_LISTEN_BACKLOG 0        /* lwip_tcp.c keeps its own, not limited to 255 */
#define TCP_TMR_INTERVAL 25         /* delayed ACK 25 ms, RTO ticks of 50 ms (lwIP: 250/500) */
#define LWIP_TCP_RTO_TIME 1000      /* RFC 6298 */
#define TCP_MAXRTX 12
#define TCP_SYNMAXRTX 7 /* demux.c doubles the interval: 127 s, as Linux */
#define TCP_MSL 30000
#define TCP_DEFAULT_LISTEN_BACKLOG 0xff
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1 /* TCP_OVERSIZE below an MSS is meant */

#define LWIP_NETIF_API 0
#define LWIP_NETIF_STATUS_CALLBACK 0
#define LWIP_NETIF_LINK_CALLBACK 0
#define PPP_SUPPORT 0

#endif /* NETD_LWIPOPTS_H */
