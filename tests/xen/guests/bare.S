/* SPDX-License-Identifier: MIT */
/*
 * bare.S - entry of the bare PVH guest that Strait's guests are measured against.
 *
 * Xen enters start32 in 32-bit protected mode with flat segments and no paging, %ebx =
 * struct hvm_start_info.  The low 4 GiB are mapped one to one with 2 MiB pages.
 */
#include <xen/elfnote.h>
	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz "Xen"
	.long start32
	.balign 4

	.section .text.head, "ax"
	.code32
	.globl start32
start32:
	cld
	movl %ebx, %esi
	movl $(level3 + 3), level4
	xorl %ecx, %ecx
1:	movl %ecx, %eax                 /* four entries of level 3 */
	shll $12, %eax
	addl $(level2 + 3), %eax
	movl %eax, level3(, %ecx, 8)
	incl %ecx
	cmpl $4, %ecx
	jne 1b
	xorl %ecx, %ecx
2:	movl %ecx, %eax                 /* 2048 pages of 2 MiB */
	shll $21, %eax
	orl $0x83, %eax
	movl %eax, level2(, %ecx, 8)
	incl %ecx
	cmpl $2048, %ecx
	jne 2b
	movl %cr4, %eax
	orl $0x20, %eax                 /* PAE */
	movl %eax, %cr4
	movl $level4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx          /* EFER: LME */
	rdmsr
	orl $0x100, %eax
	wrmsr
	movl %cr0, %eax
	orl $0x80000000, %eax           /* PG */
	movl %eax, %cr0
	lgdt gdt_pointer
	ljmp $8, $start64
	.code64
start64:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	leaq stack_end(%rip), %rsp
	movl %esi, %edi
	call bare_main
	ud2

	.balign 8
gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word . - gdt - 1
	.long gdt

	.bss
	.balign 4096
	.globl hypercall_page
level4:	.skip 4096
level3:	.skip 4096
level2:	.skip 4 * 4096
hypercall_page:
	.skip 4096
	.skip 16384
stack_end:

	.section .note.GNU-stack, "", @progbits
