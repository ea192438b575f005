/* SPDX-License-Identifier: MIT */
/*
 * copy_x86_64.S - the copies that survive bad pointers, for both platforms.
 *
 * fixup.c holds the table of the ranges that may fault.
 */
	.text
	.balign 16
/* size_t plat_copy(to, from, n): bytes not copied. */
	.global plat_copy
	.hidden plat_copy
	.type plat_copy, @function
plat_copy:
	cmpq $16, %rdx
	ja 3f
	.global plat_copy_small
	.hidden plat_copy_small
plat_copy_small:
	cmpl $8, %edx
	jb 1f
	movq (%rsi), %rax
	movq -8(%rsi,%rdx), %rcx
	movq %rax, (%rdi)
	movq %rcx, -8(%rdi,%rdx)
	xorl %eax, %eax
	ret
1:	cmpl $4, %edx
	jb 2f
	movl (%rsi), %eax
	movl -4(%rsi,%rdx), %ecx
	movl %eax, (%rdi)
	movl %ecx, -4(%rdi,%rdx)
	xorl %eax, %eax
	ret
2:	testl %edx, %edx
	jz 4f
	movzbl (%rsi), %eax
	movb %al, (%rdi)
	incq %rsi
	incq %rdi
	decl %edx
	jmp 2b
	.global plat_copy_small_end
	.hidden plat_copy_small_end
plat_copy_small_end:
	movq %rdx, %rax
	ret
4:	xorl %eax, %eax
	ret
3:	movq %rdx, %rcx
	.global plat_copy_rep
	.hidden plat_copy_rep
plat_copy_rep:
	rep movsb
	.global plat_copy_rep_end
	.hidden plat_copy_rep_end
plat_copy_rep_end:
	movq %rcx, %rax
	ret
	.size plat_copy, . - plat_copy

/* int plat_load_u32(uint32_t *out, const void *from) */
	.global plat_load_u32
	.hidden plat_load_u32
	.type plat_load_u32, @function
plat_load_u32:
	.global plat_word_begin
	.hidden plat_word_begin
plat_word_begin:
	movl (%rsi), %eax
	movl %eax, (%rdi)
	xorl %eax, %eax
	ret
	.size plat_load_u32, . - plat_load_u32

/* int plat_cmpxchg_u32(void *at, uint32_t *expected, uint32_t desired, bool *done) */
	.global plat_cmpxchg_u32
	.hidden plat_cmpxchg_u32
	.type plat_cmpxchg_u32, @function
plat_cmpxchg_u32:
	movl (%rsi), %eax
	lock cmpxchgl %edx, (%rdi)
	movl %eax, (%rsi)
	sete (%rcx)
	xorl %eax, %eax
	ret
	.size plat_cmpxchg_u32, . - plat_cmpxchg_u32
	.global plat_word_end
	.hidden plat_word_end
plat_word_end:
	movl $-14, %eax
	ret

	.section .note.GNU-stack, "", @progbits
