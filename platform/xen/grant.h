/* SPDX-License-Identifier: MIT */
/*
 * grant.h - grants below gnttab_map(): for who has the frame numbers in hand.
 *
 * Layer:  platform/xen only.
 */
#ifndef PLATFORM_XEN_GRANT_H
#define PLATFORM_XEN_GRANT_H

#include <stdint.h>

/* Give granted pages back whose mappings in the page tables are gone or never used
 * again; the frame numbers stay taken. */
void grant_unmap_frames(uint64_t gfn, const uint32_t *handles, unsigned n);

#endif /* PLATFORM_XEN_GRANT_H */
