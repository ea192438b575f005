/* SPDX-License-Identifier: MIT */
/*
 * hyper.c - finding Xen: CPUID leaves, hypercall page, shared info page.
 */
#include "platform/xen/public.h"
#include "platform/xen/xen.h"

#include <xen/arch-x86/cpuid.h>

#define LEAVES_END 0x40010000u
#define DEBUG_PORT 0xe9
#define COM1 0x3f8

struct shared_info *g_shared;
void *g_hypercall_page; /* hyper.S's */

static void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void cpuid(uint32_t leaf, uint32_t r[4])
{
	__asm__ volatile("cpuid"
	                 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
	                 : "a"(leaf), "c"(0));
}

static void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr"
	                 :
	                 : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
	                 : "memory");
}

void hyper_debug(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		outb(DEBUG_PORT, (uint8_t)s[i]);
}

/* There is no console of Xen's: a serial port, if the machine has one. */
_Noreturn static void die_without_xen(void)
{
	static const char text[] =
	        "strait: guest start: this machine is not a domain of Xen\r\n";

	hyper_debug(text, sizeof(text) - 1);
	for (const char *p = text; *p; p++) {
		for (unsigned i = 0; i < 100000 && !(inb(COM1 + 5) & 0x20); i++)
			;
		outb(COM1, (uint8_t)*p);
	}
	cpu_stop();
}

static uint32_t find_leaves(void)
{
	uint32_t r[4];

	for (uint32_t at = XEN_CPUID_FIRST_LEAF; at < LEAVES_END; at += 0x100) {
		cpuid(at, r);
		if (r[1] == XEN_CPUID_SIGNATURE_EBX &&
		    r[2] == XEN_CPUID_SIGNATURE_ECX &&
		    r[3] == XEN_CPUID_SIGNATURE_EDX && r[0] >= at + 2)
			return at;
	}
	die_without_xen();
}

static void map_shared_info(void)
{
	struct xen_add_to_physmap a = {.domid = DOMID_SELF,
	                               .space = XENMAPSPACE_shared_info};
	const uint64_t gfn = gfn_alloc(1);

	if (gfn == FRAME_NONE)
		boot_die("no free frame number for Xen's shared info page");
	a.gpfn = gfn;
	if (hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (long)&a, 0, 0) !=
	    0)
		boot_die("Xen does not map its shared info page");
	g_shared = vm_window_map(gfn << PAGE_SHIFT, 1);
	if (!g_shared)
		boot_die("no memory to map Xen's shared info page");
}

void hyper_init(void)
{
	const uint32_t at = find_leaves();
	uint64_t phys;
	uint32_t r[4];

	cpuid(at + 2, r);
	g_hypercall_page = vm_code_page(&phys);
	if (!g_hypercall_page)
		boot_die("no memory for Xen's hypercall page");
	wrmsr(r[1], phys);
	map_shared_info();
}

uint64_t hyper_param(unsigned index)
{
	static struct xen_hvm_param image; /* thread 1's, before there are others */
	struct xen_hvm_param *p = page_virt((uintptr_t)&image);

	/* There, in the map of all RAM, Xen has less page tables to walk through. */
	*p = (struct xen_hvm_param){.domid = DOMID_SELF, .index = index};
	if (hypercall(__HYPERVISOR_hvm_op, HVMOP_get_param, (long)p, 0, 0) != 0)
		return ~UINT64_C(0);
	return p->value;
}
