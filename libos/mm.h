/* SPDX-License-Identifier: MIT */
/*
 * mm.h - the program's memory.
 *
 * Layer:  libos.
 */
#ifndef LIBOS_MM_H
#define LIBOS_MM_H

#include <stddef.h>
#include <stdint.h>

/* Before program code: knows the program's image. */
void mm_init(void);
/* The main stack, with an unmapped gap below; its top, or NULL.  @need: bytes that
 * will be used at once. */
void *mm_main_stack(size_t need);

#endif /* LIBOS_MM_H */
