/* SPDX-License-Identifier: MIT */
/*
 * cmdline.h - the guest's command line: words, quoted as in sh, and options.
 *
 * Words before a word `--` are options of ours, words after it the program's
 * arguments; without `--` all are arguments.  docs/XEN.md lists the options.
 *
 * Layer:   platform/xen; knows nothing of Xen, so that it runs in tests.
 * Memory:  the caller's: the text is cut up in place and pointed into.
 * Errors:  a sentence, NULL when all is well.
 */
#ifndef PLATFORM_XEN_CMDLINE_H
#define PLATFORM_XEN_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CMDLINE_ARGS_MAX 1024
#define CMDLINE_ENVS_MAX 512
#define CMDLINE_GROUPS_MAX 64
#define CMDLINE_HOSTNAME_MAX 64u
#define CMDLINE_ERROR_MAX 160u

struct cmdline {
	int argc, n_envs;
	char *argv[CMDLINE_ARGS_MAX +
	           2]; /* [0]: argv0=, or NULL until the caller knows */
	char *envp[CMDLINE_ENVS_MAX + 1];
	const char *cwd, *hostname; /* NULL: not given */
	uint32_t uid, gid, n_groups;
	uint32_t groups[CMDLINE_GROUPS_MAX];
	uint64_t memory;  /* bytes, 0: not given */
	uint32_t log;     /* BOOT_LOG_* */
	uint32_t timeout; /* seconds from SIGTERM to the end */
	uint32_t recover; /* seconds that a service may stay away */
	bool strace, stamps, raw_console;
	char error[CMDLINE_ERROR_MAX];
};

/* Read @text (NUL-terminated) into *@c. */
const char *cmdline_parse(char *text, struct cmdline *c)
        __attribute__((warn_unused_result));

/* Decimal digits and nothing else, at most @max.  Also for nodes of xenstore. */
bool cmdline_number(const char *s, uint64_t max, uint64_t *to);
/* 2 * @n hex digits and nothing else. */
bool cmdline_hex(const char *s, uint8_t *to, size_t n);

#endif /* PLATFORM_XEN_CMDLINE_H */
