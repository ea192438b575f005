/* SPDX-License-Identifier: MIT */
/* start.S - the program's entry point when Linux starts it, and stack switches. */
	.text
	.global strait_start
	.type strait_start, @function
strait_start:
	xorl %ebp, %ebp
	movq %rsp, %rdi
	andq $-16, %rsp
	call host_start
	ud2
	.size strait_start, . - strait_start

/* host_run_on(stack, fn, arg): continue on another stack, for good. */
	.global host_run_on
	.hidden host_run_on
	.type host_run_on, @function
host_run_on:
	xorl %ebp, %ebp
	movq %rdi, %rsp
	andq $-16, %rsp
	movq %rdx, %rdi
	call *%rsi
	ud2
	.size host_run_on, . - host_run_on

	.section .note.GNU-stack, "", @progbits
