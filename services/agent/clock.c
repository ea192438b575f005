/* SPDX-License-Identifier: MIT */
/*
 * clock.c - this kernel's clock against Xen's.
 *
 * Guests stamp frames with Xen's system time, Linux counts from its own start; both
 * advance with the same clock, so one difference aligns them.  Linux does not tell it.
 * But the hypervisor says when this virtual CPU was last given the processor
 * (VCPUOP_get_runstate_info): after it was given away for a moment (SCHEDOP_poll with a
 * timeout that has passed) that is almost now, and never later.  The largest difference
 * of some tries is right up to the time that two hypercalls take.
 */
#define __XEN_INTERFACE_VERSION__ 0x00040e00 /* else Xen's headers mean old calls */
#include "services/agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sched.h>
#include <xen/sys/privcmd.h>
#include <xen/vcpu.h>

#define TRIES 32

static int64_t mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

struct args { /* Xen reads and writes them by their address */
	struct vcpu_runstate_info info;
	struct sched_poll poll;
};

/* When CPU 0 was last given to us, in Xen's time: just now, but for an event that
 * was pending. */
static int entered(int privcmd, struct args *x, int64_t *at)
{
	privcmd_hypercall_t yield = {
		.op = __HYPERVISOR_sched_op,
		.arg = {SCHEDOP_poll, (uintptr_t)&x->poll},
	};
	privcmd_hypercall_t get = {
		.op = __HYPERVISOR_vcpu_op,
		.arg = {VCPUOP_get_runstate_info, 0, (uintptr_t)&x->info},
	};

	memset(x, 0, sizeof(*x));
	x->poll.timeout = 1; /* long ago */
	if (ioctl(privcmd, IOCTL_PRIVCMD_HYPERCALL, &yield) < 0 ||
	    ioctl(privcmd, IOCTL_PRIVCMD_HYPERCALL, &get) < 0)
		return -errno;
	*at = (int64_t)x->info.state_entry_time;
	return *at > 0 ? 0 : -EIO;
}

int clock_ahead(int64_t *ahead)
{
	const int privcmd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
	struct args *args;
	int64_t best = INT64_MIN, at = 0;
	cpu_set_t was, first;
	int r = 0;

	if (privcmd < 0)
		return -errno;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	if (sched_getaffinity(0, sizeof(was), &was) || sched_setaffinity(0, sizeof(first), &first))
		r = -errno;
	/* present, and it stays */
	args = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
	if (args == MAP_FAILED)
		r = -errno;
	for (int i = 0; i < TRIES && r == 0; i++) {
		r = entered(privcmd, args, &at);
		const int64_t now = mono_ns(); /* after it: never too large */

		if (r == 0 && at - now > best)
			best = at - now;
	}
	if (args != MAP_FAILED)
		munmap(args, 4096);
	close(privcmd);
	(void)sched_setaffinity(0, sizeof(was), &was); /* as it was: cannot fail */
	if (r == 0)
		*ahead = best;
	return r;
}
