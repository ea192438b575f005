/* SPDX-License-Identifier: MIT */
/*
 * entry_x86_64.S - the edge: calls in, results out, contexts resumed.
 *
 * GS base points to the struct thread; offsets are asserted in thread.c.
 *
 * The order at the way out: in_libos is cleared first, then th->work is looked at.
 * A kick before the first is seen by the look; a kick after it finds the program
 * counter in [entry_exit_begin, entry_exit_end) and sends it back to the look
 * (libos_host_signal()).  So no signal waits for the next call.
 */
#define TH_STACK 8
#define TH_IN_LIBOS 16
#define TH_WORK 20
#define TH_N 24
#define TH_A1 32
#define TH_RSP 72
#define TH_RESUME_RIP 96

	.text
	.balign 64
	.global strait_syscall
	.type strait_syscall, @function
/* long strait_syscall(n, a1, a2, a3, a4, a5, a6) */
strait_syscall:
	movl $1, %gs:TH_IN_LIBOS	/* first: after it nothing here is run twice */
	movq %rdi, %gs:TH_N
	movq %rsi, %gs:TH_A1
	movq %rdx, %gs:TH_A1+8
	movq %rcx, %gs:TH_A1+16
	movq %r8, %gs:TH_A1+24
	movq %r9, %gs:TH_A1+32
	movq %rsp, %gs:TH_RSP
	movq 8(%rsp), %r10
	movq %gs:TH_STACK, %rsp
.Lcall:
	movq g_strace_word(%rip), %rax
	cmpl $0, (%rax)
	jne .Ltraced
	cmpq g_syscall_max(%rip), %rdi
	ja .Lmissing
	movq g_syscall_table(,%rdi,8), %rax
	testq %rax, %rax
	jz .Lmissing
	movq %rsi, %rdi
	movq %rdx, %rsi
	movq %rcx, %rdx
	movq %r8, %rcx
	movq %r9, %r8
	movq %r10, %r9
	call *%rax
.Lleave:
	cmpq $-512, %rax
	je .Lslow
	movl $0, %gs:TH_IN_LIBOS
	.global entry_exit_begin
	.hidden entry_exit_begin
entry_exit_begin:
	cmpl $0, %gs:TH_WORK
	jne .Lslow
	movq %gs:TH_RSP, %rsp
	ret
	.global entry_exit_end
	.hidden entry_exit_end
entry_exit_end:

.Lslow:
	movl $1, %gs:TH_IN_LIBOS
	movq %gs:TH_STACK, %rsp
	/* struct entry_regs; the rest of it is filled by entry_leave(). */
	subq $120, %rsp
	subq $8, %rsp
	movq %rbx, 0(%rsp)
	movq %rbp, 8(%rsp)
	movq %r12, 16(%rsp)
	movq %r13, 24(%rsp)
	movq %r14, 32(%rsp)
	movq %r15, 40(%rsp)
	movq %rax, %rdi
	movq %rsp, %rsi
	call entry_leave
	addq $128, %rsp
	cmpq $-512, %rax
	jne .Lleave
	/* Make the call again. */
	movq %gs:TH_RSP, %rax
	movq 8(%rax), %r10
	movq %gs:TH_N, %rdi
	movq %gs:TH_A1, %rsi
	movq %gs:TH_A1+8, %rdx
	movq %gs:TH_A1+16, %rcx
	movq %gs:TH_A1+24, %r8
	movq %gs:TH_A1+32, %r9
	jmp .Lcall

.Lmissing:
	call syscall_missing		/* rdi: the number */
	jmp .Lleave

.Ltraced:
	/* syscall_dispatch_traced(n, a1, ..., a5, a6) */
	subq $8, %rsp
	pushq %r10
	call syscall_dispatch_traced
	addq $16, %rsp
	jmp .Lleave
	.size strait_syscall, . - strait_syscall

/* strait_unmap_self(base, size): see thread.c; never returns. */
	.global strait_unmap_self
	.type strait_unmap_self, @function
strait_unmap_self:
	movl $1, %gs:TH_IN_LIBOS
	movq %gs:TH_STACK, %rsp
	xorl %ebp, %ebp
	call thread_unmap_and_exit
	ud2
	.size strait_unmap_self, . - strait_unmap_self

/* entry_run_on_libos_stack(fn, arg) */
	.global entry_run_on_libos_stack
	.hidden entry_run_on_libos_stack
entry_run_on_libos_stack:
	movl $1, %gs:TH_IN_LIBOS
	movq %gs:TH_STACK, %rsp
	xorl %ebp, %ebp
	movq %rdi, %rax
	movq %rsi, %rdi
	call *%rax
	ud2

/*
 * resume_context(uc, fp, features): load everything, clear in_libos on the way,
 * and go.  C side: plat_resume() in resume.c, which has looked at th->work; the
 * window below covers what comes after that look.
 */
#define UC_R8 40
#define UC_R9 48
#define UC_R10 56
#define UC_R11 64
#define UC_R12 72
#define UC_R13 80
#define UC_R14 88
#define UC_R15 96
#define UC_RDI 104
#define UC_RSI 112
#define UC_RBP 120
#define UC_RBX 128
#define UC_RDX 136
#define UC_RAX 144
#define UC_RCX 152
#define UC_RSP 160
#define UC_RIP 168
#define UC_RFLAGS 176

	.global resume_context
	.hidden resume_context
resume_context:
	movq %rdx, %rcx
	testq %rsi, %rsi
	jz 2f
	testq %rcx, %rcx
	jz 1f
	movl %ecx, %eax
	movq %rcx, %rdx
	shrq $32, %rdx
	xrstor64 (%rsi)
	jmp 2f
1:	fxrstor64 (%rsi)
2:	movq UC_RIP(%rdi), %rax
	movq %rax, %gs:TH_RESUME_RIP
	/* Flags while we still have a stack; the loads below leave them alone. */
	pushq UC_RFLAGS(%rdi)
	popfq
	movl $0, %gs:TH_IN_LIBOS
	.global resume_begin
	.hidden resume_begin
resume_begin:
	movq UC_R8(%rdi), %r8
	movq UC_R9(%rdi), %r9
	movq UC_R10(%rdi), %r10
	movq UC_R11(%rdi), %r11
	movq UC_R12(%rdi), %r12
	movq UC_R13(%rdi), %r13
	movq UC_R14(%rdi), %r14
	movq UC_R15(%rdi), %r15
	movq UC_RSI(%rdi), %rsi
	movq UC_RBP(%rdi), %rbp
	movq UC_RBX(%rdi), %rbx
	movq UC_RDX(%rdi), %rdx
	movq UC_RAX(%rdi), %rax
	movq UC_RCX(%rdi), %rcx
	movq UC_RSP(%rdi), %rsp
	movq UC_RDI(%rdi), %rdi
	jmp *%gs:TH_RESUME_RIP
	.global resume_end
	.hidden resume_end
resume_end:

/* What tells `strait run` that strait-cc linked this program: the version of what
 * supervisor and guest agree on (platform/linux/boot.h). */
	.section .note.Strait, "a", @note
	.balign 4
	.long 7, 4, 1			/* name and desc sizes, type */
	.asciz "Strait"
	.balign 4
	.long 1

	.section .note.GNU-stack, "", @progbits
