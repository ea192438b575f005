/* SPDX-License-Identifier: MIT */
/* test_sys_net_msg.c - sendmsg, recvmsg and control data; sendmmsg, recvmmsg. */
#include "tests/sys/net_test.h"

#include <net/if.h>
#include <sys/time.h>

union ctl {
	char buf[256];
	struct cmsghdr h;
};

/* Receive one datagram; its control data in @c. */
static struct msghdr receive(int fd, union ctl *c, size_t room)
{
	static char data[64];
	static struct iovec io = {data, sizeof(data)};
	struct msghdr m = {.msg_iov = &io,
	                   .msg_iovlen = 1,
	                   .msg_control = c->buf,
	                   .msg_controllen = (socklen_t)room};

	CHECK(recvmsg(fd, &m, 0) >= 0);
	return m;
}

static struct cmsghdr *find(struct msghdr *m, int level, int type)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h))
		if (h->cmsg_level == level && h->cmsg_type == type)
			return h;
	CHECK(!"control message is there");
	return NULL;
}

static int int_of(struct msghdr *m, int level, int type)
{
	struct cmsghdr *h = find(m, level, type);
	int v = -1;

	if (h) {
		CHECK_EQ(h->cmsg_len, CMSG_LEN(sizeof(v)));
		memcpy(&v, CMSG_DATA(h), sizeof(v));
	}
	return v;
}

