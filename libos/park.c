/* SPDX-License-Identifier: MIT */
/*
 * park.c - how threads sleep, and who reads the rings meanwhile.
 *
 * A thread that waits for a service tries to become the leader: one atomic flag.
 * The leader reads the rings for all: first spinning (if the service runs, or ran
 * last, on another CPU), then lending it the CPU, both as long as that paid lately,
 * then asleep.  Every thread that waits for a service sleeps on two words at once,
 * its token and the doorbell, so a leader that leaves need not wake a follower: the
 * service's next ring wakes one, and that one leads.
 *
 * What must not get lost:
 *   1. After arming (asking the service for a ring) the rings are read once more.
 *   2. A leader that leaves arms and reads again if there are ring sleepers; after
 *      giving up the lead it looks whether more of them arrived.  A sleeper notes
 *      the doorbell's count, then counts itself, then looks whether somebody leads.
 *      With a fence between each pair one sees the other.
 *   3. A ring may have woken a thread that leaves for another reason: every thread
 *      that slept on the doorbell does 2. on its way out.
 *   4. thread_unpark() sets the token, then looks at `parked`; the sleeper sets
 *      `parked`, then the host compares the token (futex).
 */
#include "libos/pump.h"

#include "libos/console.h"
#include "libos/lending.h"
#include "libos/thread.h"
#include "libos/wait.h"
#include "rpc/guest.h"

#include <errno.h>

#define SPIN_MAX 2000u
#define SPIN_MIN 16u
#define PROBE_EVERY 64u        /* spins for nothing, then one is long again */
#define LENDS 2u               /* of the CPU, before the guest sleeps */
#define LEND_LONG_NS 5000000u  /* lent for longer is for nothing, too */
#define PLAIN_SPIN_MAX 256u
#define PLAIN_SPIN_MIN 4u
#define PUMP_AFTER 64u /* sleeps of the program before the pump is worth a thread */

static _Atomic uint32_t g_lead;     /* 1: a thread reads the rings */
static bool g_armed;                /* under the lead: services are to ring */
static _Atomic uint32_t g_sleepers; /* threads asleep on the doorbell */
static _Atomic uint32_t g_arrivals; /* of such sleepers, ever */
static uint32_t g_spin = 200;       /* under the lead */

static struct lending g_lending[2]; /* under the lead: of calls; of what a signal may end */
static uint32_t g_missed; /* spins for nothing, ever; under the lead */

uint32_t rings_sleepers(void)
{
	return g_sleepers;
}

uint32_t rings_activity(void)
{
	return g_arrivals;
}

/* ---- the lead ---- */

static bool lead_try(void)
{
	uint32_t no = 0;

	return atomic_compare_exchange_strong(&g_lead, &no, 1);
}

static int poll_led(void)
{
	int n = rpc_guest_poll();

	if (plat_console_fired()) {
		console_fired();
		n++;
	}
	return n;
}

static void arm_led(void)
{
	if (g_armed)
		return;
	g_armed = true;
	plat_doorbell_sleeping(true);
	rpc_guest_arm();
}

static void disarm_led(void)
{
	if (!g_armed)
		return;
	g_armed = false;
	plat_doorbell_sleeping(false);
	rpc_guest_disarm();
}

/* Rings asked for and nothing left to read: those who sleep will be woken. */
static void leave_armed_led(void)
{
	/* A ring is spent once it rang: ask again. */
	g_armed = false;
	arm_led();
	while (poll_led() > 0) {
		g_armed = false;
		arm_led();
	}
}

/* Give up the lead; see to it that ring sleepers hear of what comes (rule 2). */
static void lead_drop(void)
{
	uint32_t seen;

	do {
		seen = g_arrivals;
		if (g_sleepers)
			leave_armed_led();
		atomic_store(&g_lead, 0);
		atomic_thread_fence(memory_order_seq_cst);
	} while (g_arrivals != seen && g_sleepers && lead_try());
}

