/* SPDX-License-Identifier: MIT */
/*
 * trap.S - the way into trap() from every vector, and out of it.
 *
 * Each vector comes in on an IST stack with interrupts off; a raw `syscall` makes
 * its frame itself, without a word written to the program's stack.  The frame that
 * trap() returns may lie anywhere: nothing else uses the stack it is read from,
 * since no vector ever continues on the interrupted stack.
 *
 * Event channels have a stack of their own, left at once: QEMU's TCG (seen in 7.2)
 * may deliver an event that Xen injected a second time, whatever the interrupt flag
 * says (tests/xen/README.md).  Such a one finds IF=0 in its frame and goes back; see
 * trap_upcall.
 */
#define CPU_SCRATCH 16			/* struct cpu, see trap.c */
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define VEC_UPCALL 0x40
#define VEC_RAW 0x43

#define FRAME_RCX 96			/* struct trap_frame */
#define FRAME_RAX 112
#define FRAME_VECTOR 120
#define FRAME_ERR 128
#define FRAME_RIP 136
#define FRAME_CS 144
#define FRAME_RFLAGS 152
#define FRAME_RSP 160
#define FRAME_SS 168
#define FRAME_SIZE 176

#define TSS_IST 152			/* in trap_tss (trap.c): IST 1, and its stack's end */
#define TSS_STACK_END 160

	.section .text.trap_entry, "ax", @progbits
	.balign 16
trap_entry:
	pushq %rax
	pushq %rbx
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %rbp
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	call trap
	movq %rax, %rsp
.Lreturn:
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rbp
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rbx
	popq %rax
	addq $16, %rsp
	iretq

	.global trap_return
	.hidden trap_return
	.type trap_return, @function
trap_return:
	cli
	movq %rdi, %rsp
	jmp .Lreturn
	.size trap_return, . - trap_return

/* LSTAR: rcx is the program's rip, r11 its flags; interrupts are off by SFMASK. */
	.global trap_raw
	.hidden trap_raw
	.type trap_raw, @function
trap_raw:
	movq %rsp, g_cpu + CPU_SCRATCH(%rip)
	movq $trap_stack_end, %rsp
	pushq $SEL_DATA
	pushq g_cpu + CPU_SCRATCH(%rip)
	pushq %r11
	pushq $SEL_CODE
	pushq %rcx
	pushq $0
	pushq $VEC_RAW
	jmp trap_entry
	.size trap_raw, . - trap_raw

/* VEC_UPCALL.  The emulator may deliver it again between any two blocks of code, and
 * between any two instructions where it counts them:
 *   before trap_upcall_set  the stack ends just behind its own pointer in the TSS, so the
 *                           first frame's SS lies there: the second delivery faults at
 *                           address 0 or at the end of memory, and the page fault goes
 *                           back here (trap.c)
 *   behind it               all is in the frame on the trap stack, the pointer is set
 *                           again, and a frame with IF=0 is not moved there but to
 *                           trap_unwanted
 */
	.balign 256
	.global trap_upcall
	.hidden trap_upcall
	.type trap_upcall, @function
trap_upcall:
	pushq %rax
	pushq %rcx
	leaq trap_stack_end - FRAME_SIZE(%rip), %rax
	leaq trap_unwanted(%rip), %rcx
	testb $2, 16 + 16 + 1(%rsp)	/* IF */
	cmovzq %rcx, %rax
	movq 8(%rsp), %rcx
	movq %rcx, FRAME_RAX(%rax)
	movq (%rsp), %rcx
	movq %rcx, FRAME_RCX(%rax)
	movq $VEC_UPCALL, FRAME_VECTOR(%rax)
	movq $0, FRAME_ERR(%rax)
	movq 16(%rsp), %rcx
	movq %rcx, FRAME_RIP(%rax)
	movq 24(%rsp), %rcx
	movq %rcx, FRAME_CS(%rax)
	movq 32(%rsp), %rcx
	movq %rcx, FRAME_RFLAGS(%rax)
	movq 40(%rsp), %rcx
	movq %rcx, FRAME_RSP(%rax)
	movq 48(%rsp), %rcx
	movq %rcx, FRAME_SS(%rax)
	leaq trap_tss + TSS_STACK_END(%rip), %rcx
	movq %rcx, trap_tss + TSS_IST(%rip)
	.global trap_upcall_set
	.hidden trap_upcall_set
trap_upcall_set:
	jz 1f
	leaq FRAME_VECTOR(%rax), %rsp
	movq FRAME_RCX(%rax), %rcx
	movq FRAME_RAX(%rax), %rax
	jmp trap_entry
1:	leaq FRAME_RIP(%rax), %rsp
	movq FRAME_RCX(%rax), %rcx
	movq FRAME_RAX(%rax), %rax
	iretq
	.size trap_upcall, . - trap_upcall

/* One stub of 16 bytes a vector: 0 to 0x42. */
	.balign 16
	.global trap_stubs
	.hidden trap_stubs
trap_stubs:
	i = 0
	.rept 0x43
	.balign 16
	.if !(i == 8 || (i >= 10 && i <= 14) || i == 17 || i == 21 || i == 29 || i == 30)
	pushq $0
	.endif
	pushq $i
	jmp trap_entry
	i = i + 1
	.endr

/* The stacks; the page below the first two is a guard (trap.c). */
	.section .bss.trap_stacks, "aw", @nobits
	.balign 4096
	.global trap_guard, trap_fault_guard
	.hidden trap_guard, trap_fault_guard
trap_guard:
	.skip 4096
	.skip 12288
	.global trap_stack_end
	.hidden trap_stack_end
trap_stack_end:
trap_fault_guard:
	.skip 4096
	.skip 16384
	.global trap_fault_stack_end
	.hidden trap_fault_stack_end
trap_fault_stack_end:
	.skip 4096
	.global trap_nmi_stack_end, trap_machine_stack_end, trap_double_stack_end
	.hidden trap_nmi_stack_end, trap_machine_stack_end, trap_double_stack_end
trap_nmi_stack_end:
	.skip 4096
trap_machine_stack_end:
	.skip 4096
trap_double_stack_end:
trap_unwanted:
	.skip FRAME_SIZE

	.section .note.GNU-stack, "", @progbits
