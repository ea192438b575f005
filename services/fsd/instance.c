/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/instance.h"

#include "services/fsd/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

/* The secret is a key of a pseudo-random function: what it makes of different texts
 * tells nothing of each other. */
static uint64_t derive(const struct siphash_key *k, const char *what)
{
	return siphash(k, what, strlen(what));
}

int instance_init(struct instance *i, uint32_t epoch, const uint8_t *secret, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t own[INSTANCE_SECRET_LEN];
	struct siphash_key k;
	uint64_t name;

	if (len != INSTANCE_SECRET_LEN) {
		if (getrandom(own, sizeof own, 0) != (ssize_t)sizeof own)
			return -EIO;
		secret = own;
	}
	memcpy(&k.k0, secret, 8);
	memcpy(&k.k1, secret + 8, 8);
	name = derive(&k, "strait fsd orphans");
	for (int n = 0; n < 16; n++)
		i->folder[n] = hex[name >> (60 - 4 * n) & 15];
	i->folder[16] = 0;
	i->token[0].k0 = derive(&k, "strait fsd token 0");
	i->token[0].k1 = derive(&k, "strait fsd token 1");
	i->token[1].k0 = derive(&k, "strait fsd token 2");
	i->token[1].k1 = derive(&k, "strait fsd token 3");
	i->journal.k0 = derive(&k, "strait fsd journal 0");
	i->journal.k1 = derive(&k, "strait fsd journal 1");
	i->epoch = epoch;
	return 0;
}

uint32_t token_access(uint32_t flags)
{
	return flags & O_PATH ? O_PATH : flags & (O_ACCMODE | O_NOATIME);
}

void token_make(const struct instance *i, const uint8_t client[RPC_CLIENT_ID_LEN],
                uint32_t open_flags, const uint8_t *id, size_t id_len,
                uint8_t out[TOKEN_LEN])
{
	uint8_t text[RPC_CLIENT_ID_LEN + 4 + FILE_ID_MAX];
	const uint32_t access = token_access(open_flags);
	const size_t len = RPC_CLIENT_ID_LEN + 4 + id_len;

	memcpy(text, client, RPC_CLIENT_ID_LEN);
	memcpy(text + RPC_CLIENT_ID_LEN, &access, 4);
	memcpy(text + RPC_CLIENT_ID_LEN + 4, id, id_len);
	for (int n = 0; n < 2; n++) {
		const uint64_t h = siphash(&i->token[n], text, len);

		memcpy(out + 8 * n, &h, 8);
	}
}

bool token_valid(const struct instance *i, const uint8_t client[RPC_CLIENT_ID_LEN],
                 uint32_t open_flags, const uint8_t *id, size_t id_len,
                 const uint8_t *token, size_t token_len)
{
	uint8_t want[TOKEN_LEN];
	unsigned diff = 0;

	if (id_len == 0 || id_len > FILE_ID_MAX || token_len != TOKEN_LEN)
		return false;
	token_make(i, client, open_flags, id, id_len, want);
	for (size_t n = 0; n < TOKEN_LEN; n++) /* all: time must not tell which */
		diff |= (unsigned)(want[n] ^ token[n]);
	return diff == 0;
}
