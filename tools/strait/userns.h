/* SPDX-License-Identifier: MIT */
/*
 * userns.h - root's powers over our own processes, for an ordinary user.
 *
 * Layer: tools.
 */
#ifndef TOOLS_STRAIT_USERNS_H
#define TOOLS_STRAIT_USERNS_H

#include <stdbool.h>

/* Without CAP_SYS_ADMIN: move into a user namespace where the caller is root, with
 * a mount namespace of its own.  True when it did.  Says and exits 125 where that
 * is forbidden.  The process must have one thread. */
bool userns_enter(void);

#endif /* TOOLS_STRAIT_USERNS_H */
