/* SPDX-License-Identifier: MIT */
/*
 * fixup.h - where plat_copy(), plat_load_u32() and plat_cmpxchg_u32() go on when they
 * meet a bad pointer.
 *
 * Layer:   platform.
 * Signals: async-signal-safe.
 */
#ifndef PLATFORM_FIXUP_H
#define PLATFORM_FIXUP_H

#include <stdbool.h>
#include <stdint.h>

/* A fault at *@rip: true when it lies in one of them; *@rip is then the way out. */
bool fixup_apply(uint64_t *rip);

#endif /* PLATFORM_FIXUP_H */
