/* SPDX-License-Identifier: MIT */
/*
 * exit.c - the end of a guest, and the toolstack's orders to end.
 *
 * Whoever ends the guest takes the CPU for good (IF=0): no other thread runs any more.
 * The state node and the console are finished by polling, each with a limit, so that
 * a guest ends also when dom0's daemons hang.
 */
#include "platform/xen/exit.h"

#include "platform/xen/config.h"
#include "platform/xen/console.h"
#include "platform/xen/keeper.h"
#include "platform/xen/public.h"
#include "platform/xen/xen.h"
#include "platform/xen/xenstore.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define STATE_NODE "data/strait/state"
#define CONTROL_NODE "control/shutdown"
#define NS_PER_S UINT64_C(1000000000)

static unsigned g_reason = SHUTDOWN_poweroff;
static uint64_t g_deadline = PLAT_NO_DEADLINE; /* the keeper's */

static size_t add(char *to, size_t n, size_t size, const char *s)
{
	for (; *s && n + 1 < size; s++)
		to[n++] = *s >= ' ' && *s < 127 ? *s : '?';
	to[n] = '\0';
	return n;
}

static size_t add_number(char *to, size_t n, size_t size, unsigned v)
{
	char digits[12];
	size_t i = sizeof(digits) - 1;

	digits[i] = '\0';
	do
		digits[--i] = (char)('0' + v % 10);
	while (v /= 10);
	return add(to, n, size, digits + i);
}

static void say(const char *a, const char *b, const char *c)
{
	char line[160];
	size_t n = add(line, 0, sizeof(line) - 1, a);

	n = add(line, n, sizeof(line) - 1, b);
	n = add(line, n, sizeof(line) - 1, c);
	line[n++] = '\n';
	plat_log(line, n);
}

/* ---- ending ---- */

_Noreturn void xen_shutdown(unsigned reason)
{
	struct sched_shutdown op = {.reason = reason};

	(void)irq_off();
	(void)hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (long)&op, 0, 0);
	cpu_stop();
}

/* IF=0. */
static _Noreturn void end(const char *state, unsigned reason)
{
	static bool ending; /* a fault in the midst of it ends it at once */

	if (!ending) {
		ending = true;
		channel_close_all();
		(void)xenstore_write_dying(STATE_NODE, state); /* nobody left to tell */
		console_drain_dying();
	}
	xen_shutdown(reason);
}

_Noreturn void plat_exit(int code, int sig)
{
	char state[32];
	size_t n;

	(void)irq_off();
	n = add(state, 0, sizeof(state), sig ? "signal " : "exit ");
	(void)add_number(state, n, sizeof(state), (unsigned)(sig ? sig : code & 0xff));
	end(state, g_reason);
}

_Noreturn void exit_crash(const char *what)
{
	char state[160];
	size_t n;

	(void)irq_off();
	n = add(state, 0, sizeof(state), "crash ");
	(void)add(state, n, sizeof(state), what);
	end(state, SHUTDOWN_crash);
}

void exit_say_running(void)
{
	if (xenstore_present() && xenstore_write(STATE_NODE, "running") == -EACCES)
		say("strait: xenstore: ", STATE_NODE,
		    " may not be written by this domain");
}

/* ---- orders ---- */

/* SIGTERM, and a limit. */
static void take_order(const char *order, unsigned reason)
{
	(void)xenstore_write(CONTROL_NODE,
	                     ""); /* heard; the toolstack waits for no more */
	g_reason = reason;
	say("strait: the toolstack orders ", order, ": SIGTERM");
	if (g_deadline == PLAT_NO_DEADLINE)
		g_deadline = plat_mono_ns() + g_shutdown_timeout * NS_PER_S;
	libos_outside_signal(SIGTERM);
}

static void on_control(const char *path, void *arg)
{
	char order[32];

	(void)arg;
	if (xenstore_read(path, order, sizeof(order)) <= 0)
		return; /* gone, or our own answer */
	if (strcmp(order, "poweroff") == 0 || strcmp(order, "halt") == 0)
		take_order(order, SHUTDOWN_poweroff);
	else if (strcmp(order, "reboot") == 0)
		take_order(order, SHUTDOWN_reboot);
	else /* left unanswered: that is how the toolstack learns of a refusal */
		say("strait: the toolstack orders ", order,
		    ": refused; there is no save, restore or migration");
}

void exit_watch_orders(void)
{
	if (!xenstore_present())
		return;
	if (xenstore_watch(CONTROL_NODE, on_control, NULL) < 0)
		say("strait: xenstore: ", CONTROL_NODE,
		    " cannot be watched: xl shutdown does nothing");
}

uint64_t shutdown_keep(uint64_t now)
{
	if (now >= g_deadline) {
		say("strait: the program did not end in time", "", "");
		plat_exit(0, SIGKILL);
	}
	return g_deadline;
}
