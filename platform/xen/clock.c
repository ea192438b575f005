/* SPDX-License-Identifier: MIT */
/*
 * clock.c - time from Xen's shared page and the TSC, without a hypercall; and the
 * one-shot timer.
 *
 * CLOCK_MONOTONIC is Xen's system time, nanoseconds since the host started: the
 * same in all domains of a host, and what timers and SCHEDOP_poll count in.  It
 * does not stop while the domain is paused, so CLOCK_BOOTTIME is the same clock.
 * Real time is that plus the wall clock of the shared page, which Xen keeps up to
 * date; what a program sets is kept in libos.
 */
#include "platform/xen/public.h"
#include "platform/xen/pvclock.h"
#include "platform/xen/xen.h"

#include <xen/vcpu.h>

#define NS UINT64_C(1000000000)

_Static_assert(sizeof(struct vcpu_time_info) == sizeof(struct pvclock_time),
               "pvclock.h");
_Static_assert(offsetof(struct vcpu_time_info, tsc_shift) ==
                       offsetof(struct pvclock_time, tsc_shift),
               "pvclock.h");

static _Atomic uint64_t g_last;

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

uint64_t plat_mono_ns(void)
{
	const struct pvclock_time *t = (const void *)&g_shared->vcpu_info[0].time;
	uint32_t version;
	uint64_t ns;

	do {
		version = pvclock_begin(&t->version);
		ns = pvclock_at(t, rdtsc());
	} while (pvclock_again(&t->version, version));
	/* A new page may be a few ticks behind the old one's line. */
	return pvclock_forward(&g_last, ns);
}

uint64_t plat_real_ns(void)
{
	const struct shared_info *s = g_shared;
	uint32_t version;
	uint64_t ns;

	do {
		version = pvclock_begin(&s->wc_version);
		ns = ((uint64_t)s->wc_sec_hi << 32 | s->wc_sec) * NS + s->wc_nsec;
	} while (pvclock_again(&s->wc_version, version));
	return ns + plat_mono_ns();
}

uint64_t plat_boot_ns(void)
{
	return plat_mono_ns();
}

void plat_clock(int clock, int64_t sec_nsec[2])
{
	const uint64_t ns = clock == 0 ? plat_real_ns() : plat_mono_ns();

	sec_nsec[0] = (int64_t)(ns / NS);
	sec_nsec[1] = (int64_t)(ns % NS);
}

/* ---- the timer ---- */

static void on_timer(unsigned port, void *arg)
{
	(void)port;
	(void)arg;
	sched_tick();
}

void clock_arm(uint64_t deadline)
{
	/* One that is over fires at once. */
	struct vcpu_set_singleshot_timer t = {.timeout_abs_ns = deadline};

	if (hypercall(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, (long)&t,
	              0) != 0)
		boot_die("Xen refuses to set the timer");
}

void clock_init(void)
{
	const struct pvclock_time *t = (const void *)&g_shared->vcpu_info[0].time;

	if (t->tsc_to_system_mul == 0)
		boot_die("Xen's clock page is empty");
	if (evtchn_bind_virq(VIRQ_TIMER, on_timer, NULL) < 0)
		boot_die("Xen gives no timer");
}
