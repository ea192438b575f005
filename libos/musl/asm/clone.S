/* SPDX-License-Identifier: MIT */
/*
 * __clone(fn, stack, flags, arg, ptid, tls, ctid): stands in for musl's clone.s.
 * The child comes out of the same call with rax = 0 and rsp = the given stack.
 */
	.text
	.global __clone
	.hidden __clone
	.type __clone, @function
__clone:
	movq 8(%rsp), %r10		/* ctid */
	andq $-16, %rsi
	subq $16, %rsi
	movq %rdi, (%rsi)		/* fn and arg wait on the child's stack */
	movq %rcx, 8(%rsi)
	movl $56, %edi
	movq %rdx, %rax
	movq %rsi, %rdx
	movq %rax, %rsi
	movq %r8, %rcx
	movq %r10, %r8
	subq $24, %rsp
	call strait_syscall
	testl %eax, %eax
	jz 1f
	addq $24, %rsp
	ret
1:	xorl %ebp, %ebp
	popq %rax
	popq %rdi
	call *%rax
	movl %eax, %esi
	movl $60, %edi
	subq $16, %rsp
	call strait_syscall
	ud2
	.size __clone, . - __clone
	.section .note.GNU-stack, "", @progbits
