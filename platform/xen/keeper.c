/* SPDX-License-Identifier: MIT */
/*
 * keeper.c - see keeper.h.
 *
 * It calls libos (an outside signal) and so needs a struct thread to be found by GS: a
 * page of zeros stands for "none of the program's".
 */
#include "platform/xen/keeper.h"

#include "platform/xen/exit.h"
#include "platform/xen/xen.h"
#include "platform/xen/xenstore.h"

#include <sys/mman.h>

#define STACK_SIZE (16ul * 1024)

_Atomic uint32_t g_keeper_word;
static bool g_started;

void keeper_wake(void)
{
	g_keeper_word++;
	(void)futex_wake_locked(&g_keeper_word, 1);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void keeper_main(void *nobody)
{
	sched_set_libos(nobody);
	exit_say_running();
	exit_watch_orders();
	for (;;) {
		const uint32_t seen = g_keeper_word;
		uint64_t next;

		xenstore_keep();
		console_keep();
		next = channel_keep(plat_mono_ns());
		next = sooner(next, shutdown_keep(plat_mono_ns()));
		(void)plat_futex_wait(&g_keeper_word, seen, next);
	}
}

/* xen.h's name: what boot.c calls last. */
void shutdown_watch(void)
{
	const long at = plat_mmap(NULL, 2 * PAGE_SIZE + STACK_SIZE, PROT_NONE,
	                          MAP_PRIVATE | MAP_ANONYMOUS);
	char *stack = (char *)at + PAGE_SIZE; /* behind a guard page */

	if (g_started)
		return;
	g_started = true;
	if ((at < 0 && at > -4096) ||
	    plat_mprotect(stack, STACK_SIZE + PAGE_SIZE, PROT_READ | PROT_WRITE) != 0 ||
	    thread_start(keeper_main, stack + STACK_SIZE, stack + STACK_SIZE) != 0)
		boot_die("no memory for the platform's thread");
}
