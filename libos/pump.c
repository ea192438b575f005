/* SPDX-License-Identifier: MIT */
/*
 * pump.c - the helper thread.
 *
 *              timers due | sleeps until (with channels, a second at most: nudge())
 *   no channels           | the next timer
 *   busy: the program     | a tick, or the next timer: reads the rings if nobody
 *   uses its rings        | leads
 *   a thread sleeps on    | the next timer; the thread that leaves the rings to
 *   the rings, long       | nobody wakes it (pump_wake)
 *   nobody on the rings,  | a service's ring, or the next timer
 *   nothing comes         |
 */
#include "libos/pump.h"

#include "libos/ktimer.h"
#include "libos/lock.h"
#include "libos/thread.h"
#include "platform/platform.h"
#include "rpc/guest.h"

#include <errno.h>

#define TICK_NS UINT64_C(10000000)
#define QUIET_TICKS 6u
#define NUDGE_NS UINT64_C(1000000000)

static struct lock g_start_lock = LOCK_INIT;
static struct thread *_Atomic g_pump;
static _Atomic uint32_t g_word;  /* counts pump_wake() */
static _Atomic uint32_t g_asleep; /* may sleep longer than a tick */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool have_channels(void)
{
	return g_config.file.ctl || g_config.net.ctl;
}

/* Sleep until pump_wake(): other than a tick, so it is announced first. */
static void sleep_long(uint32_t word, uint64_t deadline)
{
	uint32_t door;

	atomic_store(&g_asleep, 1);
	if (rings_sleepers() || !have_channels()) {
		(void)plat_park(&g_word, word, NULL, deadline, NULL);
	} else if (rings_arm_for_pump(&door)) {
		(void)plat_pump_wait(&g_word, word, door, deadline);
		rings_disarm_for_pump();
	}
	atomic_store(&g_asleep, 0);
}

/* Once a second waiters look whether their service hangs; when next. */
static uint64_t nudge(uint64_t now)
{
	static uint64_t last;

	if (now - last >= NUDGE_NS) {
		last = now;
		rpc_guest_nudge();
	}
	return last + NUDGE_NS;
}

bool rpc_watched(void)
{
	return g_pump != NULL;
}

static void pump_main(void *unused)
{
	uint32_t quiet = 0, seen = 0;

	(void)unused;
	for (;;) {
		const uint32_t word = g_word;
		uint64_t next = ktimer_run(plat_mono_ns());
		const uint32_t now = rings_activity();

		if (have_channels())
			next = min_u64(next, nudge(plat_mono_ns()));
		if (have_channels() && rings_poll_once() > 0)
			quiet = 0;
		quiet = now == seen ? quiet + 1 : 0;
		seen = now;
		if (!have_channels() || quiet > QUIET_TICKS) {
			sleep_long(word, next);
			quiet = 0;
		} else {
			(void)plat_park(&g_word, word, NULL,
			                min_u64(next, plat_mono_ns() + TICK_NS), NULL);
		}
	}
}

int pump_start(void)
{
	int r = 0;

	if (g_pump)
		return 0;
	lock_take(&g_start_lock);
	if (!g_pump) {
		g_pump = thread_start_internal(pump_main, NULL);
		r = g_pump ? 0 : -EAGAIN;
	}
	lock_drop(&g_start_lock);
	return r;
}

void pump_wake(void)
{
	atomic_fetch_add(&g_word, 1);
	if (g_pump)
		(void)plat_futex_wake(&g_word, 1);
}

bool pump_idle(void)
{
	return g_asleep != 0;
}
