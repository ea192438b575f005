/* SPDX-License-Identifier: MIT */
/*
 * netd on an interface of its own, as in a service domain: a pair of veth devices,
 * one end here with the kernel's addresses, the other in a namespace that a child
 * process holds.  The child takes the interface with the agent's own code and
 * sends us the socket.
 */
#include "netd_net.h"
#include "services/agent/agent.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#define OURS NG_DEVICE
#define THEIRS "netd0"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static pid_t g_holder;
static struct netif_info g_info;
static int g_early = -1; /* hears what the other end sends, from the start */

/* ---- set-up ---- */

int wait_for_path(const char *path, unsigned ms)
{
	(void)path; /* the device was made before */
	(void)ms;
	return 0;
}

/* Without ethtool, which is no part of a minimal system. */
static int feature_off(const char *dev, uint32_t cmd)
{
	struct ethtool_value v = {.cmd = cmd};
	struct ifreq r = {.ifr_data = (void *)&v};
	const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int e;

	strcpy(r.ifr_name, dev);
	e = ioctl(s, SIOCETHTOOL, &r);
	close(s);
	return e;
}

/* A packet socket on our end that hears frames with their vnet header. */
static int sniffer(bool ours_too)
{
	const struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
	                               .sll_ifindex = (int)if_nametoindex(OURS)};
	const int one = 1, no_ours = !ours_too, room = 4 << 20;
	const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, 23 /* PACKET_IGNORE_OUTGOING */, &no_ours, sizeof(one)) ||
	    bind(fd, (const void *)&at, sizeof(at)))
		return -1;
	return fd;
}

static int send_socket(int to, int fd)
{
	char room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec io = {&g_info, sizeof(g_info)};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = room,
	                   .msg_controllen = sizeof(room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(to, &m, 0) == sizeof(g_info) ? 0 : -1;
}

static int take_socket(int from)
{
	char room[CMSG_SPACE(sizeof(int))];
	struct iovec io = {&g_info, sizeof(g_info)};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = room,
	                   .msg_controllen = sizeof(room)};
	int fd;

	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) != sizeof(g_info) || !CMSG_FIRSTHDR(&m))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

/* Holds the namespace until the test ends. */
static void __attribute__((noreturn)) holder(int to)
{
	char why[CONFIG_WHY] = "", go;
	int fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) < 0 || send(to, "n", 1, 0) != 1 || recv(to, &go, 1, 0) != 1)
		_exit(1);
	fd = netif_open(THEIRS, 0, &g_info, why);
	if (fd < 0)
		fprintf(stderr, "%s\n", why);
	if (fd < 0 || send_socket(to, fd) < 0)
		_exit(1);
	close(fd);
	(void)recv(to, &go, 1, 0);
	_exit(0);
}

static int other_end(unsigned mtu)
{
	char cmd[128], c;
	int sv[2], fd;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -1;
	g_holder = fork();
	if (g_holder == 0) {
		close(sv[0]);
		holder(sv[1]);
	}
	close(sv[1]);
	if (recv(sv[0], &c, 1, 0) != 1)
		return -1;
	(void)snprintf(cmd, sizeof(cmd), "link set " THEIRS " mtu %u netns %d", mtu,
	               (int)g_holder);
	ng_command(cmd);
	if (send(sv[0], "g", 1, 0) != 1)
		return -1;
	fd = take_socket(sv[0]); /* sv[0] stays open: the holder waits on it */
	return fd;
}

int veth_namespace(unsigned mtu, bool offload)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -1;
	ng_command("link set lo up");
	ng_command("link add " OURS " type veth peer name " THEIRS);
	ng_command("addr add " NG_KERNEL_IP "/24 dev " OURS);
	ng_command("addr add " NG_KERNEL_IP6 "/64 dev " OURS " nodad");
	ng_command("link set " OURS " up");
	if (if_nametoindex(OURS) == 0)
		return -1;
	if (!offload && (feature_off(OURS, ETHTOOL_STSO) || feature_off(OURS, ETHTOOL_SGSO) ||
	                 feature_off(OURS, ETHTOOL_STXCSUM)))
		return -1;
	g_early = sniffer(false);
	fd = other_end(mtu);
	if (fd < 0 || g_early < 0)
		return -1;
	ng_link_is(fd, sizeof(struct virtio_net_hdr), g_info.mtu, g_info.mac);
	return 0;
}

void veth_end(void)
{
	(void)kill(g_holder, SIGKILL);
	(void)waitpid(g_holder, NULL, 0);
}

/* ---- what passes ---- */

struct seen {
	unsigned n, joined, unsummed;
};

