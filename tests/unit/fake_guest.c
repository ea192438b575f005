/* SPDX-License-Identifier: MIT */
#include "fake_guest.h"

#include "rpc/guest.h"
#include "vchan/hosted.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct plat_config g_config;

static struct doorbell *g_bell;
static int g_event[PLAT_CHANNELS_MAX];
static struct plat_channel *g_pc[PLAT_CHANNELS_MAX];
static pthread_mutex_t g_log_lock = PTHREAD_MUTEX_INITIALIZER;
static char g_log[256];
static _Atomic uint64_t g_ahead; /* of the clock, ns */
static _Atomic unsigned g_silences;

struct fake_thread {
	_Atomic uint32_t token;
};
static __thread struct fake_thread g_me;
static _Atomic(struct fake_thread *) g_leader;
static _Atomic unsigned g_want_lead; /* the leader is to leave */

int fake_channel_make(struct fake_channel *f, unsigned order, int doorbell_fd)
{
	f->order = order;
	f->doorbell_fd = doorbell_fd;
	f->ring_fd = hosted_ring_create(order);
	f->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->map = mmap(NULL, hosted_ring_size(order), PROT_READ | PROT_WRITE, MAP_SHARED,
	              f->ring_fd, 0);
	if (!g_bell)
		g_bell = mmap(NULL, DOORBELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		              doorbell_fd, 0);
	return f->map == MAP_FAILED || (void *)g_bell == MAP_FAILED ? -1 : 0;
}

static pthread_mutex_t g_next_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_next_come = PTHREAD_COND_INITIALIZER;
static struct fake_channel g_next; /* under g_next_lock, as what follows */
static uint32_t g_next_epoch;      /* 0: none */
static unsigned g_recovering;

void fake_channel_use(struct fake_channel *f, struct plat_channel *pc, unsigned id)
{
	uint8_t *m = f->map;

	/* One that took over behind the last call of an earlier test, and nobody saw it. */
	pthread_mutex_lock(&g_next_lock);
	g_next_epoch = 0;
	pthread_mutex_unlock(&g_next_lock);

	g_event[id] = f->event_fd;
	g_pc[id] = pc;
	*pc = (struct plat_channel){.ctl = m,
	                            .left = m + 4096,
	                            .right = m + 4096 + ((size_t)1 << f->order),
	                            .order = f->order,
	                            .id = id,
	                            .epoch = 1};
}

/* ---- another instance ---- */

void fake_channel_next(struct fake_channel *f, uint32_t epoch)
{
	pthread_mutex_lock(&g_next_lock);
	g_next = *f;
	g_next_epoch = epoch;
	pthread_cond_broadcast(&g_next_come);
	pthread_mutex_unlock(&g_next_lock);
}

int plat_channel_reopen(unsigned id, uint64_t deadline, uint32_t *epoch)
{
	const struct timespec end = {(time_t)(deadline / 1000000000u),
	                             (long)(deadline % 1000000000u)};
	int r = 0;

	(void)id;
	pthread_mutex_lock(&g_next_lock);
	while (r == 0 && g_next_epoch == 0)
		r = -pthread_cond_clockwait(&g_next_come, &g_next_lock, CLOCK_MONOTONIC, &end);
	*epoch = g_next_epoch;
	pthread_mutex_unlock(&g_next_lock);
	return r;
}

int plat_channel_renew(unsigned id)
{
	const struct plat_channel *pc = g_pc[id];
	int r = 0;

	pthread_mutex_lock(&g_next_lock);
	g_next_epoch = 0;
	/* By hand: ThreadSanitizer takes mmap() for a store to all of it, and would complain of
	 * who looks at the notification bits just now, which may be of either page. */
	if (syscall(SYS_mmap, pc->ctl, hosted_ring_size(pc->order), PROT_READ | PROT_WRITE,
	            MAP_SHARED | MAP_FIXED, g_next.ring_fd, 0) < 0)
		r = -errno;
	(void)dup3(g_next.event_fd, g_event[id], O_CLOEXEC);
	pthread_mutex_unlock(&g_next_lock);
	return r;
}

long plat_mmap(void *addr, size_t len, int prot, int flags)
{
	void *p = mmap(addr, len, prot, flags, -1, 0);

	return p == MAP_FAILED ? -errno : (long)p;
}

long plat_munmap(void *addr, size_t len)
{
	return munmap(addr, len) ? -errno : 0;
}

static void *recovery_main(void *chan)
{
	rpc_recover(chan);
	pthread_mutex_lock(&g_next_lock);
	g_recovering--;
	pthread_cond_broadcast(&g_next_come);
	pthread_mutex_unlock(&g_next_lock);
	return NULL;
}

int rpc_recover_start(struct rpc_chan *ch)
{
	pthread_t t;

	pthread_mutex_lock(&g_next_lock);
	g_recovering++;
	pthread_mutex_unlock(&g_next_lock);
	return pthread_create(&t, NULL, recovery_main, ch) || pthread_detach(t) ? -EAGAIN : 0;
}