static void pktinfo_ttl_tos_and_time_are_told(void)
{
	struct sockaddr_in a;
	struct in_pktinfo pi;
	struct timeval tv, now;
	struct cmsghdr *h;
	struct msghdr m;
	union ctl c;
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(set_int(x, IPPROTO_IP, IP_PKTINFO, 1), 0);
	CHECK_EQ(get_int(x, IPPROTO_IP, IP_PKTINFO), 1);
	CHECK_EQ(set_int(x, IPPROTO_IP, IP_RECVTTL, 1), 0);
	CHECK_EQ(set_int(x, IPPROTO_IP, IP_RECVTOS, 1), 0);
	CHECK_EQ(set_int(x, SOL_SOCKET, SO_TIMESTAMP, 1), 0);
	CHECK_EQ(set_int(y, IPPROTO_IP, IP_TTL, 33), 0);
	CHECK_EQ(get_int(y, IPPROTO_IP, IP_TTL), 33);
	CHECK_EQ(set_int(y, IPPROTO_IP, IP_TOS, 0x10), 0);
	CHECK_EQ(get_int(y, IPPROTO_IP, IP_TOS), 0x10);
	CHECK_EQ(sendto(y, "x", 1, 0, SA(&a), sizeof(a)), 1);
	m = receive(x, &c, sizeof(c));
	CHECK_EQ(m.msg_flags, 0);
	h = find(&m, IPPROTO_IP, IP_PKTINFO);
	if (h) {
		CHECK_EQ(h->cmsg_len, CMSG_LEN(sizeof(pi)));
		memcpy(&pi, CMSG_DATA(h), sizeof(pi));
		CHECK_EQ(pi.ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
		CHECK_EQ(pi.ipi_ifindex, if_nametoindex("lo"));
	}
	CHECK_EQ(int_of(&m, IPPROTO_IP, IP_TTL), 33);
	h = find(&m, IPPROTO_IP, IP_TOS);
	if (h) {
		CHECK_EQ(h->cmsg_len, CMSG_LEN(1));
		CHECK_EQ(*CMSG_DATA(h), 0x10);
	}
	h = find(&m, SOL_SOCKET, SO_TIMESTAMP);
	if (h) {
		memcpy(&tv, CMSG_DATA(h), sizeof(tv));
		gettimeofday(&now, NULL);
		CHECK(now.tv_sec - tv.tv_sec <= 5 && now.tv_sec >= tv.tv_sec - 1);
	}
	close(x);
	close(y);
}

static void control_data_that_does_not_fit_is_cut(void)
{
	struct sockaddr_in a;
	struct msghdr m;
	union ctl c;
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(set_int(x, IPPROTO_IP, IP_PKTINFO, 1), 0);
	CHECK_EQ(sendto(y, "x", 1, 0, SA(&a), sizeof(a)), 1);
	CHECK_EQ(sendto(y, "x", 1, 0, SA(&a), sizeof(a)), 1);
	m = receive(x, &c, 8);
	CHECK_EQ(m.msg_flags, MSG_CTRUNC);
	CHECK_EQ(m.msg_controllen, 0);
	CHECK_EQ(set_int(x, IPPROTO_IP, IP_PKTINFO, 0), 0);
	m = receive(x, &c, sizeof(c));
	CHECK_EQ(m.msg_flags & ~MSG_CTRUNC, 0);
	close(x);
	close(y);
}

/* Send one byte with one control message. */
static long send_with(int fd, const struct sockaddr_in *to, int level, int type,
                      const void *data, size_t len)
{
	struct iovec io = {"x", 1};
	union ctl c = {.buf = {0}};
	struct msghdr m = {.msg_name = (void *)(uintptr_t)to,
	                   .msg_namelen = sizeof(*to),
	                   .msg_iov = &io,
	                   .msg_iovlen = 1,
	                   .msg_control = c.buf,
	                   .msg_controllen = (socklen_t)CMSG_SPACE(len)};

	c.h.cmsg_level = level;
	c.h.cmsg_type = type;
	c.h.cmsg_len = (socklen_t)CMSG_LEN(len);
	memcpy(CMSG_DATA(&c.h), data, len);
	return sendmsg(fd, &m, 0);
}

static void control_data_of_a_send_counts_for_it_alone(void)
{
	struct in_pktinfo pi = {.ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in a;
	struct msghdr m;
	union ctl c;
	int ttl = 9;
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(set_int(x, IPPROTO_IP, IP_RECVTTL, 1), 0);
	CHECK_EQ(send_with(y, &a, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), 1);
	m = receive(x, &c, sizeof(c));
	CHECK_EQ(int_of(&m, IPPROTO_IP, IP_TTL), 9);
	CHECK_EQ(send_with(y, &a, IPPROTO_IP, IP_PKTINFO, &pi, sizeof(pi)), 1);
	m = receive(x, &c, sizeof(c));
	CHECK_EQ(int_of(&m, IPPROTO_IP, IP_TTL), 64);
	ttl = 256;
	CHECK_ERR(send_with(y, &a, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), EINVAL);
	ttl = 0;
	CHECK_ERR(send_with(y, &a, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), EINVAL);
	CHECK_ERR(send_with(y, &a, IPPROTO_IP, 99, &ttl, sizeof(ttl)), EINVAL);
	CHECK_ERR(send_with(y, &a, SOL_SOCKET, 99, &ttl, sizeof(ttl)), EINVAL);
	CHECK_EQ(send_with(y, &a, 250, 99, &ttl, sizeof(ttl)),
	         1); /* not for IP: passed over */
	close(x);
	close(y);
}

static void names_and_vectors_of_a_message(void)
{
	struct sockaddr_in a, b, from;
	char p[2], q[8];
	struct iovec out[2] = {{"he", 2}, {"llo", 3}}, in[2] = {{p, 2}, {q, 8}};
	struct msghdr m = {.msg_name = &a,
	                   .msg_namelen = sizeof(a),
	                   .msg_iov = out,
	                   .msg_iovlen = 2};
	int x = bound4(SOCK_DGRAM, &a), y = bound4(SOCK_DGRAM, &b);

	CHECK_EQ(sendmsg(y, &m, 0), 5);
	m = (struct msghdr){.msg_name = &from,
	                    .msg_namelen = sizeof(from),
	                    .msg_iov = in,
	                    .msg_iovlen = 2};
	CHECK_EQ(recvmsg(x, &m, 0), 5);
	CHECK(memcmp(p, "he", 2) == 0 && memcmp(q, "llo", 3) == 0);
	CHECK_EQ(m.msg_namelen, sizeof(from));
	CHECK_EQ(from.sin_port, b.sin_port);
	close(x);
	close(y);
}

static void many_at_once(void)
{
	struct sockaddr_in a;
	struct mmsghdr out[8] = {0}, in[8] = {0};
	struct iovec o[8], i[8];
	struct timespec limit = {0, 50000000};
	char bufs[8][16];
	int x = bound4(SOCK_DGRAM, &a), y = socket(AF_INET, SOCK_DGRAM, 0);

	for (int k = 0; k < 8; k++) {
		o[k] = (struct iovec){"abcdefgh", (size_t)k + 1};
		i[k] = (struct iovec){bufs[k], sizeof(bufs[k])};
		out[k].msg_hdr = (struct msghdr){.msg_name = &a,
		                                 .msg_namelen = sizeof(a),
		                                 .msg_iov = &o[k],
		                                 .msg_iovlen = 1};
		in[k].msg_hdr = (struct msghdr){.msg_iov = &i[k], .msg_iovlen = 1};
	}
	CHECK_EQ(sendmmsg(y, out, 5, 0), 5);
	CHECK_EQ(out[4].msg_len, 5);
	CHECK_EQ(recvmmsg(x, in, 5, 0, NULL), 5);
	for (int k = 0; k < 5; k++)
		CHECK_EQ(in[k].msg_len, k + 1);
	CHECK_ERR(recvmmsg(x, in, 8, MSG_DONTWAIT, NULL), EAGAIN);
	CHECK_EQ(sendmmsg(y, out, 2, 0), 2);
	CHECK(becomes(x, POLLIN) & POLLIN);
	sleep_ms(20);
	CHECK_EQ(recvmmsg(x, in, 8, MSG_WAITFORONE, NULL), 2);
	CHECK_EQ(sendmmsg(y, out, 3, 0), 3);
	sleep_ms(80); /* the time limit is looked at after each */
	CHECK_EQ(recvmmsg(x, in, 3, 0, &limit), 3);
	/* the second has no destination: one was sent */
	out[1].msg_hdr.msg_name = NULL;
	out[1].msg_hdr.msg_namelen = 0;
	CHECK_EQ(syscall(SYS_sendmmsg, y, out, 2, 0), 1);
	CHECK_ERR(sendmmsg(y, &out[1], 1, 0), EDESTADDRREQ);
	close(x);
	close(y);
}

static void bad_headers_are_refused(void)
{
	struct sockaddr_in a;
	struct iovec io = {"x", 1};
	struct msghdr m = {.msg_name = &a,
	                   .msg_namelen = sizeof(a),
	                   .msg_iov = &io,
	                   .msg_iovlen = 1};
	char buf[8];
	int x = bound4(SOCK_DGRAM, &a), sv[2];

	m.msg_iov = BAD_PTR;
	CHECK_ERR(sendmsg(x, &m, 0), EFAULT);
	m.msg_iov = &io;
	m.msg_iovlen = 1025;
	CHECK_ERR(sendmsg(x, &m, 0), EMSGSIZE);
	m.msg_iovlen = 1;
	m.msg_name = BAD_PTR;
	CHECK_ERR(sendmsg(x, &m, 0), EFAULT);
	m.msg_name = &a;
	io.iov_base = BAD_PTR;
	CHECK_ERR(sendmsg(x, &m, 0), EFAULT);
	CHECK_ERR(sendto(x, BAD_PTR, 10, 0, SA(&a), sizeof(a)), EFAULT);
	CHECK_ERR(recv(x, buf, 8, MSG_DONTWAIT), EAGAIN); /* nothing went out */
	CHECK_EQ(sendto(x, "abc", 3, 0, SA(&a), sizeof(a)), 3);
	CHECK(becomes(x, POLLIN) & POLLIN);
	CHECK_ERR(recv(x, BAD_PTR, 8, 0), EFAULT);
	CHECK_ERR(syscall(SYS_recvmsg, x, BAD_PTR, 0), EFAULT);
	tcp_pair(sv);
	CHECK_ERR(send(sv[0], BAD_PTR, 10, 0), EFAULT);
	CHECK_EQ(send(sv[0], "abc", 3, 0), 3);
	CHECK(becomes(sv[1], POLLIN) & POLLIN);
	CHECK_ERR(recv(sv[1], BAD_PTR, 8, 0), EFAULT);
	CHECK_EQ(recv(sv[1], buf, 8, 0), 3); /* and not lost */
	close(sv[0]);
	close(sv[1]);
	close(x);
}

static void ipv6_pktinfo_and_hop_limit_are_told(void)
{
	struct sockaddr_in6 a = loop6(0);
	socklen_t len = sizeof(a);
	struct in6_pktinfo pi;
	struct cmsghdr *h;
	struct msghdr m;
	union ctl c;
	int x = socket(AF_INET6, SOCK_DGRAM, 0), y = socket(AF_INET6, SOCK_DGRAM, 0);

	CHECK_EQ(bind(x, SA(&a), sizeof(a)), 0);
	CHECK_EQ(getsockname(x, SA(&a), &len), 0);
	CHECK_EQ(set_int(x, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1), 0);
	CHECK_EQ(set_int(x, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1), 0);
	CHECK_EQ(set_int(x, IPPROTO_IPV6, IPV6_RECVTCLASS, 1), 0);
	CHECK_EQ(set_int(y, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 21), 0);
	CHECK_EQ(sendto(y, "x", 1, 0, SA(&a), sizeof(a)), 1);
	m = receive(x, &c, sizeof(c));
	h = find(&m, IPPROTO_IPV6, IPV6_PKTINFO);
	if (h) {
		memcpy(&pi, CMSG_DATA(h), sizeof(pi));
		CHECK(IN6_IS_ADDR_LOOPBACK(&pi.ipi6_addr));
		CHECK_EQ(pi.ipi6_ifindex, if_nametoindex("lo"));
	}
	CHECK_EQ(int_of(&m, IPPROTO_IPV6, IPV6_HOPLIMIT), 21);
	CHECK_EQ(int_of(&m, IPPROTO_IPV6, IPV6_TCLASS), 0);
	close(x);
	close(y);
}

int main(void)
{
	watchdog(40);
	CASE(pktinfo_ttl_tos_and_time_are_told);
	CASE(control_data_that_does_not_fit_is_cut);
	CASE(control_data_of_a_send_counts_for_it_alone);
	CASE(names_and_vectors_of_a_message);
	CASE(many_at_once);
	CASE(bad_headers_are_refused);
	CASE(ipv6_pktinfo_and_hop_limit_are_told);
	return g_failed;
}