void rpc_lead_take(void)
{
	while (!lead_try())
		plat_yield();
	disarm_led();
}

void rpc_lead_drop(void)
{
	lead_drop();
}

int rings_poll_once(void)
{
	int n;

	if (!lead_try())
		return -1;
	n = poll_led();
	lead_drop();
	return n;
}

bool rings_arm_for_pump(uint32_t *door)
{
	bool quiet;

	if (!lead_try())
		return false;
	*door = *g_config.doorbell;
	rpc_guest_arm();
	quiet = poll_led() == 0;
	if (!quiet)
		rpc_guest_disarm();
	lead_drop();
	return quiet;
}

void rings_disarm_for_pump(void)
{
	if (!lead_try())
		return;
	if (!g_armed)
		rpc_guest_disarm();
	lead_drop();
}

/* ---- sleeping ---- */

static bool take_token(struct thread *t)
{
	return t->token && atomic_exchange(&t->token, 0);
}

static int sleep_on(struct thread *t, const uint32_t *door, uint64_t deadline, unsigned flags)
{
	int r;

	atomic_store(&t->parked, 1);
	r = plat_park(&t->token, 0, door, deadline, flags & PARK_INTR ? &t->kicked : NULL);
	atomic_store_explicit(&t->parked, 0, memory_order_relaxed);
	return r;
}

/* The reason to stop sleeping: 0, -EINTR, -ETIMEDOUT, or 1: none. */
static int look(struct thread *t, int slept, unsigned flags)
{
	if (take_token(t))
		return 0;
	if ((flags & PARK_INTR) && thread_interrupted())
		return -EINTR;
	return slept == -ETIMEDOUT ? -ETIMEDOUT : 1;
}

/* A sleep and a wake-up cost tens of microseconds across CPUs: a short look-out
 * first, as long as it pays.  Shared by all threads and only a guess, so unlocked. */
static void spin_plain(struct thread *t)
{
	static _Atomic uint32_t g_budget = PLAIN_SPIN_MAX;
	const uint32_t budget = atomic_load_explicit(&g_budget, memory_order_relaxed);
	uint32_t next = budget / 2;

	for (uint32_t i = 0; i < budget; i++) {
		if (t->token) {
			next = budget * 2;
			break;
		}
		__builtin_ia32_pause();
	}
	if (next < PLAIN_SPIN_MIN)
		next = PLAIN_SPIN_MIN;
	if (next > PLAIN_SPIN_MAX)
		next = PLAIN_SPIN_MAX;
	if (next != budget)
		atomic_store_explicit(&g_budget, next, memory_order_relaxed);
}

static int park_plain(struct thread *t, uint64_t deadline, unsigned flags)
{
	int r = look(t, 0, flags);

	if (r == 1 && g_config.n_cpus > 1) {
		spin_plain(t);
		r = look(t, 0, flags);
	}
	while (r == 1)
		r = look(t, sleep_on(t, NULL, deadline, flags), flags);
	return r;
}

/* Leading: spin while it pays.  1: nothing came; else look()'s reason. */
static int spin_led(struct thread *t, unsigned flags)
{
	uint32_t budget = 1;
	int r;

	if (rpc_guest_peer_runs())
		budget = g_spin;
	for (uint32_t i = 0; i < budget; i++) {
		const int n = poll_led();

		r = look(t, 0, flags);
		if (r != 1) {
			if (i && g_spin < SPIN_MAX)
				g_spin *= 2;
			return r;
		}
		if (n > 0)
			i = 0;
		__builtin_ia32_pause();
	}
	if (budget > 1) {
		/* What comes later than a short spin is never seen by one. */
		if (++g_missed % PROBE_EVERY == 0)
			g_spin = SPIN_MAX;
		else if (g_spin > SPIN_MIN)
			g_spin /= 2;
	}
	return 1;
}

