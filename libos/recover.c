/* SPDX-License-Identifier: MIT */
/*
 * recover.c - the threads in which channels wait for a service's next instance.
 *
 * One a channel, made when its service leaves for the first time: restoring one
 * channel must not wait for the other's.  What it needs of memory is had from the start:
 * the program may have taken all by then.
 */
#include "libos/lock.h"
#include "libos/pump.h"
#include "libos/thread.h"
#include "platform/platform.h"
#include "rpc/guest.h"

#include <errno.h>

#define N_CHANNELS 2u
#define LOG_CHANNEL 2u /* BOOT_LOG_CHANNEL */

static struct recovery {
	struct thread *_Atomic thread;
	struct thread *spare; /* its memory, until it is made */
	_Atomic uint32_t asked; /* counts rpc_recover_start() */
} g_recovery[N_CHANNELS];

static struct rpc_chan *chan_at(unsigned i)
{
	return i == 0 ? &g_file_chan : &g_net_chan;
}

static void recovery_main(void *arg)
{
	struct recovery *r = arg;
	uint32_t done = 0;

	for (;;) {
		const uint32_t asked = r->asked;

		if (asked == done) {
			(void)plat_park(&r->asked, asked, NULL, PLAT_NO_DEADLINE, NULL);
			continue;
		}
		rpc_recover(chan_at((unsigned)(r - g_recovery)));
		done = asked;
	}
}

void recover_init(void)
{
	for (unsigned i = 0; i < N_CHANNELS; i++)
		if ((i ? g_config.net.ctl : g_config.file.ctl) && rpc_recover_prepare(chan_at(i)) == 0)
			g_recovery[i].spare = thread_reserve();
}

/* Called by the leader: one at a time. */
static struct thread *make_thread(struct recovery *r)
{
	if (r->spare && thread_run_internal(r->spare, recovery_main, r))
		return r->spare;
	return r->spare ? NULL : thread_start_internal(recovery_main, r);
}

int rpc_recover_start(struct rpc_chan *ch)
{
	struct recovery *r = &g_recovery[ch == &g_file_chan ? 0 : 1];

	atomic_fetch_add(&r->asked, 1);
	if (!r->thread)
		r->thread = make_thread(r);
	else
		(void)plat_futex_wake(&r->asked, 1);
	return r->thread ? 0 : -EAGAIN;
}

void rpc_note(const char *channel, const char *what)
{
	if (g_config.log && (*g_config.log & LOG_CHANNEL))
		rpc_log(channel, what);
}
