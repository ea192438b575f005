/* SPDX-License-Identifier: MIT */
/*
 * __syscall_cp_asm(cancel, n, a1, a2, a3, a4, a5, a6): a cancellation point.
 *
 * Between __cp_begin and __cp_end nothing changes but rax, so a call that did
 * nothing yet can be shown to a signal handler as standing at __cp_begin with its
 * arguments loaded (entry_context() does), and restarted from there.
 */
	.text
	.global __cp_begin
	.hidden __cp_begin
	.global __cp_end
	.hidden __cp_end
	.global __cp_cancel
	.hidden __cp_cancel
	.hidden __cancel
	.global __syscall_cp_asm
	.hidden __syscall_cp_asm
	.type __syscall_cp_asm, @function
__syscall_cp_asm:
	movq 8(%rsp), %r10
	movq 16(%rsp), %r11
	subq $24, %rsp
	movq %r11, (%rsp)		/* a6 */
	movq %rdi, 8(%rsp)		/* the cancel flag's address */
	movq %rsi, %rdi
	movq %rdx, %rsi
	movq %rcx, %rdx
	movq %r8, %rcx
	movq %r9, %r8
	movq %r10, %r9
__cp_begin:
	movq 8(%rsp), %rax
	cmpl $0, (%rax)
	jne __cp_cancel
	call strait_syscall
__cp_end:
	addq $24, %rsp
	ret
	/* Also where an asynchronous cancel puts the PC, anywhere in the program:
	 * keep its red zone, align.  __cancel() returns only to a call that came
	 * through __cp_begin, with the deferred -ECANCELED. */
__cp_cancel:
	subq $128, %rsp
	pushq %rbp
	movq %rsp, %rbp
	andq $-16, %rsp
	call __cancel
	movq %rbp, %rsp
	popq %rbp
	addq $128+24, %rsp
	ret
	.size __syscall_cp_asm, . - __syscall_cp_asm
	.section .note.GNU-stack, "", @progbits
