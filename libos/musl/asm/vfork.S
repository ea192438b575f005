/* SPDX-License-Identifier: MIT */
/* vfork(): refused by libos, as fork is. */
	.text
	.global vfork
	.type vfork, @function
	.hidden __syscall_ret
vfork:
	movl $58, %edi
	subq $24, %rsp
	call strait_syscall
	addq $24, %rsp
	movq %rax, %rdi
	jmp __syscall_ret
	.size vfork, . - vfork
	.section .note.GNU-stack, "", @progbits
