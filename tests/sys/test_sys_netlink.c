/* SPDX-License-Identifier: MIT */
/* test_sys_netlink.c - interfaces: AF_NETLINK dumps, SIOCGIF*, and what musl makes of
 * them (getifaddrs, if_nameindex).  What there is differs between machines; that the
 * ways to ask agree does not. */
#include "tests/sys/check.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int ask(int fd, int type, int flags, void *buf, size_t size)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
	} req = {.h = {.nlmsg_len = sizeof(req),
	               .nlmsg_type = (uint16_t)type,
	               .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
	               .nlmsg_seq = 7}};

	CHECK_EQ(send(fd, &req, sizeof(req), 0), sizeof(req));
	return (int)recv(fd, buf, size, MSG_DONTWAIT);
}

static void names_and_indices_agree(void)
{
	struct if_nameindex *all = if_nameindex();
	char name[IF_NAMESIZE];
	int n = 0;

	CHECK(all != NULL);
	for (; all && all[n].if_index; n++) {
		CHECK_EQ(if_nametoindex(all[n].if_name), all[n].if_index);
		CHECK(if_indextoname(all[n].if_index, name) != NULL);
		CHECK(strcmp(name, all[n].if_name) == 0);
	}
	if_freenameindex(all);
	CHECK_EQ(if_nametoindex("no-such-if"), 0);
	CHECK(if_indextoname(99999, name) == NULL && errno == ENXIO);
}

static void addresses_agree_with_ioctl(void)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifaddrs *all, *a;

	CHECK(getifaddrs(&all) == 0);
	for (a = all; a; a = a->ifa_next) {
		struct ifreq rq = {0};

		CHECK(a->ifa_name != NULL);
		if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET)
			continue;
		strcpy(rq.ifr_name, a->ifa_name);
		CHECK(ioctl(s, SIOCGIFFLAGS, &rq) == 0);
		CHECK_EQ((uint16_t)rq.ifr_flags & IFF_UP, a->ifa_flags & IFF_UP);
		CHECK(ioctl(s, SIOCGIFNETMASK, &rq) == 0);
		CHECK_EQ(((struct sockaddr_in *)&rq.ifr_addr)->sin_addr.s_addr,
		         ((struct sockaddr_in *)a->ifa_netmask)->sin_addr.s_addr);
		CHECK(ioctl(s, SIOCGIFMTU, &rq) == 0);
		CHECK(rq.ifr_mtu > 0);
	}
	freeifaddrs(all);
	close(s);
}

static void unknown_interfaces(void)
{
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct ifreq rq = {.ifr_name = "no-such-if"};

	CHECK_ERR(ioctl(s, SIOCGIFINDEX, &rq), ENODEV);
	CHECK_ERR(ioctl(s, SIOCGIFFLAGS, BAD_PTR), EFAULT);
	close(s);
}

static void a_dump_ends_with_done(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), done = 0, n;
	static _Alignas(8) char buf[16384];
	struct pollfd p = {.fd = fd, .events = POLLIN};

	CHECK(fd >= 0);
	CHECK_EQ(poll(&p, 1, 0), 0);
	n = ask(fd, RTM_GETLINK, NLM_F_DUMP, buf, sizeof(buf));
	while (n > 0 && !done) {
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, (unsigned)n);
		     h = NLMSG_NEXT(h, n)) {
			CHECK_EQ(h->nlmsg_seq, 7);
			if (h->nlmsg_type == NLMSG_DONE)
				done = 1;
			else
				CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
		}
		if (!done)
			n = (int)recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	}
	CHECK(done);
	CHECK_ERR(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	close(fd);
}

static void the_kernel_answers_from_zero(void)
{
	struct sockaddr_nl me = {.nl_family = AF_NETLINK}, from = {.nl_pid = 77};
	int fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE);
	static _Alignas(8) char buf[16384];
	struct iovec v = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof(from),
	                   .msg_iov = &v, .msg_iovlen = 1};
	socklen_t n = sizeof(me);

	CHECK(bind(fd, (void *)&me, sizeof(me)) == 0);
	CHECK(getsockname(fd, (void *)&me, &n) == 0);
	CHECK_EQ(n, sizeof(me));
	CHECK(me.nl_pid != 0);
	/* A datagram that does not fit is cut. */
	CHECK(ask(fd, RTM_GETADDR, NLM_F_DUMP, buf, 0) == 0);
	CHECK(ask(fd, RTM_GETADDR, NLM_F_DUMP, buf, sizeof(buf)) > 0);
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	CHECK(ask(fd, RTM_GETROUTE, NLM_F_DUMP, buf, 0) == 0);
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	CHECK_EQ(send(fd, &(struct nlmsghdr){.nlmsg_len = 16, .nlmsg_type = 99,
	                                     .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
	              16, 0), 16);
	CHECK(recvmsg(fd, &m, MSG_DONTWAIT) > 0);
	CHECK_EQ(((struct nlmsghdr *)(void *)buf)->nlmsg_type, NLMSG_ERROR);
	CHECK_EQ(m.msg_namelen, sizeof(from));
	CHECK_EQ(from.nl_pid, 0);
	close(fd);
}

static void other_families_are_refused(void)
{
	CHECK_ERR(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_NETLINK, SOCK_RAW, 999), EPROTONOSUPPORT);
}

int main(void)
{
	watchdog(20);
	CASE(names_and_indices_agree);
	CASE(addresses_agree_with_ioctl);
	CASE(unknown_interfaces);
	CASE(a_dump_ends_with_done);
	CASE(the_kernel_answers_from_zero);
	CASE(other_families_are_refused);
	return g_failed;
}
