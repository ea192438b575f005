/* SPDX-License-Identifier: MIT */
/*
 * lock.h - libos's mutual exclusion: see platform/lock.h.
 *
 * Layer:  libos.
 */
#ifndef LIBOS_LOCK_H
#define LIBOS_LOCK_H

#include "platform/lock.h"

#endif /* LIBOS_LOCK_H */
