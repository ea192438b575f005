/* SPDX-License-Identifier: MIT */
/*
 * fpstate.h - what a platform does for plat_fpstate_*() (platform.h), which are the
 * same on all.
 *
 * Layer:  platform.
 */
#ifndef PLATFORM_FPSTATE_H
#define PLATFORM_FPSTATE_H

#include <stdbool.h>

/* Look at the CPU, once, when CR4 and XCR0 are as they stay; @xsave: XSAVE is on. */
void fpstate_init(bool xsave);
bool fpstate_xsave_on(void); /* it has, as CPUID tells */

#endif /* PLATFORM_FPSTATE_H */
