/* SPDX-License-Identifier: MIT */
/*
 * domhang.c - in dom0: make a Linux domain (PVH, one vCPU) hang as a whole.
 *
 * usage: domhang DOMID
 *
 * Writes "cli; jmp ." where its kernel goes on: from then on it spins with interrupts
 * off.  Xen sees a domain that runs; it is not paused, and it does not end.
 */
#define XC_WANT_COMPAT_MAP_FOREIGN_API
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <xenctrl.h>
#include <xen/hvm/save.h>

#define KERNEL_AT 0xffffffff80000000ull /* where physical address 0 is, without KASLR */
#define PAGE 4096u
#define TRIES 100

static uint64_t instruction(xc_interface *xc, uint32_t domid)
{
	struct hvm_hw_cpu cpu;

	return xc_domain_hvm_getcontext_partial(xc, domid, HVM_SAVE_CODE(CPU), 0, &cpu, sizeof(cpu))
	               ? 0 : cpu.rip;
}

static int hang_at(xc_interface *xc, uint32_t domid, uint64_t rip)
{
	static const uint8_t code[] = {0xfa, 0xeb, 0xfe};
	const uint64_t phys = rip - KERNEL_AT;
	uint8_t *page;

	if (rip < KERNEL_AT || phys % PAGE > PAGE - sizeof(code))
		return -1; /* a program runs; or two pages */
	page = xc_map_foreign_range(xc, domid, PAGE, PROT_READ | PROT_WRITE, phys / PAGE);
	if (!page)
		return -1;
	memcpy(page + phys % PAGE, code, sizeof(code));
	munmap(page, PAGE);
	return 0;
}

int main(int argc, char **argv)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);
	uint32_t domid = argc == 2 ? (uint32_t)atoi(argv[1]) : 0;
	int failed = -1;

	if (!xc || !domid) {
		fprintf(stderr, "domhang: %s\n", xc ? "usage: domhang DOMID" : "no Xen");
		return 2;
	}
	for (int i = 0; i < TRIES && failed; i++) {
		if (xc_domain_pause(xc, domid))
			break;
		failed = hang_at(xc, domid, instruction(xc, domid));
		xc_domain_unpause(xc, domid);
		if (failed)
			nanosleep(&(struct timespec){0, 20000000}, NULL);
	}
	if (failed)
		fprintf(stderr, "domhang: cannot\n");
	return failed ? 1 : 0;
}
