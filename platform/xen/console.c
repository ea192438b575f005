/* SPDX-License-Identifier: MIT */
/*
 * console.c - the PV console, which is the guest's stdin, stdout and stderr.
 *
 * Output goes straight into the ring and waits for room: nothing is ever dropped as
 * long as the console daemon reads.  What does not fit whole is cut behind its last
 * newline, so that lines of two threads do not mix.  Input is taken at its event and
 * goes through the line discipline (ldisc.c); what that has no room for stays in the
 * ring, and so with the daemon.
 *
 * The daemon is trusted to be there, not to be right: an index out of range ends the
 * console for good (-EIO), the guest goes on.
 */
#include "platform/xen/console.h"

#include "platform/xen/evtchn.h"
#include "platform/xen/keeper.h"
#include "platform/xen/ldisc.h"
#include "platform/xen/public.h"
#include "platform/xen/xen.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <xen/io/console.h>

#ifndef TCGETS
#define TCGETS 0x5401
#define TCSETS 0x5402
#define TCSETSW 0x5403
#define TCSETSF 0x5404
#endif

#define STUCK_NS UINT64_C(5000000000) /* a dying guest does not wait longer */
#define LOOK_NS UINT64_C(100000000)
#define SECOND_NS UINT64_C(1000000000)

/* All under IF=0. */
static struct xencons_interface *g_ring;
static unsigned g_port;
static uint32_t g_out_prod, g_in_cons; /* ours; the shared ones are only written */
static struct ldisc g_ldisc;
static struct winsize g_winsize;
static bool g_raw, g_broken, g_armed, g_unsent;
static _Atomic bool g_fired;
static _Atomic uint32_t g_room;    /* counts events: there may be room */
static _Atomic uint32_t g_signals; /* bits of signals that the user typed */

/* ---- the ring; IF=0 ---- */

static uint32_t out_used(void)
{
	const uint32_t used =
	        g_out_prod - __atomic_load_n(&g_ring->out_cons, __ATOMIC_SEQ_CST);

	if (used > sizeof(g_ring->out))
		g_broken = true;
	return g_broken ? sizeof(g_ring->out) : used;
}

static uint32_t out_room(void)
{
	return (uint32_t)sizeof(g_ring->out) - out_used();
}

static void out_put(char c)
{
	g_ring->out[MASK_XENCONS_IDX(g_out_prod, g_ring->out)] = c;
	g_out_prod++;
	g_unsent = true;
}

static void out_publish(void)
{
	if (!g_unsent)
		return;
	g_unsent = false;
	__atomic_store_n(&g_ring->out_prod, g_out_prod, __ATOMIC_SEQ_CST);
	evtchn_send(g_port);
}

/* What fits of @s, as the terminal shows it. */
static size_t out_write(const char *s, size_t n)
{
	uint32_t room = out_room();
	size_t fits = 0, lines = 0;
	char c[2];

	for (size_t i = 0; i < n; i++) {
		const unsigned k = ldisc_output(&g_ldisc, s[i], c);

		if (k > room)
			break;
		room -= k;
		fits = i + 1;
		if (s[i] == '\n')
			lines = fits;
	}
	if (fits < n && lines)
		fits = lines;
	for (size_t i = 0; i < fits; i++) {
		const unsigned k = ldisc_output(&g_ldisc, s[i], c);

		for (unsigned j = 0; j < k; j++)
			out_put(c[j]);
	}
	out_publish();
	return fits;
}

/* Echo gives way when the ring is full, as on a slow line. */
static void echo(char c)
{
	if (out_room() > 0)
		out_put(c);
}

static void typed_signal(int sig)
{
	g_signals |= 1u << sig;
	keeper_wake();
}

