/* SPDX-License-Identifier: MIT */
/*
 * keeper.h - the platform's own thread: watches of xenstore, dead channels, signals
 * from the console, the toolstack's orders.  shutdown_watch() starts it.
 *
 * Layer:   platform/xen only.
 */
#ifndef PLATFORM_XEN_KEEPER_H
#define PLATFORM_XEN_KEEPER_H

#include <stdint.h>

/* There is something to do.  IF=0. */
void keeper_wake(void);
/* The word that keeper_wake() counts up: who reads it, then looks, then sleeps on it
 * misses nothing. */
extern _Atomic uint32_t g_keeper_word;

/* What it does each time, by file; deadlines in plat_mono_ns(). */
uint64_t channel_keep(uint64_t now); /* -> when to look again */
void console_keep(void);
uint64_t shutdown_keep(uint64_t now);

#endif /* PLATFORM_XEN_KEEPER_H */
