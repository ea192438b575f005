/* SPDX-License-Identifier: MIT */
/*
 * cc.h - what lwIP asks of the compiler and the C library.
 *
 * Layer:  services/netd.  Included by lwIP itself.
 */
#ifndef NETD_ARCH_CC_H
#define NETD_ARCH_CC_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define LWIP_PLATFORM_DIAG(x) \
	do { \
		printf x; \
	} while (0)
#define LWIP_PLATFORM_ASSERT(x) \
	do { \
		fprintf(stderr, "netd: lwIP: %s (%s:%d)\n", x, __FILE__, __LINE__); \
		abort(); \
	} while (0)

uint32_t netd_rand32(void);
#define LWIP_RAND() netd_rand32()

#endif /* NETD_ARCH_CC_H */
