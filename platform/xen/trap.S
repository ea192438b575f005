/* SPDX-License-Identifier: MIT */
/*
 * trap.S - the way into trap() from every vector, and out of it.
 *
 * Each vector comes in on an IST stack with interrupts off; a raw `syscall` makes
 * its frame itself, without a word written to the program's stack.  The frame that
 * trap() returns may lie anywhere: nothing else uses the stack it is read from,
 * since no vector ever continues on the interrupted stack.
 */
#define CPU_SCRATCH 16			/* struct cpu, see trap.c */
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define VEC_RAW 0x43

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

	.section .note.GNU-stack, "", @progbits
