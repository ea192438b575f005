/* SPDX-License-Identifier: MIT */
/* drbg.c - ChaCha20 with fast key erasure. */
#include "platform/xen/drbg.h"

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, 4);
	return v;
}

static void quarter(uint32_t x[16], int a, int b, int c, int d)
{
#define ROTATE(v, n) ((v) << (n) | (v) >> (32 - (n)))
	x[a] += x[b];
	x[d] = ROTATE(x[d] ^ x[a], 16);
	x[c] += x[d];
	x[b] = ROTATE(x[b] ^ x[c], 12);
	x[a] += x[b];
	x[d] = ROTATE(x[d] ^ x[a], 8);
	x[c] += x[d];
	x[b] = ROTATE(x[b] ^ x[c], 7);
#undef ROTATE
}

void chacha20_block(const uint8_t key[32], uint32_t counter, const uint8_t nonce[12],
                    uint8_t out[64])
{
	uint32_t in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, x[16];

	for (int i = 0; i < 8; i++)
		in[4 + i] = load32(key + 4 * i);
	in[12] = counter;
	for (int i = 0; i < 3; i++)
		in[13 + i] = load32(nonce + 4 * i);
	__builtin_memcpy(x, in, sizeof(x));
	for (int round = 0; round < 10; round++) {
		quarter(x, 0, 4, 8, 12);
		quarter(x, 1, 5, 9, 13);
		quarter(x, 2, 6, 10, 14);
		quarter(x, 3, 7, 11, 15);
		quarter(x, 0, 5, 10, 15);
		quarter(x, 1, 6, 11, 12);
		quarter(x, 2, 7, 8, 13);
		quarter(x, 3, 4, 9, 14);
	}
	for (int i = 0; i < 16; i++) {
		x[i] += in[i];
		__builtin_memcpy(out + 4 * i, &x[i], 4);
	}
}

enum { USE_MIX = 1, USE_GET = 2 }; /* in the nonce: streams for one use only */

static void stream(const struct drbg *d, uint32_t use, uint32_t counter,
                   uint8_t out[64])
{
	uint8_t nonce[12] = {0};

	__builtin_memcpy(nonce, &use, 4);
	chacha20_block(d->key, counter, nonce, out);
}

/* Key := 32 bytes of the stream under (key xor seed), for each 32 bytes of it. */
void drbg_mix(struct drbg *d, const void *seed, size_t n)
{
	const uint8_t *from = seed;
	uint8_t block[64];

	while (n > 0) {
		const size_t part = n < sizeof(d->key) ? n : sizeof(d->key);

		for (size_t i = 0; i < part; i++)
			d->key[i] ^= from[i];
		stream(d, USE_MIX, (uint32_t)part, block);
		__builtin_memcpy(d->key, block, sizeof(d->key));
		from += part;
		n -= part;
	}
	__builtin_memset(block, 0, sizeof(block));
	__asm__ volatile("" : : "r"(block) : "memory");
}

void drbg_get(struct drbg *d, void *to, size_t n)
{
	struct drbg old = *d;
	uint8_t block[64], *out = to;
	uint32_t counter = 0;
	size_t at = sizeof(d->key);

	stream(&old, USE_GET, counter++, block);
	__builtin_memcpy(d->key, block, sizeof(d->key));
	while (n > 0) {
		size_t part;

		if (at == sizeof(block)) {
			stream(&old, USE_GET, counter++, block);
			at = 0;
		}
		part = n < sizeof(block) - at ? n : sizeof(block) - at;
		__builtin_memcpy(out, block + at, part);
		at += part;
		out += part;
		n -= part;
	}
	__builtin_memset(block, 0, sizeof(block));
	__builtin_memset(&old, 0, sizeof(old));
	__asm__ volatile("" : : "r"(block), "r"(&old) : "memory");
}
