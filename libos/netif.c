/* SPDX-License-Identifier: MIT */
/*
 * netif.c - SIOCGIF* on any socket: what netd's interfaces are, read-only.
 */
#include "libos/socket.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

#define IFREQ_SIZE 40u
#define ARPHRD_LOOPBACK_ 772
#define ARPHRD_ETHER_ 1
#define ARPHRD_NONE_ 0xfffe

/* struct ifreq as the kernel has it. */
struct kifreq {
	char name[16];
	union {
		uint8_t bytes[24];
		struct sockaddr addr;
		struct sockaddr_in in;
		int value;
		int16_t flags;
	};
};
_Static_assert(sizeof(struct kifreq) == IFREQ_SIZE, "struct ifreq");

struct kifconf {
	int32_t len;
	uint32_t pad;
	uint64_t buf;
};

static const struct net_if *find(const struct net_info *info, const struct kifreq *rq,
                                 bool by_index)
{
	for (uint32_t i = 0; i < info->n_ifs; i++) {
		const struct net_if *nif = &info->ifs[i];

		if (by_index ? nif->index == (uint32_t)rq->value
		             : strncmp(nif->name, rq->name, sizeof(rq->name)) == 0)
			return nif;
	}
	return NULL;
}

static void put_in(struct kifreq *rq, const uint8_t ip[4])
{
	memset(rq->bytes, 0, sizeof(rq->bytes));
	rq->in.sin_family = AF_INET;
	memcpy(&rq->in.sin_addr, ip, 4);
}

static void netmask(uint32_t prefix, uint8_t to[4])
{
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t bits = prefix > i * 8 ? prefix - i * 8 : 0;

		to[i] = (uint8_t)(bits >= 8 ? 0xffu : 0xff00u >> bits);
	}
}

static long put_address(const struct net_if *nif, unsigned req, struct kifreq *rq)
{
	uint8_t ip[4], mask[4];

	if (!nif->has_ip4)
		return -EADDRNOTAVAIL;
	memcpy(ip, nif->ip4, 4);
	netmask(nif->prefix4, mask);
	for (int i = 0; i < 4; i++) {
		if (req == SIOCGIFNETMASK)
			ip[i] = mask[i];
		else if (req == SIOCGIFBRDADDR)
			ip[i] = (uint8_t)(ip[i] | (uint8_t)~mask[i]);
	}
	put_in(rq, ip);
	return 0;
}

static void put_hardware(const struct net_if *nif, struct kifreq *rq)
{
	memset(rq->bytes, 0, sizeof(rq->bytes));
	rq->addr.sa_family = nif->flags & IFF_LOOPBACK ? ARPHRD_LOOPBACK_
	                     : nif->has_mac            ? ARPHRD_ETHER_
	                                               : ARPHRD_NONE_;
	if (nif->has_mac)
		memcpy(rq->addr.sa_data, nif->mac, sizeof(nif->mac));
}

static long answer(const struct net_if *nif, unsigned req, struct kifreq *rq)
{
	switch (req) {
	case SIOCGIFINDEX:
		rq->value = (int)nif->index;
		return 0;
	case SIOCGIFNAME:
		memcpy(rq->name, nif->name, sizeof(rq->name));
		return 0;
	case SIOCGIFFLAGS:
		rq->flags = (int16_t)nif->flags;
		return 0;
	case SIOCGIFMTU:
		rq->value = (int)nif->mtu;
		return 0;
	case SIOCGIFMETRIC:
		rq->value = 0;
		return 0;
	case SIOCGIFHWADDR:
		put_hardware(nif, rq);
		return 0;
	default:
		return put_address(nif, req, rq);
	}
}

static long get_info(struct net_info *info)
{
	memset(info, 0, sizeof(*info));
	return net_info(info);
}

static long list_all(void *user_arg)
{
	struct net_info info;
	struct kifconf c;
	uint32_t room, done = 0;
	long r;

	if (user_copy_in(&c, user_arg, sizeof(c)) != 0)
		return -EFAULT;
	r = get_info(&info);
	if (r < 0)
		return r;
	room = c.buf && c.len > 0 ? (uint32_t)c.len : 0;
	for (uint32_t i = 0; i < info.n_ifs; i++) {
		struct kifreq rq = {{0}, {{0}}};

		if (!info.ifs[i].has_ip4)
			continue;
		if (c.buf && done + IFREQ_SIZE > room)
			break;
		memcpy(rq.name, info.ifs[i].name, sizeof(rq.name));
		put_in(&rq, info.ifs[i].ip4);
		if (c.buf &&
		    user_copy_out((uint8_t *)c.buf + done, &rq, sizeof(rq)) != 0)
			return -EFAULT;
		done += IFREQ_SIZE;
	}
	c.len = (int32_t)done;
	return user_copy_out(user_arg, &c, sizeof(c));
}

long sock_ofd_ioctl(struct ofd *o, unsigned long req_arg, void *user_arg)
{
	unsigned req = (unsigned)req_arg;
	struct net_info info;
	const struct net_if *nif;
	struct kifreq rq;
	long r;

	(void)o;
	switch (req) {
	case SIOCGIFCONF:
		return list_all(user_arg);
	case SIOCGIFINDEX:
	case SIOCGIFNAME:
	case SIOCGIFFLAGS:
	case SIOCGIFMTU:
	case SIOCGIFMETRIC:
	case SIOCGIFHWADDR:
	case SIOCGIFADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
		break;
	case SIOCSIFFLAGS:
	case SIOCSIFADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFBRDADDR:
	case SIOCSIFMTU:
	case SIOCSIFHWADDR:
	case SIOCSIFNAME:
		return -EPERM; /* the network is netd's */
	default:
		return -ENOTTY;
	}
	if (user_copy_in(&rq, user_arg, sizeof(rq)) != 0)
		return -EFAULT;
	r = get_info(&info);
	if (r < 0)
		return r;
	nif = find(&info, &rq, req == SIOCGIFNAME);
	if (!nif)
		return -ENODEV;
	r = answer(nif, req, &rq);
	if (r < 0)
		return r;
	return user_copy_out(user_arg, &rq, sizeof(rq));
}
