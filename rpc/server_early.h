/* SPDX-License-Identifier: MIT */
/*
 * server_early.h - channels that are made before their guests may be served.
 *
 * While another instance serves, the next one makes its channels (GuestAdd with
 * `prepare`), so that nobody waits for that in a swap.  Nothing is read from them.
 *
 * Layer:     rpc, the service's side.
 * Ownership: the list has the channels, until they are taken or dropped.
 * Locking:   none; the loop's thread.
 */
#ifndef RPC_SERVER_EARLY_H
#define RPC_SERVER_EARLY_H

#include <stdint.h>

struct vchan_end;

/* Takes @end, also on failure.  0, -EEXIST (that domain has one), or -ENOMEM. */
int early_put(uint32_t domid, const uint8_t *client_id, struct vchan_end *end)
	__attribute__((warn_unused_result));
/* The caller's from now on.  NULL: none was made for that guest; one that was made for
 * another guest of that number is closed. */
struct vchan_end *early_take(uint32_t domid, const uint8_t *client_id);
/* That domain is gone. */
void early_drop(uint32_t domid);

#endif /* RPC_SERVER_EARLY_H */
