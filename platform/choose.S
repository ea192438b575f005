/* SPDX-License-Identifier: MIT */
/*
 * choose.S - both platforms in one program: each function of platform.h is a jump
 * through a table.
 *
 * The table is platform/linux's.  platform/xen's entry copies its own over it before
 * anything else runs (g_plat_xen to g_plat_now, g_plat_count words).
 */
	.macro plat_function name
	.section .text.\name, "ax", @progbits
	.balign 16
	.global \name
	.hidden \name
	.type \name, @function
\name:	jmp *.Lnow_\name(%rip)
	.size \name, . - \name
	.section .data.g_plat_now, "aw", @progbits
.Lnow_\name:
	.quad linux_\name
	.section .rodata.g_plat_xen, "a", @progbits
	.quad xen_\name
	.endm
#define PLAT_FUNCTION(name) plat_function name

	.section .data.g_plat_now, "aw", @progbits
	.balign 64
	.global g_plat_now
	.hidden g_plat_now
g_plat_now:
	.section .rodata.g_plat_xen, "a", @progbits
	.balign 8
	.global g_plat_xen
	.hidden g_plat_xen
g_plat_xen:
#include "platform/functions.def"
	.section .data.g_plat_now, "aw", @progbits
.Lend:
	.section .rodata.g_plat_count, "a", @progbits
	.balign 8
	.global g_plat_count
	.hidden g_plat_count
g_plat_count:
	.quad (.Lend - g_plat_now) / 8

	.section .note.GNU-stack, "", @progbits
