/* SPDX-License-Identifier: MIT */
#include "tools/trace/value.h"

#include "tools/trace/record.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ERRNO_MAX 133 /* the last one that Linux x86-64 has */

void value_put(FILE *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(out, fmt, ap);
	va_end(ap);
}

void value_flags(FILE *out, const struct value_name *t, uint64_t v, const char *zero)
{
	const char *sep = "";

	if (v == 0) {
		fputs(zero, out);
		return;
	}
	for (; t->name; t++) {
		if (!t->value || (v & t->value) != t->value)
			continue;
		value_put(out, "%s%s", sep, t->name);
		v &= ~t->value;
		sep = "|";
	}
	if (v)
		value_put(out, "%s0x%llx", sep, (unsigned long long)v);
}

void value_enum(FILE *out, const struct value_name *t, uint64_t v)
{
	for (; t->name; t++) {
		if (t->value == v) {
			fputs(t->name, out);
			return;
		}
	}
	value_put(out, "%lld", (long long)v);
}

static void quote_byte(FILE *out, unsigned char c, int next)
{
	static const char from[] = "\n\t\r\v\f\a\b\"\\", to[] = "ntrvfab\"\\";
	const char *at = c ? strchr(from, c) : NULL;

	if (at)
		value_put(out, "\\%c", to[at - from]);
	else if (c >= 32 && c < 127)
		fputc(c, out);
	else if (next >= '0' && next <= '9') /* else the digit would join the escape */
		value_put(out, "\\%03o", c);
	else
		value_put(out, "\\%o", c);
}

void value_quote(FILE *out, const void *p, size_t n, size_t limit)
{
	const unsigned char *b = p;
	const size_t show = n < limit ? n : limit;

	fputc('"', out);
	for (size_t i = 0; i < show; i++)
		quote_byte(out, b[i], i + 1 < show ? b[i + 1] : -1);
	fputs(show < n ? "\"..." : "\"", out);
}

/* Length of the UTF-8 character at @s, or 0 when it is none. */
static int utf8_len(const unsigned char *s)
{
	const int len = s[0] < 0x80                   ? 1
	                : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
	                : (s[0] & 0xf0) == 0xe0       ? 3
	                : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
	                                              : 0;

	for (int i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

void value_json(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	fputc('"', out);
	while (*s) {
		const int len = utf8_len(s);

		if (len == 0)
			fputs("\\ufffd", out);
		else if (*s == '"' || *s == '\\')
			value_put(out, "\\%c", *s);
		else if (*s < 32 || *s == 127)
			value_put(out, "\\u%04x", *s);
		else
			fwrite(s, 1, (size_t)len, out);
		s += len ? len : 1;
	}
	fputc('"', out);
}

void value_hex(FILE *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n && i < 64; i++)
		value_put(out, "%02x", p[i]);
	if (n > 64)
		fputs("...", out);
}

const char *value_errno(uint32_t err)
{
	return err <= ERRNO_MAX ? strerrorname_np((int)err) : NULL;
}

int value_errno_parse(const char *s)
{
	char *end;
	long v;

	for (int e = 1; e <= ERRNO_MAX; e++)
		if (value_errno((uint32_t)e) &&
		    strcasecmp(s, value_errno((uint32_t)e)) == 0)
			return e;
	if (strcasecmp(s, "EWOULDBLOCK") == 0)
		return value_errno_parse("EAGAIN");
	v = strtol(s, &end, 10);
	return isdigit((unsigned char)*s) && *end == '\0' && v > 0 && v < 4096 ? (int)v
	                                                                       : -1;
}

void value_ip(FILE *out, const ProtobufCBinaryData *ip)
{
	char text[INET6_ADDRSTRLEN] = "*";

	if (ip->len == 4)
		inet_ntop(AF_INET, ip->data, text, sizeof(text));
	else if (ip->len == 16)
		inet_ntop(AF_INET6, ip->data, text, sizeof(text));
	if (ip->len == 0 || ip->len == 4 || ip->len == 16) {
		fputs(text, out);
	} else {
		fputs("bad:", out);
		value_hex(out, ip->data, ip->len);
	}
}

void value_addr(FILE *out, const ProtobufCMessage *addr)
{
	const ProtobufCBinaryData *ip = message_get_bytes(addr, "ip");
	const uint64_t port = message_get_u64(addr, "port");
	const uint64_t scope = message_get_u64(addr, "scope");
	const bool six = ip && ip->len == 16;

	if (!ip)
		return;
	fputs(six ? "[" : "", out);
	value_ip(out, ip);
	if (scope)
		value_put(out, "%%%llu", (unsigned long long)scope);
	value_put(out, "%s:%llu", six ? "]" : "", (unsigned long long)port);
}

/* Three figures: 1.23, 12.3, 123. */
static void figures(char buf[VALUE_TEXT], double v, const char *unit)
{
	const int digits = v < 9.995 ? 2 : v < 99.95 ? 1 : 0;

	(void)snprintf(buf, VALUE_TEXT, "%.*f%s", digits, v, unit);
}

const char *value_ns(char buf[VALUE_TEXT], uint64_t ns)
{
	const double v = (double)ns;

	if (ns < 1000)
		(void)snprintf(buf, VALUE_TEXT, "%uns", (unsigned)ns);
	else if (v < 999.5e3)
		figures(buf, v / 1e3, "us");
	else if (v < 999.5e6)
		figures(buf, v / 1e6, "ms");
	else
		figures(buf, v / 1e9, "s");
	return buf;
}

const char *value_size(char buf[VALUE_TEXT], uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	double v = (double)bytes / 1024;
	unsigned u = 0;
	char unit[2] = "";

	if (bytes < 1024) {
		(void)snprintf(buf, VALUE_TEXT, "%u", (unsigned)bytes);
		return buf;
	}
	for (; v >= 999.5 && u < 5; u++)
		v /= 1024;
	unit[0] = units[u];
	figures(buf, v, unit);
	return buf;
}
