/* SPDX-License-Identifier: MIT */
/*
 * console.c - the three standard streams, which are the host's descriptors 0-2.
 *
 * Reading never waits: a helper thread of the host, started at the first need,
 * polls descriptor 0 and rings the doorbell once when it becomes readable.
 */
#include "platform/linux/host.h"

#include <poll.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <linux/futex.h>

#define WATCHER_STACK (16u * 1024u)
#define HOST_EAGAIN (-11)
#define HOST_ENOTTY (-25)

/* 0 idle, 1 armed. */
static _Atomic uint32_t g_armed;
static _Atomic uint32_t g_fired;
static _Atomic uint32_t g_started, g_gone;
static uint32_t g_watcher_id;

unsigned plat_console_poll(int stream)
{
	struct pollfd p = {stream, POLLIN | POLLOUT, 0};
	struct host_timespec zero = {0, 0};

	if (HOST5(SYS_ppoll, &p, 1, &zero, NULL, 8) < 0)
		return 0;
	return (unsigned)p.revents;
}

long plat_console_read(void *to, size_t n)
{
	if (!(plat_console_poll(PLAT_CONSOLE_IN) & (POLLIN | POLLHUP | POLLERR | POLLNVAL)))
		return HOST_EAGAIN;
	return HOST3(SYS_read, PLAT_CONSOLE_IN, to, n);
}

long plat_console_write(int stream, const void *from, size_t n)
{
	long r = host_call_intr(SYS_write, stream, (long)from, (long)n, 0, 0, 0,
	                        libos_kick_flag());

	while (r == HOST_EAGAIN) {
		/* The supervisor's descriptor is nonblocking: wait for room. */
		struct pollfd p = {stream, POLLOUT, 0};

		r = host_call_intr(SYS_ppoll, (long)&p, 1, 0, 0, 8, 0, libos_kick_flag());
		if (r >= 0)
			r = host_call_intr(SYS_write, stream, (long)from, (long)n, 0, 0, 0,
			                   libos_kick_flag());
	}
	return r;
}

/* The helper: has no struct thread and blocks every signal. */
static void watch(void *unused)
{
	(void)unused;
	for (;;) {
		struct pollfd p = {PLAT_CONSOLE_IN, POLLIN, 0};

		while (!g_armed)
			(void)HOST4(SYS_futex, &g_armed, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL);
		(void)HOST5(SYS_ppoll, &p, 1, NULL, NULL, 8);
		g_armed = 0;
		g_fired = 1;
		plat_doorbell_ring();
	}
}

bool plat_console_fired(void)
{
	return g_fired && atomic_exchange(&g_fired, 0);
}

static void start_watcher(void)
{
	const unsigned long flags = 0x00000100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 |
	                            0x00100000 | 0x00200000;
	uint64_t old;
	long stack;

	if (atomic_exchange(&g_started, 1))
		return;
	stack = plat_mmap(NULL, WATCHER_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	if (stack < 0 && stack > -4096)
		return;
	host_sigmask(SIG_SETMASK_HOST, ~(uint64_t)0, &old);
	(void)host_clone(flags, (void *)(stack + (long)WATCHER_STACK), &g_watcher_id, &g_gone,
	                 watch, NULL);
	host_sigmask(SIG_SETMASK_HOST, old, NULL);
}

void plat_console_arm(void)
{
	start_watcher();
	if (!atomic_exchange(&g_armed, 1))
		(void)plat_futex_wake(&g_armed, 1);
}

/* Terminal calls that the host may answer, and how much they copy. */
static const struct {
	uint32_t req;
	uint8_t size; /* 0: the argument is a number */
	bool in;      /* from the program to the host */
} g_tty[] = {
	{TCGETS, 36, false},   {TCSETS, 36, true},     {TCSETSW, 36, true},
	{TCSETSF, 36, true},   {TIOCGWINSZ, 8, false}, {TCSBRK, 0, true},
	{TCFLSH, 0, true},     {TCXONC, 0, true},      {TIOCOUTQ, 4, false},
};

long plat_console_ioctl(int stream, unsigned long req, void *arg)
{
	uint8_t buf[64];
	long r;

	for (unsigned i = 0; i < sizeof(g_tty) / sizeof(g_tty[0]); i++) {
		if (g_tty[i].req != req)
			continue;
		if (!g_tty[i].size)
			return HOST3(SYS_ioctl, stream, req, arg);
		if (g_tty[i].in && plat_copy(buf, arg, g_tty[i].size))
			return -14; /* EFAULT */
		r = HOST3(SYS_ioctl, stream, req, buf);
		if (r >= 0 && !g_tty[i].in && plat_copy(arg, buf, g_tty[i].size))
			return -14;
		return r;
	}
	return HOST_ENOTTY;
}
