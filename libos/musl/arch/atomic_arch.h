/* SPDX-License-Identifier: MIT */
/*
 * atomic_arch.h - musl's own, but a_crash() is an instruction that also faults in
 * ring 0, where hlt would only sleep and then run on past the check.
 *
 * Layer:  libos/musl; included by musl's sources only.
 */
#ifndef LIBOS_MUSL_ATOMIC_ARCH_H
#define LIBOS_MUSL_ATOMIC_ARCH_H

#include_next "atomic_arch.h"

#undef a_crash
#define a_crash a_crash_ud2
static inline void a_crash_ud2(void)
{
	__asm__ __volatile__("ud2" : : : "memory");
}

#endif
