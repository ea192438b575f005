/* SPDX-License-Identifier: MIT */
/*
 * renew.c - a service's next instance: its channel comes over the control socket.
 *
 * Whoever waits reads for both channels; what is not its own it leaves in the table.
 * The supervisor is trusted, but a packet that is not as it must be is an error said
 * once, not a channel.
 */
#include "platform/linux/host.h"
#include "platform/lock.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define LOOK_NS 50000000ull /* the other channel's thread may have read our packet */

enum { NONE, COME, NEVER };

/* Under g_lock. */
static struct lock g_lock = LOCK_INIT;
static struct renewal {
	uint32_t what; /* NONE, COME, NEVER */
	uint32_t epoch, order;
	int ring_fd, event_fd;
} g_renewals[PLAT_CHANNELS_MAX] = {{.ring_fd = -1}, {.ring_fd = -1}};

static void close_two(const int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			(void)HOST1(SYS_close, fds[i]);
}

static bool right(const struct boot_renew *b)
{
	return b->magic == BOOT_RENEW_MAGIC && b->version == BOOT_VERSION &&
	       b->id < PLAT_CHANNELS_MAX && b->verdict <= BOOT_RENEW_NEVER && b->zero == 0;
}

static void keep_locked(const struct boot_renew *b, const int fds[2])
{
	struct renewal *r = &g_renewals[b->id];
	const int old[2] = {r->ring_fd, r->event_fd};

	if (r->what == COME)
		close_two(old); /* one that ended before anybody took it */
	r->what = b->verdict == BOOT_RENEW_HERE ? COME : NEVER;
	r->epoch = b->epoch;
	r->order = b->order;
	r->ring_fd = fds[0];
	r->event_fd = fds[1];
}

/* Read one packet: 1, or 0: none there, or -EPIPE: no supervisor. */
static int read_packet_locked(void)
{
	struct boot_renew b;
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(2 * sizeof(int))];
	} ctl;
	struct iovec io = {&b, sizeof(b)};
	struct msghdr h = {.msg_iov = &io,
	                   .msg_iovlen = 1,
	                   .msg_control = ctl.buf,
	                   .msg_controllen = sizeof(ctl.buf)};
	const struct cmsghdr *c;
	int fds[2] = {-1, -1};
	const long n = HOST3(SYS_recvmsg, g_boot.control_fd, &h,
	                     MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n <= 0)
		return -EPIPE;
	c = CMSG_FIRSTHDR(&h);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(fds)))
		__builtin_memcpy(fds, CMSG_DATA(c), sizeof(fds));
	if (n != (long)sizeof(b) || !right(&b) || (b.verdict == BOOT_RENEW_HERE) != (fds[1] >= 0)) {
		close_two(fds);
		return 1;
	}
	keep_locked(&b, fds);
	return 1;
}

static int look(unsigned id, uint32_t *epoch)
{
	int r;

	lock_take(&g_lock);
	do {
		r = read_packet_locked();
	} while (r > 0);
	if (g_renewals[id].what == COME) {
		*epoch = g_renewals[id].epoch;
		r = 1;
	} else if (g_renewals[id].what == NEVER) {
		r = -EPIPE;
	}
	lock_drop(&g_lock);
	return r;
}

int plat_channel_reopen(unsigned id, uint64_t deadline, uint32_t *epoch)
{
	struct pollfd p = {.fd = g_boot.control_fd, .events = POLLIN};

	if (id >= PLAT_CHANNELS_MAX || g_boot.control_fd < 0)
		return -EPIPE;
	for (;;) {
		const int r = look(id, epoch);
		const uint64_t now = plat_mono_ns();
		struct host_timespec ts;

		if (r != 0)
			return r < 0 ? r : 0;
		if (now >= deadline)
			return -ETIMEDOUT;
		ts = host_timespec(deadline - now < LOOK_NS ? deadline - now : LOOK_NS);
		(void)HOST5(SYS_ppoll, &p, 1, &ts, 0, 0);
	}
}

int plat_channel_renew(unsigned id)
{
	const struct plat_channel *pc = id == 0 ? &g_config.file : &g_config.net;
	struct renewal r;
	long at;

	lock_take(&g_lock);
	r = g_renewals[id];
	g_renewals[id].what = NONE;
	lock_drop(&g_lock);
	if (r.what != COME)
		return -EPIPE;
	if (r.order != pc->order) {
		close_two((const int[]){r.ring_fd, r.event_fd});
		return -EINVAL;
	}
	/* First: a thread that takes the bit off the new page must wake the new instance. */
	host_channel_event(id, r.event_fd);
	at = HOST6(SYS_mmap, pc->ctl, hosted_ring_size(pc->order), PROT_READ | PROT_WRITE,
	           MAP_SHARED | MAP_FIXED, r.ring_fd, 0);
	(void)HOST1(SYS_close, r.ring_fd);
	return at < 0 && at > -4096 ? (int)at : 0;
}
