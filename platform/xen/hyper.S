/* SPDX-License-Identifier: MIT */
/*
 * hyper.S - calls into Xen.
 *
 * Xen fills the hypercall page (through an MSR, see hyper.c) with one stub of 32
 * bytes a call: number into eax, then the instruction that this CPU wants.
 */
/* long hypercall(unsigned nr, long a, long b, long c, long d) */
	.section .text.hypercall, "ax", @progbits
	.global hypercall
	.hidden hypercall
	.type hypercall, @function
hypercall:
	movl %edi, %eax
	shll $5, %eax
	movq g_hypercall_page(%rip), %r11
	addq %rax, %r11
	movq %rsi, %rdi
	movq %rdx, %rsi
	movq %rcx, %rdx
	movq %r8, %r10
	jmp *%r11
	.size hypercall, . - hypercall

	.section .note.GNU-stack, "", @progbits
