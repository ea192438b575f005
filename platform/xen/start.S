/* SPDX-License-Identifier: MIT */
/*
 * start.S - the entry that Xen's loader finds by the ELF note, beside the one that
 * Linux uses.
 *
 * Xen enters in 32-bit protected mode: flat segments, paging and interrupts off,
 * ebx = struct hvm_start_info.  The image stands at its own addresses (physical =
 * virtual).  The boot tables map the first GiB twice, there and in the direct map;
 * vm_init() replaces both.
 */
	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long xen_start32
	.balign 4

#define DIRECT_BASE 0xffff800000000000	/* xen.h's */
#define PTE_TABLE 0x3			/* present, writable */
#define PTE_LARGE 0xe3			/* and accessed, dirty, 2 MiB */
#define CR4_BITS 0x620			/* PAE, OSFXSR, OSXMMEXCPT */
#define CR0_SET 0x80010022		/* PG, WP, NE, MP */
#define MSR_EFER 0xc0000080
#define EFER_BITS 0x101			/* LME, SCE */
#define EFER_NXE 0x800
#define CPUID_NX 20			/* bit of edx */

	.section .text.xen_start32, "ax", @progbits
	.code32
xen_start32:
	cld
	movl %ebx, %esi
	movl $xen_boot_pdpt + PTE_TABLE, xen_boot_pml4
	movl $xen_boot_pdpt + PTE_TABLE, xen_boot_pml4 + 256 * 8
	movl $xen_boot_pd + PTE_TABLE, xen_boot_pdpt
	movl $xen_boot_pd, %edi
	movl $PTE_LARGE, %eax
	movl $512, %ecx
1:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	decl %ecx
	jnz 1b
	movl %cr4, %eax
	orl $CR4_BITS, %eax
	movl %eax, %cr4
	movl %eax, xen_boot_cr4
	movl $xen_boot_pml4, %eax
	movl %eax, %cr3
	/* Each of these leaves the guest for Xen, so they are done once, here. */
	movl $0x80000001, %eax
	xorl %ecx, %ecx
	cpuid
	movl $EFER_BITS, %eax
	btl $CPUID_NX, %edx
	jnc 2f
	orl $EFER_NXE, %eax
	movb $1, xen_boot_nx
2:	xorl %edx, %edx
	movl $MSR_EFER, %ecx
	wrmsr
	movl %cr0, %eax
	andl $~12, %eax			/* EM, TS */
	orl $CR0_SET, %eax
	movl %eax, %cr0
	lgdt boot_gdtr
	ljmp $8, $start64
	.code64
start64:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	/* The stack in the map of all RAM: what hypercalls find on it, they find
	 * through one level of page tables less. */
	movabsq $DIRECT_BASE + xen_boot_stack_end, %rsp
	xorl %ebp, %ebp
	movl %esi, %edi
	call boot_main
	ud2

/* boot_run_on(stack, fn): continue on another stack, for good. */
	.global boot_run_on
	.hidden boot_run_on
	.type boot_run_on, @function
boot_run_on:
	xorl %ebp, %ebp
	movq %rdi, %rsp
	andq $-16, %rsp
	call *%rsi
	ud2
	.size boot_run_on, . - boot_run_on

/* cpu_stop(): the end where no hypercall can be made.  With interrupts off and one
 * CPU, Xen takes it for a shutdown. */
	.section .text.xen_halt, "ax", @progbits
	.global cpu_stop
	.hidden cpu_stop
	.type cpu_stop, @function
cpu_stop:
	cli
	hlt
	jmp cpu_stop
	.size cpu_stop, . - cpu_stop

	.section .rodata.xen_boot_gdt, "a", @progbits
	.balign 8
boot_gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
	.word 23
	.long boot_gdt

	.section .bss.xen_boot_nx, "aw", @nobits
	.global xen_boot_nx
	.hidden xen_boot_nx
xen_boot_nx:
	.skip 1

	.section .bss.xen_boot_cr4, "aw", @nobits
	.balign 8
	.global xen_boot_cr4
	.hidden xen_boot_cr4
xen_boot_cr4:
	.skip 8

	.section .bss.xen_boot, "aw", @nobits
	.balign 4096
	.global xen_boot_pml4
	.hidden xen_boot_pml4
xen_boot_pml4:
	.skip 4096
xen_boot_pdpt:
	.skip 4096
xen_boot_pd:
	.skip 4096
xen_boot_stack:
	.skip 16384
xen_boot_stack_end:

	.section .note.GNU-stack, "", @progbits
