/* SPDX-License-Identifier: MIT */
/*
 * console.h - more of the PV console than all of platform/xen needs.
 *
 * Layer:  platform/xen only.
 */
#ifndef PLATFORM_XEN_CONSOLE_H
#define PLATFORM_XEN_CONSOLE_H

/* console=raw: bytes as they are, no terminal.  After config_init(). */
void console_set_raw(void);
/* For a guest that ends: wait until the console daemon has taken everything. */
void console_drain_dying(void);

#endif /* PLATFORM_XEN_CONSOLE_H */
