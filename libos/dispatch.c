/* SPDX-License-Identifier: MIT */
/*
 * dispatch.c - from a number to its implementation.
 *
 * The table is generated from syscalls.tbl (tools/gen_syscalls.py): weak
 * references, so a call that nobody defined is a null entry.  The edge jumps
 * through it directly; what is here is for missing calls and for --strace.
 */
#include "libos/dispatch.h"

#include "libos/syscall.h"
#include "libos/thread.h"

#include <errno.h>
#include <stdbool.h>

#define LOG_UNSUPPORTED 1u /* BOOT_LOG_UNSUPPORTED */
#define SEEN_MAX 256

static const uint32_t g_zero;
const uint32_t *g_strace_word = &g_zero;
long syscall_missing(long n);
long syscall_dispatch_traced(long n, long a, long b, long c, long d, long e, long f);

void dispatch_init(void)
{
	if (g_config.strace)
		g_strace_word = (const uint32_t *)(uintptr_t)g_config.strace;
}

static const struct syscall_row *find_row(long n)
{
	if (n < 0 || n > g_syscall_max || !g_syscall_rows[n].name)
		return NULL;
	return &g_syscall_rows[n];
}

const char *syscall_name(long n)
{
	const struct syscall_row *row = find_row(n);

	return row ? g_syscall_names + row->name : NULL;
}

/* ---- a line of text without a C library ---- */

struct line {
	char buf[256];
	size_t n;
};

static void put(struct line *l, const char *s)
{
	while (*s && l->n < sizeof(l->buf) - 1)
		l->buf[l->n++] = *s++;
}

static void put_hex(struct line *l, uint64_t v)
{
	char digits[17];
	int i = 16;

	digits[i] = '\0';
	do {
		digits[--i] = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	put(l, "0x");
	put(l, digits + i);
}

static void put_dec(struct line *l, long v)
{
	char digits[24];
	int i = 23;
	uint64_t u = v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;

	digits[i] = '\0';
	do {
		digits[--i] = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	if (v < 0)
		digits[--i] = '-';
	put(l, digits + i);
}

static void flush(struct line *l)
{
	l->buf[l->n++] = '\n';
	plat_log(l->buf, l->n);
}

/* ---- what is missing ---- */

static bool log_wanted(void)
{
	return g_config.log && (*g_config.log & LOG_UNSUPPORTED);
}

void unsupported(const char *what)
{
	static const char *_Atomic seen[SEEN_MAX];
	struct line l = {.n = 0};

	if (!log_wanted())
		return;
	for (unsigned i = 0; i < SEEN_MAX; i++) {
		const char *expected = NULL;

		if (seen[i] == what ||
		    !__atomic_compare_exchange_n((const char **)(uintptr_t)&seen[i], &expected,
		                                 what, false, __ATOMIC_RELAXED,
		                                 __ATOMIC_RELAXED)) {
			if (seen[i] == what)
				return;
			continue;
		}
		put(&l, "strait: unsupported: ");
		put(&l, what);
		flush(&l);
		return;
	}
}

long syscall_missing(long n)
{
	const struct syscall_row *row = find_row(n);

	if (!row) {
		unsupported("a call without a number in the table");
		return -ENOSYS;
	}
	unsupported(syscall_name(n));
	return row->refusal;
}

/* ---- dispatch from C ---- */

long syscall_dispatch(long n, long a, long b, long c, long d, long e, long f)
{
	if (n < 0 || n > g_syscall_max || !g_syscall_table[n])
		return syscall_missing(n);
	return g_syscall_table[n](a, b, c, d, e, f);
}

static void trace_line(const char *name, long n, const long arg[6], const char *tail, long r,
                       bool has_result)
{
	struct line l = {.n = 0};

	put(&l, "[");
	put_dec(&l, (long)self()->tid);
	put(&l, "] ");
	if (name)
		put(&l, name);
	else
		put_dec(&l, n);
	put(&l, "(");
	for (int i = 0; i < 6; i++) {
		if (i)
			put(&l, ", ");
		if (arg[i] >= -4096 && arg[i] < 65536)
			put_dec(&l, arg[i]);
		else
			put_hex(&l, (uint64_t)arg[i]);
	}
	put(&l, tail);
	if (has_result) {
		if (r >= -4095 && r < 65536)
			put_dec(&l, r);
		else
			put_hex(&l, (uint64_t)r);
	}
	flush(&l);
}

long syscall_dispatch_traced(long n, long a, long b, long c, long d, long e, long f)
{
	const char *name = syscall_name(n);
	const long arg[6] = {a, b, c, d, e, f};
	long r;

	/* These do not come back. */
	if (n == 60 || n == 231 || n == 15)
		trace_line(name, n, arg, ") ...", 0, false);
	r = syscall_dispatch(n, a, b, c, d, e, f);
	trace_line(name, n, arg, ") = ", r, true);
	return r;
}
