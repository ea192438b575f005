/* SPDX-License-Identifier: MIT */
/*
 * slice.h - how a service's threads share their CPU with guests.
 *
 * Layer:   rpc, services' side.
 * Errors:  none: where the kernel does not know it, all stays as it was.
 */
#ifndef RPC_SLICE_H
#define RPC_SLICE_H

/* Ask for short slices, for the calling thread and those it makes: woken by a guest
 * on its CPU it then runs at once, answers, and sleeps before the guest asks
 * for a wake-up of its own.  The share of the CPU stays the same. */
void slice_short(void);

#endif /* RPC_SLICE_H */
