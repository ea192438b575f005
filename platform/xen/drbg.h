/* SPDX-License-Identifier: MIT */
/*
 * drbg.h - random numbers from a seed: ChaCha20 with fast key erasure.
 *
 * Every request makes a key stream under the key; its first 32 bytes become the next
 * key before any of the rest is given out, so what was given cannot be computed from
 * what is kept.  Seeds are mixed into the key, never put in its place: a bad source
 * makes nothing worse.
 *
 * Layer:   platform/xen; runs on the host in tests.
 * Locking: the caller's.
 */
#ifndef PLATFORM_XEN_DRBG_H
#define PLATFORM_XEN_DRBG_H

#include <stddef.h>
#include <stdint.h>

struct drbg {
	uint8_t key[32];
};

/* One block of RFC 8439's ChaCha20. */
void chacha20_block(const uint8_t key[32], uint32_t counter, const uint8_t nonce[12],
                    uint8_t out[64]);

void drbg_mix(struct drbg *d, const void *seed, size_t n);
void drbg_get(struct drbg *d, void *to, size_t n);

#endif /* PLATFORM_XEN_DRBG_H */
