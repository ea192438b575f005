/* SPDX-License-Identifier: MIT */
/*
 * __restore_rt: where a handler returns to: rt_sigreturn.  rsp points at the
 * frame's ucontext; the call's return address goes where the handler's was.
 */
	.text
	nop
	.global __restore_rt
	.hidden __restore_rt
	.type __restore_rt, @function
__restore_rt:
	movl $15, %edi
	call strait_syscall
	ud2
	.size __restore_rt, . - __restore_rt
	.section .note.GNU-stack, "", @progbits
