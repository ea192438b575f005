/* SPDX-License-Identifier: MIT */
/*
 * syscall_arch.h - goes ahead of musl's own: a system call is a C function call.
 *
 * One symbol under seven prototypes, so that a call with two arguments sets up
 * two; strait_syscall() looks at no more than the call has.
 *
 * clock_gettime() asks for the function of a vDSO, by __vdsosym(); here libos
 * answers that (libos/vdso.c).
 *
 * Layer:  libos/musl; included by musl's sources only.
 */
#ifndef LIBOS_MUSL_SYSCALL_ARCH_H
#define LIBOS_MUSL_SYSCALL_ARCH_H

#define __SYSCALL_LL_E(x) (x)
#define __SYSCALL_LL_O(x) (x)

__attribute__((__visibility__("hidden"))) long __strait_call0(long)
	__asm__("strait_syscall");
__attribute__((__visibility__("hidden"))) long __strait_call1(long, long)
	__asm__("strait_syscall");
__attribute__((__visibility__("hidden"))) long __strait_call2(long, long, long)
	__asm__("strait_syscall");
__attribute__((__visibility__("hidden"))) long __strait_call3(long, long, long, long)
	__asm__("strait_syscall");
__attribute__((__visibility__("hidden"))) long __strait_call4(long, long, long, long, long)
	__asm__("strait_syscall");
__attribute__((__visibility__("hidden"))) long __strait_call5(long, long, long, long, long,
                                                              long) __asm__("strait_syscall");
__attribute__((__visibility__("hidden"))) long __strait_call6(long, long, long, long, long,
                                                              long, long)
	__asm__("strait_syscall");

static __inline long __syscall0(long n)
{
	return __strait_call0(n);
}

static __inline long __syscall1(long n, long a1)
{
	return __strait_call1(n, a1);
}

static __inline long __syscall2(long n, long a1, long a2)
{
	return __strait_call2(n, a1, a2);
}

static __inline long __syscall3(long n, long a1, long a2, long a3)
{
	return __strait_call3(n, a1, a2, a3);
}

static __inline long __syscall4(long n, long a1, long a2, long a3, long a4)
{
	return __strait_call4(n, a1, a2, a3, a4);
}

static __inline long __syscall5(long n, long a1, long a2, long a3, long a4, long a5)
{
	return __strait_call5(n, a1, a2, a3, a4, a5);
}

static __inline long __syscall6(long n, long a1, long a2, long a3, long a4, long a5, long a6)
{
	return __strait_call6(n, a1, a2, a3, a4, a5, a6);
}

#define IPC_64 0

#define __vdsosym strait_vdsosym
#define VDSO_CGT_SYM "__vdso_clock_gettime"
#define VDSO_CGT_VER "LINUX_2.6"

#endif
