/* SPDX-License-Identifier: MIT */
/*
 * hostcall.S - the only system call instructions of a hosted guest.
 *
 * The guest's seccomp filter lets a call pass only from between host_text_begin and
 * host_text_end (seccomp.c), so everything that traps stands there.
 */
	.section .text.strait_host, "ax", @progbits
	.balign 64
	.global host_text_begin
	.hidden host_text_begin
host_text_begin:

/* long host_call6(n, a1, a2, a3, a4, a5, a6) */
	.global host_call6
	.hidden host_call6
	.type host_call6, @function
host_call6:
	movq %rdi, %rax
	movq %rsi, %rdi
	movq %rdx, %rsi
	movq %rcx, %rdx
	movq %r8, %r10
	movq %r9, %r8
	movq 8(%rsp), %r9
	syscall
	ret
	.size host_call6, . - host_call6

/*
 * long host_call_intr(n, a1, a2, a3, a4, a5, a6, flag): as host_call6, but -EINTR
 * at once when *flag is set.  A signal that hits between the look at *flag and the
 * instruction is taken to host_intr_end with -EINTR by the handler, so no kick is
 * lost.
 */
	.global host_call_intr
	.hidden host_call_intr
	.type host_call_intr, @function
host_call_intr:
	movq %rdi, %rax
	movq %rsi, %rdi
	movq %rdx, %rsi
	movq %rcx, %rdx
	movq %r8, %r10
	movq %r9, %r8
	movq 8(%rsp), %r9
	movq 16(%rsp), %r11
	.global host_intr_begin
	.hidden host_intr_begin
host_intr_begin:
	cmpl $0, (%r11)
	jne 1f
	syscall
	.global host_intr_end
	.hidden host_intr_end
host_intr_end:
	ret
1:	movq $-4, %rax
	ret
	.size host_call_intr, . - host_call_intr

/*
 * long host_clone(flags, stack, ptid, ctid, fn, arg): the child runs fn(arg) on
 * @stack (16-aligned) and must not return.
 */
	.global host_clone
	.hidden host_clone
	.type host_clone, @function
host_clone:
	movq %r8, -16(%rsi)
	movq %r9, -8(%rsi)
	subq $16, %rsi
	movq %rcx, %r10
	xorl %r8d, %r8d
	movl $56, %eax
	syscall
	testl %eax, %eax
	jz 1f
	ret
1:	xorl %ebp, %ebp
	popq %rax
	popq %rdi
	call *%rax
	ud2
	.size host_clone, . - host_clone

/* Where the host's signal handlers return to. */
	.global host_sigreturn
	.hidden host_sigreturn
	.type host_sigreturn, @function
host_sigreturn:
	movl $15, %eax
	syscall
	ud2
	.size host_sigreturn, . - host_sigreturn

	.global host_text_end
	.hidden host_text_end
host_text_end:

	.section .note.GNU-stack, "", @progbits
