/* SPDX-License-Identifier: MIT */
/*
 * cstubs.c - what third-party code inside libos (protobuf-c) would call of a C
 * library.  Hidden, so that it never binds to the program's.
 *
 * Messages are decoded with an arena as allocator; the default allocator, which is
 * these two, must never be reached and has no memory to give.
 */
#include <stddef.h>
#include <stdint.h>

void *malloc(size_t n);
void free(void *p);
uint16_t htons(uint16_t v);
uint16_t ntohs(uint16_t v);
uint32_t htonl(uint32_t v);
uint32_t ntohl(uint32_t v);

void *malloc(size_t n)
{
	(void)n;
	return NULL;
}

void free(void *p)
{
	(void)p;
}

uint16_t htons(uint16_t v)
{
	return __builtin_bswap16(v);
}

uint16_t ntohs(uint16_t v)
{
	return __builtin_bswap16(v);
}

uint32_t htonl(uint32_t v)
{
	return __builtin_bswap32(v);
}

uint32_t ntohl(uint32_t v)
{
	return __builtin_bswap32(v);
}