static void in_take(void)
{
	const uint32_t prod = __atomic_load_n(&g_ring->in_prod, __ATOMIC_ACQUIRE);
	const uint32_t before = g_in_cons;

	if (prod - g_in_cons > sizeof(g_ring->in))
		g_broken = true;
	while (!g_broken && g_in_cons != prod && !ldisc_full(&g_ldisc)) {
		const char c = g_ring->in[MASK_XENCONS_IDX(g_in_cons, g_ring->in)];

		g_in_cons++;
		ldisc_input(&g_ldisc, (uint8_t)c);
	}
	if (g_in_cons != before) {
		__atomic_store_n(&g_ring->in_cons, g_in_cons, __ATOMIC_SEQ_CST);
		g_unsent = true; /* the daemon hears of the room */
	}
	out_publish();
	if (g_armed && ldisc_readable(&g_ldisc)) {
		g_armed = false;
		g_fired = true;
		doorbell_ring_locked();
	}
}

static void on_event(unsigned port, void *arg)
{
	(void)port;
	(void)arg;
	g_room++;
	(void)futex_wake_locked(&g_room, INT_MAX);
	in_take();
}

/* ---- start and end ---- */

void console_xen_init(void)
{
	const uint64_t pfn = hyper_param(HVM_PARAM_CONSOLE_PFN);
	const uint64_t port = hyper_param(HVM_PARAM_CONSOLE_EVTCHN);

	ldisc_init(&g_ldisc, echo, typed_signal);
	if (pfn == 0 || pfn == ~UINT64_C(0) || port == 0 || port > UINT32_MAX)
		return; /* a domain without a console */
	g_ring = vm_window_map(pfn << PAGE_SHIFT, 1);
	if (!g_ring)
		return;
	g_out_prod = __atomic_load_n(&g_ring->out_prod, __ATOMIC_RELAXED);
	g_in_cons = __atomic_load_n(&g_ring->in_cons, __ATOMIC_RELAXED);
	g_port = (unsigned)port;
	if (evtchn_handle(g_port, on_event, NULL) < 0)
		g_ring = NULL;
}

void console_set_raw(void)
{
	struct ldisc_termios t = {.cflag = g_ldisc.t.cflag};

	t.cc[VMIN] = 1;
	ldisc_set(&g_ldisc, &t, false);
	g_raw = true;
}

/* Wait until @room bytes are free, as long as the daemon moves.  IF=0. */
static bool wait_room_dying(uint32_t room)
{
	uint64_t end = evtchn_time() + STUCK_NS;
	uint32_t last = out_used();

	while (out_room() < room && !g_broken) {
		if (out_used() != last) {
			last = out_used();
			end = evtchn_time() + STUCK_NS;
		}
		if (evtchn_time() > end)
			return false;
		evtchn_poll(g_port, LOOK_NS);
	}
	return !g_broken;
}

void console_xen_write_raw(const char *s, size_t n)
{
	const uint64_t flags = irq_off();

	if (!g_ring)
		hyper_debug(s, n);
	while (g_ring && n) {
		const size_t k = out_write(s, n);

		s += k;
		n -= k;
		if (n && !wait_room_dying(2))
			break;
	}
	irq_restore(flags);
}

void console_drain_dying(void)
{
	if (g_ring)
		(void)wait_room_dying(sizeof(g_ring->out));
}

void plat_log(const char *line, size_t len)
{
	console_xen_write_raw(line, len);
}

void console_keep(void)
{
	uint32_t set = __atomic_exchange_n(&g_signals, 0, __ATOMIC_SEQ_CST);

	for (; set; set &= set - 1)
		libos_outside_signal(__builtin_ctz(set));
}

/* ---- what libos calls ---- */

/* Sleep until the daemon says something. */
static int wait_event(uint32_t seen)
{
	const int r = plat_park(&g_room, seen, NULL, plat_mono_ns() + SECOND_NS,
	                        libos_kick_flag());

	return r == -EINTR ? r : 0;
}

