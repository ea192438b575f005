/* SPDX-License-Identifier: MIT */
/*
 * errmap.h - lwIP's err_t and ICMP codes as Linux errno; the only place.
 *
 * Layer:  services/netd.
 * Errors: positive errno values, 0 for ERR_OK.
 */
#ifndef NETD_ERRMAP_H
#define NETD_ERRMAP_H

#include <stdint.h>

/* An err_t, as a plain int.  An unknown value is EIO. */
int errmap_lwip(int err);

/* Destination unreachable: the error that Linux gives a socket, 0 for none. */
int errmap_icmp4(uint8_t type, uint8_t code);
int errmap_icmp6(uint8_t type, uint8_t code);

#endif /* NETD_ERRMAP_H */
