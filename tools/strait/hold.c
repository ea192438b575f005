/* SPDX-License-Identifier: MIT */
/*
 * hold.c - keep what a guest sends out until there is a way out.
 *
 * The device stays when all is settled: closing it waits for the kernel's network
 * to come to rest (16 ms), while a namespace that ends takes it along for nothing.
 */
#include "tools/strait/hold.h"

#include "tools/strait/nl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define METRIC 4096u /* any other default route goes first */

int hold_open(struct hold *h, int nl, const struct net_plan *plan)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), i, err;

	if (fd < 0)
		return -errno;
	strcpy(ifr.ifr_name, HOLD_DEVICE);
	if (ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETPERSIST, 1)) {
		err = -errno;
		close(fd);
		return err;
	}
	i = nl_link_index(nl, HOLD_DEVICE);
	if ((err = i < 0 ? i : 0) || (err = nl_link_up(nl, i, NET_MTU, 0)) ||
	    (err = nl_default4(nl, i, METRIC))) {
		close(fd);
		return err;
	}
	(void)nl_default6(nl, i, METRIC); /* a kernel without IPv6 leaves us IPv4 */
	*h = (struct hold){ .fd = fd, .plan = plan };
	return 0;
}

/* Is this from the guest, to one address?  The kernel itself speaks there too. */
static bool is_guests(const struct hold *h, const uint8_t *p, size_t n)
{
	struct in_addr guest4 = net_plan_addr4(h->plan, 2);
	struct in6_addr guest6 = net_plan_addr6(h->plan, 2);

	if (n >= 20 && p[0] >> 4 == 4)
		return !memcmp(p + 12, &guest4, 4) && p[16] < 224;
	if (n >= 40 && p[0] >> 4 == 6)
		return !memcmp(p + 8, &guest6, 16) && p[24] != 0xff;
	return false;
}

bool hold_read(struct hold *h)
{
	static uint8_t buf[65536];
	ssize_t n;

	while ((n = read(h->fd, buf, sizeof(buf))) > 0) {
		if (!is_guests(h, buf, (size_t)n) || h->n == HOLD_PACKETS ||
		    h->bytes + (size_t)n > HOLD_BYTES)
			continue; /* lost, as on any full link */
		uint8_t *copy = malloc((size_t)n);

		if (!copy)
			continue;
		memcpy(copy, buf, (size_t)n);
		h->kept[h->n].data = copy;
		h->kept[h->n++].len = (size_t)n;
		h->bytes += (size_t)n;
	}
	return h->n > 0;
}

static void forget(struct hold *h)
{
	while (h->n)
		free(h->kept[--h->n].data);
	h->bytes = 0;
}

void hold_release(struct hold *h)
{
	if (h->fd < 0)
		return;
	(void)hold_read(h);
	for (unsigned i = 0; i < h->n; i++)
		(void)!write(h->fd, h->kept[i].data, h->kept[i].len);
	forget(h);
	close(h->fd);
	h->fd = -1;
}

void hold_refuse(struct hold *h, int nl)
{
	int i = nl_link_index(nl, HOLD_DEVICE);

	if (h->fd < 0)
		return;
	if (i > 0)
		(void)nl_link_down(nl, i); /* its routes go with it */
	forget(h);
	close(h->fd);
	h->fd = -1;
}
