/* SPDX-License-Identifier: MIT */
/*
 * info.h - the part of Net.Info that every stack answers alike.
 *
 * Layer:     services/netd.
 * Ownership: info_keep() copies; what info_common() fills in stays valid.
 */
#ifndef NETD_INFO_H
#define NETD_INFO_H

#include "control.pb-c.h"
#include "net.pb-c.h"

/* Remember the configuration.  0 or -ENOMEM. */
int info_keep(const Control__NetConfig *cfg);
const Control__NetConfig *info_config(void);
/* Fill name servers and gateways. */
void info_common(Net__InfoRep *rep);

#endif /* NETD_INFO_H */