/* Frames heard by @fd: [0] sent by us, [1] by the other end. */
static void look(int fd, struct seen seen[2])
{
	static uint8_t b[80000];
	struct virtio_net_hdr h;

	memset(seen, 0, 2 * sizeof(*seen));
	while (recv(fd, b, sizeof(b), 0) > (ssize_t)(sizeof(h) + ETH_HLEN)) {
		struct seen *s = &seen[memcmp(b + sizeof(h) + 6, g_info.mac, 6) == 0];

		memcpy(&h, b, sizeof(h));
		s->n++;
		s->joined += h.gso_type != VIRTIO_NET_HDR_GSO_NONE;
		s->unsummed += (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0;
	}
}

static void bulk_seen(struct seen in[2], struct seen out[2])
{
	const uint64_t all = g_bulk;
	const int fd = sniffer(true);

	CU_ASSERT_FATAL(fd >= 0);
	g_bulk = 2 << 20;
	bulk_in_arrives_whole();
	look(fd, in);
	bulk_out_arrives_whole();
	look(fd, out);
	g_bulk = all;
	close(fd);
}

void joined_frames_pass_both_ways(void)
{
	struct seen in[2], out[2];

	bulk_seen(in, out);
	CU_ASSERT_TRUE(in[0].joined > 0 && in[0].unsummed > 0);
	CU_ASSERT_TRUE(out[1].joined > 0 && out[1].unsummed > 0);
	CU_ASSERT_TRUE(out[1].n < (2u << 20) / 1448); /* fewer than segments */
}

void frames_are_plain_when_the_peer_offloads_nothing(void)
{
	struct seen in[2], out[2];

	bulk_seen(in, out);
	CU_ASSERT_TRUE(in[0].n > (2u << 20) / 1500);
	CU_ASSERT_EQUAL(in[0].joined, 0);
	CU_ASSERT_EQUAL(in[0].unsummed, 0);
	CU_ASSERT_TRUE(out[1].n > 0);
}

void joined_datagrams_arrive_one_by_one(void)
{
	struct sockaddr_storage ss;
	const int u = ng_socket(AF_INET, SOCK_DGRAM, 0), size = 1000;
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	static uint8_t b[10500];
	struct utsname un;
	int major = 0, minor = 0;
	unsigned got = 0;

	(void)uname(&un);
	(void)sscanf(un.release, "%d.%d", &major, &minor);
	if (major < 6 || (major == 6 && minor < 2))
		return; /* such a frame has no vnet header there, and is lost */
	CU_ASSERT_EQUAL_FATAL(ng_bind(u, "0.0.0.0", 0), 0);
	CU_ASSERT_EQUAL(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)), 0);
	fill(b, 0, sizeof(b));
	const socklen_t len = sa_make(g_set->guest, g_ng[u].local_port, &ss);

	CU_ASSERT_EQUAL(sendto(fd, b, sizeof(b), 0, (struct sockaddr *)&ss, len), sizeof(b));
	for (unsigned i = 0; i < 11; i++) {
		struct ng_dgram *d = ng_recvfrom(u, NG_WAIT_MS);

		CU_ASSERT_PTR_NOT_NULL_FATAL(d);
		CU_ASSERT_EQUAL(d->len, i < 10 ? 1000 : 500);
		CU_ASSERT_TRUE(same(d->data, got, d->len));
		got += d->len;
		free(d);
	}
	close(fd);
	(void)ng_close(u, false);
}

/* Run ip(8) where netd's end lies. */
static void command_there(const char *cmd)
{
	char path[64];
	const pid_t pid = fork();

	if (pid == 0) {
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)g_holder);
		if (setns(open(path, O_RDONLY | O_CLOEXEC), CLONE_NEWNET) == 0)
			ng_command(cmd);
		_exit(0);
	}
	(void)waitpid(pid, NULL, 0);
}

static double netd_cpu_seconds(void)
{
	char path[64];
	unsigned long long ns = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)ng_pid());
	f = fopen(path, "r");
	CU_ASSERT_FATAL(f && fscanf(f, "%llu", &ns) == 1);
	fclose(f);
	return (double)ns / 1e9;
}

void an_interface_that_was_down_serves_again(void)
{
	double cpu;

	command_there("link set " THEIRS " down");
	cpu = netd_cpu_seconds();
	ng_sleep(500);
	CU_ASSERT_TRUE(netd_cpu_seconds() - cpu < 0.25); /* it does not spin */
	command_there("link set " THEIRS " up");
	a_kernel_client_is_echoed();
}

/* ---- who answers ---- */

static void raw_send(const uint8_t *f, size_t len, uint16_t type)
{
	const struct sockaddr_ll at = {.sll_family = AF_PACKET,
	                               .sll_ifindex = (int)if_nametoindex(OURS),
	                               .sll_protocol = htons(type)};
	const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL(sendto(fd, f, len, 0, (const void *)&at, sizeof(at)), (ssize_t)len);
	close(fd);
}

