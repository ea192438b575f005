/* SPDX-License-Identifier: MIT */
/*
 * boot.c - from start.S to libos_main().
 *
 * Two halves: on the boot stack, alone and with interrupts off, until there are
 * memory, traps and a scheduler; then as thread 1, on libos's first stack.
 */
#include "platform/xen/vm.h"

#include <elf.h>
#include <xen/arch-x86/hvm/start_info.h>

#define EXIT_BOOT 125

extern void *g_plat_now[];
extern void *const g_plat_xen[];
extern const uint64_t g_plat_count;

_Noreturn void boot_run_on(void *stack, void (*fn)(void));
_Noreturn void boot_main(uint32_t start_info);

const void *g_start_info;
static bool g_has_console;

const char *boot_cmdline(void)
{
	const struct hvm_start_info *si = g_start_info;

	return si && si->cmdline_paddr ? page_virt(si->cmdline_paddr) : "";
}

_Noreturn void boot_die(const char *what)
{
	static const char head[] = "strait: guest start: ";
	const size_t n = __builtin_strlen(what);

	hyper_debug(head, sizeof(head) - 1);
	hyper_debug(what, n);
	hyper_debug("\n", 1);
	if (g_has_console) {
		console_xen_write_raw(head, sizeof(head) - 1);
		console_xen_write_raw(what, n);
		console_xen_write_raw("\n", 1);
	}
	if (g_shared)
		plat_exit(EXIT_BOOT, 0);
	cpu_stop();
}

static void open_start_info(uint32_t at)
{
	const struct hvm_start_info *si = page_virt(at);

	g_start_info = si;
	if (si->magic != XEN_HVM_START_MAGIC_VALUE)
		boot_die("the loader is not Xen's");
}

const uint32_t *cpu_features(void)
{
	static uint32_t r[4];

	if (!r[0])
		__asm__ volatile("cpuid"
		                 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
		                 : "a"(1), "c"(0));
	return r;
}

/* What libos_main() reads of the stack that Linux would give: the vectors come by
 * g_config. */
static uint64_t *initial_stack(void)
{
	static uint64_t sp[] = {0, 0, 0, AT_HWCAP, 0, AT_NULL, 0};

	sp[4] = cpu_features()[3];
	return sp;
}

/* Thread 1. */
static void boot_thread(void)
{
	void *stack;

	sched_set_libos(libos_first_thread(&stack));
	__asm__ volatile("sti" : : : "memory");
	xenstore_init();
	console_xen_init();
	g_has_console = true;
	config_init();
	channel_init();
	shutdown_watch();
	libos_main(initial_stack());
}

_Noreturn void boot_main(uint32_t start_info)
{
	void *stack;

	for (uint64_t i = 0; i < g_plat_count; i++)
		g_plat_now[i] = g_plat_xen[i];
	open_start_info(start_info);
	pages_init();
	vm_init();
	trap_init();
	hyper_init();
	fpu_init();
	evtchn_init();
	clock_init();
	sched_init();
	(void)libos_first_thread(&stack);
	boot_run_on(stack, boot_thread);
}
