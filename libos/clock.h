/* SPDX-License-Identifier: MIT */
/*
 * clock.h - the guest's CLOCK_REALTIME: the platform's plus what clock_settime did.
 *
 * Layer:   libos.
 */
#ifndef LIBOS_CLOCK_H
#define LIBOS_CLOCK_H

#include <stdint.h>

uint64_t clock_real_ns(void);

#endif /* LIBOS_CLOCK_H */
