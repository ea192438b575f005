/* SPDX-License-Identifier: MIT */
/*
 * string.c - the memory functions that the compiler and libos call.
 *
 * Hidden inside libos: the program has its C library's.  Written with word moves for
 * what is short, string instructions beyond that (fast on CPUs with ERMS), and without
 * builtins, lest they call themselves.  Interrupt code of platform/xen calls them too, so they leave vector
 * registers alone.
 */
#pragma GCC target("general-regs-only")

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strcpy(char *restrict to, const char *restrict from);
char *strrchr(const char *s, int c);

#define SHORT_MAX 256u

typedef uint64_t __attribute__((may_alias, aligned(1))) word8;
typedef uint32_t __attribute__((may_alias, aligned(1))) word4;
typedef uint16_t __attribute__((may_alias, aligned(1))) word2;

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	char *d = to;
	const char *s = from;

	if (n > SHORT_MAX) {
		void *p = to;

		__asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n) : : "memory");
	} else if (n > 32) {
		const uint64_t a = *(const word8 *)(s + n - 16), b = *(const word8 *)(s + n - 8);

		for (size_t i = 0; i < n - 16; i += 16) {
			const uint64_t c = *(const word8 *)(s + i), e = *(const word8 *)(s + i + 8);

			*(word8 *)(d + i) = c;
			*(word8 *)(d + i + 8) = e;
			__asm__ volatile("" : : : "memory");
		}
		*(word8 *)(d + n - 16) = a;
		*(word8 *)(d + n - 8) = b;
	} else if (n >= 16) {
		const uint64_t a = *(const word8 *)s, b = *(const word8 *)(s + 8);
		const uint64_t c = *(const word8 *)(s + n - 16), e = *(const word8 *)(s + n - 8);

		*(word8 *)d = a;
		*(word8 *)(d + 8) = b;
		*(word8 *)(d + n - 16) = c;
		*(word8 *)(d + n - 8) = e;
	} else if (n >= 8) {
		const uint64_t a = *(const word8 *)s, b = *(const word8 *)(s + n - 8);

		*(word8 *)d = a;
		*(word8 *)(d + n - 8) = b;
	} else if (n >= 4) {
		const uint32_t a = *(const word4 *)s, b = *(const word4 *)(s + n - 4);

		*(word4 *)d = a;
		*(word4 *)(d + n - 4) = b;
	} else if (n >= 2) {
		const uint16_t a = *(const word2 *)s, b = *(const word2 *)(s + n - 2);

		*(word2 *)d = a;
		*(word2 *)(d + n - 2) = b;
	} else if (n) {
		*d = *s;
	}
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	if ((uintptr_t)to - (uintptr_t)from >= n) {
		void *p = to;

		__asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n) : : "memory");
	} else {
		char *d = to;
		const char *s = from;

		while (n >= 8) {
			n -= 8;
			*(word8 *)(d + n) = *(const word8 *)(s + n);
		}
		while (n--) {
			d[n] = s[n];
			__asm__ volatile("" : : : "memory");
		}
	}
	return to;
}

void *memset(void *to, int c, size_t n)
{
	const uint64_t word = 0x0101010101010101u * (uint8_t)c;
	void *p = to;

	if (n > SHORT_MAX) {
		size_t words = n / 8;

		*(word8 *)((char *)to + n - 8) = word;
		__asm__ volatile("rep stosq" : "+D"(p), "+c"(words) : "a"(word) : "memory");
	} else if (n >= 16) {
		char *d = to;

		for (size_t i = 0; i < n - 16; i += 16) {
			*(word8 *)(d + i) = word;
			*(word8 *)(d + i + 8) = word;
			__asm__ volatile("" : : : "memory");
		}
		*(word8 *)(d + n - 16) = word;
		*(word8 *)(d + n - 8) = word;
	} else {
		__asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (; n >= 8; n -= 8, x += 8, y += 8)
		if (*(const word8 *)x != *(const word8 *)y)
			break;
	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

void *memchr(const void *s, int c, size_t n)
{
	const unsigned char *p = s;

	for (; n; n--, p++)
		if (*p == (unsigned char)c)
			return (void *)(uintptr_t)p;
	return NULL;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n]) {
		n++;
		__asm__ volatile("" : : : "memory");
	}
	return n;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n && *a && *a == *b; n--) {
		a++;
		b++;
	}
	return n ? (unsigned char)*a - (unsigned char)*b : 0;
}

char *strcpy(char *restrict to, const char *restrict from)
{
	memcpy(to, from, strlen(from) + 1);
	return to;
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++)
		if (!*s)
			return NULL;
	return (char *)(uintptr_t)s;
}

char *strrchr(const char *s, int c)
{
	const char *last = NULL;

	do {
		if (*s == (char)c)
			last = s;
	} while (*s++);
	return (char *)(uintptr_t)last;
}
