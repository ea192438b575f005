/* SPDX-License-Identifier: MIT */
/*
 * text.h - building text in a fixed buffer: for /proc and messages.
 *
 * Layer:   libos.
 * Memory:  the buffer is the caller's; what does not fit is cut.
 */
#ifndef LIBOS_TEXT_H
#define LIBOS_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct text {
	char *at;
	size_t len, cap; /* bytes in use, bytes of room; no NUL is kept */
};

void text_put(struct text *t, const char *s);
void text_bytes(struct text *t, const void *p, size_t n);
void text_dec(struct text *t, uint64_t n);
/* %s %c %d %u %x %ld %lu %lx %%, with a width, '-' and '0'.  Nothing else. */
void text_fmt(struct text *t, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

#endif /* LIBOS_TEXT_H */
