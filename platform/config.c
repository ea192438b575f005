/* SPDX-License-Identifier: MIT */
/* config.c - the guest's configuration: the platform that was chosen fills it. */
#include "platform/platform.h"

struct plat_config g_config;
