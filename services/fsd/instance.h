/* SPDX-License-Identifier: MIT */
/*
 * instance.h - what one run's instances of fsd have in common, and tokens.
 *
 * The supervisor gives all instances of a service the same secret.  The name of the
 * orphans' folder and the key of the tokens are made of it, so that a later
 * instance finds the one and believes the others.  No guest learns it.
 *
 * A token says: this client had this file open with this access.  An open's answer
 * carries one; Reopen shows it, and is given the access without a look at modes
 * that may have changed meanwhile, as an open descriptor is.
 *
 * Layer:   services/fsd.
 * Locking: constant once made.
 */
#ifndef FSD_INSTANCE_H
#define FSD_INSTANCE_H

#include "rpc/limits.h"
#include "rpc/siphash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSTANCE_SECRET_LEN 16u
#define TOKEN_LEN 16u

struct instance {
	uint32_t epoch;
	char folder[17]; /* below ORPHANS_DIR */
	struct siphash_key token[2], journal;
};

/* @secret of another length than INSTANCE_SECRET_LEN: one of our own, that no later
 * instance has.  0 or negative errno. */
int instance_init(struct instance *i, uint32_t epoch, const uint8_t *secret, size_t len)
        __attribute__((warn_unused_result));

/* What the flags of an open say of access; all that a token and a Reopen count. */
uint32_t token_access(uint32_t open_flags);
void token_make(const struct instance *i, const uint8_t client[RPC_CLIENT_ID_LEN],
                uint32_t open_flags, const uint8_t *id, size_t id_len,
                uint8_t out[TOKEN_LEN]);
bool token_valid(const struct instance *i, const uint8_t client[RPC_CLIENT_ID_LEN],
                 uint32_t open_flags, const uint8_t *id, size_t id_len,
                 const uint8_t *token, size_t token_len);

#endif /* FSD_INSTANCE_H */