long plat_console_write(int stream, const void *from, size_t n)
{
	(void)stream;
	if (n == 0)
		return 0;
	for (;;) {
		const uint64_t flags = irq_off();
		const uint32_t seen = g_room;
		const size_t k = g_ring && !g_broken ? out_write(from, n) : 0;

		irq_restore(flags);
		if (k)
			return (long)k;
		if (!g_ring || g_broken)
			return -EIO;
		if (wait_event(seen) < 0)
			return -EINTR;
	}
}

long plat_console_read(void *to, size_t n)
{
	const uint64_t flags = irq_off();
	const long r = ldisc_read(&g_ldisc, to, n);
	const bool dead = !g_ring || g_broken;

	if (!dead)
		in_take(); /* there may be room for more now */
	irq_restore(flags);
	if (r < 0 && dead)
		return 0; /* nobody will ever type */
	return r < 0 ? -EAGAIN : r;
}

unsigned plat_console_poll(int stream)
{
	const uint64_t flags = irq_off();
	unsigned ev = POLLOUT; /* a write waits for room, which comes soon */

	if (stream == PLAT_CONSOLE_IN) {
		ev = g_raw ? 0 : ev;
		if (ldisc_readable(&g_ldisc))
			ev |= POLLIN;
		if (!g_ring || g_broken)
			ev |= POLLHUP;
	}
	irq_restore(flags);
	return ev;
}

void plat_console_arm(void)
{
	const uint64_t flags = irq_off();

	g_armed = true;
	irq_restore(flags);
}

bool plat_console_fired(void)
{
	return g_fired && __atomic_exchange_n(&g_fired, false, __ATOMIC_SEQ_CST);
}

/* ---- terminal control ---- */

static int drain(void)
{
	for (;;) {
		const uint64_t flags = irq_off();
		const uint32_t seen = g_room;
		const bool done = !g_ring || g_broken || out_used() == 0;

		irq_restore(flags);
		if (done)
			return 0;
		if (wait_event(seen) < 0)
			return -EINTR;
	}
}

static long set_termios(const void *arg, bool wait, bool flush)
{
	struct ldisc_termios t;
	uint64_t flags;

	if (wait && drain() < 0)
		return -EINTR;
	memcpy(&t, arg, sizeof(t));
	flags = irq_off();
	ldisc_set(&g_ldisc, &t, flush);
	if (g_ring)
		in_take();
	irq_restore(flags);
	return 0;
}

static long flush_queues(long which)
{
	uint64_t flags;

	if (which != TCIFLUSH && which != TCOFLUSH && which != TCIOFLUSH)
		return -EINVAL;
	flags = irq_off();
	if (which != TCOFLUSH) /* output is with the daemon already */
		ldisc_flush(&g_ldisc);
	if (g_ring)
		in_take();
	irq_restore(flags);
	return 0;
}

static long count_of(unsigned long req)
{
	const uint64_t flags = irq_off();
	const long n = req == FIONREAD ? (long)ldisc_count(&g_ldisc)
	               : g_ring        ? (long)out_used()
	                               : 0;

	irq_restore(flags);
	return n;
}

long plat_console_ioctl(int stream, unsigned long req, void *arg)
{
	int n;

	(void)stream;
	if (req != FIONREAD && g_raw)
		return -ENOTTY;
	switch (req) {
	case TCGETS:
		memcpy(arg, &g_ldisc.t, sizeof(g_ldisc.t));
		return 0;
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		return set_termios(arg, req != TCSETS, req == TCSETSF);
	case TIOCGWINSZ:
		memcpy(arg, &g_winsize, sizeof(g_winsize));
		return 0;
	case TIOCSWINSZ:
		memcpy(&g_winsize, arg, sizeof(g_winsize));
		return 0;
	case FIONREAD:
	case TIOCOUTQ:
		n = (int)count_of(req);
		memcpy(arg, &n, sizeof(n));
		return 0;
	case TCSBRK: /* tcdrain() is the one with 1; a console has no break to send */
		return (long)(intptr_t)arg ? drain() : 0;
	case TCFLSH:
		return flush_queues((long)(intptr_t)arg);
	default:
		return -ENOTTY;
	}
}
