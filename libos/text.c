/* SPDX-License-Identifier: MIT */
/* text.c - a small printf without a libc. */
#include "libos/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

void text_bytes(struct text *t, const void *p, size_t n)
{
	if (n > t->cap - t->len)
		n = t->cap - t->len;
	memcpy(t->at + t->len, p, n);
	t->len += n;
}

void text_put(struct text *t, const char *s)
{
	text_bytes(t, s, strlen(s));
}

/* Digits of @n at the end of @buf; their number. */
static size_t digits(char buf[24], uint64_t n, unsigned base)
{
	size_t len = 0;

	do {
		buf[23 - len++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n != 0);
	return len;
}

void text_dec(struct text *t, uint64_t n)
{
	char buf[24];
	size_t len = digits(buf, n, 10);

	text_bytes(t, buf + sizeof(buf) - len, len);
}

struct spec {
	bool left, zero, wide;
	size_t width;
};

static void pad(struct text *t, char c, size_t have, size_t width)
{
	for (; have < width; have++)
		text_bytes(t, &c, 1);
}

static void put_field(struct text *t, const struct spec *s, const char *p, size_t n)
{
	if (!s->left)
		pad(t, ' ', n, s->width);
	text_bytes(t, p, n);
	if (s->left)
		pad(t, ' ', n, s->width);
}

static void put_number(struct text *t, const struct spec *s, uint64_t n, bool negative,
                       unsigned base)
{
	char buf[24];
	size_t len = digits(buf, n, base);

	if (s->zero && !s->left) {
		if (negative)
			text_bytes(t, "-", 1);
		pad(t, '0', len + negative, s->width);
		text_bytes(t, buf + sizeof(buf) - len, len);
		return;
	}
	if (negative)
		buf[23 - len++] = '-';
	put_field(t, s, buf + sizeof(buf) - len, len);
}

static const char *parse_spec(const char *f, struct spec *s)
{
	*s = (struct spec){0};
	for (;; f++) {
		if (*f == '-')
			s->left = true;
		else if (*f == '0')
			s->zero = true;
		else
			break;
	}
	for (; *f >= '0' && *f <= '9'; f++)
		s->width = s->width * 10 + (size_t)(*f - '0');
	if (*f == 'l') {
		s->wide = true;
		f++;
	}
	return f;
}

void text_fmt(struct text *t, const char *f, ...)
{
	va_list ap;

	va_start(ap, f);
	for (; *f; f++) {
		struct spec s;
		int64_t n;
		char c;

		if (*f != '%') {
			text_bytes(t, f, 1);
			continue;
		}
		f = parse_spec(f + 1, &s);
		switch (*f) {
		case 's': {
			const char *str = va_arg(ap, const char *);

			put_field(t, &s, str, strlen(str));
			break;
		}
		case 'c':
			c = (char)va_arg(ap, int);
			put_field(t, &s, &c, 1);
			break;
		case 'd':
			n = s.wide ? va_arg(ap, long) : va_arg(ap, int);
			put_number(t, &s, n < 0 ? 0 - (uint64_t)n : (uint64_t)n, n < 0,
			           10);
			break;
		case 'u':
		case 'x':
			put_number(t, &s,
			           s.wide ? va_arg(ap, unsigned long)
			                  : va_arg(ap, unsigned),
			           false, *f == 'x' ? 16 : 10);
			break;
		default:
			text_bytes(t, f, 1); /* %% */
		}
	}
	va_end(ap);
}
