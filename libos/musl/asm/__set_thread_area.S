/* SPDX-License-Identifier: MIT */
/* __set_thread_area(p): arch_prctl(ARCH_SET_FS, p). */
	.text
	.global __set_thread_area
	.hidden __set_thread_area
	.type __set_thread_area, @function
__set_thread_area:
	movq %rdi, %rdx
	movl $0x1002, %esi
	movl $158, %edi
	subq $24, %rsp
	call strait_syscall
	addq $24, %rsp
	ret
	.size __set_thread_area, . - __set_thread_area
	.section .note.GNU-stack, "", @progbits
