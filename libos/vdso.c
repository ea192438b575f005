/* SPDX-License-Identifier: MIT */
/*
 * vdso.c - the functions that a program's C library calls without a system call.
 *
 * musl looks them up once, by names of Linux's vDSO.  They are program code: no
 * lock, nothing of libos's written, the program's stack.
 */
#include "libos/time.h"

#include <string.h>

/* musl's __vdsosym(), by syscall_arch.h; called by musl alone. */
void *strait_vdsosym(const char *version, const char *name);

void *strait_vdsosym(const char *version, const char *name)
{
	(void)version;
	if (strcmp(name, "__vdso_clock_gettime") != 0)
		return NULL;
	return (void *)(uintptr_t)time_read_direct;
}
