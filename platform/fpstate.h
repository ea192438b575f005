/* SPDX-License-Identifier: MIT */
/*
 * fpstate.h - what a platform does for plat_fpstate_*() (platform.h), which are the
 * same on all.
 *
 * Layer:  platform.
 */
#ifndef PLATFORM_FPSTATE_H
#define PLATFORM_FPSTATE_H

/* Look at the CPU, once, when CR4 and XCR0 are as they stay. */
void fpstate_init(void);

#endif /* PLATFORM_FPSTATE_H */