void fake_recovered(void)
{
	pthread_mutex_lock(&g_next_lock);
	while (g_recovering)
		pthread_cond_wait(&g_next_come, &g_next_lock);
	pthread_mutex_unlock(&g_next_lock);
}

void rpc_lead_take(void)
{
	struct fake_thread *none = NULL;

	atomic_fetch_add(&g_want_lead, 1);
	while (!atomic_compare_exchange_strong(&g_leader, &none, &g_me)) {
		none = NULL;
		/* it may sleep while it leads */
		atomic_fetch_add(&g_bell->word, 1);
		(void)syscall(SYS_futex, &g_bell->word, FUTEX_WAKE, 1, NULL, NULL, 0);
		sched_yield();
	}
	atomic_fetch_sub(&g_want_lead, 1);
}

void rpc_lead_drop(void)
{
	atomic_store(&g_leader, NULL);
}

void rpc_note(const char *channel, const char *what)
{
	(void)channel;
	(void)what;
}

const char *fake_log(void)
{
	static __thread char copy[sizeof(g_log)];

	pthread_mutex_lock(&g_log_lock);
	memcpy(copy, g_log, sizeof(copy));
	pthread_mutex_unlock(&g_log_lock);
	return copy;
}

void fake_log_clear(void)
{
	pthread_mutex_lock(&g_log_lock);
	g_log[0] = 0;
	pthread_mutex_unlock(&g_log_lock);
}

void fake_time_passes(uint64_t ns)
{
	atomic_fetch_add(&g_ahead, ns);
}

unsigned fake_silences(void)
{
	return atomic_load(&g_silences);
}

static int futex_wait(_Atomic uint32_t *word, uint32_t val, uint64_t deadline)
{
	const uint64_t now = plat_mono_ns();
	const uint64_t left = deadline > now ? deadline - now : 0;
	const struct timespec ts = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};

	if (syscall(SYS_futex, word, FUTEX_WAIT, val,
	            deadline == PLAT_NO_DEADLINE ? NULL : &ts, NULL, 0) < 0)
		return -errno;
	return 0;
}

int plat_futex_wait(_Atomic uint32_t *word, uint32_t val, uint64_t deadline)
{
	return futex_wait(word, val, deadline);
}

int plat_futex_wake(_Atomic uint32_t *word, int n)
{
	return (int)syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
}

uint64_t plat_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec + atomic_load(&g_ahead);
}

unsigned plat_cpu(void)
{
	const int cpu = sched_getcpu();

	return cpu < 0 ? 0 : (unsigned)cpu;
}

void plat_channel_notify(unsigned id)
{
	const uint64_t one = 1;

	(void)!write(g_event[id], &one, sizeof(one));
}

void *rpc_current(void)
{
	return &g_me;
}

void rpc_wake(void *thread)
{
	struct fake_thread *t = thread;

	atomic_store(&t->token, 1);
	if (t == &g_me)
		return;
	if (atomic_load(&g_leader) == t) {
		atomic_fetch_add(&g_bell->word, 1);
		plat_futex_wake(&g_bell->word, 1);
	} else {
		plat_futex_wake(&t->token, 1);
	}
}

/* Lead: read the rings until our token comes or the deadline passes. */
static void lead(uint64_t deadline)
{
	while (!atomic_load(&g_me.token) && !g_want_lead && plat_mono_ns() < deadline) {
		const uint32_t seen = atomic_load(&g_bell->word);

		if (rpc_guest_poll())
			continue;
		if (rpc_guest_peer_runs()) {
			for (int i = 0; i < 500 && !rpc_guest_poll(); i++)
				__builtin_ia32_pause();
			if (atomic_load(&g_me.token))
				break;
		}
		atomic_store(&g_bell->sleeping, DOORBELL_LEADER);
		rpc_guest_arm();
		if (!rpc_guest_poll() && !atomic_load(&g_me.token))
			futex_wait(&g_bell->word, seen, deadline);
		atomic_store(&g_bell->sleeping, DOORBELL_AWAKE);
		rpc_guest_disarm();
	}
}

void rpc_wait(uint64_t deadline)
{
	struct fake_thread *none = NULL;

	if (atomic_compare_exchange_strong(&g_leader, &none, &g_me)) {
		lead(deadline);
		atomic_store(&g_leader, NULL);
	} else {
		const uint64_t soon = plat_mono_ns() + 200000; /* take over the lead then */

		futex_wait(&g_me.token, 0, soon < deadline ? soon : deadline);
	}
	atomic_store(&g_me.token, 0);
}

void rpc_log(const char *channel, const char *why)
{
	pthread_mutex_lock(&g_log_lock);
	snprintf(g_log, sizeof(g_log), "%s: %s", channel, why);
	pthread_mutex_unlock(&g_log_lock);
}

void rpc_silent(const char *channel)
{
	(void)channel; /* no signal ends us */
	atomic_fetch_add(&g_silences, 1);
}
