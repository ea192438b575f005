/* SPDX-License-Identifier: MIT */
/*
 * __unmapself(base, size): a detached thread gives back its own stack and ends.
 * libos does both on its own stack.
 */
	.text
	.global __unmapself
	.type __unmapself, @function
__unmapself:
	jmp strait_unmap_self
	.size __unmapself, . - __unmapself
	.section .note.GNU-stack, "", @progbits