/* Leading, and the service may wait for this very CPU: its answer comes without a ring
 * then, and nobody is woken.  It does not pay to lend for longer than a wake-up takes.
 * As spin_led(). */
static int lend_led(struct thread *t, unsigned flags)
{
	struct lending *l = &g_lending[flags & PARK_INTR ? 1 : 0];
	uint64_t lent = 0, one;
	int r = 1;

	if (!lending_due(l))
		return 1;
	for (unsigned i = 0; r == 1 && i < LENDS && (one = plat_lend()) != 0; i++) {
		lent += one;
		(void)poll_led();
		r = look(t, 0, flags);
	}
	if (lent) /* else this platform has nothing to lend */
		lending_was(l, r != 1 && lent < LEND_LONG_NS);
	return r;
}

/* One turn of leading or following, with a sleep at its end. */
static int turn(struct thread *t, uint64_t deadline, unsigned flags)
{
	bool leads = lead_try();
	uint32_t door;
	int r, slept = 0;

	if (leads) {
		disarm_led();
		r = spin_led(t, flags);
		if (r == 1)
			r = lend_led(t, flags);
		if (r != 1) {
			lead_drop();
			return r;
		}
	}
	/* The doorbell's count first: a ring between here and the sleep ends it. */
	door = *g_config.doorbell;
	atomic_fetch_add(&g_sleepers, 1);
	atomic_fetch_add(&g_arrivals, 1);
	atomic_thread_fence(memory_order_seq_cst);
	if (leads || lead_try())
		lead_drop();
	r = look(t, 0, flags);
	if (r == 1)
		slept = sleep_on(t, &door, deadline, flags);
	atomic_fetch_sub(&g_sleepers, 1);
	return r == 1 ? look(t, slept, flags) : r;
}

static int park_rings(struct thread *t, uint64_t deadline, unsigned flags)
{
	int r = look(t, 0, flags);

	if (r != 1)
		return r;
	do {
		r = turn(t, deadline, flags);
	} while (r == 1);
	/* Rule 3. */
	atomic_thread_fence(memory_order_seq_cst);
	if (g_sleepers) {
		if (lead_try())
			lead_drop();
	} else if (pump_idle()) {
		pump_wake();
	} else if (g_arrivals >= PUMP_AFTER) {
		(void)pump_start();
	}
	return r;
}

int thread_park(uint64_t deadline, unsigned flags)
{
	struct thread *t = self();

	if (flags & PARK_RINGS)
		return park_rings(t, deadline, flags);
	return park_plain(t, deadline, flags);
}

void thread_unpark(struct thread *t)
{
	atomic_store(&t->token, 1);
	if (atomic_load(&t->parked))
		(void)plat_futex_wake(&t->token, 1);
}

void thread_kick(struct thread *t)
{
	atomic_store(&t->kicked, 1);
	atomic_store(&t->work, 1);
	if (atomic_load(&t->parked))
		thread_unpark(t);
	else
		plat_thread_kick(t->host_id);
}

/* ---- what rpc/ needs ---- */

void *rpc_current(void)
{
	return self();
}

void rpc_wait(uint64_t deadline)
{
	if (thread_park(deadline, PARK_RINGS) != 0)
		return; /* the caller looks at its call and the time itself */
}

void rpc_wake(void *thread)
{
	thread_unpark(thread);
}

static size_t append(char *to, size_t n, size_t cap, const char *s)
{
	while (*s && n < cap)
		to[n++] = *s++;
	return n;
}

void rpc_log(const char *channel, const char *why)
{
	char line[256];
	size_t n = append(line, 0, sizeof(line) - 1, "strait: channel ");

	n = append(line, n, sizeof(line) - 1, channel);
	n = append(line, n, sizeof(line) - 1, ": ");
	n = append(line, n, sizeof(line) - 1, why);
	line[n++] = '\n';
	plat_log(line, n);
}
