/* SPDX-License-Identifier: MIT */
/*
 * value.h - numbers and bytes as people read them: flags by name, errno names,
 * quoted strings, addresses, durations.
 *
 * Layer:  tools.
 */
#ifndef TOOLS_TRACE_VALUE_H
#define TOOLS_TRACE_VALUE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* fprintf() whose failures stay with the stream: who made it looks at ferror() once. */
void value_put(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

struct value_name {
	uint64_t value;
	const char *name; /* NULL ends a table */
};

/* "a|b|0x40": each name whose bits are all set, in the table's order (larger sets
 * first); @zero when nothing is set. */
void value_flags(FILE *out, const struct value_name *table, uint64_t v,
                 const char *zero);
/* The name of exactly @v, else the number. */
void value_enum(FILE *out, const struct value_name *table, uint64_t v);

/* In double quotes, what is not printable ASCII escaped as in C; at most @limit bytes,
 * then "...". */
void value_quote(FILE *out, const void *p, size_t n, size_t limit);
/* As a JSON string: bytes that are no UTF-8 become U+FFFD. */
void value_json(FILE *out, const char *text);
void value_hex(FILE *out, const uint8_t *p, size_t n);

/* "ENOENT"; a number without a name gives NULL. */
const char *value_errno(uint32_t err);
/* A name or a number: the errno, or -1. */
int value_errno_parse(const char *s);

void value_ip(FILE *out, const ProtobufCBinaryData *ip);
/* A net.Addr: "10.0.0.1:80", "[::1]:80". */
void value_addr(FILE *out, const ProtobufCMessage *addr);

#define VALUE_TEXT 24
/* "850ns", "12.3us", "4.56ms", "7.89s"; returns @buf. */
const char *value_ns(char buf[VALUE_TEXT], uint64_t ns);
/* "512", "12.3K", "4.5M"; returns @buf. */
const char *value_size(char buf[VALUE_TEXT], uint64_t bytes);

#endif /* TOOLS_TRACE_VALUE_H */
