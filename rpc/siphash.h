/* SPDX-License-Identifier: MIT */
/*
 * siphash.h - SipHash-2-4, the keyed hash behind sequence numbers, tables, tokens.
 *
 * A peer that does not know the key can neither guess an initial sequence number
 * nor choose connections that fall into one bucket.
 *
 * Layer:  rpc.  Includes nothing of it.
 * Memory: none.
 */
#ifndef RPC_SIPHASH_H
#define RPC_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct siphash_key {
	uint64_t k0, k1;
};

static inline uint64_t siphash_rotl(uint64_t x, unsigned b)
{
	return x << b | x >> (64u - b);
}

static inline void siphash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = siphash_rotl(v[1], 13) ^ v[0];
	v[0] = siphash_rotl(v[0], 32);
	v[2] += v[3];
	v[3] = siphash_rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = siphash_rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = siphash_rotl(v[1], 17) ^ v[2];
	v[2] = siphash_rotl(v[2], 32);
}

/* Hash @len bytes at @data. */
static inline uint64_t siphash(const struct siphash_key *k, const void *data, size_t len)
{
	uint64_t v[4] = {k->k0 ^ 0x736f6d6570736575ull, k->k1 ^ 0x646f72616e646f6dull,
	                 k->k0 ^ 0x6c7967656e657261ull, k->k1 ^ 0x7465646279746573ull};
	const unsigned char *p = data;
	uint64_t m = 0;
	size_t left = len;

	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&m, p, 8);
		v[3] ^= m;
		siphash_round(v);
		siphash_round(v);
		v[0] ^= m;
	}
	m = (uint64_t)len << 56;
	for (size_t i = 0; i < left; i++)
		m |= (uint64_t)p[i] << (8 * i);
	v[3] ^= m;
	siphash_round(v);
	siphash_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		siphash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif /* RPC_SIPHASH_H */