static void arp_request(const char *ip)
{
	uint8_t f[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 9, 9, 9, 9, 9, 8, 6,
	                 0, 1, 8, 0, 6, 4, 0, 1, 2, 9, 9, 9, 9, 9, 10, 77, 0, 9};

	(void)inet_pton(AF_INET, ip, f + 38);
	raw_send(f, sizeof(f), ETH_P_ARP);
}

static void ping4(const char *ip)
{
	struct sockaddr_storage ss;
	const socklen_t len = sa_make(ip, 0, &ss);
	const int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP), one = 1;
	uint8_t echo[16] = {8, 0, 0, 0, 1, 2};
	const uint16_t sum = icmp_sum(echo, sizeof(echo));

	echo[2] = (uint8_t)(sum >> 8);
	echo[3] = (uint8_t)sum;
	(void)setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
	CU_ASSERT_EQUAL(sendto(fd, echo, 16, 0, (struct sockaddr *)&ss, len), 16);
	close(fd);
}

static void ping6(const char *ip)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_scope_id = if_nametoindex(OURS)};
	const int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
	const uint8_t echo[16] = {128, 0, 0, 0, 1, 2};

	(void)inet_pton(AF_INET6, ip, &a.sin6_addr);
	(void)sendto(fd, echo, 16, 0, (struct sockaddr *)&a, sizeof(a));
	close(fd);
}

/* Of each kind that a kernel with addresses would answer; names resolved already, so
 * that they go out although nobody answers. */
static void provoke(void)
{
	uint8_t *m = g_info.mac;
	char cmd[160], link_local[64];

	(void)snprintf(cmd, sizeof(cmd),
	               "neigh replace " NG_GUEST_IP " lladdr %02x:%02x:%02x:%02x:%02x:%02x dev " OURS,
	               m[0], m[1], m[2], m[3], m[4], m[5]);
	ng_command(cmd);
	(void)snprintf(link_local, sizeof(link_local), "fe80::%x:%xff:fe%02x:%x",
	               (m[0] ^ 2) << 8 | m[1], m[2], m[3], m[4] << 8 | m[5]);
	arp_request(NG_GUEST_IP);
	arp_request("127.0.0.1");
	ping4(NG_GUEST_IP);
	ping4("10.77.0.255");
	ping6(NG_GUEST_IP6);
	ping6(link_local);
	ping6("ff02::1");
	for (unsigned i = 0; i < 2; i++) { /* SYN to a closed port, and a datagram */
		struct sockaddr_storage ss;
		const socklen_t len = sa_make(NG_GUEST_IP, 9, &ss);
		const int fd = socket(AF_INET, (i ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);

		(void)connect(fd, (struct sockaddr *)&ss, len);
		(void)!write(fd, "x", 1);
		close(fd);
	}
}

void the_kernel_behind_the_interface_answers_nothing(void)
{
	struct seen seen[2];
	const int fd = sniffer(false);

	/* since the interface came up: netd's own greeting alone */
	look(g_early, seen);
	close(g_early);
	CU_ASSERT_TRUE(seen[1].n <= 8);
	CU_ASSERT_EQUAL(kill(ng_pid(), SIGSTOP), 0);
	usleep(50000);
	look(fd, seen);
	provoke();
	usleep(700000);
	look(fd, seen);
	CU_ASSERT_EQUAL(seen[0].n, 0); /* it hears what arrives only */
	CU_ASSERT_EQUAL(seen[1].n, 0);
	CU_ASSERT_EQUAL(kill(ng_pid(), SIGCONT), 0);
	usleep(300000);
	look(fd, seen); /* netd answers what has waited for it */
	CU_ASSERT_TRUE(seen[1].n >= 5);
	ng_command("neigh flush dev " OURS);
	close(fd);
}

void frames_of_a_vlan_are_not_ours(void)
{
	uint8_t f[46] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 9, 9, 9, 9, 9, 0x81, 0, 0, 7, 8, 6,
	                 0, 1, 8, 0, 6, 4, 0, 1, 2, 9, 9, 9, 9, 9, 10, 77, 0, 9};
	struct seen seen[2];
	const int fd = sniffer(false);

	(void)inet_pton(AF_INET, NG_GUEST_IP, f + 42);
	raw_send(f, sizeof(f), 0x8100);
	ng_sleep(200);
	look(fd, seen);
	CU_ASSERT_EQUAL(seen[1].n, 0);
	arp_request(NG_GUEST_IP);
	ng_sleep(200);
	look(fd, seen);
	CU_ASSERT_EQUAL(seen[1].n, 1);
	close(fd);
}
